"""Packages that no index has: they are built and unpacked at the bundle's root."""

from __future__ import annotations

import tarfile
import zipfile
from typing import TYPE_CHECKING

from hatch_connect.bundle.archive import shown
from hatch_connect.bundle.repository import Repository
from hatch_connect.bundle.selector import SelectedFiles
from hatch_connect.bundle.wheel import unpack_wheel
from hatch_connect.errors import BuildError, BundleError, itemized
from hatch_connect.events import Step
from hatch_connect.locks.compatibility import is_compatible

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from hatch_connect.bundle.build_protocol import BuildContext
    from hatch_connect.bundle.packages import Packages
    from hatch_connect.bundle.selector import Candidate
    from hatch_connect.locks.lock import LocalPackage
    from hatch_connect.project.target import Target


def with_path_dependencies(
    context: BuildContext, selected: SelectedFiles, packages: Packages, folder: Path
) -> SelectedFiles:
    """Build each package in `folder`, unpack it there, and add its files.

    Raises BuildError for one that cannot be built or is not for the target, BundleError for two
    that have a file in common, or one with the project.
    """
    built = SelectedFiles()
    owners: dict[str, str] = {}
    for number, package in enumerate(packages.lock.local):
        place = folder / str(number)
        wheel = _wheel(context, package, place)
        _require_fit(package, wheel, packages.target)
        unpacked = unpack_wheel(wheel, place / "content")
        chosen = context.selector.choose(unpacked.files)
        _claim(package.name, chosen.files, owners)
        built = built.add(chosen.files, (*chosen.left_out, *unpacked.left_out))
    own = {file.path for file in selected.files}
    common = (file for file in built.files if file.path in own)
    _refuse_common("The project and its path dependencies", common)
    return selected.add(built.files, built.left_out)


def _claim(name: str, files: Iterable[Candidate], owners: dict[str, str]) -> None:
    common: dict[str, list[Candidate]] = {}
    for file in files:
        owner = owners.setdefault(file.path, name)
        if owner != name:
            common.setdefault(owner, []).append(file)
    for owner, theirs in common.items():
        _refuse_common(f"{owner} and {name}", theirs)


def _refuse_common(who: str, files: Iterable[Candidate]) -> None:
    common = [shown(file.path) for file in files]
    if common:
        raise BundleError(
            f"{who} would overwrite each other's files:\n{itemized(common)}",
            hint="All of them are unpacked at the bundle's root: rename one of the modules.",
        )


def _wheel(context: BuildContext, package: LocalPackage, folder: Path) -> Path:
    if package.path.suffix == ".whl":
        return package.path
    from hatch_connect.bundle.isolated import build_wheel

    context.report(Step(text=f"Building {package.name}, for {package.because}"))
    source = package.path if package.path.is_dir() else _unpacked(package, folder / "source")
    try:
        repository = Repository(source, context.environ)
        project = context.config.project.beside(source)
        backend = project.metadata.build_backend if project else None
        into, environ = folder / "wheel", context.environ
        return build_wheel(source, backend, into, repository, environ, context.report)
    except BuildError as error:
        raise BuildError(
            f"{package.name} ({package.path}): {error.message}", hint=error.hint
        ) from error


def _unpacked(package: LocalPackage, folder: Path) -> Path:
    """Unpack a source distribution; its one top folder is the project."""
    try:
        if zipfile.is_zipfile(package.path):
            with zipfile.ZipFile(package.path) as archive:
                archive.extractall(folder)  # noqa: S202 - zipfile takes `..` out of names
        else:
            with tarfile.open(package.path) as archive:
                archive.extractall(folder, filter="data")
    except (OSError, tarfile.TarError, zipfile.BadZipFile) as error:
        raise BuildError(f"{package.path} cannot be unpacked: {error}.") from error
    return next((path for path in sorted(folder.iterdir()) if path.is_dir()), folder)


def _require_fit(package: LocalPackage, wheel: Path, target: Target) -> None:
    if is_compatible([wheel.name], frozenset(target.tags())):
        return
    raise BuildError(
        f"{package.name} ({package.path}) is built as {wheel.name}, which {target} cannot install.",
        hint="Build on such a machine (in CI, for example), or publish wheels of it to an index.",
    )
