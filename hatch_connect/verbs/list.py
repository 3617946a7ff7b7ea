"""`list`: the servers that are stored."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from hatch_connect.events import Note, Warned
from hatch_connect.verbs.reach import server_store

if TYPE_CHECKING:
    from hatch_connect.connect.servers import Server
    from hatch_connect.events import Report
    from hatch_connect.options import Options
    from hatch_connect.verbs.surroundings import Surroundings


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


def run(_options: Options, surroundings: Surroundings, report: Report) -> ServerList:
    """Read the store. Raises StoreError."""
    store = server_store(surroundings, report)
    servers = store.servers()
    for error in store.broken():
        report(Warned(text=str(error)))
    if not servers:
        report(Note(text=f"No server is stored in {store.path}; `hatch-connect add` stores one."))
    return ServerList(servers=servers, default=store.default_name())
