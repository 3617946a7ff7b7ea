"""A bundle: one reproducible gzip-compressed tar archive, written here or made elsewhere.

Nothing in an archive from elsewhere is trusted. A folder is packed as its `manifest.json` says.
Above 500 lines, because what is written is what must be read again.
"""

from __future__ import annotations

import gzip
import hashlib
import posixpath
import secrets
import shutil
import stat
import tarfile
import zlib
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from hatch_connect.bundle.archive import (
    DEFAULT_EPOCH,
    EXECUTABLE,
    SUFFIX,
    ContentFile,
    Tally,
    check_names,
    checksums,
    copy,
    pack,
    shown,
    unsafe,
)
from hatch_connect.bundle.manifest import MANIFEST_NAME, Manifest, digest_of
from hatch_connect.bundle.repository import on_disk_executable
from hatch_connect.errors import BundleError, itemized, shortened
from hatch_connect.events import Warned, silent

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from hatch_connect.bundle.manifest import ListedFile
    from hatch_connect.events import Report

_SHOWN = 5

_BLOCK = 1 << 18
_FREE = 1 << 28  # any archive may unpack to 256 MiB ...
_RATIO = 200  # ... and a larger one to so many times its size (text: 5 to 20), against zip bombs
_LARGEST_MANIFEST = 1 << 27
_MOST_MEMBERS = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class BundleContents:
    """What a bundle holds, which is known before there is an archive.

    `digest` is the SHA-256 of the canonical manifest for the files as they are; `identity` covers
    the executable bits as well, of which the manifest says nothing. `sizes` has every file, the
    manifest too, with its bytes, sorted.
    """

    manifest: Manifest
    digest: str
    identity: str
    sizes: tuple[tuple[str, int], ...]

    @classmethod
    def of(
        cls, manifest: Manifest, files: Sequence[ContentFile], *, report: Report = silent
    ) -> BundleContents:
        """Read the files that `Bundle.write` would pack, and write nothing (BundleError)."""
        check_names(file.path for file in files)
        whole = manifest.with_files(checksums(files, report))
        return cls(**_described(whole, len(whole.to_json()), files))


def _described(manifest: Manifest, size: int, files: Sequence[ContentFile]) -> dict[str, Any]:
    """Return the fields of `BundleContents` for a manifest, its size, and its files."""
    sizes = ((MANIFEST_NAME, size), *((file.path, file.size) for file in files))
    executable = (file.path for file in files if file.executable)
    digest = manifest.digest
    return {
        "manifest": manifest,
        "digest": digest,
        "identity": _identity(digest, executable),
        "sizes": tuple(sorted(sizes)),
    }


