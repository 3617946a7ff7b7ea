"""What a command returns, and results that several have: a listing, a plan, a deployment."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from hatch_connect.events import Ended, Note
from hatch_connect.secret import hiding

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from hatch_connect.bundle.build_protocol import Built
    from hatch_connect.commands.call import Call
    from hatch_connect.connect.servers import Server
    from hatch_connect.events import Report
    from hatch_connect.options import Options
    from hatch_connect.secret import Hidden
    from hatch_connect.ship.compare import Comparison
    from hatch_connect.ship.plan import Plan
    from hatch_connect.ship.state import Deployment


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What a command returns: `lines` go to stdout for people, `facts` are what `--json` prints.

    `exit_code` is DIFFERENT if that is the result. `marked` tells that lines are marked with what
    is added and removed, which a terminal shows in colour; `checked` that they are rows that begin
    with what came of a check, which it shows as ticks.
    """

    lines: tuple[str, ...] = ()
    facts: Mapping[str, object] = field(default_factory=dict)
    exit_code: int = 0
    marked: bool = False
    checked: bool = False


def one_or_several(results: Sequence[Result]) -> Result:
    """Return the result of one piece of content as it is, of several as an array."""
    if len(results) == 1:
        return results[0]
    return Result(
        lines=tuple(line for result in results for line in result.lines),
        facts={"contents": [result.facts for result in results]},
    )


def listing_of(built: Built | None, options: Options) -> Result:
    """List every file of a bundle with its size in bytes, then what was left out, with the rule.

    That is nothing without `--list`, and for a prepared bundle (None).
    """
    if built is None or not options.list:
        return Result()
    files = built.contents.sizes
    left_out = tuple((left.path, left.rule) for left in built.left_out)
    width = max((len(f"{size:,}") for _, size in files), default=0)
    return Result(
        lines=(
            *(f"{size:>{width},}  {path}" for path, size in files),
            *(f"{'-':>{width}}  {path}  ({rule})" for path, rule in left_out),
        ),
        facts={
            "files": [{"path": path, "size": size} for path, size in files],
            "left_out": [{"path": path, "rule": rule} for path, rule in left_out],
        },
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned(Result):
    """What would be done, and what the bundle's result needs then; compared if only that counts."""

    plan: Plan
    listing: Result
    digest: str | None
    comparison: Comparison | None = None


_NOT_LISTED = Result()


def planned(
    plan: Plan, server: Server, listing: Result = _NOT_LISTED, digest: str | None = None
) -> Planned:
    """Return what would be done on the server."""
    facts = {
        "server": server.url,
        "content": plan.content.guid if plan.content else None,
        "because": plan.because,
        "steps": [str(step) for step in plan.steps],
        "notes": list(plan.notes),
    }
    return Planned(
        lines=(*listing.lines, f"on {server.url} ({server.source}):", *plan.lines()),
        facts={**facts, **listing.facts},
        plan=plan,
        listing=listing,
        digest=digest,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployed(Result):
    """The result of a deployment that was carried out; `summary` says it in one line."""

    deployment: Deployment
    summary: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Removed(Result):
    """The bundles that were removed from one piece of content."""

    removed: tuple[str, ...]


def deployed(
    deployment: Deployment,
    server: Server,
    before: Planned,
    *,
    summary: str,
    hidden: Hidden,
    draft_urls: bool | None = None,
) -> Deployed:
    """Return what is on the server now: the URL of the content, or of the draft.

    `summary` says it in one line, `before` is what was planned, `hidden` are values that the answer
    may not show; `draft_urls` is False if the server shows a draft in its dashboard only.
    """
    content, answer = deployment.content, deployment.answer
    url = _url_of(deployment, draft_urls=draft_urls)
    facts = {
        "url": url,
        "dashboard_url": content.dashboard_url,
        "logs_url": content.logs_url,
        "guid": content.guid,
        "name": content.name,
        "title": content.title,
        "app_mode": before.plan.app_mode or content.app_mode,
        "server": server.url,
        "created": deployment.created,
        "bundle_id": deployment.bundle_id,
        "previous_bundle_id": deployment.previous_bundle_id,
        "uploaded": deployment.uploaded,
        "active": deployment.active,
        "digest": before.digest,
        "settings": [change.facts() for change in deployment.settings],
        "answer": answer
        and {
            "status": answer.status,
            "text": hiding(hidden)(answer.text),
            "verified": not answer.doubt,
        },
    }
    return Deployed(
        lines=(*before.listing.lines, url),
        facts={**facts, **before.listing.facts},
        deployment=deployment,
        summary=summary,
    )


def report_deployed(result: Deployed, report: Report, seconds: float) -> None:
    """Report what was deployed, in how many seconds, and where its dashboard is."""
    report(Ended(text=result.summary, seconds=seconds))
    report(Note(text=f"Dashboard: {result.facts['dashboard_url']}"))


def _url_of(deployment: Deployment, *, draft_urls: bool | None) -> str:
    content = deployment.content
    if deployment.active:
        return content.content_url
    if draft_urls is False:
        return content.draft_url(deployment.bundle_id)
    return f"{content.content_url.rstrip('/')}/_bundle{deployment.bundle_id}/"


def show_to_person(urls: Sequence[str], call: Call, server: Server) -> None:
    """Show the person at the terminal what is on this machine; wait if the server ends after that.

    Nobody else gets to see the URLs that are shown: each is good once, and signs a browser in.
    """
    wait = call.surroundings.wait_for_person
    if not (server.local and wait) or call.options.json:
        return
    from hatch_connect.commands.server import sign_in_url

    user = call.options.as_user
    shown = [] if call.environ.get("CI") else [sign_in_url(server, url, user) for url in urls]
    if where := "\n".join(filter(None, shown)):
        call.report(Note(text=f"Open it within ten minutes; this works once:\n{where}"))
        call.report(Note(text="For another URL: hatch-connect open --local"))
    if server.ends:
        call.report(Note(text="Running until you press Ctrl-C."))
        wait()
