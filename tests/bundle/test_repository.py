"""What git says of a project, asked with real repositories."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.bundles import write_files

from hatch_connect.bundle.repository import Repository, git_metadata, same_repository

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from support.sandbox import Sandbox

FILES = {
    ".gitignore": "*.log\n!kept.log\n/data/*\ngen/\n",
    "a/.gitignore": "x\n!here.log\n",
    "a/x": "",
    "a/b.log": "",
    "a/kept.log": "",
    "a/here.log": "",
    "data/big": "",
    "gen/.gitignore": "!y\n",
    "gen/y": "",
    "naïve\tname.log": "",
    "main.py": "",
}
IGNORED = {"a/x", "a/b.log", "data/big", "naïve\tname.log", "gen/y", "gen/.gitignore"}

posix = pytest.mark.skipif(sys.platform == "win32", reason="no such names, links or owners")

PATTERNS = st.builds(
    "{}{}{}{}".format,
    st.sampled_from(["", "", "!"]),
    st.sampled_from(["", "", "/"]),
    st.lists(
        st.sampled_from(["a", "b", "d", "e", "*", "*.log", "?", "[ab]", "a*"]), min_size=1
    ).map(lambda segments: "/".join(segments[:3])),
    st.sampled_from(["", "", "/", " "]),
)
TREE = ("a", "b.log", "d/a", "d/b.log", "d/e/a", "d/e/b", "e/a", "e/d/b")

ENVIRON = {
    "PATH": os.environ["PATH"],
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_SYSTEM": os.devnull,
    **{f"GIT_{who}_{what}": "a@b" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")},
}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_files(tmp_path / "p", FILES)


def ignored(root: Path, environ: Mapping[str, str], paths: Iterable[str] = FILES) -> set[str]:
    repository = Repository(root, environ)
    return {path for path in paths if repository.ignored(repository.real_path(root / path))}


def test_git_is_asked_where_there_is_a_repository(root: Path, sandbox: Sandbox) -> None:
    sandbox.git("init", "--quiet", cwd=root)
    assert ignored(root, sandbox.environ) == IGNORED
    repository = Repository(root, sandbox.environ)
    assert repository.ignored(repository.real_path(root / "a/x")) == (
        "git ignores it (a/.gitignore:1: x)"
    )
    assert repository.unknown is None


@given(
    st.dictionaries(
        st.sampled_from(["", "d/", "d/e/", "e/"]), st.lists(PATTERNS, min_size=1, max_size=4)
    )
)
@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
def test_the_files_say_what_git_says(
    tmp_path_factory: pytest.TempPathFactory, sandbox: Sandbox, lines: dict[str, list[str]]
) -> None:
    texts = {f"{folder}.gitignore": "\n".join(each) for folder, each in lines.items()}
    root = write_files(tmp_path_factory.mktemp("p"), {**dict.fromkeys(TREE, ""), **texts})
    without = ignored(root, {**sandbox.environ, "PATH": ""}, TREE)
    sandbox.git("init", "--quiet", cwd=root)
    assert without == ignored(root, sandbox.environ, TREE)


def test_everything_may_be_ignored_but_what_is_named(tmp_path: Path, sandbox: Sandbox) -> None:
    files = {".gitignore": "*\n!d\n!/d/*.py\n", "d/a.py": "", "d/b": "", "e/a.py": ""}
    root = write_files(tmp_path / "p", files)
    without = ignored(root, {**sandbox.environ, "PATH": ""}, files)
    sandbox.git("init", "--quiet", cwd=root)
    assert without == ignored(root, sandbox.environ, files) == {".gitignore", "d/b", "e/a.py"}
    assert Repository(root, sandbox.environ).unknown is None


def test_what_is_tracked_is_not_ignored(root: Path, sandbox: Sandbox) -> None:
    sandbox.git("init", "--quiet", cwd=root)
    sandbox.git("add", "--force", "a/b.log", "gen/y", cwd=root)
    assert ignored(root, sandbox.environ) == IGNORED - {"a/b.log", "gen/y"}


@pytest.mark.parametrize("quotepath", ["true", "false"])
def test_names_of_any_bytes(tmp_path: Path, sandbox: Sandbox, quotepath: str) -> None:
    names = ["a\nb.log", "é ü.log", '"quoted".log', "tab\t.log", "back\\slash.log"]
    if sys.platform == "linux":
        names.append(os.fsdecode(b"latin-\xe9.log"))
    root = tmp_path / "p"
    root.mkdir()
    try:
        for name in names:
            (root / name).write_text("", encoding="utf-8")
    except OSError:
        pytest.skip("this file system has no such names")
    (root / ".gitignore").write_text("*.log\n", encoding="utf-8")
    sandbox.git("init", "--quiet", cwd=root)
    sandbox.git("config", "core.quotepath", quotepath, cwd=root)
    assert ignored(root, sandbox.environ, names) == set(names)
    sandbox.git("add", "--force", ".", cwd=root)
    repository = Repository(root, sandbox.environ)
    assert all(repository.mode(repository.real_path(root / name)) == "100644" for name in names)


def test_the_variables_of_another_call_of_git_do_not_count(root: Path, sandbox: Sandbox) -> None:
    sandbox.git("init", "--quiet", cwd=root)
    sandbox.git("add", "main.py", cwd=root)
    environ = {
        **sandbox.environ,
        "GIT_DIR": "/nowhere",
        "GIT_INDEX_FILE": "/nowhere/index",
        "GIT_WORK_TREE": "/nowhere",
        "GIT_LITERAL_PATHSPECS": "1",
        "GIT_PREFIX": "x/",
    }
    assert ignored(root, environ) == IGNORED
    repository = Repository(root, environ)
    assert repository.unknown is None
    assert repository.mode(repository.real_path(root / "main.py")) == "100644"


@posix
def test_no_program_that_a_repository_names_is_started(root: Path, sandbox: Sandbox) -> None:
    sandbox.git("init", "--quiet", cwd=root)
    hook = root.parent / "monitor"
    hook.write_text(f"#!/bin/sh\ntouch {root.parent}/started\n", encoding="utf-8")
    hook.chmod(0o755)
    sandbox.git("config", "core.fsmonitor", str(hook), cwd=root)
    assert ignored(root, sandbox.environ) == IGNORED
    assert not (root.parent / "started").exists()
    sandbox.git("ls-files", "--others", cwd=root)
    assert (root.parent / "started").exists()


@pytest.mark.parametrize("way", ["no repository", "no git", "a foreign owner"])
def test_the_files_are_read_where_git_cannot_be_asked(
    root: Path, sandbox: Sandbox, way: str
) -> None:
    environ = sandbox.environ
    if way != "no repository":
        sandbox.git("init", "--quiet", cwd=root)
    if way == "no git":
        environ = {**environ, "PATH": ""}
    if way == "a foreign owner":
        if sys.platform == "win32" or os.getuid() != 0:
            pytest.skip("only root gives files away")
        os.chown(root, 12345, 12345)
        os.chown(root / ".git", 12345, 12345)
    assert ignored(root, environ) == IGNORED
    repository = Repository(root, environ)
    assert repository.ignored(repository.real_path(root / "a/x")) == (
        "git would ignore it (a/.gitignore)"
    )
    assert repository.unknown
    assert repository.is_there == (way != "no repository")
    assert ("dubious ownership" in repository.unknown) == (way == "a foreign owner")


def test_a_folder_of_a_foreign_owner_that_the_user_trusts(root: Path, sandbox: Sandbox) -> None:
    if sys.platform == "win32" or os.getuid() != 0:
        pytest.skip("only root gives files away")
    sandbox.git("init", "--quiet", cwd=root)
    os.chown(root, 12345, 12345)
    environ = {
        **sandbox.environ,
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": "safe.directory",
        "GIT_CONFIG_VALUE_0": "*",
    }
    assert Repository(root, environ).unknown is None


def test_without_git_the_files_above_count_too(tmp_path: Path, sandbox: Sandbox) -> None:
    write_files(tmp_path, {".gitignore": "*.tmp\n/p/own\n", "p/a.tmp": "", "p/own": "", "p/b": ""})
    environ = {**sandbox.environ, "PATH": ""}
    paths = ["a.tmp", "own", "b"]
    assert ignored(tmp_path / "p", environ, paths) == set()
    (tmp_path / ".git").mkdir()
    assert ignored(tmp_path / "p", environ, paths) == {"a.tmp", "own"}


@pytest.mark.parametrize("git", [True, False])
def test_a_line_that_is_no_pattern_ignores_nothing(
    tmp_path: Path, sandbox: Sandbox, *, git: bool
) -> None:
    files = {".gitignore": "!\n[z-a]\na\\\n[[]\n*.log\n", "a": "", "b": "", "c.log": ""}
    root = write_files(tmp_path / "p", files)
    if git:
        sandbox.git("init", "--quiet", cwd=root)
    assert ignored(root, sandbox.environ, files) == {"c.log"}


@pytest.mark.parametrize("git", [True, False])
def test_the_file_of_a_checkout_on_windows(tmp_path: Path, sandbox: Sandbox, *, git: bool) -> None:
    text = b"\xef\xbb\xbf*.log\r\n!kept.log\r\n/data/\r\n\r\n"
    files = {".gitignore": text, "a.log": b"", "kept.log": b"", "data/x": b"", "b": b""}
    root = write_files(tmp_path / "p", files)
    if git:
        sandbox.git("init", "--quiet", cwd=root)
    assert ignored(root, sandbox.environ, files) == {"a.log", "data/x"}


@pytest.mark.parametrize("git", [True, False])
def test_a_project_in_an_ignored_folder_is_not_ignored_as_a_whole(
    root: Path, sandbox: Sandbox, *, git: bool
) -> None:
    write_files(root.parent, {".gitignore": "/p/\n"})
    sandbox.git("init", "--quiet", cwd=root.parent)
    environ = sandbox.environ if git else {**sandbox.environ, "PATH": ""}
    assert ignored(root, environ) == IGNORED


def test_a_repository_inside_answers_for_itself(root: Path, sandbox: Sandbox) -> None:
    sandbox.git("init", "--quiet", cwd=root)
    inner = write_files(root / "sub", {".gitignore": "*.tmp\n", "y.tmp": "", "z.log": ""})
    sandbox.git("init", "--quiet", cwd=inner)
    paths = ["sub/y.tmp", "sub/z.log", "a/x"]
    assert ignored(root, sandbox.environ, paths) == {"sub/y.tmp", "a/x"}
    (root / ".gitignore").write_text("/sub/\n", encoding="utf-8")
    assert ignored(root, sandbox.environ, paths) == {"sub/y.tmp", "sub/z.log", "a/x"}


@posix
def test_a_file_behind_a_link_is_asked_for_where_it_is(root: Path, sandbox: Sandbox) -> None:
    sandbox.git("init", "--quiet", cwd=root)
    (root / "link").symlink_to("a")
    (root / "up").symlink_to("..")
    (root / "self").symlink_to(".")
    paths = ["link/x", "link/kept.log", "self/a/x"]
    assert ignored(root, sandbox.environ, paths) == {"link/x", "self/a/x"}


def test_submodules_are_listed_through(tmp_path: Path, sandbox: Sandbox) -> None:
    for name in ("inner", "outer"):
        write_files(tmp_path / name, {f"{name}.py": "", ".gitignore": "*.tmp\n"})
        sandbox.git("init", "--quiet", cwd=tmp_path / name)
        if name == "outer":
            _add_submodule(tmp_path / "outer", tmp_path / "inner", "deep", sandbox)
        _commit(tmp_path / name, sandbox)
    root = write_files(tmp_path / "p", {"main.py": ""})
    sandbox.git("init", "--quiet", cwd=root)
    _add_submodule(root, tmp_path / "outer", ".sub", sandbox)
    _commit(root, sandbox)
    assert Repository(root, sandbox.environ).missing == (".sub/deep",)
    update = ("-c", "protocol.file.allow=always", "submodule", "update", "--init", "--recursive")
    sandbox.git(*update, "--quiet", cwd=root)
    write_files(root / ".sub/deep", {"x.tmp": ""})
    repository = Repository(root, sandbox.environ)
    assert repository.missing == ()
    assert repository.tracks_in(str(root / ".sub"))
    assert repository.mode(str(root / ".sub/deep/inner.py")) == "100644"
    assert ignored(root, sandbox.environ, [".sub/deep/x.tmp"]) == {".sub/deep/x.tmp"}
    sandbox.git("submodule", "deinit", "--quiet", "--force", "--all", cwd=root)
    assert Repository(root, sandbox.environ).missing == (".sub",)


def test_what_a_sparse_checkout_leaves_out_does_not_count(tmp_path: Path, sandbox: Sandbox) -> None:
    files = {"main.py": "", ".kept/a": "", ".gone/a": ""}
    root = write_files(tmp_path / "p", files)
    sandbox.git("init", "--quiet", cwd=root)
    _commit(root, sandbox)
    sandbox.git("sparse-checkout", "set", ".kept", cwd=root)
    write_files(root, {".gone/new": ""})
    repository = Repository(root, sandbox.environ)
    assert repository.tracks_in(str(root / ".kept"))
    assert not repository.tracks_in(str(root / ".gone"))


def test_a_work_tree_beside_its_repository(root: Path, sandbox: Sandbox) -> None:
    sandbox.git("init", "--quiet", cwd=root)
    sandbox.git("add", "--force", "main.py", "a/b.log", ".gitignore", cwd=root)
    sandbox.git("commit", "--quiet", "--message", "start", cwd=root)
    sandbox.git("worktree", "add", "--quiet", "../tree", cwd=root)
    tree = write_files(root.parent / "tree", {"x.log": ""})
    assert ignored(tree, sandbox.environ, ["a/b.log", "x.log", "main.py"]) == {"x.log"}


@posix
def test_the_executable_bit_is_gits_for_what_it_tracks(tmp_path: Path, sandbox: Sandbox) -> None:
    root = write_files(tmp_path / "p", dict.fromkeys(("run", "data", "own", "other"), ""))
    sandbox.git("init", "--quiet", cwd=root)
    sandbox.git("add", "run", "data", cwd=root)
    sandbox.git("update-index", "--chmod=+x", "run", cwd=root)
    (root / "data").chmod(0o755)
    (root / "own").chmod(0o744)
    (root / "other").chmod(0o655)
    (root / "link").symlink_to("run")
    sandbox.git("add", "link", cwd=root)
    repository = Repository(root, sandbox.environ)
    found = {
        p.name
        for p in root.iterdir()
        if p.is_file() and repository.is_executable(str(p.parent), p.name, p.lstat().st_mode)
    }
    assert found == {"run", "own", "link"}


def _add_submodule(root: Path, source: Path, name: str, sandbox: Sandbox) -> None:
    add = ("-c", "protocol.file.allow=always", "submodule", "--quiet", "add")
    sandbox.git(*add, str(source), name, cwd=root)


def _commit(root: Path, sandbox: Sandbox) -> None:
    sandbox.git("add", "--all", cwd=root)
    sandbox.git("commit", "--quiet", "--message", "start", cwd=root)


def git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["git", *arguments], cwd=folder, env=ENVIRON, check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    git(tmp_path, "init", "--quiet", "--initial-branch=main")
    (tmp_path / "file").write_text("1", encoding="ascii")
    git(tmp_path, "add", "--all")
    git(tmp_path, "commit", "--quiet", "--message=first")
    return tmp_path


def test_a_commit_is_named_with_its_branch(repository: Path) -> None:
    commit = git(repository, "rev-parse", "HEAD")
    assert git_metadata(repository, ENVIRON) == {
        "source": "git", "source_branch": "main", "source_commit": commit,
    }  # fmt: skip
    (repository / "file").write_text("2", encoding="ascii")
    assert git_metadata(repository, ENVIRON)["source_commit"] == f"{commit}-dirty"


def test_a_file_that_git_does_not_know_makes_the_commit_dirty(repository: Path) -> None:
    (repository / "new").write_text("", encoding="ascii")
    assert git_metadata(repository, ENVIRON)["source_commit"].endswith("-dirty")
    (repository / ".gitignore").write_text("/new\n/.gitignore\n", encoding="ascii")
    assert not git_metadata(repository, ENVIRON)["source_commit"].endswith("-dirty")


@pytest.mark.parametrize("name", ["fix/naïve-name", "(detached)x", "#1"])
def test_a_branch_is_told_as_it_is_named(name: str, repository: Path) -> None:
    git(repository, "checkout", "--quiet", "-b", name)
    git(repository, "config", "status.showStash", "true")
    (repository / "file").write_text("2", encoding="ascii")
    git(repository, "stash", "--quiet")
    known = git_metadata(repository, ENVIRON)
    assert known["source_branch"] == name
    assert known["source_commit"] == git(repository, "rev-parse", "HEAD")


def test_without_a_commit_nothing_is_told(tmp_path: Path) -> None:
    git(tmp_path, "init", "--quiet")
    assert git_metadata(tmp_path, ENVIRON) == {}


def test_the_metadata_is_not_that_of_another_call_of_git(repository: Path) -> None:
    foreign = {"GIT_DIR": "/nowhere", "GIT_WORK_TREE": "/nowhere", "GIT_INDEX_FILE": "/nowhere/i"}
    assert git_metadata(repository, ENVIRON | foreign) == git_metadata(repository, ENVIRON) != {}


def test_a_tag_stands_for_the_branch_where_there_is_none(repository: Path) -> None:
    git(repository, "checkout", "--quiet", "--detach")
    assert "source_branch" not in git_metadata(repository, ENVIRON)
    git(repository, "tag", "v1")
    assert git_metadata(repository, ENVIRON)["source_branch"] == "v1"


@pytest.mark.parametrize(
    ("remote", "told"),
    [
        ("git@example.com:team/app.git", "https://example.com/team/app.git"),
        ("https://user:token@example.com/team/app", "https://example.com/team/app"),
        ("ssh://git@example.com:2222/team/app.git", "https://example.com/team/app.git"),
        ("https://example.com:8443/team/app.git", "https://example.com:8443/team/app.git"),
        ("/srv/git/app.git", None),
    ],
)
def test_a_remote_is_told_as_https_without_credentials(
    remote: str, told: str | None, repository: Path
) -> None:
    git(repository, "remote", "add", "origin", remote)
    assert git_metadata(repository, ENVIRON).get("source_repo") == told


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("git@example.com:team/app.git", "https://EXAMPLE.com/team/app", True),
        ("ssh://git@example.com:2222/team/app.git", "https://u:p@example.com:8443/Team/App/", True),
        ("git@ssh.dev.azure.com:v3/o/p/r", "https://dev.azure.com/o/p/_git/r", True),
        ("ssh://git@altssh.bitbucket.org:443/t/a.git", "https://bitbucket.org/t/a.git", True),
        ("ssh://git@b.example:7999/p/a.git", "https://b.example/scm/p/a.git", True),
        ("https://example.com/team/app", "https://example.com/team/app2", False),
        ("https://example.com/team/app", "https://example.org/team/app", False),
        ("https://example.com/a/team/app", "https://example.com/team/app", False),
        ("/srv/app.git", "/srv/app.git", True),
        ("/srv/app.git", "https://example.com/srv/app.git", False),
    ],
)
def test_a_repository_is_its_host_and_path(one: str, other: str, *, same: bool) -> None:
    assert same_repository(one, other) is same
    assert same_repository(other, one) is same


def test_where_git_does_not_answer_nothing_is_told(tmp_path: Path) -> None:
    assert git_metadata(tmp_path, ENVIRON) == {}
    assert git_metadata(tmp_path, {"PATH": ""}) == {}
    assert git_metadata(tmp_path / "absent", ENVIRON) == {}
