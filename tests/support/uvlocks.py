"""Projects with a `uv.lock`, and how they are read."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from hatch_connect.locks import find_lock, read_lock
from hatch_connect.project.target import Target
from support.projects import configuration

if TYPE_CHECKING:
    from hatch_connect.locks.lock import Lock

DATA = Path(__file__).parents[1] / "locks" / "data"


def read(root: Path, python: str = "3.11", **asked: object) -> Lock:
    config = configuration(root, overrides=asked, packages_only=True)
    found = find_lock(config)
    assert found is not None
    return read_lock(found, config, Target(python=python, machine="x86_64"))


def copy(name: str, to: Path, *changes: tuple[str, str, str]) -> Path:
    """Copy a project and change text of its files: (file, old, new)."""
    shutil.copytree(DATA / name, to, dirs_exist_ok=True)
    for file, old, new in changes:
        text = (to / file).read_text()
        assert old in text
        (to / file).write_text(text.replace(old, new))
    return to
