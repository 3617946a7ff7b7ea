"""`plan` and `deploy --dry-run`: what would be changed; `--check`: whether anything differs."""

from __future__ import annotations

import hashlib
import io
import json
import re
import shutil
import tarfile
from types import MappingProxyType
from typing import TYPE_CHECKING

import pytest
from support.fake_connect import FakeConnect
from support.faults import Drop, Fault, Say, Truncate, html, redirect
from support.sample_bundle import sample_bundle
from support.sandbox import committed

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from support.calling import Caller
    from support.fake_content import FakeContent
    from support.sandbox import Finished, Sandbox

TABLE = """\
[tool.hatch-connect]
app-mode = "fastapi"
entrypoint = "app:app"
title = "Sales"
exclude = ["*.md", "*.toml"]
"""
NAMES = ("orders", "stock")
NOTHING = "Plan: 0 to update, 0 to create. Nothing was changed."


@pytest.fixture
def server() -> Iterator[FakeConnect]:
    with FakeConnect() as fake:
        yield fake


@pytest.fixture
def root(tmp_path: Path, sandbox: Sandbox) -> Path:
    folder = tmp_path / "sales"
    folder.mkdir()
    (folder / "pyproject.toml").write_text(TABLE, encoding="utf-8")
    (folder / "requirements.txt").write_text("starlette==0.45.0\n", encoding="utf-8")
    (folder / ".python-version").write_text("3.12\n", encoding="utf-8")
    (folder / "app.py").write_text("async def app(*_): ...\n", encoding="utf-8")
    (folder / ".gitignore").write_text("dist/\n", encoding="utf-8")
    return committed(folder, sandbox)


@pytest.fixture
def content(server: FakeConnect, root: Path, sandbox: Sandbox) -> FakeContent:
    """The project's content, deployed from another machine."""
    done = call(sandbox, server, root, "deploy")
    assert done.code == 0, done.said
    (found,) = server.contents.values()
    server.requests.clear()
    return found


def call(sandbox: Sandbox, server: FakeConnect, root: Path, *arguments: str) -> Finished:
    keys = {"CONNECT_SERVER": server.url, "CONNECT_API_KEY": server.api_key}
    return sandbox.connect(*arguments, cwd=root, **keys)


def forget(sandbox: Sandbox) -> None:
    shutil.rmtree(sandbox.home / ".rsconnect-python")


def change(root: Path, sandbox: Sandbox, name: str, text: str) -> None:
    (root / name).write_text(text, encoding="utf-8")
    sandbox.git("add", "-A", cwd=root)
    sandbox.git("commit", "-m", "change", cwd=root)


def test_nothing_differs_from_what_was_deployed(
    server: FakeConnect, root: Path, content: FakeContent, sandbox: Sandbox
) -> None:
    change(root, sandbox, "README.md", "What is documented ships nowhere.\n")
    done = call(sandbox, server, root, "plan", "--check")
    assert done.code == 0, done.said
    lines = [f"= Sales ({content.guid}) on {server.url}: nothing to deploy", NOTHING]
    assert done.stdout.splitlines() == lines
    assert {request.method for request in server.requests} == {"GET"}


def test_a_dry_run_is_a_plan(
    server: FakeConnect, root: Path, content: FakeContent, sandbox: Sandbox
) -> None:
    change(root, sandbox, "app.py", "async def app(*_): pass\n")
    dry = call(sandbox, server, root, "deploy", "--dry-run")
    plan = call(sandbox, server, root, "plan")
    assert (dry.code, plan.code) == (0, 0)
    assert dry.stdout == plan.stdout
    assert f"~ Sales ({content.guid}) on {server.url}" in plan.stdout
    assert "Plan: 1 to update, 0 to create. Nothing was changed." in plan.stdout
    steps = call(sandbox, server, root, "plan", "-v").stdout
    assert "activate it" in steps
    assert {request.method for request in server.requests} == {"GET"}


def test_a_check_ends_with_six_if_the_bundle_is_another(
    server: FakeConnect, root: Path, content: FakeContent, sandbox: Sandbox
) -> None:
    change(root, sandbox, "app.py", "async def app(*_): pass\n")
    done = call(sandbox, server, root, "plan", "--check", "--json")
    assert done.code == 6, done.said
    facts = json.loads(done.stdout)
    assert (facts["content"], facts["action"], facts["differs"]) == (content.guid, "update", True)
    (bundle,) = (each for each in facts["changes"] if each["subject"] == "bundle")
    assert bundle["before"].startswith(f"{content.bundle_id} (")


