"""The bundles that a project's last build left."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hatch_connect.bundle.archive import SUFFIX
from hatch_connect.errors import UsageError
from hatch_connect.project.project import all_contents, read_project

if TYPE_CHECKING:
    from pathlib import Path

    from hatch_connect.project.project import ProjectConfig


def built_bundles(root: Path) -> tuple[Path, ...]:
    """Return the bundle in dist/connect/ of each piece of content, of the project's version.

    Raises UsageError if one of them is not there, naming those that are. A `.tar.gz` is named and
    not taken: earlier releases called bundles so, and so is an sdist called.
    """
    folder = root / "dist" / "connect"
    there = sorted(path.name for end in (SUFFIX, ".tar.gz") for path in folder.glob(f"*{end}"))
    contents = (read_project(root, content=name) for name in all_contents(root))
    return tuple(folder / _chosen(config, there, folder) for config in contents)


def _chosen(config: ProjectConfig, there: list[str], folder: Path) -> str:
    name = config.content_name
    if config.version is None:
        # The version comes from the build: only one that was built can be meant.
        built = [f for f in there if f.endswith(SUFFIX) and _is_of(f.removesuffix(SUFFIX), name)]
        if len(built) == 1:
            return built[0]
    elif f"{name}-{config.version}{SUFFIX}" in there:
        return f"{name}-{config.version}{SUFFIX}"
    version = f" {config.version}" if config.version else ""
    raise UsageError(
        f"Which bundle of {name}{version}? In {folder} there is: {', '.join(there) or 'none'}.",
        hint=f"Bundles end in {SUFFIX}. Build it with `hatch build -t connect`, or name one:"
        " hatch publish -p connect FILE",
    )


def _is_of(stem: str, name: str) -> bool:
    return stem == name or (stem.startswith(f"{name}-") and stem[len(name) + 1].isdigit())
