from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from packaging.version import Version
from support.connect_content import PYTHON
from support.waiting import until

from hatch_connect.errors import BundleError
from hatch_connect.local import environments as module
from hatch_connect.local.environments import Environment, Environments, prepare_runtime, supporting
from hatch_connect.local.pythons import Python

if TYPE_CHECKING:
    from collections.abc import Callable
    from importlib.metadata import Distribution

_OURS = Python(version=PYTHON, path=Path(sys.executable))


@pytest.fixture
def environments(tmp_path: Path) -> Environments:
    return Environments(tmp_path / "environments", os.environ)


class _NoUv(Environments):
    """Notes what uv is asked for, and lets it make an empty target."""

    asked: tuple[object, ...] = ()

    async def uv(self, *arguments: str | Path, write: Callable[[str], None]) -> None:
        del write
        self.asked = arguments
        target = arguments[arguments.index("--target") + 1]
        assert isinstance(target, Path)
        target.mkdir(parents=True)


async def _restore(environments: Environments, requirements: Path | None) -> list[str]:
    output: list[str] = []
    await environments.restore(requirements, _OURS, output.append)
    return output


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_an_environment_is_made_once(environments: Environments, tmp_path: Path) -> None:
    requirements = tmp_path / "requirements.txt"
    requirements.write_text("")

    first = asyncio.run(_restore(environments, requirements))
    second = asyncio.run(_restore(environments, requirements))

    assert any("Creating" in line for line in first)
    assert len(second) == 1


def test_an_environment_without_its_interpreter_is_made_again(environments: Environments) -> None:
    environment = asyncio.run(environments.restore(None, _OURS, lambda _line: None))
    environment.python.unlink()

    again = asyncio.run(environments.restore(None, _OURS, lambda _line: None))

    assert again == environment
    assert again.complete
    assert again.lock == ""


def _imports_setuptools(environment: Environment) -> bool:
    command = (environment.python, "-c", "import setuptools, pkg_resources")
    return subprocess.run(command, check=False, capture_output=True).returncode == 0


def test_setuptools_is_there_below_python_3_12(tmp_path: Path) -> None:
    offline = Environments(tmp_path / "environments", {**os.environ, "UV_OFFLINE": "1"})
    environment = asyncio.run(offline.restore(None, _OURS, lambda _line: None))
    assert _imports_setuptools(environment) == (sys.version_info < (3, 12))
    assert environment.lock == ""  # which says what the content asked for


def test_content_without_setuptools_is_better_than_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_OWN_SETUPTOOLS", "")
    monkeypatch.setattr(module, "_WITHOUT_SETUPTOOLS", Version("4"))
    index = {"UV_OFFLINE": "1", "UV_CACHE_DIR": str(tmp_path / "empty")}
    nowhere = Environments(tmp_path / "environments", {**os.environ, **index})
    output: list[str] = []
    environment = asyncio.run(nowhere.restore(None, _OURS, output.append))
    assert environment.complete
    assert "setuptools could not be installed" in output[-1]


def test_two_who_ask_at_once_get_the_same(environments: Environments) -> None:
    async def both() -> tuple[list[str], list[str]]:
        return await asyncio.gather(_restore(environments, None), _restore(environments, None))

    assert min(map(len, asyncio.run(both()))) == 1


def test_a_failure_is_an_error_and_is_tried_again(
    environments: Environments, tmp_path: Path
) -> None:
    requirements = tmp_path / "requirements.txt"
    requirements.write_text("no such thing")

    for _ in range(2):
        with pytest.raises(BundleError, match="uv ended with exit code"):
            asyncio.run(_restore(environments, requirements))


def test_a_restoration_can_be_broken_off(environments: Environments) -> None:
    async def broken_off() -> int:
        began: asyncio.Queue[str] = asyncio.Queue()
        program = "import os, time; print(os.getpid(), flush=True); time.sleep(600)"
        python = ("run", "--no-project", "--python", sys.executable, "python", "-c", program)
        waiting = asyncio.create_task(environments.uv(*python, write=began.put_nowait))
        started = int(await began.get())
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        return started

    started = asyncio.run(broken_off())

    until(lambda: not _runs(started))


def test_the_runtime_is_copied_from_here(environments: Environments, tmp_path: Path) -> None:
    for _ in range(2):
        folder = asyncio.run(prepare_runtime(tmp_path / "runtime", _OURS, environments))
        (folder / "kept").touch()

    assert (folder / "uvicorn" / "main.py").is_file()
    assert (folder / "a2wsgi").is_dir()
    assert (folder / "h11").is_dir()
    assert not (folder / "starlette").exists()
    assert not list(folder.rglob("*.pyc"))


def test_the_runtime_is_installed_for_a_python_that_ours_does_not_support(tmp_path: Path) -> None:
    environments = _NoUv(tmp_path / "environments", {})
    python = Python(version="3.8.18", path=Path("/python3.8"))

    folder = asyncio.run(prepare_runtime(tmp_path / "runtime", python, environments))

    assert folder == tmp_path / "runtime" / "3.8"
    assert environments.asked[-3:] == ("uvicorn", "a2wsgi", "websockets")
    assert Path("/python3.8") in environments.asked


def test_the_runtime_that_is_not_here_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    def find(name: str) -> Distribution:
        if name == "h11":
            raise PackageNotFoundError(name)
        return distribution(name)

    monkeypatch.setattr(module, "distribution", find)

    assert supporting(PYTHON) == ()
