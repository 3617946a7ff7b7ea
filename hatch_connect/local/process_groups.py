"""Signals to a process with all that it has started; it has to lead a session of its own."""

from __future__ import annotations

import os
import signal
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from asyncio.subprocess import Process


def signal_group(process: Process, name: Literal["SIGTERM", "SIGKILL"]) -> None:
    """Send a signal to a process and its descendants, or to whichever of them are left."""
    with suppress(ProcessLookupError, PermissionError):
        if sys.platform == "win32":
            process.kill()
        else:
            os.killpg(process.pid, signal.Signals[name])
