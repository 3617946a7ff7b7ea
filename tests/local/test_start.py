from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import stat
import subprocess
import sys
import textwrap
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import httpx2
import pytest
from support.connect_content import ANSWERS, bundle
from support.local_api import asking
from support.waiting import PATIENCE, until

from hatch_connect import __version__
from hatch_connect.events import Detail, Warned, silent
from hatch_connect.local import folder, start
from hatch_connect.local.folder import LocalServer
from hatch_connect.local.processes import run_logged
from hatch_connect.local.start import running

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from hatch_connect.events import Event


def _answers(url: str) -> bool:
    try:
        answer = httpx2.get(f"{url}/__api__/server_settings", trust_env=False, timeout=PATIENCE)
    except httpx2.HTTPError:
        return False
    return answer.status_code == 200


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def _program(text: str, *arguments: object) -> subprocess.Popen[str]:
    head = """
        import os, sys, time
        from pathlib import Path
        from hatch_connect.events import silent
        from hatch_connect.local.folder import LocalOptions
        from hatch_connect.local.start import running, serve
        state = Path(sys.argv[1])
        def say(*words):
            print(*words, flush=True)
    """
    whole = textwrap.dedent(head) + textwrap.dedent(text)
    command = (sys.executable, "-c", whole, *map(str, arguments))
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def _line(process: subprocess.Popen[str]) -> str:
    assert process.stdout
    return process.stdout.readline().strip()


@pytest.fixture
def ended() -> Iterator[list[subprocess.Popen[str]]]:
    processes: list[subprocess.Popen[str]] = []
    yield processes
    for process in processes:
        process.kill()
        process.communicate()


def _serve(state: Path) -> subprocess.Popen[str]:
    return _program(
        """
        def ready(server):
            say(server.url)
        serve(state, options=LocalOptions(), environ=os.environ, report=silent, ready=ready)
        say("ended")
        """,
        state,
    )


def test_a_server_is_there_for_a_block(state: Path) -> None:
    with running(state, environ=os.environ, report=silent) as server:
        assert server.state == state
        assert _answers(server.url)
        assert server.url.startswith("http://127.0.0.1:")

    assert not _answers(server.url)


def test_the_state_is_private(state: Path) -> None:
    with running(state, environ=os.environ, report=silent) as server:
        modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in state.iterdir()}

    assert stat.S_IMODE(state.stat().st_mode) == 0o700
    assert modes["api-key"] == modes["state.sqlite3"] == modes["server.log"] == 0o600
    assert server.api_key.reveal() == (state / "api-key").read_text().strip()
    assert server.api_key.reveal() not in repr(server)


def test_an_open_state_folder_is_closed(state: Path) -> None:
    state.mkdir(mode=0o755)

    folder.make_private(state)

    assert stat.S_IMODE(state.stat().st_mode) == 0o700


def test_inner_blocks_use_the_same_server(state: Path) -> None:
    with running(state, environ=os.environ, report=silent) as outer:
        with running(state, environ=os.environ, report=silent) as inner:
            assert inner == outer
        assert _answers(outer.url)


def test_many_who_start_at_once_share_one_server(state: Path) -> None:
    together = threading.Barrier(3)

    def use(_number: int) -> str:
        with running(state, environ=os.environ, report=silent) as server:
            together.wait(PATIENCE)
            return server.url

    with ThreadPoolExecutor(3) as pool:
        urls = set(pool.map(use, range(3)))

    (url,) = urls
    until(lambda: not _answers(url))


def test_the_server_stays_for_who_came_later(
    state: Path, ended: list[subprocess.Popen[str]]
) -> None:
    first = _program(
        """
        with running(state, environ=os.environ, report=silent) as server:
            say(server.url)
            time.sleep(600)
        """,
        state,
    )
    ended.append(first)
    url = _line(first)

    with running(state, environ=os.environ, report=silent) as server:
        assert server.url == url
        first.kill()
        first.wait()
        time.sleep(0.3)
        assert _answers(url)

    until(lambda: not _answers(url))


def test_everything_ends_with_a_killed_user(
    state: Path, ended: list[subprocess.Popen[str]]
) -> None:
    user = _program(
        """
        with running(state, environ=os.environ, report=silent) as server:
            say(server.url, server.api_key.reveal())
            time.sleep(600)
        """,
        state,
    )
    ended.append(user)
    url, key = _line(user).split()
    pid = _content_process(url, key, state)

    user.send_signal(signal.SIGKILL)
    user.wait()

    until(lambda: not _answers(url))
    until(lambda: not _exists(pid))


