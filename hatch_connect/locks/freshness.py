"""Whether `uv.lock` still says what `pyproject.toml` says, by reading both.

uv keeps what it locked for: the project's requirements in `[package.metadata]`, the workspace's
constraints and overrides in `[manifest]`, and `requires-python`. uv rewrites markers
(`python_version` becomes `python_full_version`, an extra becomes a part of the marker), so markers
are not compared as text: two are equal if they hold in the same environments of a grid.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from itertools import product
from typing import TYPE_CHECKING, Any, TypeAlias
from urllib.parse import parse_qs, urlencode

from packaging.utils import canonicalize_name

from hatch_connect.locks.compatibility import parted
from hatch_connect.project.metadata import parse_marker, parse_requirement, parse_specifier
from hatch_connect.project.target import Target

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from packaging.requirements import Requirement
    from packaging.specifiers import SpecifierSet

    from hatch_connect.project.metadata import Metadata

Table: TypeAlias = dict[str, Any]

_ALL_PATCHES = range(40)  # more than any Python 3 has had
_MANIFEST = {"constraints": "constraint-dependencies", "overrides": "override-dependencies"}

_FOLDER = "a folder or file"

# uv rewrites markers as it locks, so two are equal if they hold in the same of these environments:
# every minor of today and soon, with its first, an early and its last patch, on each kind of
# machine.
_MINORS = range(7, 21)
_SAMPLED_PATCHES = (0, 3, 40)
_MACHINES = (
    ("linux", "x86_64", "posix", "Linux"),
    ("linux", "aarch64", "posix", "Linux"),
    ("darwin", "arm64", "posix", "Darwin"),
    ("win32", "AMD64", "nt", "Windows"),
    ("emscripten", "wasm32", "posix", "Emscripten"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """What a lock keeps of a project (`[package.metadata]`), and that project.

    `workspace` is `[tool.uv]` beside the lock, which holds for all members of a workspace.
    """

    locked: Table
    metadata: Metadata
    workspace: Mapping[str, Any]

    @property
    def sources(self) -> dict[str, object]:
        """`tool.uv.sources` by normalized name; a member's own win over the workspace's."""
        found: dict[str, object] = {}
        for uv in (self.workspace, self.metadata.uv):
            table = uv.get("sources")
            if isinstance(table, dict):
                found |= {canonicalize_name(name): source for name, source in table.items()}
        return found

    @property
    def split(self) -> frozenset[str]:
        """Names whose source depends on a marker or an extra; uv splits their requirements."""
        return frozenset(
            name
            for name, source in self.sources.items()
            if isinstance(source, list)
            or (isinstance(source, dict) and {"marker", "extra", "group"} & set(source))
        )

    def differences(self, lock: Table) -> list[str]:
        """Return what differs of the whole lock, one sentence each; nothing if it is fresh."""
        found = _python_differences(lock, self.metadata.requires_python)
        found += self.dependency_differences()
        found += self._compared(_locked_groups(self.locked), self._project_groups())
        return found + self._compared(_locked_manifest(lock), self._workspace_lists())

    def dependency_differences(self) -> list[str]:
        """Return the differences of dependencies and extras only, for a path dependency."""
        metadata = self.metadata
        if {"dependencies", "optional-dependencies"} & set(metadata.dynamic):
            return []  # only a build could tell
        in_lock = set(_extras_in(self.locked))
        in_project = {canonicalize_name(name) for name, _ in metadata.extras}
        return [
            *self._compared(_locked_dist(self.locked), self._project_dist()),
            *(f"The extra `{name}` is not in the lock." for name in sorted(in_project - in_lock)),
            *(f"The extra `{name}` is only in the lock." for name in sorted(in_lock - in_project)),
        ]

    def _compared(
        self, locked: Iterable[_LockedRequirement], asked: Iterable[_LockedRequirement]
    ) -> list[str]:
        split = self.split
        in_lock = {wanted for wanted in locked if wanted.name not in split}
        in_project = {wanted for wanted in asked if wanted.name not in split}
        return [
            *(f"{wanted} is not in the lock." for wanted in sorted(in_project - in_lock)),
            *(f"{wanted} is only in the lock." for wanted in sorted(in_lock - in_project)),
        ]

    def _project_dist(self) -> Iterator[_LockedRequirement]:
        metadata, sources = self.metadata, self.sources
        extras = tuple(canonicalize_name(name) for name, _ in metadata.extras)
        for requirement in _requirements(metadata.dependencies):
            marker = str(requirement.marker) if requirement.marker else None
            for extra in _extras_of(marker, extras):
                yield _from_project(requirement, sources, where=_place(extra), extra=extra)
        for name, texts in metadata.extras:
            extra = canonicalize_name(name)
            for requirement in _requirements(texts):
                yield _from_project(requirement, sources, where=_place(extra), extra=extra)

    def _project_groups(self) -> Iterator[_LockedRequirement]:
        groups = dict(self.metadata.groups)
        # uv's older table is a part of the group `dev`.
        legacy = self.metadata.uv.get("dev-dependencies", [])
        if isinstance(legacy, list) and legacy:
            groups["dev"] = (*groups.get("dev", ()), *map(str, legacy))
        for name, texts in groups.items():
            for requirement in _requirements(texts):
                yield _from_project(
                    requirement, self.sources, where=f"the group {canonicalize_name(name)}"
                )

    def _workspace_lists(self) -> Iterator[_LockedRequirement]:
        for key in _MANIFEST.values():
            texts = self.workspace.get(key, [])
            for requirement in _requirements(map(str, texts)):
                yield _from_project(requirement, {}, where=f"tool.uv.{key}")


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class _LockedRequirement:
    """One requirement, in a form in which two are equal exactly if they mean the same.

    `where` is its extra or group ("" for neither); `meaning` is, for each environment of the
    grid, whether it holds (in all if it is empty).
    """

    where: str
    name: str
    extras: tuple[str, ...]
    specifier: str
    source: str
    meaning: tuple[bool, ...]

    def __str__(self) -> str:
        extras = f"[{','.join(self.extras)}]" if self.extras else ""
        source = f" from {self.source}" if self.source else ""
        marker = "" if not self.meaning else " (with a marker)"
        where = f" in {self.where}" if self.where else ""
        return f"`{self.name}{extras}{self.specifier}`{source}{marker}{where}"


def _python_differences(lock: Table, requires: str | None) -> list[str]:
    """Compare the ranges of Python; a workspace's is the intersection of its members' ranges."""
    from packaging.specifiers import SpecifierSet

    in_lock = lock.get("requires-python")
    if in_lock is None or requires is None:
        return []
    versions = parse_specifier(in_lock)
    locked = frozenset[str]() if versions is None else _allowed(versions)
    asked = _allowed(SpecifierSet(requires))
    members = lock.get("manifest", {}).get("members", ())
    if locked == asked or (len(members) > 1 and locked and locked < asked):
        return []
    asked_for = f"`project.requires-python` is `{requires}`"
    return [f"{asked_for}, but the lock has `{in_lock}`."]


def _allowed(versions: SpecifierSet) -> frozenset[str]:
    """Return the versions that a range allows: uv rewrites `>=3.11,<3.12` as `==3.11.*`."""
    known = (f"3.{minor}.{patch}" for minor, patch in product(_MINORS, _ALL_PATCHES))
    return frozenset(versions.filter(known))


def _extras_in(metadata: Table) -> tuple[str, ...]:
    return tuple(canonicalize_name(str(name)) for name in metadata.get("provides-extras", ()))


def _locked_dist(metadata: Table) -> Iterator[_LockedRequirement]:
    for entry in metadata.get("requires-dist", ()):
        for extra in _extras_of(entry.get("marker"), _extras_in(metadata)):
            yield _from_lock(entry, where=_place(extra), extra=extra)


def _locked_groups(metadata: Table) -> Iterator[_LockedRequirement]:
    for group, entries in metadata.get("requires-dev", {}).items():
        for entry in entries:
            yield _from_lock(entry, where=f"the group {canonicalize_name(group)}")


def _locked_manifest(lock: Table) -> Iterator[_LockedRequirement]:
    for kind, key in _MANIFEST.items():
        for entry in lock.get("manifest", {}).get(kind, ()):
            yield _from_lock(entry, where=f"tool.uv.{key}")


def _place(extra: str) -> str:
    return f"the extra {extra}" if extra else ""


def _extras_of(marker: str | None, extras: tuple[str, ...]) -> tuple[str, ...]:
    """Return the extras of a requirement: in both files its marker may test for one."""
    if marker is None or "extra" not in marker:
        return ("",)
    return tuple(extra for extra in extras if _may_hold(marker, extra))


def _requirements(texts: Iterable[str]) -> Iterator[Requirement]:
    # Reading the configuration has reported the invalid ones.
    return filter(None, map(parse_requirement, texts))


def _from_lock(entry: Table, *, where: str, extra: str = "") -> _LockedRequirement:
    """Read an entry of uv's: `requires-dist`, `requires-dev`, `constraints`, `overrides`."""
    return _LockedRequirement(
        where=where,
        name=canonicalize_name(entry["name"]),
        extras=tuple(sorted(canonicalize_name(name) for name in entry.get("extras", ()))),
        specifier=_specifier(entry.get("specifier", "")),
        source=_locked_source(entry),
        meaning=_meaning(entry.get("marker"), extra),
    )


