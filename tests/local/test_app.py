from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from hatch_connect.local import app as module
from hatch_connect.local.app import Leases

if TYPE_CHECKING:
    from collections.abc import Awaitable

    import pytest


class _Client:
    """The other end of one request for a lease."""

    def __init__(self) -> None:
        self.sent: list[Any] = []
        self._gone = asyncio.Event()

    def ask(self, leases: Leases) -> Awaitable[None]:
        return leases({"type": "http"}, self._receive, self._send)

    def leave(self) -> None:
        self._gone.set()

    async def _receive(self) -> dict[str, str]:
        await self._gone.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Any) -> None:  # noqa: ANN401 - ASGI
        self.sent.append(message)


def test_the_last_one_ends_it() -> None:
    ends: list[str] = []

    async def use() -> None:
        leases = Leases(lambda: ends.append("now"))
        clients = [_Client(), _Client()]
        held = [asyncio.ensure_future(client.ask(leases)) for client in clients]
        await asyncio.sleep(0)
        for client, lease in zip(clients, held, strict=True):
            assert ends == []
            client.leave()
            await lease
        late = _Client()
        await late.ask(leases)
        assert late.sent[0]["status"] == 503

    asyncio.run(use())

    assert ends == ["now"]


def test_a_server_that_nobody_comes_for_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FIRST_LEASE_SECONDS", 0.01)
    ends: list[str] = []

    asyncio.run(Leases(lambda: ends.append("now")).wait_first())

    assert ends == ["now"]


def test_what_is_served_for_everybody_does_not_end() -> None:
    async def use() -> list[Any]:
        leases = Leases()
        client = _Client()
        held = asyncio.ensure_future(client.ask(leases))
        await asyncio.sleep(0)
        leases.stop()
        await held
        return client.sent

    assert [message["type"] for message in asyncio.run(use())] == [
        "http.response.start",
        "http.response.body",
    ]
