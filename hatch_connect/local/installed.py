"""What is installed on this machine: Pythons, Quarto, and what launches content on each Python."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from hatch_connect.local.environments import prepare_runtime
from hatch_connect.local.processes import run_logged
from hatch_connect.local.pythons import find_pythons, uv_environ

if TYPE_CHECKING:
    from hatch_connect.local.environments import Environments
    from hatch_connect.local.pythons import Python
    from hatch_connect.local.setup import Setup


class Installed:
    """What a server finds on its machine. `quarto` is None if it has none."""

    def __init__(self, setup: Setup, environments: Environments) -> None:
        self._setup = setup
        self._environments = environments
        self._finding: asyncio.Future[tuple[Python, ...]] | None = None
        self._runtime_lock = asyncio.Lock()
        found = shutil.which("quarto", path=setup.environ.get("PATH", ""))
        self.quarto = Path(found) if found else None

    def start(self) -> None:
        """Begin to look for interpreters, unless it was said which there are to be."""
        if not self._setup.claims.pythons:
            finding = asyncio.to_thread(find_pythons, self._setup.environ)
            self._finding = asyncio.ensure_future(finding)

    async def pythons(self) -> tuple[Python, ...]:
        """Return the interpreters that content may have: those found when the server started."""
        return await asyncio.shield(self._finding) if self._finding else self._setup.claims.pythons

    async def quarto_version(self) -> str | None:
        """Return the version of Quarto; None if there is none."""
        if self.quarto is None:
            return None
        output: list[str] = []
        environ = uv_environ(self._setup.environ)
        command = (self.quarto, "--version")
        folder = self._setup.folder
        await run_logged(command, environ=environ, folder=folder, write=output.append)
        return output[-1].strip() if output else None

    async def runtime(self, python: Python) -> Path:
        """Return the folder of what launches content on that Python."""
        async with self._runtime_lock:
            folder = self._setup.folder / "runtime"
            return await prepare_runtime(folder, python, self._environments)
