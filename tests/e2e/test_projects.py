"""Projects of other shapes, as their owners would deploy them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest
from support.fake_bundle import Reply
from support.fake_connect import FakeConnect, Hang
from support.fake_content import FakeTask
from support.sandbox import Finished, Sandbox, copy_example

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from support.fake_content import FakeContent

APP = """\
async def app(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"hello"})
"""
TABLE = '[tool.hatch-connect]\napp-mode = "fastapi"\nentrypoint = "app:app"\n'


@pytest.fixture
def server() -> Iterator[FakeConnect]:
    with FakeConnect() as fake:
        yield fake


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A project with an app.py, no package and no build back end."""
    folder = tmp_path / "tree"
    folder.mkdir()
    (folder / "app.py").write_text(APP, encoding="utf-8")
    (folder / "pyproject.toml").write_text(TABLE, encoding="utf-8")
    return folder


def deploy(
    sandbox: Sandbox, server: FakeConnect, project: Path, *options: str, **environ: str
) -> Finished:
    keys = {"CONNECT_SERVER": server.url, "CONNECT_API_KEY": server.api_key}
    return sandbox.connect("deploy", *options, cwd=project, **keys | environ)


def only(server: FakeConnect) -> FakeContent:
    [content] = server.contents.values()
    return content


def test_without_a_lock_the_environment_at_hand_ships_with_a_warning(
    server: FakeConnect, tree: Path, sandbox: Sandbox
) -> None:
    done = deploy(sandbox, server, tree)
    assert done.code == 0, done.said
    assert "warning: Nothing is locked" in done.stderr
    [bundle] = only(server).bundles.values()
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    assert str(bundle.manifest["python"]).count(f"'version': '{python}.") == 1
    explicit = deploy(sandbox, server, tree, "--python", sys.executable)
    assert explicit.code == 0, explicit.said
    assert len({b.archive for b in only(server).bundles.values()}) == 1


def test_an_interpreter_that_is_not_there_is_an_error(
    server: FakeConnect, tree: Path, sandbox: Sandbox
) -> None:
    done = deploy(sandbox, server, tree, RETICULATE_PYTHON="/nowhere/python")
    assert done.code == 2
    assert "RETICULATE_PYTHON" in done.stderr
    assert server.contents == {}


def test_a_requirements_file_ships_as_it_is_written(
    server: FakeConnect, tree: Path, sandbox: Sandbox
) -> None:
    (tree / "requirements.txt").write_text("# mine\nstarlette==0.45.0\nanyio\n", encoding="utf-8")
    (tree / ".python-version").write_text("3.12\n", encoding="utf-8")
    done = deploy(sandbox, server, tree, "--list")
    assert done.code == 0, done.said
    assert "requirements.txt:3" in done.stderr
    assert "anyio" in done.stderr
    folder = sandbox.connect("manifest", cwd=tree).stdout.strip()
    shipped = tree / "dist" / "connect" / "tree" / "requirements.txt"
    assert folder == str(shipped.with_name("manifest.json"))
    assert shipped.read_text(encoding="utf-8").startswith("# mine\n")


def test_a_tree_can_hold_its_manifest_for_git(
    server: FakeConnect, tree: Path, sandbox: Sandbox
) -> None:
    (tree / "requirements.txt").write_text("starlette==0.45.0\n", encoding="utf-8")
    (tree / ".python-version").write_text("3.12\n", encoding="utf-8")
    done = sandbox.connect("manifest", "--in-place", cwd=tree)
    assert done.code == 0, done.said
    manifest = json.loads((tree / "manifest.json").read_text(encoding="utf-8"))
    assert {"app.py", "requirements.txt"} <= set(manifest["files"])
    again = sandbox.connect("manifest", "--in-place", cwd=tree)
    assert again.code == 0, again.said
    by_folder = deploy(sandbox, server, tree, str(tree))
    assert by_folder.code == 0, by_folder.said


def test_a_package_in_src_cannot_hold_its_manifest_in_place(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    project = copy_example("fastapi-app", tmp_path)
    done = sandbox.connect("manifest", "--in-place", cwd=project)
    assert done.code == 2, done.said
    assert not (project / "manifest.json").exists()


def test_the_project_of_a_folder_below_is_found(
    server: FakeConnect, sandbox: Sandbox, tmp_path: Path
) -> None:
    project = copy_example("fastapi-app", tmp_path)
    done = deploy(sandbox, server, project / "src" / "sales_api", SALES_REGION="n")
    assert done.code == 0, done.said
    away = deploy(sandbox, server, tmp_path, "--directory", "fastapi-app", SALES_REGION="n")
    assert away.code == 0, away.said
    assert len(only(server).bundles) == 2


def test_a_failed_task_is_exit_code_four_with_its_log(
    server: FakeConnect, tree: Path, sandbox: Sandbox
) -> None:
    server.next_task = FakeTask(code=1, error="pip failed", lines=("no \x1b[31msuch\x1b[0m thing",))
    done = deploy(sandbox, server, tree)
    assert done.code == 4, done.said
    assert "  | no such thing" in done.stderr
    assert "pip failed" in done.stderr
    assert "/draft/" in done.stderr


def test_content_that_does_not_answer_is_exit_code_five(
    server: FakeConnect, tree: Path, sandbox: Sandbox
) -> None:
    server.page = Reply(503, b"it did not start", "text/plain")
    done = deploy(sandbox, server, tree)
    assert done.code == 5, done.said
    assert "it did not start" in done.stderr
    assert only(server).bundle_id is None
    assert deploy(sandbox, server, tree, "--no-verify").code == 0


def test_all_problems_of_a_configuration_are_told_at_once(tree: Path, sandbox: Sandbox) -> None:
    (tree / "pyproject.toml").write_text(
        '[tool.hatch-connect]\napp-mode = "fastapy"\nentrypoint = 3\ntitel = "x"\n',
        encoding="utf-8",
    )
    done = sandbox.connect("bundle", cwd=tree)
    assert done.code == 2
    for key in ("app-mode", "entrypoint", "titel"):
        assert f"tool.hatch-connect.{key}" in done.stderr


def test_a_server_without_the_python_is_told_before_the_upload(
    server: FakeConnect, tree: Path, sandbox: Sandbox
) -> None:
    server.pythons = ("3.9.1",)
    (tree / "requirements.txt").write_text("starlette==0.45.0\n", encoding="utf-8")
    (tree / ".python-version").write_text("3.12\n", encoding="utf-8")
    done = deploy(sandbox, server, tree)
    assert done.code == 2
    assert "3.9.1" in done.stderr
    assert ".python-version" in done.stderr
    assert server.contents == {}


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_ctrl_c_says_what_remains_and_exits_with_130(
    server: FakeConnect, tree: Path, sandbox: Sandbox
) -> None:
    server.misbehave("GET", "v1/tasks/", Hang(20))
    keys = {"CONNECT_SERVER": server.url, "CONNECT_API_KEY": server.api_key}
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "hatch_connect", "deploy"],
        cwd=tree,
        env=sandbox.environ | keys,
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 30
    while not any("v1/tasks/" in c for c in server.calls()) and time.monotonic() < deadline:
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGINT)
    _, stderr = process.communicate(timeout=20)
    assert process.returncode == 130, stderr
    assert "Traceback" not in stderr
    assert "is there and not active" in stderr
