from __future__ import annotations

import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.connect_content import PYTHON, manifest

from hatch_connect.bundle.manifest import Manifest, ManifestMetadata
from hatch_connect.errors import BundleError
from hatch_connect.local.checks import check, find_entrypoint, parse_manifest, saved_models
from hatch_connect.local.modes import MODES

_FILES = ("app.py", "pkg/__init__.py", "pkg/main.py", "nb.ipynb", "docs/b.ipynb", "a.html")
_PIP = {"name": "pip", "package_file": "requirements.txt"}


def _bundle(root: Path, files: dict[str, bytes], **changes: object) -> Path:
    described = json.dumps(manifest(files, **changes)).encode()
    for name, content in {**files, "manifest.json": described}.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return root


def _parse(**changes: object) -> Manifest:
    return parse_manifest(json.dumps(manifest({"a": b""}, **changes)).encode())


def test_a_good_bundle(tmp_path: Path) -> None:
    files = {"app.py": b"app = 1", "requirements.txt": b"", "data/ä.csv": b"1"}

    found = check(_bundle(tmp_path, files))

    assert found.metadata.app_mode == "python-fastapi"
    assert found.metadata.entrypoint == "app:app"
    assert found.python is not None
    assert found.python.package_file == "requirements.txt"
    assert found.environment.python_requires is None
    assert found.environment.image is None
    assert {file.path for file in found.files} == files.keys()


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

    assert found.metadata.entrypoint == entrypoint


@pytest.mark.parametrize("entrypoint", ["other:app", "app.more:app", "data"])
def test_the_module_of_the_entrypoint_is_missing(tmp_path: Path, entrypoint: str) -> None:
    files = {"app.py": b"", "data/a.csv": b"", "requirements.txt": b""}
    metadata = {"appmode": "python-api", "entrypoint": entrypoint}

    with pytest.raises(BundleError, match="is not a module"):
        check(_bundle(tmp_path, files, metadata=metadata))


@pytest.mark.parametrize("entrypoint", ["", "app.py:", ":app", "a/b", "app:app()", "..", "1:1"])
def test_an_entrypoint_that_cannot_be_one(tmp_path: Path, entrypoint: str) -> None:
    metadata = {"appmode": "python-api", "entrypoint": entrypoint}

    with pytest.raises(BundleError, match="must have the form"):
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

    assert check(tmp_path).metadata.app_mode == "python-fastapi"


@pytest.mark.parametrize("files", [None, {}, {"a": {}}, {"a": {"checksum": "ABC"}}])
def test_a_list_of_files_as_other_clients_write_it(files: dict[str, Any] | None) -> None:
    assert [file.path for file in _parse(files=files).files] == list(files or ())


def test_the_package_file_is_missing(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"package file 'requirements\.txt'"):
        check(_bundle(tmp_path, {"app.py": b""}))


@pytest.mark.parametrize("text", [b"", b"{", b"[]", b"\xff\xfe"])
def test_a_manifest_that_is_no_object(text: bytes) -> None:
    with pytest.raises(BundleError, match=r"manifest\.json is not"):
        parse_manifest(text)


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
        ({"python": {"version": f"3.{'9' * 5000}", "package_manager": _PIP}}, "is not a version"),
        ({"environment": {"python": {"requires": f">=3.{'9' * 5000}"}}}, "requires is too long"),
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

    assert found.environment.manage_python is False
    assert found.environment.image == "a/b:c"


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


_IMPOSSIBLE = (
    *("n" * 300, "n" * 300 + ".py", "a\0"),
    *(".".join(["n" * 200] * 40), "/".join(["n" * 200] * 40)),
)
_texts = st.text(max_size=5) | st.sampled_from(["app:app", "app.py", *_IMPOSSIBLE])
_manifests = st.fixed_dictionaries(
    {"version": st.just(1)},
    optional={
        "metadata": st.fixed_dictionaries(
            {"appmode": st.sampled_from([*MODES, "x"])},
            optional={"entrypoint": _texts, "primary_html": _texts},
        ),
        "python": st.just({"version": PYTHON, "package_manager": _PIP})
        | st.fixed_dictionaries(
            {"version": st.sampled_from(["3.11.2", "3", "x"])},
            optional={
                "package_manager": st.fixed_dictionaries(
                    {"name": st.just("pip")}, optional={"package_file": _texts | _json}
                )
            },
        ),
        "environment": _json,
        "files": st.dictionaries(_texts, st.just({"checksum": ""}) | _json, max_size=2),
    },
)


@pytest.mark.parametrize("name", _IMPOSSIBLE)
@pytest.mark.parametrize(
    "app_mode", ["python-fastapi", "python-streamlit", "python-shiny", "static", "jupyter-static"]
)
def test_an_entrypoint_that_no_file_can_have(tmp_path: Path, app_mode: str, name: str) -> None:
    metadata = {"appmode": app_mode, "entrypoint": name}
    root = _bundle(tmp_path, {"app.py": b"", "requirements.txt": b""}, metadata=metadata)

    with pytest.raises(BundleError) as caught:
        check(root)

    assert len(str(caught.value)) < 300


def test_a_manifest_does_not_take_any_memory() -> None:
    with pytest.raises(BundleError, match="has more than 300,000 objects and arrays"):
        parse_manifest(b"[" + b"[]," * 300_000 + b"[]]")


