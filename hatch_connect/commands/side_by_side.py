"""Several pieces of content: side by side or one after the other, and how far each has come."""

from __future__ import annotations

from contextlib import suppress
from copy import copy
from dataclasses import dataclass
from functools import partial
from threading import Event, Lock, Thread
from typing import TYPE_CHECKING

from hatch_connect.commands.result import Deployed, report_deployed
from hatch_connect.errors import add_facts, facts_of
from hatch_connect.events import Ended, Note, Warned
from hatch_connect.ship.execute import deploy_again

if TYPE_CHECKING:
    from collections.abc import Callable

    from hatch_connect.commands.call import Call
    from hatch_connect.commands.result import Result
    from hatch_connect.commands.source import Source
    from hatch_connect.events import Event as Reported
    from hatch_connect.events import Report
    from hatch_connect.secret import Hidden
    from hatch_connect.ship.execute import Execution
    from hatch_connect.ship.state import GoOn

_TICK = 0.5  # seconds; on Windows only a wait that ends lets Ctrl-C through
_TIDYING = 1.0  # seconds that the threads have, after an interruption, to end what they write


class SideBySide:
    """At most `jobs` threads that share work; with one job there is only the thread that calls."""

    def __init__(self, jobs: int, report: Report) -> None:
        self.jobs = jobs
        self._report_further = report
        self._reporting = Lock()
        self.interrupted = Event()  # by the user: nothing more may begin

    def report(self, event: Reported) -> None:
        """Report the events of all threads, one at a time.

        Once the work was interrupted, a thread that reports ends by KeyboardInterrupt: uploads
        report, and so does almost every step before its request.
        """
        with self._reporting:
            if self.interrupted.is_set():
                raise KeyboardInterrupt
            self._report_further(event)

    def run(self, work: Callable[[], None]) -> None:
        """Call `work` in each thread, and return when all have returned.

        At a KeyboardInterrupt a thread that waits for the server's answer is left behind: no thread
        can be made to end, and these end with the process.
        """
        if self.jobs == 1:
            work()
            return
        threads = [Thread(target=work, daemon=True) for _ in range(self.jobs)]
        try:
            for thread in threads:
                thread.start()
            while running := [thread for thread in threads if thread.is_alive()]:
                running[0].join(_TICK)
        except KeyboardInterrupt:
            self.interrupted.set()
            for thread in threads:
                if thread.is_alive():
                    thread.join(_TIDYING / len(threads))
            raise


@dataclass(slots=True, kw_only=True, eq=False)
class Piece:
    """A piece of content to deploy: `execution` and `outcome` tell how far it is and how it ended.

    `command` is what was called; `call` reports which content it is about; `hidden` are values to
    mask.
    """

    source: Source
    command: str
    call: Call
    hidden: Hidden
    deploy: Callable[[Piece, GoOn], Deployed]
    execution: Execution | None = None
    outcome: Deployed | BaseException | None = None

    def carry_out(self, go_on: GoOn) -> None:
        """Deploy it, and keep the outcome."""
        try:
            self.outcome = self.deploy(self, go_on)
        except BaseException as error:  # noqa: BLE001 - raised when all threads have ended
            self.outcome = error


def deploy_each(
    pieces: list[Piece], done: list[Result], side: SideBySide, call: Call, began: float
) -> None:
    """Deploy each piece of content, and add the results to `done`, in the order of the call.

    If one fails, those that are under way are finished, and those that have not begun are not
    tried; how far each has come is reported. Raises the error of the first of them in the order of
    the call, not of time, so that it does not depend on chance. `began` is when the call did, which
    is what one piece of content took; of several, each counts from its own start.
    """
    waiting, now = iter(pieces), call.surroundings.now

    def work() -> None:
        for piece in waiting:  # each thread takes the next one
            failed = any(isinstance(each.outcome, BaseException) for each in pieces)
            if failed or side.interrupted.is_set():
                return
            since = now() if len(pieces) > 1 else began
            piece.carry_out(_go_on(piece, pieces, side))
            with suppress(KeyboardInterrupt):
                _report_end(piece, now() - since, side)

    interruption = None
    try:
        side.run(work)
    except KeyboardInterrupt as error:
        interruption = error
        pieces = [_left_behind(piece) for piece in pieces]
    outcomes = [piece.outcome for piece in pieces]
    done += [outcome for outcome in outcomes if isinstance(outcome, Deployed)]
    failures = (outcome for outcome in outcomes if isinstance(outcome, BaseException))
    failure = interruption or next(failures, None)
    if len(pieces) > 1 and (failure or side.jobs > 1):
        _sum_up(pieces, failure, side, call)
    if failure:
        raise failure


