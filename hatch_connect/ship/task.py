"""Follows a task of the server to its end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from hatch_connect.connect.retries import is_uncertain
from hatch_connect.errors import (
    DeploymentFailedError,
    NotFoundError,
    ServerError,
    UnreachableError,
)
from hatch_connect.events import LogLine, Note

if TYPE_CHECKING:
    from collections.abc import Callable

    from hatch_connect.connect.client import ConnectClient
    from hatch_connect.connect.resources import Content, TaskStatus
    from hatch_connect.events import Report


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How to wait for a task.

    `now` is a clock in seconds, `sleep` waits; `timeout` is how long the whole task may take, in
    seconds (`CONNECT_TASK_TIMEOUT`; a day by default, as in the official client).
    """

    now: Callable[[], float]
    sleep: Callable[[float], None]
    timeout: float = 86_400.0

    def times(self, usual: int) -> int:
        """Return how often to look at something, `PAUSE` apart, within the task's time-out."""
        return min(usual, 1 + int(self.timeout / PAUSE))


_LONG_POLL = 5  # seconds that the server may wait for news before it answers
_BREATH = 0.2  # seconds between two questions to a server that answers at once
_SILENCE = 30.0  # so many seconds without an answer are borne ...
_POLLS_LOST = 31  # ... and at most so many polls in a row, a second apart
_ASKED_AGAIN = 15  # times in a row for a task that is not known, ...
_LOOKS = 5  # ... then so many looks at what is active, ...
PAUSE = 4.0  # ... each so many seconds after the one before
STICKY = (
    "Load balancers without sticky sessions have this effect: they send each request to another "
    "server of a cluster. Ask the administrator for sticky sessions."
)


def follow(client: ConnectClient, task_id: str, report: Report, pace: Pace) -> TaskStatus | None:
    """Report each line of the task's output once, in order, until the task is finished.

    Polls may be lost: the task goes on meanwhile. Returns None for a task that the server does
    not know, also after a minute. Raises DeploymentFailedError when the task takes longer than it
    may, ServerError when the server stays silent.
    """
    began = pace.now()
    first = unknown = 0
    while True:
        asked = pace.now()
        try:
            status = _poll(client, task_id, first, report, pace)
        except NotFoundError as error:
            unknown += 1
            if unknown == 1:
                text = f"The server does not know task {task_id} ({error.message.rstrip('.')})."
                report(Note(text=f"{text} It is asked again for up to a minute."))
            if unknown == _ASKED_AGAIN or pace.now() - began > pace.timeout:
                return None
            pace.sleep(PAUSE)
            continue
        unknown = 0
        for line in status.output:
            report(LogLine(text=line))
        first = max(first, status.last)
        if status.finished:
            return status
        if pace.now() - began > pace.timeout:
            raise DeploymentFailedError(
                f"Task {task_id} has not finished after {pace.timeout:.0f} seconds.",
                hint="It goes on on the server; CONNECT_TASK_TIMEOUT is how long we wait for it.",
            )
        if pace.now() - asked < _BREATH:
            pace.sleep(_BREATH)


def _poll(
    client: ConnectClient, task_id: str, first: int, report: Report, pace: Pace
) -> TaskStatus:
    since = pace.now()
    for left in reversed(range(_POLLS_LOST)):
        try:
            return client.task(task_id, first=first, wait=_LONG_POLL)
        except ServerError as error:
            bearable = isinstance(error, UnreachableError) or is_uncertain(error)
            if not bearable or not left or pace.now() - since > _SILENCE:
                raise
            if left == _POLLS_LOST - 1:
                text = f"No news of task {task_id} ({error.message.rstrip('.')})."
                report(Note(text=f"{text} It is asked again for half a minute."))
            pace.sleep(1.0)
    raise AssertionError("the last attempt returns or raises")


def look_for_active(
    client: ConnectClient, content: Content, bundle_id: str, report: Report, pace: Pace
) -> None:
    """Settle an activation whose task is lost by what is active.

    Raises DeploymentFailedError if it is another bundle, also after a while.
    """
    for left in reversed(range(pace.times(_LOOKS))):
        if client.content(content.guid).bundle_id == bundle_id:
            report(Note(text=f"The task is lost, and bundle {bundle_id} is active."))
            return
        if left:
            pace.sleep(PAUSE)
    raise DeploymentFailedError(
        f"The server does not know the task, and bundle {bundle_id} is not active so far.",
        hint=f"{STICKY}\nThe deployment may go on: look at {content.logs_url}, then deploy again.",
    )
