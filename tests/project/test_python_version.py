from __future__ import annotations

import contextlib
from functools import partial
from typing import TYPE_CHECKING

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from packaging.specifiers import SpecifierSet
from support.projects import configuration

from hatch_connect.errors import ConfigurationError, PythonVersionError
from hatch_connect.project.interpreter import Interpreter
from hatch_connect.project.python_version import PythonTarget, choose_python

if TYPE_CHECKING:
    from pathlib import Path

    from hatch_connect.project.project import ProjectConfig


def project(
    root: Path,
    *,
    option: str | None = None,
    requires: str = "",
    setting: str = "",
    env_python: str = "",
) -> ProjectConfig:
    lines = ["[project]", "name = 'x'", "version = '1'"]
    lines += [f"requires-python = '{requires}'"] if requires else []
    lines += ["[tool.hatch-connect]", "app-mode = 'fastapi'", "entrypoint = 'a'"]
    lines += [f"python-version = '{setting}'"] if setting else []
    lines += ["[tool.hatch.envs.default]", f"python = '{env_python}'"] if env_python else []
    (root / "pyproject.toml").write_text("\n".join(lines))
    return configuration(root, overrides={"override-python-version": option})


def interpreter(root: Path, version: str, **facts: bool | str) -> Interpreter:
    return Interpreter(
        path=root / "python",
        version=version,
        implementation=str(facts.get("implementation", "cpython")),
        free_threaded=bool(facts.get("free_threaded")),
    )


class TestOrder:
    def test_each_source_gives_way_to_the_one_before_it(self, tmp_path: Path) -> None:
        (tmp_path / ".python-version").write_text("3.12\n")
        given = {
            "option": "3.9",
            "lock_python": ("3.13", "pylock.toml, which was made for it,"),
            "interpreter": partial(interpreter, tmp_path, "3.14.1"),
        }

        def choose(setting: str = "", env_python: str = "") -> PythonTarget:
            option = given.get("option")
            assert option is None or isinstance(option, str)
            config = project(tmp_path, option=option, setting=setting, env_python=env_python)
            return choose_python(
                config,
                lock_python=given.get("lock_python"),  # type: ignore[arg-type]
                interpreter=given.get("interpreter"),  # type: ignore[arg-type]
            )

        chosen = [choose("3.10", "3.11")]
        del given["option"]
        chosen += [choose("3.10", "3.11"), choose("", "3.11"), choose()]
        (tmp_path / ".python-version").unlink()
        chosen.append(choose())
        del given["lock_python"]
        chosen.append(choose())
        assert [target.minor for target in chosen] == [
            "3.9",
            "3.10",
            "3.11",
            "3.12",
            "3.13",
            "3.14",
        ]
        assert [target.because for target in chosen] == [
            "the --python-version option",
            "`tool.hatch-connect.python-version`",
            "`tool.hatch.envs.default.python`",
            ".python-version",
            "pylock.toml, which was made for it,",
            f"the interpreter {tmp_path / 'python'}",
        ]

    def test_nothing_says_it(self, tmp_path: Path) -> None:
        with pytest.raises(PythonVersionError, match="No Python version is set") as caught:
            choose_python(project(tmp_path, requires=">=3.11"))
        assert "python-version = " in str(caught.value.hint)

    @pytest.mark.parametrize("text", ["3", "system", "", "# only a comment", "my-virtualenv"])
    def test_a_version_file_that_names_no_minor_is_told_and_passed_over(
        self, tmp_path: Path, text: str
    ) -> None:
        (tmp_path / ".python-version").write_text(text)
        config = project(tmp_path)
        found = choose_python(config, lock_python=("3.13", "uv.lock"))
        assert found.minor == "3.13"
        with pytest.raises(PythonVersionError, match=r"\.python-version is"):
            choose_python(config)


