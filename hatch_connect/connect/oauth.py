"""A server's own OAuth: where it is (RFC 8414), and what it answers to a form (RFC 6749).

What goes there are tokens, so it goes to the server itself and to no other host, and no text of an
answer but OAuth's own words is ever shown.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import SplitResult, urlsplit

from hatch_connect.connect.headers import login_hint
from hatch_connect.connect.servers import is_local
from hatch_connect.errors import AnswerError, RefusedError, UsageError
from hatch_connect.secret import Secret
from hatch_connect.typed import text_at, texts_at

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hatch_connect.connect.retries import Backoff
    from hatch_connect.connect.transport import Http

_DISCOVERY = "/.well-known/oauth-authorization-server"
_TYPES = "urn:ietf:params:oauth:token-type:"
_EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
_OK, _BAD_REQUEST, _NOT_FOUND, _SERVER_ERROR = 200, 400, 404, 500
_TOO_MANY_REQUESTS, _UNAVAILABLE = 429, 503
_CENTURY = 100 * 365 * 86400.0  # seconds; JSON knows numbers that no clock does
_GRANTED, _REDIRECTS = range(200, 300), range(300, 400)
# The words of RFC 6749, 7591 and 8628 for what went wrong; others are not shown.
_WORDS = {
    *("invalid_request", "invalid_client", "invalid_grant", "unauthorized_client"),
    *("unsupported_grant_type", "invalid_scope", "invalid_target", "access_denied"),
    *("unsupported_response_type", "server_error", "temporarily_unavailable"),
    *("authorization_pending", "slow_down", "expired_token"),
    *("invalid_redirect_uri", "invalid_client_metadata", "unsupported_token_type"),
}
_NEEDS = "Trusted publishing needs Connect 2026.07 or later and a licence that covers it"
_OR_A_KEY = "or use an API key (CONNECT_API_KEY, --api-key or a saved server)."


@dataclass(frozen=True, slots=True)
class OAuthAnswer:
    """An answer to a form: its HTTP status and the fields of its JSON object, if it is one.

    `wait_asked` are the seconds that the server asks to wait.
    """

    status: int
    fields: Mapping[str, object] = field(repr=False)
    wait_asked: float | None = None

    @property
    def ok(self) -> bool:
        """Whether what was asked for is granted."""
        return self.status in _GRANTED

    @property
    def passes(self) -> bool:
        """Whether it is a refusal that may be gone in a while."""
        return _passes(self.status)

    @property
    def untaken(self) -> bool:
        """Whether it says that nothing was done with the form.

        A server or a gateway that is too busy answers 503 without looking at what it was sent,
        unless OAuth's word says that it went wrong on the way.
        """
        busy = self.status == _UNAVAILABLE and self.word != "server_error"
        return busy or self.status == _TOO_MANY_REQUESTS

    @property
    def word(self) -> str:
        """OAuth's word for what went wrong; "" if it gives none that is known."""
        word = text_at(self.fields, "error")
        return word if word in _WORDS else ""

    def says(self, text: str) -> bool:
        """Return whether the description of the error, which is never shown, holds a text."""
        return text in (text_at(self.fields, "error_description") or "").lower()

    def token(self, key: str, what: str) -> Secret | None:
        """Return a token; None if there is none. Raises AnswerError if it cannot be sent."""
        value = text_at(self.fields, key)
        if not value:
            return None
        if not (value.isascii() and value.isprintable()) or " " in value:
            raise AnswerError(
                f"The response to {what} contains a token that cannot be sent: `{key}`."
            )
        return Secret(value)

    def seconds(self, key: str) -> float | None:
        """Return a time in seconds; None if there is none, or none that one can wait for."""
        value = self.fields.get(key)
        plausible = isinstance(value, (int, float)) and 0 < value < _CENTURY
        return float(value) if plausible else None  # type: ignore[arg-type] # it is a number

    def refused(self, what: str, hint: str | None = None) -> RefusedError:
        """Return the error for a refusal, which shows the HTTP status and OAuth's word only."""
        word = f", {self.word}" if self.word else ""
        refused = "refused"
        if self.status in _REDIRECTS:
            refused, word = "redirected", f"{word}; the redirect was not followed"
            hint = "Use the URL that the server itself uses (Server.Address in its "
            hint += f"configuration), {_OR_A_KEY}\n{login_hint(())}"
        message = f"{what[:1].upper()}{what[1:]} was {refused} (HTTP {self.status}{word})."
        error = RefusedError(message, status=self.status, hint=hint)
        error.untaken, error.retry_after = self.untaken, self.wait_asked
        return error


