"""Ctrl-C and SIGTERM, at any moment: 130 or 143, one line on what the server holds and how to go
on, no half file, no temporary folder; kill -9 at any moment: no second item at the next call.
"""

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
from support.waiting import PATIENCE, until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from support.sandbox import Sandbox

pytestmark = [
    pytest.mark.sweep,
    pytest.mark.skipif(os.name != "posix", reason="signals are POSIX's"),
]

GUID = "v1/content/[0-9a-f-]{36}"


@pytest.fixture
def server() -> Iterator[FakeConnect]:
    with FakeConnect() as fake:
        yield fake


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


def temporary(folder: Path) -> Path:
    """Return a folder for temporary files that are looked at later."""
    path = folder / "temporary"
    path.mkdir(exist_ok=True)
    return path


MOMENTS = {
    "settings": ("GET", "server_settings$", "Nothing was changed"),
    "create": ("POST", "v1/content$", "content named 'sales' may have been created"),
    "variables": ("PATCH", f"{GUID}/environment$", "variables may have been changed (set TOKEN)"),
    "upload": ("POST", f"{GUID}/bundles$", "had been uploaded"),
    "deploy": ("POST", f"{GUID}/deploy$", "the deployment of bundle 2 may have started"),
    "visit": ("GET", f"^/content/{GUID[11:]}/", "bundle 2 was uploaded but not activated"),
}


CALLS = [
    ("hatch_connect", signal.SIGINT),
    ("hatch_connect", signal.SIGTERM),
    ("invoke", signal.SIGINT),
    ("invoke", signal.SIGTERM),
]


@pytest.mark.parametrize(("way", "number"), CALLS)
@pytest.mark.parametrize("moment", MOMENTS)
def test_while_the_server_thinks(
    moment: str,
    way: str,
    number: signal.Signals,
    server: FakeConnect,
    sandbox: Sandbox,
    tmp_path: Path,
) -> None:
    method, path, told = MOMENTS[moment]
    server.misbehave(method, path, Hang(600))
    sample_bundle(tmp_path / "sales.tar.gz")
    (tmp_path / "tasks.py").write_text("from invoke_tasks import ns\n", encoding="ascii")
    words = ("-P", "-m", "hatch_connect") if way == "hatch_connect" else ("-m", "invoke")
    process = started(
        sandbox,
        *(*words, "deploy", "--file", "sales.tar.gz", "-E", "TOKEN", "--json"),
        cwd=tmp_path,
        CONNECT_SERVER=server.url,
        CONNECT_API_KEY=server.api_key,
        TOKEN="hunter2-hunter2",
        TMPDIR=str(temporary(tmp_path)),
    )
    asked = re.compile(path)
    until(
        lambda: any(r.method == method and asked.search(r.path) for r in server.requests), process
    )
    process.send_signal(number)
    out, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 128 + number, err
    (line,) = [line for line in err.splitlines() if line.startswith("interrupted: ")]
    assert told in line
    assert "To continue, deploy again" in line
    assert "Traceback" not in err
    assert "hunter2" not in out + err
    assert json.loads(out)["error"]["exit_code"] == 128 + number
    assert list(temporary(tmp_path).iterdir()) == []


def test_while_a_task_runs(server: FakeConnect, sandbox: Sandbox, tmp_path: Path) -> None:
    server.next_task = FakeTask(polls=10_000)
    sample_bundle(tmp_path / "sales.tar.gz")
    environ = {"CONNECT_SERVER": server.url, "CONNECT_API_KEY": server.api_key}
    command = ("-P", "-m", "hatch_connect", "deploy", "sales.tar.gz")
    process = started(sandbox, *command, cwd=tmp_path, **environ)
    until(lambda: any("v1/tasks/" in r.path for r in server.requests), process)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130, err
    assert "task task-3 has not finished and may still be running" in err
    told = re.search(r"deploy again with (--app-id) ([0-9a-f-]+)\.", err)
    assert told is not None, err
    again = sandbox.connect("deploy", "sales.tar.gz", *told.groups(), cwd=tmp_path, **environ)
    assert again.code == 0, again.said
    assert len(server.contents) == 1


