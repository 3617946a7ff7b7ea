"""How requests travel: pools of connections, proxies, time-outs, the signature."""

from __future__ import annotations

import contextlib
import http.client
import io
import ipaddress
import ssl
import time
import urllib.request
from functools import cache, partial
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import requests
import urllib3
import urllib3.connection
from requests.adapters import HTTPAdapter
from requests.auth import AuthBase
from urllib3.util.wait import wait_for_read

from hatch_connect import __version__
from hatch_connect.connect.errors import failure
from hatch_connect.connect.headers import merged_cookies
from hatch_connect.connect.retries import ATTEMPTS, Backoff, RetryPolicy, is_throttled, sent_whole
from hatch_connect.connect.tls import tls_context
from hatch_connect.errors import AnswerError, TimedOutError, UsageError
from hatch_connect.events import Note, silent

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Mapping

    from requests import PreparedRequest
    from urllib3 import ProxyManager

    from hatch_connect.connect.headers import Headers
    from hatch_connect.errors import UnreachableError
    from hatch_connect.events import Report

_READ_TIMEOUT = 300.0  # seconds, as the official client's
_CONNECT_TIMEOUT = 15.0
_NO_TIMEOUT = 86400.0  # seconds; for the official client 0 means none; sockets know a longest
_SHORT, _SHORTLY = 1 << 20, 60.0  # bytes, and seconds, of an answer that is short


