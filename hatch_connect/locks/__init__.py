"""Finds the lock that counts, and reads it by its format.

The order is: the file that `lock` or `requirements-file` names, the lock of the Hatch environment,
a file of hatch-pip-compile for that environment (`requirements/requirements-NAME.txt`), `uv.lock`
(that of the workspace too), `pylock.toml`, `requirements.txt`. Each format is an entry of
`_FORMATS`, and has a module that makes a `Lock` of it; to understand how a `uv.lock` is read, go on
with `uv`, then with `freshness` and `compatibility`, which it uses.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

from hatch_connect.errors import LockError, shortened
from hatch_connect.locks.declared_sources import is_file
from hatch_connect.locks.lock import (
    UV,
    LockFile,
    LockFormat,
    parse_lock,
    project_folder,
    read_lock_data,
)
from hatch_connect.project.metadata import parse_specifier
from hatch_connect.secret import excerpt
from hatch_connect.typed import list_at, table_at, text_at

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from hatch_connect.locks.lock import Lock
    from hatch_connect.project.project import ProjectConfig
    from hatch_connect.project.target import Target


# Only the reader that is needed is imported, because each takes some milliseconds.


def _read_uv(found: LockFile, config: ProjectConfig, target: Target) -> Lock:
    from hatch_connect.locks.uv import read_uv_lock

    return read_uv_lock(found, config, target)


def _read_pylock(found: LockFile, config: ProjectConfig, target: Target) -> Lock:
    from hatch_connect.locks.pylock import read_pylock

    return read_pylock(found, config, target)


def _read_requirements(found: LockFile, config: ProjectConfig, target: Target) -> Lock:
    from hatch_connect.locks.requirements import read_requirements

    return read_requirements(found, config, target)


_UV = LockFormat(
    name=UV,
    file=UV,
    names=re.compile(re.escape(UV)),
    listed=UV,
    read=_read_uv,
    # A large uv.lock takes a second to parse; what comes before the packages says for which Python.
    head="[[package]]",
)
_PYLOCK = LockFormat(
    name="pylock",
    file="pylock.toml",
    names=re.compile(r"pylock(\.[^.]+)?\.toml"),  # PEP 751
    listed="pylock.toml or pylock.NAME.toml",
    read=_read_pylock,
)
_REQUIREMENTS = LockFormat(
    name="requirements.txt",
    file="requirements.txt",
    names=re.compile(r".+\.(txt|in|pip)|requirements.*", re.DOTALL),
    listed="a requirements file (.txt)",
    read=_read_requirements,
    is_toml=False,
    one_minor=False,
)
_FORMATS = (_UV, _PYLOCK, _REQUIREMENTS)
"""Each format that can be read, in the order in which a project's root is searched for them."""

_MINORS = 40
"""Minors far beyond any that exist: a range without an upper bound allows several of them."""

_FOREIGN = {
    "poetry.lock": "poetry export -f pylock.toml -o pylock.toml",
    "pdm.lock": "pdm export -f pylock -o pylock.toml",
    "Pipfile.lock": "pipenv requirements > requirements.txt",
    "conda-lock.yml": "uv pip compile pyproject.toml -o requirements.txt",
    "pixi.lock": "uv pip compile pyproject.toml -o requirements.txt",
    "Pipfile": "pipenv lock && pipenv requirements > requirements.txt",
}
"""Locks that only their own tool reads correctly, with the command that exports one we read."""

_CONDA = ("environment*.yml", "environment*.yaml", "conda*.yml", "conda*.yaml")
_LISTS = ("requirements*.txt", "requirements/*.txt", "*[-_]requirements.txt")
_SOURCES = ("requirements*.in", "requirements/*.in")
_INSTEAD = "\n`--force-generate` ships what is installed instead."
_SHOWN = 5
_SCRIPT = re.compile(r"^# /// script[ \t\r]*\n(?:#[^\n]*\n)*?# *dependencies *= *\[", re.MULTILINE)
"""A script with inline metadata (PEP 723)."""


