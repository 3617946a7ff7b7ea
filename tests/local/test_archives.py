from __future__ import annotations

import bz2
import errno
import gzip
import io
import os
import tarfile
import tempfile
import threading
import zipfile
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.connect_content import archive

from hatch_connect.errors import BundleError
from hatch_connect.local import archives
from hatch_connect.local.archives import LARGEST_MANIFEST, manifest_bytes, safe_name, unpack


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


@pytest.mark.parametrize("top", ["top/", "top/in/it/"])
def test_a_single_top_folder_is_the_root(tmp_path: Path, folder: Path, top: str) -> None:
    path = _write(tmp_path, archive({"a": b"", "b/c": b""}, top=top))

    assert unpack(path, folder) == folder / top


def test_links_inside_are_kept(tmp_path: Path, folder: Path) -> None:
    path = _members(
        tmp_path,
        _member("one/symbolic", tarfile.SYMTYPE, "../two/file"),
        _member("other/hard", tarfile.LNKTYPE, "two/file"),
        _member("chained", tarfile.LNKTYPE, "other/hard"),
        _member("two/file"),
    )

    unpack(path, folder)

    assert (folder / "one" / "symbolic").read_bytes() == b"x"
    assert (folder / "other" / "hard").read_bytes() == b"x"
    assert (folder / "chained").read_bytes() == b"x"


@pytest.mark.parametrize("name", ["/etc/passwd", "../x", "a/../../x", "a/..", "..", ""])
def test_a_name_that_leads_outside(name: str) -> None:
    with pytest.raises(BundleError, match="is not allowed"):
        safe_name(name)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("a/" + "ä" * 128, "is longer than 255 bytes"),
        ("d/" * 100 + "f", "in more than 100 folders"),
        ("\udcff", "is not UTF-8"),
    ],
)
def test_a_name_that_no_file_can_have(name: str, message: str) -> None:
    with pytest.raises(BundleError, match=message) as caught:
        safe_name(name)

    assert len(str(caught.value)) < 200


def test_a_path_that_is_too_long_for_the_file_system(tmp_path: Path, folder: Path) -> None:
    path = _members(tmp_path, _member("/".join(["d" * 200] * 50)))

    with pytest.raises(BundleError, match="its path is too long for this file system"):
        unpack(path, folder)


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
        ([_member("a", tarfile.SYMTYPE, "")], "is not in the archive: ''"),
        ([_member("a", tarfile.LNKTYPE, "")], "is not allowed"),
        ([_member("a", tarfile.LNKTYPE, "../x")], "is not allowed"),
        ([_member("a", tarfile.LNKTYPE, "nowhere")], "does not point to a file"),
        (
            [_member("a", tarfile.LNKTYPE, "b"), _member("b", tarfile.LNKTYPE, "a")],
            "not point to a",
        ),
        ([_member("a"), _member("a/b")], "'a' in the archive is both a file and a folder"),
        ([_member("a/b"), _member("a")], "'a' in the archive is both a file and a folder"),
        ([_member("a/b/c"), _member("./a/b")], "'a/b' in the archive is both a file and a folder"),
        (
            [_member("a", tarfile.DIRTYPE), _member("a")],
            "'a' in the archive is both a file and a f",
        ),
        ([_member("a"), _member("a", tarfile.SYMTYPE, "b")], "both a file and a link"),
        ([_member("a", tarfile.SYMTYPE, "b"), _member("a")], "both a file and a link"),
        ([_member("a", tarfile.SYMTYPE, "b"), _member("a/b")], "both a folder and a link"),
        ([_member("a", tarfile.LNKTYPE, "b"), _member("a/b")], "both a folder and a link"),
        ([_member("b"), _member("a", tarfile.SYMTYPE, "b" * 5000)], "cannot be unpacked"),
        ([_member("a", tarfile.GNUTYPE_SPARSE)], "sparse|not a readable"),
        ([], "The archive is empty"),
        ([_member("./", tarfile.DIRTYPE)], "The archive is empty"),
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

    with pytest.raises(BundleError):
        unpack(path, folder)

    assert list(outside.iterdir()) == []
    assert sorted(tmp_path.iterdir()) == sorted((outside, path))


