"""WebSockets of content, with a small program of its own at the other end."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import httpx2
import pytest
from support.connect_content import WSGI_APP, bundle, bundle_of
from support.waiting import PATIENCE
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

if TYPE_CHECKING:
    from support.local_api import Api

# Says what it was asked, then echoes; a few words have a meaning.
_ECHO = b"""
import json, os

async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        return
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"a page"})
        return
    await receive()
    if scope["path"] == "/refused":
        await send({"type": "websocket.close"})
        return
    headers = [(b"set-cookie", b"a=1"), (b"set-cookie", b"b=2")]
    protocol = (scope["subprotocols"] or [None])[0]
    await send({"type": "websocket.accept", "subprotocol": protocol, "headers": headers})
    asked = {
        "path": scope["path"],
        "root_path": scope["root_path"],
        "query": scope["query_string"].decode(),
        "headers": [(n.decode(), v.decode()) for n, v in scope["headers"]],
    }
    await send({"type": "websocket.send", "text": json.dumps(asked)})
    while True:
        message = await receive()
        if message["type"] == "websocket.disconnect":
            print("left with", message["code"], message.get("reason"), flush=True)
            return
        if message.get("text") == "leave":
            await send({"type": "websocket.close", "code": 4001, "reason": "as asked"})
            return
        if message.get("text") == "die":
            os._exit(3)
        message["type"] = "websocket.send"
        await send(message)
