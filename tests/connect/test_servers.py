from __future__ import annotations

import importlib.util
import json
import os
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import filelock
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.fake_connect import FakeConnect

from hatch_connect.connect import json_file
from hatch_connect.connect.credentials import ApiKey
from hatch_connect.connect.json_file import JsonFile
from hatch_connect.connect.servers import (
    Server,
    ServerStore,
    content_guid,
    is_local,
    same_server,
    server_url,
)
from hatch_connect.errors import StoreError, UsageError
from hatch_connect.events import Warned
from hatch_connect.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hatch_connect.events import Event

posix_only = pytest.mark.skipif(os.name != "posix", reason="file modes are POSIX's")
official = pytest.mark.skipif(
    importlib.util.find_spec("rsconnect") is None, reason="the official client is not installed"
)

# As rsconnect-python 1.32.0 writes it.
FROZEN = {
    "prod": {
        "name": "prod",
        "url": "https://connect.example.com/rsc/",
        "api_key": "KEY1",
        "insecure": False,
        "ca_cert": None,
        "default": True,
    },
    "lab": {
        "name": "lab",
        "url": "https://lab.example.com",
        "oauth_client_id": "id",
        "oauth_access_token": "TOKEN",
        "insecure": True,
        "ca_cert": "PEM",
    },
    "shiny": {
        "name": "shiny",
        "url": "https://api.shinyapps.io",
        "account_name": "a",
        "token": "t",
    },
}

GUID = "0a1b2c3d-0000-4000-8000-00000000000f"


@pytest.fixture
def store(tmp_path: Path) -> ServerStore:
    return ServerStore(tmp_path / "config" / "servers.json")


@pytest.fixture
def frozen(store: ServerStore) -> ServerStore:
    store.path.parent.mkdir()
    store.path.write_text(json.dumps(FROZEN), encoding="utf-8")
    return store


def test_an_absent_file_holds_nothing(store: ServerStore) -> None:
    assert store.servers() == ()
    assert store.get("prod") is None
    assert store.find("https://host") is None
    assert store.default_name() is None
    assert not store.path.parent.exists()


def test_what_the_official_client_wrote_is_read(frozen: ServerStore) -> None:
    lab, prod = frozen.servers()
    assert prod == Server(
        url="https://connect.example.com/rsc",
        credential=ApiKey(Secret("KEY1")),
        name="prod",
        source=f"the server 'prod' in {frozen.path}",
    )
    assert (lab.credential, lab.insecure, lab.ca_cert) == (None, True, "PEM")
    assert frozen.default_name() == "prod"
    assert frozen.get("prod") == prod
    assert frozen.get("shiny") is None
    assert frozen.find("https://CONNECT.example.com/rsc/__api__") == prod


def test_it_is_read_once_until_it_is_changed(frozen: ServerStore) -> None:
    assert frozen.default_name() == "prod"
    frozen.path.write_text(json.dumps({"lab": FROZEN["lab"]}), encoding="utf-8")
    assert frozen.get("prod")
    frozen.add(Server(name="new", url="https://new"))
    assert [server.name for server in frozen.servers()] == ["lab", "new"]


def test_what_is_not_known_survives(frozen: ServerStore) -> None:
    frozen.add(Server(name="new", url="https://new", credential=ApiKey(Secret("K"))))
    frozen.add(Server(name="lab", url="https://lab.example.com", credential=ApiKey(Secret("K2"))))
    after = json.loads(frozen.path.read_text())
    assert {name: after[name] for name in ("prod", "shiny")} == {
        name: FROZEN[name] for name in ("prod", "shiny")
    }
    assert after["lab"]["oauth_access_token"] == "TOKEN"
    assert after["lab"]["api_key"] == "K2"


def test_tokens_of_one_url_do_not_move_to_another(frozen: ServerStore) -> None:
    frozen.add(
        Server(name="lab", url="https://elsewhere.example.com", credential=ApiKey(Secret("K")))
    )
    assert "oauth_access_token" not in json.loads(frozen.path.read_text())["lab"]


