"""`deploy`: build the bundle, deploy it, and verify that the content answers."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from hatch_connect.connect.deployments import DeploymentRecord
from hatch_connect.connect.resources import Feature
from hatch_connect.errors import UsageError
from hatch_connect.events import Note, Step
from hatch_connect.ship.execute import Execution
from hatch_connect.ship.find import Clues, Located, find_content
from hatch_connect.ship.plan import Found, Plan, Wanted, make_plan
from hatch_connect.ship.task import Pace
from hatch_connect.ship.variables import collect_variables
from hatch_connect.verbs.reach import chosen_server, client_of
from hatch_connect.verbs.subject import configured_server, subject_of

if TYPE_CHECKING:
    from hatch_connect.connect.client import ConnectClient
    from hatch_connect.connect.servers import Server
    from hatch_connect.events import Report
    from hatch_connect.options import Options
    from hatch_connect.ship.execute import Deployment
    from hatch_connect.ship.variables import Variables
    from hatch_connect.verbs.listing import Listing
    from hatch_connect.verbs.subject import Subject
    from hatch_connect.verbs.surroundings import Surroundings


_LARGEST = 5  # files that are named when a bundle is too large for the server


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployed:
    """What is on the server now."""

    deployment: Deployment
    server: Server
    digest: str
    listing: Listing | None = None

    @property
    def url(self) -> str:
        """The content's URL, or the draft's."""
        done = self.deployment
        if done.active:
            return done.content.content_url
        return f"{done.content.content_url.rstrip('/')}/_bundle{done.bundle_id}/"

    def lines(self) -> tuple[str, ...]:
        """Return the URL, or the list."""
        return (*(self.listing.lines() if self.listing else ()), self.url)

    def to_dict(self) -> dict[str, object]:
        """Return content, bundle and answer."""
        done, content = self.deployment, self.deployment.content
        answer = done.answer
        return {
            "url": self.url,
            "dashboard_url": content.dashboard_url,
            "logs_url": content.logs_url,
            "guid": content.guid,
            "name": content.name,
            "title": content.title,
            "app_mode": content.app_mode,
            "server": self.server.url,
            "created": done.created,
            "bundle_id": done.bundle_id,
            "previous_bundle_id": done.previous_bundle_id,
            "active": done.active,
            "digest": self.digest,
            "answer": {"status": answer.status, "text": answer.text} if answer else None,
            **(self.listing.to_dict() if self.listing else {}),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """What would be done: `--dry-run`."""

    plan: Plan
    server: Server
    listing: Listing | None = None

    def lines(self) -> tuple[str, ...]:
        """Return a line a step."""
        server = f"on {self.server.url} ({self.server.source}):"
        return (*(self.listing.lines() if self.listing else ()), server, *self.plan.lines())

    def to_dict(self) -> dict[str, object]:
        """Return the steps as text."""
        return {
            "server": self.server.url,
            "content": self.plan.content.guid if self.plan.content else None,
            "because": self.plan.because,
            "steps": [str(step) for step in self.plan.steps],
            **(self.listing.to_dict() if self.listing else {}),
        }


def run(options: Options, surroundings: Surroundings, report: Report) -> Deployed | Planned:
    """Deploy the project, or the bundle that was named. Raises HatchConnectError."""
    if options.new and options.app_id:
        raise UsageError("--new makes other content, --app-id names content: give one of them.")
    configured = None if options.local else configured_server(options, surroundings)
    with chosen_server(options, surroundings, configured, report) as server:
        subject = subject_of(options, surroundings, server, report)
        wanted = _wanted(subject, _variables(subject, options, surroundings), options)
        report(Step(text=f"Connecting to {server.url} ({server.source})"))
        client = client_of(server, surroundings, report)
        plan = make_plan(wanted, _look(client, subject, server, options))
        if options.dry_run:
            return Planned(plan=plan, server=server, listing=subject.listing)
        _announce(plan, subject, report)
        pace = _pace(surroundings)
        deployment = Execution(client, report, pace).run(plan)
        _record(subject, server, deployment, report)
        result = Deployed(
            deployment=deployment,
            server=server,
            digest=subject.bundle.digest,
            listing=subject.listing,
        )
        if options.local and surroundings.wait_for_person and not options.json:
            report(Note(text=f"It runs at {result.url} until you press Ctrl-C."))
            surroundings.wait_for_person()
        return result


def _variables(subject: Subject, options: Options, surroundings: Surroundings) -> Variables:
    table = subject.config.env if subject.config else ()
    return collect_variables(
        table=((entry.name, entry.value) for entry in table),
        env_file=surroundings.directory / options.env_file if options.env_file else None,
        given=options.environment,
        environ=surroundings.environ,
    )


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
        new=options.new,
        draft=options.draft or bool(config and config.draft),
        verify=not options.no_verify and (config is None or config.verify),
        verify_path=config.verify_path if config else "",
    )


def _look(client: ConnectClient, subject: Subject, server: Server, options: Options) -> Found:
    """Ask the server what the plan needs to know; nothing is changed."""
    settings = client.server_settings()
    user = client.me()
    record = subject.records.get(server.url)
    clues = Clues(
        app_id=options.app_id,
        recorded=record.app_guid if record else None,
        recorded_in=str(subject.records.path),
        guid=subject.config.guid if subject.config else None,
        name=subject.name,
    )
    if options.new:
        located = Located(content=None, because="--new")
    else:
        located = find_content(client, user, clues)
    content = located.content
    pythons = client.python_installations() if subject.bundle.manifest.python else None
    return Found(
        located=located,
        drafts=settings.supports(Feature.DRAFT),
        pythons=None if pythons is None else tuple(p.version for p in pythons),
        variable_names=frozenset(client.environment_names(content.guid) if content else ()),
        name_is_taken=lambda name: bool(client.find_content(name, owner_guid=user.guid)),
    )


def _announce(plan: Plan, subject: Subject, report: Report) -> None:
    if plan.content:
        report(Note(text=f"Updating {plan.content.guid}: {plan.because}"))
    elif subject.config and not subject.config.guid:
        report(Note(text=f"Making new content: {plan.because}"))
    for name in plan.kept:
        report(Note(text=f"{name} is not set here: the server keeps the value that it has."))


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


def _pace(surroundings: Surroundings) -> Pace:
    given = surroundings.environ.get("CONNECT_TASK_TIMEOUT")
    pace = Pace(now=surroundings.now, sleep=surroundings.sleep)
    if not given:
        return pace
    try:
        return replace(pace, timeout=float(given))
    except ValueError:
        raise UsageError("CONNECT_TASK_TIMEOUT must be a number of seconds.") from None
