"""Reads requirements files: shipped as they are written, or reduced like any other lock."""

from __future__ import annotations

import hashlib
import re
from dataclasses import replace
from typing import TYPE_CHECKING

from hatch_connect.errors import LockError
from hatch_connect.project.locks.declared import declared_local
from hatch_connect.project.locks.fit import file_name, fits, is_commit, misfit, parted, url_problem
from hatch_connect.project.locks.order import REQUIREMENTS
from hatch_connect.project.locks.reduction import Reduction
from hatch_connect.project.locks.requirements_txt import Reading, as_shipped
from hatch_connect.project.locks.satisfied import unsatisfied
from hatch_connect.project.metadata import normalized
from hatch_connect.project.pins import Lock, Pin
from hatch_connect.project.settings import excerpt, listed, without_variables

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hatch_connect.project.locks.order import LockFile
    from hatch_connect.project.locks.requirements_txt import Line
    from hatch_connect.project.project import ProjectConfig
    from hatch_connect.project.target import Target

_VARIABLE = re.compile(r"\$\{[A-Z0-9_]+\}")


def read_requirements(found: LockFile, config: ProjectConfig, target: Target) -> Lock:
    """Check a requirements file and its includes; raises LockError with all problems."""
    reading = Reading(root=config.root)
    reading.read(found.path)
    reduction = Reduction(config=config, target=target)
    wanted = [line for line in reading.lines if reduction.wants(line)]
    problems = [*reading.problems, *_line_problems(wanted, target)]
    if config.hashes or not config.compile_requirements:
        problems += _unhashed(wanted, asked=config.hashes)
    lock = (_reduced if config.compile_requirements else _as_written)(
        found, config, reading, reduction, problems
    )
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
    """Whether a person chose the file for what it lists: one notebook needs less than a project."""
    named = config.lock or config.requirements_file
    return bool(named) and not (config.compile_requirements or config.strict)


def _remedies(problems: list[str], unknown: list[str], stale: list[str]) -> Iterator[str]:
    if problems:
        yield "Correct these lines, or lock the project (uv lock) and let the lock be used."
    if unknown:
        yield "Correct `extras` and `groups`."
    if stale:
        yield "Compile it again, or correct the project's dependencies."


def _as_written(
    found: LockFile,
    config: ProjectConfig,
    reading: Reading,
    reduction: Reduction,
    problems: list[str],
) -> Lock:
    """Ship the file itself: what its installer meets there must work on the server."""
    unpinned = list(_unpinned(line for line in reading.lines if reduction.wants(line)))
    if config.strict:
        problems += unpinned
    problems += _local_problems(reading)
    problems += reduction.conflicts(reading.lines)
    notes = list(_variables(reading))
    if config.extras or config.groups:
        notes.append(
            f"{found.path.name} ships as it is: `extras` and `groups` choose nothing from it."
        )
    return Lock(
        path=found.path,
        format=REQUIREMENTS,
        pins=tuple(_pin(line) for line in reading.lines if not line.constraint and line.name),
        sha256=hashlib.sha256(found.path.read_bytes()).hexdigest(),
        verbatim=as_shipped(found.path),
        markers_kept=True,
        files=tuple(reading.files),
        notes=tuple(notes) if config.strict else (*notes, *unpinned),
    )


def _reduced(
    found: LockFile,
    config: ProjectConfig,
    reading: Reading,
    reduction: Reduction,
    problems: list[str],
) -> Lock:
    """Reduce the file and its includes to pins for the target."""
    problems += _unpinned(
        line
        for line in reading.lines
        if line.local is None and reduction.wants(line) and not reduction.is_project(line)
    )
    pins = reduction.reduce(reading.lines)
    problems += reduction.problems
    digest = hashlib.sha256()
    for file in reading.files:
        digest.update(file.read_bytes())
    indexes, notes = _indexes(reading)
    return Lock(
        path=found.path,
        format=REQUIREMENTS,
        pins=pins,
        sha256=digest.hexdigest(),
        markers_kept=config.keep_markers,
        files=tuple(reading.files),
        notes=(*notes, *_variables(reading)),
        local=tuple(reduction.local.values()),
        omitted=tuple(reduction.omitted),
        indexes=indexes if config.keep_indexes else (),
    )


def _indexes(reading: Reading) -> tuple[tuple[str, ...], tuple[str, ...]]:
    from hatch_connect.project.locks.findings import Findings
    from hatch_connect.project.pins import PUBLIC_INDEX

    findings = Findings()
    kinds = {kind for _, kind, _ in reading.indexes}
    if "index_url" not in kinds:
        findings.index(PUBLIC_INDEX)
    for _, kind, value in sorted(reading.indexes, key=lambda each: each[1] != "index_url"):
        if kind != "find_links":
            findings.index(value)
    return tuple(findings.indexes), tuple(findings.notes)


def _pin(line: Line) -> Pin:
    return Pin(
        name=line.name or "",
        requirement=line.text,
        version=line.version,
        hashes=line.hashes,
        because=line.because,
    )


def _line_problems(lines: list[Line], target: Target) -> Iterator[str]:
    """Say what neither a list as written nor a reduced one could hold."""
    tags = frozenset(target.tags())
    for line in lines:
        if line.url is None or line.local is not None:
            continue
        shown = f"{line.place}: `{excerpt(line.text)}`"
        wheel = file_name(line.url)
        if problem := url_problem(shown, without_variables(line.url)):
            yield problem
        elif wheel.endswith(".whl") and not fits([wheel], tags):
            yield misfit(f"{line.place}: {wheel}", [wheel], target)


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
    """Say which variables pip is to fill in, on the server."""
    texts = [(line.place, line.text) for line in reading.lines]
    for place, text in (*texts, *((place, value) for place, _, value in reading.indexes)):
        for name in dict.fromkeys(_VARIABLE.findall(text)):
            yield f"{place}: {name} must be set where the server installs the packages."


def _unhashed(lines: list[Line], *, asked: bool) -> Iterator[str]:
    """Return a sentence for each line without a hash, where all must have one."""
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
    """Say in which way a line leaves open what is installed, or None."""
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
    for kind, names, tables in (
        ("extra", config.extras, config.metadata.extras),
        ("dependency group", config.groups, config.metadata.groups),
    ):
        known = {normalized(name) for name, _ in tables}
        for name in names:
            if name not in known:
                there = ", ".join(sorted(known)) or "none"
                yield f"There is no {kind} `{name}` (there are: {there})."


def _by_place(problem: str) -> tuple[str, int]:
    file, _, rest = problem.partition(":")
    number = re.match(r"\d+", rest)
    return file, int(number[0]) if number else 0
