"""All that this server answers of Connect's API, and what it does not."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.exceptions import HTTPException
from starlette.routing import Match, Route, Router

from hatch_connect.local.api import (
    bundles,
    content,
    deployments,
    jobs,
    oauth,
    packages,
    people,
    rendering,
    search,
    server,
    tags,
    thumbnails,
    vanity,
)
from hatch_connect.local.api.requests import BAD_REQUEST, NOT_FOUND, ApiError

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.types import Receive, Scope, Send

ROUTES = (
    server.SETTINGS,
    *server.ROUTES,
    *content.ROUTES,
    *people.ROUTES,
    *tags.ROUTES,
    *search.ROUTES,
    *vanity.ROUTES,
    *thumbnails.ROUTES,
    *oauth.ROUTES,
    *bundles.ROUTES,
    *deployments.ROUTES,
    *rendering.ROUTES,
    *jobs.ROUTES,
    *packages.ROUTES,
)
_WRONG_METHOD = 405

# What Connect has at paths of the above, with the methods that are not here.
ABSENT = {
    "/v1/content/{guid}/repository": ("PUT", "PATCH", "DELETE"),
    "/v1/environments": ("POST",),
    "/v1/environments/{guid}": ("PUT", "DELETE"),
    "/v1/groups": ("PUT",),
    "/v1/groups/{guid}": ("PATCH", "POST"),
    "/v1/oauth/integrations": ("POST",),
    "/v1/oauth/integrations/{guid}": ("PATCH", "DELETE"),
    "/v1/users": ("PUT",),
    "/v1/users/{guid}": ("DELETE",),
}
# Absent as well, where there can be a GUID.
_LIKE_A_GUID = (
    *("/v1/users/remote", "/v1/groups/remote", "/v1/content/storage"),
    "/v1/oauth/integrations/credentials",
)


class Api(Router):
    """The paths below `__api__`; of what is Connect's and not here, it says so."""

    def __init__(self, *others: Route) -> None:
        """Answer the routes of Connect's API, and others of ours."""
        absent = [Route(path, _refuse, methods=ways) for path, ways in ABSENT.items()]
        named = [Route(path, _refuse, methods=("GET", "POST")) for path in _LIKE_A_GUID]
        super().__init__((*named, *ROUTES, *others, *absent))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        try:
            await super().__call__(scope, receive, send)
        except HTTPException as error:
            # Starlette's refusal of a method knows the first route of a path only.
            raise _wrong_method(scope) if error.status_code == _WRONG_METHOD else error from None

    async def not_found(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse a path that is not here."""
        if scope["type"] == "http":
            raise _not_here(scope)
        await super().not_found(scope, receive, send)


async def _refuse(request: Request) -> Response:
    raise _not_here(request.scope)


def _path(scope: Scope) -> str:
    path: str = scope["path"]
    return path.removeprefix(scope["root_path"]).strip("/")


def _not_here(scope: Scope) -> ApiError:
    asked = f"{scope['method']} {_path(scope)}"
    return ApiError(404, NOT_FOUND, f"{asked} is not part of the local server.")


def _wrong_method(scope: Scope) -> ApiError:
    found = (route for route in ROUTES if route.matches(scope)[0] is not Match.NONE)
    allowed = ", ".join(sorted({way for route in found for way in route.methods or ()}))
    error = f"{scope['method']} is not a method of {_path(scope)}, which has {allowed}."
    return ApiError(_WRONG_METHOD, BAD_REQUEST, error, headers={"Allow": allowed})
