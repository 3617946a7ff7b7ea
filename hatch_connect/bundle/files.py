"""The files of a whole bundle: what was selected, what goes with it, and the rest with its rule.

`include` and an entrypoint of its own ship beside what the build selects. Held back is what depends
on the content or on its other files: outputs, what is of other content, files about the project.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from hatch_connect.bundle.archive import (
    BUNDLE_SUFFIXES,
    DEFAULT_DIRECTORY,
    ContentFile,
    is_within,
    shown,
    unreadable,
)
from hatch_connect.bundle.companions import (
    companions,
    entry_files,
    has_entry,
    imported,
    imported_by_entry,
    kept_for_others,
    missing_files,
    require_entry,
    shipped_under,
    with_folders,
)
from hatch_connect.bundle.guard import forbidden
from hatch_connect.bundle.manifest import MANIFEST_NAME
from hatch_connect.bundle.selector import (
    Candidate,
    LeftOut,
    SelectedFiles,
)
from hatch_connect.errors import BundleError, shortened
from hatch_connect.events import Warned
from hatch_connect.locks import is_lock
from hatch_connect.project.walk import BUILD_OUTPUTS, describes_project, no_content

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

    from hatch_connect.bundle.build_protocol import BuildContext
    from hatch_connect.bundle.packages import Packages
    from hatch_connect.bundle.render import Inspection
    from hatch_connect.bundle.selector import Selector
    from hatch_connect.project.project import ProjectConfig

_NOT_PROPOSED = "not selected by the build"
_SHOWN = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class _Rules:
    """What decides which of the files ship.

    `others` is what other content of the project has for itself, but for what is `imported`;
    `outputs` is where bundles go, `directory` where this one does.
    """

    context: BuildContext
    packages: Packages | None
    inspection: Inspection | None
    others: Mapping[str, str]
    imported: Collection[str]
    outputs: str
    directory: str
    is_document: bool
    is_quarto_document: bool

    def against(self, file: Candidate) -> str | None:
        """Return the rule that holds a file back, or None."""
        if file.even_secret:
            return None
        if self._is_output(file):
            return "an output of an earlier build"
        if self.inspection is not None and self.inspection.derived(file.path):
            return "rendered by Quarto, which the server does again"
        included = self.context.selector.include.match(file.origin or file.path)
        return None if included else self._against_what_lies_beside(file)

    def _against_what_lies_beside(self, file: Candidate) -> str | None:
        """Return the rule that keeps back a file which only lies beside the content, or None."""
        for path, name in self.others.items() if file.origin not in self.imported else ():
            if f"{file.origin}/".startswith(f"{path}/"):
                return f"the content `{name}` of this project"
        if self.is_document and (describes_project(file.path) or is_lock(file.path)):
            listed = self.packages is not None and file.path in self.packages.paths
            return None if listed else "about the project, not part of a document"
        if self.is_quarto_document and _is_document_at_top(file.path):
            own = self.context.config.entrypoint
            return None if file.path == own else f"a document other than {own}"
        return None

    def _is_output(self, file: Candidate) -> bool:
        source = os.path.normcase(file.source)
        if is_within(source, self.outputs):
            return True
        if not is_within(source, self.directory):
            return False
        config, directory = self.context.config, self.context.directory
        name = os.path.basename(file.source)
        ours = name.startswith(config.content_name) and name.endswith(BUNDLE_SUFFIXES)
        # A folder around the project, or around the temporary one of the wheel, is not for bundles.
        own = directory != config.root and directory.is_relative_to(config.root)
        return own or ours


def _is_document_at_top(path: str) -> bool:
    """Return whether Quarto renders it: files named `_*` are for others to include."""
    return "/" not in path and path.endswith(".qmd") and not path.startswith("_")


def select(
    context: BuildContext,
    selected: SelectedFiles,
    packages: Packages | None,
    inspection: Inspection | None,
) -> SelectedFiles:
    """Return the files of the project that ship; all others are left out, each by its rule."""
    config = context.config
    files = tuple(file for file in selected.files if file.path != MANIFEST_NAME)
    paths = {file.path for file in files}
    # What one rule left out and `include` brought back is not left out.
    left_out = tuple(item for item in selected.left_out if item.path not in paths)
    rules = _rules(context, packages, inspection)
    selected = replace(selected, files=files, left_out=left_out).without(rules.against)
    require_entry(config, selected)
    listed = packages.paths if packages else frozenset[str]()
    verbatim = packages is not None and packages.lock.verbatim is not None
    selected = _complete(context.selector, selected, listed if verbatim else ())
    for text in _warnings(config, selected, listed):
        context.report(Warned(text=text))
    if packages and not verbatim:
        rule = f"the package list comes from {packages.lock.called}"
        selected = selected.without(lambda file: rule if file.path == packages.path else None)
    files = tuple(file for file in selected.files if file.path not in listed)
    if not files:
        raise BundleError(
            f"No files of {config.root} would ship.",
            hint="Add files to `include` in [tool.hatch-connect].",
        )
    by_path = {item.path: item for item in selected.left_out}
    return replace(selected, files=files, left_out=tuple(by_path[path] for path in sorted(by_path)))


def _rules(
    context: BuildContext, packages: Packages | None, inspection: Inspection | None
) -> _Rules:
    others, mode = kept_for_others(context.config), context.config.app_mode
    # The manifest cannot name a Quarto document: the server renders the only one there is.
    is_quarto_document = mode.is_quarto and bool(context.config.entrypoint)
    return _Rules(
        context=context,
        packages=packages,
        inspection=inspection,
        others=others,
        imported=frozenset(imported_by_entry(context) if others else ()),
        outputs=os.path.normcase(context.config.root / DEFAULT_DIRECTORY),
        directory=os.path.normcase(context.directory),
        is_document=mode.is_html or mode.is_notebook or is_quarto_document,
        is_quarto_document=is_quarto_document,
    )


def content_files(
    config: ProjectConfig, selected: SelectedFiles, packages: Packages | None
) -> tuple[ContentFile, ...]:
    """Return the files of the bundle, all but the manifest, in the same order on any machine."""
    under = shipped_under(config)
    shipped = [
        ContentFile(
            path=under + file.path,
            source=file.source if file.content is None else file.content,
            size=_size(file),
            executable=bool(file.executable),
        )
        for file in selected.files
    ]
    listed = packages.files() if packages else ()
    return tuple(
        sorted((*shipped, *listed), key=lambda file: file.path.encode("utf-8", "surrogateescape"))
    )


def _size(file: Candidate) -> int:
    if file.size is not None:
        return file.size
    try:
        return os.stat(file.source).st_size
    except OSError as error:
        raise unreadable(file.path, error) from error


def _warnings(
    config: ProjectConfig, selected: SelectedFiles, listed: Collection[str]
) -> Iterator[str]:
    for path in (item.path for item in selected.left_out if item.rule == "guard: a private key"):
        if path.endswith(".py"):
            yield (
                f"{shown(path)} contains a private key and does not ship. Read the key from a"
                f' variable (`env`), or include the file: `include = ["/{path}"]` in'
                " [tool.hatch-connect]."
            )
    if names := missing_files(config, selected, listed):
        yield _warning_of_missing(config, names)


def _complete(
    selector: Selector, selected: SelectedFiles, accounted: Collection[str]
) -> SelectedFiles:
    """Leave out the rest of the project; of a folder that ships in part, the files that do not."""
    holding = with_folders(file.origin or file.path for file in selected.files)
    opened = [i for i in selected.left_out if i.path.endswith("/") and i.path[:-1] in holding]
    whole = [item for item in selected.left_out if item not in opened]
    for item in _rest(selector, replace(selected, left_out=tuple(whole)), accounted):
        rule = next((o.rule for o in opened if item.path.startswith(o.path)), item.rule)
        whole.append(replace(item, rule=rule))
    return replace(selected, left_out=tuple(whole))


def _rest(
    selector: Selector, selected: SelectedFiles, accounted: Collection[str]
) -> Iterator[LeftOut]:
    """Return the files of the project that nothing selected, so that each one is listed.

    A file of a wheel with no known origin is matched to the project's file whose path ends alike.
    """
    shipped = (file.origin or file.path for file in selected.files)
    left_out = (item.path for item in selected.left_out)
    holding = with_folders(chain(accounted, selected.origins, left_out, shipped))
    unknown = {file.path for file in selected.files if file.origin is None}
    for folder, folders, names in os.walk(selector.root):
        at = Path(folder).relative_to(selector.root).as_posix()
        prefix = "" if at == "." else f"{at}/"
        # A link to a folder is not walked into, so it is listed by its own name.
        links = [name for name in folders if (Path(folder) / name).is_symlink()]
        for path in (prefix + name for name in (*names, *links)):
            if path in holding:
                continue
            parts = path.split("/")
            if not any("/".join(parts[n:]) in unknown for n in range(len(parts))):
                found = forbidden(path)
                rule = f"guard: {found.rule}" if found and found.secret else _NOT_PROPOSED
                yield LeftOut(path=path, rule=rule)
        folders[:] = [name for name in folders if f"{prefix}{name}/" not in holding]
        for name in [name for name in folders if f"{prefix}{name}" not in holding]:
            here = Path(folder) / name
            no = no_content(here, at_top=not prefix)
            if why := no.rule if no else selector.repository.ignored(str(here), folder=True):
                folders.remove(name)
                yield LeftOut(path=f"{prefix}{name}/", rule=why)


def with_additions(
    context: BuildContext, selected: SelectedFiles, resources: Sequence[str]
) -> SelectedFiles:
    """Add what `include` names and what goes with the entrypoint."""
    config, selector = context.config, context.selector
    for folder in config.follow_links:
        if not (config.root / folder).exists():
            context.report(
                Warned(text=f"`follow-links` in [tool.hatch-connect]: {folder!r} does not exist.")
            )
    have = {file.path for file in selected.files}
    proposed = list(_included(context, have))
    if config.folder and not selected.tree:
        proposed += files_of_folder(context)
    if not selected.tree:
        have |= {file.path for file in proposed}
        proposed += _entry_outside(context, have, resources)
    added = selector.choose(proposed)
    for file in added.files:
        selector.require_regular(file, outside=False)
    return selected.add(added.files, added.left_out)


def _warning_of_missing(config: ProjectConfig, names: Mapping[str, str]) -> str:
    """Return a message that names the missing files, and the line that adds them."""
    some = shortened([f"{path} (in {by})" for path, by in names.items()], _SHOWN)
    lines = [*config.include, *(path if "/" in path else f"/{path}" for path in names)]
    return (
        f"These files are named in files that ship, but do not ship themselves: {some}. If the"
        " content reads them, set in [tool.hatch-connect]: include ="
        f" {json.dumps(lines, ensure_ascii=False)}"
    )


def _included(context: BuildContext, have: Collection[str]) -> Iterator[Candidate]:
    """Return what `include` adds, also what git ignores and what is left out by default."""
    config, selector = context.config, context.selector
    patterns = selector.include
    if not patterns.lines:
        return
    for submodule in selector.repository.missing:
        if patterns.match(f"{submodule}/any"):
            selector.require_checked_out(submodule)
    seen = list(_files(config.root, selector))
    for path in seen:
        left = (config.root / path).is_dir()  # by a link that is refused later
        inside = path.removeprefix(f"{config.folder}/") if config.folder else path
        if inside not in have and patterns.match(f"{path}/any" if left else path):
            yield Candidate(
                path=inside,
                source=str(config.root / path),
                origin=path,
                even_ignored=True,
                even_secret=patterns.name(path),
            )
    for line in patterns.unused(seen):
        context.report(
            Warned(text=f"`include` in [tool.hatch-connect]: {line!r} does not match any file.")
        )


def _files(root: Path, selector: Selector) -> Iterator[str]:

    def skip(folder: str) -> str | None:
        """Skip folders that programs fill, unless a pattern names them: `*.js` means our own."""
        if selector.include.reach_into(folder):
            return None
        found = no_content(root / folder, at_top="/" not in folder)
        return found.rule if found and found.rule != BUILD_OUTPUTS else None

    return (file.path for file in selector.walk(root, skip) if isinstance(file, Candidate))


def files_of_folder(context: BuildContext) -> Iterator[Candidate]:
    """Return the files of the folder that becomes the bundle's root.

    Where no Python runs, it is often what another program made (a site, a model), and git ignores
    it: it was asked for, so git has no say.
    """
    config, selector = context.config, context.selector
    root = config.content_root
    even_ignored = not config.app_mode.has_python

    def skip(folder: str) -> str | None:
        return selector.enter(f"{config.folder}/{folder}", root / folder, even_ignored=even_ignored)

    for file in selector.walk(root, skip):
        if isinstance(file, Candidate):
            yield replace(file, origin=f"{config.folder}/{file.path}", even_ignored=even_ignored)


def _entry_outside(
    context: BuildContext, have: Collection[str], resources: Iterable[str]
) -> Iterator[Candidate]:
    """Return the entrypoint's file if the wheel does not hold it and the tree does.

    With it ship its framework's companions, the modules that it imports, and `resources`. A module
    in a folder needs its neighbours: then the whole top folder ships.
    """
    config, below = context.config, context.selector.files_below
    wanted = () if config.folder else entry_files(config)
    inside = has_entry(wanted, have)
    files = [path for path in wanted if inside or (config.root / path).is_file()]
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
            paths |= dict.fromkeys(imported(context, paths, have))
    for path in paths:
        if path not in have:
            yield Candidate(path=path, source=str(config.root / path), origin=path)
