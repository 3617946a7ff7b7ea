"""Locks of one project as each tool wrote them: the files in `data/exported` are theirs."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.projects import configuration

from hatch_connect.errors import LockError
from hatch_connect.locks import find_lock, read_lock
from hatch_connect.project.target import Target

if TYPE_CHECKING:
    from hatch_connect.locks.lock import Lock

DATA = Path(__file__).parent / "data" / "exported"
OLD = ["click==8.5.1", "six==1.16.0"]
NEW = ["click==8.5.1", "six==1.17.0"]


def read(root: Path, lock: str, python: str, **asked: object) -> Lock:
    overrides = {"lock": lock, "compile-requirements": True, **asked}
    config = configuration(root, overrides=overrides, packages_only=True)
    found = find_lock(config)
    assert found is not None
    return read_lock(found, config, Target(python=python, machine="x86_64"))


def lines(lock: Lock) -> list[str]:
    return [pin.requirement for pin in lock.pins]


@pytest.mark.parametrize(
    ("lock", "python", "wanted"),
    [
        ("pip-compile.txt", "3.11", OLD),
        ("uv-universal.txt", "3.11", OLD),
        ("uv-universal.txt", "3.13", NEW),
        ("pylock.pip.toml", "3.11", OLD),
        ("pylock.poetry.toml", "3.11", OLD),
        ("pylock.poetry.toml", "3.13", NEW),
        ("pylock.pdm.toml", "3.13", NEW),
        ("pylock.uv.toml", "3.11", [*OLD, "toolz==1.2.0"]),
        ("pylock.uv.toml", "3.13", [*NEW, "toolz==1.2.0"]),
    ],
)
def test_the_pins_are_those_that_the_tool_installs(
    lock: str, python: str, wanted: list[str]
) -> None:
    assert lines(read(DATA, lock, python)) == wanted


def test_a_file_that_was_compiled_for_another_python_is_stale_there() -> None:
    with pytest.raises(LockError, match=r"`six>=1\.17; python_version >= '3\.12'` is not in"):
        read(DATA, "pip-compile.txt", "3.12")


def test_pdm_has_the_groups_and_extras_that_are_asked_for() -> None:
    lock = read(DATA, "pylock.pdm.toml", "3.13", groups=["prod"], extras=["xl"])
    assert [pin.name for pin in lock.pins] == ["click", "et-xmlfile", "six", "toolz"]
    assert {one.name: one.because for one in lock.omitted}["iniconfig"] == (
        "only required by the group dev"
    )


def test_poetry_notes_what_it_put_in(tmp_path: Path) -> None:
    shutil.copytree(DATA, tmp_path, dirs_exist_ok=True)
    path = tmp_path / "pylock.poetry.toml"
    text = path.read_text().replace('groups = ["main"]', 'groups = ["main", "dev", "prod"]')
    path.write_text(text.replace("extras = []", 'extras = ["xl"]'))
    with pytest.raises(LockError, match="has more than was requested") as caught:
        read(tmp_path, "pylock.poetry.toml", "3.11", groups=["prod"])
    assert "with `dev`" in str(caught.value)
    assert "with `xl`" in str(caught.value)
    assert "with `prod`" not in str(caught.value)
    with pytest.raises(LockError, match="There is no extra named `xl` in it"):
        read(DATA, "pylock.poetry.toml", "3.11", extras=["xl"])
