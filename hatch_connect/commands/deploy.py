"""`deploy`: build the bundle, deploy it, and verify that the content answers.

The course of a deployment stands here from top to bottom: check, plan, deploy.
"""

from __future__ import annotations

import os
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from hatch_connect.bundle.archive import DEFAULT_DIRECTORY
from hatch_connect.bundle.bundle import Bundle
from hatch_connect.commands.ask import ask_git_managed, ask_server, manifest_values, variables_of
from hatch_connect.commands.build import build_content, build_request
from hatch_connect.commands.call import nothing_changed
from hatch_connect.commands.declared import confirm_removals, refuse_shared_paths, with_settings
from hatch_connect.commands.plan import Prepared, compared, planned_changes
from hatch_connect.commands.result import (
    Deployed,
    Result,
    deployed,
    listing_of,
    one_or_several,
    planned,
    show_to_person,
)
from hatch_connect.commands.server import chosen_server, polling_of
from hatch_connect.commands.side_by_side import Piece, SideBySide, deploy_each
from hatch_connect.commands.source import (
    built_bundles,
    metadata_of_bundle,
    sources_of,
    warn_of_other_repository,
)
from hatch_connect.connect.records import DeploymentRecord
from hatch_connect.connect.resources import Feature
from hatch_connect.errors import HatchConnectError, UsageError, add_facts
from hatch_connect.events import Note
from hatch_connect.ship.execute import Execution
from hatch_connect.ship.history import RecordKeeper
from hatch_connect.ship.plan import CreateContent, Upload, make_plan
from hatch_connect.ship.request import check_request

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from hatch_connect.bundle.build_protocol import BuildRequest, Built
    from hatch_connect.bundle.bundle import BundleContents
    from hatch_connect.commands.call import Call
    from hatch_connect.commands.result import Planned
    from hatch_connect.commands.source import Source
    from hatch_connect.connect.client import ConnectClient
    from hatch_connect.connect.servers import Server
    from hatch_connect.events import Report
    from hatch_connect.options import Options
    from hatch_connect.secret import Hidden
    from hatch_connect.ship.follow import TaskPolling
    from hatch_connect.ship.plan import Plan
    from hatch_connect.ship.request import DeploymentRequest, ServerFacts
    from hatch_connect.ship.state import Deployment, GoOn

_LARGEST = 5  # files that are named when a bundle is too large for the server


@dataclass(frozen=True, slots=True, kw_only=True)
class _Checked:
    """A source that passed all checks on its server; `request` is None for a prepared bundle.

    `call` reports which content it is about; `hidden` are values that must be masked in all output.
    """

    call: Call
    source: Source
    client: ConnectClient
    request: BuildRequest | None
    wanted: DeploymentRequest
    found: ServerFacts
    metadata: dict[str, str] | None
    hidden: Hidden


def run_deploy(
    call: Call,
    read_sources: Callable[[Call], tuple[Source, ...]] = sources_of,
    command: str = "deploy",
    to: Server | None = None,
) -> Result:
    """Deploy the project, or the bundle that was named. Raises HatchConnectError.

    First everything is checked that the project, the call and the server can tell; then all bundles
    are built and all plans made; only then is anything changed. Another `command` deploys other
    sources, to a server that it may have found already.
    """
    _check_options(call.options)
    polling, began = polling_of(call), call.surroundings.now()
    results: list[Result] = []
    with _done(results), ExitStack() as stack:
        # On Windows a thread that is left behind at Ctrl-C may still hold a file open.
        temporary = TemporaryDirectory(prefix="hatch-connect-", ignore_cleanup_errors=True)
        folder = Path(stack.enter_context(temporary))
        with nothing_changed(command):
            # All checks and plans come before the first change, so that an error in the second
            # piece of content does not leave the first one deployed.
            checked, sources = [], read_sources(call)
            side = SideBySide(min(call.options.jobs or 1, len(sources)), call.report)
            for source in sources:
                its = call.about(source.name, side.report) if len(sources) > 1 else call
                server = to or stack.enter_context(chosen_server(its, source.config))
                checked.append(_check(source.on(server), server, its))
            checked = list(_in_turn(checked))
            refuse_shared_paths(_placed(each) for each in checked if not each.wanted.draft)
            for each in () if call.options.dry_run else checked:
                confirm_removals(each.source, each.found.declared.changes, each.call)
            plans = [_plan(each, folder) for each in checked]
            if side.jobs > 1:
                _refuse_same(checked, plans)
        if call.options.dry_run:
            return planned_changes(plans, check=call.options.check)
        pieces = [
            Piece(
                source=each.source,
                command=command,
                call=each.call,
                hidden=each.hidden,
                deploy=partial(_deploy, each, plan, polling),
            )
            for each, plan in zip(checked, plans, strict=True)
        ]
        deploy_each(pieces, results, side, call, began)
        show_to_person([result.lines[-1] for result in results], call, checked[0].client.server)
    return one_or_several(results)


