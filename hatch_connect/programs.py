"""Runs other programs and keeps what they say, and knows the tools that install some."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import suppress
from tempfile import gettempdir
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

IDENTITY_VARIABLES = ("CONNECT_IDENTITY_TOKEN", "ACTIONS_ID_TOKEN_REQUEST_TOKEN")
"""Variables whose values are, or lead to, the identity of a CI workflow: for us alone."""

IDENTITY_FILE = "CONNECT_IDENTITY_TOKEN_FILE"
"""The variable that names the file of an identity token, which does not ship."""

_TAIL = 25
_PATIENCE = 3.0  # seconds in which a program may clean up before it is killed
_WIDEST = 400
_UV_CACHES = {"archive-v0", "environments-v2"}


def run_program(
    command: Sequence[str],
    *,
    folder: Path | None = None,
    environ: Mapping[str, str] | None = None,
    given: bytes | None = None,
    seconds: float | None = None,
    together: bool = False,
) -> subprocess.CompletedProcess[bytes]:
    """Run a program and keep what it says on its two streams, `together` as one.

    It gets this process's folder and environment without others, and `given` as its input. If it
    takes longer than `seconds`, it is ended and TimeoutExpired raised.
    """
    # A temporary folder of ours, so that its leftovers are removed with ours.
    surroundings = (
        None if environ is None else {**without_identity(environ), "TMPDIR": gettempdir()}
    )
    with subprocess.Popen(
        list(command),
        cwd=folder,
        env=surroundings,
        stdin=subprocess.DEVNULL if given is None else subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT if together else subprocess.PIPE,
        process_group=None if sys.platform == "win32" else 0,
    ) as process:
        try:
            said, errors = process.communicate(given, timeout=seconds)
        except BaseException:
            _end(process)
            raise
    return subprocess.CompletedProcess(process.args, process.returncode, said, errors)


def without_identity(environ: Mapping[str, str]) -> dict[str, str]:
    """Return an environment for other programs: the identity of a CI workflow is for us alone."""
    return {name: value for name, value in environ.items() if name not in IDENTITY_VARIABLES}


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a program and all that it started: with Ctrl-C's signal, then by killing them."""
    if sys.platform == "win32":
        process.kill()
        return
    for number in (signal.SIGINT, signal.SIGKILL):
        with suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with suppress(subprocess.TimeoutExpired):
            process.wait(_PATIENCE)


def tool_environment(prefix: Path) -> Literal["pipx", "pipx run", "uv tool", "uvx"] | None:
    """Return what made an environment for a program alone; None if it is another one."""
    if (prefix / "pipx_metadata.json").is_file() or "pipx" in prefix.parts:
        kept = prefix.parent.name == "venvs" or (prefix / "pipx_metadata.json").is_file()
        return "pipx" if kept and ".cache" not in prefix.parts else "pipx run"
    if (prefix / "uv-receipt.toml").is_file():
        return "uv tool"
    return "uvx" if _UV_CACHES & {*prefix.parts} else None


def own_url() -> str | None:
    """Return the URL that this package was installed from, None if an index had it."""
    # Imported late: few calls need it.
    import json
    from importlib.metadata import PackageNotFoundError, distribution

    try:
        # PEP 610: an installer notes there what it did not take from an index.
        told = json.loads(distribution("hatch-connect").read_text("direct_url.json") or "{}")
    except (PackageNotFoundError, ValueError):
        return None
    url, origin = told.get("url"), told.get("vcs_info")
    return f"{origin['vcs']}+{url}@{origin['commit_id']}" if url and origin else url


def own_requirement(extra: str = "", *, url: str | None) -> str:
    """Return what installs this package from `url`, or from an index if that is None."""
    name = f"hatch-connect[{extra}]" if extra else "hatch-connect"
    return f"{name} @ {url}" if url else name


def text_of(said: bytes) -> str:
    """Return what a program said as text, whatever its encoding is."""
    return said.decode("utf-8", "replace").replace("\r\n", "\n")


def tail(output: str) -> str:
    """Return the last lines of what a program said, without the frames of its tracebacks."""
    kept: list[str] = []
    in_frames = False
    for line in output.strip().splitlines():
        if line.startswith("Traceback (most recent call last)"):
            in_frames = True
        elif not (in_frames and line.startswith(" ")):
            in_frames = False
            kept.append(line.rstrip()[:_WIDEST])
    return "\n".join(kept[-_TAIL:])
