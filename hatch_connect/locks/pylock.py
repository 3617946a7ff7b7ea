"""Reads PEP 751 locks (`pylock.toml`, `pylock.NAME.toml`), whichever tool wrote them.

Selected packages become pins; the others are omitted with the reason, as far as the lock has one.
Above 500 lines, because PEP 751 is one format.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from itertools import chain
from typing import TYPE_CHECKING, Any, TypeAlias

from packaging.utils import canonicalize_name

from hatch_connect.errors import LockError
from hatch_connect.locks.compatibility import (
    LockedPackage,
    Pinner,
    environments_by_patch,
    incompatible,
    is_commit,
    is_compatible,
    reduced,
    wheels_at,
)
from hatch_connect.locks.declared_sources import (
    declared_local,
    direct_requirements,
    folder_in_project,
    is_there,
    local_path,
    metadata_in,
    required_name,
    resolved,
    unsatisfied,
    wanted_members,
)
from hatch_connect.locks.lock import (
    LocalPackage,
    Omitted,
    url_requirement,
    without_pinned,
)
from hatch_connect.locks.problems import (
    Problems,
    credential_problems,
    raise_if_any,
    unknown_names,
)
from hatch_connect.secret import excerpt
from hatch_connect.typed import list_at

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
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

    from hatch_connect.locks.compatibility import Chosen
    from hatch_connect.locks.lock import Lock, LockFile, Pin
    from hatch_connect.project.project import ProjectConfig
    from hatch_connect.project.target import Target

    Source = PackageVcs | PackageDirectory | PackageArchive | PackageWheel | PackageSdist

_AGAIN = "Lock again with the tool that made it"

_EXTRAS = re.compile(r"\s*[A-Za-z0-9._-]+\s*\[")


_Asking: TypeAlias = "Mapping[str, tuple[str, ...]]"
"""Who asks for a package, by its name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Selection:
    """What is installed in one environment, what is built from this machine, and what is wrong."""

    installed: tuple[tuple[Package, Source], ...]
    local: tuple[LocalPackage, ...]
    problems: tuple[str, ...]


def read_pylock(found: LockFile, config: ProjectConfig, target: Target) -> Lock:
    """Read the lock for a target; raises LockError with everything that is wrong with it."""
    text = found.data.decode()
    reader = _reader(found, config, target)
    selections = {
        patch: reader.select(environment)
        for patch, environment in environments_by_patch(
            found.path, text, target, str(reader.pylock.requires_python or "")
        ).items()
    }
    reader = reader.knowing(selections.values())
    installed = {
        patch: tuple(reader.installed(selection)) for patch, selection in selections.items()
    }
    pins = reader.pinner.pins(installed)
    raise_if_any(
        Problems(
            f"{found.path} contains credentials:",
            "Keep them in the configuration of the tool that locks, and lock again.",
            credential_problems(text),
        ),
        *_asked_problems(reader.pylock, found, config),
        _target_problems(selections, installed, reader.pinner),
        *_stale(found, reader, pins),
    )
    omitted = reader.omitted(pins)
    # A lock that was made for one minor lacks the markers that others would need.
    if config.keep_markers and found.python is None:
        pins = reader.kept()
        omitted = without_pinned(omitted, pins)
    every = tuple(chain.from_iterable(installed.values()))
    return reader.pinner.lock(pins, every, reader.local, omitted)


def _reader(found: LockFile, config: ProjectConfig, target: Target) -> _Reader:
    pylock = _parsed(found)
    return _Reader(
        path=found.path,
        pylock=pylock,
        config=config,
        target=target,
        chosen=_chosen(pylock, config),
        # The lock of a Hatch environment does not record the folders of members of a workspace.
        local=wanted_members(config) if found.hatch else {},
        asking=_asking(pylock, config),
        pinner=Pinner.of(found, config, target, "it"),
    )


def _target_problems(
    selections: Mapping[int, _Selection],
    installed: Mapping[int, Iterable[LockedPackage]],
    pinner: Pinner,
) -> Problems:
    """Return why what was selected cannot be installed on the target."""
    return Problems(
        f"{pinner.found.path} cannot be installed on Connect:",
        f"{_AGAIN}, for linux (Hatch: `[tool.uv.pip] universal = true`).",
        [
            problem
            for patch, selection in selections.items()
            for problem in (*selection.problems, *_problems(installed[patch], pinner))
        ],
    )


def _problems(installed: Iterable[LockedPackage], pinner: Pinner) -> Iterator[str]:
    for package in installed:
        wrong = pinner.wheel_problem(package) or pinner.source_problem(package)
        yield from filter(None, (wrong, pinner.hash_problem(package)))


