"""Projects that are built in this process."""

from __future__ import annotations

import os
import re
import socket
import sys
import tarfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.bundles import Heard, members_of, write_files
from support.projects import APP, CONNECT, PACKAGE, build_one, paths, project, rules

from hatch_connect.bundle.bundle import Bundle
from hatch_connect.errors import (
    BuildError,
    BundleError,
    ConfigurationError,
    LockError,
)
from hatch_connect.events import Detail, Warned

if TYPE_CHECKING:
    from support.sandbox import Sandbox

TREE = CONNECT.replace("sales_api.main", "app")
METADATA = "sales_api-1.2.0.dist-info/METADATA"


@pytest.fixture
def environ(sandbox: Sandbox) -> dict[str, str]:
    return sandbox.environ


def test_a_src_package_is_at_the_root_of_its_bundle(
    tmp_path: Path, environ: dict[str, str]
) -> None:
    root = project(tmp_path / "p", {**PACKAGE, "tests/test_x.py": ""})
    heard = Heard()
    built = build_one(root, environ, heard)
    assert paths(built) == [
        "requirements.txt",
        METADATA,
        "sales_api/__init__.py",
        "sales_api/main.py",
    ]
    assert built.bundle.path == root / "dist" / "connect" / "sales-api-1.2.0.connect.tgz"
    assert (root / "dist" / "connect" / ".gitignore").read_text("utf-8") == "*\n"
    assert built.python is not None
    assert built.python.minor == "3.11"
    assert built.lock is not None
    assert built.lock.path == root / "requirements.txt"
    assert any(isinstance(e, Detail) and "in this process" in e.text for e in heard.events)


def test_what_was_built_is_a_bundle(tmp_path: Path, environ: dict[str, str]) -> None:
    built = build_one(project(tmp_path / "p", PACKAGE), environ)
    assert Bundle.open(built.bundle.path, into=tmp_path) == built.bundle


def test_touched_copies_give_the_same_bytes(tmp_path: Path, environ: dict[str, str]) -> None:
    first = project(tmp_path / "a", {**PACKAGE, "src/sales_api/é.txt": "é"})
    second = project(tmp_path / "b c", {**PACKAGE, "src/sales_api/é.txt": "é"})
    for path in second.rglob("*"):
        os.utime(path, (1, 1))
        if path.is_file():
            path.chmod(0o660)
    one, other = build_one(first, environ), build_one(second, environ)
    assert one.bundle.path.read_bytes() == other.bundle.path.read_bytes()
    assert one.bundle.digest == other.bundle.digest


def modes(bundle: Path) -> dict[str, int]:
    with tarfile.open(bundle) as archive:
        return {member.name: member.mode for member in archive}


@pytest.mark.skipif(sys.platform == "win32", reason="no such bit on disk")
@pytest.mark.parametrize("package", [True, False])
@pytest.mark.parametrize("git", [True, False])
def test_the_executable_bit_is_part_of_a_file(
    tmp_path: Path, environ: dict[str, str], sandbox: Sandbox, *, package: bool, git: bool
) -> None:
    base = "src/sales_api/" if package else ""
    own, connect = (PACKAGE, CONNECT) if package else ({"app.py": APP}, TREE)
    files = {**own, f"{base}run.sh": "", f"{base}plain.sh": "", f"{base}own.sh": ""}
    root = project(tmp_path / "p", files, connect=connect)
    for name in ("run.sh", "own.sh"):
        (root / base / name).chmod(0o755)
    if git:
        sandbox.git("init", "--quiet", cwd=root)
        sandbox.git("add", f"{base}run.sh", f"{base}plain.sh", cwd=root)
        # As on a disk that knows no such bit, or that sets it for everything.
        (root / base / "run.sh").chmod(0o644)
        (root / base / "plain.sh").chmod(0o755)
    top = "sales_api/" if package else ""
    bundle = build_one(root, environ).bundle
    executable = {path for path, mode in modes(bundle.path).items() if mode == 0o755}
    assert executable == {f"{top}run.sh", f"{top}own.sh"}
    assert set(modes(bundle.path).values()) == {0o644, 0o755}
    bundle.extract(tmp_path / "out")
    assert (tmp_path / "out" / top / "run.sh").stat().st_mode & 0o777 == 0o755
    again = Bundle.open(tmp_path / "out", into=tmp_path / "into")
    assert modes(again.path) == modes(bundle.path)


def test_the_working_directory_and_environment_stay(
    tmp_path: Path, environ: dict[str, str]
) -> None:
    before = Path.cwd(), dict(os.environ), list(sys.path)
    build_one(project(tmp_path / "p", PACKAGE), environ)
    assert (Path.cwd(), dict(os.environ), list(sys.path)) == before


def test_what_the_wheel_says_counts(tmp_path: Path, environ: dict[str, str]) -> None:
    root = project(
        tmp_path / "p",
        {
            "lib/other/__init__.py": "",
            "lib/other/web.py": APP,
            "models/m.bin": "m",
            "entry.txt": "",
        },
        connect=CONNECT.replace("sales_api.main", "other.web"),
        more="""
[project.scripts]
run = "other.web:app"
[tool.hatch.build.targets.wheel]
packages = ["lib/other"]
[tool.hatch.build.targets.wheel.force-include]
"models" = "other/models"
[tool.hatch.build.targets.wheel.shared-data]
"entry.txt" = "share/entry.txt"
[tool.hatch.build.targets.connect.force-include]
"entry.txt" = "extra/entry.txt"
[tool.hatch.build.hooks.version]
path = "lib/other/_version.py"
""",
    )
    built = build_one(root, environ)
    assert paths(built) == [
        "requirements.txt",
        "extra/entry.txt",
        "other/__init__.py",
        "other/_version.py",
        "other/models/m.bin",
        "other/web.py",
        METADATA,
        "sales_api-1.2.0.dist-info/entry_points.txt",
    ]
    assert "sales_api-1.2.0.data/data/share/entry.txt" in rules(built)


