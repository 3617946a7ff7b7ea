"""`v1/content`, its settings and environment variables, and the older `applications`."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from hatch_connect.local.access import app_role, may_see, seen_by
from hatch_connect.local.api.people import user_json
from hatch_connect.local.api.requests import (
    BAD_INCLUDE,
    BAD_LOAD_FACTOR,
    BAD_REQUEST,
    NAME_TAKEN,
    NO_REMOVAL,
    NO_UPDATE,
    NO_VIEW,
    NOT_PARSED,
    ApiError,
    as_object,
    content_of,
    invalid,
    missing,
    not_allowed,
    path_of,
    publisher_of,
    read_list,
    read_object,
    refuse_locked,
    user_of,
    whole_number,
)
from hatch_connect.local.api.tags import tags_of
from hatch_connect.local.machine import machine_of
from hatch_connect.project.validators import validate_title
from hatch_connect.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from types import UnionType

    from starlette.requests import Request

    from hatch_connect.local.machine import Machine
    from hatch_connect.local.state import StoredContent
    from hatch_connect.local.users import User

ACCESS_TYPES = ("all", "logged_in", "acl")
_TYPES: dict[str, type | UnionType] = {
    **dict.fromkeys(("title", "run_as", "default_image_name", "service_account_name"), str),
    "connection_timeout": int,
    "read_timeout": int,
    "init_timeout": int,
    "idle_timeout": int,
    "max_processes": int,
    "min_processes": int,
    "max_conns_per_process": int,
    "memory_limit": int,
    "memory_request": int,
    "amd_gpu_limit": int,
    "nvidia_gpu_limit": int,
    **dict.fromkeys(("load_factor", "cpu_request", "cpu_limit"), int | float),
    "default_py_environment_management": bool,
    "default_r_environment_management": bool,
    "default_environment_guid": str,
    **dict.fromkeys(("metrics_collection_enabled", "notify_on_share"), bool),
    "otel_enabled": bool,
    "content_category": str,
    "description": str,
    "access_type": str,
    "run_as_current_user": bool,
    "locked": bool,
    "locked_message": str,
}
"""By Connect's name of a setting, the JSON types that it may have."""

_ORDER = {  # with Connect's codes
    ("min_processes", "max_processes"): 114,
    ("memory_request", "memory_limit"): 185,
    ("cpu_request", "cpu_limit"): 190,
}
_NEVER_NULL: dict[str, object] = {
    "description": "",
    "access_type": "acl",
    "content_category": "",
    "otel_enabled": False,
}
_NULL_IS_DEFAULT: dict[str, object] = {
    "run_as_current_user": False,
    "locked": False,
    "locked_message": "",
}
DEFAULTS: dict[str, object] = dict.fromkeys(_TYPES) | _NEVER_NULL | _NULL_IS_DEFAULT
_INCLUDED = frozenset(("tags", "owner", "vanity_url", "bookmarked", "schedule"))
_CREATABLE = frozenset(("name", *DEFAULTS)) - {"locked", "locked_message", "content_category"}
_WRITABLE = frozenset(("name", "owner_guid", *DEFAULTS))
_BY_ADMINISTRATORS = ("run_as", "run_as_current_user", "service_account_name")
_BAD_NAME, _NO_LOCKING, _BAD_ACCESS, _BAD_TITLE, _BAD_DESCRIPTION = 5, 49, 117, 122, 123
_BAD_OWNER, _NO_PROCESSES, _NO_CONNECTIONS = 156, 272, 239
_NEGATIVE = {
    **dict.fromkeys(("connection_timeout", "read_timeout", "init_timeout", "idle_timeout"), 151),
    "min_processes": 191,
    "max_processes": 192,
    "max_conns_per_process": _NO_CONNECTIONS,
    "load_factor": BAD_LOAD_FACTOR,
    "memory_request": 181,
    "memory_limit": 183,
    "cpu_request": 186,
    "cpu_limit": 188,
    "amd_gpu_limit": 196,
    "nvidia_gpu_limit": 198,
}
_NAME = re.compile(r"[A-Za-z0-9._-]{3,64}")
_CATEGORIES = ("", "mcp")  # that a client may set; the others come with bundles of R
_LONGEST_DESCRIPTION = 4096
ENVIRONMENT = frozenset(
    (  # of which viewers are not told
        *("environment_guid", "cluster_name", "image_name", "r_version", "py_version"),
        *(
            "quarto_version",
            "node_version",
            "r_environment_management",
            "py_environment_management",
        ),
        *("default_image_name", "default_environment_guid", "service_account_name"),
        *("default_r_environment_management", "default_py_environment_management"),
    )
)


