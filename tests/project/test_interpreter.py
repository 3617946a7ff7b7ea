from __future__ import annotations

import re
import subprocess
import sys
import venv
from pathlib import Path

import pytest

from hatch_connect.errors import InterpreterError
from hatch_connect.project import interpreter as module
from hatch_connect.project.interpreter import (
    DirectUrl,
    Installed,
    find_interpreter,
    inspect_interpreter,
)

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="scripts stand for interpreters")


@pytest.fixture(scope="session")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment without pip and with packages that came from all kinds of places."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, with_pip=False, symlinks=True)
    packages = next(folder.glob("lib/python*/site-packages"))
    for name, version, direct in (
        ("Plain_Package", "1.0", None),
        ("edited", "0.1", '{"url": "file:///x", "dir_info": {"editable": true}}'),
        (
            "cloned",
            "2.0",
            '{"url":"https://h/r","subdirectory":"s","vcs_info":{"vcs":"git","commit_id":"abc"}}',
        ),
        ("odd", "1", "not json"),
        ("odd-too", "1", "{}"),
    ):
        info = packages / f"{name}-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        if direct is not None:
            (info / "direct_url.json").write_text(direct)
    (packages / "broken-1.dist-info").mkdir()
    return folder


def script(folder: Path, text: str) -> Path:
    path = folder / "python"
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


class TestInspection:
    def test_it_needs_neither_pip_nor_anything_of_ours(self, environment: Path) -> None:
        found = inspect_interpreter(environment / "bin" / "python")
        assert found.version == ".".join(map(str, sys.version_info[:3]))
        assert found.minor == ".".join(map(str, sys.version_info[:2]))
        assert (found.implementation, found.free_threaded) == ("cpython", False)
        assert found.packages == (
            Installed(
                name="cloned",
                version="2.0",
                direct_url=DirectUrl(url="https://h/r", vcs="git", commit="abc", subdirectory="s"),
            ),
            Installed(
                name="edited",
                version="0.1",
                direct_url=DirectUrl(url="file:///x", editable=True, directory=True),
            ),
            Installed(name="odd", version="1"),
            Installed(name="odd-too", version="1"),
            Installed(name="Plain_Package", version="1.0"),
        )

    def test_metadata_without_a_name_is_told(self, environment: Path) -> None:
        found = inspect_interpreter(environment / "bin" / "python")
        assert [Path(folder).name for folder in found.broken] == ["broken-1.dist-info"]

    def test_the_working_directory_and_the_environment_have_no_say(
        self, environment: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "json.py").write_text("raise SystemExit('imported from here')")
        monkeypatch.chdir(tmp_path)
        monkeypatch.setenv("PYTHONPATH", str(tmp_path))
        assert inspect_interpreter(environment / "bin" / "python").packages

    def test_the_list_is_that_of_pip(self) -> None:
        listed = subprocess.run(
            [sys.executable, "-I", "-m", "pip", "list", "--format=freeze"],
            capture_output=True,
            text=True,
            check=False,
        )
        if listed.returncode != 0:
            pytest.skip("no pip beside the interpreter of the tests")
        asked = inspect_interpreter(Path(sys.executable))
        ours = {f"{_normalized(p.name)}=={p.version}" for p in asked.packages}
        theirs = {
            _normalized(n) + "==" + v for n, v in re.findall(r"(?m)^(.+?)==(.+)$", listed.stdout)
        }
        assert ours == theirs


def _normalized(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


class TestBrokenInterpreters:
    def test_one_that_is_not_there(self, tmp_path: Path) -> None:
        with pytest.raises(InterpreterError, match="does not exist") as caught:
            inspect_interpreter(tmp_path / "python")
        assert "--python" in str(caught.value.hint)

    def test_one_that_may_not_be_run(self, tmp_path: Path) -> None:
        (tmp_path / "python").touch()
        with pytest.raises(InterpreterError, match="Permission denied"):
            inspect_interpreter(tmp_path / "python")

    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ("exit 0", "exit code 0 (no output)"),
            ("exit 3", "exit code 3 (no output)"),
            (
                "echo 'Traceback' >&2; echo 'SystemError: x' >&2; exit 1",
                "exit code 1 (SystemError: x)",
            ),
            (
                "echo 'Unknown option: -I' >&2; echo 'usage: python' >&2; exit 2",
                "Unknown option: -I",
            ),
        ],
    )
    def test_one_that_fails(self, tmp_path: Path, text: str, said: str) -> None:
        with pytest.raises(InterpreterError, match=re.escape(said)):
            inspect_interpreter(script(tmp_path, text))

    def test_one_that_does_not_answer(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(module, "SECONDS", 0.2)
        with pytest.raises(InterpreterError, match="did not answer"):
            inspect_interpreter(script(tmp_path, "exec sleep 60"))

    def test_one_that_is_too_old_to_know_its_packages(self, tmp_path: Path) -> None:
        answer = '{"version": "3.6.15", "implementation": "cpython"}'
        with pytest.raises(InterpreterError, match=r"3\.6\.15, which is too old"):
            inspect_interpreter(script(tmp_path, f"echo 'hatch-connect:{answer}'"))

    @pytest.mark.parametrize("version", ["2.7", "3.6", "3.7"])
    def test_real_old_ones(self, version: str) -> None:
        installed = sorted(Path.home().glob(f".pyenv/versions/{version}.*/bin/python"))
        if not installed:
            pytest.skip(f"there is no Python {version} here")
        with pytest.raises(InterpreterError):
            inspect_interpreter(installed[0])


class TestWhichOne:
    FALLBACK = Path("/own/python")

    def find(self, option: str | None = None, **environ: str) -> tuple[Path, str]:
        return find_interpreter(environ, option=option, fallback=self.FALLBACK)

    def test_the_order(self, environment: Path, tmp_path: Path) -> None:
        named = script(tmp_path, "")
        python = environment / "bin" / "python"
        every = {
            "RETICULATE_PYTHON": str(named),
            "VIRTUAL_ENV": str(environment),
            "CONDA_PREFIX": str(environment),
        }
        assert self.find(sys.executable, **every) == (
            Path(sys.executable),
            "the --python option",
        )
        assert self.find(**every) == (named, "RETICULATE_PYTHON")
        del every["RETICULATE_PYTHON"]
        assert self.find(**every) == (python, "VIRTUAL_ENV")
        del every["VIRTUAL_ENV"]
        assert self.find(**every) == (python, "CONDA_PREFIX")
        assert self.find() == (self.FALLBACK, "the interpreter that runs this")

    def test_a_link_is_not_followed_out_of_its_environment(self, environment: Path) -> None:
        python = environment / "bin" / "python"
        assert python.is_symlink()
        assert self.find(str(python))[0] == python

    def test_an_environment_or_a_command_may_be_named(
        self, environment: Path, tmp_path: Path
    ) -> None:
        command = script(tmp_path, "")
        assert self.find(str(environment))[0] == environment / "bin" / "python"
        assert self.find("python", PATH=str(tmp_path))[0] == command

    def test_one_that_is_named_and_not_there_is_an_error(self, tmp_path: Path) -> None:
        for given in (
            {"option": str(tmp_path / "python")},
            {"RETICULATE_PYTHON": "no-such-python"},
            {"VIRTUAL_ENV": str(tmp_path)},
        ):
            with pytest.raises(InterpreterError, match=r"which .* names"):
                self.find(**given)
