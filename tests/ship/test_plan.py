from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from hatch_connect.connect.resources import Content, ServerSettings
from hatch_connect.errors import ContentError, PythonVersionError, UsageError
from hatch_connect.project.settings import AS_USUAL, Verification
from hatch_connect.project.validators import validate_content_name
from hatch_connect.secret import Secret
from hatch_connect.ship.find import ContentMatch
from hatch_connect.ship.plan import (
    Activate,
    CreateContent,
    DeployDraft,
    Plan,
    SetVariables,
    UpdateContent,
    Upload,
    Verify,
    make_plan,
    make_rollback,
)
from hatch_connect.ship.request import DeploymentRequest, ServerFacts
from hatch_connect.ship.variables import Unset, Variables

CONTENT = Content(
    guid="25438b83-ea6d-4839-ae8e-53c52ac5f9ce",
    name="sales",
    title="Sales",
    id="7",
    app_mode="python-fastapi",
    owner_guid="me",
    app_role="owner",
    content_url="http://c/content/x/",
    dashboard_url="http://c/connect/#/apps/x",
    locked=False,
    locked_message="",
    bundle_id="3",
    image=None,
    python_version=None,
    last_deployed_time=None,
)
WANTED = DeploymentRequest(
    app_mode="python-fastapi",
    name="sales",
    title=None,
    default_title="sales",
    variables=Variables(values={}),
    python="3.11.0",
    python_requires="~=3.11.0",
    python_because=".python-version",
)
NEW = ServerFacts(
    located=ContentMatch(content=None, because="does not exist"),
    settings=ServerSettings(version="2025.07.0"),
    pythons=("3.11.7", "3.12.1"),
    variable_names=frozenset(),
)
EXISTING = replace(NEW, located=ContentMatch(content=CONTENT, because="the record"))
WITHOUT_DRAFTS = replace(EXISTING, settings=ServerSettings(version="2025.05.0"))


def planned(wanted: DeploymentRequest, found: ServerFacts) -> Plan:
    return make_plan(wanted, found, Upload(archive=Path("sales.tar.gz"), size=10, identity="1"))


def kinds(wanted: DeploymentRequest, found: ServerFacts) -> list[type]:
    return [type(step) for step in planned(wanted, found).steps]


def test_new_content_is_created_before_anything_else_and_activated_after_it_answered() -> None:
    wanted = replace(WANTED, variables=Variables(values={"A": Secret("1")}))
    assert kinds(wanted, NEW) == [
        CreateContent, SetVariables, Upload, DeployDraft, Verify, Activate, Verify,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("there", "wanted", "refused"),
    [
        ("site", "", True), ("", "site", True), ("site", "site", False), ("", "", False),
        (None, "site", False), ("site", None, False),
    ],
)  # fmt: skip
def test_a_category_that_connect_would_not_change_is_refused(
    there: str | None, wanted: str | None, *, refused: bool
) -> None:
    content = replace(CONTENT, app_mode="quarto-static", category=there)
    found = replace(EXISTING, located=ContentMatch(content=content, because="the record"))
    asked = replace(WANTED, app_mode="quarto-static", category=wanted)
    fresh = replace(
        found, located=ContentMatch(content=replace(content, app_mode="unknown"), because="")
    )
    assert planned(asked, fresh).steps
    if not refused:
        assert planned(asked, found).steps
        return
    with pytest.raises(ContentError, match=r"has category (site|none), but this bundle has"):
        planned(asked, found)


@pytest.mark.parametrize("app_mode", ["rmd-static", "quarto-static"])
@pytest.mark.parametrize("there", [True, False, None])
def test_parameters_that_come_or_go_are_refused_where_connect_tells_of_them(
    app_mode: str, *, there: bool | None
) -> None:
    content = replace(CONTENT, app_mode=app_mode, category="", parameterized=there)
    found = replace(EXISTING, located=ContentMatch(content=content, because="the record"))
    asked = replace(WANTED, app_mode=app_mode, category="", parameterized=there is False)
    if app_mode != "rmd-static" or there is None:
        assert planned(asked, found).steps
        return
    with pytest.raises(ContentError, match="parameters, but this bundle"):
        planned(asked, found)


def test_a_server_without_a_python_for_new_bundles_is_refused() -> None:
    with pytest.raises(PythonVersionError, match="available: none for new bundles"):
        planned(WANTED, replace(NEW, pythons=()))


def test_existing_content_keeps_its_title_unless_another_is_asked_for() -> None:
    assert kinds(WANTED, EXISTING) == [Upload, DeployDraft, Verify, Activate, Verify]
    assert UpdateContent not in kinds(replace(WANTED, title="Sales"), EXISTING)
    changed = planned(replace(WANTED, title="Other"), EXISTING).steps[0]
    assert changed == UpdateContent(field="title", value="Other")


