"""How hints name commands and extras, by how the process was started and where it is installed."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from hatch_connect.commands.way import Way, way_of
from hatch_connect.programs import own_url

HINT = "Roll back: hatch-connect rollback BUNDLE --app-id ID, or pip install 'hatch-connect[local]'"
PIPX = Path("/home/me/.local/share/pipx/venvs")
CACHE = Path("/home/me/.cache/uv/archive-v0/Zz9")
VENV = Path("/work/.venv")


def spelled(
    argv: list[str],
    prefix: Path,
    environ: dict[str, str] | None = None,
    *,
    by_hatch: bool = False,
    url: str | None = None,
) -> tuple[str, str]:
    way = way_of(argv, environ or {}, prefix / "bin" / "python", by_hatch=by_hatch, url=url)
    command, _, extra = way.spelled(HINT).removeprefix("Roll back: ").partition(" --app-id ID, or ")
    return command, extra


@pytest.mark.parametrize(
    ("prefix", "command", "extra"),
    [
        (CACHE, "uvx hatch-connect", "uvx --from 'hatch-connect[local]' hatch-connect ..."),
        (
            Path("/home/me/.cache/pipx/123"),
            "pipx run hatch-connect",
            "pipx run --spec 'hatch-connect[local]' hatch-connect ...",
        ),
        (
            PIPX / "hatch-connect",
            "{}/bin/hatch-connect",
            "pipx install --force 'hatch-connect[local]'",
        ),
        (PIPX / "hatch", "{}/bin/hatch-connect", "pipx inject hatch 'hatch-connect[local]'"),
        (VENV, "{}/bin/hatch-connect", "{}/bin/python -m pip install 'hatch-connect[local]'"),
    ],
)
def test_the_program_and_where_it_is_installed(
    prefix: Path, command: str, extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "hatch_connect.commands.way.find_spec", lambda name: None if name == "a2wsgi" else name
    )
    said = spelled([f"{prefix}/bin/hatch-connect"], prefix)
    assert said == (f"{command.format(prefix)} rollback BUNDLE", extra.format(prefix))


@pytest.mark.parametrize(
    ("prefix", "command", "extra"),
    [
        (CACHE, "uvx --from {} hatch-connect", "uvx --from {} hatch-connect ..."),
        (
            Path("/home/me/.cache/pipx/123"),
            "pipx run --spec {} hatch-connect",
            "pipx run --spec {} hatch-connect ...",
        ),
        (PIPX / "hatch-connect", "", "pipx install --force {}"),
        (VENV, "", f"{VENV}/bin/python -m pip install 'hatch-connect[local]'"),
    ],
)
def test_a_new_environment_is_made_from_the_same_address_with_the_same_extra(
    prefix: Path, command: str, extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hatch_connect.commands.way.find_spec", lambda name: name)
    said = spelled([f"{prefix}/bin/hatch-connect"], prefix, url="file:///src")
    wanted = "'hatch-connect[local] @ file:///src'"
    assert said[1] == extra.format(wanted)
    assert not command or said[0] == f"{command.format(wanted)} rollback BUNDLE"


@pytest.mark.parametrize(
    ("told", "url"),
    [
        ({"url": "file:///src", "dir_info": {}}, "file:///src"),
        (
            {"url": "https://h/r.git", "vcs_info": {"vcs": "git", "commit_id": "ab12"}},
            "git+https://h/r.git@ab12",
        ),
        (None, None),
    ],
)
def test_the_address_that_this_was_installed_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, told: object, url: str | None
) -> None:
    folder = tmp_path / "hatch_connect-9.9.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text("Name: hatch-connect\nVersion: 9.9\n", encoding="utf-8")
    if told:
        (folder / "direct_url.json").write_text(json.dumps(told), encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert own_url() == url


@pytest.mark.parametrize(("owner", "more"), [("hatch-connect", ""), ("hatch", "hatch --with ")])
def test_uv_tool(tmp_path: Path, owner: str, more: str) -> None:
    (tmp_path / owner).mkdir()
    (tmp_path / owner / "uv-receipt.toml").touch()
    said = spelled([f"{tmp_path}/{owner}/bin/hatch-connect"], tmp_path / owner)
    assert said[1] == f"uv tool install {more}'hatch-connect[local]'"


def test_a_program_on_the_path_is_called_by_its_name(tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    program = tmp_path / "bin" / "hatch-connect"
    program.touch(0o755)
    path = {"PATH": str(tmp_path / "bin")}
    plain = "hatch-connect rollback BUNDLE"
    assert spelled([str(program)], tmp_path, path)[0] == plain
    assert spelled([f"{VENV}/lib/hatch_connect/__main__.py"], tmp_path, path)[0] == plain
    module = spelled([f"{VENV}/lib/hatch_connect/__main__.py"], VENV, path)[0]
    assert module == f"{VENV}/bin/python -m hatch_connect rollback BUNDLE"


def test_uv_run() -> None:
    said = spelled([f"{VENV}/bin/hatch-connect"], VENV, {"UV_RUN_RECURSION_DEPTH": "1"})
    assert said == ("uv run hatch-connect rollback BUNDLE", "uv add --dev 'hatch-connect[local]'")


def test_an_environment_without_pip(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pip", None)
    monkeypatch.setattr("hatch_connect.commands.way.find_spec", lambda _name: None)
    extra = spelled([f"{VENV}/bin/hatch-connect"], VENV)[1]
    assert extra == f"uv pip install --python {VENV}/bin/python 'hatch-connect[local]'"


def test_scripts_of_hatch_run_are_run_by_hatch_wherever_hatch_is_installed() -> None:
    extra = 'requires = ["hatch-connect[local]"] in [tool.hatch.env]'
    argv = ["/x/hatch_connect/__main__.py", "rollback"]
    said = spelled(argv, PIPX / "hatch", {"HATCH_ENV_ACTIVE": "default"}, by_hatch=True)
    assert said == ("hatch run connect-rollback BUNDLE", extra)
    said = spelled(argv, PIPX / "hatch", {"HATCH_ENV_ACTIVE": "connect"}, by_hatch=True)
    assert said == ("hatch run connect:rollback BUNDLE", extra)


@pytest.mark.parametrize(
    ("task", "said"),
    [
        ("deploy", "invoke rollback --bundle-id BUNDLE"),
        ("ship.connect.deploy", "invoke ship.connect.rollback --bundle-id BUNDLE"),
    ],
)
def test_tasks_take_no_value_without_its_name(task: str, said: str) -> None:
    assert spelled(["/x/bin/inv", "-e", task], VENV)[0] == said
    assert spelled(["/x/invoke/__main__.py", task], VENV)[0] == said


@pytest.mark.parametrize(
    "text",
    [
        "hatch-connect deploys what is there.",
        "Made by hatch-connect from uv.lock.",
        "hatch-connect is a program.",
    ],
)
def test_what_is_no_command_stays(text: str) -> None:
    assert Way(command="invoke {}", positional=False).spelled(text) == text


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("`hatch-connect details` lists them", "`invoke details` lists them"),
        ("Deploy: hatch-connect deploy a/b\nor", "Deploy: invoke deploy --file a/b\nor"),
        ("hatch-connect deploy --dry-run", "invoke deploy --dry-run"),
    ],
)
def test_a_value_gets_the_name_of_its_option(text: str, said: str) -> None:
    assert Way(command="invoke {}", positional=False).spelled(text) == said
