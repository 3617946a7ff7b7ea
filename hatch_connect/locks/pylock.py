"""Reads PEP 751 locks (`pylock.toml`, `pylock.NAME.toml`), whichever tool wrote them.

Selected packages become pins; the others are omitted with the reason, as far as the lock tells it.
Above 500 lines, because PEP 751 is one format.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from packaging.utils import canonicalize_name

from hatch_connect.errors import LockError
from hatch_connect.locks.compatibility import (
    LockedPackage,
    Pinner,
    choose_for_patches,
    incompatible,
    is_commit,
    is_compatible,
    reduced,
)
from hatch_connect.locks.lock import (
    PYLOCK,
    LocalPackage,
    Lock,
    Omitted,
    parse_lock,
    url_requirement,
    without_pinned,
)
from hatch_connect.locks.path_dependencies import (
    below_root,
    declared_folder,
    declared_local,
    declared_sources,
    direct_requirements,
    is_there,
    local_path,
    metadata_in,
    named_folder,
    required_name,
    resolved,
    unsatisfied,
    wanted_members,
)
from hatch_connect.locks.problems import (
    LockProblems,
    credential_problems,
    unknown_names,
)
from hatch_connect.secret import excerpt

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

    from hatch_connect.locks.lock import LockFile, Pin
    from hatch_connect.project.project import ProjectConfig
    from hatch_connect.project.target import Target

    Source = PackageVcs | PackageDirectory | PackageArchive | PackageWheel | PackageSdist

AGAIN = "Lock again with the tool that made it"

_EXTRAS = re.compile(r"\s*[A-Za-z0-9._-]+\s*\[")


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """The extras and groups to select."""

    extras: frozenset[str]
    groups: frozenset[str]

    def variables(self) -> dict[str, frozenset[str]]:
        """Return them by the variables of a lock's markers."""
        return {"extras": self.extras, "dependency_groups": self.groups}


def read_pylock(found: LockFile, config: ProjectConfig, target: Target) -> Lock:
    """Read the lock for a target; raises LockError with everything that is wrong with it."""
    pylock = _parsed(found)
    text = found.data.decode()
    findings = LockProblems()
    findings.wrong(
        f"{found.path} holds credentials:",
        "Keep them in the configuration of the tool that locks, and lock again.",
        credential_problems(text),
    )
    pinning = Pinning(
        path=found.path,
        config=config,
        target=target,
        pinner=Pinner.of(config, target, "it"),
        chosen=_chosen(pylock, found, config, findings),
        findings=findings,
    )
    _add_members(found, config, findings)
    pins = choose_for_patches(
        found.path,
        text,
        target,
        requires_python=str(pylock.requires_python or ""),
        choose=lambda environment: pinning.choose(pylock, environment),
    )
    _check_fresh(found, config, pins, target, findings)
    findings.wrong(
        f"{found.path} is stale: it has what nothing asks for.",
        f"{AGAIN}.",
        (f"`{name}` is in the lock only." for name in pinning.unasked(pylock, pins)),
    )
    findings.check()
    # A lock that was made for one minor lacks the markers that others would need.
    kept = config.keep_markers and found.python is None
    omitted = pinning.omitted(pylock, pins, target.environment())
    if kept:
        pins = pinning.kept(pylock)
        omitted = without_pinned(omitted, pins)
    return Lock(
        path=found.path,
        format=PYLOCK,
        pins=tuple(sorted(pins, key=lambda pin: pin.requirement)),
        sha256=hashlib.sha256(found.data).hexdigest(),
        files=(found.path,),
        notes=tuple(findings.notes),
        local=tuple(findings.local[name] for name in sorted(findings.local)),
        omitted=omitted,
        indexes=tuple(findings.indexes) if config.keep_indexes else (),
    )


def _add_members(found: LockFile, config: ProjectConfig, findings: LockProblems) -> None:
    """Take members of a Hatch workspace from their folders, which the lock does not record."""
    if not found.hatch:
        return
    wanted = tuple((required_name(text), asking) for text, asking in direct_requirements(config))
    findings.local |= {one.name: one for one in wanted_members(config, wanted)}


def _check_fresh(
    found: LockFile,
    config: ProjectConfig,
    pins: tuple[Pin, ...],
    target: Target,
    findings: LockProblems,
) -> None:
    if found.hatch and not config.hatch_environment.installs_project:
        return
    with_hatch = " (hatch env lock)" if found.hatch else ""
    findings.wrong(
        f"{found.path} is stale: it is not what {config.path} asks for.",
        f"{AGAIN}{with_hatch}.",
        unsatisfied(
            config,
            pins,
            target,
            local=(
                *declared_local(config, target, uv=not found.hatch),
                *findings.local.values(),
            ),
        ),
    )


