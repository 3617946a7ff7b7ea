"""A value that never shows itself."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, NoReturn
from urllib.parse import quote, quote_plus

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

MASK = "***"
# Shorter values occur in ordinary text too often to be masked there.
_SHORTEST = 6
_REFERENCE = re.compile(r"\$\([\w.-]+\)|\$\{\{.*\}\}")  # Azure Pipelines', GitHub Actions'
_SHORTEST_LINE = 12  # of a value of several lines, which a log shows one by one


def masked(text: str, secrets: Iterable[Secret]) -> str:
    """Return the text with the values of these secrets hidden, as `hiding` does."""
    return hiding(secrets)(text)


def hiding(secrets: Iterable[Secret]) -> Callable[[str], str]:
    """Return a function that hides the values of these secrets in a text.

    For text from elsewhere, such as a server's log, that may hold what was sent there: as it is,
    escaped as in JSON or a URL, or one of its lines. Values of fewer than 6 characters are not
    looked for.
    """
    forms = {form for secret in secrets for form in _forms(secret.reveal())}
    found = sorted((form for form in forms if len(form) >= _SHORTEST), key=len, reverse=True)
    if not found:
        return str
    pattern = re.compile("|".join(map(re.escape, found)))
    return lambda text: pattern.sub(MASK, text)


def why_absent(value: str | None) -> str | None:
    """Return why a variable of the environment counts as not set, such as "empty"; else None.

    A secret that is not set reaches a CI job as an empty text, or as the unresolved reference.
    """
    if value is None:
        return "not set"
    if not value:
        return "empty"
    return "an unexpanded reference" if _REFERENCE.fullmatch(value) else None


def _forms(value: str) -> Iterator[str]:
    yield value
    yield from (line.strip() for line in value.splitlines() if len(line.strip()) >= _SHORTEST_LINE)
    if not value.isalnum():
        yield json.dumps(value)[1:-1]
        yield json.dumps(value, ensure_ascii=False)[1:-1]
        yield repr(value)[1:-1]
        yield quote(value)
        yield quote(value, safe="")
        yield quote_plus(value)


class Secret:
    """An API key, a password or the value of an environment variable.

    It compares and hashes by its value, so that it can live in frozen dataclasses; `str`, `repr`
    and formatting give `***`; it refuses to be pickled. Only `reveal` returns the value: call it
    at the edge that needs it and keep no other reference.
    """

    __slots__ = ("__value",)

    def __init__(self, value: str) -> None:
        self.__value = value

    def reveal(self) -> str:
        """Return the value itself."""
        return self.__value

    def __repr__(self) -> str:
        return MASK

    def __format__(self, spec: str) -> str:
        return MASK

    def __bool__(self) -> bool:
        return bool(self.__value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other.reveal() == self.__value

    def __hash__(self) -> int:
        return hash((Secret, self.__value))

    def __reduce__(self) -> NoReturn:
        raise TypeError("a secret is not pickled")
