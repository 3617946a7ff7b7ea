"""Rendering again and building, with a stand-in for nbconvert that needs no registry."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.connect_content import NBCONVERT, brings, bundle_of

if TYPE_CHECKING:
    from support.local_api import Api


def _notebook(text: str = "it") -> bytes:
    needed = brings(nbconvert=NBCONVERT)
    metadata = {"appmode": "jupyter-static", "entrypoint": "report.ipynb"}
    return bundle_of({"report.ipynb": text.encode(), **needed}, metadata=metadata)


def test_a_notebook_is_rendered_again(api: Api, bob: Api) -> None:
    guid = api.ship(_notebook())
    path = f"v1/content/{guid}"
    shown, described = api.visit(guid).text, api.ask("GET", path)

    for body in ({}, {"variant_key": "default"}, {"variant_key": None}):
        task_id = api.ask("POST", f"{path}/render", 202, json=body)["task_id"]
        assert bob.refused("GET", f"v1/tasks/{task_id}") == (403, 22)
        task = api.finished(task_id)
        assert task["code"] == 0, task
        assert api.visit(guid).text.startswith("rendered it at ")
        assert api.visit(guid).text != shown
        shown = api.visit(guid).text

    assert api.ask("GET", path) == described
    assert [job["tag"] for job in api.jobs(guid)] == ["build_jupyter"] * 4
    assert api.refused("POST", f"{path}/render", json={"variant_key": "other"}) == (404, 4)
    api.ask("PATCH", path, json={"locked": True})
    assert api.refused("POST", f"{path}/render", json={}) == (403, 222)


def test_a_variant_is_rendered_as_posit_sdk_asks_for_it(api: Api) -> None:
    guid = api.ship(_notebook())
    shown = api.visit(guid).text

    (variant,) = api.ask("GET", f"applications/{guid}/variants")
    begun = api.ask("POST", f"variants/{variant['id']}/render")

    assert variant["is_default"]
    assert api.finished(begun["id"])["code"] == 0
    assert api.visit(guid).text != shown
    assert api.refused("POST", "variants/0/render") == (404, 4)


def test_what_is_not_rendered(api: Api) -> None:
    guid = api.ship()

    assert api.refused("POST", f"v1/content/{guid}/render", json={}) == (400, 72)
    assert api.refused("POST", f"v1/content/{api.create()}/render") == (400, 72)
    assert api.ask("GET", f"applications/{guid}/variants") == []


def test_building_keeps_what_was_rendered(api: Api) -> None:
    guid = api.ship(_notebook())
    path = f"v1/content/{guid}/build"
    first = api.ask("GET", f"v1/content/{guid}")["bundle_id"]
    shown = api.visit(guid).text

    built = api.finished(api.ask("POST", path, json={"bundle_id": first})["task_id"])

    assert built["code"] == 0
    assert api.visit(guid).text == shown
    fresh = api.upload(guid, _notebook("another"))
    draft = {"bundle_id": fresh, "activate": False}
    assert api.finished(api.ask("POST", path, json=draft)["task_id"])["code"] == 0
    assert api.visit(guid).text == shown
    assert "another" in api.visit(guid, f"_bundle{fresh}/").text
    assert api.finished(api.ask("POST", path, json={"activate": None})["task_id"])["code"] == 0
    assert "another" in api.visit(guid).text
    broken = api.upload(guid, _notebook("fails"))
    task = api.finished(api.ask("POST", path, json={"bundle_id": broken})["task_id"])
    assert (task["code"], "Rendering" in task["error"]) == (1, True)
    assert api.refused("POST", path, json={"activate": 1}) == (400, 2)
    assert api.refused("POST", path, json={"more": 1}) == (400, 121)


@pytest.mark.parametrize(
    ("method", "what"),
    [("GET", "repository"), ("PUT", "repository"), ("POST", "repository/bundle")],
)
def test_content_is_not_git_backed(api: Api, method: str, what: str) -> None:
    assert api.refused(method, f"v1/content/{api.create()}/{what}", json={}) == (404, 4)
