"""Projects of other shapes, as their owners would deploy them."""

from __future__ import annotations

import hashlib
import io
import json
import os
import signal
import subprocess
import sys
import tarfile
from typing import TYPE_CHECKING

import pytest
from support.fake_bundle import Reply
from support.fake_connect import FakeConnect, Hang
from support.fake_content import FakeTask
from support.sandbox import Finished, Sandbox, copy_example
from support.waiting import PATIENCE, until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from support.fake_content import FakeContent

APP = """\
async def app(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"hello"})
"""
TABLE = '[tool.hatch-connect]\napp-mode = "fastapi"\nentrypoint = "app:app"\n'


@pytest.fixture
def server() -> Iterator[FakeConnect]:
    with FakeConnect() as fake:
        yield fake


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A project with an app.py, no package and no build back end."""
    folder = tmp_path / "tree"
    folder.mkdir()
    (folder / "app.py").write_text(APP, encoding="utf-8")
    (folder / "pyproject.toml").write_text(TABLE, encoding="utf-8")
    return folder


def deploy(
    sandbox: Sandbox, server: FakeConnect, project: Path, *options: str, **environ: str
) -> Finished:
    keys = {"CONNECT_SERVER": server.url, "CONNECT_API_KEY": server.api_key}
    return sandbox.connect("deploy", *options, cwd=project, **keys | environ)


def only(server: FakeConnect) -> FakeContent:
    [content] = server.contents.values()
    return content


def test_without_a_lock_the_environment_at_hand_ships_with_a_warning(
    server: FakeConnect, tree: Path, sandbox: Sandbox
) -> None:
    done = deploy(sandbox, server, tree)
    assert done.code == 0, done.said
    assert "warning: Nothing is locked" in done.stderr
    [bundle] = only(server).bundles.values()
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    assert str(bundle.manifest["python"]).count(f"'version': '{python}.") == 1
    explicit = deploy(sandbox, server, tree, "--python", sys.executable)
    assert explicit.code == 0, explicit.said
    assert len({b.archive for b in only(server).bundles.values()}) == 1


def test_without_a_lock_an_environment_that_lacks_something_does_not_ship(
    server: FakeConnect, tree: Path, sandbox: Sandbox
) -> None:
    needs = 'name = "tree"\nversion = "1"\ndependencies = ["not-there-at-all"]\n'
    (tree / "pyproject.toml").write_text(f"[project]\n{needs}{TABLE}", encoding="utf-8")
    done = deploy(sandbox, server, tree)
    assert done.code == 2, done.said
    assert "does not have what the project needs:\n" in done.stderr
    assert "shipping" not in done.stderr
    assert server.contents == {}


def test_an_interpreter_that_is_not_there_is_an_error(
    server: FakeConnect, tree: Path, sandbox: Sandbox
) -> None:
    done = deploy(sandbox, server, tree, RETICULATE_PYTHON="/nowhere/python")
    assert done.code == 2
    assert "RETICULATE_PYTHON" in done.stderr
    assert server.contents == {}


def test_a_requirements_file_ships_as_it_is_written(
    server: FakeConnect, tree: Path, sandbox: Sandbox
) -> None:
    (tree / "requirements.txt").write_text("# mine\nstarlette==0.45.0\nanyio\n", encoding="utf-8")
    (tree / ".python-version").write_text("3.12\n", encoding="utf-8")
    done = deploy(sandbox, server, tree, "--list")
    assert done.code == 0, done.said
    assert "requirements.txt:3" in done.stderr
    assert "anyio" in done.stderr
    folder = sandbox.connect("manifest", cwd=tree).stdout.strip()
    shipped = tree / "dist" / "connect" / "tree" / "requirements.txt"
    assert folder == str(shipped.with_name("manifest.json"))
    assert shipped.read_text(encoding="utf-8").startswith("# mine\n")


def test_a_tree_can_hold_its_manifest_for_git(
    server: FakeConnect, tree: Path, sandbox: Sandbox
) -> None:
    (tree / "requirements.txt").write_text("starlette==0.45.0\n", encoding="utf-8")
    (tree / ".python-version").write_text("3.12\n", encoding="utf-8")
    done = sandbox.connect("manifest", "--in-place", cwd=tree)
    assert done.code == 0, done.said
    manifest = json.loads((tree / "manifest.json").read_text(encoding="utf-8"))
    assert {"app.py", "requirements.txt"} <= set(manifest["files"])
    assert not (tree / "dist").exists()
    again = sandbox.connect("manifest", "--in-place", cwd=tree)
    assert again.code == 0, again.said
    by_folder = deploy(sandbox, server, tree, str(tree))
    assert by_folder.code == 0, by_folder.said


def test_a_package_in_src_cannot_hold_its_manifest_in_place(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    project = copy_example("fastapi-app", tmp_path)
    done = sandbox.connect("manifest", "--in-place", cwd=project)
    assert done.code == 2, done.said
    assert not (project / "manifest.json").exists()


def test_the_project_of_a_folder_below_is_found(
    server: FakeConnect, sandbox: Sandbox, tmp_path: Path
) -> None:
    project = copy_example("fastapi-app", tmp_path)
    done = deploy(sandbox, server, project / "src" / "sales_api", SALES_REGION="n")
    assert done.code == 0, done.said
    options = ("--force", "--directory", "fastapi-app")
    away = deploy(sandbox, server, tmp_path, *options, SALES_REGION="n")
    assert away.code == 0, away.said
    assert len(only(server).bundles) == 2


def test_a_failed_task_is_exit_code_four_with_its_log(
    server: FakeConnect, tree: Path, sandbox: Sandbox
) -> None:
    server.next_task = FakeTask(code=1, error="pip failed", lines=("no \x1b[31msuch\x1b[0m thing",))
    done = deploy(sandbox, server, tree)
    assert done.code == 4, done.said
    assert "  | no such thing" in done.stderr
    assert "pip failed" in done.stderr
    assert "/draft/" in done.stderr


def test_content_that_does_not_answer_is_exit_code_five(
    server: FakeConnect, tree: Path, sandbox: Sandbox
) -> None:
    server.page = Reply(503, b"it did not start", "text/plain")
    done = deploy(sandbox, server, tree)
    assert done.code == 5, done.said
    assert "it did not start" in done.stderr
    assert only(server).bundle_id is None
    assert deploy(sandbox, server, tree, "--no-verify").code == 0


def test_all_problems_of_a_configuration_are_told_at_once(tree: Path, sandbox: Sandbox) -> None:
    (tree / "pyproject.toml").write_text(
        '[tool.hatch-connect]\napp-mode = "fastapy"\nentrypoint = 3\ntitel = "x"\n',
        encoding="utf-8",
    )
    done = sandbox.connect("bundle", cwd=tree)
    assert done.code == 2
    for key in ("app-mode", "entrypoint", "titel"):
        assert f"tool.hatch-connect.{key}" in done.stderr


def test_a_server_without_the_python_is_told_before_the_upload(
    server: FakeConnect, tree: Path, sandbox: Sandbox
) -> None:
    server.pythons = ("3.9.1",)
    (tree / "requirements.txt").write_text("starlette==0.45.0\n", encoding="utf-8")
    (tree / ".python-version").write_text("3.12\n", encoding="utf-8")
    done = deploy(sandbox, server, tree)
    assert done.code == 2
    assert "3.9.1" in done.stderr
    assert ".python-version" in done.stderr
    assert server.contents == {}


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_ctrl_c_says_what_remains_and_exits_with_130(
    server: FakeConnect, tree: Path, sandbox: Sandbox
) -> None:
    server.misbehave("GET", "v1/tasks/", Hang(600))
    keys = {"CONNECT_SERVER": server.url, "CONNECT_API_KEY": server.api_key}
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "hatch_connect", "deploy"],
        cwd=tree,
        env=sandbox.environ | keys,
        stderr=subprocess.PIPE,
        text=True,
    )
    until(lambda: any("v1/tasks/" in c for c in server.calls()), process)
    os.kill(process.pid, signal.SIGINT)
    _, stderr = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130, stderr
    assert "Traceback" not in stderr
    assert "was uploaded but not activated" in stderr


def bundle_of(sandbox: Sandbox, project: Path, name: str) -> Path:
    """Build the bundle of a tree project that is called something."""
    text = f'[project]\nname = "{name}"\nversion = "2.0"\n{TABLE}'
    (project / "pyproject.toml").write_text(text, encoding="utf-8")
    (project / "requirements.txt").write_text("starlette==0.45.0\n", encoding="utf-8")
    (project / ".python-version").write_text("3.12\n", encoding="utf-8")
    done = sandbox.connect("bundle", cwd=project)
    assert done.code == 0, done.said
    return project / done.stdout.strip()


def test_a_bundle_of_another_project_is_content_of_its_own(
    server: FakeConnect, tree: Path, sandbox: Sandbox, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "app.py").write_text(APP, encoding="utf-8")
    foreign = bundle_of(sandbox, other, "other-thing")
    own = bundle_of(sandbox, tree, "our-thing")
    assert deploy(sandbox, server, tree).code == 0
    done = deploy(sandbox, server, tree, str(foreign))
    assert done.code == 0, done.said
    assert "content of its own" in done.stderr
    assert len(server.contents) == 2
    moved = tmp_path / "elsewhere" / own.name
    moved.parent.mkdir()
    own.rename(moved)
    done = deploy(sandbox, server, tree, str(moved))
    assert "content 'our-thing' of this project" in done.stderr
    assert len(server.contents) == 2
    assert not (moved.parent / "rsconnect-python").exists()


def test_a_bundle_without_its_project_is_known_by_its_name_less_the_version(
    server: FakeConnect, sandbox: Sandbox, tmp_path: Path
) -> None:
    project = copy_example("fastapi-app", tmp_path)
    assert sandbox.connect("bundle", cwd=project).code == 0
    away = tmp_path / "away"
    away.mkdir()
    file = away / "sales-api-1.2.0.connect.tgz"
    (project / "dist" / "connect" / file.name).rename(file)
    done = deploy(sandbox, server, away, file.name)
    assert done.code == 0, done.said
    assert only(server).name == "sales-api"
    assert sorted(p.name for p in away.iterdir()) == [file.name]


def test_a_record_stays_in_a_project_that_ignores_its_folder(
    server: FakeConnect, tree: Path, sandbox: Sandbox
) -> None:
    assert deploy(sandbox, server, tree).code == 0
    assert not (tree / "rsconnect-python").exists()
    (tree / ".gitignore").write_text("/rsconnect-python/\n", encoding="utf-8")
    assert deploy(sandbox, server, tree).code == 0
    assert (tree / "rsconnect-python" / "tree.json").is_file()
    assert len(server.contents) == 1


def test_what_a_server_says_of_secrets_is_not_repeated(
    server: FakeConnect, tree: Path, sandbox: Sandbox
) -> None:
    value = "correct-horse-battery"
    said = f"key {server.api_key} value {value}"
    server.next_task = FakeTask(code=1, error=said, lines=(said,))
    failed = deploy(sandbox, server, tree, "-E", "TOKEN", "--json", TOKEN=value)
    assert failed.code == 4
    server.page = Reply(200, said.encode(), "text/plain")
    done = deploy(sandbox, server, tree, "-E", f"TOKEN={value}", "--json")
    assert done.code == 0, done.said
    only(server).jobs["k"] = [said]
    server.page = Reply(500, said.encode(), "text/plain")
    broken = deploy(sandbox, server, tree, "-E", f"TOKEN={value}")
    assert broken.code == 5
    assert "  | key *** value ***" in broken.stderr
    logs = sandbox.connect(
        "logs", cwd=tree, CONNECT_SERVER=server.url, CONNECT_API_KEY=server.api_key
    )
    for finished in (failed, done, broken, logs):
        assert server.api_key not in finished.said
    for finished in (failed, done, broken):
        assert value not in finished.said


def test_an_error_object_says_what_remained(
    server: FakeConnect, tree: Path, sandbox: Sandbox
) -> None:
    server.next_task = FakeTask(code=1, error="no")
    done = deploy(sandbox, server, tree, "--json")
    error = json.loads(done.stdout)["error"]
    assert error["exit_code"] == 4
    assert only(server).guid in error["notes"][0]


def test_invoke_knows_no_option_that_is_not_there(
    server: FakeConnect, tree: Path, sandbox: Sandbox
) -> None:
    (tree / "tasks.py").write_text("from invoke_tasks import ns\n", encoding="utf-8")
    (tree / "invoke.yaml").write_text("connect: {tilte: x}\n", encoding="utf-8")
    done = sandbox.invoke("deploy", cwd=tree)
    assert done.code == 2
    assert "connect.tilte" in done.stderr
    (tree / "invoke.yaml").write_text("connect: {dry-run: true}\n", encoding="utf-8")
    keys = {"CONNECT_SERVER": server.url, "CONNECT_API_KEY": server.api_key}
    done = sandbox.invoke("deploy", cwd=tree, **keys)
    assert done.code == 0, done.said
    assert server.contents == {}


def test_a_publisher_deploys_only_what_was_built_of_this_version(
    server: FakeConnect, tree: Path, sandbox: Sandbox
) -> None:
    bundle = bundle_of(sandbox, tree, "thing")
    bundle.rename(bundle.with_name("thing-1.0.connect.tgz"))
    older = bundle.with_name("thing-2.0.tar.gz")
    older.write_bytes(b"an earlier release called bundles so")
    text = (tree / "pyproject.toml").read_text(encoding="utf-8")
    text += '[tool.hatch.env]\nrequires = ["hatch-connect"]\n'
    (tree / "pyproject.toml").write_text(text, encoding="utf-8")
    done = sandbox.hatch("publish", "-p", "connect", cwd=tree)
    assert done.code == 2, done.said
    assert "thing-1.0.connect.tgz, thing-2.0.tar.gz" in done.said
    assert "Bundles end in .connect.tgz" in done.said
    assert server.contents == {}


def test_prepared_content_is_not_taken_for_another_of_its_name(
    server: FakeConnect, sandbox: Sandbox, tmp_path: Path
) -> None:
    for name in ("first", "second"):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "index.html").write_text(f"<p>{name}</p>", encoding="utf-8")
        manifest = {
            "version": 1,
            "metadata": {
                "appmode": "static",
                "primary_html": "index.html",
                "entrypoint": "index.html",
            },
            "files": {
                "index.html": {"checksum": hashlib.md5(f"<p>{name}</p>".encode()).hexdigest()}
            },
        }
        (folder / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
        for _ in range(2):
            done = deploy(sandbox, server, folder, "manifest.json", "--force")
            assert done.code == 0, done.said
    assert sorted(c.name for c in server.contents.values()) == ["index", "index1"]
    assert [len(c.bundles) for c in server.contents.values()] == [2, 2]


def test_prepared_content_is_judged_as_by_the_server(
    server: FakeConnect, sandbox: Sandbox, tmp_path: Path
) -> None:
    (tmp_path / "index.html").write_text("<p>edited</p>", encoding="utf-8")
    (tmp_path / ".env").write_text("TOKEN=1", encoding="utf-8")
    listed = {"index.html": {"checksum": "0" * 32}}
    manifest = {"metadata": {"appmode": "static", "primary_html": "index.html"}, "files": listed}
    (tmp_path / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    done = deploy(sandbox, server, tmp_path, "manifest.json")
    assert done.code == 0, done.said
    assert "Changed since manifest.json was written: index.html." in done.stderr
    (bundle,) = only(server).bundles.values()
    assert set(names_in(bundle.archive)) == {"index.html", "manifest.json"}
    del manifest["files"]
    (tmp_path / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    with tarfile.open(tmp_path / "rendered.tar.gz", "w:gz") as archive:
        for name in ("manifest.json", "index.html"):
            archive.add(tmp_path / name, name)
    done = deploy(sandbox, server, tmp_path, "rendered.tar.gz", "--new")
    assert done.code == 0, done.said
    assert "Edited" not in done.stderr
    (bundle,) = max(server.contents.values(), key=lambda c: int(c.id)).bundles.values()
    assert bundle.archive == (tmp_path / "rendered.tar.gz").read_bytes()


def names_in(archive: bytes) -> list[str]:
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        return tar.getnames()


def test_an_empty_value_is_kept(server: FakeConnect, tree: Path, sandbox: Sandbox) -> None:
    assert deploy(sandbox, server, tree, "-E", "EMPTY=").code == 0
    assert only(server).environment == {"EMPTY": ""}


def test_a_file_of_variables_that_is_broken_is_refused_by_line(
    server: FakeConnect, tree: Path, sandbox: Sandbox
) -> None:
    (tree / "vars").write_text('GOOD=1\nBAD="unterminated\n', encoding="utf-8")
    done = deploy(sandbox, server, tree, "--env-file", "vars")
    assert done.code == 2
    assert "line 2" in done.stderr
    assert "unterminated" not in done.stderr
