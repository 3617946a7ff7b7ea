"""`deploy` as people call it: what it finds, what it notes, and what it says of both."""

from __future__ import annotations

import os
import subprocess
import tarfile
from typing import TYPE_CHECKING

import pytest
from support.projects import CONNECT, PACKAGE, project

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
        self.deploy(caller, root, no_metadata=True)
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
            ("", "The server hides its version; Connect 2025.12 and later"),
            ("2025.11.0", "The server is Connect 2025.11.0; Connect 2025.12 and later"),
        ],
    )
    def test_what_cannot_be_sent_is_said_as_it_is(
        self, caller: Caller, fake: FakeConnect, root: Path, version: str, told: str
    ) -> None:
        fake.version = version
        done = self.deploy(caller, root, metadata=("a=b",))
        assert f"Not sent: --metadata and `metadata` in pyproject.toml. {told}" in done.stderr
        assert noted(fake) == {}
        assert "Not sent" in self.deploy(caller, root).stderr
        assert "Not sent" not in self.deploy(caller, root, no_metadata=True).stderr
        assert "Not sent" not in caller.deploy().stderr
