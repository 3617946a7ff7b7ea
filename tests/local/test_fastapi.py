"""With real packages, because restoring them is what is tested."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.connect_content import bundle

if TYPE_CHECKING:
    from support.local_api import Api

pytestmark = pytest.mark.registry

_APP = b"""
from fastapi import FastAPI
from fastapi.responses import PlainTextResponse
from fastapi.staticfiles import StaticFiles

app = FastAPI()
app.mount("/static", StaticFiles(directory="static"))

@app.get("/hello/")
def hello():
    return {"hello": "world"}
"""


def test_fastapi_is_installed_and_finds_its_own_pages(api: Api) -> None:
    files = {"app.py": _APP, "requirements.txt": b"fastapi\n", "static/a.txt": b"static"}
    guid = api.create()

    task = api.deploy(guid, api.upload(guid, bundle(files)))

    assert task["code"] == 0, task
    assert any("fastapi==" in line for line in task["output"])
    prefix = f"/content/{guid}"
    assert f"url: '{prefix}/openapi.json'" in api.visit(guid, "docs").text
    assert api.visit(guid, "openapi.json").json()["servers"] == [{"url": prefix}]
    assert api.visit(guid, "hello/").json() == {"hello": "world"}
    assert api.visit(guid, "hello", follow_redirects=True).json() == {"hello": "world"}
    assert api.visit(guid, "static/a.txt").text == "static"
    installed = {one["name"] for one in api.ask("GET", f"v1/content/{guid}/packages")}
    assert {"fastapi", "starlette"} <= installed
    assert "uvicorn" not in installed
