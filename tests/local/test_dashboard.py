"""The dashboard without JavaScript: what its pages say, how they are marked up, what forms do."""

from __future__ import annotations

import json
import os
import re
import signal
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING

import httpx2
import pytest
from support.connect_content import ANSWERS, bundle, bundle_of
from support.dashboard import signed_in
from support.html import read_html
from support.waiting import until

from hatch_connect.local.dashboard import rendering
from hatch_connect.local.dashboard.rendering import FOLDER, without_controls

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.dashboard import Dashboard
    from support.html import Element
    from support.local_api import Api

HOSTILE = "<script>alert(1)</script> \u202e'\"&amp;"
PAGE = {"metadata": {"appmode": "static", "primary_html": "index.html", "entrypoint": "index.html"}}


@pytest.fixture
def dashboard(api: Api) -> Iterator[Dashboard]:
    with signed_in(api) as dashboard:
        yield dashboard


def static(text: bytes) -> bytes:
    return bundle_of({"index.html": text}, python=None, **PAGE)


@pytest.fixture
def guid(api: Api) -> str:
    """Content with an older version, an active one and a draft."""
    guid = api.create(title="Sales of the quarter")
    for text in (b"one", b"two"):
        assert api.deploy(guid, api.upload(guid, static(text)))["code"] == 0
    assert api.deploy(guid, api.upload(guid, static(b"three")), activate=False)["code"] == 0
    return guid


def words(element: Element) -> str:
    return " ".join(element.text.split())


def rows(page: Element) -> list[list[str]]:
    """Return the cells of the rows of a page's first table, each headed by its row."""
    return [
        [words(cell) for cell in row.children]
        for row in page.all("table")[0].one("tbody").all("tr")
    ]


TABS = ("", "/versions", "/settings", "/variables", "/access", "/logs", "/delete")


@pytest.mark.parametrize("path", ["/", "/server", *(f"/apps/GUID{tab}" for tab in TABS), "/lost"])
def test_each_page_is_marked_up_for_screen_readers(
    api: Api, dashboard: Dashboard, guid: str, path: str
) -> None:
    api.ask("PATCH", f"v1/content/{guid}/environment", json=[{"name": "TOKEN", "value": "x-y-z"}])
    page = dashboard.get(path.replace("GUID", guid), 404 if path == "/lost" else 200)
    assert page.one("html")["lang"] == "en"
    assert page.one("title").text.endswith(" - Local Connect")
    assert page.all("a")[0]["href"] == "#" + page.one("main")["id"]
    page.one("header")
    names = [nav["aria-label"] for nav in page.all("nav")]
    assert len(set(names)) == len(names) > 0
    for nav in page.all("nav"):
        current = [link for link in nav.all("a") if link.get("aria-current") == "page"]
        assert len(current) == (path != "/lost" or nav["aria-label"] != "Dashboard")
    headings = [int(e.tag[1]) for e in everything(page) if re.fullmatch("h[1-6]", e.tag)]
    assert headings.count(1) == 1
    assert headings[0] == 1
    assert all(after <= before + 1 for before, after in pairwise(headings))
    identifiers = [e["id"] for e in everything(page) if e.get("id")]
    assert len(set(identifiers)) == len(identifiers)
    for element in everything(page):
        if labelled := element.get("aria-labelledby"):
            assert labelled in identifiers
        assert not element.get("style")
        assert not any(name.startswith("on") for name in element.attributes)
    assert [script["src"] for script in page.all("script")] == ["/connect/static/dashboard.js"]
    assert not page.all("style")
    assert "x-y-z" not in page.text


@pytest.mark.parametrize("path", ["/", "/server", *(f"/apps/GUID{tab}" for tab in TABS)])
def test_what_is_filled_in_or_read_in_columns_has_a_name(
    dashboard: Dashboard, guid: str, path: str
) -> None:
    page = dashboard.get(path.replace("GUID", guid))
    labels = {label["for"] for label in page.all("label")}
    for control in [*page.all("input"), *page.all("select")]:
        assert control.get("type") == "hidden" or control["id"] in labels
    for button in [*page.all("button"), *page.all("a")]:
        assert words(button)
    for table in page.all("table"):
        assert words(table.one("caption"))
        assert all(header.get("scope") == "col" for header in table.one("thead").all("th"))
        assert all(row.one("th")["scope"] == "row" for row in table.one("tbody").all("tr"))
    for form in page.all("form"):
        if form.get("method") == "post":
            assert form.one("input", name="form_token")["value"]
    for frame in page.all("iframe"):
        assert frame["title"]
    for log in page.all("div", role="log"):
        assert (log["aria-live"], log["tabindex"], bool(log["aria-label"])) == ("polite", "0", True)


