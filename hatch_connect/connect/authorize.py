"""How a person lets this program act for them: in a browser here, or on another machine.

The first is OAuth's code with PKCE (RFC 7636) and a redirect to this machine (RFC 8252), the second
the device grant (RFC 8628).
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import queue
import secrets
import socketserver
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Self
from urllib.parse import parse_qs, urlencode, urlsplit

from hatch_connect.connect.json_reader import readable
from hatch_connect.connect.login import DEVICE, endpoint, tokens_in
from hatch_connect.connect.oauth import OAuthAnswer
from hatch_connect.errors import AnswerError, RefusedError, UnreachableError, UsageError
from hatch_connect.events import Note
from hatch_connect.typed import text_at

if TYPE_CHECKING:
    from collections.abc import Callable

    from hatch_connect.connect.logins import Tokens
    from hatch_connect.connect.oauth import OAuthServer
    from hatch_connect.events import Report

_PATIENCE = 600.0  # seconds, as the official client
_STEP = 0.5  # seconds; on Windows, Ctrl-C does not end a wait
_IDLE = 10.0  # seconds; browsers open connections that they do not use
# Seconds between questions; RFC 8628, 3.2 and 3.5.
_INTERVAL, _SLOWER, _SHORTEST, _LONGEST = 5.0, 5.0, 1.0, 60.0
_BAD_REQUEST = 400
_LOGIN = "The login"
_PAGE = (
    '<!doctype html><html lang="en"><meta charset="utf-8"><title>hatch-connect</title>'
    "<p>{}</p><p>You can close this page, and go back to the terminal.</p></html>"
)


class _Redirect(ThreadingHTTPServer):
    """Takes one redirect of a browser on this machine, on a free port."""

    daemon_threads = True
    block_on_close = False

    def __init__(self) -> None:
        try:
            super().__init__(("127.0.0.1", 0), _Handler)
        except OSError as error:
            raise UsageError(
                f"Cannot open a local port for the browser to return to: {error.strerror}.",
                hint="Log in with --device instead.",
            ) from None
        self.queries: queue.SimpleQueue[str] = queue.SimpleQueue()
        self.taken = threading.Lock()
        self._thread = threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/callback"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self.shutdown()
        self.server_close()

    def query(self) -> dict[str, list[str]]:
        """Return the query of the redirect. Raises RefusedError if none comes in time."""
        for _ in range(int(_PATIENCE / _STEP)):
            try:
                return parse_qs(self.queries.get(timeout=_STEP), keep_blank_values=True)
            except queue.Empty:
                continue
        raise RefusedError(
            f"The login timed out after {_PATIENCE / 60:g} minutes.",
            status=408,
            hint="Try again; use --device if the browser is on another machine.",
        )

    def server_bind(self) -> None:
        """Bind the port, without HTTPServer's question to the name service."""
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = "127.0.0.1", self.server_address[1]

    def handle_error(self, *_args: object) -> None:
        """Print nothing: a browser that goes away is no error of ours."""


class _Handler(BaseHTTPRequestHandler):
    timeout = _IDLE
    server: _Redirect

    def do_GET(self) -> None:
        """Answer with a page that repeats nothing of what was asked."""
        parts, own = urlsplit(self.path), f"127.0.0.1:{self.server.server_port}"
        mine = parts.path == "/callback" and self.headers.get("Host") == own
        if not (mine and self.server.taken.acquire(blocking=False)):
            return self._say(404, "Not found.")
        self._say(200, "hatch-connect has received the response.")
        self.server.queries.put(parts.query)
        return None

    def _say(self, status: int, text: str) -> None:
        body = _PAGE.format(text).encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.send_header("Referrer-Policy", "no-referrer")
        self.end_headers()
        self.wfile.write(body)

    def version_string(self) -> str:
        """Return what the header `Server` says."""
        return "hatch-connect"

    def log_message(self, *_args: object) -> None:
        """Print nothing: the query holds the code."""


