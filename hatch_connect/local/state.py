"""What the server remembers, below one folder.

Content, environment variables, bundles, deployments and jobs are in one SQLite file, used from the
thread of the event loop only.
"""

from __future__ import annotations

import json
import os
import sqlite3
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, TypeVar
from uuid import uuid4

from hatch_connect.local.schema import migrate
from hatch_connect.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

OWN_GUID = "5f2c6a3e-0d0b-4c8e-9a51-6d7c1b0f4e21"
OWN_NAME = "local"
"""The developer's own user, who administers the server with the key of its state folder."""

NameKind: TypeAlias = Literal["user", "group", "tag", "integration"]


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredContent:
    """One piece of content; `settings` holds what a client may change, by Connect's names.

    `owner` is a user's GUID.
    """

    id: int
    guid: str
    name: str
    settings: Mapping[str, object]
    created: str
    owner: str = OWN_GUID
    deployed: str | None = None
    app_mode: str = "unknown"
    python: str | None = None
    active_bundle: int | None = None
    vanity_path: str | None = None
    vanity_since: str = ""

    @property
    def title(self) -> str:
        """Its title, or its name if it has none."""
        return str(self.settings["title"] or self.name)


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredBundle:
    """One uploaded archive. `app_mode` is None if its manifest could not be read.

    `environment` is the folder of the restored packages, and `pages` that of what is shown without
    a process, below the state's; both are None until a deployment succeeded. `managed` is False
    if the interpreter was taken as it is. `activated` is when it last became the active one, and
    `failed` why its last process ended that nobody had asked to end. `creator` is a user's GUID.
    """

    id: int
    content: int
    created: str
    size: int
    metadata: Mapping[str, str] = field(default_factory=dict)
    app_mode: str | None = None
    entrypoint: str = ""
    folder: str | None = None
    environment: str | None = None
    pages: str | None = None
    python: str | None = None
    managed: bool | None = None
    activated: str | None = None
    failed: str = ""
    creator: str | None = None

    @property
    def deployed(self) -> bool:
        """Whether it can be visited."""
        return self.environment is not None or self.pages is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredJob:
    """One process that worked for a piece of content; its log is a file of that key."""

    id: int = 0
    key: str
    content: int
    bundle: int
    tag: str
    started: str
    pid: int = 0
    ended: str | None = None
    exit_code: int | None = None
    error: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredDeployment:
    """One deployment: the task of that id, whose log is a file of that key.

    `code` and `error` are the task's; they are None and empty until it has ended.
    """

    id: str
    content: int
    bundle: int
    activate: bool
    started: str
    ended: str | None = None
    code: int | None = None
    error: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredName:
    """A user, a group, a tag or an OAuth integration that clients may name.

    `parent` is the number of the tag above a tag; 0 if it is a category, and for all others.
    """

    id: int
    kind: NameKind
    name: str
    parent: int = 0
    guid: str


_Row = TypeVar("_Row", StoredContent, StoredBundle, StoredJob, StoredDeployment)
_INTERRUPTED = "The server ended before the deployment was complete. Deploy again."


def now() -> str:
    """Return the time as Connect writes it."""
    return datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


