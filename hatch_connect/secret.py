"""A value that never shows itself, and texts without what is secret in them."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, NoReturn, TypeAlias
from urllib.parse import quote, quote_plus

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

_MASK = "***"
# Shorter values occur in ordinary text too often to be masked there.
_SHORTEST = 6
_REFERENCE = re.compile(r"\$\([\w.-]+\)|\$\{\{.*\}\}")  # Azure Pipelines', GitHub Actions'
_SHORTEST_LINE = 12  # of a value of several lines, which a log shows one by one
_USER_OF_VARIABLES = re.compile(r"(://)(?:[^/?#\s:@$]+:|\$\{[A-Z0-9_]+\}:)?\$\{[A-Z0-9_]+\}@")
_URL_WITH_USER = re.compile(r"(://)[^/?#\s]*@")

_SHOWN = 160
"""Characters of a text that a message repeats, about two lines of a terminal."""

_LONGEST = 5 * _SHOWN


def hiding(secrets: Iterable[Secret | Secrets]) -> Callable[[str], str]:
    """Return a function that hides the values of these secrets in a text.

    For text from elsewhere, such as a server's log, that may hold what was sent there: as it is,
    escaped as in JSON or a URL, or one of its lines. Values of fewer than 6 characters are not
    looked for. Of `Secrets` those count that are known when a text is hidden.
    """
    given = tuple(secrets)
    known: tuple[Secret, ...] = ()
    hide = _hiding(known)

    def hide_all(text: str) -> str:
        nonlocal known, hide
        now = tuple(s for one in given for s in (one if isinstance(one, Secrets) else (one,)))
        if now != known:
            hide = _hiding(now)
            known = now  # last, for other threads
        return hide(text)

    return hide_all


def _hiding(secrets: tuple[Secret, ...]) -> Callable[[str], str]:
    forms = {form for secret in secrets for form in _forms(secret.reveal())}
    found = sorted((form for form in forms if len(form) >= _SHORTEST), key=len, reverse=True)
    if not found:
        return str
    pattern = re.compile("|".join(map(re.escape, found)))
    return lambda text: pattern.sub(_MASK, text)


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
        # Bytes of the environment that are no text stand in it as surrogates.
        yield quote(value, errors="surrogateescape")
        yield quote(value, safe="", errors="surrogateescape")
        yield quote_plus(value, errors="surrogateescape")


def has_credentials(text: str) -> bool:
    """Return whether a URL in this text names a user, a password or a token.

    `git@` in an ssh URL is an account that everybody shares: no secret.
    """
    return any(not url[0].endswith("://git@") for url in _URL_WITH_USER.finditer(text))


def without_variables(text: str) -> str:
    """Return the text without users that are variables (`${TOKEN}@`), which pip fills in.

    Their values are known only where the packages are installed: the URL holds no credentials.
    """
    return _USER_OF_VARIABLES.sub(r"\1", text)


def without_credentials(text: str) -> str:
    """Return the text with the user part of each URL masked, fit for a message."""
    return _URL_WITH_USER.sub(r"\1***@", text)


def excerpt(text: str) -> str:
    """Return a text as a message repeats it: without credentials, shortened if it is long."""
    return _shortened(text, _SHOWN)


def _shortened(text: str, most: int) -> str:
    text = without_credentials(text)
    if len(text) <= most:
        return text
    return f"{text[: most // 2]} ... {text[-most // 4 :]}"


def listed(heading: str, problems: Iterable[str]) -> str:
    """Return several problems as one message."""
    shown = (_shortened(problem, _LONGEST) for problem in problems)
    return "\n".join((heading, *(f"  - {problem}" for problem in shown)))


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
        return _MASK

    def __format__(self, spec: str) -> str:
        return _MASK

    def __bool__(self) -> bool:
        return bool(self.__value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other.reveal() == self.__value

    def __hash__(self) -> int:
        return hash((Secret, self.__value))

    def __reduce__(self) -> NoReturn:
        raise TypeError("a secret is not pickled")


class Secrets:
    """Secrets that become more: tokens that arise while one signs in."""

    def __init__(self, *known: Secret) -> None:
        self._known = known

    def add(self, secret: Secret) -> None:
        """Hide this one too from now on."""
        if secret not in self._known:
            self._known = (*self._known, secret)

    def __iter__(self) -> Iterator[Secret]:
        return iter(self._known)


Hidden: TypeAlias = "tuple[Secret | Secrets, ...]"
"""Values that nothing may show."""
