"""A small, strict Posit Connect on 127.0.0.1, for tests.

    with FakeConnect() as connect:
        connect.misbehave("POST", r"v1/content$", LoseAnswer())
        ...  # talk to connect.url with connect.api_key
        assert connect.calls() == ["GET v1/user", ...]

It keeps every request, refuses what a real server would refuse (unknown fields, broken bundles,
names that are taken) and can be told to misbehave.
"""

from __future__ import annotations

import contextlib
import json
import re
import socket
import socketserver
import struct
import threading
import uuid
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Self
from urllib.parse import parse_qsl, urlsplit

from support.fake_bundle import Refusal, Reply
from support.fake_world import World
from support.faults import Do, Drop, Fault, Hang, LoseAnswer, Say, Trickle, Truncate, html, redirect

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Mapping

__all__ = [
    "Do",
    "Drop",
    "FakeConnect",
    "Fault",
    "Hang",
    "LoseAnswer",
    "Recorded",
    "Say",
    "Trickle",
    "Truncate",
    "html",
    "redirect",
]


@dataclass(frozen=True, kw_only=True)
class Recorded:
    """A request as it came."""

    method: str
    path: str  # below /__api__/, or from the root with its slash
    query: dict[str, str]
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> object:
        return json.loads(self.body)

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


@dataclass
class _Rule:
    method: str
    path: re.Pattern[str]
    fault: Fault
    left: int
    skip: int


