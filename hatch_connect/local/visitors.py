"""Who visits content: programs with a key at the dashboard's origin, browsers at that of content.

A browser is sent from one origin to the other with a ticket, which is good once and becomes a
cookie there. There are two cookies, since no single one works everywhere. In a frame of the
dashboard, which is another site, browsers keep only those that are `Partitioned` and `Secure`; the
prefix of its name keeps content from setting one like it. Safari takes no such cookie without TLS,
and gets the other one.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from itsdangerous import BadSignature, URLSafeTimedSerializer
from starlette.requests import HTTPConnection, Request
from starlette.responses import RedirectResponse, Response

from hatch_connect.local.access import may_edit, may_view
from hatch_connect.local.api.requests import (
    NO_VIEW,
    ApiError,
    bad_key,
    key_of,
    refuse,
    whole_number,
)
from hatch_connect.local.error_pages import page
from hatch_connect.local.machine import machine_of
from hatch_connect.local.one_time import TICKET, Ticket
from hatch_connect.local.origins import READING
from hatch_connect.local.sessions import (
    COOKIES,
    SESSION_SECONDS,
    SIGN_IN,
    is_opened_by_person,
    private,
    session_of,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from starlette.types import ASGIApp, Receive, Scope, Send

    from hatch_connect.local.machine import Machine
    from hatch_connect.local.state import StoredBundle, StoredContent
    from hatch_connect.local.users import User

_HOST_ONLY = "__Host-"
_FRAMES = ("iframe", "frame")
_IN_FRAME = "SameSite=None; Secure; Partitioned"


def visit_url(
    machine: Machine,
    content: StoredContent,
    *,
    as_user: User | None,
    bundle: StoredBundle | None = None,
) -> str:
    """Return where a browser gets content as a user, or as nobody: once, and for a minute."""
    draft = f"_bundle{bundle.id}/" if bundle else ""
    ticket = _ticket(machine, content.guid, as_user)
    return f"{machine.setup.frame_url(content)}{draft}?{TICKET}={ticket}"


def _ticket(machine: Machine, guid: str, user: User | None) -> str:
    return machine.tickets.issue(Ticket(content=guid, user=user.guid if user else None))


def draft_of(visit: HTTPConnection) -> int | None:
    """Return the number of the bundle that a visit names, which need not be the active one."""
    first = visit.path_params.get("path", "").partition("/")[0]
    number = first.removeprefix("_bundle")
    return None if number == first else whole_number(number)


def visitor_of(visit: HTTPConnection) -> User | None:
    """Return who visits content, as those below have found out; None is nobody known."""
    visitor: User | None = visit.scope["visitor"]
    return visitor


class _Admission(ABC):
    """Decides about each visit: it is answered here, or passed on to content."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or pass the visit on."""
        answer = self._answer(scope)
        await (answer or self._app)(scope, receive, send)

    @abstractmethod
    def _answer(self, scope: Scope) -> Response | None:
        """Return the answer; None if the visit may go on."""


class AtDashboard(_Admission):
    """Let programs with a key pass to content, and send browsers to the origin of content."""

    def _answer(self, scope: Scope) -> Response | None:
        visit = HTTPConnection(scope)
        machine, key = machine_of(visit), key_of(scope)
        user = machine.user_of_key(key) if key else None
        reads = scope["type"] == "http" and scope["method"] in READING
        # Not even with a key may a page of content be shown at this origin.
        if reads and (key is None or visit.headers.get("sec-fetch-mode") == "navigate"):
            return _to_content(Request(scope), user)
        if user is None:
            return refuse(Request(_as_http(scope)), bad_key())
        if scope["type"] == "websocket" and not _is_from(visit, machine.setup.url):
            return page("Connections from this page are not allowed", "", status=403)
        scope["visitor"] = user
        if _may_visit(visit, user) is False:
            why = "You don't have permission to view this content."
            return refuse(Request(_as_http(scope)), ApiError(403, NO_VIEW, why))
        return None


def _as_http(scope: Scope) -> Scope:
    return {**scope, "type": "http"}


def _to_content(request: Request, user: User | None) -> Response:
    """Redirect a browser to content; with a ticket if it shows the answer and has a user."""
    machine = machine_of(request)
    session = session_of(request)
    user = user or (session.user if session else None)
    query = [request.scope["query_string"].decode("latin-1")]
    if user and is_opened_by_person(request, *_FRAMES):
        query.append(f"{TICKET}={_ticket(machine, request.path_params['guid'], user)}")
    return private(RedirectResponse(_here(request, machine.setup.content_origin, query), 307))


def _here(request: Request, origin: str, query: Iterable[str]) -> str:
    path: str = request.scope["raw_path"].decode("latin-1")
    return "?".join(filter(None, (origin + path, "&".join(filter(None, query)))))


class AtContent(_Admission):
    """Find out who visits, and let pass who may: by a ticket, a cookie or a key."""

    def _answer(self, scope: Scope) -> Response | None:
        visit = HTTPConnection(scope)
        machine, key = machine_of(visit), key_of(scope)
        if scope["type"] == "http" and (answer := _redeemed(Request(scope))):
            return answer
        if scope["type"] == "websocket" and not _is_from(visit, machine.setup.content_origin):
            # Browsers let any page open a WebSocket to this machine.
            return page("Connections from this page are not allowed", "", status=403)
        user, scope["framed"] = _by_cookie(visit)
        scope["visitor"] = user = machine.user_of_key(key) if key else user
        if _may_visit(visit, user) is not False:
            return None
        return private(_stranger(visit.path_params["guid"]) if user is None else _refused(user))


