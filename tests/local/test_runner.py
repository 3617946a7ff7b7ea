from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from importlib import metadata
from typing import TYPE_CHECKING, Any

import pytest
from support.waiting import PATIENCE

from hatch_connect.local.runner import __main__ as runner
from hatch_connect.project.discovery import GUESSED

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A module `content_program`, which is new for each test."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "content_program", raising=False)
    return tmp_path / "content_program.py"


@pytest.mark.parametrize(
    ("text", "entrypoint"),
    [
        ("here = 'it'", "content_program:here"),
        ("class inner:\n    here = 'it'", "content_program:inner.here"),
        ("app = 'it'\napplication = 'other'", "content_program"),
        ("application = 'it'\ncreate_app = None", "content_program"),
        ("def create_app(): return 'it'", "content_program"),
        ("def make_app(): return 'it'", "content_program"),
        ("def made(): return 'it'", "content_program:made"),
    ],
)
def test_the_object_of_an_entrypoint(module: Path, text: str, entrypoint: str) -> None:
    module.write_text(text)

    assert runner.load(entrypoint, GUESSED) == "it"


def test_an_application_is_not_called(module: Path) -> None:
    module.write_text("async def app(scope, receive, send): ...")

    assert runner.load("content_program", GUESSED).__name__ == "app"


def test_no_object_is_found(module: Path) -> None:
    module.write_text("other = 1")

    with pytest.raises(SystemExit, match="none of: app, application, create_app, make_app"):
        runner.load("content_program", GUESSED)


def test_a_program_is_announced_when_it_serves(
    module: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", sys.argv)
    module.write_text(_LISTENING.format(port="sys.argv[1]"))

    runner.run(["-m", "content_program", "{port}"], "token")

    assert _announced(capsys) == "token"


def test_an_executable_is_announced_and_its_exit_code_kept(
    capsys: pytest.CaptureFixture[str],
) -> None:
    program = _LISTENING.format(port="sys.argv[1]") + "sys.exit(7)"

    with pytest.raises(SystemExit) as caught:
        runner.run([sys.executable, "-c", program, "{port}"], "token")

    assert caught.value.code == 7
    assert _announced(capsys) == "token"


_LISTENING = """
import socket, sys
with socket.create_server(("127.0.0.1", int({port}))) as listening:
    listening.accept()[0].close()
"""


def _announced(capsys: pytest.CaptureFixture[str]) -> str:
    deadline = time.monotonic() + PATIENCE
    output = ""
    while not output.endswith("\n"):
        assert time.monotonic() < deadline
        output += capsys.readouterr().out
    token, port = output.split()
    assert port.isdigit()
    return token


class _Dash:
    def __init__(self, server: object) -> None:
        self.server = server


class _Blocks:
    def launch(self) -> None: ...


def _wsgi(environ: object, start_response: object) -> None: ...


class _Asgi:
    async def __call__(self, scope: object, receive: object, send: object) -> None: ...


@pytest.mark.parametrize(
    ("found", "interface", "expected"),
    [
        (_wsgi, "wsgi", (_wsgi, "wsgi")),
        (_wsgi, "dash", (_wsgi, "wsgi")),
        (_Dash(_wsgi), "dash", (_wsgi, "wsgi")),
        (_Asgi, "asgi", (_Asgi, "asgi")),
        (_Asgi, "gradio", (_Asgi, "asgi")),
    ],
)
def test_the_application_of_an_object(
    found: object, interface: str, expected: tuple[object, str]
) -> None:
    assert runner.with_interface(found, interface) == expected


def test_a_dash_app_may_be_asynchronous() -> None:
    server = _Asgi()

    assert runner.with_interface(_Dash(server), "dash") == (server, "asgi")


def test_blocks_of_gradio_are_mounted(module: Path) -> None:
    module.with_name("gradio.py").write_text(
        "def mount_gradio_app(*given, path): return (*given, path)"
    )
    module.with_name("fastapi.py").write_text("def FastAPI(): return 'outer'")
    blocks = _Blocks()
    try:
        mounted = runner.with_interface(blocks, "gradio")
    finally:
        for name in ("gradio", "fastapi"):
            sys.modules.pop(name, None)

    assert mounted == (("outer", blocks, ""), "asgi")


class _Framework:
    """An ASGI application as frameworks have them."""


async def _bare(scope: object, receive: object, send: object) -> None:
    """An ASGI application as people write them."""


@pytest.mark.parametrize(
    ("starlette", "whole"), [("0.32.0", False), ("0.33.0", True), ("1.0", True), (None, True)]
)
def test_who_wants_the_whole_path(
    monkeypatch: pytest.MonkeyPatch, starlette: str | None, *, whole: bool
) -> None:
    def version(name: str) -> str:
        if starlette is None:
            raise metadata.PackageNotFoundError(name)
        return starlette

    monkeypatch.setattr(metadata, "version", version)

    assert runner.wants_whole_path(_Framework()) is whole
    assert runner.wants_whole_path(_bare) is False


@pytest.mark.parametrize(("whole", "path"), [(True, "/content/g/a b"), (False, "/a b")])
def test_where_an_application_is_mounted(path: str, *, whole: bool) -> None:
    seen: list[dict[str, Any]] = []

    async def application(scope: dict[str, Any], _receive: object, _send: object) -> None:
        seen.append(scope)

    scope = {
        "type": "http",
        "path": "/a b",
        "raw_path": b"/a%20b",
        "headers": [(b"x-forwarded-prefix", b"/content/g")],
    }
    mounted = runner.Mounted(application, whole_path=whole)
    asyncio.run(mounted(scope, None, None))
    asyncio.run(mounted({"type": "lifespan"}, None, None))

    assert seen[0]["path"] == path
    assert seen[0]["raw_path"] == path.replace(" ", "%20").encode()
    assert seen[0]["root_path"] == "/content/g"
    assert seen[1] == {"type": "lifespan"}
    assert scope["path"] == "/a b"


def test_a_program_ends_with_its_input() -> None:
    program = f"""
import runpy, sys, time
runner = runpy.run_path({runner.__file__!r})
runner["end_with"](runner["watch_input"]())
print(repr(sys.stdin.read()), flush=True)
time.sleep(600)
"""
    process = subprocess.Popen(
        (sys.executable, "-c", program),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=os.name == "posix",
    )
    with process:
        assert process.stdin
        assert process.stdout
        assert process.stdout.readline() == b"''\n"

        process.stdin.close()

        assert process.wait(20) != 0
