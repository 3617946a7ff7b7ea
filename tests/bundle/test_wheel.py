from __future__ import annotations

import zipfile
from typing import TYPE_CHECKING

import pytest

from hatch_connect.bundle.wheel import unpack_wheel
from hatch_connect.errors import BuildError, BundleError

if TYPE_CHECKING:
    from pathlib import Path

INFO = "x-1.0.dist-info"


def wheel(folder: Path, *names: str) -> Path:
    path = folder / "x-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for name in names:
            archive.writestr(name, name)
    return path


def test_what_ships_of_a_wheel(tmp_path: Path) -> None:
    names = (
        *("x/__init__.py", "x/", "x-1.0.data/purelib/y.py", "x-1.0.data/platlib/z/a.py"),
        *("x-1.0.data/scripts/run", "x-1.0.data/data/share/a", f"{INFO}/METADATA"),
        *(f"{INFO}/entry_points.txt", f"{INFO}/RECORD", f"{INFO}/licenses/METADATA"),
    )
    unpacked = unpack_wheel(wheel(tmp_path, *names), tmp_path / "out")
    assert [file.path for file in unpacked.files] == [
        *("x/__init__.py", "y.py", "z/a.py", f"{INFO}/METADATA", f"{INFO}/entry_points.txt"),
    ]
    assert [item.path for item in unpacked.left_out] == [
        *("x-1.0.data/scripts/run", "x-1.0.data/data/share/a"),
        *(f"{INFO}/RECORD", f"{INFO}/licenses/METADATA"),
    ]
    assert unpacked.version == "1.0"
    assert unpacked.modules
    assert (tmp_path / "out" / "y.py").read_text("utf-8") == "x-1.0.data/purelib/y.py"


def test_a_wheel_without_modules(tmp_path: Path) -> None:
    assert not unpack_wheel(wheel(tmp_path, f"{INFO}/METADATA"), tmp_path / "out").modules


def test_a_wheel_that_leads_elsewhere(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="leads elsewhere"):
        unpack_wheel(wheel(tmp_path, "../x.py"), tmp_path / "out")
    assert not (tmp_path / "x.py").exists()


def test_a_broken_wheel(tmp_path: Path) -> None:
    path = tmp_path / "x-1.0-py3-none-any.whl"
    path.write_bytes(b"no zip")
    with pytest.raises(BuildError, match="broken wheel"):
        unpack_wheel(path, tmp_path / "out")
