"""The picture of content, which a dashboard shows."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from starlette.responses import FileResponse, Response
from starlette.routing import Route

from hatch_connect.local.api.requests import content_of, invalid, missing, read_body
from hatch_connect.local.machine import machine_of

if TYPE_CHECKING:
    from starlette.requests import Request

_LARGEST = 5 << 20  # bytes
_PICTURES = {
    b"\x89PNG": "image/png",
    b"\xff\xd8": "image/jpeg",
    b"GIF8": "image/gif",
    b"RIFF": "image/webp",
}


async def thumbnail(request: Request) -> Response:
    """`GET`, `PUT` or `DELETE v1/content/{guid}/thumbnail`: any bytes that are a picture."""
    content = content_of(request, changing=request.method != "GET")
    path = machine_of(request).thumbnail(content)
    if request.method == "PUT":
        if not (body := await read_body(request, _LARGEST)):
            raise invalid("The thumbnail is empty.")
        path.parent.mkdir(exist_ok=True)
        await asyncio.to_thread(path.write_bytes, body)
        return Response(status_code=204)
    if not path.is_file():
        raise missing()
    if request.method == "DELETE":
        path.unlink()
        return Response(status_code=204)
    return FileResponse(path, media_type="application/octet-stream")


async def picture(request: Request) -> Response:
    """`GET` beside the content: the thumbnail, or an empty answer."""
    machine = machine_of(request)
    content = machine.state.content(request.path_params["guid"])
    if content is None:
        raise missing()
    path = machine.thumbnail(content)
    if not path.is_file():
        return Response(status_code=204)
    with path.open("rb") as file:
        start = file.read(4)
    kinds = (kind for known, kind in _PICTURES.items() if start.startswith(known))
    return FileResponse(path, media_type=next(kinds, "image/svg+xml"))


ROUTES = (Route("/v1/content/{guid}/thumbnail", thumbnail, methods=["GET", "PUT", "DELETE"]),)
