"""Users, groups and who may see content; and the names that a project declares."""

from __future__ import annotations

import re
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
    need_administrator,
    not_allowed,
    page_of,
    publisher_of,
    read_object,
    user_of,
)
from hatch_connect.local.machine import machine_of
from hatch_connect.local.users import ROLES

if TYPE_CHECKING:
    from starlette.requests import Request

    from hatch_connect.local.machine import Machine
    from hatch_connect.local.state import NameKind, State, StoredContent, StoredName
    from hatch_connect.local.users import Group, User

_GROUP = "group:"
_ROLES = ("viewer", "owner")
_PRINCIPALS: tuple[NameKind, ...] = ("user", "group")
_GRANT = ("principal_guid", "principal_type", "role", "send_email")
_MOST = 500  # of a page
_SEARCHED = ("username", "first_name", "last_name")
_ORDER = ("first_name", "last_name", "username", "email")
_ORDERS = (*_ORDER, "active_time", "created_time", "user_role")
_CONDITIONS = ("locked", "licensed", "inactive")
_USER = ("username", "email", "first_name", "last_name", "user_role")
_NOT_KEPT = ("password", "user_must_set_password", "unique_id", "external_id")  # as nobody logs in
_NAME = re.compile(r"[^\s/,|](?:[^/,|]{0,126}[^\s/,|])?")
_BAD_USERNAME, _USERNAME_TAKEN, _BAD_GROUP_NAME, _GROUP_NAME_TAKEN = 7, 8, 14, 15
_MEMBER_TWICE, _BAD_ROLE, _IS_VIEWER, _IS_OWNER, _FIXED_USERNAME = 16, 23, 33, 34, 36
_SOLE_ADMINISTRATOR, _BAD_PRINCIPAL_TYPE, _BAD_USER, _BAD_GROUP = 61, 152, 261, 262


def user_json(user: User) -> dict[str, object]:
    """Return a user as Connect describes one."""
    return {
        "guid": user.guid,
        "username": user.name,
        "email": user.email or f"{user.name}@localhost",
        "first_name": user.first_name or user.name.title(),
        "last_name": user.last_name,
        "user_role": user.role,
        "created_time": SINCE,
        "updated_time": SINCE,
        "active_time": SINCE if user.key else None,
        "confirmed": True,
        "locked": user.locked,
    }


def _group_json(group: Group) -> dict[str, object]:
    return {
        "guid": group.guid,
        "name": group.name,
        "owner_guid": group.owner,
        "member_count": len(group.members),
    }


async def make_known(request: Request) -> Response:
    """`PUT __local__/known`: what a project declares names of is there from now on.

    That is the only way in which a client that may not create users could name one here.
    """
    state = machine_of(request).state
    given = await read_object(request, ("people", "tags", "integrations"))
    with state.transaction():
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


async def users(request: Request) -> Response:
    """`GET v1/users`: those that a query asks for, in pages."""
    wanted = request.query_params.get("prefix", "").lower()
    roles = _one_of(request, "user_role", ROLES)
    conditions = _one_of(request, "account_status", _CONDITIONS)
    found = [
        told
        for told in map(user_json, machine_of(request).users)
        if any(str(told[name]).lower().startswith(wanted) for name in _SEARCHED)
        and told["user_role"] in roles
        and _condition(told) in conditions
    ]
    return page_of(request, _ordered(request, found, _ORDERS), largest=_MOST)


def _condition(user: dict[str, object]) -> str:
    """Return the state of an account; one that has no key was never active."""
    if user["locked"]:
        return "locked"
    return "licensed" if user["active_time"] else "inactive"


def _one_of(request: Request, name: str, known: tuple[str, ...]) -> tuple[str, ...]:
    """Return the values that a query wants, all if it names none; raises ApiError."""
    given = request.query_params.get(name)
    if not given:
        return known
    wanted = tuple(given.split("|"))
    if unknown := [one for one in wanted if one not in known]:
        raise invalid(f"The parameter {name!r} does not know {unknown[0]!r}.")
    return wanted


def _ordered(
    request: Request, found: list[dict[str, object]], known: tuple[str, ...]
) -> list[dict[str, object]]:
    """Return results in the order that a query asks for, else by their names; raises ApiError."""
    key = request.query_params.get("sort")
    if key and key not in known:
        raise invalid(f"The parameter 'sort' must be one of: {', '.join(known)}.")
    keys = (key,) if key else known[: len(_ORDER)]
    found.sort(key=lambda one: [str(one[each]).lower() for each in keys])
    return found[::-1] if request.query_params.get("asc_order") == "false" else found


async def user(request: Request) -> Response:
    """`GET v1/users/{guid}`."""
    return JSONResponse(user_json(_user_of(request)))


