"""Work that goes on after the answer: a task with a log that can be followed."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from threading import Event
from typing import TYPE_CHECKING, TypeVar
from uuid import uuid4

from hatch_connect.errors import HatchConnectError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine

    from hatch_connect.local.logs import JobLog, Logs

log = logging.getLogger(__name__)
_KEPT = 100
_Done = TypeVar("_Done")


class Task:
    """One piece of work: its log, which grows until it is finished, and how it ended."""

    def __init__(self, task_id: str, log: JobLog) -> None:
        self.id = task_id
        self.log = log
        self.finished = False
        self.code = 0
        self.error = ""

    def write(self, line: str) -> None:
        """Add a line to the output."""
        self.log.write("stdout", line)

    def finish(self, error: str = "") -> None:
        """End the task, with code 1 if there is an error."""
        self.finished = True
        self.error = error
        self.code = 1 if error else 0

    async def wait(self, first: int, seconds: float) -> None:
        """Return when there is a line from number `first` on, or an end, or after `seconds`."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self.log.wait(first), seconds)


class Tasks:
    """The tasks that run, and the last ones that have finished."""

    def __init__(self, logs: Logs) -> None:
        self._logs = logs
        self._tasks: dict[str, Task] = {}
        self._running: set[asyncio.Task[None]] = set()

    def get(self, task_id: str) -> Task | None:
        """Return the task of that id."""
        return self._tasks.get(task_id)

    def start(
        self,
        work: Callable[[Task], Awaitable[None]],
        ended: Callable[[Task], None] = lambda _task: None,
    ) -> Task:
        """Begin work in the background; an error of ours that it raises ends its task.

        `ended` is called with the finished task, before anybody else learns of its end.
        """
        task_id = uuid4().hex
        task = Task(task_id, self._logs.open(task_id))
        finished = [known for known, one in self._tasks.items() if one.finished]
        for known in finished[:-_KEPT]:
            del self._tasks[known]
        self._tasks[task.id] = task
        running = asyncio.create_task(self._run(task, work, ended))
        self._running.add(running)
        running.add_done_callback(self._running.discard)
        return task

    async def stop(self) -> None:
        """Cancel what is running and wait for its end."""
        for running in self._running:
            running.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)

    async def _run(
        self,
        task: Task,
        work: Callable[[Task], Awaitable[None]],
        ended: Callable[[Task], None],
    ) -> None:
        try:
            await work(task)
        except HatchConnectError as error:
            task.finish(str(error))
        except asyncio.CancelledError:
            task.finish("The server is stopping.")
            raise
        except Exception:
            # A client that polls must learn of the end, whatever the reason.
            log.exception("A task failed")
            task.finish("Internal error of the server; see its log.")
        else:
            task.finish()
        finally:
            ended(task)
            task.log.close()


async def in_thread(work: Callable[[Event], _Done]) -> _Done:
    """Return what `work` returns in a thread.

    It gets an event that is set when the task that waits for it is cancelled, and must end soon
    then: nothing goes on behind the back of a task that has ended.
    """
    stop = Event()
    running = asyncio.create_task(asyncio.to_thread(work, stop))
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        stop.set()
        await asyncio.wait((running,))
        raise


async def until_first(*works: Coroutine[None, None, object]) -> None:
    """Wait until one piece of work ends, and end the others with it."""
    running = [asyncio.ensure_future(work) for work in works]
    try:
        await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for one in running:
            one.cancel()
    await asyncio.gather(*running, return_exceptions=True)
