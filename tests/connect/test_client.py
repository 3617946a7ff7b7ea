from __future__ import annotations

import base64
import hashlib
from typing import TYPE_CHECKING

import pytest
from support.fake_connect import Do, Drop, FakeConnect, Hang, LoseAnswer, Say, Truncate, html
from support.sample_bundle import sample_bundle

from hatch_connect.connect.client import connect
from hatch_connect.connect.resources import PythonInstallation
from hatch_connect.connect.servers import Server
from hatch_connect.errors import (
    AnswerError,
    BundleError,
    NotFoundError,
    RefusedError,
    UnreachableError,
)
from hatch_connect.events import Detail, Progress, silent
from hatch_connect.secret import Secret

if TYPE_CHECKING:
    from pathlib import Path

    from support.connecting import Connecting

    from hatch_connect.connect.client import ConnectClient
    from hatch_connect.events import Event


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return sample_bundle(tmp_path / "bundle.tar.gz")


def test_a_whole_deployment(client: ConnectClient, fake: FakeConnect, bundle: Path) -> None:
    assert client.server_settings().version == "2026.06.0"
    assert client.me().username == "ada"
    assert client.find_content("sales", client.me().guid) == ()
    content = client.create_content("sales")
    client.set_environment(content.guid, {"MODE": Secret("production")})
    assert client.update_content(content.guid, {"title": "Sales API"}).title == "Sales API"
    uploaded = client.upload_bundle(content.guid, bundle)
    draft = client.task(client.deploy(content.guid, uploaded.id, activate=False))
    assert draft.finished
    assert client.visit(content.guid).status == 404
    seen = client.visit(content.guid, bundle_id=uploaded.id)
    assert (seen.status, seen.text) == (200, '{"hello": "world"}')
    client.task(client.deploy(content.guid, uploaded.id))
    now = client.content(content.guid)
    assert now.bundle_id == uploaded.id
    assert now.app_mode == "python-fastapi"
    assert client.environment_names(content.guid) == ("MODE",)
    assert fake.contents[content.guid].environment == {"MODE": "production"}


def test_server_facts(client: ConnectClient, fake: FakeConnect) -> None:
    fake.pythons, fake.images = ("3.12.4",), ("ghcr.io/x:1",)
    assert client.python_installations() == (PythonInstallation(version="3.12.4", image=None),)
    (image,) = client.environments() or ()
    assert (image.name, image.title, image.pythons) == ("ghcr.io/x:1", "ghcr.io/x:1", ("3.12.4",))


def test_server_facts_that_are_hidden(client: ConnectClient, fake: FakeConnect) -> None:
    fake.pythons = fake.images = None
    assert client.python_installations() is None
    assert client.environments() is None


@pytest.mark.parametrize("path", ["v1/server_settings/python", "v1/environments"])
def test_server_facts_that_fail_are_an_error(
    client: ConnectClient, fake: FakeConnect, path: str
) -> None:
    fake.misbehave("GET", path, Say(500, b"{}"))
    with pytest.raises(RefusedError, match="HTTP 500"):
        _ = client.python_installations(), client.environments()


def test_content_is_found_by_exact_name_and_owner(client: ConnectClient, fake: FakeConnect) -> None:
    mine = fake.add_content("sales")
    other = fake.add_content("sales", owner="somebody")
    fake.add_content("sales2")
    assert {c.guid for c in client.find_content("sales")} == {mine.guid, other.guid}
    (found,) = client.find_content("sales", fake.user_guid)
    assert found.guid == mine.guid
    assert found.logs_url == f"{fake.url}/connect/#/apps/{mine.guid}/logs"
    assert found.draft_url("7").endswith(f"{mine.guid}/draft/7")


def test_content_by_the_number_of_older_clients(client: ConnectClient, fake: FakeConnect) -> None:
    content = fake.add_content("sales")
    assert client.content_by_number(content.id).guid == content.guid


def test_git_managed_content_is_known(client: ConnectClient, fake: FakeConnect) -> None:
    assert client.is_git_managed(fake.add_content("one", git=True).guid)
    assert not client.is_git_managed(fake.add_content("two").guid)


def test_jobs_and_their_logs(client: ConnectClient, fake: FakeConnect) -> None:
    guid = fake.add_content("sales", jobs={"abc": ["one", "\x1b[31mtwo"]}).guid
    (job,) = client.jobs(guid)
    assert (job.key, job.tag, job.exit_code) == ("abc", "run_app", None)
    assert client.job_log(guid, "abc") == ("one", "\x1b[31mtwo")


