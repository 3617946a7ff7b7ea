"""The surroundings that a verb is given, the result that it returns, and masking in both."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, replace
from os.path import normpath
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from hatch_connect.errors import (
    HatchConnectError,
    add_facts,
    facts_of,
)
from hatch_connect.events import Progress
from hatch_connect.secret import Secret, hiding

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from hatch_connect.bundle.build_protocol import Built
    from hatch_connect.events import Event, Report
    from hatch_connect.options import Options
    from hatch_connect.project.project import Project


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """Every file of a bundle with its size in bytes; what was left out with the rule."""

    files: tuple[tuple[str, int], ...]
    left_out: tuple[tuple[str, str], ...]

    @classmethod
    def of(cls, built: Built) -> Listing:
        """List a bundle that was just built."""
        return cls(
            files=built.bundle.sizes(),
            left_out=tuple((left.path, left.rule) for left in built.left_out),
        )

    def lines(self) -> tuple[str, ...]:
        """Return a line a file, sizes first, then what was left out."""
        width = max((len(f"{size:,}") for _, size in self.files), default=0)
        return (
            *(f"{size:>{width},}  {path}" for path, size in self.files),
            *(f"{'-':>{width}}  {path}  ({rule})" for path, rule in self.left_out),
        )

    def to_dict(self) -> dict[str, object]:
        """Return both lists as objects."""
        return {
            "files": [{"path": path, "size": size} for path, size in self.files],
            "left_out": [{"path": path, "rule": rule} for path, rule in self.left_out],
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Several:
    """The results, in the order of the contents."""

    results: tuple[Result, ...]

    def lines(self) -> tuple[str, ...]:
        """Return the lines of each."""
        return tuple(line for result in self.results for line in result.lines())

    def to_dict(self) -> dict[str, object]:
        """Return the objects of all as an array."""
        return {"contents": [result.to_dict() for result in self.results]}


def project_of(options: Options, surroundings: Surroundings) -> Project:
    """Read the project of the nearest pyproject.toml, from the call's directory upward."""
    from hatch_connect.project.project import read_project
    from hatch_connect.project.reading import find_root

    directory = Path(normpath(surroundings.directory / (options.directory or "")))
    return read_project(find_root(directory))


class Result(Protocol):
    """What a verb returns: the lines for people, the object for programs."""

    def lines(self) -> tuple[str, ...]:
        """Return what goes to stdout, a line each."""
        ...

    def to_dict(self) -> Mapping[str, object]:
        """Return what `--json` prints."""
        ...


def one_or_several(results: tuple[Result, ...]) -> Result:
    """Return the result of one piece of content as it is."""
    return results[0] if len(results) == 1 else Several(results=results)


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
