"""Which tables speak for one piece of content, in which order, and which keys each may hold."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from hatch_connect.errors import UsageError
from hatch_connect.project import rules
from hatch_connect.project.settings import Layer, Settings, type_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hatch_connect.project.tables import ProjectTables, Toml

MAIN = "tool.hatch-connect"

SERVER_KEYS = frozenset(
    {
        "content-name",
        "draft",
        "env",
        "guid",
        "image",
        "metadata",
        "server",
        "title",
        "verify",
        "verify-path",
    }
)
"""What may differ on one server. The bundle is the same for all: an image that differs is set as
the content's own, not in the manifest."""

IDENTITY_KEYS = frozenset({"content-name", "guid"})
"""Which content on a server is meant: a further content must not be taken for the main one."""

KEYS = SERVER_KEYS | {
    "app-mode",
    "architecture",
    "compile-requirements",
    "entrypoint",
    "environment-management",
    "exclude",
    "extras",
    "follow-links",
    "groups",
    "hashes",
    "hide-all-input",
    "hide-tagged-input",
    "hatch-env",
    "image",
    "include",
    "index-urls",
    "lock",
    "markers",
    "package-installer",
    "python-version",
    "requirements-file",
    "static",
    "strict",
}

CALL_KEYS = KEYS | {"force-generate"}
"""What a call may say: what is not lasting has no place in a table."""

_OFFICIAL = {
    "app-mode": "app_mode",
    "entrypoint": "entrypoint",
    "title": "title",
    "requirements-file": "requirements_file",
}


def layers_of(
    tables: ProjectTables,
    *,
    overrides: Mapping[str, object],
    content: str | None,
    on: str | None,
    problems: list[str],
) -> tuple[Layer, ...]:
    """Return the layers, the strongest first.

    The call, then the content's table for the server, the server's, the content's, the main one,
    or `[tool.rsconnect]` where a project has no table of ours. A content's table inherits all but
    the identity of the main one. An option of the call that is None was not given.
    """
    main = _table(tables.table("tool"), "hatch-connect", MAIN, problems)
    contents = _named(main, "content", problems)
    servers = _named(main, "on", problems)
    problems += [
        f"`{MAIN}.content.{name}` {wrong}."
        for name in contents
        if (wrong := rules.content_table_rule(name))
    ]
    by_both = {
        name: _named(contents[name], "on", problems, where=f"{MAIN}.content.{name}")
        for name in contents
    }
    by_content = {
        name: _sub("content", name, {k: v for k, v in table.items() if k != "on"}, KEYS)
        for name, table in contents.items()
    }
    by_server = {name: _sub("on", name, servers[name], SERVER_KEYS) for name in servers}
    given = {key: value for key, value in overrides.items() if value is not None}
    call = Layer(where=None, table=given, keys=CALL_KEYS)
    general = _general(tables, main)
    both = [
        _sub(f"content.{name}.on", nickname, table, SERVER_KEYS)
        for name, tables_of_servers in by_both.items()
        for nickname, table in tables_of_servers.items()
    ]
    for layer in (call, *both, *by_server.values(), *by_content.values(), general):
        problems += layer.unknown()
    own = [by_server[on]] if on in by_server else []
    if content is None:
        return (call, *own, general)
    inherited = [replace(layer, table=_without_identity(layer.table)) for layer in (*own, general)]
    here = [layer for layer in both if layer.where == f"{MAIN}.content.{content}.on.{on}"]
    return (call, *here, *inherited[:-1], _content(by_content, content), inherited[-1])


def servers_of(
    tables: ProjectTables, content: str | None, problems: list[str]
) -> tuple[tuple[str, str | None], ...]:
    """Return the nicknames that have an `on` table, each with the URL that it gives or None."""
    found: dict[str, str | None] = {}
    for keys in (("on",), *([("content", content, "on")] if content else [])):
        for name in tables.table("tool", "hatch-connect", *keys) or {}:
            table = tables.table("tool", "hatch-connect", *keys, name) or {}
            layer = _sub(".".join(keys), name, table, SERVER_KEYS)
            settings = Settings(layers=(layer,), problems=problems)
            url = settings.text("server", rules.server_url_rule)
            found[name] = url or found.get(name)
    return tuple(found.items())


def _without_identity(table: Toml) -> Toml:
    return {key: value for key, value in table.items() if key not in IDENTITY_KEYS}


def _general(tables: ProjectTables, main: Toml) -> Layer:
    official = tables.table("tool", "rsconnect")
    if official is None or tables.table("tool", "hatch-connect") is not None:
        own = {key: value for key, value in main.items() if key not in {"content", "on"}}
        return Layer(where=MAIN, table=own, keys=KEYS)
    known = {ours: official[theirs] for ours, theirs in _OFFICIAL.items() if theirs in official}
    return Layer(where="tool.rsconnect", table=known, keys=KEYS, spelled=_OFFICIAL)


def _sub(kind: str, name: str, table: Toml, keys: frozenset[str]) -> Layer:
    return Layer(where=f"{MAIN}.{kind}.{name}", table=table, keys=keys)


def _content(layers: Mapping[str, Layer], name: str) -> Layer:
    if name in layers:
        return layers[name]
    there = f"There are: {', '.join(layers)}." if layers else "The project describes none."
    raise UsageError(f"There is no `{MAIN}.content.{name}`.", hint=there)


def _named(parent: Toml, kind: str, problems: list[str], *, where: str = MAIN) -> dict[str, Toml]:
    named = _table(parent, kind, f"{where}.{kind}", problems)
    return {name: _table(named, name, f"{where}.{kind}.{name}", problems) for name in named}


def _table(parent: Toml | None, key: str, called: str, problems: list[str]) -> Toml:
    value = (parent or {}).get(key, {})
    if isinstance(value, dict):
        return value
    problems.append(f"`{called}` must be a table, not {type_of(value)}.")
    return {}
