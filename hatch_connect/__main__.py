"""`python -m hatch_connect`: the command line."""

from hatch_connect.cli import main

if __name__ == "__main__":
    main()