@given(_manifests)
def test_whatever_a_bundle_holds_is_an_error_of_ours(whole: dict[str, Any]) -> None:
    with TemporaryDirectory() as name:
        (Path(name) / "manifest.json").write_text(json.dumps(whole), encoding="utf-8")
        for file in ("app.py", "requirements.txt"):
            (Path(name) / file).touch()
        try:
            check(Path(name))
        except BundleError:
            return


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name in _FILES:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return tmp_path


@pytest.mark.parametrize(
    ("app_mode", "entrypoint", "found"),
    [
        ("python-dash", "app:server", "app:server"),
        ("python-gradio", "pkg.main:demo", "pkg.main:demo"),
        ("python-shiny", "app:app", "app:app"),
        ("python-shiny", "shiny.express.app:app_2e_py", "shiny.express.app:app_2e_py"),
        (
            "python-shiny",
            "shiny.express.app:pkg_2f_main_2e_py",
            "shiny.express.app:pkg_2f_main_2e_py",
        ),
        ("python-shiny", "app.py", "app"),
        ("python-fastapi", "pkg/main.py", "pkg.main"),
        ("python-streamlit", "app.py", "app.py"),
        ("python-streamlit", "pkg/main.py", "pkg/main.py"),
        ("python-bokeh", "app", "app.py"),
        ("python-bokeh", "pkg.main:doc", "pkg/main.py"),
        ("python-bokeh", "pkg", "pkg/__init__.py"),
        ("python-panel", "nb.ipynb", "nb.ipynb"),
        ("jupyter-static", "docs/b.ipynb", "docs/b.ipynb"),
        ("jupyter-voila", "nb.ipynb", "nb.ipynb"),
        ("jupyter-voila", "", ""),
        ("static", "a.html", "a.html"),
        ("quarto-static", "", "nb.ipynb"),
        ("rmd-static", "", ""),
    ],
)
def test_what_an_entrypoint_names(root: Path, app_mode: str, entrypoint: str, found: str) -> None:
    assert (
        find_entrypoint(root, ManifestMetadata(app_mode=app_mode, entrypoint=entrypoint)) == found
    )


@pytest.mark.parametrize(
    ("app_mode", "entrypoint", "message"),
    [
        ("python-dash", "none.py", "is not a module"),
        ("python-dash", "../app.py", "not allowed"),
        ("python-streamlit", "none.py", "is not a file in"),
        ("python-streamlit", "../app.py", "not allowed"),
        ("python-streamlit", "none", "is not a module"),
        ("python-shiny", "shiny.express.app:none_2e_py", "is not a file in"),
        ("python-shiny", "shiny.express.app:_zz_", "is not a file in"),
        ("python-shiny", "shiny.express.app:_ffffffffffff_", "is not a file in"),
        ("python-shiny", "shiny.express.app:a_2e_html", "that ends in .py"),
        ("jupyter-static", "app.py", "that ends in .ipynb"),
        ("jupyter-static", "", "is not a file in|not allowed"),
        ("jupyter-voila", "a.html", "that ends in .ipynb"),
        ("static", "none.html", "is not a file in"),
        ("static", "pkg", "is not a file in"),
        ("tensorflow-saved-model", "", "contains no SavedModel"),
    ],
)
def test_an_entrypoint_that_names_nothing(
    root: Path, app_mode: str, entrypoint: str, message: str
) -> None:
    with pytest.raises(BundleError, match=message):
        find_entrypoint(root, ManifestMetadata(app_mode=app_mode, entrypoint=entrypoint))


def test_the_primary_page_is_the_entrypoint(root: Path) -> None:
    metadata = ManifestMetadata(app_mode="static", primary_html="a.html", entrypoint="other")

    assert find_entrypoint(root, metadata) == "a.html"


@pytest.mark.parametrize(
    ("names", "found"),
    [
        (["report.qmd", "README.md"], "report.qmd"),
        (["README.md", "_quarto.yml", "a.qmd", "b.qmd"], "."),
        (["only.md"], "only.md"),
    ],
)
def test_what_quarto_renders(tmp_path: Path, names: list[str], found: str) -> None:
    for name in names:
        (tmp_path / name).touch()

    assert find_entrypoint(tmp_path, ManifestMetadata(app_mode="quarto-static")) == found


def test_quarto_serves_one_document_of_a_project(tmp_path: Path) -> None:
    for name in ("_quarto.yml", "app.qmd"):
        (tmp_path / name).touch()

    assert find_entrypoint(tmp_path, ManifestMetadata(app_mode="quarto-shiny")) == "app.qmd"


@pytest.mark.parametrize("names", [[], ["a.qmd", "b.qmd"]])
def test_nothing_for_quarto_to_render(tmp_path: Path, names: list[str]) -> None:
    for name in names:
        (tmp_path / name).touch()

    with pytest.raises(BundleError, match="nor a single document"):
        find_entrypoint(tmp_path, ManifestMetadata(app_mode="quarto-static"))


def test_a_folder_without_a_notebook_is_not_for_voila(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="does not contain one"):
        find_entrypoint(tmp_path, ManifestMetadata(app_mode="jupyter-voila"))


def test_models_are_found_at_the_root_and_below(tmp_path: Path) -> None:
    (tmp_path / "2").mkdir()
    (tmp_path / "2" / "saved_model.pb").touch()
    (tmp_path / "saved_model.pb").touch()

    assert saved_models(tmp_path) == (".", "2")
    assert find_entrypoint(tmp_path, ManifestMetadata(app_mode="tensorflow-saved-model")) == ""
