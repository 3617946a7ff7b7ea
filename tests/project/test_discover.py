"""What is found where a project names no entrypoint."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.bundles import write_files
from support.sandbox import REPOSITORY

from hatch_connect.project.app_mode import find_app_mode
from hatch_connect.project.config import read_project
from hatch_connect.project.discover import discover, express_entrypoint
from hatch_connect.project.sources import read_source

if TYPE_CHECKING:
    from pathlib import Path

PROJECTS = REPOSITORY / "tests" / "projects"

FLASK = "from flask import Flask\napp = Flask(__name__)\n"
EXPRESS = "from shiny.express import ui\n"
STREAMLIT = "import streamlit as st\n"


def found(root: Path, mode: str, files: dict[str, str]) -> list[str]:
    return [str(each) for each in discover(find_app_mode(mode), write_files(root, files))]


@pytest.mark.parametrize(
    ("project", "mode", "entrypoint", "folder"),
    [
        ("flask-api", "python-api", "app", ""),
        ("fastapi-api", "python-fastapi", "main:api", ""),
        ("starlette-api", "python-fastapi", "app", ""),
        ("dash-app", "python-dash", "app", ""),
        ("streamlit-app", "python-streamlit", "app", ""),
        ("streamlit-package", "python-streamlit", "sales_app/app.py", ""),
        ("bokeh-app", "python-bokeh", "app", ""),
        ("bokeh-folder", "python-bokeh", "main", ""),
        ("shiny-core", "python-shiny", "app", ""),
        ("shiny-express", "python-shiny", "shiny.express.app:app_2e_py", ""),
        ("shiny-package", "python-shiny", "shiny.express.app:sales_5f_app_2f_app_2e_py", ""),
        ("gradio-app", "python-gradio", "app:demo", ""),
        ("panel-app", "python-panel", "app", ""),
        ("notebook", "jupyter-static", "report.ipynb", ""),
        ("notebook-static", "static", "report.html", ""),
        ("voila-notebook", "jupyter-voila", "dashboard.ipynb", ""),
        ("voila-folder", "jupyter-voila", "", ""),
        ("quarto-document", "quarto-static", "report.qmd", ""),
        ("quarto-python", "quarto-static", "report.qmd", ""),
        ("quarto-site", "quarto-static", None, ""),
        ("html-file", "static", "page.html", ""),
        ("html-folder", "static", "index.html", ""),
        ("html-site", "static", "index.html", "site"),
        ("tensorflow-model", "tensorflow-saved-model", None, ""),
    ],
)
def test_small_real_projects(project: str, mode: str, entrypoint: str | None, folder: str) -> None:
    config = read_project(PROJECTS / project)
    assert config.app_mode.name == mode
    assert (config.entrypoint, config.folder) == (entrypoint, folder)


@pytest.mark.parametrize(
    ("mode", "file", "text", "entrypoint"),
    [
        ("fastapi", "my-api.py", "import fastapi\napp = fastapi.FastAPI()", "my-api"),
        ("fastapi", "01_api.py", "import fastapi\nx = fastapi.FastAPI()", "01_api:x"),
        ("flask", "my-svc/main.py", FLASK, "my-svc.main:app"),
        ("flask", "src/my-svc/web.py", FLASK, "my-svc.web:app"),
        ("shiny", "app-x.py", "import shiny\napp = shiny.App(1, 2)", "app-x"),
        ("shiny", "x-app.py", EXPRESS, "shiny.express.app:x_2d_app_2e_py"),
        ("flask", "x-app.py", "app = anything()", "x-app"),
        ("streamlit", "my-app.py", STREAMLIT, "my-app.py"),
    ],
)
def test_names_that_only_importlib_takes_are_found_and_accepted(
    tmp_path: Path, mode: str, file: str, text: str, entrypoint: str
) -> None:
    assert found(tmp_path, mode, {file: text}) == [entrypoint]
    table = f'[tool.hatch-connect]\napp-mode = "{mode}"\nentrypoint = "{entrypoint}"\n'
    (tmp_path / "pyproject.toml").write_text(table, encoding="utf-8")
    assert read_project(tmp_path).entrypoint == entrypoint


@pytest.mark.parametrize(
    ("mode", "text", "entrypoint"),
    [
        ("flask", FLASK, "app"),
        ("flask", "import flask\nsite = flask.Flask('x')", "web:site"),
        ("flask", "from bottle import default_app\napplication = default_app()", "application"),
        ("flask", "import falcon\nif True:\n    api = falcon.App()", "web:api"),
        ("fastapi", "from fastapi import FastAPI as F\napp: F = F()", "app"),
        ("fastapi", "from fastapi.applications import FastAPI\nx = FastAPI()", "web:x"),
        ("fastapi", "import fastapi\nclass A(fastapi.FastAPI): pass\nx = A()", "web:x"),
        (
            "fastapi",
            "try:\n    import q\nexcept E:\n    pass\nimport quart\nx=quart.Quart(1)",
            "web:x",
        ),
        ("dash", "from dash import Dash\nmy = Dash()\nserver = my.server", "web:my"),
        (
            "gradio",
            "import gradio as gr\nwith gr.Blocks() as page:\n    b = gr.Button()",
            "web:page",
        ),
        ("gradio", "import gradio as gr\nui = gr.Interface(f, 'text', 'text')", "web:ui"),
        ("shiny", "import shiny\napp = shiny.App(1, 2)", "app"),
        ("shiny", "# shiny_mode: express\nimport shiny\n", "shiny.express.app:web_2e_py"),
        ("shiny", "# shiny_mode: core\n" + EXPRESS + "from shiny import App\napp = App()", "app"),
        ("shiny", "import shiny.express\n", "shiny.express.app:web_2e_py"),
        ("streamlit", STREAMLIT, "app"),
        ("panel", "import panel.widgets", "app"),
        ("bokeh", "from bokeh.io import curdoc", "app"),
    ],
)
def test_frameworks_are_known_by_what_is_imported(
    tmp_path: Path, mode: str, text: str, entrypoint: str
) -> None:
    assert found(tmp_path, mode, {"web.py": text}) == [
        "web" if entrypoint in {"app", "application"} else entrypoint
    ]


def test_an_object_that_only_the_script_makes_is_none(tmp_path: Path) -> None:
    text = "from flask import Flask\nif __name__ == '__main__':\n    site = Flask('x')\n"
    assert found(tmp_path, "flask", {"web.py": text}) == []


def test_a_name_that_becomes_something_else_is_not_the_object(tmp_path: Path) -> None:
    text = "from flask import Flask\nx = Flask('x')\nx = 1\n(a, b) = f()\ny: int\nz = f()()\n"
    assert found(tmp_path, "flask", {"web.py": text}) == []


def test_the_module_of_a_package_is_named_as_python_imports_it(tmp_path: Path) -> None:
    files = {"src/sales/__init__.py": "", "src/sales/web.py": FLASK}
    assert found(tmp_path, "flask", files) == ["sales.web:app"]


def test_where_a_module_is_a_package_itself(tmp_path: Path) -> None:
    assert found(tmp_path, "flask", {"sales/__init__.py": FLASK}) == ["sales:app"]


def test_candidates_are_all_there_are(tmp_path: Path) -> None:
    files = {"one.py": FLASK, "two.py": "import flask\na = flask.Flask(1)\nb = flask.Flask(2)\n"}
    assert found(tmp_path, "flask", files) == ["one", "two:a", "two:b"]


def test_app_is_the_object_that_a_server_takes(tmp_path: Path) -> None:
    assert found(tmp_path, "flask", {"web.py": FLASK + "admin = Flask('admin')\n"}) == ["web"]


def test_what_another_candidate_imports_is_a_part_of_it(tmp_path: Path) -> None:
    files = {
        "main.py": "from pkg.admin import sub\n" + FLASK,
        "pkg/__init__.py": "",
        "pkg/admin.py": "from .parts import part\n" + FLASK.replace("app", "sub"),
        "pkg/parts.py": "from . import other\n" + FLASK.replace("app", "part"),
    }
    assert found(tmp_path, "flask", files) == ["main"]


def test_modules_that_import_each_other_are_all_candidates(tmp_path: Path) -> None:
    files = {"one.py": "import two\n" + FLASK, "two.py": "import one\n" + FLASK}
    assert found(tmp_path, "flask", files) == ["one", "two"]


def test_scripts_that_are_imported_or_pages_are_no_candidates(tmp_path: Path) -> None:
    files = {
        "app.py": STREAMLIT + "import charts\nst.Page('reports/sales.py')\n",
        "charts.py": STREAMLIT,
        "reports/sales.py": STREAMLIT,
        "pages/two.py": STREAMLIT,
    }
    assert found(tmp_path, "streamlit", files) == ["app"]


def test_two_scripts_are_two_candidates(tmp_path: Path) -> None:
    files = {"a-1.py": STREAMLIT, "b.py": STREAMLIT, "sub/c.py": STREAMLIT}
    assert found(tmp_path, "streamlit", files) == ["a-1.py", "b", "sub/c.py"]


@pytest.mark.parametrize(
    "path",
    [
        *("tests/app.py", "test_app.py", "app_test.py", "conftest.py", "setup.py", "tasks.py"),
        *(".hidden/app.py", "venv/app.py", "node_modules/app.py", "dist/app.py", "x.egg-info/a.py"),
        *("build/app.py", "bare/lib/app.py", "windows/app.py", "conda/app.py", ".github/app.py"),
        "bad-name/my app.py",
    ],
)
def test_what_is_no_content_is_not_looked_at(tmp_path: Path, path: str) -> None:
    marks = (
        "venv/pyvenv.cfg",
        "bare/bin/python",
        "windows/Scripts/python.exe",
        "conda/conda-meta/x",
    )
    assert found(tmp_path, "flask", {path: FLASK, **dict.fromkeys(marks, "")}) == []


def test_a_project_that_is_an_environment_itself_is_looked_at(tmp_path: Path) -> None:
    parts = ("bin/app.py", "lib/app.py", "Scripts/app.py", "lib64/python3.12/site-packages/x.py")
    files = {"pyvenv.cfg": "", "main.py": FLASK, **dict.fromkeys(parts, FLASK)}
    assert found(tmp_path, "flask", files) == ["main"]


@pytest.mark.parametrize("path", ["web/dist/app.py", "src/build/app.py", "build/app.py"])
def test_packages_may_be_called_as_outputs_are(tmp_path: Path, path: str) -> None:
    files = {path: FLASK, path.replace("app", "__init__"): ""}
    assert len(found(tmp_path, "flask", files)) == 1


@pytest.mark.parametrize(
    ("text", "entrypoint"),
    [
        ("from factory import create_app\napp = create_app()", "main"),
        ("def create_app():\n    pass", "main"),
        ("async def make_app(): ...", "main"),
        ("class app: ...", "main"),
        ("application = get()", "main"),
    ],
)
def test_without_a_known_framework_the_names_count_that_a_server_tries(
    tmp_path: Path, text: str, entrypoint: str
) -> None:
    assert found(tmp_path, "flask", {"main.py": text, "other.py": text}) == [entrypoint]


def test_in_a_package_the_name_is_written_too(tmp_path: Path) -> None:
    assert found(tmp_path, "fastapi", {"src/p/asgi.py": "app = make()"}) == ["p.asgi:app"]


def test_a_script_that_imports_the_framework_elsewhere(tmp_path: Path) -> None:
    files = {"main.py": "", "app.py": "from ui import run", "other.py": ""}
    assert found(tmp_path, "streamlit", files) == ["app"]


@pytest.mark.parametrize("text", ["def (", "\0", "x = 'é'.encode()"])
def test_files_that_are_no_python_are_passed_over(tmp_path: Path, text: str) -> None:
    (tmp_path / "bad.py").write_bytes(b"\xff\xfe")
    assert found(tmp_path, "flask", {"app.py": text}) == []
    assert read_source(tmp_path, "gone.py") is None


@given(st.text(min_size=1, max_size=20))
def test_an_express_entrypoint_is_an_identifier(name: str) -> None:
    assert express_entrypoint(name).removeprefix("shiny.express.app:").isidentifier()


def test_an_express_script_may_begin_with_a_digit() -> None:
    assert express_entrypoint("1a-b.py") == "shiny.express.app:_31_a_2d_b_2e_py"


class TestFiles:
    @pytest.mark.parametrize(
        ("mode", "files", "entrypoints"),
        [
            ("notebook", ["a.ipynb", "sub/b.ipynb"], ["a.ipynb"]),
            ("notebook", ["sub/b.ipynb"], ["sub/b.ipynb"]),
            ("notebook", ["a.ipynb", "b.ipynb"], ["a.ipynb", "b.ipynb"]),
            ("notebook", ["x.txt", ".ipynb_checkpoints/a.ipynb"], []),
            ("voila", ["a.ipynb"], ["a.ipynb"]),
            ("voila", ["a.ipynb", "b.ipynb"], ["a.ipynb", "b.ipynb", "."]),
            ("html", ["index.html", "a.html"], ["index.html"]),
            ("html", ["a.HTM", "sub/index.html"], ["a.HTM"]),
            ("html", ["a.html", "b.html"], ["a.html", "b.html"]),
            ("html", ["site/index.html", "site/x/index.html"], ["site/index.html"]),
            ("html", ["a/index.html", "b/index.html"], ["a/index.html", "b/index.html"]),
            ("html", ["sub/a.html"], ["sub/a.html"]),
            ("html", [], []),
            ("quarto", ["_quarto.yml", "a.qmd", "b.qmd"], ["."]),
            ("quarto", ["a.qmd", "docs/_quarto.yml"], ["a.qmd"]),
            ("quarto", ["docs/_quarto.yaml", "docs/a.qmd"], ["docs"]),
            ("quarto", ["docs/a.qmd"], ["docs/a.qmd"]),
            ("quarto", [], []),
            ("tensorflow", ["saved_model.pb", "x/saved_model.pb"], ["."]),
            ("tensorflow", ["m/1/saved_model.pb", "m/2/saved_model.pbtxt"], ["m"]),
            ("tensorflow", ["1/saved_model.pb", "2/saved_model.pb"], ["."]),
            ("tensorflow", ["a/saved_model.pb", "b/saved_model.pb"], ["a", "b"]),
            ("tensorflow", [], []),
        ],
    )
    def test_what_is_found(
        self, tmp_path: Path, mode: str, files: list[str], entrypoints: list[str]
    ) -> None:
        assert found(tmp_path, mode, dict.fromkeys(files, "")) == entrypoints
