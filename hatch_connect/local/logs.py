"""The log of a job: a file that outlives the server, and its last lines at hand."""

from __future__ import annotations

import json
import os
from collections import deque
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Literal

from hatch_connect.local.state import now

if TYPE_CHECKING:
    from pathlib import Path

_TAIL = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class LogEntry:
    """One line that a content process wrote."""

    source: Literal["stdout", "stderr"]
    timestamp: str
    data: str


class JobLog:
    """Takes the lines of one job."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self._file = os.fdopen(descriptor, "a", encoding="utf-8")
        self._tail: deque[str] = deque(maxlen=_TAIL)

    def write(self, source: Literal["stdout", "stderr"], line: str) -> None:
        """Add one line."""
        self._tail.append(line)
        entry = LogEntry(source=source, timestamp=now(), data=line)
        self._file.write(json.dumps(asdict(entry)) + "\n")
        self._file.flush()

    @property
    def tail(self) -> tuple[str, ...]:
        """The last lines."""
        return tuple(self._tail)

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def read_log(path: Path) -> tuple[LogEntry, ...]:
    """Return what a job wrote; nothing if its file is gone."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return ()
    return tuple(LogEntry(**json.loads(line)) for line in text.splitlines())
