"""`doctor`: what it finds in a project and on a server, and that it changes neither."""

from __future__ import annotations

import json
import os
import pty
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from support.fake_connect import FakeConnect
from support.fake_proxy import FakeProxy
from support.sandbox import committed
from support.tls import CA, closed_port, serving

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from support.sandbox import Sandbox

TABLE = """\
[tool.hatch-connect]
app-mode = "fastapi"
entrypoint = "app:app"
env = ["TOKEN"]
"""
APP = "import os\nTOKEN = os.environ['TOKEN']\nasync def app(*_): ...\n"
NEEDS_KEY = ("limits", "licence", "python", "images")


@pytest.fixture
def server() -> Iterator[FakeConnect]:
    with FakeConnect() as fake:
        yield fake


@pytest.fixture
def root(tmp_path: Path, sandbox: Sandbox) -> Path:
    folder = tmp_path / "sales"
    folder.mkdir()
    (folder / "pyproject.toml").write_text(TABLE, encoding="utf-8")
    (folder / "requirements.txt").write_text("starlette==0.45.0\n", encoding="utf-8")
    (folder / ".python-version").write_text("3.12\n", encoding="utf-8")
    (folder / "app.py").write_text(APP, encoding="utf-8")
    return committed(folder, sandbox)


def examine(
    sandbox: Sandbox, folder: Path, server: FakeConnect | str | None, *more: str, **environ: str
) -> tuple[int, dict[str, dict[str, Any]]]:
    """Return the exit code, and the last finding of each check as `AREA.CHECK`."""
    keys = {"TOKEN": "hush-hush"}
    if isinstance(server, FakeConnect):
        keys |= {"CONNECT_SERVER": server.url, "CONNECT_API_KEY": server.api_key}
    elif server:
        keys |= {"CONNECT_SERVER": server, "CONNECT_API_KEY": "key"}
    done = sandbox.connect("doctor", "--json", *more, cwd=folder, **(keys | environ))
    assert "Traceback" not in done.said
    assert "hush-hush" not in done.said
    told = json.loads(done.stdout)
    assert told["ok"] is (done.code == 0)
    return done.code, {f"{each['area']}.{each['check']}": each for each in told["checks"]}


def test_all_is_well_and_nothing_changes(server: FakeConnect, root: Path, sandbox: Sandbox) -> None:
    before = {path: path.stat().st_mtime_ns for path in root.rglob("*") if ".git/" not in str(path)}
    (root / ".env").write_text("TOKEN=1\n", encoding="utf-8")
    code, found = examine(sandbox, root, server)
    (root / ".env").unlink()
    assert code == 0
    states = {name: each["state"] for name, each in found.items()}
    assert set(states.values()) == {"ok"}, found
    assert [name.partition(".")[2] for name in states if name.startswith("server.")] == [
        *("server", "proxy", "tls", "reachable", "version", "user", *NEEDS_KEY)
    ]
    assert "ada (publisher)" in found["server.user"]["text"]
    assert found["server.python"]["text"] == "3.11.7, 3.12.4, 3.13.1"
    assert "max_memory_limit 8 GiB" in found["server.limits"]["text"]
    assert "entrypoint app:app" in found["project.configuration"]["text"]
    assert found["project.python"]["text"] == "3.12: .python-version"
    assert found["project.secrets"]["text"] == "held back: .env (environment variables)"
    assert "would be new" in found["project.content"]["text"]
    assert {request.method for request in server.requests} == {"GET"}
    after = {path: path.stat().st_mtime_ns for path in root.rglob("*") if ".git/" not in str(path)}
    assert {p: t for p, t in after.items() if p != root} == {
        p: t for p, t in before.items() if p != root
    }


def test_without_a_project_the_server_is_checked(
    server: FakeConnect, tmp_path: Path, sandbox: Sandbox
) -> None:
    code, found = examine(sandbox, tmp_path, server)
    assert code == 0
    assert {each["area"] for each in found.values()} == {"server"}


def test_without_a_server_the_project_is_checked(root: Path, sandbox: Sandbox) -> None:
    code, found = examine(sandbox, root, None)
    assert code == 0
    assert found["server.server"]["state"] == "skipped"
    assert "hatch-connect login" in found["server.server"]["hint"]
    assert found["project.files"]["state"] == "ok"
    assert found["project.content"]["state"] == "skipped"


def test_without_either_there_is_nothing_to_check(tmp_path: Path, sandbox: Sandbox) -> None:
    code, found = examine(sandbox, tmp_path, None)
    assert code == 2
    assert found["server.server"]["state"] == "failed"