def _locked_source(entry: Table) -> str:
    for kind in ("git", "url"):
        if kind in entry:
            below = entry.get("subdirectory")
            return _shown_source(f"{entry[kind]}#subdirectory={below}" if below else entry[kind])
    # Paths are relative to different folders in the two files: only the kind is compared.
    return _FOLDER if {"path", "editable", "directory", "virtual"} & set(entry) else ""


def _shown_source(url: str) -> str:
    """Return a URL in one form, whether it is uv's or pip's.

    uv writes `URL?rev=REV&subdirectory=SUB`, pip `git+URL@REV#subdirectory=SUB`.
    """
    parts = parted(url.removeprefix("git+"))
    path, pinned = parts.path, ""
    if url.startswith("git+"):
        path, _, pinned = parts.path.partition("@")
    given = {**parse_qs(parts.query), **parse_qs(parts.fragment)}
    named = given.get("rev") or given.get("tag") or given.get("branch") or [pinned]
    rev = f"@{named[0]}" if named[0] else ""
    below = f"#{given['subdirectory'][0]}" if "subdirectory" in given else ""
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{path}{rev}{below}"


def _from_project(
    requirement: Requirement, sources: Mapping[str, object], *, where: str, extra: str = ""
) -> _LockedRequirement:
    """Return a requirement as uv locks it, with its source from `tool.uv.sources`."""
    name = canonicalize_name(requirement.name)
    source = _project_source(requirement.url, sources.get(name))
    return _LockedRequirement(
        where=where,
        name=name,
        extras=tuple(sorted(canonicalize_name(extra) for extra in requirement.extras)),
        specifier="" if source else _specifier(str(requirement.specifier)),  # as uv writes it
        source=source,
        meaning=_meaning(str(requirement.marker) if requirement.marker else None, extra),
    )


