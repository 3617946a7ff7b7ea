"""What `open` opens, and that it prints the URL where there is no browser."""

from __future__ import annotations

import json
import os
import re
import select
import signal
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

import httpx2
import pytest
from support.fake_connect import FakeConnect
from support.waiting import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from support.calling import Caller
    from support.sandbox import Sandbox

_PAGES = {
    "": "/content/{}/",
    "--dashboard": "/connect/#/apps/{}",
    "--logs": "/connect/#/apps/{}/logs",
}
_BROWSER = "import pathlib, sys; pathlib.Path(sys.argv[1]).write_text(sys.argv[2])"


@pytest.mark.parametrize("option", _PAGES)
def test_a_browser_gets_the_url(option: str, sandbox: Sandbox, tmp_path: Path) -> None:
    with FakeConnect() as server:
        guid = server.add_content("sales").guid
        page = server.url + _PAGES[option].format(guid)
        environ = {"CONNECT_SERVER": server.url, "CONNECT_API_KEY": server.api_key}
        script = tmp_path / "browser.py"
        script.write_text(_BROWSER, encoding="utf-8")
        given = ("open", "-a", guid, *filter(None, [option]))
        browser = f"{sys.executable} {script} {tmp_path / 'opened'} %s"
        done = sandbox.connect(*given, cwd=tmp_path, BROWSER=browser, **environ)
        assert (done.code, done.stdout) == (0, ""), done.said
        assert f"Opening {page}" in done.stderr
        assert (tmp_path / "opened").read_text(encoding="utf-8") == page

        for none in ({"CI": "true"}, {"SSH_CONNECTION": "1 2 3 4"}, {"BROWSER": "false"}):
            done = sandbox.connect(*given, cwd=tmp_path, **environ, **none)
            assert (done.code, done.stdout) == (0, f"{page}\n"), done.said
        done = sandbox.connect(*given, "--json", cwd=tmp_path, CI="true", **environ)
        assert json.loads(done.stdout) == {"guid": guid, "url": page, "opened": False}


def test_only_web_pages_are_opened(fake: FakeConnect, caller: Caller) -> None:
    content = fake.add_content("sales")
    content.url = "file://"
    caller.environ["BROWSER"] = "false"
    done = caller.call("open", app_id=content.guid)
    assert "Opening" not in done.stderr
    assert done.stdout.startswith("file://")


def test_one_page_at_a_time(fake: FakeConnect, caller: Caller) -> None:
    done = caller.call("open", app_id=fake.add_content("sales").guid, dashboard=True, logs=True)
    assert (done.code, "mutually exclusive" in done.stderr) == (2, True)


_LOGIN = re.compile(r"http://127\.0\.0\.1:\d+/connect/__login__\?token=[\w-]{43}\b")


@pytest.fixture
def page(tmp_path: Path) -> Path:
    folder = tmp_path / "page"
    folder.mkdir()
    text = '[tool.hatch-connect]\napp-mode = "static"\nentrypoint = "index.html"\n'
    (folder / "pyproject.toml").write_text(text, encoding="utf-8")
    (folder / "index.html").write_text("<h1>the page</h1>\n", encoding="utf-8")
    return folder


@contextmanager
def _at_terminal(sandbox: Sandbox, folder: Path, *arguments: str) -> Iterator[_Shown]:
    """Run a command at a terminal until the block ends, which presses Ctrl-C."""
    ours, theirs = os.openpty()
    process = subprocess.Popen(
        (sys.executable, "-P", "-m", "hatch_connect", *arguments),
        stdin=theirs,
        stderr=theirs,
        stdout=subprocess.PIPE,
        cwd=folder,
        env=sandbox.environ | {"TERM": "dumb", "BROWSER": "false", "COLUMNS": "500"},
        text=True,
    )
    os.close(theirs)
    shown = _Shown(ours)
    try:
        yield shown
    finally:
        process.send_signal(signal.SIGINT)
        shown.stdout = process.communicate(timeout=PATIENCE)[0]
        os.close(ours)


class _Shown:
    """What is on a terminal."""

    text = stdout = ""

    def __init__(self, terminal: int) -> None:
        self._terminal = terminal

    def find(self, wanted: re.Pattern[str]) -> str:
        """Wait until something is shown, and return it."""
        while not (found := wanted.search(self.text)):
            assert select.select([self._terminal], [], [], PATIENCE)[0], self.text
            self.text += os.read(self._terminal, 4096).decode()
        return found[0]


needs_terminal = pytest.mark.skipif(sys.platform == "win32", reason="terminals of POSIX")


def _end_of(url: str) -> httpx2.Response:
    """Open a URL in a fresh browser, as far as cookies go."""
    with httpx2.Client(trust_env=False, timeout=PATIENCE, follow_redirects=True) as browser:
        return browser.get(url)


@needs_terminal
def test_the_server_of_this_machine_shows_how_to_sign_in(page: Path, sandbox: Sandbox) -> None:
    with _at_terminal(sandbox, page, "local") as shown:
        url = shown.find(_LOGIN)
        shown.find(re.compile("Try it as"))
        assert "For another" not in shown.text
        assert _end_of(url).status_code == 200
        shown.find(re.compile("Signed in. For another URL: .*open --local --dashboard"))
        assert _end_of(url).status_code == 403
        elsewhere = page.parent  # where there is no project
        with _at_terminal(sandbox, elsewhere, "open", "--local", "--dashboard") as other:
            again = _end_of(other.find(_LOGIN))
        assert (again.status_code, str(again.url)) == (200, url.partition("__login__")[0])


@needs_terminal
def test_content_of_this_machine_is_opened_signed_in(
    page: Path, sandbox: Sandbox, tmp_path: Path
) -> None:
    with _at_terminal(sandbox, page, "deploy", "--local") as shown:
        first = _end_of(shown.find(_LOGIN))
        assert "<h1>the page</h1>" in first.text
        assert first.url.host == "localhost"
        with _at_terminal(sandbox, page, "open", "--local") as other:
            assert _end_of(other.find(_LOGIN)).text == first.text
        script = tmp_path / "browser.py"
        script.write_text(_BROWSER, encoding="utf-8")
        browser = f"{sys.executable} {script} {tmp_path / 'opened'} %s"
        done = sandbox.connect("open", "--local", "--logs", cwd=page, BROWSER=browser)
        opened = (tmp_path / "opened").read_text(encoding="utf-8")
        assert _LOGIN.fullmatch(opened)
        assert "token" not in done.said
        assert "/connect/#/apps/" in done.stderr
        done = sandbox.connect("open", "--local", "--as", "bob", cwd=page, BROWSER=browser)
        assert done.code == 0, done.said
        as_bob = _end_of((tmp_path / "opened").read_text(encoding="utf-8"))
        assert (as_bob.status_code, "bob may not see" in as_bob.text) == (403, True)
        for wrong, words in (
            (("--as", "eve"), "no user 'eve'"),
            (("--as", "bob", "--dashboard"), "the content itself, not the dashboard."),
        ):
            done = sandbox.connect("open", "--local", *wrong, cwd=page, BROWSER=browser)
            assert (done.code, words in done.stderr) == (2, True), done.said
        plain = sandbox.connect("open", "--local", cwd=page, BROWSER="false")
        assert _end_of(plain.stdout.strip()).status_code == 401
        for arguments in (("--json",), ("--dashboard", "--json"), ("--dashboard",), ()):
            done = sandbox.connect("open", "--local", *arguments, cwd=page, CI="true")
            assert (done.code, "token" in done.said) == (0, False)
    assert shown.stdout == plain.stdout
