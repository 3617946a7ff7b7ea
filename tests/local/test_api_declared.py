from __future__ import annotations

from typing import TYPE_CHECKING, Any

import httpx2
import pytest

from hatch_connect.local.start import make_known

if TYPE_CHECKING:
    from support.local_api import Api

_NOBODY = "00000000-0000-4000-8000-000000000000"


@pytest.fixture
def people(api: Api) -> dict[str, dict[str, Any]]:
    """What names those that a project declared."""
    make_known(
        api.server,
        {
            "people": ("ann", "anna", "group:analysts"),
            "tags": ("Department/Finance/Audit", "Department/Sales"),
            "integrations": ("Databricks", "Snowflake"),
        },
    )
    users = api.ask("GET", "v1/users")["results"]
    groups = api.ask("GET", "v1/groups")["results"]
    return {one["username"]: one for one in users} | {one["name"]: one for one in groups}


def _grant(who: dict[str, Any], role: str) -> dict[str, str]:
    kind = "user" if "username" in who else "group"
    return {"principal_guid": who["guid"], "principal_type": kind, "role": role}


def test_users_and_groups_are_searched_by_the_start_of_their_names(
    api: Api, people: dict[str, dict[str, Any]]
) -> None:
    found = api.ask("GET", "v1/users", params={"prefix": "AN", "page_size": 1, "page_number": 2})

    assert found == {"results": [people["anna"]], "current_page": 2, "total": 2}
    assert api.ask("GET", f"v1/users/{people['ann']['guid']}") == people["ann"]
    assert api.ask("GET", "v1/groups", params={"prefix": "x"})["results"] == []
    assert api.ask("GET", f"v1/groups/{people['analysts']['guid']}")["name"] == "analysts"
    assert api.ask("GET", "v1/user").items() >= people["local"].items()
    assert api.refused("GET", f"v1/users/{people['analysts']['guid']}") == (404, 4)
    assert api.refused("GET", "v1/users", params={"page_size": 501})[0] == 400


def test_a_name_that_is_a_guid_names_what_has_it(
    api: Api, people: dict[str, dict[str, Any]]
) -> None:
    before = api.ask("GET", "v1/users")["total"]

    make_known(api.server, {"people": (people["ann"]["guid"], _NOBODY, _NOBODY)})

    assert api.ask("GET", "v1/users")["total"] == before + 1
    assert api.ask("GET", f"v1/users/{_NOBODY}")["username"] == _NOBODY


def test_a_role_is_given_changed_and_taken(api: Api, people: dict[str, dict[str, Any]]) -> None:
    path = f"v1/content/{api.create()}/permissions"
    made = api.ask("POST", path, json={**_grant(people["ann"], "viewer"), "send_email": False})
    group = api.ask("POST", path, json=_grant(people["analysts"], "viewer"))

    assert made.items() >= _grant(people["ann"], "viewer").items()
    assert api.ask("GET", path) == [made, group]
    owner = api.ask("POST", path, json=_grant(people["ann"], "owner"))
    assert owner == {**made, "role": "owner"}
    assert api.ask("GET", f"{path}/{made['id']}") == owner
    changed = api.ask("PUT", f"{path}/{group['id']}", json=_grant(people["analysts"], "owner"))
    assert api.ask("GET", path) == [owner, changed]
    api.ask("DELETE", f"{path}/{made['id']}", 204)
    assert api.ask("GET", path) == [changed]
    assert api.refused("DELETE", f"{path}/{made['id']}") == (404, 4)


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        ({"principal_guid": _NOBODY[:-1] + "1"}, 261),
        ({"principal_type": "group"}, 262),
        ({"principal_type": "robot"}, 152),
        ({"principal_type": []}, 152),
        ({"role": "editor"}, 2),
        ({"role": []}, 2),
        ({"color": "red"}, 121),
    ],
)
def test_a_role_that_cannot_be(
    api: Api, people: dict[str, dict[str, Any]], wrong: dict[str, Any], code: int
) -> None:
    path = f"v1/content/{api.create()}/permissions"

    given = _grant(people["ann"], "viewer") | wrong
    assert api.refused("POST", path, json=given) == (400, code)
    assert api.ask("GET", path) == []


def test_the_owner_gets_no_role(api: Api, people: dict[str, dict[str, Any]]) -> None:
    path = f"v1/content/{api.create()}/permissions"

    assert api.refused("POST", path, json=_grant(people["local"], "owner")) == (400, 34)


