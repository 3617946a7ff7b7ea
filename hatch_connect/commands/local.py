"""`local`: a Connect on this machine, until it is stopped."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from hatch_connect.commands.result import Result
from hatch_connect.commands.server import state_folder
from hatch_connect.errors import UsageError, counted
from hatch_connect.events import Note
from hatch_connect.local.disk import DiskError
from hatch_connect.local.folder import LocalOptions, exclusive
from hatch_connect.local.pruning import KINDS, Freed, number_of_contents, prune, reset
from hatch_connect.local.start import check_extra, serve
from hatch_connect.local.versions import NEWEST, Claims, read_release
from hatch_connect.programs import without_identity

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from hatch_connect.commands.call import Call
    from hatch_connect.local.folder import LocalServer


def run_local(call: Call) -> Result:
    """Serve until the person, or a signal, ends it; or clean up instead. Raises UsageError."""
    state = state_folder(call)
    if call.options.prune or call.options.reset:
        return _clean(call, state)
    if call.options.yes:
        raise UsageError("--yes is only for --reset: nothing else asks for confirmation.")
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


def _clean(call: Call, state: Path) -> Result:
    """Remove from the state folder what is not needed, or all of it. Raises UsageError."""
    options = call.options
    if options.prune and options.reset:
        raise UsageError("--prune and --reset are mutually exclusive.")
    if options.port or options.users or options.connect_version or options.pythons:
        raise UsageError("--prune and --reset start no server, so they take no options of one.")
    with exclusive(state):
        return _reset(call, state) if options.reset else _prune(call, state)


def _prune(call: Call, state: Path) -> Result:
    freed = prune(state)
    what = [counted(number, KINDS[kind]) for kind, number in freed.counts.items()]
    text = f"Removed {', '.join(what)}: {_size(freed)} were freed" if what else "Nothing to remove"
    call.report(Note(text=f"{text} in {state}"))
    removed = {kind: freed.counts.get(kind, 0) for kind in KINDS}
    return Result(facts={"state": str(state), "removed": removed, "freed": freed.size})


def _reset(call: Call, state: Path) -> Result:
    """Remove all content once the person has confirmed it. Raises UsageError."""
    number: int | None = None
    what = "all content"
    with suppress(DiskError):  # of a damaged database, which is a reason to remove it
        number = number_of_contents(state)
        what = f"{counted(number, 'piece')} of content"
    if not call.options.yes:
        call.confirm(
            "Remove everything?",
            f"This removes {what} of the local server, with all that belongs to it, in {state}",
            refused="Nothing was removed",
            hint="Use --yes to remove it without confirmation.",
        )
    freed = reset(state)
    call.report(Note(text=f"Removed {what}: {_size(freed)} were freed in {state}"))
    call.report(Note(text="The API key, users.toml and the ports are kept."))
    return Result(facts={"state": str(state), "contents": number, "freed": freed.size})


def _size(freed: Freed) -> str:
    return f"{freed.size / 10**6:,.1f} MB"


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
