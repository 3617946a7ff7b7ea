from __future__ import annotations

import io
import os
import tarfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.connect_content import archive

from hatch_connect.errors import BundleError
from hatch_connect.local.archives import manifest_bytes, safe_name, unpack


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "unpacked"


def _write(tmp_path: Path, content: bytes) -> Path:
    path = tmp_path / "bundle.tar.gz"
    path.write_bytes(content)
    return path


def _members(tmp_path: Path, *members: tarfile.TarInfo) -> Path:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for member in members:
            tar.addfile(member, io.BytesIO(b"x" * member.size))
    return _write(tmp_path, buffer.getvalue())


def _member(name: str, kind: bytes = tarfile.REGTYPE, target: str = "") -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type = kind
    member.linkname = target
    member.size = 1 if kind == tarfile.REGTYPE else 0
    return member


def test_files_arrive_with_their_folders(tmp_path: Path, folder: Path) -> None:
    program = _member("a/run")
    program.mode = 0o777
    path = _members(
        tmp_path, _member("empty", tarfile.DIRTYPE), program, _member("./b"), _member("ä\nö")
    )

    assert unpack(path, folder) == folder
    assert {file.relative_to(folder).as_posix() for file in folder.rglob("*")} == {
        "a",
        "a/run",
        "b",
        "empty",
        "ä\nö",
    }
    assert os.access(folder / "a" / "run", os.X_OK)
    assert not os.access(folder / "b", os.X_OK)


def test_a_single_top_folder_is_the_root(tmp_path: Path, folder: Path) -> None:
    path = _write(tmp_path, archive({"a": b"", "b/c": b""}, top="top/"))

    assert unpack(path, folder) == folder / "top"


def test_links_inside_are_kept(tmp_path: Path, folder: Path) -> None:
    path = _members(
        tmp_path,
        _member("one/symbolic", tarfile.SYMTYPE, "../two/file"),
        _member("other/hard", tarfile.LNKTYPE, "two/file"),
        _member("two/file"),
    )

    unpack(path, folder)

    assert (folder / "one" / "symbolic").read_bytes() == b"x"
    assert (folder / "other" / "hard").read_bytes() == b"x"


@pytest.mark.parametrize("name", ["/etc/passwd", "../x", "a/../../x", "a/..", "..", ""])
def test_a_name_that_leads_outside(name: str) -> None:
    with pytest.raises(BundleError, match="is not allowed"):
        safe_name(name)


@given(st.text())
def test_a_safe_name_stays_inside(name: str) -> None:
    try:
        safe = safe_name(name)
    except BundleError:
        return
    inside = Path("/folder")
    assert Path(os.path.normpath(inside / safe)).is_relative_to(inside)


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ([_member("../x")], "is not allowed"),
        ([_member("a"), _member("./a")], "'a' twice"),
        ([_member("a", tarfile.CHRTYPE)], "neither a file nor a folder"),
        ([_member("a", tarfile.FIFOTYPE)], "neither a file nor a folder"),
        ([_member("a", tarfile.SYMTYPE, "/etc/passwd")], "is not in the archive"),
        ([_member("a", tarfile.SYMTYPE, "../../x")], "is not in the archive"),
        ([_member("a", tarfile.SYMTYPE, "nowhere")], "is not in the archive"),
        ([_member("a", tarfile.SYMTYPE, "a")], "is not in the archive"),
        ([_member("a", tarfile.LNKTYPE, "../x")], "is not allowed"),
        ([_member("a", tarfile.LNKTYPE, "nowhere")], "does not point to a file"),
        ([_member("a"), _member("a/b")], "not a readable"),
        (
            # Harmless while `s` is not there yet; with it, `x` leads three folders up.
            [
                _member("x", tarfile.SYMTYPE, "p/q/s/../../.."),
                _member("p/q/s", tarfile.SYMTYPE, "../.."),
            ],
            "is not in the archive",
        ),
    ],
)
def test_a_hostile_archive(
    tmp_path: Path, folder: Path, members: list[tarfile.TarInfo], message: str
) -> None:
    with pytest.raises(BundleError, match=message):
        unpack(_members(tmp_path, *members), folder)


def test_nothing_is_written_through_a_link(tmp_path: Path, folder: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    path = _members(tmp_path, _member("a", tarfile.SYMTYPE, str(outside)), _member("a/file"))

    with pytest.raises((BundleError, FileExistsError)):
        unpack(path, folder)

    assert list(outside.iterdir()) == []


@pytest.mark.parametrize("content", [b"", b"text", archive({"a": b"x" * 100})[:60]])
def test_an_archive_that_cannot_be_read(tmp_path: Path, folder: Path, content: bytes) -> None:
    with pytest.raises(BundleError, match=r"not a readable \.tar\.gz"):
        unpack(_write(tmp_path, content), folder)
    assert manifest_bytes(tmp_path / "bundle.tar.gz") is None


def test_the_manifest_is_read_at_any_position(tmp_path: Path) -> None:
    files = {"deep/er/manifest.json": b"no", "a": b"", "manifest.json": b"yes"}

    assert manifest_bytes(_write(tmp_path, archive(files))) == b"yes"
    assert manifest_bytes(_write(tmp_path, archive(files, top="top/"))) == b"yes"
    assert manifest_bytes(_write(tmp_path, archive({"a": b""}))) is None