@pytest.mark.parametrize("moment", ["the draft", "the request"])
def test_what_was_declared_is_put_back(
    moment: str, server: FakeConnect, sandbox: Sandbox, tmp_path: Path
) -> None:
    root = project(tmp_path / "sales", PACKAGE)
    environ = {"CONNECT_SERVER": server.url, "CONNECT_API_KEY": server.api_key}
    assert sandbox.connect("deploy", cwd=root, **environ).code == 0
    (content,) = server.contents.values()
    with (root / "pyproject.toml").open("a", encoding="utf-8") as file:
        file.write('\n[tool.hatch-connect.settings]\nmemory-limit = "1 GiB"\n')
    server.requests.clear()
    if moment == "the draft":
        server.next_task, path = FakeTask(polls=10_000), "v1/tasks/"
    else:
        server.misbehave("PATCH", f"{GUID}$", Hang(600, done=True))
        path = f"{GUID}$"
    process = started(
        sandbox, "-P", "-m", "hatch_connect", "deploy", "--force", cwd=root, **environ
    )
    methods = {"GET", "PATCH"} if moment == "the draft" else {"PATCH"}
    until(
        lambda: any(r.method in methods and re.search(path, r.path) for r in server.requests),
        process,
    )
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130, err
    assert "its settings were restored (memory-limit" in err
    assert content.fields["memory_limit"] is None


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
    _, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130, err
    assert err.rstrip().endswith("interrupted: by Ctrl-C")
    assert [path.name for path in target.iterdir() if path.name != ".gitignore"] == []


def test_a_second_one_ends_at_once(sandbox: Sandbox, tmp_path: Path) -> None:
    program = (
        "import time\n"
        "from hatch_connect.process import interruptible\n"
        "with interruptible():\n"
        "    try:\n"
        "        print('working', flush=True)\n"
        "        time.sleep(600)\n"
        "    finally:\n"
        "        print('tidying', flush=True)\n"
        "        time.sleep(600)\n"
    )
    process = started(sandbox, "-P", "-c", program, cwd=tmp_path)
    assert process.stdout is not None
    for said in ("working\n", "tidying\n"):
        assert process.stdout.readline() == said
        process.send_signal(signal.SIGINT)
    assert process.wait(timeout=PATIENCE) == 130
    process.communicate()


def waiting_hatch(
    server: FakeConnect, sandbox: Sandbox, folder: Path, *command: str
) -> subprocess.Popen[str]:
    """Return Hatch at work on an upload that takes long."""
    root = copy_example("fastapi-app", folder)
    server.misbehave("POST", "bundles$", Hang(600))
    process = started(
        sandbox,
        *("-m", "hatch", *command),
        cwd=root,
        CONNECT_SERVER=server.url,
        CONNECT_API_KEY=server.api_key,
        SALES_REGION="north",
        TMPDIR=str(temporary(folder)),
    )
    until(lambda: "POST" in "".join(c for c in server.calls() if c.endswith("/bundles")), process)
    return process


def test_a_hatch_script_passes_the_exit_code_on(
    server: FakeConnect, sandbox: Sandbox, tmp_path: Path
) -> None:
    process = waiting_hatch(server, sandbox, tmp_path, "run", "connect:deploy")
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does
    _, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130, err
    assert "To continue, deploy again" in err


@pytest.mark.skipif(sys.platform != "linux", reason="asks /proc for the parent of a process")
@pytest.mark.parametrize("whom", ["the script", "hatch", "all of them"])
def test_sigterm_ends_what_hatch_runs(
    whom: str, server: FakeConnect, sandbox: Sandbox, tmp_path: Path
) -> None:
    process = waiting_hatch(server, sandbox, tmp_path, "run", "connect:deploy")
    if whom == "the script":
        listed = subprocess.check_output(
            ["ps", "-ww", "-o", "pid,args", "-g", str(process.pid)], text=True
        )
        lines = (line.split(None, 1) for line in listed.splitlines())
        python = f"{sys.executable} -P -m hatch_connect deploy"
        (pid,) = (int(pid) for pid, command in lines if command.startswith(python))
        os.kill(pid, signal.SIGTERM)
    elif whom == "hatch":
        process.send_signal(signal.SIGTERM)
    else:
        os.killpg(process.pid, signal.SIGTERM)
    _, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == (143 if whom == "the script" else -signal.SIGTERM), err
    assert err.rstrip().splitlines()[-1].startswith("interrupted: all ")
    assert list(temporary(tmp_path).iterdir()) == []


def test_sigterm_ends_a_publication(server: FakeConnect, sandbox: Sandbox, tmp_path: Path) -> None:
    sample_bundle(tmp_path / "sales.connect.tgz")
    command = ("publish", "-p", "connect", str(tmp_path / "sales.connect.tgz"))
    process = waiting_hatch(server, sandbox, tmp_path, *command)
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 143, err
    assert "To continue, deploy again" in err


