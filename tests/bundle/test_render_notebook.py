"""Notebooks that are rendered here. A script stands for an interpreter that has nbconvert."""

from __future__ import annotations

import json
import shutil
import sys
from typing import TYPE_CHECKING

import pytest
from support.projects import build_one, configuration, paths
from support.sandbox import REPOSITORY

from hatch_connect.bundle.artifact import describe_artifact
from hatch_connect.errors import BuildError, InterpreterError
from hatch_connect.project.interpreter import Interpreter

if TYPE_CHECKING:
    from pathlib import Path

    from support.sandbox import Sandbox

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="a script stands for Python")

PROJECT = REPOSITORY / "tests" / "projects" / "notebook-static"
RENDER = """
import pathlib, sys
options = dict(word.split("=", 1) for word in sys.argv if "=" in word)
target = pathlib.Path(options["--output-dir"], options["--output"])
target.write_text("<p>rendered</p>" + " ".join(sys.argv[1:-1]))
"""


def python(folder: Path, program: str) -> Path:
    """Write an interpreter whose `-m nbconvert` runs this program."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "python"
    path.write_text(f"#!{sys.executable}\n{program}", encoding="utf-8")
    path.chmod(0o755)
    return path


def project(tmp_path: Path, more: str = "") -> Path:
    root = shutil.copytree(PROJECT, tmp_path / "p")
    with (root / "pyproject.toml").open("a") as file:
        file.write(more)
    return root


def interpreter(path: Path) -> Interpreter:
    return Interpreter(path=path, version="3.11.7", implementation="cpython")


def test_only_the_html_ships(tmp_path: Path, sandbox: Sandbox) -> None:
    found = interpreter(python(tmp_path / "bin", RENDER))
    built = build_one(project(tmp_path), sandbox.environ, inspect=lambda: found)
    assert paths(built) == ["report.html"]
    manifest = built.bundle.manifest.to_dict()
    assert manifest["metadata"] == {"appmode": "static", "primary_html": "report.html"}
    assert set(manifest) == {"version", "metadata", "files"}
    assert built.lock is None


def test_what_is_included_ships_too(tmp_path: Path, sandbox: Sandbox) -> None:
    root = project(tmp_path, 'include = ["data.csv"]\n')
    (root / "data.csv").touch()
    found = interpreter(python(tmp_path / "bin", RENDER))
    built = build_one(root, sandbox.environ, inspect=lambda: found)
    assert paths(built) == ["data.csv", "report.html"]


@pytest.mark.parametrize(
    ("more", "option"),
    [
        ("hide-all-input = true\nhide-tagged-input = true\n", "--no-input"),
        ("hide-tagged-input = true\n", "remove_input_tags=hide_input"),
    ],
)
def test_input_is_hidden(tmp_path: Path, sandbox: Sandbox, more: str, option: str) -> None:
    from support.bundles import members_of

    environ = sandbox.environ | {"RETICULATE_PYTHON": str(python(tmp_path / "bin", RENDER))}
    built = build_one(project(tmp_path, more), environ)
    assert option in members_of(built.bundle.path)["report.html"].decode()


@pytest.mark.parametrize(
    ("said", "install"),
    [
        ("No module named nbconvert", "-m pip install nbconvert ipykernel"),
        ("jupyter_client.kernelspec.NoSuchKernel: No such kernel named python3", "ipykernel"),
    ],
)
def test_what_is_missing_is_said_with_how_to_install_it(
    tmp_path: Path, sandbox: Sandbox, said: str, install: str
) -> None:
    path = python(tmp_path / "bin", f"import sys\nsys.exit({said!r})")
    with pytest.raises(InterpreterError, match="is not installed for") as caught:
        build_one(project(tmp_path), sandbox.environ, inspect=lambda: interpreter(path))
    assert install in str(caught.value.hint)
    assert str(path) in str(caught.value)


def test_a_cell_that_fails_is_quoted(tmp_path: Path, sandbox: Sandbox) -> None:
    path = python(tmp_path / "bin", "import sys\nsys.exit('ZeroDivisionError: division by zero')")
    with pytest.raises(BuildError, match="ZeroDivisionError") as caught:
        build_one(project(tmp_path), sandbox.environ, inspect=lambda: interpreter(path))
    assert "Run all of its cells" in str(caught.value)


def test_a_notebook_that_is_not_there(tmp_path: Path, sandbox: Sandbox) -> None:
    root = project(tmp_path, 'entrypoint = "gone.ipynb"\n')
    (root / "pyproject.toml").write_text(
        '[build-system]\nrequires = ["hatchling"]\nbuild-backend = "hatchling.build"\n'
        + (root / "pyproject.toml").read_text("utf-8")
    )
    with pytest.raises(BuildError, match="does not exist"):
        build_one(root, sandbox.environ)


def test_an_artifact_of_another_target_cannot_hold_it(tmp_path: Path, sandbox: Sandbox) -> None:
    config = configuration(project(tmp_path))
    with pytest.raises(BuildError, match="only a bundle contains its HTML"):
        describe_artifact(config, {}, sandbox.environ)


@pytest.mark.registry
def test_nbconvert_renders_it(tmp_path: Path, sandbox: Sandbox) -> None:
    path = sandbox.environment(tmp_path / "v", "nbconvert", "ipykernel") / "python"
    root = project(tmp_path, "hide-tagged-input = true\n")
    notebook = json.loads((root / "report.ipynb").read_text("utf-8"))
    notebook["cells"][1]["metadata"]["tags"] = ["hide_input"]
    (root / "report.ipynb").write_text(json.dumps(notebook), encoding="utf-8")
    from support.bundles import members_of

    built = build_one(root, sandbox.environ, inspect=lambda: interpreter(path))
    html = members_of(built.bundle.path)["report.html"].decode()
    assert "rendered 42" in html
    assert "6 * 7" not in html
