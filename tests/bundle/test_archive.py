from __future__ import annotations

import gzip
import io
import os
import random
import signal
import subprocess
import sys
import tarfile
import tracemalloc
import zlib
from pathlib import Path
from typing import IO, Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from support.bundles import Heard, in_memory, md5, members_of

from hatch_connect.bundle import archive
from hatch_connect.bundle.archive import (
    ContentFile,
    _header,
    check_names,
    pack,
    shown,
    unsafe,
)
from hatch_connect.bundle.bundle import Bundle
from hatch_connect.bundle.manifest import Manifest, ManifestMetadata
from hatch_connect.errors import BundleError
from hatch_connect.events import Progress, silent

MANIFEST = Manifest(metadata=ManifestMetadata(app_mode="static", entrypoint="index.html"))
FILES = {"index.html": b"<p>", "a/data.csv": b"1,2\n" * 100, "naïve " + "n" * 200: b""}


@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("/etc/passwd", "absolute"),
        ("C:/x", "absolute"),
        ("a/../b", "leads elsewhere"),
        ("./a", "leads elsewhere"),
        ("a//b", "leads elsewhere"),
        ("a/", "leads elsewhere"),
        ("", "leads elsewhere"),
        ("a\\b", "backslash"),
        ("a\nb", "line break"),
        ("a\x7f", "control character"),
        ("a\udcff", "not UTF-8"),
        ("é" * 128, "longer than 255 bytes"),
    ],
)
def test_a_path_that_no_bundle_can_hold(path: str, why: str) -> None:
    assert why in (unsafe(path) or "")


@pytest.mark.parametrize("path", ["a", "a b/c.d", "trailing.", "naïve/日本.txt", "x" * 255, ".h"])
def test_a_path_that_any_bundle_can_hold(path: str) -> None:
    assert unsafe(path) is None
    check_names([path])


@pytest.mark.parametrize(
    "paths",
    [
        ("a/Read.me", "a/READ.me"),
        ("caf\u00e9", "cafe\u0301"),
        ("straße", "STRASSE"),
        ("a", "a/b"),
        ("A/x/y", "a"),
    ],
)
def test_paths_that_some_systems_cannot_tell_apart(paths: tuple[str, ...]) -> None:
    with pytest.raises(BundleError, match="cannot be in a bundle"):
        check_names(paths)


def test_all_problems_are_told_at_once_but_no_thousands() -> None:
    with pytest.raises(BundleError) as caught:
        check_names([f"a\n{n:02}" for n in range(30)])
    assert "'a\\n00': its name contains a line break" in caught.value.message
    assert "'a\\n09'" in caught.value.message
    assert "and 20 more" in caught.value.message
    assert caught.value.message.count("\n") == 11


def test_a_name_is_never_shown_raw() -> None:
    assert shown("\x1b[31mred") == r"'\x1b[31mred'"
    assert shown("naïve.txt") == "naïve.txt"


@given(st.text())
def test_every_name_is_judged_and_can_be_shown(path: str) -> None:
    unsafe(path)
    assert shown(path).isprintable()


def test_an_archive_is_what_a_server_expects(tmp_path: Path) -> None:
    bundle = Bundle.write(tmp_path / "b.tar.gz", MANIFEST, in_memory(FILES))
    with tarfile.open(bundle.path) as content:
        members = content.getmembers()
    assert [m.name for m in members] == [*sorted(FILES), "manifest.json"]
    for m in members:
        assert (m.uid, m.gid, m.uname, m.gname, m.mode) == (0, 0, "", "", 0o644)
        assert m.mtime == 1580601600
        assert m.isreg()
    assert members_of(bundle.path)["manifest.json"] == bundle.manifest.to_json()
    listed = {file.path: file.checksum for file in bundle.manifest.files}
    assert listed == {path: md5(text) for path, text in FILES.items()}


def test_the_values_of_a_bundle_are_those_of_the_file(tmp_path: Path) -> None:
    bundle = Bundle.write(tmp_path / "b.tar.gz", MANIFEST, in_memory(FILES))
    assert bundle.size == bundle.path.stat().st_size
    assert bundle.md5 == md5(bundle.path.read_bytes())
    assert bundle == Bundle.open(bundle.path, into=tmp_path)
    assert bundle.sizes == (
        *sorted((path, len(text)) for path, text in FILES.items() if path < "manifest.json"),
        ("manifest.json", len(bundle.manifest.to_json())),
        ("naïve " + "n" * 200, 0),
    )


