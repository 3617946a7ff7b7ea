"""Where an entrypoint is among the files of a bundle, and which files belong to it.

These are known by its framework's convention, and by what its sources import.
"""

from __future__ import annotations

import posixpath
import re
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote

from hatch_connect.bundle.archive import unreadable
from hatch_connect.bundle.guard import forbidden
from hatch_connect.errors import BundleError, ProjectError
from hatch_connect.project.content_kind import EntrypointKind
from hatch_connect.project.discovery import SAVED_MODELS, express_script, holds_model
from hatch_connect.project.sources import read_names, require_readable

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    from hatch_connect.bundle.build_protocol import BuildContext
    from hatch_connect.bundle.selector import LeftOut, SelectedFiles
    from hatch_connect.project.project import ProjectConfig

_SOURCES = (".py", ".ipynb", ".qmd", ".html", ".htm")
# Of a text that may be a path, and of a source that is searched for names.
_LONGEST = 200
_LARGEST = 1 << 22
_WILD = re.compile(r"[*?\[]")
# One segment of a path as sources write it: in quotes, between slashes, or in a link.
_QUOTED = re.compile(r"""(?<=["'/\\(=])[^"'/\\\n()<>]+(?=["'/\\)#?>])""")

_COMPILED = (".so", ".pyd")


def companions(config: ProjectConfig, entry: str) -> Iterator[str]:
    """Return the files and folders that the framework takes from beside the entrypoint's file.

    Streamlit also reads `.streamlit` in the working directory, which is the bundle's root.
    """
    folder, name = posixpath.split(entry)
    stem = name.rpartition(".")[0]
    mode = config.app_mode
    names = mode.companions if stem == "main" or not mode.main_has_folder else ()
    beside = (posixpath.join(folder, each.format(stem=stem)) for each in names)
    paths = (*beside, *mode.companions_at_top)
    yield from (path for path in dict.fromkeys(paths) if (config.root / path).exists())


def imported(
    context: BuildContext, starts: Iterable[str], have: Collection[str]
) -> tuple[str, ...]:
    """Return the project's files that sources import, followed through, as statements say it.

    What `have` holds (a wheel's packages) is not looked at again. A package is one whole. The pages
    of Streamlit's navigation, which are named by their paths, count as imported.
    """
    queue = list(starts)
    base = posixpath.dirname(queue[0]) if queue else ""
    tops = {path.partition("/")[0] for path in have}
    found: dict[str, None] = dict.fromkeys(queue)
    while queue:
        path = queue.pop()
        if not path.endswith(_SOURCES):
            continue
        new = [*_modules(context, path, base, tops)]
        queue += (each for each in new if each not in found)
        found |= dict.fromkeys(new)
    return tuple(found)


def imported_by_entry(context: BuildContext) -> tuple[str, ...]:
    """Return the project's files that the entrypoint and its packages import, with themselves."""
    config = context.config
    own = _own(config)
    above = (f"{folder}/__init__.py" for folder in with_folders(own))
    packages = (path for path in above if (config.root / path).is_file())
    return imported(context, (*own, *packages), ())


def _modules(context: BuildContext, path: str, base: str, tops: Collection[str]) -> Iterator[str]:
    config = context.config
    names = read_names(config.root / path)
    for level, module, members in names.imports:
        if level:
            above = path.split("/")[:-level]
            yield from _files_of(context, "/".join(above), module, members)
            continue
        top = module.partition(".")[0]
        for folder in dict.fromkeys((base, "")):
            if folder or not {top, f"{top}.py"} & set(tops):
                yield from _files_of(context, folder, module, members)
    if config.app_mode.names_pages:
        pages = (text for text in names.texts if text.endswith(".py"))
        yield from (p for text in pages for p in _places(config, text, base) if p not in tops)


def _files_of(
    context: BuildContext, folder: str, module: str, members: tuple[str, ...]
) -> Iterator[str]:
    """Return the files of a module; of a folder that is no package, those of its members."""
    root, at = context.config.root, folder
    for part in module.split(".") if module else ():
        at = posixpath.join(at, part)
        if (root / at / "__init__.py").is_file():
            yield from context.selector.files_below(at)
            return
        if (root / f"{at}.py").is_file():
            yield f"{at}.py"
            return
        if not (root / at).is_dir():
            return
    for member in members:
        yield from _files_of(context, at, member, ())