def test_a_path_is_given_kept_and_taken(api: Api) -> None:
    guid = api.create()
    path = f"v1/content/{guid}"

    assert api.refused("GET", f"{path}/vanity") == (404, 4)
    assert api.refused("DELETE", f"{path}/vanity") == (404, 4)
    made = api.ask("PUT", f"{path}/vanity", json={"path": "given/kept"})
    assert made["path"] == "/given/kept/"
    assert api.ask("GET", f"{path}/vanity") == made
    assert made in api.ask("GET", "v1/vanities")
    described = api.ask("GET", path, params={"include": "vanity_url"})
    assert described["vanity_url"] == f"{api.server.url}/given/kept/"
    other = f"v1/content/{api.create()}/vanity"
    for taken in ("/given/kept/", "/given/", "/given/kept/for/"):
        assert api.refused("PUT", other, json={"path": taken}) == (409, 51)
    assert api.ask("PUT", other, json={"path": "/given/kept/", "force": True})
    assert api.refused("GET", f"{path}/vanity") == (404, 4)
    api.ask("DELETE", other, 204)
    assert api.refused("GET", other) == (404, 4)


@pytest.mark.parametrize(
    ("given", "code"), [("/", 52), ("/connect/", 52), ("/a b/", 52), (3, 2), (None, 2)]
)
def test_a_path_that_cannot_be(api: Api, given: object, code: int) -> None:
    path = f"v1/content/{api.create()}/vanity"

    assert api.refused("PUT", path, json={"path": given}) == (400, code)


def test_the_path_leads_to_the_content(api: Api) -> None:
    guid = api.ship()
    api.ask("PUT", f"v1/content/{guid}/vanity", json={"path": "/leads/here/"})

    for visited in ("leads/here", "leads/here/", "leads/here/echo?a=1"):
        answer = httpx2.get(f"{api.server.url}/{visited}", trust_env=False)
        rest = visited.removeprefix("leads/here").removeprefix("/")
        assert answer.headers["location"] == f"{api.server.url}/content/{guid}/{rest}"
    # Programs get there at once, whatever they send.
    asked = api.client.post(f"{api.server.url}/leads/here/a%20b?c=1", content=b"body").json()
    assert (asked["method"], asked["path"], asked["query"]) == ("POST", "/a b", "c=1")
    assert (asked["root_path"], asked["body"]) == (f"/content/{guid}", "body")
    for other in ("leads", "leads/hereto", "nothing"):
        assert api.client.get(f"{api.server.url}/{other}").status_code == 404


def test_tags_are_given_with_those_above_and_taken_with_those_below(
    api: Api, people: dict[str, dict[str, Any]]
) -> None:
    assert people
    known = {tag["name"]: tag for tag in api.ask("GET", "v1/tags")}
    path = f"v1/content/{api.create()}"
    names = [tag["name"] for tag in known.values() if tag["name"] in {"Finance", "Audit"}]
    assert names == ["Finance", "Audit"]

    api.ask("POST", f"{path}/tags", json={"tag_id": known["Audit"]["id"]})

    above = [known[name] for name in ("Department", "Finance", "Audit")]
    assert api.ask("GET", f"{path}/tags") == above
    assert api.ask("GET", path, params={"include": "tags,owner"})["tags"] == above
    category = {"tag_id": known["Department"]["id"]}
    assert api.refused("POST", f"{path}/tags", json=category) == (400, 79)
    assert api.refused("POST", f"{path}/tags", json={"tag_id": "0"}) == (400, 158)
    api.ask("DELETE", f"{path}/tags/{known['Finance']['id']}")
    assert api.ask("GET", f"{path}/tags") == []
    assert api.refused("DELETE", f"{path}/tags/0") == (404, 4)


def test_tags_are_found_and_created(api: Api, people: dict[str, dict[str, Any]]) -> None:
    assert people
    (sales,) = api.ask("GET", "v1/tags", params={"name": "Sales"})

    assert api.ask("GET", "v1/tags/Department,Sales") == sales
    assert api.ask("GET", f"v1/tags/{sales['id']}") == sales
    region = api.ask("POST", "v1/tags", json={"name": "Region"})
    north = api.ask("POST", "v1/tags", json={"name": "North", "parent_id": region["id"]})
    assert api.ask("GET", "v1/tags", params={"parent_id": region["id"]}) == [north]
    assert api.refused("POST", "v1/tags", json={"name": "Region"}) == (400, 81)
    assert api.refused("POST", "v1/tags", json={"name": " "}) == (400, 78)
    assert api.refused("POST", "v1/tags", json={"name": "x" * 256}) == (400, 77)
    assert api.refused("POST", "v1/tags", json={"name": "x", "parent_id": "0"}) == (400, 157)
    assert api.refused("GET", "v1/tags/0") == (404, 4)
    assert api.refused("GET", "v1/tags/Sales") == (404, 4)


