"""A server whose disk is full: it says so, keeps nothing half, serves what it has, and goes on.

The disk is a small file system in memory, which only an administrator can mount.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import zipfile
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

import pytest
from support.connect_content import bundle, bundle_of
from support.local_api import Api, asking

from hatch_connect.events import silent
from hatch_connect.local.disk import DiskError
from hatch_connect.local.folder import exclusive
from hatch_connect.local.pruning import prune
from hatch_connect.local.start import running

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or os.geteuid() != 0, reason="only root can mount a small disk"
)
_MIB = 1 << 20
_NO_SPACE = "No space left in {}.\nFree some: `hatch-connect local --prune`"


@pytest.fixture(scope="module")
def disk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    disk = tmp_path_factory.mktemp("disk")
    mount = ["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", str(disk)]
    if subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("no file system can be mounted here")
    try:
        yield disk
    finally:
        subprocess.run(["umount", str(disk)], check=True)


@pytest.fixture(scope="module")
def api(disk: Path) -> Iterator[Api]:
    with running(disk / "state", environ=os.environ, report=silent) as server:
        with asking(server) as api:
            yield api
        assert "Traceback" not in (disk / "state" / "server.log").read_text()


@contextmanager
def _full(state: Path) -> Iterator[None]:
    filler = state / "filler"
    try:
        with filler.open("wb", buffering=0) as file, suppress(OSError):
            while file.write(bytes(_MIB)):
                pass
        yield
    finally:
        filler.unlink()


def _files(state: Path) -> set[str]:
    kept = ("bundles", "unpacked", "environments", "rendered")
    return {f"{kind}/{path.name}" for kind in kept for path in (state / kind).glob("*")}


def _refusal(api: Api, method: str, path: str, **how: object) -> str:
    answer = api.client.request(method, f"{api.server.url}/__api__/{path}", **how)  # type: ignore[arg-type]
    assert (answer.status_code, answer.json()["code"]) == (507, 134), answer.text
    error: str = answer.json()["error"]
    assert error.startswith(_NO_SPACE.format(api.server.state))
    return error


def _page(files: dict[str, bytes]) -> bytes:
    metadata = {"appmode": "static", "primary_html": "index.html", "entrypoint": "index.html"}
    return bundle_of({"index.html": b"hello", **files}, metadata=metadata, python=None)


def test_an_upload_for_which_there_is_no_room(api: Api) -> None:
    path = f"v1/content/{api.create()}/bundles"
    before, large = _files(api.server.state), os.urandom(70 * _MIB)

    _refusal(api, "POST", path, content=large)
    _refusal(api, "POST", path, content=iter([large[:_MIB]] * 70))
    _refusal(api, "POST", path, files={"archive": ("a", large, "application/gzip")})

    assert _files(api.server.state) == before
    assert api.ask("GET", path) == []


def test_a_bundle_that_cannot_be_unpacked(api: Api) -> None:
    guid = api.create()
    number = api.upload(guid, _page({"zeros": bytes(80 * _MIB)}))
    before = _files(api.server.state)

    task = api.deploy(guid, number)

    assert task["error"].startswith(_NO_SPACE.format(api.server.state)), task
    assert _files(api.server.state) == before


def test_packages_that_cannot_be_installed(api: Api, tmp_path: Path) -> None:
    wheel = tmp_path / "big-1-py3-none-any.whl"
    info = {"METADATA": "Metadata-Version: 2.1\nName: big\nVersion: 1\n", "RECORD": "zeros,,\n"}
    info["WHEEL"] = "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("zeros", bytes(80 * _MIB))
        for name, text in info.items():
            file.writestr(f"big-1.dist-info/{name}", text)
    guid = api.create()
    wanted = {"requirements.txt": f"big @ {wheel.as_uri()}\n".encode()}
    number = api.upload(guid, bundle(wanted))
    before = _files(api.server.state)

    task = api.deploy(guid, number)

    assert task["error"].startswith(_NO_SPACE.format(api.server.state)), task
    assert _files(api.server.state) == before


def test_what_is_active_goes_on(api: Api) -> None:
    page, program, fresh = api.ship(_page({})), api.ship(bundle()), api.create()
    assert api.visit(program).status_code == 200
    number = api.upload(page, _page({"more": b"x" * 100_000}))
    variables = [{"name": "LONG", "value": "v" * 20_000}]

    with _full(api.server.state):
        assert api.visit(page).text == "hello"
        assert api.visit(program).status_code == 200
        api.visit(program, "die")
        assert api.visit(program).status_code == 200  # by a new process
        _refusal(api, "PATCH", f"v1/content/{fresh}/environment", json=variables)
        _refusal(api, "POST", f"v1/content/{fresh}/bundles", content=_page({}))
        failed = api.deploy(page, number)
        assert failed["error"].startswith(_NO_SPACE.format(api.server.state)), failed
        assert api.visit(page).text == "hello"

    api.ask("PATCH", f"v1/content/{fresh}/environment", json=variables)
    assert api.deploy(page, number)["code"] == 0
    assert api.visit(program).status_code == 200


def test_a_full_disk_is_said_at_the_start_and_can_be_pruned(disk: Path) -> None:
    state = disk / "another"
    with running(state, environ=os.environ, report=silent) as server, asking(server) as api:
        guid = api.ship(_page({}))
    (state / "bundles" / "99.tar.gz").write_bytes(bytes(3 * _MIB))

    with _full(state):
        message = re.escape(_NO_SPACE.format(state))
        with (
            pytest.raises(DiskError, match=message),
            running(state, environ=os.environ, report=silent),
        ):
            pytest.fail("it cannot run")
        with exclusive(state):
            assert prune(state).counts == {"bundles": 1}
        with running(state, environ=os.environ, report=silent) as server, asking(server) as api:
            assert api.visit(guid).text == "hello"
