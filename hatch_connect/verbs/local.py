"""`local`: a Connect on this machine, until it is stopped."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from hatch_connect.events import Note
from hatch_connect.local.start import serve
from hatch_connect.verbs.server import state_folder

if TYPE_CHECKING:
    from hatch_connect.events import Report
    from hatch_connect.local.start import LocalServer
    from hatch_connect.options import Options
    from hatch_connect.verbs.result import Surroundings


@dataclass(frozen=True, slots=True, kw_only=True)
class Stopped:
    """The server has stopped; what was deployed to it is kept."""

    state: str

    def lines(self) -> tuple[str, ...]:
        """Return nothing: all was said while it ran."""
        return ()

    def to_dict(self) -> dict[str, object]:
        """Return where the state is kept."""
        return {"state": self.state}


def run_local(options: Options, surroundings: Surroundings, report: Report) -> Stopped:
    """Serve until the person, or a signal, ends it. Raises UsageError."""
    state = state_folder(surroundings)

    def ready(server: LocalServer) -> None:
        report(Note(text=f"Connect runs at {server.url}, until Ctrl-C. Deploy to it: --local"))
        report(Note(text=f"Its API key is in {state / 'api-key'}"))

    serve(
        state,
        port=options.port or 0,
        environ=surroundings.environ,
        report=report,
        ready=ready,
    )
    return Stopped(state=str(state))
