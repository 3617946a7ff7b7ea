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
    installs_project: bool = True
    members: tuple[str, ...] = ()
    sources: tuple[PackageSource, ...] = ()


def read_hatch_environment(
    tables: ProjectTables, name: str, *, asked: str, problems: list[str]
) -> HatchEnvironment:
    """Read one environment; `asked` is the setting that names it, for a message."""
    environments, place = tables.hatch_environments()
    if name not in environments and name != "default":
        known = ", ".join(sorted({"default", *environments}))
        problems.append(f"{asked}: there is no Hatch environment `{name}` (there are: {known}).")
    where = place.format(name)
    configured = _text(_inherited(environments, name, "lock-filename"))
    return HatchEnvironment(
        name=name,
        where=where,
        python=_text(_inherited(environments, name, "python")),
        lock_file=_lock_file(configured, name, where, problems),
        installs_project=_installs_project(environments, name),
        members=tuple(_members(_inherited(environments, name, "workspace"))),
        sources=tuple(_sources(tables, environments, name, problems)),
    )


def _inherited(environments: Toml, name: str, key: str) -> object:
    """Return the value of an option; None if neither the environment nor a template has it."""
    seen: set[str] = set()  # templates may name each other in a circle
    while name not in seen:
        seen.add(name)
        table = table_at(environments, name)
        if key in table or _is_detached(table):
            return table.get(key)
        template = table.get("template", "default")
        name = template if isinstance(template, str) else name
    return None


def _sources(
    tables: ProjectTables, environments: Toml, name: str, problems: list[str]
) -> Iterator[PackageSource]:
    """Return the sources of an environment.

    An environment's own come before those of its template; the table outside of all environments
    is a part of `default`.
    """
    chain: list[str] = []
    while name not in chain:
        chain.append(name)
        table = environments.get(name)
        template = "default" if not isinstance(table, dict) else table.get("template", "default")
        if isinstance(table, dict) and not _is_detached(table) and isinstance(template, str):
            name = template
        elif table is None:
            name = "default"
    key, _, file = tables.hatch_environments()[1].partition(" in ")
    beside = f".sources.{{}} in {file}" if file else ".sources.{}"
    levels = [
        (own.get("sources", {}), key.replace("{}", one) + beside)
        for one in chain
        if isinstance(own := environments.get(one), dict)
    ]
    found: dict[str, PackageSource] = {}
    for table, where in (*levels, *([tables.hatch_sources()] if "default" in chain else ())):
        if not isinstance(table, dict):
            called = where.replace(".{}", "")
            problems.append(f"`{called}` must be a table, not {toml_type(table)}.")
            continue
        for key, raw in table.items():
            source = read_package_source(key, raw, where, problems)
            if source is not None:
                found.setdefault(source.name, source)
    yield from found.values()


def _is_detached(table: Toml) -> bool:
    return table.get("detached") is True


def _installs_project(environments: Toml, name: str) -> bool:
    if _is_detached(table_at(environments, name)):
        return False
    return _inherited(environments, name, "skip-install") is not True


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
            f"`{where}.lock-filename` uses a field that only Hatch can fill in: `{configured}`;"
            " name the lock with `tool.hatch-connect.lock`."
        )
    return path
