"""The project that a call is about, and its bundle."""

from __future__ import annotations


from typing import TYPE_CHECKING

from hatch_connect.bundle.run import BuildRequest, build
from hatch_connect.events import Detail, Note, Step, Warned
from hatch_connect.project.config import ProjectConfig, find_root, read_project

if TYPE_CHECKING:
    from pathlib import Path

    from hatch_connect.bundle.run import Built
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


def request_of(options: Options, surroundings: Surroundings) -> BuildRequest:
    """Return what the call asks of the build."""
    return BuildRequest(
        root=root_of(options, surroundings),
        overrides=options.overrides(),
        python_option=options.python_version,
        interactive=True,
        interpreter=options.python,
        fallback=surroundings.interpreter,
    )


def build_project(options: Options, surroundings: Surroundings, report: Report) -> Built:
    """Build the project's bundle and say what it was made from."""
    report(Step(text="Building the bundle"))
    built, *_ = build(request_of(options, surroundings), surroundings.environ, report)
    bundle = built.bundle
    lock = built.lock.path.name if built.lock.path else built.lock.format
    report(Note(text=f"{len(built.lock.pins)} packages from {lock}"))
    report(Note(text=f"Python {built.python.minor}: {built.python.because}"))
    report(Note(text=f"{len(bundle.manifest.files)} files, {bundle.size:,} bytes: {bundle.path}"))
    report(Detail(text=f"digest {bundle.digest}"))
    for note in built.notes:
        report(Warned(text=note))
    return built
