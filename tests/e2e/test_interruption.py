"""Ctrl-C, at any moment: 130, one line on what the server holds and how to go on, no half file."""

from __future__ import annotations

import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest
from support.fake_connect import FakeConnect
from support.fake_content import FakeTask
from support.faults import Hang
from support.projects import PACKAGE, project
from support.sample_bundle import sample_bundle
from support.sandbox import copy_example

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from support.sandbox import Sandbox

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals are POSIX's")

GUID = "v1/content/[0-9a-f-]{36}"


@pytest.fixture
def server() -> Iterator[FakeConnect]:
    with FakeConnect() as fake:
        yield fake


def until(there: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    end = time.monotonic() + 30
    while not there():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end
        time.sleep(0.01)


def started(sandbox: Sandbox, *command: str, cwd: Path, **environ: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, *command],
        cwd=cwd,
        env=sandbox.environ | environ,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


MOMENTS = {
    "settings": ("GET", "server_settings$", "Nothing was changed"),
    "create": ("POST", "v1/content$", "content named 'sales' may have been created"),
    "variables": ("PATCH", f"{GUID}/environment$", "variables may have been changed (set TOKEN)"),
    "upload": ("POST", f"{GUID}/bundles$", "part of the bundle was sent"),
    "deploy": ("POST", f"{GUID}/deploy$", "the deployment of bundle 2 may have begun"),
    "visit": ("GET", f"^/content/{GUID[11:]}/", "bundle 2 is there and not active"),
}


@pytest.mark.parametrize("door", ["hatch_connect", "invoke"])
@pytest.mark.parametrize("moment", MOMENTS)
def test_while_the_server_thinks(
    moment: str, door: str, server: FakeConnect, sandbox: Sandbox, tmp_path: Path
) -> None:
    method, path, told = MOMENTS[moment]
    server.misbehave(method, path, Hang(30))
    sample_bundle(tmp_path / "sales.tar.gz")
    (tmp_path / "tasks.py").write_text("from invoke_tasks import ns\n", encoding="ascii")
    words = ("-P", "-m", "hatch_connect") if door == "hatch_connect" else ("-m", "invoke")
    process = started(
        sandbox,
        *(*words, "deploy", "--file", "sales.tar.gz", "-E", "TOKEN", "--json"),
        cwd=tmp_path,
        CONNECT_SERVER=server.url,
        CONNECT_API_KEY=server.api_key,
        TOKEN="hunter2-hunter2",
    )
    asked = re.compile(path)
    until(
        lambda: any(r.method == method and asked.search(r.path) for r in server.requests), process
    )
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=10)
    assert process.returncode == 130, err
    (line,) = [line for line in err.splitlines() if line.startswith("interrupted: ")]
    assert told in line
    assert moment == "settings" or "To go on, deploy again" in line
    assert "Traceback" not in err
    assert "hunter2" not in out + err
    assert json.loads(out)["error"]["exit_code"] == 130


def test_while_a_task_runs(server: FakeConnect, sandbox: Sandbox, tmp_path: Path) -> None:
    server.next_task = FakeTask(polls=10_000)
    sample_bundle(tmp_path / "sales.tar.gz")
    environ = {"CONNECT_SERVER": server.url, "CONNECT_API_KEY": server.api_key}
    command = ("-P", "-m", "hatch_connect", "deploy", "sales.tar.gz")
    process = started(sandbox, *command, cwd=tmp_path, **environ)
    until(lambda: any("v1/tasks/" in r.path for r in server.requests), process)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=10)
    assert process.returncode == 130, err
    assert "task task-3 has not ended and may go on" in err
    told = re.search(r"deploy again with (--app-id) ([0-9a-f-]+)\.", err)
    assert told is not None, err
    again = sandbox.connect("deploy", "sales.tar.gz", *told.groups(), cwd=tmp_path, **environ)
    assert again.code == 0, again.said
    assert len(server.contents) == 1


def test_while_a_bundle_is_packed(sandbox: Sandbox, tmp_path: Path) -> None:
    root = project(tmp_path / "sales", PACKAGE)
    noise = random.Random(0).randbytes(1 << 20)
    with (root / "src" / "sales_api" / "data.bin").open("wb") as file:
        for _ in range(150):
            file.write(noise)
    process = started(sandbox, "-P", "-m", "hatch_connect", "bundle", cwd=root)
    target = root / "dist" / "connect"
    until(lambda: any(target.glob(".*.partial")), process)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=10)
    assert process.returncode == 130, err
    assert err.rstrip().endswith("interrupted: by you")
    assert [path.name for path in target.iterdir() if path.name != ".gitignore"] == []


def test_a_second_one_ends_at_once(sandbox: Sandbox, tmp_path: Path) -> None:
    program = (
        "import time\n"
        "from hatch_connect.door import interruptible\n"
        "with interruptible():\n"
        "    try:\n"
        "        print('working', flush=True)\n"
        "        time.sleep(60)\n"
        "    finally:\n"
        "        print('tidying', flush=True)\n"
        "        time.sleep(60)\n"
    )
    process = started(sandbox, "-P", "-c", program, cwd=tmp_path)
    assert process.stdout is not None
    for said in ("working\n", "tidying\n"):
        assert process.stdout.readline() == said
        process.send_signal(signal.SIGINT)
    assert process.wait(timeout=10) == 130
    process.communicate()


def test_a_hatch_script_passes_the_exit_code_on(
    server: FakeConnect, sandbox: Sandbox, tmp_path: Path
) -> None:
    root = copy_example("fastapi-app", tmp_path)
    server.misbehave("POST", "bundles$", Hang(30))
    process = started(
        sandbox,
        *("-m", "hatch", "run", "connect:deploy"),
        cwd=root,
        CONNECT_SERVER=server.url,
        CONNECT_API_KEY=server.api_key,
        SALES_REGION="north",
    )
    until(lambda: any(call.endswith("/bundles") for call in server.calls()), process)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does
    _, err = process.communicate(timeout=10)
    assert process.returncode == 130, err
    assert "To go on, deploy again" in err
