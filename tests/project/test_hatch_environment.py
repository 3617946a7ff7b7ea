from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from hatch_connect.project.hatch_environment import HatchEnvironment, read_hatch_environment
from hatch_connect.project.reading import read_tables

if TYPE_CHECKING:
    from pathlib import Path


def environment(
    root: Path, name: str, pyproject: str, hatch: str | None = None
) -> tuple[HatchEnvironment, list[str]]:
    (root / "pyproject.toml").write_text(pyproject)
    if hatch is not None:
        (root / "hatch.toml").write_text(hatch)
    problems: list[str] = []
    found = read_hatch_environment(read_tables(root), name, asked="`hatch-env`", problems=problems)
    return found, problems


def test_default_needs_no_table(tmp_path: Path) -> None:
    found, problems = environment(tmp_path, "default", "")
    assert (found.python, found.lock_file, problems) == (None, "pylock.toml", [])
    assert found.installs_project


def test_options_are_inherited_from_default_unless_a_template_is_named(tmp_path: Path) -> None:
    text = """
[tool.hatch.envs.default]
python = "3.12"
[tool.hatch.envs.a]
[tool.hatch.envs.b]
template = "c"
[tool.hatch.envs.c]
template = "c"
python = "3.13"
skip-install = true
[tool.hatch.envs."d.e"]
detached = true
"""
    pythons = {name: environment(tmp_path, name, text)[0].python for name in ("a", "b", "d.e")}
    assert pythons == {"a": "3.12", "b": "3.13", "d.e": None}
    assert environment(tmp_path, "a", text)[0].installs_project
    assert not environment(tmp_path, "b", text)[0].installs_project
    assert not environment(tmp_path, "d.e", text)[0].installs_project


def test_a_circle_of_templates_ends(tmp_path: Path) -> None:
    text = "[tool.hatch.envs]\na = { template = 'b' }\nb = { template = 'a' }\n"
    assert environment(tmp_path, "a", text)[0].python is None


def test_locks_are_named_as_hatch_names_them(tmp_path: Path) -> None:
    text = """
[tool.hatch.envs."test.py3"]
[tool.hatch.envs.named]
lock-filename = "{root}/locks/{env_name}.toml"
"""
    assert environment(tmp_path, "test.py3", text)[0].lock_file == "pylock.test-py3.toml"
    assert environment(tmp_path, "named", text)[0].lock_file == "locks/named.toml"


def test_a_lock_name_that_only_hatch_can_fill_in_is_a_problem(tmp_path: Path) -> None:
    text = "[tool.hatch.envs.x]\nlock-filename = 'pylock.{matrix:python}.toml'"
    _, problems = environment(tmp_path, "x", text)
    assert "tool.hatch.envs.x.lock-filename" in problems[0]


def test_hatch_toml_takes_the_place_of_the_environments_in_pyproject(tmp_path: Path) -> None:
    pyproject = "[tool.hatch.envs.default]\npython = '3.11'\n[tool.hatch.envs.old]"
    hatch = "[envs.default]\npython = '3.12'"
    found, _ = environment(tmp_path, "default", pyproject, hatch)
    assert (found.python, found.where) == ("3.12", "envs.default in hatch.toml")
    assert (
        "no Hatch environment named `old`" in environment(tmp_path, "old", pyproject, hatch)[1][0]
    )


@pytest.mark.parametrize("hatch", ["", "[version]\npath = 'x'", "# nothing\n"])
def test_a_hatch_toml_without_environments_leaves_those_of_pyproject(
    tmp_path: Path, hatch: str
) -> None:
    pyproject = "[tool.hatch.envs.default]\npython = '3.11'"
    assert environment(tmp_path, "default", pyproject, hatch)[0].python == "3.11"


def test_nonsense_is_as_good_as_nothing(tmp_path: Path) -> None:
    found, _ = environment(tmp_path, "default", "", "envs = 3")
    assert found.python is None
    found, _ = environment(tmp_path, "default", "", "[envs]\ndefault = 3")
    assert (found.python, found.installs_project) == (None, True)
