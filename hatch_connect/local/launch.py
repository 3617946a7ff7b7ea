"""Content processes: started at the first visit, kept, and ended with the server."""

from __future__ import annotations

import asyncio
import json
import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from secrets import token_hex
from typing import TYPE_CHECKING, Literal

from hatch_connect.local.lines import lines
from hatch_connect.local.process_groups import signal_group

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from hatch_connect.local.logs import JobLog
    from hatch_connect.secret import Secret

_RUNNER = Path(__file__).parent / "runner"
_GRACE_SECONDS = 3.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """What to start.

    `home` is a folder that belongs to the content; `system` holds the few variables of the machine
    that any program needs there; `described` tells the content where and what it is; `patience` is
    the number of seconds in which it has to be ready.
    """

    root: Path
    python: Path
    runtime: Path
    home: Path
    interface: Literal["asgi", "wsgi"]
    entrypoint: str
    variables: Mapping[str, Secret]
    system: Mapping[str, str]
    described: Mapping[str, str]
    patience: float


class StartError(Exception):
    """The content did not start; `tail` is the end of what it wrote."""

    def __init__(self, reason: str, tail: tuple[str, ...]) -> None:
        super().__init__(reason)
        self.reason = reason
        self.tail = tail


class ContentProcess:
    """One running process that serves one bundle on a port of its own."""

    def __init__(self, process: asyncio.subprocess.Process, log: JobLog) -> None:
        self.log = log
        self.port: int | None = None
        self._process = process
        self._token = token_hex(16)
        self._ready = asyncio.Event()
        self._reading = asyncio.create_task(self._read())

    @classmethod
    async def start(cls, launch: Launch, log: JobLog) -> ContentProcess:
        """Start a process; `wait_ready` tells how it went. Raises StartError where it cannot."""
        for folder in (launch.home, launch.home / "tmp"):
            folder.mkdir(parents=True, exist_ok=True)
        try:
            process = await asyncio.create_subprocess_exec(
                launch.python,
                _RUNNER,
                cwd=launch.root,
                env=content_environ(launch),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                start_new_session=True,
            )
        except OSError as error:
            log.close()
            reason = f"It cannot be started: {error}. Deploy it again."
            raise StartError(reason, ()) from error
        started = cls(process, log)
        started._ask(launch)
        return started

    @property
    def pid(self) -> int:
        """Its number."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether it has not ended."""
        return self._process.returncode is None

    async def wait_ready(self, seconds: float) -> None:
        """Return when the content can be visited; raises StartError where it does not get there."""
        try:
            await asyncio.wait_for(self._ready.wait(), seconds)
        except TimeoutError:
            await self.stop()
            raise StartError(f"It did not start within {seconds:g} s.", self.log.tail) from None
        if self.port is None:
            await asyncio.shield(self._reading)
            code = self._process.returncode
            raise StartError(f"Its process ended with exit code {code}.", self.log.tail)

    async def wait_end(self) -> int:
        """Return its exit code when it has ended and all of its output is in the log."""
        await asyncio.shield(self._reading)
        return self._process.returncode or 0

    async def stop(self) -> None:
        """End it and all that it has started; first with a request, then without."""
        signal_group(self._process, "SIGTERM")
        await self._wait_a_little()
        signal_group(self._process, "SIGKILL")  # also for what it started and left behind
        await self._wait_a_little()

    async def _wait_a_little(self) -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(asyncio.shield(self._reading), _GRACE_SECONDS)

    def _ask(self, launch: Launch) -> None:
        request = {
            "entrypoint": launch.entrypoint,
            "interface": launch.interface,
            "runtime": str(launch.runtime),
            "token": self._token,
        }
        # The pipe stays open: its end tells the process that this one is gone.
        assert self._process.stdin is not None  # noqa: S101 - asked for; for the type checker
        self._process.stdin.write(json.dumps(request).encode() + b"\n")

    async def _read(self) -> None:
        try:
            await asyncio.gather(self._read_one("stdout"), self._read_one("stderr"))
            await self._process.wait()
        finally:
            self._ready.set()

    async def _read_one(self, source: Literal["stdout", "stderr"]) -> None:
        stream = self._process.stdout if source == "stdout" else self._process.stderr
        assert stream is not None  # noqa: S101 - asked for; for the type checker
        async for line in lines(stream):
            token, _, port = line.partition(" ")
            if token == self._token:
                self.port = int(port)
                self._ready.set()
            else:
                self.log.write(source, line)


def content_environ(launch: Launch) -> dict[str, str]:
    """Return the whole environment of a content process: nothing of the developer's own.

    The content's variables win, but for those that describe it.
    """
    return {
        **launch.system,
        "PATH": os.pathsep.join((str(launch.python.parent), os.defpath)),
        "HOME": str(launch.home),
        "TMPDIR": str(launch.home / "tmp"),
        "LANG": "C.UTF-8",
        "PYTHONUNBUFFERED": "1",
        "VIRTUAL_ENV": str(launch.python.parent.parent),
        **{name: value.reveal() for name, value in launch.variables.items()},
        **launch.described,
    }


class Processes:
    """The content processes of one server, one for each bundle at most."""

    def __init__(self) -> None:
        self._running: dict[int, ContentProcess] = {}
        self._locks: dict[int, asyncio.Lock] = {}

    async def ensure(
        self,
        bundle: int,
        launch: Launch,
        *,
        make_log: Callable[[], JobLog],
        started: Callable[[ContentProcess], None],
    ) -> ContentProcess:
        """Return the process of a bundle, started now where there is none.

        `started` is told of a new one before it is ready. Raises StartError.
        """
        async with self._locks.setdefault(bundle, asyncio.Lock()):
            process = self._running.get(bundle)
            if process is None or not process.alive:
                process = await ContentProcess.start(launch, make_log())
                self._running[bundle] = process
                started(process)
            await process.wait_ready(launch.patience)
            return process

    async def stop(self, *bundles: int) -> None:
        """End the processes of these bundles."""
        ending = [self._running.pop(bundle) for bundle in bundles if bundle in self._running]
        await asyncio.gather(*(process.stop() for process in ending))

    async def stop_all(self) -> None:
        """End every process."""
        await self.stop(*self._running)
