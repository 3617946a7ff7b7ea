from __future__ import annotations

from hatch_connect.programs import tail


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
