"""OAuth integrations that a project names, and which of them content uses."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from hatch_connect.local.api.requests import (
    SINCE,
    ApiError,
    as_object,
    content_of,
    invalid,
    publisher_of,
    read_json,
)
from hatch_connect.local.machine import machine_of

if TYPE_CHECKING:
    from starlette.requests import Request

    from hatch_connect.local.machine import Machine
    from hatch_connect.local.state import StoredContent

_BAD_INTEGRATION, _TOO_MANY, _TWICE = 207, 257, 258


async def integrations(request: Request) -> Response:
    """`GET v1/oauth/integrations`."""
    publisher_of(request)
    found = machine_of(request).state.names("integration")
    return JSONResponse(
        [
            {
                "id": str(one.id),
                "guid": one.guid,
                "name": one.name,
                "description": "",
                "template": "custom",
                "auth_type": "Viewer",
                "config": {},
                "permissions": [],
                "created_time": SINCE,
                "updated_time": SINCE,
            }
            for one in found
        ]
    )


async def associations(request: Request) -> Response:
    """`GET` or `PUT v1/content/{guid}/oauth/integrations/associations`, which sets all of them."""
    machine = machine_of(request)
    content = content_of(request, editing=True, changing=request.method != "GET")
    if request.method == "PUT":
        await _associate(request, machine, content)
        return Response(status_code=204)
    return JSONResponse(
        [
            {
                "content_guid": content.guid,
                "oauth_integration_guid": one.guid,
                "oauth_integration_name": one.name,
                "oauth_integration_description": "",
                "oauth_integration_template": "custom",
                "oauth_integration_auth_type": "Viewer",
                "created_time": SINCE,
            }
            for one in machine.state.links(content, "integration")
        ]
    )


async def _associate(request: Request, machine: Machine, content: StoredContent) -> None:
    given = await read_json(request)
    if not isinstance(given, list):
        raise invalid("The request's body is not a JSON list.")
    guids = [as_object(each, ("oauth_integration_guid",)) for each in given]
    wanted = [each.get("oauth_integration_guid") for each in guids]
    known = {one.guid: one for one in machine.state.names("integration")}
    if not all(isinstance(guid, str) and guid in known for guid in wanted):
        raise ApiError(400, _BAD_INTEGRATION, "The integration does not exist.")
    if len(set(wanted)) < len(wanted):
        raise ApiError(400, _TWICE, "An integration is listed twice.")
    release = machine.setup.claims.release
    if len(wanted) > 1 and not release.has("behaviour", "several integrations"):
        raise ApiError(400, _TOO_MANY, "Content can have one integration only.")
    machine.state.unlink(content, *machine.state.links(content, "integration"))
    for guid in wanted:
        machine.state.link(content, known[str(guid)])


_ASSOCIATIONS = "/v1/content/{guid}/oauth/integrations/associations"
ROUTES = (
    Route("/v1/oauth/integrations", integrations, methods=["GET"]),
    Route(_ASSOCIATIONS, associations, methods=["GET", "PUT"]),
)
