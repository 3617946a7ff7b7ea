"""Turns what is selected from a PEP 751 lock into pins, and says what is wrong with them."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from hatch_connect.project.locks.declared import declared_folder, declared_sources, named_folder
from hatch_connect.project.locks.findings import line_problem
from hatch_connect.project.locks.fit import file_name, fits, is_commit, misfit, url_problem
from hatch_connect.project.locks.markers import reduced
from hatch_connect.project.locks.neighbours import (
    below_root,
    is_there,
    local_path,
    metadata_in,
    required_name,
    resolved,
)
from hatch_connect.project.locks.pylock_reasons import Chosen, asking, holds, says_all, why_not
from hatch_connect.project.locks.satisfied import direct
from hatch_connect.project.metadata import normalized
from hatch_connect.project.pins import LocalPackage, Omitted, Pin
from hatch_connect.project.settings import excerpt

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from packaging.pylock import (
        Package,
        PackageArchive,
        PackageDirectory,
        PackageSdist,
        PackageVcs,
        PackageWheel,
        Pylock,
    )
    from packaging.tags import Tag

    from hatch_connect.project.locks.findings import Findings
    from hatch_connect.project.project import ProjectConfig
    from hatch_connect.project.target import Target

    Source = PackageVcs | PackageDirectory | PackageArchive | PackageWheel | PackageSdist

AGAIN = "Lock again with the tool that made it"
_SDISTS = (".tar.gz", ".zip")


@dataclass(slots=True, kw_only=True)
class Pinning:
    """Makes the pins of one lock."""

    path: Path
    config: ProjectConfig
    target: Target
    tags: tuple[Tag, ...]
    chosen: Chosen
    findings: Findings
    _asking: dict[str, list[str]] = field(default_factory=dict)

    def choose(self, pylock: Pylock, environment: dict[str, str]) -> tuple[Pin, ...]:
        """Select for one environment."""
        self._asking = asking(pylock, self.config)
        selected = list(self._selected(pylock, environment))
        for one in self.findings.local.values():
            metadata = metadata_in(one.path)
            for text in metadata.dependencies if metadata else ():
                self._asking.setdefault(required_name(text), []).append(one.name)
        return tuple(
            self._checked(package, source)
            for package, source in selected
            if not self._is_local(package)
        )

    def unasked(self, pylock: Pylock, pins: tuple[Pin, ...]) -> tuple[str, ...]:
        """Return the pins that nothing asks for, in a lock that says who asks for what."""
        if not says_all(pylock, self.config):
            return ()
        for one in self.findings.local.values():
            metadata = metadata_in(one.path)
            if metadata is None or metadata.dynamic:
                return ()
        return tuple(sorted(pin.name for pin in pins if pin.name not in self._asking))

    def kept(self, pylock: Pylock) -> tuple[Pin, ...]:
        """Make the pins for every Python and machine, each with its marker."""
        pins = []
        for package in pylock.packages:
            if self._is_local(package):
                continue
            marker = (
                reduced(str(package.marker), self.chosen.variables()) if package.marker else True
            )
            if isinstance(marker, str):
                pin = self._pin(package)
                pins.append(replace(pin, requirement=f"{pin.requirement} ; {marker}"))
            elif marker:
                pins.append(self._pin(package))
        return tuple(pins)

    def omitted(
        self, pylock: Pylock, pins: tuple[Pin, ...], environment: dict[str, str]
    ) -> tuple[Omitted, ...]:
        """Return the packages of the lock that are no pins, and why."""
        there = {(pin.name, pin.version) for pin in pins}
        found = []
        for package in pylock.packages:
            version = str(package.version) if package.version else None
            if self._is_project(package):
                because = "the project itself"
            elif package.name in self.findings.local or (package.name, version) in there:
                continue
            else:
                because = why_not(package, environment, self.chosen)
            found.append(Omitted(name=package.name, version=version, because=because))
        return tuple(found)

    def _is_project(self, package: Package) -> bool:
        if package.name == normalized(self.config.project_name):
            return True
        directory = package.directory
        if directory is None:
            return False
        place = local_path(directory.path, self.path.parent)
        return resolved(place) == self.config.root.resolve()

    def _is_local(self, package: Package) -> bool:
        return package.name in self.findings.local or self._is_project(package)

    def _selected(
        self, pylock: Pylock, environment: dict[str, str]
    ) -> Iterator[tuple[Package, Source]]:
        from packaging.pylock import PylockSelectError

        complete: Any = environment
        selectable = replace(pylock, packages=list(self._selectable(pylock, complete)))
        try:
            for package, source in selectable.select(
                environment=complete,
                tags=self.tags,
                extras=self.chosen.extras,
                dependency_groups=self.chosen.groups,
            ):
                place = None if self._is_project(package) else _local_place(source)
                if place is not None:
                    self._local(package, place)
                else:
                    yield package, source
        except PylockSelectError as error:
            self._wrong(f"{error}.")

    def _selectable(self, pylock: Pylock, environment: Any) -> Iterator[Package]:  # noqa: ANN401 -- a TypedDict that packaging does not export under one name
        """Leave out what `select` would stop at: it knows one problem at a time."""
        names: dict[str, Package] = {}
        for package in pylock.packages:
            if not holds(package, environment, self.chosen):
                continue
            problem = self._problem(package, environment)
            if package.name in names:
                versions = f"{_called(names[package.name])} and {_called(package)}"
                problem = f"{versions} exclude one another, and the lock has both for the target."
            if problem is None:
                names[package.name] = package
                yield package
            else:
                self._wrong(problem)

    def _problem(self, package: Package, environment: dict[str, str]) -> str | None:
        python, requires = environment["python_full_version"], package.requires_python
        if requires is not None and not requires.contains(python, prereleases=True):
            return f"{_called(package)} needs Python {requires}, and {python} may be met."
        wheels = [wheel.filename for wheel in package.wheels or ()]
        alone = package.sdist is None and not package.is_direct
        if alone and wheels and not fits(wheels, frozenset(self.tags)):
            return misfit(_called(package), wheels, self.target)
        return None

    def _local(self, package: Package, place: str) -> None:
        if package.name in self.findings.local:
            return
        named = self._in_project(package.name)
        path = named or local_path(place, self.path.parent)
        below = (package.directory and package.directory.subdirectory) or ""
        path = path / below if below else path
        # A lock comes from elsewhere: what only it names is not read from all over the machine.
        if named is None and not resolved(path).is_relative_to(self.config.root.resolve()):
            self._wrong(
                f"{_called(package)} is built from {excerpt(place)}, which is outside of the"
                f" project, and {self.config.path.name} does not name it."
            )
            return
        if not is_there(path):
            self._wrong(f"{_called(package)} is built from {excerpt(place)}, which is not there.")
        self.findings.local[package.name] = LocalPackage(
            name=package.name, path=path, because=self._because(package)
        )

    def _in_project(self, name: str) -> Path | None:
        """Return the folder that the project itself names: that of a lock may be a colleague's."""
        found = below_root(self.config, (text for text, _ in direct(self.config))).get(name)
        for source in declared_sources(self.config, self.target):
            if found is None and source.name == name:
                found = declared_folder(self.config, source)
        found = found or named_folder(self.config, name)
        return found if found is not None and found.exists() else None

    def _wrong(self, problem: str) -> None:
        self.findings.wrong(
            f"{self.path} cannot be installed on Connect:",
            f"{AGAIN}, for linux (Hatch: `[tool.uv.pip] universal = true`).",
            (problem,),
        )

    def _checked(self, package: Package, source: Source) -> Pin:
        called, place, pin = _called(package), _place(source), self._pin(package)
        wrong = self._source_problem(package, place) or line_problem(called, pin)
        for problem in filter(None, (wrong, self._hash_problem(package))):
            self._wrong(problem)
        if file_name(place).endswith(_SDISTS) and package.wheels:
            self.findings.note(f"{called} has no wheel for the target: the server builds it.")
        if not package.is_direct and (place.startswith("file:") or "://" not in place):
            self.findings.note(
                f"{self.path.name} names files of this machine: the server takes their versions"
                " from its own index, which must have them."
            )
        self.findings.index(package.index)
        return pin

    def _pin(self, package: Package) -> Pin:
        return Pin(
            name=package.name,
            requirement=_requirement(package),
            version=str(package.version) if package.version else None,
            hashes=_hashes(package) if self.config.hashes else (),
            because=self._because(package),
            index=package.index,
        )

    def _because(self, package: Package) -> str:
        return ", ".join(
            self._asking.get(package.name, (f"{self.path.name}, which does not say who asks",))
        )

    def _source_problem(self, package: Package, place: str) -> str | None:
        called = _called(package)
        if package.is_direct:
            wheel = file_name(place)
            if wheel.endswith(".whl") and not fits([wheel], frozenset(self.tags)):
                return misfit(called, [wheel], self.target)
            url = f"{package.vcs.type}+{place}" if package.vcs else place
            return url_problem(called, url) or self._commit_problem(package)
        return None if package.version else f"{called} has no version in it."

    def _commit_problem(self, package: Package) -> str | None:
        vcs = package.vcs
        if vcs is None or vcs.type != "git" or is_commit(vcs.commit_id):
            return None
        named = f"`{excerpt(vcs.commit_id)}`, which is no commit: a branch or tag may move"
        return f"{_called(package)} names {named}."

    def _hash_problem(self, package: Package) -> str | None:
        if not self.config.hashes or _hashes(package):
            return None
        return f"{_called(package)} has no hash in it, and `hashes = true` needs one for each."


