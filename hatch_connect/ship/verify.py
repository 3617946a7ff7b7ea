"""Sees whether content answers, as its `Verification` says."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from hatch_connect.errors import (
    DeploymentFailedError,
    LostAnswerError,
    NotAnsweringError,
    add_facts,
)
from hatch_connect.events import LogLine, Note, Warned
from hatch_connect.ship.follow import STICKY
from hatch_connect.ship.logs import failure_of, where_logs_are

if TYPE_CHECKING:
    from hatch_connect.connect.client import ConnectClient
    from hatch_connect.connect.resources import Content, Visit
    from hatch_connect.connect.servers import Server
    from hatch_connect.events import Report
    from hatch_connect.ship.follow import TaskPolling
    from hatch_connect.ship.plan import Verify

_BROKEN = 500
_NOT_FOUND = 404
_REFUSED = {401, 403, _NOT_FOUND}
_REDIRECTS = {301, 302, 303, 307, 308}
_VISITS = 15  # of a draft whose task is lost
# Paths of sign-in pages: Connect's own pages for people, and usual names of those of proxies.
_LOGIN = re.compile(
    r"^/(__|connect(/|#|$))|(^|[/_.-])(log_?-?in|sign_?-?in|sso|saml2?|oauth2?|oidc|cas"
    r"|auth(ori[sz]e|entica(te|tion))?)([/_.#-]|$)",
    re.IGNORECASE,
)
_LEAVE_OUT = "Use `--no-verify` to skip the visit."
_NO_DRAFT_URL = (
    "it answered 404. This server hides its version: before Connect 2025.07 drafts cannot be"
    " visited, which may be the reason. If so, set CONNECT_SERVER_VERSION=2025.06; if the"
    " content has nothing at that path, set `verify-path` to a path that it has."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Visited:
    """What is visited: a bundle of the content, as its `draft` or as the active one.

    `lost` tells that the draft's task is lost, so that it may not be there yet.
    """

    content: Content
    bundle_id: str
    draft: bool = False
    lost: bool = False

    def at(self, path: str) -> str:
        """Name it in a message."""
        return f"{'The draft' if self.draft else 'The content'} at /{path.lstrip('/')}"


def verify(
    client: ConnectClient, what: Visited, step: Verify, report: Report, polling: TaskPolling
) -> Visit:
    """Visit all paths, and report what they answered; return the last visit, or one in doubt.

    Connect answers 5xx if the content did not start. A 4xx counts as alive unless the project says
    otherwise: many APIs have nothing at `/`, or a sign-in of their own. A visit that did not reach
    the content is a warning, and its `doubt` says so. Raises NotAnsweringError, also if no answer
    comes, and DeploymentFailedError if the task of a draft is lost and a visit does not show that
    it is there.
    """
    how, look = step.how, _Look(client, what, step, report, polling)
    for left in polling.looks(2 if step.final and how.again else 1, how.pause):
        visits = [look.at(path) for path in how.paths]
        doubtful = next((visit for visit in visits if visit.doubt), None)
        if doubtful:
            return doubtful
        if left:
            report(Note(text=f"Visiting it once more in {how.pause:g} s"))
    return visits[-1]


@dataclass(frozen=True, slots=True)
class _Look:
    """How one path is looked at, with as many visits as that may take."""

    client: ConnectClient
    what: Visited
    step: Verify
    report: Report
    polling: TaskPolling

    def at(self, path: str) -> Visit:
        """Return what it answered. Raises as `verify`."""
        how, what = self.step.how, self.what
        for left in self.polling.looks(1 + how.retries, how.pause):
            visit, wrong = self._answer(path)
            if visit and not wrong:
                return self._judged(visit, path)
            if left:
                text = f"{what.at(path)} {wrong.rstrip('.')}. Visiting it again in {how.pause:g} s"
                self.report(Note(text=text))
        failure = failure_of(self.client, what.content, what.bundle_id, draft=what.draft)
        for line in failure.lines:
            self.report(LogLine(text=line))
        error = NotAnsweringError(f"{what.at(path)} {wrong}", hint=failure.hint())
        add_facts(error, **failure.facts())
        raise error

    @property
    def _logs(self) -> str:
        what = self.what
        return where_logs_are(self.client, what.content, what.bundle_id, draft=what.draft)

    def _answer(self, path: str) -> tuple[Visit | None, str]:
        """Return a visit, and what is wrong with it; None if no answer came."""
        try:
            visit = self._visit(path)
        except LostAnswerError as error:
            return None, f"does not answer: {error.message}"
        return visit, self._wrong(visit)

    def _visit(self, path: str) -> Visit:
        """Visit it; a draft that may not be there yet, for a while."""
        what, polling = self.what, self.polling
        for left in polling.looks(polling.times(_VISITS) if what.lost else 1):
            visit = self.client.visit(
                what.content.guid,
                bundle_id=what.bundle_id if what.draft else None,
                path=path,
                timeout=self.step.how.timeout,
            )
            if not left or not (visit.status >= _BROKEN or self._is_unclear(visit)):
                break
        return visit

    def _wrong(self, visit: Visit) -> str:
        """Return what is wrong with an answer; "" if nothing is, or if it is not the content's."""
        how, status = self.step.how, visit.status
        said = f": {visit.text}" if visit.text else ""
        if status >= _BROKEN and status not in how.status:
            return f"answered {status}{said}"
        if self._is_unclear(visit):
            return ""
        if how.status and status not in how.status:
            return f"answered {status}, not {' or '.join(map(str, how.status))}{said}"
        if how.text and how.text not in visit.body.decode("utf-8", "replace"):
            return f"answered {status} without {how.text!r}{said}"
        return ""

    def _judged(self, visit: Visit, path: str) -> Visit:
        """Report an answer that is not wrong, with why it may not be the content's."""
        where, doubt = self.what.at(path), self._doubt(visit)
        said = f"{where} answered {visit.status}{f': {visit.text}' if visit.text else ''}"
        if self.what.lost and self._is_unclear(visit):
            raise lost_draft(said, f"Logs: {self._logs}")
        if not doubt:
            self.report(Note(text=said))
            return visit
        self.report(Warned(text=f"{where} was not verified: {doubt}"))
        return replace(visit, doubt=doubt)

    def _is_unclear(self, visit: Visit) -> bool:
        """Return whether an answer does not show that the content is there."""
        return bool(self._doubt(visit)) or (self.what.lost and visit.status == _NOT_FOUND)

    def _doubt(self, visit: Visit) -> str:
        doubt = _doubt(visit, self.client.server, self.what.content)
        if self.what.draft and not self.step.sure and visit.status == _NOT_FOUND:
            return doubt or _NO_DRAFT_URL
        return doubt


