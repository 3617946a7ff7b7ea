from __future__ import annotations

import base64
import hashlib
import io
import tracemalloc
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.fake_bundle import parts_of

from hatch_connect.connect.upload import BundleBody, explain
from hatch_connect.errors import BundleError, RefusedError
from hatch_connect.events import Progress, silent

if TYPE_CHECKING:
    from pathlib import Path

    from hatch_connect.events import Event


@given(
    data=st.binary(min_size=1),
    metadata=st.dictionaries(st.text(min_size=1), st.text()),
    block=st.integers(1, 100),
)
def test_any_blocks_make_the_whole_body(
    tmp_path_factory: pytest.TempPathFactory, data: bytes, metadata: dict[str, str], block: int
) -> None:
    path = tmp_path_factory.getbasetemp() / "any.tar.gz"
    path.write_bytes(data)
    with BundleBody(path, metadata=metadata, report=silent) as body:
        for _ in range(2):
            sent = b"".join(iter(lambda: body.read(block), b""))
            assert len(sent) == len(body) == body.tell() == body.taken
            assert body.sent
            headers = {name.lower(): value for name, value in body.headers.items()}
            assert parts_of(headers, sent) == (data, metadata)
            body.seek(0)
            assert not body.sent
    digest = base64.b64encode(hashlib.md5(data, usedforsecurity=False).digest()).decode()
    assert headers.get("x-content-checksum") == (None if metadata else digest)


def test_a_form_is_the_official_clients(tmp_path: Path) -> None:
    path = tmp_path / "b.tar.gz"
    path.write_bytes(b"ARCHIVE")
    with BundleBody(path, metadata={"source": "git", "x": "é"}, report=silent) as body:
        kind, _, boundary = body.headers["Content-Type"].partition("; boundary=")
        assert (kind, len(body.headers)) == ("multipart/form-data", 1)
        assert b"".join(body).decode("ascii").split(f"--{boundary}") == [
            "",
            (
                '\r\nContent-Disposition: form-data; name="archive"; filename="bundle.tar.gz"\r\n'
                "Content-Type: application/x-tar\r\n\r\nARCHIVE\r\n"
            ),
            (
                '\r\nContent-Disposition: form-data; name="metadata"\r\n\r\n'
                '{"source": "git", "x": "\\u00e9"}\r\n'
            ),
            "--\r\n",
        ]


@pytest.mark.parametrize("metadata", [None, {"source": "git"}])
def test_memory_does_not_grow_with_the_bundle(
    tmp_path: Path, metadata: dict[str, str] | None
) -> None:
    path = tmp_path / "large.tar.gz"
    with path.open("wb") as file:
        file.truncate(200 << 20)
    tracemalloc.start()
    try:
        with BundleBody(path, metadata=metadata, report=silent) as body:
            assert sum(len(block) for block in body) == len(body)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 4 << 20


def test_progress_counts_what_was_taken_and_ends_with_the_whole(tmp_path: Path) -> None:
    path = tmp_path / "b.tar.gz"
    path.write_bytes(bytes(1 << 20))
    events: list[Event] = []
    with BundleBody(path, metadata=None, report=events.append) as body:
        body.read(1 << 19)
        assert events == []
        body.read(1 << 19)
        body.read(1)
    done = [(e.done, e.total) for e in events if isinstance(e, Progress)]
    assert done == [(1 << 19, 1 << 20), (1 << 20, 1 << 20)]


@pytest.mark.parametrize(
    ("size", "told"), [(1 << 19, "524 kB of 1.05 MB"), (1 << 20, "all 1.05 MB")]
)
def test_an_interruption_notes_how_much_was_sent(tmp_path: Path, size: int, told: str) -> None:
    path = tmp_path / "b.tar.gz"
    path.write_bytes(bytes(1 << 20))

    def send() -> None:
        with BundleBody(path, metadata=None, report=silent) as body:
            body.read(size)
            body.read(1)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt) as caught:
        send()
    assert caught.value.__notes__ == [f"{told} had been uploaded."]


def test_a_file_that_grows_is_sent_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "b.tar.gz"
    path.write_bytes(b"one")
    with BundleBody(path, metadata={"a": "b"}, report=silent) as body:
        with path.open("ab") as file:
            file.write(b"two")
        sent = body.read(len(body)) + body.read() + body.read()
        headers = {name.lower(): value for name, value in body.headers.items()}
        assert parts_of(headers, sent) == (b"one", {"a": "b"})


def test_a_file_that_shrinks_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "b.tar.gz"
    path.write_bytes(b"one")
    with BundleBody(path, metadata=None, report=silent) as body:
        path.write_bytes(b"")
        with pytest.raises(BundleError, match="was truncated"):
            body.read()


def test_a_folder_is_no_bundle(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="cannot be read"):
        BundleBody(tmp_path, metadata=None, report=silent)


def test_there_is_no_way_into_the_middle(tmp_path: Path) -> None:
    path = tmp_path / "b.tar.gz"
    path.write_bytes(b"one")
    with BundleBody(path, metadata=None, report=silent) as body:
        assert list(body) == [b"one"]
        with pytest.raises(io.UnsupportedOperation):
            body.seek(1)


@pytest.mark.parametrize(
    ("size", "shown"), [(999, "999 B"), (12_300, "12.3 kB"), (5_000_000_000, "5 GB")]
)
def test_sizes_are_said_for_people(tmp_path: Path, size: int, shown: str) -> None:
    path = tmp_path / "b.tar.gz"
    path.write_bytes(b"one")
    with BundleBody(path, metadata=None, report=silent) as body:
        error = RefusedError("too large", status=413)
        explain(error, body, (("a.bin", size),))
        assert f"{shown}  a.bin" in str(error)
