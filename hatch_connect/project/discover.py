"""Finds the entrypoint of a project that names none.

What is found at the top of a project is written as the official client writes it: the module
alone, where Connect finds the object in it by name. Scripts inside a package are named by their
path in the bundle, where a wheel's content is unpacked at the root: `sales_app/app.py`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hatch_connect.project.sources import SourceFile, read_sources
from hatch_connect.project.walk import walk

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from hatch_connect.project.app_mode import AppMode

GUESSED = ("app", "application", "create_app", "make_app")
"""What a server looks for, in this order, in a module that is named without an object."""

_USUAL = ("app", "application", "main", "api", "asgi", "wsgi", "server", "streamlit_app")
_LIKE_APP = re.compile(r"app[-_].+|.+[-_]app")  # what the official client also looks for
_QUARTO = ("_quarto.yml", "_quarto.yaml")
_HTML = (".html", ".htm")
SAVED_MODELS = ("saved_model.pb", "saved_model.pbtxt")

_OBJECTS: dict[str, frozenset[tuple[str, str]]] = {
    "python-api": frozenset(
        {("flask", "Flask"), ("apiflask", "APIFlask"), ("flask_openapi3", "OpenAPI")}
        | {("bottle", "Bottle"), ("bottle", "default_app"), ("falcon", "App"), ("falcon", "API")}
        | {("connexion", "App"), ("connexion", "FlaskApp"), ("django", "get_wsgi_application")}
    ),
    "python-fastapi": frozenset(
        {("fastapi", "FastAPI"), ("starlette", "Starlette"), ("quart", "Quart")}
        | {("sanic", "Sanic"), ("litestar", "Litestar"), ("falcon", "App")}
        | {("blacksheep", "Application"), ("connexion", "AsyncApp")}
        | {("django", "get_asgi_application")}
    ),
    "python-dash": frozenset(
        {("dash", "Dash"), ("jupyter_dash", "JupyterDash"), ("dash_extensions", "DashProxy")}
    ),
    "python-gradio": frozenset(
        {("gradio", "Blocks"), ("gradio", "Interface"), ("gradio", "ChatInterface")}
        | {("gradio", "TabbedInterface")}
    ),
    "python-shiny": frozenset({("shiny", "App")}),
}
"""The package and the name of what makes the object that a server runs."""

_SCRIPTS = {"python-streamlit": "streamlit", "python-bokeh": "bokeh", "python-panel": "panel"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """An entrypoint: in `folder`, whose content becomes the bundle's root ("": the project's).

    `entrypoint` is None for content that has none, "" for all notebooks of a folder.
    """

    entrypoint: str | None
    folder: str = ""

    def __str__(self) -> str:
        """Spell it as it is written in [tool.hatch-connect]."""
        if not self.folder:
            return self.entrypoint or "."
        return f"{self.folder}/{self.entrypoint}" if self.entrypoint else self.folder


def discover(mode: AppMode, root: Path) -> tuple[Found, ...]:
    """Return what the entrypoint may be; the answer is clear where there is one."""
    if mode.name in _FILES:
        return _FILES[mode.name](root)
    sources = read_sources(root)
    if mode.name in _SCRIPTS:
        found = _scripts(sources, _SCRIPTS[mode.name])
    else:
        found = _in_app(sources, mode.name) or _objects(sources, mode.name)
    return tuple(Found(entrypoint=each) for each in dict.fromkeys(found or _usual(mode, sources)))


def _in_app(sources: Iterable[SourceFile], mode: str) -> list[str]:
    """Take `app.py` for the entrypoint where it names an object as a server looks for it.

    As the official client does: the object may come from a function, or from a package of the
    project's own that another module fills.
    """
    looked_for = ("demo", *GUESSED) if mode == "python-gradio" else GUESSED
    for source in sources:
        if source.path == "app.py" and not source.express:
            name = next((name for name in looked_for if name in source.names), None)
            if name is not None and not any(
                _made_by(c) in _OBJECTS[mode] for _, c in source.objects
            ):
                return ["app"] if name in GUESSED else [f"app:{name}"]
    return []


def _objects(sources: Iterable[SourceFile], mode: str) -> list[str]:
    makers = _OBJECTS[mode]
    known: list[tuple[SourceFile, tuple[str, ...]]] = []
    for source in sources:
        made = tuple(name for name, called in source.objects if _made_by(called) in makers)
        express = mode == "python-shiny" and source.express
        if express or (made and source.importable):
            known.append((source, () if express else made))
    outermost = _outermost([source for source, _ in known])
    return [
        text
        for source, names in known
        if source in outermost
        for text in (_spelled(source, names) if names else [express_entrypoint(source.path)])
    ]


def _made_by(called: str) -> tuple[str, str]:
    return called.partition(".")[0], called.rpartition(".")[2]


def _spelled(source: SourceFile, names: tuple[str, ...]) -> list[str]:
    """Spell the objects of one module: `app` is the one that a server would take."""
    chosen = ("app",) if "app" in names else names
    guessed = next((name for name in GUESSED if name in source.names), None)
    at_top = "/" not in source.path
    return [
        source.module if at_top and name == guessed else f"{source.module}:{name}"
        for name in chosen
    ]


def _scripts(sources: Iterable[SourceFile], package: str) -> list[str]:
    using = [s for s in sources if s.uses(package) and "pages" not in s.path.split("/")[:-1]]
    return [_script(source) for source in _outermost(using)]


def _script(source: SourceFile) -> str:
    return source.module if source.module.isidentifier() else source.path


def _outermost(sources: list[SourceFile]) -> list[SourceFile]:
    """Leave out what another one of them imports, or names as a page: it is a part of that."""
    parts = {
        part
        for source in sources
        for part in sources
        if part is not source and (part.module in source.imports or part.path in source.texts)
    }
    return [source for source in sources if source not in parts] or sources


def _usual(mode: AppMode, sources: Iterable[SourceFile]) -> list[str]:
    """Go by names, where no framework is known: as a server does that is given a module alone."""
    usual = [s for s in sources if _is_usual(s.module.rpartition(".")[2])]
    if mode.name in _SCRIPTS:
        at_top = sorted(
            (s for s in usual if s.module in _USUAL), key=lambda s: _USUAL.index(s.module)
        )
        return [_script(source) for source in at_top[:1]]
    named = [s for s in usual if s.importable and any(name in s.names for name in GUESSED)]
    found = []
    for source in _outermost(named):
        guessed = next(name for name in GUESSED if name in source.names)
        found += _spelled(source, (guessed,))
    return found


def _is_usual(name: str) -> bool:
    return name in _USUAL or _LIKE_APP.fullmatch(name) is not None


def express_entrypoint(path: str) -> str:
    """Return how Connect calls a Shiny Express script: what is no letter or digit as _<hex>_."""
    escaped = re.sub(r"^[0-9]|[^a-zA-Z0-9]", lambda found: f"_{ord(found[0]):x}_", path)
    return f"shiny.express.app:{escaped}"


def _notebooks(root: Path) -> tuple[Found, ...]:
    return tuple(Found(entrypoint=path) for path in _shallowest(root, (".ipynb",)))


def notebooks_in(folder: Path) -> tuple[str, ...]:
    """Return the names of the notebooks that lie in a folder itself."""
    return tuple(sorted(path.name for path in folder.glob("*.ipynb") if path.is_file()))


def _voila(root: Path) -> tuple[Found, ...]:
    found = _notebooks(root)
    return (*found, Found(entrypoint="")) if len(found) > 1 else found


def _html(root: Path) -> tuple[Found, ...]:
    if (root / "index.html").is_file():
        return (Found(entrypoint="index.html"),)
    paths = _shallowest(root, _HTML)
    if any("/" not in path for path in paths):
        return tuple(Found(entrypoint=path) for path in paths)
    sites = _folders_of(root, "index.html")
    if sites:
        return tuple(Found(entrypoint="index.html", folder=folder) for folder in sites)
    return tuple(Found(entrypoint=path) for path in paths)


def _quarto(root: Path) -> tuple[Found, ...]:
    if any((root / name).is_file() for name in _QUARTO):
        return (Found(entrypoint=None),)
    paths = _shallowest(root, (".qmd",))
    if not any("/" not in path for path in paths):
        projects = [folder for name in _QUARTO for folder in _folders_of(root, name)]
        if projects:
            return tuple(Found(entrypoint=None, folder=folder) for folder in projects)
    return tuple(document_in(path) for path in paths)


def document_in(path: str) -> Found:
    """Return a document in the folder that it lies in, from which Quarto renders it."""
    folder, _, name = path.rpartition("/")
    return Found(entrypoint=name, folder=folder)


def _saved_model(root: Path) -> tuple[Found, ...]:
    """Find models; of one with versions (folders whose names are numbers), what holds them."""
    if holds_model(root):
        return (Found(entrypoint=None),)
    models = dict.fromkeys(f for name in SAVED_MODELS for f in _folders_of(root, name))
    folders = (f.rpartition("/")[0] if f.rpartition("/")[2].isdecimal() else f for f in models)
    return tuple(Found(entrypoint=None, folder=folder) for folder in sorted({*folders}))


def holds_model(folder: Path) -> bool:
    """Whether a folder is a SavedModel itself."""
    return any((folder / name).is_file() for name in SAVED_MODELS)


def _shallowest(root: Path, suffixes: tuple[str, ...]) -> list[str]:
    """Return the files at the top, or where there are none, those below."""
    paths = [path for path in walk(root) if path.lower().endswith(suffixes)]
    return [path for path in paths if "/" not in path] or paths


def _folders_of(root: Path, name: str) -> list[str]:
    """Return the topmost folders that hold a file of this name."""
    folders = [path.rpartition("/")[0] for path in walk(root) if path.endswith(f"/{name}")]
    return [f for f in folders if not any(f.startswith(f"{other}/") for other in folders)]


_FILES: dict[str, Callable[[Path], tuple[Found, ...]]] = {
    "jupyter-static": _notebooks,
    "jupyter-voila": _voila,
    "static": _html,
    "quarto-static": _quarto,
    "quarto-shiny": _quarto,
    "tensorflow-saved-model": _saved_model,
}
