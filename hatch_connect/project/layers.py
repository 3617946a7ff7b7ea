"""How settings are read: which of the tables of `[tool.hatch-connect]` counts, and what it says.

What a call gave comes first, then one content's table, then the main one. Reading collects
problems; nothing here raises before all of them are known.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, assert_never

from packaging.utils import canonicalize_name

from hatch_connect.errors import UsageError
from hatch_connect.project.reading import read_table
from hatch_connect.project.settings import (
    KEYS,
    SERVER_KEYS,
    SETTINGS,
    EnvironmentEntry,
    EnvironmentManagement,
    SettingKind,
    Verification,
)
from hatch_connect.project.validators import (
    unknown_setting,
    validate_content_table,
    validate_server_url,
)
from hatch_connect.project.verification import read_verification
from hatch_connect.secret import Secret
from hatch_connect.typed import toml_type

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from hatch_connect.project.reading import ProjectTables, Toml
    from hatch_connect.project.validators import Validator

MAIN = "tool.hatch-connect"
DECLARED_TABLE = "settings"  # of each table of ours, which `declared` reads

_CALL_KEYS = frozenset(SETTINGS)
_TABLE_KEYS = KEYS | {DECLARED_TABLE}
_ON_KEYS = SERVER_KEYS | {DECLARED_TABLE}
_IDENTITY_KEYS = frozenset(key for key, setting in SETTINGS.items() if setting.identity)
_OFFICIAL = {key: key.replace("-", "_") for key, setting in SETTINGS.items() if setting.official}

_LANGUAGES = ("python", "r")


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
            return f"`{key}` (set by an option)"
        return f"`{self.where}.{self.spelled.get(key, key)}`"

    def unknown(self) -> list[str]:
        """Return a problem for each key that means nothing, with the one that comes close."""
        unknown = (key for key in self.table if key not in self.keys)
        return [unknown_setting(self.called(key), key, self.keys) for key in unknown]


@dataclass(frozen=True, slots=True, kw_only=True)
class Layers:
    """Layers, the strongest first, and the problems that reading them found.

    `everywhere` are all tables, also those of other servers and of other content.
    """

    layers: tuple[Layer, ...]
    problems: list[str]
    everywhere: tuple[Layer, ...] = ()

    def found(self, key: str) -> tuple[str, object] | None:
        """Return the strongest value of a key and how a message calls its place."""
        layer = self.strongest(key)
        return (layer.called(key), layer.table[key]) if layer else None

    def strongest(self, *keys: str) -> Layer | None:
        """Return the strongest layer that has one of these keys."""
        return next((la for la in self.layers if any(key in la.table for key in keys)), None)

    def own(self, content: str | None) -> Layers:
        """Return what a call and the tables of this content alone say: nothing is inherited."""
        here = f"tool.hatch-connect.content.{content}"
        own = (
            layer
            for layer in self.layers
            if content is None or layer.where in {None, here} or layer.where.startswith(f"{here}.")
        )
        return replace(self, layers=tuple(own))

    def without(self, keys: Collection[str], *, besides: Layer | None = None) -> Layers:
        """Return the same without these keys, but for those of one layer."""
        layers = (
            layer
            if layer is besides
            else replace(layer, table={k: v for k, v in layer.table.items() if k not in keys})
            for layer in self.layers
        )
        return replace(self, layers=tuple(layers))

    def called(self, key: str) -> str:
        """Name the place where this key is set, or where it would be."""
        return (self.strongest(key) or self.layers[-1]).called(key)

    def values(self, *parts: str) -> dict[str, Any]:
        """Read the settings of these parts, in the order in which they are declared, by field."""
        return {
            setting.field: self.read(key)
            for key, setting in SETTINGS.items()
            if setting.part in parts and setting.kind is not SettingKind.CONTENT
        }

    def read(self, key: str) -> Any:  # noqa: ANN401, C901 - as the field; one case a kind
        """Read one setting by its kind and its rule."""
        setting = SETTINGS[key]
        rule = setting.rule
        read: object
        match setting.kind:
            case SettingKind.FLAG:
                read = self.flag(key)
            case SettingKind.KEEP:
                read = self.text(key, rule) == "keep"
            case SettingKind.TEXTS:
                read = self.texts(key, rule)
            case SettingKind.ADDED:
                read = self._added_texts(key, rule)
            case SettingKind.NAMES:
                read = tuple(dict.fromkeys(map(canonicalize_name, self._added_texts(key, rule))))
            case SettingKind.VARIABLES:
                read = self._variables(key, rule)
            case SettingKind.NOTES:
                read = self._notes(key)
            case SettingKind.LANGUAGES:
                read = self._languages(key)
            case SettingKind.VERIFICATION:
                # None is a value of its own here, not the lack of one.
                return self._verification(key)
            case SettingKind.TEXT | SettingKind.CONTENT:  # `values` leaves the latter out
                read = self.text(key, rule)
            case _:
                assert_never(setting.kind)
        return setting.default if read is None else read

    def text(self, key: str, rule: Validator | None = None) -> str | None:
        """Read a string that is not empty."""
        found = self.found(key)
        if found is None:
            return None
        called, value = found
        if not isinstance(value, str):
            quoted = f' (write it in quotes: "{value}")' if isinstance(value, int | float) else ""
            self.problems.append(f"{called} must be a string, not {toml_type(value)}{quoted}.")
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
        self.problems.append(f"{called} must be true or false, not {toml_type(value)}.")
        return None

    def texts(self, key: str, rule: Validator | None = None) -> tuple[str, ...]:
        """Read an array of strings."""
        found = self.found(key)
        return () if found is None else self._texts(*found, rule)

    def _added_texts(self, key: str, rule: Validator | None) -> tuple[str, ...]:
        """Add what a call gave to the strongest table's."""
        call = tuple(layer for layer in self.layers if layer.where is None)
        tables = tuple(layer for layer in self.layers if layer.where is not None)
        read = (replace(self, layers=layers).texts(key, rule) for layers in (tables, call))
        return tuple(dict.fromkeys(text for texts in read for text in texts))

    def _texts(self, called: str, value: object, rule: Validator | None) -> tuple[str, ...]:
        if not isinstance(value, list | tuple):
            self.problems.append(f"{called} must be an array of strings, not {toml_type(value)}.")
            return ()
        texts = []
        for number, item in enumerate(value):
            place = f"{called[:-1]}[{number}]`" if called.endswith("`") else called
            if not isinstance(item, str):
                self.problems.append(f"{place} must be a string, not {toml_type(item)}.")
            elif (text := self._ruled(place, item, rule)) is not None:
                texts.append(text)
        return tuple(texts)

    def _variables(self, key: str, rule: Validator | None) -> tuple[EnvironmentEntry, ...]:
        """Read those of every layer; of the same name, the strongest layer's last one counts."""
        entries: dict[str, EnvironmentEntry] = {}
        for layer in reversed(self.layers):
            for text in self._texts(layer.called(key), layer.table.get(key, ()), rule):
                name, given, value = text.partition("=")
                entries[name] = EnvironmentEntry(name=name, value=Secret(value) if given else None)
        return tuple(entries.values())

    def _notes(self, key: str) -> tuple[tuple[str, str], ...] | None:
        """Read those of every layer, the strongest layer's last; None from a `false` on."""
        noted: dict[str, str] | None = {}
        for layer in reversed(self.layers):
            value = layer.table.get(key, {})
            called = layer.called(key)
            if value is False:
                noted = None
            elif not isinstance(value, dict):
                told = "true" if value is True else toml_type(value)
                self.problems.append(f"{called} must be a table of values, or false, not {told}.")
            elif value:
                noted = (noted or {}) | _noted(value, called[:-1], self.problems)
        return None if noted is None else tuple(noted.items())

    def _languages(self, key: str) -> EnvironmentManagement | None:
        """Read a boolean, or a table of booleans, by language; the strongest layer's counts."""
        said: dict[str, bool] = {}
        for layer in reversed(self.layers):
            value = layer.table.get(key)
            called = layer.called(key)
            if isinstance(value, bool):
                said |= dict.fromkeys(_LANGUAGES, value)
            elif isinstance(value, dict):
                said |= _by_language(value, called, self.problems)
            elif value is not None:
                self.problems.append(
                    f"{called} must be true, false or a table of `python` and `r`, not"
                    f" {toml_type(value)}."
                )
        return EnvironmentManagement(**said) if said else None

    def _verification(self, key: str) -> Verification | None:
        """Read true, false or a table; of tables, the strongest layer's keys count."""
        asked, place = True, ""
        said: dict[str, Any] = {}
        for layer in reversed(self.layers):
            value, called = layer.table.get(key), layer.called(key)
            if isinstance(value, bool):
                asked = value
            elif isinstance(value, dict):
                asked, place = True, called if "paths" in value else place
                said |= read_verification(value, called, self.problems)
            elif value is not None:
                told = toml_type(value)
                self.problems.append(f"{called} must be true, false or a table, not {told}.")
        if path := self.read("verify-path"):
            if place:
                other = self.called("verify-path")
                self.problems.append(f"{other} and `paths` of {place} are mutually exclusive.")
            said = {"paths": (path,)} | said
        return Verification(**said) if asked else None


