"""Whether pins still satisfy what `pyproject.toml` asks for: for locks that do not say so."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from hatch_connect.project.locks.neighbours import in_context, metadata_in
from hatch_connect.project.metadata import normalized

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from packaging.requirements import Requirement

    from hatch_connect.project.pins import LocalPackage, Pin
    from hatch_connect.project.project import ProjectConfig
    from hatch_connect.project.target import Target


def unsatisfied(
    config: ProjectConfig,
    pins: Iterable[Pin],
    target: Target,
    *,
    local: Iterable[LocalPackage] = (),
    called: str = "the lock",
) -> list[str]:
    """Return a sentence for each direct dependency without a pin that satisfies it.

    Those of local packages count too: nothing else would install them. `called` is where the
    pins come from, as a sentence names it.
    """
    found: dict[str, list[Pin]] = {}
    for pin in pins:
        found.setdefault(pin.name, []).append(pin)
    neighbours = {one.name: one for one in local}
    there = {normalized(config.project_name), *neighbours}
    judged = _Judged(found=found, there=there, target=target, called=called)
    problems = judged.problems(direct(config))
    for one in neighbours.values():
        metadata = metadata_in(one.path)
        if metadata is not None:
            wanted = ((text, one.name) for text in metadata.dependencies)
            problems += [
                f"{problem} {one.name} asks for it." for problem in judged.problems(wanted)
            ]
    return problems


def direct(config: ProjectConfig) -> Iterator[tuple[str, str]]:
    """Return the requirements of the project as written, each with who asks for it."""
    yield from ((text, "the project") for text in config.dependencies)
    for kind, tables, chosen in (
        ("the extra", config.metadata.extras, config.extras),
        ("the group", config.metadata.groups, config.groups),
    ):
        for name, texts in tables:
            if normalized(name) in chosen:
                yield from ((text, f"{kind} {normalized(name)}") for text in texts)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Judged:
    """What is there: pins by name, and names that need none."""

    found: dict[str, list[Pin]]
    there: set[str]
    target: Target
    called: str

    def problems(self, wanted: Iterable[tuple[str, str]]) -> list[str]:
        """Return a sentence for each requirement that is not satisfied."""
        from packaging.requirements import InvalidRequirement, Requirement

        problems = []
        for text, _ in wanted:
            try:
                requirement = Requirement(in_context(text))
            except InvalidRequirement:
                continue
            name = normalized(requirement.name)
            if name in self.there or not _holds(requirement, self.target):
                continue
            pins = self.found.get(name, ())
            if not pins:
                problems.append(f"`{text}` is not in {self.called}.")
            elif not any(_allows(requirement, pin) for pin in pins):
                locked = ", ".join(sorted(pin.version or pin.requirement for pin in pins))
                problems.append(f"`{text}` does not allow {locked}, which {self.called} has.")
        return problems


def _holds(requirement: Requirement, target: Target) -> bool:
    """Whether it holds for every patch; one that holds for some only is not looked at."""
    marker = requirement.marker
    return marker is None or all(
        marker.evaluate({**environment, "extra": ""}) for environment in target.environments()
    )


def _allows(requirement: Requirement, pin: Pin) -> bool:
    if requirement.url is not None:
        return "://" in pin.requirement
    return pin.version is None or requirement.specifier.contains(pin.version, prereleases=True)
