"""A bundle: one reproducible `.tar.gz`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from hatch_connect.events import silent

if TYPE_CHECKING:
    from pathlib import Path

    from hatch_connect.bundle.manifest import Manifest
    from hatch_connect.events import Report


@dataclass(frozen=True, slots=True, kw_only=True)
class Bundle:
    """A bundle on disk that was checked.

    `digest` is the SHA-256 of the canonical manifest: it identifies the bundle. `md5` is that of
    the archive's bytes (hex), `size` their number.
    """

    path: Path
    manifest: Manifest
    size: int
    digest: str
    md5: str

    @classmethod
    def open(cls, path: Path, *, into: Path, report: Report = silent) -> Bundle:
        """Check a bundle; a folder or a `manifest.json` is packed to a file in `into` first."""
        raise NotImplementedError

    def extract(self, folder: Path) -> None:
        """Unpack the bundle as the content of `folder`."""
        raise NotImplementedError
