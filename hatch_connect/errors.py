"""Every exception of this package, and the exit code that each one means.

    HatchConnectError
    ├── ProjectError                2  the project or the call is wrong
    │   ├── ConfigurationError         pyproject.toml, all problems at once
    │   ├── UsageError                 the call: options that contradict each other, unknown names
    │   │   ├── NoProjectError            there is no project where it looks for one
    │   │   └── NoServerError             nothing names a server
    │   ├── LockError                  the lock: missing, stale, not for the target
    │   ├── PythonVersionError         which Python to ask for
    │   ├── InterpreterError           an interpreter that cannot be inspected
    │   ├── BuildError                 the project's own build fails, or cannot be run
    │   ├── BundleError                a bundle, a manifest, or a file that cannot go into one
    │   └── StoreError                 servers.json or a deployment record
    │       └── BrokenStoreError       ... that can be read and not understood
    ├── ServerError                 3  the server cannot be reached or refused
    │   ├── UnreachableError           no answer: name, connection, TLS
    │   │   └── LostAnswerError        ... to a request that was sent: was it carried out?
    │   │       └── TimedOutError      ... because the whole answer did not come in time
    │   ├── AnswerError                an answer that is not Connect's
    │   ├── RefusedError               Connect said no; carries status and Connect's code
    │   │   └── NotFoundError          ... because there is no such thing
    │   └── ContentError               the content cannot take this deployment
    ├── DeploymentFailedError       4  the deployment task failed
    └── NotAnsweringError           5  the content was deployed and does not answer

What differs from what is wanted (`plan --check`) is a result, with exit code 6, and no error. An
interruption (`KeyboardInterrupt`) ends with 130, SIGTERM (`Terminated`) with 143. Messages are
complete sentences for a person: what is wrong and where; `hint` says what to do next. No message
ever holds a secret.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from collections.abc import Sequence

DIFFERENT = 6
INTERRUPTED = 130
TERMINATED = 143


class Terminated(KeyboardInterrupt):
    """The process was asked to end by SIGTERM: the same as Ctrl-C, but for the exit code."""


def add_facts(error: BaseException, **facts: object) -> None:
    """Note with an exception what programs want to know of it: `--json` shows it."""
    error.__dict__.setdefault("facts", {}).update(facts)


def facts_of(error: BaseException) -> dict[str, object]:
    """Return what was noted with an exception."""
    return dict(getattr(error, "facts", {}))


def shortened(names: Sequence[str], most: int) -> str:
    """Return the first `most` names, and how many more there are."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def counted(number: int, noun: str) -> str:
    """Return a number with its noun: "1 file", "5 files"."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def itemized(lines: Sequence[str], most: int = 10) -> str:
    """Return the first `most` lines below each other, and how many more there are."""
    more = [f"and {len(lines) - most} more"] if len(lines) > most else []
    return "\n".join(f"  - {line}" for line in (*lines[:most], *more))


def exit_code_of(error: KeyboardInterrupt) -> int:
    """Return 143 after SIGTERM, and 130 after any other interruption."""
    return TERMINATED if isinstance(error, Terminated) else INTERRUPTED


class HatchConnectError(Exception):
    """The root: whatever goes wrong for a reason that is not a bug of ours."""

    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}\n{self.hint}" if self.hint else self.message


class ProjectError(HatchConnectError):
    """The project or the call is wrong."""

    exit_code = 2


class ConfigurationError(ProjectError):
    """The configuration is wrong.

    `problems` holds one sentence each, with the full TOML key, such as
    "`tool.hatch-connect.title` must be a string, not an integer.".
    """

    def __init__(self, problems: tuple[str, ...], *, where: str, hint: str | None = None) -> None:
        super().__init__("\n".join((f"{where}:", *(f"  - {p}" for p in problems))), hint=hint)
        self.problems = problems


class UsageError(ProjectError):
    """The call is wrong."""


class NoProjectError(UsageError):
    """There is no project."""


class NoServerError(UsageError):
    """Nothing names a server."""


class LockError(ProjectError):
    """The locked dependencies cannot be used."""


class PythonVersionError(ProjectError):
    """No Python version can be asked for, or not that one."""


class InterpreterError(ProjectError):
    """An interpreter cannot be inspected."""


class BuildError(ProjectError):
    """The project's own build fails or cannot be run."""


class BundleError(ProjectError):
    """A bundle or a manifest cannot be made or used."""


class StoreError(ProjectError):
    """A file in which servers or deployments are remembered cannot be used."""


class BrokenStoreError(StoreError):
    """The file can be read, but not understood."""


class ServerError(HatchConnectError):
    """The server cannot be reached or refused."""

    exit_code = 3


class UnreachableError(ServerError):
    """No answer came; `because_of` is "tls" or "proxy" if that is to blame."""

    because_of = ""


class LostAnswerError(UnreachableError):
    """The request was sent, at least in part: it may or may not have been carried out."""


class TimedOutError(LostAnswerError):
    """The whole answer did not come in time."""


class AnswerError(ServerError):
    """An answer came that is not one of Connect's."""


class RefusedError(ServerError):
    """Connect refused a request.

    `status` is the HTTP status; `code` is Connect's own error code, or None if the answer had
    none (a proxy's, for instance); `retry_after` are the seconds that it asks to wait, and
    `untaken` is whether it says that it has done nothing with the request.
    """

    retry_after: float | None = None
    untaken: bool = False

    def __init__(
        self, message: str, *, status: int, code: int | None = None, hint: str | None = None
    ) -> None:
        super().__init__(message, hint=hint)
        self.status = status
        self.code = code


class NotFoundError(RefusedError):
    """There is no such thing on the server, or this key may not see it."""


class ContentError(ServerError):
    """The content cannot take this deployment."""


class DeploymentFailedError(HatchConnectError):
    """The deployment task failed."""

    exit_code = 4


class NotAnsweringError(HatchConnectError):
    """The content was deployed and does not answer."""

    exit_code = 5
