"""Makes the changes of what is declared, and takes them back if the deployment fails."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, assert_never

from hatch_connect.connect.codes import Code
from hatch_connect.connect.content_settings import blamed
from hatch_connect.connect.retries import is_uncertain
from hatch_connect.errors import NotFoundError, RefusedError, ServerError
from hatch_connect.events import Step, Warned
from hatch_connect.ship.declared import (
    NOTHING_DIFFERS,
    Grant,
    Phase,
    Revoke,
    SetFields,
    SetIntegrations,
    SetTag,
    SetThumbnail,
    SetVanityPath,
    about,
    is_same,
    not_known,
    shown,
)

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Iterator, Mapping

    from hatch_connect.connect.client import ConnectClient
    from hatch_connect.connect.content_settings import ContentSettingsClient, Scalar
    from hatch_connect.events import Report
    from hatch_connect.ship.declared import Action, SettingChange


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Write:
    """One request that makes changes; `undo` is None if nothing puts back what was there."""

    changes: tuple[SettingChange, ...]
    action: Action
    undo: Action | None

    def __str__(self) -> str:
        return ", ".join(map(str, self.changes))


class AppliedSettings:
    """What was changed on the content so far, as far as it was not put back.

    `compared` is what all changes are a part of.
    """

    def __init__(self, client: ConnectClient, report: Report) -> None:
        self.compared = NOTHING_DIFFERS
        self._client = client
        self._report = report
        self._made: tuple[_Write, ...] = ()
        self._doubtful: tuple[_Write, ...] = ()  # whose answer did not come
        self._put_back: tuple[_Write, ...] = ()
        self._why_not = ""
        self._said: set[str] = set()

    @property
    def changes(self) -> tuple[SettingChange, ...]:
        """The changes that were made and stay."""
        return tuple(change for write in self._made for change in write.changes)

    def apply(self, guid: str, changes: Iterable[SettingChange]) -> None:
        """Make changes, in order, with as few requests as they take.

        What this version of Connect turns out not to know is left out, or an error with `strict`:
        a field of new content, or a thumbnail. Raises ServerError, which names the settings of the
        request.
        """
        for write in _writes(changes):
            try:
                self._make(guid, write)
            except RefusedError as error:
                if self.compared.strict or not _is_unknown(write, error):
                    raise
                for each in _writes(self._known(guid, write)):
                    self._make(guid, each)

    def _make(self, guid: str, write: _Write) -> None:
        self._report(Step(text=f"Setting {write}"))
        self._doubtful = (write,)
        try:
            self._carry_out(guid, write.action)
        except ServerError as error:
            if not is_uncertain(error):
                self._doubtful = ()
            with about(" and ".join(dict.fromkeys(_blamed(write, error)))):
                raise
        self._made, self._doubtful = (*self._made, write), ()

    def _known(self, guid: str, write: _Write) -> Iterator[SettingChange]:
        """Return the changes of fields that the content has, and warn of others."""
        fields = self._client.settings.details(guid).fields
        for change in write.changes:
            action = change.action
            if isinstance(action, SetFields) and action.values.keys() <= fields.keys():
                yield change
            else:
                self._report(Warned(text=not_known(change.called)))

    def put_back(self, guid: str, phases: Container[Phase] = tuple(Phase)) -> None:
        """Put back what was there before, the last change first, as far as the server lets us."""
        # Who was let in goes last: what runs, and those who lost access, matter more.
        made = reversed((*self._made, *self._doubtful))
        for write in sorted(made, key=lambda write: isinstance(write.undo, Revoke)):
            if write.undo is None or write.changes[0].phase not in phases:
                continue
            try:
                self._carry_out(guid, write.undo)
            except ServerError as error:
                self._why_not = self._why_not or error.message
                if not isinstance(error, RefusedError):
                    return  # nothing else arrives either
            else:
                self._made, self._doubtful = (
                    tuple(each for each in those if each is not write)
                    for those in (self._made, self._doubtful)
                )
                self._put_back = (*self._put_back, write)

    def remains(self) -> Iterator[str]:
        """Return what was changed, and what was put back."""
        if self._made:
            yield f"its settings remain changed ({_listed(self._made)})"
        if self._doubtful:
            yield f"its settings may have been changed ({_listed(self._doubtful)})"
        if self._why_not:
            yield f"they could not be restored ({self._why_not})"
        if self._put_back:
            yield f"its settings were restored ({_listed(reversed(self._put_back))})"

    def _carry_out(self, guid: str, action: Action) -> None:  # noqa: C901 - one case an action
        settings = self._client.settings
        match action:
            case SetFields():
                self._set_fields(settings, guid, action)
            case Grant():
                settings.grant(guid, action.principal, action.role)
            case Revoke():
                _revoke(settings, guid, action)
            case SetVanityPath() if action.path:
                settings.set_vanity_path(guid, action.path)
            case SetVanityPath():
                settings.remove_vanity_path(guid)
            case SetTag(on=True):
                settings.add_tag(guid, action.tag)
            case SetTag():
                settings.remove_tag(guid, action.tag)
            case SetThumbnail() if action.image:
                settings.set_thumbnail(guid, action.image)
            case SetThumbnail():
                settings.remove_thumbnail(guid)
            case SetIntegrations():
                settings.set_integrations(guid, action.guids)
            case _:
                assert_never(action)

    def _set_fields(self, settings: ContentSettingsClient, guid: str, action: SetFields) -> None:
        now = settings.update(guid, action.values).fields
        for name, value in action.values.items():
            if name in now and value is not None and not is_same(now[name], value):
                text = f"The server set {name} to {shown(name, now[name])}, not to "
                self._report(Warned(text=f"{text}{shown(name, value)}."))
        self._look_for_changes(now)

    def active_now(self, guid: str) -> str | None:
        """Return the active bundle; the same answer tells what somebody changed meanwhile."""
        if not self.compared.same:
            return self._client.content(guid).bundle_id
        now = self._client.settings.details(guid).fields
        self._look_for_changes(now)
        return str(now["bundle_id"]) if now.get("bundle_id") else None

    def _look_for_changes(self, now: Mapping[str, Scalar]) -> None:
        for each in self.compared.same:
            name = each.name
            if name in now and name not in self._said and not is_same(now[name], each.value):
                self._said.add(name)
                text = f"{each.called} was changed on the server in the meantime, to "
                text += f"{shown(name, now[name])}: the next deployment will set it again."
                self._report(Warned(text=text))


def _is_unknown(write: _Write, error: RefusedError) -> bool:
    """Return whether a change was refused because the server is too old to know it."""
    if isinstance(write.action, SetThumbnail):
        return write.action.image is not None and isinstance(error, NotFoundError)
    unknown_field = error.code == Code.INVALID_JSON and isinstance(write.action, SetFields)
    return unknown_field and write.undo is None


def _blamed(write: _Write, error: ServerError) -> list[str]:
    """Return the places of what was refused: of all that was sent, if the code says no more."""
    fields = blamed(error.code) if isinstance(error, RefusedError) else frozenset()
    found = [
        change.called
        for change in write.changes
        if isinstance(change.action, SetFields) and fields & change.action.values.keys()
    ]
    return found or [change.called for change in write.changes]


def _writes(changes: Iterable[SettingChange]) -> Iterator[_Write]:
    """Return the requests that make changes: one for all fields, and one for all integrations."""
    together: dict[object, list[SettingChange]] = {}
    for change in changes:
        alone = change.action
        key = type(alone) if isinstance(alone, SetFields | SetIntegrations) else alone
        together.setdefault(key, []).append(change)
    for its in together.values():
        action, undo = its[0].action, its[0].undo
        if isinstance(action, SetFields):
            action = _merged(change.action for change in its)
            undo = _merged(change.undo for change in its) if undo else None
        yield _Write(changes=tuple(its), action=action, undo=undo)


def _merged(actions: Iterable[Action | None]) -> SetFields:
    fields = (action.values for action in actions if isinstance(action, SetFields))
    return SetFields(values={name: value for each in fields for name, value in each.items()})


def _revoke(settings: ContentSettingsClient, guid: str, action: Revoke) -> None:
    permission, principal = action.permission, action.principal
    if permission is None:
        known = (p for p in settings.permissions(guid) if p.principal_guid == principal.guid)
        permission = next(known, None)
    if permission:
        settings.revoke(guid, permission)


def _listed(writes: Iterable[_Write]) -> str:
    return ", ".join(map(str, writes))
