"""`open`: show content, its dashboard or its logs in a browser."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

from hatch_connect.commands.content import deployed_content
from hatch_connect.commands.result import Result, show_to_person
from hatch_connect.commands.server import chosen_server, sign_in_url
from hatch_connect.errors import ProjectError, UsageError
from hatch_connect.events import Step

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hatch_connect.commands.call import Call
    from hatch_connect.connect.servers import Server


def run_open(call: Call) -> Result:
    """Open it, or return its URL if no browser can be opened. Raises UsageError, ServerError."""
    options = call.options
    if options.dashboard and options.logs:
        raise UsageError("--dashboard and --logs are mutually exclusive.")
    if options.as_user and not options.local:
        raise UsageError("--as is only for content on this machine.", hint="Add --local.")
    if options.as_user and (options.dashboard or options.logs):
        raise UsageError(
            "--as opens the content itself, not the dashboard.", hint="Omit --dashboard and --logs."
        )
    with ExitStack() as used:
        try:
            found = used.enter_context(deployed_content(call))
        except (ProjectError, UsageError):
            if not (options.local and options.dashboard) or options.app_id or options.content:
                raise
            # The dashboard of this machine is there without any content.
            server = used.enter_context(chosen_server(call, None))
            return _show(server, f"{server.url}/connect/", {}, call)
        content = found.content
        url = content.dashboard_url if options.dashboard else content.content_url
        url = content.logs_url if options.logs else url
        return _show(found.server, url, {"guid": content.guid}, call)


def _show(server: Server, url: str, facts: Mapping[str, object], call: Call) -> Result:
    opened = _opened(server, url, call)
    show_to_person([] if opened else [url], call, server)
    return Result(lines=() if opened else (url,), facts={**facts, "url": url, "opened": opened})


def _opened(server: Server, url: str, call: Call) -> bool:
    open_page = call.surroundings.open_page
    # A browser takes other schemes, and options, from whoever answers as the server.
    if open_page is None or not url.startswith(("https://", "http://")):
        return False
    call.report(Step(text=f"Opening {url}"))
    return open_page(sign_in_url(server, url, call.options.as_user) or url)
