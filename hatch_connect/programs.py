"""Runs other programs, and keeps what they say."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import suppress
from tempfile import gettempdir
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

_TAIL = 25
_PATIENCE = 3.0  # seconds in which a program may clean up before it is killed
_WIDEST = 400


def run_program(
    command: Sequence[str], folder: Path, environ: Mapping[str, str], *, apart: bool = False
) -> subprocess.CompletedProcess[str]:
    """Run a program and keep what it says, on both streams, as one text or `apart`."""
    with subprocess.Popen(
        list(command),
        cwd=folder,
        env={**environ, "TMPDIR": gettempdir()},  # so that its leftovers are removed with ours
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE if apart else subprocess.STDOUT,
        text=True,
        encoding="utf-8",
        errors="replace",
        process_group=None if sys.platform == "win32" else 0,
    ) as process:
        try:
            said, errors = process.communicate()
        except BaseException:
            _end(process)
            raise
    return subprocess.CompletedProcess(process.args, process.returncode, said, errors)


def _end(process: subprocess.Popen[str]) -> None:
    """End a program and all that it started: with Ctrl-C's signal, then by killing them."""
    if sys.platform == "win32":
        process.kill()
        return
    for number in (signal.SIGINT, signal.SIGKILL):
        with suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with suppress(subprocess.TimeoutExpired):
            process.wait(_PATIENCE)


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
