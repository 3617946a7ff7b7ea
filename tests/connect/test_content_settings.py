from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import pytest
from support.faults import Do, Drop, LoseAnswer, Say, redirect

from hatch_connect.errors import NotFoundError, RefusedError, ServerError

if TYPE_CHECKING:
    from pathlib import Path

    from support.connecting import Connecting
    from support.fake_connect import FakeConnect
    from support.fake_content import FakeContent

    from hatch_connect.connect.client import ConnectClient
    from hatch_connect.connect.content_settings import ContentSettingsClient, Scalar

PNG = b"\x89PNG\r\n\x1a\n" + bytes(100)


@pytest.fixture
def settings(client: ConnectClient) -> ContentSettingsClient:
    return client.settings


@pytest.fixture
def content(fake: FakeConnect) -> FakeContent:
    return fake.add_content("sales")


def test_one_request_returns_the_fields_the_tags_and_the_path(
    settings: ContentSettingsClient, fake: FakeConnect, content: FakeContent
) -> None:
    content.fields |= {"min_processes": 1, "load_factor": 0.5}
    content.vanity, content.tags = "/sales/", {fake.settings.add_tag("Department/Finance"), "1"}
    now = settings.details(content.guid, {"tags", "vanity_url"})
    assert now.vanity_path == "/sales/"
    assert [tag.name for tag in now.tags or ()] == ["Department", "Finance"]
    told = {k: now.fields[k] for k in ("min_processes", "max_processes", "load_factor")}
    assert told == {"min_processes": 1, "max_processes": None, "load_factor": 0.5}
    assert "tags" not in now.fields
    assert fake.calls() == [f"GET v1/content/{content.guid}"]


@pytest.mark.parametrize(("includes", "asked"), [("all", 2), ("ignored", 4), ("refused", 5)])
def test_content_without_tags_and_path_is_told_from_a_server_that_includes_nothing(
    settings: ContentSettingsClient,
    fake: FakeConnect,
    content: FakeContent,
    includes: Literal["all", "ignored", "refused"],
    asked: int,
) -> None:
    fake.settings.includes = includes
    assert settings.details(content.guid).vanity_path is None
    now = settings.details(content.guid, {"tags", "vanity_url"})
    assert (now.tags, now.vanity_path) == ((), "")
    assert len(fake.calls()) == asked
    content.vanity, content.tags = "/sales/", {fake.settings.add_tag("Department/Finance")}
    now = settings.details(content.guid, {"tags", "vanity_url"})
    assert now.vanity_path == "/sales/"
    assert [tag.name for tag in now.tags or ()] == ["Finance"]


def test_content_that_may_not_be_seen_is_refused(
    settings: ContentSettingsClient, fake: FakeConnect
) -> None:
    with pytest.raises(RefusedError) as caught:
        settings.details(fake.add_content("secret", hidden=True).guid, {"tags"})
    assert caught.value.code == 19


@pytest.mark.parametrize("told", ["{url}/sales/", "/sales/"])
def test_the_path_is_what_is_below_the_server(
    connecting: Connecting, fake: FakeConnect, content: FakeContent, told: str
) -> None:
    fake.prefix = "/rsc"
    fake.url += fake.prefix
    answer = told.format(url=fake.url)
    fake.misbehave("GET", content.guid, Say(200, b'{"vanity_url": "%s"}' % answer.encode()))
    client = connecting(fake.url)
    assert client.settings.details(content.guid, {"vanity_url"}).vanity_path == "/sales/"


def test_fields_are_changed_together(
    settings: ContentSettingsClient, fake: FakeConnect, content: FakeContent
) -> None:
    changes: dict[str, Scalar] = {
        "min_processes": 2,
        "memory_limit": 1 << 30,
        "description": "Sales",
    }
    now = settings.update(content.guid, changes)
    assert changes.items() <= now.fields.items()
    assert settings.update(content.guid, {"min_processes": None}).fields["min_processes"] is None
    assert fake.settings.audit == [
        'PATCH {"description": "Sales", "memory_limit": 1073741824, "min_processes": 2}',
        'PATCH {"min_processes": null}',
    ]


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"no_such": 1}, 121),
        ({"description": "x" * 4097}, 123),
        ({"access_type": "some"}, 117),
        ({"min_processes": 5}, 45),
        ({"max_processes": 11}, 113),
        ({"min_processes": 4}, 114),
        ({"max_processes": 0}, 272),
        ({"max_conns_per_process": 0}, 239),
        ({"load_factor": 1.1}, 150),
        ({"idle_timeout": -1}, 151),
        ({"memory_limit": 16 << 30}, 184),
        ({"memory_request": 2 << 30, "memory_limit": 1 << 30}, 185),
        ({"cpu_request": 3.0}, 187),
        ({"nvidia_gpu_limit": 2}, 199),
        ({"run_as": "analysts"}, 22),
        ({"access_type": None}, 87),
    ],
)
def test_a_refused_change_changes_nothing(
    settings: ContentSettingsClient,
    fake: FakeConnect,
    content: FakeContent,
    changes: dict[str, str | float],
    code: int,
) -> None:
    with pytest.raises(RefusedError) as caught:
        settings.update(content.guid, {"read_timeout": 1, **changes})
    assert caught.value.code == code
    assert caught.value.hint
    assert content.fields == {}
    assert fake.settings.audit == []


