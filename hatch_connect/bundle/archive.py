"""Writes the archive: one pass over the files, constant memory, the same tar on any machine.

Connect unpacks it on Linux, but other systems do not distinguish `A` from `a`, or the two Unicode
forms of `é`: names that clash there, or that lead out of the archive, are refused.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import secrets
import stat
import struct
import tarfile
import unicodedata
from collections import deque
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, BinaryIO

from hatch_connect.bundle.manifest import MANIFEST_NAME, ListedFile
from hatch_connect.errors import BundleError, itemized
from hatch_connect.events import Progress

if TYPE_CHECKING:
    import zlib as deflate  # the functions that isal has as well
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from concurrent.futures import Future, ThreadPoolExecutor

    from hatch_connect.events import Report
else:
    try:
        from isal import isal_zlib as deflate
    except ImportError:  # it has no wheel for this platform
        import zlib as deflate

DEFAULT_DIRECTORY = "dist/connect"
"""Where the bundles of a project go."""
SUFFIX = ".connect.tgz"
"""The ending of a bundle's name, which no sdist has."""
BUNDLE_SUFFIXES = (SUFFIX, ".tar.gz", ".tgz")
"""Endings of a bundle's name; earlier releases used `.tar.gz`."""
_LONGEST_COMPONENT = 255
_FIRST_PRINTABLE, _DELETE = " ", "\x7f"
# What most paths are made of: all rules of `unsafe` hold for them.
_PLAIN = re.compile(r"(?:\w[\w .-]{0,60}/)*\w[\w .-]{0,60}", re.ASCII)
CIRCLE = "a link to a folder that contains it"

# 2020-02-02, as in Hatchling: zip cannot hold times before 1980, and some tools distrust 1970.
DEFAULT_EPOCH = 1580601600
EXECUTABLE = 0o755
_MODE = 0o644
_BLOCK = 1 << 20
# isal's other levels take longer for the same size.
_LEVEL = 6 if deflate.__name__ == "zlib" else 1
_THREADS = min(3, os.cpu_count() or 1)  # more would wait for the one that reads and hashes
_WINDOW = 1 << 15
_RAW = -15  # deflate's window without a header
# Neither a name nor a time: the same content has the same bytes.
_GZIP_HEADER = b"\x1f\x8b\x08\0\0\0\0\0\0\xff"
# What follows a header's checksum: the type of a file, no link, the format, no owner.
_REST_OF_HEADER = b"0".ljust(101, b"\0") + tarfile.POSIX_MAGIC.ljust(255, b"\0")
_SUM_OF_REST = sum(_REST_OF_HEADER) + sum(b" " * 8)  # the checksum itself counts as spaces
_WHAT = "Packing the bundle"


@dataclass(frozen=True, slots=True, kw_only=True)
class ContentFile:
    """A file of a bundle: its POSIX path there, and where its bytes are."""

    path: str
    source: Path | str | bytes
    size: int
    executable: bool = False


