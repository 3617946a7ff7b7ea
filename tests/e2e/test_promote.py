"""`download`, and `promote` between two servers side by side."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from support.calling import error_in
from support.faults import Drop, LoseAnswer, Say, Truncate, html

if TYPE_CHECKING:
    from support.calling import Caller
    from support.fake_connect import FakeConnect
    from support.fake_content import FakeContent
    from support.faults import Fault


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
        assert f"Nothing to upload: bundle {content.bundle_id} is this one." in done.stderr

    def test_another_file_is_never_overwritten(self, caller: Caller, content: FakeContent) -> None:
        path = caller.folder / "mine.tgz"
        path.write_bytes(b"mine")
        done = caller.call("download", app_id=content.guid, output="mine.tgz")
        assert (done.code, path.read_bytes()) == (2, b"mine")
        assert "is not overwritten" in done.stderr

    def test_it_is_not_fetched_again(
        self, caller: Caller, fake: FakeConnect, content: FakeContent
    ) -> None:
        assert caller.call("download", app_id=content.guid).code == 0
        fake.requests.clear()
        done = caller.call("download", app_id=content.guid)
        assert done.code == 0
        assert "It is there already" in done.stderr
        assert not any(call.endswith("/download") for call in fake.calls())

    def test_an_md5_that_is_not_told_is_said(self, caller: Caller, content: FakeContent) -> None:
        bundle = content.bundles[content.bundle_id or ""]
        told = bundle.told
        bundle.told = lambda *, active: told(active=active) | {"metadata": {}}  # type: ignore[method-assign]
        done = caller.call("download", app_id=content.guid, json=True)
        assert done.code == 0, done.said
        assert "does not tell the MD5" in done.stderr
        assert json.loads(done.stdout)["compared"] is False

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
        assert "have its owner make you one" in done.stderr

    def test_nothing_is_active(self, caller: Caller, content: FakeContent) -> None:
        content.bundle_id = None
        done = caller.call("download", app_id=content.guid)
        assert done.code == 2
        assert "No bundle of content" in done.stderr

    def test_a_folder_that_cannot_be_written(self, caller: Caller, content: FakeContent) -> None:
        (caller.folder / "file").write_bytes(b"")
        done = caller.call("download", app_id=content.guid, output="file/x.tgz")
        assert (done.code, "Traceback" in done.said) == (2, False), done.said
