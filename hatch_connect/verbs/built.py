"""The bundles that a project's last build left."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hatch_connect.errors import UsageError
from hatch_connect.project.config import all_contents, read_project

if TYPE_CHECKING:
    from pathlib import Path

    from hatch_connect.project.config import ProjectConfig


def built_bundles(root: Path) -> tuple[Path, ...]:
    """Return the bundle in dist/connect/ of each piece of content, of the project's version.

    Raises UsageError where one of them is not there, naming those that are.
    """
    folder = root / "dist" / "connect"
    there = sorted(path.name for path in folder.glob("*.tar.gz"))
    contents = (read_project(root, content=name) for name in all_contents(root))
    return tuple(folder / _chosen(config, there, folder) for config in contents)


def _chosen(config: ProjectConfig, there: list[str], folder: Path) -> str:
    name = config.content_name
    if config.version is None:
        # The version comes from the build: only one that was built can be meant.
        built = [file for file in there if file == f"{name}.tar.gz" or _is_version(file, name)]
        if len(built) == 1:
            return built[0]
    elif f"{name}-{config.version}.tar.gz" in there:
        return f"{name}-{config.version}.tar.gz"
    version = f" {config.version}" if config.version else ""
    raise UsageError(
        f"Which bundle of {name}{version}? In {folder} there is: {', '.join(there) or 'none'}.",
        hint="Build it with `hatch build -t connect`, or name one: hatch publish -p connect FILE",
    )


def _is_version(file: str, name: str) -> bool:
    return file.startswith(f"{name}-") and file[len(name) + 1].isdigit()