def _may_visit(visit: HTTPConnection, user: User | None) -> bool | None:
    """Return whether a user may make that visit; None if there is no such content."""
    state = machine_of(visit).state
    content = state.content(visit.path_params["guid"])
    if content is None:
        return None
    if draft_of(visit) is not None:
        return user is not None and may_edit(state, content, user)
    return may_view(state, content, user)


def _redeemed(request: Request) -> Response | None:
    """Take the ticket of a request, and redirect to the same URL without it; None if it has none.

    Whoever opens the page knows by the cookie from then on.
    """
    machine = machine_of(request)
    fields = request.scope["query_string"].decode("latin-1").split("&")
    tickets = [field for field in fields if field.partition("=")[0] == TICKET]
    if not tickets:
        return None
    if not is_opened_by_person(request, *_FRAMES):
        return private(Response(status_code=204))
    others = (field for field in fields if field not in tickets)
    url = _here(request, machine.setup.content_origin, others)
    answer = private(RedirectResponse(url, 303))
    ticket = machine.tickets.redeem(tickets[0].partition("=")[2])
    if ticket and ticket.content == request.path_params["guid"]:
        framed = request.headers.get("sec-fetch-dest") in _FRAMES
        value = _signer(machine).dumps({"user": ticket.user, "framed": framed})
        always = f"={value}; Max-Age={SESSION_SECONDS}; Path=/; HttpOnly"
        name = _cookie(machine)
        answer.headers.append("Set-Cookie", f"{_HOST_ONLY}{name}{always}; {_IN_FRAME}")
        answer.headers.append("Set-Cookie", f"{name}{always}; SameSite=Lax")
    return answer


def _cookie(machine: Machine) -> str:
    return f"{COOKIES}visitor-{urlsplit(machine.setup.content_origin).port}"


def _signer(machine: Machine) -> URLSafeTimedSerializer:
    return URLSafeTimedSerializer(machine.secret.value, salt="visitor")


def _by_cookie(visit: HTTPConnection) -> tuple[User | None, bool]:
    """Return whose cookie a browser has, and whether it shows content in a frame.

    None counts in what pages of other origins ask for.
    """
    machine = machine_of(visit)
    origin = machine.setup.content_origin
    if not _is_from(visit, origin) and visit.headers.get("sec-fetch-site") != "same-origin":
        return None, False
    own = _cookie(machine)
    cookies = [one for line in visit.headers.getlist("cookie") for one in _cookies(line)]
    # Content can set a cookie of the second name, for its own path: it cannot sign one.
    for wanted in (_HOST_ONLY + own, own):
        for name, value in cookies:
            if name == wanted and (known := _read(machine, value)) is not None:
                user, framed = machine.users.of_guid(known.get("user")), known.get("framed") is True
                return None if user is None or user.locked else user, framed
    return None, False


def _read(machine: Machine, value: str) -> dict[str, object] | None:
    try:
        known: dict[str, object] = _signer(machine).loads(value, max_age=SESSION_SECONDS)
    except BadSignature:
        return None
    return known


def _is_from(visit: HTTPConnection, origin: str) -> bool:
    """Return whether no page of another origin asks; programs that are no browsers name none."""
    return visit.headers.getlist("origin") in ([], [origin])


def _cookies(line: str) -> Iterator[tuple[str, str]]:
    for one in line.split(";"):
        name, _, value = one.partition("=")
        yield name.strip(), value.strip()


def without_our_cookies(line: str) -> str:
    """Return a Cookie header without what is ours alone."""
    return ";".join(one for one in line.split(";") if not is_our_cookie(one)).strip()


def is_our_cookie(cookie: str) -> bool:
    """Return whether a cookie has the name of one of ours, or is taken for one of them."""
    # Browsers send a cookie without a name as its value alone.
    name = cookie.lstrip("= \t").casefold()
    return name.removeprefix(_HOST_ONLY.casefold()).startswith(COOKIES)


def passed_on(cookie: str, visit: HTTPConnection) -> str | None:
    """Return a cookie that content sets, such that its browser takes it; None for one of ours.

    In a frame of the dashboard, browsers take none but those that say that they are for one.
    """
    if is_our_cookie(cookie):
        return None
    if not visit.scope.get("framed"):
        return cookie
    fields = [
        field
        for field in cookie.split(";")
        if field.partition("=")[0].strip().lower() not in {"samesite", "secure", "partitioned"}
    ]
    return f"{';'.join(fields)}; {_IN_FRAME}"


def framed_by_us(name: str, value: str, visit: HTTPConnection) -> str | None:
    """Return a header by which content says who may frame it; None if it is not to be sent.

    On a Connect, the dashboard that frames content has the same origin.
    """
    if name == "x-frame-options":
        own = visit.scope.get("framed") and value.strip().lower() == "sameorigin"
        return None if own else value
    ours = machine_of(visit).setup.url
    return value.replace("frame-ancestors 'self'", f"frame-ancestors 'self' {ours}")


def _stranger(guid: str) -> Response:
    text = (
        "<p>Only some people may see this content, and nobody is signed in here. To visit it,"
        f" run:</p><pre>hatch-connect open --local --app-id {guid}</pre>"
    )
    return page("Not signed in", text, status=401)


def _refused(user: User) -> Response:
    text = f"<p>The dashboard shows who may, and visits it as others:</p><pre>{SIGN_IN}</pre>"
    return page(f"{user.name} may not see this content", text, status=403)
