"""The body of an upload: read from disk while it is sent."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import secrets
from typing import IO, TYPE_CHECKING, Self, TypeAlias

from hatch_connect.connect.retries import is_uncertain
from hatch_connect.errors import AnswerError, BundleError, LostAnswerError, RefusedError
from hatch_connect.events import Progress

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from hatch_connect.errors import ServerError
    from hatch_connect.events import Report

Largest: TypeAlias = tuple[tuple[str, int], ...]

_BLOCK = 1 << 16
_REPORTS = 200  # of progress, if the upload is not large ...
_STEP = 1 << 20  # ... else one every MiB, for a rate that is true
_CONTENT_TOO_LARGE = 413
_KILO = 1000


class BundleBody:
    """A bundle as the body of a request: raw, or with `metadata` as multipart.

    A context manager that holds the file open, and notes with an interruption how much was sent.
    `sent` tells whether the connection took all of it; a block counts as taken when the next one is
    read.

    Raises:
        BundleError: if the file cannot be read, or changes while it is sent.

    """

    def __init__(self, path: Path, *, metadata: Mapping[str, str] | None, report: Report) -> None:
        self.metadata = dict(metadata or {})
        self._path = path
        self._report = report
        self._boundary = secrets.token_hex(16)
        try:
            self._file: IO[bytes] = path.open("rb")
            md5 = hashlib.file_digest(self._file, lambda: hashlib.md5(usedforsecurity=False))
            self.md5, self._file_size = md5.hexdigest(), self._file.tell()
        except OSError as error:
            raise BundleError(f"{path} cannot be read: {error.strerror}.") from error
        head, tail = self._wrapping() if self.metadata else (b"", b"")
        self._parts: tuple[tuple[IO[bytes], int], ...] = (
            (io.BytesIO(head), len(head)),
            (self._file, self._file_size),
            (io.BytesIO(tail), len(tail)),
        )
        self._size = sum(length for _, length in self._parts)
        self._step = min(max(self._size // _REPORTS, _BLOCK), _STEP)
        self.seek(0)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _kind: object, exception: BaseException | None, _trace: object) -> None:
        self._file.close()
        if isinstance(exception, KeyboardInterrupt):
            exception.add_note(f"{self.shown_sent} had been uploaded.")

    def __len__(self) -> int:
        return self._size

    def __iter__(self) -> Iterator[bytes]:
        while block := self.read(_BLOCK):
            yield block

    @property
    def headers(self) -> dict[str, str]:
        """The headers that belong to this body.

        Connect compares the checksum with the whole body. That of a form is more than the archive,
        so, like the official clients, it is sent with the raw archive only.
        """
        if self.metadata:
            return {"Content-Type": f"multipart/form-data; boundary={self._boundary}"}
        checksum = base64.b64encode(bytes.fromhex(self.md5)).decode("ascii")
        return {"Content-Type": "application/gzip", "X-Content-Checksum": checksum}

    @property
    def sent(self) -> bool:
        """Whether the connection took all of it, in the last attempt."""
        return self._taken == self._size

    @property
    def taken(self) -> int:
        """How many bytes the connection took, in the last attempt."""
        return self._taken

    @property
    def shown_sent(self) -> str:
        """How much of how much the connection took, as text."""
        size = _human(self._size)
        return f"all {size}" if self.sent else f"{_human(self._taken)} of {size}"

    # urllib3 asks for the position, and goes back to it to send the body again.
    def tell(self) -> int:
        """Return how far it was read."""
        return self._handed

    def seek(self, offset: int, _whence: int = 0) -> int:
        """Go back to the beginning, for another attempt; there is nowhere else to go."""
        if offset:
            raise io.UnsupportedOperation("an upload starts at its beginning")
        for part, _ in self._parts:
            part.seek(0)
        self._handed = self._taken = self._reported = 0
        return 0

    def read(self, size: int = -1) -> bytes:
        """Return the next block; whoever asks for it has taken all that came before."""
        self._taken = self._handed
        self._tell_progress()
        offset = self._handed
        for part, length in self._parts:
            if offset < length:
                left = length - offset
                block = part.read(left if size < 0 else min(size, left))
                if not block:
                    raise BundleError(f"{self._path} was truncated during the upload.")
                self._handed += len(block)
                return block
            offset -= length
        return b""

    def _tell_progress(self) -> None:
        if self._taken - self._reported >= self._step or (
            self.sent and self._reported < self._size
        ):
            self._reported = self._taken
            self._report(Progress(what="Uploading", done=self._taken, total=self._size))

    def _wrapping(self) -> tuple[bytes, bytes]:
        """Return what stands before and after the archive, as the official client writes it."""
        mark = f"--{self._boundary}"
        head = (
            f"{mark}\r\n"
            'Content-Disposition: form-data; name="archive"; filename="bundle.tar.gz"\r\n'
            "Content-Type: application/x-tar\r\n\r\n"
        )
        tail = (
            f"\r\n{mark}\r\n"
            'Content-Disposition: form-data; name="metadata"\r\n\r\n'
            f"{json.dumps(self.metadata)}\r\n"
            f"{mark}--\r\n"
        )
        return head.encode("ascii"), tail.encode("ascii")


def explain(error: ServerError, body: BundleBody, largest: Largest) -> None:
    """Add to an upload's error how much was sent, and the sizes if they may be the reason."""
    files = "".join(f"\n  {_human(count)}  {name}" for name, count in largest)
    smaller = (
        "Leave out files that the content does not need with `exclude` in [tool.hatch-connect],"
        " or ask the administrator for a higher limit."
    )
    smaller = f"The largest files:{files}\n{smaller}" if files else smaller
    lead, hint = "", error.hint
    if isinstance(error, RefusedError) and error.status == _CONTENT_TOO_LARGE:
        early = "" if body.sent else f", which stopped it after {_human(body.taken)}"
        lead = f"The bundle ({_human(len(body))}) is too large for the server{early}: "
        hint = smaller
    elif not body.sent and isinstance(error, LostAnswerError):
        lead = f"The upload was interrupted after {body.shown_sent}: "
        hint = f"{hint} The bundle may also be too large for the server. {smaller}"
    elif not body.sent and body.taken:
        lead = f"The upload was stopped after {body.shown_sent}: "
    elif body.sent and is_uncertain(error):
        lead = f"The upload had sent {body.shown_sent}: "
    error.message, error.hint = lead + error.message, hint
    error.args = (error.message,)


def check_received(received: str | None, body: BundleBody) -> None:
    """Refuse to go on with an archive that is not the one that was sent (AnswerError).

    `received` is its MD5 as the server tells it, None if it does not.
    """
    if received is not None and len(received) == len(body.md5) and received != body.md5:
        raise AnswerError(
            f"The server received a different archive from the one that was sent (MD5 {received},"
            f" not {body.md5}); it was not deployed.",
            hint="Try again, or ask the administrator: a proxy in between may have changed it.",
        )


def _human(size: int) -> str:
    amount = float(size)
    for unit in ("B", "kB", "MB"):
        if amount < _KILO:
            return f"{amount:.3g} {unit}"
        amount /= _KILO
    return f"{amount:.3g} GB"
