"""Reads requirements files: shipped as they are written, or reduced like any other lock.

`pip-requirements-parser` parses lines and options; requirements themselves are parsed with
`packaging`, because the parser dates from 2022 and understands some of them differently.
Above 500 lines, because lines, their problems and their reduction belong to one format.
"""

from __future__ import annotations

import codecs
import hashlib
import re
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

from packaging.utils import canonicalize_name

from hatch_connect.errors import LockError
from hatch_connect.locks.compatibility import (
    file_name,
    incompatible,
    index_note,
    is_commit,
    is_compatible,
    parted,
    url_problem,
    written_indexes,
)
from hatch_connect.locks.lock import PUBLIC_INDEX, REQUIREMENTS, LocalPackage, Lock, Omitted, Pin
from hatch_connect.locks.path_dependencies import (
    declared_local,
    is_there,
    local_path,
    metadata_in,
    resolved,
    unsatisfied,
)
from hatch_connect.locks.problems import unknown_names
from hatch_connect.project.metadata import parse_requirement
from hatch_connect.project.reading import encoding_of
from hatch_connect.secret import excerpt, has_credentials, listed, without_variables

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from packaging.requirements import Requirement

    from hatch_connect.locks.lock import LockFile
    from hatch_connect.project.project import Project, ProjectConfig
    from hatch_connect.project.target import Target

# The syntax is pip's: https://pip.pypa.io/en/stable/reference/requirements-file-format/
_VARIABLE = re.compile(r"\$\{[A-Z0-9_]+\}")