def _called(package: Package) -> str:
    return f"{package.name} {package.version}" if package.version else str(package.name)


def _place(source: Source) -> str:
    url = getattr(source, "url", None)
    return str(url or getattr(source, "path", None) or "")


def _local_place(source: Source) -> str | None:
    """Return where a package lies on this machine, if it is not in an index or on a host."""
    from packaging.pylock import PackageArchive, PackageDirectory

    if isinstance(source, PackageDirectory):
        return source.path
    if isinstance(source, PackageArchive):
        place = _place(source)
        return place if place.startswith("file:") or "://" not in place else None
    return None


def _requirement(package: Package) -> str:
    if package.vcs is not None:
        vcs = package.vcs
        below = f"#subdirectory={vcs.subdirectory}" if vcs.subdirectory else ""
        return f"{package.name} @ {vcs.type}+{_place(vcs)}@{vcs.commit_id}{below}"
    if package.archive is not None:
        archive = package.archive
        below = f"#subdirectory={archive.subdirectory}" if archive.subdirectory else ""
        return f"{package.name} @ {_place(archive)}{below}"
    return f"{package.name}=={package.version}"


def _hashes(package: Package) -> tuple[str, ...]:
    files: list[Any] = [*(package.wheels or ()), package.sdist, package.archive]
    return tuple(
        sorted(
            f"{algorithm}:{digest}"
            for file in files
            if file is not None
            for algorithm, digest in file.hashes.items()
        )
    )
