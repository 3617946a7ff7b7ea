"""Makes small bundles by hand, for tests that do not need a build."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

APP = {"app.py": b"print('hello')\n", "requirements.txt": b"fastapi==0.100.0\n"}


def sample_bundle(
    path: Path,
    *,
    files: dict[str, bytes] | None = None,
    app_mode: str = "python-fastapi",
    entrypoint: str = "app:app",
) -> Path:
    """Write a bundle that a strict server takes and return its path."""
    files = APP if files is None else files
    manifest = {
        "version": 1,
        "locale": "en_US.UTF-8",
        "metadata": {"appmode": app_mode, "entrypoint": entrypoint},
        "python": {
            "version": "3.11.7",
            "package_manager": {
                "name": "pip",
                "version": "26.3",
                "package_file": "requirements.txt",
            },
        },
        "files": {
            name: {"checksum": hashlib.md5(data, usedforsecurity=False).hexdigest()}
            for name, data in files.items()
        },
    }
    with tarfile.open(path, "w:gz", format=tarfile.PAX_FORMAT) as tar:
        for name, data in {**files, "manifest.json": json.dumps(manifest).encode()}.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return path
