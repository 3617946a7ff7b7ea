from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest
from support.bundles import write_files

from hatch_connect.bundle.ignored import ignored_by_git

if TYPE_CHECKING:
    from pathlib import Path

    from support.sandbox import Sandbox

FILES = {
    ".gitignore": "*.log\n!kept.log\n/data/*\n",
    "a/.gitignore": "x\n",
    "a/x": "",
    "a/b.log": "",
    "a/kept.log": "",
    "data/big": "",
    "naïve\tname.log": "",
    "main.py": "",
}
IGNORED = {"a/x", "a/b.log", "data/big", "naïve\tname.log"}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_files(tmp_path / "p", FILES)


def test_git_is_asked_where_there_is_a_repository(root: Path, sandbox: Sandbox) -> None:
    sandbox.git("init", "--quiet", cwd=root)
    answer = ignored_by_git(root, FILES, sandbox.environ)
    assert answer.keys() == IGNORED
    assert answer["a/x"] == "git ignores it (a/.gitignore:1: x)"


def test_what_is_tracked_is_not_ignored(root: Path, sandbox: Sandbox) -> None:
    sandbox.git("init", "--quiet", cwd=root)
    sandbox.git("add", "--force", "a/b.log", cwd=root)
    assert "a/b.log" not in ignored_by_git(root, FILES, sandbox.environ)


def test_the_variables_of_another_call_of_git_do_not_count(root: Path, sandbox: Sandbox) -> None:
    sandbox.git("init", "--quiet", cwd=root)
    environ = {**sandbox.environ, "GIT_DIR": "/nowhere", "GIT_INDEX_FILE": "/nowhere/index"}
    assert ignored_by_git(root, FILES, environ).keys() == IGNORED


@pytest.mark.parametrize("way", ["no repository", "no git"])
def test_the_files_are_read_where_git_cannot_be_asked(
    root: Path, sandbox: Sandbox, way: str
) -> None:
    environ = sandbox.environ
    if way == "no git":
        sandbox.git("init", "--quiet", cwd=root)
        environ = {**environ, "PATH": ""}
    answer = ignored_by_git(root, FILES, environ)
    assert answer.keys() == IGNORED
    assert answer["a/x"] == "git would ignore it (a/.gitignore)"


def test_a_project_in_an_ignored_folder_is_not_ignored_as_a_whole(
    root: Path, sandbox: Sandbox
) -> None:
    write_files(root.parent, {".gitignore": "/p/\n"})
    sandbox.git("init", "--quiet", cwd=root.parent)
    assert ignored_by_git(root, FILES, sandbox.environ).keys() == IGNORED


def test_a_repository_inside_answers_for_itself(root: Path, sandbox: Sandbox) -> None:
    sandbox.git("init", "--quiet", cwd=root)
    inner = write_files(root / "sub", {".gitignore": "*.tmp\n", "y.tmp": "", "z.log": ""})
    sandbox.git("init", "--quiet", cwd=inner)
    answer = ignored_by_git(root, ["sub/y.tmp", "sub/z.log", "a/x"], sandbox.environ)
    assert answer.keys() == {"sub/y.tmp", "a/x"}


@pytest.mark.skipif(sys.platform == "win32", reason="no links without rights")
def test_a_file_behind_a_link_is_asked_for_where_it_is(root: Path, sandbox: Sandbox) -> None:
    sandbox.git("init", "--quiet", cwd=root)
    (root / "link").symlink_to("a")
    (root / "up").symlink_to("..")
    (root / "self").symlink_to(".")
    paths = ["link/x", "link/kept.log", "up/p/a/x", "self/a/x"]
    assert ignored_by_git(root, paths, sandbox.environ).keys() == {"link/x", "self/a/x"}


def test_nothing_to_ask(root: Path, sandbox: Sandbox) -> None:
    assert ignored_by_git(root, [], sandbox.environ) == {}