def _project_source(url: str | None, source: object) -> str:
    if isinstance(source, dict):
        if {"path", "workspace"} & set(source):
            return _FOLDER
        if place := source.get("git") or source.get("url"):
            return _shown_source(f"{place}?{urlencode(source)}")
    if url is None:
        return ""
    # `{root:uri}` and the like are Hatch's context fields, which become file URLs.
    return _FOLDER if url.startswith(("file:", "{")) else _shown_source(url)


def _specifier(text: str) -> str:
    versions = parse_specifier(text)
    return text if versions is None else ",".join(sorted(map(str, versions)))


def _may_hold(marker: str, extra: str) -> bool:
    """Return whether there is an environment in which a marker holds with this extra."""
    meaning = _meaning(marker, extra)
    return not meaning or any(meaning)


@cache
def _meaning(marker: str | None, extra: str) -> tuple[bool, ...]:
    """Return for each environment of the grid whether a marker holds; `()` for no marker."""
    if marker is None:
        return ()
    parsed = parse_marker(marker)
    if parsed is None:
        return (False,)
    held = tuple(parsed.evaluate({**environment, "extra": extra}) for environment in _grid())
    return () if all(held) else held


@cache
def _grid() -> tuple[dict[str, str], ...]:
    environments = []
    for minor, patch, machine in product(_MINORS, _SAMPLED_PATCHES, _MACHINES):
        system, architecture, os_name, platform = machine
        base = Target(python=f"3.{minor}.{patch}", system=system, machine=architecture)
        environments.append({**base.environment(), "os_name": os_name, "platform_system": platform})
    pypy = {"implementation_name": "pypy", "platform_python_implementation": "PyPy"}
    return (*environments, *({**environment, **pypy} for environment in environments[:5]))