def test_an_entrypoint_beside_the_package_ships_with_it(
    tmp_path: Path, environ: dict[str, str]
) -> None:
    root = project(
        tmp_path / "p",
        {**PACKAGE, "app.py": APP},
        connect=CONNECT.replace("sales_api.main", "app"),
    )
    assert "app.py" in paths(build_one(root, environ))


def test_an_entrypoint_in_a_folder_brings_its_neighbours(
    tmp_path: Path, environ: dict[str, str]
) -> None:
    files = {"web/main.py": APP, "web/pages/one.html": "", "web/.env": "", "other.py": ""}
    root = project(
        tmp_path / "p",
        {**PACKAGE, **files},
        connect=CONNECT.replace("sales_api.main", "web.main"),
    )
    built = build_one(root, environ)
    assert {"web/main.py", "web/pages/one.html", "sales_api/main.py"} <= set(paths(built))
    assert "other.py" not in paths(built)
    assert rules(built)["web/.env"] == "guard: environment variables"


def test_an_entrypoint_that_is_a_file_ships_alone(tmp_path: Path, environ: dict[str, str]) -> None:
    connect = '[tool.hatch-connect]\napp-mode = "static"\nentrypoint = "docs/a.html"\n'
    files = {**PACKAGE, "docs/a.html": "", "docs/b.html": ""}
    built = build_one(project(tmp_path / "p", files, connect=connect), environ)
    assert "docs/a.html" in paths(built)
    assert "docs/b.html" not in paths(built)


def test_a_directory_that_cannot_be_made(tmp_path: Path, environ: dict[str, str]) -> None:
    root = project(tmp_path / "p", {**PACKAGE, "dist": "a file"})
    with pytest.raises((BuildError, BundleError), match="dist"):
        build_one(root, environ)


def test_include_and_exclude(tmp_path: Path, environ: dict[str, str]) -> None:
    files = {
        **PACKAGE,
        "src/sales_api/notes.md": "",
        "data/a.csv": "1",
        "data/b.tmp": "",
        ".streamlit/config.toml": "",
        ".env": "X=1",
        "node_modules/x/index.js": "",
    }
    connect = CONNECT + (
        'include = ["/data/", "/.streamlit/config.toml", "/.env", "*.nothing"]\n'
        'exclude = ["*.md", "*.tmp"]\n'
    )
    heard = Heard()
    built = build_one(project(tmp_path / "p", files, connect=connect), environ, heard)
    assert {"data/a.csv", ".streamlit/config.toml", ".env"} <= set(paths(built))
    assert rules(built)["src/sales_api/notes.md"] == "exclude: *.md"
    assert rules(built)["data/b.tmp"] == "exclude: *.tmp"
    assert not any("node_modules" in path for path in paths(built))
    warned = [e.text for e in heard.events if isinstance(e, Warned)]
    assert "`include` in [tool.hatch-connect]: '*.nothing' does not match any file." in warned


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("gen/**", {"gen/a.js", "gen/deep/b.js", "gen/c.css"}),
        ("gen", {"gen/a.js", "gen/deep/b.js", "gen/c.css"}),
        ("./gen", {"gen/a.js", "gen/deep/b.js", "gen/c.css"}),
        ("gen/*.js", {"gen/a.js"}),
        ("dist/*", {"dist/app.js", "dist/assets/x.js"}),
        ("./dist", {"dist/app.js", "dist/assets/x.js"}),
        ("dist/assets/*.js", {"dist/assets/x.js"}),
        ("*.css", {"gen/c.css"}),
        ("**/deep/*", {"gen/deep/b.js"}),
        (
            "*.js",
            {"gen/a.js", "gen/deep/b.js", "dist/app.js", "dist/assets/x.js", ".hid/y.js"},
        ),
        (".hid/*", {".hid/y.js"}),
        (".github/**", {".github/ci.yml"}),
        ("node_modules/*.js", {"node_modules/m.js"}),
        (".gitignore", {".gitignore"}),
        ("one.bin", {"one.bin"}),
        ("*.bin", {"one.bin"}),
    ],
)
@pytest.mark.parametrize("git", [True, False])
@pytest.mark.parametrize("package", [True, False])
def test_include_reaches_what_is_left_out_by_default(  # noqa: PLR0913 - what is varied
    tmp_path: Path,
    environ: dict[str, str],
    sandbox: Sandbox,
    pattern: str,
    expected: set[str],
    *,
    git: bool,
    package: bool,
) -> None:
    left_out = {
        "gen/a.js": "",
        "gen/deep/b.js": "",
        "gen/c.css": "",
        "gen/.env": "",
        "one.bin": "",
        "dist/app.js": "",
        "dist/assets/x.js": "",
        ".hid/y.js": "",
        ".github/ci.yml": "",
        "node_modules/m.js": "",
        ".gitignore": "gen/\n/dist\n*.bin\nnode_modules\n",
    }
    own, connect = (PACKAGE, CONNECT) if package else ({"app.py": APP}, TREE)
    connect += f'include = ["{pattern}"]\n'
    root = project(tmp_path / "p", {**own, **left_out}, connect=connect)
    if git:
        sandbox.git("init", "--quiet", cwd=root)
    heard = Heard()
    built = build_one(root, environ, heard)
    assert set(paths(built)) & left_out.keys() == expected
    assert {path for path in left_out if told(path, rules(built))} == left_out.keys() - expected
    assert not [event for event in heard.events if isinstance(event, Warned)]


