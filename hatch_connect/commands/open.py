"""`open`: show content, its dashboard or its logs in a browser."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hatch_connect.commands.content import deployed_content
from hatch_connect.commands.result import Result, wait_for_person
from hatch_connect.errors import UsageError
from hatch_connect.events import Step

if TYPE_CHECKING:
    from hatch_connect.commands.call import Call


def run_open(call: Call) -> Result:
    """Open it, or return its URL if no browser can be opened. Raises UsageError, ServerError."""
    options = call.options
    if options.dashboard and options.logs:
        raise UsageError("--dashboard and --logs are mutually exclusive.")
    with deployed_content(call) as found:
        content = found.content
        url = content.dashboard_url if options.dashboard else content.content_url
        url = content.logs_url if options.logs else url
        opened = _opened(url, call)
        facts = {"guid": content.guid, "url": url, "opened": opened}
        if found.server.ends:
            wait_for_person([Result(lines=(url,))], call)
        return Result(lines=() if opened else (url,), facts=facts)


def _opened(url: str, call: Call) -> bool:
    open_page = call.surroundings.open_page
    # A browser takes other schemes, and options, from whoever answers as the server.
    if open_page is None or not url.startswith(("https://", "http://")):
        return False
    call.report(Step(text=f"Opening {url}"))
    return open_page(url)
