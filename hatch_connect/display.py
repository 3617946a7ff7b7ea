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
from pathlib import Path, PurePath
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
_BAR = 20  # columns
_LOG = "log"
_LONG = 5.0  # seconds after which a step says how long it took
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


def duration(seconds: float) -> str:
    """Return how long something took: "41 s", "2 min 5 s"."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def short_paths(directory: PurePath, home: PurePath) -> Callable[[str], str]:
    """Return what shortens the paths in a text: below the working directory, and below home.

    A shell takes `~` for itself in quotes, and what is the root of everything shortens nothing.
    """
    rules: list[tuple[re.Pattern[str], str]] = []
    before = r"(?<![\w./\\~-])"
    if directory.parent != directory:
        rules.append((re.compile(rf"{before}{re.escape(str(directory))}[/\\](?=[\w.])"), ""))
    if home.is_absolute() and home.parent != home:
        inside = rf"{before}(?<!['\"]){re.escape(str(home))}(?=[/\\])"
        rules.append((re.compile(inside), "~"))

    def shorten(text: str) -> str:
        for pattern, short in rules:
            text = pattern.sub(short, text)
        return text

    return shorten


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
        shorten: Callable[[str], str] = str,
        on_github: bool = False,
    ) -> None:
        """Show few things if `quiet`, all if `verbose`; `now` is a clock in seconds.

        `shorten` shortens the paths in a text. GitHub folds logs that are marked as a group.
        """
        self._now = now
        self._shorten = shorten
        self._on_github = on_github
        self._in_group = False
        self._steps: dict[str, float] = {}  # when the last one of some content began
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
        if isinstance(event, Step | Ended):
            self._took(event)
        if isinstance(event, Progress):
            self._progress(event)
        else:
            self._message(event)

    def _took(self, event: Step | Ended) -> None:
        """Say how long the step before this one took, if it was long."""
        now = self._now()
        since = self._steps.pop(event.about, now)
        if isinstance(event, Step):
            self._steps[event.about] = now
        if now - since >= _LONG:
            self._message(Detail(text=f"took {duration(now - since)}", about=event.about))

    def error(self, error: HatchConnectError) -> None:
        """Show what went wrong, what remained, and what to do next.

        After a failure on the server the end of its log is shown, if it was not yet.
        """
        facts = facts_of(error)
        log, content = facts.get("log"), facts.get("content")
        failed = isinstance(error, DeploymentFailedError | NotAnsweringError)
        if failed and LogLine in self._hidden and isinstance(log, list):
            for line in log:
                self._message(LogLine(text=line))
        self._group(of_log=False)
        rest = "\n".join(filter(None, (error.hint, *_notes_of(error))))
        about = f"{content}: " if content else ""
        self._line("error: ", error.message, style="bold red", about=about)
        if rest:
            self._line("       ", rest, about=about)

    def interrupted(self, error: KeyboardInterrupt) -> None:
        """Show that the user interrupted the work, and what remained."""
        self._group(of_log=False)
        by = "by SIGTERM" if isinstance(error, Terminated) else "by Ctrl-C"
        self._line("interrupted: ", " ".join(_notes_of(error)) or by, style="bold red")

    def close(self) -> None:
        """Leave the terminal as it was."""
        self._group(of_log=False)

    def _group(self, *, of_log: bool) -> None:
        """Begin or end a group of lines that GitHub folds; the command must begin a line."""
        if self._on_github and of_log != self._in_group:
            self._in_group = of_log
            self._line("::group::Server log" if of_log else "::endgroup::", "")

    def _message(self, event: Step | Ended | Note | Warned | Detail | LogLine) -> None:
        self._group(of_log=isinstance(event, LogLine))
        lead, style = {
            Step: ("-> ", "bold"),
            Ended: ("", "bold red" if isinstance(event, Ended) and event.failed else "bold green"),
            Note: ("   ", ""),
            Warned: ("warning: ", "yellow"),
            Detail: ("   ", "dim"),
            LogLine: ("  | ", "dim"),
        }[type(event)]
        # Side by side, lines of several pieces of content are mixed: each begins with the name.
        about = f"{event.about}: " if event.about else ""
        text = event.text
        if isinstance(event, Ended) and event.seconds >= 1:
            text += f" in {duration(event.seconds)}"
        self._line(lead, text, style=style, about=about)

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
            shown = self._shorten(clean(text.rstrip("\n")))
            self._write(about + lead + shown.replace("\n", further), style)
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
    """The same with colour, and bars for long work.

    Of the server's log, only the newest line shows while a step goes on, unless all of it is asked
    for; if the step fails, all of its log.
    """

    def __init__(
        self,
        console: Console,
        *,
        quiet: bool = False,
        verbose: bool = False,
        now: Callable[[], float] = time.monotonic,
        shorten: Callable[[str], str] = str,
    ) -> None:
        super().__init__(quiet=quiet, verbose=verbose, now=now, shorten=shorten)
        self._console = console
        self._bars: ProgressBars | None = None
        self._tasks: dict[str, TaskID] = {}
        self._folds = not (quiet or verbose)
        self._logs: dict[str, list[LogLine]] = {}  # of the step that each content is at

    def error(self, error: HatchConnectError) -> None:
        """Show the log of what failed first."""
        for about in tuple(self._logs):
            self._unfold(about)
        super().error(error)

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
        if isinstance(event, LogLine) and self._folds:
            log = self._logs.setdefault(event.about, [])
            log.append(event)
            self._show_in_line(event.about or _LOG, event, f"{len(log)} | {event.text}")
            return
        if not event.about:
            self._over(_LOG)
        if isinstance(event, Ended) and event.failed:
            self._unfold(event.about)
        if isinstance(event, Step | Ended):
            self._logs.pop(event.about, None)
        if event.about and isinstance(event, Step):
            self._show_in_line(event.about, event, event.text)
        elif isinstance(event, Ended):
            self._over(event.about)
        super()._message(event)

    def _unfold(self, about: str) -> None:
        for line in self._logs.pop(about, ()):
            super()._message(line)

    def _show_in_line(self, key: str, event: Step | LogLine, text: str) -> None:
        bars, line = self._line_for(key, event, text)
        for task in bars.tasks:
            if task.id == line:
                task.total = None  # `update` takes None for "as before"
        bars.update(line, completed=0, refresh=isinstance(event, Step))

    def _progress(self, event: Progress) -> None:
        bars, line = self._line_for(event.about or event.what, event, event.what)
        bars.update(line, completed=event.done, total=event.total)
        if event.done == event.total and not event.about:
            self._over(event.what)

    def _line_for(
        self, key: str, event: Step | LogLine | Progress, text: str
    ) -> tuple[ProgressBars, TaskID]:
        """Return the bars and, among them, the line of a piece of content, or of some work."""
        bars = self._bars = self._bars or _bars(self._console)
        shown = clean(f"{event.about}: {text}" if event.about else text)
        if isinstance(event, LogLine):  # as long as it may be
            shown = shown[: max(10, self._console.width - 2 * _BAR)]
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
        BarColumn(bar_width=_BAR),
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
    shorten = short_paths_here()
    if not _has_colour(sys.stderr, environ):
        on_github = environ.get("GITHUB_ACTIONS") == "true"
        return PlainDisplay(quiet=quiet, verbose=verbose, shorten=shorten, on_github=on_github)
    console = _console(environ, stderr=True)
    return TerminalDisplay(console, quiet=quiet, verbose=verbose, shorten=shorten)


def short_paths_here() -> Callable[[str], str]:
    """Return what shortens the paths in a text that a person reads."""
    try:
        return short_paths(Path.cwd(), Path.home())
    except (OSError, RuntimeError):  # it was removed, or nobody knows where home is
        return str


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
    # What reads a pipe may take a path elsewhere.
    shorten = short_paths_here() if sys.stdout.isatty() else str
    show: Callable[[str], None] = print
    if _has_colour(sys.stdout, environ):
        if result.marked:
            show = _in_colour(environ)
        elif result.checked and _can_write("".join(_TICKS.values()), encoding):
            show = _ticked(environ)
    for line in result.lines:
        show_line(shorten(line), show)


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