def test_a_pattern_of_include_that_matches_nothing(tmp_path: Path, environ: dict[str, str]) -> None:
    files = {**PACKAGE, "gen/.env": "", "src/sales_api/x.csv": ""}
    connect = CONNECT + 'include = ["gen/*", "src/**/*.csv", "nothing/**"]\n'
    heard = Heard()
    built = build_one(project(tmp_path / "p", files, connect=connect), environ, heard)
    warned = [event.text for event in heard.events if isinstance(event, Warned)]
    assert warned == ["`include` in [tool.hatch-connect]: 'nothing/**' does not match any file."]
    assert rules(built)["gen/.env"] == "guard: environment variables"


def test_the_guard_looks_into_packages(
    tmp_path: Path, environ: dict[str, str], sandbox: Sandbox
) -> None:
    key = "-----BEGIN RSA PRIVATE KEY-----\n"
    files = {
        **PACKAGE,
        "src/sales_api/.env.local": "",
        "src/sales_api/tls.pem": key,
        "src/sales_api/ca.pem": "-----BEGIN CERTIFICATE-----\n",
        "src/sales_api/inner/.gitignore": "*.log\n",
        "src/sales_api/inner/x.log": "",
        "src/sales_api/inner/kept.txt": "",
        "src/sales_api/manifest.json": "{}",
        "src/sales_api/requirements.txt": "",
        "src/sales_api/dist/app.js": "",
    }
    root = project(tmp_path / "p", files)
    sandbox.git("init", "--quiet", cwd=root)
    built = build_one(root, environ)
    assert "sales_api/ca.pem" in paths(built)
    assert {"sales_api/inner/kept.txt", "sales_api/manifest.json"} <= set(paths(built))
    assert {"sales_api/requirements.txt", "sales_api/dist/app.js"} <= set(paths(built))
    assert rules(built)["src/sales_api/.env.local"] == "guard: environment variables"
    assert rules(built)["src/sales_api/tls.pem"] == "guard: a private key"
    assert "inner/.gitignore:1" in rules(built)["src/sales_api/inner/x.log"]
    assert set(paths(built)).isdisjoint({"sales_api/tls.pem", "sales_api/inner/x.log"})


def test_artifacts_ship_from_outputs(
    tmp_path: Path, environ: dict[str, str], sandbox: Sandbox
) -> None:
    files = {"app.py": APP, "dist/app.js": "", "dist/x.whl": "", "gen/x.py": "", "gen/y": ""}
    more = '[tool.hatch.build]\nartifacts = ["dist/*.js", "gen/*.py"]\n'
    root = project(tmp_path / "p", {**files, ".gitignore": "gen/\n"}, connect=TREE, more=more)
    sandbox.git("init", "--quiet", cwd=root)
    built = build_one(root, environ)
    assert set(paths(built)) & files.keys() == {"app.py", "dist/app.js", "gen/x.py"}


def test_include_in_a_folder_that_becomes_the_root(tmp_path: Path, environ: dict[str, str]) -> None:
    files = {"site/index.html": "", "site/.hid/a.js": "", "site/b.env": "", "other/c.js": ""}
    connect = '[tool.hatch-connect]\napp-mode = "static"\nentrypoint = "site"\n'
    connect += 'include = ["*.js", "site/b.env"]\n'
    built = build_one(project(tmp_path / "p", files, connect=connect), environ)
    assert paths(built) == [".hid/a.js", "b.env", "index.html", "other/c.js"]


def test_artifacts_ship_although_git_ignores_them(
    tmp_path: Path, environ: dict[str, str], sandbox: Sandbox
) -> None:
    root = project(
        tmp_path / "p",
        {**PACKAGE, ".gitignore": "*.gen\n", "src/sales_api/a.gen": ""},
        more='[tool.hatch.build]\nartifacts = ["*.gen"]\n',
    )
    sandbox.git("init", "--quiet", cwd=root)
    assert "sales_api/a.gen" in paths(build_one(root, environ))


def test_a_project_without_a_package_ships_its_tree(
    tmp_path: Path, environ: dict[str, str]
) -> None:
    files = {
        "app.py": APP,
        "lib/x.py": "",
        "data/x.csv": "",
        ".env": "X=1",
        ".github/workflows/ci.yml": "",
        ".hid/x": "",
        ".streamlit/config.toml": "",
        ".streamlit/secrets.toml": "",
        ".well-known/x": "",
        ".chainlit/config.toml": "",
        "web/dist/app.js": "",
        ".venv/bin/python": "",
        "env2/pyvenv.cfg": "",
        "dist/x.whl": "",
        "rsconnect-python/p.json": "{}",
        "__pycache__/app.pyc": "",
        "manifest.json": "{}",
        "skipped.md": "",
    }
    more = '[tool.hatch.build.targets.connect]\nexclude = ["*.md"]\n'
    built = build_one(project(tmp_path / "p", files, connect=TREE, more=more), environ)
    assert paths(built) == [
        *("requirements.txt", ".chainlit/config.toml", ".python-version"),
        *(".streamlit/config.toml", ".well-known/x", "app.py", "data/x.csv", "lib/x.py"),
        *("pyproject.toml", "web/dist/app.js"),
    ]
    assert built.bundle.path.name == "sales-api-1.2.0.connect.tgz"
    assert rules(built) == {
        ".env": "guard: environment variables",
        ".streamlit/secrets.toml": "guard: credentials",
        ".github/": "configuration of tools",
        ".hid/": "a folder whose name begins with a dot",
        ".venv/": "a virtual environment",
        "env2/": "a virtual environment",
        "dist/": "build outputs",
        "rsconnect-python/": "deployment records",
        "__pycache__/": "a cache",
        "manifest.json": "never shipped: the manifest of an earlier build",
        "skipped.md": "Hatchling's selection: [tool.hatch.build]",
    }


