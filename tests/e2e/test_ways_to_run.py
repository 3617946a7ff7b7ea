"""One project, deployed in every way, by a fresh user, to a server that judges strictly."""

from __future__ import annotations

import io
import json
import sys
import tarfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.fake_connect import FakeConnect, Say
from support.sandbox import Finished, Sandbox, committed, copy_example

from hatch_connect.commands import COMMANDS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from support.fake_content import FakeContent

WAYS = ("hatch-connect", "hatch run", "hatch run connect:", "invoke", "invoke sub-collection")


@pytest.fixture
def server() -> Iterator[FakeConnect]:
    with FakeConnect() as fake:
        yield fake


@pytest.fixture
def project(tmp_path: Path, sandbox: Sandbox) -> Path:
    folder = copy_example("fastapi-app", tmp_path / "some projects")
    text = (folder / "pyproject.toml").read_text(encoding="utf-8")
    # The environment that the script is called in stays empty: nothing is installed here.
    text += "\n[tool.hatch.envs.default]\nskip-install = true\n"
    (folder / "pyproject.toml").write_text(text, encoding="utf-8")
    return committed(folder, sandbox)


def use(way: str, project: Path) -> None:
    if way == "invoke sub-collection":
        tasks = "import invoke_tasks\nfrom invoke import Collection\n\nns = Collection()\n"
        tasks += "ns.add_collection(invoke_tasks.ns, name='connect')\n"
        (project / "tasks.py").write_text(tasks, encoding="utf-8")


def call(
    way: str, command: str, *arguments: str, project: Path, sandbox: Sandbox, **environ: str
) -> Finished:
    ways: dict[str, tuple[Callable[..., Finished], tuple[str, ...]]] = {
        "hatch-connect": (sandbox.connect, (command,)),
        "hatch run": (sandbox.hatch, ("run", f"connect-{command}")),
        "hatch run connect:": (sandbox.hatch, ("run", f"connect:{command}")),
        "invoke": (sandbox.invoke, (command,)),
        "invoke sub-collection": (sandbox.invoke, (f"connect.{command}",)),
    }
    run, start = ways[way]
    return run(*start, *arguments, cwd=project, **environ)


def keys(server: FakeConnect, **more: str) -> dict[str, str]:
    return {
        "CONNECT_SERVER": server.url,
        "CONNECT_API_KEY": server.api_key,
        "SALES_REGION": "north",
        **more,
    }


def only(server: FakeConnect) -> FakeContent:
    [content] = server.contents.values()
    return content


def files_of(archive: bytes) -> list[str]:
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        return sorted(tar.getnames())


@pytest.mark.parametrize("way", WAYS)
def test_a_project_is_deployed_and_found_again(
    way: str, server: FakeConnect, project: Path, sandbox: Sandbox
) -> None:
    use(way, project)
    status = sandbox.git("status", "--porcelain", cwd=project)
    done = call(way, "deploy", project=project, sandbox=sandbox, **keys(server))
    assert done.code == 0, done.said
    content = only(server)
    assert done.stdout.strip().endswith(f"{server.url}/content/{content.guid}/")
    assert content.environment == {"SALES_CURRENCY": "EUR", "SALES_REGION": "north"}
    assert content.title == "Sales API"
    assert content.name == "sales-api"
    assert content.bundle_id is not None
    assert files_of(content.bundles[content.bundle_id].archive) == [
        "manifest.json",
        "requirements.txt",
        "sales_api-1.2.0.dist-info/METADATA",
        "sales_api/__init__.py",
        "sales_api/figures.csv",
        "sales_api/figures.py",
        "sales_api/main.py",
    ]
    again = call(way, "deploy", project=project, sandbox=sandbox, **keys(server))
    assert again.code == 0, again.said
    assert f"Nothing to upload: bundle {content.bundle_id} is the same." in again.said
    forced = call(way, "deploy", "--force", project=project, sandbox=sandbox, **keys(server))
    assert forced.code == 0, forced.said
    assert len(only(server).bundles) == 2
    assert sandbox.git("status", "--porcelain", cwd=project) == status
    assert server.api_key not in done.said + again.said
    assert "north" not in done.said + again.said


def test_a_clean_checkout_updates_the_same_content(
    server: FakeConnect, project: Path, sandbox: Sandbox, tmp_path: Path
) -> None:
    first = sandbox.connect("deploy", cwd=project, **keys(server))
    clone = tmp_path / "clone"
    sandbox.git("clone", "--quiet", str(project), str(clone), cwd=tmp_path)
    second = sandbox.connect("deploy", "--json", "--force", cwd=clone, **keys(server))
    assert (first.code, second.code) == (0, 0), second.said
    result = json.loads(second.stdout)
    assert result["guid"] == only(server).guid
    assert result["created"] is False
    assert result["previous_bundle_id"] == min(only(server).bundles)
    assert result["answer"]["status"] == 200


