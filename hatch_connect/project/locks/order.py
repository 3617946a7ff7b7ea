"""Which lock counts."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from hatch_connect.errors import ConfigurationError, LockError
from hatch_connect.project.locks.neighbours import is_file
from hatch_connect.project.reading import read_toml
from hatch_connect.project.settings import excerpt

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from hatch_connect.project.project import ProjectConfig

UV = "uv.lock"
PYLOCK = "pylock"
REQUIREMENTS = "requirements.txt"

_PYLOCK_NAME = re.compile(r"pylock(\.[^.]+)?\.toml")

_MINORS = 40
"""Far beyond any Python 3 that there is: a range without an upper bound allows several."""

_FOREIGN = {
    "poetry.lock": "poetry export -f pylock.toml -o pylock.toml",
    "pdm.lock": "pdm export -f pylock -o pylock.toml",
    "Pipfile.lock": "pipenv requirements > requirements.txt",
    "conda-lock.yml": "uv pip compile pyproject.toml -o requirements.txt",
    "pixi.lock": "uv pip compile pyproject.toml -o requirements.txt",
    "Pipfile": "pipenv lock && pipenv requirements > requirements.txt",
}
"""Locks that only their own tool reads right, and the command that makes one that we read."""

_CONDA = ("environment*.yml", "environment*.yaml", "conda*.yml", "conda*.yaml")
_LISTS = ("requirements*.txt", "requirements/*.txt", "*[-_]requirements.txt")
_SOURCES = ("requirements*.in", "requirements/*.in")
_INSTEAD = "\n`--force-generate` ships what is installed instead."
_SHOWN = 5
_SCRIPT = re.compile(r"^# /// script[ \t\r]*\n(?:#[^\n]*\n)*?# *dependencies *= *\[", re.MULTILINE)
"""A script that says itself what it needs (PEP 723)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LockFile:
    """A lock that was found.

    `python` is the minor that it was made for, where it was made for just one; `hatch` says that
    it is the lock of the chosen Hatch environment, which has extras and groups baked in.
    """

    path: Path
    format: str
    because: str
    python: str | None = None
    requires_python: str | None = None
    hatch: bool = False

    @property
    def lock_python(self) -> tuple[str, str] | None:
        """`python` with its reason, as `choose_python` takes it."""
        if self.python is None:
            return None
        return self.python, f"{self.path.name}, which was made for it,"

    @property
    def one_minor(self) -> bool:
        """Whether its pins are evaluated for one minor; those of a requirements file are not."""
        return self.format != REQUIREMENTS


def find_lock(config: ProjectConfig) -> LockFile | None:
    """Return the lock that counts, or None where the project has none or a call wants none.

    Raises LockError for a lock that is named and not there, and where the project says what it
    needs in a form that a tool has to lock or export: what happens to be installed is not that.
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


def _require_no_other_list(config: ProjectConfig) -> None:
    """Stop where the project says elsewhere what it needs: a list, or what one is made of."""
    places = dict.fromkeys((config.root, config.content_root))
    for said, hint in (*_conda(config.root), *_lists(config, places), *_scripts(config)):
        raise LockError(
            f"{config.root} has no lock, and {said} what it needs.",
            hint=hint + _INSTEAD,
        )


def _conda(root: Path) -> Iterator[tuple[str, str]]:
    for path in (path for each in _CONDA for path in sorted(root.glob(each))):
        text = path.read_bytes() if path.is_file() else b""
        if path.stem == "environment" or re.search(rb"^dependencies:", text, re.MULTILINE):
            named = re.search(rb"^name:[ \t]*([\w.-]+)", text, re.MULTILINE)
            name = named[1].decode() if named else "NAME"
            run = f"conda run -n {name} python -m pip list --format=freeze > {REQUIREMENTS}"
            yield f"{path.name} says", f"Make a list of it: {run}"


def _lists(config: ProjectConfig, places: Iterable[Path]) -> Iterator[tuple[str, str]]:
    for patterns, made in ((_LISTS, False), (_SOURCES, True)):
        found = [p for place in places for each in patterns for p in sorted(place.glob(each))]
        names = [p.relative_to(config.root).as_posix() for p in dict.fromkeys(found)]
        if not names:
            continue
        more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
        says = "says" if len(names) == 1 else "say"
        said = f"{', '.join(names[:_SHOWN])}{more} {says}"
        if made:
            yield said, f"Make a list of it: uv pip compile {names[0]} -o {REQUIREMENTS}"
        else:
            line = f'requirements-file = "{names[0]}"'
            yield said, f"Name the one that counts in [tool.hatch-connect]: {line}"


def _scripts(config: ProjectConfig) -> Iterator[tuple[str, str]]:
    text = (config.entrypoint or "").partition(":")[0]
    files = [config.content_root / name for name in (text, f"{text.replace('.', '/')}.py")]
    known = [file for file in files if file.suffix == ".py" and file.is_file()]
    for path in known or sorted(config.root.glob("*.py")):
        if _SCRIPT.search(path.read_text("utf-8", "replace")):
            name = path.relative_to(config.root).as_posix()
            command = f"uv export --script {name} -o {REQUIREMENTS}"
            yield f"{name} says (PEP 723)", f"Make a list of it: {command}"


def _foreign(path: Path, *, instead: str = "") -> LockError:
    return LockError(
        f"{path} is a lock that only its own tool reads right.",
        hint=f"Make a lock of it that can be read here: {_FOREIGN[path.name]}{instead}",
    )


def _named(config: ProjectConfig) -> LockFile | None:
    for text, key in ((config.lock, "lock"), (config.requirements_file, "requirements-file")):
        # To the official client `pyproject.toml` means: no list but the project's dependencies.
        if text is None or text == "pyproject.toml":
            continue
        path = config.root / text
        if not is_file(path):
            raise LockError(
                f"There is no {excerpt(str(path))}, which `{key}` names.",
                hint="Write the file's path from the project's root, or make the lock.",
            )
        hatch = path == config.root / config.hatch_environment.lock_file
        return LockFile(path=path, format=format_of(path), because=f"`{key}` names it", hatch=hatch)
    return None


def _found(config: ProjectConfig) -> LockFile | None:
    root, environment = config.root, config.hatch_environment
    own = root / environment.lock_file
    if is_file(own):
        because = f"the lock of the Hatch environment `{environment.name}`"
        return LockFile(path=own, format=format_of(own), because=because, hatch=True)
    compiled = root / "requirements" / f"requirements-{environment.name}.txt"
    if environment.name != "default" and compiled.is_file():
        because = f"hatch-pip-compile made it for the Hatch environment `{environment.name}`"
        return LockFile(path=compiled, format=REQUIREMENTS, because=because)
    if (uv := _uv_lock(config.root)) is not None:
        return uv
    for name, form in (("pylock.toml", PYLOCK), (REQUIREMENTS, REQUIREMENTS)):
        if (root / name).is_file():
            because = f"the first of the locks that {root} holds"
            return LockFile(path=root / name, format=form, because=because)
    return None


def _uv_lock(root: Path) -> LockFile | None:
    """Return the project's own `uv.lock`, or that of the workspace that it is a member of."""
    if (root / UV).is_file():
        because = f"the first of the locks that {root} holds"
        return LockFile(path=root / UV, format=UV, because=because)
    for folder in root.parents:
        if not (folder / UV).is_file():
            continue
        members = read_lock_toml(folder / UV).get("package", [])
        if isinstance(members, list) and project_folder(root, folder / UV) in map(_folder, members):
            because = f"the lock of the workspace in {folder}"
            return LockFile(path=folder / UV, format=UV, because=because)
    return None


