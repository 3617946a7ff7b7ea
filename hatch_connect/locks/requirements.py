"""Reads requirements files: shipped as they are written, or reduced like any other lock.

`pip-requirements-parser` parses lines and options; requirements themselves are parsed with
`packaging`, because the parser dates from 2022 and understands some of them differently.
Above 500 lines, because lines, their problems and their reduction belong to one format.
"""

from __future__ import annotations

import codecs
import hashlib
import re
from dataclasses import dataclass, replace
from os.path import normpath
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

from packaging.utils import canonicalize_name

from hatch_connect.errors import LockError
from hatch_connect.locks.compatibility import (
    file_name,
    holds,
    incompatible,
    index_note,
    is_commit,
    is_compatible,
    parted,
    url_problem,
    wheels_at,
    written_indexes,
)
from hatch_connect.locks.declared_sources import (
    declared_local,
    is_file,
    is_there,
    local_path,
    metadata_in,
    resolved,
    unsatisfied,
)
from hatch_connect.locks.lock import PUBLIC_INDEX, LocalPackage, Lock, Omitted, Pin
from hatch_connect.locks.problems import Problems, raise_if_any, unknown_names
from hatch_connect.project.metadata import parse_requirement
from hatch_connect.project.reading import encoding_of
from hatch_connect.secret import excerpt, has_credentials, without_credentials, without_variables

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

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
class _Line:
    """One requirement, at `place`; `asking` is who asks for it, if a comment says so.

    `requirement` is None if no name is known; `local` is what lies on this machine. `text` is
    as written, without hashes; that of an editable one without the word for it.
    """

    place: str
    text: str
    requirement: Requirement | None
    constraint: bool
    editable: bool
    local: Path | None
    hashes: tuple[str, ...] = ()
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


@dataclass(frozen=True, slots=True, kw_only=True)
class _Index:
    """A URL or folder that packages come from, at `place`, as written; `option` names it."""

    place: str
    option: str
    value: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _File:
    path: Path
    data: bytes
    text: str

    def shipped(self) -> bytes:
        """Return what ships of it: the same bytes from any checkout, in UTF-8."""
        lines = self.text.replace("\r\n", "\n").encode().split(b"\n")
        for number, line in enumerate(lines[:2]):
            if line.startswith(b"#"):
                lines[number] = _CODING.sub(b"coding: utf-8", line)
        return b"\n".join(lines)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Written:
    """What a requirements file and those that it includes say; `files` begin with the first one."""

    files: tuple[_File, ...]
    lines: tuple[_Line, ...]
    indexes: tuple[_Index, ...]
    problems: tuple[str, ...]


def read_requirements(found: LockFile, config: ProjectConfig, target: Target) -> Lock:
    """Check a requirements file and its includes; raises LockError with all problems."""
    written = _written(found.path, config.project)
    wanted = [line for line in written.lines if _is_wanted(line, config, target)]
    problems = [*written.problems, *_line_problems(wanted, target)]
    if config.hashes or not config.compile_requirements:
        problems += _unhashed(wanted, asked=config.hashes)
    if config.compile_requirements:
        lock, more = _reduced(found, written, wanted, config, target)
    else:
        lock, more = _as_written(found, written, wanted, config)
    problems += (*more, *_conflicts(written.lines, config, target))
    local = (*declared_local(config, target), *lock.local)
    stale = unsatisfied(config, lock.pins, target, local=local, called=found.path.name)
    if _is_choice(config):
        lock, stale = replace(lock, notes=(*lock.notes, *stale)), []
    extras = {canonicalize_name(name) for name, _ in config.metadata.extras}
    groups = {canonicalize_name(name) for name, _ in config.metadata.groups}
    raise_if_any(
        Problems(
            f"{found.path} cannot be used on Connect:",
            "Correct these lines, or lock the project with `uv lock` and use that lock.",
            sorted(problems, key=_by_place),
        ),
        Problems(
            f"{config.path} does not have everything that was requested:",
            "Correct `extras` and `groups`.",
            list(unknown_names(config, extras, groups)),
        ),
        Problems(
            f"{found.path} is out of date: it does not match {config.path}.",
            _remedy_if_stale(found, config),
            stale,
        ),
    )
    return lock


def _is_choice(config: ProjectConfig) -> bool:
    """Return whether a user named this file: it may deliberately list less than the project."""
    named = config.lock or config.requirements_file
    return bool(named) and not (config.compile_requirements or config.strict)