def _parsed(found: LockFile) -> Pylock:
    from packaging.pylock import Pylock, PylockUnsupportedVersionError, PylockValidationError

    path = found.path
    try:
        return Pylock.from_dict(parse_lock(found.data, path))
    except PylockUnsupportedVersionError as error:
        raise LockError(f"{path}: {error}.", hint="Update hatch-connect.") from None
    except PylockValidationError as error:
        raise LockError(
            f"{path} is no valid lock: {excerpt(str(error))}.", hint=f"{AGAIN}."
        ) from None


def _chosen(
    pylock: Pylock, found: LockFile, config: ProjectConfig, findings: LockProblems
) -> Chosen:
    """Check what the configuration asks for against what the lock offers.

    `Pylock.select` ignores unknown names silently. In a Hatch environment's lock, extras and
    groups are already resolved: it offers none.
    """
    extras = frozenset(canonicalize_name(name) for name in pylock.extras or ())
    groups = frozenset(canonicalize_name(name) for name in pylock.dependency_groups or ())
    default = frozenset(canonicalize_name(name) for name in pylock.default_groups or ())
    baked_extras, baked_groups = _baked(pylock)
    findings.wrong(
        f"{found.path} has not all that is asked for:",
        f"{AGAIN}, with these extras and groups, or do not ask for them.",
        unknown_names(
            config, extras | baked_extras, groups | default | baked_groups, place=" in it"
        ),
    )
    more = (baked_extras - {*config.extras}) | (baked_groups - {"main", *config.groups})
    findings.wrong(
        f"{found.path} has more than is asked for:",
        "Export it again without: poetry export -f pylock.toml -o pylock.toml",
        (f"It was exported with `{name}`." for name in sorted(more)),
    )
    # In PEP 751, naming groups replaces the default groups, which hold pdm's main dependencies. So
    # the defaults are kept, except the project's own groups, which are for development.
    own = {canonicalize_name(name) for name, _ in config.metadata.groups}
    return Chosen(
        extras=frozenset(config.extras), groups=(default - own) | frozenset(config.groups)
    )


def _baked(pylock: Pylock) -> tuple[frozenset[str], frozenset[str]]:
    """Return the extras and groups that poetry resolved without markers, from its own notes."""
    note = (pylock.tool or {}).get("poetry-plugin-export")
    told = note if isinstance(note, dict) else {}
    extras, groups = (
        frozenset(canonicalize_name(str(name)) for name in names)
        if isinstance(names, list)
        else frozenset()
        for names in (told.get("extras"), told.get("groups"))
    )
    return extras, groups


@dataclass(slots=True, kw_only=True)
class Pinning:
    """Makes the pins of one lock."""

    path: Path
    config: ProjectConfig
    target: Target
    pinner: Pinner
    chosen: Chosen
    findings: LockProblems
    _asking: dict[str, list[str]] = field(default_factory=dict)

    def choose(self, pylock: Pylock, environment: dict[str, str]) -> tuple[Pin, ...]:
        """Select for one environment."""
        self._asking = asking(pylock, self.config)
        selected = list(self._selected(pylock, environment))
        for one in self.findings.local.values():
            metadata = metadata_in(self.config.project, one.path)
            for text in metadata.dependencies if metadata else ():
                self._asking.setdefault(required_name(text), []).append(one.name)
        return tuple(
            self._checked(package, source)
            for package, source in selected
            if not self._is_local(package)
        )

    def unasked(self, pylock: Pylock, pins: tuple[Pin, ...]) -> tuple[str, ...]:
        """Return the pins that nothing requires, if the lock records who requires what."""
        if not says_all(pylock, self.config):
            return ()
        for one in self.findings.local.values():
            metadata = metadata_in(self.config.project, one.path)
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
            if marker:
                kept = marker if isinstance(marker, str) else None
                pins.append(self.pinner.pin(self._locked(package), kept))
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
        if package.name == canonicalize_name(self.config.project_name):
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
                tags=self.target.tags(),
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
        """Leave out packages at which `select` would raise: it reports one problem at a time."""
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
        # `requires-python` of a single package (PEP 751) must hold for each patch release.
        if requires is not None and not requires.contains(python, prereleases=True):
            return f"{_called(package)} needs Python {requires}, and {python} may be met."
        wheels = [wheel.filename for wheel in package.wheels or ()]
        # An sdist, a repository or an archive can be built on the server, whatever the wheels are.
        alone = package.sdist is None and not package.is_direct
        if alone and wheels and not is_compatible(wheels, self.pinner.tags):
            return incompatible(_called(package), wheels, self.target)
        return None

    def _local(self, package: Package, place: str) -> None:
        if package.name in self.findings.local:
            return
        named = self._in_project(package.name)
        path = named or local_path(place, self.path.parent)
        below = (package.directory and package.directory.subdirectory) or ""
        path = path / below if below else path
        # A lock is untrusted input: a folder that only it names must lie inside the project.
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
        """Return the folder that the project names; the lock's may be of another machine."""
        found = below_root(self.config, (text for text, _ in direct_requirements(self.config))).get(
            name
        )
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
        place, locked = _place(source), self._locked(package)
        wrong = self.pinner.wheel_problem(locked) or self.pinner.source_problem(locked)
        for problem in filter(None, (wrong, self.pinner.hash_problem(locked))):
            self._wrong(problem)
        if locked.wheels and (note := self.pinner.build_note(locked)):
            self.findings.note(note)
        if not package.is_direct and (place.startswith("file:") or "://" not in place):
            self.findings.note(
                f"{self.path.name} names files of this machine: the server takes their versions"
                " from its own index, which must have them."
            )
        self.findings.index(package.index)
        return self.pinner.pin(locked)

    def _locked(self, package: Package) -> LockedPackage:
        return LockedPackage(
            name=package.name,
            version=str(package.version) if package.version else None,
            requirement=_requirement(package),
            because=self._because(package),
            hashes=_hashes(package),
            index=package.index,
            wheels=tuple(wheel.filename for wheel in package.wheels or ()),
            has_sdist=package.sdist is not None,
            url=_url(package),
            moving=_moving(package),
        )

    def _because(self, package: Package) -> str:
        return ", ".join(
            self._asking.get(package.name, (f"{self.path.name}, which does not say who asks",))
        )