class TestVersionFile:
    @pytest.mark.parametrize(
        ("text", "version"),
        [
            ("3.11", "3.11.0"),
            ("3.11.4\n", "3.11.4"),
            ("# ours\n\n  cpython-3.11 \n3.12\n", "3.11.0"),
            ("cpython@3.11.4", "3.11.4"),
            ("python3.11", "3.11.0"),
            ("3.11.*", "3.11.0"),
            ("==3.11.4", "3.11.4"),
            ("cpython-3.11.4-linux-x86_64-gnu", "3.11.4"),
            ("\ufeff3.11", "3.11.0"),
        ],
    )
    def test_its_many_forms(self, tmp_path: Path, text: str, version: str) -> None:
        (tmp_path / ".python-version").write_text(text, encoding="utf-8")
        assert choose_python(project(tmp_path)).version == version

    def test_the_nearest_counts_up_to_the_top_of_the_repository(self, tmp_path: Path) -> None:
        inner = tmp_path / "repository" / "project"
        inner.mkdir(parents=True)
        (tmp_path / ".python-version").write_text("3.9")
        config = project(inner)
        with pytest.raises(PythonVersionError):
            choose_python(config)
        (tmp_path / "repository" / ".git").mkdir()
        with pytest.raises(PythonVersionError):
            choose_python(config)
        (tmp_path / "repository" / ".python-version").write_text("3.12")
        found = choose_python(config)
        assert found.minor == "3.12"
        assert found.because == str(tmp_path / "repository" / ".python-version")

    def test_one_that_cannot_be_read_is_an_error(self, tmp_path: Path) -> None:
        (tmp_path / ".python-version").write_bytes(b"\xff")
        with pytest.raises(PythonVersionError, match="not UTF-8"):
            choose_python(project(tmp_path))

    @pytest.mark.parametrize(
        ("text", "version"),
        [
            ("v3.11", "3.11.0"),
            ("3.11.4 3.10.9", "3.11.4"),
            ("3.11.4/envs/my-app", "3.11.4"),
        ],
    )
    def test_forms_of_other_tools(self, tmp_path: Path, text: str, version: str) -> None:
        (tmp_path / ".python-version").write_text(text, encoding="utf-8")
        runs = interpreter(tmp_path, "3.14.1")
        assert choose_python(project(tmp_path), interpreter=lambda: runs).version == version

    def test_one_of_powershell_names_its_encoding_and_the_cure(self, tmp_path: Path) -> None:
        (tmp_path / ".python-version").write_text("3.11\n", encoding="utf-16")
        with pytest.raises(PythonVersionError, match="UTF-16") as caught:
            choose_python(project(tmp_path))
        assert ".python-version" in str(caught.value)
        assert "as UTF-8" in str(caught.value.hint)

    @pytest.mark.parametrize("text", ["my-app", "3.11.4-my-app", "system", "latest"])
    def test_a_name_that_is_not_understood_is_told_with_its_file(
        self, tmp_path: Path, text: str
    ) -> None:
        (tmp_path / ".python-version").write_text(text, encoding="utf-8")
        found = choose_python(
            project(tmp_path), interpreter=partial(interpreter, tmp_path, "3.14.1")
        )
        assert found.minor == "3.14"
        (note,) = found.notes
        assert note.startswith(f".python-version is `{text}`")


class TestHatchPython:
    @pytest.mark.parametrize("python", ["/usr/bin/python3.12", r"C:\py\python3.12.exe", "3.12"])
    def test_a_path_may_name_a_version(self, tmp_path: Path, python: str) -> None:
        assert choose_python(project(tmp_path, env_python=python)).minor == "3.12"

    def test_a_path_that_names_none_is_passed_over(self, tmp_path: Path) -> None:
        config = project(tmp_path, env_python="/opt/python/bin/python")
        assert choose_python(config, lock_python=("3.11", "uv.lock")).minor == "3.11"


class TestRefused:
    @pytest.mark.parametrize(
        ("asked", "said"),
        [
            ("pypy3.10", "CPython only"),
            ("pypy@3.10", "CPython only"),
            ("3.13t", "free-threaded"),
            ("3.13+freethreaded", "free-threaded"),
            ("3.15.0a1", "released"),
            ("3.15-dev", "released"),
            ("3.14.0rc2", "released"),
            ("three", "X.Y"),
            ("3.11.4.5", "X.Y"),
            ("3", "--python-version option is `3`"),
            (">=3.6", "--python-version option is `>=3.6`"),
            (">=three", "a range such as"),
            ("2.7", "too old"),
            ("3.6.15", "too old"),
        ],
    )
    def test_what_connect_has_not(self, tmp_path: Path, asked: str, said: str) -> None:
        with pytest.raises(PythonVersionError, match=said) as caught:
            choose_python(project(tmp_path, option=asked))
        assert "--python-version" in str(caught.value)
        assert asked in str(caught.value)

    @pytest.mark.parametrize(
        ("facts", "said"),
        [
            ({"implementation": "pypy"}, "CPython only"),
            ({"free_threaded": True}, "free-threaded"),
        ],
    )
    def test_an_interpreter_that_connect_has_not(
        self, tmp_path: Path, facts: dict[str, bool | str], said: str
    ) -> None:
        with pytest.raises(PythonVersionError, match=said):
            choose_python(
                project(tmp_path), interpreter=partial(interpreter, tmp_path, "3.13.1", **facts)
            )

    def test_a_prerelease_that_runs_this(self, tmp_path: Path) -> None:
        with pytest.raises(PythonVersionError, match="released"):
            choose_python(project(tmp_path), interpreter=partial(interpreter, tmp_path, "3.15.0b2"))