def test_content_that_is_not_there_differs(
    server: FakeConnect, root: Path, sandbox: Sandbox
) -> None:
    done = call(sandbox, server, root, "plan", "--check")
    assert done.code == 6, done.said
    assert "Plan: 0 to update, 1 to create. Nothing was changed." in done.stdout
    assert not server.contents


def test_a_bundle_that_was_never_activated_is_not_what_is_compared(
    server: FakeConnect, root: Path, content: FakeContent, sandbox: Sandbox
) -> None:
    content.bundle_id = None
    forget(sandbox)
    done = call(sandbox, server, root, "plan", "--json")
    assert done.code == 0, done.said
    (bundle,) = (c for c in json.loads(done.stdout)["changes"] if c["subject"] == "bundle")
    assert bundle["before"] is None, done.said


def test_a_variable_that_is_missing_differs(
    server: FakeConnect, root: Path, content: FakeContent, sandbox: Sandbox
) -> None:
    """A nightly check needs no values: a variable that is there counts without one."""
    table = f'{TABLE}env = ["DATABASE_URL", "MODE=fast"]\n'
    (root / "pyproject.toml").write_text(table, encoding="utf-8")
    assert call(sandbox, server, root, "plan").code == 2
    done = call(sandbox, server, root, "plan", "--check")
    assert done.code == 6, done.said
    assert "  variables  + MODE   + DATABASE_URL (not set here)" in done.stdout
    content.environment |= {"DATABASE_URL": "x", "MODE": "y"}
    done = call(sandbox, server, root, "plan", "--check")
    assert done.code == 0, done.said
    assert "  variables  MODE is set again" in done.stdout
    server.misbehave("GET", "/environment$", Say(403, b'{"code": 22, "error": "no"}'))
    done = call(sandbox, server, root, "plan", "--check")
    assert (done.code, "  variables  MODE is set\n" in done.stdout) == (0, True), done.said


def test_a_title_that_was_changed_by_hand_differs(
    server: FakeConnect, root: Path, content: FakeContent, sandbox: Sandbox
) -> None:
    content.title = "Changed"
    done = call(sandbox, server, root, "plan", "--check")
    assert done.code == 6, done.said
    assert "  title  Changed -> Sales" in done.stdout


SERVERS = {
    "files": "2026.06.0",  # it shows the files of a bundle
    "download": "2026.05.0",
    "no metadata": "2025.07.0",  # nothing tells there that the bundle is ours
}


@pytest.mark.parametrize("version", SERVERS.values(), ids=SERVERS)
def test_what_differs_is_shown_whatever_the_server_can(
    server: FakeConnect, root: Path, sandbox: Sandbox, version: str
) -> None:
    server.version = version
    assert call(sandbox, server, root, "deploy").code == 0
    forget(sandbox)
    done = call(sandbox, server, root, "plan", "--check")
    assert done.code == 0, done.said
    (root / "requirements.txt").write_text("starlette==0.46.0\nidna==3.10\n", encoding="utf-8")
    (root / ".python-version").write_text("3.13\n", encoding="utf-8")
    (root / "app.py").write_text("import more\nasync def app(*_): ...\n", encoding="utf-8")
    change(root, sandbox, "more.py", "")
    server.requests.clear()
    done = call(sandbox, server, root, "plan", "--check")
    assert done.code == 6, done.said
    header, bundle, packages, python, end = done.stdout.splitlines()
    assert header.startswith("~ Sales (")
    assert re.fullmatch(
        r"  bundle    \d+( \(.{7}\))? -> .{7}     \+1 ~3 files, \+\d+ bytes", bundle
    )
    assert packages == "  packages  starlette 0.45.0 -> 0.46.0   + idna 3.10"
    assert python == "  python    3.12 -> 3.13 (the server has 3.13.1)"
    assert end == "Plan: 1 to update, 0 to create. Nothing was changed."
    downloaded = any(each.endswith("/download") for each in server.calls())
    assert downloaded is (version != SERVERS["files"])
    listed = call(sandbox, server, root, "plan", "-v").stdout
    assert "\n    + more.py\n" in listed
    assert "\n    ~ app.py\n" in listed