def _noted(table: Toml, called: str, problems: list[str]) -> dict[str, str]:
    notes = {}
    for key, value in table.items():
        if isinstance(value, str | int | float):
            notes[key] = str(value).lower() if isinstance(value, bool) else str(value)
        else:
            problems.append(
                f"{called}.{key}` must be a string or a number, not {toml_type(value)}."
            )
    return notes


def _by_language(table: dict[str, object], called: str, problems: list[str]) -> dict[str, bool]:
    read = {}
    for language, value in table.items():
        if language not in _LANGUAGES:
            problems.append(f"{called} accepts `python` and `r`, not `{language}`.")
        elif isinstance(value, bool):
            read[language] = value
        else:
            problems.append(
                f"{called}: `{language}` must be true or false, not {toml_type(value)}."
            )
    return read


def layers_of(
    tables: ProjectTables,
    *,
    overrides: Mapping[str, object],
    content: str | None,
    on: str | None,
    problems: list[str],
) -> Layers:
    """Return the layers, the strongest first.

    The call, then the content's table for the server, the server's, the content's, the main one,
    or `[tool.rsconnect]` if a project has no table of ours. A content's table inherits all but the
    identity of the main one. An option of the call that is None was not given.
    """
    main = read_table(tables.table("tool") or {}, "hatch-connect", MAIN, problems)
    contents = _named(main, "content", problems)
    servers = _named(main, "on", problems)
    problems += [
        f"`{MAIN}.content.{name}` {wrong}."
        for name in contents
        if (wrong := validate_content_table(name))
    ]
    both = [
        _sub(f"content.{name}.on", nickname, table, _ON_KEYS)
        for name, of_content in contents.items()
        for nickname, table in _named(
            of_content, "on", problems, where=f"{MAIN}.content.{name}"
        ).items()
    ]
    by_content = {
        name: _sub("content", name, {k: v for k, v in table.items() if k != "on"}, _TABLE_KEYS)
        for name, table in contents.items()
    }
    by_server = {name: _sub("on", name, servers[name], _ON_KEYS) for name in servers}
    given = {key: value for key, value in overrides.items() if value is not None}
    call = Layer(where=None, table=given, keys=_CALL_KEYS)
    general = _general(tables, main)
    tables_of_all = (*both, *by_server.values(), *by_content.values(), general)
    for layer in (call, *tables_of_all):
        problems += layer.unknown()
    # Tables of other servers, and of other content, are only checked.
    own = [by_server[on]] if on in by_server else []
    if content is None:
        return Layers(layers=(call, *own, general), problems=problems, everywhere=tables_of_all)
    inherited = Layers(layers=(*own, general), problems=problems).without(_IDENTITY_KEYS).layers
    here = [layer for layer in both if layer.where == f"{MAIN}.content.{content}.on.{on}"]
    layers = (call, *here, *inherited[:-1], _content(by_content, content), inherited[-1])
    return Layers(layers=layers, problems=problems, everywhere=tables_of_all)


