from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import httpx2
import pytest
from support.waiting import PATIENCE

if TYPE_CHECKING:
    from support.local_api import Api


def test_the_settings_need_no_key(api: Api) -> None:
    answer = httpx2.get(
        f"{api.server.url}/__api__/server_settings", trust_env=False, timeout=PATIENCE
    )

    assert answer.json()["version"] == "2026.06.0"


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Key wrong"}])
@pytest.mark.parametrize("path", ["v1/user", "v1/content", "no/such/thing"])
def test_all_else_needs_the_key(api: Api, path: str, headers: dict[str, str]) -> None:
    answer = httpx2.get(
        f"{api.server.url}/__api__/{path}", headers=headers, trust_env=False, timeout=PATIENCE
    )

    assert answer.status_code == 401
    assert answer.json() == {"code": 30, "error": answer.json()["error"], "payload": None}


def test_another_name_for_the_host_is_refused(api: Api) -> None:
    answer = httpx2.get(
        api.server.url, headers={"Host": "evil.example"}, trust_env=False, timeout=PATIENCE
    )

    assert answer.status_code == 400


def test_who_am_i(api: Api) -> None:
    user = api.ask("GET", "v1/user")

    assert user["username"] == "local"
    assert user["guid"]


def test_the_interpreters_are_listed_for_publishers(api: Api, bob: Api) -> None:
    python = api.ask("GET", "v1/server_settings/python")
    environments = api.ask("GET", "v1/environments")

    assert python["api_enabled"] is True
    assert {one["version"] for one in python["installations"]} == {
        one["version"] for one in environments[0]["python"]["installations"]
    }
    assert api.ask("GET", "v1/server_settings/r") == {"installations": []}
    assert api.ask("GET", "v1/server_settings/nodejs") == {"installations": [], "enabled": False}
    for language in ("python", "r", "quarto", "nodejs", "tensorflow"):
        assert bob.refused("GET", f"v1/server_settings/{language}") == (403, 22)
    (here,) = environments
    assert api.ask("GET", f"v1/environments/{here['guid']}") == here
    assert api.refused("GET", "v1/environments/x") == (404, 4)


def test_content_is_created_found_changed_and_deleted(api: Api) -> None:
    made = api.ask("POST", "v1/content", json={"name": "sales-api", "title": "Sales"})
    path = f"v1/content/{made['guid']}"

    assert made["app_mode"] == "unknown"
    assert made["bundle_id"] is None
    assert made["content_url"] == f"{api.server.url}/content/{made['guid']}/"
    assert made["id"].isdigit()
    assert api.ask("GET", path) == made
    assert api.ask("GET", "v1/content?name=sales-api") == [made]
    assert made in api.ask("GET", "v1/content")
    assert api.ask("GET", f"v1/content?name=sales-api&owner_guid={made['owner_guid']}") == [made]
    assert api.ask("GET", "v1/content?name=sales-api&owner_guid=other") == []
    assert api.ask("GET", f"applications/{made['id']}")["guid"] == made["guid"]
    assert api.ask("GET", f"applications/{made['guid']}")["id"] == int(made["id"])

    changed = api.ask("PATCH", path, json={"description": "x", "min_processes": 1, "run_as": None})

    assert changed == {**made, "description": "x", "min_processes": 1}
    assert api.ask("PATCH", path, json={"name": "sales"})["name"] == "sales"
    assert api.ask("GET", "v1/content?name=sales-api") == []

    api.ask("DELETE", path, 204)

    assert api.refused("GET", path) == (404, 4)
    assert api.refused("GET", f"applications/{made['id']}") == (404, 4)


@pytest.mark.parametrize("method", ["GET", "PATCH", "DELETE"])
def test_what_is_not_there_is_not_found(api: Api, method: str) -> None:
    assert api.refused(method, "v1/content/5f2c6a3e-0000", json={}) == (404, 4)


@pytest.mark.parametrize("name", [None, 3, "", "ab", "a" * 65, "a b c", "ä-ö-ü", "abc\n"])
def test_a_name_that_cannot_be_one(api: Api, name: object) -> None:
    assert api.refused("POST", "v1/content", json={"name": name})[0] == 400


