"""What lets a browser in: tokens that are good once, and the secret that signs cookies."""

from __future__ import annotations

import secrets
import time
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Generic, TypeVar

from hatch_connect.local.disk import create_private

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

LOGIN_SECONDS = 600.0
TICKET_SECONDS = 60.0
TICKET = "__ticket__"  # the field of a query
_MOST = 1000  # of one kind; the oldest are forgotten
_SECRET_LENGTH = 43  # of 32 bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    """What the person who opens a one-time URL gets: a session, and then the page `next`.

    With a `visitor`, the GUID of a user, there is no session: the page is content, visited as that
    user. `printed` tells whether it is the one that was shown when the server started.
    """

    next: str
    visitor: str | None = None
    printed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Ticket:
    """Who somebody is on the origin of content from now on; `user` is a GUID, None is nobody."""

    content: str
    user: str | None


_What = TypeVar("_What", Login, Ticket)


class OneTime(Generic[_What]):
    """Tokens that are each good once, and for some seconds; they end with the server."""

    def __init__(self, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._seconds = seconds
        self._clock = clock
        self._issued: dict[bytes, tuple[float, _What]] = {}

    def issue(self, what: _What) -> str:
        """Return a new token for `what`."""
        now = self._clock()
        kept = [(key, one) for key, one in self._issued.items() if one[0] > now]
        self._issued = dict(kept[1 - _MOST :])
        token = secrets.token_urlsafe(32)
        self._issued[_digest(token)] = now + self._seconds, what
        return token

    def redeem(self, token: str) -> _What | None:
        """Return what a token is for, once; None if it is not good, or no longer."""
        # Digests are compared, so that the time that it takes says nothing about a token.
        until, what = self._issued.pop(_digest(token), (0.0, None))
        return what if until > self._clock() else None


def _digest(token: str) -> bytes:
    return sha256(token.encode(errors="surrogatepass")).digest()


class SigningSecret:
    """The secret of a state folder, which outlives the server so that sessions do as well."""

    def __init__(self, folder: Path) -> None:
        """Read it, or make it if there is none."""
        self._path = folder / "session-secret"
        try:
            self.value = self._path.read_text(encoding="ascii").strip()
            self._path.chmod(0o600)
        except (FileNotFoundError, UnicodeDecodeError):
            self.value = ""
        if len(self.value) < _SECRET_LENGTH:  # such as a file that a full disk cut off
            self.renew()

    def renew(self) -> None:
        """Make another, so that nothing that was signed before is good any more."""
        self.value = secrets.token_urlsafe(32)
        fresh = self._path.with_suffix(".new")
        fresh.unlink(missing_ok=True)
        create_private(fresh, f"{self.value}\n")
        fresh.replace(self._path)
