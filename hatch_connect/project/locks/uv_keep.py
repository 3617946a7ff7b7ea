"""A `uv.lock` with its markers kept: who is reached by which of them, for any Python."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from hatch_connect.errors import LockError
from hatch_connect.project.locks.markers import either, reduced, shortest
from hatch_connect.project.locks.uv_graph import chosen, marker_of, starts

if TYPE_CHECKING:
    from collections.abc import Iterable

    from hatch_connect.project.locks.markers import Marker
    from hatch_connect.project.locks.uv_graph import Edge, Graph, Package

_MOST = 64
"""More alternatives than this are no marker that a person could read."""

_Ways = frozenset[frozenset[str]]


@dataclass(slots=True, kw_only=True)
class Kept:
    """All ways to each package, each a set of markers that must hold together."""

    graph: Graph
    active: set[str]
    ways: dict[tuple[Package, str | None], _Ways] = field(default_factory=dict)
    asked_by: dict[Package, dict[str, None]] = field(default_factory=dict)

    @classmethod
    def of(cls, graph: Graph, root: Package, extras: Iterable[str], groups: Iterable[str]) -> Kept:
        """Follow the lock from the project; what extras activate may open further ways."""
        active = chosen(root, extras, groups)
        while True:
            kept = cls(graph=graph, active=set(active))
            kept._run(root, starts(root, extras, groups))
            if active == kept.active:
                return kept
            active = kept.active

    def markers(self) -> dict[Package, Marker]:
        """Return the marker of each package that is reached anywhere."""
        return {package: either(ways) for (package, extra), ways in self.ways.items() if not extra}

    def _run(self, root: Package, start: Iterable[tuple[str, tuple[Edge, ...]]]) -> None:
        always: _Ways = frozenset({frozenset()})
        pending = [(asking, edges, always) for asking, edges in start]
        while pending:
            asking, edges, ways = pending.pop()
            for edge in edges:
                through = self._through(edge, ways)
                if not through:
                    continue
                package = self.graph.target_of(edge)
                if package is not root:
                    self.asked_by.setdefault(package, {})[asking] = None
                pending.extend(
                    self._from(package, extra)
                    for extra in (None, *edge.extras)
                    if self._widen((package, extra), through)
                )

    def _from(self, package: Package, extra: str | None) -> tuple[str, tuple[Edge, ...], _Ways]:
        ways = self.ways[package, extra]
        if extra is None:
            return package.name, package.dependencies, ways
        self.active.add(f"extra-{len(package.name)}-{package.name}-{extra}")
        return f"{package.name}[{extra}]", package.extras.get(extra, ()), ways

    def _widen(self, place: tuple[Package, str | None], through: _Ways) -> bool:
        """Add ways to a place; False where nothing new can be reached by them."""
        before = self.ways.get(place, frozenset())
        after = shortest(before | through)
        if len(after) > _MOST:
            raise LockError(
                f"The markers by which {place[0]} is reached are too many to be kept.",
                hint='Let them be evaluated for the target: markers = "target".',
            )
        self.ways[place] = after
        return after != before

    def _through(self, edge: Edge, ways: _Ways) -> _Ways:
        if edge.marker is None:
            return ways
        marker_of(edge.marker)
        left = reduced(edge.marker, {"extra": self.active})
        if isinstance(left, bool):
            return ways if left else frozenset()
        return frozenset(way | {left} for way in ways)
