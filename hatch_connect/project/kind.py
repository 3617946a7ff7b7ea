"""Which kind of content a project is, and where it begins.

An entrypoint is written by its path in the bundle, where a wheel's content lies at the root: the
script of a package below `src/` is `sales_app/app.py`. That of files may name a folder (a site, a
Quarto project, a SavedModel, notebooks for Voila): its content becomes the bundle's root.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from hatch_connect.errors import UsageError
from hatch_connect.project.app_mode import AppMode, EntrypointKind, find_app_mode
from hatch_connect.project.discover import (
    Found,
    discover,
    document_in,
    express_entrypoint,
    notebooks_in,
)
from hatch_connect.project.entrypoint import entrypoint_candidates, entrypoint_problem
from hatch_connect.project.walk import walk

if TYPE_CHECKING:
    from pathlib import Path

    from hatch_connect.project.settings import Settings

_SHOWN = 12
_NOTEBOOK = "jupyter-static"
_OF_NOTEBOOKS = ("static", "hide-all-input", "hide-tagged-input")
_DEFAULT = find_app_mode("python-api")


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """What kind of content it is; `mode` stands for nothing where `known` is False.

    `folder` is that of the project whose content becomes the bundle's root ("": the project's
    own), `entrypoint` is a path or a module there. `rendered` is the notebook of which only the
    HTML ships, by its path in the project: then the mode is that of HTML. `unused` are inherited
    keys that are for notebooks alone.
    """

    mode: AppMode = _DEFAULT
    known: bool = False
    entrypoint: str | None = None
    folder: str = ""
    rendered: str | None = None
    hide_all_input: bool = False
    hide_tagged_input: bool = False
    unused: tuple[str, ...] = ()


def read_kind(settings: Settings, own: Settings, root: Path, *, packaged: bool) -> Kind:
    """Read it; problems are added. `packaged` projects have a back end that builds a package.

    What is not among the content's `own` settings is inherited, and may mean nothing for it.
    """
    mode = _app_mode(settings)
    if mode is None:
        settings.text("entrypoint")  # what is wrong with it is told as well
        return Kind()
    found = _located(settings, mode, root, packaged=packaged)
    kind = Kind(
        mode=mode,
        known=True,
        entrypoint=found.entrypoint if found else None,
        folder=found.folder if found else "",
        hide_all_input=_of_notebook(settings, own, "hide-all-input", mode),
        hide_tagged_input=_of_notebook(settings, own, "hide-tagged-input", mode),
    )
    if _of_notebook(settings, own, "static", mode):
        return _rendered(kind)
    inherited = _OF_NOTEBOOKS if mode.name != _NOTEBOOK else ()
    return replace(kind, unused=tuple(settings.called(k) for k in inherited if settings.flag(k)))


def _rendered(kind: Kind) -> Kind:
    html = kind.entrypoint and f"{PurePosixPath(kind.entrypoint).stem}.html"
    return replace(kind, mode=find_app_mode("static"), rendered=kind.entrypoint, entrypoint=html)


def read_mode(settings: Settings) -> Kind:
    """Read the app mode alone, where there is one."""
    mode = _app_mode(settings) if settings.found("app-mode") else None
    return Kind() if mode is None else Kind(mode=mode, known=True)


def _of_notebook(settings: Settings, own: Settings, key: str, mode: AppMode) -> bool:
    flag = settings.flag(key) or False
    if flag and mode.name != _NOTEBOOK and own.found(key):
        settings.problems.append(
            f"{own.called(key)} is for Jupyter notebooks and has no meaning for {mode.title}"
            " content."
        )
    return flag and mode.name == _NOTEBOOK


def _app_mode(settings: Settings) -> AppMode | None:
    name = settings.text("app-mode")
    called = settings.called("app-mode")
    if name is None:
        if settings.found("app-mode") is None:
            settings.problems.append(f"{called} is missing: what kind of content is this?")
        return None
    try:
        mode = find_app_mode(name)
    except UsageError as error:
        settings.problems.append(f"{called}: {error.message} {error.hint}")
        return None
    if mode.prepared:
        settings.problems.append(
            f"{called}: {mode.title} content is deployed from a prepared manifest.json only."
        )
    return mode


def _located(settings: Settings, mode: AppMode, root: Path, *, packaged: bool) -> Found | None:
    """Return where the content begins: what was named, else what is found."""
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
    text: str, settings: Settings, mode: AppMode, root: Path, *, packaged: bool
) -> Found | None:
    called = settings.called("entrypoint")
    if wrong := entrypoint_problem(text, mode):
        settings.problems.append(f"{called} {wrong}.")
        return Found(entrypoint=text)
    if _takes_folder(mode) and (root / text).is_dir():
        folder = text.strip("/").removeprefix("./").removeprefix(".")
        where = f"{called} names {f'the folder {folder}' if folder else 'the whole project'}"
        return _only(_in_folder(mode, root, folder), where, settings, mode, root)
    if mode.entrypoint is EntrypointKind.FOLDER:
        settings.problems.append(
            f"{called} must be the folder that holds `saved_model.pb`, or its versions."
        )
    if mode.name.startswith("quarto"):
        return document_in(text)
    return Found(entrypoint=_as_shipped(text, mode, root, packaged=packaged))


def _takes_folder(mode: AppMode) -> bool:
    if mode.entrypoint is EntrypointKind.FOLDER:
        return True
    return mode.entrypoint is EntrypointKind.FILE and mode.name != _NOTEBOOK


def _in_folder(mode: AppMode, root: Path, folder: str) -> tuple[Found, ...]:
    if mode.name == "jupyter-voila":
        notebooks = notebooks_in(root / folder)
        if len(notebooks) == 1:
            return (Found(entrypoint=notebooks[0], folder=folder),)
        below = any(path.endswith(".ipynb") for path in walk(root / folder))
        return (Found(entrypoint="", folder=folder),) if below else ()
    found = discover(mode, root / folder)
    return tuple(replace(each, folder=f"{folder}/{each.folder}".strip("/")) for each in found)


def _only(
    found: tuple[Found, ...], said: str, settings: Settings, mode: AppMode, root: Path
) -> Found | None:
    """Return the one that was found; several, or none, are a problem that begins as `said`."""
    if len(found) == 1:
        return found[0]
    if not found:
        settings.problems.append(f"{said}: {_rule(mode, root)}")
        return None
    shown = ", ".join(f"`{each}`" for each in found[:_SHOWN])
    more = f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
    settings.problems.append(f"{said}, and it may be one of several: {shown}{more}. Name one.")
    return None


def _rule(mode: AppMode, root: Path) -> str:
    if mode.entrypoint is EntrypointKind.FOLDER:
        return "there is no `saved_model.pb`; name the folder that holds it."
    if mode.entrypoint is EntrypointKind.FILE:
        return f"there is no {_WANTED.get(mode.name, 'file')}; name the file, by its path."
    rule = "write `module:object`, such as `sales_api.main:app`"
    if mode.entrypoint is EntrypointKind.SCRIPT:
        rule = "name the script, such as `app.py`"
    candidates = entrypoint_candidates(root)
    if not candidates:
        return f"{rule}."
    return f"{rule}. Modules that may hold it: {', '.join(candidates)}."


_WANTED = {
    "jupyter-static": "notebook (.ipynb)",
    "jupyter-voila": "notebook (.ipynb)",
    "quarto-static": "_quarto.yml and no document (.qmd)",
    "quarto-shiny": "_quarto.yml and no document (.qmd)",
    "static": "HTML file",
}


def _as_shipped(text: str, mode: AppMode, root: Path, *, packaged: bool) -> str:
    """Write a script by its path in the bundle, and Shiny Express as Connect calls it."""
    if mode.entrypoint is not EntrypointKind.SCRIPT:
        return text
    below_src = text.startswith("src/") and text.endswith(".py")
    if packaged and below_src and (root / text).is_file():
        text = text.removeprefix("src/")
    if mode.name != "python-shiny" or ":" in text:
        return text
    path = text if text.endswith(".py") else f"{text.replace('.', '/')}.py"
    from hatch_connect.project.sources import read_source

    for place in (path, f"src/{path}"):
        source = read_source(root, place) if (root / place).is_file() else None
        if source is not None:
            if source.express:
                return express_entrypoint(path)
            return source.module if source.importable else text
    return text
