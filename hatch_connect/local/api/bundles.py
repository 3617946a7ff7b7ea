"""`v1/content/{guid}/bundles`; an archive is streamed to disk, its digests taken on the way."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import os
import tempfile
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, ParamSpec, TypeVar

from starlette.datastructures import UploadFile
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route

from hatch_connect.bundle.archive import Tally
from hatch_connect.errors import BundleError
from hatch_connect.local.api.requests import (
    ACTIVE_BUNDLE,
    BAD_ARCHIVE,
    BAD_CHECKSUM,
    EMPTY_BUNDLE,
    ApiError,
    bundle_of,
    content_of,
    invalid,
    read_page,
)
from hatch_connect.local.archives import beginning, manifest_bytes, sizes
from hatch_connect.local.checks import parse_manifest
from hatch_connect.local.machine import machine_of
from hatch_connect.local.state import StoredBundle, now

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from starlette.requests import Request

    from hatch_connect.local.state import StoredContent

_CHUNK = 1 << 20
_PREVIEW = 1 << 20  # of a file in an archive
_NO_ARCHIVE, _BROKEN, _NO_SUCH_FILE = 28, 135, 278
Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")


@contextmanager
def _temporary(folder: Path) -> Iterator[Path]:
    """Yield a file to receive into, which is gone afterwards unless it was moved."""
    folder.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=folder, prefix="upload-")
    os.close(descriptor)
    try:
        yield Path(name)
    finally:
        Path(name).unlink(missing_ok=True)


async def _receive(request: Request, path: Path) -> tuple[int, dict[str, str]]:
    """Write the archive of a request to `path`, and return its size and what is noted of it.

    It is the body itself, or the part `archive` of a form. Raises ApiError if it is empty, or
    not what `X-Content-Checksum` announces.
    """
    if request.headers.get("content-type", "").startswith("multipart/form-data"):
        if not machine_of(request).setup.claims.release.has("behaviour", "bundle metadata"):
            # It takes any body for an archive.
            raise ApiError(400, BAD_ARCHIVE, "The bundle cannot be unpacked.")
        async with request.form() as form:
            archive = form.get("archive")
            if not isinstance(archive, UploadFile):
                raise invalid("The form has no file 'archive'.")
            metadata = _metadata(form.get("metadata"))
            tally, sha1 = await _store(_parts(archive), path)
    else:
        metadata = {}
        tally, sha1 = await _store(request.stream(), path)
    if not tally.size:
        raise ApiError(400, EMPTY_BUNDLE, "The bundle is empty.")
    announced = request.headers.get("x-content-checksum")
    if announced and announced != base64.b64encode(tally.md5.digest()).decode():
        raise ApiError(400, BAD_CHECKSUM, "The bundle does not match the announced checksum.")
    return tally.size, {
        **metadata,
        "archive_md5": tally.md5.hexdigest(),
        "archive_sha1": sha1,
    }


async def _parts(archive: UploadFile) -> AsyncIterator[bytes]:
    while chunk := await archive.read(_CHUNK):
        yield chunk


async def _store(chunks: AsyncIterator[bytes], path: Path) -> tuple[Tally, str]:
    """Write what arrives to `path`, and return its size and MD5, and its SHA-1."""
    sha1 = hashlib.sha1(usedforsecurity=False)
    with path.open("wb") as file:
        tally = Tally(file)
        async for chunk in chunks:
            sha1.update(chunk)
            await asyncio.to_thread(tally.write, chunk)
    return tally, sha1.hexdigest()


def _metadata(text: object) -> dict[str, str]:
    if text is None:
        return {}
    try:
        parsed = json.loads(text if isinstance(text, str) else "")
    except ValueError as error:
        raise invalid(f"The part 'metadata' is not JSON: {error}") from error
    if not isinstance(parsed, dict) or not all(isinstance(v, str) for v in parsed.values()):
        raise invalid("The part 'metadata' is not a JSON object of strings.")
    return parsed


def _bundle_json(bundle: StoredBundle, content: StoredContent) -> dict[str, object]:
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
    with _temporary(machine.setup.folder / "bundles") as path:
        size, metadata = await _receive(request, path)
        app_mode = await asyncio.to_thread(_app_mode, path)
        bundle = machine.state.add_bundle(
            StoredBundle(
                id=0,
                content=content.id,
                created=now(),
                size=size,
                metadata=metadata,
                app_mode=app_mode,
            )
        )
        path.replace(machine.archive(bundle))
    return JSONResponse(_bundle_json(bundle, content))


async def listing(request: Request) -> Response:
    """`GET`: newest first; a page of them if `page_size` or `page_number` is asked for."""
    content = content_of(request)
    found = [_bundle_json(bundle, content) for bundle in machine_of(request).state.bundles(content)]
    if request.query_params.get("asc_order") == "true":
        found.reverse()
    if request.query_params.keys() & {"page_number", "page_size"}:
        found = list(read_page(request, found))
    return JSONResponse(found)


async def get(request: Request) -> Response:
    """`GET .../{id}`."""
    content = content_of(request)
    return JSONResponse(_bundle_json(bundle_of(request, content), content))


async def download(request: Request) -> Response:
    """`GET .../{id}/download`."""
    bundle, archive = _archive(request)
    return FileResponse(
        archive, media_type="application/gzip", filename=f"bundle-{bundle.id}.tar.gz"
    )


async def files(request: Request) -> Response:
    """`GET .../{id}/files`: the regular files in the archive, with their sizes."""
    _bundle, archive = _archive(request)
    found = await _read(sizes, archive)
    return JSONResponse({"files": [{"path": name, "size": size} for name, size in found]})


async def file(request: Request) -> Response:
    """`GET .../{id}/files/{path}`: its text; null if it is binary, or longer than 1 MiB."""
    _bundle, archive = _archive(request)
    name = request.path_params["path"]
    found = await _read(beginning, archive, name, _PREVIEW)
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


async def _read(
    how: Callable[Parameters, Result], *given: Parameters.args, **named: Parameters.kwargs
) -> Result:
    try:
        return await asyncio.to_thread(how, *given, **named)
    except BundleError as error:
        raise ApiError(400, _BROKEN, str(error)) from error


def _archive(request: Request) -> tuple[StoredBundle, Path]:
    bundle = bundle_of(request, content_of(request))
    archive = machine_of(request).archive(bundle)
    if not archive.is_file():
        raise ApiError(404, _NO_ARCHIVE, "The archive of this bundle is gone.")
    return bundle, archive


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
    text = manifest_bytes(archive)
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
    Route(_PATH + "/{bundle}/files", files, methods=["GET"]),
    Route(_PATH + "/{bundle}/files/{path:path}", file, methods=["GET"]),
)
