"""Packages that no index has, in the bundle as files."""

from __future__ import annotations

import io
import json
import tarfile
import zipfile
from typing import TYPE_CHECKING

import pytest
from support.bundles import members_of, write_files
from support.projects import CONNECT, build_one, paths, project, rules

from hatch_connect.errors import BuildError, BundleError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from support.sandbox import Sandbox

COMPILED = CONNECT + "compile-requirements = true\n"
TREE = {"sales_api/main.py": "app = 1\n", "sales_api/__init__.py": ""}
# A back end that needs nothing: what it builds is its own folder's near.py.
BACKEND = """\
import zipfile

def build_wheel(directory, config_settings=None, metadata_directory=None):
    name = "near-0.1-py3-none-any.whl"
    with zipfile.ZipFile(f"{directory}/{name}", "w") as archive:
        archive.write("near.py")
        archive.writestr("near-0.1.dist-info/METADATA", "Name: near\\nVersion: 0.1\\n")
        archive.writestr("near-0.1.dist-info/RECORD", "")
    return name
"""
NEAR = {
    "near.py": "x = 1\n",
    "backend.py": BACKEND,
    "pyproject.toml": """\
[build-system]
requires = []
build-backend = "backend"
backend-path = ["."]
[project]
name = "near"
version = "0.1"
""",
}


def wheel(path: Path, files: Mapping[str, str]) -> Path:
    name, version, *_ = path.name.split("-")
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        for member, text in files.items():
            archive.writestr(member, text)
        info = f"{name}-{version}.dist-info"
        archive.writestr(f"{info}/METADATA", f"Name: {name}\nVersion: {version}\n")
        archive.writestr(f"{info}/WHEEL", "")
    return path


def shop(root: Path, requirements: str, **files: str) -> Path:
    return project(
        root,
        {**TREE, **files, "requirements.txt": requirements},
        connect=COMPILED,
        system="",
    )


def test_wheels_are_unpacked_at_the_root_with_their_names(tmp_path: Path, sandbox: Sandbox) -> None:
    root = shop(tmp_path / "p", "./wheels/near-0.1-py3-none-any.whl\nidna==3.10\n")
    wheel(root / "wheels/near-0.1-py3-none-any.whl", {"near/__init__.py": "", "near/data.txt": "1"})
    built = build_one(root, sandbox.environ)
    members = members_of(built.bundle.path)
    assert members["requirements.txt"].decode().splitlines()[-1] == "idna==3.10"
    assert members["near/data.txt"] == b"1"
    assert members["near-0.1.dist-info/METADATA"].startswith(b"Metadata-Version: 2.4\nName: near\n")
    assert rules(built)["near-0.1.dist-info/WHEEL"] == "a part of the wheel for installers"


def test_the_guard_looks_into_wheels_of_neighbours(tmp_path: Path, sandbox: Sandbox) -> None:
    root = shop(tmp_path / "p", "./near-0.1-py3-none-any.whl\n")
    key = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIJ+DYvh6SEqVTm50DFtMDoQikTmiCqirVv9m\n"
    files = {"near/__init__.py": "", "near/.ENV": "", "near/tls.json": json.dumps({"key": key})}
    files |= {"near/venv/Scripts/python.exe": "", "near/venv/Lib/site-packages/x.py": ""}
    wheel(root / "near-0.1-py3-none-any.whl", files)
    built = build_one(root, sandbox.environ)
    assert {path for path in paths(built) if path.startswith("near/")} == {"near/__init__.py"}
    assert rules(built)["near/.ENV"] == "guard: environment variables"
    assert rules(built)["near/tls.json"] == "guard: a private key"


@pytest.mark.parametrize("source", ["folder", "tar", "zip"])
def test_projects_are_built_by_their_own_back_end(
    tmp_path: Path, sandbox: Sandbox, source: str
) -> None:
    places = {"folder": "libs/near", "tar": "near-0.1.tar.gz", "zip": "near-0.1.zip"}
    root = shop(tmp_path / "p", f"near @ {(tmp_path / 'p' / places[source]).as_uri()}\n")
    if source == "folder":
        write_files(root / "libs/near", NEAR)
    elif source == "tar":
        with tarfile.open(root / places[source], "w:gz") as archive:
            for name, text in NEAR.items():
                info = tarfile.TarInfo(f"near-0.1/{name}")
                info.size, info.mtime = len(text), 1_600_000_000
                archive.addfile(info, io.BytesIO(text.encode()))
    else:
        with zipfile.ZipFile(root / places[source], "w") as zipped:
            for name, text in NEAR.items():
                zipped.writestr(f"near-0.1/{name}", text)
    before = {path: path.stat().st_mtime_ns for path in root.rglob("*")}
    built = build_one(root, sandbox.environ)
    assert {"near.py", "near-0.1.dist-info/METADATA"} <= set(paths(built))
    after = {path: path.stat().st_mtime_ns for path in root.rglob("*") if "dist" not in path.parts}
    assert after.keys() <= before.keys()


def test_two_may_not_overwrite_each_other(tmp_path: Path, sandbox: Sandbox) -> None:
    root = shop(tmp_path / "p", "./a-1-py3-none-any.whl\n./b-1-py3-none-any.whl\n")
    for name in ("a", "b"):
        wheel(root / f"{name}-1-py3-none-any.whl", {f"m{n:02}.py": name for n in range(12)})
    with pytest.raises(BundleError) as caught:
        build_one(root, sandbox.environ)
    assert "a and b would overwrite each other's files:\n  - m00.py\n" in str(caught.value)
    assert "and 2 more" in str(caught.value)


def test_nor_the_project(tmp_path: Path, sandbox: Sandbox) -> None:
    root = shop(tmp_path / "p", "./a-1-py3-none-any.whl\n")
    wheel(root / "a-1-py3-none-any.whl", {"sales_api/main.py": ""})
    with pytest.raises(
        BundleError, match=r"The project and its path dependencies .*\n  - sales_api/main"
    ):
        build_one(root, sandbox.environ)


def test_a_wheel_for_another_machine(tmp_path: Path, sandbox: Sandbox) -> None:
    root = shop(tmp_path / "p", "./a-1-cp311-cp311-win_amd64.whl\n")
    wheel(root / "a-1-cp311-cp311-win_amd64.whl", {"a.py": ""})
    with pytest.raises(BuildError, match=r"which CPython 3\.11 on linux x86_64 cannot install"):
        build_one(root, sandbox.environ)


def test_one_that_cannot_be_built_is_named(tmp_path: Path, sandbox: Sandbox) -> None:
    root = shop(tmp_path / "p", "./libs/near\n")
    write_files(root / "libs/near", {**NEAR, "backend.py": "def build_wheel(*_): raise OSError(7)"})
    with pytest.raises(BuildError, match=r"near \(.*libs/near\)"):
        build_one(root, sandbox.environ)


def test_an_archive_that_is_none(tmp_path: Path, sandbox: Sandbox) -> None:
    root = shop(tmp_path / "p", "./near-0.1.tar.gz\n", **{"near-0.1.tar.gz": "?"})
    with pytest.raises(BuildError, match="cannot be unpacked"):
        build_one(root, sandbox.environ)
