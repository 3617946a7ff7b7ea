"""Reads requirements files. They are shipped as they are written, after these checks.

`pip-requirements-parser` knows the syntax of lines and options; what a line means is decided
with `packaging`, because the parser is of 2022 and has its traps.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from hatch_connect.errors import LockError
from hatch_connect.project.locks.fit import url_problem
from hatch_connect.project.locks.order import REQUIREMENTS
from hatch_connect.project.pins import Lock, Pin, listed, normalized
from hatch_connect.project.rules import has_credentials, without_credentials

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from packaging.requirements import Requirement

    from hatch_connect.project.config import ProjectConfig
    from hatch_connect.project.locks.order import LockFile

_HASH = re.compile(r"\s--hash[= ]\S+")
_PER_LINE_OPTION = re.compile(r"\s--?(config-settings?|C|global-option)\b.*")
_COMMIT = re.compile(r"[0-9a-fA-F]{7,64}")
_LOCAL = re.compile(r"(\.{0,2}[/\\]|~|[A-Za-z]:[/\\]|\.{1,2}$)|file:")
_PLACES = ("index_url", "extra_index_urls", "find_links")


def read_requirements(found: LockFile, config: ProjectConfig) -> Lock:
    """Check a requirements file and its includes; raises LockError with all problems."""
    reading = _Reading(root=config.root)
    reading.read(found.path, constraints=False, via=())
    unpinned = reading.unpinned()
    if config.strict:
        reading.problems += unpinned
    if config.hashes:
        reading.problems += reading.unhashed()
    if config.extras or config.groups:
        reading.notes.append(
            f"{found.path.name} ships as it is: `extras` and `groups` choose nothing from it."
        )
    if reading.problems:
        problems = sorted(reading.problems, key=_by_place)
        raise LockError(
            listed(f"{found.path} cannot be used on Connect:", problems),
            hint="Correct these lines, or lock the project (uv lock) and let the lock be used.",
        )
    data = found.path.read_bytes()
    return Lock(
        path=found.path,
        format=REQUIREMENTS,
        pins=tuple(line.pin() for line in reading.lines if not line.constraint and line.name),
        sha256=hashlib.sha256(data).hexdigest(),
        verbatim=data,
        markers_kept=True,
        files=tuple(reading.files),
        notes=tuple(reading.notes) if config.strict else (*reading.notes, *unpinned),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Line:
    """One requirement; `requirement` is None for a URL without a name."""

    place: str
    text: str
    hashes: tuple[str, ...]
    requirement: Requirement | None
    constraint: bool

    @property
    def name(self) -> str | None:
        return normalized(self.requirement.name) if self.requirement else None

    @property
    def url(self) -> str | None:
        return self.requirement.url if self.requirement else self.text

    @property
    def version(self) -> str | None:
        """The one version that the line allows, if it does."""
        specifiers = list(self.requirement.specifier) if self.requirement else []
        if len(specifiers) == 1 and specifiers[0].operator in {"==", "==="}:
            version = specifiers[0].version
            return None if version.endswith(".*") else version
        return None

    def pin(self) -> Pin:
        return Pin(
            name=self.name or "",
            requirement=self.text,
            version=self.version,
            hashes=self.hashes,
            because=self.place,
        )


@dataclass(slots=True, kw_only=True)
class _Reading:
    """Reads one file and those that it includes; places are named from the project's root."""

    root: Path
    lines: list[_Line] = field(default_factory=list)
    files: list[Path] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def read(self, path: Path, *, constraints: bool, via: tuple[Path, ...]) -> None:
        if path in self.files:
            return
        self.files.append(path)
        parsed = _parse(path)
        for option in parsed.options:
            place = self._place(path, option.requirement_line.line_number)
            self._option(place, option.options, path, constraints=constraints, via=(*via, path))
        for line in parsed.invalid_lines:
            self._no_requirement(self._place(path, line.line_number), line.line)
        for entry in parsed.requirements:
            place = self._place(path, entry.requirement_line.line_number)
            self._entry(place, entry, constraints=constraints)

    def _place(self, path: Path, number: int | None) -> str:
        shown = path.relative_to(self.root) if path.is_relative_to(self.root) else path
        return f"{shown.as_posix()}:{number}"

    def _option(
        self,
        place: str,
        options: dict[str, Any],
        path: Path,
        *,
        constraints: bool,
        via: tuple[Path, ...],
    ) -> None:
        for included in options.get("requirements", ()):
            self._include(place, path.parent / included, constraints=constraints, via=via)
        for included in options.get("constraints", ()):
            self._include(place, path.parent / included, constraints=True, via=via)
        for value in _values(options):
            if has_credentials(value):
                shown = without_credentials(value)
                self.problems.append(f"{place}: the URL {shown} has credentials in it.")
            elif "://" not in value or value.startswith("file:"):
                self.problems.append(f"{place}: {value} is a folder of this machine.")

    def _include(self, place: str, path: Path, *, constraints: bool, via: tuple[Path, ...]) -> None:
        path = Path(*_without_dots(path))
        if path in via:
            self.problems.append(f"{place}: {path.name} includes itself.")
        elif not path.is_file():
            self.problems.append(f"{place}: there is no {path}, which it includes.")
        elif not path.is_relative_to(self.root):
            self.problems.append(f"{place}: {path} is outside of the project and is not shipped.")
        else:
            self.read(path, constraints=constraints, via=via)

    def _entry(self, place: str, entry: Any, *, constraints: bool) -> None:  # noqa: ANN401 -- the parser has no annotations
        text = _PER_LINE_OPTION.sub("", _HASH.sub("", entry.requirement_line.line)).strip()
        shown = without_credentials(text)
        if entry.is_editable:
            self.problems.append(
                f"{place}: `{shown}` is editable, which the server cannot install."
            )
            return
        requirement = _requirement(text)
        if requirement is None and not re.match(r"[A-Za-z][A-Za-z0-9+.-]*://", text):
            self._no_requirement(place, text)
            return
        line = _Line(
            place=place,
            text=text,
            hashes=tuple(entry.hash_options),
            requirement=requirement,
            constraint=constraints,
        )
        if line.url and (problem := url_problem(f"{place}: `{shown}`", line.url)):
            self.problems.append(problem)
        self.lines.append(line)

    def _no_requirement(self, place: str, text: str) -> None:
        said = "is a path of this machine" if _LOCAL.match(text) else "is no requirement"
        self.problems.append(f"{place}: `{without_credentials(text)}` {said}.")

    def unhashed(self) -> list[str]:
        """Return a sentence for each line without a hash."""
        return [
            f"{line.place}: `{line.text}` has no hash, and `hashes = true` needs one for each."
            for line in self.lines
            if not line.constraint and not line.hashes
        ]

    def unpinned(self) -> list[str]:
        """Return a sentence for each line that leaves the version open."""
        fixed = {line.name for line in self.lines if line.constraint and line.version}
        return [
            f"{line.place}: `{line.text}` {reason}."
            for line in self.lines
            if not line.constraint and line.name not in fixed
            if (reason := _open(line)) is not None
        ]


