"""The dashboard in a real browser: what scripts do, what is seen, and what a keyboard reaches."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import httpx2
import pytest
from support.browser import browser, needs_chromium
from support.connect_content import bundle
from support.local_api import asking
from support.waiting import until

from hatch_connect.events import silent
from hatch_connect.local.start import running

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from support.browser import Page
    from support.local_api import Api

pytestmark = needs_chromium

APP = b"""
import sys

async def app(scope, receive, send):
    if scope["type"] != "http":
        return
    print("visited", scope["path"])
    print("warned", scope["path"], file=sys.stderr)
    headers = [(b"content-type", b"text/html; charset=utf-8")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"<p>Hello from %s</p>"})
"""
TITLE = "Sales of the quarter"


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    state = tmp_path_factory.mktemp("browser") / "state"
    with running(state, environ=os.environ, report=silent) as server, asking(server) as api:
        yield api


@pytest.fixture(scope="module")
def opened(api: Api, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    """A browser that has signed in by a one-time URL."""
    with browser(tmp_path_factory.mktemp("browser") / "profile") as page:
        page.resize(1280)
        page.open(api.ask("POST", "__local__/login")["url"])
        assert page.url == f"{api.server.url}/connect/"
        yield page


@pytest.fixture
def page(opened: Page) -> Iterator[Page]:
    opened.events.clear()
    yield opened
    opened.resize(1280)
    opened.prefer(prefers_color_scheme="light")
    wrong = [
        event["params"]
        for event in opened.events
        if event["method"] in {"Runtime.exceptionThrown", "Log.entryAdded"}
    ]
    assert not wrong


@pytest.fixture(scope="module")
def guid(api: Api) -> str:
    """Content with two versions and a draft."""
    guid = api.create(name="sales", title=TITLE, idle_timeout=0)
    for text in (b"one", b"two"):
        assert api.deploy(guid, api.upload(guid, bundle({"app.py": APP % text})))["code"] == 0
    draft = api.upload(guid, bundle({"app.py": APP % b"three"}))
    assert api.deploy(guid, draft, activate=False)["code"] == 0
    return guid


def bundles_of(api: Api, guid: str) -> list[str]:
    """Return the numbers of the bundles, oldest first."""
    return sorted((one["id"] for one in api.ask("GET", f"v1/content/{guid}/bundles")), key=int)


@pytest.mark.parametrize(
    ("fragment", "path", "heading"),
    [
        ("#/apps/GUID", "/connect/apps/GUID", TITLE),
        ("#/apps/GUID/logs", "/connect/apps/GUID/logs", TITLE),
        ("#/apps/GUID/draft/DRAFT", "/connect/apps/GUID/draft/DRAFT", TITLE),
        ("#/apps/GUID/access", "/connect/apps/GUID/access", TITLE),
        ("#/apps/GUID/info", "/connect/apps/GUID/settings", TITLE),
        ("#/apps/GUID/vars", "/connect/apps/GUID/variables", TITLE),
        ("#/apps/GUID/anything", "/connect/apps/GUID", TITLE),
        ("#/content/listing", "/connect/", "Content"),
        ("#/", "/connect/", "Content"),
        ("#/people/users", "/connect/server", "Server"),
    ],
)
def test_addresses_that_clients_print_open_the_right_view(
    api: Api, page: Page, guid: str, fragment: str, path: str, heading: str
) -> None:
    for text, value in (("GUID", guid), ("DRAFT", bundles_of(api, guid)[-1])):
        fragment, path = fragment.replace(text, value), path.replace(text, value)
    page.open("about:blank")
    page.open(f"{api.server.url}/connect/{fragment}")
    page.until(f"location.pathname + location.hash === {json.dumps(path)}")
    page.until("document.readyState === 'complete'")
    assert page.run("document.querySelector('h1').innerText") == heading


def test_who_comes_back_signed_in_sees_what_an_address_was_for(
    api: Api, page: Page, guid: str
) -> None:
    (session,) = page.ask("Network.getCookies", urls=[f"{api.server.url}/connect/"])["cookies"]
    page.ask("Network.deleteCookies", name=session["name"], url=api.server.url)
    page.open("about:blank")
    page.open(f"{api.server.url}/connect/#/apps/{guid}/logs")
    page.see("Not signed in")
    page.ask("Network.setCookie", **{key: session[key] for key in ("name", "value", "domain")})
    page.run("document.dispatchEvent(new Event('visibilitychange'))")
    page.until(f"location.pathname === '/connect/apps/{guid}/logs'")
    page.events.clear()  # a page with status 401 is an error in the log of a browser


def test_the_state_changes_while_one_looks_at_it(api: Api, page: Page) -> None:
    guid = api.ship(bundle({"app.py": APP % b"state"}))
    api.ask("PATCH", f"v1/content/{guid}", json={"idle_timeout": 0})
    page.open(f"{api.server.url}/connect/apps/{guid}/settings")
    page.see("Idle")
    page.run("window.stays = true")
    api.visit(guid)
    page.see("Running")
    assert page.run("window.stays")


def test_an_address_works_when_the_page_is_already_open(api: Api, page: Page, guid: str) -> None:
    page.open(f"{api.server.url}/connect/")
    page.run(f"location.hash = '#/apps/{guid}/access'")
    page.until(f"location.pathname === '/connect/apps/{guid}/access'")
    dashboard = api.ask("GET", f"v1/content/{guid}")["dashboard_url"]
    page.open(dashboard)
    page.until(f"location.pathname === '/connect/apps/{guid}'")


def test_signing_in_keeps_the_address_that_was_wanted(api: Api, page: Page, guid: str) -> None:
    wanted = {"next": f"/connect/#/apps/{guid}/access"}
    page.open(api.ask("POST", "__local__/login", json=wanted)["url"])
    page.until(f"location.pathname === '/connect/apps/{guid}/access'")


def test_content_is_in_a_frame_of_another_origin(api: Api, page: Page, guid: str) -> None:
    page.open(f"{api.server.url}/connect/apps/{guid}")
    page.frame_see("Hello from two")
    source = page.run("document.querySelector('iframe').src")
    assert source.startswith("http://localhost:")
    assert page.run("document.querySelector('iframe').contentDocument") is None


def test_a_log_grows_while_one_looks_at_it(api: Api, page: Page, guid: str) -> None:
    assert api.visit(guid, "first").status_code == 200
    active = api.ask("GET", f"v1/content/{guid}")["bundle_id"]
    jobs = api.ask("GET", f"v1/content/{guid}/jobs")
    key = next(job["key"] for job in jobs if job["bundle_id"] == active)
    page.open(f"{api.server.url}/connect/apps/{guid}/logs/{key}")
    page.see("visited /first")
    api.visit(guid, "second")
    page.see("visited /second")
    page.see("warned /second")
    marks = "[...document.querySelectorAll('[role=log] p.stderr')].map(p => p.innerText)"
    assert any("stderr" in line and "warned /second" in line for line in page.run(marks))
    for number in range(40):
        api.visit(guid, f"more-{number}")
    page.see("warned /more-39")
    log = "document.querySelector('[role=log]')"
    page.until(f"{log}.scrollHeight - {log}.scrollTop - {log}.clientHeight < 8")
    page.run(f"{log}.scrollTop = 0")
    page.until("document.querySelector('[data-follow] button').ariaPressed === 'false'")
    api.visit(guid, "while-reading")
    page.see("visited /while-reading")
    assert page.run(f"{log}.scrollTop") == 0
    page.click("Follow")
    page.until(f"{log}.scrollHeight - {log}.scrollTop - {log}.clientHeight < 8")


def test_a_version_is_activated_from_the_keyboard_alone(api: Api, page: Page) -> None:
    guid = api.create(title="By keyboard")
    numbers = []
    for text in (b"one", b"two"):
        numbers.append(api.upload(guid, bundle({"app.py": APP % text})))
        assert api.deploy(guid, numbers[-1])["code"] == 0
    page.open(f"{api.server.url}/connect/")
    page.press("Tab")
    assert page.focused() == "Skip to the content"
    page.press("Enter")
    page.tab_to("By keyboard")
    page.press("Enter")
    page.until(f"location.pathname === '/connect/apps/{guid}'")
    page.tab_to("Versions")
    page.press("Enter")
    page.until("location.pathname.endsWith('/versions')")
    page.tab_to(f"Activate bundle {numbers[0]}")
    outline = "getComputedStyle(document.activeElement).outlineStyle"
    assert page.run(outline) != "none"
    page.press("Enter")
    page.until("location.pathname.includes('/logs/')")
    page.see(f"Activating bundle {numbers[0]}.")
    page.see("Completed the deployment")
    page.until("document.querySelector('[data-log-state]').innerText.trim() === 'done'")
    assert api.ask("GET", f"v1/content/{guid}")["bundle_id"] == numbers[0]
    page.tab_to("Content")
    page.press("Enter")
    page.until("location.pathname === '/connect/'")


_WAITS = """
import pathlib, time