def _remedy_if_stale(found: LockFile, config: ProjectConfig) -> str:
    remedy = "Compile it again, or change the project's dependencies."
    exact = config.compile_requirements or config.strict or found.hatch
    if exact or found.path.parent != config.root:
        return remedy
    return (
        f"{remedy}\nIf it was written by hand and should ship as it is, name it in"
        f' [tool.hatch-connect]: requirements-file = "{found.path.name}"'
    )


def _as_written(
    found: LockFile, written: _Written, wanted: list[_Line], config: ProjectConfig
) -> tuple[Lock, list[str]]:
    """Return the lock for a file that ships as it is: all of it must work on the server."""
    unpinned = list(_unpinned(wanted))
    notes = list(_variables(written))
    if config.extras or config.groups:
        notes.append(
            f"{found.path.name} ships as it is: `extras` and `groups` have no effect on it."
        )
    lock = Lock(
        path=found.path,
        format=found.format.name,
        pins=tuple(
            Pin(
                name=line.name,
                requirement=line.text,
                version=line.version,
                hashes=line.hashes,
                because=line.because,
            )
            for line in written.lines
            if line.name and not line.constraint
        ),
        sha256=hashlib.sha256(written.files[0].data).hexdigest(),
        verbatim=written.files[0].shipped(),
        files={file.path: file.shipped() for file in written.files},
        notes=tuple(notes) if config.strict else (*notes, *unpinned),
        pinned=not unpinned,
    )
    return lock, [*(unpinned if config.strict else ()), *_local_problems(written)]


def _reduced(
    found: LockFile, written: _Written, wanted: list[_Line], config: ProjectConfig, target: Target
) -> tuple[Lock, list[str]]:
    """Reduce the file and its includes to pins for the target."""
    fixed = {line.name: line for line in written.lines if line.constraint and line.version}
    reduced = [
        _reduced_line(line, fixed.get(line.name, line), config, target)
        for line in written.lines
        if not line.constraint
    ]
    checked = [line for line in wanted if line.local is None and not _is_project(line, config)]
    # Of two lines that become the same pin, the first counts.
    pins = {one.requirement: one for one in reversed(reduced) if isinstance(one, Pin)}
    indexes = _indexes(written)
    digest = hashlib.sha256(b"".join(file.data for file in written.files))
    lock = Lock(
        path=found.path,
        format=found.format.name,
        pins=tuple(pins[requirement] for requirement in sorted(pins)),
        sha256=digest.hexdigest(),
        files={file.path: file.shipped() for file in written.files},
        notes=(
            *dict.fromkeys(filter(None, map(index_note, indexes))),
            *_variables(written),
        ),
        local=tuple({one.name: one for one in reduced if isinstance(one, LocalPackage)}.values()),
        omitted=tuple(one for one in reduced if isinstance(one, Omitted)),
        indexes=written_indexes(indexes) if config.keep_indexes else (),
    )
    return lock, [*_unpinned(checked), *(one for one in reduced if isinstance(one, str))]


def _indexes(written: _Written) -> tuple[str, ...]:
    """Return the indexes, the one that replaces PyPI first."""
    urls = tuple(one.value for one in written.indexes if one.option == "extra_index_urls")
    replacing = tuple(one.value for one in written.indexes if one.option == "index_url")
    return (*(replacing or (PUBLIC_INDEX,)), *urls)


def _line_problems(lines: list[_Line], target: Target) -> Iterator[str]:
    """Return what neither a list as written nor a reduced one could hold."""
    tags = frozenset(target.tags())
    for line in lines:
        if line.url is None or line.local is not None:
            continue
        shown = f"{line.place}: `{excerpt(line.text)}`"
        wheels = wheels_at(line.url)
        if problem := url_problem(shown, without_variables(line.url)):
            yield problem
        elif wheels and not is_compatible(wheels, tags):
            yield incompatible(f"{line.place}: {wheels[0]}", wheels, target)


def _local_problems(written: _Written) -> Iterator[str]:
    for line in written.lines:
        shown = excerpt(line.text)
        if line.editable:
            yield f"{line.place}: `-e {shown}` is editable, which the server cannot install."
        elif line.local is not None and line.text.partition("@")[2].strip().startswith("file:"):
            place = excerpt(line.text.partition("@")[2].strip())
            yield (
                f"{line.place}: it comes from a location that only this machine can reach: {place}."
            )
        elif line.local is not None:
            yield f"{line.place}: `{shown}` is a path on this machine."
    for index in written.indexes:
        if "://" not in index.value or index.value.startswith("file:"):
            yield f"{index.place}: {excerpt(index.value)} is a folder on this machine."


