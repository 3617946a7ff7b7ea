"""What the README and docs/ show is true: examples are run, commands and settings exist."""

from __future__ import annotations

import re
import shlex
import shutil
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.projects import configuration

from hatch_connect.cli import command_line

if TYPE_CHECKING:
    from support.sandbox import Sandbox

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
TEXT = "\n".join(page.read_text(encoding="utf-8") for page in PAGES)
PROJECTS = ROOT / "tests" / "projects"

CONTENT_ROW = re.compile(
    r"^\| (?P<content>[^|]+) \| (?P<modes>`[^|]+`) \| (?P<entry>[^|]*)\| `(?P<name>[\w-]+)` \|$",
    re.MULTILINE,
)
CONTENTS = [match.groupdict() for match in CONTENT_ROW.finditer(TEXT)]
COMMAND = r"(?:hatch-connect |hatch run connect[-:]|invoke (?!-))(?:connect\.)?(?=[a-z])([^`\n]+)"
COMMANDS = sorted(
    {
        *re.findall(
            rf"^ *\$ (?:[\w ]+&& |[A-Z_]+=\S+ |uvx |pipx run )*{COMMAND}$", TEXT, re.MULTILINE
        ),
        *re.findall(rf"(?<!`)`{COMMAND}`", TEXT),
    }
)
TABLES = re.findall(r"```toml\n(.*?)```", TEXT, re.DOTALL)
NEEDS_A_PROGRAM = {"notebook-static", "quarto-document"}


@pytest.mark.parametrize("row", CONTENTS, ids=lambda row: row["name"])
def test_each_type_of_content_has_an_example_that_is_what_the_table_says(
    row: dict[str, str],
) -> None:
    configured = tomllib.loads((PROJECTS / row["name"] / "pyproject.toml").read_text("utf-8"))
    table = configured["tool"]["hatch-connect"]
    assert f"`{table['app-mode']}`" in row["modes"]
    found = configuration(PROJECTS / row["name"]).entrypoint
    assert row["entry"].strip().strip("`") == (found or "")


@pytest.mark.parametrize(
    "name", [row["name"] for row in CONTENTS if row["name"] not in NEEDS_A_PROGRAM]
)
def test_each_example_makes_a_bundle(name: str, sandbox: Sandbox, tmp_path: Path) -> None:
    project = tmp_path / name
    shutil.copytree(PROJECTS / name, project)
    done = sandbox.connect("bundle", "--python-version", "3.12", cwd=project)
    assert done.code == 0, done.said
    assert Path(done.stdout.strip()).is_file()


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_is_one_that_there_is(command: str) -> None:
    command, *arguments = shlex.split(command, comments=True)
    command_line().commands[command].make_context(command, arguments)


@pytest.mark.parametrize("text", TABLES)
def test_each_table_is_one_that_is_understood(text: str, tmp_path: Path) -> None:
    project = tmp_path / "pyproject.toml"
    tables = tomllib.loads(text).get("tool", {}).get("hatch-connect")
    if tables is None:
        return
    (tmp_path / "app.py").write_text(
        "import flask\napp = flask.Flask(__name__)\n", encoding="utf-8"
    )
    if tables.keys() <= {"settings", "verify", "on"}:  # shown without what else a project has
        text = f'[tool.hatch-connect]\napp-mode = "fastapi"\nentrypoint = "a:b"\n{text}'
    if thumbnail := tables.get("settings", {}).get("thumbnail"):
        (tmp_path / thumbnail).parent.mkdir()
        (tmp_path / thumbnail).write_bytes(b"a picture")
    project.write_text(text, encoding="utf-8")
    for content in (*tables.get("content", {}), *([] if "content" in tables else [None])):
        for server in (None, *tables.get("on", {})):
            assert configuration(tmp_path, content=content, on=server).entrypoint
