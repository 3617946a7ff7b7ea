from __future__ import annotations

import io
import re
import sys
from contextlib import redirect_stderr
from dataclasses import replace
from pathlib import Path, PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from hatch_connect.commands.result import Result
from hatch_connect.display import (
    PlainDisplay,
    TerminalDisplay,
    clean,
    display_for,
    short_paths,
    show_error_object,
    show_result,
)
from hatch_connect.errors import DeploymentFailedError, LockError, add_facts
from hatch_connect.events import Detail, Ended, Event, LogLine, Note, Progress, Step, Warned
from hatch_connect.process import surroundings

EVENTS: tuple[Event, ...] = (
    Step(text="Uploading"),
    Note(text="12 packages"),
    Warned(text="unpinned"),
    Detail(text="digest"),
    LogLine(text="Building"),
)


RESULT = Result(lines=("http://c/\x1b[31mx",), facts={"url": "http://c/"})


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def plain(events: tuple[Event, ...], *, quiet: bool = False, verbose: bool = False) -> str:
    with redirect_stderr(io.StringIO()) as stream:
        display = PlainDisplay(quiet=quiet, verbose=verbose)
        for event in events:
            display.report(event)
        display.close()
    return stream.getvalue()


def test_events_are_lines() -> None:
    text = plain(EVENTS)
    assert text.splitlines() == [
        "-> Uploading", "   12 packages", "warning: unpinned", "  | Building",
    ]  # fmt: skip


def test_a_warning_of_several_pieces_of_content_stands_once() -> None:
    shown = plain((*EVENTS, Warned(text="other"), *EVENTS))
    assert (shown.count("warning: unpinned"), shown.count("warning: other")) == (1, 1)
    assert shown.count("-> Uploading") == 2


def test_verbose_says_more_and_quiet_only_what_goes_wrong() -> None:
    assert "digest" in plain(EVENTS, verbose=True)
    assert plain(EVENTS, quiet=True) == "warning: unpinned\n"


def test_further_lines_stand_below_the_first() -> None:
    assert plain((Warned(text="one\ntwo\n"),)) == "warning: one\n         two\n"


def test_each_line_of_several_pieces_of_content_begins_with_the_name() -> None:
    events = (
        Step(text="Uploading", about="api"),
        Warned(text="one\ntwo", about="site"),
        LogLine(text="Building", about="api"),
    )
    assert plain(events).splitlines() == [
        "api: -> Uploading", "site: warning: one", "site:          two", "api:   | Building",
    ]  # fmt: skip


def test_quiet_shows_the_end_of_the_log_of_what_failed(capsys: pytest.CaptureFixture[str]) -> None:
    error = DeploymentFailedError("It failed.")
    add_facts(error, log=["Building"])
    for quiet in (True, False):
        PlainDisplay(quiet=quiet).error(error)
    assert capsys.readouterr().err == "  | Building\nerror: It failed.\nerror: It failed.\n"


def test_files_and_ci_get_a_line_of_progress_now_and_then() -> None:
    moments = iter((0.0, 14.9, 15.0, 20.0, 30.0, 35.0, 40.0, 100.0, 120.0))
    display = PlainDisplay(now=lambda: next(moments))
    # It breaks off and begins again after the fifth.
    with redirect_stderr(io.StringIO()) as stream:
        for done in (100_000, 1_500_000, 1_600_000, 1_700_000, 3_100_000, 100_000, 4_000_000):
            display.report(Progress(what="Uploading", done=done, total=4_000_000))
        for done in (100_000, 200_000):
            display.report(Progress(what="Packing", done=done, total=None))
    assert stream.getvalue().splitlines() == [
        "   Uploading: 1.6 MB of 4.0 MB (40%), 0:00:24 left, 100.0 kB/s",
        "   Uploading: 3.1 MB of 4.0 MB (78%), 0:00:09 left, 100.0 kB/s",
        "   Packing: 200.0 kB, 5.0 kB/s",
    ]


def test_progress_that_is_over_soon_or_not_wanted_is_not_for_files_and_ci() -> None:
    half, whole = (Progress(what="Uploading", done=done, total=2) for done in (1, 2))
    assert plain((half, whole)) == ""
    assert plain((half, whole), quiet=True) == ""


@given(st.text())
def test_nothing_from_elsewhere_controls_the_terminal(text: str) -> None:
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", clean(text))


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x1b]0;title\x07text", "text"),
        ("\x1b]8;;http://x\x1b\\link", "link"),
        ("50%\r100%", "50%100%"),
        ("tab\tand é", "tab\tand é"),
    ],
)
def test_sequences_are_taken_out_whole(text: str, shown: str) -> None:
    assert clean(text) == shown


