"""Files that ship beside what the build selects: `include`, and an entrypoint of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hatch_connect.bundle.content import Candidate, Patterns
from hatch_connect.bundle.entry import entry_files, has_entry
from hatch_connect.bundle.tree import Walk
from hatch_connect.events import Warned
from hatch_connect.project.walk import BUILD_OUTPUTS, no_content

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from pathlib import Path

    from hatch_connect.bundle.content import LeftOut, Selector
    from hatch_connect.events import Report
    from hatch_connect.project.config import ProjectConfig


def included(
    config: ProjectConfig, selector: Selector, have: Collection[str], report: Report
) -> Iterator[Candidate]:
    """Give what `include` adds, also what git ignores and what is left out by default."""
    patterns = Patterns(config.include)
    if not patterns.lines:
        return
    for submodule in selector.repository.missing:
        if patterns.match(f"{submodule}/any"):
            selector.require_checked_out(submodule)
    seen = list(_files(config.root, patterns))
    for path in seen:
        if patterns.match(path) and path not in have:
            yield Candidate(
                path=path,
                source=config.root / path,
                origin=path,
                asked=True,
                named=patterns.name(path),
            )
    for line in patterns.unused(seen):
        report(Warned(text=f"`include` in [tool.hatch-connect]: {line!r} matches no file."))


def _files(root: Path, patterns: Patterns) -> Iterator[str]:
    left_out: list[LeftOut] = []

    def skip(folder: str) -> str | None:
        """Pass over what programs fill unless a pattern names it: `*.js` means no package's."""
        if patterns.reach_into(folder):
            return None
        found = no_content(root / folder, at_top="/" not in folder)
        return found.rule if found and found.rule != BUILD_OUTPUTS else None

    for file in Walk(root=root, skip=skip, left_out=left_out).files():
        yield file.path


def files_of_folder(config: ProjectConfig, selector: Selector) -> Iterator[Candidate]:
    """Give the files of the folder that becomes the bundle's root.

    Where no Python runs, it is often what another program made (a site, a model), and git ignores
    it: it was asked for, so git has no say.
    """
    left_out: list[LeftOut] = []
    root = config.content_root
    asked = not config.app_mode.has_python

    def skip(folder: str) -> str | None:
        path = f"{config.folder}/{folder}"
        rule = selector.against_folder(path, root / folder, ignored=not asked)
        if rule is None:
            selector.require_checked_out(path)
        return rule

    for file in Walk(root=root, skip=skip, left_out=left_out).files():
        yield Candidate(
            path=file.path,
            source=root / file.path,
            origin=f"{config.folder}/{file.path}",
            asked=asked,
        )


def entry_outside(
    config: ProjectConfig, selector: Selector, have: Collection[str]
) -> Iterator[Candidate]:
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
            paths = _files_below(config.root, top, selector) if module else iter((path,))
            for each in paths:
                yield Candidate(path=each, source=config.root / each, origin=each)
            return


def _files_below(root: Path, top: str, selector: Selector) -> Iterator[str]:
    left_out: list[LeftOut] = []

    def skip(folder: str) -> str | None:
        outside = folder != top and not folder.startswith(f"{top}/")
        rule = "elsewhere" if outside else selector.against_folder(folder, root / folder)
        if rule is None:
            selector.require_checked_out(folder)
        return rule

    for file in Walk(root=root, skip=skip, left_out=left_out).files():
        if file.path.startswith(f"{top}/"):
            yield file.path
