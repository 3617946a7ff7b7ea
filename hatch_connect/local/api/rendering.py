"""Rendering what is active again. Content has one variant here, the default one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from hatch_connect.local.api.requests import (
    ApiError,
    content_of,
    missing,
    read_object,
    whole_number,
)
from hatch_connect.local.deploy import RENDERED, start_rendering
from hatch_connect.local.machine import machine_of

if TYPE_CHECKING:
    from starlette.requests import Request

    from hatch_connect.local.state import StoredBundle, StoredContent

_NO_RENDERING, _NOT_RENDERED = 59, 72
VARIANT = "default"


def _rendered(request: Request, content: StoredContent) -> StoredBundle:
    """Return the bundle that is rendered again; raises ApiError if there is none."""
    if content.app_mode not in RENDERED:
        raise ApiError(400, _NOT_RENDERED, f"{content.app_mode} content is not rendered.")
    bundle = machine_of(request).state.active_bundle(content)
    if bundle is None:
        raise ApiError(400, _NO_RENDERING, "This content has no active bundle to render.")
    return bundle


async def render(request: Request) -> Response:
    """`POST v1/content/{guid}/render`: notebooks and documents, in a task."""
    content = content_of(request, changing=True)
    given = await read_object(request, ("variant_key",), optional=True)
    if given.get("variant_key") not in {None, VARIANT}:
        raise missing()
    task = start_rendering(machine_of(request), _rendered(request, content))
    return JSONResponse({"task_id": task.id}, status_code=202)


async def variants(request: Request) -> Response:
    """`GET applications/{guid}/variants`: of what is rendered, the default one."""
    content = content_of(request)
    if content.app_mode not in RENDERED:
        return JSONResponse([])
    variant = {
        "id": content.id,
        "app_id": content.id,
        "key": VARIANT,
        "name": VARIANT,
        "is_default": True,
        "bundle_id": content.active_bundle,
        "rendering_id": content.active_bundle,
        "render_time": content.deployed,
        "created_time": content.created,
        "render_duration": 0,
        "visibility": "public",
        "owner_id": 0,
        **dict.fromkeys(("email_collaborators", "email_viewers", "email_all"), False),
    }
    return JSONResponse([variant])


async def render_variant(request: Request) -> Response:
    """`POST variants/{id}/render`: the same by the variant's number, as posit-sdk asks for it."""
    number = whole_number(request.path_params["id"])
    content = None if number is None else machine_of(request).state.content_by_id(number)
    request.path_params["guid"] = content.guid if content else ""
    content = content_of(request, changing=True)
    task = start_rendering(machine_of(request), _rendered(request, content))
    return JSONResponse(
        {
            "id": task.id,
            "output": [],
            "result": None,
            "finished": task.finished,
            "code": task.code,
            "error": task.error,
            "last": 0,
        }
    )


ROUTES = (
    Route("/v1/content/{guid}/render", render, methods=["POST"]),
    Route("/applications/{guid}/variants", variants, methods=["GET"]),
    Route("/variants/{id}/render", render_variant, methods=["POST"]),
)
