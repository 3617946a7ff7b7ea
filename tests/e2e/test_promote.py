"""`download`, and `promote` between two servers side by side."""

from __future__ import annotations

import itertools
import json
import os
import random
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
from support.calling import KEY, error_in
from support.fake_bundle import Reply
from support.fake_connect import FakeConnect
from support.fake_oauth import FakeOAuth
from support.faults import Do, Drop, LoseAnswer, Say, Truncate, html, kill_at
from support.waiting import PATIENCE

from hatch_connect import promote
from hatch_connect.events import Progress

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from support.calling import Called, Caller
    from support.fake_connect import Recorded
    from support.fake_content import FakeContent
    from support.faults import Fault
    from support.sandbox import Sandbox

    from hatch_connect.events import Event

pytestmark = pytest.mark.sweep


@pytest.fixture
def content(caller: Caller, fake: FakeConnect) -> FakeContent:
    """Content that was deployed by its file, with two bundles; the second one is active."""
    for text in ("print(1)\n", "print(2)\n"):
        caller.bundle(text)
        assert caller.deploy(title="Sales").code == 0
    (found,) = fake.contents.values()
    fake.requests.clear()
    return found


class TestDownload:
    def test_the_active_bundle_is_written_as_it_is(
        self, caller: Caller, content: FakeContent
    ) -> None:
        done = caller.call("download", app_id=content.guid)
        path = caller.folder / f"{content.name}-{content.bundle_id}.connect.tgz"
        assert (done.code, done.stdout) == (0, f"{path}\n"), done.said
        assert path.read_bytes() == content.bundles[content.bundle_id or ""].archive
        assert "not compared" not in done.stderr

    def test_an_earlier_bundle_is_named(self, caller: Caller, content: FakeContent) -> None:
        first = min(content.bundles, key=int)
        (caller.folder / "kept").mkdir()
        done = caller.call(
            "download", app_id=content.guid, bundle_id=first, output="kept", json=True
        )
        facts = json.loads(done.stdout)
        path = caller.folder / "kept" / f"{content.name}-{first}.connect.tgz"
        archive = content.bundles[first].archive
        assert path.read_bytes() == archive
        assert (facts["path"], facts["size"]) == (str(path), len(archive))
        assert (facts["bundle_id"], facts["compared"]) == (first, True)

    def test_what_was_written_can_be_deployed(self, caller: Caller, content: FakeContent) -> None:
        caller.call("download", app_id=content.guid, output="old.tgz")
        done = caller.call("deploy", file=("old.tgz",), app_id=content.guid)
        assert done.code == 0, done.said
        assert f"Nothing to upload: bundle {content.bundle_id} is the same." in done.stderr

    def test_another_file_is_never_overwritten(self, caller: Caller, content: FakeContent) -> None:
        path = caller.folder / "mine.tgz"
        path.write_bytes(b"mine")
        done = caller.call("download", app_id=content.guid, output="mine.tgz")
        assert (done.code, path.read_bytes()) == (2, b"mine")
        assert "already exists" in done.stderr

    def test_it_is_not_fetched_again(
        self, caller: Caller, fake: FakeConnect, content: FakeContent
    ) -> None:
        assert caller.call("download", app_id=content.guid).code == 0
        fake.requests.clear()
        done = caller.call("download", app_id=content.guid)
        assert done.code == 0
        assert "Already downloaded" in done.stderr
        assert not any(call.endswith("/download") for call in fake.calls())

    def test_an_md5_that_is_not_told_is_said(self, caller: Caller, content: FakeContent) -> None:
        bundle = content.bundles[content.bundle_id or ""]
        told = bundle.told
        bundle.told = lambda *, active: told(active=active) | {"metadata": {}}  # type: ignore[method-assign]
        done = caller.call("download", app_id=content.guid, json=True)
        assert done.code == 0, done.said
        assert "does not provide the MD5" in done.stderr
        assert json.loads(done.stdout)["compared"] is False

    def test_without_an_md5_it_must_be_an_archive(
        self, caller: Caller, fake: FakeConnect, content: FakeContent
    ) -> None:
        bundle = content.bundles[content.bundle_id or ""]
        told = bundle.told
        bundle.told = lambda *, active: told(active=active) | {"metadata": {}}  # type: ignore[method-assign]
        fake.misbehave("GET", "/download$", html(200, "<p>log in</p>"))
        done = caller.call("download", app_id=content.guid)
        assert done.code == 3, done.said
        assert ": it is not an archive" in done.stderr

    @pytest.mark.parametrize(
        ("fault", "code"),
        [
            (Say(200, b"\x1f\x8bother"), 3),
            (html(200, "<p>log in</p>"), 3),
            (Say(403, b'{"code": 22, "error": "no"}'), 3),
            (Say(404, b'{"code": 28, "error": "gone"}'), 3),
            (Say(500, b'{"code": 1, "error": "failed"}'), 3),
            (Truncate(), 0),
            (LoseAnswer(), 0),
            (Drop(), 0),
            (Say(502), 0),
        ],
    )
    def test_a_download_that_goes_wrong_leaves_no_file(
        self, caller: Caller, fake: FakeConnect, content: FakeContent, fault: Fault, code: int
    ) -> None:
        fake.misbehave("GET", "/download$", fault)
        before = set(caller.folder.iterdir())
        done = caller.call("download", app_id=content.guid, json=True)
        assert done.code == code, done.said
        assert "Traceback" not in done.said
        assert len(set(caller.folder.iterdir()) - before) == (0 if code else 1)
        if code:
            assert error_in(done)["exit_code"] == code

    def test_whoever_may_only_look_is_told_who_may(
        self, caller: Caller, content: FakeContent
    ) -> None:
        content.role = "viewer"
        done = caller.call("download", app_id=content.guid)
        assert done.code == 3
        assert "ask the owner to make you one" in done.stderr

    @pytest.mark.parametrize("bundle_id", [None, "1"])
    def test_a_server_that_shows_them_no_bundle_at_all(
        self, caller: Caller, fake: FakeConnect, content: FakeContent, bundle_id: str | None
    ) -> None:
        refused = Say(403, b'{"code": 22, "error": "no"}')
        fake.misbehave("GET", r"/bundles(/\d+)?$", refused, times=9)
        done = caller.call("download", app_id=content.guid, bundle_id=bundle_id)
        assert done.code == 3
        assert "ask the owner to make you one" in done.stderr

    def test_nothing_is_active(self, caller: Caller, content: FakeContent) -> None:
        content.bundle_id = None
        done = caller.call("download", app_id=content.guid)
        assert done.code == 2
        assert "has no active bundle" in done.stderr

    def test_a_folder_that_cannot_be_written(self, caller: Caller, content: FakeContent) -> None:
        (caller.folder / "file").write_bytes(b"")
        done = caller.call("download", app_id=content.guid, output="file/x.tgz")
        assert (done.code, "Traceback" in done.said) == (2, False), done.said


