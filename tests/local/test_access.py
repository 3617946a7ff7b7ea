"""Who may do what: a table of users, kinds of access and lists, asked of each family of paths."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, TypeAlias

import pytest

from hatch_connect.local.api.routes import ROUTES

if TYPE_CHECKING:
    from support.local_api import Api

_Case: TypeAlias = tuple[str, dict[str, str], str, str]
_Way: TypeAlias = tuple[str, str]

# What is not here is for everybody with a key.
_OF_ADMINISTRATORS = {
    ("GET", "/v1/vanities"),
    ("POST", "/v1/tags"),
    ("PATCH", "/v1/tags/{id}"),
    ("DELETE", "/v1/tags/{id}"),
    ("POST", "/v1/users"),
    ("GET", "/v1/system/caches/runtime"),
    ("DELETE", "/v1/system/caches/runtime"),
}
_OF_PUBLISHERS = {
    ("POST", "/v1/content"),
    ("POST", "/v1/groups"),
    ("GET", "/v1/environments"),
    ("GET", "/v1/environments/{guid}"),
    ("GET", "/v1/oauth/integrations"),
    ("GET", "/v1/oauth/integrations/{guid}"),
    ("GET", "/v1/oauth/integrations/{guid}/associations"),
    *(
        ("GET", f"/v1/server_settings/{language}")
        for language in ("python", "r", "quarto", "nodejs", "tensorflow")
    ),
}
_CONTENT = ("/v1/content/{guid}", "/applications/{guid}")
# What whoever sees content may read of it; all else is for those who may change it.
_READING = {
    ("GET", below) for below in ("", "/tags", "/vanity", "/thumbnail", "/repository", "/variants")
} | {("GET", below) for below in ("/bundles", "/bundles/{bundle}")}


def _ways() -> tuple[set[_Way], set[_Way]]:
    """Return all that can be asked: of content, below its own path, and all else."""
    of_content: set[_Way] = set()
    others: set[_Way] = set()
    for route in ROUTES:
        for method in (route.methods or set()) - {"HEAD"}:
            start = next((one for one in _CONTENT if route.path.startswith(one)), None)
            ways = others if start is None else of_content
            ways.add((method, route.path.removeprefix(start or "")))
    return of_content, others


_OF_CONTENT, _OTHERS = _ways()

# For each access and list: what content of the developer is to ann, a publisher, and bob, a viewer.
TABLE: list[_Case] = [
    ("acl", {}, "none", "none"),
    ("logged_in", {}, "viewer", "viewer"),
    ("all", {}, "viewer", "viewer"),
    ("acl", {"bob": "viewer"}, "none", "viewer"),
    ("acl", {"ann": "viewer"}, "viewer", "none"),
    ("acl", {"ann": "owner"}, "editor", "none"),
    ("acl", {"analysts": "viewer"}, "viewer", "none"),
    ("acl", {"analysts": "owner"}, "editor", "none"),
    ("all", {"ann": "viewer", "analysts": "owner"}, "editor", "viewer"),
    ("logged_in", {"ann": "owner", "bob": "viewer"}, "editor", "viewer"),
]


@pytest.fixture
def guids(api: Api) -> dict[str, dict[str, str]]:
    """By name, what names somebody in a permission."""
    users = api.ask("GET", "v1/users", params={"page_size": 500})["results"]
    groups = api.ask("GET", "v1/groups", params={"page_size": 500})["results"]
    return {
        one["username"]: {"principal_guid": one["guid"], "principal_type": "user"} for one in users
    } | {one["name"]: {"principal_guid": one["guid"], "principal_type": "group"} for one in groups}


def _code(who: Api, method: str, path: str, body: object = None) -> int | None:
    """Return Connect's code of a refusal for want of rights; None if it is for another reason."""
    path = re.sub(r"\{[^}]*\}", "0", path)
    answer = who.client.request(method, f"{who.server.url}/__api__/{path}", json=body or {})
    assert answer.status_code != 500, (method, path)
    if answer.status_code != 403:
        return None
    code: int = answer.json()["code"]
    return code


def _shared(api: Api, guids: dict[str, dict[str, str]], access: str, listed: dict[str, str]) -> str:
    """Return content of the developer's with that access and list."""
    guid = api.create(access_type=access)
    for name, role in listed.items():
        given = {**guids[name], "role": role}
        api.ask("POST", f"v1/content/{guid}/permissions", json=given)
    return guid