def servers_of(
    tables: ProjectTables, content: str | None, problems: list[str]
) -> tuple[tuple[str, str | None], ...]:
    """Return the nicknames that have an `on` table, each with the URL that it gives or None."""
    found: dict[str, str | None] = {}
    for keys in (("on",), *([("content", content, "on")] if content else [])):
        for name in tables.table("tool", "hatch-connect", *keys) or {}:
            table = tables.table("tool", "hatch-connect", *keys, name) or {}
            layer = _sub(".".join(keys), name, table, SERVER_KEYS)
            settings = Layers(layers=(layer,), problems=problems)
            url = settings.text("server", validate_server_url)
            found[name] = url or found.get(name)
    return tuple(found.items())


def _general(tables: ProjectTables, main: Toml) -> Layer:
    official = tables.table("tool", "rsconnect")
    if official is None or tables.table("tool", "hatch-connect") is not None:
        own = {key: value for key, value in main.items() if key not in {"content", "on"}}
        return Layer(where=MAIN, table=own, keys=_TABLE_KEYS)
    known = {ours: official[theirs] for ours, theirs in _OFFICIAL.items() if theirs in official}
    return Layer(where="tool.rsconnect", table=known, keys=KEYS, spelled=_OFFICIAL)


def _sub(kind: str, name: str, table: Toml, keys: frozenset[str]) -> Layer:
    return Layer(where=f"{MAIN}.{kind}.{name}", table=table, keys=keys)


def _content(layers: Mapping[str, Layer], name: str) -> Layer:
    if name in layers:
        return layers[name]
    there = f"This project has no `{MAIN}.content` tables."
    if layers:
        there = f"Available: {', '.join(layers)}."
    raise UsageError(f"There is no table `{MAIN}.content.{name}`.", hint=there)


def _named(parent: Toml, kind: str, problems: list[str], *, where: str = MAIN) -> dict[str, Toml]:
    named = read_table(parent, kind, f"{where}.{kind}", problems)
    return {name: read_table(named, name, f"{where}.{kind}.{name}", problems) for name in named}
