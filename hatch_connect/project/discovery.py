"""What in a project may be its content, and the entrypoint of it.

An entrypoint is a path in the bundle, whose root is that of the wheel: the script of a package
below `src/` is `sales_app/app.py`. One that is found at the top of a project is written as the
official client writes it: the module alone, if Connect finds the object in it by name. For a site,
a Quarto project, a SavedModel or notebooks for Voila it may name a folder, whose content becomes
the bundle's root.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hatch_connect.project.content_kind import (
    APP_MODES,
    QUARTO_PROJECTS,
    AppMode,
    EntrypointKind,
    find_app_mode,
)
from hatch_connect.project.sources import SourceFile, read_sources
from hatch_connect.project.walk import walk

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator
    from pathlib import Path


GUESSED = ("app", "application", "create_app", "make_app")
"""Names that a server looks for, in this order, in a module that is named without an object."""

USUAL_MODULES = ("app", "application", "main", "api", "asgi", "wsgi", "server")
_USUAL = (*USUAL_MODULES, "streamlit_app")
_LIKE_APP = re.compile(r"app[-_].+|.+[-_]app")  # what the official client also looks for
_HTML = (".html", ".htm")
SAVED_MODELS = ("saved_model.pb", "saved_model.pbtxt")
_EXPRESS = "shiny.express.app:"

# In the order in which they count for one file: Dash makes a Flask, and FastAPI may hold either.
_PROGRAMS = (
    *("python-dash", "python-shiny", "python-fastapi", "python-api", "python-gradio"),
    *("python-streamlit", "python-panel", "python-bokeh"),
)
_FRAMEWORKS = {name for mode in APP_MODES for name in mode.frameworks}  # each of one mode alone
_SERVED = re.compile(r"^(?:server:\s*shiny|server:\s*\n\s+type:\s*shiny)", re.MULTILINE)
_FRONT_MATTER = 4096  # bytes in which a document says what serves it


@dataclass(frozen=True, slots=True, kw_only=True)
class Entrypoint:
    """An entrypoint: in `folder`, whose content becomes the bundle's root ("": the project's).

    `entrypoint` is None for content that has none, "" for all notebooks of a folder.
    """

    entrypoint: str | None
    folder: str = ""

    def __str__(self) -> str:
        """Return it as it is written in [tool.hatch-connect]."""
        if not self.folder:
            return self.entrypoint or "."
        return f"{self.folder}/{self.entrypoint}" if self.entrypoint else self.folder


def discover(mode: AppMode, root: Path) -> tuple[Entrypoint, ...]:
    """Return the candidates for the entrypoint; it is clear only if there is exactly one."""
    if mode.entrypoint in FINDERS:
        return FINDERS[mode.entrypoint](root)
    sources = read_sources(root)
    if mode.makers:
        found = _in_app(sources, mode) or _objects(sources, mode)
    else:
        found = _scripts(sources, mode.frameworks)
    return _each(dict.fromkeys(found or _usual(mode, sources)))


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundContent:
    """What may be the content of a project that does not say what it is, and what tells so."""

    mode: AppMode
    entrypoint: Entrypoint
    because: str


def discover_content(root: Path, packages: Collection[str]) -> tuple[FoundContent, ...]:
    """Return what may be the project's content; it is clear only if there is exactly one.

    Programs come before documents and pages. If none is recognised by what it makes or imports, the
    `packages` that the project needs (normalized names) tell what `app.py` may be.
    """
    sources = read_sources(root)
    programs = [each for name in _PROGRAMS for each in _made(sources, find_app_mode(name))]
    claimed: dict[str, frozenset[str]] = {}  # what the first mode found in each file
    for _, path, objects in programs:
        claimed.setdefault(path, objects)
    found = [c for c, path, objects in programs if claimed[path] == objects]
    scripts = () if found else _by_imports(sources)
    if found := [*found, *scripts]:
        # A site may show how programs of its subfolders are made.
        both = is_quarto_project(root) and all(map(_is_below, found))
        return (*found, *(_documents(root, packages) if both else ()))
    for name in _PROGRAMS:
        mode = find_app_mode(name)
        makers = (package.replace("_", "-") for package, _ in mode.makers)
        known = {*mode.frameworks, *(each for each in makers if each not in _FRAMEWORKS)}
        if named := sorted(known.intersection(packages)):
            because = f"the project needs {named[0]}"
            if entrypoints := discover(mode, root):
                return tuple(_content(mode, each, because) for each in entrypoints)
    return _documents(root, packages)


def _is_below(found: FoundContent) -> bool:
    file = str(found.entrypoint).partition(":")[0].removesuffix(".py")
    return "/" in file or "." in file


def _content(mode: AppMode, entrypoint: Entrypoint, because: str) -> FoundContent:
    return FoundContent(mode=mode, entrypoint=entrypoint, because=because)


def _made(
    sources: tuple[SourceFile, ...], mode: AppMode
) -> Iterator[tuple[FoundContent, str, frozenset[str]]]:
    """Return what makes this mode's objects, with the file and the names of the objects."""
    by_text = {}
    for source in sources:
        made = {name: called for name, called in source.objects if _made_by(called) in mode.makers}
        express = mode.express and source.express
        for text in [express_entrypoint(source.path)] if express else _spelled(source, tuple(made)):
            because = f"{source.path} is Shiny Express"
            if made and not express:
                name = "app" if "app" in made else next(iter(made))
                because = f"`{name}` in {source.path} is made by {made[name]}"
            by_text[text] = because, source.path, frozenset(made)
    for text in _objects(sources, mode):
        because, path, objects = by_text[text]
        shown = express_script(text) or text
        yield _content(mode, Entrypoint(entrypoint=shown), because), path, objects


