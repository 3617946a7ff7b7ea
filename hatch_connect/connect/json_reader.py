"""Reading Connect's JSON without trusting it."""

from __future__ import annotations

import json
import re
from dataclasses import MISSING, Field, dataclass, fields
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Self, TypeVar

from hatch_connect.errors import AnswerError
from hatch_connect.typed import json_type, optional, text_at

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

T = TypeVar("T")

MAY_BE_EMPTY = {"may_be_empty": True}  # the metadata of a field for which "" is not its default

_HTTP_ERRORS = 400
_TITLE = 80  # characters of what a page is called


def readable(text: str, limit: int = 300) -> str:
    """Return text from a server as one line of a message.

    What a terminal would act on (control sequences, bidirectional marks) is dropped, runs of white
    space become one space, and a long text ends in an ellipsis.
    """
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return line if len(line) <= limit else f"{line[: limit - 1]}…"


def moment(text: str) -> datetime | None:
    """Return when something was, as a server writes it: in UTC, unless it names a time zone."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return None
    return at.replace(tzinfo=at.tzinfo or UTC)


def without_markup(text: str) -> str:
    """Return the text that a person would read on an HTML page."""
    from html import unescape

    text = re.sub(r"(?is)<(script|style)\b.*?(</\1\s*>|$)|<!--.*?(-->|$)", " ", text)
    return unescape(re.sub(r"(?s)<[^>]*(>|$)", " ", text))


def page_title(page: str) -> str:
    """Return what an HTML page is called, in a few words, instead of all that it says."""
    without = re.sub(r"(?is)<(script|style|svg)\b.*?(</\1\s*>|$)", " ", page)
    found = (re.search(rf"(?is)<{tag}\b[^>]*>(.*?)</{tag}\s*>", without) for tag in ("title", "h1"))
    titles = [readable(without_markup(match[1]), _TITLE) for match in found if match]
    if any(titles):
        # Many a title begins with the heading, and ends with the name of the site.
        said = titles[:1] if titles[-1] in titles[0] else titles
        return ": ".join(filter(None, said))
    text = readable(without_markup(page))
    return text if len(text) <= _TITLE else "an HTML page without a title"


def refusal_in(body: bytes) -> tuple[int | None, str]:
    """Return Connect's code and its message, as it came, from the body of a refusal.

    Connect's codes are below 400; a gateway's "code" is usually the HTTP status.
    """
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError):
        return None, ""
    if not isinstance(answer, dict):
        return None, ""
    code, said = answer.get("code"), text_at(answer, "error")
    known = isinstance(code, int) and not isinstance(code, bool) and 0 < code < _HTTP_ERRORS
    return code if known else None, "no message" if said is None else said


class JsonObject:
    """One JSON object of an answer; `where` is its path, such as "GET v1/user" or "... [3].id".

    A field that is required and missing, or any that has a wrong type, is an `AnswerError` with
    its path. null counts as missing. Fields that nobody asks for are ignored.
    """

    def __init__(self, value: object, where: str) -> None:
        if not isinstance(value, dict):
            raise AnswerError(
                f"Unexpected response to {where}: {json_type(value)} instead of an object.",
                hint="Check that this is the URL of a Posit Connect server.",
            )
        self._fields = value
        self._where = where

    def _optional(self, key: str, kind: type[T]) -> T | None:
        return optional(self._fields, key, kind, lambda _value: self._wrong(key, json_type(kind())))

    def _wrong(self, key: str, expected: str) -> AnswerError:
        got = json_type(self._fields[key]) if key in self._fields else "nothing"
        return AnswerError(
            f"Unexpected response to {self._where}: `{key}` is {got}, not {expected}."
        )

    def optional_string(self, key: str) -> str | None:
        """Return a string or None; a number counts as its digits (older servers' ids)."""
        value = self._fields.get(key)
        if isinstance(value, int) and not isinstance(value, bool):
            return str(value)
        text = self._optional(key, str)
        return None if text is None else _encodable(text)

    def string(self, key: str) -> str:
        """Return a string that must be there and not be empty."""
        value = self.optional_string(key)
        if not value:
            raise self._wrong(key, "a string")
        return value

    def optional_integer(self, key: str) -> int | None:
        """Return an integer or None; digits in a string count."""
        value = self._fields.get(key)
        if isinstance(value, str) and value.isdecimal():
            return int(value)
        return self._optional(key, int)

    def optional_boolean(self, key: str) -> bool | None:
        """Return a boolean or None."""
        return self._optional(key, bool)

    def objects(self, key: str) -> Iterator[JsonObject]:
        """Return the objects of an array; none if there is no array."""
        return objects(self._array(key), f"{self._where} {key}")

    def strings(self, key: str) -> tuple[str, ...]:
        """Return the strings of an array; none if there is no array."""
        return strings(self._array(key), f"{self._where} {key}")

    def child(self, key: str) -> JsonObject | None:
        """Return an object within this one, or None."""
        value = self._fields.get(key)
        return None if value is None else JsonObject(value, f"{self._where} {key}")

    def pairs(self) -> tuple[tuple[str, str], ...]:
        """Return the fields that hold strings, for an object of free keys."""
        return tuple((k, v) for k, v in self._fields.items() if isinstance(v, str))

    def scalars(self) -> dict[str, str | float | bool | None]:
        """Return the fields that hold a string, a number, a boolean or null."""
        kinds = str | int | float | None
        return {
            key: _encodable(value) if isinstance(value, str) else value
            for key, value in self._fields.items()
            if isinstance(value, kinds)
        }

    def _array(self, key: str) -> object:
        value = self._fields.get(key)
        return [] if value is None else value


@dataclass(frozen=True, slots=True, kw_only=True)
class FromJson:
    """A dataclass whose fields are read from an object's, each by its type.

    A text that has no default must be there; a field that is missing, null or "" has its default.
    The metadata of a field may name another `key`, or be MAY_BE_EMPTY.
    """

    @classmethod
    def from_answer(cls, answer: JsonObject) -> Self:
        """Read all fields."""
        return cls.read(answer)

    @classmethod
    def read(cls, answer: JsonObject, **known: Any) -> Self:  # noqa: ANN401 - fields of any type
        """Read all fields but those that are `known`."""
        unknown = (each for each in fields(cls) if each.name not in known)
        return cls(**known, **{each.name: _value(each, answer) for each in unknown})

    @classmethod
    def key_of(cls, name: str) -> str:
        """Return what Connect calls a field."""
        return next(_key(each) for each in fields(cls) if each.name == name)


def _key(field: Field[Any]) -> str:
    key: str = field.metadata.get("key", field.name)
    return key


def _value(field: Field[Any], answer: JsonObject) -> object:
    key = _key(field)
    if field.default is MISSING:
        return answer.string(key)
    value = _READERS[field.type](answer, key)
    unset = value is None or (value == "" and not field.metadata.get("may_be_empty"))
    return field.default if unset else value


# By the types as the source spells them.
_READERS: dict[object, Callable[[JsonObject, str], object]] = {
    "str": JsonObject.optional_string,
    "str | None": JsonObject.optional_string,
    "int": JsonObject.optional_integer,
    "int | None": JsonObject.optional_integer,
    "bool": JsonObject.optional_boolean,
    "bool | None": JsonObject.optional_boolean,
}


def objects(value: object, where: str) -> Iterator[JsonObject]:
    """Read an array of objects."""
    return (JsonObject(item, f"{where}[{n}]") for n, item in enumerate(_array(value, where)))


def strings(value: object, where: str) -> tuple[str, ...]:
    """Read an array of strings."""
    found = []
    for n, item in enumerate(_array(value, where)):
        if not isinstance(item, str):
            got = json_type(item)
            raise AnswerError(f"Unexpected response to {where}[{n}]: {got}, not a string.")
        found.append(_encodable(item))
    return tuple(found)


def _encodable(text: str) -> str:
    """Replace lone surrogates, which JSON can hold (RFC 8259, section 8.2) and UTF-8 cannot."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")


def _array(value: object, where: str) -> list[object]:
    if not isinstance(value, list):
        raise AnswerError(
            f"Unexpected response to {where}: {json_type(value)} instead of an array."
        )
    return value
