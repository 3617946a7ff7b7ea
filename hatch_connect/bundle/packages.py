"""Which packages a bundle asks for, and for which Python."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

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
    """The package file of a bundle: its path there and its bytes, and what they come from."""

    python: PythonTarget
    lock: Lock
    path: str
    content: bytes


def decide_packages(config: ProjectConfig, request: BuildRequest) -> Packages:
    """Read the lock for the Python that is asked for.

    Raises LockError or PythonVersionError; without a lock the installed packages count, if the
    call gave any.
    """
    found = find_lock(config)
    if found is None:
        if request.installed is None:
            raise LockError(
                f"{config.root} has no lock that says which packages to install.",
                hint="Make one: `uv lock`, `hatch env lock` or `pip freeze > requirements.txt`; "
                "`lock` in [tool.hatch-connect] names one that lies elsewhere.",
            )
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
    path = (_below(lock.path, config.root) if lock.verbatim is not None else None) or PACKAGE_FILE
    return Packages(python=python, lock=lock, path=path, content=lock.requirements(target))


def _below(path: Path | None, root: Path) -> str | None:
    if path is None or not path.is_relative_to(root):
        return None
    return path.relative_to(root).as_posix()
