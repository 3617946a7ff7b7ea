from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.projects import PACKAGE, project

from hatch_connect.bundle.entry import entry_files, has_entry
from hatch_connect.project.project import ProjectConfig, read_project

if TYPE_CHECKING:
    from pathlib import Path


def config(tmp_path: Path, app_mode: str, entrypoint: str | None) -> ProjectConfig:
    line = f'entrypoint = "{entrypoint}"\n' if entrypoint else ""
    connect = f'[tool.hatch-connect]\napp-mode = "{app_mode}"\n{line}'
    return read_project(project(tmp_path, {**PACKAGE, "saved_model.pb": ""}, connect=connect))


@pytest.mark.parametrize(
    ("app_mode", "entrypoint", "files"),
    [
        ("fastapi", "a.b:app", ("a/b.py", "a/b/__init__.py")),
        ("flask", "app", ("app.py", "app/__init__.py")),
        ("streamlit", "app.py", ("app.py",)),
        ("streamlit", "pages/app.py", ("pages/app.py",)),
        ("shiny", "shiny.express.app:my_2d_app_2e_py", ("my-app.py",)),
        ("shiny", "app:app", ("app.py", "app/__init__.py")),
        ("static", "docs/index.html", ("docs/index.html",)),
        ("tensorflow", None, ()),
    ],
)
def test_where_an_entrypoint_is(
    tmp_path: Path, app_mode: str, entrypoint: str | None, files: tuple[str, ...]
) -> None:
    assert entry_files(config(tmp_path, app_mode, entrypoint)) == files


@pytest.mark.parametrize(
    ("paths", "there"),
    [
        ({"a/b.py"}, True),
        ({"a/b/__init__.py"}, True),
        ({"a/b.cpython-311-x86_64-linux-gnu.so"}, True),
        ({"a/b.cp311-win_amd64.pyd"}, True),
        ({"a/b.txt", "a/bc.py", "b.py"}, False),
        (set(), False),
    ],
)
def test_a_module_may_be_compiled(paths: set[str], *, there: bool) -> None:
    assert has_entry(("a/b.py", "a/b/__init__.py"), paths) is there


def test_a_folder_may_be_an_entrypoint() -> None:
    assert has_entry(("notebooks",), {"notebooks/a.ipynb"})
    assert has_entry((), set())
