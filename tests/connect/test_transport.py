from __future__ import annotations

import base64
import email.utils
import time
from typing import TYPE_CHECKING

import pytest
from support.fake_connect import FakeConnect
from support.fake_proxy import FakeProxy
from support.faults import Drop, Hang, Say, html
from support.tls import CA, closed_port, serving

from hatch_connect.connect import transport
from hatch_connect.connect.transport import Http
from hatch_connect.errors import RefusedError, TimedOutError, UnreachableError
from hatch_connect.events import Note
from hatch_connect.secret import Secret

if TYPE_CHECKING:
    from support.connecting import Connecting

    from hatch_connect.connect.client import ConnectClient
    from hatch_connect.events import Event


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

    @pytest.mark.parametrize("status", [502, 503, 504])
    def test_connects_own_refusals_are_final(
        self, client: ConnectClient, fake: FakeConnect, status: int
    ) -> None:
        refused = Say(status, b'{"code": 105, "error": "TensorFlow is not licensed"}')
        fake.misbehave("GET", "v1/user", refused, times=99)
        fake.misbehave("POST", "v1/content$", refused, times=99)
        with pytest.raises(RefusedError, match="code 105"):
            client.me()
        with pytest.raises(RefusedError, match="code 105"):
            client.create_content("sales")
        assert fake.calls() == ["GET v1/user", "POST v1/content"]

    def test_a_gateways_code_is_not_connects(
        self, client: ConnectClient, fake: FakeConnect
    ) -> None:
        gateways = Say(502, b'{"code": 502, "error": "Bad Gateway"}')
        fake.misbehave("GET", "v1/user", gateways)
        fake.misbehave("POST", "v1/content$", gateways)
        assert client.me().username == "ada"
        assert client.create_content("sales").name == "sales"
        assert fake.calls().count("POST v1/content") == 2

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

    @pytest.mark.parametrize("hours", [-3, 0, 3])
    def test_a_date_to_wait_for_is_read_by_the_servers_clock(
        self, client: ConnectClient, fake: FakeConnect, events: list[Event], hours: int
    ) -> None:
        now = time.time() + hours * 3600
        dates = (
            ("Date", email.utils.formatdate(now, usegmt=True)),
            ("Retry-After", email.utils.formatdate(now + 1, usegmt=True)),
        )
        fake.misbehave("GET", "v1/user", Say(503, b"{}", dates))
        start = time.monotonic()
        assert client.me().username == "ada"
        assert time.monotonic() - start >= 1
        assert events == [Note(text=f"127.0.0.1:{fake.port} asks to wait 1 s.")]

    @pytest.mark.parametrize("value", ["soon", "-1", "Thu, 99 Foo 2026", ""])
    def test_nonsense_to_wait_for_is_ignored(
        self, client: ConnectClient, fake: FakeConnect, value: str
    ) -> None:
        fake.misbehave("GET", "v1/user", Say(503, b"{}", (("Retry-After", value),)))
        assert client.me().username == "ada"

    @pytest.mark.parametrize("value", ["3600", "9" * 5000])
    def test_nobody_waits_an_hour(
        self, client: ConnectClient, fake: FakeConnect, value: str
    ) -> None:
        fake.misbehave("GET", "v1/user", Say(429, b"{}", (("Retry-After", value),)))
        with pytest.raises(RefusedError, match="HTTP 429"):
            client.me()
        assert len(fake.requests) == 1


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


class TestShortAnswers:
    def test_are_not_waited_for_as_long_as_others(
        self, fake: FakeConnect, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        assert transport._SHORTLY <= 60  # noqa: SLF001 - a lock is held meanwhile
        monkeypatch.setattr(transport, "_SHORTLY", 0.2)
        fake.misbehave("POST", "token", Hang(600))
        with pytest.raises(TimedOutError, match=r"within 0\.2 s") as caught:
            Http({}).ask_shortly("it", "POST", f"{fake.url}/token")
        assert caught.value.hint == "Try again later."

    def test_are_waited_for_no_longer_than_the_environment_says(self, fake: FakeConnect) -> None:
        fake.misbehave("POST", "token", Hang(600))
        http = Http({"CONNECT_REQUEST_TIMEOUT": "0.2"})
        with pytest.raises(TimedOutError, match=r"within 0\.2 s") as caught:
            http.ask_shortly("it", "POST", f"{fake.url}/token")
        assert "CONNECT_REQUEST_TIMEOUT" in str(caught.value.hint)
