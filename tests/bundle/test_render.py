"""Quarto content: what `quarto inspect` says decides."""

from __future__ import annotations

import shutil
import sys
from typing import TYPE_CHECKING

import pytest
from support.bundles import Heard, write_files
from support.fake_quarto import install_quarto
from support.projects import HATCHLING, LOCKED, PACKAGE, build_one, paths, project, rules
from support.sandbox import REPOSITORY

from hatch_connect.bundle import render as module
from hatch_connect.errors import BuildError, InterpreterError

if TYPE_CHECKING:
    from pathlib import Path

    from support.sandbox import Sandbox

    from hatch_connect.bundle.build_protocol import Built

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="a script stands for Quarto")

PROJECTS = REPOSITORY / "tests" / "projects"
SETUPTOOLS = '[build-system]\nrequires = ["setuptools"]\nbuild-backend = "setuptools.build_meta"\n'
WEBSITE = "project:\n  type: website\n  output-dir: _site\n"
PYTHON = "```{python}\nprint(1)\n```\n"


@pytest.fixture
def environ(tmp_path: Path, sandbox: Sandbox) -> dict[str, str]:
    return sandbox.environ | install_quarto(tmp_path / "bin")


def small(tmp_path: Path, name: str) -> Path:
    return shutil.copytree(PROJECTS / name, tmp_path / name)


def built(tmp_path: Path, files: dict[str, str], environ: dict[str, str]) -> Built:
    connect = '[tool.hatch-connect]\napp-mode = "quarto"\n'
    root = write_files(tmp_path / "p", {"pyproject.toml": connect, **files})
    return build_one(root, environ)


def test_a_document_without_code_needs_no_python(tmp_path: Path, environ: dict[str, str]) -> None:
    result = build_one(small(tmp_path, "quarto-document"), environ)
    manifest = result.bundle.manifest.to_dict()
    assert (result.python, result.lock) == (None, None)
    assert manifest["metadata"] == {"appmode": "quarto-static"}
    assert manifest["quarto"] == {"version": "1.6.40", "engines": ["markdown"]}
    assert not {"locale", "python", "environment"} & set(manifest)
    assert "report.qmd" in paths(result)


def test_code_of_python_needs_its_packages(tmp_path: Path, environ: dict[str, str]) -> None:
    result = build_one(small(tmp_path, "quarto-python"), environ)
    manifest = result.bundle.manifest.to_dict()
    assert manifest["quarto"] == {"version": "1.6.40", "engines": ["jupyter"]}
    assert result.python is not None
    assert paths(result)[0] == "requirements.txt"


def test_a_site_ships_without_what_is_rendered(tmp_path: Path, environ: dict[str, str]) -> None:
    root = small(tmp_path, "quarto-site")
    rendered = ("_site/index.html", "index.html", "index_files/x.js", ".quarto/x.json")
    write_files(root, dict.fromkeys(rendered, ""))
    result = build_one(root, environ)
    assert result.bundle.manifest.metadata.content_category == "site"
    assert {"_quarto.yml", "about.qmd", "index.qmd"} <= set(paths(result))
    assert not set(rendered) & set(paths(result))
    assert rules(result)["_site/index.html"].startswith("rendered by Quarto")


def test_a_project_in_a_folder_becomes_the_root(tmp_path: Path, environ: dict[str, str]) -> None:
    files = {"docs/_quarto.yml": "project: {}\n", "docs/one.qmd": PYTHON, "other.py": ""}
    result = built(tmp_path, {**LOCKED, **files}, environ)
    assert paths(result) == ["requirements.txt", "_quarto.yml", "one.qmd"]
    assert result.bundle.manifest.metadata.content_category is None


def test_code_of_r_is_for_other_tools(tmp_path: Path, environ: dict[str, str]) -> None:
    with pytest.raises(BuildError, match="knitr, not by Python") as caught:
        built(tmp_path, {"a.qmd": "```{r}\n1\n```\n"}, environ)
    assert "deploy path/to/manifest.json" in str(caught.value)


