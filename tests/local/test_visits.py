from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import shutil
import socket
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import httpx2
import pytest
from support.connect_content import WSGI_APP, bundle
from support.waiting import PATIENCE, until

from hatch_connect.local.serving import _bind

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.local_api import Api

    from hatch_connect.local.folder import LocalServer

_STREAMING = b"""
import asyncio

async def app(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"first", "more_body": True})
    await asyncio.sleep(0 if scope["path"] == "/short" else 3600)
    await send({"type": "http.response.body", "body": b"last"})
"""

_COMPRESSED = b"""
import gzip

async def app(scope, receive, send):
    headers = [(b"content-encoding", b"gzip")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": gzip.compress(b"small")})
"""


_TALKING = b"""
import os

async def app(scope, receive, send):
    key = os.environ["CONNECT_API_KEY"]
    print("my key is", key)
    if scope["path"] == "/die":
        os._exit(7)
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": key.encode()})
"""

_OWN = ("rstudio-connect-", "posit-connect-", "x-forwarded-", "x-rsc-", "forwarded")


@pytest.fixture(scope="session")
def shown(server: object) -> dict[str, str]:
    del server
    return {}


@pytest.fixture
def guid(api: Api, shown: dict[str, str]) -> str:
    """Content that shows what it was asked, the same for all of these tests."""
    if "guid" not in shown:
        shown["guid"] = api.ship()
    return shown["guid"]


def test_a_request_arrives_as_it_was_sent(api: Api, guid: str) -> None:
    headers = {"X-Mine": "1", "Cookie": "a=b"}
    seen = api.visit(guid, "a%20b/c?x=1&y=%26", method="POST", content=b"body", headers=headers)

    request = seen.json()
    assert request["method"] == "POST"
    assert request["path"] == "/a b/c"
    assert request["query"] == "x=1&y=%26"
    assert request["body"] == "body"
    assert request["headers"]["x-mine"] == "1"
    assert request["headers"]["cookie"] == "a=b"


def test_content_learns_where_it_is_mounted(api: Api, guid: str) -> None:
    request = api.visit(guid, "x").json()

    assert request["root_path"] == f"/content/{guid}"
    headers = request["headers"]
    assert headers["host"] == api.server.url.removeprefix("http://")
    assert headers["x-forwarded-host"] == headers["host"]
    assert headers["x-forwarded-proto"] == "http"
    assert headers["rstudio-connect-app-base-url"] == f"{api.server.url}/content/{guid}"
    assert headers["x-rsc-request"] == f"{api.server.url}/content/{guid}/x"


def test_nothing_is_added_that_the_visitor_did_not_send(api: Api, guid: str) -> None:
    connection = http.client.HTTPConnection(api.server.url.removeprefix("http://"))
    with contextlib.closing(connection):
        connection.putrequest("GET", f"/content/{guid}/", skip_accept_encoding=True)
        connection.putheader("Authorization", f"Key {api.server.api_key.reveal()}")
        connection.endheaders()
        headers = json.loads(connection.getresponse().read())["headers"]

    assert headers.keys() == {
        "host",
        "rstudio-connect-app-base-url",
        "rstudio-connect-credentials",
        "x-forwarded-for",
        "x-forwarded-host",
        "x-forwarded-prefix",
        "x-forwarded-proto",
        "x-rsc-request",
    }


def test_compressed_content_arrives_as_it_is(api: Api) -> None:
    guid = api.ship(bundle({"app.py": _COMPRESSED}))

    answer = api.visit(guid)

    assert answer.headers["content-encoding"] == "gzip"
    assert answer.text == "small"


