"""Keeps what is secret out of what a server says."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from hatch_connect.errors import HatchConnectError
from hatch_connect.events import Progress
from hatch_connect.secret import Secret, hiding

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from hatch_connect.events import Event, Report


@contextmanager
def masking(secrets: Iterable[Secret | None], report: Report) -> Iterator[Report]:
    """Give a report that hides these values; exceptions that leave the block hide them too."""
    hide = hiding(secret for secret in secrets if secret)

    def report_masked(event: Event) -> None:
        if not isinstance(event, Progress):
            event = replace(event, text=hide(event.text))
        report(event)

    try:
        yield report_masked
    except HatchConnectError as error:
        error.message = hide(error.message)
        error.hint = hide(error.hint) if error.hint else None
        error.args = (error.message,)
        error.__notes__ = [hide(note) for note in getattr(error, "__notes__", ())]
        raise
