"""The layers of `[tool.hatch-connect]` as one: what a call gave, one content's table, the main one.

Whoever reads collects problems; nothing here raises before all of them are known.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from hatch_connect.project.tables import Toml

Rule: TypeAlias = Callable[[str], "str | None"]
"""What is wrong with a text, worded to follow its key; None where nothing is."""

_TYPES = {
    bool: "a boolean",
    int: "an integer",
    float: "a number",
    str: "a string",
    list: "an array",
    tuple: "an array",
    dict: "a table",
}


def type_of(value: object) -> str:
    """Call the type of a value as TOML calls it."""
    return _TYPES.get(type(value), "a date or time")


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

    def text(self, key: str, rule: Rule | None = None) -> str | None:
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

    def _ruled(self, called: str, value: str, rule: Rule | None) -> str | None:
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

    def texts(self, key: str, rule: Rule | None = None) -> tuple[str, ...]:
        """Read an array of strings."""
        found = self.found(key)
        return () if found is None else self._texts(*found, rule)

    def added_texts(self, key: str, rule: Rule | None = None) -> tuple[str, ...]:
        """Read an array of strings: what a call gave is added to the strongest table's."""
        call, table = self._parted(key)
        return tuple(dict.fromkeys((*table.texts(key, rule), *call.texts(key, rule))))

    def _parted(self, key: str) -> tuple[Settings, Settings]:
        """Part what a call gave from the tables; a key's problems are found in both."""
        call = tuple(layer for layer in self.layers if layer.where is None and key in layer.table)
        tables = tuple(layer for layer in self.layers if layer.where is not None)
        return replace(self, layers=call), replace(self, layers=tables)

    def merged_texts(self, key: str, rule: Rule | None = None) -> tuple[str, ...]:
        """Read an array of strings from every layer, the weakest first."""
        read = [
            self._texts(layer.called(key), layer.table[key], rule)
            for layer in reversed(self.layers)
            if key in layer.table
        ]
        return tuple(text for texts in read for text in texts)

    def _texts(self, called: str, value: object, rule: Rule | None) -> tuple[str, ...]:
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
