from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from support.connect_content import bundle

if TYPE_CHECKING:
    from support.local_api import Api


@pytest.fixture
def found(api: Api) -> dict[str, str]:
    """Three pieces of content: by their names, their GUIDs."""
    names = {"findable-a": "Sales of 2026", "findable-b": "Rain", "findable-c": "Rain and sales"}
    known = {one["name"]: one["guid"] for one in api.ask("GET", "v1/content")}
    for name, title in names.items():
        if name not in known:
            fields = {"name": name, "title": title, "description": "sought by tests"}
            known[name] = api.ask("POST", "v1/content", json=fields)["guid"]
    if not api.ask("GET", f"v1/content/{known['findable-a']}")["bundle_id"]:
        assert api.deploy(known["findable-a"], api.upload(known["findable-a"], bundle()))
        api.ask("PATCH", f"v1/content/{known['findable-b']}", json={"locked": True})
    return {name: known[name] for name in names}


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("sought", "abc"),
        ("SALES sought", "ac"),
        ('"and sales"', "c"),
        ("findable-b", "b"),
        ("sought published:true", "a"),
        ("sought published:false", "bc"),
        ("sought locked:true", "b"),
        ("sought type:python-fastapi,static", "a"),
        ("sought owner:@me", "abc"),
        ("sought owner:local rain", "bc"),
        ("sought owner:nobody", ""),
        ("sought nothing", ""),
    ],
)
def test_content_is_searched(api: Api, found: dict[str, str], query: str, names: str) -> None:
    asked = {"q": query, "sort": "name", "order": "asc"}

    answer = api.ask("GET", "v1/search/content", params=asked)

    assert answer.keys() == {"results", "current_page", "total"}
    assert [one["guid"] for one in answer["results"]] == [found[f"findable-{n}"] for n in names]
    assert answer["total"] == len(names)


def test_results_come_in_pages_with_what_is_included(api: Api, found: dict[str, str]) -> None:
    asked: dict[str, Any] = {"q": "sought", "page_size": 2, "include": "owner,tags"}

    first, second = (
        api.ask("GET", "v1/search/content", params={**asked, "page_number": number})
        for number in (1, 2)
    )

    results = [*first["results"], *second["results"]]
    assert [one["guid"] for one in results] == list(found.values())[::-1]  # the newest first
    assert (second["current_page"], second["total"]) == (2, 3)
    assert {one["owner"]["username"] for one in results} == {"local"}
    assert api.refused("GET", "v1/search/content", params={"include": "color"}) == (400, 161)
    assert api.refused("GET", "v1/search/content", params={"sort": "color"}) == (400, 2)


def test_a_filter_that_means_nothing_is_left_out(api: Api, found: dict[str, str]) -> None:
    query = {"q": "sought published:bogus color:red"}

    answer = api.ask("GET", "v1/search/content", params=query)

    assert answer["total"] == len(found)
    assert [one.partition(":")[2].strip() for one in answer["warnings"]] == [
        "'published:bogus'",
        "'color:red'",
    ]


def test_content_of_a_tag(api: Api, found: dict[str, str]) -> None:
    category = api.ask("POST", "v1/tags", json={"name": "Where content is"})
    above = api.ask("POST", "v1/tags", json={"name": "above", "parent_id": category["id"]})
    below = api.ask("POST", "v1/tags", json={"name": "Below", "parent_id": above["id"]})
    guid = found["findable-c"]
    api.ask("POST", f"v1/content/{guid}/tags", json={"tag_id": below["id"]})

    for tag in (category["id"], above["id"], below["id"], "Where content is,above"):
        assert [one["guid"] for one in api.ask("GET", f"v1/tags/{tag}/content")] == [guid]
    assert api.refused("GET", "v1/tags/0/content") == (404, 4)
    query = {"q": "sought tag:below"}
    assert [one["guid"] for one in api.ask("GET", "v1/search/content", params=query)["results"]]
    api.ask("DELETE", f"v1/tags/{category['id']}", 204)
    assert api.ask("GET", f"v1/content/{guid}/tags") == []
