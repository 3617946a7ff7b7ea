"""The logs of jobs and tasks: files that outlive the server, which can be followed as they grow."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections import deque
from contextlib import suppress
from dataclasses import asdict, dataclass
from itertools import islice
from typing import TYPE_CHECKING, Literal, TypeAlias

from hatch_connect.local.state import now

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable, Iterator
    from pathlib import Path

Source: TypeAlias = Literal["stdout", "stderr"]
_TAIL = 50
_TAIL_WIDTH = 10_000  # characters
_AT_ONCE = 1000  # lines


@dataclass(frozen=True, slots=True, kw_only=True)
class LogEntry:
    """One line of a job or a task."""

    source: Source
    timestamp: str
    data: str


class JobLog:
    """Takes the lines of one job or task, and hides in them what must not show."""

    def __init__(self, path: Path, hide: Callable[[str], str] = str) -> None:
        self._hide = hide
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        except OSError:  # a full disk must not end what writes
            descriptor = os.open(os.devnull, os.O_WRONLY)
        self._file = os.fdopen(descriptor, "a", encoding="utf-8")
        self._tail: deque[str] = deque(maxlen=_TAIL)
        self._news = asyncio.Event()
        self.count = 0

    def write(self, source: Source, line: str) -> str:
        """Add one line, and return it as it may be shown."""
        line = self._hide(line)
        self._tail.append(line[:_TAIL_WIDTH])
        entry = LogEntry(source=source, timestamp=now(), data=line)
        with suppress(OSError):
            self._file.write(json.dumps(asdict(entry)) + "\n")
            self._file.flush()
            self.count += 1
        self._wake()
        return line

    @property
    def tail(self) -> tuple[str, ...]:
        """The last lines."""
        return tuple(self._tail)

    @property
    def closed(self) -> bool:
        """Whether nothing more will be written."""
        return self._file.closed

    def close(self) -> None:
        """Close the file."""
        with suppress(OSError):
            self._file.close()
        self._wake()

    async def wait(self, first: int) -> None:
        """Return when there is a line from number `first` on, or an end."""
        while not self.closed and self.count <= first:
            await self._news.wait()

    def _wake(self) -> None:
        self._news.set()
        self._news = asyncio.Event()


class Logs:
    """The logs below one folder, each under the key of its job or task."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._open: dict[str, JobLog] = {}

    def path(self, key: str) -> Path:
        """Return where the log of that key is."""
        return self._folder / f"{key}.jsonl"

    def open(self, key: str, hide: Callable[[str], str] = str) -> JobLog:
        """Return a new log, to be followed until it is closed."""
        self._open = {known: log for known, log in self._open.items() if not log.closed}
        log = self._open[key] = JobLog(self.path(key), hide)
        return log

    def read(self, key: str, first: int = 0, *, last: int | None = None) -> tuple[LogEntry, ...]:
        """Return what was written from line `first` on, or the `last` lines of that."""
        return read_log(self.path(key), first, last=last)

    def each(self, key: str) -> Iterator[LogEntry]:
        """Yield what was written so far, however much it is."""
        with (
            suppress(FileNotFoundError),
            self.path(key).open(encoding="utf-8", errors="replace") as file,
        ):
            yield from _entries(file)

    def count(self, key: str) -> int:
        """Return how many lines were written."""
        try:
            with self.path(key).open("rb") as file:
                return sum(1 for _line in file)
        except FileNotFoundError:
            return 0

    async def follow(self, key: str, first: int = 0) -> AsyncIterator[LogEntry]:
        """Yield the entries of a log from line `first` on, as they come, until it is closed."""
        async for entries in self.follow_parts(key, first):
            for entry in entries:
                yield entry

    async def follow_parts(self, key: str, first: int) -> AsyncIterator[tuple[LogEntry, ...]]:
        """Yield the same as tuples of what there is at once."""
        live = self._open.get(key)
        try:
            file = self.path(key).open(encoding="utf-8", errors="replace")
        except FileNotFoundError:
            return
        with file:
            number = 0
            while True:
                # Asked before reading: what is written after that is found in the next round.
                ended = live is None or live.closed
                lines = tuple(islice(file, _AT_ONCE))
                if entries := tuple(_entries(lines[max(0, first - number) :])):
                    yield entries
                number += len(lines)
                if lines:
                    await asyncio.sleep(0)
                elif ended or live is None:
                    return
                else:
                    await live.wait(number)

    def remove(self, key: str) -> None:
        """Remove a log."""
        self.path(key).unlink(missing_ok=True)


def read_log(path: Path, first: int = 0, *, last: int | None = None) -> tuple[LogEntry, ...]:
    """Return what was written from line `first` on, or the `last` lines of that.

    That is nothing if the file is gone.
    """
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            lines = islice(file, min(first, sys.maxsize), None)
            kept = lines if last is None else deque(lines, min(last, sys.maxsize))
            return tuple(_entries(kept))
    except FileNotFoundError:
        return ()


def _entries(lines: Iterable[str]) -> Iterator[LogEntry]:
    """Yield what lines of a file hold; a server that was killed may have left half of one."""
    for line in lines:
        with suppress(ValueError, TypeError):
            yield LogEntry(**json.loads(line))
