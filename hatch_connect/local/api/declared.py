"""What a project may declare of content besides its fields: who may see it, path, tags, picture.

Nobody logs in here, so that all of it is kept and answered, and only the path has an effect. The
users, groups, tags and integrations that there are come from a project, or were created here.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING
from uuid import UUID

from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route

from hatch_connect.local.api.requests import (
    ApiError,
    as_object,
    content_of,
    invalid,
    missing,
    read_json,
    read_number,
    read_object,
)
from hatch_connect.local.machine import machine_of
from hatch_connect.local.state import OWN_NAME, now
from hatch_connect.project.validators import validate_vanity_path

if TYPE_CHECKING:
    from collections.abc import Iterator

    from starlette.requests import Request

    from hatch_connect.local.machine import Machine
    from hatch_connect.local.state import NameKind, State, StoredContent, StoredName

SINCE = "2026-01-01T00:00:00Z"
_GROUP = "group:"
_ROLES = ("viewer", "owner")
_PRINCIPALS: tuple[NameKind, ...] = ("user", "group")
_GRANT = ("principal_guid", "principal_type", "role", "send_email")
_PICTURES = {
    b"\x89PNG": "image/png",
    b"\xff\xd8": "image/jpeg",
    b"GIF8": "image/gif",
    b"RIFF": "image/webp",
}
_MOST = 500  # of a page
_IS_OWNER, _PATH_IN_USE, _BAD_PATH, _NO_TAG_NAME = 34, 51, 52, 78
_CATEGORY, _TAG_TAKEN, _BAD_PRINCIPAL_TYPE, _BAD_TAG = 79, 81, 152, 158
_BAD_INTEGRATION, _TWICE, _BAD_USER, _BAD_GROUP = 207, 258, 261, 262


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


def tag_json(tag: StoredName) -> dict[str, object]:
    """Return a tag as Connect describes one."""
    return {
        "id": str(tag.id),
        "name": tag.name,
        "parent_id": str(tag.parent) if tag.parent else None,
        "created_time": SINCE,
        "updated_time": SINCE,
    }


def tags_of(state: State, content: StoredContent) -> list[dict[str, object]]:
    """Return the tags of content, and those above them."""
    known = {tag.id: tag for tag in state.names("tag")}
    found: dict[int, StoredName] = {}
    for tag in state.links(content, "tag"):
        found |= {each.id: each for each in _upwards(tag, known)}
    return [tag_json(found[number]) for number in sorted(found)]


def _upwards(tag: StoredName, known: dict[int, StoredName]) -> Iterator[StoredName]:
    """Yield a tag and those above it, the nearest first."""
    above: StoredName | None = tag
    while above:
        yield above
        above = known.get(above.parent)


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
    number, size = read_number(request, "page_number") or 1, read_number(request, "page_size") or 20
    if size > _MOST:
        raise invalid(f"A page has at most {_MOST} results.")
    found = [one for one in state.names(kind) if one.name.lower().startswith(prefix)]
    page = found[(number - 1) * size : number * size]
    return JSONResponse(
        {
            "results": [_principal_json(state, one) for one in page],
            "current_page": number,
            "total": len(found),
        }
    )


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


async def vanity(request: Request) -> Response:
    """`GET`, `PUT` or `DELETE v1/content/{guid}/vanity`."""
    state = machine_of(request).state
    content = content_of(request, changing=request.method != "GET")
    if request.method == "PUT":
        given = await read_object(request, ("path", "force"))
        path = _path(given.get("path"))
        _free(state, content, path, force=given.get("force") is True)
        content = replace(content, vanity_path=path, vanity_since=now())
        state.save_content(content)
    if content.vanity_path is None:
        raise missing()
    if request.method == "DELETE":
        state.save_content(replace(content, vanity_path=None))
        return Response(status_code=204)
    return JSONResponse(_vanity_json(content))


async def vanities(request: Request) -> Response:
    """`GET v1/vanities`: those of all content."""
    contents = machine_of(request).state.contents()
    return JSONResponse([_vanity_json(each) for each in contents if each.vanity_path])


def _vanity_json(content: StoredContent) -> dict[str, object]:
    return {
        "content_guid": content.guid,
        "path": content.vanity_path,
        "created_time": content.vanity_since,
    }


def _free(state: State, content: StoredContent, path: str, *, force: bool) -> None:
    """Refuse a path that is other content's, or above or below one; `force` takes it from there."""
    for other in state.contents():
        theirs = other.vanity_path
        if theirs is None or other.id == content.id:
            continue
        if theirs == path and force:
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


async def tags(request: Request) -> Response:
    """`GET v1/tags`, all or those of a name and parent."""
    name, parent = (request.query_params.get(key) for key in ("name", "parent_id"))
    found = map(tag_json, machine_of(request).state.names("tag"))
    return JSONResponse(
        [t for t in found if name in {None, t["name"]} and parent in {None, t["parent_id"]}]
    )


