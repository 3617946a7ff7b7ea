"""The builder target `connect`: what Hatchling selects, made into a bundle.

For a package project Hatchling's wheel builder runs inside this one, with the project's own
configuration and hooks, and the wheel is unpacked; otherwise the tree ships by the selection of
the target `connect`.
"""

from __future__ import annotations

import os
import tarfile
import zlib
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from hatchling.builders.config import BuilderConfig
from hatchling.builders.constants import EXCLUDED_FILES
from hatchling.builders.plugin.interface import BuilderInterface, IncludedFile
from hatchling.builders.wheel import WheelBuilder, WheelBuilderConfig
from hatchling.plugin.exceptions import UnknownPluginError
from hatchling.plugin.manager import PluginManager

from hatch_connect.bundle.archive import DEFAULT_DIRECTORY, SUFFIX, check_names
from hatch_connect.bundle.assemble import assemble
from hatch_connect.bundle.build_protocol import MAIN, BuildContext, BuildRequest
from hatch_connect.bundle.bundle import Bundle
from hatch_connect.bundle.files import files_of_folder
from hatch_connect.bundle.guard import forbidden
from hatch_connect.bundle.manifest import MANIFEST_NAME
from hatch_connect.bundle.selector import Candidate, LeftOut, SelectedFiles, Selector
from hatch_connect.bundle.wheel import holds_modules, unpack_wheel
from hatch_connect.errors import BuildError
from hatch_connect.project.reading import encoding_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from hatchling.builders.hooks.plugin.interface import BuildHookInterface
    from pathspec import GitIgnoreSpec

    from hatch_connect.bundle.build_protocol import Built
    from hatch_connect.events import Report
    from hatch_connect.project.project import Project

OWN = "connect"
_VERSION_HOOK = "version"  # writes a file, and does not look at the wheel
_FOR_INSTALLERS = (".dist-info", ".data")  # endings of folders that do not ship as they are
_BY_HATCHLING = "Hatchling's selection: [tool.hatch.build]"


@dataclass(slots=True, kw_only=True)
class BundleRun:
    """One run of the builder: what is asked of it, and what came of it.

    Without a `request` the builder makes one for each piece of content that Hatch names.
    """

    project: Project
    request: BuildRequest | None
    environ: Mapping[str, str]
    report: Report
    built: list[Built] = field(default_factory=list)


class _Unfiltered(BuilderConfig):
    """A selection without Hatchling's rules for git and `dist`, which our selector applies."""

    @cached_property
    def vcs_exclusion_files(self) -> dict[str, list[str]]:
        """Leave out `.gitignore`: Hatchling reads only one, and does not know what is tracked."""
        return {**super().vcs_exclusion_files, "git": []}

    @cached_property
    def artifact_spec(self) -> GitIgnoreSpec | None:
        """Read `artifacts` once: Hatchling does for each file."""
        return super().artifact_spec

    def default_global_exclude(self) -> list[str]:
        """Leave out only compiled Python."""
        return ["*.py[cdo]"]


class _BundleConfig(_Unfiltered):
    """The configuration of the target, whose directory is one that index publishers skip."""

    @cached_property
    def directory(self) -> str:
        """Where bundles go: as configured for this target, else `dist/connect`."""
        configured = self.target_config.get("directory", DEFAULT_DIRECTORY)
        if not isinstance(configured, str):
            raise TypeError("Field `tool.hatch.build.targets.connect.directory` must be a string")
        return self.normalize_build_directory(configured)


