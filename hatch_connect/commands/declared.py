"""What a deployment declares of the content: compared with the server, and removals confirmed."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from hatch_connect.errors import UsageError
from hatch_connect.events import Warned
from hatch_connect.ship.declared import ComparedSettings, vanity_path

if TYPE_CHECKING:
    from collections.abc import Iterable

    from hatch_connect.commands.call import Call
    from hatch_connect.commands.source import Source
    from hatch_connect.connect.client import ConnectClient
    from hatch_connect.connect.resources import User
    from hatch_connect.ship.declared import SettingChange
    from hatch_connect.ship.request import DeploymentRequest, ServerFacts


def with_settings(
    source: Source,
    client: ConnectClient,
    wanted: DeploymentRequest,
    found: ServerFacts,
    user: User | None,
    call: Call,
) -> ServerFacts:
    """Return the facts with what differs from what is declared; nothing is asked if nothing is.

    Raises ConfigurationError if what is declared cannot be had on this server, or ServerError.
    """
    declared = source.config.declared if source.config else None
    if not (source.config and declared):
        return found
    for warning in declared.warnings:
        call.report(Warned(text=warning))
    if wanted.draft:
        left = "A draft leaves the content as it is: declared settings are not applied."
        return replace(found, declared=ComparedSettings(left_out=(left,)))
    from hatch_connect.ship.settings import SettingsRequest, compare_settings

    request = SettingsRequest(
        declared=declared,
        content=found.located.content,
        user=user,
        app_mode=wanted.app_mode,
        server=found.settings,
        strict=source.config.strict,
        changed=found.changed,
    )
    return replace(found, declared=compare_settings(client, request))


def refuse_shared_paths(placed: Iterable[tuple[str, str | None, Source]]) -> None:
    """Refuse vanity paths that exclude each other, of sources with their server and content.

    Raises UsageError: the server would take the first, once that content is deployed.
    """
    known: list[tuple[str, str | None, str, str]] = []
    for url, guid, source in placed:
        declared = source.config.declared.vanity_path if source.config else None
        path = vanity_path(declared.value) if declared else None
        if not (declared and path):
            continue
        for its_url, its_guid, called, taken in known:
            apart = url != its_url or (guid is not None and guid == its_guid)
            if not apart and (path.startswith(taken) or taken.startswith(path)):
                raise UsageError(
                    f"{called} is {taken!r}, and {declared.called} is {path!r}.",
                    hint="Each piece of content needs its own path, not above or below another.",
                )
        known.append((url, guid, declared.called, path))


def confirm_removals(source: Source, changes: Iterable[SettingChange], call: Call) -> None:
    """Let the person confirm what whole lists take away, unless the call or a table allows it.

    Raises UsageError if nobody can be asked, or if the answer is not yes.
    """
    removals = [str(change) for change in changes if change.removes]
    allowed = source.config is not None and source.config.declared.allow_removals
    if not removals or allowed or call.options.allow_removals:
        return
    lost = f"These would be removed from {source.name}, as its declared lists do not name them:"
    call.confirm(
        "Remove them?",
        "\n".join((lost, *(f"  {removal}" for removal in removals))),
        refused="Nothing was removed, and nothing was deployed",
        hint="To remove them, use --allow-removals, or set `allow-removals = true` in the table "
        "`settings`. To keep them, add them there.",
    )
