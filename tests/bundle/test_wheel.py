from __future__ import annotations

import zipfile
from importlib.metadata import PathDistribution
from typing import TYPE_CHECKING

import pytest

from hatch_connect.bundle.wheel import _canonical_metadata, holds_modules, unpack_wheel
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
    assert holds_modules(unpacked)
    assert (tmp_path / "out" / "y.py").read_text("utf-8") == "x-1.0.data/purelib/y.py"


def test_a_wheel_says_what_is_executable(tmp_path: Path) -> None:
    path = wheel(tmp_path, "x/none.sh")
    with zipfile.ZipFile(path, "a") as archive:
        for name, mode in (("x/run.sh", 0o100755), ("x/group.sh", 0o100654)):
            info = zipfile.ZipInfo(name)
            info.external_attr = mode << 16
            archive.writestr(info, "")
    unpacked = unpack_wheel(path, tmp_path / "out")
    assert [file.path for file in unpacked.files if file.executable] == ["x/run.sh"]


def test_a_wheel_without_modules(tmp_path: Path) -> None:
    unpacked = unpack_wheel(wheel(tmp_path, f"{INFO}/METADATA"), tmp_path / "out")
    assert not holds_modules(unpacked)


def test_a_wheel_that_leads_elsewhere(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="leads elsewhere"):
        unpack_wheel(wheel(tmp_path, "../x.py"), tmp_path / "out")
    assert not (tmp_path / "x.py").exists()


def test_a_broken_wheel(tmp_path: Path) -> None:
    path = tmp_path / "x-1.0-py3-none-any.whl"
    path.write_bytes(b"no zip")
    with pytest.raises(BuildError, match="broken wheel"):
        unpack_wheel(path, tmp_path / "out")


OLDER = b"""Metadata-Version: 2.3
Name: x
Version: 1.0
Dynamic: Version
License-File: LICENSE
Author-email: A <a@b.c>,
        B <b@b.c>
Requires-Dist: b
Provides-Extra: e
Requires-Dist: c; extra == 'e'
Description-Content-Type: text/markdown

# Title

Metadata-Version: in the text
"""
NEWER = b"""Metadata-Version: 2.5
Name: x
Version: 1.0
Import-Name: x
Requires-Dist: b
Requires-Dist: c; extra == 'e'
Provides-Extra: e
Author-email: A <a@b.c>,
        B <b@b.c>
Description-Content-Type: text/markdown

# Title

Metadata-Version: in the text
"""


def test_metadata_depends_on_no_version_of_a_back_end() -> None:
    text = _canonical_metadata(OLDER)
    assert _canonical_metadata(NEWER) == text
    assert _canonical_metadata(OLDER.replace(b"\n", b"\r\n")) == text
    assert _canonical_metadata(text) == text
    assert text.startswith(b"Metadata-Version: 2.4\nName: x\nVersion: 1.0\n")
    assert text.endswith(b"\n\n# Title\n\nMetadata-Version: in the text\n")


def test_metadata_is_still_read_by_the_standard_library(tmp_path: Path) -> None:
    folder = tmp_path / INFO
    folder.mkdir()
    (folder / "METADATA").write_bytes(_canonical_metadata(OLDER))
    found = PathDistribution(folder)
    assert found.version == "1.0"
    assert found.requires == ["b", "c; extra == 'e'"]
    assert found.metadata["Author-email"].split() == ["A", "<a@b.c>,", "B", "<b@b.c>"]


def test_metadata_without_a_description() -> None:
    assert _canonical_metadata(b"Metadata-Version: 2.1\nName: x\n") == (
        b"Metadata-Version: 2.4\nName: x\n"
    )


def test_metadata_names_no_folder_of_the_machine_that_built() -> None:
    text = (
        b"Metadata-Version: 2.4\nName: x\n"
        b"Requires-Dist: near[a]@ file:///home/me/near ; python_version > '3'\n"
        b"Requires-Dist: six @ https://h.example/six.whl\n"
    )
    assert _canonical_metadata(text) == (
        b"Metadata-Version: 2.4\nName: x\n"
        b"Requires-Dist: near[a] ; python_version > '3'\n"
        b"Requires-Dist: six @ https://h.example/six.whl\n"
    )
