"""Finds the content on the server that a project was deployed to."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from hatch_connect.connect.codes import Code
from hatch_connect.connect.servers import content_guid, same_server, server_url
from hatch_connect.errors import (
    ContentError,
    NotFoundError,
    RefusedError,
    ServerError,
    UsageError,
)
from hatch_connect.events import Report, Warned, silent

if TYPE_CHECKING:
    from hatch_connect.connect.client import ConnectClient
    from hatch_connect.connect.resources import BundleInfo, Content, User
    from hatch_connect.connect.servers import Server


_FORBIDDEN = {
    Code.NOT_OBJECT_OWNER,
    Code.NO_VIEW_PERMISSION,
    Code.NO_UPDATE_PERMISSION,
    Code.PERMISSION_DENIED,
}
_NOT_MINE = {"viewer", "none"}
_MOST_NAMED = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class ContentReference:
    """What is known of the content, the strongest first.

    `app_id` was given on the call (a GUID, a number or a URL) by `named_by`; `begun` is the name of
    content that an earlier call was creating when it was ended; `new` asks for other content than
    what follows; `recorded` is the GUID of an earlier deployment, or its number in records of older
    clients, and `recorded_in` the file that says so; `guid` stands in the project's table;
    `published` are the GUIDs in Posit Publisher's records for this server, each with its file;
    `name` is the content's name, None if it says nothing of what the content is.
    """

    app_id: str | None = None
    named_by: str = "--app-id"
    begun: str | None = None
    new: bool = False
    recorded: str | None = None
    recorded_in: str | None = None
    guid: str | None = None
    published: tuple[tuple[str, str], ...] = ()
    name: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ContentMatch:
    """The content that was found, or None, and what led there.

    `owner` is what to call the owner of content that this key may only view. `by_name` tells that
    nothing but the name led there.
    """

    content: Content | None
    because: str
    owner: str = ""
    by_name: bool = False


_LOOKED_FOR = "Looking for the content without the record."
OTHERWISE = "Name other content with --app-id GUID, or create new content with --new."
_OF_ANOTHER = (
    "If it is on another server, set it as `guid` in the table of that server: "
    "[tool.hatch-connect.on.NICKNAME].\n"
)


def find_content(
    client: ConnectClient, user: User | None, reference: ContentReference, report: Report = silent
) -> ContentMatch:
    """Look for the content without changing anything; `user` is None for a key without one.

    A record of content that is gone is reported and left out of account, and so is content of this
    name that the key may not change. Raises ContentError if what is named is not there or not to be
    seen, UsageError for a name that fits several pieces of content.
    """
    if reference.app_id:
        return _named(client, reference.app_id, reference.named_by)
    found = _begun(client, user, reference)
    if found is None and reference.new:
        found = ContentMatch(content=None, because="--new")
    if found := found or _recorded(client, reference, report):
        return found
    if reference.guid:
        return _named(client, reference.guid, "`guid` in pyproject.toml", _OF_ANOTHER)
    if found := _published(client, reference, report):
        return found
    if reference.name is None:
        return ContentMatch(content=None, because="it was not deployed from here before")
    return _by_name(client, user, reference.name, report)


def check_reference(reference: ContentReference, server: Server, *, gone: bool = False) -> None:
    """Refuse what a credential cannot do that may only update content whose GUID is known.

    It can neither create content nor look for it. `gone` tells that the recorded content does not
    exist. Raises UsageError; nothing need be asked for this.
    """
    if server.credential is None or server.credential.can_list:
        return
    recorded = None if gone else reference.recorded
    if reference.new:
        why = "--new creates content"
    elif reference.app_id or recorded or reference.guid or reference.published:
        return
    elif gone:
        why = "the recorded content no longer exists"
    else:
        why = "it is not known which content this is"
    raise UsageError(
        f"Trusted publishing can only update existing content, and {why}: a workflow cannot"
        f" create or look up content on {server.url}.",
        hint="Deploy it once as a person (with an API key, or after `hatch-connect login`), let"
        " it trust this workflow (in its settings, under Access), and keep its GUID: `guid ="
        ' "..."` in [tool.hatch-connect] (in the `on` table of this server), or --app-id'
        " GUID.",
    )


def _recorded(
    client: ConnectClient, reference: ContentReference, report: Report
) -> ContentMatch | None:
    """Return the recorded content; None if there is none, or if it is gone."""
    if not reference.recorded:
        return None
    try:
        return _named(client, reference.recorded, f"the record {reference.recorded_in}")
    except ContentError as error:
        # A 404 from a proxy, which has no code of Connect's, does not mean that content is gone.
        if not (isinstance(error.__cause__, NotFoundError) and error.__cause__.code):
            raise
        check_reference(reference, client.server, gone=True)
        report(Warned(text=f"{error.message} {_LOOKED_FOR} {OTHERWISE}"))
        return None


def _published(
    client: ConnectClient, reference: ContentReference, report: Report
) -> ContentMatch | None:
    """Return the content of Publisher's record; None if it is gone, or not to be seen.

    Raises UsageError if the records name different content.
    """
    if len({guid for guid, _ in reference.published}) > 1:
        named = "\n".join(f"  {guid}  {path}" for guid, path in reference.published)
        raise UsageError(
            f"Posit Publisher's records name different content on {client.server.url}:\n{named}",
            hint="Choose one with --app-id GUID, or set `guid` in pyproject.toml.",
        )
    for guid, path in reference.published[:1]:
        try:
            return _named(client, guid, f"the record {path}")
        except ContentError as error:
            cause = error.__cause__
            if isinstance(cause, NotFoundError) and not cause.code:  # as for our own record
                raise
            check_reference(replace(reference, published=()), client.server, gone=True)
            report(Warned(text=f"{error.message} {_LOOKED_FOR} {OTHERWISE}"))
    return None


def _begun(
    client: ConnectClient, user: User | None, reference: ContentReference
) -> ContentMatch | None:
    """Return content that an earlier call created and did not finish deploying.

    It has the name that was free then, and is recorded or, if the call ended before it could record
    it, still empty.
    """
    credential = client.server.credential
    if reference.begun is None or (credential and not credential.can_list):
        return None
    for content in client.own_content(reference.begun, user):
        empty = content.bundle_id is None and not client.bundles(content.guid)
        if content.guid == reference.recorded or empty:
            because = "an earlier deployment created it and did not finish"
            return ContentMatch(content=content, because=because)
    return None


def _named(client: ConnectClient, named: str, because: str, where: str = "") -> ContentMatch:
    app_id = content_guid(named) or named
    if "://" in named and not same_server(server_url(named), client.server.url):
        raise UsageError(
            f"{named} is on a different server from {client.server.url}.",
            hint="Name that server too (--name, --server), or use the GUID alone.",
        )
    try:
        number = app_id.isdecimal()  # as older clients and records name content
        content = client.content_by_number(app_id) if number else client.content(app_id)
    except NotFoundError as error:
        raise ContentError(
            f"Content {app_id} (from {because}) does not exist on the server, or this API key"
            " cannot see it.",
            hint=_remedy(client, where),
        ) from error
    except RefusedError as error:
        if error.code not in _FORBIDDEN:
            raise
        raise ContentError(
            f"This API key cannot see content {app_id} (from {because}).",
            hint=_remedy(client, "Ask its owner to add you as a collaborator. "),
        ) from error
    owner = client.owner_of(content) if content.app_role in _NOT_MINE else ""
    return ContentMatch(content=content, because=because, owner=owner)


def _remedy(client: ConnectClient, before: str = "") -> str:
    credential = client.server.credential
    if credential is None or credential.can_list:
        return f"{before}{OTHERWISE}"
    return (
        "Let this content trust this workflow (in its settings, under Access), or name other "
        "content with --app-id GUID."
    )


def check_content(located: ContentMatch, role: str) -> None:
    """Refuse content that this key, whose user has that role, cannot change (ContentError).

    An administrator may change content of others, whatever the role there.
    """
    content = located.content
    if content is None:
        return
    if content.locked:
        why = f" ({content.locked_message})" if content.locked_message else ""
        raise ContentError(
            f"Content {content.guid} is locked{why}.",
            hint="Unlock it in Connect's dashboard, in the content's settings.",
        )
    if role != "administrator" and content.app_role in _NOT_MINE:
        raise ContentError(
            f"Content {content.guid} ({located.because}) belongs to"
            f" {located.owner or 'another user'}, and you cannot change it (your role there:"
            f" {content.app_role}).",
            hint=f"Ask its owner to add you as a collaborator. {OTHERWISE}",
        )


def last_bundle(client: ConnectClient, content: Content) -> BundleInfo | None:
    """Return the active bundle, or the newest if none is active; None if there is none to see."""
    try:
        active = content.bundle_id
        return client.bundle(content.guid, active) if active else client.bundles(content.guid)[0]
    except (ServerError, IndexError):
        return None


def _by_name(client: ConnectClient, user: User | None, name: str, report: Report) -> ContentMatch:
    # Connect keeps names unique for an owner, not on the server.
    visible = client.find_content(name)
    mine = tuple(content for content in visible if user and content.owner_guid == user.guid)
    if mine:
        return ContentMatch(content=mine[0], because=f"your content named {name!r}", by_name=True)
    shared = tuple(content for content in visible if content.is_editable)
    who = "You" if user else "This API key"
    if len(shared) > 1:
        listed = "\n".join(f"  {c.guid}  {c.title or c.name}" for c in shared)
        raise UsageError(
            f"{who} can edit several pieces of content named {name!r}:\n{listed}",
            hint="Choose one with --app-id GUID, or set `guid` in pyproject.toml.",
        )
    if shared:
        because = f"the only content named {name!r} that {who[0].lower()}{who[1:]} can edit"
        because += " (it belongs to someone else)" if user else ""
        return ContentMatch(content=shared[0], because=because, by_name=True)
    for content in visible[:_MOST_NAMED]:
        text = f"Content {content.guid} is also named {name!r} but belongs to "
        text += f"{client.owner_of(content)}; it is not used for this project. "
        report(Warned(text=f"{text}To deploy to it, ask its owner to add you as a collaborator."))
    return ContentMatch(content=None, because=f"no content named {name!r} on the server")


def variable_names(client: ConnectClient, content: Content) -> tuple[str, ...] | None:
    """Return the names of the content's variables; None if the server does not tell them."""
    try:
        return client.environment_names(content.guid)
    except ServerError:
        return None
