"""Who asks for the packages of a PEP 751 lock, as far as the lock says so."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hatch_connect.project.locks.neighbours import required_name
from hatch_connect.project.locks.satisfied import direct
from hatch_connect.project.metadata import normalized

if TYPE_CHECKING:
    from packaging.pylock import Package, Pylock

    from hatch_connect.project.project import ProjectConfig

_EXTRAS = re.compile(r"\s*[A-Za-z0-9._-]+\s*\[")


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """The extras and groups to select."""

    extras: frozenset[str]
    groups: frozenset[str]

    def variables(self) -> dict[str, frozenset[str]]:
        """Return them by the variables of a lock's markers."""
        return {"extras": self.extras, "dependency_groups": self.groups}


def asking(pylock: Pylock, config: ProjectConfig) -> dict[str, list[str]]:
    """Return who asks for each package: the project, an extra, a group, another package."""
    found: dict[str, list[str]] = {}
    for text, asks in direct(config):
        found.setdefault(required_name(text), []).append(asks)
    for package in pylock.packages:
        for name in required_by(package):
            found.setdefault(name, []).append(package.name)
    return {name: sorted(set(asks)) for name, asks in found.items()}


def required_by(package: Package) -> list[str]:
    """Return the names that a package asks for: by the standard's key, or by that of pdm."""
    names = [normalized(str(each.get("name", ""))) for each in package.dependencies or ()]
    return names + [required_name(text) for text in _of_pdm(package)]


def _of_pdm(package: Package) -> list[str]:
    own: Any = (package.tool or {}).get("pdm")
    texts = own.get("dependencies") if isinstance(own, dict) else None
    return [str(text) for text in texts] if isinstance(texts, list) else []


def says_all(pylock: Pylock, config: ProjectConfig) -> bool:
    """Whether lock and project together say of each package who asks for it.

    What an extra of a package asks for is not in pdm's lists, and what a build tells is not here.
    """
    texts = [text for package in pylock.packages for text in _of_pdm(package)]
    if not texts or config.metadata.dynamic or not config.metadata.has_project:
        return False
    known = {normalized(name) for name, _ in (*config.metadata.extras, *config.metadata.groups)}
    if not {*config.extras, *config.groups} <= known:
        return False
    return not any(_EXTRAS.match(text) for text in (*texts, *(text for text, _ in direct(config))))


def holds(package: Package, environment: Any, chosen: Chosen) -> bool:  # noqa: ANN401 -- a TypedDict that packaging does not export under one name
    """Whether a package is wanted in an environment."""
    if package.marker is None:
        return True
    return package.marker.evaluate({**environment, **chosen.variables()}, context="lock_file")


def why_not(package: Package, environment: dict[str, str], chosen: Chosen) -> str:
    """Say why a package is not wanted: for want of an extra or group, or for its marker."""
    everything = Chosen(
        extras=frozenset(_named(package, "extras")),
        groups=frozenset(_named(package, "dependency_groups")),
    )
    if package.marker and holds(package, environment, everything):
        names = [f"the extra {name}" for name in everything.extras - chosen.extras]
        names += [f"the group {name}" for name in everything.groups - chosen.groups]
        return f"only {' or '.join(sorted(names))} asks for it"
    return f"the lock has it only where {package.marker}"


def _named(package: Package, variable: str) -> set[str]:
    """Return the names that a package's marker looks for in a variable."""
    return set(re.findall(rf"[\"']([^\"']+)[\"'] in {variable}\b", str(package.marker)))
