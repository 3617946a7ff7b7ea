"""What a request may hold, and what happens beyond that: a refusal in words, and never a failure.

That no test here finds a traceback in the server's log is part of each.
"""

from __future__ import annotations

import json
import re
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.connect_content import archive, bundle
from support.waiting import PATIENCE, until

from hatch_connect.local.api.routes import ROUTES
from hatch_connect.local.archives import LARGEST_MANIFEST
from hatch_connect.local.strict_json import parse_json

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.local_api import Api


@pytest.fixture(autouse=True)
def _no_traceback(api: Api) -> Iterator[None]:
    log = api.server.state / "server.log"
    before = len(log.read_text())
    yield
    assert "Traceback" not in log.read_text()[before:]


@pytest.fixture
def bundles(api: Api) -> str:
    return f"v1/content/{api.create()}/bundles"


def _refusal(api: Api, method: str, path: str, content: bytes, **headers: str) -> tuple[int, str]:
    url = f"{api.server.url}/__api__/{path}"
    answer = api.client.request(method, url, content=content, headers=headers)
    assert answer.json().keys() == {"code", "error", "payload"}
    return answer.status_code, answer.json()["error"]


_BROKEN = [
    (b"", "Expecting value"),
    (b"{", "Expecting property name"),
    (b"\xff", "it is not UTF-8"),
    (b"\xef\xbb\xbf{}", "BOM"),
    ("{}".encode("utf-16"), "it is not UTF-8"),
    (b"[" * 100_000, "it is nested too deeply"),
    (b'{"title": ' + b"9" * 5000 + b"}", "a number in it has 5000 digits"),
    (b'{"cpu_limit": 1e999}', "the number 1e999 is too large"),
    (b'{"cpu_limit": NaN}', "NaN is not a number in JSON"),
    (b'{"title": "one", "title": "two"}', "the key 'title' is there twice"),
    (rb'{"title": "a \ud800 b"}', "it contains half of a surrogate pair"),
    (rb'{"\udfff": 1}', "it contains half of a surrogate pair"),
]


@pytest.mark.parametrize(("content", "reason"), _BROKEN)
def test_a_body_that_is_not_json(api: Api, content: bytes, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        parse_json(content)
    path = f"v1/content/{api.create()}"

    status, error = _refusal(api, "PATCH", path, content)

    assert (status, "not JSON" in error, reason in error) == (400, True, True), error


def test_a_whole_surrogate_pair_is_text() -> None:
    assert parse_json(rb'["\ud83d\ude00"]') == ["😀"]


def test_a_key_that_is_there_twice_is_soon_found() -> None:
    keys = ",".join(f'"{number}":0' for number in range(100_000))
    with pytest.raises(ValueError, match="'99999' is there twice"):
        parse_json(f'{{{keys},"99999":0}}'.encode())


def test_a_body_that_is_too_large(api: Api) -> None:
    path = f"v1/content/{api.create()}"

    too_large = (413, "The request's body is larger than 2 MiB.")
    assert _refusal(api, "PATCH", path, b" " * (3 << 20)) == too_large
    in_pieces = iter([b" " * (1 << 20)] * 3)
    assert api.refused("PATCH", path, content=in_pieces) == (413, 125)
    picture = b"\x89PNG" + bytes(10 << 20)
    assert api.refused("PUT", f"{path}/thumbnail", content=picture) == (413, 125)


@pytest.mark.parametrize("number", ["9" * 30, "9" * 5000, "²", "-1", "1.0"])
def test_a_number_in_a_query(api: Api, number: str) -> None:
    path = f"v1/content/{api.create()}/jobs"

    assert api.refused("GET", "v1/tasks/x", params={"first": number}) == (400, 2)
    assert api.ask("GET", path) == []


def test_a_manifest_that_is_too_large(api: Api, bundles: str) -> None:
    content = archive({"manifest.json": bytes(LARGEST_MANIFEST + 1)})

    assert api.refused("POST", bundles, content=content) == (400, 38)
    assert api.ask("GET", bundles) == []


def test_the_manifest_is_read_as_strictly(api: Api, bundles: str) -> None:
    files = {"manifest.json": b'{"version": 1, "version": 1}'}
    number = api.ask("POST", bundles, content=archive(files))["id"]

    task = api.deploy(bundles.split("/")[2], number)

    assert "the key 'version' is there twice" in task["error"]


def _form(*parts: tuple[str, bytes], end: bytes = b"--B--\r\n") -> bytes:
    return (
        b"".join(
            b"--B\r\nContent-Disposition: form-data; %b\r\n\r\n%b\r\n" % (head.encode(), content)
            for head, content in parts
        )
        + end
    )


_FILE = ('name="archive"; filename="a"', bundle())
_FORM = {"Content-Type": "multipart/form-data; boundary=B"}


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (_form(), "The form has no file 'archive'"),
        (_form(('name="archive"', b"a field")), "The form has no file 'archive'"),
        (_form(_FILE, _FILE), "The form has the part 'archive' twice"),
        (_form(*[('name="x"', b"")] * 30, _FILE), "The form has more than 20 parts"),
        (_form(_FILE, ('name="metadata"', b" " * (2 << 20))), "is larger than 1 MiB"),
        (_form(_FILE, ('name="metadata"', b'{"a": "\\ud800"}')), "surrogate pair"),
        (_form(_FILE, ('name="metadata"', b'{"a": 1}')), "not a JSON object of strings"),
        (_form((_FILE[0] + "\r\nX: " + "x" * 20_000, b"x")), "headers|header"),
        (_form((_FILE[0] + "\r\nX: x" * 2_000, b"x")), "headers|header"),
        (_form(_FILE, end=b""), "The form breaks off"),
        (b"no form", "The form is not valid"),
        (b"", "The form breaks off"),
    ],
)
def test_a_form_that_is_not_right(api: Api, bundles: str, body: bytes, error: str) -> None:
    status, said = _refusal(api, "POST", bundles, body, **_FORM)

    assert status == 400
    assert any(one in said for one in error.split("|")), said
    assert api.ask("GET", bundles) == []
    assert not any((api.server.state / "bundles").glob("upload-*"))


