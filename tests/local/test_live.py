"""Logs as they grow: server-sent events over a real connection."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import httpx2
import pytest
from support.connect_content import ANSWERS, bundle
from support.dashboard import signed_in
from support.local_api import asking
from support.sandbox import Sandbox
from support.waiting import PATIENCE, until

from hatch_connect.local.dashboard import live
from hatch_connect.local.dashboard.described import LINES
from hatch_connect.local.folder import LocalServer, read_key, read_url
from hatch_connect.local.logs import JobLog, Logs

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from support.dashboard import Dashboard
    from support.local_api import Api

TALKS = b"""
import sys

async def app(scope, receive, send):
    if scope["type"] != "http":
        return
    print("out", scope["path"])
    print("\\x1b[31merr\\x1b[0m", scope["path"], file=sys.stderr)
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"said"})
"""


@dataclass(frozen=True)
class Event:
    id: int
    name: str
    data: dict[str, str]


class Stream:
    """What an EventSource gets."""

    def __init__(self, answer: httpx2.Response) -> None:
        self.answer = answer
        self._lines = answer.iter_lines()

    def __iter__(self) -> Iterator[Event]:
        fields: dict[str, str] = {}
        for line in self._lines:
            name, _, value = line.partition(": ")
            if line:
                fields[name] = value
            elif "data" in fields:
                name = fields.get("event", "message")
                yield Event(int(fields["id"]), name, json.loads(fields["data"]))
                fields = {}
            else:
                fields = {}

    def until(self, text: str) -> list[Event]:
        """Return the events up to the one that has this text."""
        found = []
        for event in self:
            found.append(event)
            if event.data.get("text") == text:
                return found
        raise AssertionError(f"{text!r} is not in {found}")


@pytest.fixture
def dashboard(api: Api) -> Iterator[Dashboard]:
    with signed_in(api) as dashboard:
        yield dashboard


@contextmanager
def streaming(dashboard: Dashboard, path: str, after: int | None = None) -> Iterator[Stream]:
    headers = {"Accept": "text/event-stream"}
    if after is not None:
        headers["Last-Event-ID"] = str(after)
    with dashboard.client.stream("GET", f"{dashboard.url}{path}", headers=headers) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        yield Stream(answer)


def test_lines_come_as_they_are_written_and_go_on_after_a_reconnect(
    api: Api, dashboard: Dashboard
) -> None:
    guid = api.ship(bundle({"app.py": TALKS}))
    api.ask("PATCH", f"v1/content/{guid}", json={"idle_timeout": 0})
    assert api.visit(guid, "first").text == "said"
    log = dashboard.get(f"/apps/{guid}/logs").one("div", role="log")
    path = log["data-stream"]
    with streaming(dashboard, path.partition("?")[0]) as stream:
        seen = stream.until("err /first")
        assert [event.id for event in seen] == list(range(1, len(seen) + 1))
        assert seen[-1].data["source"] == "stderr"
        api.visit(guid, "second")
        last = stream.until("err /second")[-1].id
    api.visit(guid, "third")
    with streaming(dashboard, path, after=last) as stream:
        missed = stream.until("err /third")
        assert not any("/second" in event.data["text"] for event in missed if event.id <= last)
        assert missed[0].id == last + 1
        page = dashboard.get(f"/apps/{guid}")
        dashboard.press(page, "Stop")
        *_, end = stream
    assert end.name == "end"
    assert end.data["end"] == "stopped"
    with streaming(dashboard, path, after=end.id) as stream:
        assert [event.name for event in stream] == ["end"]
    page = dashboard.get(f"/apps/{guid}/logs")
    assert "data-stream" not in page.one("div", role="log").attributes


def test_a_deployment_is_followed_to_its_error(api: Api, dashboard: Dashboard) -> None:
    guid = api.create()
    task = api.deploy(guid, api.upload(guid, b"no archive"))
    with streaming(dashboard, f"/connect/apps/{guid}/logs/{task['id']}/stream?first=0") as stream:
        *lines, end = stream
    assert [event.data["text"] for event in lines] == task["output"]
    assert end.data == {"end": "failed", "error": task["error"]}


def test_a_log_of_other_content_is_not_there(api: Api, dashboard: Dashboard) -> None:
    guid = api.create()
    task = api.deploy(guid, api.upload(guid, b"no archive"))
    for what in ("", "/stream", "/download"):
        dashboard.get(f"/apps/{api.create()}/logs/{task['id']}{what}", 404)
    url = f"{dashboard.url}/connect/apps/{guid}/logs/{task['id']}/stream"
    assert httpx2.get(url, trust_env=False).status_code == 401


def test_the_end_of_a_long_log_is_shown_and_all_of_it_downloaded(
    api: Api, dashboard: Dashboard
) -> None:
    source = b"for number in range(5_000):\n    print('line', number)\n" + ANSWERS % b"said"
    guid = api.ship(bundle({"app.py": source}))
    assert api.visit(guid).text == "said"
    page = dashboard.get(f"/apps/{guid}/logs")
    log = page.one("div", role="log")
    assert len(log.all("p")) == LINES
    assert "line 4999" in log.text
    assert "of 5,0" in page.text
    (link,) = (a for a in page.all("a") if a.text == "Download the whole log")
    whole = dashboard.client.get(dashboard.url + link["href"])
    assert whole.headers["content-disposition"].startswith("attachment; ")
    assert sum(" stdout line " in line for line in whole.text.splitlines()) == 5_000


def test_silence_is_filled_so_that_nothing_closes_the_connection(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "HEARTBEAT_SECONDS", 0.01)

    async def listen() -> list[str]:
        logs = Logs(tmp_path)
        log: JobLog = logs.open("key")
        state = SimpleNamespace(jobs=lambda _content: (), deployments=lambda _content: ())
        found: Any = SimpleNamespace(
            machine=SimpleNamespace(logs=logs, state=state), content=SimpleNamespace(guid="g")
        )
        events = aiter(live.events_of(cast("Any", found), "key", 0, asyncio.Event()))
        got = [await anext(events), await anext(events), await anext(events)]
        log.write("stdout", "at last")
        while "at last" not in got[-1]:
            got.append(await anext(events))
        log.close()
        return [*got, *[event async for event in events]]

    first, *middle, last = asyncio.run(listen())
    assert first == "retry: 1000\n\n"
    assert middle[:2] == [": nothing new\n\n"] * 2
    assert last.startswith("id: 1\nevent: end\n")


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_a_server_that_stops_waits_for_nobody_who_follows_a_log(tmp_path: Path) -> None:
    sandbox = Sandbox.make(tmp_path)
    with subprocess.Popen(
        [sys.executable, "-P", "-m", "hatch_connect", "local"],
        cwd=tmp_path,
        env=sandbox.environ,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            _follow_while_it_stops(sandbox, process)
            said = process.communicate(timeout=PATIENCE)[1]
        finally:
            process.kill()
    assert (process.returncode, "timeout" in said) == (0, False), said


def _follow_while_it_stops(sandbox: Sandbox, process: subprocess.Popen[str]) -> None:
    folder = sandbox.home / "state" / "hatch-connect" / "local"
    until(lambda: read_url(folder), process)
    server = LocalServer(url=read_url(folder) or "", api_key=read_key(folder), state=folder)
    with asking(server) as api, signed_in(api) as dashboard:
        guid = api.ship()
        api.ask("PATCH", f"v1/content/{guid}", json={"idle_timeout": 0})
        assert api.visit(guid).status_code == 200
        path = dashboard.get(f"/apps/{guid}/logs").one("div", role="log")["data-stream"]
        with streaming(dashboard, path, after=0) as stream:
            first = next(iter(stream))
            process.send_signal(signal.SIGINT)
            assert not any(event.name == "end" for event in [first, *stream])
