from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from threading import Barrier
from typing import TYPE_CHECKING

import pytest

from hatch_connect.connect.records import (
    Attempt,
    DeploymentRecord,
    RecordPath,
    RecordStore,
    record_path,
)
from hatch_connect.errors import StoreError
from hatch_connect.events import Warned

if TYPE_CHECKING:
    from hatch_connect.events import Event

official = pytest.mark.skipif(
    importlib.util.find_spec("rsconnect") is None, reason="the official client is not installed"
)
RECORD = DeploymentRecord(
    server_url="https://connect.example.com",
    filename="sales-api",
    app_url="https://connect.example.com/content/g/",
    app_id="12",
    app_guid="g",
    title="Sales API",
    app_mode="python-fastapi",
)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "sales-api"
    root.mkdir()
    return root


def place(root: Path, content: str | None = None) -> RecordPath:
    environ = {"XDG_CONFIG_HOME": str(root.parent / "config")}
    return record_path(root, content, environ=environ, platform="linux", in_project=True)


def record_in(store: RecordStore, url: str) -> DeploymentRecord | None:
    found = store.find(url)
    return found[0] if found else None


def path_in(store: RecordStore, url: str) -> Path | None:
    found = store.find(url)
    return found[1] if found else None


def test_nothing_was_deployed_yet(root: Path) -> None:
    store = RecordStore(place(root))
    assert record_in(store, RECORD.server_url) is None
    assert list(root.iterdir()) == []


def test_a_record_is_kept_where_the_official_client_keeps_it(root: Path) -> None:
    path = RecordStore(place(root)).put(RECORD)
    assert path == root / "rsconnect-python" / "sales-api.json"
    assert json.loads(path.read_text()) == {
        "https://connect.example.com": {
            "server_url": "https://connect.example.com",
            "filename": "sales-api",
            "app_url": "https://connect.example.com/content/g/",
            "app_id": "12",
            "app_guid": "g",
            "title": "Sales API",
            "app_mode": "python-fastapi",
            "app_store_version": 1,
        }
    }
    assert record_in(RecordStore(place(root)), "https://connect.example.com/") == RECORD


def test_git_ignores_a_folder_that_we_made_and_no_other(root: Path) -> None:
    RecordStore(place(root)).put(RECORD)
    folder = root / "rsconnect-python"
    assert (folder / ".gitignore").read_text() == "*\n"
    assert {p.name for p in folder.iterdir()} == {".gitignore", "sales-api.json"}
    (folder / ".gitignore").unlink()
    RecordStore(place(root)).put(RECORD)
    assert {p.name for p in folder.iterdir()} == {"sales-api.json"}


def test_several_contents_and_servers(root: Path) -> None:
    RecordStore(place(root, "report")).put(replace(RECORD, app_guid="r"))
    store = RecordStore(place(root))
    store.put(RECORD)
    store.put(replace(RECORD, server_url="https://lab", app_guid="l"))
    for url, guid in ((RECORD.server_url, "g"), ("https://lab", "l")):
        found = record_in(store, url)
        assert found is not None
        assert found.app_guid == guid
    report = record_in(RecordStore(place(root, "report")), RECORD.server_url)
    assert report is not None
    assert report.app_guid == "r"


def test_the_first_records_of_several_contents_at_once_all_land_in_the_project(
    tmp_path: Path,
) -> None:
    several = 4
    for number in range(25):
        root, barrier = tmp_path / str(number), Barrier(several)
        root.mkdir()

        def put(name: str, root: Path = root, barrier: Barrier = barrier) -> Path:
            store = RecordStore(place(root, name))
            barrier.wait()
            return store.put(RECORD)

        with ThreadPoolExecutor(several) as threads:
            written = list(threads.map(put, "abcd"))
        assert written == [root / "rsconnect-python" / f"{name}.json" for name in "abcd"]
        assert (root / "rsconnect-python" / ".gitignore").read_text() == "*\n"


WRITER = """\
import sys
from dataclasses import replace
from pathlib import Path
from threading import Thread

from hatch_connect.connect.records import Attempt, DeploymentRecord, RecordPath, RecordStore

folder, *threads = sys.argv[1:]
place = RecordPath(path=Path(folder, "a"), fallback=Path(folder, "b"), in_project=True)


def put(name):
    for number in range(10):
        url = f"https://{name}{number}.example.com"
        store = RecordStore(place)
        store.put(DeploymentRecord(server_url=url))
        store.note(url, "g", Attempt(bundle_id="7"), again=False)


for name in threads:
    Thread(target=put, args=(name,)).start()
"""


