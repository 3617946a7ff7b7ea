"""Programs that do one piece of work for a deployment and then end."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from hatch_connect.local.lines import lines
from hatch_connect.local.process_groups import signal_group

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path


async def run_program(
    command: tuple[str | Path, ...],
    *,
    environ: Mapping[str, str],
    folder: Path,
    write: Callable[[str], None],
) -> int:
    """Run a program in `folder`, give its lines to `write`, and return its exit code.

    It ends, with all that it has started, when the task that waits for it is cancelled.
    """
    process = await asyncio.create_subprocess_exec(
        *command,
        env=environ,
        cwd=folder,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        assert process.stdout is not None  # noqa: S101 - asked for above; for the type checker
        async for line in lines(process.stdout):
            write(line)
        return await process.wait()
    except asyncio.CancelledError:
        signal_group(process, "SIGKILL")  # with what it has started, such as builds
        await process.wait()
        raise