def _zipped() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        file.writestr("a", "x")
    return buffer.getvalue()


_WHOLE = archive({"a": os.urandom(100_000), "b": b"x"})
_PLAIN = gzip.decompress(_WHOLE)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "empty file"),
        (b"text", "Not a gzipped file"),
        (archive({"a": b"x" * 100})[:60], ""),
        (_WHOLE[:-50_000], "ended before"),
        (_WHOLE[:-4], "ended before"),
        (_WHOLE[:-8] + bytes(8), "CRC"),
        (_WHOLE + b"more", "Not a gzipped file"),
        (_WHOLE + _WHOLE, "it goes on after its end"),
        (gzip.compress(_PLAIN[:100_000], mtime=0), "unexpected end of data"),
        (gzip.compress(_PLAIN[:512] + b"\1" * 512 + _PLAIN[512:], mtime=0), ""),
        (gzip.compress(b"", mtime=0), "empty"),
        (_PLAIN, "it is not compressed with gzip"),
        (_zipped(), "it is a zip file"),
        (bz2.compress(_PLAIN), "it is compressed with bzip2"),
    ],
)
def test_an_archive_that_cannot_be_read(
    tmp_path: Path, folder: Path, content: bytes, reason: str
) -> None:
    with pytest.raises(BundleError, match=rf"not a readable \.tar\.gz: .*{reason}"):
        unpack(_write(tmp_path, content), folder)
    assert manifest_bytes(tmp_path / "bundle.tar.gz") is None
    assert [path.name for path in tmp_path.iterdir()] == ["bundle.tar.gz"]


def test_a_gzip_file_of_several_parts(tmp_path: Path, folder: Path) -> None:
    parts = (_PLAIN[:700], _PLAIN[700:50_000], _PLAIN[50_000:])

    unpack(_write(tmp_path, b"".join(map(gzip.compress, parts)) + bytes(512)), folder)

    assert (folder / "b").read_bytes() == b"x"


def test_an_archive_that_would_fill_the_disk(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archives, "_FREE", 1 << 20)
    zeros = archive({"a": bytes(32 << 20)})
    assert len(zeros) * 200 < 32 << 20

    with pytest.raises(BundleError, match="unpacks to more than 1 MiB and 200 times its size"):
        unpack(_write(tmp_path, zeros), folder)

    assert not folder.exists()


def test_hard_links_that_would_fill_the_disk(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archives, "_FREE", 1 << 20)
    large = _member("large")
    large.size = 1 << 17
    links = [_member(f"link-{number}", tarfile.LNKTYPE, "large") for number in range(8)]

    with pytest.raises(BundleError, match="unpacks to more than"):
        unpack(_members(tmp_path, large, *links), folder)


def test_a_long_chain_of_hard_links(tmp_path: Path, folder: Path) -> None:
    chain = [_member(f"{one}", tarfile.LNKTYPE, f"{one + 1}") for one in range(300)]
    root = unpack(_members(tmp_path, *chain, _member("300")), folder)
    assert all((root / f"{one}").read_bytes() == b"x" for one in range(300))


def test_too_many_files(tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, "MOST_NAMES", 10)
    path = _members(tmp_path, *(_member(f"{number}/f") for number in range(6)))

    with pytest.raises(BundleError, match="more than 10 files"):
        unpack(path, folder)


@pytest.mark.parametrize("keyword", ["comment", "path", "GNU.sparse.map", "size"])
def test_headers_are_not_read_without_bound(tmp_path: Path, folder: Path, keyword: str) -> None:
    member = _member("a")
    member.pax_headers = {keyword: "1" * (1 << 20)}

    with pytest.raises(BundleError, match="A header in the archive is too large"):
        unpack(_members(tmp_path, member), folder)


@pytest.mark.parametrize("size", ["-1", "-512", "9" * 30, "9" * 5000, "x"])
def test_a_size_that_is_none(tmp_path: Path, folder: Path, size: str) -> None:
    member = _member("a")
    member.pax_headers = {"size": size}

    with pytest.raises(BundleError):
        unpack(_members(tmp_path, member, _member("b")), folder)


