from __future__ import annotations

import re
from pathlib import Path

import pytest
from support.bundles import Heard

from hatch_connect.connect.credentials import ApiKey
from hatch_connect.connect.resolve_server import ServerOptions, resolve_server, server_to_add
from hatch_connect.connect.servers import Server, ServerStore
from hatch_connect.errors import UsageError
from hatch_connect.events import Note, Warned
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
    store.add(Server(name="prod", url=PROD, credential=ApiKey(Secret("PROD-KEY"))))
    store.add(Server(name="lab", url=LAB, credential=ApiKey(Secret("LAB-KEY")), insecure=True))
    return store


@pytest.fixture
def empty(tmp_path: Path) -> ServerStore:
    return ServerStore(tmp_path / "none.json")


def test_the_call_wins_over_the_environment_over_the_project_over_the_store(
    store: ServerStore,
) -> None:
    environ = {"CONNECT_SERVER": LAB, "CONNECT_API_KEY": "ENV-KEY"}
    by_name = resolve_server(
        ServerOptions(name="prod"), environ=environ, configured=LAB, store=store
    )
    assert (by_name.url, by_name.credential) == (PROD, ApiKey(Secret("PROD-KEY")))
    by_url = resolve_server(
        ServerOptions(server=PROD), environ=environ, configured=LAB, store=store
    )
    assert (by_url.url, by_url.source) == (PROD, "the --server option")
    by_environ = resolve_server(ServerOptions(), environ=environ, configured="prod", store=store)
    assert (by_environ.url, by_environ.credential) == (LAB, ApiKey(Secret("ENV-KEY")))
    assert by_environ.source == "CONNECT_SERVER"
    by_project = resolve_server(ServerOptions(), environ={}, configured="prod", store=store)
    assert (by_project.url, by_project.name) == (PROD, "prod")
    store.add(Server(name="lab", url=LAB, credential=ApiKey(Secret("LAB-KEY"))), default=True)
    assert resolve_server(ServerOptions(), environ={}, configured=None, store=store).name == "lab"


def test_urls_are_understood_wherever_they_come_from(store: ServerStore) -> None:
    for choice, environ, configured in (
        (ServerOptions(server=f"{PROD}/__api__/"), {}, None),
        (ServerOptions(), {"CONNECT_SERVER": f"{PROD}/connect/#/apps/x"}, None),
        (ServerOptions(), {}, f"{PROD}/"),
    ):
        chosen = resolve_server(choice, environ=environ, configured=configured, store=store)
        assert (chosen.url, chosen.credential) == (PROD, ApiKey(Secret("PROD-KEY")))


