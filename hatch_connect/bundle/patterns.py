"""Patterns in the syntax of `.gitignore`: those of the project's settings, and of its own files."""

from __future__ import annotations

import re
import warnings
from typing import TYPE_CHECKING

from hatch_connect.errors import BundleError
from hatch_connect.project.reading import encoding_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from pathspec import GitIgnoreSpec

_FOLDER = "ps_d"  # pathspec's group for the slash after what a pattern fits
_WILD = frozenset("*?[!#\\")


class Patterns:
    """Patterns in the syntax of `.gitignore`, which is Hatchling's."""

    def __init__(self, lines: Sequence[str]) -> None:
        # `./dist` is what people write for `/dist`; gitignore's syntax has no such path.
        self.lines = tuple(re.sub(r"^(!?)\.(?=/)", r"\1", line) for line in lines)
        self._each = []
        for line in self.lines:
            if (spec := _compiled(line)) is None:
                raise BundleError(
                    f"`{line}` is not a valid pattern in gitignore's syntax.",
                    hint="Correct it in `include` or `exclude` in [tool.hatch-connect].",
                )
            self._each.append((line, spec))
        self._spec = _joined(spec for _, spec in self._each)
        self._literal = {line.strip("/") for line in self.lines if not _WILD & set(line)}

    def match(self, path: str) -> bool:
        """Return whether the last pattern that matches a path includes it."""
        return bool(self.lines) and self._spec.match_file(path)

    def which(self, path: str) -> str:
        """Return the last pattern that matches."""
        return next((line for line, spec in reversed(self._each) if spec.match_file(path)), "")

    def unused(self, paths: Sequence[str]) -> tuple[str, ...]:
        """Return the patterns that match none of the paths."""
        return tuple(
            line
            for line, spec in self._each
            if not line.startswith(("!", "#")) and not any(spec.match_file(path) for path in paths)
        )

    def name(self, path: str) -> bool:
        """Return whether a pattern is this very path."""
        return path in self._literal

    def reach_into(self, folder: str) -> bool:
        """Return whether a pattern names this folder, one above it, or something in it."""
        name = folder.rpartition("/")[2]
        if any(name in line.split("/") for line in self.lines if not line.startswith("!")):
            return True
        return any(
            folder == at or folder.startswith(f"{at}/") or at.startswith(f"{folder}/")
            for at in self._literal
        )


def last_word(spec: GitIgnoreSpec, path: str) -> bool | None:
    """Return what the last pattern that matches the path itself says; those of folders not."""
    for pattern in reversed(list(spec.patterns)):
        found = pattern.match_file(path) if pattern.include is not None else None
        if found is not None:
            at = found.match.groupdict().get(_FOLDER) and found.match.start(_FOLDER)
            if at in {None, len(path) - 1}:
                return bool(pattern.include)
    return None


def read_patterns(file: Path) -> GitIgnoreSpec | None:
    """Return the patterns of a `.gitignore`, None if there is no such file. Raises BundleError."""
    try:
        data = file.read_bytes()
    except OSError:
        return None
    if b"\0" in data:
        raise BundleError(
            f"git cannot read {file}: it is {encoding_of(data)}, and none of its patterns would"
            " be applied.",
            hint="Save .gitignore as UTF-8.",
        )
    text = data.decode("utf-8-sig", "surrogateescape")
    # As in git, a line that is not a valid pattern ignores nothing.
    return _joined(filter(None, (_compiled(line.removesuffix("\r")) for line in text.split("\n"))))


def _joined(specs: Iterable[GitIgnoreSpec]) -> GitIgnoreSpec:
    """Return the patterns of all, in their order, as one."""
    from pathspec import GitIgnoreSpec

    return GitIgnoreSpec([pattern for spec in specs for pattern in spec.patterns])


def _compiled(line: str) -> GitIgnoreSpec | None:
    """Return a pattern in gitignore's syntax, or None if the line is none."""
    from pathspec import GitIgnoreSpec

    with warnings.catch_warnings():
        # gitignore's `[[]` becomes a regular expression for which Python warns of future changes.
        warnings.simplefilter("ignore", FutureWarning)
        try:
            return GitIgnoreSpec.from_lines([line])
        except (ValueError, re.error):
            return None
