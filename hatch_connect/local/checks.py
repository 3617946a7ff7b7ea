"""What a bundle must be before it is installed: manifest, files as listed, entrypoint."""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, TypeVar

from packaging.specifiers import InvalidSpecifier, SpecifierSet

from hatch_connect.bundle.manifest import MANIFEST_NAME
from hatch_connect.errors import BundleError, shortened
from hatch_connect.local.archives import safe_name
from hatch_connect.local.modes import MODES, WITHOUT_PYTHON, Mode
from hatch_connect.project.entrypoints import SAVED_MODELS, express_script, is_quarto_project
from hatch_connect.typed import optional

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

T = TypeVar("T")
_WITHOUT_ENTRYPOINT = ("notebooks", "document", "model", "none")
_VERSION = re.compile(r"(\d+)\.(\d+)(\.\d+)?\S*")
_NAME = r"[^\W\d]\w*"
_OBJECT = re.compile(rf"\w[\w-]*(\.\w[\w-]*)*(:{_NAME}(\.{_NAME})*)?")
_SCRIPTS = (".py", ".ipynb")
_DOCUMENTS = ("*.qmd", "*.ipynb", "*.Rmd", "*.md")


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedManifest:
    """The parts of manifest.json that the server acts on.

    `python` is a version such as "3.11.7", or None for content that has no Python; `requires` is a
    specifier such as "~=3.11.0"; `managed` says whether the server is to install packages, and is
    None if that is left to it.
    """

    app_mode: str
    entrypoint: str = ""
    primary_html: str | None = None
    python: str | None = None
    requires: str | None = None
    package_file: str | None = None
    managed: bool | None = None
    image: str | None = None
    hide_all_input: bool = False
    hide_tagged_input: bool = False
    files: tuple[str, ...] = ()

    @property
    def mode(self) -> Mode:
        """What this server does with such content."""
        return MODES[self.app_mode]


def check(root: Path, *, files: bool = True) -> CheckedManifest:
    """Return the manifest of the unpacked bundle at `root` after checking the bundle against it.

    Its entrypoint is the one that was found, a script's as the path of its file. Raises
    BundleError for the first problem. Listed files must exist; as on Connect, checksums may differ
    and there may be further files. Without `files` their existence is not checked: a process of
    the content may have removed some.
    """
    manifest = parse(_read(root / MANIFEST_NAME))
    wanted = manifest.files if files else ()
    if missing := sorted(name for name in wanted if not os.path.lexists(root / name)):
        names = shortened([repr(name) for name in missing], 5)
        raise BundleError(f"Listed in manifest.json but not in the archive: {names}.")
    packages = None if manifest.managed is False else manifest.package_file
    if packages is not None and not (root / packages).is_file():
        raise BundleError(f"The package file {packages!r} is not in the bundle.")
    return replace(manifest, entrypoint=find_entrypoint(root, manifest))


def parse(text: bytes) -> CheckedManifest:
    """Return what a manifest says; raises BundleError with the key that is wrong."""
    try:
        whole = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BundleError(f"manifest.json is not JSON: {error}") from error
    if not isinstance(whole, dict):
        raise BundleError("manifest.json is not a JSON object.")
    version = whole.get("version", 1)
    if version != 1 or isinstance(version, bool):
        raise BundleError("manifest.json: version must be 1.")
    app_mode = _need(whole, "metadata.appmode")
    if app_mode not in MODES:
        known = ", ".join(MODES)
        raise BundleError(f"manifest.json: metadata.appmode {app_mode!r} is not one of: {known}.")
    primary_html = _get(whole, "metadata.primary_html", str)
    python = _python(whole, app_mode)
    if primary_html is None and MODES[app_mode].entrypoint not in _WITHOUT_ENTRYPOINT:
        _need(whole, "metadata.entrypoint")
    return CheckedManifest(
        app_mode=app_mode,
        entrypoint=_get(whole, "metadata.entrypoint", str) or "",
        primary_html=primary_html,
        python=python,
        requires=_requires(whole),
        package_file=None if python is None else _package_file(whole),
        managed=_get(whole, "environment.environment_management.python", bool),
        image=_get(whole, "environment.image", str),
        hide_all_input=bool(_get(whole, "jupyter.hide_all_input", bool)),
        hide_tagged_input=bool(_get(whole, "jupyter.hide_tagged_input", bool)),
        files=_files(whole),
    )


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise BundleError("The bundle has no manifest.json at its root.") from error


