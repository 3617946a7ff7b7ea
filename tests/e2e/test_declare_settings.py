"""What docs/how-to/declare-settings.md says of declared settings is true."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from support.official_client import SDK_IS_INSTALLED, read_with_sdk
from support.projects import PACKAGE
from support.projects import project as a_project
from support.sandbox import REPOSITORY, copy_example

from hatch_connect.events import silent
from hatch_connect.local.start import running
from hatch_connect.project.declared import DECLARED

if TYPE_CHECKING:
    from support.calling import Caller
    from support.fake_connect import FakeConnect
    from support.fake_content import FakeContent
    from support.sandbox import Sandbox

PAGE = (REPOSITORY / "docs/how-to/declare-settings.md").read_text(encoding="utf-8")
ROWS = re.findall(r"^\| (`.+?`) \| (\d+) \| (\d+) \| ([\w ,]+) \|$", PAGE, re.MULTILINE)
COSTS = {
    key: (int(look), int(further), when)
    for keys, look, further, when in ROWS
    for key in re.findall(r"`([\w-]+)`", keys)
}
PRICED = [key for key in DECLARED if key != "allow-removals"]
PNG = b"\x89PNG\r\n\x1a\n picture"
VALUES: dict[str, object] = {
    "description": "Figures",
    "access": "all",
    "vanity-path": "/sales/",
    "thumbnail": "thumbnail.png",
    **{key: ["ann"] for key in ("viewers", "viewers-add")},
    **{key: ["group:analysts"] for key in ("collaborators", "collaborators-add")},
    **{key: ["Department/Finance"] for key in ("tags", "tags-add")},
    "integrations": ["Databricks"],
    "load-factor": 0.25,
    "cpu-request": 0.5,
    "cpu-limit": 0.5,
    "image": "registry/image:1",
    "run-as": "analysts",
    "run-as-current-user": True,
    "service-account": "connect-content",
}


def know(fake: FakeConnect) -> None:
    """Let the server know whom the example, and `VALUES`, name."""
    people = fake.settings
    for name in ("ann", "bob"):
        people.add_user(name)
    for name in ("analysts", "desks"):
        people.add_group(name)
    people.add_tag("Department/Finance")
    people.add_integration("Databricks")
    people.run_as_current_user = people.licence["current-user-execution"] = True


@pytest.fixture
def root(tmp_path: Path, fake: FakeConnect) -> Path:
    know(fake)
    return a_project(tmp_path / "project", {"thumbnail.png": PNG, **PACKAGE})


def test_every_key_has_a_price() -> None:
    assert list(COSTS) == list(dict.fromkeys(COSTS))
    assert sorted(COSTS) == sorted(PRICED)


def sent(caller: Caller, fake: FakeConnect, root: Path) -> int:
    """Deploy, with an upload, and return how many requests that took."""
    before = len(fake.requests)
    done = caller.call("deploy", directory=str(root), force=True)
    assert done.code == 0, done.said
    return len(fake.requests) - before


def test_without_the_table_nothing_is_asked_for(
    caller: Caller, fake: FakeConnect, root: Path
) -> None:
    for _ in range(2):
        sent(caller, fake, root)
    asked = re.compile("permissions|tags|vanit|thumbnail|oauth|scheduler|applications|users|groups")
    assert not [call for call in fake.calls() if asked.search(call)]
    assert not [request for request in fake.requests if "include" in request.query]


@pytest.mark.parametrize("key", PRICED)
def test_a_declared_key_costs_what_the_page_says(
    caller: Caller, fake: FakeConnect, root: Path, key: str
) -> None:
    fake.user_role = "administrator"
    look, further, _ = COSTS[key]
    sent(caller, fake, root)
    usual = sent(caller, fake, root)
    with (root / "pyproject.toml").open("a", encoding="utf-8") as file:
        file.write(f"[tool.hatch-connect.settings]\n{key} = {json.dumps(VALUES.get(key, 1))}\n")

    assert sent(caller, fake, root) - usual == look + further
    assert sent(caller, fake, root) - usual == look


@pytest.mark.parametrize("key", PRICED)
def test_a_declared_key_is_applied_when_the_page_says(
    caller: Caller, fake: FakeConnect, root: Path, key: str
) -> None:
    fake.user_role = "administrator"
    sent(caller, fake, root)
    with (root / "pyproject.toml").open("a", encoding="utf-8") as file:
        file.write(f"[tool.hatch-connect.settings]\n{key} = {json.dumps(VALUES.get(key, 1))}\n")
    first = len(fake.requests)
    sent(caller, fake, root)

    changes = [str(r) for r in fake.requests[first:] if r.method != "GET"]
    draft, activation = (n for n, change in enumerate(changes) if change.endswith("/deploy"))
    if COSTS[key][2] == "before the draft starts":
        assert draft == activation - 1 == 2, changes
    else:
        assert len(changes) - 1 > activation == 2, changes


def declared(content: FakeContent, fake: FakeConnect) -> dict[str, Any]:
    """Return what the content of the server has of what the example declares."""
    people = fake.settings
    names = {guid: str(user["username"]) for guid, user in people.users.items()}
    names |= {guid: f"group:{group['name']}" for guid, group in (people.groups or {}).items()}
    return {
        "fields": {name: content.fields.get(name) for name in EXAMPLE["fields"]},
        "permissions": sorted([names[p["principal_guid"]], p["role"]] for p in content.permissions),
        "tags": sorted(str(people.tags[tag]["name"]) for tag in content.tags),
        "vanity_path": content.vanity,
        "integrations": [people.integrations[guid]["name"] for guid in content.integrations],
    }


EXAMPLE: dict[str, Any] = {
    "fields": {
        "description": "Sales figures for the desks",
        "access_type": "acl",
        "min_processes": 1,
        "max_processes": 4,
        "load_factor": 0.5,
        "idle_timeout": 120,
    },
    "permissions": [["ann", "owner"], ["bob", "viewer"], ["group:analysts", "viewer"]],
    "tags": ["Department", "Finance"],
    "vanity_path": "/sales/",
    "integrations": ["Databricks"],
}


def test_what_the_example_declares_is_there_and_exported_as_it_is(
    caller: Caller, fake: FakeConnect, tmp_path: Path
) -> None:
    know(fake)
    project = copy_example("declared-app", tmp_path)
    here = {"directory": str(project)}
    assert caller.call("deploy", **here).code == 0
    (content,) = fake.contents.values()

    assert declared(content, fake) == EXAMPLE
    assert content.thumbnail == (project / "docs/thumbnail.png").read_bytes()
    same = caller.call("plan", **here, check=True)
    assert same.code == 0, same.said

    file = project / "pyproject.toml"
    text = file.read_text(encoding="utf-8").partition("[tool.hatch-connect.settings]")[0]
    exported = caller.call("settings", **here, export=True).stdout
    file.write_text(text + exported, encoding="utf-8")
    same = caller.call("plan", **here, check=True)
    assert same.code == 0, same.said
    assert caller.call("settings", **here, export=True).stdout == exported

    content.fields["min_processes"] = 2
    content.permissions.pop()
    changed = caller.call("plan", **here, check=True)
    assert changed.code == 6, changed.said
    assert "min-processes" in changed.stdout
    assert "+ collaborators ann" in changed.stdout


@pytest.mark.skipif(not SDK_IS_INSTALLED, reason="posit-sdk is not installed")
def test_the_official_sdk_reads_what_is_declared(
    caller: Caller, fake: FakeConnect, tmp_path: Path
) -> None:
    know(fake)
    project = copy_example("declared-app", tmp_path)
    assert caller.call("deploy", directory=str(project)).code == 0
    (content,) = fake.contents.values()

    assert read_with_sdk(fake.url, fake.api_key, content.guid, EXAMPLE["fields"]) == EXAMPLE


def test_the_example_is_deployed_on_this_machine(sandbox: Sandbox, tmp_path: Path) -> None:
    project = copy_example("declared-app", tmp_path)
    for _ in range(2):
        done = sandbox.connect("deploy", "--local", cwd=project)
        assert done.code == 0, done.said
    told = sandbox.connect("settings", "--local", "--json", cwd=project)
    settings = json.loads(told.stdout)["settings"]
    assert sorted(settings["viewers"]) == ["bob", "group:analysts"]
    assert settings["tags"] == ["Department/Finance"]
    assert settings["max-processes"] == 4
    check = sandbox.connect("plan", "--local", "--check", cwd=project)
    assert check.code == 0, check.said
    if SDK_IS_INSTALLED:
        state = Path(sandbox.environ["XDG_STATE_HOME"]) / "hatch-connect" / "local"
        with running(state, environ=sandbox.environ, report=silent) as server:
            key, guid = server.api_key.reveal(), json.loads(told.stdout)["guid"]
            read = read_with_sdk(server.url, key, guid, EXAMPLE["fields"])
        assert read == EXAMPLE