@dataclass
class FakeConnect(World):
    """The server, running while the block does.

    `takes_chunks`: also bodies without a length, which the official client sends and we do not;
    `reading_pauses`: seconds that it waits before it reads a body.
    """

    takes_chunks: bool = False
    reading_pauses: float = 0.0
    prefix: str = ""
    tls: ssl.SSLContext | None = None
    gate: Callable[[Recorded], Fault | None] | None = None  # a proxy in front; None lets through
    requests: list[Recorded] = field(default_factory=list)
    _rules: list[_Rule] = field(default_factory=list)

    def __enter__(self) -> Self:
        self.stopping = threading.Event()
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.fake = self
        if self.tls:
            self._server.socket = self.tls.wrap_socket(self._server.socket, server_side=True)
        self.port: int = self._server.server_address[1]
        scheme = "https" if self.tls else "http"
        self.url = f"{scheme}://127.0.0.1:{self.port}{self.prefix}"
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.01}
        )
        self._thread.start()
        return self

    def __exit__(self, failed: object, *_exception: object) -> None:
        self.stopping.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
        self._server.close_connections()
        if self.oauth and failed is None:
            self.oauth.check()

    def misbehave(
        self, method: str, path: str, fault: Fault, *, times: int = 1, skip: int = 0
    ) -> None:
        """Do `fault` to the requests whose path below the API matches, after `skip` of them."""
        self._rules.append(_Rule(method, re.compile(path), fault, times, skip))

    def recover(self) -> None:
        """Do nothing wrong any more."""
        with self.lock:
            self._rules.clear()

    def calls(self) -> list[str]:
        return [str(request) for request in self.requests]

    def last(self, call: str) -> Recorded:
        return next(r for r in reversed(self.requests) if re.fullmatch(call, str(r)))

    def fault_for(self, method: str, path: str) -> Fault | None:
        with self.lock:
            for rule in self._rules:
                if rule.method == method and rule.path.search(path) and rule.left > 0:
                    if rule.skip:
                        rule.skip -= 1
                        continue
                    rule.left -= 1
                    return rule.fault
        return None


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 64
    fake: FakeConnect

    def server_bind(self) -> None:
        socketserver.TCPServer.server_bind(self)  # HTTPServer's asks the name service
        self.server_name, self.server_port = "127.0.0.1", self.server_address[1]
        self._open: set[socket.socket] = set()

    def process_request(self, request: object, client_address: object) -> None:
        assert isinstance(request, socket.socket)
        self._open.add(request)
        super().process_request(request, client_address)

    def close_request(self, request: object) -> None:
        assert isinstance(request, socket.socket)
        self._open.discard(request)
        super().close_request(request)

    def close_connections(self) -> None:
        for connection in tuple(self._open):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, *_args: object) -> None:
        """Say nothing: clients that go away are what many tests are about."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # else a body waits 40 ms for the headers' acknowledgement
    server: _Server

    def do_GET(self) -> None:
        fake = self.server.fake
        parts = urlsplit(self.path)
        path = parts.path.removeprefix(fake.prefix)
        path = path.removeprefix("/__api__/")
        fault = fake.fault_for(self.command, path)
        if isinstance(fault, Say | Drop) and fault.early:
            body: bytes | None = self.rfile.read(fault.after)
        else:
            body = self._body()
        if body is None:
            self._reply(Refusal(411, None, "a Content-Length is needed").reply())
            self.close_connection = True
            return
        request = Recorded(
            method=self.command,
            path=path,
            query=dict(parse_qsl(parts.query, keep_blank_values=True)),
            headers={k.lower(): v for k, v in self.headers.items()},
            body=body,
        )
        with fake.lock:
            fake.requests.append(request)
            if fake.oauth:
                fake.oauth.watch(fake, request)
        if fake.gate and not fault:
            fault = fake.gate(request)
        self._answer(request, fault)

    do_POST = do_PUT = do_PATCH = do_DELETE = do_GET  # noqa: N815 - http.server's names

    def _answer(self, request: Recorded, fault: Fault | None) -> None:
        fake = self.server.fake
        if isinstance(fault, Drop):
            self._close(reset=fault.reset)
            return
        if isinstance(fault, Say):
            self._say(fault)
            return
        if isinstance(fault, Hang) and not fault.done:
            fake.stopping.wait(fault.seconds)
        if isinstance(fault, Do):
            fault.action()
        outside = urlsplit(self.path).path
        if not outside.startswith(f"{fake.prefix}/"):
            reply = Refusal(404, None, "nothing here").reply()
        elif f"{fake.prefix}/__api__/" in outside:
            reply = fake.answer(request)
        else:
            reply = fake.visit(request)
        if isinstance(fault, Hang) and fault.done:
            fake.stopping.wait(fault.seconds)
        if isinstance(fault, LoseAnswer):
            self._close(reset=False)
            return
        if isinstance(fault, Trickle):
            self._trickle(reply, fault)
            return
        self._reply(reply, truncated=isinstance(fault, Truncate))

    def _body(self) -> bytes | None:
        if self.headers.get("Transfer-Encoding"):
            return self._chunks() if self.server.fake.takes_chunks else None
        length = int(self.headers.get("Content-Length") or 0)
        if length:
            self.server.fake.stopping.wait(self.server.fake.reading_pauses)
        body = self.rfile.read(length)
        if len(body) != length:
            self.close_connection = True
            raise ConnectionError("the request broke off")
        return body

    def _chunks(self) -> bytes:
        body = b""
        while size := int(self.rfile.readline(), 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def _reply(self, reply: Reply, *, truncated: bool = False) -> None:
        self.send_response(reply.status)
        self.send_header("Content-Type", reply.content_type)
        self.send_header("Content-Length", str(len(reply.body)))
        self.send_header("X-Correlation-ID", str(uuid.uuid4()))
        for name, value in reply.headers:
            self.send_header(name, value)
        self.end_headers()
        if truncated:
            self.wfile.write(reply.body[: len(reply.body) // 2])
            self._close(reset=False)
        else:
            self.wfile.write(reply.body)

    def _trickle(self, reply: Reply, fault: Trickle) -> None:
        head = f"HTTP/1.1 {reply.status} OK\r\nContent-Length: {len(reply.body)}\r\n\r\n".encode()
        self.close_connection = True
        if not fault.headers:
            self.wfile.write(head)
        for byte in (head if fault.headers else b"") + reply.body:
            self.wfile.write(bytes([byte]))
            if self.server.fake.stopping.wait(fault.pause):
                return

    def _say(self, fault: Say) -> None:
        if any(name == "Date" for name, _ in fault.headers):
            self.send_response_only(fault.status)
        else:
            self.send_response(fault.status)
        for name, value in fault.headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(fault.body)))
        if fault.early:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(fault.body)
        if fault.kept:
            self.wfile.flush()
            self.server.fake.stopping.wait()
        if fault.early:
            self._close(reset=fault.reset)

    def _close(self, *, reset: bool) -> None:
        self.close_connection = True
        if reset:
            # Closing with unsent data discarded makes the system answer with a reset.
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()
            return
        self.wfile.flush()
        self.connection.shutdown(socket.SHUT_RDWR)

    def log_message(self, *_args: object) -> None:
        """Say nothing."""
