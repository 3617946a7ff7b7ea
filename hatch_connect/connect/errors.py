"""The errors of requests that got no answer, worded for people."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import requests
import urllib3.exceptions as low

from hatch_connect.errors import LostAnswerError, TimedOutError, UnreachableError

if TYPE_CHECKING:
    from collections.abc import Iterator

# What a proxy or load balancer answers if Connect behind it does not.
_GATEWAY = {502, 503, 504}
# OpenSSL's numbers for why a certificate is not accepted.
_NOT_YET_VALID, _EXPIRED = 9, 10
_UNKNOWN_ISSUER = {2, 18, 19, 20, 21}
_OTHER_NAME = {62, 64}


def is_gateways(status: int | None, code: int | None) -> bool:
    """Return whether an answer comes from a gateway, so that the request may have reached Connect.

    Connect's own refusals are final: they have a code, whatever their status.
    """
    return status in _GATEWAY and code is None


def failure(
    error: requests.RequestException, *, what: str, url: str, proxy: str | None, timeout: float
) -> UnreachableError:
    """Return the error for a request `what` that got no answer.

    No text of `error` itself is shown: it may hold the password of a proxy.
    """
    causes = tuple(_causes(error))
    at = urlsplit(url).netloc
    for cause in causes:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return _certificate(cause, at)
    if _any(causes, requests.exceptions.SSLError, ssl.SSLError):
        failed = UnreachableError(
            f"{at} does not speak TLS: {_reason(causes, ssl.SSLError)}.",
            hint="Check whether the URL must begin with http:// instead of https://.",
        )
        failed.because_of = "tls"
        return failed
    # The server's URL was checked before: with a proxy, it is the proxy's that has no valid form.
    odd = _any(causes, requests.exceptions.InvalidURL, low.LocationParseError)
    if _any(causes, requests.exceptions.ProxyError) or (odd and proxy):
        return _proxy(causes, proxy)
    if odd:
        return UnreachableError(f"{at} is not a valid server address.", hint="Check the URL.")
    return _unreached(causes, url) or _silence(causes, what, at, timeout)


def _unreached(causes: tuple[BaseException, ...], url: str) -> UnreachableError | None:
    if _any(causes, low.NameResolutionError):
        return UnreachableError(
            f"The host name in {_origin(url)} cannot be resolved.",
            hint="Check the URL and the network connection (VPN).",
        )
    if _any(causes, low.NewConnectionError):
        return UnreachableError(
            f"{_origin(url)} cannot be reached: {_reason(causes, OSError)}.",
            hint="Check the URL and the port, and that the server is running.",
        )
    return None


def _silence(
    causes: tuple[BaseException, ...], what: str, at: str, timeout: float
) -> UnreachableError:
    longer = (
        "Try again; if the server is slow, set CONNECT_REQUEST_TIMEOUT (seconds) to a higher value."
    )
    if _any(causes, requests.exceptions.ConnectTimeout, low.ConnectTimeoutError):
        return UnreachableError(
            f"The connection to {at} timed out.",
            hint=f"Check the URL and the network. {longer}",
        )
    if _any(causes, low.ReadTimeoutError, requests.exceptions.ReadTimeout, TimeoutError):
        return TimedOutError(f"{at} did not respond to {what} within {timeout:g} s.", hint=longer)
    return LostAnswerError(
        f"The connection to {at} was lost before the response to {what} was complete.",
        hint="Try again.",
    )


def _certificate(error: ssl.SSLCertVerificationError, at: str) -> UnreachableError:
    code = error.verify_code
    said = error.verify_message or "no reason was given"
    if code in _UNKNOWN_ISSUER:
        why = f"its issuer is not trusted ({said})"
        hint = "Pass the issuer's certificate (PEM) with --cacert; your administrator has it."
    elif code in _OTHER_NAME:
        why = f"it was issued for another name ({said})"
        hint = "Use a name from the certificate in the server's URL."
    elif code == _EXPIRED:
        why = "it has expired"
        hint = "Ask the server's administrator to renew it, and check this machine's clock."
    elif code == _NOT_YET_VALID:
        why = "it is not valid yet"
        hint = "Check this machine's clock."
    else:
        why, hint = said, "Ask the server's administrator."
    failed = UnreachableError(f"The certificate of {at} was rejected: {why}.", hint=hint)
    failed.because_of = "tls"
    return failed


def _proxy(causes: tuple[BaseException, ...], proxy: str | None) -> UnreachableError:
    failed = UnreachableError(
        f"Cannot connect through the proxy {place_of(proxy or '')}: {_reason(causes, OSError)}.",
        hint="Check HTTPS_PROXY and HTTP_PROXY (a user name and a password go into the URL), or"
        " add the server to NO_PROXY.",
    )
    failed.because_of = "proxy"
    return failed


def place_of(proxy: str) -> str:
    """Return the host and port of a proxy: the rest of its URL may hold a password."""
    try:
        parts = urlsplit(proxy if "://" in proxy else f"//{proxy}")
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        return "from HTTPS_PROXY or HTTP_PROXY"
    return f"{parts.hostname or ''}{port}"


def _reason(causes: tuple[BaseException, ...], kind: type[OSError]) -> str:
    """Return what the operating system or OpenSSL said, innermost first."""
    own = [
        c
        for c in reversed(causes)
        if isinstance(c, kind) and not isinstance(c, requests.RequestException)
    ]
    for cause in own:
        said = getattr(cause, "reason", None) or cause.strerror or (cause.args or [""])[0]
        if isinstance(said, str) and said:
            return said.replace("_", " ").lower() if said.isupper() else said
    return "no reason was given"


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def _any(causes: tuple[BaseException, ...], *kinds: type[BaseException]) -> bool:
    return any(isinstance(cause, kinds) for cause in causes)


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield an exception and all that it wraps: requests and urllib3 nest them in several ways."""
    waiting: list[object] = [error]
    seen: set[int] = set()
    while waiting:
        one = waiting.pop(0)
        if not isinstance(one, BaseException) or id(one) in seen:
            continue
        seen.add(id(one))
        yield one
        waiting += [*one.args, getattr(one, "reason", None), getattr(one, "original_error", None)]
        waiting += [one.__cause__, one.__context__]