def _called(package: Package) -> str:
    return f"{package.name} {package.version}" if package.version else str(package.name)


def _url(package: Package) -> str | None:
    """Return the URL of a direct reference."""
    if package.vcs is not None:
        return f"{package.vcs.type}+{_place(package.vcs)}"
    return _place(package.archive) if package.archive is not None else None


def _moving(package: Package) -> str | None:
    vcs = package.vcs
    if vcs is None or vcs.type != "git" or is_commit(vcs.commit_id):
        return None
    return f"`{excerpt(vcs.commit_id)}`, which is no commit: a branch or tag may move"


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
        return url_requirement(package.name, f"{_url(package)}@{vcs.commit_id}", vcs.subdirectory)
    if package.archive is not None:
        archive = package.archive
        return url_requirement(package.name, _place(archive), archive.subdirectory)
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


def asking(pylock: Pylock, config: ProjectConfig) -> dict[str, list[str]]:
    """Return who asks for each package: the project, an extra, a group, another package."""
    found: dict[str, list[str]] = {}
    for text, asks in direct_requirements(config):
        found.setdefault(required_name(text), []).append(asks)
    for package in pylock.packages:
        for name in required_by(package):
            found.setdefault(name, []).append(package.name)
    return {name: sorted(set(asks)) for name, asks in found.items()}


def required_by(package: Package) -> list[str]:
    """Return the names that a package requires, from PEP 751's key or pdm's."""
    names = [canonicalize_name(str(each.get("name", ""))) for each in package.dependencies or ()]
    return names + [required_name(text) for text in _of_pdm(package)]


def _of_pdm(package: Package) -> list[str]:
    own: Any = (package.tool or {}).get("pdm")
    texts = own.get("dependencies") if isinstance(own, dict) else None
    return [str(text) for text in texts] if isinstance(texts, list) else []


def says_all(pylock: Pylock, config: ProjectConfig) -> bool:
    """Return whether lock and project together tell for each package who requires it.

    They do not if extras of packages are used, which pdm's lists lack, or with dynamic metadata.
    """
    texts = [text for package in pylock.packages for text in _of_pdm(package)]
    if not texts or config.metadata.dynamic or not config.metadata.has_project:
        return False
    known = {
        canonicalize_name(name) for name, _ in (*config.metadata.extras, *config.metadata.groups)
    }
    if not {*config.extras, *config.groups} <= known:
        return False
    return not any(
        _EXTRAS.match(text) for text in (*texts, *(text for text, _ in direct_requirements(config)))
    )


def holds(package: Package, environment: Any, chosen: Chosen) -> bool:  # noqa: ANN401 -- a TypedDict that packaging does not export under one name
    """Return whether a package is wanted in an environment."""
    if package.marker is None:
        return True
    return package.marker.evaluate({**environment, **chosen.variables()}, context="lock_file")


def why_not(package: Package, environment: dict[str, str], chosen: Chosen) -> str:
    """Return why a package is not wanted: an extra or group is not chosen, or its marker."""
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