def _name(name: object) -> str:
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        error = "The name must have 3 to 64 characters: letters, digits, '.', '-' and '_'."
        raise ApiError(400, _BAD_NAME, error)
    return name


def _settings(given: dict[str, object]) -> dict[str, object]:
    """Return settings that a client gave; raises ApiError if one has a wrong type or value."""
    for name, value in given.items():
        kind = _TYPES[name]
        # JSON's true is no number, though Python's is.
        right = isinstance(value, kind) and (kind is bool or not isinstance(value, bool))
        if not right and (value is not None or name in _NEVER_NULL):
            error = f"The field {name!r} has the wrong type, {type(value).__name__}."
            raise ApiError(400, NOT_PARSED, error)
        if isinstance(value, int | float) and value < 0:
            raise ApiError(400, _NEGATIVE[name], f"The field {name!r} must not be negative.")
    for fits, code, error in _rules(DEFAULTS | given):
        if not fits:
            raise ApiError(400, code, error)
    return {
        name: _NULL_IS_DEFAULT.get(name) if value is None else value
        for name, value in given.items()
    }


def _rules(settings: dict[str, object]) -> Iterator[tuple[bool, int, str]]:
    """Yield whether settings keep each of Connect's rules, with its code and what it says."""
    title, load = settings["title"], settings["load_factor"]
    yield (
        not isinstance(load, int | float) or load <= 1,
        BAD_LOAD_FACTOR,
        "The field 'load_factor' must be from 0 to 1.",
    )
    yield settings["max_processes"] != 0, _NO_PROCESSES, "'max_processes' must not be 0."
    yield (
        settings["max_conns_per_process"] != 0,
        _NO_CONNECTIONS,
        "'max_conns_per_process' must not be 0.",
    )
    yield (
        not isinstance(title, str) or not title or not validate_title(title),
        _BAD_TITLE,
        "The title must have 3 to 1,024 characters.",
    )
    yield (
        len(str(settings["description"])) <= _LONGEST_DESCRIPTION,
        _BAD_DESCRIPTION,
        f"The description has at most {_LONGEST_DESCRIPTION:,} characters.",
    )
    yield (
        settings["access_type"] in ACCESS_TYPES,
        _BAD_ACCESS,
        f"The field 'access_type' must be one of: {', '.join(ACCESS_TYPES)}.",
    )
    yield (
        settings["content_category"] in _CATEGORIES,
        BAD_REQUEST,
        "The field 'content_category' can be 'mcp' or empty.",
    )


def _merged(
    user: User, before: Mapping[str, object], given: dict[str, object]
) -> dict[str, object]:
    """Return changed settings, of which none is above its limit; raises ApiError."""
    settings = {**before, **_settings(given)}
    if user.role != "administrator":
        for name in _BY_ADMINISTRATORS:
            if settings[name] != before[name]:
                raise not_allowed()
    for (low, high), code in _ORDER.items():
        least, most = settings[low], settings[high]
        if isinstance(least, int | float) and isinstance(most, int | float) and least > most:
            raise ApiError(400, code, f"The field {low!r} must not be more than {high!r}.")
    return settings


