"""What a client learns of the server itself: version, interpreters, who it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from hatch_connect.local.machine import USER_GUID, USER_NAME, VERSION, machine_of

if TYPE_CHECKING:
    from starlette.requests import Request

_ENVIRONMENT_GUID = "2d0d0f0c-6c2e-4a39-8f5d-3b1f9c7e5a10"
_SINCE = "2026-01-01T00:00:00Z"


async def settings(_request: Request) -> Response:
    """`GET server_settings`, which needs no key."""
    return JSONResponse({"version": VERSION, "hostname": "localhost", "build": "hatch-connect"})


async def python(request: Request) -> Response:
    """`GET v1/server_settings/python`."""
    pythons = await machine_of(request).pythons()
    installations = [
        {"version": one.version, "cluster_name": "Local", "image_name": "Local"} for one in pythons
    ]
    return JSONResponse({"installations": installations, "api_enabled": True})


async def quarto(request: Request) -> Response:
    """`GET v1/server_settings/quarto`."""
    version = await machine_of(request).quarto_version()
    return JSONResponse({"installations": [{"version": version}] if version else []})


async def none_installed(_request: Request) -> Response:
    """`GET v1/server_settings/r`, `nodejs`."""
    return JSONResponse({"installations": []})


async def user(_request: Request) -> Response:
    """`GET v1/user`: the one user there is."""
    return JSONResponse(
        {
            "guid": USER_GUID,
            "username": USER_NAME,
            "email": "local@localhost",
            "first_name": "Local",
            "last_name": "Developer",
            "user_role": "administrator",
            "created_time": _SINCE,
            "updated_time": _SINCE,
            "active_time": _SINCE,
            "confirmed": True,
            "locked": False,
            "preferences": {},
            "privileges": ["add_content", "publish_content", "edit_content"],
        }
    )


async def environments(request: Request) -> Response:
    """`GET v1/environments`: this machine, and no image."""
    pythons = await machine_of(request).pythons()
    nothing: dict[str, object] = {"installations": []}
    return JSONResponse(
        [
            {
                "id": "1",
                "guid": _ENVIRONMENT_GUID,
                "created_time": _SINCE,
                "updated_time": _SINCE,
                "title": "Local",
                "description": None,
                "cluster_name": "Local",
                "name": "Local",
                "environment_type": "Local",
                "matching": "any",
                "supervisor": None,
                "managed_by": None,
                "python": {
                    "installations": [
                        {"version": one.version, "path": str(one.path)} for one in pythons
                    ]
                },
                "quarto": nothing,
                "r": nothing,
                "tensorflow": nothing,
                "volume_mounts": [],
            }
        ]
    )


SETTINGS = Route("/server_settings", settings, methods=["GET"])
ROUTES = (
    Route("/v1/server_settings/python", python, methods=["GET"]),
    Route("/v1/server_settings/r", none_installed, methods=["GET"]),
    Route("/v1/server_settings/quarto", quarto, methods=["GET"]),
    Route("/v1/server_settings/nodejs", none_installed, methods=["GET"]),
    Route("/v1/user", user, methods=["GET"]),
    Route("/v1/environments", environments, methods=["GET"]),
)