def test_without_quarto_the_way_to_install_it_is_said(
    tmp_path: Path, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_ELSEWHERE", ())
    with pytest.raises(InterpreterError, match="Quarto was not found on the PATH") as caught:
        built(tmp_path, {"a.qmd": ""}, {**sandbox.environ, "PATH": str(tmp_path)})
    assert "quarto.org" in str(caught.value)


def test_quarto_elsewhere_is_named_by_a_variable(
    tmp_path: Path, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_ELSEWHERE", ())
    folder = tmp_path / "opt"
    install_quarto(folder)
    environ = {**sandbox.environ, "PATH": "", "QUARTO_PATH": str(folder / "quarto")}
    assert built(tmp_path, {"a.qmd": ""}, environ).bundle.manifest.quarto is not None
    environ["QUARTO_PATH"] = str(tmp_path / "gone")
    with pytest.raises(InterpreterError, match="which QUARTO_PATH names"):
        built(tmp_path, {"a.qmd": ""}, environ)


@pytest.mark.parametrize(
    ("program", "said"),
    [
        ("#!/bin/sh\necho 'ERROR: bad YAML in a.qmd' >&2\nexit 1\n", "bad YAML in a.qmd"),
        ("#!/bin/sh\necho 'no JSON'\n", "no JSON"),
    ],
)
def test_what_quarto_says_of_a_broken_document(
    tmp_path: Path, sandbox: Sandbox, program: str, said: str
) -> None:
    environ = sandbox.environ | install_quarto(tmp_path / "bin", program)
    with pytest.raises(BuildError, match="and no result") as caught:
        built(tmp_path, {"a.qmd": ""}, environ)
    assert said in caught.value.message


def test_an_odd_answer_is_read_as_far_as_it_goes(tmp_path: Path, sandbox: Sandbox) -> None:
    program = '#!/bin/sh\necho \'{"engines": "x", "files": [], "config": {"project": 1}}\'\n'
    environ = sandbox.environ | install_quarto(tmp_path / "bin", program)
    manifest = built(tmp_path, {"_quarto.yml": "", "a.qmd": ""}, environ).bundle.manifest
    assert manifest.quarto is not None
    assert (manifest.quarto.version, manifest.quarto.engines) == ("99.9.9", ())


def test_a_document_ships_without_its_neighbours(tmp_path: Path, environ: dict[str, str]) -> None:
    connect = '[tool.hatch-connect]\napp-mode = "quarto"\nentrypoint = "a.qmd"\n'
    connect += 'include = ["/c.qmd"]\n'
    files = {"a.qmd": "", "b.qmd": "", "c.qmd": "", "_part.qmd": "", "data/d.qmd": "", "x.csv": ""}
    root = write_files(tmp_path / "p", {"pyproject.toml": connect, **files})
    result = build_one(root, environ)
    assert paths(result) == ["_part.qmd", "a.qmd", "c.qmd", "data/d.qmd", "x.csv"]
    assert rules(result)["b.qmd"] == "a document other than a.qmd"


@pytest.mark.parametrize("system", [HATCHLING, SETUPTOOLS])
def test_a_site_at_the_top_of_a_package_project_is_its_tree(
    tmp_path: Path, environ: dict[str, str], system: str
) -> None:
    connect = '[tool.hatch-connect]\napp-mode = "quarto"\n'
    files = {**PACKAGE, "_quarto.yml": WEBSITE, "index.qmd": PYTHON, "about.qmd": ""}
    root = project(tmp_path / "p", files, connect=connect, system=system)
    assert {"_quarto.yml", "index.qmd", "about.qmd"} <= set(paths(build_one(root, environ)))


@pytest.mark.parametrize(
    ("before", "python"),
    [
        ('"prepare.py"', True),
        ('["make x", "scripts/fill.py --all"]', True),
        ('"python3 -m prepare"', True),
        ('"prepare.sh"', False),
        ('["npm run python"]', False),
    ],
)
def test_a_script_of_python_around_rendering_needs_packages(
    tmp_path: Path, environ: dict[str, str], before: str, *, python: bool
) -> None:
    site = {"_quarto.yml": f"project:\n  pre-render: {before}\n", "index.qmd": ""}
    manifest = built(tmp_path, {**LOCKED, **site}, environ).bundle.manifest
    assert (manifest.python is not None) is python
    assert manifest.quarto is not None
    assert manifest.quarto.engines == ("markdown",)


@pytest.mark.parametrize(
    ("lines", "python"),
    [
        ('requirements-file = "requirements.txt"', True),
        ('python-version = "3.12"', True),
        ('extras = ["x"]\npackage-installer = "uv"\nimage = "a/b:1"', False),
    ],
)
def test_naming_packages_or_python_asks_for_python(
    tmp_path: Path, environ: dict[str, str], lines: str, *, python: bool
) -> None:
    table = f'[tool.hatch-connect]\napp-mode = "quarto"\n{lines}\n'
    root = write_files(tmp_path / "p", {**LOCKED, "pyproject.toml": table, "a.qmd": ""})
    heard = Heard()
    manifest = build_one(root, environ, heard).bundle.manifest
    assert (manifest.python is not None) is python
    unused = "`tool.hatch-connect.extras`, "
    assert (unused in heard.text) is not python
    if not python:
        assert "`tool.hatch-connect.package-installer`" in heard.text
        assert manifest.environment.image == "a/b:1"
        assert "connect.image" not in heard.text


def test_what_is_only_inherited_asks_for_no_python(tmp_path: Path, environ: dict[str, str]) -> None:
    table = (
        '[tool.hatch-connect]\npython-version = "3.12"\nimage = "a/b:1"\nstatic = true\n'
        '[tool.hatch-connect.content.notes]\napp-mode = "quarto"\n'
        '[tool.hatch-connect.content.page]\napp-mode = "html"\n'
    )
    files = {"pyproject.toml": table, "a.qmd": "", "index.html": ""}
    root = write_files(tmp_path / "p", files)
    for name in ("notes", "page"):
        heard = Heard()
        manifest = build_one(root, environ, heard, content=name).bundle.manifest
        assert manifest.python is None
        assert "no packages are installed: `tool.hatch-connect.python-version`" in heard.text
        assert ("`tool.hatch-connect.image`" in heard.text) is (name == "page")
        assert (manifest.environment.image is None) is (name == "page")
        assert "content, which is not a notebook: `tool.hatch-connect.static`." in heard.text


@pytest.mark.parametrize("system", [HATCHLING, SETUPTOOLS])
def test_a_document_beside_a_package_takes_its_resources_along(
    tmp_path: Path, environ: dict[str, str], system: str
) -> None:
    program = tmp_path / "bin" / "quarto"
    told = '["img/a.png", "/etc/passwd", "gone.png", "../up.png"]'
    includes = '{"x": {"includeMap": [{"source": "a.qmd", "target": "_part.qmd"}]}}'
    more = f'    answer["resources"] = {told}\n    answer["fileInformation"] = {includes}\n'
    text = program.read_text(encoding="utf-8")
    program.write_text(text.replace("json.dump(", more + "json.dump(", 1), encoding="utf-8")
    connect = '[tool.hatch-connect]\napp-mode = "quarto"\nentrypoint = "a.qmd"\n'
    beside = ("img/a.png", "img/b.png", "_part.qmd", "_extensions/e/x.lua", "notes.txt")
    files = {**PACKAGE, **dict.fromkeys(beside, ""), "a.qmd": PYTHON + "![](img/b.png)\n"}
    root = project(tmp_path / "p", files, connect=connect, system=system)
    heard = Heard()
    shipped = paths(build_one(root, environ, heard))
    assert {"a.qmd", "img/a.png", "_part.qmd", "_extensions/e/x.lua"} <= set(shipped)
    assert not {"img/b.png", "notes.txt"} & set(shipped)
    assert 'include = ["img/b.png"]' in heard.text
