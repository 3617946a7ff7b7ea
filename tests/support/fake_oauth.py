"""How the fake Connect lets workflows and people sign in: strictly.

    oauth = FakeOAuth()
    with FakeConnect(oauth=oauth) as connect, FakeGitHub(oauth) as github, Trap() as trap:
        oauth.trust(connect.add_content("sales").guid)
        ...  # run with github.environ()
    assert not oauth.leaks(stdout, stderr)

What must not be sent is refused and kept in `forbidden`; unless that is empty, leaving the block
fails. A test that sends such a thing on purpose clears the list.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import secrets
import socketserver
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING, Literal, Self, cast
from urllib.parse import parse_qsl, urlencode, urlsplit

from support.fake_bundle import Refusal, Reply

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from support.fake_connect import Recorded
    from support.fake_world import World

PLANTED = "Plant3d-words-of-an-answer"
"""In every description of an error: never to be shown."""

GITHUB = "https://token.actions.githubusercontent.com"
SUBJECT = "repo:org/repo:ref:refs/heads/main"
EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
DEVICE = "urn:ietf:params:oauth:grant-type:device_code"
_TYPE = "urn:ietf:params:oauth:token-type:"
_FORM = "application/x-www-form-urlencoded"
_DISCOVERY = "/.well-known/oauth-authorization-server"
_CALLBACK = r"http://(127\.0\.0\.1|\[::1\])(:\d+)?/callback"
_FIELDS = {
    EXCHANGE: {"subject_token_type", "requested_token_type", "subject_token"},
    DEVICE: {"client_id", "device_code"},
    "authorization_code": {"client_id", "code", "redirect_uri", "code_verifier"},
    "refresh_token": {"client_id", "refresh_token"},
}


class OAuthRefusal(Exception):  # noqa: N818 - it is an answer, not an error of the tests
    """A refusal, as OAuth words one."""

    def __init__(self, error: str, words: str = "", status: int = 400) -> None:
        super().__init__(error)
        self.error, self.words, self.status = error, words, status

    def reply(self) -> Reply:
        told = {"error": self.error, "error_description": f"{self.words} {PLANTED}"}
        return Reply.of(told, self.status)


AMBIGUOUS = OAuthRefusal("invalid_grant", "The identity is ambiguous: two principals match.")
VERIFICATION = OAuthRefusal("invalid_grant", "The token's verification failed.")
NO_GRANT = OAuthRefusal("invalid_grant", "No service principal matches.")
WRONG_AUDIENCE = OAuthRefusal("invalid_grant", "The audience is another one.")
UNKNOWN_WORD = OAuthRefusal(PLANTED, "A word that nobody knows.")
NOT_LICENSED = OAuthRefusal("unauthorized_client", "Not with this licence.", 403)
UNAVAILABLE = OAuthRefusal("server_error", "Try later.", 503)


def jwt(claims: dict[str, object]) -> str:
    """Return a token whose signature is made up."""
    head = {"alg": "RS256", "typ": "JWT", "kid": "test"}
    parts = (json.dumps(head).encode(), json.dumps(claims).encode(), secrets.token_bytes(256))
    return ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts)


@dataclass
class Key:
    """An ephemeral key, bound to one content item; `left` requests are still answered."""

    guid: str
    left: int | None


@dataclass
class Login:
    """The tokens of a person; `old` are refresh tokens that were used."""

    client: str
    access: str
    refresh: str
    left: int | None
    old: set[str] = field(default_factory=set)
    revoked: bool = False


@dataclass
class FakeOAuth:
    """The part of a server that lets people sign in; set fields before or while it runs.

    `endpoints` are paths below the server, with their queries, or URLs anywhere; `metadata` is told
    besides them, and None leaves something out. `refusal` answers whatever asks for a token.
    `key_lasts` and `token_lasts` are for how many requests to the API those are good that are
    issued from now on; None: for ever. `refuses` is a pattern of calls, as "PATCH v1/content/.*",
    that a workflow's key may not make besides those it never may. `device` is what polling is
    answered before there are tokens.
    """

    discovery: Literal["on", "off", "html"] = "on"
    endpoints: dict[str, str] = field(
        default_factory=lambda: {
            "token_endpoint": "/oauth/token?tenant=1",
            "authorization_endpoint": "/oauth/authorize?tenant=1",
            "registration_endpoint": "/oauth/register?tenant=1",
            "device_authorization_endpoint": "/oauth/device?tenant=1",
            "revocation_endpoint": "/oauth/revoke?tenant=1",
        }
    )
    metadata: dict[str, object] = field(default_factory=dict)
    refusal: OAuthRefusal | None = None
    key_lasts: int | None = None
    token_lasts: int | None = None
    refuses: str = ""
    device: list[str] = field(default_factory=list)
    interval: int = 5
    expires_in: object = 3600
    consents: bool = True
    forges_state: bool = False
    clients: set[str] = field(default_factory=set)
    keys: dict[str, Key] = field(default_factory=dict)
    logins: list[Login] = field(default_factory=list)
    secrets: set[str] = field(default_factory=lambda: {PLANTED})
    forbidden: list[str] = field(default_factory=list)
    _identities: dict[str, dict[str, object]] = field(default_factory=dict)
    _used: set[str] = field(default_factory=set)
    _publishers: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    _access: set[str] = field(default_factory=set)
    _codes: dict[str, dict[str, str]] = field(default_factory=dict)
    _devices: dict[str, str] = field(default_factory=dict)

    # what tests do

    def trust(self, guid: str, **claims: str) -> None:
        """Let workflows with these claims update this content item."""
        usual = {"iss": GITHUB, "aud": "connect", "sub": SUBJECT}
        self._publishers.append((guid, usual | claims))

    def identity(self, **claims: object) -> str:
        """Issue an identity token; by default GitHub's, good for ten minutes."""
        now = int(time.time())
        told = {"iss": GITHUB, "aud": "connect", "sub": SUBJECT, "repository": "org/repo"}
        when = {"ref": "refs/heads/main", "iat": now, "exp": now + 600}
        every = told | when | {"jti": secrets.token_hex(8)} | claims
        token = jwt(every)
        self._identities[token] = every
        self.secrets |= {token, token.rpartition(".")[2]}
        return token

    def log_in(self) -> Login:
        """Return tokens as a log-in would have left them, for a client of its own."""
        client = f"client-{secrets.token_hex(4)}"
        self.clients.add(client)
        self.logins.append(self._login(client))
        return self.logins[-1]

    def expire(self) -> None:
        """Let all that was issued so far be good for nothing, refresh tokens aside."""
        for key in self.keys.values():
            key.left = 0
        for login in self.logins:
            login.left = 0

    def leaks(self, *texts: str | bytes) -> list[str]:
        """Return the secrets that the texts show."""
        whole = [text if isinstance(text, bytes) else text.encode() for text in texts]
        return [one for one in sorted(self.secrets) if any(one.encode() in text for text in whole)]

    def leaks_below(self, folder: Path) -> list[str]:
        """Return the secrets that stand in files of this folder, or in their names."""
        files = [path for path in folder.rglob("*") if path.is_file()]
        return self.leaks(*map(str, files), *(path.read_bytes() for path in files))

    def check(self) -> None:
        assert not self.forbidden, self.forbidden

    # what the server does

    def watch(self, world: World, request: Recorded) -> None:
        """Keep what must not be sent, whatever it was sent to."""
        asked = f"{request.path}?{urlencode(request.query)}"
        others = {k: v for k, v in request.headers.items() if "authorization" not in k}
        if self.leaks(asked, *request.query.values(), *others.values()):
            self._forbid(request, "a secret in a URL or a header")
        if self._endpoint(world, request) is None and self.leaks(request.body):
            self._forbid(request, "a secret in a body")
        for name in ("authorization", "x-rsc-authorization"):
            scheme, _, value = request.headers.get(name, "").partition(" ")
            wanted = "Key" if value in self.keys else "Bearer" if value in self._access else None
            if value in self.secrets and scheme != wanted:
                self._forbid(request, f"{scheme} and what is not such a key or token")

    def answer(self, world: World, request: Recorded) -> Reply | None:
        """Answer what is about signing in; None for anything else."""
        name = self._endpoint(world, request)
        if name is None:
            return None
        answers: dict[str, tuple[str, Callable[[World, Recorded], Reply]]] = {
            "discovery": ("GET", self._discover),
            "token_endpoint": ("POST", self._token),
            "authorization_endpoint": ("GET", self._authorize),
            "registration_endpoint": ("POST", self._register),
            "device_authorization_endpoint": ("POST", self._device),
            "revocation_endpoint": ("POST", self._revoke),
        }
        method, answer = answers[name]
        try:
            if request.method != method:
                raise self._forbid(request, f"the method is not {method}")
            given = [request.headers.get(f"{x}authorization") for x in ("", "x-rsc-")]
            if given != [world.front, None]:
                raise self._forbid(request, "a key where none is needed")
            return answer(world, request)
        except OAuthRefusal as refusal:
            return refusal.reply()

    def admit(self, key: str) -> str | None:
        """Return the content item to which a request's key is bound; None for a person's."""
        scheme, _, value = key.partition(" ")
        mine = [one for one in self.logins if one.access == value and not one.revoked]
        found = self.keys.get(value) if scheme == "Key" else None
        one = found or (mine[0] if mine and scheme == "Bearer" else None)
        if one is None or one.left == 0:
            raise Refusal(401, 30, "the key or token is not valid")
        if one.left is not None:
            one.left -= 1
        return found.guid if found else None

    @contextmanager
    def acting(self, world: World, request: Recorded) -> Iterator[None]:
        """Answer a request as what its key is bound to may: as an editor of one content item."""
        guid = self.admit(world.key_in(request))
        if guid is None:
            yield
            return
        never = r"GET v1/user|(GET|POST) v1/content|GET v1/users/.*"
        if re.fullmatch(f"{never}|{self.refuses or '(?!)'}", str(request)):
            raise Refusal(403, 22, "You don't have permission to perform this operation.")
        content = world.contents[guid]
        named = re.match(r"(?:v1/content|applications)/([^/]+)", request.path)
        if named and named[1] not in {guid, content.id}:
            raise Refusal(404, 4, "The requested object does not exist.")
        role, content.role = content.role, "editor"
        try:
            yield
        finally:
            content.role = role

    def _forbid(self, request: Recorded, why: str) -> OAuthRefusal:
        self.forbidden.append(f"{request}: {why}")
        return OAuthRefusal("invalid_request", why)

    def _endpoint(self, world: World, request: Recorded) -> str | None:
        path = request.path if request.path.startswith("/") else f"/__api__/{request.path}"
        if path == _DISCOVERY:
            return "discovery"
        for name, place in self.endpoints.items():
            parts = urlsplit(place.removeprefix(world.url))
            own = parse_qsl(parts.query)
            more = name == "authorization_endpoint"
            given = [pair for pair in request.query.items() if not more or pair in own]
            if (parts.netloc, parts.path) == ("", path) and given == own:
                return name
        return None

    def _discover(self, world: World, request: Recorded) -> Reply:
        if request.query or request.body:
            raise self._forbid(request, "a query or a body")
        if self.discovery == "off":
            return Reply(404, f"<html>{PLANTED}</html>".encode(), "text/html")
        if self.discovery == "html":
            return Reply(200, f"<html>Who are you? {PLANTED}</html>".encode(), "text/html")
        places = {
            name: place if "://" in place else f"{world.url}{place}"
            for name, place in self.endpoints.items()
        }
        rest = {
            "issuer": world.url,
            "grant_types_supported": list(_FIELDS),
            "response_types_supported": ["code"],
            "code_challenge_methods_supported": ["S256"],
            "token_endpoint_auth_methods_supported": ["none"],
        }
        told = places | rest | self.metadata
        return Reply.of({name: value for name, value in told.items() if value is not None})

    def _form(self, request: Recorded) -> dict[str, str]:
        if request.headers.get("content-type", "").partition(";")[0] != _FORM:
            raise self._forbid(request, "not form-encoded")
        pairs = parse_qsl(request.body.decode(), keep_blank_values=True)
        if len(dict(pairs)) != len(pairs):
            raise self._forbid(request, "a field twice")
        return dict(pairs)

    def _token(self, _world: World, request: Recorded) -> Reply:
        fields = self._form(request)
        grant = fields.pop("grant_type", "")
        if grant not in _FIELDS:
            raise OAuthRefusal("unsupported_grant_type")
        if fields.keys() != _FIELDS[grant]:
            raise self._forbid(request, f"the fields are {sorted(fields)}")
        if grant == EXCHANGE:
            return self._exchange(request, fields)
        if self.refusal:
            raise self.refusal
        if fields["client_id"] not in self.clients:
            raise OAuthRefusal("invalid_client", status=401)
        if grant == "refresh_token":
            return self._refresh(request, fields)
        check = self._polled if grant == DEVICE else self._proved
        check(request, fields)
        self.logins.append(self._login(fields["client_id"]))
        return self._told(self.logins[-1])

    def _exchange(self, request: Recorded, fields: dict[str, str]) -> Reply:
        kinds = (fields["subject_token_type"], fields["requested_token_type"])
        if kinds != (f"{_TYPE}id_token", f"{_TYPE}access_token"):
            raise self._forbid(request, f"the types are {kinds}")
        token = fields["subject_token"]
        used = token in self._used
        self._used.add(token)
        if self.refusal:
            raise self.refusal
        claims = self._identities.get(token)
        if claims is None or used or cast("int", claims["exp"]) <= time.time():
            raise VERIFICATION
        if claims["iss"] not in {wanted["iss"] for _, wanted in self._publishers} | {GITHUB}:
            raise VERIFICATION
        key = self._secret("key")
        self.keys[key] = Key(self._trusting(claims), self.key_lasts)
        kind = f"{_TYPE}access_token"
        rest = {"issued_token_type": kind, "token_type": "Bearer", "expires_in": 600}
        return Reply.of({"access_token": key, **rest})

    def _trusting(self, claims: dict[str, object]) -> str:
        """Return the one content item whose publisher has these claims."""
        but_for_audience = [
            (guid, wanted["aud"])
            for guid, wanted in self._publishers
            if all(claims.get(name) == value for name, value in wanted.items() if name != "aud")
        ]
        found = [guid for guid, audience in but_for_audience if audience == claims["aud"]]
        if len(found) > 1:
            raise AMBIGUOUS
        if not found:
            raise WRONG_AUDIENCE if but_for_audience else NO_GRANT
        return found[0]

    def _authorize(self, _world: World, request: Recorded) -> Reply:
        own = dict(parse_qsl(urlsplit(self.endpoints["authorization_endpoint"]).query))
        fields = {k: v for k, v in request.query.items() if k not in own}
        challenged = {"code_challenge", "code_challenge_method"}
        if fields.keys() != {"response_type", "client_id", "redirect_uri", "state"} | challenged:
            raise self._forbid(request, f"the fields are {sorted(fields)}")
        if (fields["response_type"], fields["code_challenge_method"]) != ("code", "S256"):
            raise self._forbid(request, "no code, or no S256")
        if not re.fullmatch(_CALLBACK, fields["redirect_uri"]) or len(fields["state"]) < 16:
            raise self._forbid(request, "a callback elsewhere, or a short state")
        if fields["client_id"] not in self.clients:
            return Reply(400, f"<html>Who asks? {PLANTED}</html>".encode(), "text/html")
        code = self._secret("code")
        self._codes[code] = fields
        denied = {"error": "access_denied", "error_description": PLANTED}
        told = {"code": code} if self.consents else denied
        told["state"] = "f" * 32 if self.forges_state else fields["state"]
        location = f"{fields['redirect_uri']}?{urlencode(told)}"
        return Reply(302, b"", headers=(("Location", location),))

    def _proved(self, request: Recorded, fields: dict[str, str]) -> None:
        """Refuse a code that is not for this client, or without what its challenge was made of."""
        asked = self._codes.pop(fields["code"], None)
        if asked is None:
            raise self._forbid(request, "a code that was not issued, or is used")
        verifier = fields["code_verifier"]
        digest = hashlib.sha256(verifier.encode()).digest()
        proof = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
        if not re.fullmatch(r"[\w.~-]{43,128}", verifier, re.ASCII):
            raise self._forbid(request, "a verifier of another form")
        told = (proof, fields["client_id"], fields["redirect_uri"])
        if told != (asked["code_challenge"], asked["client_id"], asked["redirect_uri"]):
            raise self._forbid(request, "a code for another client, callback or verifier")

    def _register(self, _world: World, request: Recorded) -> Reply:
        if request.headers.get("content-type", "").partition(";")[0] != "application/json":
            raise self._forbid(request, "not JSON")
        told = cast("dict[str, object]", request.json)
        name, places = told.pop("client_name", None), told.pop("redirect_uris", [])
        grants = cast("list[str]", told.pop("grant_types", []))
        fixed = {"token_endpoint_auth_method": "none", "response_types": ["code"]}
        if told != fixed or not name or not set(grants) <= _FIELDS.keys() - {EXCHANGE}:
            raise self._forbid(request, f"the fields are {told}")
        if not places or not all(
            re.fullmatch(_CALLBACK, place) for place in cast("list[str]", places)
        ):
            raise self._forbid(request, "a callback elsewhere")
        client = f"client-{secrets.token_hex(4)}"
        self.clients.add(client)
        return Reply.of({"client_id": client, "grant_types": grants}, 201)

    def _device(self, world: World, request: Recorded) -> Reply:
        fields = self._form(request)
        if fields.keys() != {"client_id"}:
            raise self._forbid(request, f"the fields are {sorted(fields)}")
        if fields["client_id"] not in self.clients:
            raise OAuthRefusal("invalid_client", status=401)
        code = self._secret("device")
        self._devices[code] = fields["client_id"]
        place = f"{world.url}/device"
        return Reply.of(
            {
                "device_code": code,
                "user_code": "WDJB-MJHT",
                "verification_uri": place,
                "verification_uri_complete": f"{place}?user_code=WDJB-MJHT",
                "interval": self.interval,
                "expires_in": 600,
            }
        )

    def _polled(self, request: Recorded, fields: dict[str, str]) -> None:
        """Refuse a device's code that nobody has consented to yet."""
        code = fields["device_code"]
        if self._devices.get(code) != fields["client_id"]:
            raise self._forbid(request, "a device that is not known, or no longer")
        word = self.device.pop(0) if self.device else ""
        if word not in {"authorization_pending", "slow_down", "temporarily_unavailable"}:
            del self._devices[code]
        if word:
            raise OAuthRefusal(word, status=503 if word == "temporarily_unavailable" else 400)

    def _refresh(self, request: Recorded, fields: dict[str, str]) -> Reply:
        token = fields["refresh_token"]
        for one in self.logins:
            if one.client == fields["client_id"] and token in one.old:
                one.revoked = True
                self._forbid(request, "a refresh token that was used before")
            elif one.client == fields["client_id"] and token == one.refresh and not one.revoked:
                one.old.add(token)
                new = self._login(one.client)
                one.access, one.refresh, one.left = new.access, new.refresh, new.left
                return self._told(one)
        raise OAuthRefusal("invalid_grant")

    def _revoke(self, _world: World, request: Recorded) -> Reply:
        fields = self._form(request)
        if not {"token"} <= fields.keys() <= {"token", "token_type_hint", "client_id"}:
            raise self._forbid(request, f"the fields are {sorted(fields)}")
        if fields.get("client_id") not in self.clients:
            raise OAuthRefusal("invalid_client", status=401)
        for one in self.logins:
            one.revoked |= fields["token"] in {one.access, one.refresh}
        return Reply(200, b"")

    def _login(self, client: str) -> Login:
        access = self._secret("access")
        self._access.add(access)
        return Login(client, access, self._secret("refresh"), self.token_lasts)

    def _told(self, login: Login) -> Reply:
        tokens = {"access_token": login.access, "refresh_token": login.refresh}
        return Reply.of({**tokens, "token_type": "Bearer", "expires_in": self.expires_in})

    def _secret(self, kind: str) -> str:
        value = f"Plant3d-{kind}-{secrets.token_hex(12)}"
        self.secrets.add(value)
        return value


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 64
    fake: _Running

    def handle_error(self, *_args: object) -> None:
        """Say nothing: clients that go away are what some tests are about."""


