"""The parts of one running server, and what holds them together."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from sqlite3 import OperationalError
from typing import TYPE_CHECKING
from weakref import WeakValueDictionary

from hatch_connect.local.environments import Environments
from hatch_connect.local.files import Files, remove_folder
from hatch_connect.local.installed import Installed
from hatch_connect.local.jobs import Jobs
from hatch_connect.local.logs import Logs
from hatch_connect.local.one_time import (
    LOGIN_SECONDS,
    TICKET_SECONDS,
    Login,
    OneTime,
    SigningSecret,
    Ticket,
)
from hatch_connect.local.processes import Processes
from hatch_connect.local.pruning import set_aside
from hatch_connect.local.running import Parts, Running
from hatch_connect.local.state import State
from hatch_connect.local.status import Status, status_of
from hatch_connect.local.tasks import Tasks
from hatch_connect.local.users import Users

if TYPE_CHECKING:
    from starlette.requests import HTTPConnection

    from hatch_connect.local.setup import Setup
    from hatch_connect.local.state import StoredContent
    from hatch_connect.local.users import User


def machine_of(connection: HTTPConnection) -> Machine:
    """Return the machine that the application of a request serves."""
    machine = connection.app.state.machine
    assert isinstance(machine, Machine)  # noqa: S101 - create_app sets it
    return machine


class Machine:
    """One server: what it remembers, who uses it, what is installed and what runs."""

    def __init__(self, setup: Setup) -> None:
        self.setup = setup
        self.state = State(setup.folder)
        self.files = Files(setup.folder)
        self.users = Users(self.state, setup.users, setup.api_key)
        self.secret = SigningSecret(setup.folder)
        self.logins: OneTime[Login] = OneTime(LOGIN_SECONDS)
        self.tickets: OneTime[Ticket] = OneTime(TICKET_SECONDS)
        self.logs = Logs(setup.folder / "logs")
        self.tasks = Tasks(self.logs)
        self.jobs = Jobs(self.state, self.logs, setup.report)
        self.environments = Environments(setup.folder / "environments", setup.environ)
        self.installed = Installed(setup, self.environments)
        self.processes = Processes()
        self.running = Running(
            Parts(
                setup=setup,
                state=self.state,
                files=self.files,
                environments=self.environments,
                installed=self.installed,
                jobs=self.jobs,
                processes=self.processes,
            )
        )
        self._content_locks: WeakValueDictionary[int, asyncio.Lock] = WeakValueDictionary()
        self._removing: asyncio.Future[None] | None = None

    async def start(self) -> None:
        """Begin; to be called in the event loop that serves."""
        with suppress(OperationalError):  # of a full disk: what is there can be served all the same
            self.state.end_unfinished()
        with suppress(OSError):
            aside = set_aside(self.setup.folder, self.state)
            self._removing = asyncio.ensure_future(remove_folder(aside))
        self.running.start()
        self.installed.start()

    async def stop(self) -> None:
        """End all that was started."""
        await self.tasks.stop()
        await self.running.stop()
        await self.installed.pythons()
        if self._removing:
            await self._removing
        self.state.close()

    def status(self, content: StoredContent) -> Status:
        """Return the state of content."""
        return status_of(self.state, self.processes, content)

    def content_lock(self, content: int) -> asyncio.Lock:
        """Return what serializes the deployments of the content of that number."""
        return self._content_locks.setdefault(content, asyncio.Lock())

    def user_of_key(self, key: str) -> User | None:
        """Return whose key it is; that of a process of content acts for the content's owner."""
        if user := self.users.of_key(key):
            return user
        content = self.jobs.content_of(key)
        return self.users.of_guid(content.owner) if content else None

    async def remove_content(self, content: StoredContent) -> None:
        """Forget content, end its processes and remove its files."""
        await self.tasks.cancel(
            lambda task: task.about is not None and task.about.content == content.id,
            "The content was removed.",
        )
        async with self.content_lock(content.id):
            bundles = self.state.bundles(content)
            logs = [job.key for job in self.state.jobs(content)]
            logs += [deployment.id for deployment in self.state.deployments(content)]
            await self.processes.stop(*(bundle.id for bundle in bundles))
            self.state.remove_content(content)
        for bundle in bundles:
            await self.files.remove_bundle(bundle)
        for key in logs:
            self.logs.remove(key)
        await self.files.remove_content(content)
