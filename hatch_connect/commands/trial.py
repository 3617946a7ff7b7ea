"""Runs the entrypoint of content once, in an environment of its lock: `doctor --import`."""

from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hatch_connect.errors import BuildError
from hatch_connect.events import Step
from hatch_connect.programs import run_program, tail, text_of
from hatch_connect.project.content_kind import EntrypointKind

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from hatch_connect.bundle.build_protocol import Built
    from hatch_connect.events import Report
    from hatch_connect.project.project import ProjectConfig

_SECONDS = 120.0
# `-c` puts the working directory, the content's root, on the path.
_IMPORT = """\
import importlib, sys
module, _, name = sys.argv[1].partition(":")
found = importlib.import_module(module.removesuffix(".py").replace("/", "."))
for each in filter(None, name.removesuffix("()").split(".")):
    found = getattr(found, each)
"""
_RUN = """\
import runpy, sys
name = sys.argv.pop(1).partition(":")[0]
if name.endswith(".py"):
    runpy.run_path(name, run_name="__main__")
else:
    runpy.run_module(name, run_name="__main__")
"""
_PROGRAMS = {EntrypointKind.OBJECT: _IMPORT, EntrypointKind.SCRIPT: _RUN}
# What belongs to this process, or only to the server.
_OURS = {"CONNECT_API_KEY", "CONNECT_HTTP_HEADERS", "PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """A bundle that lies in a folder, and where an environment for it may be made.

    `environ` holds the content's variables too; `interpreter` is the one that runs us.
    """

    config: ProjectConfig
    built: Built
    folder: Path
    environ: Mapping[str, str]
    interpreter: Path
    report: Report

    def run(self) -> str:
        """Run the entrypoint and return what was done. Raises BuildError."""
        program = _PROGRAMS.get(self.config.app_mode.entrypoint)
        python, entrypoint = self.built.python, self.built.contents.manifest.metadata.entrypoint
        if program is None or python is None or not entrypoint:
            return f"{self.config.app_mode.title} content has nothing to import"
        self.report(Step(text=f"Creating an environment from the lock, with Python {python.minor}"))
        for command in self._commands(python.minor):
            self._done(command, "Could not create an environment from the lock", None)
        self.report(Step(text=f"Running {entrypoint}"))
        self._done(
            (self._python, "-c", program, entrypoint),
            f"Could not run {entrypoint}",
            "It ran with the lock's packages, and the variables of `env` and the command line.",
        )
        return f"{entrypoint} runs on Python {python.minor} with the packages of the lock"

    @property
    def _python(self) -> str:
        place = ("Scripts", "python.exe") if sys.platform == "win32" else ("bin", "python")
        return str(self.folder.joinpath("environment", *place))

    def _commands(self, minor: str) -> Iterator[Sequence[str]]:
        """Yield the commands that make the environment, by uv if it is there."""
        place = str(self.folder / "environment")
        path = self.environ.get("PATH")
        python = self.built.contents.manifest.python
        packages = ("install", "-r", python.package_file) if python else ()
        if uv := shutil.which("uv", path=path):
            yield (uv, "venv", "--no-project", "--python", minor, place)
            yield (uv, "pip", *packages, "--python", self._python)
            return
        ours = str(self.interpreter) if minor == f"3.{sys.version_info.minor}" else None
        found = ours or shutil.which(f"python{minor}", path=path)
        if found is None:
            raise BuildError(
                f"Python {minor}, which would run the entrypoint, was not found.",
                hint=f"Install uv, which can download it, or put python{minor} on the PATH.",
            )
        yield (found, "-m", "venv", place)
        yield (self._python, "-m", "pip", "--disable-pip-version-check", *packages)

    def _done(self, command: Sequence[str], wrong: str, hint: str | None) -> None:
        environ = {name: value for name, value in self.environ.items() if name not in _OURS}
        where = self.built.bundle.path
        try:
            done = run_program(
                command, folder=where, environ=environ, seconds=_SECONDS, together=True
            )
        except subprocess.TimeoutExpired:
            raise BuildError(f"{wrong}: it did not finish within {_SECONDS:g} s.") from None
        if done.returncode:
            raise BuildError(f"{wrong}:\n{tail(text_of(done.stdout))}", hint=hint)
