"""The programs that run for content: their environment, their lines and their end."""

from __future__ import annotations

import asyncio
import codecs
import json
import os
import signal
import sys
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from secrets import token_hex
from typing import TYPE_CHECKING, Literal, TypeAlias

from hatch_connect.project.discovery import GUESSED

if TYPE_CHECKING:
    from asyncio.subprocess import Process
    from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping

    from hatch_connect.local.logs import JobLog
    from hatch_connect.local.modes import Interface
    from hatch_connect.secret import Secret

_CHUNK = 1 << 16
_LONGEST = 1 << 20
_RUNNER = Path(__file__).parent / "runner"
_WATCHDOG = Path(__file__).parent / "watchdog.py"
_GRACE_SECONDS = 3.0
_FINISH_SECONDS = 5.0
_LOOK_SECONDS = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessContext:
    """Where a process of content runs: its files, its interpreter, its whole environment.

    `python` is None for content without Python; `home` is a folder that belongs to the content;
    `api_key` lets it call the server's API, unless it has a key of its own among its `variables`;
    `system` holds the few variables of the machine that any program needs there; `described` tells
    the content where and what it is.
    """

    root: Path
    python: Path | None
    home: Path
    api_key: Secret
    variables: Mapping[str, Secret]
    system: Mapping[str, str]
    described: Mapping[str, str]

    def make_home(self) -> None:
        """Create the folders of the content."""
        (self.home / "tmp").mkdir(parents=True, exist_ok=True)

    def environ(self) -> dict[str, str]:
        """Return the whole environment of a process: nothing of the developer's own.

        The content's variables win, but for those that describe it.
        """
        return {
            **self.system,
            **self._of_python(),
            "HOME": str(self.home),
            "TMPDIR": str(self.home / "tmp"),
            "LANG": "C.UTF-8",
            "CONNECT_API_KEY": self.api_key.reveal(),
            **{name: value.reveal() for name, value in self.variables.items()},
            **self.described,
        }

    def _of_python(self) -> dict[str, str]:
        if self.python is None:
            return {"PATH": os.defpath}
        environment = self.python.parent.parent
        virtual = (environment / "pyvenv.cfg").exists()
        return {
            "PATH": os.pathsep.join((str(self.python.parent), os.defpath)),
            "PYTHONUNBUFFERED": "1",
            **({"VIRTUAL_ENV": str(environment)} if virtual else {}),
        }


def _signal_group(process: Process, name: Literal["SIGTERM", "SIGKILL"]) -> None:
    """Send a signal to a process that leads a session, and to its descendants that are left."""
    with suppress(ProcessLookupError, PermissionError):
        if sys.platform == "win32":
            process.kill()
        else:
            os.killpg(process.pid, signal.Signals[name])


async def lines(stream: asyncio.StreamReader) -> AsyncIterator[str]:
    """Yield each line without its end; a line of more than a million characters comes in pieces."""
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    rest = ""
    while chunk := await stream.read(_CHUNK):
        *whole, rest = (rest + decoder.decode(chunk)).split("\n")
        for line in whole:
            yield line.rstrip("\r")
        if len(rest) > _LONGEST:
            yield rest
            rest = ""
    rest += decoder.decode(b"", final=True)
    if rest:
        yield rest.rstrip("\r")


async def run_logged(
    command: tuple[str | Path, ...],
    *,
    environ: Mapping[str, str],
    folder: Path,
    write: Callable[[str], None],
) -> int:
    """Run a program in `folder`, give its lines to `write`, and return its exit code.

    It ends, with all that it has started, when the task that waits for it is cancelled, and when
    this process ends in whatever way.
    """
    starting = asyncio.create_subprocess_exec(
        *(sys.executable, "-I", "-S", _WATCHDOG),
        *command,
        env=environ,
        cwd=folder,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        start_new_session=True,
    )
    process = await _started(starting)

    async def read() -> None:
        assert process.stdout is not None  # noqa: S101 - asked for above; for the type checker
        async for line in lines(process.stdout):
            write(line)

    try:
        return await _exit_code(process, read())
    except asyncio.CancelledError:
        await _kill_all(process)
        raise


async def _started(starting: Coroutine[None, None, Process]) -> Process:
    """Return a process when it is started; if that is cancelled, all of it is ended.

    asyncio would end the process, and not what it has started by then.
    """
    task = asyncio.create_task(starting)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        task.add_done_callback(_kill_started)
        await asyncio.wait((task,))  # unlike `await task`, it does not pass on another one
        if task.exception() is None:  # what did not start is no reason to forget the cancellation
            await _kill_all(task.result())
        raise


def _kill_started(task: asyncio.Task[Process]) -> None:
    if not task.cancelled() and task.exception() is None:
        _signal_group(task.result(), "SIGKILL")


async def _kill_all(process: Process) -> None:
    """End a process with what it has started, such as builds."""
    _signal_group(process, "SIGKILL")
    await _exit_code(process)


