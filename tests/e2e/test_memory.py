"""An upload, and the check before it, hold a constant amount of memory."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import random
import re
import subprocess
import sys
import tarfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.fake_connect import FakeConnect

if TYPE_CHECKING:
    from support.sandbox import Sandbox

pytestmark = pytest.mark.sweep

MEGABYTE = 1 << 20
SIZE = 60  # of the archive, in MiB
MOST = 64  # MiB; an interpreter that has loaded everything takes 40


def large_bundle(path: Path) -> Path:
    """Write a bundle of noise, which gzip only wraps."""
    noise = random.Random(0).randbytes(MEGABYTE) * SIZE
    manifest = {
        "version": 1,
        "metadata": {"appmode": "static", "primary_html": "index.html", "entrypoint": "index.html"},
        "files": {"index.html": {"checksum": hashlib.md5(noise).hexdigest()}},
    }
    members = {"index.html": noise, "manifest.json": json.dumps(manifest).encode()}
    with (
        gzip.open(path, "wb", compresslevel=0) as zipped,
        tarfile.open(fileobj=zipped, mode="w") as tar,
    ):
        for name, data in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return path


@pytest.mark.skipif(sys.platform != "linux", reason="the peak is read from /proc")
@pytest.mark.parametrize("metadata", [(), ("--metadata", "a=b")], ids=["raw", "multipart"])
def test_an_upload(metadata: tuple[str, ...], sandbox: Sandbox, tmp_path: Path) -> None:
    bundle = large_bundle(tmp_path / "large.tar.gz")
    with FakeConnect() as fake:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "hatch_connect", "deploy", str(bundle), *metadata],
            cwd=tmp_path,
            env=sandbox.environ | {"CONNECT_SERVER": fake.url, "CONNECT_API_KEY": fake.api_key},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        peak = 0
        while process.poll() is None:
            peak = max(peak, peak_of(process.pid))
            time.sleep(0.02)
        assert process.returncode == 0
        (content,) = fake.contents.values()
        (uploaded,) = content.bundles.values()
        assert len(uploaded.archive) == bundle.stat().st_size
    assert 0 < peak < MOST * 1024


def peak_of(pid: int) -> int:
    """Return the most that a process ever held, in KiB; 0 where it has just ended."""
    # Not the maximum of wait4: that counts what the parent held when the process was forked.
    try:
        status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    except OSError:
        return 0
    found = re.search(r"VmHWM:\s+(\d+) kB", status)
    return int(found[1]) if found else 0