URL_TABLE = """
[project]
name = "sales"
version = "1.0"
[tool.hatch-connect]
app-mode = "fastapi"
entrypoint = "app:app"
env = ["MODE"]
[tool.hatch-connect.on.staging]
env = ["MODE=test"]
[tool.hatch-connect.on.prod]
env = ["MODE=live"]
title = "Sales of today"
"""
PROD_KEY = "Prod7uctionKey0123456789abcdefgh"


@dataclass(kw_only=True)
class Two:
    """Two servers that are stored, and a project whose bundle is active on the first one."""

    caller: Caller
    staging: FakeConnect
    prod: FakeConnect
    root: Path

    @property
    def there(self) -> FakeContent:
        (found,) = self.staging.contents.values()
        return found

    @property
    def here(self) -> FakeContent:
        (found,) = self.prod.contents.values()
        return found

    def archive(self) -> bytes:
        return self.there.bundles[self.there.bundle_id or ""].archive

    def promote(self, **options: object) -> Called:
        given = {"from_server": "staging", "to_server": "prod", "directory": str(self.root)}
        return self.caller.call("promote", **(given | options))

    def deploy(self, name: str = "staging", text: str = "print(1)\n", **more: object) -> Called:
        (self.root / "app.py").write_text(text, encoding="utf-8")
        done = self.caller.call("deploy", directory=str(self.root), name=name, **more)
        assert done.code == 0, done.said
        return done


