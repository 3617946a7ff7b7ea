"""Tags, `v1/tags`, and those of content; only what is below a category can be given to content."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from hatch_connect.local.api.requests import (
    SINCE,
    ApiError,
    content_of,
    missing,
    read_object,
)
from hatch_connect.local.machine import machine_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from starlette.requests import Request

    from hatch_connect.local.state import State, StoredContent, StoredName

_NO_TAG_NAME, _CATEGORY, _TAG_TAKEN, _BAD_TAG = 78, 79, 81, 158


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


_CONTENT = "/v1/content/{guid}/tags"
ROUTES = (
    Route("/v1/tags", tags, methods=["GET"]),
    Route("/v1/tags", create_tag, methods=["POST"]),
    Route("/v1/tags/{id}", tag, methods=["GET"]),
    Route(_CONTENT, content_tags, methods=["GET", "POST"]),
    Route(_CONTENT + "/{id}", remove_tag, methods=["DELETE"]),
)
