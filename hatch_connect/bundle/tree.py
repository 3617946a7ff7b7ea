"""Walks a project's tree: sorted, through links that stay inside, never in a circle."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hatch_connect.bundle.content import LeftOut
from hatch_connect.bundle.names import shown
from hatch_connect.errors import BundleError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@dataclass(frozen=True, slots=True, kw_only=True)
class TreeFile:
    """A file of the tree; `in_package` where an `__init__.py` lies beside it."""

    path: str
    in_package: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Walk:
    """A walk from `root`; folders for which `skip` gives a rule are not entered.

    Links to folders are followed; one that leads out of the tree, like anything else that is
    neither a file nor a folder, comes out as a file, so that it can be left out by name before
    `regular_file` refuses it.
    """

    root: Path
    skip: Callable[[str], str | None]
    left_out: list[LeftOut]

    def files(self) -> Iterator[TreeFile]:
        """Give the files, sorted within each folder."""
        real = os.path.realpath(self.root)
        yield from self._below("", real, (real,))

    def _below(self, folder: str, real: str, above: tuple[str, ...]) -> Iterator[TreeFile]:
        try:
            with os.scandir(real) as entries:
                found = sorted(entries, key=lambda entry: entry.name)
        except OSError as error:
            raise BundleError(
                f"The folder {shown(folder or '.')} cannot be read: {error.strerror}.",
                hint="Make it readable, or leave it out with `exclude` in [tool.hatch-connect].",
            ) from error
        in_package = any(entry.name == "__init__.py" for entry in found)
        for entry in found:
            path = f"{folder}/{entry.name}" if folder else entry.name
            target = os.path.realpath(entry.path) if entry.is_symlink() else entry.path
            if not entry.is_dir() or not _is_within(target, above[0]):
                yield TreeFile(path=path, in_package=in_package)
            elif (rule := self.skip(path)) is not None:
                self.left_out.append(LeftOut(path=f"{path}/", rule=rule))
            elif target not in above:
                yield from self._below(path, target, (*above, target))


def regular_file(path: str, source: Path, root: Path, *, outside: bool = False) -> os.stat_result:
    """Refuse what is no file, or a link that leaves the tree unless it may be `outside`."""
    real = os.path.realpath(source)
    advice = "Replace it, or leave it out with `exclude` in [tool.hatch-connect]."
    if not outside and not _is_within(real, os.path.realpath(root)):
        raise BundleError(f"{shown(path)} is a link that leaves the project.", hint=advice)
    try:
        status = Path(real).stat()
    except OSError as error:
        raise BundleError(
            f"{shown(path)} cannot be read: {error.strerror or error}.", hint=advice
        ) from error
    if not stat.S_ISREG(status.st_mode):
        raise BundleError(
            f"{shown(path)} is not a file (a socket, a pipe or a device).", hint=advice
        )
    return status


def _is_within(path: str, root: str) -> bool:
    return path == root or path.startswith(root.rstrip(os.sep) + os.sep)
