"""What a bundle holds and what was left out: `--list`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hatch_connect.bundle.build_protocol import Built


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """Every file of a bundle with its size in bytes; what was left out with the rule."""

    files: tuple[tuple[str, int], ...]
    left_out: tuple[tuple[str, str], ...]

    @classmethod
    def of(cls, built: Built) -> Listing:
        """List a bundle that was just built."""
        return cls(
            files=built.bundle.sizes(),
            left_out=tuple((left.path, left.rule) for left in built.left_out),
        )

    def lines(self) -> tuple[str, ...]:
        """Return a line a file, sizes first, then what was left out."""
        width = max((len(f"{size:,}") for _, size in self.files), default=0)
        return (
            *(f"{size:>{width},}  {path}" for path, size in self.files),
            *(f"{'-':>{width}}  {path}  ({rule})" for path, rule in self.left_out),
        )

    def to_dict(self) -> dict[str, object]:
        """Return both lists as objects."""
        return {
            "files": [{"path": path, "size": size} for path, size in self.files],
            "left_out": [{"path": path, "rule": rule} for path, rule in self.left_out],
        }
