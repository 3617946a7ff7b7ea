"""What is timed besides the two clients, each as a process of its own in a project's folder.

python programs.py walk | md5 | pack FILE | rsconnect ENTRYPOINT
"""

import gzip
import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib import import_module
from importlib.util import find_spec
from typing import BinaryIO, cast

BLOCK = 1 << 20
LEVEL = {"isal": 1, "zlib": 6}
"""The level at which hatch-connect uses each compressor."""


def compressor() -> str:
    """Return which compressor hatch-connect uses here."""
    return "isal" if find_spec("isal") else "zlib"


def _files(folder: str) -> Iterator[str]:
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                if entry.name != ".git":
                    yield from _files(entry.path)
            else:
                yield entry.path


def _md5(path: str) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def md5() -> None:
    """Hash every file."""
    for path in _files("."):
        _md5(path)


def walk() -> None:
    """List every file with its MD5, as JSON: the least that makes a manifest."""
    json.dump({path: {"checksum": _md5(path)} for path in sorted(_files("."))}, sys.stdout)


def _compressed(path: str) -> BinaryIO:
    kind = compressor()
    if kind == "zlib":
        return cast("BinaryIO", gzip.open(path, "wb", LEVEL[kind]))
    threaded = import_module("isal.igzip_threaded")
    threads = min(os.cpu_count() or 1, 4)
    opened = threaded.open(path, "wb", compresslevel=LEVEL[kind], threads=threads)
    return cast("BinaryIO", opened)


def pack(target: str) -> None:
    """Let `tar` read the files, once, and compress what it writes."""
    command = ["tar", "-cf", "-", "--exclude", "./.git", "."]
    with _compressed(target) as out, subprocess.Popen(command, stdout=subprocess.PIPE) as tar:
        assert tar.stdout is not None
        shutil.copyfileobj(tar.stdout, out, BLOCK)


def rsconnect(entrypoint: str) -> None:
    """Pack what `rsconnect deploy fastapi` sends: no command packs only, so the library does."""
    from rsconnect.bundle import make_api_bundle
    from rsconnect.environment import Environment
    from rsconnect.models import AppModes

    environment = Environment.create_python_environment(".")
    mode = AppModes.PYTHON_FASTAPI
    make_api_bundle(".", entrypoint, mode, environment, [], []).close()


if __name__ == "__main__":
    programs: dict[str, Callable[..., None]] = {
        "md5": md5,
        "pack": pack,
        "rsconnect": rsconnect,
        "walk": walk,
    }
    programs[sys.argv[1]](*sys.argv[2:])