def test_the_default_is_one(frozen: ServerStore) -> None:
    frozen.add(Server(name="new", url="https://new", credential=ApiKey(Secret("K"))), default=True)
    after = json.loads(frozen.path.read_text())
    assert [name for name, entry in after.items() if entry.get("default")] == ["new"]
    frozen.add(Server(name="new", url="https://newer", credential=ApiKey(Secret("K"))))
    assert frozen.default_name() == "new"


def test_a_single_server_is_the_default(store: ServerStore) -> None:
    store.add(Server(name="one", url="https://one", credential=ApiKey(Secret("K"))))
    assert store.default_name() == "one"
    store.add(Server(name="two", url="https://two", credential=ApiKey(Secret("K"))))
    assert store.default_name() is None


def test_removing(frozen: ServerStore) -> None:
    frozen.remove("prod")
    assert frozen.get("prod") is None
    with pytest.raises(UsageError, match="No saved server is named `prod`") as caught:
        frozen.remove("prod")
    assert "`lab`" in str(caught.value)


def test_a_server_needs_a_nickname_to_be_stored(store: ServerStore) -> None:
    with pytest.raises(UsageError, match="nickname"):
        store.add(Server(url="https://host"))


@posix_only
def test_nobody_else_can_read_it(store: ServerStore) -> None:
    old = os.umask(0)
    try:
        store.add(Server(name="one", url="https://one", credential=ApiKey(Secret("K"))))
    finally:
        os.umask(old)
    assert stat.S_IMODE(store.path.stat().st_mode) == 0o600
    assert stat.S_IMODE(store.path.parent.stat().st_mode) == 0o700
    store.path.chmod(0o644)
    store.add(Server(name="two", url="https://two", credential=ApiKey(Secret("K"))))
    assert stat.S_IMODE(store.path.stat().st_mode) == 0o600
    assert {p.name for p in store.path.parent.iterdir()} <= {"servers.json", "servers.json.lock"}


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("{broken", "Expecting"),
        ("[]", "an array instead of an object"),
        ("[" * 100_000, "recursion"),
    ],
)
def test_a_broken_file_is_reported_and_left_alone(store: ServerStore, text: str, why: str) -> None:
    store.path.parent.mkdir()
    store.path.write_text(text, encoding="utf-8")
    by_url = partial(store.find, "https://one")
    for read in (store.servers, store.default_name, partial(store.get, "one"), by_url):
        with pytest.raises(StoreError, match=why):
            read()
    assert store.path.read_text() == text


@pytest.mark.parametrize("data", [b"", b"  \n", b"\xef\xbb\xbf{}", "{}".encode("utf-16")])
def test_a_file_that_holds_nothing(store: ServerStore, data: bytes) -> None:
    store.path.parent.mkdir()
    store.path.write_bytes(data)
    assert store.servers() == ()
    store.add(Server(name="one", url="https://one"))
    assert [server.name for server in store.servers()] == ["one"]
    assert not list(store.path.parent.glob("*.broken*"))


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le"])
def test_a_file_that_windows_wrote(store: ServerStore, encoding: str) -> None:
    store.path.parent.mkdir()
    store.path.write_bytes(json.dumps(FROZEN).encode(encoding))
    assert [server.name for server in store.servers()] == ["lab", "prod"]


