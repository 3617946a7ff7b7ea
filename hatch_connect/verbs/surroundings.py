"""What a verb knows of the process it runs in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from hatch_connect.secret import Secret


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """The outside, as one value.

    `now` is a clock in seconds that never goes back, `sleep` waits for seconds. `ask` asks the
    person for a line, `ask_secret` for a value without showing it, `wait_for_person` returns when
    the person ends the wait with Ctrl-C; all are None where nobody sits at a terminal.
    `interpreter` is the one that runs us.
    """

    environ: Mapping[str, str]
    directory: Path
    interpreter: Path
    now: Callable[[], float]
    sleep: Callable[[float], None]
    ask: Callable[[str], str] | None = None
    ask_secret: Callable[[str], Secret] | None = None
    wait_for_person: Callable[[], None] | None = None
