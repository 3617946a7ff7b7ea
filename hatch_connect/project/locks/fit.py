"""Whether a package can be installed on the target, and whether its URL may be shipped."""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from hatch_connect.project.pins import PUBLIC_INDEX
from hatch_connect.project.settings import has_credentials, without_credentials

if TYPE_CHECKING:
    from collections.abc import Iterable

    from packaging.tags import Tag

    from hatch_connect.project.target import Target

_SHOWN_TAGS = 6
_SECRET_KEYS = {"access_token", "api_key", "apikey", "password", "private_token", "sig", "token"}
_LOCAL_HOSTS = {"localhost", "127.0.0.1", "::1", "0.0.0.0"}  # noqa: S104 -- compared, not bound


def is_commit(text: str) -> bool:
    """Whether it is the name of a commit, which never moves as a branch or tag may."""
    return re.fullmatch(r"[0-9a-fA-F]{7,64}", text) is not None


def parted(url: str) -> SplitResult:
    """Return the parts of a URL; those of one that is none are empty."""
    try:
        return urlsplit(url)
    except ValueError:
        return urlsplit("")


def file_name(place: str) -> str:
    """Return the file name at the end of a URL or a path."""
    return unquote(parted(place).path).replace("\\", "/").rpartition("/")[2]


def fits(wheels: Iterable[str], tags: frozenset[Tag]) -> bool:
    """Whether one of these wheels, by its file name, can be installed."""
    return any(not tags.isdisjoint(wheel_tags(wheel)) for wheel in wheels)


@cache
def wheel_tags(wheel: str) -> frozenset[Tag]:
    """Return the tags of a wheel by its file name; none for a name that is not a wheel's."""
    from packaging.utils import InvalidWheelFilename, parse_wheel_filename

    try:
        return parse_wheel_filename(wheel)[3]
    except InvalidWheelFilename:
        return frozenset()


def misfit(called: str, wheels: Iterable[str], target: Target) -> str:
    """Word the problem of a package that has wheels for others only."""
    tags = sorted({str(tag) for wheel in wheels for tag in wheel_tags(wheel)})
    shown = ", ".join(tags[:_SHOWN_TAGS]) or "none"
    more = f" and {len(tags) - _SHOWN_TAGS} more" if len(tags) > _SHOWN_TAGS else ""
    return f"{called} has no wheel for {target} and no sdist; it has {shown}{more}."


def index_note(index: str | None) -> str | None:
    """Word the note on packages of an index that a server may not know, or None."""
    if index is None or index.rstrip("/") == PUBLIC_INDEX:
        return None
    shown = without_credentials(index)
    return f"Packages come from {shown}: the index that the server uses must have them."


def url_problem(called: str, url: str) -> str | None:
    """Say why Connect could not or must not be given this URL, or None."""
    shown = without_credentials(url)
    if has_credentials(url):
        return f"{called} has credentials in its URL: {shown}."
    parts = parted(url)
    if not parts.scheme:
        return f"{called} has a URL that is none: {shown}."
    secret = _SECRET_KEYS & {key.lower() for key, _ in parse_qsl(parts.query)}
    if secret:
        return f"{without_query(called)} has a `{min(secret)}` in its URL: {without_query(url)}."
    if parts.scheme.rpartition("+")[2] == "file" or parts.hostname in _LOCAL_HOSTS:
        return f"{called} comes from a place that only this machine can reach: {shown}."
    return None


def without_query(text: str) -> str:
    """Return a text that ends in a URL without the URL's query, fit for a message."""
    return without_credentials(text).partition("?")[0]
