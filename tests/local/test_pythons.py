from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from support.connect_content import PYTHON

from hatch_connect.errors import BundleError, UsageError
from hatch_connect.local.pythons import (
    Python,
    choose_installed,
    choose_offered,
    find_pythons,
    uv_environ,
)

_HERE = tuple(
    Python(version=version, path=Path("/python") / version)
    for version in ("3.9.1", "3.10.13", "3.11.2", "3.11.10", "3.13.0")
)


@pytest.mark.parametrize(
    ("python", "requires", "chosen"),
    [
        ("3.11.7", None, "3.11.10"),
        ("3.11.2", None, "3.11.2"),
        ("3.11", None, "3.11.10"),
        ("3.9.0", None, "3.9.1"),
        ("3.11.7", "~=3.11.0", "3.11.10"),
        ("3.11.7", "~=3.11", "3.13.0"),
        ("3.11.7", ">=3.9,<3.11", "3.10.13"),
        ("3.12.0", "==3.11.2", "3.11.2"),
    ],
)
def test_the_python_of_a_bundle(python: str, requires: str | None, chosen: str) -> None:
    assert choose_installed(python, requires, _HERE).version == chosen


@pytest.mark.parametrize(
    ("python", "requires", "named"),
    [("3.12.4", None, "3.12.4"), ("3.1.0", None, "3.1.0"), ("3.11.7", "==3.11.7", "==3.11.7")],
)
def test_no_python_for_a_bundle(python: str, requires: str | None, named: str) -> None:
    with pytest.raises(BundleError) as caught:
        choose_installed(python, requires, _HERE)

    assert str(caught.value) == (
        "Cannot find compatible environment: no compatible Local environment with Python version"
        f" {named}"
    )


def test_pythons_that_a_person_asks_for() -> None:
    offered = choose_offered(("3.13", "3.11:unpublishable", "3.9.1", "3.11.2"), _HERE)

    assert [(one.version, one.publishable) for one in offered] == [
        ("3.9.1", True),
        ("3.11.2", True),
        ("3.11.10", False),
        ("3.13.0", True),
    ]


@pytest.mark.parametrize(
    ("asked", "because"),
    [
        (("3.1",), "Python 3.1 was not found"),
        (("3.11.1",), "Python 3.11.1 was not found"),
        (("3.12:unpublishable",), "Python 3.12 was not found"),
        (("3.11", "3.11.10:unpublishable"), "Python 3.11.10 is asked for twice"),
        (("3",), "'3' is not a version of Python"),
        (("3.11:old",), "'3.11:old' is not a version of Python"),
        (("/usr/bin/python3",), "is not a version of Python"),
    ],
)
def test_pythons_that_cannot_be_offered(asked: tuple[str, ...], because: str) -> None:
    with pytest.raises(UsageError, match=because) as caught:
        choose_offered(asked, _HERE)

    if "not found" in because:
        assert "Found: 3.9.1, 3.10.13, 3.11.2, 3.11.10, 3.13.0." in str(caught.value.hint)


def test_the_running_python_is_found() -> None:
    found = find_pythons(os.environ)

    assert Python(version=PYTHON, path=Path(sys.executable)) in found
    assert len({python.version for python in found}) == len(found)


def test_pythons_of_pyenv_are_found(tmp_path: Path) -> None:
    for name in ("3.9.18", "3.12.1", "3.14.0rc1", "3.6.15", "miniconda", "3.x"):
        python = tmp_path / "versions" / name / "bin" / "python"
        python.parent.mkdir(parents=True)
        python.touch()

    found = find_pythons({"PYENV_ROOT": str(tmp_path), "PATH": ""})

    ours = [python.version for python in found if python.path.is_relative_to(tmp_path)]
    assert set(ours) <= {"3.9.18", "3.12.1"}
    assert "3.9.18" in ours


@pytest.mark.skipif(sys.platform == "win32", reason="launchers of POSIX")
def test_the_launchers_of_pyenv_are_not_asked(tmp_path: Path) -> None:
    shims, beside, asked = tmp_path / "shims", tmp_path / "bin", tmp_path / "asked"
    for folder in (shims, beside):
        folder.mkdir()
        (folder / "python3.9").write_text(f"#!/bin/sh\necho {folder.name} >> {asked}\nexit 1\n")
        (folder / "python3.9").chmod(0o755)

    find_pythons({"PYENV_ROOT": str(tmp_path), "PATH": f"{shims}/{os.pathsep}{beside}"})

    assert set(asked.read_text().split()) == {"bin"}


def test_uv_learns_of_indexes_and_of_no_secret() -> None:
    environ = {
        "PATH": "/bin",
        "HOME": "/home/me",
        "CONNECT_API_KEY": "secret",
        "AWS_SECRET": "secret",
        "VIRTUAL_ENV": "/x",
        "UV_PYTHON": "3.12",
        "UV_PUBLISH_TOKEN": "secret",
        "UV_CACHE_DIR": "/cache",
        "https_proxy": "http://proxy",
        "PIP_INDEX_URL": "https://mirror.example/simple",
        "PIP_EXTRA_INDEX_URL": "https://more.example/simple",
    }

    assert uv_environ(environ) == {
        "PATH": "/bin",
        "HOME": "/home/me",
        "UV_CACHE_DIR": "/cache",
        "https_proxy": "http://proxy",
        "UV_DEFAULT_INDEX": "https://mirror.example/simple",
        "UV_INDEX": "https://more.example/simple",
        "NO_COLOR": "1",
        "UV_NO_PROGRESS": "1",
        "UV_PYTHON_DOWNLOADS": "never",
    }


@pytest.mark.parametrize("name", ["UV_DEFAULT_INDEX", "UV_INDEX_URL"])
def test_the_index_of_uv_wins(name: str) -> None:
    found = uv_environ({name: "https://uv.example", "PIP_INDEX_URL": "https://pip.example"})

    assert found[name] == "https://uv.example"
    assert "https://pip.example" not in found.values()
