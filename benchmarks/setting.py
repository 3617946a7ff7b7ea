"""What is measured on: projects of any size, the same on each machine, and a server."""

from __future__ import annotations

import random
import shutil
import subprocess
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Self

from support.fake_bundle import Reply, parts_of
from support.fake_connect import FakeConnect, Recorded, _Handler
from support.fake_content import FakeBundle, FakeContent
from support.fake_world import World

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

MIB = 1 << 20
_BIG = 8 * MIB  # of a file of the mixed data
_TAIL = 32 << 10  # the end of a large upload that is kept
_FOLDER = 100  # small files in each folder
_LEFT = ("dist", "manifest.json", "requirements.txt", "rsconnect-python")  # what clients write
_REQUIREMENTS = "fastapi==0.115.0\n"  # the same as in the lock
_APP = 'async def app(scope, receive, send):\n    """Answer nothing."""\n'
_PYPROJECT = """\
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"

[project]
name = "bench-app"
version = "1.0.0"
requires-python = ">=3.11"
dependencies = ["fastapi"]

[tool.hatch-connect]
app-mode = "python-fastapi"
entrypoint = "{entrypoint}"
title = "Benchmark"
"""
_LOCK = """\
version = 1
revision = 3
requires-python = ">=3.11"

[[package]]
name = "bench-app"
version = "1.0.0"
source = { editable = "." }
dependencies = [{ name = "fastapi" }]

[package.metadata]
requires-dist = [{ name = "fastapi" }]

[[package]]
name = "fastapi"
version = "0.115.0"
source = { registry = "https://pypi.org/simple" }
wheels = [{ url = "https://example.com/fastapi-0.115.0-py3-none-any.whl", hash = "sha256:HASH" }]
""".replace("HASH", "0" * 64)


@dataclass(frozen=True, slots=True, kw_only=True)
class Project:
    """A project on disk.

    `entrypoint` is what starts, seen from its folder; `lists` is whether a requirements.txt is
    there already. rsconnect-python needs one; hatch-connect writes its own from uv.lock.
    """

    root: Path
    entrypoint: str
    lists: bool

    def clean(self) -> None:
        """Bring it back to what it was before a client wrote into it."""
        for path in (self.root / name for name in _LEFT):
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
        if self.lists:
            _write(self.root / "requirements.txt", _REQUIREMENTS)


def make_project(root: Path, kind: str, size: int, *, lists: bool) -> Project:
    """Make a `tree`, a `git` checkout, a `package` (small files), or `data` (MiB)."""
    package = kind == "package"
    main = "src/bench_app/main.py" if package else "app.py"
    root.mkdir(parents=True)
    entrypoint = "bench_app.main:app" if package else "app:app"
    _write(root / "pyproject.toml", _PYPROJECT.format(entrypoint=entrypoint))
    _write(root / "uv.lock", _LOCK)
    _write(root / ".python-version", "3.11\n")
    _write(root / main, _APP)
    if package:
        _write(root / "src/bench_app/__init__.py", "")
    make = _big_files if kind == "data" else _small_files
    make((root / main).parent / "data", size)
    if kind == "git":
        _commit(root)
    seen = "src.bench_app.main:app" if package else entrypoint
    project = Project(root=root, entrypoint=seen, lists=lists)
    project.clean()
    return project


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def _small_files(folder: Path, count: int) -> None:
    chance = random.Random(count)
    for number in range(count):
        length = chance.randrange(5, 150)
        text = " ".join(str(chance.getrandbits(32)) for _ in range(length))
        _write(folder / f"{number // _FOLDER:03}" / f"{number:05}.txt", text + "\n")


def _big_files(folder: Path, mib: int) -> None:
    folder.mkdir()
    kinds: tuple[tuple[str, Callable[[random.Random], bytes]], ...] = (
        ("csv", _csv),
        ("bin", lambda chance: chance.randbytes(MIB)),
        ("gz", lambda chance: zlib.compress(_csv(chance))),
    )
    left, number = mib * MIB, 0
    while left:
        kind, make = kinds[number % len(kinds)]
        size = min(left, _BIG)
        # Repeated after a MiB, which is further than a compressor of this kind looks back.
        block = make(random.Random(number))
        content = (block * (size // len(block) + 1))[:size]
        (folder / f"{number:04}.{kind}").write_bytes(content)
        left, number = left - size, number + 1


def _csv(chance: random.Random) -> bytes:
    rows = (
        f"{n},2026-{n % 12 + 1:02},{chance.random():.4f},{chance.randrange(999)}\n"
        for n in range(MIB // 24)
    )
    return "".join(rows).encode()


def _commit(root: Path) -> None:
    _write(root / ".gitignore", "".join(f"/{name}\n" for name in _LEFT))
    who = ("-c", "user.name=A. User", "-c", "user.email=user@example.com")
    for words in (("init", "-q"), ("add", "-A"), (*who, "commit", "-q", "-m", "Start")):
        subprocess.run(("git", *words), cwd=root, check=True)


class Server(FakeConnect):
    """The fake Connect, which reads a bundle as fast as it can and does not keep it."""

    received = 0
    """Bytes of all bodies."""

    def __enter__(self) -> Self:
        super().__enter__()
        self._server.RequestHandlerClass = _Draining
        return self

    def forget(self) -> None:
        """Forget every request."""
        self.requests.clear()
        self.received = 0

    def _take(self, request: Recorded, guid: str) -> Reply:
        content = self.content_of(guid, change=True)
        _archive, metadata = parts_of(request.headers, request.body)
        manifest: dict[str, object] = {"metadata": {"appmode": "python-fastapi"}}
        bundle = FakeBundle(self._number(), b"", manifest, metadata)
        content.bundles[bundle.id] = bundle
        return Reply.of(self._told(content, bundle), 201)

    def _told(self, content: FakeContent, bundle: FakeBundle) -> dict[str, object]:
        """Tell the metadata of a bundle, without a digest of what was not kept."""
        return {**super()._told(content, bundle), "metadata": bundle.metadata}

    _ROUTES: ClassVar = ((r"POST v1/content/([0-9a-f-]{36})/bundles", _take), *World._ROUTES)  # noqa: SLF001


class _Draining(_Handler):
    def _body(self) -> bytes:
        """Return the body, a large one without its middle: what a form says besides stays."""
        server = self.server.fake
        assert isinstance(server, Server)
        head, tail = bytearray(), b""
        for block in self._blocks():
            server.received += len(block)
            if len(head) < MIB:
                head += block
            else:
                tail = (tail + block)[-_TAIL:]
        return bytes(head) + tail

    def _blocks(self) -> Iterator[bytes]:
        if not self.headers.get("Transfer-Encoding"):
            yield from self._read(int(self.headers.get("Content-Length") or 0))
            return
        while size := int(self.rfile.readline(), 16):
            yield from self._read(size)
            self.rfile.readline()
        self.rfile.readline()

    def _read(self, left: int) -> Iterator[bytes]:
        while left and (block := self.rfile.read(min(left, MIB))):
            left -= len(block)
            yield block
