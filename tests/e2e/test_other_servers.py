"""Servers of other versions, servers that hide theirs, and keys that belong to nobody."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from support.faults import Drop, Say, html, redirect

if TYPE_CHECKING:
    from support.calling import Caller
    from support.fake_connect import FakeConnect

NOT_FOR_YOU = Say(403, b'{"code": 22, "error": "not for you"}')


def kinds(fake: FakeConnect) -> list[str]:
    """Return what was deployed (as a draft or not) and visited, in order."""
    found = []
    for request in fake.requests:
        if request.path.startswith("/content/"):
            found.append("visit draft" if "_bundle" in request.path else "visit")
        elif request.path.endswith("/deploy"):
            draft = json.loads(request.body).get("activate") is False
            found.append("draft" if draft else "activate")
    return found


FULL = ["draft", "visit draft", "activate", "visit"]


@pytest.mark.parametrize(
    ("version", "told", "steps"),
    [
        ("2025.07.0", None, FULL),
        ("2025.06.0", None, ["activate", "visit"]),
        ("2024.09.0", None, ["activate", "visit"]),
        ("2025.07.0", "2025.07.0", FULL),
        ("2025.06.0", "2025.06.0", ["activate", "visit"]),
        ("2025.06.0", "", FULL),
        ("2024.09.0", "", ["draft", "activate", "visit", "visit"]),
    ],
)
def test_each_version_is_deployed_to_as_it_can(
    version: str, told: str | None, steps: list[str], caller: Caller, fake: FakeConnect
) -> None:
    fake.version, fake.hides_version = version, told is not None
    caller.environ["CONNECT_SERVER_VERSION"] = told or ""
    done = caller.deploy()
    assert done.code == 0, done.said
    assert kinds(fake) == steps
    (content,) = fake.contents.values()
    assert content.bundle_id
    blamed = "before Connect 2025.07 drafts cannot be visited" in done.stderr
    assert blamed is (version == "2025.06.0" and told == "")


@pytest.mark.parametrize("told", [None, "", "2025.06.0"])
def test_a_draft_on_a_server_that_cannot_show_it_is_not_verified(
    told: str | None, caller: Caller, fake: FakeConnect
) -> None:
    fake.version, fake.hides_version = "2025.06.0", told is not None
    caller.environ["CONNECT_SERVER_VERSION"] = told or ""
    done = caller.deploy(draft=True)
    assert done.code == 0, done.said
    assert kinds(fake) == (["draft", "visit draft"] if told == "" else ["draft"])
    assert "not verified" in done.stderr
    (content,) = fake.contents.values()
    assert content.bundle_id is None
    assert ("/draft/" in done.stdout) is (told != "")


@pytest.mark.parametrize("hidden", [False, True])
def test_a_draft_is_not_activated_where_the_server_knows_none(
    caller: Caller, fake: FakeConnect, *, hidden: bool
) -> None:
    fake.version, fake.hides_version = "2024.09.0", hidden
    done = caller.deploy(draft=True)
    assert done.code == 3, done.said
    assert "does not support drafts" in done.stderr
    assert [c.bundle_id for c in fake.contents.values()] == ([None] if hidden else [])


def test_what_is_no_version_is_refused(caller: Caller, fake: FakeConnect) -> None:
    caller.environ["CONNECT_SERVER_VERSION"] = "newest"
    done = caller.deploy()
    said = "CONNECT_SERVER_VERSION is not a version of Connect: 'newest'"
    assert (done.code, said in done.stderr) == (2, True)
    caller.environ["CONNECT_SERVER"] = "http://elsewhere.example"
    of_another = caller.deploy(server=fake.url, api_key=fake.api_key)
    assert of_another.code == 0, of_another.said


def test_a_python_that_takes_no_new_bundles_is_not_planned_for(
    caller: Caller, fake: FakeConnect
) -> None:
    fake.pythons, fake.kept_pythons = ("3.11.7", "3.12.4"), ("3.11.7",)
    refused = caller.deploy()
    assert refused.code == 2
    assert "does not have Python 3.11; available: 3.12.4." in refused.stderr
    assert fake.contents == {}
    assert "3.11.7 (not for new bundles), 3.12.4" in caller.call("details").stdout


def test_what_connect_would_refuse_is_refused_before_anything_changes(
    caller: Caller, fake: FakeConnect
) -> None:
    content = fake.add_content("sales", app_mode="python-fastapi")
    content.fields = {"content_category": "site"}
    before = len(fake.requests)
    done = caller.deploy(app_id=content.guid, title="Another")
    assert done.code == 3
    assert "has category site, but this bundle has none" in done.stderr
    assert {r.method for r in fake.requests[before:]} == {"GET"}


@pytest.fixture
def principal(fake: FakeConnect) -> FakeConnect:
    """A server on which the key is a service principal's."""
    fake.user_role = None
    return fake


def test_a_key_without_a_user_deploys_and_looks(caller: Caller, principal: FakeConnect) -> None:
    first = caller.deploy()
    assert first.code == 0, first.said
    second = caller.deploy(json=True)
    assert second.code == 0, second.said
    (content,) = principal.contents.values()
    assert len(content.bundles) == 2
    assert "owner_guid" not in {key for r in principal.requests for key in r.query}
    named: dict[str, object] = {"app_id": content.guid}
    for command in ("info", "versions", "logs", "details"):
        done = caller.call(command, **({} if command == "details" else named))
        assert done.code == 0, (command, done.said)
        assert ("valid key without a user" in done.stdout) is (command in {"info", "details"})
    back = caller.call("rollback", bundle_id=min(content.bundles, key=int), **named)
    assert back.code == 0, back.said
    added = caller.call("add", name="ci", server=principal.url)
    assert (added.code, "valid key without a user" in added.stdout) == (0, True), added.said
    details = json.loads(caller.call("details", json=True).stdout)
    assert details["user"] is None


