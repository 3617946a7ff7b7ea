"""The Connect on one's own machine, as people start it."""

from __future__ import annotations

import json
import shutil
import signal
import sqlite3
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING

import httpx2
import pytest
from support.local_api import asking, serving
from support.terminal import at_terminal
from support.waiting import PATIENCE

if TYPE_CHECKING:
    from support.fake_connect import FakeConnect
    from support.sandbox import Sandbox

APP = """\
async def app(scope, receive, send):
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"hello from here"})
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "hello"
    folder.mkdir()
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    (folder / "pyproject.toml").write_text(
        f'[tool.hatch-connect]\napp-mode = "fastapi"\npython-version = "{python}"\n',
        encoding="utf-8",
    )
    (folder / "app.py").write_text(APP, encoding="utf-8")
    (folder / "requirements.txt").write_text("# nothing\n", encoding="utf-8")
    return folder


def test_a_deployment_to_this_machine_answers_and_is_updated(
    project: Path, sandbox: Sandbox
) -> None:
    first = sandbox.connect("deploy", "--local", cwd=project)
    assert first.code == 0, first.said
    assert "answered 200: hello from here" in first.stderr
    second = sandbox.connect("deploy", "--local", "--json", "--force", cwd=project)
    assert second.code == 0, second.said
    result = json.loads(second.stdout)
    assert result["url"] == first.stdout.strip()
    assert result["previous_bundle_id"] == "1"
    logs = sandbox.connect("versions", "--local", cwd=project)
    assert "active" in logs.stdout
    followed = sandbox.connect("logs", "--follow", "--local", cwd=project)
    assert followed.code == 0, followed.said
    opened = sandbox.connect("open", "--local", cwd=project, CI="1")
    assert opened.stdout == first.stdout
    details = sandbox.connect("details", "--local", cwd=project.parent)
    assert details.code == 0, details.said
    assert "http://127.0.0.1:" in details.stdout
    both = sandbox.connect("deploy", "--local", "--server", "http://127.0.0.1:9", cwd=project)
    assert both.code == 2


def test_a_plan_compares_with_what_is_on_this_machine(project: Path, sandbox: Sandbox) -> None:
    assert sandbox.connect("deploy", "--local", cwd=project).code == 0
    same = sandbox.connect("plan", "--local", "--check", cwd=project)
    assert (same.code, "nothing to deploy" in same.stdout) == (0, True), same.said
    (project / "more.py").write_text("", encoding="utf-8")
    shutil.rmtree(sandbox.home / ".rsconnect-python")  # then the archive tells what is there
    done = sandbox.connect("plan", "--local", "--check", "-v", cwd=project)
    assert done.code == 6, done.said
    assert "+1 file" in done.stdout
    assert "\n    + more.py\n" in done.stdout


def test_a_value_that_was_rotated_counts_without_an_upload(project: Path, sandbox: Sandbox) -> None:
    app = APP.replace('b"hello from here"', 'os.environ["TOKEN"][:1].encode()')
    (project / "app.py").write_text(f"import os\n{app}", encoding="utf-8")
    for value in ("first", "second"):
        done = sandbox.connect("deploy", "--local", "-E", "TOKEN", cwd=project, TOKEN=value)
        assert done.code == 0, done.said
        assert f"answered 200: {value[0]}" in done.stderr
    assert "Nothing to upload: bundle 1 is the same." in done.stderr


def test_content_that_breaks_shows_the_end_of_its_log(project: Path, sandbox: Sandbox) -> None:
    (project / "app.py").write_text("app = None\nraise RuntimeError('boom')\n", encoding="utf-8")
    done = sandbox.connect("deploy", "--local", cwd=project)
    assert done.code == 5, done.said
    *_, last = (line for line in done.stderr.splitlines() if line.startswith("  | "))
    assert last == "  | RuntimeError: boom"
    # The page of the logs is gone with the server.
    (command,) = (line for line in done.stderr.splitlines() if "Logs: " in line)
    assert done.stderr.count("Stopping the local server; `") == 1
    _, named, arguments = command.partition(" logs --local ")
    again = sandbox.connect("logs", "--local", *arguments.split(), cwd=project)
    assert (named, again.code) == (" logs --local ", 0), again.said
    assert "RuntimeError: boom" in again.stdout


@pytest.mark.parametrize("port", ["99999999", "-1"])
def test_a_number_that_is_no_port_is_refused(project: Path, sandbox: Sandbox, port: str) -> None:
    done = sandbox.connect("local", "--port", port, cwd=project)
    assert done.code == 2, done.said
    assert (
        f"Cannot listen on 127.0.0.1, port {port}: a port is a number from 1 to 65535."
        in done.stderr
    )


def test_a_users_toml_that_is_wrong_is_refused(project: Path, sandbox: Sandbox) -> None:
    (project / "people.toml").write_text('[users.ann]\nrole = "boss"\n', encoding="utf-8")
    done = sandbox.connect("local", "--users", "people.toml", cwd=project)
    assert done.code == 2, done.said
    assert "people.toml:\n" in done.stderr
    assert "- `users.ann.role` must be one of: administrator, publisher, viewer." in done.stderr


PEOPLE = """
[users.ann]
key = "key-of-ann"