def _stale(found: LockFile, reader: _Reader, pins: tuple[Pin, ...]) -> Iterator[Problems]:
    config = reader.config
    if not found.hatch or config.hatch_environment.installs_project:
        with_hatch = " (hatch env lock)" if found.hatch else ""
        declared = declared_local(config, reader.target, uv=not found.hatch)
        built = (*declared, *reader.local.values())
        yield Problems(
            f"{found.path} is out of date: it does not match {config.path}.",
            f"{_AGAIN}{with_hatch}.",
            unsatisfied(config, pins, reader.target, local=built),
        )
    yield Problems(
        f"{found.path} is out of date: it has packages that nothing requires.",
        f"{_AGAIN}.",
        [f"`{name}` is only in the lock." for name in reader.unasked(pins)],
    )


def _parsed(found: LockFile) -> Pylock:
    from packaging.pylock import Pylock, PylockUnsupportedVersionError, PylockValidationError

    path = found.path
    try:
        return Pylock.from_dict(found.parsed())
    except PylockUnsupportedVersionError as error:
        raise LockError(f"{path}: {error}.", hint="Update hatch-connect.") from None
    except PylockValidationError as error:
        raise LockError(
            f"{path} is not a valid lock: {excerpt(str(error))}.", hint=f"{_AGAIN}."
        ) from None


def _chosen(pylock: Pylock, config: ProjectConfig) -> Chosen:
    """Return the extras and groups to select, by the variables of PEP 751's markers.

    Naming groups replaces the default groups, which hold pdm's main dependencies. So the defaults
    are kept, except the project's own groups, which are for development.
    """
    default = frozenset(canonicalize_name(name) for name in pylock.default_groups or ())
    own = {canonicalize_name(name) for name, _ in config.metadata.groups}
    return {
        "extras": frozenset(config.extras),
        "dependency_groups": (default - own) | frozenset(config.groups),
    }


def _asked_problems(pylock: Pylock, found: LockFile, config: ProjectConfig) -> Iterator[Problems]:
    """Compare what the configuration asks for with what the lock offers.

    `Pylock.select` ignores unknown names silently. In a Hatch environment's lock, extras and
    groups are already resolved: it offers none.
    """
    extras = frozenset(canonicalize_name(name) for name in pylock.extras or ())
    groups = frozenset(
        canonicalize_name(name)
        for name in (*(pylock.dependency_groups or ()), *(pylock.default_groups or ()))
    )
    baked_extras, baked_groups = _baked(pylock)
    yield Problems(
        f"{found.path} does not have everything that was requested:",
        f"{_AGAIN}, with these extras and groups, or do not request them.",
        list(unknown_names(config, extras | baked_extras, groups | baked_groups, place=" in it")),
    )
    more = (baked_extras - {*config.extras}) | (baked_groups - {"main", *config.groups})
    yield Problems(
        f"{found.path} has more than was requested:",
        "Export it again without: poetry export -f pylock.toml -o pylock.toml",
        [f"It was exported with `{name}`." for name in sorted(more)],
    )


def _baked(pylock: Pylock) -> tuple[frozenset[str], frozenset[str]]:
    """Return the extras and groups that poetry resolved without markers, from its own notes."""
    noted = (list_at(pylock.tool, "poetry-plugin-export", key) for key in ("extras", "groups"))
    extras, groups = (frozenset(canonicalize_name(str(name)) for name in names) for names in noted)
    return extras, groups