def test_a_draft_is_not_activated() -> None:
    assert kinds(replace(WANTED, draft=True), EXISTING) == [Upload, DeployDraft, Verify]
    with pytest.raises(ContentError, match="draft"):
        planned(
            replace(WANTED, draft=True),
            WITHOUT_DRAFTS,
        )


def test_a_server_without_drafts_activates_and_verifies_then() -> None:
    assert kinds(WANTED, WITHOUT_DRAFTS) == [
        Upload,
        Activate,
        Verify,
    ]


def test_a_server_that_hides_its_version_is_tried() -> None:
    plan = planned(WANTED, replace(EXISTING, settings=ServerSettings(version="")))
    assert DeployDraft(needed=False) in plan.steps
    assert Verify(how=AS_USUAL, sure=False) in plan.steps


def test_a_server_whose_drafts_cannot_be_visited_activates_and_verifies_then() -> None:
    found = replace(EXISTING, settings=ServerSettings(version="2025.06.0"))
    assert kinds(WANTED, found) == [Upload, Activate, Verify]
    plan = planned(replace(WANTED, draft=True), found)
    assert [type(step) for step in plan.steps] == [Upload, DeployDraft]
    assert "not verified" in plan.notes[0]
    assert not planned(replace(WANTED, draft=True, verify=None), found).notes


DIFFERENT = replace(
    WANTED,
    draft=True,
    title="Other",
    image="team/python:2",
    variables=Variables(values={"A": Secret("1"), "B": Secret("2"), "C": None, "D": None}),
)


def test_a_draft_beside_an_active_bundle_changes_nothing_and_lists_what_differs() -> None:
    found = replace(EXISTING, variable_names=frozenset({"A", "C"}))
    plan = planned(DIFFERENT, found)
    assert [type(step) for step in plan.steps] == [Upload, DeployDraft, Verify]
    told = "\n".join(plan.notes)
    assert len(plan.notes) == 5
    assert "A is not set, and it may have another value" in told
    assert "B is not set, and it is new" in told
    assert "C is not removed" in told
    assert "title stays 'Sales' instead of 'Other'" in told
    assert "image stays unset instead of 'team/python:2'" in told
    assert plan.lines()[-5:] == plan.notes
    unknown = planned(DIFFERENT, replace(EXISTING, variable_names=None))
    assert len(unknown.notes) == 6


@pytest.mark.parametrize("content", [None, replace(CONTENT, bundle_id=None)])
def test_a_draft_of_content_that_has_nothing_active_gets_what_it_needs(
    content: Content | None,
) -> None:
    found = replace(NEW, located=ContentMatch(content=content, because="x"))
    plan = planned(DIFFERENT, found)
    assert SetVariables in [type(step) for step in plan.steps]
    assert not plan.notes


def test_a_viewer_is_told_so_before_anything_is_done() -> None:
    with pytest.raises(ContentError, match="viewer"):
        planned(WANTED, replace(NEW, role="viewer"))


def test_without_verification_there_is_nothing_to_wait_for() -> None:
    assert kinds(replace(WANTED, verify=None), EXISTING) == [Upload, Activate]


def test_new_content_beside_existing_takes_a_free_name() -> None:
    taken = {"sales", "sales1"}
    found = replace(NEW, name_is_taken=lambda name: name in taken)
    plan = planned(replace(WANTED, any_name=True), found)
    assert plan.content is None
    assert plan.steps[0] == CreateContent(name="sales2", title="sales")


def test_a_name_with_a_number_is_no_longer_than_connect_takes() -> None:
    longest = "x" * 64
    assert not validate_content_name(longest)
    assert validate_content_name(f"{longest}x")
    found = replace(NEW, name_is_taken=lambda name: name == longest)
    plan = planned(replace(WANTED, any_name=True, name=longest), found)
    assert plan.steps[0] == CreateContent(name="x" * 63 + "1", title="sales")


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"app_mode": "python-dash"}, "python-dash"),
        ({"locked": True}, "locked"),
        ({"app_role": "viewer"}, "viewer"),
    ],
)
def test_content_that_cannot_take_the_bundle_is_refused(
    changes: dict[str, object], says: str
) -> None:
    content = replace(CONTENT, **changes)  # type: ignore[arg-type]  # any field
    found = replace(EXISTING, located=ContentMatch(content=content, because="x"))
    with pytest.raises(ContentError, match=says):
        planned(WANTED, found)


@pytest.mark.parametrize("mode", ["unknown", ""])
def test_content_that_was_never_deployed_takes_any_mode(mode: str) -> None:
    content = replace(CONTENT, app_mode=mode)
    found = replace(EXISTING, located=ContentMatch(content=content, because="x"))
    assert planned(WANTED, found).content == content