def test_what_only_the_server_says_cannot_be_sent(api: Api, guid: str) -> None:
    forged = {
        "X-Forwarded-Prefix": "/x",
        "X_Forwarded_Prefix": "/x",
        "RStudio-Connect-Credentials": '{"user": "root"}',
        "RStudio_Connect_Credentials": '{"user": "root"}',
        "rstudio-connect_credentials": '{"user": "root"}',
        "Posit_Connect_User_Session_Token": "forged",
        "X-RSC-Authorization": "Key forged",
        "X-Forwarded-Port": "1",
        "Forwarded": "host=evil.example",
    }
    request = api.visit(guid, headers=forged).json()

    assert request["root_path"] == f"/content/{guid}"
    assert json.loads(request["headers"].pop("rstudio-connect-credentials")) == {
        "user": "local",
        "groups": [],
    }
    own = {"x-forwarded-for", "x-forwarded-host", "x-forwarded-prefix", "x-forwarded-proto"}
    own |= {"rstudio-connect-app-base-url", "x-rsc-request"}
    assert {n for n in request["headers"] if n.replace("_", "-").startswith(_OWN)} == own


def test_the_key_does_not_reach_content(api: Api, guid: str) -> None:
    with_key = api.visit(guid, headers={"Authorization": f"kEy  {api.server.api_key.reveal()}"})
    with api.browse(guid) as browser:
        with_token = browser.get(
            _at_content(api, guid), headers={"Authorization": "Bearer of-the-app"}
        )

    assert with_key.status_code == 200
    assert api.server.api_key.reveal() not in with_key.text
    assert with_token.json()["headers"]["authorization"] == "Bearer of-the-app"


def _at_content(api: Api, guid: str, path: str = "") -> str:
    """Return the URL for browsers."""
    answer = httpx2.get(f"{api.server.url}/content/{guid}/{path}", trust_env=False)
    url: str = answer.headers["location"]
    assert url.startswith("http://localhost:")
    return url


def _ask_as(key: str, api: Api, path: str) -> int:
    headers = {"Authorization": f"Key {key}"}
    url = f"{api.server.url}/__api__/{path}"
    return httpx2.get(url, headers=headers, trust_env=False, timeout=PATIENCE).status_code


def test_content_may_call_the_api_with_a_key_of_its_own_while_it_runs(api: Api) -> None:
    guids = [api.ship(bundle({"app.py": _TALKING})) for _ in range(2)]
    keys = [api.visit(guid).text for guid in guids]
    assert len({*keys, api.server.api_key.reveal()}) == 3
    for guid, key in zip(guids, keys, strict=True):
        assert _ask_as(key, api, "v1/user") == 200
        assert _ask_as(key, api, f"v1/content/{guid}") == 200
        # What is ours alone, such as how long the server runs, is not for content.
        assert _ask_as(key, api, "__local__/leases") == 401
        path = f"v1/content/{guid}/jobs"
        (job,) = api.jobs(guid)
        log = api.ask("GET", f"{path}/{job['key']}/log")["entries"]
        assert "my key is ***" in [entry["data"] for entry in log]
    api.visit(guids[0], "die")
    until(lambda: _ask_as(keys[0], api, "v1/user") == 401)
    assert _ask_as(keys[1], api, "v1/user") == 200
    without = {"Authorization": keys[1]}
    answer = httpx2.get(f"{api.server.url}/__api__/v1/user", headers=without, trust_env=False)
    assert answer.status_code == 401


def test_a_key_among_the_variables_of_content_counts(api: Api) -> None:
    guid = api.ship()
    given = [{"name": "CONNECT_API_KEY", "value": "of-another-server"}]
    api.ask("PATCH", f"v1/content/{guid}/environment", json=given)
    assert api.visit(guid).json()["environ"]["CONNECT_API_KEY"] == "of-another-server"