def run_plan(call: Call) -> Result:
    """Show what `deploy` would change, and change nothing. Raises HatchConnectError."""
    return run_deploy(replace(call, options=replace(call.options, dry_run=True)))


def run_publish(call: Call) -> Result:
    """Deploy the bundles of the project's last build. Raises HatchConnectError."""
    files = tuple(map(str, built_bundles(call.read_project())))
    return run_deploy(replace(call, options=replace(call.options, file=files)))


def _check_options(options: Options) -> None:
    if options.new and options.app_id:
        raise UsageError("--new and --app-id are mutually exclusive.")
    if options.jobs is not None and options.jobs < 1:
        raise UsageError(f"--jobs must be at least 1, not {options.jobs}.")
    if options.metadata and options.no_metadata:
        raise UsageError("--metadata and --no-metadata are mutually exclusive.")
    for given in options.metadata:
        if not given.partition("=")[0] or "=" not in given:
            raise UsageError(f"--metadata must be KEY=VALUE, not {given!r}.")


def _check(source: Source, server: Server, call: Call) -> _Checked:
    """Ask the server what matters before there is a bundle, and refuse what cannot succeed."""
    variables = variables_of(source, call)
    hidden: Hidden = (*variables.hidden, *server.secrets)
    config = source.config
    request = build_request(source.built_from, call) if source.built_from else None
    with call.masking(hidden) as masked:
        if source.path:
            whose = f"{config.content_name!r} of this project" if config else "of its own"
            masked.report(Note(text=f"{source.path.name} is content {whose}."))
        asked = ask_server(source, server, variables, request, masked)
        client, wanted, found = asked.client, asked.wanted, asked.found
        try:
            check_request(wanted, found)
        except HatchConnectError as error:
            if known := found.located.content:
                add_facts(error, guid=known.guid, logs_url=known.logs_url)
            raise
        found = with_settings(source, client, wanted, found, asked.user, masked)
        warn_of_other_repository(source, found.located, found.last, masked)
        return _Checked(
            call=call,
            source=source,
            client=client,
            request=request,
            wanted=wanted,
            found=found,
            metadata=metadata_of_bundle(source, found.settings, masked),
            hidden=hidden,
        )


def _placed(checked: _Checked) -> tuple[str, str | None, Source]:
    content = checked.found.located.content
    return checked.client.server.url, content.guid if content else None, checked.source


def _in_turn(checked: list[_Checked]) -> Iterator[_Checked]:
    """Forget what is active where another bundle of this call is going to be."""
    seen = set()
    for each in checked:
        content = each.found.located.content
        place = (each.client.server.url, content.guid if content else None)
        yield replace(each, found=replace(each.found, identity=None)) if place in seen else each
        seen.add(place)


def _plan(checked: _Checked, folder: Path) -> Planned:
    """Build the bundle, or open the one that is prepared, and decide the steps."""
    with checked.call.masking(checked.hidden) as masked:
        contents, built = _contents_of(checked, folder, masked)
        found, upload = checked.found, None
        same = contents.identity == found.identity
        if isinstance(contents, Bundle) and not (same and _is_pinned(contents, built)):
            upload = Upload(
                archive=contents.path,
                size=contents.size,
                identity=contents.identity,
                largest=tuple(sorted(contents.sizes, key=lambda file: -file[1])[:_LARGEST]),
                metadata=checked.metadata,
            )
            found = ask_git_managed(found, checked.client)
            if same:
                text = (
                    "Its packages are not all pinned: it is uploaded, though it is active already."
                )
                masked.report(Note(text=text))
        # Only the build tells whether a Quarto document needs Python.
        wanted = replace(checked.wanted, **manifest_values(contents.manifest))
        if built and built.python:
            wanted = replace(wanted, python_because=built.python.because)
        plan = make_plan(wanted, found, upload)
        options = checked.call.options
        its = planned(plan, checked.client.server, listing_of(built, options), contents.digest)
        if not options.dry_run:
            return its
        prepared = Prepared(
            client=checked.client,
            source=checked.source,
            wanted=wanted,
            found=found,
            contents=contents,
            built=built,
            plan=plan,
        )
        there = f"Content {plan.content.guid}" if plan.content else "New content"
        masked.report(Note(text=f"{there}: {plan.because}"))
        return compared(its, prepared, folder, options)