def _places(config: ProjectConfig, text: str, *folders: str) -> Iterator[str]:
    """Return what a text names in the project: beside its source, or at the root.

    Of a pattern it is the folder, of a database's URL (`sqlite:///x.db`) the file.
    """
    text = text.partition(":///")[2] if "://" in text else text
    if _WILD.search(text):
        text = posixpath.dirname(_WILD.split(text)[0])
    if not text or len(text) > _LONGEST or "\n" in text or "\0" in text:
        return
    for folder in dict.fromkeys((*folders, "")):
        path = posixpath.normpath(posixpath.join(folder, text.replace("\\", "/")))
        if path.startswith(("/", "..")) or path == ".":
            continue
        try:
            if (config.root / path).exists():
                yield path
        except (OSError, ValueError):
            continue


def kept_for_others(config: ProjectConfig) -> dict[str, str]:
    """Return what only other content of the project has: its folder or file, and its name.

    What holds this content's own entrypoint, or is the same, is not among it.
    """
    mine = _own(config)
    found: dict[str, str] = {}
    project = config.project
    for name in project.contents if project.content_tables else ():
        if name == config.content:
            continue
        try:
            other = project.content(name)
        except ProjectError:
            continue
        for path in _own(other):
            folder = posixpath.dirname(path)
            held = any(each == path or f"{each}/".startswith(f"{folder}/") for each in mine)
            own = path if not folder or other.folder == path or held else folder
            if not any(f"{each}/".startswith(f"{own}/") for each in mine):
                found[own] = other.content or other.content_name
    return found


def _own(config: ProjectConfig) -> tuple[str, ...]:
    """Return the folder of a piece of content, else the file that it begins with."""
    if config.folder:
        return (config.folder,)
    wanted = (config.rendered,) if config.rendered else entry_files(config)
    return tuple(path for path in wanted if (config.root / path).is_file())


def missing_files(
    config: ProjectConfig, selected: SelectedFiles, more: Collection[str]
) -> dict[str, str]:
    """Return what sources name and does not ship, each with one that names it.

    `more` are paths that ship besides. A secret is never advised; the project's `src` is no file
    of the bundle.
    """
    files = sorted(selected.files, key=lambda file: file.path)
    there = with_folders(
        chain((path for file in files for path in (file.path, file.origin) if path), more)
    )
    names = {part for item in selected.left_out for part in item.path.split("/") if part}
    found: dict[str, str] = {}
    for file in files:
        if not file.path.endswith(_SOURCES) or not _mentions(Path(file.source), names):
            continue
        folder = posixpath.dirname(file.path)
        folders = (posixpath.dirname(file.origin or file.path), folder, f"src/{folder}")
        for text in sorted(read_names(Path(file.source)).texts):
            places = tuple(_places(config, text, *folders))
            if not places or there & {*places, posixpath.normpath(posixpath.join(folder, text))}:
                continue
            if places[0] != "src" and not _never(config.root, places[0]):
                found.setdefault(places[0], file.path)
    return dict(sorted(found.items()))


def _mentions(source: Path, names: Collection[str]) -> bool:
    """Return whether a source may mention a name; parsing every source would take seconds."""
    try:
        if source.stat().st_size > _LARGEST:
            return False
        text = unquote(source.read_bytes().decode("utf-8", "replace"))
    except OSError:  # which is an error when it is packed
        return False
    return not {*_QUOTED.findall(text)}.isdisjoint(names)


def with_folders(paths: Iterable[str]) -> set[str]:
    """Return the paths and all folders above them."""
    found, folders = set(paths), set[str]()
    for path in found:
        folder = path.rpartition("/")[0]
        while folder and folder not in folders:
            folders.add(folder)
            folder = folder.rpartition("/")[0]
    found |= folders
    return found


def _never(root: Path, path: str) -> bool:
    at = root / path
    if path == "dist" and at.is_dir() and all(map(_is_output, at.iterdir())):
        return True
    return forbidden(f"{path}/x" if at.is_dir() else path, at) is not None


def _is_output(path: Path) -> bool:
    """Return whether the file is a build's output in `dist`, which another build replaces."""
    return path.name in {"connect", ".gitignore"} or path.name.endswith((".whl", ".tar.gz"))