def test_content_has_an_environment_of_its_own(api: Api) -> None:
    guid = api.ship()
    given = [{"name": "MODE", "value": "a b\nä"}, {"name": "CONNECT_SERVER", "value": "forged"}]
    api.ask("PATCH", f"v1/content/{guid}/environment", json=given)

    seen = api.visit(guid).json()

    environ = seen["environ"]
    assert environ["MODE"] == "a b\nä"
    assert environ["CONNECT_SERVER"] == api.server.url
    assert environ["CONNECT_CONTENT_GUID"] == guid
    assert environ["HOME"].endswith(guid)
    assert environ.keys() <= {
        "CONNECT_API_KEY",
        "CONNECT_CONTENT_GUID",
        "CONNECT_CONTENT_JOB_KEY",
        "CONNECT_SERVER",
        "HOME",
        "LANG",
        "LC_CTYPE",
        "MODE",
        "PATH",
        "POSIT_PRODUCT",
        "PYTHONUNBUFFERED",
        "RSTUDIO_PRODUCT",
        "TMPDIR",
        "VIRTUAL_ENV",
    }
    assert "key-of-the-developer" not in str(seen)


def test_changed_variables_reach_content_at_the_next_visit(api: Api) -> None:
    guid = api.ship()
    path = f"v1/content/{guid}/environment"
    assert "MODE" not in api.visit(guid).json()["environ"]

    api.ask("PATCH", path, json=[{"name": "MODE", "value": "on"}])

    assert api.visit(guid).json()["environ"]["MODE"] == "on"


def test_redirects_stay_below_the_content(api: Api, guid: str) -> None:
    answer = api.visit(guid, "away")

    assert answer.status_code == 307
    assert answer.headers["location"] == f"/content/{guid}/there"
    assert answer.headers.get_list("set-cookie") == ["a=1", "b=2"]


def test_the_missing_slash_is_added(api: Api, guid: str) -> None:
    bare = f"{api.server.url}/content/{guid}"
    number = api.ask("GET", f"v1/content/{guid}")["bundle_id"]

    for path in ("", f"/_bundle{number}"):
        answer = api.client.get(f"{bare}{path}?x=1")
        assert answer.status_code == 307
        assert answer.headers["location"] == f"/content/{guid}{path}/?x=1"


def test_what_is_not_deployed_is_not_found(api: Api, guid: str) -> None:
    other = api.ask("GET", f"v1/content/{guid}")["bundle_id"]
    empty = api.create()

    for path in (f"{empty}/", f"{empty}/_bundle{other}/", f"{guid}/_bundle999999/", "none/"):
        assert api.visit(path.partition("/")[0], path.partition("/")[2]).status_code == 404


def test_an_answer_is_streamed(api: Api) -> None:
    guid = api.ship(bundle({"app.py": _STREAMING}))
    url = f"{api.server.url}/content/{guid}/"

    with api.client.stream("GET", url) as answer:
        assert next(answer.iter_raw()) == b"first"

    assert api.visit(guid, "short").text == "firstlast"


def test_wsgi_content(api: Api) -> None:
    metadata = {"appmode": "python-api", "entrypoint": "app"}
    guid = api.ship(bundle({"app.py": WSGI_APP}, metadata=metadata))

    assert api.visit(guid, "a/b").text == f"/content/{guid}|/a/b"


def test_content_that_does_not_start_shows_why(api: Api) -> None:
    guid = api.ship(bundle({"app.py": b"raise ValueError('<no> way')"}))

    answer = api.visit(guid)

    assert answer.status_code == 502
    assert "ValueError: &lt;no&gt; way" in answer.text
    (job,) = api.jobs(guid)
    assert job["exit_code"] == 1
    assert job["end_time"]


def test_content_that_takes_too_long_is_ended(api: Api) -> None:
    guid = api.ship(bundle({"app.py": b"import time\nprint('slow')\ntime.sleep(3600)"}))
    api.ask("PATCH", f"v1/content/{guid}", json={"init_timeout": 1})

    answer = api.visit(guid)

    assert answer.status_code == 502
    assert "within 1 s" in answer.text
    assert "slow" in answer.text


def test_content_whose_files_are_gone_is_deployed_again(api: Api) -> None:
    guid = api.ship()
    number = api.ask("GET", f"v1/content/{guid}")["bundle_id"]
    shutil.rmtree(api.server.state / "unpacked" / number)

    answer = api.visit(guid)

    assert answer.status_code == 502
    assert "Deploy it again." in answer.text
    assert api.deploy(guid, number)["code"] == 0
    assert api.visit(guid).status_code == 200


