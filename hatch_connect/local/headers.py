"""What changes in the headers of a visit on its way to a content process and back."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from starlette.requests import HTTPConnection

# RFC 9110, 7.6.1: these are about one connection.
_HOP_BY_HOP = frozenset(
    b"connection keep-alive proxy-connection te trailer transfer-encoding upgrade".split()
)
_SCHEMES = {"ws": "http", "wss": "https"}
Headers = list[tuple[bytes, bytes]]


def request_headers(visit: HTTPConnection, prefix: str) -> Headers:
    """Return the headers for a content process: the visitor's without the key, and Connect's own.

    Connect's own headers are always set here, so that a visitor cannot forge them.
    """
    scheme = _SCHEMES.get(visit.url.scheme, visit.url.scheme)
    base = visit.base_url.replace(scheme=scheme)
    own = {
        b"x-forwarded-for": (visit.client.host if visit.client else "127.0.0.1").encode(),
        b"x-forwarded-proto": scheme.encode(),
        b"x-forwarded-host": visit.headers.get("host", "").encode(),
        b"x-forwarded-prefix": prefix.encode(),
        b"rstudio-connect-app-base-url": f"{str(base).rstrip('/')}{prefix}".encode(),
        b"x-rsc-request": str(visit.url.replace(scheme=scheme)).encode(),
    }
    headers = [
        (name, value)
        for name, value in visit.headers.raw
        if name not in own.keys() | _HOP_BY_HOP
        and not name.startswith((b"rstudio-connect-", b"posit-connect-"))
        and not (name == b"authorization" and value.lower().startswith(b"key "))
    ]
    return [*headers, *own.items()]


def answer_headers(headers: Headers, prefix: str, target: str, visit: HTTPConnection) -> Headers:
    """Return the headers for the visitor; a redirect of the content stays below its prefix."""
    return [
        (name, _location(value, prefix, target, visit) if name.lower() == b"location" else value)
        for name, value in headers
        if name.lower() not in _HOP_BY_HOP
    ]


def _location(value: bytes, prefix: str, target: str, visit: HTTPConnection) -> bytes:
    location = value.decode("latin-1")
    parts = urlsplit(location)
    ours = {"", urlsplit(target).netloc, visit.headers.get("host", "")}
    if parts.netloc not in ours or not parts.path.startswith("/"):
        return value
    below = parts.path == prefix or parts.path.startswith(prefix + "/")
    path = parts.path if below else prefix + parts.path
    return parts._replace(scheme="", netloc="", path=path).geturl().encode("latin-1")
