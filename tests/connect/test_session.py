from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from support.fake_bundle import Reply
from support.fake_connect import FakeConnect
from support.fake_content import FakeBundle
from support.fake_proxy import FakeProxy
from support.faults import Hang, Say, Trickle, Truncate, html, redirect
from support.tls import CA, closed_port, serving
from support.waiting import SHORT

from hatch_connect.connect.codes import Code
from hatch_connect.errors import (
    AnswerError,
    NotFoundError,
    RefusedError,
    UnreachableError,
    UsageError,
)
from hatch_connect.events import Warned
from hatch_connect.secret import Secret

if TYPE_CHECKING:
    from pathlib import Path

    from support.connecting import Connecting

    from hatch_connect.connect.client import ConnectClient
    from hatch_connect.events import Event


class TestAnswers:
    @pytest.mark.parametrize(
        ("fault", "expected"),
        [
            (
                html(200, "<html><script>x()</script><h1>Please &amp; log in</h1>"),
                "Please & log in",
            ),
            (Say(200), "is empty"),
            (Say(200, b'{"guid": "abc'), r"not JSON: \{\"guid\": \"abc"),
            (Say(200, b"[]"), "an array instead of an object"),
            (Say(200, b'"text"'), "a string instead of an object"),
            (Say(200, b"null"), "null instead of an object"),
            (Say(200, b"{}"), "`guid` is nothing, not a string"),
            (Say(200, b'{"guid": ["a"]}'), "`guid` is an array, not a string"),
            (Say(200, b'{"guid": "a", "username": null}'), "`username` is null"),
            (Say(200, b"\xff\xfe\x00"), "not JSON"),
            (Say(200, b"[" * 100_000), "not JSON"),
        ],
    )
    def test_that_are_not_connects(
        self, client: ConnectClient, fake: FakeConnect, fault: Say, expected: str
    ) -> None:
        fake.misbehave("GET", "v1/user", fault)
        with pytest.raises(AnswerError, match=expected) as caught:
            client.me()
        assert "GET v1/user" in caught.value.message

    def test_control_sequences_are_removed(self, client: ConnectClient, fake: FakeConnect) -> None:
        fake.misbehave(
            "GET", "v1/user", Say(200, b"\x1b[2J\x1b]0;pwned\x07oh\x00\r\nno\xe2\x80\xae")
        )
        with pytest.raises(AnswerError) as caught:
            client.me()
        assert caught.value.message.isprintable()
        assert "oh no" in caught.value.message

    def test_long_ones_are_cut(self, client: ConnectClient, fake: FakeConnect) -> None:
        fake.misbehave("GET", "v1/user", Say(200, b"x" * 100_000))
        with pytest.raises(AnswerError) as caught:
            client.me()
        assert len(caught.value.message) < 500

    def test_unknown_fields_are_ignored(self, client: ConnectClient, fake: FakeConnect) -> None:
        fake.misbehave(
            "GET", "v1/user", Say(200, b'{"guid": "1", "username": "a", "news": {"x": [1]}}')
        )
        assert client.me().guid == "1"

    def test_one_cut_short_is_read_again(self, client: ConnectClient, fake: FakeConnect) -> None:
        fake.misbehave("GET", "v1/user", Truncate())
        assert client.me().username == "ada"

    def test_one_always_cut_short_is_an_error(
        self, client: ConnectClient, fake: FakeConnect
    ) -> None:
        fake.misbehave("GET", "v1/user", Truncate(), times=99)
        with pytest.raises(UnreachableError, match="lost before the response to GET v1/user"):
            client.me()