def test_new_makes_a_second_piece_of_content(
    server: FakeConnect, project: Path, sandbox: Sandbox
) -> None:
    for options in ((), ("--new",)):
        done = sandbox.connect("deploy", *options, cwd=project, **keys(server))
        assert done.code == 0, done.said
    assert sorted(c.name for c in server.contents.values()) == ["sales-api", "sales-api1"]


def test_a_dry_run_changes_nothing(server: FakeConnect, project: Path, sandbox: Sandbox) -> None:
    shown = sandbox.connect("deploy", "--dry-run", cwd=project, **keys(server))
    dry = sandbox.invoke("-R", "deploy", cwd=project, **keys(server))
    for done in (shown, dry):
        assert done.code == 0, done.said
        assert "+ Sales API on" in done.stdout
        assert "  variables  + SALES_CURRENCY   + SALES_REGION" in done.stdout
    assert {r.method for r in server.requests} == {"GET"}


def test_a_dry_invoke_writes_nothing(project: Path, sandbox: Sandbox) -> None:
    done = sandbox.invoke("-R", "bundle", cwd=project)
    assert done.code == 0, done.said
    assert not (project / "dist").exists()


def test_invokes_configuration_is_heard(
    server: FakeConnect, project: Path, sandbox: Sandbox
) -> None:
    (project / "invoke.yaml").write_text(
        f"connect:\n  server: {server.url}\n  title: From the file\n", encoding="utf-8"
    )
    environ = {"INVOKE_CONNECT_API_KEY": server.api_key, "SALES_REGION": "north"}
    done = sandbox.invoke("deploy", cwd=project, **environ)
    assert done.code == 0, done.said
    assert only(server).title == "From the file"
    assert "command line" not in done.stderr
    done = sandbox.invoke("deploy", "-t", "From the call", cwd=project, **environ)
    assert only(server).title == "From the call"


def test_a_variable_that_is_nowhere_stops_before_anything_is_changed(
    server: FakeConnect, project: Path, sandbox: Sandbox
) -> None:
    environ = keys(server)
    del environ["SALES_REGION"]
    done = sandbox.connect("deploy", cwd=project, **environ)
    assert done.code == 2
    assert "SALES_REGION" in done.stderr
    assert server.contents == {}
    sandbox.connect("deploy", cwd=project, **keys(server))
    done = sandbox.connect("deploy", cwd=project, **environ)
    assert done.code == 0, done.said
    assert "SALES_REGION is not set here" in done.stderr
    assert only(server).environment["SALES_REGION"] == "north"


@pytest.mark.parametrize("value", ["", "$(SALES_REGION)", "${{ secrets.SALES_REGION }}"])
def test_a_secret_that_ci_does_not_have_is_not_set_to_nothing(
    server: FakeConnect, project: Path, sandbox: Sandbox, value: str
) -> None:
    environ = keys(server) | {"SALES_REGION": value, "NEW": value}
    done = sandbox.connect("deploy", cwd=project, **environ)
    assert done.code == 2
    assert server.contents == {}
    content = server.add_content("sales-api", environment={"SALES_REGION": "north"})
    done = sandbox.connect("deploy", "-E", "SALES_REGION", cwd=project, **environ)
    assert done.code == 0, done.said
    assert "the server keeps its value" in done.stderr
    assert content.environment["SALES_REGION"] == "north"
    done = sandbox.connect("deploy", "-E", "NEW", cwd=project, **environ)
    assert done.code == 2, done.said
    assert "NEW: " in done.stderr
    assert "named by -E" in done.stderr
    server.misbehave("GET", "environment$", Say(403, b'{"code": 19, "error": "no"}'), times=2)
    done = sandbox.connect("deploy", cwd=project, **environ)
    assert done.code == 2, done.said
    assert "does not report its variables" in done.stderr
    done = sandbox.connect("deploy", "-E", "SALES_REGION=", cwd=project, **environ)
    assert done.code == 0, done.said
    assert not content.environment["SALES_REGION"]


def test_a_key_on_the_command_line_works_and_is_warned_of(
    server: FakeConnect, project: Path, sandbox: Sandbox
) -> None:
    options = ("-s", server.url, "-k", server.api_key, "-E", "SALES_REGION=south")
    for run in (sandbox.connect, sandbox.invoke):
        done = run("deploy", *options, cwd=project)
        assert done.code == 0, done.said
        assert "command line" in done.stderr
        assert server.api_key not in done.said


