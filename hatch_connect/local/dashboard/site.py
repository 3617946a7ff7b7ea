"""The dashboard as one application: its pages, actions, live logs and static files."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.responses import HTMLResponse
from starlette.routing import Mount
from starlette.staticfiles import StaticFiles

from hatch_connect.local import sessions
from hatch_connect.local.api.requests import ApiError
from hatch_connect.local.dashboard import actions, live, pages
from hatch_connect.local.dashboard.rendering import FOLDER, render

if TYPE_CHECKING:
    import asyncio

    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.types import ASGIApp

    from hatch_connect.local.machine import Machine

_TITLES = {
    400: "This cannot be done",
    403: "Not allowed",
    404: "Not found",
    405: "Not possible",
    409: "This cannot be done",
    500: "Something went wrong",
}
_FAILED = (
    "This is a bug of the local server, whose terminal or log has the details. Nothing else is"
    " affected: the other pages still work."
)


def create_dashboard(machine: Machine, stopping: asyncio.Event) -> ASGIApp:
    """Return the application that is mounted at `/connect`, behind the sessions.

    `stopping` is set when the server stops, which ends what would go on.
    """
    site = Starlette(
        routes=[
            Mount("/static", StaticFiles(directory=FOLDER / "static")),
            *pages.ROUTES,
            *actions.ROUTES,
            *live.ROUTES,
        ],
        exception_handlers={
            **sessions.REFUSALS,
            ApiError: _refuse,
            HTTPException: _refuse_http,
            Exception: _refuse_failure,
        },
    )
    site.state.machine = machine
    site.state.stopping = stopping
    return site


def _message(request: Request, status: int, text: str) -> Response:
    session = sessions.session_of(request)
    guid = request.scope.get("path_params", {}).get("guid")
    page = render(
        "message.html",
        title=_TITLES.get(status, _TITLES[400]),
        text=text,
        back=f"/connect/apps/{guid}" if guid and status != 404 else "/connect/",  # noqa: PLR2004
        user=session.user if session else None,
        form_token=session.form_token if session else "",
        place="",
        notice=None,
    )
    return HTMLResponse(page, status)


async def _refuse(request: Request, error: Exception) -> Response:
    """Answer with what the API would say."""
    assert isinstance(error, ApiError)  # noqa: S101 - registered for nothing else
    return _message(request, error.status, error.error)


async def _refuse_http(request: Request, error: Exception) -> Response:
    """Answer to what is not there, or not for this user."""
    if sessions.session_of(request) is None:
        return sessions.refuse_stranger(request, error)
    assert isinstance(error, HTTPException)  # noqa: S101 - registered for nothing else
    return _message(request, error.status_code, error.detail)


async def _refuse_failure(request: Request, _error: Exception) -> Response:
    page = _message(request, 500, _FAILED)
    # The error goes on to uvicorn, which closes the connection: no other request may be sent on it.
    page.headers["Connection"] = "close"
    return page
