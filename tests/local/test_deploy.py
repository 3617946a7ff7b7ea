"""Content that is rendered when it is deployed, with small stand-ins for what renders it."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import pytest
from support.connect_content import bundle_of
from support.local_api import Api, asking

from hatch_connect.events import silent
from hatch_connect.local.start import running

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# Writes its command line as the page, or does what the notebook says.
_NBCONVERT = b"""
import os, pathlib, sys

text = pathlib.Path(sys.argv[-1]).read_text()
print("converting", sys.argv[-1], os.environ.get("MODE"))
if text == "fail":
    sys.exit(3)
folder = pathlib.Path(next(a for a in sys.argv if a.startswith("--output-dir=")).partition("=")[2])
folder.mkdir(parents=True)
if text != "empty":
    (folder / "index.html").write_text(text + " " + " ".join(sys.argv[1:]))
"""
_QUARTO = """#!{python}
import os, pathlib, sys

if sys.argv[1] == "--version":
    sys.exit(print("1.6.40"))
if sys.argv[1] == "serve":
    import http.server
    port = int(sys.argv[sys.argv.index("--port") + 1])
    http.server.HTTPServer(
        ("127.0.0.1", port), http.server.SimpleHTTPRequestHandler).serve_forever()
if not pathlib.Path("_quarto.yml").exists():
    sys.exit("The --output-dir flag can only be used when rendering projects.")
folder = pathlib.Path(sys.argv[-1])
folder.mkdir()
name = "about.html" if sys.argv[2] == "." else "report.html"
python = "with Python" if os.environ.get("QUARTO_PYTHON") else "without Python"
(folder / name).write_text(f"{{sys.argv[2]}} {{python}}")
(folder / "site_libs").mkdir()
(folder / "site_libs" / "a.html").touch()
"""


def _notebook(text: bytes, **jupyter: bool) -> bytes:
    files = {"nb.ipynb": text, "nbconvert.py": _NBCONVERT, "requirements.txt": b""}
    metadata = {"appmode": "jupyter-static", "entrypoint": "nb.ipynb"}
    return bundle_of(files, metadata=metadata, jupyter=jupyter or None)


def test_a_notebook_is_rendered_at_each_deployment(api: Api) -> None:
    guid = api.create()
    api.ask("PATCH", f"v1/content/{guid}/environment", json=[{"name": "MODE", "value": "on"}])
    first = api.upload(guid, _notebook(b"one", hide_all_input=True))

    task = api.deploy(guid, first)

    assert "converting nb.ipynb on" in task["output"]
    assert api.visit(guid).text.startswith("one --execute")
    assert "--no-input" in api.visit(guid).text
    (job,) = api.jobs(guid)
    assert (job["tag"], job["exit_code"]) == ("build_jupyter", 0)
    log = api.ask("GET", f"v1/content/{guid}/jobs/{job['key']}/log")
    assert log["entries"][0]["data"] == "converting nb.ipynb on"

    assert api.deploy(guid, api.upload(guid, _notebook(b"two")))["code"] == 0
    assert api.visit(guid).text.startswith("two")
    assert api.deploy(guid, first)["code"] == 0
    assert api.visit(guid).text.startswith("one")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"fail", "Rendering 'nb.ipynb' failed with exit code 3."),
        (b"empty", "did not produce an HTML page"),
    ],
)
def test_a_notebook_that_cannot_be_rendered(api: Api, text: bytes, message: str) -> None:
    guid = api.ship(_notebook(b"before"))
    number = api.upload(guid, _notebook(text))

    task = api.deploy(guid, number)

    assert task["code"] == 1
    assert message in task["error"]
    assert api.visit(guid).text.startswith("before")
    assert api.visit(guid, f"_bundle{number}/").status_code == 404


def test_removed_pages_are_gone(api: Api) -> None:
    guid = api.ship(_notebook(b"one"))
    number = api.ask("GET", f"v1/content/{guid}")["bundle_id"]
    assert (api.server.state / "rendered" / number).exists()

    api.ask("DELETE", f"v1/content/{guid}", 204)

    assert not (api.server.state / "rendered" / number).exists()


def _quarto(files: dict[str, bytes], app_mode: str = "quarto-static", *, python: bool) -> bytes:
    content = {**files, "requirements.txt": b""} if python else files
    quarto = {"version": "1.6.40", "engines": ["markdown"]}
    metadata = {"appmode": app_mode}
    if python:
        return bundle_of(content, metadata=metadata, quarto=quarto)
    return bundle_of(content, metadata=metadata, quarto=quarto, python=None)


def test_without_quarto_the_task_says_so(tmp_path: Path) -> None:
    environ = {**os.environ, "PATH": os.defpath}
    with running(tmp_path, environ=environ, report=silent) as server, asking(server) as api:
        for app_mode in ("quarto-static", "quarto-shiny"):
            guid = api.create()
            archive = _quarto({"report.qmd": b""}, app_mode, python=False)

            task = api.deploy(guid, api.upload(guid, archive))

            assert task["code"] == 1
            assert "Quarto is not installed: install it" in task["error"]
        assert api.ask("GET", "v1/server_settings/quarto") == {"installations": []}


@pytest.fixture(scope="module")
def with_quarto(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    folder = tmp_path_factory.mktemp("quarto")
    program = folder / "quarto"
    program.write_text(_QUARTO.format(python=sys.executable))
    program.chmod(0o755)
    environ = {**os.environ, "PATH": f"{folder}{os.pathsep}{os.environ['PATH']}"}
    with (
        running(folder / "state", environ=environ, report=silent) as server,
        asking(server) as api,
    ):
        yield api


@pytest.mark.parametrize(
    ("names", "python", "shown"),
    [
        (["report.qmd"], False, "report.qmd without Python"),
        (["report.qmd"], True, "report.qmd with Python"),
        (["_quarto.yml", "about.qmd", "more.qmd"], False, ". without Python"),
    ],
)
def test_quarto_renders(with_quarto: Api, names: list[str], shown: str, *, python: bool) -> None:
    api = with_quarto
    guid = api.ship(_quarto(dict.fromkeys(names, b""), python=python))

    assert api.visit(guid).text == shown
    number = api.ask("GET", f"v1/content/{guid}")["bundle_id"]
    assert api.deploy(guid, number)["code"] == 0
    assert api.visit(guid, f"_bundle{number}/").text == shown
    assert api.visit(guid, "site_libs/a.html").status_code == 200


@pytest.mark.parametrize("python", [False, True])
def test_quarto_serves_a_document_with_shiny(with_quarto: Api, *, python: bool) -> None:
    api = with_quarto
    guid = api.ship(_quarto({"report.qmd": b"# shiny"}, "quarto-shiny", python=python))

    assert api.visit(guid, "report.qmd").text == "# shiny"


def test_quarto_is_listed(with_quarto: Api) -> None:
    listed = with_quarto.ask("GET", "v1/server_settings/quarto")

    assert [one["version"] for one in listed["installations"]] == ["1.6.40"]


def test_a_quarto_that_says_nothing_is_not_listed(tmp_path: Path) -> None:
    (tmp_path / "quarto").write_text("#!/bin/sh\n")
    (tmp_path / "quarto").chmod(0o755)
    environ = {**os.environ, "PATH": str(tmp_path)}
    state = tmp_path / "state"
    with running(state, environ=environ, report=silent) as server, asking(server) as api:
        assert api.ask("GET", "v1/server_settings/quarto") == {"installations": []}
