"""Builds the bundle of one piece of content: the way in, whatever the strategy is."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, NoReturn

from hatch_connect.bundle.archive import DEFAULT_DIRECTORY
from hatch_connect.bundle.build_protocol import (
    MAIN,
    VARIABLE,
    BuildContext,
    decode_answer,
    encode_request,
)
from hatch_connect.bundle.selector import Selector
from hatch_connect.bundle.strategy import BuildStrategy, choose_strategy
from hatch_connect.errors import BuildError, ProjectError
from hatch_connect.events import Detail, Note, Step, Warned
from hatch_connect.programs import run_program, tail, text_of
from hatch_connect.project.reading import require_no_mark

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Mapping

    from hatch_connect.bundle.build_protocol import BuildRequest, Built
    from hatch_connect.bundle.selector import SelectedFiles
    from hatch_connect.bundle.strategy import ChosenStrategy
    from hatch_connect.events import Report


def build(request: BuildRequest, environ: Mapping[str, str], report: Report) -> Built:
    """Build the bundle of one piece of content.

    Raises ProjectError: the configuration, the lock, the build or a file of it is wrong.
    """
    config = request.config
    chosen = choose_strategy(config, environ)
    report(Detail(text=f"Building {chosen.strategy.value}: {chosen.because}"))
    require_no_mark(config.project.tables)
    if chosen.strategy is BuildStrategy.HERE:
        return _here(request, environ, report)
    if chosen.strategy in {BuildStrategy.HATCH, BuildStrategy.ISOLATED}:
        return _elsewhere(_decided(request), chosen, environ, report)
    context = BuildContext(
        request=request,
        directory=request.directory or config.root / DEFAULT_DIRECTORY,
        selector=Selector(config, environ),
        environ=environ,
        report=report,
    )
    return _without_builder(context, wheel=chosen.strategy is BuildStrategy.WHEEL)


def _here(request: BuildRequest, environ: Mapping[str, str], report: Report) -> Built:
    from hatch_connect.bundle.hatchling import HATCHLINGS, BundleBuilder, BundleRun, failed_build

    config = request.config
    builder = BundleBuilder(str(config.root), app=_App(report))  # type: ignore[arg-type] # all that builders use of one
    builder.run = BundleRun(project=config.project, request=request, environ=environ, report=report)
    try:
        list(
            builder.build(
                directory=str(request.directory or builder.config.directory),
                versions=[config.content or MAIN],
                hooks_only=False,
                clean=False,
            )
        )
    except HATCHLINGS as error:
        raise failed_build(config.root, error) from error
    (built,) = builder.run.built
    return built


class _App:
    """Hatchling's application: its messages become events, and aborting raises an error."""

    verbosity = 0

    def __init__(self, report: Report) -> None:
        self._report = report

    def _say(self, kind: Callable[..., Detail | Step | Note | Warned], message: str) -> None:
        if message:
            self._report(kind(text=message))

    def display(self, message: str = "", **_: object) -> None:
        self._say(Note, message)

    def display_info(self, message: str = "", **_: object) -> None:
        self._say(Detail, message)

    display_waiting = display_success = display_mini_header = display_info

    def display_debug(self, message: str = "", level: int = 1, **_: object) -> None:
        self._say(Detail, message if level == 1 else "")

    def display_warning(self, message: str = "", **_: object) -> None:
        self._say(Warned, message)

    display_error = display_warning

    def abort(self, message: str = "", code: int = 1, **_: object) -> NoReturn:
        raise BuildError(message or f"The build ended with code {code}.")


def _without_builder(context: BuildContext, *, wheel: bool) -> Built:
    from hatch_connect.bundle.assemble import assemble

    with TemporaryDirectory(prefix="hatch-connect-") as folder:
        files = _from_wheel(context, Path(folder)) if wheel else None
        return assemble(context, files or _from_tree(context))


def _from_wheel(context: BuildContext, folder: Path) -> SelectedFiles | None:
    from hatch_connect.bundle.isolated import build_wheel
    from hatch_connect.bundle.wheel import holds_modules, unpack_wheel

    selector, environ, report = context.selector, context.environ, context.report
    report(Step(text="Building the project's wheel"))
    root, backend = context.config.root, context.config.build_backend
    wheel = build_wheel(root, backend, folder / "wheel", selector.repository, environ, report)
    unpacked = unpack_wheel(wheel, folder / "content")
    if not holds_modules(unpacked):
        return None
    chosen = selector.choose((*unpacked.left_out, *unpacked.files))
    return replace(chosen, version=unpacked.version)


def _from_tree(context: BuildContext) -> SelectedFiles:
    from hatch_connect.bundle.hatchling import BundleBuilder

    config = context.config
    builder = BundleBuilder(str(config.root), app=_App(context.report))  # type: ignore[arg-type] # as above
    try:
        return builder.from_tree(context, config.version)
    except (ValueError, TypeError) as error:
        raise BuildError(f"The files of the project cannot be selected: {error}") from error


def _decided(request: BuildRequest) -> BuildRequest:
    """Decide the packages for a build elsewhere, which raises the error only if it needs them."""
    if not request.config.app_mode.has_python:
        return request
    try:
        return replace(request, packages=request.decide_packages())
    except ProjectError as error:
        return replace(request, refused=error)


def _elsewhere(
    request: BuildRequest, chosen: ChosenStrategy, environ: Mapping[str, str], report: Report
) -> Built:
    report(Step(text="Building the project"))
    with TemporaryDirectory(prefix="hatch-connect-") as folder:
        answer = Path(folder) / "answer.json"
        surroundings = {**environ, VARIABLE: encode_request(request, answer)}
        # Hatch sets these for the command that we may be part of; the build is another one.
        for name in ("HATCH_ENV_ACTIVE", "HATCH_BUILD_HOOKS_ONLY", "HATCH_BUILD_CLEAN"):
            surroundings.pop(name, None)
        done = _run(request, chosen, surroundings, report)
        if answer.is_file():
            built, events = decode_answer(answer.read_text("utf-8"), request)
            for event in events:
                report(event)
            if done.returncode == 0 and built:
                return built
        last = tail(text_of(done.stdout))
        raise BuildError(
            f"The project's build ended with exit code {done.returncode}:\n{last}",
            hint="Run `hatch build -t connect` for the full output.",
        )


def _run(
    request: BuildRequest, chosen: ChosenStrategy, environ: Mapping[str, str], report: Report
) -> subprocess.CompletedProcess[bytes]:
    from hatch_connect.bundle.isolated import run_hatchling

    root = request.config.root
    target = f"connect:{request.config.content or MAIN}"
    directory = [str(request.directory.absolute())] if request.directory else []
    if chosen.strategy is BuildStrategy.HATCH:
        command = [*chosen.hatch, "-e", "default", "build", "-t", target, *directory]
        return run_program(command, folder=root, environ=environ, together=True)
    arguments = ["build", "-t", target, *(["-d", *directory] if directory else [])]
    return run_hatchling(root, chosen.requires, arguments, environ=environ, report=report)
