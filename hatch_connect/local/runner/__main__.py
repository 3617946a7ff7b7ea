"""Serves one piece of content; runs on the content's own interpreter, in the unpacked bundle.

It is started as a folder (`python .../runner`), so that `sys.path` gets nothing of the server but
this file. One line of JSON on its input says what to serve; the end of that input means that the
server is gone. One line on its output, which begins with the agreed token, says on which port.
It has to run on each Python that content may ask for, from 3.8.
"""

from __future__ import annotations

import importlib
import inspect
import json
import os
import runpy
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import closing
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Application = Any  # a WSGI or an ASGI callable


def main() -> None:
    """Serve what the input asks for."""
    request = json.loads(sys.stdin.buffer.readline())
    end_with(watch_input())
    sys.path[0] = str(Path.cwd())
    sys.path.append(request["runtime"])
    if request["interface"] == "command":
        run(request["command"], request["token"])
    else:
        serve(load(request["entrypoint"], request["names"]), request)


def watch_input() -> int:
    """Replace the input of this process with an empty one, and return the old one."""
    watched = os.dup(0)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    return watched


def end_with(descriptor: int) -> None:
    """End this process, and what it has started, when nobody can write to `descriptor` any more."""

    def watch() -> None:
        while os.read(descriptor, 1024):
            pass
        if sys.platform != "win32":
            os.killpg(0, signal.SIGKILL)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def run(command: list[str], token: str) -> None:
    """Run a program that serves by itself on a free port, and announce when it does."""
    with closing(socket.socket(socket.AF_INET, socket.SOCK_STREAM)) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [part.replace("{port}", str(port)) for part in command]
    threading.Thread(target=announce, args=(port, token), daemon=True).start()
    if command[0] == "-m":
        sys.argv = command[1:]
        runpy.run_module(command[1], run_name="__main__", alter_sys=True)
    else:
        raise SystemExit(subprocess.call(command))


def announce(port: int, token: str) -> None:
    """Announce the port as soon as somebody listens there."""
    while True:
        with closing(socket.socket(socket.AF_INET, socket.SOCK_STREAM)) as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                break
        time.sleep(0.05)
    sys.stdout.write(f"{token} {port}\n")
    sys.stdout.flush()


def load(entrypoint: str, usual: Sequence[str]) -> Application:
    """Return the object that an entrypoint names; a function without parameters makes it.

    Of a module without an object, it is the first of the `usual` names that is there.
    """
    module_name, _, names = entrypoint.partition(":")
    found: Application = importlib.import_module(module_name)
    if names:
        for name in names.split("."):
            found = getattr(found, name)
    else:
        present = [getattr(found, name) for name in usual if hasattr(found, name)]
        if not present:
            raise SystemExit(f"The module {module_name!r} has none of: {', '.join(usual)}.")
        found = present[0]
    return found() if is_factory(found) else found


def is_factory(found: Application) -> bool:
    """Return whether `found` is a function that can only be called without arguments."""
    return inspect.isroutine(found) and not inspect.signature(found).parameters


def with_interface(found: Application, interface: str) -> tuple[Application, str]:
    """Return the WSGI or ASGI application of an object, and which of the two it is.

    A Dash app holds it as its `server`; for Gradio's Blocks it has to be made.
    """
    if interface == "gradio":
        if not hasattr(found, "launch"):
            return found, "asgi"
        gradio, fastapi = map(importlib.import_module, ("gradio", "fastapi"))
        return gradio.mount_gradio_app(fastapi.FastAPI(), found, path=""), "asgi"
    if interface == "dash":
        server = getattr(found, "server", found)
        is_async = inspect.iscoroutinefunction(type(server).__call__)
        return server, "asgi" if is_async else "wsgi"
    return found, interface


def wants_whole_path(application: Application) -> bool:
    """Return whether an application expects `path` to begin with `root_path`, as ASGI specifies.

    A bare function that compares paths does not, nor does Starlette before 0.33.
    """
    if inspect.isroutine(application):
        return False
    try:
        release = metadata.version("starlette").split(".")
    except metadata.PackageNotFoundError:
        return True
    return (int(release[0]), int(release[1])) >= (0, 33)


class Mounted:
    """An ASGI application that learns from the proxy's header where it is mounted."""

    def __init__(self, application: Application, *, whole_path: bool) -> None:
        self.application = application
        self.whole_path = whole_path

    async def __call__(
        self, scope: dict[str, Any], receive: Application, send: Application
    ) -> None:
        """Serve a request, or a lifespan."""
        if scope["type"] in {"http", "websocket"}:
            prefix = dict(scope["headers"]).get(b"x-forwarded-prefix", b"")
            scope = dict(scope, root_path=prefix.decode("latin-1"))
            if self.whole_path:
                scope["path"] = scope["root_path"] + scope["path"]
                scope["raw_path"] = prefix + scope["raw_path"]
        await self.application(scope, receive, send)


def serve(application: Application, request: Mapping[str, str]) -> None:
    """Serve an application on a free port until a signal comes."""
    import uvicorn

    application, interface = with_interface(application, request["interface"])
    if interface == "wsgi":
        from a2wsgi import WSGIMiddleware

        mounted = Mounted(WSGIMiddleware(application), whole_path=False)
    else:
        mounted = Mounted(application, whole_path=wants_whole_path(application))

    class AnnouncingServer(uvicorn.Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets=sockets)
            if self.started and sockets:
                sys.stdout.write(f"{request['token']} {sockets[0].getsockname()[1]}\n")
                sys.stdout.flush()

    # If the protocol is named, asyncio sends what is small at once (TCP_NODELAY).
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listening.bind(("127.0.0.1", 0))
    config = uvicorn.Config(
        mounted, forwarded_allow_ips="127.0.0.1", server_header=False, log_level="info"
    )
    AnnouncingServer(config).run(sockets=[listening])


if __name__ == "__main__":
    main()