class TestBounds:
    @pytest.mark.parametrize("asked", ["3.10", "3.12.1"])
    def test_the_project_bounds_the_choice(self, tmp_path: Path, asked: str) -> None:
        with pytest.raises(PythonVersionError, match=r"requires-python.*<3\.12,>=3\.11"):
            choose_python(project(tmp_path, requires=">=3.11,<3.12", option=asked))

    def test_a_range_that_nothing_satisfies(self, tmp_path: Path) -> None:
        with pytest.raises(PythonVersionError, match="no Python version satisfies"):
            choose_python(project(tmp_path, requires=">=3.12,<3.11", option="3.11"))

    def test_the_lowest_patch_that_is_allowed_is_asked_for(self, tmp_path: Path) -> None:
        found = choose_python(project(tmp_path, requires=">=3.11.5", option="3.11"))
        assert (found.version, found.requires) == ("3.11.5", "~=3.11.5")


class TestRanges:
    """A range bounds what comes after it, and decides where nothing in it does."""

    @pytest.mark.parametrize(
        ("text", "outside", "within"),
        [
            (">=3.12", ("3.12.0", ">=3.12"), ("3.13.0", ">=3.12")),
            (">= 3.10, <3.11.5", ("3.10.0", "<3.11.5,>=3.10"), None),
            ("~=3.12.2", ("3.12.2", "~=3.12.2"), None),
            ("<3.13", ("3.12.0", "<3.13"), None),
            ("3", None, ("3.13.0", "~=3.0")),
            ("3.x", None, ("3.13.0", "~=3.0")),
        ],
    )
    def test_of_the_version_file(
        self,
        tmp_path: Path,
        text: str,
        outside: tuple[str, str] | None,
        within: tuple[str, str] | None,
    ) -> None:
        (tmp_path / ".python-version").write_text(text, encoding="utf-8")
        config = project(tmp_path)
        for version, wanted in (
            ("3.9.1" if text[0] != "<" else "3.14.1", outside),
            ("3.13.1", within),
        ):
            if wanted is None:
                continue
            runs = partial(interpreter, tmp_path, version)
            found = choose_python(config, interpreter=runs, one_minor=False)
            assert (found.version, found.requires) == wanted
            assert f".python-version (`{text}`)" in found.because
            pinned = choose_python(config, interpreter=runs)
            assert pinned.version == wanted[0]
            assert str(pinned.requires).startswith("~=") or "~=" in str(pinned.requires)

    def test_what_is_written_is_what_is_announced(self, tmp_path: Path) -> None:
        config = project(tmp_path, requires=">=3.8")
        runs = interpreter(tmp_path, "3.12.4")
        assert choose_python(config, interpreter=lambda: runs).asked == "3.12"
        asked = choose_python(config, interpreter=lambda: runs, one_minor=False).asked
        assert asked == ">=3.8 (3.12 on servers that do not support ranges)"
        config = project(tmp_path, requires=">=3.8", option="3.12.4")
        assert choose_python(config).asked == "3.12.4"

    @pytest.mark.parametrize(
        ("file", "text", "version"),
        [
            ("setup.cfg", "[options]\npython_requires = >=3.10,\n  <3.11\n", "3.10.0"),
            ("pyproject.toml", "python = '^3.11'", "3.11.0"),
            ("pyproject.toml", "python = '~3.11.2'", "3.11.2"),
            ("pyproject.toml", "python = '>=3.10 <3.12'", "3.10.0"),
            ("pyproject.toml", "python = '~2.7 || ^3.10'", "3.10.0"),
            ("pyproject.toml", "python = '3.11.*'", "3.11.0"),
            ("pyproject.toml", "python = { version = '~3.10' }", "3.10.0"),
        ],
    )
    def test_of_setuptools_and_poetry(
        self, tmp_path: Path, file: str, text: str, version: str
    ) -> None:
        project(tmp_path)
        with (tmp_path / file).open("a", encoding="utf-8") as stream:
            stream.write(f"\n[tool.poetry.dependencies]\n{text}\n" if file[0] == "p" else text)
        runs = interpreter(tmp_path, "3.9.1")
        found = choose_python(configuration(tmp_path), interpreter=lambda: runs)
        assert found.version == version
        assert ("setup.cfg" if file == "setup.cfg" else "tool.poetry") in found.because
        (tmp_path / ".python-version").write_text("3.13")
        assert choose_python(configuration(tmp_path), interpreter=lambda: runs).minor == "3.13"

    def test_one_that_is_not_understood_is_told(self, tmp_path: Path) -> None:
        project(tmp_path)
        with (tmp_path / "pyproject.toml").open("a", encoding="utf-8") as stream:
            stream.write("\n[tool.poetry.dependencies]\npython = '^3.8 || ^3.11 || dunno'\n")
        found = choose_python(
            configuration(tmp_path), interpreter=partial(interpreter, tmp_path, "3.13.1")
        )
        assert found.minor == "3.13"
        assert "`tool.poetry.dependencies.python` is" in found.notes[0]

    def test_a_broken_setup_cfg_is_an_error_with_its_name(self, tmp_path: Path) -> None:
        project(tmp_path)
        for data in (b"[options\n", "[options]\n".encode("utf-16"), b"x=1"):
            (tmp_path / "setup.cfg").write_bytes(data)
            with pytest.raises(ConfigurationError, match=r"setup\.cfg"):
                configuration(tmp_path)

    def test_a_lock_for_a_minor_outside_of_it_contradicts_it(self, tmp_path: Path) -> None:
        (tmp_path / ".python-version").write_text(">=3.12")
        with pytest.raises(PythonVersionError, match=r"uv\.lock is for Python 3\.11"):
            choose_python(project(tmp_path), lock_python=("3.11", "uv.lock"))
        with pytest.raises(PythonVersionError, match="No Python version satisfies"):
            choose_python(project(tmp_path, requires="<3.12"))

    @example(text="3.\u0e58")  # a digit, in Thai
    @given(text=st.text(max_size=20) | st.from_regex(r"[\^~<>=!v]{0,2}3?\.?[\dx*. ,|<]{0,9}"))
    def test_any_text_is_an_answer_or_an_error_of_ours(
        self, tmp_path_factory: pytest.TempPathFactory, text: str
    ) -> None:
        root = tmp_path_factory.mktemp("p")
        (root / ".python-version").write_text(text, encoding="utf-8", newline="")
        runs = interpreter(root, "3.12.1")
        with contextlib.suppress(PythonVersionError):
            target = choose_python(project(root), interpreter=lambda: runs, one_minor=False)
            allowed = SpecifierSet(target.requires or "")
            assert allowed.contains(target.version)

    def test_one_of_the_call_bounds_the_setting(self, tmp_path: Path) -> None:
        found = choose_python(project(tmp_path, option=">=3.9", setting="3.11"))
        assert found.version == "3.11.0"
        assert found.because == (
            "`tool.hatch-connect.python-version`, within the --python-version option (`>=3.9`)"
        )


