"""Who is signed in to the dashboard: one-time URLs, sessions, and the forms of a session.

A session is Starlette's: a signed cookie. It is Lax, since a link in a mail or on another site must
work, and its name holds the port, since cookies ignore ports: two servers would end each other's
sessions. Every change is a form, which is checked for itself.
"""

from __future__ import annotations

import re
import secrets
from copy import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from itsdangerous import TimestampSigner
from starlette.middleware.sessions import SessionMiddleware
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from hatch_connect.events import Note
from hatch_connect.local.api.requests import invalid, read_object
from hatch_connect.local.error_pages import page
from hatch_connect.local.machine import machine_of
from hatch_connect.local.one_time import LOGIN_SECONDS, TICKET, Login, Ticket

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.requests import HTTPConnection, Request
    from starlette.types import ASGIApp, Receive, Scope, Send

    from hatch_connect.local.machine import Machine
    from hatch_connect.local.users import User

LOGIN_PATH = "/connect/__login__"
DASHBOARD = "/connect/"
COOKIES = "hatch-connect-"
"""What the names of all of our cookies begin with, on each origin and for each port."""

SIGN_IN = "hatch-connect open --local --dashboard"
SESSION_SECONDS = 12 * 60 * 60
_CONTENT = re.compile(r"/content/[\w-]+/")
_OWN_PATHS = (DASHBOARD, "/content/")


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """A browser that is signed in: the user it acts as, and what its forms must hold."""

    user: User
    form_token: str


class NotSignedInError(Exception):
    """A page of the dashboard was asked for without a session."""


class ForgedFormError(Exception):
    """A form did not come from a page of the dashboard in this session."""


def session_of(connection: HTTPConnection) -> Session | None:
    """Return the session of a request to the dashboard; None if nobody is signed in."""
    machine, stored = machine_of(connection), connection.scope.get("session") or {}
    user = machine.users.of_guid(stored.get("user"))
    return Session(user=user, form_token=stored["form_token"]) if user else None


def require_session(request: Request) -> Session:
    """Return the session of a request; raises NotSignedInError, which is answered with a page."""
    session = session_of(request)
    if session is None:
        raise NotSignedInError
    return session


def check_form(request: Request, form: Mapping[str, object]) -> Session:
    """Return the session that sent a form. Raises NotSignedInError and ForgedFormError."""
    session = require_session(request)
    token = str(form.get("form_token", "")).encode(errors="surrogatepass")
    if (
        request.method != "POST"
        or request.headers.getlist("origin") != [machine_of(request).setup.url]
        or request.headers.get("sec-fetch-site", "same-origin") != "same-origin"
        or not secrets.compare_digest(token, session.form_token.encode())
    ):
        raise ForgedFormError
    return session


def sign_out(request: Request) -> None:
    """End all sessions of this server, in whatever browser: a copy of a cookie is worthless."""
    request.session.clear()
    machine_of(request).secret.renew()


