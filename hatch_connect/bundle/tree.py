"""Walks a project's tree: sorted, through links that stay inside, never in a circle."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hatch_connect.bundle.content import LeftOut
from hatch_connect.bundle.names import CIRCLE, is_within, shown
from hatch_connect.errors import BundleError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class TreeFile:
    """A file of the tree; `in_package` where an `__init__.py` lies beside it."""

    path: str
    in_package: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Walk:
    """A walk from `root`; folders for which `skip` gives a rule are not entered.

    Links to folders are followed if they stay within `roots`, real paths of which the first is
    the project's. One that leads elsewhere, or in a circle through another root, like anything
    else that is neither a file nor a folder, comes out as a file, so that it can be left out by
    name before `regular_file` refuses it.
    """

    root: Path
    roots: tuple[str, ...]
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
            if entry.is_dir() and (rule := self.skip(path)) is not None:
                self.left_out.append(LeftOut(path=f"{path}/", rule=rule))
            elif not entry.is_dir() or not is_within(target, *self.roots):
                yield TreeFile(path=path, in_package=in_package)
            elif target not in above:
                yield from self._below(path, target, (*above, target))
            elif is_within(target, self.roots[0]) and is_within(real, self.roots[0]):
                self.left_out.append(LeftOut(path=f"{path}/", rule=CIRCLE))
            else:
                yield TreeFile(path=path, in_package=in_package)