@pytest.fixture
def two(caller: Caller) -> Iterator[Two]:
    root = caller.folder / "sales"
    root.mkdir()
    (root / "pyproject.toml").write_text(URL_TABLE, encoding="utf-8")
    (root / "requirements.txt").write_text("starlette==0.45.0\n", encoding="utf-8")
    (root / ".python-version").write_text("3.12\n", encoding="utf-8")
    with FakeConnect() as staging, FakeConnect() as prod:
        prod.api_key, prod.username = PROD_KEY, "grace"
        prod.pythons = ("3.12.1",)
        for name, server in {"staging": staging, "prod": prod}.items():
            added = caller.call("add", name=name, server=server.url, api_key=server.api_key)
            assert added.code == 0, added.said
        found = Two(caller=caller, staging=staging, prod=prod, root=root)
        found.deploy(metadata=("ticket=A-1", "source_commit=abcdef0123"))
        staging.requests.clear()
        prod.requests.clear()
        yield found


def changes(server: FakeConnect) -> list[str]:
    return [call for call in server.calls() if not call.startswith("GET")]


class TestPromote:
    def test_the_same_bytes_become_active_with_the_other_servers_variables(self, two: Two) -> None:
        # What the checkout holds by now does not matter.
        (two.root / "app.py").write_text("print('newer')\n", encoding="utf-8")
        done = two.promote(json=True)
        assert done.code == 0, done.said
        here = two.here
        bundle = here.bundles[here.bundle_id or ""]
        assert bundle.archive == two.archive()
        assert (here.environment, here.title) == ({"MODE": "live"}, "Sales of today")
        assert changes(two.staging) == []
        asked = [call.rpartition("/")[2] for call in two.prod.calls()]
        draft, visit, activated = (
            json.loads(r.body) if r.body else str(r)
            for r in two.prod.requests
            if r.path.endswith("/deploy") or "_bundle" in r.path
        )
        assert (draft, activated) == (
            {"bundle_id": bundle.id, "activate": False},
            {"bundle_id": bundle.id},
        )
        assert f"_bundle{bundle.id}/" in visit
        assert "bundles" in asked
        facts = json.loads(done.stdout)
        assert facts["url"] == f"{two.prod.url}/content/{here.guid}/"
        assert facts["from"] == {
            "server": two.staging.url,
            "guid": two.there.guid,
            "bundle_id": two.there.bundle_id,
        }

    def test_its_metadata_goes_with_it_and_where_it_comes_from(self, two: Two) -> None:
        two.deploy(text="print(2)\n", metadata=("ticket=A-2",))  # which notes what was active
        two.promote()
        (noted,) = (bundle.metadata for bundle in two.here.bundles.values())
        assert noted["ticket"] == "A-2"
        assert noted["hatch_connect_from_server"] == two.staging.url
        assert noted["hatch_connect_from_content"] == two.there.guid
        assert noted["hatch_connect_from_bundle"] == two.there.bundle_id
        assert "hatch_connect_active_bundle" not in noted
        assert "archive_md5" not in noted

    def test_what_is_active_already_is_not_uploaded(self, two: Two) -> None:
        first = two.promote()
        assert first.code == 0, first.said
        assert re.search(rf"\nPromoted .+ to \S+ as bundle {two.here.bundle_id}\b", first.stderr)
        two.prod.requests.clear()
        done = two.promote()
        assert done.code == 0, done.said
        assert f" is up to date on prod: bundle {two.here.bundle_id} is already" in done.stderr
        assert f"Nothing to upload: bundle {two.here.bundle_id} is the same." in done.stderr
        assert len(two.here.bundles) == 1

    @pytest.mark.parametrize("version", ["2024.01.0", "2025.10.0"])
    def test_nor_by_a_fresh_checkout_to_a_server_that_keeps_no_notes(
        self, two: Two, version: str
    ) -> None:
        two.prod.version = version
        assert two.promote().code == 0
        shutil.rmtree(two.caller.folder / "home" / ".rsconnect-python" / "applications")
        done = two.promote()
        assert "Nothing to upload" in done.stderr, done.said
        assert len(two.here.bundles) == 1

    def test_what_was_active_comes_back_if_it_fails_there(self, two: Two) -> None:
        with (two.root / "pyproject.toml").open("a", encoding="utf-8") as file:
            file.write('[tool.hatch-connect.verify]\non-failure = "rollback"\n')
        assert two.promote().code == 0
        before = two.here.bundle_id
        two.deploy(text="print(2)\n")
        visit = f"^/content/{two.here.guid}/$"
        fails = Do(lambda: two.prod.misbehave("GET", visit, Say(500), times=1))
        two.prod.misbehave("POST", "/deploy$", fails, skip=1)  # the activation
        done = two.promote()
        assert (done.code, two.here.bundle_id) == (5, before), done.said

    def test_a_dry_run_compares_and_changes_nothing(self, two: Two) -> None:
        assert two.promote().code == 0
        two.deploy(text="print(2)\n")
        two.prod.requests.clear()
        done = two.promote(dry_run=True)
        assert done.code == 0, done.said
        assert "~ app.py" in two.promote(dry_run=True, verbose=True).stdout
        assert "Nothing was changed." in done.stdout
        assert changes(two.prod) == []
        facts = json.loads(two.promote(dry_run=True, json=True).stdout)
        assert (facts["differs"], facts["from"]["server"]) == (True, two.staging.url)

    def test_a_draft_is_left_for_people_to_look_at(self, two: Two) -> None:
        done = two.promote(draft=True)
        assert done.code == 0, done.said
        assert "/_bundle" in done.stdout
        assert two.here.bundle_id is None

    @pytest.mark.parametrize("kept", [(), ("3.12.4",)])
    def test_a_python_that_is_not_there_is_refused_first(
        self, two: Two, kept: tuple[str, ...]
    ) -> None:
        two.prod.pythons, two.prod.kept_pythons = ("3.11.2", *kept), kept
        done = two.promote()
        assert done.code == 2, done.said
        assert "The server does not have Python 3.12" in done.stderr
        assert changes(two.prod) == []

    def test_limits_of_the_other_server_are_refused_first(self, two: Two) -> None:
        with (two.root / "pyproject.toml").open("a", encoding="utf-8") as file:
            file.write("[tool.hatch-connect.settings]\nmax-processes = 9\n")
        two.prod.settings.scheduler["max_processes_limit"] = 4
        done = two.promote()
        assert done.code != 0
        assert "max-processes" in done.stderr
        assert (changes(two.prod), two.prod.contents) == ([], {})

    @pytest.mark.parametrize("status", [500, 503])
    def test_what_does_not_answer_on_the_first_server_is_refused(
        self, two: Two, status: int
    ) -> None:
        two.staging.page = Reply(status, b"broken")
        done = two.promote()
        assert done.code == 3, done.said
        assert "Nothing was promoted: the content does not answer" in done.stderr
        assert two.prod.requests == []
        assert two.promote(no_verify=True).code == 0

    def test_other_content_is_refused(self, two: Two) -> None:
        two.prod.add_content("sales", app_mode="python-dash")
        done = two.promote()
        assert done.code == 3, done.said
        assert "app mode" in done.stderr
        assert changes(two.prod) == []

    def test_nothing_is_active_on_the_first_server(self, two: Two) -> None:
        two.there.bundle_id = None
        done = two.promote()
        assert (done.code, two.prod.requests) == (2, [])
        assert "has no active bundle" in done.stderr

    def test_it_was_never_deployed_there(self, two: Two) -> None:
        done = two.promote(from_server="prod", to_server="staging")
        assert done.code == 2
        assert "was not deployed to" in done.stderr

    @pytest.mark.parametrize("md5", ["0" * 32, None])
    def test_the_md5_is_compared(self, two: Two, md5: str | None) -> None:
        bundle = two.there.bundles[two.there.bundle_id or ""]
        told = bundle.told
        metadata = {"archive_md5": md5} if md5 else {}
        bundle.told = lambda *, active: told(active=active) | {"metadata": metadata}  # type: ignore[method-assign]
        done = two.promote()
        if md5:
            assert done.code == 3, done.said
            assert "is not bundle" in done.stderr
            assert two.prod.contents == {}
        else:
            assert done.code == 0, done.said
            assert "does not provide the MD5" in done.stderr

    @pytest.mark.parametrize(
        "ends", [{}, {"from_server": "staging"}, {"to_server": "prod"}], ids=["none", "from", "to"]
    )
    def test_both_ends_are_named(self, two: Two, ends: dict[str, str]) -> None:
        done = two.caller.call("promote", directory=str(two.root), **ends)
        assert (done.code, "--from staging --to prod" in done.stderr) == (2, True)

    def test_one_server_for_both_is_refused(self, two: Two) -> None:
        done = two.promote(to_server=f"{two.staging.url}/")
        assert done.code == 2
        assert "are the same server" in done.stderr
        assert changes(two.staging) == []

    def test_drafts_above_the_active_bundle_do_not_matter(self, two: Two) -> None:
        active = two.archive()
        for number in range(25):
            two.deploy(text=f"print('draft {number}')\n", draft=True)
        done = two.promote()
        assert done.code == 0, done.said
        assert two.here.bundles[two.here.bundle_id or ""].archive == active


