"""The content that a project was deployed as: `info`, `versions` and `rollback`.

`info` says what and where it is, `versions` lists the bundles that the server keeps of it, and
`rollback` activates an earlier one.
"""

from __future__ import annotations

from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

from hatch_connect.commands.call import nothing_changed
from hatch_connect.commands.result import Result, deployed, planned, report_deployed
from hatch_connect.commands.server import (
    chosen_server,
    client_of,
    polling_of,
    settings_of,
    who,
)
from hatch_connect.commands.source import how_to_verify, naming_option, source_of
from hatch_connect.connect.resources import Feature
from hatch_connect.errors import NotFoundError, ProjectError, UsageError
from hatch_connect.events import Note, Step
from hatch_connect.secret import Hidden, Secret
from hatch_connect.ship.execute import Execution
from hatch_connect.ship.find import (
    ContentMatch,
    ContentReference,
    check_reference,
    find_content,
    variable_names,
)
from hatch_connect.ship.history import RecordKeeper, read_history
from hatch_connect.ship.plan import make_rollback

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hatch_connect.commands.call import Call
    from hatch_connect.commands.source import Source
    from hatch_connect.connect.client import ConnectClient
    from hatch_connect.connect.resources import BundleInfo, Content, User
    from hatch_connect.connect.servers import Server
    from hatch_connect.ship.history import History
    from hatch_connect.ship.plan import Plan


@dataclass(frozen=True, kw_only=True)
class DeployedContent:
    """Content on one server, and what led there; `source` is None if no project was needed.

    `user` is None for the key of a service principal. `hidden` are values that must be masked in
    the server's texts: the key, and variables that the project takes from the environment.
    """

    client: ConnectClient
    user: User | None
    content: Content
    because: str
    source: Source | None
    hidden: Hidden
    call: Call

    @property
    def server(self) -> Server:
        """The server that it is on."""
        return self.client.server

    @cached_property
    def history(self) -> History:
        """What is known of its bundles, here and on the server."""
        records = self.source.records if self.source else None
        return read_history(self.client, self.content, records, self.call.report)


@contextmanager
def deployed_content(call: Call) -> Iterator[DeployedContent]:
    """Find the content as `deploy` would; with `--app-id` no project is needed.

    Raises UsageError if it was never deployed.
    """
    source = _source(call)
    with chosen_server(call, source.config if source else None) as server:
        if source and server.table:  # which may name other content there
            source = _source(call, server)
        hidden: Hidden = (*_values(source, call), *server.secrets)
        client = client_of(server, call, hidden)
        named_by = naming_option(call.options)
        clues = ContentReference(app_id=call.options.app_id, named_by=named_by, name=None)
        if source:
            clues = source.reference(server, call)
        check_reference(clues, server)
        user = client.user()
        located = find_content(client, user, clues, call.report)
        if located.content is None:
            raise UsageError(
                f"{clues.name} was not deployed to {server.url}: {located.because}.",
                hint="Deploy it with `hatch-connect deploy`.",
            )
        yield DeployedContent(
            client=client,
            user=user,
            content=located.content,
            because=located.because,
            source=source,
            hidden=hidden,
            call=call,
        )


def _source(call: Call, server: Server | None = None) -> Source | None:
    """Return the content of the project, or None if `--app-id` names content without one."""
    try:
        source = source_of(call.config(call.content()), call)
        return source.on(server) if server else source
    except ProjectError:
        if call.options.app_id and not call.options.content:
            return None
        raise


def _values(source: Source | None, call: Call) -> Iterator[Secret]:
    entries = source.config.env if source and source.config else ()
    bare = (entry.name for entry in entries if entry.value is None)
    return (Secret(call.environ[name]) for name in bare if name in call.environ)


def run_info(call: Call) -> Result:
    """Look the content up. Raises UsageError, ServerError."""
    with deployed_content(call) as found:
        server, user, content = found.server, found.user, found.content
        names = variable_names(found.client, content)
    variables = "not available" if names is None else ", ".join(names) or "none"
    return Result(
        lines=(
            f"Server     {server.url} ({server.source})",
            f"You        {who(user, server)}",
            f"Content    {content.guid} ({found.because})",
            f"Name       {content.name}",
            f"Title      {content.title or ''}",
            f"App mode   {content.app_mode}",
            f"Bundle     {content.bundle_id or 'none active'}",
            f"Deployed   {content.last_deployed_time or 'never'}",
            f"Variables  {variables}",
            f"URL        {content.content_url}",
            f"Dashboard  {content.dashboard_url}",
        ),
        facts={
            "server": server.url,
            "username": user and user.username,
            "guid": content.guid,
            "because": found.because,
            "name": content.name,
            "title": content.title,
            "app_mode": content.app_mode,
            "bundle_id": content.bundle_id,
            "last_deployed_time": content.last_deployed_time,
            "variables": None if names is None else list(names),
            "url": content.content_url,
            "dashboard_url": content.dashboard_url,
        },
    )