def everything(element: Element) -> list[Element]:
    return [found for child in element.children for found in (child, *everything(child))]


def test_the_list_says_what_is_there_and_how_it_is(
    api: Api, dashboard: Dashboard, guid: str
) -> None:
    name = api.ask("GET", f"v1/content/{guid}")["name"]
    listed = dashboard.get(f"/?q={name}")
    (row,) = rows(listed)
    assert row[:4] == [f"Sales of the quarter {name}", "static HTML", "Idle Draft waiting", "local"]
    assert listed.one("tbody").one("th").one("a")["href"] == f"/connect/apps/{guid}"
    time = listed.one("tbody").one("time")
    assert time["datetime"] == api.ask("GET", f"v1/content/{guid}")["last_deployed_time"]
    never = api.create()
    (row,) = rows(dashboard.get(f"/?q={api.ask('GET', f'v1/content/{never}')['name']}"))
    assert row[2:] == ["Never deployed", "local", "never", "not yet"]
    assert "No content has" in dashboard.get("/?q=no+such+thing").one("main").text


def test_what_people_write_is_shown_as_text(api: Api, dashboard: Dashboard) -> None:
    guid = api.create(title=HOSTILE, description=HOSTILE)
    source = b"import sys\nprint(%r)\nsys.stderr.write('\\x1b[31mred\\x1b[0m <b>\\n')\n"
    app = source % HOSTILE + ANSWERS % b"here"
    api.deploy(guid, api.upload(guid, bundle({"app.py": app})))
    assert "here" in api.visit(guid).text
    shown = HOSTILE.replace("\u202e", "[U+202E]")
    for path in ("/", f"/apps/{guid}", f"/apps/{guid}/settings", f"/apps/{guid}/logs"):
        page = dashboard.get(path)
        assert len(page.all("script")) == 1
        assert shown in page.text
        assert "\u202e" not in page.text
    log = page.one("div", role="log")
    (line,) = (line for line in log.all("p") if "red" in line.text)
    assert (line["class"], line.one("b").text) == ("stderr", "stderr")
    assert line.text.endswith("stderrred <b>")


def test_versions_are_activated_and_deleted(api: Api, dashboard: Dashboard, guid: str) -> None:
    first, second, third = sorted(
        int(bundle["id"]) for bundle in api.ask("GET", f"v1/content/{guid}/bundles")
    )
    page = dashboard.get(f"/apps/{guid}/versions")
    assert [row[0] for row in rows(page)] == [f"{third} Draft", f"{second} Active", str(first)]
    log = dashboard.press(page, f"Activate bundle {first}")
    assert f"Activating bundle {first}." in words(log.one("div", role="status"))
    assert log.one("h2").text == "Deployment"
    until(lambda: api.ask("GET", f"v1/content/{guid}")["bundle_id"] == str(first))
    page = dashboard.get(f"/apps/{guid}/versions")
    assert [row[0] for row in rows(page)][1:] == [str(second), f"{first} Active"]
    assert not page.all("div", role="status")
    question = dashboard.get(f"/apps/{guid}/versions/{second}/delete")
    assert question.one("h2").text == f"Delete bundle {second}?"
    page = dashboard.press(question, "Delete")
    assert f"Bundle {second} was deleted." in words(page.one("div", role="status"))
    assert len(rows(page)) == 2
    refused = dashboard.send(question.all("form")[-1], 404)
    assert "does not exist" in words(refused.one("main"))
    active = dashboard.get(f"/apps/{guid}/versions/{first}/delete")
    refused = dashboard.press(active, "Delete", 409)
    assert "The active bundle cannot be deleted." in words(refused.one("main"))


