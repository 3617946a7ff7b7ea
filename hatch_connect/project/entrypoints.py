"""The entrypoint of a project's content: what is named is checked, what is not is found."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

from hatch_connect.errors import shortened
from hatch_connect.project.content_kind import AppMode, EntrypointKind
from hatch_connect.project.discovery import (
    FINDERS,
    USUAL_MODULES,
    Entrypoint,
    discover,
    document_in,
    express_entrypoint,
)
from hatch_connect.project.sources import is_module, read_source
from hatch_connect.project.walk import walk

if TYPE_CHECKING:
    from pathlib import Path

    from hatch_connect.project.layers import Layers

# What follows the colon: `app`, `web.app`, or a function that makes it: `create_app()`.
_NAMES = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*(\(\))?")

_SHOWN = 12

_MISSING = {
    EntrypointKind.NOTEBOOK: "no notebook (.ipynb) was found. Set it to the path of a file",
    EntrypointKind.NOTEBOOKS: "no notebook (.ipynb) was found. Set it to the path of a file",
    EntrypointKind.DOCUMENT: "no document (.qmd) or _quarto.yml was found. Set it to the path of"
    " a file",
    EntrypointKind.PAGE: "no HTML file was found. Set it to the path of a file",
    EntrypointKind.MODEL: "no `saved_model.pb` was found. Set it to the folder that holds one",
}


def entrypoint_problem(entrypoint: str, mode: AppMode) -> str | None:
    """Return what is wrong with an entrypoint in this app mode, or None."""
    if mode.entrypoint is EntrypointKind.NONE:
        return f"does not apply to {mode.title} content: remove it"
    if mode.entrypoint is EntrypointKind.OBJECT:
        return _object_problem(entrypoint)
    if mode.entrypoint is EntrypointKind.SCRIPT and _is_object(entrypoint):
        return None
    if mode.is_notebook and not entrypoint.endswith(".ipynb"):
        return f"must be a notebook (.ipynb), not `{entrypoint}`"
    return _file_problem(entrypoint)


def _is_object(entrypoint: str) -> bool:
    module, colon, names = entrypoint.partition(":")
    return is_module(module) and (not colon or _NAMES.fullmatch(names) is not None)


def _object_problem(entrypoint: str) -> str | None:
    file, _, attribute = entrypoint.partition(":")
    if _is_object(entrypoint) and not file.endswith(".py"):
        return None
    said = f"must be `module` or `module:object`, as Python imports it, not `{entrypoint}`"
    if not file.endswith(".py"):
        return said
    module = file.removesuffix(".py").replace("\\", "/").removeprefix("./").removeprefix("src/")
    return f"{said} (did you mean `{module.replace('/', '.')}:{attribute or 'app'}`?)"


def _file_problem(entrypoint: str) -> str | None:
    parts = entrypoint.split("/")
    if "\\" in entrypoint:
        return f"must use forward slashes, not backslashes: `{entrypoint}`"
    if entrypoint.startswith("/") or ".." in parts or re.match(r"[A-Za-z]:", entrypoint):
        return f"must be a file inside the project, not `{entrypoint}`"
    return None


def entrypoint_candidates(root: Path) -> tuple[str, ...]:
    """Return modules of the project whose names are usual for an entrypoint, in sorted order.

    They are looked for at the root, in its packages and in those below `src/`, one level deep.
    """
    found = set()
    for source in (root, root / "src"):
        for name in USUAL_MODULES:
            if (source / f"{name}.py").is_file():
                found.add(name)
            found.update(
                f"{file.parent.name}.{name}"
                for file in source.glob(f"*/{name}.py")
                if is_module(file.parent.name) and file.parent.name not in {"src", "tests"}
            )
    return tuple(sorted(found))


def locate_entrypoint(
    settings: Layers, mode: AppMode, root: Path, *, packaged: bool
) -> Entrypoint | None:
    """Return the entrypoint that is named, else the one that is found; what is wrong is added.

    The back end of a `packaged` project builds a package.
    """
    given = settings.found("entrypoint")
    if given is None:
        if mode.entrypoint is EntrypointKind.NONE:
            return None
        said = f"{settings.called('entrypoint')} is missing"
        return _only(discover(mode, root), said, settings, mode, root)
    whole = _takes_folder(mode) and given[1] == ""
    text = "." if whole else settings.text("entrypoint")
    return None if text is None else _named(text, settings, mode, root, packaged=packaged)


def _named(
    text: str, settings: Layers, mode: AppMode, root: Path, *, packaged: bool
) -> Entrypoint | None:
    called = settings.called("entrypoint")
    if wrong := entrypoint_problem(text, mode):
        settings.problems.append(f"{called} {wrong}.")
        return Entrypoint(entrypoint=text)
    if _takes_folder(mode) and (root / text).is_dir():
        folder = text.strip("/").removeprefix("./").removeprefix(".")
        where = f"{called} names {f'the folder {folder}' if folder else 'the whole project'}"
        return _only(_in_folder(mode, root, folder), where, settings, mode, root)
    if mode.entrypoint is EntrypointKind.MODEL:
        settings.problems.append(
            f"{called} must be the folder that holds `saved_model.pb` or its versions."
        )
    if mode.is_quarto:
        return document_in(text)
    return Entrypoint(entrypoint=_as_shipped(text, mode, root, packaged=packaged))


def _takes_folder(mode: AppMode) -> bool:
    return mode.entrypoint in FINDERS and not mode.is_notebook


def _in_folder(mode: AppMode, root: Path, folder: str) -> tuple[Entrypoint, ...]:
    if mode.entrypoint is EntrypointKind.NOTEBOOKS:
        there = (root / folder).glob("*.ipynb")
        notebooks = sorted(path.name for path in there if path.is_file())
        if len(notebooks) == 1:
            return (Entrypoint(entrypoint=notebooks[0], folder=folder),)
        below = any(path.endswith(".ipynb") for path in walk(root / folder))
        return (Entrypoint(entrypoint="", folder=folder),) if below else ()
    found = discover(mode, root / folder)
    return tuple(replace(each, folder=f"{folder}/{each.folder}".strip("/")) for each in found)


def _only(
    found: tuple[Entrypoint, ...], said: str, settings: Layers, mode: AppMode, root: Path
) -> Entrypoint | None:
    """Return the only one found; none or several are a problem, which begins with `said`."""
    if len(found) == 1:
        return found[0]
    if not found:
        settings.problems.append(f"{said}: {_rule(mode, root)}")
        return None
    shown = shortened([f"`{each}`" for each in found], _SHOWN)
    settings.problems.append(
        f"{said}, and there are several candidates: {shown}. Set it to one of them."
    )
    return None


def _rule(mode: AppMode, root: Path) -> str:
    if mode.entrypoint in _MISSING:
        return f"{_MISSING[mode.entrypoint]}."
    rule = "set it to `module:object`, such as `sales_api.main:app`"
    if mode.entrypoint is EntrypointKind.SCRIPT:
        rule = "set it to the script, such as `app.py`"
    candidates = entrypoint_candidates(root)
    if not candidates:
        return f"{rule}."
    return f"{rule}. Possible modules: {', '.join(candidates)}."


def _as_shipped(text: str, mode: AppMode, root: Path, *, packaged: bool) -> str:
    """Return a script's path in the bundle, or Connect's name for a Shiny Express script."""
    if mode.entrypoint is not EntrypointKind.SCRIPT:
        return text
    below_src = text.startswith("src/") and text.endswith(".py")
    if packaged and below_src and (root / text).is_file():
        text = text.removeprefix("src/")
    if not mode.express or ":" in text:
        return text
    path = text if text.endswith(".py") else f"{text.replace('.', '/')}.py"
    for place in (path, f"src/{path}"):
        source = read_source(root, place) if (root / place).is_file() else None
        if source is not None:
            if source.express:
                return express_entrypoint(path)
            return source.module if source.importable else text
    return text
