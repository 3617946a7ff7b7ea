"""Whether content answers, and what is restored if it does not."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
from support.faults import Do, Drop, Fault, Hang, LoseAnswer, Say, redirect
from support.waiting import PATIENCE, until

if TYPE_CHECKING:
    from pathlib import Path

    from support.calling import Called, Caller
    from support.fake_connect import FakeConnect, Recorded
    from support.fake_content import FakeContent
    from support.sandbox import Sandbox

pytestmark = pytest.mark.sweep

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

    def call(self, command: str, **options: object) -> Called:
        self.fake.requests.clear()
        done = self.caller.call(command, directory=str(self.root), **options)
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
    assert "answered 500: Internal Server Error. Visiting it again in 0 s" in done.stderr
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
    bed.settle()
    bed.write('status = [200]\ntext = "up"\non-failure = "rollback"')
    bed.fake.misbehave("GET", PAGE, answer, times=9)
    done = bed.deploy()
    assert done.code == 0, done.said
    assert bed.content.bundle_id == max(bed.content.bundles, key=int)
    assert "was not verified" in done.stderr


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
    assert "verify that it answers at /health with 200 or 204, and contains 'up'" in steps
    assert steps[-1].endswith("contains 'up', and once more after 3 s")


BACK = 'on-failure = "rollback"\npause = 0'
START = 'init-timeout = 90\nmemory-limit = "1 GiB"'


def fail(bed: Bed, *, times: int = 1) -> None:
    """Have the content answer as a draft and once it is active, and then fail."""
    bed.fake.misbehave("GET", ACTIVE, BROKEN, skip=1, times=times)


def error_of(done: Called) -> dict[str, object]:
    error: dict[str, object] = json.loads(done.stdout)["error"]
    return error


def test_what_was_active_before_comes_back(bed: Bed) -> None:
    bed.write(BACK)
    before = bed.settle()
    fail(bed)
    done = bed.deploy(json=True)
    assert done.code == 5, done.said
    assert bed.content.bundle_id == before
    assert f"If it does not answer after activation, bundle {before} is restored" in done.stderr
    assert f"bundle {before} is active again and answers" in done.stderr
    left = max(bed.content.bundles, key=int)
    assert f"bundle {left} was uploaded but did not answer" in done.stderr
    error = error_of(done)
    assert (error["bundle_id"], error["active_bundle_id"]) == (left, before)
    listed = bed.call("versions")
    assert "did not answer" in listed.stdout
    # And the next deployment goes on from there.
    fail(bed)
    assert bed.deploy().code == 5
    assert bed.content.bundle_id == before
    bed.settle()


def test_without_being_asked_for_nothing_comes_back(bed: Bed) -> None:
    bed.write("pause = 0")
    before = bed.settle()
    fail(bed)
    done = bed.deploy(json=True)
    assert done.code == 5, done.said
    assert bed.content.bundle_id != before
    assert f"To roll back: hatch-connect rollback {before}" in done.stderr
    assert error_of(done)["active_bundle_id"] == bed.content.bundle_id


def test_settings_come_back_too_and_start_with_it(bed: Bed) -> None:
    bed.write(BACK, f'{START}\naccess = "all"')
    before = bed.settle()
    had = dict(bed.content.fields)
    assert had["access_type"] == "all"
    bed.write(BACK, 'init-timeout = 60\nmemory-limit = "2 GiB"\naccess = "acl"')
    fail(bed)
    done = bed.deploy()
    assert done.code == 5, done.said
    assert bed.content.bundle_id == before
    assert {k: v for k, v in bed.content.fields.items() if k in had} == had
    assert "its settings were restored" in done.stderr
    calls = [call for call in bed.fake.calls() if not call.startswith("GET")]
    patch, deploy, access = (call.rpartition("/")[2] for call in calls[-3:])
    assert (patch, deploy, access) == (bed.content.guid, "deploy", bed.content.guid)


def test_the_same_bundle_with_other_settings_gets_its_settings_back(bed: Bed) -> None:
    bed.write(BACK, START)
    first, before = bed.settle(), bed.settle()
    bed.write(BACK, "init-timeout = 60")
    bed.fake.misbehave("GET", ACTIVE, BROKEN)
    done = bed.call("deploy")
    assert done.code == 5, done.said
    assert bed.content.bundle_id == before
    assert bed.content.fields["init_timeout"] == 90
    assert f"bundle {before} is active again and answers" in done.stderr
    assert bed.call("rollback").code == 0
    assert bed.content.bundle_id == first


def test_content_that_breaks_by_itself_does_not_become_another(bed: Bed) -> None:
    bed.write(BACK)
    bed.settle()
    now = bed.settle()
    bed.fake.misbehave("GET", ACTIVE, BROKEN, times=99)
    for _night in range(2):
        done = bed.call("deploy")
        assert done.code == 5, done.said
        assert bed.content.bundle_id == now


def test_a_failing_way_back_says_that_nothing_answers(bed: Bed) -> None:
    bed.write(BACK)
    before = bed.settle()
    fail(bed, times=99)
    done = bed.deploy()
    assert done.code == 5, done.said
    assert bed.content.bundle_id == before
    assert f"bundle {before} is active again and does not answer either" in done.stderr


@pytest.mark.parametrize("known", ["nobody verified it", "others deployed it"])
def test_what_is_not_known_to_have_answered_does_not_come_back(bed: Bed, known: str) -> None:
    bed.write(BACK)
    if known == "nobody verified it":
        bed.change()
        assert bed.call("deploy", no_verify=True).code == 0
    else:
        bed.settle()
        bed.content.bundles["2"].metadata.clear()
        for left in bed.caller.folder.glob("home/.rsconnect-python/applications/*.history"):
            left.unlink()
    fail(bed)
    done = bed.deploy()
    assert done.code == 5, done.said
    assert "no bundle is restored automatically: none that was active before" in done.stderr
    assert bed.content.bundle_id == max(bed.content.bundles, key=int)
    assert "To roll back: hatch-connect rollback 2 " in done.stderr


def test_the_metadata_of_bundles_know_it_where_no_history_is(bed: Bed) -> None:
    bed.write(BACK)
    before = bed.settle()
    for left in bed.caller.folder.glob("home/.rsconnect-python/applications/*"):
        left.unlink()
    fail(bed)
    assert bed.deploy().code == 5
    assert bed.content.bundle_id == before


def test_drafts_above_the_active_bundle_do_not_matter(bed: Bed) -> None:
    bed.write(BACK)
    before = bed.settle()
    for _ in range(25):
        bed.change()
        assert bed.call("deploy", draft=True).code == 0
    fail(bed)
    done = bed.deploy()
    assert done.code == 5, done.said
    assert bed.content.bundle_id == before


@pytest.mark.parametrize("version", ["2024.09.0", "2025.06.0", "2026.06.0"])
def test_every_version_goes_back(bed: Bed, version: str) -> None:
    bed.fake.version = version
    bed.write(BACK)
    before = bed.settle()
    fail(bed)
    done = bed.deploy()
    assert done.code == 5, done.said
    assert bed.content.bundle_id == before
    assert "is active again and answers" in done.stderr


def test_a_server_that_turns_out_to_know_no_drafts_goes_back(bed: Bed) -> None:
    bed.fake.version = ""
    bed.write(BACK, START)
    before = bed.settle()
    bed.write(BACK, "init-timeout = 60")
    unknown = b'{"code": 121, "error": "unknown field: activate"}'
    bed.fake.misbehave("POST", "/deploy$", Say(400, unknown))
    fail(bed)
    done = bed.deploy()
    assert done.code == 5, done.said
    assert bed.content.bundle_id == before
    assert bed.content.fields["init_timeout"] == 90


def test_what_somebody_else_activated_meanwhile_is_not_passed_over(bed: Bed) -> None:
    bed.write(BACK)
    before = bed.settle()
    other = bed.settle()
    bed.call("rollback")
    assert bed.content.bundle_id == before

    def activate() -> None:
        bed.content.bundle_id = other

    bed.fake.misbehave("GET", DRAFT, Do(activate))
    fail(bed)
    done = bed.deploy()
    assert done.code == 5, done.said
    assert f"Bundle {other} was activated in the meantime" in done.stderr
    assert bed.content.bundle_id == max(bed.content.bundles, key=int)


def test_what_somebody_activates_after_it_stays(bed: Bed) -> None:
    bed.write(BACK)
    bed.settle()
    other = bed.settle()
    before = bed.settle()

    def activate() -> None:
        bed.content.bundle_id = other

    bed.fake.misbehave("GET", "jobs$", Do(activate))  # asked for when a visit has failed
    fail(bed)
    done = bed.deploy(json=True)
    assert done.code == 5, done.said
    assert bed.content.bundle_id == error_of(done)["active_bundle_id"] == other
    assert f"rolling back to bundle {before} failed: bundle {other} was" in done.stderr
    assert "is active again" not in done.stderr


def test_an_answer_in_doubt_leaves_the_way_back_for_the_next_call(bed: Bed) -> None:
    bed.write(BACK)
    before = bed.settle()
    login = Say(401, b'{"code": 24, "error": "You must log in"}')
    bed.fake.misbehave("GET", ACTIVE, login)
    assert bed.deploy().code == 0
    assert "not known to answer" in bed.call("versions").stdout
    bed.fake.misbehave("GET", ACTIVE, BROKEN, times=2)
    done = bed.call("deploy")
    assert done.code == 5, done.said
    assert bed.content.bundle_id == before
    assert f"bundle {before} is active again and answers" in done.stderr


def test_it_is_not_claimed_to_know_what_is_active(bed: Bed) -> None:
    bed.write(BACK)
    before = bed.settle()
    refused = Say(403, b'{"code": 22, "error": "no"}')
    bed.fake.misbehave("GET", "v1/tasks/", refused, skip=1)
    done = bed.deploy(json=True)
    assert done.code == 3, done.said
    new = max(bed.content.bundles, key=int)
    assert f"bundle {new} may be active by now ({before} was active before)" in done.stderr
    assert "is still active" not in done.stderr
    assert error_of(done)["active_bundle_id"] is None


def test_no_visit_no_way_back(bed: Bed) -> None:
    bed.write(BACK)
    bed.settle()
    fail(bed, times=9)
    done = bed.deploy(no_verify=True)
    assert done.code == 0, done.said
    assert "is restored" not in done.stderr


ON_THE_WAY = {
    "jobs": ("GET", "jobs$", 0),
    "settings": ("PATCH", "v1/content/[0-9a-f-]{36}$", 1),
    "deploy": ("POST", "/deploy$", 2),
    "task": ("GET", "v1/tasks/", 2),
}
FAULTS: dict[str, Fault] = {
    "drop": Drop(),
    "lost": LoseAnswer(),
    "refused": Say(403, b'{"code": 22, "error": "no"}'),
    "broken": Say(500, b'{"code": 1, "error": "no"}'),
}


@pytest.mark.parametrize("lasting", [False, True])
@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("request_", ON_THE_WAY)
def test_a_fault_on_the_way_back_is_told(
    bed: Bed, request_: str, fault: str, *, lasting: bool
) -> None:
    bed.write(BACK, START)
    before = bed.settle()
    bed.write(BACK, "init-timeout = 60")
    fail(bed)
    method, path, skip = ON_THE_WAY[request_]
    bed.fake.misbehave(method, path, FAULTS[fault], skip=skip, times=99 if lasting else 1)
    done = bed.deploy(json=True)
    assert done.code == 5, done.said
    assert done.stderr.count("error: ") == 1
    assert "does not answer" in done.stderr or "answered 500" in done.stderr
    active = bed.content.bundle_id
    error = error_of(done)
    assert error["active_bundle_id"] == active
    if "is active again" in done.stderr:
        assert active == before
    else:
        assert f"rolling back to bundle {before} failed" in done.stderr
        assert f"hatch-connect rollback {before}" in done.stderr
    settings = "restored" in done.stderr
    assert settings == (bed.content.fields["init_timeout"] == 90) or "could not" in done.stderr


def test_several_contents_side_by_side_go_back_each_for_itself(bed: Bed) -> None:
    table = TABLE.replace('entrypoint = "app:app"\n', "")
    contents = "".join(
        f'[tool.hatch-connect.content.{name}]\nentrypoint = "app:app"\n' for name in ("one", "two")
    )
    text = f"{table}[tool.hatch-connect.verify]\n{BACK}\n{contents}"
    (bed.root / "pyproject.toml").write_text(text, encoding="utf-8")
    bed.change()
    assert bed.call("deploy", all=True, jobs=2).code == 0
    one, two = sorted(bed.fake.contents.values(), key=lambda content: content.name)
    before = one.bundle_id
    bed.fake.misbehave("GET", rf"^/content/{one.guid}/(?!_bundle)", BROKEN, skip=1)
    done = bed.deploy(all=True, jobs=2)
    assert done.code == 5, done.said
    assert one.bundle_id == before
    assert two.bundle_id == max(two.bundles, key=int)


def started(bed: Bed, sandbox: Sandbox) -> subprocess.Popen[str]:
    """Return a deployment in a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "hatch_connect", "deploy"],
        cwd=bed.root,
        env=sandbox.environ | bed.caller.environ,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def reach(bed: Bed, process: subprocess.Popen[str], method: str, path: str, skip: int) -> None:
    """Wait for the request after `skip` of its kind."""

    def asked() -> int:
        found = (r for r in bed.fake.requests if r.method == method)
        return sum(bool(re.search(path, r.path)) for r in found)

    until(lambda: asked() > skip, process)


