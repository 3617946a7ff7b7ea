"""Several pieces of content, several servers, and what becomes of versions."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from support.fake_connect import Do, FakeConnect, Hang, Say
from support.fake_content import FakeTask
from support.sandbox import Finished, Sandbox, committed
from support.waiting import PATIENCE, until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

PROJECT = """\
[tool.hatch-connect]
app-mode = "fastapi"
python-version = "3.12"
env = ["MODE=test"]

[tool.hatch-connect.content.orders]
entrypoint = "orders:app"
title = "Orders"

[tool.hatch-connect.content.stock]
entrypoint = "stock:app"
env = ["MODE=stock"]

[tool.hatch-connect.on.staging]
env = ["STAGE=yes"]

[tool.hatch-connect.content.stock.on.staging]
title = "On staging"
image = "team/python:2"
"""


@pytest.fixture
def server() -> Iterator[FakeConnect]:
    with FakeConnect() as fake:
        yield fake


@pytest.fixture
def project(tmp_path: Path, sandbox: Sandbox) -> Path:
    folder = tmp_path / "shop"
    folder.mkdir()
    (folder / "pyproject.toml").write_text(PROJECT, encoding="utf-8")
    (folder / "requirements.txt").write_text("starlette==0.45.0\n", encoding="utf-8")
    for name in ("orders", "stock"):
        (folder / f"{name}.py").write_text("async def app(*_): ...\n", encoding="utf-8")
    return committed(folder, sandbox)


def call(
    sandbox: Sandbox, server: FakeConnect, project: Path, *words: str, **environ: str
) -> Finished:
    keys = {"CONNECT_SERVER": server.url, "CONNECT_API_KEY": server.api_key}
    return sandbox.connect(*words, cwd=project, **keys | environ)


def names(server: FakeConnect) -> list[str]:
    return sorted(content.name for content in server.contents.values())


def test_each_piece_of_content_is_deployed_and_recorded_for_itself(
    server: FakeConnect, project: Path, sandbox: Sandbox
) -> None:
    every = call(sandbox, server, project, "deploy", "--all", "--json")
    assert every.code == 0, every.said
    assert names(server) == ["shop-orders", "shop-stock"]
    assert len(json.loads(every.stdout)["contents"]) == 2
    stock_again = ("--content", "stock", "--json", "--force")
    one = call(sandbox, server, project, "deploy", *stock_again)
    assert one.code == 0, one.said
    stock = server.contents[json.loads(one.stdout)["guid"]]
    assert stock.name == "shop-stock"
    assert stock.environment == {"MODE": "stock"}
    assert len(stock.bundles) == 2
    assert not (project / "rsconnect-python").exists()
    assert sandbox.git("status", "--porcelain", cwd=project) == ""


def test_one_has_to_say_which_content(server: FakeConnect, project: Path, sandbox: Sandbox) -> None:
    for command in ("deploy", "bundle", "info"):
        done = call(sandbox, server, project, command)
        assert done.code == 2
        assert "orders, stock" in done.stderr
        assert "--content" in done.stderr
        assert ("--all" in done.stderr) == (command != "info")
    unknown = call(sandbox, server, project, "bundle", "--content", "bills")
    assert unknown.code == 2
    assert "bills" in unknown.stderr
    title = call(sandbox, server, project, "deploy", "--all", "--title", "Same for all")
    assert title.code == 2
    assert server.contents == {}


def test_a_build_that_fails_stops_before_the_first_is_deployed(
    server: FakeConnect, project: Path, sandbox: Sandbox
) -> None:
    (project / "stock.py").unlink()
    done = call(sandbox, server, project, "deploy", "--all")
    assert done.code == 2, done.said
    assert server.contents == {}


def test_there_is_no_way_back_from_the_only_bundle(
    server: FakeConnect, project: Path, sandbox: Sandbox
) -> None:
    stock = ("--content", "stock")
    assert call(sandbox, server, project, "deploy", *stock).code == 0
    back = call(sandbox, server, project, "rollback", *stock)
    assert back.code == 2
    assert "There is no other bundle to roll back to." in back.stderr
    assert "Name one" not in back.stderr


def test_what_differs_on_one_server_is_not_in_the_bundle(
    server: FakeConnect, project: Path, sandbox: Sandbox
) -> None:
    key = {"CONNECT_API_KEY": server.api_key}
    for name in ("staging", "production"):
        added = sandbox.connect("add", "-n", name, "-s", server.url, cwd=project, **key)
        assert added.code == 0, added.said
    staging = sandbox.connect("deploy", "--content", "stock", "-n", "staging", cwd=project)
    assert staging.code == 0, staging.said
    [content] = server.contents.values()
    kept = f'guid = "{content.guid}" in [tool.hatch-connect.content.stock.on.staging].'
    assert kept in staging.stderr
    assert content.title == "On staging"
    assert content.environment == {"MODE": "stock", "STAGE": "yes"}
    assert content.fields["default_image_name"] == "team/python:2"
    again = sandbox.connect("deploy", "--content", "stock", "-n", "production", cwd=project)
    assert again.code == 0, again.said
    assert len({bundle.archive for bundle in content.bundles.values()}) == 1
    by_call = ("-n", "staging", "--image", "team/python:3")
    called = sandbox.connect("deploy", "--content", "stock", *by_call, cwd=project)
    assert called.code == 0, called.said
    newest = max(content.bundles.values(), key=lambda bundle: int(bundle.id))
    assert newest.manifest["environment"]["image"] == "team/python:3"  # type: ignore[index]
    text = (project / "pyproject.toml").read_text(encoding="utf-8")
    text = text.replace('app-mode = "fastapi"', 'app-mode = "fastapi"\nimage = "team/python:1"')
    (project / "pyproject.toml").write_text(text, encoding="utf-8")
    twice = sandbox.connect("deploy", "--content", "stock", "-n", "staging", cwd=project)
    assert twice.code == 2
    assert "the bundle is the same for all" in twice.stderr


def test_in_ci_a_nickname_says_which_table_counts(
    server: FakeConnect, project: Path, sandbox: Sandbox
) -> None:
    stock = ("--content", "stock")
    none = call(sandbox, server, project, "deploy", *stock)
    assert none.code == 0, none.said
    assert f"is for {server.url} (CONNECT_SERVER); there are: staging." in none.stderr
    [content] = server.contents.values()
    assert content.environment == {"MODE": "stock"}
    named = call(sandbox, server, project, "deploy", *stock, "--name", "staging")
    assert named.code == 0, named.said
    assert "there are: staging" not in named.stderr
    assert content.environment == {"MODE": "stock", "STAGE": "yes"}
    assert content.title == "On staging"
    typo = call(sandbox, server, project, "deploy", *stock, "--name", "stagin")
    assert typo.code == 2, typo.said
    text = (project / "pyproject.toml").read_text(encoding="utf-8")
    url = f'[tool.hatch-connect.on.staging]\nserver = "{server.url}/"'
    text = text.replace("[tool.hatch-connect.on.staging]", url)
    (project / "pyproject.toml").write_text(text, encoding="utf-8")
    content.title = "Other"
    for command in ("deploy", "info"):
        found = call(sandbox, server, project, command, *stock)
        assert found.code == 0, found.said
        assert "there are: staging" not in found.stderr
    assert content.title == "On staging"
    elsewhere = {"CONNECT_SERVER": "http://127.0.0.1:9"}
    for words in (["deploy", *stock], ["versions", *stock], ["details"]):
        other = call(sandbox, server, project, *words, "--name", "staging", **elsewhere)
        assert other.code == 2, other.said
        assert "on.staging.server" in other.stderr
    key = {"CONNECT_API_KEY": server.api_key}
    alone = sandbox.connect("deploy", *stock, "--name", "staging", cwd=project, **key)
    assert alone.code == 2, alone.said
    assert "only pyproject.toml names" in alone.stderr
    assert server.api_key not in alone.said


def test_versions_are_listed_activated_and_removed(
    server: FakeConnect, project: Path, sandbox: Sandbox
) -> None:
    stock = ("--content", "stock")
    for _ in range(3):
        assert call(sandbox, server, project, "deploy", "--force", *stock).code == 0
    [content] = server.contents.values()
    first, second, third = sorted(content.bundles, key=int)
    listed = call(sandbox, server, project, "versions", *stock)
    assert listed.code == 0, listed.said
    commit = sandbox.git("rev-parse", "HEAD", cwd=project).strip()
    assert f"{commit}  active" in listed.stdout
    assert listed.stdout.split()[0] == third
    back = call(sandbox, server, project, "rollback", *stock)
    assert back.code == 0, back.said
    assert content.bundle_id == second
    planned = call(sandbox, server, project, "rollback", first, *stock, "--dry-run")
    assert "activate it" in planned.stdout
    assert content.bundle_id == second
    assert call(sandbox, server, project, "rollback", first, *stock).code == 0
    assert content.bundle_id == first
    refused = call(sandbox, server, project, "versions", "--remove", first, *stock)
    assert refused.code == 2
    assert "active" in refused.stderr
    removed = call(sandbox, server, project, "versions", "--remove", third, *stock, "--json")
    assert removed.code == 0, removed.said
    assert [b["id"] for b in json.loads(removed.stdout)["bundles"]] == [second, first]
    assert sorted(content.bundles, key=int) == [first, second]
    oldest = call(sandbox, server, project, "rollback", *stock)
    assert oldest.code == 2
    assert "No earlier bundle" in oldest.stderr
    absent = call(sandbox, server, project, "rollback", "999", *stock)
    assert absent.code == 2
    assert first in absent.stderr
    same = call(sandbox, server, project, "rollback", first, *stock)
    assert "already" in same.stderr
    server.misbehave("GET", "bundles$", Say(200, b"[]"))
    unlisted = call(sandbox, server, project, "rollback", second, *stock)
    assert unlisted.code == 0, unlisted.said
    assert content.bundle_id == second


def test_git_and_the_call_say_what_is_noted_with_a_bundle(
    server: FakeConnect, project: Path, sandbox: Sandbox
) -> None:
    stock = ("deploy", "--content", "stock", "--force")
    assert call(sandbox, server, project, *stock, "--metadata", "ticket=7").code == 0
    [content] = server.contents.values()
    [bundle] = content.bundles.values()
    assert bundle.metadata["ticket"] == "7"
    assert bundle.metadata["source"] == "git"
    assert call(sandbox, server, project, *stock, "--no-metadata").code == 0
    assert [b.metadata for b in content.bundles.values()][1] == {}
    server.version = "2024.09.0"
    assert call(sandbox, server, project, *stock).code == 0
    assert [b.metadata for b in content.bundles.values()][2] == {}
    unheard = call(sandbox, server, project, *stock, "--metadata", "ticket=7")
    assert unheard.code == 0
    assert "Not sent: --metadata" in unheard.stderr
    server.version = "2026.06.0"
    wrong = call(sandbox, server, project, *stock, "--metadata", "ticket")
    assert wrong.code == 2
    assert "KEY=VALUE" in wrong.stderr


def test_a_variable_is_removed_by_name(
    server: FakeConnect, project: Path, sandbox: Sandbox
) -> None:
    stock = ("deploy", "--content", "stock")
    assert call(sandbox, server, project, *stock, "-E", "OLD=1").code == 0
    [content] = server.contents.values()
    assert content.environment == {"MODE": "stock", "OLD": "1"}
    assert call(sandbox, server, project, *stock, "--unset", "OLD").code == 0
    assert content.environment == {"MODE": "stock"}


def test_images_and_environment_management_are_in_the_manifest_or_refused(
    server: FakeConnect, project: Path, sandbox: Sandbox
) -> None:
    options = ("--image", "team/python:1", "--disable-env-management-py")
    done = call(sandbox, server, project, "deploy", "--content", "stock", *options)
    assert done.code == 0, done.said
    [content] = server.contents.values()
    [bundle] = content.bundles.values()
    environment = bundle.manifest["environment"]
    assert isinstance(environment, dict)
    assert environment["image"] == "team/python:1"
    assert environment["environment_management"] == {"python": False}
    path = project / "dist" / "connect"
    [file] = path.glob("*.connect.tgz")
    prepared = call(sandbox, server, project, "deploy", str(file), "--image", "x")
    assert prepared.code == 2
    assert "--image" in prepared.stderr


def test_content_that_the_server_fetches_from_git_is_refused_before_the_upload(
    server: FakeConnect, project: Path, sandbox: Sandbox
) -> None:
    stock = ("deploy", "--content", "stock")
    assert call(sandbox, server, project, *stock).code == 0
    [content] = server.contents.values()
    content.git = True
    done = call(sandbox, server, project, *stock)
    assert done.code == 3
    assert "git" in done.stderr
    assert len(content.bundles) == 1


def test_content_that_is_named_needs_no_project(
    server: FakeConnect, project: Path, sandbox: Sandbox, tmp_path: Path
) -> None:
    stock = ("deploy", "--content", "stock")
    for _ in range(2):
        assert call(sandbox, server, project, *stock, "--force").code == 0
    [content] = server.contents.values()
    for command in ("info", "logs", "versions", "rollback"):
        done = call(sandbox, server, tmp_path, command, "--app-id", content.guid)
        assert done.code == 0, done.said
    elsewhere = f"https://other.example.com/content/{content.guid}/"
    refused = call(sandbox, server, tmp_path, "info", "--app-id", elsewhere)
    assert refused.code == 2
    assert "a different server" in refused.stderr
    empty = call(sandbox, server, project, *stock, "--app-id", "")
    assert empty.code == 2
    assert "--app-id" in empty.stderr


def test_all_are_planned_before_the_first_is_changed(
    server: FakeConnect, project: Path, sandbox: Sandbox
) -> None:
    assert call(sandbox, server, project, "deploy", "--content", "stock").code == 0
    [content] = server.contents.values()
    content.locked = True
    done = call(sandbox, server, project, "deploy", "--all")
    assert done.code == 3
    assert "locked" in done.stderr
    assert len(server.contents) == 1


def guid(server: FakeConnect, name: str) -> str:
    [found] = [content.guid for content in server.contents.values() if content.name == name]
    return found


@pytest.fixture
def three(server: FakeConnect, project: Path, sandbox: Sandbox) -> dict[str, str]:
    """Deploy orders, stock and bills once, and return their GUIDs."""
    with (project / "pyproject.toml").open("a", encoding="utf-8") as file:
        file.write('\n[tool.hatch-connect.content.bills]\nentrypoint = "orders:app"\n')
    done = call(sandbox, server, project, "deploy", "--all")
    assert done.code == 0, done.said
    server.requests.clear()
    return {name: guid(server, f"shop-{name}") for name in ("orders", "stock", "bills")}


def asked(server: FakeConnect, request: str) -> Callable[[], bool]:
    return lambda: request in server.calls()


def test_several_are_under_way_at_once(
    server: FakeConnect, project: Path, sandbox: Sandbox
) -> None:
    met = []

    def meet() -> None:
        until(lambda: sum(each.endswith("/bundles") for each in server.calls()) == 2)
        met.append("both")

    # The task of the first upload does not end before the second one has come.
    server.misbehave("GET", "v1/tasks/", Do(meet))
    done = call(sandbox, server, project, "deploy", "--all", "--jobs", "2")
    assert done.code == 0, done.said
    assert met == ["both"]
    names_of = {content.guid: content.name for content in server.contents.values()}
    urls = [url.rstrip("/").rpartition("/")[2] for url in done.stdout.splitlines()]
    assert [names_of[url] for url in urls] == ["shop-orders", "shop-stock"]
    *lines, heading, orders, stock = done.stderr.splitlines()
    assert all(line.startswith(("shop-orders: ", "shop-stock: ")) for line in lines)
    for name in ("shop-orders", "shop-stock"):
        assert f"{name}:   | Building..." in lines
        assert any(line.startswith(f"{name}: Deployed ") for line in lines)
    assert heading.strip() == "All content was deployed:"
    assert orders.startswith("   shop-orders: deployed: ")
    assert stock.startswith("   shop-stock: deployed: ")
    seven = ("--jobs", "7", "--force", "--json")
    again = call(sandbox, server, project, "deploy", "--all", *seven)
    assert again.code == 0, again.said
    told = json.loads(again.stdout)["contents"]
    assert [each["guid"] for each in told] == urls
    assert [len(content.bundles) for content in server.contents.values()] == [2, 2]


def test_bundles_that_were_built_go_to_the_content_of_their_name(
    server: FakeConnect, project: Path, sandbox: Sandbox, three: dict[str, str]
) -> None:
    files = sorted(map(str, (project / "dist" / "connect").glob("*.connect.tgz")))
    assert len(files) == 3  # bills has the mode and the entrypoint of orders
    done = call(sandbox, server, project, "deploy", *files, "--jobs", "3", "--force")
    assert done.code == 0, done.said
    assert {guid: len(server.contents[guid].bundles) for guid in three.values()} == dict.fromkeys(
        three.values(), 2
    )
    twice = call(sandbox, server, project, "deploy", files[0], files[0], "--jobs", "2")
    assert twice.code == 2, twice.said
    assert "are the same content on the server" in twice.stderr


@pytest.mark.usefixtures("three")
def test_one_job_is_as_none(server: FakeConnect, project: Path, sandbox: Sandbox) -> None:
    said = []
    for jobs in ((), ("--jobs", "1")):
        server.requests.clear()
        done = call(sandbox, server, project, "deploy", "--all", "--force", *jobs)
        assert done.code == 0, done.said
        text = re.sub(r"bundle [0-9]+( in [0-9]+ s)?", "bundle", done.said)
        said.append((text, len(server.requests)))
        lines = done.stderr.splitlines()
        assert all(line.startswith("shop-") for line in lines)
        assert sum("Deployed" in line for line in lines) == 3
    assert said[0] == said[1]


def test_the_first_failure_in_the_order_of_the_call_counts(
    server: FakeConnect, project: Path, sandbox: Sandbox, three: dict[str, str]
) -> None:
    orders, stock = three["orders"], three["stock"]
    server.misbehave("POST", f"{stock}/bundles", Say(403, b'{"code": 22, "error": "No."}'))
    # That stock fails is known while orders is still uploaded: it is finished all the same.
    refused = asked(server, f"POST v1/content/{stock}/bundles")
    server.misbehave("POST", f"{orders}/bundles", Do(lambda: until(refused)))
    server.misbehave("GET", f"^/content/{orders}/", Say(500, b"broken"))
    two = ("--jobs", "2", "--force", "--json")
    done = call(sandbox, server, project, "deploy", "--all", *two)
    assert done.code == 5, done.said
    told = json.loads(done.stdout)
    assert told["error"]["exit_code"] == 5
    assert [(each["name"], each["status"]) for each in told["contents"]] == [
        ("shop-orders", "failed"), ("shop-stock", "failed"), ("shop-bills", "not tried"),
    ]  # fmt: skip
    assert not any(three["bills"] in each and each.startswith("P") for each in server.calls())
    assert "shop-stock: failed: " in done.stderr
    assert f"           On the server: content {stock}; " in done.stderr
    every = "--content orders --content stock --content bills"
    assert done.stderr.endswith(f"       To continue, deploy again with {every}.\n")


def test_what_is_under_way_when_another_fails_is_finished(
    server: FakeConnect, project: Path, sandbox: Sandbox, three: dict[str, str]
) -> None:
    orders, stock = three["orders"], three["stock"]
    server.misbehave("POST", f"{orders}/bundles", Say(403, b'{"code": 22, "error": "No."}'))
    refused = asked(server, f"POST v1/content/{orders}/bundles")
    server.misbehave("POST", f"{stock}/bundles", Do(lambda: until(refused)))
    words = ("--content", "orders", "--content", "stock")
    done = call(sandbox, server, project, "deploy", *words, "--jobs", "2", "--force", "--json")
    assert done.code == 3, done.said
    told = json.loads(done.stdout)["contents"]
    assert [each["status"] for each in told] == ["failed", "deployed"]
    assert server.contents[stock].bundle_id == told[1]["bundle_id"]
    assert done.stderr.endswith("       To continue, deploy again with --content orders.\n")


def started(
    sandbox: Sandbox, server: FakeConnect, project: Path, *words: str, **environ: str
) -> subprocess.Popen[str]:
    keys = {"CONNECT_SERVER": server.url, "CONNECT_API_KEY": server.api_key}
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "hatch_connect", *words],
        cwd=project,
        env=sandbox.environ | keys | environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


WAITS = {
    "uploads": ("POST", "bundles$", "part or all of the bundle was sent"),
    "tasks": ("GET", "v1/tasks/", "has not finished and may still be running"),
}


@pytest.mark.skipif(os.name != "posix", reason="signals are POSIX's")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("moment", WAITS)
def test_an_interruption_ends_all_and_tells_how_far_each_has_come(
    moment: str,
    number: signal.Signals,
    server: FakeConnect,
    project: Path,
    sandbox: Sandbox,
    three: dict[str, str],
) -> None:
    method, path, told = WAITS[moment]
    server.misbehave(method, path, Hang(600), times=2)
    temporary = project.parent / "temporary"
    temporary.mkdir()
    command = ("deploy", "--all", "--jobs", "2", "--force", "--json")
    process = started(sandbox, server, project, *command, TMPDIR=str(temporary))
    waiting = re.compile(f"{method} .*{path}")
    until(lambda: sum(bool(waiting.search(each)) for each in server.calls()) == 2, process)
    process.send_signal(number)
    out, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 128 + number, err
    assert "Traceback" not in err
    summary = err[err.index("warning: Not all content was deployed:") :]
    for name in ("orders", "stock"):
        assert re.search(
            f"shop-{name}: failed: interrupted\n.*On the server: content {three[name]}.*{told}",
            summary,
        )
    assert "shop-bills: not tried" in summary
    every = "--content orders --content stock --content bills"
    assert err.endswith(f"interrupted: To continue, deploy again with {every}.\n")
    statuses = [each["status"] for each in json.loads(out)["contents"]]
    assert statuses == ["failed", "failed", "not tried"]
    assert list(temporary.iterdir()) == []


@pytest.mark.skipif(os.name != "posix", reason="signals are POSIX's")
@pytest.mark.usefixtures("three")
def test_what_a_deployment_that_is_left_behind_tells_is_masked(
    server: FakeConnect, project: Path, sandbox: Sandbox
) -> None:
    server.next_task = FakeTask(lines=("TOKEN=hunter2-hunter2", ""), polls=10_000)
    command = ("deploy", "--all", "--jobs", "3", "-E", "TOKEN=hunter2-hunter2", "--json")
    process = started(sandbox, server, project, *command)
    until(lambda: any(r.query.get("first") == "1" for r in server.requests), process)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130, err
    assert "hunter2" not in out + err
    logs = [each.get("log") for each in json.loads(out)["contents"]]
    assert any(log and log[0] == "TOKEN=***" for log in logs)


def test_the_same_content_twice_is_refused_side_by_side(
    server: FakeConnect, project: Path, sandbox: Sandbox, three: dict[str, str]
) -> None:
    text = (project / "pyproject.toml").read_text(encoding="utf-8")
    entry = f'content.stock]\nguid = "{three["orders"]}"'
    (project / "pyproject.toml").write_text(text.replace("content.stock]", entry), encoding="utf-8")
    for path in (sandbox.home / ".rsconnect-python").rglob("*.json"):
        path.unlink()  # a record counts before the GUID
    done = call(sandbox, server, project, "deploy", "--all", "--jobs", "2")
    assert done.code == 2, done.said
    assert f"shop-orders and shop-stock are the same content on the server: {three['orders']}" in (
        done.stderr
    )
    assert not any(each.startswith("P") for each in server.calls())
    assert call(sandbox, server, project, "deploy", "--all").code == 0


@pytest.mark.parametrize("path", ["/sales/", "sales/more"])
def test_paths_that_exclude_each_other_are_refused_before_anything_is_changed(
    server: FakeConnect, project: Path, sandbox: Sandbox, path: str
) -> None:
    with (project / "pyproject.toml").open("a", encoding="utf-8") as file:
        file.write('\n[tool.hatch-connect.content.orders.settings]\nvanity-path = "/sales/"\n')
        file.write(f'[tool.hatch-connect.content.stock.settings]\nvanity-path = "{path}"\n')
    done = call(sandbox, server, project, "deploy", "--all")
    assert done.code == 2, done.said
    assert "`tool.hatch-connect.content.stock.settings.vanity-path` is '/sales/" in done.stderr
    assert not any(each.startswith("P") for each in server.calls())
    assert call(sandbox, server, project, "deploy", "--all", "--draft").code == 0


@pytest.mark.parametrize("jobs", ["0", "-1", "many"])
def test_jobs_are_a_number_from_1(
    server: FakeConnect, project: Path, sandbox: Sandbox, jobs: str
) -> None:
    done = call(sandbox, server, project, "deploy", "--all", "--jobs", jobs)
    assert done.code == 2, done.said
    assert "--jobs" in done.stderr
    assert server.calls() == []
