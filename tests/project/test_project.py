from __future__ import annotations

import tomllib
from typing import TYPE_CHECKING

import pytest
from support.projects import configuration

from hatch_connect.errors import ConfigurationError, UsageError
from hatch_connect.project.content_kind import find_app_mode
from hatch_connect.project.project import read_project
from hatch_connect.project.reading import find_root
from hatch_connect.project.settings import (
    AS_USUAL,
    KEYS,
    SETTINGS,
    EnvironmentEntry,
    EnvironmentManagement,
    Verification,
)
from hatch_connect.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from hatch_connect.project.project import ProjectConfig
    from hatch_connect.project.settings import Setting

PROJECT = """
[project]
name = "sales-api"
version = "1.2.0"
requires-python = ">=3.11"
dependencies = ["fastapi"]
"""

LEAST = """
[tool.hatch-connect]
app-mode = "fastapi"
entrypoint = "sales_api.main:app"
"""


def read(
    root: Path,
    text: str,
    *,
    overrides: Mapping[str, object] | None = None,
    content: str | None = None,
    on: str | None = None,
) -> ProjectConfig:
    (root / "pyproject.toml").write_text(text, encoding="utf-8")
    return configuration(root, overrides=overrides, content=content, on=on)


def problems(root: Path, text: str, **asked: str) -> tuple[str, ...]:
    with pytest.raises(ConfigurationError) as caught:
        read(root, text, content=asked.get("content"), on=asked.get("on"))
    assert str(root / "pyproject.toml") in str(caught.value)
    return caught.value.problems


class TestDefaults:
    def test_the_least_there_is(self, tmp_path: Path) -> None:
        config = read(tmp_path, PROJECT + LEAST)
        assert config.app_mode.name == "python-fastapi"
        assert config.content_name == "sales-api"
        assert (config.version, config.dependencies) == ("1.2.0", ("fastapi",))
        assert (config.hatch_env, config.verify, config.verify_path) == ("default", AS_USUAL, "")
        assert not any((config.draft, config.strict, config.hashes))
        assert config.title is None
        assert config.environment_management is None

    def test_a_project_without_a_project_table_is_named_after_its_folder(
        self, tmp_path: Path
    ) -> None:
        root = tmp_path / "my app"
        root.mkdir()
        config = read(root, LEAST)
        assert (config.project_name, config.content_name) == ("my app", "my-app")
        assert (config.version, config.build_backend) == (None, None)

    def test_a_dynamic_version_is_not_known_here(self, tmp_path: Path) -> None:
        config = read(tmp_path, '[project]\nname = "x"\ndynamic = ["version"]' + LEAST)
        assert config.version is None

    def test_a_short_name_becomes_a_valid_one(self, tmp_path: Path) -> None:
        config = read(tmp_path, '[project]\nname = "x"\nversion = "1"' + LEAST)
        assert config.content_name == "x-content"

    @pytest.mark.parametrize(
        ("table", "backend"),
        [
            ("", None),
            ("[build-system]\nrequires = ['hatchling']\nbuild-backend = 'h.build'", "h.build"),
            ("[build-system]\nrequires = ['setuptools']", "setuptools.build_meta:__legacy__"),
            ("[build-system]", "setuptools.build_meta:__legacy__"),
        ],
    )
    def test_the_back_end_is_the_one_that_pip_would_use(
        self, tmp_path: Path, table: str, backend: str | None
    ) -> None:
        assert read(tmp_path, PROJECT + LEAST + table).build_backend == backend


# What `Settings` holds of an example that it does not hold as it stands.
HELD: dict[str, object] = {
    "app-mode": find_app_mode("fastapi"),
    "env": (
        EnvironmentEntry(name="MODE", value=Secret("production")),
        EnvironmentEntry(name="DATABASE_URL", value=None),
    ),
    "environment-management": EnvironmentManagement(python=False, r=False),
    "index-urls": True,
    "markers": True,
    "metadata": (("team", "sales"),),
    "static": "report.ipynb",
    "verify": Verification(paths=("health",), again=True, rolls_back=True),
}
DECLARED = [pytest.param(setting, id=key) for key, setting in SETTINGS.items()]
IN_TABLES = [pytest.param(SETTINGS[key], id=key) for key in sorted(KEYS)]