def test_permissions_are_granted_changed_and_taken_away(
    settings: ContentSettingsClient, fake: FakeConnect, content: FakeContent
) -> None:
    fake.settings.add_user("ann")
    fake.settings.add_group("analysts")
    (ann,), (analysts,) = settings.users("ann"), settings.groups("analysts")
    assert (str(ann), str(analysts), ann.user_role) == ("ann", "group:analysts", "publisher")
    settings.grant(content.guid, ann, "viewer")
    granted = settings.grant(content.guid, analysts, "viewer")
    changed = settings.grant(content.guid, ann, "owner")
    assert {(p.principal_guid, p.role) for p in settings.permissions(content.guid)} == {
        (ann.guid, "owner"),
        (analysts.guid, "viewer"),
    }
    settings.revoke(content.guid, granted)
    settings.revoke(content.guid, granted)
    assert settings.permissions(content.guid) == (changed,)


def test_who_may_not_have_a_role_is_refused_it(
    settings: ContentSettingsClient, fake: FakeConnect, content: FakeContent
) -> None:
    fake.settings.add_user("eve", role="viewer")
    (eve,) = settings.users("eve")
    with pytest.raises(RefusedError) as caught:
        settings.grant(content.guid, eve, "owner")
    assert caught.value.code == 33
    assert "publisher" in str(caught.value.hint)


@pytest.mark.parametrize("fault", [LoseAnswer(), Drop(), Say(502), Say(200, b"<html>")])
def test_a_change_is_made_once_whatever_comes_of_its_answer(
    settings: ContentSettingsClient, fake: FakeConnect, content: FakeContent, fault: LoseAnswer
) -> None:
    fake.settings.add_user("ann")
    tag_id = fake.settings.add_tag("Department/Finance")
    (ann,) = settings.users("ann")
    (tag,) = (tag for tag in settings.tags() if tag.id == tag_id)
    guid = content.guid
    for method in ("POST", "DELETE", "PUT"):
        for path in ("permissions", "tags", "vanity", "thumbnail"):
            fake.misbehave(method, rf"{path}(/\d+)?$", fault)
    granted = settings.grant(guid, ann, "viewer")
    settings.add_tag(guid, tag)
    if not isinstance(fault, Say) or fault.status != 200:
        assert settings.set_vanity_path(guid, "/sales/") == "/sales/"
        settings.set_thumbnail(guid, PNG)
        assert (content.vanity, content.thumbnail) == ("/sales/", PNG)
    assert [p["principal_guid"] for p in content.permissions] == [ann.guid]
    assert content.tags == {"1", "2"}
    settings.revoke(guid, granted)
    settings.remove_tag(guid, tag)
    settings.remove_vanity_path(guid)
    settings.remove_thumbnail(guid)
    assert (content.permissions, content.vanity, content.thumbnail) == ([], None, None)
    assert content.tags == {"1"}


def test_what_is_not_removed_although_it_is_said_to_be_missing_is_an_error(
    settings: ContentSettingsClient, fake: FakeConnect, content: FakeContent
) -> None:
    fake.settings.permit(content, fake.settings.add_user("ann"))
    (permission,) = settings.permissions(content.guid)
    fake.misbehave("DELETE", "permissions", Say(404, b"<html>", ()))
    with pytest.raises(NotFoundError):
        settings.revoke(content.guid, permission)


def test_a_permission_that_was_given_anew_is_not_taken_for_gone(
    settings: ContentSettingsClient, fake: FakeConnect, content: FakeContent
) -> None:
    ann = fake.settings.add_user("ann")
    fake.settings.permit(content, ann)
    (permission,) = settings.permissions(content.guid)
    content.permissions.clear()
    fake.settings.permit(content, ann)
    with pytest.raises(NotFoundError):
        settings.revoke(content.guid, permission)
    content.permissions.clear()
    settings.revoke(content.guid, permission)


