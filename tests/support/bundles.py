"""Archives and projects to build bundles from."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from hatch_connect.bundle.archive import ContentFile

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from hatch_connect.events import Event


def md5(text: bytes) -> str:
    return hashlib.md5(text, usedforsecurity=False).hexdigest()


def write_files(root: Path, files: Mapping[str, str | bytes]) -> Path:
    """Write files below a folder, which is made."""
    root.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return root


def in_memory(files: Mapping[str, bytes]) -> tuple[ContentFile, ...]:
    """Return files that are nowhere on disk."""
    return tuple(
        ContentFile(path=path, source=text, size=len(text)) for path, text in sorted(files.items())
    )


def manifest_of(files: Mapping[str, bytes], **more: object) -> dict[str, object]:
    """Give the least manifest that lists these files."""
    return {
        "version": 1,
        "metadata": {"appmode": "static", "entrypoint": "index.html"},
        **more,
        "files": {path: {"checksum": md5(text)} for path, text in files.items()},
    }


def member(name: str, **attributes: object) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    for attribute, value in attributes.items():
        setattr(info, attribute, value)
    return info


@dataclass(slots=True, kw_only=True)
class Archive:
    """An archive as somebody else might make it, hostile ones too."""

    members: list[tuple[tarfile.TarInfo, bytes]] = field(default_factory=list)

    @classmethod
    def of(cls, files: Mapping[str, bytes], *, top: str = "") -> Archive:
        """Hold these files and a right manifest."""
        archive = cls()
        archive.add(f"{top}manifest.json", json.dumps(manifest_of(files)).encode())
        for name, text in files.items():
            archive.add(f"{top}{name}", text)
        return archive

    def add(self, name: str, text: bytes = b"", **attributes: object) -> Archive:
        self.members.append((member(name, size=len(text), **attributes), text))
        return self

    def write(self, path: Path) -> Path:
        with gzip.open(path, "wb") as zipped, tarfile.open(fileobj=zipped, mode="w") as archive:
            for info, text in self.members:
                archive.addfile(info, io.BytesIO(text))
        return path


def members_of(path: Path) -> dict[str, bytes]:
    """Read an archive: every file by its name."""
    with tarfile.open(path) as archive:
        return {
            info.name: content.read()
            for info in archive
            if (content := archive.extractfile(info)) is not None
        }


@dataclass(slots=True)
class Heard:
    """A report that remembers."""

    events: list[Event] = field(default_factory=list)

    def __call__(self, event: Event) -> None:
        self.events.append(event)

    @property
    def text(self) -> str:
        return "\n".join(getattr(event, "text", "") for event in self.events)
