"""`deploy`: build the bundle, deploy it, and verify that the content answers.

What comes of it is a deployment that is done or planned, or several of them. Above 500 lines,
because the whole course of a deployment is read here, one step after the other.
"""

from __future__ import annotations

import os
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from hatch_connect.bundle.manifest import MANIFEST_NAME
from hatch_connect.bundle.reading import Bundle
from hatch_connect.bundle.repository import git_metadata, same_repository
from hatch_connect.connect.json_reader import readable
from hatch_connect.connect.records import DeploymentRecord
from hatch_connect.connect.resources import Feature
from hatch_connect.errors import HatchConnectError, UsageError, add_facts, facts_of
from hatch_connect.events import Note, Step, Warned
from hatch_connect.secret import without_credentials
from hatch_connect.ship.execute import Execution, deploy_again
from hatch_connect.ship.find import (
    ContentMatch,
    find_begun,
    find_content,
    last_repository,
    variable_names,
)
from hatch_connect.ship.history import RecordKeeper
from hatch_connect.ship.plan import DeploymentRequest, ServerFacts, Upload, check_request, make_plan
from hatch_connect.ship.variables import collect_variables
from hatch_connect.verbs.build import build_content
from hatch_connect.verbs.call import masking, nothing_changed
from hatch_connect.verbs.result import (
    Deployed,
    Result,
    deployed,
    listing_of,
    one_or_several,
    planned,
)
from hatch_connect.verbs.server import chosen_server, client_of, polling_of, settings_of
from hatch_connect.verbs.source import pieces_of, request_of_piece, subject_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hatch_connect.bundle.build_protocol import BuildRequest, Built
    from hatch_connect.bundle.manifest import Manifest
    from hatch_connect.connect.client import ConnectClient
    from hatch_connect.connect.resources import ServerSettings
    from hatch_connect.connect.servers import Server
    from hatch_connect.events import Report
    from hatch_connect.options import Options
    from hatch_connect.secret import Secret
    from hatch_connect.ship.execute import GoOn
    from hatch_connect.ship.follow import TaskPolling
    from hatch_connect.ship.plan import Plan
    from hatch_connect.ship.variables import Variables
    from hatch_connect.verbs.call import Call
    from hatch_connect.verbs.source import Subject

_LARGEST = 5  # files that are named when a bundle is too large for the server


def run_deploy(call: Call) -> Result:
    """Deploy the project, or the bundle that was named. Raises HatchConnectError.

    First everything is checked that the project, the call and the server can tell; then all bundles
    are built and all plans made; only then is anything changed.
    """
    _check_options(call.options)
    pace = polling_of(call)
    results: list[Result] = []
    with _done(results), ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="hatch-connect-")))
        with nothing_changed():
            # All checks and plans come before the first change, so that an error in the second
            # piece of content does not leave the first one deployed.
            asked = []
            for piece in pieces_of(call):
                server = stack.enter_context(chosen_server(call, piece.config))
                subject = subject_of(piece, call, server)
                asked.append(_ask(_Target(subject, server, call)))
            ready = [_plan(each, folder) for each in asked]
        _deploy_each(ready, results, pace, call.report)
        wait = call.surroundings.wait_for_person
        if call.options.local and wait and not call.options.json:
            where = "\n".join(result.lines[-1] for result in results)
            call.report(Note(text=f"This runs until you press Ctrl-C:\n{where}"))
            wait()
    return one_or_several(results)


