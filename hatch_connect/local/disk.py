"""What a state folder cannot take: a full disk, a folder that is read-only or gone."""

from __future__ import annotations

import errno
import os
import shutil
import sqlite3
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from hatch_connect.errors import ProjectError
from hatch_connect.events import Detail

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hatch_connect.events import Report

RESERVE = 16 << 20
"""Bytes of the disk that no upload takes, for what else the server writes."""
_FULL = {errno.ENOSPC, errno.EDQUOT}
_CLOSED = {errno.EROFS, errno.EACCES, errno.EPERM}
_LITTLE = 1 << 20  # bytes free; SQLite may call a full disk an input/output error
_NO_SPACE = "No space left on device"  # as the C library words it, and all that print its words


class DiskError(ProjectError):
    """The state folder cannot be written."""


def no_space(state: Path) -> DiskError:
    """Return the error for a full disk."""
    return DiskError(
        f"No space left in {state}.",
        hint="Free some: `hatch-connect local --prune` removes what no content needs any more.",
    )


def create_private(path: Path, text: str) -> None:
    """Write a new file that only its owner can read."""
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)


def is_full(state: Path) -> bool:
    """Return whether hardly anything can be written."""
    return shutil.disk_usage(state).free < _LITTLE


def tells_no_space(line: str) -> bool:
    """Return whether a line of a program's output says that the disk is full."""
    return _NO_SPACE in line


def disk_error(error: BaseException, state: Path) -> DiskError | None:
    """Return what an exception means for the state folder; None if it has another reason."""
    if not state.is_dir():
        gone = isinstance(error, OSError | sqlite3.OperationalError)
        hint = "Stop the local server and start it again."
        return DiskError(f"The state folder {state} was removed.", hint=hint) if gone else None
    if isinstance(error, sqlite3.OperationalError):
        return _of_database(error, state)
    if not isinstance(error, OSError):
        return None
    if error.errno in _FULL:
        return no_space(state)
    inside = isinstance(error.filename, str) and Path(error.filename).is_relative_to(state)
    if error.errno in _CLOSED and inside:
        return DiskError(f"{error.filename} cannot be written: {error.strerror}.")
    return None


def _of_database(error: sqlite3.OperationalError, state: Path) -> DiskError | None:
    name: str = getattr(error, "sqlite_errorname", "")
    failed = name.startswith("SQLITE_IOERR")
    if name == "SQLITE_FULL" or (failed and is_full(state)):
        return no_space(state)
    if failed or name.startswith(("SQLITE_READONLY", "SQLITE_CANTOPEN")):
        return DiskError(f"The state in {state} cannot be written: {error}.")
    return None


@contextmanager
def usable(state: Path) -> Iterator[None]:
    """Raise DiskError if the state folder cannot be made, or what is in it cannot be opened."""
    try:
        yield
    except (OSError, sqlite3.DatabaseError) as error:
        if getattr(error, "errno", None) in _FULL or (
            isinstance(error, sqlite3.OperationalError) and _of_database(error, state)
        ):
            raise no_space(state) from error
        reason = getattr(error, "strerror", None) or error
        raise DiskError(
            f"The state folder {state} cannot be used: {reason}.",
            hint="Set XDG_STATE_HOME to a folder that can be written.",
        ) from error


@contextmanager
def despite_full_disk(report: Report) -> Iterator[None]:
    """Go on if what has happened cannot be stored: that does not undo it."""
    try:
        yield
    except sqlite3.OperationalError as error:
        report(Detail(text=f"Not written to the state: {error}"))


@contextmanager
def writing(state: Path) -> Iterator[None]:
    """Raise DiskError instead of what fails because of the state folder."""
    try:
        yield
    except (OSError, sqlite3.Error) as error:
        if (told := disk_error(error, state)) is not None:
            raise told from error
        raise
