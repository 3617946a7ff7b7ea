from __future__ import annotations

import subprocess
import sys
import time
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from hatch_connect.programs import run_program, tail, text_of

if TYPE_CHECKING:
    from pathlib import Path

BOTH = "import sys; print(input()); sys.stdout.flush(); print('b', file=sys.stderr); sys.exit(3)"
# Starts another program, which locks a file, and stays until both are ended.
CHILD = "import fcntl, sys, time; f = open(sys.argv[1], 'w'); fcntl.flock(f, fcntl.LOCK_EX); "
CHILD += "f.write('locked'); f.flush(); time.sleep(100)"
PARENT = f"import subprocess, sys; command = [sys.executable, '-c', {CHILD!r}, sys.argv[1]]; "
PARENT += "subprocess.Popen(command).wait()"


def test_what_a_program_says_is_kept_apart_or_together() -> None:
    done = run_program([sys.executable, "-c", BOTH], given=b"a\n")
    assert (done.returncode, text_of(done.stdout), text_of(done.stderr)) == (3, "a\n", "b\n")
    one = run_program([sys.executable, "-c", BOTH], given=b"a\n", together=True)
    assert text_of(one.stdout) == "a\nb\n"


@pytest.mark.skipif(sys.platform == "win32", reason="there are no process groups")
def test_what_takes_too_long_is_ended_with_all_that_it_started(tmp_path: Path) -> None:
    import fcntl

    seconds, file = 1.0, tmp_path / "file"
    while not (file.is_file() and file.read_text()):  # the machine may be slow
        with pytest.raises(subprocess.TimeoutExpired):
            run_program([sys.executable, "-c", PARENT, str(file)], seconds=seconds)
        seconds *= 2
    deadline = time.monotonic() + 60  # fewer than the program sleeps
    with file.open("a") as locked:
        while time.monotonic() < deadline:
            with suppress(BlockingIOError):
                fcntl.flock(locked, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            time.sleep(0.05)
    pytest.fail("what the program started still runs")


def test_the_frames_of_a_traceback_are_left_out() -> None:
    output = (
        "Building\nTraceback (most recent call last):\n"
        '  File "x.py", line 1, in f\n    f()\nValueError: the version is wrong\n  as said\n'
    )
    assert tail(output) == "Building\nValueError: the version is wrong\n  as said"


def test_only_the_last_lines_are_shown_and_no_endless_ones() -> None:
    said = tail("\n".join(f"{n} {'x' * 1000}" for n in range(100)))
    lines = said.splitlines()
    assert len(lines) == 25
    assert lines[-1].startswith("99 xxx")
    assert max(map(len, lines)) == 400


def test_the_identity_of_a_workflow_stays_with_us() -> None:
    environ = {"ACTIONS_ID_TOKEN_REQUEST_TOKEN": "x", "CONNECT_IDENTITY_TOKEN": "y", "KEPT": "z"}
    done = run_program((sys.executable, "-c", "import os; print(*os.environ)"), environ=environ)
    names = text_of(done.stdout).split()
    assert "KEPT" in names
    assert not {"ACTIONS_ID_TOKEN_REQUEST_TOKEN", "CONNECT_IDENTITY_TOKEN"} & set(names)