def test_the_same_bundle_goes_by_publisher_and_by_file(
    server: FakeConnect, project: Path, sandbox: Sandbox
) -> None:
    built = sandbox.connect("bundle", cwd=project)
    assert built.code == 0, built.said
    bundle = built.stdout.strip()
    published = sandbox.hatch("publish", "-p", "connect", cwd=project, **keys(server))
    assert published.code == 0, published.said
    options = ("-o", "title=By name", "-o", "force=true")
    named = sandbox.hatch("publish", "-p", "connect", *options, bundle, cwd=project, **keys(server))
    assert named.code == 0, named.said
    by_file = sandbox.connect("deploy", bundle, "--force", cwd=project, **keys(server))
    assert by_file.code == 0, by_file.said
    again = sandbox.hatch("publish", "-p", "connect", cwd=project, **keys(server))
    assert "Nothing to upload" in again.said
    content = only(server)
    assert len({b.archive for b in content.bundles.values()}) == 1
    assert len(content.bundles) == 3
    assert content.environment == {"SALES_CURRENCY": "EUR", "SALES_REGION": "north"}


def test_the_publisher_says_what_is_wrong(
    server: FakeConnect, project: Path, sandbox: Sandbox
) -> None:
    done = sandbox.hatch("publish", "-p", "connect", cwd=project, **keys(server))
    assert done.code == 2, done.said
    assert "hatch build -t connect" in done.said
    done = sandbox.hatch("publish", "-p", "connect", "-o", "colour=red", "x.tar.gz", cwd=project)
    assert done.code == 2, done.said
    assert "colour" in done.said


def test_a_folder_with_its_manifest_can_be_deployed(
    server: FakeConnect, project: Path, sandbox: Sandbox
) -> None:
    written = sandbox.connect("manifest", cwd=project)
    assert written.code == 0, written.said
    folder = project / "dist" / "connect" / "sales-api"
    assert written.stdout.strip() == str(folder / "manifest.json")
    assert {path.name for path in folder.parent.iterdir()} == {".gitignore", "sales-api"}
    for target in (folder, folder / "manifest.json"):
        done = sandbox.connect("deploy", str(target), "--force", cwd=project, **keys(server))
        assert done.code == 0, done.said
    assert len(only(server).bundles) == 2


def test_servers_are_stored_listed_used_and_forgotten(
    server: FakeConnect, project: Path, sandbox: Sandbox
) -> None:
    no_key = sandbox.connect("add", "-n", "prod", "-s", server.url, cwd=project)
    assert no_key.code == 2
    assert "CONNECT_API_KEY" in no_key.stderr
    bad = sandbox.connect("add", "-n", "prod", "-s", server.url, cwd=project, CONNECT_API_KEY="no")
    assert bad.code == 3, bad.said
    key = {"CONNECT_API_KEY": server.api_key}
    added = sandbox.connect("add", "-n", "prod", "-s", server.url, cwd=project, **key)
    assert added.code == 0, added.said
    assert "ada" in added.stdout
    listed = sandbox.connect("list", cwd=project)
    assert "prod" in listed.stdout
    assert server.url in listed.stdout
    assert server.api_key not in listed.said + added.said
    done = sandbox.connect("deploy", "-n", "prod", cwd=project, SALES_REGION="north")
    assert done.code == 0, done.said
    removed = sandbox.invoke("remove", "-n", "prod", cwd=project)
    assert removed.code == 0, removed.said
    assert "prod" not in sandbox.connect("list", "--json", cwd=project).stdout


def test_details_info_and_logs_tell_what_there_is(
    server: FakeConnect, project: Path, sandbox: Sandbox
) -> None:
    details = sandbox.connect("details", cwd=project, **keys(server))
    assert details.code == 0, details.said
    assert "2026.06.0" in details.stdout
    assert "3.12.4" in details.stdout
    early = sandbox.connect("info", cwd=project, **keys(server))
    assert early.code == 2
    assert "was not deployed" in early.stderr
    sandbox.connect("deploy", cwd=project, **keys(server))
    info = sandbox.connect("info", "--json", cwd=project, **keys(server))
    assert json.loads(info.stdout)["guid"] == only(server).guid
    assert json.loads(info.stdout)["variables"] == ["SALES_CURRENCY", "SALES_REGION"]
    logs = sandbox.connect("logs", cwd=project, **keys(server))
    assert logs.code == 0, logs.said
    only(server).jobs["k"] = ["started", "stopped"]
    logs = sandbox.connect("logs", cwd=project, **keys(server))
    assert logs.stdout.splitlines()[-2:] == ["started", "stopped"]


