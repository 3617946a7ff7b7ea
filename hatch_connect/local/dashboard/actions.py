"""What the forms of the dashboard do. Each redirects to a page that says how it went."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from starlette.responses import RedirectResponse
from starlette.routing import Route

from hatch_connect.local.api.bundles import remove_bundle
from hatch_connect.local.api.deployments import begin_deployment
from hatch_connect.local.api.requests import bundle_of, job_of, refuse_locked, whole_number
from hatch_connect.local.dashboard.pages import show_confirmation, viewed
from hatch_connect.local.sessions import check_form
from hatch_connect.local.sessions import sign_out as end_sessions

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.datastructures import FormData
    from starlette.requests import Request
    from starlette.responses import Response

    from hatch_connect.local.dashboard.pages import Viewed

_MOST_FIELDS = 20
_LARGEST_FIELD = 1 << 16  # bytes


@asynccontextmanager
async def _form(request: Request) -> AsyncIterator[FormData]:
    """Yield the form of a request that comes from a page of this session."""
    whole = request.form(max_files=0, max_fields=_MOST_FIELDS, max_part_size=_LARGEST_FIELD)
    async with whole as form:
        check_form(request, form)
        yield form


async def _changed(request: Request) -> Viewed:
    """Return the content that a form changes; raises what a page is answered with."""
    async with _form(request):
        pass
    found = viewed(request, editing=True)
    refuse_locked(found.content)
    return found


def _go(request: Request, path: str, notice: str) -> Response:
    """Redirect to a page, which says what was done."""
    request.session["notice"] = notice
    return RedirectResponse(path, 303)


async def visit_as(request: Request) -> Response:
    """Show the content as somebody else from now on, or as nobody."""
    async with _form(request) as form:
        visitor, bundle = str(form.get("visitor", "")), str(form.get("bundle", ""))
    found = viewed(request)
    request.session["visitor"] = found.content.guid, visitor
    below = "?again=1" if whole_number(bundle) is None else f"/draft/{bundle}"
    return RedirectResponse(found.path + below, 303)


async def activate(request: Request) -> Response:
    """Deploy a bundle that is there, and show the log of that."""
    found = await _changed(request)
    bundle = bundle_of(request, found.content)
    task = begin_deployment(found.machine, found.content, bundle, activate=True)
    return _go(request, f"{found.path}/logs/{task.id}", f"Activating bundle {bundle.id}.")


async def restart(request: Request) -> Response:
    """End the processes; the page that is shown next starts another."""
    found = await _changed(request)
    found.machine.running.restart(found.content)
    return _go(request, f"{found.path}?again=1", "The content was restarted.")


async def stop(request: Request) -> Response:
    """End the processes until somebody visits the content."""
    found = await _changed(request)
    found.machine.running.restart(found.content)
    text = "The processes were stopped. The next visit starts the content again."
    return _go(request, f"{found.path}/logs", text)


async def end_job(request: Request) -> Response:
    """End one process."""
    found = await _changed(request)
    job = job_of(request, found.content)
    ended = await found.machine.jobs.kill(job)
    text = "The process was ended." if ended else "The process has already ended."
    return _go(request, f"{found.path}/logs/{job.key}", text)


async def ask_delete_bundle(request: Request) -> Response:
    """Ask whether to delete a bundle."""
    found = viewed(request, editing=True)
    bundle = bundle_of(request, found.content)
    return show_confirmation(
        request,
        found,
        question=f"Delete bundle {bundle.id}?",
        explanation="Its archive and its unpacked files are removed. This cannot be undone.",
        back=f"{found.path}/versions",
    )


async def delete_bundle(request: Request) -> Response:
    """Delete a bundle that is not the active one."""
    found = await _changed(request)
    bundle = bundle_of(request, found.content)
    await remove_bundle(found.machine, found.content, bundle)
    return _go(request, f"{found.path}/versions", f"Bundle {bundle.id} was deleted.")


async def ask_delete_content(request: Request) -> Response:
    """Ask whether to delete the content."""
    found = viewed(request, editing=True)
    return show_confirmation(
        request,
        found,
        question="Delete this content?",
        explanation=(
            "Its bundles, variables, permissions and logs are removed with it. This cannot be"
            " undone."
        ),
        back=f"{found.path}/versions",
    )


async def delete_content(request: Request) -> Response:
    """Delete content with all that belongs to it."""
    found = await _changed(request)
    await found.machine.remove_content(found.content)
    name = found.content.title
    return _go(request, "/connect/", f"{name} was deleted.")


async def sign_out(request: Request) -> Response:
    """End the session."""
    async with _form(request):
        pass
    end_sessions(request)
    return RedirectResponse("/connect/", 303)


_ONE = "/apps/{guid}"
_BUNDLE = _ONE + "/versions/{bundle}"
ROUTES = (
    Route("/sign-out", sign_out, methods=["POST"]),
    Route(_BUNDLE + "/activate", activate, methods=["POST"]),
    Route(_BUNDLE + "/delete", ask_delete_bundle, methods=["GET"]),
    Route(_BUNDLE + "/delete", delete_bundle, methods=["POST"]),
    Route(_ONE + "/visit", visit_as, methods=["POST"]),
    Route(_ONE + "/restart", restart, methods=["POST"]),
    Route(_ONE + "/stop", stop, methods=["POST"]),
    Route(_ONE + "/logs/{key}/end", end_job, methods=["POST"]),
    Route(_ONE + "/delete", ask_delete_content, methods=["GET"]),
    Route(_ONE + "/delete", delete_content, methods=["POST"]),
)
