"""Whether `uv.lock` still says what `pyproject.toml` says, by reading both.

uv keeps what it locked for in `[package.metadata]` of the project and in `requires-python`. It
rewrites markers (`python_version` becomes `python_full_version`, an extra becomes a part of the
marker), so markers are compared by what they mean, over a grid of environments.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from itertools import product
from typing import TYPE_CHECKING, Any, TypeAlias
from urllib.parse import parse_qs, urlencode, urlsplit

from hatch_connect.project.pins import Target, normalized

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from packaging.requirements import Requirement
    from packaging.specifiers import SpecifierSet

    from hatch_connect.project.config import ProjectConfig
    from hatch_connect.project.locks.uv_graph import Graph, Package

Table: TypeAlias = dict[str, Any]

_FOLDER = "a folder or file"
_PATCHES = (0, 3, 40)
_MINORS = range(7, 21)
_MACHINES = (
    ("linux", "x86_64", "posix", "Linux"),
    ("linux", "aarch64", "posix", "Linux"),
    ("darwin", "arm64", "posix", "Darwin"),
    ("win32", "AMD64", "nt", "Windows"),
    ("emscripten", "wasm32", "posix", "Emscripten"),
)


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class _Wanted:
    """One requirement, such that two are equal exactly if they ask for the same.

    `where` is the extra or group that it stands in ("" for neither); `meaning` tells for which
    environments of the grid it holds (all of them where it is empty).
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


def differences(graph: Graph, root: Package, config: ProjectConfig) -> list[str]:
    """Return what differs, one sentence each; nothing where the lock is fresh."""
    found = _python_differences(graph, config)
    metadata, split = config.metadata, _split(config)
    if not {"dependencies", "optional-dependencies"} & set(metadata.dynamic):
        locked = set(_locked_dist(root.metadata, split))
        found += _compared(locked, {w for w in _project_dist(config) if w.name not in split})
        found += _compared_names(
            "extra",
            {normalized(str(name)) for name in root.metadata.get("provides-extras", ())},
            {normalized(name) for name, _ in metadata.extras},
        )
    locked_groups = set(_locked_groups(root.metadata, split))
    asked_groups = {wanted for wanted in _project_groups(config) if wanted.name not in split}
    return found + _compared(locked_groups, asked_groups)


def _python_differences(graph: Graph, config: ProjectConfig) -> list[str]:
    """Compare the ranges of Python: a workspace's is that of all its members together."""
    from packaging.specifiers import InvalidSpecifier, SpecifierSet

    if graph.requires_python is None or config.requires_python is None:
        return []
    try:
        locked = _allowed(SpecifierSet(graph.requires_python))
    except InvalidSpecifier:
        locked = frozenset()
    asked = _allowed(SpecifierSet(config.requires_python))
    if locked == asked or (len(graph.members) > 1 and locked and locked < asked):
        return []
    asked_for = f"`project.requires-python` is `{config.requires_python}`"
    return [f"{asked_for}, and the lock has `{graph.requires_python}`."]


def _allowed(versions: SpecifierSet) -> frozenset[str]:
    """Return what a range allows: uv writes `>=3.11,<3.12` as `==3.11.*`, so meaning counts."""
    known = (f"3.{minor}.{patch}" for minor, patch in product(_MINORS, range(_PATCHES[-1])))
    return frozenset(versions.filter(known))


def _compared(locked: set[_Wanted], asked: set[_Wanted]) -> list[str]:
    return [
        *(f"{wanted} is not in the lock." for wanted in sorted(asked - locked)),
        *(f"{wanted} is in the lock only." for wanted in sorted(locked - asked)),
    ]


def _compared_names(kind: str, locked: set[str], asked: set[str]) -> list[str]:
    return [
        *(f"The {kind} `{name}` is not in the lock." for name in sorted(asked - locked)),
        *(f"The {kind} `{name}` is in the lock only." for name in sorted(locked - asked)),
    ]


def _locked_dist(metadata: Table, split: frozenset[str]) -> Iterator[_Wanted]:
    extras = tuple(normalized(str(name)) for name in metadata.get("provides-extras", ()))
    for entry in metadata.get("requires-dist", ()):
        if normalized(entry["name"]) not in split:
            for extra in _extras_of(entry.get("marker"), extras):
                yield _from_lock(entry, where=_place(extra), extra=extra)


def _locked_groups(metadata: Table, split: frozenset[str]) -> Iterator[_Wanted]:
    for group, entries in metadata.get("requires-dev", {}).items():
        for entry in entries:
            if normalized(entry["name"]) not in split:
                yield _from_lock(entry, where=f"the group {normalized(group)}", extra="")


def _place(extra: str) -> str:
    return f"the extra {extra}" if extra else ""


def _extras_of(marker: str | None, extras: tuple[str, ...]) -> tuple[str, ...]:
    """Return the extras in which a requirement stands: in both files a marker may say so."""
    if marker is None or "extra" not in marker:
        return ("",)
    return tuple(extra for extra in extras if _may_hold(marker, extra))


