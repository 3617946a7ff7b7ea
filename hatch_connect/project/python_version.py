"""Which Python to ask Connect for, and because of what."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hatch_connect.errors import PythonVersionError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from packaging.specifiers import SpecifierSet

    from hatch_connect.project.config import ProjectConfig
    from hatch_connect.project.interpreter import Interpreter

VERSION_FILE = ".python-version"

_PATCHES = range(100)
_OLDEST = (3, 8)
_CPYTHON = re.compile(
    r"(?:cpython|python|py)?[-@]?(?P<minor>\d+\.\d+)(?P<patch>\.\d+)?(?P<rest>.*)", re.IGNORECASE
)
_OTHER = re.compile(
    r"pypy|graalpy|jython|ironpython|pyston|anaconda|miniconda|stackless", re.IGNORECASE
)
_PRERELEASE = re.compile(r"[-.]?(a|alpha|b|beta|c|rc|dev|pre)\d*\b", re.IGNORECASE)
_FREE_THREADED = re.compile(r"t\b|\+freethreaded", re.IGNORECASE)
_BUILD = re.compile(r"(-(linux|macos|windows|darwin|any|none|default)\S*|\.\*|\.[xX])?")


@dataclass(frozen=True, slots=True, kw_only=True)
class PythonTarget:
    """A Python version to ask for.

    `version` is the patch that was asked for, else the lowest that the project allows, which is
    X.Y.0 nearly always: older servers match MAJOR.MINOR. `requires` is what a newer server may
    choose from; None leaves it to `version`.
    """

    version: str
    requires: str | None
    because: str

    @property
    def minor(self) -> str:
        """The version as X.Y."""
        return ".".join(self.version.split(".")[:2])


@dataclass(frozen=True, slots=True, kw_only=True)
class _Source:
    """One place that may name a version; `decisive` ones must name one if they speak at all.

    A patch that an `exact` one names is that very patch, as for the official client's override.
    """

    text: str
    because: str
    decisive: bool
    explicit: bool = True
    exact: bool = False


def choose_python(
    config: ProjectConfig,
    *,
    option: str | None = None,
    lock_python: tuple[str, str] | None = None,
    interpreter: Interpreter | None = None,
    one_minor: bool = True,
    kept: str | None = None,
) -> PythonTarget:
    """Choose X.Y in the documented order; `requires-python` bounds the choice.

    `lock_python` is the minor that a lock was made for, with the reason. `one_minor` says that
    the pins are evaluated for one minor, so that no other may run them; it is False for a
    requirements file that is shipped as written. `kept` is the range of a lock whose markers are
    kept: any Python in it and in the project's may run the pins. Raises PythonVersionError.
    """
    bounds = _bounds(config)
    undecided = []
    for source in _sources(config, option, lock_python, interpreter):
        chosen = _version(source)
        if chosen is None:
            undecided.append(f"{source.because} says `{source.text}`, which names no X.Y")
            continue
        version = _within(chosen, bounds, source.because, config)
        requires: str | None = f"~={version}" if chosen.count(".") == 1 else f"~={_first(chosen)}"
        if source.exact and chosen.count(".") > 1:
            requires = f"=={chosen}"
        if not one_minor and not source.explicit:
            requires = config.requires_python
        if kept is not None:
            requires = str(bounds & _lock_bounds(kept, config)) or None
        return PythonTarget(version=version, requires=requires, because=source.because)
    said = "".join(f"\n  - {text}." for text in undecided)
    raise PythonVersionError(
        f"Nothing says which Python the content of {config.path} is for.{said}",
        hint='Write python-version = "3.12" into [tool.hatch-connect], or 3.12 into a'
        f" {VERSION_FILE} file beside pyproject.toml.",
    )


def _sources(
    config: ProjectConfig,
    option: str | None,
    lock_python: tuple[str, str] | None,
    interpreter: Interpreter | None,
) -> Iterator[_Source]:
    if option:
        because = "the option --python-version"
        yield _Source(text=option, because=because, decisive=True, exact=True)
    if config.python_version:
        because = "`tool.hatch-connect.python-version`"
        yield _Source(text=config.python_version, because=because, decisive=True)
    environment = config.hatch_environment
    if environment.python:
        because = f"`{environment.where}.python`"
        yield _Source(text=environment.python, because=because, decisive=False)
    if file := nearest_version_file(config.root):
        text, line = _first_version(file)
        because = _called(file, config.root) + (f", line {line}" if line > 1 else "")
        yield _Source(text=text, because=because, decisive=False)
    if lock_python:
        yield _Source(text=lock_python[0], because=lock_python[1], decisive=False, explicit=False)
    if interpreter:
        yield _of_interpreter(interpreter)


def _of_interpreter(interpreter: Interpreter) -> _Source:
    text = interpreter.version if not interpreter.free_threaded else f"{interpreter.minor}t"
    if interpreter.implementation != "cpython":
        text = f"{interpreter.implementation}{interpreter.version}"
    elif re.fullmatch(r"\d+\.\d+\.\d+", text):
        text = interpreter.minor
    because = f"the interpreter {interpreter.path}"
    return _Source(text=text, because=because, decisive=True, explicit=False)


def nearest_version_file(root: Path) -> Path | None:
    """Return the nearest `.python-version` upward, no further than the repository's top.

    Outside of a repository only the project's own counts: what lies in a home folder is no part
    of the project, and a colleague has another.
    """
    folders = [root]
    top = next((f for f in (root, *root.parents) if (f / ".git").exists()), None)
    if top is not None:
        folders += [f for f in root.parents if f.is_relative_to(top)]
    return next((f / VERSION_FILE for f in folders if (f / VERSION_FILE).is_file()), None)


def _first_version(file: Path) -> tuple[str, int]:
    """Return the first line that is no comment, and its number: the first is the default."""
    try:
        lines = file.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise PythonVersionError(f"{file} cannot be read: {error}.") from None
    stripped = ((line.partition("#")[0].strip(), n) for n, line in enumerate(lines, 1))
    return next(((line, n) for line, n in stripped if line), ("", 1))


def _called(file: Path, root: Path) -> str:
    return VERSION_FILE if file.parent == root else str(file)


def _version(source: _Source) -> str | None:
    """Return X.Y or X.Y.Z; None where the text names no minor and need not."""
    text = source.text.strip().removeprefix("==").strip()
    if "/" in text or "\\" in text:
        text = re.split(r"[/\\]", text)[-1].removesuffix(".exe")
    if _OTHER.match(text):
        raise _unusable(source, "Connect runs CPython only")
    found = _CPYTHON.fullmatch(text)
    if found is None:
        if source.decisive:
            raise _unusable(source, "a version is X.Y or X.Y.Z")
        return None
    rest = found["rest"]
    if _FREE_THREADED.match(rest):
        raise _unusable(source, "Connect has no free-threaded Python")
    if _PRERELEASE.match(rest):
        raise _unusable(source, "Connect has released versions of Python only")
    if not _BUILD.fullmatch(rest):
        raise _unusable(source, "a version is X.Y or X.Y.Z")
    return found["minor"] + (found["patch"] or "")


def _unusable(source: _Source, reason: str) -> PythonVersionError:
    return PythonVersionError(
        f"{source.because} asks for Python `{source.text}`: {reason}.",
        hint='Name a released CPython, such as "3.12".',
    )


def _bounds(config: ProjectConfig) -> SpecifierSet:
    from packaging.specifiers import SpecifierSet

    bounds = SpecifierSet(config.requires_python or "")
    if bounds.is_unsatisfiable():
        raise PythonVersionError(
            f"`project.requires-python` of {config.path} is `{bounds}`: no version satisfies it.",
            hint="Widen it.",
        )
    return bounds


def _lock_bounds(text: str, config: ProjectConfig) -> SpecifierSet:
    from packaging.specifiers import SpecifierSet

    bounds = SpecifierSet(text)
    both = bounds & SpecifierSet(config.requires_python or "")
    if both.is_unsatisfiable():
        raise PythonVersionError(
            f"The lock is for Python `{bounds}`, and `project.requires-python` of {config.path} is"
            f" `{config.requires_python}`: no version satisfies both.",
            hint="Lock the project again.",
        )
    return bounds


def _within(chosen: str, bounds: SpecifierSet, because: str, config: ProjectConfig) -> str:
    """Return the version to ask for: the one chosen, or the lowest patch that is allowed."""
    minor = tuple(int(part) for part in chosen.split(".")[:2])
    if minor < _OLDEST:
        raise PythonVersionError(
            f"{because} asks for Python {chosen}, which is too old.",
            hint='Name a supported version, such as "3.12".',
        )
    patches = (chosen,) if chosen.count(".") > 1 else (f"{chosen}.{patch}" for patch in _PATCHES)
    version = next((patch for patch in patches if bounds.contains(patch)), None)
    if version is None:
        raise PythonVersionError(
            f"{because} asks for Python {chosen}, but `project.requires-python` of"
            f" {config.path} is `{bounds}`.",
            hint="Change one of the two.",
        )
    return version


def _first(version: str) -> str:
    return ".".join((*version.split(".")[:2], "0"))
