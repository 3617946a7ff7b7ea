"""What is loaded before a command runs: one library at most, and few modules of ours."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest
from support.fake_connect import FakeConnect
from support.sandbox import copy_example

if TYPE_CHECKING:
    from pathlib import Path

    from support.sandbox import Sandbox

COMMAND = ("-m", "hatch_connect")
COLLECTOR = """
from pathlib import Path
from hatch_connect.plugin.collector import connect_environment
connect_environment(Path("/"))
"""
COMPLETION = {
    "_HATCH_CONNECT_COMPLETE": "zsh_complete",
    "COMP_WORDS": "hatch-connect deploy --serv",
    "COMP_CWORD": "2",
}
OURS = {"", ".commands", ".process", ".errors", ".options", ".project", ".project.settings"}
OURS |= {".project.validators", ".secret"}
HEAVY = {"asyncio", "email", "http", "logging", "sqlite3", "ssl", "tarfile", "tempfile", "zipfile"}


def loaded(sandbox: Sandbox, folder: Path, *arguments: str, **environ: str) -> set[str]:
    """Return the modules that a start of Python loads, without those of every start."""
    usual, done = (
        sandbox.python("-P", "-X", "importtime", *words, cwd=folder, **environ)
        for words in (("-c", ""), arguments)
    )
    assert done.code == 0, done.said
    return _imported(done.stderr) - _imported(usual.stderr)


def _imported(said: str) -> set[str]:
    lines = (line for line in said.splitlines() if line.startswith("import time:"))
    return {line.rpartition("|")[2].strip() for line in lines}


def tops(modules: set[str]) -> set[str]:
    return {name.partition(".")[0] for name in modules}


def libraries(modules: set[str]) -> set[str]:
    # `copy` looks for a module of Jython, `org`.
    return tops(modules) - sys.stdlib_module_names - {"hatch_connect", "invoke_tasks", "org"}


def ours(modules: set[str]) -> set[str]:
    own = {name for name in modules if name.partition(".")[0] == "hatch_connect"}
    return {name.removeprefix("hatch_connect") for name in own}


def test_the_version_needs_nothing(tmp_path: Path, sandbox: Sandbox) -> None:
    script = "import sys; from hatch_connect.__main__ import main; main()"
    modules = loaded(sandbox, tmp_path, "-c", script, "--version")
    # Measuring coverage may have loaded that one before.
    assert modules - {"__future__"} == {"hatch_connect", "hatch_connect.__main__"}


def test_the_version_is_the_same_where_click_prints_it(tmp_path: Path, sandbox: Sandbox) -> None:
    alone, with_more = (
        sandbox.connect("--version", *more, cwd=tmp_path) for more in ((), ("deploy",))
    )
    assert alone == with_more
    assert (alone.code, alone.stdout.split()[:2]) == (0, ["hatch-connect,", "version"])


@pytest.mark.parametrize(
    ("words", "environ"), [(("--help",), {}), (("deploy", "--help"), {}), ((), COMPLETION)]
)
def test_the_command_line_needs_click(
    words: tuple[str, ...], environ: dict[str, str], tmp_path: Path, sandbox: Sandbox
) -> None:
    modules = loaded(sandbox, tmp_path, *COMMAND, *words, **environ)
    assert (libraries(modules), ours(modules)) == ({"click"}, {*OURS, ".cli"})
    assert tops(modules) & HEAVY == set()


def test_completing_a_server_reads_the_store_and_sends_nothing(
    tmp_path: Path, sandbox: Sandbox
) -> None:
    words = {"COMP_WORDS": "hatch-connect deploy --name ", "COMP_CWORD": "3"}
    modules = loaded(sandbox, tmp_path, *COMMAND, **(COMPLETION | words))
    assert ".connect.servers" in ours(modules)
    unused = SELDOM | BUILDING | SENDING | {"hmac", "packaging", "ssl", "tarfile", *PARTS}
    assert (tops(modules) | ours(modules)) & (unused | {".project.project"}) == set()


def test_the_collector_needs_no_library(tmp_path: Path, sandbox: Sandbox) -> None:
    modules = loaded(sandbox, tmp_path, "-c", COLLECTOR)
    assert (libraries(modules), ours(modules)) == (set(), {*OURS, ".plugin", ".plugin.collector"})
    assert tops(modules) & HEAVY == set()


def test_a_list_of_tasks_needs_invoke(tmp_path: Path, sandbox: Sandbox) -> None:
    (tmp_path / "tasks.py").write_text("from invoke_tasks import ns\n", encoding="utf-8")
    modules = loaded(sandbox, tmp_path, "-m", "invoke", "--list") - {"tasks"}
    assert (libraries(modules), ours(modules)) == ({"invoke", "yaml"}, OURS)


SELDOM = {"build", "dotenv", "pip_requirements_parser", "rich", "starlette"}
BUILDING = {"hatchling", "pathspec"}
SENDING = {"http", "requests", "urllib3"}
PARTS = {".bundle", ".connect.resources", ".connect.tls", ".locks", ".project.project", ".ship"}


@pytest.mark.parametrize(
    ("command", "unused"),
    [
        ("list", SELDOM | BUILDING | SENDING | {"hmac", "packaging", "ssl", "tarfile", *PARTS}),
        ("requirements", SELDOM | BUILDING | SENDING | {"concurrent", "email", "socket", "ssl"}),
        ("bundle", SELDOM | SENDING),
        ("deploy", SELDOM | {".locks.requirements"}),
    ],
)
def test_a_command_loads_nothing_that_it_does_not_use(
    command: str, unused: set[str], tmp_path: Path, sandbox: Sandbox
) -> None:
    project = copy_example("fastapi-app", tmp_path)
    with FakeConnect() as server:
        keys = {"CONNECT_SERVER": server.url, "CONNECT_API_KEY": server.api_key}
        modules = loaded(sandbox, project, *COMMAND, command, SALES_REGION="north", **keys)
    assert (tops(modules) | ours(modules)) & unused == set()