class TestRequires:
    def test_pins_for_one_minor_ask_for_that_minor(self, tmp_path: Path) -> None:
        found = choose_python(project(tmp_path, requires=">=3.9", option="3.11"))
        assert (found.version, found.requires) == ("3.11.0", "~=3.11.0")
        (tmp_path / ".python-version").write_text("# ours\n3.11.4\n", encoding="ascii")
        found = choose_python(project(tmp_path, requires=">=3.9"))
        assert (found.version, found.requires) == ("3.11.4", "~=3.11.0")
        assert found.because == ".python-version, line 2"

    def test_a_patch_of_the_call_is_that_very_patch(self, tmp_path: Path) -> None:
        found = choose_python(project(tmp_path, requires=">=3.9", option="3.11.4"))
        assert (found.version, found.requires) == ("3.11.4", "==3.11.4")

    def test_a_file_shipped_as_written_leaves_the_projects_range(self, tmp_path: Path) -> None:
        config = project(tmp_path, requires=">=3.9")
        runs = interpreter(tmp_path, "3.11.7")
        found = choose_python(config, interpreter=lambda: runs, one_minor=False)
        assert (found.version, found.requires) == ("3.11.0", ">=3.9")
        assert choose_python(config, interpreter=lambda: runs).requires == "~=3.11.0"

    def test_but_a_version_that_was_asked_for_is_asked_for(self, tmp_path: Path) -> None:
        (tmp_path / ".python-version").write_text("3.11")
        found = choose_python(project(tmp_path, requires=">=3.9"), one_minor=False)
        assert found.requires == "~=3.11.0"


class TestKeptMarkers:
    @pytest.mark.parametrize(
        ("requires", "kept", "wanted"),
        [
            ("", "", None),
            (">=3.11", "", ">=3.11"),
            ("", ">=3.10", ">=3.10"),
            (">=3.11", "<3.14,>=3.10", "<3.14,>=3.10,>=3.11"),
        ],
    )
    def test_any_python_of_the_lock_and_the_project_may_run_them(
        self, tmp_path: Path, requires: str, kept: str, wanted: str | None
    ) -> None:
        config = project(tmp_path, requires=requires, option="3.12")
        chosen = choose_python(config, one_minor=False, kept=kept)
        assert (chosen.version, chosen.requires) == ("3.12.0", wanted)

    def test_ranges_that_have_nothing_in_common(self, tmp_path: Path) -> None:
        config = project(tmp_path, requires=">=3.12", option="3.12")
        with pytest.raises(PythonVersionError, match="no Python version satisfies both"):
            choose_python(config, one_minor=False, kept="<3.12")
