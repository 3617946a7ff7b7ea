"""Which release of Connect the server claims to be, and what that release does not have yet.

Everything that a release brought is one entry of `ADDITIONS`, with where that is known from; what
has no entry is taken to be in every release. Middleware acts on paths and on fields of answers, and
what reads a request asks `Release.has`.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from hatch_connect.errors import UsageError
from hatch_connect.events import Detail

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from hatch_connect.events import Report
    from hatch_connect.local.pythons import Python

_RELEASE = re.compile(r"(\d{4})\.(\d{1,2})(?:\.(\d{1,2}))?")
_API = "/__api__"
_DRAFT = re.compile(r"/content/[^/]+/_bundle\d+(/.*)?")
_MONTHS = range(1, 13)

Kind = Literal["path", "field", "answer", "include", "app mode", "behaviour"]


@dataclass(frozen=True, slots=True, order=True)
class Release:
    """A release of Connect, such as 2025.06.0."""

    year: int
    month: int
    patch: int = 0

    def __str__(self) -> str:
        return f"{self.year}.{self.month:02}.{self.patch}"

    def has(self, kind: Kind, name: str, path: str = "") -> bool:
        """Return whether this release has something, in requests to `path` if that matters."""
        return not any(name in one.names for one in self.lacking(kind, path))

    def lacking(self, kind: Kind, path: str = "") -> tuple[Addition, ...]:
        """Return what of a kind this release does not have yet, in requests to `path`."""
        found = (one for one in ADDITIONS if one.kind == kind and one.since > self)
        return tuple(one for one in found if not one.paths or one.covers(path))


@dataclass(frozen=True, slots=True, kw_only=True)
class Addition:
    """Something that releases before `since` do not have, and the client that knows of it.

    A "path" is missing with all below it. A "field" is one of a request's JSON, an "answer" one of
    an answer's, an "include" a value of that parameter of a query. Paths are those below `__api__`,
    as routes write them.
    """

    since: Release
    kind: Kind
    names: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()
    source: str

    def covers(self, path: str) -> bool:
        """Return whether one of its paths is that of a request."""
        below = "(/.*)?" if self.kind == "path" else ""
        patterns = (re.sub(r"\{\w+\}", "[^/]+", each) + below for each in self.paths)
        return any(re.fullmatch(pattern, path) for pattern in patterns)


OLDEST = Release(2022, 8)
"""The oldest release of which an answer is known: it refuses fields that it does not know.

