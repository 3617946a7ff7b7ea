"""Reduces the lines of requirements files to pins for a target, as any other lock is."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from hatch_connect.project.locks.neighbours import is_there, resolved
from hatch_connect.project.metadata import normalized
from hatch_connect.project.pins import LocalPackage, Omitted, Pin
from hatch_connect.project.settings import excerpt

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from hatch_connect.project.locks.requirements_txt import Line
    from hatch_connect.project.project import ProjectConfig
    from hatch_connect.project.target import Target


@dataclass(slots=True, kw_only=True)
class Reduction:
    """What becomes of the lines: pins, packages that go into the bundle, and what is left out."""

    config: ProjectConfig
    target: Target
    problems: list[str] = field(default_factory=list)
    local: dict[str, LocalPackage] = field(default_factory=dict)
    omitted: list[Omitted] = field(default_factory=list)

    def reduce(self, lines: list[Line]) -> tuple[Pin, ...]:
        """Return the pins, sorted; those of one name and place are merged."""
        self.problems += self.conflicts(lines)
        fixed = {
            line.name: line for line in lines if line.constraint and line.version and line.name
        }
        pins: dict[str, Pin] = {}
        for line in lines:
            if line.constraint:
                continue
            pin = self._of(line, fixed)
            if pin is not None and pin.requirement not in pins:
                pins[pin.requirement] = pin
        return tuple(sorted(pins.values(), key=lambda pin: pin.requirement))

    def conflicts(self, lines: list[Line]) -> Iterator[str]:
        """Return a sentence for each line that contradicts one before it on the target."""
        first: dict[str, Line] = {}
        for line in sorted(lines, key=lambda each: not each.constraint):
            if line.name is None or line.local is not None or not self._holds(line, all):
                continue
            if self.config.compile_requirements and self.is_project(line):
                continue
            before = first.setdefault(line.name, line)
            if not _agree(before, line):
                first_one = f"`{excerpt(before.text)}` of {before.place}"
                yield f"{line.place}: `{excerpt(line.text)}` contradicts {first_one}."

    def wants(self, line: Line) -> bool:
        """Whether a line counts for the target, or for any where markers are kept."""
        return self.config.keep_markers or self._holds(line, any)

    def is_project(self, line: Line) -> bool:
        """Whether a line is the project itself, which ships as files."""
        if line.local is not None and resolved(line.local) == self.config.root.resolve():
            return True
        return line.name == normalized(self.config.project_name)

    def _of(self, line: Line, fixed: dict[str, Line]) -> Pin | None:
        if self.is_project(line):
            self._omit(line, "the project itself")
            return None
        if not self.wants(line):
            marker = line.requirement.marker if line.requirement else ""
            self._omit(line, f"it is wanted only where {marker}")
            return None
        if line.local is not None:
            self._local(line, line.local)
            return None
        if line.requirement is None or line.name is None:
            return None
        requirement = line.requirement
        extras = f"[{','.join(sorted(requirement.extras))}]" if requirement.extras else ""
        source = (
            fixed.get(line.name, line) if requirement.url is None and not line.version else line
        )
        exact = f" @ {requirement.url}" if requirement.url else _exact(source)
        keeps = requirement.marker and (self.config.keep_markers or not self._holds(line, all))
        marker = f" ; {requirement.marker}" if keeps else ""
        return Pin(
            name=line.name,
            requirement=f"{line.name}{extras}{exact}{marker}",
            version=source.version,
            hashes=line.hashes if self.config.hashes else (),
            because=line.because,
        )

    def _local(self, line: Line, path: Path) -> None:
        name = line.name
        if not is_there(path):
            self.problems.append(
                f"{line.place}: there is no {excerpt(str(path))}, which it is built from."
            )
        elif name is None:
            self.problems.append(
                f"{line.place}: `{excerpt(line.text)}` has no name in a [project] table."
            )
        else:
            self.local[name] = LocalPackage(name=name, path=path, because=line.because)

    def _omit(self, line: Line, because: str) -> None:
        name = line.name or normalized(self.config.project_name)
        self.omitted.append(Omitted(name=name, version=line.version, because=because))

    def _holds(self, line: Line, how: Callable[[Iterable[bool]], bool]) -> bool:
        marker = line.requirement.marker if line.requirement else None
        if marker is None:
            return True
        return how(
            marker.evaluate({**environment, "extra": ""})
            for environment in self.target.environments()
        )


def _exact(line: Line) -> str:
    return str(line.requirement.specifier) if line.requirement else ""


def _agree(before: Line, line: Line) -> bool:
    if before.requirement is None or line.requirement is None or before is line:
        return True
    if before.url or line.url:
        return before.url == line.url or before.constraint
    version = before.version or line.version
    if version is None:
        return True
    both = before.requirement.specifier & line.requirement.specifier
    return both.contains(version, prereleases=True)
