"""Packs a folder whose `manifest.json` says what is in the bundle: content made elsewhere."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from hatch_connect.bundle.content import ContentFile, Selection
from hatch_connect.bundle.ignored import on_disk_executable
from hatch_connect.bundle.manifest import MANIFEST_NAME, Manifest
from hatch_connect.bundle.names import SUFFIX, shown, unsafe
from hatch_connect.bundle.packing import DEFAULT_EPOCH, pack
from hatch_connect.errors import BundleError

if TYPE_CHECKING:
    from pathlib import Path

    from hatch_connect.bundle.parts import ListedFile
    from hatch_connect.events import Report

_SHOWN = 10


def read_manifest(path: Path) -> Manifest:
    """Read the manifest of a folder, which `path` is or lies in; nothing is packed."""
    return Manifest.from_json(_read((path if path.is_dir() else path.parent) / MANIFEST_NAME))


def pack_prepared(path: Path, into: Path, report: Report) -> Path:
    """Pack the listed files and the manifest as it is; give the archive's path in `into`.

    `path` is the folder or its `manifest.json`. Every listed file must be there; that one was
    edited since is said when the archive is checked.
    """
    root = (path if path.is_dir() else path.parent).resolve()
    text = _read(root / MANIFEST_NAME)
    listed = [file for file in Manifest.from_json(text).files if file.path != MANIFEST_NAME]
    found = [_find(root, file) for file in listed]
    _refuse([problem for problem in found if isinstance(problem, str)], root)
    files = sorted(
        (file for file in found if isinstance(file, ContentFile)), key=lambda file: file.path
    )
    identity = hashlib.sha256(text).hexdigest()[:12]
    target = into / f"{root.name or 'content'}-{identity}{SUFFIX}"
    selection = Selection(files=tuple(files))
    pack(target, selection, lambda _: text, epoch=DEFAULT_EPOCH, report=report)
    return target


def _read(manifest: Path) -> bytes:
    try:
        return manifest.read_bytes()
    except OSError as error:
        raise BundleError(
            f"{manifest} cannot be read: {error.strerror}.",
            hint=f"Name a bundle ({SUFFIX}, .tar.gz), a manifest.json, or a folder that holds one.",
        ) from error


def _find(root: Path, listed: ListedFile) -> ContentFile | str:
    if why := unsafe(listed.path):
        return f"{shown(listed.path)}: {why}"
    try:
        source = root.joinpath(*listed.path.split("/")).resolve(strict=True)
    except (OSError, RuntimeError):
        return f"{shown(listed.path)} is not there"
    if not source.is_relative_to(root):
        return f"{shown(listed.path)} is a link that leaves the folder"
    if not source.is_file():
        return f"{shown(listed.path)} is not a file"
    size, executable = source.stat().st_size, on_disk_executable(source)
    return ContentFile(path=listed.path, source=source, size=size, executable=executable)


def _refuse(problems: list[str], root: Path) -> None:
    if problems:
        lines = "\n".join(f"  - {line}" for line in problems[:_SHOWN])
        raise BundleError(
            f"{root / MANIFEST_NAME} lists what its folder does not hold "
            f"({len(problems)} problem(s)):\n{lines}",
            hint="Put the files back, or write the manifest again with the program that wrote it.",
        )
