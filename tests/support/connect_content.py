"""Small content for a Connect server: programs without requirements, and archives of them."""

# ruff: noqa: ANN401 - JSON

from __future__ import annotations

import gzip
import hashlib
import io
import json
import sys
import tarfile
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

PROJECTS = Path(__file__).parent.parent / "projects"
PYTHON = ".".join(map(str, sys.version_info[:3]))

# Answers with what it was asked and with its environment, as JSON.
ASGI_APP = b"""
import json, os

async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        return
    message, body = {"more_body": True}, b""
    while message.get("more_body"):
        message = await receive()
        body += message.get("body", b"")
    print("visited", scope["path"])
    answer = {
        "method": scope["method"],
        "path": scope["path"],
        "root_path": scope["root_path"],
        "query": scope["query_string"].decode(),
        "headers": {n.decode(): v.decode() for n, v in scope["headers"]},
        "body": body.decode(),
        "environ": dict(os.environ),
        "cwd": os.getcwd(),
    }
    headers = [(b"content-type", b"application/json")]
    status = 200
    if scope["path"] == "/away":
        status = 307
        headers += [(b"location", b"/there"), (b"set-cookie", b"a=1"), (b"set-cookie", b"b=2")]
    if scope["path"] == "/die":
        os._exit(7)
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": json.dumps(answer).encode()})
"""

WSGI_APP = b"""
def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [(environ["SCRIPT_NAME"] + "|" + environ["PATH_INFO"]).encode()]
"""

ANSWERS = b"""
async def app(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"%s"})
"""


def manifest(files: Mapping[str, bytes], /, **changes: Any) -> dict[str, Any]:
    """Return a manifest of these files, with some of its top-level keys replaced."""
    return {
        "version": 1,
        "locale": "en_US.UTF-8",
        "metadata": {"appmode": "python-fastapi", "entrypoint": "app:app"},
        "python": {
            "version": PYTHON,
            "package_manager": {"name": "pip", "package_file": "requirements.txt"},
        },
        "files": {
            name: {"checksum": hashlib.md5(content, usedforsecurity=False).hexdigest()}
            for name, content in files.items()
        },
        **changes,
    }


def archive(files: Mapping[str, bytes], *, top: str = "") -> bytes:
    """Return a .tar.gz of exactly these files, below the folder `top`."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(top + name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return gzip.compress(buffer.getvalue(), mtime=0)  # the same in each worker of pytest-xdist


def bundle(files: Mapping[str, bytes] | None = None, /, **changes: Any) -> bytes:
    """Return a bundle of these files with a manifest; without any, of the ASGI program."""
    content = {"app.py": ASGI_APP, "requirements.txt": b"", **(files or {})}
    described = json.dumps(manifest(content, **changes)).encode()
    return archive({**content, "manifest.json": described})


def bundle_of(files: Mapping[str, bytes], /, **changes: Any) -> bytes:
    """Return a bundle of exactly these files with a manifest; `python` is left out where None."""
    described = manifest(files, **changes)
    kept = {key: value for key, value in described.items() if value is not None}
    return archive({**files, "manifest.json": json.dumps(kept).encode()})


def wheel(name: str, files: Mapping[str, str] | None = None) -> bytes:
    """Return a wheel of version 1.0, whose file name must be NAME-1.0-py3-none-any.whl."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        about = f"{name}-1.0.dist-info"
        file.writestr(f"{about}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        file.writestr(f"{about}/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        file.writestr(f"{about}/RECORD", "")
        for path, text in (files or {}).items():
            file.writestr(path, text)
    return buffer.getvalue()


# Stands in for the program that renders notebooks, for which packages would be installed.
NBCONVERT = wheel(
    "nbconvert",
    {
        "nbconvert/__main__.py": """
import pathlib, sys, time
output, = (word.partition("=")[2] for word in sys.argv if word.startswith("--output-dir="))
notebook = pathlib.Path(sys.argv[-1]).read_text()
assert "fails" not in notebook
pathlib.Path(output).mkdir(parents=True, exist_ok=True)
pathlib.Path(output, "index.html").write_text(f"rendered {notebook} at {time.time_ns()}")
"""
    },
)


def brings(**wheels: bytes) -> dict[str, bytes]:
    """Return the files of a bundle that needs these wheels and brings them, by their names."""
    lines = ("--no-index", "--find-links .", *(f"{name}==1.0" for name in wheels))
    files = {f"{name}-1.0-py3-none-any.whl": content for name, content in wheels.items()}
    return {"requirements.txt": "\n".join(lines).encode(), **files}


def project_bundle(name: str, app_mode: str, entrypoint: str, /, **changes: Any) -> bytes:
    """Return a bundle of one of the projects of these tests."""
    root = PROJECTS / name
    files = {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in sorted(root.rglob("*"))
        if path.is_file() and path.name not in {"pyproject.toml", ".python-version"}
    }
    metadata = {"appmode": app_mode, "entrypoint": entrypoint}
    return bundle_of(files, metadata=metadata, **changes)
