"""`local`: a Connect on this machine, until it is stopped."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hatch_connect.commands.result import Result
from hatch_connect.commands.server import state_folder
from hatch_connect.events import Note
from hatch_connect.local.folder import LocalOptions
from hatch_connect.local.start import serve
from hatch_connect.programs import without_identity

if TYPE_CHECKING:
    from hatch_connect.commands.call import Call
    from hatch_connect.local.folder import LocalServer


def run_local(call: Call) -> Result:
    """Serve until the person, or a signal, ends it. Raises UsageError."""
    state = state_folder(call)
    users = call.options.users
    options = LocalOptions(
        port=call.options.port or 0, users=call.surroundings.directory / users if users else None
    )

    def ready(server: LocalServer) -> None:
        call.report(Note(text=f"Connect is running at {server.url}. Press Ctrl-C to stop it."))
        call.report(Note(text=f"Deploy to it with --local. Its API key is in {server.key_file}"))
        call.report(Note(text=f"Try it as somebody else with a key of {options.users_file(state)}"))

    serve(
        state,
        options=options,
        environ=without_identity(call.environ),
        report=call.report,
        ready=ready,
    )
    return Result(facts={"state": str(state)})
