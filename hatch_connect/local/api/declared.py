"""Users, groups, and who may see content; and the names that a project declares.

Nobody logs in here, so that all of it is kept and answered, and nothing of it has an effect.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING
from uuid import UUID

from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from hatch_connect.local.api.requests import (
    SINCE,
    ApiError,
    content_of,
    invalid,
    missing,
    page_of,
    read_object,
)
from hatch_connect.local.machine import machine_of
from hatch_connect.local.state import OWN_NAME

if TYPE_CHECKING:
    from starlette.requests import Request

    from hatch_connect.local.state import NameKind, State, StoredContent, StoredName

_GROUP = "group:"
_ROLES = ("viewer", "owner")
_PRINCIPALS: tuple[NameKind, ...] = ("user", "group")
_GRANT = ("principal_guid", "principal_type", "role", "send_email")
_MOST = 500  # of a page
_IS_OWNER, _BAD_PRINCIPAL_TYPE, _BAD_USER, _BAD_GROUP = 34, 152, 261, 262


def user_json(user: StoredName) -> dict[str, object]:
    """Return a user as Connect describes one; the one of the key administers this server."""
    own = user.name == OWN_NAME
    return {
        "guid": user.guid,
        "username": user.name,
        "email": f"{user.name}@localhost",
        "first_name": user.name.title(),
        "last_name": "Developer" if own else "",
        "user_role": "administrator" if own else "publisher",
        "created_time": SINCE,
        "updated_time": SINCE,
        "active_time": SINCE,
        "confirmed": True,
        "locked": False,
    }


def _group_json(state: State, group: StoredName) -> dict[str, object]:
    return {"guid": group.guid, "name": group.name, "owner_guid": state.names("user")[0].guid}


def _principal_json(state: State, one: StoredName) -> dict[str, object]:
    return user_json(one) if one.kind == "user" else _group_json(state, one)


async def make_known(request: Request) -> Response:
    """`PUT __local__/known`: what a project declares names of is there from now on.

    That is the only way in which a client that may not create users could name one here.
    """
    state = machine_of(request).state
    given = await read_object(request, ("people", "tags", "integrations"))
    for name in _names(given, "people"):
        kind: NameKind = "group" if name.startswith(_GROUP) else "user"
        _make(state, kind, name.removeprefix(_GROUP))
    for name in _names(given, "integrations"):
        _make(state, "integration", name)
    for path in _names(given, "tags"):
        above = 0
        for name in () if path.isdigit() else path.split("/"):
            above = state.add_name("tag", name.strip(), parent=above).id
    return Response(status_code=204)


def _names(given: dict[str, object], key: str) -> list[str]:
    names = given.get(key, [])
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise invalid(f"The field {key!r} must be a list of names.")
    return names


def _make(state: State, kind: NameKind, name: str) -> None:
    """Add a name; one that is a GUID names what has that GUID, whatever it is called."""
    try:
        guid = str(UUID(name))
    except ValueError:
        state.add_name(kind, name)
    else:
        if not any(one.guid == guid for one in state.names(kind)):
            state.add_name(kind, name, guid=guid)


async def _search(request: Request, kind: NameKind) -> Response:
    """`GET v1/users`, `v1/groups`: those whose names begin with `prefix`, in pages."""
    state = machine_of(request).state
    prefix = request.query_params.get("prefix", "").lower()
    found = [one for one in state.names(kind) if one.name.lower().startswith(prefix)]
    return page_of(request, [_principal_json(state, one) for one in found], largest=_MOST)


async def _principal(request: Request, kind: NameKind) -> Response:
    """`GET v1/users/{guid}`, `v1/groups/{guid}`."""
    state = machine_of(request).state
    for one in state.names(kind):
        if one.guid == request.path_params["guid"]:
            return JSONResponse(_principal_json(state, one))
    raise missing()


def _permission_json(content: StoredContent, who: StoredName, role: str) -> dict[str, object]:
    return {
        "id": str(who.id),
        "content_guid": content.guid,
        "principal_guid": who.guid,
        "principal_type": who.kind,
        "role": role,
    }


async def permissions(request: Request) -> Response:
    """`GET v1/content/{guid}/permissions`; the owner is not among them."""
    content = content_of(request)
    roles = machine_of(request).state.links(content, *_PRINCIPALS)
    return JSONResponse([_permission_json(content, who, role) for who, role in roles.items()])


async def grant(request: Request) -> Response:
    """`POST`: a user or a group gets a role; whoever had another has this one now."""
    content = content_of(request, changing=True)
    who, role = _granted(machine_of(request).state, await read_object(request, _GRANT))
    machine_of(request).state.link(content, who, role)
    return JSONResponse(_permission_json(content, who, role))


def _granted(state: State, given: dict[str, object]) -> tuple[StoredName, str]:
    wanted, role = given.get("principal_type"), given.get("role")
    kind = next((kind for kind in _PRINCIPALS if kind == wanted), None)
    if kind is None:
        raise ApiError(400, _BAD_PRINCIPAL_TYPE, "The principal type must be user or group.")
    if not isinstance(role, str) or role not in _ROLES:
        raise invalid(f"The role must be one of: {', '.join(_ROLES)}.")
    for one in state.names(kind):
        if one.guid == given.get("principal_guid"):
            if one.kind == "user" and one.name == OWN_NAME:
                raise ApiError(400, _IS_OWNER, "This user is the owner of the content.")
            return one, role
    code = _BAD_USER if kind == "user" else _BAD_GROUP
    raise ApiError(400, code, f"The {kind} does not exist.")


async def permission(request: Request) -> Response:
    """`GET`, `PUT` or `DELETE v1/content/{guid}/permissions/{id}`."""
    content = content_of(request, changing=request.method != "GET")
    state = machine_of(request).state
    roles = state.links(content, *_PRINCIPALS)
    who = next((one for one in roles if str(one.id) == request.path_params["id"]), None)
    if who is None:
        raise missing()
    if request.method == "DELETE":
        state.unlink(content, who)
        return Response(status_code=204)
    role = roles[who]
    if request.method == "PUT":
        _, role = _granted(state, await read_object(request, _GRANT))
        state.link(content, who, role)
    return JSONResponse(_permission_json(content, who, role))


_CONTENT = "/v1/content/{guid}"
ROUTES = (
    Route("/__local__/known", make_known, methods=["PUT"]),
    Route("/v1/users", partial(_search, kind="user"), methods=["GET"]),
    Route("/v1/users/{guid}", partial(_principal, kind="user"), methods=["GET"]),
    Route("/v1/groups", partial(_search, kind="group"), methods=["GET"]),
    Route("/v1/groups/{guid}", partial(_principal, kind="group"), methods=["GET"]),
    Route(_CONTENT + "/permissions", permissions, methods=["GET"]),
    Route(_CONTENT + "/permissions", grant, methods=["POST"]),
    Route(_CONTENT + "/permissions/{id}", permission, methods=["GET", "PUT", "DELETE"]),
)
