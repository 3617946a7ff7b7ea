from __future__ import annotations

import sqlite3
import stat
from contextlib import closing, suppress
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from hatch_connect.local.api.content import DEFAULTS
from hatch_connect.local.disk import DiskError
from hatch_connect.local.logs import JobLog, read_log
from hatch_connect.local.state import (
    OWN_GUID,
    State,
    StoredBundle,
    StoredContent,
    StoredDeployment,
    StoredJob,
)
from hatch_connect.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[State]:
    state = State(tmp_path)
    yield state
    state.close()


@pytest.fixture
def content(kept: State) -> StoredContent:
    return kept.add_content("one", DEFAULTS)


def _reopened(kept: State, folder: Path) -> State:
    kept.close()
    kept.__init__(folder)  # type: ignore[misc]
    return kept


def _job(content: StoredContent, key: str) -> StoredJob:
    return StoredJob(key=key, content=content.id, bundle=1, tag="run_app", started="then")


def _deployment(content: StoredContent, task_id: str) -> StoredDeployment:
    return StoredDeployment(id=task_id, content=content.id, bundle=1, activate=True, started="then")


def test_everything_is_on_disk_at_once(kept: State, content: StoredContent, tmp_path: Path) -> None:
    bundle = kept.add_bundle(StoredBundle(id=0, content=content.id, created="then", size=3))
    kept.set_variables(content, {"A": Secret("1")})
    kept.save_content(replace(content, active_bundle=bundle.id))
    kept.save_bundle(replace(bundle, environment="e", metadata={"a": "b"}))
    kept.save_job(_job(content, "k"))
    kept.save_deployment(_deployment(content, "t"))

    again = _reopened(kept, tmp_path)

    assert again.contents() == (replace(content, active_bundle=bundle.id),)
    assert again.bundle(bundle.id) == replace(bundle, environment="e", metadata={"a": "b"})
    assert again.variables(content) == {"A": Secret("1")}
    assert again.jobs(content) == (replace(_job(content, "k"), id=1),)
    assert again.deployments(content) == (_deployment(content, "t"),)
    assert again.deployment("t") == _deployment(content, "t")
    assert again.deployment("none") is None


def test_what_belongs_to_content_goes_with_it(kept: State, content: StoredContent) -> None:
    bundle = kept.add_bundle(StoredBundle(id=0, content=content.id, created="then", size=3))
    kept.set_variables(content, {"A": Secret("1")})
    kept.save_job(_job(content, "k"))
    kept.save_deployment(_deployment(content, "t"))

    kept.remove_content(content)
    kept.save_job(_job(content, "late"))
    kept.save_deployment(_deployment(content, "late"))

    assert kept.content(content.guid) is None
    assert kept.bundle(bundle.id) is None
    assert kept.variables(content) == {}
    assert kept.jobs(content) == ()
    assert kept.deployments(content) == ()


def test_numbers_are_not_given_twice(kept: State, content: StoredContent) -> None:
    kept.remove_content(content)

    assert kept.add_content("one", DEFAULTS).id > content.id


def test_fields_of_a_later_version_are_left_out(
    kept: State, content: StoredContent, tmp_path: Path
) -> None:
    kept.save_content(content)
    database = sqlite3.connect(tmp_path / "state.sqlite3")
    with database:
        database.execute("UPDATE content SET document = json_set(document, '$.later', 1)")
    database.close()

    assert kept.contents() == (content,)


def test_jobs_that_nobody_saw_the_end_of(kept: State, content: StoredContent) -> None:
    kept.save_job(_job(content, "open"))
    kept.save_job(replace(_job(content, "done"), ended="once"))

    kept.save_deployment(_deployment(content, "begun"))
    done = replace(_deployment(content, "done"), ended="once", code=0)
    kept.save_deployment(done)

    kept.end_unfinished()

    ended = {job.key: job.ended for job in kept.jobs(content)}
    assert ended["done"] == "once"
    assert ended["open"] not in {None, "once"}
    begun = kept.deployment("begun")
    assert begun
    assert (begun.code, bool(begun.ended), "Deploy again" in begun.error) == (1, True, True)
    assert kept.deployment("done") == done


