from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import tarfile
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from support.bundles import Archive, Heard, in_memory, manifest_of, md5, members_of, write_files

from hatch_connect.bundle.archive import ContentFile
from hatch_connect.bundle.bundle import Bundle, BundleContents
from hatch_connect.bundle.manifest import Manifest, ManifestMetadata
from hatch_connect.errors import BundleError

if TYPE_CHECKING:
    from pathlib import Path

FILES = {"index.html": b"<p>", "a/data.csv": b"1,2\n"}

MANIFEST = Manifest(metadata=ManifestMetadata(app_mode="static", entrypoint="index.html"))
FILES_OF_FOLDER = {"report.Rmd": b"---\n", "data/x.csv": b"1\n"}


def refused(path: Path, tmp_path: Path) -> str:
    with pytest.raises(BundleError) as caught:
        Bundle.open(path, into=tmp_path / "into")
    return str(caught.value)


def test_the_manifest_may_be_anywhere(tmp_path: Path) -> None:
    archive = Archive.of(FILES)
    first = Bundle.open(archive.write(tmp_path / "1.tar.gz"), into=tmp_path)
    archive.members.reverse()
    last = Bundle.open(archive.write(tmp_path / "2.tar.gz"), into=tmp_path)
    assert first.manifest == last.manifest
    assert first.digest == last.digest
    assert first.md5 == md5((tmp_path / "1.tar.gz").read_bytes())


@pytest.mark.parametrize("top", ["", "./", "project-1.0/"])
def test_a_single_top_folder_is_collapsed(tmp_path: Path, top: str) -> None:
    bundle = Bundle.open(Archive.of(FILES, top=top).write(tmp_path / "b.tar.gz"), into=tmp_path)
    bundle.extract(tmp_path / "out")
    assert (tmp_path / "out" / "a" / "data.csv").read_bytes() == b"1,2\n"
    assert [path for path, _ in bundle.sizes] == ["a/data.csv", "index.html", "manifest.json"]


def test_folders_may_be_members(tmp_path: Path) -> None:
    archive = Archive.of(FILES).add("a", type=tarfile.DIRTYPE).add("./", type=tarfile.DIRTYPE)
    bundle = Bundle.open(archive.write(tmp_path / "b.tar.gz"), into=tmp_path)
    assert len(bundle.manifest.files) == 2


def test_a_manifest_that_lists_itself(tmp_path: Path) -> None:
    manifest = manifest_of({**FILES, "manifest.json": b"old"})
    archive = Archive.of(FILES)
    archive.members[0] = Archive().add("manifest.json", json.dumps(manifest).encode()).members[0]
    assert Bundle.open(archive.write(tmp_path / "b.tar.gz"), into=tmp_path).size > 0


def test_a_link_to_a_file_of_the_archive_is_that_file(tmp_path: Path) -> None:
    files = {**FILES, "b/copy.csv": b"1,2\n", "hard.csv": b"1,2\n"}
    archive = Archive.of(files)
    archive.members = [m for m in archive.members if m[0].name not in {"b/copy.csv", "hard.csv"}]
    archive.add("b/copy.csv", type=tarfile.SYMTYPE, linkname="../a/data.csv")
    archive.add("hard.csv", type=tarfile.LNKTYPE, linkname="a/data.csv")
    bundle = Bundle.open(archive.write(tmp_path / "b.tar.gz"), into=tmp_path)
    bundle.extract(tmp_path / "out")
    copy = tmp_path / "out" / "b" / "copy.csv"
    assert copy.read_bytes() == b"1,2\n"
    assert not copy.is_symlink()
    assert (tmp_path / "out" / "hard.csv").read_bytes() == b"1,2\n"


