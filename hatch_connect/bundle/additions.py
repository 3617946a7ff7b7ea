"""Files that ship beside what the build selects: `include`, and an entrypoint of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hatch_connect.bundle.content import Candidate, Patterns
from hatch_connect.bundle.entry import entry_files, has_entry
from hatch_connect.bundle.tree import Walk, generated
from hatch_connect.events import Warned

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from pathlib import Path

    from hatch_connect.bundle.content import LeftOut
    from hatch_connect.events import Report
    from hatch_connect.project.config import ProjectConfig


def included(config: ProjectConfig, have: Collection[str], report: Report) -> Iterator[Candidate]:
    """Give what `include` adds; a pattern without wildcards also adds what git ignores."""
    patterns = Patterns(config.include)
    if not patterns.lines:
        return
    matched = []
    for path in _files(config.root, patterns):
        if patterns.match(path):
            matched.append(path)
            if path not in have:
                yield Candidate(
                    path=path,
                    source=config.root / path,
                    origin=path,
                    asked=patterns.name_folder_of(path),
                    named=patterns.name(path),
                )
    for line in patterns.unused(matched):
        report(Warned(text=f"`include` in [tool.hatch-connect]: {line!r} matches no file."))


def _files(root: Path, patterns: Patterns) -> Iterator[str]:
    left_out: list[LeftOut] = []

    def skip(folder: str) -> str | None:
        return None if patterns.reach_into(folder) else generated(root, folder)

    for file in Walk(root=root, skip=skip, left_out=left_out).files():
        yield file.path


def files_of_folder(config: ProjectConfig) -> Iterator[Candidate]:
    """Give the files of the folder that becomes the bundle's root.

    Where no Python runs, it is often what another program made (a site, a model), and git ignores
    it: it was asked for, so git has no say.
    """
    left_out: list[LeftOut] = []
    root = config.content_root

    def skip(folder: str) -> str | None:
        return generated(config.root, f"{config.folder}/{folder}")

    for file in Walk(root=root, skip=skip, left_out=left_out).files():
        yield Candidate(
            path=file.path,
            source=root / file.path,
            origin=f"{config.folder}/{file.path}",
            asked=not config.app_mode.has_python,
        )


def entry_outside(config: ProjectConfig, have: Collection[str]) -> Iterator[Candidate]:
    """Give the entrypoint's file where the wheel does not hold it and the tree does.

    A module in a folder needs its neighbours: then the whole top folder ships.
    """
    wanted = entry_files(config)
    if has_entry(wanted, have):
        return
    for path in () if config.folder else wanted:
        if (config.root / path).is_file():
            top, below, _ = path.partition("/")
            module = below and path.endswith(".py")
            paths = _files_below(config.root, top) if module else iter((path,))
            for each in paths:
                yield Candidate(path=each, source=config.root / each, origin=each)
            return


def _files_below(root: Path, top: str) -> Iterator[str]:
    left_out: list[LeftOut] = []

    def skip(folder: str) -> str | None:
        outside = folder != top and not folder.startswith(f"{top}/")
        return "elsewhere" if outside else generated(root, folder)

    for file in Walk(root=root, skip=skip, left_out=left_out).files():
        if file.path.startswith(f"{top}/"):
            yield file.path
