"""What is found where a project names no entrypoint."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.bundles import write_files
from support.projects import configuration
from support.sandbox import REPOSITORY

from hatch_connect.errors import ConfigurationError
from hatch_connect.project.content_kind import AppMode, EntrypointKind, find_app_mode
from hatch_connect.project.discovery import discover, express_entrypoint
from hatch_connect.project.entrypoints import entrypoint_candidates, entrypoint_problem
from hatch_connect.project.project import read_project
from hatch_connect.project.settings import EnvironmentManagement
from hatch_connect.project.sources import read_source

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from hatch_connect.project.project import ProjectConfig

PROJECTS = REPOSITORY / "tests" / "projects"

FLASK = "from flask import Flask\napp = Flask(__name__)\n"
EXPRESS = "from shiny.express import ui\n"
STREAMLIT = "import streamlit as st\n"

HATCHLING = '[build-system]\nrequires = ["hatchling"]\nbuild-backend = "hatchling.build"\n'


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
        ("fastapi", "src/sales/main.py:app", "did you mean `sales.main:app`"),
        ("fastapi", "./app.py", "did you mean `app:app`"),
        ("fastapi", "a:b:c", "`module` or `module:object`"),
        ("fastapi", "my app:app", "`module` or `module:object`"),
        ("fastapi", "app:my-app", "`module` or `module:object`"),
        ("fastapi", "-app", "`module` or `module:object`"),
        ("fastapi", "my-svc/main.py:api", "did you mean `my-svc.main:api`"),
        ("streamlit", "../app.py", "inside the project"),
        ("notebook", "/home/me/n.ipynb", "inside the project"),
        ("notebook", "C:/n.ipynb", "inside the project"),
        ("notebook", "sub\\n.ipynb", "forward slashes"),
        ("tensorflow", "../x", "inside the project"),
        ("rmd-static", "x", "does not apply to"),
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


def found(root: Path, mode: str, files: dict[str, str]) -> list[str]:
    return [str(each) for each in discover(find_app_mode(mode), write_files(root, files))]


def test_a_mode_of_scripts_without_a_framework_has_its_usual_names(tmp_path: Path) -> None:
    mode = AppMode(name="new", title="New", entrypoint=EntrypointKind.SCRIPT)
    root = write_files(tmp_path, {"app.py": "import new\n"})
    assert [str(each) for each in discover(mode, root)] == ["app"]


def test_views_of_one_project_agree_on_what_is_found(tmp_path: Path) -> None:
    table = '[project]\nname = "a"\nversion = "1"\n[tool.hatch-connect]\napp-mode = "flask"\n'
    project = read_project(write_files(tmp_path, {"pyproject.toml": table, "app.py": FLASK}))
    assert project.content().entrypoint == "app"
    write_files(tmp_path, {"made_by_the_build.py": FLASK})
    assert project.content(on="staging").entrypoint == "app"
    with pytest.raises(ConfigurationError, match="several candidates"):
        read_project(tmp_path).content()


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
    config = configuration(PROJECTS / project)
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
    assert configuration(tmp_path).entrypoint == entrypoint


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


def read(
    root: Path,
    mode: str,
    files: list[str] | dict[str, str],
    more: str = "",
    *,
    system: str = "",
    overrides: Mapping[str, object] | None = None,
) -> ProjectConfig:
    texts = files if isinstance(files, dict) else dict.fromkeys(files, "")
    pyproject = f'{system}[tool.hatch-connect]\napp-mode = "{mode}"\n{more}'
    return configuration(
        write_files(root, {"pyproject.toml": pyproject, **texts}), overrides=overrides
    )


def problem(
    root: Path,
    mode: str,
    files: list[str] | dict[str, str],
    more: str = "",
    *,
    overrides: Mapping[str, object] | None = None,
) -> str:
    with pytest.raises(ConfigurationError) as caught:
        read(root, mode, files, more, overrides=overrides)
    return "\n".join(caught.value.problems)


class TestEntrypoint:
    def test_several_candidates_are_a_problem_that_lists_them(self, tmp_path: Path) -> None:
        said = problem(tmp_path, "flask", {"one.py": FLASK, "two.py": FLASK})
        assert "`tool.hatch-connect.entrypoint` is missing" in said
        assert "there are several candidates: `one`, `two`. Set it to one of them." in said

    def test_very_many_candidates_are_cut_short(self, tmp_path: Path) -> None:
        said = problem(tmp_path, "notebook", [f"{n:02}.ipynb" for n in range(20)])
        assert "`11.ipynb` and 8 more" in said

    @pytest.mark.parametrize(
        ("mode", "said"),
        [
            ("notebook", "no notebook"),
            ("voila", "no notebook"),
            ("html", "no HTML file"),
            ("quarto", "no document (.qmd)"),
            ("quarto-shiny", "no document (.qmd)"),
            ("tensorflow", "saved_model.pb"),
            ("gradio", "module:object"),
            ("panel", "app.py"),
        ],
    )
    def test_nothing_found_says_what_was_looked_for(
        self, tmp_path: Path, mode: str, said: str
    ) -> None:
        assert said in problem(tmp_path, mode, [])

    @pytest.mark.parametrize(
        ("mode", "files", "text", "entrypoint", "folder"),
        [
            ("html", ["site/index.html"], "site", "index.html", "site"),
            ("html", ["site/index.html"], "./site/", "index.html", "site"),
            ("html", ["site/index.html"], "site/index.html", "site/index.html", ""),
            ("html", ["site/deep/index.html"], "site", "index.html", "site/deep"),
            ("html", ["a.html"], ".", "a.html", ""),
            ("voila", ["n/a.ipynb", "n/b.ipynb"], "n", "", "n"),
            ("voila", ["n/a.ipynb"], "n", "a.ipynb", "n"),
            ("voila", ["n/x/a.ipynb", "n/y/b.ipynb"], "n", "", "n"),
            ("voila", ["a.ipynb", "b.ipynb"], "", "", ""),
            ("voila", ["a.ipynb", "b.ipynb"], "b.ipynb", "b.ipynb", ""),
            ("quarto", ["docs/_quarto.yml"], "docs", None, "docs"),
            ("quarto", ["docs/a.qmd", "docs/b.qmd"], "docs/b.qmd", "b.qmd", "docs"),
            ("quarto-shiny", ["a.qmd", "b.qmd"], "b.qmd", "b.qmd", ""),
            ("tensorflow", ["m/saved_model.pb", "n/saved_model.pb"], "n", None, "n"),
            ("tensorflow", ["saved_model.pb"], ".", None, ""),
        ],
    )
    def test_a_folder_becomes_the_root(
        self,
        tmp_path: Path,
        mode: str,
        files: list[str],
        text: str,
        entrypoint: str | None,
        folder: str,
    ) -> None:
        config = read(tmp_path, mode, files, f'entrypoint = "{text}"\n')
        assert (config.entrypoint, config.folder) == (entrypoint, folder)
        assert config.content_root == (tmp_path / folder if folder else tmp_path)

    @pytest.mark.parametrize(
        ("mode", "files", "text", "said"),
        [
            (
                "html",
                ["s/a.html", "s/b.html"],
                "s",
                "names the folder s, and there are several candidates",
            ),
            ("html", ["s/a.txt"], "s", "names the folder s: no HTML file"),
            ("voila", ["n/a.txt"], "n", "names the folder n: no notebook"),
            ("tensorflow", ["m/a.pb"], ".", "names the whole project: no `saved_model"),
            ("tensorflow", ["saved_model.pb"], "saved_model.pb", "must be the folder"),
            ("html", [], "../site", "inside the project"),
            ("notebook", ["a.ipynb"], "", "must not be empty"),
            ("flask", [], "", "must not be empty"),
        ],
    )
    def test_what_a_folder_lacks_is_said(
        self, tmp_path: Path, mode: str, files: list[str], text: str, said: str
    ) -> None:
        assert said in problem(tmp_path, mode, files, f'entrypoint = "{text}"\n')

    @pytest.mark.parametrize(
        ("written", "shipped"),
        [
            ("src/pkg/app.py", "pkg/app.py"),
            ("pkg/app.py", "pkg/app.py"),
            ("src/pkg/gone.py", "src/pkg/gone.py"),
        ],
    )
    def test_the_script_of_a_package_is_named_by_its_path_in_the_bundle(
        self, tmp_path: Path, written: str, shipped: str
    ) -> None:
        more = f'entrypoint = "{written}"\n'
        files = ["src/pkg/__init__.py", "src/pkg/app.py"]
        config = read(tmp_path, "streamlit", files, more, system=HATCHLING)
        assert config.entrypoint == shipped

    def test_without_a_package_the_path_is_as_written(self, tmp_path: Path) -> None:
        config = read(tmp_path, "streamlit", ["src/app.py"], 'entrypoint = "src/app.py"\n')
        assert config.entrypoint == "src/app.py"

    @pytest.mark.parametrize(
        ("written", "shipped"),
        [
            ("app.py", "shiny.express.app:app_2e_py"),
            ("app", "shiny.express.app:app_2e_py"),
            ("pkg.page", "shiny.express.app:pkg_2f_page_2e_py"),
            ("core.py", "core"),
            ("core:app", "core:app"),
            ("gone.py", "gone.py"),
        ],
    )
    def test_shiny_express_is_called_as_connect_calls_it(
        self, tmp_path: Path, written: str, shipped: str
    ) -> None:
        express = "import shiny.express\n"
        files = {"app.py": express, "src/pkg/page.py": express, "core.py": ""}
        more = f'entrypoint = "{written}"\n'
        assert read(tmp_path, "express", files, more).entrypoint == shipped


class TestNotebooks:
    def test_what_is_hidden(self, tmp_path: Path) -> None:
        more = "hide-all-input = true\nhide-tagged-input = true\n"
        config = read(tmp_path, "notebook", ["a.ipynb"], more)
        assert (config.hide_all_input, config.hide_tagged_input) == (True, True)
        assert config.rendered is None

    def test_a_rendered_one_is_html(self, tmp_path: Path) -> None:
        config = read(tmp_path, "notebook", ["n/a.b.ipynb"], "static = true\n")
        assert (config.app_mode.name, config.app_mode.has_python) == ("static", False)
        assert (config.rendered, config.entrypoint) == ("n/a.b.ipynb", "a.b.html")

    def test_a_call_may_ask_for_it(self, tmp_path: Path) -> None:
        config = read(tmp_path, "notebook", ["a.ipynb"], overrides={"static": True})
        assert config.rendered == "a.ipynb"

    def test_none_to_render(self, tmp_path: Path) -> None:
        assert "no notebook" in problem(tmp_path, "notebook", [], "static = true\n")

    @pytest.mark.parametrize("key", ["static", "hide-all-input", "hide-tagged-input"])
    def test_other_content_has_nothing_to_hide(self, tmp_path: Path, key: str) -> None:
        said = problem(tmp_path, "html", ["index.html"], f"{key} = true\n")
        assert f"`tool.hatch-connect.{key}` applies to Jupyter notebooks only" in said

    def test_false_is_no_problem(self, tmp_path: Path) -> None:
        assert not read(tmp_path, "html", ["index.html"], "static = false\n").rendered


class TestRuntime:
    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("environment-management = true", EnvironmentManagement(python=True, r=True)),
            ("environment-management = false", EnvironmentManagement(python=False, r=False)),
            ("environment-management = {python = false}", EnvironmentManagement(python=False)),
            ("environment-management = {r = false}", EnvironmentManagement(r=False)),
            ("", None),
        ],
    )
    def test_management_is_a_boolean_or_by_language(
        self, tmp_path: Path, text: str, expected: EnvironmentManagement | None
    ) -> None:
        config = read(tmp_path, "flask", {"app.py": FLASK}, text)
        assert config.environment_management == expected

    def test_a_call_adds_its_language(self, tmp_path: Path) -> None:
        config = read(
            tmp_path,
            "flask",
            {"app.py": FLASK},
            "environment-management = {r = false, python = true}",
            overrides={"environment-management": {"python": False}, "image": "a/b:1"},
        )
        assert config.environment_management == EnvironmentManagement(python=False, r=False)
        assert config.image == "a/b:1"

    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ("environment-management = 3", "must be true, false or a table"),
            ("environment-management = {ruby = true}", "accepts `python` and `r`, not `ruby`"),
            ("environment-management = {r = 1}", "`r` must be true or false, not an integer"),
        ],
    )
    def test_other_values_are_problems(self, tmp_path: Path, text: str, said: str) -> None:
        assert said in problem(tmp_path, "flask", {"app.py": FLASK}, text)

    @pytest.mark.parametrize("key", ["image", "environment-management", "package-installer"])
    def test_html_has_no_environment(self, tmp_path: Path, key: str) -> None:
        value = {"image": "a/b:1", "environment-management": False, "package-installer": "uv"}[key]
        said = problem(tmp_path, "html", ["index.html"], overrides={key: value})
        assert f"`{key}` (set by an option) does not apply to static HTML content" in said
        assert "files are served" in said

    def test_neither_has_a_rendered_notebook(self, tmp_path: Path) -> None:
        said = problem(tmp_path, "notebook", ["a.ipynb"], 'static = true\nimage = "a/b"\n')
        assert "does not apply to static HTML" in said

    def test_a_model_runs_in_an_image_but_installs_nothing(self, tmp_path: Path) -> None:
        config = read(tmp_path, "tensorflow", ["saved_model.pb"], 'image = "a/b:1"\n')
        assert config.image == "a/b:1"
        said = problem(tmp_path, "tensorflow", ["saved_model.pb"], "environment-management = false")
        assert "no packages are installed" in said


class TestCalls:
    @pytest.mark.parametrize("key", ["include", "exclude", "extras", "groups"])
    def test_what_a_call_lists_is_added(self, tmp_path: Path, key: str) -> None:
        config = read(
            tmp_path,
            "flask",
            {"app.py": FLASK},
            f'{key} = ["table", "both"]\n',
            overrides={key: ["both", "call"]},
        )
        assert getattr(config, key) == ("table", "both", "call")

    def test_content_replaces_what_the_main_table_lists(self, tmp_path: Path) -> None:
        text = 'exclude = ["main"]\n[tool.hatch-connect.content.x]\nexclude = ["own"]\n'
        read(tmp_path, "flask", {"app.py": FLASK}, text)
        config = configuration(tmp_path, content="x", overrides={"exclude": ["call"]})
        assert config.exclude == ("own", "call")

    def test_a_bad_list_of_a_call_is_named_as_such(self, tmp_path: Path) -> None:
        said = problem(
            tmp_path, "flask", {"app.py": FLASK}, "exclude = 1\n", overrides={"exclude": "x"}
        )
        assert "`exclude` (set by an option) must be an array" in said
        assert "`tool.hatch-connect.exclude` must be an array" in said

    def test_generating_is_for_a_call_alone(self, tmp_path: Path) -> None:
        files = {"app.py": FLASK}
        assert not read(tmp_path, "flask", files).force_generate
        config = read(tmp_path, "flask", files, overrides={"force-generate": True})
        assert config.force_generate
        said = problem(tmp_path, "flask", files, "force-generate = true\n")
        assert "`tool.hatch-connect.force-generate` is not a valid setting" in said

    @pytest.mark.parametrize("key", ["lock", "requirements-file"])
    def test_generating_and_a_named_list_exclude_each_other(self, tmp_path: Path, key: str) -> None:
        overrides = {"force-generate": True, key: "requirements.txt"}
        said = problem(tmp_path, "flask", {"app.py": FLASK}, overrides=overrides)
        assert "cannot be combined" in said
        config = read(tmp_path, "flask", {}, f'{key} = "x"\n', overrides={"force-generate": True})
        assert config.force_generate
