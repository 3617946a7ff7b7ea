"""Reads an archive that somebody else made, without trusting anything in it."""

from __future__ import annotations

import gzip
import hashlib
import posixpath
import tarfile
import zlib
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from hatch_connect.bundle.manifest import MANIFEST_NAME, Manifest, digest_of
from hatch_connect.bundle.names import shown, unsafe
from hatch_connect.bundle.packing import Tally
from hatch_connect.errors import BundleError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

_BLOCK = 1 << 18
_FREE = 1 << 28  # 256 MiB may come out of any archive ...
_RATIO = 200  # ... and beyond that so many bytes for each one that went in (text: 5 to 20)
_LARGEST_MANIFEST = 1 << 27
_MOST_MEMBERS = 1_000_000
_SHOWN = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """An archive that holds what its manifest lists, and perhaps more.

    `top` is the single folder that holds everything, with its slash, or "". `changed` are files
    whose checksums differ from the listed ones. `digest` is that of the manifest with the
    checksums of the archive's files.
    """

    manifest: Manifest
    digest: str
    changed: tuple[str, ...]
    top: str
    size: int
    md5: str


@dataclass(slots=True)
class _Found:
    """What an archive holds: checksums of its files, targets of its links, possible manifests."""

    checksums: dict[str, str] = field(default_factory=dict)
    links: dict[str, str] = field(default_factory=dict)
    manifests: dict[str, bytes] = field(default_factory=dict)


def check_archive(path: Path) -> Checked:
    """Read the whole archive and compare it with its manifest (BundleError).

    It is judged as the server does: what is listed must be there. Checksums that differ and files
    that are not listed are taken, as official clients write such archives too.
    """
    found = _Found()
    with reading(path) as (archive, raw):
        for member in archive:
            _take(archive, member, found)
            if len(found.checksums) + len(found.links) > _MOST_MEMBERS:
                raise BundleError(f"{path} holds more than {_MOST_MEMBERS:,} files.")
    _follow_links(found, path)
    _refuse_files_in_files(found)
    top = _top(found, path)
    text = found.manifests.pop(top + MANIFEST_NAME)
    manifest = Manifest.from_json(text)
    archived = {n.removeprefix(top): c for n, c in found.checksums.items()}
    del archived[MANIFEST_NAME]
    # The official client's older versions list the manifest in itself, with a stale checksum.
    listed = {f.path: f.checksum for f in manifest.files if f.path != MANIFEST_NAME}
    _refuse_missing(listed.keys() - archived.keys(), path)
    return Checked(
        manifest=manifest,
        digest=digest_of(text, archived),
        changed=tuple(sorted(n for n, c in listed.items() if c and c != archived[n])),
        top=top,
        size=raw.size,
        md5=raw.md5.hexdigest(),
    )


def _follow_links(found: _Found, path: Path) -> None:
    """Take the checksums of what links lead to: a file of the archive, or a folder of it."""
    pending = dict(found.links)
    while pending:
        for name, target in tuple(pending.items()):
            below = {n: c for n, c in found.checksums.items() if n.startswith(f"{target}/")}
            if target in found.checksums:
                found.checksums[name] = found.checksums[target]
            elif below and not name.startswith(f"{target}/"):
                found.checksums |= {name + n.removeprefix(target): c for n, c in below.items()}
            else:
                continue
            del pending[name]
            break
        else:
            raise BundleError(
                f"{path}: the link {shown(min(pending))} does not lead to a file of the archive."
            )


@contextmanager
def reading(path: Path) -> Iterator[tuple[tarfile.TarFile, Tally]]:
    """Open a `.tar.gz` as a stream; a damaged or monstrous one is a BundleError.

    The second value has the size and the MD5 of the file when the block is left.
    """
    try:
        with path.open("rb") as file:
            raw = Tally(file, lambda _: None)
            with gzip.GzipFile(fileobj=raw, mode="rb") as unzipped:
                content = _Limited(unzipped, raw)
                with tarfile.open(fileobj=content, mode="r|", bufsize=_BLOCK) as archive:  # type: ignore[call-overload] # as above
                    yield archive, raw
                while content.read(_BLOCK):
                    pass
    except (tarfile.TarError, zlib.error, EOFError, gzip.BadGzipFile) as error:
        raise BundleError(
            f"{path} is not a whole gzip-compressed tar archive: {error}.",
            hint="Build it again, or download it again.",
        ) from error
    except OSError as error:
        raise BundleError(f"{path} cannot be read: {error.strerror or error}.") from error


