"""Keeps what is secret out of what a server says."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from hatch_connect.errors import HatchConnectError, add_facts, facts_of
from hatch_connect.events import Progress
from hatch_connect.secret import Secret, hiding

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

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
    except BaseException as error:
        _mask(error, hide)
        raise


def _mask(error: BaseException, hide: Callable[[str], str]) -> None:
    """Hide the values in an exception, in what is noted of it, and in those that led to it."""
    seen: set[int] = set()
    one: BaseException | None = error
    while one is not None and id(one) not in seen:
        seen.add(id(one))
        if notes := getattr(one, "__notes__", None):
            one.__notes__ = [hide(note) for note in notes]
        log = facts_of(one).get("log")
        if isinstance(log, list):
            add_facts(one, log=[hide(line) for line in log])
        if isinstance(one, HatchConnectError):
            one.message = hide(one.message)
            one.hint = hide(one.hint) if one.hint else None
            one.args = (one.message,)
        one = one.__cause__ or one.__context__
