"""`deploy`: build the bundle, deploy it, and verify that the content answers."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from hatch_connect.connect.deployments import DeploymentRecord
from hatch_connect.connect.resources import Feature
from hatch_connect.errors import RefusedError, UsageError
from hatch_connect.events import Note, Step, Warned
from hatch_connect.project.git import git_metadata
from hatch_connect.ship.execute import Execution
from hatch_connect.ship.find import Located, find_content
from hatch_connect.ship.plan import Found, Wanted, make_plan
from hatch_connect.ship.variables import collect_variables
from hatch_connect.verbs.deployed import Deployed, Planned
from hatch_connect.verbs.masking import masking
from hatch_connect.verbs.reach import chosen_server, client_of, pace_of
from hatch_connect.verbs.several import one_or_several
from hatch_connect.verbs.subject import configured_server, prepared_or_built, subject_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hatch_connect.connect.client import ConnectClient
    from hatch_connect.connect.resources import Content, ServerSettings
    from hatch_connect.connect.servers import Server
    from hatch_connect.events import Report
    from hatch_connect.options import Options
    from hatch_connect.secret import Secret
    from hatch_connect.ship.execute import Deployment
    from hatch_connect.ship.plan import Plan
    from hatch_connect.ship.variables import Variables
    from hatch_connect.verbs import Result
    from hatch_connect.verbs.subject import Subject
    from hatch_connect.verbs.surroundings import Surroundings


_LARGEST = 5  # files that are named when a bundle is too large for the server


def run(options: Options, surroundings: Surroundings, report: Report) -> Result:
    """Deploy the project, or the bundle that was named. Raises HatchConnectError.

    Everything is built and planned before anything is changed.
    """
    if options.new and options.app_id:
        raise UsageError("--new makes other content, --app-id names content: give one of them.")
    if options.metadata and options.no_metadata:
        raise UsageError("--metadata notes something, --no-metadata nothing: give one of them.")
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="hatch-connect-")))
        with _nothing_changed():
            made = prepared_or_built(options, surroundings, report, into=folder)
        ready: list[_Ready] = []
        for each in made:
            configured = configured_server(each, options, surroundings)
            choice = chosen_server(options, surroundings, configured, report)
            server = stack.enter_context(choice)
            subject = subject_of(each, options, surroundings, server, report)
            if options.file:
                whose = subject.config.content_name if subject.config else None
                told = f"content {whose!r} of this project" if whose else "content of its own"
                report(Note(text=f"{options.file} is {told}."))
            ready.append(_plan(_Call(subject, server, options, surroundings), report))
        results = tuple(_deploy(each, report) for each in ready)
        if options.local and surroundings.wait_for_person and not options.json:
            where = "\n".join(result.lines()[-1] for result in results)
            report(Note(text=f"This runs until you press Ctrl-C:\n{where}"))
            surroundings.wait_for_person()
    return one_or_several(results)


@dataclass(frozen=True, slots=True)
class _Call:
    """One deployment of a call."""

    subject: Subject
    server: Server
    options: Options
    surroundings: Surroundings


@dataclass(frozen=True, slots=True)
class _Ready:
    """A deployment that is planned."""

    call: _Call
    client: ConnectClient
    plan: Plan
    metadata: dict[str, str] | None
    hidden: tuple[Secret, ...]


def _plan(call: _Call, report: Report) -> _Ready:
    variables = _variables(call)
    server = call.server
    hidden = (*variables.hidden, *filter(None, [server.api_key]))
    with masking(hidden, report) as told, _nothing_changed():
        told(Step(text=f"Connecting to {server.url} ({server.source})"))
        client = client_of(server, call.surroundings, told, variables.hidden)
        settings = client.server_settings()
        wanted = _wanted(call.subject, variables, call.options)
        plan = make_plan(wanted, _look(client, settings, call, told))
        metadata = _metadata(call, settings, told)
    return _Ready(call, client, plan, metadata, hidden)


def _deploy(ready: _Ready, report: Report) -> Deployed | Planned:
    call = ready.call
    listing = call.subject.listing
    if call.options.dry_run:
        return Planned(plan=ready.plan, server=call.server, listing=listing)
    with masking(ready.hidden, report) as told:
        _announce(ready.plan, told)
        pace = pace_of(call.surroundings)
        deployment = Execution(ready.client, told, pace, ready.metadata).run(ready.plan)
    _record(call.subject, call.server, deployment, report)
    return Deployed(
        deployment=deployment,
        server=call.server,
        digest=call.subject.bundle.digest,
        listing=listing,
        hidden=ready.hidden,
    )


@contextmanager
def _nothing_changed() -> Iterator[None]:
    """Say so where the person ends what only looks."""
    try:
        yield
    except KeyboardInterrupt as error:
        error.add_note("Nothing was changed on the server.")
        raise


def _variables(call: _Call) -> Variables:
    options, surroundings, config = call.options, call.surroundings, call.subject.config
    table = config.env if config else ()
    return collect_variables(
        table=((entry.name, entry.value) for entry in table),
        env_file=surroundings.directory / options.env_file if options.env_file else None,
        given=options.environment,
        unset=options.unset,
        environ=surroundings.environ,
    )


def _metadata(call: _Call, settings: ServerSettings, report: Report) -> dict[str, str] | None:
    """Return what is noted with the bundle: what git knows, then what the call gave."""
    options = call.options
    if settings.supports(Feature.BUNDLE_METADATA) is not True:
        if options.metadata:
            report(Warned(text="This server takes no --metadata (Connect 2025.12 and later do)."))
        return None
    if options.no_metadata:
        return None
    found = git_metadata(call.subject.home, call.surroundings.environ)
    for given in options.metadata:
        key, separator, value = given.partition("=")
        if not key or not separator:
            raise UsageError(f"--metadata takes KEY=VALUE, not {given!r}.")
        found[key] = value
    return found or None


def _wanted(subject: Subject, variables: Variables, options: Options) -> Wanted:
    config, bundle = subject.config, subject.bundle
    python = bundle.manifest.python
    return Wanted(
        archive=bundle.path,
        size=bundle.size,
        largest=tuple(sorted(bundle.sizes(), key=lambda file: -file[1])[:_LARGEST]),
        app_mode=bundle.manifest.metadata.app_mode,
        name=subject.name,
        title=subject.title,
        default_title=subject.default_title,
        variables=variables,
        python=python.version if python else None,
        python_requires=bundle.manifest.environment.python_requires,
        python_because=subject.python_because,
        image=_image(subject),
        new=options.new,
        any_name=not subject.known_by_name,
        draft=options.draft or bool(config and config.draft),
        verify=not options.no_verify and (config is None or config.verify),
        verify_path=config.verify_path if config else "",
    )


def _image(subject: Subject) -> str | None:
    """Return the image that pyproject.toml names for this server, and the bundle does not."""
    wanted = subject.config.image if subject.config else None
    shipped = subject.bundle.manifest.environment.image
    if wanted is None or wanted == shipped:
        return None
    if shipped is not None:
        raise UsageError(
            f"The bundle names the image {shipped!r}, and this server's table {wanted!r}.",
            hint="Name images in the tables of the servers only: the bundle is the same for all.",
        )
    return wanted


def _look(client: ConnectClient, settings: ServerSettings, call: _Call, report: Report) -> Found:
    """Ask the server what the plan needs to know; nothing is changed."""
    subject, options = call.subject, call.options
    user = client.me()
    if options.new:
        located = Located(content=None, because="--new")
    else:
        located = find_content(client, user, subject.clues(options, client.server, report))
    content = located.content
    pythons = client.python_installations() if subject.bundle.manifest.python else None
    return Found(
        located=located,
        drafts=settings.supports(Feature.DRAFT),
        reads_requires=settings.supports(Feature.PYTHON_REQUIRES) is not False,
        pythons=None if pythons is None else tuple(p.version for p in pythons),
        variable_names=_variable_names(client, content),
        git_managed=content is not None and client.is_git_managed(content.guid),
        name_is_taken=lambda name: bool(client.find_content(name, owner_guid=user.guid)),
    )


def _variable_names(client: ConnectClient, content: Content | None) -> frozenset[str] | None:
    try:
        return frozenset(client.environment_names(content.guid) if content else ())
    except RefusedError:
        return None


def _announce(plan: Plan, report: Report) -> None:
    if plan.content:
        report(Note(text=f"Updating {plan.content.guid}: {plan.because}"))
    else:
        report(Note(text=f"Making new content: {plan.because}"))
    for unset in plan.kept:
        text = f"{unset.name} is {unset.state} here: the server keeps the value that it has."
        report(Note(text=text))


def _record(subject: Subject, server: Server, done: Deployment, report: Report) -> None:
    content = done.content
    path = subject.records.put(
        DeploymentRecord(
            server_url=server.url,
            filename=subject.filename,
            app_url=content.content_url,
            app_id=content.id,
            app_guid=content.guid,
            title=content.title,
            app_mode=subject.bundle.manifest.metadata.app_mode,
        )
    )
    if done.created:
        text = f'Recorded in {path}. To find it without a record: guid = "{content.guid}"'
        report(Note(text=f"{text} in [tool.hatch-connect]."))