def lost_draft(seen: str, log: str) -> DeploymentFailedError:
    """Return the error for a draft that may or may not have been deployed."""
    return DeploymentFailedError(
        f"The server does not know the task of the draft. {seen}: it is not clear whether it was"
        " deployed, so it was not activated.",
        hint=f"{STICKY}\nIf the content has nothing at that path, set `verify-path` to a path"
        f" that it has. {log}",
    )


def _doubt(visit: Visit, server: Server, content: Content) -> str:
    """Return why something other than the content seems to have answered; "" if nothing does."""
    own, end = urlsplit(server.url), urlsplit(visit.url)
    if end.hostname != own.hostname:
        return f"the visit was redirected to {end.hostname}, perhaps to sign in. {_LEAVE_OUT}"
    path = end.path.removeprefix(own.path)
    if not path.startswith(f"/content/{content.guid}") and _LOGIN.search(f"{path}#{end.fragment}"):
        return f"the visit ended at {path}, which is not part of the content. {_LEAVE_OUT}"
    if visit.code is not None and visit.status in _REFUSED:
        why = f"Connect itself answered {visit.status} (code {visit.code}): {visit.text}"
        return (
            f"{why}\nThe API key may not be allowed to visit it, or the content does not"
            f" exist. {_LEAVE_OUT}"
        )
    if visit.status in _REDIRECTS:
        to = f"{end.scheme}://{end.netloc.rpartition('@')[2]}{end.path}"
        return f"the visit was redirected to {to}, in a loop or away from https. {_LEAVE_OUT}"
    return ""
