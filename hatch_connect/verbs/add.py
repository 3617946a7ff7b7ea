"""`add`: store a server under a nickname, after asking it who we are."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from hatch_connect.connect.resolve_server import server_to_add
from hatch_connect.errors import StoreError, UsageError
from hatch_connect.events import Note
from hatch_connect.verbs.reach import client_of, server_choice, server_store, who

if TYPE_CHECKING:
    from pathlib import Path

    from hatch_connect.connect.resources import User
    from hatch_connect.connect.servers import Server, ServerStore
    from hatch_connect.events import Report
    from hatch_connect.options import Options
    from hatch_connect.secret import Secret
    from hatch_connect.verbs.surroundings import Surroundings


@dataclass(frozen=True, slots=True, kw_only=True)
class Added:
    """The server as it was stored, and whom its key belongs to."""

    server: Server
    user: User | None
    store: Path

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


def run(options: Options, surroundings: Surroundings, report: Report) -> Added:
    """Check the server and the key, then store them.

    Raises UsageError where the nickname, the URL or the key is missing, ServerError where the
    server does not take the key: then nothing is stored.
    """
    environ = surroundings.environ
    if not options.name:
        raise UsageError("Which nickname shall the server have?", hint="Give it with --name.")
    choice = server_choice(options, surroundings)
    if choice.api_key is None and not environ.get("CONNECT_API_KEY"):
        choice = replace(choice, api_key=_ask(surroundings))
    server = server_to_add(choice, environ=environ)
    store = server_store(surroundings, report)
    user = client_of(server, surroundings, report).user()
    known = _known(store, options.name)
    if known is not None and known.url != server.url:
        report(Note(text=f"{options.name!r} was {known.url} until now."))
    store.add(server, default=options.set_default)
    return Added(server=server, user=user, store=store.path)


def _known(store: ServerStore, name: str) -> Server | None:
    try:
        return store.get(name)
    except StoreError:
        return None  # what is broken is told when it is set aside


def _ask(surroundings: Surroundings) -> Secret:
    if surroundings.ask_secret is None:
        raise UsageError(
            "The server's API key is missing, and nobody is at a terminal to ask for it.",
            hint="Set CONNECT_API_KEY.",
        )
    return surroundings.ask_secret("API key: ")
