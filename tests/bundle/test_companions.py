"""What goes with an entrypoint that no wheel holds, and what is said of everything else."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from support.bundles import Heard, write_files
from support.projects import (
    APP,
    HATCHLING,
    PACKAGE,
    build_one,
    configuration,
    paths,
    project,
    rules,
)

from hatch_connect.bundle.companions import entry_files, has_entry

if TYPE_CHECKING:
    from pathlib import Path

    from support.sandbox import Sandbox

    from hatch_connect.bundle.build_protocol import Built
    from hatch_connect.project.project import ProjectConfig

SETUPTOOLS = '[build-system]\nrequires = ["setuptools"]\nbuild-backend = "setuptools.build_meta"\n'
FRAMEWORKS = "".join(
    f"{name}==1.0\n" for name in ("dash", "streamlit", "bokeh", "shiny", "panel", "voila")
)

IMPORTS = {
    "app.py": APP + "def later():\n    import helpers\nfrom space.inner import value\n",
    "helpers.py": "from toolbox.parts import x\nimport sales_api, json, missing\n",
    "toolbox/__init__.py": "",
    "toolbox/parts.py": "from . import more\n",
    "toolbox/more.py": "",
    "toolbox/data.json": "{}",
    "toolbox/.env": "",
    "space/inner.py": "from .peer import value\n",
    "space/peer.py": "value = 1",
    "space/unused.py": "",
    "unused.py": "",
    "json/not_python.txt": "",
}

CONTENTS = """
[tool.hatch-connect.content.orders]
app-mode = "flask"
entrypoint = "orders.app:app"
[tool.hatch-connect.content.stock]
app-mode = "streamlit"
entrypoint = "stock/ui.py"
[tool.hatch-connect.content.report]
app-mode = "notebook"
entrypoint = "report.ipynb"
[tool.hatch-connect.content.site]
app-mode = "html"
entrypoint = "site"
"""


def connect(mode: str, entrypoint: str, *more: str) -> str:
    lines = (f'app-mode = "{mode}"', f'entrypoint = "{entrypoint}"', *more)
    return "\n".join(("[tool.hatch-connect]", *lines, ""))


def built(
    tmp_path: Path,
    sandbox: Sandbox,
    files: dict[str, str],
    table: str,
    **options: object,
) -> tuple[Built, str]:
    """Build a package project with further files at its root; return it and what was said."""
    files = {**PACKAGE, "requirements.txt": FRAMEWORKS, **files}
    root = project(tmp_path / "p", files, connect=table, **options)  # type: ignore[arg-type] # passed on
    heard = Heard()
    one = build_one(root, sandbox.environ, heard)
    return one, heard.text


def own(one: Built) -> set[str]:
    """Return what ships besides the wheel's content and what is always there."""
    usual = {"manifest.json", "requirements.txt"}
    tops = ("sales_api/", "sales_api-")
    return {path for path in paths(one) if path not in usual and not path.startswith(tops)}


@pytest.mark.parametrize(
    ("mode", "entry", "companions"),
    [
        ("streamlit", "app.py", ("pages/1.py", ".streamlit/config.toml", "static/x.png")),
        ("flask", "app", ("templates/a/x.html", "static/x.css")),
        ("fastapi", "app", ("templates/x.html", "static/x.css")),
        ("dash", "app", ("assets/x.css", "pages/x.py")),
        ("shiny", "app.py", ("www/x.css", "_brand.yml")),
        ("bokeh", "main.py", ("templates/index.html", "static/x.css", "theme.yaml")),
        ("panel", "main.py", ("templates/index.html", "static/x.css", "app_hooks.py")),
        ("voila", "app.ipynb", ("voila.json",)),
        ("html", "report.html", ("report_files/x.css",)),
    ],
)
def test_what_a_framework_takes_by_convention_ships(
    tmp_path: Path,
    sandbox: Sandbox,
    mode: str,
    entry: str,
    companions: tuple[str, ...],
) -> None:
    file = entry if "." in entry else f"{entry}.py"
    beside = dict.fromkeys((file, *companions, "notes.txt", "other/x.py"), "")
    secrets = {".streamlit/secrets.toml": "", "static/.env": "", "www/.env": ""}
    one, _ = built(tmp_path, sandbox, {**beside, **secrets}, connect(mode, entry))
    assert own(one) == {file, *companions}
    assert {"notes.txt", "other/x.py"} <= rules(one).keys()


def test_streamlit_reads_its_configuration_in_the_working_directory(
    tmp_path: Path, sandbox: Sandbox
) -> None:
    files = {"src/sales_api/ui.py": "import streamlit", ".streamlit/config.toml": ""}
    one, _ = built(tmp_path, sandbox, files, connect("streamlit", "sales_api/ui.py"))
    assert own(one) == {".streamlit/config.toml"}


