"""Users, groups and their members, as clients of Connect's API create and change them."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import pytest
from support.official_client import SDK_IS_INSTALLED

from hatch_connect.local.state import State
from hatch_connect.local.users import Declared, User, Users
from hatch_connect.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from support.local_api import Api

_numbers = itertools.count(1)


@pytest.fixture
def zed(api: Api) -> dict[str, Any]:
    """A user made by the API."""
    name = f"zed-{next(_numbers)}"
    given = {"username": name, "first_name": "Zoran", "email": "z@example.com"}
    user: dict[str, Any] = api.ask("POST", "v1/users", json={**given, "user_role": "viewer"})
    assert user.items() >= {**given, "user_role": "viewer", "locked": False}.items()
    return user


def _names(api: Api, **query: object) -> set[str]:
    found = api.ask("GET", "v1/users", params={"page_size": 500, **query})["results"]
    return {one["username"] for one in found}


def test_who_one_is(api: Api, ann: Api, bob: Api) -> None:
    for who, name, role in (
        (api, "local", "administrator"),
        (ann, "ann", "publisher"),
        (bob, "bob", "viewer"),
    ):
        told = who.ask("GET", "v1/user")
        assert (told["username"], told["user_role"]) == (name, role)
        assert bool(told["privileges"]) == (role != "viewer")
        assert told.items() >= who.ask("GET", f"v1/users/{told['guid']}").items()


def test_users_are_searched(api: Api, zed: dict[str, Any]) -> None:
    assert _names(api, prefix="ZORA") >= {zed["username"]}
    assert _names(api, prefix="z@") == set()
    assert {"bob", zed["username"]} <= _names(api, user_role="viewer")
    assert not {"ann", "local"} & _names(api, user_role="viewer")
    assert {"ann", "local"} <= _names(api, user_role="publisher|administrator")
    assert zed["username"] in _names(api, account_status="inactive")
    assert {"ann", "bob", "local"} <= _names(api, account_status="licensed|locked")
    backwards = {"sort": "username", "asc_order": "false", "page_size": 500}
    names = [one["username"] for one in api.ask("GET", "v1/users", params=backwards)["results"]]
    assert names == sorted(names, reverse=True)
    for wrong in ({"user_role": "boss"}, {"account_status": "x"}, {"sort": "key"}):
        assert api.refused("GET", "v1/users", params=wrong)[0] == 400
    assert api.refused("GET", "v1/groups", params={"sort": "username"})[0] == 400
    found = api.ask("GET", "v1/users", params={"page_size": 500})["results"]
    assert found == sorted(found, key=lambda one: [one["first_name"].lower(), one["last_name"]])


def test_a_user_that_other_login_providers_know(api: Api) -> None:
    name = f"zed-{next(_numbers)}"
    given = {"username": name, "external_id": "okta-1", "user_role": None}
    assert api.ask("POST", "v1/users", json=given)["user_role"] == "publisher"


@pytest.mark.parametrize(
    ("fields", "status", "code"),
    [
        ({}, 400, 7),
        ({"username": ""}, 400, 7),
        ({"username": "a/b"}, 400, 7),
        ({"username": "a\nb"}, 400, 7),
        ({"username": "\u202eann"}, 400, 7),
        ({"username": ["ann"]}, 400, 7),
        ({"username": "ann"}, 409, 8),
        ({"username": "new", "user_role": "boss"}, 400, 23),
        ({"username": "new", "email": 1}, 400, 2),
        ({"username": "new", "age": 1}, 400, 121),
    ],
)
def test_a_user_that_cannot_be_made(
    api: Api, fields: dict[str, object], status: int, code: int
) -> None:
    assert api.refused("POST", "v1/users", json=fields) == (status, code)


def test_a_user_is_changed_by_administrators_and_in_part_by_oneself(
    api: Api, ann: Api, zed: dict[str, Any]
) -> None:
    path = f"v1/users/{zed['guid']}"
    changed = api.ask("PUT", path, json={"last_name": "Zed", "user_role": "publisher"})

    assert changed == {**zed, "last_name": "Zed", "user_role": "publisher"}
    assert ann.refused("PUT", path, json={"last_name": "Z"}) == (403, 22)
    me = ann.ask("GET", "v1/user")
    own = f"v1/users/{me['guid']}"
    assert ann.ask("PUT", own, json={"last_name": "A", "username": "ann"})["last_name"] == "A"
    assert ann.refused("PUT", own, json={"user_role": "administrator"}) == (403, 22)
    assert ann.refused("PUT", own, json={"username": "anna"}) == (403, 36)
    developer = f"v1/users/{api.ask('GET', 'v1/user')['guid']}"
    assert api.refused("PUT", developer, json={"user_role": "viewer"}) == (403, 61)
    assert api.refused("POST", f"{developer}/lock", json={"locked": True}) == (403, 61)


def test_the_key_of_a_locked_user_is_refused(api: Api, ann: Api, bob: Api) -> None:
    path = f"v1/users/{bob.ask('GET', 'v1/user')['guid']}/lock"

    assert ann.refused("POST", path, json={"locked": True}) == (403, 22)
    assert api.refused("POST", path, json={"locked": "yes"})[0] == 400
    api.ask("POST", path, json={"locked": True})
    try:
        assert bob.refused("GET", "v1/user") == (401, 30)
        assert "bob" in _names(api, account_status="locked")
    finally:
        api.ask("POST", path, json={"locked": False})
    bob.ask("GET", "v1/user")


def test_a_group_and_its_members(ann: Api, bob: Api, zed: dict[str, Any]) -> None:
    name = f"readers-{next(_numbers)}"
    group = ann.ask("POST", "v1/groups", json={"name": name})
    path = f"v1/groups/{group['guid']}"

    assert group == {
        "guid": group["guid"],
        "name": name,
        "owner_guid": ann.ask("GET", "v1/user")["guid"],
        "member_count": 0,
    }
    assert ann.refused("POST", "v1/groups", json={"name": name}) == (409, 15)
    assert ann.refused("POST", "v1/groups", json={"name": " "}) == (400, 14)
    assert bob.refused("POST", "v1/groups", json={"name": "of-bob"}) == (403, 22)
    assert ann.ask("GET", "v1/groups", params={"prefix": name.upper()})["results"] == [group]
    member = {"user_guid": zed["guid"]}
    assert ann.ask("POST", f"{path}/members", 204, json=member) is None
    assert ann.ask("GET", path)["member_count"] == 1
    assert ann.refused("POST", f"{path}/members", json=member) == (409, 16)
    assert ann.refused("POST", f"{path}/members", json={"user_guid": "x"}) == (400, 261)
    assert bob.refused("POST", f"{path}/members", json=member) == (403, 22)
    found = bob.ask("GET", f"{path}/members")
    assert (found["total"], found["results"]) == (1, [zed])
    assert bob.refused("DELETE", f"{path}/members/{zed['guid']}") == (403, 22)
    ann.ask("DELETE", f"{path}/members/{zed['guid']}", 204)
    assert ann.refused("DELETE", f"{path}/members/{zed['guid']}") == (404, 4)
    assert ann.ask("GET", f"{path}/members")["results"] == []
    assert bob.refused("DELETE", path) == (403, 22)
    ann.ask("DELETE", path, 204)
    assert ann.refused("GET", path) == (404, 4)


def test_who_joins_a_group_may_what_it_may(api: Api, ann: Api, bob: Api) -> None:
    group = ann.ask("POST", "v1/groups", json={"name": f"readers-{next(_numbers)}"})
    path = f"v1/content/{api.create()}"
    grant = {"principal_guid": group["guid"], "principal_type": "group", "role": "viewer"}
    api.ask("POST", f"{path}/permissions", json=grant)
    assert bob.refused("GET", path) == (403, 19)

    me = {"user_guid": bob.ask("GET", "v1/user")["guid"]}
    members = f"v1/groups/{group['guid']}/members"
    ann.ask("POST", members, 204, json=me)
    assert bob.ask("GET", path)["app_role"] == "viewer"
    bob.ask("DELETE", f"{members}/{me['user_guid']}", 204)
    assert bob.refused("GET", path) == (403, 19)
    ann.ask("POST", members, 204, json=me)
    ann.ask("DELETE", f"v1/groups/{group['guid']}", 204)

    assert bob.refused("GET", path) == (403, 19)
    assert api.ask("GET", f"{path}/permissions") == []


def test_the_key_of_content_is_that_of_its_owner(ann: Api) -> None:
    guid = ann.ship()
    key = ann.visit(guid).json()["environ"]["CONNECT_API_KEY"]
    headers = {"Authorization": f"Key {key}"}

    assert ann.ask("GET", "v1/user", headers=headers)["username"] == "ann"
    assert ann.refused("GET", "v1/vanities", headers=headers) == (403, 22)


@pytest.mark.skipif(not SDK_IS_INSTALLED, reason="posit-sdk is not installed")
def test_people_of_the_official_sdk(api: Api, ann: Api, bob: Api) -> None:
    from posit.connect import Client  # type: ignore[import-not-found, import-untyped, unused-ignore]
    from posit.connect.errors import ClientError  # type: ignore[import-not-found, import-untyped, unused-ignore]

    keys = [
        str(one.client.headers["Authorization"]).removeprefix("Key ") for one in (api, ann, bob)
    ]
    local, mine, theirs = (Client(api.server.url, key) for key in keys)
    reader = mine.users.find_one(prefix="bob")
    assert (reader["guid"], reader["user_role"]) == (theirs.me["guid"], "viewer")
    content = mine.content.create(name=f"of-ann-{next(_numbers)}")
    assert content["guid"] not in {one["guid"] for one in theirs.content.find()}

    permission = content.permissions.create(reader, role="viewer")
    seen = theirs.content.get(content["guid"])
    assert (seen["app_role"], seen["owner_guid"]) == ("viewer", mine.me["guid"])
    with pytest.raises(ClientError) as refused:
        permission.update(role="owner")
    assert refused.value.error_code == 33
    group = mine.groups.create(name=f"sdk-{next(_numbers)}")
    group.members.add(reader)
    assert [one["username"] for one in group.members.find()] == ["bob"]
    content.permissions.create(group, role="viewer").update(role="owner")
    assert content.permissions.find_one(role="owner")["principal_guid"] == group["guid"]
    content.permissions.destroy(reader)
    content.permissions.destroy(group)
    group.delete()
    with pytest.raises(ClientError):
        theirs.content.get(content["guid"])
    made = local.users.create(username=f"sdk-{next(_numbers)}", user_role="viewer")
    made.update(user_role="publisher")
    made.lock()
    assert (
        local.users.get(made["guid"]).items() >= {"locked": True, "user_role": "publisher"}.items()
    )
    content.delete()


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[State]:
    state = State(tmp_path)
    yield state
    state.close()


def _users(kept: State, role: str, **groups: tuple[str, ...]) -> Users:
    users = {"ann": (role, Secret("key-of-ann")), "bob": ("viewer", None)}
    declared = Declared(users=users, groups=groups)  # type: ignore[arg-type]
    return Users(kept, declared, Secret("key-of-the-developer"))


def _named(users: Users, name: str) -> User:
    found = users.named(name)
    assert found is not None
    return found


def test_a_users_toml_counts_again_at_each_start(kept: State) -> None:
    first = _users(kept, "publisher", analysts=("ann",))
    ann = _named(first, "ann")
    made = first.create_group("made", ann)
    first.join(made, ann)
    first.join(first.groups()[0], _named(first, "bob"))
    first.change(ann, role="viewer", last_name="A")
    assert _named(first, "ann").groups == ("analysts", "made")
    assert [one.role for one in first] == ["administrator", "viewer", "viewer"]

    second = _users(kept, "administrator", analysts=("ann",))
    again = _named(second, "ann")
    assert (again.guid, again.role, again.last_name) == (ann.guid, "administrator", "A")
    assert (again.groups, _named(second, "bob").groups) == (("analysts", "made"), ())

    third = _users(kept, "publisher")
    assert _named(third, "ann").groups == ("made",)


def test_who_is_no_longer_in_a_users_toml_has_no_key(kept: State) -> None:
    _users(kept, "administrator")

    users = Users(kept, Declared(users={}, groups={}), Secret("key-of-the-developer"))

    assert users.of_key("key-of-ann") is None
    assert users.of_key("") is None
    assert _named(users, "ann").key is None
    found = users.of_key("key-of-the-developer")
    assert found is not None
    assert found.name == "local"
