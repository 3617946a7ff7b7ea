"""What whole calls give, compared with what is kept in tests/golden/ (see support.golden)."""

from __future__ import annotations

import json
import re
import shutil
import sys
import tarfile
from typing import TYPE_CHECKING

import pytest
from support.calling import VALUE
from support.fake_content import FakeTask
from support.fake_quarto import install_quarto
from support.faults import LoseAnswer, Say, html
from support.golden import Names, hold
from support.sample_bundle import sample_bundle
from support.sandbox import EXAMPLES, REPOSITORY, copy_example

from hatch_connect.commands import COMMANDS

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from support.calling import Called, Caller
    from support.fake_connect import FakeConnect, Recorded
    from support.sandbox import Sandbox

posix = pytest.mark.skipif(sys.platform == "win32", reason="paths, modes and shells of POSIX")
pytestmark = posix

PROJECTS = REPOSITORY / "tests" / "projects"
LOCKS = REPOSITORY / "tests" / "locks" / "data"
# Of its bundle only the text of the page is fixed, and test_notebook.py holds how it is made.
RENDERED = "notebook-static"
TOOK = re.compile(r" *took \d")  # which depends on the machine
FOLDERS = sorted(each.name for each in PROJECTS.iterdir() if each.is_dir())


@pytest.fixture
def names(caller: Caller) -> Names:
    known = {caller.folder: "FOLDER", REPOSITORY: "REPOSITORY", sys.executable: "PYTHON"}
    return Names(known={str(old): new for old, new in known.items()} | {VALUE: "VALUE"})


def outcome(done: Called, names: Names) -> dict[str, object]:
    """Return all that a call says; JSON as JSON."""
    stdout = done.stdout
    shown = json.loads(stdout) if stdout.startswith("{") else stdout.splitlines()
    lines = [line for line in done.stderr.splitlines() if not TOOK.match(line)]
    found = {"code": done.code, "stdout": names.value(shown), "stderr": names.value(lines)}
    return dict(_less_sizes(found))


def _less_sizes(found: object) -> dict[str, object]:
    """Leave out how well zlib packs."""
    text = re.sub(r'"(size|growth|md5)": ("\w+"|-?\d+)', r'"\1": 0', json.dumps(found))
    text = re.sub(r"(?<=[(,] )?\b[\d,.]+ (bytes|kB)(?=\)|: |  |\")", r"N \1", text)
    return dict(json.loads(text))


def configured(root: Path, *lines: str) -> Path:
    """Add lines to the table of a project."""
    path = root / "pyproject.toml"
    head, table, rest = path.read_text("utf-8").partition("[tool.hatch-connect]\n")
    added = "".join(f"{line}\n" for line in lines)
    table = table or '\n[tool.hatch-connect]\napp-mode = "fastapi"\nentrypoint = "a:app"\n'
    path.write_text(f"{head}{table}{added}{rest}", encoding="utf-8")
    return root


# --- Bundles


def bundled(caller: Caller, names: Names, root: Path, **options: object) -> dict[str, object]:
    """Return a bundle whole: what is said of it, its manifest, its files with their modes."""
    caller.environ["SOURCE_DATE_EPOCH"] = "1700000000"
    done = caller.call("bundle", directory=str(root), list=True, json=True, **options)
    found = outcome(done, names)
    if done.code:
        return found
    told = json.loads(done.stdout)
    with tarfile.open(told["bundle"]) as archive:
        members = archive.getmembers()
        opened = archive.extractfile("manifest.json")
        assert opened is not None
        manifest = json.loads(opened.read())
        requirements = _text(archive, "requirements.txt")
    # The archive's time, owner and format are the same of all; how well zlib packs is not ours.
    assert {each.mtime for each in members} == {1700000000}
    assert {(each.uid, each.gid, each.uname, each.gname) for each in members} == {(0, 0, "", "")}
    metadata = [path for path in manifest["files"] if path.endswith(".dist-info/METADATA")]
    for path in metadata:  # written by Hatchling, of whatever version
        manifest["files"][path]["checksum"] = "HATCHLING"
    assert all(set(entry) == {"checksum"} for entry in manifest["files"].values())
    manifest["files"] = [f"{each['checksum']} {path}" for path, each in manifest["files"].items()]
    return {
        "bundle": names.text(told["bundle"]),
        "said": found["stderr"],
        "digest": "HATCHLING" if metadata else told["digest"],
        "left out": [f"{each['path']}  ({each['rule']})" for each in told["left_out"]],
        "members": [f"{each.mode:o} {each.name}" for each in members],
        "manifest": manifest,
        "requirements": [names.text(line) for line in requirements],
    }


