"""JSON that others wrote, read as strictly as a server should."""

from __future__ import annotations

import json
import math
import re
from collections import Counter

_LONGEST_NUMBER = 20  # characters: those of the largest number of 64 bits, and its sign
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")


def parse_json(content: bytes) -> object:
    """Return what a document holds; raises ValueError with the reason if it is not JSON.

    Refused are also keys that an object has twice, numbers that no other program could hold, and
    halves of surrogate pairs, which are no text.
    """
    try:
        text = content.decode()
        parsed: object = json.loads(
            text,
            object_pairs_hook=_object,
            parse_int=_integer,
            parse_float=_number,
            parse_constant=_constant,
        )
        if _SURROGATE.search(text):
            json.dumps(parsed, ensure_ascii=False).encode()
    except UnicodeDecodeError as error:
        raise ValueError("it is not UTF-8") from error
    except UnicodeEncodeError as error:
        raise ValueError("it contains half of a surrogate pair") from error
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    return parsed


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    made = dict(pairs)
    if len(made) < len(pairs):
        ((twice, _number),) = Counter(name for name, _value in pairs).most_common(1)
        raise ValueError(f"the key {twice[:60]!r} is there twice")
    return made


def _integer(text: str) -> int:
    if len(text) > _LONGEST_NUMBER:
        raise ValueError(f"a number in it has {len(text)} digits")
    return int(text)


def _number(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"the number {text[:60]} is too large")
    return number


def _constant(text: str) -> float:
    raise ValueError(f"{text} is not a number in JSON")