def test_what_is_passed_over_has_an_end(tmp_path: Path) -> None:
    member = _member("a", b"z")
    member.pax_headers = {"size": str(1 << 60)}

    assert manifest_bytes(_members(tmp_path, member)) is None


def test_unpacking_is_stopped(tmp_path: Path, folder: Path) -> None:
    stop = threading.Event()
    stop.set()
    path = _write(tmp_path, _WHOLE)

    with pytest.raises(BundleError, match="was stopped"):
        unpack(path, folder, stop)

    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("number", "why"),
    [(errno.EEXIST, "cannot tell it apart"), (errno.EILSEQ, "cannot hold such a name")],
)
def test_a_name_that_a_file_system_refuses(number: int, why: str) -> None:
    with pytest.raises(BundleError, match=why), archives._writing("a"):  # noqa: SLF001
        raise OSError(number, "refused", "a")


_NAMES = st.lists(
    st.sampled_from(["a", "b", "A", ".", "..", "", "ä", "é", "c" * 256, "manifest.json"])
    | st.text(max_size=5),
    max_size=6,
).map("/".join)
_KINDS = st.sampled_from(
    [tarfile.REGTYPE] * 4
    + [tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE]
    + [tarfile.GNUTYPE_SPARSE, tarfile.XHDTYPE, tarfile.GNUTYPE_LONGNAME, b"z"]
)
_PAX = st.dictionaries(
    st.sampled_from(["path", "linkpath", "size", "GNU.sparse.major", "GNU.sparse.map", "mtime"]),
    st.text(max_size=5) | st.integers().map(str) | _NAMES,
    max_size=3,
)


@st.composite
def _any_member(draw: st.DrawFn) -> tuple[tarfile.TarInfo, bytes]:
    content = draw(st.binary(max_size=2000))
    member = _member(draw(_NAMES), draw(_KINDS), draw(_NAMES))
    member.size = len(content)
    member.mode = draw(st.integers(0, 0o7777))
    member.pax_headers = draw(_PAX)
    return member, content


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(_any_member(), max_size=6), st.binary(max_size=20), st.integers(0, 20_000))
def test_any_archive(
    members: list[tuple[tarfile.TarInfo, bytes]], damage: bytes, where: int
) -> None:
    """Whatever is in an archive: BundleError or a bundle, and nothing outside of the folder."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", errors="surrogatepass") as tar:
        for member, content in members:
            tar.addfile(member, io.BytesIO(content))
    plain = bytearray(buffer.getvalue())
    plain[where : where + len(damage)] = damage
    with tempfile.TemporaryDirectory() as name:
        path = _write(Path(name), gzip.compress(plain, 1))
        folder = Path(name) / "unpacked"
        try:
            root = unpack(path, folder)
        except BundleError:
            assert not folder.exists()
        else:
            assert root.is_relative_to(folder)
            real = [file.resolve(strict=True) for file in folder.rglob("*")]
            assert all(file.is_relative_to(folder.resolve()) for file in real)
        assert {each.name for each in Path(name).iterdir()} <= {"unpacked", path.name}
        with suppress(BundleError):
            manifest_bytes(path)


def test_the_manifest_is_read_at_any_position(tmp_path: Path) -> None:
    files = {"deep/er/manifest.json": b"no", "a": b"", "manifest.json": b"yes"}

    assert manifest_bytes(_write(tmp_path, archive(files))) == b"yes"
    assert manifest_bytes(_write(tmp_path, archive(files, top="top/"))) == b"yes"
    assert manifest_bytes(_write(tmp_path, archive(files, top="top/in/it/"))) == b"yes"
    assert manifest_bytes(_write(tmp_path, archive({"a": b""}))) is None


@pytest.mark.parametrize("top", ["", "top/"])
def test_a_manifest_is_not_read_without_bound(tmp_path: Path, top: str) -> None:
    path = _write(tmp_path, archive({"manifest.json": bytes(LARGEST_MANIFEST + 1)}, top=top))

    with pytest.raises(BundleError, match=r"manifest\.json is larger than 16 MiB"):
        manifest_bytes(path)
