"""Vanity paths: `v1/vanities`, and the one of content."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from hatch_connect.local.access import may_edit
from hatch_connect.local.api.requests import (
    ApiError,
    content_of,
    invalid,
    missing,
    need_administrator,
    read_object,
    user_of,
)
from hatch_connect.local.machine import machine_of
from hatch_connect.local.state import now
from hatch_connect.project.validators import validate_vanity_path

if TYPE_CHECKING:
    from starlette.requests import Request

    from hatch_connect.local.state import StoredContent

_PATH_IN_USE, _BAD_PATH = 51, 52


async def vanity(request: Request) -> Response:
    """`GET`, `PUT` or `DELETE v1/content/{guid}/vanity`."""
    state = machine_of(request).state
    content = content_of(request, changing=request.method != "GET")
    if request.method == "PUT":
        given = await read_object(request, ("path", "force"))
        content = content_of(request, changing=True)  # as it is now, after the whole request
        path = _path(given.get("path"))
        content = replace(content, vanity_path=path, vanity_since=now())
        with state.transaction():
            _free(request, content, path, force=given.get("force") is True)
            state.save_content(content)
    if content.vanity_path is None:
        raise missing()
    if request.method == "DELETE":
        state.save_content(replace(content, vanity_path=None))
        return Response(status_code=204)
    return JSONResponse(_vanity_json(content))


async def vanities(request: Request) -> Response:
    """`GET v1/vanities`: those of all content."""
    need_administrator(request)
    contents = machine_of(request).state.contents()
    return JSONResponse([_vanity_json(each) for each in contents if each.vanity_path])


def _vanity_json(content: StoredContent) -> dict[str, object]:
    return {
        "content_guid": content.guid,
        "path": content.vanity_path,
        "created_time": content.vanity_since,
    }


def _free(request: Request, content: StoredContent, path: str, *, force: bool) -> None:
    """Refuse a path that is other content's, or above or below one.

    `force` takes it from content that the user may change too.
    """
    state, user = machine_of(request).state, user_of(request)
    for other in state.contents():
        theirs = other.vanity_path
        if theirs is None or other.id == content.id:
            continue
        if theirs == path and force and may_edit(state, other, user):
            state.save_content(replace(other, vanity_path=None))
        elif path.startswith(theirs) or theirs.startswith(path):
            raise ApiError(409, _PATH_IN_USE, f"The path {theirs} is used by other content.")


def _path(given: object) -> str:
    """Return a path as Connect answers it: `/sales/`."""
    if not isinstance(given, str):
        raise invalid("The field 'path' must be a string.")
    if wrong := validate_vanity_path(given):
        raise ApiError(400, _BAD_PATH, f"The path {wrong}.")
    return f"/{given.strip('/')}/"


ROUTES = (
    Route("/v1/content/{guid}/vanity", vanity, methods=["GET", "PUT", "DELETE"]),
    Route("/v1/vanities", vanities, methods=["GET"]),
)