def test_the_same_files_give_the_same_bytes(tmp_path: Path) -> None:
    source = tmp_path / "data"
    source.write_bytes(b"x" * 5000)
    file = ContentFile(path="data", source=source, size=5000)
    first = Bundle.write(tmp_path / "1.tar.gz", MANIFEST, (file,))
    os.utime(source, (1, 1))
    source.chmod(0o755)
    second = Bundle.write(tmp_path / "other" / "2.tar.gz", MANIFEST, (file,))
    assert first.path.read_bytes() == second.path.read_bytes()
    assert first.digest == second.digest


def test_the_gzip_header_names_nothing(tmp_path: Path) -> None:
    bundle = Bundle.write(tmp_path / "secret-name.tar.gz", MANIFEST, in_memory(FILES))
    head = bundle.path.read_bytes()[:10]
    assert head[3] == 0  # no name, no comment
    assert head[4:8] == b"\0\0\0\0"  # no time


def test_the_time_of_the_members_can_be_set(tmp_path: Path) -> None:
    bundle = Bundle.write(tmp_path / "b.tar.gz", MANIFEST, in_memory(FILES), epoch=1700000000)
    with tarfile.open(bundle.path) as content:
        assert {m.mtime for m in content} == {1700000000}


def test_names_are_checked_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="backslash"):
        Bundle.write(tmp_path / "b.tar.gz", MANIFEST, in_memory({"a\\b": b""}))
    assert list(tmp_path.iterdir()) == []


def test_progress_is_told_in_steps_and_ends_with_everything(tmp_path: Path) -> None:
    heard = Heard()
    files = {f"{n}": b"x" * 1000 for n in range(1000)}
    Bundle.write(tmp_path / "b.tar.gz", MANIFEST, in_memory(files), report=heard)
    told = [event for event in heard.events if isinstance(event, Progress)]
    assert 50 < len(told) < 150
    assert [t.done for t in told] == sorted(t.done for t in told)
    assert all(t.done < 1_000_000 for t in told[:-1])
    assert told[-1].done == told[-1].total == 1_000_000


class Growing:
    """A report that writes to a file while it is read."""

    def __init__(self, path: Path, change: Any) -> None:  # noqa: ANN401 - any callable
        self.path, self.change = path, change

    def __call__(self, _event: object) -> None:
        self.change(self.path)


@pytest.mark.parametrize(
    "change",
    [
        lambda path: path.write_bytes(b"x" * 3_000_009),
        lambda path: os.truncate(path, 100_000),
    ],
)
def test_a_file_that_changes_while_it_is_read(tmp_path: Path, change: object) -> None:
    big = tmp_path / "log"
    big.write_bytes(b"x" * 3_000_000)
    selection = (ContentFile(path="log", source=big, size=3_000_000),)
    target = tmp_path / "b.tar.gz"
    target.write_bytes(b"earlier")
    with pytest.raises(BundleError, match="log changed while it was being read"):
        Bundle.write(target, MANIFEST, selection, report=Growing(big, change))
    assert target.read_bytes() == b"earlier"
    assert {p.name for p in tmp_path.iterdir()} == {"log", "b.tar.gz"}


def test_a_file_that_vanished(tmp_path: Path) -> None:
    gone = (ContentFile(path="x", source=tmp_path / "x", size=1),)
    with pytest.raises(BundleError, match="x cannot be read: No such file"):
        Bundle.write(tmp_path / "b.tar.gz", MANIFEST, gone)


def test_a_folder_where_a_file_was(tmp_path: Path) -> None:
    folder = (ContentFile(path="x", source=tmp_path, size=1),)
    with pytest.raises(BundleError, match="x cannot be read"):
        Bundle.write(tmp_path / "b.tar.gz", MANIFEST, folder)


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(BundleError, match="cannot be written"):
        Bundle.write(tmp_path / "file" / "b.tar.gz", MANIFEST, in_memory(FILES))


def test_memory_does_not_grow_with_the_files(tmp_path: Path) -> None:
    big = tmp_path / "big"
    big.write_bytes(os.urandom(60_000_000))
    selection = (ContentFile(path="big", source=big, size=60_000_000),)
    tracemalloc.start()
    pack(tmp_path / "b", selection, lambda _: b"{}", epoch=0, report=silent)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 16_000_000