@pytest.mark.parametrize(
    ("name", "attributes", "said"),
    [
        ("/etc/cron", {}, "its path is absolute"),
        ("../up", {}, "leads elsewhere"),
        ("a/../../up", {}, "leads elsewhere"),
        ("..", {"type": tarfile.DIRTYPE}, "leads elsewhere"),
        ("a\\b", {}, "backslash"),
        ("a\nb", {}, "line break"),
        ("index.html", {}, "twice"),
        ("index.html/x", {}, "it is both a file and a folder"),
        ("dev", {"type": tarfile.CHRTYPE}, "neither a file nor a folder"),
        ("fifo", {"type": tarfile.FIFOTYPE}, "neither a file nor a folder"),
        ("l", {"type": tarfile.SYMTYPE, "linkname": "/etc/passwd"}, "does not lead to a file"),
        ("l", {"type": tarfile.SYMTYPE, "linkname": "../x"}, "does not lead to a file"),
        ("l", {"type": tarfile.SYMTYPE, "linkname": "l"}, "does not lead to a file"),
        ("l", {"type": tarfile.LNKTYPE, "linkname": "../x"}, "does not lead to a file"),
    ],
)
def test_a_hostile_member(tmp_path: Path, name: str, attributes: dict[str, Any], said: str) -> None:
    path = Archive.of(FILES).add(name, **attributes).write(tmp_path / "b.tar.gz")
    assert said in refused(path, tmp_path)


def test_files_that_are_not_what_was_listed(tmp_path: Path) -> None:
    archive = Archive.of({**FILES, "gone": b""})
    archive.members = [m for m in archive.members if m[0].name not in {"gone", "index.html"}]
    archive.add("index.html", b"changed")
    said = refused(archive.write(tmp_path / "b.tar.gz"), tmp_path)
    assert "does not contain 1 file(s) that its manifest.json lists:\n  - gone" in said


@pytest.mark.parametrize("top", ["", "project-1.0/"])
def test_an_archive_is_taken_as_the_server_takes_it(tmp_path: Path, top: str) -> None:
    """Official clients write archives with other checksums, or list none of their files."""
    archive = Archive.of(FILES, top=top)
    same = Bundle.open(archive.write(tmp_path / "1.tgz"), into=tmp_path)
    archive.members = [m for m in archive.members if m[0].name != f"{top}index.html"]
    archive.add(f"{top}index.html", b"changed").add(f"{top}extra/.hidden", b"1")
    heard = Heard()
    path = archive.write(tmp_path / "2.tgz")
    bundle = Bundle.open(path, into=tmp_path, report=heard)
    assert bundle.path == path
    assert bundle.manifest == same.manifest
    assert "Changed since manifest.json was written: index.html." in heard.text
    assert "extra" not in heard.text
    assert bundle.digest != same.digest
    listed = {file.path: file.checksum for file in bundle.manifest.files}
    assert same.checksums() == listed
    files = {"index.html": b"changed", "extra/.hidden": b"1"}
    sums = {n: hashlib.md5(data, usedforsecurity=False).hexdigest() for n, data in files.items()}
    assert bundle.checksums() == listed | sums


def test_a_link_to_a_folder_or_another_link_is_followed(tmp_path: Path) -> None:
    archive = Archive.of({**FILES, "b/data.csv": b"1,2\n", "z.csv": b"1,2\n"})
    archive.members = [m for m in archive.members if m[0].name not in {"b/data.csv", "z.csv"}]
    archive.add("z.csv", type=tarfile.SYMTYPE, linkname="b/data.csv")
    archive.add("b", type=tarfile.SYMTYPE, linkname="a")
    bundle = Bundle.open(archive.write(tmp_path / "b.tgz"), into=tmp_path)
    sums = bundle.checksums()
    assert sums["z.csv"] == sums["b/data.csv"] == sums["a/data.csv"]


def test_no_manifest(tmp_path: Path) -> None:
    path = Archive().add("x/a").add("y/manifest.json", b"{}").write(tmp_path / "b.tar.gz")
    assert "there is no manifest.json at its root" in refused(path, tmp_path)