def read_include(request: Request) -> frozenset[str]:
    """Return what a request wants to know of content besides its fields; raises ApiError."""
    asked = frozenset(filter(None, request.query_params.get("include", "").split(",")))
    release, path = machine_of(request).setup.claims.release, path_of(request)
    if request.path_params and not release.has("behaviour", "include for one"):
        return frozenset()  # it ignores the parameter
    known = {name for name in _INCLUDED if release.has("include", name, path)}
    if unknown := asked - known:
        raise ApiError(400, BAD_INCLUDE, f"The parameter 'include' does not know {min(unknown)!r}.")
    return asked


def included(machine: Machine, content: StoredContent, asked: frozenset[str]) -> dict[str, object]:
    """Return what was asked for of content besides its fields."""
    path = content.vanity_path
    owner = user_json(machine.users.of_guid(content.owner) or machine.users.own)
    told = {
        "tags": tags_of(machine.state, content),
        "owner": {key: owner[key] for key in ("guid", "username", "first_name", "last_name")},
        **({"vanity_url": f"{machine.setup.url}{path}"} if path else {}),
        "bookmarked": False,
        "schedules": [],
    }
    wanted = asked | ({"schedules"} if "schedule" in asked else set())
    return {key: value for key, value in told.items() if key in wanted}


def content_json(machine: Machine, content: StoredContent, user: User) -> dict[str, object]:
    """Return content as Connect describes it to a user."""
    active = machine.state.active_bundle(content)
    described = {
        **DEFAULTS,
        **content.settings,
        "guid": content.guid,
        "id": str(content.id),
        "name": content.name,
        "created_time": content.created,
        "last_deployed_time": content.deployed or content.created,
        "bundle_id": None if content.active_bundle is None else str(content.active_bundle),
        "app_mode": content.app_mode,
        "parameterized": False,
        "environment_guid": None,
        "cluster_name": "Local" if content.active_bundle else None,
        "image_name": None,
        "r_version": None,
        "py_version": content.python,
        "quarto_version": None,
        "node_version": None,
        "r_environment_management": None,
        "py_environment_management": active.managed if active else None,
        "owner_guid": content.owner,
        "content_url": machine.setup.content_url(content),
        "dashboard_url": machine.setup.dashboard_url(content),
        "app_role": app_role(machine.state, content, user),
        "public_content_status": "unrestricted",
    }
    return described | (dict.fromkeys(ENVIRONMENT) if user.role == "viewer" else {})


async def find(request: Request) -> Response:
    """`GET v1/content`: what the user may see of it, all or that of a name and owner."""
    machine, user = machine_of(request), user_of(request)
    name, owner = (request.query_params.get(key) or None for key in ("name", "owner_guid"))
    asked = read_include(request)
    return JSONResponse(
        [
            content_json(machine, content, user) | included(machine, content, asked)
            for content in seen_by(user, machine.state)
            if name in {None, content.name} and owner in {None, content.owner}
        ]
    )


async def create(request: Request) -> Response:
    """`POST v1/content`: the name is unique for its owner."""
    machine, user = machine_of(request), publisher_of(request)
    given = await read_object(request, _CREATABLE)
    name = _name(given.pop("name", None))
    settings = _merged(user, DEFAULTS, given)
    _check_free(machine, user.guid, name)
    content = machine.state.add_content(name, settings, user.guid)
    return JSONResponse(content_json(machine, content, user))


async def get(request: Request) -> Response:
    """`GET v1/content/{guid}`."""
    machine, content = machine_of(request), content_of(request)
    more = included(machine, content, read_include(request))
    return JSONResponse(content_json(machine, content, user_of(request)) | more)


async def update(request: Request) -> Response:
    """`PATCH v1/content/{guid}`; locked content can only be unlocked."""
    machine, user = machine_of(request), user_of(request)
    given = await read_object(request, _WRITABLE)
    locking = "locked" in given or "locked_message" in given
    content = content_of(request, editing=True, code=_NO_LOCKING if locking else NO_UPDATE)
    if given.get("locked") is not False:
        refuse_locked(content)
    name = _name(given.pop("name", content.name))
    owner = _owner(machine, content, user, given.pop("owner_guid", None))
    if (owner, name) != (content.owner, content.name):
        _check_free(machine, owner, name)
    settings = _merged(user, content.settings, given)
    changed = replace(content, owner=owner, name=name, settings=settings)
    with machine.state.transaction():
        machine.state.save_content(changed)
        if owner != content.owner:  # who is not on the list of those with rights
            listed = machine.state.links(content, "user")
            machine.state.unlink(content, *(one for one in listed if one.guid == owner))
    machine.running.settings_changed(changed)
    return JSONResponse(content_json(machine, changed, user))


