"""Sends the requests to one server, and raises the errors that answers mean.

Redirects are followed only within the server; the error for any other says what to do.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import time
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING, TypeVar
from urllib.parse import quote, urlencode, urljoin, urlsplit

import requests
import urllib3.exceptions

from hatch_connect.connect.codes import SERVERS_URL, Code, next_step
from hatch_connect.connect.errors import is_gateways, place_of
from hatch_connect.connect.headers import login_hint
from hatch_connect.connect.json_reader import (
    JsonObject,
    objects,
    page_title,
    readable,
    refusal_in,
)
from hatch_connect.connect.resources import Visit
from hatch_connect.connect.retries import seconds_asked, sent_whole, settle
from hatch_connect.connect.servers import is_local
from hatch_connect.connect.transport import HeaderAuth, Http
from hatch_connect.errors import (
    AnswerError,
    NotFoundError,
    RefusedError,
)
from hatch_connect.events import Note, Progress, Report, Warned
from hatch_connect.secret import hiding

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from hatch_connect.connect.retries import Backoff
    from hatch_connect.connect.servers import Server
    from hatch_connect.connect.upload import BundleBody
    from hatch_connect.secret import Hidden, Secret

T = TypeVar("T")

HIDDEN = {401, 403, 404, 405}

_MANY_HOPS = 5
_SETTLING = 4  # attempts at what must not be done twice
_VISITS = 4  # attempts at a visit ...
_SLOWLY = 3  # ... with waits three times as long as usual: about ten seconds in all
_EXCERPT_BYTES = 1 << 16
_EXCERPT_SECONDS = 2.0
_BLOCK = 1 << 16
_PROGRESS = 1 << 20  # bytes between two reports of a download
_OK = 200
_EXPIRED = 401
_NOT_FOUND = 404
_UNAUTHORIZED = {401, 403}
_MISSING = {Code.OBJECT_DOES_NOT_EXIST, Code.TASK_DOES_NOT_EXIST}
_LOGGED_AS = "X-Correlation-ID"  # identifies the request in the server's log
_ANOTHER_URL = (
    "Check the server's URL: if it has moved, use its new one, with an API key from there."
)


@dataclass(frozen=True, slots=True)
class Request:
    """A request to the API; as text it is "POST v1/content".

    `wait` is for how many seconds the server was asked to hold its answer back, `most` bounds the
    time-out (None: as for any request); `secrets` are
    values in `body` that must not be in any message; `public` is what needs no key. If not `api`,
    the path is the server's own.
    """

    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict, kw_only=True)
    body: object = field(default=None, kw_only=True, repr=False)
    stream: BundleBody | None = field(default=None, kw_only=True)
    data: bytes | None = field(default=None, kw_only=True, repr=False)
    secrets: tuple[Secret, ...] = field(default=(), kw_only=True)
    wait: int = field(default=0, kw_only=True)
    most: float | None = field(default=None, kw_only=True)
    public: bool = field(default=False, kw_only=True)
    api: bool = field(default=True, kw_only=True)

    @property
    def headers(self) -> Mapping[str, str] | None:
        """The headers that belong to a body that is not JSON."""
        if self.data is not None:
            return {"Content-Type": "application/octet-stream"}
        return self.stream.headers if self.stream else None

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


class Session:
    """Requests to one server: its credential, headers and certificates, the proxies of `environ`.

    Nothing else decides what is sent and where: no .netrc, no environment variable that requests
    would read on its own, no redirect to another host. `hidden` are values, besides the server's
    own, that excerpts of answers must not show.
    """

    def __init__(
        self,
        server: Server,
        *,
        environ: Mapping[str, str],
        report: Report,
        hidden: Hidden = (),
    ) -> None:
        self.server = server
        self._hidden = (*hidden, *server.secrets)
        self.report = report
        self._http = Http(
            environ,
            insecure=server.insecure,
            ca_cert=server.ca_cert,
            extra=server.headers,
            report=report,
        )
        if server.url.startswith("https://"):
            self._http.tls()  # what is wrong with the certificates shows before the first request
        self._upgraded = False
        self._warn()

    @property
    def proxy(self) -> str | None:
        """The host and port of the proxy through which the server is reached."""
        proxy = self._http.proxy(self.server.url)
        return place_of(proxy) if proxy else None

    def json(self, request: Request, *, may_be_empty: bool = False) -> object:
        """Return the JSON that answers a request; None for an answer that is, and may be, empty.

        Also a request whose answer does not matter wants one or the other: an HTML page comes from
        something in front of Connect, and nothing was carried out.
        """
        response = self._accepted(request)
        if may_be_empty and not response.content:
            return None
        try:
            return json.loads(response.content)
        except (ValueError, RecursionError):
            raise self._no_json(request, response) from None

    def object(self, request: Request) -> JsonObject:
        """Return the JSON object that answers a request."""
        return JsonObject(self.json(request), str(request))

    def listed(
        self, request: Request, read: Callable[[JsonObject], T], *, may_be_empty: bool = False
    ) -> tuple[T, ...]:
        """Return the objects of the array that answers a request."""
        found = self.json(request, may_be_empty=may_be_empty)
        return tuple(map(read, objects([] if found is None else found, str(request))))

    def data(self, request: Request) -> tuple[str, bytes]:
        """Return the media type and the bytes that answer a request."""
        response = self._accepted(request)
        return response.headers.get("Content-Type", ""), response.content

    def download(
        self, request: Request, into: IO[bytes], limit: int | None, report: Report
    ) -> bool:
        """Write the answer to a file; return False if it has more than `limit` bytes."""
        url, complete = self._url(request), True

        def read(response: requests.Response) -> bytes:
            nonlocal complete
            with response:
                try:
                    if response.status_code != _OK:
                        return response.content
                    into.seek(0)
                    into.truncate()
                    complete = _written(response, into, limit, report)
                except requests.RequestException as error:
                    raise self._http.failure(error, str(request), url, wait=request.wait) from None
            return b""

        def send() -> requests.Response:
            return self._answer(request, url, api=False)

        response, _ = sent_whole(request.method, send, read, self._http.pauses(url))
        if response.status_code != _OK:
            raise self._refused(request, response)
        return complete

    def settled(
        self, act: Callable[[], T], look: Callable[[], T | None], *, name_may_be_ours: bool = False
    ) -> T:
        """Do by `act` what must not be done twice; `look` returns what a lost answer has done."""
        pauses = self.pauses(_SETTLING)
        return settle(act, look, pauses, self.report, name_may_be_ours=name_may_be_ours)

    def pauses(self, attempts: int, *, slower: int = 1) -> Backoff:
        """Return the waits between `attempts`, each so many times as long as usual."""
        return self._http.pauses(self.server.url, attempts, slower=slower)

    def visit(self, path: str, timeout: float | None = None) -> Visit:
        """Return the answer to a path of the server outside its API, whatever its status.

        After a gateway's error the path is visited again: the content may still be starting, or
        one server of a cluster may be restarting.
        """
        request = Request("GET", path, most=timeout)
        url = f"{self.server.url}/{path}"
        pauses = self.pauses(_VISITS, slower=_SLOWLY)
        for visits in itertools.count(1):
            with self._answer(request, url, api=False) as response:
                body = _beginning_of(response)
            status, (code, _) = response.status_code, refusal_in(body)
            if not is_gateways(status, code):
                break
            if visits == 1:
                text = f"{url} answered {status}, as a gateway does: visiting it again."
                self.report(Note(text=text))
            if not pauses.another(seconds_asked(response.headers)):
                break
        location = response.headers.get("Location") if response.is_redirect else None
        return Visit(
            url=_target_of(response.url, location or "") or url,
            status=status,
            code=code,
            text=self._excerpt(response, request, body),
            body=body,
        )

    def _accepted(self, request: Request) -> requests.Response:
        """Return an answer that was read to its end, and is no refusal."""
        response = self._answer(request, self._url(request), api=True)
        if not response.ok:
            raise self._refused(request, response)
        return response

    def _url(self, request: Request) -> str:
        query = f"?{urlencode(request.query)}" if request.query else ""
        return f"{self.server.url}/{'__api__/' if request.api else ''}{request.path}{query}"

    def _answer(self, request: Request, url: str, *, api: bool) -> requests.Response:
        """Return the answer after all redirects that may be followed."""
        for _ in range(_MANY_HOPS):
            response = self._whole(request, url) if api else self._sent(request, url)
            location = response.headers.get("Location")
            target = _target_of(url, location or "")
            if not response.is_redirect or target is None:
                return response
            if request.method != "GET" or not _followed(url, target):
                if api:
                    shown = self._masked(target, request)
                    message, hint = _not_followed(str(request), self.server.url, shown)
                    hint = hint or f"{_ANOTHER_URL}\n{login_hint(self.server.headers)}"
                    raise RefusedError(message, status=response.status_code, hint=hint)
                return response
            self._warn_of_upgrade(url, target)
            url = target
        if not api:
            return response
        raise RefusedError(
            f"The server redirects {request} in a loop.", status=response.status_code
        )

    def _warn_of_upgrade(self, url: str, target: str) -> None:
        if urlsplit(url).scheme != urlsplit(target).scheme and not self._upgraded:
            self._upgraded = True
            text = f"{self.server.url} redirects to https: use https:// in the server's URL."
            self.report(Warned(text=text))

    def _whole(self, request: Request, url: str) -> requests.Response:
        """Return an answer that was read to its end; repeat the request while that may help."""

        def read(response: requests.Response) -> bytes:
            try:
                return response.content  # json() and the rest take it from there
            except requests.RequestException as error:
                raise self._http.failure(error, str(request), url, wait=request.wait) from None

        pauses = self._http.pauses(url)
        return sent_whole(request.method, lambda: self._sent(request, url), read, pauses)[0]

    def _sent(self, request: Request, url: str) -> requests.Response:
        """Send a request, and once more if the credential can be renewed that the server refuses.

        The answer's body is still to be read.
        """
        credential = self.server.credential
        if credential and not request.public:
            credential.sign_in(self._http, self.report)
        used = credential.authorization() if credential else None
        response = self._signed(request, url, used)
        if response.status_code != _EXPIRED or credential is None:
            return response
        if not credential.renew(self._http, self.report, used):
            return response
        response.close()
        return self._signed(request, url, credential.authorization())

    def _signed(self, request: Request, url: str, authorization: str | None) -> requests.Response:
        if request.stream:
            request.stream.seek(0)
        return self._http.ask(
            str(request),
            request.method,
            url,
            auth=HeaderAuth(authorization),
            json=request.body,
            data=request.data if request.stream is None else request.stream,
            headers=request.headers,
            wait=request.wait,
            **({} if request.most is None else {"most": request.most}),
        )

    def _refused(self, request: Request, response: requests.Response) -> RefusedError:
        status = response.status_code
        code, said = refusal_in(response.content)
        why = readable(self._masked(said, request))
        why = why or self._excerpt(response, request, response.content)
        logged = readable(self._masked(response.headers.get(_LOGGED_AS, ""), request), limit=80)
        known = (
            f"HTTP {status}",
            "" if code is None else f"code {code}",
            f"{_LOGGED_AS} {logged}" if logged else "",
        )
        number = ", ".join(filter(None, known))
        missing = status == _NOT_FOUND or code in _MISSING
        found = NotFoundError if missing else RefusedError
        hint = next_step(request.path, status, code, why)
        credential = self.server.credential
        if status == _EXPIRED and credential and credential.lapsed:
            why, hint = credential.lapsed
        message = f"{request} was refused by {self._host} ({number}): {why or 'no reason given'}"
        if code is None and status in _UNAUTHORIZED:
            hint = f"{hint}\n{login_hint(self.server.headers)}"
        error = found(message, status=status, code=code, hint=hint)
        error.retry_after = seconds_asked(response.headers)
        return error

    def _no_json(self, request: Request, response: requests.Response) -> AnswerError:
        shown = self._excerpt(response, request, response.content)
        html = "html" in response.headers.get("Content-Type", "")
        got = f"{'an HTML page' if html else 'not JSON'}: {shown}" if shown else "empty"
        return AnswerError(
            f"The response to {request} from {self._host} (HTTP {response.status_code}) is {got}",
            hint=f"{SERVERS_URL}.\n{login_hint(self.server.headers)}",
        )

    def _excerpt(self, response: requests.Response, request: Request, body: bytes) -> str:
        # Mask before shortening: a cut secret would not be recognised, and its beginning be shown.
        text = self._masked(body.decode("utf-8", "replace"), request)
        if "html" in response.headers.get("Content-Type", "") or text.lstrip().startswith("<"):
            text = page_title(text)
        return readable(self._masked(text, request))

    def _masked(self, text: str, request: Request) -> str:
        """Mask our secrets in a text that the server may have repeated them in."""
        return hiding((*self._hidden, *request.secrets))(text)

    @property
    def _host(self) -> str:
        return urlsplit(self.server.url).netloc

    def _warn(self) -> None:
        url = self.server.url
        if self.server.insecure:
            self.report(Warned(text=f"The certificate of {url} is not verified (--insecure)."))
        if url.startswith("http://") and not is_local(url):
            self.report(
                Warned(text=f"{url} is not encrypted: others on the network can read the API key.")
            )


def _written(
    response: requests.Response, into: IO[bytes], limit: int | None, report: Report
) -> bool:
    """Write an answer to a file, and return whether that is all of it."""
    done = reported = 0
    length = response.headers.get("Content-Length", "")
    total = int(length) if length.isdecimal() else None
    for block in response.iter_content(_BLOCK):
        done += len(block)
        if limit is not None and done > limit:
            return False
        into.write(block)
        if done - reported >= _PROGRESS:
            reported = done
            report(Progress(what="Downloading", done=done, total=total))
    if reported:
        report(Progress(what="Downloading", done=done, total=done))
    return True


def unless_hidden(ask: Callable[[], T], hidden: Collection[int] = HIDDEN) -> T | None:
    """Return what is asked for; None if this key may not see it, or the server has no such path."""
    try:
        return ask()
    except RefusedError as error:
        if error.status not in hidden:
            raise
        return None


def content_path(guid: str, *rest: str) -> str:
    """Return a path of content; the GUID is quoted, since it may be any text from a user."""
    return "/".join(("v1/content", *(quote(part, safe="") for part in (guid, *rest))))


def _beginning_of(response: requests.Response) -> bytes:
    """Return the first bytes of an answer that may be long, endless, slow or broken."""
    body, began = b"", time.monotonic()
    with contextlib.suppress(urllib3.exceptions.HTTPError, OSError):
        while len(body) < _EXCERPT_BYTES and time.monotonic() - began < _EXCERPT_SECONDS:
            block = response.raw.read1(_EXCERPT_BYTES, decode_content=True)
            if not block:
                break
            body += block
    return body


def _target_of(url: str, location: str) -> str | None:
    """Return the absolute URL of a redirect from `url`; None if it has no usable one."""
    try:
        target = urljoin(url, location)
        _ = urlsplit(target).port
    except ValueError:
        return None
    return target


def _followed(url: str, target: str) -> bool:
    """Return whether a read may go on at `target`: the same host, never from https to http."""
    here, there = urlsplit(url), urlsplit(target)
    if here.hostname != there.hostname:
        return False
    if (here.scheme, there.scheme) == ("http", "https"):
        return True
    return (here.scheme, here.netloc) == (there.scheme, there.netloc)


def _not_followed(request: str, server: str, target: str) -> tuple[str, str]:
    """Return what is said of a redirect to `target`, and the hint if it is to https only."""
    here, there = urlsplit(server), urlsplit(target)
    shown = readable(f"{there.scheme}://{there.netloc.rpartition('@')[2]}{there.path}")
    message = f"The server redirects {request} to {shown}; the redirect was not followed."
    only_https = here.hostname == there.hostname and there.scheme == "https"
    return message, f"Use {_moved(server, target)} as the server's URL." if only_https else ""


def _moved(server: str, target: str) -> str:
    """Return the server's URL with the scheme and host of the target, and its own path."""
    there = urlsplit(target)
    before, api, _ = there.path.partition("/__api__")
    return f"https://{there.netloc.rpartition('@')[2]}{before if api else urlsplit(server).path}"