def _content_process(url: str, key: str, state: Path) -> int:
    """Deploy content, visit it and return the number of its process."""
    from hatch_connect.secret import Secret

    with asking(LocalServer(url=url, api_key=Secret(key), state=state)) as api:
        guid = api.ship(bundle({"app.py": ANSWERS % b"x"}))
        assert api.visit(guid).text == "x"
        (job,) = api.jobs(guid)
        return int(job["pid"])


def test_content_does_not_outlive_a_killed_server(
    state: Path, ended: list[subprocess.Popen[str]]
) -> None:
    server = _serve(state)
    ended.append(server)
    url = _line(server)
    pid = _content_process(url, (state / "api-key").read_text().strip(), state)

    server.kill()
    server.wait()

    until(lambda: not _exists(pid))
    with running(state, environ=os.environ, report=silent) as again:
        assert again.url == url


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_serving_and_its_content(
    state: Path, ended: list[subprocess.Popen[str]], number: signal.Signals
) -> None:
    server = _serve(state)
    ended.append(server)
    url = _line(server)
    pid = _content_process(url, (state / "api-key").read_text().strip(), state)

    server.send_signal(number)

    assert _line(server) == "ended"
    assert server.wait() == 0
    assert not _exists(pid)


def test_what_is_served_is_used(state: Path, ended: list[subprocess.Popen[str]]) -> None:
    server = _serve(state)
    ended.append(server)
    url = _line(server)

    with running(state, environ=os.environ, report=silent) as used:
        assert used.url == url

    assert _answers(url)


def test_content_survives_the_server(state: Path) -> None:
    with running(state, environ=os.environ, report=silent) as server, asking(server) as api:
        guid = api.ship(bundle({"app.py": ANSWERS % b"x"}))
        variables = [{"name": "A", "value": "1"}]
        api.ask("PATCH", f"v1/content/{guid}/environment", json=variables)
        before = api.ask("GET", f"v1/content/{guid}")

    with running(state, environ=os.environ, report=silent) as again, asking(again) as api:
        assert again == server
        assert api.ask("GET", f"v1/content/{guid}") == before
        assert api.ask("GET", f"v1/content/{guid}/environment") == ["A"]
        assert api.visit(guid).status_code == 200


def test_another_port_where_that_of_last_time_is_taken(state: Path) -> None:
    with running(state, environ=os.environ, report=silent) as server:
        first = server.url
    with (
        socket.create_server(("127.0.0.1", int(first.rpartition(":")[2]))),
        running(state, environ=os.environ, report=silent) as server,
    ):
        assert server.url != first


def test_both_ports_stay_and_are_given_back(state: Path) -> None:
    def origins() -> list[str]:
        known = json.loads((state / "server.json").read_text())
        return [known["url"], known["content_origin"]]

    with running(state, environ=os.environ, report=silent):
        first = origins()
        ports = [int(each.rpartition(":")[2]) for each in first]
    for port in ports:
        socket.create_server(("127.0.0.1", port)).close()
    with running(state, environ=os.environ, report=silent):
        assert origins() == first
    with (
        socket.create_server(("127.0.0.1", ports[1])),
        running(state, environ=os.environ, report=silent) as server,
    ):
        assert origins()[0] == server.url == first[0]
        assert origins()[1] not in first


@pytest.mark.parametrize("text", ["", "{", "[]", '{"url": 5}', '{"url": "ftp://x"}', "null"])
def test_a_server_that_noted_its_address_badly(state: Path, text: str) -> None:
    folder.make_private(state)
    (state / "server.json").write_text(text)

    assert folder.read_url(state) is None
    assert folder.begin(state) == (None, None)


def test_an_address_that_was_left_behind_is_not_asked(state: Path) -> None:
    folder.make_private(state)
    before = ("http://127.0.0.1:4", "http://localhost:5")
    folder.save_url(state, *before)

    assert folder.begin(state) == before
    assert folder.read_url(state) is None
    assert folder.begin(state) == before


def test_the_last_one_waits_for_the_end(state: Path, ended: list[subprocess.Popen[str]]) -> None:
    first = _program(
        """
        with running(state, environ=os.environ, report=silent) as server:
            say(server.url)
            time.sleep(600)
        """,
        state,
    )
    ended.append(first)
    _line(first)
    said: list[Event] = []

    with running(state, environ=os.environ, report=said.append):
        first.kill()
        first.wait()
        until(lambda: _held(state) == 1)

    assert not folder.is_served(state)
    assert "Stopping the local server" in str(said[-1])
    with folder.exclusive(state):
        pass


