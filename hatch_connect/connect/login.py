"""A person's login: what it signs requests with, and how the server is asked for that."""

from __future__ import annotations

import contextlib
import threading
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, ClassVar

from hatch_connect.connect.logins import Tokens
from hatch_connect.connect.oauth import OAuthServer
from hatch_connect.errors import AnswerError, LostAnswerError, RefusedError, ServerError
from hatch_connect.events import Detail
from hatch_connect.secret import Secrets
from hatch_connect.typed import text_at

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from hatch_connect.connect.logins import LoginEntry
    from hatch_connect.connect.oauth import OAuthAnswer
    from hatch_connect.connect.transport import Http
    from hatch_connect.events import Report
    from hatch_connect.secret import Secret

DEVICE = "urn:ietf:params:oauth:grant-type:device_code"
_KEY = "or use an API key: set CONNECT_API_KEY."
_CREATED = 201


class Login:
    """The access token of a person who is logged in, which is renewed and kept where it was."""

    can_list: ClassVar[bool] = True
    source: ClassVar[str] = "a login"

    def __init__(self, entry: LoginEntry, url: str) -> None:
        self.entry = entry
        self.secrets = Secrets()
        self._url = url
        self._tokens: Tokens | None = None
        self._lock = threading.Lock()  # pieces of content may be deployed side by side

    @property
    def lapsed(self) -> tuple[str, str]:
        """Return what it means if a token is refused that was renewed just before."""
        return (
            "the renewed login is not valid",
            f"Log in again with: {self.entry.again}",
        )

    def authorization(self) -> str | None:
        """Return the access token as Connect takes it."""
        token = self._tokens and self._tokens.access
        return f"Bearer {token.reveal()}" if token else None

    def sign_in(self, http: Http, report: Report) -> None:
        """Read the tokens, and renew them if they are known to have expired."""
        with self._lock:
            if self._tokens is None:
                server = OAuthServer(http, self._url)  # refuses what is not encrypted
                tokens = self.known(self.entry.tokens())
                if not tokens.usable:
                    self._renew(tokens, server, report)

    def renew(self, http: Http, report: Report, used: str | None) -> bool:
        """Replace the tokens by those of another process, or of the server."""
        with self._lock:
            if self._tokens and self.authorization() == used:
                self._renew(self._tokens, OAuthServer(http, self._url), report)
        return True

    def _renew(self, used: Tokens, server: OAuthServer, report: Report) -> None:
        from hatch_connect.connect.retries import is_untaken, settle

        server.endpoint("token_endpoint")  # discovery needs no lock
        ask = partial(refreshed, self, server)
        report(Detail(text=f"Renewing the login to {self._url}."))

        def renew() -> Tokens:
            return self.entry.renewed(used, ask, report)

        # The waits are without the store's lock, and each attempt reads the store again.
        self.known(settle(renew, lambda: None, server.pauses(), report, again=is_untaken))

    def known(self, tokens: Tokens) -> Tokens:
        """Sign with these tokens from now on, and let nothing show them."""
        for token in (tokens.access, tokens.refresh):
            if token:
                self.secrets.add(token)
        self._tokens = tokens
        return tokens


def endpoint(server: OAuthServer, name: str, what: str) -> str:
    """Return the URL of an endpoint. Raises RefusedError if the server has none."""
    found = server.endpoint(name)
    if found is None:
        raise RefusedError(
            f"{server.url} has no {what}.",
            status=404,
            hint=f"Ask its administrator to turn it on, {_KEY}",
        )
    return found


def register(server: OAuthServer) -> str:
    """Return a new client's id, with which this program may ask for logins (RFC 7591)."""
    what = "the registration of hatch-connect"
    place = endpoint(server, "registration_endpoint", "client registration")
    grants = ["authorization_code", "refresh_token"]
    if server.endpoint("device_authorization_endpoint"):
        grants.append(DEVICE)
    told: Mapping[str, object] = {
        "client_name": "hatch-connect",
        "redirect_uris": ["http://127.0.0.1/callback"],
        "token_endpoint_auth_method": "none",
        "grant_types": grants,
        "response_types": ["code"],
    }
    answer = server.post(place, told, what, as_json=True)
    client_id = text_at(answer.fields, "client_id")
    if answer.status != _CREATED and not answer.ok:
        raise answer.refused(f"{what} by {server.url}", f"Ask its administrator, {_KEY}")
    if not client_id:
        raise AnswerError(f"The response to {what} by {server.url} contains no ID.")
    return client_id


def revoke(server: OAuthServer, client_id: str, held: Iterable[Tokens]) -> bool:
    """Have the server end logins (RFC 7009); return whether it can. Raises ServerError."""
    place = server.endpoint("revocation_endpoint")
    if place is None:
        return False
    what = f"The revocation of the login to {server.url}"
    refused = None
    for tokens in held:
        for kind, token in (("refresh_token", tokens.refresh), ("access_token", tokens.access)):
            if token:
                form = {"token": token.reveal(), "token_type_hint": kind, "client_id": client_id}
                answer = server.post(place, form, what)
                refused = refused if answer.ok or refused else answer.refused(what)
    if refused:
        raise refused
    return True


def refreshed(login: Login, server: OAuthServer, client_id: str, refresh: Secret) -> Tokens | str:
    """Return new tokens for a refresh token, or a new client's id if this one is forgotten.

    Raises ServerError.
    """
    what = f"the renewal of the login to {server.url}"
    form = {
        "grant_type": "refresh_token",
        "client_id": client_id,
        "refresh_token": refresh.reveal(),
    }
    try:
        place = endpoint(server, "token_endpoint", "sign-in")
        answer = server.post(place, form, what, once=True)  # whoever holds no lock may wait
    except LostAnswerError as error:
        error.hint = (
            f"{error.hint or 'Try again.'} The login may have been renewed and the response lost:"
            f" if so, log in again with: {login.entry.again}"
        )
        raise
    if answer.ok:
        return login.known(tokens_in(answer, what, refresh))
    if answer.word == "invalid_grant":
        raise login.entry.ended("the server no longer accepts its refresh token (invalid_grant)")
    if answer.word == "invalid_client":
        with contextlib.suppress(ServerError):  # with the old one, the next log-in would fail
            return register(server)
        return client_id
    raise answer.refused(what, f"Try again later, log in again with `{login.entry.again}`, {_KEY}")


def tokens_in(answer: OAuthAnswer, what: str, refresh: Secret | None = None) -> Tokens:
    """Return the tokens in an answer that grants them; `refresh` holds unless there is another.

    Raises AnswerError.
    """
    access = answer.token("access_token", what)
    kind = text_at(answer.fields, "token_type") or "bearer"
    if access is None or kind.lower() != "bearer":
        raise AnswerError(f"The response to {what} contains no usable access token.")
    seconds = answer.seconds("expires_in")
    return Tokens(
        access=access,
        refresh=answer.token("refresh_token", what) or refresh,
        expiry=datetime.now(UTC).timestamp() + seconds if seconds else None,
    )
