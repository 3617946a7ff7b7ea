"""Pins, the lock that they make up, and the target that they are chosen for."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hatch_connect.project.rules import without_credentials

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from packaging.tags import Tag

_SHOWN = 160
"""About two lines of a screen."""

_LONGEST = 5 * _SHOWN

HIGH_PATCH = 99
"""Stands for the newest patch of a minor, where only X.Y is known."""

PUBLIC_INDEX = "https://pypi.org/simple"

_GLIBC_MINORS = range(39, 4, -1)
"""glibc 2.39 (Ubuntu 24.04) is the newest on a system that Connect supports, as of 2026."""

_LEGACY_MANYLINUX = {17: "manylinux2014", 12: "manylinux2010", 5: "manylinux1"}


def normalized(name: str) -> str:
    """Return a package's name as indexes compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def excerpt(text: str) -> str:
    """Return a text that a message repeats: without credentials, and its middle if it is long."""
    return _shortened(text, _SHOWN)


def _shortened(text: str, most: int) -> str:
    text = without_credentials(text)
    if len(text) <= most:
        return text
    return f"{text[: most // 2]} ... {text[-most // 4 :]}"


def listed(heading: str, problems: Iterable[str]) -> str:
    """Word several problems as one message."""
    shown = (_shortened(problem, _LONGEST) for problem in problems)
    return "\n".join((heading, *(f"  - {problem}" for problem in shown)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """The machine that the content will run on: CPython `python` ("3.11" or "3.11.4")."""

    python: str
    system: str = "linux"
    machine: str = "x86_64"

    def __str__(self) -> str:
        return f"CPython {self.python} on {self.system} {self.machine}"

    @property
    def minor(self) -> str:
        """The version as X.Y."""
        return ".".join(self.python.split(".")[:2])

    def environment(self, patch: int = 0) -> dict[str, str]:
        """Return all eleven keys of a marker environment.

        `patch` counts only where no patch is known. A partial environment would be filled in from
        the machine that this runs on.
        """
        known = self.python.count(".") > 1
        full = self.python if known else f"{self.minor}.{patch}"
        return {
            "implementation_name": "cpython",
            "implementation_version": full,
            "os_name": "posix",
            "platform_machine": self.machine,
            "platform_python_implementation": "CPython",
            "platform_release": "",
            "platform_system": self.system.capitalize(),
            "platform_version": "",
            "python_full_version": full,
            "python_version": self.minor,
            "sys_platform": self.system,
        }

    def environments(self) -> tuple[dict[str, str], ...]:
        """Return the environments that may be met: the first and the newest patch of a minor."""
        first, newest = self.environment(), self.environment(HIGH_PATCH)
        return (first,) if first == newest else (first, newest)

    def tags(self) -> tuple[Tag, ...]:
        """Return the tags of wheels that can be installed there, the best first."""
        from packaging.tags import compatible_tags, cpython_tags

        version = tuple(int(part) for part in self.minor.split("."))
        interpreter = "cp" + "".join(map(str, version))
        platforms = self._platforms()
        return (
            *cpython_tags(version, abis=[interpreter], platforms=platforms),
            *compatible_tags(version, interpreter=interpreter, platforms=platforms),
        )

    def _platforms(self) -> list[str]:
        platforms = []
        for minor in _GLIBC_MINORS:
            platforms.append(f"manylinux_2_{minor}_{self.machine}")
            if minor in _LEGACY_MANYLINUX:
                platforms.append(f"{_LEGACY_MANYLINUX[minor]}_{self.machine}")
        return [*platforms, f"{self.system}_{self.machine}"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pin:
    """One package to install.

    `requirement` is a line of a requirements file without hashes; `because` says who asks for it;
    `index` is where it comes from, if the lock says so.
    """

    name: str
    requirement: str
    version: str | None
    hashes: tuple[str, ...] = ()
    because: str = ""
    index: str | None = None

    def line(self) -> str:
        """Return the line of a requirements file, with its hashes where there are any."""
        return " \\\n    ".join((self.requirement, *(f"--hash={h}" for h in self.hashes)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Omitted:
    """A package that a lock knows and the content does not install, and why."""

    name: str
    version: str | None
    because: str


def less(omitted: Iterable[Omitted], pins: Iterable[Pin]) -> tuple[Omitted, ...]:
    """Take out of what was left out what is a pin after all, with its marker."""
    there = {(pin.name, pin.version) for pin in pins}
    return tuple(one for one in omitted if (one.name, one.version) not in there)


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalPackage:
    """A package that no index has: it is built and goes into the bundle as files.

    `path` is a folder with a project in it, a wheel, or an sdist; `because` as for a pin.
    """

    name: str
    path: Path
    because: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Lock:
    """The packages of a project, as one lock has them.

    `path` is None for a frozen environment; `verbatim` holds a requirements file that is shipped
    as written; `markers_kept` pins hold for every Python of `requires_python`; `files` are all
    files that were read; `notes` are worth a warning; `local` packages are no pins; `indexes` are
    the URLs to write above the pins.
    """

    path: Path | None
    format: str
    pins: tuple[Pin, ...]
    sha256: str | None = None
    verbatim: bytes | None = None
    markers_kept: bool = False
    requires_python: str | None = None
    files: tuple[Path, ...] = ()
    notes: tuple[str, ...] = ()
    local: tuple[LocalPackage, ...] = ()
    omitted: tuple[Omitted, ...] = ()
    indexes: tuple[str, ...] = ()

    @property
    def called(self) -> str:
        """What a message calls it."""
        return self.path.name if self.path else "the installed packages"

    def requirements(self) -> bytes:
        """Return the requirements.txt that installs these pins.

        It changes only when a package does: Connect caches environments by its bytes.
        """
        if self.verbatim is not None:
            return self.verbatim
        made_from = "the project's lock" if self.path else "the installed packages"
        header = f"# Made by hatch-connect from {made_from}.\n"
        lines = sorted(self.pins, key=lambda pin: (pin.name, pin.requirement))
        text = "".join(f"{line}\n" for line in (*self._options(), *(pin.line() for pin in lines)))
        return (header + text).encode()

    def _options(self) -> tuple[str, ...]:
        """Return the lines on indexes; what is not on PyPI's own takes its place."""
        if PUBLIC_INDEX in self.indexes:
            others = [index for index in self.indexes if index != PUBLIC_INDEX]
            return tuple(f"--extra-index-url {index}" for index in others)
        options = ("--index-url", *("--extra-index-url",) * len(self.indexes))
        return tuple(f"{o} {index}" for o, index in zip(options, self.indexes, strict=False))
