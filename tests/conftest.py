"""What every test may ask for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings
from support.calling import Caller
from support.fake_connect import FakeConnect
from support.sandbox import Sandbox

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


# How long an example takes says something of the machine, and nothing of the code.
slow = (HealthCheck.too_slow,)
settings.register_profile("busy", deadline=None, suppress_health_check=slow)
settings.load_profile("busy")


@pytest.fixture(autouse=True)
def sweep(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Measure no coverage in the programs that a sweep starts: it would take longer than they."""
    if request.node.get_closest_marker("sweep"):
        monkeypatch.delenv("COVERAGE_PROCESS_CONFIG", raising=False)


@pytest.fixture
def sandbox(tmp_path: Path) -> Sandbox:
    """A fresh user, below a folder with a space in its name."""
    return Sandbox.make(tmp_path / "a user")


@pytest.fixture
def caller(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Caller:
    """A user who calls commands in this process."""
    return Caller(folder=tmp_path, capsys=capsys, monkeypatch=monkeypatch)


@pytest.fixture
def fake(caller: Caller) -> Iterator[FakeConnect]:
    """A server that the caller's environment names."""
    with FakeConnect() as server:
        caller.knows(server)
        yield server