def least(setting: Setting, *more: str) -> str:
    """Return a project with a main table that leaves this setting open, if it can."""
    of_notebooks = setting.key in {"hide-all-input", "hide-tagged-input", "static"}
    lines = {
        "app-mode": "'notebook'" if of_notebooks else "'flask'",
        "entrypoint": "'report.ipynb'" if of_notebooks else "'a:b'",
    }
    if more:
        lines.pop(setting.key, None)
    table = "".join(f"{key} = {value}\n" for key, value in lines.items())
    return f"{PROJECT}[tool.hatch.envs.prod]\n[tool.hatch-connect]\n{table}" + "\n".join(more)


def held(setting: Setting) -> object:
    value = example(setting)
    return HELD.get(setting.key, tuple(value) if isinstance(value, list) else value)


def example(setting: Setting) -> object:
    return tomllib.loads(f"value = {setting.example}")["value"]


@pytest.fixture
def notebook(tmp_path: Path) -> Path:
    (tmp_path / "report.ipynb").write_text("{}", encoding="utf-8")
    return tmp_path


class TestEverySetting:
    @pytest.mark.parametrize("setting", IN_TABLES)
    def test_it_is_read(self, notebook: Path, setting: Setting) -> None:
        config = read(notebook, least(setting, f"{setting.key} = {setting.example}"))
        assert getattr(config, setting.field) == held(setting)
        assert getattr(read(notebook, least(setting)), setting.field) != held(setting)

    @pytest.mark.parametrize("setting", DECLARED)
    def test_a_call_may_give_it(self, notebook: Path, setting: Setting) -> None:
        config = read(notebook, least(setting), overrides={setting.key: example(setting)})
        assert getattr(config, setting.field) == held(setting)

    @pytest.mark.parametrize("setting", IN_TABLES)
    def test_another_type_is_a_problem(self, notebook: Path, setting: Setting) -> None:
        (found,) = problems(notebook, least(setting, f"{setting.key} = 2024-01-01"))
        assert found.startswith(f"`tool.hatch-connect.{setting.key}` must be ")
        assert found.endswith(", not a date or time.")

    @pytest.mark.parametrize("setting", DECLARED)
    def test_it_may_differ_on_one_server_or_not(self, notebook: Path, setting: Setting) -> None:
        on = f"[tool.hatch-connect.on.lab]\n{setting.key} = {setting.example}"
        text = least(setting) + on
        if setting.on_server:
            config = read(notebook, text, on="lab")
            assert getattr(config, setting.field) == held(setting)
        else:
            (found,) = problems(notebook, text, on="lab")
            assert f"`tool.hatch-connect.on.lab.{setting.key}` is not a valid setting" in found

    @pytest.mark.parametrize("setting", DECLARED)
    def test_a_name_that_comes_close_brings_it(self, notebook: Path, setting: Setting) -> None:
        (found,) = problems(notebook, least(setting) + f"{setting.key}s = 1")
        assert found.startswith(f"`tool.hatch-connect.{setting.key}s` is not a valid setting")
        assert found.endswith(f"Did you mean `{setting.key}`?") != setting.call_only


def test_names_of_extras_are_normalized(tmp_path: Path) -> None:
    config = read(tmp_path, PROJECT + LEAST + "extras = ['Big_Data', 'big.data']")
    assert config.extras == ("big-data",)


def test_a_variable_may_be_empty_or_hold_any_text(tmp_path: Path) -> None:
    config = read(tmp_path, PROJECT + LEAST + "env = ['EMPTY=', 'EQ=a=b']")
    assert [(entry.name, entry.value) for entry in config.env] == [
        ("EMPTY", Secret("")),
        ("EQ", Secret("a=b")),
    ]


