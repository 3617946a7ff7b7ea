"""What may be written as an entrypoint, and where one might be."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from hatch_connect.project.app_mode import EntrypointKind

if TYPE_CHECKING:
    from pathlib import Path

    from hatch_connect.project.app_mode import AppMode

# importlib takes more names of modules than a statement does: `my-api`, `01_api`.
_MODULE = re.compile(r"\w[\w-]*(\.\w[\w-]*)*")
_NAMES = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*(\(\))?")
_USUAL_MODULES = ("app", "application", "main", "api", "asgi", "wsgi", "server")


def entrypoint_problem(entrypoint: str, mode: AppMode) -> str | None:
    """Say what is wrong with an entrypoint in this app mode, or None."""
    if mode.entrypoint is EntrypointKind.NONE:
        return f"has no meaning for {mode.title} content: remove it"
    if mode.entrypoint is EntrypointKind.OBJECT:
        return _object_problem(entrypoint)
    if mode.entrypoint is EntrypointKind.SCRIPT and _is_object(entrypoint):
        return None
    if mode.name == "jupyter-static" and not entrypoint.endswith(".ipynb"):
        return f"must be a notebook (.ipynb), not `{entrypoint}`"
    return _file_problem(entrypoint)


def is_module(name: str) -> bool:
    """Whether importlib takes a name for that of a module."""
    return _MODULE.fullmatch(name) is not None


def _is_object(entrypoint: str) -> bool:
    module, colon, names = entrypoint.partition(":")
    return is_module(module) and (not colon or _NAMES.fullmatch(names) is not None)


def _object_problem(entrypoint: str) -> str | None:
    file, _, attribute = entrypoint.partition(":")
    if _is_object(entrypoint) and not file.endswith(".py"):
        return None
    said = f"must be `module` or `module:object` as Python imports it, not `{entrypoint}`"
    if not file.endswith(".py"):
        return said
    module = file.removesuffix(".py").replace("\\", "/").removeprefix("./").removeprefix("src/")
    return f"{said} (perhaps `{module.replace('/', '.')}:{attribute or 'app'}`)"


def _file_problem(entrypoint: str) -> str | None:
    parts = entrypoint.split("/")
    if "\\" in entrypoint:
        return f"must be written with forward slashes, not `{entrypoint}`"
    if entrypoint.startswith("/") or ".." in parts or re.match(r"[A-Za-z]:", entrypoint):
        return f"must be a file below the project's root, not `{entrypoint}`"
    return None


def entrypoint_candidates(root: Path) -> tuple[str, ...]:
    """Return modules of the project whose names are usual for an entrypoint, in sorted order.

    They are looked for at the root, in its packages and in those below `src/`, one level deep.
    """
    found = set()
    for source in (root, root / "src"):
        for name in _USUAL_MODULES:
            if (source / f"{name}.py").is_file():
                found.add(name)
            found.update(
                f"{file.parent.name}.{name}"
                for file in source.glob(f"*/{name}.py")
                if is_module(file.parent.name) and file.parent.name not in {"src", "tests"}
            )
    return tuple(sorted(found))
