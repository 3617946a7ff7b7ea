"""Which paths a bundle may hold, and which files.

A bundle is unpacked on Linux, and was perhaps made, or is looked at, on a system that knows no
difference between `A` and `a` or between two ways to write `é`.
"""

from __future__ import annotations

import json
import os
import stat
import unicodedata
from pathlib import Path
from typing import TYPE_CHECKING

from hatch_connect.errors import BundleError

if TYPE_CHECKING:
    from collections.abc import Iterable

SUFFIX = ".connect.tgz"
"""The ending of a bundle's name: that of sdists is left to them."""
BUNDLE_SUFFIXES = (SUFFIX, ".tar.gz", ".tgz")
"""What a bundle's name may end in; ours ended in `.tar.gz` once."""
_LONGEST_COMPONENT = 255
_FIRST_PRINTABLE, _DELETE = " ", "\x7f"
_SHOWN = 10
CIRCLE = "a link to a folder that holds it"


def unsafe(path: str) -> str | None:
    """Say why a path cannot be a file of a bundle, or None."""
    try:
        encoded = path.encode()
    except UnicodeEncodeError:
        return "its name is not UTF-8"
    parts = path.split("/")
    rules = (
        ("\\" in path, "its name holds a backslash"),
        (
            any(c < _FIRST_PRINTABLE or c == _DELETE for c in path),
            "its name holds a line break or another control character",
        ),
        (path.startswith("/") or path[1:2] == ":", "its path is absolute"),
        (
            not {"", ".", ".."}.isdisjoint(parts),
            "its path is empty or leads elsewhere (`.`, `..`, `//`)",
        ),
        (
            any(len(part) > _LONGEST_COMPONENT for part in encoded.split(b"/")),
            f"a name in its path is longer than {_LONGEST_COMPONENT} bytes",
        ),
    )
    return next((why for broken, why in rules if broken), None)


def shown(path: str) -> str:
    """Give a path as it can be printed: in quotes where it holds what a terminal would act on."""
    return path if path.isprintable() else ascii(path)


def check_names(paths: Iterable[str]) -> None:
    """Refuse paths that a bundle cannot hold, all problems at once (BundleError)."""
    paths = sorted(paths)
    problems = [f"{shown(path)}: {why}" for path in paths if (why := unsafe(path))]
    problems.extend(_collisions(paths))
    if problems:
        more = [f"... and {len(problems) - _SHOWN} more"] if len(problems) > _SHOWN else []
        lines = "\n".join(f"  - {line}" for line in (*problems[:_SHOWN], *more))
        raise BundleError(
            f"These files cannot go into a bundle:\n{lines}",
            hint="Rename them, or leave them out with `exclude` in [tool.hatch-connect].",
        )


def _collisions(paths: Iterable[str]) -> Iterable[str]:
    seen: dict[str, str] = {}
    folders: dict[str, str] = {}
    for path in paths:
        key = _folded(path)
        if key in seen:
            yield f"{shown(path)}: some systems cannot tell it from {shown(seen[key])}"
        seen[key] = path
        end = path.find("/")
        while end > 0:
            folders.setdefault(_folded(path[:end]), path)
            end = path.find("/", end + 1)
    for key in seen.keys() & folders.keys():
        yield f"{shown(seen[key])}: it is a file, and a folder of {shown(folders[key])}"


def _folded(path: str) -> str:
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", path).casefold())


def regular_file(path: str, source: Path, roots: tuple[str, ...], *, outside: bool = False) -> None:
    """Refuse what is no file, or a link that leaves the `roots` unless it may be `outside`."""
    real = os.path.realpath(source)
    advice = "Replace it, or leave it out with `exclude` in [tool.hatch-connect]."
    if not outside and not is_within(real, *roots):
        folder = Path(real) if Path(real).is_dir() else Path(real).parent
        near = folder.drive == Path(roots[0]).drive
        named = _quoted(os.path.relpath(folder, roots[0]) if near else str(folder))
        raise BundleError(
            f"{shown(path)} is a link that leaves the project.",
            hint=f"Name the folder if it may be followed: `follow-links = [{named}]` in"
            f" [tool.hatch-connect]. {advice}",
        )
    try:
        status = Path(real).stat()
    except OSError as error:
        raise BundleError(
            f"{shown(path)} cannot be read: {error.strerror or error}.", hint=advice
        ) from error
    if stat.S_ISDIR(status.st_mode):
        raise BundleError(
            f"{shown(path)} is {CIRCLE}, and `follow-links` in [tool.hatch-connect] may not lead in"
            " a circle.",
            hint=advice,
        )
    if not stat.S_ISREG(status.st_mode):
        raise BundleError(
            f"{shown(path)} is not a file (a socket, a pipe or a device).", hint=advice
        )


def _quoted(folder: str) -> str:
    return json.dumps(folder.replace(os.sep, "/"), ensure_ascii=False)


def is_within(path: str, *roots: str) -> bool:
    """Return whether a real path is one of the roots, or below one."""
    return any(path == root or path.startswith(root.rstrip(os.sep) + os.sep) for root in roots)