def _text(archive: tarfile.TarFile, name: str) -> list[str]:
    if name not in archive.getnames():
        return []
    opened = archive.extractfile(name)
    assert opened is not None
    return opened.read().decode().splitlines()


@pytest.mark.parametrize("name", [name for name in FOLDERS if name != RENDERED])
def test_bundles_of_every_kind(name: str, caller: Caller, names: Names) -> None:
    root = shutil.copytree(PROJECTS / name, caller.folder / name)
    caller.environ |= install_quarto(caller.folder / "bin")
    hold("bundles", name, bundled(caller, names, root))


OPTIONS: dict[str, dict[str, object]] = {
    "plain": {},
    "image": {"image": "team/python:1", "disable_env_management": True},
    "installer": {"package_installer": "uv", "disable_env_management_r": True},
    "left out": {"exclude": ("*.csv",), "entrypoint": "sales_api.main:app"},
    "another python": {"python_version": "3.12"},
    "a requirements file": {"requirements_file": "mine.txt"},
    "a python that does not suit": {"python_version": "3.9"},
    "a file that is not there": {"lock": "other.lock"},
    "a wrong extra": {"extra": ("plots",)},
}


@pytest.mark.parametrize("name", OPTIONS)
def test_bundles_of_the_example(name: str, caller: Caller, names: Names) -> None:
    root = copy_example("fastapi-app", caller.folder)
    (root / "mine.txt").write_text("# mine\nfastapi==0.115.0\nanyio>=4\n", encoding="utf-8")
    hold("example", name, bundled(caller, names, root, **OPTIONS[name]))


TREE = {
    ".env": "TOKEN=secret\n",
    ".git/config": "",
    ".hidden/a.txt": "a",
    ".python-version": "3.12\n",
    ".venv/pyvenv.cfg": "",
    "__pycache__/app.cpython-311.pyc": "",
    "app.py": "app = 1\n",
    "data/big.csv": "a,b\n1,2\n",
    "data/old.bak": "",
    "dist/old.whl": "",
    "id_rsa": "-----BEGIN OPENSSH PRIVATE KEY-----\n",
    "notes.md": "# Notes\n",
    "requirements.txt": "fastapi==0.115.0\n",
    "rsconnect-python/app.json": "{}",
    "run.sh": "#!/bin/sh\n",
    "tests/test_app.py": "",
    "uv.toml": "",
}


def test_the_bundle_of_a_tree(caller: Caller, names: Names) -> None:
    root = caller.folder / "tree"
    for path, text in TREE.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text, encoding="utf-8")
        (root / path).chmod(0o644)
    (root / "run.sh").chmod(0o755)
    table = '[tool.hatch-connect]\napp-mode = "fastapi"\nentrypoint = "app:app"\n'
    (root / "pyproject.toml").write_text(table, encoding="utf-8")
    hold("example", "a tree: refused", bundled(caller, names, root))
    configured(root, 'exclude = ["*.bak", "id_rsa"]')
    hold("example", "a tree", bundled(caller, names, root))
    configured(root, 'include = ["/.hidden/", "/tests/"]')
    hold("example", "a tree: included", bundled(caller, names, root))
    listed = caller.call("bundle", directory=str(root), list=True)
    hold("example", "a tree: listed", outcome(listed, names))
    folder = caller.call("manifest", directory=str(root), json=True)
    hold("example", "a tree: manifest", outcome(folder, names))
    in_place = caller.call("manifest", directory=str(root), in_place=True, verbose=True)
    written = json.loads((root / "manifest.json").read_text("utf-8"))
    hold("example", "a tree: in place", [outcome(in_place, names), written])


# --- Package lists

