"""`info`: what this project was deployed as, and where."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from hatch_connect.ship.find import variable_names
from hatch_connect.verbs.found import found_content
from hatch_connect.verbs.reach import who

if TYPE_CHECKING:
    from hatch_connect.connect.resources import Content, User
    from hatch_connect.connect.servers import Server
    from hatch_connect.events import Report
    from hatch_connect.options import Options
    from hatch_connect.verbs.surroundings import Surroundings


@dataclass(frozen=True, slots=True, kw_only=True)
class ContentInfo:
    """A project's content on one server; `variables` are names, None if it does not tell them."""

    server: Server
    user: User | None
    content: Content
    because: str
    variables: tuple[str, ...] | None

    def lines(self) -> tuple[str, ...]:
        """Return a line a fact."""
        content = self.content
        variables = "not told" if self.variables is None else ", ".join(self.variables) or "none"
        return (
            f"Server     {self.server.url} ({self.server.source})",
            f"You        {who(self.user)}",
            f"Content    {content.guid} ({self.because})",
            f"Name       {content.name}",
            f"Title      {content.title or ''}",
            f"App mode   {content.app_mode}",
            f"Bundle     {content.bundle_id or 'none is active'}",
            f"Deployed   {content.last_deployed_time or 'never'}",
            f"Variables  {variables}",
            f"URL        {content.content_url}",
            f"Dashboard  {content.dashboard_url}",
        )

    def to_dict(self) -> dict[str, object]:
        """Return the facts as an object."""
        content = self.content
        return {
            "server": self.server.url,
            "username": self.user and self.user.username,
            "guid": content.guid,
            "because": self.because,
            "name": content.name,
            "title": content.title,
            "app_mode": content.app_mode,
            "bundle_id": content.bundle_id,
            "last_deployed_time": content.last_deployed_time,
            "variables": None if self.variables is None else list(self.variables),
            "url": content.content_url,
            "dashboard_url": content.dashboard_url,
        }


def run(options: Options, surroundings: Surroundings, report: Report) -> ContentInfo:
    """Look the content up. Raises UsageError, ServerError."""
    with found_content(options, surroundings, report) as found:
        return ContentInfo(
            server=found.server,
            user=found.user,
            content=found.content,
            because=found.because,
            variables=variable_names(found.client, found.content),
        )
