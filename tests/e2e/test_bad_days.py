"""Whole deployments on bad days that are not one fault of one request."""

from __future__ import annotations

import re
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
from support.calling import KEY, VALUE, Caller, error_in, judge
from support.fake_connect import FakeConnect
from support.fake_content import FakeTask
from support.faults import Do, Drop, Hang, LoseAnswer, Say, html
from support.projects import PACKAGE
from support.projects import project as a_project
from support.sample_bundle import sample_bundle
from support.sandbox import Sandbox
from support.tls import CA, CERTIFICATES, closed_port, serving
from support.waiting import PATIENCE

if TYPE_CHECKING:
    from pathlib import Path

    from support.sandbox import Finished

pytestmark = pytest.mark.sweep

WAYS = ("hatch_connect", "invoke")


ENDS: dict[str, tuple[str, Say | Hang, int, str]] = {
    "key": ("v1/user$", Say(401, b'{"code": 30, "error": "bad"}'), 3, "API key is not valid"),
    "hang": ("v1/user$", Hang(600), 3, "CONNECT_REQUEST_TIMEOUT"),
    "down": ("^/content/", html(503, "<h1>Down</h1>"), 5, "answered 503: Down"),
    "task": ("v1/tasks/", Say(404, b'{"code": 141, "error": "gone"}'), 4, "sticky sessions"),
}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A folder with a bundle that every way can deploy."""
    sample_bundle(tmp_path / "sales.tar.gz")
    (tmp_path / "tasks.py").write_text("from invoke_tasks import ns\n", encoding="ascii")
    return tmp_path


def deploy(
    way: str, project: Path, sandbox: Sandbox, server: FakeConnect, **environ: str
) -> Finished:
    words = ("-P", "-m", "hatch_connect") if way == "hatch_connect" else ("-m", "invoke")
    named = {"CONNECT_SERVER": server.url, "CONNECT_API_KEY": KEY, "TOKEN": VALUE}
    arguments = (*words, "deploy", "--file", "sales.tar.gz", "-E", "TOKEN")
    return sandbox.python(*arguments, cwd=project, **(named | environ))


@pytest.mark.parametrize("way", WAYS)
def test_a_day_on_which_everything_fails_once(way: str, project: Path, sandbox: Sandbox) -> None:
    with FakeConnect(api_key=KEY) as fake:
        fake.misbehave("GET", "server_settings$", html(503, "<h1>restarting</h1>"))
        fake.misbehave("GET", "v1/user$", Drop())
        fake.misbehave("POST", "v1/content$", LoseAnswer())
        fake.misbehave("POST", "bundles$", LoseAnswer())
        fake.misbehave("POST", "deploy$", LoseAnswer())
        fake.misbehave("GET", "v1/tasks/", Drop(reset=True))
        fake.misbehave("PATCH", "environment$", Say(429, headers=(("Retry-After", "1"),)))
        done = deploy(way, project, sandbox, fake)
        assert done.code == 0, done.said
        assert "asks to wait 1 s" in done.stderr
        (content,) = fake.contents.values()
        assert list(content.bundles) == [content.bundle_id]
        assert content.environment == {"TOKEN": VALUE}
        assert KEY not in done.said
        assert VALUE not in done.said


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("reason", ENDS)
def test_every_way_to_run_it_gives_the_same_exit_code(
    way: str, reason: str, project: Path, sandbox: Sandbox
) -> None:
    path, fault, code, told = ENDS[reason]
    with FakeConnect(api_key=KEY) as fake:
        fake.misbehave("GET", path, fault, times=99)
        brief = {"CONNECT_TASK_TIMEOUT": "1"}
        brief |= {"CONNECT_REQUEST_TIMEOUT": "0.5"} if reason == "hang" else {}
        done = deploy(way, project, sandbox, fake, **brief)
    assert done.code == code, done.said
    assert told in done.stderr
    assert "Traceback" not in done.said
    assert KEY not in done.said
    assert VALUE not in done.said


def test_two_deployments_of_the_same_new_name_at_the_same_moment(
    project: Path, tmp_path: Path
) -> None:
    both = threading.Barrier(2, timeout=PATIENCE)
    with FakeConnect(api_key=KEY) as fake:
        fake.misbehave("POST", "v1/content$", Do(both.wait), times=2)
        users = [Sandbox.make(tmp_path / name) for name in ("one", "two")]
        with ThreadPoolExecutor(2) as pool:
            done = list(pool.map(lambda user: deploy("hatch_connect", project, user, fake), users))
        first, second = sorted(done, key=lambda each: each.code)
        assert (first.code, second.code) == (0, 3), [each.said for each in done]
        assert "code 26" in second.stderr
        assert "Nothing was changed" in second.stderr
        (content,) = fake.contents.values()
        assert len(content.bundles) == 1


ODD = (
    "\x1b[31mred\x1b[0m",
    "\x1b]0;title\x07",
    "tab\there",
    "né 東京 \U0001f600",
    "\ud800",
    "a\rb",
    "",
)


@pytest.mark.parametrize("count", [10_000])
def test_every_line_of_a_long_log_comes_once(caller: Caller, fake: FakeConnect, count: int) -> None:
    lines = (*(f"line {n}" for n in range(count)), *ODD)
    fake.next_task = FakeTask(lines=lines, polls=3)
    fake.misbehave("GET", "v1/tasks/", Drop(), skip=1, times=2)
    done = caller.deploy()
    assert done.code == 0
    shown = [line.removeprefix("  | ") for line in done.stderr.splitlines() if "  | " in line[:4]]
    assert shown[:count] == [f"line {n}" for n in range(count)]
    assert shown.count("red") == 1
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f]", done.said)


@pytest.mark.parametrize("quiet", [False, True])
def test_a_failed_task_shows_its_last_lines_and_where_the_rest_is(
    caller: Caller, fake: FakeConnect, *, quiet: bool
) -> None:
    fake.next_task = FakeTask(code=1, error="pip failed", lines=("one", "no matching version"))
    done = caller.deploy(quiet=quiet)
    content = judge(done, fake, None, 0)
    assert content is not None
    assert done.code == 4
    assert "no matching version" in done.stderr
    assert f"/connect/#/apps/{content.guid}/draft/2" in done.stderr
    assert "set TOKEN" in done.stderr
    assert "bundle 2 was uploaded but not activated" in done.stderr


def test_a_task_that_takes_too_long(caller: Caller, fake: FakeConnect) -> None:
    caller.environ["CONNECT_TASK_TIMEOUT"] = "0.3"
    fake.next_task = FakeTask(polls=100_000)
    done = caller.deploy(json=True)
    assert done.code == 4
    error = error_in(done)
    assert "CONNECT_TASK_TIMEOUT" in str(error["hint"])
    assert "has not finished and may still be running" in str(error["notes"])


@pytest.mark.parametrize("given", ["no", "-1", "0", "nan"])
@pytest.mark.parametrize("name", ["CONNECT_TASK_TIMEOUT", "CONNECT_REQUEST_TIMEOUT"])
def test_a_time_out_that_is_none(caller: Caller, fake: FakeConnect, name: str, given: str) -> None:
    caller.environ[name] = given
    done = caller.deploy()
    assert (done.code, name in done.stderr) in {(2, True), (0, False)}
    assert not fake.contents or done.code == 0


TLS = {
    "server": (0, ""),
    "expired": (3, "it has expired"),
    "not-yet": (3, "not valid yet"),
    "other-name": (3, "another name"),
}


@pytest.mark.parametrize("name", TLS)
def test_certificates(caller: Caller, name: str) -> None:
    code, told = TLS[name]
    with FakeConnect(tls=serving(name)) as fake:
        caller.knows(fake)
        done = caller.deploy(cacert=str(CA))
        assert (done.code, told in done.stderr) == (code, True), done.said
        unknown = caller.deploy()
        assert unknown.code == 3
        assert "--cacert" in unknown.stderr or told in unknown.stderr
        insecure = caller.deploy(insecure=True)
        assert insecure.code == 0
        assert "is not verified (--insecure)" in insecure.stderr
        der = caller.deploy(cacert=str(CERTIFICATES / "ca.der"))
        assert (der.code, "openssl x509" in der.stderr) == (2, True)
        for variable in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CONNECT_CA_CERTIFICATE"):
            caller.environ[variable] = str(CA)
            assert caller.deploy().code == code
            del caller.environ[variable]


def test_a_server_that_is_not_there_and_a_proxy_that_is_not(caller: Caller) -> None:
    url = f"http://127.0.0.1:{closed_port()}"
    gone = caller.deploy(server=url, api_key=KEY)
    assert (gone.code, "cannot be reached" in gone.stderr) == (3, True)
    caller.environ["HTTP_PROXY"] = f"http://user:{VALUE}@127.0.0.1:{closed_port()}"
    proxied = caller.deploy(server="http://connect.example.com", api_key=KEY)
    assert (proxied.code, "proxy" in proxied.stderr.lower()) == (3, True)
    assert "is not encrypted" in proxied.stderr
    assert VALUE not in proxied.said
    with FakeConnect(api_key=KEY) as fake:
        caller.environ["NO_PROXY"] = f"localhost,127.0.0.1:{fake.port}"
        assert caller.deploy(server=fake.url, api_key=KEY).code == 0


def test_broken_stores_are_kept_and_told_of(caller: Caller, fake: FakeConnect) -> None:
    caller.environ["TOKEN"] = VALUE
    here = {"directory": str(a_project(caller.folder / "p", PACKAGE))}
    stores = caller.folder / "home" / ".rsconnect-python"
    stores.mkdir()
    (stores / "servers.json").write_text("{broken", encoding="ascii")
    done = caller.call("deploy", **here)
    assert done.code == 0, done.said
    assert "servers.json is broken" in done.stderr
    (record,) = (stores / "applications").glob("*.json")
    record.write_text("[]", encoding="ascii")
    again = caller.call("deploy", **here)
    assert again.code == 0, again.said
    assert len(fake.contents) == 1
    assert record.with_name(f"{record.name}.broken").read_text() == "[]"
    assert (stores / "servers.json").read_text() == "{broken"
    named = caller.call("deploy", name="prod", **here)
    assert (named.code, "is broken" in named.stderr) == (2, True)
    assert caller.call("add", name="prod", server=fake.url).code == 0
    assert (stores / "servers.json.broken").read_text() == "{broken"


def test_too_large_names_the_largest_files(caller: Caller, fake: FakeConnect) -> None:
    page = b"<html><h1>413 Request Entity Too Large</h1></html>"
    fake.misbehave("POST", "bundles$", Say(413, page, early=True), times=9)
    done = caller.deploy()
    assert done.code == 3
    assert "too large" in done.stderr
    assert "app.py" in done.stderr
    assert "`exclude`" in done.stderr
