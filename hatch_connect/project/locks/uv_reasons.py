"""Why the packages of a `uv.lock` that a walk did not reach are left out."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING

from hatch_connect.project.pins import Omitted

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from hatch_connect.project.locks.uv_graph import Edge, Graph, Package, Walk


class _Rank(IntEnum):
    """Which reason says most: the lowest one that there is."""

    MARKER = 0
    NOT_CHOSEN = 1
    LEFT_OUT = 2


def omitted(
    graph: Graph, root: Package, walks: Sequence[Walk], chosen: Collection[str]
) -> tuple[Omitted, ...]:
    """Return each package that no walk reached, and why; the project itself is one.

    `chosen` names what of the project was asked for: "the extra NAME", "the group NAME".
    """
    reached = {package for walk in walks for package in walk.reached}
    extras = {asked for walk in walks for asked in walk.extras}
    asked = _Asked(root=root, reached=reached, extras=extras, chosen=chosen).by_name(graph)
    found = [
        Omitted(name=package.name, version=package.version, because=_reason(package, root, asked))
        for packages in graph.packages.values()
        for package in packages
        if package not in reached
    ]
    return tuple(sorted(found, key=lambda each: (each.name, each.version or "")))


def _reason(
    package: Package, root: Package, asked: dict[str, list[tuple[Edge, _Rank, str]]]
) -> str:
    if package is root:
        return "the project itself"
    reasons = sorted(
        {
            (rank, text)
            for edge, rank, text in asked.get(package.name, ())
            if edge.version in {None, package.version} and edge.source in (None, package.source)
        }
    )
    best = [text for rank, text in reasons if rank == reasons[0][0]]
    if not best and package.folder is not None:
        return "another member of the workspace"
    return "; ".join(best) or "nothing asks for it"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """Who asks for a package that was not reached, and why that does not count."""

    root: Package
    reached: set[Package]
    extras: set[tuple[Package, str]]
    chosen: Collection[str]

    def by_name(self, graph: Graph) -> dict[str, list[tuple[Edge, _Rank, str]]]:
        found: dict[str, list[tuple[Edge, _Rank, str]]] = {}
        for packages in graph.packages.values():
            for package in packages:
                for edge, rank, text in self._of(package):
                    found.setdefault(edge.name, []).append((edge, rank, text))
        return found

    def _of(self, package: Package) -> Iterator[tuple[Edge, _Rank, str]]:
        own = package is self.root
        name = "the project" if own else package.name
        there = own or package in self.reached
        for edge in package.dependencies:
            yield edge, *(_where(name, edge) if there else _left_out(name))
        for extra, edges in package.extras.items():
            called = f"the extra {extra}" if own else f"{name}[{extra}]"
            active = called in self.chosen or (package, extra) in self.extras
            for edge in edges:
                yield edge, *(_where(called, edge) if active else _not_chosen(called))
        for group, edges in package.groups.items():
            called = f"the group {group}" if own else f"the group {group} of {name}"
            for edge in edges:
                active = own and called in self.chosen
                yield edge, *(_where(called, edge) if active else _not_chosen(called))


def _where(called: str, edge: Edge) -> tuple[_Rank, str]:
    if edge.marker is None:
        return _Rank.LEFT_OUT, f"{called} asks for another version"
    return _Rank.MARKER, f"{called} asks for it only where {edge.marker}"


def _left_out(called: str) -> tuple[_Rank, str]:
    return _Rank.LEFT_OUT, f"only {called} asks for it, which is left out"


def _not_chosen(called: str) -> tuple[_Rank, str]:
    return _Rank.NOT_CHOSEN, f"only {called} asks for it"