def test_the_archive_of_a_version_is_downloaded_or_gone(api: Api, dashboard: Dashboard) -> None:
    guid = api.create()
    bundle_id = api.upload(guid)
    path = f"/apps/{guid}/versions/{bundle_id}/download"
    whole = dashboard.client.get(f"{dashboard.url}/connect{path}")
    assert (
        whole.headers["content-disposition"] == f'attachment; filename="bundle-{bundle_id}.tar.gz"'
    )
    (api.server.state / "bundles" / f"{bundle_id}.tar.gz").unlink()
    assert "The archive of this bundle is gone." in words(dashboard.get(path, 404).one("main"))


def test_versions_tell_where_they_come_from(api: Api, dashboard: Dashboard) -> None:
    guid = api.create()
    commit = "09d04a279c26f42d57ff93e14d959f6c5eb0525b-dirty"
    metadata = {"source_commit": commit, "source_branch": HOSTILE, "source": "git", "note": "mine"}
    form = {"metadata": json.dumps({**metadata, "hatch_connect_verify": "true"})}
    files = {"archive": ("bundle.tar.gz", bundle())}
    api.ask("POST", f"v1/content/{guid}/bundles", data=form, files=files)
    ((_number, _time, size, _python, source, _actions),) = rows(
        dashboard.get(f"/apps/{guid}/versions")
    )
    shown = HOSTILE.replace("\u202e", "[U+202E]")
    assert source == f"commit 09d04a279c-dirtybranch {shown}note mine"
    assert size.endswith(("kB", "Bytes"))


def test_a_bug_of_ours_has_a_page_and_does_not_spread(
    api: Api, dashboard: Dashboard, guid: str
) -> None:
    task = api.deploy(guid, api.upload(guid, b"no archive"))
    log = api.server.state / "logs" / f"{task['id']}.jsonl"
    log.unlink()
    log.mkdir()  # as no program does
    page = dashboard.get(f"/apps/{guid}/logs/{task['id']}", 500)
    assert page.one("h1").text == "Something went wrong"
    dashboard.get(f"/apps/{guid}/versions")


def test_content_is_deleted_after_a_question(api: Api, dashboard: Dashboard, guid: str) -> None:
    question = dashboard.get(f"/apps/{guid}/delete")
    page = dashboard.press(question, "Delete")
    assert "Sales of the quarter was deleted." in words(page.one("div", role="status"))
    assert guid not in {each["guid"] for each in api.ask("GET", "v1/content")}
    assert "There is no such content" in words(dashboard.get(f"/apps/{guid}", 404).one("main"))


def test_locked_content_is_not_changed(api: Api, dashboard: Dashboard, guid: str) -> None:
    api.ask("PATCH", f"v1/content/{guid}", json={"locked": True, "locked_message": HOSTILE})
    question = dashboard.get(f"/apps/{guid}/delete")
    assert "This content is locked: " in question.text
    refused = dashboard.press(question, "Delete", 403)
    assert "This content is locked." in words(refused.one("main"))
    api.ask("GET", f"v1/content/{guid}")


def test_a_form_without_its_token_does_nothing(api: Api, dashboard: Dashboard, guid: str) -> None:
    question = dashboard.get(f"/apps/{guid}/delete")
    for token in ("", "another"):
        dashboard.press(question, "Delete", 403, form_token=token)
    url = f"{dashboard.url}/connect/apps/{guid}/delete"
    assert dashboard.client.post(url).status_code == 403
    api.ask("GET", f"v1/content/{guid}")


def test_a_form_is_not_read_without_bound(api: Api, dashboard: Dashboard, guid: str) -> None:
    question = dashboard.get(f"/apps/{guid}/delete")
    for extra in ({"x": "x" * 100_000}, {f"x{number}": "" for number in range(30)}):
        dashboard.press(question, "Delete", 400, **extra)
    url = f"{dashboard.url}/connect/apps/{guid}/delete"
    assert dashboard.client.post(url, files={"form_token": b"x" * 3_000_000}).status_code == 400
    api.ask("GET", f"v1/content/{guid}")


def test_pages_and_forms_need_a_session(api: Api, guid: str) -> None:
    below = ("", "apps/" + guid, f"apps/{guid}/logs", "server", "nothing")
    for path in below:
        url = f"{api.server.url}/connect/{path}"
        answer = httpx2.get(url, trust_env=False)
        assert answer.status_code == 401, path
        assert "Sales" not in answer.text
    url = f"{api.server.url}/connect/apps/{guid}/delete"
    assert httpx2.post(url, trust_env=False).status_code == 401
    style = httpx2.get(f"{api.server.url}/connect/static/style.css", trust_env=False)
    assert style.headers["content-type"].startswith("text/css")


