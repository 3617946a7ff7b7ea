"""Servers and their nicknames: `servers.json`, shared with the official client."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from hatch_connect.errors import StoreError, UsageError
from hatch_connect.events import silent
from hatch_connect.secret import Secret

from .answer import kind
from .store import JsonFile
from .url import same_server, server_url

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from hatch_connect.events import Report

Entry: TypeAlias = dict[str, object]

# What tells an entry of another service that the official client keeps in the same file.
_OTHER_SERVICES = ("account_name", "connect_cloud_account_name", "snowflake_connection_name")


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """A server and how to reach it.

    `url` is as `server_url` gives it; `ca_cert` is PEM text; `source` says where it was named, to
    be put into a sentence: "the option --server", "the server 'prod' in .../servers.json"; `table`
    is the nickname of the `on` table in pyproject.toml that speaks of it.
    """

    url: str
    api_key: Secret | None = None
    name: str | None = None
    insecure: bool = False
    ca_cert: str | None = None
    source: str = ""
    table: str | None = None


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
    """The servers in one `servers.json`; what we do not know in it is kept.

    `report` is told where a file that cannot be understood had to be set aside.

    An entry that is not as it should be is refused where it is the one that is asked for, and left
    alone, also by a writer, where it is not.

    Raises:
        StoreError: from every method, where the file cannot be understood or written.

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
        entries = self._file.read()
        return self._server(name, entries[name]) if name in entries else None

    def find(self, url: str) -> Server | None:
        """Return the server of that URL, one with a key if there are several."""
        found = self._sorted_out(url)
        if found[1] and not found[0]:
            raise found[1][0]
        return min(found[0], key=lambda server: server.api_key is None, default=None)

    def default_name(self) -> str | None:
        """Return the nickname that is used when none is given, as the official client does."""
        entries = _objects(self._file.read())
        marked = [name for name, entry in entries.items() if entry.get("default")]
        return next(iter(marked or (entries if len(entries) == 1 else ())), None)

    def add(self, server: Server, *, default: bool = False) -> None:
        """Store a server under its nickname; `default` makes it the one used unnamed."""
        if not server.name:
            raise UsageError("A server is stored under a nickname.", hint="Give one with --name.")
        with self._changing() as entries:
            old = _objects(entries).get(server.name, {})
            # What is kept beside the key (tokens, for instance) belongs to the URL it was given to.
            kept = old if old.get("url") == server.url else {}
            new = kept | _as_stored(server)
            if default or old.get("default"):
                new["default"] = True
            if default:
                for entry in _objects(entries).values():
                    entry.pop("default", None)
            entries[server.name] = new

    def remove(self, name: str) -> None:
        """Forget the server of that nickname."""
        with self._changing() as entries:
            if name not in entries:
                raise UsageError(
                    f"No server is called `{name}` in {self.path}.", hint=self.known_names()
                )
            del entries[name]

    def known_names(self) -> str:
        """Say in a sentence which nicknames there are."""
        names = ", ".join(f"`{server.name}`" for server in self.servers())
        return f"Known servers: {names}." if names else f"{self.path} holds no server."

    def _sorted_out(
        self, url: str | None = None
    ) -> tuple[tuple[Server, ...], tuple[StoreError, ...]]:
        """Return the servers, all or those of a URL, and what is wrong with others."""
        servers, wrong = [], []
        for name, entry in sorted(self._file.read().items()):
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
        try:
            with self._file.update() as entries:
                yield entries
        except OSError as error:
            raise StoreError(f"{self.path} cannot be written: {error.strerror}.") from error

    def _server(self, name: str, entry: object) -> Server | None:
        if not isinstance(entry, dict):
            raise self._wrong(name, entry, "an object")
        url = self._text(name, entry, "url")
        if not url or any(entry.get(key) for key in _OTHER_SERVICES):
            return None
        key = self._text(name, entry, "api_key")
        insecure = entry.get("insecure") or False
        if not isinstance(insecure, bool):
            raise self._wrong(f"{name}.insecure", insecure, "true or false")
        return Server(
            url=_normal(url),
            api_key=Secret(key) if key else None,
            name=name,
            insecure=insecure,
            ca_cert=self._text(name, entry, "ca_cert"),
            source=f"the server '{name}' in {self.path}",
        )

    def _text(self, name: str, entry: Entry, key: str) -> str | None:
        value = entry.get(key)
        if value is not None and not isinstance(value, str):
            raise self._wrong(f"{name}.{key}", value, "a string")
        return value or None

    def _wrong(self, where: str, value: object, expected: str) -> StoreError:
        return StoreError(
            f"{self.path} is broken: `{where}` is {kind(value)} instead of {expected}.",
            hint="Mend the file, or move it out of the way; it was left as it is.",
        )


def _objects(entries: Mapping[str, object]) -> dict[str, Entry]:
    return {name: entry for name, entry in entries.items() if isinstance(entry, dict)}


def _normal(url: str) -> str:
    try:
        return server_url(url)
    except UsageError:
        return url  # it is shown as it is, and refused where it is used


def _as_stored(server: Server) -> Entry:
    return {
        "name": server.name,
        "url": server.url,
        "api_key": server.api_key.reveal() if server.api_key else None,
        "insecure": server.insecure,
        "ca_cert": server.ca_cert,
    }
