from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

import pytest

from hatch_connect.project.git import git_metadata, same_repository

if TYPE_CHECKING:
    from pathlib import Path

ENVIRON = {
    "PATH": os.environ["PATH"],
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_SYSTEM": os.devnull,
    **{f"GIT_{who}_{what}": "a@b" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")},
}


def git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["git", *arguments], cwd=folder, env=ENVIRON, check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    git(tmp_path, "init", "--quiet", "--initial-branch=main")
    (tmp_path / "file").write_text("1", encoding="ascii")
    git(tmp_path, "add", "--all")
    git(tmp_path, "commit", "--quiet", "--message=first")
    return tmp_path


def test_a_commit_is_named_with_its_branch(repository: Path) -> None:
    commit = git(repository, "rev-parse", "HEAD")
    assert git_metadata(repository, ENVIRON) == {
        "source": "git", "source_branch": "main", "source_commit": commit,
    }  # fmt: skip
    (repository / "file").write_text("2", encoding="ascii")
    assert git_metadata(repository, ENVIRON)["source_commit"] == f"{commit}-dirty"


def test_the_variables_of_another_call_of_git_do_not_count(repository: Path) -> None:
    foreign = {"GIT_DIR": "/nowhere", "GIT_WORK_TREE": "/nowhere", "GIT_INDEX_FILE": "/nowhere/i"}
    assert git_metadata(repository, ENVIRON | foreign) == git_metadata(repository, ENVIRON) != {}


def test_a_tag_stands_for_the_branch_where_there_is_none(repository: Path) -> None:
    git(repository, "checkout", "--quiet", "--detach")
    assert "source_branch" not in git_metadata(repository, ENVIRON)
    git(repository, "tag", "v1")
    assert git_metadata(repository, ENVIRON)["source_branch"] == "v1"


@pytest.mark.parametrize(
    ("remote", "told"),
    [
        ("git@example.com:team/app.git", "https://example.com/team/app.git"),
        ("https://user:token@example.com/team/app", "https://example.com/team/app"),
        ("ssh://git@example.com:2222/team/app.git", "https://example.com/team/app.git"),
        ("https://example.com:8443/team/app.git", "https://example.com:8443/team/app.git"),
        ("/srv/git/app.git", None),
    ],
)
def test_a_remote_is_told_as_https_without_credentials(
    remote: str, told: str | None, repository: Path
) -> None:
    git(repository, "remote", "add", "origin", remote)
    assert git_metadata(repository, ENVIRON).get("source_repo") == told


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("git@example.com:team/app.git", "https://EXAMPLE.com/team/app", True),
        ("ssh://git@example.com:2222/team/app.git", "https://u:p@example.com:8443/Team/App/", True),
        ("git@ssh.dev.azure.com:v3/o/p/r", "https://dev.azure.com/o/p/_git/r", True),
        ("ssh://git@altssh.bitbucket.org:443/t/a.git", "https://bitbucket.org/t/a.git", True),
        ("ssh://git@b.example:7999/p/a.git", "https://b.example/scm/p/a.git", True),
        ("https://example.com/team/app", "https://example.com/team/app2", False),
        ("https://example.com/team/app", "https://example.org/team/app", False),
        ("https://example.com/a/team/app", "https://example.com/team/app", False),
        ("/srv/app.git", "/srv/app.git", True),
        ("/srv/app.git", "https://example.com/srv/app.git", False),
    ],
)
def test_a_repository_is_its_host_and_path(one: str, other: str, *, same: bool) -> None:
    assert same_repository(one, other) is same
    assert same_repository(other, one) is same


def test_where_git_does_not_answer_nothing_is_told(tmp_path: Path) -> None:
    assert git_metadata(tmp_path, ENVIRON) == {}
    assert git_metadata(tmp_path, {"PATH": ""}) == {}
    assert git_metadata(tmp_path / "absent", ENVIRON) == {}
