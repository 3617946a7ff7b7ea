from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from support.bundles import Heard, manifest_of, members_of, write_files

from hatch_connect.bundle.archive import Bundle
from hatch_connect.errors import BundleError

if TYPE_CHECKING:
    from pathlib import Path

FILES = {"report.Rmd": b"---\n", "data/x.csv": b"1\n"}


def prepared(root: Path) -> Path:
    data = manifest_of(FILES, platform="4.3.1")
    write_files(root, FILES)
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
    assert members_of(bundle.path) == {**FILES, "manifest.json": manifest}
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


def refused(root: Path, tmp_path: Path) -> str:
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
    said = refused(root, tmp_path)
    assert "2 problem(s)" in said
    assert "report.Rmd is not there" in said
    assert "data/x.csv is a link that leaves the folder" in said


def test_a_file_that_was_edited_since_ships_and_is_named(tmp_path: Path) -> None:
    root = prepared(tmp_path / "report")
    before = Bundle.open(root, into=tmp_path / "1")
    (root / "report.Rmd").write_bytes(b"changed")
    heard = Heard()
    after = Bundle.open(root, into=tmp_path / "2", report=heard)
    assert members_of(after.path)["report.Rmd"] == b"changed"
    assert "Edited since manifest.json was written: report.Rmd." in heard.text
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
    assert "report.Rmd is not a file" in refused(root, tmp_path)


@pytest.mark.parametrize("path", ["../x", "/etc/passwd", "a\\b"])
def test_a_path_that_leads_elsewhere(tmp_path: Path, path: str) -> None:
    root = prepared(tmp_path / "report")
    data = json.loads((root / "manifest.json").read_text("utf-8"))
    data["files"][path] = {"checksum": "0" * 32}
    (root / "manifest.json").write_text(json.dumps(data), encoding="utf-8")
    assert "lists what its folder does not hold" in refused(root, tmp_path)


def test_a_folder_without_a_manifest(tmp_path: Path) -> None:
    said = refused(write_files(tmp_path / "x", {"a": ""}), tmp_path)
    assert "cannot be read" in said
    assert "Name a bundle" in said
