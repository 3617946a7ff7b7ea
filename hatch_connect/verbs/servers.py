"""Servers under their nicknames: `add`, `list`, `remove` and `details`.

`add` stores one after asking it who we are; `details` says whether it answers, who I am there, and
what it has.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from hatch_connect.connect.resolve_server import server_to_add
from hatch_connect.errors import ProjectError, StoreError, UsageError
from hatch_connect.events import Note, Warned
from hatch_connect.verbs.result import project_of
from hatch_connect.verbs.server import (
    chosen_server,
    client_of,
    server_options,
    server_store,
    settings_of,
    who,
)

if TYPE_CHECKING:
    from hatch_connect.connect.resources import ExecutionEnvironment, PythonInstallation, User
    from hatch_connect.connect.servers import Server, ServerStore
    from hatch_connect.events import Report
    from hatch_connect.options import Options
    from hatch_connect.project.project import ProjectConfig
    from hatch_connect.secret import Secret
    from hatch_connect.verbs.result import Surroundings


@dataclass(frozen=True, slots=True, kw_only=True)
class Added:
    """The server as it was stored, and whom its key belongs to."""

    server: Server
    user: User | None

    def lines(self) -> tuple[str, ...]:
        """Return one sentence."""
        server = self.server
        you = f"there you are {self.user.username}" if self.user else f"{who(None)} there"
        return (f"Stored {server.url} as {server.name!r}; {you}.",)

    def to_dict(self) -> dict[str, object]:
        """Return nickname, URL and user."""
        server = self.server
        username = self.user and self.user.username
        return {"name": server.name, "url": server.url, "username": username}


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerList:
    """The stored servers; keys are never shown."""

    servers: tuple[Server, ...]
    default: str | None

    def lines(self) -> tuple[str, ...]:
        """Return a line a server: nickname, URL, what is particular."""
        return tuple("  ".join((str(s.name), s.url, *self._particulars(s))) for s in self.servers)

    def to_dict(self) -> dict[str, object]:
        """Return the servers as objects."""
        return {
            "servers": [
                {
                    "name": s.name,
                    "url": s.url,
                    "insecure": s.insecure,
                    "default": s.name == self.default,
                }
                for s in self.servers
            ]
        }

    def _particulars(self, server: Server) -> tuple[str, ...]:
        default = "(default)" if server.name == self.default else ""
        insecure = "(certificate not checked)" if server.insecure else ""
        return tuple(filter(None, (default, insecure)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Removed:
    """The nickname that was removed."""

    name: str

    def lines(self) -> tuple[str, ...]:
        """Return one sentence."""
        return (f"Removed the server {self.name!r}.",)

    def to_dict(self) -> dict[str, object]:
        """Return the nickname."""
        return {"removed": self.name}


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerDetails:
    """What a server tells this key; `version` is "" and `pythons` None if it does not."""

    server: Server
    version: str
    user: User | None
    pythons: tuple[PythonInstallation, ...] | None
    images: tuple[ExecutionEnvironment, ...]

    def lines(self) -> tuple[str, ...]:
        """Return a line a fact."""
        pythons = "not told"
        if self.pythons is not None:
            pythons = ", ".join(map(_shown, self.pythons)) or "none"
        return (
            f"Server   {self.server.url}",
            f"Because  {self.server.source}",
            f"Version  {self.version or 'hidden'}",
            f"You      {who(self.user)}",
            f"Python   {pythons}",
            *(f"Image    {i.name}  Python {', '.join(i.pythons)}" for i in self.images),
        )

    def to_dict(self) -> dict[str, object]:
        """Return the facts as an object."""
        pythons = self.pythons
        return {
            "url": self.server.url,
            "name": self.server.name,
            "source": self.server.source,
            "version": self.version,
            "user": self.user
            and {
                "guid": self.user.guid,
                "username": self.user.username,
                "role": self.user.role,
            },
            "python": None if pythons is None else [p.version for p in pythons],
            "images": [{"name": i.name, "python": list(i.pythons)} for i in self.images],
        }


def run_add(options: Options, surroundings: Surroundings, report: Report) -> Added:
    """Check the server and the key, then store them.

    Raises UsageError if the nickname, the URL or the key is missing, ServerError if the
    server does not take the key: then nothing is stored.
    """
    environ = surroundings.environ
    if not options.name:
        raise UsageError("Which nickname for this server?", hint="Give it with --name.")
    choice = server_options(options, surroundings)
    if choice.api_key is None and not environ.get("CONNECT_API_KEY"):
        choice = replace(choice, api_key=_ask(surroundings))
    server = server_to_add(choice, environ=environ)
    store = server_store(surroundings, report)
    user = client_of(server, surroundings, report).user()
    known = _known(store, options.name)
    if known is not None and known.url != server.url:
        report(Note(text=f"{options.name!r} was {known.url} until now."))
    store.add(server, default=options.set_default)
    return Added(server=server, user=user)


def _known(store: ServerStore, name: str) -> Server | None:
    try:
        return store.get(name)
    except StoreError:
        return None  # a broken store is reported when it is set aside


def _ask(surroundings: Surroundings) -> Secret:
    if surroundings.ask_secret is None:
        raise UsageError(
            "The server's API key is missing, and nobody is at a terminal to ask for it.",
            hint="Set CONNECT_API_KEY.",
        )
    return surroundings.ask_secret("API key: ")


def run_list(_options: Options, surroundings: Surroundings, report: Report) -> ServerList:
    """Read the store. Raises StoreError."""
    store = server_store(surroundings, report)
    servers = store.servers()
    for error in store.broken():
        report(Warned(text=str(error)))
    if not servers:
        report(Note(text=f"No server is stored in {store.path}; `hatch-connect add` stores one."))
    return ServerList(servers=servers, default=store.default_name())


def run_remove(options: Options, surroundings: Surroundings, report: Report) -> Removed:
    """Remove the server from the store. Raises UsageError, StoreError."""
    store = server_store(surroundings, report)
    stored = store.find(options.server) if options.server and not options.name else None
    name = options.name or (stored.name if stored else None)
    if name is None:
        raise UsageError(
            "Which server?" if not options.server else f"No server {options.server} is stored.",
            hint="Name it with --name; `hatch-connect list` shows the names.",
        )
    store.remove(name)
    return Removed(name=name)


def _shown(python: PythonInstallation) -> str:
    return python.version if python.publishable else f"{python.version} (takes no new bundles)"


def run_details(options: Options, surroundings: Surroundings, report: Report) -> ServerDetails:
    """Ask the server. Raises UsageError, ServerError."""
    with chosen_server(options, surroundings, _project(options, surroundings), report) as server:
        client = client_of(server, surroundings, report)
        return ServerDetails(
            server=server,
            version=settings_of(client, surroundings).version,
            user=client.user(),
            pythons=client.python_installations(),
            images=client.environments() or (),
        )


def _project(options: Options, surroundings: Surroundings) -> ProjectConfig | None:
    """Return the project if there is one: this verb needs none, nor content in it."""
    try:
        return project_of(options, surroundings).content(packages_only=True)
    except ProjectError:
        return None
