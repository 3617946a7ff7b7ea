"""What every test may ask for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.sandbox import Sandbox

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def sandbox(tmp_path: Path) -> Sandbox:
    """A fresh user, below a folder with a space in its name."""
    return Sandbox.make(tmp_path / "a user")
