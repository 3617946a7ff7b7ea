"""The official client deploys here; what it asks of the server is what others may ask, too."""

from __future__ import annotations

import base64
import json
import os
import subprocess
from typing import TYPE_CHECKING, Any, TypeAlias

import pytest
from support.connect_content import ASGI_APP, NBCONVERT, PYTHON, brings

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from support.local_api import Api

pytestmark = pytest.mark.registry

Rsconnect: TypeAlias = "Callable[..., str]"


@pytest.fixture
def rsconnect(api: Api, clients: Path, tmp_path: Path) -> Rsconnect:
    """Runs the official client, which knows the server as `here`."""
    environ = {
        **os.environ,
        "XDG_CONFIG_HOME": str(tmp_path / "config"),
        "PYTHONWARNINGS": "ignore",  # of click, about options that rsconnect declares twice
    }

    def run(*arguments: str | Path, code: int = 0) -> str:
        done = subprocess.run(
            (clients / "rsconnect", *arguments),
            env=environ,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout + done.stderr

    key = api.server.api_key.reveal()
    run("server", "add", "--server", api.server.url, "--api-key", key, "--name", "here")
    return run


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "a project"
    folder.mkdir()
    (folder / "app.py").write_bytes(ASGI_APP)
    (folder / "requirements.txt").write_text("")
    return folder


def _titled(api: Api, title: str) -> dict[str, Any]:
    """Return the one piece of content that has a title."""
    (found,) = [one for one in api.ask("GET", "v1/content") if one["title"] == title]
    return dict(found)


def test_the_official_client_deploys(api: Api, project: Path, rsconnect: Rsconnect) -> None:
    assert "2026.06.0" in rsconnect("server", "details", "-n", "here")
    deploy = ("deploy", "fastapi", "-n", "here", "-t", "By them", "-E", "MODE=theirs")
    rsconnect(*deploy, project)

    content = _titled(api, "By them")
    assert api.visit(content["guid"]).json()["environ"]["MODE"] == "theirs"

    said = rsconnect(*deploy, "--draft", project)

    draft, active = api.ask("GET", f"v1/content/{content['guid']}/bundles")
    assert active["active"]
    assert active["metadata"]["source_commit"] is None
    git = ("git", "-C", project, "-c", "user.name=a", "-c", "user.email=a@example.com")
    for words in (("init", "-q"), ("add", "."), ("commit", "-qm", "one")):
        subprocess.run((*git, *words), check=True)
    rsconnect(*deploy, project)
    newest = api.ask("GET", f"v1/content/{content['guid']}/bundles")[0]
    assert newest["active"]
    assert newest["metadata"]["source"] == "git"
    assert len(newest["metadata"]["source_commit"]) == 40
    assert f"/draft/{draft['id']}" in said
    described = rsconnect("content", "describe", "-n", "here", "-g", content["guid"])
    assert '"app_mode": "python-fastapi"' in described


@pytest.mark.parametrize(
    "sample",
    [
        ("html", "index.html", b"<p>a page", "<p>a page"),
        ("tensorflow", "1/saved_model.pb", b"x", '"saved_models":["1"]'),
    ],
)
def test_the_official_client_deploys_files_and_updates_them(
    api: Api,
    tmp_path: Path,
    rsconnect: Rsconnect,
    sample: tuple[str, str, bytes, str],
) -> None:
    command, name, content, shown = sample
    project = tmp_path / "files"
    (project / name).parent.mkdir(parents=True)
    (project / name).write_bytes(content)

    for _ in range(2):
        rsconnect("deploy", command, "-n", "here", "-t", f"Their {command}", project)

    found = _titled(api, f"Their {command}")
    assert shown in api.visit(found["guid"]).text
    assert len(api.ask("GET", f"v1/content/{found['guid']}/bundles")) == 2


_NOTEBOOK = b'{"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}'


@pytest.mark.parametrize(
    "sample",
    [
        ("api", "app.py", b"app = 1\n", "python-api"),
        ("flask", "app.py", b"app = 1\n", "python-api"),
        ("dash", "app.py", b"app = 1\n", "python-dash"),
        ("streamlit", "app.py", b"app = 1\n", "python-streamlit"),
        ("bokeh", "app.py", b"app = 1\n", "python-bokeh"),
        ("panel", "app.py", b"app = 1\n", "python-panel"),
        ("gradio", "app.py", b"app = 1\n", "python-gradio"),
        ("shiny", "app.py", b"from shiny import App\napp = App(1, 2)\n", "python-shiny"),
        ("voila", "dashboard.ipynb", _NOTEBOOK, "jupyter-voila"),
        ("notebook", "report.ipynb", _NOTEBOOK, "jupyter-static"),
    ],
)
def test_every_command_that_deploys(
    api: Api, rsconnect: Rsconnect, tmp_path: Path, sample: tuple[str, str, bytes, str]
) -> None:
    command, name, content, mode = sample
    project = tmp_path / "framework"
    project.mkdir()
    for path, data in brings(nbconvert=NBCONVERT).items():
        (project / path).write_bytes(data)
    (project / name).write_bytes(content)
    target = [project / name] if name.endswith(".ipynb") else [project]
    brought = sorted(project.glob("*.whl")) if command == "notebook" else []

    title = f"All of {command}"
    # What each framework needs is not installed: whether it answers is tested elsewhere.
    rsconnect("deploy", command, "-n", "here", "--no-verify", "-t", title, *target, *brought)

    assert _titled(api, title)["app_mode"] == mode


def test_a_manifest_and_a_downloaded_bundle_are_deployed(
    api: Api, project: Path, rsconnect: Rsconnect, tmp_path: Path
) -> None:
    rsconnect("write-manifest", "fastapi", project)
    rsconnect("deploy", "manifest", "-n", "here", "-t", "Manifest", project / "manifest.json")
    guid = _titled(api, "Manifest")["guid"]
    archive = tmp_path / "bundle.tar.gz"
    rsconnect("content", "download-bundle", "-n", "here", "-g", guid, "-o", archive)
    rsconnect("deploy", "bundle", "-n", "here", "--new", "-t", "Downloaded", archive)

    assert api.visit(_titled(api, "Downloaded")["guid"]).status_code == 200


def test_content_is_administered(api: Api, rsconnect: Rsconnect, tmp_path: Path) -> None:
    guid = api.ship()
    api.ask("PATCH", f"v1/content/{guid}", json={"title": "Administered"})
    of = ("-n", "here", "-g", guid)

    found = rsconnect(
        "content", "search", "-n", "here", "--published", "--title-contains", "minist"
    )
    assert [one["guid"] for one in json.loads(found)] == [guid]
    assert f'"guid": "{guid}"' in rsconnect("content", "describe", *of)
    lock = tmp_path / "lock.txt"
    rsconnect("content", "get-lockfile", *of, "-o", lock)
    assert lock.exists()
    rsconnect("content", "build", "add", *of)
    assert "NEEDS_BUILD" in rsconnect("content", "build", "ls", *of)
    assert "Build succeeded" in rsconnect("content", "build", "run", "-n", "here")
    assert "task_id" in rsconnect("content", "build", "history", *of)
    assert "Completed the deployment" in rsconnect("content", "build", "logs", *of)
    rsconnect("content", "build", "rm", *of)
    assert "Environment ready" in rsconnect("content", "venv", *of, tmp_path / "venv")


def test_the_server_is_administered(api: Api, project: Path, rsconnect: Rsconnect) -> None:
    api.ship()
    caches = ("system", "caches")

    listed = json.loads(rsconnect(*caches, "list", "-n", "here"))["caches"]
    assert {"language": "Python", "version": PYTHON, "image_name": "Local"} in listed
    cache = ("-n", "here", "-l", "Python", "-V", PYTHON)
    assert "Dry run finished" in rsconnect(*caches, "delete", *cache, "--dry-run")
    assert "no such runtime cache" in rsconnect(*caches, "delete", *cache[:-1], "2.7.18", code=1)
    assert "Local" in rsconnect("environment", "list", "-n", "here")
    rsconnect("integration", "list", "-n", "here")
    preflight = json.loads(rsconnect("preflight", "-n", "here", project).splitlines()[-1])
    assert preflight["local_python_publishable"] is True


def test_what_is_not_here_is_refused_in_words(
    api: Api, rsconnect: Rsconnect, tmp_path: Path
) -> None:
    guid = api.create()
    git = ("--repository", "https://git.example/one", "-t", "From git")
    key = tmp_path / "key"
    key.write_bytes(base64.b64encode(b"k" * 32))

    assert "not enabled" in rsconnect("deploy", "git", "-n", "here", *git, code=1)
    rsconnect("content", "repository", "show", "-n", "here", "-g", guid, code=1)
    templates = rsconnect("integration", "templates", "list", "-n", "here", code=1)
    assert "v1/oauth/templates is not part of the local server" in templates
    server = ("--server", api.server.url, "--jwt-keypath", key)
    assert '"status": 404' in rsconnect("server", "bootstrap", *server)