class _Limited:
    """Stops when far more comes out of an archive than went into it."""

    def __init__(self, content: gzip.GzipFile, raw: Tally) -> None:
        self._content = content
        self._raw = raw
        self._size = 0

    def read(self, size: int = -1) -> bytes:
        data = self._content.read(size)
        self._size += len(data)
        if self._size > _FREE and self._size > _RATIO * self._raw.size:
            raise BundleError(
                f"The archive unpacks to more than {_RATIO} times its size.",
                hint="It looks like one that was made to fill a disk; nothing was unpacked.",
            )
        return data


def _take(archive: tarfile.TarFile, member: tarfile.TarInfo, found: _Found) -> None:
    name = normalized(member)
    if not name:
        return
    if member.isdir():
        _refuse(name, unsafe(name.rstrip("/")))
        return
    _refuse(name, unsafe(name))
    if name in found.checksums or name in found.links:
        _refuse(name, "it is in the archive twice")
    if member.issym() or member.islnk():
        found.links[name] = link_target(name, member)
        return
    content = archive.extractfile(member) if member.isreg() and not member.issparse() else None
    if content is None:
        _refuse(name, "it is neither a file nor a folder")
        return
    checksum = hashlib.md5(usedforsecurity=False)
    keep = posixpath.basename(name) == MANIFEST_NAME and name.count("/") <= 1
    if keep and member.size > _LARGEST_MANIFEST:
        _refuse(name, f"it is larger than {_LARGEST_MANIFEST >> 20} MiB")
    kept = []
    while data := content.read(_BLOCK):
        checksum.update(data)
        if keep:
            kept.append(data)
    found.checksums[name] = checksum.hexdigest()
    if keep:
        found.manifests[name] = b"".join(kept)


def normalized(member: tarfile.TarInfo) -> str:
    """Give a member's path without the `./` that some programs write first; "" is the root."""
    return "" if member.name in {".", "./"} else member.name.removeprefix("./")


def link_target(name: str, member: tarfile.TarInfo) -> str:
    """Give the path in the archive to which a link leads (one that leaves it leads to no file)."""
    base = posixpath.dirname(name) if member.issym() else ""
    return posixpath.normpath(posixpath.join(base, member.linkname))


def _refuse(name: str, why: str | None) -> None:
    if why:
        raise BundleError(f"The archive is refused: {shown(name)}: {why}.")


def _refuse_files_in_files(found: _Found) -> None:
    for name in found.checksums:
        folder = posixpath.dirname(name)
        while folder:
            if folder in found.checksums:
                _refuse(folder, "it is a file and a folder")
            folder = posixpath.dirname(folder)


def _top(found: _Found, path: Path) -> str:
    if MANIFEST_NAME in found.manifests:
        return ""
    tops = {name.split("/")[0] + "/" for name in found.checksums}
    if len(tops) == 1 and (top := tops.pop()) + MANIFEST_NAME in found.manifests:
        return top
    raise BundleError(
        f"{path} holds no manifest.json at its root, so it is not a bundle.",
        hint="Deploy a bundle that `manifest` or `bundle` made, or one downloaded from Connect.",
    )


def _refuse_missing(missing: Iterable[str], path: Path) -> None:
    if names := sorted(missing):
        lines = "\n".join(f"  - {shown(name)}" for name in names[:_SHOWN])
        raise BundleError(
            f"{path} does not hold {len(names)} file(s) that its manifest.json lists:\n{lines}",
            hint="It was changed after it was made, or damaged: make it again.",
        )
