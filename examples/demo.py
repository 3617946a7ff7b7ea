"""Deploy examples/fastapi-app to a Connect on this machine, for the Python that runs this."""

import sys
from pathlib import Path

from hatch_connect.__main__ import main

project = Path(__file__).parent / "fastapi-app"
python = f"{sys.version_info.major}.{sys.version_info.minor}"
sys.argv[1:1] = ["deploy", "--local", "--directory", str(project)]
sys.argv[5:5] = ["--python-version", python, "-E", "SALES_REGION=north"]
main()
