"""What the build ships: the content of the project's wheel, or its tree."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class ContentFile:
    """A file of a bundle: its POSIX path there, and where its bytes are."""

    path: str
    source: Path | bytes
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftOut:
    """A file (or a folder, with a final slash) that does not ship, and the rule that says so."""

    path: str
    rule: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """The files of a bundle, sorted by path, and what was left out."""

    files: tuple[ContentFile, ...]
    left_out: tuple[LeftOut, ...] = ()