_HASH = re.compile(r"\s--hash[= ]\S+")
_PER_LINE_OPTION = re.compile(r"\s--?(config-settings?|C|global-option)\b.*")
_EDITABLE = re.compile(r"(-e|--editable)[\s=]\s*")
# Paths begin with ./, ../, /, ~ or a drive, or are `.` or `..`.
_LOCAL = re.compile(r"(\.{0,2}[/\\]|~|[A-Za-z]:[/\\]|\.{1,2}$)|file:")
_FILE = re.compile(r"[^\s;@=<>]+\.(whl|tar\.gz|zip)(?=\s|\[|$)")
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_EXTRAS = re.compile(r"\[([^\]]*)\]$")
_VIA = re.compile(r"#\s+via\b\s*(.*)")  # comments of pip-compile and uv
_CODING = re.compile(rb"coding[:=]\s*([-\w.]+)")  # as in PEP 263
# UTF-32 before UTF-16, whose little-endian mark it begins with
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
    """One requirement, at `place`; `asking` is who asks for it, if a comment says so.

    `requirement` is None if no name is known; `local` is what lies on this machine. `text` is
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
        return canonicalize_name(self.requirement.name) if self.requirement else None

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
        """Who asks for it, else its file and line."""
        return ", ".join(self.asking) or self.place


def read_requirements(found: LockFile, config: ProjectConfig, target: Target) -> Lock:
    """Check a requirements file and its includes; raises LockError with all problems."""
    reading = Reading(project=config.project)
    reading.read(found.path)
    reduction = Reduction(config=config, target=target)
    wanted = [line for line in reading.lines if reduction.wants(line)]
    problems = [*reading.problems, *_line_problems(wanted, target)]
    if config.hashes or not config.compile_requirements:
        problems += _unhashed(wanted, asked=config.hashes)
    make = _reduced if config.compile_requirements else _as_written
    lock, more = make(found, reading, reduction)
    problems += more
    local = (*declared_local(config, target), *lock.local)
    stale = unsatisfied(config, lock.pins, target, local=local, called=found.path.name)
    if stale and _is_choice(config):
        lock, stale = replace(lock, notes=(*lock.notes, *stale)), []
    messages = []
    if problems:
        ordered = sorted(dict.fromkeys(problems), key=_by_place)
        messages.append(listed(f"{found.path} cannot be used on Connect:", ordered))
    if unknown := list(_unknown(config)):
        messages.append(listed(f"{config.path} has not all that is asked for:", unknown))
    if stale:
        messages.append(
            listed(f"{found.path} is stale: it is not what {config.path} asks for.", stale)
        )
    if messages:
        remedies = list(_remedies(problems, unknown, stale))
        exact = config.compile_requirements or config.strict or found.hatch
        if stale and found.path.parent == config.root and not exact:
            remedies.append(
                "If it was written by hand and is to ship as it is, name it in"
                f' [tool.hatch-connect]: requirements-file = "{found.path.name}"'
            )
        raise LockError("\n".join(messages), hint="\n".join(remedies))
    return lock


def _is_choice(config: ProjectConfig) -> bool:
    """Return whether a user named this file: it may deliberately list less than the project."""
    named = config.lock or config.requirements_file
    return bool(named) and not (config.compile_requirements or config.strict)


def _remedies(problems: list[str], unknown: list[str], stale: list[str]) -> Iterator[str]:
    if problems:
        yield "Correct these lines, or lock the project (uv lock) and let the lock be used."
    if unknown:
        yield "Correct `extras` and `groups`."
    if stale:
        yield "Compile it again, or correct the project's dependencies."


def _as_written(found: LockFile, reading: Reading, reduction: Reduction) -> tuple[Lock, list[str]]:
    """Return the lock for a file that ships as it is: all of it must work on the server."""
    config = reduction.config
    unpinned = list(_unpinned(line for line in reading.lines if reduction.wants(line)))
    problems = [
        *(unpinned if config.strict else ()),
        *_local_problems(reading),
        *reduction.conflicts(reading.lines),
    ]
    notes = list(_variables(reading))
    if config.extras or config.groups:
        notes.append(
            f"{found.path.name} ships as it is: `extras` and `groups` choose nothing from it."
        )
    lock = Lock(
        path=found.path,
        format=REQUIREMENTS,
        pins=tuple(_pin(line) for line in reading.lines if not line.constraint and line.name),
        sha256=hashlib.sha256(found.path.read_bytes()).hexdigest(),
        verbatim=as_shipped(found.path),
        files=tuple(reading.files),
        notes=tuple(notes) if config.strict else (*notes, *unpinned),
    )
    return lock, problems


def _reduced(found: LockFile, reading: Reading, reduction: Reduction) -> tuple[Lock, list[str]]:
    """Reduce the file and its includes to pins for the target."""
    config = reduction.config
    checked = (line for line in reading.lines if line.local is None and reduction.wants(line))
    problems = list(_unpinned(line for line in checked if not reduction.is_project(line)))
    pins = reduction.reduce(reading.lines)
    problems += reduction.problems
    digest = hashlib.sha256()
    for file in reading.files:
        digest.update(file.read_bytes())
    indexes = _indexes(reading)
    notes = dict.fromkeys(filter(None, map(index_note, indexes)))
    lock = Lock(
        path=found.path,
        format=REQUIREMENTS,
        pins=pins,
        sha256=digest.hexdigest(),
        files=tuple(reading.files),
        notes=(*notes, *_variables(reading)),
        local=tuple(reduction.local.values()),
        omitted=tuple(reduction.omitted),
        indexes=written_indexes(indexes) if config.keep_indexes else (),
    )
    return lock, problems


def _indexes(reading: Reading) -> tuple[str, ...]:
    """Return the indexes, the one that replaces PyPI first."""
    kinds = {kind for _, kind, _ in reading.indexes}
    ordered = sorted(reading.indexes, key=lambda each: each[1] != "index_url")
    urls = tuple(value for _, kind, value in ordered if kind != "find_links")
    return urls if "index_url" in kinds else (PUBLIC_INDEX, *urls)


def _pin(line: Line) -> Pin:
    return Pin(
        name=line.name or "",
        requirement=line.text,
        version=line.version,
        hashes=line.hashes,
        because=line.because,
    )


def _line_problems(lines: list[Line], target: Target) -> Iterator[str]:
    """Return what neither a list as written nor a reduced one could hold."""
    tags = frozenset(target.tags())
    for line in lines:
        if line.url is None or line.local is not None:
            continue
        shown = f"{line.place}: `{excerpt(line.text)}`"
        wheel = file_name(line.url)
        if problem := url_problem(shown, without_variables(line.url)):
            yield problem
        elif wheel.endswith(".whl") and not is_compatible([wheel], tags):
            yield incompatible(f"{line.place}: {wheel}", [wheel], target)


def _local_problems(reading: Reading) -> Iterator[str]:
    for line in reading.lines:
        shown = excerpt(line.text)
        if line.editable:
            yield f"{line.place}: `-e {shown}` is editable, which the server cannot install."
        elif line.local is not None and line.text.partition("@")[2].strip().startswith("file:"):
            place = excerpt(line.text.partition("@")[2].strip())
            yield f"{line.place}: it comes from a place that only this machine can reach: {place}."
        elif line.local is not None:
            yield f"{line.place}: `{shown}` is a path of this machine."
    for place, _, value in reading.indexes:
        if "://" not in value or value.startswith("file:"):
            yield f"{place}: {excerpt(value)} is a folder of this machine."


def _variables(reading: Reading) -> Iterator[str]:
    """Return which variables pip is to fill in, on the server."""
    texts = [(line.place, line.text) for line in reading.lines]
    for place, text in (*texts, *((place, value) for place, _, value in reading.indexes)):
        for name in dict.fromkeys(_VARIABLE.findall(text)):
            yield f"{place}: {name} must be set where the server installs the packages."


def _unhashed(lines: list[Line], *, asked: bool) -> Iterator[str]:
    """Return a sentence for each line without a hash, if pip requires all to have one."""
    wanted = [line for line in lines if not line.constraint]
    if not asked and not any(line.hashes for line in lines):
        return
    reason = (
        "`hashes = true` needs one for each" if asked else "other lines have: pip takes all or none"
    )
    for line in wanted:
        if not line.hashes:
            yield f"{line.place}: `{excerpt(line.text)}` has no hash, and {reason}."


def _unpinned(lines: Iterator[Line] | list[Line]) -> Iterator[str]:
    """Return a sentence for each line that leaves the version open."""
    every = list(lines)
    fixed = {line.name for line in every if line.constraint and line.version}
    for line in every:
        if line.constraint or line.name in fixed:
            continue
        if reason := _open(line):
            yield f"{line.place}: `{excerpt(line.text)}` {reason}."


def _open(line: Line) -> str | None:
    """Return how a line leaves open what is installed, or None."""
    if line.url is None:
        return None if line.version else "is not pinned to one version"
    if line.requirement is None:
        return "names no package, only a URL"
    parts = parted(line.url)
    if "+" not in parts.scheme:
        return None
    named = parts.path.rpartition("@")
    if named[1] and is_commit(named[2]):
        return None
    return "names no commit, and a branch or tag may move"


def _unknown(config: ProjectConfig) -> Iterator[str]:
    extras = {canonicalize_name(name) for name, _ in config.metadata.extras}
    groups = {canonicalize_name(name) for name, _ in config.metadata.groups}
    return unknown_names(config, extras, groups)


def _by_place(problem: str) -> tuple[str, int]:
    file, _, rest = problem.partition(":")
    number = re.match(r"\d+", rest)
    return file, int(number[0]) if number else 0


@dataclass(slots=True, kw_only=True)
class Reading:
    """Reads one file and those that it includes; places are named from the project's root.

    `indexes` are (option, URL or folder) as written.
    """

    project: Project
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
        root = self.project.root
        shown = path.relative_to(root) if path.is_relative_to(root) else path
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
        elif not path.is_relative_to(self.project.root):
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
        requirement = parse_requirement(plain) or _named(plain, local, self.project)
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
        requirement = parse_requirement(text)
        place = requirement.url if requirement else text.partition(" ;")[0].strip()
        if place is None or (requirement and not place.startswith("file:")):
            return None
        place = _EXTRAS.sub("", place)
        if _LOCAL.match(place) or (not _URL.match(place) and _FILE.match(place)):
            return local_path(place, self.project.root)
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
    """Parse one file; only this function uses the parser, which cannot read from memory."""
    from pip_requirements_parser import PipError, RequirementsFile

    with TemporaryDirectory(prefix="hatch-connect-") as folder:
        copy = Path(folder) / path.name
        # With the mark, the parser reads UTF-8 whatever the locale's encoding is.
        copy.write_bytes(codecs.BOM_UTF8 + text.encode())
        try:
            return RequirementsFile.from_file(str(copy), include_nested=False)
        except (PipError, LookupError, ValueError, OSError) as error:
            reason = excerpt(str(error)).replace(str(copy), str(path))
            raise LockError(f"{path} cannot be read: {reason}.", hint="Correct it.") from None


def _unreadable(path: Path, reason: str) -> LockError:
    return LockError(f"{path} cannot be read: {reason}.", hint=f"Save {path.name} as UTF-8.")


def _asking(text: str) -> dict[int, tuple[str, ...]]:
    """Return who asks for the requirement that begins at a line, from the tool's comments."""
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
    """Resolve `..` in the text of a path, without following links."""
    parts: list[str] = []
    for part in path.parts:
        if part == ".." and parts:
            parts.pop()
        else:
            parts.append(part)
    return parts


