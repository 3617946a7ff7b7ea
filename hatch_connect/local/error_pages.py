"""Pages that stand alone: what people get who are not signed in, or whose content does not run.

They are also shown at the origin of content, so that their style is in them.
"""

from __future__ import annotations

from base64 import b64encode
from hashlib import sha256
from typing import TYPE_CHECKING

from starlette.responses import HTMLResponse

from hatch_connect.local.dashboard.rendering import STYLE, render

if TYPE_CHECKING:
    from collections.abc import Iterable

    from starlette.responses import Response

    from hatch_connect.local.state import StoredContent

STYLE_HASH = b64encode(sha256(STYLE.encode()).digest()).decode()
"""What a Content-Security-Policy allows the style by."""


def page(title: str, body: str, *, status: int = 200) -> Response:
    """Return a page; `body` is HTML."""
    return _page(title, status, body=body)


def not_found() -> Response:
    """Return what there is at an address at which there is nothing."""
    return _page("Not found", 404, reason="There is nothing at this address.")


def not_started(reason: str, lines: Iterable[str]) -> Response:
    """Return what a visitor gets of content whose process does not run."""
    return _page("The content did not start", 502, reason=reason, lines=tuple(lines))


def too_slow(reason: str, lines: Iterable[str]) -> Response:
    """Return what a visitor gets of content that does not answer; its process goes on."""
    return _page("The content did not answer in time", 504, reason=reason, lines=tuple(lines))


def locked(content: StoredContent) -> Response:
    """Return what visitors get of locked content: the message of who locked it."""
    message = str(content.settings["locked_message"] or "Its owner has locked it.")
    return _page("This content is locked", 403, reason=message)


def _page(title: str, status: int, **values: object) -> Response:
    words = {"body": "", "reason": "", "lines": (), **values}
    html = render("error.html", title=title, style=STYLE, **words)
    return HTMLResponse(html, status)
