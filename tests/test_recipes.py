"""The recipes for CI are true, and nothing that others choose becomes a part of a command."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import sys
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.fake_connect import FakeConnect
from support.fake_oauth import FakeGitHub, FakeOAuth
from support.sample_bundle import sample_bundle

from hatch_connect.cli import command_line
from hatch_connect.commands.runner import SERVICES, workflow
from hatch_connect.programs import own_url

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.sandbox import Finished, Sandbox

ROOT = Path(__file__).parent.parent
PAGE = "docs/how-to/sign-in-without-a-key.md"
ACTION = ROOT / "action.yml"

SHIPPED = (
    *ROOT.glob("*.y*ml"),
    *(ROOT / ".github").rglob("*.y*ml"),
    *(ROOT / "docs").rglob("*.y*ml"),
)
FENCE = re.compile(r"^( *)```(yaml|groovy)\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)
FENCES = [
    (f"{page.relative_to(ROOT).as_posix()}:{number}", kind, textwrap.dedent(text))
    for page in (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")))
    for number, (_, kind, text) in enumerate(FENCE.findall(page.read_text(encoding="utf-8")))
]
YAML = {
    **{path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8") for path in SHIPPED},
    **{name: text for name, kind, text in FENCES if kind == "yaml"},
}
RECIPES = {name: text for name, _, text in FENCES} | YAML
needs_bash = pytest.mark.skipif(shutil.which("bash") is None, reason="the action runs in bash")
SCRIPT = re.compile(r"^( *(?:- )?)(?:run|script|bash|sh|pwsh|powershell|before_script):(.*)$")
COMMANDS = "deploy|bundle|plan|preview|promote|prune"
COMMAND = re.compile(rf"(?:hatch-connect|hatch run connect[-:]) ?((?:{COMMANDS})\b[^'`\n>]*)")


def scripts(text: str) -> Iterator[str]:
    """Return what shells are given: the value of each key that holds a script."""
    lines = text.splitlines()
    for number, line in enumerate(lines):
        if found := SCRIPT.match(line):
            below = []
            for following in lines[number + 1 :]:
                deeper = len(following) - len(following.lstrip()) > len(found[1])
                if following.strip() and not deeper:
                    break
                below.append(following)
            yield "\n".join([found[2], *below])


def test_scripts_are_found() -> None:
    text = "a:\n  - run: one\n    env: ${{ x }}\n  - run: |\n      two\n\n      three\n    if: x\n"
    assert [script.split() for script in scripts(text)] == [["one"], ["|", "two", "three"]]


@pytest.mark.parametrize("name", YAML)
def test_what_others_choose_stands_in_no_script(name: str) -> None:
    for script in scripts(YAML[name]):
        assert "${{" not in script
        assert "$(" not in script, "Azure would put a variable's value there"


@pytest.mark.parametrize("name", RECIPES)
def test_each_command_is_one_that_there_is(name: str) -> None:
    for line in COMMAND.findall(RECIPES[name]):
        command, *arguments = shlex.split(line, comments=True)
        command_line().commands[command].make_context(command, arguments)
    for lines in re.findall(r"^ +arguments: \|\n((?: +--.*\n)+)", RECIPES[name], re.MULTILINE):
        command_line().commands["deploy"].make_context("deploy", lines.split())


def test_each_variable_is_explained() -> None:
    explained = (ROOT / "docs/reference/environment.md").read_text(encoding="utf-8")
    for text in RECIPES.values():
        for name in re.findall(r"\bCONNECT_[A-Z_]+\b", text):
            assert f"`{name}`" in explained


def test_workflows_of_pull_requests_get_no_identity() -> None:
    for name, text in YAML.items():
        assert not ("id-token: write" in text and "pull_request" in text), name
        if text.startswith("# .github/workflows"):
            assert "\npermissions: {}\n" in text
            assert "contents: read" in text
            assert "id-token: write" in text


def inputs_of(action: str) -> set[str]:
    head = action.partition("\ninputs:\n")[2].partition("\nruns:\n")[0]
    return set(re.findall(r"^  ([\w-]+):$", head, re.MULTILINE))


def test_the_recipes_use_inputs_that_the_action_has() -> None:
    action = ACTION.read_text(encoding="utf-8")
    assert set(re.findall(r"inputs\.([\w-]+)", action)) == inputs_of(action)
    for text in YAML.values():
        for given in re.findall(r"uses: OWNER/hatch-connect@.*\n +with:\n((?: {10}.*\n)+)", text):
            assert set(re.findall(r"^ {10}([\w-]+):", given, re.MULTILINE)) <= inputs_of(action)


def call_action(sandbox: Sandbox, project: Path, pipx: str, environ: dict[str, str]) -> Finished:
    """Run the action's script with a pipx of our own."""
    script = textwrap.dedent(next(scripts(ACTION.read_text(encoding="utf-8"))).removeprefix(" |\n"))
    program = sandbox.home / "bin" / "pipx"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\n{pipx}\n", encoding="utf-8")
    program.chmod(0o755)
    path = f"{program.parent}{os.pathsep}{sandbox.environ['PATH']}"
    given = {"PATH": path, "GITHUB_ACTION_PATH": "/an action", "CONNECT_API_KEY": ""} | environ
    command = ("bash", "-e", "-o", "pipefail", "-c", script)
    return sandbox.run(*command, cwd=project, **given)


