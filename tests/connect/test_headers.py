from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.bundles import Heard
from support.calling import KEY, Caller
from support.fake_connect import FakeConnect
from support.fake_oauth import FakeGitHub, FakeOAuth
from support.faults import Say, html, redirect

from hatch_connect import deploy, find_server
from hatch_connect.connect.client import ConnectClient
from hatch_connect.connect.credentials import ApiKey
from hatch_connect.connect.headers import headers_in, merged_cookies, secrets_in
from hatch_connect.connect.oauth import OAuthServer, exchange
from hatch_connect.connect.resolve_server import ServerOptions, resolve_server
from hatch_connect.connect.servers import Server, ServerStore
from hatch_connect.connect.transport import Http
from hatch_connect.errors import AnswerError, RefusedError, UsageError
from hatch_connect.events import Note, silent
from hatch_connect.secret import Secret, hiding

if TYPE_CHECKING:
    from pathlib import Path

    from support.fake_connect import Recorded
    from support.faults import Fault

TOKEN, COOKIE, BASIC = "Plant3d-client-secret", "Plant3d-session-cookie", "UGxhbnQzZDpzZWNyZXQ="
PROD, OTHER = "https://prod.example.com", "https://other.example.com"
LOGIN = redirect("https://sso.example/start")


def read(text: str) -> list[tuple[str, str]]:
    return [(name, value.reveal()) for name, value in headers_in(text)]


class Gate:
    """A proxy that lets only requests with these headers through, and answers others.

    If it wants `Authorization`, the key of Connect has its other header.
    """

    def __init__(self, answer: Fault = LOGIN, **wanted: str) -> None:
        self.answer = answer
        self.wanted = wanted

    def __call__(self, request: Recorded) -> Fault | None:
        sent = {name.replace("-", "_"): value for name, value in request.headers.items()}
        if any(sent.get(name) != value for name, value in self.wanted.items()):
            return self.answer
        if "authorization" in self.wanted and "x-rsc-authorization" in request.headers:
            assert isinstance(request.headers, dict)
            request.headers["authorization"] = request.headers["x-rsc-authorization"]
        return None


class TestReading:
    def test_one_header_a_line(self) -> None:
        text = "X-One: a b:c \r\n\n  \nx-two:d\nCookie: a=1;\ncookie: b=2"
        expected = [("X-One", "a b:c"), ("x-two", "d"), ("cookie", "a=1; b=2")]
        assert read(text) == expected

    @pytest.mark.parametrize(
        ("text", "why"),
        [
            (
                "X-One: a\nS3cret-value",
                "Line 2 of CONNECT_HTTP_HEADERS is not of the form `Name: value`",
            ),
            ("X-One: a\n S3cret-value: x", "Line 2"),
            ("X-One : S3cret-value", "Line 1"),
            (": S3cret-value", "Line 1"),
            ("X-Öne: S3cret-value", "Line 1"),
            ("X-One: S3cret-value\rX-Two: b", "the value of X-One contains a line break"),
            ("X-One: S3cret-value\0", "the value of X-One contains"),
            ("X-One: S3cret-välue", "the value of X-One contains"),
            ("X-One: S3cret\tvalue", "the value of X-One contains"),
            ("X-One:  ", "the value of X-One is empty"),
            ("X-One: $(S3cret-value)", "the value of X-One is an unexpanded reference"),
            ("X-One: S3cret-value\nx-one: b", "contains the header x-one twice"),
            *(
                (f"{name}: S3cret-value", f"{name} is set by the request itself")
                for name in (
                    "Host",
                    "content-length",
                    "Content-Type",
                    "Transfer-Encoding",
                    "Connection",
                    "Keep-Alive",
                    "TE",
                    "Trailer",
                    "Upgrade",
                    "Expect",
                    "X-Content-Checksum",
                    "X-RSC-Authorization",
                )
            ),
            ("Proxy-Authorization: S3cret-value", "HTTPS_PROXY"),
        ],
    )
    def test_what_cannot_be_sent_is_refused_without_its_value(self, text: str, why: str) -> None:
        with pytest.raises(UsageError) as caught:
            headers_in(text)
        assert why in str(caught.value)
        assert "S3cret" not in f"{caught.value}{caught.value.hint}"

    @given(st.text())
    def test_whatever_is_given_is_refused_or_safe_to_send(self, text: str) -> None:
        try:
            found = headers_in(text)
        except UsageError:
            return
        for name, value in found:
            sent = f"{name}: {value.reveal()}"
            assert sent.isascii()
            assert sent.isprintable()
        again = "\n".join(f"{name}: {value.reveal()}" for name, value in found)
        assert headers_in(again) == found

    @pytest.mark.parametrize(
        ("ours", "servers", "merged"),
        [
            ("a=1; b=2", "c=3", "a=1; b=2; c=3"),
            ("a=1; b=2;", "b=3", "a=1; b=3"),
            ("a=1", "a=2; b=3", "a=2; b=3"),
            ("a=x=y", "", "a=x=y"),
        ],
    )
    def test_cookies_are_merged(self, ours: str, servers: str, merged: str) -> None:
        assert merged_cookies(ours, servers) == merged

    @pytest.mark.parametrize(
        ("text", "said"),
        [
            (f"Authorization: Basic {BASIC}", BASIC),
            (f"Cookie: a=1; s={COOKIE}", COOKIE),
            (f'Cookie: s="{COOKIE}"', COOKIE),
            (f'Authorization: Snowflake Token="{TOKEN}"', TOKEN),
            (f"X-One: {TOKEN}", TOKEN),
            (TOKEN, TOKEN),
        ],
    )
    def test_what_is_secret_in_them(self, text: str, said: str) -> None:
        assert hiding(secrets_in(text))(f"no <{said}>") == "no <***>"


