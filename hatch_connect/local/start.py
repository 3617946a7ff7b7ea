"""Starting the embedded server, and finding the one that already runs."""

from __future__ import annotations

import http.client
import json
import os
import subprocess
import sys
import threading
import time
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, replace
from importlib.util import find_spec
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from hatch_connect import __version__
from hatch_connect.errors import HatchConnectError, UsageError
from hatch_connect.events import Detail, Note, Warned
from hatch_connect.local.disk import is_full, no_space, usable
from hatch_connect.local.folder import (
    ENDS,
    VERSION,
    LocalServer,
    exclusive,
    is_served,
    make_private,
    process_of,
    read_key,
    read_url,
)
from hatch_connect.programs import without_identity

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from pathlib import Path

    from hatch_connect.events import Report
    from hatch_connect.local.folder import LocalOptions
    from hatch_connect.secret import Secret

_NEEDED = (
    *("a2wsgi", "httpx2", "itsdangerous", "jinja2", "python_multipart", "starlette", "uv"),
    *("uvicorn", "websockets"),
)
READY = "ready"
BUSY = 75  # the exit code of a server process that finds another one on its state
_LOG = "server.log"
_SETTLE_SECONDS = 30.0  # for a server that is just starting, or just stopping
_STOP_SECONDS = 20.0
_LOG_TAIL = 2000


@contextmanager
def running(state: Path, *, environ: Mapping[str, str], report: Report) -> Iterator[LocalServer]:
    """Yield a server on `state`: the one that runs there, or a new one.

    A new one is a process of its own that ends with the last block that uses it, also when that
    block's process is killed. Raises UsageError if the extra `local` is not installed, and
    HatchConnectError with the end of the server's log if it does not start.
    """
    check_extra()
    state = state.absolute()
    make_private(state)
    deadline = time.monotonic() + _SETTLE_SECONDS
    process: subprocess.Popen[str] | None = None
    while (lease := _lease(state)) is None:
        if time.monotonic() > deadline:
            raise HatchConnectError(
                f"The local server in {state} does not respond, and does not stop either.",
                hint=f"End its process, {process_of(state)}, and try again.",
            )
        if is_served(state):  # it is starting, or ending
            time.sleep(0.05)
        else:
            with usable(state):
                process = _spawn(state, environ)
            process = process if _is_ready(process, state) else None
    server = lease.server
    report(Detail(text=f"The local server is running at {server.url}"))
    if lease.version != __version__:
        theirs = f"hatch-connect {lease.version}" if lease.version else "an earlier hatch-connect"
        text = f"The local server that runs is of {theirs}: restart it to have what is new."
        report(Note(text=text))
    try:
        yield server
    finally:
        _leave(lease, process, report)


def _leave(lease: _Lease, process: subprocess.Popen[str] | None, report: Report) -> None:
    """Give a lease back; the last one waits until the server has ended."""
    state, number = lease.server.state, process_of(lease.server.state)
    if process is not None and process.poll() is not None:
        text = f"The local server ended unexpectedly ({process.returncode}): see {state / _LOG}"
        report(Warned(text=text))
    last = lease.server.ends and _users(lease.server) == 1
    lease.connection.close()
    if last:
        report(Note(text="Stopping the local server; `hatch-connect local` keeps one running."))
    if process is not None and last:
        _wait(process)
    elif process is not None:
        # Others still use it. Waiting for its end keeps it from becoming a zombie.
        threading.Thread(target=process.wait, daemon=True).start()
    elif last:
        _wait_while(lambda: is_served(state) and process_of(state) == number)


