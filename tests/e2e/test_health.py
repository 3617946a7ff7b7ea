"""Whether content answers, and what comes back if it does not."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
from support.faults import Hang, Say, redirect

if TYPE_CHECKING:
    from pathlib import Path

    from support.calling import Called, Caller
    from support.fake_connect import FakeConnect
    from support.fake_content import FakeContent

TABLE = '[tool.hatch-connect]\napp-mode = "fastapi"\nentrypoint = "app:app"\nexclude = ["*.toml"]\n'
PAGE = "^/content/[0-9a-f-]{36}/"
DRAFT = rf"{PAGE}_bundle\d+/"
ACTIVE = rf"{PAGE}(?!_bundle)"
BROKEN = Say(500, b"Internal Server Error", (("Content-Type", "text/plain"),))
GOOD = Say(200, b"all is well", (("Content-Type", "text/plain"),))


@dataclass(kw_only=True)
class Bed:
    """A project whose app changes with each deployment, and a server."""

    caller: Caller
    fake: FakeConnect
    root: Path
    version: int = 0

    def write(self, verify: str = "", settings: str = "") -> None:
        tables = (("verify", verify), ("settings", settings))
        more = "".join(f"[tool.hatch-connect.{n}]\n{text}\n" for n, text in tables if text)
        (self.root / "pyproject.toml").write_text(f"{TABLE}{more}", encoding="utf-8")

    def change(self) -> None:
        """Change the app, so that it is uploaded."""
        self.version += 1
        text = f"# {self.version}\nasync def app(*_): ...\n"
        (self.root / "app.py").write_text(text, encoding="utf-8")

    def call(self, verb: str, **options: object) -> Called:
        self.fake.requests.clear()
        done = self.caller.call(verb, directory=str(self.root), **options)
        assert "Traceback" not in done.said
        return done

    def deploy(self, **options: object) -> Called:
        self.change()
        return self.call("deploy", **options)

    def settle(self) -> str:
        """Deploy once, without a fault; return the bundle."""
        done = self.deploy()
        assert done.code == 0, done.said
        assert self.content.bundle_id is not None
        return self.content.bundle_id

    @property
    def content(self) -> FakeContent:
        (content,) = self.fake.contents.values()
        return content

    def visits(self) -> list[str]:
        """Return what was visited, below the content's URL."""
        calls = (r.path for r in self.fake.requests if r.path.startswith("/content/"))
        return [path.partition(self.content.guid)[2] for path in calls]


@pytest.fixture
def bed(caller: Caller, fake: FakeConnect) -> Bed:
    root = caller.folder / "sales"
    root.mkdir()
    (root / "requirements.txt").write_text("starlette==0.45.0\n", encoding="utf-8")
    (root / ".python-version").write_text("3.12\n", encoding="utf-8")
    bed = Bed(caller=caller, fake=fake, root=root)
    bed.write()
    return bed


def test_without_a_table_draft_and_active_bundle_are_visited_once(bed: Bed) -> None:
    bed.settle()
    assert bed.visits() == ["/_bundle2/", "/"]


def test_every_path_is_visited_and_the_active_bundle_once_more(bed: Bed) -> None:
    bed.write('paths = ["health", "/api"]')
    bed.settle()
    assert bed.visits() == [
        *("/_bundle2/health", "/_bundle2/api"),
        *("/health", "/api"),
        *("/health", "/api"),
    ]


@pytest.mark.parametrize(
    ("table", "answer", "told"),
    [
        ("status = [200, 204]", Say(404, b"{}"), "answered 404, not 200 or 204"),
        ('text = "up"', Say(200, b"down"), "answered 200 without 'up': down"),
        ("status = [401]", GOOD, "answered 200, not 401"),
        ("status = [200]", BROKEN, "answered 500: Internal Server Error"),
    ],
)
def test_an_answer_that_is_not_as_it_should_be_fails(
    bed: Bed, table: str, answer: Say, told: str
) -> None:
    before = bed.settle()
    bed.write(table)
    bed.fake.misbehave("GET", PAGE, answer, times=9)
    done = bed.deploy()
    assert done.code == 5, done.said
    assert f"The draft at / {told}" in done.stderr
    assert bed.content.bundle_id == before


@pytest.mark.parametrize(
    ("table", "answer"),
    [
        ("status = [401]", Say(401, b"who are you?")),
        ("status = [503]", Say(503, b'{"code": 1, "error": "closed for today"}')),
        ('text = "<b>up"', Say(200, b"<p><b>up</b></p>")),
    ],
)
def test_an_answer_that_is_as_it_should_be_counts(bed: Bed, table: str, answer: Say) -> None:
    bed.write(table)
    bed.fake.misbehave("GET", PAGE, answer, times=9)
    done = bed.deploy()
    assert done.code == 0, done.said
    assert "not verified" not in done.stderr


def test_what_fails_is_visited_again_so_often(bed: Bed) -> None:
    bed.write("retries = 2\npause = 0")
    bed.fake.misbehave("GET", DRAFT, BROKEN, times=2)
    done = bed.deploy()
    assert done.code == 0, done.said
    assert "answered 500: Internal Server Error. It is visited again after 0 seconds" in done.stderr
    bed.fake.misbehave("GET", DRAFT, BROKEN, times=3)
    assert bed.deploy().code == 5
    assert len(bed.visits()) == 3


def test_a_visit_takes_no_longer_than_it_may(bed: Bed) -> None:
    bed.write("timeout = 0.2")
    bed.fake.misbehave("GET", DRAFT, Hang(600), times=9)
    done = bed.deploy()
    assert done.code == 5, done.said
    assert "The draft at / does not answer" in done.stderr


def test_content_that_answers_once_and_then_fails_is_found_out(bed: Bed) -> None:
    bed.write("pause = 0")
    bed.fake.misbehave("GET", ACTIVE, BROKEN, skip=1)
    done = bed.deploy()
    assert done.code == 5, done.said
    assert "The content at / answered 500" in done.stderr


@pytest.mark.parametrize(
    "answer",
    [
        redirect("https://login.example/authorize"),
        Say(401, b'{"code": 24, "error": "You must log in"}'),
    ],
)
def test_content_that_wants_a_login_is_not_verified_and_stays(bed: Bed, answer: Say) -> None:
    bed.write('status = [200]\ntext = "up"')
    bed.fake.misbehave("GET", PAGE, answer, times=9)
    done = bed.deploy()
    assert done.code == 0, done.said
    assert "is not verified" in done.stderr


def test_rollback_asks_in_the_same_way(bed: Bed) -> None:
    bed.settle()
    now = bed.settle()
    bed.write('paths = ["health"]\nstatus = [200]\npause = 0')
    bed.fake.misbehave("GET", DRAFT, Say(404, b"{}"))
    done = bed.call("rollback")
    assert done.code == 5, done.said
    assert "The draft at /health answered 404, not 200" in done.stderr
    assert bed.content.bundle_id == now
    done = bed.call("rollback", bundle_id="2")
    assert done.code == 0, done.said
    assert bed.visits()[-2:] == ["/health", "/health"]


def test_the_plan_says_what_is_asked(bed: Bed) -> None:
    bed.settle()
    bed.write('paths = ["health"]\nstatus = [200, 204]\ntext = "up"\npause = 3')
    bed.change()
    done = bed.call("deploy", dry_run=True, json=True)
    steps = json.loads(done.stdout)["steps"]
    assert "verify that it answers at /health with 200 or 204, and says 'up'" in steps
    assert steps[-1].endswith("says 'up', and once more after 3 seconds")
