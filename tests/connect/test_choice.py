from __future__ import annotations

from pathlib import Path

import pytest

from hatch_connect.connect.choice import ServerChoice, choose_server, server_to_add
from hatch_connect.connect.servers import Server, ServerStore
from hatch_connect.errors import UsageError
from hatch_connect.secret import Secret

CERTIFICATES = Path(__file__).parent / "certificates"
PROD, LAB, OTHER = (
    "https://prod.example.com",
    "https://lab.example.com",
    "https://other.example.com",
)


@pytest.fixture
def store(tmp_path: Path) -> ServerStore:
    store = ServerStore(tmp_path / "servers.json")
    store.add(Server(name="prod", url=PROD, api_key=Secret("PROD-KEY")))
    store.add(Server(name="lab", url=LAB, api_key=Secret("LAB-KEY"), insecure=True))
    return store


@pytest.fixture
def empty(tmp_path: Path) -> ServerStore:
    return ServerStore(tmp_path / "none.json")


def test_the_call_wins_over_the_environment_over_the_project_over_the_store(
    store: ServerStore,
) -> None:
    environ = {"CONNECT_SERVER": LAB, "CONNECT_API_KEY": "ENV-KEY"}
    by_name = choose_server(ServerChoice(name="prod"), environ=environ, configured=LAB, store=store)
    assert (by_name.url, by_name.api_key) == (PROD, Secret("PROD-KEY"))
    by_url = choose_server(ServerChoice(server=PROD), environ=environ, configured=LAB, store=store)
    assert (by_url.url, by_url.source) == (PROD, "the option --server")
    by_environ = choose_server(ServerChoice(), environ=environ, configured="prod", store=store)
    assert (by_environ.url, by_environ.api_key) == (LAB, Secret("ENV-KEY"))
    assert by_environ.source == "CONNECT_SERVER"
    by_project = choose_server(ServerChoice(), environ={}, configured="prod", store=store)
    assert (by_project.url, by_project.name) == (PROD, "prod")
    store.add(Server(name="lab", url=LAB, api_key=Secret("LAB-KEY")), default=True)
    assert choose_server(ServerChoice(), environ={}, configured=None, store=store).name == "lab"


def test_urls_are_understood_wherever_they_come_from(store: ServerStore) -> None:
    for choice, environ, configured in (
        (ServerChoice(server=f"{PROD}/__api__/"), {}, None),
        (ServerChoice(), {"CONNECT_SERVER": f"{PROD}/connect/#/apps/x"}, None),
        (ServerChoice(), {}, f"{PROD}/"),
    ):
        chosen = choose_server(choice, environ=environ, configured=configured, store=store)
        assert (chosen.url, chosen.api_key) == (PROD, Secret("PROD-KEY"))


