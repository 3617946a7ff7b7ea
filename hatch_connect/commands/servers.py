"""Servers under their nicknames: `add`, `list`, `remove` and `details`.

`add` stores one after asking it who we are; `details` says whether it answers, who I am there, and
what it has.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from hatch_connect.commands.result import Result
from hatch_connect.commands.server import (
    chosen_server,
    client_of,
    known_server,
    server_options,
    server_store,
    settings_of,
    who,
)
from hatch_connect.connect.credentials import ORDER
from hatch_connect.connect.resolve_server import server_to_add
from hatch_connect.errors import ProjectError, RefusedError, StoreError, UsageError
from hatch_connect.events import Note, Warned

if TYPE_CHECKING:
    from hatch_connect.commands.call import Call
    from hatch_connect.connect.resources import PythonInstallation
    from hatch_connect.connect.servers import Server, ServerStore
    from hatch_connect.project.project import ProjectConfig
    from hatch_connect.secret import Secret


def run_add(call: Call) -> Result:
    """Check the server and the key, then store them, with the headers of the environment.

    Raises UsageError if the nickname, the URL or the key is missing, ServerError if the
    server does not take the key: then nothing is stored.
    """
    options, environ = call.options, call.environ
    if not options.name:
        raise UsageError("Which nickname for this server?", hint="Give it with --name.")
    choice = server_options(call)
    if choice.api_key is None and not environ.get("CONNECT_API_KEY"):
        choice = replace(choice, api_key=_ask_key(call))
    server = server_to_add(choice, environ=environ, report=call.report)
    store = server_store(call)
    known = known_server(store, options.name)
    if known is not None and known.url == server.url and not server.headers:
        server = replace(server, headers=known.headers)
    user = client_of(server, call).user()
    if known is not None and known.url != server.url:
        call.report(Note(text=f"{options.name!r} was {known.url} until now."))
    store.add(server, default=options.set_default)
    you = f"there you are {user.username}" if user else f"{who(None, server)} there"
    return Result(
        lines=(f"Stored {server.url} as {server.name!r}; {you}.",),
        facts={"name": server.name, "url": server.url, "username": user and user.username},
    )


def _ask_key(call: Call) -> Secret:
    ask = call.surroundings.ask_secret
    if ask is None:
        raise UsageError(
            "The server's API key is missing, and nobody is at a terminal to ask for it.",
            hint="Set CONNECT_API_KEY.",
        )
    return ask("API key: ")


def run_list(call: Call) -> Result:
    """List the stored servers, without their keys. Raises StoreError."""
    store = server_store(call)
    servers = store.servers()
    for error in store.broken():
        call.report(Warned(text=str(error)))
    if not servers:
        call.report(
            Note(text=f"No server is stored in {store.path}; `hatch-connect add` stores one.")
        )
    default = store.default_name()
    logins = [_login(server, call) for server in servers]
    known = [
        {
            "name": server.name,
            "url": server.url,
            "insecure": server.insecure,
            "default": server.name == default,
            "http_headers": _names(server),
            "login": login or None,
        }
        for server, login in zip(servers, logins, strict=True)
    ]
    return Result(
        lines=tuple(_line(*each, default) for each in zip(servers, logins, strict=True)),
        facts={"servers": known},
    )


def _login(server: Server, call: Call) -> str:
    """Return what is known of the login of a server without asking it; "" if it is none."""
    if server.credential or server.login is None:
        return ""
    try:
        server.login.tokens()
    except RefusedError:
        return "logged out"
    except StoreError as error:
        call.report(Warned(text=str(error)))
        return "login"
    return "logged in"


def _line(server: Server, login: str, default: str | None) -> str:
    particulars = (
        f"({login})" if login else "",
        "(default)" if server.name == default else "",
        "(certificate not checked)" if server.insecure else "",
        "(with headers)" if server.headers else "",
    )
    return "  ".join((str(server.name), server.url, *filter(None, particulars)))


def _names(server: Server) -> list[str]:
    return [name for name, _ in server.headers]


def run_remove(call: Call) -> Result:
    """Remove the server from the store. Raises UsageError, StoreError."""
    options, store = call.options, server_store(call)
    stored = store.find(options.server) if options.server and not options.name else None
    name = options.name or (stored.name if stored else None)
    if name is None:
        raise UsageError(
            "Which server?" if not options.server else f"No server {options.server} is stored.",
            hint="Name it with --name; `hatch-connect list` shows the names.",
        )
    _forget_tokens(store, name, call)
    store.remove(name)
    return Result(lines=(f"Removed the server {name!r}.",), facts={"removed": name})


def _forget_tokens(store: ServerStore, name: str, call: Call) -> None:
    """Forget the tokens of a login, unless it is another entry's too."""
    server = known_server(store, name)
    login = server.login if server else None
    if login is None:
        return
    others = (s.login for s in store.servers() if s.name != name)
    if login.url in {other.url for other in others if other}:
        return
    try:
        login.forget(call.report)
    except StoreError as error:
        call.report(Warned(text=f"Tokens of its login may be left behind. {error.message}"))


def _shown(python: PythonInstallation) -> str:
    return python.version if python.publishable else f"{python.version} (takes no new bundles)"


def run_details(call: Call) -> Result:
    """Ask the server. Raises UsageError, ServerError."""
    with chosen_server(call, _main_content(call)) as server:
        client = client_of(server, call)
        version = settings_of(client, call).version
        user, pythons = client.user(), client.python_installations()
        images = client.environments() or ()
    shown = "not told" if pythons is None else ", ".join(map(_shown, pythons)) or "none"
    return Result(
        lines=(
            f"Server   {server.url}",
            f"Because  {server.source}",
            *([f"Headers  {', '.join(_names(server))}"] if server.headers else ()),
            f"Version  {version or 'hidden'}",
            f"You      {who(user, server)}",
            f"Identity {_which_counts(server)}",
            f"Python   {shown}",
            *(f"Image    {i.name}  Python {', '.join(i.pythons)}" for i in images),
        ),
        facts={
            "url": server.url,
            "name": server.name,
            "source": server.source,
            "http_headers": _names(server),
            "version": version,
            "identity": server.credential and server.credential.source,
            "user": user and {"guid": user.guid, "username": user.username, "role": user.role},
            "python": None if pythons is None else [p.version for p in pythons],
            "images": [{"name": i.name, "python": list(i.pythons)} for i in images],
        },
    )


def _which_counts(server: Server) -> str:
    """Return the order in which a key or an identity is looked for, and which one was taken."""
    found = server.credential.source if server.credential else ""
    order = (f"[{each}]" if each == found else each for each in ORDER)
    return f"from {found} (the first of: {', '.join(order)})"


def _main_content(call: Call) -> ProjectConfig | None:
    """Return the project if there is one: this command needs none, nor content in it."""
    try:
        return call.config(None, packages_only=True)
    except ProjectError:
        return None
