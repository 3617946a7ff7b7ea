"""The processes of deployed content: when one starts, where it runs, and when it ends."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from sqlite3 import OperationalError
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from hatch_connect.errors import HatchConnectError
from hatch_connect.events import Detail
from hatch_connect.local.disk import despite_full_disk, writing
from hatch_connect.local.modes import Mount, mode_of, serving_command
from hatch_connect.local.processes import (
    ContentProcess,
    Key,
    Launch,
    ProcessContext,
    Processes,
    StartError,
)
from hatch_connect.local.pythons import OWN, Python
from hatch_connect.local.runtime_settings import seconds, wants_process, without_effect

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from contextlib import AbstractAsyncContextManager

    from hatch_connect.local.environments import Environments
    from hatch_connect.local.files import Files
    from hatch_connect.local.installed import Installed
    from hatch_connect.local.jobs import Jobs
    from hatch_connect.local.setup import Setup
    from hatch_connect.local.state import State, StoredBundle, StoredContent, StoredJob

logger = logging.getLogger(__name__)

_LOOK_SECONDS = 1.0
_AGAIN_SECONDS = 30.0
_PREPARE_SECONDS = 60.0
_OF_ANY_PROGRAM = ("SYSTEMROOT", "SYSTEMDRIVE", "PATHEXT", "COMSPEC")


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What of a server the processes of content need."""

    setup: Setup
    state: State
    files: Files
    environments: Environments
    installed: Installed
    jobs: Jobs
    processes: Processes


