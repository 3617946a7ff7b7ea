"""Deployments and their tasks."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from hatch_connect.local.api.requests import (
    BAD_MANIFEST,
    OTHER_APP_MODE,
    ApiError,
    content_of,
    find_bundle,
    invalid,
    read_number,
    read_object,
    task_of,
)
from hatch_connect.local.deploy import start_deployment
from hatch_connect.local.machine import machine_of
from hatch_connect.local.tasks import Task

if TYPE_CHECKING:
    from starlette.requests import Request

    from hatch_connect.local.machine import Machine
    from hatch_connect.local.state import StoredBundle, StoredContent

_LONGEST_WAIT = 30


async def deploy(request: Request) -> Response:
    """`POST v1/content/{guid}/deploy`; without `bundle_id` it takes the newest bundle."""
    begun = await _begin(request)
    return JSONResponse({"task_id": begun.id}, status_code=202)


async def build(request: Request) -> Response:
    """`POST v1/content/{guid}/build`: restores packages, and renders only what never was."""
    begun = await _begin(request, render=False)
    return JSONResponse({"task_id": begun.id})


async def _begin(request: Request, *, render: bool = True) -> Task:
    machine = machine_of(request)
    given = await read_object(request, ("bundle_id", "activate"))
    content = content_of(request, changing=True)
    activate = given.get("activate")
    if not isinstance(activate, bool | None):
        raise invalid("The field 'activate' must be true or false.")
    bundle = _bundle(machine, content, given.get("bundle_id"))
    return begin_deployment(machine, content, bundle, activate=activate is not False, render=render)


def begin_deployment(
    machine: Machine,
    content: StoredContent,
    bundle: StoredBundle,
    *,
    activate: bool,
    render: bool = True,
) -> Task:
    """Return the task that deploys a bundle; raises ApiError if the content cannot become that."""
    if not machine.setup.claims.release.has("app mode", bundle.app_mode or ""):
        error = f"Cannot process manifest: Unrecognized app mode {bundle.app_mode}"
        raise ApiError(400, BAD_MANIFEST, error)
    # A bundle whose manifest cannot be read fails in its task, whose log can say why.
    modes = {content.app_mode, bundle.app_mode} - {"unknown", None}
    if len(modes) > 1:
        raise ApiError(
            403,
            OTHER_APP_MODE,
            f"This content is {content.app_mode}; a bundle of the app mode {bundle.app_mode}"
            " cannot be deployed to it.",
        )
    return start_deployment(machine, bundle, activate=activate, render=render)


async def task(request: Request) -> Response:
    """`GET v1/tasks/{id}`: the output from line `first` on, or an end, after `wait` s at most."""
    first = read_number(request, "first")
    wait = min(read_number(request, "wait"), _LONGEST_WAIT)
    machine, found = machine_of(request), task_of(request)
    if isinstance(found, Task):
        await found.wait(first, wait)
        finished = found.finished
    else:
        finished = found.ended is not None
    entries = await asyncio.to_thread(machine.logs.read, found.id, first)
    lines = [entry.data for entry in entries]
    return JSONResponse(
        {
            "id": found.id,
            "output": lines,
            "result": None,
            "finished": finished,
            "code": found.code or 0,
            "error": found.error,
            "last": first + len(lines) if lines else machine.logs.count(found.id),
        }
    )


def _bundle(machine: Machine, content: StoredContent, bundle_id: object) -> StoredBundle:
    if isinstance(bundle_id, str):
        return find_bundle(machine, content, bundle_id)
    if bundle_id is not None:
        raise invalid("The field 'bundle_id' must be a string of digits.")
    bundles = machine.state.bundles(content)
    if not bundles:
        raise invalid("This content has no bundle to deploy.")
    return bundles[0]


ROUTES = (
    Route("/v1/content/{guid}/deploy", deploy, methods=["POST"]),
    Route("/v1/content/{guid}/build", build, methods=["POST"]),
    Route("/v1/tasks/{task}", task, methods=["GET"]),
)
