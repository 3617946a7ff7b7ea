"""Declared settings: when each is applied, what is put back, and what nobody may take away."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
from support.fake_content import FakeTask
from support.faults import Do, Drop, Fault, LoseAnswer, Say, html

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from support.calling import Called, Caller
    from support.fake_connect import FakeConnect
    from support.fake_content import FakeContent
    from support.sandbox import Sandbox

pytestmark = pytest.mark.sweep

TABLE = '[tool.hatch-connect]\napp-mode = "fastapi"\nentrypoint = "app:app"\nexclude = ["*.toml"]\n'
ALL = """
description = "Sales figures"
access = "acl"
viewers = ["group:analysts", "ann"]
collaborators = ["bob"]
vanity-path = "/sales/"
tags = ["Department/Finance"]
thumbnail = "picture.png"
integrations = ["Databricks"]
min-processes = 1
max-processes = 4
memory-limit = "2 GiB"
"""
PICTURE = b"\x89PNG\r\n\x1a\n picture"
CONTENT = r"v1/content/[0-9a-f-]{36}"


def write(root: Path, settings: str, *, app: str = "async def app(*_): ...\n") -> None:
    table = f"{TABLE}[tool.hatch-connect.settings]\n{settings}" if settings else TABLE
    (root / "pyproject.toml").write_text(table, encoding="utf-8")
    (root / "app.py").write_text(app, encoding="utf-8")


@dataclass(kw_only=True)
class Bed:
    """A project, and a server with people, tags and an integration."""

    caller: Caller
    fake: FakeConnect
    root: Path

    def declare(self, settings: str, *, changed: bool = True) -> None:
        """Declare these settings, and change the app as well, so that it is uploaded."""
        app = f"# {len(self.fake.requests)}\nasync def app(*_): ...\n"
        before = (self.root / "app.py").read_text(encoding="utf-8")
        write(self.root, settings, app=app if changed else before)

    def deploy(self, **options: object) -> Called:
        self.fake.settings.audit.clear()
        self.fake.requests.clear()
        done = self.caller.call("deploy", directory=str(self.root), **options)
        assert "Traceback" not in done.said
        return done

    @property
    def content(self) -> FakeContent:
        (content,) = self.fake.contents.values()
        return content

    @property
    def writes(self) -> list[str]:
        """What was changed, by the last part of each path, with fields and roles."""
        return [self._shown(line) for line in self.fake.settings.audit]

    def _shown(self, line: str) -> str:
        for each in (self.fake.settings.users, self.fake.settings.groups or {}):
            for guid, known in each.items():
                line = line.replace(guid, str(known.get("username", known.get("name"))))
        return line

    def order(self) -> list[str]:
        """Return the requests that change something, without the path of the content."""
        calls = [call for call in self.fake.calls() if not call.startswith("GET")]
        return [call.replace(self.content.guid, "G").replace("v1/content/G", "") for call in calls]

    def who(self) -> dict[str, str]:
        """Return who may do what, by name."""
        people = {**self.fake.settings.users, **(self.fake.settings.groups or {})}
        return {
            str(
                people[p["principal_guid"]].get("username", people[p["principal_guid"]].get("name"))
            ): p["role"]
            for p in self.content.permissions
        }

    def settle(self, settings: str = "") -> None:
        """Deploy once, without a fault."""
        write(self.root, settings)
        done = self.deploy()
        assert done.code == 0, done.said


@pytest.fixture
def bed(caller: Caller, fake: FakeConnect) -> Bed:
    root = caller.folder / "sales"
    root.mkdir()
    write(root, "")
    (root / "requirements.txt").write_text("starlette==0.45.0\n", encoding="utf-8")
    (root / ".python-version").write_text("3.12\n", encoding="utf-8")
    (root / "picture.png").write_bytes(PICTURE)
    for name in ("ann", "bob", "eve"):
        fake.settings.add_user(name)
    fake.settings.add_group("analysts")
    fake.settings.add_tag("Department/Finance")
    fake.settings.add_tag("Department/Sales")
    fake.settings.add_integration("Databricks")
    return Bed(caller=caller, fake=fake, root=root)


def test_new_content_is_protected_before_anything_is_uploaded(bed: Bed) -> None:
    write(bed.root, ALL)
    done = bed.deploy()
    assert done.code == 0, done.said
    assert bed.order() == [
        "POST v1/content",
        "PATCH ",
        "PUT /oauth/integrations/associations",
        "POST /permissions",
        "POST /permissions",
        "POST /permissions",
        "POST /bundles",
        "POST /deploy",
        "POST /deploy",
        "PATCH ",
        "PUT /vanity",
        "POST /tags",
        "PUT /thumbnail",
    ]
    assert bed.who() == {"analysts": "viewer", "ann": "viewer", "bob": "owner"}
    content = bed.content
    assert (content.vanity, content.thumbnail, content.tags) == ("/sales/", PICTURE, {"1", "2"})
    assert content.fields["access_type"] == "acl"
    assert content.fields["memory_limit"] == 2 << 30
    assert "send_email" not in str([request.body for request in bed.fake.requests])


def test_content_that_was_not_protected_is_protected_before_it_is_tried_again(bed: Bed) -> None:
    write(bed.root, ALL)
    bed.fake.misbehave("PATCH", f"{CONTENT}$", FAULTS["refused"])
    assert bed.deploy().code == 3
    bed.content.fields["access_type"] = "all"
    done = bed.deploy()
    assert done.code == 0, done.said
    order = bed.order()
    early = order[: order.index("POST /bundles")]
    assert early == ["PATCH ", "PUT /oauth/integrations/associations", *["POST /permissions"] * 3]


def test_what_is_as_declared_is_not_set_again(bed: Bed) -> None:
    bed.settle(ALL)
    done = bed.deploy(json=True)
    assert (done.code, bed.writes) == (0, []), done.said
    assert json.loads(done.stdout)["settings"] == []
    assert "Nothing to upload" in done.stderr


def test_an_update_sets_what_starts_it_before_and_the_rest_after(bed: Bed) -> None:
    bed.settle()
    bed.declare(ALL)
    bed.content.fields["access_type"] = "logged_in"
    done = bed.deploy(json=True)
    assert done.code == 0, done.said
    assert bed.order() == [
        "POST /bundles",
        "PATCH ",
        "PUT /oauth/integrations/associations",
        "POST /deploy",
        "POST /permissions",
        "POST /permissions",
        "POST /permissions",
        "PATCH ",
        "POST /deploy",
        "PATCH ",
        "PUT /vanity",
        "POST /tags",
        "PUT /thumbnail",
    ]
    changes = {(c["key"], c["before"], c["after"]) for c in json.loads(done.stdout)["settings"]}
    assert ("access", "logged-in", "acl") in changes
    assert ("memory-limit", "the server's default", "2 GiB") in changes
    assert ("viewers", None, "group:analysts") in changes


def test_an_unchanged_bundle_gets_its_settings_and_starts_again_if_it_must(bed: Bed) -> None:
    bed.settle()
    bed.declare('description = "Sales"', changed=False)
    assert "Nothing to upload" in bed.deploy().stderr
    assert bed.order() == ["PATCH "]
    bed.declare('description = "Sales"\nmemory-limit = "1 GiB"', changed=False)
    assert bed.deploy().code == 0
    assert bed.order() == ["PATCH ", "POST /deploy"]
    assert bed.content.fields["memory_limit"] == 1 << 30


@pytest.mark.parametrize("end", ["failed", "refused", "no answer"])
def test_an_unchanged_bundle_that_does_not_start_again_gets_them_back(bed: Bed, end: str) -> None:
    bed.settle(BEFORE)
    before = state_of(bed)
    bed.declare(ALL, changed=False)
    if end == "failed":
        bed.fake.next_task = FakeTask(code=1, error="no memory")
    elif end == "refused":
        bed.fake.misbehave("POST", "/deploy$", Say(403, b'{"code": 22, "error": "no"}'))
    else:
        bed.fake.misbehave("GET", "^/content/[^_]*$", html(500, "<h1>broken</h1>"), times=99)
    done = bed.deploy(allow_removals=True)
    assert done.code == {"failed": 4, "refused": 3, "no answer": 5}[end], done.said
    assert state_of(bed) == before
    bed.fake.recover()
    assert bed.deploy(allow_removals=True).code == 0
    assert bed.content.fields["memory_limit"] == 2 << 30


def test_a_draft_changes_no_setting(bed: Bed) -> None:
    bed.settle()
    bed.declare(ALL)
    done = bed.deploy(draft=True)
    assert (done.code, bed.writes) == (0, []), done.said
    assert "declared settings are not applied" in done.stderr
    assert bed.order() == ["POST /bundles", "POST /deploy"]


def test_a_rollback_changes_no_setting(bed: Bed) -> None:
    bed.settle()
    bed.declare(ALL)
    assert bed.deploy().code == 0
    bed.fake.settings.audit.clear()
    bed.content.fields["description"] = "by hand"
    done = bed.caller.call("rollback", directory=str(bed.root))
    assert (done.code, bed.writes) == (0, []), done.said


def test_without_a_table_nothing_more_is_asked(bed: Bed) -> None:
    bed.settle()
    bed.declare("")
    assert bed.deploy().code == 0
    draft = f"_bundle{bed.content.bundle_id}"
    calls = [
        call.replace(bed.content.guid, "G").replace(draft, "DRAFT") for call in bed.fake.calls()
    ]
    asked = {call for call in calls if call.startswith("GET") and "tasks" not in call}
    assert asked == {
        "GET server_settings",
        "GET v1/user",
        "GET v1/content/G",
        "GET v1/server_settings/python",
        "GET v1/content/G/repository",
        "GET /content/G/DRAFT/",
        "GET /content/G/",
    }


def test_a_server_without_drafts_gets_everything_before(bed: Bed) -> None:
    bed.fake.version = "2025.05.0"
    bed.settle()
    bed.declare(ALL.replace("integrations", "# "))
    assert bed.deploy().code == 0
    assert bed.order()[-1] == "POST /deploy"
    assert bed.order().count("POST /deploy") == 1


def test_a_server_that_turns_out_to_have_no_drafts_gets_everything_before(bed: Bed) -> None:
    bed.fake.version, bed.fake.hides_version = "2025.05.0", True
    bed.settle()
    bed.declare('access = "all"\nmemory-limit = "1 GiB"')
    assert bed.deploy().code == 0
    assert bed.order() == [
        "POST /bundles",
        "PATCH ",
        "POST /deploy",
        "PATCH ",
        "POST /deploy",
    ]
    assert bed.content.fields["access_type"] == "all"


@pytest.mark.parametrize("version", ["2026.06.0", "2025.05.0", "hidden 2025.05.0"])
def test_a_draft_that_fails_gives_its_memory_back(bed: Bed, version: str) -> None:
    bed.fake.hides_version = version.startswith("hidden")
    bed.fake.version = version.removeprefix("hidden ")
    bed.settle('memory-limit = "1 GiB"\nmin-processes = 1')
    bed.declare('memory-limit = "2 GiB"\nmin-processes = 2')
    bed.fake.next_task = FakeTask(code=1, error="it ran out of memory")
    active = bed.content.bundle_id
    done = bed.deploy()
    assert done.code == 4, done.said
    assert bed.content.bundle_id == active
    assert bed.content.fields["memory_limit"] == 1 << 30
    assert bed.content.fields["min_processes"] == 1
    assert "restored (memory-limit 1 GiB -> 2 GiB" in done.stderr


def test_a_draft_that_does_not_answer_gives_everything_back(bed: Bed) -> None:
    bed.settle('access = "logged-in"\nviewers = ["eve"]')
    before = bed.content.fields["access_type"], bed.who()
    bed.declare('access = "acl"\nviewers = ["ann"]\nmemory-limit = "2 GiB"')
    bed.fake.misbehave("GET", r"_bundle\d+/", html(500, "<h1>broken</h1>"), times=99)
    done = bed.deploy(allow_removals=True)
    assert done.code == 5, done.said
    assert bed.content.fields["memory_limit"] is None
    assert (bed.content.fields["access_type"], bed.who()) == before


@pytest.mark.parametrize("restarts", [False, True])
def test_what_was_narrowed_is_widened_again_if_the_activation_fails(
    bed: Bed, *, restarts: bool
) -> None:
    bed.settle('access = "logged-in"\nviewers = ["eve", "bob"]')
    before = bed.content.fields["access_type"], bed.who()
    memory = '\nmemory-limit = "2 GiB"' if restarts else ""
    bed.declare(f'access = "acl"\nviewers = ["ann", "bob"]{memory}')
    bed.fake.misbehave("POST", "/deploy$", Say(403, b'{"code": 22, "error": "no"}'), skip=1)
    done = bed.deploy(allow_removals=True)
    assert done.code == 3, done.said
    assert (bed.content.fields["access_type"], bed.who()) == before
    assert bed.content.fields.get("memory_limit") is None
    assert "settings were restored" in done.stderr


def test_what_may_be_active_keeps_what_it_needs(bed: Bed) -> None:
    bed.settle()
    bed.declare('memory-limit = "2 GiB"')
    bed.fake.misbehave("POST", "/deploy$", Drop(), times=99, skip=1)
    done = bed.deploy()
    assert done.code == 3, done.said
    assert bed.content.fields["memory_limit"] == 2 << 30
    assert "its settings remain changed (memory-limit" in done.stderr
    assert "may have started" in done.stderr


def test_what_cannot_be_put_back_is_said(bed: Bed) -> None:
    bed.settle()
    bed.declare('memory-limit = "2 GiB"')
    bed.fake.next_task = FakeTask(code=1, error="no memory")
    refused = Say(403, b'{"code": 21, "error": "not yours any more"}')
    bed.fake.misbehave("PATCH", f"{CONTENT}$", refused, skip=1)
    done = bed.deploy()
    assert done.code == 4
    assert bed.content.fields["memory_limit"] == 2 << 30
    assert "its settings remain changed (memory-limit" in done.stderr
    assert "they could not be restored" in done.stderr
    assert "not yours any more" in done.stderr


def test_what_runs_is_put_back_before_those_who_were_let_in(bed: Bed) -> None:
    bed.settle('access = "logged-in"\nviewers = ["eve"]')
    bed.declare('access = "acl"\nviewers = ["ann"]\nmemory-limit = "2 GiB"')
    bed.fake.misbehave("DELETE", f"{CONTENT}/permissions/", Drop(), times=99)
    done = bed.deploy(allow_removals=True)
    assert done.code == 3, done.said
    assert bed.content.fields["memory_limit"] is None
    assert bed.content.fields["access_type"] == "logged_in"
    assert bed.who() == {"eve": "viewer", "ann": "viewer"}
    assert "could not be restored" in done.stderr


def test_after_an_activation_nothing_is_put_back_and_what_was_done_is_said(bed: Bed) -> None:
    bed.settle()
    bed.declare('memory-limit = "2 GiB"\nvanity-path = "/sales/"\ntags = ["Department/Sales"]')
    other = bed.fake.add_content("other", hidden=True)
    other.vanity = "/sales/"
    done = bed.caller.call("deploy", directory=str(bed.root))
    assert done.code == 3, done.said
    content = next(c for c in bed.fake.contents.values() if c is not other)
    assert content.fields["memory_limit"] == 2 << 30
    assert "`tool.hatch-connect.settings.vanity-path`: " in done.stderr
    assert "the path is in use" in done.stderr
    assert f"bundle {content.bundle_id} is active" in done.stderr
    assert "remain changed (memory-limit the server's default -> 2 GiB)" in done.stderr
    other.vanity = None
    again = bed.caller.call("deploy", directory=str(bed.root))
    assert again.code == 0, again.said
    assert (content.vanity, content.tags) == ("/sales/", {"1", "3"})


FAULTS: dict[str, Fault] = {
    "refused": Say(403, b'{"code": 22, "error": "You may not."}'),
    "not ready": html(503, "<h1>Maintenance</h1>"),
    "dropped": Drop(),
    "lost": LoseAnswer(),
}
WRITES = {
    "start": ("PATCH", f"{CONTENT}$", 0),
    "integrations": ("PUT", f"{CONTENT}/oauth/integrations/associations$", 0),
    "grant": ("POST", f"{CONTENT}/permissions$", 0),
    "last grant": ("POST", f"{CONTENT}/permissions$", 2),
    "narrow": ("PATCH", f"{CONTENT}$", 1),
    "revoke": ("DELETE", f"{CONTENT}/permissions/", 0),
    "after": ("PATCH", f"{CONTENT}$", 2),
    "vanity": ("PUT", f"{CONTENT}/vanity$", 0),
    "tag": ("POST", f"{CONTENT}/tags$", 0),
    "untag": ("DELETE", f"{CONTENT}/tags/", 0),
    "thumbnail": ("PUT", f"{CONTENT}/thumbnail$", 0),
}
BEFORE = 'access = "logged-in"\nviewers = ["eve"]\ntags = ["Department/Sales"]\n'
LATE = {"after", "vanity", "tag", "untag", "thumbnail"}


def state_of(bed: Bed) -> object:
    content = bed.content
    fields = {name: value for name, value in content.fields.items() if value not in {None, ""}}
    return (
        fields,
        bed.who(),
        content.tags,
        content.vanity,
        content.thumbnail,
        list(content.integrations),
    )


@pytest.mark.parametrize("fault", ["not ready", "dropped", "lost"])
@pytest.mark.parametrize("write_of", WRITES)
def test_a_fault_that_passes_changes_nothing_of_the_result(
    bed: Bed, write_of: str, fault: str
) -> None:
    bed.settle(BEFORE)
    bed.declare(ALL)
    method, path, skip = WRITES[write_of]
    bed.fake.misbehave(method, path, FAULTS[fault], skip=skip)
    done = bed.deploy(allow_removals=True)
    assert done.code == 0, done.said
    assert bed.who() == {"analysts": "viewer", "ann": "viewer", "bob": "owner"}
    assert (bed.content.tags, bed.content.vanity) == ({"1", "2"}, "/sales/")
    assert bed.deploy().code == 0
    assert bed.writes == []


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("write_of", WRITES)
def test_a_fault_that_stays_leaves_the_active_bundle_its_settings(
    bed: Bed, write_of: str, fault: str
) -> None:
    """Before the activation all of it is put back; after it the next deployment goes on."""
    bed.settle(BEFORE)
    active, before = bed.content.bundle_id, state_of(bed)
    bed.declare(ALL)
    method, path, skip = WRITES[write_of]
    times = 1 if fault == "refused" else 6
    bed.fake.misbehave(method, path, FAULTS[fault], skip=skip, times=times)
    done = bed.deploy(allow_removals=True)
    if done.code == 0:  # what was carried out, though its answer was lost, was found out
        assert fault == "lost"
    else:
        assert done.code == 3, done.said
        assert "`tool.hatch-connect.settings." in done.stderr
        if write_of in LATE:
            assert bed.content.bundle_id != active
            assert "remain changed" in done.stderr
        else:
            assert bed.content.bundle_id == active
            assert state_of(bed) == before, done.said
    again = bed.deploy(allow_removals=True)
    assert again.code == 0, again.said
    assert bed.who() == {"analysts": "viewer", "ann": "viewer", "bob": "owner"}
    assert (bed.content.tags, bed.content.vanity) == ({"1", "2"}, "/sales/")


@pytest.mark.parametrize("last", [name for name in WRITES if name not in LATE])
def test_a_server_that_is_gone_gets_nothing_back_and_that_is_said(bed: Bed, last: str) -> None:
    bed.settle(BEFORE)
    bed.declare(ALL)

    def gone() -> None:
        for any_method in ("GET", "PATCH", "POST", "PUT", "DELETE"):
            bed.fake.misbehave(any_method, "", Drop(), times=999)

    method, path, skip = WRITES[last]
    bed.fake.misbehave(method, path, Do(gone), skip=skip)
    done = bed.deploy(allow_removals=True, json=True)
    assert done.code == 3, done.said
    error = json.loads(done.stdout)["error"]
    (note,) = error["notes"]
    assert "its settings remain changed (memory-limit" in note
    # After the last request before the activation, the activation itself is in doubt.
    assert ("may have started" if last == "revoke" else "they could not be restored") in note
    default = "the server's default"
    assert {"key": "memory-limit", "before": default, "after": "2 GiB"} in error["settings"]
    bed.fake.recover()
    assert bed.deploy(allow_removals=True).code == 0
    assert bed.who() == {"analysts": "viewer", "ann": "viewer", "bob": "owner"}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_at_new_content_leaves_it_empty_and_is_made_up_for(bed: Bed, fault: str) -> None:
    write(bed.root, ALL)
    times = 1 if fault == "refused" else 6
    bed.fake.misbehave("POST", f"{CONTENT}/permissions$", FAULTS[fault], skip=1, times=times)
    done = bed.deploy()
    if done.code:
        assert done.code == 3, done.said
        assert not bed.content.bundles
        assert "`tool.hatch-connect.settings.viewers`: " in done.stderr
    assert bed.deploy(allow_removals=True).code == 0
    assert bed.who() == {"analysts": "viewer", "ann": "viewer", "bob": "owner"}
    assert len(bed.fake.contents) == 1


READS = {
    "content": f"{CONTENT}$",
    "permissions": f"{CONTENT}/permissions$",
    "integrations": "v1/oauth/integrations$",
    "associations": f"{CONTENT}/oauth/integrations/associations$",
    "users": "v1/users$",
    "groups": "v1/groups$",
    "tags": "v1/tags$",
    "thumbnail": "/thumbnail$|/__thumbnail__$",
    "limits": "server_settings/scheduler",
}


@pytest.mark.parametrize("fault", ["not ready", "dropped"])
@pytest.mark.parametrize("read", READS)
def test_a_read_that_fails_once_is_repeated(bed: Bed, read: str, fault: str) -> None:
    bed.settle(BEFORE)
    bed.declare(ALL)
    bed.fake.misbehave("GET", READS[read], FAULTS[fault])
    done = bed.deploy(allow_removals=True)
    assert done.code == 0, done.said
    assert bed.who() == {"analysts": "viewer", "ann": "viewer", "bob": "owner"}


@pytest.mark.parametrize("fault", ["refused", "not ready", "dropped"])
@pytest.mark.parametrize("read", READS)
def test_a_read_that_keeps_failing_changes_nothing(bed: Bed, read: str, fault: str) -> None:
    bed.settle(BEFORE)
    before = bed.content.bundle_id, state_of(bed)
    bed.declare(ALL)
    bed.fake.misbehave("GET", READS[read], FAULTS[fault], times=99)
    done = bed.deploy(allow_removals=True)
    if done.code == 0:  # limits, and what a thumbnail is, need not be known
        assert (read, fault) in {("limits", "refused"), ("thumbnail", "refused")}
        return
    assert done.code == 3, done.said
    assert (bed.content.bundle_id, state_of(bed)) == before
    assert (bed.writes, len(bed.content.bundles)) == ([], 1)


REFUSED = {
    "nobody": ('viewers = ["nobody"]', "viewers` names 'nobody', and the server has no such user"),
    "no group": ('viewers = ["group:no"]', "names 'group:no', and the server has no such group"),
    "no tag": ('tags = ["Department/No"]', "names 'Department/No', and the server has no such tag"),
    "no integration": ('integrations = ["No"]', "the server has no such OAuth integration"),
    "limit": (
        'memory-limit = "1 TiB"',
        "memory-limit` is 1024 GiB, but this server allows at most 8 GiB",
    ),
    "order": ("min-processes = 4", "min_processes would be 4, and max_processes 3"),
    "administrators": ('run-as = "analysts"', "run-as` can only be changed by administrators"),
}


@pytest.mark.parametrize("wrong", REFUSED)
def test_what_cannot_be_had_is_refused_before_anything_is_changed(bed: Bed, wrong: str) -> None:
    settings, said = REFUSED[wrong]
    write(bed.root, settings)
    done = bed.deploy()
    assert done.code == 2, done.said
    assert said in done.stderr
    assert bed.fake.contents == {}
    assert not (bed.root / "dist").exists()


KINDS: dict[str, tuple[Callable[[FakeConnect], object], str, str]] = {
    "machine": (
        lambda fake: setattr(fake.settings, "execution_type", "Local"),
        'cpu-limit = 1\nservice-account = "connect-content"',
        "cpu-limit` has no effect on this server, which runs content on its own machine",
    ),
    "image": (
        lambda fake: setattr(fake.settings, "image_selection", False),
        'image = "posit/base:1"',
        "image` cannot be set: this server does not allow an image to be chosen",
    ),
    "licence": (
        lambda fake: fake.settings.licence.update({"current-user-execution": False}),
        "run-as-current-user = true",
        "run-as-current-user` is not covered by the server's licence",
    ),
    "one integration": (
        lambda fake: setattr(fake, "version", "2025.06.0"),
        'integrations = ["Databricks", "Snowflake"]',
        "integrations` names several; this requires Connect 2025.07 or later",
    ),
}


@pytest.mark.parametrize("kind", KINDS)
def test_what_this_kind_of_server_cannot_do_is_refused(bed: Bed, kind: str) -> None:
    change, settings, said = KINDS[kind]
    bed.fake.user_role = "administrator"
    bed.fake.settings.add_integration("Snowflake")
    change(bed.fake)
    write(bed.root, settings)
    done = bed.deploy()
    assert done.code == 2, done.said
    assert said in done.stderr
    assert bed.fake.contents == {}


def test_groups_are_known_by_guid_as_well(bed: Bed) -> None:
    groups = bed.fake.settings.groups
    assert groups is not None
    (guid,) = groups
    write(bed.root, f'viewers = ["{guid}", "group:{guid}"]\ncollaborators = ["ann", "ada"]')
    assert bed.deploy().code == 0
    assert bed.who() == {"analysts": "viewer", "ann": "owner"}
    other = "0" * 8 + guid[8:]
    write(bed.root, f'viewers = ["{other}"]')
    done = bed.deploy()
    assert done.code == 2
    assert f"viewers` names '{other}', and the server has no such user" in done.stderr


def test_who_may_not_be_looked_up_is_shown_by_guid(bed: Bed) -> None:
    bed.settle('viewers = ["eve"]')
    bed.declare("viewers = []")
    bed.fake.misbehave("GET", "v1/users/", FAULTS["refused"], times=9)
    done = bed.deploy()
    (eve,) = (guid for guid, user in bed.fake.settings.users.items() if user["username"] == "eve")
    assert f"viewers - {eve}" in done.stderr
    assert bed.deploy(allow_removals=True).code == 0
    assert bed.who() == {}


def test_an_older_server_that_hides_its_version_has_no_integrations(bed: Bed) -> None:
    bed.fake.version, bed.fake.hides_version = "2024.11.0", True
    bed.settle()
    bed.declare('integrations = ["Databricks"]\ndescription = "Sales"')
    done = bed.deploy()
    assert done.code == 0, done.said
    assert "integrations` is not supported by this version of Connect" in done.stderr
    bed.declare("integrations = []")
    assert bed.deploy().code == 0


def test_an_older_server_that_hides_its_version_has_no_thumbnails(bed: Bed) -> None:
    bed.fake.version, bed.fake.hides_version = "2024.08.0", True
    (bed.root / "picture.png").write_bytes(b"\x89PNG")
    write(bed.root, 'thumbnail = "picture.png"\ndescription = "Sales"')
    done = bed.deploy()
    assert done.code == 0, done.said
    assert "thumbnail` is not supported by this version of Connect" in done.stderr


def test_what_the_server_has_set_otherwise_is_said(bed: Bed) -> None:
    bed.settle()
    bed.declare("idle-timeout = 5")
    told = {**bed.content.told(), "idle_timeout": 10}
    answer = Say(200, json.dumps(told).encode())
    bed.fake.misbehave("PATCH", f"{CONTENT}$", answer)
    done = bed.deploy()
    assert done.code == 0, done.said
    assert "The server set idle_timeout to 10, not to 5." in done.stderr


def test_everything_can_be_removed_again(bed: Bed) -> None:
    bed.settle(ALL)
    bed.declare(
        "viewers = []\ncollaborators = []\ntags = []\nintegrations = []\n"
        'vanity-path = false\nthumbnail = false\nmemory-limit = "default"\ndescription = ""'
    )
    done = bed.deploy(allow_removals=True)
    assert done.code == 0, done.said
    content = bed.content
    assert (bed.who(), content.vanity, content.thumbnail) == ({}, None, None)
    assert (content.integrations, content.tags - {"1"}) == ([], set())
    assert (content.fields["memory_limit"], content.fields["description"]) == (None, "")


@pytest.mark.parametrize("version", ["2025.05.0", "hidden 2025.05.0"])
def test_everything_is_put_back_without_drafts(bed: Bed, version: str) -> None:
    bed.fake.hides_version = version.startswith("hidden")
    bed.fake.version = version.removeprefix("hidden ")
    bed.settle(BEFORE)
    before = state_of(bed)
    bed.declare(ALL)
    bed.fake.next_task = FakeTask(code=1, error="it does not start")
    done = bed.deploy(allow_removals=True)
    assert done.code == 4, done.said
    assert state_of(bed) == before, done.said


def test_all_that_is_wrong_is_said_at_once(bed: Bed) -> None:
    bed.settle()
    bed.fake.settings.access_types = ("acl",)
    bed.declare(
        'access = "all"\nviewers = ["nobody", "nobody else"]\nmin-processes = 9\n'
        'memory-request = "1 TiB"\ntags = ["Department/No"]\n'
    )
    done = bed.deploy()
    assert done.code == 2
    for key in ("access", "viewers", "min-processes", "memory-request", "tags"):
        assert f"`tool.hatch-connect.settings.{key}`" in done.stderr
    assert bed.writes == []
    assert len(bed.content.bundles) == 1


def test_a_name_of_two_is_ambiguous_and_a_guid_is_not(bed: Bed) -> None:
    one, two = bed.fake.settings.add_user("ann"), bed.fake.settings.add_user("bo")
    bed.fake.settings.users[two]["username"] = "ann"
    write(bed.root, 'viewers = ["ann"]')
    done = bed.deploy()
    assert done.code == 2
    assert one in done.stderr
    assert two in done.stderr
    write(bed.root, f'viewers = ["{one}"]')
    assert bed.deploy().code == 0
    assert [p["principal_guid"] for p in bed.content.permissions] == [one]


def test_a_viewer_is_no_collaborator(bed: Bed) -> None:
    bed.fake.settings.add_user("vic", "viewer")
    write(bed.root, 'collaborators = ["vic"]')
    done = bed.deploy()
    assert done.code == 2
    assert "collaborators` names 'vic', whose account can only view content" in done.stderr


def test_people_that_may_not_be_listed_are_named_by_guid(bed: Bed) -> None:
    bed.fake.settings.lists_people = False
    write(bed.root, 'viewers = ["ann"]')
    done = bed.deploy()
    assert done.code == 3
    assert "`tool.hatch-connect.settings.viewers`: " in done.stderr
    guid = next(iter(bed.fake.settings.users))
    write(bed.root, f'viewers = ["{guid}"]')
    assert bed.deploy().code == 0
    assert bed.who() == {"ann": "viewer"}


def test_removals_need_leave_if_nobody_can_be_asked(bed: Bed) -> None:
    bed.settle('viewers = ["eve", "ann"]')
    bed.declare('viewers = ["ann"]')
    done = bed.deploy()
    assert done.code == 2
    assert "viewers - eve" in done.stderr
    assert "--allow-removals" in done.stderr
    assert (bed.writes, len(bed.content.bundles)) == ([], 1)
    bed.declare('viewers = ["ann"]\nallow-removals = true')
    assert bed.deploy().code == 0
    assert bed.who() == {"ann": "viewer"}


@pytest.mark.parametrize(("answer", "code"), [("y", 0), ("", 2), ("n", 2)])
def test_a_person_confirms_what_is_removed(bed: Bed, answer: str, code: int) -> None:
    bed.settle('viewers = ["eve"]\ntags = ["Department/Sales"]')
    bed.declare("viewers = []\ntags = []")
    asked: list[str] = []

    def answered(question: str) -> str:
        asked.append(question)
        return answer

    bed.caller.answers = answered
    assert bed.deploy().code == code
    (question,) = asked
    assert "viewers - eve" in question
    assert "tags - Department/Sales" in question
    assert bed.who() == ({} if code == 0 else {"eve": "viewer"})


def test_a_plan_says_what_would_be_removed_and_asks_nothing(bed: Bed) -> None:
    bed.settle('viewers = ["eve"]')
    bed.declare("viewers = []")
    done = bed.deploy(dry_run=True)
    assert done.code == 0, done.said
    assert "- viewers eve" in done.stdout
    assert bed.writes == []


def test_the_own_user_stays_a_collaborator_of_the_content_of_others(bed: Bed) -> None:
    bed.settle()
    content = bed.content
    content.owner = bed.fake.settings.add_user("olga")
    content.role = "editor"
    bed.fake.settings.add_user("ada")
    bed.fake.settings.users[bed.fake.user_guid] = {
        "guid": bed.fake.user_guid,
        "username": "ada",
        "user_role": "publisher",
    }
    bed.fake.settings.permit(content, bed.fake.user_guid, "owner")
    bed.declare('collaborators = ["bob", "olga"]')
    done = bed.deploy(app_id=content.guid)
    assert done.code == 0, done.said
    assert bed.who() == {"ada": "owner", "bob": "owner"}
    assert "collaborators` does not name the user of this API key, who keeps access" in done.stderr


def test_a_list_does_not_take_the_group_by_which_the_key_may_change_the_content(bed: Bed) -> None:
    bed.settle()
    content, settings = bed.content, bed.fake.settings
    content.owner, content.role = settings.add_user("olga"), "editor"
    assert settings.groups is not None
    settings.permit(content, next(iter(settings.groups)), "owner")
    bed.declare('collaborators = ["bob"]')
    done = bed.deploy(app_id=content.guid, allow_removals=True)
    assert done.code == 2, done.said
    assert "only through a group" in done.stderr
    assert bed.writes == []
    bed.declare('collaborators = ["bob", "ada"]')
    done = bed.deploy(app_id=content.guid, allow_removals=True)
    assert done.code == 0, done.said


def test_fields_that_the_version_does_not_know_are_left_out(bed: Bed) -> None:
    bed.settle()
    bed.fake.settings.unknown_fields = {"nvidia_gpu_limit"}
    bed.fake.version = "2024.08.0"
    bed.declare(
        'nvidia-gpu-limit = 1\ndescription = "x"\nthumbnail = "picture.png"\n'
        'integrations = ["Databricks"]\n'
    )
    done = bed.deploy()
    assert done.code == 0, done.said
    for key in ("nvidia-gpu-limit", "thumbnail", "integrations"):
        assert f"{key}` is not supported by this version of Connect" in done.stderr
    assert bed.writes == ['PATCH {"description": "x"}']


def test_with_strict_they_are_an_error(bed: Bed) -> None:
    bed.settle()
    bed.fake.settings.unknown_fields = {"nvidia_gpu_limit"}
    bed.declare("nvidia-gpu-limit = 1")
    table = (bed.root / "pyproject.toml").read_text(encoding="utf-8")
    (bed.root / "pyproject.toml").write_text(
        table.replace("[tool.hatch-connect]\n", "[tool.hatch-connect]\nstrict = true\n"),
        encoding="utf-8",
    )
    done = bed.deploy()
    assert done.code == 2, done.said
    assert bed.writes == []


def test_who_cannot_be_let_in_is_an_error_whatever_the_code(bed: Bed) -> None:
    write(bed.root, 'viewers = ["ann"]')
    refused = Say(400, b'{"code": 121, "error": "unknown field"}')
    bed.fake.misbehave("POST", f"{CONTENT}/permissions$", refused)
    done = bed.deploy()
    assert done.code == 3, done.said
    assert not bed.content.bundles


def test_new_content_shows_what_its_version_knows_when_it_is_there(bed: Bed) -> None:
    bed.fake.settings.unknown_fields = {"nvidia_gpu_limit"}
    settings = 'nvidia-gpu-limit = 1\nmemory-limit = "1 GiB"\naccess = "acl"'
    write(bed.root, settings)
    done = bed.deploy()
    assert done.code == 0, done.said
    assert "nvidia-gpu-limit` is not supported by this version of Connect" in done.stderr
    assert bed.content.fields["memory_limit"] == 1 << 30
    strict = f"{TABLE}strict = true\n[tool.hatch-connect.settings]\n{settings}"
    (bed.root / "pyproject.toml").write_text(strict, encoding="utf-8")
    done = bed.deploy(new=True)
    assert done.code == 3, done.said
    assert "nvidia-gpu-limit` and `" in done.stderr


def by_hand(bed: Bed, what: str) -> None:
    """Change the content as somebody would in the dashboard."""
    content = bed.content
    match what:
        case "revoked":
            content.permissions.clear()
        case "granted":
            ann = next(g for g, u in bed.fake.settings.users.items() if u["username"] == "ann")
            bed.fake.settings.permit(content, ann, "owner")
        case "access":
            content.fields["access_type"] = "all"
        case "tagged":
            content.tags = {"1", "2"}
        case "untagged":
            content.tags = set()
        case "path":
            content.vanity = "/by-hand/"
        case "memory":
            content.fields["memory_limit"] = 3 << 30


@pytest.mark.parametrize(
    "what", ["revoked", "granted", "access", "tagged", "untagged", "path", "memory"]
)
def test_what_was_changed_by_hand_meanwhile_is_as_declared_all_the_same(
    bed: Bed, what: str
) -> None:
    bed.settle(BEFORE)
    bed.declare(ALL)
    bed.fake.misbehave("POST", f"{CONTENT}/bundles$", Do(lambda: by_hand(bed, what)))
    done = bed.deploy(allow_removals=True)
    assert done.code == 0, done.said
    assert bed.who() == {"analysts": "viewer", "ann": "viewer", "bob": "owner"}
    assert (bed.content.tags, bed.content.vanity) == ({"1", "2"}, "/sales/")
    assert bed.content.fields["access_type"] == "acl"
    assert bed.content.fields["memory_limit"] == 2 << 30


def test_what_was_as_declared_and_was_changed_meanwhile_is_said(bed: Bed) -> None:
    bed.settle('description = "Sales"\nmin-processes = 1')
    bed.declare('description = "Sales"\nmin-processes = 1\nmax-processes = 4\ninit-timeout = 9')
    fields = bed.content.fields
    hand = Do(lambda: fields.update(description="by hand"))
    bed.fake.misbehave("POST", f"{CONTENT}/bundles$", hand)
    done = bed.deploy()
    assert done.code == 0, done.said
    told = "description` was changed on the server in the meantime, to by hand"
    assert done.stderr.count(told) == 1
    assert bed.deploy().code == 0
    assert fields["description"] == "Sales"


def test_it_is_said_as_well_if_nothing_had_to_be_set(bed: Bed) -> None:
    bed.settle('description = "Sales"')
    bed.declare('description = "Sales"')
    fields = bed.content.fields
    hand = Do(lambda: fields.update(description="by hand"))
    bed.fake.misbehave("POST", f"{CONTENT}/bundles$", hand)
    done = bed.deploy()
    assert done.code == 0, done.said
    assert "description` was changed on the server in the meantime, to by hand" in done.stderr
    assert bed.writes == []
    assert bed.content.bundle_id == max(bed.content.bundles, key=int)


def test_a_key_without_a_user_can_declare_as_well(bed: Bed) -> None:
    bed.settle()
    bed.fake.user_role = None
    bed.declare('viewers = ["ann"]\naccess = "acl"\nmemory-limit = "1 GiB"')
    done = bed.deploy(app_id=bed.content.guid)
    assert done.code == 0, done.said
    assert bed.who() == {"ann": "viewer"}


@pytest.mark.parametrize("jobs", [1, 2])
def test_several_pieces_of_content_have_settings_of_their_own(bed: Bed, jobs: int) -> None:
    (bed.root / "pyproject.toml").write_text(
        f"{TABLE}[tool.hatch-connect.settings]\n"
        'access = "acl"\nviewers = ["ann"]\n'
        '[tool.hatch-connect.content.one.settings]\nviewers-add = ["bob"]\n'
        '[tool.hatch-connect.content.two.settings]\naccess = "logged-in"\n',
        encoding="utf-8",
    )
    done = bed.deploy(content=("one", "two"), jobs=jobs)
    assert done.code == 0, done.said
    found = {(str(c.fields["access_type"]), len(c.permissions)) for c in bed.fake.contents.values()}
    assert found == {("acl", 2), ("logged_in", 1)}


def test_as_a_program_of_its_own(bed: Bed, sandbox: Sandbox) -> None:
    write(bed.root, ALL)
    environ = {"CONNECT_SERVER": bed.fake.url, "CONNECT_API_KEY": bed.fake.api_key}
    done = sandbox.connect("deploy", cwd=bed.root, **environ)
    assert done.code == 0, done.said
    assert bed.who() == {"analysts": "viewer", "ann": "viewer", "bob": "owner"}
    bed.declare("viewers = []\ncollaborators = []")
    refused = sandbox.connect("deploy", cwd=bed.root, **environ)
    assert refused.code == 2
    assert "collaborators - bob" in refused.stderr
    assert len(bed.content.bundles) == 1
    shown = sandbox.connect("plan", cwd=bed.root, **environ)
    assert "- viewers group:analysts" in shown.stdout
    removed = sandbox.connect("deploy", "--allow-removals", cwd=bed.root, **environ)
    assert removed.code == 0, removed.said
    assert bed.who() == {}


def test_a_publisher_may_declare_of_new_content_what_it_has_anyway(bed: Bed) -> None:
    write(bed.root, "run-as-current-user = false")
    done = bed.deploy()
    assert done.code == 0, done.said
    assert not any(line.startswith("PATCH") for line in bed.writes)


def test_a_limit_that_goes_back_to_the_default_is_none(bed: Bed) -> None:
    bed.settle('memory-limit = "1 GiB"')
    bed.declare('memory-limit = "default"\nmemory-request = "2 GiB"')
    done = bed.deploy()
    assert done.code == 0, done.said
    assert bed.content.fields["memory_limit"] is None


def test_a_default_of_0_is_no_limit(bed: Bed) -> None:
    bed.fake.settings.scheduler |= {"memory_limit": 0, "cpu_limit": 0}
    bed.settle()
    bed.declare('memory-request = "2 GiB"\ncpu-request = 1')
    done = bed.deploy()
    assert done.code == 0, done.said
    assert bed.content.fields["memory_request"] == 2 << 30


@pytest.mark.parametrize("role", ["administrator", "publisher"])
@pytest.mark.parametrize("taken", ["/sales/", "/sales/more/"])
def test_a_path_of_other_content_is_refused_before_anything_is_changed(
    bed: Bed, role: str, taken: str
) -> None:
    bed.fake.user_role = role
    bed.fake.add_content("other", vanity=taken)
    write(bed.root, 'vanity-path = "/sales/"')
    done = bed.deploy()
    assert done.code == 2, done.said
    assert "vanity-path` is taken" in done.stderr
    assert len(bed.fake.contents) == 1


def test_a_refusal_names_the_key_that_its_code_is_about(bed: Bed) -> None:
    bed.settle()
    bed.fake.user_role = "administrator"
    bed.declare('run-as = "nobody"\ninit-timeout = 5\nmemory-limit = "1 GiB"')
    done = bed.deploy()
    assert done.code == 3, done.said
    assert "error: `tool.hatch-connect.settings.run-as`: PATCH" in done.stderr
    assert bed.writes == []