class TestWhichContent:
    def test_a_guid_in_the_tables_of_the_servers(self, two: Two) -> None:
        shutil.rmtree(two.caller.folder / "home" / ".rsconnect-python" / "applications")
        two.there.name = "other-name"
        target = two.prod.add_content("elsewhere", title="Sales of today")
        path = two.root / "pyproject.toml"
        text = path.read_text("utf-8")
        for name, guid in {"staging": two.there.guid, "prod": target.guid}.items():
            head = f"[tool.hatch-connect.on.{name}]\n"
            text = text.replace(head, f'{head}guid = "{guid}"\n')
        path.write_text(text, encoding="utf-8")
        done = two.promote()
        assert done.code == 0, done.said
        assert two.here is target
        assert target.bundle_id

    def test_the_url_of_content_on_either_side_without_a_project(self, two: Two) -> None:
        target = two.prod.add_content("elsewhere")
        done = two.promote(
            from_server=f"{two.staging.url}/content/{two.there.guid}/",
            to_server=f"{two.prod.url}/connect/#/apps/{target.guid}",
            directory=str(two.caller.folder),
        )
        assert done.code == 0, done.said
        assert target.bundles[target.bundle_id or ""].archive == two.archive()

    def test_without_a_project_it_is_the_same_content_each_time(self, two: Two) -> None:
        there = {
            "from_server": f"{two.staging.url}/content/{two.there.guid}/",
            "directory": str(two.caller.folder),
        }
        assert two.promote(**there).code == 0
        assert (two.here.name, two.here.title) == (two.there.name, two.there.title)
        two.deploy(text="print(2)\n")
        assert two.promote(**there).code == 0
        assert two.here.bundles[two.here.bundle_id or ""].archive == two.archive()

    def test_app_id_is_of_the_second_server(self, two: Two) -> None:
        target = two.prod.add_content("elsewhere")
        done = two.promote(app_id=target.guid)
        assert done.code == 0, done.said
        assert two.here is target

    def test_new_content_is_made_on_the_second_server(self, two: Two) -> None:
        assert two.promote().code == 0
        done = two.promote(new=True)
        assert done.code == 0, done.said
        assert sorted(c.name for c in two.prod.contents.values()) == ["sales", "sales1"]
        assert len(two.staging.contents) == 1

    def test_one_of_several_pieces_of_content(self, two: Two) -> None:
        with (two.root / "pyproject.toml").open("a", encoding="utf-8") as file:
            file.write('[tool.hatch-connect.content.stock]\ncontent-name = "stock"\n')
            file.write('[tool.hatch-connect.content.stock.on.prod]\ntitle = "Stock"\n')
        two.deploy(content=("stock",))
        done = two.promote(content=("stock",))
        assert done.code == 0, done.said
        assert (two.here.name, two.here.title) == ("stock", "Stock")

    def test_of_several_on_the_first_server_one_is_asked_for(self, two: Two) -> None:
        shutil.rmtree(two.caller.folder / "home" / ".rsconnect-python" / "applications")
        two.there.owner = "2"
        two.staging.add_content("sales", owner="3")
        done = two.promote()
        assert done.code == 2, done.said
        assert "--from https://SERVER/content/GUID/" in done.stderr
        assert "--app-id" not in done.stderr


