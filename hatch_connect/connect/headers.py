"""Extra headers for a server, which a proxy with a login in front of it wants.

Their values are secrets. In the environment (CONNECT_HTTP_HEADERS) each header is a line
`Name: value`, in `servers.json` a member of an object.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, TypeAlias

from hatch_connect.errors import UsageError
from hatch_connect.secret import Secret, why_absent

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

Headers: TypeAlias = tuple[tuple[str, Secret], ...]

_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110, section 5.6.2
# They describe the message and its connection; and the place of our own key is our own.
_REFUSED = re.compile(
    r"host|connection|keep-alive|upgrade|te|trailer|expect|transfer-encoding|content-.*|proxy-.*"
    r"|x-content-checksum|x-rsc-authorization",
    re.IGNORECASE,
)


def headers_in(text: str) -> Headers:
    """Return the headers in a text, which has a line `Name: value` for each.

    Raises:
        UsageError: a line cannot be sent as a header; no value is in the message.

    """
    found = []
    for number, line in enumerate(text.split("\n"), 1):
        name, colon, value = line.partition(":")
        if line.strip() and not (colon and _NAME.fullmatch(name)):
            raise UsageError(
                f"Line {number} of CONNECT_HTTP_HEADERS is not of the form `Name: value`.",
                hint="Write one header per line, without spaces before its name or its colon.",
            )
        if colon:
            found.append((name, Secret(value)))
    return checked_headers(found, "CONNECT_HTTP_HEADERS")


def checked_headers(headers: Iterable[tuple[str, Secret]], source: str) -> Headers:
    """Return headers that can be sent, those named Cookie as one; UsageError for any other."""
    found: dict[str, tuple[str, str]] = {}
    for name, secret in headers:
        value, key = secret.reveal().strip(" \t\r"), name.lower()
        if why := _why_refused(name, value):
            raise UsageError(f"A header in {source} cannot be sent: {why}.")
        if key in found and key != "cookie":
            raise UsageError(f"{source} contains the header {name} twice.")
        before = f"{found[key][1].rstrip('; ')}; " if key in found else ""
        found[key] = name, before + value
    return tuple((name, Secret(value)) for name, value in found.values())


def _why_refused(name: str, value: str) -> str:
    if not _NAME.fullmatch(name):
        return "its name contains invalid characters"
    if name.lower().startswith("proxy-"):
        return f"{name} is for the proxy in HTTPS_PROXY: put its password into that URL"
    if _REFUSED.fullmatch(name):
        return f"{name} is set by the request itself"
    if absent := why_absent(value):
        return f"the value of {name} is {absent}"
    if not (value.isascii() and value.isprintable()):
        return f"the value of {name} contains a line break or another invalid character"
    return ""


def secrets_of(headers: Headers) -> tuple[Secret, ...]:
    """Return what must not show of headers: values, and the tokens and cookies in them."""
    return tuple(Secret(part) for _, value in headers for part in _parts(value.reveal()))


def secrets_in(text: str) -> tuple[Secret, ...]:
    """Return what must not show of a text of headers, which may be malformed."""
    values = (value for line in text.split("\n") for value in (line, line.partition(":")[2]))
    return tuple(Secret(part) for value in values for part in _parts(value.strip()))


def _parts(value: str) -> Iterator[str]:
    yield value
    yield value.partition(" ")[2]  # what follows `Bearer`
    for one in re.split("[;,]", value):
        yield one.partition("=")[2].strip(' "')


def login_hint(headers: Headers) -> str:
    """Return what to do if a login page answers a request that was sent with these headers."""
    wants = "Something in front of Connect may require a login"
    if headers:
        return (
            f"{wants} and no longer accept the headers that are sent: renew them in"
            " CONNECT_HTTP_HEADERS or, if they are saved, with `hatch-connect add`."
        )
    return (
        f"{wants}: put the headers or cookies that it accepts into CONNECT_HTTP_HEADERS, and the"
        " server's URL into CONNECT_SERVER."
    )


def merged_cookies(ours: str, servers: str) -> str:
    """Return one value of `Cookie`: what the server has set meanwhile counts instead of ours."""
    newer = {one.partition("=")[0].strip() for one in servers.split(";")}
    kept = [one.strip() for one in ours.split(";") if one.partition("=")[0].strip() not in newer]
    return "; ".join(filter(None, (*kept, servers)))
