"""The runtime settings of content: which of them this server acts on, and how.

The meaning of each is that of Connect's API reference. Its defaults are those of Connect: 60 s to
start, an hour for a quiet connection and, as Posit's training for administrators has it, 5 s until
a process that nobody uses ends.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Literal, TypeAlias

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from hatch_connect.local.state import StoredContent

TimeoutName: TypeAlias = Literal[
    "connection_timeout", "idle_timeout", "init_timeout", "read_timeout"
]
DEFAULT_SECONDS: dict[str, float] = {
    "connection_timeout": 3600,
    "idle_timeout": 5,
    "init_timeout": 60,
    "read_timeout": 3600,
}
_SEVERAL = ("max_processes", "max_conns_per_process", "load_factor")
_ELSEWHERE = (
    *("memory_request", "memory_limit", "cpu_request", "cpu_limit"),
    *("amd_gpu_limit", "nvidia_gpu_limit", "default_image_name", "service_account_name"),
    *("run_as", "run_as_current_user"),
)


def seconds(content: StoredContent, name: TimeoutName) -> float | None:
    """Return a time-out of content; None if it is 0, which is for ever."""
    value = content.settings.get(name)
    return (value if isinstance(value, int | float) else DEFAULT_SECONDS[name]) or None


def wants_process(content: StoredContent) -> bool:
    """Return whether a process of content runs also if nobody visits it."""
    least = content.settings.get("min_processes")
    return isinstance(least, int) and least > 0


def without_effect(content: StoredContent) -> tuple[str, ...]:
    """Return what to say in the log of a process about settings that have no effect here."""
    settings = content.settings
    several = [name for name in _SEVERAL if settings.get(name) is not None]
    least = settings.get("min_processes")
    if isinstance(least, int) and least > 1:
        several.insert(0, "min_processes")
    elsewhere = [name for name in _ELSEWHERE if settings.get(name)]
    said = []
    if several:
        said.append(f"The local server runs one process, whatever is set: {', '.join(several)}.")
    if elsewhere:
        said.append(f"Settings without effect on the local server: {', '.join(elsewhere)}.")
    return tuple(said)


class QuietError(Exception):
    """A connection on which nothing has come for as long as its content allows."""


class Connection:
    """Watches the connection of a visitor for how long it is quiet.

    `connection_timeout` is for data in either direction, `read_timeout` for the visitor's.
    """

    def __init__(self, content: StoredContent) -> None:
        self._allowed = {
            name: seconds(content, name) for name in ("connection_timeout", "read_timeout")
        }
        self._since = dict.fromkeys(self._allowed, asyncio.get_running_loop().time())
        self._timer: asyncio.Timeout | None = None

    @asynccontextmanager
    async def watched(self) -> AsyncIterator[None]:
        """Raise QuietError in the block once the connection was quiet for too long."""
        self._timer = asyncio.timeout_at(self._ends()[0])
        try:
            async with self._timer:
                yield
        except TimeoutError as error:
            _end, name = self._ends()
            reason = f"Nothing was sent for {self._allowed[name]:g} s ({name})."
            raise QuietError(reason) from error

    def received(self) -> None:
        """Note that the visitor has sent something."""
        self._restart("connection_timeout", "read_timeout")

    def sent(self) -> None:
        """Note that the content has sent something."""
        self._restart("connection_timeout")

    def _restart(self, *names: str) -> None:
        self._since |= dict.fromkeys(names, asyncio.get_running_loop().time())
        if self._timer and not self._timer.expired():
            self._timer.reschedule(self._ends()[0])

    def _ends(self) -> tuple[float | None, str]:
        ends = [
            (since + allowed, name)
            for name, since in self._since.items()
            if (allowed := self._allowed[name]) is not None
        ]
        return min(ends, default=(None, ""))