def _identity(digest: str, executable: Iterable[str]) -> str:
    return hashlib.sha256("\0".join((digest, *sorted(executable))).encode()).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Bundle(BundleContents):
    """A bundle on disk that was checked.

    `md5` is that of the archive's bytes (hex), `size` their number. `top` is the single
    folder in which an archive made elsewhere holds everything (with its slash), else "". A bundle
    that is written as a folder has the size of its files, and no MD5 ("").
    """

    path: Path
    size: int
    md5: str
    top: str = ""

    @classmethod
    def write(
        cls,
        path: Path,
        manifest: Manifest,
        files: Sequence[ContentFile],
        *,
        epoch: int = DEFAULT_EPOCH,
        report: Report = silent,
    ) -> Bundle:
        """Write the archive of these files, with this manifest for them (BundleError).

        The same files, manifest and `epoch` (the members' time, in seconds) give the same bytes.
        """
        check_names(file.path for file in files)
        listed, length, packed = pack(
            path,
            files,
            lambda listed: manifest.with_files(listed).to_json(),
            epoch=epoch,
            report=report,
        )
        described = _described(manifest.with_files(listed), length, files)
        return cls(path=path, size=packed.size, md5=packed.md5.hexdigest(), **described)

    @classmethod
    def open(cls, path: Path, *, into: Path, report: Report = silent) -> Bundle:
        """Check a bundle; a folder or a `manifest.json` is packed to a file in `into` first.

        Raises BundleError: it is no bundle, is damaged, or holds what no bundle may hold.
        """
        if path.is_dir() or path.name == MANIFEST_NAME:
            path = _pack_prepared(path, into, report)
        bundle, changed = _check(path)
        if changed:
            names = shortened([shown(name) for name in changed], _SHOWN)
            report(
                Warned(
                    text=f"Changed since manifest.json was written: {names}. The files ship as"
                    " they are now; if the packages or the entrypoint changed too, write the"
                    " manifest again."
                )
            )
        return bundle

    @classmethod
    def write_folder(
        cls,
        folder: Path,
        manifest: Manifest,
        files: Sequence[ContentFile],
        *,
        report: Report = silent,
    ) -> Bundle:
        """Write what `write` would pack as the content of `folder`, with the bytes' sum as `size`.

        A bundle that was unpacked there before is replaced; anything else there is a BundleError.
        """
        check_names(file.path for file in files)
        with _replacing_folder(folder) as partial:
            whole = manifest.with_files(copy(partial, files, report))
            text = whole.to_json()
            (partial / MANIFEST_NAME).write_bytes(text)
        size = len(text) + sum(file.size for file in files)
        return cls(path=folder, size=size, md5="", **_described(whole, len(text), files))

    def read(self, name: str) -> bytes | None:
        """Return the bytes of a file of an archive; None if it has no such file."""
        with reading(self.path) as (archive, _):
            for member in archive:
                content = normalized(member) == self.top + name and archive.extractfile(member)
                if content:
                    return content.read()
        return None

    def checksums(self) -> dict[str, str]:
        """Return the MD5 (hex) of each file of an archive but the manifest, as it is there."""
        found, _ = _contents_of(self.path)
        archived = {n.removeprefix(self.top): c for n, c in found.checksums.items()}
        del archived[MANIFEST_NAME]
        return archived

    def extract(self, folder: Path) -> None:
        """Unpack the bundle as the content of `folder`.

        A bundle that was unpacked there before is replaced; anything else there is a BundleError.
        """
        with _replacing_folder(folder) as partial:
            self._unpack(partial)

    def _unpack(self, folder: Path) -> None:
        links = {}
        with reading(self.path) as (archive, _):
            for member in archive:
                name = normalized(member)
                if member.issym() or member.islnk():
                    links[name] = _link_target(name, member)
                elif member.isreg():
                    _write(archive, member, self._inside(folder, name))
        for name, target in links.items():
            _copy(self._inside(folder, target), self._inside(folder, name))

    def _inside(self, folder: Path, name: str) -> Path:
        return folder.joinpath(*posixpath.relpath(name, self.top or ".").split("/"))


@contextmanager
def _replacing_folder(folder: Path) -> Iterator[Path]:
    """Yield a folder that takes the place of `folder` at the end, and is gone after an error."""
    _refuse_other_content(folder)
    partial = folder.with_name(f".{secrets.token_hex(8)}.partial")
    try:
        partial.mkdir(parents=True)
        yield partial
        if folder.exists():
            shutil.rmtree(folder)
        partial.rename(folder)
    except OSError as error:
        raise BundleError(f"{folder} cannot be written: {error.strerror or error}.") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _write(archive: tarfile.TarFile, member: tarfile.TarInfo, target: Path) -> None:
    content = archive.extractfile(member)
    if content is not None:
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("xb") as file:
            shutil.copyfileobj(content, file)
        if member.mode & stat.S_IXUSR:
            target.chmod(EXECUTABLE)


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    copy = shutil.copytree if source.is_dir() else shutil.copy
    copy(source, target)


def _refuse_other_content(folder: Path) -> None:
    if not folder.exists():
        return
    there = {file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file()}
    listed = {MANIFEST_NAME, *_listed(folder / MANIFEST_NAME)} if there else set[str]()
    if not folder.is_dir() or there - listed:
        first = next(iter(sorted(there - listed)), ".")
        raise BundleError(
            f"{folder} contains files that are not from a bundle ({first}).",
            hint="Use another folder, or remove this one.",
        )


def _listed(manifest: Path) -> tuple[str, ...]:
    try:
        return tuple(file.path for file in Manifest.from_json(manifest.read_bytes()).files)
    except (OSError, BundleError):
        return ()


@dataclass(slots=True)
class _ArchiveContents:
    """What an archive holds: checksums of its files, targets of its links, possible manifests.

    `sizes` and `modes` are those of the files that are no links.
    """

    checksums: dict[str, str] = field(default_factory=dict)
    sizes: dict[str, int] = field(default_factory=dict)
    modes: dict[str, int] = field(default_factory=dict)
    links: dict[str, str] = field(default_factory=dict)
    manifests: dict[str, bytes] = field(default_factory=dict)


