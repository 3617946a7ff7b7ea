"""The few pages that a person sees: what is deployed here, and why content does not answer."""

from __future__ import annotations

from base64 import b64encode
from hashlib import sha256
from html import escape
from typing import TYPE_CHECKING

from starlette.responses import HTMLResponse

from hatch_connect.local.machine import machine_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from starlette.requests import Request
    from starlette.responses import Response

    from hatch_connect.local.machine import Machine
    from hatch_connect.local.state import StoredContent

_STYLE = """
body { font: 1rem/1.5 system-ui, sans-serif; max-width: 60rem; margin: auto; padding: 1rem }
pre { background: #f4f4f4; padding: 1rem; overflow: auto }
section { border-top: 1px solid #ccc; margin-top: 1.5rem }
"""
STYLE_HASH = b64encode(sha256(_STYLE.encode()).digest()).decode()
"""What a Content-Security-Policy allows the style by."""

_PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>{style}</style>
<h1>{title}</h1>
{body}
</html>
"""
_LOG_LINES = 50


def page(title: str, body: str, *, status: int = 200) -> Response:
    """Return a page; `body` is HTML."""
    return HTMLResponse(
        _PAGE.format(style=_STYLE, title=escape(title), body=body), status_code=status
    )


def _log_lines(lines: Iterable[str]) -> str:
    """Return the lines of a log as HTML."""
    return f"<pre>{escape(chr(10).join(lines)) or '(nothing was written)'}</pre>"


def not_started(reason: str, lines: Iterable[str]) -> Response:
    """Return what a visitor gets of content whose process does not run."""
    body = f"<p>{escape(reason)} Last lines of the log:</p>{_log_lines(lines)}"
    return page("The content did not start", body, status=502)


async def overview(request: Request) -> Response:
    """Show all content, each under the fragment that its dashboard URL has, with its log."""
    machine = machine_of(request)
    contents = machine.state.contents()
    body = "".join(_section(machine, content) for content in contents)
    return page("Content on this machine", body or "<p>Nothing is deployed yet.</p>")


def _section(machine: Machine, content: StoredContent) -> str:
    anchor = f"/apps/{content.guid}"
    title = str(content.settings["title"] or content.name)
    jobs = machine.state.jobs(content)
    entries = machine.logs.read(jobs[0].key) if jobs else ()
    tail = _log_lines(entry.data for entry in entries[-_LOG_LINES:])
    where = "No bundle is active."
    if content.active_bundle is not None:
        url = escape(machine.content_url(content))
        where = f'<a href="{url}">{url}</a>'
    return (
        f'<section id="{anchor}"><h2>{escape(title)}</h2>'
        f"<p>{where}</p><p>{escape(content.name)}, {escape(content.app_mode)}</p>"
        f'<details id="{anchor}/logs"><summary>Last lines of the log</summary>{tail}</details>'
        "</section>"
    )
