"""What is declared of content, compared with a server: read, resolved, and checked.

Everything is found out before anything is built or changed, and all that is wrong is said at once.
"""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from hatch_connect.connect.content_settings import Principal, ServerLimits, Tag
from hatch_connect.connect.resources import Feature
from hatch_connect.errors import ConfigurationError, NotFoundError, RefusedError
from hatch_connect.ship.declared import (
    ACCESS,
    ComparedSettings,
    ContentState,
    Grant,
    Resolved,
    TagTree,
    WantedSettings,
    about,
    differences,
    is_same,
    not_known,
    shown,
    vanity_path,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from hatch_connect.connect.client import ConnectClient
    from hatch_connect.connect.content_settings import (
        Include,
        Integration,
        PrincipalType,
        Scalar,
    )
    from hatch_connect.connect.records import Changed
    from hatch_connect.connect.resources import Content, ServerSettings, User
    from hatch_connect.project.declared import DeclaredField, DeclaredNames, DeclaredSettings
    from hatch_connect.ship.declared import SettingChange

N = TypeVar("N", bound="Principal | Tag | Integration")  # what has a name on the server

_GUID = re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}", re.IGNORECASE)
_GROUP = "group:"
# Of which fields a server says how much content may have at most.
_LIMITS = {
    "min_processes": "min_processes_limit",
    "max_processes": "max_processes_limit",
    **{
        name: f"max_{name}"
        for kind in ("memory", "cpu")
        for name in (f"{kind}_request", f"{kind}_limit")
    },
    "amd_gpu_limit": "max_amd_gpu_limit",
    "nvidia_gpu_limit": "max_nvidia_gpu_limit",
}
_IN_ORDER = (
    ("min_processes", "max_processes"),
    ("memory_request", "memory_limit"),
    ("cpu_request", "cpu_limit"),
)
_ADMINISTRATORS = {"run_as", "run_as_current_user", "service_account_name"}
# What means something only if content runs in containers.
_OFF_HOST = {*_LIMITS, "service_account_name", "default_image_name"}
_OFF_HOST -= {"min_processes", "max_processes"}
_ON_HOST = {"local", "native", "launcher-local"}
# What new content has of the fields that only administrators may send, whatever the value.
_NEW = ContentState(new=True, fields={"run_as_current_user": False})


@dataclass(frozen=True, slots=True, kw_only=True)
class SettingsRequest:
    """What is declared, of which content: None for new content; `user` is the key's, if any.

    With `strict`, what the server's version does not know is an error. `changed` are fields that an
    earlier call has set, and may have to put back: they count as not set so far.
    """

    declared: DeclaredSettings
    content: Content | None
    user: User | None
    app_mode: str
    server: ServerSettings
    strict: bool = False
    changed: Changed = field(default_factory=dict)


def compare_settings(client: ConnectClient, request: SettingsRequest) -> ComparedSettings:
    """Compare what is declared with what the content has, and ask for nothing else.

    Raises ConfigurationError with all that cannot be had on this server, or ServerError.
    """
    comparison = _Comparison(client, request)
    changes = comparison.changes()
    if comparison.problems:
        where = f"Declared settings cannot be applied on {client.server.url}"
        raise ConfigurationError(tuple(comparison.problems), where=where)
    return ComparedSettings(
        changes=changes,
        same=comparison.same,
        left_out=tuple(comparison.left_out),
        strict=request.strict,
    )


