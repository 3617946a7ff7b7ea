"""What the fake Connect can be told to do wrong."""

from __future__ import annotations

import itertools
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias
from urllib.parse import quote

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable


@dataclass(frozen=True)
class Drop:
    """Close the connection; nothing is carried out.

    `early`: without reading more of the body than `after` bytes.
    """

    reset: bool = False
    early: bool = False
    after: int = 0


@dataclass(frozen=True)
class LoseAnswer:
    """Carry the request out and close the connection."""


@dataclass(frozen=True)
class Say:
    """Answer this; nothing is carried out.

    `early`: without reading more of the body than `after` bytes; `kept`: and without closing the
    connection.
    """

    status: int
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = (("Content-Type", "application/json"),)
    early: bool = False
    reset: bool = False
    after: int = 0
    kept: bool = False


def echoes(said: str) -> dict[str, Say]:
    """Return answers that repeat what was sent, in each way in which one could be read."""
    told = {"code": 7, "error": said, "error_description": said, "value": [said]}
    return {
        "refusal": Say(400, json.dumps(told).encode()),
        "expired": Say(401, json.dumps(told).encode()),
        "page": html(500, f"<p>{said}</p>"),
        "no json": html(200, f"<p>{said}</p>"),
        "redirect": redirect(f"https://other.example/{quote(said)}?{quote(said)}", 307),
    }


@dataclass(frozen=True)
class Truncate:
    """Carry the request out and send half of the answer."""


@dataclass(frozen=True)
class Hang:
    """Wait for so many seconds (or for the end of the server), then go on as usual.

    `done`: the request is carried out first, and only the answer waits.
    """

    seconds: float
    done: bool = False


@dataclass(frozen=True)
class Trickle:
    """Carry the request out and send the answer byte by byte: its `headers`, or its body only."""

    pause: float = 0.05
    headers: bool = False


@dataclass(frozen=True)
class Do:
    """Do something on the side, then go on as usual."""

    action: Callable[[], object]


def redirect(location: str, status: int = 302) -> Say:
    return Say(status, headers=(("Location", location),))


def html(status: int, text: str) -> Say:
    return Say(status, text.encode(), (("Content-Type", "text/html"),))


Fault: TypeAlias = Drop | LoseAnswer | Say | Truncate | Hang | Trickle | Do


def kill_at(
    number: int, process: subprocess.Popen[bytes], *, carried_out: bool
) -> Callable[[object], Fault | None]:
    """Return a gate that kills a process when so many of its requests were answered."""
    requests = itertools.count()

    def gate(_: object) -> Fault | None:
        if next(requests) != number:
            return None
        process.kill()
        return LoseAnswer() if carried_out else Drop()

    return gate
