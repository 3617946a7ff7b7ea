"""What is installed, and the caches in which it is, without a package registry."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from support.connect_content import PYTHON, brings, bundle, wheel
from support.local_api import asking

from hatch_connect.events import silent
from hatch_connect.local.start import running

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from support.local_api import Api

CACHE = {"language": "Python", "version": PYTHON, "image_name": "Local"}


def _with(*names: str) -> bytes:
    """Return a bundle that needs packages of these names, which it brings itself."""
    return bundle(brings(**{name: wheel(name) for name in names}))


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """A server whose environments are those of these tests."""
    state: Path = tmp_path_factory.mktemp("packages") / "state"
    with running(state, environ=os.environ, report=silent) as server, asking(server) as api:
        yield api


def _removed(api: Api) -> list[str]:
    """Remove a cache, which must succeed, and return the lines of the task."""
    answer = api.ask("DELETE", "v1/system/caches/runtime", json=CACHE)
    task = api.finished(answer.pop("task_id"))
    assert (answer, task["code"]) == (CACHE, 0)
    lines: list[str] = task["output"]
    return lines


def test_what_content_has_installed(alone: Api) -> None:
    guid = alone.ship(_with("one", "two"))
    content = alone.ask("GET", f"v1/content/{guid}")
    path = f"v1/content/{guid}"

    lock = alone.client.get(f"{alone.server.url}/__api__/{path}/lockfile")
    found = alone.ask("GET", f"{path}/packages")

    assert lock.text == "one==1.0\ntwo==1.0\n"
    assert lock.headers["Generated-By"] == f"connect; python={PYTHON}"
    assert [one["name"] for one in found] == ["one", "two"]
    assert found[0] == {
        "language": "python",
        "language_version": PYTHON,
        "name": "one",
        "version": "1.0",
        "hash": None,
        "bundle_id": content["bundle_id"],
        "app_id": content["id"],
        "app_guid": guid,
        "content_id": content["id"],
        "content_guid": guid,
    }


def test_the_packages_of_all_content(alone: Api) -> None:
    guids = [alone.ship(_with(*names)) for names in (("alike", "aside"), ("alike",))]

    everything = alone.ask("GET", "v1/packages", params={"page_size": 1_000_000})
    named = {"name": "alike", "page_size": 1, "page_number": 2}
    page = alone.ask("GET", "v1/packages", params=named)

    names = [one["name"] for one in everything["results"]]
    assert names == sorted(names)
    assert everything["total"] == len(names)
    assert page["total"] == page["current_page"] == 2
    assert [one["content_guid"] for one in page["results"]] == guids[1:]
    last = alone.ask("GET", "v1/packages", params={"asc_order": "false", "page_size": 500})
    assert [one["name"] for one in last["results"]] == names[::-1]


def test_what_has_nothing_installed(api: Api) -> None:
    empty = f"v1/content/{api.create()}"
    assert api.ask("GET", f"{empty}/packages", 204) is None
    assert api.refused("GET", f"{empty}/lockfile") == (404, 4)

    page = {"index.html": b"<p>"}
    metadata = {"appmode": "static", "primary_html": "index.html", "entrypoint": "index.html"}
    static = f"v1/content/{api.ship(bundle(page, metadata=metadata, python=None))}"
    assert api.ask("GET", f"{static}/packages") == []
    assert api.refused("GET", f"{static}/lockfile") == (404, 4)


def test_a_cache_is_removed_and_what_needs_it_makes_it_again(alone: Api) -> None:
    guid = alone.ship(_with("again"))
    assert alone.visit(guid).status_code == 200
    assert CACHE in alone.ask("GET", "v1/system/caches/runtime")["caches"]

    rehearsed = alone.ask("DELETE", "v1/system/caches/runtime", json={**CACHE, "dry_run": True})
    assert rehearsed == {**CACHE, "task_id": None}
    assert CACHE in alone.ask("GET", "v1/system/caches/runtime")["caches"]
    lines = _removed(alone)

    assert any("Removed" in line for line in lines)
    assert alone.ask("GET", "v1/system/caches/runtime") == {"caches": []}
    assert not list((alone.server.state / "environments").iterdir())
    (job, *_) = alone.jobs(guid)
    assert job["end_time"]
    assert alone.refused("GET", f"v1/content/{guid}/lockfile") == (404, 4)
    assert alone.visit(guid).status_code == 200
    assert alone.ask("GET", f"v1/content/{guid}/packages")[0]["name"] == "again"


@pytest.mark.parametrize(
    ("asked", "refusal"),
    [
        ({"language": "Perl"}, (400, 179)),
        ({"language": None}, (400, 179)),
        ({"version": 3}, (400, 2)),
        ({"dry_run": "yes"}, (400, 2)),
        ({"version": "2.7.18"}, (404, 4)),
        ({"version": "../bundles"}, (404, 4)),
        ({"language": "R", "version": "4.4.1"}, (404, 4)),
        ({"image_name": "an/image:1"}, (404, 4)),
        ({"more": 1}, (400, 121)),
    ],
)
def test_a_cache_that_cannot_be_removed(
    api: Api, asked: dict[str, object], refusal: tuple[int, int]
) -> None:
    api.ship()

    for dry in ({}, {"dry_run": True}):
        body = {**CACHE, **dry, **asked}
        assert api.refused("DELETE", "v1/system/caches/runtime", json=body) == refusal
