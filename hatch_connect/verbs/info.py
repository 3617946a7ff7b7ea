"""`info`: what this project was deployed as, and where."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from hatch_connect.verbs.found import found_content

if TYPE_CHECKING:
    from hatch_connect.connect.resources import Content
    from hatch_connect.connect.servers import Server
    from hatch_connect.events import Report
    from hatch_connect.options import Options
    from hatch_connect.verbs.surroundings import Surroundings


@dataclass(frozen=True, slots=True, kw_only=True)
class ContentInfo:
    """A project's content on one server; `variables` are names only."""

    server: Server
    content: Content
    because: str
    variables: tuple[str, ...]

    def lines(self) -> tuple[str, ...]:
        """Return a line a fact."""
        content = self.content
        return (
            f"Server     {self.server.url} ({self.server.source})",
            f"Content    {content.guid} ({self.because})",
            f"Name       {content.name}",
            f"Title      {content.title or ''}",
            f"App mode   {content.app_mode}",
            f"Bundle     {content.bundle_id or 'none is active'}",
            f"Deployed   {content.last_deployed_time or 'never'}",
            f"Variables  {', '.join(self.variables) or 'none'}",
            f"URL        {content.content_url}",
            f"Dashboard  {content.dashboard_url}",
        )

    def to_dict(self) -> dict[str, object]:
        """Return the facts as an object."""
        content = self.content
        return {
            "server": self.server.url,
            "guid": content.guid,
            "because": self.because,
            "name": content.name,
            "title": content.title,
            "app_mode": content.app_mode,
            "bundle_id": content.bundle_id,
            "last_deployed_time": content.last_deployed_time,
            "variables": list(self.variables),
            "url": content.content_url,
            "dashboard_url": content.dashboard_url,
        }


def run(options: Options, surroundings: Surroundings, report: Report) -> ContentInfo:
    """Look the content up. Raises UsageError, ServerError."""
    with found_content(options, surroundings, report) as found:
        return ContentInfo(
            server=found.server,
            content=found.content,
            because=found.because,
            variables=tuple(found.client.environment_names(found.content.guid)),
        )
