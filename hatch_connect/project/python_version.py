"""Which Python to ask Connect for, and why."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from hatch_connect.errors import ConfigurationError, PythonVersionError
from hatch_connect.project.reading import read_utf8
from hatch_connect.project.target import minor_of
from hatch_connect.secret import excerpt

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from packaging.specifiers import SpecifierSet

    from hatch_connect.project.interpreter import Interpreter
    from hatch_connect.project.project import ProjectConfig

_VERSION_FILE = ".python-version"

_PATCHES = range(100)
_OLDEST = (3, 8)
_MINORS = range(_OLDEST[1], 40)
"""Ranges are tried minor by minor, far beyond any Python 3 that exists."""

# The spellings of pyenv, uv, asdf and virtualenv: `3.11`, `cpython-3.11.4-linux-x86_64-gnu`,
# `python3.11`, `3.11-dev`. Digits are ASCII, as in PEP 440: \d would match those of other scripts.
_CPYTHON = re.compile(
    r"(?:cpython|python|py)?[-@]?v?(?P<minor>[0-9]+\.[0-9]+)(?P<patch>\.[0-9]+)?(?P<rest>.*)",
    re.IGNORECASE,
)
# pyenv-virtualenv: `3.11.4/envs/NAME`
_OF_VIRTUALENV = re.compile(r"([0-9]+\.[0-9]+\.[0-9]+)/envs/.*")
# An environment that is named after its version (`3.11-web`) names no version itself.
_NAME_AFTER = re.compile(r"-(?!dev\b)[a-z_]", re.IGNORECASE)
_COMPARED = re.compile(r"([\^~<>=!]*)\s*v?([0-9][\w.*]*)", re.ASCII)
_OTHER = re.compile(
    r"pypy|graalpy|jython|ironpython|pyston|anaconda|miniconda|stackless", re.IGNORECASE
)
_PRERELEASE = re.compile(r"[-.]?(a|alpha|b|beta|c|rc|dev|pre)\d*\b", re.IGNORECASE)
_FREE_THREADED = re.compile(r"t\b|\+freethreaded", re.IGNORECASE)
# What follows a version and does not matter: uv's platform, or a wildcard for the patch.
_BUILD = re.compile(r"(-(linux|macos|windows|darwin|any|none|default)\S*|\.\*|\.[xX])?")


_INTERPRETER = "the interpreter "
_WITHIN = ", within "


@dataclass(frozen=True, slots=True, kw_only=True)
class PythonTarget:
    """A Python version to ask for.

    `version` is the patch release that was named, else the lowest that the project allows, nearly
    always X.Y.0: older servers compare only X.Y. `requires` is the range that newer servers choose
    from, or None. `notes` name what was stated and not understood.
    """

    version: str
    requires: str | None
    because: str
    notes: tuple[str, ...] = ()

    @property
    def minor(self) -> str:
        """The version as X.Y."""
        return minor_of(self.version)

    @property
    def is_stated(self) -> bool:
        """Whether the project or the call says so, if only as a range."""
        return not self.because.startswith(_INTERPRETER) or _WITHIN in self.because

    @property
    def asked(self) -> str:
        """What the manifest asks for, worded for a message."""
        if self.requires in {None, f"~={self.minor}.0"}:
            return self.minor
        if self.requires == f"=={self.version}":
            return self.version
        return f"{self.requires} ({self.minor} on servers that do not support ranges)"


@dataclass(frozen=True, slots=True, kw_only=True)
class _VersionSource:
    """One place that may name a version or a range; what a `decisive` one says must be either.

    An `exact` source that names a patch release means just that one, as the official client's
    override does.
    """

    text: str
    because: str
    decisive: bool = False
    explicit: bool = True
    exact: bool = False


@dataclass(slots=True, kw_only=True)
class _Choice:
    """The ranges that the sources named so far, and notes on what was not understood."""

    bounds: SpecifierSet
    ranges: list[tuple[SpecifierSet, _VersionSource]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def stated(self) -> SpecifierSet:
        """What all ranges allow together."""
        from packaging.specifiers import SpecifierSet

        both = SpecifierSet()
        for allowed, _ in self.ranges:
            both &= allowed
        return both

    @property
    def said(self) -> str:
        """The ranges as a message says them."""
        return " and ".join(
            f"{source.because} (`{excerpt(source.text)}`)" for _, source in self.ranges
        )

    def add(self, source: _VersionSource) -> str | None:
        """Return the version that a source names; keep its range, or a note that it is neither."""
        meaning = _meaning(source)
        if meaning is None:
            self.notes.append(
                f"{source.because} is `{excerpt(source.text)}`, which is not a Python version"
                " (X.Y)."
            )
        elif isinstance(meaning, str):
            return meaning
        elif str(meaning):
            self.ranges.append((meaning, source))
            if (self.stated & self.bounds).is_unsatisfiable():
                also = f" and `project.requires-python` (`{self.bounds}`)" if self.bounds else ""
                raise PythonVersionError(
                    f"No Python version satisfies {self.said}{also}.",
                    hint="Change one of them.",
                )
        return None

    def first_version(self, sources: Iterable[_VersionSource]) -> tuple[_VersionSource | None, str]:
        """Return the first source that names a version, and that; (None, "") if none does."""
        for source in sources:
            if (version := self.add(source)) is not None:
                return source, version
        return None, ""

    def by_range(self) -> str | None:
        """Return the lowest X.Y of the ranges, or the highest if they have no lower bound."""
        if not self.ranges:
            return None
        both = self.stated & self.bounds
        minors = [f"3.{n}" for n in (_OLDEST[1] - 1, *_MINORS) if _lowest(f"3.{n}", both)]
        if not minors or minors[0] != f"3.{_OLDEST[1] - 1}":
            return minors[0] if minors else None
        return minors[-1] if minors[-1] != f"3.{_MINORS[-1]}" else None


def choose_python(
    config: ProjectConfig,
    *,
    lock_python: tuple[str, str] | None = None,
    interpreter: Callable[[], Interpreter | None] | None = None,
    one_minor: bool = True,
    kept: str | None = None,
) -> PythonTarget:
    """Choose X.Y in the documented order; `requires-python` bounds the choice.

    A range that an earlier source names bounds it too: an interpreter outside it does not count.
    `lock_python` is the minor that a lock was made for, with the reason; `interpreter` is asked if
    nothing else decides. With `one_minor` the pins are evaluated for one minor and no other may run
    them; it is False for a requirements file that ships as written. `kept` is the range of a lock
    whose markers are kept: any Python in both that range and the project's may run the pins. Raises
    PythonVersionError.
    """
    choice = _Choice(bounds=_bounds(config))
    source, chosen = choice.first_version(_sources(config, lock_python, interpreter))
    if source is None or (not source.explicit and not _lowest(chosen, choice.stated)):
        if source is not None and lock_python and source.text == lock_python[0]:
            raise PythonVersionError(
                f"{source.because} is for Python {chosen}, which {choice.said} excludes.",
                hint="Lock the project again, or change the range.",
            )
        source, chosen = None, choice.by_range() or ""
    if not chosen:
        raise _undecided(config, choice)
    because = source.because if source else choice.said
    allowed = choice.bounds & choice.stated
    version = _within(chosen, allowed, because, config)
    if kept is not None:
        allowed &= _lock_bounds(kept, config)
    requires = str(allowed)
    if kept is None and source and source.explicit:
        exact = source.exact and chosen.count(".") > 1
        requires = f"=={chosen}" if exact else _of_minor(chosen, version, choice.bounds)
    elif kept is None and one_minor:
        requires = _of_minor(chosen, version, allowed)
    if source and choice.ranges:
        because = f"{because}{_WITHIN}{choice.said}"
    return PythonTarget(
        version=version, requires=requires or None, because=because, notes=tuple(choice.notes)
    )


def _undecided(config: ProjectConfig, choice: _Choice) -> PythonVersionError:
    ranges = [
        f"{source.because} is `{excerpt(source.text)}`, which does not name one version (X.Y)."
        for _, source in choice.ranges
    ]
    said = "".join(f"\n  - {text}" for text in (*choice.notes, *ranges))
    return PythonVersionError(
        f"No Python version is set for the content in {config.path}.{said}",
        hint='Set python-version = "3.12" in [tool.hatch-connect], or write 3.12 to a'
        f" {_VERSION_FILE} file next to pyproject.toml.",
    )


def _of_minor(chosen: str, version: str, allowed: SpecifierSet) -> str:
    """Return the range of one minor, without the patch releases that are not allowed."""
    from packaging.specifiers import SpecifierSet

    minor = SpecifierSet(f"~={version if chosen.count('.') == 1 else _first(chosen)}")
    patches = (f"{_first(version).removesuffix('.0')}.{patch}" for patch in _PATCHES)
    excluded = any(minor.contains(p) and not allowed.contains(p) for p in patches)
    return str(minor & allowed) if excluded and chosen.count(".") == 1 else str(minor)


def _sources(
    config: ProjectConfig,
    lock_python: tuple[str, str] | None,
    interpreter: Callable[[], Interpreter | None] | None,
) -> Iterator[_VersionSource]:
    # A range that the call gives bounds the setting, so that one does not replace the other.
    if option := config.override_python_version:
        because = "the --python-version option"
        yield _VersionSource(text=option, because=because, decisive=True, exact=True)
    if config.python_version:
        because = "`tool.hatch-connect.python-version`"
        yield _VersionSource(text=config.python_version, because=because, decisive=True)
    environment = config.hatch_environment
    if environment.python:
        yield _VersionSource(text=environment.python, because=f"`{environment.where}.python`")
    if file := nearest_version_file(config.root):
        text, line = _first_version(file)
        because = _called(file, config.root) + (f", line {line}" if line > 1 else "")
        yield _VersionSource(text=text, because=because)
    if lock_python:
        yield _VersionSource(text=lock_python[0], because=lock_python[1], explicit=False)
    for because, text in config.metadata.python_elsewhere:
        yield _VersionSource(text=text, because=because)
    if interpreter and (found := interpreter()):
        yield _of_interpreter(found)


def _of_interpreter(interpreter: Interpreter) -> _VersionSource:
    text = interpreter.version if not interpreter.free_threaded else f"{interpreter.minor}t"
    if interpreter.implementation != "cpython":
        text = f"{interpreter.implementation}{interpreter.version}"
    elif re.fullmatch(r"[0-9]+\.[0-9]+\.[0-9]+", text):
        text = interpreter.minor
    because = f"{_INTERPRETER}{interpreter.path}"
    return _VersionSource(text=text, because=because, decisive=True, explicit=False)


def nearest_version_file(root: Path) -> Path | None:
    """Return the nearest `.python-version` from the project upward to the repository's top.

    Outside a repository only the project's own file counts: one in a home folder is not part of
    the project, and differs from person to person.
    """
    folders = [root]
    top = next((f for f in (root, *root.parents) if (f / ".git").exists()), None)
    if top is not None:
        folders += [f for f in root.parents if f.is_relative_to(top)]
    return next((f / _VERSION_FILE for f in folders if (f / _VERSION_FILE).is_file()), None)


def _first_version(file: Path) -> tuple[str, int]:
    """Return the first line that is no comment (pyenv's default version), and its number."""
    try:
        lines = read_utf8(file).splitlines()
    except ConfigurationError as error:
        raise PythonVersionError(error.message, hint=error.hint) from None
    stripped = ((line.partition("#")[0].strip(), n) for n, line in enumerate(lines, 1))
    return next(((line, n) for line, n in stripped if line), ("", 1))


def _called(file: Path, root: Path) -> str:
    return _VERSION_FILE if file.parent == root else str(file)


def _meaning(source: _VersionSource) -> str | SpecifierSet | None:
    """Return X.Y or X.Y.Z, or a range; None if the text is neither and the source not decisive."""
    text = source.text.strip()
    allowed = _range(text)
    if allowed is not None:
        return allowed
    text = _OF_VIRTUALENV.sub(r"\1", text.removeprefix("==").strip())
    if "/" in text or "\\" in text:
        text = re.split(r"[/\\]", text)[-1].removesuffix(".exe")
    if _OTHER.match(text):
        raise _unusable(source, "Connect supports CPython only")
    # If a line names several versions, pyenv uses the first.
    found = _CPYTHON.fullmatch(text) or _CPYTHON.fullmatch(text.partition(" ")[0])
    if found is None:
        if source.decisive:
            raise _unusable(source, "expected X.Y, X.Y.Z, or a range such as >=3.11,<3.13")
        return None
    return _released(source, found)


def _released(source: _VersionSource, found: re.Match[str]) -> str | None:
    rest = found["rest"].partition(" ")[0]
    if _FREE_THREADED.match(rest):
        raise _unusable(source, "Connect does not support free-threaded Python")
    if _PRERELEASE.match(rest):
        raise _unusable(source, "Connect does not support pre-releases of Python")
    if not _BUILD.fullmatch(rest):
        if not source.decisive and _NAME_AFTER.match(rest):
            return None
        raise _unusable(source, "expected X.Y or X.Y.Z")
    return found["minor"] + (found["patch"] or "")


def _range(text: str) -> SpecifierSet | None:
    """Read a range in PEP 440's or Poetry's syntax, or `3`; return None for anything else.

    Of Poetry's alternatives (`~2.7 || ^3.8`) exactly one must allow a Python that Connect can have.
    """
    if text == "*":
        return _conjunction("")
    if re.fullmatch(r"(?:c?python|py)?[-@]?v?3(\.[*xX])?", text, re.IGNORECASE):
        return _conjunction("~=3.0")
    if not re.match(r"[\^~<>=!]", text) or re.fullmatch(r"==\s*[0-9.]+(\.\*)?", text):
        return None
    ranges = [_conjunction(part) for part in re.split(r"\|\|?", text)]
    if None in ranges:
        return None
    usable = [r for r in ranges if r is not None and any(_lowest(f"3.{n}", r) for n in _MINORS)]
    chosen = usable if len(ranges) > 1 else ranges
    return chosen[0] if len(chosen) == 1 else None


def _conjunction(text: str) -> SpecifierSet | None:
    from packaging.specifiers import InvalidSpecifier, SpecifierSet

    if _COMPARED.sub("", text).strip(" ,"):
        return None
    try:
        return SpecifierSet(",".join(_as_pep440(*part) for part in _COMPARED.findall(text)))
    except (InvalidSpecifier, ValueError):
        return None


def _as_pep440(operator: str, version: str) -> str:
    """Translate Poetry's caret and tilde to PEP 440 specifiers."""
    parts = version.split(".")
    if operator == "^" or (operator == "~" and len(parts) == 1):
        return f">={version},<{int(parts[0]) + 1}"
    if operator == "~":
        return f">={version},<{parts[0]}.{int(parts[1]) + 1}"
    return f"{operator or '=='}{version}"


def _unusable(source: _VersionSource, reason: str) -> PythonVersionError:
    return PythonVersionError(
        f"{source.because} asks for Python `{excerpt(source.text)}`: {reason}.",
        hint='Use a released version of CPython, such as "3.12".',
    )


def _bounds(config: ProjectConfig) -> SpecifierSet:
    from packaging.specifiers import SpecifierSet

    bounds = SpecifierSet(config.requires_python or "")
    if bounds.is_unsatisfiable():
        raise PythonVersionError(
            f"`project.requires-python` in {config.path} is `{bounds}`, which no Python version"
            " satisfies.",
            hint="Correct the range.",
        )
    return bounds


def _lock_bounds(text: str, config: ProjectConfig) -> SpecifierSet:
    from packaging.specifiers import SpecifierSet

    bounds = SpecifierSet(text)
    both = bounds & SpecifierSet(config.requires_python or "")
    if both.is_unsatisfiable():
        raise PythonVersionError(
            f"The lock is for Python `{bounds}` and `project.requires-python` in {config.path} is"
            f" `{config.requires_python}`: no Python version satisfies both.",
            hint="Lock the project again.",
        )
    return bounds


def _within(chosen: str, bounds: SpecifierSet, because: str, config: ProjectConfig) -> str:
    """Return the version to ask for: the one chosen, or the lowest patch that is allowed."""
    minor = tuple(int(part) for part in minor_of(chosen).split("."))
    if minor < _OLDEST:
        raise PythonVersionError(
            f"{because} asks for Python {chosen}, which is too old.",
            hint='Use a supported version, such as "3.12".',
        )
    version = _lowest(chosen, bounds)
    if version is None:
        raise PythonVersionError(
            f"{because} asks for Python {chosen}, but `project.requires-python` in {config.path}"
            f" is `{bounds}`.",
            hint="Change one of them, or set the version with --python-version or"
            " `python-version` in [tool.hatch-connect].",
        )
    return version


def _lowest(chosen: str, allowed: SpecifierSet) -> str | None:
    """Return the version itself, or the lowest patch of a minor, if it is allowed."""
    patches = (chosen,) if chosen.count(".") > 1 else (f"{chosen}.{patch}" for patch in _PATCHES)
    return next((patch for patch in patches if allowed.contains(patch)), None)


def _first(version: str) -> str:
    return f"{minor_of(version)}.0"
