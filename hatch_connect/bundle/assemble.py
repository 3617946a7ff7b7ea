"""Puts a bundle together: the files of the build, the package list, the manifest."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from hatch_connect.bundle.additions import entry_outside, included
from hatch_connect.bundle.archive import Bundle
from hatch_connect.bundle.content import (
    Candidate,
    ContentFile,
    LeftOut,
    Patterns,
    Selection,
    choose,
    in_order,
)
from hatch_connect.bundle.entry import require_entry
from hatch_connect.bundle.ignored import ignored_by_git
from hatch_connect.bundle.manifest import LOCALE, MANIFEST_NAME, Manifest
from hatch_connect.bundle.packages import decide_packages
from hatch_connect.bundle.packing import DEFAULT_EPOCH
from hatch_connect.bundle.parts import Environment, Metadata, Python
from hatch_connect.bundle.request import Built
from hatch_connect.bundle.tree import regular_file
from hatch_connect.errors import BuildError, BundleError
from hatch_connect.events import Step, Warned

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from hatch_connect.bundle.packages import Packages
    from hatch_connect.bundle.request import BuildRequest
    from hatch_connect.events import Report
    from hatch_connect.project.config import ProjectConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class Material:
    """What the build selected: of its wheel, or of the tree.

    `version` is the project's as the build knows it, None where it has none.
    """

    files: tuple[Candidate, ...]
    left_out: tuple[LeftOut, ...] = ()
    version: str | None = None
    tree: bool = False


def assemble(
    config: ProjectConfig,
    material: Material,
    request: BuildRequest,
    *,
    directory: Path,
    environ: Mapping[str, str],
    report: Report,
) -> Built:
    """Write the bundle of one piece of content into `directory`."""
    packages = decide_packages(config, request) if config.app_mode.has_python else None
    notes = packages.lock.notes if packages else ()
    for note in notes:
        report(Warned(text=note))
    added = additions(config, material, environ, report)
    selection = select(config, material, packages, directory, added)
    name = f"{config.content_name}-{material.version}" if material.version else config.content_name
    report(Step(text=f"Packing {len(selection.files) + 1} files of {config.content_name}"))
    keep_from_git(directory, config.root)
    bundle = Bundle.write(
        directory / f"{name}.tar.gz",
        describe(config, packages),
        selection,
        epoch=epoch(environ),
        report=report,
    )
    return Built(
        content=config.content,
        bundle=bundle,
        left_out=selection.left_out,
        python=packages.python if packages else None,
        lock=packages.lock if packages else None,
        notes=notes,
    )


def select(
    config: ProjectConfig,
    material: Material,
    packages: Packages | None,
    directory: Path,
    added: tuple[list[Candidate], list[LeftOut]],
) -> Selection:
    """Give the files of the bundle that goes into `directory`, all but the manifest.

    `added` is what ships, and does not, beside the material.
    """
    beside, kept_back = added
    files = {file.path: file for file in (*beside, *material.files)}
    files.pop(MANIFEST_NAME, None)
    # What one rule left out and `include` brought back is not left out.
    left_out = [i for i in (*material.left_out, *kept_back) if i.path not in files]
    for path in [p for p, file in files.items() if _is_output(file, directory, config)]:
        left_out.append(LeftOut(path=path, rule="an output of an earlier build"))
        del files[path]
    require_entry(config, files.keys(), left_out, tree=material.tree)
    shipped = [
        ContentFile(path=file.path, source=file.source, size=file.source.stat().st_size)
        for file in files.values()
        if not packages or file.path != packages.path
    ]
    if not shipped:
        raise BundleError(
            f"Nothing of {config.root} would ship.",
            hint="Name files in `include` of [tool.hatch-connect].",
        )
    if packages:
        shipped.append(
            ContentFile(path=packages.path, source=packages.content, size=len(packages.content))
        )
        if packages.path in files and packages.lock.verbatim is None:
            rule = f"the package list comes from {_lock_name(packages)}"
            left_out.append(LeftOut(path=packages.path, rule=rule))
    return Selection(files=in_order(shipped), left_out=_sorted(left_out))


def additions(
    config: ProjectConfig, material: Material, environ: Mapping[str, str], report: Report
) -> tuple[list[Candidate], list[LeftOut]]:
    """Give what `include` and the entrypoint add, and what of it does not ship."""
    have = {file.path for file in material.files}
    proposed = list(included(config, have, report))
    if not material.tree:
        proposed += entry_outside(config, {*have, *(file.path for file in proposed)})
    ignored = partial(ignored_by_git, config.root, environ=environ)
    added, left_out = choose(proposed, Patterns(config.exclude), ignored)
    for file in added:
        regular_file(file.path, file.source, config.root)
    return added, left_out


def _lock_name(packages: Packages) -> str:
    return packages.lock.path.name if packages.lock.path else "the installed packages"


def _sorted(left_out: Sequence[LeftOut]) -> tuple[LeftOut, ...]:
    return tuple(sorted({item.path: item for item in left_out}.values(), key=lambda i: i.path))


def _is_output(file: Candidate, directory: Path, config: ProjectConfig) -> bool:
    if file.named or not file.source.is_relative_to(directory):
        return False
    name = file.source.name
    ours = name.startswith(config.content_name) and name.endswith(".tar.gz")
    return directory != config.root or ours


def describe(config: ProjectConfig, packages: Packages | None) -> Manifest:
    """Give the manifest, without its files."""
    mode = config.app_mode.name
    is_html = mode == "static"
    entrypoint = None if mode.startswith("quarto") else config.entrypoint
    managed = config.environment_management
    return Manifest(
        locale=LOCALE if packages else None,
        metadata=Metadata(
            app_mode=mode, entrypoint=entrypoint, primary_html=entrypoint if is_html else None
        ),
        python=_python(config, packages) if packages else None,
        environment=Environment(
            python_requires=packages.python.requires if packages else None,
            image=None if is_html else config.image,
            manage_python=None if is_html else managed,
            manage_r=None if is_html else managed,
        ),
    )


def _python(config: ProjectConfig, packages: Packages) -> Python:
    chosen = config.package_installer
    return Python(
        version=packages.python.version,
        package_file=packages.path,
        manager=chosen or "pip",
        allow_uv=None if chosen is None else chosen == "uv",
    )


def epoch(environ: Mapping[str, str]) -> int:
    """Give the members' time: SOURCE_DATE_EPOCH, or one that never changes."""
    text = environ.get("SOURCE_DATE_EPOCH", "")
    if not text:
        return DEFAULT_EPOCH
    if not text.isdecimal():
        raise BuildError(f"SOURCE_DATE_EPOCH must be a number of seconds, not {text!r}.")
    return int(text)


def keep_from_git(directory: Path, root: Path) -> None:
    """Make git ignore a folder of ours: dist/connect, or one in the project that is new."""
    if directory == root or not directory.is_relative_to(root):
        return
    mark = directory / ".gitignore"
    try:
        directory.mkdir(parents=True, exist_ok=True)
        ours = directory == root / "dist" / "connect" or not any(directory.iterdir())
        if ours and not mark.exists():
            mark.write_text("*\n", encoding="utf-8")
    except OSError as error:
        raise BundleError(f"{directory} cannot be written: {error.strerror or error}.") from error
