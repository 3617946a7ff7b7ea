"""A command at a terminal: what it asks, and what a person answers."""

from __future__ import annotations

import os
import pty
import select
import subprocess
import sys
from typing import TYPE_CHECKING

from support.sandbox import Finished

if TYPE_CHECKING:
    from pathlib import Path

    from support.sandbox import Sandbox

_PATIENCE = 120.0


def at_terminal(
    sandbox: Sandbox, folder: Path, answers: dict[str, str], *arguments: str, **environ: str
) -> Finished:
    """Run hatch-connect and give each answer when its question is asked.

    `stderr` of what comes back is all that was on the terminal, what was typed included.
    """
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        (sys.executable, "-P", "-m", "hatch_connect", *arguments),
        stdin=theirs,
        stderr=theirs,
        stdout=subprocess.PIPE,
        cwd=folder,
        env=sandbox.environ | {"TERM": "dumb"} | environ,
        start_new_session=True,
        text=True,
    ) as process:
        os.close(theirs)
        shown, at, waiting = "", 0, list(answers.items())
        while True:
            if waiting and (found := shown.find(waiting[0][0], at)) >= 0:
                at = found + len(waiting[0][0])
                os.write(ours, f"{waiting.pop(0)[1]}\n".encode())
            assert select.select([ours], [], [], _PATIENCE)[0], shown
            try:
                data = os.read(ours, 1 << 12)
            except OSError:  # the end, on Linux
                break
            if not data:
                break
            shown += data.decode()
        assert process.stdout
        printed = process.stdout.read()
    os.close(ours)
    assert not waiting, (waiting, shown)
    return Finished(code=process.returncode, stdout=printed, stderr=shown.replace("\r\n", "\n"))
