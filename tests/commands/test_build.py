"""The command `requirements`: which packages, and why."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pytest
from support.bundles import Heard, write_files

from hatch_connect.commands import run_command
from hatch_connect.commands.call import Surroundings
from hatch_connect.display import show_result
from hatch_connect.errors import ConfigurationError, LockError
from hatch_connect.options import Options
from hatch_connect.project.interpreter import inspect_interpreter, tool_of

DATA = Path(__file__).parents[1] / "locks" / "data"
BARE = '[project]\nname = "bare"\nversion = "1"\ndependencies = ["six"]\n'


def run(root: Path, capsys: pytest.CaptureFixture[str], **given: object) -> str:
    surroundings = Surroundings(
        environ=given.pop("environ", {}),  # type: ignore[arg-type]
        directory=root,
        interpreter=Path(sys.executable),
        now=time.monotonic,
        today=partial(datetime.now, UTC),
        sleep=time.sleep,
    )
    options = Options.of(given)
    result = run_command("requirements", options, surroundings, Heard())
    show_result(result, {}, as_json=options.json)
    return capsys.readouterr().out


def test_it_prints_exactly_the_list(capsys: pytest.CaptureFixture[str]) -> None:
    text = run(DATA / "forked", capsys, python_version="3.12", extra=["plot"])
    header, *lines = text.splitlines()
    assert header == "# Made by hatch-connect from the project's lock."
    assert lines == sorted(lines)
    assert any(line.startswith("cycler==") for line in lines)


def test_it_explains(capsys: pytest.CaptureFixture[str]) -> None:
    text = run(DATA / "workspace", capsys, python_version="3.12", explain=True)
    assert text.startswith("Packages from uv.lock for CPython 3.12 on linux x86_64:\n")
    assert "  toolz==" in text
    assert "  <- member\n" in text
    built = text.partition("built from their own projects:\n")[2]
    assert f"  member ({DATA / 'workspace' / 'member'})  <- the project\n" in built
    assert "Left out:\n  leader 1.0: the project itself\n" in text


def test_it_tells_programs_everything(capsys: pytest.CaptureFixture[str]) -> None:
    told = json.loads(run(DATA / "forked", capsys, python_version="3.12", json=True))
    assert told["requirements"].startswith("# Made by hatch-connect")
    assert told["lock"] == str(DATA / "forked" / "uv.lock")
    assert told["format"] == "uv.lock"
    assert told["because"] == f"the first lock found in {DATA / 'forked'}"
    assert told["target"] == {"python": "3.12", "system": "linux", "machine": "x86_64"}
    assert told["python"] == {
        "version": "3.12.0",
        "requires": "~=3.12.0",
        "because": "the --python-version option",
    }
    packages = {one["name"]: one for one in told["packages"]}
    assert packages["jinja2"]["because"] == "the project"
    left_out = {one["name"]: one["because"] for one in told["left_out"]}
    assert left_out["pytest"] == "only required by the group dev"
    assert told["bundled"] == []
    assert told["notes"] == []


def test_another_machine(capsys: pytest.CaptureFixture[str]) -> None:
    text = run(DATA / "forked", capsys, python_version="3.12", architecture="aarch64", explain=True)
    assert "for CPython 3.12 on linux aarch64:" in text


def test_kept_markers_leave_the_range_open(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(DATA / "forked", tmp_path, dirs_exist_ok=True)
    path = tmp_path / "pyproject.toml"
    path.write_text(path.read_text() + 'markers = "keep"\n')
    told = json.loads(run(tmp_path, capsys, python_version="3.12", json=True))
    assert told["python"]["requires"] == ">=3.11"


def test_a_project_without_a_table_of_ours(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_files(tmp_path, {"pyproject.toml": BARE, "requirements/prod.txt": "six==1.17\n"})
    text = run(tmp_path, capsys, lock="requirements/prod.txt", python_version="3.12")
    assert text == "six==1.17\n"


def test_without_a_lock_it_is_what_is_installed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_files(tmp_path, {"pyproject.toml": '[project]\nname = "bare"\nversion = "1"\n'})
    text = run(tmp_path, capsys, python=sys.executable)
    assert "# Made by hatch-connect from the installed packages" in text


def test_what_is_installed_is_checked_for_the_servers_machine(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = "missing; platform_machine == 'x86_64'"
    text = f'[project]\nname = "bare"\nversion = "1"\ndependencies = ["{other}"]\n'
    write_files(tmp_path, {"pyproject.toml": text})
    assert run(tmp_path, capsys, python=sys.executable, architecture="aarch64")
    write_files(tmp_path, {"pyproject.toml": text.replace("x86_64", "aarch64")})
    assert run(tmp_path, capsys, python=sys.executable)
    with pytest.raises(LockError, match=f"`missing;.*` is not in {sys.executable}"):
        run(tmp_path, capsys, python=sys.executable, architecture="aarch64")


def test_our_own_environment_is_not_taken_for_the_projects(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_files(tmp_path, {"pyproject.toml": '[project]\nname = "bare"\nversion = "1"\n'})
    environ = {"HATCH_ENV_ACTIVE": "connect"}
    with pytest.raises(LockError, match="Hatch's own environment") as caught:
        run(tmp_path, capsys, environ=environ)
    assert "--python PATH" in str(caught.value.hint)
    told = json.loads(run(tmp_path, capsys, environ=environ, force_generate=True, json=True))
    assert "That is Hatch's own environment" in told["notes"][0]
    told = json.loads(run(tmp_path, capsys, json=True))
    assert "Hatch is installed there, and ships too" in told["notes"][0]
    with (tmp_path / "pyproject.toml").open("a") as file:
        file.write('dependencies = ["click"]\n')
    told = json.loads(run(tmp_path, capsys, environ=environ, json=True))
    assert "That is Hatch's own environment" in told["notes"][0]


@pytest.mark.parametrize("mark", ["pipx_metadata.json", "uv-receipt.toml"])
def test_so_is_that_of_a_tool(tmp_path: Path, mark: str) -> None:
    (tmp_path / mark).touch()
    interpreter = inspect_interpreter(Path(sys.executable))
    own = replace(interpreter, path=tmp_path / "bin" / "python", packages=())
    assert tool_of(own, {}) is not None
    assert tool_of(replace(own, path=tmp_path / "v" / "bin" / "python"), {}) is None


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("setup.py", "setup()\n"),
        ("setup.cfg", "[options]\ninstall_requires = six\n"),
        ("pyproject.toml", "[project]\nname = 'a'\n[tool.poetry.dependencies]\nsix = '1'\n"),
    ],
)
def test_what_is_not_read_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, text: str
) -> None:
    write_files(tmp_path, {"pyproject.toml": '[project]\nname = "a"\nversion = "1"\n', name: text})
    told = json.loads(run(tmp_path, capsys, python=sys.executable, json=True))
    assert "is not read: lock the dependencies" in told["notes"][1]


def test_content_without_its_framework(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = '[tool.hatch-connect]\napp-mode = "streamlit"\n'
    write_files(tmp_path, {"pyproject.toml": BARE + table, "requirements.txt": "six==1.17\n"})
    with pytest.raises(
        LockError, match=r"content requires streamlit, which is not in requirements\.txt"
    ):
        run(tmp_path, capsys, python_version="3.12")
    (tmp_path / "pyproject.toml").write_text(BARE + table + "environment-management = false\n")
    assert run(tmp_path, capsys, python_version="3.12") == "six==1.17\n"


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('architecture = "sparc"', "architecture` must be"),
        ('markers = "all"', "markers` must be"),
        ('index-urls = "yes"', "index-urls` must be"),
        ("compile-requirements = 1", "compile-requirements` must be true or false"),
        ('app-mode = "fastapy"', "app-mode`"),
    ],
)
def test_settings_that_are_none(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], line: str, said: str
) -> None:
    write_files(
        tmp_path,
        {"pyproject.toml": f"{BARE}[tool.hatch-connect]\n{line}\n", "requirements.txt": "six==1"},
    )
    with pytest.raises(ConfigurationError, match=said):
        run(tmp_path, capsys, python_version="3.12")


def test_the_command_line(tmp_path: Path) -> None:
    write_files(tmp_path, {"pyproject.toml": BARE, "requirements.txt": "six>=1.17\n"})
    command = [sys.executable, "-m", "hatch_connect", "requirements", "--python-version", "3.12"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout == "six>=1.17\n"
    assert "warning: requirements.txt:1: `six>=1.17` is not pinned" in done.stderr
