"""Which packages a bundle asks for, and for which Python."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from hatch_connect.bundle.content import ContentFile
from hatch_connect.bundle.parts import PACKAGE_FILE
from hatch_connect.errors import LockError
from hatch_connect.project.locks import find_lock, read_lock
from hatch_connect.project.pins import Target
from hatch_connect.project.python_version import PythonTarget, choose_python

if TYPE_CHECKING:
    from pathlib import Path

    from hatch_connect.bundle.request import BuildRequest
    from hatch_connect.project.config import ProjectConfig
    from hatch_connect.project.pins import Lock


@dataclass(frozen=True, slots=True, kw_only=True)
class Packages:
    """The package file of a bundle: its path there and its bytes, and what they come from.

    `included` are the files that it includes, by their path in the bundle: it ships as written.
    """

    python: PythonTarget
    lock: Lock
    path: str
    content: bytes
    included: tuple[tuple[str, Path], ...] = ()

    @property
    def paths(self) -> frozenset[str]:
        """The paths of all of them in the bundle."""
        return frozenset((self.path, *(path for path, _ in self.included)))

    def files(self) -> list[ContentFile]:
        """Give all of them as files of the bundle."""
        own = ContentFile(path=self.path, source=self.content, size=len(self.content))
        included = (
            ContentFile(path=path, source=source, size=source.stat().st_size)
            for path, source in self.included
        )
        return [own, *included]


def decide_packages(config: ProjectConfig, request: BuildRequest) -> Packages:
    """Read the lock for the Python that is asked for.

    Raises LockError or PythonVersionError; without a lock the installed packages count, if the
    call gave any.
    """
    found = find_lock(config)
    if found is None:
        if request.installed is None:
            raise _nothing_installed(config)
        lock = request.installed
        python = choose_python(
            config, option=request.python_option, interpreter=request.interpreter
        )
        target = Target(python=python.minor)
    else:
        python = choose_python(
            config,
            option=request.python_option,
            lock_python=found.lock_python,
            interpreter=request.interpreter,
            one_minor=found.one_minor,
        )
        target = Target(python=python.minor)
        lock = read_lock(found, config, target)
    path, included = _places(lock, config)
    return Packages(
        python=python,
        lock=lock,
        path=path,
        content=lock.requirements(target),
        included=included,
    )


def _nothing_installed(config: ProjectConfig) -> LockError:
    if config.force_generate:
        return LockError(
            f"The packages of {config.root} are to be those of an interpreter; none was asked.",
            hint="`force-generate` is for calls that inspect one: see --python.",
        )
    return LockError(
        f"{config.root} has no lock that says which packages to install.",
        hint="Make one: `uv lock`, `hatch env lock` or `pip freeze > requirements.txt`; "
        "`lock` in [tool.hatch-connect] names one that lies elsewhere.",
    )


def _places(lock: Lock, config: ProjectConfig) -> tuple[str, tuple[tuple[str, Path], ...]]:
    """Give where the package file and its includes lie in the bundle.

    A file that ships as written keeps its place, and so do those that it names by where they are
    from there.
    """
    if lock.verbatim is None or lock.path is None or not lock.path.is_relative_to(config.root):
        return PACKAGE_FILE, ()
    files = (lock.path, *lock.files)
    inside = all(file.is_relative_to(config.content_root) for file in files)
    root = config.content_root if inside else config.root
    included = {file.relative_to(root).as_posix(): file for file in files}
    path = lock.path.relative_to(root).as_posix()
    del included[path]
    return path, tuple(included.items())
