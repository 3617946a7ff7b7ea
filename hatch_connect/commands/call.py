"""What a command is called with: options, surroundings, the project, and where it reports."""

from __future__ import annotations

import re
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import cache, partial
from os.path import normpath
from pathlib import Path
from typing import TYPE_CHECKING

from hatch_connect.errors import HatchConnectError, UsageError, add_facts, facts_of
from hatch_connect.events import LogLine, Progress
from hatch_connect.secret import Secrets, hiding

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from datetime import datetime

    from hatch_connect.connect.identity import WorkflowIdentity
    from hatch_connect.events import Event, Report
    from hatch_connect.options import Options
    from hatch_connect.project.project import Project, ProjectConfig
    from hatch_connect.secret import Secret


_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """The process and the terminal, as one value: nothing inside reads them directly.

    `now` is a clock in seconds that never goes back, `today` tells the date and time, `sleep` waits
    for seconds. `ask` asks the person for a line, `ask_secret` for a value without showing it,
    `wait_for_person` returns when the person ends the wait with Ctrl-C; all are None if nobody sits
    at a terminal. `open_page` opens a URL in a browser, and is None if this machine has none that a
    person could see. `show` prints a line of a result that comes bit by bit, and is None if all of
    it is returned at the end. `interpreter` is the one that runs us.
    `spelled` puts the commands in a text, which hints write as `hatch-connect COMMAND`, into the
    words by which this process was called.
    """

    environ: Mapping[str, str]
    directory: Path
    interpreter: Path
    now: Callable[[], float]
    today: Callable[[], datetime]
    sleep: Callable[[float], None]
    ask: Callable[[str], str] | None = None
    ask_secret: Callable[[str], Secret] | None = None
    wait_for_person: Callable[[], None] | None = None
    open_page: Callable[[str], bool] | None = None
    show: Callable[[str], None] | None = None
    spelled: Callable[[str], str] = str


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One call of a command: what is asked for, by which process, and where it reports.

    `read_project` reads the project once, if a command asks for it: not every command needs one.
    `secrets` are those that arise; `identities` are those of the workflow, by server and audience.
    `content_name` is the name of the content that it is about, if there are several. `hide` masks
    what is secret in a text: reports and exceptions are masked anyway, results are not.
    """

    options: Options
    surroundings: Surroundings
    report: Report
    read_project: Callable[[], Project]
    secrets: Secrets = field(default_factory=Secrets)
    identities: dict[tuple[str, str], WorkflowIdentity] = field(default_factory=dict)
    content_name: str = ""
    hide: Callable[[str], str] = str

    @classmethod
    def of(cls, options: Options, surroundings: Surroundings, report: Report) -> Call:
        """Return a call about the nearest pyproject.toml, from its directory upward."""
        directory = Path(normpath(surroundings.directory / (options.directory or "")))
        return cls(
            options=options,
            surroundings=surroundings,
            report=report,
            read_project=cache(partial(_read_project, directory)),
        )

    @property
    def environ(self) -> Mapping[str, str]:
        """The environment variables of the process."""
        return self.surroundings.environ

    def config(self, content: str | None, *, packages_only: bool = False) -> ProjectConfig:
        """Return the configuration of a piece of content, with what the call overrides.

        Raises ProjectError.
        """
        return self.read_project().content(
            content, overrides=self.options.overrides(), packages_only=packages_only
        )

    def contents(self, *, only_one: bool = False) -> tuple[str | None, ...]:
        """Return the pieces of content that the call is about; None is the main one.

        `only_one` tells that the command takes no more. Raises UsageError if the project describes
        several and the call names none.
        """
        options, every = self.options, self.read_project().contents
        if options.all and options.content:
            raise UsageError("--all and --content are mutually exclusive.")
        chosen: tuple[str | None, ...] = every if options.all else options.content
        if not chosen and (None in every or len(every) == 1):
            chosen = every[:1]
        if not chosen:
            raise UsageError(
                f"The project has several pieces of content: {', '.join(map(str, every))}.",
                hint="Choose one with --content NAME"
                f"{'' if only_one else ', or all of them with --all'}.",
            )
        if len(chosen) > 1 and (options.title or options.entrypoint or options.app_id):
            raise UsageError(
                "--title, --entrypoint and --app-id take a single piece of content, not several: "
                f"{', '.join(name or 'the main one' for name in chosen)}."
            )
        return tuple(dict.fromkeys(chosen))

    def content(self) -> str | None:
        """Return the one piece of content that the call is about. Raises UsageError."""
        first, *others = self.contents(only_one=True)
        if others:
            raise UsageError(
                "This command works on one piece of content at a time.",
                hint="Choose it with --content NAME.",
            )
        return first

    def about(self, content: str, report: Report) -> Call:
        """Return the call with reports and errors that say which content they are about."""
        return replace(
            self,
            report=lambda event: report(replace(event, about=content)),
            content_name=content,
        )

    def ago(self, age: str, units: str) -> datetime | None:
        """Return the moment that an age such as 7d means; None if it is not in one of the units."""
        found = re.fullmatch(rf"(\d{{1,6}})([{units}])", age.strip())
        if found is None:
            return None
        try:
            return self.surroundings.today() - timedelta(**{_UNITS[found[2]]: int(found[1])})
        except OverflowError:  # before the year 1
            return None

    def confirm(self, question: str, about: str = "", *, refused: str, hint: str) -> None:
        """Let the person confirm what it is about. Raises UsageError unless the answer is yes."""
        ask = self.surroundings.ask
        above = f"{about}\n" if about else ""
        if ask is None:
            why = f"{refused}: there is no terminal to prompt on."
            raise UsageError(f"{why}\n{about}".rstrip(), hint=hint)
        if ask(f"{above}{question} [y/N] ").strip().lower() not in {"y", "yes"}:
            raise UsageError(f"{refused}.", hint=hint)

    def choose(self, question: str, choices: Sequence[str]) -> int | None:
        """Return which of the choices the person takes; None if nobody can be asked.

        Raises UsageError for an answer that is none of them.
        """
        if self.surroundings.ask is None:
            return None
        listed = "\n".join(f"  {number}  {each}" for number, each in enumerate(choices, 1))
        answer = self.surroundings.ask(f"{question}\n{listed}\nNumber: ").strip()
        if not (answer.isdecimal() and 0 < int(answer) <= len(choices)):
            raise UsageError(f"{answer!r} is not a number from 1 to {len(choices)}.")
        return int(answer) - 1

    @contextmanager
    def masking(self, secrets: Iterable[Secret | Secrets | None]) -> Iterator[Call]:
        """Yield the call with these values hidden in what it reports, and in exceptions."""
        hide, outer = hiding(secret for secret in secrets if secret is not None), self.hide
        with reworded(hide, self.report, logs=True) as report:
            try:
                yield replace(self, report=report, hide=lambda text: hide(outer(text)))
            except HatchConnectError as error:
                if self.content_name:
                    add_facts(error, content=self.content_name)
                raise


def _read_project(directory: Path) -> Project:
    # Some commands need no project: they start faster without what reads one.
    from hatch_connect.project.project import read_project
    from hatch_connect.project.reading import find_root

    return read_project(find_root(directory))


@contextmanager
def nothing_changed(again: str = "deploy") -> Iterator[None]:
    """If the user interrupts the block, which only reads, note that nothing was changed."""
    try:
        yield
    except KeyboardInterrupt as error:
        error.add_note(f"Nothing was changed on the server. To continue, {again} again.")
        raise


@contextmanager
def reworded(
    change: Callable[[str], str], report: Report, *, logs: bool = False
) -> Iterator[Report]:
    """Yield a report of changed texts; those of exceptions that leave the block change too.

    `logs` tells whether that is for what others wrote as well.
    """

    def report_changed(event: Event) -> None:
        if not isinstance(event, Progress) and (logs or not isinstance(event, LogLine)):
            event = replace(event, text=change(event.text))
        report(event)

    try:
        yield report_changed
    except BaseException as error:
        _reword(error, change, logs=logs)
        raise


def _changed(value: object, change: Callable[[str], str]) -> object:
    """Return what others wrote, each text of it changed."""
    if isinstance(value, str):
        return change(value)
    if isinstance(value, dict):
        return {key: _changed(each, change) for key, each in value.items()}
    return [_changed(each, change) for each in value] if isinstance(value, list) else value


def _reword(error: BaseException, change: Callable[[str], str], *, logs: bool) -> None:
    """Change the texts of an exception, of its notes and facts, and of its causes."""
    # Libraries repeat values in what they raise first, and a traceback shows every cause.
    seen: set[int] = set()
    one: BaseException | None = error
    while one is not None and id(one) not in seen:
        seen.add(id(one))
        if notes := getattr(one, "__notes__", None):
            one.__notes__ = [change(note) for note in notes]
        known = facts_of(one)
        for key in ("log", "diagnosis") if logs else ():
            if key in known:
                add_facts(one, **{key: _changed(known[key], change)})
        if isinstance(one, HatchConnectError):
            one.message = change(one.message)
            one.hint = change(one.hint) if one.hint else None
            one.args = (one.message,)
        one = one.__cause__ or one.__context__