class _WithDeadline(http.client.HTTPResponse):
    """An answer that must arrive as a whole within the time-out, headers and body together."""

    def __init__(self, sock: socket.socket, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - http.client's signature
        super().__init__(sock, *args, **kwargs)
        timeout = sock.gettimeout()
        if timeout is not None:
            self.fp = io.BufferedReader(_Until(sock, self.fp.detach(), time.monotonic() + timeout))


class _Until(io.RawIOBase):
    """Reads a socket until a deadline: a socket's own time-out starts anew with each byte."""

    def __init__(self, sock: socket.socket, raw: io.RawIOBase, moment: float) -> None:
        self._sock, self._raw, self._moment = sock, raw, moment

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:  # noqa: ANN401 - io's signature
        left = self._moment - time.monotonic()
        if left <= 0:
            raise TimeoutError("the response takes too long")
        self._sock.settimeout(left)
        return self._raw.readinto(buffer)

    def close(self) -> None:
        self._raw.close()
        super().close()


# urllib3 lets the classes of answers, connections and pools be replaced, one by the other.
class _Connection(urllib3.connection.HTTPConnection):
    response_class = _WithDeadline

    def send(self, data: Any) -> None:  # noqa: ANN401 - http.client's signature
        """Send a part of a request; if the other side takes no more, its answer may be there."""
        try:
            super().send(data)
        except (TimeoutError, ssl.SSLError) as error:
            if isinstance(error, TimeoutError) and not wait_for_read(self.sock, 0):
                raise
            # After this one, urllib3 reads the answer.
            raise BrokenPipeError from error


class _TlsConnection(urllib3.connection.HTTPSConnection, _Connection):
    def connect(self) -> None:
        super().connect()
        # Else urllib3 warns of a certificate that is not checked: the person was warned, once.
        self.is_verified = True


class _Pool(urllib3.HTTPConnectionPool):
    ConnectionCls = _Connection


class _TlsPool(urllib3.HTTPSConnectionPool):
    ConnectionCls = _TlsConnection


_POOLS = {"http": _Pool, "https": _TlsPool}


class HeaderAuth(AuthBase):
    """Signs a request. Any `auth` keeps requests from reading credentials from .netrc."""

    def __init__(self, authorization: str | None) -> None:
        self._authorization = authorization

    def __call__(self, request: PreparedRequest) -> PreparedRequest:
        """Add the header."""
        if self._authorization:
            request.headers["Authorization"] = self._authorization
        return request


class WithHeaders(AuthBase):
    """Adds the extra headers of a server to a request, after `auth` has signed it.

    If they say who we are to a proxy by `Authorization`, Connect is told by another header.
    """

    def __init__(self, auth: AuthBase | None, headers: Headers) -> None:
        self._auth = auth
        self._headers = headers

    def __call__(self, request: PreparedRequest) -> PreparedRequest:
        """Sign, then add the headers."""
        request = self._auth(request) if self._auth else request
        for name, secret in self._headers:
            value, own = secret.reveal(), request.headers.get(name)
            if own and name.lower() == "authorization":
                request.headers["X-RSC-Authorization"] = own
            if own and name.lower() == "cookie":
                value = merged_cookies(value, own)
            request.headers[name] = value
        return request


class Http(requests.Session):
    """Requests by the certificates of one server, and the proxies and time-out of `environ`.

    The `extra` headers go with each of them, so one that has any is for that server only.
    It reads nothing else from the process's environment and follows nobody.
    """

    def __init__(
        self,
        environ: Mapping[str, str],
        *,
        insecure: bool = False,
        ca_cert: str | None = None,
        extra: Headers = (),
        report: Report = silent,
    ) -> None:
        super().__init__()
        self.extra = extra
        self._report = report
        self._retry_policy = RetryPolicy.usual()
        self.trust_env = False
        self.headers["User-Agent"] = f"hatch-connect/{__version__}"
        self.environ = environ
        self.tls = cache(partial(tls_context, environ, insecure=insecure, ca_cert=ca_cert))
        self._insecure = insecure
        self.timeout = _read_timeout(environ)
        for prefix in ("https://", "http://"):
            self.mount(prefix, Adapter(self.tls, self._retry_policy))

    def get_redirect_target(self, _response: requests.Response) -> str | None:
        """Return nothing: redirects are followed by our own rule, if at all."""
        # If told not to follow, requests still reads the whole body, to prepare the next request.
        return None

    def proxy(self, url: str) -> str | None:
        """Return the proxy through which a URL is reached."""
        return proxy_for(url, self.environ)

    def pauses(self, url: str, attempts: int = ATTEMPTS, *, slower: int = 1) -> Backoff:
        """Return the waits between `attempts`, each so many times as long as usual."""

        def wait_asked(seconds: float) -> None:
            self._report(Note(text=f"{urlsplit(url).netloc} asks to wait {seconds:g} s."))

        policy = self._retry_policy
        slow = policy.new(backoff_factor=policy.backoff_factor * slower)
        return Backoff(slow, attempts, wait_asked)

    def ask(
        self,
        what: str,
        method: str,
        url: str,
        *,
        wait: int = 0,
        most: float = _NO_TIMEOUT,
        **given: Any,  # noqa: ANN401 - as requests
    ) -> requests.Response:
        """Send a request, called `what` in messages; the answer's body is still to be read.

        `wait` are seconds for which the server may hold its answer back; `most` bounds the
        time-out. Raises UnreachableError.
        """
        proxy = self.proxy(url)
        timeout = min(self.timeout, most) + wait
        # While a body is sent, the time-out for connecting is the one for each write.
        connecting = (
            timeout if hasattr(given.get("data"), "read") else min(timeout, _CONNECT_TIMEOUT)
        )
        try:
            return self.request(
                method,
                url,
                timeout=(connecting, timeout),
                allow_redirects=False,
                proxies={urlsplit(url).scheme: proxy} if proxy else {},
                verify=not self._insecure,
                stream=True,
                **{**given, "auth": WithHeaders(given.get("auth"), self.extra)},
            )
        except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
            raise self.failure(error, what, url, wait=wait, most=most) from None

    def failure(
        self, error: Exception, what: str, url: str, *, wait: int = 0, most: float = _NO_TIMEOUT
    ) -> UnreachableError:
        """Return the error for a request that got no answer, or not the whole one."""
        if not isinstance(error, requests.RequestException):
            error = requests.RequestException(error)
        proxy, timeout = self.proxy(url), min(self.timeout, most) + wait
        failed = failure(error, what=what, url=url, proxy=proxy, timeout=timeout)
        if isinstance(failed, TimedOutError) and self.timeout > most:
            failed.hint = "Try again later."  # a longer CONNECT_REQUEST_TIMEOUT would not count
        return failed

    def ask_shortly(
        self,
        what: str,
        method: str,
        url: str,
        *,
        once: bool = False,
        untaken: Callable[[int, bytes], bool] = is_throttled,
        **given: Any,  # noqa: ANN401 - as requests
    ) -> tuple[requests.Response, bytes]:
        """Return an answer that is short and comes soon, and its body.

        Unless it must go `once`, the request is sent again while that may help: see `sent_whole`.
        Raises UnreachableError, and AnswerError if it is long.
        """

        def send() -> requests.Response:
            return self.ask(what, method, url, most=_SHORTLY, **given)

        def read(response: requests.Response) -> bytes:
            with response:
                try:
                    body: bytes = response.raw.read(_SHORT + 1, decode_content=True)
                except (urllib3.exceptions.HTTPError, OSError) as error:
                    raise self.failure(error, what, url, most=_SHORTLY) from None
            if len(body) > _SHORT:
                raise AnswerError(
                    f"The response to {what} from {urlsplit(url).netloc} is too long."
                )
            return body

        pauses = self.pauses(url, 1 if once else ATTEMPTS)
        return sent_whole(method, send, read, pauses, untaken)


def _read_timeout(environ: Mapping[str, str]) -> float:
    given = environ.get("CONNECT_REQUEST_TIMEOUT")
    if not given:
        return _READ_TIMEOUT
    try:
        seconds = float(given)
    except ValueError:
        seconds = -1
    if not 0 <= seconds < float("inf"):
        raise UsageError(
            f"CONNECT_REQUEST_TIMEOUT is not valid: `{given}`.",
            hint="Set it to a number of seconds.",
        )
    return min(seconds or _NO_TIMEOUT, _NO_TIMEOUT)


class Adapter(HTTPAdapter):
    """Connects with one TLS context, whatever requests would load on its own."""

    def __init__(self, context: Callable[[], ssl.SSLContext], retry_policy: RetryPolicy) -> None:
        self._context = context
        super().__init__(max_retries=retry_policy)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - requests' signature
        """Make the pool for direct connections."""
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = {"http": _Pool, "https": self._tls_pool}

    def proxy_manager_for(self, proxy: str, **kwargs: Any) -> ProxyManager:  # noqa: ANN401 - requests' signature
        """Make the pool for connections through a proxy."""
        contexts = {"ssl_context": self._context(), "proxy_ssl_context": self._context()}
        manager: ProxyManager = super().proxy_manager_for(proxy, **contexts, **kwargs)
        manager.pool_classes_by_scheme = _POOLS
        return manager

    def _tls_pool(self, host: str, port: int, **kwargs: Any) -> _TlsPool:  # noqa: ANN401 - urllib3's signature
        return _TlsPool(host, port, ssl_context=self._context(), **kwargs)

    def cert_verify(self, *args: object, **kwargs: object) -> None:
        """Leave the connection with what the TLS context holds."""


def proxy_for(url: str, environ: Mapping[str, str]) -> str | None:
    """Return the proxy that the environment names for a URL."""
    parts = urlsplit(url)
    if _bypassed(parts.netloc, parts.hostname or "", environ):
        return None
    names = (f"{parts.scheme}_proxy", "all_proxy")
    found = (environ.get(n) or environ.get(n.upper()) for n in names)
    return next((proxy for proxy in found if proxy), None)


def _bypassed(location: str, host: str, environ: Mapping[str, str]) -> bool:
    listed = environ.get("no_proxy") or environ.get("NO_PROXY") or ""
    bypass = urllib.request.proxy_bypass_environment  # type: ignore[attr-defined] # not in typeshed
    if bypass(location, {"no": listed.strip()}):
        return True
    with contextlib.suppress(ValueError):
        address = ipaddress.ip_address(host)
        return any(address in network for network in _networks(listed))
    return False


def _networks(listed: str) -> list[ipaddress.IPv4Network | ipaddress.IPv6Network]:
    """Return the address ranges of a NO_PROXY, which urllib does not understand."""
    found = []
    for entry in listed.split(","):
        with contextlib.suppress(ValueError):
            found.append(ipaddress.ip_network(entry.strip().strip("[]"), strict=False))
    return found
