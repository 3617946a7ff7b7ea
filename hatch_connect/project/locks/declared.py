"""Heeds where a project's build takes packages from: a lock must not have another's of that name.

A path and a member of a workspace are built, as Hatch installs them; of the rest a lock must
have what is declared. uv's own lock is compared with `[tool.uv.sources]` elsewhere.
"""

from __future__ import annotations

from dataclasses import replace
from os.path import normpath
from pathlib import Path
from typing import TYPE_CHECKING

from hatch_connect.errors import LockError
from hatch_connect.project.locks.fit import is_commit, parted
from hatch_connect.project.locks.neighbours import (
    below_root,
    hatch_members,
    in_context,
    is_there,
    local_path,
    matching,
    metadata_in,
    required_name,
    resolved,
)
from hatch_connect.project.locks.order import UV
from hatch_connect.project.metadata import PackageSource, normalized, read_source
from hatch_connect.project.pins import LocalPackage
from hatch_connect.project.reading import PYPROJECT, read_tables
from hatch_connect.project.settings import excerpt, listed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from packaging.requirements import Requirement

    from hatch_connect.project.pins import Lock, Pin
    from hatch_connect.project.project import ProjectConfig
    from hatch_connect.project.target import Target

_GIT_SCHEMES = "git+"


def declared_sources(
    config: ProjectConfig, target: Target, *, uv: bool = True
) -> tuple[PackageSource, ...]:
    """Return the sources that count; a direct reference of the project wins over any.

    Those of `[tool.uv.sources]` count (`uv`) for lists that are made of `pyproject.toml`.
    """
    found: dict[str, PackageSource] = {}
    for source in (*_direct(config), *config.hatch_environment.sources):
        found.setdefault(source.name, source)
    if uv:
        for source in _of_uv(config, target):
            found.setdefault(source.name, source)
    return tuple(found.values())


def declared_folder(config: ProjectConfig, source: PackageSource) -> Path | None:
    """Return the folder, or the file, that a package is built from; None for other sources."""
    if source.kind == "path":
        return Path(normpath(config.root / source.place / source.below))
    if source.kind != "workspace":
        return None
    if "tool.uv" in source.where:
        return _uv_members(config).get(source.name)
    return hatch_members(config).get(source.name)


def named_folder(config: ProjectConfig, name: str) -> Path | None:
    """Return the folder that a `file:` URL of the project, or Poetry's `path`, names."""
    from hatch_connect.project.locks.satisfied import direct

    for text, _ in direct(config):
        requirement = _requirement(text)
        url = (requirement and requirement.url) or ""
        if requirement and normalized(requirement.name) == name and url.startswith("file:"):
            return local_path(url.replace("${PROJECT_ROOT}", str(config.root)), config.root)
    poetry = read_tables(config.root).table("tool", "poetry", "dependencies") or {}
    for key, raw in poetry.items():
        path = raw.get("path") if isinstance(raw, dict) else None
        if normalized(key) == name and isinstance(path, str):
            return config.root / path
    return None


def declared_local(
    config: ProjectConfig, target: Target, *, uv: bool = True
) -> tuple[LocalPackage, ...]:
    """Return the packages that the project asks for and that are declared to be built."""
    from hatch_connect.project.locks.satisfied import direct

    asked = {required_name(text): asking for text, asking in direct(config)}
    return tuple(
        LocalPackage(name=source.name, path=folder, because=asked[source.name])
        for source in declared_sources(config, target, uv=uv)
        if source.name in asked and (folder := declared_folder(config, source)) is not None
    )


def heed_sources(lock: Lock, config: ProjectConfig, target: Target, *, uv: bool = True) -> Lock:
    """Return a lock with what is declared to be built; raises LockError for what contradicts."""
    from hatch_connect.project.locks.satisfied import unsatisfied

    problems: list[str] = []
    asked = {one.name: one for one in declared_local(config, target, uv=uv)}
    for source in declared_sources(config, target, uv=uv):
        pins = [pin for pin in lock.pins if pin.name == source.name]
        beside = next((one for one in lock.local if one.name == source.name), None)
        if source.kind in {"path", "workspace"}:
            one = asked.get(source.name) or _of_pins(pins, declared_folder(config, source))
            lock = _built(lock, one, source, pins, problems)
        elif beside is not None and source.kind != "index":
            problems.append(f"{source.where} is {source}, and {lock.called} has {beside.path}.")
        else:
            problems += [
                f"{source.where} is {source}, and {lock.called} has {had}."
                for pin in pins
                if (had := _contradiction(source, pin, lock))
            ]
    if lock.format == UV and asked:
        problems += unsatisfied(config, lock.pins, target, local=lock.local, called=UV)
    if problems:
        raise LockError(
            listed(f"{lock.called} has not what {config.path} declares:", problems),
            hint="Lock again with the tool that knows these sources (Hatch 1.18 or newer:"
            " hatch env lock), or let both name the same.",
        )
    return lock


def _of_pins(pins: list[Pin], folder: Path | None) -> LocalPackage | None:
    if not pins or folder is None:
        return None
    return LocalPackage(name=pins[0].name, path=folder, because=pins[0].because)