@pytest.mark.parametrize("backend", [HATCHLING, SETUPTOOLS])
def test_modules_that_are_imported_ship_followed_through(
    tmp_path: Path, sandbox: Sandbox, backend: str
) -> None:
    one, said = built(tmp_path, sandbox, IMPORTS, connect("flask", "app"), system=backend)
    unused = {"space/unused.py", "unused.py", "json/not_python.txt", "toolbox/.env"}
    assert own(one) == IMPORTS.keys() - unused
    assert unused <= rules(one).keys()
    assert "Named in files" not in said


def test_a_notebook_and_a_page_of_streamlit_s_navigation_import_too(
    tmp_path: Path, sandbox: Sandbox
) -> None:
    cells = [
        {"cell_type": "code", "source": ["%matplotlib inline\n", "import helpers"]},
        {"cell_type": "markdown", "source": "![](img/a%20b.png)"},
    ]
    files = {"n.ipynb": json.dumps({"cells": cells}), "helpers.py": "", "img/a b.png": ""}
    one, said = built(tmp_path / "1", sandbox, files, connect("voila", "n.ipynb"))
    assert own(one) == {"n.ipynb", "helpers.py"}
    assert 'include = ["img/a b.png"]' in said
    files = {
        "app.py": "import streamlit as st\nst.navigation([st.Page('views/home.py')])\n",
        "views/home.py": "import common\n",
        "common.py": "",
    }
    one, _ = built(tmp_path / "2", sandbox, files, connect("streamlit", "app.py"))
    assert own(one) == files.keys()


def test_what_a_source_names_and_does_not_ship_is_said_with_the_line_that_adds_it(
    tmp_path: Path, sandbox: Sandbox
) -> None:
    files = {
        "app.py": APP
        + "DATA = open('data/x.csv'), 'logo.png', './models', '.env', '../up', 'no'\n",
        "data/x.csv": "",
        "logo.png": "",
        "models/m.bin": "",
        ".env": "",
        "src/sales_api/paths.py": "A = 'root.csv', 'main.py', 'sales_api', 'src', '\\0'\n"
        "B = 'raw/*.csv', 'sqlite:///users.db', 'https://x.org/other.db', '*.png'\n"
        "C = f'out/{A}.txt'\n",
        "raw/1.csv": "",
        "out/1.txt": "",
        "users.db": "",
        "other.db": "",
        "root.csv": "",
    }
    table = connect("flask", "app", 'include = ["extra.txt"]')
    one, said = built(tmp_path, sandbox, {**files, "extra.txt": ""}, table)
    assert own(one) == {"app.py", "extra.txt"}
    assert "data/x.csv (in app.py)" in said
    line = said.partition("[tool.hatch-connect]: ")[2].partition("\n")[0]
    added = ["/logo.png", "/models", "/out", "/raw", "/root.csv", "/users.db"]
    assert line == f"include = {json.dumps(['extra.txt', 'data/x.csv', *added])}"
    table = connect("flask", "app", line)
    root = project(tmp_path / "p", {}, connect=table)
    heard = Heard()
    again = build_one(root, sandbox.environ, heard)
    named = {"extra.txt", "data/x.csv", "logo.png", "models/m.bin", "root.csv"}
    assert own(again) == {"app.py", *named, "raw/1.csv", "out/1.txt", "users.db"}
    assert "Named in files" not in heard.text


@pytest.mark.parametrize(("file", "seen"), [("app-1.tar.gz", False), ("index.html", True)])
def test_what_a_build_wrote_is_not_missed(
    tmp_path: Path, sandbox: Sandbox, file: str, *, seen: bool
) -> None:
    files = {"app.py": "FRONT = 'dist'\n", f"dist/{file}": ""}
    _, said = built(tmp_path, sandbox, files, connect("flask", "app"))
    assert ("dist (in app.py)" in said) == seen
    heard = Heard()
    build_one(tmp_path / "p", sandbox.environ, heard)
    assert ("dist (in app.py)" in heard.text) == seen


@pytest.mark.parametrize("backend", [HATCHLING, SETUPTOOLS, ""])
def test_everything_that_does_not_ship_is_listed(
    tmp_path: Path, sandbox: Sandbox, backend: str
) -> None:
    files = {
        "app.py": APP,
        "README.md": "",
        "docs/a/b.md": "",
        "tests/test_x.py": "",
        "node_modules/x.js": "",
        ".github/x.yml": "",
        "src/sales_api/.env": "",
    }
    one, _ = built(tmp_path, sandbox, files, connect("flask", "app"), system=backend)
    root = tmp_path / "p"
    shipped = set(paths(one)) | {f"src/{path}" for path in paths(one)}
    left_out = rules(one).keys()
    for file in root.rglob("*"):
        path = file.relative_to(root).as_posix()
        below = any(each.endswith("/") and path.startswith(each) for each in left_out)
        made = path.endswith((".gitignore", ".connect.tgz"))
        if file.is_file() and not made:
            assert path in shipped or path in left_out or below, path


