"""`pyproject.toml` as values: what a project is, and what its configuration asks for.

`[tool.hatch-connect]` is ours; a project that has only `[tool.rsconnect]`, the table of the
official client, is read as well. `[tool.hatch-connect.content.NAME]` describes further content,
`[tool.hatch-connect.on.NICKNAME]` what differs on one server; both inherit the main table.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from hatch_connect.errors import ConfigurationError
from hatch_connect.project.entrypoints import ContentKind, read_kind, read_mode
from hatch_connect.project.hatch_environment import HatchEnvironment, read_hatch_environment
from hatch_connect.project.layers import Layers, layers_of, servers_of
from hatch_connect.project.metadata import Metadata, read_metadata
from hatch_connect.project.reading import PYPROJECT, read_tables
from hatch_connect.project.settings import SETTINGS, Settings
from hatch_connect.project.validators import valid_content_name

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from hatch_connect.project.content_kind import AppMode
    from hatch_connect.project.reading import ProjectTables


@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectConfig(Settings):
    """Everything that a project's files say of one piece of content, defaults filled in.

    `project` is what it was read from, `content` the NAME of the `content` table. `build_backend`
    is None without `[build-system]`, and setuptools' legacy one if that table names none, as for
    pip. `entrypoint` is with `folder` as the bundle's root. `servers` are the nicknames of `on`
    tables, with the URL that each one gives or None. `names_python` says whether the content's own
    table, or the call, names its packages or its Python; `keys_of_packages` are the keys set that
    mean nothing if no packages are installed, `unused_keys` those that mean nothing here.
    """

    project: Project = field(repr=False, compare=False)
    root: Path
    path: Path
    project_name: str
    version: str | None
    requires_python: str | None
    build_backend: str | None
    build_requires: tuple[str, ...]
    dependencies: tuple[str, ...]
    metadata: Metadata
    hatch_environment: HatchEnvironment
    content: str | None
    folder: str = ""
    servers: tuple[tuple[str, str | None], ...] = ()
    names_python: bool = False
    keys_of_packages: tuple[str, ...] = ()
    unused_keys: tuple[str, ...] = ()

    @property
    def content_root(self) -> Path:
        """The folder whose content becomes the bundle's root if the tree ships."""
        return self.root / self.folder if self.folder else self.root

    @property
    def is_whole_tree(self) -> bool:
        """Whether the project's tree is the content: a Quarto project, notebooks, a model."""
        return not self.entrypoint and not self.folder


@dataclass(frozen=True, slots=True, kw_only=True)
class Project:
    """What the files of a project say, read once; each piece of content is a view of it.

    `problems` are those of `[project]` and `[build-system]`, which are problems of any content.
    """

    tables: ProjectTables = field(repr=False)
    metadata: Metadata
    problems: tuple[str, ...] = ()
    _beside: dict[Path, Project | None] = field(
        init=False, default_factory=dict, repr=False, compare=False
    )

    @property
    def root(self) -> Path:
        """The folder that holds `pyproject.toml`."""
        return self.tables.root

    @property
    def content_tables(self) -> tuple[str, ...]:
        """The NAMEs of `[tool.hatch-connect.content.NAME]`, in the order of the file."""
        return tuple(self.tables.table("tool", "hatch-connect", "content") or {})

    @property
    def contents(self) -> tuple[str | None, ...]:
        """Every piece of content: NAMEs, and None for the main table.

        Beside `content` tables the main one is content of its own only if it names its entrypoint;
        otherwise it holds what the others inherit.
        """
        table, names = self.tables.table, self.content_tables
        main = table("tool", "hatch-connect") or table("tool", "rsconnect") or {}
        return (None, *names) if not names or "entrypoint" in main else names

    def beside(self, folder: Path) -> Project | None:
        """Return the project in another folder, such as a member of a workspace; None for none.

        Each is read once. Raises ConfigurationError for broken TOML.
        """
        if folder == self.root:
            return self
        if folder not in self._beside:
            there = (folder / PYPROJECT).is_file()
            self._beside[folder] = read_project(folder) if there else None
        return self._beside[folder]

    def content(
        self,
        name: str | None = None,
        *,
        on: str | None = None,
        overrides: Mapping[str, object] | None = None,
        packages_only: bool = False,
    ) -> ProjectConfig:
        """Return the configuration of one piece of content; None is the main one.

        `overrides` are keys of `[tool.hatch-connect]` as given on a call; they win.
        `packages_only` needs no table of ours, and leaves the entrypoint alone. Raises
        ConfigurationError with all problems at once, UsageError for a content that is not there.
        """
        tables, metadata, problems = self.tables, self.metadata, list(self.problems)
        settings = layers_of(
            tables, overrides=overrides or {}, content=name, on=on, problems=problems
        )
        own = settings.own(name)
        packaged = metadata.build_backend is not None
        kind = (
            read_mode(settings)
            if packages_only
            else read_kind(settings, own, tables.root, packaged=packaged)
        )
        values = self._values(settings, own, kind, name)
        if problems:
            raise ConfigurationError(
                tuple(dict.fromkeys(problems)), where=str(tables.path), hint=_hint(tables, kind)
            )
        return ProjectConfig(
            project=self,
            root=tables.root,
            path=tables.path,
            project_name=metadata.name,
            version=metadata.version,
            requires_python=metadata.requires_python,
            build_backend=metadata.build_backend,
            build_requires=metadata.build_requires,
            dependencies=metadata.dependencies,
            metadata=metadata,
            content=name,
            app_mode=kind.mode,
            entrypoint=kind.entrypoint,
            folder=kind.folder,
            rendered=kind.rendered,
            hide_all_input=kind.hide_all_input,
            hide_tagged_input=kind.hide_tagged_input,
            unused_keys=kind.unused,
            **values,
        )

    def _values(
        self, settings: Layers, own: Layers, kind: ContentKind, name: str | None
    ) -> dict[str, Any]:
        """Read all settings but those of the kind, in the order that messages have them in."""
        environment = read_hatch_environment(
            self.tables,
            settings.read("hatch-env"),
            asked=settings.called("hatch-env"),
            problems=settings.problems,
        )
        values = {"hatch_environment": environment} | settings.values("content")
        called = f"{self.metadata.name}-{name}" if name else self.metadata.name
        values["content_name"] = values["content_name"] or valid_content_name(called)
        values["servers"] = servers_of(self.tables, name, settings.problems)
        values |= _that_apply(settings, own, kind).values("runtime")
        values |= _with_one_list(settings).values("packages")
        values |= settings.values("server", "files")
        naming = (key for key, setting in SETTINGS.items() if setting.names_python)
        values["names_python"] = any(own.found(key) for key in naming)
        values["keys_of_packages"] = _keys_of_packages(settings, kind)
        return values