TRACKED = {
    ".gitignore": "dist/\n*.csv\n/ignored/\n/.hidden/\n",
    "app.py": APP,
    "new.py": "",
    "kept.csv": "",
    "lost.csv": "",
    "dist/app.js": "",
    "dist/x.whl": "",
    "dist/connect/old.connect.tgz": "",
    "build/lib/app.py": "",
    ".streamlit/config.toml": "",
    ".streamlit/secrets.toml": "",
    ".hidden/kept": "",
    ".hidden/lost": "",
    ".other/x": "",
    "data/.gitignore": "!*.csv\n",
    "data/x.csv": "",
    "ignored/x": "",
    ".github/ci.yml": "",
    ".vscode/settings.json": "",
    ".gitattributes": "",
    ".venv/pyvenv.cfg": "",
    "uploads/.gitkeep": "",
    "node_modules/x.js": "",
}
FORCED = (
    *("app.py", "kept.csv", "dist/app.js", ".streamlit", ".hidden/kept", ".github", ".vscode"),
    *(".gitattributes", ".venv", "uploads", "node_modules", "dist/connect/old.connect.tgz"),
)


@pytest.mark.parametrize("tracked", [True, False])
def test_what_git_tracks_is_content(
    tmp_path: Path, environ: dict[str, str], sandbox: Sandbox, *, tracked: bool
) -> None:
    root = project(tmp_path / "p", TRACKED, connect=TREE)
    sandbox.git("init", "--quiet", cwd=root)
    if tracked:
        sandbox.git("add", "--force", *FORCED, cwd=root)
    heard = Heard()
    built = build_one(root, environ, heard)
    own = {"requirements.txt", ".python-version", "pyproject.toml"}
    always = {"app.py", "new.py", "data/x.csv", ".streamlit/config.toml", "uploads/.gitkeep"}
    only = {"kept.csv", "dist/app.js", ".hidden/kept", "node_modules/x.js"}
    assert set(paths(built)) - own == always | (only if tracked else set())
    left_out = rules(built)
    assert not [path for path in TRACKED if path not in paths(built) and not told(path, left_out)]
    assert ".github/" in left_out
    assert left_out["lost.csv"] == "git ignores it (.gitignore:2: *.csv)"
    if not tracked:
        assert left_out["build/"] == "build outputs, which git does not track"
        assert (
            left_out[".hidden/"]
            == "a folder whose name begins with a dot, which git does not track"
        )
    assert "git could not list" not in heard.text


def told(path: str, left_out: dict[str, str]) -> bool:
    return path in left_out or any(
        path.startswith(folder) for folder in left_out if folder.endswith("/")
    )


def test_a_package_ships_what_git_tracks_of_it(
    tmp_path: Path, environ: dict[str, str], sandbox: Sandbox
) -> None:
    files = {
        **PACKAGE,
        ".gitignore": "*.csv\nlib/\n",
        "src/sales_api/lib/a.py": "",
        "src/sales_api/lib/b.py": "",
        "src/sales_api/data/.gitignore": "!*.csv\n",
        "src/sales_api/data/x.csv": "",
        "src/sales_api/y.csv": "",
        "src/sales_api/env/Scripts/python.exe": "",
        "src/sales_api/env/Lib/x.py": "",
        "src/sales_api/build/x.py": "",
    }
    root = project(tmp_path / "p", files)
    sandbox.git("init", "--quiet", cwd=root)
    sandbox.git("add", "--force", "src/sales_api/lib/a.py", cwd=root)
    built = build_one(root, environ)
    shipped = {path for path in paths(built) if path.startswith("sales_api/")}
    assert shipped == {
        *("sales_api/__init__.py", "sales_api/main.py", "sales_api/lib/a.py"),
        *("sales_api/data/x.csv", "sales_api/build/x.py"),
    }
    assert rules(built)["src/sales_api/lib/b.py"] == "git ignores it (.gitignore:2: lib/)"
    assert rules(built)["src/sales_api/env/Lib/x.py"] == "never shipped: a virtual environment"


@pytest.mark.parametrize(
    ("where", "more", "refused"),
    [
        ("theme", "", True),
        (".theme", "", True),
        ("dist", "", True),
        ("theme", 'exclude = ["/theme/"]\n', False),
        ("theme", '[tool.hatch.build]\nexclude = ["theme"]\n', False),
        ("src/sales_api/theme", "", True),
        ("docs/theme", "", False),
        ("docs/theme", 'include = ["docs/**"]\n', True),
    ],
)
@pytest.mark.parametrize("there", [True, False])
def test_a_submodule_that_is_not_checked_out(  # noqa: PLR0913 - what is varied
    tmp_path: Path,
    environ: dict[str, str],
    sandbox: Sandbox,
    where: str,
    more: str,
    *,
    refused: bool,
    there: bool,
) -> None:
    package = where.count("/") > 0
    files, connect = (PACKAGE, CONNECT) if package else ({"app.py": APP}, TREE)
    root = project(tmp_path / "p", files, connect=connect + more)
    sandbox.git("init", "--quiet", cwd=root)
    commit = "1" * 40
    sandbox.git("update-index", "--add", "--cacheinfo", f"160000,{commit},{where}", cwd=root)
    if there:
        (root / where).mkdir(parents=True)
    if not refused:
        build_one(root, environ)
        return
    with pytest.raises(BundleError, match=f"{re.escape(where)} is not checked out") as caught:
        build_one(root, environ)
    assert "git submodule update --init" in str(caught.value.hint)


def test_a_note_says_that_git_was_not_asked(tmp_path: Path, environ: dict[str, str]) -> None:
    heard = Heard()
    build_one(project(tmp_path / "a", {"app.py": APP}, connect=TREE), environ, heard)
    assert "git could not list" not in heard.text
    files = {"app.py": APP, "dist/app.js": ""}
    build_one(project(tmp_path / "b", files, connect=TREE), environ, heard)
    assert "git could not list the tracked files of" in heard.text
    assert "not a git repository" in heard.text


