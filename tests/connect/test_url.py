from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hatch_connect.connect.url import content_guid, is_local, same_server, server_url
from hatch_connect.errors import UsageError

GUID = "0a1b2c3d-0000-4000-8000-00000000000f"


@pytest.mark.parametrize(
    ("pasted", "url"),
    [
        ("https://host", "https://host"),
        ("https://host/", "https://host"),
        ("  https://HOST//  ", "https://host"),
        ("HTTPS://Host:443/", "https://host"),
        ("http://host:80", "http://host"),
        ("http://host:3939/", "http://host:3939"),
        ("https://host/rsc/", "https://host/rsc"),
        ("https://host/connect/", "https://host/connect"),
        ("https://host/__api__", "https://host"),
        ("https://host/rsc/__api__/v1/user?x=1", "https://host/rsc"),
        ("https://host/__login__?url=x", "https://host"),
        ("https://host/connect/#/apps/" + GUID, "https://host"),
        ("https://host/rsc/connect/#/content/listing", "https://host/rsc"),
        ("https://host/connect/connect/#/", "https://host/connect"),
        (f"https://host/rsc/content/{GUID}/", "https://host/rsc"),
        (f"https://host/content/{GUID}/_bundle7/docs", "https://host"),
        ("https://host/content/", "https://host/content"),
        ("https://[::1]:3939/", "https://[::1]:3939"),
    ],
)
def test_what_people_paste_is_understood(pasted: str, url: str) -> None:
    assert server_url(pasted) == url
    assert server_url(url) == url


@pytest.mark.parametrize(
    "text",
    [
        *("", "host", "host/path", "ftp://host", "https://", "https://host:port", "https:///x"),
        *("https://ho st", "https://host\x1b[2J", "https://[::1", "file:///etc/passwd"),
    ],
)
def test_what_is_no_url_is_refused(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        server_url(text)
    assert caught.value.message.isprintable()


def test_a_password_is_refused_and_not_shown() -> None:
    with pytest.raises(UsageError, match="user name or a password") as caught:
        server_url("https://user:hunter2@host")
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    "text",
    ["user:hunter2@host", "https:/user:hunter2@host/x", "//user:hunter2@host", "hunter2" * 4],
)
def test_nor_is_one_in_what_is_no_url(text: str) -> None:
    """A key that is set as the server is as likely as a server that is set as the key."""
    with pytest.raises(UsageError) as caught:
        server_url(text)
    assert "hunter2" not in str(caught.value)


@given(st.text())
def test_any_text_is_a_url_or_refused(text: str) -> None:
    try:
        url = server_url(text)
    except UsageError:
        return
    assert server_url(url) == url


@pytest.mark.parametrize(
    ("text", "guid"),
    [
        (GUID, GUID),
        (GUID.upper(), GUID),
        (f"https://host/connect/#/apps/{GUID}/access", GUID),
        (f"https://host/connect/#/apps/{GUID}", GUID),
        (f"https://host/content/{GUID}/", GUID),
        ("42", None),
        ("https://host/connect/#/content/listing", None),
    ],
)
def test_content_in_a_url(text: str, guid: str | None) -> None:
    assert content_guid(text) == guid


def test_local_hosts() -> None:
    local = ("http://localhost:1", "http://x.localhost", "http://127.0.0.9/", "http://[::1]/")
    assert all(is_local(url) for url in local)
    assert not any(
        is_local(url) for url in ("http://host", "http://10.0.0.1", "http://localhost.de")
    )


def test_one_server_written_in_two_ways() -> None:
    assert same_server("https://host/", "https://HOST/__api__")
    assert not same_server("https://host", "http://host")
    assert same_server("odd", "odd")
    assert not same_server("odd", "https://host")
