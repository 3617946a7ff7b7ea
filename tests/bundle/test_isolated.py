from __future__ import annotations

from importlib.metadata import distribution
from typing import TYPE_CHECKING

import pytest

from hatch_connect.bundle.isolated import own_requirement, tail

if TYPE_CHECKING:
    from pathlib import Path


def test_a_declared_url_of_ours_is_kept() -> None:
    declared = ["hatchling", "hatch_connect @ file:///somewhere", "{root:uri}"]
    assert own_requirement(declared) == "hatch_connect @ file:///somewhere"


@pytest.mark.parametrize("declared", [[], ["hatch-connect"], ["no requirement!"]])
def test_otherwise_the_environment_gets_what_is_installed_here(declared: list[str]) -> None:
    requirement = own_requirement(declared)
    if distribution("hatch-connect").read_text("direct_url.json"):
        assert requirement.startswith("hatch-connect @ file://")
    else:
        assert requirement == f"hatch-connect=={distribution('hatch-connect').version}"


def test_without_a_url_it_is_the_same_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "hatch_connect-9.9.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text("Name: hatch-connect\nVersion: 9.9\n", encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert own_requirement(()) == "hatch-connect==9.9"


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
