"""`hatch-connect login` and `logout`."""

from __future__ import annotations

import errno
import json
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.fake_connect import FakeConnect
from support.fake_oauth import (
    NO_GRANT,
    PLANTED,
    UNAVAILABLE,
    UNKNOWN_WORD,
    FakeOAuth,
    OAuthRefusal,
    Trap,
)
from support.faults import Hang, Say, echoes
from support.waiting import PATIENCE, command_lines, until

from hatch_connect.connect import authorize
from hatch_connect.connect.oauth import OAuthServer
from hatch_connect.connect.servers import ServerStore
from hatch_connect.connect.transport import Http
from hatch_connect.errors import UsageError
from hatch_connect.events import silent

if TYPE_CHECKING:
    import socketserver
    from collections.abc import Iterator

    from support.fake_connect import Recorded
    from support.faults import Fault
    from support.sandbox import Finished, Sandbox

pytestmark = pytest.mark.sweep

TESTS = Path(__file__).parent.parent
FAKE_BROWSER = TESTS / "support" / "fake_browser.py"
NO_KEYRING = "keyring.backends.fail.Keyring"


@pytest.fixture
def oauth() -> FakeOAuth:
    return FakeOAuth(interval=1)


@pytest.fixture
def connect(oauth: FakeOAuth) -> Iterator[FakeConnect]:
    with FakeConnect(oauth=oauth) as server:
        yield server


class Person:
    """Somebody at a machine with a browser and a keyring."""

    def __init__(self, sandbox: Sandbox, connect: FakeConnect, oauth: FakeOAuth) -> None:
        self.sandbox, self.connect, self.oauth = sandbox, connect, oauth
        self.keyring, self.page = sandbox.home / "keyring.json", sandbox.home / "page"
        sandbox.environ |= {
            "PYTHONPATH": str(TESTS),
            "PYTHON_KEYRING_BACKEND": "support.fake_keyring.FileKeyring",
            "FAKE_KEYRING": str(self.keyring),
            # Paths may hold spaces, and `webbrowser` splits this as a shell does.
            "BROWSER": f"{shlex.join((sys.executable, str(FAKE_BROWSER)))} %s",
            "FAKE_BROWSER": str(self.page),
        }
        self.store = ServerStore.default_path(sandbox.environ, sys.platform)

    def call(self, *arguments: str, code: int | None = 0) -> Finished:
        done = self.sandbox.connect(*arguments, cwd=self.sandbox.home)
        assert "Traceback" not in done.stderr
        assert not self.oauth.leaks(done.stdout, done.stderr)
        assert code in {None, done.code}, done.said
        self.search()
        return done

    def search(self) -> None:
        """Look for secrets in every file but those that are there to keep them."""
        keep = {self.store, self.keyring}
        for path in self.sandbox.home.rglob("*"):
            if path.is_file() and path not in keep:
                assert not self.oauth.leaks(str(path), path.read_bytes()), path

    def entries(self) -> dict[str, dict[str, object]]:
        entries: dict[str, dict[str, object]] = json.loads(self.store.read_text())
        return entries

    def in_keyring(self) -> dict[str, str]:
        held: dict[str, str] = json.loads(self.keyring.read_text()) if self.keyring.exists() else {}
        return held


@pytest.fixture
def person(sandbox: Sandbox, connect: FakeConnect, oauth: FakeOAuth) -> Person:
    return Person(sandbox, connect, oauth)


def test_a_person_logs_in_works_and_logs_out(person: Person, oauth: FakeOAuth) -> None:
    url = person.connect.url
    done = person.call("login", "--name", "prod", f"{url}/", "-v")
    assert done.stdout.startswith(f"Logged in to {url} as ")
    (login,), (client,) = oauth.logins, oauth.clients
    assert person.entries() == {
        "prod": {
            "name": "prod",
            "url": url,
            "oauth_client_id": client,
            "insecure": False,
            "ca_cert": None,
        }
    }
    assert person.in_keyring() == {
        f"rsconnect-python {url}:access_token": login.access,
        f"rsconnect-python {url}:refresh_token": login.refresh,
    }
    shown = person.page.read_text()
    assert "You can close this page" in shown
    assert "no-store" in shown
    assert not oauth.leaks(shown)
    assert "state" not in shown
    assert "a login" in person.call("details", "--name", "prod").stdout
    assert "(logged in)" in person.call("list").stdout
    oauth.expire()
    person.call("details")
    done = person.call("logout", url)
    assert done.stdout == f"Logged out of {url}.\n"
    assert login.revoked
    assert person.in_keyring() == {}
    assert not oauth.leaks_below(person.sandbox.home)
    assert "(logged out)" in person.call("list").stdout
    assert "Not logged in" in person.call("details", code=3).stderr
    person.call("login", url, "--name", "prod")
    person.call("details")