def _report_end(piece: Piece, seconds: float, side: SideBySide) -> None:
    """Report how a piece of content ended; of a failure, only while others go on."""
    result, report = piece.outcome, piece.call.report
    if isinstance(result, Deployed):
        # "... is already active in 5 s" would say something else.
        report_deployed(result, report, seconds if result.deployment.uploaded else 0.0)
    elif side.jobs > 1:
        report(Ended(text=_ended(piece)[0], failed=True))


def _left_behind(piece: Piece) -> Piece:
    """Return how far a piece of content has come by now, even if its thread still waits."""
    piece = copy(piece)
    if piece.execution and not piece.outcome:
        piece.outcome = interruption = KeyboardInterrupt()
        with suppress(KeyboardInterrupt), piece.call.masking(piece.hidden):
            piece.execution.explain(interruption)
            raise interruption
    return piece


def _go_on(piece: Piece, pieces: list[Piece], side: SideBySide) -> GoOn:
    """Return how to go on if this piece of content fails."""
    if len(pieces) == 1:
        return partial(deploy_again, command=piece.command)
    # Side by side nobody knows yet what is going to be left: the summary says how to go on.
    again = "" if side.jobs > 1 else _again(pieces[pieces.index(piece) :])
    return lambda _guid: again


def _again(left: list[Piece]) -> str:
    """Return how to go on with the pieces of content that are left."""
    files = [str(piece.source.path) for piece in left if piece.source.path]
    if files:
        return f"deploy again: {' '.join(files)}"
    names = [piece.source.config.content if piece.source.config else None for piece in left]
    if names == [None]:
        return "deploy again"
    options = "--all" if None in names else " ".join(f"--content {name}" for name in names)
    return f"deploy again with {options}"


def _sum_up(pieces: list[Piece], error: BaseException | None, side: SideBySide, call: Call) -> None:
    """Report for each piece of content how it ended, and note that with the error."""
    ended = [(piece.source.name, *_ended(piece, error)) for piece in pieces]
    lines = (f"{name}: {text}" for name, text, _ in ended)
    left = [piece for piece in pieces if not isinstance(piece.outcome, Deployed)]
    if left:
        call.report(Warned(text="\n".join(("Not all content was deployed:", *lines))))
    else:
        call.report(Note(text="\n".join(("All content was deployed:", *lines))))
    if error:
        add_facts(error, contents=[{"name": name, **known} for name, _, known in ended])
        if left and (side.jobs > 1 or error not in {piece.outcome for piece in left}):
            error.add_note(f"To continue, {_again(left)}.")


def _ended(piece: Piece, shown: BaseException | None = None) -> tuple[str, dict[str, object]]:
    """Return whether a piece of content was deployed, as text and as an object.

    The text ends with what to do, and what remained on the server, unless the error is `shown`.
    """
    result = piece.outcome
    if isinstance(result, Deployed):
        content, bundle_id = result.deployment.content, result.deployment.bundle_id
        text = f"deployed: {result.facts['url']}  {content.guid}  bundle {bundle_id}"
        known = {"status": "deployed", **result.facts}
    elif result:
        interrupted = isinstance(result, KeyboardInterrupt)
        why = getattr(result, "message", "interrupted" if interrupted else type(result).__name__)
        rest = (getattr(result, "hint", None), *getattr(result, "__notes__", ()))
        more = "\n".join(filter(None, () if result is shown else rest)).splitlines()
        text = "\n  ".join((f"failed: {why}", *more))
        facts = facts_of(result)
        facts.pop("content", None)  # which has its name beside it
        known = {"status": "failed", "error": why, **facts}
    else:
        text, known = "not tried", {"status": "not tried"}
    return text, known