def build_wheel(*_arguments, **_options):
    while not pathlib.Path({released!r}).exists():
        time.sleep(0.05)
    raise SystemExit("cannot be built")
"""


def test_a_deployment_is_followed_on_the_list(api: Api, page: Page, tmp_path: Path) -> None:
    released, package = tmp_path / "released", tmp_path / "slow"
    package.mkdir()
    (package / "backend.py").write_text(_WAITS.format(released=str(released)), encoding="utf-8")
    (package / "pyproject.toml").write_text(
        '[project]\nname = "slow"\nversion = "1"\n[build-system]\nrequires = []\n'
        'build-backend = "backend"\nbackend-path = ["."]\n',
        encoding="utf-8",
    )
    guid = api.create(title="Takes a while")
    requirements = f"slow @ {package.as_uri()}\n".encode()
    number = api.upload(guid, bundle({"requirements.txt": requirements}))
    begun = api.ask("POST", f"v1/content/{guid}/deploy", 202, json={"bundle_id": number})
    for path in ("", f"apps/{guid}"):
        page.open(f"{api.server.url}/connect/{path}")
        page.see("Deploying")
        page.see("Installing requirements.txt")
    page.run("window.before = true")
    released.touch()
    assert api.finished(begun["task_id"])["code"] == 1
    page.until("!window.before && document.readyState === 'complete'")
    page.see("The last deployment failed.")
    page.see("cannot be built")


TABS = ("", "/versions", "/access", "/logs", "/delete")
VIEWS = ("", *(f"apps/GUID{tab}" for tab in TABS), "server")


@pytest.mark.parametrize("view", VIEWS)
def test_a_narrow_page_does_not_scroll_sideways(api: Api, page: Page, guid: str, view: str) -> None:
    page.resize(320, 640)
    page.open(f"{api.server.url}/connect/{view.replace('GUID', guid)}")
    assert page.run("document.documentElement.scrollWidth") <= 320
    for control in ("a", "button", "input", "select"):
        right = f"Math.max(0, ...[...document.querySelectorAll('{control}')]"
        assert page.run(f"{right}.map(e => e.getBoundingClientRect().right))") <= 320


def test_colours_follow_the_scheme_that_is_preferred(api: Api, page: Page) -> None:
    page.open(f"{api.server.url}/connect/")
    background = "getComputedStyle(document.documentElement).getPropertyValue('--page').trim()"
    page.prefer(prefers_color_scheme="dark")
    dark = page.run(background)
    page.prefer(prefers_color_scheme="light")
    assert (dark, page.run(background)) == ("#13171d", "#ffffff")
    page.prefer(prefers_reduced_motion="reduce")
    assert page.run("getComputedStyle(document.body).animationName") == "none"


_CONTROLS = {"link", "button", "textbox", "searchbox", "combobox", "Iframe", "log", "table"}


@pytest.mark.parametrize("width", [1280, 320])
@pytest.mark.parametrize("view", VIEWS)
def test_a_screen_reader_gets_names_landmarks_and_tables(
    api: Api, page: Page, guid: str, view: str, width: int
) -> None:
    page.resize(width)
    page.open(f"{api.server.url}/connect/{view.replace('GUID', guid)}")
    tree = page.tree()
    roles = [node["role"]["value"] for node in tree]
    assert roles.count("main") == 1
    assert roles.count("banner") == 1
    assert roles.count("navigation") >= 1
    for node in tree:
        if node["role"]["value"] in _CONTROLS:
            assert node["name"]["value"].strip(), node
    for table in (node for node in tree if node["role"]["value"] == "table"):
        assert table["name"]["value"]
    if "table" in roles:
        assert {"row", "columnheader", "rowheader", "cell"} <= set(roles)


def test_without_scripts_pages_are_whole(api: Api, page: Page, guid: str) -> None:
    page.ask("Emulation.setScriptExecutionDisabled", value=True)
    try:
        page.ask("Page.navigate", url=f"{api.server.url}/connect/apps/{guid}/versions")

        def text() -> str:
            return "\n".join(str(node["name"]["value"]) for node in page.tree())

        until(lambda: "Bundles, newest first" in text())
        assert "Activate bundle" in text()
    finally:
        page.ask("Emulation.setScriptExecutionDisabled", value=False)


def test_nothing_is_loaded_from_elsewhere(api: Api, page: Page, guid: str) -> None:
    page.events.clear()
    page.open(f"{api.server.url}/connect/apps/{guid}/versions")
    asked = [
        event["params"]["request"]["url"]
        for event in page.events
        if event["method"] == "Network.requestWillBeSent"
    ]
    assert asked
    assert all(url.startswith(api.server.url + "/connect/") for url in asked)
    answer = httpx2.get(f"{api.server.url}/connect/", trust_env=False)
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