def _named(text: str, local: Path | None, project: Project) -> Requirement | None:
    """Return the requirement of a URL or path, if its name is known without building it."""
    place, _, marker = text.partition(" ;")
    extras = _EXTRAS.search(place.strip())
    place = _EXTRAS.sub("", place.strip())
    name = (_name_of_folder(local, project) if local else "") or _name_of_file(place)
    if not name:
        return None
    url = local.as_uri() if local else place
    return parse_requirement(
        f"{name}{extras[0] if extras else ''} @ {url}{f' ; {marker}' * bool(marker)}"
    )


def _name_of_folder(folder: Path, project: Project) -> str:
    metadata = metadata_in(project, folder)
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


@dataclass(slots=True, kw_only=True)
class Reduction:
    """Reduces lines to pins, packages that go into the bundle, and omitted packages."""

    config: ProjectConfig
    target: Target
    problems: list[str] = field(default_factory=list)
    local: dict[str, LocalPackage] = field(default_factory=dict)
    omitted: list[Omitted] = field(default_factory=list)

    def reduce(self, lines: list[Line]) -> tuple[Pin, ...]:
        """Return the pins, sorted; those of one name and place are merged."""
        self.problems += self.conflicts(lines)
        fixed = {
            line.name: line for line in lines if line.constraint and line.version and line.name
        }
        pins: dict[str, Pin] = {}
        for line in lines:
            if line.constraint:
                continue
            pin = self._of(line, fixed)
            if pin is not None and pin.requirement not in pins:
                pins[pin.requirement] = pin
        return tuple(sorted(pins.values(), key=lambda pin: pin.requirement))

    def conflicts(self, lines: list[Line]) -> Iterator[str]:
        """Return a sentence for each line that contradicts one before it on the target."""
        first: dict[str, Line] = {}
        for line in sorted(lines, key=lambda each: not each.constraint):
            if line.name is None or line.local is not None or not self._holds(line, all):
                continue
            if self.config.compile_requirements and self.is_project(line):
                continue
            before = first.setdefault(line.name, line)
            if not _agree(before, line):
                first_one = f"`{excerpt(before.text)}` of {before.place}"
                yield f"{line.place}: `{excerpt(line.text)}` contradicts {first_one}."

    def wants(self, line: Line) -> bool:
        """Return whether a line counts for the target, or if markers are kept, for any."""
        return self.config.keep_markers or self._holds(line, any)

    def is_project(self, line: Line) -> bool:
        """Return whether a line is the project itself, which ships as files."""
        if line.local is not None and resolved(line.local) == self.config.root.resolve():
            return True
        return line.name == canonicalize_name(self.config.project_name)

    def _of(self, line: Line, fixed: dict[str, Line]) -> Pin | None:
        if self.is_project(line):
            self._omit(line, "the project itself")
            return None
        if not self.wants(line):
            marker = line.requirement.marker if line.requirement else ""
            self._omit(line, f"it is wanted only where {marker}")
            return None
        if line.local is not None:
            self._local(line, line.local)
            return None
        if line.requirement is None or line.name is None:
            return None
        requirement = line.requirement
        extras = f"[{','.join(sorted(requirement.extras))}]" if requirement.extras else ""
        source = (
            fixed.get(line.name, line) if requirement.url is None and not line.version else line
        )
        exact = f" @ {requirement.url}" if requirement.url else _exact(source)
        # A marker that holds for some patch releases only stays, since the server's is not known.
        keeps = requirement.marker and (self.config.keep_markers or not self._holds(line, all))
        marker = f" ; {requirement.marker}" if keeps else ""
        return Pin(
            name=line.name,
            requirement=f"{line.name}{extras}{exact}{marker}",
            version=source.version,
            hashes=line.hashes if self.config.hashes else (),
            because=line.because,
        )

    def _local(self, line: Line, path: Path) -> None:
        name = line.name
        if not is_there(path):
            self.problems.append(
                f"{line.place}: there is no {excerpt(str(path))}, which it is built from."
            )
        elif name is None:
            self.problems.append(
                f"{line.place}: `{excerpt(line.text)}` has no name in a [project] table."
            )
        else:
            self.local[name] = LocalPackage(name=name, path=path, because=line.because)

    def _omit(self, line: Line, because: str) -> None:
        name = line.name or canonicalize_name(self.config.project_name)
        self.omitted.append(Omitted(name=name, version=line.version, because=because))

    def _holds(self, line: Line, how: Callable[[Iterable[bool]], bool]) -> bool:
        marker = line.requirement.marker if line.requirement else None
        if marker is None:
            return True
        return how(
            marker.evaluate({**environment, "extra": ""})
            for environment in self.target.environments()
        )


def _exact(line: Line) -> str:
    return str(line.requirement.specifier) if line.requirement else ""


def _agree(before: Line, line: Line) -> bool:
    if before.requirement is None or line.requirement is None or before is line:
        return True
    if before.url or line.url:
        return before.url == line.url or before.constraint
    version = before.version or line.version
    if version is None:
        return True
    both = before.requirement.specifier & line.requirement.specifier
    return both.contains(version, prereleases=True)