EXPORTED = ("pylock.pip.toml", "pylock.pdm.toml", "pylock.poetry.toml", "pylock.uv.toml")
LOCKED = {
    "forked": "forked",
    "forked, extras": "forked",
    "repository": "repository",
    "workspace": "workspace",
    "workspace member": "workspace/member",
    "windows": "windows",
    "hatch": "hatch",
    "hatch, prod": "hatch",
    "example": "",
    **{f"exported {name}": "exported" for name in EXPORTED},
    "exported pip-compile.txt": "exported",
    "exported uv-universal.txt": "exported",
}
ASKED: dict[str, tuple[str, ...]] = {
    "forked, extras": ('extras = ["all", "new"]', 'groups = ["docs"]'),
    "hatch, prod": ('hatch-env = "prod"',),
}
VARIANTS: dict[str, tuple[str, ...]] = {
    "markers": ('markers = "keep"',),
    "hashes": ("hashes = true",),
    "index-urls": ('index-urls = "keep"',),
    "compiled": ("compile-requirements = true",),
    "arm": ('architecture = "aarch64"',),
}


def packages(caller: Caller, names: Names, root: Path, python: str) -> dict[str, object]:
    """Return the package list of a project, and all that is said of it."""
    called = {"directory": str(root), "python_version": python}
    done = caller.call("requirements", json=True, verbose=True, **called)
    found = outcome(done, names)
    if done.code:
        return found
    told = found["stdout"]
    assert isinstance(told, dict)
    told["requirements"] = told["requirements"].splitlines()
    told.pop("packages")  # their requirements are in the list, their reasons in --explain
    told.pop("sha256")
    left = told.pop("left_out")
    assert [set(each) for each in left] == [{"name", "version", "because"}] * len(left)
    explained = caller.call("requirements", explain=True, quiet=True, **called)
    return found | {"explained": names.value(explained.stdout.splitlines())}


def differing(found: object, plain: object) -> object:
    """Return what is not as in `plain`: of lists what was added and removed."""
    if isinstance(found, dict) and isinstance(plain, dict):
        both = {key: differing(value, plain.get(key)) for key, value in found.items()}
        gone = {key: None for key in plain if key not in found}
        return {key: value for key, value in both.items() if value not in ({}, [])} | gone
    if isinstance(found, list) and isinstance(plain, list):
        less = [f"- {each}" for each in plain if each not in found]
        more = [f"+ {each}" for each in found if each not in plain]
        return less + more
    return {} if found == plain else found


def lock_project(caller: Caller, name: str) -> Path:
    """Copy the project of a lock fixture, with what this name asks of it in its table."""
    source = LOCKS / LOCKED[name].partition("/")[0] if LOCKED[name] else EXAMPLES / "fastapi-app"
    root = shutil.copytree(source, caller.folder / "project")
    root /= LOCKED[name].partition("/")[2]
    file = name.partition("exported ")[2]
    if file.endswith(".txt"):
        return configured(root, f'requirements-file = "{file}"')
    return configured(root, f'lock = "{file}"') if file else configured(root, *ASKED.get(name, ()))


def _variants(name: str) -> tuple[str, ...]:
    if name.endswith(".txt"):
        return ("hashes", "compiled")
    if name == "example":
        return tuple(VARIANTS)
    # The hashes of many packages are many lines.
    return ("markers",) if name in {"forked", "forked, extras", "hatch, prod"} else SHORT


SHORT = ("markers", "hashes")


@pytest.mark.parametrize("name", LOCKED)
def test_package_lists(name: str, caller: Caller, names: Names) -> None:
    root = lock_project(caller, name)
    text = (root / "pyproject.toml").read_text("utf-8")
    plain = packages(caller, names, root, "3.11")
    hold("packages", name, plain)
    hold("packages", f"{name}, 3.12", differing(packages(caller, names, root, "3.12"), plain))
    for variant in _variants(name):
        (root / "pyproject.toml").write_text(text, encoding="utf-8")
        configured(root, *VARIANTS[variant])
        found = packages(caller, names, root, "3.11")
        hold("packages", f"{name}, {variant}", differing(found, plain))


# --- Requests


def asked(request: Recorded, names: Names) -> str:
    """Return a request as one line."""
    query = "&".join(f"{key}={value}" for key, value in request.query.items())
    body = request.body.decode("utf-8", "replace")
    if request.headers.get("content-type", "").startswith("application/json"):
        body = json.dumps(_less(json.loads(body)))
    elif body:
        body = "BYTES"
    line = " ".join((f"{request}?{query}" if query else str(request), body)).strip()
    return names.text(line)


