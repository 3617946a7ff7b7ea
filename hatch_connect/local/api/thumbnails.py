"""The picture of content, which a dashboard shows."""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING

from starlette.responses import FileResponse, Response
from starlette.routing import Route

from hatch_connect.local.api.requests import ApiError, content_of, invalid, missing, read_body
from hatch_connect.local.machine import machine_of

if TYPE_CHECKING:
    from starlette.requests import Request

LARGEST_THUMBNAIL = 10 << 20  # bytes: about the default of Connect's Applications.MaxAppImageSize
_NOTHING_TO_REMOVE = 17
_START = 1024
_PICTURES = {
    "image/png": re.compile(rb"\x89PNG"),
    "image/jpeg": re.compile(rb"\xff\xd8"),
    "image/gif": re.compile(rb"GIF8"),
    "image/webp": re.compile(rb"RIFF.{4}WEBP", re.DOTALL),
    # Only space, a declaration, a type and comments may come before it.
    "image/svg+xml": re.compile(rb"(?:\xef\xbb\xbf)?\s*(?:<[?!][^>]*>\s*)*<svg\b"),
}
# One may bring scripts, and this is the origin of the dashboard.
_HARMLESS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; sandbox",
    "X-Content-Type-Options": "nosniff",
}


def _kind(picture: bytes) -> str | None:
    return next((kind for kind, start in _PICTURES.items() if start.match(picture)), None)


async def thumbnail(request: Request) -> Response:
    """`GET`, `PUT` or `DELETE v1/content/{guid}/thumbnail`: PNG, JPEG, GIF, WebP or SVG."""
    content = content_of(request, changing=request.method != "GET")
    path = machine_of(request).files.thumbnail(content)
    if request.method == "PUT":
        body = await _picture(request)
        path.parent.mkdir(exist_ok=True)
        await asyncio.to_thread(path.write_bytes, body)
        return Response(status_code=204)
    if request.method == "DELETE":
        if not path.is_file():
            raise ApiError(404, _NOTHING_TO_REMOVE, "This content has no thumbnail.")
        path.unlink()
        return Response(status_code=204)
    if not path.is_file():
        raise missing()
    return FileResponse(path, media_type="application/octet-stream", headers=_HARMLESS)


async def _picture(request: Request) -> bytes:
    body = await read_body(request, LARGEST_THUMBNAIL)
    if _kind(body[:_START]) is None:
        raise invalid("A thumbnail must be a picture: PNG, JPEG, GIF, WebP or SVG.")
    return body


async def picture(request: Request) -> Response:
    """`GET` beside the content, of whoever may visit it: the thumbnail, or an empty answer."""
    machine = machine_of(request)
    content = machine.state.content(request.path_params["guid"])
    if content is None:
        raise missing()
    path = machine.files.thumbnail(content)
    if not path.is_file():
        return Response(status_code=204)
    with path.open("rb") as file:
        kind = _kind(file.read(_START))
    return FileResponse(path, media_type=kind or "application/octet-stream", headers=_HARMLESS)


ROUTES = (Route("/v1/content/{guid}/thumbnail", thumbnail, methods=["GET", "PUT", "DELETE"]),)
