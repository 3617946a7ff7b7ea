"""Servers, their nicknames and the URLs that people paste.

`servers.json` is shared with the official client: a small JSON file that several programs read and
write.
"""

from __future__ import annotations

import contextlib
import ipaddress
import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias, TypeVar
from urllib.parse import SplitResult, urlsplit

from hatch_connect.connect.credentials import ApiKey
from hatch_connect.connect.headers import checked_headers, secrets_of
from hatch_connect.connect.json_file import JsonFile
from hatch_connect.connect.logins import LoginEntry
from hatch_connect.errors import StoreError, UsageError
from hatch_connect.events import silent
from hatch_connect.secret import Secret
from hatch_connect.typed import json_type, optional

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from hatch_connect.connect.credentials import Credential
    from hatch_connect.connect.headers import Headers
    from hatch_connect.events import Report
    from hatch_connect.secret import Hidden

_Entry: TypeAlias = dict[str, object]
T = TypeVar("T")

# Keys of entries for other services, which the official client keeps in the same file.
_OTHER_SERVICES = ("account_name", "connect_cloud_account_name", "snowflake_connection_name")

_CLIENT_ID = "oauth_client_id"
_SIGNING = {"api_key", "oauth_access_token", "oauth_refresh_token", "oauth_token_expiry"}

_GUID = r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"
# What follows a server's path in URLs that people copy: Connect's own pages, or content.
_WHERE_PEOPLE_LOOK = re.compile(rf"(?:/__[a-z]+__(?:/.*)?|/content/{_GUID}(?:/.*)?)$")
# The GUID in `/connect/#/apps/GUID/...` of the dashboard, or in `/content/GUID/`.
_CONTENT = re.compile(rf"/(?:apps|content)/({_GUID})(?=/|$|\?)")
_DEFAULT_PORTS = {"http": 80, "https": 443}
# A user name and a password before the host, which no message may show.
_USER = re.compile(r"[^/\s]*@")
_LIKE_A_KEY = re.compile(r"[A-Za-z0-9_-]{24,}")
_EXAMPLE = "Use the server's URL, such as https://connect.example.com."

_HEADERS = "http_headers"


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """A server, how to reach it, and what signs the requests to it.

    `url` is as `server_url` gives it; `ca_cert` is PEM text; `source` says where it was named, to
    be put into a sentence: "the --server option", "the server 'prod' in .../servers.json"; `table`
    is the nickname of the `on` table in pyproject.toml that speaks of it; `headers` go with every
    request to it; `login` is a person's, which signs them if there is no other credential; `local`
    is one that runs on this machine, and `ends` tells that it does so with the last call only.
    """

    url: str
    credential: Credential | None = None
    login: LoginEntry | None = None
    name: str | None = None
    insecure: bool = False
    ca_cert: str | None = None
    source: str = ""
    table: str | None = None
    headers: Headers = ()
    local: bool = False
    ends: bool = False

    @property
    def label(self) -> str:
        """What to call it in a sentence: its nickname, or its host."""
        return self.name or self.table or urlsplit(self.url).netloc

    @property
    def secrets(self) -> Hidden:
        """What must not show of it."""
        own = (self.credential.secrets,) if self.credential else ()
        return (*own, *secrets_of(self.headers))


def config_directory(environ: Mapping[str, str], platform: str) -> Path:
    """Return the folder in which the official client keeps what it knows (`sys.platform`)."""
    home = Path(environ.get("HOME") or environ.get("USERPROFILE") or Path.home())
    if platform == "darwin":
        return home / "Library" / "Application Support" / "rsconnect-python"
    named = environ.get("APPDATA" if platform == "win32" else "XDG_CONFIG_HOME")
    if named and Path(named) != home:
        return Path(named) / "rsconnect-python"
    return home / ".rsconnect-python"


