"""A wheel, unpacked as the content of a bundle."""

from __future__ import annotations

import re
import shutil
import stat
import zipfile
from typing import TYPE_CHECKING

from hatch_connect.bundle.archive import shown, unsafe
from hatch_connect.bundle.selector import Candidate, LeftOut, SelectedFiles
from hatch_connect.errors import BuildError, BundleError

if TYPE_CHECKING:
    from pathlib import Path

_METADATA = "METADATA"
# The only files of .dist-info that programs read through `importlib.metadata`. The others name the
# build back end and its version, with which the bundle would change.
_KEPT = frozenset({_METADATA, "entry_points.txt"})
# The fields of core metadata 2.4 in a fixed order, without those that depend on the back end
# (Dynamic) or name files that do not ship (License-File).
_METADATA_VERSION = "Metadata-Version: 2.4"
_FIELDS = (
    *("name", "version", "summary", "home-page", "download-url", "project-url"),
    *("author", "author-email", "maintainer", "maintainer-email", "license"),
    *("license-expression", "keywords", "classifier", "platform", "requires-python"),
    *("requires-dist", "provides-extra", "description-content-type"),
)
# A requirement on a folder has a URL of the machine that built the wheel.
_FOLDER = re.compile(rb"^(Requires-Dist:[^@;]*?)\s*@\s*file:[^\s;]*")
_LIBRARIES = frozenset({"purelib", "platlib"})


def unpack_wheel(wheel: Path, folder: Path) -> SelectedFiles:
    """Unpack into `folder` what ships of a wheel."""
    _, version, *_ = wheel.name.split("-")
    files, left_out = [], []
    try:
        with zipfile.ZipFile(wheel) as archive:
            for member in archive.infolist():
                if member.is_dir():
                    continue
                path = _shipped_as(member.filename)
                if path is None:
                    left_out.append(
                        LeftOut(path=member.filename, rule="a part of the wheel for installers")
                    )
                    continue
                files.append(
                    Candidate(
                        path=path,
                        source=str(_extract(archive, member, path, folder)),
                        origin=None,
                        executable=bool(member.external_attr >> 16 & stat.S_IXUSR),
                    )
                )
    except zipfile.BadZipFile as error:
        raise BuildError(f"The build produced a broken wheel, {wheel.name}: {error}.") from error
    return SelectedFiles(files=tuple(files), left_out=tuple(left_out), version=version)


def holds_modules(unpacked: SelectedFiles) -> bool:
    """Return whether a wheel holds anything but metadata."""
    return any(not file.path.partition("/")[0].endswith(".dist-info") for file in unpacked.files)


def _shipped_as(path: str) -> str | None:
    top, _, rest = path.partition("/")
    if rest and top.endswith(".dist-info"):
        return path if rest in _KEPT else None
    if rest and top.endswith(".data"):
        scheme, _, inside = rest.partition("/")
        return inside if scheme in _LIBRARIES else None
    return path


def _extract(archive: zipfile.ZipFile, member: zipfile.ZipInfo, path: str, folder: Path) -> Path:
    if why := unsafe(path):
        raise BundleError(f"The wheel contains {shown(path)}: {why}.")
    target = folder.joinpath(*path.split("/"))
    target.parent.mkdir(parents=True, exist_ok=True)
    if path.endswith(f".dist-info/{_METADATA}"):
        target.write_bytes(_canonical_metadata(archive.read(member)))
        return target
    with archive.open(member) as content, target.open("wb") as file:
        shutil.copyfileobj(content, file)
    return target


def _canonical_metadata(text: bytes) -> bytes:
    """Return core metadata in one order and format version, whichever back end wrote it."""
    header, blank, description = text.replace(b"\r\n", b"\n").partition(b"\n\n")
    fields: list[tuple[str, bytes]] = []
    for line in header.rstrip(b"\n").split(b"\n"):
        if line[:1].isspace() and fields:
            name, value = fields.pop()
            fields.append((name, value + b"\n" + line))
        else:
            fields.append((line.partition(b":")[0].decode("ascii", "replace").lower(), line))
    known = [(name, _FOLDER.sub(rb"\1", line)) for name, line in fields if name in _FIELDS]
    known.sort(key=lambda field: _FIELDS.index(field[0]))
    lines = [_METADATA_VERSION.encode(), *(line for _, line in known)]
    return b"\n".join(lines) + (blank + description or b"\n")
