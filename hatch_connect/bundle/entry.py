"""Where an entrypoint is, among the files of a bundle."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from hatch_connect.errors import BundleError
from hatch_connect.project.content_kind import EntrypointKind
from hatch_connect.project.entrypoints import SAVED_MODELS, holds_model

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from hatch_connect.bundle.content import LeftOut
    from hatch_connect.project.project import ProjectConfig

# Shiny Express: the object is the script's name, what is no letter or digit as _<hex>_.
_EXPRESS = "shiny.express.app:"
_COMPILED = (".so", ".pyd")


def entry_files(config: ProjectConfig) -> tuple[str, ...]:
    """Give the paths of which one must be in the bundle; none where there is no entrypoint."""
    text = config.entrypoint
    if not text or config.app_mode.entrypoint is EntrypointKind.NONE:
        return ()
    if text.startswith(_EXPRESS):
        name = text.removeprefix(_EXPRESS)
        return (re.sub(r"_([0-9a-f]+)_", lambda match: chr(int(match[1], 16)), name),)
    as_file = config.app_mode.entrypoint is EntrypointKind.FILE or "/" in text
    if as_file or text.endswith(".py"):
        return (text.rstrip("/"),)
    module = text.partition(":")[0].replace(".", "/")
    return (f"{module}.py", f"{module}/__init__.py")


def has_entry(wanted: tuple[str, ...], paths: Collection[str]) -> bool:
    """Tell whether one of the wanted files, or a compiled form, or a folder is there."""
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
    is_model = config.app_mode.entrypoint is EntrypointKind.FOLDER
    if not is_model or not holds_model(config.content_root):
        return ""
    version = config.folder.rpartition("/")[2]
    return f"{version}/" if version.isdecimal() else "1/"


def require_entry(
    config: ProjectConfig, paths: Collection[str], left_out: Iterable[LeftOut], *, tree: bool
) -> None:
    """Refuse a bundle that holds no file of the entrypoint (BundleError)."""
    wanted = entry_files(config)
    if paths and config.app_mode.entrypoint is EntrypointKind.FOLDER:
        _require_model(config, paths, left_out)
    if has_entry(wanted, paths):
        return
    where = "the tree" if tree else "the wheel and the tree"
    raise BundleError(
        f"The entrypoint `{config.entrypoint}` is not among the files that ship: "
        f"neither {' nor '.join(wanted)} was found in {where} of {config.root}."
        if len(wanted) > 1
        else f"The entrypoint `{config.entrypoint}` is not among the files that ship of {where} "
        f"of {config.root}.",
        hint=_hint(config, wanted, left_out),
    )


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
                f"It was left out ({item.rule}); name it in `include` of [tool.hatch-connect] "
                "if it must ship."
            )
    if any((config.root / "src" / path).is_file() for path in wanted):
        top = wanted[0].partition("/")[0].removesuffix(".py")
        return (
            "It is below src/, and the build makes no package of it: for Hatchling, write "
            f'packages = ["src/{top}"] into [tool.hatch.build.targets.wheel].'
        )
    from hatch_connect.project.entrypoints import entrypoint_candidates

    candidates = ", ".join(entrypoint_candidates(config.root))
    found = f" Modules that may hold it: {candidates}." if candidates else ""
    return f"Correct `entrypoint` in [tool.hatch-connect], or add the file to `include`.{found}"


def _is_or_holds(left_out: str, path: str) -> bool:
    if left_out.endswith("/"):
        return path.startswith(left_out)
    return f"/{left_out}".endswith(f"/{path}")
