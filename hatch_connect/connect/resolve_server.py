"""Which server a call means, and which key may go there."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from hatch_connect.connect.credentials import ApiKey
from hatch_connect.connect.headers import headers_in
from hatch_connect.connect.identity import GIVEN_IDENTITY, identity_source
from hatch_connect.connect.login import Login
from hatch_connect.connect.servers import Server, is_local, same_server, server_url
from hatch_connect.errors import NoServerError, StoreError, UsageError
from hatch_connect.events import Note, Warned, silent
from hatch_connect.secret import Secret, why_absent

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from hatch_connect.connect.credentials import Credential
    from hatch_connect.connect.identity import IdentitySource
    from hatch_connect.connect.logins import LoginEntry
    from hatch_connect.connect.servers import ServerStore
    from hatch_connect.events import Report

# What click, and so the official client, takes for a flag in the environment.
_ON = {"1", "t", "true", "y", "yes", "on"}
_OFF = {"", "0", "f", "false", "n", "no", "off"}
_NO_TABLES: Mapping[str, str | None] = {}


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerOptions:
    """What was given on the call.

    `option` names the server in a call about two: CONNECT_SERVER may be the other one, and its key
    goes to no other. `workflow` makes the credential of the identity of a CI workflow, if that may
    sign in.
    """

    name: str | None = None
    server: str | None = None
    api_key: Secret | None = None
    insecure: bool | None = None
    cacert: Path | None = None
    option: str | None = None
    workflow: Callable[[IdentitySource, Server], Credential] | None = None


class NoKeyError(UsageError):
    """There is no key for a server, which is known."""

    def __init__(self, message: str, *, server: Server, hint: str) -> None:
        super().__init__(message, hint=hint)
        self.server = server


def resolve_server(
    choice: ServerOptions,
    *,
    environ: Mapping[str, str],
    configured: str | None,
    tables: Mapping[str, str | None] = _NO_TABLES,
    store: ServerStore,
    report: Report = silent,
) -> Server:
    """Return the server that a call means, with the credential that belongs to it.

    The first of these counts: the call (a nickname or a URL), CONNECT_SERVER, `configured`
    (`server` in pyproject.toml), the store's default. `tables` maps the nickname of each `on` table
    to its URL or None. A nickname that is not stored means the URL of its table or, if the table
    has none, CONNECT_SERVER.

    Of the keys the first in `credentials.ORDER` counts that may go there. The call's key goes to
    whichever server the call means, a stored key only to its own URL, and CONNECT_API_KEY only to
    CONNECT_SERVER or, if that is not set, to a URL of the call or the store. Without a key, a CI
    workflow signs in by its identity. A URL that only pyproject.toml names never receives
    CONNECT_API_KEY, a stored key or an identity. CONNECT_HTTP_HEADERS goes to CONNECT_SERVER only,
    instead of headers that are stored for it. A store that cannot be read is reported, and needed
    only for a nickname that no table has.

    Raises:
        UsageError: no server is named, there is no key for it (the message lists what was tried),
            or an `on` table gives the nickname another URL.

    """
    finder = _Finder(environ, tables, store, report)
    found = finder.find(choice, configured)
    server = _with_headers(_completed(found, choice, environ), environ, report)
    server = replace(server, table=finder.table_of(server))
    _report_other_key(found, server.credential, environ, report)
    if isinstance(server.credential, Login):
        _check_encrypted(server, "token")
    if server.credential:
        return server
    own = environment_of(server.url, environ)
    identity = identity_source(own, environ) if choice.workflow else None
    if choice.workflow is None or identity is None or found.only_in_project:
        raise _no_key(replace(found, server=server), environ, identity)
    _check_encrypted(server, "identity token")
    return replace(server, credential=choice.workflow(identity, server))


def _report_other_key(
    found: _ResolvedServer, given: Credential | None, environ: Mapping[str, str], report: Report
) -> None:
    """Report a key of the environment, for no server in particular, that outweighs the store."""
    stored = found.server.credential or found.server.login
    if environ.get("CONNECT_SERVER") or not (stored and given) or given == stored:
        return
    if given.source == "the environment":
        what = "key" if found.server.credential else "login"
        name = found.server.name
        report(
            Note(
                text=f"CONNECT_API_KEY takes precedence over the {what} that is saved for `{name}`."
            )
        )


def _check_encrypted(server: Server, what: str) -> None:
    if not (server.url.startswith("https://") or is_local(server.url)):
        raise UsageError(
            f"{server.url} is not encrypted: no {what} is sent to it.",
            hint="Use https:// in the server's URL.",
        )


def server_to_add(
    choice: ServerOptions, *, environ: Mapping[str, str], report: Report = silent
) -> Server:
    """Return the server that `add` stores; what is stored already does not count."""
    found = _to_store(choice, environ)
    completed = _completed(found, choice, environ)
    if completed.credential is None:
        raise _no_key(found, environ, None)
    return _with_headers(completed, environ, report)


def server_to_log_in(
    choice: ServerOptions, *, environ: Mapping[str, str], report: Report = silent
) -> Server:
    """Return the server that `login` stores, without any key."""
    server = _completed(_to_store(choice, environ), choice, environ)
    _check_encrypted(server, "token")
    return _with_headers(replace(server, credential=None), environ, report)


def stored_login(
    choice: ServerOptions,
    *,
    environ: Mapping[str, str],
    store: ServerStore,
    report: Report = silent,
) -> tuple[Server, LoginEntry]:
    """Return the login that `logout` ends, and its server. Raises UsageError, StoreError."""
    server = store.get(choice.name) if choice.name else None
    if choice.name and server is None:
        raise store.unknown(choice.name)
    if choice.server and not choice.name:
        here = (s for s in store.servers() if same_server(s.url, choice.server))
        server = max(here, key=lambda s: s.login is not None, default=None)
    if server is None or server.login is None:
        raise UsageError(
            "No login was named." if server is None else f"{server.name!r} is not a login.",
            hint="Use --name or the URL to name one; `hatch-connect list` shows the logins.",
        )
    completed = _completed(_ResolvedServer(server=server), choice, environ)
    return _with_headers(completed, environ, report), server.login


def _to_store(choice: ServerOptions, environ: Mapping[str, str]) -> _ResolvedServer:
    given = choice.server or environ.get("CONNECT_SERVER")
    if not given:
        raise UsageError("No server was named.", hint="Set its URL with --server.")
    server = Server(url=server_url(given), name=choice.name, source="the --server option")
    return _ResolvedServer(server=server)


@dataclass(frozen=True, slots=True, kw_only=True)
class _ResolvedServer:
    """A server without the call's key.

    `only_in_project` if nothing else than pyproject.toml names it: neither a key of the environment
    nor an identity goes there.
    """

    server: Server
    only_in_project: bool = False


class _Finder:
    def __init__(
        self,
        environ: Mapping[str, str],
        tables: Mapping[str, str | None],
        store: ServerStore,
        report: Report,
    ) -> None:
        self._environ = environ
        self._tables = tables
        self._store = store
        self._report = report

    def find(self, choice: ServerOptions, configured: str | None) -> _ResolvedServer:
        if choice.name and choice.server:
            raise UsageError(
                "--name and --server are mutually exclusive.",
                hint="Use one of them.",
            )
        if choice.name:
            source = f"the {choice.option or '--name'} option"
            return self._named(choice.name, source, of_two=choice.option is not None)
        if choice.server:
            return self._at(choice.server, f"the {choice.option or '--server'} option")
        if self._environ.get("CONNECT_SERVER"):
            return self._at(self._environ["CONNECT_SERVER"], "CONNECT_SERVER")
        if configured:
            return self._configured(configured)
        return self._default()

    def table_of(self, server: Server) -> str | None:
        """Return the nickname of the `on` table for this server; report if none of several fits.

        It is the one of the nickname that was given, else of the URL, else of the stored nickname.
        """
        if server.table or not self._tables:
            return server.table
        fitting = [n for n, url in self._tables.items() if url and same_server(url, server.url)]
        if len(fitting) > 1:
            raise UsageError(
                f"Several tables in `tool.hatch-connect.on` are for {server.url}:"
                f" {', '.join(fitting)}.",
                hint="Choose one with --name.",
            )
        own = server.name or ""
        if not fitting and self._tables.get(own, own) is None:
            return own
        if not fitting:
            there = f"there are: {', '.join(self._tables)}."
            text = "No table of `tool.hatch-connect.on` is for"
            advice = 'Name the server by one of them, or give its table `server = "URL"`.'
            self._report(
                Note(text=f"{text} {own}: only the main table counts; {there}")
                if own
                else Warned(text=f"{text} {server.url} ({server.source}); {there} {advice}")
            )
        return next(iter(fitting), None)

    def _named(self, name: str, source: str, *, of_two: bool = False) -> _ResolvedServer:
        known = name in self._tables
        # A store that cannot be read matters only if nothing else says what the nickname means.
        server = self._stored(self._store.get, name) if known else self._store.get(name)
        named = self._environ.get("CONNECT_SERVER")
        meant = server.url if server else self._tables.get(name)
        if of_two and meant and named and not same_server(meant, named):
            named = None  # the call is about that one too
        if server is not None:
            url = _url_of(server.url, server.source)
            found = _ResolvedServer(server=replace(server, url=url))
        elif known and named:
            found = self._at(named, "CONNECT_SERVER")
        elif configured := self._tables.get(name):
            found = self._in_project(configured, f"`tool.hatch-connect.on.{name}.server`")
        else:
            raise self._unknown(name, source)
        self._compare(name, found.server.url, found.server.source)
        self._compare(name, named, "CONNECT_SERVER")
        if server is not None:
            self._compare_stored(found.server, named, known=known)
        return replace(found, server=replace(found.server, table=name if known else None))

    def _compare_stored(self, server: Server, named: str | None, *, known: bool) -> None:
        """Report a CONNECT_SERVER that a nickname overrules; if that has a table, refuse it."""
        if not named or same_server(named, server.url):
            return
        text = f"`{server.name}` is saved as {server.url}, but CONNECT_SERVER is {named}"
        if known:
            raise UsageError(f"{text}.", hint="Unset CONNECT_SERVER, or change one of them.")
        self._report(Note(text=f"{text}. CONNECT_SERVER is ignored."))

    def _unknown(self, name: str, source: str) -> UsageError:
        there = f" Tables in `tool.hatch-connect.on`: {', '.join(self._tables)}."
        said_by = "" if source == "the --name option" else source
        error = self._store.unknown(name, said_by, self._tables)
        error.hint = (
            f"{error.hint}{there if self._tables else ''}\n"
            f"Add it with: hatch-connect add --name {name} --server URL"
        )
        return error

    def _compare(self, name: str, other: str | None, source: str) -> None:
        url = self._tables.get(name)
        if url and other and not same_server(url, other):
            raise UsageError(
                f"`{name}` is {url} in `tool.hatch-connect.on.{name}.server` in pyproject.toml,"
                f" but {source} says {other}.",
                hint="Change one of them, or name the table for this server with --name.",
            )

    def _at(self, text: str, source: str) -> _ResolvedServer:
        if "/" not in text and self._stored(self._store.get, text):
            raise UsageError(
                f"`{text}` (from {source}) is a nickname, not a URL.",
                hint=f"Use --name {text}.",
            )
        url = _url_of(text, source)
        stored = self._stored(self._store.find, url)
        server = replace(stored, url=url) if stored else Server(url=url)
        return _ResolvedServer(server=replace(server, source=source))

    def _configured(self, text: str) -> _ResolvedServer:
        called = "`tool.hatch-connect.server`"
        if "://" not in text:
            return self._named(text, f"{called} in pyproject.toml")
        return self._in_project(text, called)

    def _in_project(self, text: str, called: str) -> _ResolvedServer:
        source = f"{called} in pyproject.toml"
        url = _url_of(text, source)
        stored = self._stored(self._store.find, url)
        if stored:
            return _ResolvedServer(server=replace(stored, url=url))
        return _ResolvedServer(server=Server(url=url, source=source), only_in_project=True)

    def _stored(self, look: Callable[[str], Server | None], text: str) -> Server | None:
        """Return the server that the store knows; None if the store cannot be read."""
        try:
            return look(text)
        except StoreError as error:
            self._report(Warned(text=f"{error.message} Saved servers are ignored."))
            return None

    def _default(self) -> _ResolvedServer:
        name = self._store.default_name()
        if name and self._store.get(name):
            return self._named(name, "the store")
        empty = " (which is empty)" if "CONNECT_SERVER" in self._environ else ""
        known, one = self._store.known_names(), "one"
        if self._store.servers():
            known, one = f"Choose one with --name. {known}", "another one"
        raise NoServerError(
            f"No server is selected: --name, --server, CONNECT_SERVER{empty} and"
            f" `tool.hatch-connect.server` are not set, and {self._store.path} has no default.",
            hint=f"{known}\n"
            f"Log in to {one} with: hatch-connect login URL --name NAME\n"
            "or add one with its API key: hatch-connect add --name NAME --server URL\n"
            "or set CONNECT_SERVER.",
        )


def environment_of(url: str, environ: Mapping[str, str]) -> Mapping[str, str]:
    """Return the environment that counts for a server.

    If CONNECT_SERVER is set, the other CONNECT_* variables are about that server only.
    """
    named = environ.get("CONNECT_SERVER")
    return environ if not named or same_server(named, url) else {}


def _url_of(text: str, source: str) -> str:
    try:
        return server_url(text)
    except UsageError as error:
        raise UsageError(f"{error.message} It comes from {source}.", hint=error.hint) from None


def _completed(found: _ResolvedServer, choice: ServerOptions, environ: Mapping[str, str]) -> Server:
    server = found.server
    own = environment_of(server.url, environ)
    from hatch_connect.connect.tls import read_certificates, stored_certificates

    insecure = choice.insecure
    if insecure is None and own.get("CONNECT_INSECURE"):
        insecure = _is_on(own["CONNECT_INSECURE"])
    insecure = server.insecure if insecure is None else insecure
    cacert = choice.cacert or own.get("CONNECT_CA_CERTIFICATE")
    # A stored certificate that is not used need not be one that can be read.
    stored = None if insecure or cacert else server.ca_cert
    return replace(
        server,
        credential=_checked_key(_key(found, choice, own)),
        insecure=insecure,
        ca_cert=read_certificates(cacert)
        if cacert
        else stored_certificates(stored, f"the saved server `{server.name}`"),
    )


def _with_headers(server: Server, environ: Mapping[str, str], report: Report) -> Server:
    """Return the server with the headers of the environment, which are for CONNECT_SERVER only."""
    text, named = environ.get("CONNECT_HTTP_HEADERS", ""), environ.get("CONNECT_SERVER")
    if not text.strip():
        return server
    if named and same_server(named, server.url):
        return replace(server, headers=headers_in(text))
    which = "another server" if named else "not set"
    report(
        Note(
            text=f"CONNECT_HTTP_HEADERS is not sent to {server.url}: it is for CONNECT_SERVER, "
            f"which is {which}."
        )
    )
    return server


def _is_on(value: str) -> bool:
    if value.lower() not in _ON | _OFF:
        raise UsageError(f"CONNECT_INSECURE must be true or false, not {value!r}.")
    return value.lower() in _ON


def _key(
    found: _ResolvedServer, choice: ServerOptions, own: Mapping[str, str]
) -> Credential | None:
    called = ApiKey(choice.api_key) if choice.api_key else None
    whose = choice.option is None or own.get("CONNECT_SERVER")
    given = own.get("CONNECT_API_KEY") if whose and not found.only_in_project else None
    absent = given is None or why_absent(given)
    from_environment = None if absent else ApiKey(Secret(str(given)), "the environment")
    stored, entry = found.server.credential, found.server.login
    login = Login(entry, found.server.url) if entry else None
    return called or from_environment or stored or login


def _checked_key(credential: Credential | None) -> Credential | None:
    if not isinstance(credential, ApiKey):
        return credential
    value = credential.key.reveal().strip()
    if not value:
        return None
    if why_absent(value):
        raise UsageError(
            f"The API key is {why_absent(value)}.", hint="Check the variable that it comes from."
        )
    if not (value.isascii() and value.isprintable()) or " " in value:
        raise UsageError(
            "The API key contains invalid characters.",
            hint="Copy it again from the dashboard (your name, then API Keys).",
        )
    return replace(credential, key=Secret(value))


def _no_key(
    found: _ResolvedServer, environ: Mapping[str, str], identity: IdentitySource | None
) -> NoKeyError:
    url = found.server.url
    message = f"There is no API key for {url} (from {found.server.source})."
    key = environ.get("CONNECT_API_KEY")
    if key is not None and (state := why_absent(key)):
        message += f" CONNECT_API_KEY is {state}."
    elif key:
        other = environ.get("CONNECT_SERVER")
        message += (
            " CONNECT_API_KEY is for CONNECT_SERVER, which is another server."
            if other
            else " CONNECT_API_KEY is not sent to a URL that only pyproject.toml names."
            if found.only_in_project
            else " CONNECT_API_KEY is for one of the two servers: set CONNECT_SERVER to say which."
        )
    if environment_of(url, environ) is not environ:
        for name in GIVEN_IDENTITY:
            if not why_absent(environ.get(name)):
                message += f" {name} is for CONNECT_SERVER, which is another server."
    if identity and found.only_in_project:
        # Its audience is the same on every server: who edits a URL could collect it.
        return NoKeyError(
            f"{message} The identity of this workflow is not sent to a URL that only"
            " pyproject.toml names, either.",
            server=found.server,
            hint=f"Name the server outside the project: set CONNECT_SERVER={url}, or use --server"
            f" {url}.",
        )
    workflow = _workflows_way(url, environ)
    person = "" if workflow else f"Log in with: hatch-connect login {url} --name NAME\nor save "
    hint = (
        f"{person or 'Save '}a key with: hatch-connect add --name NAME --server {url}\nor set"
        f" CONNECT_SERVER={url} together with CONNECT_API_KEY."
    )
    hint = "\n".join(filter(None, (hint, workflow)))
    return NoKeyError(message, server=found.server, hint=hint)


def _workflows_way(url: str, environ: Mapping[str, str]) -> str:
    """Return how a CI job would sign in without a key; "" if this is none."""
    own = environment_of(url, environ)
    given = any(not why_absent(own.get(name)) for name in GIVEN_IDENTITY)
    if given or environ.get("ACTIONS_ID_TOKEN_REQUEST_URL"):
        way = "leave out --no-identity"
    elif environ.get("GITHUB_ACTIONS") == "true":
        way = "give this job the permission `id-token: write`"
    elif environ.get("GITLAB_CI"):
        way = "let `id_tokens` of this job set CONNECT_IDENTITY_TOKEN, with `aud: connect`"
    elif environ.get("CI") or environ.get("TF_BUILD") or environ.get("JENKINS_URL"):
        way = "set CONNECT_IDENTITY_TOKEN_FILE to a file with the identity token of this job"
    else:
        return ""
    return f"To sign in without a key (trusted publishing), {way}."
