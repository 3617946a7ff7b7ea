"""The results for several pieces of content as one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hatch_connect.verbs import Result


@dataclass(frozen=True, slots=True, kw_only=True)
class Several:
    """The results, in the order of the contents."""

    results: tuple[Result, ...]

    def lines(self) -> tuple[str, ...]:
        """Return the lines of each."""
        return tuple(line for result in self.results for line in result.lines())

    def to_dict(self) -> dict[str, object]:
        """Return the objects of all as an array."""
        return {"contents": [result.to_dict() for result in self.results]}


def one_or_several(results: tuple[Result, ...]) -> Result:
    """Return the result of one piece of content as it is."""
    return results[0] if len(results) == 1 else Several(results=results)
