"""The server as a process of its own, for `running`: it ends with the last lease."""

from __future__ import annotations

import logging
import os
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from hatch_connect.errors import ProjectError, UsageError
from hatch_connect.events import silent
from hatch_connect.local.disk import DiskError
from hatch_connect.local.folder import LocalOptions, exclusive
from hatch_connect.local.serving import serve_state
from hatch_connect.local.start import BUSY, READY

if TYPE_CHECKING:
    from hatch_connect.local.folder import LocalServer


def main(state: Path) -> int:
    """Serve `state`, announce on stdout when it is ready, and return the exit code."""
    logging.basicConfig(level=logging.WARNING)
    with ExitStack() as locked:
        try:
            locked.enter_context(exclusive(state))
        except UsageError:
            return BUSY
        except DiskError as error:
            sys.stderr.write(f"{error}\n")
            return error.exit_code
        try:
            serve_state(
                state,
                options=LocalOptions(),
                while_used=True,
                environ=os.environ,
                report=silent,
                ready=_ready,
            )
        except ProjectError as error:
            sys.stderr.write(f"{error}\n")
            return error.exit_code
    return 0


def _ready(_server: LocalServer) -> None:
    sys.stdout.write(f"{READY}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
