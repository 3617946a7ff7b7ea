"""What a bundle must be before it is installed: manifest, files as listed, entrypoint."""

from __future__ import annotations

import os
import re
from dataclasses import replace
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, TypeVar

from packaging.specifiers import InvalidSpecifier, SpecifierSet

from hatch_connect.bundle.manifest import (
    MANIFEST_NAME,
    Jupyter,
    ListedFile,
    Manifest,
    ManifestEnvironment,
    ManifestMetadata,
    ManifestPython,
)
from hatch_connect.errors import BundleError, shortened
from hatch_connect.local.archives import (
    LARGEST_MANIFEST,
    MOST_NAMES,
    manifest_too_large,
    safe_name,
    shown,
)
from hatch_connect.local.modes import KNOWN, MODES
from hatch_connect.local.strict_json import parse_json
from hatch_connect.project.content_kind import EntrypointKind
from hatch_connect.project.discovery import SAVED_MODELS, express_script, is_quarto_project
from hatch_connect.typed import optional

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from hatch_connect.project.content_kind import AppMode

T = TypeVar("T")
_WITHOUT_ENTRYPOINT = frozenset(
    {
        EntrypointKind.NOTEBOOKS,
        EntrypointKind.DOCUMENT,
        EntrypointKind.MODEL,
        EntrypointKind.NONE,
    }
)
_VERSION = re.compile(r"\d{1,9}\.\d{1,9}(\.\d{1,9})?\S{0,50}")
_LONGEST_REQUIRES = 1000
_MOST_OBJECTS = 3 * MOST_NAMES
_NAME = r"[^\W\d]\w*"
_OBJECT = re.compile(rf"\w[\w-]*(\.\w[\w-]*)*(:{_NAME}(\.{_NAME})*)?")
_SCRIPTS = (".py", ".ipynb")
_DOCUMENTS = ("*.qmd", "*.ipynb", "*.Rmd", "*.md")


def check(root: Path, *, files: bool = True) -> Manifest:
    """Return the manifest of the unpacked bundle at `root` after checking the bundle against it.

    Its entrypoint is the one that was found, a script's as the path of its file. Raises
    BundleError for the first problem. Listed files must exist; as on Connect, checksums may differ
    and there may be further files. Without `files` their existence is not checked: a process of
    the content may have removed some.
    """
    manifest = parse_manifest(_read(root / MANIFEST_NAME))
    wanted = [file.path for file in manifest.files] if files else ()
    if missing := sorted(name for name in wanted if not os.path.lexists(root / name)):
        names = shortened([shown(name) for name in missing], 5)
        raise BundleError(f"Listed in manifest.json but not in the archive: {names}.")
    if manifest.python is not None and manifest.environment.manage_python is not False:
        packages = manifest.python.package_file
        if not _is_file(root / packages):
            raise BundleError(f"The package file {shown(packages)} is not in the bundle.")
    found = find_entrypoint(root, manifest.metadata)
    return replace(manifest, metadata=replace(manifest.metadata, entrypoint=found))


def parse_manifest(text: bytes) -> Manifest:
    """Return what the server acts on of a manifest; raises BundleError with the key that is wrong.

    It is stricter than a reader of bundles that only passes a manifest on, and takes no default for
    what must be there.
    """
    # Each takes many times the memory of its two bytes.
    if text.count(b"[") + text.count(b"{") > _MOST_OBJECTS:
        raise BundleError(f"manifest.json has more than {_MOST_OBJECTS:,} objects and arrays.")
    try:
        whole = parse_json(text)
    except ValueError as error:
        raise BundleError(f"manifest.json is not valid JSON: {error}.") from error
    if not isinstance(whole, dict):
        raise BundleError("manifest.json is not a JSON object.")
    version = whole.get("version", 1)
    if version != 1 or isinstance(version, bool):
        raise BundleError("manifest.json: version must be 1.")
    name = _need(whole, "metadata.appmode")
    if name not in MODES:
        known = ", ".join(MODES)
        raise BundleError(f"manifest.json: metadata.appmode {shown(name)} is not one of: {known}.")
    app_mode = KNOWN[name]
    primary_html = _get(whole, "metadata.primary_html", str)
    version = _python_version(whole, app_mode)
    if primary_html is None and app_mode.entrypoint not in _WITHOUT_ENTRYPOINT:
        _need(whole, "metadata.entrypoint")
    entrypoint = _get(whole, "metadata.entrypoint", str)
    requires = _requires(whole)
    return Manifest(
        metadata=ManifestMetadata(app_mode=name, entrypoint=entrypoint, primary_html=primary_html),
        python=None
        if version is None
        else ManifestPython(version=version, package_file=_package_file(whole)),
        environment=ManifestEnvironment(
            python_requires=requires,
            manage_python=_get(whole, "environment.environment_management.python", bool),
            image=_get(whole, "environment.image", str),
        ),
        jupyter=Jupyter(
            hide_all_input=_get(whole, "jupyter.hide_all_input", bool) or False,
            hide_tagged_input=_get(whole, "jupyter.hide_tagged_input", bool) or False,
        ),
        files=_files(whole),
    )


def _read(path: Path) -> bytes:
    if path.is_symlink():
        raise BundleError("manifest.json must be a file, not a link.")
    try:
        if path.stat().st_size > LARGEST_MANIFEST:
            raise manifest_too_large()
        return path.read_bytes()
    except OSError as error:
        raise BundleError("The bundle has no manifest.json at its root.") from error


def _is_file(path: Path) -> bool:
    return os.path.isfile(path)  # noqa: PTH113 - for a name that is too long, Path raises


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


