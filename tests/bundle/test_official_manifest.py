"""Our manifest beside the official client's (rsconnect-python 1.32.0) for the same files.

`data/official_manifests.json` holds what `rsconnect write-manifest fastapi` wrote for the folder
of this test with Python 3.11.7 and pip 23.2.1: `plain` without options, `managed` with
`--image py:9 --disable-env-management`.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from support.projects import APP, CONNECT, build_one, project

if TYPE_CHECKING:
    from support.sandbox import Sandbox

OFFICIAL = json.loads((Path(__file__).parent / "data" / "official_manifests.json").read_text())
OPTIONS: dict[str, str] = {
    "plain": "",
    "managed": 'image = "py:9"\nenvironment-management = false\n',
}


def keys(value: object) -> object:
    """Give the keys of a JSON value, in their order, all the way down."""
    return [(k, keys(v)) for k, v in value.items()] if isinstance(value, dict) else type(value)


@pytest.mark.parametrize("case", OPTIONS)
def test_the_same_files_give_the_same_manifest(tmp_path: Path, sandbox: Sandbox, case: str) -> None:
    files = {"sales_api/__init__.py": "", "sales_api/main.py": APP, "Data/é.txt": "x"}
    connect = CONNECT + OPTIONS[case] + 'include = ["/Data/", "/.python-version"]\n'
    connect += 'exclude = ["*.dist-info"]\n'
    root = project(tmp_path / "p", files, connect=connect)
    text = build_one(root, sandbox.environ).bundle.manifest.to_json()
    ours: dict[str, Any] = json.loads(text)
    theirs: dict[str, Any] = OFFICIAL[case]
    assert keys(ours) == keys(theirs)
    # The machine's own patch version and pip are the only things that we do not write.
    theirs["python"]["version"] = "3.11.0"
    theirs["python"]["package_manager"]["version"] = "25.0"
    assert ours == theirs
    assert text.decode() == json.dumps(theirs, indent=2)
