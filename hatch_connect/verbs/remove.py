"""`remove`: forget a stored server."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from hatch_connect.errors import UsageError
from hatch_connect.verbs.reach import server_store

if TYPE_CHECKING:
    from hatch_connect.events import Report
    from hatch_connect.options import Options
    from hatch_connect.verbs.surroundings import Surroundings


@dataclass(frozen=True, slots=True, kw_only=True)
class Removed:
    """The nickname that was forgotten."""

    name: str

    def lines(self) -> tuple[str, ...]:
        """Return one sentence."""
        return (f"Removed the server {self.name!r}.",)

    def to_dict(self) -> dict[str, object]:
        """Return the nickname."""
        return {"removed": self.name}


def run(options: Options, surroundings: Surroundings, report: Report) -> Removed:
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