def test_deployments_at_once_keep_all_records_and_histories(tmp_path: Path) -> None:
    processes = [
        subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path), *threads])
        for threads in ("ab", "cd")
    ]
    assert [process.wait() for process in processes] == [0, 0]
    store = RecordStore(RecordPath(path=tmp_path / "a", fallback=tmp_path / "b", in_project=True))
    urls = [f"https://{name}{number}.example.com" for name in "abcd" for number in range(10)]
    assert all(record_in(store, url) for url in urls)
    assert all(store.attempts(url, "g") for url in urls)
    assert not (tmp_path / "b").exists()


def test_what_is_not_known_survives_under_the_key_it_has(root: Path) -> None:
    path = place(root).path
    path.parent.mkdir()
    old = {"https://connect.example.com/": {"app_guid": "old", "news": [1]}, "x": {}}
    path.write_text(json.dumps(old), encoding="utf-8")
    RecordStore(place(root)).put(RECORD)
    after = json.loads(path.read_text())
    assert list(after) == ["https://connect.example.com/", "x"]
    assert after["https://connect.example.com/"]["news"] == [1]
    assert after["https://connect.example.com/"]["app_guid"] == "g"


def test_a_place_that_cannot_be_written_falls_back(root: Path) -> None:
    (root / "rsconnect-python").touch()
    store = RecordStore(place(root))
    assert store.put(RECORD) == place(root).fallback
    assert record_in(store, RECORD.server_url) == RECORD
    assert path_in(store, RECORD.server_url) == place(root).fallback


def test_a_record_that_can_no_longer_be_written_is_older_than_its_fallback(root: Path) -> None:
    RecordStore(place(root)).put(RECORD)
    RecordStore(place(root)).put(replace(RECORD, server_url="https://lab", app_guid="l"))
    path = place(root).path
    fallback = RecordPath(path=path, fallback=place(root).fallback, in_project=False)
    other = replace(RECORD, app_guid="new")
    kept = path.read_bytes()
    path.unlink()
    RecordStore(fallback).put(other)
    path.write_bytes(kept)
    assert record_in(RecordStore(place(root)), RECORD.server_url) == RECORD
    path.chmod(0o400)
    if os.access(path, os.W_OK):
        pytest.skip("this user writes everywhere")
    store = RecordStore(place(root))
    assert record_in(store, RECORD.server_url) == other
    assert path_in(store, RECORD.server_url) == fallback.fallback
    lab = record_in(store, "https://lab")
    assert lab is not None
    assert lab.app_guid == "l"


def test_each_server_is_looked_for_in_both_places(root: Path) -> None:
    (root / "rsconnect-python").touch()
    RecordStore(place(root)).put(RECORD)
    (root / "rsconnect-python").unlink()
    lab = replace(RECORD, server_url="https://lab", app_guid="l")
    store = RecordStore(place(root))
    store.put(lab)
    assert record_in(store, RECORD.server_url) == RECORD
    assert path_in(store, RECORD.server_url) == place(root).fallback
    assert path_in(store, lab.server_url) == place(root).path
    assert record_in(store, lab.server_url) == lab


ATTEMPT = Attempt(bundle_id="2", activation="begun", replaced="1")


def test_a_history_lies_beside_the_record_and_survives_the_official_client(root: Path) -> None:
    store = RecordStore(place(root))
    store.put(RECORD)
    store.note_creating(RECORD.server_url, "sales")
    store.note(RECORD.server_url, "g", ATTEMPT, again=False)
    done = replace(ATTEMPT, activation="done", verified=True)
    store.note(f"{RECORD.server_url}/", "g", done, again=True)
    store.note(RECORD.server_url, "g", done, again=False)
    store.note(RECORD.server_url, "other", ATTEMPT, again=False)
    place(root).path.write_text("{}", encoding="ascii")
    again = RecordStore(place(root))
    assert again.attempts(RECORD.server_url, "g") == (done, done)
    assert again.attempts("https://lab", "g") == ()
    assert again.creating(RECORD.server_url) == "sales"
    again.note_creating(RECORD.server_url, None)
    assert again.creating(RECORD.server_url) is None
    assert {p.name for p in place(root).path.parent.iterdir()} == {
        ".gitignore", "sales-api.json", "sales-api.history",
    }  # fmt: skip


