"""How events, results and errors look: on a terminal, as plain lines, as JSON.

Progress and messages go to stderr, results to stdout.
"""

from __future__ import annotations

import json
import os
import re
import sys
import time
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from hatch_connect.errors import (
    DeploymentFailedError,
    NotAnsweringError,
    Terminated,
    exit_code_of,
    facts_of,
)
from hatch_connect.events import Detail, Ended, LogLine, Note, Progress, Step, Warned

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from rich.console import Console, RenderableType
    from rich.progress import Progress as ProgressBars
    from rich.progress import TaskID

    from hatch_connect.commands.result import Result
    from hatch_connect.errors import HatchConnectError
    from hatch_connect.events import Event


# ECMA-48: control sequences (CSI), then operating system commands and their like, up to their end.
_SEQUENCES = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b[\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\)?|\x1b.?")
_EVERY = 15.0  # seconds between two lines of progress; some CI services end what says nothing
# The facts of a deployment that an error object holds, as far as the deployment came.
_OF_A_DEPLOYMENT = ("guid", "bundle_id", "task_id", "logs_url", "log", "job", "diagnosis")
_MARKS = {"+ ": "green", "- ": "red", "~ ": "yellow"}
_TICKS = {"ok": "✓", "failed": "✗", "warning": "!", "skipped": "-"}
_STYLES = {"ok": "green", "failed": "bold red", "warning": "yellow", "skipped": "dim"}
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def clean(text: str) -> str:
    """Return text from elsewhere without control sequences and control characters."""
    return _CONTROLS.sub("", _SEQUENCES.sub("", text))


def _notes_of(error: BaseException) -> tuple[str, ...]:
    """Return what was noted about an exception on its way: what remained, for instance."""
    return tuple(getattr(error, "__notes__", ()))


def give_up(stream: str) -> None:
    """Put the null device in place of a stream; at exit, Python would try again to write to it."""
    null = Path(os.devnull).open("r" if stream == "stdin" else "w", encoding="utf-8")  # noqa: SIM115 - for good
    setattr(sys, stream, null)


