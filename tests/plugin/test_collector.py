from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Any

import pytest

from hatch_connect.commands import COMMANDS
from hatch_connect.plugin.collector import (
    add_scripts,
    collector_class,
    connect_environment,
    scripts,
)

ROOT = Path("/projects/sales {x}")


def collect(environments: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    collector_class()(ROOT, {}).finalize_environments(environments)
    return environments


def test_every_environment_of_the_project_gets_a_script_for_each_command() -> None:
    found = collect({"default": {}, "docs": {"detached": True}, "test.py3.11": {}})
    for environment in found.values():
        assert set(environment["scripts"]) == {f"connect-{command}" for command in COMMANDS}


@pytest.mark.parametrize("name", ["hatch-build", "hatch-test.py3.11", "hatch-uv", "system"])
def test_environments_that_are_hatchs_own_are_left_alone(name: str) -> None:
    assert collect({name: {}}) == {name: {}}


def test_a_script_of_the_project_wins() -> None:
    found = collect({"default": {"scripts": {"connect-deploy": "echo mine"}}})
    assert found["default"]["scripts"]["connect-deploy"] == "echo mine"


def test_no_dependency_is_added() -> None:
    assert set(collect({"default": {}})["default"]) == {"scripts"}


@pytest.mark.skipif(sys.platform == "win32", reason="quotes for a POSIX shell")
def test_a_script_runs_on_hatchs_own_interpreter_for_this_project() -> None:
    command = scripts(ROOT, prefix="")["deploy"].replace("{args}", "").format()
    assert shlex.split(command) == [
        "trap", ":", "INT;", "HATCH_CONNECT_RUN_BY=$PPID",
        sys.executable, "-P", "-m", "hatch_connect", "deploy", "--directory", str(ROOT),
    ]  # fmt: skip


def test_windows_paths_are_quoted_for_its_shell(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "win32")
    assert ' "/projects/sales {{x}}" ' in scripts(ROOT, prefix="")["deploy"]


def test_the_environment_of_our_own_has_nothing_installed() -> None:
    own = collector_class()(ROOT, {}).get_initial_config()["connect"]
    assert own == connect_environment(ROOT)
    assert own["detached"] is True
    assert own["skip-install"] is True
    assert set(own["scripts"]) == set(COMMANDS)


def test_scripts_are_added_without_hatch_at_hand() -> None:
    environments: dict[str, dict[str, Any]] = {"a": {}, "b": {}}
    add_scripts(environments, ROOT, internal={"b"})
    assert set(environments["a"]) == {"scripts"}
    assert environments["b"] == {}
