"""Every type of content, deployed to a server that judges strictly."""

from __future__ import annotations

import json
import os
import shutil
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.fake_connect import FakeConnect
from support.fake_quarto import install_quarto

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.sandbox import Sandbox

PROJECTS = Path(__file__).parent.parent / "projects"
NAMES = sorted(path.parent.name for path in PROJECTS.glob("*/pyproject.toml"))
RENDERED = {"notebook-static"}  # needs Jupyter to be made: tested for itself
NO_PYTHON = ("html-", "quarto-document", "quarto-site", "tensorflow-")


@pytest.fixture
def server() -> Iterator[FakeConnect]:
    with FakeConnect() as fake:
        yield fake


@pytest.mark.parametrize("name", [name for name in NAMES if name not in RENDERED])
def test_a_project_is_deployed_as_the_content_that_it_is(
    name: str, server: FakeConnect, sandbox: Sandbox, tmp_path: Path
) -> None:
    project = tmp_path / name
    shutil.copytree(PROJECTS / name, project)
    environ = {"CONNECT_SERVER": server.url, "CONNECT_API_KEY": server.api_key}
    path = install_quarto(tmp_path / "bin")["PATH"]
    environ["PATH"] = os.pathsep.join([path, sandbox.environ["PATH"]])
    python = () if name.startswith(NO_PYTHON) else ("--python-version", "3.12")
    done = sandbox.connect("deploy", *python, "--json", cwd=project, **environ)
    assert done.code == 0, done.said
    assert "warning" not in done.stderr
    content = server.contents[json.loads(done.stdout)["guid"]]
    assert content.bundle_id is not None
    manifest = content.bundles[content.bundle_id].manifest
    metadata = manifest["metadata"]
    assert isinstance(metadata, dict)
    assert content.app_mode == metadata["appmode"]
    configured = tomllib.loads((project / "pyproject.toml").read_text("utf-8"))
    assert configured["project"]["name"] == content.name
