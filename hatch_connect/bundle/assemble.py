"""Assembles a bundle from the files of the build, the package list and the manifest."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from hatch_connect.bundle.archive import DEFAULT_DIRECTORY, DEFAULT_EPOCH, SUFFIX
from hatch_connect.bundle.build_protocol import built_for
from hatch_connect.bundle.companions import followed, others
from hatch_connect.bundle.files import (
    ShippingRules,
    content_files,
    files_below,
    select,
    with_additions,
)
from hatch_connect.bundle.manifest import describe, needs_packages
from hatch_connect.bundle.path_dependencies import with_path_dependencies
from hatch_connect.bundle.reading import Bundle
from hatch_connect.bundle.render import inspect_quarto, render
from hatch_connect.errors import BuildError, BundleError
from hatch_connect.events import Note, Step, Warned

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from hatch_connect.bundle.build_protocol import BuildContext, BuildRequest, Built
    from hatch_connect.bundle.manifest import Manifest
    from hatch_connect.bundle.selector import ContentFile, SelectedFiles


def assemble(context: BuildContext, selected: SelectedFiles) -> Built:
    """Write the bundle of one piece of content."""
    config, request = context.config, context.request
    inspection = inspect_quarto(config, context.environ)
    needed = needs_packages(config, inspection, request.sources.python_option)
    packages = request.decide_packages() if needed else None
    notes = packages.lock.notes if packages else ()
    for text in (*_without_effect(request, installs=needed), *notes):
        context.report(Warned(text=text))
    with TemporaryDirectory(prefix="hatch-connect-") as folder:
        if config.rendered:
            selected = selected.only(render(context, Path(folder)))
        resources = inspection.resources if inspection else ()
        selected = with_additions(context, selected, resources)
        if packages and packages.lock.local:
            selected = with_path_dependencies(context, selected, packages, Path(folder))
        parted = others(config)
        below = partial(files_below, context)
        rules = ShippingRules(
            context=context,
            packages=packages,
            inspection=inspection,
            others=parted,
            imported=frozenset(followed(config, below) if parted else ()),
        )
        selected = select(selected, rules)
        if guessed := context.selector.note():
            context.report(Note(text=guessed))
        bundle = _pack(
            context,
            selected.version,
            describe(config, packages, inspection),
            content_files(config, selected, packages),
        )
    return built_for(request, bundle, selected.left_out, packages)


def _without_effect(request: BuildRequest, *, installs: bool) -> Iterator[str]:
    """Return which keys and options mean nothing for this content."""
    config = request.config
    title = "a rendered notebook" if config.rendered else f"{config.app_mode.title} content"
    if not installs and (keys := (*config.keys_of_packages, *request.options_of_python)):
        yield f"No effect for {title}, for which no packages are installed: {', '.join(keys)}."
    if config.unused_keys:
        yield f"No effect for {title}, which is no notebook: {', '.join(config.unused_keys)}."


def _pack(
    context: BuildContext,
    version: str | None,
    manifest: Manifest,
    files: tuple[ContentFile, ...],
) -> Bundle:
    name, report = context.config.content_name, context.report
    report(Step(text=f"Packing {len(files) + 1} files of {name}"))
    keep_from_git(context.directory, context.config.root)
    path = context.directory / f"{name}{f'-{version}' if version else ''}{SUFFIX}"
    return Bundle.write(path, manifest, files, epoch=epoch(context.environ), report=report)


def epoch(environ: Mapping[str, str]) -> int:
    """Return the time of all members: SOURCE_DATE_EPOCH, or a constant."""
    text = environ.get("SOURCE_DATE_EPOCH", "")
    if not text:
        return DEFAULT_EPOCH
    if not text.isdecimal():
        raise BuildError(f"SOURCE_DATE_EPOCH must be a number of seconds, not {text!r}.")
    return int(text)


def keep_from_git(directory: Path, root: Path) -> None:
    """Make git ignore our folder: dist/connect, or a new one in the project."""
    if directory == root or not directory.is_relative_to(root):
        return
    mark = directory / ".gitignore"
    try:
        directory.mkdir(parents=True, exist_ok=True)
        ours = directory == root / DEFAULT_DIRECTORY or not any(directory.iterdir())
        if ours and not mark.exists():
            mark.write_text("*\n", encoding="utf-8")
    except OSError as error:
        raise BundleError(f"{directory} cannot be written: {error.strerror or error}.") from error
