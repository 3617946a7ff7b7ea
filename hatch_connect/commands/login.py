"""People who log in to a server, and out again: `login` and `logout`."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from hatch_connect.commands.result import Result
from hatch_connect.commands.server import client_of, known_server, server_options, server_store, who
from hatch_connect.connect.authorize import by_browser, by_device
from hatch_connect.connect.login import Login, register, revoke
from hatch_connect.connect.oauth import OAuthServer
from hatch_connect.connect.resolve_server import server_to_log_in, stored_login
from hatch_connect.connect.transport import Http
from hatch_connect.errors import ServerError, StoreError, UsageError
from hatch_connect.events import Note, Step, Warned

if TYPE_CHECKING:
    from hatch_connect.commands.call import Call
    from hatch_connect.connect.logins import Tokens
    from hatch_connect.connect.servers import Server


def run_login(call: Call) -> Result:
    """Log in to the server, and store it. Raises UsageError, ServerError, StoreError.

    Nothing is stored unless somebody has logged in.
    """
    options, store = call.options, server_store(call)
    if options.quiet:
        raise UsageError(
            "Logging in requires the page or the code that --quiet hides.", hint="Omit --quiet."
        )
    server = server_to_log_in(server_options(call), environ=call.environ, report=call.report)
    name = options.name or urlsplit(server.url).hostname or ""
    known = known_server(store, name)
    if known is not None and known.url != server.url:
        if not options.name:
            raise UsageError(
                f"{name!r} is already the nickname of {known.url}.",
                hint="Choose another nickname with --name.",
            )
        call.report(Note(text=f"{name!r} was {known.url} before."))
    elif known is not None and not server.headers:
        server = replace(server, headers=known.headers)
    server = replace(server, name=name)
    store.check()
    oauth = _oauth(server, call)
    tokens = _allowed(call, oauth, client_id := register(oauth))
    for token in (tokens.access, tokens.refresh):
        if token:
            call.secrets.add(token)
    entry = store.add_login(server, client_id, default=options.set_default)
    entry.keep(tokens, call.report)
    login = Login(entry, server.url)
    login.known(tokens)
    server = replace(server, credential=login)
    user = client_of(server, call).user()
    return Result(
        lines=(f"Logged in to {server.url} as {who(user, server)}; saved as {server.name!r}.",),
        facts={"name": server.name, "url": server.url, "username": user and user.username},
    )


def _allowed(call: Call, oauth: OAuthServer, client_id: str) -> Tokens:
    """Return the tokens that somebody allows this program to have, in a browser."""
    open_page, sleep, report = call.surroundings.open_page, call.surroundings.sleep, call.report
    report(Step(text=f"Logging in to {oauth.url}"))
    if call.options.device:
        return by_device(oauth, client_id, sleep=sleep, report=report)
    if open_page is None:
        if oauth.endpoint("device_authorization_endpoint"):
            return by_device(oauth, client_id, sleep=sleep, report=report)
        report(Note(text="This server does not support logging in with a code (--device)."))
    opened = open_page or (lambda _page: False)
    return by_browser(oauth, client_id, open_page=opened, report=report)


def run_logout(call: Call) -> Result:
    """End the login, at the server if it can, and forget its tokens.

    Raises UsageError, StoreError.
    """
    choice, store = server_options(call), server_store(call)
    server, entry = stored_login(choice, environ=call.environ, store=store, report=call.report)
    held = entry.held()
    for token in (token for tokens in held for token in (tokens.access, tokens.refresh) if token):
        call.secrets.add(token)
    try:
        if held and not revoke(_oauth(server, call), entry.client_id, held):
            call.report(
                Note(text="The server cannot revoke tokens: they remain valid until they expire.")
            )
    except (ServerError, StoreError, UsageError) as error:
        text = f"The tokens were not revoked on the server: {error.message}"
        call.report(Warned(text=text))
    entry.forget(call.report)
    line = f"Logged out of {server.url}." if held else f"You were not logged in to {server.url}."
    return Result(lines=(line,), facts={"name": server.name, "url": server.url})


def _oauth(server: Server, call: Call) -> OAuthServer:
    http = Http(
        call.environ,
        insecure=server.insecure,
        ca_cert=server.ca_cert,
        extra=server.headers,
        report=call.report,
    )
    return OAuthServer(http, server.url)
