"""`pyproject.toml` as values: what a project is, and what its configuration asks for.

`[tool.hatch-connect]` is ours; a project that has only `[tool.rsconnect]`, the table of the
official client, is read as well. `[tool.hatch-connect.content.NAME]` describes further content,
`[tool.hatch-connect.on.NICKNAME]` what differs on one server; both inherit the main table.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from packaging.utils import canonicalize_name

from hatch_connect.errors import ConfigurationError
from hatch_connect.project.entrypoints import ContentKind, read_kind, read_mode
from hatch_connect.project.hatch_environment import HatchEnvironment, read_hatch_environment
from hatch_connect.project.layers import (
    EnvironmentManagement,
    Settings,
    layers_of,
    read_runtime,
    runtime_keys,
    servers_of,
)
from hatch_connect.project.metadata import Metadata, read_metadata
from hatch_connect.project.reading import read_tables, type_of
from hatch_connect.project.validators import (
    one_of,
    valid_content_name,
    validate_content_name,
    validate_guid,
    validate_project_file,
    validate_server,
    validate_title,
    validate_variable,
    validate_verify_path,
)
from hatch_connect.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from hatch_connect.project.content_kind import AppMode
    from hatch_connect.project.reading import ProjectTables, Toml

ARCHITECTURES = ("x86_64", "aarch64")
"""The machines that Connect runs on, as markers call them."""

_NAMES_PYTHON = ("lock", "requirements-file", "python-version")
_OF_PACKAGES = (
    *(*_NAMES_PYTHON, "force-generate", "hatch-env", "extras", "groups", "strict", "hashes"),
    *("markers", "index-urls", "compile-requirements", "architecture"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class EnvironmentEntry:
    """One environment variable; a bare name takes its value from the environment of the call."""

    name: str
    value: Secret | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectConfig:
    """Everything that a project's files say of one piece of content, defaults filled in.

    `project` is what it was read from, `content` the NAME of the `content` table. `build_backend`
    is None without `[build-system]`, and setuptools' legacy one if that table names none, as for
    pip. `entrypoint` is as in the manifest, with `folder` as the bundle's root; `rendered` is a
    notebook of which only the HTML ships. `servers` are the nicknames of `on` tables, with the
    URL that each one gives or None. `metadata_of_bundle` is None for `false`.
    `environment_management` and `package_installer` are None if the server decides.
    `names_python` says whether the content's own table, or the call, names its packages or its
    Python; `keys_of_packages` are the keys set that mean nothing if no packages are installed,
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
    app_mode: AppMode
    entrypoint: str | None
    title: str | None
    content_name: str
    folder: str = ""
    rendered: str | None = None
    hide_all_input: bool = False
    hide_tagged_input: bool = False
    env: tuple[EnvironmentEntry, ...] = ()
    metadata_of_bundle: tuple[tuple[str, str], ...] | None = ()
    lock: str | None = None
    requirements_file: str | None = None
    force_generate: bool = False
    extras: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    python_version: str | None = None
    hatch_env: str = "default"
    image: str | None = None
    environment_management: EnvironmentManagement | None = None
    package_installer: str | None = None
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    follow_links: tuple[str, ...] = ()
    server: str | None = None
    servers: tuple[tuple[str, str | None], ...] = ()
    guid: str | None = None
    verify: bool = True
    verify_path: str = ""
    draft: bool = False
    strict: bool = False
    hashes: bool = False
    keep_markers: bool = False
    keep_indexes: bool = False
    compile_requirements: bool = False
    architecture: str = "x86_64"
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
        layers = layers_of(
            tables, overrides=overrides or {}, content=name, on=on, problems=problems
        )
        settings = Settings(layers=layers, problems=problems)
        packaged = metadata.build_backend is not None
        kind = (
            read_mode(settings)
            if packages_only
            else read_kind(settings, settings.own(name), tables.root, packaged=packaged)
        )
        hatch_env = settings.text("hatch-env") or "default"
        config = ProjectConfig(
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
            hatch_environment=read_hatch_environment(
                tables, hatch_env, asked=settings.called("hatch-env"), problems=problems
            ),
            content=name,
            app_mode=kind.mode,
            entrypoint=kind.entrypoint,
            folder=kind.folder,
            rendered=kind.rendered,
            hide_all_input=kind.hide_all_input,
            hide_tagged_input=kind.hide_tagged_input,
            title=settings.text("title", validate_title),
            content_name=_content_name(settings, metadata.name, name),
            hatch_env=hatch_env,
            servers=servers_of(tables, name, problems),
        )
        config = _shipping(_packages(_runtime(config, settings, kind), settings), settings)
        config = _python(config, settings, kind)
        if problems:
            raise ConfigurationError(
                tuple(dict.fromkeys(problems)), where=str(tables.path), hint=_hint(tables, kind)
            )
        return config


def read_project(root: Path) -> Project:
    """Read the files of the project in `root`; content is read from what this returns.

    Raises UsageError without a project, ConfigurationError for broken TOML.
    """
    tables = read_tables(root.absolute())
    problems: list[str] = []
    return Project(
        tables=tables, metadata=read_metadata(tables, problems), problems=tuple(problems)
    )


