"""Starting the embedded server, and finding the one that already runs."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from hatch_connect.events import Report
    from hatch_connect.secret import Secret


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalServer:
    """A server that answers now; its key is good for this state folder for ever."""

    url: str
    api_key: Secret
    state: Path


@contextmanager
def running(state: Path, *, environ: Mapping[str, str], report: Report) -> Iterator[LocalServer]:
    """Have a server on `state` for a block: the one that runs there, or a new one.

    A new one is a process of its own that ends with the last block that uses it, also when that
    block's process is killed. Raises UsageError where the extra `local` is not installed, and
    HatchConnectError with the end of the server's log where it does not start.
    """
    raise NotImplementedError
    yield


def serve(
    state: Path,
    *,
    port: int = 0,
    environ: Mapping[str, str],
    report: Report,
    ready: Callable[[LocalServer], None],
) -> None:
    """Serve in this process; returns after SIGINT or SIGTERM, when all that it started has ended.

    Port 0 takes the port of last time where that is free. Raises UsageError where the extra
    `local` is not installed, the port is taken, or a server already runs on `state`.
    """
    raise NotImplementedError
