"""What `logs` prints of which job, and that following a log loses and repeats no line."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.calling import KEY, error_in
from support.fake_connect import Do, Drop, FakeConnect, Say, html
from support.fake_content import FakeContent, FakeJob
from support.waiting import PATIENCE, until

from hatch_connect.connect.resources import LogEntry
from hatch_connect.ship.logs import _first_new, telling_end

if TYPE_CHECKING:
    from collections.abc import Callable

    from support.calling import Called, Caller

_GATEWAY = html(503, "<html><title>503 Service Unavailable</title></html>")


def _content(fake: FakeConnect, **jobs: FakeJob) -> FakeContent:
    return fake.add_content("sales", jobs=dict(jobs), bundle_id="7")


def _logs(caller: Caller, content: FakeContent, **options: object) -> Called:
    return caller.call("logs", app_id=content.guid, **options)


def _entry(text: str, timestamp: str | None = None) -> dict[str, object]:
    return {"source": "stdout", "timestamp": timestamp, "data": text}


def test_the_newest_job_unless_another_is_named(fake: FakeConnect, caller: Caller) -> None:
    content = _content(
        fake,
        old=FakeJob(["of the draft"], bundle_id="8", ended=True, exit_code=1),
        older=FakeJob(["of 7, once"], bundle_id="7", ended=True, exit_code=0),
        new=FakeJob(["of 7, now"], bundle_id="7"),
    )
    assert _logs(caller, content).stdout == "of 7, now\n"
    assert _logs(caller, content, of_bundle="7").stdout == "of 7, now\n"
    assert _logs(caller, content, job="older").stdout == "of 7, once\n"
    draft = _logs(caller, content, of_bundle="8")
    assert draft.stdout == "of the draft\n"
    assert "Job old (run_app) of bundle 8" in draft.stderr
    assert "ended with exit code 1" in draft.stderr


def test_json_says_which_job_it_is(fake: FakeConnect, caller: Caller) -> None:
    content = _content(fake, k=FakeJob(["one"], bundle_id="7", ended=True, exit_code=3))
    told = json.loads(_logs(caller, content, json=True).stdout)
    assert told["log"] == ["one"]
    assert told["job"] == {
        "key": "k",
        "tag": "run_app",
        "bundle_id": "7",
        "start_time": "2026-11-01T12:00:00Z",
        "end_time": "2026-11-01T13:00:00Z",
        "exit_code": 3,
    }


def test_jobs_and_bundles_that_are_not_there(fake: FakeConnect, caller: Caller) -> None:
    content = _content(fake, there=FakeJob())
    done = _logs(caller, content, job="gone")
    assert done.code == 2
    assert "has no job gone" in done.stderr
    assert "there (run_app)" in done.stderr
    done = _logs(caller, content, of_bundle="99")
    assert (done.code, "has no bundle 99" in done.stderr) == (2, True)
    done = _logs(caller, content, job="there", of_bundle="7")
    assert (done.code, "mutually exclusive" in done.stderr) == (2, True)


def test_content_that_has_not_run(fake: FakeConnect, caller: Caller) -> None:
    content = _content(fake)
    for options in ({}, {"follow": True}):
        done = _logs(caller, content, **options)
        assert (done.code, done.stdout) == (0, "")
        assert f"There are no logs of content {content.guid} yet" in done.stderr


def test_a_key_that_may_only_look_is_refused(fake: FakeConnect, caller: Caller) -> None:
    content = _content(fake, k=FakeJob(["secret matters"]))
    content.role = "viewer"
    done = _logs(caller, content)
    assert done.code == 3
    assert "secret matters" not in done.said


def test_a_big_log_is_printed_whole(fake: FakeConnect, caller: Caller) -> None:
    lines = [f"line {n}" for n in range(12_345)]
    content = _content(fake, k=FakeJob(lines, ended=True))
    assert _logs(caller, content).stdout.splitlines() == lines
    fake.longest_log = 5000
    assert _logs(caller, content).stdout.splitlines() == lines[-5000:]
    fake.refuses_longer = True
    assert _logs(caller, content).stdout.splitlines() == lines[-5000:]


def test_control_sequences_and_secrets_do_not_reach_the_terminal(
    fake: FakeConnect, caller: Caller
) -> None:
    wild = f"\x1b[31mred\x1b[0m\x07 {KEY} \x1b]0;title\x07done\r"
    content = _content(fake, k=FakeJob([wild], ended=True))
    for options in ({}, {"follow": True}):
        assert _logs(caller, content, **options).stdout == "red *** done\n"
    for options in ({"json": True}, {"json": True, "follow": True}):
        assert KEY not in _logs(caller, content, **options).said


def test_only_lines_since(fake: FakeConnect, caller: Caller) -> None:
    now = datetime.now(UTC)
    stamped = [
        _entry("an hour ago", (now - timedelta(hours=1)).isoformat().replace("+00:00", "Z")),
        _entry("  as well"),
        _entry("a minute ago", (now - timedelta(minutes=1)).isoformat()),
        _entry("  and this"),
    ]
    content = _content(fake, k=FakeJob(stamped, ended=True))
    late = "a minute ago\n  and this\n"
    moment = (now - timedelta(minutes=30)).isoformat()
    for since in ("10m", "600s", moment):
        assert _logs(caller, content, since=since).stdout == late
        assert _logs(caller, content, since=since, follow=True).stdout == late
    assert len(_logs(caller, content, since="2h").stdout.splitlines()) == 4
    assert _logs(caller, content, since=f"{now.year + 1}-01-01").stdout == ""
    for wrong in ("soon", "10", "999999w", "10 fortnights"):
        done = _logs(caller, content, since=wrong)
        assert done.code == 2
        assert "is not an age or a time" in done.stderr


def _writing(fake: FakeConnect, job: FakeJob, times: int, after: Callable[[], object]) -> None:
    """Let the job write a line before each look at it, and then do something else."""

    def write() -> None:
        job.lines.append(f"line {len(job.lines)}")

    for _ in range(times):
        fake.misbehave("GET", r"/jobs/\w+$", Do(write))
    fake.misbehave("GET", r"/jobs/\w+$", Do(after))


def _end(job: FakeJob, *lines: str) -> None:
    job.lines += lines
    job.ended, job.exit_code = True, 1


def test_a_log_is_followed_to_the_end_of_its_job(fake: FakeConnect, caller: Caller) -> None:
    job = FakeJob(["line 0"], bundle_id="7")
    content = _content(fake, k=job)
    _writing(fake, job, 4, lambda: _end(job, "goodbye"))
    done = _logs(caller, content, follow=True)
    assert done.code == 0
    assert done.stdout.splitlines() == [*(f"line {n}" for n in range(5)), "goodbye"]
    assert "ended with exit code 1" in done.stderr


def test_the_last_lines_of_a_log_that_is_not_complete(fake: FakeConnect, caller: Caller) -> None:
    job = FakeJob(["first"], bundle_id="7", status=1)

    def complete() -> None:
        job.lines.append("late")
        job.status = 2

    content = _content(fake, k=job)
    fake.misbehave("GET", r"/jobs/k$", Do(complete), skip=1)
    assert _logs(caller, content, follow=True).stdout == "first\nlate\n"
    job.status = 1
    assert _logs(caller, content, follow=True).stdout == "first\nlate\n"


def test_no_line_is_lost_or_repeated_while_the_server_is_away(
    fake: FakeConnect, caller: Caller
) -> None:
    job = FakeJob(["line 0"], bundle_id="7")
    content = _content(fake, k=job)
    _writing(fake, job, 8, lambda: _end(job))
    for fault in (_GATEWAY, Drop(), Drop(reset=True), _GATEWAY):
        fake.misbehave("GET", r"/log$", fault, times=9, skip=1)  # more than one request bears
    done = _logs(caller, content, follow=True)
    assert done.code == 0
    assert done.stdout.splitlines() == [f"line {n}" for n in range(9)]
    assert "No response about job k" in done.stderr


def test_a_server_that_stays_away_ends_it(fake: FakeConnect, caller: Caller) -> None:
    content = _content(fake, k=FakeJob(["one"], bundle_id="7"))
    fake.misbehave("GET", r"/log$", _GATEWAY, times=1 << 30, skip=1)
    done = _logs(caller, content, follow=True)
    assert (done.code, done.stdout) == (3, "one\n")
    assert "503 Service Unavailable" in done.stderr


@pytest.mark.parametrize(("limit", "refuses"), [(None, False), (6000, False), (6000, True)])
def test_a_log_that_grows_beyond_what_is_returned_at_once(
    fake: FakeConnect, caller: Caller, limit: int | None, *, refuses: bool
) -> None:
    fake.refuses_longer = refuses
    job = FakeJob([f"line {n}" for n in range(3000)], bundle_id="7")
    content = _content(fake, k=job)
    fake.longest_log = limit

    def write() -> None:
        job.lines += [f"line {n}" for n in range(len(job.lines), len(job.lines) + 1500)]

    fake.misbehave("GET", r"/jobs/k$", Do(write), times=5)
    fake.misbehave("GET", r"/jobs/k$", Do(lambda: _end(job)))
    done = _logs(caller, content, follow=True)
    assert done.stdout.splitlines() == [f"line {n}" for n in range(10_500)]
    assert "may be missing" not in done.stderr


def test_lines_that_cannot_be_had_are_said_to_be_missing(fake: FakeConnect, caller: Caller) -> None:
    fake.longest_log = 10
    job = FakeJob(["line 0"], bundle_id="7")
    content = _content(fake, k=job)
    many = [f"line {n}" for n in range(1, 100)]
    fake.misbehave("GET", r"/jobs/k$", Do(lambda: _end(job, *many)), skip=1)
    done = _logs(caller, content, follow=True)
    assert done.stdout.splitlines() == ["line 0", *many[-10:]]
    assert "may be missing" in done.stderr


def test_following_as_json_prints_an_object_a_line(fake: FakeConnect, caller: Caller) -> None:
    job = FakeJob([_entry("one"), "two"], bundle_id="7")
    content = _content(fake, k=job)
    fake.misbehave("GET", r"/jobs/k$", Do(lambda: _end(job, "three")), skip=2)
    told = [
        json.loads(line)
        for line in _logs(caller, content, follow=True, json=True).stdout.splitlines()
    ]
    assert [each.get("data") for each in told] == ["one", "two", "three", None]
    assert told[0] == {"source": "stdout", "timestamp": None, "data": "one"}
    assert told[-1]["guid"] == content.guid
    assert told[-1]["job"]["exit_code"] == 1
    fake.misbehave("GET", r"/log$", Say(403, b'{"code": 22, "error": "no longer"}'))
    done = _logs(caller, content, follow=True, json=True)
    (line,) = done.stdout.splitlines()
    assert json.loads(line)["error"]["exit_code"] == done.code == 3


def _following(fake: FakeConnect, content: FakeContent, *more: str) -> subprocess.Popen[str]:
    command = (sys.executable, "-m", "hatch_connect", "logs", "--follow", "-a", content.guid, *more)
    environ = {"CONNECT_SERVER": fake.url, "CONNECT_API_KEY": fake.api_key}
    return subprocess.Popen(
        command,
        env={**os.environ, **environ},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_each_line_is_printed_at_once_and_an_interruption_ends_it() -> None:
    with FakeConnect() as fake:
        job = FakeJob(["one"], bundle_id="7")
        process = _following(fake, _content(fake, k=job))
        assert process.stdout is not None
        assert process.stdout.readline() == "one\n"
        job.lines.append("two")
        assert process.stdout.readline() == "two\n"
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=PATIENCE)
    assert (process.returncode, out) == (130, "")
    assert "interrupted" in err
    assert "Traceback" not in err


def test_following_ends_when_nobody_reads_it_any_more() -> None:
    with FakeConnect() as fake:
        job = FakeJob(["one"], bundle_id="7")
        process = _following(fake, _content(fake, k=job))
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline() == "one\n"
        process.stdout.close()
        job.lines.append("two")
        until(lambda: process.poll() is not None)
        with process.stderr as stderr:
            assert "Traceback" not in stderr.read()
        assert process.returncode == 1


@given(st.lists(st.sampled_from("ab"), max_size=8), st.integers(0, 8), st.integers(1, 8))
def test_the_first_new_line_is_found(texts: list[str], seen: int, window: int) -> None:
    """If each line has a time of its own, also where only the last lines are returned."""
    entries = [LogEntry(timestamp=str(n), data=text) for n, text in enumerate(texts)]
    before = entries[:seen][-window:]
    now = entries[-window:]
    first = _first_new(tuple(before), tuple(now))
    if not before or not now or before[-1] in now:
        assert first is not None
        assert list(now[first:]) == entries[seen:][-window:]
    else:
        assert first is None


_CAUSE = """starting
Traceback (most recent call last):
  File "app.py", line 1, in <module>
    import flsk
