"""How requests travel: TLS, proxies, patience."""

from __future__ import annotations

import contextlib
import ipaddress
import time
import urllib.request
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from requests.auth import AuthBase
from urllib3.exceptions import (
    HTTPError,
    InvalidHeader,
    MaxRetryError,
    ProtocolError,
    ReadTimeoutError,
    ResponseError,
)
from urllib3.util import Retry

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Mapping
    from types import TracebackType

    from requests import PreparedRequest
    from urllib3 import BaseHTTPResponse, ProxyManager
    from urllib3.connectionpool import ConnectionPool

    from hatch_connect.secret import Secret

LONGEST_RETRY_AFTER = 60.0  # seconds; a server that asks for more is told of instead
TOO_MANY_REQUESTS = 429


class Patience(Retry):
    """What is repeated, and how long is waited for it.

    Repeated are reads and the changes that may be carried out twice, and whatever never reached the
    server or was turned away unread (429). After a time-out there is one more try only. `tell` is
    called with the seconds that the server asks to wait, before they are waited.
    """

    tell: Callable[[float], None] = staticmethod(lambda _seconds: None)

    @classmethod
    def usual(cls) -> Self:
        """Return the patience of every request: about fifteen seconds in all."""
        return cls(
            total=5,
            connect=3,
            other=0,
            allowed_methods={"GET", "PATCH", "PUT"},
            status_forcelist={TOO_MANY_REQUESTS, 502, 503, 504},
            backoff_factor=0.5,
            backoff_jitter=0.25,
            backoff_max=10,
            raise_on_status=False,
        )

    def new(self, **changes: Any) -> Self:  # noqa: ANN401 - urllib3's signature
        """Return the same patience with some changes."""
        patience = super().new(**changes)
        patience.tell = self.tell
        return patience

    def sleep_for_retry(self, response: BaseHTTPResponse) -> bool:
        """Wait as long as the server asks for, and tell whether it does."""
        seconds = self.get_retry_after(response)
        if seconds:
            self.tell(seconds)
        return super().sleep_for_retry(response)

    def is_retry(self, method: str, status_code: int, has_retry_after: bool = False) -> bool:  # noqa: FBT001, FBT002 - urllib3's signature
        """Tell whether an answer means that the request is to be repeated."""
        return status_code == TOO_MANY_REQUESTS or super().is_retry(
            method, status_code, has_retry_after
        )

    def get_retry_after(self, response: BaseHTTPResponse) -> float | None:
        """Return how many seconds the server asks to wait; None where it cannot be understood."""
        with contextlib.suppress(InvalidHeader):
            return super().get_retry_after(response)
        return None

    def increment(
        self,
        method: str | None = None,
        url: str | None = None,
        response: BaseHTTPResponse | None = None,
        error: Exception | None = None,
        _pool: ConnectionPool | None = None,
        _stacktrace: TracebackType | None = None,
    ) -> Self:
        """Return the patience that is left, or raise when there is none."""
        if response is not None and _pool is not None:
            asked = self.get_retry_after(response)
            if asked is not None and asked > LONGEST_RETRY_AFTER:
                raise MaxRetryError(_pool, url or "", ResponseError("Retry-After is too long"))
        if isinstance(error, ReadTimeoutError) and any(
            isinstance(past.error, ReadTimeoutError) for past in self.history
        ):
            raise error
        return super().increment(method, url, response, error, _pool, _stacktrace)


class Pauses:
    """The waits between the attempts at something, by the same patience."""

    def __init__(self, patience: Patience, attempts: int) -> None:
        self._left: Retry = patience.new(total=attempts - 1, read=None, status=None)
        self._tell = patience.tell

    def another(self, asked: float | None = None) -> bool:
        """Wait, also as long as the server asked, and tell whether there may be another attempt."""
        try:
            self._left = self._left.increment("GET", error=ProtocolError())
        except HTTPError:
            return False
        if asked and asked > LONGEST_RETRY_AFTER:
            return False
        if asked:
            self._tell(asked)
            time.sleep(asked)
        else:
            self._left.sleep()
        return True


def seconds_in(retry_after: str | None) -> float | None:
    """Return what a `Retry-After` asks for; None where there is none that can be understood."""
    if retry_after is None:
        return None
    with contextlib.suppress(InvalidHeader):
        return Retry().parse_retry_after(retry_after)
    return None


class KeyAuth(AuthBase):
    """Sends an API key, and keeps any other credentials (.netrc) from being sent instead."""

    def __init__(self, key: Secret | None) -> None:
        self._key = key

    def __call__(self, request: PreparedRequest) -> PreparedRequest:
        """Add the header."""
        if self._key:
            request.headers["Authorization"] = f"Key {self._key.reveal()}"
        return request


class Http(requests.Session):
    """A session that reads nothing from the process's environment and follows nobody."""

    def __init__(self) -> None:
        super().__init__()
        self.trust_env = False

    def get_redirect_target(self, _response: requests.Response) -> str | None:
        """Return nothing: redirects are followed by our own rule, if at all."""
        return None


class Adapter(HTTPAdapter):
    """Connects with one TLS context, whatever requests would load on its own."""

    def __init__(self, context: ssl.SSLContext, patience: Patience) -> None:
        self._context = context
        super().__init__(max_retries=patience)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - requests' signature
        """Make the pool for direct connections."""
        super().init_poolmanager(*args, ssl_context=self._context, **kwargs)

    def proxy_manager_for(self, proxy: str, **kwargs: Any) -> ProxyManager:  # noqa: ANN401 - requests' signature
        """Make the pool for connections through a proxy."""
        contexts = {"ssl_context": self._context, "proxy_ssl_context": self._context}
        manager: ProxyManager = super().proxy_manager_for(proxy, **contexts, **kwargs)
        return manager

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