Of those before it the official clients tell nothing any more.
"""
NEWEST = Release(2026, 6)
"""The release that this server is modelled on."""

_DEPLOY = "/v1/content/{guid}/deploy"
_CONTENT = ("/v1/content", "/v1/content/{guid}")
_BUNDLES = ("/v1/content/{guid}/bundles", "/v1/content/{guid}/bundles/{id}")
_JOBS = ("/v1/content/{guid}/jobs", "/v1/content/{guid}/jobs/{key}")
_LOCKED = ("locked", "locked_message")
_BOTH: tuple[Kind, ...] = ("field", "answer")


def _since(
    year: int,
    month: int,
    kind: Kind,
    source: str,
    *,
    names: tuple[str, ...] = (),
    paths: tuple[str, ...] = (),
) -> Addition:
    since = Release(year, month)
    return Addition(since=since, kind=kind, source=source, names=names, paths=paths)


ADDITIONS: tuple[Addition, ...] = (
    _since(2022, 10, "path", "connectapi", paths=_JOBS[:1]),
    _since(2022, 12, "path", "connectapi, posit-sdk", paths=("/v1/content/{guid}/repository",)),
    _since(2023, 5, "path", "posit-sdk", paths=("/v1/environments",)),
    _since(2023, 5, "path", "rsconnect-python", paths=("/v1/system/caches",)),
    _since(2023, 7, "behaviour", "rsconnect-python", names=("environment management",)),
    _since(2024, 4, "path", "connectapi", paths=("/v1/search/content",)),
    _since(2024, 5, "app mode", "rsconnect-python", names=("tensorflow-saved-model",)),
    _since(2024, 5, "path", "connectapi", paths=("/v1/server_settings/tensorflow",)),
    _since(
        2024, 6, "include", "connectapi, posit-sdk", names=("vanity_url",), paths=("/v1/content",)
    ),
    _since(2024, 6, "behaviour", "posit-sdk", names=("include for one",)),
    _since(2024, 8, "field", "connectapi", names=_LOCKED, paths=_CONTENT),
    _since(2024, 8, "answer", "connectapi", names=_LOCKED, paths=_CONTENT),
    _since(
        2024, 8, "path", "posit-sdk", paths=("/v1/oauth/integrations", "/v1/content/{guid}/oauth")
    ),
    _since(2024, 9, "path", "connectapi", paths=("/v1/content/{guid}/thumbnail",)),
    _since(
        2024,
        11,
        "path",
        "connectapi, posit-sdk",
        paths=("/v1/packages", "/v1/content/{guid}/packages"),
    ),
    _since(2024, 12, "app mode", "rsconnect-python", names=("python-gradio",)),
    _since(2025, 1, "answer", "connectapi", names=("content_id", "content_guid"), paths=_JOBS),
    _since(2025, 2, "answer", "posit-sdk", names=("active",), paths=_BUNDLES),
    _since(2025, 3, "behaviour", "rsconnect-python", names=("python requires",)),
    _since(2025, 4, "path", "connectapi, posit-sdk", paths=("/v1/instrumentation/content/hits",)),
    _since(
        2025,
        6,
        "field",
        "rsconnect-python",
        names=("activate",),
        paths=(_DEPLOY, "/v1/content/{guid}/build"),
    ),
    _since(2025, 7, "behaviour", "connect-actions", names=("draft URL",)),
    _since(2025, 7, "behaviour", "connectapi, posit-sdk", names=("several integrations",)),
    # Of content, the newest recorded answer has these, and not those of 2026.01 below.
    _since(2025, 9, "field", "connectapi", names=("default_environment_guid",), paths=_CONTENT),
    _since(
        2025,
        9,
        "answer",
        "connectapi",
        names=("default_environment_guid", "environment_guid", "public_content_status"),
        paths=_CONTENT,
    ),
    _since(2025, 10, "app mode", "rsconnect-python", names=("python-panel",)),
    _since(2025, 12, "behaviour", "connect-actions, rsconnect-python", names=("bundle metadata",)),
    _since(2025, 12, "path", "posit-sdk", paths=("/v1/content/{guid}/lockfile",)),
    *(
        _since(
            2026,
            1,
            kind,
            "Connect's API reference",
            names=("metrics_collection_enabled", "notify_on_share", "otel_enabled"),
            paths=_CONTENT,
        )
        for kind in _BOTH
    ),
    _since(2026, 4, "path", "Posit Publisher", paths=("/v1/server_settings/nodejs",)),
    _since(2026, 4, "app mode", "rsconnect for R", names=("nodejs",)),
    _since(
        2026, 4, "field", "Connect's API reference", names=("content_category",), paths=_CONTENT
    ),
    # Its error code, 278, is the newest of all.
    _since(
        2026, 6, "path", "Connect's API reference", paths=("/v1/content/{guid}/bundles/{id}/files",)
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Claims:
    """What a server claims to be; without `pythons` it has all that are found."""

    release: Release = NEWEST
    pythons: tuple[Python, ...] = ()


AS_IT_IS = Claims()


def read_release(text: str) -> Release:
    """Return the release that a person wrote as 2025.06 or 2025.06.0. Raises UsageError."""
    match = _RELEASE.fullmatch(text.strip())
    if match is None or int(match[2]) not in _MONTHS:
        raise UsageError(
            f"--connect-version: {text!r} is not a release of Connect.",
            hint="Write it as Connect does, such as 2025.06 or 2025.06.0.",
        )
    release = Release(int(match[1]), int(match[2]), int(match[3] or 0))
    if (release.year, release.month) > (NEWEST.year, NEWEST.month):
        raise UsageError(
            f"--connect-version: the local server does not know what Connect {release} added.",
            hint=f"The newest release that it knows is {NEWEST}.",
        )
    if release < OLDEST:
        raise UsageError(
            f"--connect-version: the local server does not know how Connect {release} answered.",
            hint=f"The oldest release of which enough is known is {OLDEST}.",
        )
    return release


class AsRelease:
    """ASGI middleware that answers as a release does that lacks a path, or fields of an answer."""

    def __init__(self, app: ASGIApp, release: Release, report: Report) -> None:
        self._app = app
        self._release = release
        self._report = report

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, unless the release does not have its path."""
        path = scope.get("path", "")
        lacking = self._release.lacking
        if path.startswith(_API):
            path = path.removeprefix(_API)
            if missing := lacking("path", path):
                await self._refuse(missing[0], path, scope)(scope, receive, send)
                return
            if told := [name for one in lacking("answer", path) for name in one.names]:
                send = _Without(told, send)
        elif _DRAFT.fullmatch(path):
            drafts = next((one for one in lacking("behaviour") if "draft URL" in one.names), None)
            if drafts:
                await self._refuse(drafts, path, scope)(scope, receive, send)
                return
        await self._app(scope, receive, send)

    def _refuse(self, missing: Addition, path: str, scope: Scope) -> ASGIApp:
        # Not at the top: the extra `local` need not be installed to read a release.
        from starlette.responses import PlainTextResponse
        from starlette.websockets import WebSocketClose

        since = f"{missing.since.year}.{missing.since.month:02}"
        text = f"Connect {self._release} does not have {path}: {since} and later do."
        self._report(Detail(text=text))
        if scope["type"] == "websocket":
            return WebSocketClose()
        if missing.kind == "behaviour" and self._release.has("field", "activate", _DEPLOY):
            # rsconnect-python takes less than 500 for alive, and failed with drafts of 2025.06.
            return PlainTextResponse("The draft cannot be shown.", status_code=500)
        # As a real server answers; its own errors are JSON.
        return PlainTextResponse("404 page not found", status_code=404)


class _Without:
    """Sends an answer without some fields of its JSON; any other answer as it is."""

    def __init__(self, fields: Collection[str], send: Send) -> None:
        self._fields = fields
        self._send = send
        self._start: Message | None = None
        self._body = b""

    async def __call__(self, message: Message) -> None:
        """Send a message, or keep it until the answer is whole."""
        if message["type"] == "http.response.start" and _is_json(message["headers"]):
            self._start = message
            return
        if self._start is None:
            await self._send(message)
            return
        self._body += message.get("body", b"")
        if message.get("more_body"):
            return
        body = json.dumps(self._less(json.loads(self._body))).encode()
        kept = [(k, v) for k, v in self._start["headers"] if k.lower() != b"content-length"]
        length = (b"content-length", str(len(body)).encode())
        await self._send({**self._start, "headers": [*kept, length]})
        await self._send({"type": "http.response.body", "body": body})

    def _less(self, parsed: object) -> object:
        if isinstance(parsed, list):
            return [self._less(one) for one in parsed]
        if isinstance(parsed, dict):
            return {key: value for key, value in parsed.items() if key not in self._fields}
        return parsed


def _is_json(headers: Iterable[tuple[bytes, bytes]]) -> bool:
    return any(k.lower() == b"content-type" and b"json" in v for k, v in headers)
