"""Content that is rendered: Quarto is asked about documents, notebooks are executed here.

Like the official client, it runs `quarto inspect`. A notebook that is converted to HTML ships
without its source.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hatch_connect.errors import BuildError, InterpreterError
from hatch_connect.events import Step
from hatch_connect.programs import run_program, text_of
from hatch_connect.project.interpreter import find_interpreter
from hatch_connect.typed import list_at, table_at, text_at, texts_at

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from hatch_connect.bundle.build_protocol import BuildContext
    from hatch_connect.project.project import ProjectConfig

_INSTALL = "https://quarto.org/docs/get-started/"
# Where its installers put it, and RStudio's.
_ELSEWHERE = (
    "/usr/local/bin/quarto",
    "/opt/quarto/bin/quarto",
    "/Applications/RStudio.app/Contents/MacOS/quarto/bin/quarto",
)
_ENGINES = frozenset({"markdown", "jupyter"})
_UNKNOWN_VERSION = "99.9.9"  # as the official client writes it
_LINES_OF_QUARTO = 15
# A script, or the interpreter itself, among the commands before and after rendering.
_PYTHON = re.compile(r"\.py\b|^\s*python[\d.]*\s")

_LINES_OF_NOTEBOOK = 25


@dataclass(frozen=True, slots=True, kw_only=True)
class Inspection:
    """What Quarto said; paths are those below the folder that was asked for.

    `inputs` are the documents of a project that are rendered, `output` is the folder that they
    are rendered into; a document alone has neither. `resources` are files that go with a document,
    `scripts` the commands that run before and after rendering.
    """

    version: str
    engines: tuple[str, ...]
    inputs: tuple[str, ...] = ()
    output: str | None = None
    resources: tuple[str, ...] = ()
    scripts: tuple[str, ...] = ()

    @property
    def needs_python(self) -> bool:
        """Whether rendering runs Python code."""
        return "jupyter" in self.engines or any(map(_PYTHON.search, self.scripts))

    @property
    def category(self) -> str | None:
        """What Connect calls content of several pages."""
        return "site" if len(self.inputs) > 1 else None

    def derived(self, path: str) -> bool:
        """Return whether rendering makes this file: the server makes it again."""
        if self.output and self.output != "." and path.startswith(f"{self.output}/"):
            return True
        for source in self.inputs:
            stem = source.rpartition(".")[0]
            if path == f"{stem}.html" or path.startswith(f"{stem}_files/"):
                return True
        return False


def inspect_quarto(config: ProjectConfig, environ: Mapping[str, str]) -> Inspection | None:
    """Inspect Quarto content; None for other content.

    Raises InterpreterError if Quarto is not installed, BuildError if it cannot say what
    the content is, and for code that is not Python's.
    """
    if not config.app_mode.is_quarto:
        return None
    folder = config.content_root
    target = folder / config.entrypoint if config.entrypoint else folder
    inspection = _inspection(_ask(target, environ), folder, config.entrypoint)
    foreign = sorted(set(inspection.engines) - _ENGINES)
    if foreign:
        raise BuildError(
            f"{target} is rendered by {', '.join(foreign)}, not by Python.",
            hint="Write a manifest.json with its own tools and deploy it: `hatch-connect deploy"
            " path/to/manifest.json`.",
        )
    return inspection


def _ask(target: Path, environ: Mapping[str, str]) -> object:
    command = (str(_executable(environ)), "inspect", str(target))
    done = run_program(command, environ=environ)
    if done.returncode == 0:
        try:
            return json.loads(done.stdout)
        except ValueError:
            pass
    lines = text_of(done.stderr or done.stdout).strip().splitlines()
    said = "\n".join(lines[-_LINES_OF_QUARTO:])
    raise BuildError(
        f"`quarto inspect {target}` ended with exit code {done.returncode} and no result:\n{said}",
        hint="Correct the document; `quarto render` must work here before it can on Connect.",
    )


def _executable(environ: Mapping[str, str]) -> Path:
    named = environ.get("QUARTO_PATH")
    for place in (named,) if named else ("quarto", *_ELSEWHERE):
        if found := shutil.which(place, path=environ.get("PATH", "")):
            return Path(found)
    where = f"at {named}, which QUARTO_PATH names" if named else "on the PATH"
    raise InterpreterError(
        f"Quarto was not found {where}, and it is needed to inspect the document.",
        hint=f"Install it: {_INSTALL}, or `pip install quarto-cli`.",
    )


def _inspection(answer: object, folder: Path, document: str | None) -> Inspection:
    inputs = () if document else texts_at(answer, "files", "input")
    output = None if document else text_at(answer, "config", "project", "output-dir")
    version = text_at(answer, "quarto", "version")
    return Inspection(
        version=_UNKNOWN_VERSION if version is None else version,
        engines=texts_at(answer, "engines"),
        inputs=tuple(_below(text, folder) for text in inputs),
        output=output.strip("/") if output else None,
        resources=_resources(answer, folder) if document else (),
        scripts=tuple(_scripts(answer)),
    )


def _scripts(answer: object) -> Iterator[str]:
    """Return what a project runs before and after rendering; a document tells of its project."""
    for above in ((), ("project",)):
        for key in ("pre-render", "post-render"):
            place = (*above, "config", "project", key)
            command = text_at(answer, *place)
            yield from texts_at(answer, *place) if command is None else (command,)


def _resources(answer: object, folder: Path) -> tuple[str, ...]:
    """Return what a document names as its resources, and what it includes, if it is there."""
    named = list(texts_at(answer, "resources"))
    for each in table_at(answer, "fileInformation").values():
        targets = (text_at(include, "target") for include in list_at(each, "includeMap"))
        named += [target for target in targets if target is not None]
    paths = (_below(text, folder) for text in named)
    return tuple(
        p for p in dict.fromkeys(paths) if not p.startswith("..") and (folder / p).exists()
    )


def _below(path: str, folder: Path) -> str:
    """Return a path of Quarto's answer, which is absolute, as one below the folder."""
    real = os.path.realpath(folder / path)
    return os.path.relpath(real, os.path.realpath(folder)).replace(os.sep, "/")


