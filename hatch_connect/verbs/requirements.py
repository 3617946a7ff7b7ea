"""`requirements`: the packages that the content installs, and why each is there or is not."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from hatch_connect.bundle.packages import decide_packages
from hatch_connect.events import Detail, Warned
from hatch_connect.project.project import read_project
from hatch_connect.verbs.project import contents_of, request_for, root_of
from hatch_connect.verbs.several import one_or_several

if TYPE_CHECKING:
    from hatch_connect.bundle.packages import Packages
    from hatch_connect.events import Report
    from hatch_connect.locks.lock import Omitted
    from hatch_connect.options import Options
    from hatch_connect.verbs import Result
    from hatch_connect.verbs.surroundings import Surroundings


@dataclass(frozen=True, slots=True, kw_only=True)
class Requirements:
    """The package list of a piece of content."""

    packages: Packages
    explain: bool

    def lines(self) -> tuple[str, ...]:
        """Return the list itself, or a line of reasons for each package."""
        if not self.explain:
            return tuple(self.packages.content.decode("utf-8-sig").splitlines())
        lock = self.packages.lock
        return (
            f"Packages from {lock.called} for {self.packages.target}:",
            *(f"  {pin.requirement}  <- {pin.because}" for pin in lock.pins),
            *_section(
                "In the bundle itself, built from their own projects:",
                [f"{one.name} ({one.path})  <- {one.because}" for one in lock.local],
            ),
            *_section(
                "Left out:",
                [f"{_called(one)}: {one.because}" for one in lock.omitted],
            ),
        )

    def to_dict(self) -> dict[str, object]:
        """Return the list, what it comes from, and all reasons."""
        packages, lock = self.packages, self.packages.lock
        return {
            "requirements": packages.content.decode("utf-8-sig"),
            "lock": str(lock.path) if lock.path else None,
            "format": lock.format,
            "sha256": lock.sha256,
            "because": packages.because,
            "target": {
                "python": packages.target.python,
                "system": packages.target.system,
                "machine": packages.target.machine,
            },
            "python": {
                "version": packages.python.version,
                "requires": packages.python.requires,
                "because": packages.python.because,
            },
            "packages": [{**asdict(pin), "hashes": list(pin.hashes)} for pin in lock.pins],
            "bundled": [
                {"name": one.name, "path": str(one.path), "because": one.because}
                for one in lock.local
            ],
            "left_out": [asdict(one) for one in lock.omitted],
            "notes": list(lock.notes),
        }


def _called(one: Omitted) -> str:
    return f"{one.name} {one.version}" if one.version else one.name


def _section(heading: str, lines: list[str]) -> tuple[str, ...]:
    return (heading, *(f"  {line}" for line in lines)) if lines else ()


def run(options: Options, surroundings: Surroundings, report: Report) -> Result:
    """Decide the packages. No table of ours is needed. Raises ProjectError."""
    root = root_of(options, surroundings)
    results = []
    for content in contents_of(options, surroundings):
        config = read_project(
            root, overrides=options.overrides(), content=content, packages_only=True
        )
        packages = decide_packages(config, request_for(config, options, surroundings))
        for note in packages.lock.notes:
            report(Warned(text=note))
        report(Detail(text=f"{packages.lock.called}: {packages.because}"))
        results.append(Requirements(packages=packages, explain=options.explain))
    return one_or_several(tuple(results))
