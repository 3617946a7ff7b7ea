"""Clients that talk to the fake Connect."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from hatch_connect.connect.retries import RetryPolicy

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pytest

    from hatch_connect.connect.client import ConnectClient


class Connecting(Protocol):
    """Makes a client that talks to a URL and does not dally between attempts."""

    def __call__(
        self,
        url: str,
        *,
        environ: Mapping[str, str] | None = None,
        insecure: bool = False,
        ca_cert: str | None = None,
        key: str = "fake-key-0123456789abcdef",
    ) -> ConnectClient: ...


def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have all requests of this process sent again as often as usual, less the waiting."""
    quick = RetryPolicy.usual().new(backoff_factor=0.001, backoff_jitter=0)
    monkeypatch.setattr(RetryPolicy, "usual", quick.new)