def test_only_what_differs_is_asked_for(
    server: FakeConnect, root: Path, content: FakeContent, sandbox: Sandbox
) -> None:
    guid = f"v1/content/{content.guid}"
    usual = ["GET server_settings", "GET v1/user", f"GET {guid}", "GET v1/server_settings/python"]
    assert call(sandbox, server, root, "plan").code == 0
    bundle = f"{guid}/bundles/{content.bundle_id}"
    assert server.calls() == [*usual, f"GET {guid}/repository"]
    server.requests.clear()
    change(root, sandbox, "app.py", "async def app(*_): pass\n")
    assert call(sandbox, server, root, "plan").code == 0
    compared = [f"GET {bundle}", f"GET {bundle}/files/manifest.json"]
    assert server.calls() == [*usual, f"GET {guid}/repository", *compared]


def other_program(
    content: FakeContent, files: Mapping[str, str] = MappingProxyType({}), *, listed: bool = True
) -> None:
    """Put a bundle in place of the active one that another program made of the same files."""
    active = content.bundles[content.bundle_id or ""]
    with tarfile.open(fileobj=io.BytesIO(active.archive)) as archive:
        members = {m.name: archive.extractfile(m) for m in archive.getmembers()}
        held = {name: file.read() for name, file in members.items() if file}
    manifest = json.loads(held.pop("manifest.json"))
    held |= {name: text.encode() for name, text in files.items()}
    manifest["locale"], manifest["metadata"]["entrypoint"] = "C", "app"
    manifest["python"] |= {"version": "3.12.7"}
    sums = {name: hashlib.md5(data, usedforsecurity=False) for name, data in held.items()}
    every = {name: {"checksum": each.hexdigest()} for name, each in sums.items()}
    manifest["files"] = every if listed else {}
    into = io.BytesIO()
    with tarfile.open(fileobj=into, mode="w:gz") as archive:
        for name, data in {**held, "manifest.json": json.dumps(manifest).encode()}.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    active.archive, active.manifest, active.metadata = into.getvalue(), manifest, {}


@pytest.mark.parametrize("version", SERVERS.values(), ids=SERVERS)
def test_the_bundle_of_another_program_is_compared_by_its_files(
    server: FakeConnect, root: Path, content: FakeContent, sandbox: Sandbox, version: str
) -> None:
    server.version = version
    forget(sandbox)
    listed = "# frozen elsewhere\nstarlette==0.45.0\n"
    other_program(content, {"requirements.txt": listed})
    done = call(sandbox, server, root, "plan", "--check")
    assert done.code == 0, done.said
    assert f"\n  bundle  {content.bundle_id} has the same files\n" in done.stdout
    other_program(content, listed=False)  # so does `rsconnect deploy notebook --static`
    done = call(sandbox, server, root, "plan", "--check")
    assert (done.code, "has the same files" in done.stdout) == (0, True), done.said
    other_program(content, {"app.py": "old", "requirements.txt": "starlette==0.44.0\n"})
    done = call(sandbox, server, root, "plan", "--check")
    assert done.code == 6, done.said
    assert "~2 files" in done.stdout
    assert "  packages  starlette 0.44.0 -> 0.45.0" in done.stdout


def test_a_bundle_that_cannot_be_seen_is_unknown_and_no_difference(
    server: FakeConnect, root: Path, content: FakeContent, sandbox: Sandbox
) -> None:
    forget(sandbox)
    other_program(content)
    server.misbehave("GET", "/files/|/download$", Say(403, b'{"code": 22, "error": "no"}'), times=9)
    done = call(sandbox, server, root, "plan", "--check")
    assert done.code == 0, done.said
    assert "(its contents are not known)" in done.stdout
    assert "Plan: 1 to update, 0 to create. Nothing was changed." in done.stdout


def test_a_large_bundle_is_not_downloaded(
    server: FakeConnect, root: Path, content: FakeContent, sandbox: Sandbox
) -> None:
    server.version = SERVERS["download"]
    change(root, sandbox, "app.py", "async def app(*_): pass\n")
    told = content.bundles[content.bundle_id or ""].told(active=True) | {"size": (64 << 20) + 1}
    said = Say(200, json.dumps(told).encode())
    server.misbehave("GET", rf"bundles/{content.bundle_id}$", said)
    done = call(sandbox, server, root, "plan", "--check")
    assert done.code == 6, done.said  # it is one of ours, and another
    assert "(its contents are not known)     -67 MB" in done.stdout
    assert not any(each.endswith("/download") for each in server.calls())


