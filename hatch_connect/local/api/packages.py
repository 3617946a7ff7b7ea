"""What is installed for content, and the caches in which it is: environments of one Python each."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from hatch_connect.local.access import seen_by
from hatch_connect.local.api.requests import (
    NOT_FOUND,
    ApiError,
    content_of,
    invalid,
    need_administrator,
    page_of,
    read_object,
    user_of,
)
from hatch_connect.local.machine import machine_of

if TYPE_CHECKING:
    from starlette.requests import Request

    from hatch_connect.local.machine import Machine
    from hatch_connect.local.state import StoredBundle, StoredContent
    from hatch_connect.local.tasks import Task

_BAD_LANGUAGE = 179
_LANGUAGES = ("Python", "R")
_LOCAL = "Local"


async def lockfile(request: Request) -> Response:
    """`GET v1/content/{guid}/lockfile`: what was installed for the active bundle, as pins."""
    machine, content = machine_of(request), content_of(request, editing=True)
    bundle = machine.state.active_bundle(content)
    if bundle is None:
        raise ApiError(404, NOT_FOUND, "This content has no active bundle.")
    if not _is_managed(bundle):
        why = "does not use Python" if bundle.python is None else "has no managed environment"
        raise ApiError(404, NOT_FOUND, f"This content {why}.")
    lock = _lock(machine, bundle)
    if lock is None:
        raise ApiError(404, NOT_FOUND, "The environment of this content was removed.")
    generated_by = f"connect; python={bundle.python}"
    return PlainTextResponse(lock, headers={"Generated-By": generated_by})


async def packages(request: Request) -> Response:
    """`GET v1/content/{guid}/packages`: those of the active bundle; 204 if there is none."""
    machine, content = machine_of(request), content_of(request, editing=True)
    bundle = machine.state.active_bundle(content)
    if bundle is None:
        return Response(status_code=204)
    return JSONResponse(_packages(machine, content, bundle))


async def all_packages(request: Request) -> Response:
    """`GET v1/packages`: those of all active bundles, or those of a `name`, in pages."""
    machine, user = machine_of(request), user_of(request)
    found: list[dict[str, object]] = []
    for content in seen_by(user, machine.state):
        if (bundle := machine.state.active_bundle(content)) is not None:
            found += _packages(machine, content, bundle)
    wanted = request.query_params.get("name")
    found = [one for one in found if wanted in {None, one["name"]}]
    found.sort(key=lambda one: str(one["name"]))
    if request.query_params.get("asc_order") == "false":
        found.reverse()
    return page_of(request, found)


def _packages(
    machine: Machine, content: StoredContent, bundle: StoredBundle
) -> list[dict[str, object]]:
    if not _is_managed(bundle):
        return []
    pins = [line.partition("==") for line in (_lock(machine, bundle) or "").splitlines()]
    return [
        {
            "language": "python",
            "language_version": bundle.python,
            "name": name,
            "version": version,
            "hash": None,
            "bundle_id": str(bundle.id),
            "app_id": str(content.id),
            "app_guid": content.guid,
            "content_id": str(content.id),
            "content_guid": content.guid,
        }
        for name, equal, version in sorted(pins)
        if equal
    ]


def _is_managed(bundle: StoredBundle) -> bool:
    return bundle.environment is not None and bundle.managed is not False


def _lock(machine: Machine, bundle: StoredBundle) -> str | None:
    try:
        return machine.environments.of(bundle).lock
    except FileNotFoundError:
        return None


async def caches(request: Request) -> Response:
    """`GET v1/system/caches/runtime`: the environments that are here, by version of Python."""
    need_administrator(request)
    versions = machine_of(request).environments.versions()
    return JSONResponse({"caches": [_cache(version) for version in versions]})


async def remove_cache(request: Request) -> Response:
    """`DELETE v1/system/caches/runtime`: removes those of one version, in a task.

    A visit or a deployment makes again what it needs. With `dry_run` nothing is removed.
    """
    need_administrator(request)
    machine = machine_of(request)
    given = await read_object(request, ("language", "version", "image_name", "dry_run"))
    language, version = given.get("language"), given.get("version")
    if language not in _LANGUAGES:
        raise ApiError(400, _BAD_LANGUAGE, "The language must be Python or R.")
    if not isinstance(version, str) or not version:
        raise invalid("The field 'version' must be the version of a cache.")
    if not isinstance(given.get("dry_run", False), bool):
        raise invalid("The field 'dry_run' must be true or false.")
    here = language == "Python" and given.get("image_name", _LOCAL) == _LOCAL
    if not here or version not in machine.environments.versions():
        raise ApiError(404, NOT_FOUND, "There is no such runtime cache.")
    if given.get("dry_run"):
        return JSONResponse(_cache(version) | {"task_id": None})

    async def work(running: Task) -> None:
        running.write(f"Removing the environments of Python {version}")
        await _stop_users(machine, version)
        number = await machine.environments.remove(version)
        running.write(f"Removed {number} environments")

    return JSONResponse(_cache(version) | {"task_id": machine.tasks.start(work).id})


async def _stop_users(machine: Machine, version: str) -> None:
    bundles = [one for each in machine.state.contents() for one in machine.state.bundles(each)]
    using = [one.id for one in bundles if one.environment and one.python == version]
    await machine.processes.stop(*using)


def _cache(version: str) -> dict[str, object]:
    return {"language": "Python", "version": version, "image_name": _LOCAL}


_CONTENT = "/v1/content/{guid}"
ROUTES = (
    Route(_CONTENT + "/lockfile", lockfile, methods=["GET"]),
    Route(_CONTENT + "/packages", packages, methods=["GET"]),
    Route("/v1/packages", all_packages, methods=["GET"]),
    Route("/v1/system/caches/runtime", caches, methods=["GET"]),
    Route("/v1/system/caches/runtime", remove_cache, methods=["DELETE"]),
)