class _Comparison:
    """One comparison, with what is found out on the way."""

    def __init__(self, client: ConnectClient, request: SettingsRequest) -> None:
        self._client = client.settings
        self._request = request
        self._known: dict[str, tuple[Principal, ...]] = {}
        self.same: tuple[DeclaredField, ...] = ()
        self.problems: list[str] = []
        self.left_out: list[str] = []

    def changes(self) -> tuple[SettingChange, ...]:
        """Return what must change, as far as nothing is wrong."""
        declared, content = self._known_features(self._request.declared), self._request.content
        state = self._state(declared, content) if content else _NEW
        fields = tuple(f for f in declared.fields if content is None or self._is_known(f, state))
        tree = TagTree()
        if declared.tags:
            with about(declared.tags.called):
                tree = TagTree(self._client.tags())
        user = self._request.user
        wanted = WantedSettings(
            fields=fields,
            viewers=self._people(declared.viewers),
            collaborators=self._people(declared.collaborators, collaborate=True),
            tags=self._tags(declared.tags, tree),
            integrations=self._integrations(declared.integrations),
            vanity_path=declared.vanity_path,
            thumbnail=declared.thumbnail,
            image=self._image(declared.thumbnail),
            own=user.guid if user else None,
            owner=content.owner_guid if content else user.guid if user else None,
        )
        same = [each for each in fields if is_same(each.value, state.fields.get(each.name))]
        self.same = () if state.new else tuple(same)
        self._check_values([each for each in fields if each not in same], state)
        self._check_path(declared.vanity_path, state)
        changes = differences(wanted, state, tree)
        lost = [each.undo.principal for each in changes if isinstance(each.undo, Grant)]
        if unnamed := [each for each in lost if each.name == each.guid]:
            # Who is only known by a permission is asked for if it is taken away.
            names = {each.guid: self._name_of(each) for each in unnamed}
            changes = differences(wanted, replace(state, principals=names), tree)
        self._note_own(wanted, state)
        self._check_own(wanted, state)
        return changes

    def _note_own(self, wanted: WantedSettings, state: ContentState) -> None:
        """Note that the key's own user stays, if a whole list does not name them."""
        for permission in state.permissions:
            resolved = wanted.collaborators if permission.role == "owner" else wanted.viewers
            if permission.principal_guid != wanted.own or not (resolved and resolved.whole):
                continue
            if wanted.own not in {each.guid for each in resolved.entries}:
                self.left_out.append(
                    f"{resolved.called} does not name the user of this API key, who keeps access."
                )

    def _check_own(self, wanted: WantedSettings, state: ContentState) -> None:
        """Find a list that takes the key's own right away, which it has by a group only."""
        people, user = wanted.collaborators, self._request.user
        if not (people and people.whole and user) or user.role in {"administrator", ""}:
            return
        may = {p.principal_guid: p.principal_type for p in state.permissions if p.role == "owner"}
        stay = {each.guid: each.type for each in people.entries}
        alone = user.guid == wanted.owner or user.guid in may | stay
        if not alone and "group" in may.values() and "group" not in stay.values():
            self.problems.append(
                f"{people.called} names neither {user.username} nor a group, but the user of this"
                " API key can change the content only through a group."
            )

    def _known_features(self, declared: DeclaredSettings) -> DeclaredSettings:
        """Leave out what this version of Connect does not know."""
        supports = self._request.server.supports
        if declared.thumbnail and supports(Feature.THUMBNAIL) is False:
            self._leave_out(declared.thumbnail.called)
            declared = replace(declared, thumbnail=None)
        if declared.integrations and supports(Feature.INTEGRATIONS) is False:
            self._leave_out(declared.integrations.called)
            declared = replace(declared, integrations=None)
        return declared

    def _leave_out(self, called: str) -> None:
        if self._request.strict:
            self.problems.append(
                f"{called} is not supported by this version of Connect (`strict`)."
            )
        else:
            self.left_out.append(not_known(called))

    def _state(self, declared: DeclaredSettings, content: Content) -> ContentState:
        """Read what the content has of what is declared."""
        include: list[Include] = []
        include += ["tags"] if declared.tags else []
        include += ["vanity_url"] if declared.vanity_path else []
        state, guid = ContentState(unseen=content.bundle_id is None), content.guid
        if declared.fields or include:
            details = self._client.details(guid, include)
            had = {
                name: before
                for name, (before, after) in self._request.changed.items()
                if name in details.fields and is_same(details.fields[name], after)
            }
            state = replace(
                state,
                fields={**details.fields, **had},
                tags=details.tags or (),
                vanity_path=details.vanity_path,
            )
        if people := declared.viewers or declared.collaborators:
            with about(people.called):
                state = replace(state, permissions=self._client.permissions(guid))
        if declared.integrations:
            # A server that hides its version may be older than these.
            with suppress(NotFoundError), about(declared.integrations.called):
                state = replace(state, integrations=self._client.content_integrations(guid))
        if declared.thumbnail:
            with about(declared.thumbnail.called):
                state = replace(state, thumbnail=self._client.thumbnail(guid))
        return state

    def _is_known(self, field: DeclaredField, state: ContentState) -> bool:
        if field.name in state.fields:
            return True
        self._leave_out(field.called)
        return False

    def _meant(
        self, declared: DeclaredNames, what: str, find: Callable[[str], tuple[N, ...]]
    ) -> list[N]:
        """Return what each name means; a problem is what means nothing here, or several."""
        found: list[N] = []
        for name in declared.names:
            fits = find(name)
            if len(fits) == 1:
                found += fits
                continue
            kind = "group" if what == "user" and name.startswith(_GROUP) else what
            known = "; it knows only users who have logged in before" if kind == "user" else ""
            ids = ", ".join(each.id if isinstance(each, Tag) else each.guid for each in fits)
            has = f"has several: {ids}" if fits else f"has no such {kind}{known}"
            self.problems.append(f"{declared.called} names {name!r}, and the server {has}.")
        return found

    def _people(
        self, declared: DeclaredNames | None, *, collaborate: bool = False
    ) -> Resolved[Principal] | None:
        if declared is None:
            return None
        with about(declared.called):
            found = self._meant(declared, "user", self._principals)
        self.problems += [
            f"{declared.called} names {str(each)!r}, whose account can only view content."
            for each in found
            if collaborate and each.user_role == "viewer"
        ]
        return _resolved(declared, found)

    def _principals(self, name: str) -> tuple[Principal, ...]:
        if name not in self._known:
            self._known[name] = self._asked_principals(name)
        return self._known[name]

    def _asked_principals(self, name: str) -> tuple[Principal, ...]:
        user = self._request.user
        if user and name in {user.username, user.guid}:
            guid, role = user.guid, user.role
            return (Principal(type="user", guid=guid, name=user.username, user_role=role),)
        of_group, bare = name.startswith(_GROUP), name.removeprefix(_GROUP)
        if _GUID.fullmatch(bare):
            return self._by_guid(bare, ("group",) if of_group else ("user", "group"))
        return self._client.groups(bare) if of_group else self._client.users(name)

    def _by_guid(self, guid: str, kinds: tuple[PrincipalType, ...]) -> tuple[Principal, ...]:
        for kind in kinds:
            try:
                return (self._client.principal(kind, guid.lower()),)
            except NotFoundError:
                continue
        return ()

    def _tags(self, declared: DeclaredNames | None, tree: TagTree) -> Resolved[Tag] | None:
        if declared is None:
            return None
        found = self._meant(declared, "tag", tree.named)
        self.problems += [
            f"{declared.called} names {each.name!r}, which is a category, not a tag."
            for each in found
            if each.parent_id is None
        ]
        return _resolved(declared, found)

    def _integrations(self, declared: DeclaredNames | None) -> Resolved[Integration] | None:
        if declared is None:
            return None
        known: tuple[Integration, ...] = ()
        try:
            with about(declared.called):
                known = self._client.integrations() if declared.names else ()
        except NotFoundError:
            self._leave_out(declared.called)
            return None
        found = self._meant(
            declared,
            "OAuth integration",
            lambda name: tuple(each for each in known if name in {each.guid, each.name}),
        )
        several = self._request.server.supports(Feature.SEVERAL_INTEGRATIONS)
        if len(found) > 1 and several is False:
            later = "this requires Connect 2025.07 or later"
            self.problems.append(f"{declared.called} names several; {later}.")
        return _resolved(declared, found)

    def _image(self, declared: DeclaredField | None) -> bytes | None:
        if declared is None or not isinstance(declared.value, str):
            return None
        try:
            return Path(declared.value).read_bytes()
        except OSError as error:
            self.problems.append(f"{declared.called} cannot be read: {error.strerror}.")
            return None

    def _check_values(self, changed: list[DeclaredField], state: ContentState) -> None:
        """Find what the server would refuse, of the fields that are to change."""
        names = {each.name for each in changed if each.value not in {None, ""}}
        limits = ServerLimits()
        if names & {ACCESS, "run_as_current_user", *_LIMITS, *_OFF_HOST}:
            limits = self._client.limits(
                self._request.app_mode if names & _LIMITS.keys() else None,
                access=ACCESS in names,
                settings=bool(names & {"run_as_current_user", *_OFF_HOST}),
            )
        for each in changed:
            self.problems += self._not_allowed(each)
            if each.name in names:
                self.problems += _refused(each, limits)
        fields = {**state.fields, **{each.name: each.value for each in changed}}
        defaults = {name: value for name, value in limits.scheduler.items() if value}  # 0: no limit
        values = {**defaults, **{n: v for n, v in fields.items() if v is not None}}
        for low, high in _IN_ORDER:
            places = [each.called for each in changed if each.name in {low, high}]
            if places and (text := _out_of_order(values, low, high)):
                self.problems.append(f"{' and '.join(places)} cannot be set: {text}.")

    def _check_path(self, declared: DeclaredField | None, state: ContentState) -> None:
        """Find other content that has the path, or one above or below it."""
        wanted = vanity_path(declared.value) if declared else None
        if not (declared and wanted) or wanted == vanity_path(state.vanity_path):
            return
        own = self._request.content
        paths = {guid: vanity_path(path) for guid, path in self._client.vanity_paths().items()}
        self.problems += [
            f"{declared.called} is taken: content {guid} has the path {path}."
            for guid, path in paths.items()
            if path and (path.startswith(wanted) or wanted.startswith(path))
            if own is None or guid != own.guid
        ]

    def _not_allowed(self, field: DeclaredField) -> Iterator[str]:
        user = self._request.user
        if field.name in _ADMINISTRATORS and user and user.role not in {"administrator", ""}:
            who = f"{user.username} is a {user.role}"
            yield f"{field.called} can only be changed by administrators, and {who}."

    def _name_of(self, principal: Principal) -> Principal:
        try:
            return self._client.principal(principal.type, principal.guid)
        except RefusedError:
            return principal


