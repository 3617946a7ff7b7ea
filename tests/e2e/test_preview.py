"""`preview`: a draft for a branch beside the active bundle, in the place of the earlier one."""

from __future__ import annotations

import itertools
import json
import os
import random
import re
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from support.calling import KEY
from support.fake_content import FakeTask
from support.fake_pull_request import FakePullRequest
from support.faults import Drop, LoseAnswer, Say, html, kill_at
from support.projects import APP, PACKAGE
from support.projects import project as a_project
from support.waiting import PATIENCE

from hatch_connect import UsageError, remove_preview
from hatch_connect import preview as preview_in_a_program

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from support.calling import Called, Caller
    from support.fake_connect import FakeConnect, Recorded
    from support.fake_content import FakeContent
    from support.faults import Fault
    from support.sandbox import Sandbox

pytestmark = pytest.mark.sweep


@pytest.fixture
def root(caller: Caller) -> Path:
    return a_project(caller.folder / "p", PACKAGE)


@pytest.fixture
def content(caller: Caller, fake: FakeConnect, root: Path) -> FakeContent:
    """The project's content, with one bundle, which is active."""
    done = caller.call("deploy", directory=str(root), environment=("TOKEN=here",))
    assert done.code == 0, done.said
    (found,) = fake.contents.values()
    fake.requests.clear()
    return found


def preview(caller: Caller, root: Path, branch: str | None = "feature", **more: object) -> Called:
    given = {"directory": str(root), "branch": branch, **more}
    done = caller.call("preview", **given)
    assert KEY not in done.said
    return done


def edit(root: Path, text: str) -> None:
    (root / "src/sales_api/main.py").write_text(f"{APP}# {text}\n", encoding="utf-8")


def test_nothing_but_a_draft_is_added(
    caller: Caller, fake: FakeConnect, root: Path, content: FakeContent
) -> None:
    active, title, variables = content.bundle_id, content.title, dict(content.environment)
    pyproject = root / "pyproject.toml"
    text = pyproject.read_text(encoding="utf-8") + 'title = "Another"\nenv = ["NEW=x"]\n'
    pyproject.write_text(text, encoding="utf-8")
    done = preview(caller, root)
    new = max(content.bundles, key=int)
    assert done.code == 0, done.said
    assert done.stdout == f"{fake.url}/content/{content.guid}/_bundle{new}/\n"
    assert re.search(
        rf"\nDeployed a preview of .+ for feature to \S+ as bundle {new}\b", done.stderr
    )
    assert (content.bundle_id, content.title, content.environment) == (active, title, variables)
    assert content.bundles[new].metadata["hatch_connect_preview"] == "feature"
    assert not [call for call in fake.calls() if call.startswith(("PATCH", "PUT", "DELETE"))]


def test_the_new_one_replaces_that_of_the_same_branch_alone(
    caller: Caller, root: Path, content: FakeContent
) -> None:
    assert preview(caller, root, "other").code == 0
    other = max(content.bundles, key=int)
    assert preview(caller, root).code == 0
    first = max(content.bundles, key=int)
    edit(root, "second")
    done = preview(caller, root, json=True)
    facts = json.loads(done.stdout)
    assert (facts["branch"], facts["removed"]) == ("feature", [first])
    assert set(content.bundles) == {content.bundle_id, other, facts["bundle_id"]}


def test_the_earlier_one_stays_if_the_new_one_fails(
    caller: Caller, fake: FakeConnect, root: Path, content: FakeContent
) -> None:
    assert preview(caller, root).code == 0
    first = max(content.bundles, key=int)
    fake.next_task = FakeTask(code=1, error="pip failed")
    edit(root, "second")
    assert preview(caller, root).code == 4
    assert first in content.bundles
    assert preview(caller, root).code == 0
    assert len(content.bundles) == 2


