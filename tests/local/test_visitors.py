"""Who visits content, and as whom: by tickets and cookies, in a real browser too."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import httpx2
import pytest
from support.browser import browser, needs_chromium
from support.connect_content import bundle
from support.local_api import Api, asking
from support.waiting import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.browser import Page

    from hatch_connect.local.folder import LocalServer

# Says who visits, in its page and by a WebSocket.
_WHO = b"""
import json

PAGE = '''<!doctype html><title>who</title><p id="page">page: %s</p>
<p>cookies: [%s]</p><p id="socket"></p><script>
const socket = new WebSocket(location.href.replace("http", "ws").split("?")[0] + "ws");
socket.onmessage = event => document.getElementById("socket").textContent = event.data;
socket.onclose = event => document.getElementById("socket").textContent += " closed";
</script>'''

async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        return
    known = dict(scope["headers"]).get(b"rstudio-connect-credentials", b"null")
    user = (json.loads(known) or {"user": "nobody"})["user"]
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.send", "text": "socket: " + user})
        await receive()
        return
    seen = dict(scope["headers"]).get(b"cookie", b"").decode()
    headers = [(b"content-type", b"text/html")]
    headers += [(b"x-frame-options", b"SAMEORIGIN")]
    headers += [(b"content-security-policy", b"frame-ancestors 'self'; report-uri /x")]
    headers += [(b"set-cookie", b"own=1; Path=/; SameSite=Strict"), (b"set-cookie", b"plain=2")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": (PAGE % (user, seen)).encode()})
"""
_NAVIGATES = {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}


@pytest.fixture(scope="module")
def guid(server: LocalServer) -> str:
    """Content of the developer that ann may see as well, as a viewer."""
    with asking(server) as api:
        guid = api.ship(bundle({"app.py": _WHO}))
        people = {one["username"]: one["guid"] for one in api.ask("GET", "v1/users")["results"]}
        given = {"principal_guid": people["ann"], "principal_type": "user", "role": "viewer"}
        api.ask("POST", f"v1/content/{guid}/permissions", json=given)
        return guid


def _ticket(api: Api, guid: str, path: str = "", **headers: str) -> str:
    """Return where a browser that shows content is sent to."""
    url = f"{api.server.url}/content/{guid}/{path}"
    given = {**_NAVIGATES, **headers}
    answer = api.client.get(url, headers=given)
    assert answer.status_code == 307, answer.text
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["referrer-policy"] == "no-referrer"
    to: str = answer.headers["location"]
    return to


@pytest.fixture
def visitor() -> Iterator[httpx2.Client]:
    """A browser as far as cookies go."""
    with httpx2.Client(trust_env=False, timeout=PATIENCE) as client:
        yield client


def test_a_ticket_is_good_once_and_becomes_a_cookie(
    ann: Api, guid: str, visitor: httpx2.Client
) -> None:
    url = _ticket(ann, guid, "a%20b?x=%26&x=2")
    assert "?x=%26&x=2&__ticket__=" in url
    answer = visitor.get(url)
    assert answer.status_code == 303
    assert answer.headers["location"] == url.partition("&__ticket__")[0]
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["referrer-policy"] == "no-referrer"
    port = urlsplit(url).port
    framed, plain = answer.headers.get_list("set-cookie")
    assert framed.startswith(f"__Host-hatch-connect-visitor-{port}=")
    assert plain.startswith(f"hatch-connect-visitor-{port}=")
    common = {"path=/", "httponly", "max-age=43200"}
    assert {*common, "samesite=none", "secure", "partitioned"} < set(framed.lower().split("; "))
    assert {*common, "samesite=lax"} < set(plain.lower().split("; "))
    assert "page: ann" in visitor.get(answer.headers["location"]).text
    with httpx2.Client(trust_env=False) as other:
        again = other.get(url)
        assert (again.status_code, "set-cookie" in again.headers) == (303, False)
        assert other.get(again.headers["location"]).status_code == 401


@pytest.mark.parametrize(
    ("method", "headers"),
    [
        ("HEAD", {}),
        ("POST", {}),
        ("GET", {"Sec-Purpose": "prefetch"}),
        ("GET", {"Sec-Fetch-Mode": "cors", "Sec-Fetch-Dest": "empty"}),
        ("GET", {"Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "image"}),
    ],
)
def test_what_shows_nothing_does_not_use_a_ticket_up(
    method: str, headers: dict[str, str], ann: Api, guid: str, visitor: httpx2.Client
) -> None:
    url = _ticket(ann, guid)
    answer = visitor.request(method, url, headers=headers)
    assert (answer.status_code, "set-cookie" in answer.headers) == (204, False)
    framed = {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "iframe"}
    assert "set-cookie" in visitor.get(url, headers=framed).headers


def test_a_ticket_is_for_one_content_at_one_origin(api: Api, ann: Api, guid: str) -> None:
    other = api.ship(bundle({"app.py": _WHO}))
    url = _ticket(ann, guid)
    wrong = httpx2.get(url.replace(guid, other), trust_env=False)
    assert "set-cookie" not in wrong.headers
    assert "set-cookie" not in httpx2.get(url, trust_env=False).headers  # it was used for that
    there = api.server.url + url.partition("/content/")[2].join(("/content/", ""))
    assert "set-cookie" not in httpx2.get(there, trust_env=False).headers


def test_whoever_may_not_visit_learns_why(
    api: Api, ann: Api, bob: Api, guid: str, visitor: httpx2.Client
) -> None:
    nobody = visitor.get(_ticket(bob, guid).partition("?")[0])
    assert (nobody.status_code, nobody.headers["cache-control"]) == (401, "no-store")
    assert f"hatch-connect open --local --app-id {guid}" in nobody.text
    visitor.follow_redirects = True
    refused = visitor.get(_ticket(bob, guid))
    assert refused.status_code == 403
    assert "bob may not see this content" in refused.text
    assert "page: ann" in visitor.get(_ticket(ann, guid)).text
    draft = f"_bundle{api.ask('GET', f'v1/content/{guid}')['bundle_id']}/"
    assert "page: ann" in visitor.get(_ticket(ann, guid, "_bundles/")).text
    assert visitor.get(_ticket(ann, guid, draft)).status_code == 403
    assert "page: local" in visitor.get(_ticket(api, guid, draft)).text
    for path in ("", draft, "__thumbnail__"):
        assert bob.visit(guid, path).json()["code"] == 19
        assert bob.visit(guid, path).status_code == 403
    assert ann.visit(guid, draft).status_code == 403
    assert bob.visit(guid, headers={"Authorization": "Key wrong"}).status_code == 401
    assert bob.visit(guid, method="POST", headers={"Authorization": ""}).status_code == 401


def test_content_for_all_takes_anybody_and_drafts_do_not(
    api: Api, bob: Api, visitor: httpx2.Client
) -> None:
    guid = api.ship(bundle({"app.py": _WHO}))
    url = _ticket(api, guid).partition("?")[0]
    for access, nobody in (("acl", 401), ("logged_in", 401), ("all", 200)):
        api.ask("PATCH", f"v1/content/{guid}", json={"access_type": access})
        assert visitor.get(url).status_code == nobody
        assert bob.visit(guid).status_code == (403 if access == "acl" else 200)
    assert "page: nobody" in visitor.get(url).text
    assert "page: bob" in bob.visit(guid).text
    number = api.ask("GET", f"v1/content/{guid}")["bundle_id"]
    assert visitor.get(f"{url}_bundle{number}/").status_code == 401


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://localhost"},
        {"Origin": "null", "Sec-Fetch-Site": "same-site"},
    ],
)
def test_pages_of_elsewhere_do_not_visit_as_the_visitor(
    headers: dict[str, str], ann: Api, guid: str, visitor: httpx2.Client
) -> None:
    url = _ticket(ann, guid)
    visitor.get(url)
    own = url.partition("/content/")[0]
    at = url.partition("?")[0]
    assert visitor.post(at, headers={"Origin": own}).status_code == 200
    sandboxed = {"Origin": "null", "Sec-Fetch-Site": "same-origin"}
    assert visitor.post(at, headers=sandboxed).status_code == 200
    assert visitor.post(at, headers=headers).status_code == 401
    assert visitor.get(at, headers=headers).status_code == 401


def test_a_forged_cookie_is_nobody(api: Api, ann: Api, guid: str) -> None:
    url = _ticket(ann, guid)
    answer = httpx2.get(url, trust_env=False)
    good = [one.partition(";")[0] for one in answer.headers.get_list("set-cookie")]
    at = url.partition("?")[0]
    name, _, value = good[1].partition("=")
    session = (
        httpx2.get(api.ask("POST", "__local__/login")["url"], trust_env=False)
        .headers["set-cookie"]
        .partition(";")[0]
        .partition("=")[2]
    )
    for cookie, status in (
        (good[0], 200),
        (good[1], 200),
        (f"{name}={value[:-1]}", 401),
        (f"{name}={session}", 401),
        (f"{name}=", 401),
        (f"{name}=x; {good[1]}", 200),
        (f"{good[1]}; {name}=x", 200),
        (f"__Host-{name}=x; {good[1]}", 200),
    ):
        answer = httpx2.get(at, headers={"Cookie": cookie}, trust_env=False)
        assert answer.status_code == status, cookie


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    with browser(tmp_path_factory.mktemp("chromium") / "profile") as page:
        yield page


def _sign_in(page: Page, api: Api, path: str = "/connect/") -> None:
    page.open(api.ask("POST", "__local__/login", json={"next": path})["url"])


def _frame(page: Page, url: str) -> None:
    page.run(
        "document.querySelectorAll('iframe').forEach(e => e.remove());"
        "document.body.append(Object.assign(document.createElement('iframe'),"
        f" {{src: {json.dumps(url)}}})); null"
    )


@needs_chromium
def test_a_browser_visits_in_a_tab_and_in_a_frame_as_different_people(
    page: Page, api: Api, ann: Api, bob: Api, guid: str
) -> None:
    _sign_in(page, api, f"/content/{guid}/?x=1")
    page.see("socket: local")
    assert page.url.startswith("http://localhost:")
    assert page.url.endswith(f"/content/{guid}/?x=1")
    assert "page: local" in page.text
    content = page.url.partition("?")[0]
    # In the frame of the dashboard, which is another site, and as somebody else.
    page.open(f"{api.server.url}/connect/")
    assert page.url == f"{api.server.url}/connect/"
    _frame(page, _ticket(ann, guid))
    page.frame_see("socket: ann")
    # Cookies of its own work there as well.
    _frame(page, content)
    page.frame_see("page: ann")
    page.frame_see("cookies: [plain=2; own=1]")
    _frame(page, _ticket(bob, guid))
    page.frame_see("bob may not see this content")
    # The tab is a visitor of its own.
    page.open(content)
    page.see("socket: local")


@needs_chromium
def test_a_link_to_content_needs_the_session_only(page: Page, api: Api, guid: str) -> None:
    _sign_in(page, api)
    page.open(f"{api.server.url}/content/{guid}/")
    page.see("socket: local")


@needs_chromium
def test_content_cannot_change_who_visits(page: Page, api: Api, guid: str) -> None:
    _sign_in(page, api, f"/content/{guid}/")
    page.see("socket: local")
    port = urlsplit(page.url).port
    name = f"hatch-connect-visitor-{port}"
    assert page.run("document.cookie") == "plain=2; own=1"  # its own only
    for cookie in (
        *(f"{name}=x; path=/content/{guid}/", f"{name}=x; path=/", f"{name}=; max-age=0; path=/"),
        *(f"__Host-{name}=x; path=/; secure", f"__Host-{name}=x; path=/content/; secure"),
        *(f"__Host-{name}=x; path=/; secure; partitioned; samesite=none", f"={name}=x"),
        *("hatch-connect-session=x; domain=127.0.0.1", "a=b; domain=localhost; path=/"),
    ):
        page.run(f"document.cookie = {json.dumps(cookie)}")
    page.open(page.url)
    page.see("socket: local")
    page.open(f"{api.server.url}/connect/")
    assert page.run("document.cookie") == ""
    assert "Not signed in" not in page.text


@needs_chromium
def test_content_cannot_reach_the_dashboard(page: Page, api: Api, guid: str) -> None:
    api.create(title="Salaries")
    _sign_in(page, api, f"/content/{guid}/")
    page.see("socket: local")
    count = len(api.ask("GET", "v1/content"))
    url = json.dumps(f"{api.server.url}/connect/")
    script = """
    (async () => {
      const seen = {};
      try { seen.read = await (await fetch(URL, {credentials: "include"})).text(); }
      catch (error) { seen.read = "refused"; }
      try { await fetch(URL.replace("connect/", "__api__/v1/content"), {
        method: "POST", mode: "no-cors", credentials: "include", body: '{"name": "forged"}'}); }
      catch (error) { seen.sent = "refused"; }
      const frame = document.createElement("iframe");
      frame.src = URL;
      document.body.append(frame);
      await new Promise(resolve => frame.onload = resolve);
      try { seen.framed = frame.contentDocument ? frame.contentDocument.body.innerText : "apart"; }
      catch (error) { seen.framed = "apart"; }
      const image = new Image();
      image.src = URL;
      await new Promise(resolve => { image.onload = image.onerror = resolve; });
      return seen;
    })()
    """.replace("URL", url)
    seen: dict[str, Any] = page.run(script)
    assert seen == {"read": "refused", "sent": "refused", "framed": "apart"}
    assert "Salaries" not in "".join(page.frame_texts())
    assert len(api.ask("GET", "v1/content")) == count
