"""Free the disk: remove what no content of a state folder needs any more, or all of it."""

from __future__ import annotations

import shutil
import stat
import time
from contextlib import closing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from uuid import uuid4

from hatch_connect.local.disk import usable
from hatch_connect.local.files import COMPLETE, UPLOAD, Files
from hatch_connect.local.logs import Logs
from hatch_connect.local.state import State
from hatch_connect.project.target import minor_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator
    from pathlib import Path

MOST_ENVIRONMENTS = 20
"""Environments that no active bundle has are kept up to this number at the start of a server ..."""
LONGEST_UNUSED = 60 * 24 * 3600
"""... and for so many seconds since they were last used."""
_KEPT_BY_RESET = ("api-key", "users.toml", "server.json", "lock")
KINDS = {
    "environments": "environment",
    "runtime": "runtime",
    "bundles": "archive",
    "unpacked": "unpacked bundle",
    "rendered": "rendered bundle",
    "logs": "log",
    "home": "home folder",
    "thumbnails": "thumbnail",
}
"""What is in the folders of a state, by their names."""
_REMOVING = "removing"


@dataclass(slots=True)
class Freed:
    """What was removed, by kind, and how many bytes of the disk that freed."""

    counts: dict[str, int] = field(default_factory=dict)
    size: int = 0

    def remove(self, path: Path, kind: str) -> None:
        """Remove a file or a folder, and count it."""
        self.size += sum(_sizes(path))
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
        self.counts[kind] = self.counts.get(kind, 0) + 1


def _sizes(path: Path) -> Iterator[int]:
    """Yield the bytes of each file that goes with a path; one that has other names stays."""
    status = path.lstat()
    if stat.S_ISDIR(status.st_mode):
        for each in path.iterdir():
            yield from _sizes(each)
    elif status.st_nlink == 1:
        yield status.st_size


def prune(state: Path) -> Freed:
    """Remove what no bundle needs; the caller holds the lock of the state. Raises DiskError."""
    freed = Freed()
    with usable(state), closing(State(state)) as database:
        # Once more after it, since the database cannot be changed on a full disk.
        _remove_others(state, database, freed)
        database.forget_gone()
        _remove_others(state, database, freed)
    return freed


def _remove_others(state: Path, database: State, freed: Freed) -> None:
    for folder, names in _needed(Files(state), database).items():
        for path in _in(state / folder):
            if path.name not in names:
                freed.remove(path, folder)
    for path in _in(state / _REMOVING):
        freed.remove(path, "environments")


def reset(state: Path) -> Freed:
    """Remove all content and what belongs to it; keys, people and ports stay (DiskError)."""
    freed = Freed()
    with usable(state):
        for path in _in(state):
            if path.name not in _KEPT_BY_RESET:
                freed.remove(path, path.name)
    return freed


def number_of_contents(state: Path) -> int:
    """Return how many pieces of content there are; raises DiskError if that cannot be read."""
    if not (state / "state.sqlite3").is_file():
        return 0
    with usable(state), closing(State(state)) as database:
        return len(database.contents())


def _in(folder: Path) -> tuple[Path, ...]:
    return tuple(sorted(folder.iterdir())) if folder.is_dir() else ()


def _needed(files: Files, database: State) -> dict[str, Collection[str]]:
    """Return the names that are needed, by the folder that they are in."""
    contents = database.contents()
    bundles = [bundle for content in contents for bundle in database.bundles(content)]
    guids = {content.guid for content in contents}
    logs = {job.key for content in contents for job in database.jobs(content)}
    logs |= {one.id for content in contents for one in database.deployments(content)}
    return {
        "bundles": {files.archive(bundle).name for bundle in bundles},
        "unpacked": {files.unpacked(bundle).name for bundle in bundles if bundle.folder},
        "rendered": {files.rendered(bundle).name for bundle in bundles if bundle.pages},
        "environments": {bundle.environment for bundle in bundles if bundle.environment},
        "runtime": {minor_of(bundle.python) for bundle in bundles if bundle.python},
        "logs": {Logs(files.folder).path(key).name for key in logs},
        "home": guids,
        "thumbnails": guids,
    }


def set_aside(state: Path, database: State) -> Path:
    """Move away what an earlier server left half done, and environments that are long unused.

    That takes no time; the folder that is returned is to be removed. An environment is made again
    when its bundle is visited or activated; those of active bundles stay.
    """
    aside = state / _REMOVING
    uploads = Files(state).uploads.glob(f"{UPLOAD}*")
    half = (path for folder in ("unpacked", "rendered") for path in (state / folder).glob("*.new"))
    for path in (*uploads, *half, *_unused(state / "environments", database)):
        aside.mkdir(exist_ok=True)
        path.rename(aside / f"{path.name}-{uuid4().hex[:8]}")
    return aside


def _unused(folder: Path, database: State) -> Iterable[Path]:
    active = (database.active_bundle(content) for content in database.contents())
    kept = {bundle.environment for bundle in active if bundle is not None}
    last_used: dict[Path, float] = {}
    for path in _in(folder):
        try:
            used = (path / COMPLETE).stat().st_mtime
        except OSError:
            yield path
            continue
        if path.name not in kept:
            last_used[path] = used
    for number, path in enumerate(sorted(last_used, key=lambda each: -last_used[each])):
        if number >= MOST_ENVIRONMENTS or last_used[path] < time.time() - LONGEST_UNUSED:
            yield path