def test_tags_are_changed_and_deleted(api: Api) -> None:
    def create(name: str, parent: str | None = None) -> str:
        number: str = api.ask("POST", "v1/tags", json={"name": name, "parent_id": parent})["id"]
        return number

    top, other = create("To change"), create("To change too")
    one = create("One", top)
    two = create("Two", one)
    guid = api.create()
    api.ask("POST", f"v1/content/{guid}/tags", json={"tag_id": two})

    changed = api.ask("PATCH", f"v1/tags/{one}", json={"name": "First", "parent_id": other})

    assert (changed["name"], changed["parent_id"]) == ("First", other)
    assert "2026-01-01" < changed["created_time"] <= changed["updated_time"]
    assert api.ask("GET", f"v1/tags/{one}") == changed
    above = [tag["id"] for tag in api.ask("GET", f"v1/content/{guid}/tags")]
    assert above == [other, one, two]
    for body, code in (
        ({"name": ""}, 78),
        ({"name": None}, 78),
        ({"parent_id": two}, 157),
        ({"parent_id": one}, 157),
        ({"parent_id": "0"}, 157),
    ):
        assert api.refused("PATCH", f"v1/tags/{one}", json=body) == (400, code)
    assert api.refused("PATCH", f"v1/tags/{two}", json={"parent_id": None}) == (400, 157)
    assert api.refused("PATCH", f"v1/tags/{top}", json={"name": "To change too"}) == (400, 81)
    assert api.refused("PATCH", "v1/tags/0", json={}) == (404, 4)
    api.ask("DELETE", f"v1/tags/{other}", 204)
    assert api.ask("GET", f"v1/content/{guid}/tags") == []
    for gone in (other, one, two):
        assert api.refused("DELETE", f"v1/tags/{gone}") == (404, 4)
    api.ask("DELETE", f"v1/tags/{top}", 204)


def test_a_thumbnail_is_kept(api: Api) -> None:
    guid = api.create()
    path = f"v1/content/{guid}/thumbnail"

    assert api.refused("GET", path) == (404, 4)
    api.ask("PUT", path, 204, content=b"\x89PNG")
    answer = api.client.get(f"{api.server.url}/__api__/{path}")
    assert answer.content == b"\x89PNG"
    for kind, image in (
        ("png", b"\x89PNG"),
        ("jpeg", b"\xff\xd8\xff"),
        ("gif", b"GIF89a"),
        ("webp", b"RIFF\0\n\0\0WEBP"),
        ("svg+xml", b"<svg>"),
        ("svg+xml", b'<?xml version="1.0"?>\n<!DOCTYPE svg>\n<!-- a -->\n<svg xmlns="s">'),
    ):
        api.ask("PUT", path, 204, content=image)
        beside = api.visit(guid, "__thumbnail__")
        assert (beside.content, beside.headers["content-type"]) == (image, f"image/{kind}")
        assert "sandbox" in beside.headers["content-security-policy"]
    api.ask("DELETE", path, 204)
    assert api.visit(guid, "__thumbnail__").status_code == 204
    assert api.refused("DELETE", path) == (404, 17)
    api.ask("PUT", path, 204, content=b"\x89PNG")
    api.ask("DELETE", f"v1/content/{guid}", 204)
    assert not (api.server.state / "thumbnails" / guid).exists()


@pytest.mark.parametrize(
    ("image", "status"),
    [
        (b"", 400),
        (b"text", 400),
        (b"<html><svg>", 400),
        (b"RIFF1234WAVE", 400),
        (b"\x89PNG" + b" " * (10 << 20), 413),
    ],
)
def test_what_is_no_thumbnail(api: Api, image: bytes, status: int) -> None:
    path = f"v1/content/{api.create()}/thumbnail"

    assert api.refused("PUT", path, content=image)[0] == status
    assert api.refused("GET", path) == (404, 4)


