"""Reads `uv.lock`: walked as a graph for a target, never resolved again.

The format is uv's own (version 1): https://docs.astral.sh/uv/concepts/projects/layout/. A lock
holds the packages of every platform, extra and group; only a walk from the project tells which
belong together. `read_uv_lock` parses the graph, compares it with the project (`freshness`), walks
it once for each patch release that matters, and has what it reaches checked and pinned
(`compatibility`). If markers are kept, one more walk gathers them. What no walk reaches is omitted
with a reason. Above 500 lines, because the graph, its walks and their reasons are one format.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache, partial
from itertools import chain
from typing import TYPE_CHECKING, Any, TypeAlias
from urllib.parse import parse_qs, urlunsplit

from packaging.utils import canonicalize_name

from hatch_connect.errors import LockError
from hatch_connect.locks.compatibility import (
    LockedPackage,
    Pinner,
    either,
    environments_by_patch,
    file_name,
    is_commit,
    parted,
    reduced,
    shortest,
    wheels_at,
)
from hatch_connect.locks.freshness import Compared
from hatch_connect.locks.lock import (
    LocalPackage,
    Omitted,
    project_folder,
    url_requirement,
    without_pinned,
)
from hatch_connect.locks.problems import (
    Problems,
    credential_problems,
    raise_if_any,
    unknown_names,
)
from hatch_connect.project.metadata import parse_marker
from hatch_connect.project.reading import PYPROJECT
from hatch_connect.secret import excerpt

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from packaging.markers import Marker

    from hatch_connect.locks.freshness import Table
    from hatch_connect.locks.lock import Lock, LockFile, Pin
    from hatch_connect.project.project import ProjectConfig
    from hatch_connect.project.target import Target

_VERSION = 1
_AGAIN = "Lock again: uv lock"

# PEP 508 gives `extra` one value; uv tests several at once to tell conflicting ones apart.
_EXTRA = re.compile(r"\bextra\s*(==|!=)\s*('[^']*'|\"[^\"]*\")")

_MOST = 64
"""A marker with more alternatives than this would grow without end, and nobody could read it."""

_Decide: TypeAlias = "Callable[[frozenset[str], str], str | bool]"
"""Return, for these active extras, whether a marker holds, or what is left of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Edge:
    """A dependency; it has a version and a source if the name alone is ambiguous."""

    name: str
    version: str | None
    source: Table | None
    marker: str | None
    extras: tuple[str, ...]

    def may_mean(self, package: _Package) -> bool:
        """Return whether it leads to this one of the packages of its name."""
        return self.version in {None, package.version} and self.source in (None, package.source)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Package:
    """One `[[package]]`; `wheels` are file names."""

    name: str
    version: str | None
    source: Table
    dependencies: tuple[_Edge, ...]
    extras: dict[str, tuple[_Edge, ...]]
    groups: dict[str, tuple[_Edge, ...]]
    wheels: tuple[str, ...]
    has_sdist: bool
    hashes: tuple[str, ...]
    metadata: Table

    @property
    def folder(self) -> str | None:
        """The folder that it is in, relative to the lock; None for what is not in a folder."""
        for kind in ("editable", "directory", "virtual"):
            if kind in self.source:
                return str(self.source[kind])
        return None

    @property
    def local(self) -> str | None:
        """The folder or file that it is built from, relative to the lock."""
        return self.folder or self.source.get("path")

    def __str__(self) -> str:
        return f"{self.name} {self.version}" if self.version else self.name


@dataclass(frozen=True, slots=True, kw_only=True)
class _Graph:
    """All packages by name, and what the lock says of itself.

    `systems` are the markers of those that it was made for; empty for all.
    """

    packages: dict[str, tuple[_Package, ...]]
    requires_python: str | None
    members: tuple[str, ...]
    systems: tuple[str, ...]
    content: Table

    def in_folder(self, folder: str) -> _Package | None:
        """Return the package whose source is this folder."""
        return next((package for package in self.every() if package.folder == folder), None)

    def every(self) -> Iterator[_Package]:
        """Return all packages."""
        return chain.from_iterable(self.packages.values())

    def target_of(self, edge: _Edge) -> _Package:
        """Return the package that an edge leads to; raises LockError for a damaged lock."""
        found = [package for package in self.packages.get(edge.name, ()) if edge.may_mean(package)]
        if len(found) == 1:
            return found[0]
        told = f"{edge.name} {edge.version or ''}".strip()
        raise LockError(
            f"The lock is damaged: {len(found)} packages match `{excerpt(told)}`.",
            hint=_AGAIN,
        )