@pytest.mark.parametrize("mark", ["pyvenv.cfg", "conda-meta/history", "bin/python3"])
def test_a_project_that_is_an_environment_itself(
    tmp_path: Path, environ: dict[str, str], mark: str
) -> None:
    files = {
        mark: "",
        "app.py": APP,
        "pages/x.py": "",
        "bin/python": "",
        "bin/run": "",
        "lib/python3.11/site-packages/x.py": "",
        "include/x.h": "",
        "Scripts/activate": "",
    }
    built = build_one(project(tmp_path / "p", files, connect=TREE), environ)
    assert set(paths(built)) & files.keys() == {"app.py", "pages/x.py"}
    assert all(told(path, rules(built)) for path in files.keys() - set(paths(built)))


@pytest.mark.parametrize(
    "more",
    [
        "[tool.hatch.build.targets.wheel]\nbypass-selection = true\n",
        '[tool.hatch.build.targets.wheel]\nonly-include = ["nothing"]\n',
    ],
)
def test_an_empty_wheel_means_the_tree(tmp_path: Path, environ: dict[str, str], more: str) -> None:
    root = project(tmp_path / "p", {"app.py": APP}, connect=TREE, more=more)
    assert "app.py" in paths(build_one(root, environ))


def test_the_tree_by_only_include_and_force_include(
    tmp_path: Path, environ: dict[str, str]
) -> None:
    more = """
[tool.hatch.build.targets.connect]
only-include = ["app.py", "lib"]
[tool.hatch.build.targets.connect.force-include]
"conf/prod.toml" = "settings.toml"
"""
    files = {"app.py": APP, "lib/x.py": "", "other.py": "", "conf/prod.toml": ""}
    built = build_one(project(tmp_path / "p", files, connect=TREE, more=more), environ)
    assert paths(built) == ["requirements.txt", "app.py", "lib/x.py", "settings.toml"]


def test_the_list_of_another_lock_takes_the_place_of_the_trees(
    tmp_path: Path, environ: dict[str, str]
) -> None:
    pylock = (
        'lock-version = "1.0"\ncreated-by = "test"\n[[packages]]\nname = "fastapi"\n'
        'version = "0.115.0"\n[packages.sdist]\nname = "fastapi-0.115.0.tar.gz"\n'
        'url = "https://example.com/fastapi-0.115.0.tar.gz"\n[packages.sdist.hashes]\n'
        f'sha256 = "{"0" * 64}"\n'
    )
    root = project(tmp_path / "p", {"app.py": APP, "pylock.toml": pylock}, connect=TREE)
    built = build_one(root, environ)
    assert rules(built)["requirements.txt"] == "the package list comes from pylock.toml"
    assert members_of(built.bundle.path)["requirements.txt"].startswith(b"# Made by hatch-connect")


def test_a_requirements_file_elsewhere_ships_where_it_is(
    tmp_path: Path, environ: dict[str, str]
) -> None:
    root = project(
        tmp_path / "p",
        {**PACKAGE, "reqs/prod.txt": "fastapi==0.114.0\n"},
        connect=CONNECT + 'requirements-file = "reqs/prod.txt"\n',
    )
    built = build_one(root, environ)
    assert built.bundle.manifest.python is not None
    assert built.bundle.manifest.python.package_file == "reqs/prod.txt"
    assert members_of(built.bundle.path)["reqs/prod.txt"] == b"fastapi==0.114.0\n"


def test_what_the_configuration_says_is_in_the_manifest(
    tmp_path: Path, environ: dict[str, str]
) -> None:
    connect = CONNECT + 'image = "py:3.11"\nenvironment-management = false\n'
    root = project(tmp_path / "p", PACKAGE, connect=connect + 'package-installer = "uv"\n')
    data = build_one(root, environ, overrides={"image": "py:9"}).bundle.manifest.to_dict()
    assert data["environment"] == {
        "python": {"requires": "~=3.11.0"},
        "image": "py:9",
        "environment_management": {"python": False, "r": False},
    }
    assert data["python"] == {
        "version": "3.11.0",
        "package_manager": {
            "name": "uv",
            "version": "25.0",
            "package_file": "requirements.txt",
            "allow_uv": True,
        },
    }


def test_static_html_asks_for_no_python(tmp_path: Path, environ: dict[str, str]) -> None:
    connect = '[tool.hatch-connect]\napp-mode = "static"\nentrypoint = "index.html"\n'
    root = project(tmp_path / "p", {"index.html": "<p>"}, connect=connect)
    built = build_one(root, environ)
    assert built.python is None
    assert built.lock is None
    data = built.bundle.manifest.to_dict()
    assert list(data) == ["version", "metadata", "files"]
    assert data["metadata"] == {
        "appmode": "static",
        "primary_html": "index.html",
        "entrypoint": "index.html",
    }


CONTENTS = """
[tool.hatch-connect.content.api]
entrypoint = "sales_api.main:app"
[tool.hatch-connect.content.docs]
app-mode = "static"
entrypoint = "index.html"
include = ["/index.html"]
"""


def test_several_pieces_of_content(tmp_path: Path, environ: dict[str, str]) -> None:
    root = project(tmp_path / "p", {**PACKAGE, "index.html": ""}, more=CONTENTS)
    built = [
        build_one(root, environ, content=name, directory=tmp_path / "out")
        for name in ("api", "docs")
    ]
    assert [one.content for one in built] == ["api", "docs"]
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == [
        "sales-api-api-1.2.0.connect.tgz",
        "sales-api-docs-1.2.0.connect.tgz",
    ]


