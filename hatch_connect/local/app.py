"""The ASGI application: access rules, routes, and the leases of its users.

A server of `running` ends with its last user, who holds an open connection. The operating system
closes the connection of a process that ends in whatever way, so that no server is left behind.
"""

from __future__ import annotations

import asyncio
import secrets
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Mount, Route, WebSocketRoute

from hatch_connect import __version__
from hatch_connect.local import sessions
from hatch_connect.local.api import server, thumbnails
from hatch_connect.local.api.requests import (
    UNWRITTEN,
    ApiError,
    Correlated,
    bad_key,
    key_of,
    nobody_listens,
    refuse,
    refuse_failure,
    refuse_http,
    refuse_unwritten,
)
from hatch_connect.local.api.routes import Api
from hatch_connect.local.dashboard.site import create_dashboard
from hatch_connect.local.error_pages import not_found
from hatch_connect.local.folder import ENDS, VERSION
from hatch_connect.local.origins import Origins, Protected
from hatch_connect.local.sockets import visit_socket
from hatch_connect.local.tasks import until_first
from hatch_connect.local.versions import AsRelease
from hatch_connect.local.visitors import AtContent, AtDashboard
from hatch_connect.local.visits import Visits

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from starlette.requests import Request
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from hatch_connect.local.machine import Machine
    from hatch_connect.local.users import User

FIRST_LEASE_SECONDS = 30.0
# Who asks for the others, which are not here, has no key yet.
_WITHOUT_KEY = (
    *(server.SETTINGS.path, "/v1/server_settings/public"),
    *("/v1/bootstrap", "/v1/experimental/bootstrap", "/tokens"),
)


def _refuse_http(request: Request, error: Exception) -> Response:
    """Answer to a path or method that there is not: a person with a page."""
    path, accepted = request.scope["path"], request.headers.get("accept", "")
    if path.startswith("/__api__/") or "text/html" not in accepted:
        return refuse_http(request, error)
    return not_found()


_REFUSALS: dict[type[Exception], Callable[[Request, Exception], Response]] = {
    ApiError: refuse,
    HTTPException: _refuse_http,
    **dict.fromkeys(UNWRITTEN, refuse_unwritten),
    ClientDisconnect: nobody_listens,
    **sessions.REFUSALS,
}


class _KeyRequired:
    """Refuse requests without an API key, except those for the server's settings.

    Only the developer's key is good for what is not Connect's API.
    """

    def __init__(self, app: ASGIApp, machine: Machine) -> None:
        self._app = app
        self._machine = machine

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or refuse."""
        path = scope["path"].removeprefix(scope["root_path"])
        user = self._user(scope, path)
        if user is None and path not in _WITHOUT_KEY:
            raise bad_key()
        scope["user"] = user
        await self._app(scope, receive, send)

    def _user(self, scope: Scope, path: str) -> User | None:
        key = key_of(scope)
        own = key is not None and secrets.compare_digest(
            key.encode(), self._machine.setup.api_key.reveal().encode()
        )
        if own or path.startswith("/__local__/"):
            return self._machine.users.own if own else None
        return None if key is None else self._machine.user_of_key(key)


def create_app(machine: Machine, leases: Leases) -> ASGIApp:
    """Return the application of a machine, which works while its lifespan lasts."""
    setup = machine.setup
    visits = Visits()

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        await machine.start()
        try:
            yield
        finally:
            await visits.close()
            await machine.stop()

    api = Mount(
        "/__api__",
        app=Api(
            Route("/__local__/lease", leases),
            Route("/__local__/leases", leases.count),
            sessions.MAKE_LOGIN,
        ),
        middleware=[Middleware(_KeyRequired, machine=machine)],
    )
    for_browsers = Mount(
        "",
        routes=[
            *_visiting(visits, AtDashboard),
            sessions.LOGIN,
            Route("/connect", _to_dashboard),
            Mount("/connect", create_dashboard(machine, leases.stopping)),
            Route("/", _to_dashboard),
            Route("/{path:path}", visits.by_vanity_path, methods=list(visits.methods)),
        ],
        middleware=[Middleware(sessions.Sessions, machine=machine)],
    )
    dashboard = Starlette(
        routes=[api, for_browsers],
        middleware=[Middleware(Correlated), Middleware(Protected, setup=setup)],
        exception_handlers={**_REFUSALS, Exception: refuse_failure},
        lifespan=lifespan,
    )
    content_only = Starlette(routes=_visiting(visits, AtContent), exception_handlers=_REFUSALS)
    dashboard.state.machine = content_only.state.machine = machine
    release, report = setup.claims.release, setup.report
    origins = Origins(dashboard, content_only, setup)
    return _Ending(AsRelease(origins, release=release, report=report))


def _visiting(visits: Visits, admit: type[AtDashboard | AtContent]) -> list[BaseRoute]:
    """Return the routes of content; `admit` says who may visit it."""
    only = [Middleware(admit)]
    visit, methods = visits.visit, list(visits.methods)
    whole = "/content/{guid}/{path:path}"
    return [
        Route("/content/{guid}/__thumbnail__", thumbnails.picture, middleware=only),
        Route("/content/{guid}", visit, methods=methods, middleware=only),
        Route(whole, visit, methods=methods, middleware=only),
        WebSocketRoute(whole, visit_socket, middleware=only),
    ]


async def _to_dashboard(_request: Request) -> Response:
    return RedirectResponse(sessions.DASHBOARD)


class _Ending:
    """Ends the answers that are still being given when the server stops waiting for them."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer; only the server cancels a request."""
        started = False

        async def noticed(message: Message) -> None:
            nonlocal started
            started = started or message["type"] == "http.response.start"
            await send(message)

        try:
            await self._app(scope, receive, noticed)
        except asyncio.CancelledError:
            if scope["type"] != "http":
                raise
            with suppress(Exception):  # what was begun may have announced a longer body
                if started:
                    await send({"type": "http.response.body", "body": b""})
                else:
                    ending = PlainTextResponse("The server is stopping.", status_code=503)
                    await ending(scope, receive, send)


class Leases:
    """An ASGI application whose requests last as long as their client wants the server."""

    def __init__(self, unused: Callable[[], None] | None = None) -> None:
        """Make an application that calls `unused` when the last client is gone, if it is given."""
        self._unused = unused
        self._held = 0
        self._ending = False
        self.stopping = asyncio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hold a lease until the client closes its connection."""
        if self._ending:
            refusal = PlainTextResponse("The server is ending.", status_code=503)
            await refusal(scope, receive, send)
            return
        self._held += 1
        try:
            ends = "yes" if self._unused else "no"
            headers = [(VERSION.encode(), __version__.encode()), (ENDS.encode(), ends.encode())]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            await send({"type": "http.response.body", "body": b"held\n", "more_body": True})
            await until_first(_disconnected(receive), self.stopping.wait())
        finally:
            self._held -= 1
            if not self._held:
                self._end()

    async def count(self, _request: Request) -> Response:
        """Return how many leases are held, unless the server is ending."""
        if self._ending:
            return PlainTextResponse("The server is ending.", status_code=503)
        return PlainTextResponse(str(self._held))

    async def wait_first(self) -> None:
        """End the server if no client has come after `FIRST_LEASE_SECONDS`."""
        await asyncio.sleep(FIRST_LEASE_SECONDS)
        if not self._held:
            self._end()

    def stop(self) -> None:
        """End all leases, because the server stops."""
        self._ending = True
        self.stopping.set()

    def _end(self) -> None:
        if self._unused:
            self._ending = True
            self._unused()


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