_Place: TypeAlias = tuple[_Package, str | None]
"""A package itself, or one of its extras."""

_Reason: TypeAlias = tuple[int, str]
"""Why a package was not reached; of these ranks the lowest tells most."""

_MARKER, _NOT_CHOSEN, _LEFT_OUT = range(3)

_Ways: TypeAlias = frozenset[frozenset[str]]
"""The ways to a place, each as the markers that must hold together."""

_ALWAYS: _Ways = frozenset({frozenset()})


@dataclass(frozen=True, slots=True, kw_only=True)
class _DependencyWalk:
    """What can be reached from the project: packages with those that ask for them, and the ways."""

    asked_by: dict[_Package, set[str]]
    ways: dict[_Place, _Ways]


def read_uv_lock(found: LockFile, config: ProjectConfig, target: Target) -> Lock:
    """Read the lock for a target; raises LockError with everything that is wrong with it."""
    graph = _graph(found)
    text = found.data.decode()
    root = _root(graph, found.path, config)
    problems = [
        *_project_problems(graph, root, found.path, config),
        *_text_problems(text, graph, found.path, target),
    ]
    walks = {
        patch: _follow(graph, root, config, partial(_holds, environment))
        for patch, environment in environments_by_patch(
            found.path, text, target, graph.requires_python
        ).items()
    }
    installed = {patch: _locked(walk) for patch, walk in walks.items()}
    local = {patch: _local(walk, found.path) for patch, walk in walks.items()}
    pinner = Pinner.of(found, config, target, "the lock")
    problems.append(_target_problems(walks, installed, local, pinner))
    built = {one.name: one for each in local.values() for one in each.values()}
    problems += _local_problems(graph, built, found.path, config)
    raise_if_any(*problems)
    omitted = _omitted(graph, root, tuple(walks.values()), config)
    pins = pinner.pins({patch: each.values() for patch, each in installed.items()})
    if config.keep_markers:
        pins = _kept(_follow(graph, root, config, _what_is_left), pinner)
        omitted = without_pinned(omitted, pins)
    every = tuple(chain.from_iterable(each.values() for each in installed.values()))
    return pinner.lock(pins, every, built, omitted)


def _graph(found: LockFile) -> _Graph:
    path = found.path
    content: dict[str, Any] = found.parsed()
    version = content.get("version")
    if version != _VERSION:
        raise LockError(
            f"{path} has version {excerpt(str(version))} of uv's format; only version {_VERSION}"
            " is supported.",
            hint="Update hatch-connect, or lock with an older uv.",
        )
    try:
        return _read_graph(content)
    except (KeyError, TypeError, AttributeError):
        raise _damaged(path) from None


def _damaged(path: Path) -> LockError:
    return LockError(f"{path} is damaged.", hint=_AGAIN)


def _root(graph: _Graph, path: Path, config: ProjectConfig) -> _Package:
    root = graph.in_folder(project_folder(config.root, path))
    if root is not None and root.name == canonicalize_name(config.project_name):
        return root
    if root is None and not config.metadata.has_project and graph.members:
        return _workspace_root(graph)
    has = f"it is for `{excerpt(root.name)}`" if root else "it has no project for this folder"
    raise LockError(
        f"{path} is not the lock of the project `{config.project_name}`: {has}.",
        hint=_AGAIN,
    )


def _workspace_root(graph: _Graph) -> _Package:
    """Return a stand-in for the root of a virtual workspace, which depends on all its members."""
    groups = graph.content.get("manifest", {}).get("dependency-groups", {})
    return _Package(
        name="",
        version=None,
        source={"virtual": "."},
        dependencies=_edges({"name": name} for name in graph.members),
        extras={},
        groups={},
        wheels=(),
        has_sdist=False,
        hashes=(),
        metadata={"requires-dev": groups},
    )


