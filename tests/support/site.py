"""What makes a site of docs/ whole, and Zensical does not look for: `hatch run docs:build` runs it.

Zensical itself refuses a link to a page or a heading that is not there.
"""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
LINK = re.compile(r"\]\((?!https?://|#)([^)#\s]+)[^)]*\)")
FENCE = re.compile(r"^( *)```.*?^\1```$", re.MULTILINE | re.DOTALL)


def problems(root: Path = ROOT) -> Iterator[str]:
    """Say what is missing in the navigation, or leads out of the site."""
    docs = root / "docs"
    configured = tomllib.loads((root / "zensical.toml").read_text(encoding="utf-8"))
    named = list(_pages(configured["project"]["nav"]))
    pages = {path.relative_to(docs).as_posix() for path in docs.rglob("*.md")}
    yield from (f"zensical.toml: docs/{page} is not in the nav" for page in pages - set(named))
    yield from (f"zensical.toml: there is no docs/{page}" for page in set(named) - pages)
    yield from (f"zensical.toml: {page} is named twice" for page in named if named.count(page) > 1)
    for page in pages:
        path = docs / page
        for link in LINK.findall(FENCE.sub("", path.read_text(encoding="utf-8"))):
            target = (path.parent / link).resolve()
            if not target.is_relative_to(docs) or not target.is_file():
                yield f"docs/{page}: {link} is no file in docs/"


def _pages(entries: object) -> Iterator[str]:
    match entries:
        case str() as page:
            yield page
        case list() as several:
            for entry in several:
                yield from _pages(entry)
        case dict() as titled:
            yield from _pages(list(titled.values()))


if __name__ == "__main__":
    sys.exit("\n".join(sorted(problems())) or None)