def test_sigterm_twice_at_once_is_one(sandbox: Sandbox, tmp_path: Path) -> None:
    program = (
        "import os, signal, time\n"
        "from hatch_connect.process import interruptible\n"
        "with interruptible():\n"
        "    try:\n"
        "        os.kill(os.getpid(), signal.SIGTERM)\n"
        "    except KeyboardInterrupt:\n"
        "        os.kill(os.getpid(), signal.SIGTERM)\n"
        "        print('tidied', flush=True)\n"
        "        time.sleep(1.5)\n"
        "        os.kill(os.getpid(), signal.SIGTERM)\n"
        "        print('not reached', flush=True)\n"
    )
    done = sandbox.python("-P", "-c", program, cwd=tmp_path)
    assert (done.code, done.stdout) == (143, "tidied\n")


def test_the_interface_for_programs_installs_no_handlers(sandbox: Sandbox, tmp_path: Path) -> None:
    program = (
        "import signal, hatch_connect\n"
        "from hatch_connect import HatchConnectError, deploy\n"
        "try:\n"
        "    deploy('.', report=lambda _: found.append(signal.getsignal(signal.SIGTERM)))\n"
        "except HatchConnectError:\n"
        "    pass\n"
        "print(signal.getsignal(signal.SIGTERM) is signal.SIG_DFL)\n"
        "print(signal.getsignal(signal.SIGINT) is signal.default_int_handler)\n"
    )
    done = sandbox.python("-P", "-c", program, cwd=tmp_path)
    assert done.stdout == "True\nTrue\n", done.said


KILLS = {
    "before the creation": ("POST", "v1/content$", Hang(600)),
    "after the creation": ("POST", "v1/content$", Hang(600, done=True)),
    "upload": ("POST", f"{GUID}/bundles$", Hang(600, done=True)),
    "draft": ("POST", f"{GUID}/deploy$", Hang(600, done=True)),
    "visit": ("GET", f"^/content/{GUID[11:]}/", Hang(600)),
}


@pytest.mark.parametrize("options", [(), ("--new",)])
@pytest.mark.parametrize("moment", KILLS)
def test_kill_at_any_moment_makes_no_second_item(
    moment: str, options: tuple[str, ...], server: FakeConnect, sandbox: Sandbox, tmp_path: Path
) -> None:
    method, path, fault = KILLS[moment]
    server.misbehave(method, path, fault)
    sample_bundle(tmp_path / "sales.tar.gz")
    environ = {"CONNECT_SERVER": server.url, "CONNECT_API_KEY": server.api_key}
    command = ("-P", "-m", "hatch_connect", "deploy", "sales.tar.gz", *options)
    process = started(sandbox, *command, cwd=tmp_path, **environ)
    asked = re.compile(path)
    until(
        lambda: any(r.method == method and asked.search(r.path) for r in server.requests), process
    )
    time.sleep(0.2)  # for the request to be carried out
    process.kill()
    process.communicate(timeout=PATIENCE)
    again = sandbox.connect("deploy", "sales.tar.gz", *options, cwd=tmp_path, **environ)
    assert again.code == 0, again.said
    (content,) = server.contents.values()
    assert content.bundle_id == max(content.bundles, key=int)
    assert content.title == "sales"


def test_what_a_killed_run_left_goes_with_a_later_one(
    server: FakeConnect, sandbox: Sandbox, tmp_path: Path
) -> None:
    server.misbehave("GET", "server_settings$", Hang(600), times=2)
    sample_bundle(tmp_path / "sales.tar.gz")
    folder = temporary(tmp_path)
    foreign = folder / "hatch-connect-notes-of-mine"
    foreign.mkdir()

    def run() -> subprocess.Popen[str]:
        process = started(
            sandbox,
            *("-P", "-m", "hatch_connect", "deploy", "sales.tar.gz"),
            cwd=tmp_path,
            CONNECT_SERVER=server.url,
            CONNECT_API_KEY=server.api_key,
            TMPDIR=str(folder),
        )
        asked = len(server.requests)
        until(lambda: len(server.requests) > asked, process)
        return process

    killed, alive = run(), run()
    killed.kill()
    killed.communicate(timeout=PATIENCE)
    assert len(list(folder.iterdir())) == 3
    sandbox.connect("list", cwd=tmp_path, TMPDIR=str(folder))
    assert len(list(folder.iterdir())) == 3  # what is new may not be locked yet
    for left in folder.iterdir():
        os.utime(left, (0, 0))
    sandbox.connect("list", cwd=tmp_path, TMPDIR=str(folder))
    names = {left.name.split("-")[2] for left in folder.iterdir()}
    assert names == {"notes", str(alive.pid)}
    alive.terminate()
    alive.communicate(timeout=PATIENCE)
    assert list(folder.iterdir()) == [foreign]
