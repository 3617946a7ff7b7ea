"""The Hatch environment that a project's lock and Python come from.

It is the one that `hatch-env` names, never the one that happens to be active. Inheritance is
Hatch's: from `template`, by default from `default`; a detached environment inherits nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from hatch_connect.project.metadata import PackageSource, read_package_source
from hatch_connect.typed import list_at, table_at, toml_type

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hatch_connect.project.reading import ProjectTables, Toml


@dataclass(frozen=True, slots=True, kw_only=True)
class HatchEnvironment:
    """What we need of one environment; `where` is the name of its table in a message.

    `lock_file` is where Hatch writes its lock, whether there is one or not. An environment that
    installs the project has the project's dependencies in its lock. `members` are the folders of
    its workspace, as patterns; `sources` say where single packages come from.
    """

    name: str
    where: str
    python: str | None
    lock_file: str
    installs_project: bool
    members: tuple[str, ...]
    sources: tuple[PackageSource, ...]


def read_hatch_environment(
    tables: ProjectTables, name: str, *, asked: str, problems: list[str]
) -> HatchEnvironment:
    """Read one environment; `asked` is the setting that names it, for a message."""
    environments = table_at(tables.hatch_tables, "envs")
    if name not in environments and name != "default":
        known = ", ".join(sorted({"default", *environments}))
        problems.append(
            f"{asked}: there is no Hatch environment named `{name}` (available: {known})."
        )
    where = tables.called_in_hatch("envs").format(name)
    chain = _with_templates(environments, name)
    own = table_at(environments, name)
    return HatchEnvironment(
        name=name,
        where=where,
        python=_text(_inherited(chain, "python")),
        lock_file=_lock_file(_text(_inherited(chain, "lock-filename")), name, where, problems),
        installs_project=not _is_detached(own) and _inherited(chain, "skip-install") is not True,
        members=tuple(_members(_inherited(chain, "workspace"))),
        sources=_sources(tables, chain, problems),
    )


def _with_templates(environments: Toml, name: str) -> dict[str, Toml]:
    """Return the tables of an environment and of those that it inherits from, the nearest first."""
    chain: dict[str, Toml] = {}
    while name not in chain:  # templates may name each other in a circle
        chain[name] = table = table_at(environments, name)
        template = table.get("template", "default")
        if isinstance(template, str) and not _is_detached(table):
            name = template
    return chain


def _is_detached(table: Toml) -> bool:
    return table.get("detached") is True


def _inherited(chain: dict[str, Toml], key: str) -> object:
    """Return the value of an option; None if neither the environment nor a template has it."""
    return next((table[key] for table in chain.values() if key in table), None)


def _sources(
    tables: ProjectTables, chain: dict[str, Toml], problems: list[str]
) -> tuple[PackageSource, ...]:
    """Return the sources of an environment.

    An environment's own come before those of its template; the table outside of all environments
    is a part of `default`.
    """
    key, _, file = tables.called_in_hatch("envs").partition(" in ")
    beside = f".sources.{{}} in {file}" if file else ".sources.{}"
    levels = [
        (table.get("sources", {}), key.replace("{}", name) + beside)
        for name, table in chain.items()
    ]
    if "default" in chain:
        sources = tables.hatch_tables.get("sources", {})
        levels.append((sources, tables.called_in_hatch("sources")))
    found: dict[str, PackageSource] = {}
    for table, where in levels:
        if not isinstance(table, dict):
            called = where.replace(".{}", "")
            problems.append(f"`{called}` must be a table, not {toml_type(table)}.")
            continue
        for name, raw in table.items():
            source = read_package_source(name, raw, where, problems)
            if source is not None:
                found.setdefault(source.name, source)
    return tuple(found.values())


def _members(workspace: object) -> Iterator[str]:
    """Return the paths of the members, each of which is a text or a table with its `path`."""
    for member in list_at(workspace, "members"):
        path = member.get("path") if isinstance(member, dict) else member
        if isinstance(path, str):
            yield path.replace("{root}/", "").removeprefix("./")


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def _lock_file(configured: str | None, name: str, where: str, problems: list[str]) -> str:
    if configured is None:
        return "pylock.toml" if name == "default" else f"pylock.{name.replace('.', '-')}.toml"
    path = configured.replace("{env_name}", name).replace("{root}/", "")
    if "{" in path:
        problems.append(
            f"`{where}.lock-filename` has a field that only Hatch can fill in: `{configured}`."
            " Set `tool.hatch-connect.lock` to the lock instead."
        )
    return path
