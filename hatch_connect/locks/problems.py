"""The problems of a lock, which are all reported at once, and notes on it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from hatch_connect.errors import LockError
from hatch_connect.locks.compatibility import index_note
from hatch_connect.secret import excerpt, has_credentials, listed

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    from hatch_connect.locks.lock import LocalPackage
    from hatch_connect.project.project import ProjectConfig

_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^\s'\"<>]+")


@dataclass(slots=True, kw_only=True)
class LockProblems:
    """Problems by heading and remedy, without duplicates, in the order in which they are found."""

    problems: dict[tuple[str, str], dict[str, None]] = field(default_factory=dict)
    notes: dict[str, None] = field(default_factory=dict)
    indexes: dict[str, None] = field(default_factory=dict)
    local: dict[str, LocalPackage] = field(default_factory=dict)

    def wrong(self, heading: str, remedy: str, problems: Iterable[str]) -> None:
        """Add problems that share a heading and a remedy."""
        for problem in problems:
            self.problems.setdefault((heading, remedy), {})[problem] = None

    def note(self, text: str) -> None:
        """Add a note that is worth a warning."""
        self.notes[text] = None

    def index(self, url: str | None) -> None:
        """Add an index that packages come from."""
        if url is None:
            return
        if text := index_note(url):
            self.note(text)
        if "://" in url and not url.startswith("file:"):
            self.indexes[url.rstrip("/")] = None

    def check(self) -> None:
        """Raise LockError with all problems, if there are any."""
        if not self.problems:
            return
        messages = (listed(heading, problems) for (heading, _), problems in self.problems.items())
        remedies = dict.fromkeys(remedy for _, remedy in self.problems)
        raise LockError("\n".join(messages), hint="\n".join(remedies))


def unknown_names(
    config: ProjectConfig,
    extras: Collection[object],
    groups: Collection[object],
    place: str = "",
) -> Iterator[str]:
    """Return a sentence for each extra and group that is asked for and is not among these."""
    for kind, names, known in (
        ("extra", config.extras, extras),
        ("dependency group", config.groups, groups),
    ):
        there = ", ".join(sorted(map(str, known))) or "none"
        for name in names:
            if name not in known:
                yield f"There is no {kind} `{name}`{place} (there are: {there})."


def credential_problems(text: str) -> list[str]:
    """Return a sentence for each URL with credentials that a lock holds, masked."""
    if not has_credentials(text):
        return []
    urls = {excerpt(url) for url in _URL.findall(text) if has_credentials(url)}
    return [f"There are credentials in the URL {url}." for url in sorted(urls)]
