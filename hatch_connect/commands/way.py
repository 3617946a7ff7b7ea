"""The way that commands are run here, in which hints name them.

Hints are written with `hatch-connect COMMAND` and `pip install 'hatch-connect[EXTRA]'`.
`Way.spelled` makes of them what works in the way that was used.
"""

from __future__ import annotations

import re
import shlex
import shutil
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from hatch_connect.commands import COMMANDS
from hatch_connect.programs import own_requirement, tool_environment

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_NAME = "hatch-connect"
_FROM = {"uvx": "--from", "pipx run": "--spec"}
_COMMAND = re.compile(rf"{_NAME} ({'|'.join(COMMANDS)})\b(?![-.])( (?=[^\s-])(?!again))?")
_INSTALL = re.compile(rf"pip install '{_NAME}\[(\w+)\]'")


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """How a command is run, and how an extra of this package is installed; `{}` is its name.

    If not `positional`, all values have the names of their options.
    """

    command: str = f"{_NAME} {{}}"
    install: str = f"pip install '{_NAME}[{{}}]'"
    positional: bool = True

    def spelled(self, text: str) -> str:
        """Return a text with commands as they can be run here."""
        text = _INSTALL.sub(lambda found: self.install.format(found[1]), text)
        return _COMMAND.sub(self._called, text)

    def _called(self, found: re.Match[str]) -> str:
        command, value = COMMANDS[found[1]], found[2] or ""
        names = (o.flags[0] for o in command.options if o.positional or o.key == command.positional)
        name = "" if self.positional or not value else next(names, "")
        return self.command.format(command.name) + (f" {name} " if name else value)


def way_of(
    argv: Sequence[str],
    environ: Mapping[str, str],
    interpreter: Path,
    *,
    by_hatch: bool,
    url: str | None = None,
) -> Way:
    """Return the way in which a process was started that has these arguments.

    `by_hatch` tells that it is a script of `hatch run`, which the collector added; `url` is where
    this package was installed from, if not from an index.
    """
    program = Path(argv[0] if argv else _NAME)
    if by_hatch:
        script = "connect:" if environ.get("HATCH_ENV_ACTIVE") == "connect" else "connect-"
        requires = f'requires = ["{own_requirement("{}", url=url)}"] in [tool.hatch.env]'
        return Way(command=f"hatch run {script}{{}}", install=requires)
    install = _installing(environ, interpreter, url)
    called = program.parent.name if program.name == "__main__.py" else program.stem
    if called in {"invoke", "inv"}:
        task = next((a for a in argv[1:] if a.rpartition(".")[2] in COMMANDS), "")
        names = f"{task.rpartition('.')[0]}." if "." in task else ""
        return Way(command=f"invoke {names}{{}}", install=install, positional=False)
    if called in {_NAME, "hatch_connect"}:
        return Way(command=f"{_running(program, environ, interpreter, url)} {{}}", install=install)
    return Way(install=install)


def _running(program: Path, environ: Mapping[str, str], interpreter: Path, url: str | None) -> str:
    """Return what is written before the name of a command."""
    tool = tool_environment(interpreter.parent.parent)
    if tool in {"uvx", "pipx run"}:
        # The next call gets a new environment, which must have what this one has.
        extra = "local" if find_spec("a2wsgi") else ""
        if not (extra or url):
            return f"{tool} {_NAME}"
        return f"{tool} {_FROM[tool]} {shlex.quote(own_requirement(extra, url=url))} {_NAME}"
    if environ.get("UV_RUN_RECURSION_DEPTH"):
        return f"uv run {_NAME}"
    found = shutil.which(_NAME, path=environ.get("PATH", ""))
    if found and (program.stem == _NAME or Path(found).parent == interpreter.parent):
        return _NAME
    if program.stem == _NAME:
        return shlex.quote(str(program))
    return f"{shlex.quote(str(interpreter))} -m hatch_connect"


def _installing(environ: Mapping[str, str], interpreter: Path, url: str | None) -> str:
    """Return how an extra is added to the environment of an interpreter."""
    # An environment that stays has this package, so that its name is enough there.
    here, wanted = f"'{_NAME}[{{}}]'", shlex.quote(own_requirement("{}", url=url))
    prefix = interpreter.parent.parent
    tool, owner = tool_environment(prefix), prefix.name
    if tool in {"uvx", "pipx run"}:
        return f"{tool} {_FROM[tool]} {wanted} {_NAME} ..."
    if tool == "pipx":
        own = owner == _NAME
        return f"pipx install --force {wanted}" if own else f"pipx inject {owner} {here}"
    if tool == "uv tool":
        others = "" if owner == _NAME else f"{owner} --with "
        return f"uv tool install {others}{wanted}"
    if environ.get("UV_RUN_RECURSION_DEPTH"):
        return f"uv add --dev {wanted}"
    python = shlex.quote(str(interpreter))
    if find_spec("pip") is None:
        return f"uv pip install --python {python} {here}"
    return f"{python} -m pip install {here}"
