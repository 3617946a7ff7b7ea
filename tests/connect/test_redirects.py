from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.fake_connect import FakeConnect
from support.faults import redirect
from support.tls import CA, serving

from hatch_connect.errors import (
    AnswerError,
    RefusedError,
)
from hatch_connect.events import Warned

if TYPE_CHECKING:
    from support.connecting import Connecting

    from hatch_connect.connect.client import ConnectClient
    from hatch_connect.events import Event


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