def test_where_nothing_is_people_get_a_page_and_programs_an_error(api: Api, guid: str) -> None:
    with api.browse(guid) as browser:
        content = str(browser.get(f"{api.server.url}/content/{guid}/").url)
        for url in (f"{api.server.url}/nothing", content.partition("/content/")[0] + "/"):
            shown = browser.get(url, headers={"Accept": "text/html,*/*"})
            assert (shown.status_code, read_html(shown.text).one("h1").text) == (404, "Not found")
            assert browser.get(url).json()["code"] == 4
    url = f"{api.server.url}/__api__/v1/content/nothing"
    assert api.client.get(url, headers={"Accept": "text/html"}).json()["code"] == 4


def test_signing_out_ends_the_session(api: Api) -> None:
    with signed_in(api) as dashboard:
        page = dashboard.press(dashboard.get("/"), "Sign out", 401)
        assert page.one("h1").text == "Not signed in"
        dashboard.get("/", 401)


def test_processes_are_restarted_and_stopped(api: Api, dashboard: Dashboard) -> None:
    guid = api.ship()
    api.ask("PATCH", f"v1/content/{guid}", json={"idle_timeout": 0})
    first = api.visit(guid).json()["environ"]["CONNECT_CONTENT_JOB_KEY"]
    page = dashboard.press(dashboard.get(f"/apps/{guid}"), "Stop")
    assert "The processes were stopped." in words(page.one("div", role="status"))
    until(lambda: api.ask("GET", f"v1/content/{guid}/jobs/{first}")["end_time"])
    second = api.visit(guid).json()["environ"]["CONNECT_CONTENT_JOB_KEY"]
    page = dashboard.press(dashboard.get(f"/apps/{guid}"), "Restart")
    assert "The content was restarted." in words(page.one("div", role="status"))
    until(lambda: api.ask("GET", f"v1/content/{guid}/jobs/{second}")["end_time"])
    third = api.visit(guid).json()["environ"]["CONNECT_CONTENT_JOB_KEY"]
    log = dashboard.get(f"/apps/{guid}/logs/{third}")
    ended = dashboard.press(log, "End the process")
    assert "The process was ended." in words(ended.one("div", role="status"))
    again = dashboard.press(log, "End the process")
    assert "The process has already ended." in words(again.one("div", role="status"))
    assert "Process stopped" in words(again.one("section"))


def test_a_process_that_ended_by_itself_was_not_stopped(api: Api, dashboard: Dashboard) -> None:
    guid = api.ship()
    seen = api.visit(guid).json()
    key = seen["environ"]["CONNECT_CONTENT_JOB_KEY"]
    job = api.ask("GET", f"v1/content/{guid}/jobs/{key}")
    os.kill(int(job["pid"]), signal.SIGKILL)
    until(lambda: api.ask("GET", f"v1/content/{guid}/jobs/{key}")["end_time"])
    log = dashboard.get(f"/apps/{guid}/logs/{key}")
    assert "Process ended by SIGKILL" in words(log.one("section"))
    assert words(log.one("p", role="status")) == "Its process was ended by SIGKILL."


def test_states_are_told_to_who_may_see_them(api: Api, dashboard: Dashboard) -> None:
    guid, other = api.create(), api.create()
    url = f"{api.server.url}/connect/states"
    told = dashboard.client.get(f"{url}?guid={guid}").json()
    assert list(told) == [guid]
    assert "Never deployed" in told[guid]
    assert {guid, other} <= set(dashboard.client.get(url).json())
    assert httpx2.get(url, trust_env=False).status_code == 401


def test_settings_say_what_they_do_here(api: Api, dashboard: Dashboard, guid: str) -> None:
    api.ask("PATCH", f"v1/content/{guid}", json={"memory_limit": 1024, "locked": True})
    page = dashboard.get(f"/apps/{guid}/settings")
    told = {row[0]: row[1:] for row in rows(page)}
    assert told["title"] == ["Sales of the quarter", "has an effect"]
    assert told["memory_limit"] == ["1024", "only kept"]
    assert told["locked"] == ["true", "has an effect"]
    default = page.all("table")[1]
    unset = {words(row.all("th")[0]): words(row.all("td")[0]) for row in default.all("tr")[1:]}
    assert (unset["idle_timeout"], unset["max_processes"]) == ("not set: 5 s", "not set")


