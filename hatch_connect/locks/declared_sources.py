"""Packages that lie beside a project, and where its build takes single packages from.

A path and a member of a workspace are built, as Hatch installs them; of the rest a lock must
have what is declared, and not another package of that name. The pins of a lock that does not say
what it is for must satisfy the project's requirements and those of its path dependencies. uv's own
lock is compared with `[tool.uv.sources]` elsewhere.
"""

from __future__ import annotations

import re
from dataclasses import replace
from os.path import normpath
from pathlib import Path
from typing import TYPE_CHECKING

from packaging.utils import canonicalize_name

from hatch_connect.errors import ProjectError
from hatch_connect.locks.compatibility import holds, is_commit, parted
from hatch_connect.locks.lock import UV, LocalPackage, Lock
from hatch_connect.locks.problems import Problems, raise_if_any
from hatch_connect.project.metadata import (
    PackageSource,
    parse_marker,
    parse_requirement,
    read_package_source,
)
from hatch_connect.project.reading import PYPROJECT
from hatch_connect.secret import excerpt
from hatch_connect.typed import list_at, table_at, text_at

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from packaging.requirements import Requirement

    from hatch_connect.locks.lock import Pin
    from hatch_connect.project.metadata import Metadata
    from hatch_connect.project.project import Project, ProjectConfig
    from hatch_connect.project.target import Target

# Context fields: https://hatch.pypa.io/latest/config/context/
_CONTEXT = re.compile(r"\{(?:root|home)[^}]*\}")
_ROOT = re.compile(r"@\s*(?:file://)?\{root((?::parent)*)(?::uri|:real)*\}/?([^\s;#]*)")

_GIT_SCHEMES = "git+"


def local_path(place: str, folder: Path) -> Path:
    """Return the path that a `file:` URL or a path relative to a folder means."""
    if place.startswith("file:"):
        parts = parted(place)
        from urllib.request import url2pathname

        return (folder / url2pathname(parts.path)).absolute()
    return (folder / place.partition("#")[0]).absolute()


def is_there(path: Path) -> bool:
    """Return whether there is such a file or folder; False for an impossible path."""
    try:
        return path.exists()
    except OSError:
        return False


def resolved(path: Path) -> Path:
    """Return a path with its links resolved; an impossible path as it is written."""
    try:
        return path.resolve()
    except (OSError, ValueError):
        return Path(normpath(path))


def is_file(path: Path) -> bool:
    """Return whether there is such a file, as above."""
    try:
        return path.is_file()
    except OSError:
        return False


def _matching(root: Path, pattern: str) -> list[Path]:
    """Return what a pattern of a workspace matches; nothing for an invalid pattern."""
    try:
        return sorted(root.glob(pattern))
    except (ValueError, NotImplementedError, OSError):
        return []


def metadata_in(project: Project, folder: Path) -> Metadata | None:
    """Return `[project]` of a folder beside the project; None if there is none to be read."""
    try:
        found = project.beside(folder) if is_there(folder / PYPROJECT) else None
    except ProjectError:
        return None
    return found.metadata if found and found.metadata.has_project else None


def _hatch_members(config: ProjectConfig) -> dict[str, Path]:
    return _members(config.project, config.root, config.hatch_environment.members)


def _members(project: Project, root: Path, patterns: Iterable[object]) -> dict[str, Path]:
    """Return the projects in the folders of a workspace, by normalized name."""
    folders = (folder for pattern in patterns for folder in _matching(root, str(pattern)))
    found = ((metadata_in(project, folder), folder) for folder in folders)
    return {canonicalize_name(metadata.name): folder for metadata, folder in found if metadata}


def wanted_members(config: ProjectConfig) -> dict[str, LocalPackage]:
    """Return the members of Hatch's workspace that the project depends on, and those they need.

    Hatch installs a member in place of what an index has under its name.
    """
    members, found = _hatch_members(config), dict[str, LocalPackage]()
    pending = [(required_name(text), asking) for text, asking in direct_requirements(config)]
    while pending:
        name, asking = pending.pop(0)
        if name not in members or name in found:
            continue
        found[name] = LocalPackage(name=name, path=members[name], because=asking)
        metadata = metadata_in(config.project, members[name])
        texts = metadata.dependencies if metadata else ()
        pending += [(required_name(text), name) for text in texts]
    return found