def test_one_that_became_active_is_never_removed(
    caller: Caller, root: Path, content: FakeContent
) -> None:
    assert preview(caller, root).code == 0
    content.bundle_id = max(content.bundles, key=int)
    assert preview(caller, root).code == 0
    assert preview(caller, root, remove_preview=True).code == 0
    assert content.bundle_id in content.bundles
    assert len(content.bundles) == 2


def test_an_earlier_one_that_cannot_be_removed_is_a_warning(
    caller: Caller, fake: FakeConnect, root: Path, content: FakeContent
) -> None:
    assert preview(caller, root).code == 0
    fake.misbehave("DELETE", "bundles", Say(403, b'{"code": 22, "error": "no"}'))
    done = preview(caller, root)
    assert done.code == 0, done.said
    assert "An earlier preview of feature may not have been removed." in done.stderr
    assert len(content.bundles) == 3


def test_it_is_removed(caller: Caller, root: Path, content: FakeContent) -> None:
    assert preview(caller, root).code == 0
    new = max(content.bundles, key=int)
    shown = preview(caller, root, remove_preview=True, dry_run=True)
    assert shown.stdout == f"Would remove bundle {new}, a preview of feature\n"
    assert new in content.bundles
    done = preview(caller, root, remove_preview=True)
    assert done.stdout == f"Removed bundle {new}, a preview of feature\n"
    assert set(content.bundles) == {content.bundle_id}
    again = preview(caller, root, remove_preview=True)
    assert (again.code, again.stdout) == (0, "")
    assert "has no known preview of feature" in again.stderr


@pytest.mark.parametrize(
    ("variables", "branch"),
    [
        ({"GITHUB_HEAD_REF": "pull", "GITHUB_REF_NAME": "7/merge"}, "pull"),
        ({"GITHUB_HEAD_REF": "", "GITHUB_REF_NAME": "main"}, "main"),
        ({"CI_COMMIT_REF_NAME": "lab"}, "lab"),
    ],
)
def test_the_ci_names_the_branch(
    caller: Caller, root: Path, content: FakeContent, variables: dict[str, str], branch: str
) -> None:
    caller.environ |= variables
    assert preview(caller, root, None).code == 0
    assert (
        content.bundles[max(content.bundles, key=int)].metadata["hatch_connect_preview"] == branch
    )
    assert preview(caller, root, "named").code == 0
    assert (
        content.bundles[max(content.bundles, key=int)].metadata["hatch_connect_preview"] == "named"
    )


def test_a_branch_that_nobody_names_is_an_error(
    caller: Caller, root: Path, content: FakeContent
) -> None:
    done = preview(caller, root, None)
    assert (done.code, "Could not determine the branch" in done.stderr) == (2, True)
    odd = preview(caller, root, "a\nb")
    assert (odd.code, "is not a valid branch name" in odd.stderr) == (2, True)
    assert len(content.bundles) == 1


def test_markdown_is_for_a_comment(caller: Caller, root: Path, content: FakeContent) -> None:
    done = preview(caller, root, "a`b", markdown=True)
    new = max(content.bundles, key=int)
    first = done.stdout.splitlines()[0]
    assert first.startswith("**Preview of `a'b`**: <http://127.0.0.1:"), done.said
    assert first.endswith(f"/content/{content.guid}/_bundle{new}/>")


@pytest.mark.usefixtures("content")
def test_it_says_how_to_remove_it(caller: Caller, root: Path) -> None:
    said = "To remove it: hatch-connect preview --remove"
    named = preview(caller, root, "a branch", markdown=True)
    assert f"{said} --branch 'a branch'\n" in named.stderr
    assert "To remove it: `hatch-connect preview --remove --branch 'a branch'`" in named.stdout
    caller.environ["GITHUB_REF_NAME"] = "feature"
    ci = preview(caller, root, branch=None)
    assert f"{said}\n" in ci.stderr, ci.said


