from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from hatch_connect.errors import BundleError
from hatch_connect.local.checks import CheckedManifest, find_entrypoint, saved_models

if TYPE_CHECKING:
    from pathlib import Path

_FILES = ("app.py", "pkg/__init__.py", "pkg/main.py", "nb.ipynb", "docs/b.ipynb", "a.html")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name in _FILES:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return tmp_path


@pytest.mark.parametrize(
    ("app_mode", "entrypoint", "found"),
    [
        ("python-dash", "app:server", "app:server"),
        ("python-gradio", "pkg.main:demo", "pkg.main:demo"),
        ("python-shiny", "app:app", "app:app"),
        ("python-shiny", "shiny.express.app:app_2e_py", "shiny.express.app:app_2e_py"),
        (
            "python-shiny",
            "shiny.express.app:pkg_2f_main_2e_py",
            "shiny.express.app:pkg_2f_main_2e_py",
        ),
        ("python-shiny", "app.py", "app"),
        ("python-fastapi", "pkg/main.py", "pkg.main"),
        ("python-streamlit", "app.py", "app.py"),
        ("python-streamlit", "pkg/main.py", "pkg/main.py"),
        ("python-bokeh", "app", "app.py"),
        ("python-bokeh", "pkg.main:doc", "pkg/main.py"),
        ("python-bokeh", "pkg", "pkg/__init__.py"),
        ("python-panel", "nb.ipynb", "nb.ipynb"),
        ("jupyter-static", "docs/b.ipynb", "docs/b.ipynb"),
        ("jupyter-voila", "nb.ipynb", "nb.ipynb"),
        ("jupyter-voila", "", ""),
        ("static", "a.html", "a.html"),
        ("quarto-static", "", "nb.ipynb"),
        ("rmd-static", "", ""),
    ],
)
def test_what_an_entrypoint_names(root: Path, app_mode: str, entrypoint: str, found: str) -> None:
    assert find_entrypoint(root, CheckedManifest(app_mode=app_mode, entrypoint=entrypoint)) == found


@pytest.mark.parametrize(
    ("app_mode", "entrypoint", "message"),
    [
        ("python-dash", "none.py", "names no module"),
        ("python-dash", "../app.py", "not allowed"),
        ("python-streamlit", "none.py", "names no file"),
        ("python-streamlit", "../app.py", "not allowed"),
        ("python-streamlit", "none", "names no module"),
        ("python-shiny", "shiny.express.app:none_2e_py", "names no file"),
        ("python-shiny", "shiny.express.app:_zz_", "names no file"),
        ("python-shiny", "shiny.express.app:_ffffffffffff_", "names no file"),
        ("python-shiny", "shiny.express.app:a_2e_html", "not a file .py"),
        ("jupyter-static", "app.py", "not a file .ipynb"),
        ("jupyter-static", "", "names no file|not allowed"),
        ("jupyter-voila", "a.html", "not a file .ipynb"),
        ("static", "none.html", "names no file"),
        ("static", "pkg", "names no file"),
        ("tensorflow-saved-model", "", "holds no SavedModel"),
    ],
)
def test_an_entrypoint_that_names_nothing(
    root: Path, app_mode: str, entrypoint: str, message: str
) -> None:
    with pytest.raises(BundleError, match=message):
        find_entrypoint(root, CheckedManifest(app_mode=app_mode, entrypoint=entrypoint))


def test_the_primary_page_is_the_entrypoint(root: Path) -> None:
    manifest = CheckedManifest(app_mode="static", primary_html="a.html", entrypoint="other")

    assert find_entrypoint(root, manifest) == "a.html"


@pytest.mark.parametrize(
    ("names", "found"),
    [
        (["report.qmd", "README.md"], "report.qmd"),
        (["README.md", "_quarto.yml", "a.qmd", "b.qmd"], "."),
        (["only.md"], "only.md"),
    ],
)
def test_what_quarto_renders(tmp_path: Path, names: list[str], found: str) -> None:
    for name in names:
        (tmp_path / name).touch()

    assert find_entrypoint(tmp_path, CheckedManifest(app_mode="quarto-static")) == found


def test_quarto_serves_one_document_of_a_project(tmp_path: Path) -> None:
    for name in ("_quarto.yml", "app.qmd"):
        (tmp_path / name).touch()

    assert find_entrypoint(tmp_path, CheckedManifest(app_mode="quarto-shiny")) == "app.qmd"


@pytest.mark.parametrize("names", [[], ["a.qmd", "b.qmd"]])
def test_nothing_for_quarto_to_render(tmp_path: Path, names: list[str]) -> None:
    for name in names:
        (tmp_path / name).touch()

    with pytest.raises(BundleError, match="nor a single document"):
        find_entrypoint(tmp_path, CheckedManifest(app_mode="quarto-static"))


def test_a_folder_without_a_notebook_is_not_for_voila(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="the bundle holds none"):
        find_entrypoint(tmp_path, CheckedManifest(app_mode="jupyter-voila"))


def test_models_are_found_at_the_root_and_below(tmp_path: Path) -> None:
    (tmp_path / "2").mkdir()
    (tmp_path / "2" / "saved_model.pb").touch()
    (tmp_path / "saved_model.pb").touch()

    assert saved_models(tmp_path) == (".", "2")
    assert find_entrypoint(tmp_path, CheckedManifest(app_mode="tensorflow-saved-model")) == ""
