"""`python -m hatch_connect`: the command line."""

import sys

if __name__ == "__main__":
    try:
        from hatch_connect.cli import main

        main()
    except KeyboardInterrupt:
        sys.exit(130)  # before there was anything to say
