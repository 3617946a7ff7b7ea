"""Logins: the tokens that stand for a person, and where they are kept.

An entry of `servers.json` with `oauth_client_id` is a login. Its tokens are in the entry or in the
system's keyring, where and as the official client keeps them: both programs use the same login.
"""

from __future__ import annotations

import contextlib
import queue
import shlex
import threading
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, TypeVar

from hatch_connect.errors import LostAnswerError, RefusedError, StoreError
from hatch_connect.events import Warned
from hatch_connect.secret import Secret
from hatch_connect.typed import text_at

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from hatch_connect.connect.json_file import JsonFile
    from hatch_connect.events import Report

_Entry: TypeAlias = dict[str, object]
T = TypeVar("T")

_SERVICE = "rsconnect-python"
# The refresh token first: between the two writes, an old access token is renewed by the new one.
_FIELDS = ("refresh_token", "access_token")
_KEYS = ("oauth_access_token", "oauth_refresh_token", "oauth_token_expiry")
_OTHERS = 120.0  # seconds in which another process, which holds the lock, refreshes
_ENDED = 401
_KEYRING = 30.0  # seconds; a locked keyring waits for somebody to type its password
_EARLY = 10.0  # seconds before its end in which a token is not used any more

_WHY = {
    "": (f"it did not respond within {_KEYRING:.0f} s", "Unlock it if it is locked, and"),
    "ModuleNotFoundError": (
        "the package `keyring` is not installed",
        "Install it with `pip install 'hatch-connect[login]'`, and",
    ),
    "NoKeyringError": (
        "this machine has no keyring, as is usual without a desktop",
        "Start one (`keyring diagnose` shows what is missing), and",
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Tokens:
    """What a login is made of; `expiry` is in seconds since 1970, if it is known."""

    access: Secret | None
    refresh: Secret | None = None
    expiry: float | None = None
    place: Literal["the keyring", "servers.json"] = field(default="servers.json", compare=False)

    @property
    def usable(self) -> bool:
        """Whether there is an access token that is not known to have expired."""
        now = datetime.now(UTC).timestamp()
        return self.access is not None and (self.expiry is None or now + _EARLY < self.expiry)


@dataclass(frozen=True, slots=True, kw_only=True)
class LoginEntry:
    """An entry of `servers.json` that is a login; `url` is spelled as it is there."""

    file: JsonFile = field(compare=False)
    name: str
    url: str

    def tokens(self) -> Tokens:
        """Return the tokens as they are kept now.

        Raises StoreError if they cannot be read, RefusedError if there are none.
        """
        return self._read(self._entry(self.file.read()))

    @property
    def client_id(self) -> str:
        """The id of the client that the login is for."""
        return str(self._entry(self.file.read())["oauth_client_id"])

    def renewed(
        self, used: Tokens, ask: Callable[[str, Secret], Tokens | str], report: Report
    ) -> Tokens:
        """Return tokens that are newer than those that were used, and keep them where they were.

        `ask` gets them from the server, for the client's id and the refresh token, or returns the
        id of a new client, for the next log-in, if the server has forgotten this one. A refresh
        token is good for one time, so one process after the other looks whether another has
        renewed the login, and asks the server if not. Tokens that cannot be kept are reported.

        Raises StoreError, RefusedError, and what `ask` raises.
        """
        try:
            return self._renewed(used, ask, report)
        except (RefusedError, LostAnswerError) as error:
            # The official client, which knows no lock, may have renewed the login meanwhile. It
            # puts what it gets into the keyring if there is one, whatever the entry says, and
            # leaves in the entry what was there. So if the tokens there are no longer good, the
            # keyring is asked for them too.
            ended = isinstance(error, RefusedError) and error.status == _ENDED
            for look in (self.tokens, *([self._in_keyring] if ended else [])):
                with contextlib.suppress(StoreError, RefusedError):
                    now = look()
                    if now.access != used.access and now.usable:
                        if now.place == "the keyring":
                            self._drop_old()
                        return now
            raise

    def _renewed(
        self, used: Tokens, ask: Callable[[str, Secret], Tokens | str], report: Report
    ) -> Tokens:
        fresh = None
        try:
            with self.file.update(patience=_OTHERS) as entries:
                entry = self._entry(entries)
                kept = self._read(entry)
                if kept.access != used.access and kept.usable:
                    return kept
                if kept.refresh is None:
                    raise self.ended("it has no refresh token")
                fresh = ask(str(entry["oauth_client_id"]), kept.refresh)
                if isinstance(fresh, str):
                    entry["oauth_client_id"] = fresh
                else:
                    self._keep(entry, fresh, kept.place, report)
        except OSError as error:
            if not isinstance(fresh, Tokens):
                raise StoreError(f"{self.file.path} cannot be written: {error.strerror}.") from None
            text = (
                f"The renewed login to {self.url} cannot be saved: {self.file.path} cannot be"
                f" written ({error.strerror}). It is used for this command. Afterwards, log in"
                f" again with: {self.again}"
            )
            report(Warned(text=text))
        if isinstance(fresh, str):
            raise self.ended(
                "the server no longer knows the client that it is for (invalid_client)"
            )
        return fresh

    def keep(self, tokens: Tokens, report: Report) -> None:
        """Keep the tokens of a new login: in the keyring, or else in the entry.

        Raises StoreError.
        """
        with self._changing() as entry:
            self._keep(entry, tokens, "the keyring", report)

    def held(self) -> tuple[Tokens, ...]:
        """Return all tokens that can be read: the keyring may hold an earlier login's too."""
        found = [self._in_entry(self._entry(self.file.read()))]
        with contextlib.suppress(StoreError, RefusedError):
            found.append(self._in_keyring())
        return tuple(filter(None, found))

    def forget(self, report: Report) -> None:
        """Forget the tokens, in the entry and in the keyring; the entry stays.

        Raises StoreError, also if the entry says that the keyring has them, and that cannot be
        asked; else that is reported.
        """

        def forget(keyring: Any) -> None:  # noqa: ANN401 - the module
            for user in self._users:
                _forget(keyring, user)

        with self._changing() as entry:
            in_entry = any(key in entry for key in _KEYS[:2])
            for key in _KEYS:
                entry.pop(key, None)
            try:
                self._ask_keyring(forget)
            except StoreError as error:
                if not in_entry:
                    raise
                entry[_KEYS[0]] = None  # it still does not have them in the keyring
                text = f"An earlier login may remain in the keyring. {error.message}"
                report(Warned(text=text))

    def _drop_old(self) -> None:
        with contextlib.suppress(StoreError), self._changing() as entry:
            for key in _KEYS:
                entry.pop(key, None)

    @contextlib.contextmanager
    def _changing(self) -> Iterator[_Entry]:
        try:
            with self.file.update(patience=_OTHERS) as entries:
                yield self._entry(entries)
        except OSError as error:
            raise StoreError(f"{self.file.path} cannot be written: {error.strerror}.") from error

    def ended(self, why: str) -> RefusedError:
        """Return the error that this login cannot be renewed."""
        return RefusedError(
            f"The login to {self.url} has expired and cannot be renewed: {why}.",
            status=401,
            hint=f"Log in again with: {self.again}",
        )

    @property
    def again(self) -> str:
        """The command that logs in again."""
        return shlex.join(("hatch-connect", "login", self.url, "--name", self.name))

    def _entry(self, entries: _Entry) -> _Entry:
        """Return the entry, if it still is this login. Raises RefusedError."""
        entry = entries.get(self.name)
        mine = text_at(entry, "url") == self.url and text_at(entry, "oauth_client_id")
        if isinstance(entry, dict) and mine:
            return entry
        raise RefusedError(
            f"{self.file.path} no longer has a login to {self.url} named `{self.name}`.",
            status=401,
            hint=f"Log in again with: {self.again}",
        )

    def _read(self, entry: _Entry) -> Tokens:
        found = self._in_entry(entry)
        if not found and _KEYS[0] in entry:  # without a value since `forget`
            raise self._nobody
        return found or self._in_keyring()

    def _in_entry(self, entry: _Entry) -> Tokens | None:
        access, refresh = (text_at(entry, key) for key in _KEYS[:2])
        expiry = entry.get(_KEYS[2])
        if access or refresh:
            return Tokens(
                access=Secret(access) if access else None,
                refresh=Secret(refresh) if refresh else None,
                expiry=expiry if isinstance(expiry, (int, float)) else None,
            )
        return None

    @property
    def _nobody(self) -> RefusedError:
        return RefusedError(
            f"Not logged in to {self.url}: its tokens are neither in {self.file.path} nor in the"
            " keyring.",
            status=401,
            hint=f"Log in with: {self.again}",
        )

    def _in_keyring(self) -> Tokens:
        refresh, access = self._ask_keyring(
            lambda keyring: [keyring.get_password(_SERVICE, user) for user in self._users]
        )
        if not (access or refresh):
            raise self._nobody
        return Tokens(
            access=Secret(access) if access else None,
            refresh=Secret(refresh) if refresh else None,
            place="the keyring",
        )

    def _keep(self, entry: _Entry, tokens: Tokens, place: str, report: Report) -> None:
        """Put the tokens where they were; those that the keyring does not take, into the entry."""
        values = [token.reveal() if token else None for token in (tokens.access, tokens.refresh)]

        def put(keyring: Any) -> None:  # noqa: ANN401 - the module
            try:
                for user, value in zip(self._users, reversed(values), strict=True):
                    if value:
                        keyring.set_password(_SERVICE, user, value)
                    else:  # what is there belongs to an earlier login
                        _forget(keyring, user)
            except Exception:
                for user in self._users:  # the official client would take old tokens from there
                    with contextlib.suppress(Exception):
                        keyring.delete_password(_SERVICE, user)
                raise

        if place == "the keyring":
            try:
                return self._ask_keyring(put)
            except StoreError as error:
                kept = f"The tokens are saved in {self.file.path}, which only you can read."
                report(Warned(text=f"{error.message} {kept}"))
        entry |= zip(_KEYS, (*values, tokens.expiry), strict=True)
        return None

    @property
    def _users(self) -> tuple[str, ...]:
        return tuple(f"{self.url}:{name}" for name in _FIELDS)

    def _ask_keyring(self, ask: Callable[[Any], T]) -> T:
        """Return what the keyring answers. Raises StoreError, which says what to do."""
        # No exception leaves the thread: a backend may put what it was given into its message.
        answers: queue.SimpleQueue[tuple[T] | str] = queue.SimpleQueue()

        def work() -> None:
            try:
                import keyring

                answers.put((ask(keyring),))
            except BaseException as error:  # noqa: BLE001 - backends raise what their libraries do
                answers.put(type(error).__name__)

        threading.Thread(target=work, daemon=True).start()
        try:
            answer = answers.get(timeout=_KEYRING)
        except queue.Empty:
            answer = ""
        if isinstance(answer, tuple):
            return answer[0]
        why, hint = _WHY.get(answer, (f"it failed ({answer})", "Check that it works, and"))
        raise StoreError(
            f"The keyring cannot be used for the login to {self.url}: {why}.",
            hint=f"{hint} try again; or use an API key: set CONNECT_API_KEY.",
        )


def _forget(keyring: Any, user: str) -> None:  # noqa: ANN401 - the module
    if keyring.get_password(_SERVICE, user) is not None:
        keyring.delete_password(_SERVICE, user)
