"""Does it answer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hatch_connect.connect.failures import LostAnswerError
from hatch_connect.errors import NotAnsweringError, ServerError
from hatch_connect.events import LogLine, Note, Warned

if TYPE_CHECKING:
    from hatch_connect.connect.client import ConnectClient
    from hatch_connect.connect.resources import Content, Visit
    from hatch_connect.events import Report
    from hatch_connect.ship.steps import Verify

_BROKEN = 500
_NOT_FOUND = 404
_LAST_LINES = 20
_NO_DRAFT_URL = (
    "So the draft is not verified. This server hides its version: before Connect 2025.07 a draft "
    "cannot be visited, which may be the reason. CONNECT_SERVER_VERSION=2025.06 tells so; if the "
    "content has nothing at that path, name one that it has with `verify-path`."
)


def verify(
    client: ConnectClient,
    content: Content,
    step: Verify,
    *,
    bundle_id: str | None,
    report: Report,
) -> Visit:
    """Visit the content, or the draft of `bundle_id`, and report what it said.

    Connect answers 5xx where the content did not start. A 4xx counts as alive: many APIs have
    nothing at `/`. Raises NotAnsweringError, also if an answer never comes.
    """
    where = f"{'The draft' if bundle_id else 'The content'} at /{step.path}"
    log = f"Its log: {content.draft_url(bundle_id) if bundle_id else content.logs_url}"
    try:
        visit = client.visit(content.guid, bundle_id=bundle_id, path=step.path)
    except LostAnswerError as error:
        raise NotAnsweringError(f"{where} does not answer: {error.message}", hint=log) from error
    said = f": {visit.text}" if visit.text else ""
    if visit.status >= _BROKEN:
        _show_log(client, content, report)
        raise NotAnsweringError(f"{where} answered {visit.status}{said}", hint=log)
    report(Note(text=f"{where} answered {visit.status}{said}"))
    if bundle_id and visit.status == _NOT_FOUND and not step.sure:
        report(Warned(text=_NO_DRAFT_URL))
    return visit


def _show_log(client: ConnectClient, content: Content, report: Report) -> None:
    """Report the end of the newest job's log, where the server has one."""
    try:
        jobs = client.jobs(content.guid)
        if not jobs:
            return
        newest = max(jobs, key=lambda job: job.start_time)
        lines = client.job_log(content.guid, newest.key)
    except ServerError:
        # The log is a courtesy: that the content does not answer is what has to be told.
        return
    for line in lines[-_LAST_LINES:]:
        report(LogLine(text=line))
