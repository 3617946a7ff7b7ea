"""Every request of a deployment, on every kind of bad day: for new content and for an update."""

from __future__ import annotations

import json
import time
from email.utils import formatdate
from typing import TYPE_CHECKING

import pytest
from support.calling import Called, Caller, judge
from support.fake_bundle import Reply
from support.faults import Drop, Fault, Hang, LoseAnswer, Say, Truncate, html, redirect
from support.waiting import SHORT

if TYPE_CHECKING:
    from support.fake_connect import FakeConnect

pytestmark = pytest.mark.sweep

GUID = "v1/content/[0-9a-f-]{36}"
READS = {
    "settings": "server_settings$",
    "user": "v1/user$",
    "search": "v1/content$",
    "pythons": "v1/server_settings/python$",
    "task": "v1/tasks/",
    "visit": "^/content/[0-9a-f-]{36}/",
}
READS_OF_AN_UPDATE = {"variables": f"{GUID}/environment$", "git": f"{GUID}/repository$"}
WRITES = {
    "create": ("POST", "v1/content$"),
    "variables": ("PATCH", f"{GUID}/environment$"),
    "title": ("PATCH", f"{GUID}$"),
    "upload": ("POST", f"{GUID}/bundles$"),
    "deploy": ("POST", f"{GUID}/deploy$"),
}
JSON = ("Content-Type", "application/json")


def after(seconds: str, status: int = 429) -> Say:
    return Say(status, b'{"code": null, "error": null}', (JSON, ("Retry-After", seconds)))


def refusal(status: int, code: int | None, error: object = "no") -> Say:
    return Say(status, json.dumps({"code": code, "error": error}).encode())


PASSING: dict[str, Fault] = {
    "drop": Drop(),
    "reset": Drop(reset=True),
    "lost": LoseAnswer(),
    "truncated": Truncate(),
    "throttled": after("0"),
    "throttled until": after(formatdate(time.time() - 60, usegmt=True)),
    "throttled oddly": after("soon"),
    "bad gateway": html(502, "<h1>Bad Gateway</h1>"),
    "not ready": after("0", 503),
    "gateway time-out": html(504, "<h1>504</h1>"),
}
PASSING_OF_READS = {
    name: PASSING[name]
    for name in ("drop", "truncated", "throttled", "throttled oddly", "not ready")
}
LASTING: dict[str, Fault] = {
    "drop": Drop(),
    "html": html(200, "<html><head><title>x</title></head><h1>Please log in</h1></html>"),
    "empty": Say(200, b""),
    "half": Say(200, b'{"guid": "1'),
    "text": Say(200, b'"ready"'),
    "null": Say(200, b"null"),
    "number": Say(200, b"7"),
    "refused": html(403, "<h1>Forbidden by the gateway</h1>"),
    "failed": Say(500, b'{"code": 1, "error": "internal \\u001b[31merror"}'),
    "null message": refusal(500, None, None),
    "not ready": html(503, "<h1>Maintenance</h1>"),
    "later": after("3600"),
    "elsewhere": redirect("https://login.example.com/?next=1"),
    "nowhere": redirect("http://[broken/"),
}
# What Connect might mean as "done", to a change whose answer says nothing else.
HARMLESS = [LASTING[name] for name in ("empty", "text", "null", "number", "nowhere")]


class Bed:
    """A server that holds nothing yet, or content that was deployed before."""

    def __init__(self, caller: Caller, fake: FakeConnect, *, update: bool) -> None:
        self.caller, self.fake = caller, fake
        self.before: str | None = None
        self.had = 0
        if update:
            assert caller.deploy().code == 0
            (content,) = fake.contents.values()
            self.before, self.had = content.bundle_id, len(content.bundles)
            caller.bundle("print('changed')\n")
            fake.requests.clear()

    def deploy(self, **options: object) -> Called:
        options = {"title": "Another title", **options}
        done = self.caller.deploy(**options)
        judge(done, self.fake, self.before, self.had)
        return done