@pytest.mark.parametrize("version", ["2026.06.0", "2024.10.0"])
def test_a_package_that_is_another_on_the_server_differs(
    server: FakeConnect, root: Path, content: FakeContent, sandbox: Sandbox, version: str
) -> None:
    server.deployed.installed[content.guid] = {"Starlette": "0.45.1", "pip": "26.3"}
    server.version = version
    assert call(sandbox, server, root, "plan").code == 0
    done = call(sandbox, server, root, "plan", "--check")
    if version == "2024.10.0":  # it tells no packages
        assert (done.code, "installed" in done.stdout) == (0, False)
        return
    assert done.code == 6, done.said
    assert "  installed  starlette 0.45.1 -> 0.45.0" in done.stdout
    assert NOTHING in done.stdout
    for fault in (Say(404, b"404 page not found"), Say(500, b"{}"), Say(200, b"{}")):
        server.misbehave("GET", "/packages$", fault)
        done = call(sandbox, server, root, "plan", "--check")
        assert (done.code, "/lockfile" in server.calls()[-1]) == (6, True)


@pytest.mark.parametrize("jobs", [(), ("--jobs", "2")])
def test_several_pieces_of_content_have_one_summary(
    server: FakeConnect, root: Path, sandbox: Sandbox, jobs: tuple[str, ...]
) -> None:
    lines = {name: f'title = "{name}"\nentrypoint = "app:app"\n' for name in NAMES}
    tables = (f"[tool.hatch-connect.content.{name}]\n{text}" for name, text in lines.items())
    main = TABLE.replace('entrypoint = "app:app"\ntitle = "Sales"\n', 'env = ["MODE=fast"]\n')
    (root / "pyproject.toml").write_text("".join((main, *tables)), encoding="utf-8")
    assert call(sandbox, server, root, "deploy", "--content", "orders").code == 0
    (orders,) = server.contents.values()
    done = call(sandbox, server, root, "plan", "--all", "--check", *jobs)
    assert done.code == 6, done.said
    first, again, variables, second, *_, end = done.stdout.splitlines()
    where = f"on {server.url}"
    assert (first, second) == (f"~ orders ({orders.guid}) {where}", f"+ stock {where}")
    because = "to apply the changes"
    assert again == f"  bundle     {orders.bundle_id} is deployed again, {because}"
    assert variables == "  variables  MODE is set again"
    assert end == "Plan: 1 to update, 1 to create. Nothing was changed."
    told = json.loads(call(sandbox, server, root, "plan", "--all", "--json").stdout)
    assert [each["action"] for each in told["contents"]] == ["update", "create"]
    assert [each["differs"] for each in told["contents"]] == [False, True]


def test_a_draft_changes_no_more_than_its_bundle(
    server: FakeConnect, root: Path, content: FakeContent, sandbox: Sandbox
) -> None:
    content.title = "Changed"
    change(root, sandbox, "app.py", "async def app(*_): pass\n")
    done = call(sandbox, server, root, "plan", "--draft", "-E", "MODE=fast")
    assert done.code == 0, done.said
    header, bundle, variable, title, _ = done.stdout.splitlines()
    assert header.startswith("~ Changed (")
    assert bundle.startswith(f"  bundle  {content.bundle_id} (")
    left = "  The draft does not change the active content:"
    assert variable == f"{left} the variable MODE is not set, and it is new."
    assert title.startswith(f"{left} the title stays 'Changed'")


DECLARED = """
[tool.hatch-connect.settings]
access = "acl"
viewers = ["group:analysts", "ann"]
collaborators = ["bob"]
tags = ["Department/Finance"]
vanity-path = "/sales/"
description = "Sales figures"
min-processes = 1
memory-limit = "2 GiB"
"""


@pytest.fixture
def declared(server: FakeConnect, root: Path) -> dict[str, str]:
    """Declare settings, and return the GUIDs of the people that the server knows."""
    (root / "pyproject.toml").write_text(TABLE + DECLARED, encoding="utf-8")
    server.settings.add_tag("Department/Finance")
    people = {name: server.settings.add_user(name) for name in ("ann", "bob", "eve")}
    return {**people, "analysts": server.settings.add_group("analysts")}