def test_a_variable_that_is_nowhere_stops_the_plan() -> None:
    token = Unset(name="TOKEN", state="empty", asked_by="-E")
    wanted = replace(WANTED, variables=Variables(values={}, relied_on=(token,)))
    for found in (EXISTING, NEW):
        with pytest.raises(
            UsageError, match="has no values for them either:\n  TOKEN: empty; named by -E"
        ):
            planned(wanted, found)
    with pytest.raises(UsageError, match="does not report its variables:\n  TOKEN"):
        planned(wanted, replace(EXISTING, variable_names=None))
    assert planned(WANTED, replace(EXISTING, variable_names=None)).content == CONTENT
    plan = planned(wanted, replace(EXISTING, variable_names=frozenset({"TOKEN"})))
    assert plan.kept == (token,)


def test_a_python_that_the_server_has_not_stops_the_plan_with_what_it_has() -> None:
    said = r"3\.11 \(\.python-version\).*3\.12\.1, 3\.13\.0"
    with pytest.raises(PythonVersionError, match=said) as caught:
        planned(WANTED, replace(NEW, pythons=("3.12.1", "3.13.0")))
    assert "--python-version" in str(caught.value.hint)
    prepared = replace(WANTED, python_because="")
    with pytest.raises(PythonVersionError) as caught:
        planned(prepared, replace(NEW, pythons=("3.12.1",)))
    assert str(caught.value.hint).startswith("It was prepared for that Python: prepare it again")


def test_a_wide_range_is_met_by_any_python_within_it() -> None:
    wanted = replace(WANTED, python_requires=">=3.11")
    newer = replace(NEW, pythons=("3.13.0",))
    assert planned(wanted, newer).steps
    with pytest.raises(PythonVersionError, match=r"3\.13\.0"):
        planned(wanted, replace(newer, settings=ServerSettings(version="2025.02.0")))


def test_a_server_that_does_not_tell_its_pythons_is_trusted() -> None:
    assert planned(WANTED, replace(NEW, pythons=None)).steps


def test_a_plan_can_be_read_and_shows_no_value() -> None:
    wanted = replace(WANTED, title="S p", variables=Variables(values={"A": Secret("hunter2")}))
    text = "\n".join(planned(wanted, EXISTING).lines())
    assert "hunter2" not in text + repr(planned(wanted, EXISTING))
    assert "1. set A" in text
    assert "upload sales.tar.gz (10 bytes)" in text
    assert CONTENT.guid in text


def test_content_that_the_server_fetches_from_git_takes_no_upload() -> None:
    with pytest.raises(ContentError, match="git"):
        planned(WANTED, replace(EXISTING, git_managed=True))


def test_what_is_set_and_what_is_removed_is_told_apart() -> None:
    assert str(SetVariables(values={"A": Secret("1"), "B": None})) == "set A; remove B"
    assert str(SetVariables(values={"B": None})) == "remove B"


@pytest.mark.parametrize(
    ("visible", "verify", "steps"),
    [
        (True, AS_USUAL, [DeployDraft, Verify, Activate, Verify]),
        (None, AS_USUAL, [DeployDraft, Verify, Activate, Verify]),
        (False, AS_USUAL, [Activate, Verify]),
        (True, None, [Activate]),
    ],
)
def test_an_earlier_bundle_is_verified_first_where_that_can_be(
    *, visible: bool | None, verify: Verification | None, steps: list[type]
) -> None:
    located = ContentMatch(content=CONTENT, because="x")
    plan = make_rollback(located, "1", visible=visible, verify=verify)
    assert [type(step) for step in plan.steps] == steps
    assert plan.bundle_id == "1"
    locked = replace(CONTENT, locked=True, locked_message="by Ada")
    with pytest.raises(ContentError, match="by Ada"):
        make_rollback(replace(located, content=locked), "1", visible=True, verify=None)


@pytest.mark.parametrize("role", ["viewer", "none"])
def test_an_administrator_may_change_content_of_others(role: str) -> None:
    located = ContentMatch(content=replace(CONTENT, app_role=role), because="--app-id")
    found = replace(EXISTING, located=located)
    assert planned(WANTED, replace(found, role="administrator")).content
    assert make_rollback(located, "1", visible=True, verify=None, role="administrator").steps
    with pytest.raises(ContentError, match="you cannot change it"):
        planned(WANTED, replace(found, role="publisher"))


def test_a_server_that_is_too_old_for_the_app_mode_is_told_at_once() -> None:
    old = replace(NEW, settings=ServerSettings(version="2024.11.0"))
    with pytest.raises(ContentError, match=r"'python-gradio': it requires Connect 2024\.12"):
        planned(replace(WANTED, app_mode="python-gradio"), old)


def test_content_that_was_made_an_mcp_server_takes_a_bundle_that_says_nothing_of_it() -> None:
    content = replace(CONTENT, category="mcp")
    found = replace(EXISTING, located=ContentMatch(content=content, because="x"))
    assert planned(replace(WANTED, category=""), found).content