def _python(config: ProjectConfig, settings: Settings, kind: ContentKind) -> ProjectConfig:
    own = settings.own(config.content)
    keys = (*_OF_PACKAGES, *(runtime_keys(kind.mode) if kind.known else ()))
    return replace(
        config,
        names_python=any(own.found(key) for key in _NAMES_PYTHON),
        keys_of_packages=tuple(settings.called(key) for key in keys if settings.found(key)),
        unused_keys=kind.unused,
    )


def _hint(tables: ProjectTables, kind: ContentKind) -> str | None:
    if kind.known or tables.table("tool", "hatch-connect"):
        return None
    return 'The least there is: [tool.hatch-connect] with app-mode = "fastapi".'


def _content_name(settings: Settings, project: str, content: str | None) -> str:
    given = settings.text("content-name", validate_content_name)
    return given or valid_content_name(f"{project}-{content}" if content else project)


def _packages(config: ProjectConfig, settings: Settings) -> ProjectConfig:
    named = _lock_files(settings)
    return replace(
        config,
        lock=named.text("lock", validate_project_file),
        requirements_file=named.text("requirements-file", validate_project_file),
        force_generate=settings.flag("force-generate") or False,
        extras=_normalized(settings.added_texts("extras")),
        groups=_normalized(settings.added_texts("groups")),
        python_version=settings.text("python-version"),
        strict=settings.flag("strict") or False,
        hashes=settings.flag("hashes") or False,
        keep_markers=settings.text("markers", one_of("target", "keep")) == "keep",
        keep_indexes=settings.text("index-urls", one_of("none", "keep")) == "keep",
        compile_requirements=settings.flag("compile-requirements") or False,
        architecture=settings.text("architecture", one_of(*ARCHITECTURES)) or "x86_64",
    )


def _runtime(config: ProjectConfig, settings: Settings, kind: ContentKind) -> ProjectConfig:
    own = settings.own(config.content)
    runtime = read_runtime(settings, own, kind.mode if kind.known else None)
    return replace(
        config,
        image=runtime.image,
        environment_management=runtime.management,
        package_installer=runtime.package_installer,
    )


def _lock_files(settings: Settings) -> Settings:
    """Keep the one layer that names the packages' file: a call's wins over either in a table."""
    layer = settings.strongest("lock", "requirements-file")
    if layer is None:
        return settings
    if layer.where is None and settings.flag("force-generate"):
        settings.problems.append(
            "`force-generate` takes what is installed, and `lock` and `requirements-file` name a"
            " list: give one of them."
        )
    if {"lock", "requirements-file"} <= set(layer.table):
        settings.problems.append(
            f"{layer.called('lock')} and {layer.called('requirements-file')} exclude one another:"
            " both name the file with the packages."
        )
    return replace(settings, layers=(layer,))


def _normalized(names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(map(canonicalize_name, names)))


def _shipping(config: ProjectConfig, settings: Settings) -> ProjectConfig:
    verify, draft = settings.flag("verify"), settings.flag("draft")
    return replace(
        config,
        env=_environment(settings),
        metadata_of_bundle=_metadata_of_bundle(settings),
        include=settings.added_texts("include"),
        exclude=settings.added_texts("exclude"),
        follow_links=settings.texts("follow-links"),
        server=settings.text("server", validate_server),
        guid=settings.text("guid", validate_guid),
        verify=True if verify is None else verify,
        verify_path=settings.text("verify-path", validate_verify_path) or "",
        draft=draft or False,
    )


def _environment(settings: Settings) -> tuple[EnvironmentEntry, ...]:
    """Variables of every layer; of the same name, the strongest layer's, last in its array."""
    entries: dict[str, EnvironmentEntry] = {}
    for text in settings.merged_texts("env", validate_variable):
        name, given, value = text.partition("=")
        entries[name] = EnvironmentEntry(name=name, value=Secret(value) if given else None)
    return tuple(entries.values())


def _metadata_of_bundle(settings: Settings) -> tuple[tuple[str, str], ...] | None:
    """Return the notes of every layer, the strongest layer's last; None from a `false` on."""
    noted: dict[str, str] | None = {}
    for layer in reversed(settings.layers):
        value = layer.table.get("metadata", {})
        if value is False:
            noted = None
        elif not isinstance(value, dict):
            told = "true" if value is True else type_of(value)
            called = layer.called("metadata")
            settings.problems.append(f"{called} must be a table of values, or false, not {told}.")
        elif value:
            noted = (noted or {}) | _notes(value, layer.called("metadata")[:-1], settings.problems)
    return None if noted is None else tuple(noted.items())


def _notes(table: Toml, called: str, problems: list[str]) -> dict[str, str]:
    notes = {}
    for key, value in table.items():
        if isinstance(value, str | int | float):
            notes[key] = str(value).lower() if isinstance(value, bool) else str(value)
        else:
            problems.append(f"{called}.{key}` must be a string or a number, not {type_of(value)}.")
    return notes
