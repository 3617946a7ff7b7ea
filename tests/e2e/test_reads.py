"""How often a call reads what it needs, and which programs it starts: both must only go down.

Every process of ours tells what it opens and starts (`sys.addaudithook`). What Hatchling and Hatch
read for themselves is theirs; what Hatchling has us read is ours.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from typing import TYPE_CHECKING, TypeAlias

import pytest
from support.fake_connect import FakeConnect
from support.sandbox import Sandbox, committed, copy_example

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="reads command lines as lists")

WATCH = """
import json, os, sys

DATA = "data.csv"

READ = {"pyproject.toml", "hatch.toml", "uv.lock", "requirements.txt", ".python-version"} | {DATA}
ROOT, OUT = os.environ["WATCHED_ROOT"], os.environ["WATCHED_OUT"]


def caller():
    frame = sys._getframe(2)
    while frame:
        package = (frame.f_globals.get("__name__") or "").partition(".")[0]
        if package in {"hatch_connect", "hatchling", "hatch"}:
            return package
        frame = frame.f_back
    return None


def watch(event, args):
    if event == "open":
        path = os.fsdecode(args[0]) if isinstance(args[0], str | bytes) else ""
        found = os.path.basename(path)
        if found not in READ or os.path.dirname(os.path.abspath(path)) != ROOT:
            return
    elif event == "subprocess.Popen":
        words = [os.fsdecode(word) for word in args[1]]
        program = os.path.basename(words[0])
        found = "python" if program.startswith("python") else program
        found = f"run {found}"
    else:
        return
    if caller() == "hatch_connect":
        out = os.open(OUT, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        os.write(out, (json.dumps(found) + "\\n").encode())
        os.close(out)


sys.addaudithook(watch)
"""


@pytest.fixture
def server() -> Iterator[FakeConnect]:
    with FakeConnect() as fake:
        yield fake


def watched(sandbox: Sandbox, root: Path, *words: str, **environ: str) -> Counter[str]:
    """Run a command, or `hatch publish`, and return what was opened and started, by name."""
    hooks = sandbox.home / "hooks"
    hooks.mkdir(exist_ok=True)
    (hooks / "sitecustomize.py").write_text(WATCH, encoding="utf-8")
    out = sandbox.home / "watched.txt"
    out.unlink(missing_ok=True)
    watching = {
        "PYTHONPATH": str(hooks),
        "WATCHED_ROOT": str(root.resolve()),
        "WATCHED_OUT": str(out),
    }
    run = sandbox.hatch if words[0] == "publish" else sandbox.connect
    done = run(*words, cwd=root.resolve(), **watching, **environ)
    assert done.code == 0, done.said
    assert out.is_file(), "nothing was seen"
    return Counter(json.loads(line) for line in out.read_text("utf-8").splitlines())


def hold(found: Counter[str], most: dict[str, int]) -> None:
    """Compare with what is the most today; lower it here when the code needs less."""
    assert found["pyproject.toml"], "the project was not read: is the watch at work?"
    more = {name: count for name, count in found.items() if count > most.get(name, 0)}
    assert not more, f"more than {most}"


LIST, PYTHON, GIT = "requirements.txt", "run python", "run git"
DATA = "data.csv"  # any file: it is read for the guard, its checksum and the archive at once

TABLE = '[tool.hatch-connect]\napp-mode = "fastapi"\nentrypoint = "app:app"\n'
TWO = """\
[tool.hatch-connect]
app-mode = "fastapi"
[tool.hatch-connect.content.one]
entrypoint = "app:app"
[tool.hatch-connect.content.two]
entrypoint = "app:app"
"""


@pytest.fixture
def package(tmp_path: Path, sandbox: Sandbox) -> Path:
    """A package with a uv.lock, built by Hatchling."""
    return committed(copy_example("fastapi-app", tmp_path), sandbox)


@pytest.fixture
def tree(tmp_path: Path, sandbox: Sandbox) -> Path:
    """A folder without a build, with a requirements.txt."""
    root = tmp_path / "tree"
    root.mkdir()
    (root / "app.py").write_text("app = 1\n", encoding="utf-8")
    (root / "pyproject.toml").write_text(TABLE, encoding="utf-8")
    (root / "requirements.txt").write_text("starlette==0.45.0\n", encoding="utf-8")
    (root / ".python-version").write_text("3.12\n", encoding="utf-8")
    (root / DATA).write_text("1,2\n", encoding="utf-8")
    return committed(root, sandbox)


def keys(server: FakeConnect) -> dict[str, str]:
    return {
        "CONNECT_SERVER": server.url,
        "CONNECT_API_KEY": server.api_key,
        "SALES_REGION": "north",
    }


Most: TypeAlias = dict[tuple[str, ...], dict[str, int]]

PACKAGE: Most = {
    ("deploy",): {"pyproject.toml": 1, "uv.lock": 1, ".python-version": 1, GIT: 5},
    ("bundle",): {"pyproject.toml": 1, "uv.lock": 1, ".python-version": 1, GIT: 3},
    ("requirements",): {"pyproject.toml": 1, "uv.lock": 1, ".python-version": 1},
}
TREE: Most = {
    ("deploy",): {"pyproject.toml": 3, LIST: 2, ".python-version": 3, GIT: 4, DATA: 1},
    ("manifest", "--in-place"): {
        "pyproject.toml": 4,
        LIST: 3,
        ".python-version": 4,
        GIT: 2,
        DATA: 2,
    },
}


@pytest.mark.parametrize("words", PACKAGE)
def test_a_package_with_a_lock(
    words: tuple[str, ...], server: FakeConnect, package: Path, sandbox: Sandbox
) -> None:
    hold(watched(sandbox, package, *words, **keys(server)), PACKAGE[words])


def test_content_that_is_only_looked_at(
    server: FakeConnect, package: Path, sandbox: Sandbox
) -> None:
    assert sandbox.connect("deploy", "--no-verify", cwd=package, **keys(server)).code == 0
    hold(watched(sandbox, package, "info", **keys(server)), {"pyproject.toml": 1})


def test_what_is_built_already(server: FakeConnect, package: Path, sandbox: Sandbox) -> None:
    assert sandbox.connect("bundle", cwd=package).code == 0
    found = watched(sandbox, package, "publish", "-p", "connect", **keys(server))
    hold(found, {"pyproject.toml": 1})


@pytest.mark.parametrize("words", TREE)
def test_a_folder_without_a_build(
    words: tuple[str, ...], server: FakeConnect, tree: Path, sandbox: Sandbox
) -> None:
    hold(watched(sandbox, tree, *words, **keys(server)), TREE[words])


def test_two_pieces_of_content(server: FakeConnect, tree: Path, sandbox: Sandbox) -> None:
    (tree / "pyproject.toml").write_text(TWO, encoding="utf-8")
    most = {"pyproject.toml": 5, LIST: 4, ".python-version": 6, GIT: 7, DATA: 2}
    hold(watched(sandbox, tree, "deploy", "--all", **keys(server)), most)


def test_a_folder_without_a_lock(server: FakeConnect, tree: Path, sandbox: Sandbox) -> None:
    (tree / "requirements.txt").unlink()
    most = {"pyproject.toml": 3, ".python-version": 3, PYTHON: 1, GIT: 4, DATA: 1}
    hold(watched(sandbox, tree, "deploy", **keys(server)), most)