class TestKeys:
    def keys(self, server: FakeConnect) -> set[str]:
        asked = (request.headers.get("authorization", "") for request in server.requests)
        return {each.removeprefix("Key ") for each in asked if each}

    @pytest.mark.parametrize("named", ["staging", "prod"])
    def test_the_environments_key_is_for_connect_server(self, two: Two, named: str) -> None:
        servers = {"staging": two.staging, "prod": two.prod}
        server = servers[named]
        server.api_key = "EnvironmentKey0123456789abcdefgh"
        two.caller.environ |= {"CONNECT_SERVER": server.url, "CONNECT_API_KEY": server.api_key}
        done = two.promote()
        assert done.code == 0, done.said
        assert f"Using CONNECT_API_KEY for {server.url} (CONNECT_SERVER)." in done.stderr
        assert [self.keys(each) for each in servers.values()] == [
            {each.api_key} for each in servers.values()
        ]

    @pytest.mark.parametrize("elsewhere", [{}, {"CONNECT_SERVER": "https://connect.example"}])
    def test_a_key_that_is_for_neither_goes_nowhere(
        self, two: Two, elsewhere: dict[str, str]
    ) -> None:
        two.caller.environ |= {"CONNECT_API_KEY": KEY} | elsewhere
        done = two.promote()
        assert done.code == 0, done.said
        assert "Ignoring CONNECT_API_KEY" in done.stderr
        assert KEY not in self.keys(two.staging) | self.keys(two.prod)

    def test_a_key_without_a_server_is_not_guessed_to_be_for_one(self, two: Two) -> None:
        two.caller.call("remove", name="prod")
        two.caller.environ |= {"CONNECT_API_KEY": PROD_KEY}
        done = two.promote(to_server=two.prod.url)
        assert done.code == 2
        assert "set CONNECT_SERVER to say which" in done.stderr

    def test_a_nickname_that_only_a_table_has_means_connect_server(self, two: Two) -> None:
        two.caller.call("remove", name="prod")
        two.caller.environ |= {"CONNECT_SERVER": two.prod.url, "CONNECT_API_KEY": PROD_KEY}
        done = two.promote()
        assert done.code == 0, done.said
        assert two.here.environment == {"MODE": "live"}

    @pytest.mark.parametrize("named", ["staging", "prod"])
    def test_a_workflow_signs_in_at_one_of_them(self, two: Two, named: str) -> None:
        assert two.promote().code == 0
        two.deploy(text="print(2)\n")
        server = {"staging": two.staging, "prod": two.prod}[named]
        server.oauth = oauth = FakeOAuth()
        oauth.trust(next(iter(server.contents)))
        two.caller.call("remove", name=named)
        token = oauth.identity()
        two.caller.environ |= {"CONNECT_SERVER": server.url, "CONNECT_IDENTITY_TOKEN": token}
        server.requests.clear()
        done = two.promote()
        assert done.code == 0, done.said
        assert two.here.bundles[two.here.bundle_id or ""].archive == two.archive()
        assert not oauth.leaks(done.said)
        assert server.api_key not in self.keys(server)

    def test_a_name_that_nobody_knows(self, two: Two) -> None:
        done = two.promote(to_server="prdo")
        assert done.code == 2
        assert "(from the --to option)" in done.stderr


