"""One reader a format, one documented order."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hatch_connect.errors import LockError
from hatch_connect.project.locks.order import (
    PYLOCK,
    REQUIREMENTS,
    UV,
    LockFile,
    find_lock,
    format_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from hatch_connect.project.pins import Lock
    from hatch_connect.project.project import ProjectConfig
    from hatch_connect.project.target import Target

__all__ = [
    "PYLOCK",
    "REQUIREMENTS",
    "UV",
    "LockFile",
    "as_shipped",
    "find_lock",
    "format_of",
    "read_lock",
]


def read_lock(found: LockFile, config: ProjectConfig, target: Target) -> Lock:
    """Read a lock for a target; raises LockError with everything that is wrong with it."""
    from hatch_connect.project.locks.declared import heed_sources

    try:
        lock = _reader(found.format)(found, config, target)
    except RecursionError:
        raise LockError(
            f"{found.path} has markers that are nested deeper than any tool writes them.",
            hint="Lock the project again.",
        ) from None
    return heed_sources(lock, config, target, uv=found.format != UV and not found.hatch)


def as_shipped(path: Path) -> bytes:
    """Return what ships of a requirements file that another one includes."""
    from hatch_connect.project.locks.requirements_txt import as_shipped

    return as_shipped(path)


def _reader(form: str) -> Callable[[LockFile, ProjectConfig, Target], Lock]:
    if form == UV:
        from hatch_connect.project.locks.uv_lock import read_uv_lock

        return read_uv_lock
    if form == PYLOCK:
        from hatch_connect.project.locks.pylock import read_pylock

        return read_pylock
    from hatch_connect.project.locks.requirements import read_requirements

    return read_requirements
