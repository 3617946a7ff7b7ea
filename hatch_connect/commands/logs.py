"""`logs`: print what a job of the content wrote, or follow it while it writes."""

from __future__ import annotations

import json
from datetime import datetime
from typing import TYPE_CHECKING

from hatch_connect.commands.content import deployed_content
from hatch_connect.commands.result import Result
from hatch_connect.commands.server import polling_of
from hatch_connect.connect.json_reader import moment
from hatch_connect.errors import UsageError, itemized
from hatch_connect.events import Note
from hatch_connect.secret import hiding
from hatch_connect.ship.logs import follow_log, jobs_of

if TYPE_CHECKING:
    from hatch_connect.commands.call import Call
    from hatch_connect.commands.content import DeployedContent
    from hatch_connect.connect.resources import Job, LogEntry
    from hatch_connect.options import Options


def run_logs(call: Call) -> Result:
    """Print the log of a job, or follow it until the job ends. Raises UsageError, ServerError."""
    options = call.options
    since = _Since(_moment(options.since, call) if options.since else None)
    if options.job and options.of_bundle:
        raise UsageError("--job and --bundle are mutually exclusive.")
    with deployed_content(call) as found:
        guid, client = found.content.guid, found.client
        job = _chosen(found, options)
        if job is None:
            of = f"bundle {options.of_bundle}" if options.of_bundle else f"content {guid}"
            call.report(Note(text=f"There are no logs of {of} yet."))
            return Result(facts={"guid": guid, "job": None, "log": []})
        call.report(Note(text=_described(job)))
        if options.follow:
            return _follow(found, job, since)
        log = [each.data for each in client.job_log(guid, job.key) if since.includes(each)]
        lines = tuple(map(hiding(found.hidden), log))
        return Result(lines=lines, facts={"guid": guid, "job": _facts(job), "log": list(lines)})


def _chosen(found: DeployedContent, options: Options) -> Job | None:
    """Return the job that the call names, else the newest. Raises UsageError for an unknown one."""
    guid, client = found.content.guid, found.client
    if options.of_bundle:
        jobs = jobs_of(client, guid, options.of_bundle)
        known = {job.bundle_id for job in jobs} | {bundle.id for bundle in client.bundles(guid)}
        if options.of_bundle not in known:
            raise UsageError(
                f"The content has no bundle {options.of_bundle}.",
                hint="List its bundles with `hatch-connect versions`.",
            )
    else:
        jobs = client.jobs(guid)
    if not options.job:
        return jobs[0] if jobs else None
    job = next((job for job in jobs if job.key == options.job), None)
    if job is None:
        listed = itemized([_described(job) for job in jobs])
        raise UsageError(
            f"The content has no job {options.job}.",
            hint=f"Its jobs, newest first:\n{listed}" if jobs else "It has not run yet.",
        )
    return job


def _follow(found: DeployedContent, job: Job, since: _Since) -> Result:
    """Show each line as it comes; as JSON, one object a line, the last of them about the job."""
    call, hide = found.call, hiding(found.hidden)
    lines: list[str] = []
    show = call.surroundings.show or lines.append

    def show_entry(entry: LogEntry) -> None:
        if not since.includes(entry):
            return
        text = hide(entry.data)
        if call.options.json:
            told = {"source": entry.source, "timestamp": entry.timestamp, "data": text}
            text = json.dumps(told)
        show(text)

    guid = found.content.guid
    ended = follow_log(found.client, guid, job.key, show_entry, call.report, polling_of(call))
    call.report(Note(text=_described(ended)))
    return Result(lines=tuple(lines), facts={"guid": guid, "job": _facts(ended)})


def _facts(job: Job) -> dict[str, object]:
    return {
        "key": job.key,
        "tag": job.tag,
        "bundle_id": job.bundle_id,
        "start_time": job.start_time,
        "end_time": job.end_time,
        "exit_code": job.exit_code,
    }


def _described(job: Job) -> str:
    """Return a line about a job: "Job Xk9 (run_app) of bundle 7, started ...: exit code 1"."""
    tag = f" ({job.tag})" if job.tag else ""
    bundle = f" of bundle {job.bundle_id}" if job.bundle_id else ""
    started = f", started {job.start_time}" if job.start_time else ""
    code = "ended" if job.exit_code is None else f"ended with exit code {job.exit_code}"
    return f"Job {job.key}{tag}{bundle}{started}: {'running' if job.runs else code}"


class _Since:
    """Tells which lines are from a moment on; one without a time goes with the line before it."""

    def __init__(self, moment: datetime | None) -> None:
        self._moment = moment
        self._included = True

    def includes(self, entry: LogEntry) -> bool:
        """Return whether a line, which comes after those that were asked for, is to be shown."""
        if self._moment and (at := moment(entry.timestamp or "")):
            self._included = at >= self._moment
        return self._included


def _moment(since: str, call: Call) -> datetime:
    """Return the moment that an age or a time means. Raises UsageError."""
    if when := call.ago(since, "smhdw"):
        return when
    try:
        return datetime.fromisoformat(since.strip()).astimezone()  # without a zone: of this machine
    except (ValueError, OverflowError, OSError):
        raise UsageError(
            f"--since {since!r} is not an age or a time.",
            hint="Write an age as 30s, 10m, 2h or 1d, a time as 2026-11-26 or 2026-11-26T08:30.",
        ) from None
