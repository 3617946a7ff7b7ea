"""Signing in to the dashboard: one-time URLs, the session's cookie, and what needs a session."""

from __future__ import annotations

import asyncio
import os
from types import SimpleNamespace
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import httpx2
import pytest
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from support.local_api import asking
from support.waiting import PATIENCE

from hatch_connect.events import silent
from hatch_connect.local import sessions
from hatch_connect.local.machine import Machine
from hatch_connect.local.one_time import Login, OneTime, SigningSecret, Ticket
from hatch_connect.local.setup import Setup
from hatch_connect.local.start import running
from hatch_connect.local.users import Declared
from hatch_connect.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from starlette.types import Message, Receive, Scope, Send
    from support.local_api import Api

    from hatch_connect.local.folder import LocalServer

_TO_BE_SHOWN = {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
_NOT_BY_A_PERSON: list[dict[str, str]] = [
    {"Sec-Purpose": "prefetch"},
    {"Sec-Purpose": "prefetch;prerender"},
    {"Purpose": "prefetch"},
    {"X-Moz": "prefetch"},
    {"Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "image"},
    {"Sec-Fetch-Mode": "cors", "Sec-Fetch-Dest": "empty"},
    {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "iframe"},
]


@pytest.fixture
def browser(server: LocalServer) -> Iterator[httpx2.Client]:
    """A browser as far as cookies go, which follows no redirects."""
    with httpx2.Client(base_url=server.url, trust_env=False, timeout=PATIENCE) as client:
        yield client


def _login(api: Api, **fields: str) -> str:
    url: str = api.ask("POST", "__local__/login", json=fields)["url"]
    assert url.startswith(f"{api.server.url}/connect/__login__?token=")
    return url


def test_a_one_time_url_signs_in_once(api: Api, browser: httpx2.Client) -> None:
    url = _login(api)
    answer = browser.get(url, headers=_TO_BE_SHOWN)
    assert (answer.status_code, answer.headers["location"]) == (303, f"{api.server.url}/connect/")
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["referrer-policy"] == "no-referrer"
    cookie = answer.headers["set-cookie"].lower()
    assert cookie.startswith(f"hatch-connect-session-{urlsplit(api.server.url).port}=")
    assert {"httponly", "samesite=lax", "path=/", "max-age=43200"} <= set(cookie.split("; "))
    assert "domain" not in cookie
    page = browser.get("/connect/")
    assert (page.status_code, page.headers["cache-control"]) == (200, "no-store")
    # Whoever is signed in already gets on; anybody else learns what to do.
    assert browser.get(url).headers["location"] == f"{api.server.url}/connect/"
    again = httpx2.get(url, trust_env=False)
    assert (again.status_code, "set-cookie" in again.headers) == (403, False)
    assert "hatch-connect open --local --dashboard" in again.text


@pytest.mark.parametrize("headers", _NOT_BY_A_PERSON)
def test_what_looks_ahead_does_not_use_it_up(
    headers: Mapping[str, str], api: Api, browser: httpx2.Client
) -> None:
    url = _login(api)
    ahead = httpx2.get(url, headers=headers, trust_env=False)
    assert (ahead.status_code, "set-cookie" in ahead.headers) == (204, False)
    assert browser.head(url).status_code == 204
    assert browser.post(url).status_code == 401
    assert browser.get(url).status_code == 303


def test_it_leads_to_a_page_of_the_dashboard_or_to_content(
    api: Api, browser: httpx2.Client
) -> None:
    for path in ("/connect/#/apps/1/logs", "/content/1/?a=//b"):
        answer = browser.get(_login(api, next=path))
        assert answer.headers["location"] == api.server.url + path
    for path in (
        *("https://evil.example/connect/", "//evil.example/connect/", "/connect//evil.example"),
        *("/\\evil.example", "/connect/\r\nA: b", "connect/", "/__api__/v1/user", "", "/connect/ä"),
    ):
        assert api.refused("POST", "__local__/login", json={"next": path}) == (400, 2), path


def test_it_can_lead_to_content_as_somebody_else(api: Api, browser: httpx2.Client) -> None:
    answer = browser.get(_login(api, next="/content/1/?x=1", user="ann"))
    assert answer.status_code == 303
    assert "/content/1/?x=1&__ticket__=" in answer.headers["location"]
    assert browser.get("/connect/").status_code == 401  # ann is no developer
    for wrong in ({"next": "/connect/", "user": "ann"}, {"next": "/content/1/", "user": "eve"}):
        assert api.refused("POST", "__local__/login", json=wrong) == (400, 2)


def test_only_the_developer_gets_one(api: Api) -> None:
    keys = (None, "wrong", _key_of("ann", api))
    for headers in ({"Authorization": f"Key {key}"} if key else {} for key in keys):
        url = f"{api.server.url}/__api__/__local__/login"
        assert httpx2.post(url, headers=headers, trust_env=False).status_code == 401


def _key_of(name: str, api: Api) -> str:
    users = (api.server.state / "users.toml").read_text(encoding="utf-8")
    return users.partition(f"[users.{name}]")[2].partition('key = "')[2].partition('"')[0]


def test_without_a_session_nothing_is_to_be_seen(api: Api) -> None:
    api.create(title="Salaries of all")
    value = "eyJ1c2VyIjogIjEifQ==.aaaa.bbbb"
    name = f"hatch-connect-session-{urlsplit(api.server.url).port}"
    key = f"Key {api.server.api_key.reveal()}"
    forged: list[dict[str, str]] = [{}, {"Cookie": f"{name}={value}"}, {"Authorization": key}]
    for headers in forged:
        for path in ("/connect/", "/"):
            answer = httpx2.get(
                api.server.url + path, headers=headers, trust_env=False, follow_redirects=True
            )
            assert answer.status_code == 401
            assert "Salaries" not in answer.text
            assert "hatch-connect open --local --dashboard" in answer.text


def test_the_api_takes_no_cookie(api: Api, browser: httpx2.Client) -> None:
    browser.get(_login(api))
    assert browser.get("/connect/").status_code == 200
    assert browser.get("/__api__/v1/user").status_code == 401
    assert browser.post("/__api__/__local__/login").status_code == 401


def test_a_restart_keeps_sessions(state: Path) -> None:
    environ = dict(os.environ)
    with httpx2.Client(trust_env=False, timeout=PATIENCE) as client:
        with running(state, environ=environ, report=silent) as first, asking(first) as api:
            client.get(_login(api))
            unused = _login(api)
        assert (state / "session-secret").stat().st_mode & 0o777 == 0o600
        with running(state, environ=environ, report=silent) as second:
            assert second.url == first.url
            assert client.get(f"{second.url}/connect/").status_code == 200
            assert httpx2.get(unused, trust_env=False).status_code == 403


class _Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_token_is_good_for_a_time() -> None:
    clock = _Clock()
    tokens: OneTime[Ticket] = OneTime(60, clock)
    ticket = Ticket(content="1", user=None)
    first, second, third = (tokens.issue(ticket) for _ in range(3))
    clock.now = 59.9
    assert tokens.redeem(first) == ticket
    assert tokens.redeem(first) is None
    clock.now = 60
    assert tokens.redeem(second) is None
    tokens.issue(ticket)
    assert (tokens.redeem(third), tokens.redeem(""), tokens.redeem("\udcff")) == (None, None, None)


def test_not_every_token_is_remembered() -> None:
    tokens: OneTime[Login] = OneTime(60)
    first, *_, last = (tokens.issue(Login(next="/connect/")) for _ in range(1001))
    assert tokens.redeem(first) is None
    assert tokens.redeem(last) == Login(next="/connect/")


@pytest.mark.parametrize("left", [b"", b"short", b"\xff" * 50])
def test_a_broken_secret_is_made_anew(left: bytes, tmp_path: Path) -> None:
    (tmp_path / "session-secret").write_bytes(left)
    made = SigningSecret(tmp_path).value
    assert len(made) == 43
    assert SigningSecret(tmp_path).value == made


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    setup = Setup(
        folder=tmp_path,
        url="http://127.0.0.1:3939",
        content_origin="http://localhost:3940",
        api_key=Secret("key"),
        users=Declared(users={}, groups={}),
        environ={},
        report=silent,
    )
    machine = Machine(setup)
    yield machine
    machine.state.close()


def _sent(machine: Machine, method: str = "POST", **headers: str) -> Request:
    """Return what a browser sends in a session whose form token is `right`."""
    given = {"origin": machine.setup.url, **headers}
    return Request(
        {
            "type": "http",
            "method": method,
            "headers": [
                (name.replace("_", "-").encode(), value.encode())
                for name, value in given.items()
                if value
            ],
            "app": SimpleNamespace(state=SimpleNamespace(machine=machine)),
            "session": {"user": machine.users.own.guid, "form_token": "right"},
        }
    )


def test_a_form_of_our_own_page_is_taken(machine: Machine) -> None:
    for headers in ({}, {"sec_fetch_site": "same-origin"}):
        session = sessions.check_form(_sent(machine, **headers), {"form_token": "right"})
        assert session.user == machine.users.own


@pytest.mark.parametrize(
    ("method", "token", "headers"),
    [
        ("GET", "right", {}),
        ("POST", "wrong", {}),
        ("POST", "", {}),
        ("POST", "ä", {}),
        ("POST", "\ud800", {}),
        ("POST", "right", {"origin": ""}),
        ("POST", "right", {"origin": "null"}),
        ("POST", "right", {"origin": "http://127.0.0.1:3940"}),
        ("POST", "right", {"origin": "http://localhost:3939"}),
        ("POST", "right", {"origin": "https://127.0.0.1:3939"}),
        ("POST", "right", {"origin": "http://127.0.0.1:39390"}),
        ("POST", "right", {"sec_fetch_site": "same-site"}),
        ("POST", "right", {"sec_fetch_site": "cross-site"}),
    ],
)
def test_a_forged_form_is_not(
    method: str, token: str, headers: Mapping[str, str], machine: Machine
) -> None:
    with pytest.raises(sessions.ForgedFormError):
        sessions.check_form(_sent(machine, method, **headers), {"form_token": token})


def test_a_session_needs_a_user_that_there_is(machine: Machine) -> None:
    request = _sent(machine)
    request.session["user"] = "somebody"
    with pytest.raises(sessions.NotSignedInError):
        sessions.check_form(request, {"form_token": "right"})


def test_signing_out_ends_every_session(machine: Machine) -> None:
    request, before = _sent(machine), machine.secret.value
    sessions.sign_out(request)
    assert sessions.session_of(request) is None
    assert machine.secret.value != before
    assert SigningSecret(machine.setup.folder).value == machine.secret.value


def test_what_is_being_answered_does_not_sign_in_again(machine: Machine) -> None:
    seen: list[dict[str, object]] = []

    async def page(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(dict(scope["session"]))
        if scope["path"] == "/slow":
            scope["session"]["user"] = "somebody"
            machine.secret.renew()
            await app({**scope, "path": "/other", "headers": []}, receive, send)
            await PlainTextResponse("")(scope, receive, send)

    async def ask(path: str, cookie: str = "") -> str:
        sent: list[Message] = []

        async def send(message: Message) -> None:
            sent.append(message)

        headers = [(b"cookie", cookie.encode())]
        await app({"type": "http", "path": path, "headers": headers}, _nothing, send)
        return Headers(raw=sent[0]["headers"])["set-cookie"] if sent else ""

    app = sessions.Sessions(page, machine)
    asyncio.run(ask("/", asyncio.run(ask("/slow"))))
    assert seen == [{}, {}, {}]


async def _nothing() -> Message:
    raise AssertionError
