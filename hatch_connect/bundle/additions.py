"""Files that ship beside what the build selects: `include`, and an entrypoint of its own."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from hatch_connect.bundle.beside import companions, imported
from hatch_connect.bundle.content import Candidate, Patterns
from hatch_connect.bundle.entry import entry_files, has_entry
from hatch_connect.bundle.tree import Walk
from hatch_connect.events import Warned
from hatch_connect.project.walk import BUILD_OUTPUTS, no_content

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator
    from pathlib import Path

    from hatch_connect.bundle.content import LeftOut, Selector
    from hatch_connect.events import Report
    from hatch_connect.project.project import ProjectConfig


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
    seen = list(_files(config.root, selector, patterns))
    for path in seen:
        left = (config.root / path).is_dir()  # by a link that is refused later
        inside = path.removeprefix(f"{config.folder}/") if config.folder else path
        if inside not in have and patterns.match(f"{path}/any" if left else path):
            yield Candidate(
                path=inside,
                source=config.root / path,
                origin=path,
                asked=True,
                named=patterns.name(path),
            )
    for line in patterns.unused(seen):
        report(Warned(text=f"`include` in [tool.hatch-connect]: {line!r} matches no file."))


def _files(root: Path, selector: Selector, patterns: Patterns) -> Iterator[str]:
    left_out: list[LeftOut] = []

    def skip(folder: str) -> str | None:
        """Pass over what programs fill unless a pattern names it: `*.js` means no package's."""
        if patterns.reach_into(folder):
            return None
        found = no_content(root / folder, at_top="/" not in folder)
        return found.rule if found and found.rule != BUILD_OUTPUTS else None

    walk = Walk(root=root, roots=selector.roots, skip=skip, left_out=left_out)
    for file in walk.files():
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

    walk = Walk(root=root, roots=selector.roots, skip=skip, left_out=left_out)
    for file in walk.files():
        yield Candidate(
            path=file.path,
            source=root / file.path,
            origin=f"{config.folder}/{file.path}",
            asked=asked,
        )


def entry_outside(
    config: ProjectConfig,
    selector: Selector,
    have: Collection[str],
    resources: Iterable[str] = (),
) -> Iterator[Candidate]:
    """Give the entrypoint's file if the wheel does not hold it and the tree does.

    With it ship its framework's companions, the modules that it imports, and `resources`. A module
    in a folder needs its neighbours: then the whole top folder ships.
    """
    wanted = () if config.folder else entry_files(config)
    inside = has_entry(wanted, have)
    files = [path for path in wanted if inside or (config.root / path).is_file()]
    below = partial(files_below, config.root, selector)
    paths: dict[str, None] = {}
    for path in files[:1]:
        if not inside:
            top, deeper, _ = path.partition("/")
            paths[path] = None
            paths |= dict.fromkeys(below(top) if deeper and path.endswith(".py") else ())
        for companion in (*companions(config, path), *resources):
            folder = (config.root / companion).is_dir()
            paths |= dict.fromkeys(below(companion) if folder else (companion,))
        if not inside:
            paths |= dict.fromkeys(imported(config, paths, have, below))
    for path in paths:
        if path not in have:
            yield Candidate(path=path, source=config.root / path, origin=path)


def files_below(root: Path, selector: Selector, top: str) -> Iterator[str]:
    """Give the files of a folder of the project, by their paths from its root."""
    left_out: list[LeftOut] = []

    def skip(folder: str) -> str | None:
        related = f"{folder}/".startswith(f"{top}/") or top.startswith(f"{folder}/")
        rule = selector.against_folder(folder, root / folder) if related else "elsewhere"
        if rule is None:
            selector.require_checked_out(folder)
        return rule

    walk = Walk(root=root, roots=selector.roots, skip=skip, left_out=left_out)
    for file in walk.files():
        if file.path.startswith(f"{top}/"):
            yield file.path