@pytest.mark.parametrize("boundary", ["", "; boundary=", f"; boundary={'b' * 5000}"])
def test_a_form_without_a_boundary(api: Api, bundles: str, boundary: str) -> None:
    kind = {"Content-Type": f"multipart/form-data{boundary}"}

    assert _refusal(api, "POST", bundles, _form(_FILE), **kind)[0] == 400


def test_what_else_is_in_a_form_is_not_kept(api: Api, bundles: str) -> None:
    parts = ('name="other"; filename="x"', b"x" * (3 << 20)), _FILE, ('name="more"', b"y")

    uploaded = api.ask("POST", bundles, content=_form(*parts), headers=_FORM)

    assert uploaded["size"] == len(_FILE[1])


@pytest.mark.skipif(sys.platform != "linux", reason="reads the peak of memory from /proc")
@pytest.mark.parametrize("kind", ["form", "body"])
def test_an_upload_is_never_in_memory_as_a_whole(api: Api, bundles: str, kind: str) -> None:
    process = Path("/proc") / str(json.loads((api.server.state / "server.json").read_text())["pid"])
    (process / "clear_refs").write_text("5")  # the peak begins anew
    before, size = _peak(process), 150 << 20

    def pieces() -> Iterator[bytes]:
        if kind == "form":
            yield b'--B\r\nContent-Disposition: form-data; name="archive"; filename="a"\r\n\r\n'
        yield from (bytes(1 << 20) for _ in range(size >> 20))
        if kind == "form":
            yield b"\r\n--B--\r\n"

    uploaded = api.ask("POST", bundles, content=pieces(), headers=_FORM if kind == "form" else {})

    assert uploaded["size"] == size
    assert _peak(process) - before < 40 << 20
    api.ask("DELETE", f"{bundles}/{uploaded['id']}", 204)


def _peak(process: Path) -> int:
    lines = (process / "status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM:")).split()[1]) << 10


def test_an_upload_of_content_that_was_removed_meanwhile(api: Api) -> None:
    guid = api.create()
    path = f"v1/content/{guid}/bundles"

    def pieces() -> Iterator[bytes]:
        yield b"x"
        api.ask("DELETE", f"v1/content/{guid}", 204)
        yield b"y"

    assert api.refused("POST", path, content=pieces()) == (404, 4)
    assert not any((api.server.state / "bundles").glob("upload-*"))