def test_a_key_without_a_user_finds_content_by_its_name(
    caller: Caller, principal: FakeConnect
) -> None:
    caller.environ["HOME"] = str(caller.folder / "elsewhere")
    mine = principal.add_content("sales", owner="somebody", role="editor")
    principal.add_content("sales", owner="somebody else", role="viewer")
    project = '[project]\nname = "sales"\n[tool.hatch-connect]\napp-mode = "fastapi"\n'
    (caller.folder / "pyproject.toml").write_text(f'{project}entrypoint = "app:app"\n')
    (caller.folder / "app.py").write_text("app = 1\n", encoding="utf-8")
    shown = caller.deploy(content="sales", dry_run=True)
    shown = caller.deploy(dry_run=True)
    assert shown.code == 0, shown.said
    assert mine.guid in shown.stdout
    assert "that this API key can edit" in shown.stderr
    principal.add_content("sales", owner="a third", role="owner")
    several = caller.deploy(dry_run=True)
    assert (several.code, "This API key can edit several" in several.stderr) == (2, True)


def test_a_bad_key_is_not_taken_for_one_without_a_user(caller: Caller, fake: FakeConnect) -> None:
    fake.misbehave("GET", "v1/user$", Say(403, b'{"code": 30, "error": "no"}'), times=9)
    assert caller.call("details").code == 3


@pytest.mark.parametrize(
    "fault", [NOT_FOR_YOU, html(500, "oops"), html(200, "log in"), Drop()], ids=str
)
def test_what_only_informs_never_aborts(
    fault: Say | Drop, caller: Caller, fake: FakeConnect
) -> None:
    assert caller.deploy().code == 0
    (content,) = fake.contents.values()
    fake.misbehave("GET", "repository$", fault, times=99)
    fake.misbehave("GET", "environment$", fault, times=99)
    assert caller.deploy().code == 0
    done = caller.call("info", app_id=content.guid, json=True)
    assert done.code == 0, done.said
    assert json.loads(done.stdout)["variables"] is None


def test_a_draft_leaves_variables_and_title_of_what_is_active(
    caller: Caller, fake: FakeConnect
) -> None:
    assert caller.deploy(title="First").code == 0
    (content,) = fake.contents.values()
    before = len(fake.requests)
    done = caller.deploy(draft=True, title="Second", environment=("TOKEN=other", "MORE=1"))
    assert done.code == 0, done.said
    assert not [r for r in fake.requests[before:] if r.method == "PATCH"]
    assert (content.title, set(content.environment)) == ("First", {"TOKEN"})
    for told in ("variable TOKEN", "variable MORE is not set, and it is new", "'Second'"):
        assert told in done.stderr


CODE = b'{"code": %d, "error": "no", "payload": null}'
# What answers a visit that did not reach the content, and what is said of it.
ELSEWHERE = {
    "another host": (redirect("https://sso.example/start?x=1"), "redirected to sso.example"),
    "login": (redirect("/__login__?url=x"), "ended at /__login__"),
    "dashboard": (redirect("/connect/#/login"), "ended at /connect/"),
    "a proxy's login": (redirect("/oauth2/sign_in"), "ended at /oauth2/sign_in"),
    "circles": (redirect("?again"), "in a loop"),
    "Connect's 401": (Say(401, CODE % 24), "Connect itself answered 401 (code 24)"),
    "Connect's 403": (Say(403, CODE % 22), "Connect itself answered 403 (code 22)"),
    "Connect's 404": (Say(404, CODE % 4), "Connect itself answered 404 (code 4)"),
}
ALIVE = {
    "own sign-in": Say(401, b'{"detail": "no token"}'),
    "own code": Say(403, b'{"code": 403, "error": "no token"}'),
    "nothing at /": html(404, "nope"),
    "own login page": redirect("login"),
    "a page of its own": redirect("/content/x/../../docs"),
}


@pytest.mark.parametrize("reason", ELSEWHERE)
def test_a_visit_that_did_not_reach_the_content_verifies_nothing(
    reason: str, caller: Caller, fake: FakeConnect
) -> None:
    fault, told = ELSEWHERE[reason]
    fake.misbehave("GET", "^/content/", fault, times=99)
    done = caller.deploy(json=True)
    assert done.code == 0, done.said
    assert told in done.stderr
    assert "not verified" in done.stderr
    assert " answered 30" not in done.stderr
    assert json.loads(done.stdout)["answer"]["verified"] is False


@pytest.mark.parametrize("reason", ALIVE)
def test_an_answer_of_the_content_itself_verifies_it(
    reason: str, caller: Caller, fake: FakeConnect
) -> None:
    fake.misbehave("GET", r"^/content/[^/]+/(_bundle\d+/)?$", ALIVE[reason], times=99)
    done = caller.deploy(json=True)
    assert done.code == 0, done.said
    assert "not verified" not in done.stderr
    assert json.loads(done.stdout)["answer"]["verified"] is True