def test_a_name_is_given_once(api: Api) -> None:
    api.create(name="only-one")
    other = api.create()

    assert api.refused("POST", "v1/content", json={"name": "only-one"}) == (409, 26)
    assert api.refused("PATCH", f"v1/content/{other}", json={"name": "only-one"}) == (409, 26)


def test_an_unknown_field_is_refused(api: Api) -> None:
    guid = api.create()

    assert api.refused("POST", "v1/content", json={"name": "abcd", "color": "red"}) == (400, 121)
    assert api.refused("PATCH", f"v1/content/{guid}", json={"app_mode": "api"}) == (400, 121)
    assert api.refused("POST", f"v1/content/{guid}/deploy", json={"bundle": "1"}) == (400, 121)
    environment = [{"name": "A", "value": "1", "more": 2}]
    path = f"v1/content/{guid}/environment"
    assert api.refused("PATCH", path, json=environment) == (400, 121)


@pytest.mark.parametrize(
    "fields",
    [
        {"title": "ab"},
        {"title": "a" * 1025},
        {"title": 3},
        {"access_type": "everybody"},
        {"access_type": None},
        {"description": "d" * 4097},
        {"content_category": "site"},
        {"idle_timeout": -1},
        {"locked": "yes"},
        {"max_processes": "3"},
        {"max_processes": True},
        {"max_processes": -1},
        {"max_processes": 1.5},
        {"cpu_limit": "much"},
        {"default_py_environment_management": 1},
    ],
)
def test_a_value_that_cannot_be_one(api: Api, fields: dict[str, Any]) -> None:
    guid = api.create()
    before = api.ask("GET", f"v1/content/{guid}")

    assert api.refused("PATCH", f"v1/content/{guid}", json=fields)[0] == 400
    assert api.ask("GET", f"v1/content/{guid}") == before


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"name": "a b c"}, 5),
        ({"access_type": "everybody"}, 117),
        ({"title": "ab"}, 122),
        ({"description": "d" * 4097}, 123),
        ({"read_timeout": -1}, 151),
        ({"title": 3}, 87),
        ({"max_processes": 0}, 272),
        ({"max_conns_per_process": 0}, 239),
        ({"memory_limit": -1}, 183),
    ],
)
def test_what_is_wrong_has_a_code(api: Api, fields: dict[str, Any], code: int) -> None:
    assert api.refused("PATCH", f"v1/content/{api.create()}", json=fields) == (400, code)


def test_null_is_the_default(api: Api) -> None:
    path = f"v1/content/{api.create(title='Title', run_as_current_user=True)}"
    api.ask("PATCH", path, json={"locked": True, "locked_message": "m"})

    assert api.refused("PATCH", path, json={"locked": None}) == (403, 222)
    api.ask("PATCH", path, json={"locked": False})
    null = dict.fromkeys(("title", "run_as_current_user", "locked", "locked_message"))
    content = api.ask("PATCH", path, json=null)

    told = {name: content[name] for name in null}
    assert told == {**null, "run_as_current_user": False, "locked": False, "locked_message": ""}


def test_viewers_are_not_told_of_the_environment(api: Api, bob: Api) -> None:
    guid = api.ship()
    api.ask("PATCH", f"v1/content/{guid}", json={"access_type": "all"})

    for content, known in ((api, True), (bob, False)):
        told = content.ask("GET", f"v1/content/{guid}")
        assert (told["py_version"] is not None) is known
        assert (told["cluster_name"] is not None) is known


def test_content_has_no_schedules(api: Api) -> None:
    told = api.ask("GET", f"v1/content/{api.create()}", params={"include": "schedule,bookmarked"})

    assert (told["schedules"], told["bookmarked"]) == ([], False)


def test_what_only_exists_later_cannot_be_created_with(api: Api) -> None:
    for field in ({"owner_guid": "x"}, {"locked": True}):
        assert api.refused("POST", "v1/content", json={"name": "abcd", **field}) == (400, 121)


def test_a_name_is_free_for_each_owner(api: Api, ann: Api) -> None:
    theirs = ann.create(name="of-both")
    mine = api.create(name="of-both")
    found = api.ask("GET", "v1/content", params={"name": "of-both"})

    assert {one["guid"] for one in found} == {theirs, mine}
    assert ann.refused("POST", "v1/content", json={"name": "of-both"}) == (409, 26)
    me = ann.ask("GET", "v1/user")["guid"]
    own = api.ask("GET", "v1/content", params={"name": "of-both", "owner_guid": me})
    assert [one["guid"] for one in own] == [theirs]
    assert api.refused("PATCH", f"v1/content/{mine}", json={"owner_guid": me}) == (409, 26)


