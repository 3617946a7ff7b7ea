"""Runs the benchmarks, with the fake Connect of the tests at hand."""

import sys
from pathlib import Path


def _run() -> int:
    sys.path.append(str(Path(__file__).parents[1] / "tests"))
    from benchmarks.bench import main

    return main()


if __name__ == "__main__":
    sys.exit(_run())