@pytest.mark.parametrize("counts_all", [True, False])
def test_names_are_found_exactly_and_on_all_pages(
    settings: ContentSettingsClient, fake: FakeConnect, *, counts_all: bool
) -> None:
    fake.settings.counts_all = counts_all
    for number in range(1001):
        fake.settings.add_user(f"ann{number}", first_name="Ann")
        fake.settings.add_group(f"team{number}")
    bob = fake.settings.add_user("bob", first_name="Ann")
    ann, team = fake.settings.add_user("ann"), fake.settings.add_group("team")
    assert [each.guid for each in settings.users("ann")] == [ann]
    assert [each.guid for each in settings.groups("team")] == [team]
    fake.requests.clear()
    assert [each.guid for each in settings.users("bob")] == [bob]
    assert len(fake.requests) == 1
    assert settings.users("Bob") == settings.users("nobody") == settings.groups("ann") == ()


def test_of_people_of_one_name_all_are_found(
    settings: ContentSettingsClient, fake: FakeConnect
) -> None:
    both = {fake.settings.add_user("ann"), fake.settings.add_user("ann")}
    assert {each.guid for each in settings.users("ann")} == both


def test_pages_that_repeat_themselves_end(
    settings: ContentSettingsClient, fake: FakeConnect
) -> None:
    page = b'{"results": [{"guid": "1", "username": "anna"}], "total": 7}'
    fake.misbehave("GET", "v1/users", Say(200, page), times=100)
    assert settings.users("ann") == ()
    assert len(fake.requests) < 10


def test_people_are_known_by_their_guids(
    settings: ContentSettingsClient, fake: FakeConnect
) -> None:
    ann, team = fake.settings.add_user("ann"), fake.settings.add_group("team")
    assert settings.principal("user", ann).name == "ann"
    assert str(settings.principal("group", team)) == "group:team"
    with pytest.raises(NotFoundError):
        settings.principal("group", ann)


def test_servers_that_do_not_list_people_say_so(
    settings: ContentSettingsClient, fake: FakeConnect
) -> None:
    fake.settings.lists_people, fake.settings.groups = False, None
    with pytest.raises(RefusedError):
        settings.users("ann")
    fake.settings.lists_people = True
    with pytest.raises(RefusedError, match="not enabled"):
        settings.groups("team")


def test_a_tag_comes_with_those_above_it_and_goes_with_those_below_it(
    settings: ContentSettingsClient, fake: FakeConnect, content: FakeContent
) -> None:
    fake.settings.add_tag("Department/Finance/Sales")
    category, finance, sales = settings.tags()
    settings.add_tag(content.guid, sales)
    assert settings.content_tags(content.guid) == (category, finance, sales)
    settings.remove_tag(content.guid, finance)
    assert settings.content_tags(content.guid) == (category,)
    settings.remove_tag(content.guid, finance)
    with pytest.raises(RefusedError) as caught:
        settings.add_tag(content.guid, category)
    assert caught.value.code == 79


def test_the_path_of_content(
    settings: ContentSettingsClient, fake: FakeConnect, content: FakeContent
) -> None:
    guid = content.guid
    assert settings.vanity_path(guid) == ""
    assert settings.set_vanity_path(guid, "sales") == "/sales/"
    assert settings.vanity_path(guid) == "/sales/"
    other = fake.add_content("other")
    for path, code in (("/sales/more/", 51), ("/apps/x/", 52), ("/__x/", 52)):
        with pytest.raises(RefusedError) as caught:
            settings.set_vanity_path(other.guid, path)
        assert caught.value.code == code
        assert caught.value.hint
    settings.remove_vanity_path(guid)
    settings.remove_vanity_path(guid)
    assert settings.vanity_path(guid) == ""


@pytest.mark.parametrize("role", ["administrator", "publisher"])
def test_the_paths_of_all_content_that_the_key_may_see(
    settings: ContentSettingsClient, fake: FakeConnect, content: FakeContent, role: str
) -> None:
    fake.user_role = role
    content.vanity = "/sales/"
    fake.add_content("other")
    hidden = fake.add_content("hidden", vanity="/hidden/", hidden=True)
    found = {content.guid: "/sales/"}
    if role == "administrator":
        found[hidden.guid] = "/hidden/"
    assert settings.vanity_paths() == found
    assert len(fake.calls()) == (1 if role == "administrator" else 2)


def test_a_path_that_is_taken_by_the_same_content_is_there(
    settings: ContentSettingsClient, fake: FakeConnect, content: FakeContent
) -> None:
    content.vanity = "/sales/"
    fake.misbehave("PUT", "vanity", Say(409, b'{"code": 51, "error": "in use"}'))
    assert settings.set_vanity_path(content.guid, "/sales") == "/sales"


