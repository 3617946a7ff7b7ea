"""Follows a task of the server to its end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from hatch_connect.errors import DeploymentFailedError
from hatch_connect.events import LogLine

if TYPE_CHECKING:
    from collections.abc import Callable

    from hatch_connect.connect.client import ConnectClient
    from hatch_connect.connect.resources import TaskStatus
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


_LONG_POLL = 5  # seconds that the server may wait for news before it answers
_BREATH = 0.2  # seconds between two questions to a server that answers at once


def follow(client: ConnectClient, task_id: str, report: Report, pace: Pace) -> TaskStatus:
    """Report each line of the task's output once, in order, until the task is finished.

    Raises DeploymentFailedError when the task takes longer than it may.
    """
    began = pace.now()
    first = 0
    while True:
        asked = pace.now()
        status = client.task(task_id, first=first, wait=_LONG_POLL)
        for line in status.output:
            report(LogLine(text=line))
        first = status.last
        if status.finished:
            return status
        if pace.now() - began > pace.timeout:
            raise DeploymentFailedError(
                f"Task {task_id} has not finished after {pace.timeout:.0f} seconds.",
                hint="It goes on on the server; CONNECT_TASK_TIMEOUT is how long we wait for it.",
            )
        if pace.now() - asked < _BREATH:
            pace.sleep(_BREATH)
