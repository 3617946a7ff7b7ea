"""The packages and the Python that a bundle asks for."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from hatch_connect.bundle.archive import ContentFile
from hatch_connect.bundle.manifest import PACKAGE_FILE
from hatch_connect.errors import LockError
from hatch_connect.locks import find_lock, read_lock
from hatch_connect.locks.lock import PUBLIC_INDEX
from hatch_connect.project.python_version import PythonTarget, choose_python
from hatch_connect.project.target import Target

if TYPE_CHECKING:
    from collections.abc import Callable

    from hatch_connect.locks.lock import Lock, LockFile, Pin
    from hatch_connect.project.interpreter import Interpreter
    from hatch_connect.project.project import ProjectConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class PackageInputs:
    """What a call knows of packages and Python before they are decided.

    `lock_file` was found already. `installed` are the packages of an environment, for a project
    without a lock (interactive commands only). `inspect` asks an interpreter, if nothing else
    decides.
    """

    lock_file: LockFile | None = None
    installed: Lock | None = None
    inspect: Callable[[], Interpreter | None] | None = None

    def interpreter(self) -> Interpreter | None:
        """Return the interpreter, or None if there is none to ask, or none that answers."""
        return self.inspect() if self.inspect else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Packages:
    """The package file of a bundle: its path there and its bytes, and what they come from.

    `included` are the files that it includes, by their path in the bundle: it ships as written.
    `because` says why it is this lock.
    """

    python: PythonTarget
    target: Target
    lock: Lock
    because: str
    path: str
    content: bytes
    included: tuple[tuple[str, bytes], ...] = ()

    @property
    def paths(self) -> frozenset[str]:
        """The paths of all of them in the bundle."""
        return frozenset((self.path, *(path for path, _ in self.included)))

    def files(self) -> list[ContentFile]:
        """Return all of them as files of the bundle."""
        files = ((self.path, self.content), *self.included)
        return [ContentFile(path=path, source=text, size=len(text)) for path, text in files]


def decide_packages(config: ProjectConfig, inputs: PackageInputs) -> Packages:
    """Read the lock for the Python that is asked for.

    Raises LockError or PythonVersionError; without a lock the installed packages count, if the
    call gave any.
    """
    found = inputs.lock_file or (None if inputs.installed else find_lock(config))
    if found is None:
        if inputs.installed is None:
            raise _nothing_installed(config)
        python = choose_python(config, interpreter=inputs.interpreter)
        target = Target(python=python.minor, machine=config.architecture)
        lock = inputs.installed
    else:
        python = _python(config, inputs, found)
        target = Target(python=python.minor, machine=config.architecture)
        lock = read_lock(found, config, target)
    _check_framework(config, lock)
    lock = replace(lock, notes=(*python.notes, *lock.notes))
    path, included = _places(lock, config)
    return Packages(
        python=python,
        target=target,
        lock=lock,
        because=found.because if found else "no packages are locked",
        path=path,
        content=requirements_txt(lock),
        included=included,
    )


def _python(config: ProjectConfig, inputs: PackageInputs, found: LockFile) -> PythonTarget:
    evaluated = found.format.one_minor or config.compile_requirements
    # A lock that was made for one minor has no markers that could be kept for others.
    kept = evaluated and config.keep_markers and found.python is None
    return choose_python(
        config,
        lock_python=found.lock_python,
        interpreter=inputs.interpreter,
        one_minor=evaluated and not kept,
        kept=found.requires_python or "" if kept else None,
    )


def _check_framework(config: ProjectConfig, lock: Lock) -> None:
    """Refuse content whose framework would not be installed: it could not start."""
    wanted, managed = config.app_mode.frameworks, config.environment_management
    installed = {*(pin.name for pin in lock.pins), *(one.name for one in lock.local)}
    if not wanted or installed & set(wanted) or (managed and managed.python is False):
        return
    hint = f"Add {wanted[0]} to the project's dependencies, and lock again."
    if lock.verbatim is not None:
        hint = f"Add {wanted[0]} to {lock.called}, even if another package depends on it."
    raise LockError(
        f"{config.app_mode.title} content requires {' or '.join(wanted)}, which is not in"
        f" {lock.called}.",
        hint=hint,
    )


def _nothing_installed(config: ProjectConfig) -> LockError:
    if config.force_generate:
        return LockError(
            f"The packages of {config.root} should come from an interpreter, but none was"
            " inspected.",
            hint="Use `force-generate` only where an interpreter is inspected: see --python.",
        )
    return LockError(
        f"{config.root} has no lock with the packages to install.",
        hint="Create one with `uv lock`, `hatch env lock` or `pip freeze > requirements.txt`, or"
        " set `lock` in [tool.hatch-connect] to one that is elsewhere.",
    )


def requirements_txt(lock: Lock) -> bytes:
    """Return the requirements.txt that installs the pins of a lock, or the one shipped as written.

    It changes only if a package does, because Connect caches environments by these bytes.
    """
    if lock.verbatim is not None:
        return lock.verbatim
    made_from = "the project's lock" if lock.path else "the installed packages"
    pins = sorted(lock.pins, key=lambda pin: (pin.name, pin.requirement))
    lines = (f"# Made by hatch-connect from {made_from}.", *_options(lock), *map(_line, pins))
    return "".join(f"{line}\n" for line in lines).encode()


def _options(lock: Lock) -> tuple[str, ...]:
    """Return the lines that name indexes."""
    # pip adds --extra-index-url to PyPI, while --index-url takes PyPI's place.
    if PUBLIC_INDEX in lock.indexes:
        others = [index for index in lock.indexes if index != PUBLIC_INDEX]
        return tuple(f"--extra-index-url {index}" for index in others)
    options = ("--index-url", *("--extra-index-url",) * len(lock.indexes))
    return tuple(f"{o} {index}" for o, index in zip(options, lock.indexes, strict=False))


def _line(pin: Pin) -> str:
    """Return the line of a pin, with its hashes if there are any."""
    return " \\\n    ".join((pin.requirement, *(f"--hash={h}" for h in pin.hashes)))


def _places(lock: Lock, config: ProjectConfig) -> tuple[str, tuple[tuple[str, bytes], ...]]:
    """Return where the package file and its includes lie in the bundle.

    A file that ships as written keeps its place, and so do its includes, because it names them by
    relative paths.
    """
    if lock.verbatim is None or lock.path is None or not lock.path.is_relative_to(config.root):
        return PACKAGE_FILE, ()
    # Content in a folder is moved to the root; a list outside that folder keeps its path.
    inside = all(file.is_relative_to(config.content_root) for file in lock.files)
    root = config.content_root if inside else config.root
    path = lock.path.relative_to(root).as_posix()
    return path, tuple(
        (file.relative_to(root).as_posix(), data)
        for file, data in lock.files.items()
        if file != lock.path
    )
