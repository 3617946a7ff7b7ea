"""Describes an artifact of another build target: the manifest of its own unpacked root."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from hatch_connect.bundle.describe import describe, needs_packages
from hatch_connect.bundle.entry import entry_files, has_entry
from hatch_connect.bundle.guard import forbidden
from hatch_connect.bundle.manifest import MANIFEST_NAME
from hatch_connect.bundle.names import check_names
from hatch_connect.bundle.packages import decide_packages
from hatch_connect.bundle.parts import PACKAGE_FILE, ListedFile
from hatch_connect.bundle.quarto import inspect_quarto
from hatch_connect.bundle.request import BuildRequest
from hatch_connect.errors import BuildError, BundleError
from hatch_connect.project.python_version import nearest_version_file

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from hatch_connect.bundle.packages import Packages
    from hatch_connect.project.project import ProjectConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class Description:
    """What is to be added to an artifact.

    `generated` has the bytes of new files by their path in the artifact; `secrets` are files of
    the artifact that the manifest does not list; `deployable` tells whether the entrypoint is
    where Connect looks for it.
    """

    generated: tuple[tuple[str, bytes], ...]
    secrets: tuple[str, ...]
    deployable: bool
    notes: tuple[str, ...]


def inputs(config: ProjectConfig, environ: Mapping[str, str]) -> tuple[tuple[str, Path], ...]:
    """Give the files that say which packages and which Python, by their path in an sdist.

    An unpacked source distribution needs them to be described again.
    """
    if not needs_packages(config, inspect_quarto(config, environ)):
        return ()
    packages = decide_packages(config, BuildRequest(root=config.root))
    files = {file: file for file in packages.lock.files}
    if packages.lock.path is not None:
        files[packages.lock.path] = packages.lock.path
    found = {
        file.relative_to(config.root).as_posix(): file
        for file in files
        if file.is_relative_to(config.root)
    }
    if version_file := nearest_version_file(config.root):
        found.setdefault(version_file.name, version_file)
    return tuple(sorted(found.items()))


def describe_artifact(
    config: ProjectConfig,
    files: Mapping[str, Path | bytes],
    environ: Mapping[str, str],
    *,
    folder: str = "",
) -> Description:
    """Describe an artifact that holds these files (by their path in its unpacked root).

    What is generated goes into `folder` of it (with its final slash). Raises BuildError for a
    notebook that is rendered: its HTML is in a bundle alone.
    """
    if config.rendered:
        raise BuildError(
            f"`static = true` has {config.rendered} rendered, and only a bundle holds its HTML.",
            hint="Use the build target `connect`, not the build hook.",
        )
    request = BuildRequest(root=config.root)
    inspection = inspect_quarto(config, environ)
    packages = decide_packages(config, request) if needs_packages(config, inspection) else None
    content: dict[str, Path | bytes] = {
        path: source for path, source in files.items() if path != folder + MANIFEST_NAME
    }
    generated = []
    if packages is not None:
        shipped = packages.path if packages.path in content else None
        path = shipped if packages.lock.verbatim is not None and shipped else folder + PACKAGE_FILE
        if path != shipped or packages.lock.verbatim is None:
            generated.append((path, packages.content))
            content[path] = packages.content
        packages = replace(packages, path=path, included=())
    check_names(content)
    secrets = [path for path, source in content.items() if _is_secret(path, source)]
    listed = (
        ListedFile(path=path, checksum=_md5(source))
        for path, source in sorted(content.items())
        if path not in secrets
    )
    manifest = describe(config, packages, inspection).with_files(listed)
    generated.append((folder + MANIFEST_NAME, manifest.to_json()))
    return Description(
        generated=tuple(generated),
        secrets=tuple(secrets),
        deployable=has_entry(entry_files(config), content.keys()),
        notes=(*packages.lock.notes, *_missing(packages)) if packages else (),
    )


def _missing(packages: Packages) -> Iterator[str]:
    """Say what only a bundle holds: an artifact is of one project."""
    for one in packages.lock.local:
        yield (
            f"{one.name} is built from {one.path} and is in no index: the bundle that"
            " `hatch build -t connect` makes holds it, this artifact does not."
        )


def _is_secret(path: str, source: Path | bytes) -> bool:
    rule = forbidden(path, source if isinstance(source, Path) else None)
    return rule is not None and rule.secret


def _md5(source: Path | bytes) -> str:
    if isinstance(source, bytes):
        return hashlib.md5(source, usedforsecurity=False).hexdigest()
    try:
        with source.open("rb") as file:
            return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
    except OSError as error:
        raise BundleError(f"{source} cannot be read: {error.strerror}.") from error