def test_a_folder_of_the_users_own_gets_no_gitignore(
    tmp_path: Path, environ: dict[str, str]
) -> None:
    root = project(tmp_path / "p", {**PACKAGE, "out/mine.txt": ""})
    build_one(root, environ, directory=root / "out")
    assert not (root / "out" / ".gitignore").exists()
    build_one(root, environ, directory=root / "new")
    assert (root / "new" / ".gitignore").exists()


def test_bundles_of_earlier_builds_do_not_ship(tmp_path: Path, environ: dict[str, str]) -> None:
    files = {"app.py": APP, "out/old.tar.gz": "", "out/old/manifest.json": "", "data.tar.gz": ""}
    root = project(tmp_path / "p", files, connect=TREE)
    first = build_one(root, environ, directory=root / "out")
    again = build_one(root, environ, directory=root / "out")
    assert first.bundle.digest == again.bundle.digest
    assert not any(path.startswith("out/") for path in paths(again))
    in_root = build_one(root, environ, directory=root, overrides={"exclude": ["out"]})
    again = build_one(root, environ, directory=root, overrides={"exclude": ["out"]})
    assert in_root.bundle.digest == again.bundle.digest
    assert "data.tar.gz" in paths(again)


def test_what_ships_in_the_end_is_not_told_as_left_out(
    tmp_path: Path, environ: dict[str, str]
) -> None:
    connect = TREE + 'include = ["/.env", "/.github/x.yml"]\n'
    files = {"app.py": APP, ".env": "", ".github/x.yml": ""}
    built = build_one(project(tmp_path / "p", files, connect=connect), environ)
    assert {".env", ".github/x.yml"} <= set(paths(built))
    assert rules(built).keys() == {"dist/"}


@pytest.mark.parametrize(
    ("entrypoint", "files", "said"),
    [
        ("sales_api.mian:app", {}, "neither sales_api/mian.py nor sales_api/mian/__init__.py"),
        ("sales_api.secret:app", {"src/sales_api/secret.py": ""}, "It was left out (exclude: "),
        ("sales_api.mian:app", {}, "Possible modules: sales_api.main"),
        ("other.main:app", {"src/other/main.py": ""}, "It is in src/"),
    ],
)
def test_no_bundle_without_its_entrypoint(
    tmp_path: Path, environ: dict[str, str], entrypoint: str, files: dict[str, str], said: str
) -> None:
    connect = CONNECT.replace("sales_api.main:app", entrypoint) + 'exclude = ["secret.py"]\n'
    root = project(tmp_path / "p", {**PACKAGE, **files}, connect=connect)
    with pytest.raises(BundleError) as caught:
        build_one(root, environ)
    assert said in str(caught.value)
    assert not list((root / "dist").rglob("*.connect.tgz"))


