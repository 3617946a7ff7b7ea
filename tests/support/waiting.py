"""Waiting for what happens elsewhere, on a machine that may be busy."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable

PATIENCE = 120.0
"""Seconds after which nothing is expected to happen any more."""

SHORT = 2
"""Seconds that a request may take in tests of time-outs; on a busy machine none takes longer."""


def until(happened: Callable[[], object], process: subprocess.Popen[str] | None = None) -> None:
    """Wait until something has happened; `process` is what makes it happen, and still runs."""
    end = time.monotonic() + PATIENCE
    while not happened():
        assert process is None or process.poll() is None, process.communicate()
        assert time.monotonic() < end
        time.sleep(0.02)


def command_lines() -> list[bytes]:
    """Return the command lines of all processes, as everybody on Linux can read them."""
    listed = []
    for entry in Path("/proc").iterdir():
        try:
            listed.append((entry / "cmdline").read_bytes())
        except OSError:
            continue
    return listed