class TestRefusals:
    @pytest.mark.parametrize(
        ("fault", "code", "expected"),
        [
            (Say(403, b'{"code": 22, "error": "No rights"}'), 22, "No rights"),
            (Say(403, b'{"code": null, "error": null}'), None, "no message"),
            (Say(403, b'{"code": "x", "error": 5}'), None, "no message"),
            (Say(500, b""), None, "no reason given"),
            (Say(403, b"[1]"), None, r"\[1\]"),
            (html(403, "<title>Forbidden</title><p>By the proxy"), None, "Forbidden"),
            (Say(403, b"plain \x1b[31mtext"), None, r"plain \[31mtext"),
        ],
    )
    def test_are_said(
        self,
        client: ConnectClient,
        fake: FakeConnect,
        fault: Say,
        code: int | None,
        expected: str,
    ) -> None:
        fake.misbehave("GET", "v1/user", fault)
        with pytest.raises(RefusedError, match=expected) as caught:
            client.me()
        assert (caught.value.status, caught.value.code) == (fault.status, code)
        assert "GET v1/user" in caught.value.message
        assert f"HTTP {fault.status}" in caught.value.message
        assert caught.value.hint

    @pytest.mark.parametrize("status", [400, 502])
    def test_with_a_code_say_what_it_means_whatever_the_status(
        self, client: ConnectClient, fake: FakeConnect, status: int
    ) -> None:
        for code in Code:
            fake.misbehave("GET", "v1/user", Say(status, b'{"code": %d, "error": "no"}' % code))
            with pytest.raises(RefusedError, match=f"code {int(code)}") as caught:
                client.me()
            assert caught.value.hint == f"{code.meaning} {code.next_step}"

    def test_with_a_code_that_is_not_known_here_say_nothing_that_may_mislead(
        self, client: ConnectClient, fake: FakeConnect
    ) -> None:
        fake.misbehave("GET", "v1/user", Say(400, b'{"code": 152, "error": "bad principal"}'))
        with pytest.raises(RefusedError, match=r"code 152.*bad principal") as caught:
            client.me()
        assert caught.value.hint is None

    def test_say_by_what_the_servers_log_knows_them(
        self, client: ConnectClient, fake: FakeConnect
    ) -> None:
        known = ("X-Correlation-ID", "d3b0\x1b[31m7384")
        fake.misbehave("GET", "v1/user", Say(403, b'{"code": 22, "error": "no"}', (known,)))
        with pytest.raises(RefusedError, match=r"code 22, X-Correlation-ID d3b0 \[31m7384\): no"):
            client.me()
        with pytest.raises(NotFoundError, match=r"code 4, X-Correlation-ID [0-9a-f-]{36}\): no"):
            client.content("none")

    def test_a_wrong_key_says_what_to_do(self, fake: FakeConnect, connecting: Connecting) -> None:
        with pytest.raises(RefusedError, match="code 30") as caught:
            connecting(fake.url, key="wrong").me()
        assert "hatch-connect add" in str(caught.value)

    def test_what_is_not_there(self, client: ConnectClient, fake: FakeConnect) -> None:
        with pytest.raises(NotFoundError) as caught:
            client.content("00000000-0000-4000-8000-000000000000")
        assert caught.value.code == 4
        fake.misbehave("GET", "v1/tasks", Say(400, b'{"code": 141, "error": "no"}'))
        with pytest.raises(NotFoundError, match="HTTP 400, code 141"):
            client.task("gone")


class TestTimeouts:
    def test_a_server_that_hangs(self, fake: FakeConnect, connecting: Connecting) -> None:
        fake.misbehave("GET", "v1/user", Hang(600), times=9)
        client = connecting(fake.url, environ={"CONNECT_REQUEST_TIMEOUT": "0.1"})
        with pytest.raises(UnreachableError, match=r"did not respond to GET v1/user within 0.1 s"):
            client.me()
        assert len(fake.requests) == 2

    @pytest.mark.parametrize("headers", [False, True])
    def test_one_that_answers_byte_by_byte(
        self, fake: FakeConnect, connecting: Connecting, *, headers: bool
    ) -> None:
        fake.misbehave("GET", "v1/user", Trickle(headers=headers, pause=0.2), times=9)
        client = connecting(fake.url, environ={"CONNECT_REQUEST_TIMEOUT": str(SHORT)})
        with pytest.raises(
            UnreachableError, match=rf"did not respond to GET v1/user within {SHORT} s"
        ):
            client.me()
        assert len(fake.requests) == 1 + headers
        assert client.find_content("sales") == ()

    def test_one_that_answers_slowly_and_in_time(
        self, fake: FakeConnect, connecting: Connecting
    ) -> None:
        fake.misbehave("GET", "v1/user", Trickle(pause=0.001, headers=True))
        client = connecting(fake.url, environ={"CONNECT_REQUEST_TIMEOUT": "120"})
        assert client.me().username == "ada"

    def test_one_with_tls_that_answers_byte_by_byte(self, connecting: Connecting) -> None:
        with FakeProxy() as proxy, FakeConnect(tls=serving("server")) as fake:
            fake.misbehave("GET", "v1/user", Trickle(pause=0.2), times=9)
            environ = {"CONNECT_REQUEST_TIMEOUT": str(SHORT), "SSL_CERT_FILE": str(CA)}
            for more in ({}, {"HTTPS_PROXY": proxy.address}):
                client = connecting(fake.url, environ=environ | more)
                with pytest.raises(UnreachableError, match=f"within {SHORT} s"):
                    client.me()
            assert len(fake.requests) == 2

    def test_a_long_poll_may_take_its_time(self, fake: FakeConnect, connecting: Connecting) -> None:
        fake.misbehave("GET", "v1/tasks", Hang(0.3))
        client = connecting(fake.url, environ={"CONNECT_REQUEST_TIMEOUT": "0.1"})
        with pytest.raises(NotFoundError):
            client.task("none", wait=20)
        assert fake.requests[0].query == {"first": "0", "wait": "20"}

    @pytest.mark.parametrize("value", ["soon", "-1", "inf", "nan"])
    def test_nonsense(self, connecting: Connecting, value: str) -> None:
        with pytest.raises(UsageError, match="CONNECT_REQUEST_TIMEOUT"):
            connecting("http://127.0.0.1", environ={"CONNECT_REQUEST_TIMEOUT": value})

    @pytest.mark.parametrize("value", ["", "0", "2.5", "1e300"])
    def test_sense(self, fake: FakeConnect, connecting: Connecting, value: str) -> None:
        assert connecting(fake.url, environ={"CONNECT_REQUEST_TIMEOUT": value}).me().username


