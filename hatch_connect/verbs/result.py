"""What a verb returns."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from hatch_connect.bundle.build_protocol import Built


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What a verb returns: `lines` go to stdout for people, `facts` are what `--json` prints."""

    lines: tuple[str, ...] = ()
    facts: Mapping[str, object] = field(default_factory=dict)


def one_or_several(results: Sequence[Result]) -> Result:
    """Return the result of one piece of content as it is, of several as an array."""
    if len(results) == 1:
        return results[0]
    return Result(
        lines=tuple(line for result in results for line in result.lines),
        facts={"contents": [result.facts for result in results]},
    )


def listing_of(built: Built | None) -> Result:
    """List every file of a bundle with its size in bytes, then what was left out, with the rule.

    For a bundle that is not to be listed (None) that is nothing.
    """
    if built is None:
        return Result()
    files = built.bundle.sizes()
    left_out = tuple((left.path, left.rule) for left in built.left_out)
    width = max((len(f"{size:,}") for _, size in files), default=0)
    return Result(
        lines=(
            *(f"{size:>{width},}  {path}" for path, size in files),
            *(f"{'-':>{width}}  {path}  ({rule})" for path, rule in left_out),
        ),
        facts={
            "files": [{"path": path, "size": size} for path, size in files],
            "left_out": [{"path": path, "rule": rule} for path, rule in left_out],
        },
    )
