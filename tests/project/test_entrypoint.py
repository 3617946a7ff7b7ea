from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from hatch_connect.project.app_mode import find_app_mode
from hatch_connect.project.entrypoint import entrypoint_candidates, entrypoint_problem

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("mode", "entrypoint"),
    [
        ("fastapi", "app"),
        ("fastapi", "sales_api.main:app"),
        ("flask", "pkg.app:create_app()"),
        ("fastapi", "pkg.main:site.app"),
        ("fastapi", "my-api:app"),
        ("flask", "01_api"),
        ("dash", "my-svc.main:server"),
        ("shiny", "app-x:app"),
        ("streamlit", "app.py"),
        ("streamlit", "pages/app.py"),
        ("shiny", "app.py"),
        ("shiny", "shiny.express.app:app_2e_py"),
        ("notebook", "report.ipynb"),
        ("quarto", "report.qmd"),
        ("html", "site/index.html"),
    ],
)
def test_what_connect_takes_is_taken(mode: str, entrypoint: str) -> None:
    assert entrypoint_problem(entrypoint, find_app_mode(mode)) is None


@pytest.mark.parametrize(
    ("mode", "entrypoint", "said"),
    [
        ("fastapi", "src/sales/main.py:app", "perhaps `sales.main:app`"),
        ("fastapi", "./app.py", "perhaps `app:app`"),
        ("fastapi", "a:b:c", "`module` or `module:object`"),
        ("fastapi", "my app:app", "`module` or `module:object`"),
        ("fastapi", "app:my-app", "`module` or `module:object`"),
        ("fastapi", "-app", "`module` or `module:object`"),
        ("fastapi", "my-svc/main.py:api", "perhaps `my-svc.main:api`"),
        ("streamlit", "../app.py", "below the project's root"),
        ("notebook", "/home/me/n.ipynb", "below the project's root"),
        ("notebook", "C:/n.ipynb", "below the project's root"),
        ("notebook", "sub\\n.ipynb", "forward slashes"),
        ("tensorflow", "../x", "below the project's root"),
        ("rmd-static", "x", "has no meaning"),
        ("notebook", "report.qmd", "must be a notebook"),
    ],
)
def test_what_it_does_not_take_is_said(mode: str, entrypoint: str, said: str) -> None:
    assert said in (entrypoint_problem(entrypoint, find_app_mode(mode)) or "")


def test_candidates_are_the_usual_modules_of_every_layout(tmp_path: Path) -> None:
    for file in (
        "app.py",
        "pkg/main.py",
        "src/other/api.py",
        "tests/app.py",
        "bad-name/app.py",
        "a b/app.py",
    ):
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).touch()
    assert entrypoint_candidates(tmp_path) == ("app", "bad-name.app", "other.api", "pkg.main")