def test_integrations_are_set_as_a_whole(api: Api, people: dict[str, dict[str, Any]]) -> None:
    assert people
    guids = {one["name"]: one["guid"] for one in api.ask("GET", "v1/oauth/integrations")}
    path = f"v1/content/{api.create()}/oauth/integrations/associations"
    both = [{"oauth_integration_guid": guids[name]} for name in ("Databricks", "Snowflake")]

    api.ask("PUT", path, 204, json=both)
    api.ask("PUT", path, 204, json=both[1:])

    (told,) = api.ask("GET", path)
    assert told.items() >= {**both[1], "oauth_integration_name": "Snowflake"}.items()
    one = f"v1/oauth/integrations/{guids['Snowflake']}"
    assert api.ask("GET", one)["name"] == "Snowflake"
    assert told in api.ask("GET", f"{one}/associations")
    assert api.refused("GET", "v1/oauth/integrations/x") == (404, 4)
    assert api.refused("PUT", path, json=both + both) == (400, 258)
    assert api.refused("PUT", path, json=[{"oauth_integration_guid": "x"}]) == (400, 207)
    assert api.refused("PUT", path, json=[{}]) == (400, 207)
    assert api.refused("PUT", path, json={})[0] == 400
    assert api.ask("GET", path) == [told]
    api.ask("PUT", path, 204, json=[])
    assert api.ask("GET", path) == []


def test_locked_content_keeps_all_of_it(api: Api, people: dict[str, dict[str, Any]]) -> None:
    path = f"v1/content/{api.create()}"
    api.ask("PATCH", path, json={"locked": True})

    for method, what, body in (
        ("POST", "permissions", _grant(people["ann"], "viewer")),
        ("PUT", "vanity", {"path": "/locked/"}),
        ("POST", "tags", {"tag_id": "1"}),
        ("PUT", "thumbnail", {}),
        ("PUT", "oauth/integrations/associations", []),
    ):
        assert api.refused(method, f"{path}/{what}", json=body) == (403, 222)


def test_there_are_defaults_and_no_limits(api: Api) -> None:
    for path in ("server_settings/scheduler", "v1/server_settings/scheduler/python-fastapi"):
        told = api.ask("GET", path)
        limits = [value for name, value in told.items() if name.startswith("max_")]
        assert sorted(limits, reverse=True)[:3] == [20, 3, 0]  # conns, processes
        assert (told["init_timeout"], told["load_factor"]) == (60, 0.5)
    applications = api.ask("GET", "server_settings/applications")
    assert applications["access_types"] == ["all", "logged_in", "acl"]
    assert applications["run_as_current_user"] is False


def test_settings_are_told_without_a_key(api: Api) -> None:
    settings = httpx2.get(f"{api.server.url}/__api__/server_settings", trust_env=False).json()

    assert settings["version"] == "2026.06.0"
    assert settings["license"]["allow-apis"] is True
    for off in ("git_enabled", "git_available", "enable_image_management", "mail_configured"):
        assert settings[off] is False
    assert settings["license"]["enable-launcher"] is False


def test_what_clients_older_than_v1_ask_for(api: Api) -> None:
    guid = api.create(name="asked-of-old")
    path = f"v1/content/{guid}"

    older, user = api.ask("GET", "users/current"), api.ask("GET", "v1/user")
    assert older == api.ask("GET", "me")
    assert older.pop("id") > 0
    assert older.items() <= user.items()
    query = {"filter": ["account_id:1", "name:asked-of-old"], "count": 100, "start": 0, "cont": ""}
    found = api.ask("GET", "applications", params=query)
    assert (found["count"], found["total"]) == (1, 1)
    assert found["applications"][0]["guid"] == guid
    assert found["applications"][0]["url"] == api.ask("GET", path)["content_url"]
    everything = api.ask("GET", "applications", params={"start": 1, "count": 1})
    assert (everything["count"], everything["total"] > 1) == (1, True)


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"min_processes": 3, "max_processes": 2}, 114),
        ({"memory_request": 3, "memory_limit": 2}, 185),
        ({"cpu_request": 1.5, "cpu_limit": 1}, 190),
        ({"load_factor": 1.5}, 150),
    ],
)
def test_fields_that_do_not_fit_together(api: Api, fields: dict[str, float], code: int) -> None:
    guid = api.create()
    *first, last = fields.items()
    if first:
        api.ask("PATCH", f"v1/content/{guid}", json=dict(first))

    assert api.refused("PATCH", f"v1/content/{guid}", json=dict([last])) == (400, code)
    assert api.refused("POST", "v1/content", json={"name": "unfit", **fields}) == (400, code)


def test_what_is_included_must_be_known(api: Api) -> None:
    assert api.refused("GET", f"v1/content/{api.create()}?include=tags,color") == (400, 161)
    guid = api.create()
    owners = {
        each["guid"]: each["owner"]["username"]
        for each in api.ask("GET", "v1/content", params={"include": "owner"})
    }
    assert owners[guid] == "local"