def expired(fake: FakeConnect) -> None:
    fake.settings.licence |= {"status": "expired", "days-left": 0, "expiration": 1}  # type: ignore[dict-item]


def no_python_for_us(fake: FakeConnect) -> None:
    fake.pythons = ("3.11.7",)


def viewer(fake: FakeConnect) -> None:
    fake.user_role = "viewer"


@pytest.mark.parametrize(
    ("spoil", "check", "text"),
    [
        (expired, "server.licence", "has expired"),
        (viewer, "server.user", "viewers cannot deploy"),
        (no_python_for_us, "project.python", "does not have Python 3.12"),
    ],
)
def test_what_the_server_lacks(
    spoil: Callable[[FakeConnect], None],
    check: str,
    text: str,
    server: FakeConnect,
    root: Path,
    sandbox: Sandbox,
) -> None:
    spoil(server)
    code, found = examine(sandbox, root, server)
    assert found[check]["state"] == "failed", found
    assert text in found[check]["text"]
    assert found[check]["hint"]
    assert code == (2 if check.startswith("project") else 3)
    assert found["project.files"]["state"] == "ok"


def test_versions(server: FakeConnect, tmp_path: Path, sandbox: Sandbox) -> None:
    server.version = "2024.05.0"
    _, found = examine(sandbox, tmp_path, server)
    assert "2025.07" in found["server.version"]["text"]
    server.hides_version = True
    code, found = examine(sandbox, tmp_path, server)
    assert (code, found["server.version"]["state"]) == (0, "warning")
    assert "CONNECT_SERVER_VERSION" in found["server.version"]["hint"]
    code, found = examine(sandbox, tmp_path, server, CONNECT_SERVER_VERSION="new")
    assert (code, found["server.version"]["state"]) == (2, "failed")
    assert found["server.reachable"]["state"] == "ok"


@pytest.mark.parametrize("key", ["", "wrong"])
def test_a_key_that_does_not_open(
    key: str, server: FakeConnect, root: Path, sandbox: Sandbox
) -> None:
    code, found = examine(sandbox, root, server, CONNECT_API_KEY=key)
    assert code == (3 if key else 2)
    assert found["server.reachable"]["state"] == "ok"
    assert found["server.user"]["state"] == "failed"
    assert {found[f"server.{name}"]["state"] for name in NEEDS_KEY} == {"skipped"}
    assert found["project.content"]["state"] == "skipped"


def test_how_the_server_is_reached(root: Path, sandbox: Sandbox) -> None:
    with FakeConnect(tls=serving("server")) as fake:
        code, found = examine(sandbox, root, fake)
        assert (code, found["server.tls"]["state"]) == (3, "failed")
        assert "--cacert" in found["server.tls"]["hint"]
        assert found["server.reachable"]["state"] == "skipped"
        assert found["project.files"]["state"] == "ok"
        code, found = examine(sandbox, root, fake, "--cacert", str(CA))
        assert code == 0, found
        code, found = examine(sandbox, root, fake, "--insecure")
        assert (code, found["server.tls"]["state"]) == (0, "warning")


def test_proxies(server: FakeConnect, root: Path, sandbox: Sandbox) -> None:
    wrong = f"http://user:secret-word@127.0.0.1:{closed_port()}"
    code, found = examine(sandbox, root, server, http_proxy=wrong)
    assert (code, found["server.proxy"]["state"]) == (3, "failed")
    assert "secret-word" not in str(found)
    assert found["server.reachable"]["state"] == "skipped"
    with FakeProxy() as proxy:
        code, found = examine(sandbox, root, server, http_proxy=f"http://{proxy.address}")
    assert code == 0
    assert found["server.proxy"]["text"] == f"through {proxy.address}"


def test_a_server_that_is_not_there(root: Path, sandbox: Sandbox) -> None:
    code, found = examine(sandbox, root, f"http://127.0.0.1:{closed_port()}")
    assert (code, found["server.reachable"]["state"]) == (3, "failed")
    assert found["project.content"]["text"] == "Not checked: no server is known."


def test_what_is_wrong_with_a_project_does_not_hide_the_server(
    server: FakeConnect, root: Path, sandbox: Sandbox
) -> None:
    (root / "pyproject.toml").write_text(TABLE.replace("fastapi", "flsk"), encoding="utf-8")
    code, found = examine(sandbox, root, server)
    assert (code, found["project.configuration"]["state"]) == (2, "failed")
    assert found["server.user"]["state"] == "ok"
    (root / "pyproject.toml").write_text(TABLE, encoding="utf-8")
    (root / "requirements.txt").write_text("-e git+https://x\n-r none.txt\n", encoding="utf-8")
    code, found = examine(sandbox, root, server)
    assert (code, found["project.lock"]["state"]) == (2, "failed")
    assert found["project.content"]["state"] == "ok"