FAULTS: dict[str, Fault] = {
    "nothing came": Drop(),
    "the answer was lost": LoseAnswer(),
    "half of the answer": Truncate(),
    "a gateway's error": html(502, "<p>bad gateway</p>"),
    "Connect's error": Say(500, b'{"code": 1, "error": "failed"}'),
    "a refusal": Say(403, b'{"code": 22, "error": "not for you"}'),
}


@pytest.mark.parametrize("times", [1, 999])
@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("side", ["staging", "prod"])
def test_a_fault_at_each_request(two: Two, side: str, fault: str, times: int) -> None:
    """Nothing else becomes active, and a further call brings it to an end, without duplicates."""
    archive, server = two.archive(), two.staging if side == "staging" else two.prod
    records = two.caller.folder / "home" / ".rsconnect-python" / "applications"
    kept = {file: file.read_bytes() for file in records.iterdir()}
    reached, number = True, -1
    while reached:
        number += 1
        two.prod.contents.clear()
        for file, text in kept.items():
            file.write_bytes(text)
        requests = itertools.count()

        def gate(_: Recorded, number: int = number, counter: Iterator[int] = requests) -> object:
            now = next(counter)
            return FAULTS[fault] if number <= now < number + times else None

        server.gate = gate  # type: ignore[assignment]
        failed = two.promote()
        server.gate, reached = None, next(requests) > number
        assert "Traceback" not in failed.said
        assert not {two.staging.api_key, PROD_KEY} & set(failed.said.split())
        assert failed.code in {0, 2, 3, 4, 5}, failed.said
        for content in two.prod.contents.values():
            active = content.bundles.get(content.bundle_id or "")
            assert active is None or active.archive == archive
        done = two.promote()
        assert done.code == 0, f"after {number}: {failed.said}\n{done.said}"
        assert two.here.bundles[two.here.bundle_id or ""].archive == archive
        assert changes(two.staging) == []
    assert number > 4


