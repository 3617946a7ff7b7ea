"""Follows a task of the server to its end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from hatch_connect.connect.retries import is_uncertain
from hatch_connect.errors import (
    DeploymentFailedError,
    NotFoundError,
    ServerError,
    UnreachableError,
)
from hatch_connect.events import LogLine, Note

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from hatch_connect.connect.client import ConnectClient
    from hatch_connect.connect.resources import Content, TaskStatus
    from hatch_connect.events import Report

T = TypeVar("T")

_LONG_POLL = 5  # seconds that the server may wait for news before it answers
_BREATH = 0.2  # seconds between two questions to a server that answers at once
_SILENCE = 30  # seconds for which a server may fail to answer polls, a second apart
_ASKED_AGAIN = 15  # how often in a row a task may be unknown, as in a cluster ...
_LOOKS_AT_ACTIVE = 5  # ... before the active bundle is read this often, ...
_PAUSE = 4.0  # ... with so many seconds in between
STICKY = (
    "This happens with load balancers without sticky sessions, which send each request to"
    " another server of a cluster. Ask the administrator for sticky sessions."
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
                hint="It continues on the server; CONNECT_TASK_TIMEOUT sets how long to wait for"
                " it.",
            )
        if polling.now() - asked < _BREATH:
            polling.sleep(_BREATH)


def _known(
    ask: Callable[[], TaskStatus], task_id: str, report: Report, polling: TaskPolling, until: float
) -> TaskStatus | None:
    """Return the task; None if the server still does not know it after a minute, or at `until`."""
    for left in polling.looks(_ASKED_AGAIN):
        try:
            return bearing_silence(ask, f"task {task_id}", report, polling)
        except NotFoundError as error:
            if left == _ASKED_AGAIN - 1:
                text = f"The server does not know task {task_id} ({error.message.rstrip('.')})."
                report(Note(text=f"{text} Asking again for up to a minute."))
            if polling.now() > until:
                break
    return None


def bearing_silence(
    ask: Callable[[], T],
    what: str,
    report: Report,
    polling: TaskPolling,
    *,
    seconds: int = _SILENCE,
) -> T:
    """Return what is asked for; ask again, for so many seconds, while the server does not answer.

    Raises ServerError if it then still does not, or if it refuses.
    """
    since = polling.now()
    for left in polling.looks(seconds + 1, pause=1.0):
        try:
            return ask()
        except ServerError as error:
            bearable = isinstance(error, UnreachableError) or is_uncertain(error)
            if not bearable or not left or polling.now() - since > seconds:
                raise
            if left == seconds:
                text = f"No response about {what} ({error.message.rstrip('.')})."
                report(Note(text=f"{text} Asking again for up to {seconds} seconds."))
    raise AssertionError("the last look returns or raises")


def look_for_active(
    client: ConnectClient, content: Content, bundle_id: str, report: Report, polling: TaskPolling
) -> None:
    """Wait until the bundle is active, because the task of its activation was lost.

    Raises DeploymentFailedError if another bundle is still active after a while.
    """
    for _ in polling.looks(polling.times(_LOOKS_AT_ACTIVE)):
        if client.content(content.guid).bundle_id == bundle_id:
            report(Note(text=f"The task is lost, but bundle {bundle_id} is active."))
            return
    raise DeploymentFailedError(
        f"The server does not know the task, and bundle {bundle_id} is not active yet.",
        hint=f"{STICKY}\nThe deployment may still be running: check {content.logs_url}, then"
        " deploy again.",
    )
