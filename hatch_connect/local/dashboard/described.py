"""What the pages tell of content, of its logs, and of the people who may see it."""

from __future__ import annotations

import re
import signal
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from hatch_connect.local.access import app_role, may_edit, may_view
from hatch_connect.local.modes import KNOWN, MODES

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from hatch_connect.local.logs import LogEntry
    from hatch_connect.local.machine import Machine
    from hatch_connect.local.state import StoredBundle, StoredContent, StoredDeployment, StoredJob
    from hatch_connect.local.status import Status
    from hatch_connect.local.users import User

LINES = 1000
"""So many lines of a log are shown."""

TAIL = 30
_JOBS = {
    "python_restore": "Installation of packages",
    "build_jupyter": "Rendering of the notebook",
    "build_report": "Rendering of the document",
}
_ACCESS = {
    "all": "Anyone may see it, without signing in.",
    "logged_in": "Anyone who is signed in may see it.",
    "acl": "Only its owner and those who are listed may see it.",
}
_SOURCES = {
    "source_commit": "commit",
    "source_branch": "branch",
    "source_repo": "repository",
    "hatch_connect_preview": "preview of",
    "hatch_connect_from_server": "promoted from",
}
_NO_SOURCE = ("archive_", "hatch_connect_", "source")
_COMMIT = re.compile(r"^([0-9a-f]{10})[0-9a-f]{30}(?=$|-)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Log:
    """The log of a job or of a deployment, and the end of what was written to it.

    `url` is its page. `total` counts all lines, of which `entries` are the last ones.
    """

    key: str
    name: str
    url: str
    bundle: int
    started: str
    ended: str | None
    end: str
    error: str = ""
    deploys: bool = False
    entries: tuple[LogEntry, ...] = ()
    total: int = 0

    @property
    def live(self) -> bool:
        """Whether more may be written."""
        return self.ended is None

    @property
    def left_out(self) -> bool:
        """Whether it has more lines than are shown."""
        return self.total > len(self.entries)


@dataclass(frozen=True, slots=True, kw_only=True)
class Described:
    """One piece of content as pages show it; `path` is its page, `url` where it is visited."""

    content: StoredContent
    title: str
    type: str
    has_process: bool
    status: Status
    owner: str
    path: str
    url: str
    deploying: Log | None = None


def path_of(content: StoredContent) -> str:
    """Return the path of the page of content."""
    return f"/connect/apps/{content.guid}"


def describe(machine: Machine, content: StoredContent) -> Described:
    """Return what pages show of content."""
    status = machine.status(content)
    owner = machine.users.of_guid(content.owner)
    mode = KNOWN.get(content.app_mode)
    running = next(
        (one for one in machine.state.deployments(content) if one.id == status.deploying), None
    )
    return Described(
        content=content,
        title=content.title,
        type=mode.title if mode else "not known yet",
        has_process=content.app_mode in MODES and MODES[content.app_mode].kind == "process",
        status=status,
        owner=owner.name if owner else "nobody",
        path=path_of(content),
        url=machine.setup.content_url(content),
        deploying=with_entries(machine, _of_deployment(content, running)) if running else None,
    )


def logs_of(machine: Machine, content: StoredContent) -> list[Log]:
    """Return the jobs and deployments of content, newest first, without what they wrote."""
    found = [
        *(_of_job(content, job) for job in machine.state.jobs(content)),
        *(_of_deployment(content, one) for one in machine.state.deployments(content)),
    ]
    # Times are whole seconds: what goes on is newer than what has ended.
    return sorted(found, key=lambda log: (log.started, log.live, log.ended or ""), reverse=True)


def newest(logs: Iterable[Log]) -> Log | None:
    """Return the newest log; what was installed is in that of the deployment, too."""
    found = list(logs)
    return next((log for log in found if log.name != _JOBS["python_restore"]), None) or next(
        iter(found), None
    )


def with_entries(machine: Machine, log: Log, most: int = LINES) -> Log:
    """Return a log with its last lines."""
    entries = machine.logs.read(log.key, last=most)
    return replace(log, entries=entries, total=machine.logs.count(log.key))


def _of_job(content: StoredContent, job: StoredJob) -> Log:
    return Log(
        key=job.key,
        name=_JOBS.get(job.tag, "Process"),
        url=f"{path_of(content)}/logs/{job.key}",
        bundle=job.bundle,
        started=job.started,
        ended=job.ended,
        end=_end(job),
        error=job.error,
    )


def _end(job: StoredJob) -> str:
    if job.ended is None:
        return "running"
    if job.exit_code is None:
        return "ended"
    if not job.error and job.tag not in _JOBS:
        return "stopped"  # by this server, by whatever signal
    if job.exit_code == 0 and job.tag in _JOBS:
        return "done"
    if job.exit_code < 0:
        with suppress(ValueError):
            return f"ended by {signal.Signals(-job.exit_code).name}"
    return f"exit code {job.exit_code}"


def _of_deployment(content: StoredContent, one: StoredDeployment) -> Log:
    end = "running" if one.ended is None else "failed" if one.code else "done"
    return Log(
        key=one.id,
        name="Deployment" if one.activate else "Deployment of a draft",
        url=f"{path_of(content)}/logs/{one.id}",
        bundle=one.bundle,
        started=one.started,
        ended=one.ended,
        end=end,
        error=one.error,
        deploys=True,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """One bundle in a table; `badge` is a class and a text, `page` where it is shown."""

    id: int
    created: str
    size: int
    python: str | None
    active: bool
    badge: tuple[str, str] | None
    source: tuple[tuple[str, str], ...]
    page: str | None


def versions_of(machine: Machine, content: StoredContent) -> Iterator[Version]:
    """Yield the bundles of content, newest first."""
    draft = machine.status(content).draft
    for bundle in machine.state.bundles(content):
        active = bundle.id == content.active_bundle
        badge = ("running", "Active") if active else None
        if bundle.id == draft:
            badge = ("draft", "Draft")
        path = path_of(content)
        page = f"{path}/draft/{bundle.id}" if bundle.deployed else None
        yield Version(
            id=bundle.id,
            created=bundle.created,
            size=bundle.size,
            python=bundle.python,
            active=active,
            badge=badge,
            source=_source(bundle),
            page=path if active else page,
        )


def _source(bundle: StoredBundle) -> tuple[tuple[str, str], ...]:
    """Return what the client noted of where a bundle comes from: what we know first."""
    noted = {key: value for key, value in bundle.metadata.items() if value}
    known = [(label, noted[key]) for key, label in _SOURCES.items() if key in noted]
    others = [
        (key, value)
        for key, value in noted.items()
        if key not in _SOURCES and not key.startswith(_NO_SOURCE)
    ]
    return tuple((label, _COMMIT.sub(r"\1", value)) for label, value in (*known, *others))


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """What one user, or an anonymous visitor, may do with content, and why."""

    name: str
    role: str
    may_view: bool
    may_edit: bool
    because: str


def access_of(content: StoredContent) -> str:
    """Return who may see content, in a sentence."""
    return _ACCESS[str(content.settings["access_type"])]


def people_of(machine: Machine, content: StoredContent) -> Iterator[Person]:
    """Yield all users, and nobody in particular."""
    for user in (*machine.users, None):
        yield Person(
            name=user.name if user else "Not signed in",
            role=user.role if user else "",
            may_view=may_view(machine.state, content, user),
            may_edit=user is not None and may_edit(machine.state, content, user),
            because=_because(machine, content, user),
        )


def _because(machine: Machine, content: StoredContent, user: User | None) -> str:
    role = app_role(machine.state, content, user)
    if role == "owner":
        return "owns it"
    listed: dict[tuple[str, str], str] = {
        (one.kind, one.name): given
        for one, given in machine.state.links(content, "user", "group").items()
    }
    reasons = []
    if user is not None:
        if user.role == "administrator":
            reasons.append("administers the server")
        for kind, name in (("user", user.name), *(("group", name) for name in user.groups)):
            if given := listed.get((kind, name)):
                word = "collaborators" if given == "owner" else "viewers"
                is_in = "is" if kind == "user" else f"is in the group {name}, which is"
                reasons.append(f"{is_in} among the {word}")
    if content.settings["access_type"] == "all":
        reasons.append("anyone may")
    elif content.settings["access_type"] == "logged_in" and user is not None:
        reasons.append("anyone who is signed in may")
    return "; ".join(reasons) or ("is not listed" if user else "must sign in")


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """A user or a group that has a role in content; `members` is None for a user."""

    name: str
    members: tuple[str, ...] | None


def listed(machine: Machine, content: StoredContent, role: str) -> tuple[Listed, ...]:
    """Return who has a role, in the permissions' words: "viewer", or "owner" for collaborators."""
    return tuple(
        Listed(
            name=one.name,
            members=tuple(user.name for user in machine.users if one.name in user.groups)
            if one.kind == "group"
            else None,
        )
        for one, given in machine.state.links(content, "user", "group").items()
        if given == role
    )