class TestVisits:
    @pytest.mark.parametrize(("status", "visits"), [(500, 1), (502, 4), (503, 4), (504, 4)])
    def test_a_failure_is_seen_as_it_is(
        self, client: ConnectClient, fake: FakeConnect, status: int, visits: int
    ) -> None:
        fake.misbehave("GET", "/content/", html(status, "<h1>The app did not start</h1>"), times=9)
        seen = client.visit("guid")
        assert seen.status == status
        assert seen.text == "The app did not start"
        assert len(fake.requests) == visits

    def test_a_gateways_answer_is_not_the_last_word(
        self, client: ConnectClient, fake: FakeConnect
    ) -> None:
        fake.misbehave("GET", "/content/", html(502, "<h1>Bad Gateway</h1>"), times=3)
        assert client.visit("guid").status == 404

    def test_connects_own_answer_is(self, client: ConnectClient, fake: FakeConnect) -> None:
        fake.misbehave("GET", "/content/", Say(502, b'{"code": 105, "error": "no"}'), times=9)
        assert client.visit("guid").status == 502
        assert len(fake.requests) == 1

    def test_one_that_never_ends_is_looked_at_for_a_moment(
        self, client: ConnectClient, fake: FakeConnect
    ) -> None:
        deployed = FakeBundle("1", b"", {}, {}, deployed=True)
        guid = fake.add_content("sales", bundle_id="1", bundles={"1": deployed}).guid
        fake.page = Reply(200, b"x" * 1000, "text/plain")
        fake.misbehave("GET", "/content/", Trickle(pause=0.1))
        seen = client.visit(guid)
        assert seen.status == 200
        assert 1 <= len(seen.text) < 300

    def test_a_broken_answer_is_one(self, client: ConnectClient, fake: FakeConnect) -> None:
        fake.page = Reply(200, b"x" * 100)
        fake.misbehave("GET", "/content/", Truncate())
        assert client.visit("guid").status == 404

    def test_a_path_of_the_content(self, client: ConnectClient, fake: FakeConnect) -> None:
        assert client.visit("guid", path="/health").url == f"{fake.url}/content/guid/health"
        assert client.visit("guid", bundle_id="7", path="a").url.endswith("/guid/_bundle7/a")

    def test_the_key_is_not_shown(self, client: ConnectClient, fake: FakeConnect) -> None:
        fake.misbehave("GET", "/content/", Say(200, fake.api_key.encode()))
        assert client.visit("guid").text == "***"