[users.bob]
role = "viewer"
key = "key-of-bob"

[groups]
analysts = ["ann"]
"""
SHARED = """
[tool.hatch-connect.settings]
access = "acl"
viewers = ["group:analysts", "eve"]
"""


def test_those_who_are_declared_may_see_the_content(project: Path, sandbox: Sandbox) -> None:
    people, pyproject = project.parent / "people.toml", project / "pyproject.toml"
    people.write_text(PEOPLE, encoding="utf-8")
    people.chmod(0o600)
    pyproject.write_text(pyproject.read_text("utf-8") + SHARED, encoding="utf-8")
    home = Path(sandbox.environ["XDG_STATE_HOME"])
    with serving(home, "--users", str(people)) as (server, _said):
        done = sandbox.connect("deploy", "--local", cwd=project)
        assert done.code == 0, done.said
        url = done.stdout.strip()

        def visit(key: str, path: str = url) -> httpx2.Response:
            return httpx2.get(path, headers={"Authorization": f"Key {key}"}, timeout=PATIENCE)

        assert visit("key-of-ann").text == "hello from here"
        assert (visit("key-of-bob").status_code, visit("key-of-eve").status_code) == (403, 401)
        told = visit("key-of-bob", f"{server.url}/__api__/v1/users").json()["results"]
        roles = {one["username"]: one["user_role"] for one in told}
        assert roles == {
            "local": "administrator",
            "ann": "publisher",
            "bob": "viewer",
            "eve": "publisher",
        }
        with asking(server) as api, api.browse() as browser:
            assert str(people) in browser.get(f"{server.url}/connect/server").text
        with_her_key = {"CONNECT_SERVER": server.url, "CONNECT_API_KEY": "key-of-ann"}
        guid = url.rstrip("/").rpartition("/")[2]
        refused = sandbox.connect("deploy", "--app-id", guid, cwd=project, **with_her_key)
        assert refused.code == 3, refused.said
        own = sandbox.connect("deploy", "--new", cwd=project, **with_her_key)
        assert own.code == 0, own.said
        shown = sandbox.connect("settings", cwd=project, **with_her_key)
        assert "group:analysts" in shown.stdout, shown.said

    text = pyproject.read_text("utf-8")
    pyproject.write_text(f'{text}collaborators = ["bob"]\n', encoding="utf-8")
    wrong = sandbox.connect("deploy", "--local", cwd=project)
    assert wrong.code == 2, wrong.said
    assert "names 'bob', whose account can only view content." in wrong.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_the_server_runs_until_it_is_stopped(project: Path, sandbox: Sandbox) -> None:
    people = project / "people.toml"
    people.write_text('[users.ann]\nkey = "key-of-ann"\n', encoding="utf-8")
    people.chmod(0o644)
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "hatch_connect", "local", "--users", "people.toml"],
        cwd=project,
        env=sandbox.environ,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stderr is not None
        warning, line = process.stderr.readline(), process.stderr.readline()
        assert "Others on this machine can read the keys in " in warning
        url = next(word for word in line.split() if word.startswith("http://")).rstrip(".")
        with urllib.request.urlopen(f"{url}/__api__/server_settings", timeout=PATIENCE) as answer:
            assert json.load(answer)["version"]
        done = sandbox.connect("deploy", "--local", cwd=project)
        assert done.code == 0, done.said
        assert done.stdout.startswith(url)
        assert "Stopping the local" not in done.stderr
        # A terminal is not kept waiting for a server that runs on by itself.
        shown = at_terminal(sandbox, project, {}, "deploy", "--local")
        assert (shown.code, shown.stdout) == (0, done.stdout), shown.said
        assert "press Ctrl-C" not in shown.stderr
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=PATIENCE)
    assert process.returncode == 0


def test_whom_a_project_names_is_there(project: Path, sandbox: Sandbox) -> None:
    with (project / "pyproject.toml").open("a", encoding="utf-8") as file:
        file.write("[tool.hatch-connect.settings]\n")
        file.write('viewers = ["group:analysts"]\ntags = ["Department/Finance"]\n')
        file.write('[tool.hatch-connect.on.local.settings]\nviewers-add = ["ann"]\n')
    listed = sandbox.connect("versions", "--local", cwd=project)
    assert "was not deployed" in listed.stderr, listed.said
    (state,) = sandbox.home.rglob("state.sqlite3")
    database = sqlite3.connect(state)
    named = set(database.execute("SELECT kind, name FROM named"))
    database.close()
    assert named >= {("user", "ann"), ("group", "analysts"), ("tag", "Finance")}


@pytest.fixture
def page(tmp_path: Path) -> Path:
    """A project of one page, which needs no Python."""
    folder = tmp_path / "page"
    folder.mkdir()
    text = '[tool.hatch-connect]\napp-mode = "static"\nentrypoint = "index.html"\n'
    (folder / "pyproject.toml").write_text(text, encoding="utf-8")
    return folder


def deploy_page(page: Path, sandbox: Sandbox, text: str) -> None:
    (page / "index.html").write_text(f"<h1>{text}</h1>\n", encoding="utf-8")
    done = sandbox.connect("deploy", "--local", cwd=page)
    assert done.code == 0, done.said
    assert f"answered 200: {text}" in done.stderr


def test_previews_are_shown_replaced_and_pruned(page: Path, sandbox: Sandbox) -> None:
    def kept() -> list[str]:
        return sandbox.connect("versions", "--local", cwd=page).stdout.splitlines()

    for text in ("one", "two", "three"):
        deploy_page(page, sandbox, text)
    for text in ("four", "five"):
        (page / "index.html").write_text(f"<h1>{text}</h1>\n", encoding="utf-8")
        shown = sandbox.connect("preview", "--branch", "feature", "--local", cwd=page)
        assert shown.code == 0, shown.said
        assert f"The draft at / answered 200: {text}" in shown.stderr
        # The notes on the bundles must do, as in a job of a CI.
        shutil.rmtree(sandbox.home / ".rsconnect-python")
    draft, active, *_, first = kept()
    assert draft.startswith("5 ")
    assert draft.endswith("draft, preview of feature, never active")
    assert active.endswith("active")
    rule = ("--drafts", "--bundles", "--keep", "0", "--local")
    only = sandbox.connect("prune", *rule, "--dry-run", cwd=page)
    assert only.stdout.splitlines() == [first, draft], only.said
    pruned = sandbox.connect("prune", *rule, "--yes", cwd=page)
    assert pruned.code == 0, pruned.said
    assert [line.split()[0] for line in kept()] == ["3", "2"]
    archives = {path.name for path in sandbox.home.rglob("bundles/*") if path.is_file()}
    assert len(archives) == 2
    written = sandbox.connect("download", "--local", "--json", cwd=page)
    facts = json.loads(written.stdout)
    assert (facts["bundle_id"], facts["compared"]) == ("3", True)


def test_it_is_either_end_of_a_promotion(page: Path, sandbox: Sandbox, fake: FakeConnect) -> None:
    there = {"CONNECT_SERVER": fake.url, "CONNECT_API_KEY": fake.api_key}
    deploy_page(page, sandbox, "mine")
    ends = ("--from", "local", "--to", fake.url)
    done = sandbox.connect("promote", *ends, cwd=page, **there)
    assert done.code == 0, done.said
    (content,) = fake.contents.values()
    archive = content.bundles[content.bundle_id or ""].archive
    shutil.rmtree(sandbox.home / "state")
    ends = ("--from", fake.url, "--to", "local")
    done = sandbox.connect("promote", *ends, "--json", cwd=page, **there)
    assert done.code == 0, done.said
    assert json.loads(done.stdout)["from"]["guid"] == content.guid
    (page / "got").mkdir()
    written = sandbox.connect("download", "--local", "--output", "got", cwd=page)
    (path,) = (page / "got").iterdir()
    assert path.read_bytes() == archive, written.said
    both = sandbox.connect("promote", "--from", "local", "--to", "local", cwd=page)
    assert (both.code, "are the same server" in both.stderr) == (2, True), both.said


def test_a_server_that_is_stored_as_local_counts_first(
    page: Path, sandbox: Sandbox, fake: FakeConnect
) -> None:
    given = ("--name", "local", "--server", fake.url, "--api-key", fake.api_key)
    assert sandbox.connect("add", *given, cwd=page).code == 0
    done = sandbox.connect("promote", "--from", "local", "--to", "other", cwd=page)
    assert f"was not deployed to {fake.url}" in done.stderr, done.said


@pytest.mark.skipif(sys.platform == "win32", reason="terminals of POSIX")
def test_what_is_not_needed_is_removed_and_all_of_it_on_request(
    page: Path, sandbox: Sandbox
) -> None:
    deploy_page(page, sandbox, "one")
    (state,) = (path.parent for path in sandbox.home.rglob("state.sqlite3"))
    (state / "bundles" / "99.tar.gz").write_bytes(bytes(2_000_000))

    pruned = sandbox.connect("local", "--prune", cwd=page)
    again = sandbox.connect("local", "--prune", "--json", cwd=page)

    assert (pruned.code, pruned.stdout) == (0, ""), pruned.said
    assert "Removed 1 archive: 2.0 MB were freed in " in pruned.stderr
    assert "Nothing to remove in " in again.stderr
    facts = json.loads(again.stdout)
    assert (facts["state"], facts["freed"], set(facts["removed"].values())) == (str(state), 0, {0})
    kept = sandbox.connect("local", "--reset", cwd=page)
    assert (kept.code, "Use --yes to remove it" in kept.stderr) == (2, True), kept.said
    declined = at_terminal(sandbox, page, {"Remove everything? [y/N]": "n"}, "local", "--reset")
    assert "This removes 1 piece of content of the local server" in declined.stderr
    assert str(state) not in declined.stderr  # it is shortened, as in every message
    assert (declined.code, "Nothing was removed." in declined.stderr) == (2, True), declined.said
    reset = sandbox.connect("local", "--reset", "--yes", cwd=page)
    assert (reset.code, "Removed 1 piece of content: " in reset.stderr) == (0, True), reset.said
    assert not (state / "state.sqlite3").exists()
    assert (state / "api-key").exists()


@pytest.mark.parametrize(
    ("options", "error"),
    [
        (("--prune", "--reset"), "--prune and --reset are mutually exclusive."),
        (("--prune", "--port", "3939"), "--prune and --reset start no server, so they take"),
        (("--yes",), "--yes is only for --reset"),
    ],
)
def test_options_of_cleaning_up(
    page: Path, sandbox: Sandbox, options: tuple[str, ...], error: str
) -> None:
    done = sandbox.connect("local", *options, cwd=page)
    assert (done.code, error in done.stderr) == (2, True), done.said
