"""What a verb is called with: its surroundings, the project, and a report that hides secrets."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, replace
from os.path import normpath
from pathlib import Path
from typing import TYPE_CHECKING

from hatch_connect.errors import HatchConnectError, add_facts, facts_of
from hatch_connect.events import Progress
from hatch_connect.secret import hiding

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from hatch_connect.events import Event, Report
    from hatch_connect.options import Options
    from hatch_connect.project.project import Project
    from hatch_connect.secret import Secret


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """The process and the terminal, as one value: nothing inside reads them directly.

    `now` is a clock in seconds that never goes back, `sleep` waits for seconds. `ask` asks the
    person for a line, `ask_secret` for a value without showing it, `wait_for_person` returns when
    the person ends the wait with Ctrl-C; all are None if nobody sits at a terminal.
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


def project_of(options: Options, surroundings: Surroundings) -> Project:
    """Read the project of the nearest pyproject.toml, from the call's directory upward."""
    from hatch_connect.project.project import read_project
    from hatch_connect.project.reading import find_root

    directory = Path(normpath(surroundings.directory / (options.directory or "")))
    return read_project(find_root(directory))


@contextmanager
def masking(secrets: Iterable[Secret | None], report: Report) -> Iterator[Report]:
    """Yield a report that hides these values; exceptions that leave the block hide them too."""
    hide = hiding(secret for secret in secrets if secret)

    def report_masked(event: Event) -> None:
        if not isinstance(event, Progress):
            event = replace(event, text=hide(event.text))
        report(event)

    try:
        yield report_masked
    except BaseException as error:
        _mask(error, hide)
        raise


def _mask(error: BaseException, hide: Callable[[str], str]) -> None:
    """Hide the values in an exception, in its notes and facts, and in its causes."""
    seen: set[int] = set()
    one: BaseException | None = error
    while one is not None and id(one) not in seen:
        seen.add(id(one))
        if notes := getattr(one, "__notes__", None):
            one.__notes__ = [hide(note) for note in notes]
        log = facts_of(one).get("log")
        if isinstance(log, list):
            add_facts(one, log=[hide(line) for line in log])
        if isinstance(one, HatchConnectError):
            one.message = hide(one.message)
            one.hint = hide(one.hint) if one.hint else None
            one.args = (one.message,)
        one = one.__cause__ or one.__context__