def _held(state: Path) -> int:
    """Return how many use the server of a state folder."""
    headers = {"Authorization": f"Key {folder.read_key(state).reveal()}"}
    url = f"{folder.read_url(state)}/__api__/__local__/leases"
    return int(httpx2.get(url, headers=headers, trust_env=False, timeout=PATIENCE).text)


def test_serving_waits_for_a_server_that_is_ending(
    state: Path, ended: list[subprocess.Popen[str]]
) -> None:
    with running(state, environ=os.environ, report=silent) as server:
        pid = json.loads((state / "server.json").read_text())["pid"]
        os.kill(pid, signal.SIGSTOP)
        os.kill(pid, signal.SIGTERM)
        new = _serve(state)
        ended.append(new)
        time.sleep(1)
        assert new.poll() is None
        os.kill(pid, signal.SIGCONT)
        assert _line(new) == server.url


def test_a_server_of_another_version_is_used_and_named(
    state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[Event] = []
    with running(state, environ=os.environ, report=silent) as first:
        monkeypatch.setattr(start, "__version__", "9.9.9")
        with running(state, environ=os.environ, report=said.append) as used:
            assert used == first

    assert f"is of hatch-connect {__version__}: restart it" in str(said)


def test_a_server_that_was_killed_is_told_apart(state: Path) -> None:
    said: list[Event] = []

    with running(state, environ=os.environ, report=said.append):
        os.kill(json.loads((state / "server.json").read_text())["pid"], signal.SIGKILL)
        until(lambda: not folder.is_served(state))

    assert [type(one) for one in said] == [Detail, Warned]
    assert f"ended unexpectedly (-9): see {state / 'server.log'}" in str(said[-1])


def test_what_the_server_runs_does_not_outlive_it(
    tmp_path: Path, ended: list[subprocess.Popen[str]]
) -> None:
    work = tmp_path / "work.py"
    work.write_text("import os, time\nprint(os.getpid(), flush=True)\ntime.sleep(600)\n")
    server = _program(
        """
        import asyncio
        from hatch_connect.local.processes import run_logged
        work = run_logged((sys.executable, state), environ={}, folder=state.parent, write=say)
        asyncio.run(work)
        """,
        work,
    )
    ended.append(server)
    pid = int(_line(server))

    server.kill()
    server.wait()

    until(lambda: not _exists(pid))


def test_what_is_cancelled_while_it_starts_ends_as_well(tmp_path: Path) -> None:
    file = tmp_path / "pid"
    program = (
        f"import os, time; open({str(file)!r}, 'w').write(f'{{os.getpid()}}.'); time.sleep(60)"
    )

    async def cancel() -> None:
        command = (sys.executable, "-c", program)
        work = run_logged(command, environ={}, folder=tmp_path, write=print)
        task = asyncio.create_task(work)
        for _ in range(2):
            await asyncio.sleep(0)
        until(lambda: file.exists() and file.read_text().endswith("."))  # asyncio is not yet told
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(cancel())
    until(lambda: not _exists(int(file.read_text().rstrip("."))))


def test_what_cannot_start_does_not_undo_a_cancellation(tmp_path: Path) -> None:
    async def cancel() -> None:
        command = (sys.executable, "-c", "")
        work = run_logged(command, environ={}, folder=tmp_path / "missing", write=print)
        task = asyncio.create_task(work)
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(cancel())


# Ends, and leaves behind what has its output.
_LEAVING = """
import subprocess, sys
subprocess.Popen((sys.executable, "-c", "import time; time.sleep(60)"), start_new_session={})
print("x", flush=True)
sys.exit(4)
"""


@pytest.mark.parametrize(
    ("command", "code"),
    [
        ((sys.executable, "-c", "import sys; print(sys.stdin.read(), 'x'); sys.exit(3)"), 3),
        ((sys.executable, "-c", "import os; print('x', flush=True); os.kill(os.getpid(), 9)"), 137),
        (("/there/is/no/x",), 127),
        ((sys.executable, "-c", _LEAVING.format("False")), 4),
        ((sys.executable, "-c", _LEAVING.format("True")), 4),
    ],
)
def test_how_what_the_server_runs_has_ended(
    command: tuple[str, ...], code: int, tmp_path: Path
) -> None:
    said: list[str] = []

    ended = asyncio.run(run_logged(command, environ={}, folder=tmp_path, write=said.append))

    assert ended == code
    assert "x" in "".join(said)
    assert len(said) == 1
