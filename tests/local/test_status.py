"""What is known of content after its server has ended, in whatever way."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from support.connect_content import ANSWERS, bundle, bundle_of
from support.local_api import Api, asking
from support.waiting import until

from hatch_connect.events import silent
from hatch_connect.local.folder import LocalServer, make_private, read_key
from hatch_connect.local.machine import Machine
from hatch_connect.local.setup import Setup
from hatch_connect.local.users import Declared
from hatch_connect.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from hatch_connect.local.status import Status

_SERVE = """
import os, sys
from pathlib import Path
from hatch_connect.events import silent
from hatch_connect.local.folder import LocalOptions
from hatch_connect.local.start import serve

ready = lambda server: print(server.url, flush=True)
state, options = Path(sys.argv[1]), LocalOptions()
serve(state, options=options, environ=os.environ, report=silent, ready=ready)
"""
# Stands in for what renders notebooks, and never ends.
_ENDLESS = b"import os, time; print(os.getpid(), flush=True); time.sleep(3600)"
_BROKEN = b"raise ValueError('no way')"


@contextmanager
def _served(state: Path) -> Iterator[Api]:
    """Serve a state folder until the server is killed."""
    make_private(state)
    process = subprocess.Popen(
        (sys.executable, "-c", _SERVE, str(state)), stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout
        url = process.stdout.readline().strip()
        with asking(LocalServer(url=url, api_key=read_key(state), state=state)) as api:
            yield api
    finally:
        process.kill()
        process.communicate()


def _status(state: Path, guid: str) -> Status:
    """Return the state of content as a server has it right after its start."""
    setup = Setup(
        folder=state,
        url="",
        content_origin="",
        api_key=Secret(""),
        users=Declared(users={}, groups={}),
        environ={},
        report=silent,
    )
    machine = Machine(setup)
    try:
        machine.state.end_unfinished()
        content = machine.state.content(guid)
        assert content
        return machine.status(content)
    finally:
        machine.state.close()


def _begin(api: Api, guid: str, number: str) -> str:
    path = f"v1/content/{guid}/deploy"
    task_id: str = api.ask("POST", path, 202, json={"bundle_id": number})["task_id"]
    return task_id


def _finished(api: Api, task_id: str) -> Any:  # noqa: ANN401 - JSON
    path = f"v1/tasks/{task_id}"
    while not api.ask("GET", f"{path}?first=1000&wait=5")["finished"]:
        pass
    return api.ask("GET", path)


def test_a_task_outlives_its_server(state: Path) -> None:
    with _served(state) as api:
        guid = api.create()
        task_id = _begin(api, guid, api.upload(guid))
        before = _finished(api, task_id)
        assert before["code"] == 0
    with _served(state) as api:
        assert api.ask("GET", f"v1/tasks/{task_id}") == before
        assert api.ask("GET", f"v1/tasks/{task_id}?first=2")["output"] == before["output"][2:]


def test_a_killed_server_has_failed_to_deploy(state: Path) -> None:
    files = {"nb.ipynb": b"", "nbconvert.py": _ENDLESS, "requirements.txt": b""}
    metadata = {"appmode": "jupyter-static", "entrypoint": "nb.ipynb"}
    with _served(state) as api:
        guid = api.create()
        task_id = _begin(api, guid, api.upload(guid, bundle_of(files, metadata=metadata)))
        pid, seen = "", list[str]()
        while not pid.isdigit():
            api.ask("GET", f"v1/tasks/{task_id}?first={len(seen)}&wait=5")
            seen = api.ask("GET", f"v1/tasks/{task_id}")["output"]
            pid = ["", *seen][-1]
    os.kill(int(pid), signal.SIGKILL)

    status = _status(state, guid)
    assert (status.state, status.deploying) == ("failed", None)
    assert "server ended before the deployment was complete" in status.failed
    with _served(state) as api:
        task = api.ask("GET", f"v1/tasks/{task_id}")
        assert (task["finished"], task["code"], task["error"]) == (True, 1, status.failed)
        assert task["output"] == seen
        # It can be deployed again, and is then as if nothing had happened.
        assert api.deploy(guid, api.upload(guid))["code"] == 0
    assert _status(state, guid).state == "idle"


def test_the_state_of_content(state: Path) -> None:
    with _served(state) as api:
        never, draft, broken, mended = (api.create() for _ in range(4))
        number = api.upload(draft)
        api.deploy(draft, number, activate=False)
        api.deploy(broken, api.upload(broken, bundle({"app.py": _BROKEN})))
        assert api.visit(broken).status_code == 502
        api.deploy(mended, api.upload(mended, bundle({"app.py": _BROKEN})))
        assert api.visit(mended).status_code == 502
        api.deploy(mended, api.upload(mended, bundle({"app.py": ANSWERS % b"well"})))
        assert api.visit(mended).text == "well"
        unusable = api.upload(mended, b"no archive")
        assert api.deploy(mended, unusable)["code"] == 1

        died = api.ship()
        api.visit(died, "die")
        until(lambda: api.jobs(died)[0]["end_time"])

    assert _status(state, died).state == "failed"
    assert _status(state, died).failed == "Its process ended with exit code 7."
    assert _status(state, never).state == "never deployed"
    assert _status(state, draft).state == "never deployed"
    assert _status(state, draft).draft == int(number)
    assert _status(state, broken).state == "failed"
    assert _status(state, broken).failed == "Its process ended with exit code 1."
    # What was deployed before goes on, and the failure is told.
    assert _status(state, mended).state == "idle"
    assert "not a readable .tar.gz" in _status(state, mended).failed


def test_a_least_number_of_processes_runs_again_after_a_start(state: Path) -> None:
    with _served(state) as api:
        guid = api.ship(min_processes=1)
        until(lambda: api.jobs(guid))
    with _served(state) as api:
        until(lambda: len(api.jobs(guid)) == 2)


def test_a_bundle_that_was_active_is_no_draft(state: Path) -> None:
    with _served(state) as api:
        guid = api.ship(bundle({"app.py": ANSWERS % b"first"}))
        first = api.ask("GET", f"v1/content/{guid}")["bundle_id"]
        api.deploy(guid, api.upload(guid, bundle({"app.py": ANSWERS % b"second"})))
        api.deploy(guid, first)
        assert _status(state, guid).draft is None
        third = api.upload(guid, bundle({"app.py": ANSWERS % b"third"}))
        api.deploy(guid, third, activate=False)
        assert _status(state, guid).draft == int(third)
