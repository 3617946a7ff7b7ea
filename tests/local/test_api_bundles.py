from __future__ import annotations

import base64
import hashlib
import json
import socket
from typing import TYPE_CHECKING

import pytest
from support.connect_content import archive, bundle
from support.waiting import until

if TYPE_CHECKING:
    from support.local_api import Api


def _checksum(content: bytes) -> dict[str, str]:
    digest = hashlib.md5(content, usedforsecurity=False).digest()
    return {"X-Content-Checksum": base64.b64encode(digest).decode()}


def test_bundles_are_uploaded_listed_downloaded_and_deleted(api: Api) -> None:
    path = f"v1/content/{api.create()}/bundles"
    content = bundle()

    first = api.ask("POST", path, content=content, headers=_checksum(content))
    second = api.ask("POST", path, content=iter([content[:100], content[100:]]))

    assert first["size"] == len(content)
    assert first["active"] is False
    assert first["created_by"] == api.ask("GET", "v1/user")["guid"]
    assert {k: v for k, v in first["metadata"].items() if v is not None} == {
        "archive_md5": hashlib.md5(content, usedforsecurity=False).hexdigest(),
        "archive_sha1": hashlib.sha1(content, usedforsecurity=False).hexdigest(),
    }
    assert api.ask("GET", path) == [second, first]
    assert api.ask("GET", f"{path}/{first['id']}") == first
    download = api.client.get(f"{api.server.url}/__api__/{path}/{first['id']}/download")
    assert download.content == content

    api.ask("DELETE", f"{path}/{first['id']}", 204)

    assert api.ask("GET", path) == [second]
    assert api.refused("GET", f"{path}/{first['id']}") == (404, 4)


def test_bundles_come_in_pages(api: Api) -> None:
    path = f"v1/content/{api.create()}/bundles"
    numbers = [api.ask("POST", path, content=bundle())["id"] for _ in range(3)][::-1]

    def listed(**query: object) -> list[str]:
        return [one["id"] for one in api.ask("GET", path, params=query)]

    assert listed() == numbers
    assert listed(page_number=1, page_size=2) == numbers[:2]
    assert listed(page_number=2, page_size=2) == numbers[2:]
    assert listed(page_number=3, page_size=2) == []
    assert listed(asc_order="true", page_size=2) == numbers[:0:-1]
    assert listed(asc_order="false") == numbers
    assert api.refused("GET", path, params={"page_size": "many"}) == (400, 2)


def test_the_files_of_a_bundle_are_read(api: Api) -> None:
    guid = api.create()
    large = b"e" * (1 << 20) + b"+"
    given = {"a/b c.txt": "ü".encode(), "no.bin": b"a\0b", "no.txt": b"\xff", "large": large}
    number = api.upload(guid, bundle(given))
    path = f"v1/content/{guid}/bundles/{number}/files"

    listed = {one["path"]: one["size"] for one in api.ask("GET", path)["files"]}
    assert listed.keys() == {"app.py", "manifest.json", "requirements.txt", *given}
    assert {name: listed[name] for name in given} == {k: len(v) for k, v in given.items()}
    read = {name: api.ask("GET", f"{path}/{name}") for name in given}
    assert read["a/b c.txt"] == {
        "path": "a/b c.txt",
        "size": 2,
        "is_binary": False,
        "is_too_large": False,
        "content": "ü",
    }
    flags = {name: (one["is_binary"], one["is_too_large"]) for name, one in read.items()}
    assert flags["no.bin"] == flags["no.txt"] == (True, False)
    assert flags["large"] == (False, True)
    assert {one["content"] for one in read.values()} == {"ü", None}
    for name in ("none", "a", "a/", "/app.py"):
        assert api.refused("GET", f"{path}/{name}") == (404, 278)


def test_an_archive_that_is_gone_or_broken(api: Api) -> None:
    guid = api.create()
    path = f"v1/content/{guid}/bundles"
    broken, gone = api.upload(guid, b"no archive"), api.upload(guid)
    (api.server.state / "bundles" / f"{gone}.tar.gz").unlink()

    unnamed = api.upload(guid, archive({"\udcff": b""}))  # not UTF-8
    for number in (broken, unnamed):
        assert api.refused("GET", f"{path}/{number}/files") == (400, 135)
    for what in ("download", "files", "files/app.py"):
        assert api.refused("GET", f"{path}/{gone}/{what}") == (404, 28)


