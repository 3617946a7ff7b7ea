"""The server that a call is about."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from hatch_connect.connect.credentials import ApiKey
from hatch_connect.connect.identity import WorkflowIdentity
from hatch_connect.connect.resolve_server import ServerOptions, environment_of, resolve_server
from hatch_connect.connect.servers import Server, ServerStore
from hatch_connect.errors import StoreError, UsageError
from hatch_connect.project.settings import SETTINGS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from hatch_connect.commands.call import Call
    from hatch_connect.connect.client import ConnectClient
    from hatch_connect.connect.identity import IdentitySource
    from hatch_connect.connect.resources import ServerSettings, User
    from hatch_connect.project.project import ProjectConfig
    from hatch_connect.secret import Hidden
    from hatch_connect.ship.follow import TaskPolling


def server_store(call: Call) -> ServerStore:
    """Return the servers that this person has stored."""
    return ServerStore(ServerStore.default_path(call.environ, sys.platform), call.report)


def known_server(store: ServerStore, name: str) -> Server | None:
    """Return the server that is stored under a nickname; None as well if the store is broken."""
    try:
        return store.get(name)
    except StoreError:
        return None  # reported when it is set aside, or when another server of it is asked for


def server_options(call: Call) -> ServerOptions:
    """Return what the call says of the server."""
    options = call.options
    name, server, option = options.name, options.server, None
    if given := options.from_server or options.to_server:
        option = "--from" if options.from_server else "--to"
        name, server = (None, given) if "://" in given else (given, None)
    return ServerOptions(
        name=name,
        server=server,
        option=option,
        api_key=options.api_key,
        insecure=options.insecure or None,
        cacert=call.surroundings.directory / options.cacert if options.cacert else None,
    )


def client_of(server: Server, call: Call, hidden: Hidden = ()) -> ConnectClient:
    """Return a client of this server that shows none of these values; nothing is sent yet."""
    from hatch_connect.connect.client import ConnectClient

    environ = call.environ
    if server.local:
        # A server on this machine must not be reached through a proxy.
        environ = {k: v for k, v in environ.items() if not k.lower().endswith("_proxy")}
    return ConnectClient(server, environ=environ, report=call.report, hidden=hidden)


def settings_of(client: ConnectClient, call: Call) -> ServerSettings:
    """Return what the server says of itself; CONNECT_SERVER_VERSION says its version instead.

    An administrator may hide the version. Raises UsageError for what is no version of Connect.
    """
    settings = client.server_settings()
    given = environment_of(client.server.url, call.environ).get("CONNECT_SERVER_VERSION")
    if not given or client.server.local:
        return settings
    from hatch_connect.connect.resources import Feature

    stated = replace(settings, version=given)
    if stated.supports(Feature.DRAFT) is None:
        raise UsageError(
            f"CONNECT_SERVER_VERSION is not a version of Connect: {given!r}.",
            hint="Write it as Connect does, such as 2025.06.0, or unset it.",
        )
    return stated


def _is_local(call: Call, tables: Mapping[str, str | None]) -> bool:
    """Return whether the call means the server of this machine.

    As one end of a promotion it is `local`, unless a server is stored under that nickname.
    """
    options = call.options
    if "local" not in {options.from_server, options.to_server}:
        return options.local
    return not (tables.get("local") or known_server(server_store(call), "local"))


@contextmanager
def chosen_server(call: Call, config: ProjectConfig | None) -> Iterator[Server]:
    """Yield the server of the call; if it is the one of this machine, run it for the block.

    `config` is the project without any server's table; it is None if the call needs no project.
    """
    options, tables = call.options, dict(config.servers if config else ())
    if not _is_local(call, tables):
        yield resolve_server(
            replace(
                server_options(call),
                workflow=None if options.no_identity else partial(_workflow, call, config),
            ),
            environ=call.environ,
            configured=config.server if config else None,
            tables=tables,
            store=server_store(call),
            report=call.report,
        )
        return
    if options.name or options.server:
        raise UsageError(
            "--local cannot be combined with --name or --server.",
            hint="Omit --local, or --name and --server.",
        )
    from hatch_connect.local.start import make_known, running

    with running(state_folder(call), environ=call.environ, report=call.report) as local:
        # `[tool.hatch-connect.on.local]` says what differs on this machine.
        table = "local" if "local" in tables else None
        if config and (named := _named(config.on(table) if table else config)):
            make_known(local, named)
        yield Server(
            url=local.url,
            credential=ApiKey(local.api_key),
            name="local",
            source="the local server",
            table=table,
            local=True,
            ends=local.ends,
        )


def sign_in_url(server: Server, url: str, user: str | None = None) -> str | None:
    """Return a URL that is good once, signs a browser in and leads to a page of this machine.

    With `user`, content is visited as that one. It is None for other servers: their people sign in
    for themselves. Raises UsageError if there is no such user.
    """
    own, credential = server.url.rstrip("/"), server.credential
    if not server.local or not isinstance(credential, ApiKey) or not url.startswith(f"{own}/"):
        return None
    from hatch_connect.local.start import one_time_url

    once = one_time_url(own, credential.key, url.removeprefix(own), user)
    if once is None and user:
        hint = "`hatch-connect local` says which users.toml it takes its people from."
        raise UsageError(f"The local server has no user {user!r}.", hint=hint)
    return once


def _named(config: ProjectConfig) -> dict[str, tuple[str, ...]]:
    """Return the people, tags and integrations that are declared: no others are on this machine."""
    declared = config.declared
    lists = {
        "people": (declared.viewers, declared.collaborators),
        "tags": (declared.tags,),
        "integrations": (declared.integrations,),
    }
    named = {kind: [one.names for one in each if one] for kind, each in lists.items()}
    return {kind: tuple(chain(*names)) for kind, names in named.items() if any(names)}


def _workflow(
    call: Call, config: ProjectConfig | None, identity: IdentitySource, server: Server
) -> WorkflowIdentity:
    """Return the identity of the CI workflow on this server; one for all content of a call."""
    own = config.on(server.table) if config and server.table else config
    audience = own.identity_audience if own else str(SETTINGS["identity-audience"].default)
    return call.identities.setdefault(
        (server.url, audience),
        WorkflowIdentity(server.url, identity, audience=audience, secrets=call.secrets),
    )


def state_folder(call: Call) -> Path:
    """Return where the server of this machine keeps what was deployed to it.

    The place is the platform's for state ($XDG_STATE_HOME and its like).
    """
    named = call.environ.get("XDG_STATE_HOME")
    if named:
        return Path(named) / "hatch-connect" / "local"
    from platformdirs import user_state_path

    return user_state_path("hatch-connect", appauthor=False) / "local"


def who(user: User | None, server: Server) -> str:
    """Return what to call the owner of what signs the requests to the server."""
    if user is None:
        known = server.credential is None or server.credential.can_list
        return "valid key without a user" if known else "trusted publisher (no user)"
    return f"{user.username} ({user.role})" if user.role else user.username


def polling_of(call: Call) -> TaskPolling:
    """Return how to wait for tasks. Raises UsageError for a time-out that is no number."""
    from hatch_connect.ship.follow import TaskPolling

    polling = TaskPolling(now=call.surroundings.now, sleep=call.surroundings.sleep)
    given = call.environ.get("CONNECT_TASK_TIMEOUT")
    if not given:
        return polling
    try:
        timeout = float(given)
    except ValueError:
        timeout = -1.0
    if not timeout > 0:
        raise UsageError("CONNECT_TASK_TIMEOUT must be a number of seconds above 0.")
    return replace(polling, timeout=timeout)