def test_content_that_does_not_exist_is_not_created(
    caller: Caller, fake: FakeConnect, root: Path
) -> None:
    done = preview(caller, root)
    assert (done.code, "was not deployed to" in done.stderr) == (2, True)
    assert not fake.contents


def test_content_without_an_active_bundle_is_left_as_it_is(
    caller: Caller, root: Path, content: FakeContent
) -> None:
    content.bundle_id = None
    done = preview(caller, root)
    assert done.code, done.said
    assert "has no active bundle" in done.stderr
    assert len(content.bundles) == 1


def test_a_server_without_drafts_is_refused(
    caller: Caller, fake: FakeConnect, root: Path, content: FakeContent
) -> None:
    fake.version = "2025.05.0"
    done = preview(caller, root)
    assert done.code, done.said
    assert "This server does not support drafts" in done.stderr
    assert len(content.bundles) == 1


def test_an_older_server_needs_the_record(
    caller: Caller, fake: FakeConnect, root: Path, content: FakeContent
) -> None:
    fake.version = "2025.09.0"
    done = preview(caller, root)
    assert done.code == 0, done.said
    assert "The server does not store the branch" in done.stderr
    assert preview(caller, root).code == 0
    assert len(content.bundles) == 2
    assert preview(caller, root, remove_preview=True).code == 0
    assert set(content.bundles) == {content.bundle_id}


def test_the_plan_says_what_has_led_to_the_content(
    caller: Caller, root: Path, content: FakeContent
) -> None:
    done = preview(caller, root, dry_run=True)
    assert done.code == 0, done.said
    assert "the record" in done.stderr
    assert "--app-id" not in done.said
    named = preview(caller, root, dry_run=True, app_id=content.guid)
    assert "--app-id" in named.stderr


@pytest.mark.usefixtures("content")
def test_versions_name_its_branch(caller: Caller, root: Path) -> None:
    assert preview(caller, root).code == 0
    listed = caller.call("versions", directory=str(root))
    assert listed.stdout.splitlines()[0].endswith("draft, preview of feature, never active")
    facts = json.loads(caller.call("versions", directory=str(root), json=True).stdout)
    assert [bundle["preview"] for bundle in facts["bundles"]] == ["feature", None]


def test_it_is_for_programs_too(
    caller: Caller, fake: FakeConnect, root: Path, content: FakeContent
) -> None:
    environ = {"HOME": str(caller.folder / "home"), "GITHUB_EVENT_NAME": "push"}
    there = {"server": fake.url, "api_key": KEY, "environ": environ}
    first = preview_in_a_program(root, branch="feature", **there)  # type: ignore[arg-type]
    second = preview_in_a_program(root, branch="feature", no_verify=True, **there)  # type: ignore[arg-type]
    new = second.deployment.bundle_id
    assert second.url == f"{fake.url}/content/{content.guid}/_bundle{new}/"
    assert (second.branch, second.removed) == ("feature", (first.deployment.bundle_id,))
    assert set(content.bundles) == {content.bundle_id, new}
    environ["GITHUB_EVENT_NAME"] = "pull_request_target"
    with pytest.raises(UsageError, match="GITHUB_EVENT_PATH"):
        remove_preview(root, branch="feature", **there)  # type: ignore[arg-type]
    environ["GITHUB_EVENT_NAME"] = "push"
    assert remove_preview(root, branch="feature", **there) == (new,)  # type: ignore[arg-type]
    assert set(content.bundles) == {content.bundle_id}


