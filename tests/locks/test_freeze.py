"""What is frozen is what `pip list --format=freeze` shows."""

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from hatch_connect.locks.freeze import freeze
from hatch_connect.project.interpreter import inspect_interpreter


@pytest.mark.skipif(find_spec("pip") is None, reason="pip is what this compares with")
def test_the_list_is_that_of_pip() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pip", "list", "--format=freeze", "--disable-pip-version-check"],
        capture_output=True,
        text=True,
        check=True,
    )
    lines = done.stdout.splitlines()
    ours = ("hatch-connect==", "hatch_connect==", "rsconnect-python==", "rsconnect_python==")
    lock = freeze(inspect_interpreter(Path(sys.executable)), own_name="my-project")
    assert [pin.requirement for pin in lock.pins] == [
        line for line in lines if not line.startswith(ours)
    ]