def _built(
    lock: Lock,
    one: LocalPackage | None,
    source: PackageSource,
    pins: list[Pin],
    problems: list[str],
) -> Lock:
    """Put a package that is declared to be built in the place of what a lock has."""
    beside = next((other for other in lock.local if other.name == source.name), None)
    if one is None or not is_there(one.path):
        if one is not None or pins:
            problems.append(f"{source.where} is {source}, which is not there.")
    elif beside is not None:
        if resolved(beside.path) != resolved(one.path):
            problems.append(f"{source.where} is {source}, and {lock.called} has {beside.path}.")
    elif pins and lock.verbatim is not None:
        line = excerpt(pins[0].requirement)
        problems.append(
            f"{source.where} is {source}, and {lock.called} has `{line}`, which would be installed"
            " instead: `compile-requirements = true` builds the one that is meant."
        )
    else:
        kept = tuple(pin for pin in lock.pins if pin not in pins)
        return replace(lock, pins=kept, local=(*lock.local, one))
    return lock


def _contradiction(source: PackageSource, pin: Pin, lock: Lock) -> str | None:
    """Return what a lock has in place of a source, or None."""
    requirement = _requirement(pin.requirement)
    url = requirement.url if requirement else None
    had = f"`{excerpt(pin.requirement)}`"
    if source.kind == "index":
        if url is not None or _comes_from(source.place, pin, lock):
            return None
        return f"{had} from {pin.index}" if pin.index else f"{had} and does not name that index"
    if url is None:
        return f"{had}, from an index"
    if source.kind == "url":
        return None if _plain(url) == _plain(source.place) else had
    repository, commit = _repository(url)
    wanted = _repository(f"{_GIT_SCHEMES}{source.place}")[0]
    same = repository == wanted and url.startswith(_GIT_SCHEMES)
    if same and is_commit(source.reference) and is_commit(commit):
        same = commit.startswith(source.reference) or source.reference.startswith(commit)
    return None if same else had


def _comes_from(index: str, pin: Pin, lock: Lock) -> bool:
    if pin.index is not None:
        return pin.index.rstrip("/") == index.rstrip("/")
    if lock.path is None:
        return True  # what is installed does not say where from
    return any(index.rstrip("/").encode() in file.read_bytes() for file in lock.files)


def _plain(url: str) -> str:
    return url.partition("#")[0]


def _repository(url: str) -> tuple[str, str]:
    """Return host and path of a repository, however it is reached, and the reference."""
    parts = parted(url)
    path, _, reference = parts.path.partition("@")
    return f"{parts.hostname}/{path.strip('/').removesuffix('.git')}".lower(), reference


def _requirement(text: str) -> Requirement | None:
    from packaging.requirements import InvalidRequirement, Requirement

    try:
        return Requirement(text)
    except InvalidRequirement:
        return None


def _direct(config: ProjectConfig) -> Iterator[PackageSource]:
    """Return the direct references of the project's own requirements."""
    from hatch_connect.project.locks.satisfied import direct

    for text, asking in direct(config):
        requirement = _requirement(in_context(text))
        url = requirement.url if requirement else None
        if (
            requirement is None
            or url is None
            or normalized(requirement.name) in below_root(config, [text])
        ):
            continue
        scheme = parted(url).scheme
        git = scheme.startswith(_GIT_SCHEMES)
        if git or scheme in {"http", "https"}:
            yield PackageSource(
                name=normalized(requirement.name),
                kind="git" if git else "url",
                place=url.removeprefix(_GIT_SCHEMES).partition("#")[0] if git else url,
                reference=_repository(url)[1] if git else "",
                where=f"`{excerpt(text)}` of {asking}",
            )


def _of_uv(config: ProjectConfig, target: Target) -> Iterator[PackageSource]:
    from packaging.markers import InvalidMarker, Marker

    sources = config.metadata.uv.get("sources", {})
    indexes = config.metadata.uv.get("index", [])
    by_name = {
        each.get("name"): each.get("url")
        for each in (indexes if isinstance(indexes, list) else ())
        if isinstance(each, dict)
    }
    for name, raw in sources.items() if isinstance(sources, dict) else ():
        for entry in raw if isinstance(raw, list) else [raw]:
            source = read_source(name, entry, "tool.uv.sources.{}", [])
            if source is None:
                continue
            try:
                holds = not source.marker or Marker(source.marker).evaluate(target.environment())
            except InvalidMarker:
                continue
            if holds and source.kind == "index":
                source = replace(source, place=str(by_name.get(source.place) or source.place))
            if holds:
                yield source


def _uv_members(config: ProjectConfig) -> dict[str, Path]:
    """Return the members of uv's workspace that the project is in, by normalized name."""
    found = {}
    for folder in (config.root, *config.root.parents):
        if not (folder / PYPROJECT).is_file():
            continue
        workspace = read_tables(folder).table("tool", "uv", "workspace")
        if workspace is None:
            continue
        patterns = workspace.get("members", [])
        for pattern in patterns if isinstance(patterns, list) else ():
            for member in matching(folder, str(pattern)):
                if (metadata := metadata_in(member)) is not None:
                    found[normalized(metadata.name)] = member
        break
    return found