def test_administrators_give_content_to_another_owner(api: Api, ann: Api, bob: Api) -> None:
    guids = {
        one.ask("GET", "v1/user")["username"]: one.ask("GET", "v1/user")["guid"]
        for one in (api, ann, bob)
    }
    path = f"v1/content/{api.create()}"
    grant = {"principal_guid": guids["ann"], "principal_type": "user", "role": "owner"}
    api.ask("POST", f"{path}/permissions", json=grant)

    assert ann.refused("PATCH", path, json={"owner_guid": guids["ann"]}) == (403, 22)
    nobodies: tuple[object, ...] = (guids["bob"], "x", 1, [])
    for nobody in nobodies:
        assert api.refused("PATCH", path, json={"owner_guid": nobody}) == (400, 156)
    changed = api.ask("PATCH", path, json={"owner_guid": guids["ann"]})

    assert (changed["owner_guid"], changed["app_role"]) == (guids["ann"], "none")
    assert ann.ask("GET", path, params={"include": "owner"})["owner"]["username"] == "ann"
    assert ann.ask("GET", f"{path}/permissions") == []


def test_what_only_administrators_may_set(api: Api, ann: Api) -> None:
    guid = ann.create(run_as=None, run_as_current_user=False)

    for field in ({"run_as": "root"}, {"run_as_current_user": True}, {"service_account_name": "a"}):
        assert ann.refused("PATCH", f"v1/content/{guid}", json=field) == (403, 22)
        assert ann.refused("POST", "v1/content", json={"name": "abcd", **field}) == (403, 22)
        api.ask("PATCH", f"v1/content/{guid}", json=field)
        ann.ask("PATCH", f"v1/content/{guid}", json=field)


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"\xff", b'"name"', b'{"cpu_limit": NaN}', b"[" * 100_000]
)
def test_a_body_that_is_no_object(api: Api, body: bytes) -> None:
    assert api.refused("POST", "v1/content", content=body)[0] == 400


def test_locked_content_can_only_be_unlocked(api: Api) -> None:
    guid = api.create()
    api.ask("PATCH", f"v1/content/{guid}", json={"locked": True})
    path = f"v1/content/{guid}"

    assert api.refused("PATCH", path, json={"title": "Another"}) == (403, 222)
    assert api.refused("POST", f"{path}/bundles", content=b"x") == (403, 222)
    assert api.refused("PATCH", f"{path}/environment", json=[]) == (403, 222)
    assert api.refused("POST", f"{path}/deploy", json={}) == (403, 222)
    assert api.refused("DELETE", path) == (403, 222)
    assert api.ask("PATCH", path, json={"locked": False})["locked"] is False


def test_environment_variables_are_merged_removed_and_replaced(api: Api) -> None:
    path = f"v1/content/{api.create()}/environment"
    given = [{"name": "B", "value": "äö\n="}, {"name": "A", "value": ""}]

    assert api.ask("PATCH", path, json=given) == ["A", "B"]
    assert api.ask("PATCH", path, json=[{"name": "C", "value": "3"}]) == ["A", "B", "C"]
    assert api.ask("PATCH", path, json=[{"name": "A", "value": None}]) == ["B", "C"]
    assert api.ask("PUT", path, json=[{"name": "D", "value": "4"}]) == ["D"]
    assert api.ask("GET", path) == ["D"]


@pytest.mark.parametrize(
    "body",
    [
        {"name": "A", "value": "1"},
        ["A"],
        [{"value": "1"}],
        [{"name": "", "value": "1"}],
        [{"name": "A=B", "value": "1"}],
        [{"name": "A", "value": 1}],
        [{"name": "A", "value": "a\0b"}],
        [{"name": "A", "value": "\ud800"}],
        [{"name": "\ud800", "value": "1"}],
    ],
)
def test_environment_variables_that_cannot_be(api: Api, body: object) -> None:
    path = f"v1/content/{api.create()}/environment"

    # Escaped, as a client of another kind would: a half of a surrogate pair is no UTF-8.
    assert api.refused("PATCH", path, content=json.dumps(body))[0] == 400
    assert api.ask("GET", path) == []
