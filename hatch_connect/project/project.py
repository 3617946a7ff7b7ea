"""`pyproject.toml` as values: what a project is, and what its configuration asks for.

`[tool.hatch-connect]` is ours; a project that has only `[tool.rsconnect]`, the table of the
official client, is read as well. `[tool.hatch-connect.content.NAME]` describes further content,
`[tool.hatch-connect.on.NICKNAME]` what differs on one server; both inherit the main table.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from hatch_connect.errors import ConfigurationError, UsageError
from hatch_connect.project.content_kind import find_app_mode
from hatch_connect.project.declared import NOTHING, read_declared
from hatch_connect.project.entrypoints import locate_entrypoint
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
    from hatch_connect.project.declared import DeclaredSettings
    from hatch_connect.project.discovery import Entrypoint
    from hatch_connect.project.reading import ProjectTables


_OF_NOTEBOOKS = ("static", "hide-all-input", "hide-tagged-input")
_HTML = find_app_mode("static")
_DEFAULT = find_app_mode("python-api")
"""Stands for the mode of a project that only lists its packages and names none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectConfig(Settings):
    """Everything that a project's files say of one piece of content, defaults filled in.

    `project` is what it was read from, `content` the NAME of the `content` table, `overrides` what
    a call gave for keys of `[tool.hatch-connect]` (never secrets). `build_backend` is None without
    `[build-system]`, and setuptools' legacy one if that table names none, as for pip. `entrypoint`
    is with `folder` as the bundle's root. `servers` are the nicknames of `on` tables, with the URL
    that each one gives or None. `names_python` says whether the content's own table, or the call,
    names its packages or its Python; `declared` is what its `settings` tables say of the content on
    the server; `keys_of_packages` are the keys set that mean nothing if no packages are installed,
    `unused_keys` those that mean nothing here.
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
    overrides: Mapping[str, object] = field(repr=False, hash=False)
    folder: str = ""
    servers: tuple[tuple[str, str | None], ...] = ()
    names_python: bool = False
    declared: DeclaredSettings = NOTHING
    keys_of_packages: tuple[str, ...] = ()
    unused_keys: tuple[str, ...] = ()

    @property
    def content_root(self) -> Path:
        """The folder whose content becomes the bundle's root if the tree ships."""
        return self.root / self.folder if self.folder else self.root

    def on(self, server: str) -> ProjectConfig:
        """Return the same content with what the project's table says of this server."""
        return self.project.content(self.content, on=server, overrides=self.overrides)

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
    problems: tuple[str, ...]
    _beside: dict[Path, Project | None] = field(
        init=False, default_factory=dict, repr=False, compare=False
    )
    _located: dict[tuple[str, str], Entrypoint | None] = field(
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
        given = overrides or {}
        settings = layers_of(tables, overrides=given, content=name, on=on, problems=problems)
        own = settings.own(name)
        mode = _app_mode(settings) if settings.found("app-mode") or not packages_only else None
        values = {"app_mode": mode} if packages_only else self._kind(settings, own, mode)
        values |= self._values(settings, own, values["app_mode"], name)
        if problems:
            raise ConfigurationError(
                tuple(dict.fromkeys(problems)), where=str(tables.path), hint=_hint(tables, mode)
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
            overrides=given,
            **(values | {"app_mode": values["app_mode"] or _DEFAULT}),
        )

    def _kind(self, settings: Layers, own: Layers, mode: AppMode | None) -> dict[str, Any]:
        """Read what the content is; settings that are not its `own` may not apply to it."""
        if mode is None:
            settings.text("entrypoint")  # to report its problems as well
            return {"app_mode": None}
        found = self._locate(settings, mode)
        entrypoint = found.entrypoint if found else None
        values: dict[str, Any] = {
            "app_mode": mode,
            "entrypoint": entrypoint,
            "folder": found.folder if found else "",
            "hide_all_input": _of_notebook(settings, own, "hide-all-input", mode),
            "hide_tagged_input": _of_notebook(settings, own, "hide-tagged-input", mode),
        }
        if _of_notebook(settings, own, "static", mode):
            html = entrypoint and f"{PurePosixPath(entrypoint).stem}.html"
            values |= {"app_mode": _HTML, "entrypoint": html, "rendered": entrypoint}
        elif not mode.is_notebook:
            set_here = (key for key in _OF_NOTEBOOKS if settings.flag(key))
            values["unused_keys"] = tuple(map(settings.called, set_here))
        return values

    def _locate(self, settings: Layers, mode: AppMode) -> Entrypoint | None:
        """Return the entrypoint; the tree is looked through once for all views of a content."""
        key = mode.name, repr(settings.found("entrypoint"))
        if key not in self._located:
            packaged = self.metadata.build_backend is not None
            located = locate_entrypoint(settings, mode, self.root, packaged=packaged)
            if settings.problems:  # which each view reports
                return located
            self._located[key] = located
        return self._located[key]

    def _values(
        self, settings: Layers, own: Layers, mode: AppMode | None, name: str | None
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
        values |= _that_apply(settings, own, mode).values("runtime")
        values |= _with_one_list(settings).values("packages")
        values |= settings.values("server", "files")
        naming = (key for key, setting in SETTINGS.items() if setting.names_python)
        values["names_python"] = any(own.found(key) for key in naming)
        values["keys_of_packages"] = _keys_of_packages(settings, mode)
        values["declared"] = read_declared(settings, self.root, content=name, mode=mode)
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


def _app_mode(settings: Layers) -> AppMode | None:
    name = settings.text("app-mode")
    called = settings.called("app-mode")
    if name is None:
        if settings.found("app-mode") is None:
            settings.problems.append(
                f'{called} is missing: set it to the type of the content, such as "python-fastapi".'
            )
        return None
    try:
        mode = find_app_mode(name)
    except UsageError as error:
        settings.problems.append(f"{called}: {error.message} {error.hint}")
        return None
    if mode.prepared:
        settings.problems.append(
            f"{called}: {mode.title} content can only be deployed from a prepared manifest.json."
        )
    return mode


def _of_notebook(settings: Layers, own: Layers, key: str, mode: AppMode) -> bool:
    flag = settings.flag(key) or False
    if flag and not mode.is_notebook and own.found(key):
        settings.problems.append(
            f"{own.called(key)} applies to Jupyter notebooks only, not to {mode.title} content."
        )
    return flag and mode.is_notebook


def _hint(tables: ProjectTables, mode: AppMode | None) -> str | None:
    if mode or tables.table("tool", "hatch-connect"):
        return None
    return (
        "Let `hatch-connect init` write it. Minimal configuration: [tool.hatch-connect] with"
        ' app-mode = "fastapi".'
    )


def _keys_of_packages(settings: Layers, mode: AppMode | None) -> tuple[str, ...]:
    of_packages = [setting for setting in SETTINGS.values() if setting.part == "packages"]
    of_packages.sort(key=lambda setting: not setting.names_python)
    # This one is named as its option, --python-version, by the call itself.
    keys = [setting.key for setting in of_packages if setting.key != "override-python-version"]
    if mode:
        keys += _keys_of_runtime(mode)
    return tuple(settings.called(key) for key in keys if settings.found(key))


def _keys_of_runtime(mode: AppMode) -> list[str]:
    """Return the settings of what runs the content that mean nothing without Python's packages.

    Only files that are handed out as they are need no image.
    """
    runtime = [key for key, setting in SETTINGS.items() if setting.part == "runtime"]
    return [key for key in runtime if key != "image" or mode.is_html]


def _that_apply(settings: Layers, own: Layers, mode: AppMode | None) -> Layers:
    """Return the settings without those that mean nothing for content without packages.

    Only the content's `own` ones are problems there, inherited ones are not.
    """
    if mode is None or mode.has_python:
        return settings
    reason = "for which no packages are installed"
    if mode.is_html:
        reason = "whose files are served as they are"
    refused = _keys_of_runtime(mode)
    settings.problems.extend(
        f"{own.called(key)} does not apply to {mode.title} content, {reason}."
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
            "`force-generate` ships the installed packages: it cannot be combined with `lock` or"
            " `requirements-file`."
        )
    if {*both} <= set(strongest.table):
        settings.problems.append(
            f"{strongest.called('lock')} and {strongest.called('requirements-file')} are mutually"
            " exclusive: both name the file with the packages."
        )
    return settings.without(both, besides=strongest)
