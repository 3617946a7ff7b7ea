"""What holds for every patch of a minor, and what for some only.

Only X.Y of the server's Python is known, and markers may ask for a patch
(`python_full_version < '3.11.3'`). So a lock is evaluated once for each patch at which a marker
may change its mind; a pin that is not in all the answers keeps a marker that says when.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, TypeAlias

from hatch_connect.errors import LockError
from hatch_connect.project.settings import excerpt
from hatch_connect.project.target import HIGH_PATCH

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

    from hatch_connect.project.pins import Pin
    from hatch_connect.project.target import Target

_COMPARED = re.compile(
    r"(?:python_full_version|requires-python)\s*(?:[<>=!~]+|= \"[^\"]*?)\s*['\"]?[^'\"]*['\"]"
)

Answers: TypeAlias = "Mapping[int, tuple[Pin, ...]]"
Chooser: TypeAlias = "Callable[[dict[str, str]], tuple[Pin, ...]]"


def first_patches(text: str, target: Target) -> tuple[int, ...]:
    """Return the patches at which a new answer begins, 0 first."""
    if target.python != target.minor:
        return (0,)
    version = re.compile(rf"(?<![\d.]){re.escape(target.minor)}\.(\d+)")
    named = {int(n) for found in _COMPARED.findall(text) for n in version.findall(found)}
    starts = {0, *named, *(patch + 1 for patch in named)}
    return tuple(sorted(patch for patch in starts if patch <= HIGH_PATCH))


def choose_for_patches(
    path: Path, text: str, target: Target, *, requires_python: str | None, choose: Chooser
) -> tuple[Pin, ...]:
    """Choose for every patch that a lock allows, and merge the answers.

    `text` is the lock's, in which the patches are looked for. Raises LockError for a lock
    that allows none, and whatever `choose` raises.
    """
    from packaging.specifiers import InvalidSpecifier, SpecifierSet

    try:
        allowed = SpecifierSet(requires_python or "")
    except InvalidSpecifier:
        raise LockError(
            f"{path} is damaged: `{excerpt(str(requires_python))}` is no range of Python versions.",
            hint="Lock the project again.",
        ) from None
    environments = {patch: target.environment(patch) for patch in first_patches(text, target)}
    answers = {
        patch: choose(environment)
        for patch, environment in environments.items()
        if allowed.contains(environment["python_full_version"], prereleases=True)
    }
    if not answers:
        raise LockError(
            f"{path} is for Python {requires_python}, and {target.python} was asked for.",
            hint="Lock for that Python, or ask for another with `python-version`.",
        )
    return merged(answers, target.minor)


def merged(answers: Answers, minor: str) -> tuple[Pin, ...]:
    """Return all pins, those that are not in every answer with a marker."""
    starts = sorted(answers)
    pins: dict[str, Pin] = {}
    present: dict[str, list[int]] = {}
    for start in starts:
        for pin in answers[start]:
            pins.setdefault(pin.requirement, pin)
            present.setdefault(pin.requirement, []).append(start)
    return tuple(
        pin
        if len(present[requirement]) == len(starts)
        else replace(
            pin, requirement=f"{requirement} ; {_marker(present[requirement], starts, minor)}"
        )
        for requirement, pin in pins.items()
    )


def _marker(present: Iterable[int], starts: list[int], minor: str) -> str:
    parts = []
    for first, after in _runs(set(present), starts):
        bounds = []
        if first != starts[0]:
            bounds.append(f'python_full_version >= "{minor}.{first}"')
        if after is not None:
            bounds.append(f'python_full_version < "{minor}.{after}"')
        parts.append(" and ".join(bounds))
    return " or ".join(parts)


def _runs(present: set[int], starts: list[int]) -> list[tuple[int, int | None]]:
    """Return (first patch, first patch after it or None) of each run of answers."""
    runs: list[tuple[int, int | None]] = []
    first: int | None = None
    for start in starts:
        if start in present and first is None:
            first = start
        elif start not in present and first is not None:
            runs.append((first, start))
            first = None
    if first is not None:
        runs.append((first, None))
    return runs