async def _exit_code(process: Process, *reading: Coroutine[None, None, None]) -> int:
    """Return the exit code of a process when it has ended and its output was read.

    What it has started and left behind ends with it. asyncio tells of its end only when nobody has
    its output any more: of what took a session of its own, that is no longer read.
    """

    async def end() -> None:
        await asyncio.gather(process.wait(), *reading)

    ended = asyncio.create_task(end())
    try:
        while process.returncode is None and not ended.done():
            await asyncio.wait((ended,), timeout=_LOOK_SECONDS)
        _signal_group(process, "SIGKILL")
        await asyncio.wait((ended,), timeout=_LOOK_SECONDS)
        if not ended.done():
            process._transport.close()  # type: ignore[attr-defined] # noqa: SLF001 - no other way
        await ended
    finally:
        ended.cancel()
    return process.returncode or 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """What to start.

    `command` is for the interface of that name; `prefix` is the path under which the process is
    mounted, if it must know that at its start; it must be ready within `patience` seconds, or
    whenever it likes for None.
    """

    context: ProcessContext
    runner: Path
    runtime: Path
    interface: Interface
    entrypoint: str
    command: tuple[str, ...] = ()
    prefix: str = ""
    patience: float | None


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
        self.failure = ""
        self._users = 0
        self._used = asyncio.get_running_loop().time()
        self._unused = asyncio.Event()
        self._unused.set()
        self._process = process
        self._asked_to_end = False
        self._token = token_hex(16)
        self._ready = asyncio.Event()
        self._reading = asyncio.create_task(self._read())

    @classmethod
    async def start(cls, launch: Launch, log: JobLog) -> ContentProcess:
        """Start a process, which is not ready yet. Raises StartError if it cannot be started."""
        context = launch.context
        context.make_home()
        try:
            starting = asyncio.create_subprocess_exec(
                launch.runner,
                _RUNNER,
                cwd=context.root,
                env=context.environ() | _mount_variables(launch),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                start_new_session=True,
            )
            process = await _started(starting)
        except OSError as error:
            log.close()
            reason = f"It could not be started: {error}. Deploy it again."
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

    @property
    def idle_seconds(self) -> float:
        """For how long nobody has used it; 0 while somebody does."""
        return 0 if self._users else asyncio.get_running_loop().time() - self._used

    @contextmanager
    def in_use(self) -> Iterator[None]:
        """Note that a request or a WebSocket needs it for as long as the block lasts."""
        self._users += 1
        self._unused.clear()
        try:
            yield
        finally:
            self._users -= 1
            self._used = asyncio.get_running_loop().time()
            if not self._users:
                self._unused.set()

    async def wait_ready(self, seconds: float | None) -> None:
        """Return when the content can be visited; raises StartError if it does not get there.

        It does not start either if nobody wants it any more: if this is cancelled.
        """
        try:
            await asyncio.wait_for(self._ready.wait(), seconds)
        except TimeoutError:
            self.failure = f"It did not start within {seconds:g} s (init_timeout)."
            await self.stop()
        except asyncio.CancelledError:
            await self.stop()
            raise
        if self.port is None:
            await asyncio.shield(self._reading)
            raise StartError(self.failure or "It was ended.", self.log.tail)
        self._used = asyncio.get_running_loop().time()

    async def ends_soon(self) -> bool:
        """Return whether it has ended, or does within a second."""
        with suppress(TimeoutError):
            await asyncio.wait_for(asyncio.shield(self._reading), 1)
        return not self.alive

    async def wait_end(self) -> int:
        """Return its exit code when it has ended and all of its output is in the log."""
        await asyncio.shield(self._reading)
        return self._process.returncode or 0

    async def finish(self, seconds: float) -> None:
        """End it when nobody uses it any more, after `seconds` at the latest."""
        self._asked_to_end = True
        with suppress(TimeoutError):
            await asyncio.wait_for(self._unused.wait(), seconds)
        await self.stop()

    async def stop(self) -> None:
        """End it and all that it has started; first with a request, then without."""
        self._asked_to_end = True
        _signal_group(self._process, "SIGTERM")
        await self._wait_a_little()
        _signal_group(self._process, "SIGKILL")  # also for what it started and left behind
        await self._wait_a_little()

    async def _wait_a_little(self) -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(asyncio.shield(self._reading), _GRACE_SECONDS)

    def _ask(self, launch: Launch) -> None:
        request = {
            "entrypoint": launch.entrypoint,
            "names": GUESSED,
            "interface": launch.interface,
            "command": launch.command,
            "runtime": str(launch.runtime),
            "token": self._token,
        }
        # The pipe stays open: its end tells the process that this one is gone.
        assert self._process.stdin is not None  # noqa: S101 - asked for; for the type checker
        self._process.stdin.write(json.dumps(request).encode() + b"\n")

    async def _read(self) -> None:
        try:
            reading = self._read_one("stdout"), self._read_one("stderr")
            code = await _exit_code(self._process, *reading)
            if not self._asked_to_end:
                self.failure = _failure_of(code)
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


