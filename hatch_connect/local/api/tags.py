"""Tags, `v1/tags`, and those of content; only what is below a category can be given to content."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from hatch_connect.local.api.requests import (
    SINCE,
    ApiError,
    content_of,
    missing,
    need_administrator,
    read_object,
)
from hatch_connect.local.machine import machine_of
from hatch_connect.local.state import now

if TYPE_CHECKING:
    from collections.abc import Iterator

    from starlette.requests import Request

    from hatch_connect.local.state import State, StoredContent, StoredName

_LONG_TAG_NAME, _NO_TAG_NAME, _CATEGORY, _TAG_TAKEN = 77, 78, 79, 81
_BAD_PARENT, _BAD_TAG = 157, 158
_LONGEST = 255
_FIELDS = ("name", "parent_id")


def tag_json(state: State, tag: StoredName) -> dict[str, object]:
    """Return a tag as Connect describes one."""
    known = state.accounts().get(tag.id, {})
    return {
        "id": str(tag.id),
        "name": tag.name,
        "parent_id": str(tag.parent) if tag.parent else None,
        "created_time": known.get("created", SINCE),
        "updated_time": known.get("updated", SINCE),
    }


def tags_of(state: State, content: StoredContent) -> list[dict[str, object]]:
    """Return the tags of content, and those above them."""
    known = {tag.id: tag for tag in state.names("tag")}
    found: dict[int, StoredName] = {}
    for tag in state.links(content, "tag"):
        found |= {each.id: each for each in upwards(tag, known)}
    return [tag_json(state, found[number]) for number in sorted(found)]


def upwards(tag: StoredName | None, known: dict[int, StoredName]) -> Iterator[StoredName]:
    """Yield a tag and those above it, the nearest first."""
    while tag:
        yield tag
        tag = known.get(tag.parent)


async def tags(request: Request) -> Response:
    """`GET v1/tags`, all or those of a name and parent."""
    name, parent = (request.query_params.get(key) for key in ("name", "parent_id"))
    state = machine_of(request).state
    found = (tag_json(state, tag) for tag in state.names("tag"))
    return JSONResponse(
        [t for t in found if name in {None, t["name"]} and parent in {None, t["parent_id"]}]
    )


async def create_tag(request: Request) -> Response:
    """`POST v1/tags`: a category, or a tag below another; administrators only."""
    need_administrator(request)
    state = machine_of(request).state
    given = await read_object(request, _FIELDS)
    name, parent = _name(given.get("name")), _parent(state, given.get("parent_id"))
    _check_free(state, name, parent)
    with state.transaction():
        created = state.add_name("tag", name, parent=parent)
        state.save_account(created, dict.fromkeys(("created", "updated"), now()))
    return JSONResponse(tag_json(state, created))


async def change_tag(request: Request) -> Response:
    """`PATCH v1/tags/{id}`: its name, and what it is below; administrators only."""
    need_administrator(request)
    state = machine_of(request).state
    given = await read_object(request, _FIELDS)
    changed = _tag(state, request.path_params["id"], missing())
    name = _name(given.get("name", changed.name))
    parent = _parent(state, given.get("parent_id", str(changed.parent or "") or None))
    known = {tag.id: tag for tag in state.names("tag")}
    if changed in upwards(known.get(parent), known):
        raise ApiError(400, _BAD_PARENT, "A tag cannot be below itself.")
    if not parent and any(changed in state.links(each, "tag") for each in state.contents()):
        raise ApiError(400, _BAD_PARENT, "A tag of content cannot become a category.")
    if (name, parent) != (changed.name, changed.parent):
        _check_free(state, name, parent)
    with state.transaction():
        state.change_name(changed, name, parent=parent)
        state.save_account(changed, state.accounts().get(changed.id, {}) | {"updated": now()})
    return JSONResponse(tag_json(state, replace(changed, name=name, parent=parent)))


async def delete_tag(request: Request) -> Response:
    """`DELETE v1/tags/{id}`, with all below it; administrators only."""
    need_administrator(request)
    state = machine_of(request).state
    removed = _tag(state, request.path_params["id"], missing())
    known = {tag.id: tag for tag in state.names("tag")}
    state.remove_names(*(tag for tag in known.values() if removed in upwards(tag, known)))
    return Response(status_code=204)


def _name(given: object) -> str:
    if not isinstance(given, str) or not given.strip():
        raise ApiError(400, _NO_TAG_NAME, "The tag has no name.")
    if len(given) > _LONGEST:
        raise ApiError(400, _LONG_TAG_NAME, f"A tag's name has at most {_LONGEST} characters.")
    return given


def _parent(state: State, given: object) -> int:
    if given is None:
        return 0
    return _tag(state, given, ApiError(400, _BAD_PARENT, "The parent tag does not exist.")).id


def _check_free(state: State, name: str, parent: int) -> None:
    if any((tag.name, tag.parent) == (name, parent) for tag in state.names("tag")):
        raise ApiError(400, _TAG_TAKEN, f"The tag {name!r} already exists.")


async def tag(request: Request) -> Response:
    """`GET v1/tags/{id}`: an id, or the names on the way to it, joined by commas."""
    return JSONResponse(tag_json(machine_of(request).state, tag_of(request)))


def tag_of(request: Request) -> StoredName:
    """Return the tag that the path names; raises ApiError."""
    state, wanted = machine_of(request).state, request.path_params["id"]
    if wanted.isdigit():
        return _tag(state, wanted, missing())
    known = {tag.id: tag for tag in state.names("tag")}
    for each in known.values():
        names = [tag.name for tag in upwards(each, known)]
        if ",".join(reversed(names)) == wanted:
            return each
    raise missing()


def _tag(state: State, number: object, error: ApiError | None = None) -> StoredName:
    for one in state.names("tag"):
        if str(one.id) == number:
            return one
    raise error or ApiError(400, _BAD_TAG, "The tag does not exist.")


async def content_tags(request: Request) -> Response:
    """`GET` or `POST v1/content/{guid}/tags`: with those above; a category cannot be added."""
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
    below = (one for one in state.links(content, "tag") if removed in upwards(one, known))
    state.unlink(content, *below)
    return Response()


_CONTENT = "/v1/content/{guid}/tags"
ROUTES = (
    Route("/v1/tags", tags, methods=["GET"]),
    Route("/v1/tags", create_tag, methods=["POST"]),
    Route("/v1/tags/{id}", tag, methods=["GET"]),
    Route("/v1/tags/{id}", change_tag, methods=["PATCH"]),
    Route("/v1/tags/{id}", delete_tag, methods=["DELETE"]),
    Route(_CONTENT, content_tags, methods=["GET", "POST"]),
    Route(_CONTENT + "/{id}", remove_tag, methods=["DELETE"]),
)