def _out_of_order(values: Mapping[str, Scalar], low: str, high: str) -> str:
    least, most = values.get(low), values.get(high)
    if not (isinstance(least, int | float) and isinstance(most, int | float) and least > most):
        return ""
    return f"{low} would be {shown(low, least)}, and {high} {shown(high, most)}"


def _refused(field: DeclaredField, limits: ServerLimits) -> Iterator[str]:
    name, value, called = field.name, field.value, field.called
    told, types = limits.settings, limits.access_types
    most = limits.scheduler.get(_LIMITS.get(name, ""), 0)
    if most and isinstance(value, int | float) and value > most:
        yield (
            f"{called} is {shown(name, value)}, but this server allows at most {shown(name, most)}."
        )
    if name == ACCESS and types is not None and value not in types:
        known = ", ".join(shown(ACCESS, each) for each in types)
        yield f"{called} is {shown(name, value)}, but this server only allows {known}."
    if name == "run_as_current_user" and value and told.get("current-user-execution") is False:
        yield f"{called} is not covered by the server's licence."
    if name in _OFF_HOST and str(told.get("execution_type")).lower() in _ON_HOST:
        yield f"{called} has no effect on this server, which runs content on its own machine."
    elif name == "default_image_name" and told.get("default_image_selection_enabled") is False:
        yield f"{called} cannot be set: this server does not allow an image to be chosen."


def _resolved(declared: DeclaredNames, found: list[N]) -> Resolved[N]:
    return Resolved(
        key=declared.key, called=declared.called, whole=declared.whole, entries=tuple(found)
    )