class BundleBuilder(BuilderInterface[_BundleConfig, PluginManager]):
    """Builds the bundle of the project, or of each piece of content that is asked for."""

    PLUGIN_NAME = OWN
    run: BundleRun
    _archive_is_handed_on = False

    @classmethod
    def get_config_class(cls) -> type[_BundleConfig]:
        """Return what Hatchling reads the target's table with."""
        return _BundleConfig

    def get_version_api(self) -> dict[str, Callable[..., str]]:
        """Return what can be built: the main content, and each of the `content` tables."""
        names = (None, *self.run.project.content_tables)
        return {name or MAIN: partial(self._build, name) for name in names}

    def get_default_versions(self) -> list[str]:
        """Build all content."""
        return [name or MAIN for name in self.run.project.contents]

    def clean(self, directory: str, versions: list[str]) -> None:  # noqa: ARG002 - Hatchling's signature
        """Remove the bundles of earlier builds, those with the ending of earlier releases too."""
        folder = Path(directory)
        ours = folder == Path(self.root) / DEFAULT_DIRECTORY
        older = (path for path in folder.glob("*.tar.gz") if _is_older_bundle(path, ours=ours))
        for bundle in (*folder.glob(f"*{SUFFIX}"), *older):
            bundle.unlink()

    def get_build_hooks(self, directory: str) -> dict[str, BuildHookInterface[Any]]:
        """Return no hooks of all targets if a wheel is built inside: that build runs them."""
        from hatchling.builders.hooks.plugin.interface import BuildHookInterface

        hooks = super().get_build_hooks(directory)
        hooks.pop(OWN, None)
        if self.has_package:
            own = self.target_config.get("hooks", {})
            hooks = {name: hook for name, hook in hooks.items() if name in own}
        unheeding = BuildHookInterface.finalize
        self._archive_is_handed_on = any(type(h).finalize is not unheeding for h in hooks.values())
        return hooks

    @cached_property
    def has_package(self) -> bool:
        """Return whether Hatchling knows what belongs into a wheel."""
        try:
            return bool(self._wheel().config.default_file_selection_options)
        except ValueError:
            return False

    def _wheel(self) -> _Wheel:
        return _Wheel(
            self.root, plugin_manager=self.plugin_manager, metadata=self.metadata, app=self.app
        )

    def _build(self, content: str | None, directory: str, **_build_data: object) -> str:
        request = self.run.request
        if request is None or request.config.content != content:
            request = BuildRequest(config=self.run.project.content(content))
        if self._archive_is_handed_on and request.form != "folder":
            request = replace(request, form="archive", unless=None)
        config = request.config
        context = BuildContext(
            request=request,
            directory=Path(directory),
            selector=Selector(config, self.run.environ),
            environ=self.run.environ,
            report=self.run.report,
        )
        with TemporaryDirectory(prefix="hatch-connect-") as folder:
            wheel = config.app_mode.has_python and not config.is_whole_tree and self.has_package
            built = assemble(
                context,
                (wheel and self._from_wheel(context.selector, Path(folder)))
                or self.from_tree(context, self.metadata.version),
            )
        self.run.built.append(built)
        # Without an archive nobody but Hatchling, which shows it, takes the path.
        return str(built.contents.path if isinstance(built.contents, Bundle) else directory)

    def _from_wheel(self, selector: Selector, folder: Path) -> SelectedFiles | None:
        wheel = self._wheel()
        wheel.choose = partial(self._choose, selector)
        for submodule in filter(wheel.selects, selector.repository.missing):
            selector.require_checked_out(submodule)
        (artifact,) = wheel.build(
            directory=str(folder / "wheel"), versions=["standard"], hooks_only=False, clean=False
        )
        unpacked = unpack_wheel(Path(artifact), folder / "content")
        selected, not_packed = wheel.chosen, wheel.not_packed
        wheel.chosen, wheel.not_packed = SelectedFiles(), []  # a builder lives on, in a cycle
        if not (not_packed or holds_modules(unpacked)):
            return None
        # Files that the build made (metadata, what hooks add) were not among the chosen ones.
        chosen = {file.path: file for file in selected.files}
        made = [file for file in unpacked.files if file.path not in chosen]
        has_forced = "force-include" in self.target_config or self.config.build_force_include
        more = self._choose(selector, [*made, *(self._forced() if has_forced else ())])
        copies = (
            replace(file, executable=chosen[file.path].executable)
            for file in unpacked.files
            if file.path in chosen
        )
        return SelectedFiles(
            files=(*not_packed, *copies, *more.files),
            left_out=(*selected.left_out, *more.left_out, *unpacked.left_out),
            version=unpacked.version,
            origins=frozenset(file.origin for file in chosen.values() if file.origin is not None),
        )

    def from_tree(self, context: BuildContext, version: str | None) -> SelectedFiles:
        """Return what the tree holds, by the selection of this target.

        A file that needs no Python ships alone out of a package project: its sources are no
        part of the content.
        """
        config, selector = context.config, context.selector
        alone = config.entrypoint and not config.app_mode.has_python
        if alone and not config.folder and self.has_package:
            return SelectedFiles(version=version)
        proposed: Iterable[Candidate | LeftOut] = (
            files_of_folder(context)
            if config.folder
            else chain(self._selected(selector), self._forced())
        )
        return replace(self._choose(selector, proposed), version=version, tree=True)

    def _selected(self, selector: Selector) -> Iterator[Candidate | LeftOut]:
        if self.config.only_include:
            for chosen in self.recurse_explicit_files(self.config.only_include):
                yield _candidate(
                    chosen, even_ignored=_is_artifact(self.config, chosen.relative_path)
                )
            return
        root = Path(self.root)
        has_artifacts = self._has_artifacts()
        for file in selector.walk(root, partial(self._skipped, selector)):
            if isinstance(file, LeftOut):
                yield file
                continue
            relative = file.path.replace("/", os.sep)
            shipped_as = self.config.get_distribution_path(relative)
            reserved = self.config.path_is_reserved(shipped_as)
            name = file.path.rpartition("/")[2]
            in_package = not self.config.only_packages or os.path.lexists(
                os.path.join(os.path.dirname(file.source), "__init__.py")
            )
            if self.config.include_path(relative, is_package=in_package) and not (
                reserved or name in EXCLUDED_FILES
            ):
                even_ignored = has_artifacts and _is_artifact(self.config, relative)
                if even_ignored or shipped_as != relative:
                    yield replace(file, path=_posix(shipped_as), even_ignored=even_ignored)
                else:
                    yield file
            elif not reserved:
                yield LeftOut(path=file.path, rule=_BY_HATCHLING)
        for submodule in selector.repository.missing:
            gone = f"{submodule}/any"
            if not (root / submodule).exists() and not forbidden(gone) and self._takes(gone):
                selector.require_checked_out(submodule)

    def _skipped(self, selector: Selector, folder: str) -> str | None:
        parent, _, name = folder.rpartition("/")
        # `artifacts` may lie in folders that git ignores, so these are entered then.
        has_artifacts = self._has_artifacts()
        source = Path(self.root, folder)
        if rule := selector.against_folder(folder, source, even_ignored=has_artifacts):
            return rule
        excluded = self.config.directory_is_excluded(name, parent.replace("/", os.sep))
        if excluded:
            return _BY_HATCHLING
        if self._takes(f"{folder}/any"):
            selector.require_checked_out(folder)
        return None

    def _has_artifacts(self) -> bool:
        return bool(self.config.artifact_spec or self.config.build_artifact_spec)

    def _takes(self, path: str) -> bool:
        return bool(self.config.include_path(path.replace("/", os.sep)))

    def _forced(self) -> list[Candidate]:
        forced = self.config.get_force_include()
        return [
            _candidate(file, even_ignored=True, even_secret=file.path in forced)
            for file in self.recurse_forced_files(forced)
        ]

    def _choose(self, selector: Selector, proposed: Iterable[Candidate | LeftOut]) -> SelectedFiles:
        chosen = selector.choose(proposed)
        check_names(file.path for file in chosen.files)
        for file in chosen.files:
            outside = file.origin is None or file.even_ignored
            selector.require_regular(file, outside=outside)
        return chosen


