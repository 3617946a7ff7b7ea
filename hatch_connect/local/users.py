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

from hatch_connect.errors import UsageError
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


def users_file(folder: Path) -> Path:
    """Return the users.toml of a state folder, made now with made-up people if there is none."""
    path = folder / "users.toml"
    if not path.exists():
        keys = {name: secrets.token_urlsafe(24) for name in ("ann", "bob")}
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(_MADE_UP.format(**keys))
    return path


def read_users(path: Path) -> Declared:
    """Read a users.toml. Raises UsageError with the file and the key that is wrong."""
    try:
        whole = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"Cannot read {path}: {error.strerror}.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} is not valid TOML: {error}.") from error
    if unknown := sorted(whole.keys() - {"users", "groups"}):
        raise UsageError(f"{path}: unknown key {unknown[0]!r}; the keys are users and groups.")
    users = {name: _user(path, name, given) for name, given in _table(path, whole, "users").items()}
    keys = [key.reveal() for _role, key in users.values() if key]
    if len(set(keys)) < len(keys):
        raise UsageError(f"{path}: two users have the same key.")
    groups = {
        name: _members(path, name, given, users)
        for name, given in _table(path, whole, "groups").items()
    }
    return Declared(users=users, groups=groups)


def _table(path: Path, whole: Mapping[str, object], key: str) -> Mapping[str, object]:
    given = whole.get(key, {})
    if not isinstance(given, dict):
        raise UsageError(f"{path}: {key} must be a table, not {toml_type(given)}.")
    return given


def _user(path: Path, name: str, given: object) -> tuple[Role, Secret | None]:
    where = f"{path}: users.{name}"
    if name == OWN_NAME:
        raise UsageError(f"{where}: this name is that of the server's own administrator.")
    if not isinstance(given, dict):
        raise UsageError(f"{where} must be a table, not {toml_type(given)}.")
    if unknown := sorted(given.keys() - {"role", "key"}):
        raise UsageError(f"{where}.{unknown[0]} is unknown; the keys are role and key.")
    role = next((role for role in ROLES if role == given.get("role", "publisher")), None)
    if role is None:
        raise UsageError(f"{where}.role must be one of: {', '.join(ROLES)}.")
    key = given.get("key")
    if key is not None and not (isinstance(key, str) and key.isascii() and key.isprintable()):
        raise UsageError(f"{where}.key must be a string of printable ASCII characters.")
    return role, Secret(key.strip()) if key and key.strip() else None


def _members(path: Path, name: str, given: object, users: Mapping[str, object]) -> tuple[str, ...]:
    where = f"{path}: groups.{name}"
    if not isinstance(given, list) or not all(isinstance(one, str) for one in given):
        raise UsageError(f"{where} must be an array of users' names.")
    if missing := [one for one in given if one not in users and one != OWN_NAME]:
        raise UsageError(f"{where}: there is no [users.{missing[0]}].")
    return tuple(given)


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
