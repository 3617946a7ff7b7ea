"""The commands of the pages on promotion, the way back and previews, as they stand there."""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.fake_connect import FakeConnect
from support.faults import Say
from support.sandbox import REPOSITORY, Sandbox, committed, copy_example

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.fake_content import FakeContent
    from support.sandbox import Finished

pytestmark = [
    pytest.mark.sweep,
    pytest.mark.skipif(shutil.which("bash") is None, reason="the lines are for a shell"),
]
KEYS = ("Stag7ingKey0123456789abcdefghijk", "Prod7uctionKey0123456789abcdefgh")
ACTIVE = "^/content/[0-9a-f-]{36}/(?!_bundle)"
LONG_AGO = "2020-01-01T00:00:00Z"


def page(name: str) -> str:
    return (REPOSITORY / f"docs/how-to/{name}.md").read_text(encoding="utf-8")


def commands(text: str) -> list[str]:
    """Return what each block of a page types."""
    blocks = re.findall(r"^```console\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    return ["".join(re.findall(r"^\$ (.*\n)", block, re.MULTILINE)) for block in blocks]


@dataclass(kw_only=True)
class Team:
    """A project that was deployed to staging, and the servers that a user has stored."""

    user: Sandbox
    root: Path
    staging: FakeConnect
    prod: FakeConnect

    def type(self, lines: str, cwd: Path | None = None, /, **environ: str) -> Finished:
        """Run lines of a page, which may name the servers of its examples."""
        path = f"{Path(sys.executable).parent}{os.pathsep}{self.user.environ['PATH']}"
        lines = lines.replace("https://staging.example.com", self.staging.url)
        lines = lines.replace("https://connect.example.com", self.prod.url)
        given = {"SALES_REGION": "north", "PATH": path} | environ
        return self.user.run("bash", "-e", "-c", lines, cwd=cwd or self.root, **given)

    def succeed(self, lines: str, cwd: Path | None = None, /, **environ: str) -> Finished:
        done = self.type(lines, cwd, **environ)
        assert done.code == 0, f"{lines}{done.said}"
        return done

    def change(self, text: str) -> None:
        with (self.root / "src/sales_api/main.py").open("a", encoding="utf-8") as file:
            file.write(f"# {text}\n")

    def release(self, text: str) -> str:
        """Deploy a change to production; return its bundle."""
        self.change(text)
        self.succeed("hatch-connect deploy --name prod")
        return self.active

    @property
    def content(self) -> FakeContent:
        (content,) = self.prod.contents.values()
        return content

    @property
    def active(self) -> str:
        return self.content.bundle_id or ""

    @property
    def newest(self) -> str:
        return max(self.content.bundles, key=int)


@pytest.fixture
def team(sandbox: Sandbox, tmp_path: Path) -> Iterator[Team]:
    root = committed(copy_example("fastapi-app", tmp_path), sandbox)
    with FakeConnect() as staging, FakeConnect() as prod:
        staging.api_key, prod.api_key = KEYS
        team = Team(user=sandbox, root=root, staging=staging, prod=prod)
        for name, server in {"staging": staging, "prod": prod}.items():
            add = f"hatch-connect add --name {name} --server {server.url}"
            team.succeed(add, CONNECT_API_KEY=server.api_key)
        yield team


def test_promote(team: Team, tmp_path: Path) -> None:
    first, by_url, in_ci = commands(page("promote"))
    team.succeed("hatch-connect deploy --name staging")
    (there,) = team.staging.contents.values()
    shown = team.succeed(first.splitlines()[0])
    assert ("+ Sales API on prod" in shown.stdout, team.prod.contents) == (True, {})
    team.succeed(first)
    archive = there.bundles[there.bundle_id or ""].archive
    assert team.content.bundles[team.active].archive == archive

    empty = tmp_path / "empty"
    empty.mkdir()
    for guid in (there.guid, team.content.guid):
        by_url = by_url.replace("GUID", guid, 1)
    assert "is already active" in team.succeed(by_url, empty).stderr

    team.user = Sandbox.make(tmp_path / "a job")
    for _ in range(2):  # the second job has nothing to upload
        done = team.succeed(in_ci, STAGING_KEY=KEYS[0], PRODUCTION_KEY=KEYS[1])
    assert f"Using CONNECT_API_KEY for {team.prod.url}" in done.stderr
    assert set(team.content.bundles) == {team.active}


def test_go_back(team: Team) -> None:
    text = page("go-back")
    earlier, named, prune = commands(text)
    (table,) = re.findall(r"^```toml\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    before, new = team.release("one"), team.release("two")
    team.succeed(earlier)
    assert team.active == before
    team.succeed(named.replace("1234", new))
    assert team.active == new

    with (team.root / "pyproject.toml").open("a", encoding="utf-8") as file:
        file.write(f"\n{table}pause = 0\n")
    team.prod.misbehave("GET", f"{ACTIVE}health", Say(500, b"broken"), skip=1, times=1)
    team.change("three")
    failed = team.type("hatch-connect deploy --name prod --json")
    assert failed.code == 5, failed.said
    assert json.loads(failed.stdout)["error"]["active_bundle_id"] == team.active == new

    (download,) = re.findall(r"`(hatch-connect download .*?)`", text)
    path = Path(team.succeed(download.replace("1234", before)).stdout.strip())
    assert path.read_bytes() == team.content.bundles[before].archive

    (remove,) = re.findall(r"`(hatch-connect versions --remove .*?)`", text)
    broken = team.newest
    team.succeed(remove.replace("1230", broken))
    assert broken not in team.content.bundles
    for number in range(7):
        team.change(f"draft {number}")
        team.succeed("hatch-connect deploy --draft --name prod")
    drafts = sorted(team.content.bundles.keys() - {before, new}, key=int)
    for draft in drafts:
        team.content.bundles[draft].created = LONG_AGO
    drafts_go, bundles_go = prune.splitlines()
    asked = team.type(drafts_go)
    assert (asked.code, len(team.content.bundles)) == (2, 9), asked.said
    team.succeed(f"{drafts_go} --yes")
    team.succeed(bundles_go)
    assert set(team.content.bundles) == {before, new, *drafts[2:]}


def test_preview_a_branch(team: Team, tmp_path: Path) -> None:
    text = page("preview-a-branch")
    show, remove = commands(text)
    active = team.release("one")
    team.user.git("checkout", "--quiet", "-b", "feature", cwd=team.root)
    team.change("two")
    shown = team.succeed(show, CONNECT_SERVER=team.prod.url)
    assert "\nhttps://connect.example.com/content/GUID/_bundle42/\n" in text
    assert shown.stdout == f"{team.prod.url}/content/{team.content.guid}/_bundle{team.newest}/\n"

    summary, event = tmp_path / "summary.md", tmp_path / "event.json"
    repository = {"full_name": "me/sales"}
    pull = {"head": {"repo": repository}, "base": {"repo": repository}}
    event.write_text(json.dumps({"pull_request": pull}), encoding="utf-8")
    recipe = text[text.index("## In GitHub Actions") : text.index("## In GitLab")]
    preview, remove_in_ci, comment = re.findall(r"run: (hatch-connect preview.*)", recipe)
    job = {
        "CONNECT_SERVER": team.prod.url,
        "CONNECT_API_KEY": KEYS[1],
        "GITHUB_EVENT_NAME": "pull_request",
        "GITHUB_EVENT_PATH": str(event),
        "GITHUB_HEAD_REF": "feature",
        "GITHUB_STEP_SUMMARY": str(summary),
    }
    team.change("three")
    team.succeed(preview, **job)
    assert f"{team.content.guid}/_bundle{team.newest}/" in summary.read_text(encoding="utf-8")
    assert set(team.content.bundles) == {active, team.newest}
    alone = team.type(comment, **job)
    assert (alone.code, "GITHUB_REF" in alone.stderr) == (2, True), alone.said
    team.succeed(remove_in_ci, **job)
    assert set(team.content.bundles) == {active}

    team.succeed(show, CONNECT_SERVER=team.prod.url)
    team.succeed(remove, CONNECT_SERVER=team.prod.url)
    assert set(team.content.bundles) == {active}
