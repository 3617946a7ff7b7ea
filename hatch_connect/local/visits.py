"""Visits: which bundle one is for, and its way to that content's process, or to its pages."""

from __future__ import annotations

import asyncio
import json
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import httpx2
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, RedirectResponse, StreamingResponse
from starlette.staticfiles import StaticFiles

from hatch_connect.local.access import may_edit
from hatch_connect.local.api.requests import key_of
from hatch_connect.local.checks import saved_models
from hatch_connect.local.error_pages import locked, not_started, page, too_slow
from hatch_connect.local.folder import HOST
from hatch_connect.local.machine import machine_of
from hatch_connect.local.modes import Mode, mode_of
from hatch_connect.local.processes import StartError
from hatch_connect.local.runtime_settings import Connection, QuietError
from hatch_connect.local.visitors import (
    draft_of,
    framed_by_us,
    passed_on,
    visitor_of,
    without_our_cookies,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Collection
    from pathlib import Path

    from starlette.requests import HTTPConnection, Request
    from starlette.responses import Response
    from starlette.types import Receive, Scope, Send

    from hatch_connect.local.machine import Machine
    from hatch_connect.local.processes import ContentProcess
    from hatch_connect.local.state import StoredBundle, StoredContent

# RFC 9110, 7.6.1: these are about one connection.
_HOP_BY_HOP = frozenset(
    b"connection keep-alive proxy-connection te trailer transfer-encoding upgrade".split()
)
# All content is one origin: the first two would let one serve the pages of others, or clear what is
# theirs. The date is that of this server.
_NOT_ANSWERED = (b"service-worker-allowed", b"clear-site-data", b"date")
# What visitors cannot say, whatever follows.
_OF_SERVER = (b"rstudio-connect-", b"posit-connect-", b"x-forwarded-", b"x-rsc-", b"forwarded")
_SCHEMES = {"ws": "http", "wss": "https"}
_Headers = list[tuple[bytes, bytes]]
_READING = ("GET", "HEAD")
_STATUSES = range(200, 600)  # of answers that end a request; others no server can pass on
_ATTEMPTS = 3
_SILENT = "Its process did not respond: {}."
# Servers close a connection that is not used for a while: uvicorn does after five seconds.
_LIMITS = httpx2.Limits(max_connections=None, keepalive_expiry=2)
_NO_PREDICTIONS = "The model is deployed; the local server does not serve predictions."


@dataclass(frozen=True, slots=True, kw_only=True)
class ContentTarget:
    """A deployed bundle, visited at or below `prefix`, which has no slash at its end."""

    content: StoredContent
    bundle: StoredBundle
    prefix: str

    @property
    def mode(self) -> Mode:
        """What this server does with such content."""
        return mode_of(self.bundle)

    def path(self, visit: HTTPConnection) -> bytes:
        """Return the path and query for the content's process, as they were sent."""
        cut = 0 if self.mode.learns == "at start, whole" else len(self.prefix)
        return _as_sent(visit)[cut:]


def _as_sent(visit: HTTPConnection) -> bytes:
    raw_path: bytes = visit.scope["raw_path"]
    query: bytes = visit.scope["query_string"]
    # Browsers keep a fragment to themselves, and nothing takes one.
    return (raw_path + (b"?" + query if query else b"")).partition(b"#")[0]


def find_target(visit: HTTPConnection) -> ContentTarget | None:
    """Return what a visit is for; None if nothing is deployed there."""
    machine = machine_of(visit)
    content = machine.state.content(visit.path_params["guid"])
    if content is None:
        return None
    prefix, bundle = _find(machine, content, visit)
    # If the prefix is percent-encoded needlessly, or the slash after it, it would be cut wrongly.
    plain = (visit.scope["raw_path"] + b"/").startswith(f"{prefix}/".encode())
    if bundle is None or not bundle.deployed or not plain:
        return None
    return ContentTarget(content=content, bundle=bundle, prefix=prefix)


def _find(
    machine: Machine, content: StoredContent, visit: HTTPConnection
) -> tuple[str, StoredBundle | None]:
    prefix, number = f"/content/{content.guid}", draft_of(visit)
    if number is None:
        return prefix, machine.state.active_bundle(content)
    bundle = machine.state.bundle(number)
    own = bundle is not None and bundle.content == content.id
    named = visit.path_params["path"].partition("/")[0]
    return f"{prefix}/{named}", bundle if own else None


def request_headers(visit: HTTPConnection, prefix: str) -> _Headers:
    """Return the headers for a content process: the visitor's without the key, and Connect's own.

    Connect's own headers are always set here, so that a visitor cannot forge them.
    """
    scheme = _SCHEMES.get(visit.url.scheme, visit.url.scheme)
    base = visit.base_url.replace(scheme=scheme)
    visitor = visitor_of(visit)
    own = {
        b"x-forwarded-for": (visit.client.host if visit.client else HOST).encode(),
        b"x-forwarded-proto": scheme.encode(),
        b"x-forwarded-host": visit.headers.get("host", "").encode(),
        b"x-forwarded-prefix": prefix.encode(),
        b"rstudio-connect-app-base-url": f"{str(base).rstrip('/')}{prefix}".encode(),
        b"x-rsc-request": str(base).rstrip("/").encode() + _as_sent(visit),
    }
    if visitor:
        known = {"user": visitor.name, "groups": visitor.groups}
        own[b"rstudio-connect-credentials"] = json.dumps(known).encode()
    sent = [
        (name, _own_cookies(value)) if name == b"cookie" else (name, value)
        for name, value in _of_message(visit.headers.raw)
        if _is_of_visitor(name, value, own)
    ]
    return [*((name, value) for name, value in sent if value or name != b"cookie"), *own.items()]


def _of_message(headers: _Headers) -> _Headers:
    """Return headers without those that are about one connection."""
    names = {name.lower() for name, _value in headers}
    # RFC 9112, 6.3: beside the other one it does not count.
    no_length = {b"content-length"} if b"transfer-encoding" in names else set()
    left_out = _HOP_BY_HOP | no_length
    return [(name, value) for name, value in headers if name.lower() not in left_out]


def _is_of_visitor(name: bytes, value: bytes, own: Collection[bytes]) -> bool:
    """Return whether a header may go from a visitor to content."""
    # WSGI has one name for both spellings.
    plain = name.replace(b"_", b"-")
    return (
        plain not in own
        and not plain.startswith(_OF_SERVER)
        and not (plain == b"authorization" and value.lower().startswith(b"key "))
    )


def _own_cookies(value: bytes) -> bytes:
    return without_our_cookies(value.decode("latin-1")).encode("latin-1")


def _answer_headers(headers: _Headers, prefix: str, target: str, visit: HTTPConnection) -> _Headers:
    """Return the headers for the visitor; a redirect of the content stays below its prefix."""
    answered = (
        (name, _answered(name.lower(), value, visit))
        for name, value in _of_message(headers)
        if name.lower() not in _NOT_ANSWERED
    )
    return [
        (name, _location(value, prefix, target, visit) if name.lower() == b"location" else value)
        for name, value in answered
        if value is not None
    ]


def _answered(name: bytes, value: bytes, visit: HTTPConnection) -> bytes | None:
    """Return the value of a header of content, as its visitor gets it; None for nothing."""
    if name == b"set-cookie":
        return cookie_of(value, visit)
    if name not in {b"x-frame-options", b"content-security-policy"}:
        return value
    text = framed_by_us(name.decode(), value.decode("latin-1"), visit)
    return None if text is None else text.encode("latin-1")


def cookie_of(value: bytes, visit: HTTPConnection) -> bytes | None:
    """Return a cookie that content sets, as its visitor gets it; None if it may not set it."""
    cookie = passed_on(value.decode("latin-1"), visit)
    return None if cookie is None else cookie.encode("latin-1")


def _location(value: bytes, prefix: str, target: str, visit: HTTPConnection) -> bytes:
    try:
        parts = urlsplit(value.decode("latin-1"))
    except ValueError:  # whatever it is, it is not below the prefix
        return value
    ours = {"", urlsplit(target).netloc, visit.headers.get("host", "")}
    if parts.netloc not in ours or not parts.path.startswith("/"):
        return value
    below = parts.path == prefix or parts.path.startswith(prefix + "/")
    path = parts.path if below else prefix + parts.path
    return parts._replace(scheme="", netloc="", path=path).geturl().encode("latin-1")


def not_running(
    visit: HTTPConnection, target: ContentTarget, reason: str, tail: tuple[str, ...]
) -> Response:
    """Return what a visitor gets of content whose process does not run."""
    return not_started(reason, _log_for(visit, target, tail))


def _log_for(
    visit: HTTPConnection, target: ContentTarget, tail: tuple[str, ...]
) -> tuple[str, ...]:
    """Return the end of a log for who may read it, and nothing for others."""
    visitor = visitor_of(visit)
    reads = visitor is not None and may_edit(machine_of(visit).state, target.content, visitor)
    return tail if reads else ()


class Visits:
    """Forwards the requests for content."""

    methods = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")

    def __init__(self) -> None:
        # Not a client: that would add headers, and keep the cookies of one visitor for the next.
        self._transport = httpx2.AsyncHTTPTransport(trust_env=False, limits=_LIMITS)

    async def close(self) -> None:
        """Close the connections."""
        await self._transport.aclose()

    async def visit(self, request: Request) -> Response:
        """Answer a request below `/content/{guid}/`, or `/content/{guid}/_bundle{id}/`."""
        target = find_target(request)
        if target is None:
            return page("Content not found", "", status=404)
        if target.content.settings["locked"]:
            return locked(target.content)
        if request.scope["path"] == target.prefix:
            query = f"?{request.url.query}" if request.url.query else ""
            return RedirectResponse(f"{target.prefix}/{query}")
        if target.mode.kind == "process":
            return await self._answer(request, target)
        folder = machine_of(request).files.pages(target.bundle)
        show = _show_file if target.mode.kind == "files" else _describe_model
        return await show(folder, target, request)

    async def by_vanity_path(self, request: Request) -> Response | Rewritten:
        """Answer at the path that content is found by: as the content's own URL would."""
        machine, path = machine_of(request), request.scope["path"]
        for content in machine.state.contents():
            found = content.vanity_path
            if not found or not f"{path}/".startswith(found):
                continue
            if key_of(request.scope) and request.scope["raw_path"].startswith(found.encode()):
                return Rewritten(request, f"/content/{content.guid}/", len(found))
            query = f"?{request.url.query}" if request.url.query else ""
            rest = path[len(found) :]
            return RedirectResponse(f"{machine.setup.content_url(content)}{rest}{query}")
        raise HTTPException(404)

    async def _answer(self, request: Request, target: ContentTarget) -> Response:
        machine, connection = machine_of(request), Connection(target.content)
        for _attempt in range(_ATTEMPTS):
            async with AsyncExitStack() as held:
                visiting = machine.running.visiting(target.content, target.bundle, target.prefix)
                try:
                    process = await held.enter_async_context(visiting)
                except StartError as error:
                    return not_running(request, target, error.reason, error.tail)
                try:
                    async with connection.watched():
                        answer = await self._forward(request, target, process, connection)
                    held.push_async_callback(answer.aclose)
                    if answer.status_code not in _STATUSES:
                        raise httpx2.RemoteProtocolError(f"{answer.status_code} is no status")
                except httpx2.RequestError as error:
                    # Nothing was sent yet: if it has just ended, the next one can answer.
                    if isinstance(error, httpx2.ConnectError) and await process.ends_soon():
                        continue
                    return not_running(request, target, _SILENT.format(error), process.log.tail)
                except QuietError as error:
                    return too_slow(str(error), _log_for(request, target, process.log.tail))
                origin = f"http://{HOST}:{process.port}"
                headers = _answer_headers(answer.headers.raw, target.prefix, origin, request)
                response = _Forwarded(answer, connection, held.pop_all())
                response.raw_headers = headers
                return response
        reason = "Its process ended as soon as it had started."
        return not_running(request, target, reason, process.log.tail)

    async def _forward(
        self,
        request: Request,
        target: ContentTarget,
        process: ContentProcess,
        connection: Connection,
    ) -> httpx2.Response:
        has_body = not {"content-length", "transfer-encoding"}.isdisjoint(request.headers)
        outgoing = httpx2.Request(
            request.method,
            httpx2.URL(f"http://{HOST}:{process.port}").copy_with(raw_path=target.path(request)),
            headers=request_headers(request, target.prefix),
            content=_received(request, connection) if has_body else None,
        )
        return await self._transport.handle_async_request(outgoing)


class Rewritten:
    """The answer of this application for another path."""

    def __init__(self, request: Request, start: str, cut: int) -> None:
        """Replace the first `cut` characters of the path with `start`."""
        self._app = request.app
        self._raw = start.encode() + request.scope["raw_path"][cut:]
        self._path = start + request.scope["path"][cut:]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer."""
        rewritten = {**scope, "path": self._path, "raw_path": self._raw, "root_path": ""}
        await self._app.router(rewritten, receive, send)


async def _received(request: Request, connection: Connection) -> AsyncIterator[bytes]:
    async for chunk in request.stream():
        connection.received()
        yield chunk


async def _sent(answer: httpx2.Response, connection: Connection) -> AsyncIterator[bytes]:
    async for chunk in answer.aiter_raw():  # as it is, compressed or not
        connection.sent()
        yield chunk


class _Forwarded(StreamingResponse):
    """An answer of content, whose process is in use until it was sent."""

    def __init__(
        self, answer: httpx2.Response, connection: Connection, held: AsyncExitStack
    ) -> None:
        super().__init__(_sent(answer, connection), status_code=answer.status_code)
        self._connection = connection
        self._held = held

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it; if it gets too quiet or breaks off, the connection is closed before its end."""
        async with self._held:
            with suppress(QuietError, httpx2.RequestError):
                async with self._connection.watched():
                    await super().__call__(scope, receive, send)


async def _show_file(folder: Path, target: ContentTarget, request: Request) -> Response:
    """Return a file of content; its first page for the path of the content itself."""
    first = target.bundle.entrypoint
    path = request.scope["path"][len(target.prefix) :].lstrip("/")
    if not path and "/" in first:
        # The links of a page are relative to where it lies.
        return RedirectResponse(f"{target.prefix}/{first}")
    try:
        return await StaticFiles(directory=folder, html=True).get_response(
            path or first, request.scope
        )
    except HTTPException as error:
        return page("Page not found", "", status=error.status_code)
    except RuntimeError:  # of StaticFiles, for a folder that is gone
        return page(
            "The files of this content no longer exist", "<p>Deploy it again.</p>", status=502
        )


async def _describe_model(folder: Path, target: ContentTarget, request: Request) -> Response:
    """Return what is known of a TensorFlow model; a request for a prediction is refused."""
    if request.method not in _READING:
        return JSONResponse({"error": _NO_PREDICTIONS}, status_code=501)
    models = await asyncio.to_thread(saved_models, folder)
    return JSONResponse(
        {
            "app_mode": target.bundle.app_mode,
            "bundle_id": str(target.bundle.id),
            "saved_models": list(models),
            "message": _NO_PREDICTIONS,
        }
    )