def _variables(written: _Written) -> Iterator[str]:
    """Return which variables pip is to fill in, on the server."""
    texts = [(line.place, line.text) for line in written.lines]
    for place, text in (*texts, *((index.place, index.value) for index in written.indexes)):
        for name in dict.fromkeys(_VARIABLE.findall(text)):
            yield f"{place}: {name} must be set on the server when it installs the packages."


def _unhashed(lines: list[_Line], *, asked: bool) -> Iterator[str]:
    """Return a sentence for each line without a hash, if pip requires all to have one."""
    wanted = [line for line in lines if not line.constraint]
    if not asked and not any(line.hashes for line in lines):
        return
    reason = (
        "`hashes = true` requires one on every line"
        if asked
        else "other lines have one: pip requires all or none"
    )
    for line in wanted:
        if not line.hashes:
            yield f"{line.place}: `{excerpt(line.text)}` has no hash, but {reason}."


def _unpinned(lines: list[_Line]) -> Iterator[str]:
    """Return a sentence for each line that leaves the version open."""
    fixed = {line.name for line in lines if line.constraint and line.version}
    for line in lines:
        if line.constraint or line.name in fixed:
            continue
        if reason := _open(line):
            yield f"{line.place}: `{excerpt(line.text)}` {reason}."


def _open(line: _Line) -> str | None:
    """Return how a line leaves open what is installed, or None."""
    if line.url is None:
        return None if line.version else "is not pinned to one version"
    if line.requirement is None:
        return "is a URL without a package name"
    parts = parted(line.url)
    if "+" not in parts.scheme:
        return None
    named = parts.path.rpartition("@")
    if named[1] and is_commit(named[2]):
        return None
    return "does not name a commit, and a branch or tag may move"


def is_pinned(data: bytes) -> bool:
    """Return whether a requirements file of a bundle leaves nothing open.

    One that includes others, or cannot be read, counts as one that does.
    """
    try:
        parsed = _parse(_decoded(Path("requirements.txt"), data))
    except LockError:
        return False
    includes = {"requirements", "constraints"}
    whole = not parsed.invalid_lines and not any(
        includes & o.options.keys() for o in parsed.options
    )
    return whole and not any(map(_open, _lines_in(parsed)))


def packages_in(data: bytes) -> dict[str, str] | None:
    """Return the packages that a requirements file of a bundle names, each with its version.

    What has no one version has what the file says instead. None if the file cannot be read.
    """
    try:
        parsed = _parse(_decoded(Path("requirements.txt"), data))
    except LockError:
        return None
    found: dict[str, str] = {}
    for line in _lines_in(parsed):
        specifier = str(line.requirement.specifier) if line.requirement else ""
        version = line.version or without_credentials(line.url or "") or specifier or "any version"
        name = line.name or without_credentials(line.text)
        # A package may stand there several times, with markers.
        found[name] = f"{found[name]}, {version}" if name in found else version
    return found


def _lines_in(parsed: Any) -> Iterator[_Line]:  # noqa: ANN401 - as `_parse`
    for entry in parsed.requirements:
        text = _bare(entry.requirement_line.line)
        yield _Line(
            place="",
            text=text,
            requirement=parse_requirement(text),
            constraint=False,
            editable=False,
            local=None,
        )


def _by_place(problem: str) -> tuple[str, int]:
    file, _, rest = problem.partition(":")
    number = re.match(r"\d+", rest)
    return file, int(number[0]) if number else 0


def _written(path: Path, project: Project) -> _Written:
    """Read a file and those that it includes; places are named from the project's root."""
    found = list(_items(path, project, seen=set()))
    return _Written(
        files=tuple(one for one in found if isinstance(one, _File)),
        lines=tuple(one for one in found if isinstance(one, _Line)),
        indexes=tuple(one for one in found if isinstance(one, _Index)),
        problems=tuple(one for one in found if isinstance(one, str)),
    )


