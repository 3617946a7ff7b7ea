from __future__ import annotations

import socket
import ssl
from typing import TYPE_CHECKING

import pytest
from support.fake_connect import FakeConnect
from support.tls import CA, CERTIFICATES, closed_port, serving

from hatch_connect.connect.tls import tls_context
from hatch_connect.errors import (
    HatchConnectError,
    UnreachableError,
    UsageError,
)
from hatch_connect.events import Warned

if TYPE_CHECKING:
    from pathlib import Path

    from support.connecting import Connecting

    from hatch_connect.events import Event


class TestReach:
    def test_nobody_listens(self, connecting: Connecting) -> None:
        with pytest.raises(UnreachableError, match=r"cannot be reached: .*[Rr]efused"):
            connecting(f"http://127.0.0.1:{closed_port()}").me()

    def test_a_create_that_never_left_is_not_looked_for(self, connecting: Connecting) -> None:
        with pytest.raises(UnreachableError, match="cannot be reached"):
            connecting(f"http://127.0.0.1:{closed_port()}").create_content("sales")

    def test_certificates_that_are_none(self, connecting: Connecting) -> None:
        with pytest.raises(UsageError, match="certificate contains no certificate in PEM format"):
            connecting("https://127.0.0.1", ca_cert="PEM").me()

    def test_no_such_name(self, connecting: Connecting) -> None:
        with pytest.raises(UnreachableError, match=r"host name .* cannot be resolved"):
            connecting("http://no-such-host.invalid").me()

    def test_a_name_that_is_none(self, connecting: Connecting) -> None:
        with pytest.raises(
            UnreachableError, match=r"not a valid server address|cannot be resolved"
        ):
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
            (
                "http://connect.example.com is not encrypted: others on the network can read the"
                " API key."
            )
        ]

    def test_local_http_is_not(self, connecting: Connecting, events: list[Event]) -> None:
        connecting("http://127.0.0.1:3939")
        assert events == []


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
            f"The certificate of {fake.url} is not verified (--insecure)."
        ]

    @pytest.mark.parametrize(
        ("served", "ca", "why", "cure"),
        [
            ("expired", True, "it has expired", "renew"),
            ("not-yet", True, "not valid yet", "clock"),
            ("other-name", True, "issued for another name", "a name from the certificate"),
            ("server", False, "issuer is not trusted", "--cacert"),
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
