from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from support.local_api import Api, asking

from hatch_connect.events import silent
from hatch_connect.local.start import running

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from hatch_connect.local.folder import LocalServer


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalServer]:
    state = tmp_path_factory.mktemp("local") / "a state"
    environ = {**os.environ, "CONNECT_API_KEY": "key-of-the-developer"}
    with running(state, environ=environ, report=silent) as server:
        yield server


@pytest.fixture
def api(server: LocalServer) -> Iterator[Api]:
    with asking(server) as api:
        yield api


@pytest.fixture
def ann(server: LocalServer) -> Iterator[Api]:
    """One who asks with the key of a publisher."""
    with asking(server, "ann") as api:
        yield api


@pytest.fixture
def bob(server: LocalServer) -> Iterator[Api]:
    """One who asks with the key of a viewer."""
    with asking(server, "bob") as api:
        yield api


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "a state"
