"""Reads requirements files, which are shipped as they are written."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hatch_connect.project.config import ProjectConfig
    from hatch_connect.project.locks.order import LockFile
    from hatch_connect.project.pins import Lock


def read_requirements(found: LockFile, config: ProjectConfig) -> Lock:
    """Check a requirements file and its includes; raises LockError with all problems."""
    raise NotImplementedError
