"""What `open` opens, and that it prints the URL where there is no browser."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

import pytest
from support.fake_connect import FakeConnect

if TYPE_CHECKING:
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