def test_a_bundle_can_be_removed_unless_it_is_active(
    client: ConnectClient, fake: FakeConnect, bundle: Path
) -> None:
    guid = fake.add_content("sales").guid
    first, second = client.upload_bundle(guid, bundle), client.upload_bundle(guid, bundle)
    client.task(client.deploy(guid, second.id))
    assert [(b.id, b.active) for b in client.bundles(guid)] == [
        (second.id, True),
        (first.id, False),
    ]
    client.remove_bundle(guid, first.id)
    with pytest.raises(RefusedError, match="is active"):
        client.remove_bundle(guid, second.id)
    assert client.bundle(guid, second.id).active


def test_removing_with_a_lost_answer_is_not_an_error(
    client: ConnectClient, fake: FakeConnect, bundle: Path
) -> None:
    guid = fake.add_content("sales").guid
    uploaded = client.upload_bundle(guid, bundle)
    fake.misbehave("DELETE", "bundles", LoseAnswer())
    client.remove_bundle(guid, uploaded.id)
    assert fake.contents[guid].bundles == {}


def test_a_bundle_that_is_not_there_cannot_be_removed(
    client: ConnectClient, fake: FakeConnect
) -> None:
    with pytest.raises(NotFoundError):
        client.remove_bundle(fake.add_content("sales").guid, "99")


class TestUpload:
    def test_raw(self, client: ConnectClient, fake: FakeConnect, bundle: Path) -> None:
        client.upload_bundle(fake.add_content("sales").guid, bundle)
        sent = fake.last("POST .*bundles")
        digest = hashlib.md5(bundle.read_bytes()).digest()
        assert sent.body == bundle.read_bytes()
        assert sent.headers["content-length"] == str(bundle.stat().st_size)
        assert sent.headers["x-content-checksum"] == base64.b64encode(digest).decode()
        assert sent.headers["content-type"] == "application/gzip"
        assert "transfer-encoding" not in sent.headers

    def test_with_metadata(self, client: ConnectClient, fake: FakeConnect, bundle: Path) -> None:
        guid = fake.add_content("sales").guid
        uploaded = client.upload_bundle(
            guid, bundle, metadata={"source": "git", "source_branch": 'a"é\r\n'}
        )
        (kept,) = fake.contents[guid].bundles.values()
        assert kept.archive == bundle.read_bytes()
        assert dict(uploaded.metadata) == {"source": "git", "source_branch": 'a"é\r\n'}
        assert "content-length" in fake.last("POST .*bundles").headers

    def test_progress_is_what_the_connection_took(
        self, client: ConnectClient, fake: FakeConnect, tmp_path: Path, events: list[Event]
    ) -> None:
        import random

        noise = random.Random(0).randbytes(3_000_000)
        large = sample_bundle(tmp_path / "l.tar.gz", files={"noise.bin": noise})
        client.upload_bundle(fake.add_content("sales").guid, large, report=events.append)
        done = [e.done for e in events if isinstance(e, Progress)]
        assert done == sorted(set(done))
        assert done[-1] == large.stat().st_size
        assert len(done) > 10

    def test_a_file_that_is_not_there(self, client: ConnectClient, tmp_path: Path) -> None:
        with pytest.raises(BundleError, match="cannot be read"):
            client.upload_bundle("guid", tmp_path / "none.tar.gz")

    def test_one_that_broke_is_started_again(
        self, client: ConnectClient, fake: FakeConnect, bundle: Path
    ) -> None:
        guid = fake.add_content("sales").guid
        fake.misbehave("POST", "bundles", Drop())
        assert client.upload_bundle(guid, bundle).id in fake.contents[guid].bundles
        assert len(fake.contents[guid].bundles) == 1

    @pytest.mark.parametrize("metadata", [None, {"source": "git"}])
    @pytest.mark.parametrize("fault", [LoseAnswer(), Truncate()])
    def test_one_whose_answer_is_lost_is_found(
        self,
        client: ConnectClient,
        fake: FakeConnect,
        bundle: Path,
        fault: LoseAnswer | Truncate,
        metadata: dict[str, str] | None,
        events: list[Event],
    ) -> None:
        guid = fake.add_content("sales").guid
        fake.misbehave("POST", "bundles", fault)
        uploaded = client.upload_bundle(guid, bundle, metadata=metadata)
        assert list(fake.contents[guid].bundles) == [uploaded.id]
        assert any(isinstance(event, Detail) for event in events)

    def test_a_slow_answer_is_found_too(
        self, fake: FakeConnect, bundle: Path, connecting: Connecting
    ) -> None:
        guid = fake.add_content("sales").guid
        fake.misbehave("POST", "bundles", Hang(0.4))
        client = connecting(fake.url, environ={"CONNECT_REQUEST_TIMEOUT": "0.2"})
        client.upload_bundle(guid, bundle)
        assert fake.calls().count(f"POST v1/content/{guid}/bundles") <= 2

    @pytest.mark.parametrize("early", [False, True])
    def test_too_large_says_how_large(
        self, client: ConnectClient, fake: FakeConnect, tmp_path: Path, *, early: bool
    ) -> None:
        import random

        noise = random.Random(0).randbytes(2_000_000)
        large = sample_bundle(tmp_path / "l.tar.gz", files={"noise.bin": noise})
        page = b"<html><h1>413 Request Entity Too Large</h1></html>"
        fake.misbehave("POST", "bundles", Say(413, page, early=early), times=9)
        with pytest.raises(RefusedError, match=r"of 2 MB is too large") as caught:
            client.upload_bundle(
                fake.add_content("sales").guid, large, largest=(("noise.bin", 2_000_000),)
            )
        assert caught.value.status == 413
        assert "2 MB  noise.bin" in str(caught.value)
        assert "`exclude`" in str(caught.value)

    def test_a_reset_says_that_size_may_be_why(
        self, client: ConnectClient, fake: FakeConnect, tmp_path: Path
    ) -> None:
        import random

        noise = random.Random(0).randbytes(8_000_000)
        large = sample_bundle(tmp_path / "l.tar.gz", files={"noise.bin": noise})
        fake.misbehave("POST", "bundles", Drop(reset=True, early=True), times=9)
        with pytest.raises(UnreachableError, match=r"broke off after .* of 8 MB") as caught:
            client.upload_bundle(fake.add_content("sales").guid, large)
        assert "too large" in str(caught.value)

    def test_a_refusal_is_final(
        self, client: ConnectClient, fake: FakeConnect, bundle: Path
    ) -> None:
        guid = fake.add_content("sales", git=True).guid
        with pytest.raises(RefusedError, match="code 144") as caught:
            client.upload_bundle(guid, bundle)
        assert "git repository" in str(caught.value)
        assert len(fake.requests) == 1