class PlainDisplay:
    """Lines on stderr, for CI, pipes and files."""

    def __init__(
        self,
        *,
        quiet: bool = False,
        verbose: bool = False,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._now = now
        self._lines: dict[
            tuple[str, str], tuple[float, int]
        ] = {}  # when, of what work, the last was
        self._hidden: tuple[type, ...] = ()
        if quiet:
            self._hidden = (Step, Ended, Note, LogLine, Detail, Progress)
        elif not verbose:
            self._hidden = (Detail,)
        self._warned: set[str] = set()

    def report(self, event: Event) -> None:
        """Show one event; the same warning, of several pieces of content, once."""
        if isinstance(event, Warned):
            if event.text in self._warned:
                return
            self._warned.add(event.text)
        if isinstance(event, self._hidden):
            return
        if isinstance(event, Progress):
            self._progress(event)
        else:
            self._message(event)

    def error(self, error: HatchConnectError) -> None:
        """Show what went wrong, what remained, and what to do next.

        After a failure on the server the end of its log is shown, if it was not yet.
        """
        log = facts_of(error).get("log")
        failed = isinstance(error, DeploymentFailedError | NotAnsweringError)
        if failed and LogLine in self._hidden and isinstance(log, list):
            for line in log:
                self._message(LogLine(text=line))
        rest = "\n".join(filter(None, (error.hint, *_notes_of(error))))
        self._line("error: ", error.message, style="bold red")
        if rest:
            self._line("       ", rest)

    def interrupted(self, error: KeyboardInterrupt) -> None:
        """Show that the user interrupted the work, and what remained."""
        by = "by SIGTERM" if isinstance(error, Terminated) else "by you"
        self._line("interrupted: ", " ".join(_notes_of(error)) or by, style="bold red")

    def close(self) -> None:
        """Leave the terminal as it was."""

    def _message(self, event: Step | Ended | Note | Warned | Detail | LogLine) -> None:
        lead, style = {
            Step: ("-> ", "bold"),
            Ended: ("-> ", "bold"),
            Note: ("   ", ""),
            Warned: ("warning: ", "yellow"),
            Detail: ("   ", "dim"),
            LogLine: ("  | ", "dim"),
        }[type(event)]
        # Side by side, lines of several pieces of content are mixed: each begins with the name.
        about = f"{event.about}: " if event.about else ""
        self._line(lead, event.text, style=style, about=about)

    def _progress(self, event: Progress) -> None:
        """Show a line now and then, for work that takes long."""
        now, work = self._now(), (event.about, event.what)
        since, before = self._lines.setdefault(work, (now, event.done))
        if event.done == event.total:
            del self._lines[work]
        elif event.done < before:  # it begins again
            self._lines[work] = now, event.done
        elif now - since >= _EVERY and event.done > before:
            self._lines[work] = now, event.done
            shown = _progress_line(event, (event.done - before) / (now - since))
            self._message(Note(text=shown, about=event.about))

    def _line(self, lead: str, text: str, *, style: str = "", about: str = "") -> None:
        # Further lines are indented to match.
        further = f"\n{about}{' ' * len(lead)}"
        try:
            self._write(about + lead + clean(text.rstrip("\n")).replace("\n", further), style)
        except OSError:
            # The work goes on though nobody reads about it any more, or the disk is full.
            give_up("stderr")

    def _write(self, line: str, _style: str) -> None:
        print(line, file=sys.stderr, flush=True)


def _progress_line(event: Progress, rate: float) -> str:
    from rich.filesize import decimal

    shown = f"{event.what}: {decimal(event.done)}"
    if event.total:
        left = timedelta(seconds=round((event.total - event.done) / rate))
        share = f"{event.done / event.total:.0%}"
        shown += f" of {decimal(event.total)} ({share}), {left} left"
    return f"{shown}, {decimal(round(rate))}/s"


class TerminalDisplay(PlainDisplay):
    """The same with colour, and bars for long work."""

    def __init__(self, console: Console, *, quiet: bool = False, verbose: bool = False) -> None:
        super().__init__(quiet=quiet, verbose=verbose)
        self._console = console
        self._bars: ProgressBars | None = None
        self._tasks: dict[str, TaskID] = {}

    def close(self) -> None:
        """Take the bars away and show the cursor."""
        if self._bars is not None:
            self._bars.stop()
        self._bars = None
        self._tasks.clear()

    def _write(self, line: str, style: str) -> None:
        self._console.print(line, style=style, markup=False, highlight=False, soft_wrap=True)

    def _message(self, event: Step | Ended | Note | Warned | Detail | LogLine) -> None:
        """Show it, and in the line of the content, if there are several, its current step."""
        if event.about and isinstance(event, Step):
            bars, line = self._line_for(event, event.text)
            for task in bars.tasks:
                if task.id == line:
                    task.total = None  # `update` takes None for "as before"
            bars.update(line, completed=0, refresh=True)
        elif isinstance(event, Ended):
            self._over(event.about)
        super()._message(event)

    def _progress(self, event: Progress) -> None:
        bars, line = self._line_for(event, event.what)
        bars.update(line, completed=event.done, total=event.total)
        if event.done == event.total and not event.about:
            self._over(event.what)

    def _line_for(self, event: Step | Progress, text: str) -> tuple[ProgressBars, TaskID]:
        """Return the bars and, among them, the line of a piece of content, or of some work."""
        bars = self._bars = self._bars or _bars(self._console)
        key = event.about or text
        shown = clean(f"{event.about}: {text}" if event.about else text)
        if key not in self._tasks:
            self._tasks[key] = bars.add_task(shown, total=None)
        bars.update(self._tasks[key], description=shown)
        return bars, self._tasks[key]

    def _over(self, key: str) -> None:
        if self._bars is not None and key in self._tasks:
            self._bars.remove_task(self._tasks.pop(key))
            if not self._tasks:
                self.close()


def _bars(console: Console) -> ProgressBars:
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        Progress,
        ProgressColumn,
        Task,
        TaskProgressColumn,
        TextColumn,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )

    class Measured(ProgressColumn):
        """What another column shows, but nothing for a step whose bytes are not counted."""

        def __init__(self, column: ProgressColumn) -> None:
            super().__init__()
            self._column = column

        def render(self, task: Task) -> RenderableType:
            return self._column(task) if task.total else ""

    amounts = TaskProgressColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn()
    bars = Progress(
        TextColumn("   {task.description}", markup=False),
        BarColumn(bar_width=20),
        *map(Measured, amounts),
        console=console,
        transient=True,
    )
    bars.start()
    return bars


