"""Runs a program that must not outlive the server: `python watchdog.py PROGRAM ARGUMENT...`.

It is given a session of its own; the end of its input means that the server is gone.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading

_NOT_FOUND = 127  # as shells have it
_BY_SIGNAL = 128


def main(command: list[str]) -> int:
    """Run the program, and return its exit code."""
    try:
        program = subprocess.Popen(command, stdin=subprocess.DEVNULL)
    except OSError as error:
        sys.stderr.write(f"{error}\n")
        return _NOT_FOUND
    threading.Thread(target=_end_with_input, args=(program,), daemon=True).start()
    code = program.wait()
    return code if code >= 0 else _BY_SIGNAL - code


def _end_with_input(program: subprocess.Popen[bytes]) -> None:
    os.read(0, 1)
    if os.name == "posix":
        os.killpg(os.getpgrp(), signal.SIGKILL)  # with what the program has started
    program.kill()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