HATCHLINGS = (ValueError, TypeError, OSError, UnknownPluginError)  # what it raises


def failed_build(root: Path, error: Exception) -> BuildError:
    """Return the error for an exception of Hatchling."""
    if isinstance(error, UnicodeDecodeError):
        return _not_utf8(root, error)
    return BuildError(f"Hatchling cannot build the project: {error}")


def _not_utf8(root: Path, error: UnicodeDecodeError) -> BuildError:
    """Name the file that Hatchling could not decode, if it lies at the project's top."""
    beginning = error.object[:1000]
    files = (path for path in sorted(root.iterdir()) if path.is_file())
    found = next((path for path in files if _begins(path, beginning)), None)
    if found is None:
        return BuildError(f"Hatchling reads files in {root} as UTF-8, but one is not: {error}.")
    return BuildError(
        f"Hatchling reads {found} as UTF-8, but it is {encoding_of(error.object)}.",
        hint=f"Save {found.name} as UTF-8.",
    )


def _begins(path: Path, beginning: bytes) -> bool:
    with path.open("rb") as file:
        return file.read(len(beginning)) == beginning


def _is_older_bundle(path: Path, *, ours: bool) -> bool:
    """Return whether a `.tar.gz` is a bundle; in a folder of `ours`, all but sdists are bundles."""
    try:
        with tarfile.open(path) as archive:
            names = archive.getnames()
    except (OSError, EOFError, tarfile.TarError, zlib.error):
        return ours
    sdist = any(name.count("/") == 1 and name.endswith("/PKG-INFO") for name in names)
    return MANIFEST_NAME in names or (ours and not sdist)


