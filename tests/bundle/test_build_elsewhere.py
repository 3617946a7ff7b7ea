"""Projects whose build needs more than this process has."""

from __future__ import annotations

import sys
from functools import partial
from typing import TYPE_CHECKING

import pytest
from support.bundles import Heard, members_of
from support.fake_quarto import install_quarto
from support.projects import APP, CONNECT, HATCHLING, PACKAGE, build_one, paths, project, rules
from support.sandbox import REPOSITORY, Sandbox, committed

from hatch_connect.bundle import build, strategy
from hatch_connect.bundle.bundle import BundleContents
from hatch_connect.bundle.strategy import BuildStrategy, ChosenStrategy
from hatch_connect.errors import BuildError, BundleError, LockError
from hatch_connect.events import Detail

if TYPE_CHECKING:
    from pathlib import Path

OWN = f"hatch-connect @ {REPOSITORY.as_uri()}"
TARGET = f'[tool.hatch.build.targets.connect]\ndependencies = ["{OWN}"]\n'
CUSTOM = "[tool.hatch.build.targets.wheel.hooks.custom]\n"
HOOK = """
from hatchling.builders.hooks.plugin.interface import BuildHookInterface
class Hook(BuildHookInterface):
    def initialize(self, version, build_data):
        print("said by a hook")
        with open("made.txt", "w") as file:
            file.write("made")
        build_data["force_include"]["made.txt"] = "sales_api/made.txt"
"""


@pytest.fixture
def environ(sandbox: Sandbox) -> dict[str, str]:
    return sandbox.environ


def has(heard: Heard, text: str) -> bool:
    return any(isinstance(event, Detail) and text in event.text for event in heard.events)


@pytest.mark.registry
@pytest.mark.parametrize("way", ["hatch", "isolated"])
def test_a_project_with_a_hook_of_its_own(
    tmp_path: Path, environ: dict[str, str], way: str
) -> None:
    files = {**PACKAGE, "hatch_build.py": HOOK, "docs/x.md": ""}
    more = CUSTOM + (TARGET if way == "hatch" else "")
    root = project(tmp_path / "a project", files, more=more)
    heard = Heard()
    built = build_one(root, environ, heard, overrides={"include": ["/docs/"]})
    assert has(heard, "the build hook 'custom' is used")
    assert {"sales_api/made.txt", "docs/x.md"} <= set(paths(built))
    assert members_of(built.bundle.path)["sales_api/made.txt"] == b"made"
    assert built.bundle.path == root / "dist" / "connect" / "sales-api-1.2.0.connect.tgz"
    assert built.bundle.size == built.bundle.path.stat().st_size
    assert built.python is not None
    assert built.lock is not None
    if way == "isolated":
        return
    elsewhere = build_one(root, environ, directory=tmp_path / "out")
    assert elsewhere.bundle.path.parent == tmp_path / "out"
    (root / "requirements.txt").unlink()
    with pytest.raises(LockError, match="uv lock"):
        build_one(root, environ)


def elsewhere(monkeypatch: pytest.MonkeyPatch, *command: str) -> None:
    """Build through a command that stands in for `hatch`."""
    decided = ChosenStrategy(strategy=BuildStrategy.HATCH, because="a test", hatch=command)
    monkeypatch.setattr(build, "choose_strategy", lambda *_: decided)