def _check(path: Path) -> tuple[Bundle, tuple[str, ...]]:
    """Return the bundle, and those of its files whose checksums are not the listed ones.

    The whole archive is read. As on the server, every listed file must be there (BundleError).
    Different checksums and files that are not listed are accepted, since official clients write
    such archives too.
    """
    found, raw = _contents_of(path)
    _refuse_files_in_files(found)
    top = _top(found, path)
    text = found.manifests.pop(top + MANIFEST_NAME)
    manifest = Manifest.from_json(text)
    archived = {n.removeprefix(top): c for n, c in found.checksums.items()}
    del archived[MANIFEST_NAME]
    # Older versions of the official client list the manifest in itself, with a stale checksum.
    listed = {f.path: f.checksum for f in manifest.files if f.path != MANIFEST_NAME}
    _refuse_missing(listed.keys() - archived.keys(), path)
    digest = digest_of(text, archived)
    executable = [n.removeprefix(top) for n, mode in found.modes.items() if mode & stat.S_IXUSR]
    bundle = Bundle(
        path=path,
        manifest=manifest,
        size=raw.size,
        digest=digest,
        identity=_identity(digest, executable),
        sizes=tuple(sorted((n.removeprefix(top), size) for n, size in found.sizes.items())),
        md5=raw.md5.hexdigest(),
        top=top,
    )
    return bundle, tuple(sorted(n for n, c in listed.items() if c and c != archived[n]))


def _contents_of(path: Path) -> tuple[_ArchiveContents, Tally]:
    """Read a whole archive; the second value has its size and MD5."""
    found = _ArchiveContents()
    with reading(path) as (archive, raw):
        for member in archive:
            _take(archive, member, found)
            if len(found.checksums) + len(found.links) > _MOST_MEMBERS:
                raise BundleError(f"{path} contains more than {_MOST_MEMBERS:,} files.")
    _follow_links(found, path)
    return found, raw


def _follow_links(found: _ArchiveContents, path: Path) -> None:
    """Return each link the checksums of the file or folder of the archive that it leads to."""
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
                f"{path}: the link {shown(min(pending))} does not lead to a file in the archive."
            )


@contextmanager
def reading(path: Path) -> Iterator[tuple[tarfile.TarFile, Tally]]:
    """Open a `.tar.gz` as a stream; raises BundleError for a damaged or far too large one.

    The second value has the size and the MD5 of the file when the block is left.
    """
    try:
        with path.open("rb") as file:
            raw = Tally(file)
            with gzip.GzipFile(fileobj=raw, mode="rb") as unzipped:
                content = _Limited(unzipped, raw)
                with tarfile.open(fileobj=content, mode="r|", bufsize=_BLOCK) as archive:  # type: ignore[call-overload] # as above
                    yield archive, raw
                # What follows the archive's end counts for the size, the MD5 and the limit too.
                while content.read(_BLOCK):
                    pass
    except (tarfile.TarError, zlib.error, EOFError, gzip.BadGzipFile) as error:
        raise BundleError(
            f"{path} is not a complete gzip-compressed tar archive: {error}.",
            hint="Build it again, or download it again.",
        ) from error
    except OSError as error:
        raise BundleError(f"{path} cannot be read: {error.strerror or error}.") from error


class _Limited:
    """Raises an error if an archive unpacks to far more than its size."""

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
                hint="It may have been made to fill a disk; nothing was unpacked.",
            )
        return data


def _take(archive: tarfile.TarFile, member: tarfile.TarInfo, found: _ArchiveContents) -> None:
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
        found.links[name] = _link_target(name, member)
        return
    # A sparse file may claim any size without having the bytes.
    content = archive.extractfile(member) if member.isreg() and not member.issparse() else None
    if content is None:
        _refuse(name, "it is neither a file nor a folder")
        return
    # Only these can be the bundle's own: at the root, or in a single folder at the top.
    keep = posixpath.basename(name) == MANIFEST_NAME and name.count("/") <= 1
    if keep and member.size > _LARGEST_MANIFEST:
        _refuse(name, f"it is larger than {_LARGEST_MANIFEST >> 20} MiB")
    counted, kept = Tally(content), []
    while data := counted.read(_BLOCK):
        if keep:
            kept.append(data)
    found.checksums[name] = counted.md5.hexdigest()
    found.sizes[name], found.modes[name] = counted.size, member.mode
    if keep:
        found.manifests[name] = b"".join(kept)


