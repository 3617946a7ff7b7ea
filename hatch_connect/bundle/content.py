"""What ships and what does not: the build's own choice, then ours on top.

The build proposes files (`Candidate`): those of its wheel, or of the tree. `exclude` and `include`
of [tool.hatch-connect], the guard and git decide.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hatch_connect.bundle.guard import forbidden

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

_WILD = frozenset("*?[!#\\")


@dataclass(frozen=True, slots=True, kw_only=True)
class ContentFile:
    """A file of a bundle: its POSIX path there, and where its bytes are."""

    path: str
    source: Path | bytes
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftOut:
    """A file (or a folder, with a final slash) that does not ship, and the rule that says so."""

    path: str
    rule: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """The files of a bundle, sorted by path, and what was left out."""

    files: tuple[ContentFile, ...]
    left_out: tuple[LeftOut, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A file that the build proposes to ship as `path`.

    `origin` is its path in the project (POSIX), None where it lies outside. `asked` files are
    artifacts of the build or were asked for by name: git has no say. `named` is the very file that
    a user named: the guard has no say either.
    """

    path: str
    source: Path
    origin: str | None
    asked: bool = False
    named: bool = False


class Patterns:
    """Patterns in the syntax of `.gitignore`, which is Hatchling's."""

    def __init__(self, lines: Sequence[str]) -> None:
        from pathspec import GitIgnoreSpec

        self.lines = tuple(lines)
        with warnings.catch_warnings():
            # `[[]` is a pattern of gitignore, and a regular expression that Python may change.
            warnings.simplefilter("ignore", FutureWarning)
            self._spec = GitIgnoreSpec.from_lines(lines)
            self._each = [(line, GitIgnoreSpec.from_lines([line])) for line in lines]
        self._literal = {line.strip("/") for line in lines if not _WILD & set(line)}

    def match(self, path: str) -> bool:
        """Tell whether the last pattern that speaks of a path says yes."""
        return bool(self.lines) and self._spec.match_file(path)

    def which(self, path: str) -> str:
        """Give the last pattern that matches."""
        return next((line for line, spec in reversed(self._each) if spec.match_file(path)), "")

    def unused(self, paths: Sequence[str]) -> tuple[str, ...]:
        """Give the patterns that match none of the paths."""
        return tuple(
            line
            for line, spec in self._each
            if not line.startswith(("!", "#")) and not any(spec.match_file(path) for path in paths)
        )

    def name(self, path: str) -> bool:
        """Tell whether a pattern is this very path."""
        return path in self._literal

    def name_folder_of(self, path: str) -> bool:
        """Tell whether a pattern is this very path or a folder above it."""
        return path in self._literal or any(path.startswith(f"{at}/") for at in self._literal)

    def reach_into(self, folder: str) -> bool:
        """Tell whether a pattern without wildcards names this folder or something in it."""
        return self.name_folder_of(folder) or any(
            at.startswith(f"{folder}/") for at in self._literal
        )


def choose(
    candidates: Iterable[Candidate],
    exclude: Patterns,
    ignored: Callable[[Iterable[str]], Mapping[str, str]],
) -> tuple[list[Candidate], list[LeftOut]]:
    """Divide the candidates into those that ship and those that do not, with the rule.

    `ignored` answers for paths of the project: which of them git ignores, and why.
    """
    left_out: list[LeftOut] = []
    kept = list(_permitted(candidates, exclude, left_out))
    asked_of_git = [c.origin for c in kept if c.origin is not None and not c.asked]
    rules = ignored(asked_of_git) if asked_of_git else {}
    shipped = []
    for candidate in kept:
        rule = None if candidate.asked else rules.get(candidate.origin or "")
        if rule is None:
            shipped.append(candidate)
        else:
            left_out.append(LeftOut(path=candidate.origin or candidate.path, rule=rule))
    return shipped, left_out


def _permitted(
    candidates: Iterable[Candidate], exclude: Patterns, left_out: list[LeftOut]
) -> Iterator[Candidate]:
    for candidate in candidates:
        rule = _against(candidate, exclude)
        if rule is None:
            yield candidate
        else:
            left_out.append(LeftOut(path=candidate.origin or candidate.path, rule=rule))


def _against(candidate: Candidate, exclude: Patterns) -> str | None:
    for path in dict.fromkeys((candidate.origin, candidate.path)):
        if path is not None and exclude.match(path):
            return f"exclude: {exclude.which(path)}"
    if candidate.named:
        return None
    # A file that Hatchling maps elsewhere is judged by both of its names.
    for path in dict.fromkeys((candidate.path, candidate.origin)):
        rule = forbidden(path, candidate.source) if path else None
        if rule and (rule.secret or not candidate.asked):
            kind = "guard" if rule.secret else "never shipped"
            return f"{kind}: {rule.rule}"
    return None


def in_order(files: Iterable[ContentFile]) -> tuple[ContentFile, ...]:
    """Sort by the bytes of the path, as every machine does it."""
    return tuple(sorted(files, key=lambda file: file.path.encode("utf-8", "surrogateescape")))
