from __future__ import annotations

import json
import tomllib
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.fake_connect import Say

from hatch_connect.api import configuration
from hatch_connect.commands.settings import _table, _value
from hatch_connect.project.declared import DECLARED, DeclaredKind

if TYPE_CHECKING:
    from pathlib import Path

    from support.calling import Caller
    from support.fake_connect import FakeConnect
    from support.fake_content import FakeContent

PNG = b"\x89PNG\r\n\x1a\n picture"


@pytest.fixture
def content(fake: FakeConnect) -> FakeContent:
    """Content of which everything was clicked together that a project can declare."""
    people = fake.settings
    content = fake.add_content("sales", app_mode="python-fastapi")
    content.fields |= {
        "description": 'Figures of the "desks"\n',
        "access_type": "logged_in",
        "min_processes": 0,
        "load_factor": 0.25,
        "memory_limit": 512 << 20,
        "memory_request": 1000,
        "run_as_current_user": False,
    }
    people.permit(content, people.add_user("ann"))
    people.permit(content, people.add_group("analysts"))
    people.permit(content, people.add_user("bob"), "owner")
    people.add_tag("Department/Sales")
    finance = people.add_tag("Department/Finance/Audit")
    content.tags |= {finance, *(n for n, t in people.tags.items() if t["name"] != "Sales")}
    content.vanity = "/sales/"
    content.integrations = [people.add_integration("Databricks")]
    return content


EXPORTED = """\
[tool.hatch-connect.settings]
description = "Figures of the \\"desks\\"\\n"
access = "logged-in"
viewers = ["ann", "group:analysts"]
collaborators = ["bob"]
vanity-path = "/sales/"
tags = ["Department/Finance/Audit"]
integrations = ["Databricks"]
min-processes = 0
load-factor = 0.25
memory-request = 1000
memory-limit = "512 MiB"
"""


def test_what_the_content_has_is_exported(caller: Caller, content: FakeContent) -> None:
    done = caller.call("settings", app_id=content.guid, export=True)

    assert (done.code, done.stderr) == (0, "")
    assert done.stdout == EXPORTED


def test_what_the_content_has_is_shown(
    caller: Caller, fake: FakeConnect, content: FakeContent
) -> None:
    content.thumbnail, fake.settings.shows_thumbnails = PNG, True
    shown = caller.call("settings", app_id=content.guid).stdout.splitlines()
    told = json.loads(caller.call("settings", app_id=content.guid, json=True).stdout)

    assert 'description     Figures of the "desks"' in shown
    assert "viewers         ann, group:analysts" in shown
    assert f"thumbnail       a picture of {len(PNG)} bytes" in shown
    assert told["guid"] == content.guid
    assert told["thumbnail"] == len(PNG)
    table = tomllib.loads(EXPORTED)["tool"]["hatch-connect"]["settings"]
    assert told["settings"] == table


def test_a_thumbnail_is_named_in_the_table_without_being_declared(
    caller: Caller, fake: FakeConnect, content: FakeContent
) -> None:
    content.thumbnail, fake.settings.shows_thumbnails = PNG, True

    done = caller.call("settings", app_id=content.guid, export=True)

    picture = f"a picture of {len(PNG)} bytes on the server"
    text = f"# thumbnail: {picture}; set it to a file in the project\n"
    assert done.stdout == EXPORTED + text


def test_the_table_is_that_of_the_content_that_is_named(
    caller: Caller, fake: FakeConnect, content: FakeContent
) -> None:
    (caller.folder / "pyproject.toml").write_text(
        '[project]\nname = "shop"\nversion = "1"\n[tool.hatch-connect.content.sales]\n'
        f'app-mode = "fastapi"\nentrypoint = "app:app"\nguid = "{content.guid}"\n'
    )
    (caller.folder / "app.py").write_text("app = None\n")
    done = caller.call("settings", content=("sales",), export=True)

    assert done.code == 0, done.said
    table = EXPORTED.replace("hatch-connect.", "hatch-connect.content.sales.")
    assert done.stdout == table
    assert not fake.settings.audit


def test_what_has_no_name_of_its_own_is_named_by_its_guid(
    caller: Caller, fake: FakeConnect, content: FakeContent
) -> None:
    people = fake.settings
    analysts = people.add_group("analysts")
    lake = people.add_integration("Databricks")
    content.integrations.append(lake)
    gone = "00000000-0000-4000-8000-00000000000a"
    people.permit(content, gone)
    people.permit(content, analysts)
    odd = [people.add_user("group:analysts"), people.add_user(" carol")]
    for guid in odd:
        people.permit(content, guid)

    done = caller.call("settings", app_id=content.guid, json=True)

    table = json.loads(done.stdout)["settings"]
    assert table["integrations"] == content.integrations
    (first,) = set(people.groups or {}) - {analysts}
    assert table["viewers"] == ["ann", first, gone, analysts, *odd]


def test_who_is_neither_a_user_nor_a_group_is_left_out(
    caller: Caller, fake: FakeConnect, content: FakeContent
) -> None:
    content.permissions.clear()
    fake.settings.permit(content, fake.settings.add_user("ann"), "owner")
    content.permissions[0]["principal_type"] = "service_principal"
    done = caller.call("settings", app_id=content.guid, export=True)
    assert done.code == 0
    assert "collaborators" not in done.stdout


