"""`deploy` as people call it: what it finds, what it notes, and what it says of both."""

from __future__ import annotations

import json
import os
import subprocess
import tarfile
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from support.fake_content import FakeTask
from support.faults import html
from support.projects import CONNECT, PACKAGE, project
from support.sample_bundle import sample_bundle

if TYPE_CHECKING:
    from pathlib import Path

    from support.calling import Called, Caller
    from support.fake_connect import FakeConnect


def git(folder: Path, *words: str) -> str:
    identity = {f"GIT_{w}_{v}": "a@b" for w in ("AUTHOR", "COMMITTER") for v in ("NAME", "EMAIL")}
    environ = {"PATH": os.environ["PATH"], "GIT_CONFIG_GLOBAL": os.devnull, **identity}
    done = subprocess.run(
        ["git", *words], cwd=folder, env=environ, check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


def committed(folder: Path) -> str:
    git(folder, "init", "--quiet")
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message=first")
    return git(folder, "rev-parse", "HEAD")


def noted(server: FakeConnect) -> dict[str, str]:
    """Return what was noted with the newest bundle."""
    bundles = [b for content in server.contents.values() for b in content.bundles.values()]
    newest = max(bundles, key=lambda bundle: int(bundle.id))
    return {k: v for k, v in newest.metadata.items() if not k.startswith("hatch_connect_")}


def record(caller: Caller, server: FakeConnect, **fields: object) -> Path:
    """Write the record of the prepared bundle, as the official client might have."""
    assert caller.deploy().code == 0
    (path,) = (caller.folder / "home").rglob("applications/*[a-zA-Z0-9_-].json")
    entries = json.loads(path.read_text(encoding="utf-8"))
    entries[server.url] |= fields
    path.write_text(json.dumps(entries), encoding="utf-8")
    return path


class TestRecordThatDoesNotHelp:
    def test_of_content_that_is_gone_is_told_and_left_out_of_account(
        self, caller: Caller, fake: FakeConnect
    ) -> None:
        path = record(caller, fake)
        (gone,) = fake.contents
        del fake.contents[gone]
        done = caller.deploy()
        assert done.code == 0, done.said
        (guid,) = fake.contents
        assert guid != gone
        warning = f"warning: Content {gone} (from the record {path}) does not exist on the server"
        assert done.stderr.count(warning) == 1
        assert json.loads(path.read_text(encoding="utf-8"))[fake.url]["app_guid"] == guid
        assert "warning" not in caller.deploy().stderr

    def test_a_page_that_is_not_connects_does_not_make_it_gone(
        self, caller: Caller, fake: FakeConnect
    ) -> None:
        record(caller, fake)
        (guid,) = fake.contents
        fake.misbehave("GET", f"v1/content/{guid}$", html(404, "<p>Not here</p>"), times=9)
        done = caller.deploy()
        assert done.code == 3, done.said
        assert list(fake.contents) == [guid]

    @pytest.mark.parametrize("told", [True, False])
    @pytest.mark.parametrize("role", ["viewer", "none"])
    def test_of_content_that_i_may_only_view(
        self, caller: Caller, fake: FakeConnect, role: str, *, told: bool
    ) -> None:
        path = record(caller, fake)
        (content,) = fake.contents.values()
        content.owner, content.role = "b0b", role
        fake.people, fake.tells_owners = {"b0b": "bob"}, told
        before = len(content.bundles)
        for dry_run in (True, False):
            done = caller.deploy(dry_run=dry_run)
            assert done.code == 3, done.said
            assert f"Content {content.guid} (the record" in done.stderr
            assert (
                f"belongs to bob, and you cannot change it (your role there: {role})" in done.stderr
            )
            assert str(path) in done.stderr
            assert "--app-id" in done.stderr
            assert "--new" in done.stderr
        assert len(content.bundles) == before
        fake.people = {}
        assert "belongs to the user b0b" in caller.deploy().stderr

    def test_of_content_that_i_may_not_see(self, caller: Caller, fake: FakeConnect) -> None:
        path = record(caller, fake)
        (content,) = fake.contents.values()
        content.owner, content.hidden = "b0b", True
        done = caller.deploy()
        assert done.code == 3, done.said
        assert f"This API key cannot see content {content.guid}" in done.stderr
        assert str(path) in done.stderr
        assert "--app-id" in done.stderr
        assert "--new" in done.stderr
        assert caller.deploy(new=True).code == 0

    def test_of_another_kind_of_content(self, caller: Caller, fake: FakeConnect) -> None:
        path = record(caller, fake)
        (content,) = fake.contents.values()
        content.app_mode = "static"
        done = caller.deploy()
        assert done.code == 3, done.said
        assert f"(the record {path}) has app mode 'static'" in done.stderr

    @pytest.mark.parametrize("number", [True, False])
    def test_with_a_number_and_no_guid_is_used(
        self, caller: Caller, fake: FakeConnect, *, number: bool
    ) -> None:
        assert caller.deploy().code == 0
        (content,) = fake.contents.values()
        app_id = int(content.id) if number else content.id
        path = record(caller, fake, app_guid=None, app_id=app_id)
        fake.add_content("sales")  # another one, which a search might find
        done = caller.deploy()
        assert done.code == 0, done.said
        assert len(content.bundles) == 3
        assert json.loads(path.read_text(encoding="utf-8"))[fake.url]["app_guid"] == content.guid
        record(caller, fake, app_guid=None, app_id="987654")
        done = caller.deploy(dry_run=True)
        assert done.code == 0, done.said
        assert "Content 987654 (from the record" in done.stderr

    def test_with_neither_is_as_none(self, caller: Caller, fake: FakeConnect) -> None:
        record(caller, fake, app_guid=None, app_id=None)
        done = caller.deploy(dry_run=True)
        assert done.code == 0, done.said
        assert "warning" not in done.stderr


class TestContentOfTheSameName:
    @pytest.fixture
    def root(self, caller: Caller) -> Path:
        caller.environ["PATH"] = os.environ["PATH"]
        root = project(caller.folder / "p", PACKAGE)
        committed(root)
        return root

    def test_of_another_person_is_named_before_a_second_one_is_made(
        self, caller: Caller, fake: FakeConnect, root: Path
    ) -> None:
        theirs = fake.add_content("sales-api", owner="b0b", role="viewer")
        unseen = fake.add_content("sales-api", owner="eve", role="none", hidden=True)
        fake.people = {"b0b": "bob"}
        info = caller.call("info", directory=str(root))
        assert (info.code, f"Content {theirs.guid} is also named" in info.stderr) == (2, True)
        for options in ({"dry_run": True}, {}):
            done = caller.call("deploy", directory=str(root), **options)
            assert done.code == 0, done.said
            assert f"Content {theirs.guid} is also named 'sales-api'" in done.stderr
            assert "belongs to bob" in done.stderr
            assert unseen.guid not in done.said
        assert (theirs.bundles, len(fake.contents)) == ({}, 3)
        again = caller.call("deploy", directory=str(root))
        assert "bob" not in again.said

    @pytest.mark.parametrize(
        ("theirs", "same"),
        [
            ("https://example.com/team/sales", True),
            ("git@example.com:team/sales.git", True),
            ("https://example.com/team/other", False),
            ("https://token@elsewhere.example/team/sales", False),
        ],
    )
    def test_that_was_deployed_from_elsewhere_is_warned_of(
        self, caller: Caller, fake: FakeConnect, root: Path, theirs: str, *, same: bool
    ) -> None:
        git(root, "remote", "add", "origin", "git@example.com:team/sales.git")
        assert caller.call("deploy", directory=str(root)).code == 0
        (content,) = fake.contents.values()
        (bundle,) = content.bundles.values()
        assert bundle.metadata["source_repo"] == "https://example.com/team/sales.git"
        bundle.metadata["source_repo"] = theirs
        of_others = "https://example.org/x" if same else "https://example.com/team/sales"
        draft = replace(bundle, id="99", metadata={"source_repo": of_others})
        content.bundles[draft.id] = draft  # newer, and not active
        by_record = caller.call("deploy", directory=str(root), dry_run=True)
        assert "by name only" not in by_record.stderr
        caller.environ["HOME"] = str(caller.folder / "elsewhere")
        done = caller.call("deploy", directory=str(root), force=True)
        assert done.code == 0, done.said
        assert (f"Content {content.guid} was found by name only" in done.stderr) is not same
        assert "token" not in done.said
        assert len(content.bundles) == 3
        archive = caller.call("bundle", directory=str(root)).stdout.strip()
        content.bundles[content.bundle_id or ""].metadata["source_repo"] = theirs
        caller.environ["HOME"] = str(caller.folder / "a third")
        done = caller.call("deploy", directory=str(root), file=archive, force=True)
        assert (done.code, len(content.bundles)) == (0, 4), done.said
        assert (f"Content {content.guid} was found by name only" in done.stderr) is not same


@pytest.mark.parametrize("metadata", [True, False])
def test_a_foreign_bundle_of_the_projects_name_is_content_of_its_own(
    caller: Caller, fake: FakeConnect, *, metadata: bool
) -> None:
    root = project(caller.folder / "p", PACKAGE)
    assert caller.call("deploy", directory=str(root)).code == 0
    (ours,) = fake.contents.values()
    active = ours.bundle_id
    info = {"sales_api-9.9.dist-info/METADATA": b"Name: sales-api\n"} if metadata else {}
    files = {"app.py": b"app = 1\n", "requirements.txt": b"fastapi==0.100.0\n", **info}
    sample_bundle(caller.folder / "sales-api-9.9.connect.tgz", files=files)
    for _ in range(2):
        done = caller.deploy(file="sales-api-9.9.connect.tgz", directory=str(root))
        assert done.code == 0, done.said
        assert "content of its own" in done.stderr
        assert (ours.bundle_id, len(ours.bundles), len(fake.contents)) == (active, 1, 2)


def test_commands_that_look_heed_the_table_of_the_server_too(
    caller: Caller, fake: FakeConnect
) -> None:
    content = fake.add_content("elsewhere")
    table = f'[tool.hatch-connect.on.staging]\nguid = "{content.guid}"\n'
    root = project(caller.folder / "p", PACKAGE, connect=f"{CONNECT}{table}")
    for command in ("info", "deploy", "info"):
        done = caller.call(command, directory=str(root), name="staging")
        assert done.code == 0, done.said
    assert (len(content.bundles), len(fake.contents)) == (1, 1)


def test_a_value_that_the_call_overrides_stays_hidden(caller: Caller, fake: FakeConnect) -> None:
    connect = f'{CONNECT}env = ["MODE=of-the-table", "TOKEN"]\n'
    root = project(caller.folder / "p", PACKAGE, connect=connect)
    caller.environ["TOKEN"] = "of-the-environment"
    fake.next_task = FakeTask(
        lines=("of-the-table of-the-environment", "of-the-call-1 of-the-call-2")
    )
    given = ("MODE=of-the-call-1", "TOKEN=of-the-call-2")
    done = caller.call("deploy", directory=str(root), environment=given)
    assert done.code == 0, done.said
    assert "  | of-the-table ***" in done.stderr
    assert "  | *** ***" in done.stderr


class TestMetadata:
    @pytest.fixture
    def root(self, caller: Caller) -> Path:
        caller.environ["PATH"] = os.environ["PATH"]
        root = project(
            caller.folder / "p", PACKAGE, connect=f"{CONNECT}metadata = {{ team = 'a', n = 5 }}"
        )
        (root / ".gitignore").write_text("dist\n", encoding="ascii")
        committed(root)
        return root

    def deploy(self, caller: Caller, root: Path, **options: object) -> Called:
        done = caller.call("deploy", directory=str(root), **options)
        assert done.code == 0, done.said
        return done

    def test_git_then_the_table_then_the_call(
        self, caller: Caller, fake: FakeConnect, root: Path
    ) -> None:
        self.deploy(caller, root)
        commit = git(root, "rev-parse", "HEAD")
        branch = git(root, "symbolic-ref", "--short", "HEAD")
        known = {"source": "git", "source_branch": branch, "source_commit": commit}
        assert noted(fake) == {**known, "team": "a", "n": "5"}
        self.deploy(caller, root, metadata=("team=b", "n=", "source_branch=", "x=a=b"))
        assert noted(fake) == {"source": "git", "source_commit": commit, "team": "b", "x": "a=b"}
        self.deploy(caller, root, no_metadata=True, force=True)
        assert noted(fake) == {}

    def test_false_is_nothing_but_what_the_call_gives(
        self, caller: Caller, fake: FakeConnect, root: Path
    ) -> None:
        text = (root / "pyproject.toml").read_text(encoding="utf-8")
        text = text.replace("{ team = 'a', n = 5 }", "false")
        (root / "pyproject.toml").write_text(text, encoding="utf-8")
        self.deploy(caller, root)
        assert noted(fake) == {}
        self.deploy(caller, root, metadata=("team=b",))
        assert noted(fake) == {"team": "b"}

    def test_a_prepared_bundle_is_of_no_commit_that_is_known(
        self, caller: Caller, fake: FakeConnect, root: Path
    ) -> None:
        (caller.folder / "manifest.json").write_text("{}", encoding="ascii")
        committed(caller.folder)
        assert caller.deploy().code == 0
        assert noted(fake) == {}
        built = caller.call("bundle", directory=str(root))
        self.deploy(caller, root, file=built.stdout.strip())
        assert noted(fake) == {"team": "a", "n": "5"}
        self.deploy(caller, root, file=built.stdout.strip(), metadata=("source_commit=1",))
        assert noted(fake) == {"team": "a", "n": "5", "source_commit": "1"}

    def test_a_manifest_is_of_the_commit_that_holds_it(
        self, caller: Caller, fake: FakeConnect
    ) -> None:
        caller.environ["PATH"] = os.environ["PATH"]
        folder = caller.folder / "content"
        with tarfile.open(caller.folder / "sales.tar.gz") as archive:
            archive.extractall(folder, filter="data")
        git(folder, "init", "--quiet")
        git(folder, "commit", "--quiet", "--allow-empty", "--message=first")
        for named in ("content", "content/manifest.json"):
            assert caller.deploy(file=named).code == 0
            assert noted(fake) == {}
        git(folder, "add", "--all")
        for named in ("content", "content/manifest.json"):
            assert caller.deploy(file=named).code == 0
            assert noted(fake)["source_commit"] == git(folder, "rev-parse", "HEAD") + "-dirty"

    @pytest.mark.parametrize(
        ("version", "told"),
        [
            ("", "hides its version (set CONNECT_SERVER_VERSION if you know it)."),
            ("2025.11.0", "is Connect 2025.11.0."),
        ],
    )
    def test_what_cannot_be_sent_is_said_as_it_is(
        self, caller: Caller, fake: FakeConnect, root: Path, version: str, told: str
    ) -> None:
        fake.version = version
        done = self.deploy(caller, root, metadata=("a=b",))
        assert "Not sent: --metadata and `metadata` in pyproject.toml. Bundle" in done.stderr
        assert f"requires Connect 2025.12 or later; the server {told}" in done.stderr
        assert noted(fake) == {}
        assert "Not sent" in self.deploy(caller, root).stderr
        assert "Not sent" not in self.deploy(caller, root, no_metadata=True).stderr
        assert "Not sent" not in caller.deploy().stderr
