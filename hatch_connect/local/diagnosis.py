"""Why a job ended: what can be said of it for sure, from how it ended and what it wrote."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hatch_connect.local.state import StoredJob

_HELP = "https://docs.posit.co/connect/user/troubleshooting/"
_INSTALLATION = "python-package-install-failed"
_MODULE = re.compile(r"No module named '?([\w.]+)'?$", re.MULTILINE)
_PORT_TAKEN = "address already in use"
_KILLED = 9


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    """Connect's code for what went wrong if it is known to have one, else ours, and a sentence."""

    code: str
    summary: str
    help_url: str = _HELP


def diagnosis(job: StoredJob, lines: Sequence[str]) -> Diagnosis | None:
    """Return why a job failed; None if it did not, or nothing is known of it."""
    if job.ended is None or not job.error:
        return None
    if job.tag == "python_restore":
        url = f"{_HELP}#{_INSTALLATION}"
        return Diagnosis(code=_INSTALLATION, summary=job.error, help_url=url)
    return _by_lines("\n".join(lines)) or _by_end(job)


def _by_lines(text: str) -> Diagnosis | None:
    if found := _MODULE.search(text):
        name = found[1].partition(".")[0]
        summary = f"The module {name!r} is not installed: add its package to the requirements."
        return Diagnosis(code="python-module-not-found", summary=summary)
    if _PORT_TAKEN in text.lower():
        summary = "A port that it wants to listen on is taken: it must use the one it is given."
        return Diagnosis(code="port-in-use", summary=summary)
    if "MemoryError" in text:
        return Diagnosis(code="out-of-memory", summary="It ran out of memory.")
    return None


def _by_end(job: StoredJob) -> Diagnosis | None:
    if "(init_timeout)" in job.error:
        return Diagnosis(code="init-timeout", summary=job.error)
    if (signal := -(job.exit_code or 0)) > 0:
        more = ", as the system does if memory runs out" if signal == _KILLED else ""
        summary = f"It was ended by the signal {signal}{more}."
        return Diagnosis(code="ended-by-signal", summary=summary)
    return None