def test_many_names_stand_on_several_lines(
    caller: Caller, fake: FakeConnect, content: FakeContent
) -> None:
    for name in ("carol", "dan"):
        fake.settings.permit(content, fake.settings.add_user(name))

    done = caller.call("settings", app_id=content.guid, export=True)

    lines = '    "ann",\n    "group:analysts",\n    "carol",\n    "dan",\n'
    assert f"viewers = [\n{lines}]\n" in done.stdout


def test_what_the_server_does_not_tell_is_left_out(
    caller: Caller, fake: FakeConnect, content: FakeContent
) -> None:
    fake.misbehave("GET", "permissions$", Say(403, b'{"code": 22, "error": "not for you"}'))
    fake.settings.licence["oauth-integrations"] = False

    done = caller.call("settings", app_id=content.guid, export=True)

    assert done.code == 0
    assert "Could not read who may view it: " in done.stderr
    assert "Could not read its integrations: " in done.stderr
    assert {"viewers", "collaborators", "integrations"}.isdisjoint(
        tomllib.loads(done.stdout)["tool"]["hatch-connect"]["settings"]
    )


def test_what_a_terminal_would_act_on_is_escaped(caller: Caller, content: FakeContent) -> None:
    content.fields["description"] = "a\x85b\x9b2J\u202ec\U000e0001"

    done = caller.call("settings", app_id=content.guid, export=True)

    assert done.stdout.replace("\n", "").isprintable()
    table = tomllib.loads(done.stdout)["tool"]["hatch-connect"]["settings"]
    assert table["description"] == content.fields["description"]


def test_who_may_only_view_it_names_by_guid_what_they_may_not_list(
    caller: Caller, fake: FakeConnect, content: FakeContent
) -> None:
    fake.user_role, content.role, fake.settings.lists_people = "viewer", "viewer", False

    done = caller.call("settings", app_id=content.guid, json=True)

    assert (done.code, done.stderr) == (0, "")
    settings = json.loads(done.stdout)["settings"]
    assert settings["integrations"] == content.integrations
    assert {*settings["viewers"], *settings["collaborators"]} == {
        *fake.settings.users,
        *(fake.settings.groups or {}),
    }


def test_an_older_server_has_no_integrations(
    caller: Caller, fake: FakeConnect, content: FakeContent
) -> None:
    fake.version = "2022.10.0"

    done = caller.call("settings", app_id=content.guid, json=True)

    assert (done.code, done.stderr) == (0, "")
    assert "integrations" not in json.loads(done.stdout)["settings"]


def test_files_have_no_processes(caller: Caller, content: FakeContent) -> None:
    content.app_mode = "static"

    done = caller.call("settings", app_id=content.guid, json=True)

    assert "min-processes" not in json.loads(done.stdout)["settings"]


def test_new_content_has_nothing_but_its_access(caller: Caller, fake: FakeConnect) -> None:
    done = caller.call("settings", app_id=fake.add_content("new").guid, export=True)

    assert done.stdout == '[tool.hatch-connect.settings]\naccess = "acl"\n'


_TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=60)
_VALUES: dict[DeclaredKind, st.SearchStrategy[Any]] = {
    DeclaredKind.TEXT: _TEXT.filter(lambda text: text.strip() != "" and text != "default"),
    DeclaredKind.ACCESS: st.sampled_from(["all", "logged_in", "acl"]),
    DeclaredKind.INTEGER: st.integers(1, 1000),
    DeclaredKind.NUMBER: st.floats(0, 1) | st.integers(0, 1),
    DeclaredKind.SIZE: st.integers(0, 2**63 - 1)
    | st.builds(lambda n, power: n << power, st.integers(1, 2**20), st.sampled_from([10, 20, 30])),
    DeclaredKind.SECONDS: st.integers(0, 2**31 - 1),
    DeclaredKind.FLAG: st.just(value=True),
}
_FIELDS = {one.key: one for one in DECLARED.values() if one.name}


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(has=st.fixed_dictionaries({}, optional={k: _VALUES[f.kind] for k, f in _FIELDS.items()}))
def test_what_is_exported_is_read_as_what_the_content_has(
    tmp_path: Path, has: dict[str, Any]
) -> None:
    for low, high in (
        ("min-processes", "max-processes"),
        ("memory-request", "memory-limit"),
        ("cpu-request", "cpu-limit"),
    ):
        if low in has and high in has:
            has[low], has[high] = sorted((has[low], has[high]))
    for key in {"image", "run-as", "service-account"} & has.keys():
        has[key] = has[key] if has[key].isprintable() else "plain"
    table = {key: _value(_FIELDS[key].kind, value) for key, value in has.items()}
    written = {key: value for key, value in table.items() if value is not None}
    project = (
        '[project]\nname = "shop"\nversion = "1"\n[tool.hatch-connect]\napp-mode = "fastapi"\n'
    )
    lines = [*project.splitlines(), *_table(written, None, "")]
    (tmp_path / "pyproject.toml").write_text("\n".join(lines), encoding="utf-8")
    (tmp_path / "app.py").write_text("app = None\n")

    declared = configuration(tmp_path).declared

    assert {field.key: field.value for field in declared.fields} == has
