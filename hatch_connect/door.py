"""What all doors share: this process as surroundings, and one way to carry out a verb."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from hatch_connect.display import display_for, show_error_object, show_result
from hatch_connect.errors import INTERRUPTED, HatchConnectError
from hatch_connect.events import Warned
from hatch_connect.verbs import run_verb
from hatch_connect.verbs.surroundings import Surroundings

if TYPE_CHECKING:
    from hatch_connect.options import Options
    from hatch_connect.secret import Secret

DONE = 0


def perform(verb: str, options: Options, *, key_typed: bool = False) -> int:
    """Carry out a verb, show what comes of it, and return the exit code.

    `key_typed` says that the API key was on a command line, where others on this machine see it.
    """
    display = display_for(os.environ, quiet=options.quiet, verbose=options.verbose)
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
    except KeyboardInterrupt as error:
        display.close()
        display.interrupted(error)
        if options.json:
            show_error_object(error)
        return INTERRUPTED
    return DONE


def surroundings() -> Surroundings:
    """Return this process, as the verbs see it."""
    person = sys.stdin.isatty() and sys.stderr.isatty()
    return Surroundings(
        environ=dict(os.environ),
        directory=Path.cwd(),
        interpreter=Path(sys.executable),
        now=time.monotonic,
        sleep=time.sleep,
        ask_secret=_ask_secret if person else None,
        wait_for_person=_wait_for_person if person else None,
    )


def _ask_secret(question: str) -> Secret:
    from getpass import getpass

    from hatch_connect.secret import Secret

    return Secret(getpass(question, stream=sys.stderr))


def _wait_for_person() -> None:
    try:
        while True:
            time.sleep(3600)
    except KeyboardInterrupt:
        return
