"""Visits to content that needs no process: its pages, and what is known of a model."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, RedirectResponse
from starlette.staticfiles import StaticFiles

from hatch_connect.local.entrypoints import saved_models
from hatch_connect.local.pages import page

if TYPE_CHECKING:
    from pathlib import Path

    from starlette.requests import Request
    from starlette.responses import Response

    from hatch_connect.local.targets import ContentTarget

_READING = ("GET", "HEAD")
_NO_PREDICTIONS = "This server shows that the model arrived; it does not serve predictions."


async def show_file(folder: Path, target: ContentTarget, request: Request) -> Response:
    """Return a file of content; its first page for the path of the content itself."""
    first = target.bundle.entrypoint
    path = request.scope["path"][len(target.prefix) :].lstrip("/")
    if not path and "/" in first:
        # The links of a page are relative to where it lies.
        return RedirectResponse(f"{target.prefix}/{first}")
    try:
        return await StaticFiles(directory=folder, html=True).get_response(
            path or first, request.scope
        )
    except HTTPException as error:
        return page("There is no such page", "", status=error.status_code)
    except RuntimeError:  # of StaticFiles, for a folder that is gone
        return page("The files of this content are gone", "<p>Deploy it again.</p>", status=502)


async def describe_model(folder: Path, target: ContentTarget, request: Request) -> Response:
    """Return what is known of a TensorFlow model; a request for a prediction is refused."""
    if request.method not in _READING:
        return JSONResponse({"error": _NO_PREDICTIONS}, status_code=501)
    models = await asyncio.to_thread(saved_models, folder)
    return JSONResponse(
        {
            "app_mode": target.bundle.app_mode,
            "bundle_id": str(target.bundle.id),
            "saved_models": list(models),
            "message": _NO_PREDICTIONS,
        }
    )