def test_content_is_shown_as_it_is_for_others(api: Api, dashboard: Dashboard) -> None:
    guid = api.ship()
    api.ask("PATCH", f"v1/content/{guid}", json={"access_type": "logged_in"})
    people = {one["username"]: one["guid"] for one in api.ask("GET", "v1/users")["results"]}

    def visited(page: Element) -> httpx2.Response:
        return dashboard.client.get(page.one("iframe")["src"])

    page = dashboard.get(f"/apps/{guid}")
    credentials = visited(page).json()["headers"]["rstudio-connect-credentials"]
    assert json.loads(credentials)["user"] == "local"
    page = dashboard.press(page, "Show", visitor=people["ann"])
    assert page.one("iframe")["title"].endswith(", as ann sees it")
    (chosen,) = (option for option in page.all("option") if "selected" in option.attributes)
    assert words(chosen) == "ann (publisher)"
    credentials = visited(page).json()["headers"]["rstudio-connect-credentials"]
    assert json.loads(credentials)["user"] == "ann"
    page = dashboard.press(page, "Show", visitor="")
    assert visited(page).status_code == 401
    assert dashboard.client.get(f"{dashboard.url}/connect/apps/{guid}/open").status_code == 401
    assert dashboard.get(f"/apps/{api.ship()}").one("iframe")["title"].endswith("local sees it")


def test_the_end_of_a_log_is_for_who_may_read_logs(api: Api) -> None:
    guid = api.ship(bundle({"app.py": b"raise RuntimeError('boom')"}))
    api.ask("PATCH", f"v1/content/{guid}", json={"access_type": "all"})
    assert "RuntimeError: boom" in api.visit(guid).text
    anonymous = httpx2.get(
        api.ask("GET", f"v1/content/{guid}")["content_url"], trust_env=False, follow_redirects=True
    )
    assert anonymous.status_code == 502
    page = read_html(anonymous.text)
    assert words(page.one("main")) == (
        "The content did not start Its process ended with exit code 1."
    )


def test_access_is_told_for_everybody(api: Api, dashboard: Dashboard, guid: str) -> None:
    people = {one["username"]: one["guid"] for one in api.ask("GET", "v1/users")["results"]}
    groups = {one["name"]: one["guid"] for one in api.ask("GET", "v1/groups")["results"]}
    api.ask("PATCH", f"v1/content/{guid}", json={"access_type": "acl"})

    def told() -> dict[str, list[str]]:
        page = dashboard.get(f"/apps/{guid}/access")
        return {
            row[0].split()[0]: [cell.removeprefix("✓ ").removeprefix("✗ ") for cell in row[1:]]
            for row in rows(page)
        }

    assert told() == {
        "local": ["yes", "yes", "owns it"],
        "ann": ["no", "no", "is not listed"],
        "bob": ["no", "no", "is not listed"],
        "Not": ["no", "no", "must sign in"],
    }
    for kind, guid_of, role in (
        ("group", groups["analysts"], "owner"),
        ("user", people["bob"], "viewer"),
    ):
        given = {"principal_guid": guid_of, "principal_type": kind, "role": role}
        api.ask("POST", f"v1/content/{guid}/permissions", json=given)
    assert told()["ann"] == [
        "yes",
        "yes",
        "is in the group analysts, which is among the collaborators",
    ]
    assert told()["bob"] == ["yes", "no", "is among the viewers"]
    listed = words(dashboard.get(f"/apps/{guid}/access").all("dl")[0])
    assert listed == "Ownerlocal Collaborators analysts (a group: ann) Viewers bob"


def test_what_failed_shows_the_end_of_its_log(api: Api, dashboard: Dashboard) -> None:
    guid = api.create(title="Broken report")
    number = api.upload(guid, bundle({"app.py": b"raise RuntimeError('boom')"}))
    assert api.deploy(guid, number)["code"] == 0
    assert api.visit(guid).status_code == 502
    page = dashboard.get(f"/apps/{guid}")
    section = page.one("section")
    assert "Its process ended with exit code 1." in section.text
    assert "RuntimeError: boom" in section.one("div", role="log").text
    assert "hatch-connect deploy --local" in section.text
    assert not page.all("iframe")
    task = api.deploy(guid, api.upload(guid, b"no archive"))
    page = dashboard.get(f"/apps/{guid}/logs/{task['id']}")
    assert words(page.one("p", role="status")) == " ".join(task["error"].split())
    assert "failed" in words(page.one("section"))