class TestKeys:
    """A key goes only where it belongs."""

    def key(
        self,
        store: ServerStore,
        choice: ServerChoice,
        environ: dict[str, str],
        configured: str | None = None,
    ) -> str:
        chosen = choose_server(choice, environ=environ, configured=configured, store=store)
        assert chosen.api_key is not None
        return chosen.api_key.reveal()

    def refusal(
        self,
        store: ServerStore,
        choice: ServerChoice,
        environ: dict[str, str],
        configured: str | None = None,
    ) -> str:
        with pytest.raises(UsageError) as caught:
            choose_server(choice, environ=environ, configured=configured, store=store)
        return str(caught.value)

    def test_the_calls_key_goes_wherever_the_call_means(self, store: ServerStore) -> None:
        given = Secret("CALL-KEY")
        environ = {"CONNECT_API_KEY": "ENV-KEY"}
        assert self.key(store, ServerChoice(name="prod", api_key=given), environ) == "CALL-KEY"
        assert self.key(store, ServerChoice(server=OTHER, api_key=given), environ) == "CALL-KEY"
        assert self.key(store, ServerChoice(api_key=given), environ, OTHER) == "CALL-KEY"

    def test_the_environments_key_goes_to_the_calls_url(self, store: ServerStore) -> None:
        environ = {"CONNECT_API_KEY": "ENV-KEY"}
        assert self.key(store, ServerChoice(server=OTHER), environ) == "ENV-KEY"
        assert self.key(store, ServerChoice(server=PROD), environ) == "ENV-KEY"

    def test_a_stored_server_keeps_its_own_key(self, store: ServerStore) -> None:
        assert self.key(store, ServerChoice(name="prod"), {"CONNECT_API_KEY": "K"}) == "PROD-KEY"
        assert self.key(store, ServerChoice(), {"CONNECT_API_KEY": "K"}, PROD) == "PROD-KEY"

    def test_one_stored_without_a_key_takes_the_environments(self, store: ServerStore) -> None:
        store.add(Server(name="bare", url=OTHER))
        assert self.key(store, ServerChoice(name="bare"), {"CONNECT_API_KEY": "K"}) == "K"
        assert self.key(store, ServerChoice(), {"CONNECT_API_KEY": "K"}, OTHER) == "K"

    def test_the_environments_key_for_exactly_this_server(self, store: ServerStore) -> None:
        environ = {"CONNECT_SERVER": f"{PROD}/", "CONNECT_API_KEY": "ENV-KEY"}
        assert self.key(store, ServerChoice(name="prod"), environ) == "ENV-KEY"
        assert self.key(store, ServerChoice(), {"CONNECT_SERVER": PROD}) == "PROD-KEY"

    def test_no_key_but_the_calls_goes_to_a_url_that_only_the_project_names(
        self, store: ServerStore
    ) -> None:
        said = self.refusal(store, ServerChoice(), {"CONNECT_API_KEY": "ENV-KEY"}, OTHER)
        assert f"There is no API key for {OTHER}" in said
        assert "only pyproject.toml names" in said
        assert f"hatch-connect add --name NAME --server {OTHER}" in said
        assert f"CONNECT_SERVER={OTHER}" in said
        assert "ENV-KEY" not in said

    def test_connect_servers_key_does_not_go_to_another(self, store: ServerStore) -> None:
        environ = {"CONNECT_SERVER": PROD, "CONNECT_API_KEY": "ENV-KEY"}
        assert "belongs to CONNECT_SERVER" in self.refusal(
            store, ServerChoice(server=OTHER), environ
        )
        assert self.key(store, ServerChoice(name="lab"), environ) == "LAB-KEY"

    def test_none_at_all(self, empty: ServerStore) -> None:
        said = self.refusal(empty, ServerChoice(server=OTHER), {})
        assert f"There is no API key for {OTHER}, which comes from the option --server." in said

    def test_white_space_around_it_is_no_part_of_it(self, empty: ServerStore) -> None:
        assert self.key(empty, ServerChoice(server=PROD), {"CONNECT_API_KEY": " K\n"}) == "K"

    @pytest.mark.parametrize("value", ["a b", "a\nb", "schlüssel", "a\x00"])
    def test_what_cannot_be_one(self, empty: ServerStore, value: str) -> None:
        choice = ServerChoice(server=PROD, api_key=Secret(value))
        said = self.refusal(empty, choice, {})
        assert "characters that no API key has" in said
        assert value not in said


class TestRefusals:
    @pytest.mark.parametrize(
        ("choice", "environ", "configured", "expected"),
        [
            (ServerChoice(name="a", server=PROD), {}, None, "Both a nickname"),
            (ServerChoice(name="nope"), {}, None, "called `nope`, which the option --name names"),
            (ServerChoice(), {}, "nope", r"`nope`, which `tool\.hatch-connect\.server`"),
            (ServerChoice(), {}, None, "No server is named"),
            (ServerChoice(server="prod"), {}, None, "is a nickname, not a URL"),
            (ServerChoice(server="host"), {}, None, "comes from the option --server"),
            (ServerChoice(), {"CONNECT_SERVER": "x"}, None, "comes from CONNECT_SERVER"),
            (ServerChoice(), {}, "ftp://x", "comes from `tool.hatch-connect.server`"),
        ],
    )
    def test_say_what_was_tried_and_the_next_step(
        self,
        store: ServerStore,
        choice: ServerChoice,
        environ: dict[str, str],
        configured: str | None,
        expected: str,
    ) -> None:
        with pytest.raises(UsageError, match=expected) as caught:
            choose_server(choice, environ=environ, configured=configured, store=store)
        assert caught.value.hint

    def test_a_stored_url_that_is_none(self, store: ServerStore) -> None:
        store.add(Server(name="odd", url="connect.example.com", api_key=Secret("K")))
        with pytest.raises(UsageError, match="comes from the server 'odd' in"):
            choose_server(ServerChoice(name="odd"), environ={}, configured=None, store=store)

    def test_name_the_servers_there_are(self, store: ServerStore, empty: ServerStore) -> None:
        with pytest.raises(UsageError, match="Known servers: `lab`, `prod`"):
            choose_server(ServerChoice(name="x"), environ={}, configured=None, store=store)
        with pytest.raises(UsageError, match="hatch-connect add --name NAME --server URL"):
            choose_server(ServerChoice(), environ={}, configured=None, store=empty)


