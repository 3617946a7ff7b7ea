"""Host and Origin, to the letter: which of the two origins a request is for, and who may ask."""

from __future__ import annotations

import socket
from contextlib import closing
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import httpx2
import pytest
from support.waiting import PATIENCE

if TYPE_CHECKING:
    from support.local_api import Api


def _ports(api: Api) -> tuple[int, int]:
    """Return the ports of the dashboard and of content."""
    answer = httpx2.get(f"{api.server.url}/content/x/", trust_env=False)
    ports = urlsplit(api.server.url).port, urlsplit(answer.headers["location"]).port
    assert ports[0]
    assert ports[1]
    return ports[0], ports[1]


def _raw(port: int, *lines: str) -> tuple[int, str]:
    """Send a request as it is, and return the status and the head of the answer."""
    with closing(socket.create_connection(("127.0.0.1", port), PATIENCE)) as connection:
        connection.sendall("\r\n".join((*lines, "Connection: close", "", "")).encode("latin-1"))
        head = b""
        while b"\r\n\r\n" not in head and (more := connection.recv(65536)):
            head += more
    text = head.partition(b"\r\n\r\n")[0].decode("latin-1")
    return int(text.split()[1]), text


_OTHER_HOSTS = (
    *("evil.example", "evil.example:{0}", "127.0.0.1", "localhost", "127.0.0.1:1", "localhost:1"),
    *("LOCALHOST:{0}", "Localhost:{1}", "localhost.:{1}", "127.0.0.1.:{0}", "[::1]:{0}", "::1"),
    *("127.0.0.1:{0}@evil.example", "evil.example@127.0.0.1:{0}", "127.1:{0}", "0.0.0.0:{0}"),
    *("127.0.0.1:{0}/", "127.0.0.1:0{0}", "user@localhost:{1}", "127.0.0.2:{0}", ""),
)


@pytest.mark.parametrize("host", _OTHER_HOSTS)
def test_another_name_is_refused(api: Api, host: str) -> None:
    ports = _ports(api)
    key = f"Authorization: Key {api.server.api_key.reveal()}"
    for port in ports:
        for path in ("/__api__/server_settings", "/connect/", "/content/x/"):
            lines = (f"GET {path} HTTP/1.1", f"Host: {host.format(*ports)}", key)
            assert _raw(port, *lines)[0] == 400, path


def test_a_request_has_one_host_and_a_path(api: Api) -> None:
    ports = _ports(api)
    own, evil = f"127.0.0.1:{ports[0]}", "evil.example"
    path = "/__api__/server_settings"
    assert _raw(ports[0], f"GET {path} HTTP/1.1", f"Host: {own}")[0] == 200
    assert _raw(ports[0], f"GET {path} HTTP/1.0")[0] == 400
    assert _raw(ports[0], f"GET {path} HTTP/1.1")[0] == 400
    for hosts in ((own, own), (own, evil), (evil, own)):
        assert _raw(ports[0], f"GET {path} HTTP/1.1", *(f"Host: {one}" for one in hosts))[0] == 400
    for target in (f"http://{evil}{path}", f"http://{own}{path}", "*"):
        assert _raw(ports[0], f"GET {target} HTTP/1.1", f"Host: {own}")[0] == 400


def test_each_port_has_one_name(api: Api) -> None:
    ports = _ports(api)
    for port, host, to in (
        (ports[0], "localhost", f"http://127.0.0.1:{ports[0]}"),
        (ports[1], "127.0.0.1", f"http://localhost:{ports[1]}"),
    ):
        for path in ("/connect/", "/content/x/%41%2f?a=%26&b", "//evil.example/"):
            url = f"http://{host}:{port}{path}"
            for method in ("GET", "HEAD"):
                answer = httpx2.request(method, url, trust_env=False)
                assert (answer.status_code, answer.headers["location"]) == (307, to + path)
            assert httpx2.post(url, trust_env=False).status_code == 400


def test_the_api_answers_under_both_names_of_its_port_and_nowhere_else(api: Api) -> None:
    ports = _ports(api)
    guid = api.ship()
    for path, status in (("/__api__/v1/user", 200), (f"/content/{guid}/", 200)):
        url = f"http://localhost:{ports[0]}{path}"
        assert api.client.get(url).status_code == status
    answer = httpx2.get(f"http://localhost:{ports[0]}/__api__/v1/user", trust_env=False)
    assert (answer.status_code, "location" in answer.headers) == (401, False)
    for path in ("/__api__/v1/user", "/__api__/server_settings", "/connect/", "/"):
        assert api.client.get(f"http://localhost:{ports[1]}{path}").status_code == 404


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
@pytest.mark.parametrize(
    "origin",
    [
        *("https://evil.example", "null", "http://localhost:{0}", "http://localhost:{1}", ""),
        *("http://127.0.0.1:{1}", "http://127.0.0.1", "https://127.0.0.1:{0}"),
        *("http://127.0.0.1:{0}/", "HTTP://127.0.0.1:{0}"),
    ],
)
def test_pages_of_elsewhere_change_nothing(api: Api, method: str, origin: str) -> None:
    headers = {"Origin": origin.format(*_ports(api))}
    count = len(api.ask("GET", "v1/content"))
    for path in ("/__api__/v1/content", "/connect/", "/content/x/", "/vanity/"):
        answer = api.client.request(
            method, api.server.url + path, headers=headers, json={"name": "forged"}
        )
        assert (answer.status_code, answer.json()["code"]) == (403, 92)
        assert not any(name.startswith("access-control-") for name in answer.headers)
    assert len(api.ask("GET", "v1/content")) == count


def test_programs_name_no_origin_and_our_pages_name_ours(api: Api) -> None:
    for headers in ({}, {"Origin": api.server.url}):
        api.client.headers.pop("origin", None)
        api.ask("POST", "__local__/login", headers=headers)


def test_the_pages_of_the_dashboard_are_kept_apart(api: Api) -> None:
    ports = _ports(api)
    for path, status in (("/connect/", 401), ("/nothing", 404), ("/__api__/v1/user", 401)):
        answer = httpx2.get(api.server.url + path, trust_env=False)
        assert answer.status_code == status
        policy = answer.headers["content-security-policy"].split("; ")
        assert {
            *("default-src 'none'", "script-src 'self'", "form-action 'self'", "base-uri 'none'"),
            *("frame-ancestors 'none'", f"frame-src http://localhost:{ports[1]}"),
        } <= set(policy)
        assert "unsafe" not in str(policy)
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "same-origin"
        assert answer.headers["cross-origin-opener-policy"] == "same-origin"
        assert answer.headers["cross-origin-resource-policy"] == "same-origin"


def _has_ipv6() -> bool:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        return False
    return True


@pytest.mark.skipif(not _has_ipv6(), reason="there is no IPv6")
def test_nobody_else_gets_the_other_address_of_a_name(api: Api) -> None:
    for port, name in zip(_ports(api), ("127.0.0.1", "localhost"), strict=True):
        with closing(socket.create_connection(("::1", port), PATIENCE)) as connection:
            lines = ("GET /nothing HTTP/1.1", f"Host: {name}:{port}", "Connection: close", "", "")
            connection.sendall("\r\n".join(lines).encode())
            assert connection.recv(4096).startswith(b"HTTP/1.1 404")
