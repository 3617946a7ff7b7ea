from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

import pytest
import requests
import urllib3.exceptions as low

from hatch_connect.connect.errors import failure
from hatch_connect.errors import LostAnswerError

if TYPE_CHECKING:
    from hatch_connect.errors import UnreachableError


def said(error: requests.RequestException) -> UnreachableError:
    url, proxy = "https://host:3939/__api__/x", "http://user:hunter2@proxy:3128"
    return failure(error, what="GET x", url=url, proxy=proxy, timeout=7)


def refused_certificate(code: int, message: str) -> requests.RequestException:
    error = ssl.SSLCertVerificationError(1, "certificate verify failed")
    error.verify_code, error.verify_message = code, message
    return requests.exceptions.SSLError(low.SSLError(error))


@pytest.mark.parametrize(
    ("error", "lost", "expected"),
    [
        (requests.exceptions.ConnectTimeout(), False, "timed out"),
        (requests.exceptions.ReadTimeout(), True, "did not respond to GET x within 7 s"),
        (requests.exceptions.ChunkedEncodingError(), True, "was lost"),
        (requests.exceptions.ContentDecodingError(), True, "was lost"),
        (requests.exceptions.InvalidURL(), False, "Cannot connect through the proxy proxy:3128"),
        (requests.exceptions.SSLError(), False, "no reason was given"),
        (requests.exceptions.ProxyError(), False, "Cannot connect through the proxy proxy:3128"),
        (refused_certificate(23, "certificate revoked"), False, "certificate revoked"),
        (refused_certificate(0, ""), False, "no reason was given"),
    ],
)
def test_why_no_answer_came(error: requests.RequestException, expected: str, *, lost: bool) -> None:
    found = said(error)
    assert expected in found.message
    assert found.hint
    assert isinstance(found, LostAnswerError) is lost
    assert "hunter2" not in str(found)


def test_errors_that_hold_each_other_do_not_confuse_it() -> None:
    inner = OSError(5, "Input/output error")
    error = requests.exceptions.ProxyError(inner)
    inner.__context__ = error
    assert "Input/output error" in said(error).message


@pytest.mark.parametrize(
    "proxy", ["user:hunter2", "http://user:hunter2@p:8080/x", "http://[hunter2"]
)
def test_of_a_proxy_only_its_place_is_shown(proxy: str) -> None:
    error = requests.exceptions.ProxyError()
    found = failure(error, what="GET x", url="https://host/x", proxy=proxy, timeout=7)
    assert "hunter2" not in str(found)
    assert ("through the proxy p:8080" in found.message) == ("@" in proxy)
