"""When processes of content start and end, and what visits get meanwhile."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING

import httpx2
import pytest
from support.connect_content import ANSWERS, ASGI_APP, bundle
from support.waiting import PATIENCE, until
from websockets.exceptions import ConnectionClosed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.local_api import Api

# Answers with its process and its variable, in a way that the path says.
_APP = b"""
import asyncio, os, pathlib

async def app(scope, receive, send):
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        while (await receive())["type"] == "websocket.receive":
            await send({"type": "websocket.send", "text": str(os.getpid())})
        return
    headers = [(b"content-type", b"text/plain")]
    if scope["path"] == "/silent":
        await asyncio.sleep(3600)
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    if scope["path"] == "/waits":
        await send({"type": "http.response.body", "body": b"begun ", "more_body": True})
        while not pathlib.Path("go-on").exists():
            await asyncio.sleep(0.05)
    body = f"{os.getpid()} {os.environ.get('MODE')}".encode()
    await send({"type": "http.response.body", "body": body})
"""
_SLOW = b"import time; time.sleep(1)\n"


def _set(api: Api, guid: str, **fields: object) -> None:
    api.ask("PATCH", f"v1/content/{guid}", json=fields)


def _has_ended(api: Api, guid: str) -> bool:
    return all(job["end_time"] for job in api.jobs(guid))


def _log(api: Api, guid: str) -> list[str]:
    path = f"v1/content/{guid}/jobs/{api.jobs(guid)[0]['key']}/log"
    return [entry["data"] for entry in api.ask("GET", path)["entries"]]


@contextmanager
def _open(api: Api, guid: str, path: str) -> Iterator[Iterator[bytes]]:
    """Begin a request; yield what comes of its answer, of which the first part is there."""
    headers = {"Authorization": api.client.headers["Authorization"]}
    url = f"{api.server.url}/content/{guid}/{path}"
    with httpx2.stream("GET", url, headers=headers, trust_env=False, timeout=PATIENCE) as answer:
        parts = answer.iter_raw()
        assert next(parts) == b"begun "
        yield parts


def test_a_process_that_nobody_uses_ends(api: Api) -> None:
    guid = api.ship(bundle({"app.py": _APP}), idle_timeout=1)
    first = api.visit(guid).text

    until(lambda: _has_ended(api, guid))

    assert any("1 s (idle_timeout)" in line for line in _log(api, guid))
    assert api.visit(guid).text != first
    assert len(api.jobs(guid)) == 2


def test_a_draft_ends_as_well(api: Api) -> None:
    guid = api.ship(bundle({"app.py": _APP}), idle_timeout=1)
    draft = api.upload(guid, bundle({"app.py": _APP}))
    api.deploy(guid, draft, activate=False)
    assert api.visit(guid, f"_bundle{draft}/").status_code == 200

    until(lambda: _has_ended(api, guid))


def test_an_open_request_or_socket_keeps_a_process(api: Api) -> None:
    guids = [api.ship(bundle({"app.py": _APP}), idle_timeout=1) for _ in range(3)]
    asked, talking, other = guids
    with _open(api, asked, "waits"), api.connect(talking, "") as socket:
        socket.send("")
        pid = socket.recv()
        # The one that nobody uses began last, and ends nevertheless.
        api.visit(other)
        until(lambda: _has_ended(api, other))
        assert not _has_ended(api, asked)
        socket.send("")
        assert socket.recv() == pid
    until(lambda: _has_ended(api, asked) and _has_ended(api, talking))


def test_a_time_out_applies_to_the_process_that_runs(api: Api) -> None:
    guid = api.ship(bundle({"app.py": _APP}))
    api.visit(guid)
    assert not _has_ended(api, guid)

    _set(api, guid, idle_timeout=1)

    until(lambda: _has_ended(api, guid))


@pytest.mark.parametrize("name", ["read_timeout", "connection_timeout"])
def test_an_answer_that_does_not_come(api: Api, name: str) -> None:
    guid = api.ship(bundle({"app.py": _APP}))
    pid = api.visit(guid).text
    _set(api, guid, **{name: 1})

    answer = api.visit(guid, "silent")

    assert answer.status_code == 504
    assert f"1 s ({name})" in answer.text
    assert api.visit(guid).text == pid


@pytest.mark.parametrize("name", ["read_timeout", "connection_timeout"])
def test_an_answer_that_does_not_go_on(api: Api, name: str) -> None:
    guid = api.ship(bundle({"app.py": _APP}), **{name: 1})

    with _open(api, guid, "waits") as parts, pytest.raises(httpx2.RemoteProtocolError):
        next(parts)


@pytest.mark.parametrize("name", ["read_timeout", "connection_timeout"])
def test_a_quiet_socket_is_closed(api: Api, name: str) -> None:
    guid = api.ship(bundle({"app.py": _APP}), **{name: 1})

    with api.connect(guid, "") as socket, pytest.raises(ConnectionClosed) as closed:
        socket.recv(PATIENCE)

    assert closed.value.rcvd
    assert (closed.value.rcvd.code, f"1 s ({name})" in closed.value.rcvd.reason) == (1001, True)


def test_a_least_number_of_processes_is_there_without_a_visit(api: Api) -> None:
    guid = api.ship(bundle({"app.py": _APP}), idle_timeout=1, min_processes=1)
    until(lambda: api.jobs(guid))
    other = api.ship(bundle({"app.py": _APP}), idle_timeout=1)
    api.visit(other)
    until(lambda: _has_ended(api, other))
    assert not _has_ended(api, guid)

    _set(api, guid, min_processes=0)
    until(lambda: _has_ended(api, guid))
    _set(api, guid, min_processes=1)
    until(lambda: not _has_ended(api, guid))
    # Another bundle is started before it takes over.
    second = api.upload(guid, bundle({"app.py": ANSWERS % b"second"}))
    task = api.deploy(guid, second)
    assert "Starting its process before it takes over" in task["output"]
    assert api.jobs(guid)[0]["bundle_id"] == second


def test_what_has_no_effect_is_said(api: Api) -> None:
    guid = api.ship(max_processes=3, load_factor=0.5, memory_limit=1 << 30, min_processes=1)
    api.visit(guid)

    several, elsewhere, *_ = _log(api, guid)

    assert several.endswith("one process, whatever is set: max_processes, load_factor.")
    assert elsewhere == "Settings without effect on the local server: memory_limit."


def test_locked_content_does_not_run(api: Api) -> None:
    guid = api.ship(bundle({"app.py": _APP}))
    api.visit(guid)

    _set(api, guid, locked=True, locked_message="Use the <new> one.")

    until(lambda: _has_ended(api, guid))
    answer = api.visit(guid)
    assert answer.status_code == 403
    assert "Use the &lt;new&gt; one." in answer.text
    assert api.refused("POST", f"v1/content/{guid}/deploy", json={}) == (403, 222)
    assert api.refused("POST", f"v1/content/{guid}/bundles", content=b"") == (403, 222)
    _set(api, guid, locked=False)
    assert api.visit(guid).status_code == 200


def test_visits_at_the_same_time_start_one_process(api: Api) -> None:
    guid = api.ship(bundle({"app.py": _SLOW + _APP}))

    with ThreadPoolExecutor(6) as pool:
        answers = {answer.text for answer in pool.map(lambda _: api.visit(guid), range(6))}

    assert len(answers) == 1
    assert len(api.jobs(guid)) == 1


def test_all_who_wait_learn_why_it_did_not_start(api: Api) -> None:
    guid = api.ship(bundle({"app.py": _SLOW + b"raise ValueError('no way')"}))

    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda _: api.visit(guid), range(6)))

    assert {answer.status_code for answer in answers} == {502}
    assert all("no way" in answer.text for answer in answers)
    assert len(api.jobs(guid)) < 6


@contextmanager
def _visiting(api: Api, guid: str) -> Iterator[list[str]]:
    """Visit content all the time; every answer must be one."""
    done, seen, failed = threading.Event(), list[str](), list[str]()

    def visit() -> None:
        while not done.is_set():
            answer = api.visit(guid)
            (seen if answer.status_code == 200 else failed).append(answer.text)

    with ThreadPoolExecutor(2) as pool:
        try:
            for _ in range(2):
                pool.submit(visit)
            yield seen
        finally:
            done.set()
    assert failed == []


def test_a_visit_while_variables_change_is_answered(api: Api) -> None:
    guid = api.ship(bundle({"app.py": _APP}))
    path = f"v1/content/{guid}/environment"
    with _open(api, guid, "waits") as parts, _visiting(api, guid) as seen:
        for mode in ("one", "two"):
            api.ask("PATCH", path, json=[{"name": "MODE", "value": mode}])
            until(lambda wanted=mode: seen and seen[-1].endswith(wanted))  # type: ignore[misc]
        # What the first process was asked before may finish.
        number = api.ask("GET", f"v1/content/{guid}")["bundle_id"]
        (api.server.state / "unpacked" / number / "go-on").touch()
        assert next(parts).endswith(b"None")


def test_a_visit_in_the_middle_of_an_activation_is_answered(api: Api) -> None:
    guid = api.ship(bundle({"app.py": ANSWERS % b"first"}))
    second = api.upload(guid, bundle({"app.py": _SLOW + ANSWERS % b"second"}))
    with _visiting(api, guid) as seen:
        until(lambda: "first" in seen)
        task = api.deploy(guid, second)
        until(lambda: "second" in seen)
    assert task["code"] == 0
    assert "Starting its process before it takes over" in task["output"]
    (before,) = (job for job in api.jobs(guid) if job["bundle_id"] != second)
    until(lambda: api.ask("GET", f"v1/content/{guid}/jobs/{before['key']}")["end_time"])


@pytest.mark.parametrize("session", [b"False", b"True"])
def test_what_a_process_leaves_behind_does_not_keep_it(api: Api, session: bytes) -> None:
    leaving = b"import subprocess; subprocess.Popen(['sleep', '60'], start_new_session=%s)\n"
    guid = api.ship(bundle({"app.py": leaving % session + ASGI_APP}))
    assert api.visit(guid, "die").status_code == 502

    until(lambda: _has_ended(api, guid))

    assert api.jobs(guid)[0]["exit_code"] == 7


def test_a_bundle_that_does_not_start_takes_over_nevertheless(api: Api) -> None:
    guid = api.ship(bundle({"app.py": ANSWERS % b"first"}))
    api.visit(guid)
    broken = api.upload(guid, bundle({"app.py": b"raise ValueError"}))

    task = api.deploy(guid, broken)

    assert task["code"] == 0
    assert any(line.startswith("It did not start: ") for line in task["output"])
    assert api.visit(guid).status_code == 502