@dataclass(frozen=True)
class _Target:
    """One deployment of a call."""

    subject: Subject
    server: Server
    call: Call

    @cached_property
    def commit(self) -> dict[str, str]:
        """Git's metadata of the bundle's source; {} for an archive, which may lie anywhere."""
        piece, environ = self.subject.piece, self.call.environ
        if piece.archive:
            return {}
        if piece.path is None:
            return git_metadata(self.subject.home, environ)
        folder = piece.path if piece.path.is_dir() else piece.path.parent
        return git_metadata(folder, environ, tracked=MANIFEST_NAME)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """A deployment that has passed all checks so far; `request` is None for a prepared bundle.

    `hidden` are values that must be masked in all output.
    """

    target: _Target
    request: BuildRequest | None
    client: ConnectClient
    wanted: DeploymentRequest
    found: ServerFacts
    metadata: dict[str, str] | None
    hidden: tuple[Secret, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Ready:
    """A deployment that is planned."""

    asked: _Asked
    plan: Plan
    digest: str
    listing: Result


def _check_options(options: Options) -> None:
    if options.new and options.app_id:
        raise UsageError("--new makes other content, --app-id names content: give one of them.")
    if options.metadata and options.no_metadata:
        raise UsageError("--metadata notes something, --no-metadata nothing: give one of them.")
    for given in options.metadata:
        if not given.partition("=")[0] or "=" not in given:
            raise UsageError(f"--metadata takes KEY=VALUE, not {given!r}.")


def _ask(target: _Target) -> _Asked:
    """Ask the server what matters before there is a bundle, and refuse what cannot succeed."""
    subject, server = target.subject, target.server
    variables = _variables(target)
    hidden = (*variables.hidden, *filter(None, [server.api_key]))
    request = request_of_piece(subject.piece, target.call)
    with target.call.masking(hidden) as call:
        target = replace(target, call=call)
        if path := subject.piece.path:
            whose = subject.config.content_name if subject.config else None
            content = f"content {whose!r} of this project" if whose else "content of its own"
            call.report(Note(text=f"{path.name} is {content}."))
        call.report(Step(text=f"Connecting to {server.url} ({server.source})"))
        client = client_of(server, call, variables.hidden)
        settings = settings_of(client, call)
        wanted = _wanted(target, variables, request)
        found = _look(client, settings, target)
        if found.located.content:  # with --new: content that an interrupted call has created
            wanted = replace(wanted, new=False)
        try:
            check_request(wanted, found)
        except HatchConnectError as error:
            if known := found.located.content:
                add_facts(error, guid=known.guid, logs_url=known.logs_url)
            raise
        _compare_repository(target, client, found.located)
        return _Asked(
            target=target,
            request=request,
            client=client,
            wanted=wanted,
            found=found,
            metadata=_metadata(target, settings),
            hidden=hidden,
        )


def _compare_repository(target: _Target, client: ConnectClient, located: ContentMatch) -> None:
    """Warn if only the name led to the content, and it was built from another repository."""
    if not (located.by_name and located.content):
        return
    theirs = last_repository(client, located.content)
    if not theirs:
        return
    config, environ = target.subject.config, target.call.environ
    # A prepared bundle may lie outside of git: then the project that it belongs to is compared.
    known = target.commit or (git_metadata(config.root, environ) if config else {})
    ours = known.get("source_repo")
    if ours and not same_repository(ours, theirs):
        text = f"Content {located.content.guid} was found by its name alone, and was last deployed "
        text += f"from {without_credentials(readable(theirs))}; this project is {ours}."
        hint = "If it is other content, deploy with --new, or set `content-name` or `guid`."
        target.call.report(Warned(text=f"{text} {hint}"))


def _plan(asked: _Asked, folder: Path) -> _Ready:
    """Build the bundle, or open the one that is prepared, and decide the steps."""
    with asked.target.call.masking(asked.hidden) as call:
        bundle, built = _made(asked, call, folder)
        upload = Upload(
            archive=bundle.path,
            size=bundle.size,
            largest=tuple(sorted(bundle.sizes(), key=lambda file: -file[1])[:_LARGEST]),
            metadata=asked.metadata,
        )
        # Only the build tells whether a Quarto document needs Python.
        wanted = replace(asked.wanted, **_told_by(bundle.manifest))
        if built and built.python:
            wanted = replace(wanted, python_because=built.python.because)
        return _Ready(
            asked=asked,
            plan=make_plan(wanted, asked.found, upload),
            digest=bundle.digest,
            listing=listing_of(built if call.options.list else None),
        )


def _made(asked: _Asked, call: Call, folder: Path) -> tuple[Bundle, Built | None]:
    piece = asked.target.subject.piece
    if piece.archive:
        return piece.archive, None
    if piece.path:
        return Bundle.open(piece.path, into=folder, report=call.report), None
    if asked.request is None:
        raise AssertionError("what is not prepared is built")
    request = asked.request
    if not _is_writable(request.root):
        call.report(Note(text=f"{request.root} cannot be written: the bundle is not kept there."))
        request = replace(request, directory=folder)
    built = build_content(request, call)
    return built.bundle, built


def _is_writable(root: Path) -> bool:
    """Return whether builds can write their bundles into the project."""
    return all(
        os.access(place, os.W_OK)
        for place in (root, root / "dist", root / "dist" / "connect")
        if place.exists()
    )


def _deploy_each(
    ready: list[_Ready], done: list[Result], pace: TaskPolling, report: Report
) -> None:
    """Deploy one piece of content after the other; if one fails, note how far each has come."""
    try:
        for number, each in enumerate(ready):
            go_on = _again(ready[number:]) if len(ready) > 1 else deploy_again
            done.append(_deploy(each, pace, go_on, report))
    except (HatchConnectError, KeyboardInterrupt) as error:
        if len(ready) > 1:
            lines, objects = zip(*_pieces(ready, done, error), strict=True)
            report(Warned(text="\n".join(("Not all of it was deployed:", *lines))))
            add_facts(error, contents=list(objects))
        raise


def _again(left: list[_Ready]) -> GoOn:
    """Return how to go on with the pieces of content that are left."""
    subjects = [each.asked.target.subject for each in left]
    names = [subject.config.content if subject.config else None for subject in subjects]
    files = [str(subject.piece.path) for subject in subjects if subject.piece.path]
    options = "--all" if None in names else " ".join(f"--content {name}" for name in names)
    return lambda _guid: f"deploy again{': ' if files else ' with '}{' '.join(files) or options}"


def _pieces(
    ready: list[_Ready],
    done: list[Result],
    error: HatchConnectError | KeyboardInterrupt,
) -> Iterator[tuple[str, dict[str, object]]]:
    """Return for each piece of content whether it was deployed, as a line and as an object."""
    for number, each in enumerate(ready):
        name = each.asked.target.subject.name
        result = done[number] if number < len(done) else None
        if isinstance(result, Deployed):
            content, bundle_id = result.deployment.content, result.deployment.bundle_id
            line = f"deployed: {result.facts['url']}  {content.guid}  bundle {bundle_id}"
            known = {"status": "deployed", **result.facts}
        elif number == len(done):
            why = error.message if isinstance(error, HatchConnectError) else "interrupted"
            line, known = f"failed: {why}", {"status": "failed", "error": why, **facts_of(error)}
        else:
            line, known = "not tried", {"status": "not tried"}
        yield f"{name}: {line}", {"name": name, **known}


def _deploy(ready: _Ready, pace: TaskPolling, go_on: GoOn, report: Report) -> Result:
    asked, target = ready.asked, ready.asked.target
    if target.call.options.dry_run:
        return planned(ready.plan, target.server, ready.listing)
    with masking(asked.hidden, report) as masked_report:
        _announce(ready.plan, masked_report)
        keeper = _keeper(target, report)
        execution = Execution(asked.client, masked_report, pace, keeper, go_on)
        deployment = execution.run(ready.plan)
    return deployed(
        deployment,
        target.server,
        digest=ready.digest,
        listing=ready.listing,
        hidden=asked.hidden,
        draft_urls=asked.found.settings.supports(Feature.DRAFT_URL),
    )


@contextmanager
def _done(results: list[Result]) -> Iterator[None]:
    """If the user interrupts the block, note what was deployed before it."""
    try:
        yield
    except KeyboardInterrupt as error:
        if results and not getattr(error, "__notes__", ()):
            lines = (line for result in results for line in result.lines)
            error.add_note(f"Nothing is left to do: {' '.join(lines)}")
        raise


def _variables(target: _Target) -> Variables:
    options, surroundings, config = (
        target.call.options,
        target.call.surroundings,
        target.subject.config,
    )
    table = config.env if config else ()
    return collect_variables(
        table=((entry.name, entry.value) for entry in table),
        env_file=surroundings.directory / options.env_file if options.env_file else None,
        given=options.environment,
        unset=options.unset,
        environ=surroundings.environ,
    )


def _metadata(target: _Target, settings: ServerSettings) -> dict[str, str] | None:
    """Return the bundle's metadata: git's, then that of the table, then that of the call.

    An empty value removes a key.
    """
    options, config = target.call.options, target.subject.config
    if options.no_metadata:
        return None
    table = config.metadata_of_bundle if config else ()
    called = dict(given.split("=", 1) for given in options.metadata)
    if settings.supports(Feature.BUNDLE_METADATA) is not True:
        sources = {"--metadata": called, "`metadata` in pyproject.toml": table}
        if asked := [source for source, given in sources.items() if given]:
            hidden = "hides its version, which CONNECT_SERVER_VERSION can tell"
            known = f"is Connect {settings.version}" if settings.version else hidden
            text = f"Not sent: {' and '.join(asked)}. The server {known}; Connect 2025.12 and later"
            target.call.report(Warned(text=f"{text} take what is noted."))
        return None
    if table is None and not called:
        return None
    found = {} if table is None else {**target.commit, **dict(table)}
    return {key: value for key, value in (found | called).items() if value}


def _wanted(
    target: _Target, variables: Variables, request: BuildRequest | None
) -> DeploymentRequest:
    subject, options, config = target.subject, target.call.options, target.subject.config
    packages = request.packages if request else None
    manifest = subject.piece.manifest
    wanted = DeploymentRequest(
        app_mode=subject.app_mode,
        name=subject.name,
        title=subject.title,
        default_title=subject.default_title,
        variables=variables,
        image=_image(subject),
        new=options.new,
        any_name=not subject.known_by_name,
        draft=options.draft or bool(config and config.draft),
        verify=not options.no_verify and (config is None or config.verify),
        verify_path=config.verify_path if config else "",
    )
    if manifest:
        return replace(wanted, **_told_by(manifest))
    if packages is None:
        return wanted
    python = packages.python
    return replace(
        wanted,
        python=python.version,
        python_requires=python.requires,
        python_because=python.because,
    )


def _told_by(manifest: Manifest) -> dict[str, Any]:
    python = manifest.python
    return {
        "category": manifest.metadata.content_category or "",
        "parameterized": bool(manifest.metadata.has_parameters),
        "python": python.version if python else None,
        "python_requires": manifest.environment.python_requires,
    }


def _image(subject: Subject) -> str | None:
    """Return the image that pyproject.toml names for this server, and the bundle does not."""
    wanted = subject.config.image if subject.config else None
    shipped = subject.image
    if wanted is None or wanted == shipped:
        return None
    if shipped is not None:
        raise UsageError(
            f"The bundle names the image {shipped!r}, and this server's table {wanted!r}.",
            hint="Name images in the tables of the servers only: the bundle is the same for all.",
        )
    return wanted


def _look(client: ConnectClient, settings: ServerSettings, target: _Target) -> ServerFacts:
    """Ask the server what the plan needs to know; nothing is changed."""
    subject, call = target.subject, target.call
    user = client.user()
    clues = subject.clues(call, client.server)
    if call.options.new:
        located = find_begun(client, user, clues) or ContentMatch(content=None, because="--new")
    else:
        located = find_content(client, user, clues, call.report)
    content = located.content
    pythons = client.python_installations() if subject.has_python else None
    names = variable_names(client, content) if content else ()
    return ServerFacts(
        settings=settings,
        located=located,
        role=user.role if user else "",
        pythons=tuple(p.version for p in pythons if p.publishable) if pythons else None,
        variable_names=frozenset(names) if names is not None else None,
        git_managed=content is not None and client.is_git_managed(content.guid),
        name_is_taken=lambda name: bool(client.own_content(name, user)),
    )


def _announce(plan: Plan, report: Report) -> None:
    if plan.content:
        report(Note(text=f"Updating {plan.content.guid}: {plan.because}"))
    else:
        report(Note(text=f"Making new content: {plan.because}"))
    for note in plan.notes:
        report(Note(text=note))
    for unset in plan.kept:
        text = f"{unset.name} is {unset.state} here: the server keeps the value that it has."
        report(Note(text=text))


def _keeper(target: _Target, report: Report) -> RecordKeeper:
    subject, url = target.subject, target.server.url
    record = DeploymentRecord(server_url=url, filename=subject.filename, app_mode=subject.app_mode)
    return RecordKeeper(subject.records, url, record, report)
