"""Signing in as a CI workflow: its identity token, whom that speaks of, and the key for it."""

from __future__ import annotations

import base64
import json
import threading
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar
from urllib.parse import quote, urlsplit

from hatch_connect.connect.json_reader import readable
from hatch_connect.connect.oauth import OAuthServer, check_proxy, exchange
from hatch_connect.connect.servers import is_local
from hatch_connect.errors import (
    AnswerError,
    LostAnswerError,
    RefusedError,
    ServerError,
    UnreachableError,
    UsageError,
)
from hatch_connect.events import Detail, Step
from hatch_connect.programs import IDENTITY_FILE, IDENTITY_VARIABLES
from hatch_connect.secret import Secret, Secrets, why_absent
from hatch_connect.typed import text_at, texts_at

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from hatch_connect.connect.transport import Http
    from hatch_connect.events import Report

_TOKEN, _BEARER = IDENTITY_VARIABLES
_FILE = IDENTITY_FILE
GIVEN_IDENTITY = (_TOKEN, _FILE)
"""Variables that are about one server, as CONNECT_API_KEY is."""
_ENDPOINT = "ACTIONS_ID_TOKEN_REQUEST_URL"
_PERMISSION = (
    "The job needs `permissions: id-token: write`, which jobs for pull requests from forks never"
    " have. Otherwise, use an API key (CONNECT_API_KEY)."
)
_GITHUB_SETS_IT = (
    "GitHub sets this variable; do not set it yourself. Otherwise, use an API key"
    " (CONNECT_API_KEY)."
)
_SECONDS = 30.0  # for GitHub's answer, which takes less than one
_LONGEST = 1 << 16
_SHOWN = 100
_OK, _REFUSED, _REDIRECTS = 200, {401, 403}, range(300, 400)


@dataclass(frozen=True, slots=True)
class IdentitySource:
    """Where a workflow's identity tokens come from; `name` begins a sentence.

    `issue` returns one for an audience, a new one if the source can. Raises HatchConnectError.
    """

    name: str
    issue: Callable[[str], Secret] = field(repr=False)


class WorkflowIdentity:
    """The short-lived key that a server gives a CI workflow for its identity token.

    It is asked for when a request needs it, kept nowhere else, and asked for again if it expires.
    """

    source: ClassVar[str] = "the workflow"
    can_list: ClassVar[bool] = False

    def __init__(
        self, url: str, identity: IdentitySource, *, audience: str, secrets: Secrets
    ) -> None:
        self.identity = identity
        self.secrets = secrets
        self._url = url
        self._audience = audience
        self._token: Secret | None = None
        self._key: Secret | None = None
        self._spent = False  # whether the source had no other token than the one that was used
        self._lock = threading.Lock()  # pieces of content may be deployed side by side

    @property
    def lapsed(self) -> tuple[str, str]:
        """Return what a refusal of the key means."""
        hint = (
            f"{self.identity.name} provides one token only, which can be exchanged once. For"
            " longer tasks, use a source that issues new tokens: `permissions: id-token: write`"
            " on GitHub, or a file that is renewed (CONNECT_IDENTITY_TOKEN_FILE)."
            if self._spent
            else "The key for a new token was refused as well: ask the server's administrator to"
            " check its log, or use an API key (CONNECT_API_KEY)."
        )
        return "the key of this workflow is not valid, or has expired", hint

    def authorization(self) -> str | None:
        """Return the key as Connect takes it."""
        return f"Key {self._key.reveal()}" if self._key else None

    def sign_in(self, http: Http, report: Report) -> None:
        """Exchange the workflow's identity token for a key. Raises HatchConnectError."""
        with self._lock:
            if self._key is None:
                self._exchange(self._issued(), http, report)

    def renew(self, http: Http, report: Report, used: str | None) -> bool:
        """Exchange a new identity token; a token that was exchanged before is not sent again."""
        with self._lock:
            if self.authorization() == used:
                token = self._issued()
                self._spent = token == self._token
                if self._spent:
                    return False
                report(Detail(text=f"Signing in to {self._url} again: the key has expired."))
                self._exchange(token, http, report)
        return True

    def _issued(self) -> Secret:
        token = self.identity.issue(self._audience)
        self.secrets.add(token)
        return token

    def _exchange(self, token: Secret, http: Http, report: Report) -> None:
        if self._token is None:
            report(Step(text=f"Signing in to {self._url} as {described(token)}"))
        server = OAuthServer(http, self._url)
        try:
            self._key = self._exchanged(token, server)
        except LostAnswerError:
            new = self._issued()
            if new == token:  # it is good for one exchange, and that may have been carried out
                raise
            self._key = self._exchanged(new, server)
        self.secrets.add(self._key)

    def _exchanged(self, token: Secret, server: OAuthServer) -> Secret:
        self._token = token
        return exchange(server, token, audience_of(token) or self._audience)


def identity_source(own: Mapping[str, str], environ: Mapping[str, str]) -> IdentitySource | None:
    """Return where an identity token can be had; None if nowhere.

    `own` are the variables that are about the server, `environ` all of them. Raises UsageError if
    two tokens are given.
    """
    token, file = (_present(own, name) for name in (_TOKEN, _FILE))
    if token and file:
        raise UsageError(
            f"{_TOKEN} and {_FILE} are mutually exclusive.",
            hint="Unset one of them.",
        )
    if token:
        return IdentitySource(_TOKEN, lambda _audience: _checked(token, _TOKEN))
    if file:
        return IdentitySource(f"The file that {_FILE} names", lambda _audience: _read(Path(file)))
    endpoint, bearer = (_present(environ, name) for name in (_ENDPOINT, _BEARER))
    if not (endpoint and bearer):
        return None
    return IdentitySource("GitHub", partial(_from_github, endpoint, Secret(bearer), environ))