def _is_pinned(bundle: Bundle, built: Built | None) -> bool:
    """Return whether the server would install the same packages for it again."""
    if built:
        return built.lock is None or built.lock.pinned
    from hatch_connect.locks.requirements import is_pinned

    python = bundle.manifest.python
    listed = bundle.read(python.package_file) if python else b""
    return listed is not None and is_pinned(listed)


def _contents_of(
    checked: _Checked, folder: Path, call: Call
) -> tuple[BundleContents, Built | None]:
    source, request = checked.source, checked.request
    if source.archive:
        return source.archive, None
    if source.path:
        return Bundle.open(source.path, into=folder, report=call.report), None
    if request is None:
        raise AssertionError("what is not prepared is built")
    if not _is_writable(request.config.root / DEFAULT_DIRECTORY):
        call.report(
            Note(text=f"{request.config.root} cannot be written: the bundle is not kept there.")
        )
        request = replace(request, directory=folder)
    built = build_content(replace(request, unless=checked.found.identity), call)
    return built.contents, built


def _is_writable(folder: Path) -> bool:
    """Return whether builds can write their bundles into the project."""
    places = (folder, folder.parent, folder.parent.parent)
    return all(os.access(place, os.W_OK) for place in places if place.exists())


def _refuse_same(checked: list[_Checked], plans: list[Planned]) -> None:
    """Refuse to deploy to the same content side by side: chance would decide which one stays."""
    known: dict[tuple[str, str], _Checked] = {}
    for each, its in zip(checked, plans, strict=True):
        found = its.plan.content
        created = (step.name for step in its.plan.steps if isinstance(step, CreateContent))
        content = found.guid if found else next(created)
        other = known.setdefault((each.client.server.url, content), each)
        if other is not each:
            names = f"{other.source.name} and {each.source.name}"
            raise UsageError(
                f"{names} are the same content on the server: {content}.",
                hint="Omit --jobs to deploy them one after the other.",
            )


def _deploy(
    checked: _Checked, planned: Planned, polling: TaskPolling, piece: Piece, go_on: GoOn
) -> Deployed:
    source, client, call = checked.source, checked.client, checked.call
    with call.masking(checked.hidden) as masked:
        _announce(planned.plan, masked.report)
        record = DeploymentRecord(
            server_url=client.server.url, filename=source.filename, app_mode=source.app_mode
        )
        keeper = RecordKeeper(
            source.records,
            client.server.url,
            record,
            call.report,
            source.preview,
            table=_guid_table(source, client.server),
        )
        piece.execution = Execution(client, masked.report, polling, keeper, go_on)
        done = piece.execution.run(planned.plan)
    return deployed(
        done,
        client.server,
        planned,
        summary=_summary(checked, done, piece.command),
        hidden=checked.hidden,
        draft_urls=checked.found.settings.supports(Feature.DRAFT_URL),
    )


def _guid_table(source: Source, server: Server) -> str:
    """Return the name of the table where the GUID is right: it counts for no other content."""
    config = source.config
    on = server.table or (server.name if config and config.servers else None)
    names = ("content", config.content) if config and config.content else ()
    return ".".join(("tool", "hatch-connect", *names, *(("on", on) if on else ())))


def _summary(checked: _Checked, done: Deployment, command: str) -> str:
    """Return in one line what was deployed where: "Deployed Sales API 1.5.0 to prod as ..."."""
    source, server = checked.source, checked.client.server
    # A bundle that was built earlier may be of another version.
    version = source.built_from.version if source.built_from else None
    what = " ".join(filter(None, (done.content.title or done.content.name, version)))
    where, bundle = server.label, f"bundle {done.bundle_id}"
    if not done.uploaded:
        if done.settings:
            return f"Updated the settings of {what} on {where}; {bundle} is already active"
        return f"{what} is up to date on {where}: {bundle} is already active"
    if source.preview:
        return f"Deployed a preview of {what} for {source.preview} to {where} as {bundle}"
    verb = "Promoted" if command == "promote" else "Deployed"
    return f"{verb} {what} to {where} as {bundle if done.active else f'draft {bundle}'}"


def _announce(plan: Plan, report: Report) -> None:
    if plan.content:
        report(Note(text=f"Updating {plan.content.guid}: {plan.because}"))
    else:
        report(Note(text=f"Creating new content: {plan.because}"))
    for note in plan.notes:
        report(Note(text=note))
    for unset in plan.kept:
        text = f"{unset.name} is {unset.state} here: the server keeps its value."
        report(Note(text=text))


@contextmanager
def _done(results: list[Result]) -> Iterator[None]:
    """If the user interrupts the block, note what was deployed before it."""
    try:
        yield
    except KeyboardInterrupt as error:
        if results and not getattr(error, "__notes__", ()):
            lines = (line for result in results for line in result.lines)
            error.add_note(f"Already done: {' '.join(lines)}")
        raise
