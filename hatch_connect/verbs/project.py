"""The project that a call is about, and its bundle."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from hatch_connect.bundle.request import BuildRequest
from hatch_connect.bundle.run import build
from hatch_connect.errors import InterpreterError
from hatch_connect.events import Detail, Note, Step, Warned
from hatch_connect.project.config import ProjectConfig, find_root, read_project
from hatch_connect.project.interpreter import find_interpreter, inspect_interpreter
from hatch_connect.project.locks import find_lock
from hatch_connect.project.pins import freeze

if TYPE_CHECKING:
    from pathlib import Path

    from hatch_connect.bundle.request import Built
    from hatch_connect.events import Report
    from hatch_connect.options import Options
    from hatch_connect.verbs.surroundings import Surroundings


def root_of(options: Options, surroundings: Surroundings) -> Path:
    """Return the project's root: the nearest pyproject.toml upward of where the call points."""
    return find_root(surroundings.directory / (options.directory or ""))


def project_of(
    options: Options, surroundings: Surroundings, *, on: str | None = None
) -> ProjectConfig:
    """Read the project's configuration; `on` is the nickname of the server it is for."""
    return read_project(root_of(options, surroundings), overrides=options.overrides(), on=on)


def request_of(options: Options, surroundings: Surroundings, report: Report) -> BuildRequest:
    """Return what the call asks of the build.

    Where nothing is locked, the packages of an environment are taken, as Connect's own guide
    promises. Raises LockError, InterpreterError.
    """
    request = BuildRequest(
        root=root_of(options, surroundings),
        overrides=options.overrides(),
        python_option=options.python_version,
    )
    config = project_of(options, surroundings)
    locked = find_lock(config) is not None
    try:
        path, because = find_interpreter(
            surroundings.environ, option=options.python, fallback=surroundings.interpreter
        )
        interpreter = inspect_interpreter(path)
    except InterpreterError:
        if locked:
            return request
        raise
    request = replace(request, interpreter=interpreter)
    if locked:
        return request
    report(Warned(text=f"Nothing is locked: shipping what is installed in {path} ({because})."))
    return replace(
        request, installed=freeze(interpreter, own_name=config.project_name, root=config.root)
    )


def build_project(options: Options, surroundings: Surroundings, report: Report) -> Built:
    """Build the project's bundle and say what it was made from."""
    report(Step(text="Building the bundle"))
    built, *_ = build(request_of(options, surroundings, report), surroundings.environ, report)
    bundle, lock = built.bundle, built.lock
    if lock is not None:
        named = lock.path.name if lock.path else lock.format
        report(Note(text=f"{len(lock.pins)} packages from {named}"))
    if built.python is not None:
        report(Note(text=f"Python {built.python.minor}: {built.python.because}"))
    report(Note(text=f"{len(bundle.manifest.files)} files, {bundle.size:,} bytes: {bundle.path}"))
    report(Detail(text=f"digest {bundle.digest}"))
    return built