def test_every_file_is_listed_with_what_was_left_out(project: Path, sandbox: Sandbox) -> None:
    (project / "src" / "sales_api" / ".env").write_text("TOKEN=hunter2\n", encoding="utf-8")
    done = sandbox.connect("bundle", "--list", cwd=project)
    assert done.code == 0, done.said
    assert "sales_api/main.py" in done.stdout
    assert ".env" in done.stdout


@pytest.mark.parametrize("command", ["deploy", "bundle", "manifest", "info"])
def test_outside_of_a_project_the_error_says_what_is_missing(
    command: str, sandbox: Sandbox, tmp_path: Path
) -> None:
    done = sandbox.connect(command, "--json", cwd=tmp_path)
    assert done.code == 2
    assert "pyproject.toml" in done.stderr
    assert json.loads(done.stdout)["error"]["exit_code"] == 2


@pytest.mark.parametrize(
    ("way", "said"),
    [
        ("hatch-connect", "hatch-connect login URL --name NAME"),
        ("hatch run", "hatch run connect-login URL --name NAME"),
        ("hatch run connect:", "hatch run connect:login URL --name NAME"),
        ("invoke", "invoke login --server URL --name NAME"),
        ("invoke sub-collection", "invoke connect.login --server URL --name NAME"),
    ],
)
def test_hints_can_be_followed(way: str, said: str, project: Path, sandbox: Sandbox) -> None:
    use(way, project)
    json_too = call(way, "info", "--json", project=project, sandbox=sandbox)
    assert f": {said}\n" in json.loads(json_too.stdout)["error"]["hint"]
    assert f": {said}\n" in json_too.stderr


@pytest.mark.parametrize("command", COMMANDS)
def test_invoke_shows_the_help_of_each_task(command: str, project: Path, sandbox: Sandbox) -> None:
    done = sandbox.invoke(command, "--help", cwd=project)
    assert done.code == 0, done.said
    assert all(spec.flags[0] in done.stdout for spec in COMMANDS[command].options)


def test_a_server_that_is_not_there_is_an_error_of_its_own(project: Path, sandbox: Sandbox) -> None:
    environ = {"CONNECT_SERVER": "http://127.0.0.1:9", "CONNECT_API_KEY": "k" * 32}
    done = sandbox.connect("details", cwd=project, **environ)
    assert done.code == 3, done.said
    assert "Traceback" not in done.said


NEEDS_SHELL = pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a full device")
FULL = "error: The output cannot be written: No space left on device.\n"


def shell(sandbox: Sandbox, folder: Path, way: str, rest: str, **environ: str) -> Finished:
    """Run a way with redirections; its exit code is the last line of stderr."""
    command = f"{{ '{sys.executable}' -P -m {way} {rest}; echo $? >&3; }} 3>&2"
    return sandbox.run("sh", "-c", command, cwd=folder, **environ)


@NEEDS_SHELL
@pytest.mark.parametrize(
    "words", ["--version", "--help", "deploy --help", "requirements", "list --json"]
)
@pytest.mark.parametrize(
    ("output", "code", "said"),
    [(">/dev/full", "1", FULL), (">&-", "0", ""), ("| true", "0", "")],
    ids=["full", "closed", "gone"],
)
def test_output_that_cannot_be_written_is_no_traceback(
    words: str, output: str, code: str, said: str, project: Path, sandbox: Sandbox
) -> None:
    ended = shell(sandbox, project, "hatch_connect", f"{words} {output}").stderr
    *lines, last = ended.splitlines(keepends=True)
    shown = "".join(line for line in lines if "No saved servers" not in line)
    assert (last.strip(), shown) == (code, said)


@NEEDS_SHELL
@pytest.mark.parametrize("way", ["hatch_connect", "invoke"])
@pytest.mark.parametrize("output", ["2>/dev/full", "2>&-"])
def test_a_deployment_goes_on_though_its_messages_cannot_be_written(
    way: str, output: str, server: FakeConnect, project: Path, sandbox: Sandbox
) -> None:
    environ = keys(server, SALES_REGION="north")
    done = shell(sandbox, project, way, f"deploy {output}", **environ)
    (content,) = server.contents.values()
    assert (done.stderr, done.stdout) == ("0\n", f"{server.url}/content/{content.guid}/\n")


@NEEDS_SHELL
@pytest.mark.parametrize("words", ["list", "deploy --json"])
def test_a_working_directory_that_is_gone(words: str, sandbox: Sandbox, tmp_path: Path) -> None:
    (tmp_path / "gone").mkdir()
    command = f"cd gone; rmdir ../gone; '{sys.executable}' -P -m hatch_connect {words}"
    done = sandbox.run("sh", "-c", command, cwd=tmp_path)
    assert done.code == 2
    assert done.stderr.startswith("error: The working directory cannot be read: ")
