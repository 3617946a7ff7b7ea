"""What is remembered of a deployment: the record as soon as there is content, and the history."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import pytest
from support.calling import Caller, judge
from support.fake_bundle import Reply
from support.fake_content import FakeTask
from support.faults import Do, Say
from support.projects import PACKAGE
from support.projects import project as a_project

if TYPE_CHECKING:
    from pathlib import Path

    from support.calling import Called
    from support.fake_connect import FakeConnect
    from support.fake_content import FakeContent

FAILS = {
    "variables": ("PATCH", "environment$"),
    "upload": ("POST", "bundles$"),
    "deploy": ("POST", "deploy$"),
}


def only(fake: FakeConnect) -> FakeContent:
    (content,) = fake.contents.values()
    return content


@pytest.mark.parametrize("step", FAILS)
def test_a_failure_after_the_creation_makes_no_second_item(
    caller: Caller, fake: FakeConnect, step: str
) -> None:
    method, path = FAILS[step]
    fake.misbehave(method, path, Say(403, b'{"code": 22, "error": "no"}'), times=2)
    for _ in range(2):
        done = caller.deploy()
        assert done.code == 3
        assert f"--app-id {only(fake).guid}" in done.stderr.splitlines()[-1]
    done = caller.deploy()
    content = judge(done, fake, None, 2)
    assert content is not None
    assert content.title == "sales"


def test_a_first_deployment_that_fails_makes_no_second_item(
    caller: Caller, fake: FakeConnect
) -> None:
    for _ in range(2):
        fake.next_task = FakeTask(code=1, error="pip failed")
        assert caller.deploy().code == 4
    assert caller.deploy().code == 0
    assert len(fake.contents) == 1


def test_new_content_that_failed_is_not_forgotten(caller: Caller, fake: FakeConnect) -> None:
    assert caller.deploy().code == 0
    old = only(fake)
    fake.next_task = FakeTask(code=1, error="pip failed")
    assert caller.deploy(new=True).code == 4
    new = next(c for c in fake.contents.values() if c is not old)
    assert caller.deploy(new=True).code == 0
    assert new.bundle_id is not None
    assert len(old.bundles) == 1
    assert caller.deploy().code == 0
    assert (len(old.bundles), len(new.bundles)) == (1, 3)
    assert caller.deploy(new=True).code == 0
    assert len(fake.contents) == 3


def test_what_was_begun_counts_no_more_once_other_content_was_deployed(
    caller: Caller, fake: FakeConnect
) -> None:
    fake.misbehave("POST", "bundles$", Say(400, b'{"code": 135, "error": "no"}'))
    assert caller.deploy().code == 3
    begun, other = only(fake), fake.add_content("other")
    assert caller.deploy(app_id=other.guid).code == 0
    assert caller.deploy().code == 0
    assert (len(begun.bundles), len(other.bundles)) == (0, 2)


def records(caller: Caller) -> Path:
    return caller.folder / "home" / ".rsconnect-python" / "applications"


def test_a_record_that_cannot_be_written_does_not_fail_the_deployment(
    caller: Caller, fake: FakeConnect
) -> None:
    (caller.folder / "home" / ".rsconnect-python").touch()
    done = caller.deploy()
    content = judge(done, fake, None, 0)
    assert content is not None
    assert done.stderr.count("warning: ") == 1
    assert f"--app-id {content.guid}" in done.stderr


def test_a_record_whose_lock_is_held_does_not_fail_the_deployment(
    caller: Caller, fake: FakeConnect, monkeypatch: pytest.MonkeyPatch
) -> None:
    import filelock

    from hatch_connect.connect import json_file

    monkeypatch.setattr(json_file, "_LOCK_TIMEOUT", 0.1)
    assert caller.deploy().code == 0
    (record,) = records(caller).glob("*.json")
    with filelock.FileLock(record.with_name(f"{record.name}.lock")):
        done = caller.deploy()
    assert done.code == 0, done.said
    assert "This deployment is no longer recorded" not in done.stderr  # it says the same as before
    record.unlink()
    with filelock.FileLock(record.with_name(f"{record.name}.lock")):
        done = caller.deploy(app_id=only(fake).guid)
    assert done.code == 0, done.said
    assert "is being written by another program" in done.stderr


@pytest.mark.parametrize("built", [False, True])
def test_a_project_in_a_folder_that_cannot_be_written_is_deployed(
    caller: Caller, fake: FakeConnect, *, built: bool
) -> None:
    root = a_project(caller.folder / "p", PACKAGE)
    (root / "rsconnect-python").mkdir()
    if built:
        (root / "dist" / "connect").mkdir(parents=True)
    folders = [root, *(path for path in root.rglob("*") if path.is_dir())]
    for folder in folders:
        folder.chmod(0o555)
    try:
        if os.access(root, os.W_OK):
            pytest.skip("this user writes everywhere")
        done = [caller.call("deploy", directory=str(root), new=new) for new in (False, True, False)]
    finally:
        for folder in folders:
            folder.chmod(0o755)
    assert [each.code for each in done] == [0, 0, 0], done[0].said
    _, new = fake.contents.values()
    assert len(new.bundles) == 2


def history(caller: Caller) -> dict[str, object]:
    (file,) = records(caller).glob("*.history")
    (server,) = json.loads(file.read_text()).values()
    assert isinstance(server, dict)
    return server


class TestTheWayBack:
    @pytest.fixture
    def here(self, caller: Caller) -> dict[str, str]:
        caller.environ["TOKEN"] = "x" * 9
        return {"directory": str(a_project(caller.folder / "p", PACKAGE))}

    def deploy(self, caller: Caller, **options: object) -> str:
        done = caller.call("deploy", json=True, force=True, **options)
        assert done.code == 0, done.said
        bundle_id: str = json.loads(done.stdout)["bundle_id"]
        return bundle_id

    def back(self, caller: Caller, **options: object) -> Called:
        return caller.call("rollback", json=True, **options)

    def forget(self, caller: Caller) -> None:
        for file in records(caller).iterdir():
            file.unlink()

    @pytest.mark.parametrize("version", ["2026.06.0", "2025.11.0"])
    def test_a_draft_is_no_way_back(
        self, caller: Caller, fake: FakeConnect, here: dict[str, str], version: str
    ) -> None:
        fake.version = version
        first = self.deploy(caller, **here)
        draft = self.deploy(caller, draft=True, **here)
        second = self.deploy(caller, **here)
        newest = self.deploy(caller, draft=True, **here)
        listed = json.loads(caller.call("versions", json=True, **here).stdout)["bundles"]
        states = {b["id"]: (b["active"], b["was_active"]) for b in listed}
        assert states == {
            first: (False, True),
            draft: (False, False),
            second: (True, True),
            newest: (False, False),
        }
        assert "never active" in caller.call("versions", **here).stdout
        done = json.loads(self.back(caller, **here).stdout)
        assert (done["bundle_id"], done["previous_bundle_id"]) == (first, second)
        again = self.back(caller, **here)
        assert again.code == 2
        assert "No earlier bundle" in again.stderr
        assert draft in again.stderr
        assert only(fake).bundle_id == first

    def test_what_did_not_answer_is_no_way_back(
        self, caller: Caller, fake: FakeConnect, here: dict[str, str]
    ) -> None:
        fake.version = "2024.09.0"
        first = self.deploy(caller, **here)
        page, fake.page = fake.page, Reply(500, b"broken")
        assert caller.call("deploy", force=True, **here).code == 5
        broken = only(fake).bundle_id
        fake.page = page
        assert broken is not None
        third = self.deploy(caller, **here)
        assert "did not answer" in caller.call("versions", **here).stdout
        assert self.back(caller, **here).code == 0
        assert only(fake).bundle_id == first
        assert self.back(caller, bundle_id=third, **here).code == 0
        assert self.back(caller, **here).code == 0
        assert only(fake).bundle_id == first

    def test_without_a_history_the_server_says_what_was_active(
        self, caller: Caller, fake: FakeConnect, here: dict[str, str]
    ) -> None:
        first, draft = self.deploy(caller, **here), self.deploy(caller, draft=True, **here)
        second = self.deploy(caller, **here)
        self.forget(caller)
        assert self.back(caller, **here).code == 0
        assert only(fake).bundle_id == first
        self.forget(caller)
        assert self.back(caller, bundle_id=second, **here).code == 0
        self.forget(caller)
        assert self.back(caller, bundle_id=draft, **here).code == 0
        self.forget(caller)
        unsure = self.back(caller, **here)
        assert unsure.code == 2
        assert f"{second}  " in unsure.stderr

    def test_with_neither_it_is_asked_or_refused(
        self, caller: Caller, fake: FakeConnect, here: dict[str, str]
    ) -> None:
        fake.version = "2025.11.0"
        first, second = (self.deploy(caller, **here) for _ in range(2))
        self.forget(caller)
        refused = self.back(caller, **here)
        assert refused.code == 2
        assert f"{first}  " in refused.stderr
        assert only(fake).bundle_id == second

        def answer(question: str) -> str:
            assert f"{first}  " in question
            return f"{first}\n"

        caller.answers = answer
        assert self.back(caller, **here).code == 0
        assert only(fake).bundle_id == first

    def test_what_another_activated_meanwhile_is_what_was_before(
        self, caller: Caller, fake: FakeConnect, here: dict[str, str]
    ) -> None:
        _, second = (self.deploy(caller, **here) for _ in range(2))
        first, *_ = only(fake).bundles

        def somebody() -> None:
            only(fake).bundle_id = first

        fake.misbehave("POST", "deploy$", Do(somebody))
        done = json.loads(caller.call("deploy", json=True, force=True, **here).stdout)
        assert done["previous_bundle_id"] == first
        assert self.back(caller, **here).code == 0
        assert only(fake).bundle_id == first != second

    def test_a_history_that_cannot_be_read_does_not_count(
        self, caller: Caller, fake: FakeConnect, here: dict[str, str]
    ) -> None:
        first, _ = (self.deploy(caller, **here) for _ in range(2))
        (file,) = records(caller).glob("*.history")
        file.write_text("{", encoding="ascii")
        done = self.back(caller, **here)
        assert done.code == 0, done.said
        assert "is broken" in done.stderr
        assert only(fake).bundle_id == first


class TestPartWay:
    PROJECT = """\
