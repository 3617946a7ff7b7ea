from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from hatch_connect.bundle.manifest import (
    Jupyter,
    ListedFile,
    Manifest,
    ManifestEnvironment,
    ManifestMetadata,
    ManifestPython,
    Quarto,
)
from hatch_connect.errors import BundleError

LEAST: dict[str, Any] = {"version": 1, "metadata": {"appmode": "static"}, "files": {}}


def everything() -> Manifest:
    return Manifest(
        metadata=ManifestMetadata(
            app_mode="quarto-static",
            entrypoint="a.ipynb",
            primary_html="a.html",
            primary_rmd="a.Rmd",
            has_parameters=True,
            content_category="site",
        ),
        jupyter=Jupyter(hide_all_input=True, hide_tagged_input=True),
        quarto=Quarto(version="1.6.0", engines=("jupyter",)),
        python=ManifestPython(
            version="3.11.0", package_file="reqs/prod.txt", manager="uv", allow_uv=True
        ),
        environment=ManifestEnvironment(
            python_requires="~=3.11.0", image="registry/py:1", manage_python=False, manage_r=False
        ),
        unread=(("platform", '"4.3.1"'), ("packages", "{}")),
        files=(
            ListedFile(path="b.py", checksum="0" * 32),
            ListedFile(path="a.py", checksum="1" * 32),
            ListedFile(path="reqs/prod.txt", checksum="2" * 32),
        ),
    )


def test_keys_come_in_the_order_of_the_official_client() -> None:
    data = everything().to_dict()
    assert list(data) == [
        *("version", "locale", "metadata", "jupyter", "quarto", "python", "environment"),
        *("platform", "packages", "files"),
    ]
    assert list(data["environment"]) == ["python", "image", "environment_management"]  # type: ignore[call-overload]


@given(st.dictionaries(st.text(), st.text("0123456789abcdef", max_size=32)))
@example({f"data/{number}": "0" * 32 for number in range(2500)})
def test_the_json_and_its_digest_are_what_json_makes_of_it(files: dict[str, str]) -> None:
    listed = (ListedFile(path=path, checksum=checksum) for path, checksum in files.items())
    manifest = everything().with_files(listed)
    whole = manifest.to_dict()
    assert manifest.to_json() == json.dumps(whole, indent=2).encode()
    canonical = json.dumps(whole, sort_keys=True, separators=(",", ":"))
    assert manifest.digest == hashlib.sha256(canonical.encode()).hexdigest()


def test_the_package_file_is_the_first_file_and_the_rest_is_sorted() -> None:
    assert list(everything().to_dict()["files"]) == ["reqs/prod.txt", "a.py", "b.py"]  # type: ignore[call-overload]


def test_what_was_not_said_is_not_written() -> None:
    manifest = Manifest(metadata=ManifestMetadata(app_mode="static"), locale=None)
    assert manifest.to_dict() == LEAST


def test_the_file_is_ascii_with_an_indent_of_two() -> None:
    manifest = Manifest(metadata=ManifestMetadata(app_mode="static", entrypoint="é.html"))
    text = manifest.to_json().decode("ascii")
    assert '\n  "metadata": {\n    "appmode": "static",\n    "entrypoint": "\\u00e9.html"' in text


def test_a_manifest_is_read_as_it_was_written() -> None:
    manifest = everything()
    again = Manifest.from_json(manifest.to_json())
    assert again.to_json() == manifest.to_json()
    assert again.digest == manifest.digest
    assert again.python == manifest.python
    assert again.environment == manifest.environment


def test_what_identifies_a_manifest_depends_on_no_order() -> None:
    data = everything().to_dict()
    shuffled = dict(reversed(data.items()))
    assert Manifest.from_dict(shuffled).digest == everything().digest
    assert everything().with_files(()).digest != everything().digest


def test_keys_of_other_clients_are_kept() -> None:
    data = {**LEAST, "packages": {"shiny": {"Source": "CRAN"}}, "later": [1, None]}
    assert Manifest.from_dict(data).to_dict() == {**data, "files": {}}


def test_what_the_server_does_not_ask_for_may_be_missing() -> None:
    data = {**LEAST, "python": {"version": "3.11"}, "files": {"a": None, "b": {}}}
    read = Manifest.from_dict(data)
    assert [(file.path, file.checksum) for file in read.files] == [("a", ""), ("b", "")]
    assert read.python is not None
    assert read.python.package_file == "requirements.txt"


def test_checksums_compare_in_lower_case() -> None:
    data = {**LEAST, "files": {"a": {"checksum": "AB"}}}
    assert Manifest.from_dict(data).files[0].checksum == "ab"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"version": 2}, "`version` must be 1, not 2"),
        ({"metadata": None}, "`metadata` is missing"),
        ({"metadata": []}, "`metadata` must be an object"),
        ({"metadata": {}}, "`metadata.appmode` is missing"),
        ({"metadata": {"appmode": 1}}, "`metadata.appmode` must be a string, not 1"),
        ({"files": {"a.py": "x"}}, '`files["a.py"]` must be an object'),
        ({"files": {"a.py": {"checksum": 1}}}, '`files["a.py"].checksum` must be a string'),
        (
            {"environment": {"environment_management": {"python": "no"}}},
            "`environment.environment_management.python` must be true or false",
        ),
        ({"quarto": {"version": "1", "engines": "knitr"}}, "`quarto.engines` must be an array"),
        ({"locale": 3}, "`locale` must be a string"),
    ],
)
def test_an_error_carries_the_path_of_the_key(change: dict[str, Any], said: str) -> None:
    with pytest.raises(BundleError) as caught:
        Manifest.from_dict({**LEAST, **change})
    assert said in caught.value.message


@pytest.mark.parametrize("text", [b"", b"{", b"[]", b"\xff", b"[" * 100_000])
def test_what_is_no_json_object_is_refused(text: bytes) -> None:
    with pytest.raises(BundleError, match=r"manifest\.json"):
        Manifest.from_json(text)


@given(
    st.dictionaries(st.text(min_size=1), st.text("0123456789abcdef", min_size=32, max_size=32)),
    st.none() | st.text(min_size=1),
)
def test_any_path_survives_the_round_trip(files: dict[str, str], entrypoint: str | None) -> None:
    manifest = Manifest(
        metadata=ManifestMetadata(app_mode="python-api", entrypoint=entrypoint),
        python=ManifestPython(version="3.12.0"),
        files=tuple(ListedFile(path=p, checksum=c) for p, c in files.items()),
    )
    again = Manifest.from_json(manifest.to_json())
    assert {f.path: f.checksum for f in again.files} == files
    assert again.metadata == manifest.metadata
    assert json.loads(manifest.to_json()) == manifest.to_dict()