async def create_user(request: Request) -> Response:
    """`POST v1/users`: a made-up user; without a key, which only a users.toml can give."""
    need_administrator(request)
    known = machine_of(request).users
    given = await read_object(request, (*_USER, *_NOT_KEPT))
    name = given.pop("username", None)
    if not isinstance(name, str) or not _is_name(name):
        raise ApiError(400, _BAD_USERNAME, "The user name is not valid.")
    if known.named(name):
        raise ApiError(409, _USERNAME_TAKEN, f"The user {name!r} already exists.")
    return JSONResponse(user_json(known.create(name, **_details(given))))


async def change_user(request: Request) -> Response:
    """`PUT v1/users/{guid}`: by administrators, and a person's own names and address."""
    asking, found = user_of(request), _user_of(request)
    given = await read_object(request, _USER)
    if given.pop("username", found.name) != found.name:
        raise ApiError(403, _FIXED_USERNAME, "The user name cannot be changed.")
    details = _details(given)
    role = details.get("role", found.role)
    if asking.role != "administrator" and (asking.guid != found.guid or role != found.role):
        raise not_allowed()
    known = machine_of(request).users
    if found.guid == known.own.guid and role != found.role:
        raise ApiError(403, _SOLE_ADMINISTRATOR, "This user administers the server.")
    return JSONResponse(user_json(known.change(found, **details)))


async def lock_user(request: Request) -> Response:
    """`POST v1/users/{guid}/lock`: the key of a locked user is refused."""
    asking, found = user_of(request), _user_of(request)
    given = await read_object(request, ("locked",))
    locked = given.get("locked")
    if not isinstance(locked, bool):
        raise invalid("The field 'locked' must be true or false.")
    known = machine_of(request).users
    if asking.role != "administrator" and asking.guid != found.guid:
        raise not_allowed()
    if locked and found.guid == known.own.guid:
        raise ApiError(403, _SOLE_ADMINISTRATOR, "This user administers the server.")
    known.change(found, locked=locked)
    return Response()


def _is_name(name: str) -> bool:
    return name.isprintable() and _NAME.fullmatch(name) is not None


def _details(given: dict[str, object]) -> dict[str, str]:
    """Return what a client says of a user; raises ApiError for a role that there is not."""
    told = {key: value for key, value in given.items() if key not in _NOT_KEPT}
    if told.get("user_role", "") is None:
        del told["user_role"]
    for key, value in told.items():
        if not isinstance(value, str):
            raise invalid(f"The field {key!r} must be a string.")
    role = told.pop("user_role", None)
    if role not in (None, *ROLES):
        raise ApiError(400, _BAD_ROLE, f"The role must be one of: {', '.join(ROLES)}.")
    return {key: str(value) for key, value in told.items()} | ({"role": str(role)} if role else {})


def _user_of(request: Request, key: str = "guid") -> User:
    found = machine_of(request).users.of_guid(request.path_params[key])
    if found is None:
        raise missing()
    return found


async def groups(request: Request) -> Response:
    """`GET v1/groups`: those whose names begin with `prefix`, in pages."""
    prefix = request.query_params.get("prefix", "").lower()
    found = [
        _group_json(one)
        for one in machine_of(request).users.groups()
        if one.name.lower().startswith(prefix)
    ]
    return page_of(request, _ordered(request, found, ("name",)), largest=_MOST)


async def create_group(request: Request) -> Response:
    """`POST v1/groups`: a group of its creator's, without members."""
    owner, known = publisher_of(request), machine_of(request).users
    name = (await read_object(request, ("name", "unique_id"))).get("name")
    if not isinstance(name, str) or not _is_name(name):
        raise ApiError(400, _BAD_GROUP_NAME, "The name of the group is not valid.")
    if any(one.name == name for one in known.groups()):
        raise ApiError(409, _GROUP_NAME_TAKEN, f"The group {name!r} already exists.")
    return JSONResponse(_group_json(known.create_group(name, owner)))


async def group(request: Request) -> Response:
    """`GET` or `DELETE v1/groups/{guid}`."""
    if request.method == "GET":
        return JSONResponse(_group_json(_group_of(request)))
    machine_of(request).users.remove_group(_group_of(request, changing=True))
    return Response(status_code=204)


async def members(request: Request) -> Response:
    """`GET v1/groups/{guid}/members`, in pages."""
    inside = _group_of(request).members
    found = [user_json(one) for one in machine_of(request).users if one.guid in inside]
    return page_of(request, _ordered(request, found, _ORDERS), largest=_MOST)


async def add_member(request: Request) -> Response:
    """`POST v1/groups/{guid}/members`."""
    known, joined = machine_of(request).users, _group_of(request, changing=True)
    given = await read_object(request, ("user_guid",))
    found = known.of_guid(given.get("user_guid"))
    if found is None:
        raise ApiError(400, _BAD_USER, "The user does not exist.")
    if found.guid in joined.members:
        raise ApiError(409, _MEMBER_TWICE, "The user is already in the group.")
    known.join(joined, found)
    return Response(status_code=204)


