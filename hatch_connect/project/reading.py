"""Reading the files of a project: their encoding, and TOML."""

from __future__ import annotations

import codecs
import tomllib
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from hatch_connect.errors import ConfigurationError, NoProjectError, UsageError
from hatch_connect.typed import toml_type, value_at

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

Toml: TypeAlias = "Mapping[str, object]"

PYPROJECT = "pyproject.toml"
HATCH = "hatch.toml"


@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectTables:
    """`pyproject.toml`, and `hatch.toml` if the project has one.

    `marked` are the names of those that begin with a byte-order mark.
    """

    root: Path
    pyproject: Toml
    hatch: Toml
    marked: tuple[str, ...]

    @property
    def path(self) -> Path:
        """Where the project is described."""
        return self.root / PYPROJECT

    def table(self, *keys: str) -> Toml | None:
        """Return a table of `pyproject.toml`; None if there is none, or something else."""
        value = value_at(self.pyproject, *keys)
        return value if isinstance(value, dict) else None

    @property
    def hatch_tables(self) -> Toml:
        """Hatch's own tables.

        As for Hatch itself, each top-level key of `hatch.toml` takes the place of the same key
        below `tool.hatch`.
        """
        return {**(self.table("tool", "hatch") or {}), **self.hatch}

    def called_in_hatch(self, key: str) -> str:
        """Return how a message names an entry (`{}`) of one of Hatch's tables."""
        return f"{key}.{{}} in {HATCH}" if key in self.hatch else f"tool.hatch.{key}.{{}}"


def read_table(parent: Toml, key: str, called: str, problems: list[str]) -> Toml:
    """Return a table; an empty one if there is none, or if it is something else: a problem."""
    value = parent.get(key, {})
    if isinstance(value, dict):
        return value
    problems.append(f"`{called}` must be a table, not {toml_type(value)}.")
    return {}


def find_root(directory: Path) -> Path:
    """Return the nearest folder, from this one upward, that holds a `pyproject.toml`."""
    start = directory.absolute()
    if not start.exists():
        raise UsageError(f"There is no folder {start}.", hint="Check --directory.")
    for folder in (start, *start.parents):
        if (folder / PYPROJECT).is_file():
            return folder
    raise NoProjectError(
        f"There is no {PYPROJECT} in {start} or in any folder above it.",
        hint="Set this folder up with `hatch-connect init`, or name a project with --directory.",
    )


def read_tables(root: Path) -> ProjectTables:
    """Read the files; raises UsageError without a project, ConfigurationError for broken TOML."""
    if not (root / PYPROJECT).is_file():
        raise UsageError(
            f"There is no {PYPROJECT} in {root}.",
            hint="Every project that hatch-connect deploys needs one; an empty file is enough.",
        )
    data = read_bytes(root / PYPROJECT)
    pyproject = parse_toml(data, root / PYPROJECT)
    of_hatch = read_bytes(root / HATCH) if (root / HATCH).is_file() else b""
    files = ((PYPROJECT, data), (HATCH, of_hatch))
    return ProjectTables(
        root=root,
        pyproject=pyproject,
        hatch=parse_toml(of_hatch, root / HATCH),
        marked=tuple(name for name, held in files if held.startswith(codecs.BOM_UTF8)),
    )


def parse_toml(data: bytes, path: Path, *, before: str | None = None) -> dict[str, object]:
    """Parse the content of a TOML file, or only the part before some text.

    Raises ConfigurationError, with the line, for what is not TOML.
    """
    text = _decode_utf8(data, path)
    try:
        return tomllib.loads(text if before is None else text.partition(before)[0])
    except RecursionError:
        why = "The TOML is nested too deeply."
        raise ConfigurationError((why,), where=str(path)) from None
    except ValueError as error:  # not TOML, or too long a number
        raise ConfigurationError((f"Invalid TOML: {error}.",), where=str(path)) from None


def read_utf8(path: Path) -> str:
    """Read a text file that must be UTF-8."""
    return _decode_utf8(read_bytes(path), path)


def read_bytes(path: Path) -> bytes:
    """Read a file; raises ConfigurationError if it cannot be read."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigurationError(
            (f"The file cannot be read: {error.strerror}.",), where=str(path)
        ) from None


def _decode_utf8(data: bytes, path: Path) -> str:
    """Decode a text that must be UTF-8; a byte-order mark is not part of it.

    Raises ConfigurationError, with the encoding that it seems to be in, for any other.
    """
    try:
        text = data.decode("utf-8-sig")
        at = text.find("\0")
    except UnicodeDecodeError as error:
        text, at = "", error.start
    if at < 0:
        return text
    raise ConfigurationError(
        (f"The file is {encoding_of(data)}, not UTF-8: byte {at} is invalid.",),
        where=str(path),
        hint=f"Save {path.name} as UTF-8 (in PowerShell: Set-Content -Encoding utf8).",
    )


def require_no_mark(tables: ProjectTables) -> None:
    """Refuse files that begin with a byte-order mark, which no build back end reads."""
    for name in tables.marked:
        raise ConfigurationError(
            ("The file begins with a byte-order mark, which build back ends do not accept.",),
            where=str(tables.root / name),
            hint=f"Save {name} as UTF-8 without a byte-order mark.",
        )


def encoding_of(data: bytes) -> str:
    """Return what encoding a text that is not UTF-8 seems to be in, for a message."""
    # UTF-32's marks begin with those of UTF-16, so they are looked for first.
    marks = (
        (codecs.BOM_UTF32_LE, "UTF-32"),
        (codecs.BOM_UTF32_BE, "UTF-32"),
        (codecs.BOM_UTF16_LE, "UTF-16"),
        (codecs.BOM_UTF16_BE, "UTF-16"),
    )
    marked = next((name for mark, name in marks if data.startswith(mark)), None)
    if marked is None and b"\0" in data[:4]:  # ASCII without a mark: every other byte is 0
        marked = "UTF-16"
    return f"text in {marked}" if marked else "text in another encoding, such as Windows-1252"