def _folder(package: object) -> str | None:
    source = package.get("source") if isinstance(package, dict) else None
    if not isinstance(source, dict):
        return None
    return source.get("editable") or source.get("virtual")


def project_folder(root: Path, lock: Path) -> str:
    """Return the project's folder as `uv.lock` names it, from the lock's own folder."""
    return Path(os.path.relpath(root, lock.parent)).as_posix()


def format_of(path: Path) -> str:
    """Tell the format of a lock by its name; what is not known is a LockError."""
    if path.name in _FOREIGN:
        raise _foreign(path)
    if path.name == UV:
        return UV
    if _PYLOCK_NAME.fullmatch(path.name):
        return PYLOCK
    if path.suffix in {".txt", ".in", ".pip"} or path.name.startswith("requirements"):
        return REQUIREMENTS
    raise LockError(
        f"{path} is no lock that can be read.",
        hint="These can: uv.lock, pylock.toml or pylock.NAME.toml, a requirements file (.txt).",
    )


def _with_python(found: LockFile) -> LockFile:
    """Add what a lock says of Python."""
    if found.format == REQUIREMENTS:
        return found
    # A large uv.lock takes a second to parse, and says this before its packages.
    content = read_lock_toml(found.path, before="[[package]]" if found.format == UV else None)
    requires = content.get("requires-python")
    if not isinstance(requires, str):
        return found
    python = _only_minor(requires) or (_locking_minor(content, requires) if found.hatch else None)
    return replace(found, requires_python=requires, python=python)


def _locking_minor(content: dict[str, object], requires: str) -> str | None:
    """Return X.Y of the interpreter that locked, where Hatch locked for just that one.

    Such a lock's `requires-python` is that interpreter's patch, and no package has a marker.
    """
    patch = re.fullmatch(r">=\s*(\d+\.\d+)\.\d+", requires)
    packages = content.get("packages")
    if patch is None or not isinstance(packages, list):
        return None
    if any(isinstance(package, dict) and "marker" in package for package in packages):
        return None
    return patch[1]


def read_lock_toml(path: Path, *, before: str | None = None) -> dict[str, object]:
    """Read a lock that is TOML, or its beginning; what is not is a LockError."""
    try:
        return read_toml(path, before=before)
    except ConfigurationError as error:
        raise LockError(str(error), hint="Lock the project again.") from None
    except RecursionError:
        raise LockError(
            f"{path} is nested deeper than any lock.", hint="Lock the project again."
        ) from None


def _only_minor(requires: str) -> str | None:
    """Return the one X.Y that a range allows, where it allows just one."""
    from packaging.specifiers import InvalidSpecifier, SpecifierSet

    try:
        wanted = SpecifierSet(requires)
    except InvalidSpecifier:
        return None
    minors = [
        f"3.{minor}"
        for minor in range(_MINORS)
        if not wanted.is_disjoint(SpecifierSet(f"==3.{minor}.*"))
    ]
    return minors[0] if len(minors) == 1 else None
