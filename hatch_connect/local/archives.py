"""Unpacking an uploaded archive, where nothing in it can reach outside its folder."""

from __future__ import annotations

import posixpath
import shutil
import tarfile
import zlib
from typing import TYPE_CHECKING

from hatch_connect.errors import BundleError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MANIFEST = "manifest.json"
_LARGEST_MANIFEST = 64 << 20


def unpack(archive: Path, folder: Path) -> Path:
    """Unpack `archive` into `folder` and return the root of the bundle in it.

    A single top folder is stepped into, as Connect does. Raises BundleError, and leaves `folder`
    half filled, where the archive is broken or not safe.
    """
    folder.mkdir(parents=True)
    links: list[tarfile.TarInfo] = []
    seen: set[str] = set()
    for tar, member in _members(archive):
        name = safe_name(member.name)
        if member.isdir():
            (folder / name).mkdir(parents=True, exist_ok=True)
            continue
        if name in seen:
            raise BundleError(f"The archive holds {name!r} twice.")
        seen.add(name)
        if member.isreg():
            _write(tar, member, folder / name)
        elif member.issym() or member.islnk():
            links.append(member)
        else:
            raise BundleError(f"The archive holds {name!r}, which is neither a file nor a folder.")
    # Links come last, so that no file can be written through one.
    for member in links:
        _link(member, folder)
    return _root(folder)


def read_manifest(archive: Path) -> bytes | None:
    """Return the manifest of an archive; None where there is none or the archive is broken."""
    try:
        for tar, member in _members(archive):
            name = posixpath.normpath(member.name)
            if name.count("/") <= 1 and posixpath.basename(name) == MANIFEST and member.isreg():
                stream = tar.extractfile(member)
                return stream.read(_LARGEST_MANIFEST) if stream else None
    except BundleError:
        return None
    return None


def safe_name(name: str) -> str:
    """Return a member's name in its normal form; raises BundleError where it leads outside."""
    normal = posixpath.normpath(name)
    parts = normal.split("/")
    if not name or "\x00" in name or "\\" in name or name.startswith("/") or ".." in parts:
        raise BundleError(f"The archive holds the name {name!r}, which is not allowed.")
    return normal


def _members(archive: Path) -> Iterator[tuple[tarfile.TarFile, tarfile.TarInfo]]:
    try:
        with tarfile.open(archive, "r|gz") as tar:
            for member in tar:
                yield tar, member
    except (tarfile.TarError, OSError, EOFError, zlib.error) as error:
        raise BundleError(f"The archive is not a readable .tar.gz: {error}") from error


def _write(tar: tarfile.TarFile, member: tarfile.TarInfo, path: Path) -> None:
    stream = tar.extractfile(member)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("xb") as file:
        if stream is not None:
            shutil.copyfileobj(stream, file)
    path.chmod(0o755 if member.mode & 0o100 else 0o644)


def _link(member: tarfile.TarInfo, folder: Path) -> None:
    name = safe_name(member.name)
    path = folder / name
    target = folder / member.linkname if member.islnk() else path.parent / member.linkname
    if not target.resolve().is_relative_to(folder.resolve()):
        raise BundleError(f"The archive's link {name!r} leads outside, to {member.linkname!r}.")
    path.parent.mkdir(parents=True, exist_ok=True)
    if member.issym():
        path.symlink_to(member.linkname)
    elif target.is_file():
        shutil.copyfile(target, path)
    else:
        raise BundleError(f"The archive's link {name!r} leads to nothing: {member.linkname!r}.")


def _root(folder: Path) -> Path:
    entries = tuple(folder.iterdir())
    single = len(entries) == 1 and entries[0].is_dir() and not entries[0].is_symlink()
    return entries[0] if single else folder
