"""Whether pins still satisfy what `pyproject.toml` asks for: for locks that do not say so."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hatch_connect.project.pins import normalized

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from packaging.requirements import Requirement

    from hatch_connect.project.config import ProjectConfig
    from hatch_connect.project.pins import Pin, Target


def unsatisfied(config: ProjectConfig, pins: Iterable[Pin], target: Target) -> list[str]:
    """Return a sentence for each direct dependency without a pin that satisfies it."""
    versions: dict[str, set[str | None]] = {}
    for pin in pins:
        versions.setdefault(pin.name, set()).add(pin.version)
    problems = []
    for requirement in _wanted(config, target):
        name = normalized(requirement.name)
        if name == normalized(config.project_name):
            continue
        found = versions.get(name)
        if found is None:
            problems.append(f"`{requirement}` is not in the lock.")
        elif not any(_allows(requirement, version) for version in found):
            locked = ", ".join(sorted(str(version) for version in found))
            problems.append(f"`{requirement}` does not allow {locked}, which the lock has.")
    return problems


def _wanted(config: ProjectConfig, target: Target) -> Iterator[Requirement]:
    from packaging.requirements import InvalidRequirement, Requirement

    extras, groups = dict(config.metadata.extras), dict(config.metadata.groups)
    texts = [*config.dependencies]
    texts += [t for name, ts in extras.items() if normalized(name) in config.extras for t in ts]
    texts += [t for name, ts in groups.items() if normalized(name) in config.groups for t in ts]
    for text in texts:
        try:
            requirement = Requirement(text)
        except InvalidRequirement:
            continue
        if _holds(requirement, target):
            yield requirement


def _holds(requirement: Requirement, target: Target) -> bool:
    """Whether it holds for every patch; one that holds for some only is not looked at."""
    marker = requirement.marker
    return marker is None or all(
        marker.evaluate({**environment, "extra": ""}) for environment in target.environments()
    )


def _allows(requirement: Requirement, version: str | None) -> bool:
    if version is None or requirement.url is not None:
        return True
    return requirement.specifier.contains(version, prereleases=True)
