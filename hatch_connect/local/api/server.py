"""What a client learns of the server itself: version, interpreters, who it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from hatch_connect.local.api.content import ACCESS_TYPES
from hatch_connect.local.api.people import user_json
from hatch_connect.local.api.requests import SINCE, missing, publisher_of, user_of
from hatch_connect.local.api.thumbnails import LARGEST_THUMBNAIL
from hatch_connect.local.machine import machine_of
from hatch_connect.local.runtime_settings import DEFAULT_SECONDS

if TYPE_CHECKING:
    from pathlib import Path

    from starlette.requests import Request

_ENVIRONMENT_GUID = "2d0d0f0c-6c2e-4a39-8f5d-3b1f9c7e5a10"
# What content may do here. Of images, memory and the user who runs content nothing is told: what a
# project declares of them is kept, so that it can be tried, and has no effect.
_SETTINGS: dict[str, object] = {
    "hostname": "localhost",
    "build": "hatch-connect",
    "about": "A Posit Connect for this machine, made by hatch-connect",
    "system_display_name": "Posit Connect on this machine",
    "dashboard_path": "/connect",
    "license": {
        "status": "activated",
        "has-key": False,
        "has-trial": False,
        "allow-apis": True,
        "anonymous-servers": True,
        "enable-launcher": False,
        "oauth-integrations": True,
        "public-access": True,
    },
    "authentication": {"name": "local", "groups_enabled": True, "handles_login": False},
    "self_registration": False,
    "viewers_can_only_see_themselves": False,
    "mail_configured": False,
    "mail_all": False,
    "permission_request": False,
    "git_enabled": False,
    "git_available": False,
    "enable_image_management": False,
    "enable_runtime_constraints": False,
    "enable_runtime_cache_management": True,
    "default_environment_management_selection": True,
    "default_py_environment_management": True,
    "default_r_environment_management": False,
    "oauth_integrations_enabled": True,
    "maximum_app_image_size": LARGEST_THUMBNAIL,
    "metrics_instrumentation": False,
    "tableau_integration_enabled": False,
}
_LIMITS: dict[str, float] = {
    "min_processes": 0,
    "max_processes": 3,
    "max_conns_per_process": 20,
    "load_factor": 0.5,
    **DEFAULT_SECONDS,
    **dict.fromkeys(("cpu_request", "cpu_limit", "memory_request", "memory_limit"), 0),
    **dict.fromkeys(("amd_gpu_limit", "nvidia_gpu_limit"), 0),
    **dict.fromkeys(("min_processes_limit", "max_processes_limit"), 0),
    **dict.fromkeys(("max_cpu_request", "max_cpu_limit", "max_memory_request"), 0),
    **dict.fromkeys(("max_memory_limit", "max_amd_gpu_limit", "max_nvidia_gpu_limit"), 0),
}
_PUBLISHING = ("add_content", "publish_content", "edit_content")
_PRIVILEGES = {
    "viewer": (),
    "publisher": _PUBLISHING,
    "administrator": (*_PUBLISHING, "administer"),
}


async def settings(request: Request) -> Response:
    """`GET server_settings`: the version, and what can be done here; no key is needed."""
    version = str(machine_of(request).setup.claims.release)
    quarto = machine_of(request).installed.quarto
    told = {"version": version, "runtimes": ["python", *(["quarto"] if quarto else [])]}
    return JSONResponse({**_SETTINGS, **told})


async def python(request: Request) -> Response:
    """`GET v1/server_settings/python`."""
    publisher_of(request)
    pythons = await machine_of(request).installed.pythons()
    installations = [
        {
            "version": one.version,
            "cluster_name": "Local",
            "image_name": "Local",
            "publishable": one.publishable,
        }
        for one in pythons
    ]
    return JSONResponse({"installations": installations, "api_enabled": True})


async def quarto(request: Request) -> Response:
    """`GET v1/server_settings/quarto`."""
    publisher_of(request)
    version = await machine_of(request).installed.quarto_version()
    found = [{"version": version, "cluster_name": "Local", "image_name": "Local"}]
    return JSONResponse({"installations": found if version else []})


async def none_installed(request: Request) -> Response:
    """`GET v1/server_settings/r`, `nodejs`, `tensorflow`: nothing of it is used here."""
    publisher_of(request)
    disabled = {"enabled": False} if request.url.path.endswith("/nodejs") else {}
    return JSONResponse({"installations": [], **disabled})


async def user(request: Request) -> Response:
    """`GET v1/user`: whose key it is."""
    asking = user_of(request)
    more = {"preferences": {}, "privileges": list(_PRIVILEGES[asking.role])}
    return JSONResponse(user_json(asking) | more)


async def older_user(request: Request) -> Response:
    """`GET users/current`, `me`: the same with a number, as before there was `v1/user`."""
    asking = user_of(request)
    numbers = {one.guid: one.id for one in machine_of(request).state.names("user")}
    return JSONResponse(user_json(asking) | {"id": numbers.get(asking.guid, 0)})


async def limits(_request: Request) -> Response:
    """`GET server_settings/scheduler/{mode}`: defaults; there are no limits, written as 0."""
    return JSONResponse(_LIMITS)


async def applications(_request: Request) -> Response:
    """`GET server_settings/applications`: what access content may have."""
    nobody = {"run_as": "", "run_as_group": "", "run_as_current_user": False}
    reports = {"viewer_ondemand_reports": False, "viewer_customized_reports": False}
    return JSONResponse({"access_types": list(ACCESS_TYPES), **nobody, **reports})


async def environments(request: Request) -> Response:
    """`GET v1/environments`: this machine, and no image."""
    publisher_of(request)
    return JSONResponse([await _environment(request)])


async def environment(request: Request) -> Response:
    """`GET v1/environments/{guid}`."""
    publisher_of(request)
    found = await _environment(request)
    if request.path_params["guid"] != found["guid"]:
        raise missing()
    return JSONResponse(found)


async def _environment(request: Request) -> dict[str, object]:
    pythons = await machine_of(request).installed.pythons()
    nothing: dict[str, object] = {"installations": []}
    quarto = await machine_of(request).installed.quarto_version()
    return {
        "id": "1",
        "guid": _ENVIRONMENT_GUID,
        "created_time": SINCE,
        "updated_time": SINCE,
        "title": "Local",
        "description": "This machine, without images",
        "cluster_name": "Local",
        "name": "Local",
        "environment_type": "Local",
        "matching": "any",
        "supervisor": None,
        "managed_by": None,
        "python": {
            "installations": [{"version": one.version, "path": str(one.path)} for one in pythons]
        },
        "nodejs": nothing,
        "quarto": _installed(quarto, machine_of(request).installed.quarto),
        "r": nothing,
        "tensorflow": nothing,
        "volume_mounts": [],
    }


def _installed(version: str | None, path: Path | None) -> dict[str, object]:
    found = [{"version": version, "path": str(path)}] if version else []
    return {"installations": found}


SETTINGS = Route("/server_settings", settings, methods=["GET"])
ROUTES = (
    Route("/v1/server_settings/python", python, methods=["GET"]),
    Route("/v1/server_settings/r", none_installed, methods=["GET"]),
    Route("/v1/server_settings/quarto", quarto, methods=["GET"]),
    Route("/v1/server_settings/nodejs", none_installed, methods=["GET"]),
    Route("/v1/server_settings/tensorflow", none_installed, methods=["GET"]),
    Route("/server_settings/applications", applications, methods=["GET"]),
    Route("/server_settings/scheduler", limits, methods=["GET"]),
    Route("/server_settings/scheduler/{mode}", limits, methods=["GET"]),
    Route("/v1/server_settings/scheduler", limits, methods=["GET"]),
    Route("/v1/server_settings/scheduler/{mode}", limits, methods=["GET"]),
    Route("/v1/user", user, methods=["GET"]),
    Route("/users/current", older_user, methods=["GET"]),
    Route("/me", older_user, methods=["GET"]),
    Route("/v1/environments", environments, methods=["GET"]),
    Route("/v1/environments/{guid}", environment, methods=["GET"]),
)
