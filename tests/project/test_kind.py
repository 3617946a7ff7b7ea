"""Configuration of each type of content."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.bundles import write_files

from hatch_connect.errors import ConfigurationError
from hatch_connect.project.config import ProjectConfig, read_project
from hatch_connect.project.runtime import EnvironmentManagement

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

HATCHLING = '[build-system]\nrequires = ["hatchling"]\nbuild-backend = "hatchling.build"\n'
FLASK = "from flask import Flask\napp = Flask(__name__)\n"


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
    return read_project(
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
        assert "it may be one of several: `one`, `two`. Name one." in said

    def test_very_many_candidates_are_cut_short(self, tmp_path: Path) -> None:
        said = problem(tmp_path, "notebook", [f"{n:02}.ipynb" for n in range(20)])
        assert "`11.ipynb` and 8 more" in said

    @pytest.mark.parametrize(
        ("mode", "said"),
        [
            ("notebook", "there is no notebook"),
            ("voila", "there is no notebook"),
            ("html", "there is no HTML file"),
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
            ("html", ["s/a.html", "s/b.html"], "s", "names the folder s, and it may be one of"),
            ("html", ["s/a.txt"], "s", "names the folder s: there is no HTML file"),
            ("voila", ["n/a.txt"], "n", "names the folder n: there is no notebook"),
            ("tensorflow", ["m/a.pb"], ".", "names the whole project: there is no `saved_model"),
            ("tensorflow", ["saved_model.pb"], "saved_model.pb", "must be the folder"),
            ("html", [], "../site", "below the project's root"),
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
        assert "there is no notebook" in problem(tmp_path, "notebook", [], "static = true\n")

    @pytest.mark.parametrize("key", ["static", "hide-all-input", "hide-tagged-input"])
    def test_other_content_has_nothing_to_hide(self, tmp_path: Path, key: str) -> None:
        said = problem(tmp_path, "html", ["index.html"], f"{key} = true\n")
        assert f"`tool.hatch-connect.{key}` is for Jupyter notebooks" in said

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
            ("environment-management = {ruby = true}", "knows `python` and `r`, not `ruby`"),
            ("environment-management = {r = 1}", "`r` must be true or false, not an integer"),
        ],
    )
    def test_other_values_are_problems(self, tmp_path: Path, text: str, said: str) -> None:
        assert said in problem(tmp_path, "flask", {"app.py": FLASK}, text)

    @pytest.mark.parametrize("key", ["image", "environment-management", "package-installer"])
    def test_html_has_no_environment(self, tmp_path: Path, key: str) -> None:
        value = {"image": "a/b:1", "environment-management": False, "package-installer": "uv"}[key]
        said = problem(tmp_path, "html", ["index.html"], overrides={key: value})
        assert f"`{key}` (given on this call) has no meaning for static HTML content" in said
        assert "no environment" in said

    def test_neither_has_a_rendered_notebook(self, tmp_path: Path) -> None:
        said = problem(tmp_path, "notebook", ["a.ipynb"], 'static = true\nimage = "a/b"\n')
        assert "has no meaning for static HTML" in said

    def test_a_model_runs_in_an_image_but_installs_nothing(self, tmp_path: Path) -> None:
        config = read(tmp_path, "tensorflow", ["saved_model.pb"], 'image = "a/b:1"\n')
        assert config.image == "a/b:1"
        said = problem(tmp_path, "tensorflow", ["saved_model.pb"], "environment-management = false")
        assert "installs no packages" in said


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
        config = read_project(tmp_path, content="x", overrides={"exclude": ["call"]})
        assert config.exclude == ("own", "call")

    def test_a_bad_list_of_a_call_is_named_as_such(self, tmp_path: Path) -> None:
        said = problem(
            tmp_path, "flask", {"app.py": FLASK}, "exclude = 1\n", overrides={"exclude": "x"}
        )
        assert "`exclude` (given on this call) must be an array" in said
        assert "`tool.hatch-connect.exclude` must be an array" in said

    def test_generating_is_for_a_call_alone(self, tmp_path: Path) -> None:
        files = {"app.py": FLASK}
        assert not read(tmp_path, "flask", files).force_generate
        config = read(tmp_path, "flask", files, overrides={"force-generate": True})
        assert config.force_generate
        said = problem(tmp_path, "flask", files, "force-generate = true\n")
        assert "`tool.hatch-connect.force-generate` is no setting" in said

    @pytest.mark.parametrize("key", ["lock", "requirements-file"])
    def test_generating_and_a_named_list_exclude_each_other(self, tmp_path: Path, key: str) -> None:
        overrides = {"force-generate": True, key: "requirements.txt"}
        said = problem(tmp_path, "flask", {"app.py": FLASK}, overrides=overrides)
        assert "give one of them" in said
        config = read(tmp_path, "flask", {}, f'{key} = "x"\n', overrides={"force-generate": True})
        assert config.force_generate
