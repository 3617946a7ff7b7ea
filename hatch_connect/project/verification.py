"""Reads the table `verify`: how to find out whether content answers, and what to do if not."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from hatch_connect.project.validators import unknown_setting, validate_verify_path

if TYPE_CHECKING:
    from collections.abc import Callable

    from hatch_connect.project.reading import Toml

_STATUSES = range(100, 600)
_MOST_RETRIES = 100
_LONGEST = 3600  # seconds


def read_verification(table: Toml, called: str, problems: list[str]) -> dict[str, Any]:
    """Return the fields of `Verification` that a table sets; what is wrong is a problem."""
    read: dict[str, Any] = {"again": True}
    for key, value in table.items():
        place = f"{called[:-1]}.{key}`" if called.endswith("`") else f"{called}: `{key}`"
        if key not in _READ:
            problems.append(unknown_setting(place, key, _READ))
            continue
        try:
            read |= _READ[key](value)
        except ValueError as wrong:
            problems.append(f"{place} must be {wrong}.")
    return read


def _paths(value: object) -> dict[str, Any]:
    paths = value if isinstance(value, list | tuple) else ()
    if not paths or not all(isinstance(p, str) and not validate_verify_path(p) for p in paths):
        raise ValueError('an array of paths below the content\'s URL, such as `["health"]`')
    return {"paths": tuple(paths)}


def _status(value: object) -> dict[str, Any]:
    codes = value if isinstance(value, list | tuple) else ()
    if not codes or not all(type(code) is int and code in _STATUSES for code in codes):
        raise ValueError("an array of HTTP statuses, such as `[200, 204]`")
    return {"status": tuple(codes)}


def _text(value: object) -> dict[str, Any]:
    if not isinstance(value, str) or not value:
        raise ValueError("a non-empty string that the response must contain")
    return {"text": value}


def _seconds(field: str, *, least: float) -> Callable[[object], dict[str, Any]]:
    def read(value: object) -> dict[str, Any]:
        number = value if isinstance(value, int | float) and value is not True else math.nan
        if value is False or not least <= number <= _LONGEST:
            raise ValueError(f"a number of seconds from {least:g} to {_LONGEST:,}")
        return {field: float(number)}

    return read


def _retries(value: object) -> dict[str, Any]:
    if type(value) is not int or not 0 <= value <= _MOST_RETRIES:
        raise ValueError(f"a whole number from 0 to {_MOST_RETRIES}")
    return {"retries": value}


def _on_failure(value: object) -> dict[str, Any]:
    if value not in {"rollback", "keep"}:
        raise ValueError('"rollback" or "keep"')
    return {"rolls_back": value == "rollback"}


_READ: dict[str, Callable[[object], dict[str, Any]]] = {
    "paths": _paths,
    "status": _status,
    "text": _text,
    "timeout": _seconds("timeout", least=0.1),
    "pause": _seconds("pause", least=0),
    "retries": _retries,
    "on-failure": _on_failure,
}
