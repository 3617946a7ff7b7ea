"""Where the tokens of a login are kept."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import keyring
import pytest
from keyring.backends.fail import Keyring as NoKeyring
from support.connecting import hurry
from support.fake_connect import FakeConnect
from support.fake_keyring import FileKeyring, HangingKeyring, RaisingKeyring, ReadOnlyKeyring
from support.fake_oauth import FakeOAuth
from support.faults import Do, Say
from support.sample_bundle import sample_bundle

from hatch_connect.connect import logins
from hatch_connect.connect.client import ConnectClient
from hatch_connect.connect.json_file import JsonFile
from hatch_connect.connect.login import Login
from hatch_connect.connect.logins import LoginEntry, Tokens
from hatch_connect.connect.servers import Server as ConnectServer
from hatch_connect.errors import LostAnswerError, RefusedError, StoreError
from hatch_connect.events import Warned
from hatch_connect.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Iterator

    from keyring.backend import KeyringBackend
    from support.faults import Fault

    from hatch_connect.events import Event

URL = "https://Connect.example.com/rsc/"  # as somebody typed it
OLD = Tokens(access=Secret("Plant3d-old-access"), refresh=Secret("Plant3d-old-refresh"))
NEW = Tokens(access=Secret("Plant3d-new-access"), refresh=Secret("Plant3d-new-refresh"))
LOST = LostAnswerError("The connection was lost.")
TESTS = Path(__file__).parent.parent


@pytest.fixture(autouse=True)
def _keyring() -> Iterator[None]:
    before = keyring.get_keyring()
    keyring.set_keyring(NoKeyring())  # type: ignore[no-untyped-call] # never the machine's
    yield
    keyring.set_keyring(before)


@pytest.fixture
def entry(tmp_path: Path) -> LoginEntry:
    file = JsonFile(tmp_path / "servers.json")
    told = {"name": "prod", "url": URL, "oauth_client_id": "client-1", "other": 1}
    file.path.write_text(json.dumps({"prod": told}), encoding="ascii")
    return LoginEntry(file=file, name="prod", url=URL)


@pytest.fixture
def values(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the file of a keyring that holds the old tokens."""
    path = tmp_path / "keyring.json"
    monkeypatch.setenv("FAKE_KEYRING", str(path))
    keyring.set_keyring(FileKeyring())
    for field, value in (("access_token", OLD.access), ("refresh_token", OLD.refresh)):
        assert value
        keyring.set_password("rsconnect-python", f"{URL}:{field}", value.reveal())
    return path


def put(entry: LoginEntry, tokens: Tokens, expiry: float | None = None) -> None:
    assert tokens.access
    assert tokens.refresh
    with entry.file.update() as entries:
        found = entries["prod"]
        assert isinstance(found, dict)
        found |= {
            "oauth_access_token": tokens.access.reveal(),
            "oauth_refresh_token": tokens.refresh.reveal(),
            "oauth_token_expiry": expiry,
        }


class Server:
    """Counts how often it is asked for tokens, and gives new ones."""

    def __init__(self, answer: Tokens | str | Exception = NEW) -> None:
        self.asked: list[tuple[str, str]] = []
        self.answer = answer

    def __call__(self, client_id: str, refresh: Secret) -> Tokens | str:
        self.asked.append((client_id, refresh.reveal()))
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def said(events: list[Event]) -> str:
    (event,) = events
    assert isinstance(event, Warned)
    return event.text


def in_keyring(path: Path) -> dict[str, str]:
    held: dict[str, str] = json.loads(path.read_text())
    return {name.removeprefix(f"rsconnect-python {URL}:"): value for name, value in held.items()}


def stored(entry: LoginEntry) -> dict[str, object]:
    held = entry.file.read()["prod"]
    assert isinstance(held, dict)
    return held


def test_tokens_in_the_entry_are_renewed_there(entry: LoginEntry, events: list[Event]) -> None:
    keyring.set_keyring(RaisingKeyring())  # is not asked
    put(entry, OLD, expiry=time.time() - 1)
    used = entry.tokens()
    assert (used, used.usable) == (
        Tokens(access=OLD.access, refresh=OLD.refresh, expiry=used.expiry),
        False,
    )
    server = Server()
    assert entry.renewed(used, server, events.append) == NEW
    assert server.asked == [("client-1", "Plant3d-old-refresh")]
    assert entry.tokens() == NEW
    assert stored(entry)["other"] == 1
    assert events == []
    if os.name == "posix":
        assert entry.file.path.stat().st_mode & 0o777 == 0o600


def test_tokens_in_the_keyring_are_renewed_there(
    entry: LoginEntry, values: Path, events: list[Event]
) -> None:
    before = entry.file.path.read_bytes()
    assert entry.tokens() == OLD
    assert entry.renewed(OLD, Server(), events.append) == NEW
    assert in_keyring(values) == {
        "access_token": "Plant3d-new-access",
        "refresh_token": "Plant3d-new-refresh",
    }
    assert entry.file.path.read_bytes() == before
    sets = [line for line in values.with_suffix(".log").read_text().splitlines() if "set" in line]
    assert sets[-2:] == [f"set {URL}:refresh_token", f"set {URL}:access_token"]


