"""The settings of `[tool.hatch-connect]`: which table counts, which keys, what each may say.

What a call gave comes first, then one content's table, then the main one. Reading collects
problems; nothing here raises before all of them are known.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from hatch_connect.errors import UsageError
from hatch_connect.project.reading import type_of
from hatch_connect.project.validators import (
    Validator,
    one_of,
    validate_content_table,
    validate_server_url,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hatch_connect.project.content_kind import AppMode
    from hatch_connect.project.reading import ProjectTables, Toml

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
"""Keys that identify content on a server: further content must not inherit those of the main."""

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
"""Keys that a call may override; those for one call only have no place in a table."""

_OFFICIAL = {
    "app-mode": "app_mode",
    "entrypoint": "entrypoint",
    "title": "title",
    "requirements-file": "requirements_file",
}


_MANAGEMENT = "environment-management"
_LANGUAGES = ("python", "r")
_OF_PACKAGES = (_MANAGEMENT, "package-installer")


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """One table of settings; `where` is its full TOML key, or None for what a call gave."""

    where: str | None
    table: Toml
    keys: frozenset[str]
    spelled: dict[str, str] = field(default_factory=dict)

    def called(self, key: str) -> str:
        """Name one of its keys as a message does."""
        if self.where is None:
            return f"`{key}` (given on this call)"
        return f"`{self.where}.{self.spelled.get(key, key)}`"

    def unknown(self) -> list[str]:
        """Return a problem for each key that means nothing, with the one that comes close."""
        from difflib import get_close_matches

        problems = []
        for key in self.table:
            if key in self.keys:
                continue
            close = get_close_matches(key.replace("_", "-"), sorted(self.keys), n=1)
            meant = f" (did you mean `{close[0]}`?)" if close else ""
            problems.append(f"{self.called(key)} is no setting{meant}.")
        return problems


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Layers, the strongest first, and the problems that reading them found."""

    layers: tuple[Layer, ...]
    problems: list[str]

    def found(self, key: str) -> tuple[str, object] | None:
        """Return the strongest value of a key and how a message calls its place."""
        for layer in self.layers:
            if key in layer.table:
                return layer.called(key), layer.table[key]
        return None

    def strongest(self, *keys: str) -> Layer | None:
        """Return the strongest layer that has one of these keys."""
        return next((la for la in self.layers if any(key in la.table for key in keys)), None)

    def own(self, content: str | None) -> Settings:
        """Return what a call and the tables of this content alone say: nothing is inherited."""
        here = f"tool.hatch-connect.content.{content}"
        own = (
            layer
            for layer in self.layers
            if content is None or layer.where in {None, here} or layer.where.startswith(f"{here}.")
        )
        return replace(self, layers=tuple(own))

    def without(self, keys: frozenset[str]) -> Settings:
        """Return the same without these keys."""
        layers = (
            replace(layer, table={k: v for k, v in layer.table.items() if k not in keys})
            for layer in self.layers
        )
        return replace(self, layers=tuple(layers))

    def called(self, key: str) -> str:
        """Name the place where this key is set, or where it would be."""
        for layer in self.layers:
            if key in layer.table:
                return layer.called(key)
        return self.layers[-1].called(key)

    def text(self, key: str, rule: Validator | None = None) -> str | None:
        """Read a string that is not empty."""
        found = self.found(key)
        if found is None:
            return None
        called, value = found
        if not isinstance(value, str):
            quoted = f' (write it in quotes: "{value}")' if isinstance(value, int | float) else ""
            self.problems.append(f"{called} must be a string, not {type_of(value)}{quoted}.")
            return None
        return self._ruled(called, value, rule)

    def _ruled(self, called: str, value: str, rule: Validator | None) -> str | None:
        if not value.strip():
            self.problems.append(f"{called} must not be empty.")
            return None
        wrong = rule(value) if rule else None
        if wrong:
            self.problems.append(f"{called} {wrong}.")
            return None
        return value

    def flag(self, key: str) -> bool | None:
        """Read a boolean."""
        found = self.found(key)
        if found is None:
            return None
        called, value = found
        if isinstance(value, bool):
            return value
        self.problems.append(f"{called} must be true or false, not {type_of(value)}.")
        return None

    def texts(self, key: str, rule: Validator | None = None) -> tuple[str, ...]:
        """Read an array of strings."""
        found = self.found(key)
        return () if found is None else self._texts(*found, rule)

    def added_texts(self, key: str, rule: Validator | None = None) -> tuple[str, ...]:
        """Read an array of strings: what a call gave is added to the strongest table's."""
        call, table = self._parted(key)
        return tuple(dict.fromkeys((*table.texts(key, rule), *call.texts(key, rule))))

    def _parted(self, key: str) -> tuple[Settings, Settings]:
        """Return the settings of the call and those of the tables; both collect problems."""
        call = tuple(layer for layer in self.layers if layer.where is None and key in layer.table)
        tables = tuple(layer for layer in self.layers if layer.where is not None)
        return replace(self, layers=call), replace(self, layers=tables)

    def merged_texts(self, key: str, rule: Validator | None = None) -> tuple[str, ...]:
        """Read an array of strings from every layer, the weakest first."""
        read = [
            self._texts(layer.called(key), layer.table[key], rule)
            for layer in reversed(self.layers)
            if key in layer.table
        ]
        return tuple(text for texts in read for text in texts)

    def _texts(self, called: str, value: object, rule: Validator | None) -> tuple[str, ...]:
        if not isinstance(value, list | tuple):
            self.problems.append(f"{called} must be an array of strings, not {type_of(value)}.")
            return ()
        texts = []
        for number, item in enumerate(value):
            place = f"{called[:-1]}[{number}]`" if called.endswith("`") else called
            if not isinstance(item, str):
                self.problems.append(f"{place} must be a string, not {type_of(item)}.")
            elif (text := self._ruled(place, item, rule)) is not None:
                texts.append(text)
        return tuple(texts)


