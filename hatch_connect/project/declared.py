"""What a project declares of its content on the server: `[tool.hatch-connect.settings]`.

Each key is declared once in `DECLARED`; its reading, "did you mean", its table in
docs/reference/settings.md and the test of every key derive from there.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from enum import Enum
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

from hatch_connect.project.layers import DECLARED_TABLE, Layer, Layers
from hatch_connect.project.reading import read_table
from hatch_connect.project.validators import (
    validate_principal,
    validate_project_file,
    validate_tag,
    validate_vanity_path,
)
from hatch_connect.typed import toml_type

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from hatch_connect.project.content_kind import AppMode
    from hatch_connect.project.validators import Validator

Value: TypeAlias = "str | float | bool | None"


class DeclaredKind(Enum):
    """What a table may say for a key, as the reference words it."""

    TEXT = "a string"
    ACCESS = '`"all"`, `"logged-in"` or `"acl"`'
    INTEGER = "an integer"
    NUMBER = "a number"
    SIZE = 'a size such as "512 MiB", or an integer of bytes'
    SECONDS = "an integer of seconds"
    FLAG = "true or false"
    NAMES = "an array of names (the complete list)"
    ADDED = "an array of names to add"
    PATH = "a path on the server, or false for none"
    FILE = "a file in the project, or false for none"


@dataclass(frozen=True, slots=True, kw_only=True)
class DeclaredKey:
    """How one key of the table is declared.

    `name` is Connect's for a field of the content, "" for what is no field. `least` and `most` are
    the bounds of a number, or of the length of a text. `"default"` goes back to the server's value
    if it is `nullable`. What is `of_processes` means nothing for files that are handed out as they
    are, and what is `of_serving` nothing for documents either, which are only rendered.
    """

    key: str
    kind: DeclaredKind
    doc: str
    example: str
    name: str = ""
    least: int = 0
    most: int = 2**31 - 1
    rule: Validator | None = None
    nullable: bool = False
    of_processes: bool = False
    of_serving: bool = False

    def applies_to(self, app_mode: str) -> bool:
        """Return whether it means anything for content of this app mode, by Connect's name."""
        if self.of_serving and app_mode.endswith("-static"):  # Connect's modes of documents
            return False
        return not (self.of_processes and app_mode == "static")


def _key(kind: DeclaredKind, key: str, doc: str, example: str, **more: Any) -> DeclaredKey:  # noqa: ANN401 - as `DeclaredKey`
    return DeclaredKey(kind=kind, key=key, doc=doc, example=example, **more)


def _field(kind: DeclaredKind, key: str, doc: str, example: str, **more: Any) -> DeclaredKey:  # noqa: ANN401 - as `DeclaredKey`
    """Declare a field of what runs; Connect's name is the key's if `more` has no other."""
    more = {"name": key.replace("-", "_"), "nullable": kind is not DeclaredKind.FLAG} | more
    return _key(kind, key, doc, example, of_processes=True, **more)


_names = partial(_key, DeclaredKind.NAMES)
_added = partial(_key, DeclaredKind.ADDED)
_processes = partial(_field, DeclaredKind.INTEGER, of_serving=True)
_seconds = partial(_field, DeclaredKind.SECONDS, of_serving=True)
_size = partial(_field, DeclaredKind.SIZE, most=2**63 - 1)
_number = partial(_field, DeclaredKind.NUMBER)
_integer = partial(_field, DeclaredKind.INTEGER)
_text = partial(_field, DeclaredKind.TEXT, least=1)