def test_a_bundle_is_not_fetched(api: Api) -> None:
    path = f"v1/content/{api.create()}/bundles"

    answer = api.client.post(
        f"{api.server.url}/__api__/{path}", params={"url": "https://x.example"}
    )
    assert answer.status_code == 404
    assert "not part of the local server" in answer.json()["error"]


def test_a_form_carries_metadata(api: Api) -> None:
    path = f"v1/content/{api.create()}/bundles"
    content = bundle()

    uploaded = api.ask(
        "POST",
        path,
        files={"archive": ("bundle.tar.gz", content, "application/x-tar")},
        data={"metadata": json.dumps({"source": "git", "source_commit": "abc-dirty"})},
        headers=_checksum(content),
    )

    assert uploaded["size"] == len(content)
    assert uploaded["metadata"]["source_commit"] == "abc-dirty"
    plain = api.ask("POST", path, files={"archive": ("a", content, "application/x-tar")})
    assert plain["size"] == len(content)


@pytest.mark.parametrize("metadata", ["{", "[]", '{"source": 1}'])
def test_metadata_that_is_no_object_of_strings(api: Api, metadata: str) -> None:
    path = f"v1/content/{api.create()}/bundles"
    files = {"archive": ("a", bundle(), "application/x-tar")}

    assert api.refused("POST", path, files=files, data={"metadata": metadata})[0] == 400
    assert api.ask("GET", path) == []


def test_a_form_without_an_archive(api: Api) -> None:
    path = f"v1/content/{api.create()}/bundles"

    assert api.refused("POST", path, files={"other": ("a", b"x", "text/plain")})[0] == 400


def test_an_empty_bundle_is_refused(api: Api) -> None:
    path = f"v1/content/{api.create()}/bundles"

    assert api.refused("POST", path, content=b"") == (400, 125)


def test_a_wrong_checksum_is_refused(api: Api) -> None:
    path = f"v1/content/{api.create()}/bundles"

    assert api.refused("POST", path, content=bundle(), headers=_checksum(b"x")) == (400, 104)
    assert api.ask("GET", path) == []


def test_an_upload_that_breaks_off_leaves_nothing(api: Api) -> None:
    guid = api.create()
    bundles = api.server.state / "bundles"
    host, port = api.server.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as connection:
        head = (
            f"POST /__api__/v1/content/{guid}/bundles HTTP/1.1",
            f"Host: {host}:{port}",
            f"Authorization: Key {api.server.api_key.reveal()}",
            "Content-Length: 1000000",
            "",
            "the first of many bytes",
        )
        connection.sendall("\r\n".join(head).encode())
        until(lambda: any(bundles.glob("upload-*")))

    until(lambda: not any(bundles.glob("upload-*")))
    assert api.ask("GET", f"v1/content/{guid}/bundles") == []
    assert "Traceback" not in (api.server.state / "server.log").read_text()


@pytest.mark.parametrize("number", ["0", "12345678901234567890123", "x", "-1", "²"])
def test_no_such_bundle(api: Api, number: str) -> None:
    guid = api.create()

    assert api.refused("GET", f"v1/content/{guid}/bundles/{number}") == (404, 4)
    deploy = f"v1/content/{guid}/deploy"
    assert api.refused("POST", deploy, json={"bundle_id": number}) == (404, 4)


def test_the_bundle_of_other_content(api: Api) -> None:
    foreign = api.upload(api.create())
    guid = api.create()

    assert api.refused("GET", f"v1/content/{guid}/bundles/{foreign}") == (404, 82)
    deploy = f"v1/content/{guid}/deploy"
    assert api.refused("POST", deploy, json={"bundle_id": foreign}) == (404, 82)


def test_the_active_bundle_is_not_deleted(api: Api) -> None:
    guid = api.ship()
    active = api.ask("GET", f"v1/content/{guid}")["bundle_id"]

    assert api.refused("DELETE", f"v1/content/{guid}/bundles/{active}")[0] == 409
    assert api.visit(guid).status_code == 200
