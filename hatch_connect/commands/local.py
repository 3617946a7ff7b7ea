"""`local`: a Connect on this machine, until it is stopped."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hatch_connect.commands.result import Result
from hatch_connect.commands.server import state_folder
from hatch_connect.events import Note
from hatch_connect.local.folder import LocalOptions
from hatch_connect.local.start import check_extra, serve
from hatch_connect.local.versions import NEWEST, Claims, read_release
from hatch_connect.programs import without_identity

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hatch_connect.commands.call import Call
    from hatch_connect.local.folder import LocalServer


def run_local(call: Call) -> Result:
    """Serve until the person, or a signal, ends it. Raises UsageError."""
    state = state_folder(call)
    users = call.options.users
    options = LocalOptions(
        port=call.options.port or 0,
        users=call.surroundings.directory / users if users else None,
        claims=_claims(call),
    )

    def ready(server: LocalServer) -> None:
        call.report(Note(text=f"Connect is running at {server.url}. Press Ctrl-C to stop it."))
        if server.login_url and call.surroundings.wait_for_person and not call.environ.get("CI"):
            text = f"Its dashboard, within ten minutes and once: {server.login_url}"
            call.report(Note(text=text))
        for line in _pretended(options.claims):
            call.report(Note(text=line))
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


def _claims(call: Call) -> Claims:
    """Return what the server is to claim to be. Raises UsageError."""
    asked = call.options.connect_version
    release = read_release(asked) if asked else NEWEST
    if not call.options.pythons:
        return Claims(release=release)
    check_extra()
    from hatch_connect.local.pythons import choose_offered, find_pythons

    found = find_pythons(without_identity(call.environ))
    return Claims(release=release, pythons=choose_offered(call.options.pythons, found))


def _pretended(claims: Claims) -> Iterator[str]:
    if claims.release != NEWEST:
        yield f"It answers as Connect {claims.release} does, as far as that is known."
    if claims.pythons:
        names = (
            python.version if python.publishable else f"{python.version} (not for new deployments)"
            for python in claims.pythons
        )
        yield f"Its Pythons: {', '.join(names)}."