def test_a_name_is_the_host_unless_it_is_given(person: Person) -> None:
    person.call("login", person.connect.url, "--set-default")
    assert person.entries()["127.0.0.1"]["default"] is True


def test_a_name_that_is_another_servers_is_not_taken_unasked(person: Person) -> None:
    entry = {"url": "https://127.0.0.1", "api_key": "Old-key-0123456789"}
    key = {"url": person.connect.url, "api_key": "Old-key-0123456789"}
    person.store.parent.mkdir(parents=True)
    person.store.write_text(json.dumps({"127.0.0.1": entry, "a key": key}))
    done = person.call("login", person.connect.url, code=2)
    assert "'127.0.0.1' is already the nickname of https://127.0.0.1" in done.stderr
    done = person.call("login", person.connect.url, "--name", "127.0.0.1")
    assert "'127.0.0.1' was https://127.0.0.1 before" in done.stderr
    person.call("logout", person.connect.url)
    assert person.in_keyring() == {}


@pytest.mark.skipif(os.name != "posix", reason="file modes are POSIX's")
def test_without_a_keyring_the_store_keeps_the_tokens(person: Person, oauth: FakeOAuth) -> None:
    person.sandbox.environ["PYTHON_KEYRING_BACKEND"] = NO_KEYRING
    done = person.call("login", person.connect.url)
    assert "which only you can read" in done.stderr
    assert person.store.stat().st_mode & 0o777 == 0o600
    (entry,) = person.entries().values()
    assert entry["oauth_access_token"] == oauth.logins[0].access
    assert isinstance(entry["oauth_token_expiry"], float)
    person.call("details")
    person.call("logout", "--name", "127.0.0.1")
    (entry,) = person.entries().values()
    assert not [key for key in entry if "token" in key and entry[key]]


def test_logging_out_twice_without_a_keyring(person: Person, oauth: FakeOAuth) -> None:
    person.sandbox.environ["PYTHON_KEYRING_BACKEND"] = NO_KEYRING
    person.call("login", person.connect.url)
    done = person.call("logout", person.connect.url)
    assert done.stdout == f"Logged out of {person.connect.url}.\n"
    assert "An earlier login may remain in the keyring." in done.stderr
    assert oauth.logins[0].revoked
    assert "(logged out)" in person.call("list").stdout
    assert "Not logged in" in person.call("details", code=3).stderr
    done = person.call("logout", person.connect.url)
    assert done.stdout == f"You were not logged in to {person.connect.url}.\n"
    assert "An earlier login may remain in the keyring." in done.stderr
    person.call("login", person.connect.url)
    person.call("details")


def test_logging_out_without_the_keyring_that_has_the_tokens(
    person: Person, oauth: FakeOAuth
) -> None:
    backend = person.sandbox.environ["PYTHON_KEYRING_BACKEND"]
    person.call("login", person.connect.url)
    person.sandbox.environ["PYTHON_KEYRING_BACKEND"] = NO_KEYRING
    for _ in range(2):
        done = person.call("logout", person.connect.url, code=2)
        assert "The keyring cannot be used" in done.stderr
    person.sandbox.environ["PYTHON_KEYRING_BACKEND"] = backend
    person.call("logout", person.connect.url)
    assert oauth.logins[0].revoked
    assert "You were not logged in" in person.call("logout", person.connect.url).stdout


