"""PEP 751 locks written by hand, and how they are read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hatch_connect.locks import find_lock, read_lock
from hatch_connect.project.target import Target
from support.projects import configuration

if TYPE_CHECKING:
    from pathlib import Path

    from hatch_connect.locks.lock import Lock

PROJECT = """
[project]
name = "locked"
version = "1"
[project.optional-dependencies]
plot = ["cycler"]
[dependency-groups]
docs = ["markdown"]
[tool.hatch-connect]
app-mode = "fastapi"
entrypoint = "a"
"""

HEAD = "lock-version = '1.0'\ncreated-by = 'hand'\n"


def package(
    name: str, *lines: str, version: str = "1.0", wheel: str | None = "py3-none-any"
) -> str:
    text = f"[[packages]]\nname = '{name}'\nversion = '{version}'\n" + "".join(
        f"{line}\n" for line in lines
    )
    if wheel is None:
        return text
    url = f"https://h.example/{name}-{version}-{wheel}.whl"
    return text + f"wheels = [{{ url = '{url}', hashes = {{ sha256 = 'aa' }} }}]\n"


def read(root: Path, text: str, python: str = "3.11", **asked: object) -> Lock:
    (root / "pyproject.toml").write_text(PROJECT)
    (root / "pylock.toml").write_text(HEAD + text)
    return read_there(root, python, **asked)


def read_there(root: Path, python: str = "3.11", **asked: object) -> Lock:
    config = configuration(root, overrides=asked)
    found = find_lock(config)
    assert found is not None
    return read_lock(found, config, Target(python=python, machine="x86_64"))


def lines(lock: Lock) -> list[str]:
    return [pin.requirement for pin in lock.pins]
