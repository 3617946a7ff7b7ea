"""Understanding the URLs that people paste."""

from __future__ import annotations

import ipaddress
import re
from typing import TYPE_CHECKING
from urllib.parse import SplitResult, urlsplit

from hatch_connect.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

_GUID = r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"
_WHERE_PEOPLE_LOOK = re.compile(rf"(?:/__[a-z]+__(?:/.*)?|/content/{_GUID}(?:/.*)?)$")
_CONTENT = re.compile(rf"/(?:apps|content)/({_GUID})(?=/|$|\?)")
_DEFAULT_PORTS = {"http": 80, "https": 443}
_USER = re.compile(r"[^/\s]*@")
_LIKE_A_KEY = re.compile(r"[A-Za-z0-9_-]{24,}")
_EXAMPLE = "Give the server's URL, such as https://connect.example.com."


def server_url(text: str) -> str:
    """Return the URL of the server that `text` is on: no slash at the end, a path prefix kept.

    Understood are the API's URL (`/__api__`), the dashboard's as a browser shows it
    (`/connect/#/apps/...`) and a content's (`/content/GUID/`).

    Raises:
        UsageError: where `text` is not an http or https URL, or holds a user name or a password.

    """
    parts = _split(text.strip())
    path = _WHERE_PEOPLE_LOOK.sub("", re.sub("/{2,}", "/", parts.path)).rstrip("/")
    if parts.fragment.startswith("/"):
        path = path.removesuffix("/connect")
    return f"{parts.scheme}://{_network_location(parts)}{path}"


def content_guid(text: str) -> str | None:
    """Return the GUID in a URL of content (dashboard or content itself), or None."""
    match = re.fullmatch(_GUID, text.strip()) or _CONTENT.search(text)
    return match[match.lastindex or 0].lower() if match else None


def is_local(url: str) -> bool:
    """Tell whether a URL stays on this machine."""
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def same_server(one: str, other: str) -> bool:
    """Tell whether two URLs, as stored by anybody, name one server."""
    try:
        return server_url(one) == server_url(other)
    except UsageError:
        return one == other


def _split(text: str) -> SplitResult:
    try:
        parts = urlsplit(text)
        _ = parts.port
    except ValueError:
        raise UsageError("The server's URL cannot be understood.", hint=_EXAMPLE) from None
    if parts.username is not None or parts.password is not None:
        raise UsageError(
            f"The URL of {parts.hostname} holds a user name or a password.",
            hint="Leave it out: Connect wants an API key, which is given on its own.",
        )
    if any(_problems(text, parts)):
        raise UsageError(f"{_shown(text)} is not the URL of a server.", hint=_EXAMPLE)
    return parts


def _shown(text: str) -> str:
    """Return what can be said of a text that is no URL: it may be a password, or the API key."""
    if _LIKE_A_KEY.fullmatch(text):
        return "What is given as the server (it looks like an API key)"
    shown = _USER.sub("", text)
    return f"`{shown}`" if shown.isprintable() else repr(shown)


def _problems(text: str, parts: SplitResult) -> Iterator[bool]:
    yield parts.scheme not in _DEFAULT_PORTS
    yield not parts.hostname
    yield not text.isprintable() or any(c.isspace() for c in text)


def _network_location(parts: SplitResult) -> str:
    host = (parts.hostname or "").lower()
    if ":" in host:
        host = f"[{host}]"
    if parts.port in {None, _DEFAULT_PORTS[parts.scheme]}:
        return host
    return f"{host}:{parts.port}"