class TestForks:
    """Anybody can open the pull request of a fork: no code of theirs runs."""

    @staticmethod
    def event(caller: Caller, event: object, name: str = "pull_request") -> None:
        path = caller.folder / "event.json"
        path.write_text(event if isinstance(event, str) else json.dumps(event), encoding="utf-8")
        caller.environ |= {"GITHUB_EVENT_NAME": name, "GITHUB_EVENT_PATH": str(path)}

    @staticmethod
    def pull(head: str | None, base: str = "org/repo") -> dict[str, object]:
        repo = head and {"full_name": head, "fork": head != base}
        return {"pull_request": {"head": {"repo": repo}, "base": {"repo": {"full_name": base}}}}

    @staticmethod
    def run_of(head: str) -> dict[str, object]:
        run = {"head_repository": {"full_name": head}}
        return {"workflow_run": run, "repository": {"full_name": "org/repo"}}

    @pytest.mark.parametrize("head", ["stranger/repo", None])
    @pytest.mark.parametrize("name", ["pull_request", "pull_request_target"])
    def test_it_is_refused_first(
        self, caller: Caller, fake: FakeConnect, root: Path, name: str, head: str | None
    ) -> None:
        self.event(caller, self.pull(head), name)
        for option in ("json", "dry_run", "remove_preview"):
            done = preview(caller, root, None, **{option: True})
            assert done.code == 2, done.said
            assert "This pull request comes from a fork" in done.stderr
        assert not fake.requests

    def test_a_workflow_that_it_started_as_well(
        self, caller: Caller, root: Path, content: FakeContent
    ) -> None:
        self.event(caller, self.run_of("stranger/repo"), "workflow_run")
        done = preview(caller, root)
        assert (done.code, "comes from a fork" in done.stderr) == (2, True), done.said
        assert len(content.bundles) == 1

    @pytest.mark.usefixtures("content")
    def test_in_gitlab(self, caller: Caller, root: Path) -> None:
        caller.environ |= {"CI_PROJECT_ID": "7", "CI_MERGE_REQUEST_SOURCE_PROJECT_ID": "8"}
        done = preview(caller, root)
        assert (done.code, "comes from a fork (project 8)" in done.stderr) == (2, True), done.said
        caller.environ["CI_PROJECT_ID"] = "8"
        assert preview(caller, root).code == 0

    @pytest.mark.usefixtures("content")
    def test_branches_of_the_repository_are_none(self, caller: Caller, root: Path) -> None:
        for event, name in (
            (self.pull("org/repo"), "pull_request"),
            (self.run_of("org/repo"), "workflow_run"),
            ({"ref": "refs/heads/feature"}, "push"),
            ({"ref": "refs/heads/feature"}, ""),
        ):
            self.event(caller, event, name)
            done = preview(caller, root)
            assert done.code == 0, done.said

    @pytest.mark.parametrize("text", ["", "{", "[]", None, "[" * 100_000])
    def test_an_event_that_cannot_be_read_is_no_leave(
        self, caller: Caller, root: Path, content: FakeContent, text: str | None
    ) -> None:
        self.event(caller, text or "")
        if text is None:
            (caller.folder / "event.json").unlink()
        done = preview(caller, root)
        assert done.code == 2, done.said
        assert "GITHUB_EVENT_PATH" in done.stderr
        assert "Traceback" not in done.said
        assert len(content.bundles) == 1


