"""What one server is: its state folder, its origins and whose they are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from hatch_connect.local.versions import AS_IT_IS, Claims

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from hatch_connect.events import Report
    from hatch_connect.local.state import StoredContent
    from hatch_connect.local.users import Declared
    from hatch_connect.secret import Secret


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """Where a server keeps its state, under which URLs it is reached, and by whom.

    `url` is the origin of the API and the dashboard, `content_origin` that of content in a browser.
    """

    folder: Path
    url: str
    content_origin: str
    api_key: Secret
    users: Declared
    environ: Mapping[str, str]
    report: Report
    claims: Claims = AS_IT_IS

    def content_url(self, content: StoredContent) -> str:
        """Return where content is visited, as Connect tells it."""
        return f"{self.url}/content/{content.guid}/"

    def frame_url(self, content: StoredContent) -> str:
        """Return where a browser gets content, apart from the dashboard."""
        return f"{self.content_origin}/content/{content.guid}/"

    def dashboard_url(self, content: StoredContent) -> str:
        """Return where content is described for a person."""
        return f"{self.url}/connect/#/apps/{content.guid}"
