"""The state folder of a server: who may use it, its key, and where its server answers."""

from __future__ import annotations

import json
import os
import secrets
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hatch_connect.errors import UsageError
from hatch_connect.local.disk import create_private, usable
from hatch_connect.local.versions import AS_IT_IS, Claims
from hatch_connect.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from filelock import FileLock

HOST = "127.0.0.1"
CONTENT_HOST = "localhost"
"""The name by which browsers get content, since cookies do not tell ports apart."""

VERSION, ENDS = "x-hatch-connect", "x-ends-with-last"
"""Headers of a lease: the version of the server, and "yes" if it ends with the last lease."""

_GLANCE_SECONDS = 0.5  # more than a look at the lock takes


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalOptions:
    """What a server is asked to be: its port (0 is the one of last time), and its users.toml.

    `claims` are the release and the Pythons that it says it is of and has.
    """

    port: int = 0
    users: Path | None = None
    claims: Claims = AS_IT_IS

    def users_file(self, state: Path) -> Path:
        """Return the users.toml of a server on that state folder."""
        return self.users or state / "users.toml"


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalServer:
    """A server that answers now; its key is good for this state folder for ever.

    `ends` tells that it ends with the last one who uses it.
    `login_url`, of a server that has just started, opens its dashboard once.
    """

    url: str
    api_key: Secret
    state: Path
    ends: bool = False
    login_url: str | None = None

    @property
    def key_file(self) -> Path:
        """The file that holds the key."""
        return key_file(self.state)


@contextmanager
def exclusive(state: Path) -> Iterator[None]:
    """Be the one server of a state folder; raises UsageError if there is one already."""
    from filelock import Timeout

    make_private(state)
    lock = _lock(state)
    with usable(state):
        try:
            lock.acquire(timeout=_GLANCE_SECONDS)
        except Timeout as error:
            at = f" at {url}" if (url := read_url(state)) else ""
            raise UsageError(
                f"A local server is already running{at}, with its state in {state}.",
                hint=f"Use it with --local, or stop it first (process {process_of(state)}).",
            ) from error
    try:
        yield
    finally:
        lock.release()


def make_private(state: Path) -> None:
    """Create the state folder, with access for its owner only."""
    with usable(state):
        state.mkdir(mode=0o700, parents=True, exist_ok=True)
        state.chmod(0o700)


def _lock(state: Path) -> FileLock:
    from filelock import FileLock

    # The system releases it with the process, so that there is no stale lock.
    return FileLock(state / "lock")


def is_served(state: Path) -> bool:
    """Return whether a server runs on a state folder."""
    from filelock import Timeout

    lock = _lock(state)
    with usable(state):
        try:
            lock.acquire(timeout=0)
        except Timeout:
            return True
    lock.release()
    return False


def key_file(folder: Path) -> Path:
    """Return where the API key of a state folder is."""
    return folder / "api-key"


def read_key(folder: Path) -> Secret:
    """Return the API key of a state folder, made now if there is none."""
    path = key_file(folder)
    try:
        return Secret(path.read_text(encoding="ascii").strip())
    except FileNotFoundError:
        key = secrets.token_urlsafe(32)
        create_private(path, f"{key}\n")
        return Secret(key)


def read_url(folder: Path) -> str | None:
    """Return the URL of the server that runs on a state folder, or ran there last."""
    return _url(_known(folder), "url")


def begin(folder: Path) -> tuple[str | None, str | None]:
    """Return the URLs that the last server had, and write down that they are not in use.

    Until the new one answers, another program may be there, and must not be sent the key.
    """
    known = _known(folder)
    last = known.get("last")
    before = last if isinstance(last, dict) else known
    urls = _url(before, "url"), _url(before, "content_origin")
    _save(folder, {"last": dict(zip(("url", "content_origin"), urls, strict=True))})
    return urls


def _url(known: dict[str, object], key: str) -> str | None:
    url = known.get(key)
    return url if isinstance(url, str) and url.startswith("http://") else None


def process_of(folder: Path) -> object:
    """Return the number of the process of the last server of a state folder."""
    return _known(folder).get("pid")


def _known(folder: Path) -> dict[str, object]:
    """Return what the last server wrote down of itself; nothing if that cannot be read."""
    try:
        known: object = json.loads((folder / "server.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return known if isinstance(known, dict) else {}


def save_url(folder: Path, url: str, content_origin: str) -> None:
    """Write down the URLs of the server that begins to answer."""
    _save(folder, {"url": url, "content_origin": content_origin})


def _save(folder: Path, known: dict[str, object]) -> None:
    path = folder / "server.json"
    fresh = path.with_suffix(".new")
    text = json.dumps({**known, "pid": os.getpid()})
    with usable(folder):
        try:
            fresh.write_text(text, encoding="utf-8")
            fresh.replace(path)
        except OSError:  # on a full disk what is there can still be written over
            fresh.unlink(missing_ok=True)
            with path.open("r+", encoding="utf-8") as file:
                file.write(text)
                file.truncate()