def entry_files(config: ProjectConfig) -> tuple[str, ...]:
    """Return the paths of which one must be in the bundle; none if there is no entrypoint."""
    text = config.entrypoint
    if not text or config.app_mode.entrypoint is EntrypointKind.NONE:
        return ()
    if (script := express_script(text)) is not None:
        return (script,)
    as_file = config.app_mode.names_file or "/" in text
    if as_file or text.endswith(".py"):
        return (text.rstrip("/"),)
    module = text.partition(":")[0].replace(".", "/")
    return (f"{module}.py", f"{module}/__init__.py")


def has_entry(wanted: tuple[str, ...], paths: Collection[str]) -> bool:
    """Return whether there is one of the wanted files, compiled or not, or a folder."""
    if not wanted or any(path in paths for path in wanted):
        return True
    stem = wanted[0].removesuffix(".py")
    return any(
        path.startswith(f"{wanted[0]}/")
        or (path.startswith(f"{stem}.") and path.endswith(_COMPILED))
        for path in paths
    )


def shipped_under(config: ProjectConfig) -> str:
    """Return the folder, with its slash, that the content gets in the bundle; "" for none.

    Connect serves a SavedModel from a folder whose name is its version, never from the root.
    """
    is_model = config.app_mode.entrypoint is EntrypointKind.MODEL
    if not is_model or not holds_model(config.content_root):
        return ""
    version = config.folder.rpartition("/")[2]
    return f"{version}/" if version.isdecimal() else "1/"


def require_entry(config: ProjectConfig, selected: SelectedFiles) -> None:
    """Refuse a bundle that holds no file of the entrypoint, or one that cannot be read."""
    wanted = entry_files(config)
    sources = {file.path: file.source for file in selected.files}
    if sources and config.app_mode.entrypoint is EntrypointKind.MODEL:
        _require_model(config, sources, selected.left_out)
    if has_entry(wanted, sources):
        for path in wanted:
            if path in sources and path.endswith((".py", ".ipynb", ".qmd")):
                _require_readable(Path(sources[path]), path)
        return
    where = "the tree" if selected.tree else "the wheel and the tree"
    raise BundleError(
        f"The entrypoint `{config.entrypoint}` is not among the files that ship: "
        f"neither {' nor '.join(wanted)} was found in {where} of {config.root}."
        if len(wanted) > 1
        else f"The entrypoint `{config.entrypoint}` is not among the files that ship of {where} "
        f"of {config.root}.",
        hint=_hint(config, wanted, selected.left_out),
    )


def _require_readable(file: Path, path: str) -> None:
    try:
        require_readable(file, path)
    except OSError as error:
        raise unreadable(path, error) from error


def _require_model(
    config: ProjectConfig, paths: Collection[str], left_out: Iterable[LeftOut]
) -> None:
    depth = 0 if shipped_under(config) else 1
    tops = [path.split("/") for path in paths]
    if not any(t[-1] in SAVED_MODELS and len(t) == depth + 1 for t in tops):
        raise BundleError(
            f"No SavedModel of {config.content_root} is among the files that ship.",
            hint=_hint(config, SAVED_MODELS, left_out),
        )


def _hint(config: ProjectConfig, wanted: tuple[str, ...], left_out: Iterable[LeftOut]) -> str:
    for item in left_out:
        if any(_is_or_holds(item.path, path) for path in wanted):
            return (
                f"It was left out ({item.rule}); add it to `include` in [tool.hatch-connect] if"
                " it must ship."
            )
    if any((config.root / "src" / path).is_file() for path in wanted):
        top = wanted[0].partition("/")[0].removesuffix(".py")
        return (
            "It is in src/, but the build does not package it: for Hatchling, set packages ="
            f' ["src/{top}"] in [tool.hatch.build.targets.wheel].'
        )
    from hatch_connect.project.entrypoints import entrypoint_candidates

    candidates = ", ".join(entrypoint_candidates(config.root))
    found = f" Possible modules: {candidates}." if candidates else ""
    return f"Correct `entrypoint` in [tool.hatch-connect], or add the file to `include`.{found}"


def _is_or_holds(left_out: str, path: str) -> bool:
    if left_out.endswith("/"):
        return path.startswith(left_out)
    return f"/{left_out}".endswith(f"/{path}")