def test_what_is_declared_is_planned_deployed_and_then_does_not_differ(
    server: FakeConnect, root: Path, sandbox: Sandbox, declared: dict[str, str]
) -> None:
    first = call(sandbox, server, root, "plan", "--check")
    assert first.code == 6, first.said
    assert not server.contents
    for line in (
        "  access         the server's default -> acl   + viewers group:analysts   + viewers ann",
        "  tags           + Department/Finance",
        "  vanity-path    none -> /sales/",
        "  min-processes  the server's default -> 1",
        "  memory-limit   the server's default -> 2 GiB",
    ):
        assert line in first.stdout
    assert call(sandbox, server, root, "deploy").code == 0
    again = call(sandbox, server, root, "plan", "--check")
    assert again.code == 0, again.said
    assert NOTHING in again.stdout
    (content,) = server.contents.values()
    assert {p["principal_guid"] for p in content.permissions} < set(declared.values())


HAND = {
    "access": "  access  all -> acl",
    "a viewer more": "- viewers eve",
    "a viewer less": "+ viewers ann",
    "a role": "ann",
    "a field": "  min-processes  3 -> 1",
    "a text": "  description  Another -> Sales figures",
    "a path": "  vanity-path  /other/ -> /sales/",
    "a tag": "  tags  + Department/Finance",
}


@pytest.mark.parametrize("what", HAND)
def test_what_was_changed_by_hand_differs(
    server: FakeConnect, root: Path, sandbox: Sandbox, declared: dict[str, str], what: str
) -> None:
    assert call(sandbox, server, root, "deploy").code == 0
    (content,) = server.contents.values()
    viewer = next(p for p in content.permissions if p["principal_guid"] == declared["ann"])
    match what:
        case "access":
            content.fields["access_type"] = "all"
        case "a viewer more":
            content.permissions.append(viewer | {"id": "99", "principal_guid": declared["eve"]})
        case "a viewer less":
            content.permissions.remove(viewer)
        case "a role":
            viewer["role"] = "owner"
        case "a field":
            content.fields["min_processes"] = 3
        case "a text":
            content.fields["description"] = "Another"
        case "a path":
            content.vanity = "/other/"
        case "a tag":
            content.tags.clear()
    server.requests.clear()
    done = call(sandbox, server, root, "plan", "--check")
    assert done.code == 6, done.said
    assert HAND[what] in done.stdout
    assert {request.method for request in server.requests} == {"GET"}
    told = json.loads(call(sandbox, server, root, "plan", "--json").stdout)
    assert {each["differs"] for each in told["changes"]} == {True}
    assert "would be removed" not in done.said


def test_what_is_not_declared_does_not_differ_and_is_not_asked_for(
    server: FakeConnect, root: Path, content: FakeContent, sandbox: Sandbox
) -> None:
    content.fields |= {"access_type": "all", "min_processes": 3, "description": "By hand"}
    done = call(sandbox, server, root, "plan", "--check")
    assert done.code == 0, done.said
    asked = {each.rpartition("/")[2] for each in server.calls()}
    assert not asked & {"permissions", "associations", "thumbnail", "vanity", "tags"}


def test_what_is_uploaded_again_is_no_difference(caller: Caller, fake: FakeConnect) -> None:
    assert caller.deploy().code == 0
    done = caller.call("plan", file="sales.tar.gz", check=True, force=True)
    assert done.code == 0, done.said
    assert done.stdout.splitlines()[1] == "  bundle  2 is uploaded again"
    assert fake.calls()[-1].endswith("/packages")


def test_files_are_compared_as_they_are_and_not_as_they_are_listed(
    caller: Caller, fake: FakeConnect
) -> None:
    assert caller.deploy().code == 0
    folder = caller.folder / "prepared"
    with tarfile.open(caller.folder / "sales.tar.gz") as archive:
        archive.extractall(folder, filter="data")
    (folder / "app.py").write_text("edited\n", encoding="utf-8")
    (content,) = fake.contents.values()
    named = {"file": "prepared", "app_id": content.guid, "verbose": True}
    assert "\n    ~ app.py\n" in caller.call("plan", **named).stdout
    assert caller.call("deploy", **named).code == 0
    forget_here(caller)
    content.bundles[content.bundle_id or ""].metadata = {}
    fake.version = SERVERS["download"]
    done = caller.call("plan", **named)
    assert "is uploaded again" in done.stdout


