from __future__ import annotations

import hashlib
import io
from typing import TYPE_CHECKING, Literal, cast

import pytest
from support.faults import Drop, Fault, Say, Truncate, redirect

from hatch_connect.connect.client import ConnectClient
from hatch_connect.connect.resources import BundleInfo, PythonInstallation
from hatch_connect.connect.servers import Server
from hatch_connect.errors import (
    AnswerError,
    LostAnswerError,
    NotFoundError,
    RefusedError,
)
from hatch_connect.events import silent
from hatch_connect.secret import Secret

if TYPE_CHECKING:
    from pathlib import Path

    from support.fake_connect import FakeConnect
    from support.fake_content import FakeBundle


def test_a_whole_deployment(client: ConnectClient, fake: FakeConnect, bundle: Path) -> None:
    assert client.server_settings().version == "2026.06.0"
    assert client.me().username == "ada"
    assert client.find_content("sales", client.me().guid) == ()
    content = client.create_content("sales")
    client.set_environment(content.guid, {"MODE": Secret("production")})
    assert client.update_content(content.guid, "title", "Sales API").title == "Sales API"
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
    fake.contents[guid].jobs |= {"def": [], "ghi": []}
    assert [j.key for j in client.jobs(guid)] == ["ghi", "def", "abc"]
    assert (job.key, job.tag, job.exit_code) == ("abc", "run_app", None)
    assert [each.data for each in client.job_log(guid, "abc")] == ["one", "\x1b[31mtwo"]


def test_a_bundle_can_be_removed_unless_it_is_active(
    client: ConnectClient, fake: FakeConnect, bundle: Path
) -> None:
    guid = fake.add_content("sales").guid
    first, second = client.upload_bundle(guid, bundle), client.upload_bundle(guid, bundle)
    client.task(client.deploy(guid, second.id))
    assert [b.id for b in client.bundles(guid)] == [second.id, first.id]
    assert client.content(guid).bundle_id == second.id
    client.remove_bundle(guid, first.id)
    with pytest.raises(RefusedError, match="is active"):
        client.remove_bundle(guid, second.id)
    assert client.bundle(guid, second.id).id == second.id


@pytest.mark.parametrize("order", ["newest", "oldest"])
@pytest.mark.parametrize("pages", [20, 7, None])
def test_all_bundles_are_listed_by_their_numbers(
    client: ConnectClient,
    fake: FakeConnect,
    bundle: Path,
    order: Literal["newest", "oldest"],
    pages: int | None,
) -> None:
    guid = fake.add_content("sales").guid
    fake.bundle_order, fake.bundle_pages, fake.tells_active = order, pages, False
    uploaded = [client.upload_bundle(guid, bundle).id for _ in range(47)]
    assert [b.id for b in client.bundles(guid)] == uploaded[::-1]


def test_who_may_set_variables_need_not_see_them(client: ConnectClient, fake: FakeConnect) -> None:
    guid = fake.add_content("sales").guid
    fake.misbehave("PATCH", "environment$", Say(204, b""))
    fake.misbehave("GET", "environment$", Say(403, b'{"code": 22, "error": "no"}'))
    client.set_environment(guid, {"MODE": Secret("production")})
    fake.misbehave("PATCH", "environment$", Say(204, b""))
    with pytest.raises(AnswerError, match="MODE was not set"):
        client.set_environment(guid, {"MODE": Secret("production")})


@pytest.mark.parametrize("pages", [20, None])
def test_other_lists_may_come_in_pages_too(
    client: ConnectClient, fake: FakeConnect, pages: int | None
) -> None:
    fake.pages = pages
    guids = [fake.add_content("sales", owner=f"user-{n}").guid for n in range(47)]
    fake.contents[guids[0]].jobs = {f"job-{n}": [] for n in range(40)}
    assert sorted(c.guid for c in client.find_content("sales")) == sorted(guids)
    assert {j.key for j in client.jobs(guids[0])} == {f"job-{n}" for n in range(40)}
    fake.requests.clear()
    assert client.find_content("sales", "user-46")[0].guid == guids[46]
    assert fake.calls() == ["GET v1/content"]  # it is no whole page


@pytest.mark.parametrize("status", [400, 404])
def test_a_server_may_refuse_to_be_asked_for_a_page(
    client: ConnectClient, fake: FakeConnect, bundle: Path, status: int
) -> None:
    guid = fake.add_content("sales").guid
    uploaded = client.upload_bundle(guid, bundle)
    fake.misbehave("GET", "bundles$", Say(status, b'{"code": 32, "error": "no"}'), skip=1)
    assert [b.id for b in client.bundles(guid)] == [uploaded.id]
    fake.misbehave("GET", "bundles$", Say(403, b'{"code": 19, "error": "no"}'), skip=1)
    with pytest.raises(RefusedError, match="code 19"):
        client.bundles(guid)


def test_a_bundle_that_is_not_there_cannot_be_removed(
    client: ConnectClient, fake: FakeConnect
) -> None:
    with pytest.raises(NotFoundError):
        client.remove_bundle(fake.add_content("sales").guid, "99")


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


def test_a_new_client_sends_nothing() -> None:
    client = ConnectClient(Server(url="http://127.0.0.1:9"), environ={}, report=silent)
    assert client.server.url == "http://127.0.0.1:9"


def checksums(bundle: FakeBundle) -> dict[str, str]:
    files = cast("dict[str, dict[str, str]]", bundle.manifest["files"])
    return {name: entry["checksum"] for name, entry in files.items()}