def test_an_error_says_what_remains_and_what_to_do() -> None:
    stream = io.StringIO()
    error = LockError("The lock is stale.", hint="Run: uv lock")
    error.add_note("Nothing was changed.")
    with redirect_stderr(stream):
        PlainDisplay().error(error)
    assert stream.getvalue().splitlines() == [
        "error: The lock is stale.", "       Run: uv lock", "       Nothing was changed.",
    ]  # fmt: skip


def test_an_interruption_says_what_remains() -> None:
    stream = io.StringIO()
    interruption = KeyboardInterrupt()
    interruption.add_note("On the server: content x.")
    with redirect_stderr(stream):
        PlainDisplay().interrupted(interruption)
    assert stream.getvalue() == "interrupted: On the server: content x.\n"


def test_results_go_to_stdout(capsys: pytest.CaptureFixture[str]) -> None:
    show_result(RESULT, {}, as_json=False)
    assert capsys.readouterr().out == "http://c/x\n"
    show_result(RESULT, {}, as_json=True)
    assert capsys.readouterr().out == '{\n  "url": "http://c/"\n}\n'


def test_a_failure_is_an_object_too(capsys: pytest.CaptureFixture[str]) -> None:
    show_error_object(LockError("Stale.", hint="uv lock"))
    assert '"exit_code": 2' in capsys.readouterr().out


def terminal(events: tuple[Event, ...], *, quiet: bool = False) -> str:
    stream = io.StringIO()
    console = Console(file=stream, force_terminal=True, width=60, color_system="standard")
    display = TerminalDisplay(console, quiet=quiet)
    for event in events:
        display.report(event)
    display.close()
    return stream.getvalue()


def test_a_terminal_shows_bars_until_the_work_is_done() -> None:
    half, whole = (Progress(what="Uploading", done=done, total=2) for done in (1, 2))
    other = Progress(what="Packing", done=1, total=2)
    text = terminal((half, other, Note(text="a note [b]"), whole))
    assert "Uploading" in text
    assert "1/2 bytes" in text
    assert "a note [b]" in text
    assert terminal((half,), quiet=True) == ""


def test_a_terminal_shows_a_line_for_each_piece_of_content_until_it_has_ended() -> None:
    whole = Progress(what="Uploading", done=2, total=2, about="api")
    steps = (Step(text="Asking", about="api"), Step(text="Packing", about="site"), whole)
    ends = tuple(Ended(text="deployed", about=about) for about in ("api", "site"))
    text = terminal((*steps, Step(text="Visiting", about="api"), *ends, *ends))
    assert "api: -> Asking" in text
    assert "api: Visiting" in text
    assert "site: deployed" in clean(text)
    assert text.endswith("\x1b[?25h" + text.rpartition("\x1b[?25h")[2])  # the cursor is back


