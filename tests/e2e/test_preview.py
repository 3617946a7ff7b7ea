"""`preview`: a draft for a branch beside the active bundle, in the place of the earlier one."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from support.calling import KEY
from support.fake_content import FakeTask
from support.fake_pull_request import FakePullRequest
from support.faults import Say
from support.projects import APP, PACKAGE
from support.projects import project as a_project

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from support.calling import Called, Caller
    from support.fake_connect import FakeConnect
    from support.fake_content import FakeContent


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
    assert "An earlier preview of feature may be left." in done.stderr
    assert len(content.bundles) == 3


def test_it_is_removed(caller: Caller, root: Path, content: FakeContent) -> None:
    assert preview(caller, root).code == 0
    new = max(content.bundles, key=int)
    shown = preview(caller, root, remove_preview=True, dry_run=True)
    assert shown.stdout == f"Bundle {new}, a preview of feature: would be removed\n"
    assert new in content.bundles
    done = preview(caller, root, remove_preview=True)
    assert done.stdout == f"Bundle {new}, a preview of feature: removed\n"
    assert set(content.bundles) == {content.bundle_id}
    again = preview(caller, root, remove_preview=True)
    assert (again.code, again.stdout) == (0, "")
    assert "no preview of feature is known" in again.stderr


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
    assert (done.code, "Which branch is this a preview of?" in done.stderr) == (2, True)
    odd = preview(caller, root, "a\nb")
    assert (odd.code, "is not the name of a branch" in odd.stderr) == (2, True)
    assert len(content.bundles) == 1


def test_markdown_is_for_a_comment(caller: Caller, root: Path, content: FakeContent) -> None:
    done = preview(caller, root, "a`b", markdown=True)
    new = max(content.bundles, key=int)
    first = done.stdout.splitlines()[0]
    assert first.startswith("**Preview of `a'b`**: <http://127.0.0.1:"), done.said
    assert first.endswith(f"/content/{content.guid}/_bundle{new}/>")


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
    assert "This server cannot deploy a draft" in done.stderr
    assert len(content.bundles) == 1


def test_an_older_server_needs_the_record(
    caller: Caller, fake: FakeConnect, root: Path, content: FakeContent
) -> None:
    fake.version = "2025.09.0"
    done = preview(caller, root)
    assert done.code == 0, done.said
    assert "The server keeps no note of it" in done.stderr
    assert preview(caller, root).code == 0
    assert len(content.bundles) == 2
    assert preview(caller, root, remove_preview=True).code == 0
    assert set(content.bundles) == {content.bundle_id}


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
