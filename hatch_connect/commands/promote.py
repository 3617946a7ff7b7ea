"""`promote`: the bundle that is active on one server becomes the active one on another.

It is taken from there, and from then on it is deployed as any prepared bundle is.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from hatch_connect.bundle.bundle import Bundle
from hatch_connect.commands.call import nothing_changed
from hatch_connect.commands.content import deployed_content
from hatch_connect.commands.deploy import run_deploy
from hatch_connect.commands.download import active_bundle, download, file_name
from hatch_connect.commands.server import chosen_server, polling_of
from hatch_connect.commands.source import how_to_verify, records_of, source_of, sources_of
from hatch_connect.connect.servers import content_guid, same_server
from hatch_connect.errors import ContentError, NotAnsweringError, UsageError
from hatch_connect.events import Note, Step
from hatch_connect.project.validators import valid_content_name
from hatch_connect.ship.history import (
    ACTIVE_BEFORE,
    DRAFT,
    FROM_BUNDLE,
    FROM_CONTENT,
    FROM_SERVER,
    IDENTITY,
    PREVIEW,
)
from hatch_connect.ship.plan import Verify
from hatch_connect.ship.verify import Visited, verify

if TYPE_CHECKING:
    from hatch_connect.commands.call import Call
    from hatch_connect.commands.content import DeployedContent
    from hatch_connect.commands.result import Result
    from hatch_connect.commands.source import Source
    from hatch_connect.connect.resources import BundleInfo, Content
    from hatch_connect.connect.servers import Server
    from hatch_connect.project.project import ProjectConfig

_WHICH = (
    "Give its URL, --from https://SERVER/content/GUID/, or set `guid` in the `on` table of that "
    "server."
)
# What is noted of a bundle on its own server alone.
_THERE = {DRAFT, ACTIVE_BEFORE, IDENTITY, PREVIEW}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Origin:
    """A bundle that was taken from a server, where it is of `content`.

    `config` is the project's content; None if no project was needed to find it.
    """

    path: Path
    content: Content
    config: ProjectConfig | None
    noted: dict[str, str]
    facts: dict[str, str]

    def source(self, call: Call) -> Source:
        """Return it as what ships."""
        if self.config is None:
            options = replace(call.options, file=(str(self.path),))
            (source,) = sources_of(replace(call, options=options))
            name = valid_content_name(self.content.name)
            # Neither the name nor the record may depend on a temporary file.
            source = replace(
                source,
                name=name,
                default_title=self.content.title or name,
                known_by_name=True,
                filename=name,
                records=records_of(call.surroundings.directory / name, None, call),
            )
        else:
            archive = Bundle.open(self.path, into=self.path.parent, report=call.report)
            source = replace(
                source_of(self.config, call),
                built_from=None,
                path=self.path,
                manifest=archive.manifest,
                archive=archive,
            )
        return replace(source, commit=lambda: dict(self.noted))


def run_promote(call: Call) -> Result:
    """Take the bundle, and deploy it as `deploy FILE` does. Raises HatchConnectError."""
    options = call.options
    if not (options.from_server and options.to_server):
        raise UsageError(
            "--from and --to are both required.",
            hint="For example: hatch-connect promote --from staging --to prod",
        )
    source = replace(
        call,
        options=replace(
            options, to_server=None, app_id=_content_in(options.from_server), new=False
        ),
    )
    named = options.app_id or (None if options.new else _content_in(options.to_server))
    target = replace(call, options=replace(options, from_server=None, app_id=named))
    with ExitStack() as stack:
        # On Windows an archive that is still open cannot be removed.
        temporary = TemporaryDirectory(prefix="hatch-connect-", ignore_cleanup_errors=True)
        folder = Path(stack.enter_context(temporary))
        with nothing_changed("promote"):
            origin, server = _take(source, target, folder, stack)
        result = run_deploy(target, lambda its: (origin.source(its),), "promote", server)
    return replace(result, facts={**result.facts, "from": origin.facts})


def _content_in(server: str) -> str | None:
    """Return the URL of content, which names its server as well; None if it is no such URL."""
    return server if "://" in server and content_guid(server) else None


def _take(source: Call, target: Call, folder: Path, to: ExitStack) -> tuple[_Origin, Server]:
    """Download the active bundle of content that answers; return the other server too.

    That may run as long as `to` is open.
    """
    with ExitStack() as stack:
        try:
            found = stack.enter_context(deployed_content(source))
        except (ContentError, UsageError) as error:
            if "--app-id" in (error.hint or ""):  # which is of the other server
                error.hint = _WHICH
            raise
        config = found.source.built_from if found.source else None
        other = to.enter_context(chosen_server(target, config))
        _refuse_same(found.server, other)
        _announce(found.server, other, target)
        found = replace(found, call=stack.enter_context(source.masking(found.hidden)))
        bundle = active_bundle(found)
        _check_answer(found, bundle)
        path = folder / file_name(found, bundle)
        download(found, bundle, path)
    kept = {key: value for key, value in bundle.metadata if key not in _THERE}
    known = {
        FROM_SERVER: found.server.url,
        FROM_CONTENT: found.content.guid,
        FROM_BUNDLE: bundle.id,
    }
    facts = {"server": found.server.url, "guid": found.content.guid, "bundle_id": bundle.id}
    origin = _Origin(
        path=path, content=found.content, config=config, noted=kept | known, facts=facts
    )
    return origin, other


def _refuse_same(server: Server, other: Server) -> None:
    """Refuse one server for both, before anything is fetched (UsageError)."""
    if same_server(server.url, other.url):
        raise UsageError(
            f"--from and --to are the same server: {server.url}.",
            hint="A nickname that is not saved and has no `server` in its `on` table means "
            "CONNECT_SERVER. Choose another server, or save it: hatch-connect add --name NAME",
        )


def _announce(server: Server, other: Server, target: Call) -> None:
    """Report the two servers, and for which of them the environment's key is."""
    urls = (server.url, other.url)
    target.report(Step(text=f"Promoting from {server.url} to {other.url}"))
    if not target.environ.get("CONNECT_API_KEY"):
        return
    named = target.environ.get("CONNECT_SERVER", "")
    whose = next((url for url in urls if named and same_server(url, named)), None)
    unused = "Ignoring CONNECT_API_KEY: CONNECT_SERVER is neither of the two servers."
    text = f"Using CONNECT_API_KEY for {whose} (CONNECT_SERVER)." if whose else unused
    target.report(Note(text=text))


def _check_answer(found: DeployedContent, bundle: BundleInfo) -> None:
    """Refuse to promote what does not answer where it is (ContentError)."""
    config = found.source.config if found.source else None
    how = how_to_verify(config, found.call.options)
    if how is None:
        return
    found.call.report(Step(text=f"Checking that the content answers on {found.server.url}"))
    try:
        what = Visited(content=found.content, bundle_id=bundle.id)
        step = Verify(how=how, final=True)
        verify(found.client, what, step, found.call.report, polling_of(found.call))
    except NotAnsweringError as error:
        raise ContentError(
            f"Nothing was promoted: the content does not answer on {found.server.url}. "
            f"{error.message}",
            hint=f"{error.hint}\nTo promote it anyway, use --no-verify.",
        ) from error