class TestKeys:
    """A key goes only where it belongs."""

    def key(
        self,
        store: ServerStore,
        choice: ServerOptions,
        environ: dict[str, str],
        configured: str | None = None,
    ) -> str:
        chosen = resolve_server(choice, environ=environ, configured=configured, store=store)
        assert isinstance(chosen.credential, ApiKey)
        return chosen.credential.key.reveal()

    def refusal(
        self,
        store: ServerStore,
        choice: ServerOptions,
        environ: dict[str, str],
        configured: str | None = None,
    ) -> str:
        with pytest.raises(UsageError) as caught:
            resolve_server(choice, environ=environ, configured=configured, store=store)
        return str(caught.value)

    def test_the_calls_key_goes_wherever_the_call_means(self, store: ServerStore) -> None:
        given = Secret("CALL-KEY")
        environ = {"CONNECT_API_KEY": "ENV-KEY"}
        assert self.key(store, ServerOptions(name="prod", api_key=given), environ) == "CALL-KEY"
        assert self.key(store, ServerOptions(server=OTHER, api_key=given), environ) == "CALL-KEY"
        assert self.key(store, ServerOptions(api_key=given), environ, OTHER) == "CALL-KEY"

    def test_the_environments_key_goes_to_the_calls_url(self, store: ServerStore) -> None:
        environ = {"CONNECT_API_KEY": "ENV-KEY"}
        assert self.key(store, ServerOptions(server=OTHER), environ) == "ENV-KEY"
        assert self.key(store, ServerOptions(server=PROD), environ) == "ENV-KEY"

    def test_the_environments_key_counts_before_a_stored_one(self, store: ServerStore) -> None:
        for choice, configured in (
            (ServerOptions(name="prod"), None),
            (ServerOptions(server=PROD), None),
            (ServerOptions(), PROD),
            (ServerOptions(), "prod"),
        ):
            heard = Heard()
            chosen = resolve_server(
                choice,
                environ={"CONNECT_API_KEY": "ENV-KEY"},
                configured=configured,
                store=store,
                report=heard,
            )
            assert isinstance(chosen.credential, ApiKey)
            key = chosen.credential.key.reveal()
            assert (key, chosen.credential.source) == ("ENV-KEY", "the environment")
            text = "CONNECT_API_KEY takes precedence over the key that is saved for `prod`."
            assert heard.events == [Note(text=text)]
        heard = Heard()
        for environ in ({"CONNECT_API_KEY": "PROD-KEY"}, {}, {"CONNECT_API_KEY": ""}):
            resolve_server(
                ServerOptions(name="prod"),
                environ=environ,
                configured=None,
                store=store,
                report=heard,
            )
        assert heard.events == []

    def test_one_stored_without_a_key_takes_the_environments(self, store: ServerStore) -> None:
        store.add(Server(name="bare", url=OTHER))
        assert self.key(store, ServerOptions(name="bare"), {"CONNECT_API_KEY": "K"}) == "K"
        assert self.key(store, ServerOptions(), {"CONNECT_API_KEY": "K"}, OTHER) == "K"

    def test_the_environments_key_for_exactly_this_server(self, store: ServerStore) -> None:
        environ = {"CONNECT_SERVER": f"{PROD}/", "CONNECT_API_KEY": "ENV-KEY"}
        assert self.key(store, ServerOptions(name="prod"), environ) == "ENV-KEY"
        assert self.key(store, ServerOptions(), {"CONNECT_SERVER": PROD}) == "PROD-KEY"

    def test_no_key_but_the_calls_goes_to_a_url_that_only_the_project_names(
        self, store: ServerStore
    ) -> None:
        said = self.refusal(store, ServerOptions(), {"CONNECT_API_KEY": "ENV-KEY"}, OTHER)
        assert f"There is no API key for {OTHER}" in said
        assert "only pyproject.toml names" in said
        assert f"hatch-connect login {OTHER} --name NAME" in said
        assert f"hatch-connect add --name NAME --server {OTHER}" in said
        assert f"CONNECT_SERVER={OTHER}" in said
        assert "ENV-KEY" not in said

    def test_connect_servers_key_does_not_go_to_another(self, store: ServerStore) -> None:
        environ = {"CONNECT_SERVER": PROD, "CONNECT_API_KEY": "ENV-KEY"}
        assert "is for CONNECT_SERVER" in self.refusal(store, ServerOptions(server=OTHER), environ)
        assert self.key(store, ServerOptions(name="lab"), environ) == "LAB-KEY"

    def test_none_at_all(self, empty: ServerStore) -> None:
        said = self.refusal(empty, ServerOptions(server=OTHER), {})
        assert f"There is no API key for {OTHER} (from the --server option)." in said

    @pytest.mark.parametrize(
        ("environ", "way"),
        [
            ({"GITHUB_ACTIONS": "true"}, "the permission `id-token: write`"),
            ({"GITLAB_CI": "true"}, "let `id_tokens` of this job set CONNECT_IDENTITY_TOKEN"),
            ({"CI": "true"}, "set CONNECT_IDENTITY_TOKEN_FILE"),
        ],
    )
    def test_a_workflow_is_told_its_own_way(
        self, empty: ServerStore, environ: dict[str, str], way: str
    ) -> None:
        said = self.refusal(empty, ServerOptions(server=OTHER), environ)
        assert way in said
        assert "hatch-connect login" not in said

    @pytest.mark.parametrize(
        ("value", "state"),
        [("", "empty"), ("$(KEY)", "an unexpanded reference"), ("${{ x }}", "an unexpanded ref")],
    )
    def test_one_that_ci_does_not_have(
        self, store: ServerStore, empty: ServerStore, value: str, state: str
    ) -> None:
        environ = {"CONNECT_SERVER": PROD, "CONNECT_API_KEY": value}
        assert f"CONNECT_API_KEY is {state}" in self.refusal(empty, ServerOptions(), environ)
        assert self.key(store, ServerOptions(), environ) == "PROD-KEY"
        environ = {"CONNECT_SERVER": ""}
        assert "CONNECT_SERVER (which is empty)" in self.refusal(empty, ServerOptions(), environ)

    def test_one_that_the_call_names_and_does_not_give(self, empty: ServerStore) -> None:
        choice = ServerOptions(server=PROD, api_key=Secret("$(CONNECT_API_KEY)"))
        assert "The API key is an unexpanded reference." in self.refusal(empty, choice, {})

    def test_white_space_around_it_is_no_part_of_it(self, empty: ServerStore) -> None:
        assert self.key(empty, ServerOptions(server=PROD), {"CONNECT_API_KEY": " K\n"}) == "K"

    @pytest.mark.parametrize("value", ["a b", "a\nb", "schlüssel", "a\x00"])
    def test_what_cannot_be_one(self, empty: ServerStore, value: str) -> None:
        choice = ServerOptions(server=PROD, api_key=Secret(value))
        said = self.refusal(empty, choice, {})
        assert "contains invalid characters" in said
        assert value not in said