@dataclass
class _Running:
    """A server on 127.0.0.1, running while the block does."""

    def __enter__(self) -> Self:
        self._server = _Server(("127.0.0.1", 0), self._handler())
        self._server.fake = self
        self.port: int = self._server.server_address[1]
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.01}
        )
        self._thread.start()
        return self

    def __exit__(self, failed: object, *_exception: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
        if failed is None:
            self.check()

    def _handler(self) -> type[socketserver.BaseRequestHandler]:
        raise NotImplementedError

    def check(self) -> None:
        """Fail if something came that must not."""


@dataclass
class FakeGitHub(_Running):
    """GitHub's endpoint that issues a workflow's identity tokens, each a new one.

    `claims` differ from the usual ones; `refusal` is answered instead, status and body.
    """

    oauth: FakeOAuth
    claims: dict[str, object] = field(default_factory=dict)
    refusal: tuple[int, bytes] | None = None
    audiences: list[str] = field(default_factory=list)  # asked for so far
    request_token: str = field(default_factory=lambda: f"Plant3d-request-{secrets.token_hex(12)}")

    def __post_init__(self) -> None:
        self.oauth.secrets.add(self.request_token)

    def environ(self) -> dict[str, str]:
        """Return what GitHub sets for a job with `permissions: id-token: write`."""
        return {
            "CI": "true",
            "GITHUB_ACTIONS": "true",
            "GITHUB_REPOSITORY": "org/repo",
            "GITHUB_REF": "refs/heads/main",
            "ACTIONS_ID_TOKEN_REQUEST_URL": f"http://127.0.0.1:{self.port}/idtoken/1?api-version=2.0",
            "ACTIONS_ID_TOKEN_REQUEST_TOKEN": self.request_token,
        }

    def check(self) -> None:
        self.oauth.check()

    def answer(self, method: str, target: str, authorization: str | None) -> tuple[int, bytes]:
        parts = urlsplit(target)
        query = parse_qsl(parts.query, keep_blank_values=True)
        audience = dict(query).get("audience", "")
        wanted = [("api-version", "2.0"), ("audience", audience)]
        if (method, parts.path, query) != ("GET", "/idtoken/1", wanted) or not audience:
            self.oauth.forbidden.append(f"GitHub was asked: {method} {target}")
            return 400, PLANTED.encode()
        if authorization != f"Bearer {self.request_token}":
            self.oauth.forbidden.append("GitHub was asked with another request token")
            return 401, PLANTED.encode()
        self.audiences.append(audience)
        if self.refusal:
            return self.refusal
        token = self.oauth.identity(**{"aud": audience, **self.claims})
        return 200, json.dumps({"count": len(token), "value": token}).encode()

    def _handler(self) -> type[socketserver.BaseRequestHandler]:
        return _GitHubHandler


class _GitHubHandler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        github = cast("FakeGitHub", cast("_Server", self.server).fake)
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        status, body = github.answer(self.command, self.path, self.headers.get("Authorization"))
        self.send_response(status)
        self.send_header("Content-Type", "application/json; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        self.close_connection = True

    do_POST = do_PUT = do_HEAD = do_GET  # noqa: N815 - http.server's names

    def log_message(self, *_args: object) -> None:
        """Say nothing."""


@dataclass
class Trap(_Running):
    """A server that nothing may reach: leaving the block fails if something did."""

    caught: list[bytes] = field(default_factory=list)

    @property
    def url(self) -> str:
        """Another port of the host on which the fake Connect is."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def other_host(self) -> str:
        return f"http://localhost:{self.port}"

    def check(self) -> None:
        assert not self.caught, self.caught

    def _handler(self) -> type[socketserver.BaseRequestHandler]:
        return _TrapHandler


class _TrapHandler(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        trap = cast("Trap", cast("_Server", self.server).fake)
        trap.caught.append(b"connected")
        trap.caught.append(self.request.recv(1 << 16))
        self.request.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}")
