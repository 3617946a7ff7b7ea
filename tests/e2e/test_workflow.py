"""Signing in as a CI workflow: whom the token reaches, what is refused, and that nothing leaks."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from support.fake_connect import FakeConnect
from support.fake_oauth import (
    AMBIGUOUS,
    NO_GRANT,
    NOT_LICENSED,
    SUBJECT,
    UNAVAILABLE,
    UNKNOWN_WORD,
    VERIFICATION,
    WRONG_AUDIENCE,
    FakeGitHub,
    FakeOAuth,
    OAuthRefusal,
    Trap,
)
from support.faults import Do, Drop, Hang, LoseAnswer, Say, Truncate, echoes, html, redirect
from support.projects import PACKAGE, project
from support.sample_bundle import sample_bundle
from support.waiting import PATIENCE, command_lines, until

from hatch_connect import HatchConnectError, deploy
from hatch_connect.connect.credentials import ORDER

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.calling import Called, Caller
    from support.fake_connect import Recorded
    from support.fake_content import FakeContent
    from support.faults import Fault
    from support.sandbox import Sandbox

    from hatch_connect.events import Event

pytestmark = pytest.mark.sweep


class Setting:
    """A server that trusts the workflow for one content item, and the CI around the caller."""

    def __init__(self, caller: Caller, oauth: FakeOAuth, connect: FakeConnect) -> None:
        self.caller, self.oauth, self.connect = caller, oauth, connect
        self.content: FakeContent = connect.add_content("sales", app_mode="python-fastapi")
        oauth.trust(self.content.guid)
        caller.environ["CONNECT_SERVER"] = connect.url

    def deploy(self, **options: object) -> Called:
        given = {"file": "sales.tar.gz", "app_id": self.content.guid, **options}
        done = self.caller.call("deploy", **given)
        self.hold(done)
        return done

    def hold(self, *done: Called) -> None:
        """Hold that no secret is in what was said, nor in any file."""
        assert not self.oauth.leaks(*(call.said for call in done))
        assert not self.oauth.leaks_below(self.caller.folder)
        assert not any("Traceback" in call.said for call in done)

    def calls(self, path: str) -> list[str]:
        return [call for call in self.connect.calls() if re.search(path, call)]


@pytest.fixture
def setting(caller: Caller) -> Iterator[Setting]:
    oauth = FakeOAuth()
    with FakeConnect(oauth=oauth, prefix="/rsc") as connect:
        yield Setting(caller, oauth, connect)


@pytest.fixture
def github(setting: Setting) -> Iterator[FakeGitHub]:
    with FakeGitHub(setting.oauth) as made:
        setting.caller.environ |= made.environ()
        yield made


class TestSources:
    @pytest.mark.parametrize("loudness", [{}, {"verbose": True}, {"json": True}], ids=str)
    def test_github(
        self, setting: Setting, github: FakeGitHub, loudness: dict[str, object]
    ) -> None:
        done = setting.deploy(environment=("TOKEN=abc",), **loudness)
        assert done.code == 0, done.said
        line = (
            f"Signing in to {setting.connect.url} as this GitHub workflow "
            "(org/repo, refs/heads/main)"
        )
        assert done.stderr.count(line) == 1
        assert github.audiences == ["connect"]
        assert setting.calls("well-known") == ["GET /.well-known/oauth-authorization-server"]
        assert setting.content.bundle_id

    def test_gitlab(self, setting: Setting) -> None:
        claims = {"iss": "https://gitlab.example", "sub": "project_path:g/p:ref:main"}
        setting.oauth.trust(setting.content.guid, **claims)
        token = setting.oauth.identity(
            **claims, repository=None, project_path="g/p\x1b[2J", ref="main"
        )
        setting.caller.environ["CONNECT_IDENTITY_TOKEN"] = token
        done = setting.deploy()
        assert done.code == 0, done.said
        assert "as this GitLab job (g/p [2J, main)" in done.stderr

    def test_a_file(self, setting: Setting) -> None:
        token = setting.oauth.identity(repository=None)
        path = setting.caller.folder.parent / f"{setting.caller.folder.name}-token"
        path.write_text(f"{token}\n", encoding="ascii")
        setting.caller.environ["CONNECT_IDENTITY_TOKEN_FILE"] = str(path)
        setting.caller.environ["CONNECT_IDENTITY_TOKEN"] = "$(SYSTEM_TOKEN)"
        done = setting.deploy()
        assert done.code == 0, done.said
        assert f"as this workflow ({SUBJECT})" in done.stderr

    @pytest.mark.parametrize(
        ("environ", "said"),
        [
            (
                {"CONNECT_IDENTITY_TOKEN": "a.b.c", "CONNECT_IDENTITY_TOKEN_FILE": "/x"},
                "are mutually exclusive",
            ),
            ({"CONNECT_IDENTITY_TOKEN": "-----BEGIN\nKEY"}, "does not contain an identity"),
            ({"CONNECT_IDENTITY_TOKEN_FILE": "/not/there"}, "/not/there, which CONNECT_IDENTITY"),
            ({"CONNECT_IDENTITY_TOKEN_FILE": "/not/there"}, "cannot be read: No such file"),
            ({"CONNECT_IDENTITY_TOKEN_FILE": "/dev/null"}, "is empty"),
            ({"GITHUB_ACTIONS": "true"}, "permission `id-token: write`"),
            ({}, "There is no API key"),
        ],
    )
    def test_that_give_no_token(self, setting: Setting, environ: dict[str, str], said: str) -> None:
        setting.caller.environ |= environ
        done = setting.deploy()
        assert (done.code, said in done.stderr) == (2, True), done.said
        assert not setting.calls("oauth|content")

    @pytest.mark.parametrize("status", [401, 403])
    def test_github_refuses(self, setting: Setting, github: FakeGitHub, status: int) -> None:
        github.refusal = status, b"Plant3d-words-of-an-answer"
        done = setting.deploy()
        assert done.code == 3
        assert f"does not issue identity tokens to this job (HTTP {status})" in done.stderr
        assert "`permissions: id-token: write`" in done.stderr

    @pytest.mark.parametrize(
        "answer", [(500, b"oops"), (200, b"<html>"), (200, b'{"value": 5}'), (200, b"[" * 99999)]
    )
    def test_github_answers_oddly(
        self, setting: Setting, github: FakeGitHub, answer: tuple[int, bytes]
    ) -> None:
        github.refusal = answer
        done = setting.deploy()
        assert (done.code, "GitHub" in done.stderr) == (3, True), done.said
        assert not setting.calls("oauth/token")

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "Plant3d-one\nPlant3d-two"),
            ("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "Plant3d-one two"),
            ("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "Plant3d-\N{SNOWMAN}"),
            ("ACTIONS_ID_TOKEN_REQUEST_URL", "https://a.example/\r\nPlant3d: b"),
        ],
    )
    def test_what_github_gave_cannot_be_sent(
        self, setting: Setting, github: FakeGitHub, name: str, value: str
    ) -> None:
        setting.caller.environ[name] = value
        done = setting.deploy()
        assert (done.code, f"{name} contains a line break, a space" in done.stderr) == (2, True)
        assert "GitHub sets this variable" in done.stderr
        assert "Plant3d" not in done.said
        assert not github.audiences

    def test_githubs_token_goes_to_no_proxy_unencrypted(
        self, setting: Setting, github: FakeGitHub
    ) -> None:
        setting.caller.environ |= {
            "HTTP_PROXY": "http://proxy.example.com:3128",
            "NO_PROXY": f"127.0.0.1:{setting.connect.port}",
        }
        done = setting.deploy()
        assert (done.code, "a proxy on another machine: no token" in done.stderr) == (2, True)
        assert "The URL in ACTIONS_ID_TOKEN_REQUEST_URL is not encrypted" in done.stderr
        assert "Add 127.0.0.1 to NO_PROXY" in done.stderr
        assert not github.audiences

    def test_github_redirects(self, setting: Setting, github: FakeGitHub) -> None:
        github.refusal = 302, b""
        done = setting.deploy()
        assert (done.code, "HTTP 302; the redirect was not followed" in done.stderr) == (3, True)

    def test_github_is_away(self, setting: Setting, github: FakeGitHub) -> None:
        with FakeConnect() as gone:
            port = gone.port
        setting.caller.environ["ACTIONS_ID_TOKEN_REQUEST_URL"] = f"http://127.0.0.1:{port}/?a=b"
        done = setting.deploy()
        assert done.code == 3
        assert "GitHub issued no identity token." in done.stderr
        assert "`permissions: id-token: write`" in done.stderr
        assert not github.audiences

    @pytest.mark.parametrize(
        "url",
        ["http://example.com/?a=b", "ftp://x/", "http://[", "https://u@h/", "https://h:99999/"],
    )
    def test_githubs_token_goes_to_no_open_address(
        self, setting: Setting, github: FakeGitHub, url: str
    ) -> None:
        setting.caller.environ["ACTIONS_ID_TOKEN_REQUEST_URL"] = url
        done = setting.deploy()
        assert (done.code, "is not an https URL" in done.stderr) == (2, True), done.said
        assert not github.audiences


class TestWhichCounts:
    def test_a_key_is_enough(self, setting: Setting, github: FakeGitHub) -> None:
        setting.caller.knows(setting.connect)
        done = setting.deploy()
        assert done.code == 0, done.said
        assert "Signing in" not in done.stderr
        assert not github.audiences
        assert not setting.calls("well-known|oauth")

    def test_it_can_be_turned_off(self, setting: Setting, github: FakeGitHub) -> None:
        done = setting.deploy(no_identity=True)
        assert (done.code, "There is no API key" in done.stderr) == (2, True), done.said
        assert not github.audiences
        assert not setting.connect.calls()

    def test_the_store_names_a_server(self, setting: Setting, github: FakeGitHub) -> None:
        url = setting.caller.environ.pop("CONNECT_SERVER")
        home = setting.caller.folder / "home" / ".rsconnect-python"
        home.mkdir()
        stored = {"prod": {"name": "prod", "url": url}}
        (home / "servers.json").write_text(json.dumps(stored), encoding="ascii")
        assert setting.deploy(name="prod").code == 0
        assert setting.deploy(server=url).code == 0
        assert github.audiences == ["connect", "connect"]

    @pytest.mark.parametrize("named_by", ["name", "server", "default"])
    def test_in_the_order_that_details_prints(
        self, setting: Setting, github: FakeGitHub, named_by: str
    ) -> None:
        caller, connect, login = setting.caller, setting.connect, setting.oauth.log_in()
        url = caller.environ.pop("CONNECT_SERVER")
        store = caller.folder / "home" / ".rsconnect-python" / "servers.json"
        store.parent.mkdir()
        entry: dict[str, object] = {"name": "prod", "url": url, "api_key": "KEY-of-the-store"}
        entry |= {"oauth_client_id": login.client, "oauth_access_token": login.access}
        ways = {"name": {"name": "prod"}, "server": {"server": url}}
        choice = ways.get(named_by, {})
        caller.environ["CONNECT_API_KEY"] = "KEY-of-the-environment"
        for source in ORDER:
            store.write_text(json.dumps({"prod": entry}), encoding="ascii")
            connect.api_key = f"KEY-of-{source.replace(' ', '-')}"
            given = {"api_key": connect.api_key} if source == "the call" else {}
            done = caller.call("details", **choice, **given)
            assert done.code == 0, done.said
            assert f"Identity from {source} (" in done.stdout
            assert f"[{source}]" in done.stdout
            sent = connect.last("GET v1/user").headers["authorization"]
            assert (sent == f"Key {connect.api_key}") is (source in ORDER[:3])
            assert sent.startswith("Bearer ") is (source == "a login")
            match source:
                case "the environment":
                    del caller.environ["CONNECT_API_KEY"]
                case "the store":
                    del entry["api_key"]
                case "a login":
                    del entry["oauth_client_id"], entry["oauth_access_token"]
        assert github.audiences == ["connect"]

    @pytest.mark.parametrize("table", ["", "[tool.hatch-connect.on.prod]\n"])
    def test_a_url_of_the_project_gets_nothing(
        self, setting: Setting, github: FakeGitHub, table: str
    ) -> None:
        del setting.caller.environ["CONNECT_SERVER"]
        with Trap() as trap:
            named = f'app-mode = "fastapi"\n{table}server = "{trap.url}"\n'
            root = project(
                setting.caller.folder / "p", PACKAGE, connect=f"[tool.hatch-connect]\n{named}"
            )
            name = {"name": "prod"} if table else {}
            done = setting.caller.call(
                "deploy", directory=str(root), app_id=setting.content.guid, **name
            )
        assert done.code == 2
        assert "is not sent to a URL that only pyproject.toml names" in done.stderr
        assert f"set CONNECT_SERVER={trap.url}" in done.stderr
        assert not github.audiences

    def test_nothing_goes_over_the_network_unencrypted(
        self, setting: Setting, github: FakeGitHub
    ) -> None:
        done = setting.deploy(server="http://connect.example")
        assert (done.code, "is not encrypted" in done.stderr) == (2, True), done.said
        assert not github.audiences

    def test_details_say_so(self, setting: Setting, github: FakeGitHub) -> None:
        done = setting.caller.call("details")
        setting.hold(done)
        assert done.code == 0
        assert "trusted publisher (no user)" in done.stdout
        assert (
            "Identity from the workflow (the first of: the call, the environment, the store, "
            "a login, [the workflow])"
        ) in done.stdout
        assert github.audiences == ["connect"]
        setting.caller.knows(setting.connect)
        assert "from the environment" in setting.caller.call("details").stdout

    def test_the_audience_is_a_setting(self, setting: Setting, github: FakeGitHub) -> None:
        guid = setting.content.guid
        setting.oauth.trust(guid, aud="urn:staging?&")
        url = setting.connect.url
        tables = (
            f'[tool.hatch-connect]\napp-mode = "fastapi"\nguid = "{guid}"\n'
            f'[tool.hatch-connect.on.s]\nserver = "{url}"\nidentity-audience = "urn:staging?&"\n'
        )
        root = project(setting.caller.folder / "p", PACKAGE, connect=tables)
        done = setting.caller.call("deploy", directory=str(root))
        assert done.code == 0, done.said
        assert github.audiences == ["urn:staging?&"]


TEMPORARILY = Say(503, b'{"error": "temporarily_unavailable"}')
REFUSALS: dict[str, tuple[OAuthRefusal, str]] = {
    "ambiguous": (AMBIGUOUS, "matches more than one trusted publisher"),
    "verification": (VERIFICATION, "could not verify the identity token"),
    "no grant": (NO_GRANT, "No content on .* trusts this identity .*audience: connect"),
    "audience": (WRONG_AUDIENCE, "`identity-audience` in"),
    "unknown word": (UNKNOWN_WORD, r"was refused \(HTTP 400\)\."),
    "licence": (NOT_LICENSED, r"was refused \(HTTP 403, unauthorized_client\)"),
    "unavailable": (UNAVAILABLE, r"\(HTTP 503, server_error\)\.\s+Try again later"),
}


class TestRefusals:
    @pytest.mark.parametrize(("refusal", "said"), REFUSALS.values(), ids=REFUSALS)
    @pytest.mark.parametrize("loudness", [{"verbose": True}, {"json": True}], ids=str)
    def test_of_the_token(
        self,
        setting: Setting,
        github: FakeGitHub,
        refusal: OAuthRefusal,
        said: str,
        loudness: dict[str, object],
    ) -> None:
        setting.oauth.refusal = refusal
        done = setting.deploy(**loudness)
        assert (done.code, bool(re.search(said, done.stderr))) == (3, True), done.said
        assert len(github.audiences) == 1
        assert not setting.calls("v1/")

    @pytest.mark.parametrize("discovery", ["off", "html"])
    def test_a_server_without_oauth(
        self, setting: Setting, github: FakeGitHub, discovery: str
    ) -> None:
        setting.oauth.discovery = discovery  # type: ignore[assignment] # a parameter is a str
        done = setting.deploy()
        assert (done.code, "does not support sign-in by OAuth" in done.stderr) == (3, True), (
            done.said
        )
        assert "2026.07" in done.stderr
        assert not setting.calls("oauth/token")
        assert github.audiences

    def test_a_server_that_is_busy(self, setting: Setting, github: FakeGitHub) -> None:
        for status in (429, 500, 503):
            times = 1 if status == 500 else 6
            busy = Say(status, b"Plant3d-words")
            setting.connect.misbehave("GET", "well-known", busy, times=times)
            done = setting.deploy()
            assert (done.code, "sign-in configuration of" in done.stderr) == (3, True)
        assert github.audiences

    @pytest.mark.parametrize(
        "fault",
        [Say(429), Say(503, b"{}", (("Retry-After", "1"),)), html(502, ""), Drop(reset=True)],
    )
    def test_a_server_that_is_busy_for_a_moment(
        self, setting: Setting, github: FakeGitHub, fault: Fault
    ) -> None:
        setting.connect.misbehave("GET", "well-known", fault, times=2)
        done = setting.deploy()
        assert done.code == 0, done.said
        assert len(setting.calls("well-known")) == 3
        assert github.audiences == ["connect"]
        asked = isinstance(fault, Say) and fault.status == 503
        assert ("asks to wait 1 s" in done.stderr) == asked

    @pytest.mark.parametrize("fault", [Say(429), html(503, ""), TEMPORARILY])
    def test_a_token_that_was_not_taken_is_sent_again(
        self, setting: Setting, github: FakeGitHub, fault: Fault
    ) -> None:
        setting.connect.misbehave("POST", "oauth/token", fault, times=2)
        done = setting.deploy()
        assert done.code == 0, done.said
        assert len(setting.calls("oauth/token")) == 3
        assert github.audiences == ["connect"]

    @pytest.mark.parametrize("fault", [Say(500), html(502, ""), html(504, "")])
    def test_a_token_that_may_have_been_taken_is_not(
        self, setting: Setting, github: FakeGitHub, fault: Fault
    ) -> None:
        setting.connect.misbehave("POST", "oauth/token", fault)
        done = setting.deploy()
        assert (done.code, "Try again later" in done.stderr) == (3, True), done.said
        assert len(setting.calls("oauth/token")) == 1
        assert github.audiences

    @pytest.mark.parametrize("fault", [LoseAnswer(), Truncate(), Drop()])
    def test_if_the_answer_is_lost_a_new_token_is_exchanged(
        self, setting: Setting, github: FakeGitHub, fault: Fault
    ) -> None:
        setting.connect.misbehave("POST", "oauth/token", fault)
        done = setting.deploy()
        assert done.code == 0, done.said
        assert github.audiences == ["connect"] * 2

    def test_if_the_answer_is_lost_the_same_token_is_not_sent_again(self, setting: Setting) -> None:
        setting.caller.environ["CONNECT_IDENTITY_TOKEN"] = setting.oauth.identity()
        setting.connect.misbehave("POST", "oauth/token", LoseAnswer())
        done = setting.deploy()
        assert (done.code, "was lost before the response" in done.stderr) == (3, True)
        assert len(setting.calls("oauth/token")) == 1

    def test_a_server_without_trusted_publishing(
        self, setting: Setting, github: FakeGitHub
    ) -> None:
        setting.oauth.metadata["grant_types_supported"] = ["authorization_code"]
        done = setting.deploy()
        assert (done.code, "does not support trusted publishing" in done.stderr) == (3, True), (
            done.said
        )
        assert not setting.calls("oauth/token")
        assert github.audiences

    def test_an_endpoint_elsewhere_gets_nothing(self, setting: Setting, github: FakeGitHub) -> None:
        with Trap() as trap:
            own = setting.connect.url.removesuffix("/rsc")
            for place in (
                *(f"{trap.url}/token", f"{trap.other_host}/token", "https://127.0.0.1/token"),
                f"{own}@127.0.0.1:{trap.port}/token",
                f"{own}\\@127.0.0.1:{trap.port}/token",
                f"http://user@127.0.0.1:{setting.connect.port}/token",
            ):
                setting.oauth.endpoints["token_endpoint"] = place
                done = setting.deploy()
                assert done.code == 3
                assert "on another server: nothing was sent to it" in done.stderr
        assert not setting.calls("token")
        assert github.audiences

    def test_the_token_follows_no_redirect(self, setting: Setting, github: FakeGitHub) -> None:
        with Trap() as trap:
            for path in ("well-known", "oauth/token"):
                setting.connect.misbehave("GET", path, redirect(f"{trap.url}/x", 307))
                setting.connect.misbehave("POST", path, redirect(f"{trap.url}/x", 307))
                done = setting.deploy()
                assert (done.code, "HTTP 307" in done.stderr) == (3, True), done.said
                assert "not followed" in done.stderr
        assert "was redirected (HTTP 307; the redirect was not followed)." in done.stderr
        assert "Something in front of Connect may require a login" in done.stderr
        assert github.audiences

    def test_no_endless_answer_is_read(self, setting: Setting, github: FakeGitHub) -> None:
        setting.connect.misbehave("GET", "well-known", Say(200, b"x" * (3 << 20)))
        done = setting.deploy()
        assert (done.code, "is too long" in done.stderr) == (3, True), done.said
        assert github.audiences


class TestContent:
    @pytest.mark.parametrize("options", [{}, {"new": True}])
    @pytest.mark.parametrize("file", [True, False])
    def test_that_is_not_known_is_refused_before_anything_is_sent(
        self, setting: Setting, github: FakeGitHub, options: dict[str, object], *, file: bool
    ) -> None:
        where: dict[str, object] = {"file": "sales.tar.gz"}
        if not file:
            connect = '[tool.hatch-connect]\napp-mode = "fastapi"\n'
            root = project(setting.caller.folder / "p", PACKAGE, connect=connect)
            where = {"directory": str(root)}
        done = setting.caller.call("deploy", **where, **options)
        assert done.code == 2
        assert "Trusted publishing can only update existing content" in done.stderr
        assert '`guid = "..."`' in done.stderr
        assert not setting.connect.calls()
        assert not github.audiences
        assert not list(setting.caller.folder.rglob("*.connect.tgz"))

    def test_that_is_recorded_is_found(self, setting: Setting, github: FakeGitHub) -> None:
        assert setting.deploy().code == 0
        done = setting.caller.call("deploy", file="sales.tar.gz", force=True)
        assert done.code == 0, done.said
        del setting.connect.contents[setting.content.guid]
        other = setting.connect.add_content("other")
        setting.oauth._publishers.clear()  # noqa: SLF001 - the one for content that is gone
        setting.oauth.trust(other.guid)
        done = setting.caller.call("deploy", file="sales.tar.gz", force=True)
        assert (done.code, "the recorded content no longer exists" in done.stderr) == (2, True), (
            done.said
        )
        assert not setting.calls(r"GET v1/content(\?|$)|v1/users")
        setting.hold(done)
        assert github.audiences

    def test_of_others_is_not_touched(self, setting: Setting, github: FakeGitHub) -> None:
        other = setting.connect.add_content("other")
        for setting.oauth.refuses in ("", f"GET v1/content/{other.guid}"):
            done = setting.deploy(app_id=other.guid)
            assert (done.code, other.guid in done.stderr) == (3, True), done.said
            assert "Let this content trust this workflow" in done.stderr
            assert "--new" not in done.stderr
        assert github.audiences

    def test_that_may_not_tell_its_permissions_is_updated(
        self, setting: Setting, github: FakeGitHub
    ) -> None:
        setting.oauth.refuses = "GET .*(environment|repository|permissions|python|jobs)"
        done = setting.deploy()
        assert done.code == 0, done.said
        assert github.audiences

    @pytest.mark.parametrize("declared", [True, False])
    def test_whose_title_may_not_change_is_updated_unless_one_is_declared(
        self, setting: Setting, github: FakeGitHub, *, declared: bool
    ) -> None:
        setting.oauth.refuses = "PATCH v1/content/[^/]+"
        done = setting.deploy(**({"title": "Sales"} if declared else {}))
        assert setting.calls("PATCH v1/content/[^/]+$")
        if declared:
            assert (done.code, "code 22" in done.stderr) == (3, True), done.said
        else:
            assert done.code == 0, done.said
            assert "The title was not set. PATCH v1/content/" in done.stderr
        assert bool(setting.content.bundle_id) is not declared
        assert github.audiences == ["connect"]

    def test_several_sign_in_once(self, setting: Setting, github: FakeGitHub) -> None:
        one = setting.content.guid
        tables = (
            f'[tool.hatch-connect]\napp-mode = "fastapi"\nguid = "{one}"\n'
            f'[tool.hatch-connect.content.a]\nguid = "{one}"\nentrypoint = "sales_api.main:app"\n'
            f'[tool.hatch-connect.content.b]\nguid = "{one}"\nentrypoint = "sales_api.main:app"\n'
        )
        root = project(setting.caller.folder / "p", PACKAGE, connect=tables)
        done = setting.caller.call("deploy", directory=str(root), content=("a", "b"))
        assert done.code == 0, done.said
        assert github.audiences == ["connect"]


class TestExpiry:
    def test_a_new_token_is_exchanged(self, setting: Setting, github: FakeGitHub) -> None:
        setting.connect.misbehave("GET", "v1/tasks", Do(setting.oauth.expire))
        setting.connect.misbehave("POST", "bundles$", Do(setting.oauth.expire))
        done = setting.deploy(verbose=True)
        assert done.code == 0, done.said
        assert github.audiences == ["connect"] * 3
        assert len(setting.content.bundles) == 1
        assert done.stderr.count(" as this GitHub workflow") == 1

    def test_the_same_token_is_not_sent_twice(self, setting: Setting) -> None:
        setting.caller.environ["CONNECT_IDENTITY_TOKEN"] = setting.oauth.identity()
        setting.connect.misbehave("GET", "v1/tasks", Do(setting.oauth.expire))
        done = setting.deploy()
        assert done.code == 3
        assert "the key of this workflow is not valid, or has expired" in done.stderr
        assert "CONNECT_IDENTITY_TOKEN provides one token only" in done.stderr
        assert len(setting.calls("oauth/token")) == 1

    def test_a_file_that_was_renewed_counts(self, setting: Setting) -> None:
        path = setting.caller.folder.parent / f"{setting.caller.folder.name}-token"
        path.write_text(setting.oauth.identity(), encoding="ascii")
        setting.caller.environ["CONNECT_IDENTITY_TOKEN_FILE"] = str(path)

        def renew() -> None:
            setting.oauth.expire()
            path.write_text(setting.oauth.identity(), encoding="ascii")

        setting.connect.misbehave("GET", "v1/tasks", Do(renew))
        done = setting.deploy()
        assert done.code == 0, done.said

    def test_a_server_that_takes_no_key_is_not_asked_forever(
        self, setting: Setting, github: FakeGitHub
    ) -> None:
        setting.oauth.key_lasts = 0
        done = setting.deploy()
        assert done.code == 3
        assert "for a new token was refused" in done.stderr
        assert "provides one token only" not in done.stderr
        assert github.audiences == ["connect"] * 2


def test_no_other_program_sees_the_identity(
    setting: Setting, github: FakeGitHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = setting.caller.folder.parent / f"{setting.caller.folder.name}-told"
    hook = (
        "import os, pathlib\n"
        "from hatchling.builders.hooks.plugin.interface import BuildHookInterface\n"
        "class Hook(BuildHookInterface):\n"
        "    def initialize(self, version, build_data):\n"
        f"        pathlib.Path({str(told)!r}).write_text(repr(dict(os.environ)))\n"
    )
    connect = f'[tool.hatch-connect]\napp-mode = "fastapi"\nguid = "{setting.content.guid}"\n'
    root = project(
        setting.caller.folder / "p",
        PACKAGE | {"hatch_build.py": hook},
        connect=f"{connect}[tool.hatch.build.hooks.custom]\n",
    )
    environ = github.environ() | {"CONNECT_IDENTITY_TOKEN": ""}
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    done = setting.caller.call("deploy", directory=str(root), verbose=True)
    assert done.code == 0, done.said
    assert "GITHUB_ACTIONS" in told.read_text(encoding="utf-8")
    assert not setting.oauth.leaks(told.read_bytes(), done.said)


def test_a_token_that_is_given_is_for_one_server(setting: Setting) -> None:
    setting.caller.environ["CONNECT_IDENTITY_TOKEN"] = setting.oauth.identity()
    with Trap() as trap:
        done = setting.deploy(server=trap.url)
    said = "CONNECT_IDENTITY_TOKEN is for CONNECT_SERVER, which is another server."
    assert (done.code, said in done.stderr) == (2, True), done.said


def test_side_by_side_they_sign_in_once(setting: Setting, github: FakeGitHub) -> None:
    table = '[tool.hatch-connect.content.{}]\nguid = "{}"\nentrypoint = "sales_api.main:app"\n'
    contents = [setting.connect.add_content(name, app_mode="python-fastapi") for name in "ab"]
    tables = (table.format(content.name, content.guid) for content in contents)
    connect = f'[tool.hatch-connect]\napp-mode = "fastapi"\n{"".join(tables)}'
    root = project(setting.caller.folder / "p", PACKAGE, connect=connect)
    setting.oauth._publishers.clear()  # noqa: SLF001 - a key that is bound to one of them
    setting.oauth.trust(contents[0].guid)
    done = setting.caller.call("deploy", directory=str(root), all=True, jobs=2)
    setting.hold(done)
    assert (done.code, contents[1].guid in done.stderr) == (3, True), done.said
    assert github.audiences == ["connect"]


@pytest.mark.parametrize("how", echoes(""))
def test_a_server_that_repeats_what_it_was_sent(
    setting: Setting, github: FakeGitHub, how: str
) -> None:
    repeated = []
    for path in ("well-known", "oauth/token", "v1/content/", "bundles$", "deploy$", "v1/tasks"):

        def repeat(request: Recorded, path: str = path) -> Fault | None:
            if not re.search(path, request.path):
                return None
            repeated.append(path)
            said = f"{request.headers.get('authorization')} {request.body!r} {request.query}"
            return echoes(said)[how]

        setting.connect.gate = repeat
        for loudness in ({"verbose": True}, {"json": True}):
            done = setting.deploy(force=True, **loudness)
            assert path in repeated
            assert done.code or path == "v1/content/", done.said
        setting.connect.gate = None
    github.refusal = 400, github.request_token.encode()
    assert setting.deploy(verbose=True).code == 3


@pytest.mark.skipif(not Path("/proc/self/cmdline").exists(), reason="/proc is Linux's")
@pytest.mark.parametrize("words", [("-P", "-m", "hatch_connect"), ("-m", "invoke")])
def test_the_process_list_and_an_interruption_keep_the_secrets(
    sandbox: Sandbox, tmp_path: Path, words: tuple[str, ...]
) -> None:
    oauth = FakeOAuth()
    sample_bundle(tmp_path / "sales.tar.gz")
    (tmp_path / "tasks.py").write_text("from invoke_tasks import ns\n", encoding="ascii")
    with FakeConnect(oauth=oauth) as connect, FakeGitHub(oauth) as github:
        content = connect.add_content("sales")
        oauth.trust(content.guid)
        connect.misbehave("POST", "bundles$", Hang(600))
        process = subprocess.Popen(
            [sys.executable, *words, "deploy", "--file", "sales.tar.gz", "-a", content.guid, "-v"],
            cwd=tmp_path,
            env=sandbox.environ | github.environ() | {"CONNECT_SERVER": connect.url},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        until(lambda: any(c.endswith("/bundles") for c in connect.calls()), process)
        listed = command_lines()
        os.kill(process.pid, signal.SIGINT)
        said, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130, said
    assert any(b"sales.tar.gz" in line for line in listed)
    assert "as this GitHub workflow (org/repo, refs/heads/main)" in said
    assert not oauth.leaks(said, *listed)
    assert not oauth.leaks_below(tmp_path)


def test_the_other_commands(setting: Setting, github: FakeGitHub) -> None:
    guid = setting.content.guid
    assert setting.deploy().code == 0
    setting.caller.bundle("print('changed')\n")
    assert setting.deploy().code == 0
    for command in ("info", "versions", "logs", "rollback"):
        done = setting.caller.call(command, app_id=guid, verbose=True)
        setting.hold(done)
        assert done.code == 0, done.said
    info = setting.caller.call("info", app_id=guid)
    assert "trusted publisher (no user)" in info.stdout
    assert github.audiences == ["connect"] * 7


def test_programs_get_no_secret_in_an_exception(setting: Setting, github: FakeGitHub) -> None:
    setting.oauth.trust(setting.content.guid)
    given: dict[str, Any] = {"environ": setting.caller.environ, "server": setting.connect.url}
    file, app_id = setting.caller.folder / "sales.tar.gz", setting.content.guid
    with pytest.raises(HatchConnectError, match="more than one trusted publisher") as caught:
        deploy(setting.caller.folder, file=file, app_id=app_id, **given)
    shown = "".join(traceback.format_exception(caught.value))
    assert not setting.oauth.leaks(shown, repr(caught.value))
    setting.oauth._publishers.pop()  # noqa: SLF001 - the second one
    heard: list[Event] = []
    deploy(setting.caller.folder, file=file, app_id=app_id, report=heard.append, **given)
    assert not setting.oauth.leaks(repr(heard))
    assert len(github.audiences) == 2


def test_the_file_of_the_token_does_not_ship(setting: Setting) -> None:
    connect = f'[tool.hatch-connect]\napp-mode = "fastapi"\nguid = "{setting.content.guid}"\n'
    connect += 'include = ["*.txt"]\n'
    root = project(setting.caller.folder / "p", {"app.py": "app = 1\n"}, system="", connect=connect)
    token = root / "who-we-are.txt"
    token.write_text(setting.oauth.identity(), encoding="ascii")
    setting.caller.environ["CONNECT_IDENTITY_TOKEN_FILE"] = str(token)
    done = setting.caller.call("deploy", directory=str(root), list=True)
    token.unlink()
    setting.hold(done)
    assert done.code == 0, done.said
    assert "guard: CONNECT_IDENTITY_TOKEN_FILE names it" in done.stdout
    (bundle,) = setting.content.bundles.values()
    assert "who-we-are.txt" not in str(bundle)
