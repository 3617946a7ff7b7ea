"""What can be foreseen is refused before anything is built, packed or changed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.fake_connect import FakeConnect
from support.projects import PACKAGE
from support.projects import project as a_project
from support.sample_bundle import sample_bundle
from support.tls import closed_port

from hatch_connect.local import start

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from support.calling import Caller
    from support.sandbox import Finished, Sandbox

HOOK = """\
from pathlib import Path

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class Hook(BuildHookInterface):
    def initialize(self, version, build_data):
        (Path(self.root) / "trace").write_text("built")
"""
MORE = """
[tool.hatch.build.hooks.custom]

[tool.hatch-connect.on.far]
draft = true

[tool.hatch-connect.content.second]
entrypoint = "sales_api.main:app"
"""


@pytest.fixture
def server() -> Iterator[FakeConnect]:
    with FakeConnect() as fake:
        yield fake


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project whose build leaves a trace."""
    files = {**PACKAGE, "hatch_build.py": HOOK, "tasks.py": "from invoke_tasks import ns\n"}
    return a_project(tmp_path / "project", files, more=MORE)


def keys(server: FakeConnect, **more: str) -> dict[str, str]:
    return {"CONNECT_SERVER": server.url, "CONNECT_API_KEY": server.api_key} | more


def untouched(server: FakeConnect, project: Path) -> bool:
    changed = [call for call in server.calls() if not call.startswith("GET")]
    return not changed and not (project / "trace").exists() and not (project / "dist").exists()


CALLS: dict[str, tuple[tuple[str, ...], dict[str, str], int, str]] = {
    "nickname": (("--name", "prdo"), {}, 2, "prdo"),
    "URL": (("--server", "http://"), {}, 2, "--server"),
    "key": ((), {"CONNECT_API_KEY": ""}, 2, "no API key"),
    "wrong key": ((), {"CONNECT_API_KEY": "other"}, 3, "key is not valid"),
    "value": (("-E", "TOKEN"), {}, 2, "TOKEN"),
    "extra": (("--extra", "nope"), {}, 2, "nope"),
    "group": (("--group", "nope"), {}, 2, "nope"),
    "lock": (("--lock", "uv.lock"), {}, 2, "uv.lock"),
    "Python": (("--python-version", "3.10"), {}, 2, "3.10"),
    "time-out": ((), {"CONNECT_TASK_TIMEOUT": "soon"}, 2, "CONNECT_TASK_TIMEOUT"),
    "metadata": (("--metadata", "commit"), {}, 2, "KEY=VALUE"),
    "content": (("--app-id", "25438b83-ea6d-4839-ae8e-53c52ac5f9ce"), {}, 3, "--app-id"),
}


@pytest.mark.parametrize("reason", CALLS)
def test_a_call_that_cannot_succeed_is_refused_before_the_build(
    reason: str, server: FakeConnect, project: Path, sandbox: Sandbox
) -> None:
    words, environ, code, told = CALLS[reason]
    done = sandbox.connect("deploy", *words, cwd=project, **keys(server, **environ))
    assert done.code == code, done.said
    assert told in done.stderr
    assert untouched(server, project)


def test_a_server_that_is_not_there_is_told_before_the_build(
    project: Path, sandbox: Sandbox
) -> None:
    environ = {"CONNECT_SERVER": f"http://127.0.0.1:{closed_port()}", "CONNECT_API_KEY": "k"}
    done = sandbox.connect("deploy", cwd=project, **environ)
    assert done.code == 3
    assert "cannot be reached" in done.stderr
    assert not (project / "trace").exists()


def test_a_missing_extra_is_told_before_the_build(
    project: Path, caller: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(start, "find_spec", lambda _name: None)
    done = caller.call("deploy", local=True, directory=str(project))
    assert (done.code, "hatch-connect[local]" in done.stderr) == (2, True), done.said
    assert not (project / "trace").exists()


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"locked": True}, "locked"),
        ({"role": "viewer"}, "viewer"),
        ({"app_mode": "python-dash"}, "python-dash"),
        ({"git": True}, "git"),
    ],
)
@pytest.mark.parametrize("way", ["hatch-connect", "invoke"])
def test_content_that_cannot_take_the_bundle_is_found_out_before_the_build(
    way: str,
    fields: dict[str, object],
    told: str,
    server: FakeConnect,
    project: Path,
    sandbox: Sandbox,
) -> None:
    content = server.add_content("sales-api", **fields)
    run = sandbox.connect if way == "hatch-connect" else sandbox.invoke
    done = run("deploy", "--app-id", content.guid, cwd=project, **keys(server))
    assert done.code == 3, done.said
    assert told in done.stderr
    assert untouched(server, project)