def _project_problems(
    graph: _Graph, root: _Package, path: Path, config: ProjectConfig
) -> Iterator[Problems]:
    """Compare the lock with the project, and with what is asked for."""
    compared = Compared(
        locked=root.metadata, metadata=config.metadata, workspace=_workspace(path, config)
    )
    try:
        stale = compared.differences(graph.content)
        unknown = [*_unknown(root, config), *_exclusive(graph, root, config)]
    except (KeyError, TypeError, AttributeError):
        raise _damaged(path) from None
    yield Problems(f"{path} is out of date: it does not match {config.path}.", _AGAIN, stale)
    yield Problems(
        f"{path} does not have everything that was requested:",
        "Correct `extras` and `groups`, or add them to the project and run: uv lock",
        unknown,
    )


def _local_problems(
    graph: _Graph, local: Iterable[str], path: Path, config: ProjectConfig
) -> Iterator[Problems]:
    """Compare the lock with the projects that it builds from folders."""
    workspace = _workspace(path, config)
    for package in (one for name in local for one in graph.packages[name]):
        folder = path.parent / str(package.folder)
        project = config.project.beside(folder) if package.folder is not None else None
        if project is None:
            continue
        metadata = project.metadata
        compared = Compared(
            locked=package.metadata,
            metadata=metadata,
            workspace=workspace if package.name in graph.members else {},
        )
        try:
            stale = compared.dependency_differences() if metadata.has_project else []
        except (KeyError, TypeError, AttributeError):
            raise _damaged(path) from None
        yield Problems(
            f"{path} is out of date: it does not match {folder / PYPROJECT}.", _AGAIN, stale
        )


def _text_problems(text: str, graph: _Graph, path: Path, target: Target) -> Iterator[Problems]:
    yield Problems(
        f"{path} contains credentials:",
        "Keep them in uv's own store (`uv auth login`) or in the environment, and lock again.",
        credential_problems(text),
    )
    # `tool.uv.environments` narrows what a lock is made for; the rest has no packages in it.
    if graph.systems and not any(
        _holds(environment, frozenset(), marker)
        for marker in graph.systems
        for environment in target.environments()
    ):
        yield Problems(
            f"{path} was made for other platforms:",
            "Add linux to `tool.uv.environments`, and lock again: uv lock",
            [f"`{marker}` does not hold on {target}." for marker in graph.systems],
        )


def _workspace(path: Path, config: ProjectConfig) -> Mapping[str, Any]:
    """Return `[tool.uv]` of the project that the lock lies beside."""
    project = config.project.beside(path.parent)
    return project.metadata.uv if project else {}


def _exclusive(graph: _Graph, root: _Package, config: ProjectConfig) -> Iterator[str]:
    """Return which of the extras and groups exclude one another, by what the lock declares."""
    chosen = {("extra", name) for name in config.extras} | {("group", g) for g in config.groups}
    # `conflicts` are sets of extras and groups, of each of which uv installs one at most.
    for conflict in graph.content.get("conflicts", ()):
        asked = [
            f"the {kind} `{entry[kind]}`"
            for entry in conflict
            if entry["package"] == root.name
            for kind in ("extra", "group")
            if (kind, entry.get(kind)) in chosen
        ]
        if len(asked) > 1:
            yield f"Only one of {' and '.join(asked)} can be installed (`tool.uv.conflicts`)."


def _unknown(root: _Package, config: ProjectConfig) -> Iterator[str]:
    extras = {*root.extras, *root.metadata.get("provides-extras", ())}
    groups = {*root.groups, *root.metadata.get("requires-dev", {})}
    return unknown_names(config, extras, groups)


def _read_graph(content: Table) -> _Graph:
    """Return the graph of a `uv.lock`; raises KeyError, TypeError or AttributeError if damaged."""
    packages: dict[str, tuple[_Package, ...]] = {}
    for table in content.get("package", []):
        package = _package(table)
        packages[package.name] = (*packages.get(package.name, ()), package)
    return _Graph(
        packages=packages,
        requires_python=_text(content["requires-python"]) if "requires-python" in content else None,
        members=tuple(map(_text, content.get("manifest", {}).get("members", ()))),
        systems=tuple(map(_text, content.get("supported-markers", ()))),
        content=content,
    )


