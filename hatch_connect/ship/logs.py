"""The logs of jobs: which one tells of a bundle, its lines as they come, and why a job failed."""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hatch_connect.errors import ServerError
from hatch_connect.events import LAST_LINES, Note
from hatch_connect.ship.follow import bearing_silence

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from hatch_connect.connect.client import ConnectClient
    from hatch_connect.connect.resources import Content, Diagnosis, Job, LogEntry
    from hatch_connect.events import Report
    from hatch_connect.ship.follow import TaskPolling

_PATIENCE = 300  # seconds for which a server may be away while its log is followed
_LINES_A_SECOND = 5000  # that are read again at most: a longer log is asked for less often
_LAST_LOOKS = 5  # at the log of a job that has ended, if it is not said to be complete
_LOOKED_INTO = 3  # jobs of a bundle, of which the newest may not have written anything
_LOCAL_LINES = 200  # of a server that ends with the call, and of which no page is left
_TRACEBACK = "Traceback (most recent call last):"
_MARGIN = re.compile(r"[\s|+-]*")  # an exception group draws a tree
_EXCEPTION = re.compile(r"([A-Za-z_]\w*\.)*\w*(Error|Exception|Exit|Interrupt)(:|$)")


def jobs_of(client: ConnectClient, guid: str, bundle_id: str) -> tuple[Job, ...]:
    """Return the jobs of a bundle, newest first.

    On a server that says of no job which bundle it is of, these are all jobs of the content.
    """
    jobs = client.jobs(guid)
    if not any(job.bundle_id for job in jobs):
        return jobs
    return tuple(job for job in jobs if job.bundle_id == bundle_id)


def follow_log(
    client: ConnectClient,
    guid: str,
    key: str,
    show: Callable[[LogEntry], None],
    report: Report,
    polling: TaskPolling,
) -> Job:
    """Show each line of a job once, in order, until it has ended; return the job as it is then.

    Raises ServerError if the server has not answered for minutes.
    """
    seen: tuple[LogEntry, ...] = ()
    what, looks = f"job {key}", _LAST_LOOKS

    def ask() -> tuple[Job, tuple[LogEntry, ...]]:
        # In this order: what a job writes before it ends must not be missed.
        return client.job(guid, key), client.job_log(guid, key, known=len(seen))

    while True:
        job, entries = bearing_silence(ask, what, report, polling, seconds=_PATIENCE)
        first = _first_new(seen, entries)
        if first is None:
            report(Note(text="The log grows faster than it is read: lines may be missing here."))
        for entry in entries[first or 0 :]:
            show(entry)
        # A server of a cluster may be behind another one.
        seen = entries if first is None or first <= len(entries) else seen
        looks -= not job.runs
        if not job.may_write or looks < 0:
            return job
        polling.sleep(max(1.0, len(entries) / _LINES_A_SECOND))


def _first_new(seen: Sequence[LogEntry], entries: Sequence[LogEntry]) -> int | None:
    """Return which entry is the first that was not seen, None if that cannot be told.

    It is beyond the last one for an answer that is behind what was seen.
    """
    known = len(seen)
    if entries[:known] == seen:
        return known
    if entries == seen[: len(entries)]:
        return known
    if entries[: known - 1] == seen[:-1] and _continues(seen[-1], entries[known - 1]):
        return known - 1
    for dropped in range(1, known):  # by a server that keeps, or returns, the last lines only
        if entries[0] == seen[dropped] and entries[: known - dropped] == seen[dropped:]:
            return known - dropped
    return None


def _continues(before: LogEntry, now: LogEntry) -> bool:
    """Return whether a line is one that was not complete when it was seen."""
    return now.timestamp == before.timestamp and now.data.startswith(before.data)


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """What a server tells of why a bundle failed: the end of a job's log, and its diagnosis.

    `logs` says where the logs are; "" if there are none.
    """

    logs: str
    lines: tuple[str, ...] = ()
    job: Job | None = None
    diagnosis: Diagnosis | None = None

    def facts(self) -> dict[str, object]:
        """Return what a program may want to know of it."""
        said = self.diagnosis
        return {
            "job": self.job.key if self.job else None,
            "diagnosis": said
            and {"code": said.code, "summary": said.summary, "help_url": said.help_url},
        }

    def hint(self, cure: str = "") -> str:
        """Return what to do about it, Connect's diagnosis, and where the logs are."""
        lines, said = [cure] if cure else [], self.diagnosis
        if said:
            more = f" See {said.help_url}" if said.help_url else ""
            lines.append(f"Connect's diagnosis: {said.summary.rstrip('.')}.{more}")
        if self.logs:
            lines.append(f"Logs: {self.logs}")
        return "\n".join(lines)


def failure_of(
    client: ConnectClient, content: Content, bundle_id: str, *, draft: bool, ended: bool = False
) -> Failure:
    """Return what the server tells of why a bundle failed, as far as it does.

    If it must have `ended`, only jobs count that did with an error: the bundle may have been
    deployed before, so that others are older. Never raises ServerError: that must not hide the
    failure itself.
    """
    guid, logs = content.guid, where_logs_are(client, content, bundle_id, draft=draft)
    local = client.server.local
    with suppress(ServerError):
        jobs = [job for job in jobs_of(client, guid, bundle_id) if job.exit_code or not ended]
        for job in jobs[:_LOOKED_INTO]:
            most = _LOCAL_LINES if local else LAST_LINES
            lines = telling_end([entry.data for entry in client.job_log(guid, job.key)], most)
            if lines:
                with suppress(ServerError):
                    said = client.job_error(guid, job.key)
                    return Failure(logs=logs, lines=lines, job=job, diagnosis=said)
                return Failure(logs=logs, lines=lines, job=job)
    return Failure(logs="" if local else logs)


def telling_end(lines: Sequence[str], most: int = LAST_LINES) -> tuple[str, ...]:
    """Return the last lines of a log; the one that names the exception is the last of them."""
    last = _exception_in(lines)
    end = len(lines) if last is None else last + 1
    return tuple(lines[max(0, end - most) : end])


def _exception_in(lines: Sequence[str]) -> int | None:
    """Return the number of the line that names the last exception."""
    for begin in reversed(range(len(lines))):
        before, found, _ = lines[begin].partition(_TRACEBACK)
        if found:
            margin = len(before) if _MARGIN.fullmatch(before) else 0
            for number in range(begin + 1, len(lines)):
                rest = lines[number][margin:]
                if rest.strip() and not rest.startswith((" ", "\t")):
                    return number
    numbers = range(max(0, len(lines) - LAST_LINES), len(lines))
    named = (number for number in reversed(numbers) if _EXCEPTION.match(lines[number]))
    return next(named, None)


def where_logs_are(client: ConnectClient, content: Content, bundle_id: str, *, draft: bool) -> str:
    """Return the dashboard's page of the logs; a command if the server may end with the call."""
    if client.server.local:
        return f"hatch-connect logs --local --app-id {content.guid} --bundle {bundle_id}"
    return content.draft_url(bundle_id) if draft else content.logs_url