def by_browser(
    server: OAuthServer, client_id: str, *, open_page: Callable[[str], bool], report: Report
) -> Tokens:
    """Return the tokens of the person who logs in in a browser on this machine.

    Raises ServerError, UsageError.
    """
    verifier, state = secrets.token_urlsafe(64), secrets.token_urlsafe(32)
    digest = hashlib.sha256(verifier.encode()).digest()
    place = endpoint(server, "authorization_endpoint", "login page")
    with _Redirect() as redirect:
        fields = {
            "response_type": "code",
            "client_id": client_id,
            "redirect_uri": redirect.url,
            "code_challenge": base64.urlsafe_b64encode(digest).rstrip(b"=").decode(),
            "code_challenge_method": "S256",
            "state": state,
        }
        page = f"{place}{'&' if urlsplit(place).query else '?'}{urlencode(fields)}"
        opened = open_page(page)
        text = "Log in with your browser. If it does not open, open" if opened else "Open"
        report(Note(text=f"{text} this page on this machine: {page}"))
        answer = redirect.query()
    given = {name: values[0] for name, values in answer.items() if len(values) == 1}
    if not hmac.compare_digest(given.get("state", "").encode(), state.encode()):
        raise AnswerError(
            "The browser returned the response to another login, which was ignored.",
            hint="Log in again with the page that opens.",
        )
    if not given.get("code"):
        raise _denied(OAuthAnswer(_BAD_REQUEST, given), server)
    form = {
        "grant_type": "authorization_code",
        "client_id": client_id,
        "code": given["code"],
        "redirect_uri": fields["redirect_uri"],
        "code_verifier": verifier,
    }
    granted = server.post(endpoint(server, "token_endpoint", "sign-in"), form, _LOGIN)
    if not granted.ok:
        raise _denied(granted, server)
    return tokens_in(granted, _LOGIN)


def by_device(
    server: OAuthServer, client_id: str, *, sleep: Callable[[float], None], report: Report
) -> Tokens:
    """Return the tokens of the person who enters a code in a browser, wherever that is.

    Raises ServerError.
    """
    place = endpoint(server, "device_authorization_endpoint", "device login")
    asked = server.post(place, {"client_id": client_id}, _LOGIN)
    if not asked.ok:
        raise _denied(asked, server)
    device, code, page = (
        text_at(asked.fields, key) for key in ("device_code", "user_code", "verification_uri")
    )
    if not (device and code and page and _same_host(page, server.url)):
        raise AnswerError(f"The response of {server.url} to the device login is not valid.")
    report(Note(text=f"Open {readable(page)} in any browser and enter the code {readable(code)}"))
    wait = min(max(asked.seconds("interval") or _INTERVAL, _SHORTEST), _LONGEST)
    left = asked.seconds("expires_in") or _PATIENCE
    form = {"grant_type": DEVICE, "client_id": client_id, "device_code": device}
    place = endpoint(server, "token_endpoint", "sign-in")
    while left > 0:
        sleep(wait)
        left -= wait
        try:
            granted = server.post(place, form, _LOGIN, once=True)  # this loop waits
        except UnreachableError:
            granted = None
        if granted is None or granted.passes:
            wait = min(2 * wait, _LONGEST)  # RFC 8628, 3.5
            continue
        if granted.ok:
            return tokens_in(granted, _LOGIN)
        if granted.word not in {"authorization_pending", "slow_down"}:
            raise _denied(granted, server)
        wait += _SLOWER if granted.word == "slow_down" else 0
    raise _denied(OAuthAnswer(_BAD_REQUEST, {"error": "expired_token"}), server)


def _denied(answer: OAuthAnswer, server: OAuthServer) -> RefusedError:
    why = {
        "access_denied": "the request was denied",
        "expired_token": "the code was not entered in time",
        "invalid_client": "the server no longer knows this client",
    }.get(answer.word)
    if why is None:
        return answer.refused(
            f"The login to {server.url}",
            "Try again; if it keeps failing, ask its administrator, or use an API key.",
        )
    return RefusedError(
        f"The login to {server.url} failed: {why} ({answer.word}).",
        status=answer.status,
        hint="Log in again.",
    )


def _same_host(one: str, other: str) -> bool:
    try:
        parts = urlsplit(one)
    except ValueError:
        return False
    return parts.scheme in {"http", "https"} and parts.hostname == urlsplit(other).hostname
