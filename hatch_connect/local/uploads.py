"""Receiving an archive: streamed to disk, its digests taken on the way."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import os
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from starlette.datastructures import UploadFile

from hatch_connect.local.api.requests import BAD_CHECKSUM, EMPTY_BUNDLE, ApiError, invalid

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from starlette.requests import Request

_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceivedArchive:
    """An archive that has arrived whole, at `path` until somebody moves it."""

    path: Path
    size: int
    md5: str
    sha1: str
    metadata: dict[str, str]


@contextmanager
def temporary(folder: Path) -> Iterator[Path]:
    """Yield a file to receive into, which is gone afterwards unless it was moved."""
    folder.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=folder, prefix="upload-")
    os.close(descriptor)
    try:
        yield Path(name)
    finally:
        Path(name).unlink(missing_ok=True)


async def receive(request: Request, path: Path) -> ReceivedArchive:
    """Write the archive of a request to `path`.

    It is the body itself, or the part `archive` of a form. Raises ApiError if it is empty, or
    not what `X-Content-Checksum` announces.
    """
    if request.headers.get("content-type", "").startswith("multipart/form-data"):
        async with request.form() as form:
            archive = form.get("archive")
            if not isinstance(archive, UploadFile):
                raise invalid("The form has no file 'archive'.")
            metadata = _metadata(form.get("metadata"))
            upload = await _store(_parts(archive), path, metadata)
    else:
        upload = await _store(request.stream(), path, {})
    if not upload.size:
        raise ApiError(400, EMPTY_BUNDLE, "The bundle is empty.")
    announced = request.headers.get("x-content-checksum")
    if announced and announced != base64.b64encode(bytes.fromhex(upload.md5)).decode():
        raise ApiError(400, BAD_CHECKSUM, "The bundle's checksum is not the one announced.")
    return upload


async def _parts(archive: UploadFile) -> AsyncIterator[bytes]:
    while chunk := await archive.read(_CHUNK):
        yield chunk


async def _store(
    chunks: AsyncIterator[bytes], path: Path, metadata: dict[str, str]
) -> ReceivedArchive:
    md5 = hashlib.md5(usedforsecurity=False)
    sha1 = hashlib.sha1(usedforsecurity=False)
    size = 0
    with path.open("wb") as file:
        async for chunk in chunks:
            size += len(chunk)
            md5.update(chunk)
            sha1.update(chunk)
            await asyncio.to_thread(file.write, chunk)
    return ReceivedArchive(
        path=path, size=size, md5=md5.hexdigest(), sha1=sha1.hexdigest(), metadata=metadata
    )


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
