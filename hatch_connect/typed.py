"""Values of JSON and TOML that others wrote, read without trusting their types."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

T = TypeVar("T")

_TYPES = {
    bool: "a boolean",
    int: "an integer",
    float: "a number",
    str: "a string",
    list: "an array",
    tuple: "an array",
    dict: "an object",
    type(None): "null",
}


def json_type(value: object) -> str:
    """Return JSON's name for the type of a value."""
    return _TYPES.get(type(value), "a date or time")  # which only TOML has


def toml_type(value: object) -> str:
    """Return TOML's name for the type of a value."""
    return "a table" if isinstance(value, dict) else json_type(value)


def optional(
    fields: Mapping[str, object], key: str, kind: type[T], wrong: Callable[[object], Exception]
) -> T | None:
    """Return the value of a key, or None if it is missing or null.

    A value of another type raises the exception that `wrong` makes of it. A boolean is no integer.
    """
    value = fields.get(key)
    if value is None or (isinstance(value, kind) and (kind is bool or not isinstance(value, bool))):
        return value
    raise wrong(value)


def value_at(value: object, *keys: str) -> object:
    """Return what nested tables hold at these keys; None if they hold nothing there."""
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value


def table_at(value: object, *keys: str) -> Mapping[str, object]:
    """Return the table at these keys; an empty one if there is none."""
    found = value_at(value, *keys)
    return found if isinstance(found, dict) else {}


def text_at(value: object, *keys: str) -> str | None:
    """Return the text at these keys; None if there is none."""
    found = value_at(value, *keys)
    return found if isinstance(found, str) else None


def list_at(value: object, *keys: str) -> list[object]:
    """Return the array at these keys; an empty one if there is none."""
    found = value_at(value, *keys)
    return found if isinstance(found, list) else []


def texts_at(value: object, *keys: str) -> tuple[str, ...]:
    """Return the texts of the array at these keys; none if there is no array."""
    return tuple(item for item in list_at(value, *keys) if isinstance(item, str))
