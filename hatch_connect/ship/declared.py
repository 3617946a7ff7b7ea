"""What is declared, compared with what the content has: the changes, and when each is made."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from hatch_connect.connect.content_settings import Permission, Principal, Role, Scalar, Tag


class Phase(enum.Enum):
    """When a change is made."""

    START = "before the draft starts"  # what a process needs to start
    NARROW = "before activation"  # what takes access away
    AFTER = "after activation"  # everything else


@dataclass(frozen=True, slots=True, kw_only=True)
class SetFields:
    """Fields of the content, by Connect's names; those of a phase go in one request."""

    values: Mapping[str, Scalar]


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """Let a user or a group view or change the content."""

    principal: Principal
    role: Role


@dataclass(frozen=True, slots=True, kw_only=True)
class Revoke:
    """Take a permission away."""

    principal: Principal
    permission: Permission


@dataclass(frozen=True, slots=True, kw_only=True)
class SetVanityPath:
    """The path under which the content is found; None for none."""

    path: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SetTag:
    """Give the content a tag, or take it away."""

    tag: Tag
    on: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class SetThumbnail:
    """The picture of the content; None for none."""

    image: Path | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SetIntegrations:
    """The OAuth integrations of the content, by GUID."""

    guids: tuple[str, ...]


Action: TypeAlias = (
    SetFields | Grant | Revoke | SetVanityPath | SetTag | SetThumbnail | SetIntegrations
)


@dataclass(frozen=True, slots=True, kw_only=True)
class SettingChange:
    """One difference between what is declared and what is there, as a person reads it.

    `key` is the setting's (`viewers`), `called` its place in the project. For a value `before` and
    `after` are its texts ("the server's default" if unset); for an entry of a list one of them is
    None: what is added, or removed. `undo` puts back what was there; None if nothing can.
    """

    key: str
    called: str
    before: str | None
    after: str | None
    phase: Phase
    action: Action
    undo: Action | None = None

    @property
    def removes(self) -> bool:
        """Whether it takes an entry of a list away."""
        return self.after is None
