"""`v1/content/{guid}/bundles`: archives that were uploaded."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, TypeVar

from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route

from hatch_connect.errors import BundleError
from hatch_connect.local.api.content import ENVIRONMENT
from hatch_connect.local.api.receiving import receive, temporary
from hatch_connect.local.api.requests import (
    ACTIVE_BUNDLE,
    BAD_ARCHIVE,
    BAD_MANIFEST,
    BUNDLE_GONE,
    NOT_FOUND,
    ApiError,
    bundle_of,
    content_of,
    read_page,
    user_of,
)
from hatch_connect.local.archives import beginning, manifest_bytes, sizes
from hatch_connect.local.checks import parse_manifest
from hatch_connect.local.machine import machine_of
from hatch_connect.local.state import StoredBundle, now
from hatch_connect.local.tasks import in_thread

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from threading import Event

    from starlette.requests import Request

    from hatch_connect.local.machine import Machine
    from hatch_connect.local.state import StoredContent
    from hatch_connect.local.users import User

_PREVIEW = 1 << 20  # of a file in an archive
_NO_SUCH_FILE = 278
_METADATA = ("source", "source_repo", "source_branch", "source_commit")
_Read = TypeVar("_Read")


def _bundle_json(bundle: StoredBundle, content: StoredContent, user: User) -> dict[str, object]:
    """Return a bundle as Connect describes it to a user."""
    described: dict[str, object] = {
        "id": str(bundle.id),
        "content_guid": content.guid,
        "created_by": bundle.creator,
        "created_time": bundle.created,
        "environment_guid": None,
        "cluster_name": "Local" if bundle.deployed else None,
        "image_name": None,
        "r_version": None,
        "r_environment_management": None,
        "py_version": bundle.python,
        "py_environment_management": bundle.managed,
        "quarto_version": None,
        "active": bundle.id == content.active_bundle,
        "size": bundle.size,
        "metadata": dict.fromkeys(_METADATA) | dict(bundle.metadata),
    }
    return described | (
        dict.fromkeys(ENVIRONMENT & described.keys()) if user.role == "viewer" else {}
    )


async def upload(request: Request) -> Response:
    """`POST`: the archive as the body, or in a form with metadata."""
    machine = machine_of(request)
    if "url" in request.query_params:
        raise ApiError(404, NOT_FOUND, "Bundles by URL are not part of the local server.")
    content_of(request, changing=True)
    with temporary(machine.files.uploads) as path:
        received = await receive(request, path)
        app_mode = await in_thread(lambda stop: _app_mode(path, stop))
        # It may have been changed, or removed, while the archive arrived.
        content = content_of(request, changing=True)
        bundle = machine.state.add_bundle(
            StoredBundle(
                id=0,
                content=content.id,
                created=now(),
                size=received.size,
                metadata=received.metadata,
                app_mode=app_mode,
                creator=user_of(request).guid,
            )
        )
        try:
            path.replace(machine.files.archive(bundle))
        except OSError:
            machine.state.remove_bundle(bundle)
            raise
    return JSONResponse(_bundle_json(bundle, content, user_of(request)))


async def listing(request: Request) -> Response:
    """`GET`: newest first; a page of them if `page_size` or `page_number` is asked for."""
    content, user = content_of(request), user_of(request)
    bundles = machine_of(request).state.bundles(content)
    found = [_bundle_json(bundle, content, user) for bundle in bundles]
    if request.query_params.get("asc_order") == "true":
        found.reverse()
    if request.query_params.keys() & {"page_number", "page_size"}:
        found = list(read_page(request, found))
    return JSONResponse(found)


async def get(request: Request) -> Response:
    """`GET .../{id}`."""
    content = content_of(request)
    return JSONResponse(_bundle_json(bundle_of(request, content), content, user_of(request)))


async def download(request: Request) -> Response:
    """`GET .../{id}/download`: the archive as it was uploaded."""
    content = content_of(request, editing=True)
    return archive_of(machine_of(request), bundle_of(request, content))


def archive_of(machine: Machine, bundle: StoredBundle) -> Response:
    """Answer with the archive of a bundle; raises ApiError if it is gone."""
    name = f"bundle-{bundle.id}.tar.gz"
    return FileResponse(_archive(machine, bundle), media_type="application/gzip", filename=name)


async def files(request: Request) -> Response:
    """`GET .../{id}/files`: the regular files in the archive, with their sizes."""
    bundle = bundle_of(request, content_of(request, editing=True))
    archive = _archive(machine_of(request), bundle)
    found = await _read(lambda stop: sizes(archive, stop))
    return JSONResponse({"files": [{"path": name, "size": size} for name, size in found]})


async def file(request: Request) -> Response:
    """`GET .../{id}/files/{path}`: its text; null if it is binary, or longer than 1 MiB."""
    bundle = bundle_of(request, content_of(request, editing=True))
    archive = _archive(machine_of(request), bundle)
    name = request.path_params["path"]
    found = await _read(lambda stop: beginning(archive, name, _PREVIEW, stop))
    if found is None:
        raise ApiError(404, _NO_SUCH_FILE, f"The bundle has no file {name!r}.")
    size, start = found
    large, binary = size > _PREVIEW, b"\0" in start
    text: str | None = None
    if not large and not binary:
        with suppress(UnicodeDecodeError):
            text = start.decode()
    described = {
        "path": name,
        "size": size,
        "is_binary": binary or (text is None and not large),
        "is_too_large": large,
        "content": text,
    }
    return JSONResponse(described)


async def _read(how: Callable[[Event], _Read]) -> _Read:
    try:
        return await in_thread(how)
    except BundleError as error:
        raise ApiError(400, BAD_ARCHIVE, str(error)) from error


def _archive(machine: Machine, bundle: StoredBundle) -> Path:
    archive = machine.files.archive(bundle)
    if not archive.is_file():
        raise ApiError(404, BUNDLE_GONE, "The archive of this bundle is gone.")
    return archive


async def repository(request: Request) -> Response:
    """`GET v1/content/{guid}/repository`: none, since content here is not fetched with git."""
    content_of(request)
    raise ApiError(404, NOT_FOUND, "This content is not git-backed.")


async def delete(request: Request) -> Response:
    """`DELETE .../{id}`, not of the active one."""
    machine = machine_of(request)
    content = content_of(request, changing=True)
    await remove_bundle(machine, content, bundle_of(request, content))
    return Response(status_code=204)


async def remove_bundle(machine: Machine, content: StoredContent, bundle: StoredBundle) -> None:
    """Delete a bundle with all that was made of it; raises ApiError for the active one."""
    if bundle.id == content.active_bundle:
        raise ApiError(409, ACTIVE_BUNDLE, "The active bundle cannot be deleted.")
    await machine.tasks.cancel(
        lambda task: task.about is not None and task.about.id == bundle.id,
        "The bundle was removed.",
    )
    await machine.processes.stop(bundle.id)
    machine.state.remove_bundle(bundle)
    await machine.files.remove_bundle(bundle)


def _app_mode(archive: Path, stop: Event) -> str | None:
    try:
        text = manifest_bytes(archive, stop)
    except BundleError as error:
        raise ApiError(400, BAD_MANIFEST, str(error)) from error
    try:
        return None if text is None else parse_manifest(text).metadata.app_mode
    except BundleError:
        return None


_PATH = "/v1/content/{guid}/bundles"
ROUTES = (
    Route(_PATH, upload, methods=["POST"]),
    Route(_PATH, listing, methods=["GET"]),
    Route(_PATH + "/{bundle}", get, methods=["GET"]),
    Route(_PATH + "/{bundle}", delete, methods=["DELETE"]),
    Route(_PATH + "/{bundle}/download", download, methods=["GET"]),
    Route("/v1/content/{guid}/repository", repository, methods=["GET"]),
    Route(_PATH + "/{bundle}/files", files, methods=["GET"]),
    Route(_PATH + "/{bundle}/files/{path:path}", file, methods=["GET"]),
)
