"""Odd files and hostile archives: each ships exactly, or is an error before a server is asked."""

from __future__ import annotations

import gzip
import io
import json
import os
import tarfile
from typing import TYPE_CHECKING, Any

import pytest
from support.projects import PACKAGE, project

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from support.calling import Caller
    from support.fake_connect import FakeConnect
    from support.sandbox import Sandbox

pytestmark = pytest.mark.sweep

posix_only = pytest.mark.skipif(os.name != "posix", reason="names and files that POSIX allows")


def add(path: Path, name: str, data: bytes = b"", **attributes: Any) -> None:  # noqa: ANN401 - of a TarInfo
    """Add a member to the bundle, after all that it holds."""
    with tarfile.open(path) as old:
        members = [(m, old.extractfile(m)) for m in old.getmembers()]
        held = [(m, content.read() if content else b"") for m, content in members]
    extra = tarfile.TarInfo(name)
    extra.size = len(data)
    for key, value in attributes.items():
        setattr(extra, key, value)
    with tarfile.open(path, "w:gz") as new:
        for member, content in (*held, (extra, data)):
            new.addfile(member, io.BytesIO(content))


HOSTILE: dict[str, Callable[[Path], object]] = {
    "absolute": lambda path: add(path, "/etc/passwd"),
    "upward": lambda path: add(path, "a/../../b"),
    "link": lambda path: add(path, "l", type=tarfile.SYMTYPE, linkname="/etc/passwd"),
    "link upward": lambda path: add(path, "l", type=tarfile.SYMTYPE, linkname="../../x"),
    "hard link": lambda path: add(path, "l", type=tarfile.LNKTYPE, linkname="/etc/passwd"),
    "device": lambda path: add(path, "d", type=tarfile.CHRTYPE),
    "twice": lambda path: add(path, "app.py", b"other"),
    "terminal": lambda path: add(path, "\x1b[31mred"),
    "bomb": lambda path: path.write_bytes(gzip.compress(bytes(1 << 29), 9)),
    "cut": lambda path: path.write_bytes(path.read_bytes()[:-20]),
    "empty": lambda path: path.write_bytes(b""),
    "text": lambda path: path.write_text("<html>404</html>"),
    "nothing": lambda path: path.unlink(),
}