def test_a_damaged_archive(tmp_path: Path) -> None:
    whole = Archive.of({"a": os.urandom(5000)}).write(tmp_path / "b.tar.gz").read_bytes()
    path = tmp_path / "c.tar.gz"
    for damage in (whole[:-2000], whole[:-1], whole + b"junk", b"", b"no archive", whole[:50]):
        path.write_bytes(damage)
        assert "not a complete gzip-compressed tar archive" in refused(path, tmp_path)
    flipped = bytearray(whole)
    flipped[-6] ^= 255
    path.write_bytes(flipped)
    assert "not a complete" in refused(path, tmp_path)


def test_an_archive_that_cannot_be_read(tmp_path: Path) -> None:
    assert "cannot be read" in refused(tmp_path / "none.tar.gz", tmp_path)


def test_an_archive_that_would_fill_the_disk(tmp_path: Path) -> None:
    path = tmp_path / "bomb.tar.gz"
    size = 400 << 20
    with gzip.open(path, "wb", compresslevel=1) as zipped:
        zipped.write(Archive().add("zeros", b"").members[0][0].tobuf()[:0])
        info = tarfile.TarInfo("zeros")
        info.size = size
        zipped.write(info.tobuf())
        block = bytes(1 << 20)
        for _ in range(size >> 20):
            zipped.write(block)
    assert path.stat().st_size < 4 << 20
    assert "unpacks to more than 200 times its size" in refused(path, tmp_path)


def test_a_manifest_that_is_too_large_to_be_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hatch_connect.bundle.bundle._LARGEST_MANIFEST", 10)
    assert "larger than" in refused(Archive.of(FILES).write(tmp_path / "b.tar.gz"), tmp_path)