ModuleNotFoundError: No module named 'flsk'

The above exception was the direct cause of the following exception:

Traceback (most recent call last):
  File "run.py", line 9
RuntimeError: no app
it was asked for here
exit status 1"""
_GROUP = """  + Exception Group Traceback (most recent call last):
  |   File "app.py", line 1, in <module>
  | ExceptionGroup: unhandled (1 sub-exception)
  +-+---------------- 1 ----------------
    | Traceback (most recent call last):
    |   File "app.py", line 3
    | ValueError: too late
    +------------------------------------"""


@pytest.mark.parametrize(
    ("log", "last"),
    [
        (_CAUSE, "RuntimeError: no app"),
        (_GROUP, "    | ValueError: too late"),
        (
            "ERROR:    Traceback (most recent call last):\n  File 'a'\nKeyError: 'A'\n\nEnd.",
            "KeyError: 'A'",
        ),
        ("uvicorn.error.SomeError: bad\nclosing", "uvicorn.error.SomeError: bad"),
        ("one\ntwo", "two"),
        ("Traceback (most recent call last):\n  File 'cut off'", "  File 'cut off'"),
        ("", ""),
    ],
)
def test_the_line_of_the_exception_is_the_last(log: str, last: str) -> None:
    assert telling_end(log.split("\n"))[-1] == last
    padded = [*["before"] * 30, *log.split("\n")]
    assert telling_end(padded)[-1] == last
    assert len(telling_end(padded)) == 20


def test_an_unreadable_refusal_is_one_sentence(fake: FakeConnect, caller: Caller) -> None:
    content = _content(fake, k=FakeJob())
    page = "<html><head><title>Sign in</title></head><body>" + "<p>words</p>" * 99
    fake.misbehave("GET", "/jobs$", html(200, page))
    error = error_in(_logs(caller, content, json=True))
    assert "words" not in str(error)
    assert "Sign in" in str(error["message"])