@given(
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=120),
    st.integers(0, 1 << 36),
    st.sampled_from([0o644, 0o755]),
    st.integers(0, 1 << 36),
)
@example("n" * 100, 8**11 - 1, 0o644, 1580601600)
@example("n" * 101, 0, 0o644, 1580601600)
@example("a", 8**11, 0o755, 0)
@example("é", 1, 0o644, 0)
def test_a_header_is_what_tarfile_writes(path: str, size: int, mode: int, epoch: int) -> None:
    member = tarfile.TarInfo(path)
    member.size, member.mode, member.mtime = size, mode, epoch
    assert _header(path, size, mode, epoch) == member.tobuf(tarfile.PAX_FORMAT)


def noise_and_text(size: int) -> bytes:
    """Return bytes that compress to different lengths, the same in every run."""
    noise = random.Random(1).randbytes(size // 2)
    return noise + b"".join(b"%d,%d\n" % (n, n * n) for n in range(size // 20))


def tar_of(files: dict[str, bytes]) -> bytes:
    """Return the archive that tarfile makes of these files, in this order."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for path, text in files.items():
            member = tarfile.TarInfo(path)
            member.size, member.mtime = len(text), 1580601600
            tar.addfile(member, io.BytesIO(text))
    return made.getvalue()


@pytest.mark.parametrize("compressor", ["isal.isal_zlib", "zlib"])
@pytest.mark.parametrize("size", [0, 3_000_000])
def test_the_tar_is_tarfiles_and_threads_do_not_count(
    tmp_path: Path, compressor: str, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive, "deflate", pytest.importorskip(compressor))
    files = {**FILES, "block": bytes(512), "large": noise_and_text(size), "é": b"1"}
    packed = set()
    for threads in (1, 2, 3):
        monkeypatch.setattr(archive, "_THREADS", threads)
        bundle = Bundle.write(tmp_path / "b.tar.gz", MANIFEST, in_memory(files))
        packed.add(bundle.path.read_bytes())
    (content,) = packed
    unzipped = zlib.decompressobj(31)
    shipped = {**dict(sorted(files.items())), "manifest.json": bundle.manifest.to_json()}
    assert unzipped.decompress(content) == tar_of(shipped)
    assert unzipped.eof
    assert unzipped.unused_data == b""  # it was one member


def test_without_isal_there_is_zlib(tmp_path: Path) -> None:
    code = (
        "import sys; sys.modules['isal'] = None\n"
        "from hatch_connect.bundle import archive\n"
        "print(archive.deflate.__name__, archive._LEVEL)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    assert done.stdout.split() == ["zlib", "6"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = Path.open

    def full(path: Path, mode: str = "r", buffering: int = -1) -> IO[Any]:
        if path.suffix == ".partial":
            path.touch()
            return opened(Path("/dev/full"), "wb")
        return opened(path, mode, buffering)

    monkeypatch.setattr(Path, "open", full)
    files = in_memory({**FILES, "large": noise_and_text(3_000_000)})
    with pytest.raises(BundleError, match=r"b\.tar\.gz cannot be written: No space left"):
        Bundle.write(tmp_path / "b.tar.gz", MANIFEST, files)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGINT for one process there")
def test_ctrl_c_leaves_no_partial_file_and_no_thread(tmp_path: Path) -> None:
    code = (
        "import sys\n"
        "from pathlib import Path\n"
        "from hatch_connect.bundle.archive import ContentFile, pack\n"
        "block = bytes(range(256)) * 4096\n"
        "file = ContentFile(path='x', source=block, size=len(block))\n"
        "said = lambda event: print('packing', flush=True)\n"
        "pack(Path(sys.argv[1]), [file] * 100_000, lambda _: b'{}', epoch=0, report=said)\n"
    )
    target = tmp_path / "out" / "b.tar.gz"
    with subprocess.Popen(
        [sys.executable, "-c", code, str(target)], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.send_signal(signal.SIGINT)
        _, told = process.communicate(timeout=120)
    assert process.returncode != 0
    assert told.rstrip().endswith(b"KeyboardInterrupt")
    assert list(target.parent.iterdir()) == []


def test_what_is_compressed_is_one_gzip_member(tmp_path: Path) -> None:
    bundle = Bundle.write(tmp_path / "b.tar.gz", MANIFEST, in_memory(FILES))
    with gzip.open(bundle.path) as content:
        assert len(content.read()) % 10240 == 0
