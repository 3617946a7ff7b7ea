"""A forward proxy on 127.0.0.1 that keeps what it was asked for."""

from __future__ import annotations

import contextlib
import select
import socket
import socketserver
import threading
from dataclasses import dataclass, field
from typing import Self
from urllib.parse import urlsplit


@dataclass
class FakeProxy:
    """The proxy, running while the block does; `password` in the form user:password in base64."""

    credentials: str | None = None
    asked: list[str] = field(default_factory=list)

    def __enter__(self) -> Self:
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.proxy = self
        self.address = f"127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.01}
        )
        self._thread.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    block_on_close = False
    proxy: FakeProxy

    def handle_error(self, *_args: object) -> None:
        """Say nothing."""


class _Handler(socketserver.StreamRequestHandler):
    rbufsize = 0
    server: _Server

    def handle(self) -> None:
        first = self.rfile.readline().decode("latin-1")
        lines = []
        while (line := self.rfile.readline()) not in {b"\r\n", b""}:
            lines.append(line)
        method, target, _ = first.split(" ", 2)
        self.server.proxy.asked.append(f"{method} {target}")
        wanted = self.server.proxy.credentials
        given = f"Proxy-Authorization: Basic {wanted}".encode()
        if wanted and given not in [line.strip() for line in lines]:
            self.wfile.write(
                b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n"
                b"Connection: close\r\n\r\n"
            )
            return
        parts = urlsplit(target if method != "CONNECT" else f"//{target}")
        with socket.create_connection((parts.hostname or "", parts.port or 80)) as there:
            if method == "CONNECT":
                self.wfile.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            else:
                path = f"{parts.path}?{parts.query}" if parts.query else parts.path
                kept = b"".join(line for line in lines if not line.startswith(b"Proxy-"))
                there.sendall(f"{method} {path} HTTP/1.1\r\n".encode() + kept + b"\r\n")
            self._pump(there)

    def _pump(self, there: socket.socket) -> None:
        here = self.connection
        with contextlib.suppress(OSError):
            while True:
                ready, _, _ = select.select([here, there], [], [], 5)
                for one in ready:
                    data = one.recv(65536)
                    if not data:
                        return
                    (there if one is here else here).sendall(data)
