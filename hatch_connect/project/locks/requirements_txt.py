"""The lines of requirements files and of those that they include.

`pip-requirements-parser` knows the syntax of lines and options; what a line means is decided
with `packaging`, because the parser is of 2022 and has its traps.
"""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

from hatch_connect.errors import LockError
from hatch_connect.project.locks.fit import file_name, parted
from hatch_connect.project.locks.neighbours import is_there, local_path, metadata_in
from hatch_connect.project.metadata import normalized
from hatch_connect.project.reading import encoding_of
from hatch_connect.project.settings import excerpt, has_credentials, without_variables

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from packaging.requirements import Requirement

_HASH = re.compile(r"\s--hash[= ]\S+")
_PER_LINE_OPTION = re.compile(r"\s--?(config-settings?|C|global-option)\b.*")
_EDITABLE = re.compile(r"(-e|--editable)[\s=]\s*")
_LOCAL = re.compile(r"(\.{0,2}[/\\]|~|[A-Za-z]:[/\\]|\.{1,2}$)|file:")
_FILE = re.compile(r"[^\s;@=<>]+\.(whl|tar\.gz|zip)(?=\s|\[|$)")
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_EXTRAS = re.compile(r"\[([^\]]*)\]$")
_VIA = re.compile(r"#\s+via\b\s*(.*)")
_CODING = re.compile(rb"coding[:=]\s*([-\w.]+)")
_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_PLACES = ("index_url", "extra_index_urls", "find_links")


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One requirement, at `place`; `asking` is who asks for it, where a comment says so.

    `requirement` is None where no name is known; `local` is what lies on this machine. `text` is
    as written, without hashes; that of an editable one without the word for it.
    """

    place: str
    text: str
    hashes: tuple[str, ...]
    requirement: Requirement | None
    constraint: bool
    editable: bool = False
    local: Path | None = None
    asking: tuple[str, ...] = ()

    @property
    def name(self) -> str | None:
        """The normalized name."""
        return normalized(self.requirement.name) if self.requirement else None

    @property
    def url(self) -> str | None:
        """The URL that it is installed from; None for what comes from an index."""
        if self.requirement is None:
            return self.text
        return self.requirement.url

    @property
    def version(self) -> str | None:
        """The one version that the line allows, if it does."""
        specifiers = list(self.requirement.specifier) if self.requirement else []
        if len(specifiers) == 1 and specifiers[0].operator in {"==", "==="}:
            version = specifiers[0].version
            return None if version.endswith(".*") else version
        return None

    @property
    def because(self) -> str:
        """Who asks for it, else where it stands."""
        return ", ".join(self.asking) or self.place


@dataclass(slots=True, kw_only=True)
class Reading:
    """Reads one file and those that it includes; places are named from the project's root.

    `indexes` are (option, URL or folder) as written.
    """

    root: Path
    lines: list[Line] = field(default_factory=list)
    files: list[Path] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    indexes: list[tuple[str, str, str]] = field(default_factory=list)

    def read(self, path: Path, *, constraints: bool = False, via: tuple[Path, ...] = ()) -> None:
        """Read a file; `via` are those that include it."""
        if path in self.files:
            return
        self.files.append(path)
        text = text_of(path)
        parsed = _parse(path, text)
        asking = _asking(text)
        for option in parsed.options:
            place = self._place(path, option.requirement_line.line_number)
            self._option(place, option.options, constraints=constraints, via=(*via, path))
        for line in parsed.invalid_lines:
            self._add(self._place(path, line.line_number), line.line, constraint=constraints)
        for entry in parsed.requirements:
            number = entry.requirement_line.line_number
            self._add(
                self._place(path, number),
                entry.requirement_line.line,
                constraint=constraints,
                hashes=tuple(entry.hash_options),
                asking=asking.get(number, ()),
            )

    def _place(self, path: Path, number: int | None) -> str:
        shown = path.relative_to(self.root) if path.is_relative_to(self.root) else path
        return f"{shown.as_posix()}:{number}"

    def _option(
        self, place: str, options: dict[str, Any], *, constraints: bool, via: tuple[Path, ...]
    ) -> None:
        folder = via[-1].parent
        for included in options.get("requirements", ()):
            self._include(place, folder / included, constraints=constraints, via=via)
        for included in options.get("constraints", ()):
            self._include(place, folder / included, constraints=True, via=via)
        for kind, value in _values(options):
            if has_credentials(without_variables(value)):
                self.problems.append(f"{place}: the URL {excerpt(value)} has credentials in it.")
            else:
                self.indexes.append((place, kind, value))

    def _include(self, place: str, path: Path, *, constraints: bool, via: tuple[Path, ...]) -> None:
        path = Path(*_without_dots(path))
        if path in via:
            self.problems.append(f"{place}: {path.name} includes itself.")
        elif not is_there(path) or not path.is_file():
            self.problems.append(f"{place}: there is no {excerpt(str(path))}, which it includes.")
        elif not path.is_relative_to(self.root):
            self.problems.append(f"{place}: {path} is outside of the project and is not shipped.")
        else:
            self.read(path, constraints=constraints, via=via)

    def _add(
        self,
        place: str,
        written: str,
        *,
        constraint: bool,
        hashes: tuple[str, ...] = (),
        asking: tuple[str, ...] = (),
    ) -> None:
        text = _PER_LINE_OPTION.sub("", _HASH.sub("", written)).strip()
        plain = _EDITABLE.sub("", text, count=1) if _EDITABLE.match(text) else text
        local = self._local(plain)
        requirement = _requirement(plain) or _named(plain, local)
        if requirement is None and local is None and not _URL.match(plain):
            self.problems.append(f"{place}: `{excerpt(text)}` is no requirement.")
            return
        self.lines.append(
            Line(
                place=place,
                text=plain,
                hashes=hashes,
                requirement=requirement,
                constraint=constraint,
                editable=plain != text,
                local=local,
                asking=asking,
            )
        )

    def _local(self, text: str) -> Path | None:
        """Return the folder or file of this machine that a line names, as pip finds it."""
        requirement = _requirement(text)
        place = requirement.url if requirement else text.partition(" ;")[0].strip()
        if place is None or (requirement and not place.startswith("file:")):
            return None
        place = _EXTRAS.sub("", place)
        if _LOCAL.match(place) or (not _URL.match(place) and _FILE.match(place)):
            return local_path(place, self.root)
        return None


def text_of(path: Path) -> str:
    """Read a requirements file as pip does: by its byte-order mark, its coding line, or as UTF-8.

    Raises LockError for one that is in another encoding than it says.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise _unreadable(path, error.strerror or str(error)) from None
    marked = next((name for mark, name in _MARKS if data.startswith(mark)), None)
    beginning = (line for line in data.split(b"\n")[:2] if line.startswith(b"#"))
    said = next(filter(None, map(_CODING.search, beginning)), None)
    encoding = marked or (said[1].decode("ascii", "replace") if said else "utf-8")
    try:
        text = data.decode("utf-8-sig" if encoding == "utf-8" else encoding)
    except (LookupError, ValueError):
        kind = encoding_of(data) if encoding == "utf-8" else f"not the {encoding} that it says"
        raise _unreadable(path, f"it is {kind}") from None
    if "\0" in text:
        raise _unreadable(path, f"it is {encoding_of(data)}, or holds a NUL byte")
    return text