@pytest.mark.parametrize("away", [True, False])
def test_logging_out_forgets_an_earlier_login_too(
    person: Person, oauth: FakeOAuth, *, away: bool
) -> None:
    backend = person.sandbox.environ["PYTHON_KEYRING_BACKEND"]
    person.call("login", person.connect.url)
    person.sandbox.environ["PYTHON_KEYRING_BACKEND"] = NO_KEYRING
    person.call("login", person.connect.url)
    if away:  # the keyring is there again only after the first attempt
        person.call("logout", person.connect.url)
        assert [login.revoked for login in oauth.logins] == [False, True]
    person.sandbox.environ["PYTHON_KEYRING_BACKEND"] = backend
    done = person.call("logout", person.connect.url)
    assert done.stdout == f"Logged out of {person.connect.url}.\n"
    assert [login.revoked for login in oauth.logins] == [True, True]
    assert person.in_keyring() == {}
    assert not oauth.leaks_below(person.sandbox.home)


def test_two_names_of_a_server_are_one_login(person: Person, oauth: FakeOAuth) -> None:
    person.call("login", person.connect.url, "--name", "one")
    person.call("login", person.connect.url, "--name", "two")
    for name in ("one", "two"):
        oauth.expire()
        person.call("details", "--name", name)
    person.call("remove", "--name", "one")
    person.call("details", "--name", "two")
    person.call("remove", "--name", "two")
    assert person.in_keyring() == {}


def test_a_login_takes_the_place_of_a_key(person: Person) -> None:
    entry = {"name": "prod", "url": person.connect.url, "api_key": "Old-key-0123456789"}
    person.store.parent.mkdir(parents=True)
    person.store.write_text(json.dumps({"prod": entry}))
    person.call("login", "--name", "prod", person.connect.url)
    assert "api_key" not in person.entries()["prod"]


@pytest.mark.parametrize(
    "words", [[], ["authorization_pending", "slow_down"], ["temporarily_unavailable"]]
)
def test_a_machine_without_a_browser_shows_a_code(
    person: Person, oauth: FakeOAuth, words: list[str]
) -> None:
    oauth.device = words
    asked = ["login", person.connect.url, "--device"]
    if not words:
        asked.pop()
        for name in ("BROWSER", "DISPLAY", "WAYLAND_DISPLAY"):
            person.sandbox.environ.pop(name, None)
        person.sandbox.environ["SSH_CONNECTION"] = "10.0.0.1 1 10.0.0.2 22"
    done = person.call(*asked)
    assert f"Open {person.connect.url}/device in any browser and enter the code WDJB-MJHT" in (
        done.stderr
    )
    assert not person.page.exists()
    person.call("details")


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("access_denied", "the request was denied (access_denied)"),
        ("expired_token", "the code was not entered in time (expired_token)"),
        ("invalid_client", "the server no longer knows this client (invalid_client)"),
        ("server_error", "was refused (HTTP 400, server_error)"),
    ],
)
def test_a_code_that_is_refused(person: Person, oauth: FakeOAuth, word: str, said: str) -> None:
    oauth.device = [word]
    done = person.call("login", "--device", person.connect.url, code=3)
    assert said in done.stderr
    assert not person.store.exists()


def test_somebody_who_does_not_consent(person: Person, oauth: FakeOAuth) -> None:
    oauth.consents = False
    done = person.call("login", person.connect.url, code=3)
    assert "the request was denied (access_denied)" in done.stderr
    assert not person.store.exists()


def test_an_answer_to_another_login_is_not_used(person: Person, oauth: FakeOAuth) -> None:
    oauth.forges_state = True
    done = person.call("login", person.connect.url, code=3)
    assert "the response to another login, which was ignored" in done.stderr
    assert not [call for call in person.connect.calls() if call.startswith("POST /oauth/token")]


def test_a_code_that_the_server_refuses(person: Person, oauth: FakeOAuth) -> None:
    oauth.refusal = OAuthRefusal("invalid_grant")
    done = person.call("login", person.connect.url, code=3)
    assert "was refused (HTTP 400, invalid_grant)" in done.stderr


@pytest.mark.parametrize(
    ("missing", "option", "said"),
    [
        ("registration_endpoint", [], "has no client registration"),
        ("authorization_endpoint", [], "has no login page"),
        ("device_authorization_endpoint", ["--device"], "has no device login"),
    ],
)
def test_what_a_server_does_not_have(
    person: Person, oauth: FakeOAuth, missing: str, option: list[str], said: str
) -> None:
    oauth.metadata[missing] = None
    done = person.call("login", person.connect.url, *option, code=3)
    assert said in done.stderr