class TestComment:
    @pytest.fixture
    def pull(self, caller: Caller) -> Iterator[FakePullRequest]:
        with FakePullRequest() as github:
            caller.environ |= github.environ()
            yield github

    def test_it_is_one_that_each_preview_updates(
        self, caller: Caller, root: Path, content: FakeContent, pull: FakePullRequest
    ) -> None:
        marker = f"<!-- hatch-connect preview {content.guid} -->"
        theirs = [pull.add(f"{marker} stranger", "User") for _ in range(12)]
        for _ in range(2):
            done = preview(caller, root, comment=True)
            assert done.code == 0, done.said
            assert pull.token not in done.said
        (ours,) = pull.comments[len(theirs) :]
        new = max(content.bundles, key=int)
        assert ours["body"].startswith(f"{marker}\n**Preview of `feature`**: <http://127.0.0.1:")
        assert f"_bundle{new}/>" in ours["body"]
        methods = [call.split()[0] for call in pull.calls]
        assert methods == ["GET", "GET", "POST", "GET", "GET", "PATCH"]
        assert all(each["body"] == f"{marker} stranger" for each in theirs)

    def test_a_merge_request_of_gitlab_gets_one_as_well(
        self, caller: Caller, root: Path, content: FakeContent
    ) -> None:
        with FakePullRequest() as gitlab:
            caller.environ |= gitlab.environ_of_gitlab()
            marker = f"<!-- hatch-connect preview {content.guid} -->"
            theirs = [gitlab.add(f"{marker} stranger", "User", author=7) for _ in range(12)]
            for _ in range(2):
                done = preview(caller, root, comment=True)
                assert done.code == 0, done.said
                assert gitlab.token not in done.said
        (ours,) = gitlab.comments[len(theirs) :]
        assert f"_bundle{max(content.bundles, key=int)}/>" in ours["body"]
        methods = [call.split()[0] for call in gitlab.calls]
        assert methods == ["GET", "GET", "GET", "POST", "GET", "GET", "GET", "PUT"]
        assert all(each["body"] == f"{marker} stranger" for each in theirs)

    @pytest.mark.parametrize(
        ("variable", "value"),
        [
            ("GITLAB_TOKEN", "$GITLAB TOKEN"),
            ("GITLAB_TOKEN", ""),
            ("CI_MERGE_REQUEST_IID", ""),
            ("CI_MERGE_REQUEST_PROJECT_ID", "../1"),
            ("CI_API_V4_URL", "http://gitlab.example.com/api/v4"),
        ],
    )
    def test_what_cannot_be_on_gitlab(
        self, caller: Caller, root: Path, content: FakeContent, variable: str, value: str
    ) -> None:
        with FakePullRequest() as gitlab:
            caller.environ |= gitlab.environ_of_gitlab() | {variable: value}
            done = preview(caller, root, comment=True)
        assert (done.code, variable in done.stderr) == (2, True), done.said
        assert not gitlab.calls
        assert len(content.bundles) == 1

    def test_a_token_that_gitlab_refuses(
        self, caller: Caller, root: Path, content: FakeContent
    ) -> None:
        with FakePullRequest(status=401) as gitlab:
            caller.environ |= gitlab.environ_of_gitlab()
            done = preview(caller, root, comment=True)
        assert (done.code, "GitLab refused" in done.stderr) == (3, True), done.said
        assert "scope `api`" in done.stderr
        assert len(content.bundles) == 2

    @pytest.mark.parametrize(("status", "said"), [(403, "HTTP 403)"), (307, "not followed")])
    def test_a_refusal_leaves_the_preview(
        self,
        caller: Caller,
        root: Path,
        content: FakeContent,
        pull: FakePullRequest,
        status: int,
        said: str,
    ) -> None:
        pull.status = status
        done = preview(caller, root, comment=True)
        assert (done.code, said in done.stderr) == (3, True), done.said
        assert "pull-requests: write" in done.stderr
        assert "The preview stands" in done.stderr
        assert "Plant3d" not in done.said
        assert len(content.bundles) == 2
        assert len(pull.calls) == 1

    @pytest.mark.parametrize(
        ("variable", "value"),
        [
            ("GITHUB_REF", "refs/heads/main"),
            ("GITHUB_REPOSITORY", "../user"),
            ("GITHUB_TOKEN", ""),
            ("GITHUB_API_URL", "http://api.example.com"),
            ("GITHUB_API_URL", "https://user@api.example.com"),
        ],
    )
    def test_what_cannot_be_is_refused_before_anything_is_done(
        self,
        caller: Caller,
        root: Path,
        content: FakeContent,
        pull: FakePullRequest,
        variable: str,
        value: str,
    ) -> None:
        caller.environ[variable] = value
        done = preview(caller, root, comment=True)
        assert done.code == 2, done.said
        assert variable in done.stderr
        assert not pull.calls
        assert len(content.bundles) == 1


