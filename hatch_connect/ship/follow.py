"""Follows a task of the server to its end, and sees whether the content answers."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from hatch_connect.connect.retries import is_uncertain
from hatch_connect.errors import (
    DeploymentFailedError,
    LostAnswerError,
    NotAnsweringError,
    NotFoundError,
    ServerError,
    UnreachableError,
)
from hatch_connect.events import LAST_LINES, LogLine, Note, Warned

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from hatch_connect.connect.client import ConnectClient
    from hatch_connect.connect.resources import Content, TaskStatus, Visit
    from hatch_connect.connect.servers import Server
    from hatch_connect.events import Report
    from hatch_connect.ship.plan import Verify

_LONG_POLL = 5  # seconds that the server may wait for news before it answers
_BREATH = 0.2  # seconds between two questions to a server that answers at once
_SILENCE = 30.0  # seconds for which a server may fail to answer polls ...
_POLLS_LOST = 31  # ... and how many in a row, a second apart
_ASKED_AGAIN = 15  # how often in a row a task may be unknown, as in a cluster ...
_LOOKS_AT_ACTIVE = 5  # ... before the active bundle is read this often, ...
_PAUSE = 4.0  # ... with so many seconds in between
_STICKY = (
    "Load balancers without sticky sessions have this effect: they send each request to another "
    "server of a cluster. Ask the administrator for sticky sessions."
)

_BROKEN = 500
_NOT_FOUND = 404
_REFUSED = {401, 403, _NOT_FOUND}
_REDIRECTS = {301, 302, 303, 307, 308}
_VISITS = 15
# Paths of sign-in pages: Connect's own pages for people, and usual names of those of proxies.
_LOGIN = re.compile(
    r"^/(__|connect(/|#|$))|(^|[/_.-])(log_?-?in|sign_?-?in|sso|saml2?|oauth2?|oidc|cas"
    r"|auth(ori[sz]e|entica(te|tion))?)([/_.#-]|$)",
    re.IGNORECASE,
)
_LEAVE_OUT = "`--no-verify` leaves the visit out."
_NO_DRAFT_URL = (
    "it answered 404. This server hides its version: before Connect 2025.07 a draft cannot be "
    "visited, which may be the reason. CONNECT_SERVER_VERSION=2025.06 tells so; if the content has "
    "nothing at that path, name one that it has with `verify-path`."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskPolling:
    """How to wait for a task.

    `now` is a clock in seconds, `sleep` waits; `timeout` is how long the whole task may take, in
    seconds (`CONNECT_TASK_TIMEOUT`; a day by default, as in the official client).
    """

    now: Callable[[], float]
    sleep: Callable[[float], None]
    timeout: float = 86_400.0

    def looks(self, most: int, pause: float = _PAUSE) -> Iterator[int]:
        """Yield before each look how many are left after it, and wait in between."""
        for left in reversed(range(most)):
            yield left
            if left:
                self.sleep(pause)

    def times(self, usual: int) -> int:
        """Return how many looks fit into the task's time-out."""
        return min(usual, 1 + int(self.timeout / _PAUSE))


def follow(
    client: ConnectClient, task_id: str, report: Report, polling: TaskPolling
) -> TaskStatus | None:
    """Report each line of the task's output once, in order, until the task is finished.

    Some polls may fail, since the task goes on meanwhile. Returns None for a task that the server
    still does not know after a minute. Raises DeploymentFailedError if the task takes longer than
    it may, ServerError if the server no longer answers.
    """
    began, first = polling.now(), 0

    def ask() -> TaskStatus:
        return client.task(task_id, first=first, wait=_LONG_POLL)

    while True:
        asked = polling.now()
        status = _known(ask, task_id, report, polling, began + polling.timeout)
        if status is None:
            return None
        for line in status.output:
            report(LogLine(text=line))
        first = max(first, status.last)
        if status.finished:
            return status
        if polling.now() - began > polling.timeout:
            raise DeploymentFailedError(
                f"Task {task_id} has not finished after {polling.timeout:.0f} seconds.",
                hint="It goes on on the server; CONNECT_TASK_TIMEOUT is how long we wait for it.",
            )
        if polling.now() - asked < _BREATH:
            polling.sleep(_BREATH)


def _known(
    ask: Callable[[], TaskStatus], task_id: str, report: Report, polling: TaskPolling, until: float
) -> TaskStatus | None:
    """Return the task; None if the server still does not know it after a minute, or at `until`."""
    for left in polling.looks(_ASKED_AGAIN):
        try:
            return _poll(ask, task_id, report, polling)
        except NotFoundError as error:
            if left == _ASKED_AGAIN - 1:
                text = f"The server does not know task {task_id} ({error.message.rstrip('.')})."
                report(Note(text=f"{text} It is asked again for up to a minute."))
            if polling.now() > until:
                break
    return None


def _poll(
    ask: Callable[[], TaskStatus], task_id: str, report: Report, polling: TaskPolling
) -> TaskStatus:
    since = polling.now()
    for left in polling.looks(_POLLS_LOST, pause=1.0):
        try:
            return ask()
        except ServerError as error:
            bearable = isinstance(error, UnreachableError) or is_uncertain(error)
            if not bearable or not left or polling.now() - since > _SILENCE:
                raise
            if left == _POLLS_LOST - 1:
                text = f"No news of task {task_id} ({error.message.rstrip('.')})."
                report(Note(text=f"{text} It is asked again for half a minute."))
    raise AssertionError("the last look returns or raises")


