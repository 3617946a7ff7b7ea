"""`python -m hatch_connect`: the command line."""

import sys

if __name__ == "__main__":
    from hatch_connect.door import interruptible
    from hatch_connect.errors import exit_code_of

    try:
        with interruptible():
            from hatch_connect.cli import main

            main()
    except KeyboardInterrupt as error:
        sys.stderr.write("interrupted: Nothing was changed.\n")
        sys.exit(exit_code_of(error))
