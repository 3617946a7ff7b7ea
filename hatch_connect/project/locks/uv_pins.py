"""Turns what a walk through `uv.lock` reached into pins, and says what is wrong with them."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlunsplit

from hatch_connect.project.locks.findings import line_problem
from hatch_connect.project.locks.fit import file_name, fits, is_commit, misfit, parted, url_problem
from hatch_connect.project.locks.uv_graph import Walk
from hatch_connect.project.pins import LocalPackage, Pin

if TYPE_CHECKING:
    from pathlib import Path

    from packaging.tags import Tag

    from hatch_connect.project.locks.findings import Findings
    from hatch_connect.project.locks.uv_graph import Graph, Package
    from hatch_connect.project.locks.uv_keep import Kept
    from hatch_connect.project.project import ProjectConfig
    from hatch_connect.project.target import Target


@dataclass(slots=True, kw_only=True)
class Pinning:
    """Makes the pins of one lock; `walks` are those that it made, one an environment."""

    path: Path
    config: ProjectConfig
    target: Target
    tags: frozenset[Tag]
    findings: Findings
    walks: list[Walk] = field(default_factory=list)

    def choose(self, graph: Graph, root: Package, environment: dict[str, str]) -> tuple[Pin, ...]:
        """Walk for one environment."""
        walk = Walk(graph=graph, environment=environment)
        walk.run(root, self.config.extras, self.config.groups)
        self.walks.append(walk)
        by_name: dict[str, list[Package]] = {}
        for package in walk.reached:
            by_name.setdefault(package.name, []).append(package)
        for name, packages in by_name.items():
            if len(packages) > 1:
                versions = ", ".join(sorted(str(package.version) for package in packages))
                self._wrong(f"{name} is wanted in more than one version: {versions}.")
        return self._pins(walk.reached)

    def kept(self, kept: Kept) -> tuple[Pin, ...]:
        """Make the pins for every Python and machine, each with its marker."""
        markers = kept.markers()
        pins = (
            (self._pin(package, asking), markers[package])
            for package, asking in kept.asked_by.items()
            if package.folder is None and "path" not in package.source
        )
        return tuple(
            replace(pin, requirement=f"{pin.requirement} ; {marker}") if marker else pin
            for pin, marker in pins
        )

    def _pins(self, reached: dict[Package, dict[str, None]]) -> tuple[Pin, ...]:
        pins = []
        for package, asking in reached.items():
            if "virtual" in package.source:
                continue
            local = package.folder or package.source.get("path")
            if local is None:
                pin = self._pin(package, asking)
                self._check(package, pin)
                pins.append(pin)
            else:
                self._local(package, str(local), ", ".join(sorted(asking)))
        return tuple(pins)

    def _local(self, package: Package, place: str, because: str) -> None:
        path = (self.path.parent / place).absolute()
        if not path.exists():
            self._wrong(f"{package} is built from {place}, which is not there.")
        self.findings.local[package.name] = LocalPackage(
            name=package.name, path=path, because=because
        )

    def _wrong(self, problem: str) -> None:
        self.findings.wrong(
            f"{self.path} cannot be installed on Connect:",
            "Change what the project depends on, and lock again: uv lock",
            (problem,),
        )

    def _pin(self, package: Package, asking: dict[str, None]) -> Pin:
        return Pin(
            name=package.name,
            requirement=_requirement(package),
            version=package.version,
            hashes=package.hashes if self.config.hashes else (),
            because=", ".join(sorted(asking)),
            index=package.source.get("registry"),
        )

    def _check(self, package: Package, pin: Pin) -> None:
        url = package.source.get("git") or package.source.get("url")
        problem = url_problem(str(package), url) if url else None
        if (
            problem is None
            and "git" in package.source
            and not is_commit(parted(package.source["git"]).fragment)
        ):
            problem = f"{package} names no commit, and a branch or tag may move."
        if problem is None:
            problem = line_problem(str(package), pin)
        if problem is None and self.config.hashes and not package.hashes:
            problem = f"{package} has no hash in the lock, and `hashes = true` needs one for each."
        if problem is None:
            problem = self._fit_problem(package)
        if problem is not None:
            self._wrong(problem)
        self.findings.index(package.source.get("registry"))

    def _fit_problem(self, package: Package) -> str | None:
        wheels = package.wheels
        if "url" in package.source and file_name(package.source["url"]).endswith(".whl"):
            wheels = (file_name(package.source["url"]),)
        elif "registry" not in package.source:
            return None
        elif package.version is None:
            return f"{package} has no version in the lock."
        if fits(wheels, self.tags):
            return None
        if package.has_sdist:
            self.findings.note(f"{package} has no wheel for the target: the server builds it.")
            return None
        return misfit(str(package), wheels, self.target)


def _requirement(package: Package) -> str:
    if "git" in package.source:
        return f"{package.name} @ {_git_url(package.source['git'])}"
    if "url" in package.source:
        below = package.source.get("subdirectory")
        fragment = f"#subdirectory={below}" if below else ""
        return f"{package.name} @ {package.source['url']}{fragment}"
    return f"{package.name}=={package.version}"


def _git_url(url: str) -> str:
    """Turn uv's `URL?rev=REV&subdirectory=SUB#COMMIT` into pip's `git+URL@COMMIT`."""
    parts = parted(url)
    below = parse_qs(parts.query).get("subdirectory")
    plain = urlunsplit((parts.scheme, parts.netloc, parts.path, "", ""))
    fragment = f"#subdirectory={below[0]}" if below else ""
    return f"git+{plain}@{parts.fragment}{fragment}"