class TestSecrets:
    def test_what_the_server_repeats_is_masked(
        self, client: ConnectClient, fake: FakeConnect
    ) -> None:
        said = f'{{"code": 1, "error": "bad: hunter2 by {fake.api_key}"}}'.encode()
        fake.misbehave("PATCH", "environment", Say(400, said))
        with pytest.raises(RefusedError) as caught:
            client.set_environment("guid", {"PASSWORD": Secret("hunter2")})
        assert "bad: *** by ***" in str(caught.value)

    def test_netrc_does_not_replace_the_key(
        self,
        client: ConnectClient,
        fake: FakeConnect,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        netrc = tmp_path / "netrc"
        netrc.write_text("machine 127.0.0.1 login a password b\n", encoding="ascii")
        monkeypatch.setenv("NETRC", str(netrc))
        client.me()
        assert fake.requests[0].headers["authorization"] == f"Key {fake.api_key}"

    def test_the_process_environment_is_not_asked(
        self, client: ConnectClient, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setitem(os.environ, "HTTP_PROXY", f"http://127.0.0.1:{closed_port()}")
        assert client.me().username == "ada"


class TestRedirects:
    def test_a_read_to_https_on_the_same_host_is_followed(
        self, fake: FakeConnect, connecting: Connecting, events: list[Event]
    ) -> None:
        with FakeConnect(tls=serving("server")) as secure:
            target = f"{secure.url}/__api__/v1/content?name=sales"
            fake.misbehave("GET", "v1/content$", redirect(target, 301))
            client = connecting(fake.url, ca_cert=CA.read_text())
            fake.misbehave("GET", "v1/content$", redirect(target, 301))
            assert client.find_content("sales") == ()
            assert client.find_content("sales") == ()
            assert secure.requests[0].query == {"name": "sales"}
            assert secure.requests[0].headers["authorization"] == f"Key {fake.api_key}"
        assert [e.text for e in events if isinstance(e, Warned)] == [
            f"{fake.url} redirects to https: use https:// in the server's URL."
        ]

    @pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
    def test_a_change_is_not_and_says_which_url_to_use(
        self, client: ConnectClient, fake: FakeConnect, status: int
    ) -> None:
        target = fake.url.replace("http:", "https:") + "/__api__/v1/content"
        fake.misbehave("POST", "v1/content$", redirect(target, status))
        with pytest.raises(RefusedError, match="redirects POST v1/content") as caught:
            client.create_content("sales")
        assert f"Use {fake.url.replace('http:', 'https:')} as the server's URL" in str(caught.value)
        assert fake.calls() == ["POST v1/content"]

    def test_a_change_to_elsewhere_on_the_host(
        self, client: ConnectClient, fake: FakeConnect
    ) -> None:
        fake.misbehave("POST", "v1/content$", redirect("/rsc/__api__/v1/content"))
        with pytest.raises(RefusedError, match="Check the server's URL"):
            client.create_content("sales")

    def test_a_change_to_https_without_the_api(
        self, client: ConnectClient, fake: FakeConnect
    ) -> None:
        fake.misbehave("POST", "v1/content$", redirect("https://127.0.0.1/login"))
        with pytest.raises(RefusedError, match=r"Use https://127.0.0.1 as"):
            client.create_content("sales")

    def test_the_key_never_goes_to_another_host(
        self, client: ConnectClient, fake: FakeConnect
    ) -> None:
        with FakeConnect() as other:
            elsewhere = other.url.replace("127.0.0.1", "localhost")
            fake.misbehave("GET", "v1/user", redirect(f"{elsewhere}/__api__/v1/user"))
            with pytest.raises(RefusedError, match="require a login"):
                client.me()
            assert other.requests == []

    def test_nor_to_another_port(self, client: ConnectClient, fake: FakeConnect) -> None:
        with FakeConnect() as other:
            fake.misbehave("GET", "v1/user", redirect(f"{other.url}/__api__/v1/user"))
            with pytest.raises(RefusedError, match="not followed"):
                client.me()
            assert other.requests == []

    def test_a_read_elsewhere_on_the_server_is_followed(
        self, client: ConnectClient, fake: FakeConnect
    ) -> None:
        fake.misbehave("GET", "server_settings", redirect("/__api__/v1/user"))
        assert client.server_settings().version == ""

    @pytest.mark.parametrize(
        "location", ["http://[", "http://h:port/", "http://\xff\xfe/", "//", ""]
    )
    def test_nonsense_is_refused(
        self, client: ConnectClient, fake: FakeConnect, location: str
    ) -> None:
        fake.misbehave("GET", "v1/user", redirect(location), times=9)
        with pytest.raises((RefusedError, AnswerError), match="GET v1/user"):
            client.me()

    @pytest.mark.parametrize("location", ["https://u:hunter2@127.0.0.1/__api__/v1/content"])
    def test_a_password_in_it_is_not_shown(
        self, client: ConnectClient, fake: FakeConnect, location: str
    ) -> None:
        fake.misbehave("POST", "v1/content$", redirect(location))
        with pytest.raises(RefusedError) as caught:
            client.create_content("sales")
        assert "hunter2" not in str(caught.value)

    def test_circles_end(self, client: ConnectClient, fake: FakeConnect) -> None:
        fake.misbehave("GET", "v1/user", redirect("/__api__/v1/user"), times=99)
        with pytest.raises(RefusedError, match="in a loop"):
            client.me()

    def test_content_that_redirects_away_answers(
        self, client: ConnectClient, fake: FakeConnect
    ) -> None:
        fake.misbehave("GET", "/content/", redirect("https://login.example.com/"))
        assert client.visit("guid").status == 302
