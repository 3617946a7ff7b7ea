"""`uv.lock` as a graph, and the walk from the project through it.

The format is uv's own (version 1): https://docs.astral.sh/uv/concepts/projects/layout/. A lock
holds the packages of every platform, extra and group; only a walk tells which belong together.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any, TypeAlias

from hatch_connect.errors import LockError
from hatch_connect.project.locks.fit import file_name
from hatch_connect.project.settings import excerpt

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from packaging.markers import Marker

Table: TypeAlias = dict[str, Any]

_EXTRA = re.compile(r"\bextra\s*(==|!=)\s*('[^']*'|\"[^\"]*\")")


@dataclass(frozen=True, slots=True, kw_only=True)
class Edge:
    """A dependency; version and source are there where the name alone is ambiguous."""

    name: str
    version: str | None
    source: Table | None
    marker: str | None
    extras: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Package:
    """One `[[package]]`; `wheels` are file names."""

    name: str
    version: str | None
    source: Table
    dependencies: tuple[Edge, ...]
    extras: dict[str, tuple[Edge, ...]]
    groups: dict[str, tuple[Edge, ...]]
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

    def __str__(self) -> str:
        return f"{self.name} {self.version}" if self.version else self.name


@dataclass(frozen=True, slots=True, kw_only=True)
class Graph:
    """All packages by name, and what the lock says of itself.

    `systems` are the markers of those that it was made for; empty for all.
    """

    packages: dict[str, tuple[Package, ...]]
    requires_python: str | None
    members: tuple[str, ...]
    systems: tuple[str, ...]
    content: Table

    def in_folder(self, folder: str) -> Package | None:
        """Return the package whose source is this folder."""
        for packages in self.packages.values():
            for package in packages:
                if package.folder == folder:
                    return package
        return None

    def target_of(self, edge: Edge) -> Package:
        """Return the package that an edge leads to; raises LockError for a damaged lock."""
        found = [
            package
            for package in self.packages.get(edge.name, ())
            if edge.version in {None, package.version} and edge.source in (None, package.source)
        ]
        if len(found) == 1:
            return found[0]
        told = f"{edge.name} {edge.version or ''}".strip()
        raise LockError(
            f"The lock is damaged: {len(found)} packages answer to `{excerpt(told)}`.",
            hint="Lock again: uv lock",
        )


def read_graph(content: Table) -> Graph:
    """Make a graph of a `uv.lock`; KeyError, TypeError or AttributeError say that it is none."""
    packages: dict[str, tuple[Package, ...]] = {}
    for table in content.get("package", []):
        package = _package(table)
        packages[package.name] = (*packages.get(package.name, ()), package)
    return Graph(
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


def _package(table: Table) -> Package:
    files = [*table.get("wheels", []), *([table["sdist"]] if "sdist" in table else [])]
    return Package(
        name=_text(table["name"]),
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
    return wheel.get("filename") or file_name(wheel.get("url") or wheel.get("path") or "")


def _named_edges(table: Table) -> dict[str, tuple[Edge, ...]]:
    return {name: _edges(edges) for name, edges in table.items()}


def _edges(tables: Iterable[Table]) -> tuple[Edge, ...]:
    return tuple(
        Edge(
            name=_text(table["name"]),
            version=_text(table["version"]) if "version" in table else None,
            source=dict(table["source"]) if "source" in table else None,
            marker=_text(table["marker"]) if "marker" in table else None,
            extras=tuple(map(_text, table.get("extra", ()))),
        )
        for table in tables
    )


def chosen(root: Package, extras: Iterable[str], groups: Iterable[str]) -> set[str]:
    """Return what is chosen as uv encodes it in the markers of what conflicts."""
    own = f"{len(root.name)}-{root.name}"
    return {
        f"project-{own}",
        *(f"extra-{own}-{extra}" for extra in extras),
        *(f"group-{own}-{group}" for group in groups),
    }


def starts(
    root: Package, extras: Iterable[str], groups: Iterable[str]
) -> list[tuple[str, tuple[Edge, ...]]]:
    """Return who asks for what in the project itself."""
    return [
        ("the project", root.dependencies),
        *((f"the extra {extra}", root.extras.get(extra, ())) for extra in extras),
        *((f"the group {group}", root.groups.get(group, ())) for group in groups),
    ]


@dataclass(slots=True, kw_only=True)
class Walk:
    """One walk, for one environment.

    `reached` holds each package with the names of those that ask for it, `extras` the extras of
    packages that were asked for. `active` holds extras
    and groups as uv encodes them in the markers of conflicting ones (`extra-4-name-cpu`).
    """

    graph: Graph
    environment: dict[str, str]
    reached: dict[Package, dict[str, None]] = field(default_factory=dict)
    extras: set[tuple[Package, str]] = field(default_factory=set)
    active: frozenset[str] = frozenset()

    def run(self, root: Package, extras: Iterable[str], groups: Iterable[str]) -> None:
        """Walk from the project; what an extra of a dependency activates may change the way."""
        wanted = chosen(root, extras, groups)
        start = starts(root, extras, groups)
        while True:
            self.active = frozenset(wanted)
            wanted |= self._once(root, start)
            if wanted == self.active:
                return

    def _once(self, root: Package, start: list[tuple[str, tuple[Edge, ...]]]) -> set[str]:
        self.reached, self.extras = {}, set()
        activated: set[str] = set()
        seen: set[tuple[Package, str | None]] = {(root, None)}
        pending = list(start)
        while pending:
            asking, edges = pending.pop()
            for package, extra in self._followed(asking, edges):
                if (package, extra) in seen:
                    continue
                seen.add((package, extra))
                if extra is None:
                    pending.append((package.name, package.dependencies))
                else:
                    self.extras.add((package, extra))
                    activated.add(f"extra-{len(package.name)}-{package.name}-{extra}")
                    pending.append((f"{package.name}[{extra}]", package.extras.get(extra, ())))
        self.reached.pop(root, None)
        return activated

    def _followed(
        self, asking: str, edges: tuple[Edge, ...]
    ) -> Iterator[tuple[Package, str | None]]:
        for edge in edges:
            if edge.marker and not self._holds(edge.marker):
                continue
            package = self.graph.target_of(edge)
            self.reached.setdefault(package, {})[asking] = None
            yield package, None
            for extra in edge.extras:
                yield package, extra

    def _holds(self, text: str) -> bool:
        environment: dict[str, Any] = {**self.environment, "extras": self.active}
        return marker_of(text).evaluate(environment, context="lock_file")


@cache
def marker_of(text: str) -> Marker:
    """Parse a marker of uv's, in which several values of `extra` may hold at once."""
    from packaging.markers import InvalidMarker, Marker

    def as_set(found: re.Match[str]) -> str:
        return f"{found[2]} {'in' if found[1] == '==' else 'not in'} extras"

    try:
        return Marker(_EXTRA.sub(as_set, text))
    except InvalidMarker:
        raise LockError(
            f"The lock is damaged: `{excerpt(text)}` is no marker.", hint="Lock again: uv lock"
        ) from None
