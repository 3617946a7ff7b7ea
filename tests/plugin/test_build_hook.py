"""The build hook, run by every front end that runs build hooks."""

from __future__ import annotations

import json
import tarfile
import zipfile
from typing import TYPE_CHECKING, Any

import pytest
from support.bundles import md5, members_of
from support.projects import APP, CONNECT, PACKAGE, project
from support.sandbox import REPOSITORY, Finished, Sandbox

from hatch_connect.bundle.bundle import Bundle

if TYPE_CHECKING:
    from pathlib import Path

FLAT = {"sales_api/__init__.py": "", "sales_api/main.py": APP}
EVERYWHERE = "[tool.hatch.build.hooks.connect]\n"
SYSTEM = (
    f'[build-system]\nrequires = ["hatchling", "hatch-connect @ {REPOSITORY.as_uri()}"]\n'
    'build-backend = "hatchling.build"\n'
)
SDIST = "sales_api-1.2.0.tar.gz"
WHEEL = "sales_api-1.2.0-py3-none-any.whl"
IN_WHEEL = "sales_api-1.2.0.dist-info/extra_metadata/connect/"


def hatchling(sandbox: Sandbox, root: Path, *arguments: str) -> Finished:
    done = sandbox.python("-m", "hatchling", "build", *arguments, cwd=root)
    assert done.code == 0, done.said
    return done


def describes(manifest: dict[str, Any], files: dict[str, bytes], *, besides: set[str]) -> None:
    """Check that a manifest lists exactly these files."""
    listed = {path: entry["checksum"] for path, entry in manifest["files"].items()}
    assert listed == {path: md5(text) for path, text in files.items() if path not in besides}


