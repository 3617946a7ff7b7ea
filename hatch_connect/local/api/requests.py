"""What every endpoint takes from a request, and errors as Connect words them."""

from __future__ import annotations

import asyncio
import re
import sqlite3
from http import HTTPStatus
from typing import TYPE_CHECKING, TypeVar
from uuid import uuid4

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response

from hatch_connect.local.access import may_edit, may_see
from hatch_connect.local.disk import DiskError, disk_error
from hatch_connect.local.machine import Machine, machine_of
from hatch_connect.local.strict_json import parse_json
from hatch_connect.local.tasks import Task
from hatch_connect.local.users import User

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from starlette.requests import Request
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from hatch_connect.local.state import (
        StoredBundle,
        StoredContent,
        StoredDeployment,
        StoredJob,
    )

Result = TypeVar("Result")
SINCE = "2026-01-01T00:00:00Z"  # of what was always there
INTERNAL = 1
BAD_REQUEST = 2  # of those that have no code of their own
NOT_FOUND = 4
NO_VIEW = 19
NO_REMOVAL = 20
NO_UPDATE = 21
NO_RIGHTS = 22
NAME_TAKEN = 26
BUNDLE_GONE = 28
_BAD_KEY = 30
BAD_MANIFEST = 38
OTHER_APP_MODE = 48
ACTIVE_BUNDLE = 75
FOREIGN_BUNDLE = 82
NOT_PARSED = 87
XSRF = 92
BAD_CHECKSUM = 104
UNKNOWN_FIELD = 121
BAD_LENGTH = 125  # a bundle that is empty, or a body that is too large
NOT_WRITTEN = 134
BAD_ARCHIVE = 135
UNKNOWN_TASK = 141
BAD_LOAD_FACTOR = 150
BAD_INCLUDE = 161
_LOCKED = 222

_LARGEST_JSON = 2 << 20  # bytes: more than all variables that Linux gives a process
_LONGEST_NUMBER = 18  # digits: a longer number is none that SQLite could hold
_CORRELATION = "X-Correlation-ID"
_FIT_TO_ECHO = re.compile(r"[\w.:-]{1,128}", re.ASCII)