def _failure_of(code: int) -> str:
    """Return how a process ended that nobody asked to end."""
    if code < 0:
        with suppress(ValueError):
            return f"Its process was ended by {signal.Signals(-code).name}."
    return f"Its process ended with exit code {code}."


def _mount_variables(launch: Launch) -> dict[str, str]:
    """Return the variables by which a framework learns where it is mounted."""
    if launch.interface == "dash":
        return {
            "DASH_REQUESTS_PATHNAME_PREFIX": f"{launch.prefix}/",
            "DASH_ROUTES_PATHNAME_PREFIX": "/",
        }
    if launch.interface == "gradio":
        return {"GRADIO_ROOT_PATH": launch.prefix}
    # Quarto looks for a Python of its own.
    is_quarto = launch.interface == "command" and launch.context.python is not None
    return {"QUARTO_PYTHON": str(launch.context.python)} if is_quarto else {}


Key: TypeAlias = tuple[int, str]
"""The number of a bundle, and the prefix that its process was mounted at, if it must know that."""


class Processes:
    """The content processes of one server, one for each bundle and prefix at most."""

    def __init__(self) -> None:
        self._running: dict[Key, asyncio.Task[ContentProcess]] = {}
        self._ending: dict[asyncio.Task[None], tuple[Key, asyncio.Task[ContentProcess]]] = {}
        self._stopping = False

    def serving(self) -> dict[Key, ContentProcess]:
        """Return the processes that can be visited right now."""
        return {
            key: starting.result()
            for key, starting in self._running.items()
            if starting.done() and not _is_over(starting)
        }

    def runs(self, bundle: int) -> bool:
        """Return whether a process of a bundle can be visited right now."""
        return any(key[0] == bundle for key in self.serving())

    @asynccontextmanager
    async def visiting(
        self, key: Key, start: Callable[[], Coroutine[None, None, ContentProcess]]
    ) -> AsyncIterator[ContentProcess]:
        """Yield the process of that key, started now if there is none, and keep it meanwhile.

        Raises StartError if it does not start: the same for all who wait for it.
        """
        process = await self._ready(key, start)
        with process.in_use():
            yield process

    async def _ready(
        self, key: Key, start: Callable[[], Coroutine[None, None, ContentProcess]]
    ) -> ContentProcess:
        while not self._stopping:
            starting = self._running.get(key)
            if starting is None or _is_over(starting):
                starting = self._running[key] = asyncio.create_task(start())
                # If the visitors have left, nobody asks for it.
                starting.add_done_callback(lambda done: done.cancelled() or done.exception())
            # It goes on if this visitor leaves: others may wait for it.
            await asyncio.wait([starting])
            if self._running.get(key) is starting and not starting.cancelled():
                process = starting.result()
                if process.alive:
                    return process
                raise StartError(process.failure or "It was ended.", process.log.tail)
            # It was ended meanwhile, such as for new variables: the next one is for this visitor.
            if not starting.cancelled() and (error := starting.exception()):
                raise error
        raise StartError("The server is stopping.", ())

    def retire(self, *bundles: int, seconds: float = _FINISH_SECONDS) -> None:
        """Let no further visit reach the processes of these bundles, and end them.

        Open requests may finish, for so many seconds.
        """
        for key in [key for key in self._running if key[0] in bundles]:
            self.retire_one(key, seconds=seconds)

    def retire_one(self, key: Key, *, seconds: float = _FINISH_SECONDS) -> None:
        """Retire the process of that key."""
        starting = self._running.pop(key)
        ending = asyncio.create_task(_end(starting, seconds))
        self._ending[ending] = key, starting
        ending.add_done_callback(self._ending.pop)

    async def stop(self, *bundles: int) -> None:
        """End the processes of these bundles at once."""
        self.retire(*bundles, seconds=0)
        ending = {
            task: starting for task, (key, starting) in self._ending.items() if key[0] in bundles
        }
        begun = (one.result() for one in ending.values() if one.done() and not _is_over(one))
        await asyncio.gather(*(process.stop() for process in begun))
        if ending:
            await asyncio.wait(ending)

    async def stop_all(self) -> None:
        """End every process."""
        self._stopping = True
        ending = {key[0] for key, _starting in self._ending.values()}
        await self.stop(*ending, *(bundle for bundle, _prefix in self._running))


def _is_over(starting: asyncio.Task[ContentProcess]) -> bool:
    """Return whether the process of a start can no longer be visited."""
    if not starting.done():
        return False
    return starting.cancelled() or bool(starting.exception()) or not starting.result().alive


async def _end(starting: asyncio.Task[ContentProcess], seconds: float) -> None:
    starting.cancel()  # if it is still under way
    await asyncio.wait([starting])
    if not _is_over(starting):
        await starting.result().finish(seconds)
