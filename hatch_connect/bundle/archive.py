"""Writes the archive: one pass over the files, constant memory, the same bytes on any machine.

Connect unpacks it on Linux, but other systems do not distinguish `A` from `a`, or the two Unicode
forms of `é`: names that clash there, or that lead out of the archive, are refused.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import secrets
import stat
import tarfile
import unicodedata
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, BinaryIO, NoReturn

from hatch_connect.bundle.manifest import MANIFEST_NAME, ListedFile
from hatch_connect.errors import BundleError
from hatch_connect.events import Progress

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from hatch_connect.events import Report

DEFAULT_DIRECTORY = "dist/connect"
"""Where the bundles of a project go."""
SUFFIX = ".connect.tgz"
"""The ending of a bundle's name, which no sdist has."""
BUNDLE_SUFFIXES = (SUFFIX, ".tar.gz", ".tgz")
"""Endings of a bundle's name; earlier releases used `.tar.gz`."""
_LONGEST_COMPONENT = 255
_FIRST_PRINTABLE, _DELETE = " ", "\x7f"
_SHOWN = 10
CIRCLE = "a link to a folder that holds it"

# 2020-02-02, as in Hatchling: zip cannot hold times before 1980, and some tools distrust 1970.
DEFAULT_EPOCH = 1580601600
EXECUTABLE = 0o755
_MODE = 0o644
_ZLIB_LEVEL = 6
_WHAT = "Packing the bundle"


@dataclass(frozen=True, slots=True, kw_only=True)
class ContentFile:
    """A file of a bundle: its POSIX path there, and where its bytes are."""

    path: str
    source: Path | bytes
    size: int
    executable: bool = False


def unsafe(path: str) -> str | None:
    """Return why a path cannot be a file of a bundle, or None."""
    try:
        encoded = path.encode()
    except UnicodeEncodeError:
        return "its name is not UTF-8"
    parts = path.split("/")
    rules = (
        ("\\" in path, "its name holds a backslash"),
        (
            any(c < _FIRST_PRINTABLE or c == _DELETE for c in path),
            "its name holds a line break or another control character",
        ),
        # `C:` is a drive on Windows, where the bundle may be unpacked too.
        (path.startswith("/") or path[1:2] == ":", "its path is absolute"),
        (
            not {"", ".", ".."}.isdisjoint(parts),
            "its path is empty or leads elsewhere (`.`, `..`, `//`)",
        ),
        (
            any(len(part) > _LONGEST_COMPONENT for part in encoded.split(b"/")),
            f"a name in its path is longer than {_LONGEST_COMPONENT} bytes",
        ),
    )
    return next((why for broken, why in rules if broken), None)


def shown(path: str) -> str:
    """Return a path for a message: in quotes if a terminal would act on a character in it."""
    return path if path.isprintable() else ascii(path)


def check_names(paths: Iterable[str]) -> None:
    """Refuse paths that a bundle cannot hold, all problems at once (BundleError)."""
    paths = sorted(paths)
    problems = [f"{shown(path)}: {why}" for path in paths if (why := unsafe(path))]
    problems.extend(_collisions(paths))
    if problems:
        more = [f"... and {len(problems) - _SHOWN} more"] if len(problems) > _SHOWN else []
        lines = "\n".join(f"  - {line}" for line in (*problems[:_SHOWN], *more))
        raise BundleError(
            f"These files cannot go into a bundle:\n{lines}",
            hint="Rename them, or leave them out with `exclude` in [tool.hatch-connect].",
        )


def _collisions(paths: Iterable[str]) -> Iterable[str]:
    seen: dict[str, str] = {}
    folders: dict[str, str] = {}
    for path in paths:
        key = _folded(path)
        if key in seen:
            yield f"{shown(path)}: some systems cannot tell it from {shown(seen[key])}"
        seen[key] = path
        end = path.find("/")
        while end > 0:
            folders.setdefault(_folded(path[:end]), path)
            end = path.find("/", end + 1)
    for key in seen.keys() & folders.keys():
        yield f"{shown(seen[key])}: it is a file, and a folder of {shown(folders[key])}"


def _folded(path: str) -> str:
    # Folding case can undo the normal form, so it is taken once more after it.
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", path).casefold())


