"""How requests travel: pools of connections, proxies, the key."""

from __future__ import annotations

import contextlib
import http.client
import io
import ipaddress
import ssl
import time
import urllib.request
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import requests
import urllib3
import urllib3.connection
from requests.adapters import HTTPAdapter
from requests.auth import AuthBase
from urllib3.util.wait import wait_for_read

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Mapping

    from requests import PreparedRequest
    from urllib3 import ProxyManager

    from hatch_connect.connect.retries import RetryPolicy
    from hatch_connect.secret import Secret


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
            raise TimeoutError("the answer takes too long")
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


class KeyAuth(AuthBase):
    """Sends the API key. Any `auth` keeps requests from reading credentials from .netrc."""

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
        # If told not to follow, requests still reads the whole body, to prepare the next request.
        return None


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
