"""What all answers of the API have in common, and what is not there."""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING
from uuid import UUID

import httpx2
import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.routing import Route
from support.reference import DOCS

from hatch_connect.local.api.requests import Correlated, refuse_failure
from hatch_connect.local.api.routes import ABSENT, ROUTES

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response
    from support.local_api import Api


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "v1/audit_logs"),
        ("GET", "v1/instrumentation/content/hits"),
        ("POST", "v1/experimental/bootstrap"),
        ("GET", "v1/content/x/schedule/history"),
        ("PUT", "v1/users"),
        ("PATCH", "v1/groups/x"),
        ("GET", "v2/anything"),
    ],
)
def test_what_is_not_here_is_named(api: Api, method: str, path: str) -> None:
    answer = api.client.request(method, f"{api.server.url}/__api__/{path}", params={"a": 1})

    assert answer.status_code == 404
    assert answer.json() == {
        "code": 4,
        "error": f"{method} {path} is not part of the local server.",
        "payload": None,
    }


def test_what_is_not_here_is_told_to_those_with_a_key_only(api: Api) -> None:
    answer = httpx2.get(f"{api.server.url}/__api__/v1/audit_logs", trust_env=False)

    assert (answer.status_code, answer.json()["code"]) == (401, 30)
    for path in ("v1/experimental/bootstrap", "v1/bootstrap", "tokens"):
        first = httpx2.post(f"{api.server.url}/__api__/{path}", trust_env=False)
        assert (first.status_code, first.json()["code"]) == (404, 4)


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("PUT", "v1/content", "GET, HEAD, POST"),
        ("POST", "server_settings", "GET, HEAD"),
        ("POST", "v1/content/x/environment", "GET, HEAD, PATCH, PUT"),
        ("PATCH", "v1/users", "GET, HEAD, POST"),
        ("INVENTED", "v1/tags", "GET, HEAD, POST"),
    ],
)
def test_a_method_that_a_path_does_not_have(api: Api, method: str, path: str, allowed: str) -> None:
    answer = api.client.request(method, f"{api.server.url}/__api__/{path}")

    assert answer.status_code == 405
    assert answer.headers["allow"] == allowed
    assert answer.json().keys() == {"code", "error", "payload"}


def test_what_is_absent_is_absent() -> None:
    there = {(route.path, method) for route in ROUTES for method in route.methods or ()}
    absent = {(path, method) for path, methods in ABSENT.items() for method in methods}

    assert not there & absent
    assert {path for path, _ in there} >= ABSENT.keys()


def test_the_documentation_lists_what_is_not_here(api: Api) -> None:
    page = (DOCS / "reference/local-server.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| .+ \| (`.+`) \|$", page.partition("And all of this")[2], re.MULTILINE)
    paths = [path for row in rows for path in re.findall(r"`([^`]+)`", row)]

    assert len(paths) > 20
    for path in paths:
        for method in ("GET", "POST"):
            error = f"{method} {path} is not part of the local server."
            answer = api.client.request(method, f"{api.server.url}/__api__/{path}")
            assert (answer.status_code, answer.json()["error"]) == (404, error)


def test_every_answer_has_an_id_that_its_request_may_bring(api: Api) -> None:
    url = f"{api.server.url}/__api__/v1/user"
    name = "X-Correlation-ID"

    first, second = (api.client.get(url).headers[name] for _ in range(2))
    assert UUID(first) != UUID(second)
    assert api.client.get(url, headers={name: "mine.1-a"}).headers[name] == "mine.1-a"
    refused = httpx2.get(url, headers={name: "mine"}, trust_env=False)
    assert (refused.status_code, refused.headers[name]) == (401, "mine")
    for strange in ("a b", "é", "x" * 129, ""):
        given = {name.encode(): strange.encode()}
        assert len(str(UUID(api.client.get(url, headers=given).headers[name]))) == 36


def test_a_failure_is_answered_as_errors_are() -> None:
    async def fail(_request: Request) -> Response:
        raise RuntimeError

    app = Starlette(
        routes=[Route("/", fail)],
        middleware=[Middleware(Correlated)],
        exception_handlers={Exception: refuse_failure},
    )

    async def ask() -> httpx2.Response:
        transport = httpx2.ASGITransport(app, raise_app_exceptions=False)
        async with httpx2.AsyncClient(transport=transport, base_url="http://test") as client:
            return await client.get("/", headers={"X-Correlation-ID": "mine"})

    answer = asyncio.run(ask())
    assert (answer.status_code, answer.json()["code"]) == (500, 1)
    assert answer.headers["x-correlation-id"] == "mine"