[tool.hatch-connect]
app-mode = "fastapi"
python-version = "3.12"
""" + "".join(
        f'[tool.hatch-connect.content.{name}]\nentrypoint = "{name}:app"\n'
        for name in ("orders", "stock", "bills")
    )

    @pytest.fixture
    def root(self, caller: Caller) -> str:
        folder = caller.folder / "shop"
        folder.mkdir()
        (folder / "pyproject.toml").write_text(self.PROJECT, encoding="utf-8")
        (folder / "requirements.txt").write_text("starlette==0.45.0\n", encoding="utf-8")
        for name in ("orders", "stock", "bills"):
            (folder / f"{name}.py").write_text("async def app(*_): ...\n", encoding="utf-8")
        return str(folder)

    def test_each_piece_of_content_is_told(
        self, caller: Caller, fake: FakeConnect, root: str
    ) -> None:
        fake.misbehave("POST", "bundles$", Say(403, b'{"code": 22, "error": "no"}'), skip=1)
        done = caller.call("deploy", directory=root, all=True, json=True)
        assert done.code == 3
        (orders, stock) = fake.contents.values()
        told = json.loads(done.stdout)
        assert told["error"]["guid"] == stock.guid
        pieces = told["contents"]
        assert [(p["name"], p["status"]) for p in pieces] == [
            ("shop-orders", "deployed"),
            ("shop-stock", "failed"),
            ("shop-bills", "not tried"),
        ]
        url = f"{fake.url}/content/{orders.guid}/"
        deployed = pieces[0]
        assert (deployed["url"], deployed["guid"], deployed["bundle_id"]) == (
            url,
            orders.guid,
            orders.bundle_id,
        )
        assert pieces[1]["guid"] == stock.guid
        assert f"shop-orders: deployed: {url}  {orders.guid}  bundle {orders.bundle_id}" in (
            done.stderr
        )
        assert "shop-bills: not tried" in done.stderr
        again = "deploy again with --content stock --content bills"
        assert again in done.stderr.splitlines()[-1]
        rest = caller.call("deploy", directory=root, content=("stock", "bills"), quiet=True)
        assert rest.code == 0, rest.said
        assert len(fake.contents) == 3

    def test_each_of_several_bundles_is_told(self, caller: Caller, fake: FakeConnect) -> None:
        first = caller.folder / "sales.tar.gz"
        other = first.rename(first.with_name("other.tar.gz"))
        caller.bundle()
        fake.misbehave("POST", "bundles$", Say(403, b'{"code": 22, "error": "no"}'), skip=1)
        done = caller.call("deploy", file=(str(first), str(other)))
        assert done.code == 3
        assert "sales: deployed: " in done.stderr
        assert done.stderr.splitlines()[-1].endswith(f"To continue, deploy again: {other}.")

    def test_an_error_has_what_programs_want_to_know(
        self, caller: Caller, fake: FakeConnect
    ) -> None:
        lines = tuple(f"line {n}" for n in range(30))
        fake.next_task = FakeTask(code=1, error="pip failed", lines=(*lines, "Plant3d-value"))
        done = caller.deploy(json=True, environment=("TOKEN=Plant3d-value",))
        assert done.code == 4
        error = json.loads(done.stdout)["error"]
        content = only(fake)
        (bundle,) = content.bundles
        assert (error["guid"], error["bundle_id"]) == (content.guid, bundle)
        assert error["task_id"] in fake.tasks
        assert error["logs_url"].endswith(f"/{content.guid}/draft/{bundle}")
        assert error["log"][-2:] == ["line 29", "***"]
        assert len(error["log"]) == 20
