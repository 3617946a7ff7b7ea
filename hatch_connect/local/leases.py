"""Who uses a server that ends with its last user: an open connection for each.

The operating system closes the connection of a process that ends in whatever way, so that no
server is left behind.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from starlette.responses import PlainTextResponse, Response

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from starlette.requests import Request
    from starlette.types import Receive, Scope, Send

FIRST_LEASE_SECONDS = 30.0


class Leases:
    """An ASGI application whose requests last as long as their client wants the server."""

    def __init__(self, unused: Callable[[], None] | None = None) -> None:
        """Make an application that calls `unused` when the last client is gone, if it is given."""
        self._unused = unused
        self._held = 0
        self._ending = False
        self._stopping = asyncio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hold a lease until the client closes its connection."""
        if self._ending:
            refusal = PlainTextResponse("The server is ending.", status_code=503)
            await refusal(scope, receive, send)
            return
        self._held += 1
        try:
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"held\n", "more_body": True})
            await self._first_of(_disconnected(receive), self._stopping.wait())
        finally:
            self._held -= 1
            if not self._held:
                self._tell()

    async def count(self, _request: Request) -> Response:
        """Return how many leases are held."""
        return PlainTextResponse(str(self._held))

    async def wait_first(self) -> None:
        """End the server if no client has come after `FIRST_LEASE_SECONDS`."""
        await asyncio.sleep(FIRST_LEASE_SECONDS)
        if not self._held:
            self._tell()

    def stop(self) -> None:
        """End all leases, because the server stops."""
        self._ending = True
        self._stopping.set()

    def _tell(self) -> None:
        if self._unused:
            self._ending = True
            self._unused()

    @staticmethod
    async def _first_of(*waits: Coroutine[None, None, object]) -> None:
        tasks = [asyncio.ensure_future(wait) for wait in waits]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
