"""The command line: `hatch-connect`, and `python -m hatch_connect`."""

from __future__ import annotations

import sys
from contextlib import suppress

from hatch_connect import __version__

_VERSION = f"hatch-connect, version {__version__}"


def main() -> None:
    """Run the command line."""
    if sys.argv[1:] == ["--version"]:
        # If it cannot be printed, the command line says so.
        with suppress(OSError):
            print(_VERSION, flush=True)  # noqa: T201 - a door may print
            return
    from hatch_connect.door import interruptible
    from hatch_connect.errors import exit_code_of

    try:
        with interruptible():
            from hatch_connect import cli

            cli.main(_VERSION)
    except KeyboardInterrupt as error:
        with suppress(OSError):
            sys.stderr.write("interrupted: Nothing was changed.\n")
        sys.exit(exit_code_of(error))


if __name__ == "__main__":
    main()