@pytest.mark.parametrize("change", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_archive_is_refused_here(
    caller: Caller, fake: FakeConnect, change: Callable[[Path], object]
) -> None:
    change(caller.folder / "sales.tar.gz")
    done = caller.deploy()
    assert done.code == 2, done.said
    assert fake.requests == []
    assert "Traceback" not in done.said
    assert "\x1b" not in done.said


ODD: dict[str, tuple[Callable[[Path], object], str | None]] = {
    "empty": (lambda p: (p / "none.txt").touch(), "none.txt"),
    "long": (lambda p: (p / ("x" * 240)).write_text("1"), "x" * 240),
    "not ASCII": (lambda p: (p / "né 東京.txt").write_text("1"), "né 東京.txt"),
    "trailing dot": (lambda p: (p / "end.").write_text("1"), "end."),
    "link inside": (lambda p: (p / "l.py").symlink_to("main.py"), "l.py"),
    "newline": (lambda p: (p / "a\nb").write_text("1"), None),
    "backslash": (lambda p: (p / "a\\b").write_text("1"), None),
    "link outside": (lambda p: (p / "l.py").symlink_to("/etc/hostname"), None),
    "dead link": (lambda p: (p / "l.py").symlink_to("nothing"), None),
    "two forms": (lambda p: [(p / n).write_text("1") for n in ("\u00e9.txt", "e\u0301.txt")], None),
    "two cases": (lambda p: [(p / n).write_text("1") for n in ("A.txt", "a.txt")], None),
    "pipe": (lambda p: os.mkfifo(p / "pipe"), None),
}


@posix_only
@pytest.mark.parametrize("name", ODD)
def test_an_odd_file_ships_exactly_or_stops_the_build(
    caller: Caller, fake: FakeConnect, name: str
) -> None:
    make, shipped = ODD[name]
    root = project(caller.folder / "p", PACKAGE)
    make(root / "src" / "sales_api")
    done = caller.call("deploy", directory=str(root))
    assert "Traceback" not in done.said
    if shipped is None:
        assert done.code == 2, done.said
        assert {request.method for request in fake.requests} <= {"GET"}
        return
    assert done.code == 0, done.said
    (content,) = fake.contents.values()
    (bundle,) = content.bundles.values()
    with tarfile.open(fileobj=io.BytesIO(bundle.archive)) as archive:
        member = archive.getmember(f"sales_api/{shipped}")
    assert member.isreg()
    assert member.size == (root / "src" / "sales_api" / shipped).stat().st_size


@posix_only
def test_a_link_in_circles_is_walked_once(caller: Caller, fake: FakeConnect) -> None:
    root = project(caller.folder / "p", PACKAGE)
    (root / "src" / "sales_api" / "again").symlink_to(".")
    done = caller.call("deploy", directory=str(root))
    assert done.code in {0, 2}
    assert len(fake.contents) == (done.code == 0)


def test_one_odd_entry_of_the_store_does_no_harm(caller: Caller, fake: FakeConnect) -> None:
    assert caller.call("add", name="prod", server=fake.url).code == 0
    del caller.environ["CONNECT_SERVER"], caller.environ["CONNECT_API_KEY"]
    store = caller.folder / "home" / ".rsconnect-python" / "servers.json"
    entries = json.loads(store.read_text(encoding="utf-8"))
    entries["prod"]["default"] = True
    bad = entries["prod"] | {"name": "bad", "url": "https://bad.example", "ca_cert": "no PEM\n\n-"}
    odd = {**entries, "odd": 5, "bad": bad}
    store.write_text("\ufeff" + json.dumps(odd), encoding="utf-8")
    listed = caller.call("list")
    assert listed.code == 0, listed.said
    assert "`odd` is an integer, not an object" in listed.stderr
    assert "prod" in listed.stdout
    assert caller.deploy().code == 0
    for name, why in (("odd", "`odd` is an integer"), ("bad", "It contains no certificate in PEM")):
        done = caller.deploy(name=name)
        assert done.code == 2, done.said
        assert why in done.stderr
        assert "Traceback" not in done.said


ENCODED = {
    "pyproject.toml": ("utf-16", "utf-8-sig", "latin-1"),
    ".python-version": ("utf-16",),
    "setup.cfg": ("utf-16", "latin-1"),
    "hatch.toml": ("utf-16", "utf-8-sig", "latin-1"),
    "requirements.txt": ("utf-16-le", "latin-1"),
    ".gitignore": ("utf-16",),
    "main.py": ("utf-16", "latin-1"),
    "README.md": ("utf-16", "latin-1"),
}


@pytest.mark.parametrize("name", ["pyproject.toml", "hatch.toml"])
def test_a_byte_order_mark_is_named_in_a_project_without_a_package(
    tmp_path: Path, sandbox: Sandbox, name: str
) -> None:
    table = '[tool.hatch-connect]\napp-mode = "fastapi"\nentrypoint = "main:app"\n'
    (tmp_path / "pyproject.toml").write_text(f'[project]\nname = "a"\nversion = "1"\n{table}')
    (tmp_path / "main.py").write_text("app = None\n")
    (tmp_path / "requirements.txt").write_text("fastapi==1\n")
    file = tmp_path / name
    file.write_bytes(b"\xef\xbb\xbf" + (file.read_bytes() if file.exists() else b"\n"))
    done = sandbox.connect("bundle", cwd=tmp_path)
    assert done.code == 2, done.said
    assert f"Save {name} as UTF-8 without a byte-order mark." in done.stderr


@pytest.mark.parametrize(
    ("name", "encoding"), [(name, each) for name, every in ENCODED.items() for each in every]
)
def test_a_file_in_an_encoding_that_its_tool_does_not_read_is_named(
    tmp_path: Path, sandbox: Sandbox, name: str, encoding: str
) -> None:
    texts = {
        "pyproject.toml": """
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"
[project]
name = "app"
version = "1"
readme = "README.md"
[tool.hatch.build.targets.wheel]
only-include = ["main.py"]
[tool.hatch-connect]
app-mode = "fastapi"
entrypoint = "main:app"
""",
        "main.py": "app = None\n",
        "requirements.txt": "fastapi==1\n",
        ".python-version": "3.12\n",
        "README.md": "",
    }
    for path, text in texts.items():
        (tmp_path / path).write_text(text)
    written = f"{texts.get(name, '')}# caf\xe9\n"
    (tmp_path / name).write_bytes(written.encode(encoding))
    if name == ".gitignore":
        assert sandbox.connect("bundle", cwd=tmp_path).code == 2
        sandbox.run("git", "init", "-q", cwd=tmp_path)
    done = sandbox.connect("bundle", cwd=tmp_path)
    assert done.code == 2, done.said
    assert name in done.said
    assert f"Save {name} as UTF-8" in done.said
    assert "Traceback" not in done.said
    told = sandbox.connect("requirements", "--json", cwd=tmp_path)
    assert "Traceback" not in told.said


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("main.py", "# coding: latin-1\napp = 'caf\xe9'\n".encode("latin-1")),
        ("main.py", "app = 'caf\xe9'\n".encode("utf-8-sig")),
        (".gitignore", "caf\xe9/\n".encode("latin-1")),
        (".gitignore", b"\xef\xbb\xbf*.log\n"),
        ("requirements.txt", "fastapi==1 # caf\xe9\n".encode("utf-16")),
        ("setup.cfg", b"\xef\xbb\xbf[options]\n"),
    ],
)
def test_one_that_its_tool_reads_ships(
    tmp_path: Path, sandbox: Sandbox, name: str, data: bytes
) -> None:
    (tmp_path / "pyproject.toml").write_text("[tool.hatch-connect]\napp-mode = 'fastapi'\n")
    (tmp_path / "main.py").write_text("app = None\n")
    (tmp_path / "requirements.txt").write_text("fastapi==1\n")
    (tmp_path / ".python-version").write_text("3.12\n")
    (tmp_path / name).write_bytes(data)
    (tmp_path / "a.log").touch()
    done = sandbox.connect("bundle", cwd=tmp_path)
    assert done.code == 0, done.said