def test_a_server_without_oauth(person: Person, oauth: FakeOAuth) -> None:
    oauth.discovery = "off"
    done = person.call("login", person.connect.url, code=3)
    assert "does not support sign-in by OAuth" in done.stderr


@pytest.mark.parametrize(
    "name", ["registration_endpoint", "authorization_endpoint", "token_endpoint"]
)
def test_nothing_goes_to_another_host(person: Person, oauth: FakeOAuth, name: str) -> None:
    with Trap() as trap:
        oauth.endpoints[name] = f"{trap.other_host}/oauth"
        done = person.call("login", person.connect.url, code=3)
        assert "on another server" in done.stderr


def test_nothing_goes_anywhere_unencrypted(person: Person) -> None:
    done = person.call("login", "http://connect.invalid", code=2)
    assert "is not encrypted: no token is sent to it" in done.stderr


def test_a_server_that_cannot_end_a_login(person: Person, oauth: FakeOAuth) -> None:
    person.call("login", person.connect.url)
    oauth.metadata["revocation_endpoint"] = None
    done = person.call("logout", person.connect.url)
    assert "cannot revoke tokens" in done.stderr
    assert person.in_keyring() == {}


def test_a_server_that_is_away_is_logged_out_of_all_the_same(
    person: Person, oauth: FakeOAuth
) -> None:
    person.call("login", person.connect.url)
    oauth.discovery = "off"
    done = person.call("logout", person.connect.url)
    assert "The tokens were not revoked on the server" in done.stderr
    assert person.in_keyring() == {}


def test_only_a_login_is_logged_out_of(person: Person) -> None:
    entry = {"name": "prod", "url": person.connect.url, "api_key": "Old-key-0123456789"}
    person.store.parent.mkdir(parents=True)
    person.store.write_text(json.dumps({"prod": entry}))
    assert "'prod' is not a login" in person.call("logout", "--name", "prod", code=2).stderr
    assert "No login was named." in person.call("logout", code=2).stderr


def test_a_port_that_cannot_be_opened(
    person: Person, monkeypatch: pytest.MonkeyPatch, oauth: FakeOAuth
) -> None:
    (client,) = {oauth.log_in().client}

    def bind(_server: socketserver.TCPServer) -> None:
        raise OSError(errno.EADDRINUSE, "Address already in use")

    monkeypatch.setattr(authorize._Redirect, "server_bind", bind)  # noqa: SLF001 - the system's part
    server = OAuthServer(Http({}), person.connect.url)
    with pytest.raises(UsageError, match="Address already in use") as caught:
        authorize.by_browser(server, client, open_page=lambda _page: True, report=silent)
    assert caught.value.hint == "Log in with --device instead."


def test_two_people_log_in_at_once(person: Person, oauth: FakeOAuth) -> None:
    command = [sys.executable, "-P", "-m", "hatch_connect", "login", person.connect.url, "--name"]
    both = [
        subprocess.Popen(
            [*command, name],
            cwd=person.sandbox.home,
            env=person.sandbox.environ | {"FAKE_BROWSER": f"{person.page}-{name}"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for name in ("one", "two")
    ]
    for process in both:
        assert not oauth.leaks(*process.communicate(timeout=PATIENCE))
        assert process.returncode == 0
    assert sorted(person.entries()) == ["one", "two"]
    for name in ("one", "two"):
        person.call("details", "--name", name)


@pytest.mark.skipif(os.name != "posix", reason="signals are POSIX's")
def test_who_changes_their_mind_ends_it(person: Person) -> None:
    person.sandbox.environ["BROWSER"] = "true %s"
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "hatch_connect", "login", person.connect.url],
        cwd=person.sandbox.home,
        env=person.sandbox.environ,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr
    said = ""
    while "redirect_uri" not in said:
        said = process.stderr.readline()
        assert said, "it ended"
    port = int(said.partition("127.0.0.1%3A")[2].partition("%2F")[0])
    with socket.create_connection(("127.0.0.1", port)) as other:  # an idle one, as browsers open
        other.sendall(b"GET /favicon.ico HTTP/1.0\r\n\r\n")
        assert b"404" in other.recv(1 << 16)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=PATIENCE)
    assert process.returncode == 130
    assert not person.store.exists()
    until(lambda: not _listens(port))


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_a_proxy_in_front_gets_its_header(person: Person, oauth: FakeOAuth) -> None:
    person.connect.front = "Basic cHJveHk6UGxhbnQzZA=="
    person.sandbox.environ |= {
        "CONNECT_SERVER": person.connect.url,
        "CONNECT_HTTP_HEADERS": f"Authorization: {person.connect.front}",
    }
    person.call("login", "--name", "prod", "--device")
    oauth.expire()
    del person.sandbox.environ["CONNECT_HTTP_HEADERS"]
    person.call("details")
    done = person.call("logout", "-n", "prod", "-v")
    assert "were not revoked" not in done.stderr
    assert oauth.logins[0].revoked