@pytest.mark.skipif(os.name != "posix", reason="signals are POSIX's")
@pytest.mark.parametrize("carried_out", ["no", "yes"])
def test_a_call_that_is_killed_at_a_request(two: Two, sandbox: Sandbox, carried_out: str) -> None:
    """Whatever it had come to, the next call brings it to an end, without duplicates."""
    archive, count = two.archive(), len(two.prod.calls())
    shutil.copytree(two.caller.folder / "home", sandbox.home, dirs_exist_ok=True)
    words = ("promote", "--from", "staging", "--to", "prod")
    assert sandbox.connect(*words, cwd=two.root).code == 0
    asked = len(two.prod.calls()) - count
    for number in sorted(random.sample(range(1, asked), 5)):
        two.prod.contents.clear()
        shutil.rmtree(sandbox.home / ".rsconnect-python" / "applications")
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "hatch_connect", *words],
            cwd=two.root,
            env=sandbox.environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        two.prod.gate = kill_at(number, process, carried_out=carried_out == "yes")
        assert process.wait(PATIENCE) == -9
        two.prod.gate = None
        for content in two.prod.contents.values():
            active = content.bundles.get(content.bundle_id or "")
            assert active is None or active.archive == archive
        again = sandbox.connect(*words, cwd=two.root)
        assert again.code == 0, f"after {number}: {again.said}"
        assert two.here.bundles[two.here.bundle_id or ""].archive == archive


def test_from_a_program_and_streamed(two: Two) -> None:
    noise = random.Random(0).randbytes(3 << 20)
    (two.root / "noise.bin").write_bytes(noise)
    two.deploy(text="print(3)\n")
    heard: list[Event] = []
    environ = {"HOME": str(two.caller.folder / "home")}
    deployment = promote(
        two.root, from_server="staging", to_server="prod", environ=environ, report=heard.append
    )
    assert deployment.active
    assert two.here.bundles[deployment.bundle_id].archive == two.archive()
    moved = [each for each in heard if isinstance(each, Progress) and each.what == "Downloading"]
    assert (len(moved) > 2, moved[-1].done) == (True, len(two.archive()))
    assert moved[0].total == len(two.archive())


def test_as_an_invoke_task(two: Two, sandbox: Sandbox) -> None:
    shutil.copytree(two.caller.folder / "home", sandbox.home, dirs_exist_ok=True)
    (two.root / "tasks.py").write_text("from invoke_tasks import ns\n", encoding="ascii")
    words = ("promote", "--from", "staging", "--to", "prod")
    shown = sandbox.invoke("--dry", *words, cwd=two.root)
    assert (shown.code, two.prod.contents) == (0, {}), shown.said
    done = sandbox.invoke(*words, cwd=two.root)
    assert done.code == 0, done.said
    assert two.here.bundle_id
