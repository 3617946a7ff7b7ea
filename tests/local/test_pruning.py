"""What frees the disk: what no content needs goes, and what is needed stays or is made again."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

import pytest
from support.connect_content import ANSWERS, bundle, bundle_of
from support.local_api import asking
from support.waiting import until

from hatch_connect.errors import UsageError
from hatch_connect.events import silent
from hatch_connect.local import pruning
from hatch_connect.local.folder import exclusive
from hatch_connect.local.pruning import number_of_contents, prune, reset, set_aside
from hatch_connect.local.start import running
from hatch_connect.local.state import State

if TYPE_CHECKING:
    from pathlib import Path

_PAGE = {"appmode": "static", "primary_html": "index.html", "entrypoint": "index.html"}


def _tree(state: Path, *folders: str) -> set[str]:
    return {f"{name}/{path.name}" for name in folders for path in (state / name).glob("*")}


def test_what_no_content_needs_is_removed(state: Path) -> None:
    with running(state, environ=os.environ, report=silent) as server, asking(server) as api:
        guid = api.ship(bundle({"requirements.txt": b"# one\n"}))
        assert api.visit(guid).status_code == 200
        kept = _tree(state, *pruning.KINDS)
        gone = api.deploy(guid, api.upload(guid, bundle({"requirements.txt": b"# two\n"})))
        (newest, oldest) = (one["id"] for one in api.ask("GET", f"v1/content/{guid}/bundles"))
        assert api.visit(guid).status_code == 200
        assert api.deploy(guid, oldest)["code"] == gone["code"] == 0
        api.ask("DELETE", f"v1/content/{guid}/bundles/{newest}", 204)
    for name in ("bundles/9.tar.gz", "logs/none.jsonl", "thumbnails/none", "unpacked/9/deep/file"):
        (state / name).parent.mkdir(parents=True, exist_ok=True)
        (state / name).write_bytes(b"x" * 1000)

    with exclusive(state):
        freed = prune(state)

    left = _tree(state, *pruning.KINDS)
    assert left >= kept
    assert not any("none" in name or "9" in name.split("/")[1:] for name in left)
    assert freed.counts["environments"] == freed.counts["bundles"] == freed.counts["unpacked"] == 1
    assert freed.counts["logs"] >= 3  # of the bundle that was removed as well
    assert freed.size > 4000
    with exclusive(state):
        assert prune(state).counts == {}
    with running(state, environ=os.environ, report=silent) as server, asking(server) as api:
        assert api.visit(guid).status_code == 200


def test_a_state_that_is_served_is_not_touched(state: Path) -> None:
    with (
        running(state, environ=os.environ, report=silent),
        pytest.raises(UsageError, match="is already running"),
        exclusive(state),
    ):
        pytest.fail("it is served")


def test_all_content_is_removed(state: Path) -> None:
    with running(state, environ=os.environ, report=silent) as server, asking(server) as api:
        api.ship(bundle_of({"index.html": b"hello"}, metadata=_PAGE, python=None))
    before = {name: (state / name).read_bytes() for name in ("api-key", "users.toml")}
    assert number_of_contents(state) == 1

    with exclusive(state):
        assert reset(state).size > 0

    assert {path.name for path in state.iterdir()} == {*before, "server.json", "lock"}
    assert {name: (state / name).read_bytes() for name in before} == before
    assert number_of_contents(state) == 0
    url = server.url
    with running(state, environ=os.environ, report=silent) as server, asking(server) as api:
        assert api.ask("GET", "v1/content") == []
        assert server.url == url


def test_what_an_earlier_server_left_half_done_is_removed_at_the_start(state: Path) -> None:
    half = ("bundles/upload-x", "unpacked/1.new/a/b", "rendered/1.new/a", "environments/3.11-x/y")
    for name in half:
        (state / name).parent.mkdir(parents=True)
        (state / name).write_text("half")

    with running(state, environ=os.environ, report=silent):
        until(lambda: not (state / "removing").exists())
        assert _tree(state, "bundles", "unpacked", "rendered", "environments") == set()


def test_environments_that_are_long_unused_are_removed_at_the_start(state: Path) -> None:
    with running(state, environ=os.environ, report=silent) as server, asking(server) as api:
        guid = api.ship(bundle({"app.py": ANSWERS % b"draft", "requirements.txt": b"# one\n"}))
        first = api.ask("GET", f"v1/content/{guid}")["bundle_id"]
        second = api.upload(guid, bundle({"requirements.txt": b"# two\n"}))
        assert api.deploy(guid, second)["code"] == 0
    environments = state / "environments"
    long_ago = time.time() - pruning.LONGEST_UNUSED - 60
    for path in environments.iterdir():
        os.utime(path / ".complete", (long_ago, long_ago))

    with running(state, environ=os.environ, report=silent) as server, asking(server) as api:
        until(lambda: not (state / "removing").exists())
        assert len(list(environments.iterdir())) == 1  # that of the active bundle
        # It is made again for who visits the other one.
        assert api.visit(guid, f"_bundle{first}/").text == "draft"
        assert len(list(environments.iterdir())) == 2


def test_the_number_of_environments_is_bounded(state: Path) -> None:
    for number in range(pruning.MOST_ENVIRONMENTS + 2):
        complete = state / "environments" / f"3.11.0-{number}" / ".complete"
        complete.parent.mkdir(parents=True)
        complete.touch()
        used = time.time() - number
        os.utime(complete, (used, used))
    database = State(state)

    aside = set_aside(state, database)

    database.close()
    moved = {path.name.rpartition("-")[0] for path in aside.iterdir()}
    most = pruning.MOST_ENVIRONMENTS
    assert moved == {f"3.11.0-{most}", f"3.11.0-{most + 1}"}
