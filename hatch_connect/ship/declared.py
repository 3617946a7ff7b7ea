"""What is declared, compared with what the content has: the changes, and when each is made.

Nothing here asks a server: `ship/settings` reads what is compared, `ship/apply` makes the changes.
"""

from __future__ import annotations

import enum
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Generic, TypeAlias, TypeVar

from hatch_connect.connect.content_settings import Principal
from hatch_connect.errors import ServerError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from hatch_connect.connect.content_settings import (
        Integration,
        Permission,
        PrincipalType,
        Role,
        Scalar,
        Tag,
    )
    from hatch_connect.connect.records import Changed
    from hatch_connect.project.declared import DeclaredField

T = TypeVar("T")

ACCESS = "access_type"
_ACCESS_TYPES = ("acl", "logged_in", "all")  # from the narrowest to the widest
_START = {
    *("memory_request", "memory_limit", "cpu_request", "cpu_limit"),
    *("amd_gpu_limit", "nvidia_gpu_limit", "init_timeout"),
    *("run_as", "run_as_current_user", "service_account_name"),
    *("default_image_name", "default_environment_guid"),
    *("default_py_environment_management", "default_r_environment_management"),
}
_UNITS = (("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10))
_LONGEST = 60  # characters of a text that a plan shows


class Phase(enum.Enum):
    """When a change is made."""

    START = "before the draft starts"  # what a process needs to start
    NARROW = "before activation"  # what takes access away
    AFTER = "after activation"  # everything else


@dataclass(frozen=True, slots=True, kw_only=True)
class SetFields:
    """Fields of the content, by Connect's names; those of a phase go in one request."""

    values: Mapping[str, Scalar]


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """Let a user or a group view or change the content, whatever they might before."""

    principal: Principal
    role: Role


@dataclass(frozen=True, slots=True, kw_only=True)
class Revoke:
    """Take a permission away, which is looked up if it is not known."""

    principal: Principal
    permission: Permission | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SetVanityPath:
    """The path under which the content is found; None for none."""

    path: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SetTag:
    """Give the content a tag, or take it away."""

    tag: Tag
    on: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class SetThumbnail:
    """The picture of the content; None for none."""

    image: bytes | None = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class SetIntegrations:
    """The OAuth integrations of the content, by GUID."""

    guids: tuple[str, ...]


Action: TypeAlias = (
    SetFields | Grant | Revoke | SetVanityPath | SetTag | SetThumbnail | SetIntegrations
)


@dataclass(frozen=True, slots=True, kw_only=True)
class SettingChange:
    """One difference between what is declared and what is there, as a person reads it.

    `key` is the setting's (`viewers`), `called` its place in the project. For a value `before` and
    `after` are its texts ("the server's default" if unset); for an entry of a list one of them is
    None: what is added, or removed. `undo` puts back what was there; None if nothing can.
    """

    key: str
    called: str
    before: str | None
    after: str | None
    phase: Phase
    action: Action
    undo: Action | None = None

    @property
    def removes(self) -> bool:
        """Whether it takes an entry of a list away."""
        return self.after is None

    def facts(self) -> dict[str, str | None]:
        """Return what `--json` has of it."""
        return {"key": self.key, "before": self.before, "after": self.after}

    def __str__(self) -> str:
        if self.before is None:
            return f"{self.key} + {self.after}"
        if self.after is None:
            return f"{self.key} - {self.before}"
        return f"{self.key} {self.before} -> {self.after}"


def fields_changed(changes: Iterable[SettingChange]) -> Changed:
    """Return the fields that changes set: what was there before, and what is after."""
    return {
        name: (change.undo.values[name], value)
        for change in changes
        if isinstance(change.action, SetFields) and isinstance(change.undo, SetFields)
        for name, value in change.action.values.items()
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolved(Generic[T]):
    """A list that is declared, as `DeclaredNames`, with what each name is on this server."""

    key: str
    called: str
    whole: bool
    entries: tuple[T, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class WantedSettings:
    """What is declared, as `DeclaredSettings`, in the server's own terms.

    `image` is what is in the file of the thumbnail. `own` is the GUID of the key's user, who keeps
    what they may, and `owner` the content's owner's, who needs no permission.
    """

    fields: tuple[DeclaredField, ...] = ()
    viewers: Resolved[Principal] | None = None
    collaborators: Resolved[Principal] | None = None
    tags: Resolved[Tag] | None = None
    integrations: Resolved[Integration] | None = None
    vanity_path: DeclaredField | None = None
    thumbnail: DeclaredField | None = None
    image: bytes | None = field(default=None, repr=False)
    own: str | None = None
    owner: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ContentState:
    """What the content has now of what is declared; the rest is empty, as all of it if `new`.

    It is `unseen` while no bundle of it is active. `principals` are those who have permissions, by
    GUID, as far as their names are known.
    """

    new: bool = False
    unseen: bool = False
    fields: Mapping[str, Scalar] = field(default_factory=dict)
    permissions: tuple[Permission, ...] = ()
    principals: Mapping[str, Principal] = field(default_factory=dict)
    tags: tuple[Tag, ...] = ()
    integrations: tuple[Integration, ...] = ()
    vanity_path: str | None = None
    thumbnail: bytes | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparedSettings:
    """What must change, and what is left out because the server does not know it.

    `same` are the fields that were as declared when they were compared. With `strict`, what is left
    out is an error; of new content it turns out when it is set.
    """

    changes: tuple[SettingChange, ...] = ()
    same: tuple[DeclaredField, ...] = ()
    left_out: tuple[str, ...] = ()
    strict: bool = False


NOTHING_DIFFERS = ComparedSettings()


class TagTree:
    """All tags of a server: content has tags, and a tag is below others, in a category."""

    def __init__(self, tags: tuple[Tag, ...] = ()) -> None:
        self._by_id = {tag.id: tag for tag in tags}
        self._by_path: dict[str, list[Tag]] = {}
        for tag in tags:
            self._by_path.setdefault(self.path(tag), []).append(tag)

    def line(self, tag: Tag) -> tuple[Tag, ...]:
        """Return a tag and all that it is below: the last one is its category."""
        line = [tag]
        while (above := self._by_id.get(line[-1].parent_id or "")) and above not in line:
            line.append(above)
        return tuple(line)

    def path(self, tag: Tag) -> str:
        """Return how a project names a tag: `Category/Tag`."""
        return "/".join(each.name for each in reversed(self.line(tag)))

    def named(self, path: str) -> tuple[Tag, ...]:
        """Return the tags that a project may mean by this name."""
        return tuple(self._by_path.get(path, ()))


def differences(
    wanted: WantedSettings, state: ContentState, tree: TagTree | None = None
) -> tuple[SettingChange, ...]:
    """Return what must change for the content to be as declared, in the order of the changes."""
    order = list(Phase)
    changes = (
        *_fields(wanted, state),
        *_integrations(wanted.integrations, state),
        *_access(wanted, state),
        *_vanity_path(wanted.vanity_path, state),
        *_tags(wanted.tags, state, tree or TagTree()),
        *_thumbnail(wanted, state),
    )
    if state.new:  # nothing is there that could be put back
        changes = tuple(replace(change, undo=None) for change in changes)
    return tuple(sorted(changes, key=lambda change: order.index(change.phase)))


@contextmanager
def about(called: str) -> Iterator[None]:
    """Say in the error of a request which setting it was for."""
    try:
        yield
    except ServerError as error:
        error.message = f"{called}: {error.message}"
        error.args = (error.message,)
        raise


def vanity_path(path: object) -> str | None:
    """Return a vanity path as the server has it, with a slash at both ends; None for none."""
    inside = str(path or "").strip("/")
    return f"/{inside}/" if inside else None


def shown(name: str, value: Scalar) -> str:
    """Return the text for a value of one of Connect's fields."""
    if value is None or value == "":
        return "none" if name == "description" else "the server's default"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        words = " ".join(value.split())
        text = f"{words[:_LONGEST]}..." if len(words) > _LONGEST else words
        return text.replace("_", "-") if name == ACCESS else text
    if name in {"memory_request", "memory_limit"}:
        return whole_units(value) or f"{value:,} bytes"
    return str(value)


def whole_units(size: float) -> str:
    """Return a size as a project writes it, such as `512 MiB`; "" if that takes odd bytes."""
    whole = (f"{int(size) // unit} {name}" for name, unit in _UNITS if size and not size % unit)
    return next(whole, "")


def not_known(called: str) -> str:
    """Return what is said of a setting that is left out."""
    return f"{called} is not supported by this version of Connect and is left out."


def is_same(one: Scalar, other: Scalar) -> bool:
    """Return whether two values of a field mean the same to the server."""
    return one == other or {one, other} <= {None, ""}


def _fields(wanted: WantedSettings, state: ContentState) -> Iterator[SettingChange]:
    for declared in wanted.fields:
        if declared.name != ACCESS and _differs(declared, state):
            start = declared.name in _START
            yield _set_field(declared, state, Phase.START if start else Phase.AFTER)


def _differs(declared: DeclaredField, state: ContentState) -> bool:
    return not is_same(declared.value, state.fields.get(declared.name))


def _change(
    of: DeclaredField | Resolved[Any],
    texts: tuple[str | None, str | None],
    phase: Phase,
    action: Action,
    undo: Action | None,
) -> SettingChange:
    """Return a change of what is declared; `texts` are what was there before, and what is after."""
    return SettingChange(
        key=of.key,
        called=of.called,
        before=texts[0],
        after=texts[1],
        phase=phase,
        action=action,
        undo=undo,
    )


def _set_field(declared: DeclaredField, state: ContentState, phase: Phase) -> SettingChange:
    name, now = declared.name, state.fields.get(declared.name)
    action = SetFields(values={name: declared.value})
    undo = SetFields(values={name: now})
    return _change(declared, (shown(name, now), shown(name, declared.value)), phase, action, undo)


def _access(wanted: WantedSettings, state: ContentState) -> Iterator[SettingChange]:
    """Return who gets access, then how access is given, then who loses it."""
    granted, revoked = _grants(wanted, state), _revocations(wanted, state)
    types = [each for each in wanted.fields if each.name == ACCESS and _differs(each, state)]
    narrows = any(_narrows(state.fields.get(ACCESS), each.value) for each in types)
    if state.new or state.unseen:  # nobody may see for a moment what is not for them
        changes = (*granted, *(_set_field(each, state, Phase.START) for each in types), *revoked)
        yield from (replace(change, phase=Phase.START) for change in changes)
        return
    # Who is to have access must not be without it between two requests.
    early = Phase.NARROW if narrows or revoked else Phase.AFTER
    yield from (replace(change, phase=early) for change in granted)
    phase = Phase.NARROW if narrows else Phase.AFTER
    yield from (_set_field(each, state, phase) for each in types)
    for change in revoked:
        viewer = isinstance(change.undo, Grant) and change.undo.role == "viewer"
        later = viewer and types and not narrows  # they see it all the same, but only then
        yield replace(change, phase=Phase.AFTER) if later else change


def _narrows(now: Scalar, then: Scalar) -> bool:
    """Return whether a kind of access is narrower than another; in doubt it is."""
    known = now in _ACCESS_TYPES and then in _ACCESS_TYPES
    return not known or _ACCESS_TYPES.index(str(then)) < _ACCESS_TYPES.index(str(now))


def _named(wanted: WantedSettings) -> dict[str, tuple[Resolved[Principal], Principal, Role]]:
    """Return who is named, by GUID, with the list that counts and what they may do."""
    lists: tuple[tuple[Resolved[Principal] | None, Role], ...]
    lists = (wanted.viewers, "viewer"), (wanted.collaborators, "owner")
    named = {}
    for resolved, role in lists:
        for principal in resolved.entries if resolved else ():
            if resolved and principal.guid != wanted.owner:
                named[principal.guid] = (resolved, principal, role)
    return named


def _grants(wanted: WantedSettings, state: ContentState) -> list[SettingChange]:
    """Return who may do more than now."""
    changes = []
    for resolved, principal, role in _named(wanted).values():
        now = next((p for p in state.permissions if p.principal_guid == principal.guid), None)
        if now and (now.role == "owner" or role == "viewer"):
            continue
        undo = Grant(principal=principal, role="viewer") if now else Revoke(principal=principal)
        action = Grant(principal=principal, role=role)
        changes.append(_change(resolved, (None, str(principal)), Phase.AFTER, action, undo))
    return changes


def _revocations(wanted: WantedSettings, state: ContentState) -> list[SettingChange]:
    """Return who may do less than now, because a whole list does not name them."""
    named, changes = _named(wanted), []
    for permission in state.permissions:
        guid = permission.principal_guid
        role: Role = "owner" if permission.role == "owner" else "viewer"
        resolved = wanted.collaborators if role == "owner" else wanted.viewers
        stays = guid in {wanted.own, wanted.owner}
        stays |= guid in named and (role == "viewer" or named[guid][2] == "owner")
        # No list can name anything else, such as the principal of a trusted publisher.
        nameable = permission.principal_type in {"user", "group"}
        if not (resolved and resolved.whole and nameable) or stays:
            continue
        unnamed = Principal(type=_type(permission), guid=guid, name=guid)
        principal = named[guid][1] if guid in named else state.principals.get(guid, unnamed)
        lowered = Grant(principal=principal, role="viewer")
        revoked = Revoke(principal=principal, permission=permission)
        action, undo = lowered if guid in named else revoked, Grant(principal=principal, role=role)
        changes.append(_change(resolved, (str(principal), None), Phase.NARROW, action, undo))
    return changes


def _type(permission: Permission) -> PrincipalType:
    return "group" if permission.principal_type == "group" else "user"


def _integrations(
    wanted: Resolved[Integration] | None, state: ContentState
) -> Iterator[SettingChange]:
    if wanted is None:
        return
    now, then = (
        {each.guid: each for each in those} for those in (state.integrations, wanted.entries)
    )
    if not wanted.whole:
        then = now | then
    action = SetIntegrations(guids=tuple(then))
    undo = SetIntegrations(guids=tuple(now))
    for guid, each in (now | then).items():
        if not (guid in now and guid in then):
            name = each.name or guid
            texts = (name, None) if guid in now else (None, name)
            yield _change(wanted, texts, Phase.START, action, undo)


def _vanity_path(declared: DeclaredField | None, state: ContentState) -> Iterator[SettingChange]:
    if declared is None:
        return
    now, then = vanity_path(state.vanity_path), vanity_path(declared.value)
    if now != then:
        action, undo = SetVanityPath(path=then), SetVanityPath(path=now)
        yield _change(declared, (now or "none", then or "none"), Phase.AFTER, action, undo)


def _tags(
    wanted: Resolved[Tag] | None, state: ContentState, tree: TagTree
) -> Iterator[SettingChange]:
    """Return which tags are added, then which are removed, the lowest first."""
    if wanted is None:
        return
    has = {each.id for tag in state.tags for each in tree.line(tag)}
    above = {each.id for tag in wanted.entries for each in tree.line(tag)[1:]}
    lowest = {tag.id: tag for tag in wanted.entries if tag.id not in above}
    for tag in lowest.values():
        if tag.id not in has:
            # The server adds what the tag is below as well, and removes it from there down.
            new = [each for each in tree.line(tag) if each.id not in has and each.parent_id]
            action, undo = SetTag(tag=tag, on=True), SetTag(tag=new[-1], on=False)
            yield _change(wanted, (None, tree.path(tag)), Phase.AFTER, action, undo)
    if wanted.whole:
        needed = above | lowest.keys()
        extra = [tag for tag in state.tags if tag.parent_id and tag.id not in needed]
        for tag in sorted(extra, key=lambda tag: -len(tree.line(tag))):
            action, undo = SetTag(tag=tag, on=False), SetTag(tag=tag, on=True)
            yield _change(wanted, (tree.path(tag), None), Phase.AFTER, action, undo)


def _thumbnail(wanted: WantedSettings, state: ContentState) -> Iterator[SettingChange]:
    declared, now, then = wanted.thumbnail, state.thumbnail, wanted.image
    if declared and now != then:
        old, new = (
            "none" if image is None else f"an image of {len(image):,} bytes"
            for image in (now, then)
        )
        action, undo = SetThumbnail(image=then), SetThumbnail(image=now)
        yield _change(declared, (old, new), Phase.AFTER, action, undo)