def find_lock(config: ProjectConfig) -> LockFile | None:
    """Return the lock that counts, or None if the project has none or a call wants none.

    Raises LockError for a lock that is named and does not exist, and if the project lists what it
    needs in a form that a tool must lock or export first: what is installed may be something else.
    """
    if config.force_generate:
        return None
    found = _named(config) or _found(config)
    if found is not None:
        return _with_python(found)
    for name in _FOREIGN:
        if (config.root / name).is_file():
            raise _foreign(config.root / name, instead=_INSTEAD)
    _require_no_other_list(config)
    return None


def is_lock(path: str) -> bool:
    """Return whether a file of a project is a lock in its root, of whichever tool."""
    pylock = "/" not in path and path.startswith("pylock.") and path.endswith(".toml")
    return pylock or path in _FOREIGN or any(path == form.file for form in _FORMATS)


def _require_no_other_list(config: ProjectConfig) -> None:
    """Raise LockError if other files list what the project needs, or the input of such a list."""
    places = dict.fromkeys((config.root, config.content_root))
    for said, hint in (*_conda(config.root), *_lists(config, places), *_scripts(config)):
        raise LockError(
            f"{config.root} has no lock, but {said} what it needs.",
            hint=hint + _INSTEAD,
        )


def _conda(root: Path) -> Iterator[tuple[str, str]]:
    for path in (path for each in _CONDA for path in sorted(root.glob(each))):
        text = path.read_bytes() if path.is_file() else b""
        if path.stem == "environment" or re.search(rb"^dependencies:", text, re.MULTILINE):
            named = re.search(rb"^name:[ \t]*([\w.-]+)", text, re.MULTILINE)
            name = named[1].decode() if named else "NAME"
            run = f"conda run -n {name} python -m pip list --format=freeze > {_REQUIREMENTS.file}"
            yield f"{path.name} says", f"Convert it to a requirements file: {run}"


def _lists(config: ProjectConfig, places: Iterable[Path]) -> Iterator[tuple[str, str]]:
    for patterns, made in ((_LISTS, False), (_SOURCES, True)):
        found = [p for place in places for each in patterns for p in sorted(place.glob(each))]
        names = [p.relative_to(config.root).as_posix() for p in dict.fromkeys(found)]
        if not names:
            continue
        says = "says" if len(names) == 1 else "say"
        said = f"{shortened(names, _SHOWN)} {says}"
        if made:
            yield (
                said,
                (
                    f"Compile it to a requirements file: uv pip compile {names[0]} -o"
                    f" {_REQUIREMENTS.file}"
                ),
            )
        else:
            line = f'requirements-file = "{names[0]}"'
            yield said, f"Choose one in [tool.hatch-connect]: {line}"


def _scripts(config: ProjectConfig) -> Iterator[tuple[str, str]]:
    text = (config.entrypoint or "").partition(":")[0]
    files = [config.content_root / name for name in (text, f"{text.replace('.', '/')}.py")]
    known = [file for file in files if file.suffix == ".py" and file.is_file()]
    for path in known or sorted(config.root.glob("*.py")):
        if _SCRIPT.search(path.read_text("utf-8", "replace")):
            name = path.relative_to(config.root).as_posix()
            command = f"uv export --script {name} -o {_REQUIREMENTS.file}"
            yield f"{name} says (PEP 723)", f"Export it to a requirements file: {command}"


def _foreign(path: Path, *, instead: str = "") -> LockError:
    return LockError(
        f"{path} is a lock that only its own tool can read reliably.",
        hint=f"Export it to a supported format: {_FOREIGN[path.name]}{instead}",
    )


def _named(config: ProjectConfig) -> LockFile | None:
    for text, key in ((config.lock, "lock"), (config.requirements_file, "requirements-file")):
        # For the official client, `pyproject.toml` means to use the project's dependencies.
        if text is None or text == "pyproject.toml":
            continue
        path = config.root / text
        if not is_file(path):
            raise LockError(
                f"{excerpt(str(path))}, which `{key}` names, does not exist.",
                hint="Set the path of the file relative to the project's root, or create the lock.",
            )
        hatch = path == config.root / config.hatch_environment.lock_file
        return LockFile(
            path=path, format=_format_of(path), because=f"`{key}` names it", hatch=hatch
        )
    return None


