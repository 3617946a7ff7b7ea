"""What is declared, compared with what the content has."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hatch_connect.connect.content_settings import Integration, Permission, Principal, Tag
from hatch_connect.project.declared import DeclaredField
from hatch_connect.ship.declared import (
    ContentState,
    Grant,
    Phase,
    Resolved,
    Revoke,
    SetFields,
    SetIntegrations,
    SetTag,
    SetThumbnail,
    SettingChange,
    SetVanityPath,
    TagTree,
    WantedSettings,
    differences,
    is_same,
    shown,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from hatch_connect.connect.content_settings import Role, Scalar
    from hatch_connect.ship.declared import Action

T = TypeVar("T")

ANN, BOB, EVE = (Principal(type="user", guid=f"u{n}", name=n) for n in ("ann", "bob", "eve"))
ANALYSTS = Principal(type="group", guid="g1", name="analysts")
PEOPLE = (ANN, BOB, EVE, ANALYSTS)

DEPARTMENT = Tag(id="1", name="Department")
FINANCE = Tag(id="2", name="Finance", parent_id="1")
BUDGET = Tag(id="3", name="Budget", parent_id="2")
TAXES = Tag(id="4", name="Taxes", parent_id="2")
SALES = Tag(id="5", name="Sales", parent_id="1")
TAGS = (DEPARTMENT, FINANCE, BUDGET, TAXES, SALES)
TREE = TagTree(TAGS)

SIGN_INS = tuple(Integration(guid=f"i{n}", name=f"Sign-in {n}") for n in range(3))


def field(key: str, value: Scalar, name: str = "") -> DeclaredField:
    name = name or key.replace("-", "_")
    return DeclaredField(key=key, name=name, value=value, called=f"`settings.{key}`")


def names(key: str, *entries: T, whole: bool = True) -> Resolved[T]:
    return Resolved(key=key, called=f"`settings.{key}`", whole=whole, entries=entries)


def permission(principal: Principal, role: Role) -> Permission:
    return Permission(
        id=f"p-{principal.guid}",
        principal_guid=principal.guid,
        principal_type=principal.type,
        role=role,
    )


def state(*, new: bool = False, **more: Any) -> ContentState:  # noqa: ANN401 - as its fields
    found = ContentState(new=new, principals={each.guid: each for each in PEOPLE})
    return replace(found, **more)


def texts(changes: Iterable[SettingChange]) -> list[tuple[str, str]]:
    return [(str(change), change.phase.name) for change in changes]


def applied(now: ContentState, action: Action) -> ContentState:  # noqa: PLR0911 - one a kind
    """Return the state after a change, as Connect keeps it."""
    match action:
        case SetFields(values=values):
            return replace(now, fields={**now.fields, **values})
        case Grant(principal=who, role=role):
            others = (p for p in now.permissions if p.principal_guid != who.guid)
            return replace(now, permissions=(*others, permission(who, role)))
        case Revoke(principal=who):
            kept = tuple(p for p in now.permissions if p.principal_guid != who.guid)
            return replace(now, permissions=kept)
        case SetVanityPath(path=path):
            return replace(now, vanity_path=path)
        case SetTag(tag=tag, on=True):
            line = {each.id: each for each in (*now.tags, *TREE.line(tag))}
            return replace(now, tags=tuple(line.values()))
        case SetTag(tag=tag):
            gone = {each.id for each in TAGS if tag in TREE.line(each)}
            return replace(now, tags=tuple(each for each in now.tags if each.id not in gone))
        case SetThumbnail(image=image):
            return replace(now, thumbnail=image)
        case SetIntegrations(guids=guids):
            chosen = {each.guid: each for each in SIGN_INS}
            return replace(now, integrations=tuple(chosen[guid] for guid in guids))


def comparable(found: ContentState) -> object:
    """Return a state without what has no order; a category says nothing on its own."""
    return (
        {name: value for name, value in found.fields.items() if value is not None},
        {(p.principal_guid, p.role) for p in found.permissions},
        {tag.id for tag in found.tags if tag.parent_id},
        {each.guid for each in found.integrations},
        found.vanity_path,
        found.thumbnail,
    )


def test_what_a_process_needs_comes_first_and_texts_come_last() -> None:
    wanted = WantedSettings(
        fields=(field("description", "Sales"), field("memory-limit", 512 << 20)),
        integrations=names("integrations", SIGN_INS[0]),
        vanity_path=field("vanity-path", "sales"),
        tags=names("tags", BUDGET),
        thumbnail=field("thumbnail", "a.png"),
        image=b"four",
    )
    now = state(fields={"description": None, "memory_limit": 1 << 30})
    assert texts(differences(wanted, now, TREE)) == [
        ("memory-limit 1 GiB -> 512 MiB", "START"),
        ("integrations + Sign-in 0", "START"),
        ("description none -> Sales", "AFTER"),
        ("vanity-path none -> /sales/", "AFTER"),
        ("tags + Department/Finance/Budget", "AFTER"),
        ("thumbnail none -> an image of 4 bytes", "AFTER"),
    ]


def test_access_narrows_only_when_those_who_keep_it_have_it() -> None:
    wanted = WantedSettings(
        fields=(field("access", "acl", "access_type"),), viewers=names("viewers", ANALYSTS)
    )
    now = state(fields={"access_type": "logged_in"}, permissions=(permission(ANN, "viewer"),))
    assert texts(differences(wanted, now)) == [
        ("viewers + group:analysts", "NARROW"),
        ("access logged-in -> acl", "NARROW"),
        ("viewers - ann", "NARROW"),
    ]


def test_access_widens_after_activation() -> None:
    wanted = WantedSettings(
        fields=(field("access", "all", "access_type"),), viewers=names("viewers", ANN, whole=False)
    )
    now = state(fields={"access_type": "acl"}, permissions=(permission(BOB, "viewer"),))
    assert texts(differences(wanted, now)) == [
        ("viewers + ann", "AFTER"),
        ("access acl -> all", "AFTER"),
    ]


def test_new_content_is_protected_before_anything_is_in_it() -> None:
    wanted = WantedSettings(
        fields=(field("access", "acl", "access_type"), field("idle-timeout", None)),
        viewers=names("viewers", ANN),
        tags=names("tags", SALES),
    )
    changes = differences(wanted, state(new=True), TREE)
    assert texts(changes) == [
        ("viewers + ann", "START"),
        ("access the server's default -> acl", "START"),
        ("tags + Department/Sales", "AFTER"),
    ]
    assert {change.undo for change in changes} == {None}


def test_content_that_nobody_sees_yet_is_protected_as_early() -> None:
    wanted = WantedSettings(
        fields=(field("access", "acl", "access_type"),), viewers=names("viewers", ANN)
    )
    has = state(
        unseen=True,
        fields={"access_type": "all"},
        permissions=(permission(BOB, "viewer"),),
    )
    changes = differences(wanted, has)
    assert texts(changes) == [
        ("viewers + ann", "START"),
        ("access all -> acl", "START"),
        ("viewers - bob", "START"),
    ]
    assert all(change.undo for change in changes)


def test_the_own_user_and_the_owner_stay() -> None:
    wanted = WantedSettings(
        viewers=names("viewers", BOB),
        collaborators=names("collaborators"),
        own="uann",
        owner="ubob",
    )
    assert differences(wanted, state(permissions=(permission(ANN, "owner"),))) == ()
    # Connect does not list the owner, but one that did must not lose theirs.
    assert differences(wanted, state(permissions=(permission(BOB, "owner"),))) == ()


def test_a_viewer_becomes_a_collaborator_by_one_request_and_back() -> None:
    promoted = WantedSettings(viewers=names("viewers"), collaborators=names("collaborators", ANN))
    (change,) = differences(promoted, state(permissions=(permission(ANN, "viewer"),)))
    assert change.action == Grant(principal=ANN, role="owner")
    assert change.undo == Grant(principal=ANN, role="viewer")
    lowered = WantedSettings(viewers=names("viewers", ANN), collaborators=names("collaborators"))
    (change,) = differences(lowered, state(permissions=(permission(ANN, "owner"),)))
    assert (change.action, change.removes) == (Grant(principal=ANN, role="viewer"), True)
    assert change.undo == Grant(principal=ANN, role="owner")


def test_who_is_neither_a_user_nor_a_group_stays() -> None:
    publisher = replace(permission(BOB, "owner"), principal_type="service_principal")
    wanted = WantedSettings(collaborators=names("collaborators"))
    assert differences(wanted, state(permissions=(publisher,))) == ()
    assert len(differences(wanted, state(permissions=(permission(BOB, "owner"),)))) == 1


def test_one_who_is_no_longer_named_is_shown_by_guid_if_nothing_else_is_known() -> None:
    wanted = WantedSettings(viewers=names("viewers"))
    found = ContentState(permissions=(permission(ANALYSTS, "viewer"),))
    assert texts(differences(wanted, found)) == [("viewers - group:g1", "NARROW")]


def test_lists_that_only_add_remove_nothing() -> None:
    wanted = WantedSettings(
        viewers=names("viewers-add", BOB, whole=False),
        collaborators=names("collaborators-add", whole=False),
        tags=names("tags-add", SALES, whole=False),
    )
    has = (permission(ANN, "owner"), permission(EVE, "viewer"))
    changes = differences(wanted, state(permissions=has, tags=(DEPARTMENT, FINANCE)), TREE)
    assert [change.after for change in changes] == ["bob", "Department/Sales"]


def test_what_a_tag_is_below_stays_with_it_and_a_category_counts_for_nothing() -> None:
    has = (DEPARTMENT, FINANCE, TAXES, SALES)
    changes = differences(WantedSettings(tags=names("tags", BUDGET)), state(tags=has), TREE)
    assert [str(change) for change in changes] == [
        "tags + Department/Finance/Budget",
        "tags - Department/Finance/Taxes",
        "tags - Department/Sales",
    ]
    assert differences(WantedSettings(tags=names("tags")), state(tags=(DEPARTMENT,)), TREE) == ()


def test_a_tag_that_is_above_another_is_not_sent() -> None:
    wanted = WantedSettings(tags=names("tags", FINANCE, BUDGET))
    (change,) = differences(wanted, state(), TREE)
    assert change.action == SetTag(tag=BUDGET, on=True)
    assert change.undo == SetTag(tag=FINANCE, on=False)


def test_tags_in_a_circle_end() -> None:
    circle = TagTree((Tag(id="1", name="a", parent_id="2"), Tag(id="2", name="b", parent_id="1")))
    assert [tag.id for tag in circle.named("b/a")] == ["1"]


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("memory_limit", 512 << 20, "512 MiB"),
        ("memory_limit", 3 << 29, "1536 MiB"),
        ("memory_limit", (1 << 40) + 1024, "1073741825 KiB"),
        ("memory_request", 1_000_000, "1,000,000 bytes"),
        ("load_factor", 0.5, "0.5"),
        ("run_as_current_user", False, "false"),
        ("min_processes", None, "the server's default"),
        ("access_type", "logged_in", "logged-in"),
        ("description", "", "none"),
        ("description", "Sales\nof  today", "Sales of today"),
        ("description", "x" * 100, "x" * 60 + "..."),
    ],
)
def test_values_are_shown_as_a_person_reads_them(name: str, value: Scalar, text: str) -> None:
    assert shown(name, value) == text


def test_an_empty_text_is_none() -> None:
    assert is_same("", None)
    assert not is_same(0, None)
    assert not is_same(False, None)  # noqa: FBT003


_people = st.lists(st.sampled_from(PEOPLE), unique=True)
_tags = st.lists(st.sampled_from(TAGS[1:]), unique=True)
_sign_ins = st.lists(st.sampled_from(SIGN_INS), unique=True)
_access = st.sampled_from(["acl", "logged_in", "all"])
_number = st.none() | st.integers(0, 3)


@st.composite
def _wanted(draw: st.DrawFn) -> WantedSettings:
    def of(key: str, entries: st.SearchStrategy[list[T]]) -> Resolved[T] | None:
        whole = draw(st.none() | st.booleans())
        return None if whole is None else names(key, *draw(entries), whole=whole)

    fields = (
        field("access", draw(_access), "access_type"),
        field("min-processes", draw(_number)),
        field("memory-limit", draw(_number)),
    )
    image = draw(st.none() | st.binary(max_size=2))
    path = draw(st.sampled_from([None, "/a/", "b"]))
    return WantedSettings(
        fields=tuple(each for each in fields if draw(st.booleans())),
        viewers=of("viewers", _people),
        collaborators=of("collaborators", _people),
        tags=of("tags", _tags),
        integrations=of("integrations", _sign_ins),
        vanity_path=field("vanity-path", path) if draw(st.booleans()) else None,
        thumbnail=field("thumbnail", "x.png") if draw(st.booleans()) else None,
        image=image,
        own=draw(st.sampled_from([None, ANN.guid])),
        owner=draw(st.sampled_from([None, BOB.guid])),
    )


@st.composite
def _states(draw: st.DrawFn) -> ContentState:
    roles: st.SearchStrategy[Role] = st.sampled_from(["viewer", "owner"])
    found = state(
        fields={
            "access_type": draw(_access),
            "min_processes": draw(_number),
            "memory_limit": draw(_number),
        },
        permissions=tuple(permission(who, draw(roles)) for who in draw(_people)),
        integrations=tuple(draw(_sign_ins)),
        vanity_path=draw(st.sampled_from([None, "/a/", "/c/"])),
        thumbnail=draw(st.none() | st.binary(max_size=2)),
    )
    for tag in draw(_tags):
        found = applied(found, SetTag(tag=tag, on=True))
    return found


@given(_wanted(), _states())
def test_what_was_applied_does_not_differ_any_more(
    wanted: WantedSettings, now: ContentState
) -> None:
    for change in differences(wanted, now, TREE):
        now = applied(now, change.action)
    assert differences(wanted, now, TREE) == ()


@given(_wanted(), _states(), st.data())
def test_what_is_undone_is_as_it_was(
    wanted: WantedSettings, before: ContentState, data: st.DataObject
) -> None:
    changes = differences(wanted, before, TREE)
    made = changes[: data.draw(st.integers(0, len(changes)))]
    now = before
    for change in made:
        now = applied(now, change.action)
    for change in reversed(made):
        assert change.undo is not None
        now = applied(now, change.undo)
    assert comparable(now) == comparable(before)


@given(_wanted(), _states())
def test_nobody_who_stays_is_without_access_meanwhile(
    wanted: WantedSettings, before: ContentState
) -> None:
    """Whoever may see it before and at the end may see it after each request."""
    changes, now = differences(wanted, before, TREE), before
    states = [before]
    for change in changes:
        now = applied(now, change.action)
        states.append(now)

    def sees(found: ContentState, who: Principal) -> bool:
        listed = any(p.principal_guid == who.guid for p in found.permissions)
        return found.fields["access_type"] != "acl" or listed

    for who in PEOPLE:
        if sees(before, who) and sees(now, who) and not _loses_a_place(before, now, who):
            assert all(sees(each, who) for each in states)


def _loses_a_place(before: ContentState, now: ContentState, who: Principal) -> bool:
    """Return whether one keeps access only because it is opened to all."""
    listed = [{p.principal_guid for p in each.permissions} for each in (before, now)]
    return who.guid in listed[0] - listed[1]


@given(_wanted())
def test_new_content_is_never_changed_before_it_is_activated_but_by_start(
    wanted: WantedSettings,
) -> None:
    changes = differences(wanted, ContentState(new=True), TREE)
    assert Phase.NARROW not in {change.phase for change in changes}
    assert not any(change.undo for change in changes)