async def create_tag(request: Request) -> Response:
    """`POST v1/tags`."""
    state = machine_of(request).state
    given = await read_object(request, ("name", "parent_id"))
    name, parent = given.get("name"), 0
    if not isinstance(name, str) or not name.strip():
        raise ApiError(400, _NO_TAG_NAME, "The tag has no name.")
    if given.get("parent_id") is not None:
        parent = _tag(state, given["parent_id"]).id
    if any((tag.name, tag.parent) == (name, parent) for tag in state.names("tag")):
        raise ApiError(409, _TAG_TAKEN, f"The tag {name!r} already exists.")
    return JSONResponse(tag_json(state.add_name("tag", name, parent=parent)))


async def tag(request: Request) -> Response:
    """`GET v1/tags/{id}`: an id, or the names on the way to it, joined by commas."""
    state, wanted = machine_of(request).state, request.path_params["id"]
    if wanted.isdigit():
        return JSONResponse(tag_json(_tag(state, wanted, missing())))
    known = {tag.id: tag for tag in state.names("tag")}
    for each in known.values():
        names = [tag.name for tag in _upwards(each, known)]
        if ",".join(reversed(names)) == wanted:
            return JSONResponse(tag_json(each))
    raise missing()


def _tag(state: State, number: object, error: ApiError | None = None) -> StoredName:
    for one in state.names("tag"):
        if str(one.id) == number:
            return one
    raise error or ApiError(400, _BAD_TAG, "The tag does not exist.")


async def content_tags(request: Request) -> Response:
    """`GET` or `POST v1/content/{guid}/tags`."""
    state = machine_of(request).state
    if request.method == "GET":
        return JSONResponse(tags_of(state, content_of(request)))
    content = content_of(request, changing=True)
    given = await read_object(request, ("tag_id",))
    added = _tag(state, given.get("tag_id"))
    if not added.parent:
        raise ApiError(400, _CATEGORY, "A category cannot be added to content.")
    state.link(content, added)
    return Response()


async def remove_tag(request: Request) -> Response:
    """`DELETE v1/content/{guid}/tags/{id}`: a tag goes with all below it."""
    state, content = machine_of(request).state, content_of(request, changing=True)
    removed = _tag(state, request.path_params["id"], missing())
    known = {tag.id: tag for tag in state.names("tag")}
    below = (one for one in state.links(content, "tag") if removed in _upwards(one, known))
    state.unlink(content, *below)
    return Response()


async def thumbnail(request: Request) -> Response:
    """`GET`, `PUT` or `DELETE v1/content/{guid}/thumbnail`: any bytes that are a picture."""
    content = content_of(request, changing=request.method != "GET")
    path = machine_of(request).thumbnail(content)
    if request.method == "PUT":
        if not (body := await request.body()):
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
    path = machine_of(request).thumbnail(content_of(request))
    if not path.is_file():
        return Response(status_code=204)
    with path.open("rb") as file:
        start = file.read(4)
    kinds = (kind for known, kind in _PICTURES.items() if start.startswith(known))
    return FileResponse(path, media_type=next(kinds, "image/svg+xml"))


async def integrations(request: Request) -> Response:
    """`GET v1/oauth/integrations`."""
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
    content = content_of(request, changing=request.method != "GET")
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
    machine.state.unlink(content, *machine.state.links(content, "integration"))
    for guid in wanted:
        machine.state.link(content, known[str(guid)])


_CONTENT = "/v1/content/{guid}"
_CHANGED = ["GET", "PUT", "DELETE"]
ROUTES = (
    Route("/__local__/known", make_known, methods=["PUT"]),
    Route("/v1/users", partial(_search, kind="user"), methods=["GET"]),
    Route("/v1/users/{guid}", partial(_principal, kind="user"), methods=["GET"]),
    Route("/v1/groups", partial(_search, kind="group"), methods=["GET"]),
    Route("/v1/groups/{guid}", partial(_principal, kind="group"), methods=["GET"]),
    Route("/v1/tags", tags, methods=["GET"]),
    Route("/v1/tags", create_tag, methods=["POST"]),
    Route("/v1/tags/{id}", tag, methods=["GET"]),
    Route("/v1/oauth/integrations", integrations, methods=["GET"]),
    Route(_CONTENT + "/permissions", permissions, methods=["GET"]),
    Route(_CONTENT + "/permissions", grant, methods=["POST"]),
    Route(_CONTENT + "/permissions/{id}", permission, methods=_CHANGED),
    Route(_CONTENT + "/vanity", vanity, methods=_CHANGED),
    Route("/v1/vanities", vanities, methods=["GET"]),
    Route(_CONTENT + "/tags", content_tags, methods=["GET", "POST"]),
    Route(_CONTENT + "/tags/{id}", remove_tag, methods=["DELETE"]),
    Route(_CONTENT + "/thumbnail", thumbnail, methods=_CHANGED),
    Route(_CONTENT + "/oauth/integrations/associations", associations, methods=["GET", "PUT"]),
)
