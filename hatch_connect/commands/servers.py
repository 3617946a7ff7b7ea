"""Servers under their nicknames: `add`, `list`, `remove` and `details`.

`add` stores one after asking it who we are; `details` says whether it answers, who I am there, and
what it has.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

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
from hatch_connect.connect.servers import server_url
from hatch_connect.errors import ProjectError, RefusedError, StoreError, UsageError
from hatch_connect.events import Note, Warned

if TYPE_CHECKING:
    from hatch_connect.commands.call import Call
    from hatch_connect.connect.resources import PythonInstallation
    from hatch_connect.connect.servers import Server, ServerStore
    from hatch_connect.options import Options
    from hatch_connect.project.project import ProjectConfig


def run_add(call: Call) -> Result:
    """Check the server and the key, then store them, with the headers of the environment.

    Raises UsageError if the nickname, the URL or the key is missing, ServerError if the
    server does not take the key: then nothing is stored.
    """
    environ = call.environ
    options = _completed(call)
    choice = server_options(replace(call, options=options))
    server = server_to_add(choice, environ=environ, report=call.report)
    store = server_store(call)
    known = known_server(store, str(options.name))
    if known is not None and known.url == server.url and not server.headers:
        server = replace(server, headers=known.headers)
    user = client_of(server, call).user()
    if known is not None and known.url != server.url:
        call.report(Note(text=f"{options.name!r} was {known.url} before."))
    store.add(server, default=options.set_default)
    you = f"signed in as {user.username}" if user else who(None, server)
    return Result(
        lines=(f"Saved {server.url} as {server.name!r}; {you}.",),
        facts={"name": server.name, "url": server.url, "username": user and user.username},
    )


def _completed(call: Call) -> Options:
    """Return the options of `add`, with what is missing as the person answers."""
    options, environ, around = call.options, call.environ, call.surroundings
    missing = {
        "the server's URL (--server, or CONNECT_SERVER)": options.server
        or environ.get("CONNECT_SERVER"),
        "a nickname (--name)": options.name,
        "an API key (CONNECT_API_KEY)": options.api_key or environ.get("CONNECT_API_KEY"),
    }
    if around.ask is None or around.ask_secret is None:
        if lacks := [what for what, given in missing.items() if not given]:
            raise UsageError(
                f"`hatch-connect add` needs {', '.join(lacks)}: there is no terminal to prompt on.",
            )
        return options
    url, name, key = missing.values()
    server = server_url(str(url or _answer(around.ask("Server URL: "), "URL")))
    if not name:
        host = urlsplit(server).hostname
        name = around.ask(f"Nickname [{host}]: ").strip() or host
    if not url:
        options = replace(options, server=server)
    if not key:
        given = around.ask_secret("API key: ")
        if not given:
            raise UsageError("No API key was given.")
        call.secrets.add(given)
        options = replace(options, api_key=given)
    return replace(options, name=str(name))


def _answer(answer: str, what: str) -> str:
    if not answer.strip():
        raise UsageError(f"No {what} was given.")
    return answer


def with_server(call: Call, *, local: bool) -> Call | None:
    """Return the call with a server that the person chooses, or saves now; None if nobody is asked.

    `local` tells whether it may be the one of this machine.
    """
    if call.options.json or call.surroundings.ask is None:
        return None
    names = [str(server.name) for server in server_store(call).servers()]
    own = ("Use a Connect server on this machine (--local)",) if local else ()
    chosen = call.choose("Which server?", (*names, "Save a new server (add)", *own)) or 0
    if chosen == len(names) + 1:
        return replace(call, options=replace(call.options, local=True))
    if chosen < len(names):
        return replace(call, options=replace(call.options, name=names[chosen]))
    added = run_add(call)
    for line in added.lines:
        call.report(Note(text=line))
    return replace(call, options=replace(call.options, name=str(added.facts["name"])))


def run_list(call: Call) -> Result:
    """List the stored servers, without their keys. Raises StoreError."""
    store = server_store(call)
    servers = store.servers()
    for error in store.broken():
        call.report(Warned(text=str(error)))
    if not servers:
        call.report(
            Note(text=f"No saved servers in {store.path}; save one with `hatch-connect add`.")
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
            f"No saved server is {options.server}." if options.server else "No server was given.",
            hint="Specify it with --name; list the names with `hatch-connect list`.",
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
        call.report(
            Warned(text=f"The tokens of its login may not have been removed. {error.message}")
        )


def _shown(python: PythonInstallation) -> str:
    return python.version if python.publishable else f"{python.version} (not for new bundles)"


def run_details(call: Call) -> Result:
    """Ask the server. Raises UsageError, ServerError."""
    with chosen_server(call, _main_content(call)) as server:
        client = client_of(server, call)
        version = settings_of(client, call).version
        user, pythons = client.user(), client.python_installations()
        images = client.environments() or ()
    shown = "not available" if pythons is None else ", ".join(map(_shown, pythons)) or "none"
    return Result(
        lines=(
            f"Server   {server.url}",
            f"Source   {server.source}",
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