class OAuthServer:
    """The OAuth endpoints of one server, which it is asked for.

    Raises UsageError for a server that would be reached without encryption over a network, be it
    only the way to a proxy.
    """

    def __init__(self, http: Http, url: str) -> None:
        if not (url.startswith("https://") or is_local(url)):
            raise UsageError(
                f"{url} is not encrypted: no token is sent to it.",
                hint="Use https:// in the server's URL.",
            )
        check_proxy(http, url, url)
        self.url = url
        self._http = http
        self._known: Mapping[str, object] | None = None

    def endpoint(self, name: str) -> str | None:
        """Return the URL of an endpoint, such as "token_endpoint"; None if the server has none.

        Raises AnswerError if it is not on this very server: nothing is sent there.
        """
        given = text_at(self._metadata, name)
        if not given:
            return None
        parts, own = _split(given), urlsplit(self.url)
        if parts is None or _origin(parts) != _origin(own) or "@" in parts.netloc:
            raise AnswerError(
                f"{self.url} names a sign-in address (`{name}`) on another server: nothing was"
                " sent to it.",
                hint="Use the URL that the server itself uses (Server.Address in its"
                f" configuration), {_OR_A_KEY}",
            )
        # Put together anew, so that no spelling can lead elsewhere.
        query = f"?{parts.query}" if parts.query else ""
        return f"{own.scheme}://{own.netloc}{parts.path or '/'}{query}"

    def takes(self, grant: str) -> bool:
        """Return whether a grant may be tried: the server lists it, or lists none."""
        listed = self._metadata.get("grant_types_supported")
        return not isinstance(listed, list) or grant in texts_at(listed)

    def post(
        self,
        url: str,
        form: Mapping[str, object],
        what: str,
        *,
        as_json: bool = False,
        once: bool = False,
    ) -> OAuthAnswer:
        """Return the answer to a form, or to a JSON object, that goes to one of the endpoints.

        Unless it must go `once`, it is sent again if the server says that it has not taken it.
        """
        from hatch_connect.connect.retries import seconds_asked

        given: dict[str, Any] = {"json" if as_json else "data": dict(form), "once": once}
        headers = {"Accept": "application/json"}
        response, body = self._http.ask_shortly(
            what, "POST", url, untaken=_untaken, headers=headers, **given
        )
        asked = seconds_asked(response.headers)
        return OAuthAnswer(response.status_code, _fields(body), asked)

    def pauses(self) -> Backoff:
        """Return the waits between attempts at what is asked of this server."""
        return self._http.pauses(self.url)

    @property
    def _metadata(self) -> Mapping[str, object]:
        if self._known is None:
            what = f"GET {_DISCOVERY}"
            response, body = self._http.ask_shortly(what, "GET", f"{self.url}{_DISCOVERY}")
            found, status = _fields(body), response.status_code
            if status != _OK or not text_at(found, "token_endpoint"):
                raise self._unsupported(status)
            self._known = found
        return self._known

    def _unsupported(self, status: int) -> RefusedError:
        if _passes(status):
            return RefusedError(
                f"The sign-in configuration of {self.url} cannot be read (HTTP {status}).",
                status=status,
                hint="Try again later; if it keeps failing, ask the server's administrator.",
            )
        login = "" if status == _NOT_FOUND else f"\n{login_hint(self._http.extra)}"
        elsewhere = (
            " It redirects, and the redirect was not followed." if status in _REDIRECTS else ""
        )
        return RefusedError(
            f"{self.url} does not support sign-in by OAuth (HTTP {status}).{elsewhere}",
            status=status,
            hint="It may be too old (sign-in needs Connect 2026.02, trusted publishing 2026.07),"
            " its administrator may have turned it off, or this is not the URL of a Connect"
            f" server with its path prefix. Correct that, {_OR_A_KEY}{login}",
        )


