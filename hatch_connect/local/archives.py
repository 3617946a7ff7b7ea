"""Unpack an uploaded archive, so that nothing in it can reach outside its folder or fill the disk.

An archive is read as a stream: of what it holds, only a manifest is ever in memory as a whole.
"""

from __future__ import annotations

import errno
import gzip
import os
import posixpath
import shutil
import tarfile
import zlib
from contextlib import contextmanager, suppress
from pathlib import PurePath
from threading import Event
from typing import TYPE_CHECKING, BinaryIO, Literal, TypeAlias, cast

from hatch_connect.bundle.manifest import MANIFEST_NAME
from hatch_connect.errors import BundleError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sized
    from pathlib import Path

_Kind: TypeAlias = Literal["file", "folder", "link"]

LARGEST_MANIFEST = 16 << 20
"""Bytes of a manifest: 100,000 files with long names fit; one takes ten times that to parse."""
MOST_NAMES = 100_000
"""Files, folders and links of a bundle."""
LONGEST_NAME = 255
"""Bytes: what file systems take."""
DEEPEST = 100
"""Folders within each other: more is more than what removes them again can take."""
_FREE = 256 << 20  # any archive may unpack to this much ...
_RATIO = 200  # ... and a larger one to so many times its size; text has 5 to 20
# Bytes of an extended header, and of all those of one member: tarfile reads them whole, and until
# Python 3.11.10 it takes the square of the time.
_LARGEST_HEADER = 1 << 15
_LARGEST_HEADERS = 1 << 16
_EXTENDED = (
    *(tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE),
    *(tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK),
)
_BLOCK = 1 << 16
_MOST_ENDS = 10  # times that is read at the end of the data
_SHOWN = 60
_OTHER_FORMATS = {
    b"PK\x03\x04": "a zip file",
    b"BZh": "compressed with bzip2",
    b"\xfd7zXZ": "compressed with xz",
    b"\x28\xb5\x2f\xfd": "compressed with zstd",
}
_NAMES = {
    errno.ENAMETOOLONG: "its path is too long for this file system",
    errno.EILSEQ: "this file system cannot hold such a name",
    errno.EINVAL: "this file system cannot hold such a name",
    **dict.fromkeys(
        (errno.EEXIST, errno.EISDIR, errno.ENOTDIR, errno.ENOTEMPTY),
        "this file system cannot tell it apart from another name in the archive",
    ),
}


def unpack(archive: Path, folder: Path, stop: Event | None = None) -> Path:
    """Unpack `archive` into `folder`, which appears when all is in it, and return its root.

    As on Connect, a single top folder is the bundle's root, and a single folder in it again. Once
    `stop` is set, it ends soon. Raises BundleError if the archive is broken or not safe, and
    OSError if it cannot be written; then nothing is left.
    """
    fresh = folder.with_name(f"{folder.name}.new")
    shutil.rmtree(fresh, ignore_errors=True)
    try:
        fresh.mkdir(parents=True)
        _unpack(archive, fresh, stop or Event())
        fresh.rename(folder)
    except BaseException:
        shutil.rmtree(fresh, ignore_errors=True)
        raise
    return _root(folder)


def _unpack(archive: Path, folder: Path, stop: Event) -> None:
    with _reading(archive, stop) as source:
        unpacking = _Unpacking(folder, source)
        for member, content in source.members():
            unpacking.take(member, content)
        if not unpacking.kinds:
            raise BundleError("The archive is empty.")
        unpacking.link()


def manifest_bytes(archive: Path, stop: Event | None = None) -> bytes | None:
    """Return the manifest of an archive; None if there is none or the archive is broken.

    Raises BundleError if it is too large.
    """
    found: bytes | None = None
    least, size = DEEPEST, 0
    with suppress(BundleError), _reading(archive, stop or Event()) as source:
        for member, content in source.members():
            folder, name = posixpath.split(posixpath.normpath(member.name))
            depth = folder.count("/") + 1 if folder else 0
            if content is not None and name == MANIFEST_NAME and depth < least:
                least, size = depth, member.size
                found = content.read() if size <= LARGEST_MANIFEST else None
            if not least:
                break
    if size > LARGEST_MANIFEST:
        raise manifest_too_large()
    return found


def manifest_too_large() -> BundleError:
    """Return the error for a manifest that is not read."""
    return BundleError(f"manifest.json is larger than {LARGEST_MANIFEST >> 20} MiB.")


def sizes(archive: Path, stop: Event) -> tuple[tuple[str, int], ...]:
    """Return the regular files of an archive, by name; raises BundleError if it is broken."""
    found: dict[str, int] = {}
    with _reading(archive, stop) as source:
        for member, content in source.members():
            if content is not None:
                found[safe_name(member.name)] = member.size
                _check_number(found)
    return tuple(sorted(found.items()))


def beginning(archive: Path, name: str, most: int, stop: Event) -> tuple[int, bytes] | None:
    """Return the size of a regular file in an archive and its first bytes; None if it has none."""
    with _reading(archive, stop) as source:
        for member, content in source.members():
            if content is not None and posixpath.normpath(member.name) == name:
                return member.size, content.read(most)
    return None