@pytest.mark.parametrize(
    "noted", [5, [], {"contents": []}, {"contents": {"g": {}}}, {"contents": {"g": [5, {}]}}]
)
def test_what_is_no_history_is_none(root: Path, noted: object) -> None:
    path = place(root).path.with_suffix(".history")
    path.parent.mkdir()
    path.write_text(json.dumps({RECORD.server_url: noted}), encoding="ascii")
    store = RecordStore(place(root))
    assert store.attempts(RECORD.server_url, "g") == ()
    assert store.creating(RECORD.server_url) is None
    store.note(RECORD.server_url, "g", ATTEMPT, again=True)
    assert store.attempts(RECORD.server_url, "g") == (ATTEMPT,)


def test_when_neither_place_can_be_written_the_guid_is_not_lost(root: Path) -> None:
    (root / "rsconnect-python").touch()
    (root.parent / "config").touch()
    with pytest.raises(StoreError, match="--app-id g"):
        RecordStore(place(root)).put(RECORD)


@pytest.mark.parametrize("text", ["{", "[]", '{"https://a": 5}', '{"https://a": {"title": []}}'])
def test_a_broken_file_is_reported_and_left_alone(root: Path, text: str) -> None:
    path = place(root).path
    path.parent.mkdir()
    path.write_text(text, encoding="utf-8")
    with pytest.raises(StoreError, match="is broken"):
        record_in(RecordStore(place(root)), "https://a")
    assert path.read_text() == text


@pytest.mark.parametrize("text", ["{", "[]", '{"https://a": 5, "https://b": {}}'])
def test_a_broken_file_is_set_aside_by_who_writes(root: Path, text: str) -> None:
    path = place(root).path
    path.parent.mkdir()
    path.write_text(text, encoding="utf-8")
    events: list[Event] = []
    record = replace(RECORD, server_url="https://a")
    store = RecordStore(place(root), events.append)
    assert store.put(record) == path
    assert path.with_name(f"{path.name}.broken").read_text() == text
    assert record_in(store, "https://a") == record
    assert [type(event) for event in events] == [Warned]


def test_an_older_record_has_only_a_number(root: Path) -> None:
    path = place(root).path
    path.parent.mkdir()
    path.write_text('{"https://a": {"app_id": 12, "app_guid": null}}', encoding="utf-8")
    record = record_in(RecordStore(place(root)), "https://a")
    assert record is not None
    assert (record.server_url, record.app_id, record.app_guid) == ("https://a", "12", "")


@official
class TestWithTheOfficialClient:
    """Its classes, in a process of their own: importing them reads the environment."""

    def run(self, root: Path, program: str) -> str:
        environ = os.environ | {"XDG_CONFIG_HOME": str(root.parent / "config"), "HOME": str(root)}
        done = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", program],
            env=environ,
            cwd=root,
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout

    HEAD = (
        "from rsconnect.metadata import AppStore\n"
        "from rsconnect.environment import fake_module_file_from_directory as made_up\n"
        "store = AppStore(made_up('.'))\n"
    )

    def test_it_reads_our_record(self, root: Path) -> None:
        RecordStore(place(root)).put(RECORD)
        program = f"{self.HEAD}print(store.resolve('{RECORD.server_url}', None, None)[0])"
        assert self.run(root, program).strip() == "g"

    def test_we_read_its_record(self, root: Path) -> None:
        program = self.HEAD + (
            "store.set('https://lab', 'f', 'u', '7', 'guid', 'A title', 'python-api')"
        )
        self.run(root, program)
        record = record_in(RecordStore(place(root)), "https://lab")
        assert record is not None
        assert (record.app_guid, record.title, record.app_mode) == ("guid", "A title", "python-api")

    def test_it_rewrites_its_record_and_leaves_our_history(self, root: Path) -> None:
        store = RecordStore(place(root))
        store.put(RECORD)
        store.note(RECORD.server_url, "g", ATTEMPT, again=False)
        program = self.HEAD + (
            f"store.set('{RECORD.server_url}', 'f', 'u', '12', 'g', 'Another', 'python-fastapi')"
        )
        self.run(root, program)
        again = RecordStore(place(root))
        record = record_in(again, RECORD.server_url)
        assert record is not None
        assert record.title == "Another"
        assert again.attempts(RECORD.server_url, "g") == (ATTEMPT,)

    @pytest.mark.skipif(sys.platform != "linux", reason="the test gives linux's folder")
    def test_the_fallback_is_the_same_file(self, root: Path) -> None:
        program = self.HEAD.replace("'.'", repr(str(root))) + "print(store._secondary_path)"
        assert Path(self.run(root, program).strip()) == place(root).fallback