def _by_imports(sources: tuple[SourceFile, ...]) -> Iterator[FoundContent]:
    claimed: set[str] = set()
    for name in _PROGRAMS:
        mode = find_app_mode(name)
        if mode.entrypoint is not EntrypointKind.SCRIPT:
            continue
        for text in _scripts(sources, mode.frameworks):
            if text not in claimed:
                claimed.add(text)
                file = text if text.endswith(".py") else f"{text}.py"
                because = f"{file} imports {mode.frameworks[0]}"
                yield _content(mode, Entrypoint(entrypoint=file), because)


def _documents(root: Path, packages: Collection[str]) -> tuple[FoundContent, ...]:
    """Return the documents, else the notebooks, models or pages, that there are."""
    notebook = "jupyter-voila" if "voila" in packages else "jupyter-static"
    for name in ("quarto-static", notebook, "tensorflow-saved-model", "static"):
        mode = find_app_mode(name)
        if entrypoints := discover(mode, root):
            return tuple(
                _content(_served(mode, root, each), each, f"there is {each}")
                if str(each) != "."
                else _content(mode, each, f"this is a {mode.title}")
                for each in entrypoints
            )
    return ()


def _served(mode: AppMode, root: Path, document: Entrypoint) -> AppMode:
    """Return the mode of a document, which Shiny may serve."""
    if not mode.is_quarto:
        return mode
    try:
        with (root / str(document)).open("rb") as file:
            head = file.read(_FRONT_MATTER).decode(errors="replace")
    except OSError:  # a folder, or a file that cannot be read: a build says so
        return mode
    return find_app_mode("quarto-shiny") if _SERVED.search(head) else mode


def _each(entrypoints: Iterable[str]) -> tuple[Entrypoint, ...]:
    return tuple(Entrypoint(entrypoint=each) for each in entrypoints)


def _in_app(sources: Iterable[SourceFile], mode: AppMode) -> list[str]:
    """Return `app.py` if it defines an object with a name that a server looks for.

    The official client does the same: the object may be the result of a function, or come from
    another module of the project, which no reading of the sources would show.
    """
    looked_for = (mode.object_name, *GUESSED)
    for source in sources:
        if source.path == "app.py" and not source.express:
            name = next((name for name in looked_for if name in source.names), None)
            if name is not None and not any(_made_by(c) in mode.makers for _, c in source.objects):
                return ["app"] if name in GUESSED else [f"app:{name}"]
    return []


def _objects(sources: Iterable[SourceFile], mode: AppMode) -> list[str]:
    known: list[tuple[SourceFile, tuple[str, ...]]] = []
    for source in sources:
        made = tuple(name for name, called in source.objects if _made_by(called) in mode.makers)
        express = mode.express and source.express
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
    """Return the entrypoints of one module: `app` alone if it has it, as a server would take it."""
    chosen = ("app",) if "app" in names else names
    guessed = next((name for name in GUESSED if name in source.names), None)
    at_top = "/" not in source.path
    return [
        source.module if at_top and name == guessed else f"{source.module}:{name}"
        for name in chosen
    ]


def _scripts(sources: Iterable[SourceFile], frameworks: tuple[str, ...]) -> list[str]:
    using = [
        source
        for source in sources
        if any(map(source.uses, frameworks)) and "pages" not in source.path.split("/")[:-1]
    ]
    return [_script(source) for source in _outermost(using)]


def _script(source: SourceFile) -> str:
    return source.module if source.module.isidentifier() else source.path


def _outermost(sources: list[SourceFile]) -> list[SourceFile]:
    """Leave out sources that another one imports or names as a page: they are parts of it."""
    parts = {
        part
        for source in sources
        for part in sources
        if part is not source and (part.module in source.imports or part.path in source.texts)
    }
    return [source for source in sources if source not in parts] or sources


