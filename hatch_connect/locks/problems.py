"""The problems of a lock, which are all reported at once."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hatch_connect.errors import LockError
from hatch_connect.secret import excerpt, has_credentials, listed

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from hatch_connect.project.project import ProjectConfig

_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^\s'\"<>]+")


@dataclass(frozen=True, slots=True)
class Problems:
    """Sentences that share a heading and a remedy."""

    heading: str
    remedy: str
    sentences: Collection[str]


def raise_if_any(*found: Problems) -> None:
    """Raise LockError with all problems, each once, if there are any."""
    sentences: dict[tuple[str, str], dict[str, None]] = {}
    for one in found:
        if one.sentences:
            same = sentences.setdefault((one.heading, one.remedy), {})
            same.update(dict.fromkeys(one.sentences))
    if sentences:
        raise LockError(
            "\n".join(listed(heading, each) for (heading, _), each in sentences.items()),
            hint="\n".join(dict.fromkeys(remedy for _, remedy in sentences)),
        )


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
                yield f"There is no {kind} named `{name}`{place} (available: {there})."


def credential_problems(text: str) -> list[str]:
    """Return a sentence for each URL with credentials that a lock holds, masked."""
    if not has_credentials(text):
        return []
    urls = {excerpt(url) for url in _URL.findall(text) if has_credentials(url)}
    return [f"The URL {url} contains credentials." for url in sorted(urls)]
