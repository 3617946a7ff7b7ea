"""The people that this server knows, and their keys: those of a users.toml, and those of projects.

A users.toml has a table `users.NAME` with `role` and `key` for each of them, and in its table
`groups` an array of users' names for each group.
"""

from __future__ import annotations

import os
import secrets
import tomllib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, TypeAlias, get_args

from hatch_connect.errors import ConfigurationError, UsageError
from hatch_connect.local.disk import create_private
from hatch_connect.local.state import OWN_GUID, OWN_NAME
from hatch_connect.secret import Secret
from hatch_connect.typed import toml_type

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from hatch_connect.local.state import NameKind, State, StoredName

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
    email: str = ""
    first_name: str = ""
    last_name: str = ""
    locked: bool = False


_KNOWN = ("role", "email", "first_name", "last_name", "locked")


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """A group of users; `owner` and `members` hold GUIDs."""

    guid: str
    name: str
    owner: str
    members: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Declared:
    """What the users.toml `file` says: for each user a role and a key, for each group its users."""

    file: Path | None = None
    users: Mapping[str, tuple[Role, Secret | None]]
    groups: Mapping[str, tuple[str, ...]]


def make_users(path: Path) -> None:
    """Write a users.toml with made-up people if there is none."""
    if not path.exists():
        keys = {name: secrets.token_urlsafe(24) for name in ("ann", "bob")}
        create_private(path, _MADE_UP.format(**keys))


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
    declared = replace(reading.whole(whole), file=path)
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
    """All users and groups: those of a users.toml, and those that were named or created since.

    At each start, a users.toml counts for whom and what it names. Keys are only there.
    """

    def __init__(self, state: State, declared: Declared, own_key: Secret) -> None:
        """Add to `state` who is declared and not there yet, so that each keeps one GUID."""
        self._state = state
        keys = {name: key for name, (_role, key) in declared.users.items()}
        self._keys = keys | {OWN_NAME: own_key}
        with state.transaction():
            self._add(declared)

    def _add(self, declared: Declared) -> None:
        state = self._state
        own = state.add_name("user", OWN_NAME, guid=OWN_GUID)
        self._save(own, role="administrator")
        for name, (role, _key) in declared.users.items():
            self._save(state.add_name("user", name), role=role)
        users = {one.name: one for one in state.names("user")}
        for name in declared.groups:
            state.add_name("group", name)
        earlier = state.accounts()
        for group in state.names("group"):
            here = group.name in declared.groups
            if here or earlier.get(group.id, {}).get("declared"):
                for one in users.values():
                    state.remove_member(group, one)
                for member in declared.groups.get(group.name, ()):
                    state.add_member(group, users[member])
                self._save(group, declared=here)

    def __iter__(self) -> Iterator[User]:
        """Yield all users, in the order in which they came to be known."""
        known, named = self._state.accounts(), {one.id: one for one in self._state.names("group")}
        groups: dict[int, list[str]] = {}
        for group, user in self._state.members():
            groups.setdefault(user, []).append(named[group].name)
        for one in self._state.names("user"):
            yield User(
                guid=one.guid,
                name=one.name,
                groups=tuple(groups.get(one.id, ())),
                key=self._keys.get(one.name),
                **{key: value for key, value in known.get(one.id, {}).items() if key in _KNOWN},
            )

    def of_guid(self, guid: object) -> User | None:
        """Return the user of that GUID."""
        return next((user for user in self if user.guid == guid), None)

    def named(self, name: object) -> User | None:
        """Return the user of that name."""
        return next((user for user in self if user.name == name), None)

    def of_key(self, key: str) -> User | None:
        """Return whose key it is; nobody's if the account is locked."""
        found = None
        for name, known in self._keys.items():
            if known and secrets.compare_digest(known.reveal().encode(), key.encode()):
                found = name
        user = self.named(found)
        return None if user is None or user.locked else user

    @property
    def own(self) -> User:
        """The developer."""
        found = self.of_guid(OWN_GUID)
        assert found is not None  # noqa: S101 - added when this was made
        return found

    def create(self, name: str, **known: object) -> User:
        """Add a user, who has no key."""
        with self._state.transaction():
            self._save(self._state.add_name("user", name), **known)
        found = self.named(name)
        assert found is not None  # noqa: S101 - just added
        return found

    def change(self, user: User, **known: object) -> User:
        """Note other details of a user: a role, names, or whether the account is locked."""
        return self.create(user.name, **known)

    def groups(self) -> tuple[Group, ...]:
        """Return all groups, in the order in which they came to be known."""
        known, members = self._state.accounts(), self._state.members()
        users = {one.id: one.guid for one in self._state.names("user")}
        return tuple(
            Group(
                guid=one.guid,
                name=one.name,
                owner=known.get(one.id, {}).get("owner", OWN_GUID),
                members=tuple(users[user] for group, user in members if group == one.id),
            )
            for one in self._state.names("group")
        )

    def create_group(self, name: str, owner: User) -> Group:
        """Add a group that has no members yet."""
        with self._state.transaction():
            self._save(self._state.add_name("group", name), owner=owner.guid)
        return next(one for one in self.groups() if one.name == name)

    def remove_group(self, group: Group) -> None:
        """Forget a group."""
        self._state.remove_names(self._stored("group", group.guid))

    def join(self, group: Group, user: User) -> None:
        """Let a user be in a group."""
        self._state.add_member(self._stored("group", group.guid), self._stored("user", user.guid))

    def leave(self, group: Group, user: User) -> None:
        """Take a user from a group."""
        self._state.remove_member(
            self._stored("group", group.guid), self._stored("user", user.guid)
        )

    def _stored(self, kind: NameKind, guid: str) -> StoredName:
        return next(one for one in self._state.names(kind) if one.guid == guid)

    def _save(self, named: StoredName, **known: object) -> None:
        before = self._state.accounts().get(named.id, {})
        if before | known != before:
            self._state.save_account(named, before | known)
