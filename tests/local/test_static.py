"""Content that needs no process, and content that this server cannot have."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

import pytest
from support.connect_content import bundle_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from support.local_api import Api

_PAGES = {
    "index.html": b"<h1>first</h1>",
    "other page.html": b"<h1>other</h1>",
    "sub/index.html": b"<h1>sub</h1>",
    "sub/a.css": b"p {}",
}


def _static(files: Mapping[str, bytes] = _PAGES, **metadata: str) -> bytes:
    described = {"appmode": "static", "entrypoint": "index.html", **metadata}
    return bundle_of(files, metadata=described, python=None, locale=None)


def test_pages_are_served_as_they_are(api: Api) -> None:
    guid = api.ship(_static(primary_html="index.html"))

    assert api.visit(guid).text == "<h1>first</h1>"
    assert api.visit(guid).headers["content-type"].startswith("text/html")
    assert api.visit(guid, "other%20page.html").text == "<h1>other</h1>"
    assert api.visit(guid, "sub/a.css").headers["content-type"].startswith("text/css")
    assert api.visit(guid, "sub/").text == "<h1>sub</h1>"
    redirected = api.visit(guid, "sub", follow_redirects=True)
    assert redirected.url.path == f"/content/{guid}/sub/"
    assert api.visit(guid, method="HEAD").status_code == 200
    etag = {"If-None-Match": api.visit(guid).headers["etag"]}
    assert api.visit(guid, headers=etag).status_code == 304


@pytest.mark.parametrize("path", ["none.html", "..%2f..%2fapi-key", "%2fetc/hostname", "sub/none/"])
def test_what_is_no_page_is_not_found(api: Api, path: str) -> None:
    guid = api.ship(_static())

    assert api.visit(guid, path).status_code == 404


def test_pages_are_only_read(api: Api) -> None:
    assert api.visit(api.ship(_static()), method="POST").status_code == 405


def test_the_first_page_may_lie_in_a_folder(api: Api) -> None:
    guid = api.ship(_static(entrypoint="sub/index.html"))

    answer = api.visit(guid, follow_redirects=True)

    assert answer.text == "<h1>sub</h1>"
    assert answer.url.path == f"/content/{guid}/sub/index.html"


def test_pages_need_no_python(api: Api) -> None:
    guid = api.ship(_static())

    content = api.ask("GET", f"v1/content/{guid}")
    assert content["app_mode"] == "static"
    assert content["py_version"] is None
    assert content["py_environment_management"] is None
    assert api.ask("GET", f"v1/content/{guid}/jobs") == []
    assert api.refused("GET", f"v1/content/{guid}/lockfile") == (404, 4)


def test_pages_are_drafted_activated_rolled_back_and_removed(api: Api) -> None:
    guid = api.ship(_static())
    first = api.ask("GET", f"v1/content/{guid}")["bundle_id"]
    draft = api.upload(guid, _static({"index.html": b"second"}))

    api.deploy(guid, draft, activate=False)
    assert api.visit(guid).text == "<h1>first</h1>"
    assert api.visit(guid, f"_bundle{draft}/").text == "second"
    api.deploy(guid, draft)
    assert api.visit(guid).text == "second"
    api.deploy(guid, first)
    assert api.visit(guid).text == "<h1>first</h1>"

    api.ask("DELETE", f"v1/content/{guid}/bundles/{draft}", 204)
    assert [one["id"] for one in api.ask("GET", f"v1/content/{guid}/bundles")] == [first]
    assert api.visit(guid, f"_bundle{draft}/").status_code == 404


def test_pages_whose_files_are_gone(api: Api) -> None:
    guid = api.ship(_static())
    number = api.ask("GET", f"v1/content/{guid}")["bundle_id"]
    shutil.rmtree(api.server.state / "unpacked" / number)

    answer = api.visit(guid)

    assert answer.status_code == 502
    assert "Deploy it again." in answer.text


def test_another_kind_of_content_is_refused(api: Api) -> None:
    guid = api.ship(_static())
    other = api.upload(guid)

    deploy = f"v1/content/{guid}/deploy"
    assert api.refused("POST", deploy, json={"bundle_id": other}) == (403, 48)


def _model(files: Mapping[str, bytes]) -> bytes:
    return bundle_of(
        files, metadata={"appmode": "tensorflow-saved-model"}, python=None, locale=None
    )


def test_a_model_is_described_and_predicts_nothing(api: Api) -> None:
    files = {"1/saved_model.pb": b"x", "2/saved_model.pbtxt": b"x", "1/variables/a": b""}
    guid = api.ship(_model(files))

    answer = api.visit(guid)

    assert answer.json()["saved_models"] == ["1", "2"]
    assert "does not serve predictions" in answer.json()["message"]
    predicted = api.visit(guid, "v1/models/1:predict", method="POST", json={"instances": []})
    assert predicted.status_code == 501
    assert "does not serve predictions" in predicted.json()["error"]


def test_a_folder_without_a_model_is_none(api: Api) -> None:
    guid = api.create()

    task = api.deploy(guid, api.upload(guid, _model({"1/saved_model.h5": b""})))

    assert "contains no SavedModel" in task["error"]


@pytest.mark.parametrize(
    ("app_mode", "why"),
    [
        ("shiny", "does not run R: deploy Shiny for R to"),
        ("rmd-static", "does not run R: deploy R Markdown to"),
        ("rmd-shiny", "does not run R"),
        ("api", "does not run R"),
        ("nodejs", "does not run Node.js"),
    ],
)
def test_what_this_server_cannot_have(api: Api, app_mode: str, why: str) -> None:
    guid = api.create()
    metadata = {"appmode": app_mode, "primary_rmd": "a.Rmd"}
    more: dict[str, Any] = {"platform": "4.3.1", "packages": {"knitr": {"Source": "CRAN"}}}
    good = bundle_of({"a.Rmd": b""}, metadata=metadata, python=None, **more)
    wrong_files = {"b.Rmd": {"checksum": "0" * 32}}
    wrong = bundle_of({"a.Rmd": b""}, metadata=metadata, python=None, files=wrong_files)

    refused = api.deploy(guid, api.upload(guid, good))
    broken = api.deploy(guid, api.upload(guid, wrong))

    assert refused["code"] == broken["code"] == 1
    assert why in refused["error"]
    assert "not in the archive: 'b.Rmd'" in broken["error"]
    assert api.visit(guid).status_code == 404
