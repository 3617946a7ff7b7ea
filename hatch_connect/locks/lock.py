"""A lock: its file as it was found, its format, and what is read of it, pins above all."""

from __future__ import annotations

import os
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from hatch_connect.errors import ConfigurationError, LockError
from hatch_connect.project.reading import parse_toml, read_bytes

if TYPE_CHECKING:
    import re
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from hatch_connect.project.project import ProjectConfig
    from hatch_connect.project.target import Target

PUBLIC_INDEX = "https://pypi.org/simple"

UV = "uv.lock"
"""The file of uv, and its format."""


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


def url_requirement(name: str, url: str, below: str | None = None) -> str:
    """Return the requirement of a package at a URL, in the folder `below` of what is there."""
    fragment = f"#subdirectory={below}" if below else ""
    return f"{name} @ {url}{fragment}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Omitted:
    """A package of the lock that is not installed for this content, and why."""

    name: str
    version: str | None
    because: str


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
    as written; `files` are all files that were read, as they would ship; `notes` are worth a
    warning; `local` packages are no pins; `indexes` are the URLs to write above the pins. `pinned`
    is False if a file that is shipped as written leaves open what is installed.
    """

    path: Path | None
    format: str
    pins: tuple[Pin, ...]
    sha256: str | None = None
    verbatim: bytes | None = None
    files: Mapping[Path, bytes] = field(default_factory=dict, repr=False)
    notes: tuple[str, ...] = ()
    local: tuple[LocalPackage, ...] = ()
    omitted: tuple[Omitted, ...] = ()
    indexes: tuple[str, ...] = ()
    pinned: bool = True

    @property
    def called(self) -> str:
        """What a message calls it."""
        return self.path.name if self.path else "the installed packages"


@dataclass(frozen=True, slots=True, kw_only=True)
class LockFormat:
    """A format of locks, with the function that reads one for a target.

    `file` is the lock in a project's root that counts without being named, `names` are all that
    may be named, and `listed` is how a message lists them. `head` is the text before which a TOML
    lock says for which Python it is. `one_minor` is whether pins are evaluated for one minor.
    """

    name: str
    file: str
    names: re.Pattern[str]
    listed: str
    read: Callable[[LockFile, ProjectConfig, Target], Lock]
    is_toml: bool = True
    head: str | None = None
    one_minor: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class LockFile:
    """A lock that was found.

    `python` is the minor that it was made for, if only for one; `hatch` says that it is the lock
    of the chosen Hatch environment, in which extras and groups are already resolved. `data` is the
    text of a TOML lock, `content` what was parsed of it if finding it took that.
    """

    path: Path
    format: LockFormat
    because: str
    python: str | None = None
    requires_python: str | None = None
    hatch: bool = False
    data: bytes = field(default=b"", repr=False)
    content: dict[str, object] | None = field(default=None, repr=False)

    @property
    def lock_python(self) -> tuple[str, str] | None:
        """`python` with its reason, as `choose_python` takes it."""
        if self.python is None:
            return None
        return self.python, f"{self.path.name}, which was made for it,"

    def parsed(self) -> dict[str, object]:
        """Return the content of a TOML lock; raises LockError for invalid TOML."""
        return parse_lock(self.data, self.path) if self.content is None else self.content


def without_pinned(omitted: Iterable[Omitted], pins: Iterable[Pin]) -> tuple[Omitted, ...]:
    """Return the omitted packages, without those that are pins with a marker after all."""
    there = {(pin.name, pin.version) for pin in pins}
    return tuple(one for one in omitted if (one.name, one.version) not in there)


def project_folder(root: Path, lock: Path) -> str:
    """Return the project's folder relative to the lock's own, as `uv.lock` writes it."""
    return Path(os.path.relpath(root, lock.parent)).as_posix()


def read_lock_data(path: Path) -> bytes:
    """Read a TOML lock; raises LockError if it cannot be read."""
    with _as_lock_error():
        return read_bytes(path)


def parse_lock(data: bytes, path: Path, *, before: str | None = None) -> dict[str, object]:
    """Parse a TOML lock, or only the part `before` a text; raises LockError for invalid TOML."""
    with _as_lock_error():
        return parse_toml(data, path, before=before)


@contextmanager
def _as_lock_error() -> Iterator[None]:
    try:
        yield
    except ConfigurationError as error:
        raise LockError(str(error), hint="Lock the project again.") from None
