"""Retries: which requests are sent again, after how long, and what must not be done twice.

If the answer to a request that must not be repeated is lost, the server is asked for its result.
"""

from __future__ import annotations

import contextlib
import time
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Self, TypeVar

from urllib3.exceptions import HTTPError, ProtocolError, ReadTimeoutError
from urllib3.util import Retry

from hatch_connect.connect.codes import Code
from hatch_connect.connect.errors import is_gateways
from hatch_connect.connect.json_reader import refusal_in
from hatch_connect.errors import (
    AnswerError,
    LostAnswerError,
    RefusedError,
    ServerError,
    TimedOutError,
    UnreachableError,
)
from hatch_connect.events import Detail, Note

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import TracebackType

    from requests import Response
    from urllib3 import BaseHTTPResponse
    from urllib3.connectionpool import ConnectionPool

    from hatch_connect.events import Report

ATTEMPTS = 6
REPEATABLE = {"GET", "PATCH", "PUT"}  # may be carried out twice with the same result
_LONGEST_RETRY_AFTER = 60.0  # seconds; if a server asks for more, the error names it instead

T = TypeVar("T")

_CONFLICT, _TOO_MANY_REQUESTS = 409, 429


def is_throttled(status: int, _body: bytes = b"") -> bool:
    """Return whether a request was turned away unread."""
    return status == _TOO_MANY_REQUESTS


def sent_whole(
    method: str,
    send: Callable[[], Response],
    read: Callable[[Response], bytes],
    pauses: Backoff,
    untaken: Callable[[int, bytes], bool] = is_throttled,
) -> tuple[Response, bytes]:
    """Send a request, again while that may help, and return its answer with the whole body.

    `untaken` is whether an answer says that nothing was done with the request. Raises what `send`
    raises, and what `read` does: UnreachableError if the body does not come to its end.
    """
    while True:
        response = send()
        try:
            body = read(response)
        except UnreachableError as error:
            # A body that came too slowly for the whole time-out would do so again.
            again = method in REPEATABLE and not isinstance(error, TimedOutError)
            if not (again and pauses.another()):
                raise
        else:
            status = response.status_code
            again = method in REPEATABLE and is_gateways(status, refusal_in(body)[0])
            again = again or untaken(status, body)
            if not (again and pauses.another(seconds_asked(response.headers))):
                return response, body


def is_uncertain(error: ServerError) -> bool:
    """Return whether a request that failed so may have been carried out all the same."""
    if isinstance(error, RefusedError):
        return is_gateways(error.status, error.code)
    return isinstance(error, AnswerError | LostAnswerError)


def is_untaken(error: ServerError) -> bool:
    """Return whether a refusal says that nothing was done with the request."""
    return isinstance(error, RefusedError) and error.untaken


def settle(
    act: Callable[[], T],
    look: Callable[[], T | None],
    pauses: Backoff,
    report: Report,
    *,
    name_may_be_ours: bool = False,
    again: Callable[[ServerError], bool] = is_uncertain,
) -> T:
    """Send a request until there is one result, never two, and return it.

    `act` sends it; `look` returns the result of an attempt whose answer was lost, or None. With
    `name_may_be_ours`, "that name is taken" after such an attempt means that it has succeeded.
    `again` is whether it may be sent again after a failure, if `look` returns None.

    Raises:
        ServerError: a clear refusal, or the last failure when the attempts are used up.

    """
    lost = False
    while True:
        try:
            return act()
        except ServerError as error:
            late = lost and name_may_be_ours and _is_taken(error)
            if not late and not again(error):
                raise
            lost = True
            found = look()
            if found is not None:
                report(Detail(text=f"The request had arrived: {error.message}"))
                return found
            asked = error.retry_after if isinstance(error, RefusedError) else None
            if late or not pauses.another(asked):
                raise
            report(Note(text=f"Trying again: {error.message}"))


class RetryPolicy(Retry):
    """Which requests are sent again if no answer came, and after how long.

    These are reads, idempotent changes, and requests that never reached the server. After a
    time-out there is only one more attempt. Answers are not judged here, because only their body
    tells whether they are final.
    """

    @classmethod
    def usual(cls) -> Self:
        """Return the policy of every request: about fifteen seconds in all."""
        return cls(
            total=5,
            connect=3,
            other=0,
            allowed_methods=REPEATABLE,
            backoff_factor=0.5,
            backoff_jitter=0.25,
            backoff_max=10,
            respect_retry_after_header=False,
        )

    def increment(
        self,
        method: str | None = None,
        url: str | None = None,
        response: BaseHTTPResponse | None = None,
        error: Exception | None = None,
        _pool: ConnectionPool | None = None,
        _stacktrace: TracebackType | None = None,
    ) -> Self:
        """Return the policy for the attempts that are left; raise if there are none."""
        if isinstance(error, ReadTimeoutError) and any(
            isinstance(past.error, ReadTimeoutError) for past in self.history
        ):
            raise error
        return super().increment(method, url, response, error, _pool, _stacktrace)


class Backoff:
    """The waits between the attempts at something, by the same policy.

    `report_wait` is called with the seconds that the server asks to wait, before they are waited.
    """

    def __init__(
        self, retry_policy: RetryPolicy, attempts: int, report_wait: Callable[[float], None]
    ) -> None:
        self._left: Retry = retry_policy.new(total=attempts - 1, read=None)
        self._report_wait = report_wait

    def another(self, asked: float | None = None) -> bool:
        """Wait, as long as the server `asked` if it did, and return whether to try again."""
        try:
            self._left = self._left.increment("GET", error=ProtocolError())
        except HTTPError:
            return False
        if asked and asked > _LONGEST_RETRY_AFTER:
            return False
        if asked:
            self._report_wait(asked)
            time.sleep(asked)
        else:
            self._left.sleep()
        return True


def seconds_asked(headers: Mapping[str, str]) -> float | None:
    """Return the seconds of `Retry-After` (RFC 9110, section 10.2.3); None if it is neither form.

    A date is compared with the answer's own `Date`, because the server's clock and ours may differ
    by hours.
    """
    value = headers.get("Retry-After", "").strip()
    with contextlib.suppress(ValueError, OverflowError):
        if value.isdecimal():
            return float(value)
        until = _date(value)
        now = _date(headers["Date"]) if "Date" in headers else datetime.now(UTC)
        return max(0.0, (until - now).total_seconds())
    return None


def _date(text: str) -> datetime:
    date = parsedate_to_datetime(text)
    return date if date.tzinfo else date.replace(tzinfo=UTC)


def _is_taken(error: ServerError) -> bool:
    return isinstance(error, RefusedError) and (
        error.code == Code.DUPLICATE_NAME or error.status == _CONFLICT
    )
