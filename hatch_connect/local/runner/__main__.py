"""Serves one piece of content; runs on the content's own interpreter, in the unpacked bundle.

It is started as a folder (`python .../runner`), so that `sys.path` gets nothing of the server but
this file. One line of JSON on its input says what to serve; the end of that input means that the
server is gone. One line on its output, which begins with the agreed token, says on which port.
"""

from __future__ import annotations

import importlib
import inspect
import json
import os
import signal
import socket
import sys
import threading
from importlib import metadata

DEFAULT_NAMES = ("app", "application", "create_app", "make_app")


def main():
    request = json.loads(sys.stdin.buffer.readline())
    end_with(watch_input())
    sys.path[0] = os.getcwd()
    sys.path.append(request["runtime"])
    serve(load(request["entrypoint"]), request)


def watch_input():
    """Give the process an empty input, and return the old one."""
    watched = os.dup(0)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    return watched


def end_with(descriptor):
    """End this process, and what it has started, when nobody can write to `descriptor` any more."""

    def watch():
        while os.read(descriptor, 1024):
            pass
        if hasattr(os, "killpg"):
            os.killpg(0, signal.SIGKILL)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def load(entrypoint):
    """Return the object that an entrypoint names; a callable without parameters makes it."""
    module_name, _, names = entrypoint.partition(":")
    found = importlib.import_module(module_name)
    if names:
        for name in names.split("."):
            found = getattr(found, name)
    else:
        present = [getattr(found, name) for name in DEFAULT_NAMES if hasattr(found, name)]
        if not present:
            raise SystemExit(
                "The module {!r} has none of: {}.".format(module_name, ", ".join(DEFAULT_NAMES))
            )
        found = present[0]
    return found() if is_factory(found) else found


def is_factory(found):
    """Whether calling `found` without arguments is what is meant by it."""
    if not inspect.isroutine(found):
        return False
    parameters = inspect.signature(found).parameters.values()
    return all(
        p.default is not p.empty or p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD) for p in parameters
    ) and not any(p.kind == p.VAR_POSITIONAL for p in parameters)


def wants_whole_path(application):
    """Whether an application takes `path` with the `root_path` in front, as ASGI has it.

    A bare function that compares paths does not, nor does Starlette before 0.33.
    """
    if inspect.isroutine(application):
        return False
    try:
        release = metadata.version("starlette").split(".")[:2]
    except metadata.PackageNotFoundError:
        return True
    return [int(number) for number in release] >= [0, 33]


class Mounted:
    """An ASGI application that learns from the proxy's header where it is mounted."""

    def __init__(self, application, whole_path):
        self.application = application
        self.whole_path = whole_path

    async def __call__(self, scope, receive, send):
        if scope["type"] in ("http", "websocket"):
            prefix = dict(scope["headers"]).get(b"x-forwarded-prefix", b"")
            scope = dict(scope, root_path=prefix.decode("latin-1"))
            if self.whole_path:
                scope["path"] = scope["root_path"] + scope["path"]
                scope["raw_path"] = prefix + scope["raw_path"]
        await self.application(scope, receive, send)


def serve(application, request):
    import uvicorn

    if request["interface"] == "wsgi":
        from a2wsgi import WSGIMiddleware

        application = Mounted(WSGIMiddleware(application), whole_path=False)
    else:
        application = Mounted(application, wants_whole_path(application))

    class Server(uvicorn.Server):
        async def startup(self, sockets=None):
            await super().startup(sockets=sockets)
            if self.started and sockets:
                print(request["token"], sockets[0].getsockname()[1], flush=True)

    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listening.bind(("127.0.0.1", 0))
    config = uvicorn.Config(
        application, forwarded_allow_ips="127.0.0.1", server_header=False, log_level="info"
    )
    Server(config).run(sockets=[listening])


if __name__ == "__main__":
    main()
