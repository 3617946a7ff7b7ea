"""Which content on the server a project is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from hatch_connect.connect.url import content_guid, same_server, server_url
from hatch_connect.errors import ContentError, NotFoundError, ServerError, UsageError

if TYPE_CHECKING:
    from hatch_connect.connect.client import ConnectClient
    from hatch_connect.connect.resources import Content, User


@dataclass(frozen=True, slots=True, kw_only=True)
class Clues:
    """What is known of the content, the strongest first.

    `app_id` was given on the call (a GUID, a number or a URL); `recorded` is the GUID of an earlier
    deployment and `recorded_in` the file that says so; `begun` is the name of content that an
    earlier call was creating when it was ended; `guid` stands in the project's table; `name` is
    the content's name, None where it says nothing of what the content is.
    """

    app_id: str | None = None
    recorded: str | None = None
    recorded_in: str | None = None
    begun: str | None = None
    guid: str | None = None
    name: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Located:
    """The content that was found, or None, and what led there."""

    content: Content | None
    because: str


def find_content(client: ConnectClient, user: User | None, clues: Clues) -> Located:
    """Look for the content without changing anything; `user` is None for a key without one.

    Raises ContentError where a clue names content that is not there, UsageError where a name fits
    several pieces of content.
    """
    if clues.app_id:
        return _named(client, clues.app_id, "--app-id")
    if begun := find_begun(client, user, clues):
        return begun
    if clues.recorded:
        return _named(client, clues.recorded, f"the record {clues.recorded_in}")
    if clues.guid:
        return _named(client, clues.guid, "`guid` in pyproject.toml")
    if clues.name is None:
        return Located(content=None, because="it was not deployed from here before")
    return _by_name(client, user, clues.name)


def find_begun(client: ConnectClient, user: User | None, clues: Clues) -> Located | None:
    """Return content that an earlier call created and did not come to deploy.

    It has the name that was free before, and is recorded or, if the call was ended before it could
    record it, empty.
    """
    if clues.begun is None:
        return None
    name = clues.begun
    mine = client.find_content(name, user.guid) if user else client.editable_content(name)
    for content in mine:
        ours = content.guid == clues.recorded or not client.bundles(content.guid)
        if content.bundle_id is None and ours:
            because = "an earlier call created it and did not deploy it"
            return Located(content=content, because=because)
    return None


def _named(client: ConnectClient, named: str, because: str) -> Located:
    app_id = content_guid(named) or named
    if "://" in named and not same_server(server_url(named), client.server.url):
        raise UsageError(
            f"{named} is on another server than {client.server.url}, which the call is about.",
            hint="Name the server too (--name, --server), or give the GUID alone.",
        )
    try:
        number = app_id.isdecimal()
        content = client.content_by_number(app_id) if number else client.content(app_id)
    except NotFoundError as error:
        raise ContentError(
            f"There is no content {app_id} on the server, or this key may not see it; "
            f"{because} names it.",
            hint="Deploy with --new to make another, or with --app-id to name the right one.",
        ) from error
    return Located(content=content, because=because)


def _by_name(client: ConnectClient, user: User | None, name: str) -> Located:
    mine = client.find_content(name, owner_guid=user.guid) if user else ()
    if mine:
        return Located(content=mine[0], because=f"your content named {name!r}")
    shared = client.editable_content(name)
    who = "You" if user else "This key"
    if len(shared) > 1:
        listed = "\n".join(f"  {c.guid}  {c.title or c.name}" for c in shared)
        raise UsageError(
            f"{who} may edit several pieces of content named {name!r}:\n{listed}",
            hint="Say which one with --app-id GUID, or keep it as `guid` in pyproject.toml.",
        )
    if shared:
        because = f"the only content named {name!r} that {who.lower()} may edit"
        because += " (it is another person's)" if user else ""
        return Located(content=shared[0], because=because)
    return Located(content=None, because=f"no content named {name!r} on the server")


def variable_names(client: ConnectClient, content: Content) -> tuple[str, ...] | None:
    """Return the names of the content's variables, None if they are not told: they only inform."""
    try:
        return client.environment_names(content.guid)
    except ServerError:
        return None