class _WheelConfig(_Unfiltered, WheelBuilderConfig):
    """The configuration of the target `wheel`, also without the rules for git and `dist`."""


class _Wheel(WheelBuilder):
    """Hatchling's wheel builder, from which files can be kept back.

    If no hook sees the wheel, files that ship from it as they are need not be packed to be
    unpacked again: these are `not_packed`.
    """

    choose: Callable[[Iterable[Candidate]], SelectedFiles]
    chosen = SelectedFiles()
    not_packed: list[Candidate]
    _is_seen = True

    @classmethod
    def get_config_class(cls) -> type[WheelBuilderConfig]:
        """Return what Hatchling reads the target's table with."""
        return _WheelConfig

    def selects(self, folder: str) -> bool:
        """Return whether a file of a folder would ship."""
        file, chosen = Path(self.root, folder, "any"), self.config.only_include
        if chosen and not any(file.is_relative_to(each) for each in chosen):
            return False
        return bool(self.config.include_path(str(Path(folder, "any")), explicit=bool(chosen)))

    def recurse_included_files(self) -> Iterator[IncludedFile]:
        """Return the files that ship and must be in the wheel for it."""
        forced = self.config.get_force_include()
        selected = (
            _candidate(file, even_ignored=_is_artifact(self.config, file.relative_path))
            for file in self.recurse_selected_project_files()
        )
        named = (
            _candidate(file, even_ignored=True, even_secret=file.path in forced)
            for file in self.recurse_forced_files(forced)
        )
        self.chosen = self.choose(dict.fromkeys(chain(selected, named)))
        packed, self.not_packed = [], []
        for file in self.chosen.files:
            if self._is_seen or file.path.partition("/")[0].endswith(_FOR_INSTALLERS):
                place = file.path.replace("/", os.sep)
                packed.append(IncludedFile(file.source, file.origin or "", place))
            else:
                self.not_packed.append(
                    Candidate(
                        path=file.path,
                        source=file.source,
                        origin=None,
                        executable=file.executable,
                        size=file.size,
                        content=file.content,
                    )
                )
        return iter(packed)

    def get_build_hooks(self, directory: str) -> dict[str, BuildHookInterface[Any]]:
        """Leave out our own hook: it describes artifacts, and this wheel is not one."""
        hooks = super().get_build_hooks(directory)
        hooks.pop(OWN, None)
        self._is_seen = not hooks.keys() <= {_VERSION_HOOK}
        return hooks


def _candidate(file: IncludedFile, *, even_ignored: bool, even_secret: bool = False) -> Candidate:
    return Candidate(
        path=_posix(file.distribution_path),
        source=file.path,
        origin=_posix(file.relative_path) or None,
        even_ignored=even_ignored,
        even_secret=even_secret,
    )


def _is_artifact(config: BuilderConfig, path: str) -> bool:
    return config.path_is_artifact(path) or config.path_is_build_artifact(path)


def _posix(path: str) -> str:
    return path.replace(os.sep, "/")
