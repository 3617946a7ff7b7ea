"""What `pyproject.toml` says of the project itself, without running its build.

Dynamic fields (PEP 621) stay unknown here: only the build knows the version of its wheel. Single
packages may have a source of their own in place of an index (Hatch 1.18, uv).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from packaging.utils import canonicalize_name

from hatch_connect.project.reading import read_table, read_utf8
from hatch_connect.secret import excerpt
from hatch_connect.typed import text_at, toml_type

if TYPE_CHECKING:
    from packaging.markers import Marker
    from packaging.requirements import Requirement
    from packaging.specifiers import SpecifierSet

    from hatch_connect.project.reading import ProjectTables, Toml

_SETUP_CFG = "setup.cfg"
_LEGACY_BACKEND = "setuptools.build_meta:__legacy__"
# What pip builds with if `[build-system]` does not say (PEP 517, PEP 518).
_DEFAULT_REQUIRES = ("setuptools>=40.8.0",)

_KINDS = ("path", "git", "url", "index", "workspace")
_REFERENCES = ("rev", "tag", "branch")


@dataclass(frozen=True, slots=True, kw_only=True)
class Metadata:
    """`[project]`, `[build-system]` and `[dependency-groups]`; requirements are as written.

    `groups` holds each group's requirements with its includes resolved; names of extras and
    groups are as written. `dynamic` names what only a build can tell; `uv` is
    `[tool.uv]`, which says where requirements come from. `python_elsewhere` holds the ranges of
    Python in the configuration of setuptools and Poetry, each with its place.
    """

    name: str
    version: str | None
    requires_python: str | None
    dependencies: tuple[str, ...]
    extras: tuple[tuple[str, tuple[str, ...]], ...]
    groups: tuple[tuple[str, tuple[str, ...]], ...]
    dynamic: tuple[str, ...]
    build_backend: str | None
    build_requires: tuple[str, ...]
    has_project: bool
    uv: Toml = field(hash=False)
    python_elsewhere: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PackageSource:
    """The source of one package; `where` is its name in a message.

    `place` is a path from the project's root, a repository, a URL, an index's URL, or "" for a
    member of the workspace; `reference` the commit, tag or branch; `marker` is uv's.
    """

    name: str
    kind: str
    place: str
    where: str
    reference: str = ""
    below: str = ""
    marker: str = ""

    def __str__(self) -> str:
        if self.kind == "workspace":
            return "a member of the workspace"
        at = f"@{self.reference}" if self.reference else ""
        below = f" ({self.below})" if self.below else ""
        kind = "the index " if self.kind == "index" else ""
        return f"{kind}{excerpt(self.place + at)}{below}"


def read_metadata(tables: ProjectTables, problems: list[str]) -> Metadata:
    """Read them; problems are added with their full key."""
    project = read_table(tables.pyproject, "project", "project", problems)
    build = read_table(tables.pyproject, "build-system", "build-system", problems)
    requires = _texts(build, "requires", "build-system.requires", problems)
    return Metadata(
        name=_name(project, tables, problems),
        version=_text(project, "version", problems),
        requires_python=_requires_python(project, problems),
        dependencies=_requirements(project, "dependencies", "project.dependencies", problems),
        extras=_extras(project, problems),
        groups=_groups(tables, problems),
        dynamic=_texts(project, "dynamic", "project.dynamic", problems),
        build_backend=_backend(tables, build),
        build_requires=requires or (_DEFAULT_REQUIRES if build else ()),
        has_project="project" in tables.pyproject,
        uv=tables.table("tool", "uv") or {},
        python_elsewhere=(*_of_setup_cfg(tables, project, problems), *_of_poetry(tables)),
    )


def _name(project: Toml, tables: ProjectTables, problems: list[str]) -> str:
    name = _text(project, "name", problems)
    if name is None and project and "name" not in project:
        problems.append("`project.name` is missing: the [project] table must name the project.")
    return name or tables.root.absolute().name or "content"


def _backend(tables: ProjectTables, build: Toml) -> str | None:
    if "build-system" not in tables.pyproject:
        return None
    backend = text_at(build, "build-backend")
    return _LEGACY_BACKEND if backend is None else backend


def _requires_python(project: Toml, problems: list[str]) -> str | None:
    text = _text(project, "requires-python", problems)
    if text is not None and parse_specifier(text) is None:
        problems.append(
            f"`project.requires-python` is not a valid version specifier: `{excerpt(text)}`."
        )
        return None
    return text


def _of_setup_cfg(
    tables: ProjectTables, project: Toml, problems: list[str]
) -> tuple[tuple[str, str], ...]:
    """Return `python_requires`, which counts if `[project]` says nothing of Python."""
    path = tables.root / _SETUP_CFG
    if "requires-python" in project or not path.is_file():
        return ()
    from configparser import Error, RawConfigParser

    parser = RawConfigParser()
    try:
        parser.read_string(read_utf8(path))
    except Error as error:
        reason = str(error).splitlines()[0]
        problems.append(f"{_SETUP_CFG} cannot be parsed: {reason}.")
    called = f"`python_requires` in {_SETUP_CFG}"
    for key in ("python_requires", "python-requires"):
        if text := parser.get("options", key, fallback="").strip():
            return ((called, " ".join(text.split())),)
    return ()


def _of_poetry(tables: ProjectTables) -> tuple[tuple[str, str], ...]:
    python = (tables.table("tool", "poetry", "dependencies") or {}).get("python")
    if isinstance(python, dict):
        python = python.get("version")
    return () if python is None else (("`tool.poetry.dependencies.python`", str(python)),)


def _extras(project: Toml, problems: list[str]) -> tuple[tuple[str, tuple[str, ...]], ...]:
    key = "project.optional-dependencies"
    extras = read_table(project, "optional-dependencies", key, problems)
    return tuple((name, _requirements(extras, name, f"{key}.{name}", problems)) for name in extras)


def _groups(tables: ProjectTables, problems: list[str]) -> tuple[tuple[str, tuple[str, ...]], ...]:
    from packaging.dependency_groups import resolve_dependency_groups

    groups = read_table(tables.pyproject, "dependency-groups", "dependency-groups", problems)
    resolved = []
    for name in groups:
        try:
            found = resolve_dependency_groups(groups, name)  # type: ignore[arg-type]
        except ExceptionGroup as errors:
            problems.extend(f"`dependency-groups.{name}`: {e}." for e in errors.exceptions)
        except (TypeError, ValueError, LookupError) as error:
            problems.append(f"`dependency-groups.{name}`: {error}.")
        else:
            resolved.append((name, tuple(found)))
    return tuple(resolved)


def _requirements(table: Toml, key: str, called: str, problems: list[str]) -> tuple[str, ...]:
    """Read requirements; those with a Hatch context field (`{root:uri}`) are not parsed."""
    from packaging.requirements import InvalidRequirement, Requirement

    texts = _texts(table, key, called, problems)
    for number, text in enumerate(texts):
        if "{" in text:
            continue
        try:
            Requirement(text)
        except InvalidRequirement as error:
            reason = str(error).splitlines()[0]
            problems.append(f"`{called}[{number}]` is not a valid requirement: {reason}.")
    return texts


def _text(table: Toml, key: str, problems: list[str]) -> str | None:
    value = table.get(key)
    if value is None or isinstance(value, str):
        return value or None
    problems.append(f"`project.{key}` must be a string, not {toml_type(value)}.")
    return None


def _texts(table: Toml, key: str, called: str, problems: list[str]) -> tuple[str, ...]:
    value = table.get(key, [])
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return tuple(value)
    problems.append(f"`{called}` must be an array of strings.")
    return ()


def read_package_source(
    name: str, raw: object, where: str, problems: list[str]
) -> PackageSource | None:
    """Read one entry, a path or a table, by Hatch's rules; what Hatch refuses is a problem."""
    called = f"`{where.replace('{}', name)}`"
    table = {"path": raw} if isinstance(raw, str) else raw
    if not isinstance(table, dict):
        problems.append(f"{called} must be a path or a table, not {toml_type(raw)}.")
        return None
    kinds = [kind for kind in _KINDS if kind in table]
    if len(kinds) != 1:
        problems.append(f"{called} must have exactly one of {', '.join(_KINDS)}.")
        return None
    kind, value = kinds[0], table[kinds[0]]
    good = value is True if kind == "workspace" else isinstance(value, str) and bool(value)
    if not good:
        wanted = "`true`" if kind == "workspace" else "a non-empty string"
        problems.append(f"{called}: `{kind}` must be {wanted}.")
        return None
    return PackageSource(
        name=canonicalize_name(name),
        kind=kind,
        place="" if kind == "workspace" else str(value),
        where=called,
        reference=next((text_at(table, key) or "" for key in _REFERENCES if key in table), ""),
        below=text_at(table, "subdirectory") or "",
        marker=text_at(table, "marker") or "",
    )


def parse_requirement(text: str) -> Requirement | None:
    """Return the requirement that a line states; None if it is not one."""
    from packaging.requirements import InvalidRequirement, Requirement

    try:
        return Requirement(text)
    except InvalidRequirement:
        return None


def parse_specifier(text: str) -> SpecifierSet | None:
    """Return the range of versions that a text states (PEP 440); None if it is not one."""
    from packaging.specifiers import InvalidSpecifier, SpecifierSet

    try:
        return SpecifierSet(text)
    except InvalidSpecifier:
        return None


def parse_marker(text: str) -> Marker | None:
    """Return the environment marker that a text states (PEP 508); None if it is not one."""
    from packaging.markers import InvalidMarker, Marker

    try:
        return Marker(text)
    except InvalidMarker:
        return None
