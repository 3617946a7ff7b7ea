"""What the values of single settings must be like. Each returns a problem, or None."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from uuid import UUID

if TYPE_CHECKING:
    from hatch_connect.project.settings import Rule

_CONNECT_NAME = re.compile(r"[A-Za-z0-9_-]{3,64}")
_CONTENT_TABLE = re.compile(r"[A-Za-z0-9_-]{1,64}")
_VARIABLE = re.compile(r"[^\s=\x00]+")
_USER_OF_VARIABLES = re.compile(r"(://)(?:[^/?#\s:@$]+:|\$\{[A-Z0-9_]+\}:)?\$\{[A-Z0-9_]+\}@")
_URL_WITH_USER = re.compile(r"(://)[^/?#\s]*@")
TITLE_LENGTH = range(3, 1025)


def has_credentials(text: str) -> bool:
    """Whether a URL in this text names a user, a password or a token.

    `git@` before a host of an ssh URL is the account of everybody and no secret.
    """
    return any(not url[0].endswith("://git@") for url in _URL_WITH_USER.finditer(text))


def without_variables(text: str) -> str:
    """Return the text without users that are variables (`${TOKEN}@`), which pip fills in.

    Their values are on the machine that installs: such a URL holds no credentials.
    """
    return _USER_OF_VARIABLES.sub(r"\1", text)


def without_credentials(text: str) -> str:
    """Return the text with the user part of each URL masked, fit for a message."""
    return _URL_WITH_USER.sub(r"\1***@", text)


def content_name_rule(value: str) -> str | None:
    """Check a name by Connect's rule."""
    if _CONNECT_NAME.fullmatch(value):
        return None
    return f"must be 3 to 64 letters, digits, `-` and `_`, not `{value}`"


def content_table_rule(value: str) -> str | None:
    """Check NAME of `tool.hatch-connect.content.NAME`: it becomes part of file names."""
    if _CONTENT_TABLE.fullmatch(value):
        return None
    return "must have a name of 1 to 64 letters, digits, `-` and `_`"


def valid_content_name(text: str) -> str:
    """Make a valid name of content out of any text."""
    name = re.sub(r"[^A-Za-z0-9_-]+", "-", text).strip("-")[:64].rstrip("-") or "content"
    return name if _CONNECT_NAME.fullmatch(name) else f"{name}-content"


def title_rule(value: str) -> str | None:
    """Check a title by Connect's rule."""
    if len(value) in TITLE_LENGTH:
        return None
    return f"must have 3 to 1,024 characters, not {len(value):,}"


def guid_rule(value: str) -> str | None:
    """Check a GUID, by which Connect names content."""
    try:
        UUID(value)
    except ValueError:
        return f"must be a GUID such as 25438b83-ea6d-4839-ae8e-53c52ac5f9ce, not `{value}`"
    return None


def variable_rule(value: str) -> str | None:
    """Check `NAME` or `NAME=VALUE`; the value is never shown."""
    name = value.partition("=")[0]
    if _VARIABLE.fullmatch(name):
        return None
    return "must be `NAME` or `NAME=VALUE` with a name that has no space in it"


def verify_path_rule(value: str) -> str | None:
    """Check a path below the content's URL."""
    if "://" in value or value.startswith("//"):
        return "must be a path below the content's URL, such as `health`, not a URL"
    return None


def server_rule(value: str) -> str | None:
    """Check a nickname, or a URL, which must be without credentials."""
    if has_credentials(value):
        return "must not hold credentials: store the server with `hatch-connect add`"
    return None


def server_url_rule(value: str) -> str | None:
    """Check the URL of a server whose nickname is the table's name."""
    if "://" not in value:
        return f"must be the server's URL, not `{value}`: its nickname is the table's name"
    return server_rule(value)


def project_file_rule(value: str) -> str | None:
    """Check a file of the project, by its path from the root."""
    if value.startswith(("~", "file:")) or "://" in value:
        return "must be a file, by its path from the project's root"
    return None


def choice(*choices: str) -> Rule:
    """Make a rule that allows only these texts."""

    def rule(value: str) -> str | None:
        if value in choices:
            return None
        allowed = " or ".join(f'"{choice}"' for choice in choices)
        return f"must be {allowed}, not `{value}`"

    return rule