class TestTrust:
    @pytest.mark.parametrize(
        ("choice", "environ", "insecure"),
        [
            (ServerChoice(name="prod"), {}, False),
            (ServerChoice(name="prod", insecure=True), {}, True),
            (ServerChoice(name="lab"), {}, True),
            (ServerChoice(name="lab", insecure=False), {"CONNECT_INSECURE": "1"}, False),
            (ServerChoice(name="prod"), {"CONNECT_INSECURE": "true"}, True),
            (ServerChoice(name="lab"), {"CONNECT_INSECURE": "False"}, False),
            (ServerChoice(name="prod"), {"CONNECT_INSECURE": ""}, False),
            (ServerChoice(name="prod"), {"CONNECT_SERVER": LAB, "CONNECT_INSECURE": "1"}, False),
        ],
    )
    def test_insecure(
        self, store: ServerStore, choice: ServerChoice, environ: dict[str, str], *, insecure: bool
    ) -> None:
        chosen = choose_server(choice, environ=environ, configured=None, store=store)
        assert chosen.insecure is insecure

    def test_certificates(self, store: ServerStore) -> None:
        pem = CERTIFICATES / "ca.pem"
        store.add(Server(name="own", url=OTHER, api_key=Secret("K"), ca_cert="PEM"))
        environ = {"CONNECT_CA_CERTIFICATE": str(pem)}
        for choice, told, expected in (
            (ServerChoice(name="prod"), {}, None),
            (ServerChoice(name="own"), {}, "PEM"),
            (ServerChoice(name="own"), environ, pem.read_text()),
            (ServerChoice(name="own", cacert=pem), {}, pem.read_text()),
        ):
            chosen = choose_server(choice, environ=told, configured=None, store=store)
            assert chosen.ca_cert == expected

    @pytest.mark.parametrize(
        ("name", "data", "expected"),
        [
            ("ca.crt", None, "openssl x509 -inform der -in .*ca.crt -out .*ca.pem"),
            ("text.pem", b"hello", "-----BEGIN CERTIFICATE-----"),
            ("none.pem", b"", "-----BEGIN CERTIFICATE-----"),
            (
                "broken.pem",
                b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
                "holds no certificate",
            ),
        ],
    )
    def test_what_is_no_pem_is_refused(
        self, store: ServerStore, tmp_path: Path, name: str, data: bytes | None, expected: str
    ) -> None:
        path = tmp_path / name
        path.write_bytes((CERTIFICATES / "ca.der").read_bytes() if data is None else data)
        with pytest.raises(UsageError, match=expected):
            choose_server(
                ServerChoice(name="prod", cacert=path), environ={}, configured=None, store=store
            )

    def test_a_missing_file(self, store: ServerStore, tmp_path: Path) -> None:
        choice = ServerChoice(name="prod", cacert=tmp_path / "none")
        with pytest.raises(UsageError, match="cannot be read"):
            choose_server(choice, environ={}, configured=None, store=store)


class TestAdding:
    def test_what_is_given(self) -> None:
        choice = ServerChoice(name="prod", server=f"{PROD}/", insecure=True)
        server = server_to_add(choice, environ={"CONNECT_API_KEY": "K"})
        assert (server.name, server.url, server.api_key) == ("prod", PROD, Secret("K"))
        assert server.insecure

    def test_the_environments_server(self) -> None:
        environ = {"CONNECT_SERVER": PROD, "CONNECT_API_KEY": "K"}
        assert server_to_add(ServerChoice(name="prod"), environ=environ).url == PROD

    def test_nothing(self) -> None:
        with pytest.raises(UsageError, match="Which server"):
            server_to_add(ServerChoice(name="prod"), environ={})

    def test_no_key(self) -> None:
        with pytest.raises(UsageError, match="no API key"):
            server_to_add(ServerChoice(name="prod", server=PROD), environ={})
