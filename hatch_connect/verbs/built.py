"""The bundles that a project's last build left."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hatch_connect.errors import UsageError
from hatch_connect.project.config import read_project

if TYPE_CHECKING:
    from pathlib import Path


def built_bundles(root: Path) -> tuple[Path, ...]:
    """Return the bundle in dist/connect/ that the project's version names.

    Where there is none of that version, the only bundle there is. Raises UsageError where there
    is none, or one cannot tell which is meant.
    """
    config = read_project(root)
    folder = root / "dist" / "connect"
    found = sorted(folder.glob(f"{config.content_name}*.tar.gz"))
    current = [p for p in found if p.name == f"{config.content_name}-{config.version}.tar.gz"]
    chosen = current or found
    if not chosen:
        raise UsageError(
            f"There is no bundle in {folder}.", hint="Build it first: hatch build -t connect"
        )
    if len(chosen) > 1:
        raise UsageError(
            f"There are several bundles: {', '.join(p.name for p in chosen)}.",
            hint="Name the one to deploy: hatch publish -p connect FILE",
        )
    return tuple(chosen)