class TestTables:
    """Tables of `on`, with the URL that each gives or None."""

    def test_a_nickname_that_is_not_stored_says_which_table_speaks_of_connect_server(
        self, store: ServerStore, empty: ServerStore
    ) -> None:
        environ = {"CONNECT_SERVER": OTHER, "CONNECT_API_KEY": "ENV-KEY"}
        for table in (None, OTHER):
            for known in (store, empty):
                chosen = resolve_server(
                    ServerOptions(name="staging"),
                    environ=environ,
                    configured=None,
                    tables={"staging": table, "prod": PROD},
                    store=known,
                )
                assert (chosen.url, chosen.credential) == (OTHER, ApiKey(Secret("ENV-KEY")))
                assert (chosen.table, chosen.source) == ("staging", "CONNECT_SERVER")
        with pytest.raises(UsageError, match=r"Tables in `tool.hatch-connect.on`: staging\."):
            resolve_server(
                ServerOptions(name="stagin"),
                environ=environ,
                configured=None,
                tables={"staging": None},
                store=empty,
            )

    @pytest.mark.parametrize("stored", [True, False])
    def test_a_nickname_beside_another_connect_server_than_the_tables_is_an_error(
        self, store: ServerStore, empty: ServerStore, *, stored: bool
    ) -> None:
        environ = {"CONNECT_SERVER": OTHER, "CONNECT_API_KEY": "ENV-KEY"}
        with pytest.raises(UsageError, match=f"`prod` is {PROD} in .*on.prod.server.*CONNECT_SERV"):
            resolve_server(
                ServerOptions(name="prod"),
                environ=environ,
                configured=None,
                tables={"prod": PROD},
                store=store if stored else empty,
            )

    def test_connect_server_beside_a_nickname_that_is_saved_for_another_server(
        self, store: ServerStore
    ) -> None:
        environ = {"CONNECT_SERVER": OTHER, "CONNECT_API_KEY": "ENV-KEY"}
        said, heard = f"`prod` is saved as {PROD}, but CONNECT_SERVER is {OTHER}", Heard()
        with pytest.raises(UsageError, match=said):
            resolve_server(
                ServerOptions(name="prod"),
                environ=environ,
                configured=None,
                tables={"prod": None},
                store=store,
            )
        chosen = resolve_server(
            ServerOptions(name="prod"),
            environ=environ,
            configured=None,
            store=store,
            report=heard,
        )
        assert chosen.url == PROD
        assert chosen.credential != ApiKey(Secret("ENV-KEY"))
        assert heard.events == [Note(text=f"{said}. CONNECT_SERVER is ignored.")]

    def test_the_store_and_the_table_must_agree(self, store: ServerStore) -> None:
        for choice, configured in ((ServerOptions(name="prod"), None), (ServerOptions(), "prod")):
            with pytest.raises(UsageError, match=f"is {OTHER} in .*'prod' in .* says {PROD}"):
                resolve_server(
                    choice,
                    environ={},
                    configured=configured,
                    tables={"prod": OTHER},
                    store=store,
                )

    def test_a_table_is_found_by_its_url(self, store: ServerStore, empty: ServerStore) -> None:
        tables = {"a": f"{OTHER}/", "lab": PROD, "c": None}
        environ = {"CONNECT_SERVER": OTHER, "CONNECT_API_KEY": "ENV-KEY"}
        heard = Heard()
        for choice, told, known, table in (
            (ServerOptions(), environ, empty, "a"),
            (ServerOptions(server=f"{OTHER}/__api__"), environ, empty, "a"),
            (ServerOptions(name="prod"), {}, store, "lab"),
            (ServerOptions(server=PROD), {}, store, "lab"),
        ):
            chosen = resolve_server(
                choice, environ=told, configured=None, tables=tables, store=known, report=heard
            )
            assert chosen.table == table
        assert heard.events == []
        with pytest.raises(UsageError, match=rf"Several tables .* are for {OTHER}: a, b\."):
            resolve_server(
                ServerOptions(),
                environ=environ,
                configured=None,
                tables={"a": OTHER, "b": OTHER},
                store=empty,
            )

    def test_a_stored_nickname_is_the_tables(self, store: ServerStore) -> None:
        for choice, configured in (
            (ServerOptions(name="prod"), None),
            (ServerOptions(server=PROD), None),
            (ServerOptions(), "prod"),
        ):
            chosen = resolve_server(
                choice, environ={}, configured=configured, tables={"prod": None}, store=store
            )
            assert chosen.table == "prod"

    def test_where_none_is_for_the_server_a_warning_names_them(self, store: ServerStore) -> None:
        environ = {"CONNECT_SERVER": OTHER, "CONNECT_API_KEY": "ENV-KEY"}
        calls: tuple[tuple[ServerOptions, dict[str, str], type, str], ...] = (
            (ServerOptions(), environ, Warned, f"is for {OTHER} (CONNECT_SERVER); "),
            (ServerOptions(name="prod"), {}, Note, "is for prod: only the main table counts; "),
        )
        for choice, told, kind, said in calls:
            heard = Heard()
            chosen = resolve_server(
                choice,
                environ=told,
                configured=None,
                tables={"staging": None, "lab": LAB},
                store=store,
                report=heard,
            )
            assert chosen.table is None
            (event,) = heard.events
            assert isinstance(event, (Note, Warned))
            assert type(event) is kind
            assert said in event.text
            assert "there are: staging, lab." in event.text

    @pytest.mark.parametrize("configured", [None, "staging"])
    def test_no_key_but_the_calls_goes_to_a_url_that_only_a_table_gives(
        self, store: ServerStore, empty: ServerStore, configured: str | None
    ) -> None:
        name = None if configured else "staging"
        tables = {"staging": OTHER}
        environ = {"CONNECT_API_KEY": "ENV-KEY"}
        for known in (store, empty):
            with pytest.raises(UsageError, match=r"only pyproject\.toml names") as caught:
                resolve_server(
                    ServerOptions(name=name),
                    environ=environ,
                    configured=configured,
                    tables=tables,
                    store=known,
                )
            assert f"for {OTHER} (from `tool.hatch-connect.on.staging.server`" in str(caught.value)
        given = ServerOptions(name=name, api_key=Secret("CALL-KEY"))
        chosen = resolve_server(
            given, environ=environ, configured=configured, tables=tables, store=empty
        )
        assert (chosen.url, chosen.credential, chosen.table) == (
            OTHER,
            ApiKey(Secret("CALL-KEY")),
            "staging",
        )
        store.add(Server(name="else", url=OTHER, credential=ApiKey(Secret("STORED"))))
        for told, counts in (({}, "STORED"), (environ, "ENV-KEY")):
            chosen = resolve_server(
                ServerOptions(name=name),
                environ=told,
                configured=configured,
                tables=tables,
                store=store,
            )
            assert (chosen.credential, chosen.table) == (ApiKey(Secret(counts)), "staging")

    def test_a_broken_store_is_not_needed_for_a_nickname_that_a_table_has(
        self, tmp_path: Path
    ) -> None:
        (tmp_path / "servers.json").write_text("{", encoding="ascii")
        heard = Heard()
        chosen = resolve_server(
            ServerOptions(name="staging"),
            environ={"CONNECT_SERVER": OTHER, "CONNECT_API_KEY": "K"},
            configured=None,
            tables={"staging": None},
            store=ServerStore(tmp_path / "servers.json"),
            report=heard,
        )
        assert (chosen.url, chosen.table) == (OTHER, "staging")
        assert "is broken" in heard.text