def run_versions(call: Call) -> Result:
    """List the bundles; with `--remove` remove one first. Raises UsageError, ServerError."""
    with deployed_content(call) as found:
        guid, client, history = found.content.guid, found.client, found.history
        if call.options.remove:
            chosen = choose_bundle(client, guid, call.options.remove, history.bundles)
            if chosen.id == history.active:
                raise UsageError(
                    f"Bundle {chosen.id} is active.",
                    hint="Activate another bundle first: hatch-connect rollback BUNDLE",
                )
            call.report(Step(text=f"Removing bundle {chosen.id}"))
            client.remove_bundle(guid, chosen.id)
            left = tuple(b for b in history.bundles if b.id != chosen.id)
            history = replace(history, bundles=left)
    return Result(
        lines=tuple(bundle_line(bundle, history) for bundle in history.bundles),
        facts={"guid": guid, "bundles": [_version(bundle, history) for bundle in history.bundles]},
    )


def bundle_line(bundle: BundleInfo, history: History) -> str:
    """Return what a list of bundles says of one."""
    size = "" if bundle.size is None else f"{bundle.size:,} bytes"
    commit = dict(bundle.metadata).get("source_commit", "")
    parts = (bundle.id, bundle.created_time, size, commit, ", ".join(history.remarks(bundle)))
    return "  ".join(filter(None, parts))


def _version(bundle: BundleInfo, history: History) -> dict[str, object]:
    return {
        "id": bundle.id,
        "created_time": bundle.created_time,
        "size": bundle.size,
        "active": bundle.id == history.active,
        "was_active": history.was_active(bundle),
        "preview": history.preview_of(bundle),
        "metadata": dict(bundle.metadata),
    }


def choose_bundle(
    client: ConnectClient, guid: str, bundle_id: str, bundles: tuple[BundleInfo, ...]
) -> BundleInfo:
    """Return the bundle of that id; ask the server if it is not among `bundles`.

    Raises UsageError with those that there are.
    """
    for bundle in bundles:
        if bundle.id == bundle_id:
            return bundle
    if bundle_id.isdecimal():
        with suppress(NotFoundError):
            return client.bundle(guid, bundle_id)
    raise UsageError(
        f"The content has no bundle {bundle_id}.",
        hint=f"Its bundles: {', '.join(b.id for b in bundles) or 'none'}.",
    )


def run_rollback(call: Call) -> Result:
    """Activate the bundle that was named, else the one that was active before.

    It is verified as a draft first if the server can do that. Raises UsageError, ServerError,
    DeploymentFailedError, NotAnsweringError.
    """
    with ExitStack() as stack:
        with nothing_changed("roll back"):
            found = stack.enter_context(deployed_content(call))
            bundle = _target(found)
            plan, polling, began = _plan(found, bundle), polling_of(call), call.surroundings.now()
            preview = planned(plan, found.server)
            if call.options.dry_run:
                return preview
            call.report(
                Note(text=f"Rolling back to bundle {bundle.id}, created {bundle.created_time}")
            )
        with call.masking(found.hidden) as masked:
            records = found.source.records if found.source else None
            keeper = RecordKeeper(records, found.server.url, None, call.report)

            def again(guid: str | None) -> str:
                return f"run `hatch-connect rollback {bundle.id} --app-id {guid}` again"

            execution = Execution(found.client, masked.report, polling, keeper, again)
            deployment = execution.run(plan)
        what = deployment.content.title or deployment.content.name
        summary = f"Rolled back {what} on {found.server.label} to bundle {bundle.id}"
        result = deployed(deployment, found.server, preview, summary=summary, hidden=found.hidden)
        report_deployed(result, call.report, call.surroundings.now() - began)
        return result


def _plan(found: DeployedContent, bundle: BundleInfo) -> Plan:
    content, config = found.content, found.source.config if found.source else None
    if bundle.id == content.bundle_id:
        raise UsageError(f"Bundle {bundle.id} is already active.")
    return make_rollback(
        ContentMatch(content=content, because=found.because),
        bundle.id,
        visible=settings_of(found.client, found.call).supports(Feature.DRAFT_URL),
        verify=how_to_verify(config, found.call.options),
        role=found.user.role if found.user else "",
    )


def _target(found: DeployedContent) -> BundleInfo:
    """Return the bundle that was named, else the one that was active before, else ask the user."""
    history, ask = found.history, found.call.surroundings.ask
    wanted = found.call.options.bundle_id or history.way_back()
    if wanted is None:
        others = [b for b in history.bundles if b.id != history.active]
        lines = ("  ".join((b.id, b.created_time, *history.remarks(b))) for b in others)
        unknown = "No earlier bundle is known to have been active."
        listed = "\n".join(("Other bundles:", *lines))
        if not others:
            raise UsageError("There is no other bundle to roll back to.")
        if ask:
            wanted = ask(f"{unknown}\n{listed}\nBundle to activate: ").strip()
        if not wanted:
            raise UsageError(unknown, hint=f"Choose one: hatch-connect rollback BUNDLE\n{listed}")
    return choose_bundle(found.client, found.content.guid, wanted, history.bundles)