class TestWhatIsDeployed:
    @pytest.fixture
    def guid(self, client: ConnectClient, fake: FakeConnect, bundle: Path) -> str:
        guid = fake.add_content("sales").guid
        client.task(client.deploy(guid, client.upload_bundle(guid, bundle).id))
        return guid

    @pytest.fixture
    def active(self, fake: FakeConnect, guid: str) -> FakeBundle:
        return fake.contents[guid].bundles[fake.contents[guid].bundle_id or ""]

    @pytest.mark.parametrize("files", ["objects", "texts"])
    def test_the_manifest_is_read_without_the_archive(
        self,
        client: ConnectClient,
        fake: FakeConnect,
        guid: str,
        active: FakeBundle,
        files: Literal["objects", "texts"],
    ) -> None:
        fake.deployed.files = files
        assert client.bundle_manifest(guid, active.id) == active.manifest
        fake.deployed.preview = 10
        assert client.bundle_manifest(guid, active.id) is None

    @pytest.mark.parametrize(
        "fault",
        [
            Say(404, b"404 page not found"),
            Say(404, b'{"code": 278, "error": "no such file"}'),
            Say(403, b'{"code": 22, "error": "no"}'),
            Say(405),
            Say(200, b"<html>"),
            Say(200, b'"[[["'),
            Say(200, b"[]"),
        ],
    )
    def test_a_manifest_that_is_not_shown(
        self, client: ConnectClient, fake: FakeConnect, guid: str, fault: Say
    ) -> None:
        fake.misbehave("GET", "files/manifest.json", fault)
        assert client.bundle_manifest(guid, "1") is None

    def test_a_server_that_fails_shows_no_manifest_but_an_error(
        self, client: ConnectClient, fake: FakeConnect, guid: str
    ) -> None:
        fake.misbehave("GET", "files/manifest.json", Say(500, b"{}"))
        with pytest.raises(RefusedError):
            client.bundle_manifest(guid, "1")

    @pytest.mark.parametrize("files", ["objects", "texts"])
    def test_a_file_is_known_by_its_checksum(
        self,
        client: ConnectClient,
        fake: FakeConnect,
        guid: str,
        active: FakeBundle,
        files: Literal["objects", "texts"],
    ) -> None:
        fake.deployed.files = files
        for name, md5 in checksums(active).items():
            found = client.bundle_file(guid, active.id, name, md5)
            assert found is not None
            assert hashlib.md5(found, usedforsecurity=False).hexdigest() == md5
            assert client.bundle_file(guid, active.id, name, "0" * 32) is None
        assert client.bundle_file(guid, active.id, "folder/no such file", md5) is None
        assert fake.calls()[-1].endswith("/files/folder/no%20such%20file")
        for odd in (b'"[[["', b"[]", b"{}", b"<html>", b'{"a": {"b": "c"}}', b"[" * 99_999):
            fake.misbehave("GET", "/files/", Say(200, odd))
            assert client.bundle_file(guid, active.id, name, md5) is None

    @pytest.mark.parametrize("fault", [None, Truncate(), Drop(), Say(502), Say(429)])
    def test_the_archive_is_written_to_a_file(
        self,
        client: ConnectClient,
        fake: FakeConnect,
        guid: str,
        active: FakeBundle,
        fault: Fault | None,
    ) -> None:
        if fault:
            fake.misbehave("GET", "download", fault)
        into = io.BytesIO(b"x" * 99_999)
        told = client.bundle(guid, active.id)
        assert client.download_bundle(guid, told, into)
        assert into.getvalue() == active.archive
        size = len(active.archive)
        assert client.download_bundle(guid, told, into, limit=size)
        assert not client.download_bundle(guid, told, into, limit=size - 1)

    def test_an_archive_that_cannot_be_had(
        self, client: ConnectClient, fake: FakeConnect, guid: str
    ) -> None:
        missing = BundleInfo(id="77", archive_md5=None, metadata=())
        with pytest.raises(NotFoundError):
            client.download_bundle(guid, missing, io.BytesIO())
        fake.misbehave("GET", "download", redirect("https://elsewhere.example/x"))
        with pytest.raises(RefusedError, match="HTTP 302"):
            client.download_bundle(guid, missing, io.BytesIO())
        fake.misbehave("GET", "download", Truncate(), times=100)
        with pytest.raises(LostAnswerError):
            client.download_bundle(guid, missing, io.BytesIO())

    def test_what_is_installed(
        self, client: ConnectClient, fake: FakeConnect, guid: str, active: FakeBundle
    ) -> None:
        fake.deployed.installed[guid] = {"fastapi": "0.100.1"}
        (package,) = client.packages(guid) or ()
        assert (package.language, package.name, package.version) == ("python", "fastapi", "0.100.1")
        assert package.bundle_id == active.id
        assert "\nfastapi==0.100.1\n" in (client.lockfile(guid) or "")
        assert client.packages(fake.add_content("new").guid) == ()
        assert client.lockfile(fake.add_content("newer").guid) is None

    def test_what_is_installed_is_not_told_by_older_servers(
        self, client: ConnectClient, fake: FakeConnect, guid: str
    ) -> None:
        fake.version = "2024.10.0"
        assert (client.packages(guid), client.lockfile(guid)) == (None, None)
        fake.misbehave("GET", "packages|lockfile", Say(500, b"{}"), times=2)
        for ask in (client.packages, client.lockfile):
            with pytest.raises(RefusedError):
                ask(guid)