def test_a_build_that_fails_shows_its_last_words(
    tmp_path: Path, environ: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    said = "import sys; print('the compiler is missing', file=sys.stderr); sys.exit(3)"
    elsewhere(monkeypatch, sys.executable, "-c", said)
    with pytest.raises(BuildError, match=r"exit code 3:\nthe compiler is missing"):
        build_one(project(tmp_path / "p", PACKAGE), environ)


def test_what_hatch_set_for_the_caller_does_not_reach_the_build(
    tmp_path: Path, environ: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    said = "import os, sys; print('with', *sorted(n for n in os.environ if n[:6] == 'HATCH_'))"
    elsewhere(monkeypatch, sys.executable, "-c", f"{said}; sys.exit(3)")
    of_the_caller = ("HATCH_ENV_ACTIVE", "HATCH_BUILD_HOOKS_ONLY", "HATCH_BUILD_CLEAN")
    given = dict.fromkeys((*of_the_caller, "HATCH_VERBOSE"), "1") | {"PATH": environ["PATH"]}
    with pytest.raises(BuildError, match="with HATCH_CONNECT_OPTIONS HATCH_VERBOSE\n"):
        build_one(project(tmp_path / "p", PACKAGE), given)


def test_a_build_that_says_nothing_of_a_bundle(
    tmp_path: Path, environ: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere(monkeypatch, sys.executable, "-c", "pass")
    with pytest.raises(BuildError, match="exit code 0"):
        build_one(project(tmp_path / "p", PACKAGE), environ)


# Stands in for `hatch -e default build`: Hatchling in this environment.
HATCHLING_ALONE = "import sys; del sys.argv[1:3]; from hatchling.cli import hatchling; hatchling()"


LATE_HOOK = """
import zipfile
from hatchling.builders.hooks.plugin.interface import BuildHookInterface
class Hook(BuildHookInterface):
    def finalize(self, version, build_data, artifact_path):
        with zipfile.ZipFile(artifact_path, "a") as wheel:
            names = wheel.namelist()
            wheel.writestr("sales_api/late.txt", "".join(name for name in names if "main" in name))
"""


def test_a_hook_sees_the_whole_wheel_and_may_change_it(
    tmp_path: Path, environ: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a hook, files of the tree are not packed into the wheel."""
    root = project(tmp_path / "p", PACKAGE)
    alone = members_of(build_one(root, environ).bundle.path)
    with (root / "pyproject.toml").open("a", encoding="utf-8") as file:
        file.write(CUSTOM)
    (root / "hatch_build.py").write_text(LATE_HOOK, encoding="utf-8")
    elsewhere(monkeypatch, sys.executable, "-c", HATCHLING_ALONE)
    hooked = members_of(build_one(root, environ).bundle.path)
    assert hooked.pop("sales_api/late.txt") == b"sales_api/main.py"
    del alone["manifest.json"], hooked["manifest.json"]
    assert hooked == alone


@pytest.mark.parametrize("way", ["here", "elsewhere"])
def test_nothing_is_packed_if_only_the_manifest_is_wanted(
    tmp_path: Path, environ: dict[str, str], monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    root = project(tmp_path / "p", PACKAGE)
    packed = build_one(root, environ)
    packed.bundle.path.unlink()
    if way == "elsewhere":
        elsewhere(monkeypatch, sys.executable, "-c", HATCHLING_ALONE)
    contents = BundleContents(
        manifest=packed.bundle.manifest,
        digest=packed.bundle.digest,
        identity=packed.bundle.identity,
        sizes=packed.bundle.sizes,
    )
    assert build_one(root, environ, form="manifest").contents == contents
    assert build_one(root, environ, unless=contents.identity).contents == contents
    assert not packed.bundle.path.exists()
    assert build_one(root, environ, unless="another").contents == packed.bundle


ARCHIVE_HOOK = """
import shutil
from hatchling.builders.hooks.plugin.interface import BuildHookInterface
class Hook(BuildHookInterface):
    def finalize(self, version, build_data, artifact_path):
        shutil.copy(artifact_path, self.root + "/copy.tgz")
"""


def test_a_hook_that_is_handed_the_archive_has_one(
    tmp_path: Path, environ: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    root = project(tmp_path / "p", PACKAGE, more=CUSTOM.replace("wheel", "connect"))
    (root / "hatch_build.py").write_text(ARCHIVE_HOOK, encoding="utf-8")
    elsewhere(monkeypatch, sys.executable, "-c", HATCHLING_ALONE)
    first = build_one(root, environ)
    for again in (
        partial(build_one, form="manifest"),
        partial(build_one, unless=first.bundle.identity),
    ):
        (root / "copy.tgz").unlink()
        assert again(root, environ).contents == first.bundle


@pytest.mark.skipif(sys.platform == "win32", reason="a script stands for Quarto")
def test_packages_that_nothing_locks_are_missed_only_where_a_document_needs_them(
    tmp_path: Path, environ: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere(monkeypatch, sys.executable, "-c", HATCHLING_ALONE)
    table = '[tool.hatch-connect]\napp-mode = "quarto"\nentrypoint = "a.qmd"\n'
    root = project(tmp_path / "p", {"a.qmd": "text\n"}, connect=table)
    environ = environ | install_quarto(tmp_path / "bin")
    with_lock = build_one(root, environ)
    assert (with_lock.python, with_lock.lock) == (None, None)
    (root / "requirements.txt").unlink()
    assert paths(build_one(root, environ)) == paths(with_lock)
    (root / "a.qmd").write_text("```{python}\n1\n```\n", encoding="utf-8")
    with pytest.raises(LockError, match="no lock"):
        build_one(root, environ)
    (root / "requirements.txt").write_text("jupyter==1.1.1\n", encoding="utf-8")
    built = build_one(root, environ, overrides={"override-python-version": "3.12"})
    assert built.python is not None
    assert built.python.asked == "3.12"
    assert members_of(built.bundle.path)["requirements.txt"] == b"jupyter==1.1.1\n"


BACKENDS = {
    "flit": ('"flit_core>=3.9"', "flit_core.buildapi", '[tool.flit.module]\nname = "sales_api"\n'),
    "setuptools": ('"setuptools>=61"', "setuptools.build_meta", ""),
}


@pytest.mark.registry
@pytest.mark.parametrize("name", BACKENDS)
def test_another_back_end(tmp_path: Path, sandbox: Sandbox, name: str) -> None:
    requires, backend, more = BACKENDS[name]
    system = f'[build-system]\nrequires = [{requires}]\nbuild-backend = "{backend}"\n'
    files = {**PACKAGE, "app.py": APP, "data/x.csv": "1"}
    connect = CONNECT.replace("sales_api.main", "app") + 'include = ["/data/"]\n'
    connect += "exclude = ['sales_api/__init__.py']\n"
    more += '[project.scripts]\nrun = "sales_api.main:app"\n'
    root = project(tmp_path / "p", files, system=system, connect=connect)
    text = (root / "pyproject.toml").read_text("utf-8")
    text = text.replace("[project]\n", '[project]\ndescription = "x"\n')
    (root / "pyproject.toml").write_text(text + more, encoding="utf-8")
    committed(root, sandbox)
    built = build_one(root, sandbox.environ)
    info = "sales_api-1.2.0.dist-info"
    assert paths(built) == [
        *("requirements.txt", "app.py", "data/x.csv"),
        *(f"{info}/METADATA", f"{info}/entry_points.txt", "sales_api/main.py"),
    ]
    assert rules(built)["sales_api/__init__.py"] == "exclude: sales_api/__init__.py"
    assert sandbox.git("status", "--short", cwd=root) == ""


@pytest.mark.registry
def test_a_back_end_that_fails(tmp_path: Path, environ: dict[str, str]) -> None:
    system = '[build-system]\nrequires = ["setuptools"]\nbuild-backend = "setuptools.build_meta"\n'
    root = project(tmp_path / "p", PACKAGE, system=system, more="[tool.setuptools]\npackages = 3\n")
    with pytest.raises(BuildError, match="in an isolated environment") as caught:
        build_one(root, environ)
    assert "File " not in caught.value.message


def test_a_requirement_that_is_none(tmp_path: Path, environ: dict[str, str]) -> None:
    system = '[build-system]\nrequires = ["no requirement!"]\nbuild-backend = "x"\n'
    root = project(tmp_path / "p", PACKAGE, system=system)
    with pytest.raises(BuildError, match="in an isolated environment"):
        build_one(root, environ)


def test_a_tree_without_a_back_end(tmp_path: Path, environ: dict[str, str]) -> None:
    files = {"app.py": APP, "lib/x.py": "", "x.md": ""}
    connect = CONNECT.replace("sales_api.main", "app") + 'exclude = ["*.md"]\n'
    root = project(tmp_path / "p", files, system="", connect=connect)
    built = build_one(root, environ)
    assert {"app.py", "lib/x.py", "pyproject.toml"} <= set(paths(built))
    assert rules(built)["x.md"] == "exclude: *.md"
    assert built.bundle.path.name == "sales-api-1.2.0.connect.tgz"


def test_a_tree_without_a_project_table(tmp_path: Path, environ: dict[str, str]) -> None:
    root = project(tmp_path / "some app", {"app.py": APP}, system="")
    text = CONNECT.replace("sales_api.main", "app")
    (root / "pyproject.toml").write_text(text, encoding="utf-8")
    built = build_one(root, environ)
    assert built.bundle.path.name == "some-app.connect.tgz"


def test_a_selection_that_is_wrong(tmp_path: Path, environ: dict[str, str]) -> None:
    more = "[tool.hatch.build.targets.connect]\nexclude = 3\n"
    connect = CONNECT.replace("sales_api.main", "app")
    root = project(tmp_path / "p", {"app.py": APP}, system="", connect=connect, more=more)
    with pytest.raises(BuildError, match="cannot be selected"):
        build_one(root, environ)


def test_nothing_that_holds_the_entrypoint(tmp_path: Path, environ: dict[str, str]) -> None:
    (tmp_path / "pyproject.toml").write_text(CONNECT + HATCHLING[:0], encoding="utf-8")
    with pytest.raises(BundleError, match="no back end"):
        build_one(tmp_path, environ)
    assert strategy.OWN_NAME == "hatch-connect"