def normalized(member: tarfile.TarInfo) -> str:
    """Return a member's path without the `./` that some programs write first; "" is the root."""
    return "" if member.name in {".", "./"} else member.name.removeprefix("./")


def _link_target(name: str, member: tarfile.TarInfo) -> str:
    """Return the path in the archive that a link leads to; none of a file if it leads outside."""
    base = posixpath.dirname(name) if member.issym() else ""
    return posixpath.normpath(posixpath.join(base, member.linkname))


def _refuse(name: str, why: str | None) -> None:
    if why:
        raise BundleError(f"The archive was rejected: {shown(name)}: {why}.")


def _refuse_files_in_files(found: _ArchiveContents) -> None:
    for name in found.checksums:
        folder = posixpath.dirname(name)
        while folder:
            if folder in found.checksums:
                _refuse(folder, "it is both a file and a folder")
            folder = posixpath.dirname(folder)


def _top(found: _ArchiveContents, path: Path) -> str:
    if MANIFEST_NAME in found.manifests:
        return ""
    tops = {name.split("/")[0] + "/" for name in found.checksums}
    if len(tops) == 1 and (top := tops.pop()) + MANIFEST_NAME in found.manifests:
        return top
    raise BundleError(
        f"{path} is not a bundle: there is no manifest.json at its root.",
        hint="Deploy a bundle made by `manifest` or `bundle`, or downloaded from Connect.",
    )


def _refuse_missing(missing: Iterable[str], path: Path) -> None:
    if names := sorted(missing):
        lines = itemized([shown(name) for name in names], _SHOWN)
        raise BundleError(
            f"{path} does not contain {len(names)} file(s) that its manifest.json lists:\n{lines}",
            hint="It was changed or damaged after it was made: make it again.",
        )


def read_manifest(path: Path) -> Manifest:
    """Read the manifest of a folder, which `path` is or lies in; nothing is packed."""
    return Manifest.from_json(_read((path if path.is_dir() else path.parent) / MANIFEST_NAME))


def _pack_prepared(path: Path, into: Path, report: Report) -> Path:
    """Pack the listed files and the manifest as it is; return the archive's path in `into`.

    `path` is the folder or its `manifest.json`. Every listed file must exist; files that were
    edited since are reported when the archive is checked.
    """
    root = (path if path.is_dir() else path.parent).resolve()
    text = _read(root / MANIFEST_NAME)
    listed = [file for file in Manifest.from_json(text).files if file.path != MANIFEST_NAME]
    found = [_find(root, file) for file in listed]
    _refuse_listed([problem for problem in found if isinstance(problem, str)], root)
    files = sorted(
        (file for file in found if isinstance(file, ContentFile)), key=lambda file: file.path
    )
    identity = hashlib.sha256(text).hexdigest()[:12]
    target = into / f"{root.name or 'content'}-{identity}{SUFFIX}"
    pack(target, files, lambda _: text, epoch=DEFAULT_EPOCH, report=report)
    return target


def _read(manifest: Path) -> bytes:
    try:
        return manifest.read_bytes()
    except OSError as error:
        raise BundleError(
            f"{manifest} cannot be read: {error.strerror}.",
            hint=f"Use a bundle ({SUFFIX}, .tar.gz), a manifest.json, or a folder that contains"
            " one.",
        ) from error


def _find(root: Path, listed: ListedFile) -> ContentFile | str:
    if why := unsafe(listed.path):
        return f"{shown(listed.path)}: {why}"
    try:
        source = root.joinpath(*listed.path.split("/")).resolve(strict=True)
    except (OSError, RuntimeError):
        return f"{shown(listed.path)} does not exist"
    if not source.is_relative_to(root):
        return f"{shown(listed.path)} is a link that leads out of the folder"
    if not source.is_file():
        return f"{shown(listed.path)} is not a file"
    size, executable = source.stat().st_size, on_disk_executable(source)
    return ContentFile(path=listed.path, source=source, size=size, executable=executable)


def _refuse_listed(problems: list[str], root: Path) -> None:
    if problems:
        raise BundleError(
            f"{root / MANIFEST_NAME} lists files that its folder does not contain"
            f" ({len(problems)} problem(s)):\n{itemized(problems)}",
            hint="Restore the files, or write the manifest again with the program that wrote it.",
        )
