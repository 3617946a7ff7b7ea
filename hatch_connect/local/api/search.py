"""Content that is found by words, by filters or by a tag."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from hatch_connect.local.access import seen_by
from hatch_connect.local.api.content import content_json, included, read_include
from hatch_connect.local.api.requests import invalid, page_of, read_number, user_of
from hatch_connect.local.api.tags import tag_of, upwards
from hatch_connect.local.machine import machine_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.requests import Request

    from hatch_connect.local.state import StoredContent

_ORDER: dict[str, Callable[[StoredContent], tuple[str, int]]] = {
    "created_time": lambda content: (content.created, content.id),
    "last_deployed_time": lambda content: (content.deployed or content.created, content.id),
    "name": lambda content: (content.name.lower(), content.id),
    "title": lambda content: (content.title.lower(), content.id),
}
_TERM = re.compile(r'(?:(\w+):)?(?:"([^"]*)"|(\S+))')


async def tagged(request: Request) -> Response:
    """`GET v1/tags/{id}/content`: what has the tag, or one below it."""
    machine, wanted = machine_of(request), tag_of(request)
    known = {tag.id: tag for tag in machine.state.names("tag")}
    found = [
        content
        for content in seen_by(user_of(request), machine.state)
        if any(wanted in upwards(tag, known) for tag in machine.state.links(content, "tag"))
    ]
    return JSONResponse([content_json(machine, content, user_of(request)) for content in found])


async def applications(request: Request) -> Response:
    """`GET applications`: that of a name, as rsconnect for R asks with `filter=name:NAME`."""
    machine = machine_of(request)
    filters = dict(
        each.split(":", 1) for each in request.query_params.getlist("filter") if ":" in each
    )
    found = [
        one
        for one in seen_by(user_of(request), machine.state)
        if filters.get("name") in {None, one.name}
    ]
    start, most = read_number(request, "start"), read_number(request, "count") or len(found)
    page = [
        content_json(machine, content, user_of(request))
        | {"id": content.id, "url": machine.setup.content_url(content)}
        for content in found[start : start + most]
    ]
    more = {"count": len(page), "total": len(found), "continuation": ""}
    return JSONResponse({"applications": page, **more})


async def search(request: Request) -> Response:
    """`GET v1/search/content`: by the words of `q` in name, title and description, and by filters.

    They are `owner:`, `type:`, `tag:`, `published:` and `locked:`. One that is not known, or has a
    value that it does not take, is left out with a warning, as on Connect.
    """
    machine, asked = machine_of(request), read_include(request)
    order = request.query_params.get("sort", "created_time")
    if order not in _ORDER:
        raise invalid(f"The parameter 'sort' must be one of: {', '.join(_ORDER)}.")
    found = list(seen_by(user_of(request), machine.state))
    warnings: list[str] = []
    for name, quoted, plain in _TERM.findall(request.query_params.get("q", "")):
        value = (quoted or plain).lower()
        fits = _filter(request, name, value) if name else _words(value)
        if fits is None:
            warnings.append(f"Invalid filter: '{name}:{value}'")
        else:
            found = [content for content in found if fits(content)]
    found.sort(key=_ORDER[order], reverse=request.query_params.get("order") != "asc")
    described = [
        content_json(machine, content, user_of(request)) | included(machine, content, asked)
        for content in found
    ]
    return page_of(request, described, more={"warnings": warnings} if warnings else {})


def _words(value: str) -> Callable[[StoredContent], bool]:
    def fits(content: StoredContent) -> bool:
        settings = content.settings
        texts = (content.name, str(settings["title"] or ""), str(settings["description"]))
        return any(value in text.lower() for text in texts)

    return fits


def _filter(request: Request, name: str, value: str) -> Callable[[StoredContent], bool] | None:
    """Return what a filter lets through; None if it means nothing."""
    machine = machine_of(request)
    match name, value:
        case "owner", _:
            owner = user_of(request) if value == "@me" else machine.users.named(value)
            return lambda content: owner is not None and content.owner == owner.guid
        case "type", _:
            return lambda content: content.app_mode in value.split(",")
        case "tag", _:
            return lambda content: any(
                tag.name.lower() == value for tag in machine.state.links(content, "tag")
            )
        case "published", "true" | "false":
            return lambda content: (content.active_bundle is not None) == (value == "true")
        case "locked", "true" | "false":
            return lambda content: bool(content.settings["locked"]) == (value == "true")
    return None


ROUTES = (
    Route("/applications", applications, methods=["GET"]),
    Route("/v1/search/content", search, methods=["GET"]),
    Route("/v1/tags/{id}/content", tagged, methods=["GET"]),
)
