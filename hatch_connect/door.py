"""What all doors share: this process as surroundings, and one way to carry out a verb."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from hatch_connect.display import display_for, show_error_object, show_result
from hatch_connect.errors import INTERRUPTED, HatchConnectError
from hatch_connect.events import Warned
from hatch_connect.verbs import run_verb
from hatch_connect.verbs.surroundings import Surroundings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hatch_connect.display import PlainDisplay
    from hatch_connect.options import Options
    from hatch_connect.secret import Secret

DONE = 0


def perform(verb: str, options: Options, *, key_typed: bool = False) -> int:
    """Carry out a verb, show what comes of it, and return the exit code.

    `key_typed` says that the API key was on a command line, where others on this machine see it.
    """
    display = display_for(os.environ, quiet=options.quiet, verbose=options.verbose)
    with interruptible():
        try:
            return _perform(verb, options, display, key_typed=key_typed)
        except KeyboardInterrupt as error:
            display.interrupted(error)
            display.close()
            if options.json:
                show_error_object(error)
            return INTERRUPTED


def _perform(verb: str, options: Options, display: PlainDisplay, *, key_typed: bool) -> int:
    if key_typed:
        display.report(Warned(text="The API key is on the command line, where others can see it."))
    try:
        result = run_verb(verb, options, surroundings(), display.report)
        display.close()
        show_result(result, as_json=options.json)
    except HatchConnectError as error:
        display.close()
        display.error(error)
        if options.json:
            show_error_object(error)
        return error.exit_code
    return DONE


@contextmanager
def interruptible() -> Iterator[None]:
    """Make the first Ctrl-C an exception, and the second one the end, whatever is tidied up.

    Only where nobody else decides what Ctrl-C does.
    """
    ours = threading.current_thread() is threading.main_thread()
    if not ours or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield
        return
    signal.signal(signal.SIGINT, _first_interruption)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _first_interruption(_number: int, _frame: object) -> None:
    signal.signal(signal.SIGINT, _second_interruption)
    raise KeyboardInterrupt


def _second_interruption(_number: int, _frame: object) -> None:
    os._exit(INTERRUPTED)


def surroundings() -> Surroundings:
    """Return this process, as the verbs see it."""
    person = sys.stdin.isatty() and sys.stderr.isatty()
    return Surroundings(
        environ=dict(os.environ),
        directory=Path.cwd(),
        interpreter=Path(sys.executable),
        now=time.monotonic,
        sleep=time.sleep,
        ask=_ask if person else None,
        ask_secret=_ask_secret if person else None,
        wait_for_person=_wait_for_person if person else None,
    )


def _ask(question: str) -> str:
    print(question, end="", file=sys.stderr, flush=True)  # noqa: T201 - a door may print
    return sys.stdin.readline()


def _ask_secret(question: str) -> Secret:
    from getpass import getpass

    from hatch_connect.secret import Secret

    return Secret(getpass(question, stream=sys.stderr))


def _wait_for_person() -> None:
    try:
        while True:
            time.sleep(3600)
    except KeyboardInterrupt:
        # That was the end of the wait; what follows may be interrupted in its turn.
        if signal.getsignal(signal.SIGINT) is _second_interruption:
            signal.signal(signal.SIGINT, _first_interruption)