def _python_version(whole: Mapping[str, object], app_mode: AppMode) -> str | None:
    # Not every document of Quarto runs Python.
    unused = app_mode.is_quarto and whole.get("python") is None
    if unused or not app_mode.has_python:
        return None
    version = _need(whole, "python.version")
    if not _VERSION.fullmatch(version):
        raise BundleError(f"manifest.json: python.version {shown(version)} is not a version.")
    return version


def _requires(whole: Mapping[str, object]) -> str | None:
    requires = _get(whole, "environment.python.requires", str)
    if requires and len(requires) > _LONGEST_REQUIRES:
        raise BundleError("manifest.json: environment.python.requires is too long.")
    try:
        SpecifierSet(requires or "")
    except InvalidSpecifier as error:
        raise BundleError(f"manifest.json: environment.python.requires: {error}") from error
    return requires


def _package_file(whole: Mapping[str, object]) -> str:
    if _need(whole, "python.package_manager.name") not in {"pip", "uv"}:
        raise BundleError("manifest.json: python.package_manager.name must be 'pip' or 'uv'.")
    return safe_name(_need(whole, "python.package_manager.package_file"))


def _files(whole: Mapping[str, object]) -> tuple[ListedFile, ...]:
    listed: Mapping[str, object] = _get(whole, "files", dict) or {}
    files = []
    for name, entry in listed.items():
        safe_name(name)
        if not isinstance(entry, dict) or not isinstance(entry.get("checksum", ""), str):
            raise BundleError(f"manifest.json: files[{shown(name)}].checksum must be a string.")
        files.append(ListedFile(path=name, checksum=entry.get("checksum", "")))
    return tuple(file for file in files if file.path != MANIFEST_NAME)


def find_entrypoint(root: Path, metadata: ManifestMetadata) -> str:
    """Return the entrypoint of content, for scripts and pages as a path below `root`.

    Raises BundleError if it names nothing of the bundle.
    """
    entrypoint = metadata.entrypoint or ""
    app_mode = KNOWN[metadata.app_mode]
    found = ""
    match app_mode.entrypoint:
        case EntrypointKind.OBJECT:
            found = _object(root, entrypoint)
        case EntrypointKind.SCRIPT:
            found = (_shiny if app_mode.express else _script)(root, entrypoint)
        case EntrypointKind.NOTEBOOK:
            found = _file(root, entrypoint, (".ipynb",))
        case EntrypointKind.NOTEBOOKS:
            found = _notebooks(root, entrypoint)
        case EntrypointKind.DOCUMENT:
            found = _document(root, project=MODES[app_mode.name].kind == "files")
        case EntrypointKind.PAGE:
            found = _file(root, metadata.primary_html or entrypoint)
        case EntrypointKind.MODEL:
            _check_model(root)
    return found


def saved_models(root: Path) -> tuple[str, ...]:
    """Return the folders that hold a TensorFlow SavedModel, as paths below `root`."""
    found = {path.parent for name in SAVED_MODELS for path in root.rglob(name)}
    return tuple(sorted(path.relative_to(root).as_posix() for path in found))


def _check_model(root: Path) -> None:
    if not any(folder.isdecimal() for folder in saved_models(root)):
        raise BundleError(
            f"The bundle contains no SavedModel: {' or '.join(SAVED_MODELS)} in a folder at its"
            " root that is named after the model's version, such as 1/."
        )


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
    raise BundleError("The bundle contains neither a Quarto project nor a single document.")


def _notebooks(root: Path, entrypoint: str) -> str:
    if entrypoint:
        return _file(root, entrypoint, (".ipynb",))
    if not any(root.rglob("*.ipynb")):
        raise BundleError(
            "The manifest does not name a notebook, and the bundle does not contain one."
        )
    return ""


def _file(root: Path, entrypoint: str, suffixes: tuple[str, ...] = ()) -> str:
    path = safe_name(entrypoint)
    if not _is_file(root / path):
        raise BundleError(f"The entrypoint {shown(entrypoint)} is not a file in the bundle.")
    if suffixes and PurePosixPath(path).suffix not in suffixes:
        wanted = " or ".join(suffixes)
        raise BundleError(
            f"The entrypoint {shown(entrypoint)} must be a file that ends in {wanted}."
        )
    return path


def _script(root: Path, entrypoint: str) -> str:
    """Return the file of a script, which may be written as a module, with an object or without."""
    if entrypoint.endswith(_SCRIPTS):
        return _file(root, entrypoint, _SCRIPTS)
    _object(root, entrypoint)
    path = entrypoint.partition(":")[0].replace(".", "/")
    return f"{path}.py" if _is_file(root / f"{path}.py") else f"{path}/__init__.py"


def _shiny(root: Path, entrypoint: str) -> str:
    if (script := express_script(entrypoint)) is not None:
        _file(root, script, (".py",))
        return entrypoint
    return _object(root, entrypoint)


def _object(root: Path, entrypoint: str) -> str:
    # Posit Publisher writes the file's name, the official client the module's.
    if entrypoint.endswith(".py") and _is_file(root / safe_name(entrypoint)):
        entrypoint = entrypoint.removesuffix(".py").replace("/", ".")
    if not _OBJECT.fullmatch(entrypoint):
        raise BundleError(f"The entrypoint {shown(entrypoint)} must have the form module:object.")
    module = root.joinpath(*entrypoint.partition(":")[0].split("."))
    if not _is_file(module.with_name(module.name + ".py")) and not _is_file(module / "__init__.py"):
        raise BundleError(f"The entrypoint {shown(entrypoint)} is not a module in the bundle.")
    return entrypoint