def regular_file(path: str, source: Path, roots: tuple[str, ...], *, outside: bool = False) -> None:
    """Refuse all but files, and links that leave the `roots`, unless they may lead `outside`."""
    real = os.path.realpath(source)
    advice = "Replace it, or leave it out with `exclude` in [tool.hatch-connect]."
    if not outside and not is_within(real, *roots):
        folder = Path(real) if Path(real).is_dir() else Path(real).parent
        near = folder.drive == Path(roots[0]).drive
        named = _quoted(os.path.relpath(folder, roots[0]) if near else str(folder))
        raise BundleError(
            f"{shown(path)} is a link that leaves the project.",
            hint=f"Name the folder if it may be followed: `follow-links = [{named}]` in"
            f" [tool.hatch-connect]. {advice}",
        )
    try:
        status = Path(real).stat()
    except OSError as error:
        raise BundleError(
            f"{shown(path)} cannot be read: {error.strerror or error}.", hint=advice
        ) from error
    if stat.S_ISDIR(status.st_mode):
        raise BundleError(
            f"{shown(path)} is {CIRCLE}, and `follow-links` in [tool.hatch-connect] may not lead in"
            " a circle.",
            hint=advice,
        )
    if not stat.S_ISREG(status.st_mode):
        raise BundleError(
            f"{shown(path)} is not a file (a socket, a pipe or a device).", hint=advice
        )


def _quoted(folder: str) -> str:
    return json.dumps(folder.replace(os.sep, "/"), ensure_ascii=False)


def is_within(path: str, *roots: str) -> bool:
    """Return whether a real path is one of the roots, or below one."""
    return any(path == root or path.startswith(root.rstrip(os.sep) + os.sep) for root in roots)


class Tally:
    """A stream that counts and hashes what passes through it."""

    def __init__(
        self, stream: BinaryIO | IO[bytes], seen: Callable[[int], None] = lambda _: None
    ) -> None:
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


def md5_of(source: Path | bytes) -> str:
    """Return the MD5 (hex) of a file, or of bytes, as a manifest lists it (BundleError)."""
    if isinstance(source, bytes):
        return hashlib.md5(source, usedforsecurity=False).hexdigest()
    try:
        with source.open("rb") as file:
            return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
    except OSError as error:
        raise BundleError(f"{source} cannot be read: {error.strerror}.") from error


def pack(
    target: Path,
    files: Sequence[ContentFile],
    manifest: Callable[[tuple[ListedFile, ...]], bytes],
    *,
    epoch: int,
    report: Report,
) -> tuple[bytes, Tally]:
    """Write the files and, as the last member, what `manifest` makes of their checksums.

    Returned are the manifest, and the count and MD5 of the archive's bytes. `target` is replaced
    when everything is written, and not touched otherwise.
    """
    progress = _Meter(sum(file.size for file in files), report)
    with replacing(target) as partial, partial.open("xb") as raw:
        out = Tally(raw)
        with (
            # Neither a name nor a time in gzip's header: the same content has the same bytes.
            gzip.GzipFile("", "wb", _ZLIB_LEVEL, out, mtime=0) as zipped,
            tarfile.open(fileobj=zipped, mode="w", format=tarfile.PAX_FORMAT) as archive,
        ):
            listed = tuple(_add(archive, file, epoch=epoch, seen=progress.seen) for file in files)
            text = manifest(listed)
            archive.addfile(_member(MANIFEST_NAME, len(text), epoch), io.BytesIO(text))
        progress.end()
    return text, out


@contextmanager
def replacing(target: Path) -> Iterator[Path]:
    """Yield a path beside `target` that takes its place at the end, and is gone after an error."""
    # In the same folder: only within a file system does a new file replace another at once.
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
        content = _HashedFile(file.path, stream, size, seen)
        member = _member(file.path, size, epoch)
        member.mode = EXECUTABLE if file.executable else _MODE
        archive.addfile(member, content)
        content.end()
    return ListedFile(path=file.path, checksum=content.md5.hexdigest())


class _HashedFile(Tally):
    """A file of the project that is hashed as it is read; errors of reading name it."""

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
    """Reports progress about a hundred times in all, however many files there are."""

    def __init__(self, total: int, report: Report) -> None:
        self._total = total
        self._report = report
        self._done = self._reported = 0

    def seen(self, size: int) -> None:
        self._done += size
        # The last report is left to `end`, so that 100 % means that the archive is there.
        if (self._done - self._reported) * 100 > self._total:
            self._report_done(min(self._done, self._total - 1))

    def end(self) -> None:
        self._report_done(self._total)

    def _report_done(self, done: int) -> None:
        self._reported = self._done
        self._report(Progress(what=_WHAT, done=done, total=self._total, unit="bytes"))