def safe_name(name: str) -> str:
    """Return a member's name in its normal form; raises BundleError if a bundle cannot have it."""
    normal = posixpath.normpath(name)
    other_separators = {os.sep, "\0"} - {"/"}
    leads_out = name.startswith("/") or ".." in name.split("/") or PurePath(normal).drive
    if not name or leads_out or any(one in name for one in other_separators):
        raise BundleError(f"The name {shown(name)} is not allowed in a bundle.")
    try:
        parts = normal.encode().split(b"/")
    except UnicodeEncodeError as error:
        raise BundleError(f"The name {shown(name)} is not UTF-8.") from error
    if max(map(len, parts)) > LONGEST_NAME:
        raise BundleError(f"The name {shown(name)} is longer than {LONGEST_NAME} bytes.")
    if len(parts) > DEEPEST:
        raise BundleError(f"{shown(name)} lies in more than {DEEPEST} folders.")
    return normal


def shown(name: str) -> str:
    """Return a name of any length for a message."""
    return repr(name if len(name) <= _SHOWN else f"{name[:_SHOWN]}…")


def _unreadable(reason: object) -> BundleError:
    return BundleError(f"The archive is not a readable .tar.gz: {reason}.")


def _check_number(names: Sized) -> None:
    if len(names) > MOST_NAMES:
        raise BundleError(f"The archive contains more than {MOST_NAMES:,} files.")


def _header_too_large() -> BundleError:
    return BundleError("A header in the archive is too large.")


