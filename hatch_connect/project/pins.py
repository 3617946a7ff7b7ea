"""Pins, the lock that they make up, and the target that they are chosen for."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit
from urllib.request import url2pathname

from hatch_connect.errors import LockError
from hatch_connect.project.rules import has_credentials

if TYPE_CHECKING:
    from collections.abc import Iterable

    from packaging.tags import Tag

    from hatch_connect.project.interpreter import DirectUrl, Installed, Interpreter

HIGH_PATCH = 99
"""Stands for the newest patch of a minor, where only X.Y is known."""

_GLIBC_MINORS = range(39, 4, -1)
"""glibc 2.39 (Ubuntu 24.04) is the newest on a system that Connect supports, as of 2026."""

PUBLISHING_TOOLS = frozenset({"hatch-connect", "rsconnect-python"})

_LEGACY_MANYLINUX = {17: "manylinux2014", 12: "manylinux2010", 5: "manylinux1"}


def normalized(name: str) -> str:
    """Return a package's name as indexes compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def listed(heading: str, problems: Iterable[str]) -> str:
    """Word several problems as one message."""
    return "\n".join((heading, *(f"  - {problem}" for problem in problems)))


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

    `requirement` is a line of a requirements file without hashes; `because` says who asks for it.
    """

    name: str
    requirement: str
    version: str | None
    hashes: tuple[str, ...] = ()
    because: str = ""

    def line(self) -> str:
        """Return the line of a requirements file, with its hashes where there are any."""
        return " \\\n    ".join((self.requirement, *(f"--hash={h}" for h in self.hashes)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Lock:
    """The packages of a project, as one lock has them.

    `path` is None for a frozen environment; `verbatim` holds a requirements file that is shipped
    as written; `files` are all files that were read; `notes` are worth a warning.
    """

    path: Path | None
    format: str
    pins: tuple[Pin, ...]
    sha256: str | None = None
    verbatim: bytes | None = None
    markers_kept: bool = False
    files: tuple[Path, ...] = ()
    notes: tuple[str, ...] = ()

    def requirements(self, target: Target) -> bytes:
        """Return the requirements.txt that installs these pins.

        The same lock and target give the same bytes anywhere: Connect caches environments by them.
        """
        if self.verbatim is not None:
            return self.verbatim
        source = self.path.name if self.path else "the installed packages"
        digest = f" (sha256 {self.sha256})" if self.sha256 else ""
        header = f"# Made by hatch-connect from {source}{digest}\n# for {target}.\n"
        lines = sorted(self.pins, key=lambda pin: (pin.name, pin.requirement))
        return (header + "".join(f"{pin.line()}\n" for pin in lines)).encode()


def freeze(interpreter: Interpreter, *, own_name: str, root: Path | None = None) -> Lock:
    """Make a lock of what is installed, less the project itself and publishing tools.

    The list is that of `pip list --format=freeze`; what came from a repository keeps its URL and
    commit. A package installed from `root` is the project too, whatever it is called. Raises
    LockError for packages that only this machine has.
    """
    left_out = PUBLISHING_TOOLS | {normalized(own_name)}
    pins, problems, notes = [], [], []
    for installed in interpreter.packages:
        if normalized(installed.name) in left_out or _is_from(installed.direct_url, root):
            continue
        problem = _problem(installed)
        if problem:
            problems.append(problem)
        elif _is_file(installed.direct_url):
            notes.append(
                f"{installed.name} {installed.version} was installed from a file: the server takes"
                " the one of that version from its index."
            )
        pins.append(_pin(installed, interpreter.path))
    problems += [f"{folder} gives no name or no version." for folder in interpreter.broken]
    if problems:
        raise LockError(
            listed(f"The packages of {interpreter.path} cannot be shipped:", problems),
            hint="Lock the project (`uv lock`), or list its packages in a requirements.txt.",
        )
    return Lock(path=None, format="installed", pins=tuple(pins), notes=tuple(notes))


def _pin(installed: Installed, python: Path) -> Pin:
    url = installed.direct_url
    name = normalized(installed.name)
    requirement = f"{name}=={installed.version}"
    if url is not None and not _is_file(url):
        below = f"#subdirectory={url.subdirectory}" if url.subdirectory else ""
        source = f"{url.vcs}+{url.url}@{url.commit}" if url.vcs else url.url
        requirement = f"{name} @ {source}{below}"
    return Pin(
        name=name,
        requirement=requirement,
        version=installed.version,
        because=f"installed for {python}",
    )


def _problem(installed: Installed) -> str | None:
    url = installed.direct_url
    if url is None:
        return None
    called = f"{installed.name} {installed.version}"
    if has_credentials(url.url):
        return f"{called} was installed from a URL with credentials in it."
    if url.editable or (url.directory and _path(url).is_dir()):
        return f"{called} was installed from a folder of this machine: {url.url}."
    return None


def _is_from(url: DirectUrl | None, root: Path | None) -> bool:
    if url is None or root is None or not url.directory:
        return False
    return _path(url).resolve() == root.resolve()


def _is_file(url: DirectUrl | None) -> bool:
    """Whether it came from a file; conda's packages all did, by folders that are gone."""
    return url is not None and url.url.startswith("file:")


def _path(url: DirectUrl) -> Path:
    return Path(url2pathname(urlsplit(url.url).path))