@pytest.fixture(params=["new", "update"])
def bed(request: pytest.FixtureRequest, caller: Caller, fake: FakeConnect) -> Bed:
    return Bed(caller, fake, update=request.param == "update")


@pytest.mark.parametrize("fault", PASSING_OF_READS.values(), ids=PASSING_OF_READS)
@pytest.mark.parametrize(
    "path", (READS | READS_OF_AN_UPDATE).values(), ids=READS | READS_OF_AN_UPDATE
)
def test_a_read_that_fails_once_is_repeated(bed: Bed, path: str, fault: Fault) -> None:
    bed.fake.misbehave("GET", path, fault)
    # The names that are set there are asked for only if a variable has no value here.
    relied_on = bed.before and path == READS_OF_AN_UPDATE["variables"]
    assert bed.deploy(**{"environment": ("TOKEN",)} if relied_on else {}).code == 0


@pytest.mark.parametrize("fault", PASSING.values(), ids=PASSING)
@pytest.mark.parametrize(("method", "path"), WRITES.values(), ids=WRITES)
def test_a_change_that_fails_once_is_made_once(
    bed: Bed, method: str, path: str, fault: Fault
) -> None:
    bed.fake.misbehave(method, path, fault)
    done = bed.deploy()
    assert done.code == 0, done.said


@pytest.mark.parametrize("fault", LASTING.values(), ids=LASTING)
@pytest.mark.parametrize("path", [p for n, p in READS.items() if n != "visit"])
def test_a_read_that_keeps_failing_is_an_error(
    caller: Caller, fake: FakeConnect, path: str, fault: Fault
) -> None:
    bed = Bed(caller, fake, update=False)
    bed.fake.misbehave("GET", path, fault, times=999)
    done = bed.deploy()
    if path == READS["pythons"] and done.code == 0:
        assert fault is LASTING["refused"]  # some servers do not tell
        return
    assert done.code == 3, done.said
    assert "GET " in done.stderr or "127.0.0.1" in done.stderr
    assert "\x1b" not in done.said


@pytest.mark.parametrize("fault", LASTING.values(), ids=LASTING)
@pytest.mark.parametrize(("method", "path"), WRITES.values(), ids=WRITES)
def test_a_change_that_keeps_failing_is_an_error(
    bed: Bed, method: str, path: str, fault: Fault
) -> None:
    bed.fake.misbehave(method, path, fault, times=999)
    done = bed.deploy()
    if path == WRITES["title" if bed.before is None else "create"][1]:
        assert done.code == 0  # content is created with its title
        return
    if path == WRITES["variables"][1] and bed.before and fault in HARMLESS:
        assert done.code == 0  # Connect was asked: the variable is there
        return
    assert done.code == 3, done.said
    assert f"{method} v1/content" in done.stderr
    if bed.before:
        assert f"bundle {bed.before} is still active" in done.stderr


CODES = [
    (401, 30, "API key"),
    (403, 22, "owner or an administrator"),
    (403, 48, "type of content"),
    (404, 4, "--new"),
    (403, 21, "no permission to change"),
    (403, 222, "locked"),
    (403, 274, "only allows administrators"),
    (400, 38, "manifest.json"),
    (500, 134, "disk"),
    (502, 105, "TensorFlow"),
    (409, 144, "git repository"),
    (400, 104, "Try again"),
    (400, 125, "--list"),
    (400, 121, "too old"),
    (418, None, "no"),
]


@pytest.mark.parametrize(("status", "code", "advice"), CODES)
@pytest.mark.parametrize("target", ["variables", "upload", "deploy"])
def test_connects_codes_come_with_advice(
    bed: Bed, target: str, status: int, code: int | None, advice: str
) -> None:
    method, path = WRITES[target]
    bed.fake.misbehave(method, path, refusal(status, code), times=9)
    done = bed.deploy()
    assert done.code == 3, done.said
    assert advice in done.stderr
    assert f"HTTP {status}" in done.stderr