class TestLayers:
    TEXT = (
        PROJECT
        + LEAST
        + """
title = "Main"
env = ["A=1", "B=1"]
[tool.hatch-connect.content.ui]
app-mode = "streamlit"
entrypoint = "ui.py"
[tool.hatch-connect.on.production]
title = "For real"
env = ["B=2", "C=2"]
"""
    )

    def test_content_inherits_the_main_table(self, tmp_path: Path) -> None:
        config = read(tmp_path, self.TEXT, content="ui")
        assert (config.app_mode.name, config.entrypoint) == ("python-streamlit", "ui.py")
        assert (config.title, config.content_name) == ("Main", "sales-api-ui")
        assert config.content == "ui"

    def test_a_server_wins_over_both_and_variables_come_together(self, tmp_path: Path) -> None:
        config = read(tmp_path, self.TEXT, content="ui", on="production")
        assert config.title == "For real"
        values = {entry.name: entry.value.reveal() for entry in config.env if entry.value}
        assert values == {"A": "1", "B": "2", "C": "2"}

    def test_a_server_without_a_table_changes_nothing(self, tmp_path: Path) -> None:
        assert read(tmp_path, self.TEXT, on="elsewhere").title == "Main"

    def test_notes_of_a_bundle_come_together_until_one_layer_says_false(
        self, tmp_path: Path
    ) -> None:
        text = PROJECT + LEAST + "metadata = { team = 'a', build = 5, nightly = true }\n"
        assert dict(read(tmp_path, text).metadata_of_bundle or ()) == {
            "team": "a", "build": "5", "nightly": "true",
        }  # fmt: skip
        on = "[tool.hatch-connect.on.lab]\n"
        config = read(tmp_path, f"{text}{on}metadata = {{ team = 'b' }}\n", on="lab")
        assert dict(config.metadata_of_bundle or ())["team"] == "b"
        assert read(tmp_path, f"{text}{on}metadata = false\n", on="lab").metadata_of_bundle is None
        assert read(tmp_path, PROJECT + LEAST).metadata_of_bundle == ()

    @pytest.mark.parametrize(
        ("value", "told"),
        [
            ("true", "metadata` must be a table of values, or false, not true"),
            ("'a=b'", "metadata` must be a table of values, or false, not a string"),
            ("{ a = ['b'] }", "metadata.a` must be a string or a number, not an array"),
        ],
    )
    def test_notes_of_a_bundle_are_values(self, tmp_path: Path, value: str, told: str) -> None:
        assert told in "\n".join(problems(tmp_path, f"{PROJECT}{LEAST}metadata = {value}\n"))

    def test_tables_of_verification_come_together(self, tmp_path: Path) -> None:
        text = f"{PROJECT}{LEAST}[tool.hatch-connect.verify]\npaths = ['a', '/b']\nretries = 2\n"
        on = "[tool.hatch-connect.on.lab"
        main = read(tmp_path, text).verify
        assert main == Verification(paths=("a", "/b"), retries=2, again=True)
        there = read(tmp_path, f"{text}{on}.verify]\nretries = 0\npause = 1.5\n", on="lab").verify
        assert there == Verification(paths=("a", "/b"), pause=1.5, again=True)
        assert read(tmp_path, f"{text}{on}]\nverify = false\n", on="lab").verify is None
        off = f"{PROJECT}{LEAST}verify = false\n{on}]\n"
        assert read(tmp_path, f"{off}verify = true\n", on="lab").verify == AS_USUAL
        status = Verification(status=(200, 204), again=True)
        assert (
            read(tmp_path, f"{off}verify = {{ status = [200, 204] }}\n", on="lab").verify == status
        )
        kept = f"{text}on-failure = 'rollback'\n{on}.verify]\non-failure = 'keep'\n"
        found = read(tmp_path, kept, on="lab").verify
        assert found is not None
        assert not found.rolls_back

    def test_a_path_to_verify_is_short_for_paths(self, tmp_path: Path) -> None:
        text = f"{PROJECT}{LEAST}verify-path = 'health'\n"
        assert read(tmp_path, text).verify == Verification(paths=("health",))
        both = f"{text}[tool.hatch-connect.on.lab.verify]\npaths = ['a']\n"
        (found,) = problems(tmp_path, both, on="lab")
        assert found == (
            "`tool.hatch-connect.verify-path` and `paths` of `tool.hatch-connect.on.lab.verify`"
            " are mutually exclusive."
        )

    @pytest.mark.parametrize(
        ("table", "told"),
        [
            ("paths = 'health'", "paths` must be an array of paths"),
            ("paths = []", "paths` must be an array of paths"),
            ("paths = ['https://elsewhere']", "paths` must be an array of paths"),
            ("status = 200", "status` must be an array of HTTP statuses"),
            ("status = [true]", "status` must be an array of HTTP statuses"),
            ("status = [99]", "status` must be an array of HTTP statuses"),
            ("text = ''", "text` must be a non-empty string"),
            ("timeout = 0", "timeout` must be a number of seconds from 0.1 to 3,600"),
            ("timeout = nan", "timeout` must be a number of seconds"),
            ("pause = true", "pause` must be a number of seconds from 0 to 3,600"),
            ("pause = -1", "pause` must be a number of seconds"),
            ("retries = 1.5", "retries` must be a whole number from 0 to 100"),
            ("retries = true", "retries` must be a whole number"),
            ("on-failure = 'roll-back'", 'on-failure` must be "rollback" or "keep"'),
            (
                "on_failure = 'rollback'",
                "on_failure` is not a valid setting. Did you mean `on-failure`?",
            ),
        ],
    )
    def test_what_is_wrong_in_it_is_named(self, tmp_path: Path, table: str, told: str) -> None:
        text = f"{PROJECT}{LEAST}[tool.hatch-connect.verify]\n{table}\n"
        (found,) = problems(tmp_path, text)
        assert found.startswith(f"`tool.hatch-connect.verify.{told}")

    def test_the_nicknames_that_have_tables_are_known_with_their_urls(self, tmp_path: Path) -> None:
        text = self.TEXT + "server = 'https://one.example'\n"
        text += "[tool.hatch-connect.on.staging]\n[tool.hatch-connect.content.ui.on.lab]\n"
        text += "[tool.hatch-connect.on.qa]\nserver = 'https://qa.example'\n"
        text += "[tool.hatch-connect.content.ui.on.qa]\n"
        text += "[tool.hatch-connect.content.ui.on.production]\nserver = 'https://two.example'\n"
        main, ui = read(tmp_path, text), read(tmp_path, text, content="ui")
        assert dict(main.servers) == {
            "production": "https://one.example", "staging": None, "qa": "https://qa.example",
        }  # fmt: skip
        assert dict(ui.servers) == {
            "production": "https://two.example", "staging": None, "lab": None,
            "qa": "https://qa.example",
        }  # fmt: skip

    def test_a_call_wins_over_all(self, tmp_path: Path) -> None:
        config = read(tmp_path, self.TEXT, overrides={"title": "Called"}, on="production")
        assert config.title == "Called"

    def test_content_does_not_inherit_which_content_it_is(self, tmp_path: Path) -> None:
        guid = "25438b83-ea6d-4839-ae8e-53c52ac5f9ce"
        named = f"content-name = 'main'\nguid = '{guid}'\n"
        text = PROJECT + LEAST + named + "[tool.hatch-connect.content.ui]\n"
        text += f"[tool.hatch-connect.on.production]\nguid = '{guid}'\n"
        main, content = read(tmp_path, text), read(tmp_path, text, content="ui", on="production")
        assert (main.content_name, main.guid) == ("main", guid)
        assert (content.content_name, content.guid) == ("sales-api-ui", None)

    def test_an_option_that_is_none_was_not_given(self, tmp_path: Path) -> None:
        assert read(tmp_path, self.TEXT, overrides={"title": None}).title == "Main"

    def test_a_file_with_packages_of_a_call_wins_over_a_lock_in_the_table(
        self, tmp_path: Path
    ) -> None:
        text = PROJECT + LEAST + "lock = 'uv.lock'"
        config = read(tmp_path, text, overrides={"requirements-file": "r.txt"})
        assert (config.lock, config.requirements_file) == (None, "r.txt")

    def test_unknown_content_is_an_error_that_names_what_there_is(self, tmp_path: Path) -> None:
        with pytest.raises(UsageError, match=r"content\.nope") as caught:
            read(tmp_path, self.TEXT, content="nope")
        assert "ui" in str(caught.value.hint)

    def test_the_names_of_content_are_told(self, tmp_path: Path) -> None:
        assert read(tmp_path, self.TEXT, content="ui").project.content_tables == ("ui",)

    def test_a_bad_option_of_a_call_is_named_as_such(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigurationError, match="`title` \\(set by an option\\)"):
            read(tmp_path, self.TEXT, overrides={"title": "x"})

    def test_options_of_a_call_can_be_all_there_is(self, tmp_path: Path) -> None:
        overrides = {"app-mode": "flask", "entrypoint": "app"}
        assert read(tmp_path, "", overrides=overrides).entrypoint == "app"