def _less(body: object) -> object:
    """Leave out what is of this machine."""
    return {k: v for k, v in body.items() if k != "metadata"} if isinstance(body, dict) else body


def talked(fake: FakeConnect, names: Names) -> list[str]:
    """Return the requests since the last time; one that is repeated is one."""
    lines = [asked(request, names) for request in fake.requests]
    fake.requests.clear()
    return [line for at, line in enumerate(lines) if not at or line != lines[at - 1]]


def deploys(caller: Caller, fake: FakeConnect, names: Names, **options: object) -> list[object]:
    done = caller.deploy(**options)
    return [talked(fake, names), outcome(done, names)]


def calls(
    caller: Caller, fake: FakeConnect, names: Names, command: str, **options: object
) -> list[object]:
    done = caller.call(command, **options)
    return [talked(fake, names), outcome(done, names)]


GONE = Say(404, b'{"code": 4, "error": "no such resource"}')
DOWN = html(502, "<h1>Bad gateway</h1>")


def lost(call: str) -> Callable[[FakeConnect], None]:
    method, path = call.split(" ")
    return lambda fake: fake.misbehave(method, path, LoseAnswer())


def of_version(version: str, *, hidden: bool = False) -> Callable[[FakeConnect], None]:
    def change(fake: FakeConnect) -> None:
        fake.version, fake.hides_version = version, hidden

    return change


def without_user(fake: FakeConnect) -> None:
    fake.user_role = None


def failing(fake: FakeConnect) -> None:
    fake.next_task = FakeTask(code=1, error="no such package", lines=("Building...", "ERROR: x"))


def dead(fake: FakeConnect) -> None:
    fake.misbehave("GET", "^/content/", html(404, "<h1>Gone</h1>"), times=999)


def key_refused(fake: FakeConnect) -> None:
    fake.misbehave("GET", "v1/user$", Say(401, b'{"code": 30, "error": "bad"}'), times=99)


def refused(fake: FakeConnect) -> None:
    body = b'{"code": 22, "error": "not for you"}'
    fake.misbehave("POST", "v1/content$", Say(403, body), times=99)


SERVERS: dict[str, Callable[[FakeConnect], None]] = {
    "usual": of_version("2026.06.0"),
    "2025.06": of_version("2025.06.0"),
    "2025.03": of_version("2025.03.0"),
    "2024.09": of_version("2024.09.0"),
    "hidden": of_version("2026.06.0", hidden=True),
    "hidden 2025.06": of_version("2025.06.0", hidden=True),
    "hidden 2024.09": of_version("2024.09.0", hidden=True),
    "a key of nobody": without_user,
    "creation lost": lost("POST v1/content$"),
    "upload lost": lost("POST bundles$"),
    "deployment lost": lost("POST deploy$"),
    "variables lost": lost("PATCH environment$"),
    "task failed": failing,
    "key refused": key_refused,
    "creation refused": refused,
    "not answering": dead,
    "gateway": lambda fake: fake.misbehave("GET", "v1/user$", DOWN),
}


FIRST_ONLY = {"2025.03", "hidden 2025.06", "hidden 2024.09", "gateway", "variables lost"}


@pytest.mark.parametrize("name", SERVERS)
def test_requests_of_a_first_deployment_and_of_a_second(
    name: str, caller: Caller, fake: FakeConnect, names: Names
) -> None:
    SERVERS[name](fake)
    hold("requests", name, deploys(caller, fake, names, title="Sales", verbose=name == "usual"))
    if name not in FIRST_ONLY:
        hold("requests", f"{name}: again", deploys(caller, fake, names, json=True))


def test_requests_of_what_deploy_can_be_asked(
    caller: Caller, fake: FakeConnect, names: Names
) -> None:
    steps: dict[str, dict[str, object]] = {
        "1 only show": {"dry_run": True},
        "2 only show, as JSON": {"dry_run": True, "json": True},
        "3 draft": {"draft": True},
        "4 as JSON": {"json": True, "metadata": ("build=7",)},
        "5 only show again": {"dry_run": True},
        "6 unset": {"environment": (), "unset": ("TOKEN",), "title": "Other title"},
        "7 quiet": {"quiet": True, "no_metadata": True},
        "8 not verified": {"no_verify": True},
        "9 new": {"new": True, "json": True},
    }
    for name, options in steps.items():
        hold("requests", f"deploy: {name}", deploys(caller, fake, names, **options))
    for name, value in {"number": "1", "nothing": "77", "text": "a b"}.items():
        found = deploys(caller, fake, names, app_id=value)
        hold("requests", f"deploy: 10 to a {name}", found)