class _Member(tarfile.TarInfo):
    """A member whose header must be right; tarfile takes a damaged one for the archive's end."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> _Member:
        member = super().frombuf(buf, encoding, errors)
        if member.type in _EXTENDED and not 0 <= member.size <= _LARGEST_HEADER:
            raise _header_too_large()
        return member

    @classmethod
    def fromtarfile(cls, archive: tarfile.TarFile) -> _Member:
        try:
            return super().fromtarfile(archive)
        except (tarfile.InvalidHeaderError, tarfile.TruncatedHeaderError) as error:  # type: ignore[attr-defined] # unknown to typeshed
            raise _unreadable(error) from error


class _Source:
    """The members of an archive, and its bytes as they are unpacked and counted."""

    def __init__(self, unzipped: gzip.GzipFile, stop: Event, largest: int) -> None:
        self._unzipped = unzipped
        self._stop = stop
        self._left = largest
        self._ends = 0
        self._headers: int | None = 0  # bytes of the member's header so far, while one is read
        # A file object needs no more than `read` for this mode.
        self._tar: tarfile.TarFile = tarfile.open(  # type: ignore[call-overload] # noqa: SIM115
            fileobj=self, mode="r|", bufsize=_BLOCK, tarinfo=_Member, encoding="utf-8"
        )

    def read(self, size: int) -> bytes:
        """Return the next bytes; tarfile asks for them."""
        self.check_stop()
        data = self._unzipped.read(size)
        self.count(len(data))
        self._ends += not data
        if self._ends > _MOST_ENDS:  # tarfile would go on to the end that a header announces
            raise _unreadable("unexpected end of data")
        if self._headers is not None:
            self._headers += len(data)
            if self._headers > _LARGEST_HEADERS + _BLOCK:
                raise _header_too_large()
        return data

    def check_stop(self) -> None:
        """Raise BundleError if nobody wants the archive any more."""
        if self._stop.is_set():
            raise BundleError("Unpacking was stopped.")

    def count(self, size: int) -> None:
        """Count what was unpacked or copied; raises BundleError if it is too much."""
        self._left -= size
        if self._left < 0:
            raise BundleError(
                f"The archive unpacks to more than {_FREE >> 20} MiB and {_RATIO} times its size.",
                hint="It may have been made to fill a disk.",
            )

    def members(self) -> Iterator[tuple[tarfile.TarInfo, BinaryIO | None]]:
        """Yield each member, with its content if it is a file."""
        while (member := self._tar.next()) is not None:
            del self._tar.members[:]  # type: ignore[attr-defined] # it would remember them all
            self._headers = None
            stream = None
            if member.isreg() and not member.issparse() and member.size >= 0:
                stream = cast("BinaryIO", self._tar.extractfile(member))
            yield member, stream
            while stream is not None and stream.read(_BLOCK):
                pass
            self._headers = 0
        self._headers = None
        self._check_end()

    def _check_end(self) -> None:
        """Read on to the end, where gzip compares its checksum; zeros may follow the archive."""
        stream = cast("BinaryIO", self._tar.fileobj)
        while rest := stream.read(_BLOCK):
            if rest.strip(b"\0"):
                raise _unreadable("it goes on after its end")


@contextmanager
def _reading(archive: Path, stop: Event) -> Iterator[_Source]:
    """Open an archive; raises BundleError for what is wrong with it in this block."""
    size = archive.stat().st_size
    try:
        with archive.open("rb") as file, gzip.GzipFile(fileobj=file, mode="rb") as unzipped:
            yield _Source(unzipped, stop, max(_FREE, _RATIO * size))
    except gzip.BadGzipFile as error:
        raise _unreadable(_format(archive) or error) from error
    # What is in a header may not be what tarfile expects there.
    except (tarfile.TarError, EOFError, zlib.error, ValueError, LookupError) as error:
        raise _unreadable(error) from error
    except (OverflowError, RecursionError) as error:
        raise _unreadable("a header in it is not valid") from error


def _format(archive: Path) -> str | None:
    with archive.open("rb") as file:
        start = file.read(tarfile.BLOCKSIZE)
    if start[257:262] == b"ustar":
        return "it is not compressed with gzip"
    names = (name for magic, name in _OTHER_FORMATS.items() if start.startswith(magic))
    return next((f"it is {name}" for name in names), None)


class _Unpacking:
    """What is in the folder so far, by name, and the links that are made at the end.

    In this order nothing is read or written through a symbolic link.
    """

    def __init__(self, folder: Path, source: _Source) -> None:
        self.kinds: dict[str, _Kind] = {}
        self._folder = folder
        self._source = source
        self._symbolic: dict[str, str] = {}
        self._hard: dict[str, str] = {}

    def take(self, member: tarfile.TarInfo, content: BinaryIO | None) -> None:
        """Unpack one member."""
        if (name := safe_name(member.name)) == "." and member.isdir():
            return
        if member.isdir():
            self._claim(name, "folder")
            with _writing(name):
                (self._folder / name).mkdir(parents=True, exist_ok=True)
        elif content is not None:
            self._claim(name, "file")
            self._write(name, member.mode, content)
        elif member.issym() or member.islnk():
            self._claim(name, "link")
            links = self._symbolic if member.issym() else self._hard
            links[name] = _target(name, member) if member.issym() else safe_name(member.linkname)
        elif member.issparse():
            raise BundleError(f"{shown(name)} in the archive is a sparse file; pack it whole.")
        else:
            raise BundleError(f"{shown(name)} in the archive is neither a file nor a folder.")

    def link(self) -> None:
        """Make the links, when all files are there."""
        for name in self._hard:
            self._copy(name)
        for name, target in self._symbolic.items():
            self._write_link(name, target)
        # Where one leads can depend on all the others.
        for name, target in self._symbolic.items():
            self._source.check_stop()
            self._check_link(name, target)

    def _claim(self, name: str, kind: _Kind) -> None:
        """Note a name and the folders above it; raises BundleError if one is something else."""
        while (there := self.kinds.get(name)) != "folder" or kind != "folder":
            if there == kind:
                raise BundleError(f"The archive contains {shown(name)} twice.")
            if there is not None:
                both = " and a ".join(sorted((there, kind)))
                raise BundleError(f"{shown(name)} in the archive is both a {both}.")
            self.kinds[name] = kind
            _check_number(self.kinds)
            name, kind = posixpath.dirname(name), "folder"
            if not name:
                return

    def _write(self, name: str, mode: int, content: BinaryIO) -> None:
        path = self._folder / name
        with _writing(name):
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("xb") as file:
                shutil.copyfileobj(content, file, _BLOCK)
            path.chmod(0o755 if mode & 0o100 else 0o644)

    def _copy(self, name: str) -> None:
        """Copy what a hard link leads to, which may be another hard link."""
        target, seen = self._hard[name], {name}
        while target in self._hard and target not in seen:
            seen.add(target)
            target = self._hard[target]
        self._hard |= dict.fromkeys(seen, target)  # the next one need not go all the way again
        if self.kinds.get(target) != "file":
            raise BundleError(f"The link {shown(name)} does not point to a file in the archive.")
        source = self._folder / target
        with source.open("rb") as content:
            self._source.count(os.fstat(content.fileno()).st_size)
            self._write(name, source.stat().st_mode, content)

    def _write_link(self, name: str, target: str) -> None:
        path = self._folder / name
        with _writing(name):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.symlink_to(target)

    def _check_link(self, name: str, target: str) -> None:
        try:
            found = (self._folder / name).resolve(strict=True)
        except (OSError, RuntimeError):  # the latter for a loop, until Python 3.13
            found = None
        if found is None or not found.is_relative_to(self._folder.resolve()):
            raise _leads_out(name, target)


def _target(name: str, member: tarfile.TarInfo) -> str:
    """Return where a symbolic link leads, if a link can lead there at all."""
    target = member.linkname
    if not target or "\0" in target or posixpath.isabs(target):
        raise _leads_out(name, target)
    return target


def _leads_out(name: str, target: str) -> BundleError:
    return BundleError(
        f"The target of the link {shown(name)} is not in the archive: {shown(target)}."
    )


@contextmanager
def _writing(name: str) -> Iterator[None]:
    """Raise BundleError if the file system does not take this name."""
    try:
        yield
    except OSError as error:
        if (why := _NAMES.get(error.errno or 0)) is None:
            raise
        raise BundleError(f"{shown(name)} in the archive cannot be unpacked: {why}.") from error


def _root(folder: Path) -> Path:
    while True:
        entries = tuple(folder.iterdir())
        if len(entries) != 1 or not entries[0].is_dir() or entries[0].is_symlink():
            return folder
        folder = entries[0]