def _text(value: object) -> str:
    if isinstance(value, str):
        return value
    raise TypeError(type(value).__name__)


def _package(table: Table) -> _Package:
    files = [*table.get("wheels", []), *([table["sdist"]] if "sdist" in table else [])]
    return _Package(
        name=_text(table["name"]),
        # A project whose version is dynamic has none in the lock.
        version=_text(table["version"]) if "version" in table else None,
        source={key: _text(value) for key, value in table["source"].items()},
        dependencies=_edges(table.get("dependencies", ())),
        extras=_named_edges(table.get("optional-dependencies", {})),
        groups=_named_edges(table.get("dev-dependencies", {})),
        wheels=tuple(_wheel_name(wheel) for wheel in table.get("wheels", ())),
        has_sdist="sdist" in table,
        hashes=tuple(sorted(_text(file["hash"]) for file in files if "hash" in file)),
        metadata=table.get("metadata", {}),
    )


def _wheel_name(wheel: Table) -> str:
    # A wheel of an index has a URL, one of a flat index a path, one from a URL only its name.
    return wheel.get("filename") or file_name(wheel.get("url") or wheel.get("path") or "")


def _named_edges(table: Table) -> dict[str, tuple[_Edge, ...]]:
    return {name: _edges(edges) for name, edges in table.items()}


def _edges(tables: Iterable[Table]) -> tuple[_Edge, ...]:
    return tuple(
        _Edge(
            name=_text(table["name"]),
            version=_text(table["version"]) if "version" in table else None,
            source=dict(table["source"]) if "source" in table else None,
            marker=_text(table["marker"]) if "marker" in table else None,
            extras=tuple(map(_text, table.get("extra", ()))),
        )
        for table in tables
    )


def _follow(
    graph: _Graph, root: _Package, config: ProjectConfig, decide: _Decide
) -> _DependencyWalk:
    """Walk from the project, again until no newly active extra changes what is reached.

    uv's markers may test which extras are active, and a walk finds more of them as it goes.
    """
    active = frozenset(
        {
            _encoded("project", root),
            *(_encoded("extra", root, extra) for extra in config.extras),
            *(_encoded("group", root, group) for group in config.groups),
        }
    )
    while True:
        # Few markers stand on many dependencies, so each is decided once.
        walk = _follow_once(graph, root, config, cache(partial(decide, active)))
        more = active | {_encoded("extra", package, extra) for package, extra in walk.ways if extra}
        if more == active:
            return walk
        active = more


def _encoded(kind: str, package: _Package, name: str | None = None) -> str:
    """Return what is chosen as uv encodes it in markers of conflicts: `extra-4-name-cpu`."""
    return "-".join(filter(None, (kind, str(len(package.name)), package.name, name)))


def _follow_once(
    graph: _Graph, root: _Package, config: ProjectConfig, decide: Callable[[str], str | bool]
) -> _DependencyWalk:
    asked_by: dict[_Package, set[str]] = {}
    ways: dict[_Place, _Ways] = {(root, None): _ALWAYS}
    pending = [
        ("the project", root.dependencies, _ALWAYS),
        *((f"the extra {name}", root.extras.get(name, ()), _ALWAYS) for name in config.extras),
        *((f"the group {name}", root.groups.get(name, ()), _ALWAYS) for name in config.groups),
    ]
    while pending:
        asking, edges, so_far = pending.pop()
        for edge in edges:
            through = _through(edge, so_far, decide)
            if not through:
                continue
            package = graph.target_of(edge)
            if package is not root:  # a package may depend on the project
                asked_by.setdefault(package, set()).add(asking)
            for extra in (None, *edge.extras):
                before = ways.get((package, extra), frozenset())
                after = _widened(package, before, through)
                # What no new way leads to is not followed again, so the walk ends.
                if after != before:
                    ways[package, extra] = after
                    pending.append((*_asking(package, extra), after))
    return _DependencyWalk(asked_by=asked_by, ways=ways)


def _through(edge: _Edge, ways: _Ways, decide: Callable[[str], str | bool]) -> _Ways:
    """Return the ways that lead on through an edge."""
    left = decide(edge.marker) if edge.marker else True
    if isinstance(left, bool):
        return ways if left else frozenset()
    return frozenset(way | {left} for way in ways)


