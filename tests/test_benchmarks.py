"""The benchmarks run, on projects so small that their times mean nothing."""

from __future__ import annotations

import os
import xml.etree.ElementTree as ET
from importlib.util import find_spec
from typing import TYPE_CHECKING

import pytest
from support.sandbox import REPOSITORY

if TYPE_CHECKING:
    from pathlib import Path

    from support.sandbox import Finished, Sandbox

CLIENTS = 2 if find_spec("rsconnect") else 1

pytestmark = pytest.mark.skipif(not hasattr(os, "wait4"), reason="needs os.wait4")


def bench(sandbox: Sandbox, output: Path, *more: str) -> Finished:
    words = ("--quick", "--runs", "1", "--size", "2", "--files", "2", "4", "--output", str(output))
    return sandbox.python("-m", "benchmarks", *words, *more, cwd=REPOSITORY)


def test_every_row_is_measured_counted_and_drawn(sandbox: Sandbox, tmp_path: Path) -> None:
    done = bench(sandbox, tmp_path)
    assert done.code == 0, done.said
    times, counts = done.stdout.split("| work |")[1:]
    rows = {
        line.split(" | ")[0].removeprefix("| "): line for line in times.splitlines()[2:] if line
    }
    assert rows.keys() == {
        "--version",
        *(f"{command}, {n} files" for command in ("bundle", "manifest --in-place") for n in (2, 4)),
        *("manifest, 4 files", "bundle, 4 files, git checkout", "bundle, 4 files, src/ package"),
        *("bundle, 1 MiB of data", "bundle, 2 MiB of data"),
        *("deploy, 4 files, git checkout", "redeploy, 4 files, git checkout"),
        *("deploy, 2 MiB of data", "redeploy, 2 MiB of data"),
    }
    clients = [line.strip("| ").split(" | ") for line in counts.splitlines()[2:]]
    assert len(clients) == 4 * CLIENTS
    requests, sent, _processes, *opened = next(
        cells[2:] for cells in clients if cells[:2] == ["deploy, 2 MiB of data", "hatch-connect"]
    )
    assert int(requests) > 0
    assert float(sent) > 0.5
    assert all(int(times) > 0 for times in opened)
    assert (tmp_path / "report.md").read_text("utf-8") == done.stdout
    for name, lines in {"files.svg": 2, "bytes.svg": 1}.items():
        drawn = ET.parse(tmp_path / name).getroot()
        assert len(list(drawn.iter("{http://www.w3.org/2000/svg}polyline"))) == lines * CLIENTS


def test_a_redeployment_alone(sandbox: Sandbox, tmp_path: Path) -> None:
    done = bench(sandbox, tmp_path, "--only", "redeploy, 4 files")
    assert done.code == 0, done.said
    assert done.stdout.count("| redeploy, 4 files, git checkout |") == 1 + CLIENTS


def test_a_name_that_no_row_has(sandbox: Sandbox, tmp_path: Path) -> None:
    done = bench(sandbox, tmp_path, "--only", "bumdle")
    assert (done.code, done.stderr) == (1, "No row has `bumdle` in its name.\n")
