"""Logs as they grow, by server-sent events; what was missed comes again after a reconnect."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from typing import TYPE_CHECKING

from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, StreamingResponse
from starlette.routing import Route

from hatch_connect.local.access import seen_by
from hatch_connect.local.api.requests import read_number, whole_number
from hatch_connect.local.dashboard.described import logs_of
from hatch_connect.local.dashboard.pages import viewed
from hatch_connect.local.dashboard.rendering import clock, render, shown, without_controls
from hatch_connect.local.machine import machine_of
from hatch_connect.local.sessions import require_session

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.requests import Request
    from starlette.responses import Response

    from hatch_connect.local.dashboard.pages import Viewed
    from hatch_connect.local.logs import LogEntry

HEARTBEAT_SECONDS = 15.0
_RETRY = "retry: 1000\n\n"
_NOTHING = ": nothing new\n\n"


async def states(request: Request) -> Response:
    """Return the states of all content that the user may see, or of one, as pages show them."""
    user, machine = require_session(request).user, machine_of(request)
    wanted = request.query_params.get("guid")
    return JSONResponse(
        {
            content.guid: render("state.html", status=machine.status(content))
            for content in seen_by(user, machine.state)
            if wanted in {None, content.guid}
        }
    )


async def stream(request: Request) -> Response:
    """Send the lines of a log from number `first` on, or those after the last that was received."""
    found = viewed(request, editing=True)
    key = _key(request)
    first = whole_number(request.headers.get("last-event-id", ""))
    first = read_number(request, "first") if first is None else first
    return StreamingResponse(
        events_of(found, key, first, request.app.state.stopping),
        media_type="text/event-stream",
        headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
    )


async def download(request: Request) -> Response:
    """Return a whole log as text."""
    found = viewed(request, editing=True)
    key = _key(request)
    entries = found.machine.logs.each(key)
    name = f'attachment; filename="{found.content.name}-{key}.log"'
    return StreamingResponse(
        (f"{entry.timestamp} {entry.source} {entry.data}\n" for entry in entries),
        media_type="text/plain",
        headers={"Content-Disposition": name},
    )


def _key(request: Request) -> str:
    """Return the key of a log of the content that a path names; raises HTTPException."""
    found = viewed(request, editing=True)
    key: str = request.path_params["key"]
    if key not in {log.key for log in logs_of(found.machine, found.content)}:
        raise HTTPException(404, "There is no such log.")
    return key


async def events_of(
    found: Viewed, key: str, first: int, stopping: asyncio.Event
) -> AsyncIterator[str]:
    """Yield an event for each line, whose id is the number of lines up to it, and one at the end.

    A comment now and then keeps what lies between from closing the connection. Without the last
    event, as when the server stops, a browser asks again.
    """
    yield _RETRY
    parts = aiter(found.machine.logs.follow_parts(key, first))
    number, waiting = first, asyncio.ensure_future(anext(parts, None))
    stop = asyncio.ensure_future(stopping.wait())
    try:
        while True:
            done, _pending = await asyncio.wait(
                (waiting, stop), timeout=HEARTBEAT_SECONDS, return_when=asyncio.FIRST_COMPLETED
            )
            if stop in done:
                return
            if not done:
                yield _NOTHING
                continue
            if (entries := waiting.result()) is None:
                break
            numbered = enumerate(entries, number + 1)
            yield "".join(f"id: {n}\ndata: {_data(entry)}\n\n" for n, entry in numbered)
            number += len(entries)
            waiting = asyncio.ensure_future(anext(parts, None))
    finally:
        for one in (stop, waiting):
            one.cancel()
        with suppress(asyncio.CancelledError):
            await waiting
    yield f"id: {number}\nevent: end\ndata: {_end(found, key)}\n\n"


def _data(entry: LogEntry) -> str:
    text = shown(without_controls(entry.data))
    told = {"source": entry.source, "time": entry.timestamp, "clock": clock(entry.timestamp)}
    return json.dumps({**told, "text": text})


def _end(found: Viewed, key: str) -> str:
    ended = next((log for log in logs_of(found.machine, found.content) if log.key == key), None)
    return json.dumps({"end": ended.end, "error": ended.error} if ended else {})


_LOG = "/apps/{guid}/logs/{key}"
ROUTES = (
    Route("/states", states, methods=["GET"]),
    Route(_LOG + "/stream", stream, methods=["GET"]),
    Route(_LOG + "/download", download, methods=["GET"]),
)