def _widened(package: _Package, before: _Ways, through: _Ways) -> _Ways:
    after = shortest(before | through)
    if len(after) > _MOST:
        raise LockError(
            f"The markers that lead to {package} are too many to keep.",
            hint='Evaluate them for the target instead: markers = "target".',
        )
    return after


def _asking(package: _Package, extra: str | None) -> tuple[str, tuple[_Edge, ...]]:
    """Return what a package, or an extra of one, is called, and what it asks for."""
    if extra is None:
        return package.name, package.dependencies
    return f"{package.name}[{extra}]", package.extras.get(extra, ())


def _holds(environment: dict[str, str], active: frozenset[str], marker: str) -> bool:
    """Return whether a marker of uv holds in one environment."""
    complete: dict[str, Any] = {**environment, "extras": active}
    return _marker_of(marker).evaluate(complete, context="lock_file")


def _what_is_left(active: frozenset[str], marker: str) -> str | bool:
    """Return what is left of a marker that is kept for every Python and machine."""
    _marker_of(marker)  # raises LockError for what is no marker
    return reduced(marker, {"extra": active})


@cache
def _marker_of(text: str) -> Marker:
    """Parse a marker of uv's, in which several values of `extra` may hold at once.

    `extra == "x"` becomes `"x" in extras`, which is how PEP 751 tests for a set of extras.
    """

    def as_set(found: re.Match[str]) -> str:
        return f"{found[2]} {'in' if found[1] == '==' else 'not in'} extras"

    marker = parse_marker(_EXTRA.sub(as_set, text))
    if marker is None:
        raise LockError(
            f"The lock is damaged: `{excerpt(text)}` is not a valid marker.", hint=_AGAIN
        )
    return marker


def _target_problems(
    walks: Mapping[int, _DependencyWalk],
    installed: Mapping[int, Mapping[_Package, LockedPackage]],
    local: Mapping[int, Mapping[_Package, LocalPackage]],
    pinner: Pinner,
) -> Problems:
    """Return why what the walks reached cannot be installed on the target."""
    return Problems(
        f"{pinner.found.path} cannot be installed on Connect:",
        "Change the project's dependencies, and lock again: uv lock",
        [
            each
            for patch, walk in walks.items()
            for each in _walk_problems(walk, installed[patch], local[patch], pinner)
        ],
    )


def _walk_problems(
    walk: _DependencyWalk,
    installed: Mapping[_Package, LockedPackage],
    local: Mapping[_Package, LocalPackage],
    pinner: Pinner,
) -> Iterator[str]:
    by_name: dict[str, list[_Package]] = {}
    for package in walk.asked_by:
        by_name.setdefault(package.name, []).append(package)
    for name, packages in by_name.items():
        # Forks hold a name in several versions, but their markers exclude one another.
        if len(packages) > 1:
            versions = ", ".join(sorted(str(package.version) for package in packages))
            yield f"{name} is required in more than one version: {versions}."
    for package in walk.asked_by:
        if (one := installed.get(package)) is not None:
            problem = (
                pinner.source_problem(one) or pinner.hash_problem(one) or pinner.wheel_problem(one)
            )
            if problem is not None:
                yield problem
        elif package in local and not local[package].path.exists():
            yield f"{package} is built from {package.local}, which does not exist."


def _local(walk: _DependencyWalk, path: Path) -> dict[_Package, LocalPackage]:
    """Return the packages that are built from files of this machine."""
    return {
        package: LocalPackage(
            name=package.name,
            path=(path.parent / package.local).absolute(),
            because=", ".join(sorted(asking)),
        )
        for package, asking in walk.asked_by.items()
        if package.local is not None and "virtual" not in package.source
    }


def _kept(walk: _DependencyWalk, pinner: Pinner) -> tuple[Pin, ...]:
    """Return the pins for every Python and machine, each with its marker."""
    return tuple(
        pinner.pin(locked, either(walk.ways[package, None]))
        for package, locked in _locked(walk).items()
    )