def test_requests_of_a_plan(caller: Caller, fake: FakeConnect, names: Names) -> None:
    here: dict[str, object] = {"file": "sales.tar.gz"}
    assert caller.deploy().code == 0
    fake.requests.clear()
    hold("requests", "plan: 1 the same", calls(caller, fake, names, "plan", **here))
    given = here | {"environment": (f"TOKEN={VALUE}", "MODE=x"), "unset": ("OLD",)}
    hold("requests", "plan: 2 a variable", calls(caller, fake, names, "plan", **given))
    caller.bundle("print('changed')\n")
    steps: dict[str, dict[str, object]] = {
        "3 another bundle": {},
        "4 as JSON": {"json": True},
        "5 all of it": {"verbose": True, "title": "Other title"},
        "6 a draft": {"draft": True, "title": "Other title"},
        "7 checked": {"check": True},
    }
    for name, options in steps.items():
        hold("requests", f"plan: {name}", calls(caller, fake, names, "plan", **here | options))
    caller.bundle()
    hold("requests", "plan: 8 checked", calls(caller, fake, names, "plan", **here, check=True))
    fake.version = "2026.05.0"
    caller.bundle("print('changed')\n")
    hold("requests", "plan: 9 downloaded", calls(caller, fake, names, "plan", **here, check=True))


def test_requests_of_a_prepared_folder(caller: Caller, fake: FakeConnect, names: Names) -> None:
    folder = caller.folder / "prepared"
    with tarfile.open(sample_bundle(caller.folder / "other.tar.gz")) as archive:
        archive.extractall(folder, filter="data")
    (folder / "not-listed.txt").write_text("x", encoding="utf-8")
    hold("requests", "a folder", deploys(caller, fake, names, file="prepared"))
    hold("requests", "a manifest", deploys(caller, fake, names, file="prepared/manifest.json"))
    (folder / "app.py").write_text("changed\n", encoding="utf-8")
    hold("requests", "a folder changed", deploys(caller, fake, names, file="prepared"))
    (folder / "app.py").unlink()
    hold("requests", "a folder that lacks a file", deploys(caller, fake, names, file="prepared"))


def test_requests_of_the_other_commands(caller: Caller, fake: FakeConnect, names: Names) -> None:
    fake.pythons = ("3.11.7", "3.13.1")
    here = caller.folder / "here"
    here.mkdir()
    table = '[tool.hatch-connect]\napp-mode = "fastapi"\nentrypoint = "app:app"\n'
    (here / "pyproject.toml").write_text(table, encoding="utf-8")
    for number in range(3):
        caller.bundle(f"print({number})\n")
        assert caller.deploy().code == 0
    (content,) = fake.contents.values()
    guid: dict[str, object] = {"app_id": content.guid}
    content.jobs["job-1"] = ["Starting", "Listening"]
    fake.requests.clear()
    steps: dict[str, tuple[str, dict[str, object]]] = {
        "a info": ("info", guid),
        "b info": ("info", guid | {"json": True}),
        "c info without a record": ("info", {"directory": "here"}),
        "d logs": ("logs", guid),
        "e logs": ("logs", guid | {"json": True}),
        "f versions": ("versions", guid),
        "g versions": ("versions", guid | {"json": True}),
        "h remove": ("versions", guid | {"remove": "2"}),
        "i remove the active one": ("versions", guid | {"remove": "8"}),
        "j roll back": ("rollback", guid),
        "k roll back to nothing": ("rollback", guid | {"bundle_id": "99"}),
        "l roll back": ("rollback", guid | {"bundle_id": "8", "json": True}),
        "m roll back, only show": ("rollback", guid | {"dry_run": True}),
        "n details": ("details", {}),
        "o details": ("details", {"json": True}),
        "p add": ("add", {"name": "prod", "server": fake.url, "api_key": fake.api_key}),
        "q add": ("add", {"name": "test", "server": fake.url, "json": True}),
        "r list": ("list", {}),
        "s list": ("list", {"json": True}),
        "t remove": ("remove", {"name": "test", "json": True}),
        "u remove": ("remove", {"name": "test"}),
        "v details": ("details", {"name": "nick"}),
    }
    for step, (command, options) in steps.items():
        hold("commands", f"{step}", calls(caller, fake, names, command, **options))


