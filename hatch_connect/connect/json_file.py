"""One JSON object in a file that several programs read and write."""

from __future__ import annotations

import contextlib
import copy
import itertools
import json
import os
from typing import TYPE_CHECKING

from hatch_connect.errors import BrokenStoreError, StoreError
from hatch_connect.events import Warned, silent
from hatch_connect.typed import json_type

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from hatch_connect.events import Report

_LOCK_TIMEOUT = 10.0  # seconds; a write takes milliseconds


class JsonFile:
    """One JSON object in a file that only its owner may read.

    A write is atomic and readable by nobody else from its first byte. Writers of ours wait for
    each other by the lock file `lock` (default: beside the file). If a file cannot be understood,
    reading raises StoreError; writing keeps it under another name and reports that.
    """

    def __init__(self, path: Path, *, lock: Path | None = None, report: Report = silent) -> None:
        self.path = path
        self._report = report
        self._lock = lock or path.with_name(f"{path.name}.lock")

    def read(self) -> dict[str, object]:
        """Return the object; a file that is absent or empty holds an empty one."""
        try:
            data = self.path.read_bytes()
            value = json.loads(data) if data.strip() else {}  # in any UTF, with its mark or without
        except (FileNotFoundError, NotADirectoryError):
            return {}
        except OSError as error:
            raise StoreError(f"{self.path} cannot be read: {error.strerror}.") from error
        except (ValueError, RecursionError) as error:
            raise self._broken(str(error)) from error
        if not isinstance(value, dict):
            raise self._broken(f"it contains {json_type(value)} instead of an object")
        return value

    @contextlib.contextmanager
    def update(self, *, patience: float | None = None) -> Iterator[dict[str, object]]:
        """Yield the object to be changed, and write it unless the block raises or changes nothing.

        Another writer is waited for `patience` seconds (default: ten).

        Raises:
            OSError: if it cannot be written.

        """
        self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with self._locked(_LOCK_TIMEOUT if patience is None else patience):
            try:
                value, broken = self.read(), None
            except BrokenStoreError as error:
                value, broken = {}, error
            before = copy.deepcopy(value)
            yield value
            if value == before:
                return
            if broken:
                self.set_aside(broken)
            self._write(json.dumps(value, indent=4).encode("ascii"))

    def check(self) -> None:
        """Raise OSError if the file could not be written, StoreError if it could not be read."""
        with contextlib.suppress(BrokenStoreError):  # it will be set aside
            self.read()
        self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._scratch(b"").unlink()

    def set_aside(self, why: StoreError) -> None:
        """Keep the file as it is under another name, before it is written anew (OSError)."""
        target = self.path.resolve()
        names = (f"{target.name}.broken{number or ''}" for number in itertools.count())
        aside = next(p for name in names if not (p := target.with_name(name)).exists())
        try:
            aside.hardlink_to(target)
        except OSError:
            target.rename(aside)
        self._report(
            Warned(text=f"{why.message} It was kept as {aside}, and a new file is written.")
        )

    @contextlib.contextmanager
    def _locked(self, patience: float) -> Iterator[None]:
        import filelock

        lock = filelock.FileLock(self._lock, timeout=patience, mode=0o600)
        with contextlib.ExitStack() as stack:
            try:
                self._lock.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
                stack.enter_context(lock)
            except filelock.Timeout as error:
                raise StoreError(
                    f"{self.path} is being written by another program.",
                    hint=f"Try again; if no other program is running, remove {self._lock}.",
                ) from error
            except (OSError, NotImplementedError):
                stack.close()  # no place for a lock file; the write is atomic in any case
            yield

    def _write(self, data: bytes) -> None:
        scratch = self._scratch(data)
        try:
            scratch.replace(self.path.resolve())
        except BaseException:
            scratch.unlink(missing_ok=True)
            raise

    def _scratch(self, data: bytes) -> Path:
        """Write the data beside the file: only within one file system a rename is atomic."""
        target = self.path.resolve()
        scratch = target.with_name(f".{target.name}.{os.urandom(8).hex()}")
        descriptor = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(descriptor, "wb") as stream:
                stream.write(data)
                stream.flush()
                os.fsync(stream.fileno())
        except BaseException:
            scratch.unlink(missing_ok=True)
            raise
        return scratch

    def _broken(self, why: str) -> StoreError:
        return BrokenStoreError(
            f"{self.path} is broken: {why}.",
            hint="Repair the file, or move it away; it was not changed.",
        )
