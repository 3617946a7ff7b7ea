"""Run the application in this process: its socket, its signals and its end."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import signal
import socket
from typing import TYPE_CHECKING

import uvicorn

from hatch_connect.errors import UsageError
from hatch_connect.events import Warned
from hatch_connect.local.app import Leases, create_app
from hatch_connect.local.disk import usable
from hatch_connect.local.folder import (
    CONTENT_HOST,
    HOST,
    LocalServer,
    begin,
    read_key,
    save_url,
)
from hatch_connect.local.machine import Machine
from hatch_connect.local.one_time import Login
from hatch_connect.local.sessions import DASHBOARD, login_url
from hatch_connect.local.setup import Setup
from hatch_connect.local.users import make_users, others_may_read, read_users

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path
    from types import FrameType

    from starlette.types import ASGIApp

    from hatch_connect.events import Report
    from hatch_connect.local.folder import LocalOptions

_HOST_6 = "::1"
_GRACE_SECONDS = 2
_LARGEST_MESSAGE = 1 << 28  # bytes of one WebSocket message; the content may set a lower limit


def serve_state(
    state: Path,
    *,
    options: LocalOptions,
    while_used: bool = False,
    environ: Mapping[str, str],
    report: Report,
    ready: Callable[[LocalServer], None],
) -> None:
    """Serve until a signal comes or, with `while_used`, until the last lease ends.

    The caller holds the lock of the state folder. `ready` gets the server. Raises UsageError if the
    port is taken, and ConfigurationError if the users.toml is wrong.
    """
    users = options.users_file(state)
    with usable(state):
        key = read_key(state)
        if options.users is None:
            make_users(users)
    declared = read_users(users, key)
    if others_may_read(users):
        report(Warned(text=f"Others on this machine can read the keys in {users}"))
    url, content_origin = begin(state)
    with (
        _bind(options.port, url) as listening,
        _bind(0, content_origin) as for_content,
    ):
        setup = Setup(
            folder=state,
            url=f"http://{HOST}:{listening.getsockname()[1]}",
            content_origin=f"http://{CONTENT_HOST}:{for_content.getsockname()[1]}",
            api_key=key,
            users=declared,
            environ=environ,
            report=report,
            claims=options.claims,
        )
        with contextlib.ExitStack() as more:
            both = [listening, for_content]
            others = [_bind_by_name(one.getsockname()[1], report) for one in both]
            both += [more.enter_context(one) for one in others if one]
            asyncio.run(_serve(setup, both, ready, while_used=while_used))


async def _serve(
    setup: Setup,
    listening: list[socket.socket],
    ready: Callable[[LocalServer], None],
    *,
    while_used: bool,
) -> None:
    server: _LeasedServer

    def unused() -> None:
        server.should_exit = True

    leases = Leases(unused if while_used else None)
    with usable(setup.folder):
        machine = Machine(setup)
    server = _LeasedServer(create_app(machine, leases), leases, lambda: _announce(machine, ready))
    waiting = asyncio.create_task(leases.wait_first())
    await server.serve(sockets=listening)
    waiting.cancel()


def _announce(machine: Machine, ready: Callable[[LocalServer], None]) -> None:
    setup = machine.setup
    with usable(setup.folder):
        save_url(setup.folder, setup.url, setup.content_origin)
    login = login_url(machine, Login(next=DASHBOARD, printed=True))
    ready(LocalServer(url=setup.url, api_key=setup.api_key, state=setup.folder, login_url=login))


def _bind(asked: int, before: str | None) -> socket.socket:
    """Bind the port asked for, else the one of the URL before, so that URLs stay the same."""
    last = (before or "").rpartition(":")[2]
    wanted = [asked] if asked else [int(last) if last.isdigit() else 0, 0]
    for port in wanted:
        # If the protocol is named, asyncio sends what is small at once (TCP_NODELAY).
        listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        if os.name == "posix":  # elsewhere it would let two servers share a port
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind((HOST, port))
            listening.listen()
        except (OSError, OverflowError) as error:  # overflow: it is no port
            listening.close()
            reason = (
                error.strerror
                if isinstance(error, OSError)
                else "a port is a number from 1 to 65535"
            )
        else:
            return listening
    raise UsageError(
        f"Cannot listen on {HOST}, port {asked}: {reason}.",
        hint="Choose another port with --port, or omit it to use a free one.",
    )


def _bind_by_name(port: int, report: Report) -> socket.socket | None:
    """Bind the other address that browsers try for `localhost`, so that nobody else gets it.

    It is None on machines without IPv6.
    """
    if not socket.has_ipv6:
        return None
    listening = socket.socket(socket.AF_INET6, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listening.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        if os.name == "posix":
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((_HOST_6, port))
        listening.listen()
    except OSError as error:
        listening.close()
        if error.errno == errno.EADDRINUSE:
            text = f"Another program listens on [{_HOST_6}], port {port}: a browser may ask it"
            report(Warned(text=f"{text} for what is on {CONTENT_HOST}."))
        return None
    return listening


class _LeasedServer(uvicorn.Server):
    def __init__(self, app: ASGIApp, leases: Leases, started: Callable[[], None]) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                log_config=None,
                access_log=False,
                server_header=False,
                http="h11",  # others hide a host in a request's target, see origins.py
                # Anybody can send X-Forwarded-For: no proxy stands in front of this server.
                proxy_headers=False,
                timeout_graceful_shutdown=_GRACE_SECONDS,
                ws_max_size=_LARGEST_MESSAGE,
            )
        )
        self._leases = leases
        self._announce = started

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._announce()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._leases.stop()
        await super().shutdown(sockets)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """End orderly at a signal; unlike uvicorn's own, do not raise it again afterwards."""

        def stop(_number: int, _frame: FrameType | None) -> None:
            self.should_exit = True

        handled = [signal.SIGINT, signal.SIGTERM]
        if hasattr(signal, "SIGHUP"):
            handled.append(signal.SIGHUP)
        before = {number: signal.signal(number, stop) for number in handled}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
