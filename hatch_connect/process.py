"""What all ways to run a command share: this process as surroundings, and carrying one out.

There are few imports, so that signals are handled before anything else is loaded.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from contextlib import ExitStack, contextmanager, suppress
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING

from hatch_connect.errors import (
    INTERRUPTED,
    TERMINATED,
    HatchConnectError,
    Terminated,
    UsageError,
    exit_code_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from hatch_connect.commands.call import Surroundings
    from hatch_connect.commands.result import Result
    from hatch_connect.commands.way import Way
    from hatch_connect.display import PlainDisplay
    from hatch_connect.options import Options
    from hatch_connect.secret import Secret

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_TMPDIR = "TMPDIR"
# seconds; some supervisors send SIGTERM twice: to the process, and to its group
_SAME_SIGTERM = 1.0
_JUST_MADE = 60.0  # seconds in which a folder may exist and not be locked yet
# Holds the process id of `hatch run`; the scripts that the collector adds set it.
RUN_BY = "HATCH_CONNECT_RUN_BY"


_interrupted = 0.0  # when the first interruption came


def perform(command: str, options: Options, *, key_typed: bool = False) -> int:
    """Carry out a command, show what comes of it, and return the exit code.

    `key_typed` tells that the API key was on the command line, which other users can read.
    """
    open_closed_streams()
    with interruptible():
        from hatch_connect.display import display_for, show_error_object

        display = display_for(os.environ, quiet=options.quiet, verbose=options.verbose)
        try:
            return _perform(command, options, display, key_typed=key_typed)
        except KeyboardInterrupt as error:
            display.interrupted(error)
            display.close()
            if options.json:
                _printed(partial(show_error_object, error, one_line=options.follow))
            return exit_code_of(error)


def _perform(command: str, options: Options, display: PlainDisplay, *, key_typed: bool) -> int:
    from hatch_connect.commands import run_command
    from hatch_connect.display import show_error_object
    from hatch_connect.events import Warned

    if key_typed:
        display.report(Warned(text="The API key is on the command line, where others can see it."))
    try:
        with temporary_folder():
            around = surroundings()
            with _identity_for_us_alone():
                result = run_command(command, options, around, display.report)
            return _show(result, options, display)
    except HatchConnectError as error:
        display.close()
        display.error(error)
        if options.json:
            _printed(partial(show_error_object, error, one_line=options.follow))
        return error.exit_code


def _show(result: Result, options: Options, display: PlainDisplay) -> int:
    from hatch_connect.display import show_result

    try:
        display.close()
        show = partial(
            show_result, result, os.environ, as_json=options.json, one_line=options.follow
        )
        return _printed(show) or result.exit_code
    except KeyboardInterrupt as error:
        error.add_note(f"Already done: {' '.join(result.lines)}")
        raise


def _printed(show: Callable[[], None]) -> int:
    """Print something to stdout, and return the exit code."""
    try:
        show()
        sys.stdout.flush()
    except OSError as error:
        return unwritten(error)
    return 0


def _show_now(line: str) -> None:
    """Print a line of a result before the rest of it is known; end if nobody reads it."""
    from hatch_connect.display import show_line

    if code := _printed(partial(show_line, line)):
        sys.exit(code)


def unwritten(error: OSError, stream: str = "stdout") -> int:
    """Show that a stream cannot be written, unless its reader is gone; return the exit code."""
    from hatch_connect.display import PlainDisplay, give_up

    give_up(stream)
    if not isinstance(error, BrokenPipeError):
        message = f"The output cannot be written: {error.strerror}."
        PlainDisplay().error(HatchConnectError(message))
    return HatchConnectError.exit_code


def open_closed_streams() -> None:
    """Give this process the streams that it was started without (`>&-`): Python has None then."""
    for stream in ("stdin", "stdout", "stderr"):
        if getattr(sys, stream) is None:
            from hatch_connect.display import give_up

            give_up(stream)


@contextmanager
def _identity_for_us_alone() -> Iterator[None]:
    """Keep the identity of a CI workflow from build hooks, and from programs that are started."""
    from hatch_connect.programs import IDENTITY_VARIABLES

    kept = {name: os.environ.pop(name) for name in IDENTITY_VARIABLES if name in os.environ}
    try:
        yield
    finally:
        os.environ.update(kept)


@contextmanager
def temporary_folder() -> Iterator[None]:
    """Put all temporary files into one folder, which is removed at the end in any case.

    Libraries, and programs that they start, leave their own folders behind if a signal comes at
    the wrong moment.
    """
    import shutil
    import tempfile

    try:
        usual, named = tempfile.gettempdir(), os.environ.get(_TMPDIR)
    except OSError:  # no usable place: whatever needs a temporary file reports it
        yield
        return
    _remove_left(Path(usual))
    # Named before it is made: a signal in between must not leave it behind.
    folder = Path(usual) / f"hatch-connect-{os.getpid()}-{os.urandom(8).hex()}"
    try:
        folder.mkdir(mode=0o700)
        tempfile.tempdir = os.environ[_TMPDIR] = str(folder)
        with ExitStack() as stack:
            with suppress(OSError, ImportError):
                stack.enter_context(_in_use(folder))
            yield
    finally:
        with _undisturbed():
            tempfile.tempdir = usual
            os.environ.pop(_TMPDIR)
            if named is not None:
                os.environ[_TMPDIR] = named
            shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _in_use(folder: Path) -> Iterator[None]:
    """Lock a folder, as long as this process lives.

    Raises OSError if another one does, or it cannot be done, and ImportError on Windows.
    """
    import fcntl

    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(descriptor)


def _remove_left(place: Path) -> None:
    """Remove the folders of runs that were killed: no process holds a lock on them."""
    if sys.platform == "win32":
        return
    import shutil

    hexadecimal = "[0-9a-f]" * 16
    for folder in place.glob(f"hatch-connect-[0-9]*-{hexadecimal}"):
        with suppress(OSError):
            known = folder.lstat()
            # One that was only just made is not locked yet.
            if known.st_uid == os.geteuid() and time.time() - known.st_mtime > _JUST_MADE:
                with _in_use(folder):
                    shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def interruptible() -> Iterator[None]:
    """Raise an exception at the first Ctrl-C or SIGTERM, and end the process at the second.

    Signals for which another handler is set already keep it.
    """
    usual = (signal.default_int_handler, signal.SIG_DFL)
    ours = threading.current_thread() is threading.main_thread()
    known = {number: signal.getsignal(number) for number in _SIGNALS if ours}
    taken = {number: handler for number, handler in known.items() if handler in usual}
    try:
        for number in taken:
            signal.signal(number, _first_interruption)
        if taken:
            _end_with_parent()
        yield
    finally:
        for number, handler in taken.items():
            signal.signal(number, handler)


def _first_interruption(number: int, _frame: object) -> None:
    global _interrupted  # noqa: PLW0603 - a process has one set of signal handlers
    _interrupted = time.monotonic()
    for each in _SIGNALS:
        if signal.getsignal(each) is _first_interruption:
            signal.signal(each, _second_interruption)
    raise Terminated if number == signal.SIGTERM else KeyboardInterrupt


def _second_interruption(number: int, _frame: object) -> None:
    if number == signal.SIGINT:
        os._exit(INTERRUPTED)
    if time.monotonic() - _interrupted > _SAME_SIGTERM:
        os._exit(TERMINATED)


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Postpone a first interruption until the block is done."""
    late: list[int] = []
    ours = [number for number in _SIGNALS if signal.getsignal(number) is _first_interruption]
    try:
        for number in ours:
            signal.signal(number, lambda number, _frame: late.append(number))
        yield
    finally:
        for number in ours:
            signal.signal(number, _first_interruption)
        for first in late[:1]:
            _first_interruption(first, None)