class Running:
    """Starts the processes of content when they are needed, and ends those that are not."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._background: set[asyncio.Task[None]] = set()
        self._supervising: asyncio.Task[None] | None = None
        self._tried: dict[int, float] = {}

    def start(self) -> None:
        """Begin to look after the processes."""
        self._supervising = asyncio.create_task(self._supervise())

    async def stop(self) -> None:
        """End all processes."""
        if self._supervising:
            self._supervising.cancel()
        await self._parts.processes.stop_all()
        await asyncio.gather(*self._background)

    def visiting(
        self, content: StoredContent, bundle: StoredBundle, prefix: str
    ) -> AbstractAsyncContextManager[ContentProcess]:
        """Yield the process that serves a deployed bundle below `prefix`; raises StartError."""
        by_request = mode_of(bundle).learns == "by request"
        key = bundle.id, "" if by_request else prefix
        return self._parts.processes.visiting(key, partial(self._start_process, content.id, key))

    async def prepare(self, content: StoredContent, bundle: StoredBundle) -> None:
        """Start the process of a bundle as that of the active one; raises StartError."""
        visiting = self.visiting(content, bundle, f"/content/{content.guid}")
        try:
            async with asyncio.timeout(_PREPARE_SECONDS), visiting:
                pass
        except TimeoutError as error:
            raise StartError("It takes longer than a minute.", ()) from error

    def restart(self, content: StoredContent) -> None:
        """End the processes of content; the next visit gets a new one, an open one may finish."""
        bundles = [bundle.id for bundle in self._parts.state.bundles(content)]
        self._parts.processes.retire(*bundles)
        for bundle in bundles:
            self._tried.pop(bundle, None)

    def settings_changed(self, content: StoredContent) -> None:
        """Act on changed settings at once; time-outs are read when they count."""
        bundles = [bundle.id for bundle in self._parts.state.bundles(content)]
        if content.settings["locked"]:
            self._parts.processes.retire(*bundles, seconds=0)
        for bundle in bundles:
            self._tried.pop(bundle, None)

    def context(
        self, content: StoredContent, bundle: StoredBundle, job: StoredJob
    ) -> ProcessContext:
        """Return where a process for that job runs."""
        setup, parts = self._parts.setup, self._parts
        return ProcessContext(
            root=parts.files.root(bundle),
            python=parts.environments.of(bundle).python if bundle.environment else None,
            home=parts.files.home(content),
            api_key=parts.jobs.api_key(job),
            variables=parts.state.variables(content),
            system={name: setup.environ[name] for name in _OF_ANY_PROGRAM if name in setup.environ},
            described={
                "CONNECT_SERVER": setup.url,
                "CONNECT_CONTENT_GUID": content.guid,
                "CONNECT_CONTENT_JOB_KEY": job.key,
                "POSIT_PRODUCT": "CONNECT",
                "RSTUDIO_PRODUCT": "CONNECT",
            },
        )

    async def _start_process(self, content_id: int, key: Key) -> ContentProcess:
        state, jobs = self._parts.state, self._parts.jobs
        content, bundle = state.content_by_id(content_id), state.bundle(key[0])
        if content is None or bundle is None:
            raise StartError("It was removed.", ())
        if content.settings["locked"]:
            raise StartError("This content is locked.", ())
        job = jobs.create(content, bundle, mode_of(bundle).tag)
        try:
            launch = await self._launch(content, bundle, job, key[1])
            log = jobs.open_log(job)
            for line in without_effect(content):
                log.write("stderr", line)
            process = await ContentProcess.start(launch, log)
        except BaseException as error:
            jobs.discard(job)
            if isinstance(error, StartError):
                self._save_failure(bundle.id, error.reason)
            raise
        self._watch(process, job, content)
        await process.wait_ready(launch.patience)
        self._save_failure(bundle.id, "")
        return process

    async def _launch(
        self, content: StoredContent, bundle: StoredBundle, job: StoredJob, prefix: str
    ) -> Launch:
        parts, mode = self._parts, mode_of(bundle)
        offered = {python.version for python in parts.setup.claims.pythons}
        if offered and bundle.python and bundle.python not in offered:
            error = f"This server does not have Python {bundle.python}, on which this was deployed."
            raise StartError(error, ())
        try:
            with writing(parts.setup.folder):
                present = await parts.environments.present(
                    bundle, parts.files.root(bundle), await parts.installed.pythons()
                )
                if present is not bundle:
                    parts.state.save_bundle(present)
                context = self.context(content, present, job)
                context.make_home()
                runner = context.python or OWN.path
                version = bundle.python or OWN.version
                runtime = await parts.installed.runtime(Python(version=version, path=runner))
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
        origins = self._parts.setup.url, self._parts.setup.content_origin
        hosts = tuple(urlsplit(origin).netloc for origin in origins)
        mount = Mount(hosts=hosts, prefix=prefix)
        command = serving_command(bundle.app_mode or "", bundle.entrypoint, mount)
        # A content process has a search path of its own.
        quarto = str(self._parts.installed.quarto)
        return (quarto, *command[1:]) if command[0] == "quarto" else command

    def _save_failure(self, bundle_id: int, reason: str) -> None:
        state = self._parts.state
        current = state.bundle(bundle_id)
        if current and current.failed != reason:
            with despite_full_disk(self._parts.setup.report):
                state.save_bundle(replace(current, failed=reason))

    def _watch(self, process: ContentProcess, job: StoredJob, content: StoredContent) -> None:
        jobs, report = self._parts.jobs, self._parts.setup.report
        report(Detail(text=f"{content.name}: started process {process.pid}"))
        started = replace(job, pid=process.pid)
        jobs.start(started, process.stop)

        async def watch() -> None:
            code = await process.wait_end()
            process.log.close()
            jobs.finish(replace(started, error=process.failure), code)
            if process.failure:
                self._save_failure(job.bundle, process.failure)
            report(Detail(text=f"{content.name}: process {process.pid} ended ({code})"))

        self._in_background(watch())

    def _in_background(self, work: Coroutine[None, None, None]) -> None:
        running = asyncio.create_task(work)
        self._background.add(running)
        running.add_done_callback(self._background.discard)

    async def _supervise(self) -> None:
        """End processes that nobody uses, and start those that run without a visit."""
        state = self._parts.state
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            try:
                for key, process in self._parts.processes.serving().items():
                    self._end_if_idle(key, process)
                for content in state.contents():
                    if wants_process(content) and not content.settings["locked"]:
                        self._keep_running(content)
            except OperationalError:  # of a full disk: it is tried again
                continue
            except Exception:
                # One process must not end the care for all others.
                logger.exception("Looking after the processes failed")

    def _end_if_idle(self, key: Key, process: ContentProcess) -> None:
        state, processes = self._parts.state, self._parts.processes
        bundle = state.bundle(key[0])
        content = state.content_by_id(bundle.content) if bundle else None
        if content is None:
            return
        if content.settings["locked"]:
            processes.retire_one(key, seconds=0)
            return
        allowed = seconds(content, "idle_timeout")
        kept = wants_process(content) and content.active_bundle == key[0]
        if allowed is not None and not kept and process.idle_seconds > allowed:
            process.log.write("stderr", f"Nobody used it for {allowed:g} s (idle_timeout): ending.")
            processes.retire_one(key)

    def _keep_running(self, content: StoredContent) -> None:
        bundle = self._parts.state.active_bundle(content)
        loop = asyncio.get_running_loop()
        if bundle is None or mode_of(bundle).kind != "process":
            return
        tried = self._tried.get(bundle.id)
        lately = tried is not None and loop.time() - tried < _AGAIN_SECONDS
        if lately or self._parts.processes.runs(bundle.id):
            return
        self._tried[bundle.id] = loop.time()

        async def start() -> None:
            with suppress(StartError):  # which its log tells, and the state of the content
                await self.prepare(content, bundle)

        self._in_background(start())
