"""What every endpoint takes from a request: the machine, and what the path names."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hatch_connect.local.answers import (
    FOREIGN_BUNDLE,
    LOCKED,
    UNKNOWN_TASK,
    ApiError,
    missing,
)
from hatch_connect.local.machine import Machine

if TYPE_CHECKING:
    from starlette.requests import Request

    from hatch_connect.local.state import StoredBundle, StoredContent, StoredJob
    from hatch_connect.local.tasks import Task


def machine_of(request: Request) -> Machine:
    """Return the machine that the application serves."""
    machine = request.app.state.machine
    assert isinstance(machine, Machine)  # noqa: S101 - create_app sets it
    return machine


def content_of(request: Request, *, changing: bool = False) -> StoredContent:
    """Return the content that the path names; raises ApiError, also for `changing` locked one."""
    content = machine_of(request).state.content(request.path_params["guid"])
    if content is None:
        raise missing()
    if changing and content.settings["locked"]:
        raise ApiError(403, LOCKED, "This content is locked.")
    return content


def bundle_of(request: Request, content: StoredContent) -> StoredBundle:
    """Return the bundle that the path names; raises ApiError."""
    return find_bundle(machine_of(request), content, request.path_params["bundle"])


def find_bundle(machine: Machine, content: StoredContent, bundle_id: str) -> StoredBundle:
    """Return the bundle of that id; raises ApiError if it is none, or another content's."""
    # A longer number is none that SQLite could hold.
    known = bundle_id.isascii() and bundle_id.isdigit() and len(bundle_id) <= 18  # noqa: PLR2004
    bundle = machine.state.bundle(int(bundle_id)) if known else None
    if bundle is None:
        raise missing()
    if bundle.content != content.id:
        raise ApiError(404, FOREIGN_BUNDLE, "The bundle belongs to other content.")
    return bundle


def task_of(request: Request) -> Task:
    """Return the task that the path names; raises ApiError."""
    task = machine_of(request).tasks.get(request.path_params["task"])
    if task is None:
        raise ApiError(404, UNKNOWN_TASK, "There is no such task.")
    return task


def job_of(request: Request, content: StoredContent) -> StoredJob:
    """Return the job that the path names; raises ApiError."""
    for job in machine_of(request).state.jobs(content):
        if job.key == request.path_params["key"]:
            return job
    raise missing()
