"""`logs`: the content's newest job log."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from hatch_connect.events import Note
from hatch_connect.secret import hiding
from hatch_connect.verbs.found import found_content

if TYPE_CHECKING:
    from hatch_connect.connect.resources import Job
    from hatch_connect.events import Report
    from hatch_connect.options import Options
    from hatch_connect.verbs.surroundings import Surroundings


@dataclass(frozen=True, slots=True, kw_only=True)
class JobLog:
    """The log of one job; `job` is None where the content has not run yet."""

    guid: str
    job: Job | None
    log: tuple[str, ...]

    def lines(self) -> tuple[str, ...]:
        """Return the log."""
        return self.log

    def to_dict(self) -> dict[str, object]:
        """Return the job and its log."""
        job = self.job
        return {
            "guid": self.guid,
            "job": {"key": job.key, "tag": job.tag, "exit_code": job.exit_code} if job else None,
            "log": list(self.log),
        }


def run(options: Options, surroundings: Surroundings, report: Report) -> JobLog:
    """Fetch the log of the job that started last. Raises UsageError, ServerError."""
    with found_content(options, surroundings, report) as found:
        guid = found.content.guid
        jobs = found.client.jobs(guid)
        if not jobs:
            report(Note(text=f"Content {guid} has not run yet: {found.content.logs_url}"))
            return JobLog(guid=guid, job=None, log=())
        hide = hiding(found.hidden)
        newest = jobs[0]
        return JobLog(
            guid=guid,
            job=newest,
            log=tuple(hide(line) for line in found.client.job_log(guid, newest.key)),
        )