def _end_with_parent() -> None:
    """Send ourselves SIGTERM when `hatch run` ends: Hatch does not pass on the signal it got."""
    hatch, shell = os.environ.get(RUN_BY), os.getppid()
    if hatch not in {str(shell), _parent_of(shell)}:
        return

    def watch() -> None:
        while os.getppid() == shell and hatch in {str(shell), _parent_of(shell) or hatch}:
            time.sleep(0.5)
        if signal.getsignal(signal.SIGTERM) is _first_interruption:
            os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, daemon=True).start()


def _parent_of(process: int) -> str | None:
    """Return the number of a process's parent, None if the system has no such file."""
    try:
        status = Path(f"/proc/{process}/stat").read_text("utf-8", "replace")
    except OSError:
        return None
    return status.rpartition(")")[2].split()[1]


def surroundings() -> Surroundings:
    """Return the environment, working directory, clock and terminal of this process."""
    from datetime import UTC, datetime

    from hatch_connect.commands.call import Surroundings

    try:
        directory = Path.cwd()
    except OSError as error:
        message = f"The working directory cannot be read: {error.strerror}."
        raise UsageError(
            message, hint="It may have been removed: change to another one."
        ) from error
    person = sys.stdin.isatty() and sys.stderr.isatty()
    return Surroundings(
        environ=dict(os.environ),
        directory=directory,
        interpreter=Path(sys.executable),
        now=time.monotonic,
        today=partial(datetime.now, UTC),
        sleep=time.sleep,
        ask=_ask if person else None,
        ask_secret=_ask_secret if person else None,
        wait_for_person=_wait_for_person if person else None,
        open_page=_open_page if _has_browser() else None,
        show=_show_now,
        spelled=_spelled,
    )