class TestOfficialTable:
    def test_it_works_alone(self, tmp_path: Path) -> None:
        config = read(
            tmp_path,
            PROJECT
            + """
[tool.rsconnect]
app_mode = "python-api"
entrypoint = "sales.__connect__:app"
title = "Sales"
requirements_file = "uv.lock"
something_new = 1
""",
        )
        assert (config.app_mode.name, config.entrypoint) == ("python-api", "sales.__connect__:app")
        assert (config.title, config.requirements_file) == ("Sales", "uv.lock")

    def test_problems_are_named_by_its_keys(self, tmp_path: Path) -> None:
        found = problems(tmp_path, "[tool.rsconnect]\napp_mode = 3\nentrypoint = 'a'")
        assert found == (
            '`tool.rsconnect.app_mode` must be a string, not an integer (write it in quotes: "3").',
        )

    def test_ours_wins_where_both_are(self, tmp_path: Path) -> None:
        config = read(tmp_path, LEAST + "[tool.rsconnect]\ntitle = 'Theirs'")
        assert config.title is None


class TestProblems:
    def test_all_are_told_at_once_by_their_full_keys(self, tmp_path: Path) -> None:
        found = problems(
            tmp_path,
            """
[project]
version = 3
requires-python = "three"
dependencies = ["fastapi", "not a requirement"]
[project.optional-dependencies]
big = "pandas"
[dependency-groups]
dev = [{ include-group = "none" }]
[tool.hatch-connect]
app-mode = "fastapi"
entrypoint = "src/app.py"
titel = "x"
python-version = 3.12
verify = "yes"
env = ["A B=secret-value", 3]
extras = "big"
guid = "123"
server = "https://me:hunter2@host"
package-installer = "conda"
hatch-env = "prod"
content-name = "a b"
lock = "a.lock"
requirements-file = "https://x/requirements.txt"
verify-path = "https://elsewhere"
image = " "
[tool.hatch-connect.content.ui]
entrypoints = "x"
[tool.hatch-connect.content."b c"]
[tool.hatch-connect.on.prod]
app-mode = "flask"
server = "prod"
[tool.hatch-connect.on.lab]
server = "https://me:hunter2@host"
""",
        )
        said = "\n".join(found)
        for text in (
            "`project.name` is missing",
            "`project.version` must be a string, not an integer",
            "`project.requires-python` is not a valid version specifier",
            "`project.dependencies[1]` is not a valid requirement",
            "`project.optional-dependencies.big` must be an array of strings",
            "`dependency-groups.dev`",
            "`tool.hatch-connect.entrypoint` must be `module` or `module:object`",
            "`tool.hatch-connect.titel` is not a valid setting. Did you mean `title`?",
            "`tool.hatch-connect.python-version` must be a string, not a number (write it in",
            "`tool.hatch-connect.verify` must be true, false or a table, not a string",
            "`tool.hatch-connect.env[0]` must be `NAME` or `NAME=VALUE`",
            "`tool.hatch-connect.env[1]` must be a string",
            "`tool.hatch-connect.extras` must be an array of strings, not a string",
            "`tool.hatch-connect.guid` must be a GUID",
            "`tool.hatch-connect.server` must not contain credentials",
            '`tool.hatch-connect.package-installer` must be "pip" or "uv"',
            "`tool.hatch-connect.hatch-env`: there is no Hatch environment named `prod` (",
            "`tool.hatch-connect.content-name` must consist of 3 to 64 letters",
            "are mutually exclusive",
            "`tool.hatch-connect.requirements-file` must be the path of a file",
            "`tool.hatch-connect.verify-path` must be a path",
            "`tool.hatch-connect.image` must not be empty",
            "`tool.hatch-connect.content.ui.entrypoints` is not a valid setting. Did you mean",
            "`tool.hatch-connect.content.b c` must have a name",
            "`tool.hatch-connect.on.prod.app-mode` is not a valid setting",
            "`tool.hatch-connect.on.prod.server` must be a URL, not `prod`",
            "`tool.hatch-connect.on.lab.server` must not contain credentials",
        ):
            assert text in said
        assert "hunter2" not in said
        assert "secret-value" not in said

    def test_tables_must_be_tables(self, tmp_path: Path) -> None:
        found = problems(
            tmp_path,
            "project = 1\nbuild-system = 2024-01-01\n[tool]\nhatch-connect = 'x'\n",
        )
        said = "\n".join(found)
        assert "`project` must be a table, not an integer" in said
        assert "`build-system` must be a table, not a date or time" in said
        assert "`tool.hatch-connect` must be a table, not a string" in said

    def test_what_kind_of_content_must_be_said(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigurationError, match="app-mode` is missing") as caught:
            read(tmp_path, PROJECT)
        assert "app-mode" in str(caught.value.hint)

    def test_an_app_mode_that_is_none(self, tmp_path: Path) -> None:
        found = problems(tmp_path, "[tool.hatch-connect]\napp-mode = 'fastpi'\nentrypoint = 'a'")
        assert "Did you mean `fastapi`?" in found[0]

    def test_r_content_needs_a_prepared_manifest(self, tmp_path: Path) -> None:
        found = problems(tmp_path, "[tool.hatch-connect]\napp-mode = 'rmd-static'")
        assert "prepared manifest.json" in found[0]

    def test_a_missing_entrypoint_brings_the_modules_that_may_hold_it(self, tmp_path: Path) -> None:
        (tmp_path / "src" / "sales").mkdir(parents=True)
        (tmp_path / "src" / "sales" / "main.py").touch()
        found = problems(tmp_path, "[tool.hatch-connect]\napp-mode = 'fastapi'")
        assert "sales.main" in found[0]

    @pytest.mark.parametrize(
        ("mode", "said"), [("fastapi", "module:object"), ("streamlit", "app.py"), ("html", "file")]
    )
    def test_a_missing_entrypoint_brings_its_rule(
        self, tmp_path: Path, mode: str, said: str
    ) -> None:
        assert said in problems(tmp_path, f"[tool.hatch-connect]\napp-mode = '{mode}'")[0]

    def test_content_without_an_entrypoint_needs_none(self, tmp_path: Path) -> None:
        (tmp_path / "saved_model.pb").touch()
        config = read(tmp_path, "[tool.hatch-connect]\napp-mode = 'tensorflow'")
        assert config.entrypoint is None

    @pytest.mark.parametrize("length", [2, 1025])
    def test_titles_have_a_length(self, tmp_path: Path, length: int) -> None:
        assert "3 to 1,024" in problems(tmp_path, LEAST + f"title = '{'x' * length}'")[0]

    def test_content_without_an_environment_has_nothing_to_manage(self, tmp_path: Path) -> None:
        text = "[tool.hatch-connect]\napp-mode = 'html'\nentrypoint = 'index.html'\n"
        found = problems(tmp_path, text + "image = 'x'\nenvironment-management = false")
        assert "`tool.hatch-connect.image` does not apply to static HTML" in found[0]
        assert "environment-management" in found[1]

    def test_broken_toml_is_said_with_its_place(self, tmp_path: Path) -> None:
        assert "line 1" in problems(tmp_path, "x = ,\n")[0]

    def test_what_is_not_utf_8_is_said(self, tmp_path: Path) -> None:
        (tmp_path / "pyproject.toml").write_bytes(b"x = '\xff'")
        with pytest.raises(ConfigurationError, match="byte 5"):
            configuration(tmp_path)

    def test_no_project_at_all(self, tmp_path: Path) -> None:
        with pytest.raises(UsageError, match=r"no pyproject\.toml"):
            configuration(tmp_path)