_PEOPLE, _TAGS = {"rule": validate_principal}, {"rule": validate_tag}
_KEYS = (
    _key(
        DeclaredKind.TEXT,
        "description",
        'Description of the content; `""` for none.',
        '"Sales figures for the desks"',
        name="description",
        most=4096,
    ),
    _key(
        DeclaredKind.ACCESS,
        "access",
        "Who can view the content: everyone, everyone who is logged in, or the listed viewers.",
        '"acl"',
        name="access_type",
    ),
    _names(
        "viewers",
        "Users and groups that can view the content.",
        '["group:desks", "ann"]',
        **_PEOPLE,
    ),
    _added("viewers-add", "Additional viewers.", '["group:auditors"]', **_PEOPLE),
    _names("collaborators", "Users and groups that can change the content.", '["bob"]', **_PEOPLE),
    _added("collaborators-add", "Additional collaborators.", '["carol"]', **_PEOPLE),
    _key(
        DeclaredKind.FLAG,
        "allow-removals",
        "Remove entries that the lists do not name without asking.",
        "true",
    ),
    _key(
        DeclaredKind.PATH,
        "vanity-path",
        "Vanity path of the content. Not inherited by other content.",
        '"/sales/"',
        rule=validate_vanity_path,
    ),
    _names("tags", "Tags, each with its category.", '["Department/Finance"]', **_TAGS),
    _added("tags-add", "Additional tags.", '["Region/Europe"]', **_TAGS),
    _key(
        DeclaredKind.FILE,
        "thumbnail",
        "Thumbnail image.",
        '"docs/thumbnail.png"',
        rule=validate_project_file,
    ),
    _names("integrations", "OAuth integrations, by name or GUID.", '["Databricks"]'),
    _processes("min-processes", "Minimum number of running processes.", "1"),
    _processes("max-processes", "Maximum number of processes.", "4", least=1),
    _processes(
        "max-connections-per-process",
        "Maximum number of connections per process.",
        "20",
        name="max_conns_per_process",
        least=1,
    ),
    _number("load-factor", "How eagerly processes are added.", "0.5", most=1, of_serving=True),
    _seconds("idle-timeout", "Stop a process that has been idle for this long.", "120"),
    _seconds("init-timeout", "How long to wait for a process to start.", "60"),
    _seconds("read-timeout", "How long to wait for a response from a process.", "3600"),
    _seconds("connection-timeout", "Close a connection that has been idle for this long.", "3600"),
    _size("memory-request", "Memory to reserve.", '"512 MiB"'),
    _size("memory-limit", "Maximum memory.", '"2 GB"'),
    _number("cpu-request", "CPU cores to reserve.", "0.5"),
    _number("cpu-limit", "Maximum number of CPU cores.", "2"),
    _integer("nvidia-gpu-limit", "Maximum number of NVIDIA GPUs.", "1"),
    _integer("amd-gpu-limit", "Maximum number of AMD GPUs.", "1"),
    _text(
        "image",
        "Image to run in if the bundle does not name one.",
        '"registry/image:1"',
        name="default_image_name",
    ),
    _text("run-as", "UNIX user to run as.", '"reports"'),
    _field(
        DeclaredKind.FLAG, "run-as-current-user", "Run as the user who views the content.", "false"
    ),
    _text(
        "service-account",
        "Kubernetes service account to run as.",
        '"sales"',
        name="service_account_name",
    ),
)

