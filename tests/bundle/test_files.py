"""Files that go with what the build selected, and files that are held back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.bundles import Heard, members_of, write_files
from support.projects import APP, CONNECT, HATCHLING, PACKAGE, build_one, paths, project, rules
from support.sandbox import committed

from hatch_connect.errors import BundleError, LockError
from hatch_connect.locks.lock import Lock, Pin

if TYPE_CHECKING:
    from pathlib import Path

    from support.sandbox import Sandbox

SETUPTOOLS = '[build-system]\nrequires = ["setuptools"]\nbuild-backend = "setuptools.build_meta"\n'
HTML = '[tool.hatch-connect]\napp-mode = "html"\n'
VOILA = '[tool.hatch-connect]\napp-mode = "voila"\nentrypoint = "notebooks"\n'
REQUIREMENTS = {
    "requirements/prod.txt": "-r base.txt\n-c ../constraints.txt\nfastapi==0.115.0\n",
    "requirements/base.txt": "voila==0.5\n",
    "constraints.txt": "anyio==4.0\n",
}
INSTALLED = Lock(
    path=None,
    format="installed",
    pins=(Pin(name="jinja2", requirement="Jinja2==3.1", version="3.1"),),
)


def test_a_folder_is_listed_as_one_whatever_ships_from_another_of_its_name(
    tmp_path: Path, sandbox: Sandbox
) -> None:
    files = {"out/a.csv": "", "web/a.js": "", "web/out/b.js": "", ".gitignore": "out/\n"}
    connect = CONNECT + 'include = ["/out/a.csv"]\n'
    root = project(tmp_path / "p", {**PACKAGE, **files}, connect=connect)
    built = build_one(root, sandbox.environ)
    assert "out/a.csv" in paths(built)
    assert rules(built)["web/out/"] == "git would ignore it (.gitignore)"


def test_a_folder_that_is_forced_into_the_wheel_is_not_left_out(
    tmp_path: Path, sandbox: Sandbox
) -> None:
    more = '[tool.hatch.build.targets.wheel.force-include]\n"src/assets" = "assets"\n'
    root = project(tmp_path / "p", {**PACKAGE, "src/assets/x.css": ""}, more=more)
    built = build_one(root, sandbox.environ)
    assert "assets/x.css" in paths(built)
    assert "src/assets/x.css" not in rules(built)


def test_what_is_about_the_project_is_no_part_of_a_document_though_the_wheel_holds_it(
    tmp_path: Path, sandbox: Sandbox
) -> None:
    more = '[tool.hatch.build.targets.wheel.force-include]\n"uv.lock" = "uv.lock"\n'
    more += '"n.ipynb" = "n.ipynb"\n'
    connect = '[tool.hatch-connect]\napp-mode = "jupyter-static"\nentrypoint = "n.ipynb"\n'
    connect += 'requirements-file = "requirements.txt"\n'
    files = {"n.ipynb": '{"cells": []}', "requirements.txt": "ipykernel==6.29.5\n", "uv.lock": ""}
    root = project(tmp_path / "p", {**PACKAGE, **files}, connect=connect, more=more)
    built = build_one(root, sandbox.environ)
    assert "n.ipynb" in paths(built)
    assert rules(built)["uv.lock"] == "about the project, not part of a document"


def test_bundles_may_go_into_a_folder_around_the_project(tmp_path: Path, sandbox: Sandbox) -> None:
    connect = CONNECT.replace("sales_api.main", "app")
    root = project(tmp_path / "p", {"app.py": APP}, connect=connect, system="")
    built = build_one(root, sandbox.environ, directory=tmp_path)
    assert built.bundle.path.parent == tmp_path
    assert "app.py" in paths(built)


class TestRequirementsFile:
    NAMED = CONNECT + 'requirements-file = "requirements/prod.txt"\n'

    def test_it_ships_as_written_with_what_it_includes(
        self, tmp_path: Path, sandbox: Sandbox
    ) -> None:
        root = project(tmp_path / "p", {**PACKAGE, **REQUIREMENTS}, connect=self.NAMED)
        built = build_one(root, sandbox.environ)
        members = members_of(built.bundle.path)
        assert {name: members[name].decode() for name in REQUIREMENTS} == REQUIREMENTS
        assert built.bundle.manifest.python is not None
        assert built.bundle.manifest.python.package_file == "requirements/prod.txt"

    def test_no_rule_holds_it_back(self, tmp_path: Path, sandbox: Sandbox) -> None:
        connect = self.NAMED.replace("sales_api.main", "app") + 'exclude = ["requirements/"]\n'
        root = project(tmp_path / "p", {"app.py": APP, **REQUIREMENTS}, connect=connect)
        assert set(REQUIREMENTS) <= set(paths(build_one(root, sandbox.environ)))

    def test_a_call_may_name_it(self, tmp_path: Path, sandbox: Sandbox) -> None:
        root = project(tmp_path / "p", {**PACKAGE, **REQUIREMENTS})
        overrides = {"requirements-file": "requirements/base.txt"}
        built = build_one(root, sandbox.environ, overrides=overrides)
        assert built.bundle.manifest.to_dict()["python"] == {
            "version": "3.11.0",
            "package_manager": {
                "name": "pip",
                "version": "25.0",
                "package_file": "requirements/base.txt",
            },
        }

    @pytest.mark.parametrize(
        ("named", "shipped"),
        [
            ("notebooks/requirements.txt", "requirements.txt"),
            ("requirements/base.txt", "requirements/base.txt"),
        ],
    )
    def test_in_a_folder_that_becomes_the_root(
        self, tmp_path: Path, sandbox: Sandbox, named: str, shipped: str
    ) -> None:
        files = {"notebooks/a.ipynb": "", "notebooks/requirements.txt": "voila==0.5\n"}
        connect = f'{VOILA}requirements-file = "{named}"\n'
        root = project(tmp_path / "p", {**files, **REQUIREMENTS}, connect=connect, system="")
        assert paths(build_one(root, sandbox.environ))[0] == shipped


class TestGenerated:
    def test_any_lock_is_passed_over(self, tmp_path: Path, sandbox: Sandbox) -> None:
        root = project(tmp_path / "p", PACKAGE)
        built = build_one(
            root, sandbox.environ, overrides={"force-generate": True}, installed=INSTALLED
        )
        text = members_of(built.bundle.path)["requirements.txt"].decode()
        assert text.splitlines()[-1] == "Jinja2==3.1"

    def test_a_lock_of_a_tool_is_no_obstacle(self, tmp_path: Path, sandbox: Sandbox) -> None:
        root = project(tmp_path / "p", {**PACKAGE, "poetry.lock": ""})
        (root / "requirements.txt").unlink()
        built = build_one(
            root,
            sandbox.environ,
            overrides={"force-generate": True, "override-python-version": "3.11"},
            installed=INSTALLED,
        )
        assert built.lock == INSTALLED

    def test_an_interpreter_must_be_asked(self, tmp_path: Path, sandbox: Sandbox) -> None:
        root = project(tmp_path / "p", PACKAGE)
        with pytest.raises(LockError, match="from an interpreter, but none was inspected"):
            build_one(root, sandbox.environ, overrides={"force-generate": True})


class TestFolders:
    SITE = {"site/index.html": "", "site/dist/app.js": "", "site/.env": "", "site/.git/x": ""}  # noqa: RUF012 - never changed

    @pytest.mark.parametrize("system", ["", HATCHLING, SETUPTOOLS])
    def test_a_site_ships_alone_whatever_builds_the_project(
        self, tmp_path: Path, sandbox: Sandbox, system: str
    ) -> None:
        root = project(tmp_path / "p", {**PACKAGE, **self.SITE}, connect=HTML, system=system)
        built = build_one(root, sandbox.environ)
        assert paths(built) == ["dist/app.js", "index.html"]
        assert rules(built)["site/.env"] == "guard: environment variables"

    def test_git_has_no_say_in_a_site_that_a_program_made(
        self, tmp_path: Path, sandbox: Sandbox
    ) -> None:
        connect = HTML + 'entrypoint = "dist/html"\nexclude = ["*.map"]\n'
        files = {"dist/html/index.html": "", "dist/html/a.map": ""}
        root = committed(project(tmp_path / "p", files, connect=connect, system=""), sandbox)
        built = build_one(root, sandbox.environ)
        assert paths(built) == ["index.html"]
        assert rules(built)["dist/html/a.map"] == "exclude: *.map"

    def test_a_site_at_the_top_ships_without_what_is_about_the_project(
        self, tmp_path: Path, sandbox: Sandbox
    ) -> None:
        locks = ("uv.lock", "pylock.x.toml", "requirements.txt", "pixi.lock", "conda-lock.yml")
        files = {"index.html": "", "a.css": "", ".hidden": "", **dict.fromkeys(locks, "")}
        root = project(tmp_path / "p", files, connect=HTML, system="")
        built = build_one(root, sandbox.environ)
        assert paths(built) == ["a.css", "index.html"]
        assert rules(built)["pyproject.toml"] == "about the project, not part of a document"

    def test_what_is_named_ships_all_the_same(self, tmp_path: Path, sandbox: Sandbox) -> None:
        connect = HTML + 'include = ["/pyproject.toml"]\n'
        root = project(tmp_path / "p", {"index.html": ""}, connect=connect, system="")
        assert paths(build_one(root, sandbox.environ)) == ["index.html", "pyproject.toml"]

    def test_notebooks_of_a_folder_ship_beside_the_package(
        self, tmp_path: Path, sandbox: Sandbox
    ) -> None:
        files = {**PACKAGE, "notebooks/a.ipynb": "", "notebooks/b.ipynb": "", "other.txt": ""}
        files["requirements.txt"] = "voila==0.5\n"
        root = committed(project(tmp_path / "p", files, connect=VOILA), sandbox)
        shipped = paths(build_one(root, sandbox.environ))
        assert {"a.ipynb", "b.ipynb", "sales_api/main.py"} <= set(shipped)
        assert not {"notebooks/a.ipynb", "other.txt"} & set(shipped)

    def test_each_piece_of_content_is_built_in_its_own_way(
        self, tmp_path: Path, sandbox: Sandbox
    ) -> None:
        """The main one needs a wheel of its back end, a page does not."""
        more = '[tool.hatch-connect.content.page]\napp-mode = "html"\nentrypoint = "a.html"\n'
        more += '[tool.hatch-connect.content.site]\napp-mode = "html"\nentrypoint = "site"\n'
        files = {"a.html": "", "site/index.html": ""}
        root = project(tmp_path / "p", files, more=more, system=SETUPTOOLS)
        page, site = (build_one(root, sandbox.environ, content=name) for name in ("page", "site"))
        assert "a.html" in paths(page)
        assert paths(site) == ["index.html"]


def test_overrides_reach_the_manifest(tmp_path: Path, sandbox: Sandbox) -> None:
    overrides = {
        "environment-management": {"python": False},
        "image": "a/b:1",
        "package-installer": "uv",
    }
    root = project(tmp_path / "p", PACKAGE)
    manifest = build_one(root, sandbox.environ, overrides=overrides).bundle.manifest.to_dict()
    assert manifest["environment"] == {
        "python": {"requires": "~=3.11.0"},
        "image": "a/b:1",
        "environment_management": {"python": False},
    }
    assert manifest["python"] == {
        "version": "3.11.0",
        "package_manager": {
            "name": "uv",
            "version": "25.0",
            "package_file": "requirements.txt",
            "allow_uv": True,
        },
    }


@pytest.mark.parametrize(
    ("entrypoint", "files", "shipped"),
    [
        (None, ["m/1/saved_model.pb", "m/2/saved_model.pbtxt"], None),
        ("m/2", ["m/1/saved_model.pb", "m/2/saved_model.pbtxt", "m/2/assets/a"], ["2/assets/a"]),
        ("m", ["m/saved_model.pbtxt", "m/variables/v"], ["1/saved_model.pbtxt", "1/variables/v"]),
        (None, ["1/saved_model.pb", "1/variables/v"], ["1/saved_model.pb", "1/variables/v"]),
        (None, ["saved_model.pb", "variables/v"], ["1/saved_model.pb", "1/variables/v"]),
    ],
)
def test_a_model_ships_in_the_folder_of_its_version(
    tmp_path: Path,
    sandbox: Sandbox,
    entrypoint: str | None,
    files: list[str],
    shipped: list[str] | None,
) -> None:
    line = f'entrypoint = "{entrypoint}"\n' if entrypoint else ""
    text = f'[tool.hatch-connect]\napp-mode = "tensorflow"\n{line}'
    root = write_files(tmp_path / "p", {**dict.fromkeys(files, ""), "pyproject.toml": text})
    there = paths(build_one(root, sandbox.environ))
    expected = shipped or [path.removeprefix("m/") for path in files]
    assert set(expected) <= set(there)
    assert all(path[0].isdecimal() for path in there if "pyproject" not in path)


def test_a_model_that_git_ignores_is_missed(tmp_path: Path, sandbox: Sandbox) -> None:
    text = '[tool.hatch-connect]\napp-mode = "tensorflow"\n'
    files = {"pyproject.toml": text, "1/saved_model.pb": "", ".gitignore": "*.pb\n"}
    root = write_files(tmp_path / "p", files)
    with pytest.raises(BundleError, match="No SavedModel of") as caught:
        build_one(root, sandbox.environ)
    assert "include" in str(caught.value.hint)


def test_a_models_image_is_all_of_its_environment(tmp_path: Path, sandbox: Sandbox) -> None:
    text = '[tool.hatch-connect]\napp-mode = "tensorflow"\nimage = "a/b:1"\n'
    files = {"pyproject.toml": text, "m/1/saved_model.pb": "", "m/1/variables/v": ""}
    built = build_one(write_files(tmp_path / "p", files), sandbox.environ)
    assert paths(built) == ["1/saved_model.pb", "1/variables/v"]
    assert built.bundle.manifest.to_dict()["environment"] == {"image": "a/b:1"}


def test_options_that_mean_nothing_without_packages_are_said(
    tmp_path: Path, sandbox: Sandbox
) -> None:
    files = {"pyproject.toml": HTML + 'python-version = "3.12"\n', "index.html": ""}
    heard = Heard()
    build_one(
        write_files(tmp_path / "p", files),
        sandbox.environ,
        heard,
        overrides={"requirements-file": "requirements.txt"},
        options_of_python=("--python",),
    )
    said = "`requirements-file` (set by an option), `tool.hatch-connect.python-version`, --python."
    why = (
        "These settings have no effect for static HTML content, for which no packages are installed"
    )
    assert f"{why}: {said}" in heard.text