def test_a_log_keeps_its_lines(tmp_path: Path) -> None:
    path = tmp_path / "logs" / "k.jsonl"
    log = JobLog(path)
    for number in range(60):
        log.write("stderr", f"line {number} \x1b[31m\u2028")
    log.close()

    assert len(read_log(path)) == 60
    assert read_log(path)[0].data == "line 0 \x1b[31m\u2028"
    assert len(log.tail) == 50
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert read_log(tmp_path / "none") == ()


def test_old_jobs_are_forgotten(kept: State, content: StoredContent) -> None:
    for key in ("runs", "a", "b", "c"):
        job = _job(content, key)
        kept.save_job(job if key == "runs" else replace(job, ended="then"))

    assert kept.forget_jobs(content.id, 2) == ("a",)
    assert [job.key for job in kept.jobs(content)] == ["c", "b", "runs"]


def test_a_name_is_added_once_and_linked(kept: State, content: StoredContent) -> None:
    category = kept.add_name("tag", "Region")
    north = kept.add_name("tag", "North", parent=category.id)
    ann = kept.add_name("user", "ann", guid="a-guid")
    kept.link(content, ann, "viewer")
    kept.link(content, ann, "owner")
    kept.link(content, north)

    assert kept.add_name("user", "ann") == ann
    assert kept.add_name("tag", "North") not in {north, category}
    assert kept.links(content, "user", "group", "tag") == {ann: "owner", north: ""}
    kept.unlink(content, north, category)
    assert kept.links(content, "tag") == {}
    kept.remove_content(content)
    assert kept.links(content, "user") == {}


def test_a_state_of_before_there_were_owners_goes_on(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "state.sqlite3")) as before:
        before.executescript(
            """
            CREATE TABLE content (
                id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL UNIQUE,
                document TEXT NOT NULL);
            CREATE TABLE variable (
                content INTEGER NOT NULL REFERENCES content ON DELETE CASCADE,
                name TEXT NOT NULL, value TEXT NOT NULL, PRIMARY KEY (content, name));
            INSERT INTO content VALUES (1, 'one', '{"id": 0, "guid": "g", "name": "one",
                "settings": {"access_type": "all"}, "created": "then"}'), (7, 'gone', '{}');
            DELETE FROM content WHERE id = 7;
            INSERT INTO variable VALUES (1, 'A', '1');
            """
        )

    with closing(State(tmp_path)) as kept:
        (content,) = kept.contents()
        assert (content.name, content.owner, content.settings) == (
            "one",
            OWN_GUID,
            {"access_type": "all"},
        )
        assert kept.variables(content) == {"A": Secret("1")}
        assert kept.add_content("one", DEFAULTS, "somebody").id == 8
        with pytest.raises(sqlite3.IntegrityError):
            kept.add_content("one", DEFAULTS)
        kept.remove_content(content)
        assert kept.variables(content) == {}
    with closing(State(tmp_path)) as again:
        assert [one.id for one in again.contents()] == [8]


def test_a_state_of_a_later_version_is_left_as_it_is(tmp_path: Path) -> None:
    State(tmp_path).close()
    with closing(sqlite3.connect(tmp_path / "state.sqlite3")) as later:
        later.execute("PRAGMA user_version = 1000")

    with pytest.raises(DiskError, match="a later version of hatch-connect"):
        State(tmp_path)


def test_a_transaction_that_fails_changes_nothing(kept: State, content: StoredContent) -> None:
    kept.set_variables(content, {"A": Secret("1")})

    with suppress(ZeroDivisionError), kept.transaction():
        kept.save_content(replace(content, active_bundle=1))
        kept.set_variables(content, {"A": Secret("2"), "B": Secret("3")})
        _ = 1 / 0

    assert kept.content(content.guid) == content
    assert kept.variables(content) == {"A": Secret("1")}
