"""Describes files that stay where they are: another target's artifact, git-backed content.

The manifest of an artifact is that of its own unpacked root; for content that Connect takes from
git, `manifest.json` and the package list lie beside `pyproject.toml`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from hatch_connect.bundle.archive import check_names, md5_of, replacing, shown
from hatch_connect.bundle.assemble import describe, needs_packages
from hatch_connect.bundle.companions import entry_files, has_entry
from hatch_connect.bundle.guard import forbidden
from hatch_connect.bundle.manifest import (
    LOCALE,
    MANIFEST_NAME,
    PACKAGE_FILE,
    PIP_VERSION,
    ListedFile,
    Manifest,
)
from hatch_connect.bundle.packages import PackageInputs, decide_packages
from hatch_connect.bundle.render import inspect_quarto
from hatch_connect.errors import BuildError, BundleError, shortened
from hatch_connect.project.python_version import nearest_version_file

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from hatch_connect.bundle.build_protocol import Built
    from hatch_connect.bundle.packages import Packages
    from hatch_connect.project.project import ProjectConfig

_OUR_LIST = b"# Made by hatch-connect "
_SHOWN = 5


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
    """Return the files that say which packages and which Python, by their path in an sdist.

    An unpacked source distribution needs them to be described again.
    """
    if not needs_packages(config, inspect_quarto(config, environ)):
        return ()
    packages = decide_packages(config, PackageInputs())
    found = {
        file.relative_to(config.root).as_posix(): file
        for file in packages.lock.files
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
            f"`static = true` renders {config.rendered}, but only a bundle contains its HTML.",
            hint="Use the build target `connect` instead of the build hook.",
        )
    inspection = inspect_quarto(config, environ)
    needed = needs_packages(config, inspection)
    packages = decide_packages(config, PackageInputs()) if needed else None
    content: dict[str, Path | bytes] = {
        path: source for path, source in files.items() if path != folder + MANIFEST_NAME
    }
    added: dict[str, bytes] = {}
    if packages is not None:
        packages, added = _placed(packages, content, folder)
        content |= added
    check_names(content)
    secrets = [path for path, source in content.items() if _is_secret(path, source)]
    listed = (
        ListedFile(path=path, checksum=md5_of(source))
        for path, source in sorted(content.items())
        if path not in secrets
    )
    manifest = describe(config, packages, inspection).with_files(listed)
    return Description(
        generated=(*added.items(), (folder + MANIFEST_NAME, manifest.to_json())),
        secrets=tuple(secrets),
        deployable=has_entry(entry_files(config), content.keys()),
        notes=(*packages.lock.notes, *_missing(packages)) if packages else (),
    )


def _placed(
    packages: Packages, content: Collection[str], folder: str
) -> tuple[Packages, dict[str, bytes]]:
    """Return the packages with the path of their list in the artifact, and what to add there."""
    # A list that ships as written stays where the artifact has it, beside its includes.
    is_there = packages.lock.verbatim is not None and packages.path in content
    path = packages.path if is_there else folder + PACKAGE_FILE
    added = {} if is_there else {path: packages.content}
    return replace(packages, path=path, included=()), added


def _missing(packages: Packages) -> Iterator[str]:
    """Return what the artifact lacks, since it holds one project and a bundle may hold more."""
    for one in packages.lock.local:
        yield (
            f"{one.name} is built from {one.path} and is in no index: the bundle that `hatch"
            " build -t connect` builds contains it, but this artifact does not."
        )


def _is_secret(path: str, source: Path | bytes) -> bool:
    rule = forbidden(path, source if isinstance(source, Path) else None)
    return rule is not None and rule.secret


def write_in_place(config: ProjectConfig, built: Built) -> Path:
    """Write the files that a checkout lacks to be this content; return the manifest's path.

    That lies at the top of the content, which may be a folder of the project.
    Raises BundleError if files of the bundle lie elsewhere in the project (a `src/` layout,
    whose wheel is unpacked), or if a file that we did not write is in the way. An earlier manifest
    is ours if it is, byte by byte, what we would write, with our constants for the locale and pip;
    an earlier list of packages is ours if its first line says so.
    """
    manifest, packages = _without_metadata(built.contents.manifest), built.packages
    root = config.content_root
    _require_same_paths(root, built, manifest, packages.path if packages else None)
    target, text = root / MANIFEST_NAME, manifest.to_json()
    if target.exists() and not _is_our_manifest(target, text):
        raise _in_the_way(target)
    if packages is not None:
        package_path = root.joinpath(*packages.path.split("/"))
        if not _is_that(package_path, md5_of(packages.content)):
            if package_path.exists() and not package_path.read_bytes().startswith(_OUR_LIST):
                raise _in_the_way(package_path)
            _write(package_path, packages.content)
    _write(target, text)
    return target


def _without_metadata(manifest: Manifest) -> Manifest:
    """Leave out the package's own metadata: only a build makes it, and a checkout needs none."""
    return manifest.with_files(
        file for file in manifest.files if not file.path.partition("/")[0].endswith(".dist-info")
    )


def _require_same_paths(
    root: Path, built: Built, manifest: Manifest, package_file: str | None
) -> None:
    """Refuse files that the tree does not have; of those that are its own nothing is asked."""
    candidates = None if built.moved is None else {*built.moved}
    moved = [
        file.path
        for file in manifest.files
        if file.path != package_file
        and (candidates is None or file.path in candidates)
        and not _is_that(root.joinpath(*file.path.split("/")), file.checksum)
    ]
    if moved:
        names = shortened([shown(path) for path in moved], _SHOWN)
        raise BundleError(
            f"The bundle is not the tree of {root}: its build creates or moves {names}.",
            hint="Without --in-place, `manifest` writes a complete folder that can be committed.",
        )


def _is_our_manifest(path: Path, new: bytes) -> bool:
    text = path.read_bytes()
    if text == new:
        return True
    try:
        manifest = Manifest.from_json(text)
    except BundleError:
        return False
    ours = manifest.to_json() == text
    if manifest.python is None:
        return ours and manifest.locale is None
    return ours and manifest.locale == LOCALE and manifest.python.manager_version == PIP_VERSION


def _in_the_way(path: Path) -> BundleError:
    return BundleError(
        f"{path} already exists and was not written by hatch-connect.",
        hint="Move it away, or use `manifest` without --in-place.",
    )


def _is_that(path: Path, checksum: str) -> bool:
    """Return whether a file has these bytes; git may have changed a package list's line endings."""
    if not path.is_file():
        return False
    data = path.read_bytes()
    return checksum in map(md5_of, (data, data.replace(b"\r\n", b"\n")))


def _write(path: Path, content: bytes) -> None:
    with replacing(path) as partial:
        partial.write_bytes(content)
