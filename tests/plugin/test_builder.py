"""The builder target, run as Hatchling and Hatch run it: as a subprocess."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.bundles import members_of
from support.projects import APP, CONNECT, LOCKED, PACKAGE, build_one, paths, project
from support.sandbox import REPOSITORY, Finished, Sandbox, committed

from hatch_connect.bundle.build_protocol import VARIABLE
from hatch_connect.bundle.bundle import Bundle

if TYPE_CHECKING:
    from pathlib import Path

NAME = "sales-api-1.2.0.connect.tgz"


def hatchling(sandbox: Sandbox, root: Path, *arguments: str, **environ: str) -> Finished:
    return sandbox.python("-m", "hatchling", "build", *arguments, cwd=root, **environ)


def test_a_bundle_as_a_build_artifact(tmp_path: Path, sandbox: Sandbox) -> None:
    root = committed(project(tmp_path / "a project", PACKAGE), sandbox)
    done = hatchling(sandbox, root, "-t", "connect")
    assert done.code == 0, done.said
    assert done.stderr.splitlines()[-1] == f"dist/connect/{NAME}"
    bundle = Bundle.open(root / "dist" / "connect" / NAME, into=tmp_path)
    assert "sales_api/main.py" in {file.path for file in bundle.manifest.files}
    (root / ".gitignore").write_text("", encoding="utf-8")
    assert sandbox.git("status", "--short", cwd=root) == " M .gitignore\n"


def test_every_way_gives_the_same_bytes(tmp_path: Path, sandbox: Sandbox) -> None:
    one = project(tmp_path / "1", PACKAGE)
    other = project(tmp_path / "2", PACKAGE)
    assert hatchling(sandbox, one, "-t", "connect").code == 0
    built = build_one(other, sandbox.environ)
    assert (one / "dist" / "connect" / NAME).read_bytes() == built.bundle.path.read_bytes()


@pytest.mark.registry
def test_hatch_build_gives_the_same_bytes_and_leaves_the_rest_alone(
    tmp_path: Path, sandbox: Sandbox
) -> None:
    own = f'dependencies = ["hatch-connect @ {REPOSITORY.as_uri()}"]'
    more = f"[tool.hatch.build.targets.connect]\n{own}\n"
    root = committed(project(tmp_path / "p", PACKAGE, more=more), sandbox)
    done = sandbox.hatch("build", "-t", "connect", cwd=root)
    assert done.code == 0, done.said
    first = (root / "dist" / "connect" / NAME).read_bytes()
    assert build_one(root, sandbox.environ).bundle.path.read_bytes() == first
    wrong = project(root, {}, more=more, connect=CONNECT.replace("main", "mian"))
    done = sandbox.hatch("build", "-t", "connect", cwd=wrong)
    assert done.code == 2
    assert "sales_api.mian:app" in done.said
    assert "Traceback" not in done.said
    done = sandbox.hatch("build", cwd=root)
    assert done.code == 0, done.said
    assert sorted(p.name for p in (root / "dist").iterdir() if p.is_file()) == [
        "sales_api-1.2.0-py3-none-any.whl",
        "sales_api-1.2.0.tar.gz",
    ]
    wheel = members_of(root / "dist" / "sales_api-1.2.0.tar.gz")
    assert not any("manifest.json" in name for name in wheel)


@pytest.mark.parametrize(
    ("connect", "said"),
    [
        (CONNECT + "title = 3\n", "`tool.hatch-connect.title`"),
        (CONNECT.replace("main", "mian"), "Possible modules: sales_api.main"),
    ],
)
def test_an_error_ends_the_build_with_2_and_no_traceback(
    tmp_path: Path, sandbox: Sandbox, connect: str, said: str
) -> None:
    done = hatchling(sandbox, project(tmp_path, PACKAGE, connect=connect), "-t", "connect")
    assert done.code == 2
    assert said in done.stderr
    assert "Traceback" not in done.said


def test_hooks_alone_make_no_bundle(tmp_path: Path, sandbox: Sandbox) -> None:
    root = project(tmp_path, PACKAGE)
    done = hatchling(sandbox, root, "-t", "connect", "--hooks-only")
    assert done.code == 0, done.said
    assert not (root / "dist" / "connect" / NAME).exists()


def test_options_that_are_not_ours_are_refused(tmp_path: Path, sandbox: Sandbox) -> None:
    root = project(tmp_path, PACKAGE)
    done = hatchling(sandbox, root, "-t", "connect", **{VARIABLE: "nonsense"})
    assert done.code == 2
    assert VARIABLE in done.stderr


CONTENTS = """
[tool.hatch-connect.content.api]
entrypoint = "sales_api.main:app"
[tool.hatch-connect.content.docs]
app-mode = "static"
entrypoint = "index.html"
"""


def test_a_bundle_for_each_piece_of_content(tmp_path: Path, sandbox: Sandbox) -> None:
    files = {**PACKAGE, "index.html": ""}
    root = project(tmp_path, files, more=CONTENTS)
    assert hatchling(sandbox, root, "-t", "connect").code == 0
    folder = root / "dist" / "connect"
    assert sorted(p.name for p in folder.glob("*.connect.tgz")) == [
        NAME,
        "sales-api-api-1.2.0.connect.tgz",
        "sales-api-docs-1.2.0.connect.tgz",
    ]
    assert hatchling(sandbox, root, "-c", "-t", "connect:docs").code == 0
    assert [p.name for p in folder.glob("*.connect.tgz")] == ["sales-api-docs-1.2.0.connect.tgz"]


@pytest.mark.parametrize(
    ("target", "more", "said"),
    [
        (
            "connect:nope",
            CONTENTS,
            "There is no table `tool.hatch-connect.content.nope`.\nAvailable: api, docs.",
        ),
        ("connect", "[tool.hatch.build.targets.connect]\ndirectory = 3\n", "must be a string"),
        ("connect", "[tool.hatch.build.targets.connect.hooks.nope]\n", "Unknown build hook: nope"),
        ("connect", '[tool.hatch.build.targets.connect]\nversions = ["nope"]\n', "nope"),
    ],
)
def test_what_hatchling_refuses_is_a_message(
    target: str, more: str, said: str, tmp_path: Path, sandbox: Sandbox
) -> None:
    root = project(tmp_path, {**PACKAGE, "index.html": ""}, more=more)
    done = hatchling(sandbox, root, "-t", target)
    assert done.code == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_targets_that_share_a_folder_keep_their_artifacts(tmp_path: Path, sandbox: Sandbox) -> None:
    root = project(tmp_path, {**PACKAGE, ".python-version": "3.12\n"})
    folder = root / "out"
    names = {"sales_api-1.2.0.tar.gz", "sales_api-1.2.0-py3-none-any.whl", NAME}
    for clean in ((), ("-c",), ("-c",)):
        for target in ("sdist", "wheel", "connect"):
            done = hatchling(sandbox, root, *clean, "-t", target, "-d", str(folder))
            assert done.code == 0, done.said
        assert {p.name for p in folder.iterdir()} - {".gitignore"} == names


def test_cleaning_removes_bundles_with_the_older_ending(tmp_path: Path, sandbox: Sandbox) -> None:
    root = project(tmp_path, PACKAGE)
    assert hatchling(sandbox, root, "-t", "connect").code == 0
    (bundle,) = (root / "dist" / "connect").glob("*.connect.tgz")
    (root / "out").mkdir()
    for folder, name in (("dist/connect", "sales-api-1.1.0"), ("out", "sales-api-1.1.0")):
        (root / folder / f"{name}.tar.gz").write_bytes(bundle.read_bytes())
    (root / "dist/connect/broken-1.tar.gz").write_bytes(b"")
    (root / "out/data.tar.gz").write_bytes(b"")
    assert hatchling(sandbox, root, "-c", "-t", "connect").code == 0
    assert hatchling(sandbox, root, "-c", "-t", "connect", "-d", str(root / "out")).code == 0
    assert {p.name for p in bundle.parent.iterdir()} == {NAME, ".gitignore"}
    assert {p.name for p in (root / "out").iterdir()} == {NAME, "data.tar.gz"}


def test_a_main_table_that_is_only_inherited_from(tmp_path: Path, sandbox: Sandbox) -> None:
    connect = '[tool.hatch-connect]\napp-mode = "fastapi"\n'
    more = '[tool.hatch-connect.content.api]\nentrypoint = "sales_api.main:app"\n'
    root = project(tmp_path, PACKAGE, connect=connect, more=more)
    assert hatchling(sandbox, root, "-t", "connect").code == 0
    assert [p.name for p in root.rglob("*.connect.tgz")] == ["sales-api-api-1.2.0.connect.tgz"]


def test_hooks_run_once_and_in_the_wheel(tmp_path: Path, sandbox: Sandbox) -> None:
    hook = (
        "from hatchling.builders.hooks.plugin.interface import BuildHookInterface\n"
        "class Hook(BuildHookInterface):\n"
        "    def initialize(self, version, build_data):\n"
        "        self.app.display_warning(f'ran for {self.target_name}')\n"
    )
    for layout, expected in (
        (PACKAGE, ["ran for wheel"]),
        ({"app.py": APP}, ["ran for connect"]),
    ):
        connect = CONNECT if layout is PACKAGE else CONNECT.replace("sales_api.main", "app")
        root = project(
            tmp_path / expected[0],
            {**layout, "hatch_build.py": hook},
            connect=connect,
            more="[tool.hatch.build.hooks.custom]\n[tool.hatch.build.hooks.connect]\n",
        )
        done = hatchling(sandbox, root, "-t", "connect")
        assert done.code == 0, done.said
        assert [line for line in done.stderr.splitlines() if "ran for" in line] == expected


def test_a_warning_of_ours_is_seen(tmp_path: Path, sandbox: Sandbox) -> None:
    root = project(tmp_path, PACKAGE, connect=CONNECT + 'include = ["nothing"]\n')
    done = hatchling(sandbox, root, "-t", "connect")
    assert "'nothing' does not match any file" in done.stderr


FROM_THE_BUNDLE = """
import sys
sys.path.insert(0, sys.argv[1])
from importlib.metadata import version, entry_points
from sales_api.main import app
from packaging.version import Version
assert version("sales-api") == "1.2.0", version("sales-api")
assert [e.value for e in entry_points(group="sales.plugins")] == ["sales_api.main:app"]
print(app)
"""


@pytest.mark.registry
def test_the_unpacked_bundle_runs_where_only_the_package_list_is(
    tmp_path: Path, sandbox: Sandbox
) -> None:
    files = {
        **PACKAGE,
        "src/sales_api/main.py": (
            "from importlib.metadata import version\nfrom packaging.version import Version\n"
            "app = Version(version('sales-api'))\n"
        ),
        "requirements.txt": "packaging==26.1\n",
    }
    more = '[project.entry-points."sales.plugins"]\nmain = "sales_api.main:app"\n'
    root = project(tmp_path / "p", {**LOCKED, **files}, more=more)
    built = build_one(root, sandbox.environ)
    assert "sales_api-1.2.0.dist-info/entry_points.txt" in paths(built)
    built.bundle.extract(tmp_path / "content")
    listed = tmp_path / "content" / "requirements.txt"
    python = sandbox.environment(tmp_path / "venv", "-r", listed) / "python"
    done = sandbox.run(python, "-c", FROM_THE_BUNDLE, tmp_path / "content", cwd=tmp_path)
    assert done.stdout == "1.2.0\n", done.said
