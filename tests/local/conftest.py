from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from support.local_api import Api, asking
from uv import find_uv_bin

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


@pytest.fixture(scope="session")
def clients(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the programs of an environment that has the official clients."""
    folder = tmp_path_factory.mktemp("clients")
    uv = find_uv_bin()
    subprocess.run((uv, "venv", "-q", "--python", sys.executable, folder), check=True)
    programs = folder / ("Scripts" if os.name == "nt" else "bin")
    install = (uv, "pip", "install", "-q", "--python", programs / "python")
    subprocess.run((*install, "rsconnect-python==1.32.0", "posit-sdk==0.17.0"), check=True)
    return programs


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "a state"