def test_content_that_dies_is_started_again(api: Api) -> None:
    guid = api.ship()
    assert api.visit(guid, "die").status_code == 502

    assert api.visit(guid).status_code == 200

    until(lambda: any(one["end_time"] for one in api.jobs(guid)))
    assert api.jobs(guid)[1]["exit_code"] == 7


def test_a_browser_gets_content_at_an_origin_of_its_own(api: Api, guid: str) -> None:
    with api.browse() as browser:
        request = browser.get(f"{api.server.url}/content/{guid}/a?x=1&y=%26").json()

    assert (request["path"], request["query"]) == ("/a", "x=1&y=%26")
    headers = request["headers"]
    assert headers["host"].startswith("localhost:")
    assert headers["rstudio-connect-app-base-url"] == f"http://{headers['host']}/content/{guid}"
    assert headers["x-rsc-request"] == f"http://{headers['host']}/content/{guid}/a?x=1&y=%26"
    assert json.loads(headers["rstudio-connect-credentials"])["user"] == "local"
    assert "cookie" not in headers


def test_content_gets_its_own_cookies_only(api: Api, guid: str) -> None:
    url = _at_content(api, guid)
    with api.browse(guid) as browser:
        names = [cookie.name for cookie in browser.cookies.jar]
        assert any(name.startswith("hatch-connect-visitor-") for name in names)
        header = "; ".join(
            ("a=1", *(f"{cookie.name}={cookie.value}" for cookie in browser.cookies.jar), "b=2")
        )
    request = httpx2.get(url, headers={"Cookie": header}, trust_env=False).json()
    assert request["headers"]["cookie"] == "a=1; b=2"


_SETS_COOKIES = b"""
async def app(scope, receive, send):
    cookies = [b"hatch-connect-visitor-1=x", b"__Host-hatch-connect-visitor-1=x; Path=/; Secure"]
    cookies += [b"=hatch-connect-session-1=x", b"= Hatch-Connect-session-1=x; Path=/connect/"]
    cookies += [b"own=hatch-connect-"]
    headers = [(b"set-cookie", one) for one in cookies] + [(b"service-worker-allowed", b"/")]
    headers += [(b"clear-site-data", b"*"), (b"date", b"Sat, 01 Jan 2000 00:00:00 GMT")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b""})
"""


def test_content_sets_no_cookie_of_ours(api: Api) -> None:
    answer = api.visit(api.ship(bundle({"app.py": _SETS_COOKIES})))
    assert answer.headers.get_list("set-cookie") == ["own=hatch-connect-"]
    assert {"service-worker-allowed", "clear-site-data"}.isdisjoint(answer.headers)
    (date,) = answer.headers.get_list("date")
    assert "2000" not in date


# Answers with the bytes that it is asked with, or as what it was asked.
_ANSWERS_RAW = b"""
async def app(scope, receive, send):
    body, message = b"", {"more_body": True}
    while message.get("more_body"):
        message = await receive()
        body += message.get("body", b"")
    if scope["path"] == "/raw":
        send.__self__.transport.write(body)
        send.__self__.transport.close()
        return
    seen = [scope["raw_path"], dict(scope["headers"]).get(b"x-rsc-request"), body]
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b" ".join(seen)})
"""


@pytest.fixture
def raw(api: Api, shown: dict[str, str]) -> str:
    if "raw" not in shown:
        shown["raw"] = api.ship(bundle({"app.py": _ANSWERS_RAW}))
    return shown["raw"]


@pytest.fixture
def no_traceback(server: LocalServer) -> Iterator[None]:
    """What content or a visitor sends is no failure of the server."""
    log = server.state / "server.log"
    before = log.stat().st_size
    yield
    assert b"Traceback" not in log.read_bytes()[before:]


_CHUNKED = "5\r\nhello\r\n0\r\n\r\n"


