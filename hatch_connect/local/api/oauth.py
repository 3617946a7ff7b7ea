"""OAuth integrations that a project names, and which of them content uses."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from hatch_connect.local.access import may_see
from hatch_connect.local.api.requests import (
    SINCE,
    ApiError,
    as_object,
    content_of,
    missing,
    publisher_of,
    read_list,
    user_of,
)
from hatch_connect.local.machine import machine_of

if TYPE_CHECKING:
    from starlette.requests import Request

    from hatch_connect.local.machine import Machine
    from hatch_connect.local.state import State, StoredContent, StoredName

_BAD_INTEGRATION, _TOO_MANY, _TWICE = 207, 257, 258


async def integrations(request: Request) -> Response:
    """`GET v1/oauth/integrations`: those that projects named; nobody can sign in with one here."""
    publisher_of(request)
    found = machine_of(request).state.names("integration")
    return JSONResponse([_json(request, one) for one in found])


async def integration(request: Request) -> Response:
    """`GET v1/oauth/integrations/{guid}`."""
    publisher_of(request)
    return JSONResponse(_json(request, _integration(request)))


async def users_of(request: Request) -> Response:
    """`GET v1/oauth/integrations/{guid}/associations`: the content that uses one."""
    state, user, one = machine_of(request).state, publisher_of(request), _integration(request)
    found = (each for each in _using(state, one) if may_see(state, each, user))
    return JSONResponse([_association(each, one) for each in found])


def _using(state: State, one: StoredName) -> list[StoredContent]:
    return [each for each in state.contents() if one in state.links(each, "integration")]


def _integration(request: Request) -> StoredName:
    for one in machine_of(request).state.names("integration"):
        if one.guid == request.path_params["guid"]:
            return one
    raise missing()


def _json(request: Request, one: StoredName) -> dict[str, object]:
    administers = user_of(request).role == "administrator"
    count = len(_using(machine_of(request).state, one)) if administers else None
    return {
        "id": str(one.id),
        "guid": one.guid,
        "name": one.name,
        "description": "",
        "template": "custom",
        "auth_type": "Viewer",
        "config": {},
        "permissions": [],
        "environment_variables": [],
        **({"content_count": count} if administers else {}),
        "created_time": SINCE,
        "updated_time": SINCE,
    }


def _association(content: StoredContent, one: StoredName) -> dict[str, object]:
    return {
        "app_guid": content.guid,
        "content_guid": content.guid,
        "oauth_integration_guid": one.guid,
        "oauth_integration_name": one.name,
        "oauth_integration_description": "",
        "oauth_integration_template": "custom",
        "oauth_integration_auth_type": "Viewer",
        "created_time": SINCE,
    }


async def associations(request: Request) -> Response:
    """`GET`, `PUT v1/content/{guid}/oauth/integrations/associations`: the latter sets all."""
    machine = machine_of(request)
    content = content_of(request, editing=True, changing=request.method != "GET")
    if request.method == "PUT":
        await _associate(request, machine, content)
        return Response(status_code=204)
    found = machine.state.links(content, "integration")
    return JSONResponse([_association(content, one) for one in found])


async def _associate(request: Request, machine: Machine, content: StoredContent) -> None:
    given = await read_list(request)
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
    with machine.state.transaction():
        machine.state.unlink(content, *machine.state.links(content, "integration"))
        for guid in wanted:
            machine.state.link(content, known[str(guid)])


_ASSOCIATIONS = "/v1/content/{guid}/oauth/integrations/associations"
ROUTES = (
    Route("/v1/oauth/integrations", integrations, methods=["GET"]),
    Route("/v1/oauth/integrations/{guid}", integration, methods=["GET"]),
    Route("/v1/oauth/integrations/{guid}/associations", users_of, methods=["GET"]),
    Route(_ASSOCIATIONS, associations, methods=["GET", "PUT"]),
)