def test_a_project_beside_it_is_read_once(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text(PROJECT, encoding="utf-8")
    member = tmp_path / "member"
    member.mkdir()
    (member / "pyproject.toml").write_text("[project]\nname = 'near'\nversion = '1'", "utf-8")
    project = read_project(tmp_path)
    found = project.beside(member)
    assert found is not None
    assert found.metadata.name == "near"
    (member / "pyproject.toml").write_text("not TOML", encoding="utf-8")
    assert project.beside(member) is found
    assert project.beside(tmp_path) is project
    assert project.beside(tmp_path / "none") is None


def test_the_root_is_the_nearest_project_upward(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").touch()
    below = tmp_path / "a" / "b"
    below.mkdir(parents=True)
    assert find_root(below) == tmp_path
    assert find_root(tmp_path) == tmp_path


def test_a_folder_outside_of_any_project_has_no_root(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no pyproject\.toml"):
        find_root(tmp_path)


def test_a_folder_that_is_not_there_is_not_the_one_above_it(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").touch()
    with pytest.raises(UsageError, match=r"There is no .*mistyped"):
        find_root(tmp_path / "mistyped")


def test_no_value_of_a_variable_is_shown(tmp_path: Path) -> None:
    config = read(tmp_path, LEAST + "env = ['KEY=hunter2']")
    assert "hunter2" not in repr(config)


@pytest.mark.parametrize("value", ["9" * 5000, "[" * 3000 + "]" * 3000])
def test_what_the_parser_gives_up_on_is_a_problem_of_the_file(tmp_path: Path, value: str) -> None:
    (found,) = problems(tmp_path, f"key = {value}")
    assert found.startswith(("Invalid TOML: ", "The TOML is nested too "))