def test_a_server_without_drafts_or_the_python_is_found_out_before_the_build(
    server: FakeConnect, project: Path, sandbox: Sandbox
) -> None:
    server.version = "2024.09.0"
    draft = sandbox.connect("deploy", "--draft", cwd=project, **keys(server))
    assert (draft.code, "does not support drafts" in draft.stderr) == (3, True)
    server.pythons = ("3.13.1",)
    python = sandbox.connect("deploy", cwd=project, **keys(server))
    assert (python.code, "have Python 3.11 (.python-version)" in python.stderr) == (2, True)
    assert untouched(server, project)


def test_every_piece_of_content_is_asked_for_before_the_first_is_built(
    server: FakeConnect, project: Path, sandbox: Sandbox
) -> None:
    server.add_content("sales-api-second", locked=True)
    done = sandbox.connect("deploy", "--all", cwd=project, **keys(server))
    assert done.code == 3, done.said
    assert "locked" in done.stderr
    assert untouched(server, project)


def test_a_prepared_folder_is_packed_after_the_server_was_asked(
    server: FakeConnect, tmp_path: Path, sandbox: Sandbox
) -> None:
    manifest = '{"version": 1, "metadata": {"appmode": "static", "entrypoint": "index.html"}, '
    manifest += '"files": {"index.html": {"checksum": "00"}}}'
    (tmp_path / "manifest.json").write_text(manifest, encoding="utf-8")
    environ = keys(server, CONNECT_API_KEY="other")
    refused = sandbox.connect("deploy", str(tmp_path), cwd=tmp_path, **environ)
    assert (refused.code, "key is not valid" in refused.stderr) == (3, True), refused.said
    incomplete = sandbox.connect("deploy", str(tmp_path), cwd=tmp_path, **keys(server))
    assert (incomplete.code, "index.html does not exist" in incomplete.stderr) == (2, True)
    assert untouched(server, tmp_path)


@pytest.mark.parametrize("way", ["hatch-connect", "hatch publish"])
def test_all_bundles_are_asked_for_before_the_first_is_deployed(
    way: str, server: FakeConnect, tmp_path: Path, sandbox: Sandbox
) -> None:
    project = tmp_path / "project"
    project.mkdir()
    for name in ("orders", "stock"):
        files = {f"{name}.py": b"app = 1", "requirements.txt": b"fastapi==0.100.0"}
        sample_bundle(project / f"{name}.tar.gz", files=files)
    (project / "pyproject.toml").write_text('[project]\nname = "x"\nversion = "1"\n')
    words = ("deploy",) if way == "hatch-connect" else ("publish", "-p", "connect")
    run = sandbox.connect if way == "hatch-connect" else sandbox.hatch

    def both() -> Finished:
        return run(*words, "orders.tar.gz", "stock.tar.gz", cwd=project, **keys(server))

    done = both()
    assert done.code == 0, done.said
    orders, stock = server.contents.values()
    assert done.stdout.count("/content/") == 2
    stock.locked = True
    refused = both()
    assert (refused.code, "locked" in refused.stderr) == (3, True), refused.said
    assert len(orders.bundles) == 1


def test_what_is_of_one_bundle_is_refused_for_several(caller: Caller, fake: FakeConnect) -> None:
    done = caller.call("deploy", file=("sales.tar.gz", "sales.tar.gz"), title="Both")
    assert (done.code, "--title" in done.stderr) == (2, True)
    assert not fake.requests


def test_what_was_checked_is_built(server: FakeConnect, project: Path, sandbox: Sandbox) -> None:
    shown = sandbox.connect("deploy", "--dry-run", cwd=project, **keys(server))
    assert shown.code == 0, shown.said
    assert "bundle    + 1.2.0     +4 files" in shown.stdout
    assert (project / "trace").read_text(encoding="utf-8") == "built"
    assert [call for call in server.calls() if not call.startswith("GET")] == []
