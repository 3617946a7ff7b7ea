"""What comes of a deployment: done, planned, or several of them."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hatch_connect.secret import masked

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hatch_connect.connect.servers import Server
    from hatch_connect.secret import Secret
    from hatch_connect.ship.execute import Deployment
    from hatch_connect.ship.plan import Plan
    from hatch_connect.verbs.listing import Listing


@contextmanager
def nothing_changed(again: str = "deploy") -> Iterator[None]:
    """Say so where the person ends what only looks."""
    try:
        yield
    except KeyboardInterrupt as error:
        error.add_note(f"Nothing was changed on the server. To go on, {again} again.")
        raise


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployed:
    """What is on the server now; `hidden` are values that its answer may not show.

    `draft_urls` is False if the server shows a draft in its dashboard only.
    """

    deployment: Deployment
    server: Server
    digest: str | None = None
    listing: Listing | None = None
    hidden: tuple[Secret, ...] = ()
    draft_urls: bool | None = None

    @property
    def url(self) -> str:
        """The content's URL, or the draft's."""
        done = self.deployment
        if done.active:
            return done.content.content_url
        if self.draft_urls is False:
            return done.content.draft_url(done.bundle_id)
        return f"{done.content.content_url.rstrip('/')}/_bundle{done.bundle_id}/"

    def lines(self) -> tuple[str, ...]:
        """Return the URL, or the list."""
        return (*(self.listing.lines() if self.listing else ()), self.url)

    def to_dict(self) -> dict[str, object]:
        """Return content, bundle and answer."""
        done, content = self.deployment, self.deployment.content
        answer = done.answer
        return {
            "url": self.url,
            "dashboard_url": content.dashboard_url,
            "logs_url": content.logs_url,
            "guid": content.guid,
            "name": content.name,
            "title": content.title,
            "app_mode": content.app_mode,
            "server": self.server.url,
            "created": done.created,
            "bundle_id": done.bundle_id,
            "previous_bundle_id": done.previous_bundle_id,
            "active": done.active,
            "digest": self.digest,
            "answer": answer
            and {
                "status": answer.status,
                "text": masked(answer.text, self.hidden),
                "verified": not answer.doubt,
            },
            **(self.listing.to_dict() if self.listing else {}),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """What would be done: `--dry-run`."""

    plan: Plan
    server: Server
    listing: Listing | None = None

    def lines(self) -> tuple[str, ...]:
        """Return a line a step."""
        server = f"on {self.server.url} ({self.server.source}):"
        return (*(self.listing.lines() if self.listing else ()), server, *self.plan.lines())

    def to_dict(self) -> dict[str, object]:
        """Return the steps as text."""
        return {
            "server": self.server.url,
            "content": self.plan.content.guid if self.plan.content else None,
            "because": self.plan.because,
            "steps": [str(step) for step in self.plan.steps],
            "notes": list(self.plan.notes),
            **(self.listing.to_dict() if self.listing else {}),
        }
