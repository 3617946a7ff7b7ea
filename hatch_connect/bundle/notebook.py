"""Renders a notebook here: executed and converted to HTML, of which no source ships."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from hatch_connect.bundle.isolated import run_quietly
from hatch_connect.errors import BuildError, InterpreterError
from hatch_connect.events import Step
from hatch_connect.project.interpreter import find_interpreter

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hatch_connect.bundle.request import BuildRequest
    from hatch_connect.events import Report
    from hatch_connect.project.project import ProjectConfig

_LAST_LINES = 25


def render(
    config: ProjectConfig,
    request: BuildRequest,
    folder: Path,
    environ: Mapping[str, str],
    report: Report,
) -> Path:
    """Render the notebook of this content into `folder`; give the HTML.

    The interpreter is the one that the call inspected, else the one that it would have. The
    notebook runs in the folder that it lies in, as in Jupyter. Raises InterpreterError where
    nbconvert is missing, BuildError where a cell fails.
    """
    notebook = config.root / str(config.rendered)
    if not notebook.is_file():
        raise BuildError(f"There is no notebook {notebook}.")
    python = _python(request, environ)
    report(Step(text=f"Running {notebook.name} with {python}"))
    target = folder / str(config.entrypoint)
    done = run_quietly(
        [
            *(str(python), "-m", "nbconvert", "--execute", "--to=html", "--log-level=ERROR"),
            *_hidden(config),
            *(f"--output-dir={folder}", f"--output={target.name}", str(notebook)),
        ],
        Path(),
        environ,
    )
    if done.returncode != 0 or not target.is_file():
        raise _failure(notebook, python, done.stdout)
    return target


def _python(request: BuildRequest, environ: Mapping[str, str]) -> Path:
    if request.interpreter is not None:
        return request.interpreter.path
    python, _ = find_interpreter(environ, option=None, fallback=Path(sys.executable))
    return python


def _hidden(config: ProjectConfig) -> tuple[str, ...]:
    if config.hide_all_input:
        return ("--no-input",)
    if config.hide_tagged_input:
        return (
            "--TagRemovePreprocessor.enabled=True",
            "--TagRemovePreprocessor.remove_input_tags=hide_input",
        )
    return ()


def _failure(notebook: Path, python: Path, said: str) -> InterpreterError | BuildError:
    for missing, packages in (
        ("No module named nbconvert", "nbconvert ipykernel"),
        ("No such kernel", "ipykernel"),
        ("No module named ipykernel", "ipykernel"),
    ):
        if missing in said:
            return InterpreterError(
                f"{notebook.name} cannot be rendered: {packages.split()[0]} is not installed for"
                f" {python}.",
                hint=f"Install it: {python} -m pip install {packages}; or name another"
                " interpreter with --python.",
            )
    last = "\n".join(said.strip().splitlines()[-_LAST_LINES:])
    return BuildError(
        f"{notebook.name} cannot be rendered:\n{last}",
        hint="Run all cells of it in Jupyter first.",
    )