async def remove_member(request: Request) -> Response:
    """`DELETE v1/groups/{guid}/members/{user}`; everybody may leave."""
    found = _user_of(request, "user")
    left = _group_of(request, changing=found.guid != user_of(request).guid)
    if found.guid not in left.members:
        raise missing()
    machine_of(request).users.leave(left, found)
    return Response(status_code=204)


def _group_of(request: Request, *, changing: bool = False) -> Group:
    """Return the group that the path names; only its owner and administrators may change it."""
    found = machine_of(request).users.groups()
    one = next((each for each in found if each.guid == request.path_params["guid"]), None)
    if one is None:
        raise missing()
    asking = user_of(request)
    if changing and asking.role != "administrator" and asking.guid != one.owner:
        raise not_allowed()
    return one


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
    content = content_of(request, editing=True)
    roles = machine_of(request).state.links(content, *_PRINCIPALS)
    return JSONResponse([_permission_json(content, who, role) for who, role in roles.items()])


async def grant(request: Request) -> Response:
    """`POST`: a user or a group gets a role; whoever had another has this one now.

    Nobody is told by e-mail, whatever `send_email` says.
    """
    content = content_of(request, changing=True)
    given = await read_object(request, _GRANT)
    who, role = _granted(machine_of(request), content, given)
    machine_of(request).state.link(content, who, role)
    return JSONResponse(_permission_json(content, who, role))


def _granted(
    machine: Machine, content: StoredContent, given: dict[str, object]
) -> tuple[StoredName, str]:
    wanted, role = given.get("principal_type"), given.get("role")
    kind = next((kind for kind in _PRINCIPALS if kind == wanted), None)
    if kind is None:
        raise ApiError(400, _BAD_PRINCIPAL_TYPE, "The principal type must be user or group.")
    if not isinstance(role, str) or role not in _ROLES:
        raise invalid(f"The role must be one of: {', '.join(_ROLES)}.")
    names = machine.state.names(kind)
    who = next((one for one in names if one.guid == given.get("principal_guid")), None)
    if who is None:
        code = _BAD_USER if kind == "user" else _BAD_GROUP
        raise ApiError(400, code, f"The {kind} does not exist.")
    if who.guid == content.owner:
        raise ApiError(400, _IS_OWNER, "This user is the owner of the content.")
    found = machine.users.of_guid(who.guid)
    if role == "owner" and found is not None and found.role == "viewer":
        raise ApiError(400, _IS_VIEWER, "An account with the role viewer cannot be a collaborator.")
    return who, role


async def permission(request: Request) -> Response:
    """`GET`, `PUT` or `DELETE v1/content/{guid}/permissions/{id}`."""
    content = content_of(request, editing=True, changing=request.method != "GET")
    machine = machine_of(request)
    roles = machine.state.links(content, *_PRINCIPALS)
    who = next((one for one in roles if str(one.id) == request.path_params["id"]), None)
    if who is None:
        raise missing()
    if request.method == "DELETE":
        machine.state.unlink(content, who)
        return Response(status_code=204)
    role = roles[who]
    if request.method == "PUT":
        named, role = _granted(machine, content, await read_object(request, _GRANT))
        if named != who:
            raise invalid("A permission cannot be given to another user or group.")
        machine.state.link(content, who, role)
    return JSONResponse(_permission_json(content, who, role))


_CONTENT = "/v1/content/{guid}"
_MEMBERS = "/v1/groups/{guid}/members"
ROUTES = (
    Route("/__local__/known", make_known, methods=["PUT"]),
    Route("/v1/users", users, methods=["GET"]),
    Route("/v1/users", create_user, methods=["POST"]),
    Route("/v1/users/{guid}", user, methods=["GET"]),
    Route("/v1/users/{guid}", change_user, methods=["PUT"]),
    Route("/v1/users/{guid}/lock", lock_user, methods=["POST"]),
    Route("/v1/groups", groups, methods=["GET"]),
    Route("/v1/groups", create_group, methods=["POST"]),
    Route("/v1/groups/{guid}", group, methods=["GET", "DELETE"]),
    Route(_MEMBERS, members, methods=["GET"]),
    Route(_MEMBERS, add_member, methods=["POST"]),
    Route(_MEMBERS + "/{user}", remove_member, methods=["DELETE"]),
    Route(_CONTENT + "/permissions", permissions, methods=["GET"]),
    Route(_CONTENT + "/permissions", grant, methods=["POST"]),
    Route(_CONTENT + "/permissions/{id}", permission, methods=["GET", "PUT", "DELETE"]),
)
