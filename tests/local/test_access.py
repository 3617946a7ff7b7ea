"""Who may do what: a table of users, kinds of access and lists, asked of each family of paths."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

import pytest

if TYPE_CHECKING:
    from support.local_api import Api

_Case: TypeAlias = tuple[str, dict[str, str], str, str]
_READING = (("GET", ""), ("GET", "/tags"), ("GET", "/vanity"), ("GET", "/thumbnail"))
_EDITORS_READ = (
    ("GET", "/environment"),
    ("GET", "/permissions"),
    ("GET", "/permissions/1"),
    ("GET", "/bundles"),
    ("GET", "/bundles/1"),
    ("GET", "/bundles/1/download"),
    ("GET", "/jobs"),
    ("GET", "/jobs/x"),
    ("GET", "/jobs/x/log"),
    ("GET", "/jobs/x/error"),
    ("GET", "/packages"),
    ("GET", "/lockfile"),
    ("GET", "/oauth/integrations/associations"),
)
_CHANGING: tuple[tuple[str, str, object], ...] = (
    ("PATCH", "/environment", []),
    ("PUT", "/environment", []),
    ("POST", "/permissions", {}),
    ("PUT", "/permissions/1", {}),
    ("DELETE", "/permissions/1", None),
    ("POST", "/bundles", b""),
    ("DELETE", "/bundles/1", None),
    ("POST", "/deploy", {}),
    ("PUT", "/vanity", {}),
    ("DELETE", "/vanity", None),
    ("POST", "/tags", {}),
    ("DELETE", "/tags/1", None),
    ("PUT", "/thumbnail", b""),
    ("DELETE", "/thumbnail", None),
    ("PUT", "/oauth/integrations/associations", {}),
)
_OF_ADMINISTRATORS = (
    ("GET", "v1/vanities"),
    ("POST", "v1/tags"),
    ("POST", "v1/users"),
    ("GET", "v1/system/caches/runtime"),
    ("DELETE", "v1/system/caches/runtime"),
)

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
    how: dict[str, Any] = {"content": body} if isinstance(body, bytes) else {"json": body}
    answer = who.client.request(method, f"{who.server.url}/__api__/{path}", **how)
    assert answer.status_code != 500, (method, path)
    if answer.status_code != 403:
        return None
    code: int = answer.json()["code"]
    return code


@pytest.mark.parametrize("case", TABLE)
def test_who_is_what(
    api: Api, ann: Api, bob: Api, guids: dict[str, dict[str, str]], case: _Case
) -> None:
    access, listed, of_ann, of_bob = case
    guid = api.create(access_type=access)
    path = f"v1/content/{guid}"
    for name, role in listed.items():
        api.ask("POST", f"{path}/permissions", json={**guids[name], "role": role})

    assert api.ask("GET", path)["app_role"] == "owner"
    _check(ann, guid, of_ann, refused=21)
    _check(bob, guid, of_bob, refused=22)


def _check(who: Api, guid: str, role: str, *, refused: int) -> None:
    """Ask all families of paths as one who has that role in the content."""
    path = f"v1/content/{guid}"
    found = [one["app_role"] for one in who.ask("GET", "v1/content") if one["guid"] == guid]
    assert found == ([] if role == "none" else [role])
    seen = 19 if role == "none" else None
    for method, below in _READING:
        assert _code(who, method, path + below) == seen, below
    assert _code(who, "GET", f"applications/{guid}") == seen
    edited = None if role == "editor" else seen or refused
    for method, below in _EDITORS_READ:
        assert _code(who, method, path + below) == edited, below
    for method, below, body in _CHANGING:
        assert _code(who, method, path + below, body) == edited, (method, below)
    assert _code(who, "PATCH", path, {"title": "Title"}) == edited


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
    for method, below in (*_READING, *_EDITORS_READ):
        assert _code(api, method, path + below) is None
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


def test_what_only_administrators_may(ann: Api, bob: Api) -> None:
    for method, path in _OF_ADMINISTRATORS:
        for who in (ann, bob):
            assert _code(who, method, path, {}) == 22, (method, path)


def test_a_viewer_publishes_nothing_and_reads_the_server(ann: Api, bob: Api) -> None:
    assert bob.refused("POST", "v1/content", json={"name": "of-bob"}) == (403, 22)
    for path in ("v1/environments", "v1/oauth/integrations"):
        assert bob.refused("GET", path) == (403, 22)
        ann.ask("GET", path)
    for path in ("v1/users", "v1/groups", "v1/tags", "v1/server_settings/python"):
        bob.ask("GET", path)


def test_a_path_is_taken_only_from_content_that_one_may_change(api: Api, ann: Api) -> None:
    api.ask("PUT", f"v1/content/{api.create()}/vanity", json={"path": "/taken/"})
    own = f"v1/content/{ann.create()}/vanity"

    assert ann.refused("PUT", own, json={"path": "/taken/", "force": True}) == (409, 51)
    assert api.ask("PUT", own, json={"path": "/taken/", "force": True})["path"] == "/taken/"
