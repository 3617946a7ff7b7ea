"""The parts of one running server, and what holds them together."""

from __future__ import annotations

import asyncio
import secrets
import shutil
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from sqlite3 import OperationalError
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import urlsplit
from uuid import uuid4

from hatch_connect.errors import HatchConnectError
from hatch_connect.events import Detail
from hatch_connect.local.disk import writing
from hatch_connect.local.environments import Environment, Environments, prepare_runtime
from hatch_connect.local.logs import JobLog, Logs
from hatch_connect.local.modes import MODES, Mount, serving_command
from hatch_connect.local.one_time import (
    LOGIN_SECONDS,
    TICKET_SECONDS,
    Login,
    OneTime,
    SigningSecret,
    Ticket,
)
from hatch_connect.local.processes import (
    ContentProcess,
    Key,
    Launch,
    ProcessContext,
    Processes,
    StartError,
    run_logged,
)
from hatch_connect.local.pruning import set_aside
from hatch_connect.local.pythons import OWN, Python, find_pythons, uv_environ
from hatch_connect.local.runtime import seconds, wants_process, without_effect
from hatch_connect.local.state import State, StoredBundle, StoredContent, StoredJob, now
from hatch_connect.local.status import Status, status_of
from hatch_connect.local.tasks import Tasks
from hatch_connect.local.users import Users
from hatch_connect.local.versions import AS_IT_IS, Claims
from hatch_connect.secret import Secret, hiding

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Mapping
    from contextlib import AbstractAsyncContextManager

    from starlette.requests import HTTPConnection

    from hatch_connect.events import Report
    from hatch_connect.local.users import Declared, User

_TEND_SECONDS = 1.0
_AGAIN_SECONDS = 30.0
_PREPARE_SECONDS = 60.0
_KEPT_JOBS = 200  # of one piece of content
_KILLED = 9  # as by SIGKILL
_OF_ANY_PROGRAM = ("SYSTEMROOT", "SYSTEMDRIVE", "PATHEXT", "COMSPEC")


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """Where a server keeps its state, under which URLs it is reached, and by whom.

    `url` is the origin of the API and the dashboard, `content_origin` that of content in a browser.
    """

    folder: Path
    url: str
    content_origin: str
    api_key: Secret
    users: Declared
    environ: Mapping[str, str]
    report: Report
    claims: Claims = AS_IT_IS


def machine_of(connection: HTTPConnection) -> Machine:
    """Return the machine that the application of a request serves."""
    machine = connection.app.state.machine
    assert isinstance(machine, Machine)  # noqa: S101 - create_app sets it
    return machine


Noted = TypeVar("Noted")