def _items(
    path: Path,
    project: Project,
    *,
    seen: set[Path],
    constraints: bool = False,
    via: tuple[Path, ...] = (),
) -> Iterator[_File | _Line | _Index | str]:
    """Return a file, what it holds, and its problems; `via` are those that include it."""
    if path in seen:
        return
    seen.add(path)
    file, root = _read(path), project.root
    yield file
    parsed = _parse(file)
    asking = _asking(file.text)
    shown = path.relative_to(root) if path.is_relative_to(root) else path
    for each in parsed.options:
        place = f"{shown.as_posix()}:{each.requirement_line.line_number}"
        for option, only in (("requirements", constraints), ("constraints", True)):
            for included in each.options.get(option, ()):
                other = Path(normpath(path.parent / included))  # no link is followed
                problem = _include_problem(other, root, (*via, path))
                if problem:
                    yield f"{place}: {problem}"
                else:
                    yield from _items(other, project, seen=seen, constraints=only, via=(*via, path))
        yield from _indexes_of(place, each.options)
    for line in parsed.invalid_lines:
        place = f"{shown.as_posix()}:{line.line_number}"
        yield _line(place, line.line, project, constraint=constraints)
    for entry in parsed.requirements:
        number = entry.requirement_line.line_number
        line = _line(
            f"{shown.as_posix()}:{number}",
            entry.requirement_line.line,
            project,
            constraint=constraints,
        )
        if isinstance(line, _Line):
            asks = asking.get(number, ())
            line = replace(line, hashes=tuple(entry.hash_options), asking=asks)
        yield line


def _indexes_of(place: str, options: dict[str, Any]) -> Iterator[_Index | str]:
    for option in _PLACES:
        given = options.get(option) or ()
        for value in (given,) if isinstance(given, str) else given:
            if has_credentials(without_variables(value)):
                yield f"{place}: the URL {excerpt(value)} contains credentials."
            else:
                yield _Index(place=place, option=option, value=value)


def _include_problem(path: Path, root: Path, via: tuple[Path, ...]) -> str | None:
    if path in via:
        return f"{path.name} includes itself."
    if not is_file(path):
        return f"it includes {excerpt(str(path))}, which does not exist."
    if not path.is_relative_to(root):
        return f"{path} is outside the project and does not ship."
    return None


def _line(place: str, written: str, project: Project, *, constraint: bool) -> _Line | str:
    """Return a line, or the problem that it is no requirement."""
    text = _bare(written)
    plain = _EDITABLE.sub("", text, count=1) if _EDITABLE.match(text) else text
    local = _local(plain, project.root)
    requirement = parse_requirement(plain) or _named(plain, local, project)
    if requirement is None and local is None and not _URL.match(plain):
        return f"{place}: `{excerpt(text)}` is not a valid requirement."
    return _Line(
        place=place,
        text=plain,
        requirement=requirement,
        constraint=constraint,
        editable=plain != text,
        local=local,
    )


def _bare(written: str) -> str:
    """Return a line without what follows the requirement."""
    return _PER_LINE_OPTION.sub("", _HASH.sub("", written)).strip()


def _local(text: str, root: Path) -> Path | None:
    """Return the folder or file of this machine that a line names, as pip finds it."""
    requirement = parse_requirement(text)
    place = requirement.url if requirement else text.partition(" ;")[0].strip()
    if place is None or (requirement and not place.startswith("file:")):
        return None
    place = _EXTRAS.sub("", place)
    if _LOCAL.match(place) or (not _URL.match(place) and _FILE.match(place)):
        return local_path(place, root)
    return None


