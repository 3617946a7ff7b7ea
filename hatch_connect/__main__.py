"""The command line: `hatch-connect`, and `python -m hatch_connect`."""

from __future__ import annotations

import sys
from contextlib import suppress

from hatch_connect import __version__


def main() -> None:
    """Run the command line."""
    if sys.argv[1:] == ["--version"]:
        # Where it cannot be printed, click says so in its own way.
        with suppress(OSError):
            print(f"hatch-connect, version {__version__}", flush=True)  # noqa: T201 - a door may print
            return
    from hatch_connect.door import interruptible
    from hatch_connect.errors import exit_code_of

    try:
        with interruptible():
            from hatch_connect import cli

            cli.main()
    except KeyboardInterrupt as error:
        sys.stderr.write("interrupted: Nothing was changed.\n")
        sys.exit(exit_code_of(error))


if __name__ == "__main__":
    main()