def display_for(
    environ: Mapping[str, str], *, quiet: bool = False, verbose: bool = False
) -> PlainDisplay:
    """Return the display: colour and bars on a terminal, unless a CI service runs it."""
    if not _has_colour(sys.stderr, environ):
        return PlainDisplay(quiet=quiet, verbose=verbose)
    return TerminalDisplay(_console(environ, stderr=True), quiet=quiet, verbose=verbose)


def _has_colour(stream: TextIO, environ: Mapping[str, str]) -> bool:
    return stream.isatty() and not environ.get("CI") and environ.get("TERM") != "dumb"


def _console(environ: Mapping[str, str], *, stderr: bool) -> Console:
    from rich.console import Console

    return Console(stderr=stderr, no_color=bool(environ.get("NO_COLOR")) or None)


def show_result(
    result: Result, environ: Mapping[str, str], *, as_json: bool, one_line: bool = False
) -> None:
    """Print a result to stdout: text from elsewhere made safe, or one JSON object."""
    if as_json:
        print(json.dumps(result.facts, indent=None if one_line else 2))
        return
    encoding = sys.stdout.encoding or "utf-8"
    show: Callable[[str], None] = print
    if _has_colour(sys.stdout, environ):
        if result.marked:
            show = _in_colour(environ)
        elif result.checked and _can_write("".join(_TICKS.values()), encoding):
            show = _ticked(environ)
    for line in result.lines:
        show_line(line, show)


def show_line(line: str, show: Callable[[str], None] = print) -> None:
    """Print a line to stdout: what its encoding lacks as escapes, what would act left out."""
    encoding = sys.stdout.encoding or "utf-8"
    show(clean(line).encode(encoding, "backslashreplace").decode(encoding))


def _can_write(text: str, encoding: str) -> bool:
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        return False
    return True


def _ticked(environ: Mapping[str, str]) -> Callable[[str], None]:
    """Return what prints a row of checks with a tick for the word that it begins with."""
    from rich.text import Text

    console = _console(environ, stderr=False)

    def show(line: str) -> None:
        state, rest = (line[2:9].strip(), line[10:]) if line.startswith("  ") else ("", line)
        row = Text()
        if line.startswith("  "):
            row.append(f"  {_TICKS.get(state, ' ')} ", _STYLES.get(state, ""))
        row.append(rest, "dim" if state == "skipped" else "" if line.startswith("  ") else "bold")
        console.print(row, soft_wrap=True)

    return show


def _in_colour(environ: Mapping[str, str]) -> Callable[[str], None]:
    """Return what prints a line in the colours of its parts, which are three spaces apart."""
    from rich.text import Text

    console = _console(environ, stderr=False)

    def show(line: str) -> None:
        shown = Text()
        for part in re.split(r"(^  [a-z]\S* +| {3,})", line):
            shown.append(part, _MARKS.get(part[:2], "yellow" if " -> " in part else ""))
        console.print(shown, soft_wrap=True)

    return show


def show_error_object(
    error: HatchConnectError | KeyboardInterrupt, *, one_line: bool = False
) -> None:
    """Print a failure to stdout as one JSON object, for programs."""
    if isinstance(error, KeyboardInterrupt):
        facts: dict[str, object] = {"message": "Interrupted.", "hint": None}
        code = exit_code_of(error)
    else:
        facts, code = {"message": error.message, "hint": error.hint}, error.exit_code
    known: dict[str, object] = {**dict.fromkeys(_OF_A_DEPLOYMENT), "log": [], **facts_of(error)}
    pieces = {"contents": known.pop("contents")} if "contents" in known else {}
    shown = {**facts, "notes": list(_notes_of(error)), "exit_code": code, **known}
    print(json.dumps({"error": shown, **pieces}, indent=None if one_line else 2))
