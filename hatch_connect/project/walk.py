"""Walks a project for files that may be content."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_FILLED_BY_PROGRAMS = frozenset(
    {"__pycache__", "__pypackages__", "build", "dist", "node_modules", "packrat", "renv"}
    | {"rsconnect", "rsconnect-python", "site-packages"}
)
_ENVIRONMENT = ("pyvenv.cfg", "conda-meta")


def walk(root: Path) -> Iterator[str]:
    """Give the files below `root` as POSIX paths, those of a folder before those below it.

    Folders that programs fill, environments and what begins with a dot are passed over.
    """
    for folder, folders, files in os.walk(root):
        here = Path(folder)
        folders[:] = sorted(name for name in folders if _is_entered(here / name))
        for name in sorted(files):
            if not name.startswith("."):
                yield (here / name).relative_to(root).as_posix()


def _is_entered(folder: Path) -> bool:
    name = folder.name
    if name.startswith(".") or name in _FILLED_BY_PROGRAMS or name.endswith(".egg-info"):
        return False
    return not any((folder / mark).exists() for mark in _ENVIRONMENT)