def read_project(root: Path) -> Project:
    """Read the files of the project in `root`; content is read from what this returns.

    Raises UsageError without a project, ConfigurationError for broken TOML.
    """
    tables = read_tables(root.absolute())
    problems: list[str] = []
    return Project(
        tables=tables, metadata=read_metadata(tables, problems), problems=tuple(problems)
    )


def _hint(tables: ProjectTables, kind: ContentKind) -> str | None:
    if kind.known or tables.table("tool", "hatch-connect"):
        return None
    return 'The least there is: [tool.hatch-connect] with app-mode = "fastapi".'


def _keys_of_packages(settings: Layers, kind: ContentKind) -> tuple[str, ...]:
    of_packages = [setting for setting in SETTINGS.values() if setting.part == "packages"]
    of_packages.sort(key=lambda setting: not setting.names_python)
    keys = [setting.key for setting in of_packages]
    if kind.known:
        keys += _keys_of_runtime(kind.mode)
    return tuple(settings.called(key) for key in keys if settings.found(key))


def _keys_of_runtime(mode: AppMode) -> list[str]:
    """Return the settings of what runs the content that mean nothing without Python's packages.

    Only files that are handed out as they are need no image.
    """
    runtime = [key for key, setting in SETTINGS.items() if setting.part == "runtime"]
    return [key for key in runtime if key != "image" or mode.is_html]


def _that_apply(settings: Layers, own: Layers, kind: ContentKind) -> Layers:
    """Return the settings without those that mean nothing for content without packages.

    Only the content's `own` ones are problems there, inherited ones are not.
    """
    if not kind.known or kind.mode.has_python:
        return settings
    reason = "for which the server installs no packages"
    if kind.mode.is_html:
        reason = "which has no environment: the server hands out its files as they are"
    refused = _keys_of_runtime(kind.mode)
    settings.problems.extend(
        f"{own.called(key)} has no meaning for {kind.mode.title} content, {reason}."
        for key in refused
        if own.found(key)
    )
    return settings.without(refused)


def _with_one_list(settings: Layers) -> Layers:
    """Keep the one layer that names the packages' file: a call's wins over either in a table."""
    both = ("lock", "requirements-file")
    strongest = settings.strongest(*both)
    if strongest is None:
        return settings
    if strongest.where is None and settings.flag("force-generate"):
        settings.problems.append(
            "`force-generate` takes what is installed, and `lock` and `requirements-file` name a"
            " list: give one of them."
        )
    if {*both} <= set(strongest.table):
        settings.problems.append(
            f"{strongest.called('lock')} and {strongest.called('requirements-file')} exclude one"
            " another: both name the file with the packages."
        )
    return settings.without(both, besides=strongest)
