"""An older or stricter server: what it says it is, and what it refuses."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import httpx2
import pytest
from support.connect_content import ASGI_APP, PYTHON, bundle, bundle_of
from support.local_api import Api, asking, serving
from support.official_client import IS_INSTALLED, SDK_IS_INSTALLED
from support.waiting import PATIENCE

from hatch_connect.errors import UsageError
from hatch_connect.events import silent
from hatch_connect.local.pythons import find_pythons
from hatch_connect.local.start import running
from hatch_connect.local.versions import (
    ADDITIONS,
    NEWEST,
    OLDEST,
    Addition,
    AsRelease,
    Release,
    read_release,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from starlette.types import Message, Receive, Scope, Send

    from hatch_connect.local.folder import LocalServer

MINOR = f"{sys.version_info.major}.{sys.version_info.minor}"


@pytest.fixture(scope="module")
def oldest(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """The oldest server there is, which lacks everything that any other may lack."""
    home = tmp_path_factory.mktemp("oldest")
    with serving(home, "--connect-version", "2022.08") as (server, said), asking(server) as api:
        assert "It answers as Connect 2022.08.0 does, as far as that is known." in said
        yield api


@pytest.mark.parametrize(
    ("text", "release"),
    [
        ("2025.06", "2025.06.0"),
        ("2025.6", "2025.06.0"),
        ("2025.06.0", "2025.06.0"),
        (" 2025.12.1 ", "2025.12.1"),
        ("2022.08", str(OLDEST)),
        ("2026.06.2", "2026.06.2"),
    ],
)
def test_a_release_as_people_write_it(text: str, release: str) -> None:
    assert str(read_release(text)) == release


@pytest.mark.parametrize(
    ("text", "because"),
    [
        ("banana", "is not a release of Connect"),
        ("2025", "is not a release of Connect"),
        ("2025.13", "is not a release of Connect"),
        ("2025.00", "is not a release of Connect"),
        ("v2025.06", "is not a release of Connect"),
        ("2025.06.0-dev", "is not a release of Connect"),
        ("1.8.6", "is not a release of Connect"),
        ("2022.07", "does not know how Connect 2022.07.0 answered"),
        ("2026.07", "does not know what Connect 2026.07.0 added"),
    ],
)
def test_what_is_no_release_is_refused(text: str, because: str) -> None:
    with pytest.raises(UsageError, match=because) as caught:
        read_release(text)

    assert caught.value.hint


@pytest.mark.parametrize("one", ADDITIONS, ids=lambda one: f"{one.since} {one.kind}")
def test_every_addition_is_there_from_its_release_on(one: Addition) -> None:
    before = Release(one.since.year, one.since.month - 1, 9)
    paths = [path.replace("{", "").replace("}", "") for path in one.paths] or [""]

    assert OLDEST < one.since <= NEWEST
    for path in paths:
        assert one in before.lacking(one.kind, path)
        assert one not in one.since.lacking(one.kind, path)
    assert one.source


def test_what_is_about_a_path_does_not_concern_others() -> None:
    old = Release(2022, 8)

    assert not old.has("field", "activate", "/v1/content/some-guid/deploy")
    assert old.has("field", "activate", "/v1/content/some-guid")
    assert old.has("field", "name", "/v1/content")
    assert old.lacking("path", "/v1/content/some-guid/jobs/key/log")
    assert not old.lacking("path", "/v1/content/some-guid/bundles")
    assert not old.lacking("path", "/v1/content/jobs")


def test_it_says_which_one_it_is(oldest: Api) -> None:
    assert oldest.ask("GET", "server_settings")["version"] == "2022.08.0"


def test_paths_that_it_does_not_have(oldest: Api) -> None:
    guid = oldest.create()
    paths = [path for one in ADDITIONS for path in one.paths if one.kind == "path"]
    assert len(paths) > 10

    for path in paths:
        for more in ("", "/below"):
            url = f"{oldest.server.url}/__api__{path.format(guid=guid, id=1)}{more}"
            answer = oldest.client.get(url)
            assert (answer.status_code, answer.text) == (404, "404 page not found"), url
            assert answer.headers["content-type"] == "text/plain; charset=utf-8"


def test_fields_that_it_does_not_know(oldest: Api) -> None:
    guid = oldest.create()
    number = oldest.upload(guid)

    for fields in ({"locked": True}, {"content_category": "mcp"}, {"otel_enabled": True}):
        assert oldest.refused("PATCH", f"v1/content/{guid}", json=fields) == (400, 121)
    given = {"bundle_id": number, "activate": False}
    assert oldest.refused("POST", f"v1/content/{guid}/deploy", json=given) == (400, 121)
    included = {"include": "tags,vanity_url"}
    assert oldest.refused("GET", "v1/content", params=included) == (400, 161)
    # posit-sdk always asks for it, on any release.
    assert "tags" not in oldest.ask("GET", f"v1/content/{guid}", params=included)
    listed = oldest.ask("GET", "v1/content", params={"include": "tags"})
    assert all(each["tags"] == [] for each in listed)


def test_fields_that_it_does_not_tell(oldest: Api) -> None:
    guid = oldest.ship()

    content = oldest.ask("GET", f"v1/content/{guid}")
    (listed,) = (each for each in oldest.ask("GET", "v1/content") if each["guid"] == guid)
    (kept,) = oldest.ask("GET", f"v1/content/{guid}/bundles")

    assert content == listed
    assert content.keys().isdisjoint(("locked", "otel_enabled", "environment_guid"))
    assert content["bundle_id"] == kept["id"]
    assert "active" not in kept
    assert oldest.visit(guid).status_code == 200


def test_an_upload_with_metadata(oldest: Api) -> None:
    guid = oldest.create()
    parts = {"archive": ("b.tar.gz", bundle(), "application/x-tar"), "metadata": (None, "{}")}

    assert oldest.refused("POST", f"v1/content/{guid}/bundles", files=parts) == (400, 135)


@pytest.mark.parametrize("app_mode", ["python-gradio", "python-panel", "tensorflow-saved-model"])
def test_content_that_it_does_not_run(oldest: Api, app_mode: str) -> None:
    guid = oldest.create()
    number = oldest.upload(guid, bundle(metadata={"appmode": app_mode, "entrypoint": "app"}))

    answer = oldest.client.post(
        f"{oldest.server.url}/__api__/v1/content/{guid}/deploy", json={"bundle_id": number}
    )

    assert (answer.status_code, answer.json()["code"]) == (400, 38)
    assert answer.json()["error"] == f"Cannot process manifest: Unrecognized app mode {app_mode}"


def test_what_a_manifest_asks_for_in_vain(oldest: Api) -> None:
    asked = {"python": {"requires": ">=3.8"}, "environment_management": {"python": False}}
    python = {"version": "3.1.0", "package_manager": {"name": "pip", "package_file": "r.txt"}}
    files = {"app.py": b"", "r.txt": b""}
    guid = oldest.create()
    number = oldest.upload(guid, bundle_of(files, environment=asked, python=python))
    assert "no compatible Local environment" in oldest.deploy(guid, number)["error"]

    number = oldest.upload(guid, bundle(environment=asked))
    task = oldest.deploy(guid, number)

    assert (task["code"], oldest.ask("GET", f"v1/content/{guid}")["py_version"]) == (0, PYTHON)
    assert not any("management is off" in line for line in task["output"])


def test_a_draft_cannot_be_visited(oldest: Api) -> None:
    guid = oldest.ship()
    active = oldest.ask("GET", f"v1/content/{guid}")["bundle_id"]
    headers = dict(oldest.client.headers)

    answer = oldest.visit(guid, f"_bundle{active}/", headers=headers)

    assert (answer.status_code, answer.text) == (404, "404 page not found")


def test_a_python_that_takes_no_new_deployments(tmp_path: Path) -> None:
    state = tmp_path / "hatch-connect" / "local"
    with running(state, environ=os.environ, report=silent) as server, asking(server) as api:
        guid = api.ship()
        earlier = api.ask("GET", f"v1/content/{guid}")["bundle_id"]

    with serving(tmp_path, "--python", f"{PYTHON}:unpublishable") as (server, said):
        assert f"Its Pythons: {PYTHON} (not for new deployments)." in said
        with asking(server) as api:
            told = api.ask("GET", "v1/server_settings/python")
            assert [(one["version"], one["publishable"]) for one in told["installations"]] == [
                (PYTHON, False)
            ]
            assert told["api_enabled"] is True
            headers = dict(api.client.headers)
            assert api.visit(guid, headers=headers).status_code == 200
            task = api.deploy(guid, api.upload(guid))
            assert task["code"] == 1
            assert task["error"] == (
                "Cannot find compatible environment: no compatible Local environment with Python"
                f" version {PYTHON}"
            )
            assert api.ask("GET", f"v1/content/{guid}")["bundle_id"] == earlier
            assert api.deploy(guid, earlier)["code"] == 0
        (tmp_path / "app.py").write_bytes(ASGI_APP)
        (tmp_path / "requirements.txt").write_text("")
        text = f'[tool.hatch-connect]\napp-mode = "fastapi"\npython-version = "{MINOR}"\n'
        (tmp_path / "pyproject.toml").write_text(text)
        done = _ours(server, tmp_path, "deploy")
        assert done.returncode == 2, done.stderr
        assert f"The server does not have Python {MINOR}" in done.stderr


def test_what_needs_a_python_that_is_not_there(tmp_path: Path) -> None:
    others = [one.version for one in find_pythons(os.environ) if one.version != PYTHON]
    if not others:
        pytest.skip("needs a second Python")
    state = tmp_path / "hatch-connect" / "local"
    with running(state, environ=os.environ, report=silent) as server, asking(server) as api:
        guid = api.ship()

    with serving(tmp_path, "--python", others[-1]) as (server, _said), asking(server) as api:
        told = api.ask("GET", "v1/server_settings/python")["installations"]
        answer = api.visit(guid, headers=dict(api.client.headers))

    assert [one["version"] for one in told] == [others[-1]]
    assert answer.status_code == 502
    assert f"does not have Python {PYTHON}" in answer.text


def test_such_a_server_is_stored_nowhere(tmp_path: Path) -> None:
    with serving(tmp_path, "--connect-version", "2025.06", "--port", "0") as (server, _said):
        url = server.url
        settings = f"{url}/__api__/server_settings"
        told = httpx2.get(settings, trust_env=False, timeout=PATIENCE).json()
        assert told["version"] == "2025.06.0"

    with running(server.state, environ=os.environ, report=silent) as again, asking(again) as api:
        assert again.url == url
        assert api.ask("GET", "server_settings")["version"] == str(NEWEST)


def _answered(release: Release, path: str, *messages: Message) -> list[Message]:
    """Return what a server of a release sends if its application sends these messages."""
    sent: list[Message] = []

    async def app(_scope: Scope, _receive: Receive, send: Send) -> None:
        for message in messages:
            await send(message)

    async def send(message: Message) -> None:
        sent.append(message)

    async def receive() -> Message:
        raise AssertionError

    scope = {"type": "http", "path": path, "root_path": ""}
    asyncio.run(AsRelease(app, release, silent)(scope, receive, send))
    return sent


def test_a_release_with_drafts_that_cannot_be_shown() -> None:
    fine = {"type": "http.response.start", "status": 200, "headers": []}

    def status(month: int, path: str) -> int:
        return int(_answered(Release(2025, month), path, fine)[0]["status"])

    draft = "/content/a-guid/_bundle12/some/page"
    assert [status(month, draft) for month in (5, 6, 7)] == [404, 500, 200]
    assert status(5, "/content/a-guid/_bundles") == 200


def test_a_field_is_left_out_of_an_answer_that_comes_in_parts() -> None:
    headers = [(b"content-type", b"application/json"), (b"content-length", b"37"), (b"x-a", b"b")]
    start = {"type": "http.response.start", "status": 200, "headers": headers}
    parts = (b'[{"key": "k", "content_', b'id": "1"}, 7]')
    bodies = [{"type": "http.response.body", "body": part, "more_body": True} for part in parts]
    path = "/__api__/v1/content/a-guid/jobs"

    old = _answered(Release(2024, 12), path, start, *bodies, {"type": "http.response.body"})
    new = _answered(Release(2025, 1), path, start, *bodies)

    assert [one.get("body") for one in old] == [None, b'[{"key": "k"}, 7]']
    assert old[0]["headers"] == [headers[0], headers[2], (b"content-length", b"17")]
    assert [one.get("body") for one in new] == [None, *parts]


def _ours(server: LocalServer, project: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run `hatch-connect` for a project; `--local` means this server."""
    home = server.state.parents[1]
    kept = {name: value for name, value in os.environ.items() if not name.startswith("CONNECT_")}
    return subprocess.run(
        (sys.executable, "-P", "-m", "hatch_connect", *arguments, "--local"),
        env={**kept, "HOME": str(home), "XDG_STATE_HOME": str(home), "NO_COLOR": "1"},
        cwd=project,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


def test_ours_deploys_to_the_oldest_one(oldest: Api, tmp_path: Path) -> None:
    settings = '[tool.hatch-connect]\napp-mode = "static"\nentrypoint = "index.html"\n'
    (tmp_path / "pyproject.toml").write_text(settings)
    (tmp_path / "index.html").write_text("<h1>hello</h1>\n")

    done = _ours(oldest.server, tmp_path, "deploy")
    logs = _ours(oldest.server, tmp_path, "logs")
    preview = _ours(oldest.server, tmp_path, "preview", "--branch", "one")

    assert (done.returncode, "answered 200: hello" in done.stderr) == (0, True), done.stderr
    assert "as a draft" not in done.stderr
    assert logs.returncode == 3, logs.stderr
    assert "The server seems to be too old to know this request" in logs.stderr
    assert preview.returncode == 3, preview.stderr
    assert "does not support drafts (Connect 2025.06 or later does)" in preview.stderr


_ASKS = """
import sys
from posit.connect import Client
client = Client(*sys.argv[1:3])
content = client.content.get(sys.argv[3])
print(client.version, content["name"], len(client.content.find(include="tags")))
"""


@pytest.mark.skipif(not SDK_IS_INSTALLED, reason="posit-sdk is not installed")
def test_posit_sdk_uses_the_oldest_one(oldest: Api) -> None:
    guid = oldest.create(name="for-posit-sdk")
    given = (oldest.server.url, oldest.server.api_key.reveal(), guid)

    done = subprocess.run(
        (sys.executable, "-c", _ASKS, *given), capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("2022.08.0 for-posit-sdk ")


@pytest.mark.skipif(not IS_INSTALLED, reason="rsconnect-python is not installed")
def test_rsconnect_deploys_to_the_oldest_one(oldest: Api, tmp_path: Path) -> None:
    project = tmp_path / "a project"
    project.mkdir()
    (project / "app.py").write_bytes(ASGI_APP)
    (project / "requirements.txt").write_text("")
    server = ("--server", oldest.server.url, "--api-key", oldest.server.api_key.reveal())

    def deploy(*arguments: str) -> subprocess.CompletedProcess[str]:
        given = ("deploy", "fastapi", *server, "--title", "Old", *arguments, str(project))
        return subprocess.run(
            (sys.executable, "-m", "rsconnect.main", *given),
            env={**os.environ, "XDG_CONFIG_HOME": str(tmp_path / "config")},
            capture_output=True,
            text=True,
            check=False,
        )

    done = deploy()
    draft = deploy("--draft")

    assert done.returncode == 0, done.stderr
    (content,) = (one for one in oldest.ask("GET", "v1/content") if one["title"] == "Old")
    assert oldest.visit(content["guid"]).status_code == 200
    assert draft.returncode != 0
    assert "requires Posit Connect 2025.06.0 or later" in draft.stderr + draft.stdout