class State:
    """The state below one folder. Every change is on disk when the method returns."""

    def __init__(self, folder: Path) -> None:
        file = folder / "state.sqlite3"
        # The values of variables are in it: SQLite gives its journal the mode of its file.
        os.close(os.open(file, os.O_RDWR | os.O_CREAT, 0o600))
        self._database = sqlite3.connect(file, isolation_level=None)
        try:
            migrate(self._database, folder)
        except BaseException:
            self.close()
            raise
        # Not before: what refers to a table would go while the table is made anew.
        self._database.execute("PRAGMA foreign_keys = ON")

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Write all changes of a block, in which nothing is awaited, or none of them."""
        if self._database.in_transaction:
            yield
            return
        with self._database:
            self._database.execute("BEGIN")
            yield

    def active_bundle(self, content: StoredContent) -> StoredBundle | None:
        """Return the active bundle of content."""
        return None if content.active_bundle is None else self.bundle(content.active_bundle)

    def contents(self) -> tuple[StoredContent, ...]:
        """Return all content, oldest first."""
        return tuple(self._rows(StoredContent, "SELECT id, document FROM content ORDER BY id"))

    def content(self, guid: str) -> StoredContent | None:
        """Return the content of that GUID."""
        query = "SELECT id, document FROM content WHERE json_extract(document, '$.guid') = ?"
        return next(self._rows(StoredContent, query, guid), None)

    def content_by_id(self, number: int) -> StoredContent | None:
        """Return the content of that number."""
        query = "SELECT id, document FROM content WHERE id = ?"
        return next(self._rows(StoredContent, query, number), None)

    def content_of_job(self, key: str) -> StoredContent | None:
        """Return the content that a job worked for; a job is stored before its process starts."""
        query = (
            "SELECT content.id, content.document FROM content JOIN job ON job.content = content.id"
            " WHERE job.key = ?"
        )
        return next(self._rows(StoredContent, query, key), None)

    def content_by_name(self, owner: str, name: str) -> StoredContent | None:
        """Return the content of that owner and name."""
        query = "SELECT id, document FROM content WHERE owner = ? AND name = ?"
        return next(self._rows(StoredContent, query, owner, name), None)

    def add_content(
        self, name: str, settings: Mapping[str, object], owner: str = OWN_GUID
    ) -> StoredContent:
        """Add content; the caller has seen that its owner has no other of that name."""
        content = StoredContent(
            id=0, guid=str(uuid4()), name=name, settings=settings, created=now(), owner=owner
        )
        cursor = self._database.execute(
            "INSERT INTO content (owner, name, document) VALUES (?, ?, ?)",
            (owner, name, _document(content)),
        )
        return replace(content, id=cursor.lastrowid or 0)

    def save_content(self, content: StoredContent) -> None:
        """Write changed content."""
        self._database.execute(
            "UPDATE content SET owner = ?, name = ?, document = ? WHERE id = ?",
            (content.owner, content.name, _document(content), content.id),
        )

    def remove_content(self, content: StoredContent) -> None:
        """Forget content with all that belongs to it."""
        self._database.execute("DELETE FROM content WHERE id = ?", (content.id,))

    def variables(self, content: StoredContent) -> dict[str, Secret]:
        """Return the environment variables of content, by name."""
        rows = self._database.execute(
            "SELECT name, value FROM variable WHERE content = ? ORDER BY name", (content.id,)
        )
        return {name: Secret(value) for name, value in rows}

    def set_variables(
        self, content: StoredContent, changes: Mapping[str, Secret | None], *, only: bool = False
    ) -> None:
        """Merge these variables into those of content; None removes one; `only` replaces all."""
        execute = self._database.execute
        with self.transaction():
            if only:
                execute("DELETE FROM variable WHERE content = ?", (content.id,))
            for name, value in changes.items():
                execute("DELETE FROM variable WHERE content = ? AND name = ?", (content.id, name))
                if value is not None:
                    execute(
                        "INSERT INTO variable VALUES (?, ?, ?)", (content.id, name, value.reveal())
                    )

    def bundles(self, content: StoredContent) -> tuple[StoredBundle, ...]:
        """Return the bundles of content, newest first."""
        query = "SELECT id, document FROM bundle WHERE content = ? ORDER BY id DESC"
        return tuple(self._rows(StoredBundle, query, content.id))

    def bundle(self, number: int) -> StoredBundle | None:
        """Return the bundle of that number."""
        query = "SELECT id, document FROM bundle WHERE id = ?"
        return next(self._rows(StoredBundle, query, number), None)

    def add_bundle(self, bundle: StoredBundle) -> StoredBundle:
        """Add a bundle, which gets its number here."""
        cursor = self._database.execute(
            "INSERT INTO bundle (content, document) VALUES (?, ?)",
            (bundle.content, _document(bundle)),
        )
        return replace(bundle, id=cursor.lastrowid or 0)

    def save_bundle(self, bundle: StoredBundle) -> None:
        """Write a changed bundle."""
        self._database.execute(
            "UPDATE bundle SET document = ? WHERE id = ?", (_document(bundle), bundle.id)
        )

    def remove_bundle(self, bundle: StoredBundle) -> None:
        """Forget a bundle."""
        self._database.execute("DELETE FROM bundle WHERE id = ?", (bundle.id,))

    def forget_gone(self) -> None:
        """Forget the jobs and deployments of bundles that were removed."""
        with self.transaction():
            for table in ("job", "deployment"):
                self._database.execute(
                    f"DELETE FROM {table} WHERE json_extract(document, '$.bundle')"  # noqa: S608
                    " NOT IN (SELECT id FROM bundle)"
                )

    def jobs(self, content: StoredContent) -> tuple[StoredJob, ...]:
        """Return the jobs of content, newest first."""
        query = "SELECT rowid, document FROM job WHERE content = ? ORDER BY rowid DESC"
        return tuple(self._rows(StoredJob, query, content.id))

    def save_job(self, job: StoredJob) -> None:
        """Write a job; one whose content is gone by now is not written."""
        self._database.execute(
            "INSERT INTO job (key, content, document) SELECT ?1, ?2, ?3"
            " WHERE EXISTS (SELECT 1 FROM content WHERE id = ?2)"
            " ON CONFLICT (key) DO UPDATE SET document = excluded.document",
            (job.key, job.content, _document(job)),
        )

    def forget_jobs(self, content: int, kept: int) -> tuple[str, ...]:
        """Forget the jobs of content that have ended, but for the newest; return their keys."""
        rows = self._database.execute(
            "SELECT key, document FROM job WHERE content = ? ORDER BY rowid DESC LIMIT -1 OFFSET ?",
            (content, kept),
        )
        keys = tuple(key for key, document in rows if json.loads(document)["ended"])
        with self.transaction():
            self._database.executemany("DELETE FROM job WHERE key = ?", [(key,) for key in keys])
        return keys

    def deployments(self, content: StoredContent) -> tuple[StoredDeployment, ...]:
        """Return the deployments of content, newest first."""
        query = "SELECT id, document FROM deployment WHERE content = ? ORDER BY rowid DESC"
        return tuple(self._rows(StoredDeployment, query, content.id))

    def deployment(self, task_id: str) -> StoredDeployment | None:
        """Return the deployment of that task."""
        query = "SELECT id, document FROM deployment WHERE id = ?"
        return next(self._rows(StoredDeployment, query, task_id), None)

    def save_deployment(self, deployment: StoredDeployment) -> None:
        """Write a deployment; one whose content is gone by now is not written."""
        self._database.execute(
            "INSERT INTO deployment (id, content, document) SELECT ?1, ?2, ?3"
            " WHERE EXISTS (SELECT 1 FROM content WHERE id = ?2)"
            " ON CONFLICT (id) DO UPDATE SET document = excluded.document",
            (deployment.id, deployment.content, _document(deployment)),
        )

    def end_unfinished(self) -> None:
        """Mark jobs and deployments as ended that an earlier server did not see the end of."""
        with self.transaction():
            for content in self.contents():
                for job in self.jobs(content):
                    if job.ended is None:
                        self.save_job(replace(job, ended=now()))
                for one in self.deployments(content):
                    if one.ended is None:
                        ended = replace(one, ended=now(), code=1, error=_INTERRUPTED)
                        self.save_deployment(ended)

    def names(self, kind: NameKind) -> tuple[StoredName, ...]:
        """Return all that there is of a kind, oldest first."""
        rows = self._database.execute(
            "SELECT id, name, parent, guid FROM named WHERE kind = ? ORDER BY id", (kind,)
        )
        return tuple(
            StoredName(id=number, kind=kind, name=name, parent=parent, guid=guid)
            for number, name, parent, guid in rows
        )

    def add_name(self, kind: NameKind, name: str, *, parent: int = 0, guid: str = "") -> StoredName:
        """Return what has that name below `parent`, added now if there is nothing yet."""
        self._database.execute(
            "INSERT OR IGNORE INTO named (kind, name, parent, guid) VALUES (?, ?, ?, ?)",
            (kind, name, parent, guid or str(uuid4())),
        )
        wanted = name, parent
        return next(one for one in self.names(kind) if (one.name, one.parent) == wanted)

    def change_name(self, named: StoredName, name: str, *, parent: int) -> None:
        """Give a tag another name or place, which the caller has seen to be free."""
        self._database.execute(
            "UPDATE named SET name = ?, parent = ? WHERE id = ?", (name, parent, named.id)
        )

    def remove_names(self, *named: StoredName) -> None:
        """Remove names, from all content too."""
        with self.transaction():
            ids = [(one.id,) for one in named]
            self._database.executemany("DELETE FROM named WHERE id = ?", ids)

    def accounts(self) -> dict[int, dict[str, Any]]:
        """Return what is known of users, groups and tags, by their numbers."""
        rows = self._database.execute("SELECT named, document FROM account")
        return {number: json.loads(document) for number, document in rows}

    def save_account(self, named: StoredName, known: Mapping[str, object]) -> None:
        """Write what is known of a user, a group or a tag."""
        self._database.execute(
            "INSERT OR REPLACE INTO account VALUES (?, ?)", (named.id, json.dumps(known))
        )

    def members(self) -> tuple[tuple[int, int], ...]:
        """Return the numbers of groups, each with that of one of its users."""
        return tuple(self._database.execute("SELECT team, user FROM member ORDER BY team, user"))

    def add_member(self, group: StoredName, user: StoredName) -> None:
        """Let a user be in a group."""
        self._database.execute("INSERT OR IGNORE INTO member VALUES (?, ?)", (group.id, user.id))

    def remove_member(self, group: StoredName, user: StoredName) -> None:
        """Take a user from a group."""
        self._database.execute(
            "DELETE FROM member WHERE team = ? AND user = ?", (group.id, user.id)
        )

    def links(self, content: StoredContent, *kinds: NameKind) -> dict[StoredName, str]:
        """Return the users, groups, tags or integrations of content, with their roles."""
        rows = dict(
            self._database.execute("SELECT named, role FROM link WHERE content = ?", (content.id,))
        )
        named = (one for kind in kinds for one in self.names(kind))
        return {one: rows[one.id] for one in named if one.id in rows}

    def link(self, content: StoredContent, named: StoredName, role: str = "") -> None:
        """Let content have a tag or an integration, or a user or group a role in it."""
        self._database.execute(
            "INSERT OR REPLACE INTO link VALUES (?, ?, ?)", (content.id, named.id, role)
        )

    def unlink(self, content: StoredContent, *named: StoredName) -> None:
        """Take from content what it was linked with."""
        with self.transaction():
            self._database.executemany(
                "DELETE FROM link WHERE content = ? AND named = ?",
                [(content.id, one.id) for one in named],
            )

    def _rows(self, kind: type[_Row], query: str, *values: object) -> Iterator[_Row]:
        for number, document in self._database.execute(query, values):
            fields: dict[str, Any] = json.loads(document)
            # A later version may have written fields that this one does not know.
            known = {name: fields[name] for name in kind.__dataclass_fields__ if name in fields}
            yield kind(**known | {"id": number})


def _document(row: StoredContent | StoredBundle | StoredJob | StoredDeployment) -> str:
    return json.dumps(asdict(row))
