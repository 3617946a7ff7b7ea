from __future__ import annotations

import sys
from importlib.metadata import distribution
from typing import TYPE_CHECKING

import pytest
from support.bundles import write_files

from hatch_connect.bundle.isolated import _own_requirement, build_wheel
from hatch_connect.bundle.repository import Repository
from hatch_connect.events import silent

if TYPE_CHECKING:
    from pathlib import Path

    from support.sandbox import Sandbox


def test_a_declared_url_of_ours_is_kept() -> None:
    declared = ["hatchling", "hatch_connect @ file:///somewhere", "{root:uri}"]
    assert _own_requirement(declared) == "hatch_connect @ file:///somewhere"


@pytest.mark.parametrize("declared", [[], ["hatch-connect"], ["no requirement!"]])
def test_otherwise_the_environment_gets_what_is_installed_here(declared: list[str]) -> None:
    requirement = _own_requirement(declared)
    if distribution("hatch-connect").read_text("direct_url.json"):
        assert requirement.startswith("hatch-connect @ file://")
    else:
        assert requirement == f"hatch-connect=={distribution('hatch-connect').version}"


def test_without_a_url_it_is_the_same_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "hatch_connect-9.9.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text("Name: hatch-connect\nVersion: 9.9\n", encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert _own_requirement(()) == "hatch-connect==9.9"


LISTING = """
import os
def get_requires_for_build_wheel(config_settings=None):
    return []
def build_wheel(directory, config_settings=None, metadata_directory=None):
    with open(os.path.join(directory, "x-1-py3-none-any.whl"), "w") as out:
        for folder, _, files in os.walk("."):
            out.writelines(os.path.join(folder, f)[2:].replace(os.sep, "/") + "\\n" for f in files)
    return "x-1-py3-none-any.whl"
"""


def test_a_build_sees_what_may_be_content(tmp_path: Path, sandbox: Sandbox) -> None:
    system = '[build-system]\nrequires = []\nbuild-backend = "back"\nbackend-path = ["."]\n'
    tracked = (
        "web/node_modules/kept.js",
        ".github/ci.yml",
        ".gitignore",
        "back.py",
        "pyproject.toml",
    )
    others = ("build/x.py", "dist/x.js", "web/dist/x.js", ".hidden/x", "src/build/x.py")
    away = (
        *("node_modules/x.js", ".venv/x", "env/bin/python", "__pycache__/x", ".idea/x.xml"),
        *("linked/Scripts/python.exe", "conda/conda-meta/history"),
    )
    root = write_files(tmp_path / "p", dict.fromkeys((*tracked, *others, *away), ""))
    write_files(root, {"pyproject.toml": system, "back.py": LISTING})
    sandbox.git("init", "--quiet", cwd=root)
    sandbox.git("add", "--force", *tracked, cwd=root)
    repository = Repository(root, sandbox.environ)
    wheel = build_wheel(root, "back", tmp_path / "out", repository, sandbox.environ, silent)
    seen = {path for path in wheel.read_text("utf-8").splitlines() if not _made(path)}
    assert seen == {*tracked, *others}


@pytest.mark.skipif(sys.platform == "win32", reason="no links without rights")
@pytest.mark.parametrize("follow", [True, False])
def test_links_lead_to_what_may_be_followed(
    tmp_path: Path, sandbox: Sandbox, *, follow: bool
) -> None:
    system = '[build-system]\nrequires = []\nbuild-backend = "back"\nbackend-path = ["."]\n'
    listing = LISTING.replace('os.walk(".")', 'os.walk(".", followlinks=True)')
    root = write_files(tmp_path / "p", {"pyproject.toml": system, "back.py": listing})
    data = write_files(tmp_path / "data", {"x.csv": ""})
    (root / "link").symlink_to("../data")
    repository = Repository(root, sandbox.environ, [data] if follow else [])
    wheel = build_wheel(root, "back", tmp_path / "out", repository, sandbox.environ, silent)
    assert ("link/x.csv" in wheel.read_text("utf-8").splitlines()) == follow
    assert (root / "link").readlink().as_posix() == "../data"


def _made(path: str) -> bool:
    return path == ".git" or path.startswith("__pycache__/back.")