class TestRefusals:
    @pytest.mark.parametrize(
        ("choice", "environ", "configured", "expected"),
        [
            (ServerOptions(name="a", server=PROD), {}, None, "mutually exclusive"),
            (ServerOptions(name="nope"), {}, None, "No saved server is named `nope`."),
            (ServerOptions(), {}, "nope", r"`nope` .from `tool\.hatch-connect\.server`"),
            (ServerOptions(), {}, None, "No server is selected"),
            (ServerOptions(server="prod"), {}, None, "is a nickname, not a URL"),
            (ServerOptions(server="host"), {}, None, "comes from the --server option"),
            (ServerOptions(), {"CONNECT_SERVER": "x"}, None, "comes from CONNECT_SERVER"),
            (ServerOptions(), {}, "ftp://x", "comes from `tool.hatch-connect.server`"),
        ],
    )
    def test_say_what_was_tried_and_the_next_step(
        self,
        store: ServerStore,
        choice: ServerOptions,
        environ: dict[str, str],
        configured: str | None,
        expected: str,
    ) -> None:
        with pytest.raises(UsageError, match=expected) as caught:
            resolve_server(choice, environ=environ, configured=configured, store=store)
        assert caught.value.hint

    def test_a_stored_url_that_is_none(self, store: ServerStore) -> None:
        store.add(Server(name="odd", url="connect.example.com", credential=ApiKey(Secret("K"))))
        with pytest.raises(UsageError, match="comes from the server 'odd' in"):
            resolve_server(ServerOptions(name="odd"), environ={}, configured=None, store=store)

    def test_name_the_servers_there_are(self, store: ServerStore, empty: ServerStore) -> None:
        with pytest.raises(UsageError, match="Saved servers: `lab`, `prod`"):
            resolve_server(ServerOptions(name="x"), environ={}, configured=None, store=store)
        with pytest.raises(UsageError, match="hatch-connect add --name NAME --server URL"):
            resolve_server(ServerOptions(), environ={}, configured=None, store=empty)