@pytest.mark.parametrize("place", ["entry", "keyring"])
def test_what_another_process_has_renewed_is_used(
    entry: LoginEntry, values: Path, place: str, events: list[Event]
) -> None:
    if place == "entry":
        put(entry, NEW)
    else:
        values.write_text(values.read_text().replace("old", "new"))
    server = Server()
    assert entry.renewed(OLD, server, events.append) == NEW
    assert server.asked == []


def test_what_the_official_client_has_renewed_without_our_lock_is_used(
    entry: LoginEntry, values: Path, events: list[Event]
) -> None:
    put(entry, OLD)
    values.write_text(values.read_text().replace("old", "new"))
    server = Server(entry.ended("invalid_grant"))
    assert entry.renewed(OLD, server, events.append) == NEW
    assert "oauth_access_token" not in stored(entry)  # they would be in the way
    with pytest.raises(RefusedError, match="invalid_grant"):
        entry.renewed(NEW, server, events.append)


@pytest.mark.parametrize(
    "error", [RefusedError("busy", status=503), RefusedError("odd", status=400), LOST]
)
def test_another_refusal_is_no_reason_to_ask_the_keyring(
    entry: LoginEntry, values: Path, error: Exception, events: list[Event]
) -> None:
    values.with_suffix(".log").unlink()
    put(entry, OLD)
    with pytest.raises(type(error)):
        entry.renewed(OLD, Server(error), events.append)
    assert not values.with_suffix(".log").exists()
    assert entry.tokens() == OLD


def test_if_an_answer_is_lost_the_store_is_read_again(
    entry: LoginEntry, values: Path, events: list[Event]
) -> None:
    def ask(_client_id: str, _refresh: Secret) -> Tokens:
        values.write_text(values.read_text().replace("old", "new"))  # the official client's work
        raise LOST

    assert entry.renewed(OLD, ask, events.append) == NEW


def test_a_client_that_the_server_has_forgotten_is_another_for_the_next_login(
    entry: LoginEntry, events: list[Event]
) -> None:
    put(entry, OLD)
    with pytest.raises(RefusedError, match="invalid_client") as caught:
        entry.renewed(OLD, Server("client-2"), events.append)
    assert "login https://Connect.example.com/rsc/ --name prod" in str(caught.value)
    assert stored(entry)["oauth_client_id"] == "client-2"


def test_without_a_refresh_token_it_ends(entry: LoginEntry, events: list[Event]) -> None:
    put(entry, OLD)
    with entry.file.update() as entries:
        entries["prod"] |= {"oauth_refresh_token": None}  # type: ignore[operator]
    with pytest.raises(RefusedError, match="no refresh token"):
        entry.renewed(OLD, Server(), events.append)


@pytest.mark.parametrize("change", [{}, {"prod": {"url": URL}}, {"prod": {"url": "https://other"}}])
def test_an_entry_that_is_gone_is_no_login_any_more(
    entry: LoginEntry, change: dict[str, object], events: list[Event]
) -> None:
    entry.file.path.write_text(json.dumps(change))
    for ask in (entry.tokens, lambda: entry.renewed(OLD, Server(), events.append)):
        with pytest.raises(RefusedError, match="no longer has a login to"):
            ask()
    assert json.loads(entry.file.path.read_text()) == change


def test_a_new_login_leaves_nothing_of_an_earlier_one(
    entry: LoginEntry, values: Path, events: list[Event]
) -> None:
    entry.keep(Tokens(access=NEW.access), events.append)
    assert entry.tokens().access == NEW.access
    assert entry.tokens().refresh is None
    assert "old" not in values.read_text()


def test_a_keyring_that_takes_nothing_leaves_them_in_the_file(
    entry: LoginEntry, values: Path, events: list[Event]
) -> None:
    keyring.set_keyring(ReadOnlyKeyring())
    assert entry.renewed(OLD, Server(), events.append) == NEW
    assert entry.tokens() == NEW
    assert in_keyring(values) == {}
    assert "servers.json, which only you can read" in said(events)
    assert "Plant3d" not in str(events)


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_cannot_be_written_is_said(entry: LoginEntry, events: list[Event]) -> None:
    put(entry, OLD)
    entry.file.path.parent.chmod(0o500)
    try:
        assert entry.renewed(OLD, Server(), events.append) == NEW
    finally:
        entry.file.path.parent.chmod(0o700)
    assert "cannot be saved" in said(events)


def test_a_full_disk_is_said(
    entry: LoginEntry, events: list[Event], monkeypatch: pytest.MonkeyPatch
) -> None:
    put(entry, OLD)

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    assert entry.renewed(OLD, Server(), events.append) == NEW
    assert "cannot be saved" in said(events)
    assert "rsconnect login --name prod" in said(events) or "hatch-connect login" in said(events)
    assert entry.tokens() == OLD


