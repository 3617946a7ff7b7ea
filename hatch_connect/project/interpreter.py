"""Asks one interpreter for its version and its packages."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from packaging.utils import canonicalize_name

from hatch_connect.errors import InterpreterError
from hatch_connect.programs import run_program, text_of, tool_environment
from hatch_connect.project.target import minor_of

if TYPE_CHECKING:
    from collections.abc import Mapping

SECONDS = 60
"""An interpreter that does not answer within this time counts as broken."""

FALLBACK = "the interpreter that runs this"

_OLDEST = (3, 8)
_QUOTED = 200
_MARK = "hatch-connect:"

# Runs on any Python 3, on an interpreter that has neither this package nor, perhaps, pip. Modules
# in the working directory must not be imported: -I would prevent that, but would also hide the
# packages of the user's site directory, which pip lists.
_INSPECTION = """
import sys
sys.path[:] = [entry for entry in sys.path if entry]
import json, platform
answer = {"version": platform.python_version(), "implementation": sys.implementation.name}
if sys.version_info >= (3, 8):
    import sysconfig
    from importlib.metadata import distributions
    answer["free_threaded"] = bool(sysconfig.get_config_var("Py_GIL_DISABLED"))
    answer["packages"] = []
    for found in distributions():
        try:
            named = (found.metadata["Name"], found.version)
        except Exception:
            named = (None, None)
        answer["packages"].append(named + (
            found.read_text("direct_url.json"), str(getattr(found, "_path", "")),
        ))
print("hatch-connect:" + json.dumps(answer))
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class DirectUrl:
    """Where a package was installed from if not from an index (PEP 610)."""

    url: str
    editable: bool = False
    directory: bool = False
    vcs: str | None = None
    commit: str | None = None
    subdirectory: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Installed:
    """One installed package, its name as written in its metadata."""

    name: str
    version: str
    direct_url: DirectUrl | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Interpreter:
    """An interpreter and what is installed in its environment, sorted by name.

    `version` is the full one ("3.11.7"); `implementation` is "cpython", "pypy", ...; `broken`
    names folders of metadata that give no name or no version.
    """

    path: Path
    version: str
    implementation: str
    free_threaded: bool = False
    packages: tuple[Installed, ...] = ()
    broken: tuple[str, ...] = ()

    @property
    def minor(self) -> str:
        """The version as X.Y."""
        return minor_of(self.version)


def tool_of(interpreter: Interpreter, environ: Mapping[str, str]) -> str | None:
    """Return which tool's environment this is, for a message; None if it may be a project's."""
    if environ.get("HATCH_ENV_ACTIVE"):
        return "Hatch's own environment"
    tool = tool_environment(interpreter.path.parent.parent)
    if tool in {"pipx", "pipx run"}:
        return "an environment of pipx"
    return "an environment of `uv tool`" if tool else None


def inspect_interpreter(python: Path) -> Interpreter:
    """Run an interpreter to learn about it; raises InterpreterError if it cannot answer."""
    answer = _ask(python)
    version = str(answer["version"])
    if "packages" not in answer:
        raise InterpreterError(
            f"{python} is Python {version}, which is too old to inspect.",
            hint=f"Use Python {_OLDEST[0]}.{_OLDEST[1]} or newer.",
        )
    packages: dict[str, Installed] = {}
    broken = []
    for name, installed, direct_url, folder in answer["packages"]:
        if not name or not installed:
            broken.append(folder)
        else:
            # If a package is installed twice, Python imports the one that is first on the path.
            packages.setdefault(
                canonicalize_name(name),
                Installed(name=name, version=installed, direct_url=_direct_url(direct_url)),
            )
    return Interpreter(
        path=python,
        version=version,
        implementation=str(answer["implementation"]),
        free_threaded=bool(answer["free_threaded"]),
        packages=tuple(packages[name] for name in sorted(packages)),
        broken=tuple(sorted(broken)),
    )