DECLARED = {one.key: one for one in _KEYS}
_LISTS = ("viewers", "collaborators", "tags", "integrations")
_IN_ORDER = (
    ("min-processes", "max-processes"),
    ("memory-request", "memory-limit"),
    ("cpu-request", "cpu-limit"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class DeclaredField:
    """One value that is declared; `called` is its place as a message names it.

    `name` is what Connect calls it (`min_processes`), `key` what a table calls it
    (`min-processes`). `value` is as Connect takes it: bytes for memory, `logged_in` for access,
    an absolute path for the thumbnail. None goes back to the server's default, or removes it.
    """

    key: str
    name: str
    value: Value
    called: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DeclaredNames:
    """A list of names that is declared; if it is `whole`, what it does not name is removed.

    Names are as they are written: `ann`, `group:analysts`, `Department/Finance`, or GUIDs.
    """

    key: str
    names: tuple[str, ...]
    whole: bool
    called: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DeclaredSettings:
    """What is declared for one piece of content on one server; what is not, is None or absent.

    `warnings` are about what is declared and has no effect.
    """

    fields: tuple[DeclaredField, ...] = ()
    viewers: DeclaredNames | None = None
    collaborators: DeclaredNames | None = None
    tags: DeclaredNames | None = None
    integrations: DeclaredNames | None = None
    vanity_path: DeclaredField | None = None
    thumbnail: DeclaredField | None = None
    allow_removals: bool = False
    warnings: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        """Return whether anything is declared."""
        lists = self.viewers, self.collaborators, self.tags, self.integrations
        return any((self.fields, *lists, self.vanity_path, self.thumbnail))


NOTHING = DeclaredSettings()


def read_declared(
    settings: Layers, root: Path, *, content: str | None, mode: AppMode | None
) -> DeclaredSettings:
    """Read the tables `settings` of all layers, key by key; problems join those of the layers."""
    problems = settings.problems
    for table in _tables(settings.everywhere, problems):
        problems += table.unknown()
    declared = replace(settings, layers=tuple(_tables(settings.layers, problems)))
    own = declared.own(content)
    if mode:
        declared = _that_apply(declared, own, mode)
    fields = tuple(field for one in _KEYS if one.name and (field := _read(one, declared, root)))
    for low, high in _IN_ORDER:
        problems += _wrong_order(fields, low, high)
    lists = {key: _read_names(declared, key) for key in _LISTS}
    of_image = _beside_image(settings, next((f for f in fields if f.key == "image"), None))
    return DeclaredSettings(
        fields=fields,
        **lists,
        vanity_path=_read(DECLARED["vanity-path"], own, root),
        thumbnail=_read(DECLARED["thumbnail"], declared, root),
        allow_removals=declared.flag("allow-removals") or False,
        warnings=(*_viewers_for_nothing(fields, lists["viewers"]), *of_image),
    )


def _tables(layers: Iterable[Layer], problems: list[str]) -> list[Layer]:
    return [
        Layer(
            where=(where := f"{layer.where}.{DECLARED_TABLE}"),
            table=read_table(layer.table, DECLARED_TABLE, where, problems),
            keys=frozenset(DECLARED),
        )
        for layer in layers
        if DECLARED_TABLE in layer.table
    ]


def _that_apply(declared: Layers, own: Layers, mode: AppMode) -> Layers:
    """Leave out what means nothing for this content; only its `own` keys are problems there."""
    refused = [one.key for one in _KEYS if not one.applies_to(mode.name)]
    declared.problems.extend(
        f"{own.called(key)} does not apply to {mode.title} content, which runs no processes."
        for key in refused
        if own.found(key)
    )
    return declared.without(refused)


def _read(one: DeclaredKey, declared: Layers, root: Path) -> DeclaredField | None:
    found = declared.found(one.key)
    if found is None:
        return None
    called, value = found
    read: Value = None
    if not (one.nullable and value == "default"):
        try:
            read = _VALUES[one.kind](one, value)
            if one.kind is DeclaredKind.FILE and read is not None:
                read = _file(root, str(read))
        except ValueError as wrong:
            declared.problems.append(f"{called} {wrong}.")
            return None
    return DeclaredField(key=one.key, name=one.name, value=read, called=called)


def _read_names(declared: Layers, key: str) -> DeclaredNames | None:
    """Read a list, and what the same and stronger tables add to it; without a list, only add."""
    names: tuple[str, ...] = ()
    places: list[str] = []
    whole = False
    for layer in reversed(declared.layers):
        for each in (key, f"{key}-add"):
            if each not in layer.table:
                continue
            if each == key:
                names, places, whole = (), [], True
            names += replace(declared, layers=(layer,)).texts(each, DECLARED[each].rule)
            places.append(layer.called(each))
    if not whole and not names:
        return None
    return DeclaredNames(
        key=key, names=tuple(dict.fromkeys(names)), whole=whole, called=" and ".join(places)
    )


def _wrong_order(fields: tuple[DeclaredField, ...], low: str, high: str) -> list[str]:
    numbers = {
        field.key: (field.value, field.called)
        for field in fields
        if isinstance(field.value, int | float)
    }
    if low in numbers and high in numbers and numbers[low][0] > numbers[high][0]:
        return [f"{numbers[low][1]} must not be greater than {numbers[high][1]}."]
    return []


def _beside_image(settings: Layers, image: DeclaredField | None) -> list[str]:
    """Compare a default image with the image of other tables: a server's sets the same."""
    other = settings.strongest("image")
    if other is None or other.where is None or image is None:
        return []
    if ".on." not in other.where:
        where = other.called("image")
        return [f"{image.called} has no effect: the bundle sets its own image ({where})."]
    if other.table["image"] != image.value:
        both = f"{image.called} and {other.called('image')}"
        settings.problems.append(f"{both} both set the content's image. Remove one of them.")
    return []


def _viewers_for_nothing(
    fields: tuple[DeclaredField, ...], viewers: DeclaredNames | None
) -> list[str]:
    access = next((field for field in fields if field.name == "access_type"), None)
    if not access or not viewers or not viewers.names or access.value == "acl":
        return []
    who = "anyone" if access.value == "all" else "anyone who is logged in"
    return [f"{viewers.called} has no effect: {access.called} lets {who} view the content."]


def _wrong(expected: str, value: object) -> ValueError:
    return ValueError(f"must be {expected}, not {toml_type(value)}")


def _read_text(one: DeclaredKey, value: object) -> str:
    if not isinstance(value, str):
        raise _wrong("a string", value)
    if one.least and not (value.strip() and value.isprintable()):
        raise ValueError("must be one line of text, and not empty")
    if len(value) > one.most:
        raise ValueError(f"must be at most {one.most:,} characters long, not {len(value):,}")
    return value


def _read_access(_: DeclaredKey, value: object) -> str:
    expected = '"all", "logged-in" or "acl"'
    if not isinstance(value, str):
        raise _wrong(expected, value)
    access = value.replace("-", "_")
    if access not in {"all", "logged_in", "acl"}:
        raise ValueError(f"must be {expected}, not {value!r}")
    return access


def _read_number(one: DeclaredKey, value: object) -> float:
    kinds = int | float if one.kind is DeclaredKind.NUMBER else int
    if not isinstance(value, kinds) or isinstance(value, bool):
        raise _wrong(one.kind.value, value)
    if one.least <= value <= one.most:  # which NaN is not
        return value
    raise ValueError(f"must be between {one.least:,} and {one.most:,}")


_SIZE = re.compile(r"([0-9]{1,20})(?:\.([0-9]{1,20}))? ?(?:([kmgt])(i)?)?b", re.IGNORECASE)


def _read_size(one: DeclaredKey, value: object) -> float:
    """Return bytes: `MB` are a million, `MiB` 1,048,576."""
    if not isinstance(value, str):
        return _read_number(one, value)
    found = _SIZE.fullmatch(value.strip())
    if found is None:
        raise ValueError(f'must be a size such as "512 MiB" or "2 GB", not {value!r}')
    whole, decimals, prefix, binary = found.groups(default="")
    power = "kmgt".index(prefix.lower()) + 1 if prefix else 0
    unit = (1024 if binary else 1000) ** power
    size, rest = divmod(int(whole + decimals) * unit, 10 ** len(decimals))
    if rest:
        raise ValueError(f"must be a whole number of bytes, and {value!r} is not")
    return _read_number(one, size)


def _read_flag(one: DeclaredKey, value: object) -> bool:
    if not isinstance(value, bool):
        raise _wrong(one.kind.value, value)
    return value


def _read_ruled(one: DeclaredKey, value: object) -> str | None:
    """Read a text that has a rule; None for `false`."""
    if value is False:
        return None
    if value is True:
        raise ValueError("must be a string or false, not true")
    if not isinstance(value, str):
        raise _wrong("a string or false", value)
    if wrong := one.rule and one.rule(value):
        raise ValueError(wrong)
    return value


def _read_path(one: DeclaredKey, value: object) -> str | None:
    """Return a path as Connect answers it: `/sales/`."""
    path = _read_ruled(one, value)
    return path and f"/{path.strip('/')}/"


def _file(root: Path, text: str) -> str:
    try:
        path = (root / text).resolve()
        inside, there = path.is_relative_to(root.resolve()), path.is_file()
        empty = there and not path.stat().st_size
    except (OSError, RuntimeError, ValueError):  # a name too long, links in a circle, a NUL
        inside, there, empty = True, False, False
    if not inside:
        raise ValueError("must be a file inside the project")
    if not there:
        raise ValueError(f"names a file that does not exist: {text!r}")
    if empty:
        raise ValueError(f"names an empty file: {text!r}")
    return str(path)


_VALUES: dict[DeclaredKind, Callable[[DeclaredKey, object], Value]] = {
    DeclaredKind.TEXT: _read_text,
    DeclaredKind.ACCESS: _read_access,
    DeclaredKind.INTEGER: _read_number,
    DeclaredKind.NUMBER: _read_number,
    DeclaredKind.SIZE: _read_size,
    DeclaredKind.SECONDS: _read_number,
    DeclaredKind.FLAG: _read_flag,
    DeclaredKind.PATH: _read_path,
    DeclaredKind.FILE: _read_ruled,
}