SHOP = """\
[tool.hatch-connect]
app-mode = "fastapi"
python-version = "3.12"
env = ["MODE=test"]

[tool.hatch-connect.content.orders]
entrypoint = "orders:app"
title = "Orders"

[tool.hatch-connect.content.stock]
entrypoint = "stock:app"
env = ["MODE=stock", "TOKEN"]

[tool.hatch-connect.on.staging]
env = ["STAGE=yes"]
"""


def test_requests_of_a_project_with_two_pieces_of_content(
    caller: Caller, fake: FakeConnect, names: Names
) -> None:
    shop = caller.folder / "shop"
    shop.mkdir()
    (shop / "pyproject.toml").write_text(SHOP, encoding="utf-8")
    (shop / "requirements.txt").write_text("starlette==0.45.0\n", encoding="utf-8")
    for name in ("orders", "stock"):
        (shop / f"{name}.py").write_text("app = 1\n", encoding="utf-8")
    here: dict[str, object] = {"directory": str(shop)}
    caller.environ["SOURCE_DATE_EPOCH"] = "1700000000"
    steps: dict[str, tuple[str, dict[str, object]]] = {
        "a none named": ("deploy", {}),
        "b wrong name": ("deploy", {"content": ("bills",)}),
        "c a variable is missing": ("deploy", {"all": True}),
        "d all, only show": ("deploy", {"all": True, "environment": ("TOKEN=x",), "dry_run": True}),
        "e one": ("deploy", {"content": ("orders",), "verbose": True}),
        "f both": (
            "deploy",
            {
                "content": ("orders", "stock"),
                "environment": ("TOKEN=x",),
                "force": True,
                "json": True,
            },
        ),
        "g info": ("info", {"all": True}),
        "h bundle": ("bundle", {"all": True, "list": True}),
        "i requirements": ("requirements", {"all": True}),
        "j versions": ("versions", {"content": ("stock",), "json": True}),
        "k manifest": ("manifest", {"all": True, "json": True}),
    }
    for step, (command, options) in steps.items():
        if command == "bundle":
            caller.environ.pop("CONNECT_API_KEY")
        elif command == "versions":
            caller.knows(fake)
        found = calls(caller, fake, names, command, **here, **options)
        hold("contents", step, found)


# --- Words of the ways to run it


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_help(command: str, sandbox: Sandbox, tmp_path: Path) -> None:
    done = sandbox.connect(*([command] if command else []), "--help", cwd=tmp_path, COLUMNS="100")
    assert done.code == 0, done.said
    hold("help", command or "all", done.stdout.splitlines())


def test_the_tasks_of_invoke(sandbox: Sandbox, tmp_path: Path) -> None:
    (tmp_path / "tasks.py").write_text("from invoke_tasks import ns\n", encoding="ascii")
    listed = sandbox.invoke("--list", "--list-format=json", cwd=tmp_path)
    assert listed.code == 0, listed.said
    tasks = {each["name"]: each["help"] for each in json.loads(listed.stdout)["tasks"]}
    hold("help", "invoke --list", tasks)
    one = sandbox.invoke("--help", "rollback", cwd=tmp_path)
    hold("help", "invoke --help rollback", " ".join(one.stdout.split()))


def test_the_scripts_of_hatchs_environments(sandbox: Sandbox, tmp_path: Path) -> None:
    table = '[project]\nname = "a"\nversion = "1"\n[tool.hatch.env.collectors.connect]\n'
    (tmp_path / "pyproject.toml").write_text(table, encoding="utf-8")
    done = sandbox.hatch("env", "show", "--json", cwd=tmp_path)
    assert done.code == 0, done.said
    known = {str(tmp_path): "FOLDER", str(tmp_path.resolve()): "FOLDER", sys.executable: "PYTHON"}
    found = json.loads(done.stdout)
    ours = {name: found[name] for name in ("connect", "default")}
    ours["default"] = ours["default"]["scripts"]
    hold("help", "hatch env show", Names(known=known).value(ours))
