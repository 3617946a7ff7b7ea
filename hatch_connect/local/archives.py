"""Unpack an uploaded archive, so that nothing in it can reach outside its folder."""

from __future__ import annotations

import os
import posixpath
import shutil
import tarfile
import zlib
from contextlib import contextmanager
from pathlib import PurePath
from typing import TYPE_CHECKING

from hatch_connect.bundle.manifest import MANIFEST_NAME
from hatch_connect.errors import BundleError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_LARGEST_MANIFEST = 64 << 20


def unpack(archive: Path, folder: Path) -> Path:
    """Unpack `archive` into `folder` and return the root of the bundle in it.

    If everything lies in one top folder, that folder is the root, as on Connect. Raises
    BundleError, and leaves `folder` half filled, if the archive is broken or not safe.
    """
    folder.mkdir(parents=True)
    with _reading(archive) as tar:
        links = _write_files(tar, folder)
    # In this order nothing is read or written through a symbolic link.
    for member in links:
        if member.islnk():
            _copy(member, folder)
    symbolic = [member for member in links if member.issym()]
    for member in symbolic:
        path = folder / safe_name(member.name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.symlink_to(member.linkname)
    # Where one leads can depend on all the others.
    for member in symbolic:
        _check_link(member, folder)
    return _root(folder)


def manifest_bytes(archive: Path) -> bytes | None:
    """Return the manifest of an archive; None if there is none or the archive is broken."""
    try:
        with _reading(archive) as tar:
            for member in tar:
                folder, name = posixpath.split(posixpath.normpath(member.name))
                if name == MANIFEST_NAME and "/" not in folder and member.isreg():
                    stream = tar.extractfile(member)
                    return stream.read(_LARGEST_MANIFEST) if stream else None
    except BundleError:
        return None
    return None


def sizes(archive: Path) -> tuple[tuple[str, int], ...]:
    """Return the regular files of an archive, by name; raises BundleError if it is broken."""
    with _reading(archive) as tar:
        found = {posixpath.normpath(member.name): member.size for member in tar if member.isreg()}
    return tuple(sorted(found.items()))


def beginning(archive: Path, name: str, most: int) -> tuple[int, bytes] | None:
    """Return the size of a regular file in an archive and its first bytes; None if it has none."""
    with _reading(archive) as tar:
        for member in tar:
            if member.isreg() and posixpath.normpath(member.name) == name:
                stream = tar.extractfile(member)
                return member.size, stream.read(most) if stream else b""
    return None


def safe_name(name: str) -> str:
    """Return a member's name in its normal form; raises BundleError if it leads outside."""
    normal = posixpath.normpath(name)
    other_separators = {os.sep, "\0"} - {"/"}
    leads_out = name.startswith("/") or ".." in name.split("/") or PurePath(normal).drive
    if not name or leads_out or any(one in name for one in other_separators):
        raise BundleError(f"The name {name!r} is not allowed in a bundle.")
    return normal


@contextmanager
def _reading(archive: Path) -> Iterator[tarfile.TarFile]:
    try:
        with tarfile.open(archive, "r|gz") as tar:
            yield tar
    except (tarfile.TarError, OSError, EOFError, zlib.error) as error:
        raise BundleError(f"The archive is not a readable .tar.gz: {error}") from error


def _write_files(tar: tarfile.TarFile, folder: Path) -> list[tarfile.TarInfo]:
    links: list[tarfile.TarInfo] = []
    seen: set[str] = set()
    for member in tar:
        name = safe_name(member.name)
        if member.isdir():
            (folder / name).mkdir(parents=True, exist_ok=True)
            continue
        if name in seen:
            raise BundleError(f"The archive contains {name!r} twice.")
        seen.add(name)
        if member.isreg():
            _write(tar, member, folder / name)
        elif member.issym() or member.islnk():
            links.append(member)
        else:
            raise BundleError(f"{name!r} in the archive is neither a file nor a folder.")
    return links


def _write(tar: tarfile.TarFile, member: tarfile.TarInfo, path: Path) -> None:
    stream = tar.extractfile(member)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("xb") as file:
        if stream is not None:
            shutil.copyfileobj(stream, file)
    path.chmod(0o755 if member.mode & 0o100 else 0o644)


def _copy(member: tarfile.TarInfo, folder: Path) -> None:
    target = folder / safe_name(member.linkname)
    if not target.is_file():
        raise BundleError(f"The link {member.name!r} does not point to a file in the archive.")
    path = folder / safe_name(member.name)
    path.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(target, path)


def _check_link(member: tarfile.TarInfo, folder: Path) -> None:
    try:
        target = (folder / member.name).resolve(strict=True)
    except (OSError, RuntimeError):  # the latter for a loop, until Python 3.13
        target = None
    if target is None or not target.is_relative_to(folder.resolve()):
        raise BundleError(
            f"The target of the link {member.name!r} is not in the archive: {member.linkname!r}."
        )


def _root(folder: Path) -> Path:
    entries = tuple(folder.iterdir())
    single = len(entries) == 1 and entries[0].is_dir() and not entries[0].is_symlink()
    return entries[0] if single else folder
