"""`v1/content/{guid}/bundles`."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route

from hatch_connect.errors import BundleError
from hatch_connect.local.api.requests import (
    ACTIVE_BUNDLE,
    ApiError,
    bundle_of,
    content_of,
    machine_of,
)
from hatch_connect.local.archives import read_manifest
from hatch_connect.local.checks import parse
from hatch_connect.local.state import StoredBundle, now
from hatch_connect.local.uploads import receive, temporary

if TYPE_CHECKING:
    from pathlib import Path

    from starlette.requests import Request

    from hatch_connect.local.state import StoredContent


def bundle_json(bundle: StoredBundle, content: StoredContent) -> dict[str, object]:
    """Return a bundle as Connect describes it."""
    return {
        "id": str(bundle.id),
        "content_guid": content.guid,
        "created_time": bundle.created,
        "cluster_name": "Local" if bundle.deployed else None,
        "image_name": None,
        "r_version": None,
        "r_environment_management": None,
        "py_version": bundle.python,
        "py_environment_management": bundle.managed,
        "quarto_version": None,
        "active": bundle.id == content.active_bundle,
        "size": bundle.size,
        "metadata": dict(bundle.metadata),
    }


async def upload(request: Request) -> Response:
    """`POST`: the archive as the body, or in a form with metadata."""
    machine = machine_of(request)
    content = content_of(request, changing=True)
    with temporary(machine.setup.folder / "bundles") as path:
        received = await receive(request, path)
        app_mode = await asyncio.to_thread(_app_mode, path)
        bundle = machine.state.add_bundle(
            StoredBundle(
                id=0,
                content=content.id,
                created=now(),
                size=received.size,
                metadata={
                    **received.metadata,
                    "archive_md5": received.md5,
                    "archive_sha1": received.sha1,
                },
                app_mode=app_mode,
            )
        )
        path.replace(machine.archive(bundle))
    return JSONResponse(bundle_json(bundle, content))


async def listing(request: Request) -> Response:
    """`GET`: all bundles, newest first."""
    content = content_of(request)
    bundles = machine_of(request).state.bundles(content)
    return JSONResponse([bundle_json(bundle, content) for bundle in bundles])


async def get(request: Request) -> Response:
    """`GET .../{id}`."""
    content = content_of(request)
    return JSONResponse(bundle_json(bundle_of(request, content), content))


async def download(request: Request) -> Response:
    """`GET .../{id}/download`."""
    content = content_of(request)
    bundle = bundle_of(request, content)
    return FileResponse(
        machine_of(request).archive(bundle),
        media_type="application/gzip",
        filename=f"bundle-{bundle.id}.tar.gz",
    )


async def delete(request: Request) -> Response:
    """`DELETE .../{id}`, not of the active one."""
    machine = machine_of(request)
    content = content_of(request, changing=True)
    bundle = bundle_of(request, content)
    if bundle.id == content.active_bundle:
        raise ApiError(409, ACTIVE_BUNDLE, "The active bundle cannot be deleted.")
    await machine.processes.stop(bundle.id)
    machine.state.remove_bundle(bundle)
    await machine.remove_files(bundle)
    return Response(status_code=204)


def _app_mode(archive: Path) -> str | None:
    text = read_manifest(archive)
    try:
        return None if text is None else parse(text).app_mode
    except BundleError:
        return None


_PATH = "/v1/content/{guid}/bundles"
ROUTES = (
    Route(_PATH, upload, methods=["POST"]),
    Route(_PATH, listing, methods=["GET"]),
    Route(_PATH + "/{bundle}", get, methods=["GET"]),
    Route(_PATH + "/{bundle}", delete, methods=["DELETE"]),
    Route(_PATH + "/{bundle}/download", download, methods=["GET"]),
)
