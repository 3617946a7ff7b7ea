"""A user who installs Hatch and nothing else; the plugin comes by file URL."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

import pytest
from support.fake_connect import FakeConnect
from support.sandbox import REPOSITORY, Sandbox, committed, copy_example

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.registry


@pytest.fixture(scope="module")
def user(tmp_path_factory: pytest.TempPathFactory) -> Sandbox:
    return Sandbox.make(tmp_path_factory.mktemp("a fresh user"))


@pytest.fixture(scope="module")
def hatch(user: Sandbox) -> Path:
    """Install Hatch where nothing else is, and return where it is."""
    return user.environment(user.home / "venv", "hatch") / "hatch"


@pytest.fixture(scope="module")
def plugin(user: Sandbox) -> str:
    """Copy the plugin's source to where nothing else is, and return its requirement."""
    source = user.home / "the plugin"
    source.mkdir()
    for name in ("hatch_connect", "invoke_tasks"):
        shutil.copytree(
            REPOSITORY / name, source / name, ignore=shutil.ignore_patterns("__pycache__")
        )
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(REPOSITORY / name, source / name)
    return f"hatch-connect @ {source.as_uri()}"


@pytest.fixture(scope="module")
def project(user: Sandbox, plugin: str) -> Path:
    folder = copy_example("fastapi-app", user.home)
    configuration = folder / "pyproject.toml"
    text = configuration.read_text(encoding="utf-8").replace('"hatch-connect"', f'"{plugin}"')
    configuration.write_text(text, encoding="utf-8")
    return committed(folder, user)


def test_hatch_fetches_the_plugin_and_deploys(user: Sandbox, hatch: Path, project: Path) -> None:
    with FakeConnect() as server:
        keys = {"CONNECT_SERVER": server.url, "CONNECT_API_KEY": server.api_key}
        done = user.run(hatch, "run", "connect:deploy", cwd=project, SALES_REGION="n", **keys)
        assert done.code == 0, done.said
        [content] = server.contents.values()
        assert content.bundle_id is not None
        again = user.run(hatch, "publish", "-p", "connect", cwd=project, SALES_REGION="n", **keys)
        assert again.code == 0, again.said
        assert "Nothing to upload" in again.said  # it is the bundle that was deployed
        assert len(content.bundles) == 1
    assert user.git("status", "--porcelain", cwd=project) == ""
    shown = user.run(hatch, "env", "show", "--json", cwd=project)
    default = json.loads(shown.stdout)["default"]
    assert "connect-deploy" in default["scripts"]
    assert "hatch-connect" not in str(default.get("dependencies"))


def test_the_build_target_gives_the_same_bytes_each_time(
    user: Sandbox, hatch: Path, project: Path
) -> None:
    built = user.run(hatch, "build", "-t", "connect", cwd=project)
    assert built.code == 0, built.said
    bundle = project / "dist" / "connect" / "sales-api-1.2.0.connect.tgz"
    first = bundle.read_bytes()
    copy = user.home / "elsewhere" / "a copy"
    user.git("clone", "--quiet", str(project), str(copy), cwd=user.home)
    for file in copy.rglob("*.py"):
        file.touch()
    (copy / "src" / "sales_api" / "__pycache__").mkdir()
    (copy / "src" / "sales_api" / "__pycache__" / "x.pyc").write_bytes(b"x")
    assert user.run(hatch, "build", "-t", "connect", cwd=copy).code == 0
    assert (copy / "dist" / "connect" / bundle.name).read_bytes() == first
    by_command = user.run(hatch, "run", "connect:bundle", cwd=project)
    assert by_command.code == 0, by_command.said
    assert bundle.read_bytes() == first


def test_wheel_and_sdist_are_as_before(user: Sandbox, hatch: Path, project: Path) -> None:
    target = user.home / "artifacts"
    done = user.run(hatch, "build", target, cwd=project)
    assert done.code == 0, done.said
    assert sorted(p.name for p in target.iterdir()) == [
        "sales_api-1.2.0-py3-none-any.whl", "sales_api-1.2.0.tar.gz",
    ]  # fmt: skip
