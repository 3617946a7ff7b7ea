from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.connecting import Connecting, hurry
from support.fake_connect import FakeConnect
from support.sample_bundle import sample_bundle

from hatch_connect.connect.client import ConnectClient
from hatch_connect.connect.credentials import ApiKey
from hatch_connect.connect.servers import Server
from hatch_connect.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from hatch_connect.events import Event


@pytest.fixture
def events() -> list[Event]:
    return []


@pytest.fixture
def connecting(events: list[Event], monkeypatch: pytest.MonkeyPatch) -> Connecting:
    hurry(monkeypatch)

    def make(
        url: str,
        *,
        environ: Mapping[str, str] | None = None,
        insecure: bool = False,
        ca_cert: str | None = None,
        key: str = "fake-key-0123456789abcdef",
    ) -> ConnectClient:
        server = Server(url=url, credential=ApiKey(Secret(key)), insecure=insecure, ca_cert=ca_cert)
        told = {"CONNECT_REQUEST_TIMEOUT": "60"} | dict(environ or {})
        return ConnectClient(server, environ=told, report=events.append)

    return make


@pytest.fixture
def fake() -> Iterator[FakeConnect]:
    with FakeConnect() as server:
        yield server


@pytest.fixture
def client(fake: FakeConnect, connecting: Connecting) -> ConnectClient:
    return connecting(fake.url)


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return sample_bundle(tmp_path / "bundle.tar.gz")
