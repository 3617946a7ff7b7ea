"""Reads PEP 751 locks (`pylock.toml`, `pylock.NAME.toml`), whoever wrote them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from hatch_connect.errors import LockError
from hatch_connect.project.locks.fit import file_name, fits, index_note, misfit, url_problem
from hatch_connect.project.locks.order import PYLOCK, read_lock_toml
from hatch_connect.project.locks.patches import choose_for_patches
from hatch_connect.project.locks.satisfied import unsatisfied
from hatch_connect.project.pins import Lock, Pin, listed, normalized

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

    from hatch_connect.project.config import ProjectConfig
    from hatch_connect.project.locks.order import LockFile
    from hatch_connect.project.pins import Target

    Source = PackageVcs | PackageDirectory | PackageArchive | PackageWheel | PackageSdist

_AGAIN = "Lock again with the tool that made it"


def read_pylock(found: LockFile, config: ProjectConfig, target: Target) -> Lock:
    """Read the lock for a target; raises LockError with everything that is wrong with it."""
    data = found.path.read_bytes()
    pylock = _parsed(found.path)
    wanted = _Wanted.of(pylock, found, config)
    pinning = _Pinning(
        path=found.path, config=config, target=target, tags=tuple(target.tags()), wanted=wanted
    )
    pins = choose_for_patches(
        found.path,
        data.decode(),
        target,
        requires_python=str(pylock.requires_python or ""),
        choose=lambda environment: pinning.choose(pylock, environment),
    )
    _check_fresh(found, config, pins, target)
    if pinning.problems:
        raise LockError(
            listed(f"{found.path} cannot be installed on Connect:", pinning.problems),
            hint=f"{_AGAIN}, for linux (Hatch: `[tool.uv.pip] universal = true`).",
        )
    return Lock(
        path=found.path,
        format=PYLOCK,
        pins=tuple(sorted(pins, key=lambda pin: pin.requirement)),
        sha256=hashlib.sha256(data).hexdigest(),
        files=(found.path,),
        notes=tuple(pinning.notes),
    )


def _check_fresh(
    found: LockFile, config: ProjectConfig, pins: tuple[Pin, ...], target: Target
) -> None:
    if found.hatch and not config.hatch_environment.installs_project:
        return
    stale = unsatisfied(config, pins, target)
    if stale:
        with_hatch = " (hatch env lock)" if found.hatch else ""
        raise LockError(
            listed(f"{found.path} is stale: it is not what {config.path} asks for.", stale),
            hint=f"{_AGAIN}{with_hatch}.",
        )


def _parsed(path: Path) -> Pylock:
    from packaging.pylock import Pylock, PylockUnsupportedVersionError, PylockValidationError

    try:
        return Pylock.from_dict(read_lock_toml(path))
    except PylockUnsupportedVersionError as error:
        raise LockError(f"{path}: {error}.", hint="Update hatch-connect.") from None
    except PylockValidationError as error:
        raise LockError(f"{path} is no valid lock: {error}.", hint=f"{_AGAIN}.") from None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Wanted:
    """The extras and groups to select, checked: `select` ignores unknown ones in silence."""

    extras: frozenset[str]
    groups: frozenset[str]

    @classmethod
    def of(cls, pylock: Pylock, found: LockFile, config: ProjectConfig) -> _Wanted:
        """Check what the configuration asks for against what the lock offers.

        A Hatch environment's lock has its extras and groups baked in and offers none.
        """
        extras = frozenset(normalized(name) for name in pylock.extras or ())
        groups = frozenset(normalized(name) for name in pylock.dependency_groups or ())
        default = frozenset(normalized(name) for name in pylock.default_groups or ())
        problems = [
            f"There is no {kind} `{name}` in it (there are: {', '.join(sorted(known)) or 'none'})."
            for kind, names, known in (
                ("extra", config.extras, extras),
                ("dependency group", config.groups, groups | default),
            )
            for name in names
            if name not in known
        ]
        if problems:
            raise LockError(
                listed(f"{found.path} has not all that is asked for:", problems),
                hint=f"{_AGAIN}, with these extras and groups, or do not ask for them.",
            )
        # Naming groups takes the place of the default ones, which hold pdm's main dependencies.
        return cls(extras=frozenset(config.extras), groups=default | frozenset(config.groups))


@dataclass(slots=True, kw_only=True)
class _Pinning:
    """Turns what was selected into pins; problems and notes are collected once each."""

    path: Path
    config: ProjectConfig
    target: Target
    tags: tuple[Tag, ...]
    wanted: _Wanted
    problems: dict[str, None] = field(default_factory=dict)
    notes: dict[str, None] = field(default_factory=dict)

    def choose(self, pylock: Pylock, environment: dict[str, str]) -> tuple[Pin, ...]:
        """Select for one environment."""
        return tuple(
            self._pin(package, source)
            for package, source in self._selected(pylock, environment)
            if package.name != normalized(self.config.project_name)
        )

    def _selected(
        self, pylock: Pylock, environment: dict[str, str]
    ) -> Iterator[tuple[Package, Source]]:
        from packaging.pylock import PylockSelectError

        complete: Any = environment
        selectable = self._without_misfits(pylock, complete)
        try:
            yield from selectable.select(
                environment=complete,
                tags=self.tags,
                extras=self.wanted.extras,
                dependency_groups=self.wanted.groups,
            )
        except PylockSelectError as error:
            self.problems[f"{error}."] = None

    def _without_misfits(self, pylock: Pylock, environment: Any) -> Pylock:  # noqa: ANN401 -- a TypedDict that packaging does not export under one name
        """Take out packages without a file for the target: `select` would stop at the first."""
        from dataclasses import replace

        fitting = []
        for package in pylock.packages:
            wheels = [wheel.filename for wheel in package.wheels or ()]
            alone = package.sdist is None and not package.is_direct
            if alone and wheels and not fits(wheels, frozenset(self.tags)):
                if self._holds(package, environment):
                    self.problems[misfit(_called(package), wheels, self.target)] = None
            else:
                fitting.append(package)
        return replace(pylock, packages=fitting)

    def _holds(self, package: Package, environment: Any) -> bool:  # noqa: ANN401 -- as above
        if package.marker is None:
            return True
        return package.marker.evaluate(
            {
                **environment,
                "extras": self.wanted.extras,
                "dependency_groups": self.wanted.groups,
            },
            context="lock_file",
        )

    def _pin(self, package: Package, source: Source) -> Pin:
        called = _called(package)
        for problem in (self._source_problem(package, source), self._hash_problem(package)):
            if problem is not None:
                self.problems[problem] = None
        if file_name(_place(source)).endswith((".tar.gz", ".zip")) and package.wheels:
            self.notes[f"{called} has no wheel for the target: the server builds it."] = None
        if (note := index_note(package.index)) is not None:
            self.notes[note] = None
        return Pin(
            name=package.name,
            requirement=_requirement(package),
            version=str(package.version) if package.version else None,
            hashes=_hashes(package) if self.config.hashes else (),
            because=self.path.name,
        )

    def _source_problem(self, package: Package, source: Source) -> str | None:
        called = _called(package)
        if package.directory is not None:
            return f"{called} is a path dependency (`{package.directory.path}`)."
        place = _place(source)
        if package.is_direct:
            wheel = file_name(place)
            if wheel.endswith(".whl") and not fits([wheel], frozenset(self.tags)):
                return misfit(called, [wheel], self.target)
            return url_problem(called, place) if "://" in place else _local(called, place)
        return None if package.version else f"{called} has no version in it."

    def _hash_problem(self, package: Package) -> str | None:
        if not self.config.hashes or _hashes(package):
            return None
        return f"{_called(package)} has no hash in it, and `hashes = true` needs one for each."


def _local(called: str, place: str) -> str:
    return f"{called} comes from a file that only this machine has: {place}."


def _called(package: Package) -> str:
    return f"{package.name} {package.version}" if package.version else str(package.name)


def _place(source: Source) -> str:
    url = getattr(source, "url", None)
    return str(url or getattr(source, "path", None) or "")


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
