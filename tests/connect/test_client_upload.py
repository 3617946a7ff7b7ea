from __future__ import annotations

import base64
import hashlib
import re
from typing import TYPE_CHECKING

import pytest
from support.fake_connect import FakeConnect
from support.faults import Drop, Hang, LoseAnswer, Say, Truncate
from support.sample_bundle import sample_bundle
from support.tls import CA, serving
from support.waiting import SHORT

from hatch_connect.errors import (
    AnswerError,
    BundleError,
    RefusedError,
    ServerError,
    TimedOutError,
    UnreachableError,
)
from hatch_connect.events import Detail, Note, Progress

FIRST = 3 << 20  # what the server reads of an upload that it does not take
PAGE = b"<html><h1>Bad Gateway</h1></html>"
BREAKS: dict[str, tuple[Fault, str]] = {
    "closed": (Drop(early=True, after=FIRST), "was interrupted"),
    "reset": (Drop(early=True, after=FIRST, reset=True), "was interrupted"),
    "bad gateway": (Say(502, PAGE, early=True, after=FIRST), "was stopped"),
}
FORBIDDEN = b'{"code": 22, "error": "no"}'
REFUSALS = {
    "too large": Say(413, PAGE, early=True, after=FIRST),
    "too large, reset": Say(413, PAGE, early=True, after=FIRST, reset=True),
    "forbidden": Say(403, FORBIDDEN, early=True, after=FIRST),
}

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from support.connecting import Connecting
    from support.faults import Fault

    from hatch_connect.connect.client import ConnectClient
    from hatch_connect.events import Event


def very_large(folder: Path) -> Path:
    """Return a file that is more than all buffers of sockets hold."""
    path = folder / "large.tar.gz"
    with path.open("wb") as file:
        file.truncate(64 << 20)
    return path