@pytest.mark.parametrize(
    ("environ", "kind"),
    [({}, TerminalDisplay), ({"CI": "true"}, PlainDisplay), ({"TERM": "dumb"}, PlainDisplay)],
)
def test_ci_and_dumb_terminals_get_plain_lines(
    environ: dict[str, str], kind: type, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stderr", Terminal())
    assert type(display_for(environ)) is kind
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    assert type(display_for({})) is PlainDisplay


COMPARED = Result(
    lines=(
        "~ Sales (0b9c) on prod",
        "  bundle     103 -> 104     +2 ~1 files",
        "  packages   a 1 -> 2   + b 3   - [red]c[/red]\x1b[0m 4",
        "    - old.py",
        "Plan: 1 to update, 0 to create. Nothing was changed.",
    ),
    marked=True,
)
GREEN, RED, YELLOW, END = "\x1b[32m", "\x1b[31m", "\x1b[33m", "\x1b[0m"


@pytest.mark.parametrize("environ", [{}, {"CI": "1"}, {"TERM": "dumb"}, {"NO_COLOR": "1"}])
def test_a_comparison_has_colours_at_a_terminal(
    environ: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    for name in ("NO_COLOR", "COLORTERM", "CI"):
        monkeypatch.delenv(name, raising=False)
    stream = Terminal()
    monkeypatch.setattr(sys, "stdout", stream)
    show_result(COMPARED, environ, as_json=False)
    plain = "".join(f"{clean(line)}\n" for line in COMPARED.lines)
    assert clean(stream.getvalue()) == clean(plain)
    if environ:
        assert stream.getvalue() == plain
        return
    assert stream.getvalue().splitlines()[:4] == [
        f"{YELLOW}~ Sales (0b9c) on prod{END}",
        f"  bundle     {YELLOW}103 -> 104{END}     +2 ~1 files",
        f"  packages   {YELLOW}a 1 -> 2{END}   {GREEN}+ b 3{END}   {RED}- [red]c[/red] 4{END}",
        f"    {RED}- old.py{END}",
    ]
    stream.truncate(0)
    show_result(RESULT, environ, as_json=False)
    assert END not in stream.getvalue()


def test_a_question_shows_no_control_sequences_of_a_server(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shown = Terminal()
    monkeypatch.setattr(sys, "stdin", Terminal("y\n"))
    monkeypatch.setattr(sys, "stderr", shown)
    ask = surroundings().ask
    assert ask is not None
    assert ask("viewers - eve\x1b[2K\r\nRemove this? ") == "y\n"
    assert shown.getvalue() == "viewers - eve\nRemove this? "


LOG = (Step(text="Deploying"), LogLine(text="Building"), LogLine(text="Launching"))
DONE = Ended(text="Deployed Sales 1.5.0 to prod as bundle 106", seconds=41.2)


def test_a_terminal_shows_of_the_log_only_how_it_goes_on() -> None:
    text = terminal((*LOG, DONE))
    assert "1 | Building" in text  # while it goes on
    assert clean(text).endswith(" 106 in 41 s\n")
    assert "  | " not in clean(text)


def test_a_terminal_shows_the_whole_log_of_a_step_that_fails_once() -> None:
    stream = io.StringIO()
    display = TerminalDisplay(Console(file=stream, force_terminal=True, width=60))
    for event in LOG:
        display.report(event)
    display.close()
    stream.truncate(stream.seek(0))
    error = DeploymentFailedError("It failed.")
    add_facts(error, log=["Launching"])
    display.error(error)
    assert clean(stream.getvalue()) == "  | Building\n  | Launching\nerror: It failed.\n"
    failed = Ended(text="failed: It failed.", about="api", failed=True)
    text = terminal((replace(LOG[1], about="api"), failed))
    assert "api:   | Building\n" in clean(text)
    assert clean(text).endswith("api: failed: It failed.\n")


def test_a_step_that_took_long_says_so() -> None:
    moments = iter((0.0, 4.9, 130.0))
    display = PlainDisplay(now=lambda: next(moments))
    with redirect_stderr(io.StringIO()) as stream:
        for event in (Step(text="Uploading"), Step(text="Deploying"), DONE):
            display.report(event)
    assert stream.getvalue().splitlines() == [
        "-> Uploading",
        "-> Deploying",
        "   took 2 min 5 s",
        "Deployed Sales 1.5.0 to prod as bundle 106 in 41 s",
    ]


def test_github_folds_the_log() -> None:
    with redirect_stderr(io.StringIO()) as stream:
        display = PlainDisplay(on_github=True)
        for event in (*LOG, DONE, replace(LOG[1], about="api"), LOG[2]):
            display.report(event)
        display.close()
    assert stream.getvalue().splitlines() == [
        "-> Deploying",
        "::group::Server log",
        "  | Building",
        "  | Launching",
        "::endgroup::",
        "Deployed Sales 1.5.0 to prod as bundle 106 in 41 s",
        "::group::Server log",
        "api:   | Building",
        "  | Launching",
        "::endgroup::",
    ]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("/home/ada/shop/app.py: line 1", "app.py: line 1"),
        ("'/home/ada/shop/app.py'", "'app.py'"),
        ("in /home/ada/shop", "in ~/shop"),
        ("/home/ada/shopping/a and /home/ada/shop/.env", "~/shopping/a and .env"),
        ("'/home/ada/my keys/a.pem'", "'/home/ada/my keys/a.pem'"),
        ("file:///home/ada/shop/app.py", "file:///home/ada/shop/app.py"),
        ("/srv/home/ada/x and /home/adam/x", "/srv/home/ada/x and /home/adam/x"),
        ("/home/ada is home", "/home/ada is home"),
    ],
)
def test_paths_are_short(text: str, shown: str) -> None:
    assert short_paths(PurePosixPath("/home/ada/shop"), PurePosixPath("/home/ada"))(text) == shown


def test_a_root_shortens_nothing() -> None:
    root = PurePosixPath("/")
    assert short_paths(root, root)("/etc/hosts") == "/etc/hosts"


def test_an_error_names_its_content_if_there_are_several(
    capsys: pytest.CaptureFixture[str],
) -> None:
    error = LockError("The lock is stale.", hint="Run: uv lock")
    add_facts(error, content="shop-stock")
    PlainDisplay().error(error)
    show_error_object(error)
    out, err = capsys.readouterr()
    assert err.splitlines() == [
        "shop-stock: error: The lock is stale.", "shop-stock:        Run: uv lock",
    ]  # fmt: skip
    assert '"content": "shop-stock"' in out


def test_only_a_terminal_shows_short_paths_in_results(monkeypatch: pytest.MonkeyPatch) -> None:
    here = Path.cwd() / "dist"
    result = Result(lines=(str(here),), facts={"path": str(here)})
    for stream, as_json, shown in (
        (Terminal(), False, "dist\n"),
        (io.StringIO(), False, f"{here}\n"),
        (Terminal(), True, str(here)),
    ):
        monkeypatch.setattr(sys, "stdout", stream)
        show_result(result, {"TERM": "dumb"}, as_json=as_json)
        assert shown in stream.getvalue()
        assert (str(here) in stream.getvalue()) is (shown != "dist\n")
