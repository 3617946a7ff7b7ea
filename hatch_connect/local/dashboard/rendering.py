"""Templates, and how times, sizes and lines of logs are written in them."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from jinja2 import Environment, FileSystemLoader, StrictUndefined

if TYPE_CHECKING:
    from collections.abc import Mapping

FOLDER = Path(__file__).parent
STYLE = (FOLDER / "static" / "style.css").read_text(encoding="utf-8")
"""The style of all pages."""

_LONGEST_LINE = 10_000  # characters of a line of a log that are shown
_MINUTE, _HOUR, _DAY, _WEEK = 60, 3600, 86_400, 604_800

# ECMA-48: control sequences, strings such as the titles of terminals, and other escapes.
_ESCAPES = re.compile(
    r"\x1b(?:\[[0-?]*[ -/]*[@-~]?|[\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\)?|[ -/]*[0-~]?)"
)
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
# Unicode, UAX 9: these change the order of the text around them.
_DIRECTIONS = re.compile("[\u202a-\u202e\u2066-\u2069]")


def render(template: str, /, **values: object) -> str:
    """Return the HTML of a template."""
    return _environment.get_template(template).render(values)


def without_controls(line: str) -> str:
    """Return a line of a log without escape sequences, and what a terminal would have left of it.

    A line that was written over, such as a progress bar, is what was written last.
    """
    line = _ESCAPES.sub("", line.rstrip("\r"))
    line = _CONTROLS.sub("\N{REPLACEMENT CHARACTER}", line.rpartition("\r")[2])
    if len(line) > _LONGEST_LINE:
        return f"{line[:_LONGEST_LINE]}… ({len(line):,} characters)"
    return line


def shown(value: object) -> object:
    """Return a text in which characters that turn the direction of others are seen, not obeyed."""
    # Markup of templates is a str of another type.
    if type(value) is not str:
        return value
    return _DIRECTIONS.sub(lambda found: f"[U+{ord(found[0]):04X}]", value)


def ago(time: str) -> str:
    """Return how long ago a time is, or its day."""
    then = _moment(time)
    seconds = (datetime.now(UTC) - then).total_seconds()
    if seconds < _MINUTE:
        return "just now"
    for unit, name, limit in (
        (_MINUTE, "minute", _HOUR),
        (_HOUR, "hour", _DAY),
        (_DAY, "day", _WEEK),
    ):
        if seconds < limit:
            count = int(seconds // unit)
            return f"{count} {name}{'' if count == 1 else 's'} ago"
    return f"{then.astimezone():%Y-%m-%d}"


def local(time: str) -> str:
    """Return a time as the clock of this machine has it."""
    return f"{_moment(time).astimezone():%Y-%m-%d %H:%M:%S}"


def clock(time: str) -> str:
    """Return the time of day, as the clock of this machine has it."""
    return f"{_moment(time).astimezone():%H:%M:%S}"


def _moment(time: str) -> datetime:
    return datetime.fromisoformat(time)


def _number(value: int) -> str:
    return f"{value:,}"


_FILTERS: Mapping[str, object] = {
    "ago": ago,
    "local": local,
    "clock": clock,
    "number": _number,
    "log_line": without_controls,
}
_environment = Environment(
    loader=FileSystemLoader(FOLDER / "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    finalize=shown,
    trim_blocks=True,
    lstrip_blocks=True,
)
_environment.filters.update(_FILTERS)