@dataclass(frozen=True, slots=True, kw_only=True)
class _Reader:
    """One lock, with all that decides what of it is installed.

    `local` are the packages that are built, `asking` is who asks for each: as far as is known.
    """

    path: Path
    pylock: Pylock
    config: ProjectConfig
    target: Target
    chosen: Chosen
    local: Mapping[str, LocalPackage]
    asking: _Asking
    pinner: Pinner

    def select(self, environment: dict[str, str]) -> _Selection:
        """Select for one environment."""
        from packaging.pylock import PylockSelectError

        complete: Any = environment
        judged = list(self._judged(complete))
        problems = [problem for _, problem in judged if problem is not None]
        installed, local = [], []
        selectable = replace(self.pylock, packages=[one for one, problem in judged if not problem])
        try:
            for package, source in selectable.select(
                environment=complete,
                tags=self.target.tags(),
                extras=self.chosen["extras"],
                dependency_groups=self.chosen["dependency_groups"],
            ):
                place = None if self._is_project(package) else _local_place(source)
                if place is None:
                    installed.append((package, source))
                elif package.name not in self.local:
                    one, problem = self._local(package, place)
                    local += [one] if one else []
                    problems += [problem] if problem else []
        except PylockSelectError as error:
            problems.append(f"{error}.")
        return _Selection(installed=tuple(installed), local=tuple(local), problems=tuple(problems))

    def knowing(self, selections: Iterable[_Selection]) -> _Reader:
        """Return the reader that also knows what is built of the lock, and what that asks for."""
        local = dict(self.local)
        for one in chain.from_iterable(selection.local for selection in selections):
            local.setdefault(one.name, one)
        asking = dict(self.asking)
        for one in local.values():
            metadata = metadata_in(self.config.project, one.path)
            for text in metadata.dependencies if metadata else ():
                name = required_name(text)
                asking[name] = (*asking.get(name, ()), one.name)
        return replace(self, local=local, asking=asking)

    def installed(self, selection: _Selection) -> Iterator[LockedPackage]:
        """Return what is installed from elsewhere."""
        for package, source in selection.installed:
            if self._is_built(package):
                continue
            place = _place(source)
            here = not package.is_direct and (place.startswith("file:") or "://" not in place)
            note = (
                f"{self.path.name} names files on this machine: the server will install their"
                " versions from its own index, which must have them."
            )
            yield replace(self._locked(package), note=note if here else None)

    def unasked(self, pins: Iterable[Pin]) -> tuple[str, ...]:
        """Return the pins that nothing requires, if the lock records who requires what."""
        if not _says_all(self.pylock, self.config):
            return ()
        for one in self.local.values():
            metadata = metadata_in(self.config.project, one.path)
            if metadata is None or metadata.dynamic:
                return ()
        return tuple(sorted(pin.name for pin in pins if pin.name not in self.asking))

    def kept(self) -> tuple[Pin, ...]:
        """Make the pins for every Python and machine, each with its marker."""
        pins = []
        for package in self.pylock.packages:
            if self._is_built(package):
                continue
            marker = reduced(str(package.marker), self.chosen) if package.marker else True
            if marker:
                kept = marker if isinstance(marker, str) else None
                pins.append(self.pinner.pin(self._locked(package), kept))
        return tuple(pins)

    def omitted(self, pins: Iterable[Pin]) -> tuple[Omitted, ...]:
        """Return the packages of the lock that are no pins, and why."""
        there = {(pin.name, pin.version) for pin in pins}
        environment = self.target.environment()
        found = []
        for package in self.pylock.packages:
            version = str(package.version) if package.version else None
            if self._is_project(package):
                because = "the project itself"
            elif package.name in self.local or (package.name, version) in there:
                continue
            else:
                because = _why_not(package, environment, self.chosen)
            found.append(Omitted(name=package.name, version=version, because=because))
        return tuple(found)

    def _is_built(self, package: Package) -> bool:
        return package.name in self.local or self._is_project(package)

    def _is_project(self, package: Package) -> bool:
        if package.name == canonicalize_name(self.config.project_name):
            return True
        directory = package.directory
        if directory is None:
            return False
        place = local_path(directory.path, self.path.parent)
        return resolved(place) == self.config.root.resolve()

    def _judged(self, environment: Any) -> Iterator[tuple[Package, str | None]]:  # noqa: ANN401 -- a TypedDict that packaging does not export under one name
        """Return what is wanted, and why `select`, which reports one problem only, would raise."""
        names: dict[str, Package] = {}
        for package in self.pylock.packages:
            if not _holds(package, environment, self.chosen):
                continue
            problem = self._problem(package, environment)
            if package.name in names:
                versions = f"{_called(names[package.name])} and {_called(package)}"
                problem = (
                    f"{versions} are mutually exclusive, but the lock has both for the target."
                )
            if problem is None:
                names[package.name] = package
            yield package, problem

    def _problem(self, package: Package, environment: dict[str, str]) -> str | None:
        python, requires = environment["python_full_version"], package.requires_python
        # `requires-python` of a single package (PEP 751) must hold for each patch release.
        if requires is not None and not requires.contains(python, prereleases=True):
            return (
                f"{_called(package)} requires Python {requires}, but the server may run {python}."
            )
        wheels = [wheel.filename for wheel in package.wheels or ()]
        # An sdist, a repository or an archive can be built on the server, whatever the wheels are.
        alone = package.sdist is None and not package.is_direct
        if alone and wheels and not is_compatible(wheels, self.pinner.tags):
            return incompatible(_called(package), wheels, self.target)
        return None

    def _local(self, package: Package, place: str) -> tuple[LocalPackage | None, str | None]:
        """Return a package that is built from files of this machine, and what is wrong with it."""
        named = folder_in_project(self.config, self.target, package.name)
        path = named or local_path(place, self.path.parent)
        below = (package.directory and package.directory.subdirectory) or ""
        path = path / below if below else path
        shown = f"{_called(package)} is built from {excerpt(place)}"
        # A lock is untrusted input: a folder that only it names must lie inside the project.
        if named is None and not resolved(path).is_relative_to(self.config.root.resolve()):
            name = self.config.path.name
            return None, f"{shown}, which is outside the project and not named in {name}."
        local = LocalPackage(name=package.name, path=path, because=self._because(package))
        return local, None if is_there(path) else f"{shown}, which does not exist."

    def _locked(self, package: Package) -> LockedPackage:
        url, requirement = _source(package)
        wheels = tuple(wheel.filename for wheel in package.wheels or ())
        return LockedPackage(
            name=package.name,
            version=str(package.version) if package.version else None,
            requirement=requirement,
            because=self._because(package),
            hashes=_hashes(package),
            index=package.index,
            wheels=wheels_at(url) if url is not None else wheels or None,
            has_sdist=package.sdist is not None,
            url=url,
            moving=_moving(package),
        )

    def _because(self, package: Package) -> str:
        silent = (f"{self.path.name}, which does not say what requires it",)
        return ", ".join(self.asking.get(package.name, silent))


