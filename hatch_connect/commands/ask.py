"""What a deployment asks of its server before anything is changed; `doctor` asks the same."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from hatch_connect.commands.server import client_of, settings_of
from hatch_connect.commands.source import how_to_verify
from hatch_connect.connect.resources import Feature
from hatch_connect.errors import UsageError
from hatch_connect.events import Note, Step
from hatch_connect.ship.find import check_reference, find_content, last_bundle, variable_names
from hatch_connect.ship.history import IDENTITY, noted_identity, read_history
from hatch_connect.ship.request import DeploymentRequest, ServerFacts
from hatch_connect.ship.variables import collect_variables

if TYPE_CHECKING:
    from hatch_connect.bundle.build_protocol import BuildRequest
    from hatch_connect.bundle.manifest import Manifest
    from hatch_connect.commands.call import Call
    from hatch_connect.commands.source import Source
    from hatch_connect.connect.client import ConnectClient
    from hatch_connect.connect.resources import BundleInfo, ServerSettings, User
    from hatch_connect.connect.servers import Server
    from hatch_connect.events import Report
    from hatch_connect.options import Options
    from hatch_connect.ship.find import ContentMatch, ContentReference
    from hatch_connect.ship.history import History
    from hatch_connect.ship.variables import Variables


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What content is to become on a server, and what that server told; nothing is checked yet."""

    client: ConnectClient
    wanted: DeploymentRequest
    found: ServerFacts
    user: User | None


def ask_server(
    source: Source,
    server: Server,
    variables: Variables,
    request: BuildRequest | None,
    call: Call,
) -> Asked:
    """Find the content, and ask the server what matters; `request` is None if nothing is built."""
    reference = source.reference(server, call)
    check_reference(reference, server)
    call.report(Step(text=f"Connecting to {server.url} ({server.source})"))
    client = client_of(server, call, variables.hidden)
    settings = settings_of(client, call)
    wanted = _wanted(source, variables, request, call.options)
    found, user = _look(client, settings, source, reference, wanted, call)
    return Asked(client=client, wanted=wanted, found=found, user=user)


def variables_of(source: Source, call: Call) -> Variables:
    """Return the variables of the content, from the table and the call."""
    options, table = call.options, source.config.env if source.config else ()
    return collect_variables(
        table=((entry.name, entry.value) for entry in table),
        env_file=call.surroundings.directory / options.env_file if options.env_file else None,
        given=options.environment,
        unset=options.unset,
        environ=call.environ,
    )


def _wanted(
    source: Source, variables: Variables, request: BuildRequest | None, options: Options
) -> DeploymentRequest:
    config = source.config
    wanted = DeploymentRequest(
        app_mode=source.app_mode,
        name=source.name,
        title=source.title,
        default_title=source.default_title,
        variables=variables,
        image=_image(source),
        any_name=options.new or not source.known_by_name,
        draft=options.draft or bool(config and config.draft),
        verify=how_to_verify(config, options),
        # What is to be noted is noted with uploads alone.
        anew=options.force or bool(options.metadata),
        check=options.dry_run and options.check,
    )
    if source.manifest:
        return replace(wanted, **manifest_values(source.manifest))
    if request is None or request.packages is None:
        return wanted
    python = request.packages.python
    return replace(
        wanted,
        python=python.version,
        python_requires=python.requires,
        python_because=python.because,
    )


def manifest_values(manifest: Manifest) -> dict[str, Any]:
    """Return what a manifest says of the values of a `DeploymentRequest`."""
    python = manifest.python
    return {
        "category": manifest.metadata.content_category or "",
        "parameterized": bool(manifest.metadata.has_parameters),
        "python": python.version if python else None,
        "python_requires": manifest.environment.python_requires,
    }


def _image(source: Source) -> str | None:
    """Return the image that pyproject.toml names for this server, and the bundle does not."""
    wanted = source.config.image if source.config else None
    if wanted is None or wanted == source.image:
        return None
    if source.image is not None:
        raise UsageError(
            f"The bundle sets the image {source.image!r}, and this server's table {wanted!r}.",
            hint="Set images in the tables of the servers only: the bundle is the same for all.",
        )
    return wanted


def _look(
    client: ConnectClient,
    settings: ServerSettings,
    source: Source,
    reference: ContentReference,
    wanted: DeploymentRequest,
    call: Call,
) -> tuple[ServerFacts, User | None]:
    """Ask the server what the plan needs to know, and who the key's user is."""
    user = client.user()
    located = find_content(client, user, reference, call.report)
    content = located.content
    pythons = client.python_installations() if source.has_python else None
    # Nothing else depends on what is set there.
    shown = wanted.draft or call.options.dry_run
    ask = wanted.variables.relied_on or (shown and wanted.variables.values)
    names = variable_names(client, content) if content and ask else ()
    last, identity = _last(client, settings, source, wanted, located)
    history = _history(client, source, wanted, located, call.report)
    facts = ServerFacts(
        settings=settings,
        located=located,
        role=user.role if user else "",
        pythons=tuple(p.version for p in pythons if p.publishable) if pythons else None,
        variable_names=frozenset(names) if names is not None else None,
        # If the active bundle itself says that it was uploaded, this can wait for another one.
        git_managed=bool(
            content and not (last and identity) and client.is_git_managed(content.guid)
        ),
        last=last,
        identity=identity,
        way_back=history.known_good() if history else None,
        unsettled=history.unsettled if history else None,
        changed=history.changed if history else {},
        name_is_taken=lambda name: bool(client.own_content(name, user)),
    )
    return facts, user


def _history(
    client: ConnectClient,
    source: Source,
    wanted: DeploymentRequest,
    located: ContentMatch,
    report: Report,
) -> History | None:
    """Return what is known of the bundles, if one may have to come back."""
    content, how = located.content, wanted.verify
    if not (content and content.bundle_id and how and how.rolls_back) or wanted.draft:
        return None
    history = read_history(client, content, source.records, report)
    if history.unsettled:
        text = f"An earlier call ended before bundle {content.bundle_id} was verified"
        report(Note(text=f"{text}; bundle {history.unsettled} was active before."))
    return history


def _last(
    client: ConnectClient,
    settings: ServerSettings,
    source: Source,
    wanted: DeploymentRequest,
    located: ContentMatch,
) -> tuple[BundleInfo | None, str | None]:
    """Return the last bundle of the content and the identity of the active one, as needed."""
    content = located.content
    if content is None:
        return None, None
    active = None if wanted.anew or wanted.draft else content.bundle_id
    url, records = client.server.url, source.records
    identity = noted_identity(records, url, content.guid, active) if active else None
    noted = settings.supports(Feature.BUNDLE_METADATA)
    archive = source.archive
    ask = located.by_name or (active and not identity and (noted or archive))
    last = last_bundle(client, content) if ask else None
    if active and last and not identity:
        identity = dict(last.metadata).get(IDENTITY)
        if archive and archive.md5 == last.archive_md5:  # whoever uploaded it
            identity = archive.identity
    return last, identity


def ask_git_managed(found: ServerFacts, client: ConnectClient) -> ServerFacts:
    """Ask whether git is its source if that was left out, since it only matters for an upload."""
    content = found.located.content
    if not (content and found.last and found.identity):
        return found
    return replace(found, git_managed=client.is_git_managed(content.guid))