class ServerStore:
    """The servers in one `servers.json`, which is read once; whatever else it holds is kept.

    A file that cannot be understood and is set aside is reported to `report`. A malformed entry is
    an error only if it is the one that is asked for; writing leaves it as it is.

    Raises:
        StoreError: from every method, if the file cannot be understood or written.

    """

    def __init__(self, path: Path, report: Report = silent) -> None:
        self.path = path
        self._file = JsonFile(path, report=report)

    @staticmethod
    def default_path(environ: Mapping[str, str], platform: str) -> Path:
        """Return where the official client keeps its servers."""
        return config_directory(environ, platform) / "servers.json"

    def servers(self) -> tuple[Server, ...]:
        """Return the Connect servers, by nickname; what is none, or broken, is left out."""
        return self._sorted_out()[0]

    def broken(self) -> tuple[StoreError, ...]:
        """Return what is wrong with entries."""
        return self._sorted_out()[1]

    def get(self, name: str) -> Server | None:
        """Return the server of that nickname."""
        entries = self._entries
        return self._server(name, entries[name]) if name in entries else None

    def find(self, url: str) -> Server | None:
        """Return the server of that URL, one with a key or a login if there are several."""
        found = self._sorted_out(url)
        if found[1] and not found[0]:
            raise found[1][0]
        return min(
            found[0],
            key=lambda server: (server.credential is None, server.login is None),
            default=None,
        )

    def default_name(self) -> str | None:
        """Return the nickname that is used when none is given, as the official client does."""
        entries = _objects(self._entries)
        marked = [name for name, entry in entries.items() if entry.get("default")]
        return next(iter(marked or (entries if len(entries) == 1 else ())), None)

    def add(self, server: Server, *, default: bool = False, client_id: str | None = None) -> None:
        """Store a server under its nickname; `default` makes it the one used unnamed.

        With `client_id` it is a login, and neither a key nor older tokens stay in the entry.
        """
        if not server.name:
            raise UsageError("A saved server needs a nickname.", hint="Set one with --name.")
        with self._changing() as entries:
            old = _objects(entries).get(server.name, {})
            # Other fields of an entry, such as tokens, belong to the URL that they were stored for.
            kept = old if old.get("url") == server.url else {}
            new = kept | _as_stored(server)
            if client_id:
                new = {k: v for k, v in new.items() if k not in _SIGNING} | {_CLIENT_ID: client_id}
            if default or old.get("default"):
                new["default"] = True
            if default:
                for entry in _objects(entries).values():
                    entry.pop("default", None)
            entries[server.name] = new
            for entry in _objects(entries).values():
                # Of logins to one URL the keyring keeps one: the newest is theirs too.
                same = entry.get(_CLIENT_ID) and entry.get("url") == server.url
                if client_id and same and not _SIGNING & entry.keys():
                    entry[_CLIENT_ID] = client_id

    def check(self) -> None:
        """Raise StoreError if nothing can be stored."""
        try:
            self._file.check()
        except OSError as error:
            raise StoreError(
                f"{self.path} cannot be written: {error.strerror}.",
                hint="Make its folder writable; HOME and XDG_CONFIG_HOME determine where it is.",
            ) from error

    def add_login(self, server: Server, client_id: str, *, default: bool = False) -> LoginEntry:
        """Store a server that somebody has logged in to; its tokens are still to be kept."""
        self.add(server, default=default, client_id=client_id)
        return LoginEntry(file=self._file, name=str(server.name), url=server.url)

    def remove(self, name: str) -> None:
        """Forget the server of that nickname."""
        with self._changing() as entries:
            if name not in entries:
                raise self.unknown(name)
            del entries[name]

    def unknown(self, name: str, said_by: str = "", others: Iterable[str] = ()) -> UsageError:
        """Return the error for a nickname that is neither stored nor one of the `others`."""
        from difflib import get_close_matches

        known = [*(str(server.name) for server in self.servers()), *others]
        close = get_close_matches(name, known, n=1)
        by = f" (from {said_by})" if said_by else ""
        meant = f" Did you mean `{close[0]}`?" if close else ""
        return UsageError(f"No saved server is named `{name}`{by}.{meant}", hint=self.known_names())

    def known_names(self) -> str:
        """Return a sentence that names the nicknames."""
        names = ", ".join(f"`{server.name}`" for server in self.servers())
        return f"Saved servers: {names}." if names else f"No servers are saved in {self.path}."

    @cached_property
    def _entries(self) -> Mapping[str, object]:
        return self._file.read()

    def _sorted_out(
        self, url: str | None = None
    ) -> tuple[tuple[Server, ...], tuple[StoreError, ...]]:
        """Return the servers, all or those of a URL, and what is wrong with others."""
        servers, wrong = [], []
        for name, entry in sorted(self._entries.items()):
            own = str(entry.get("url")) if isinstance(entry, dict) else ""
            if url is not None and not same_server(own, url):
                continue
            try:
                servers.append(self._server(name, entry))
            except StoreError as error:
                wrong.append(error)
        return tuple(filter(None, servers)), tuple(wrong)

    @contextlib.contextmanager
    def _changing(self) -> Iterator[dict[str, object]]:
        self.__dict__.pop("_entries", None)  # others may have written meanwhile: it is read anew
        try:
            with self._file.update() as entries:
                yield entries
        except OSError as error:
            raise StoreError(f"{self.path} cannot be written: {error.strerror}.") from error

    def _server(self, name: str, entry: object) -> Server | None:
        if not isinstance(entry, dict):
            raise self._wrong(name, entry, "an object")
        url = self._read(name, entry, "url", str)
        if not url or any(entry.get(key) for key in _OTHER_SERVICES):
            return None
        key = self._read(name, entry, "api_key", str)
        client_id = self._read(name, entry, _CLIENT_ID, str)
        login = LoginEntry(file=self._file, name=name, url=url) if client_id else None
        insecure = bool(entry.get("insecure") and self._read(name, entry, "insecure", bool))
        with contextlib.suppress(UsageError):  # it is shown as it is, and refused when it is used
            url = server_url(url)
        return Server(
            url=url,
            credential=ApiKey(Secret(key), "the store") if key else None,
            login=login,
            name=name,
            insecure=insecure,
            ca_cert=self._read(name, entry, "ca_cert", str) or None,
            source=f"the server '{name}' in {self.path}",
            headers=self._headers(name, entry),
        )

    def _headers(self, name: str, entry: _Entry) -> Headers:
        stored: _Entry = self._read(name, entry, _HEADERS, dict) or {}
        read = [(key, self._read(f"{name}.{_HEADERS}", stored, key, str) or "") for key in stored]
        try:
            return checked_headers(
                ((key, Secret(value)) for key, value in read), f"`{name}` in {self.path}"
            )
        except UsageError as error:
            raise StoreError(
                error.message, hint="Correct it there, or add the server again."
            ) from None

    def _read(self, name: str, entry: _Entry, key: str, kind: type[T]) -> T | None:
        expected = {bool: "true or false", dict: "an object"}.get(kind, "a string")
        return optional(entry, key, kind, lambda v: self._wrong(f"{name}.{key}", v, expected))

    def _wrong(self, where: str, value: object, expected: str) -> StoreError:
        return StoreError(
            f"{self.path} is broken: `{where}` is {json_type(value)}, not {expected}.",
            hint="Repair the file, or move it away; it was not changed.",
        )