def test_an_archive_that_is_gone(api: Api, bundles: str) -> None:
    number = api.ask("POST", bundles, content=bundle())["id"]
    (api.server.state / "bundles" / f"{number}.tar.gz").unlink()

    assert api.refused("GET", f"{bundles}/{number}/download") == (404, 28)
    assert "upload it again" in api.deploy(bundles.split("/")[2], number)["error"]


@pytest.mark.parametrize(
    "framing",
    [
        b"Content-Length: 10\r\n\r\nthe first of many bytes",
        b"Content-Length: 1000000\r\n\r\nthe first",
        b"Content-Length: -1\r\n\r\nx",
        b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nxx",
        b"Content-Length: 99999999999999999999\r\n\r\nx",
        b"Transfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n",
        b"Transfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\nx",
        b"Transfer-Encoding: chunked\r\n\r\nno number\r\nx",
    ],
)
def test_a_length_that_is_not_true(api: Api, bundles: str, framing: bytes) -> None:
    """Whatever is answered, nothing half is stored, and the server goes on."""
    host, port = api.server.url.removeprefix("http://").split(":")
    key = api.server.api_key.reveal()
    head = (
        f"POST /__api__/{bundles} HTTP/1.1\r\nHost: {host}:{port}\r\nAuthorization: Key {key}\r\n"
    )
    with socket.create_connection((host, int(port)), timeout=PATIENCE) as connection:
        connection.sendall(head.encode() + framing)
        connection.shutdown(socket.SHUT_WR)
        while connection.recv(1 << 16):
            pass

    until(lambda: not any((api.server.state / "bundles").glob("upload-*")))
    sizes = {one["size"] for one in api.ask("GET", bundles)}
    assert sizes <= {10}  # that many were announced, and came


_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
_FIELDS = st.sampled_from(
    [
        *("name", "title", "description", "access_type", "locked", "min_processes", "value"),
        *("init_timeout", "cpu_limit", "load_factor", "owner_guid", "bundle_id", "activate"),
        *("principal_guid", "principal_type", "role", "path", "force", "tag_id", "parent_id"),
    ]
)
_OBJECTS = st.dictionaries(_FIELDS, _VALUES, max_size=3)
_BODIES = (_OBJECTS | st.lists(_OBJECTS, max_size=3) | _VALUES).map(
    lambda value: json.dumps(value).encode()
) | st.binary(max_size=30)
_ROUTES = [(method, route.path) for route in ROUTES for method in sorted(route.methods or ())]
_IN_PATHS = st.sampled_from(["1", "2", "0", "x", "9" * 30, "²", "%00", "a%2Fb", "..", "ä"])
_QUERIES = st.dictionaries(
    st.sampled_from(["page_number", "page_size", "first", "include", "name", "q", "prefix"]),
    st.sampled_from(["", "1", "0", "-1", "9" * 30, "true", "x", "\0", "tags,owner"]),
    max_size=2,
)


def test_any_request(api: Api) -> None:
    """Whatever is asked of any path: an answer, and no failure."""
    guid = api.create()
    api.upload(guid)

    @settings(deadline=None, suppress_health_check=list(HealthCheck), max_examples=80)
    @given(st.sampled_from(_ROUTES), st.data(), _QUERIES)
    def ask(route: tuple[str, str], data: st.DataObject, query: dict[str, str]) -> None:
        method, path = route
        if "/content/{guid}" in path and method != "DELETE":
            path = path.replace("{guid}", guid)
        for name in re.findall(r"\{.*?\}", path):
            path = path.replace(name, data.draw(_IN_PATHS))
        body = b"" if method in {"GET", "HEAD"} else data.draw(_BODIES)
        url = f"{api.server.url}/__api__{path}"
        answer = api.client.request(method, url, content=body, params=query)
        assert answer.status_code < 500, (method, path, body, answer.text)

    ask()
    assert api.ask("GET", f"v1/content/{guid}")["guid"] == guid
