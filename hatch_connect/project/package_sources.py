"""Where a project's build takes single packages from, if not from an index (Hatch 1.18, uv)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hatch_connect.project.pins import excerpt
from hatch_connect.project.settings import type_of

if TYPE_CHECKING:
    from collections.abc import Mapping

KINDS = ("path", "git", "url", "index", "workspace")
_REFERENCES = ("rev", "tag", "branch")


@dataclass(frozen=True, slots=True, kw_only=True)
class PackageSource:
    """What is said of one package; `where` is how a message calls it.

    `place` is a path from the project's root, a repository, a URL, an index's URL, or "" for a
    member of the workspace; `reference` the commit, tag or branch; `marker` is uv's.
    """

    name: str
    kind: str
    place: str
    where: str
    reference: str = ""
    below: str = ""
    marker: str = ""

    def __str__(self) -> str:
        if self.kind == "workspace":
            return "a member of the workspace"
        at = f"@{self.reference}" if self.reference else ""
        below = f" ({self.below})" if self.below else ""
        kind = "the index " if self.kind == "index" else ""
        return f"{kind}{excerpt(self.place + at)}{below}"


def read_source(name: str, raw: object, where: str, problems: list[str]) -> PackageSource | None:
    """Read one entry, a path or a table, as Hatch reads it; what it refuses is a problem."""
    called = f"`{where.replace('{}', name)}`"
    table = {"path": raw} if isinstance(raw, str) else raw
    if not isinstance(table, dict):
        problems.append(f"{called} must be a path or a table, not {type_of(raw)}.")
        return None
    kinds = [kind for kind in KINDS if kind in table]
    if len(kinds) != 1:
        problems.append(f"{called} must have exactly one of {', '.join(KINDS)}.")
        return None
    kind, value = kinds[0], table[kinds[0]]
    good = value is True if kind == "workspace" else isinstance(value, str) and bool(value)
    if not good:
        wanted = "`true`" if kind == "workspace" else "a string that is not empty"
        problems.append(f"{called}: `{kind}` must be {wanted}.")
        return None
    return PackageSource(
        name=re.sub(r"[-_.]+", "-", name).lower(),
        kind=kind,
        place="" if kind == "workspace" else str(value),
        where=called,
        reference=next((_text(table, key) for key in _REFERENCES if key in table), ""),
        below=_text(table, "subdirectory"),
        marker=_text(table, "marker"),
    )


def _text(table: Mapping[str, object], key: str) -> str:
    value = table.get(key)
    return value if isinstance(value, str) else ""