class TestWhichServer:
    """The environment's headers go to CONNECT_SERVER only, stored ones to their URL."""

    @pytest.fixture
    def store(self, tmp_path: Path) -> ServerStore:
        store = ServerStore(tmp_path / "servers.json")
        own = (("X-Own", Secret("stored")),)
        store.add(Server(name="prod", url=PROD, credential=ApiKey(Secret("KEY")), headers=own))
        store.add(Server(name="other", url=OTHER, credential=ApiKey(Secret("KEY"))))
        return store

    @pytest.mark.parametrize(
        ("choice", "named", "expected", "noted"),
        [
            (ServerOptions(), PROD, ["X-Env"], ""),
            (ServerOptions(name="prod"), f"{PROD}/connect/#/content", ["X-Env"], ""),
            (ServerOptions(name="other"), PROD, [], "which is another server"),
            (ServerOptions(server=OTHER), PROD, [], "which is another server"),
            (ServerOptions(server=PROD), OTHER, ["X-Own"], "which is another server"),
            (ServerOptions(server=OTHER), None, [], "which is not set"),
            (ServerOptions(name="prod"), None, ["X-Own"], "which is not set"),
        ],
    )
    def test_of_the_environment(
        self,
        store: ServerStore,
        choice: ServerOptions,
        named: str | None,
        expected: list[str],
        noted: str,
    ) -> None:
        heard = Heard()
        environ = {"CONNECT_HTTP_HEADERS": f"X-Env: {TOKEN}", "CONNECT_API_KEY": "KEY"}
        environ |= {"CONNECT_SERVER": named} if named else {}
        server = resolve_server(choice, environ=environ, configured=None, store=store, report=heard)
        assert [name for name, _ in server.headers] == expected
        notes = [e.text for e in heard.events if isinstance(e, Note) and "HEADERS" in e.text]
        assert len(notes) == bool(noted)
        assert all(noted in note and TOKEN not in note for note in notes)

    def test_stored_ones_are_kept_for_their_url(self, store: ServerStore) -> None:
        stored = json.loads(store.path.read_text())
        assert stored["prod"]["http_headers"] == {"X-Own": "stored"}
        assert "http_headers" not in stored["other"]
        store.add(Server(name="prod", url=OTHER, credential=ApiKey(Secret("KEY"))))
        assert "http_headers" not in json.loads(store.path.read_text())["prod"]