@pytest.mark.parametrize(
    ("entry", "why"),
    [
        ([], "`odd` is an array, not an object"),
        (None, "`odd` is null, not an object"),
        ({"url": 5}, "`odd.url` is an integer, not a string"),
        ({"url": "https://odd", "api_key": 5}, "`odd.api_key` is an integer, not a string"),
        ({"url": "https://odd", "ca_cert": []}, "`odd.ca_cert` is an array, not a string"),
        ({"url": "https://odd", "insecure": "no"}, "`odd.insecure` is a string, not true"),
        (
            {"url": "https://odd", "http_headers": "A: b"},
            "`odd.http_headers` is a string, not an object",
        ),
        (
            {"url": "https://odd", "http_headers": {"A": 5}},
            "`odd.http_headers.A` is an integer, not a string",
        ),
        (
            {"url": "https://odd", "http_headers": {"A": "b", "Host": "c"}},
            "Host is set by the request itself",
        ),
    ],
)
def test_a_broken_entry_is_refused_where_it_is_used_and_does_no_harm_where_not(
    store: ServerStore, entry: object, why: str
) -> None:
    store.path.parent.mkdir()
    one = {"name": "one", "url": "https://one", "api_key": "K"}
    store.path.write_text(json.dumps({"odd": entry, "one": one}), encoding="utf-8")
    with pytest.raises(StoreError, match=why):
        store.get("odd")
    if isinstance(entry, dict) and entry["url"] == "https://odd":
        with pytest.raises(StoreError, match=why):
            store.find("https://odd/")
    good = store.get("one")
    assert good is not None
    assert store.find("https://one/") == good
    assert store.servers() == (good,)
    [error] = store.broken()
    assert why in error.message
    assert "`one`" in store.known_names()
    store.add(Server(name="two", url="https://two"), default=True)
    assert json.loads(store.path.read_text())["odd"] == entry
    assert store.default_name() == "two"
    store.add(Server(name="odd", url="https://mended"))
    assert store.find("https://mended") is not None
    store.remove("odd")
    assert not list(store.path.parent.glob("*.broken*"))


def test_an_only_server_beside_what_is_none_is_the_default(store: ServerStore) -> None:
    store.path.parent.mkdir()
    store.path.write_text('{"odd": 5, "one": {"url": "https://one"}}', encoding="utf-8")
    assert store.default_name() == "one"


@pytest.mark.parametrize("text", ["{broken", "[]"])
def test_a_broken_file_is_set_aside_and_reported_by_who_writes(tmp_path: Path, text: str) -> None:
    events: list[Event] = []
    store = ServerStore(tmp_path / "servers.json", events.append)
    for number in ("", "1"):
        store.path.write_text(text, encoding="utf-8")
        store.add(Server(name="one", url="https://one"))
        aside = tmp_path / f"servers.json.broken{number}"
        assert aside.read_text() == text
        assert store.get("one") is not None
        [event] = events
        assert isinstance(event, Warned)
        assert str(aside) in event.text
        events.clear()


def test_writers_at_the_same_moment_lose_nothing(tmp_path: Path) -> None:
    def add(number: int) -> None:
        ServerStore(tmp_path / "servers.json").add(Server(name=f"s{number}", url="https://one"))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(add, range(24)))
    assert len(ServerStore(tmp_path / "servers.json").servers()) == 24


def test_a_file_that_cannot_be_read(store: ServerStore) -> None:
    store.path.mkdir(parents=True)
    with pytest.raises(StoreError, match="cannot be read"):
        store.servers()


def test_a_file_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    store = ServerStore(tmp_path / "file" / "servers.json")
    with pytest.raises(StoreError, match="cannot be written"):
        store.add(Server(name="one", url="https://one"))


def test_many_writers_lose_nothing(store: ServerStore) -> None:
    program = (
        "import sys; from pathlib import Path\n"
        "from hatch_connect.connect.servers import Server, ServerStore\n"
        "for n in range(10):\n"
        "    name = f'{sys.argv[2]}-{n}'\n"
        "    ServerStore(Path(sys.argv[1])).add(Server(name=name, url=f'https://{name}'))\n"
    )
    environ = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    writers = [
        subprocess.Popen([sys.executable, "-c", program, str(store.path), name], env=environ)
        for name in ("a", "b", "c")
    ]
    assert [writer.wait() for writer in writers] == [0, 0, 0]
    assert len(store.servers()) == 30


