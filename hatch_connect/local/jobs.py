"""The jobs of content: each has a key for the server's API, a log, and an end."""

from __future__ import annotations

import asyncio
import secrets
from contextlib import suppress
from dataclasses import replace
from sqlite3 import OperationalError
from typing import TYPE_CHECKING
from uuid import uuid4

from hatch_connect.errors import HatchConnectError
from hatch_connect.local.disk import despite_full_disk
from hatch_connect.local.state import StoredJob, now
from hatch_connect.secret import Secret, hiding

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine

    from hatch_connect.events import Report
    from hatch_connect.local.logs import JobLog, Logs
    from hatch_connect.local.state import State, StoredBundle, StoredContent

_KEPT = 200  # of one piece of content
_KILLED = 9  # as by SIGKILL


class Jobs:
    """The jobs that run."""

    def __init__(self, state: State, logs: Logs, report: Report) -> None:
        self._state = state
        self._logs = logs
        self._report = report
        self._keys: dict[str, Secret] = {}
        self._ends: dict[str, Callable[[], Awaitable[None]]] = {}

    def create(self, content: StoredContent, bundle: StoredBundle, tag: str) -> StoredJob:
        """Return a new job, whose API key is good until it ends."""
        key = uuid4().hex[:16]
        self._keys[key] = Secret(secrets.token_urlsafe(32))
        return StoredJob(key=key, content=content.id, bundle=bundle.id, tag=tag, started=now())

    def discard(self, job: StoredJob) -> None:
        """Forget a job that was not started."""
        del self._keys[job.key]

    def api_key(self, job: StoredJob) -> Secret:
        """Return the key by which a job may call the API."""
        return self._keys[job.key]

    def open_log(self, job: StoredJob) -> JobLog:
        """Return the log of a new job; its key does not show in it."""
        return self._logs.open(job.key, hiding((self.api_key(job),)))

    def start(self, job: StoredJob, end: Callable[[], Awaitable[None]]) -> None:
        """Store a job that runs now, and that `end` ends."""
        self._save(job)
        self._ends[job.key] = end

    def finish(self, job: StoredJob, exit_code: int | None) -> None:
        """Store the end of a job."""
        self._keys.pop(job.key, None)
        self._ends.pop(job.key, None)
        self._save(replace(job, ended=now(), exit_code=exit_code))
        with suppress(OperationalError):
            for key in self._state.forget_jobs(job.content, _KEPT):
                self._logs.remove(key)

    def _save(self, job: StoredJob) -> None:
        with despite_full_disk(self._report):
            self._state.save_job(job)

    async def kill(self, job: StoredJob) -> bool:
        """End a job; return False if it does not run."""
        end = self._ends.get(job.key)
        if end is not None:
            await end()
        return end is not None

    def content_of(self, api_key: str) -> StoredContent | None:
        """Return the content of the job that has an API key."""
        for key, known in self._keys.items():
            if secrets.compare_digest(known.reveal().encode(), api_key.encode()):
                return self._state.content_of_job(key)
        return None

    async def run(
        self,
        content: StoredContent,
        bundle: StoredBundle,
        tag: str,
        work: Callable[[JobLog, StoredJob], Coroutine[None, None, int]],
    ) -> int:
        """Return the exit code of work that is a job of its own, such as rendering.

        A job that is killed ends with the negative number of the signal.
        """
        job = self.create(content, bundle, tag)
        log = self.open_log(job)
        running = asyncio.create_task(work(log, job))

        async def end() -> None:
            running.cancel()
            await asyncio.wait([running])

        self.start(job, end)
        code: int | None = None
        error = ""
        try:
            code = await running
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            code, error = -_KILLED, "It was ended."
        except HatchConnectError as failure:
            code, error = 1, str(failure)
            raise
        finally:
            log.close()
            self.finish(replace(job, error=error), code)
        return code