@pytest.mark.usefixtures("no_traceback")
@pytest.mark.parametrize(
    ("answer", "status", "text"),
    [
        ("302 Found\r\nLocation: http://[\r\nContent-Length: 0\r\n\r\n", 302, ""),
        ("999 Odd\r\nContent-Length: 2\r\n\r\nhi", 502, "999 is no status"),
        ("101 Switching Protocols\r\nUpgrade: x\r\n\r\n", 502, ""),
        (
            "200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n" + _CHUNKED,
            200,
            "hello",
        ),
    ],
)
def test_an_odd_answer_of_content(api: Api, raw: str, answer: str, status: int, text: str) -> None:
    seen = api.visit(raw, "raw", method="POST", content=f"HTTP/1.1 {answer}".encode())
    assert seen.status_code == status
    assert text in seen.text


@pytest.mark.usefixtures("no_traceback")
@pytest.mark.parametrize("headers", ["Content-Length: 9", "Transfer-Encoding: chunked"])
def test_an_answer_that_breaks_off_does_so_for_the_visitor(
    api: Api, raw: str, headers: str
) -> None:
    answer = f"HTTP/1.1 200 OK\r\n{headers}\r\n\r\n5\r\n".encode()
    with pytest.raises(httpx2.RemoteProtocolError):
        api.visit(raw, "raw", method="POST", content=answer)


@pytest.mark.usefixtures("no_traceback")
@pytest.mark.parametrize(
    ("target", "length", "seen"),
    [
        ("x#y?z", "", " http://{host}/content/{guid}/x "),
        ("x?y#z", "", " http://{host}/content/{guid}/x?y "),
        ("%0d%00", "", "/%0d%00 http://{host}/content/{guid}/%0d%00 "),
        ("", "Content-Length: 3\r\n", " hello"),
        ("", "Content-Length: 9\r\n", " hello"),
    ],
)
def test_an_odd_request_to_content(api: Api, raw: str, target: str, length: str, seen: str) -> None:
    url, key = urlsplit(api.server.url), api.server.api_key.reveal()
    request = (
        f"POST /content/{raw}/{target} HTTP/1.1\r\nHost: {url.netloc}\r\n"
        f"Authorization: Key {key}\r\nConnection: close\r\n{length}"
        f"Transfer-Encoding: chunked\r\n\r\n{_CHUNKED}"
    )
    with socket.create_connection((url.hostname, url.port), timeout=PATIENCE) as connection:
        connection.sendall(request.encode())
        answer = b"".join(iter(lambda: connection.recv(1 << 16), b"")).decode()
    assert answer.startswith("HTTP/1.1 200 ")
    assert seen.format(host=url.netloc, guid=raw) in answer


def test_a_slash_that_is_encoded_does_not_end_the_guid(api: Api, raw: str) -> None:
    url, key = urlsplit(api.server.url), api.server.api_key.reveal()
    connection = http.client.HTTPConnection(url.netloc, timeout=PATIENCE)
    with contextlib.closing(connection):
        connection.request("GET", f"/content/{raw}%2fx", headers={"Authorization": f"Key {key}"})
        assert connection.getresponse().status == 404


_TELLS_NODELAY = b"""
import socket

async def app(scope, receive, send):
    ours = send.__self__.transport.get_extra_info("socket")
    told = ours.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"at once" if told else b"later"})
"""


def test_small_answers_are_sent_at_once(api: Api) -> None:
    assert api.visit(api.ship(bundle({"app.py": _TELLS_NODELAY}))).text == "at once"


async def _is_sent_at_once(listening: socket.socket) -> bool:
    told: asyncio.Future[bool] = asyncio.get_running_loop().create_future()

    def answer(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        accepted = writer.get_extra_info("socket")
        told.set_result(bool(accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)))
        writer.close()

    async with await asyncio.start_server(answer, sock=listening):
        _reader, writer = await asyncio.open_connection(*listening.getsockname()[:2])
        try:
            return await told
        finally:
            writer.close()


def test_small_answers_of_the_server_are_sent_at_once() -> None:
    assert asyncio.run(_is_sent_at_once(_bind(0, None)))