def _get(whole: Mapping[str, object], key: str, kind: type[T]) -> T | None:
    """Return what a manifest has at a key such as `python.version`; None if it has nothing."""
    table, _, name = key.rpartition(".")

    def wrong(value: object) -> BundleError:
        return BundleError(f"manifest.json: {key} has the wrong type, {type(value).__name__}.")

    return optional(_table(whole, table), name, kind, wrong)


def _table(whole: Mapping[str, object], key: str) -> Mapping[str, object]:
    if not key:
        return whole
    above, _, name = key.rpartition(".")
    wrong = BundleError(f"manifest.json: {key} must be an object.")
    return optional(_table(whole, above), name, dict, lambda _: wrong) or {}


def _need(whole: Mapping[str, object], key: str) -> str:
    text = _get(whole, key, str)
    if text is None:
        raise BundleError(f"manifest.json: {key} is missing.")
    return text


def _python(whole: Mapping[str, object], app_mode: str) -> str | None:
    # Not every document of Quarto runs Python.
    unused = MODES[app_mode].entrypoint == "document" and whole.get("python") is None
    if unused or app_mode in WITHOUT_PYTHON:
        return None
    version = _need(whole, "python.version")
    if not _VERSION.fullmatch(version):
        raise BundleError(f"manifest.json: python.version {version!r} is not a version.")
    return version


def _requires(whole: Mapping[str, object]) -> str | None:
    requires = _get(whole, "environment.python.requires", str)
    try:
        SpecifierSet(requires or "")
    except InvalidSpecifier as error:
        raise BundleError(f"manifest.json: environment.python.requires: {error}") from error
    return requires


def _package_file(whole: Mapping[str, object]) -> str:
    if _need(whole, "python.package_manager.name") not in {"pip", "uv"}:
        raise BundleError("manifest.json: python.package_manager.name must be 'pip' or 'uv'.")
    return safe_name(_need(whole, "python.package_manager.package_file"))


def _files(whole: Mapping[str, object]) -> tuple[str, ...]:
    listed: Mapping[str, object] = _get(whole, "files", dict) or {}
    for name, entry in listed.items():
        safe_name(name)
        if not isinstance(entry, dict) or not isinstance(entry.get("checksum", ""), str):
            raise BundleError(f"manifest.json: files[{name!r}].checksum must be a string.")
    return tuple(name for name in listed if name != MANIFEST_NAME)


def find_entrypoint(root: Path, manifest: CheckedManifest) -> str:
    """Return the entrypoint of content, for scripts and pages as a path below `root`.

    Raises BundleError if it names nothing of the bundle.
    """
    find: dict[str, Callable[[Path, CheckedManifest], str]] = {
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


def saved_models(root: Path) -> tuple[str, ...]:
    """Return the folders that hold a TensorFlow SavedModel, as paths below `root`."""
    found = {path.parent for name in SAVED_MODELS for path in root.rglob(name)}
    return tuple(sorted(path.relative_to(root).as_posix() for path in found))


def _model(root: Path) -> str:
    if not any(folder.isdecimal() for folder in saved_models(root)):
        raise BundleError(
            f"The bundle holds no SavedModel: no {' and no '.join(SAVED_MODELS)} in a folder at its"
            " root whose name is the model's version, such as 1/."
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


def _notebooks(root: Path, manifest: CheckedManifest) -> str:
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
    if (script := express_script(entrypoint)) is not None:
        _file(root, script, (".py",))
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