def _spelled(text: str) -> str:
    return _way().spelled(text) if "hatch-connect" in text else text


@cache
def _way() -> Way:
    """Return how this process was run, which the installed package and PATH are asked for."""
    from hatch_connect.commands.way import way_of
    from hatch_connect.programs import own_url

    hatch = bool(os.environ.get(RUN_BY))
    # Windows has no shell that could set that for the scripts.
    if sys.platform == "win32" and "HATCH_ENV_ACTIVE" in os.environ:
        hatch = sys.argv[0].endswith("__main__.py")
    return way_of(sys.argv, os.environ, Path(sys.executable), by_hatch=hatch, url=own_url())


def _has_browser() -> bool:
    """Return whether a browser that is opened here can be seen by whoever called."""
    if os.environ.get("BROWSER"):
        return True
    if any(os.environ.get(name) for name in ("SSH_CONNECTION", "SSH_TTY", "CI")):
        return False
    displays = ("DISPLAY", "WAYLAND_DISPLAY")
    return sys.platform in {"win32", "darwin"} or any(map(os.environ.get, displays))


def _open_page(url: str) -> bool:
    import webbrowser

    try:
        browser = webbrowser.get()
        # Lynx and its like, which would take this terminal, are of this very class.
        if type(browser) is webbrowser.GenericBrowser and not os.environ.get("BROWSER"):
            return False
        return browser.open(url)
    except webbrowser.Error:
        return False


def _ask(question: str) -> str:
    from hatch_connect.display import clean, short_paths_here

    # It may hold what a server calls things.
    print(short_paths_here()(clean(question)), end="", file=sys.stderr, flush=True)  # noqa: T201 - the outermost layer may print
    return sys.stdin.readline()


def _ask_secret(question: str) -> Secret:
    from getpass import getpass

    from hatch_connect.secret import Secret

    try:
        return Secret(getpass(question, stream=sys.stderr))
    except EOFError:  # Ctrl-D
        return Secret("")


def _wait_for_person() -> None:
    try:
        while True:
            time.sleep(3600)
    except KeyboardInterrupt:
        # This Ctrl-C only ended the wait: the next one is a first interruption again.
        for number in _SIGNALS:
            if signal.getsignal(number) is _second_interruption:
                signal.signal(number, _first_interruption)