class TestCreate:
    @pytest.mark.parametrize("fault", [LoseAnswer(), Truncate()])
    def test_one_whose_answer_is_lost_is_found_by_name(
        self, client: ConnectClient, fake: FakeConnect, fault: LoseAnswer | Truncate
    ) -> None:
        fake.misbehave("POST", "v1/content$", fault)
        content = client.create_content("sales")
        assert list(fake.contents) == [content.guid]
        assert fake.calls().count("POST v1/content") == 1

    def test_one_that_never_arrived_is_sent_again(
        self, client: ConnectClient, fake: FakeConnect
    ) -> None:
        fake.misbehave("POST", "v1/content$", Drop(), times=2)
        content = client.create_content("sales", "Sales API")
        assert list(fake.contents) == [content.guid]
        assert content.title == "Sales API"

    def test_a_gateway_that_does_not_know_is_settled_by_looking(
        self, client: ConnectClient, fake: FakeConnect
    ) -> None:
        fake.misbehave("POST", "v1/content$", html(504, "<h1>Gateway Time-out</h1>"))
        client.create_content("sales")
        assert fake.calls().count("POST v1/content") == 2

    def test_a_gateway_that_never_knows_is_an_error(
        self, client: ConnectClient, fake: FakeConnect
    ) -> None:
        fake.misbehave("POST", "v1/content$", html(502, "<h1>Bad Gateway</h1>"), times=99)
        with pytest.raises(RefusedError, match="Bad Gateway"):
            client.create_content("sales")
        assert fake.contents == {}

    def test_a_name_that_is_taken_is_an_error(
        self, client: ConnectClient, fake: FakeConnect
    ) -> None:
        fake.add_content("sales")
        with pytest.raises(RefusedError, match="code 26") as caught:
            client.create_content("sales")
        assert caught.value.status == 409

    def test_a_name_that_became_ours_late_is_not(
        self, client: ConnectClient, fake: FakeConnect
    ) -> None:
        # The first request is carried out only after we looked, so the second finds the name taken.
        fake.misbehave("POST", "v1/content$", Drop())
        fake.misbehave("GET", "v1/content$", Say(200, b"[]"))
        fake.misbehave("GET", "v1/user$", Do(lambda: fake.add_content("sales")))
        assert client.create_content("sales").guid in fake.contents
        assert len(fake.contents) == 1


