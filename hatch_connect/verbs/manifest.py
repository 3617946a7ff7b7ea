"""`manifest`: the bundle's content as a folder that can be deployed or committed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from hatch_connect.bundle.artifact import write_in_place
from hatch_connect.events import Note
from hatch_connect.verbs.listing import Listing
from hatch_connect.verbs.project import build_contents, content_of, project_of
from hatch_connect.verbs.several import one_or_several

if TYPE_CHECKING:
    from pathlib import Path

    from hatch_connect.bundle.build_protocol import Built
    from hatch_connect.events import Report
    from hatch_connect.options import Options
    from hatch_connect.verbs import Result
    from hatch_connect.verbs.surroundings import Surroundings


@dataclass(frozen=True, slots=True, kw_only=True)
class ManifestResult:
    """Where the manifest was written."""

    manifest: Path
    listing: Listing | None

    def lines(self) -> tuple[str, ...]:
        """Return the manifest's path, or the list."""
        return self.listing.lines() if self.listing else (str(self.manifest),)

    def to_dict(self) -> dict[str, object]:
        """Return the manifest's path and its folder."""
        facts: dict[str, object] = {
            "manifest": str(self.manifest),
            "folder": str(self.manifest.parent),
        }
        return facts | (self.listing.to_dict() if self.listing else {})


def run(options: Options, surroundings: Surroundings, report: Report) -> Result:
    """Write the folders, or with `--in-place` the files beside pyproject.toml.

    Raises ProjectError, also where `--in-place` would have to move files.
    """
    if options.in_place:
        content_of(options, surroundings)
    return one_or_several(
        tuple(
            ManifestResult(
                manifest=_written(built, options, surroundings, report),
                listing=Listing.of(built) if options.list else None,
            )
            for built in build_contents(options, surroundings, report)
        )
    )


def _written(built: Built, options: Options, surroundings: Surroundings, report: Report) -> Path:
    config = project_of(options, surroundings, content=built.content)
    if options.in_place:
        return write_in_place(config, built.bundle)
    folder = built.bundle.path.parent / config.content_name
    built.bundle.extract(folder)
    report(Note(text=f"Deploy it with: hatch-connect deploy {folder}"))
    return folder / "manifest.json"
