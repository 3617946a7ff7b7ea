"""Where the files of content and of its bundles lie in a state folder."""

from __future__ import annotations

import asyncio
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from hatch_connect.local.state import StoredBundle, StoredContent


UPLOAD = "upload-"
"""What the name of an archive begins with while it arrives."""

COMPLETE = ".complete"
"""The file that is in a folder since all of it was made."""


async def remove_folder(folder: Path) -> None:
    """Remove a folder with all that is in it, if it is there, and as far as that can be done."""
    await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)


@dataclass(frozen=True, slots=True)
class Files:
    """The files below one state folder."""

    folder: Path

    @property
    def uploads(self) -> Path:
        """The folder of the archives, also while they arrive."""
        return self.folder / "bundles"

    def archive(self, bundle: StoredBundle) -> Path:
        """Return where the archive of a bundle is."""
        return self.uploads / f"{bundle.id}.tar.gz"

    def unpacked(self, bundle: StoredBundle) -> Path:
        """Return the folder for the unpacked archive of a bundle."""
        return self.folder / "unpacked" / str(bundle.id)

    def root(self, bundle: StoredBundle) -> Path:
        """Return the root of a bundle in the folder that it is unpacked in."""
        return self.folder / "unpacked" / (bundle.folder or "")

    def rendered(self, bundle: StoredBundle) -> Path:
        """Return the folder for the pages that were rendered of a bundle."""
        return self.folder / "rendered" / str(bundle.id)

    def pages(self, bundle: StoredBundle) -> Path:
        """Return the folder of what is shown of a bundle without a process."""
        return self.folder / (bundle.pages or "")

    def thumbnail(self, content: StoredContent) -> Path:
        """Return where the thumbnail of content is."""
        return self.folder / "thumbnails" / content.guid

    def home(self, content: StoredContent) -> Path:
        """Return the home folder of the processes of content."""
        return self.folder / "home" / content.guid

    async def remove_bundle(self, bundle: StoredBundle) -> None:
        """Remove the archive of a bundle, and what was made of it."""
        self.archive(bundle).unlink(missing_ok=True)
        for folder in (self.unpacked(bundle), self.rendered(bundle)):
            await remove_folder(folder)

    async def remove_content(self, content: StoredContent) -> None:
        """Remove what content has besides its bundles."""
        self.thumbnail(content).unlink(missing_ok=True)
        await remove_folder(self.home(content))
