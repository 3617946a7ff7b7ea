from __future__ import annotations

import base64
import email.utils
import os
import socket
import ssl
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.fake_bundle import Reply
from support.fake_connect import Drop, FakeConnect, Hang, Say, Truncate, html, redirect
from support.fake_proxy import FakeProxy

from hatch_connect.connect.certificates import tls_context
from hatch_connect.errors import (
    AnswerError,
    HatchConnectError,
    NotFoundError,
    RefusedError,
    UnreachableError,
    UsageError,
)
from hatch_connect.events import Note, Warned
from hatch_connect.secret import Secret

if TYPE_CHECKING:
    from support.connecting import Connecting

    from hatch_connect.connect.client import ConnectClient
    from hatch_connect.events import Event

CERTIFICATES = Path(__file__).parent / "certificates"
CA = CERTIFICATES / "ca.pem"


def closed_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port


class TestAnswers:
    @pytest.mark.parametrize(
        ("fault", "expected"),
        [
            (
                html(200, "<html><script>x()</script><h1>Please &amp; log in</h1>"),
                "Please & log in",
            ),
            (Say(200), "is empty"),
            (Say(200, b'{"guid": "abc'), r"not JSON but: \{\"guid\": \"abc"),
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
        with pytest.raises(UnreachableError, match="lost before the whole answer to GET v1/user"):
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
            (html(403, "<title>Forbidden</title><p>By the proxy"), None, "Forbidden By the proxy"),
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

    def test_a_wrong_key_says_what_to_do(self, fake: FakeConnect, connecting: Connecting) -> None:
        with pytest.raises(RefusedError, match="code 30") as caught:
            connecting(fake.url, key="wrong").me()
        assert "hatch-connect add" in str(caught.value)

    def test_what_is_not_there(self, client: ConnectClient) -> None:
        with pytest.raises(NotFoundError) as caught:
            client.content("00000000-0000-4000-8000-000000000000")
        assert caught.value.code == 4


class TestRepeating:
    @pytest.mark.parametrize("fault", [Drop(), Drop(reset=True), html(502, ""), html(504, "")])
    def test_reads_are_repeated(
        self, client: ConnectClient, fake: FakeConnect, fault: Drop | Say
    ) -> None:
        fake.misbehave("GET", "v1/user", fault, times=3)
        assert client.me().username == "ada"

    def test_reads_are_not_repeated_for_ever(
        self, client: ConnectClient, fake: FakeConnect
    ) -> None:
        fake.misbehave("GET", "v1/user", html(503, "<h1>Down</h1>"), times=99)
        with pytest.raises(RefusedError, match="Down"):
            client.me()
        assert len(fake.requests) == 6

    def test_changes_that_may_be_made_twice_are_repeated(
        self, client: ConnectClient, fake: FakeConnect
    ) -> None:
        guid = fake.add_content("sales").guid
        fake.misbehave("PATCH", "environment", Drop())
        client.set_environment(guid, {"A": Secret("b")})
        assert fake.contents[guid].environment == {"A": "b"}

    def test_being_throttled_is_waited_for(
        self, client: ConnectClient, fake: FakeConnect, events: list[Event]
    ) -> None:
        throttled = Say(429, b"{}", (("Retry-After", "1"),))
        fake.misbehave("POST", "v1/content$", throttled)
        start = time.monotonic()
        client.create_content("sales")
        assert time.monotonic() - start >= 1
        assert fake.calls() == ["POST v1/content", "POST v1/content"]
        assert events == [Note(text=f"127.0.0.1:{fake.port} asks to wait 1 s.")]

    def test_a_date_to_wait_for_is_understood(
        self, client: ConnectClient, fake: FakeConnect
    ) -> None:
        date = email.utils.formatdate(time.time() - 5, usegmt=True)
        fake.misbehave("GET", "v1/user", Say(503, b"{}", (("Retry-After", date),)))
        assert client.me().username == "ada"

    @pytest.mark.parametrize("value", ["soon", "-1", ""])
    def test_nonsense_to_wait_for_is_ignored(
        self, client: ConnectClient, fake: FakeConnect, value: str
    ) -> None:
        fake.misbehave("GET", "v1/user", Say(503, b"{}", (("Retry-After", value),)))
        assert client.me().username == "ada"

    def test_nobody_waits_an_hour(self, client: ConnectClient, fake: FakeConnect) -> None:
        fake.misbehave("GET", "v1/user", Say(429, b"{}", (("Retry-After", "3600"),)))
        with pytest.raises(RefusedError, match="HTTP 429"):
            client.me()
        assert len(fake.requests) == 1


class TestTimeouts:
    def test_a_server_that_hangs(self, fake: FakeConnect, connecting: Connecting) -> None:
        fake.misbehave("GET", "v1/user", Hang(9), times=9)
        client = connecting(fake.url, environ={"CONNECT_REQUEST_TIMEOUT": "0.1"})
        with pytest.raises(UnreachableError, match=r"did not answer GET v1/user within 0.1 s"):
            client.me()
        assert len(fake.requests) == 2

    def test_a_long_poll_may_take_its_time(self, fake: FakeConnect, connecting: Connecting) -> None:
        fake.misbehave("GET", "v1/tasks", Hang(0.3))
        client = connecting(fake.url, environ={"CONNECT_REQUEST_TIMEOUT": "0.1"})
        with pytest.raises(NotFoundError):
            client.task("none", wait=1)
        assert fake.requests[0].query == {"first": "0", "wait": "1"}

    @pytest.mark.parametrize("value", ["soon", "-1", "inf", "nan"])
    def test_nonsense(self, connecting: Connecting, value: str) -> None:
        with pytest.raises(UsageError, match="CONNECT_REQUEST_TIMEOUT"):
            connecting("http://127.0.0.1", environ={"CONNECT_REQUEST_TIMEOUT": value})

    @pytest.mark.parametrize("value", ["", "0", "2.5"])
    def test_sense(self, fake: FakeConnect, connecting: Connecting, value: str) -> None:
        assert connecting(fake.url, environ={"CONNECT_REQUEST_TIMEOUT": value}).me().username


class TestReach:
    def test_nobody_listens(self, connecting: Connecting) -> None:
        with pytest.raises(UnreachableError, match=r"cannot be reached: .*[Rr]efused"):
            connecting(f"http://127.0.0.1:{closed_port()}").me()

    def test_a_create_that_never_left_is_not_looked_for(self, connecting: Connecting) -> None:
        with pytest.raises(UnreachableError, match="cannot be reached"):
            connecting(f"http://127.0.0.1:{closed_port()}").create_content("sales")

    def test_no_such_name(self, connecting: Connecting) -> None:
        with pytest.raises(UnreachableError, match=r"name .* is not known"):
            connecting("http://no-such-host.invalid").me()

    def test_a_name_that_is_none(self, connecting: Connecting) -> None:
        with pytest.raises(UnreachableError, match=r"no address|not known"):
            connecting(f"http://{'a' * 70}.example").me()

    def test_something_else_listens(self, connecting: Connecting) -> None:
        import threading

        with socket.create_server(("127.0.0.1", 0)) as listener:

            def greet() -> None:
                for _ in range(9):
                    try:
                        connection, _address = listener.accept()
                    except OSError:
                        return
                    with connection:
                        connection.recv(1000)
                        connection.sendall(b"SSH-2.0-x\r\n")

            threading.Thread(target=greet, daemon=True).start()
            with pytest.raises(HatchConnectError):
                connecting(f"http://127.0.0.1:{listener.getsockname()[1]}").me()

    def test_a_path_prefix(self, connecting: Connecting) -> None:
        with FakeConnect(prefix="/rsc") as fake:
            client = connecting(fake.url)
            assert client.create_content("sales").content_url.startswith(f"{fake.url}/content/")

    def test_http_over_the_network_is_warned_of(
        self, connecting: Connecting, events: list[Event]
    ) -> None:
        connecting("http://connect.example.com")
        assert [e.text for e in events if isinstance(e, Warned)] == [
            "http://connect.example.com is not encrypted: others on the way can read the API key."
        ]

    def test_local_http_is_not(self, connecting: Connecting, events: list[Event]) -> None:
        connecting("http://127.0.0.1:3939")
        assert events == []


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
            with pytest.raises(RefusedError, match="want a login"):
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
        with pytest.raises(RefusedError, match="in circles"):
            client.me()

    def test_content_that_redirects_away_answers(
        self, client: ConnectClient, fake: FakeConnect
    ) -> None:
        fake.misbehave("GET", "/content/", redirect("https://login.example.com/"))
        assert client.visit("guid").status == 302


class TestVisits:
    def test_a_failure_is_seen_as_it_is(self, client: ConnectClient, fake: FakeConnect) -> None:
        fake.misbehave("GET", "/content/", html(503, "<h1>The app did not start</h1>"))
        seen = client.visit("guid")
        assert (seen.status, seen.content_type) == (503, "text/html")
        assert seen.text == "The app did not start"

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


class TestProxies:
    @pytest.mark.parametrize("name", ["HTTP_PROXY", "http_proxy", "ALL_PROXY"])
    def test_is_used(self, fake: FakeConnect, connecting: Connecting, name: str) -> None:
        with FakeProxy() as proxy:
            client = connecting(fake.url, environ={name: f"http://{proxy.address}"})
            assert client.find_content("a b") == ()
            assert proxy.asked == [f"GET {fake.url}/__api__/v1/content?name=a+b"]

    def test_tunnels_https(self, connecting: Connecting) -> None:
        with FakeProxy() as proxy, FakeConnect(tls=serving("server")) as fake:
            environ = {"HTTPS_PROXY": proxy.address, "SSL_CERT_FILE": str(CA)}
            assert connecting(fake.url, environ=environ).me().username
            assert proxy.asked == [f"CONNECT 127.0.0.1:{fake.port}"]

    @pytest.mark.parametrize(
        ("no_proxy", "used"),
        [
            ("", True),
            (" ", True),
            ("example.com", True),
            ("127.0.0.1", False),
            ("127.0.0.1:{port}", False),
            ("127.0.0.1:1", True),
            ("*", False),
            ("other, 127.0.0.0/8", False),
            ("10.0.0.0/8", True),
        ],
    )
    def test_no_proxy(
        self, fake: FakeConnect, connecting: Connecting, no_proxy: str, *, used: bool
    ) -> None:
        with FakeProxy() as proxy:
            environ = {
                "HTTP_PROXY": f"http://{proxy.address}",
                "NO_PROXY": no_proxy.format(port=fake.port),
            }
            assert connecting(fake.url, environ=environ).me().username
            assert bool(proxy.asked) is used

    @pytest.mark.parametrize("tls", [False, True])
    def test_with_a_password(self, connecting: Connecting, *, tls: bool) -> None:
        credentials = base64.b64encode(b"user:p@ss").decode()
        served = serving("server") if tls else None
        with FakeProxy(credentials=credentials) as proxy, FakeConnect(tls=served) as fake:
            url = f"http://user:p%40ss@{proxy.address}"
            environ = {"HTTP_PROXY": url, "HTTPS_PROXY": url, "SSL_CERT_FILE": str(CA)}
            assert connecting(fake.url, environ=environ).me().username

    @pytest.mark.parametrize("tls", [False, True])
    def test_with_a_wrong_password_says_so_and_hides_it(
        self, connecting: Connecting, *, tls: bool
    ) -> None:
        served = serving("server") if tls else None
        with FakeProxy(credentials="secret") as proxy, FakeConnect(tls=served) as fake:
            url = f"http://user:hunter2@{proxy.address}"
            environ = {"HTTP_PROXY": url, "HTTPS_PROXY": url}
            with pytest.raises((UnreachableError, RefusedError), match="407") as caught:
                connecting(fake.url, environ=environ).me()
            assert "HTTPS_PROXY" in str(caught.value)
            assert "hunter2" not in str(caught.value)

    @pytest.mark.parametrize(
        "address", ["http://user:hunter2@127.0.0.1:{port}", "http://", "http://["]
    )
    def test_that_is_not_there(
        self, fake: FakeConnect, connecting: Connecting, address: str
    ) -> None:
        environ = {"HTTP_PROXY": address.format(port=closed_port())}
        with pytest.raises(UnreachableError, match="proxy") as caught:
            connecting(fake.url, environ=environ).me()
        assert "hunter2" not in str(caught.value)


def serving(name: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATES / f"{name}.pem")
    return context


class TestTls:
    @pytest.mark.parametrize(
        "environ",
        [
            {"SSL_CERT_FILE": str(CA)},
            {"REQUESTS_CA_BUNDLE": str(CA)},
            {"CURL_CA_BUNDLE": str(CA), "SSL_CERT_FILE": ""},
        ],
    )
    def test_certificates_of_the_environment(
        self, connecting: Connecting, environ: dict[str, str]
    ) -> None:
        with FakeConnect(tls=serving("server")) as fake:
            assert connecting(fake.url, environ=environ).me().username

    def test_given_certificates_win_over_the_environments(self, connecting: Connecting) -> None:
        with FakeConnect(tls=serving("server")) as fake:
            environ = {"REQUESTS_CA_BUNDLE": "/nowhere", "SSL_CERT_FILE": "/nowhere"}
            assert connecting(fake.url, environ=environ, ca_cert=CA.read_text()).me().username

    def test_a_servers_own_certificate_is_enough(self, connecting: Connecting) -> None:
        own = (CERTIFICATES / "server.pem").read_text()
        with FakeConnect(tls=serving("server")) as fake:
            assert connecting(fake.url, ca_cert=own[own.index("-----BEGIN CERT") :]).me().username

    def test_insecure_is_warned_of_and_works(
        self, connecting: Connecting, events: list[Event]
    ) -> None:
        with FakeConnect(tls=serving("expired")) as fake:
            environ = {"REQUESTS_CA_BUNDLE": "/nowhere"}
            client = connecting(fake.url, insecure=True, environ=environ)
            assert client.me().username
            assert client.me().username
        assert [e.text for e in events if isinstance(e, Warned)] == [
            f"The certificate of {fake.url} is not checked (--insecure)."
        ]

    @pytest.mark.parametrize(
        ("served", "ca", "why", "cure"),
        [
            ("expired", True, "it has expired", "renew"),
            ("not-yet", True, "not valid yet", "clock"),
            ("other-name", True, "made out to another name", "name that the certificate holds"),
            ("server", False, "issuer is not known", "--cacert"),
        ],
    )
    def test_a_failure_says_why_and_what_to_do(
        self, connecting: Connecting, served: str, why: str, cure: str, *, ca: bool
    ) -> None:
        with FakeConnect(tls=serving(served)) as fake:
            client = connecting(fake.url, ca_cert=CA.read_text() if ca else None)
            with pytest.raises(UnreachableError, match=why) as caught:
                client.me()
            assert cure in (caught.value.hint or "")
            assert fake.requests == []

    def test_a_server_that_speaks_http(self, fake: FakeConnect, connecting: Connecting) -> None:
        with pytest.raises(UnreachableError, match="does not speak TLS") as caught:
            connecting(fake.url.replace("http:", "https:")).me()
        assert "http://" in str(caught.value)

    def test_a_folder_of_certificates(self, connecting: Connecting, tmp_path: Path) -> None:
        # OpenSSL finds a certificate in a folder by the hash of its subject.
        name = "d80983aa.0"
        (tmp_path / name).write_bytes(CA.read_bytes())
        with FakeConnect(tls=serving("server")) as fake:
            assert connecting(fake.url, environ={"SSL_CERT_DIR": str(tmp_path)}).me().username

    def test_without_a_store_of_the_system_the_bundled_one_is_used(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        nowhere = ssl.get_default_verify_paths()._replace(
            cafile=None,  # type: ignore[arg-type] # None where there is no such file
            capath=None,  # type: ignore[arg-type]
        )
        monkeypatch.setattr(ssl, "get_default_verify_paths", lambda: nowhere)
        monkeypatch.setattr(ssl.SSLContext, "load_default_certs", lambda _self: None)
        assert tls_context({}, insecure=False, ca_cert=None).get_ca_certs()

    def test_certificates_of_the_environment_that_are_none(self, connecting: Connecting) -> None:
        with pytest.raises(UsageError, match="REQUESTS_CA_BUNDLE names /nowhere"):
            connecting("https://x", environ={"REQUESTS_CA_BUNDLE": "/nowhere"})
