"""`local`: a Connect on this machine, until it is stopped."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hatch_connect.events import Note
from hatch_connect.local.start import serve
from hatch_connect.verbs.result import Result
from hatch_connect.verbs.server import state_folder

if TYPE_CHECKING:
    from hatch_connect.events import Report
    from hatch_connect.local.start import LocalServer
    from hatch_connect.options import Options
    from hatch_connect.verbs.call import Surroundings


def run_local(options: Options, surroundings: Surroundings, report: Report) -> Result:
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
    return Result(facts={"state": str(state)})