def audience_of(token: Secret) -> str | None:
    """Return the audience that a token names, fit for a message."""
    claims = _claims(token)
    named = [text_at(claims, "aud") or "", *texts_at(claims, "aud")]
    return readable(", ".join(filter(None, named)), _SHOWN) or None


def described(token: Secret) -> str:
    """Return whom a token speaks of; nobody has verified that but the server it goes to."""
    claims = _claims(token)
    ref = text_at(claims, "ref")
    if repository := text_at(claims, "repository"):
        kind, known = "this GitHub workflow", [repository, ref]
    elif project := text_at(claims, "project_path"):
        kind, known = "this GitLab job", [project, ref]
    else:
        kind, known = "this workflow", [text_at(claims, "sub")]
    particulars = ", ".join(readable(text, _SHOWN) for text in known if text)
    return f"{kind} ({particulars})" if particulars else kind


def _present(environ: Mapping[str, str], name: str) -> str | None:
    value = environ.get(name, "").strip()
    return None if why_absent(value) else value


def _checked(text: str, called: str) -> Secret:
    value = text.strip()
    if not value:
        raise UsageError(f"{called} is empty: it must contain an identity token.")
    if value == "-":
        raise UsageError(
            f"{called} is `-`, but identity tokens are not read from standard input.",
            hint=f"Write the token to a file, and set {_FILE} to its path.",
        )
    if len(value) > _LONGEST or not (value.isascii() and value.isprintable()) or " " in value:
        raise UsageError(
            f"{called} does not contain an identity token.",
            hint="It must be a JSON Web Token and nothing else: three parts of letters and"
            " digits, separated by dots.",
        )
    return Secret(value)


def _read(path: Path) -> Secret:
    called = f"{path}, which {_FILE} names,"
    try:
        with path.open("rb") as stream:
            data = stream.read(_LONGEST + 1)
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not a valid path"
        raise UsageError(f"{called} cannot be read: {why}.") from None
    return _checked(data.decode("utf-8", "replace"), called)


def _from_github(
    endpoint: str, bearer: Secret, environ: Mapping[str, str], audience: str
) -> Secret:
    """Ask the job's own endpoint for a new token."""
    from hatch_connect.connect.transport import Http

    for name, given in ((_ENDPOINT, endpoint), (_BEARER, bearer.reveal())):
        if not (given.isascii() and given.isprintable()) or " " in given:
            raise UsageError(
                f"{name} contains a line break, a space or another invalid character.",
                hint=_GITHUB_SETS_IT,
            )
    what = "the request for an identity token"
    url = f"{_safe(endpoint)}audience={quote(audience, safe='')}"
    # Not by the certificates of the server, which is another one.
    http = Http(environ)
    check_proxy(http, url, f"The URL in {_ENDPOINT}")
    http.timeout = min(http.timeout, _SECONDS)
    headers = {"Authorization": f"Bearer {bearer.reveal()}", "Accept": "application/json"}
    try:
        response, body = http.ask_shortly(what, "GET", url, headers=headers)
    except UnreachableError as error:
        raise UnreachableError(
            f"GitHub issued no identity token. {error.message}",
            hint=f"Run the job again. {_PERMISSION}",
        ) from None
    if response.status_code != _OK:
        raise _not_issued(response.status_code)
    try:
        value = text_at(json.loads(body), "value")
    except (ValueError, RecursionError):
        value = None
    if not value:
        raise AnswerError(
            "GitHub's response contains no identity token.", hint="Run the job again."
        )
    return _checked(value, "GitHub's response")


def _not_issued(status: int) -> ServerError:
    if status in _REFUSED:
        return RefusedError(
            f"GitHub does not issue identity tokens to this job (HTTP {status}).",
            status=status,
            hint=_PERMISSION,
        )
    redirected = "; the redirect was not followed" if status in _REDIRECTS else ""
    return RefusedError(
        f"GitHub issued no identity token (HTTP {status}{redirected}).",
        status=status,
        hint=f"Run the job again. {_PERMISSION}",
    )


def _safe(endpoint: str) -> str:
    """Return GitHub's endpoint, ready for another field of its query. Raises UsageError."""
    try:
        parts = urlsplit(endpoint)
        _ = parts.port
        secure = parts.scheme == "https" or (parts.scheme == "http" and is_local(endpoint))
        odd = not parts.hostname or "@" in parts.netloc
    except ValueError:
        secure, odd = False, True
    if odd or not secure or parts.fragment:
        raise UsageError(
            f"{_ENDPOINT} is not an https URL: the job's token was not sent to it.",
            hint=_GITHUB_SETS_IT,
        )
    return f"{endpoint}{'&' if parts.query else '?'}"


def _claims(token: Secret) -> object:
    """Return what a JSON Web Token says (RFC 7519), without verifying it."""
    payload = token.reveal().split(".")[1:2]
    try:
        return json.loads(base64.urlsafe_b64decode(f"{''.join(payload)}==="))
    except (ValueError, RecursionError):
        return None
