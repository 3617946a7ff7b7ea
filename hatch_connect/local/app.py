"""The ASGI application: access rules and routes."""

from __future__ import annotations

import secrets
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import ClientDisconnect
from starlette.routing import Mount, Route, WebSocketRoute

from hatch_connect.local.api import bundles, content, deployments, server
from hatch_connect.local.api.requests import BAD_KEY, ApiError, nobody_listens, refuse, refuse_http
from hatch_connect.local.machine import Machine
from hatch_connect.local.pages import overview
from hatch_connect.local.sockets import Sockets
from hatch_connect.local.visits import Visits

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.types import ASGIApp, Receive, Scope, Send

    from hatch_connect.local.leases import Leases
    from hatch_connect.local.machine import Setup


class KeyRequired:
    """Refuse requests without the API key, except those for the server's settings."""

    def __init__(self, app: ASGIApp, api_key: str) -> None:
        self._app = app
        self._expected = f"Key {api_key}".encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or refuse."""
        given = dict(scope["headers"]).get(b"authorization", b"")
        free = scope["path"] == f"{scope['root_path']}{server.SETTINGS.path}"
        if not free and not secrets.compare_digest(given, self._expected):
            raise ApiError(401, BAD_KEY, "The API key is missing or not valid.")
        await self._app(scope, receive, send)


def create_app(setup: Setup, leases: Leases) -> Starlette:
    """Return the application that serves the state of `setup` while its lifespan lasts."""
    machine = Machine(setup)
    visits = Visits(machine)

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
        routes=[
            server.SETTINGS,
            *server.ROUTES,
            *content.ROUTES,
            *bundles.ROUTES,
            *deployments.ROUTES,
            Route("/__local__/lease", leases),
            Route("/__local__/leases", leases.count),
        ],
        middleware=[Middleware(KeyRequired, api_key=setup.api_key.reveal())],
    )
    app = Starlette(
        routes=[
            api,
            Route("/content/{guid}", visits.visit, methods=list(visits.methods)),
            Route("/content/{guid}/{path:path}", visits.visit, methods=list(visits.methods)),
            WebSocketRoute("/content/{guid}/{path:path}", Sockets(machine).visit),
            Route("/connect/", overview),
            Route("/", overview),
        ],
        # A page of another origin must not reach this server under a name of its own.
        middleware=[Middleware(TrustedHostMiddleware, allowed_hosts=["127.0.0.1", "localhost"])],
        exception_handlers={
            ApiError: refuse,
            HTTPException: refuse_http,
            ClientDisconnect: nobody_listens,
        },
        lifespan=lifespan,
    )
    app.state.machine = machine
    return app