@pytest.mark.parametrize("shows_thumbnails", [True, False])
def test_the_thumbnail_of_content(
    settings: ContentSettingsClient,
    fake: FakeConnect,
    client: ConnectClient,
    bundle: Path,
    *,
    shows_thumbnails: bool,
) -> None:
    fake.settings.shows_thumbnails = shows_thumbnails
    guid = fake.add_content("report").guid
    assert settings.thumbnail(guid) is None
    client.task(client.deploy(guid, client.upload_bundle(guid, bundle).id))
    assert settings.thumbnail(guid) is None
    settings.set_thumbnail(guid, PNG)
    assert settings.thumbnail(guid) == PNG
    with pytest.raises(RefusedError, match="cannot be used"):
        settings.set_thumbnail(guid, b"no picture")
    settings.remove_thumbnail(guid)
    settings.remove_thumbnail(guid)
    assert settings.thumbnail(guid) is None


@pytest.mark.parametrize(
    ("beside", "known"),
    [
        (Say(200, PNG, (("Content-Type", "image/png"),)), PNG),
        (Say(200, PNG, (("Content-Type", "application/octet-stream"),)), PNG),
        (Say(204), None),
        (Say(200, b"<html>", (("Content-Type", "text/html"),)), b"GIF8"),
        (redirect("/__login__"), b"GIF8"),
        (redirect("https://elsewhere.example/"), b"GIF8"),
        (Say(404, b"<html>"), b"GIF8"),
    ],
)
def test_a_page_beside_the_content_is_no_thumbnail(
    settings: ContentSettingsClient,
    fake: FakeConnect,
    content: FakeContent,
    beside: Say,
    known: bytes | None,
) -> None:
    fake.settings.shows_thumbnails, content.thumbnail = True, b"GIF8"
    fake.misbehave("GET", "__thumbnail__", beside)
    assert settings.thumbnail(content.guid) == known


def test_a_failure_beside_the_content_does_not_mean_that_there_is_no_thumbnail(
    settings: ContentSettingsClient, fake: FakeConnect, content: FakeContent
) -> None:
    fake.misbehave("GET", "__thumbnail__", Say(500, b"<html>"))
    with pytest.raises(RefusedError):
        settings.thumbnail(content.guid)


def test_a_thumbnail_on_a_server_without_them(
    settings: ContentSettingsClient, fake: FakeConnect, content: FakeContent
) -> None:
    fake.version = "2024.08.0"
    assert settings.thumbnail(content.guid) is None
    with pytest.raises(NotFoundError):
        settings.set_thumbnail(content.guid, PNG)


def test_integrations_are_replaced(
    settings: ContentSettingsClient, fake: FakeConnect, content: FakeContent
) -> None:
    one, two = fake.settings.add_integration("Databricks"), fake.settings.add_integration("Snow")
    assert [each.name for each in settings.integrations()] == ["Databricks", "Snow"]
    fake.misbehave("PUT", "associations", LoseAnswer())
    settings.set_integrations(content.guid, (one, two))
    assert settings.content_integrations(content.guid) == settings.integrations()
    settings.set_integrations(content.guid, ())
    assert settings.content_integrations(content.guid) == ()
    with pytest.raises(RefusedError) as caught:
        settings.set_integrations(content.guid, ("nothing",))
    assert caught.value.code == 207
    fake.settings.licence["oauth-integrations"] = False
    with pytest.raises(RefusedError) as caught:
        settings.integrations()
    assert caught.value.code == 221


def test_limits_cost_a_request_for_each_that_is_asked_for(
    settings: ContentSettingsClient, fake: FakeConnect
) -> None:
    assert settings.limits().scheduler == {}
    assert fake.calls() == []
    fake.settings.access_types = ("acl",)
    limits = settings.limits("python-fastapi", access=True, settings=True)
    assert limits.scheduler["max_memory_limit"] == 8 << 30
    assert limits.access_types == ("acl",)
    assert limits.settings["current-user-execution"] is False
    assert limits.settings["execution_type"] == "Kubernetes"
    assert len(fake.calls()) == 3


def test_what_a_server_does_not_tell_is_no_limit(
    settings: ContentSettingsClient, fake: FakeConnect
) -> None:
    unknown = Say(404, b"404 page not found")
    fake.misbehave("GET", "server_settings/", unknown, times=4)
    limits = settings.limits("python-fastapi", access=True)
    assert (limits.scheduler, limits.access_types) == ({}, None)
    for paths in (1, 2):
        fake.misbehave("GET", "server_settings/scheduler", unknown, times=paths)
        assert settings.limits("python-fastapi").scheduler["max_processes_limit"] == 10
    fake.misbehave("GET", "server_settings/", Say(500, b"{}"))
    with pytest.raises(ServerError):
        settings.limits(access=True)


def test_a_change_by_hand_in_between_is_seen(
    settings: ContentSettingsClient, fake: FakeConnect, content: FakeContent
) -> None:
    by_hand = Do(lambda: content.fields.update(min_processes=3))
    fake.misbehave("PATCH", content.guid, by_hand)
    assert settings.update(content.guid, {"idle_timeout": 9}).fields["min_processes"] == 3