def _called(package: Package) -> str:
    return f"{package.name} {package.version}" if package.version else str(package.name)


def _source(package: Package) -> tuple[str | None, str]:
    """Return the URL of a direct reference, and the requirement."""
    if (vcs := package.vcs) is not None:
        url = f"{vcs.type}+{_place(vcs)}"
        return url, url_requirement(package.name, f"{url}@{vcs.commit_id}", vcs.subdirectory)
    if (archive := package.archive) is not None:
        url = _place(archive)
        return url, url_requirement(package.name, url, archive.subdirectory)
    return None, f"{package.name}=={package.version}"


def _moving(package: Package) -> str | None:
    vcs = package.vcs
    if vcs is None or vcs.type != "git" or is_commit(vcs.commit_id):
        return None
    return f"`{excerpt(vcs.commit_id)}`, which is not a commit: a branch or tag may move"


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


def _asking(pylock: Pylock, config: ProjectConfig) -> _Asking:
    """Return who asks for each package: the project, an extra, a group, another package."""
    found: dict[str, list[str]] = {}
    for text, asks in direct_requirements(config):
        found.setdefault(required_name(text), []).append(asks)
    for package in pylock.packages:
        for name in _required_by(package):
            found.setdefault(name, []).append(package.name)
    return {name: tuple(sorted(set(asks))) for name, asks in found.items()}


def _required_by(package: Package) -> list[str]:
    """Return the names that a package requires, from PEP 751's key or pdm's."""
    names = [canonicalize_name(str(each.get("name", ""))) for each in package.dependencies or ()]
    return names + [required_name(text) for text in _of_pdm(package)]


def _of_pdm(package: Package) -> list[str]:
    return [str(text) for text in list_at(package.tool, "pdm", "dependencies")]


def _says_all(pylock: Pylock, config: ProjectConfig) -> bool:
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


def _holds(package: Package, environment: Any, chosen: Chosen) -> bool:  # noqa: ANN401 -- a TypedDict that packaging does not export under one name
    """Return whether a package is wanted in an environment."""
    if package.marker is None:
        return True
    return package.marker.evaluate({**environment, **chosen}, context="lock_file")


def _why_not(package: Package, environment: dict[str, str], chosen: Chosen) -> str:
    """Return why a package is not wanted: an extra or group is not chosen, or its marker."""
    everything = {variable: frozenset(_named(package, variable)) for variable in chosen}
    if package.marker and _holds(package, environment, everything):
        names = [
            f"the {kind} {name}"
            for kind, variable in (("extra", "extras"), ("group", "dependency_groups"))
            for name in everything[variable] - chosen[variable]
        ]
        return f"only required by {' or '.join(sorted(names))}"
    return f"only in the lock where {package.marker}"


def _named(package: Package, variable: str) -> set[str]:
    """Return the names that a package's marker looks for in a variable."""
    return set(re.findall(rf"[\"']([^\"']+)[\"'] in {variable}\b", str(package.marker)))
