"""The settings of content that a client may choose, and the rules for them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, TypeAlias

from hatch_connect.local.api.requests import invalid

if TYPE_CHECKING:
    from collections.abc import Mapping

Types: TypeAlias = tuple[type, ...]

_NAME = re.compile(r"[A-Za-z0-9_-]{3,64}")
_TITLE_LENGTHS = range(3, 1025)
_ACCESS_TYPES = ("all", "logged_in", "acl")

# By Connect's name: the JSON types allowed (null is, too, but for the last group), the default.
_TEXTS: dict[str, object] = dict.fromkeys(
    ("title", "run_as", "default_image_name", "service_account_name")
)
_COUNTS: dict[str, object] = dict.fromkeys(
    (
        "connection_timeout",
        "read_timeout",
        "init_timeout",
        "idle_timeout",
        "max_processes",
        "min_processes",
        "max_conns_per_process",
        "memory_limit",
        "memory_request",
        "amd_gpu_limit",
        "nvidia_gpu_limit",
    )
)
_AMOUNTS: dict[str, object] = dict.fromkeys(("load_factor", "cpu_request", "cpu_limit"))
_CHOICES: dict[str, object] = dict.fromkeys(
    ("default_py_environment_management", "default_r_environment_management")
)
_ALWAYS: dict[str, object] = {
    "description": "",
    "access_type": "all",
    "run_as_current_user": False,
    "locked": False,
    "locked_message": "",
}

DEFAULTS: dict[str, object] = {**_TEXTS, **_COUNTS, **_AMOUNTS, **_CHOICES, **_ALWAYS}


def check_name(name: object) -> str:
    """Return a content name; raises ApiError if it cannot be one."""
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise invalid("The name must have 3 to 64 characters, letters, digits, '-' and '_' only.")
    return name


def check_settings(given: Mapping[str, object]) -> dict[str, object]:
    """Return settings that a client gave; raises ApiError if one has a wrong type or value."""
    for name, value in given.items():
        types = _types(name)
        # JSON's true is no number, though Python's is.
        right = isinstance(value, types) and (bool in types or not isinstance(value, bool))
        if not right and (value is not None or name in _ALWAYS):
            raise invalid(f"The field {name!r} has the wrong type, {type(value).__name__}.")
        if isinstance(value, int | float) and value < 0:
            raise invalid(f"The field {name!r} must not be negative.")
    _check_title(given.get("title"))
    if given.get("access_type", "all") not in _ACCESS_TYPES:
        raise invalid(f"The field 'access_type' must be one of: {', '.join(_ACCESS_TYPES)}.")
    return dict(given)


def _check_title(title: object) -> None:
    if isinstance(title, str) and title and len(title) not in _TITLE_LENGTHS:
        raise invalid("The title must have 3 to 1,024 characters.")


def _types(name: str) -> Types:
    if name in _COUNTS:
        return (int,)
    if name in _AMOUNTS:
        return (int, float)
    if name in _CHOICES or isinstance(_ALWAYS.get(name), bool):
        return (bool,)
    return (str,)