class TestUpload:
    def test_raw(self, client: ConnectClient, fake: FakeConnect, bundle: Path) -> None:
        client.upload_bundle(fake.add_content("sales").guid, bundle)
        sent = fake.last("POST .*bundles")
        digest = hashlib.md5(bundle.read_bytes()).digest()
        assert sent.body == bundle.read_bytes()
        assert sent.headers["content-length"] == str(bundle.stat().st_size)
        assert sent.headers["x-content-checksum"] == base64.b64encode(digest).decode()
        assert sent.headers["content-type"] == "application/gzip"
        assert "transfer-encoding" not in sent.headers

    def test_with_metadata(self, client: ConnectClient, fake: FakeConnect, bundle: Path) -> None:
        guid = fake.add_content("sales").guid
        uploaded = client.upload_bundle(
            guid, bundle, metadata={"source": "git", "source_branch": 'a"é\r\n'}
        )
        (kept,) = fake.contents[guid].bundles.values()
        assert kept.archive == bundle.read_bytes()
        assert dict(uploaded.metadata) == {"source": "git", "source_branch": 'a"é\r\n'}
        sent = fake.last("POST .*bundles").headers
        assert "content-length" in sent
        assert "x-content-checksum" not in sent

    @pytest.mark.parametrize("metadata", [None, {"source": "git"}])
    def test_one_that_arrives_changed_is_an_error(
        self,
        client: ConnectClient,
        fake: FakeConnect,
        bundle: Path,
        metadata: dict[str, str] | None,
    ) -> None:
        told = b'{"id": "7", "metadata": {"archive_md5": "%s"}}' % (b"0" * 32)
        fake.misbehave("POST", "bundles$", Say(200, told))
        with pytest.raises(AnswerError, match="a different archive") as caught:
            client.upload_bundle(fake.add_content("sales").guid, bundle, metadata=metadata)
        assert caught.value.exit_code == 3
        assert len(fake.requests) == 1

    @pytest.mark.parametrize("told", [b"{}", b'{"archive_md5": null}', b'{"archive_md5": "?"}'])
    def test_a_server_need_not_tell_what_arrived(
        self, client: ConnectClient, fake: FakeConnect, bundle: Path, told: bytes
    ) -> None:
        fake.misbehave("POST", "bundles$", Say(200, b'{"id": "7", "metadata": %s}' % told))
        assert client.upload_bundle(fake.add_content("sales").guid, bundle).id == "7"

    def test_progress_is_what_the_connection_took(
        self, client: ConnectClient, fake: FakeConnect, tmp_path: Path, events: list[Event]
    ) -> None:
        import random

        noise = random.Random(0).randbytes(3_000_000)
        large = sample_bundle(tmp_path / "l.tar.gz", files={"noise.bin": noise})
        client.upload_bundle(fake.add_content("sales").guid, large, report=events.append)
        done = [e.done for e in events if isinstance(e, Progress)]
        assert done == sorted(set(done))
        assert done[-1] == large.stat().st_size
        assert len(done) > 10

    def test_a_file_that_is_not_there(self, client: ConnectClient, tmp_path: Path) -> None:
        with pytest.raises(BundleError, match="cannot be read"):
            client.upload_bundle("guid", tmp_path / "none.tar.gz")

    def test_one_that_broke_is_started_again(
        self, client: ConnectClient, fake: FakeConnect, bundle: Path
    ) -> None:
        guid = fake.add_content("sales").guid
        fake.misbehave("POST", "bundles", Drop())
        assert client.upload_bundle(guid, bundle).id in fake.contents[guid].bundles
        assert len(fake.contents[guid].bundles) == 1

    @pytest.mark.parametrize("metadata", [None, {"source": "git"}])
    @pytest.mark.parametrize("fault", [LoseAnswer(), Truncate()])
    def test_one_whose_answer_is_lost_is_found(
        self,
        client: ConnectClient,
        fake: FakeConnect,
        bundle: Path,
        fault: LoseAnswer | Truncate,
        metadata: dict[str, str] | None,
        events: list[Event],
    ) -> None:
        guid = fake.add_content("sales").guid
        fake.misbehave("POST", "bundles", fault)
        uploaded = client.upload_bundle(guid, bundle, metadata=metadata)
        assert list(fake.contents[guid].bundles) == [uploaded.id]
        assert any(isinstance(event, Detail) for event in events)

    def test_one_whose_answer_is_lost_is_known_by_its_archive_and_its_metadata(
        self, client: ConnectClient, fake: FakeConnect, bundle: Path, tmp_path: Path
    ) -> None:
        guid = fake.add_content("sales").guid
        other = sample_bundle(tmp_path / "other.tar.gz", files={"other.py": b"1"})
        of_main = {"source_branch": "main"}
        client.upload_bundle(guid, bundle, metadata={"source_branch": "draft"})
        client.upload_bundle(guid, other, metadata=of_main)
        before = set(fake.contents[guid].bundles)
        fake.misbehave("POST", "bundles$", LoseAnswer())
        uploaded = client.upload_bundle(guid, bundle, metadata=of_main)
        assert {uploaded.id} == fake.contents[guid].bundles.keys() - before

    def test_writing_it_may_take_longer_than_connecting(
        self,
        fake: FakeConnect,
        connecting: Connecting,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        import random

        monkeypatch.setattr("hatch_connect.connect.transport._CONNECT_TIMEOUT", 1.0)
        noise = random.Random(0).randbytes(8_000_000)  # more than the sockets' buffers hold
        large = sample_bundle(tmp_path / "l.tar.gz", files={"noise.bin": noise})
        guid = fake.add_content("sales").guid
        fake.reading_pauses = 2.0
        assert connecting(fake.url).upload_bundle(guid, large).id
        assert fake.calls() == [f"POST v1/content/{guid}/bundles"]

    def test_a_slow_answer_is_found_too(
        self, fake: FakeConnect, bundle: Path, connecting: Connecting
    ) -> None:
        guid = fake.add_content("sales").guid
        fake.misbehave("POST", "bundles", Hang(SHORT + 1))
        client = connecting(fake.url, environ={"CONNECT_REQUEST_TIMEOUT": str(SHORT)})
        client.upload_bundle(guid, bundle)
        assert fake.calls().count(f"POST v1/content/{guid}/bundles") <= 2

    @pytest.mark.parametrize("early", [False, True])
    def test_too_large_says_how_large(
        self, client: ConnectClient, fake: FakeConnect, tmp_path: Path, *, early: bool
    ) -> None:
        import random

        noise = random.Random(0).randbytes(2_000_000)
        large = sample_bundle(tmp_path / "l.tar.gz", files={"noise.bin": noise})
        page = b"<html><h1>413 Request Entity Too Large</h1></html>"
        fake.misbehave("POST", "bundles", Say(413, page, early=early), times=9)
        with pytest.raises(RefusedError, match=r"\(2 MB\) is too large") as caught:
            client.upload_bundle(
                fake.add_content("sales").guid, large, largest=(("noise.bin", 2_000_000),)
            )
        assert caught.value.status == 413
        assert "2 MB  noise.bin" in str(caught.value)
        assert "`exclude`" in str(caught.value)

    def test_a_reset_says_that_size_may_be_why(
        self, client: ConnectClient, fake: FakeConnect, tmp_path: Path
    ) -> None:
        import random

        noise = random.Random(0).randbytes(8_000_000)
        large = sample_bundle(tmp_path / "l.tar.gz", files={"noise.bin": noise})
        fake.misbehave("POST", "bundles", Drop(reset=True, early=True), times=9)
        with pytest.raises(UnreachableError, match=r"was interrupted after .* of 8 MB") as caught:
            client.upload_bundle(fake.add_content("sales").guid, large)
        assert "too large" in str(caught.value)

    def test_a_server_that_takes_no_more_is_not_waited_for(
        self, fake: FakeConnect, connecting: Connecting, tmp_path: Path
    ) -> None:
        fake.reading_pauses = 600
        client = connecting(fake.url, environ={"CONNECT_REQUEST_TIMEOUT": str(SHORT)})
        with pytest.raises(TimedOutError, match=r"was interrupted after \d.* of 67.1 MB") as caught:
            client.upload_bundle(fake.add_content("sales").guid, very_large(tmp_path))
        assert "CONNECT_REQUEST_TIMEOUT" in str(caught.value)

    def test_a_refusal_is_final(
        self, client: ConnectClient, fake: FakeConnect, bundle: Path
    ) -> None:
        guid = fake.add_content("sales", git=True).guid
        with pytest.raises(RefusedError, match="code 144") as caught:
            client.upload_bundle(guid, bundle)
        assert "git repository" in str(caught.value)
        assert len(fake.requests) == 1


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
class TestBrokenUpload:
    """One that the connection did not take whole."""

    @pytest.fixture
    def server(self, *, tls: bool) -> Iterator[FakeConnect]:
        with FakeConnect(tls=serving("server") if tls else None) as fake:
            yield fake

    def upload(
        self, server: FakeConnect, tmp_path: Path, connecting: Connecting, seconds: int = 60
    ) -> str:
        """Return the error of an upload that fails."""
        told = {"CONNECT_REQUEST_TIMEOUT": str(seconds)}
        client = connecting(server.url, environ=told, ca_cert=CA.read_text(encoding="ascii"))
        with pytest.raises(ServerError) as caught:
            client.upload_bundle(server.add_content("sales").guid, very_large(tmp_path))
        return str(caught.value)

    @pytest.mark.parametrize("name", BREAKS)
    def test_one_that_breaks_off_is_sent_again_and_says_how_much_was_sent(
        self,
        name: str,
        server: FakeConnect,
        tmp_path: Path,
        connecting: Connecting,
        events: list[Event],
    ) -> None:
        fault, said = BREAKS[name]
        server.misbehave("POST", "bundles$", fault, times=9)
        error = self.upload(server, tmp_path, connecting)
        told = rf"The upload {said} after \d[\d.]* MB of 67.1 MB: "
        assert re.match(told, error)
        assert len(server.requests) == 4
        notes = [event.text for event in events if isinstance(event, Note)]
        assert [bool(re.match(f"Trying again: {told}", note)) for note in notes] == [True] * 3

    @pytest.mark.parametrize("name", REFUSALS)
    def test_a_refusal_before_the_end_is_final(
        self, name: str, server: FakeConnect, tmp_path: Path, connecting: Connecting
    ) -> None:
        fault = REFUSALS[name]
        server.misbehave("POST", "bundles$", fault)
        error = self.upload(server, tmp_path, connecting)
        said = "too large for the server, which stopped it" if fault.status == 413 else "stopped"
        assert re.search(rf"{said} after \d[\d.]* MB", error)
        assert f"HTTP {fault.status}" in error
        assert len(server.requests) == 1

    def test_an_answer_is_read_though_the_server_stops_reading(
        self, server: FakeConnect, tmp_path: Path, connecting: Connecting
    ) -> None:
        page = Say(413, PAGE, early=True, after=FIRST, kept=True)
        server.misbehave("POST", "bundles$", page)
        assert "too large for the server" in self.upload(server, tmp_path, connecting, SHORT)
        assert len(server.requests) == 1
