"""Our manifest beside the official client's for each of tests/projects.

`data/official_content.json` holds what rsconnect-python 1.32.0 wrote with Python 3.11.7, without
its checksums. Where that client is installed, it is asked again, and checksums are compared too.
"""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from support.fake_quarto import install_quarto
from support.official_client import COMMANDS, HTML, IS_INSTALLED, official_manifest
from support.projects import build_one
from support.sandbox import REPOSITORY

if TYPE_CHECKING:
    from support.sandbox import Sandbox

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="scripts stand for programs")

PROJECTS = REPOSITORY / "tests" / "projects"
FROZEN = Path(__file__).parent / "data" / "official_content.json"
OFFICIAL: dict[str, Any] = json.loads(FROZEN.read_text("utf-8"))
RENDER = """#!{python}
import pathlib, sys
options = dict(word.split("=", 1) for word in sys.argv if "=" in word)
pathlib.Path(options["--output-dir"], options["--output"]).write_text("<p>rendered</p>")
"""


def programs(tmp_path: Path) -> Path:
    """Give a folder with a `quarto` and with a `python` that renders notebooks."""
    folder = tmp_path / "programs"
    install_quarto(folder)
    python = folder / "python"
    python.write_text(RENDER.format(python=sys.executable), encoding="utf-8")
    python.chmod(0o755)
    return folder


def ours(name: str, root: Path, tmp_path: Path, sandbox: Sandbox) -> dict[str, Any]:
    folder = programs(tmp_path)
    environ = sandbox.environ | {
        "PATH": f"{folder}:{sandbox.environ['PATH']}",
        "RETICULATE_PYTHON": str(folder / "python"),
    }
    manifest = build_one(root, environ).bundle.manifest.to_dict()
    return _comparable(name, json.loads(json.dumps(manifest)))


def _comparable(name: str, manifest: dict[str, Any]) -> dict[str, Any]:
    """Take away what is the machine's, and what one of the two leaves out for a reason."""
    if python := manifest.get("python"):
        python["version"] = python["version"].rpartition(".")[0]
        del python["package_manager"]["version"]
    if name in HTML:  # not for the visitors of a site
        manifest["files"].pop("pyproject.toml", None)
    if name == "notebook-static":  # the official client does not list the one file there is
        manifest["files"].pop("report.html", None)
    return manifest


def without_checksums(manifest: dict[str, Any]) -> dict[str, Any]:
    return {**manifest, "files": sorted(manifest["files"])}


@pytest.mark.parametrize("name", [*COMMANDS, *HTML])
def test_each_type_of_content_is_described_alike(
    tmp_path: Path, sandbox: Sandbox, name: str
) -> None:
    root = shutil.copytree(PROJECTS / name, tmp_path / name)
    assert without_checksums(ours(name, root, tmp_path, sandbox)) == OFFICIAL[name]


@pytest.mark.skipif(not IS_INSTALLED, reason="the official client is not installed")
@pytest.mark.parametrize("name", [*COMMANDS, *HTML])
def test_the_official_client_itself(tmp_path: Path, sandbox: Sandbox, name: str) -> None:
    root = shutil.copytree(PROJECTS / name, tmp_path / "ours" / name)
    other = shutil.copytree(PROJECTS / name, tmp_path / "theirs" / name)
    path = str(programs(tmp_path).rename(tmp_path / "path"))
    theirs = _comparable(name, official_manifest(name, other, sandbox, path))
    assert ours(name, root, tmp_path, sandbox) == theirs