def unsafe(path: str) -> str | None:
    """Return why a path cannot be a file of a bundle, or None."""
    if _PLAIN.fullmatch(path):
        return None
    try:
        encoded = path.encode()
    except UnicodeEncodeError:
        return "its name is not UTF-8"
    parts = path.split("/")
    rules = (
        ("\\" in path, "its name contains a backslash"),
        (
            any(c < _FIRST_PRINTABLE or c == _DELETE for c in path),
            "its name contains a line break or another control character",
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
        raise BundleError(
            f"These files cannot be in a bundle:\n{itemized(problems)}",
            hint="Rename them, or leave them out with `exclude` in [tool.hatch-connect].",
        )


def _collisions(paths: Iterable[str]) -> Iterable[str]:
    seen: dict[str, str] = {}
    above: dict[str, str] = {}
    for path in paths:
        key = _folded(path)
        if key in seen:
            yield f"{shown(path)}: some systems cannot tell it apart from {shown(seen[key])}"
        seen[key] = path
        folder = path.rpartition("/")[0]
        while folder and folder not in above:
            above[folder] = path
            folder = folder.rpartition("/")[0]
    folders: dict[str, str] = {}
    for folder, path in above.items():
        folders.setdefault(_folded(folder), path)
    for key in seen.keys() & folders.keys():
        yield f"{shown(seen[key])}: it is a file, and also a folder of {shown(folders[key])}"


def _folded(path: str) -> str:
    if path.isascii():
        return path.lower()
    # Folding case can undo the normal form, so it is taken once more after it.
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", path).casefold())


def regular_file(path: str, source: Path, roots: tuple[str, ...], *, outside: bool = False) -> None:
    """Refuse all but files, and links that leave the `roots`, unless they may lead `outside`."""
    real = os.path.realpath(source)
    advice = "Replace it, or leave it out with `exclude` in [tool.hatch-connect]."
    if not outside and not is_within(real, *roots):
        folder = Path(real) if os.path.isdir(real) else Path(real).parent
        near = folder.drive == Path(roots[0]).drive
        named = _quoted(os.path.relpath(folder, roots[0]) if near else str(folder))
        raise BundleError(
            f"{shown(path)} is a link that leads out of the project.",
            hint=f"To follow it, name the folder: `follow-links = [{named}]` in"
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
            f"{shown(path)} is {CIRCLE}, and `follow-links` in [tool.hatch-connect] must not lead"
            " in a circle.",
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
    for root in roots:  # noqa: SIM110 - any() takes three times as long, and it is for each file
        if path == root or path.startswith(root.rstrip(os.sep) + os.sep):
            return True
    return False


class Tally:
    """A stream that counts and hashes what passes through it."""

    def __init__(self, stream: BinaryIO | IO[bytes]) -> None:
        self._stream = stream
        self.md5 = hashlib.md5(usedforsecurity=False)
        self.size = 0

    def _count(self, data: bytes) -> bytes:
        self.md5.update(data)
        self.size += len(data)
        return data

    def read(self, size: int = -1) -> bytes:
        """Read from the stream below."""
        return self._count(self._stream.read(size))

    def write(self, data: bytes) -> int:
        """Write to the stream below."""
        return self._stream.write(self._count(data))

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
) -> tuple[tuple[ListedFile, ...], int, Tally]:
    """Write the files and, as the last member, what `manifest` makes of their checksums.

    Returned are these, the size of the manifest, and the count and MD5 of the archive's bytes.
    `target` is replaced when everything is written, and not touched otherwise.
    """
    from concurrent.futures import ThreadPoolExecutor

    progress = _Meter(sum(file.size for file in files), report)
    with replacing(target) as partial, partial.open("xb") as raw:
        out = Tally(raw)
        with ThreadPoolExecutor(_THREADS + 1) as pool:
            archive = _Gzip(out, pool)
            listed = tuple(_add(archive, file, epoch=epoch, seen=progress.seen) for file in files)
            text = manifest(listed)
            last = ContentFile(path=MANIFEST_NAME, source=text, size=len(text))
            _add(archive, last, epoch=epoch, seen=lambda _: None)
            archive.write(bytes(2 * tarfile.BLOCKSIZE))
            archive.write(bytes(-archive.size % tarfile.RECORDSIZE))
            archive.end()
        progress.end()
    return listed, len(text), out


class _Gzip:
    """One gzip member whose blocks are compressed on a few threads.

    Each block continues from the end of the one before, whatever the number of threads. One of
    them writes and hashes what is compressed; its errors are raised by the next call.
    """

    def __init__(self, out: Tally, pool: ThreadPoolExecutor) -> None:
        self.size = 0
        self._out = out
        self._pool = pool
        self._crc = 0
        self._waiting: list[bytes | memoryview] = []
        self._room = _BLOCK
        self._before = b""
        self._pending: deque[Future[bytes]] = deque()
        self._written: Future[int] = pool.submit(out.write, _GZIP_HEADER)

    def write(self, data: bytes) -> None:
        self.size += len(data)
        rest = memoryview(data)
        while len(rest) >= self._room:
            self._waiting.append(rest[: self._room])
            rest = rest[self._room :]
            self._compress()
        if rest:
            self._waiting.append(rest)
            self._room -= len(rest)

    def end(self) -> None:
        self._compress()
        while self._pending:
            self._put(self._pending.popleft().result())
        self._put(deflate.compressobj(_LEVEL, deflate.DEFLATED, _RAW).flush())
        self._put(struct.pack("<LL", self._crc, self.size & 0xFFFFFFFF))
        self._written.result()

    def _put(self, data: bytes) -> None:
        self._written.result()
        self._written = self._pool.submit(self._out.write, data)

    def _compress(self) -> None:
        block = b"".join(self._waiting)
        self._waiting, self._room = [], _BLOCK
        self._crc = deflate.crc32(block, self._crc)
        self._pending.append(self._pool.submit(_deflated, block, self._before))
        self._before = block[-_WINDOW:]
        if len(self._pending) > _THREADS:
            self._put(self._pending.popleft().result())


def _deflated(block: bytes, before: bytes) -> bytes:
    stream = deflate.compressobj(_LEVEL, deflate.DEFLATED, _RAW, zdict=before)
    return stream.compress(block) + stream.flush(deflate.Z_SYNC_FLUSH)


def copy(folder: Path, files: Sequence[ContentFile], report: Report) -> tuple[ListedFile, ...]:
    """Write the files below `folder`, each read once, with the modes that they have in an archive.

    An OSError is one of writing; that a file cannot be read is a BundleError.
    """
    progress = _Meter(sum(file.size for file in files), report)
    for parent in {file.path.rpartition("/")[0] for file in files}:
        (folder / parent).mkdir(parents=True, exist_ok=True)
    listed = []
    for file in files:
        target = folder / file.path
        with _opened(file) as (stream, size), target.open("xb") as written:
            checksum = _pour(_blocks(file.path, stream, size), written, progress.seen)
        if file.executable:
            target.chmod(EXECUTABLE)
        listed.append(ListedFile(path=file.path, checksum=checksum))
    progress.end()
    return tuple(listed)


def checksums(files: Sequence[ContentFile], report: Report) -> tuple[ListedFile, ...]:
    """Return the files as a manifest lists them, each read once; nothing is written."""
    progress = _Meter(sum(file.size for file in files), report, what="Reading the files")
    listed = []
    with Path(os.devnull).open("wb") as nowhere:
        for file in files:
            if isinstance(file.source, bytes):
                checksum = md5_of(file.source)
                progress.seen(len(file.source))
            else:
                with _opened(file) as (stream, size):
                    checksum = _pour(_blocks(file.path, stream, size), nowhere, progress.seen)
            listed.append(ListedFile(path=file.path, checksum=checksum))
    progress.end()
    return tuple(listed)


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
    archive: _Gzip, file: ContentFile, *, epoch: int, seen: Callable[[int], None]
) -> ListedFile:
    mode = EXECUTABLE if file.executable else _MODE
    if isinstance(data := file.source, bytes):
        size = len(data)
        archive.write(_header(file.path, size, mode, epoch) + data)
        checksum = md5_of(data)
        seen(size)
    else:
        with _opened(file) as (stream, size):
            archive.write(_header(file.path, size, mode, epoch))
            checksum = _pour(_blocks(file.path, stream, size), archive, seen)
    archive.write(bytes(-size % tarfile.BLOCKSIZE))
    return ListedFile(path=file.path, checksum=checksum)


def _pour(
    blocks: Iterable[bytes], target: _Gzip | BinaryIO | IO[bytes], seen: Callable[[int], None]
) -> str:
    """Write what is read, and return its MD5 (hex)."""
    md5 = hashlib.md5(usedforsecurity=False)
    for data in blocks:
        md5.update(data)
        target.write(data)
        seen(len(data))
    return md5.hexdigest()


def _blocks(path: str, stream: BinaryIO | IO[bytes], size: int) -> Iterator[bytes]:
    """Yield the bytes of a file; raise BundleError if they cannot be read or are not `size`."""
    left = size
    while True:
        asked = min(_BLOCK, left + 1)
        try:
            data = stream.read(asked)
        except OSError as error:
            raise unreadable(path, error) from error
        left -= len(data)
        if left < 0 or (left and not data):
            raise BundleError(
                f"{shown(path)} changed while it was being read.",
                hint="Build again when nothing is writing to the project's files.",
            )
        if data:
            yield data
        if not left and len(data) < asked:
            return


def unreadable(path: str, error: OSError) -> BundleError:
    """Return the error for a file that cannot be read."""
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
        stream = io.FileIO(file.source)
    except OSError as error:
        raise unreadable(file.path, error) from error
    with stream:
        yield stream, os.fstat(stream.fileno()).st_size


def _header(path: str, size: int, mode: int, epoch: int) -> bytes:
    """Return a file's header, as tarfile writes it; most need none of its PAX records."""
    name = path.encode()
    if not path.isascii() or len(name) > tarfile.LENGTH_NAME or max(size, epoch) >= 8**11:
        member = tarfile.TarInfo(path)
        member.size, member.mode, member.mtime = size, mode, epoch
        return member.tobuf(tarfile.PAX_FORMAT)
    fields = b"%b%07o\0%07o\0%07o\0%011o\0%011o\0" % (
        name.ljust(tarfile.LENGTH_NAME, b"\0"), mode, 0, 0, size, epoch
    )  # fmt: skip
    checksum = sum(fields) + _SUM_OF_REST
    return b"%b%06o\0 %b" % (fields, checksum, _REST_OF_HEADER)


class _Meter:
    """Reports progress about a hundred times in all, however many files there are."""

    def __init__(self, total: int, report: Report, *, what: str = _WHAT) -> None:
        self._what = what
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
        self._report(Progress(what=self._what, done=done, total=self._total))
