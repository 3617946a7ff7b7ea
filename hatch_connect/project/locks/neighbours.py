"""Packages that lie beside a project: how they are named, and which a Hatch workspace has."""

from __future__ import annotations

import re
from os.path import normpath
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.request import url2pathname

from hatch_connect.errors import ProjectError
from hatch_connect.project.locks.fit import parted
from hatch_connect.project.metadata import normalized, read_metadata
from hatch_connect.project.pins import LocalPackage
from hatch_connect.project.reading import PYPROJECT, read_tables

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from hatch_connect.project.metadata import Metadata
    from hatch_connect.project.project import ProjectConfig

_CONTEXT = re.compile(r"\{(?:root|home)[^}]*\}")
_ROOT = re.compile(r"@\s*(?:file://)?\{root((?::parent)*)(?::uri|:real)*\}/?([^\s;#]*)")


def local_path(place: str, folder: Path) -> Path:
    """Return the path that a `file:` URL or a path relative to a folder means."""
    if place.startswith("file:"):
        parts = parted(place)
        return (folder / url2pathname(parts.path)).absolute()
    return (folder / place.partition("#")[0]).absolute()


def is_there(path: Path) -> bool:
    """Whether there is such a file or folder; a path that no system can have is not there."""
    try:
        return path.exists()
    except OSError:
        return False


def resolved(path: Path) -> Path:
    """Return where a path leads, links followed; one that no system can have, by its text."""
    try:
        return path.resolve()
    except (OSError, ValueError):
        return Path(normpath(path))


def is_file(path: Path) -> bool:
    """Whether there is such a file, as above."""
    try:
        return path.is_file()
    except OSError:
        return False


def matching(root: Path, pattern: str) -> list[Path]:
    """Return what a pattern of a workspace finds; one that no tool takes finds nothing."""
    try:
        return sorted(root.glob(pattern))
    except (ValueError, NotImplementedError, OSError):
        return []


def metadata_in(folder: Path) -> Metadata | None:
    """Read `[project]` of a folder; None where there is none that can be read."""
    if not is_there(folder / PYPROJECT):
        return None
    try:
        found = read_metadata(read_tables(folder), [])
    except ProjectError:
        return None
    return found if found.has_project else None


def hatch_members(config: ProjectConfig) -> dict[str, Path]:
    """Return the members of the workspace of the chosen Hatch environment, by normalized name."""
    found = {}
    for pattern in config.hatch_environment.members:
        for folder in matching(config.root, pattern):
            metadata = metadata_in(folder)
            if metadata is not None:
                found[normalized(metadata.name)] = folder
    return found


def wanted_members(
    config: ProjectConfig, requirements: tuple[tuple[str, str], ...]
) -> Iterator[LocalPackage]:
    """Return the members that the project depends on, and those that they depend on.

    `requirements` are (name, who asks). Hatch installs a member in place of what an index has
    under its name.
    """
    members, pending, seen = hatch_members(config), list(requirements), set[str]()
    while pending:
        name, asking = pending.pop(0)
        if name not in members or name in seen:
            continue
        seen.add(name)
        yield LocalPackage(name=name, path=members[name], because=asking)
        metadata = metadata_in(members[name])
        texts = metadata.dependencies if metadata else ()
        pending += [(required, name) for text in texts if (required := required_name(text))]


def required_name(text: str) -> str:
    """Return the normalized name of a requirement, also of one with a context field of Hatch."""
    from packaging.requirements import InvalidRequirement, Requirement

    try:
        return normalized(Requirement(in_context(text)).name)
    except InvalidRequirement:
        return ""


def in_context(text: str) -> str:
    """Make a URL of `{root:uri}` and the like, so that a requirement can be parsed."""
    return _CONTEXT.sub("file:///root", text)


def below_root(config: ProjectConfig, texts: Iterable[str]) -> dict[str, Path]:
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
