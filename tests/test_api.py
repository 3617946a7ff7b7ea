"""The interface for programs, and the shape of what `--json` prints."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from support.fake_connect import FakeConnect
from support.fake_content import FakeTask
from support.projects import PACKAGE, project
from support.sample_bundle import sample_bundle

import hatch_connect
from hatch_connect import (
    DeclaredSettings,
    Deployment,
    DeploymentFailedError,
    HatchConnectError,
    Secret,
    Server,
    SettingChange,
    UsageError,
    build,
    client,
    configuration,
    deploy,
    find_server,
    plan,
)
from hatch_connect.connect.credentials import ApiKey

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.calling import Caller

ROOT = Path(__file__).parent.parent
PROGRAM = (ROOT / "docs/how-to/use-from-python.md").read_text(encoding="utf-8")
DRIFT = (ROOT / "docs/how-to/check-for-drift.md").read_text(encoding="utf-8")
JSON = (ROOT / "docs/reference/json.md").read_text(encoding="utf-8")


@pytest.fixture
def server() -> Iterator[FakeConnect]:
    with FakeConnect() as fake:
        yield fake


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    return {"HOME": str(tmp_path / "home"), "PATH": ""}


@pytest.mark.parametrize(
    ("imports", "imported"),
    [
        ("import hatch_connect", []),
        ("from hatch_connect import errors", ["hatch_connect.errors"]),
    ],
)
def test_importing_the_package_imports_nothing_else(imports: str, imported: list[str]) -> None:
    code = f"import sys; {imports}; print([m for m in sys.modules if 'hatch_connect.' in m])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str(imported)


def test_every_name_is_there_and_no_other() -> None:
    from hatch_connect import api

    assert sorted(hatch_connect.__all__) == sorted([*api.__all__, "__version__"])
    assert all(getattr(hatch_connect, name) is not None for name in hatch_connect.__all__)
    assert set(hatch_connect.__all__) <= set(dir(hatch_connect))
    with pytest.raises(AttributeError, match="nothing"):
        _ = hatch_connect.nothing  # type: ignore[attr-defined]


def test_several_pieces_of_content(tmp_path: Path, environ: dict[str, str]) -> None:
    more = '[tool.hatch-connect.content.docs]\napp-mode = "static"\nentrypoint = "index.html"\n'
    root = project(tmp_path / "p", {**PACKAGE, "index.html": ""}, more=more)
    (docs,) = build(root, contents=("docs",), environ=environ)
    assert docs.content == "docs"
    with pytest.raises(UsageError, match=r"no content `other` in .*pyproject\.toml"):
        build(root, contents=("docs", "other"), environ=environ)


def test_a_project_is_read_built_and_deployed(
    server: FakeConnect, tmp_path: Path, environ: dict[str, str]
) -> None:
    root = project(tmp_path / "sales", PACKAGE)
    assert configuration(root / "src").content_name == "sales-api"
    (built,) = build(root, environ=environ)
    assert built.bundle.path.is_file()
    done = deploy(
        root,
        server=server.url,
        api_key=server.api_key,
        environ=environ,
        environment={"TOKEN": Secret("hunter2-hunter2"), "MODE": "fast"},
        title="Sales",
        metadata={"build": "7"},
    )
    assert isinstance(done, Deployment)
    (content,) = server.contents.values()
    assert (done.content.guid, done.bundle_id) == (content.guid, content.bundle_id)
    assert content.environment == {"TOKEN": "hunter2-hunter2", "MODE": "fast"}
    assert content.bundles[done.bundle_id].metadata["build"] == "7"
    assert "hunter2" not in repr(done)


def test_what_is_declared_in_a_program(
    server: FakeConnect, tmp_path: Path, environ: dict[str, str]
) -> None:
    root = project(tmp_path / "sales", PACKAGE)
    with (root / "pyproject.toml").open("a", encoding="utf-8") as file:
        file.write("[tool.hatch-connect.settings]\nmin-processes = 1\n")
    declared = configuration(root).declared
    assert isinstance(declared, DeclaredSettings)
    assert [(each.key, each.value) for each in declared.fields] == [("min-processes", 1)]
    done = deploy(root, server=server.url, api_key=server.api_key, environ=environ)
    (change,) = done.settings
    assert isinstance(change, SettingChange)
    assert (change.key, change.after) == ("min-processes", "1")


def test_an_empty_title_is_refused(server: FakeConnect, tmp_path: Path) -> None:
    given = {"server": server.url, "api_key": server.api_key, "title": ""}
    bundle = sample_bundle(tmp_path / "b.tar.gz")
    for folder, more in ((project(tmp_path / "sales", PACKAGE), {}), (tmp_path, {"file": bundle})):
        with pytest.raises(UsageError, match="title must be 3 to"):
            deploy(folder, **given, **more, environ={})  # type: ignore[arg-type] # of several types
    assert not server.contents


def test_a_bundle_goes_to_content_that_other_programs_know(
    server: FakeConnect, tmp_path: Path, environ: dict[str, str]
) -> None:
    known = server.add_content("known")
    bundle = sample_bundle(tmp_path / "b.tar.gz")
    where = Server(url=server.url, credential=ApiKey(Secret(server.api_key)))
    for app_id in (known.guid, known.id, f"{server.url}/connect/#/apps/{known.guid}/access"):
        done = deploy(
            tmp_path, server=where, environ=environ, file=bundle, app_id=app_id, force=True
        )
        assert done.content.guid == known.guid
        assert done.uploaded
    again = deploy(tmp_path, server=where, environ=environ, file=bundle, app_id=known.guid)
    assert (again.uploaded, again.bundle_id) == (False, done.bundle_id)
    connect = client(where, environ=environ)
    assert connect.content(known.guid).name == "known"
    assert len(connect.bundles(known.guid)) == 3
    assert client(server.url, server.api_key, environ=environ).me().username == "ada"


def test_a_failure_is_an_exception_of_the_tree(
    server: FakeConnect, tmp_path: Path, environ: dict[str, str]
) -> None:
    server.next_task = FakeTask(code=1, error="no such package")
    bundle = sample_bundle(tmp_path / "b.tar.gz")
    with pytest.raises(DeploymentFailedError, match="no such package") as caught:
        deploy(tmp_path, server=server.url, api_key=server.api_key, environ=environ, file=bundle)
    assert isinstance(caught.value, HatchConnectError)
    assert caught.value.exit_code == 4
    with pytest.raises(UsageError, match="nick"):
        find_server("nick", environ=environ)


def test_several_pieces_of_content_are_named_one_by_one(
    server: FakeConnect, tmp_path: Path, environ: dict[str, str]
) -> None:
    tables = "[tool.hatch-connect]\napp-mode = 'fastapi'\n" + "".join(
        f"[tool.hatch-connect.content.{name}]\nentrypoint = 'sales_api.main:app'\n"
        for name in ("one", "two")
    )
    root = project(tmp_path / "sales", PACKAGE, connect=tables)
    key = server.api_key
    with pytest.raises(UsageError, match="several"):
        deploy(root, server=server.url, api_key=key, environ=environ)
    assert deploy(root, server=server.url, api_key=key, environ=environ, content="two").created


@pytest.mark.parametrize("key", ["environment", "metadata"])
def test_a_list_instead_of_a_mapping_is_named(tmp_path: Path, key: str) -> None:
    with pytest.raises(UsageError, match=f"`{key}` must be a mapping .*, not list") as caught:
        deploy(tmp_path, **{key: ["TOKEN=hunter2-hunter2"]})  # type: ignore[arg-type]
    assert "hunter2" not in str(caught.value)


def test_the_documented_program_runs(
    server: FakeConnect,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (program,) = re.findall(r"```python\n(.*?)```", PROGRAM, re.DOTALL)
    project(tmp_path / "path" / "to" / "project", PACKAGE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("CONNECT_SERVER", server.url)
    monkeypatch.setenv("CONNECT_API_KEY", server.api_key)
    monkeypatch.setenv("DATABASE_URL", "postgres://secret")
    (compare,) = re.findall(r"```python\n(.*?)```", DRIFT, re.DOTALL)
    exec(compile(compare, "check-for-drift.md", "exec"), {})
    assert "python + 3.11 (the server has 3.11.7)" in capsys.readouterr().out
    assert not server.contents
    exec(compile(program, "use-from-python.md", "exec"), {})
    assert len(server.contents) == 1
    exec(compile(compare, "check-for-drift.md", "exec"), {})
    assert "+" not in capsys.readouterr().out


SHAPES = {
    command: set(re.findall(r"`(\w+)`", keys))
    for commands, keys in re.findall(r"^\| (`.*?) \| (`.*) \|$", JSON, re.MULTILINE)
    for command in re.findall(r"`([\w -]+)`", commands)
}


def test_json_has_the_documented_shape(caller: Caller, fake: FakeConnect) -> None:
    def keys(command: str, **options: object) -> set[str]:
        done = caller.call(command, json=True, **options)
        assert done.stdout, done.stderr
        return set(json.loads(done.stdout))

    project(caller.folder / "p", PACKAGE)
    here = {"directory": str(caller.folder / "p")}
    seen = {
        "bundle": keys("bundle", **here),
        "manifest": keys("manifest", **here),
        "requirements": keys("requirements", **here),
        "deploy": keys("deploy", **here),
        "info": keys("info", **here),
        "logs": keys("logs", **here),
        "versions": keys("versions", **here),
        "details": keys("details", **here),
        "add": keys("add", name="prod", server=fake.url),
        "list": keys("list"),
        "remove": keys("remove", name="prod"),
    }
    seen["deploy"] |= keys("deploy", force=True, **here)
    seen["rollback"] = keys("rollback", **here)
    assert seen == {command: SHAPES[command] for command in seen}
    dry = keys("deploy", dry_run=True, **here)
    assert dry == SHAPES["deploy --dry-run"]
    assert keys("deploy", directory="/nowhere") == {"error"}


def test_a_plan_in_a_program(server: FakeConnect, tmp_path: Path, environ: dict[str, str]) -> None:
    folder = project(tmp_path / "sales", PACKAGE)
    where: dict[str, Any] = {"server": server.url, "api_key": server.api_key, "environ": environ}
    found = plan(folder, **where, environment={"MODE": "fast"})
    assert (found.action, found.guid, found.differs) == ("create", None, True)
    assert not server.contents
    done = deploy(folder, **where, environment={"MODE": "fast"})
    assert plan(folder, **where, check=True).changes == ()
    server.deployed.installed[done.content.guid] = {"flask": "0.0.1", "fastapi": "0.0.1"}
    (change,) = plan(folder, **where, check=True).changes
    assert (change.subject, change.before, change.differs) == ("installed", "0.0.1", True)
    assert not plan(folder, **where).differs