@pytest.mark.parametrize(
    ("content", "files"),
    [
        ("orders", {"orders/app.py", "stock/model.py", "shared.py"}),
        ("stock", {"stock/ui.py", "stock/model.py", "shared.py"}),
        ("report", {"report.ipynb", "shared.py"}),
        ("site", {"index.html"}),
    ],
)
def test_contents_do_not_carry_one_another_but_for_what_they_import(
    tmp_path: Path, sandbox: Sandbox, content: str, files: set[str]
) -> None:
    tree = {
        "orders/app.py": APP + "import stock.model\n",
        "stock/ui.py": "import streamlit\n",
        "stock/model.py": "",
        "report.ipynb": "{}",
        "site/index.html": "<p>",
        "shared.py": "",
        "requirements.txt": "flask==3.0\nstreamlit==1.0\nipykernel==6.0\n",
        ".python-version": "3.12\n",
    }
    root = write_files(tmp_path / "p", tree)
    (root / "pyproject.toml").write_text(CONTENTS, encoding="utf-8")
    one = build_one(root, sandbox.environ, Heard(), content=content)
    usual = {"manifest.json", "requirements.txt", "pyproject.toml", ".python-version"}
    assert set(paths(one)) - usual == files
    if content == "stock":
        assert rules(one)["orders/app.py"] == "the content `orders` of this project"


def test_the_package_of_an_entrypoint_counts_as_imported(tmp_path: Path, sandbox: Sandbox) -> None:
    table = "".join(
        f'[tool.hatch-connect.content.{name}]\napp-mode = "flask"\nentrypoint = "shop.{name}:app"\n'
        for name in ("orders", "stock", "extra")
    )
    files = {
        "pyproject.toml": table,
        "shop/__init__.py": "from .stock import app\n",
        "shop/orders.py": APP,
        "shop/stock.py": APP,
        "shop/extra.py": APP,
        "requirements.txt": "flask==3.0\n",
        ".python-version": "3.12\n",
    }
    root = write_files(tmp_path / "p", files)
    one = build_one(root, sandbox.environ, Heard(), content="orders")
    assert {"shop/__init__.py", "shop/orders.py", "shop/stock.py"} <= set(paths(one))
    assert rules(one)["shop/extra.py"] == "the content `extra` of this project"


def test_a_site_at_the_root_does_not_hand_out_the_code_of_an_api(
    tmp_path: Path, sandbox: Sandbox
) -> None:
    table = (
        '[tool.hatch-connect]\napp-mode = "html"\nentrypoint = "index.html"\n'
        '[tool.hatch-connect.content.api]\napp-mode = "flask"\nentrypoint = "api.main:app"\n'
        "[tool.hatch-connect.content.broken]\ntitle = 3\n"
    )
    files = {"pyproject.toml": table, "index.html": "", "api/main.py": APP, "api/db.py": ""}
    root = write_files(tmp_path / "p", files)
    one = build_one(root, sandbox.environ, Heard())
    assert paths(one) == ["index.html"]
    line = 'include = ["api/db.py"]\n'
    text = table.replace("[tool.hatch-connect]\n", f"[tool.hatch-connect]\n{line}")
    (root / "pyproject.toml").write_text(text, encoding="utf-8")
    one = build_one(root, sandbox.environ, Heard())
    assert set(paths(one)) == {"index.html", "api/db.py"}


def config(tmp_path: Path, app_mode: str, entrypoint: str | None) -> ProjectConfig:
    line = f'entrypoint = "{entrypoint}"\n' if entrypoint else ""
    connect = f'[tool.hatch-connect]\napp-mode = "{app_mode}"\n{line}'
    return configuration(project(tmp_path, {**PACKAGE, "saved_model.pb": ""}, connect=connect))


@pytest.mark.parametrize(
    ("app_mode", "entrypoint", "files"),
    [
        ("fastapi", "a.b:app", ("a/b.py", "a/b/__init__.py")),
        ("flask", "app", ("app.py", "app/__init__.py")),
        ("streamlit", "app.py", ("app.py",)),
        ("streamlit", "pages/app.py", ("pages/app.py",)),
        ("shiny", "shiny.express.app:my_2d_app_2e_py", ("my-app.py",)),
        ("shiny", "app:app", ("app.py", "app/__init__.py")),
        ("static", "docs/index.html", ("docs/index.html",)),
        ("tensorflow", None, ()),
    ],
)
def test_where_an_entrypoint_is(
    tmp_path: Path, app_mode: str, entrypoint: str | None, files: tuple[str, ...]
) -> None:
    assert entry_files(config(tmp_path, app_mode, entrypoint)) == files


@pytest.mark.parametrize(
    ("paths", "there"),
    [
        ({"a/b.py"}, True),
        ({"a/b/__init__.py"}, True),
        ({"a/b.cpython-311-x86_64-linux-gnu.so"}, True),
        ({"a/b.cp311-win_amd64.pyd"}, True),
        ({"a/b.txt", "a/bc.py", "b.py"}, False),
        (set(), False),
    ],
)
def test_a_module_may_be_compiled(paths: set[str], *, there: bool) -> None:
    assert has_entry(("a/b.py", "a/b/__init__.py"), paths) is there


def test_a_folder_may_be_an_entrypoint() -> None:
    assert has_entry(("notebooks",), {"notebooks/a.ipynb"})
    assert has_entry((), set())
