"""Writes the archive: one pass over the files, constant memory, the same bytes on any machine."""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import secrets
import tarfile
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, BinaryIO, NoReturn

from hatch_connect.bundle.manifest import MANIFEST_NAME
from hatch_connect.bundle.names import shown
from hatch_connect.bundle.parts import ListedFile
from hatch_connect.errors import BundleError
from hatch_connect.events import Progress

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from hatch_connect.bundle.content import ContentFile, Selection
    from hatch_connect.events import Report

# 2020-02-02, as Hatchling: zip cannot go below 1980, and some tools mistrust 1970.
DEFAULT_EPOCH = 1580601600
EXECUTABLE = 0o755
_MODE = 0o644
_ZLIB_LEVEL = 6
_WHAT = "Packing the bundle"


@dataclass(frozen=True, slots=True, kw_only=True)
class Packed:
    """An archive that was written: its manifest's bytes, its size and MD5 (hex)."""

    manifest: bytes
    size: int
    md5: str


class Tally:
    """A stream that counts and hashes what passes through it."""

    def __init__(self, stream: BinaryIO | IO[bytes], seen: Callable[[int], None]) -> None:
        self._stream = stream
        self._seen = seen
        self.md5 = hashlib.md5(usedforsecurity=False)
        self.size = 0

    def _count(self, data: bytes) -> bytes:
        self.md5.update(data)
        self.size += len(data)
        self._seen(len(data))
        return data

    def read(self, size: int = -1) -> bytes:
        """Read from the stream below."""
        return self._count(self._stream.read(size))

    def write(self, data: bytes) -> int:
        """Write to the stream below."""
        return self._stream.write(self._count(bytes(data)))

    def flush(self) -> None:
        """Flush the stream below."""
        self._stream.flush()


def pack(
    target: Path,
    selection: Selection,
    manifest: Callable[[tuple[ListedFile, ...]], bytes],
    *,
    epoch: int,
    report: Report,
) -> Packed:
    """Write the files and, as the last member, what `manifest` makes of their checksums.

    `target` is replaced when everything is written, and not touched otherwise.
    """
    progress = _Meter(sum(file.size for file in selection.files), report)
    with replacing(target) as partial, partial.open("xb") as raw:
        out = Tally(raw, lambda _: None)
        with (
            gzip.GzipFile("", "wb", _ZLIB_LEVEL, out, mtime=0) as zipped,
            tarfile.open(fileobj=zipped, mode="w", format=tarfile.PAX_FORMAT) as archive,
        ):
            listed = tuple(
                _add(archive, file, epoch=epoch, seen=progress.seen) for file in selection.files
            )
            text = manifest(listed)
            archive.addfile(_member(MANIFEST_NAME, len(text), epoch), io.BytesIO(text))
        progress.end()
    return Packed(manifest=text, size=out.size, md5=out.md5.hexdigest())


@contextmanager
def replacing(target: Path) -> Iterator[Path]:
    """Give a path beside `target` that takes its place at the end, and is gone after an error."""
    partial = target.with_name(f".{secrets.token_hex(8)}.partial")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        yield partial
        partial.replace(target)
    except OSError as error:
        raise BundleError(f"{target} cannot be written: {error.strerror or error}.") from error
    finally:
        with suppress(OSError):
            partial.unlink(missing_ok=True)


def _add(
    archive: tarfile.TarFile, file: ContentFile, *, epoch: int, seen: Callable[[int], None]
) -> ListedFile:
    with _opened(file) as (stream, size):
        content = _Source(file.path, stream, size, seen)
        member = _member(file.path, size, epoch)
        member.mode = EXECUTABLE if file.executable else _MODE
        archive.addfile(member, content)
        content.end()
    return ListedFile(path=file.path, checksum=content.md5.hexdigest())


class _Source(Tally):
    """A file of the project; what goes wrong with reading it is an error that names it."""

    def __init__(
        self, path: str, stream: BinaryIO | IO[bytes], length: int, seen: Callable[[int], None]
    ) -> None:
        super().__init__(stream, seen)
        self._path = path
        self._length = length

    def read(self, size: int = -1) -> bytes:
        try:
            data = super().read(size)
        except OSError as error:
            raise _unreadable(self._path, error) from error
        if len(data) < size and self.size < self._length:
            self._changed()
        return data

    def end(self) -> None:
        if self._stream.read(1):
            self._changed()

    def _changed(self) -> NoReturn:
        raise BundleError(
            f"{shown(self._path)} changed while it was read.",
            hint="Run the build again when nothing writes to the project's files.",
        )


def _unreadable(path: str, error: OSError) -> BundleError:
    return BundleError(
        f"{shown(path)} cannot be read: {error.strerror or error}.",
        hint="Make it readable, or leave it out with `exclude` in [tool.hatch-connect].",
    )


@contextmanager
def _opened(file: ContentFile) -> Iterator[tuple[BinaryIO | IO[bytes], int]]:
    if isinstance(file.source, bytes):
        yield io.BytesIO(file.source), len(file.source)
        return
    try:
        stream = file.source.open("rb")
    except OSError as error:
        raise _unreadable(file.path, error) from error
    with stream:
        yield stream, os.fstat(stream.fileno()).st_size


def _member(path: str, size: int, epoch: int) -> tarfile.TarInfo:
    member = tarfile.TarInfo(path)
    member.size = size
    member.mtime = epoch
    member.mode = _MODE
    return member


class _Meter:
    """Reports progress about a hundred times, however many files there are."""

    def __init__(self, total: int, report: Report) -> None:
        self._total = total
        self._report = report
        self._done = self._told = 0

    def seen(self, size: int) -> None:
        self._done += size
        if (self._done - self._told) * 100 > self._total:
            self._tell(min(self._done, self._total - 1))

    def end(self) -> None:
        self._tell(self._total)

    def _tell(self, done: int) -> None:
        self._told = self._done
        self._report(Progress(what=_WHAT, done=done, total=self._total, unit="bytes"))
