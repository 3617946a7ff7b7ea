"""Pins, the lock that they make up, and the target that they are chosen for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path


PUBLIC_INDEX = "https://pypi.org/simple"


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