def test_what_the_server_has_of_the_project(
    server: FakeConnect, root: Path, sandbox: Sandbox
) -> None:
    keys = {"CONNECT_SERVER": server.url, "CONNECT_API_KEY": server.api_key, "TOKEN": "x"}
    assert sandbox.connect("deploy", "--no-verify", cwd=root, **keys).code == 0
    (content,) = server.contents.values()
    code, found = examine(sandbox, root, server)
    assert code == 0
    assert found["project.content"]["text"].startswith(f"{content.guid}: the record ")
    table = TABLE + 'guid = "11111111-1111-1111-1111-111111111111"\n'
    (root / "pyproject.toml").write_text(table, encoding="utf-8")
    code, found = examine(sandbox, root, server)
    assert (code, found["project.content"]["state"]) == (0, "warning")
    (root / "pyproject.toml").write_text(TABLE, encoding="utf-8")
    content.app_mode = "python-api"
    code, found = examine(sandbox, root, server)
    assert (code, found["project.content"]["state"]) == (3, "failed")
    assert "python-api" in found["project.content"]["text"]
    content.app_mode = "python-fastapi"
    content.environment.clear()
    keys = {"CONNECT_SERVER": server.url, "CONNECT_API_KEY": server.api_key}
    done = sandbox.connect("doctor", cwd=root, **keys)
    assert done.code == 2
    assert "failed  variables" in done.stdout


@pytest.mark.parametrize("by", ["uv", "pip"])
def test_import_runs_the_entrypoint_with_its_variables(
    by: str, root: Path, sandbox: Sandbox, tmp_path: Path
) -> None:
    if by == "pip":  # neither is uv where the tests run
        programs = tmp_path / "programs"
        programs.mkdir()
        (programs / "git").symlink_to(shutil.which("git") or "")
        sandbox.environ["PATH"] = str(programs)
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    (root / ".python-version").write_text(version, encoding="utf-8")
    (root / "requirements.txt").write_text("# starlette\n", encoding="utf-8")
    code, found = examine(sandbox, root, None, "--import")
    assert code == 0, found
    assert found["project.import"]["text"].startswith(f"app:app runs on Python {version}")
    (root / "app.py").write_text(f"{APP}raise ValueError(f'not {{TOKEN}}')\n", encoding="utf-8")
    code, found = examine(sandbox, root, None, "--import")
    assert (code, found["project.import"]["state"]) == (2, "failed")
    assert found["project.import"]["text"].endswith("ValueError: not ***")
    assert not list(root.glob("environment"))


@pytest.mark.parametrize(("encoding", "tick"), [("utf-8", "✓ reachable"), ("ascii", "ok      r")])
def test_ticks_at_a_terminal_that_has_them(
    encoding: str, tick: str, server: FakeConnect, tmp_path: Path, sandbox: Sandbox
) -> None:
    ours, theirs = pty.openpty()
    environ = sandbox.environ | {"CONNECT_SERVER": server.url, "CONNECT_API_KEY": server.api_key}
    environ |= {"PYTHONIOENCODING": encoding, "TERM": "xterm"}
    with subprocess.Popen(
        (sys.executable, "-m", "hatch_connect", "doctor", "-q"),
        stdout=theirs,
        cwd=tmp_path,
        env=environ,
    ) as process:
        os.close(theirs)
        shown = b""
        while True:
            try:
                shown += os.read(ours, 1 << 12)
            except OSError:  # the end, on Linux
                break
    os.close(ours)
    assert process.returncode == 0
    assert tick in shown.decode(encoding)


def test_each_piece_of_content_has_its_rows(
    server: FakeConnect, root: Path, sandbox: Sandbox
) -> None:
    table = '[tool.hatch-connect.content.{}]\napp-mode = "{}"\nentrypoint = "app:app"\n'
    text = table.format("orders", "fastapi") + table.format("stock", "flsk")
    (root / "pyproject.toml").write_text(text, encoding="utf-8")
    keys = {"CONNECT_SERVER": server.url, "CONNECT_API_KEY": server.api_key}
    done = sandbox.connect("doctor", cwd=root, **keys)
    assert done.code == 2
    server_rows, _, rows = done.stdout.partition("Project orders\n")
    orders, _, stock = rows.partition("Project stock\n")
    assert server_rows.count("reachable") == 1
    assert "ok      files" in orders
    assert "failed" not in orders
    assert "failed  configuration" in stock
    assert "skipped files" in stock
    only = sandbox.connect("doctor", "--content", "orders", cwd=root, **keys)
    assert only.code == 0
    assert "stock" not in only.stdout
