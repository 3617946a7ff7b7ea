"""Which of the two origins a request is for, and what protects the one of the dashboard.

Browsers let any page ask this machine, and any name can be made to lead to it: what a request says
of where it goes and comes from must be ours, to the letter.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse

from hatch_connect.local.api.requests import XSRF, ApiError, key_of, refuse
from hatch_connect.local.error_pages import STYLE_HASH
from hatch_connect.local.folder import CONTENT_HOST, HOST

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from hatch_connect.local.setup import Setup

READING = ("GET", "HEAD")


class Origins:
    """Send each request to the application whose origin its Host header names.

    What is asked of the other host of a port is redirected; the API is answered there too, since
    clients that know it by that host take no redirects.
    """

    def __init__(self, dashboard: ASGIApp, content: ASGIApp, setup: Setup) -> None:
        self._lifespan = dashboard
        ports = urlsplit(setup.url).port, urlsplit(setup.content_origin).port
        self._apps: dict[str, ASGIApp] = {
            f"{HOST}:{ports[0]}": dashboard,
            f"{CONTENT_HOST}:{ports[0]}": _OtherHost(setup.url, dashboard),
            f"{HOST}:{ports[1]}": _OtherHost(setup.content_origin),
            f"{CONTENT_HOST}:{ports[1]}": content,
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        if scope["type"] == "lifespan":
            await self._lifespan(scope, receive, send)
            return
        hosts = [value for name, value in scope["headers"] if name == b"host"]
        # A target with a host of its own would count more than the header: none is taken.
        named = hosts[0].decode("latin-1") if len(hosts) == 1 and _is_path(scope) else ""
        refusal = PlainTextResponse("This server has another name.", status_code=400)
        await self._apps.get(named, refusal)(scope, receive, send)


def _is_path(scope: Scope) -> bool:
    return bool(scope["path"].startswith("/"))


class _OtherHost:
    """Redirect to the host that an origin has; with `api`, let it answer what has a key."""

    def __init__(self, origin: str, api: ASGIApp | None = None) -> None:
        self._origin = origin
        self._api = api

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or redirect what only reads."""
        if self._api and (key_of(scope) is not None or scope["path"].startswith("/__api__/")):
            await self._api(scope, receive, send)
            return
        answer: ASGIApp = PlainTextResponse(f"This is at {self._origin}.", status_code=400)
        if scope["type"] == "http" and scope["method"] in READING:
            query = b"?" + scope["query_string"] if scope["query_string"] else b""
            answer = RedirectResponse(
                self._origin + (scope["raw_path"] + query).decode("latin-1"), 307
            )
        await answer(scope, receive, send)


class Protected:
    """Refuse what other pages make a browser send to the dashboard, and keep its own pages apart.

    Content is answered as it is: only programs get it at this origin.
    """

    def __init__(self, app: ASGIApp, setup: Setup) -> None:
        self._app = app
        self._origin = setup.url
        self._headers = {
            "Content-Security-Policy": "; ".join(
                (
                    "default-src 'none'",
                    "script-src 'self'",
                    f"style-src 'self' 'sha256-{STYLE_HASH}'",
                    f"img-src 'self' data: {setup.content_origin}",
                    "connect-src 'self'",
                    f"frame-src {setup.content_origin}",
                    "form-action 'self'",
                    "base-uri 'none'",
                    "frame-ancestors 'none'",
                )
            ),
            "X-Frame-Options": "DENY",
            "X-Content-Type-Options": "nosniff",
            # With less, browsers say of a form of ours that it comes from nowhere.
            "Referrer-Policy": "same-origin",
            "Cross-Origin-Opener-Policy": "same-origin",
            "Cross-Origin-Resource-Policy": "same-origin",
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or refuse."""
        app = _refusal if self._is_foreign(scope) else self._app
        if scope["type"] != "http" or scope["path"].startswith("/content/"):
            await app(scope, receive, send)
            return

        async def send_protected(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in self._headers.items():
                    headers.setdefault(name, value)
                if headers.get("content-type", "").startswith("text/html"):
                    headers.setdefault("Cache-Control", "no-store")
            await send(message)

        await app(scope, receive, send_protected)

    def _is_foreign(self, scope: Scope) -> bool:
        if scope["type"] != "http" or scope["method"] in READING:
            return False
        origins = [value for name, value in scope["headers"] if name == b"origin"]
        return bool(origins) and origins != [self._origin.encode()]


async def _refusal(scope: Scope, receive: Receive, send: Send) -> None:
    error = ApiError(403, XSRF, "Pages of other origins cannot change anything here.")
    await refuse(Request(scope), error)(scope, receive, send)