def test_a_bundle_that_arrived_changed_is_not_deployed(bed: Bed) -> None:
    told = json.dumps({"id": "99", "metadata": {"archive_md5": "0" * 32}}).encode()
    bed.fake.misbehave("POST", "bundles$", Say(200, told))
    done = bed.deploy()
    assert done.code == 3, done.said
    assert "a different archive" in done.stderr
    assert not any(call.endswith("/deploy") for call in bed.fake.calls())


@pytest.mark.parametrize("target", ["create", "variables", "upload", "deploy"])
def test_a_change_that_hangs_is_made_once(bed: Bed, target: str) -> None:
    bed.caller.environ["CONNECT_REQUEST_TIMEOUT"] = str(SHORT)
    method, path = WRITES[target]
    bed.fake.misbehave(method, path, Hang(SHORT + 1))
    done = bed.caller.deploy(title="Another title")
    assert done.code == 0, done.said
    assert len(bed.fake.contents) == 1


@pytest.mark.parametrize("path", ["server_settings$", "v1/user$", "v1/content$"])
def test_a_server_that_hangs_is_told_of(caller: Caller, fake: FakeConnect, path: str) -> None:
    caller.environ["CONNECT_REQUEST_TIMEOUT"] = "0.2"
    fake.misbehave("GET", path, Hang(600), times=9)
    done = caller.deploy()
    assert done.code == 3
    assert "CONNECT_REQUEST_TIMEOUT" in done.stderr
    assert "Nothing was changed" in done.stderr or not fake.contents


def test_content_that_hangs_is_not_activated(bed: Bed) -> None:
    bed.caller.environ["CONNECT_REQUEST_TIMEOUT"] = str(SHORT)
    bed.fake.misbehave("GET", READS["visit"], Hang(600), times=9)
    done = bed.deploy()
    assert done.code == 5, done.said
    assert "does not answer" in done.stderr


@pytest.mark.parametrize("status", [500, 502, 503, 504])
def test_content_that_does_not_start_is_not_activated(bed: Bed, status: int) -> None:
    bed.fake.page = Reply(status, b"<h1>An error occurred</h1>", "text/html")
    done = bed.deploy()
    assert done.code == 5, done.said
    assert f"answered {status}: An error occurred" in done.stderr


@pytest.mark.parametrize("version", ["2024.09.0", "2025.05.1", "2025.06.0", "2026.06.0"])
@pytest.mark.parametrize("prefix", ["", "/rsc", "/a/b"])
def test_every_version_under_every_prefix(caller: Caller, version: str, prefix: str) -> None:
    from support.fake_connect import FakeConnect

    with FakeConnect(prefix=prefix) as fake:
        caller.knows(fake)
        fake.version = version
        pasted = f"{fake.url}/__api__/" if prefix else f"{fake.url}/connect/#/apps/"
        done = caller.deploy(server=pasted)
        judge(done, fake, None, 0)
        assert done.code == 0, done.said


@pytest.mark.parametrize("version", ["", "dev", "2027.01.0-dev", "v2026.02", "next"])
@pytest.mark.parametrize("knows_drafts", [True, False])
def test_a_hidden_or_odd_version(bed: Bed, version: str, *, knows_drafts: bool) -> None:
    bed.fake.version = version
    if not knows_drafts:
        bed.fake.misbehave("POST", "deploy$", refusal(400, 121, "unknown field: activate"))
    done = bed.deploy()
    assert done.code == 0, done.said
    assert ("not support drafts" in done.stderr) != knows_drafts


def test_unknown_fields_of_answers_are_ignored(bed: Bed) -> None:
    more = {"version": "2031.01.0", "new": {"deep": [1, None]}, "hostname": None}
    bed.fake.misbehave("GET", "server_settings$", Say(200, json.dumps(more).encode()))
    assert bed.deploy().code == 0


def test_a_change_that_is_redirected_to_https_is_explained(
    caller: Caller, fake: FakeConnect
) -> None:
    target = f"https://127.0.0.1:{fake.port}/__api__/v1/content"
    fake.misbehave("POST", "v1/content$", redirect(target, 308), times=9)
    done = caller.deploy()
    judge(done, fake, None, 0)
    assert done.code == 3
    assert f"Use https://127.0.0.1:{fake.port}" in done.stderr
