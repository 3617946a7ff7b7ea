from __future__ import annotations

import os
import shutil
import socket
from importlib.machinery import ModuleSpec
from typing import TYPE_CHECKING

import pytest
from support.local_api import asking

from hatch_connect.errors import HatchConnectError, UsageError
from hatch_connect.events import silent
from hatch_connect.local import start
from hatch_connect.local.disk import DiskError
from hatch_connect.local.folder import LocalOptions
from hatch_connect.local.start import running, serve

if TYPE_CHECKING:
    from pathlib import Path

    from hatch_connect.local.folder import LocalServer


def _nothing(_server: LocalServer) -> None:
    pass


def test_a_missing_extra_names_the_cure(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def find(name: str) -> ModuleSpec | None:
        return None if name in {"starlette", "uv"} else ModuleSpec(name, None)

    monkeypatch.setattr(start, "find_spec", find)

    with pytest.raises(UsageError) as caught:
        serve(state, options=LocalOptions(), environ={}, report=silent, ready=_nothing)

    assert "starlette, uv" in caught.value.message
    assert caught.value.hint == "Install them with: pip install 'hatch-connect[local]'"


def test_a_port_that_is_taken(state: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(UsageError, match=f"port {port}"):
            serve(
                state,
                options=LocalOptions(port=port),
                environ={},
                report=silent,
                ready=lambda _server: None,
            )


@pytest.mark.parametrize("broken", ["folder", "lock", "database", "key"])
def test_a_state_folder_that_cannot_be_used(state: Path, broken: str) -> None:
    if broken == "folder":
        state.write_text("a file")
    else:
        state.mkdir()
        match broken:
            case "lock":
                (state / "lock").mkdir()
            case "key":
                (state / "api-key").mkdir()
            case "database":
                (state / "state.sqlite3").write_bytes(b"no database" * 100)

    message = f"The state folder {state} cannot be used"
    with pytest.raises(DiskError, match=message) as caught:
        serve(state, options=LocalOptions(), environ={}, report=silent, ready=_nothing)
    assert caught.value.hint == "Set XDG_STATE_HOME to a folder that can be written."
    with (
        pytest.raises(HatchConnectError, match=message),
        running(state, environ=os.environ, report=silent),
    ):
        pytest.fail("it cannot run")


def test_a_state_folder_that_is_removed_while_its_server_runs(state: Path) -> None:
    with running(state, environ=os.environ, report=silent) as server, asking(server) as api:
        guid = api.ship()
        with (state / "server.log").open() as log:
            shutil.rmtree(state)

            patch = "PATCH", f"v1/content/{guid}", {"json": {"title": "Another"}}
            upload = "POST", f"v1/content/{guid}/bundles", {"content": b"archive"}
            for method, path, how in (patch, upload):
                url = f"{server.url}/__api__/{path}"
                answer = api.client.request(method, url, **how)
                assert answer.status_code == 507
                assert answer.json()["error"].startswith(f"The state folder {state} was removed.")
            assert "Traceback" not in log.read()
        assert not state.exists()


def test_a_server_that_does_not_start(state: Path) -> None:
    (state / "state.sqlite3").mkdir(parents=True)

    with (
        pytest.raises(HatchConnectError, match="did not start") as caught,
        running(state, environ=os.environ, report=silent),
    ):
        pytest.fail("it cannot run")

    assert str(state / "server.log") in str(caught.value)


def test_a_state_has_one_server(state: Path) -> None:
    with (
        running(state, environ=os.environ, report=silent),
        pytest.raises(UsageError, match="already running"),
    ):
        serve(
            state,
            options=LocalOptions(),
            environ=os.environ,
            report=silent,
            ready=lambda _server: None,
        )