def _parse(path: Path) -> Any:  # noqa: ANN401 -- the parser has no annotations
    """Parse one file; the only place that knows the parser."""
    from pip_requirements_parser import PipError, RequirementsFile

    try:
        return RequirementsFile.from_file(str(path), include_nested=False)
    except (PipError, LookupError, ValueError, OSError) as error:
        reason = without_credentials(str(error))
        raise LockError(f"{path} cannot be read: {reason}.", hint="Write it as UTF-8.") from None


def _values(options: dict[str, Any]) -> Iterator[str]:
    for key in _PLACES:
        value = options.get(key) or ()
        yield from (value,) if isinstance(value, str) else value


def _without_dots(path: Path) -> Iterable[str]:
    """Resolve `..` by its text: links are followed nowhere."""
    parts: list[str] = []
    for part in path.parts:
        if part == ".." and parts:
            parts.pop()
        else:
            parts.append(part)
    return parts


def _by_place(problem: str) -> tuple[str, int]:
    file, _, rest = problem.partition(":")
    number = re.match(r"\d+", rest)
    return file, int(number[0]) if number else 0


def _requirement(text: str) -> Requirement | None:
    from packaging.requirements import InvalidRequirement, Requirement

    try:
        return Requirement(text)
    except InvalidRequirement:
        return None


def _open(line: _Line) -> str | None:
    """Say in which way a line leaves open what is installed, or None."""
    if line.url is None:
        return None if line.version else "is not pinned to one version"
    if line.requirement is None:
        return "names no package, only a URL"
    parts = urlsplit(line.url)
    if "+" not in parts.scheme:
        return None
    named = parts.path.rpartition("@")
    if named[1] and _COMMIT.fullmatch(named[2]):
        return None
    return "names no commit, and a branch or tag may move"