def _locked(walk: _DependencyWalk) -> dict[_Package, LockedPackage]:
    """Return the packages that are installed from an index, a URL or a repository."""
    return {
        package: _locked_package(package, asking)
        for package, asking in walk.asked_by.items()
        if package.local is None
    }


def _locked_package(package: _Package, asking: Iterable[str]) -> LockedPackage:
    repository = package.source.get("git")
    url = repository or package.source.get("url")
    # uv writes the commit behind `#`, whatever branch or tag was asked for.
    fixed = repository is None or is_commit(parted(repository).fragment)
    return LockedPackage(
        name=package.name,
        version=package.version,
        requirement=_requirement(package),
        because=", ".join(sorted(asking)),
        hashes=package.hashes,
        index=package.source.get("registry"),
        wheels=package.wheels if url is None else wheels_at(url),
        has_sdist=package.has_sdist,
        url=url,
        moving=None if fixed else "no commit, and a branch or tag may move",
    )


def _requirement(package: _Package) -> str:
    if "git" in package.source:
        return _git_requirement(package.name, package.source["git"])
    if "url" in package.source:
        below = package.source.get("subdirectory")
        return url_requirement(package.name, package.source["url"], below)
    return f"{package.name}=={package.version}"


def _git_requirement(name: str, url: str) -> str:
    """Turn uv's `URL?rev=REV&subdirectory=SUB#COMMIT` into pip's `git+URL@COMMIT`."""
    parts = parted(url)
    below = parse_qs(parts.query).get("subdirectory", [None])[0]
    plain = urlunsplit((parts.scheme, parts.netloc, parts.path, "", ""))
    return url_requirement(name, f"git+{plain}@{parts.fragment}", below)


def _omitted(
    graph: _Graph, root: _Package, walks: Sequence[_DependencyWalk], config: ProjectConfig
) -> tuple[Omitted, ...]:
    """Return each package that no walk reached, and why; the project itself is one."""
    reached = {package for walk in walks for package in walk.asked_by}
    places = {place for walk in walks for place in walk.ways}
    asked: dict[str, list[tuple[_Edge, _Reason]]] = {}
    for package in graph.every():
        for edge, reason in _reasons(package, root, places, config):
            asked.setdefault(edge.name, []).append((edge, reason))
    found = [
        Omitted(name=package.name, version=package.version, because=_because(package, root, asked))
        for package in graph.every()
        if package not in reached
    ]
    return tuple(sorted(found, key=lambda each: (each.name, each.version or "")))


def _because(
    package: _Package, root: _Package, asked: dict[str, list[tuple[_Edge, _Reason]]]
) -> str:
    if package is root:
        return "the project itself"
    reasons = sorted(
        {reason for edge, reason in asked.get(package.name, ()) if edge.may_mean(package)}
    )
    best = [text for rank, text in reasons if rank == reasons[0][0]]
    if not best and package.folder is not None:
        return "another workspace member"
    return "; ".join(best) or "not required by anything"


def _reasons(
    package: _Package, root: _Package, places: Collection[_Place], config: ProjectConfig
) -> Iterator[tuple[_Edge, _Reason]]:
    """Return for each edge of a package why it does not lead to what was not reached."""
    own = package is root
    name = "the project" if own else package.name
    for edge in package.dependencies:
        if (package, None) in places:
            yield edge, _not_followed(name, edge)
        else:
            yield edge, (_LEFT_OUT, f"only required by {name}, which is left out")
    for extra, edges in package.extras.items():
        called = f"the extra {extra}" if own else f"{name}[{extra}]"
        active = (own and extra in config.extras) or (package, extra) in places
        for edge in edges:
            yield edge, _not_followed(called, edge) if active else _not_chosen(called)
    for group, edges in package.groups.items():
        called = f"the group {group}" if own else f"the group {group} of {name}"
        active = own and group in config.groups
        for edge in edges:
            yield edge, _not_followed(called, edge) if active else _not_chosen(called)


def _not_followed(called: str, edge: _Edge) -> _Reason:
    if edge.marker is None:
        return _LEFT_OUT, f"{called} requires another version"
    return _MARKER, f"{called} only requires it where {edge.marker}"


def _not_chosen(called: str) -> _Reason:
    return _NOT_CHOSEN, f"only required by {called}"
