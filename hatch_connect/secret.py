"""A value that never shows itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from collections.abc import Iterable

MASK = "***"
# A shorter value stands in ordinary text too often to be looked for there.
_SHORTEST = 6


def masked(text: str, secrets: Iterable[Secret]) -> str:
    """Return the text with the values of these secrets hidden.

    For text from elsewhere, such as a server's log, that may hold what was sent there. Values of
    fewer than 6 characters are not looked for.
    """
    values = {value for secret in secrets if len(value := secret.reveal()) >= _SHORTEST}
    for value in sorted(values, key=len, reverse=True):
        text = text.replace(value, MASK)
    return text


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
