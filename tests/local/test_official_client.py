"""The official client deploys here; what it asks of the server is what others may ask, too."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.connect_content import ASGI_APP

if TYPE_CHECKING:
    from collections.abc import Callable

    from support.local_api import Api

_BESIDE = str(Path(sys.executable).parent)
_RSCONNECT = shutil.which("rsconnect", path=_BESIDE) or shutil.which("rsconnect")

pytestmark = pytest.mark.skipif(_RSCONNECT is None, reason="rsconnect-python is not installed")


@pytest.fixture
def rsconnect(api: Api, tmp_path: Path) -> Callable[..., str]:
    """Runs the official client, which knows the server as `here`."""
    environ = {**os.environ, "XDG_CONFIG_HOME": str(tmp_path / "config")}

    def run(*arguments: str | Path) -> str:
        done = subprocess.run(
            (str(_RSCONNECT), *arguments),
            env=environ,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    key = api.server.api_key.reveal()
    run("add", "--server", api.server.url, "--api-key", key, "--name", "here")
    return run


def test_the_official_client_deploys(
    api: Api, tmp_path: Path, rsconnect: Callable[..., str]
) -> None:
    project = tmp_path / "a project"
    project.mkdir()
    (project / "app.py").write_bytes(ASGI_APP)
    (project / "requirements.txt").write_text("")

    assert "2026.06.0" in rsconnect("details", "-n", "here")
    deploy = ("deploy", "fastapi", "-n", "here", "-t", "By them", "-E", "MODE=theirs")
    rsconnect(*deploy, project)

    (content,) = [one for one in api.ask("GET", "v1/content") if one["title"] == "By them"]
    assert api.visit(content["guid"]).json()["environ"]["MODE"] == "theirs"

    said = rsconnect(*deploy, "--draft", project)

    draft, active = api.ask("GET", f"v1/content/{content['guid']}/bundles")
    assert active["active"]
    assert "source_commit" not in active["metadata"]
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
    rsconnect: Callable[..., str],
    sample: tuple[str, str, bytes, str],
) -> None:
    command, name, content, shown = sample
    project = tmp_path / "files"
    (project / name).parent.mkdir(parents=True)
    (project / name).write_bytes(content)

    for _ in range(2):
        rsconnect("deploy", command, "-n", "here", "-t", f"Their {command}", project)

    (found,) = [one for one in api.ask("GET", "v1/content") if one["title"] == f"Their {command}"]
    assert shown in api.visit(found["guid"]).text
    assert len(api.ask("GET", f"v1/content/{found['guid']}/bundles")) == 2
