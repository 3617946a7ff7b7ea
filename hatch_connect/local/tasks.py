"""Work that goes on after the answer: a task with a log that can be followed."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING
from uuid import uuid4

from hatch_connect.errors import HatchConnectError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine

log = logging.getLogger(__name__)


class Task:
    """One piece of work: its output so far, and how it ended."""

    def __init__(self) -> None:
        self.id = uuid4().hex
        self.output: list[str] = []
        self.finished = False
        self.code = 0
        self.error = ""
        self._news = asyncio.Event()

    def write(self, line: str) -> None:
        """Add a line to the output."""
        self.output.append(line)
        self._wake()

    def finish(self, error: str = "") -> None:
        """End the task, with code 1 if there is an error."""
        self.finished = True
        self.error = error
        self.code = 1 if error else 0
        self._wake()

    async def wait(self, first: int, seconds: float) -> None:
        """Return when there is a line from number `first` on, or an end, or after `seconds`."""
        try:
            async with asyncio.timeout(seconds):
                while not self.finished and len(self.output) <= first:
                    await self._news.wait()
        except TimeoutError:
            return

    def _wake(self) -> None:
        self._news.set()
        self._news = asyncio.Event()


class Tasks:
    """All tasks since the server started."""

    def __init__(self) -> None:
        self._tasks: dict[str, Task] = {}
        self._running: set[asyncio.Task[None]] = set()

    def get(self, task_id: str) -> Task | None:
        """Return the task of that id."""
        return self._tasks.get(task_id)

    def start(self, work: Callable[[Task], Awaitable[None]]) -> Task:
        """Begin work in the background; an error of ours that it raises ends its task."""
        task = Task()
        self._tasks[task.id] = task
        running = asyncio.create_task(self._run(task, work))
        self._running.add(running)
        running.add_done_callback(self._running.discard)
        return task

    async def stop(self) -> None:
        """Cancel what is running and wait for its end."""
        for running in self._running:
            running.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)

    async def _run(self, task: Task, work: Callable[[Task], Awaitable[None]]) -> None:
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


async def until_first(*works: Coroutine[None, None, object]) -> None:
    """Wait until one piece of work ends, and end the others with it."""
    running = [asyncio.ensure_future(work) for work in works]
    try:
        await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for one in running:
            one.cancel()
    await asyncio.gather(*running, return_exceptions=True)