def _owner(machine: Machine, content: StoredContent, user: User, given: object) -> str:
    """Return whose content it shall be; raises ApiError if that cannot be."""
    if given in (None, content.owner):
        return content.owner
    if user.role != "administrator":
        raise not_allowed()
    owner = machine.users.of_guid(given)
    if owner is None or owner.role == "viewer":
        raise ApiError(400, _BAD_OWNER, "The owner must be a publisher or an administrator.")
    return owner.guid


async def delete(request: Request) -> Response:
    """`DELETE v1/content/{guid}`."""
    content = content_of(request, changing=True, code=NO_REMOVAL)
    await machine_of(request).remove_content(content)
    return Response(status_code=204)


async def application(request: Request) -> Response:
    """`GET applications/{id}`, by number or GUID, from before there was `v1/content`."""
    machine, user = machine_of(request), user_of(request)
    wanted = request.path_params["id"]
    number = whole_number(wanted)
    state = machine.state
    content = state.content(wanted) if number is None else state.content_by_id(number)
    if content is None:
        raise missing()
    if not may_see(state, content, user):
        raise not_allowed(NO_VIEW)
    described = content_json(machine, content, user)
    return JSONResponse(described | {"id": content.id, "url": described["content_url"]})


async def environment(request: Request) -> Response:
    """`GET v1/content/{guid}/environment`: the names only."""
    content = content_of(request, editing=True)
    return JSONResponse(list(machine_of(request).state.variables(content)))


async def change_environment(request: Request) -> Response:
    """`PATCH`, `PUT`: the first merges variables, a null value removes one; the other replaces."""
    machine = machine_of(request)
    content_of(request, changing=True)  # who may not do it is told so, whatever was sent
    given = await read_list(request)
    content = content_of(request, changing=True)
    changes = dict(_variable(entry) for entry in given)
    machine.state.set_variables(content, changes, only=request.method == "PUT")
    machine.running.restart(content)
    return JSONResponse(list(machine.state.variables(content)))


def _variable(entry: object) -> tuple[str, Secret | None]:
    given = as_object(entry, ("name", "value"))
    name, value = given.get("name"), given.get("value")
    if not isinstance(name, str) or not name or "=" in name or not _fits_environment(name):
        raise invalid("The name of an environment variable is not valid.")
    if value is not None and not (isinstance(value, str) and _fits_environment(value)):
        raise invalid(f"The value of the environment variable {name!r} is not valid.")
    return name, None if value is None else Secret(value)


def _fits_environment(text: str) -> bool:
    # JSON can hold halves of surrogate pairs, which are no text.
    return "\0" not in text and text == text.encode(errors="ignore").decode()


def _check_free(machine: Machine, owner: str, name: str) -> None:
    if machine.state.content_by_name(owner, name):
        raise ApiError(409, NAME_TAKEN, f"The owner already has content named {name!r}.")


ROUTES = (
    Route("/v1/content", find, methods=["GET"]),
    Route("/v1/content", create, methods=["POST"]),
    Route("/v1/content/{guid}", get, methods=["GET"]),
    Route("/v1/content/{guid}", update, methods=["PATCH"]),
    Route("/v1/content/{guid}", delete, methods=["DELETE"]),
    Route("/v1/content/{guid}/environment", environment, methods=["GET"]),
    Route("/v1/content/{guid}/environment", change_environment, methods=["PATCH", "PUT"]),
    Route("/applications/{id}", application, methods=["GET"]),
)
