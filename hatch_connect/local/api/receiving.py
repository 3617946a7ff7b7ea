"""Receive an archive: the body of a request, or a part of a form.

It is written to disk once, as it arrives, with its digests taken on the way.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import os
import shutil
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Protocol

from python_multipart import MultipartParser
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import parse_options_header

from hatch_connect.bundle.archive import Tally
from hatch_connect.local.api.requests import (
    BAD_ARCHIVE,
    BAD_CHECKSUM,
    BAD_LENGTH,
    ApiError,
    invalid,
)
from hatch_connect.local.disk import RESERVE, no_space
from hatch_connect.local.files import UPLOAD
from hatch_connect.local.machine import machine_of
from hatch_connect.local.strict_json import parse_json

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from starlette.requests import Request

_BLOCK = 1 << 18  # bytes that are handed to a thread at once
_MOST_PARTS = 20
_LARGEST_HEADERS = 1 << 14
_LARGEST_METADATA = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """An archive that was received: its size, and what is noted of it."""

    size: int
    metadata: dict[str, str]


@contextmanager
def temporary(folder: Path) -> Iterator[Path]:
    """Yield a file to receive into, which is gone afterwards unless it was moved."""
    folder.mkdir(exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=folder, prefix=UPLOAD)
    os.close(descriptor)
    try:
        yield Path(name)
    finally:
        Path(name).unlink(missing_ok=True)


async def receive(request: Request, path: Path) -> Received:
    """Write the archive of a request to `path`, and return what is known of it.

    It is the body itself, or the part `archive` of a form. Raises ApiError if it is empty, or
    not what `X-Content-Checksum` announces, and OSError if it cannot be written; whatever is
    wrong, the body is read to its end, since a client may not listen before it has sent all.
    """
    chunks = request.stream()
    with path.open("wb") as file:
        archive = _Archive(file)
        try:
            _check_space(request, path)
            form = _form(request, archive)
            await _pour(chunks, form or archive)
            metadata = form.end() if form else {}
        except (ApiError, OSError):
            async for _chunk in chunks:
                pass
            raise
    if not archive.tally.size:
        raise ApiError(400, BAD_LENGTH, "The bundle is empty.")
    announced = request.headers.get("x-content-checksum")
    if announced and announced != base64.b64encode(archive.tally.md5.digest()).decode():
        raise ApiError(400, BAD_CHECKSUM, "The bundle does not match the announced checksum.")
    digests = {"archive_md5": archive.tally.md5.hexdigest(), "archive_sha1": archive.sha1}
    return Received(size=archive.tally.size, metadata={**metadata, **digests})


def _check_space(request: Request, path: Path) -> None:
    announced = request.headers.get("content-length", "0")
    if int(announced) + RESERVE > shutil.disk_usage(path.parent).free:
        raise no_space(path.parent.parent)


class _Sink(Protocol):
    def write(self, data: bytes) -> object: ...


async def _pour(chunks: AsyncIterator[bytes], sink: _Sink) -> None:
    waiting = bytearray()
    async for chunk in chunks:
        waiting += chunk
        if len(waiting) >= _BLOCK:
            await asyncio.to_thread(sink.write, bytes(waiting))
            waiting.clear()
    await asyncio.to_thread(sink.write, bytes(waiting))


class _Archive:
    """The archive's file, and its digests."""

    def __init__(self, file: BinaryIO) -> None:
        self.tally = Tally(file)
        self._sha1 = hashlib.sha1(usedforsecurity=False)

    @property
    def sha1(self) -> str:
        return self._sha1.hexdigest()

    def write(self, data: bytes) -> None:
        self._sha1.update(data)
        self.tally.write(data)


def _form(request: Request, archive: _Archive) -> _Form | None:
    """Return what reads the form of a request; None if its body is the archive."""
    kind, options = parse_options_header(request.headers.get("content-type"))
    if kind != b"multipart/form-data":
        return None
    if not machine_of(request).setup.claims.release.has("behaviour", "bundle metadata"):
        # It takes any body for an archive.
        raise ApiError(400, BAD_ARCHIVE, "The bundle cannot be unpacked.")
    try:
        return _Form(options.get(b"boundary", b""), archive)
    except FormParserError as error:
        raise invalid(f"The form is not valid: {error}.") from error


class _Form:
    """Reads a form: its file `archive` goes to disk, its field `metadata` is kept."""

    def __init__(self, boundary: bytes, archive: _Archive) -> None:
        if not boundary:
            raise invalid("The form has no boundary.")
        self._archive = archive
        self._parser = MultipartParser(
            boundary,
            {
                "on_part_begin": self._begin,
                "on_header_field": self._header_name,
                "on_header_value": self._header_value,
                "on_header_end": self._header_end,
                "on_headers_finished": self._headers_finished,
                "on_part_data": self._data,
                "on_end": self._end,
            },
        )
        self._parts: list[bytes] = []
        self._headers: dict[bytes, bytes] = {}
        self._name = self._value = b""
        self._header_size = 0
        self._metadata = bytearray()
        self._whole = False

    def write(self, data: bytes) -> None:
        """Take the next bytes of the form; raises ApiError."""
        try:
            self._parser.write(data)
        except FormParserError as error:
            raise invalid(f"The form is not valid: {error}.") from error

    def end(self) -> dict[str, str]:
        """Return the metadata of a form that was read; raises ApiError."""
        if not self._whole:
            raise invalid("The form breaks off.")
        if b"archive" not in self._parts:
            raise invalid("The form has no file 'archive'.")
        if b"metadata" not in self._parts:
            return {}
        try:
            parsed = parse_json(bytes(self._metadata))
        except ValueError as error:
            raise invalid(f"The part 'metadata' is not JSON: {error}.") from error
        if not isinstance(parsed, dict) or not all(isinstance(v, str) for v in parsed.values()):
            raise invalid("The part 'metadata' is not a JSON object of strings.")
        return parsed

    def _begin(self) -> None:
        self._headers = {}
        self._header_size = 0

    def _header_name(self, data: bytes, start: int, end: int) -> None:
        self._name += data[start:end]
        self._count_header(end - start)

    def _header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]
        self._count_header(end - start)

    def _count_header(self, size: int) -> None:
        self._header_size += size
        if self._header_size > _LARGEST_HEADERS:
            raise invalid("The headers of a part of the form are too large.")

    def _header_end(self) -> None:
        self._headers[self._name.lower()] = self._value
        self._name = self._value = b""

    def _headers_finished(self) -> None:
        _, options = parse_options_header(self._headers.get(b"content-disposition"))
        name = options.get(b"name", b"")
        if name == b"archive" and b"filename" not in options:
            name = b""  # a field, and no file
        if name in {b"archive", b"metadata"} and name in self._parts:
            raise invalid(f"The form has the part {name.decode()!r} twice.")
        self._parts.append(name)
        if len(self._parts) > _MOST_PARTS:
            raise invalid(f"The form has more than {_MOST_PARTS} parts.")

    def _data(self, data: bytes, start: int, end: int) -> None:
        part = self._parts[-1]
        if part == b"archive":
            self._archive.write(data[start:end])
        elif part == b"metadata":
            self._metadata += data[start:end]
            if len(self._metadata) > _LARGEST_METADATA:
                raise invalid(f"The part 'metadata' is larger than {_LARGEST_METADATA >> 20} MiB.")

    def _end(self) -> None:
        self._whole = True