class TestSending:
    def client(self, fake: FakeConnect, text: str) -> ConnectClient:
        server = Server(
            url=fake.url, credential=ApiKey(Secret(fake.api_key)), headers=headers_in(text)
        )
        return ConnectClient(server, environ={}, report=silent)

    def test_with_every_request_also_after_a_redirect(self, fake: FakeConnect) -> None:
        fake.gate = Gate(x_token=TOKEN, user_agent="Browser")
        fake.misbehave("GET", "v1/user", redirect("/__api__/v1/user?again"))
        assert self.client(fake, f"X-Token: {TOKEN}\nUser-Agent: Browser").me().username == "ada"
        assert len(fake.requests) == 2

    def test_to_no_other_host(self, fake: FakeConnect) -> None:
        with FakeConnect() as other:
            elsewhere = other.url.replace("127.0.0.1", "localhost")
            fake.misbehave("GET", "v1/user", redirect(f"{elsewhere}/__api__/v1/user"))
            with pytest.raises(RefusedError, match="not followed"):
                self.client(fake, f"X-Token: {TOKEN}").me()
            assert other.requests == []

    def test_authorization_moves_the_key(self, fake: FakeConnect) -> None:
        fake.gate = Gate(authorization=f"Basic {BASIC}")
        assert self.client(fake, f"authorization: Basic {BASIC}").me().username == "ada"
        sent = fake.requests[0].headers
        assert sent["x-rsc-authorization"] == f"Key {fake.api_key}"

    def test_with_what_signs_in(self, fake: FakeConnect) -> None:
        fake.oauth = oauth = FakeOAuth()
        fake.front = f"Basic {BASIC}"
        fake.gate = Gate(authorization=fake.front)
        oauth.trust(fake.add_content("sales").guid)
        token = Secret(oauth.identity())
        with pytest.raises(RefusedError) as caught:
            exchange(OAuthServer(Http({}), fake.url), token, "connect")
        assert "CONNECT_HTTP_HEADERS" in str(caught.value.hint)
        http = Http({}, extra=headers_in(f"Authorization: {fake.front}"))
        key = exchange(OAuthServer(http, fake.url), token, "connect")
        assert key.reveal() in oauth.keys

    def test_cookies_with_those_that_the_server_sets(self, fake: FakeConnect) -> None:
        sets = tuple(
            ("Set-Cookie", f"{cookie}; Path=/; HttpOnly") for cookie in ("node=7", "session=newer")
        )
        fake.misbehave("GET", "v1/user", Say(302, b"", (("Location", "?again"), *sets)))
        self.client(fake, f"Cookie: session={COOKIE}; lang=en").me()
        first, second = (set(r.headers["cookie"].split("; ")) for r in fake.requests)
        assert first == {f"session={COOKIE}", "lang=en"}
        assert second == {"lang=en", "node=7", "session=newer"}

    @pytest.mark.parametrize("text", ["", f"X-Token: {TOKEN}"])
    @pytest.mark.parametrize(
        "answer",
        [
            LOGIN,
            html(200, "<h1>Sign in</h1>"),
            html(401, "<h1>Sign in</h1>"),
            html(403, f"<h1>Sign in, {TOKEN}</h1>"),
            Say(403, b'{"error": "no"}'),
        ],
    )
    def test_a_login_page_names_the_variable(
        self, fake: FakeConnect, text: str, answer: Fault
    ) -> None:
        fake.gate = Gate(answer, x_token="other")
        with pytest.raises((AnswerError, RefusedError)) as caught:
            self.client(fake, text).me()
        assert "CONNECT_HTTP_HEADERS" in str(caught.value.hint)
        assert ("renew them" in str(caught.value.hint)) == bool(text)
        assert not text or TOKEN not in str(caught.value)