def _from_lock(entry: Table, *, where: str, extra: str) -> _Wanted:
    return _Wanted(
        where=where,
        name=normalized(entry["name"]),
        extras=tuple(sorted(normalized(name) for name in entry.get("extras", ()))),
        specifier=_specifier(entry.get("specifier", "")),
        source=_locked_source(entry),
        meaning=_meaning(entry.get("marker"), extra),
    )


def _locked_source(entry: Table) -> str:
    for kind in ("git", "url"):
        if kind in entry:
            below = entry.get("subdirectory")
            return _shown_source(f"{entry[kind]}#subdirectory={below}" if below else entry[kind])
    return _FOLDER if {"path", "editable", "directory", "virtual"} & set(entry) else ""


def _shown_source(url: str) -> str:
    """Bring URLs of uv (`URL?rev=REV&subdirectory=SUB`) and of pip to one form.

    pip writes `git+URL@REV#subdirectory=SUB`.
    """
    parts = urlsplit(url.removeprefix("git+"))
    path, pinned = parts.path, ""
    if url.startswith("git+"):
        path, _, pinned = parts.path.partition("@")
    given = {**parse_qs(parts.query), **parse_qs(parts.fragment)}
    named = given.get("rev") or given.get("tag") or given.get("branch") or [pinned]
    rev = f"@{named[0]}" if named[0] else ""
    below = f"#{given['subdirectory'][0]}" if "subdirectory" in given else ""
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{path}{rev}{below}"


def _project_dist(config: ProjectConfig) -> Iterator[_Wanted]:
    extras = tuple(normalized(name) for name, _ in config.metadata.extras)
    for requirement in _requirements(config.metadata.dependencies):
        marker = str(requirement.marker) if requirement.marker else None
        for extra in _extras_of(marker, extras):
            yield _from_project(requirement, config, where=_place(extra), extra=extra)
    for name, texts in config.metadata.extras:
        extra = normalized(name)
        for requirement in _requirements(texts):
            yield _from_project(requirement, config, where=_place(extra), extra=extra)


def _project_groups(config: ProjectConfig) -> Iterator[_Wanted]:
    groups = dict(config.metadata.groups)
    legacy = config.metadata.uv.get("dev-dependencies", [])
    if isinstance(legacy, list) and legacy:
        groups["dev"] = (*groups.get("dev", ()), *map(str, legacy))
    for name, texts in groups.items():
        for requirement in _requirements(texts):
            where = f"the group {normalized(name)}"
            yield _from_project(requirement, config, where=where, extra="")


def _requirements(texts: Iterable[str]) -> Iterator[Requirement]:
    from packaging.requirements import InvalidRequirement, Requirement

    for text in texts:
        # Reading the configuration has reported what is none.
        with suppress(InvalidRequirement):
            yield Requirement(text)


def _sources(config: ProjectConfig) -> dict[str, Any]:
    table = config.metadata.uv.get("sources", {})
    return {normalized(key): v for key, v in table.items()} if isinstance(table, dict) else {}


def _split(config: ProjectConfig) -> frozenset[str]:
    """Return names with several sources: uv splits their requirements by the sources' markers."""
    return frozenset(name for name, source in _sources(config).items() if isinstance(source, list))


def _from_project(
    requirement: Requirement, config: ProjectConfig, *, where: str, extra: str
) -> _Wanted:
    """Bring a requirement to the form that uv gives it, its `tool.uv.sources` included."""
    name = normalized(requirement.name)
    source = _project_source(requirement.url, _sources(config).get(name))
    return _Wanted(
        where=where,
        name=name,
        extras=tuple(sorted(normalized(extra) for extra in requirement.extras)),
        specifier="" if source else _specifier(str(requirement.specifier)),
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
    return _FOLDER if url.startswith("file:") else _shown_source(url)


def _specifier(text: str) -> str:
    from packaging.specifiers import InvalidSpecifier, SpecifierSet

    try:
        return ",".join(sorted(map(str, SpecifierSet(text))))
    except InvalidSpecifier:
        return text


def _may_hold(marker: str, extra: str) -> bool:
    meaning = _meaning(marker, extra)
    return not meaning or any(meaning)


@cache
def _meaning(marker: str | None, extra: str) -> tuple[bool, ...]:
    """Tell for each environment of the grid whether a marker holds; `()` for no marker."""
    from packaging.markers import InvalidMarker, Marker

    if marker is None:
        return ()
    try:
        parsed = Marker(marker)
    except InvalidMarker:
        return (False,)
    held = tuple(parsed.evaluate({**environment, "extra": extra}) for environment in _grid())
    return () if all(held) else held


@cache
def _grid() -> tuple[dict[str, str], ...]:
    environments = []
    for minor, patch, machine in product(_MINORS, _PATCHES, _MACHINES):
        system, architecture, os_name, platform = machine
        base = Target(python=f"3.{minor}.{patch}", system=system, machine=architecture)
        environments.append({**base.environment(), "os_name": os_name, "platform_system": platform})
    pypy = {"implementation_name": "pypy", "platform_python_implementation": "PyPy"}
    return (*environments, *({**environment, **pypy} for environment in environments[:5]))