def test_more_members_than_anybody_has(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hatch_connect.bundle.bundle._MOST_MEMBERS", 2)
    assert "more than 2 files" in refused(Archive.of(FILES).write(tmp_path / "b.tar.gz"), tmp_path)


def test_a_sparse_member_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "b.tar.gz"
    info = tarfile.TarInfo("sparse")
    info.type = tarfile.GNUTYPE_SPARSE
    with gzip.open(path, "wb") as zipped, tarfile.open(fileobj=zipped, mode="w") as archive:
        archive.addfile(info, io.BytesIO())
    assert "neither a file nor a folder" in refused(path, tmp_path)


def written(tmp_path: Path) -> Bundle:
    return Bundle.write(tmp_path / "b.tar.gz", MANIFEST, in_memory(FILES))


def test_a_folder_is_the_bundle_unpacked(tmp_path: Path) -> None:
    bundle = written(tmp_path)
    bundle.extract(tmp_path / "deep" / "out")
    out = tmp_path / "deep" / "out"
    found = {p.relative_to(out).as_posix(): p.read_bytes() for p in out.rglob("*") if p.is_file()}
    assert found == members_of(bundle.path)
    assert [p.name for p in out.parent.iterdir()] == ["out"]


def test_a_folder_is_what_unpacking_the_archive_gives(tmp_path: Path) -> None:
    source = write_files(tmp_path / "source", {"run.sh": "#!/bin/sh", "large": "x" * 1_000_000})
    files = (
        *in_memory(FILES),
        ContentFile(path="bin/run.sh", source=source / "run.sh", size=9, executable=True),
        ContentFile(path="large", source=source / "large", size=1_000_000),
    )
    packed = Bundle.write(tmp_path / "b.tgz", MANIFEST, files)
    packed.extract(tmp_path / "unpacked")
    folder = Bundle.write_folder(tmp_path / "deep" / "folder", MANIFEST, files)

    def found(root: Path) -> dict[str, tuple[int, bytes]]:
        return {
            path.relative_to(root).as_posix(): (path.stat().st_mode, path.read_bytes())
            for path in root.rglob("*")
            if path.is_file()
        }

    assert found(folder.path) == found(tmp_path / "unpacked")
    described = BundleContents.of(MANIFEST, files)
    for each in (folder, packed, Bundle.open(packed.path, into=tmp_path)):
        assert each.manifest == described.manifest
        assert (each.digest, each.identity) == (described.digest, described.identity)
        assert each.sizes == described.sizes
    assert folder.size == sum(size for _, size in packed.sizes)
    assert (folder.path / "large").stat().st_nlink == 1
    assert [path.name for path in folder.path.parent.iterdir()] == ["folder"]


def test_a_program_makes_it_another_one() -> None:
    """The manifest does not say which files can be run."""
    file = ContentFile(path="a", source=b"1", size=1)
    bare = BundleContents.of(MANIFEST, [file])
    program = BundleContents.of(MANIFEST, [replace(file, executable=True)])
    assert bare.digest == program.digest
    assert bare.identity != program.identity


def test_a_folder_stays_if_a_file_cannot_be_read(tmp_path: Path) -> None:
    out = Bundle.write_folder(tmp_path / "out", MANIFEST, in_memory(FILES)).path
    gone = ContentFile(path="gone", source=tmp_path / "gone", size=1)
    with pytest.raises(BundleError, match="gone cannot be read: No such file"):
        Bundle.write_folder(out, MANIFEST, (*in_memory({"new": b""}), gone))
    assert {path.name for path in out.iterdir()} == {"a", "index.html", "manifest.json"}
    assert list(tmp_path.iterdir()) == [out]


def test_a_folder_of_others_is_not_overwritten(tmp_path: Path) -> None:
    out = write_files(tmp_path / "out", {"mine.txt": ""})
    with pytest.raises(BundleError, match=r"contains files that are not from a bundle \(mine"):
        Bundle.write_folder(out, MANIFEST, in_memory(FILES))
    assert [path.name for path in out.iterdir()] == ["mine.txt"]
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(BundleError, match="cannot be written"):
        Bundle.write_folder(tmp_path / "file" / "out", MANIFEST, in_memory(FILES))


def test_what_was_unpacked_before_is_replaced(tmp_path: Path) -> None:
    out = write_files(tmp_path / "out", {"manifest.json": json.dumps(manifest_of({"x": b"x"}))})
    (out / "x").write_bytes(b"x")
    written(tmp_path).extract(out)
    assert not (out / "x").exists()
    assert (out / "index.html").exists()


@pytest.mark.parametrize("files", [{"mine.txt": ""}, {"manifest.json": "{}", "mine.txt": ""}])
def test_files_of_others_are_not_overwritten(tmp_path: Path, files: dict[str, str]) -> None:
    out = write_files(tmp_path / "out", files)
    with pytest.raises(BundleError, match=r"contains files that are not from a bundle \(mine"):
        written(tmp_path).extract(out)
    assert (out / "mine.txt").exists()
    assert not (out / "index.html").exists()


def test_a_file_where_the_folder_goes(tmp_path: Path) -> None:
    (tmp_path / "out").write_bytes(b"")
    with pytest.raises(BundleError):
        written(tmp_path).extract(tmp_path / "out")


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(BundleError, match="cannot be written"):
        written(tmp_path).extract(tmp_path / "file" / "out")


def prepared(root: Path) -> Path:
    data = manifest_of(FILES_OF_FOLDER, platform="4.3.1")
    write_files(root, FILES_OF_FOLDER)
    (root / "manifest.json").write_text(json.dumps(data, indent=4), encoding="utf-8")
    return root


@pytest.mark.parametrize("named", [".", "manifest.json"])
def test_content_made_elsewhere_ships_as_it_is(tmp_path: Path, named: str) -> None:
    root = prepared(tmp_path / "report")
    write_files(root, {"notes.txt": "not listed", ".Rhistory": ""})
    heard = Heard()
    bundle = Bundle.open(root / named, into=tmp_path / "into", report=heard)
    assert bundle.path.parent == tmp_path / "into"
    assert bundle.path.name.startswith("report-")
    manifest = (root / "manifest.json").read_bytes()
    assert members_of(bundle.path) == {**FILES_OF_FOLDER, "manifest.json": manifest}
    assert bundle.manifest.unread == (("platform", '"4.3.1"'),)
    assert heard.events


def test_a_relative_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from pathlib import Path as AnyPath

    monkeypatch.chdir(prepared(tmp_path / "report"))
    bundle = Bundle.open(AnyPath("manifest.json"), into=tmp_path)
    assert bundle.path.name.startswith("report-")


def test_a_link_inside_ships_what_it_leads_to(tmp_path: Path) -> None:
    root = prepared(tmp_path / "report")
    (root / "data" / "x.csv").rename(root / "real.csv")
    (root / "data" / "x.csv").symlink_to("../real.csv")
    bundle = Bundle.open(root, into=tmp_path / "into")
    assert members_of(bundle.path)["data/x.csv"] == b"1\n"


def refused_folder(root: Path, tmp_path: Path) -> str:
    with pytest.raises(BundleError) as caught:
        Bundle.open(root, into=tmp_path / "into")
    into = tmp_path / "into"
    assert not into.exists() or list(into.iterdir()) == []
    return str(caught.value)


def test_listed_files_must_be_there_and_inside(tmp_path: Path) -> None:
    root = prepared(tmp_path / "report")
    (tmp_path / "outside").write_bytes(b"1\n")
    (root / "data" / "x.csv").unlink()
    (root / "data" / "x.csv").symlink_to(tmp_path / "outside")
    (root / "report.Rmd").unlink()
    said = refused_folder(root, tmp_path)
    assert "2 problem(s)" in said
    assert "report.Rmd does not exist" in said
    assert "data/x.csv is a link that leads out of the folder" in said


def test_a_file_that_was_edited_since_ships_and_is_named(tmp_path: Path) -> None:
    root = prepared(tmp_path / "report")
    before = Bundle.open(root, into=tmp_path / "1")
    (root / "report.Rmd").write_bytes(b"changed")
    heard = Heard()
    after = Bundle.open(root, into=tmp_path / "2", report=heard)
    assert members_of(after.path)["report.Rmd"] == b"changed"
    assert "Changed since manifest.json was written: report.Rmd." in heard.text
    assert before.manifest == after.manifest
    assert before.digest != after.digest


@pytest.mark.parametrize("key", ["version", "files", "checksum"])
def test_a_manifest_that_lacks_what_the_server_does_not_ask_for(tmp_path: Path, key: str) -> None:
    root = prepared(tmp_path / "report")
    data = json.loads((root / "manifest.json").read_text("utf-8"))
    for table in (data, *data["files"].values()):
        table.pop(key, None)
    (root / "manifest.json").write_text(json.dumps(data), encoding="utf-8")
    heard = Heard()
    bundle = Bundle.open(root, into=tmp_path / "into", report=heard)
    assert set(members_of(bundle.path)) == {"manifest.json", *data.get("files", ())}
    assert "Edited" not in heard.text


def test_a_folder_that_is_listed_as_a_file(tmp_path: Path) -> None:
    root = prepared(tmp_path / "report")
    (root / "report.Rmd").unlink()
    (root / "report.Rmd").mkdir()
    assert "report.Rmd is not a file" in refused_folder(root, tmp_path)


@pytest.mark.parametrize("path", ["../x", "/etc/passwd", "a\\b"])
def test_a_path_that_leads_elsewhere(tmp_path: Path, path: str) -> None:
    root = prepared(tmp_path / "report")
    data = json.loads((root / "manifest.json").read_text("utf-8"))
    data["files"][path] = {"checksum": "0" * 32}
    (root / "manifest.json").write_text(json.dumps(data), encoding="utf-8")
    assert "lists files that its folder does not contain" in refused_folder(root, tmp_path)


def test_a_folder_without_a_manifest(tmp_path: Path) -> None:
    said = refused_folder(write_files(tmp_path / "x", {"a": ""}), tmp_path)
    assert "cannot be read" in said
    assert "Use a bundle" in said