@pytest.mark.skipif(os.name != "posix", reason="signals are POSIX's")
def test_an_interrupted_way_back_says_so(bed: Bed, sandbox: Sandbox) -> None:
    bed.write(BACK)
    before = bed.settle()
    bed.caller.environ["HOME"] = str(bed.caller.folder / "home")
    bed.change()
    fail(bed)
    bed.fake.misbehave("POST", "/deploy$", Hang(600), skip=2)
    bed.fake.requests.clear()
    process = started(bed, sandbox)
    reach(bed, process, "POST", "/deploy$", 2)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130, err
    assert f"rolling back to bundle {before} failed" in err
    assert f"hatch-connect rollback {before}" in err
    done = bed.call("rollback")
    assert done.code == 0, done.said
    assert bed.content.bundle_id == before


MOMENTS = {
    "activation": ("POST", "/deploy$", 1, True),
    "the first look": ("GET", ACTIVE, 0, False),
    "the second look": ("GET", ACTIVE, 1, False),
    "its log": ("GET", "jobs$", 0, False),
    "rolling back": ("POST", "/deploy$", 2, False),
    "back, not followed": ("POST", "/deploy$", 2, True),
    "back": ("GET", ACTIVE, 2, False),
}


@pytest.mark.skipif(os.name != "posix", reason="kills as POSIX does")
@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("settings", ["", 'init-timeout = 60\naccess = "acl"'])
def test_after_kill_at_any_moment_the_next_call_goes_on(
    bed: Bed, sandbox: Sandbox, moment: str, settings: str
) -> None:
    bed.write(BACK, f'{START}\naccess = "all"')
    before, had = bed.settle(), dict(bed.content.fields)
    bed.caller.environ["HOME"] = str(bed.caller.folder / "home")
    assert had["access_type"] == "all"
    bed.write(BACK, settings)
    bed.change()
    method, path, skip, carried_out = MOMENTS[moment]
    bed.fake.requests.clear()

    def broken(request: Recorded) -> Fault | None:
        # The new bundle answers as a draft and once when it is active, and never again.
        visits = [r for r in bed.fake.requests if re.match(ACTIVE, r.path)]
        if re.match(ACTIVE, request.path) and bed.content.bundle_id != before and len(visits) > 1:
            return BROKEN
        return None

    bed.fake.gate = broken
    hang = Hang(600, done=carried_out)
    bed.fake.misbehave(method, path, hang, skip=skip)
    killed = started(bed, sandbox)
    reach(bed, killed, method, path, skip)
    time.sleep(0.2)  # for the request to be carried out
    killed.kill()
    killed.communicate(timeout=PATIENCE)
    again = started(bed, sandbox)
    _, err = again.communicate(timeout=PATIENCE)
    assert again.returncode == 5, err
    assert bed.content.bundle_id == before, err
    assert f"bundle {before} is active again and answers" in err
    assert bed.content.fields == had
