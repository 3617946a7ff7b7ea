"""The rules of single settings: what is wrong with a text."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import TypeAlias

from hatch_connect.secret import has_credentials

Validator: TypeAlias = Callable[[str], "str | None"]
"""What is wrong with a text, worded to follow its key; None if nothing is."""

# Lengths and characters of names and titles are those that Connect accepts.
_CONNECT_NAME = re.compile(r"[A-Za-z0-9_-]{3,64}")
_CONTENT_TABLE = re.compile(r"[A-Za-z0-9_-]{1,64}")
# A name cannot hold `=` or NUL; one with a space in it is a slip.
_VARIABLE = re.compile(r"[^\s=\x00]+")
_TITLE_LENGTH = range(3, 1025)
_VANITY_PATH = re.compile(r"/?[A-Za-z0-9_-]+(?:/[A-Za-z0-9_-]+)*/?")
_OWN_PATHS = (
    *("apps", "confirm", "connect", "content", "groups", "help", "login", "metrics", "plots"),
    *("recent", "register", "reports", "resetpassword", "setpassword", "settings", "tokens"),
    *("unpublished", "user-completion", "users", "welcome"),
)


def validate_content_name(value: str) -> str | None:
    """Check a name by Connect's rule."""
    if _CONNECT_NAME.fullmatch(value):
        return None
    return f"must consist of 3 to 64 letters, digits, `-` or `_`, not `{value}`"


def validate_content_table(value: str) -> str | None:
    """Check NAME of `tool.hatch-connect.content.NAME`: it becomes part of file names."""
    if _CONTENT_TABLE.fullmatch(value):
        return None
    return "must have a name of 1 to 64 letters, digits, `-` or `_`"


def valid_content_name(text: str) -> str:
    """Return a text as Connect takes it for a name: other characters become `-`, 64 at most."""
    name = re.sub(r"[^A-Za-z0-9_-]+", "-", text).strip("-")[:64].rstrip("-") or "content"
    return name if _CONNECT_NAME.fullmatch(name) else f"{name}-content"


def validate_title(value: str) -> str | None:
    """Check a title by Connect's rule."""
    if len(value) in _TITLE_LENGTH:
        return None
    return f"must be 3 to 1,024 characters long, not {len(value):,}"


def validate_audience(value: str) -> str | None:
    """Check the audience of an identity token, which is any text."""
    return None if value.strip() and value.isprintable() else "must be one line of text"


def validate_guid(value: str) -> str | None:
    """Check a GUID, by which Connect names content."""
    from uuid import UUID

    try:
        UUID(value)
    except ValueError:
        return f"must be a GUID such as 25438b83-ea6d-4839-ae8e-53c52ac5f9ce, not `{value}`"
    return None


def validate_variable(value: str) -> str | None:
    """Check `NAME` or `NAME=VALUE`; the value is never shown."""
    name = value.partition("=")[0]
    if _VARIABLE.fullmatch(name):
        return None
    return "must be `NAME` or `NAME=VALUE`, without spaces in the name"


def validate_verify_path(value: str) -> str | None:
    """Check a path below the content's URL."""
    if "://" in value or value.startswith("//"):
        return "must be a path below the content's URL, such as `health`, not a URL"
    return None


def validate_server(value: str) -> str | None:
    """Check a nickname, or a URL, which must be without credentials."""
    if has_credentials(value):
        return "must not contain credentials: save the server with `hatch-connect add` instead"
    return None


def validate_server_url(value: str) -> str | None:
    """Check the URL of a server whose nickname is the table's name."""
    if "://" not in value:
        return f"must be a URL, not `{value}`: the nickname is the name of the table"
    return validate_server(value)


def validate_project_file(value: str) -> str | None:
    """Check a file of the project, by its path from the root."""
    if value.startswith(("~", "file:")) or "://" in value:
        return "must be the path of a file in the project, relative to its root"
    return None


def validate_principal(value: str) -> str | None:
    """Check a user's name, `group:NAME` or a GUID."""
    name = value.removeprefix("group:")
    if name.strip() == name != "" and name.isprintable():
        return None
    return f"must be a user name, `group:NAME` or a GUID, not {value!r}"


def validate_tag(value: str) -> str | None:
    """Check a tag, which Connect keeps in a category."""
    names = value.split("/")
    if any(name.strip() != name or not name or not name.isprintable() for name in names):
        return f"must be a tag with its category, such as `Department/Finance`, not {value!r}"
    if len(names) == 1:
        return f"must name a tag in the category `{value}`: `{value}/TAG`"
    return None


def validate_vanity_path(value: str) -> str | None:
    """Check a path of the server by Connect's rules; the server knows of other content."""
    if not _VANITY_PATH.fullmatch(value):
        return f"must be a path of letters, digits, `-` and `_`, such as `/sales/`, not {value!r}"
    first = value.strip("/").partition("/")[0]
    if first in _OWN_PATHS or first.startswith("__"):
        return f"must not begin with `/{first}`, which Connect reserves"
    return None


def unknown_setting(called: str, key: str, known: Iterable[str]) -> str:
    """Return the problem of a key that means nothing, with the one that comes close."""
    from difflib import get_close_matches

    close = get_close_matches(key.replace("_", "-"), sorted(known), n=1)
    meant = f" Did you mean `{close[0]}`?" if close else ""
    return f"{called} is not a valid setting.{meant}"


def one_of(*choices: str) -> Validator:
    """Return a validator that allows only these texts."""

    def rule(value: str) -> str | None:
        if value in choices:
            return None
        allowed = " or ".join(f'"{choice}"' for choice in choices)
        return f"must be {allowed}, not `{value}`"

    return rule
