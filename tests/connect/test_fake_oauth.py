"""The simulator of signing in refuses what a server refuses, and keeps what must not be sent."""

from __future__ import annotations

import base64
import hashlib
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
import requests
from support.fake_connect import FakeConnect
from support.fake_oauth import (
    AMBIGUOUS,
    DEVICE,
    EXCHANGE,
    NO_GRANT,
    PLANTED,
    VERIFICATION,
    WRONG_AUDIENCE,
    FakeGitHub,
    FakeOAuth,
    OAuthRefusal,
    Trap,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

VERIFIER = "v" * 43
CALLBACK = "http://127.0.0.1:1/callback"


@pytest.fixture
def fake() -> Iterator[FakeConnect]:
    with FakeConnect(oauth=FakeOAuth(), prefix="/rsc") as server:
        yield server


def oauth_of(fake: FakeConnect) -> FakeOAuth:
    assert fake.oauth
    return fake.oauth


def ask(fake: FakeConnect, **fields: str) -> requests.Response:
    place = requests.get(f"{fake.url}/.well-known/oauth-authorization-server", timeout=60)
    return requests.post(place.json()["token_endpoint"], data=fields, timeout=60)


def exchange(fake: FakeConnect, token: str, **more: str) -> requests.Response:
    kind = "urn:ietf:params:oauth:token-type:"
    kinds = {"subject_token_type": f"{kind}id_token", "requested_token_type": f"{kind}access_token"}
    return ask(fake, grant_type=EXCHANGE, subject_token=token, **(kinds | more))


def call(fake: FakeConnect, key: str, what: str) -> int:
    method, _, path = what.partition(" ")
    url = f"{fake.url}/__api__/{path}"
    answer = requests.request(method, url, headers={"Authorization": key}, json={}, timeout=60)
    return answer.status_code


def test_a_workflows_key_is_an_editors_of_one_content_item_and_nobodys(fake: FakeConnect) -> None:
    oauth = oauth_of(fake)
    mine, other = fake.add_content("sales"), fake.add_content("others")
    oauth.trust(mine.guid)
    oauth.key_lasts = 6
    key = f"Key {exchange(fake, oauth.identity()).json()['access_token']}"
    expected = {
        "GET v1/user": 403,
        "GET v1/content": 403,
        "POST v1/content": 403,
        f"GET v1/users/{fake.user_guid}": 403,
        f"GET v1/content/{other.guid}": 404,
        f"PATCH v1/content/{mine.guid}": 200,
        f"GET v1/content/{mine.guid}": 401,
    }
    assert {what: call(fake, key, what) for what in expected} == expected
    assert mine.role == "owner"


def test_an_identity_is_exchanged_once_where_it_is_trusted(fake: FakeConnect) -> None:
    oauth = oauth_of(fake)

    def refused(token: str, expected: OAuthRefusal) -> None:
        said = exchange(fake, token).json()
        assert said["error_description"] == f"{expected.words} {PLANTED}"

    refused(oauth.identity(), NO_GRANT)
    oauth.trust(fake.add_content("sales").guid)
    token = oauth.identity()
    assert exchange(fake, token).status_code == 200
    refused(token, VERIFICATION)
    refused("not.a.token", VERIFICATION)
    refused(oauth.identity(exp=1), VERIFICATION)
    refused(oauth.identity(iss="https://elsewhere.example"), VERIFICATION)
    refused(oauth.identity(aud="other"), WRONG_AUDIENCE)
    oauth.trust(fake.add_content("others").guid)
    refused(oauth.identity(), AMBIGUOUS)


def test_what_must_not_be_sent_is_kept(fake: FakeConnect) -> None:
    oauth = oauth_of(fake)
    oauth.trust(fake.add_content("sales").guid)
    token = oauth.identity()
    assert exchange(fake, token, audience="connect").status_code == 400
    assert call(fake, f"Key {token}", "GET v1/user") == 401
    assert call(fake, "Key x", f"GET v1/user?token={token}") == 401
    key = exchange(fake, token).json()["access_token"]
    assert call(fake, f"Bearer {key}", "GET v1/user") == 401
    place = f"{fake.url}/.well-known/oauth-authorization-server"
    requests.get(place, headers={"Authorization": f"Key {fake.api_key}"}, timeout=60)
    requests.post(f"{fake.url}/oauth/token", data={"token": token}, timeout=60)
    assert len(oauth.forbidden) == 6
    with pytest.raises(AssertionError, match="the fields are"):
        fake.__exit__(None)
    oauth.forbidden.clear()
    fake.__enter__()


def test_github_issues_tokens_for_an_audience_and_a_trap_tells_of_visitors() -> None:
    oauth = FakeOAuth()
    with FakeGitHub(oauth) as github:
        environ = github.environ()
        url, token = (environ[f"ACTIONS_ID_TOKEN_REQUEST_{name}"] for name in ("URL", "TOKEN"))
        with_token = {"Authorization": f"Bearer {token}"}
        one, two = (
            requests.get(f"{url}&audience=connect", headers=with_token, timeout=60).json()["value"]
            for _ in range(2)
        )
        assert one != two
        assert oauth.leaks(f"log: {one}")
        assert not oauth.forbidden
        assert requests.get(f"{url}&audience=connect", timeout=60).status_code == 401
        assert requests.get(f"{url}?audience=connect", timeout=60).status_code == 400
        assert len(oauth.forbidden) == 2
        oauth.forbidden.clear()
    trap = Trap()
    with pytest.raises(AssertionError, match="connected"), trap:
        requests.get(trap.url, timeout=60)


def test_a_person_logs_in_with_a_proof_and_refreshes_once_a_token(fake: FakeConnect) -> None:
    oauth = oauth_of(fake)
    client = oauth.log_in().client
    challenge = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest())
    asked = {
        "response_type": "code",
        "client_id": client,
        "redirect_uri": CALLBACK,
        "code_challenge": challenge.rstrip(b"=").decode(),
        "code_challenge_method": "S256",
        "state": "s" * 16,
    }
    url = f"{fake.url}/oauth/authorize?tenant=1&{urlencode(asked)}"

    def redeem(verifier: str) -> requests.Response:
        answer = requests.get(url, timeout=60, allow_redirects=False)
        code = parse_qs(urlsplit(answer.headers["Location"]).query)["code"][0]
        fields = {"client_id": client, "redirect_uri": CALLBACK, "code_verifier": verifier}
        return ask(fake, grant_type="authorization_code", code=code, **fields)

    tokens = redeem(VERIFIER).json()
    assert call(fake, f"Bearer {tokens['access_token']}", "GET v1/user") == 200
    assert redeem("w" * 43).status_code == 400
    refresh = {"grant_type": "refresh_token", "refresh_token": tokens["refresh_token"]}
    renewed = ask(fake, client_id=client, **refresh).json()
    assert call(fake, f"Bearer {tokens['access_token']}", "GET v1/user") == 401
    assert call(fake, f"Bearer {renewed['access_token']}", "GET v1/user") == 200
    assert ask(fake, client_id=client, **refresh).json()["error"] == "invalid_grant"
    assert call(fake, f"Bearer {renewed['access_token']}", "GET v1/user") == 401
    assert len(oauth.forbidden) == 2
    oauth.forbidden.clear()


def test_a_device_waits_for_consent(fake: FakeConnect) -> None:
    oauth = oauth_of(fake)
    oauth.device = ["authorization_pending", "slow_down"]
    client = oauth.log_in().client
    place = f"{fake.url}/oauth/device?tenant=1"
    code = requests.post(place, data={"client_id": client}, timeout=60).json()["device_code"]
    polls = [
        ask(fake, grant_type=DEVICE, client_id=client, device_code=code).json() for _ in range(3)
    ]
    assert [poll.get("error") for poll in polls] == ["authorization_pending", "slow_down", None]
    assert ask(fake, grant_type=DEVICE, client_id="other", device_code=code).status_code == 401