def look_for_active(
    client: ConnectClient, content: Content, bundle_id: str, report: Report, polling: TaskPolling
) -> None:
    """Wait until the bundle is active, because the task of its activation was lost.

    Raises DeploymentFailedError if another bundle is still active after a while.
    """
    for _ in polling.looks(polling.times(_LOOKS_AT_ACTIVE)):
        if client.content(content.guid).bundle_id == bundle_id:
            report(Note(text=f"The task is lost, and bundle {bundle_id} is active."))
            return
    raise DeploymentFailedError(
        f"The server does not know the task, and bundle {bundle_id} is not active so far.",
        hint=f"{_STICKY}\nThe deployment may go on: look at {content.logs_url}, then deploy again.",
    )


def verify(
    client: ConnectClient,
    content: Content,
    step: Verify,
    *,
    bundle_id: str | None,
    report: Report,
    lost: TaskPolling | None = None,
) -> Visit:
    """Visit the content, or the draft of `bundle_id`, and report what it answered.

    Connect answers 5xx if the content did not start. A 4xx counts as alive: many APIs have nothing
    at `/`, or a sign-in of their own. A visit that did not reach the content is a warning, and
    its `doubt` says so. Raises NotAnsweringError, also if no answer comes.

    `lost` is how to wait if the task of the draft is lost: the draft may not be there yet, so it
    is visited for a while, and a 404 is no answer (DeploymentFailedError).
    """
    where = f"{'The draft' if bundle_id else 'The content'} at /{step.path}"
    log = f"Its log: {content.draft_url(bundle_id) if bundle_id else content.logs_url}"
    try:
        visit = _visit(client, content, step, bundle_id, lost)
    except LostAnswerError as error:
        raise NotAnsweringError(f"{where} does not answer: {error.message}", hint=log) from error
    said = f": {visit.text}" if visit.text else ""
    if lost and not visit.status >= _BROKEN and _is_open(visit, client.server, content):
        raise lost_draft(f"{where} answered {visit.status}{said}", log)
    if visit.status >= _BROKEN:
        _show_log(client, content, bundle_id, report)
        raise NotAnsweringError(f"{where} answered {visit.status}{said}", hint=log)
    doubt = _doubt(visit, client.server, content)
    if bundle_id and not step.sure and visit.status == _NOT_FOUND:
        doubt = doubt or _NO_DRAFT_URL
    if not doubt:
        report(Note(text=f"{where} answered {visit.status}{said}"))
        return visit
    report(Warned(text=f"{where} is not verified: {doubt}"))
    return replace(visit, doubt=doubt)


def _visit(
    client: ConnectClient,
    content: Content,
    step: Verify,
    bundle_id: str | None,
    lost: TaskPolling | None,
) -> Visit:
    for left in lost.looks(lost.times(_VISITS)) if lost else (0,):
        visit = client.visit(content.guid, bundle_id=bundle_id, path=step.path)
        if not left or not _is_open(visit, client.server, content):
            return visit
    raise AssertionError("the last look returns or raises")


def _is_open(visit: Visit, server: Server, content: Content) -> bool:
    """Return whether a draft that may not be there yet may answer otherwise later."""
    missing = visit.status == _NOT_FOUND or visit.status >= _BROKEN
    return missing or bool(_doubt(visit, server, content))


def lost_draft(seen: str, log: str) -> DeploymentFailedError:
    """Return the error for a draft that may or may not have been deployed."""
    return DeploymentFailedError(
        f"The server does not know the task of the draft. {seen}: that does not show whether it "
        "was deployed, so it is not activated.",
        hint=f"{_STICKY}\nIf the content has nothing at that path, name one that it has with "
        f"`verify-path`. {log}",
    )


def _doubt(visit: Visit, server: Server, content: Content) -> str:
    """Return why something other than the content seems to have answered; "" if nothing does."""
    own, end = urlsplit(server.url), urlsplit(visit.url)
    if end.hostname != own.hostname:
        return f"the visit was sent on to {end.hostname}, perhaps to sign in. {_LEAVE_OUT}"
    path = end.path.removeprefix(own.path)
    if not path.startswith(f"/content/{content.guid}") and _LOGIN.search(f"{path}#{end.fragment}"):
        return f"the visit ended at {path}, which is no part of the content. {_LEAVE_OUT}"
    if visit.code is not None and visit.status in _REFUSED:
        why = f"Connect itself answered {visit.status} (code {visit.code}): {visit.text}"
        return f"{why}\nThe key may not visit it, or the content is not there. {_LEAVE_OUT}"
    if visit.status in _REDIRECTS:
        to = f"{end.scheme}://{end.netloc.rpartition('@')[2]}{end.path}"
        return f"the visit was sent on to {to}, in circles or away from https. {_LEAVE_OUT}"
    return ""


def _show_log(
    client: ConnectClient, content: Content, bundle_id: str | None, report: Report
) -> None:
    """Report the end of the newest log (for a draft, of its own log), if the server has one."""
    try:
        jobs = client.jobs(content.guid)
        if bundle_id:
            jobs = tuple(job for job in jobs if job.bundle_id in {None, bundle_id})
        lines = client.job_log(content.guid, jobs[0].key) if jobs else ()
    except ServerError:
        # A log that cannot be read must not hide the error that the content does not answer.
        return
    for line in lines[-LAST_LINES:]:
        report(LogLine(text=line))
