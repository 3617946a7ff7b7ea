"""Where a process of content runs: its files, its interpreter, and its whole environment."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from hatch_connect.secret import Secret


@dataclass(frozen=True, slots=True, kw_only=True)
class SavedState:
    """Where a process of content runs.

    `python` is None for content without Python; `home` is a folder that belongs to the content;
    `system` holds the few variables of the machine that any program needs there; `described` tells
    the content where and what it is.
    """

    root: Path
    python: Path | None
    home: Path
    variables: Mapping[str, Secret]
    system: Mapping[str, str]
    described: Mapping[str, str]

    def make_home(self) -> None:
        """Create the folders of the content."""
        (self.home / "tmp").mkdir(parents=True, exist_ok=True)

    def environ(self) -> dict[str, str]:
        """Return the whole environment of a process: nothing of the developer's own.

        The content's variables win, but for those that describe it.
        """
        return {
            **self.system,
            **self._of_python(),
            "HOME": str(self.home),
            "TMPDIR": str(self.home / "tmp"),
            "LANG": "C.UTF-8",
            **{name: value.reveal() for name, value in self.variables.items()},
            **self.described,
        }

    def _of_python(self) -> dict[str, str]:
        if self.python is None:
            return {"PATH": os.defpath}
        environment = self.python.parent.parent
        virtual = (environment / "pyvenv.cfg").exists()
        return {
            "PATH": os.pathsep.join((str(self.python.parent), os.defpath)),
            "PYTHONUNBUFFERED": "1",
            **({"VIRTUAL_ENV": str(environment)} if virtual else {}),
        }