@pytest.mark.parametrize(
    ("backend", "said"),
    [
        (RaisingKeyring, "it failed (RuntimeError)"),
        (HangingKeyring, "did not respond within"),
        (NoKeyring, "this machine has no keyring"),
        (None, "is not installed"),
    ],
)
def test_a_keyring_that_fails_says_what_to_do(
    entry: LoginEntry,
    backend: type[KeyringBackend] | None,
    said: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if backend:
        keyring.set_keyring(backend())
    else:
        monkeypatch.setitem(sys.modules, "keyring", None)
    if backend is HangingKeyring:
        monkeypatch.setattr(logins, "_KEYRING", 0.2)
    with pytest.raises(StoreError) as caught:
        entry.tokens()
    assert said in caught.value.message
    assert "CONNECT_API_KEY" in str(caught.value.hint)
    assert caught.value.__context__ is None


def test_nobody_is_logged_in(entry: LoginEntry, values: Path) -> None:
    values.write_text("{}")
    with pytest.raises(RefusedError, match="Not logged in"):
        entry.tokens()


@pytest.mark.skipif(os.name != "posix", reason="SIGKILL is POSIX's")
def test_who_is_killed_while_writing_leaves_the_file_whole(entry: LoginEntry) -> None:
    put(entry, OLD)
    before = entry.file.path.read_bytes()
    program = f"""
import os, signal
from pathlib import Path
from hatch_connect.connect.json_file import JsonFile
from hatch_connect.connect.logins import LoginEntry, Tokens
from hatch_connect.events import silent
from hatch_connect.secret import Secret
os.fsync = lambda _: os.kill(os.getpid(), signal.SIGKILL)
file = JsonFile(Path({str(entry.file.path)!r}))
entry = LoginEntry(file=file, name="prod", url={URL!r})
new = Tokens(access=Secret("new"), refresh=Secret("new"))
entry.renewed(entry.tokens(), lambda client, refresh: new, silent)
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=TESTS.parent, check=False)
    assert done.returncode == -signal.SIGKILL
    assert entry.file.path.read_bytes() == before


class TestRequests:
    """What is signed by a login that ends in the middle: the request is sent once more."""

    @pytest.fixture
    def fake(self) -> Iterator[FakeConnect]:
        with FakeConnect(oauth=FakeOAuth()) as server:
            yield server

    @pytest.fixture
    def client(
        self,
        fake: FakeConnect,
        entry: LoginEntry,
        events: list[Event],
        monkeypatch: pytest.MonkeyPatch,
    ) -> ConnectClient:
        hurry(monkeypatch)
        login = oauth(fake).log_in()
        kept = Tokens(access=Secret(login.access), refresh=Secret(login.refresh))
        put(entry, kept)
        with entry.file.update() as entries:
            entries["prod"] |= {"oauth_client_id": login.client}  # type: ignore[operator]
        server = ConnectServer(url=fake.url, credential=Login(entry, fake.url))
        return ConnectClient(
            server, environ={"CONNECT_REQUEST_TIMEOUT": "60"}, report=events.append
        )

    def test_a_change(self, client: ConnectClient, fake: FakeConnect) -> None:
        guid = fake.add_content("sales").guid
        fake.misbehave("PATCH", "environment", Do(oauth(fake).expire))
        client.set_environment(guid, {"A": Secret("b")})
        assert fake.contents[guid].environment == {"A": "b"}
        assert len(set(sent(fake, "PATCH"))) == 2

    def test_a_removal(self, client: ConnectClient, fake: FakeConnect, bundle: Path) -> None:
        guid = fake.add_content("sales").guid
        uploaded = client.upload_bundle(guid, bundle)
        fake.misbehave("DELETE", "bundles", Do(oauth(fake).expire))
        client.remove_bundle(guid, uploaded.id)
        assert fake.contents[guid].bundles == {}
        assert len(set(sent(fake, "DELETE"))) == 2

    @pytest.mark.parametrize(
        "early", [None, Say(401, b"{}", early=True), Say(401, b"{}", early=True, after=1 << 16)]
    )
    def test_an_upload_begins_anew(
        self, client: ConnectClient, fake: FakeConnect, bundle: Path, early: Fault | None
    ) -> None:
        guid = fake.add_content("sales").guid
        sample_bundle(bundle, files={"app.py": b"", "data.bin": os.urandom(1 << 22)})
        fake.misbehave("POST", "bundles$", early or Do(oauth(fake).expire))
        uploaded = client.upload_bundle(guid, bundle)
        assert list(fake.contents[guid].bundles) == [uploaded.id]
        assert fake.contents[guid].bundles[uploaded.id].archive == bundle.read_bytes()
        assert fake.calls().count("POST /oauth/token") == 1


def oauth(fake: FakeConnect) -> FakeOAuth:
    assert fake.oauth
    return fake.oauth


def sent(fake: FakeConnect, method: str) -> list[str]:
    return [r.headers["authorization"] for r in fake.requests if r.method == method]