def _objects(entries: Mapping[str, object]) -> dict[str, _Entry]:
    return {name: entry for name, entry in entries.items() if isinstance(entry, dict)}


def _as_stored(server: Server) -> _Entry:
    credential = server.credential
    return {
        "name": server.name,
        "url": server.url,
        "api_key": credential.key.reveal() if isinstance(credential, ApiKey) else None,
        "insecure": server.insecure,
        "ca_cert": server.ca_cert,
        **({_HEADERS: {n: v.reveal() for n, v in server.headers}} if server.headers else {}),
    }


def server_url(text: str) -> str:
    """Return the URL of the server that `text` is on: no slash at the end, a path prefix kept.

    Understood are the API's URL (`/__api__`), the dashboard's as a browser shows it
    (`/connect/#/apps/...`) and a content's (`/content/GUID/`).

    Raises:
        UsageError: if `text` is not an http or https URL, or holds a user name or a password.

    """
    parts = _split(text.strip())
    path = _WHERE_PEOPLE_LOOK.sub("", re.sub("/{2,}", "/", parts.path)).rstrip("/")
    if parts.fragment.startswith("/"):  # a page of the dashboard
        path = path.removesuffix("/connect")
    return f"{parts.scheme}://{_network_location(parts)}{path}"


def content_guid(text: str) -> str | None:
    """Return the GUID in a URL of content (dashboard or content itself), or None."""
    match = re.fullmatch(_GUID, text.strip()) or _CONTENT.search(text)
    return match[match.lastindex or 0].lower() if match else None


def is_local(url: str) -> bool:
    """Return whether a URL stays on this machine."""
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def same_server(one: str, other: str) -> bool:
    """Return whether two URLs, as stored by anybody, name one server."""
    try:
        return server_url(one) == server_url(other)
    except UsageError:
        return one == other


def _split(text: str) -> SplitResult:
    try:
        parts = urlsplit(text)
        _ = parts.port
    except ValueError:
        raise UsageError("The server's URL is not valid.", hint=_EXAMPLE) from None
    if parts.username is not None or parts.password is not None:
        raise UsageError(
            f"The URL of {parts.hostname} contains a user name or a password.",
            hint="Remove it: Connect requires an API key, which is passed separately.",
        )
    odd = not text.isprintable() or any(c.isspace() for c in text)
    if parts.scheme not in _DEFAULT_PORTS or not parts.hostname or odd:
        raise UsageError(f"{_shown(text)} is not the URL of a server.", hint=_EXAMPLE)
    return parts


def _shown(text: str) -> str:
    """Return a text that is not a URL as a message may show it: it may be a password or a key."""
    if _LIKE_A_KEY.fullmatch(text):
        return "The value for the server (it looks like an API key)"
    shown = _USER.sub("", text)
    return f"`{shown}`" if shown.isprintable() else repr(shown)


def _network_location(parts: SplitResult) -> str:
    host = (parts.hostname or "").lower()
    if ":" in host:
        host = f"[{host}]"
    if parts.port in {None, _DEFAULT_PORTS[parts.scheme]}:
        return host
    return f"{host}:{parts.port}"