def _found(config: ProjectConfig) -> LockFile | None:
    root, environment = config.root, config.hatch_environment
    own = root / environment.lock_file
    if is_file(own):
        because = f"the lock of the Hatch environment `{environment.name}`"
        return LockFile(path=own, format=_format_of(own), because=because, hatch=True)
    compiled = root / "requirements" / f"requirements-{environment.name}.txt"
    if environment.name != "default" and compiled.is_file():
        because = f"hatch-pip-compile made it for the Hatch environment `{environment.name}`"
        return LockFile(path=compiled, format=_REQUIREMENTS, because=because)
    for form in _FORMATS:
        if (root / form.file).is_file():
            because = f"the first lock found in {root}"
            return LockFile(path=root / form.file, format=form, because=because)
        if form is _UV and (shared := _workspace_lock(root)) is not None:
            return shared
    return None


def _workspace_lock(root: Path) -> LockFile | None:
    """Return the `uv.lock` of the workspace that a project is a member of: it has none itself."""
    for folder in root.parents:
        if not (folder / UV).is_file():
            continue
        data = read_lock_data(folder / UV)
        content = parse_lock(data, folder / UV)
        if project_folder(root, folder / UV) in map(_folder, list_at(content, "package")):
            because = f"the lock of the workspace in {folder}"
            return LockFile(
                path=folder / UV, format=_UV, because=because, data=data, content=content
            )
    return None


def _folder(package: object) -> str | None:
    source = table_at(package, "source")
    return text_at(source, "editable") or text_at(source, "virtual")


def _format_of(path: Path) -> LockFormat:
    """Return the format of a lock by its name; raises LockError for an unknown one."""
    if path.name in _FOREIGN:
        raise _foreign(path)
    for form in _FORMATS:
        if form.names.fullmatch(path.name):
            return form
    raise LockError(
        f"{path} is not a supported lock.",
        hint=f"Supported locks: {', '.join(form.listed for form in _FORMATS)}.",
    )


def _with_python(found: LockFile) -> LockFile:
    """Add what a TOML lock holds, and what it says of Python."""
    if not found.format.is_toml:
        return found
    content, head = found.content, found.format.head
    if content is None:
        data = read_lock_data(found.path)
        content = parse_lock(data, found.path, before=head)
        found = replace(found, data=data, content=None if head else content)
    requires = text_at(content, "requires-python")
    if requires is None:
        return found
    python = _only_minor(requires) or (_locking_minor(content, requires) if found.hatch else None)
    return replace(found, requires_python=requires, python=python)


def _locking_minor(content: dict[str, object], requires: str) -> str | None:
    """Return X.Y of the interpreter that locked, if Hatch locked for that one only.

    Such a lock's `requires-python` is that interpreter's patch, and no package has a marker.
    """
    patch = re.fullmatch(r">=\s*(\d+\.\d+)\.\d+", requires)
    packages = content.get("packages")
    if patch is None or not isinstance(packages, list):
        return None
    if any(isinstance(package, dict) and "marker" in package for package in packages):
        return None
    return patch[1]


def _only_minor(requires: str) -> str | None:
    """Return the X.Y that a range allows, if it allows exactly one."""
    from packaging.specifiers import SpecifierSet

    wanted = parse_specifier(requires)
    if wanted is None:
        return None
    minors = [
        f"3.{minor}"
        for minor in range(_MINORS)
        if not wanted.is_disjoint(SpecifierSet(f"==3.{minor}.*"))
    ]
    return minors[0] if len(minors) == 1 else None


def read_lock(found: LockFile, config: ProjectConfig, target: Target) -> Lock:
    """Read a lock for a target; raises LockError with everything that is wrong with it."""
    from hatch_connect.locks.declared_sources import apply_declared_sources

    try:
        lock = found.format.read(found, config, target)
    except RecursionError:
        raise LockError(
            f"{found.path} has markers that are nested too deeply.",
            hint="Lock the project again.",
        ) from None
    return apply_declared_sources(
        lock, config, target, uv=found.format is not _UV and not found.hatch
    )
