"""What the fake Connect holds."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from support.fake_bundle import Refusal
from support.fake_fields import DEFAULTS

if TYPE_CHECKING:
    from collections.abc import Callable

    from support.fake_connect import Recorded


@dataclass
class FakeBundle:
    id: str
    archive: bytes
    manifest: dict[str, object]
    metadata: dict[str, str]
    deployed: bool = False
    created: str = "2026-11-01T12:00:00Z"

    def told(self, *, active: bool) -> dict[str, object]:
        md5 = hashlib.md5(self.archive, usedforsecurity=False).hexdigest()
        return {
            "id": self.id,
            "created_time": self.created,
            "size": len(self.archive),
            "active": active,
            "metadata": self.metadata | {"archive_md5": md5, "archive_sha1": "0" * 40},
        }


@dataclass
class FakeContent:
    guid: str
    id: str
    name: str
    owner: str
    url: str
    title: str | None = None
    app_mode: str = "unknown"
    role: str = "owner"
    hidden: bool = False  # this key may not see it
    locked: bool = False
    git: bool = False
    bundle_id: str | None = None
    fields: dict[str, object] = field(default_factory=dict)
    environment: dict[str, str] = field(default_factory=dict)
    bundles: dict[str, FakeBundle] = field(default_factory=dict)
    jobs: dict[str, list[str]] = field(default_factory=dict)
    permissions: list[dict[str, str]] = field(default_factory=list)
    tags: set[str] = field(default_factory=set)
    vanity: str | None = None
    thumbnail: bytes | None = None
    integrations: list[str] = field(default_factory=list)

    def told(self) -> dict[str, object]:
        return (
            DEFAULTS
            | self.fields
            | {
                "guid": self.guid,
                "id": self.id,
                "name": self.name,
                "title": self.title,
                "owner_guid": self.owner,
                "app_mode": self.app_mode,
                "app_role": self.role,
                "locked": self.locked,
                "bundle_id": self.bundle_id,
                "content_url": f"{self.url}/content/{self.guid}/",
                "dashboard_url": f"{self.url}/connect/#/apps/{self.guid}",
            }
        )


@dataclass
class FakeTask:
    lines: tuple[str, ...] = ("Building...", "Launching...")
    code: int = 0
    error: str = ""
    polls: int = 1  # the log is spread over so many answers
    done: Callable[[], None] = lambda: None


def fields_of(request: Recorded, allowed: set[str]) -> dict[str, object]:
    fields = _parsed(request)
    if not isinstance(fields, dict):
        raise Refusal(400, 87, "an object is needed")
    if not fields.keys() <= allowed:
        raise Refusal(400, 121, f"unknown field: {sorted(fields.keys() - allowed)}")
    return fields


def list_of(request: Recorded) -> list[dict[str, object]]:
    entries = _parsed(request)
    if not isinstance(entries, list):
        raise Refusal(400, 87, "an array is needed")
    return entries


def _parsed(request: Recorded) -> object:
    if request.headers.get("content-type", "").partition(";")[0] != "application/json":
        raise Refusal(400, 87, "JSON is needed")
    return json.loads(request.body)


def change(content: FakeContent, fields: dict[str, object]) -> None:
    title = fields.pop("title", content.title)
    if title is not None and not 3 <= len(str(title)) <= 1024:
        raise Refusal(400, 122, "the title has a wrong length")
    content.title = None if title is None else str(title)
    content.locked = bool(fields.pop("locked", content.locked))
    content.fields.update(fields)
