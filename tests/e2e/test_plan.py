"""`plan` and `deploy --dry-run`: what would be changed; `--check`: whether anything differs."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

import pytest
from support.fake_connect import FakeConnect
from support.sandbox import committed

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from support.fake_content import FakeContent
    from support.sandbox import Finished, Sandbox

TABLE = """\
[tool.hatch-connect]
app-mode = "fastapi"
entrypoint = "app:app"
title = "Sales"
exclude = ["*.md", "*.toml"]
"""
NOTHING = "Plan: 0 to update, 0 to create. Nothing was changed."


@pytest.fixture
def server() -> Iterator[FakeConnect]:
    with FakeConnect() as fake:
        yield fake


@pytest.fixture
def root(tmp_path: Path, sandbox: Sandbox) -> Path:
    folder = tmp_path / "sales"
    folder.mkdir()
    (folder / "pyproject.toml").write_text(TABLE, encoding="utf-8")
    (folder / "requirements.txt").write_text("starlette==0.45.0\n", encoding="utf-8")
    (folder / ".python-version").write_text("3.12\n", encoding="utf-8")
    (folder / "app.py").write_text("async def app(*_): ...\n", encoding="utf-8")
    (folder / ".gitignore").write_text("dist/\n", encoding="utf-8")
    return committed(folder, sandbox)


@pytest.fixture
def content(server: FakeConnect, root: Path, sandbox: Sandbox) -> FakeContent:
    """The project's content, deployed from another machine."""
    done = call(sandbox, server, root, "deploy")
    assert done.code == 0, done.said
    (found,) = server.contents.values()
    server.requests.clear()
    return found


def call(sandbox: Sandbox, server: FakeConnect, root: Path, *arguments: str) -> Finished:
    keys = {"CONNECT_SERVER": server.url, "CONNECT_API_KEY": server.api_key}
    return sandbox.connect(*arguments, cwd=root, **keys)


def change(root: Path, sandbox: Sandbox, name: str, text: str) -> None:
    (root / name).write_text(text, encoding="utf-8")
    sandbox.git("add", "-A", cwd=root)
    sandbox.git("commit", "-m", "change", cwd=root)


def test_nothing_differs_from_what_was_deployed(
    server: FakeConnect, root: Path, content: FakeContent, sandbox: Sandbox
) -> None:
    change(root, sandbox, "README.md", "What is documented ships nowhere.\n")
    done = call(sandbox, server, root, "plan", "--check")
    assert done.code == 0, done.said
    lines = [f"= Sales ({content.guid}) on {server.url}: nothing to deploy", NOTHING]
    assert done.stdout.splitlines() == lines
    assert {request.method for request in server.requests} == {"GET"}


def test_a_dry_run_is_a_plan(
    server: FakeConnect, root: Path, content: FakeContent, sandbox: Sandbox
) -> None:
    change(root, sandbox, "app.py", "async def app(*_): pass\n")
    dry = call(sandbox, server, root, "deploy", "--dry-run")
    plan = call(sandbox, server, root, "plan")
    assert (dry.code, plan.code) == (0, 0)
    assert dry.stdout == plan.stdout
    assert f"~ Sales ({content.guid}) on {server.url}" in plan.stdout
    assert "Plan: 1 to update, 0 to create. Nothing was changed." in plan.stdout
    steps = call(sandbox, server, root, "plan", "-v").stdout
    assert "activate it" in steps
    assert {request.method for request in server.requests} == {"GET"}


def test_a_check_ends_with_six_if_the_bundle_is_another(
    server: FakeConnect, root: Path, content: FakeContent, sandbox: Sandbox
) -> None:
    change(root, sandbox, "app.py", "async def app(*_): pass\n")
    done = call(sandbox, server, root, "plan", "--check", "--json")
    assert done.code == 6, done.said
    facts = json.loads(done.stdout)
    assert (facts["content"], facts["action"], facts["differs"]) == (content.guid, "update", True)
    (bundle,) = (each for each in facts["changes"] if each["subject"] == "bundle")
    assert bundle["before"].startswith(f"{content.bundle_id} (")


def test_content_that_is_not_there_differs(
    server: FakeConnect, root: Path, sandbox: Sandbox
) -> None:
    done = call(sandbox, server, root, "plan", "--check")
    assert done.code == 6, done.said
    assert "Plan: 0 to update, 1 to create. Nothing was changed." in done.stdout
    assert not server.contents


def test_a_bundle_that_was_never_activated_is_not_what_is_compared(
    server: FakeConnect, root: Path, content: FakeContent, sandbox: Sandbox
) -> None:
    content.bundle_id = None
    shutil.rmtree(sandbox.home / ".rsconnect-python")  # as on a machine without records
    done = call(sandbox, server, root, "plan", "--json")
    assert done.code == 0, done.said
    (bundle,) = (c for c in json.loads(done.stdout)["changes"] if c["subject"] == "bundle")
    assert bundle["before"] is None, done.said


def test_a_variable_that_is_missing_differs(
    server: FakeConnect, root: Path, content: FakeContent, sandbox: Sandbox
) -> None:
    """A nightly check needs no values: a variable that is there counts without one."""
    table = f'{TABLE}env = ["DATABASE_URL", "MODE=fast"]\n'
    (root / "pyproject.toml").write_text(table, encoding="utf-8")
    assert call(sandbox, server, root, "plan").code == 2
    done = call(sandbox, server, root, "plan", "--check")
    assert done.code == 6, done.said
    assert "  variables  + MODE   + DATABASE_URL (not set here)" in done.stdout
    content.environment |= {"DATABASE_URL": "x", "MODE": "y"}
    done = call(sandbox, server, root, "plan", "--check")
    assert done.code == 0, done.said
    assert "  variables  MODE is set again" in done.stdout


def test_a_title_that_was_changed_by_hand_differs(
    server: FakeConnect, root: Path, content: FakeContent, sandbox: Sandbox
) -> None:
    content.title = "Changed"
    done = call(sandbox, server, root, "plan", "--check")
    assert done.code == 6, done.said
    assert "  title  Changed -> Sales" in done.stdout


@pytest.mark.parametrize("door", ["hatch run", "hatch run connect:", "invoke", "hatch publish"])
def test_every_door_ends_with_six(
    server: FakeConnect, root: Path, sandbox: Sandbox, door: str
) -> None:
    collect = (
        "\n[tool.hatch.env.collectors.connect]\n[tool.hatch.envs.default]\nskip-install = true\n"
    )
    project = '[project]\nname = "sales"\nversion = "1"\n'
    (root / "pyproject.toml").write_text(f"{TABLE}{project}{collect}", encoding="utf-8")
    (root / "tasks.py").write_text("from invoke_tasks import ns\n", encoding="utf-8")
    keys = {"CONNECT_SERVER": server.url, "CONNECT_API_KEY": server.api_key}
    ways = {
        "hatch run": (sandbox.hatch, ("run", "connect-plan", "--check")),
        "hatch run connect:": (sandbox.hatch, ("run", "connect:plan", "--check")),
        "invoke": (sandbox.invoke, ("plan", "--check")),
        "hatch publish": (
            sandbox.hatch,
            ("publish", "-p", "connect", "-o", "dry-run", "-o", "check"),
        ),
    }
    if door == "hatch publish":
        assert call(sandbox, server, root, "bundle").code == 0
    run, arguments = ways[door]
    done = run(*arguments, cwd=root, **keys)
    assert done.code == 6, done.said
    assert "Plan: 0 to update, 1 to create. Nothing was changed." in done.stdout