class Machine:
    """One server's state, tasks, environments and processes."""

    def __init__(self, setup: Setup) -> None:
        self.setup = setup
        self.state = State(setup.folder)
        self.users = Users(self.state, setup.users, setup.api_key)
        self.secret = SigningSecret(setup.folder)
        self.logins: OneTime[Login] = OneTime(LOGIN_SECONDS)
        self.tickets: OneTime[Ticket] = OneTime(TICKET_SECONDS)
        self.logs = Logs(setup.folder / "logs")
        self.tasks = Tasks(self.logs)
        self.environments = Environments(setup.folder / "environments", setup.environ)
        self.processes = Processes()
        found = shutil.which("quarto", path=setup.environ.get("PATH", ""))
        self.quarto = Path(found) if found else None
        self._content_locks: dict[int, asyncio.Lock] = {}
        self._runtime_lock = asyncio.Lock()
        self._keys: dict[str, Secret] = {}
        self._enders: dict[str, Callable[[], Awaitable[None]]] = {}
        self._watching: set[asyncio.Task[None]] = set()
        self._tending: asyncio.Task[None] | None = None
        self._tried: dict[int, float] = {}
        self._pythons: asyncio.Future[tuple[Python, ...]] | None = None
        self._removing: asyncio.Future[None] | None = None

    async def start(self) -> None:
        """Begin; to be called in the event loop that serves."""
        with suppress(OperationalError):  # of a full disk: what is there can be served all the same
            self.state.end_unfinished()
        with suppress(OSError):
            aside = set_aside(self.setup.folder, self.state)
            removing = asyncio.to_thread(shutil.rmtree, aside, ignore_errors=True)
            self._removing = asyncio.ensure_future(removing)
        self._tending = asyncio.create_task(self._tend())
        if not self.setup.claims.pythons:
            finding = asyncio.to_thread(find_pythons, self.setup.environ)
            self._pythons = asyncio.ensure_future(finding)

    async def stop(self) -> None:
        """End all that was started."""
        if self._tending:
            self._tending.cancel()
        await self.tasks.stop()
        await self.processes.stop_all()
        await asyncio.gather(*self._watching)
        await self.pythons()
        if self._removing:
            await self._removing
        self.state.close()

    async def pythons(self) -> tuple[Python, ...]:
        """Return the interpreters that content may have: those found when the server started."""
        return await asyncio.shield(self._pythons) if self._pythons else self.setup.claims.pythons

    async def quarto_version(self) -> str | None:
        """Return the version of the machine's Quarto; None if it has none."""
        if self.quarto is None:
            return None
        output: list[str] = []
        environ = uv_environ(self.setup.environ)
        command = (self.quarto, "--version")
        await run_logged(command, environ=environ, folder=self.setup.folder, write=output.append)
        return output[-1].strip() if output else None

    def status(self, content: StoredContent) -> Status:
        """Return the state of content."""
        return status_of(self.state, self.processes, content)

    def content_lock(self, content: StoredContent) -> asyncio.Lock:
        """Return what serializes the deployments of one piece of content."""
        return self._content_locks.setdefault(content.id, asyncio.Lock())

    def archive(self, bundle: StoredBundle) -> Path:
        """Return where the archive of a bundle is."""
        return self.setup.folder / "bundles" / f"{bundle.id}.tar.gz"

    def unpacked(self, bundle: StoredBundle) -> Path:
        """Return the folder for the unpacked archive of a bundle."""
        return self.setup.folder / "unpacked" / str(bundle.id)

    def root(self, bundle: StoredBundle) -> Path:
        """Return the root of a bundle in the folder that it is unpacked in."""
        return self.setup.folder / "unpacked" / (bundle.folder or "")

    def rendered(self, bundle: StoredBundle) -> Path:
        """Return the folder for the pages that were rendered of a bundle."""
        return self.setup.folder / "rendered" / str(bundle.id)

    def thumbnail(self, content: StoredContent) -> Path:
        """Return where the thumbnail of content is."""
        return self.setup.folder / "thumbnails" / content.guid

    async def runtime(self, python: Python) -> Path:
        """Return the folder of what launches content on that Python."""
        async with self._runtime_lock:
            return await prepare_runtime(self.setup.folder / "runtime", python, self.environments)

    def visiting(
        self, content: StoredContent, bundle: StoredBundle, prefix: str
    ) -> AbstractAsyncContextManager[ContentProcess]:
        """Yield the process that serves a deployed bundle below `prefix`; raises StartError."""
        by_request = MODES[bundle.app_mode or ""].learns == "by request"
        key = bundle.id, "" if by_request else prefix
        return self.processes.visiting(key, partial(self._start_process, content.id, key))

    async def prepare(self, content: StoredContent, bundle: StoredBundle) -> None:
        """Start the process of a bundle as that of the active one; raises StartError."""
        visiting = self.visiting(content, bundle, f"/content/{content.guid}")
        try:
            async with asyncio.timeout(_PREPARE_SECONDS), visiting:
                pass
        except TimeoutError as error:
            raise StartError("It takes longer than a minute.", ()) from error

    async def _start_process(self, content_id: int, key: Key) -> ContentProcess:
        content, bundle = self.state.content_by_id(content_id), self.state.bundle(key[0])
        if content is None or bundle is None:
            raise StartError("It was removed.", ())
        if content.settings["locked"]:
            raise StartError("This content is locked.", ())
        job = self._job(content, bundle, MODES[bundle.app_mode or ""].tag)
        try:
            launch = await self._launch(content, bundle, job, key[1])
            log = self._log(job)
            for line in without_effect(content):
                log.write("stderr", line)
            process = await ContentProcess.start(launch, log)
        except StartError as error:
            self._keys.pop(job.key, None)
            self._note_failure(bundle.id, error.reason)
            raise
        except BaseException:
            self._keys.pop(job.key, None)
            raise
        self._watch(process, job, content)
        await process.wait_ready(launch.patience)
        self._note_failure(bundle.id, "")
        return process

    def note(self, save: Callable[[Noted], None], what: Noted) -> None:
        """Write what has happened; a full disk must not undo it."""
        try:
            save(what)
        except OperationalError as error:
            self.setup.report(Detail(text=f"Not written to the state: {error}"))

    async def run_job(
        self,
        content: StoredContent,
        bundle: StoredBundle,
        tag: str,
        work: Callable[[JobLog, StoredJob], Coroutine[None, None, int]],
    ) -> int:
        """Return the exit code of work that is a job of its own, such as rendering.

        A job that is killed ends with the negative number of the signal.
        """
        job = self._job(content, bundle, tag)
        self.note(self.state.save_job, job)
        log = self._log(job)
        running = asyncio.create_task(work(log, job))

        async def end() -> None:
            running.cancel()
            await asyncio.wait([running])

        self._enders[job.key] = end
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
            self._end_job(replace(job, error=error), code)
        return code

    def _end_job(self, job: StoredJob, exit_code: int | None) -> None:
        self._keys.pop(job.key, None)
        self._enders.pop(job.key, None)
        self.note(self.state.save_job, replace(job, ended=now(), exit_code=exit_code))
        with suppress(OperationalError):
            for key in self.state.forget_jobs(job.content, _KEPT_JOBS):
                self.logs.remove(key)

    def user_of_key(self, key: str) -> User | None:
        """Return whose key it is; that of a process of content acts for the content's owner."""
        if user := self.users.of_key(key):
            return user
        for job_key, known in self._keys.items():
            if secrets.compare_digest(known.reveal().encode(), key.encode()):
                content = self.state.content_of_job(job_key)
                return self.users.of_guid(content.owner) if content else None
        return None

    def process_context(
        self, content: StoredContent, bundle: StoredBundle, job: StoredJob
    ) -> ProcessContext:
        """Return where a process for that job runs."""
        environment = Environment(folder=self.environments.folder / (bundle.environment or ""))
        environ = self.setup.environ
        return ProcessContext(
            root=self.root(bundle),
            python=environment.python if bundle.environment else None,
            home=self._home(content),
            api_key=self._keys[job.key],
            variables=self.state.variables(content),
            system={name: environ[name] for name in _OF_ANY_PROGRAM if name in environ},
            described={
                "CONNECT_SERVER": self.setup.url,
                "CONNECT_CONTENT_GUID": content.guid,
                "CONNECT_CONTENT_JOB_KEY": job.key,
                "POSIT_PRODUCT": "CONNECT",
                "RSTUDIO_PRODUCT": "CONNECT",
            },
        )

    def restart(self, content: StoredContent) -> None:
        """End the processes of content; the next visit gets a new one, an open one may finish."""
        bundles = [bundle.id for bundle in self.state.bundles(content)]
        self.processes.retire(*bundles)
        for bundle in bundles:
            self._tried.pop(bundle, None)

    def settings_changed(self, content: StoredContent) -> None:
        """Act on changed settings at once; time-outs are read when they count."""
        bundles = [bundle.id for bundle in self.state.bundles(content)]
        if content.settings["locked"]:
            self.processes.retire(*bundles, seconds=0)
        for bundle in bundles:
            self._tried.pop(bundle, None)

    async def kill(self, job: StoredJob) -> bool:
        """End the process of a job; return False if there is none."""
        end = self._enders.get(job.key)
        if end is not None:
            await end()
        return end is not None

    async def _tend(self) -> None:
        """End processes that nobody uses, and start those that run without a visit."""
        while True:
            await asyncio.sleep(_TEND_SECONDS)
            with suppress(OperationalError):  # of a full disk: it is tried again
                for key, process in self.processes.serving().items():
                    self._end_if_idle(key, process)
                for content in self.state.contents():
                    if wants_process(content) and not content.settings["locked"]:
                        self._keep_running(content)

    def _end_if_idle(self, key: Key, process: ContentProcess) -> None:
        bundle = self.state.bundle(key[0])
        content = self.state.content_by_id(bundle.content) if bundle else None
        if content is None:
            return
        if content.settings["locked"]:
            self.processes.retire_one(key, seconds=0)
            return
        allowed = seconds(content, "idle_timeout")
        kept = wants_process(content) and content.active_bundle == key[0]
        if allowed is not None and not kept and process.idle_seconds > allowed:
            process.log.write("stderr", f"Nobody used it for {allowed:g} s (idle_timeout): ending.")
            self.processes.retire_one(key)

    def _keep_running(self, content: StoredContent) -> None:
        bundle = self.state.bundle(content.active_bundle or 0)
        loop = asyncio.get_running_loop()
        if bundle is None or MODES[bundle.app_mode or ""].kind != "process":
            return
        tried = self._tried.get(bundle.id)
        if self.processes.runs(bundle.id) or (tried and loop.time() - tried < _AGAIN_SECONDS):
            return
        self._tried[bundle.id] = loop.time()

        async def start() -> None:
            with suppress(StartError):  # which its log tells, and the state of the content
                await self.prepare(content, bundle)

        self._in_background(start())

    def _in_background(self, work: Coroutine[None, None, None]) -> None:
        running = asyncio.create_task(work)
        self._watching.add(running)
        running.add_done_callback(self._watching.discard)

    async def remove_content(self, content: StoredContent) -> None:
        """Forget content, end its processes and remove its files."""
        await self.tasks.cancel(
            lambda task: task.about is not None and task.about.content == content.id,
            "The content was removed.",
        )
        async with self.content_lock(content):
            bundles = self.state.bundles(content)
            logs = [job.key for job in self.state.jobs(content)]
            logs += [deployment.id for deployment in self.state.deployments(content)]
            await self.processes.stop(*(bundle.id for bundle in bundles))
            self.state.remove_content(content)
        for bundle in bundles:
            await self.remove_files(bundle)
        for key in logs:
            self.logs.remove(key)
        self.thumbnail(content).unlink(missing_ok=True)
        await asyncio.to_thread(shutil.rmtree, self._home(content), ignore_errors=True)

    async def remove_files(self, bundle: StoredBundle) -> None:
        """Remove the archive of a bundle, and what was made of it."""
        self.archive(bundle).unlink(missing_ok=True)
        for folder in (self.unpacked(bundle), self.rendered(bundle)):
            await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)

    def content_url(self, content: StoredContent) -> str:
        """Return where content is visited, as Connect tells it."""
        return f"{self.setup.url}/content/{content.guid}/"

    def frame_url(self, content: StoredContent) -> str:
        """Return where a browser gets content, apart from the dashboard."""
        return f"{self.setup.content_origin}/content/{content.guid}/"

    def dashboard_url(self, content: StoredContent) -> str:
        """Return where content is described for a person."""
        return f"{self.setup.url}/connect/#/apps/{content.guid}"

    def _home(self, content: StoredContent) -> Path:
        return self.setup.folder / "home" / content.guid

    def _log(self, job: StoredJob) -> JobLog:
        return self.logs.open(job.key, hiding((self._keys[job.key],)))

    def _job(self, content: StoredContent, bundle: StoredBundle, tag: str) -> StoredJob:
        key = uuid4().hex[:16]
        self._keys[key] = Secret(secrets.token_urlsafe(32))
        return StoredJob(key=key, content=content.id, bundle=bundle.id, tag=tag, started=now())

    async def _launch(
        self, content: StoredContent, bundle: StoredBundle, job: StoredJob, prefix: str
    ) -> Launch:
        mode = MODES[bundle.app_mode or ""]
        offered = {python.version for python in self.setup.claims.pythons}
        if offered and bundle.python and bundle.python not in offered:
            error = f"This server does not have Python {bundle.python}, on which this was deployed."
            raise StartError(error, ())
        try:
            with writing(self.setup.folder):
                present = await self.environments.present(
                    bundle, self.root(bundle), await self.pythons()
                )
                if present is not bundle:
                    self.state.save_bundle(present)
                context = self.process_context(content, present, job)
                context.make_home()
                runner = context.python or OWN.path
                version = bundle.python or OWN.version
                runtime = await self.runtime(Python(version=version, path=runner))
        except HatchConnectError as error:
            raise StartError(str(error), ()) from error
        return Launch(
            context=context,
            runner=runner,
            runtime=runtime,
            interface=mode.interface,
            entrypoint=bundle.entrypoint,
            command=self._command(bundle, prefix) if mode.interface == "command" else (),
            prefix=prefix,
            patience=seconds(content, "init_timeout"),
        )

    def _command(self, bundle: StoredBundle, prefix: str) -> tuple[str, ...]:
        origins = self.setup.url, self.setup.content_origin
        hosts = tuple(urlsplit(origin).netloc for origin in origins)
        mount = Mount(hosts=hosts, prefix=prefix)
        command = serving_command(bundle.app_mode or "", bundle.entrypoint, mount)
        # A content process has a search path of its own.
        return (str(self.quarto), *command[1:]) if command[0] == "quarto" else command

    def _note_failure(self, bundle_id: int, reason: str) -> None:
        current = self.state.bundle(bundle_id)
        if current and current.failed != reason:
            self.note(self.state.save_bundle, replace(current, failed=reason))

    def _watch(self, process: ContentProcess, job: StoredJob, content: StoredContent) -> None:
        self.setup.report(Detail(text=f"{content.name}: started process {process.pid}"))
        started = replace(job, pid=process.pid)
        self.note(self.state.save_job, started)
        self._enders[job.key] = process.stop

        async def watch() -> None:
            code = await process.wait_end()
            process.log.close()
            self._end_job(replace(started, error=process.failure), code)
            if process.failure:
                self._note_failure(job.bundle, process.failure)
            self.setup.report(Detail(text=f"{content.name}: process {process.pid} ended ({code})"))

        self._in_background(watch())
