"""The lines that a process writes, as they come."""

from __future__ import annotations

import codecs
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio
    from collections.abc import AsyncIterator

_CHUNK = 1 << 16
_LONGEST = 1 << 20


async def lines(stream: asyncio.StreamReader) -> AsyncIterator[str]:
    """Yield each line without its end; a line of more than a million characters comes in pieces."""
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    rest = ""
    while chunk := await stream.read(_CHUNK):
        *whole, rest = (rest + decoder.decode(chunk)).split("\n")
        for line in whole:
            yield line.rstrip("\r")
        if len(rest) > _LONGEST:
            yield rest
            rest = ""
    rest += decoder.decode(b"", final=True)
    if rest:
        yield rest.rstrip("\r")