def as_shipped(path: Path) -> bytes:
    """Return what ships of a requirements file: the same bytes from any checkout, in UTF-8."""
    lines = text_of(path).replace("\r\n", "\n").encode().split(b"\n")
    for number, line in enumerate(lines[:2]):
        if line.startswith(b"#"):
            lines[number] = _CODING.sub(b"coding: utf-8", line)
    return b"\n".join(lines)


def _parse(path: Path, text: str) -> Any:  # noqa: ANN401 -- the parser has no annotations
    """Parse one file; the only place that knows the parser, which reads files only."""
    from pip_requirements_parser import PipError, RequirementsFile

    with TemporaryDirectory(prefix="hatch-connect-") as folder:
        copy = Path(folder) / path.name
        copy.write_bytes(codecs.BOM_UTF8 + text.encode())
        try:
            return RequirementsFile.from_file(str(copy), include_nested=False)
        except (PipError, LookupError, ValueError, OSError) as error:
            reason = excerpt(str(error)).replace(str(copy), str(path))
            raise LockError(f"{path} cannot be read: {reason}.", hint="Correct it.") from None


def _unreadable(path: Path, reason: str) -> LockError:
    return LockError(f"{path} cannot be read: {reason}.", hint=f"Save {path.name} as UTF-8.")


def _asking(text: str) -> dict[int, tuple[str, ...]]:
    """Return who asks for the requirement that begins at a line, by the comments of its tool."""
    found: dict[int, tuple[str, ...]] = {}
    at, continued, listing = 0, False, False
    for number, line in enumerate(map(str.strip, text.splitlines()), start=1):
        via = _VIA.search(line)
        if line and not line.startswith("#"):
            at = at if continued else number
            listing = False
        elif listing and line.startswith("#") and not via:
            found[at] = (*found.get(at, ()), line.lstrip("# "))
        continued = line.endswith("\\")
        if via and at:
            listing = not via[1]
            found[at] = tuple(name.strip() for name in via[1].split(",") if name.strip())
    return found


def _values(options: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for key in _PLACES:
        value = options.get(key) or ()
        for each in (value,) if isinstance(value, str) else value:
            yield key, each


def _without_dots(path: Path) -> Iterable[str]:
    """Resolve `..` by its text: links are followed nowhere."""
    parts: list[str] = []
    for part in path.parts:
        if part == ".." and parts:
            parts.pop()
        else:
            parts.append(part)
    return parts


def _requirement(text: str) -> Requirement | None:
    from packaging.requirements import InvalidRequirement, Requirement

    try:
        return Requirement(text)
    except InvalidRequirement:
        return None


def _named(text: str, local: Path | None) -> Requirement | None:
    """Make a requirement of a URL or path whose name can be told without building it."""
    place, _, marker = text.partition(" ;")
    extras = _EXTRAS.search(place.strip())
    place = _EXTRAS.sub("", place.strip())
    name = (_name_of_folder(local) if local else "") or _name_of_file(place)
    if not name:
        return None
    url = local.as_uri() if local else place
    return _requirement(
        f"{name}{extras[0] if extras else ''} @ {url}{f' ; {marker}' * bool(marker)}"
    )


def _name_of_folder(folder: Path) -> str:
    metadata = metadata_in(folder)
    return metadata.name if metadata else ""


def _name_of_file(place: str) -> str:
    """Return the name that a file name or `#egg=` gives."""
    from packaging.utils import (
        InvalidSdistFilename,
        InvalidWheelFilename,
        parse_sdist_filename,
        parse_wheel_filename,
    )

    egg = parse_qs(parted(place).fragment).get("egg", [""])[0]
    if egg:
        return egg.partition("[")[0]
    for parse in (parse_wheel_filename, parse_sdist_filename):
        try:
            return str(parse(file_name(place))[0])
        except (InvalidWheelFilename, InvalidSdistFilename):
            continue
    return ""
