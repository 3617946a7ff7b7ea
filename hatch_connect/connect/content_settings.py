"""The requests for what is declared of content: fields, access, tags, path, thumbnail, sign-ins."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, TypeAlias

from hatch_connect.connect.json_reader import FromJson

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hatch_connect.connect.session import Session

Scalar: TypeAlias = str | float | bool | None
PrincipalType: TypeAlias = Literal["user", "group"]
Role: TypeAlias = Literal["viewer", "owner"]  # "owner" is what the dashboard calls a collaborator


@dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    """A user or a group."""

    type: PrincipalType
    guid: str
    name: str

    def __str__(self) -> str:
        return f"group:{self.name}" if self.type == "group" else self.name


@dataclass(frozen=True, slots=True, kw_only=True)
class Permission(FromJson):
    """Who else may view (`role` is viewer) or change (owner) content; its owner is not listed."""

    id: str
    principal_guid: str
    principal_type: str
    role: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Tag(FromJson):
    """A tag; without `parent_id` it is a category, which content cannot have."""

    id: str
    name: str
    parent_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Integration(FromJson):
    """An OAuth integration of the server."""

    guid: str
    name: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ContentDetails:
    """What content has now: every scalar field by Connect's name, and what was asked for besides.

    `tags` and `vanity_path` are None if they were not included; "" is no path.
    """

    fields: Mapping[str, Scalar]
    tags: tuple[Tag, ...] | None = None
    vanity_path: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerLimits:
    """What a server allows, by Connect's names (`max_memory_limit`); 0 or absent is no limit.

    `access_types` are None if it does not tell; `settings` are its other facts that matter here
    (licence, execution_type, image selection), by Connect's names.
    """

    scheduler: Mapping[str, float] = field(default_factory=dict)
    access_types: tuple[str, ...] | None = None
    settings: Mapping[str, Scalar] = field(default_factory=dict)


class ContentSettingsClient:
    """What a credential may ask and change of content's settings; raises as `ConnectClient`."""

    def __init__(self, session: Session) -> None:
        self._session = session