def _ask(python: Path) -> dict[str, Any]:
    command = [str(python), "-E", "-c", _INSPECTION]
    try:
        done = run_program(command, seconds=SECONDS)
    except FileNotFoundError:
        raise _broken(
            python, "it does not exist, or the installation that it is based on was removed"
        ) from None
    except OSError as error:
        raise _broken(python, error.strerror or str(error)) from None
    except subprocess.TimeoutExpired:
        raise _broken(python, f"it did not answer within {SECONDS} seconds") from None
    marked = [line for line in text_of(done.stdout).splitlines() if line.startswith(_MARK)]
    if done.returncode != 0 or not marked:
        raise _broken(python, f"exit code {done.returncode} ({_said(text_of(done.stderr))})")
    answer: dict[str, Any] = json.loads(marked[-1].removeprefix(_MARK))
    return answer


def _said(stderr: str) -> str:
    """Quote one line of an interpreter's output: the first of a usage, the last of a traceback."""
    lines = stderr.strip().splitlines()
    if not lines:
        return "no output"
    line = lines[0] if "usage" in stderr.lower() else lines[-1]
    return line[:_QUOTED]


def _broken(python: Path, reason: str) -> InterpreterError:
    return InterpreterError(
        f"{python} cannot be inspected: {reason}.",
        hint="Use --python to name a Python 3 interpreter.",
    )


def _direct_url(text: str | None) -> DirectUrl | None:
    try:
        data = json.loads(text) if text else None
    except ValueError:
        return None
    if not isinstance(data, dict) or not isinstance(data.get("url"), str):
        return None
    vcs = data.get("vcs_info") or {}
    directory = data.get("dir_info")
    return DirectUrl(
        url=data["url"],
        editable=bool((directory or {}).get("editable")),
        directory=directory is not None,
        vcs=vcs.get("vcs"),
        commit=vcs.get("commit_id"),
        subdirectory=data.get("subdirectory"),
    )


def find_interpreter(
    environ: Mapping[str, str], *, option: str | None, fallback: Path
) -> tuple[Path, str]:
    """Return the interpreter whose packages count, and the reason.

    In this order: the option `--python`, `RETICULATE_PYTHON`, `VIRTUAL_ENV`, `CONDA_PREFIX`, and
    `fallback`, the one that runs us. Raises InterpreterError for a named one that does not exist.
    """
    if option:
        return _named(option, "the --python option", environ)
    if named := environ.get("RETICULATE_PYTHON"):
        return _named(named, "RETICULATE_PYTHON", environ)
    # The environment `connect`, which our collector adds, has no packages installed.
    ours = environ.get("HATCH_ENV_ACTIVE") == "connect"
    for variable in ("CONDA_PREFIX",) if ours else ("VIRTUAL_ENV", "CONDA_PREFIX"):
        if prefix := environ.get(variable):
            return _in_environment(Path(prefix), variable), variable
    return fallback, FALLBACK


def _named(text: str, because: str, environ: Mapping[str, str]) -> tuple[Path, str]:
    path = Path(text).expanduser()
    if path.is_dir():
        return _in_environment(path, because), because
    if path.is_file():
        return path.absolute(), because
    on_path = shutil.which(text, path=environ.get("PATH", ""))
    if on_path and path.name == text:
        return Path(on_path), because
    raise InterpreterError(
        f"The interpreter {text}, which {because} names, does not exist.",
        hint="Use the path of a Python executable.",
    )


def _in_environment(prefix: Path, because: str) -> Path:
    places = ("bin/python", "bin/python3")
    if sys.platform == "win32":
        places = ("Scripts/python.exe", "python.exe")
    for place in places:
        if (prefix / place).is_file():
            return (prefix / place).absolute()
    raise InterpreterError(
        f"{prefix}, which {because} names, has no Python interpreter.",
        hint="Recreate that environment, or use --python to name an interpreter.",
    )
