"""Assembles a bundle from the files of the build, the package list and the manifest."""

from __future__ import annotations

import os
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from hatch_connect.bundle.archive import DEFAULT_DIRECTORY, DEFAULT_EPOCH, SUFFIX
from hatch_connect.bundle.build_protocol import Built
from hatch_connect.bundle.bundle import Bundle, BundleContents
from hatch_connect.bundle.companions import shipped_under
from hatch_connect.bundle.files import (
    content_files,
    select,
    with_additions,
)
from hatch_connect.bundle.manifest import (
    LOCALE,
    Jupyter,
    Manifest,
    ManifestEnvironment,
    ManifestPython,
    Quarto,
    metadata_of,
)
from hatch_connect.bundle.path_dependencies import with_path_dependencies
from hatch_connect.bundle.render import inspect_quarto, render
from hatch_connect.errors import BuildError, BundleError, counted
from hatch_connect.events import Note, Step, Warned
from hatch_connect.project.settings import EnvironmentManagement

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from hatch_connect.bundle.archive import ContentFile
    from hatch_connect.bundle.build_protocol import BuildContext, BuildRequest
    from hatch_connect.bundle.packages import Packages
    from hatch_connect.bundle.render import Inspection
    from hatch_connect.bundle.selector import SelectedFiles
    from hatch_connect.project.project import ProjectConfig


def assemble(context: BuildContext, selected: SelectedFiles) -> Built:
    """Write the bundle of one piece of content, or only describe it, as it is requested."""
    config, request = context.config, context.request
    inspection = inspect_quarto(config, context.environ)
    needed = needs_packages(config, inspection)
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
        selected = select(context, selected, packages, inspection)
        if guessed := context.selector.note():
            context.report(Note(text=guessed))
        files = content_files(config, selected, packages)
        version, left_out = selected.version, selected.left_out
        moved = _moved(config, selected, packages) if request.form == "manifest" else None
        del selected  # what is known of very many files takes memory
        context.selector.repository.forget()
        contents = _made(
            context,
            version,
            describe(config, packages, inspection),
            files,
            # What is not pinned may be another version by now.
            unless=request.unless if packages is None or packages.lock.pinned else None,
        )
    return Built(
        content=config.content,
        contents=contents,
        left_out=left_out,
        packages=packages,
        moved=moved,
    )


def _moved(
    config: ProjectConfig, selected: SelectedFiles, packages: Packages | None
) -> tuple[str, ...]:
    """Return the files that do not lie in the tree where they are in the bundle."""
    root, under = config.content_root, shipped_under(config)
    paths = ((under + file.path, str(file.source)) for file in selected.files)
    moved = (path for path, at in paths if at != f"{root}{os.sep}{path.replace('/', os.sep)}")
    return (*moved, *(file.path for file in (packages.files() if packages else ())))


def _without_effect(request: BuildRequest, *, installs: bool) -> Iterator[str]:
    """Return which keys and options mean nothing for this content."""
    config = request.config
    title = "a rendered notebook" if config.rendered else f"{config.app_mode.title} content"
    if not installs and (keys := (*config.keys_of_packages, *request.options_of_python)):
        yield (
            f"These settings have no effect for {title}, for which no packages are installed:"
            f" {', '.join(keys)}."
        )
    if config.unused_keys:
        yield (
            f"These settings have no effect for {title}, which is not a notebook:"
            f" {', '.join(config.unused_keys)}."
        )


def _made(
    context: BuildContext,
    version: str | None,
    manifest: Manifest,
    files: tuple[ContentFile, ...],
    *,
    unless: str | None,
) -> BundleContents:
    name, report, form = context.config.content_name, context.report, context.request.form
    if form == "manifest" or unless:
        report(Step(text=f"Reading {counted(len(files), 'file')} of {name}"))
        described = BundleContents.of(manifest, files, report=report)
        if form == "manifest" or described.identity == unless:
            return described
    report(Step(text=f"Packing {counted(len(files) + 1, 'file')} of {name}"))
    time = epoch(context.environ)
    _keep_from_git(context.directory, context.config.root)
    if form == "folder":
        return Bundle.write_folder(context.directory / name, manifest, files, report=report)
    path = context.directory / f"{name}{f'-{version}' if version else ''}{SUFFIX}"
    return Bundle.write(path, manifest, files, epoch=time, report=report)


def needs_packages(config: ProjectConfig, inspection: Inspection | None) -> bool:
    """Return whether the server runs Python for this content, so that it needs packages.

    Quarto cannot tell that of every document, so its packages or Python may also be named.
    """
    asked = config.names_python or inspection is None or inspection.needs_python
    return config.app_mode.has_python and asked


def describe(
    config: ProjectConfig, packages: Packages | None, inspection: Inspection | None
) -> Manifest:
    """Return the manifest, without its files."""
    source = config.app_mode.is_notebook
    managed = config.environment_management or EnvironmentManagement()
    return Manifest(
        locale=LOCALE if packages else None,
        metadata=metadata_of(config, inspection.category if inspection else None),
        jupyter=Jupyter(
            hide_all_input=source and config.hide_all_input,
            hide_tagged_input=source and config.hide_tagged_input,
        ),
        quarto=Quarto(version=inspection.version, engines=inspection.engines)
        if inspection
        else None,
        python=_python(config, packages) if packages else None,
        environment=ManifestEnvironment(
            python_requires=packages.python.requires if packages else None,
            image=config.image,
            manage_python=managed.python,
            manage_r=managed.r,
        ),
    )


def _python(config: ProjectConfig, packages: Packages) -> ManifestPython:
    chosen = config.package_installer
    return ManifestPython(
        version=packages.python.version,
        package_file=packages.path,
        manager=chosen or "pip",
        allow_uv=None if chosen is None else chosen == "uv",
    )


def epoch(environ: Mapping[str, str]) -> int:
    """Return the time of all members: SOURCE_DATE_EPOCH, or a constant."""
    text = environ.get("SOURCE_DATE_EPOCH", "")
    if not text:
        return DEFAULT_EPOCH
    if not text.isdecimal():
        raise BuildError(f"SOURCE_DATE_EPOCH must be a number of seconds, not {text!r}.")
    return int(text)


def _keep_from_git(directory: Path, root: Path) -> None:
    """Make git ignore our folder: dist/connect, or a new one in the project."""
    if directory == root or not directory.is_relative_to(root):
        return
    mark = directory / ".gitignore"
    try:
        directory.mkdir(parents=True, exist_ok=True)
        # A folder in which the user has something gets no `.gitignore`.
        ours = directory == root / DEFAULT_DIRECTORY or not any(directory.iterdir())
        if ours and not mark.exists():
            mark.write_text("*\n", encoding="utf-8")
    except OSError as error:
        raise BundleError(f"{directory} cannot be written: {error.strerror or error}.") from error