@pytest.mark.parametrize(
    ("environ", "platform", "expected"),
    [
        ({"HOME": "/h"}, "linux", "/h/.rsconnect-python/servers.json"),
        ({"HOME": "/h", "XDG_CONFIG_HOME": "/x"}, "linux", "/x/rsconnect-python/servers.json"),
        (
            {"HOME": "/h", "XDG_CONFIG_HOME": "/x"},
            "darwin",
            "/h/Library/Application Support/rsconnect-python/servers.json",
        ),
        ({"USERPROFILE": "/u", "APPDATA": "/a"}, "win32", "/a/rsconnect-python/servers.json"),
        ({"HOME": "/h", "XDG_CONFIG_HOME": "/h"}, "linux", "/h/.rsconnect-python/servers.json"),
        ({"HOME": "/u"}, "win32", "/u/.rsconnect-python/servers.json"),
    ],
)
def test_where_the_official_client_keeps_it(
    environ: Mapping[str, str], platform: str, expected: str
) -> None:
    assert ServerStore.default_path(environ, platform) == Path(expected)


@official
class TestWithTheOfficialClient:
    @pytest.fixture
    def environ(self, tmp_path: Path) -> dict[str, str]:
        kept = {k: v for k, v in os.environ.items() if not k.startswith("CONNECT_")}
        return kept | {"XDG_CONFIG_HOME": str(tmp_path), "HOME": str(tmp_path)}

    def rsconnect(self, environ: dict[str, str], *arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, "-W", "ignore", "-m", "rsconnect.main", *arguments],
            env=environ,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout + done.stderr

    def test_it_lists_what_we_wrote(self, environ: dict[str, str]) -> None:
        store = ServerStore(ServerStore.default_path(environ, sys.platform))
        store.add(
            Server(name="ours", url="https://ours.example.com/rsc", credential=ApiKey(Secret("K")))
        )
        listed = self.rsconnect(environ, "list")
        assert '"ours"' in listed
        assert "https://ours.example.com/rsc" in listed

    def test_we_read_what_it_added(self, environ: dict[str, str]) -> None:
        store = ServerStore(ServerStore.default_path(environ, sys.platform))
        with FakeConnect() as fake:
            added = ("--name", "theirs", "--server", f"{fake.url}/", "--api-key", fake.api_key)
            self.rsconnect(environ, "add", *added)
            theirs = store.get("theirs")
            assert theirs is not None
            assert (theirs.url, theirs.credential) == (fake.url, ApiKey(Secret(fake.api_key)))
            store.add(
                Server(name="ours", url="https://ours.example.com", credential=ApiKey(Secret("K")))
            )
            self.rsconnect(environ, "remove", "--name", "theirs")
        assert [server.name for server in store.servers()] == ["ours"]


def test_a_change_is_kept_when_its_block_ends_well(tmp_path: Path) -> None:
    file = JsonFile(tmp_path / "a" / "b.json")
    with file.update() as value:
        value["name"] = "é\ud800"
    assert file.read() == {"name": "é\ud800"}


def test_a_change_is_forgotten_when_it_does_not(tmp_path: Path) -> None:
    file = JsonFile(tmp_path / "b.json")

    def interrupted() -> None:
        with file.update() as value:
            value["name"] = 1
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert file.read() == {}


def test_an_interrupted_write_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = JsonFile(tmp_path / "b.json", lock=tmp_path / "lock")
    with file.update() as value:
        value["a"] = 1

    def interrupt(_descriptor: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt), file.update() as value:
        value["a"] = 2
    assert file.read() == {"a": 1}
    assert {p.name for p in tmp_path.iterdir()} <= {"b.json", "lock"}


@pytest.mark.skipif(os.name != "posix", reason="links need rights on Windows")
def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "real.json").write_text("{}", encoding="ascii")
    (tmp_path / "link.json").symlink_to(tmp_path / "real.json")
    with JsonFile(tmp_path / "link.json").update() as value:
        value["a"] = 1
    assert (tmp_path / "link.json").is_symlink()
    assert json.loads((tmp_path / "real.json").read_text()) == {"a": 1}


