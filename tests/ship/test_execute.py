"""Plans carried out by the real client against a server on 127.0.0.1."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import pytest
from support.fake_bundle import Reply
from support.fake_connect import Do, FakeConnect, Say, html, redirect
from support.fake_content import FakeJob, FakeTask
from support.sample_bundle import sample_bundle

from hatch_connect.connect.client import ConnectClient
from hatch_connect.connect.credentials import ApiKey
from hatch_connect.connect.servers import Server
from hatch_connect.errors import (
    AnswerError,
    ContentError,
    DeploymentFailedError,
    HatchConnectError,
    NotAnsweringError,
    RefusedError,
    UsageError,
    facts_of,
)
from hatch_connect.events import LogLine, Note, Step, silent
from hatch_connect.secret import Secret
from hatch_connect.ship.execute import Execution
from hatch_connect.ship.find import ContentMatch, ContentReference, find_content
from hatch_connect.ship.follow import TaskPolling, follow
from hatch_connect.ship.history import RecordKeeper
from hatch_connect.ship.plan import Upload, make_plan
from hatch_connect.ship.request import DeploymentRequest, ServerFacts
from hatch_connect.ship.variables import Variables

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from support.fake_content import FakeContent

    from hatch_connect.connect.resources import Content
    from hatch_connect.events import Event
    from hatch_connect.ship.state import Deployment


class Clock:
    """A clock that only moves when somebody sleeps, or looks at it."""

    def __init__(self, *, tick: float = 0.0) -> None:
        self.time = 0.0
        self.tick = tick
        self.slept: list[float] = []

    def now(self) -> float:
        self.time += self.tick
        return self.time

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.time += seconds

    def polling(self, timeout: float = 60.0) -> TaskPolling:
        return TaskPolling(now=self.now, sleep=self.sleep, timeout=timeout)


@pytest.fixture
def server() -> Iterator[FakeConnect]:
    with FakeConnect() as fake:
        yield fake


def client_of(fake: FakeConnect) -> ConnectClient:
    found = Server(url=fake.url, credential=ApiKey(Secret(fake.api_key)), source="a test")
    return ConnectClient(found, environ={}, report=silent)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample(DeploymentRequest):
    """A deployment of an archive that is there already."""

    archive: Path

    @property
    def upload(self) -> Upload:
        return Upload(archive=self.archive, size=self.archive.stat().st_size, identity="1")


def wanted(folder: Path) -> Sample:
    return Sample(
        archive=sample_bundle(folder / "sales.tar.gz"),
        app_mode="python-fastapi",
        name="sales",
        title=None,
        default_title="Sales",
        variables=Variables(values={"TOKEN": Secret("hunter2")}),
    )


def ship(fake: FakeConnect, what: Sample, events: list[Event] | None = None) -> Deployment:
    client = client_of(fake)
    found = ServerFacts(
        located=find_content(client, client.me(), ContentReference(name=what.name)),
        settings=client.server_settings(),
        pythons=None,
        variable_names=frozenset(),
    )
    report = silent if events is None else events.append
    keeper = RecordKeeper(None, fake.url, None, report)
    plan = make_plan(what, found, what.upload)
    return Execution(client, report, Clock().polling(), keeper).run(plan)


def steps(fake: FakeConnect) -> list[str]:
    """Return the calls that change something, without GUIDs."""
    calls = [c for c in fake.calls() if not c.startswith("GET")]
    return [c.replace(guid, "G") for c in calls for guid in fake.contents]


def only(fake: FakeConnect) -> FakeContent:
    [content] = fake.contents.values()
    return content


def test_new_content_is_made_in_the_established_order(server: FakeConnect, tmp_path: Path) -> None:
    events: list[Event] = []
    done = ship(server, wanted(tmp_path), events)
    assert steps(server) == [
        "POST v1/content",
        "PATCH v1/content/G/environment",
        "POST v1/content/G/bundles",
        "POST v1/content/G/deploy",
        "POST v1/content/G/deploy",
    ]
    content = only(server)
    assert done.created
    assert done.active
    assert done.bundle_id == content.bundle_id
    assert (content.title, content.environment) == ("Sales", {"TOKEN": "hunter2"})
    assert [e.text for e in events if isinstance(e, LogLine)] == ["Building...", "Launching..."] * 2
    assert "hunter2" not in repr(events)
    assert done.answer is not None
    assert done.answer.status == 200


def test_a_second_deployment_updates_the_first(server: FakeConnect, tmp_path: Path) -> None:
    first = ship(server, wanted(tmp_path))
    second = ship(server, replace(wanted(tmp_path), variables=Variables(values={})))
    assert second.previous_bundle_id == first.bundle_id
    assert not second.created
    assert only(server).environment == {"TOKEN": "hunter2"}


def test_a_draft_leaves_what_is_active(server: FakeConnect, tmp_path: Path) -> None:
    first = ship(server, wanted(tmp_path))
    draft = ship(server, replace(wanted(tmp_path), draft=True))
    assert not draft.active
    assert only(server).bundle_id == first.bundle_id
    bodies = [json.loads(r.body) for r in server.requests if str(r).endswith("/deploy")]
    assert bodies[-1] == {"bundle_id": draft.bundle_id, "activate": False}


def test_a_task_that_fails_leaves_what_is_active_and_says_so(
    server: FakeConnect, tmp_path: Path
) -> None:
    first = ship(server, wanted(tmp_path))
    server.next_task = FakeTask(code=1, error="pip failed", lines=("no such package",))
    with pytest.raises(DeploymentFailedError, match="pip failed") as caught:
        ship(server, wanted(tmp_path))
    [note] = caught.value.__notes__
    assert f"bundle {first.bundle_id} is still active" in note
    assert "(set TOKEN)" in note
    assert "/draft/" in str(caught.value.hint)
    assert only(server).bundle_id == first.bundle_id


def test_a_server_that_matches_python_exactly_is_explained(
    server: FakeConnect, tmp_path: Path
) -> None:
    error = "Cannot find compatible environment: no compatible Local environment with Python 3.11.0"
    server.next_task = FakeTask(code=1, error=error)
    with pytest.raises(DeploymentFailedError) as caught:
        ship(server, wanted(tmp_path))
    assert "--python-version X.Y.Z" in str(caught.value.hint)


def test_a_draft_that_does_not_answer_is_not_activated(server: FakeConnect, tmp_path: Path) -> None:
    server.page = Reply(500, b"Internal Server Error", "text/plain")
    with pytest.raises(NotAnsweringError, match="500: Internal Server Error"):
        ship(server, wanted(tmp_path))
    assert only(server).bundle_id is None


_HELP = "https://docs.example.com/errors"
_BROKEN = ["Traceback (most recent call last):", "  File 'a'", "ImportError: no x", "exit status 1"]


def _fails(server: FakeConnect, tmp_path: Path, error: type[HatchConnectError]) -> list[str]:
    """Ship a bundle that fails, and return what is shown of its log, then the hint."""
    events: list[Event] = []
    with pytest.raises(error) as caught:
        ship(server, wanted(tmp_path), events)
    assert facts_of(caught.value)["job"] == "of-the-new"
    said = {"code": "import", "summary": "A package is missing.", "help_url": _HELP}
    assert facts_of(caught.value)["diagnosis"] == said
    log = [e.text for e in events if isinstance(e, LogLine)]
    assert facts_of(caught.value)["log"] == log[-20:]
    return [*log, *str(caught.value.hint).splitlines()]


def _jobs(bundle: str) -> dict[str, list[str] | FakeJob]:
    said = {"code": "import", "summary": "A package is missing.", "help_url": _HELP}
    return {
        "of-another": FakeJob(["of another"], bundle_id="1", exit_code=1),
        "of-the-new": FakeJob(_BROKEN, bundle_id=bundle, exit_code=1, diagnosis=said),
        "not-begun": FakeJob([], bundle_id=bundle),
        "of-the-active": FakeJob(["all is well"], bundle_id="2"),
    }


_SHOWN = [
    *_BROKEN[:-1],
    f"Connect's diagnosis: A package is missing. See {_HELP}",
]


def test_a_draft_that_does_not_answer_shows_its_own_log(
    server: FakeConnect, tmp_path: Path
) -> None:
    ship(server, wanted(tmp_path))
    server.page = Reply(500, b"", "text/html")
    only(server).jobs = _jobs("5")
    *shown, logs = _fails(server, tmp_path, NotAnsweringError)
    assert max(only(server).bundles, key=int) == "5"
    assert shown[-4:] == _SHOWN
    assert "all is well" not in shown
    assert logs == f"Logs: {server.url}/connect/#/apps/{only(server).guid}/draft/5"


def test_active_content_that_does_not_answer_shows_the_log_of_its_bundle(
    server: FakeConnect, tmp_path: Path
) -> None:
    ship(server, wanted(tmp_path))
    server.version = "2024.09.0"  # without drafts
    server.page = Reply(502, b"", "text/html")
    only(server).jobs = _jobs("5")
    *shown, logs = _fails(server, tmp_path, NotAnsweringError)
    assert only(server).bundle_id == "5"
    assert shown[-4:] == _SHOWN
    assert logs == f"Logs: {server.url}/connect/#/apps/{only(server).guid}/logs"


def test_a_failed_task_shows_the_log_of_its_job_unless_it_did_itself(
    server: FakeConnect, tmp_path: Path
) -> None:
    ship(server, wanted(tmp_path))
    only(server).jobs = _jobs("5")
    server.next_task = FakeTask(lines=("Restoring",), code=1, error="exit status 1")
    *shown, _ = _fails(server, tmp_path, DeploymentFailedError)
    assert shown == ["Restoring", *_SHOWN]

    only(server).jobs = _jobs("7")
    itself = ("Restoring", *(f"2026/11/26 12:00:00 {line}" for line in _BROKEN))
    server.next_task = FakeTask(lines=itself, code=1, error="exit status 1")
    *shown, _ = _fails(server, tmp_path, DeploymentFailedError)
    assert shown == [*itself, _SHOWN[-1]]


@pytest.mark.parametrize("path", ["jobs$", "/log$", "/error$"])
def test_logs_that_cannot_be_read_do_not_hide_the_failure(
    server: FakeConnect, tmp_path: Path, path: str
) -> None:
    server.page = Reply(500, b"broken", "text/plain")
    server.misbehave("GET", path, Say(500, b"{}"), times=99)
    server.misbehave("GET", "_bundle", Do(lambda: only(server).jobs.update(k=FakeJob(["one"]))))
    events: list[Event] = []
    with pytest.raises(NotAnsweringError, match="500: broken"):
        ship(server, wanted(tmp_path), events)
    shown = [e.text for e in events if isinstance(e, LogLine)]
    assert ("one" in shown) == (path == "/error$")


def test_a_page_that_is_not_there_counts_as_an_answer(server: FakeConnect, tmp_path: Path) -> None:
    server.page = Reply(404, b'{"detail": "Not Found"}')
    assert ship(server, wanted(tmp_path)).active


def test_an_old_server_gets_no_unknown_field(server: FakeConnect, tmp_path: Path) -> None:
    server.version = "2024.09.0"
    assert ship(server, wanted(tmp_path)).active
    assert json.loads(server.last("POST .*/deploy").body).keys() == {"bundle_id"}


def test_a_server_that_hides_its_age_is_asked_for_a_draft(
    server: FakeConnect, tmp_path: Path
) -> None:
    server.version = ""
    events: list[Event] = []
    unknown = b'{"code": 121, "error": "unknown field: activate", "payload": null}'
    server.misbehave("POST", "/deploy$", Say(400, unknown))
    assert ship(server, wanted(tmp_path), events).active
    notes = [e.text for e in events if isinstance(e, Note)]
    assert any("not support drafts" in text for text in notes)


def test_what_does_not_answer_after_activation_names_the_way_back(
    server: FakeConnect, tmp_path: Path
) -> None:
    first = ship(server, wanted(tmp_path))
    server.version = "2024.09.0"
    server.page = Reply(502, b"", "text/html")
    with pytest.raises(NotAnsweringError) as caught:
        ship(server, wanted(tmp_path))
    assert f"({first.bundle_id} was active before)" in caught.value.__notes__[0]
    assert f"To roll back: hatch-connect rollback {first.bundle_id}" in caught.value.__notes__[0]


def test_a_refused_upload_says_what_remains(server: FakeConnect, tmp_path: Path) -> None:
    what = wanted(tmp_path)
    what.archive.write_bytes(b"no archive")
    with pytest.raises(RefusedError) as caught:
        ship(server, what)
    assert "was created" in caught.value.__notes__[0]


@pytest.mark.parametrize(
    ("kind", "text", "told"),
    [
        (LogLine, "Building", "bundle 2 was uploaded but not activated."),
        (Step, "Created content", " was created."),
    ],
)
def test_an_interruption_says_what_remains(
    server: FakeConnect, tmp_path: Path, kind: type[Step | LogLine], text: str, told: str
) -> None:
    def interrupt(event: Event) -> None:
        if isinstance(event, kind) and event.text.startswith(text):
            raise KeyboardInterrupt

    client = client_of(server)
    located = ContentMatch(content=None, because="new")
    found = ServerFacts(
        settings=client.server_settings(),
        located=located,
        pythons=None,
        variable_names=frozenset(),
    )
    what = wanted(tmp_path)
    plan = make_plan(what, found, what.upload)
    with pytest.raises(KeyboardInterrupt) as caught:
        Execution(
            client, interrupt, Clock().polling(), RecordKeeper(None, server.url, None, silent)
        ).run(plan)
    assert f"{told} To continue, deploy again" in caught.value.__notes__[0]


def test_an_interruption_after_the_last_step_says_that_nothing_is_left(
    server: FakeConnect, tmp_path: Path
) -> None:
    class Late(RecordKeeper):
        def finished(self, content: Content) -> None:
            super().finished(content)
            raise KeyboardInterrupt

    client = client_of(server)
    located = ContentMatch(content=None, because="new")
    found = ServerFacts(
        settings=client.server_settings(),
        located=located,
        pythons=None,
        variable_names=frozenset(),
    )
    what = wanted(tmp_path)
    keeper = Late(None, server.url, None, silent)
    plan = make_plan(what, found, what.upload)
    with pytest.raises(KeyboardInterrupt) as caught:
        Execution(client, silent, Clock().polling(), keeper).run(plan)
    assert caught.value.__notes__[0].endswith("bundle 2 is active. There is nothing left to do.")


def test_nothing_is_said_to_remain_where_nothing_was_done(
    server: FakeConnect, tmp_path: Path
) -> None:
    server.misbehave("POST", "v1/content$", html(403, "no"), times=9)
    with pytest.raises(RefusedError) as caught:
        ship(server, wanted(tmp_path))
    assert caught.value.__notes__ == [
        "Nothing was changed on the server. To continue, deploy again."
    ]


def test_each_line_of_a_long_log_is_shown_once(server: FakeConnect) -> None:
    lines = tuple(f"line {n}" for n in range(2000))
    server.tasks["long"] = FakeTask(lines=lines, polls=4)
    events: list[Event] = []
    clock = Clock()
    status = follow(client_of(server), "long", events.append, clock.polling())
    assert [e.text for e in events if isinstance(e, LogLine)] == list(lines)
    assert status is not None
    assert status.code == 0
    assert clock.slept


def task_says(lines: list[str], *, last: int, finished: bool = False) -> Say:
    told = {"id": "long", "output": lines, "last": last, "finished": finished, "code": 0}
    return Say(200, json.dumps(told).encode())


def test_no_line_is_lost_or_shown_twice_where_a_server_goes_back(server: FakeConnect) -> None:
    for said in (
        task_says(["one", "two"], last=2),
        task_says([], last=0),  # another server of a cluster, which knows nothing yet
        task_says(["three"], last=3),
        task_says([], last=1),
        task_says(["four"], last=4, finished=True),
    ):
        server.misbehave("GET", "v1/tasks/", said)
    events: list[Event] = []
    follow(client_of(server), "long", events.append, Clock().polling())
    shown = [e.text for e in events if isinstance(e, LogLine)]
    assert shown == ["one", "two", "three", "four"]
    assert [r.query["first"] for r in server.requests] == ["0", "2", "2", "3", "3"]


# Each answers at once, and the client itself does not ask again.
SILENT = [html(200, "<h1>Maintenance</h1>"), Say(200, b"")]


@pytest.mark.parametrize("fault", SILENT, ids=["page", "nothing"])
@pytest.mark.parametrize("slow", [False, True])
def test_half_a_minute_of_silence_is_borne(server: FakeConnect, fault: Say, *, slow: bool) -> None:
    server.tasks["long"] = FakeTask()
    server.misbehave("GET", "v1/tasks/", fault, times=3 if slow else 30)
    events: list[Event] = []
    clock = Clock(tick=4.0 if slow else 0.0)
    status = follow(client_of(server), "long", events.append, clock.polling())
    assert status is not None
    assert status.finished
    assert len([e for e in events if isinstance(e, Note)]) == 1
    assert clock.time >= (12 if slow else 30)


@pytest.mark.parametrize("fault", SILENT, ids=["page", "nothing"])
@pytest.mark.parametrize("slow", [False, True])
def test_a_longer_silence_is_not(server: FakeConnect, fault: Say, *, slow: bool) -> None:
    server.tasks["long"] = FakeTask()
    server.misbehave("GET", "v1/tasks/", fault, times=999)
    clock = Clock(tick=20.0 if slow else 0.0)
    with pytest.raises(AnswerError):
        follow(client_of(server), "long", silent, clock.polling())
    assert len(server.requests) == (2 if slow else 31)


def test_a_task_may_not_take_for_ever(server: FakeConnect) -> None:
    server.tasks["slow"] = FakeTask(polls=10_000)
    with pytest.raises(DeploymentFailedError, match="30 seconds"):
        follow(client_of(server), "slow", silent, Clock(tick=1.0).polling(timeout=30.0))


def test_content_of_others_that_one_may_edit_is_found(server: FakeConnect) -> None:
    shared = server.add_content("sales", owner="somebody", role="editor")
    client = client_of(server)
    located = find_content(client, client.me(), ContentReference(name="sales"))
    assert located.content is not None
    assert located.content.guid == shared.guid
    assert "belongs to someone else" in located.because
    server.add_content("sales", owner="somebody else", role="editor")
    with pytest.raises(UsageError, match=shared.guid):
        find_content(client, client.me(), ContentReference(name="sales"))


def test_content_is_found_by_number_and_by_guid(server: FakeConnect) -> None:
    content = server.add_content("other")
    client = client_of(server)
    for app_id in (content.id, content.guid):
        located = find_content(client, client.me(), ContentReference(app_id=app_id, name="sales"))
        assert located.content is not None
        assert located.content.guid == content.guid


@pytest.mark.parametrize("clue", ["app_id", "guid"])
def test_content_that_is_named_and_gone_is_not_replaced_in_silence(
    server: FakeConnect, clue: str
) -> None:
    client = client_of(server)
    known = ContentReference(recorded_in="r.json", name="sales")
    gone = {clue: "25438b83-ea6d-4839-ae8e-53c52ac5f9ce"}
    with pytest.raises(ContentError, match="25438b83"):
        find_content(client, client.me(), replace(known, **gone))  # type: ignore[arg-type] # either


FOR_EVER = 10**6


@pytest.mark.parametrize("code", [4, 141])
def test_a_task_that_a_balancer_loses_for_a_while_is_followed_to_its_end(
    server: FakeConnect, tmp_path: Path, code: int
) -> None:
    server.lost_polls, server.lost_code = 9, code
    events: list[Event] = []
    assert ship(server, wanted(tmp_path), events).active
    assert [e.text for e in events if isinstance(e, LogLine)] == ["Building...", "Launching..."] * 2
    assert sum("does not know task" in e.text for e in events if isinstance(e, Note)) == 1


def test_a_task_that_is_lost_for_ever_is_settled_by_what_the_server_holds(
    server: FakeConnect, tmp_path: Path
) -> None:
    server.lost_polls = FOR_EVER
    server.misbehave("GET", "_bundle", html(404, "not yet"), times=5)
    done = ship(server, wanted(tmp_path))
    assert done.active
    assert only(server).bundle_id == done.bundle_id


@pytest.mark.parametrize("page", [None, redirect("https://sso.example/"), html(404, "nothing")])
def test_a_draft_whose_task_is_lost_is_not_activated_unless_it_answers(
    server: FakeConnect, tmp_path: Path, page: Say | None
) -> None:
    before = ship(server, wanted(tmp_path)).bundle_id
    server.lost_polls = FOR_EVER
    if page:
        server.misbehave("GET", "_bundle", page, times=99)
    else:  # the task fails on the machine that nobody asks
        server.next_task = FakeTask(code=1)
    with pytest.raises(DeploymentFailedError, match="not clear whether") as caught:
        ship(server, wanted(tmp_path))
    assert "sticky sessions" in (caught.value.hint or "")
    assert only(server).bundle_id == before
    (note,) = caught.value.__notes__
    assert "has not finished" in note


def test_a_draft_that_is_not_visited_and_whose_task_is_lost_is_not_said_to_be_there(
    server: FakeConnect, tmp_path: Path
) -> None:
    server.lost_polls = FOR_EVER
    with pytest.raises(DeploymentFailedError, match="The draft was not visited"):
        ship(server, replace(wanted(tmp_path), draft=True, verify=None))


def test_a_draft_whose_task_is_lost_and_that_does_not_start_does_not_answer(
    server: FakeConnect, tmp_path: Path
) -> None:
    server.lost_polls = FOR_EVER
    server.page = Reply(500, b"", "text/html")
    with pytest.raises(NotAnsweringError):
        ship(server, wanted(tmp_path))


@pytest.mark.parametrize("looks", [1, FOR_EVER])
def test_an_activation_whose_task_is_lost_is_looked_for_more_than_once(
    server: FakeConnect, tmp_path: Path, looks: int
) -> None:
    def lose() -> None:
        server.lost_polls = FOR_EVER
        server.next_task = FakeTask(polls=FOR_EVER)

    server.misbehave("POST", "deploy$", Do(lose), skip=1)
    what = wanted(tmp_path)
    clock = Clock()
    client = client_of(server)
    found = ServerFacts(
        located=ContentMatch(content=None, because="new"),
        settings=client.server_settings(),
        pythons=None,
        variable_names=frozenset(),
    )

    def sleep(seconds: float) -> None:
        clock.sleep(seconds)
        content = only(server)
        if server.lost_polls <= FOR_EVER - 15 and looks == 1:
            content.bundle_id = max(content.bundles, key=int)

    polling = TaskPolling(now=clock.now, sleep=sleep, timeout=3600.0)
    execution = Execution(client, silent, polling, RecordKeeper(None, server.url, None, silent))
    if looks == 1:
        assert execution.run(make_plan(what, found, what.upload)).active
        return
    with pytest.raises(DeploymentFailedError, match="is not active yet") as caught:
        execution.run(make_plan(what, found, what.upload))
    assert "sticky sessions" in (caught.value.hint or "")
    assert "has not finished" in caught.value.__notes__[0]


def test_a_lost_task_is_not_asked_for_longer_than_a_task_may_take(server: FakeConnect) -> None:
    clock = Clock()
    assert follow(client_of(server), "none", silent, clock.polling(timeout=10.0)) is None
    assert 10 < clock.time < 20
    clock = Clock()
    assert follow(client_of(server), "none", silent, clock.polling(timeout=3600.0)) is None
    assert 50 < clock.time < 70
