"""What the fake Connect holds."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

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
    jobs: dict[str, list[str] | FakeJob] = field(default_factory=dict)
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
class FakeJob:
    """A process of content; a line may be a whole entry of the log instead of its text."""

    lines: list[Any] = field(default_factory=list)
    bundle_id: str | None = None
    tag: str = "run_app"
    start: str | None = None
    ended: bool = False
    exit_code: int | None = None
    status: int | None = None  # None: as `ended` says
    diagnosis: dict[str, str] | None = None

    def told(self, number: int, key: str, content: FakeContent) -> dict[str, object]:
        # A fraction of a second has as many digits as it needs.
        start = self.start or f"2026-11-01T12:00:00{f'.{number}' if number else ''}Z"
        status = self.status if self.status is not None else 2 if self.ended else 0
        return {
            "id": str(number + 1),
            "ppid": "1",
            "pid": str(1000 + number),
            "key": key,
            "remote_id": None,
            "app_id": content.id,
            "app_guid": content.guid,
            "content_id": content.id,
            "content_guid": content.guid,
            "variant_id": "0",
            "variant_key": None,
            "bundle_id": self.bundle_id,
            "start_time": start,
            "end_time": "2026-11-01T13:00:00Z" if status else None,
            "last_heartbeat_time": None,
            "queued_time": None,
            "queue_name": None,
            "tag": self.tag,
            "exit_code": self.exit_code,
            "error": None,
            "status": status,
            "hostname": "fake",
            "cluster": "Local",
            "image": None,
            "run_as": "rstudio-connect",
            "skip_reason": None,
        }

    def entries(self) -> list[dict[str, object]]:
        return [
            line
            if isinstance(line, dict)
            else {"source": "stderr", "timestamp": f"2026-11-01T12:00:00.{n:09}Z", "data": line}
            for n, line in enumerate(self.lines)
        ]


def job_in(content: FakeContent, key: str) -> FakeJob:
    """Return a job of content; a list is the lines of one that runs."""
    job = content.jobs[key]
    return job if isinstance(job, FakeJob) else FakeJob(lines=job)


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
