"""What the entrypoint of a manifest names in the unpacked bundle."""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from hatch_connect.errors import BundleError
from hatch_connect.local.archives import safe_name

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from hatch_connect.local.checks import Manifest

_NAME = r"[^\W\d]\w*"
_OBJECT = re.compile(rf"\w[\w-]*(\.\w[\w-]*)*(:{_NAME}(\.{_NAME})*)?")
_EXPRESS = "shiny.express.app:"
_ESCAPED = re.compile("_([a-zA-Z0-9]+)_")
_SCRIPTS = (".py", ".ipynb")
QUARTO_PROJECTS = ("_quarto.yml", "_quarto.yaml")
_DOCUMENTS = ("*.qmd", "*.ipynb", "*.Rmd", "*.md")
_MODELS = ("saved_model.pb", "saved_model.pbtxt")


def find_entrypoint(root: Path, manifest: Manifest) -> str:
    """Return the entrypoint of content, for scripts and pages as a path below `root`.

    Raises BundleError if it names nothing of the bundle.
    """
    find: dict[str, Callable[[Path, Manifest], str]] = {
        "object": lambda root, manifest: _object(root, manifest.entrypoint),
        "shiny": lambda root, manifest: _shiny(root, manifest.entrypoint),
        "script": lambda root, manifest: _script(root, manifest.entrypoint),
        "notebook": lambda root, manifest: _file(root, manifest.entrypoint, (".ipynb",)),
        "notebooks": _notebooks,
        "document": lambda root, manifest: _document(root, project=manifest.mode.kind == "files"),
        "page": lambda root, manifest: _file(root, manifest.primary_html or manifest.entrypoint),
        "model": lambda root, _manifest: _model(root),
    }
    kind = manifest.mode.entrypoint
    return find[kind](root, manifest) if kind in find else ""


def is_quarto_project(root: Path) -> bool:
    """Return whether Quarto takes a folder for a project."""
    return any((root / name).is_file() for name in QUARTO_PROJECTS)


def saved_models(root: Path) -> tuple[str, ...]:
    """Return the folders that hold a TensorFlow SavedModel, as paths below `root`."""
    found = {path.parent for name in _MODELS for path in root.rglob(name)}
    return tuple(sorted(path.relative_to(root).as_posix() for path in found))


def _model(root: Path) -> str:
    if not any(folder.isdecimal() for folder in saved_models(root)):
        raise BundleError(
            f"The bundle holds no SavedModel: no {' and no '.join(_MODELS)} in a folder at its root"
            " whose name is the model's version, such as 1/."
        )
    return ""


def _document(root: Path, *, project: bool) -> str:
    """Return the document that Quarto is to render or to serve; `.` for a whole project."""
    if project and is_quarto_project(root):
        return "."
    for pattern in _DOCUMENTS:
        names = sorted(path.name for path in root.glob(pattern))
        if len(names) == 1:
            return names[0]
        if names:
            break
    raise BundleError("The bundle holds neither a Quarto project nor a single document.")


def _notebooks(root: Path, manifest: Manifest) -> str:
    if manifest.entrypoint:
        return _file(root, manifest.entrypoint, (".ipynb",))
    if not any(root.rglob("*.ipynb")):
        raise BundleError("The manifest names no notebook, and the bundle holds none.")
    return ""


def _file(root: Path, entrypoint: str, suffixes: tuple[str, ...] = ()) -> str:
    path = safe_name(entrypoint)
    if not (root / path).is_file():
        raise BundleError(f"The entrypoint {entrypoint!r} names no file of the bundle.")
    if suffixes and PurePosixPath(path).suffix not in suffixes:
        raise BundleError(f"The entrypoint {entrypoint!r} is not a file {' or '.join(suffixes)}.")
    return path


def _script(root: Path, entrypoint: str) -> str:
    """Return the file of a script, which may be written as a module, with an object or without."""
    if entrypoint.endswith(_SCRIPTS):
        return _file(root, entrypoint, _SCRIPTS)
    _object(root, entrypoint)
    path = entrypoint.partition(":")[0].replace(".", "/")
    return f"{path}.py" if (root / f"{path}.py").is_file() else f"{path}/__init__.py"


def _shiny(root: Path, entrypoint: str) -> str:
    if entrypoint.startswith(_EXPRESS):
        _file(root, _unescape(entrypoint.removeprefix(_EXPRESS)), (".py",))
        return entrypoint
    return _object(root, entrypoint)


def _object(root: Path, entrypoint: str) -> str:
    # Posit Publisher writes the file's name, the official client the module's.
    if entrypoint.endswith(".py") and (root / safe_name(entrypoint)).is_file():
        entrypoint = entrypoint.removesuffix(".py").replace("/", ".")
    if not _OBJECT.fullmatch(entrypoint):
        raise BundleError(f"The entrypoint {entrypoint!r} is not of the form module:object.")
    module = root.joinpath(*entrypoint.partition(":")[0].split("."))
    if (
        not module.with_name(module.name + ".py").is_file()
        and not (module / "__init__.py").is_file()
    ):
        raise BundleError(f"The entrypoint {entrypoint!r} names no module of the bundle.")
    return entrypoint


def _unescape(name: str) -> str:
    """Return the file name that Shiny Express encodes: `app_2e_py` is `app.py`."""

    def character(match: re.Match[str]) -> str:
        try:
            return chr(int(match[1], 16))
        except (ValueError, OverflowError):
            return match[0]

    return _ESCAPED.sub(character, name)
