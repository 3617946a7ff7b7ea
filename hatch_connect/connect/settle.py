"""What must not be done twice: done, and when the answer is lost, looked for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

from hatch_connect.errors import AnswerError, RefusedError, ServerError
from hatch_connect.events import Detail

from .codes import Code
from .failures import LostAnswerError, is_gateways

if TYPE_CHECKING:
    from collections.abc import Callable

    from hatch_connect.events import Report

    from .transport import Pauses

T = TypeVar("T")

_CONFLICT = 409


@dataclass(frozen=True, slots=True, kw_only=True)
class Settling(Generic[T]):
    """`act` sends the request; `look` finds what an attempt without an answer left, or None.

    `name_may_be_ours`: after an attempt without an answer, "that name is taken" means that it was
    carried out late.
    """

    act: Callable[[], T]
    look: Callable[[], T | None]
    name_may_be_ours: bool = False

    def settle(self, pauses: Pauses, report: Report) -> T:
        """Return what there is in the end: never two of it.

        Raises:
            ServerError: a clear refusal, or the last failure when the attempts are used up.

        """
        lost = False
        while True:
            try:
                return self.act()
            except ServerError as error:
                late = lost and self.name_may_be_ours and _is_taken(error)
                if not late and not is_uncertain(error):
                    raise
                lost = True
                found = self.look()
                if found is not None:
                    report(Detail(text=f"It had arrived all the same: {error.message}"))
                    return found
                asked = error.retry_after if isinstance(error, RefusedError) else None
                if late or not pauses.another(asked):
                    raise


def _is_taken(error: ServerError) -> bool:
    return isinstance(error, RefusedError) and (
        error.code == Code.DUPLICATE_NAME or error.status == _CONFLICT
    )


def is_uncertain(error: ServerError) -> bool:
    """Tell whether a request that failed so may have been carried out all the same."""
    if isinstance(error, RefusedError):
        return is_gateways(error.status, error.code)
    return isinstance(error, AnswerError | LostAnswerError)