@needs_bash
def test_inputs_of_the_action_are_arguments_whatever_they_hold(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    odd = "--title=a 'b' \"$(touch made)\" `touch made`; touch made"
    given = {"CONTENT_GUID": "*; touch made", "ARGUMENTS": f"{odd}\n--draft\n"}
    done = call_action(sandbox, tmp_path, 'for one in "$@"; do echo "<$one>"; done', given)
    assert done.code == 0, done.said
    installed = ["run", "--no-cache", "--python", "python", "--spec", "/an action"]
    called = ["hatch-connect", "deploy", "--app-id=*; touch made", odd, "--draft"]
    assert done.stdout.splitlines() == [f"<{one}>" for one in (*installed, *called)]
    assert not (tmp_path / "made").exists()


@needs_bash
def test_the_action_deploys_as_the_workflow(sandbox: Sandbox, tmp_path: Path) -> None:
    sample_bundle(tmp_path / "sales.tar.gz")
    oauth = FakeOAuth()
    program = f'shift 7; exec "{sys.executable}" -P -m hatch_connect "$@"'
    with FakeConnect(oauth=oauth) as connect, FakeGitHub(oauth) as github:
        content = connect.add_content("sales")
        oauth.trust(content.guid)
        given = {
            "CONNECT_SERVER": connect.url,
            "CONTENT_GUID": content.guid,
            "ARGUMENTS": "--file=sales.tar.gz\n--verbose\n",
        }
        done = call_action(sandbox, tmp_path, program, given | github.environ())
    assert done.code == 0, done.said
    assert content.bundle_id
    assert github.audiences == ["connect"]
    assert not oauth.leaks(done.said)
    assert not oauth.leaks_below(tmp_path)


@needs_bash
def test_the_action_checks_for_drift_as_the_workflow(sandbox: Sandbox, tmp_path: Path) -> None:
    sample_bundle(tmp_path / "sales.tar.gz")
    oauth = FakeOAuth()
    program = f'shift 7; exec "{sys.executable}" -P -m hatch_connect "$@"'
    with FakeConnect(oauth=oauth) as connect, FakeGitHub(oauth) as github:
        content = connect.add_content("sales", title="Sales")
        oauth.trust(content.guid)
        given = {
            "COMMAND": "plan",
            "CONNECT_SERVER": connect.url,
            "CONTENT_GUID": content.guid,
            "ARGUMENTS": "--file=sales.tar.gz\n--check\n",
        }
        done = call_action(sandbox, tmp_path, program, given | github.environ())
    assert done.code == 6, done.said
    assert f"~ Sales ({content.guid})" in done.stdout
    assert content.bundles == {}


def test_each_refusal_is_worded_as_the_page_says() -> None:
    sources = " ".join(
        path.read_text(encoding="utf-8") for path in (ROOT / "hatch_connect").rglob("*.py")
    )
    whole = re.sub(r'"\s+f?"', "", sources)
    page = (ROOT / PAGE).read_text(encoding="utf-8")
    told = re.findall(r"^\| `([^|]+)` \|", page, re.MULTILINE)
    parts = {part.strip(" .") for one in told for part in re.split(r"\b[A-Z_]{3,}\b", one)}
    assert told
    assert not [part for part in parts if part not in whole]


def test_previews_are_for_branches_of_the_repository_alone() -> None:
    recipes = {
        name: text for name, text in YAML.items() if "hatch-connect preview --remove" in text
    }
    assert recipes
    for name, text in recipes.items():
        if "CI_PIPELINE_SOURCE" in text:
            condition = "CI_MERGE_REQUEST_SOURCE_PROJECT_ID == $CI_PROJECT_ID\n"
            assert text.count(condition) == text.count("script:\n    - hatch-connect preview"), name
            continue
        assert "pull_request:" in text
        assert "pull_request_target" not in text
        condition = "    if: github.event.pull_request.head.repo.full_name == github.repository\n"
        assert condition in text
        assert "permissions:\n  contents: read\n" in text


@pytest.mark.parametrize("service", SERVICES)
def test_the_workflows_that_init_writes_are_the_recipes(service: str) -> None:
    path = SERVICES[service]
    (recipe, *_) = (text for text in YAML.values() if text.startswith(f"# {path}\n"))
    written = workflow(
        service, server="https://connect.example.com", hatch=True, variables=(), folder="."
    )
    keyless = "\n".join(line for line in written.splitlines() if "CONNECT_API_KEY" not in line)
    assert keyless.strip() == recipe.partition("\n")[2].strip()


@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.parametrize("hatch", [True, False])
def test_what_others_choose_stands_in_no_script_that_init_writes(service: str, hatch: bool) -> None:  # noqa: FBT001 - as written
    text = workflow(
        service,
        server="https://connect.example.com",
        hatch=hatch,
        variables=("DATABASE_URL",),
        folder="apps/my sales",
    )
    assert "DATABASE_URL" in text
    written = "\n".join(scripts(text))
    assert "${{" not in written
    assert "$(" not in written
    # The bare name would install whatever somebody has published under it.
    assert hatch or f"'hatch-connect @ {own_url()}'" in written
    assert {"github": '"apps/my sales"', "gitlab": "\"cd 'apps/my sales'\""}[service] in text