class TestTrust:
    @pytest.mark.parametrize(
        ("choice", "environ", "insecure"),
        [
            (ServerOptions(name="prod"), {}, False),
            (ServerOptions(name="prod", insecure=True), {}, True),
            (ServerOptions(name="lab"), {}, True),
            (ServerOptions(name="lab", insecure=False), {"CONNECT_INSECURE": "1"}, False),
            (ServerOptions(name="prod"), {"CONNECT_INSECURE": "true"}, True),
            (ServerOptions(name="lab"), {"CONNECT_INSECURE": "False"}, False),
            (ServerOptions(name="prod"), {"CONNECT_INSECURE": ""}, False),
            (ServerOptions(name="prod"), {"CONNECT_SERVER": LAB, "CONNECT_INSECURE": "1"}, False),
        ],
    )
    def test_insecure(
        self, store: ServerStore, choice: ServerOptions, environ: dict[str, str], *, insecure: bool
    ) -> None:
        chosen = resolve_server(choice, environ=environ, configured=None, store=store)
        assert chosen.insecure is insecure

    def test_certificates(self, store: ServerStore) -> None:
        pem = CERTIFICATES / "ca.pem"
        own = (CERTIFICATES / "server.pem").read_text()
        store.add(Server(name="own", url=OTHER, credential=ApiKey(Secret("K")), ca_cert=own))
        environ = {"CONNECT_CA_CERTIFICATE": str(pem)}
        for choice, told, expected in (
            (ServerOptions(name="prod"), {}, None),
            (ServerOptions(name="own"), {}, own),
            (ServerOptions(name="own", insecure=True), {}, None),
            (ServerOptions(name="own"), environ, pem.read_text()),
            (ServerOptions(name="own", cacert=pem), {}, pem.read_text()),
        ):
            chosen = resolve_server(choice, environ=told, configured=None, store=store)
            assert chosen.ca_cert == expected

    def test_a_stored_certificate_may_be_a_path(self, store: ServerStore) -> None:
        pem = CERTIFICATES / "ca.pem"
        for stored, expected in ((str(pem), pem.read_text()), ("", None), (" \n", None)):
            store.add(Server(name="own", url=OTHER, credential=ApiKey(Secret("K")), ca_cert=stored))
            for choice in (ServerOptions(name="own"), ServerOptions(server=OTHER)):
                chosen = resolve_server(choice, environ={}, configured=None, store=store)
                assert chosen.ca_cert == expected

    @pytest.mark.parametrize(
        ("stored", "expected"),
        [
            ("/no/such/file.pem", "The CA certificate /no/such/file.pem cannot be read"),
            ("PEM", "The CA certificate PEM cannot be read"),
            ("a\0b", "It is not a valid path"),
            (str(CERTIFICATES / "ca.der"), "in DER format"),
            ("two\nlines", "It contains no certificate in PEM format"),
            (
                "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
                "It contains no certificate in PEM format",
            ),
        ],
    )
    def test_a_stored_certificate_that_is_none_is_refused_where_it_is_used(
        self, store: ServerStore, stored: str, expected: str
    ) -> None:
        store.add(Server(name="own", url=OTHER, credential=ApiKey(Secret("K")), ca_cert=stored))
        for choice in (ServerOptions(name="own"), ServerOptions(server=OTHER)):
            with pytest.raises(UsageError, match=re.escape(expected)) as caught:
                resolve_server(choice, environ={}, configured=None, store=store)
            assert "`ca_cert` in the saved server `own`" in str(caught.value)
        for choice in (
            ServerOptions(name="prod"),
            ServerOptions(name="own", cacert=CERTIFICATES / "ca.pem"),
            ServerOptions(name="own", insecure=True),
        ):
            resolve_server(choice, environ={}, configured=None, store=store)

    @pytest.mark.parametrize(
        ("name", "data", "expected"),
        [
            ("ca.crt", None, "openssl x509 -inform der -in .*ca.crt -out .*ca.pem"),
            ("text.pem", b"hello", "-----BEGIN CERTIFICATE-----"),
            ("none.pem", b"", "-----BEGIN CERTIFICATE-----"),
            (
                "broken.pem",
                b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
                "contains no certificate",
            ),
        ],
    )
    def test_what_is_no_pem_is_refused(
        self, store: ServerStore, tmp_path: Path, name: str, data: bytes | None, expected: str
    ) -> None:
        path = tmp_path / name
        path.write_bytes((CERTIFICATES / "ca.der").read_bytes() if data is None else data)
        with pytest.raises(UsageError, match=expected):
            resolve_server(
                ServerOptions(name="prod", cacert=path), environ={}, configured=None, store=store
            )

    def test_a_missing_file(self, store: ServerStore, tmp_path: Path) -> None:
        choice = ServerOptions(name="prod", cacert=tmp_path / "none")
        with pytest.raises(UsageError, match="cannot be read"):
            resolve_server(choice, environ={}, configured=None, store=store)


class TestAdding:
    def test_what_is_given(self) -> None:
        choice = ServerOptions(name="prod", server=f"{PROD}/", insecure=True)
        server = server_to_add(choice, environ={"CONNECT_API_KEY": "K"})
        assert (server.name, server.url, server.credential) == ("prod", PROD, ApiKey(Secret("K")))
        assert server.insecure

    def test_the_environments_server(self) -> None:
        environ = {"CONNECT_SERVER": PROD, "CONNECT_API_KEY": "K"}
        assert server_to_add(ServerOptions(name="prod"), environ=environ).url == PROD

    def test_nothing(self) -> None:
        with pytest.raises(UsageError, match="No server was named"):
            server_to_add(ServerOptions(name="prod"), environ={})

    def test_no_key(self) -> None:
        with pytest.raises(UsageError, match="no API key"):
            server_to_add(ServerOptions(name="prod", server=PROD), environ={})