class TestDeploy:
    @pytest.mark.parametrize("fault", [LoseAnswer(), Truncate(), Drop()])
    def test_with_a_lost_answer_the_same_bundle_is_deployed_again(
        self,
        client: ConnectClient,
        fake: FakeConnect,
        bundle: Path,
        fault: LoseAnswer | Truncate | Drop,
    ) -> None:
        guid = fake.add_content("sales").guid
        uploaded = client.upload_bundle(guid, bundle)
        fake.misbehave("POST", "deploy", fault)
        client.task(client.deploy(guid, uploaded.id))
        assert fake.contents[guid].bundle_id == uploaded.id

    def test_activate_goes_out_only_when_asked_for(
        self, client: ConnectClient, fake: FakeConnect, bundle: Path
    ) -> None:
        guid = fake.add_content("sales").guid
        uploaded = client.upload_bundle(guid, bundle)
        client.deploy(guid, uploaded.id)
        assert fake.last("POST .*deploy").json == {"bundle_id": uploaded.id}
        client.deploy(guid, uploaded.id, activate=False)
        assert fake.last("POST .*deploy").json == {"bundle_id": uploaded.id, "activate": False}

    def test_an_older_server_does_not_know_drafts(
        self, client: ConnectClient, fake: FakeConnect, bundle: Path
    ) -> None:
        fake.version = "2024.09.0"
        guid = fake.add_content("sales").guid
        uploaded = client.upload_bundle(guid, bundle)
        with pytest.raises(RefusedError) as caught:
            client.deploy(guid, uploaded.id, activate=False)
        assert caught.value.code == 121

    def test_a_task_survives_lost_polls(
        self, client: ConnectClient, fake: FakeConnect, bundle: Path
    ) -> None:
        guid = fake.add_content("sales").guid
        task = client.deploy(guid, client.upload_bundle(guid, bundle).id)
        fake.misbehave("GET", "v1/tasks", Drop(), times=2)
        fake.misbehave("GET", "v1/tasks", Truncate())
        fake.misbehave("GET", "v1/tasks", html(503, "<h1>busy</h1>"))
        assert client.task(task).finished


def test_a_missing_answer_field_is_an_error(client: ConnectClient, fake: FakeConnect) -> None:
    fake.misbehave("POST", "deploy", Say(202, b'{"task_id": null}'), times=9)
    with pytest.raises(AnswerError, match=r"POST v1/content/g/deploy: `task_id` is null"):
        client.deploy("g", "1")


def test_what_is_given_as_a_guid_stays_one_segment(
    client: ConnectClient, fake: FakeConnect
) -> None:
    with pytest.raises(NotFoundError):
        client.content("../user")
    with pytest.raises(NotFoundError):
        client.content_by_number("1/../../v1/user?")
    assert fake.calls() == [
        "GET v1/content/..%2Fuser",
        "GET applications/1%2F..%2F..%2Fv1%2Fuser%3F",
    ]


def test_a_removal_that_never_arrived_is_sent_again(
    client: ConnectClient, fake: FakeConnect, bundle: Path
) -> None:
    guid = fake.add_content("sales").guid
    uploaded = client.upload_bundle(guid, bundle)
    fake.misbehave("DELETE", "bundles", Drop())
    client.remove_bundle(guid, uploaded.id)
    assert fake.contents[guid].bundles == {}


def test_a_late_creation_by_somebody_else_is_a_conflict(
    client: ConnectClient, fake: FakeConnect
) -> None:
    fake.misbehave("POST", "v1/content$", Drop())
    fake.misbehave("GET", "v1/content$", Say(200, b"[]"), times=2)
    fake.misbehave("GET", "v1/user$", Do(lambda: fake.add_content("sales")))
    with pytest.raises(RefusedError, match="code 26"):
        client.create_content("sales")


def test_connect_sends_nothing() -> None:
    client = connect(Server(url="http://127.0.0.1:9"), environ={}, report=silent)
    assert client.server.url == "http://127.0.0.1:9"
