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
    from hatch_connect.local.state import StoredBundle

log = logging.getLogger(__name__)
_KEPT = 100
_Done = TypeVar("_Done")


class Task:
    """One piece of work: its log, which grows until it is finished, and how it ended."""

    def __init__(self, task_id: str, log: JobLog, about: StoredBundle | None = None) -> None:
        self.id = task_id
        self.log = log
        self.about = about
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
        self._running: dict[str, asyncio.Task[None]] = {}

    def get(self, task_id: str) -> Task | None:
        """Return the task of that id."""
        return self._tasks.get(task_id)

    def start(
        self,
        work: Callable[[Task], Awaitable[None]],
        ended: Callable[[Task], None] = lambda _task: None,
        about: StoredBundle | None = None,
    ) -> Task:
        """Begin work in the background; an error of ours that it raises ends its task.

        `about` is the bundle that it works with. `ended` is called with the finished task, before
        anybody else learns of its end.
        """
        task_id = uuid4().hex
        task = Task(task_id, self._logs.open(task_id), about)
        finished = [known for known, one in self._tasks.items() if one.finished]
        for known in finished[:-_KEPT]:
            del self._tasks[known]
        self._tasks[task.id] = task
        running = asyncio.create_task(self._run(task, work, ended))
        self._running[task.id] = running
        running.add_done_callback(lambda _done: self._running.pop(task.id))
        return task

    async def cancel(self, which: Callable[[Task], bool], reason: str) -> None:
        """Cancel those of the running tasks, and wait for their end."""
        ending = [one for key, one in self._running.items() if which(self._tasks[key])]
        for running in ending:
            running.cancel(reason)
        await asyncio.gather(*ending, return_exceptions=True)

    async def stop(self) -> None:
        """Cancel what is running and wait for its end."""
        await self.cancel(lambda _task: True, "The server is stopping.")

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
        except asyncio.CancelledError as error:
            task.finish(str(error))
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
        running.exception()  # asked for, or asyncio would report it
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