def _read(path: Path) -> _File:
    """Read a requirements file as pip does: by its byte-order mark, its coding line, or as UTF-8.

    Raises LockError for one that is in another encoding than it says.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise _unreadable(path, error.strerror or str(error)) from None
    return _decoded(path, data)


def _decoded(path: Path, data: bytes) -> _File:
    marked = next((name for mark, name in _MARKS if data.startswith(mark)), None)
    beginning = (line for line in data.split(b"\n")[:2] if line.startswith(b"#"))
    said = next(filter(None, map(_CODING.search, beginning)), None)
    encoding = marked or (said[1].decode("ascii", "replace") if said else "utf-8")
    try:
        text = data.decode("utf-8-sig" if encoding == "utf-8" else encoding)
    except (LookupError, ValueError):
        kind = (
            encoding_of(data) if encoding == "utf-8" else (f"not in {encoding}, which it declares")
        )
        raise _unreadable(path, f"it is {kind}") from None
    if "\0" in text:
        raise _unreadable(path, f"it is {encoding_of(data)}, or contains a NUL byte")
    return _File(path=path, data=data, text=text)


def _parse(file: _File) -> Any:  # noqa: ANN401 -- the parser has no annotations
    """Parse one file; only this function uses the parser, which cannot read from memory."""
    from pip_requirements_parser import PipError, RequirementsFile

    with TemporaryDirectory(prefix="hatch-connect-") as folder:
        copy = Path(folder) / file.path.name
        # With the mark, the parser reads UTF-8 whatever the locale's encoding is.
        copy.write_bytes(codecs.BOM_UTF8 + file.text.encode())
        try:
            return RequirementsFile.from_file(str(copy), include_nested=False)
        except (PipError, LookupError, ValueError, OSError) as error:
            reason = excerpt(str(error)).replace(str(copy), str(file.path))
            raise LockError(f"{file.path} cannot be read: {reason}.", hint="Correct it.") from None


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


def _named(text: str, local: Path | None, project: Project) -> Requirement | None:
    """Return the requirement of a URL or path, if its name is known without building it."""
    place, _, marker = text.partition(" ;")
    extras = _EXTRAS.search(place.strip())
    place = _EXTRAS.sub("", place.strip())
    metadata = metadata_in(project, local) if local else None
    name = (metadata.name if metadata else "") or _name_of_file(place)
    if not name:
        return None
    url = local.as_uri() if local else place
    return parse_requirement(
        f"{name}{extras[0] if extras else ''} @ {url}{f' ; {marker}' * bool(marker)}"
    )


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


def _conflicts(lines: Iterable[_Line], config: ProjectConfig, target: Target) -> Iterator[str]:
    """Return a sentence for each line that contradicts one before it on the target."""
    first: dict[str, _Line] = {}
    for line in sorted(lines, key=lambda each: not each.constraint):
        if line.name is None or line.local is not None or not holds(line.requirement, target, all):
            continue
        if config.compile_requirements and _is_project(line, config):
            continue
        before = first.setdefault(line.name, line)
        if not _agree(before, line):
            first_one = f"`{excerpt(before.text)}` of {before.place}"
            yield f"{line.place}: `{excerpt(line.text)}` contradicts {first_one}."


def _is_wanted(line: _Line, config: ProjectConfig, target: Target) -> bool:
    """Return whether a line counts for the target, or if markers are kept, for any."""
    return config.keep_markers or holds(line.requirement, target, any)


def _is_project(line: _Line, config: ProjectConfig) -> bool:
    """Return whether a line is the project itself, which ships as files."""
    if line.local is not None and resolved(line.local) == config.root.resolve():
        return True
    return line.name == canonicalize_name(config.project_name)


def _reduced_line(
    line: _Line, fixing: _Line, config: ProjectConfig, target: Target
) -> Pin | LocalPackage | Omitted | str | None:
    """Return what becomes of a line; a str is a problem. `fixing` is what gives the version."""
    marker = line.requirement.marker if line.requirement else None
    if _is_project(line, config):
        name = line.name or canonicalize_name(config.project_name)
        return Omitted(name=name, version=line.version, because="the project itself")
    if not _is_wanted(line, config, target):
        because = f"it is only required where {marker}"
        return Omitted(name=line.name or "", version=line.version, because=because)
    if line.local is not None:
        return _built(line, line.local)
    if line.requirement is None or line.name is None:
        return None
    requirement = line.requirement
    extras = f"[{','.join(sorted(requirement.extras))}]" if requirement.extras else ""
    source = line if requirement.url or line.version else fixing
    exact = f" @ {requirement.url}" if requirement.url else _exact(source)
    # A marker that holds for some patch releases only stays, since the server's is not known.
    keeps = marker and (config.keep_markers or not holds(requirement, target, all))
    return Pin(
        name=line.name,
        requirement=f"{line.name}{extras}{exact}{f' ; {marker}' if keeps else ''}",
        version=source.version,
        hashes=line.hashes if config.hashes else (),
        because=line.because,
    )


def _built(line: _Line, path: Path) -> LocalPackage | str:
    if not is_there(path):
        return f"{line.place}: it is built from {excerpt(str(path))}, which does not exist."
    if line.name is None:
        return f"{line.place}: `{excerpt(line.text)}` has no name in a [project] table."
    return LocalPackage(name=line.name, path=path, because=line.because)


def _exact(line: _Line) -> str:
    return str(line.requirement.specifier) if line.requirement else ""


def _agree(before: _Line, line: _Line) -> bool:
    if before.requirement is None or line.requirement is None or before is line:
        return True
    if before.url or line.url:
        return before.url == line.url or before.constraint
    version = before.version or line.version
    if version is None:
        return True
    both = before.requirement.specifier & line.requirement.specifier
    return both.contains(version, prereleases=True)
