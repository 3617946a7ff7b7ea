from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import filelock
import pytest

from hatch_connect.connect import store
from hatch_connect.connect.store import JsonFile
from hatch_connect.errors import StoreError

if TYPE_CHECKING:
    from pathlib import Path


def test_a_change_is_kept_when_its_block_ends_well(tmp_path: Path) -> None:
    file = JsonFile(tmp_path / "a" / "b.json")
    with file.update() as value:
        value["name"] = "é\ud800"
    assert file.read() == {"name": "é\ud800"}


def test_a_change_is_forgotten_when_it_does_not(tmp_path: Path) -> None:
    file = JsonFile(tmp_path / "b.json")

    def interrupted() -> None:
        with file.update() as value:
            value["name"] = 1
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert file.read() == {}


def test_an_interrupted_write_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = JsonFile(tmp_path / "b.json", lock=tmp_path / "lock")
    with file.update() as value:
        value["a"] = 1

    def interrupt(_descriptor: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt), file.update() as value:
        value["a"] = 2
    assert file.read() == {"a": 1}
    assert {p.name for p in tmp_path.iterdir()} <= {"b.json", "lock"}


@pytest.mark.skipif(os.name != "posix", reason="links need rights on Windows")
def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "real.json").write_text("{}", encoding="ascii")
    (tmp_path / "link.json").symlink_to(tmp_path / "real.json")
    with JsonFile(tmp_path / "link.json").update() as value:
        value["a"] = 1
    assert (tmp_path / "link.json").is_symlink()
    assert json.loads((tmp_path / "real.json").read_text()) == {"a": 1}


def test_a_writer_that_does_not_end_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "_PATIENCE", 0.05)
    file = JsonFile(tmp_path / "b.json", lock=tmp_path / "lock")
    with (
        filelock.FileLock(tmp_path / "lock"),
        pytest.raises(StoreError, match="being written by another program"),
        file.update(),
    ):
        pass


def test_without_a_place_for_the_lock_it_is_written_all_the_same(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    file = JsonFile(tmp_path / "b.json", lock=tmp_path / "file" / "lock")
    with file.update() as value:
        value["a"] = 1
    assert file.read() == {"a": 1}