class TestCommands:
    @pytest.fixture
    def behind(self, caller: Caller, fake: FakeConnect) -> FakeConnect:
        """Return a server behind a proxy that wants a cookie and Authorization for itself."""
        caller.knows(fake)
        page = html(403, f"<p>{COOKIE} {BASIC}</p>")
        fake.gate = Gate(page, authorization=f"Basic {BASIC}")
        return fake

    def test_deploy_and_store(self, caller: Caller, behind: FakeConnect) -> None:
        said = caller.deploy()
        assert (said.code, "CONNECT_HTTP_HEADERS" in said.said) == (3, True)
        caller.environ["CONNECT_HTTP_HEADERS"] = f"Authorization: Basic {BASIC}\nCookie: s={COOKIE}"
        calls = [
            caller.deploy(verbose=True),
            caller.call("add", name="prod"),
            caller.call("details"),
            caller.call("list"),
            caller.call("list", json=True),
        ]
        assert [call.code for call in calls] == [0] * 5
        assert all(r.headers["cookie"] == f"s={COOKIE}" for r in behind.requests[-8:])
        assert "Headers  Authorization, Cookie" in calls[2].stdout
        assert "(with headers)" in calls[3].stdout
        (server,) = json.loads(calls[4].stdout)["servers"]
        assert server["http_headers"] == ["Authorization", "Cookie"]
        caller.environ = {"CONNECT_API_KEY": KEY}
        calls += [
            caller.call("add", name="prod", server=behind.url),  # a new key keeps them
            caller.deploy(name="prod", json=True),
            caller.call("remove", name="prod"),
        ]
        assert [call.code for call in calls] == [0] * 8
        behind.gate = Gate(html(403, f"<p>{COOKIE} {BASIC}</p>"), x_more="1")
        caller.environ = {"CONNECT_SERVER": behind.url, "CONNECT_API_KEY": KEY}
        caller.environ["CONNECT_HTTP_HEADERS"] = f"Authorization: Basic {BASIC}\nCookie: s={COOKIE}"
        calls.append(caller.deploy(verbose=True))
        assert calls[-1].code == 3
        said_all = "".join(call.said for call in calls)
        assert all(secret not in said_all for secret in (BASIC, COOKIE, KEY))

    def test_what_is_not_sent_does_not_show_either(self, caller: Caller, fake: FakeConnect) -> None:
        fake.api_key = KEY
        fake.misbehave("GET", "v1/user", html(500, f"<p>{TOKEN} {COOKIE}</p>"))
        caller.environ = {"CONNECT_SERVER": OTHER, "CONNECT_API_KEY": "KEY"}
        caller.environ["CONNECT_HTTP_HEADERS"] = f"X-Token: {TOKEN}\n{COOKIE}"
        done = caller.call("details", server=fake.url, api_key=KEY)
        assert (done.code, "*** ***" in done.said) == (3, True)
        assert all(secret not in done.said for secret in (TOKEN, COOKIE))
        assert "x-token" not in fake.requests[0].headers

    def test_a_workflow_behind_the_proxy(self, caller: Caller) -> None:
        oauth, basic = FakeOAuth(key_lasts=5), f"Basic {BASIC}"
        with FakeConnect(oauth=oauth, front=basic) as fake, FakeGitHub(oauth) as github:
            fake.gate = Gate(authorization=basic)
            content = fake.add_content("sales", app_mode="python-fastapi")
            oauth.trust(content.guid)
            # Another Authorization at GitHub's would fail there.
            caller.environ = {"CONNECT_SERVER": fake.url, **github.environ()}
            refused = caller.call("deploy", file="sales.tar.gz", app_id=content.guid)
            caller.environ["CONNECT_HTTP_HEADERS"] = f"Authorization: {basic}"
            done = caller.call("deploy", file="sales.tar.gz", app_id=content.guid, verbose=True)
            assert (refused.code, "CONNECT_HTTP_HEADERS" in refused.said) == (3, True)
            assert done.code == 0, done.said
            assert content.bundle_id
            assert len(github.audiences) > 1
            assert not oauth.leaks(refused.said, done.said)
        assert BASIC not in done.said

    def test_of_a_server_that_a_program_has(self, caller: Caller, behind: FakeConnect) -> None:
        environ = {"HOME": str(caller.folder), **caller.environ}
        environ["CONNECT_HTTP_HEADERS"] = f"Authorization: Basic {BASIC}"
        server = find_server(environ=environ)
        done = deploy(server=server, file=str(caller.bundle()), environ={"HOME": environ["HOME"]})
        assert done.content.guid in behind.contents
