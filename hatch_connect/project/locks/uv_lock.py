"""Reads one format of locks."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hatch_connect.project.config import ProjectConfig
    from hatch_connect.project.locks.order import LockFile
    from hatch_connect.project.pins import Lock, Target


def read_uv_lock(found: LockFile, config: ProjectConfig, target: Target) -> Lock:
    """Read it."""
    raise NotImplementedError