def required_name(text: str) -> str:
    """Return the normalized name of a requirement, also of one with a context field of Hatch."""
    requirement = parse_requirement(_in_context(text))
    return canonicalize_name(requirement.name) if requirement else ""


def _in_context(text: str) -> str:
    """Replace Hatch's `{root:uri}` and the like by a URL, so that the requirement can be parsed."""
    return _CONTEXT.sub("file:///root", text)


def _below_root(config: ProjectConfig, texts: Iterable[str]) -> dict[str, Path]:
    """Return the folders of requirements that say `{root:uri}/...`, by normalized name.

    Hatch locks the path that such a folder has on the machine at hand.
    """
    found = {}
    for text in texts:
        place = _ROOT.search(text)
        if place is not None:
            above = place[1].count(":parent")
            root = config.root.parents[above - 1] if above else config.root
            found[required_name(text)] = root / place[2]
    return found


def _declared_sources(
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


def _declared_folder(config: ProjectConfig, source: PackageSource) -> Path | None:
    """Return the folder or file that a package is built from; None for other sources."""
    if source.kind == "path":
        return Path(normpath(config.root / source.place / source.below))
    if source.kind != "workspace":
        return None
    members = _uv_members(config) if "tool.uv" in source.where else _hatch_members(config)
    return members.get(source.name)


def folder_in_project(config: ProjectConfig, target: Target, name: str) -> Path | None:
    """Return the folder that the project names for a package: a lock's may be elsewhere."""
    found = _below_root(config, (text for text, _ in direct_requirements(config))).get(name)
    for source in _declared_sources(config, target):
        if found is None and source.name == name:
            found = _declared_folder(config, source)
    found = found or _named_folder(config, name)
    return found if found is not None and found.exists() else None


def _named_folder(config: ProjectConfig, name: str) -> Path | None:
    """Return the folder that a `file:` URL of the project, or Poetry's `path`, names."""
    for text, _ in direct_requirements(config):
        requirement = parse_requirement(text)
        url = (requirement and requirement.url) or ""
        # pdm writes `file:///${PROJECT_ROOT}/FOLDER`.
        if requirement and canonicalize_name(requirement.name) == name and url.startswith("file:"):
            return local_path(url.replace("${PROJECT_ROOT}", str(config.root)), config.root)
    poetry = config.project.tables.table("tool", "poetry", "dependencies") or {}
    for key, raw in poetry.items():
        path = text_at(raw, "path")
        if canonicalize_name(key) == name and path is not None:
            return config.root / path
    return None


def declared_local(
    config: ProjectConfig, target: Target, *, uv: bool = True
) -> tuple[LocalPackage, ...]:
    """Return the packages that the project asks for and that are declared to be built."""
    asked = {required_name(text): asking for text, asking in direct_requirements(config)}
    return tuple(
        LocalPackage(name=source.name, path=folder, because=asked[source.name])
        for source in _declared_sources(config, target, uv=uv)
        if source.name in asked and (folder := _declared_folder(config, source)) is not None
    )


def apply_declared_sources(
    lock: Lock, config: ProjectConfig, target: Target, *, uv: bool = True
) -> Lock:
    """Return the lock with the packages that are declared to be built.

    Raises LockError if the lock contradicts a declaration.
    """
    problems: list[str] = []
    asked = {one.name: one for one in declared_local(config, target, uv=uv)}
    for source in _declared_sources(config, target, uv=uv):
        pins = [pin for pin in lock.pins if pin.name == source.name]
        if source.kind in {"path", "workspace"}:
            one = asked.get(source.name) or _of_pins(pins, _declared_folder(config, source))
            applied = _applied(lock, one, source, pins)
            if isinstance(applied, Lock):
                lock = applied
            else:
                problems.append(f"{source.where} is {source}, {applied}")
        else:
            problems += [
                f"{source.where} is {source}, but {lock.called} has {had}."
                for had in _contradictions(source, pins, lock)
            ]
    if lock.format == UV and asked:
        problems += unsatisfied(config, lock.pins, target, local=lock.local, called=UV)
    raise_if_any(
        Problems(
            f"{lock.called} does not match the sources that {config.path} declares:",
            "Lock again with a tool that supports these sources (Hatch 1.18 or newer: hatch env"
            " lock), or make both name the same source.",
            problems,
        ),
    )
    return lock


def _of_pins(pins: list[Pin], folder: Path | None) -> LocalPackage | None:
    if not pins or folder is None:
        return None
    return LocalPackage(name=pins[0].name, path=folder, because=pins[0].because)


def _applied(
    lock: Lock, one: LocalPackage | None, source: PackageSource, pins: list[Pin]
) -> Lock | str:
    """Return the lock with a package that is built in place of its pins, or what speaks against."""
    beside = _beside(lock, source)
    if one is None or not is_there(one.path):
        return "which does not exist." if one is not None or pins else lock
    if beside is not None:
        same = resolved(beside.path) == resolved(one.path)
        return lock if same else f"but {lock.called} has {beside.path}."
    if pins and lock.verbatim is not None:
        line = excerpt(pins[0].requirement)
        return (
            f"but {lock.called} has `{line}`, which would be installed instead: set"
            " `compile-requirements = true` to build the declared one."
        )
    kept = tuple(pin for pin in lock.pins if pin not in pins)
    return replace(lock, pins=kept, local=(*lock.local, one))


def _beside(lock: Lock, source: PackageSource) -> LocalPackage | None:
    return next((one for one in lock.local if one.name == source.name), None)


def _contradictions(source: PackageSource, pins: Iterable[Pin], lock: Lock) -> Iterator[str]:
    """Return what a lock has in place of a source that is not built."""
    beside = _beside(lock, source)
    if beside is not None and source.kind != "index":
        yield str(beside.path)
    else:
        yield from filter(None, (_contradiction(source, pin, lock) for pin in pins))


def _contradiction(source: PackageSource, pin: Pin, lock: Lock) -> str | None:
    """Return what a lock has in place of a source, or None."""
    requirement = parse_requirement(pin.requirement)
    url = requirement.url if requirement else None
    had = f"`{excerpt(pin.requirement)}`"
    if source.kind == "index":
        if url is not None or _comes_from(source.place, pin, lock):
            return None
        if pin.index:
            return f"{had} from {pin.index}"
        return f"{had}, which does not name that index"
    if url is None:
        return f"{had}, from an index"
    if source.kind == "url":
        return None if _plain(url) == _plain(source.place) else had
    repository, commit = _repository(url)
    wanted = _repository(f"{_GIT_SCHEMES}{source.place}")[0]
    same = repository == wanted and url.startswith(_GIT_SCHEMES)
    # Of two commits either may be abbreviated; a branch or tag cannot be compared with a commit.
    if same and is_commit(source.reference) and is_commit(commit):
        same = commit.startswith(source.reference) or source.reference.startswith(commit)
    return None if same else had


def _comes_from(index: str, pin: Pin, lock: Lock) -> bool:
    if pin.index is not None:
        return pin.index.rstrip("/") == index.rstrip("/")
    if lock.path is None:
        return True  # an installed package does not tell its index
    return any(index.rstrip("/").encode() in data for data in lock.files.values())


def _plain(url: str) -> str:
    return url.partition("#")[0]


def _repository(url: str) -> tuple[str, str]:
    """Return host and path of a repository, however it is reached, and the reference."""
    # Of one repository there are URLs with https and ssh, with `.git` and without.
    parts = parted(url)
    path, _, reference = parts.path.partition("@")
    return f"{parts.hostname}/{path.strip('/').removesuffix('.git')}".lower(), reference


def _direct(config: ProjectConfig) -> Iterator[PackageSource]:
    """Return the direct references of the project's own requirements."""
    for text, asking in direct_requirements(config):
        requirement = parse_requirement(_in_context(text))
        url = requirement.url if requirement else None
        if requirement is None or url is None or _ROOT.search(text):
            continue
        scheme = parted(url).scheme
        git = scheme.startswith(_GIT_SCHEMES)
        if git or scheme in {"http", "https"}:
            yield PackageSource(
                name=canonicalize_name(requirement.name),
                kind="git" if git else "url",
                place=url.removeprefix(_GIT_SCHEMES).partition("#")[0] if git else url,
                reference=_repository(url)[1] if git else "",
                where=f"`{excerpt(text)}` of {asking}",
            )


def _of_uv(config: ProjectConfig, target: Target) -> Iterator[PackageSource]:
    uv = config.metadata.uv
    by_name = {text_at(each, "name"): text_at(each, "url") for each in list_at(uv, "index")}
    for name, raw in table_at(uv, "sources").items():
        for entry in raw if isinstance(raw, list) else [raw]:
            source = read_package_source(name, entry, "tool.uv.sources.{}", [])
            if source is None:
                continue
            marker = parse_marker(source.marker)
            applies = marker.evaluate(target.environment()) if marker else not source.marker
            # In `tool.uv.sources` an index goes by its name in `[[tool.uv.index]]`.
            if applies and source.kind == "index":
                source = replace(source, place=by_name.get(source.place) or source.place)
            if applies:
                yield source


def _uv_members(config: ProjectConfig) -> dict[str, Path]:
    """Return the members of uv's workspace that the project is in, by normalized name."""
    for folder in (config.root, *config.root.parents):
        project = config.project.beside(folder)
        workspace = project.metadata.uv.get("workspace") if project else None
        if isinstance(workspace, dict):
            return _members(config.project, folder, list_at(workspace, "members"))
    return {}


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
    built = {one.name: one for one in local}
    there = {canonicalize_name(config.project_name), *built}
    wanted = [(text, "") for text, _ in direct_requirements(config)]
    for one in built.values():
        metadata = metadata_in(config.project, one.path)
        texts = metadata.dependencies if metadata else ()
        wanted += [(text, f" It is required by {one.name}.") for text in texts]
    return [
        f"`{text}` {problem}{by}"
        for text, by in wanted
        if required_name(text) not in there
        and (problem := _problem(text, found, target, called)) is not None
    ]


def _problem(text: str, found: dict[str, list[Pin]], target: Target, called: str) -> str | None:
    """Return why no pin satisfies a requirement; None if one does, or none must."""
    requirement = parse_requirement(_in_context(text))
    # One that does not hold for all patch releases may be left out.
    if requirement is None or not holds(requirement, target, all):
        return None
    pins = found.get(canonicalize_name(requirement.name), ())
    if not pins:
        return f"is not in {called}."
    if any(_allows(requirement, pin) for pin in pins):
        return None
    locked = ", ".join(sorted(pin.version or pin.requirement for pin in pins))
    return f"does not allow {locked}, which {called} has."


def direct_requirements(config: ProjectConfig) -> Iterator[tuple[str, str]]:
    """Return the requirements of the project as written, each with who asks for it."""
    yield from ((text, "the project") for text in config.dependencies)
    for kind, tables, chosen in (
        ("the extra", config.metadata.extras, config.extras),
        ("the group", config.metadata.groups, config.groups),
    ):
        for name, texts in tables:
            if canonicalize_name(name) in chosen:
                yield from ((text, f"{kind} {canonicalize_name(name)}") for text in texts)


def _allows(requirement: Requirement, pin: Pin) -> bool:
    # What comes from a URL has no version to compare.
    if requirement.url is not None:
        return "://" in pin.requirement
    return pin.version is None or requirement.specifier.contains(pin.version, prereleases=True)
