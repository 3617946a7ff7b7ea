"""WebSockets between a visitor and a content process: every message, both ways."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from starlette.responses import Response
from starlette.websockets import WebSocketDisconnect
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus
from websockets.typing import Origin

from hatch_connect.local.error_pages import locked, page
from hatch_connect.local.folder import HOST
from hatch_connect.local.machine import machine_of
from hatch_connect.local.processes import StartError
from hatch_connect.local.runtime_settings import Connection, QuietError
from hatch_connect.local.tasks import until_first
from hatch_connect.local.visits import cookie_of, find_target, not_running, request_headers

if TYPE_CHECKING:
    from starlette.websockets import WebSocket
    from websockets.asyncio.client import ClientConnection

    from hatch_connect.local.processes import ContentProcess
    from hatch_connect.local.visits import ContentTarget

# What the client of `websockets` sets by itself, for a connection of its own.
_OF_CONNECTION = (b"sec-websocket-", b"host", b"origin", b"user-agent", b"content-length")
# RFC 6455, section 7.4.1: codes that no peer may send, each with the one to send instead.
_UNSENDABLE = {1005: 1000, 1006: 1011, 1015: 1011}
_GOING_AWAY = 1001


async def visit_socket(socket: WebSocket) -> None:
    """Connect a visitor of `/content/{guid}/` to the content; it may visit it."""
    target = find_target(socket)
    if target is None or target.mode.kind != "process":
        await socket.send_denial_response(page("Content not found", "", status=404))
    elif target.content.settings["locked"]:
        await socket.send_denial_response(locked(target.content))
    else:
        await _relay(socket, target)


async def _relay(socket: WebSocket, target: ContentTarget) -> None:
    visiting = machine_of(socket).running.visiting(target.content, target.bundle, target.prefix)
    try:
        async with visiting as process:
            await _relay_to(process, socket, target)
    except StartError as error:
        await socket.send_denial_response(not_running(socket, target, error.reason, error.tail))


async def _relay_to(process: ContentProcess, socket: WebSocket, target: ContentTarget) -> None:
    try:
        content = await _open(socket, target, process.port or 0)
    except InvalidStatus as error:
        body, status = bytes(error.response.body or b""), error.response.status_code
        await socket.send_denial_response(Response(body, status))
    except (InvalidHandshake, OSError) as error:
        reason = f"It did not accept the WebSocket connection: {error}."
        denial = not_running(socket, target, reason, process.log.tail)
        await socket.send_denial_response(denial)
    else:
        async with content:
            await _accept(socket, content)
            await _exchange(socket, content, Connection(target.content))


async def _exchange(socket: WebSocket, content: ClientConnection, connection: Connection) -> None:
    try:
        async with connection.watched():
            # Whichever ends first has closed the other side with the code that its own side sent.
            await until_first(
                _to_content(socket, content, connection), _to_visitor(socket, content, connection)
            )
    except QuietError as error:
        await content.close(_GOING_AWAY, str(error))
        with suppress(RuntimeError, WebSocketDisconnect):  # it may be gone by now
            await socket.close(_GOING_AWAY, str(error))


async def _open(socket: WebSocket, target: ContentTarget, port: int) -> ClientConnection:
    headers = [
        (name.decode("latin-1"), value.decode("latin-1"))
        for name, value in request_headers(socket, target.prefix)
        if not name.startswith(_OF_CONNECTION)
    ]
    origin = socket.headers.get("origin")
    return await connect(
        # The name that the visitor uses, which frameworks compare with the origin.
        f"ws://{socket.headers['host']}{target.path(socket).decode('latin-1')}",
        host=HOST,
        port=port,
        origin=Origin(origin) if origin else None,
        subprotocols=socket.scope["subprotocols"] or None,
        additional_headers=headers,
        user_agent_header=socket.headers.get("user-agent"),
        compression=None,
        max_size=None,
        ping_interval=None,
        proxy=None,
    )


async def _accept(socket: WebSocket, content: ClientConnection) -> None:
    answered = content.response.headers.get_all("set-cookie") if content.response else ()
    cookies = [(b"set-cookie", cookie_of(value.encode("latin-1"), socket)) for value in answered]
    theirs = [(name, value) for name, value in cookies if value is not None]
    await socket.accept(subprotocol=content.subprotocol, headers=theirs)


async def _to_content(socket: WebSocket, content: ClientConnection, connection: Connection) -> None:
    while (message := await socket.receive())["type"] == "websocket.receive":
        connection.received()
        text = message.get("text")
        await content.send(message["bytes"] if text is None else text)
    await content.close(_sendable(message.get("code")), message.get("reason") or "")


async def _to_visitor(socket: WebSocket, content: ClientConnection, connection: Connection) -> None:
    try:
        while True:
            data = await content.recv()
            connection.sent()
            if isinstance(data, str):
                await socket.send_text(data)
            else:
                await socket.send_bytes(data)
    except ConnectionClosed:
        await socket.close(_sendable(content.close_code), content.close_reason or "")
    except WebSocketDisconnect:
        return  # the other direction learns of it as well, and closes


def _sendable(code: int | None) -> int:
    return 1000 if code is None else _UNSENDABLE.get(code, code)
