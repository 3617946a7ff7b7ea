"""A browser whose user consents to everything: `fake_browser.py URL`, for $BROWSER."""

from __future__ import annotations

import os
import sys
import urllib.error
import urllib.request
from pathlib import Path


def main(url: str) -> None:
    try:
        with urllib.request.urlopen(url, timeout=60) as page:
            shown = f"{dict(page.headers)}\n{page.read().decode()}"
    except urllib.error.HTTPError as error:
        shown = f"{error.code}"
    Path(os.environ["FAKE_BROWSER"]).write_text(shown, encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1])