def render(context: BuildContext, folder: Path) -> Path:
    """Render the notebook of this content into `folder`; return the path of the HTML.

    The interpreter is the one whose packages the call took, or would take without a lock. The
    notebook runs in the folder that it lies in, as in Jupyter. Raises InterpreterError if
    nbconvert is missing, BuildError if a cell fails.
    """
    config, environ = context.config, context.environ
    notebook = config.root / str(config.rendered)
    if not notebook.is_file():
        raise BuildError(f"The notebook {notebook} does not exist.")
    python = _python(context)
    context.report(Step(text=f"Running {notebook.name} with {python}"))
    target = folder / str(config.entrypoint)
    done = run_program(
        [
            *(str(python), "-m", "nbconvert", "--execute", "--to=html", "--log-level=ERROR"),
            *_hidden(config),
            *(f"--output-dir={folder}", f"--output={target.name}", str(notebook)),
        ],
        environ=environ,
        together=True,
    )
    if done.returncode != 0 or not target.is_file():
        raise _failure(notebook, python, text_of(done.stdout))
    return target


def _python(context: BuildContext) -> Path:
    if interpreter := context.request.inputs.interpreter():
        return interpreter.path
    python, _ = find_interpreter(context.environ, option=None, fallback=Path(sys.executable))
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
                hint=f"Install it with `{python} -m pip install {packages}`, or use --python to"
                " name another interpreter.",
            )
    last = "\n".join(said.strip().splitlines()[-_LINES_OF_NOTEBOOK:])
    return BuildError(
        f"{notebook.name} cannot be rendered:\n{last}",
        hint="Run all of its cells in Jupyter first.",
    )
