from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.projects import APP, CONNECT, PACKAGE, build_one, configuration, project
from support.sandbox import Sandbox, committed

from hatch_connect.bundle.artifact import write_in_place
from hatch_connect.bundle.bundle import Bundle
from hatch_connect.errors import BundleError

if TYPE_CHECKING:
    from hatch_connect.bundle.build_protocol import Built

TREE = CONNECT.replace("sales_api.main", "app")
PYLOCK = (
    'lock-version = "1.0"\ncreated-by = "test"\n[[packages]]\nname = "fastapi"\n'
    'version = "0.115.0"\n[packages.sdist]\nname = "fastapi-0.115.0.tar.gz"\n'
    'url = "https://example.com/fastapi-0.115.0.tar.gz"\n[packages.sdist.hashes]\n'
    f'sha256 = "{"0" * 64}"\n'
)
OFFICIAL = json.loads(
    (Path(__file__).parent / "data" / "official_manifests.json").read_text("utf-8")
)


def locked(root: Path) -> Path:
    """Give a tree whose package list is generated."""
    project(root, {"app.py": APP, "pylock.toml": PYLOCK}, connect=TREE)
    (root / "requirements.txt").unlink()
    return root


def write(root: Path, sandbox: Sandbox) -> tuple[Path, Built]:
    built = build_one(root, sandbox.environ, form="manifest")
    return write_in_place(configuration(root), built), built


def test_the_checkout_becomes_the_bundle(tmp_path: Path, sandbox: Sandbox) -> None:
    root = locked(tmp_path / "p")
    manifest, built = write(root, sandbox)
    assert manifest == root / "manifest.json"
    assert manifest.read_bytes() == built.contents.manifest.to_json()
    assert (root / "requirements.txt").read_text("utf-8").startswith("# Made by hatch-connect")
    again = Bundle.open(manifest, into=tmp_path)
    assert again.digest == built.contents.digest


def test_a_file_of_the_tree_is_read_once(tmp_path: Path, sandbox: Sandbox) -> None:
    root = locked(tmp_path / "p")
    built = build_one(root, sandbox.environ, form="manifest")
    assert built.moved == ("requirements.txt",)
    (root / "app.py").unlink()
    assert write_in_place(configuration(root), built).is_file()


def test_what_we_wrote_is_written_again(tmp_path: Path, sandbox: Sandbox) -> None:
    root = locked(tmp_path / "p")
    write(root, sandbox)
    (root / "app.py").write_text("app = 2\n", encoding="utf-8")
    text = PYLOCK.replace("0.115.0", "0.116.0")
    (root / "pylock.toml").write_text(text, encoding="utf-8")
    manifest, built = write(root, sandbox)
    assert manifest.read_bytes() == built.contents.manifest.to_json()
    assert "0.116.0" in (root / "requirements.txt").read_text("utf-8")


def test_a_requirements_file_that_is_the_lock_stays_as_it_is(
    tmp_path: Path, sandbox: Sandbox
) -> None:
    root = committed(project(tmp_path / "p", {"app.py": APP}, connect=TREE), sandbox)
    write(root, sandbox)
    assert sandbox.git("status", "--short", cwd=root) == "?? manifest.json\n"


def test_static_content_has_no_package_list(tmp_path: Path, sandbox: Sandbox) -> None:
    connect = '[tool.hatch-connect]\napp-mode = "static"\nentrypoint = "index.html"\n'
    root = project(tmp_path / "p", {"index.html": ""}, connect=connect)
    assert write(root, sandbox)[0] == write(root, sandbox)[0]


@pytest.mark.parametrize("text", ["{}", "mine", json.dumps(OFFICIAL["plain"], indent=2)])
def test_a_manifest_of_others_is_not_overwritten(
    tmp_path: Path, sandbox: Sandbox, text: str
) -> None:
    root = locked(tmp_path / "p")
    (root / "manifest.json").write_text(text, encoding="utf-8")
    with pytest.raises(BundleError, match=r"manifest\.json already exists"):
        write(root, sandbox)
    assert (root / "manifest.json").read_text("utf-8") == text
    assert not (root / "requirements.txt").exists()


def test_a_package_list_of_others_is_not_overwritten(tmp_path: Path, sandbox: Sandbox) -> None:
    root = locked(tmp_path / "p")
    (root / "requirements.txt").write_text("fastapi\n", encoding="utf-8")
    with pytest.raises(BundleError, match=r"requirements\.txt already exists"):
        write(root, sandbox)
    assert not (root / "manifest.json").exists()


def test_a_package_in_src_cannot_be_in_place(tmp_path: Path, sandbox: Sandbox) -> None:
    files = {**PACKAGE, **{f"src/sales_api/m{n}.py": "" for n in range(9)}}
    with pytest.raises(BundleError) as caught:
        write(project(tmp_path / "p", files), sandbox)
    assert "creates or moves" in caught.value.message
    assert "and 6 more" in caught.value.message
    assert "Without --in-place" in str(caught.value)


def test_a_package_beside_pyproject_is_in_place_but_for_its_metadata(
    tmp_path: Path, sandbox: Sandbox
) -> None:
    files = {name.removeprefix("src/"): text for name, text in PACKAGE.items()}
    manifest, built = write(project(tmp_path / "p", files), sandbox)
    written = json.loads(manifest.read_text("utf-8"))
    shipped = {file.path for file in built.contents.manifest.files}
    assert shipped - set(written["files"]) == {"sales_api-1.2.0.dist-info/METADATA"}
    assert "sales_api/main.py" in written["files"]


def test_a_folder_that_becomes_the_root_gets_the_manifest(tmp_path: Path, sandbox: Sandbox) -> None:
    connect = '[tool.hatch-connect]\napp-mode = "html"\n'
    root = project(tmp_path / "p", {"site/index.html": ""}, connect=connect, system="")
    manifest, built = write(root, sandbox)
    assert manifest == root / "site" / "manifest.json"
    assert manifest.read_bytes() == built.contents.manifest.to_json()
    assert write(root, sandbox)[1].contents.digest == built.contents.digest