@dataclass(frozen=True, slots=True, kw_only=True)
class EnvironmentManagement:
    """Whether the server installs the packages of each language; None: as the server decides."""

    python: bool | None = None
    r: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Runtime:
    """What was asked for; None if the server decides."""

    image: str | None = None
    management: EnvironmentManagement | None = None
    package_installer: str | None = None


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
    or `[tool.rsconnect]` if a project has no table of ours. A content's table inherits all but the
    identity of the main one. An option of the call that is None was not given.
    """
    main = _table(tables.table("tool"), "hatch-connect", MAIN, problems)
    contents = _named(main, "content", problems)
    servers = _named(main, "on", problems)
    problems += [
        f"`{MAIN}.content.{name}` {wrong}."
        for name in contents
        if (wrong := validate_content_table(name))
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
            url = settings.text("server", validate_server_url)
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


def read_runtime(settings: Settings, own: Settings, mode: AppMode | None) -> Runtime:
    """Read the runtime settings; for content without an environment of its own they are problems.

    Inherited ones are no problem there: only the content's `own` settings are.
    """
    if mode is not None:
        refused = dict(_refused(mode))
        settings.problems.extend(
            f"{own.called(key)} has no meaning for {mode.title} content, {reason}."
            for key, reason in refused.items()
            if own.found(key)
        )
        settings = settings.without(frozenset(refused))
    return Runtime(
        image=settings.text("image"),
        management=_management(settings),
        package_installer=settings.text("package-installer", one_of("pip", "uv")),
    )


def runtime_keys(mode: AppMode) -> tuple[str, ...]:
    """Return the keys that have no effect if no packages of Python are installed."""
    return tuple(dict.fromkeys((*(key for key, _ in _refused(mode)), *_OF_PACKAGES)))


def _refused(mode: AppMode) -> tuple[tuple[str, str], ...]:
    if mode.has_python:
        return ()
    reason = "which has no environment: the server hands out its files as they are"
    if mode.name == "static":
        return tuple((key, reason) for key in ("image", _MANAGEMENT, "package-installer"))
    reason = "for which the server installs no packages"
    return tuple((key, reason) for key in (_MANAGEMENT, "package-installer"))


def _management(settings: Settings) -> EnvironmentManagement | None:
    """Read a boolean, or a table of booleans, by language; the strongest layer's counts."""
    said: dict[str, bool] = {}
    for layer in reversed(settings.layers):
        value = layer.table.get(_MANAGEMENT)
        called = layer.called(_MANAGEMENT)
        if isinstance(value, bool):
            said |= dict.fromkeys(_LANGUAGES, value)
        elif isinstance(value, dict):
            said |= _by_language(value, called, settings.problems)
        elif value is not None:
            settings.problems.append(
                f"{called} must be true, false or a table of `python` and `r`, not"
                f" {type_of(value)}."
            )
    return EnvironmentManagement(python=said.get("python"), r=said.get("r")) if said else None


def _by_language(table: dict[str, object], called: str, problems: list[str]) -> dict[str, bool]:
    read = {}
    for language, value in table.items():
        if language not in _LANGUAGES:
            problems.append(f"{called} knows `python` and `r`, not `{language}`.")
        elif isinstance(value, bool):
            read[language] = value
        else:
            problems.append(f"{called}: `{language}` must be true or false, not {type_of(value)}.")
    return read