def forget_here(caller: Caller) -> None:
    shutil.rmtree(caller.folder / "home" / ".rsconnect-python")


def test_a_manifest_that_differs_is_shown_of_our_own_bundle_alone(
    caller: Caller, fake: FakeConnect
) -> None:
    assert caller.deploy().code == 0
    sample_bundle(caller.folder / "sales.tar.gz", entrypoint="other:app")
    (content,) = fake.contents.values()
    line = "  manifest  metadata.entrypoint app:app -> other:app"
    for options in ({}, {"draft": True}, {"force": True}):
        done = caller.call("plan", file="sales.tar.gz", check=True, app_id=content.guid, **options)
        assert (done.code, line in done.stdout) == (6, True), done.said
    forget_here(caller)
    content.bundles[content.bundle_id or ""].metadata = {}
    done = caller.call("plan", file="sales.tar.gz", check=True, app_id=content.guid)
    assert (done.code, line in done.stdout) == (0, False), done.said


def test_packages_of_another_bundle_or_language_do_not_count(
    caller: Caller, fake: FakeConnect
) -> None:
    assert caller.deploy().code == 0
    (content,) = fake.contents.values()
    fastapi = {"language": "python", "name": "fastapi", "version": "9", "bundle_id": "77"}
    others = [fastapi, fastapi | {"language": "r", "bundle_id": content.bundle_id}]
    for told, code in ((others, 0), ([*others, fastapi | {"bundle_id": content.bundle_id}], 6)):
        fake.misbehave("GET", "/packages$", Say(200, json.dumps(told).encode()))
        assert caller.call("plan", file="sales.tar.gz", check=True).code == code


FAULTS: tuple[Fault, ...] = (
    Say(500, b"{}"),
    Say(404, b"gone"),
    html(200, "log in"),
    Say(200, b"[]"),
    Say(200, b"{}"),
    Say(200, b'{"metadata": {"appmode": 7}}'),
    redirect("https://elsewhere.example/x"),
    Truncate(),
    Drop(),
)


@pytest.mark.parametrize("fault", FAULTS, ids=str)
@pytest.mark.parametrize("path", [r"bundles/\d+$", "/files/|/download$", "/(packages|lockfile)$"])
def test_what_only_informs_never_aborts(
    caller: Caller, fake: FakeConnect, path: str, fault: Fault
) -> None:
    """What was asked in vain is unknown: of a bundle that is noted, its contents."""
    assert caller.deploy().code == 0
    noted = {"file": "sales.tar.gz", "check": True}
    if "packages" not in path:
        caller.bundle("changed")
    fake.misbehave("GET", path, fault, times=99)
    done = caller.call("plan", **noted)
    assert "Traceback" not in done.said
    assert done.code == (0 if "packages" in path else 6), done.said
    assert ("its contents are not known" in done.stdout) is ("files" in path)
    assert {request.method for request in fake.requests[-5:]} == {"GET"}


@pytest.mark.parametrize("way", ["hatch run", "hatch run connect:", "invoke", "hatch publish"])
def test_every_way_to_run_it_ends_with_six(
    server: FakeConnect, root: Path, sandbox: Sandbox, way: str
) -> None:
    collect = (
        "\n[tool.hatch.env.collectors.connect]\n[tool.hatch.envs.default]\nskip-install = true\n"
    )
    project = '[project]\nname = "sales"\nversion = "1"\n'
    (root / "pyproject.toml").write_text(f"{TABLE}{project}{collect}", encoding="utf-8")
    (root / "tasks.py").write_text("from invoke_tasks import ns\n", encoding="utf-8")
    keys = {"CONNECT_SERVER": server.url, "CONNECT_API_KEY": server.api_key}
    ways = {
        "hatch run": (sandbox.hatch, ("run", "connect-plan", "--check")),
        "hatch run connect:": (sandbox.hatch, ("run", "connect:plan", "--check")),
        "invoke": (sandbox.invoke, ("plan", "--check")),
        "hatch publish": (
            sandbox.hatch,
            ("publish", "-p", "connect", "-o", "dry-run", "-o", "check"),
        ),
    }
    if way == "hatch publish":
        assert call(sandbox, server, root, "bundle").code == 0
    run, arguments = ways[way]
    done = run(*arguments, cwd=root, **keys)
    assert done.code == 6, done.said
    assert "Plan: 0 to update, 1 to create. Nothing was changed." in done.stdout
