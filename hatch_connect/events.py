"""What can be reported while working.

Whoever works calls a `Report` with one of these values; how they look is decided elsewhere
(`display.py`). Nothing here is a result: results are returned.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True, slots=True, kw_only=True)
class _Event:
    """`about` is the name of the content, if several are deployed."""

    about: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step(_Event):
    """A stage of the work begins: "Uploading the bundle (12.3 kB)"."""

    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended(_Event):
    """A piece of content is deployed, or has failed while others go on: how, in one line.

    `seconds` is how long that took.
    """

    text: str
    seconds: float = 0.0
    failed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Note(_Event):
    """Something worth knowing that needs no action."""

    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Warned(_Event):
    """Something that the user should change."""

    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Detail(_Event):
    """Something that only `--verbose` shows."""

    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress(_Event):
    """How far one piece of long work has come.

    `what` names the work and is the same in all its reports; `done` and `total` are bytes,
    the latter None if it is not known; the work is over when `done == total`.
    """

    what: str
    done: int
    total: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class LogLine(_Event):
    """One line of a log that the server keeps, as it came (control characters included)."""

    text: str


LAST_LINES = 20  # of a log, if only its end is of interest

Event: TypeAlias = Step | Ended | Note | Warned | Detail | Progress | LogLine
Report: TypeAlias = Callable[[Event], None]


def silent(_event: Event) -> None:
    """Report nothing."""
