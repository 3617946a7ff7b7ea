"""`bundle`: build the bundle, offline."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from hatch_connect.verbs.listing import Listing
from hatch_connect.verbs.project import build_contents
from hatch_connect.verbs.several import one_or_several

if TYPE_CHECKING:
    from hatch_connect.bundle.reading import Bundle
    from hatch_connect.events import Report
    from hatch_connect.options import Options
    from hatch_connect.verbs import Result
    from hatch_connect.verbs.surroundings import Surroundings


@dataclass(frozen=True, slots=True, kw_only=True)
class BundleResult:
    """A bundle, and its content where that was asked for."""

    bundle: Bundle
    listing: Listing | None

    def lines(self) -> tuple[str, ...]:
        """Return the bundle's path, or the list."""
        return self.listing.lines() if self.listing else (str(self.bundle.path),)

    def to_dict(self) -> dict[str, object]:
        """Return the path, size and digests of the bundle."""
        facts: dict[str, object] = {
            "bundle": str(self.bundle.path),
            "size": self.bundle.size,
            "digest": self.bundle.digest,
            "md5": self.bundle.md5,
        }
        return facts | (self.listing.to_dict() if self.listing else {})


def run(options: Options, surroundings: Surroundings, report: Report) -> Result:
    """Build the bundles. Raises ProjectError."""
    return one_or_several(
        tuple(
            BundleResult(bundle=b.bundle, listing=Listing.of(b) if options.list else None)
            for b in build_contents(options, surroundings, report)
        )
    )
