"""Which files a bundle holds: what the build selected, what goes with it, what is held back.

`include` and an entrypoint of its own ship beside what the build selects. A tree is walked sorted,
through links that stay inside, never in a circle.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from hatch_connect.bundle.archive import (
    BUNDLE_SUFFIXES,
    CIRCLE,
    DEFAULT_DIRECTORY,
    is_within,
    regular_file,
    shown,
)
from hatch_connect.bundle.companions import (
    companions,
    entry_files,
    has_entry,
    imported,
    missed,
    require_entry,
    shipped_under,
    with_folders,
)
from hatch_connect.bundle.guard import forbidden
from hatch_connect.bundle.manifest import MANIFEST_NAME
from hatch_connect.bundle.selector import (
    Candidate,
    ContentFile,
    LeftOut,
    Selection,
    in_order,
)
from hatch_connect.errors import BundleError, shortened
from hatch_connect.events import Warned
from hatch_connect.project.sources import require_readable
from hatch_connect.project.walk import BUILD_OUTPUTS, describes_project, no_content

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence

    from hatch_connect.bundle.build_protocol import BuildContext
    from hatch_connect.bundle.packages import Packages
    from hatch_connect.bundle.render import Inspection
    from hatch_connect.bundle.selector import Selector
    from hatch_connect.project.project import ProjectConfig

_NOT_SELECTED = "not selected by the build"
_SHOWN = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class SelectedFiles:
    """What the build selected: of its wheel, or of the tree.

    `version` is the project's as the build knows it, None if it has none. `origins` are the
    paths in the project of files that a wheel holds, as far as they are known.
    """

    files: tuple[Candidate, ...]
    left_out: tuple[LeftOut, ...] = ()
    version: str | None = None
    tree: bool = False
    origins: frozenset[str] = frozenset()

    def only(self, made: Path) -> SelectedFiles:
        """Return the same with one file that was made in place of all others."""
        file = Candidate(path=made.name, source=made, origin=None, named=True)
        return replace(self, files=(file,), left_out=(), tree=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class ShippingRules:
    """What decides which of the files ship.

    `others` is what other content of the project has for itself, but for what is `imported`.
    """

    context: BuildContext
    packages: Packages | None = None
    inspection: Inspection | None = None
    others: Mapping[str, str] = field(default_factory=dict)
    imported: Collection[str] = ()

    def against(self, file: Candidate) -> str | None:
        """Return the rule that holds a file back, or None."""
        if file.named:
            return None
        if self._is_output(file):
            return "an output of an earlier build"
        if self.inspection is not None and self.inspection.derived(file.path):
            return "rendered by Quarto, which the server does again"
        included = self.context.selector.include.match(file.origin or file.path)
        return None if included else self._against_neighbour(file)

    def _against_neighbour(self, file: Candidate) -> str | None:
        """Return the rule that keeps back a file which only lies beside the content, or None."""
        for path, name in self.others.items() if file.origin not in self.imported else ():
            if f"{file.origin}/".startswith(f"{path}/"):
                return f"the content `{name}` of this project"
        if self._is_document() and describes_project(file.path):
            listed = self.packages is not None and file.path in self.packages.paths
            return None if listed else "about the project, no part of a document"
        if self._is_quarto_document() and _is_document_at_top(file.path):
            own = self.context.config.entrypoint
            return None if file.path == own else f"another document than {own}"
        return None

    def _is_document(self) -> bool:
        mode = self.context.config.app_mode.name
        return mode in {"static", "jupyter-static"} or self._is_quarto_document()

    def _is_quarto_document(self) -> bool:
        # The manifest cannot name a Quarto document: the server renders the only one there is.
        config = self.context.config
        return config.app_mode.name.startswith("quarto") and bool(config.entrypoint)

    def _is_output(self, file: Candidate) -> bool:
        config, directory = self.context.config, self.context.directory
        if file.source.is_relative_to(config.root / DEFAULT_DIRECTORY):
            return True
        if not file.source.is_relative_to(directory):
            return False
        name = file.source.name
        ours = name.startswith(config.content_name) and name.endswith(BUNDLE_SUFFIXES)
        return directory != config.root or ours


@dataclass(frozen=True, slots=True, kw_only=True)
class TreeFile:
    """A file of the tree; `in_package` if an `__init__.py` lies beside it."""

    path: str
    in_package: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class TreeWalk:
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
        """Return the files, sorted within each folder."""
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


def _is_document_at_top(path: str) -> bool:
    """Return whether Quarto renders it: files named `_*` are for others to include."""
    return "/" not in path and path.endswith(".qmd") and not path.startswith("_")


def select(
    material: SelectedFiles,
    added: tuple[list[Candidate], list[LeftOut]],
    rules: ShippingRules,
) -> Selection:
    """Return the files of the bundle, all but the manifest.

    `added` is what ships, and does not, beside the material.
    """
    context, packages = rules.context, rules.packages
    config = context.config
    beside, kept_back = added
    files = {file.path: file for file in (*beside, *material.files)}
    files.pop(MANIFEST_NAME, None)
    # What one rule left out and `include` brought back is not left out.
    left_out = [i for i in (*material.left_out, *kept_back) if i.path not in files]
    for path, file in tuple(files.items()):
        if (rule := rules.against(file)) is not None:
            left_out.append(LeftOut(path=path, rule=rule))
            del files[path]
    require_entry(config, files.keys(), left_out, tree=material.tree)
    for path in entry_files(config):
        if path in files and path.endswith((".py", ".ipynb", ".qmd")):
            require_readable(files[path].source, path)
    verbatim = packages is not None and packages.lock.verbatim is not None
    accounted = {*material.origins, *(packages.paths if packages and verbatim else ())}
    left_out = _complete(context.selector, files.values(), left_out, accounted)
    for path in _modules_with_keys(left_out):
        context.report(Warned(text=_told_of_key(path)))
    if names := missed(config, files.values(), left_out, packages.paths if packages else ()):
        context.report(Warned(text=_told(config, names)))
    under = shipped_under(config)
    shipped = [
        ContentFile(
            path=under + file.path,
            source=file.source,
            size=file.source.stat().st_size,
            executable=bool(file.executable),
        )
        for file in files.values()
        if not packages or file.path not in packages.paths
    ]
    if not shipped:
        raise BundleError(
            f"Nothing of {config.root} would ship.",
            hint="Name files in `include` of [tool.hatch-connect].",
        )
    if packages:
        shipped += packages.files()
        if packages.path in files and packages.lock.verbatim is None:
            rule = f"the package list comes from {_lock_name(packages)}"
            left_out.append(LeftOut(path=packages.path, rule=rule))
    return Selection(files=in_order(shipped), left_out=_sorted(left_out))


def _modules_with_keys(left_out: Iterable[LeftOut]) -> Iterator[str]:
    for item in left_out:
        if item.rule == "guard: a private key" and item.path.endswith(".py"):
            yield item.path


def _told_of_key(path: str) -> str:
    return (
        f"{shown(path)} holds a private key and does not ship. Read the key from a variable"
        f' (`env`), or name the file: `include = ["/{path}"]` in [tool.hatch-connect].'
    )


def _complete(
    selector: Selector,
    shipped: Collection[Candidate],
    left_out: Sequence[LeftOut],
    accounted: Collection[str],
) -> list[LeftOut]:
    """Add the rest of the project; of a folder that ships in part, the files that do not."""
    holding = with_folders({file.origin or file.path for file in shipped})
    opened = [i for i in left_out if i.path.endswith("/") and i.path[:-1] in holding]
    whole = [item for item in left_out if item not in opened]
    for item in _rest(selector, shipped, whole, accounted):
        rule = next((o.rule for o in opened if item.path.startswith(o.path)), item.rule)
        whole.append(replace(item, rule=rule))
    return whole


def _rest(
    selector: Selector,
    shipped: Collection[Candidate],
    left_out: Iterable[LeftOut],
    accounted: Collection[str],
) -> Iterator[LeftOut]:
    """Return the files of the project that nothing selected, so that each one is listed.

    A file of a wheel with no known origin is matched to the project's file whose path ends alike.
    """
    known = {*accounted, *(item.path for item in left_out)}
    known |= {file.origin or file.path for file in shipped}
    holding = with_folders(known)
    unknown = {file.path for file in shipped if file.origin is None}
    for folder, folders, names in os.walk(selector.root):
        at = Path(folder).relative_to(selector.root).as_posix()
        prefix = "" if at == "." else f"{at}/"
        links = [name for name in folders if (Path(folder) / name).is_symlink()]
        for path in (prefix + name for name in (*names, *links)):
            parts = path.split("/")
            if path not in holding and not any(
                "/".join(parts[n:]) in unknown for n in range(len(parts))
            ):
                found = forbidden(path)
                rule = f"guard: {found.rule}" if found and found.secret else _NOT_SELECTED
                yield LeftOut(path=path, rule=rule)
        folders[:] = [name for name in folders if f"{prefix}{name}/" not in known]
        for name in set(folders) - {path.removeprefix(prefix) for path in holding}:
            here = Path(folder) / name
            no = no_content(here, at_top=not prefix)
            if why := no.rule if no else selector.repository.ignored(str(here), folder=True):
                folders.remove(name)
                yield LeftOut(path=f"{prefix}{name}/", rule=why)


def additions(
    context: BuildContext, material: SelectedFiles, resources: Sequence[str] = ()
) -> tuple[list[Candidate], list[LeftOut]]:
    """Return what `include` and the entrypoint add, and what of it does not ship."""
    config, selector = context.config, context.selector
    for folder in config.follow_links:
        if not (config.root / folder).exists():
            context.report(
                Warned(text=f"`follow-links` in [tool.hatch-connect]: {folder!r} is not there.")
            )
    have = {file.path for file in material.files}
    proposed = list(_included(context, have))
    if config.folder and not material.tree:
        proposed += files_of_folder(context)
    if not material.tree:
        have |= {file.path for file in proposed}
        proposed += _entry_outside(context, have, resources)
    added, left_out = selector.choose(proposed)
    for file in added:
        regular_file(file.path, file.source, selector.roots)
    return added, left_out


def _told(config: ProjectConfig, names: Mapping[str, str]) -> str:
    """Return a message that names the missing files, and the line that adds them."""
    some = shortened([f"{path} (in {by})" for path, by in names.items()], _SHOWN)
    lines = [*config.include, *(path if "/" in path else f"/{path}" for path in names)]
    return (
        f"Named in files that ship, but not shipping: {some}. If the content reads them,"
        f" write into [tool.hatch-connect]: include = {json.dumps(lines, ensure_ascii=False)}"
    )


def _lock_name(packages: Packages) -> str:
    return packages.lock.path.name if packages.lock.path else "the installed packages"


def _sorted(left_out: Sequence[LeftOut]) -> tuple[LeftOut, ...]:
    return tuple(sorted({item.path: item for item in left_out}.values(), key=lambda i: i.path))


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
                source=config.root / path,
                origin=path,
                asked=True,
                named=patterns.name(path),
            )
    for line in patterns.unused(seen):
        context.report(Warned(text=f"`include` in [tool.hatch-connect]: {line!r} matches no file."))


def _files(root: Path, selector: Selector) -> Iterator[str]:
    left_out: list[LeftOut] = []

    def skip(folder: str) -> str | None:
        """Skip folders that programs fill, unless a pattern names them: `*.js` means our own."""
        if selector.include.reach_into(folder):
            return None
        found = no_content(root / folder, at_top="/" not in folder)
        return found.rule if found and found.rule != BUILD_OUTPUTS else None

    walk = TreeWalk(root=root, roots=selector.roots, skip=skip, left_out=left_out)
    for file in walk.files():
        yield file.path


def files_of_folder(context: BuildContext) -> Iterator[Candidate]:
    """Return the files of the folder that becomes the bundle's root.

    Where no Python runs, it is often what another program made (a site, a model), and git ignores
    it: it was asked for, so git has no say.
    """
    config, selector = context.config, context.selector
    left_out: list[LeftOut] = []
    root = config.content_root
    asked = not config.app_mode.has_python

    def skip(folder: str) -> str | None:
        path = f"{config.folder}/{folder}"
        rule = selector.against_folder(path, root / folder, ignored=not asked)
        if rule is None:
            selector.require_checked_out(path)
        return rule

    walk = TreeWalk(root=root, roots=selector.roots, skip=skip, left_out=left_out)
    for file in walk.files():
        yield Candidate(
            path=file.path,
            source=root / file.path,
            origin=f"{config.folder}/{file.path}",
            asked=asked,
        )


def _entry_outside(
    context: BuildContext, have: Collection[str], resources: Iterable[str]
) -> Iterator[Candidate]:
    """Return the entrypoint's file if the wheel does not hold it and the tree does.

    With it ship its framework's companions, the modules that it imports, and `resources`. A module
    in a folder needs its neighbours: then the whole top folder ships.
    """
    config = context.config
    wanted = () if config.folder else entry_files(config)
    inside = has_entry(wanted, have)
    files = [path for path in wanted if inside or (config.root / path).is_file()]
    below = partial(files_below, context)
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


def files_below(context: BuildContext, top: str) -> Iterator[str]:
    """Return the files of a folder of the project, by their paths from its root."""
    root, selector = context.config.root, context.selector
    left_out: list[LeftOut] = []

    def skip(folder: str) -> str | None:
        related = f"{folder}/".startswith(f"{top}/") or top.startswith(f"{folder}/")
        rule = selector.against_folder(folder, root / folder) if related else "elsewhere"
        if rule is None:
            selector.require_checked_out(folder)
        return rule

    walk = TreeWalk(root=root, roots=selector.roots, skip=skip, left_out=left_out)
    for file in walk.files():
        if file.path.startswith(f"{top}/"):
            yield file.path
