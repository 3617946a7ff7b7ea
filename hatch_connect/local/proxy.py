"""Visits: a request for content goes to the process that serves it, streamed both ways."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import httpx2
from starlette.responses import RedirectResponse, StreamingResponse

from hatch_connect.errors import BundleError
from hatch_connect.local.launch import StartError
from hatch_connect.local.pages import not_started, page

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.requests import Request
    from starlette.responses import Response

    from hatch_connect.local.machine import Machine
    from hatch_connect.local.state import Content, StoredBundle

# RFC 9110, 7.6.1: these are about one connection.
_HOP_BY_HOP = frozenset(
    b"connection keep-alive proxy-connection te trailer transfer-encoding upgrade".split()
)
_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
Headers = list[tuple[bytes, bytes]]


class Visits:
    """Forwards the requests for content."""

    methods = _METHODS

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        # Not a client: that would add headers, and keep the cookies of one visitor for the next.
        self._transport = httpx2.AsyncHTTPTransport(
            trust_env=False, limits=httpx2.Limits(max_connections=None)
        )

    async def close(self) -> None:
        """Close the connections."""
        await self._transport.aclose()

    async def visit(self, request: Request) -> Response:
        """Answer a request below `/content/{guid}/`, or `/content/{guid}/_bundle{id}/`."""
        path = request.scope["path"]
        content = self._machine.state.content(request.path_params["guid"])
        prefix, bundle = self._find(content, request.path_params.get("path", ""))
        deployed = bundle is not None and bundle.environment is not None
        # A prefix with needless percent signs in it would be cut off at the wrong place.
        plain = request.scope["raw_path"].startswith(prefix.encode())
        if content is None or bundle is None or not deployed or not plain:
            return page("There is no such content", "", status=404)
        if path == prefix:
            query = f"?{request.url.query}" if request.url.query else ""
            return RedirectResponse(f"{prefix}/{query}")
        return await self._answer(request, prefix, content, bundle)

    async def _answer(
        self, request: Request, prefix: str, content: Content, bundle: StoredBundle
    ) -> Response:
        try:
            process = await self._machine.process(content, bundle)
        except StartError as error:
            return not_started(error.reason, error.tail)
        except BundleError as error:
            return not_started(str(error), ())
        try:
            return await self._forward(request, prefix, f"http://127.0.0.1:{process.port}")
        except httpx2.RequestError as error:
            return not_started(f"Its process did not answer: {error}", process.log.tail)

    def _find(self, content: Content | None, path: str) -> tuple[str, StoredBundle | None]:
        if content is None:
            return "", None
        prefix = f"/content/{content.guid}"
        first = path.partition("/")[0]
        number = first.removeprefix("_bundle")
        if first.startswith("_bundle") and number.isascii() and number.isdigit():
            bundle = self._machine.state.bundle(int(number[:18]))
            own = bundle is not None and bundle.content == content.id
            return f"{prefix}/{first}", bundle if own else None
        return prefix, self._machine.state.bundle(content.active_bundle or 0)

    async def _forward(self, request: Request, prefix: str, target: str) -> Response:
        raw_path: bytes = request.scope["raw_path"]
        query: bytes = request.scope["query_string"]
        rest = raw_path[len(prefix) :] + (b"?" + query if query else b"")
        has_body = not {"content-length", "transfer-encoding"}.isdisjoint(request.headers)
        outgoing = httpx2.Request(
            request.method,
            httpx2.URL(target).copy_with(raw_path=rest),
            headers=request_headers(request, prefix),
            content=request.stream() if has_body else None,
        )
        answer = await self._transport.handle_async_request(outgoing)
        response = StreamingResponse(_body(answer), status_code=answer.status_code)
        response.raw_headers = answer_headers(answer.headers.raw, prefix, target, request)
        return response


def request_headers(request: Request, prefix: str) -> Headers:
    """Return the headers for a content process: what came, less the key, plus where it came from.

    The names that Connect uses for its own say are only ever set here.
    """
    own = {
        b"x-forwarded-for": (request.client.host if request.client else "127.0.0.1").encode(),
        b"x-forwarded-proto": request.url.scheme.encode(),
        b"x-forwarded-host": request.headers.get("host", "").encode(),
        b"x-forwarded-prefix": prefix.encode(),
        b"rstudio-connect-app-base-url": f"{str(request.base_url).rstrip('/')}{prefix}".encode(),
        b"x-rsc-request": str(request.url).encode(),
    }
    headers = [
        (name, value)
        for name, value in request.headers.raw
        if name not in own.keys() | _HOP_BY_HOP
        and not name.startswith((b"rstudio-connect-", b"posit-connect-"))
        and not (name == b"authorization" and value.lower().startswith(b"key "))
    ]
    return [*headers, *own.items()]


def answer_headers(headers: Headers, prefix: str, target: str, request: Request) -> Headers:
    """Return the headers for the visitor; a redirect of the content stays below its prefix."""
    return [
        (name, _location(value, prefix, target, request) if name.lower() == b"location" else value)
        for name, value in headers
        if name.lower() not in _HOP_BY_HOP
    ]


def _location(value: bytes, prefix: str, target: str, request: Request) -> bytes:
    location = value.decode("latin-1")
    parts = urlsplit(location)
    ours = {"", urlsplit(target).netloc, request.headers.get("host", "")}
    if parts.netloc not in ours or not parts.path.startswith("/"):
        return value
    below = parts.path == prefix or parts.path.startswith(prefix + "/")
    path = parts.path if below else prefix + parts.path
    return parts._replace(scheme="", netloc="", path=path).geturl().encode("latin-1")


async def _body(answer: httpx2.Response) -> AsyncIterator[bytes]:
    try:
        async for chunk in answer.aiter_raw():  # as it is, compressed or not
            yield chunk
    finally:
        await answer.aclose()
