"""`pyproject.toml` as values: what a project is, and what its configuration asks for.

`[tool.hatch-connect]` is ours; a project that has only `[tool.rsconnect]`, the table of the
official client, is read as well. `[tool.hatch-connect.content.NAME]` describes further content,
`[tool.hatch-connect.on.NICKNAME]` what differs on one server; both inherit the main table.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from hatch_connect.errors import ConfigurationError, UsageError
from hatch_connect.project import rules
from hatch_connect.project.app_mode import AppMode, find_app_mode
from hatch_connect.project.entrypoint import entrypoint_candidates, entrypoint_problem
from hatch_connect.project.hatch_environment import HatchEnvironment, read_hatch_environment
from hatch_connect.project.layers import layers_of
from hatch_connect.project.metadata import Metadata, read_metadata
from hatch_connect.project.settings import Settings
from hatch_connect.project.tables import find_root, read_tables
from hatch_connect.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from hatch_connect.project.tables import ProjectTables

__all__ = [
    "EnvironmentEntry",
    "ProjectConfig",
    "all_contents",
    "content_tables",
    "find_root",
    "read_project",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class EnvironmentEntry:
    """One environment variable; a bare name (no value) takes its value where we run."""

    name: str
    value: Secret | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectConfig:
    """Everything that a project's files say, defaults filled in.

    `content` is the NAME of the `content` table that this was read for. `build_backend` is None
    without `[build-system]`, and setuptools' legacy one where that table names none, as for pip.
    `environment_management` and `package_installer` are None where the server decides.
    `markers` is "target" (evaluated for one Python) or "keep".
    """

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
    env: tuple[EnvironmentEntry, ...] = ()
    lock: str | None = None
    requirements_file: str | None = None
    extras: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    python_version: str | None = None
    hatch_env: str = "default"
    image: str | None = None
    environment_management: bool | None = None
    package_installer: str | None = None
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    server: str | None = None
    guid: str | None = None
    verify: bool = True
    verify_path: str = ""
    draft: bool = False
    strict: bool = False
    hashes: bool = False


def content_tables(root: Path) -> tuple[str, ...]:
    """Return the NAMEs of `[tool.hatch-connect.content.NAME]`, in the order of the file."""
    return tuple(read_tables(root).table("tool", "hatch-connect", "content") or {})


def all_contents(root: Path) -> tuple[str | None, ...]:
    """Return every piece of content: NAMEs, and None for the main table.

    Beside `content` tables the main one is content of its own where it names its entrypoint;
    else it only says what the others inherit.
    """
    tables = read_tables(root)
    names = content_tables(root)
    main = tables.table("tool", "hatch-connect") or tables.table("tool", "rsconnect") or {}
    return (None, *names) if not names or "entrypoint" in main else names


def read_project(
    root: Path,
    *,
    overrides: Mapping[str, object] | None = None,
    content: str | None = None,
    on: str | None = None,
) -> ProjectConfig:
    """Read the project in `root`.

    `overrides` are keys of `[tool.hatch-connect]` as given on a call; they win. Raises
    ConfigurationError with all problems at once, UsageError for a content that is not there.
    """
    tables = read_tables(root.absolute())
    problems: list[str] = []
    metadata = read_metadata(tables, problems)
    layers = layers_of(tables, overrides=overrides or {}, content=content, on=on, problems=problems)
    settings = Settings(layers=layers, problems=problems)
    mode = _app_mode(settings)
    hatch_env = settings.text("hatch-env") or "default"
    config = ProjectConfig(
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
        content=content,
        app_mode=mode or _NO_MODE,
        entrypoint=_entrypoint(settings, mode, tables.root),
        title=settings.text("title", rules.title_rule),
        content_name=_content_name(settings, metadata.name, content),
        hatch_env=hatch_env,
    )
    config = _shipping(_packages(config, settings), settings)
    _check_environment(settings, mode)
    if problems:
        raise ConfigurationError(
            tuple(dict.fromkeys(problems)), where=str(tables.path), hint=_hint(tables, mode)
        )
    return config


_NO_MODE = find_app_mode("python-api")


def _hint(tables: ProjectTables, mode: AppMode | None) -> str | None:
    if mode is not None or tables.table("tool", "hatch-connect"):
        return None
    return 'The least there is: [tool.hatch-connect] with app-mode = "fastapi" and an entrypoint.'


def _app_mode(settings: Settings) -> AppMode | None:
    name = settings.text("app-mode")
    called = settings.called("app-mode")
    if name is None:
        if settings.found("app-mode") is None:
            settings.problems.append(f"{called} is missing: what kind of content is this?")
        return None
    try:
        mode = find_app_mode(name)
    except UsageError as error:
        settings.problems.append(f"{called}: {error.message} {error.hint}")
        return None
    if mode.prepared:
        settings.problems.append(
            f"{called}: {mode.title} content is deployed from a prepared manifest.json only."
        )
    return mode


def _entrypoint(settings: Settings, mode: AppMode | None, root: Path) -> str | None:
    from hatch_connect.project.app_mode import EntrypointKind

    text = settings.text("entrypoint")
    called = settings.called("entrypoint")
    if mode is None:
        return text
    if text is not None:
        wrong = entrypoint_problem(text, mode)
        if wrong:
            settings.problems.append(f"{called} {wrong}.")
        return text
    if mode.entrypoint is not EntrypointKind.NONE and settings.found("entrypoint") is None:
        settings.problems.append(f"{called} is missing: {_usual(mode, root)}")
    return None


def _usual(mode: AppMode, root: Path) -> str:
    from hatch_connect.project.app_mode import EntrypointKind

    if mode.entrypoint is EntrypointKind.FILE:
        return "name the file, by its path from the project's root."
    rule = "write `module:object`, such as `sales_api.main:app`"
    if mode.entrypoint is EntrypointKind.SCRIPT:
        rule = "name the script, such as `app.py`"
    candidates = entrypoint_candidates(root)
    if not candidates:
        return f"{rule}."
    return f"{rule}. Modules that may hold it: {', '.join(candidates)}."


def _content_name(settings: Settings, project: str, content: str | None) -> str:
    given = settings.text("content-name", rules.content_name_rule)
    return given or rules.valid_content_name(f"{project}-{content}" if content else project)


def _packages(config: ProjectConfig, settings: Settings) -> ProjectConfig:
    named = _lock_files(settings)
    return replace(
        config,
        lock=named.text("lock", rules.project_file_rule),
        requirements_file=named.text("requirements-file", rules.project_file_rule),
        extras=_normalized(settings.texts("extras")),
        groups=_normalized(settings.texts("groups")),
        python_version=settings.text("python-version"),
        image=settings.text("image"),
        environment_management=settings.flag("environment-management"),
        package_installer=settings.text("package-installer", rules.choice("pip", "uv")),
        strict=settings.flag("strict") or False,
        hashes=settings.flag("hashes") or False,
    )


def _check_environment(settings: Settings, mode: AppMode | None) -> None:
    """Refuse what configures an environment for content that has none."""
    if mode is None or mode.has_python:
        return
    settings.problems.extend(
        f"{settings.called(key)} has no meaning for {mode.title} content, which has no environment."
        for key in ("image", "environment-management", "package-installer")
        if settings.found(key)
    )


def _lock_files(settings: Settings) -> Settings:
    """Keep the one layer that names the packages' file: a call's wins over either in a table."""
    layer = settings.strongest("lock", "requirements-file")
    if layer is None:
        return settings
    if {"lock", "requirements-file"} <= set(layer.table):
        settings.problems.append(
            f"{layer.called('lock')} and {layer.called('requirements-file')} exclude one another:"
            " both name the file with the packages."
        )
    return replace(settings, layers=(layer,))


def _normalized(names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(re.sub(r"[-_.]+", "-", name).lower() for name in names))


def _shipping(config: ProjectConfig, settings: Settings) -> ProjectConfig:
    verify, draft = settings.flag("verify"), settings.flag("draft")
    return replace(
        config,
        env=_environment(settings),
        include=settings.texts("include"),
        exclude=settings.texts("exclude"),
        server=settings.text("server", rules.server_rule),
        guid=settings.text("guid", rules.guid_rule),
        verify=True if verify is None else verify,
        verify_path=settings.text("verify-path", rules.verify_path_rule) or "",
        draft=draft or False,
    )


def _environment(settings: Settings) -> tuple[EnvironmentEntry, ...]:
    """Variables of every layer; of the same name, the strongest layer's, last in its array."""
    entries: dict[str, EnvironmentEntry] = {}
    for text in settings.merged_texts("env", rules.variable_rule):
        name, given, value = text.partition("=")
        entries[name] = EnvironmentEntry(name=name, value=Secret(value) if given else None)
    return tuple(entries.values())
