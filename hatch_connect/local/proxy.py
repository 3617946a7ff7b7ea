"""Visits: a request for content goes to the process that serves it, streamed both ways."""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx2
from starlette.responses import RedirectResponse, StreamingResponse

from hatch_connect.errors import BundleError
from hatch_connect.local.files import describe_model, show_file
from hatch_connect.local.headers import answer_headers, request_headers
from hatch_connect.local.pages import not_started, page
from hatch_connect.local.processes import StartError
from hatch_connect.local.targets import find_target

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.requests import Request
    from starlette.responses import Response

    from hatch_connect.local.machine import Machine
    from hatch_connect.local.targets import ContentTarget

_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")


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
        target = find_target(self._machine, request)
        if target is None:
            return page("There is no such content", "", status=404)
        if request.scope["path"] == target.prefix:
            query = f"?{request.url.query}" if request.url.query else ""
            return RedirectResponse(f"{target.prefix}/{query}")
        if target.mode.kind == "process":
            return await self._answer(request, target)
        folder = self._machine.setup.folder / (target.bundle.pages or "")
        show = show_file if target.mode.kind == "files" else describe_model
        return await show(folder, target, request)

    async def _answer(self, request: Request, target: ContentTarget) -> Response:
        try:
            process = await self._machine.process(target.content, target.bundle, target.prefix)
        except StartError as error:
            return not_started(error.reason, error.tail)
        except BundleError as error:
            return not_started(str(error), ())
        try:
            return await self._forward(request, target, f"http://127.0.0.1:{process.port}")
        except httpx2.RequestError as error:
            return not_started(f"Its process did not answer: {error}", process.log.tail)

    async def _forward(self, request: Request, target: ContentTarget, origin: str) -> Response:
        has_body = not {"content-length", "transfer-encoding"}.isdisjoint(request.headers)
        outgoing = httpx2.Request(
            request.method,
            httpx2.URL(origin).copy_with(raw_path=target.path(request)),
            headers=request_headers(request, target.prefix),
            content=request.stream() if has_body else None,
        )
        answer = await self._transport.handle_async_request(outgoing)
        response = StreamingResponse(_body(answer), status_code=answer.status_code)
        response.raw_headers = answer_headers(answer.headers.raw, target.prefix, origin, request)
        return response


async def _body(answer: httpx2.Response) -> AsyncIterator[bytes]:
    try:
        async for chunk in answer.aiter_raw():  # as it is, compressed or not
            yield chunk
    finally:
        await answer.aclose()
