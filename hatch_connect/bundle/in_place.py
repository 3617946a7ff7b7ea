"""Writes `manifest.json` and the package list beside `pyproject.toml`, for git-backed content."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from hatch_connect.bundle.checking import reading
from hatch_connect.bundle.manifest import LOCALE, MANIFEST_NAME, Manifest
from hatch_connect.bundle.names import shown
from hatch_connect.bundle.packing import replacing
from hatch_connect.bundle.parts import PIP_VERSION
from hatch_connect.errors import BundleError

if TYPE_CHECKING:
    from pathlib import Path

    from hatch_connect.bundle.archive import Bundle
    from hatch_connect.project.project import ProjectConfig

_OUR_LIST = b"# Made by hatch-connect "
_SHOWN = 5


def write_in_place(config: ProjectConfig, bundle: Bundle) -> Path:
    """Write what a checkout lacks to be this bundle; give the manifest's path.

    It lies at the top of the content: in the folder that becomes the bundle's root, if one does.
    Raises BundleError where files of the bundle lie elsewhere in the project (a `src/` layout,
    whose wheel is unpacked), or where a file that we did not write is in the way. An earlier
    manifest is ours when it is, byte by byte, what we write, with the constants that stand for a
    machine's locale and pip; an earlier list when its first line says so.
    """
    manifest = _without_metadata(bundle.manifest)
    package_file = manifest.python.package_file if manifest.python else None
    root = config.content_root
    _require_same_paths(root, manifest, package_file)
    target = root / MANIFEST_NAME
    if target.exists() and not _is_our_manifest(target):
        raise _in_the_way(target)
    if package_file is not None:
        listed = next(file for file in manifest.files if file.path == package_file)
        package_path = root.joinpath(*package_file.split("/"))
        if not _is_that(package_path, listed.checksum):
            if package_path.exists() and not package_path.read_bytes().startswith(_OUR_LIST):
                raise _in_the_way(package_path)
            _write(package_path, _member(bundle, package_file))
    _write(target, manifest.to_json())
    return target


def _without_metadata(manifest: Manifest) -> Manifest:
    """Leave out the package's own metadata: a build makes it, and a checkout runs without."""
    return manifest.with_files(
        file for file in manifest.files if not file.path.partition("/")[0].endswith(".dist-info")
    )


def _require_same_paths(root: Path, manifest: Manifest, package_file: str | None) -> None:
    moved = [
        file.path
        for file in manifest.files
        if file.path != package_file
        and not _is_that(root.joinpath(*file.path.split("/")), file.checksum)
    ]
    if moved:
        names = ", ".join(shown(path) for path in moved[:_SHOWN])
        more = f" and {len(moved) - _SHOWN} more" if len(moved) > _SHOWN else ""
        raise BundleError(
            f"The bundle is not the tree of {root}: its build makes or moves {names}{more}.",
            hint="Without --in-place, `manifest` writes a complete folder that can be committed.",
        )


def _is_our_manifest(path: Path) -> bool:
    text = path.read_bytes()
    try:
        manifest = Manifest.from_json(text)
    except BundleError:
        return False
    ours = manifest.to_json() == text
    if manifest.python is None:
        return ours and manifest.locale is None
    return ours and manifest.locale == LOCALE and manifest.python.manager_version == PIP_VERSION


def _in_the_way(path: Path) -> BundleError:
    return BundleError(
        f"{path} is there already, and hatch-connect did not write it.",
        hint="Move it away, or use `manifest` without --in-place.",
    )


def _is_that(path: Path, checksum: str) -> bool:
    """Whether a file has these bytes; a list of packages ships with git's own line endings."""
    if not path.is_file():
        return False
    data = path.read_bytes()
    return checksum in (
        hashlib.md5(each, usedforsecurity=False).hexdigest()
        for each in (data, data.replace(b"\r\n", b"\n"))
    )


def _member(bundle: Bundle, name: str) -> bytes:
    with reading(bundle.path) as (archive, _):
        for member in archive:
            content = archive.extractfile(member) if member.name == bundle.top + name else None
            if content is not None:
                return content.read()
    raise BundleError(f"{bundle.path} no longer holds {name}.")


def _write(path: Path, content: bytes) -> None:
    with replacing(path) as partial:
        partial.write_bytes(content)
