"""What signs the requests to a server: an API key, or what was given for an identity."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar, Protocol

from hatch_connect.secret import Secret, Secrets

if TYPE_CHECKING:
    from hatch_connect.connect.transport import Http
    from hatch_connect.events import Report

ORDER = ("the call", "the environment", "the store", "a login", "the workflow")
"""Where a credential may come from; the first that there is counts."""


class Credential(Protocol):
    """What signs the requests to one server."""

    @property
    def source(self) -> str:
        """One of `ORDER`."""

    @property
    def can_list(self) -> bool:
        """Whether it has a user, and may list and create content."""

    @property
    def secrets(self) -> Secrets:
        """What is to be masked, also what becomes known later."""

    @property
    def lapsed(self) -> tuple[str, str] | None:
        """What a refusal of it (401) means, and what to do next; None for an API key."""

    def authorization(self) -> str | None:
        """Return the header's value; None as long as nobody has signed in."""

    def sign_in(self, http: Http, report: Report) -> None:
        """Get what signs the requests, unless it is there. Raises HatchConnectError."""

    def renew(self, http: Http, report: Report, used: str | None) -> bool:
        """Replace what the server does not take (any more), and return whether there is another.

        `used` is the header's value that was refused: another thread may have replaced it already.
        """


@dataclass(frozen=True)
class ApiKey:
    """An API key that was given or stored."""

    key: Secret
    source: str = field(default="the call", compare=False)
    can_list: ClassVar[bool] = True
    lapsed: ClassVar[None] = None

    @property
    def secrets(self) -> Secrets:
        """Return the key."""
        return Secrets(self.key)

    def authorization(self) -> str:
        """Return the key as Connect takes it."""
        return f"Key {self.key.reveal()}"

    def sign_in(self, http: Http, report: Report) -> None:
        """Do nothing: the key is there."""

    def renew(self, http: Http, report: Report, used: str | None) -> bool:  # noqa: ARG002 - there is no other
        """Return that there is no other key."""
        return False