@pytest.mark.skipif(sys.platform == "win32", reason="no links without rights")
class TestLinks:
    @pytest.mark.parametrize("folder", ["src/sales_api", "."])
    def test_a_link_that_stays_inside_ships_what_it_leads_to(
        self, tmp_path: Path, environ: dict[str, str], folder: str
    ) -> None:
        packaged = folder != "."
        files = PACKAGE if packaged else {"app.py": APP}
        root = project(
            tmp_path / "p", {**files, "data/x.csv": "1"}, connect=CONNECT if packaged else TREE
        )
        (root / folder / "x.csv").symlink_to(root / "data" / "x.csv")
        built = build_one(root, environ)
        name = "sales_api/x.csv" if packaged else "x.csv"
        assert members_of(built.bundle.path)[name] == b"1"

    def test_a_linked_folder_ships_and_so_does_the_folder_itself(
        self, tmp_path: Path, environ: dict[str, str]
    ) -> None:
        root = project(tmp_path / "p", {"app.py": APP, "data/x.csv": "1"}, connect=TREE)
        (root / "also").symlink_to("data")
        (root / "data" / "loop").symlink_to("..")
        assert {"also/x.csv", "data/x.csv"} <= set(paths(build_one(root, environ)))

    @pytest.mark.parametrize("folder", ["src/sales_api", "."])
    @pytest.mark.parametrize("target", ["outside", "nowhere", "outside-folder"])
    def test_a_link_that_leaves_is_an_error(
        self, tmp_path: Path, environ: dict[str, str], folder: str, target: str
    ) -> None:
        write_files(tmp_path, {"outside": "", "outside-folder/x.csv": ""})
        packaged = folder != "."
        files = PACKAGE if packaged else {"app.py": APP}
        root = project(tmp_path / "p", files, connect=CONNECT if packaged else TREE)
        (root / folder / "link").symlink_to(tmp_path / target)
        with pytest.raises(BundleError, match="is a link that leads out of the project"):
            build_one(root, environ)
        exclude = 'exclude = ["link"]\n'
        project(root, {}, connect=(CONNECT if packaged else TREE) + exclude)
        assert not any("link" in path for path in paths(build_one(root, environ)))

    @pytest.mark.parametrize("folder", ["src/sales_api", "."])
    @pytest.mark.parametrize(
        ("target", "why"),
        [("link", "levels of symbolic links"), ("a" * 300, "ile name too long")],
    )
    def test_a_link_that_leads_to_nothing_that_can_be_read_is_named(
        self, tmp_path: Path, environ: dict[str, str], folder: str, target: str, why: str
    ) -> None:
        packaged = folder != "."
        files = PACKAGE if packaged else {"app.py": APP}
        root = project(tmp_path / "p", files, connect=CONNECT if packaged else TREE)
        (root / folder / "link").symlink_to(target)
        with pytest.raises(BundleError, match=f"link cannot be read: .*{why}"):
            build_one(root, environ)
        exclude = 'exclude = ["link"]\n'
        project(root, {}, connect=(CONNECT if packaged else TREE) + exclude)
        assert not any("link" in path for path in paths(build_one(root, environ)))

    @pytest.mark.parametrize("folder", ["src/sales_api", "."])
    @pytest.mark.parametrize("name", [".venv", "env"])
    @pytest.mark.parametrize("mark", ["pyvenv.cfg", "bin/python", "Scripts/python.exe"])
    def test_an_environment_elsewhere_is_left_out(
        self, tmp_path: Path, environ: dict[str, str], folder: str, name: str, mark: str
    ) -> None:
        write_files(tmp_path / "envs", {mark: "", "lib/x.py": ""})
        packaged = folder != "."
        files, connect = (PACKAGE, CONNECT) if packaged else ({"app.py": APP}, TREE)
        root = project(tmp_path / "p", files, connect=connect)
        (root / folder / name).symlink_to(tmp_path / "envs")
        built = build_one(root, environ)
        assert not any("x.py" in path for path in paths(built))
        base = "src/sales_api/" if packaged else ""
        assert told(f"{base}{name}/lib/x.py", rules(built)) or told(f"{base}{name}", rules(built))

    @pytest.mark.parametrize("folder", ["src/sales_api", "."])
    @pytest.mark.parametrize("way", ["a folder", "a file", "a chain", "included"])
    def test_links_are_followed_to_the_roots_that_are_named(
        self, tmp_path: Path, environ: dict[str, str], folder: str, way: str
    ) -> None:
        write_files(tmp_path / "data", {"in/x.csv": "1", "in/.env": "", "in/.ssh/config": ""})
        packaged = folder != "."
        files, connect = (PACKAGE, CONNECT) if packaged else ({"app.py": APP}, TREE)
        connect += 'include = ["/link/"]\n' if way == "included" else ""
        root = project(tmp_path / "p", files, connect=connect)
        at = root if way == "included" else root / folder
        target = tmp_path / "data" / "in"
        if way == "a chain":
            (tmp_path / "first").symlink_to("data")
            target = tmp_path / "first" / "in"
        (at / "link").symlink_to(target / "x.csv" if way == "a file" else target)
        with pytest.raises(BundleError, match="leads out of the project") as caught:
            build_one(root, environ)
        assert 'follow-links = ["../data/in"]' in str(caught.value.hint)
        more = 'follow-links = ["../data"]\n'
        built = build_one(project(root, {}, connect=connect + more), environ)
        base = "sales_api/" if packaged and way != "included" else ""
        name = f"{base}link" if way == "a file" else f"{base}link/x.csv"
        assert members_of(built.bundle.path)[name] == b"1"
        assert not any(".env" in path or "config" in path for path in paths(built))
        project(root, {}, connect=connect + 'follow-links = ["../dat", "data"]\n')
        with pytest.raises(BundleError, match="leads out of the project"):
            build_one(root, environ)

    @pytest.mark.parametrize("folder", ["src/sales_api", "."])
    def test_what_git_ignores_behind_a_link_stays_there(
        self, tmp_path: Path, environ: dict[str, str], sandbox: Sandbox, folder: str
    ) -> None:
        write_files(tmp_path, {".gitignore": "*.tmp\n", "data/x.csv": "", "data/y.tmp": ""})
        packaged = folder != "."
        files, connect = (PACKAGE, CONNECT) if packaged else ({"app.py": APP}, TREE)
        connect += 'follow-links = ["../data"]\n'
        root = project(tmp_path / "p", files, connect=connect)
        sandbox.git("init", "--quiet", cwd=tmp_path)
        (root / folder / "link").symlink_to(tmp_path / "data")
        (root / folder / "one").symlink_to(tmp_path / "data" / "y.tmp")
        built = build_one(root, environ)
        base = "sales_api/" if packaged else ""
        assert f"{base}link/x.csv" in paths(built)
        assert {f"{base}link/y.tmp", f"{base}one"}.isdisjoint(paths(built))
        at = "src/sales_api/" if packaged else ""
        for path in (f"{at}link/y.tmp", f"{at}one"):
            assert "git ignores it (" in rules(built)[path]

    @pytest.mark.parametrize("folder", ["src/sales_api", "."])
    def test_a_circle_through_a_followed_link_is_refused(
        self, tmp_path: Path, environ: dict[str, str], folder: str
    ) -> None:
        write_files(tmp_path / "data", {"x.csv": ""})
        packaged = folder != "."
        files, connect = (PACKAGE, CONNECT) if packaged else ({"app.py": APP}, TREE)
        connect += 'follow-links = ["../data"]\n'
        root = project(tmp_path / "p", files, connect=connect)
        (root / folder / "link").symlink_to(tmp_path / "data")
        (tmp_path / "data" / "back").symlink_to(root)
        with pytest.raises(
            BundleError, match=r"a link to a folder that contains it.*`follow-links`"
        ):
            build_one(root, environ)
        project(root, {}, connect=connect + 'exclude = ["back"]\n')
        built = build_one(root, environ)
        assert any(path.endswith("link/x.csv") for path in paths(built))

    def test_a_circle_in_a_package_is_left_out(
        self, tmp_path: Path, environ: dict[str, str]
    ) -> None:
        root = project(tmp_path / "p", PACKAGE)
        (root / "src/sales_api/loop").symlink_to("../..")
        built = build_one(root, environ)
        assert not any("loop" in path for path in paths(built))
        assert (
            rules(built)["src/sales_api/loop/pyproject.toml"]
            == "a link to a folder that contains it"
        )

    def test_a_root_that_is_not_there_is_named(
        self, tmp_path: Path, environ: dict[str, str]
    ) -> None:
        connect = CONNECT + 'follow-links = ["../nothing"]\n'
        heard = Heard()
        build_one(project(tmp_path / "p", PACKAGE, connect=connect), environ, heard)
        assert "`follow-links` in [tool.hatch-connect]: '../nothing' does not exist." in heard.text

    def test_a_link_to_a_secret_is_one(self, tmp_path: Path, environ: dict[str, str]) -> None:
        files = {"app.py": APP, ".env": "", ".cache/x": "", "conf/x.txt": ""}
        root = project(tmp_path / "p", files, connect=TREE)
        (root / "settings").symlink_to(".env")
        (root / "cached").symlink_to(".cache/x")
        (root / "fine").symlink_to("conf/x.txt")
        built = build_one(root, environ)
        assert "fine" in paths(built)
        assert rules(built)["settings"] == "guard: environment variables"
        assert rules(built)["cached"] == "never shipped: a cache"

    @pytest.mark.parametrize("kind", ["fifo", "socket"])
    @pytest.mark.parametrize("folder", ["src/sales_api", "."])
    def test_what_is_no_file_is_refused(
        self,
        tmp_path: Path,
        environ: dict[str, str],
        kind: str,
        folder: str,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        packaged = folder != "."
        files = PACKAGE if packaged else {"app.py": APP}
        root = project(tmp_path / "p", files, connect=CONNECT if packaged else TREE)
        if kind == "fifo":
            os.mkfifo(root / folder / "odd")
            with pytest.raises(BundleError, match="odd is not a file"):
                build_one(root, environ)
            return
        monkeypatch.chdir(root / folder)
        with socket.socket(socket.AF_UNIX) as listening:
            listening.bind("odd")
            with pytest.raises(BundleError, match="odd is not a file"):
                build_one(root, environ)

    @pytest.mark.parametrize("folder", ["src/sales_api", "."])
    @pytest.mark.parametrize("name", [b"a\\b", b"a\nb", b"a\xff"])
    def test_names_that_no_bundle_holds(
        self, tmp_path: Path, environ: dict[str, str], folder: str, name: bytes
    ) -> None:
        packaged = folder != "."
        files = PACKAGE if packaged else {"app.py": APP}
        root = project(tmp_path / "p", files, connect=CONNECT if packaged else TREE)
        Path(os.fsdecode(os.fsencode(root / folder) + b"/" + name)).write_bytes(b"")
        with pytest.raises(BundleError, match="cannot be in a bundle"):
            build_one(root, environ)

    @pytest.mark.parametrize("pair", [("a.txt", "A.txt"), ("caf\u00e9", "cafe\u0301")])
    def test_names_that_collide(
        self, tmp_path: Path, environ: dict[str, str], pair: tuple[str, str]
    ) -> None:
        files = {**PACKAGE, **{f"src/sales_api/{name}": "" for name in pair}}
        with pytest.raises(BundleError, match="some systems cannot tell it apart from"):
            build_one(project(tmp_path / "p", files), environ)


def test_no_lock_says_how_to_make_one(tmp_path: Path, environ: dict[str, str]) -> None:
    root = project(tmp_path / "p", PACKAGE)
    (root / "requirements.txt").unlink()
    with pytest.raises(LockError, match="uv lock"):
        build_one(root, environ)


def test_installed_packages_stand_in_for_a_lock(tmp_path: Path, environ: dict[str, str]) -> None:
    from hatch_connect.locks.lock import Lock, Pin

    root = project(tmp_path / "p", PACKAGE)
    (root / "requirements.txt").unlink()
    pin = Pin(name="fastapi", requirement="fastapi==0.115.0", version="0.115.0")
    installed = Lock(path=None, format="installed packages", pins=(pin,))
    built = build_one(root, environ, installed=installed)
    assert built.lock == installed
    assert b"fastapi==0.115.0" in members_of(built.bundle.path)["requirements.txt"]


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ("[tool.hatch.build.targets.wheel]\npackages = 3\n", "must be an array of strings"),
        ("[tool.hatch.build.targets.connect]\ndirectory = 3\n", "connect.directory` must be"),
        ('[tool.hatch.build.targets.connect.force-include]\n"no" = "x"\n', "not found"),
        ('[tool.hatch.build.targets.wheel.force-include]\n"no" = "x"\n', "not found"),
    ],
)
def test_an_error_of_hatchling_is_an_error_of_the_build(
    tmp_path: Path, environ: dict[str, str], more: str, said: str
) -> None:
    with pytest.raises(BuildError, match=said):
        build_one(project(tmp_path / "p", PACKAGE, more=more), environ)


def test_errors_of_ours_stay_what_they_are(tmp_path: Path, environ: dict[str, str]) -> None:
    with pytest.raises(ConfigurationError, match="title"):
        build_one(project(tmp_path / "p", PACKAGE, connect=CONNECT + "title = 3\n"), environ)
    with pytest.raises(BuildError, match="SOURCE_DATE_EPOCH"):
        build_one(project(tmp_path / "q", PACKAGE), {**environ, "SOURCE_DATE_EPOCH": "now"})


def test_the_time_of_the_files_can_be_set(tmp_path: Path, environ: dict[str, str]) -> None:
    import tarfile

    root = project(tmp_path / "p", PACKAGE)
    built = build_one(root, {**environ, "SOURCE_DATE_EPOCH": "1700000000"})
    with tarfile.open(built.bundle.path) as archive:
        assert {member.mtime for member in archive} == {1700000000}


def test_nothing_to_ship(tmp_path: Path, environ: dict[str, str]) -> None:
    connect = '[tool.hatch-connect]\napp-mode = "tensorflow-saved-model"\nexclude = ["*"]\n'
    root = project(tmp_path / "p", {"saved_model.pb": ""}, connect=connect)
    with pytest.raises(BundleError, match="No files of"):
        build_one(root, environ)