def test_a_store_that_cannot_be_written_is_found_before_anybody_logs_in(person: Person) -> None:
    person.store.parent.parent.mkdir(parents=True, exist_ok=True)
    person.store.parent.write_text("a file where the folder should be")
    done = person.call("login", person.connect.url, code=2)
    assert f"{person.store.name} cannot be written: " in done.stderr
    assert person.connect.calls() == []
    assert not person.page.exists()


@pytest.mark.parametrize(("loudness", "keyring"), [("--verbose", True), ("--json", False)])
def test_refusals_at_every_moment_keep_the_secrets(
    person: Person, oauth: FakeOAuth, loudness: str, *, keyring: bool
) -> None:
    if not keyring:
        person.sandbox.environ["PYTHON_KEYRING_BACKEND"] = NO_KEYRING
    url = person.connect.url
    for refusal in (NO_GRANT, UNKNOWN_WORD, UNAVAILABLE):
        oauth.refusal = refusal
        person.call("login", url, loudness, code=3)
        if refusal is not UNAVAILABLE:
            person.call("login", url, loudness, "--device", code=3)
        oauth.refusal = None
        person.call("login", url, loudness)
        oauth.expire()
        person.call("details", loudness)
        oauth.expire()
        oauth.refusal = refusal
        person.call("details", loudness, code=3)
        login = oauth.logins[-1]
        echo = {"error": login.refresh, "error_description": f"{login.access} {PLANTED}"}
        person.connect.misbehave("POST", "oauth/revoke", Say(400, json.dumps(echo).encode()))
        person.call("logout", url, loudness)
        assert not oauth.leaks(person.store.read_bytes())
        assert person.in_keyring() == {}


@pytest.mark.parametrize("how", echoes(""))
def test_a_server_that_repeats_what_it_was_sent(person: Person, oauth: FakeOAuth, how: str) -> None:
    url = person.connect.url
    repeated = []

    def repeats(path: str) -> None:
        def repeat(request: Recorded) -> Fault | None:
            if not re.search(path, request.path):
                return None
            repeated.append(path)
            return echoes(f"{request.headers.get('authorization')} {request.body!r}")[how]

        person.connect.gate = repeat

    for loudness, path in zip(("-v", "--json") * 2, ("register", "token", "v1/user"), strict=False):
        repeats(path)
        person.call("login", url, loudness, code=None)
        assert path in repeated
    person.connect.gate = None
    person.call("login", url)
    for path in ("token", "v1/user", "revoke"):
        oauth.expire()
        repeats(path)
        person.call("logout" if path == "revoke" else "details", "-v", "--server", url, code=None)
        assert repeated[-1] == path


@pytest.mark.skipif(not Path("/proc/self/cmdline").exists(), reason="/proc is Linux's")
def test_the_process_list_keeps_the_secrets_of_a_login(person: Person, oauth: FakeOAuth) -> None:
    person.connect.misbehave("POST", "oauth/token", Hang(600))
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "hatch_connect", "login", "-v", person.connect.url],
        cwd=person.sandbox.home,
        env=person.sandbox.environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    until(lambda: any("oauth/token" in call for call in person.connect.calls()), process)
    listed = command_lines()
    process.send_signal(signal.SIGINT)
    said, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130, said
    assert any(b"hatch_connect" in line for line in listed)
    assert not oauth.leaks(said, *listed)
    person.search()


def test_quiet_would_hide_the_code(person: Person) -> None:
    done = person.call("login", "--quiet", person.connect.url, code=2)
    assert "that --quiet hides" in done.stderr
