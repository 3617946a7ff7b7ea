"""What commands ask a person for: the parts of a server to save, and which server it shall be."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from support.fake_connect import FakeConnect
from support.terminal import at_terminal

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from support.sandbox import Sandbox

TABLE = '[tool.hatch-connect]\napp-mode = "static"\nentrypoint = "index.html"\n'
ADD, LOCAL = "Save a new server (add)", "Use a Connect server on this machine (--local)"


@pytest.fixture
def server() -> Iterator[FakeConnect]:
    with FakeConnect() as fake:
        yield fake


@pytest.fixture
def site(tmp_path: Path) -> Path:
    folder = tmp_path / "site"
    folder.mkdir()
    (folder / "pyproject.toml").write_text(TABLE, encoding="utf-8")
    (folder / "index.html").write_text("<p>here</p>\n", encoding="utf-8")
    return folder


def stored(sandbox: Sandbox) -> dict[str, dict[str, object]]:
    path = sandbox.home / ".rsconnect-python" / "servers.json"
    held: dict[str, dict[str, object]] = json.loads(path.read_text(encoding="utf-8"))
    return held


def save(sandbox: Sandbox, folder: Path, name: str, url: str, key: str) -> None:
    given = ("add", "--name", name, "--server", url)
    done = sandbox.connect(*given, cwd=folder, CONNECT_API_KEY=key)
    assert done.code == 0, done.said


def test_add_asks_for_what_is_missing(
    server: FakeConnect, tmp_path: Path, sandbox: Sandbox
) -> None:
    answers = {"Server URL: ": f"{server.url}/connect/#/apps", "Nickname [127.0.0.1]: ": "x"}
    done = at_terminal(sandbox, tmp_path, answers | {"API key: ": server.api_key}, "add")
    assert done.code == 0, done.said
    assert server.api_key not in done.said
    assert stored(sandbox)["x"]["url"] == server.url
    assert stored(sandbox)["x"]["api_key"] == server.api_key


def test_add_asks_for_nothing_that_is_given(
    server: FakeConnect, tmp_path: Path, sandbox: Sandbox
) -> None:
    given = {"CONNECT_SERVER": server.url, "CONNECT_API_KEY": server.api_key}
    done = at_terminal(sandbox, tmp_path, {"Nickname [127.0.0.1]: ": ""}, "add", **given)
    assert done.code == 0, done.said
    assert list(stored(sandbox)) == ["127.0.0.1"]
    assert "URL" not in done.stderr
    assert "key" not in done.stderr


def test_a_url_that_is_none_is_refused_before_more_is_asked(
    tmp_path: Path, sandbox: Sandbox
) -> None:
    done = at_terminal(sandbox, tmp_path, {"Server URL: ": "nonsense"}, "add")
    assert done.code == 2
    assert "Nickname" not in done.stderr
    assert "is not the URL of a server" in done.stderr


@pytest.mark.parametrize("nothing", ["", "\x04"])
def test_add_without_a_key_saves_nothing(tmp_path: Path, sandbox: Sandbox, nothing: str) -> None:
    given = ("--server", "https://connect.invalid", "--name", "prod")
    done = at_terminal(sandbox, tmp_path, {"API key: ": nothing}, "add", *given)
    assert done.code == 2
    assert "No API key was given." in done.stderr
    assert "Traceback" not in done.stderr


def test_without_a_terminal_add_says_all_that_is_missing(tmp_path: Path, sandbox: Sandbox) -> None:
    done = sandbox.connect("add", cwd=tmp_path)
    assert done.code == 2
    for what in ("--server", "--name", "CONNECT_API_KEY", "no terminal to prompt on"):
        assert what in done.stderr


def test_without_a_server_one_is_saved_and_used(
    server: FakeConnect, site: Path, sandbox: Sandbox
) -> None:
    answers = {f"  1  {ADD}\n  2  {LOCAL}\nNumber: ".replace("\n", "\r\n"): "1"}
    answers |= {"Server URL: ": server.url, "Nickname": "prod", "API key: ": server.api_key}
    done = at_terminal(sandbox, site, answers, "deploy")
    assert done.code == 0, done.said
    (content,) = server.contents.values()
    assert content.guid in done.stdout
    assert list(stored(sandbox)) == ["prod"]


def test_one_of_several_servers_is_chosen(
    server: FakeConnect, site: Path, sandbox: Sandbox
) -> None:
    with FakeConnect() as other:
        save(sandbox, site, "prod", server.url, server.api_key)
        save(sandbox, site, "staging", other.url, other.api_key)
        done = at_terminal(sandbox, site, {"  2  staging": "2"}, "deploy")
        assert done.code == 0, done.said
        assert (len(server.contents), len(other.contents)) == (0, 1)
        wrong = at_terminal(sandbox, site, {"Number: ": "5"}, "deploy")
    assert wrong.code == 2
    assert "'5' is not a number from 1 to 4" in wrong.stderr


def test_details_offers_no_server_of_this_machine_and_doctor_asks_nothing(
    site: Path, sandbox: Sandbox
) -> None:
    done = at_terminal(sandbox, site, {"Number: ": "9"}, "versions")
    assert LOCAL in done.stderr
    done = at_terminal(sandbox, site, {}, "doctor")
    assert "Number" not in done.stderr
    done = at_terminal(sandbox, site, {}, "versions", "--json")
    assert "Number" not in done.stderr


def test_without_a_terminal_both_ways_are_named(site: Path, sandbox: Sandbox) -> None:
    done = sandbox.connect("deploy", cwd=site)
    assert done.code == 2
    assert "hatch-connect add --name NAME --server URL" in done.stderr
    assert "use --local" in done.stderr
    assert "--local" not in sandbox.connect("remove", cwd=site).stderr


@pytest.mark.parametrize("command", ["deploy", "details", "remove", "logout", "versions"])
def test_a_nickname_that_is_nearly_right(
    command: str, server: FakeConnect, site: Path, sandbox: Sandbox
) -> None:
    save(sandbox, site, "prod", server.url, server.api_key)
    done = sandbox.connect(command, "--name", "prdo", cwd=site)
    assert done.code == 2
    assert "error: No saved server is named `prdo`. Did you mean `prod`?\n" in done.stderr
    assert "Did you mean" not in sandbox.connect(command, "--name", "zzz", cwd=site).stderr


def test_a_nickname_that_nearly_is_a_table(site: Path, sandbox: Sandbox) -> None:
    text = f'{TABLE}[tool.hatch-connect.on.staging]\nserver = "https://a.example.com"\n'
    (site / "pyproject.toml").write_text(text, encoding="utf-8")
    done = sandbox.connect("deploy", "--name", "stagin", cwd=site)
    assert "Did you mean `staging`?" in done.stderr
