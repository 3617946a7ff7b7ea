"""A unique key and a unique value are planted; every command and many failures are driven; all that
came out is searched: streams, files, bundles, and the process list while it runs."""

from __future__ import annotations

import gzip
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest
from support.calling import KEY, VALUE, Called, Caller
from support.fake_bundle import Reply
from support.fake_connect import FakeConnect
from support.fake_content import FakeTask
from support.faults import Drop, Fault, Hang, Say, Truncate, html
from support.projects import PACKAGE, project
from support.sample_bundle import sample_bundle
from support.waiting import PATIENCE, command_lines, until

if TYPE_CHECKING:
    from support.sandbox import Sandbox

HEADER, COOKIE = "Plant3d-value-of-a-header", "Plant3d-value-of-a-cookie"
BOTH = f"{KEY} {VALUE} {HEADER} {COOKIE} "
LOUDNESS: tuple[dict[str, object], ...] = ({}, {"verbose": True}, {"quiet": True}, {"json": True})
FAULTS: dict[str, Fault] = {
    "refused": Say(400, json.dumps({"code": 7, "error": BOTH}).encode()),
    "refused at length": Say(400, json.dumps({"code": 7, "error": f"{'x ' * 141}{BOTH}"}).encode()),
    "page": html(500, f"<p>{BOTH}</p>"),
    "no json": html(200, f"<p>Authorization: Key {KEY} {quote(VALUE)}</p>"),
    "redirect": Say(302, b"", (("Location", f"https://other.example/{VALUE}?key={KEY}"),)),
    "truncated": Truncate(),
    "drop": Drop(),
}
PATHS = ("server_settings", "v1/user", "v1/content", "environment", "bundles", "deploy", "tasks")


def search(said: str, folder: Path) -> None:
    """Look for what was planted in what was said, and in every file but the store of keys."""
    for planted in (KEY, VALUE, HEADER, COOKIE, "Plant3d"):
        assert planted not in said
    for path in folder.rglob("*"):
        if not path.is_file() or path.name.startswith("servers.json"):
            continue
        data = path.read_bytes()
        data = gzip.decompress(data) if path.suffix in {".gz", ".tgz"} else data
        for planted in (KEY, VALUE, HEADER, COOKIE):
            assert planted.encode() not in data, path


def drive(caller: Caller, loudness: dict[str, object], root: Path) -> list[Called]:
    here = {"directory": str(root), **loudness}
    return [
        caller.call("add", name="prod", server=caller.environ["CONNECT_SERVER"], **loudness),
        caller.call("list", **loudness),
        caller.call("details", **loudness),
        caller.call("bundle", list=True, **here),
        caller.call("manifest", **here),
        caller.call("requirements", **here),
        caller.call("deploy", dry_run=True, **here),
        caller.call("deploy", **here),
        caller.call("deploy", name="prod", **here),
        caller.call("deploy", force=True, **here),
        caller.call("info", **here),
        caller.call("logs", **here),
        caller.call("versions", **here),
        caller.call("rollback", **here),
        caller.call("remove", name="prod", **loudness),
        caller.call("deploy", server="https://a:hunter2@b/", **here),
    ]


@pytest.fixture
def root(caller: Caller) -> Path:
    caller.environ |= {"TOKEN": VALUE, "HTTPS_PROXY": f"http://user:{VALUE}@127.0.0.1:9"}
    caller.environ["CONNECT_HTTP_HEADERS"] = f"X-Front: Bearer {HEADER}\nCookie: a=1; b={COOKIE}"
    connect = '[tool.hatch-connect]\napp-mode = "fastapi"\nenv = ["TOKEN"]\n'
    return project(
        caller.folder / "p", PACKAGE, connect=f"{connect}entrypoint = 'sales_api.main:app'"
    )


@pytest.mark.parametrize("loudness", LOUDNESS, ids=str)
def test_every_command_keeps_them(
    caller: Caller, fake: FakeConnect, root: Path, loudness: dict[str, object]
) -> None:
    fake.page = Reply(200, f"{'.' * 290} {VALUE} {KEY}".encode(), "text/plain")
    fake.next_task = FakeTask(lines=(f"env: {VALUE}", json.dumps({"k": KEY})))
    calls = drive(caller, loudness, root)
    assert [call.code for call in calls] == [0] * (len(calls) - 1) + [2]
    (content,) = fake.contents.values()
    assert content.environment == {"TOKEN": VALUE}
    search("".join(call.said for call in calls), caller.folder)


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
def test_every_failure_keeps_them(
    caller: Caller, fake: FakeConnect, root: Path, fault: Fault
) -> None:
    for path in PATHS:
        for method in ("GET", "POST", "PATCH"):
            fake.misbehave(method, path, fault, times=6)
        calls = [
            caller.call("deploy", directory=str(root), verbose=True),
            caller.call("info", directory=str(root), json=True),
        ]
        search("".join(call.said for call in calls), caller.folder)


def test_a_task_and_content_that_fail_keep_them(
    caller: Caller, fake: FakeConnect, root: Path
) -> None:
    fake.next_task = FakeTask(code=1, error=f"failed with {VALUE}", lines=(f"key {KEY}",))
    failed = caller.call("deploy", directory=str(root))
    fake.page = Reply(500, f"<p>{'. ' * 145}{VALUE}".encode(), "text/html")
    silent = caller.call("deploy", directory=str(root))
    assert (failed.code, silent.code) == (4, 5)
    search(failed.said + silent.said, caller.folder)


@pytest.mark.skipif(not Path("/proc/self/cmdline").exists(), reason="/proc is Linux's")
@pytest.mark.parametrize("words", [("-P", "-m", "hatch_connect"), ("-m", "invoke")])
def test_the_process_list_and_a_crash_keep_them(
    sandbox: Sandbox, tmp_path: Path, words: tuple[str, ...]
) -> None:
    sample_bundle(tmp_path / "sales.tar.gz")
    (tmp_path / "tasks.py").write_text("from invoke_tasks import ns\n", encoding="ascii")
    with FakeConnect(api_key=KEY) as fake:
        fake.misbehave("POST", "bundles$", Hang(600))
        process = subprocess.Popen(
            [sys.executable, *words, "deploy", "--file", "sales.tar.gz", "-E", "TOKEN"],
            cwd=tmp_path,
            env=sandbox.environ
            | {"CONNECT_SERVER": fake.url, "CONNECT_API_KEY": KEY, "TOKEN": VALUE},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        until(lambda: any(c.endswith("/bundles") for c in fake.calls()), process)
        listed = command_lines()
        os.kill(process.pid, signal.SIGINT)
        said, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130
    assert any(b"sales.tar.gz" in line for line in listed)
    assert not any(b"Plant3d" in line for line in listed)
    search(said, tmp_path)