def test_a_writer_that_does_not_end_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(json_file, "_LOCK_TIMEOUT", 0.05)
    file = JsonFile(tmp_path / "b.json", lock=tmp_path / "lock")
    with (
        filelock.FileLock(tmp_path / "lock"),
        pytest.raises(StoreError, match="being written by another program"),
        file.update(),
    ):
        pass


def test_without_a_place_for_the_lock_it_is_written_all_the_same(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    file = JsonFile(tmp_path / "b.json", lock=tmp_path / "file" / "lock")
    with file.update() as value:
        value["a"] = 1
    assert file.read() == {"a": 1}


@pytest.mark.parametrize(
    ("pasted", "url"),
    [
        ("https://host", "https://host"),
        ("https://host/", "https://host"),
        ("  https://HOST//  ", "https://host"),
        ("HTTPS://Host:443/", "https://host"),
        ("http://host:80", "http://host"),
        ("http://host:3939/", "http://host:3939"),
        ("https://host/rsc/", "https://host/rsc"),
        ("https://host/connect/", "https://host/connect"),
        ("https://host/__api__", "https://host"),
        ("https://host/rsc/__api__/v1/user?x=1", "https://host/rsc"),
        ("https://host/__login__?url=x", "https://host"),
        ("https://host/connect/#/apps/" + GUID, "https://host"),
        ("https://host/rsc/connect/#/content/listing", "https://host/rsc"),
        ("https://host/connect/connect/#/", "https://host/connect"),
        (f"https://host/rsc/content/{GUID}/", "https://host/rsc"),
        (f"https://host/content/{GUID}/_bundle7/docs", "https://host"),
        ("https://host/content/", "https://host/content"),
        ("https://[::1]:3939/", "https://[::1]:3939"),
    ],
)
def test_what_people_paste_is_understood(pasted: str, url: str) -> None:
    assert server_url(pasted) == url
    assert server_url(url) == url


@pytest.mark.parametrize(
    "text",
    [
        *("", "host", "host/path", "ftp://host", "https://", "https://host:port", "https:///x"),
        *("https://ho st", "https://host\x1b[2J", "https://[::1", "file:///etc/passwd"),
    ],
)
def test_what_is_no_url_is_refused(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        server_url(text)
    assert caught.value.message.isprintable()


def test_a_password_is_refused_and_not_shown() -> None:
    with pytest.raises(UsageError, match="user name or a password") as caught:
        server_url("https://user:hunter2@host")
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    "text",
    ["user:hunter2@host", "https:/user:hunter2@host/x", "//user:hunter2@host", "hunter2" * 4],
)
def test_nor_is_one_in_what_is_no_url(text: str) -> None:
    """A key that is set as the server is as likely as a server that is set as the key."""
    with pytest.raises(UsageError) as caught:
        server_url(text)
    assert "hunter2" not in str(caught.value)


@given(st.text())
def test_any_text_is_a_url_or_refused(text: str) -> None:
    try:
        url = server_url(text)
    except UsageError:
        return
    assert server_url(url) == url


@pytest.mark.parametrize(
    ("text", "guid"),
    [
        (GUID, GUID),
        (GUID.upper(), GUID),
        (f"https://host/connect/#/apps/{GUID}/access", GUID),
        (f"https://host/connect/#/apps/{GUID}", GUID),
        (f"https://host/content/{GUID}/", GUID),
        ("42", None),
        ("https://host/connect/#/content/listing", None),
    ],
)
def test_content_in_a_url(text: str, guid: str | None) -> None:
    assert content_guid(text) == guid


def test_local_hosts() -> None:
    local = ("http://localhost:1", "http://x.localhost", "http://127.0.0.9/", "http://[::1]/")
    assert all(is_local(url) for url in local)
    assert not any(
        is_local(url) for url in ("http://host", "http://10.0.0.1", "http://localhost.de")
    )


def test_one_server_written_in_two_ways() -> None:
    assert same_server("https://host/", "https://HOST/__api__")
    assert not same_server("https://host", "http://host")
    assert same_server("odd", "odd")
    assert not same_server("odd", "https://host")
