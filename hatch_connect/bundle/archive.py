"""A bundle: one reproducible gzip-compressed tar archive."""

from __future__ import annotations

import posixpath
import secrets
import shutil
import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hatch_connect.bundle.checking import check_archive, link_target, normalized, reading
from hatch_connect.bundle.manifest import MANIFEST_NAME, Manifest
from hatch_connect.bundle.names import check_names, shown
from hatch_connect.bundle.packing import DEFAULT_EPOCH, EXECUTABLE, pack
from hatch_connect.errors import BundleError
from hatch_connect.events import Warned, silent

if TYPE_CHECKING:
    import tarfile
    from pathlib import Path

    from hatch_connect.bundle.content import Selection
    from hatch_connect.events import Report

_SHOWN = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Bundle:
    """A bundle on disk that was checked.

    `digest` is the SHA-256 of the canonical manifest for the files as they are: it identifies the
    bundle. `md5` is that of
    the archive's bytes (hex), `size` their number. `top` is the single folder in which an archive
    made elsewhere holds everything (with its slash), else "".
    """

    path: Path
    manifest: Manifest
    size: int
    digest: str
    md5: str
    top: str = ""

    @classmethod
    def write(
        cls,
        path: Path,
        manifest: Manifest,
        selection: Selection,
        *,
        epoch: int = DEFAULT_EPOCH,
        report: Report = silent,
    ) -> Bundle:
        """Write the archive of these files, with this manifest for them (BundleError).

        The same files, manifest and `epoch` (the members' time, in seconds) give the same bytes.
        """
        check_names(file.path for file in selection.files)
        packed = pack(
            path,
            selection,
            lambda files: manifest.with_files(files).to_json(),
            epoch=epoch,
            report=report,
        )
        whole = Manifest.from_json(packed.manifest)
        return cls(path=path, manifest=whole, size=packed.size, digest=whole.digest, md5=packed.md5)

    @classmethod
    def open(cls, path: Path, *, into: Path, report: Report = silent) -> Bundle:
        """Check a bundle; a folder or a `manifest.json` is packed to a file in `into` first.

        Raises BundleError: it is no bundle, is damaged, or holds what no bundle may hold.
        """
        if path.is_dir() or path.name == MANIFEST_NAME:
            from hatch_connect.bundle.prepared import pack_prepared

            path = pack_prepared(path, into, report)
        checked = check_archive(path)
        if checked.changed:
            names = ", ".join(shown(name) for name in checked.changed[:_SHOWN])
            more = len(checked.changed) - _SHOWN
            report(
                Warned(
                    text=f"Edited since manifest.json was written: {names}"
                    f"{f' and {more} more' if more > 0 else ''}. The files ship as they are now; if"
                    " packages or entrypoint changed too, write the manifest again."
                )
            )
        return cls(
            path=path,
            manifest=checked.manifest,
            size=checked.size,
            digest=checked.digest,
            md5=checked.md5,
            top=checked.top,
        )

    def sizes(self) -> tuple[tuple[str, int], ...]:
        """Give every file of the archive, the manifest too, with its size in bytes, sorted."""
        with reading(self.path) as (archive, _):
            found = [(normalized(m).removeprefix(self.top), m.size) for m in archive if m.isreg()]
        return tuple(sorted(found))

    def extract(self, folder: Path) -> None:
        """Unpack the bundle as the content of `folder`.

        A bundle that was unpacked there before is replaced; anything else there is a BundleError.
        """
        _refuse_other_content(folder)
        partial = folder.with_name(f".{secrets.token_hex(8)}.partial")
        try:
            partial.mkdir(parents=True)
            self._unpack(partial)
            if folder.exists():
                shutil.rmtree(folder)
            partial.rename(folder)
        except OSError as error:
            raise BundleError(f"{folder} cannot be written: {error.strerror or error}.") from error
        finally:
            shutil.rmtree(partial, ignore_errors=True)

    def _unpack(self, folder: Path) -> None:
        links = {}
        with reading(self.path) as (archive, _):
            for member in archive:
                name = normalized(member)
                if member.issym() or member.islnk():
                    links[name] = link_target(name, member)
                elif member.isreg():
                    _write(archive, member, self._inside(folder, name))
        for name, target in links.items():
            _copy(self._inside(folder, target), self._inside(folder, name))

    def _inside(self, folder: Path, name: str) -> Path:
        return folder.joinpath(*posixpath.relpath(name, self.top or ".").split("/"))


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
            f"{folder} holds something that no bundle left there ({first}).",
            hint="Name another folder, or remove this one.",
        )


def _listed(manifest: Path) -> tuple[str, ...]:
    try:
        return tuple(file.path for file in Manifest.from_json(manifest.read_bytes()).files)
    except (OSError, BundleError):
        return ()
