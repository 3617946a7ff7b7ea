"""Which bundle a visit below `/content/` is for, and under which path that one is mounted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from hatch_connect.local.modes import MODES, Mode

if TYPE_CHECKING:
    from starlette.requests import HTTPConnection

    from hatch_connect.local.machine import Machine
    from hatch_connect.local.state import StoredBundle, StoredContent


@dataclass(frozen=True, slots=True, kw_only=True)
class ContentTarget:
    """A deployed bundle, visited at or below `prefix`, which has no slash at its end."""

    content: StoredContent
    bundle: StoredBundle
    prefix: str

    @property
    def mode(self) -> Mode:
        """What this server does with such content."""
        return MODES[self.bundle.app_mode or ""]

    def path(self, visit: HTTPConnection) -> bytes:
        """Return the path and query for the content's process, as they were sent."""
        raw_path: bytes = visit.scope["raw_path"]
        query: bytes = visit.scope["query_string"]
        cut = 0 if self.mode.learns == "at start, whole" else len(self.prefix)
        return raw_path[cut:] + (b"?" + query if query else b"")


def find_target(machine: Machine, visit: HTTPConnection) -> ContentTarget | None:
    """Return what a visit is for; None if nothing is deployed there."""
    content = machine.state.content(visit.path_params["guid"])
    if content is None:
        return None
    prefix, bundle = _find(machine, content, visit.path_params.get("path", ""))
    # If the prefix is percent-encoded needlessly, its length differs: it would be cut wrongly.
    plain = visit.scope["raw_path"].startswith(prefix.encode())
    if bundle is None or not bundle.deployed or not plain:
        return None
    return ContentTarget(content=content, bundle=bundle, prefix=prefix)


def _find(machine: Machine, content: StoredContent, path: str) -> tuple[str, StoredBundle | None]:
    prefix = f"/content/{content.guid}"
    first = path.partition("/")[0]
    number = first.removeprefix("_bundle")
    if first.startswith("_bundle") and number.isascii() and number.isdigit():
        bundle = machine.state.bundle(int(number[:18]))
        own = bundle is not None and bundle.content == content.id
        return f"{prefix}/{first}", bundle if own else None
    return prefix, machine.state.bundle(content.active_bundle or 0)