class Sessions(SessionMiddleware):
    """Starlette's sessions, signed with the secret of the moment."""

    def __init__(self, app: ASGIApp, machine: Machine) -> None:
        super().__init__(
            app,
            secret_key=machine.secret.value,
            session_cookie=f"{COOKIES}session-{urlsplit(machine.setup.url).port}",
            max_age=SESSION_SECONDS,
            same_site="lax",
        )
        self._secret = machine.secret

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer with `scope["session"]`, which is empty without a cookie that is good."""
        # One for each request: what is still being answered when its session ends must not be
        # signed with the secret that comes next.
        one = copy(self)
        one.signer = TimestampSigner(self._secret.value)
        await super(Sessions, one).__call__(scope, receive, send)


def login_url(machine: Machine, login: Login) -> str:
    """Return a URL of the dashboard that is good once, and for ten minutes."""
    return f"{machine.setup.url}{LOGIN_PATH}?token={machine.logins.issue(login)}"


async def make_login(request: Request) -> Response:
    """`POST __local__/login`: return a one-time URL, by way of which `next` is opened.

    With the name of a `user`, it is content, and visited as that one.
    """
    body = await read_object(request, ("next", "user"), optional=True)
    wanted = body.get("next", DASHBOARD)
    if not isinstance(wanted, str) or not is_own_path(wanted):
        raise invalid("The field 'next' must be a path of the dashboard or of content.")
    name, user = body.get("user"), machine_of(request).users.named(body.get("user"))
    if name is not None and (user is None or not _CONTENT.match(wanted)):
        raise invalid("The field 'user' must name a user, who visits content.")
    login = Login(next=wanted, visitor=user.guid if user else None)
    url = login_url(machine_of(request), login)
    return JSONResponse({"url": url, "seconds": LOGIN_SECONDS})


def is_own_path(path: str) -> bool:
    """Return whether a path leads to the dashboard or to content, and to nowhere else."""
    plain = path.isascii() and path.isprintable() and not set(path) & set(' \\"<>')
    return plain and path.startswith(_OWN_PATHS) and "//" not in path.partition("?")[0]


async def log_in(request: Request) -> Response:
    """Open a one-time URL: begin a session, and redirect to where it leads."""
    machine = machine_of(request)
    if not is_opened_by_person(request):
        return private(Response(status_code=204))
    login = machine.logins.redeem(request.query_params.get("token", ""))
    if login is None:
        if session_of(request):
            return private(RedirectResponse(f"{machine.setup.url}{DASHBOARD}", 303))
        return private(_used_up())
    if login.visitor:
        return private(RedirectResponse(_as_visitor(machine, login.next, login.visitor), 303))
    request.session.clear()
    request.session.update(
        user=machine.users.own.guid,
        form_token=secrets.token_urlsafe(24),
    )
    if login.printed:
        machine.setup.report(Note(text=f"Signed in. For another URL: {SIGN_IN}"))
    return private(RedirectResponse(f"{machine.setup.url}{login.next}", 303))


def _as_visitor(machine: Machine, path: str, user: str) -> str:
    guid = path.split("/")[2]
    ticket = machine.tickets.issue(Ticket(content=guid, user=user))
    return f"{machine.setup.content_origin}{path}{'&' if '?' in path else '?'}{TICKET}={ticket}"


def is_opened_by_person(request: Request, *shown_in: str) -> bool:
    """Return whether a browser shows the answer as a page, or as one of the elements `shown_in`.

    A preview of a link, or what a browser asks for in advance, must not use up what is good once.
    """
    headers = request.headers
    ahead = [headers.get(name, "") for name in ("sec-purpose", "purpose", "x-purpose", "x-moz")]
    return (
        request.method == "GET"
        and headers.get("sec-fetch-mode", "navigate") == "navigate"
        and headers.get("sec-fetch-dest", "document") in {"document", *shown_in}
        and not any(each and each != "none" for each in ahead)
    )


def refuse_stranger(_request: Request, _error: Exception) -> Response:
    """Answer a request that needs a session and has none; it says nothing of what is here."""
    text = (
        "<p>The dashboard of the local server needs a one-time URL. To open one, run:</p>"
        f"<pre>{SIGN_IN}</pre>"
        "<p>Then reload this page to see what you came for.</p>"
        '<script src="/connect/static/sign-in.js" defer></script>'
    )
    return page("Not signed in", text, status=401)


def refuse_form(_request: Request, _error: Exception) -> Response:
    """Answer a form that did not come from a page of this session."""
    text = "<p>Nothing was changed. Reload the page that you came from, and try again.</p>"
    return page("This form is no longer valid", text, status=403)


def _used_up() -> Response:
    text = (
        "<p>A URL for signing in works once, and for ten minutes. To open another, run:</p>"
        f"<pre>{SIGN_IN}</pre>"
    )
    return page("This URL no longer works", text, status=403)


def private(response: Response) -> Response:
    """Return a response that no cache keeps, and whose URL no other site gets to know."""
    response.headers.update({"Referrer-Policy": "no-referrer", "Cache-Control": "no-store"})
    return response


LOGIN = Route(LOGIN_PATH, log_in, methods=["GET"])
MAKE_LOGIN = Route("/__local__/login", make_login, methods=["POST"])
REFUSALS = {NotSignedInError: refuse_stranger, ForgedFormError: refuse_form}
