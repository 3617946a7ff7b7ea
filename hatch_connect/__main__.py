"""The command line: `hatch-connect`, and `python -m hatch_connect`."""

from __future__ import annotations

import sys

from hatch_connect import __version__

_VERSION = f"hatch-connect, version {__version__}"


def main() -> None:
    """Run the command line."""
    if sys.argv[1:] == ["--version"]:
        try:
            print(_VERSION, flush=True)  # noqa: T201 - the outermost layer may print
        except OSError:
            pass  # the command line says why it cannot be printed
        else:
            return
    import gc
    from contextlib import suppress

    from hatch_connect.errors import exit_code_of
    from hatch_connect.process import interruptible

    try:
        with interruptible():
            from hatch_connect import cli

            cli.main(_VERSION)
    except KeyboardInterrupt as error:
        with suppress(OSError):
            sys.stderr.write("interrupted: Nothing was changed.\n")
        sys.exit(exit_code_of(error))
    finally:
        gc.freeze()  # else Python looks through all objects once more as it ends


if __name__ == "__main__":
    main()