def _usual(mode: AppMode, sources: Iterable[SourceFile]) -> list[str]:
    """Return candidates by their usual names if no framework is recognised."""
    if not mode.makers:
        at_top = sorted(
            (s for s in sources if s.module in _USUAL), key=lambda s: _USUAL.index(s.module)
        )
        return [_script(source) for source in at_top[:1]]
    found = {}
    for source in sources:
        name = source.module.rpartition(".")[2]
        guessed = next((each for each in GUESSED if each in source.names), None)
        if guessed and source.importable and (name in _USUAL or _LIKE_APP.fullmatch(name)):
            found[source] = guessed
    return [text for s in _outermost([*found]) for text in _spelled(s, (found[s],))]


def express_entrypoint(path: str) -> str:
    """Return Shiny's name for an Express script: all but ASCII letters and digits as `_<hex>_`."""
    escaped = re.sub(r"^[0-9]|[^a-zA-Z0-9]", lambda found: f"_{ord(found[0]):x}_", path)
    return f"{_EXPRESS}{escaped}"


def express_script(entrypoint: str) -> str | None:
    """Return the script that Shiny's name for it stands for; None for another entrypoint."""
    if not entrypoint.startswith(_EXPRESS):
        return None
    return re.sub("_([a-zA-Z0-9]+)_", _unescaped, entrypoint.removeprefix(_EXPRESS))


def _unescaped(found: re.Match[str]) -> str:
    try:
        return chr(int(found[1], 16))
    except (ValueError, OverflowError):
        return found[0]


def _notebooks(root: Path) -> tuple[Entrypoint, ...]:
    return _each(_shallowest(root, (".ipynb",)))


def _voila(root: Path) -> tuple[Entrypoint, ...]:
    found = _notebooks(root)
    return (*found, Entrypoint(entrypoint="")) if len(found) > 1 else found


def _html(root: Path) -> tuple[Entrypoint, ...]:
    if (root / "index.html").is_file():
        return (Entrypoint(entrypoint="index.html"),)
    paths = _shallowest(root, _HTML)
    if any("/" not in path for path in paths):
        return _each(paths)
    sites = _folders_of(root, "index.html")
    found = tuple(Entrypoint(entrypoint="index.html", folder=folder) for folder in sites)
    return found or _each(paths)


def _quarto(root: Path) -> tuple[Entrypoint, ...]:
    if is_quarto_project(root):
        return (Entrypoint(entrypoint=None),)
    paths = _shallowest(root, (".qmd",))
    if not any("/" not in path for path in paths):
        folders = (folder for name in QUARTO_PROJECTS for folder in _folders_of(root, name))
        if projects := tuple(Entrypoint(entrypoint=None, folder=folder) for folder in folders):
            return projects
    return tuple(document_in(path) for path in paths)


def is_quarto_project(folder: Path) -> bool:
    """Return whether Quarto takes a folder for a project."""
    return any((folder / name).is_file() for name in QUARTO_PROJECTS)


def document_in(path: str) -> Entrypoint:
    """Return a document in the folder that it lies in, from which Quarto renders it."""
    folder, _, name = path.rpartition("/")
    return Entrypoint(entrypoint=name, folder=folder)


def _saved_model(root: Path) -> tuple[Entrypoint, ...]:
    """Return the folders of models; of a model with numbered versions, the folder above them."""
    if holds_model(root):
        return (Entrypoint(entrypoint=None),)
    models = dict.fromkeys(f for name in SAVED_MODELS for f in _folders_of(root, name))
    folders = (f.rpartition("/")[0] if f.rpartition("/")[2].isdecimal() else f for f in models)
    return tuple(Entrypoint(entrypoint=None, folder=folder) for folder in sorted({*folders}))


def holds_model(folder: Path) -> bool:
    """Return whether a folder is a SavedModel itself."""
    return any((folder / name).is_file() for name in SAVED_MODELS)


def _shallowest(root: Path, suffixes: tuple[str, ...]) -> list[str]:
    """Return the files at the top, or those below if there are none."""
    paths = [path for path in walk(root) if path.lower().endswith(suffixes)]
    return [path for path in paths if "/" not in path] or paths


def _folders_of(root: Path, name: str) -> list[str]:
    """Return the topmost folders that hold a file of this name."""
    folders = [path.rpartition("/")[0] for path in walk(root) if path.endswith(f"/{name}")]
    return [f for f in folders if not any(f.startswith(f"{other}/") for other in folders)]


FINDERS: dict[EntrypointKind, Callable[[Path], tuple[Entrypoint, ...]]] = {
    EntrypointKind.NOTEBOOK: _notebooks,
    EntrypointKind.NOTEBOOKS: _voila,
    EntrypointKind.PAGE: _html,
    EntrypointKind.DOCUMENT: _quarto,
    EntrypointKind.MODEL: _saved_model,
}
