"""Adds tables and keys to a TOML file that a person wrote: comments, order and the rest stay.

What was written is read again with `tomllib` and compared, since dotted keys, inline tables and
tables out of order can be taken apart by any writer: only the additions may differ.
"""

from __future__ import annotations

import codecs
import tomllib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import tomlkit
from tomlkit.exceptions import TOMLKitError
from tomlkit.items import InlineTable

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_LONG = 3  # an array of more stands on several lines


@dataclass(frozen=True, slots=True, kw_only=True)
class Addition:
    """What one table is to have: keys that it has stay as they are, but arrays get what they lack.

    An empty one asks for the table alone.
    """

    table: tuple[str, ...]
    values: Mapping[str, object] = field(default_factory=dict)

    @property
    def lines(self) -> list[str]:
        """The table, as it is written where there is none."""
        header = ".".join(tomlkit.key(each).as_string() for each in self.table)
        return [f"[{header}]", *(_assigned(*each) for each in self.values.items())]


class CannotAddError(Exception):
    """The file cannot be changed so that nothing else changes."""


def with_additions(data: bytes, additions: Iterable[Addition]) -> bytes:
    """Return a TOML file with these additions; its newlines and its byte-order mark stay.

    Raises CannotAddError; `data` must be TOML.
    """
    mark = codecs.BOM_UTF8 if data.startswith(codecs.BOM_UTF8) else b""
    text = data.removeprefix(mark).decode()
    newline = "\r\n" if "\r\n" in text and text.count("\n") == text.count("\r\n") else "\n"
    for addition in additions:
        text = _with(text, addition, newline)
    return mark + text.encode()


def _with(text: str, addition: Addition, newline: str) -> str:
    before = tomllib.loads(text)
    wanted = tomllib.loads(text)
    _add(wanted, addition)
    if repr(wanted) == repr(before):
        return text
    for write in (_appended, _edited):
        try:
            after = write(text, addition, newline)
            read = tomllib.loads(after)
        except (TOMLKitError, ValueError, TypeError, AttributeError, LookupError):
            continue  # a table cannot be opened twice, nor an inline one be extended
        # As texts, because NaN is not equal to itself, and order counts.
        if repr(read) == repr(wanted) and after.count("#") >= text.count("#"):
            return after
    raise CannotAddError


def _add(document: dict[str, Any], addition: Addition) -> None:
    """Add to the values; raises CannotAddError where something else than a table is."""
    table = document
    for key in addition.table:
        table = table.setdefault(key, {})
        if not isinstance(table, dict):
            raise CannotAddError
    for key, value in addition.values.items():
        if isinstance(value, list):
            there = table.setdefault(key, [])
            if not isinstance(there, list):
                raise CannotAddError
            there += [each for each in value if each not in there]
        else:
            table.setdefault(key, value)


def _appended(text: str, addition: Addition, newline: str) -> str:
    """Write the table at the end: what is there stays as it is, byte by byte."""
    end = "" if not text or text.endswith("\n") else newline
    between = "" if not text or text.endswith(("\n\n", "\n\r\n")) else newline
    return text + end + between + newline.join(addition.lines).replace("\n", newline) + newline


def _edited(text: str, addition: Addition, newline: str) -> str:
    document = tomlkit.parse(text)
    table: Any = document
    for key in addition.table:
        if key not in table:
            inline = isinstance(table, InlineTable)
            table[key] = tomlkit.inline_table() if inline else tomlkit.table()
        table = table[key]
    for key, value in addition.values.items():
        if key not in table:
            table[key] = value
        elif isinstance(value, list):
            for each in value:
                if each not in table[key]:
                    table[key].append(each)
    after = tomlkit.dumps(document)
    return after if newline == "\n" else after.replace("\r\n", "\n").replace("\n", newline)


def _assigned(key: str, value: object) -> str:
    item = tomlkit.item(value)
    if isinstance(value, list) and len(value) > _LONG:
        item = tomlkit.array().multiline(multiline=True)
        item.extend(value)
    return f"{tomlkit.key(key).as_string()} = {item.as_string()}"