def _wait_while(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + _STOP_SECONDS
    while holds() and time.monotonic() < deadline:
        time.sleep(0.05)


def make_known(server: LocalServer, names: Mapping[str, Iterable[str]]) -> None:
    """Let there be who and what a project names: `people`, `tags` and `integrations`.

    If the server is gone, the next request says so.
    """
    body = {kind: list(each) for kind, each in names.items()}
    with closing(_connection(server.url)) as connection, suppress(OSError):
        _ask(connection, server.api_key, "PUT", "known", body).read()


def _connection(url: str) -> http.client.HTTPConnection:
    return http.client.HTTPConnection(urlsplit(url).netloc, timeout=5)


def _ask(
    connection: http.client.HTTPConnection,
    api_key: Secret,
    method: str,
    path: str,
    body: Mapping[str, object] | None = None,
) -> http.client.HTTPResponse:
    """Return the answer to a request that is not Connect's API."""
    headers = {"Authorization": f"Key {api_key.reveal()}"}
    text = None if body is None else json.dumps(body)
    connection.request(method, f"/__api__/__local__/{path}", body=text, headers=headers)
    return connection.getresponse()


def one_time_url(url: str, api_key: Secret, path: str, user: str | None = None) -> str | None:
    """Return a URL of the server at `url`, good once, that signs a browser in and leads to `path`.

    With `user`, content is visited as that one instead. It is None if the server does not give one,
    as for a user that it does not know.
    """
    body = {"next": path, **({"user": user} if user else {})}
    with (
        closing(_connection(url)) as connection,
        suppress(OSError, http.client.HTTPException),
    ):
        answer = _ask(connection, api_key, "POST", "login", body)
        if answer.status == http.HTTPStatus.OK:
            made: str = json.loads(answer.read())["url"]
            return made
    return None


def serve(
    state: Path,
    *,
    options: LocalOptions,
    environ: Mapping[str, str],
    report: Report,
    ready: Callable[[LocalServer], None],
) -> None:
    """Serve in this process; returns after SIGINT or SIGTERM, when all that it started has ended.

    Port 0 takes the port of last time if that is free. Raises UsageError if the extra
    `local` is not installed, the port is taken, a server already runs on `state`, or a
    users.toml is wrong.
    """
    check_extra()
    state = state.absolute()
    from hatch_connect.local.serving import serve_state

    # One that is ending is not in the way for long.
    _wait_while(lambda: is_served(state) and not _stays(state))
    with exclusive(state):
        serve_state(state, options=options, environ=environ, report=report, ready=ready)


def check_extra() -> None:
    """Raise UsageError if a package of the extra `local` is missing."""
    if missing := [name for name in _NEEDED if find_spec(name) is None]:
        names = ", ".join(missing).replace("_", "-")
        raise UsageError(
            f"The local server needs packages that are not installed: {names}.",
            hint="Install them with: pip install 'hatch-connect[local]'",
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Lease:
    """A server that stays while the connection is open, and its version."""

    server: LocalServer
    connection: http.client.HTTPConnection
    version: str


def _lease(state: Path) -> _Lease | None:
    """Connect to the server of a state folder; None if there is none (yet, or any more)."""
    # Without a holder of the lock, another program may be at the address that was left behind,
    # and would be sent the key.
    if not is_served(state):
        return None
    url = read_url(state)
    if url is None:
        return None
    server = LocalServer(url=url, api_key=read_key(state), state=state)
    connection = _connection(url)
    try:
        answer = _ask(connection, server.api_key, "GET", "lease")
        held = answer.status == http.HTTPStatus.OK and answer.readline() == b"held\n"
    except (OSError, http.client.HTTPException):
        held = False
    if held:
        server = replace(server, ends=answer.headers.get(ENDS) == "yes")
        version = answer.headers.get(VERSION, "")
        return _Lease(server=server, connection=connection, version=version)
    connection.close()
    return None


def _stays(state: Path) -> bool:
    """Return whether the server of a state folder answers, and is not ending."""
    url = read_url(state)
    if url is None:
        return False
    return _users(LocalServer(url=url, api_key=read_key(state), state=state)) is not None


def _spawn(state: Path, environ: Mapping[str, str]) -> subprocess.Popen[str]:
    descriptor = os.open(state / _LOG, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as log:
        return subprocess.Popen(
            # -P: the folder it is started in must not shadow a module.
            (sys.executable, "-P", "-m", "hatch_connect.local", str(state)),
            cwd=state,
            env=without_identity(environ),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            # Ctrl-C must reach only the client; the server ends when its lease does.
            start_new_session=True,
            creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),
        )


def _is_ready(process: subprocess.Popen[str], state: Path) -> bool:
    """Wait until a new server answers; False if another one was faster."""
    assert process.stdout is not None  # noqa: S101 - asked for; for the type checker
    with process.stdout as output:
        if output.readline().strip() == READY:
            return True
    if process.wait() == BUSY:
        return False
    log = (state / _LOG).read_text(encoding="utf-8", errors="replace")[-_LOG_TAIL:].strip()
    if not log and is_full(state):  # its log could not be written either
        raise no_space(state)
    raise HatchConnectError(
        f"The local server did not start (exit code {process.returncode}).\n{log}".strip(),
        hint=f"Full log: {state / _LOG}",
    )


def _users(server: LocalServer) -> int | None:
    """Return how many use the server; None if it is ending, or gone."""
    with closing(_connection(server.url)) as connection:
        try:
            return int(_ask(connection, server.api_key, "GET", "leases").read())
        except (OSError, ValueError, http.client.HTTPException):
            return None


def _wait(process: subprocess.Popen[str]) -> None:
    try:
        process.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