"""


@pytest.fixture(scope="session")
def echoing(server: object) -> dict[str, str]:
    del server
    return {}


@pytest.fixture
def guid(api: Api, echoing: dict[str, str]) -> str:
    """Content that echoes, the same for all of these tests."""
    if "guid" not in echoing:
        echoing["guid"] = api.ship(bundle({"app.py": _ECHO}))
    return echoing["guid"]


def _refusal(api: Api, guid: str, path: str, origin: str | None = None) -> int:
    with pytest.raises(InvalidStatus) as caught, api.connect(guid, path, origin=origin):
        pass
    return caught.value.response.status_code


def test_messages_pass_both_ways(api: Api, guid: str) -> None:
    with api.connect(guid, "ws") as socket:
        socket.recv()
        for message in ("text ä\n", b"\x00\xff", "", b"", "x" * 3_000_000):
            socket.send(message)
            assert socket.recv(20) == message


def test_the_content_learns_what_was_asked(api: Api, guid: str) -> None:
    key = f"Key {api.server.api_key.reveal()}"
    headers = {"Authorization": key, "Cookie": "c=3", "X-Mine": "1", "X-Forwarded-Prefix": "/x"}
    with api.connect(guid, "a%20b/ws?x=%26", additional_headers=headers) as socket:
        asked = json.loads(socket.recv())

    assert asked["path"] == "/a b/ws"
    assert asked["root_path"] == f"/content/{guid}"
    assert asked["query"] == "x=%26"
    seen = dict(asked["headers"])
    assert len(seen) == len(asked["headers"])
    assert (seen["cookie"], seen["x-mine"]) == ("c=3", "1")
    assert seen["host"] == seen["x-forwarded-host"] == api.server.url.removeprefix("http://")
    assert seen["origin"] == api.server.url
    assert seen["x-forwarded-proto"] == "http"
    assert seen["rstudio-connect-app-base-url"] == f"{api.server.url}/content/{guid}"
    assert "authorization" not in seen


def test_what_the_content_accepts_with(api: Api, guid: str) -> None:
    protocols: list[Any] = ["first", "second"]
    with api.connect(guid, "ws", subprotocols=protocols) as socket:
        assert socket.subprotocol == "first"
        assert socket.response is not None
        assert socket.response.headers.get_all("set-cookie") == ["a=1", "b=2"]


def test_a_draft_is_connected_to_as_well(api: Api, guid: str) -> None:
    number = api.ask("GET", f"v1/content/{guid}")["bundle_id"]
    with api.connect(guid, f"_bundle{number}/ws") as socket:
        asked = json.loads(socket.recv())

    assert asked["root_path"] == f"/content/{guid}/_bundle{number}"
    assert asked["path"] == "/ws"


def test_the_content_leaves(api: Api, guid: str) -> None:
    with api.connect(guid, "ws") as socket:
        socket.recv()
        socket.send("leave")
        with pytest.raises(ConnectionClosed):
            socket.recv(20)

    assert (socket.close_code, socket.close_reason) == (4001, "as asked")


def test_the_visitor_leaves(api: Api, guid: str) -> None:
    with api.connect(guid, "ws") as socket:
        socket.recv()
        socket.close(4002, "enough")

    (job, *_rest) = api.ask("GET", f"v1/content/{guid}/jobs")
    path = f"v1/content/{guid}/jobs/{job['key']}/log"
    while "left with 4002 enough" not in str(api.ask("GET", path)):
        pass


def test_the_content_dies(api: Api) -> None:
    guid = api.ship(bundle({"app.py": _ECHO}))
    with api.connect(guid, "ws") as socket:
        socket.recv()
        socket.send("die")
        with pytest.raises(ConnectionClosed):
            socket.recv(20)

    assert socket.close_code == 1011
    assert api.visit(guid).text == "a page"


def test_the_content_is_replaced(api: Api) -> None:
    guid = api.ship(bundle({"app.py": _ECHO}))
    with api.connect(guid, "ws") as socket:
        socket.recv()
        assert api.deploy(guid, api.upload(guid, bundle({"app.py": _ECHO, "a": b""})))["code"] == 0
        with pytest.raises(ConnectionClosed):
            socket.recv(20)


def test_the_content_refuses(api: Api, guid: str) -> None:
    assert _refusal(api, guid, "refused") == 403


_FOREIGN = (
    *("https://evil.example", "http://127.0.0.1.evil.example", "null", "http://localhost:3000"),
    *("http://127.0.0.1", "https://{dashboard}", "http://{dashboard}0", "http://{dashboard}/"),
)


def _hosts(api: Api, guid: str) -> dict[str, str]:
    """Return the host and port of each of the two origins."""
    to = httpx2.get(f"{api.server.url}/content/{guid}/", trust_env=False).headers["location"]
    return {"dashboard": urlsplit(api.server.url).netloc, "content": urlsplit(to).netloc}


@pytest.mark.parametrize("origin", [*_FOREIGN, "http://{content}"])
def test_a_page_of_elsewhere_is_refused(api: Api, guid: str, origin: str) -> None:
    assert _refusal(api, guid, "ws", origin=origin.format(**_hosts(api, guid))) == 403


@pytest.mark.parametrize("origin", [None, "http://{dashboard}"])
def test_a_program_is_not(api: Api, guid: str, origin: str | None) -> None:
    given = origin and origin.format(**_hosts(api, guid))
    with api.connect(guid, "ws", origin=given) as socket:
        socket.send("here")


@pytest.mark.parametrize("key", ["Key wrong", "Bearer x", ""])
def test_without_a_good_key_there_is_none_at_the_dashboard(api: Api, guid: str, key: str) -> None:
    headers = {"Authorization": key}
    with (
        pytest.raises(InvalidStatus) as caught,
        api.connect(guid, "ws", additional_headers=headers, origin=None),
    ):
        pass
    assert caught.value.response.status_code == 401


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        *((None, 101), ("http://{content}", 101), ("http://{dashboard}", 403)),
        *(("null", 403), ("http://localhost", 403), ("http://127.0.0.1:3000", 403)),
    ],
)
def test_a_page_of_content_connects_as_its_visitor(
    api: Api, guid: str, origin: str | None, status: int
) -> None:
    hosts = _hosts(api, guid)
    api.ask("PATCH", f"v1/content/{guid}", json={"access_type": "acl"})
    with api.browse(guid) as browser:
        cookies = "; ".join(f"{one.name}={one.value}" for one in browser.cookies.jar)
    url = f"ws://{hosts['content']}/content/{guid}/ws"
    given: Any = origin and origin.format(**hosts)
    how: dict[str, Any] = {"origin": given, "proxy": None, "open_timeout": PATIENCE}
    with pytest.raises(InvalidStatus) as caught, connect(url, **how):
        pass
    assert caught.value.response.status_code == (401 if status == 101 else status)
    how["additional_headers"] = {"Cookie": f"theirs=1; {cookies}"}
    if status != 101:
        with pytest.raises(InvalidStatus) as caught, connect(url, **how):
            pass
        assert caught.value.response.status_code == status
        return
    with connect(url, **how) as socket:
        asked = dict(json.loads(socket.recv())["headers"])
    assert json.loads(asked["rstudio-connect-credentials"]) == {"user": "local", "groups": []}
    assert asked["cookie"] == "theirs=1"
    assert asked.get("origin") == given


@pytest.fixture
def without_sockets(api: Api) -> dict[str, int]:
    """Content that has no WebSockets, with the status that each answers."""
    static = {"appmode": "static", "entrypoint": "index.html"}
    page = bundle_of({"index.html": b"<p>"}, metadata=static, python=None)
    return {
        "none": 404,
        api.create(): 404,
        api.ship(page): 404,
        api.ship(bundle({"app.py": b"raise ValueError"})): 502,
        api.ship(
            bundle({"app.py": WSGI_APP}, metadata={"appmode": "python-api", "entrypoint": "app"})
        ): 403,
    }


def test_no_socket_to_connect_to(api: Api, without_sockets: dict[str, int]) -> None:
    for guid, status in without_sockets.items():
        assert _refusal(api, guid, "ws") == status


def test_something_else_than_a_web_socket_answers(api: Api) -> None:
    # Stands in for a framework: serves, but not HTTP.
    program = b"""
import socket, sys
port = int(next(a for a in sys.argv if "port=" in a).partition("=")[2])
with socket.create_server(("127.0.0.1", port)) as listening:
    while True:
        connection, _ = listening.accept()
        connection.sendall(b"nonsense\\r\\n\\r\\n")
        connection.close()
"""
    files = {"streamlit.py": program, "app.py": b"", "requirements.txt": b""}
    metadata = {"appmode": "python-streamlit", "entrypoint": "app.py"}
    guid = api.ship(bundle_of(files, metadata=metadata))

    assert _refusal(api, guid, "ws") == 502
    assert api.visit(guid).status_code == 502
