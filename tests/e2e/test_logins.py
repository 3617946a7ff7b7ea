"""People who are logged in: what the official client's `login` has left works as it is."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import filelock
import pytest
from support.fake_connect import FakeConnect
from support.fake_oauth import FakeOAuth, Login, Trap
from support.faults import Drop, Hang, LoseAnswer, Say, Truncate, html
from support.sample_bundle import sample_bundle
from support.waiting import PATIENCE, SHORT, until

from hatch_connect.connect.servers import ServerStore

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.faults import Fault
    from support.sandbox import Finished, Sandbox

pytestmark = pytest.mark.sweep

TESTS = Path(__file__).parent.parent
REFRESH = "POST /oauth/token"
Place = Literal["entry", "keyring"]


@pytest.fixture
def oauth() -> FakeOAuth:
    return FakeOAuth()


@pytest.fixture
def connect(oauth: FakeOAuth) -> Iterator[FakeConnect]:
    with FakeConnect(oauth=oauth) as server:
        yield server


class Person:
    """Somebody whom the official client has logged in."""

    def __init__(self, sandbox: Sandbox, connect: FakeConnect, oauth: FakeOAuth) -> None:
        self.sandbox, self.connect, self.oauth = sandbox, connect, oauth
        self.keyring = sandbox.home / "keyring.json"
        sandbox.environ |= {
            "PYTHONPATH": str(TESTS),
            "PYTHON_KEYRING_BACKEND": "support.fake_keyring.FileKeyring",
            "FAKE_KEYRING": str(self.keyring),
        }
        self.store = ServerStore.default_path(sandbox.environ, sys.platform)
        self.login: Login = oauth.log_in()

    def logs_in(self, place: Place, url: str = "") -> None:
        """Leave what the official client leaves."""
        url = url or f"{self.connect.url}/"
        entry: dict[str, object] = {
            "name": "prod",
            "url": url,
            "oauth_client_id": self.login.client,
            "insecure": False,
            "ca_cert": None,
            "default": True,
        }
        tokens = {"access_token": self.login.access, "refresh_token": self.login.refresh}
        if place == "entry":
            entry |= {f"oauth_{name}": value for name, value in tokens.items()}
        else:
            held = {f"rsconnect-python {url}:{name}": value for name, value in tokens.items()}
            self.keyring.write_text(json.dumps(held), encoding="utf-8")
        self.store.parent.mkdir(parents=True, exist_ok=True)
        self.store.write_text(json.dumps({"prod": entry}), encoding="utf-8")

    def entry(self) -> dict[str, object]:
        entry: dict[str, object] = json.loads(self.store.read_text())["prod"]
        return entry

    def kept(self, place: Place) -> tuple[object, object]:
        if place == "entry":
            entry = self.entry()
            return entry["oauth_access_token"], entry["oauth_refresh_token"]
        held = json.loads(self.keyring.read_text())
        url = f"rsconnect-python {self.connect.url}/"
        return held[f"{url}:access_token"], held[f"{url}:refresh_token"]

    def call(self, *arguments: str, code: int = 0) -> Finished:
        done = self.sandbox.connect(*arguments, cwd=self.sandbox.home)
        self.judge(done.stdout, done.stderr)
        assert done.code == code, done.said
        return done

    def judge(self, stdout: str, stderr: str) -> None:
        assert "Traceback" not in stderr
        assert not self.oauth.leaks(stdout, stderr)

    def refreshes(self) -> int:
        return self.connect.calls().count(REFRESH)


@pytest.fixture
def person(sandbox: Sandbox, connect: FakeConnect, oauth: FakeOAuth) -> Person:
    return Person(sandbox, connect, oauth)


@pytest.mark.parametrize("place", ["entry", "keyring"])
def test_a_login_of_the_official_client_works(person: Person, place: Place) -> None:
    person.logs_in(place)
    before = person.store.read_bytes()
    done = person.call("details", "-v")
    assert person.connect.last("GET v1/user").headers["authorization"].startswith("Bearer ")
    assert "a login" in done.stdout
    assert person.refreshes() == 0
    assert person.store.read_bytes() == before


@pytest.mark.parametrize("place", ["entry", "keyring"])
def test_it_is_renewed_and_kept_where_it_was(
    person: Person, oauth: FakeOAuth, place: Place
) -> None:
    person.logs_in(place)
    oauth.expire()
    person.call("details", "--verbose")
    assert person.kept(place) == (person.login.access, person.login.refresh)
    assert person.refreshes() == 1
    person.call("details", "--json")
    assert person.refreshes() == 1
    if place == "keyring":
        assert "oauth_access_token" not in person.entry()
    else:
        assert not person.keyring.with_suffix(".log").exists()  # nobody asked it


def test_a_token_that_is_known_to_have_expired_is_not_sent(person: Person) -> None:
    person.logs_in("entry")
    entry = person.entry() | {"oauth_token_expiry": 1.5}
    person.store.write_text(json.dumps({"prod": entry}), encoding="utf-8")
    old = person.login.access
    person.call("details")
    assert old not in {r.headers.get("authorization", "")[7:] for r in person.connect.requests}
    assert person.refreshes() == 1


@pytest.mark.parametrize("seconds", [10**400, float("inf"), float("nan"), -1, "3600", None])
def test_tokens_are_kept_however_long_they_are_said_to_last(
    person: Person, oauth: FakeOAuth, seconds: object
) -> None:
    oauth.expires_in = seconds
    person.logs_in("entry")
    entry = person.entry() | {"oauth_token_expiry": 1.5}
    person.store.write_text(json.dumps({"prod": entry}), encoding="utf-8")
    person.call("details")
    assert person.entry()["oauth_token_expiry"] is None
    person.call("details")
    assert person.refreshes() == 1


@pytest.mark.parametrize("lasts", [1, 2, 3, 5])
def test_a_deployment_outlives_its_tokens(person: Person, oauth: FakeOAuth, lasts: int) -> None:
    person.logs_in("keyring")
    person.login.left, oauth.token_lasts = lasts, lasts
    files = {"app.py": b"print('hello')\n", "requirements.txt": b"fastapi==0.100.0\n"}
    sample_bundle(person.sandbox.home / "sales.tar.gz", files=files)
    done = person.call("deploy", "sales.tar.gz", "-v")
    (content,) = person.connect.contents.values()
    assert done.stdout.strip() == f"{person.connect.url}/content/{content.guid}/"
    assert person.refreshes() > 1
    assert person.kept("keyring") == (person.login.access, person.login.refresh)
    assert not oauth.leaks_below(person.sandbox.home / "state")


@pytest.mark.parametrize("left", [12, 16, 20])
def test_of_two_deployments_side_by_side_one_renews_it(person: Person, left: int) -> None:
    person.logs_in("keyring")
    person.login.left = left
    for name in ("sales", "costs"):
        files = {"app.py": b"print('hello')\n", "requirements.txt": b"fastapi==0.100.0\n"}
        sample_bundle(person.sandbox.home / f"{name}.tar.gz", files=files)
    person.call("deploy", "sales.tar.gz", "costs.tar.gz", "--jobs", "2")
    assert len(person.connect.contents) == 2
    assert person.refreshes() == 1
    assert person.kept("keyring") == (person.login.access, person.login.refresh)


@pytest.mark.parametrize("place", ["entry", "keyring"])
def test_of_two_processes_one_renews_it(person: Person, oauth: FakeOAuth, place: Place) -> None:
    person.logs_in(place)
    oauth.expire()
    command = [sys.executable, "-P", "-m", "hatch_connect", "details"]
    with filelock.FileLock(f"{person.store}.lock"):
        both = [
            subprocess.Popen(
                command,
                cwd=person.sandbox.home,
                env=person.sandbox.environ,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            for _ in range(2)
        ]
        # Both are told that the token has expired before one of them may renew it.
        until(lambda: person.connect.calls().count("GET v1/user") == 2)
    for process in both:
        person.judge(*process.communicate(timeout=PATIENCE))
        assert process.returncode == 0
    assert person.refreshes() == 1
    assert person.kept(place) == (person.login.access, person.login.refresh)


@pytest.mark.parametrize("fault", [Say(429), Say(503, b"{}", (("Retry-After", "1"),))])
@pytest.mark.parametrize("place", ["entry", "keyring"])
def test_a_renewal_that_was_not_taken_is_asked_for_again(
    person: Person, oauth: FakeOAuth, place: Place, fault: Fault
) -> None:
    person.logs_in(place)
    oauth.expire()
    person.connect.misbehave("GET", "well-known", fault)
    person.connect.misbehave("POST", "oauth/token", fault)
    done = person.call("details")
    assert "Trying again: The renewal of the login" in done.stderr
    assert person.refreshes() == 2
    assert person.kept(place) == (person.login.access, person.login.refresh)


def test_who_waits_for_a_renewal_leaves_the_store_to_others(
    person: Person, oauth: FakeOAuth
) -> None:
    person.logs_in("entry")
    oauth.expire()
    person.connect.misbehave("POST", "oauth/token", Say(503, b"{}", (("Retry-After", "60"),)))
    command = [sys.executable, "-P", "-m", "hatch_connect", "details"]
    first = subprocess.Popen(
        command,
        cwd=person.sandbox.home,
        env=person.sandbox.environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    until(lambda: person.refreshes() == 1, first)
    person.call("details")
    assert first.poll() is None
    first.kill()
    person.judge(*first.communicate(timeout=PATIENCE))
    assert person.refreshes() == 2
    assert person.kept("entry") == (person.login.access, person.login.refresh)


@pytest.mark.parametrize("fault", [LoseAnswer(), Drop(), Truncate(), Hang(600), html(502, "")])
def test_a_renewal_that_may_have_been_taken_is_not_asked_for_again(
    person: Person, oauth: FakeOAuth, fault: Fault
) -> None:
    person.logs_in("entry")
    oauth.expire()
    person.sandbox.environ["CONNECT_REQUEST_TIMEOUT"] = str(SHORT)
    person.connect.misbehave("POST", "oauth/token", fault)
    done = person.call("details", code=3)
    assert "og in again with" in done.stderr
    assert person.refreshes() == 1


def test_a_login_that_is_revoked_ends(person: Person, oauth: FakeOAuth) -> None:
    person.logs_in("keyring")
    person.login.revoked = True
    oauth.expire()
    done = person.call("details", code=3)
    assert "has expired and cannot be renewed" in done.stderr
    assert "(invalid_grant)" in done.stderr
    assert f"login {person.connect.url}/ --name prod" in done.stderr


def test_a_program_that_the_server_has_forgotten_is_registered_anew(
    person: Person, oauth: FakeOAuth
) -> None:
    person.logs_in("entry")
    oauth.clients.clear()
    oauth.expire()
    done = person.call("details", code=3)
    assert "(invalid_client)" in done.stderr
    assert {person.entry()["oauth_client_id"]} == oauth.clients


def test_a_login_that_is_refused_even_when_renewed(person: Person, oauth: FakeOAuth) -> None:
    person.logs_in("entry")
    person.login.left = oauth.token_lasts = 0
    done = person.call("details", code=3)
    assert "the renewed login is not valid" in done.stderr
    assert "Log in again with: hatch-connect login" in done.stderr


def test_a_server_without_oauth_any_more(person: Person, oauth: FakeOAuth) -> None:
    person.logs_in("entry")
    oauth.discovery = "off"
    oauth.expire()
    done = person.call("details", code=3)
    assert "does not support sign-in by OAuth" in done.stderr


def test_a_refresh_token_goes_to_no_other_host(person: Person, oauth: FakeOAuth) -> None:
    person.logs_in("entry")
    oauth.expire()
    with Trap() as trap:
        for url in (trap.url, trap.other_host):
            oauth.endpoints["token_endpoint"] = f"{url}/oauth/token"
            done = person.call("details", code=3)
            assert "on another server" in done.stderr


def test_a_login_goes_nowhere_unencrypted(person: Person) -> None:
    person.logs_in("entry", "http://connect.invalid")
    done = person.call("details", code=2)
    assert "http://connect.invalid is not encrypted: no token is sent to it" in done.stderr
    assert person.connect.calls() == []


def test_a_login_goes_to_no_proxy_unencrypted(person: Person) -> None:
    person.logs_in("entry")
    person.sandbox.environ |= {"HTTP_PROXY": "http://proxy.example.com:3128", "NO_PROXY": ""}
    done = person.call("info", "--app-id", "1", code=2)
    assert "a proxy on another machine: no token is sent to it" in done.stderr
    assert "Add 127.0.0.1 to NO_PROXY" in done.stderr


def test_a_key_of_the_environment_counts_before_a_login(person: Person) -> None:
    person.logs_in("keyring")
    person.sandbox.environ["CONNECT_API_KEY"] = person.connect.api_key
    person.call("details", "--name", "prod")
    sent = person.connect.last("GET v1/user").headers["authorization"]
    assert sent == f"Key {person.connect.api_key}"
    assert not person.keyring.with_suffix(".log").exists()


def test_without_its_keyring_a_login_says_what_to_do(person: Person) -> None:
    person.logs_in("keyring")
    person.sandbox.environ["PYTHON_KEYRING_BACKEND"] = "keyring.backends.fail.Keyring"
    done = person.call("details", code=2)
    assert "this machine has no keyring" in done.stderr
    assert "CONNECT_API_KEY" in done.stderr


@pytest.mark.parametrize("place", ["entry", "keyring"])
def test_the_list_says_who_is_logged_in(person: Person, place: Place) -> None:
    person.logs_in(place)
    assert person.call("list").stdout == f"prod  {person.connect.url}  (logged in)  (default)\n"
    (server,) = json.loads(person.call("list", "--json").stdout)["servers"]
    assert server["login"] == "logged in"
    person.keyring.unlink(missing_ok=True)
    entry = {k: v for k, v in person.entry().items() if "token" not in k}
    person.store.write_text(json.dumps({"prod": entry}), encoding="utf-8")
    assert "(logged out)" in person.call("list").stdout
    assert "Not logged in to" in person.call("details", code=3).stderr
    person.sandbox.environ["PYTHON_KEYRING_BACKEND"] = "support.fake_keyring.RaisingKeyring"
    done = person.call("list")
    assert "(login)" in done.stdout
    assert "it failed (RuntimeError)" in done.stderr
