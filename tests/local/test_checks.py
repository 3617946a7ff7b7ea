from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.connect_content import manifest

from hatch_connect.errors import BundleError
from hatch_connect.local.checks import CheckedManifest, check, parse

if TYPE_CHECKING:
    from pathlib import Path

_PIP = {"name": "pip", "package_file": "requirements.txt"}


def _bundle(root: Path, files: dict[str, bytes], **changes: object) -> Path:
    described = json.dumps(manifest(files, **changes)).encode()
    for name, content in {**files, "manifest.json": described}.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return root


def _parse(**changes: object) -> CheckedManifest:
    return parse(json.dumps(manifest({"a": b""}, **changes)).encode())


def test_a_good_bundle(tmp_path: Path) -> None:
    files = {"app.py": b"app = 1", "requirements.txt": b"", "data/ä.csv": b"1"}

    found = check(_bundle(tmp_path, files))

    assert found.app_mode == "python-fastapi"
    assert found.entrypoint == "app:app"
    assert found.package_file == "requirements.txt"
    assert found.requires is None
    assert found.image is None
    assert set(found.files) == files.keys()


@pytest.mark.parametrize(
    ("entrypoint", "module"),
    [
        ("pkg", "pkg/__init__.py"),
        ("pkg.sub:a.b", "pkg/sub.py"),
        ("naïve:app", "naïve.py"),
        ("my-svc.01_a", "my-svc/01_a.py"),
    ],
)
def test_the_module_of_the_entrypoint_is_found(
    tmp_path: Path, entrypoint: str, module: str
) -> None:
    metadata = {"appmode": "python-api", "entrypoint": entrypoint}

    found = check(_bundle(tmp_path, {module: b"", "requirements.txt": b""}, metadata=metadata))

    assert found.entrypoint == entrypoint


@pytest.mark.parametrize("entrypoint", ["other:app", "app.more:app", "data"])
def test_the_module_of_the_entrypoint_is_missing(tmp_path: Path, entrypoint: str) -> None:
    files = {"app.py": b"", "data/a.csv": b"", "requirements.txt": b""}
    metadata = {"appmode": "python-api", "entrypoint": entrypoint}

    with pytest.raises(BundleError, match="names no module"):
        check(_bundle(tmp_path, files, metadata=metadata))


@pytest.mark.parametrize("entrypoint", ["", "app.py:", ":app", "a/b", "app:app()", "..", "1:1"])
def test_an_entrypoint_that_cannot_be_one(tmp_path: Path, entrypoint: str) -> None:
    metadata = {"appmode": "python-api", "entrypoint": entrypoint}

    with pytest.raises(BundleError, match="not of the form"):
        check(_bundle(tmp_path, {"requirements.txt": b""}, metadata=metadata))


def test_no_manifest(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"no manifest\.json"):
        check(tmp_path)


def test_a_listed_file_is_missing(tmp_path: Path) -> None:
    _bundle(tmp_path, {"app.py": b"", "requirements.txt": b""})
    (tmp_path / "app.py").unlink()

    with pytest.raises(BundleError, match=r"not in the archive: 'app\.py'"):
        check(tmp_path)


def test_files_that_are_not_listed_or_were_edited_are_taken_as_on_connect(tmp_path: Path) -> None:
    _bundle(tmp_path, {"app.py": b"", "requirements.txt": b""})
    (tmp_path / "more").touch()
    (tmp_path / "app.py").write_text("changed")

    assert check(tmp_path).app_mode == "python-fastapi"


@pytest.mark.parametrize("files", [None, {}, {"a": {}}, {"a": {"checksum": "ABC"}}])
def test_a_list_of_files_as_other_clients_write_it(files: dict[str, Any] | None) -> None:
    assert _parse(files=files).files == tuple(files or ())


def test_the_package_file_is_missing(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"package file 'requirements\.txt'"):
        check(_bundle(tmp_path, {"app.py": b""}))


@pytest.mark.parametrize("text", [b"", b"{", b"[]", b"\xff\xfe"])
def test_a_manifest_that_is_no_object(text: bytes) -> None:
    with pytest.raises(BundleError, match=r"manifest\.json is not"):
        parse(text)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"version": 2}, "version must be 1"),
        ({"version": True}, "version must be 1"),
        ({"metadata": []}, "metadata must be an object"),
        ({"metadata": {}}, r"metadata\.appmode is missing"),
        ({"metadata": {"appmode": 1}}, r"metadata\.appmode has the wrong type, int"),
        ({"metadata": {"appmode": "cobol"}}, "'cobol' is not one of: python-api, python-fastapi"),
        ({"metadata": {"appmode": "python-api"}}, r"metadata\.entrypoint is missing"),
        ({"python": None}, r"python\.version is missing"),
        ({"python": {"version": "latest", "package_manager": _PIP}}, "is not a version"),
        ({"python": {"version": "3.11.7"}}, r"python\.package_manager\.name is missing"),
        (
            {"python": {"version": "3.11", "package_manager": {**_PIP, "name": "conda"}}},
            "must be 'pip' or 'uv'",
        ),
        (
            {"python": {"version": "3.11", "package_manager": {**_PIP, "package_file": "../x"}}},
            "not allowed",
        ),
        ({"environment": {"python": {"requires": "three"}}}, r"environment\.python\.requires"),
        ({"environment": {"python": "3.11"}}, r"environment\.python must be an object"),
        ({"environment": {"image": 1}}, r"environment\.image has the wrong type"),
        ({"files": {"a": "x"}}, r"files\['a'\]\.checksum"),
        ({"files": {"a": {"checksum": 1}}}, r"files\['a'\]\.checksum"),
        ({"files": {"../a": {}}}, "not allowed"),
    ],
)
def test_a_manifest_that_is_wrong(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(BundleError, match=message):
        _parse(**changes)


def test_packages_may_be_left_to_the_image() -> None:
    environment = {"environment_management": {"python": False}, "image": "a/b:c"}

    found = _parse(environment=environment)

    assert found.managed is False
    assert found.image == "a/b:c"


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)


@given(st.sampled_from(["metadata", "python", "environment", "files", "version"]), _json)
def test_whatever_a_manifest_holds_is_an_error_of_ours(key: str, value: object) -> None:
    try:
        _parse(**{key: value})
    except BundleError:
        return