@pytest.mark.parametrize("case", TABLE)
def test_who_is_what(
    api: Api, ann: Api, bob: Api, guids: dict[str, dict[str, str]], case: _Case
) -> None:
    access, listed, of_ann, of_bob = case
    guid = _shared(api, guids, access, listed)

    assert api.ask("GET", f"v1/content/{guid}")["app_role"] == "owner"
    for who, role in ((ann, of_ann), (bob, of_bob)):
        found = [one["app_role"] for one in who.ask("GET", "v1/content") if one["guid"] == guid]
        assert found == ([] if role == "none" else [role])


@pytest.mark.parametrize("case", [TABLE[0], TABLE[2], TABLE[5]])
def test_what_each_may(
    api: Api, ann: Api, bob: Api, guids: dict[str, dict[str, str]], case: _Case
) -> None:
    access, listed, of_ann, of_bob = case
    guid = _shared(api, guids, access, listed)

    _check(ann, guid, of_ann, refused=21)
    _check(bob, guid, of_bob, refused=22)


def _check(who: Api, guid: str, role: str, *, refused: int) -> None:
    """Ask all families of paths as one who has that role in the content."""
    seen = 19 if role == "none" else None
    edited = None if role == "editor" else seen or refused
    for method, below in sorted(_OF_CONTENT - {("DELETE", "")}):
        start = "applications" if below == "/variants" else "v1/content"
        expected = seen if (method, below) in _READING else edited
        assert _code(who, method, f"{start}/{guid}{below}") == expected, (method, below)
    assert _code(who, "GET", f"applications/{guid}") == seen


def test_the_log_of_a_deployment_is_for_those_who_may_deploy(api: Api, ann: Api, bob: Api) -> None:
    guid = ann.create(access_type="all")
    task = ann.deploy(guid, ann.upload(guid, b"no archive"))

    assert task["code"] == 1
    api.ask("GET", f"v1/tasks/{task['id']}")
    assert bob.refused("GET", f"v1/tasks/{task['id']}") == (403, 22)


def test_an_administrator_changes_what_only_others_visit(api: Api, ann: Api) -> None:
    guid = ann.create()
    path = f"v1/content/{guid}"

    found = next(one for one in api.ask("GET", "v1/content") if one["guid"] == guid)
    assert found["app_role"] == "none"
    for method, below in sorted(_OF_CONTENT - {("DELETE", "")}):
        start = "applications" if below == "/variants" else "v1/content"
        assert _code(api, method, f"{start}/{guid}{below}") is None, (method, below)
    assert api.ask("PATCH", path, json={"title": "Title"})["title"] == "Title"
    api.ask("DELETE", path, 204)


def test_who_may_lock_and_remove(api: Api, ann: Api, bob: Api) -> None:
    path = f"v1/content/{api.create(access_type='all')}"

    assert ann.refused("PATCH", path, json={"locked": True}) == (403, 49)
    assert ann.refused("DELETE", path) == (403, 20)
    for method in ("PATCH", "DELETE"):
        assert bob.refused(method, path, json={"locked": True}) == (403, 22)
    own = f"v1/content/{ann.create()}"
    assert ann.ask("PATCH", own, json={"locked": True})["locked"] is True
    assert api.ask("PATCH", own, json={"locked": False})["locked"] is False
    ann.ask("DELETE", own, 204)


def test_what_only_some_may_whatever_it_is_about(ann: Api, bob: Api) -> None:
    assert _OF_ADMINISTRATORS | _OF_PUBLISHERS <= _OTHERS
    for method, path in sorted(_OTHERS):
        if path.startswith("/__local__/"):
            assert ann.client.request(method, f"{ann.server.url}/__api__{path}").status_code == 401
            continue
        of_administrators = (method, path) in _OF_ADMINISTRATORS
        closed = of_administrators or (method, path) in _OF_PUBLISHERS
        assert _code(ann, method, path[1:]) == (22 if of_administrators else None), (method, path)
        assert _code(bob, method, path[1:]) == (22 if closed else None), (method, path)


def test_a_path_is_taken_only_from_content_that_one_may_change(api: Api, ann: Api) -> None:
    api.ask("PUT", f"v1/content/{api.create()}/vanity", json={"path": "/taken/"})
    own = f"v1/content/{ann.create()}/vanity"

    assert ann.refused("PUT", own, json={"path": "/taken/", "force": True}) == (409, 51)
    assert api.ask("PUT", own, json={"path": "/taken/", "force": True})["path"] == "/taken/"
