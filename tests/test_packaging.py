"""Exactly which files our own wheel and sdist hold."""

from __future__ import annotations

import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from hatch_connect import __version__

ROOT = Path(__file__).parent.parent
NAME = f"hatch_connect-{__version__}"


def sources(*folders: str) -> set[str]:
    """Return what belongs to these folders, less what running leaves in them."""
    left = {"__pycache__", "dist", "rsconnect-python", ".venv"}
    return {
        path.relative_to(ROOT).as_posix()
        for folder in folders
        for path in (ROOT / folder).rglob("*")
        if path.is_file() and not left & set(path.relative_to(ROOT).parts)
    }


@pytest.fixture(scope="module")
def artifacts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "hatchling", "build", "-d", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    return folder


def test_the_wheel_holds_the_two_packages(artifacts: Path) -> None:
    with zipfile.ZipFile(artifacts / f"{NAME}-py3-none-any.whl") as wheel:
        names = set(wheel.namelist())
        metadata = wheel.read(f"{NAME}.dist-info/METADATA").decode()
    info = {"METADATA", "RECORD", "WHEEL", "entry_points.txt", "licenses/LICENSE"}
    assert names == sources("hatch_connect", "invoke_tasks") | {
        f"{NAME}.dist-info/{name}" for name in info
    }
    assert "Classifier: Framework :: Hatch" in metadata
    assert "Requires-Dist: hatch\n" not in metadata


def test_the_sdist_holds_what_builds_and_tests_it(artifacts: Path) -> None:
    with tarfile.open(artifacts / f"{NAME}.tar.gz") as sdist:
        names = {name.removeprefix(f"{NAME}/") for name in sdist.getnames()}
    assert names == sources(
        "benchmarks", "hatch_connect", "invoke_tasks", "docs", "tests", "examples"
    ) | {
        ".gitignore", "CHANGELOG.md", "CONTRIBUTING.md", "LICENSE", "PKG-INFO", "README.md",
        "SECURITY.md", "action.yml", "pyproject.toml", "zensical.toml",
    }  # fmt: skip
