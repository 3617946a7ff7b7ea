"""What came of checks: rows of a table, and what to do beside what failed."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal, TypeVar

from hatch_connect.errors import (
    HatchConnectError,
    ProjectError,
    PythonVersionError,
    ServerError,
)
from hatch_connect.events import Detail, Note, Warned

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from hatch_connect.commands.call import Call
    from hatch_connect.events import Event

T = TypeVar("T")
State = Literal["ok", "failed", "warning", "skipped"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What came of one check of an `area`.

    `content` is the NAME of its table, None for the main one.
    `hint` is the cure of what failed.
    """

    area: Literal["server", "project"]
    content: str | None = None
    check: str
    state: State
    text: str
    hint: str | None = None
    exit_code: int = field(default=0, repr=False)

    def lines(self, width: int) -> Iterator[str]:
        """Return it as rows of a table."""
        first, *more = self.text.splitlines() or [""]
        yield f"  {self.state:<7} {self.check:<{width}}  {first}"
        cure = [f"-> {line}" for line in (self.hint or "").splitlines()]
        yield from (f"{'':10}{'':{width}}  {line}" for line in (*more, *cure))


@dataclass(frozen=True, slots=True)
class Remark:
    """What is said of a check that found something to think of."""

    text: str
    hint: str | None = None


@dataclass(slots=True, kw_only=True)
class Checks:
    """The checks of one area, and what came of them."""

    call: Call
    area: Literal["server", "project"]
    content: str | None = None
    findings: list[Finding]

    def note(self, check: str, state: State, said: str | Remark, code: int = 0) -> None:
        """Note what came of a check."""
        remark = said if isinstance(said, Remark) else Remark(said)
        spelled, hide = self.call.surroundings.spelled, self.call.hide
        finding = Finding(
            area=self.area,
            content=self.content,
            check=check,
            state=state,
            text=hide(spelled(remark.text)),
            hint=hide(spelled(remark.hint)) if remark.hint else None,
            exit_code=code,
        )
        if finding not in self.findings:  # two pieces of content may have one trouble
            self.findings.append(finding)

    def failed(self, check: str, error: HatchConnectError) -> None:
        """Note what is wrong."""
        usual = {"server": ServerError, "project": ProjectError}[self.area]
        known = isinstance(error, ServerError | ProjectError)
        code = error.exit_code if known else usual.exit_code
        self.note(check, "failed", Remark(error.message, error.hint), code)

    def skipped(self, because: str, *checks: str) -> None:
        """Note that checks depend on something that failed."""
        for check in checks:
            self.note(check, "skipped", f"Not checked: {because}.")

    def look(
        self, check: str, ask: Callable[[Call], T], say: Callable[[T], str | Remark]
    ) -> T | None:
        """Return what is asked for, and note it; None if that failed. Warnings are noted too."""
        with self.listening(check) as call:
            try:
                answer = ask(call)
                said = say(answer)
            except HatchConnectError as error:
                self.failed("python" if isinstance(error, PythonVersionError) else check, error)
                return None
            self.note(check, "warning" if isinstance(said, Remark) else "ok", said)
            return answer

    @contextmanager
    def listening(self, check: str) -> Iterator[Call]:
        """Yield the call with warnings that are noted with a check."""
        warnings: list[str] = []

        def report(event: Event) -> None:
            if isinstance(event, Warned):
                warnings.append(event.text)
            else:
                self.call.report(Detail(text=event.text) if isinstance(event, Note) else event)

        yield replace(self.call, report=report)
        for warning in dict.fromkeys(warnings):
            self.note(check, "warning", warning)
