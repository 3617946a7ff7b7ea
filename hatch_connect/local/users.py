"""The people that this server knows, and their keys: those of a users.toml, and those of projects.

A users.toml has a table `users.NAME` with `role` and `key` for each of them, and in its table
`groups` an array of users' names for each group.
"""

from __future__ import annotations

import os
import secrets
import tomllib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias, get_args

from hatch_connect.errors import ConfigurationError, UsageError
from hatch_connect.local.state import OWN_GUID, OWN_NAME
from hatch_connect.secret import Secret
from hatch_connect.typed import toml_type

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from hatch_connect.local.state import State, StoredName

Role: TypeAlias = Literal["administrator", "publisher", "viewer"]
ROLES: tuple[Role, ...] = get_args(Role)

_MADE_UP = """\
# The people of this server besides you, to try who may see what. Edit it, and restart the server.

[users.ann]
role = "publisher"
key = "{ann}"

[users.bob]
role = "viewer"
key = "{bob}"

[groups]
analysts = ["ann"]
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """One person; `groups` holds names. Without a key nobody can be this user."""

    guid: str
    name: str
    role: Role = "publisher"
    groups: tuple[str, ...] = ()
    key: Secret | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Declared:
    """What a users.toml says: for each user a role and a key, for each group its users."""

    users: Mapping[str, tuple[Role, Secret | None]]
    groups: Mapping[str, tuple[str, ...]]


def make_users(path: Path) -> None:
    """Write a users.toml with made-up people if there is none."""
    if not path.exists():
        keys = {name: secrets.token_urlsafe(24) for name in ("ann", "bob")}
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(_MADE_UP.format(**keys))


def others_may_read(path: Path) -> bool:
    """Return whether others on this machine may read a users.toml, and so use its keys."""
    return os.name == "posix" and bool(path.stat().st_mode & 0o077)


def read_users(path: Path, own_key: Secret) -> Declared:
    """Read a users.toml; `own_key` is the developer's, which nobody else may have.

    Raises UsageError if it cannot be read, and ConfigurationError with all that is wrong in it.
    """
    try:
        whole = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise UsageError(f"Cannot read {path}: {error.strerror}.") from error
    except (ValueError, RecursionError) as error:  # of TOML, and of what is not UTF-8
        raise UsageError(f"{path} is not valid TOML: {error}.") from error
    reading = _Reading(own_key)
    declared = reading.whole(whole)
    if reading.problems:
        raise ConfigurationError(tuple(reading.problems), where=str(path))
    return declared


class _Reading:
    """Takes what is right in a users.toml, and notes what is not."""

    def __init__(self, own_key: Secret) -> None:
        self.problems: list[str] = []
        self._keys = {own_key.reveal(): "the server's own `api-key` file"}

    def whole(self, given: Mapping[str, object]) -> Declared:
        self._unknown(given, "", ("users", "groups"))
        tables = {key: self._table(key, given.get(key, {})) for key in ("users", "groups")}
        for key, table in tables.items():
            for name in table:
                if not name or name != name.strip() or not name.isprintable():
                    self.problems.append(f"`{key}` has a name that is not usable: {name!r}.")
        users = {name: self._user(name, one) for name, one in tables["users"].items()}
        known = {*users, OWN_NAME}
        groups = {name: self._members(name, one, known) for name, one in tables["groups"].items()}
        return Declared(users=users, groups=groups)

    def _table(self, where: str, given: object) -> Mapping[str, object]:
        if isinstance(given, dict):
            return given
        self.problems.append(f"`{where}` must be a table, not {toml_type(given)}.")
        return {}

    def _unknown(self, given: Mapping[str, object], where: str, known: tuple[str, ...]) -> None:
        self.problems.extend(
            f"`{where}{key}` is unknown; the keys are {' and '.join(known)}."
            for key in given
            if key not in known
        )

    def _user(self, name: str, given: object) -> tuple[Role, Secret | None]:
        where = f"users.{name}"
        if name == OWN_NAME:
            self.problems.append(f"`{where}`: this is the name of the server's own administrator.")
        table = self._table(where, given)
        self._unknown(table, f"{where}.", ("role", "key"))
        role = next((role for role in ROLES if role == table.get("role", "publisher")), None)
        if role is None:
            self.problems.append(f"`{where}.role` must be one of: {', '.join(ROLES)}.")
        return role or "viewer", self._key(f"{where}.key", table.get("key", ""))

    def _key(self, where: str, given: object) -> Secret | None:
        if not isinstance(given, str) or not given.isascii() or not given.isprintable():
            self.problems.append(f"`{where}` must be a string of printable ASCII characters.")
            return None
        key = given.strip()
        if key and key in self._keys:
            self.problems.append(f"`{where}` is the same key as in {self._keys[key]}.")
        if key:
            self._keys[key] = f"`{where}`"
        return Secret(key) if key else None

    def _members(self, name: str, given: object, known: set[str]) -> tuple[str, ...]:
        where = f"groups.{name}"
        if not isinstance(given, list) or not all(isinstance(one, str) for one in given):
            self.problems.append(f"`{where}` must be an array of users' names.")
            return ()
        self.problems.extend(
            f"`{where}` names {one!r}, but there is no table `users.{one}`."
            for one in given
            if one not in known
        )
        return tuple(dict.fromkeys(given))


class Users:
    """All users: the developer, those of a users.toml, and those that projects have named."""

    def __init__(self, state: State, declared: Declared, own_key: Secret) -> None:
        """Add to `state` who is declared and not there yet, so that each keeps one GUID."""
        self._state = state
        self._declared = declared
        self._own_key = own_key
        state.add_name("user", OWN_NAME, guid=OWN_GUID)
        for name in declared.users:
            state.add_name("user", name)
        for name in declared.groups:
            state.add_name("group", name)

    def __iter__(self) -> Iterator[User]:
        """Yield all, in the order in which they came to be known."""
        return map(self._user, self._state.names("user"))

    def of_guid(self, guid: object) -> User | None:
        """Return the user of that GUID."""
        return next((user for user in self if user.guid == guid), None)

    def named(self, name: object) -> User | None:
        """Return the user of that name."""
        return next((user for user in self if user.name == name), None)

    def of_key(self, key: str) -> User | None:
        """Return whose key it is."""
        found = None
        for user in self:
            known = user.key.reveal() if user.key else ""
            if known and secrets.compare_digest(known.encode(), key.encode()):
                found = user
        return found

    @property
    def own(self) -> User:
        """The developer."""
        found = self.of_guid(OWN_GUID)
        assert found is not None  # noqa: S101 - added when this was made
        return found

    def _user(self, stored: StoredName) -> User:
        name = stored.name
        role, key = self._declared.users.get(name, ("publisher", None))
        if stored.guid == OWN_GUID:
            role, key = "administrator", self._own_key
        groups = tuple(group for group, names in self._declared.groups.items() if name in names)
        return User(guid=stored.guid, name=name, role=role, groups=groups, key=key)