def check_proxy(http: Http, url: str, called: str) -> None:
    """Raise UsageError if the way to a URL leads through a network without encryption."""
    proxy = http.proxy(url)
    if urlsplit(url).scheme == "http" and proxy and not is_local(proxy):
        raise UsageError(
            f"{called} is not encrypted and would be reached through a proxy on another machine:"
            " no token is sent to it.",
            hint=f"Add {urlsplit(url).hostname} to NO_PROXY.",
        )


def exchange(server: OAuthServer, identity: Secret, audience: str) -> Secret:
    """Return the API key that a server gives for a workflow's identity token (RFC 8693).

    The token is for `audience`, which only messages name. Raises ServerError.
    """
    if not server.takes(_EXCHANGE):
        raise RefusedError(
            f"{server.url} does not support trusted publishing; the identity token was not sent.",
            status=_OK,
            hint=f"{_NEEDS}. Ask the administrator to turn it on, {_OR_A_KEY}",
        )
    what = "the exchange of the identity token for a key"
    endpoint = server.endpoint("token_endpoint")
    if endpoint is None:
        raise AssertionError("discovery demands this endpoint")
    form = {
        "grant_type": _EXCHANGE,
        "subject_token_type": f"{_TYPES}id_token",
        "requested_token_type": f"{_TYPES}access_token",
        "subject_token": identity.reveal(),
    }
    answer = server.post(endpoint, form, what)
    if not answer.ok:
        raise _not_exchanged(answer, server.url, what, audience)
    key = answer.token("access_token", what)
    if key is None:
        raise AnswerError(
            f"{server.url} accepted the identity token but returned no key for it.",
            hint="Ask its administrator whether something in front of Connect responded.",
        )
    return key


def _not_exchanged(answer: OAuthAnswer, url: str, what: str, audience: str) -> RefusedError:
    if answer.status != _BAD_REQUEST or answer.word != "invalid_grant":
        if answer.word == "unsupported_grant_type":
            return answer.refused(f"{what} by {url}", f"{_NEEDS}; {_OR_A_KEY}")
        again = "Try again later; if it keeps failing, ask" if _passes(answer.status) else "Ask"
        hint = f"{again} the server's administrator to check its log, {_OR_A_KEY}"
        return answer.refused(f"{what} by {url}", hint)
    if answer.says("ambiguous"):
        message = f"This identity matches more than one trusted publisher on {url}."
        hint = "Remove all but one of them (in the content's settings, under Access)."
    elif answer.says("verif"):
        message = f"{url} could not verify the identity token."
        hint = (
            "Ask its administrator: the server's clock must be right, it must be able to reach"
            " the token's issuer, and the trusted publisher must name that issuer."
        )
    else:
        message = f"No content on {url} trusts this identity (its token's audience: {audience})."
        hint = (
            "Add it as a trusted publisher of the content (in its settings, under Access), with"
            " exactly this repository and branch or environment; the audience there must be the"
            " token's: `connect`, or `identity-audience` in [tool.hatch-connect]."
        )
    return RefusedError(message, status=answer.status, hint=hint)


def _passes(status: int) -> bool:
    """Return whether a refusal may be gone in a while."""
    return status >= _SERVER_ERROR or status == _TOO_MANY_REQUESTS


def _untaken(status: int, body: bytes) -> bool:
    return OAuthAnswer(status, _fields(body)).untaken


def _fields(body: bytes) -> Mapping[str, object]:
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _split(url: str) -> SplitResult | None:
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return None
    odd = not (url.isascii() and url.isprintable()) or " " in url or "\\" in url
    return None if odd else parts


def _origin(parts: SplitResult) -> tuple[str, str, int | None]:
    usual = {"http": 80, "https": 443}.get(parts.scheme)
    return parts.scheme, (parts.hostname or "").lower(), parts.port or usual
