"""`versions`: the bundles that the server keeps of the content."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from hatch_connect.errors import NotFoundError, UsageError
from hatch_connect.events import Step
from hatch_connect.verbs.found import found_content

if TYPE_CHECKING:
    from hatch_connect.connect.client import ConnectClient
    from hatch_connect.connect.resources import BundleInfo
    from hatch_connect.events import Report
    from hatch_connect.options import Options
    from hatch_connect.ship.history import History
    from hatch_connect.verbs.surroundings import Surroundings


@dataclass(frozen=True, slots=True, kw_only=True)
class Versions:
    """The bundles, newest first, and what is known of them."""

    guid: str
    history: History

    def lines(self) -> tuple[str, ...]:
        """Return a line a bundle: number, date, size, commit, and whether it is or was active."""
        return tuple(_line(b, self.history.remarks(b)) for b in self.history.bundles)

    def to_dict(self) -> dict[str, object]:
        """Return the bundles as objects."""
        return {
            "guid": self.guid,
            "bundles": [
                {
                    "id": b.id,
                    "created_time": b.created_time,
                    "size": b.size,
                    "active": b.id == self.history.active,
                    "was_active": self.history.was_active(b),
                    "metadata": dict(b.metadata),
                }
                for b in self.history.bundles
            ],
        }


def _line(bundle: BundleInfo, remarks: tuple[str, ...]) -> str:
    size = "" if bundle.size is None else f"{bundle.size:,} bytes"
    commit = dict(bundle.metadata).get("source_commit", "")
    parts = (bundle.id, bundle.created_time, size, commit, ", ".join(remarks))
    return "  ".join(filter(None, parts))


def run(options: Options, surroundings: Surroundings, report: Report) -> Versions:
    """List the bundles; with `--remove` remove one first. Raises UsageError, ServerError."""
    with found_content(options, surroundings, report) as found:
        guid, client, history = found.content.guid, found.client, found.history
        if options.remove:
            chosen = choose_bundle(client, guid, options.remove, history.bundles)
            if chosen.id == history.active:
                raise UsageError(
                    f"Bundle {chosen.id} is the active one.",
                    hint="Activate another first: hatch-connect rollback BUNDLE",
                )
            report(Step(text=f"Removing bundle {chosen.id}"))
            client.remove_bundle(guid, chosen.id)
            left = tuple(b for b in history.bundles if b.id != chosen.id)
            history = replace(history, bundles=left)
        return Versions(guid=guid, history=history)


def choose_bundle(
    client: ConnectClient, guid: str, bundle_id: str, bundles: tuple[BundleInfo, ...]
) -> BundleInfo:
    """Return the bundle of that id, which the server is asked for where `bundles` lack it.

    Raises UsageError with those that there are.
    """
    for bundle in bundles:
        if bundle.id == bundle_id:
            return bundle
    if bundle_id.isdecimal():
        with suppress(NotFoundError):
            return client.bundle(guid, bundle_id)
    raise UsageError(
        f"The content has no bundle {bundle_id}.",
        hint=f"It has: {', '.join(b.id for b in bundles) or 'none'}.",
    )
