"""Clients that talk to the fake Connect."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from hatch_connect.connect.retries import RetryPolicy

if TYPE_CHECKING:
    from collections.abc import Mapping

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


def quick() -> RetryPolicy:
    """The usual patience, less the waiting."""
    return RetryPolicy.usual().new(backoff_factor=0.001, backoff_jitter=0)