def test_old_addresses_lead_to_pages(api: Api, dashboard: Dashboard, guid: str) -> None:
    number = api.ask("GET", f"v1/content/{guid}")["id"]
    assert dashboard.get(f"/apps/{number}").one("h1").text == "Sales of the quarter"
    assert dashboard.get(f"/apps/{number}/access").one("h1").text == "Sales of the quarter"
    for nothing in ("999999", "9" * 30):
        dashboard.get(f"/apps/{nothing}/logs", 404)
    assert dashboard.get("").one("h1").text == "Content"
    page = dashboard.get(f"/apps/{guid}")
    assert page.one("title").text == "Sales of the quarter - Local Connect"
    frame = page.one("iframe")
    assert (frame["title"], f"/content/{guid}/" in frame["src"]) == (
        "Sales of the quarter, as local sees it",
        True,
    )
    draft = max(int(each["id"]) for each in api.ask("GET", f"v1/content/{guid}/bundles"))
    assert f"_bundle{draft}/" in dashboard.get(f"/apps/{guid}/draft/{draft}").one("iframe")["src"]


def test_the_server_page_names_files_and_no_keys(api: Api, dashboard: Dashboard) -> None:
    page = dashboard.get("/server")
    key = api.server.api_key.reveal()
    assert str(api.server.key_file) in page.text
    assert key not in page.text
    assert api.server.url in page.text
    assert [row[0] for row in rows(page)][:3] == ["local", "ann", "bob"]


def luminance(colour: str) -> float:
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    lighter, darker = sorted((luminance(one), luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


@pytest.mark.parametrize(
    ("before", "told"),
    [
        (timedelta(), "just now"),
        (timedelta(minutes=1, seconds=9), "1 minute ago"),
        (timedelta(hours=5), "5 hours ago"),
        (timedelta(days=1, hours=3), "1 day ago"),
    ],
)
def test_times_are_told_as_people_do(before: timedelta, told: str) -> None:
    time = (datetime.now(UTC) - before).isoformat(timespec="seconds").replace("+00:00", "Z")
    assert rendering.ago(time) == told
    assert rendering.ago("2020-06-15T12:00:00Z").startswith("2020-06-1")
    assert rendering.local(time).endswith(rendering.clock(time))


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_colours_have_the_contrast_that_wcag_asks_for(scheme: str) -> None:
    light, dark = re.findall(r":root \{(.*?)\}", rendering.STYLE, re.DOTALL)
    colours = dict(re.findall(r"--([\w-]+): (#\w{6})", light if scheme == "light" else dark))
    backgrounds = ("page", "raised", "log", "good-back", "warn-back", "bad-back")
    for name in ("text", "muted", "accent", "bad"):
        for background in backgrounds:
            assert contrast(colours[name], colours[background]) >= 4.5, (name, background)
    for name in ("good", "warn"):
        for background in ("page", "raised", f"{name}-back"):
            assert contrast(colours[name], colours[background]) >= 4.5, (name, background)
    assert contrast(colours["on-accent"], colours["accent"]) >= 4.5
    assert contrast(colours["edge"], colours["page"]) >= 3


def test_what_is_loaded_is_small() -> None:
    assert (FOLDER / "static/style.css").stat().st_size < 10_000
    assert (FOLDER / "static/dashboard.js").stat().st_size < 6_000


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("\x1b[1;31mred\x1b[0m and \x1b]8;;https://x\x1b\\link\x1b]8;;\x07", "red and link"),
        ("10 %\r50 %\r100 %\r", "100 %"),
        ("a\x1b[2Kb\x1b(Bc\x1b[", "abc"),
        ("bell\x07 tab\t null\0", "bell\ufffd tab\t null\ufffd"),
        ("x" * 10_001, "x" * 10_000 + "… (10,001 characters)"),
    ],
)
def test_a_line_is_what_a_terminal_would_leave_of_it(line: str, shown: str) -> None:
    assert without_controls(line) == shown
