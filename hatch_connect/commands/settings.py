"""`settings`: what the content has of what a project can declare; `--export` as its table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias, TypeVar

from hatch_connect.commands.content import deployed_content
from hatch_connect.commands.result import Result
from hatch_connect.connect.json_reader import readable
from hatch_connect.errors import NotFoundError, RefusedError
from hatch_connect.events import Note
from hatch_connect.project.declared import DECLARED, DeclaredKind
from hatch_connect.project.validators import validate_principal
from hatch_connect.ship.declared import TagTree, vanity_path, whole_units

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping

    from hatch_connect.commands.call import Call
    from hatch_connect.connect.content_settings import (
        ContentSettingsClient,
        Integration,
        Permission,
        Scalar,
        Tag,
    )
    from hatch_connect.events import Report

T = TypeVar("T")
_Value: TypeAlias = "str | float | list[str]"

_LONG = 3  # an array of more stands on several lines


def run_settings(call: Call) -> Result:
    """Ask the server. Raises UsageError, ServerError."""
    with deployed_content(call) as found:
        content = found.content
        reading = _Reading(found.client.settings, content.guid, call.report)
        settings = dict(reading.settings(content.app_mode or ""))
        image = reading.told("the thumbnail", reading.client.thumbnail)
    facts = {"guid": content.guid, "settings": settings, "thumbnail": len(image) if image else None}
    picture = f"a picture of {len(image):,} bytes" if image else ""
    if call.options.export:
        name = next(iter(call.options.content), None)
        return Result(lines=tuple(_table(settings, name, picture)), facts=facts)
    texts = {key: ", ".join(v) if isinstance(v, list) else str(v) for key, v in settings.items()}
    shown = {key: readable(text, len(text)) for key, text in texts.items()}
    shown |= {"thumbnail": picture} if picture else {}
    width = max(map(len, shown), default=0)
    return Result(lines=tuple(f"{key:{width}}  {text}" for key, text in shown.items()), facts=facts)


@dataclass(frozen=True, slots=True)
class _Reading:
    """What one piece of content has; what the server does not tell is reported, and left out."""

    client: ContentSettingsClient
    guid: str
    report: Report

    def told(self, what: str, ask: Callable[[str], T]) -> T | None:
        """Return what the server says of the content; None if it does not tell."""
        try:
            return ask(self.guid)
        except NotFoundError:  # an older server, which has no such thing
            return None
        except RefusedError as error:
            self.report(Note(text=f"Could not read {what}: {error.message}"))
            return None

    def settings(self, app_mode: str) -> Iterator[tuple[str, _Value]]:
        """Return what is not the server's default, by the keys of a project, in their order."""
        details = self.client.details(self.guid, ("tags", "vanity_url"))
        permissions = self.told("who may view it", self.client.permissions) or ()
        integrations = self.told("its integrations", self.client.content_integrations) or ()
        lists: dict[str, list[str]] = {
            "viewers": self._people(permissions, "viewer"),
            "collaborators": self._people(permissions, "owner"),
            "tags": _tags(details.tags or ()),
            "integrations": self._integrations(integrations),
        }
        for key, one in DECLARED.items():
            value: _Value | None = lists.get(key)
            if key == "vanity-path":
                value = vanity_path(details.vanity_path)
            elif one.name and one.applies_to(app_mode):
                value = _value(one.kind, details.fields.get(one.name))
            if value or (value == 0 and value is not False):
                yield key, value

    def _people(self, permissions: Collection[Permission], role: str) -> list[str]:
        kinds = {"user", "group"}  # a project can name nobody else
        named = (p for p in permissions if p.role == role and p.principal_type in kinds)
        return [self._person(each) for each in named]

    def _person(self, permission: Permission) -> str:
        """Return a name that means no other, else the GUID."""
        guid, group = permission.principal_guid, permission.principal_type == "group"
        try:
            name = str(self.client.principal("group" if group else "user", guid))
            read_as_group = name.startswith("group:")
            search = self.client.groups if group else self.client.users
            same = search(name.removeprefix("group:")) if read_as_group == group else ()
        except RefusedError:
            return guid
        return name if len(same) == 1 and not validate_principal(name) else guid

    def _integrations(self, has: Collection[Integration]) -> list[str]:
        try:
            known = [each.name for each in self.client.integrations()] if has else []
        except RefusedError:
            known = []
        return [each.name if known.count(each.name) == 1 else each.guid for each in has]


def _tags(tags: Collection[Tag]) -> list[str]:
    """Return the lowest tags: the others come with them."""
    tree, above = TagTree(tuple(tags)), {tag.parent_id for tag in tags}
    return [tree.path(tag) for tag in tags if tag.parent_id and tag.id not in above]


def _value(kind: DeclaredKind, value: Scalar) -> str | float | None:
    """Return the value of a field as a project writes it."""
    if kind is DeclaredKind.ACCESS and isinstance(value, str):
        return value.replace("_", "-")
    if kind is DeclaredKind.SIZE and isinstance(value, int) and value:
        return whole_units(value) or value
    return value


def _table(settings: Mapping[str, _Value], content: str | None, picture: str) -> Iterator[str]:
    """Return the lines of a table that declares this."""
    import tomlkit

    table = tomlkit.table()
    for key, value in settings.items():
        if isinstance(value, list) and len(value) > _LONG:
            array = tomlkit.array().multiline(multiline=True)
            array.extend(value)
            table.add(key, array)
        else:
            table.add(key, value)
    if picture:
        table.add(
            tomlkit.comment(f"thumbnail: {picture} on the server; set it to a file in the project")
        )
    names = ("tool", "hatch-connect", *(("content", content) if content else ()))
    document = tomlkit.document()
    above: tomlkit.TOMLDocument | tomlkit.items.Table = document
    for name in names:
        below = tomlkit.table(is_super_table=True)
        above.add(name, below)
        above = below
    above.add("settings", table)
    for line in tomlkit.dumps(document).rstrip("\n").split("\n"):
        # A terminal would act on what it does not show; in TOML's strings it can be escaped.
        yield "".join(c if c.isprintable() else f"\\U{ord(c):08x}" for c in line)