FAULTS: dict[str, Fault] = {
    "cut": Drop(),
    "the answer was lost": LoseAnswer(),
    "503": html(503, "<p>busy</p>"),
    "403": Say(403, b'{"code": 22, "error": "not for you"}'),
}


@pytest.fixture
def page(caller: Caller) -> Path:
    """A project of one page, which is built fast."""
    folder = caller.folder / "page"
    folder.mkdir()
    text = '[tool.hatch-connect]\napp-mode = "static"\nentrypoint = "index.html"\n'
    (folder / "pyproject.toml").write_text(text, encoding="utf-8")
    (folder / "index.html").write_text("<h1>one</h1>\n", encoding="utf-8")
    assert caller.call("deploy", directory=str(folder)).code == 0
    (folder / "index.html").write_text("<h1>two</h1>\n", encoding="utf-8")
    return folder


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("earlier", [False, True], ids=["the first", "the next"])
def test_a_fault_at_each_request(
    caller: Caller, fake: FakeConnect, page: Path, fault: str, *, earlier: bool
) -> None:
    """What is active serves on, and the next call goes on and leaves one draft."""
    (content,) = fake.contents.values()
    active, reached, number = content.bundle_id, True, -1
    assert active
    archive = content.bundles[active].archive
    while reached:
        number += 1
        assert preview(caller, page, remove_preview=True).code == 0
        assert set(content.bundles) == {active}
        if earlier:
            assert preview(caller, page).code == 0
        before = set(content.bundles)
        requests = itertools.count()

        def gate(
            _: Recorded, number: int = number, counter: Iterator[int] = requests
        ) -> Fault | None:
            return FAULTS[fault] if next(counter) == number else None

        fake.gate = gate
        failed = preview(caller, page)
        fake.gate, reached = None, next(requests) > number
        assert "Traceback" not in failed.said
        assert failed.code in {0, 3, 5}, failed.said
        assert (content.bundle_id, content.bundles[active].archive) == (active, archive)
        assert failed.code == 0 or before <= set(content.bundles), failed.said
        done = preview(caller, page)
        assert done.code == 0, f"after {number}: {failed.said}\n{done.said}"
        new = max(content.bundles, key=int)
        assert set(content.bundles) == {active, new}, f"after {number}: {failed.said}\n{done.said}"
        assert done.stdout.endswith(f"_bundle{new}/\n")
        assert content.bundle_id == active
    assert number > 8


@pytest.mark.skipif(os.name != "posix", reason="signals are POSIX's")
@pytest.mark.parametrize("carried_out", ["no", "yes"])
def test_a_call_that_is_killed_at_a_request(
    fake: FakeConnect, page: Path, sandbox: Sandbox, carried_out: str
) -> None:
    """What is active serves on, and the next call leaves one draft of the branch."""
    (content,) = fake.contents.values()
    active, words = content.bundle_id, ("preview", "--branch", "feature")
    assert active
    sandbox.environ |= {"CONNECT_SERVER": fake.url, "CONNECT_API_KEY": KEY}
    assert sandbox.connect(*words, cwd=page).code == 0
    fake.requests.clear()
    assert sandbox.connect(*words, cwd=page).code == 0
    for number in sorted(random.sample(range(len(fake.requests)), 5)):
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "hatch_connect", *words],
            cwd=page,
            env=sandbox.environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        fake.gate = kill_at(number, process, carried_out=carried_out == "yes")
        assert process.wait(PATIENCE) == -9
        fake.gate = None
        assert content.bundle_id == active
        if carried_out == "yes":  # a job of a CI finds no record
            shutil.rmtree(sandbox.home / ".rsconnect-python")
        again = sandbox.connect(*words, cwd=page)
        assert again.code == 0, f"after {number}: {again.said}"
        new = max(content.bundles, key=int)
        assert set(content.bundles) == {active, new}, f"after {number}: {again.said}"
        assert content.bundle_id == active