def in_wheel(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as wheel:
        return {name: wheel.read(name) for name in wheel.namelist()}


def check_wheel(path: Path) -> None:
    files = in_wheel(path)
    manifest = json.loads(files[IN_WHEEL + "manifest.json"])
    info = "sales_api-1.2.0.dist-info"
    besides = {
        IN_WHEEL + "manifest.json",
        *(f"{info}/{n}" for n in ("METADATA", "WHEEL", "RECORD")),
    }
    describes(manifest, files, besides=besides)
    package_file = manifest["python"]["package_manager"]["package_file"]
    assert files[package_file] == b"fastapi==0.115.0\n"
    assert {name.split("/")[0] for name in files} == {"sales_api", info}


def test_a_flat_source_distribution_is_a_bundle(tmp_path: Path, sandbox: Sandbox) -> None:
    done = hatchling(sandbox, project(tmp_path, FLAT, more=EVERYWHERE), "-t", "sdist")
    assert "cannot be deployed" not in done.said
    bundle = Bundle.open(tmp_path / "dist" / SDIST, into=tmp_path)
    assert bundle.top == "sales_api-1.2.0/"
    assert bundle.manifest.metadata.entrypoint == "sales_api.main:app"
    listed = {file.path for file in bundle.manifest.files}
    assert {"requirements.txt", ".python-version", "sales_api/main.py", "PKG-INFO"} <= listed


def test_a_src_layout_is_described_and_the_log_says_what_to_do(
    tmp_path: Path, sandbox: Sandbox
) -> None:
    key = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIJ+DYvh6SEqVTm50DFtMDoQikTmiCqirVv9m\n"
    secrets = {".env": "X=1", "SERVER.KEY": "", "tls.yaml": key}
    root = project(tmp_path, {**PACKAGE, **secrets}, more=EVERYWHERE)
    done = hatchling(sandbox, root, "-t", "sdist")
    assert "The sdist cannot be deployed as it is" in done.stderr
    assert "`hatch build -t connect`" in done.stderr
    for path in secrets:
        assert f"{path} looks like a secret" in done.stderr
    members = members_of(root / "dist" / SDIST)
    files = {name.removeprefix("sales_api-1.2.0/"): text for name, text in members.items()}
    describes(json.loads(files["manifest.json"]), files, besides={"manifest.json", *secrets})


PYLOCK = (
    'lock-version = "1.0"\ncreated-by = "test"\n[[packages]]\nname = "fastapi"\n'
    'version = "0.115.0"\n[packages.sdist]\nname = "fastapi-0.115.0.tar.gz"\n'
    'url = "https://example.com/fastapi-0.115.0.tar.gz"\n[packages.sdist.hashes]\n'
    f'sha256 = "{"0" * 64}"\n'
)


def test_the_lock_and_the_version_file_are_in_a_narrow_sdist(
    tmp_path: Path, sandbox: Sandbox
) -> None:
    narrow = EVERYWHERE + '[tool.hatch.build.targets.sdist]\nonly-include = ["sales_api"]\n'
    connect = CONNECT + 'lock = "locks/pylock.toml"\n'
    files = {**FLAT, "locks/pylock.toml": PYLOCK}
    root = project(tmp_path / "p", files, more=narrow, connect=connect)
    (root / "requirements.txt").unlink()
    (root / ".python-version").rename(tmp_path / ".python-version")
    sandbox.git("init", "--quiet", cwd=tmp_path)
    hatchling(sandbox, root, "-t", "sdist")
    bundle = Bundle.open(root / "dist" / SDIST, into=tmp_path)
    assert {file.path for file in bundle.manifest.files} == {
        *("PKG-INFO", "pyproject.toml", "requirements.txt", ".python-version"),
        *("locks/pylock.toml", "sales_api/__init__.py", "sales_api/main.py"),
    }
    bundle.extract(tmp_path / "unpacked")
    hatchling(sandbox, tmp_path / "unpacked", "-t", "wheel")
    held = in_wheel(tmp_path / "unpacked" / "dist" / WHEEL)
    assert b"fastapi==0.115.0" in held[IN_WHEEL + "requirements.txt"]


def test_a_wheel_holds_them_in_its_metadata(tmp_path: Path, sandbox: Sandbox) -> None:
    more = "[tool.hatch.build.targets.wheel.hooks.connect]\n"
    root = project(tmp_path, PACKAGE, more=more)
    done = hatchling(sandbox, root, "-t", "wheel")
    assert "cannot be deployed" not in done.said
    check_wheel(root / "dist" / WHEEL)
    hatchling(sandbox, root, "-t", "sdist")
    assert not any("manifest.json" in name for name in members_of(root / "dist" / SDIST))


CUSTOM = """
import os, tarfile
from hatchling.builders.plugin.interface import BuilderInterface
class Builder(BuilderInterface):
    def get_version_api(self):
        return {"standard": self.build_it}
    def build_it(self, directory, **build_data):
        target = os.path.join(directory, "custom.tar.gz")
        with tarfile.open(target, "w:gz") as archive:
            for file in self.recurse_included_files():
                archive.add(file.path, file.distribution_path)
        return target
"""


def test_a_custom_target(tmp_path: Path, sandbox: Sandbox) -> None:
    root = project(tmp_path, {**FLAT, "hatch_build.py": CUSTOM}, more=EVERYWHERE)
    hatchling(sandbox, root, "-t", "custom")
    bundle = Bundle.open(root / "dist" / "custom.tar.gz", into=tmp_path)
    assert bundle.manifest.metadata.app_mode == "python-fastapi"


def test_no_file_is_left_behind(tmp_path: Path, sandbox: Sandbox) -> None:
    root = project(tmp_path / "p", PACKAGE, more=EVERYWHERE)
    before = set(root.rglob("*"))
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    done = sandbox.python("-m", "hatchling", "build", cwd=root, TMPDIR=str(temporary))
    assert done.code == 0, done.said
    after = {p for p in root.rglob("*") if "dist" not in p.parts}
    assert after == before
    assert list(temporary.iterdir()) == []


def test_content_of_its_own_table(tmp_path: Path, sandbox: Sandbox) -> None:
    more = (
        '[tool.hatch-connect.content.docs]\napp-mode = "static"\nentrypoint = "index.html"\n'
        '[tool.hatch.build.targets.sdist.hooks.connect]\ncontent = "docs"\n'
    )
    root = project(tmp_path, {**FLAT, "index.html": ""}, more=more)
    hatchling(sandbox, root, "-t", "sdist")
    bundle = Bundle.open(root / "dist" / SDIST, into=tmp_path)
    assert bundle.manifest.metadata.primary_html == "index.html"
    assert bundle.manifest.python is None


def test_a_hook_that_runs_later_is_named(tmp_path: Path, sandbox: Sandbox) -> None:
    later = '[tool.hatch.build.hooks.version]\npath = "sales_api/_version.py"\n'
    done = hatchling(sandbox, project(tmp_path, FLAT, more=EVERYWHERE + later), "-t", "sdist")
    assert "put it after `version`" in done.stderr


def test_an_error_ends_the_build_with_2_and_no_traceback(tmp_path: Path, sandbox: Sandbox) -> None:
    root = project(tmp_path, PACKAGE, more=EVERYWHERE)
    (root / "requirements.txt").unlink()
    done = sandbox.python("-m", "hatchling", "build", "-t", "sdist", cwd=root)
    assert done.code == 2
    assert "has no lock" in done.stderr
    assert "Traceback" not in done.said


@pytest.mark.registry
def test_build_and_pip_make_the_same_wheel(tmp_path: Path, sandbox: Sandbox) -> None:
    root = project(tmp_path / "p", PACKAGE, system=SYSTEM, more=EVERYWHERE)
    done = sandbox.python("-m", "build", "--installer", "uv", cwd=root)
    assert done.code == 0, done.said
    check_wheel(root / "dist" / WHEEL)
    with tarfile.open(root / "dist" / SDIST) as archive:
        assert "sales_api-1.2.0/manifest.json" in archive.getnames()
    wheels = tmp_path / "wheels"
    done = sandbox.python("-m", "pip", "wheel", ".", "--no-deps", "-w", wheels, cwd=root)
    assert done.code == 0, done.said
    assert (wheels / WHEEL).read_bytes() == (root / "dist" / WHEEL).read_bytes()
    (root / "requirements.txt").unlink()
    sandbox.environment(tmp_path / "venv", "--no-deps", "-e", root)