class ApiError(Exception):
    """A refusal that is sent to the client."""

    def __init__(
        self, status: int, code: int, error: str, *, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(error)
        self.status = status
        self.code = code
        self.error = error
        self.headers = headers


def refuse(_request: Request, error: Exception) -> Response:
    """Answer with an ApiError."""
    assert isinstance(error, ApiError)  # noqa: S101 - registered for nothing else
    body = {"code": error.code, "error": error.error, "payload": None}
    return JSONResponse(body, status_code=error.status, headers=error.headers)


def refuse_http(request: Request, error: Exception) -> Response:
    """Answer to a path or method that there is not."""
    assert isinstance(error, HTTPException)  # noqa: S101 - registered for nothing else
    if error.status_code == HTTPStatus.NOT_FOUND:
        return refuse(request, missing())
    refusal = ApiError(error.status_code, BAD_REQUEST, error.detail, headers=error.headers)
    return refuse(request, refusal)


def refuse_failure(request: Request, _error: Exception) -> Response:
    """Answer if this server itself fails; the reason is in its output."""
    answer = refuse(request, ApiError(500, INTERNAL, "The server failed; its output says why."))
    answer.headers[_CORRELATION] = request.scope["correlation"]
    return answer


def refuse_unwritten(request: Request, error: Exception) -> Response:
    """Answer if the state folder could not be written; raises what has another reason."""
    folder = machine_of(request).setup.folder
    told = error if isinstance(error, DiskError) else disk_error(error, folder)
    if told is None:
        raise error
    return refuse(request, ApiError(507, NOT_WRITTEN, str(told)))


UNWRITTEN = (OSError, sqlite3.OperationalError, DiskError)
"""What `refuse_unwritten` answers."""


class Correlated:
    """Give every answer an `X-Correlation-ID`: that of its request, or a new one."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer with the id."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        given = Headers(scope=scope).get(_CORRELATION, "")
        correlation = given if _FIT_TO_ECHO.fullmatch(given) else str(uuid4())
        scope["correlation"] = correlation

        async def send_correlated(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).setdefault(_CORRELATION, correlation)
            await send(message)

        await self._app(scope, receive, send_correlated)


def nobody_listens(_request: Request, _error: Exception) -> Response:
    """Answer a client that disconnected before its whole request had arrived; it is not sent."""
    return Response(status_code=400)


def missing() -> ApiError:
    """Return the answer to a path that names nothing."""
    return ApiError(404, NOT_FOUND, "The requested object does not exist.")


def invalid(error: str) -> ApiError:
    """Return the answer to a request whose values cannot be used."""
    return ApiError(400, BAD_REQUEST, error)


def bad_key() -> ApiError:
    """Return the answer to a request that no user has made."""
    return ApiError(401, _BAD_KEY, "The API key is missing or not valid.")


async def read_body(request: Request, most: int) -> bytes:
    """Return the body of a request; raises ApiError if it has more than `most` bytes."""
    body = bytearray()
    async for chunk in request.stream():
        if len(body) <= most:
            body += chunk
    if len(body) > most:
        raise ApiError(413, BAD_LENGTH, f"The request's body is larger than {most >> 20} MiB.")
    return bytes(body)


def path_of(request: Request) -> str:
    """Return the path of a request below `__api__`, as a release's table has it."""
    return request.url.path.removeprefix(request.scope["root_path"])


async def read_json(request: Request, *, optional: bool = False) -> object:
    """Return the body of a request, {} if it may be empty and is; raises ApiError if not JSON."""
    body = await read_body(request, _LARGEST_JSON)
    if optional and not body:
        return {}
    try:
        return await asyncio.to_thread(parse_json, body)  # a large one takes its time
    except ValueError as error:
        raise ApiError(400, NOT_PARSED, f"The request's body is not JSON: {error}.") from error


async def read_object(
    request: Request, known: Collection[str], *, optional: bool = False
) -> dict[str, object]:
    """Return the JSON object in a request; raises ApiError for a field that is not known."""
    parsed = await read_json(request, optional=optional)
    release, path = machine_of(request).setup.claims.release, path_of(request)
    return as_object(parsed, [name for name in known if release.has("field", name, path)])


async def read_list(request: Request) -> list[object]:
    """Return the JSON list in a request; raises ApiError if it is none."""
    parsed = await read_json(request)
    if not isinstance(parsed, list):
        raise invalid("The request's body is not a JSON list.")
    return parsed


def as_object(parsed: object, known: Collection[str]) -> dict[str, object]:
    """Return a JSON object that has no field but the known ones; raises ApiError."""
    if not isinstance(parsed, dict):
        raise invalid("The request's body is not a JSON object.")
    for name in parsed:
        if name not in known:
            raise ApiError(400, UNKNOWN_FIELD, f"Unknown field {name!r}.")
    return parsed


def whole_number(text: str) -> int | None:
    """Return the number that a text of digits is; None for others, which name nothing stored."""
    fits = text.isascii() and text.isdigit() and len(text) <= _LONGEST_NUMBER
    return int(text) if fits else None


def read_number(request: Request, name: str) -> int:
    """Return a whole number of a request's query, 0 if it is missing; raises ApiError."""
    text = request.query_params.get(name, "0")
    if (number := whole_number(text)) is None:
        shown = repr(text[: _LONGEST_NUMBER + 1])
        raise invalid(f"The parameter {name!r} must be a whole number, not {shown}.")
    return number


def key_of(scope: Scope) -> str | None:
    """Return the API key of a request: `Authorization: Key ...`, as Connect's clients send it."""
    given = dict(scope["headers"]).get(b"authorization", b"").decode("latin-1")
    scheme, _, key = given.partition(" ")
    return key.strip() if scheme.lower() == "key" else None


def user_of(request: Request) -> User:
    """Return whose key a request has."""
    user = request.scope["user"]
    assert isinstance(user, User)  # noqa: S101 - no request gets here without a key
    return user


def read_page(
    request: Request, results: Sequence[Result], *, largest: int | None = None
) -> Sequence[Result]:
    """Return the page of results that a request asks for; raises ApiError."""
    number, size = read_number(request, "page_number") or 1, read_number(request, "page_size") or 20
    if largest is not None and size > largest:
        raise invalid(f"A page has at most {largest} results.")
    return results[(number - 1) * size : number * size]


def page_of(
    request: Request,
    results: Sequence[dict[str, object]],
    *,
    largest: int | None = None,
    more: Mapping[str, object] | None = None,
) -> Response:
    """Answer with a page of results, how many there are in all, and what else there is to say."""
    page = read_page(request, results, largest=largest)
    number = read_number(request, "page_number") or 1
    paged = {"results": page, "current_page": number, "total": len(results)}
    return JSONResponse({**paged, **(more or {})})


def need_administrator(request: Request) -> None:
    """Refuse a request of a user who does not administer the server."""
    if user_of(request).role != "administrator":
        raise ApiError(403, NO_RIGHTS, "Only administrators may do this.")


def not_allowed(code: int = NO_RIGHTS) -> ApiError:
    """Return the answer to a request that this user may not make."""
    return ApiError(403, code, "You don't have permission to perform this operation.")


def publisher_of(request: Request) -> User:
    """Return whose key a request has; raises ApiError if its role is that of viewers."""
    user = user_of(request)
    if user.role == "viewer":
        raise not_allowed()
    return user


def content_of(
    request: Request, *, changing: bool = False, editing: bool = False, code: int = NO_UPDATE
) -> StoredContent:
    """Return the content that the path names; raises ApiError if its user may not see it.

    `editing` is for what only the owner, collaborators and administrators may do or read, and
    `changing` also for what cannot be done while the content is locked; others are refused with
    `code`.
    """
    state, user = machine_of(request).state, user_of(request)
    content = state.content(request.path_params["guid"])
    if content is None:
        raise missing()
    if not may_see(state, content, user):
        raise not_allowed(NO_VIEW)
    if changing or editing:
        publisher_of(request)
        if not may_edit(state, content, user):
            raise not_allowed(code)
    if changing:
        refuse_locked(content)
    return content


def refuse_locked(content: StoredContent) -> None:
    """Refuse what cannot be done while content is locked."""
    if content.settings["locked"]:
        raise ApiError(403, _LOCKED, "This content is locked.")


def bundle_of(request: Request, content: StoredContent) -> StoredBundle:
    """Return the bundle that the path names; raises ApiError."""
    return find_bundle(machine_of(request), content, request.path_params["bundle"])


def find_bundle(machine: Machine, content: StoredContent, bundle_id: str) -> StoredBundle:
    """Return the bundle of that id; raises ApiError if it is none, or another content's."""
    number = whole_number(bundle_id)
    bundle = None if number is None else machine.state.bundle(number)
    if bundle is None:
        raise missing()
    if bundle.content != content.id:
        raise ApiError(404, FOREIGN_BUNDLE, "The bundle belongs to other content.")
    return bundle


def task_of(request: Request) -> Task | StoredDeployment:
    """Return the task that the path names, or what is left of an earlier one; raises ApiError."""
    machine, task_id = machine_of(request), request.path_params["task"]
    deployment = machine.state.deployment(task_id)
    task = machine.tasks.get(task_id) or deployment
    if task is None:
        raise ApiError(404, UNKNOWN_TASK, "The task does not exist.")
    about = task.about if isinstance(task, Task) else task
    if about is None:  # it is about the server
        need_administrator(request)
    content = machine.state.content_by_id(about.content) if about else None
    if content is not None and not may_edit(machine.state, content, user_of(request)):
        raise not_allowed()
    return task


def job_of(request: Request, content: StoredContent) -> StoredJob:
    """Return the job that the path names; raises ApiError."""
    for job in machine_of(request).state.jobs(content):
        if job.key == request.path_params["key"]:
            return job
    raise missing()
