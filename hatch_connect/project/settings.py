"""Every setting of `[tool.hatch-connect]`, declared once.

The keys, their reading (`layers`), the options that override them (`options`), "did you mean", the
tables of docs/reference/settings.md and the test of every setting derive from the fields here.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from enum import Enum
from functools import partial
from typing import TYPE_CHECKING, Any

from hatch_connect.project.validators import (
    Validator,
    one_of,
    validate_audience,
    validate_content_name,
    validate_guid,
    validate_project_file,
    validate_server,
    validate_title,
    validate_variable,
    validate_verify_path,
)

if TYPE_CHECKING:
    from hatch_connect.project.content_kind import AppMode
    from hatch_connect.secret import Secret


class SettingKind(Enum):
    """What a table may say for a setting, and what `Settings` holds of it."""

    TEXT = "a string"  # str | None
    KEEP = 'a string, which may be "keep"'  # bool: whether it is
    FLAG = "true or false"  # bool
    TEXTS = "an array of strings"  # tuple[str, ...] of the strongest table
    ADDED = "an array of strings; a call adds to it"  # tuple[str, ...]
    NAMES = "an array of names; a call adds to it"  # tuple[str, ...], normalized
    VARIABLES = "an array of variables; tables add to one another"  # tuple[EnvironmentEntry, ...]
    NOTES = "a table of values, or false"  # pairs, or None
    LANGUAGES = "true or false, or a table of them by language"  # EnvironmentManagement | None
    VERIFICATION = "true, false or a table; tables add to one another"  # Verification | None
    CONTENT = "what tells the kind of the content; `Project.content` reads them together"


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """How one setting is declared.

    `field` is that of `Settings`; `part` is its part of the reference. `rule` checks each text.
    `otherwise` says what counts by default if `default` does not. A table for one server holds it
    if `on_server`; no other content inherits it if it is of the `identity`; `[tool.rsconnect]` has
    it, with an underscore, if `official`; no table has it if `call_only`.
    """

    key: str
    field: str
    kind: SettingKind
    part: str
    doc: str
    example: str
    default: object = None
    rule: Validator | None = None
    otherwise: str = ""
    on_server: bool = False
    identity: bool = False
    official: bool = False
    call_only: bool = False
    names_python: bool = False


_DEFAULTS: dict[SettingKind, object] = {
    **dict.fromkeys((SettingKind.FLAG, SettingKind.KEEP), False),
    **dict.fromkeys((SettingKind.TEXTS, SettingKind.ADDED, SettingKind.NAMES), ()),
    SettingKind.VARIABLES: (),
}


_EXAMPLES = {SettingKind.FLAG: "true", SettingKind.KEEP: '"keep"'}


def _setting(kind: SettingKind, part: str, doc: str, example: str = "", **more: Any) -> Any:  # noqa: ANN401 - as dataclasses.field
    """Declare a field of `Settings`; `more` as in `Setting`.

    The key is the field's name with dashes, if `more` has no other. What is of the server may
    differ on one.
    """
    example = example or _EXAMPLES[kind]
    more.setdefault("on_server", part == "server")
    default = more.setdefault("default", _DEFAULTS.get(kind))
    declared = {"kind": kind, "part": part, "doc": doc, "example": example, **more}
    return field(default=default, metadata=declared)


_text = partial(_setting, SettingKind.TEXT)
_keep = partial(_setting, SettingKind.KEEP)
_flag = partial(_setting, SettingKind.FLAG)
_texts = partial(_setting, SettingKind.TEXTS)
_added = partial(_setting, SettingKind.ADDED)
_names = partial(_setting, SettingKind.NAMES)
_content = partial(_setting, SettingKind.CONTENT)


@dataclass(frozen=True, slots=True, kw_only=True)
class EnvironmentEntry:
    """One environment variable; a bare name takes its value from the environment of the call."""

    name: str
    value: Secret | None


@dataclass(frozen=True, slots=True, kw_only=True)
class EnvironmentManagement:
    """Whether the server installs the packages of each language; None: as the server decides."""

    python: bool | None = None
    r: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """How content is verified; the table `verify` holds these fields, with dashes.

    Each of `paths` below the content's URL must answer with one of `status` (if there are none:
    anything below 500), and with `text` in it. `timeout` bounds each visit, None as any request.
    A visit that fails is repeated `retries` times, after `pause` seconds each. `again` visits the
    content once more so long after it was activated and has answered. `rolls_back` tells that what
    was active before comes back if the content does not answer then.
    """

    paths: tuple[str, ...] = ("",)
    status: tuple[int, ...] = ()
    text: str | None = None
    timeout: float | None = None
    pause: float = 5.0
    retries: int = 0
    again: bool = False
    rolls_back: bool = False


AS_USUAL = Verification()


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What the settings say of one piece of content, defaults filled in.

    Each field names its part of the reference, what it is for, and an example. They are read in
    this order, which is that of their problems. The bundle is the same for every server: an image
    that differs there is set as the content's own, not in the manifest. `entrypoint` is as in the
    manifest; `rendered` is a notebook of which only the HTML ships. `metadata_of_bundle` is None
    for `false`. `verify` is None for not asking, and holds the path of `verify_path`.
    `environment_management` and `package_installer` are None if the server decides.
    """

    app_mode: AppMode = _setting(
        SettingKind.CONTENT,
        "content",
        "The kind of content, by Connect's name or a [short name](content-types.md).",
        '"fastapi"',
        default=dataclasses.MISSING,
        official=True,
    )
    entrypoint: str | None = _content(
        "content",
        "What starts: MODULE:OBJECT, or a file.",
        '"sales_api.main:app"',
        otherwise="found",
        official=True,
    )
    hide_all_input: bool = _content("content", "Hide a notebook's code.", "true", default=False)
    hide_tagged_input: bool = _content("content", "Hide tagged code.", "true", default=False)
    rendered: str | None = _content(
        "content", "Ship a notebook as HTML.", "true", otherwise="`false`", key="static"
    )
    title: str | None = _text(
        "content",
        "The content's title.",
        '"Sales API"',
        rule=validate_title,
        otherwise="the shown file's name, else the content's",
        on_server=True,
        official=True,
    )
    content_name: str = _text(
        "content",
        "The name by which the content is found on the server.",
        '"sales"',
        rule=validate_content_name,
        otherwise="the project's name",
        on_server=True,
        identity=True,
    )
    image: str | None = _text(
        "runtime",
        "Build and run in this image.",
        '"registry/image:1"',
        otherwise="the server's choice",
        on_server=True,
    )
    environment_management: EnvironmentManagement | None = _setting(
        SettingKind.LANGUAGES,
        "runtime",
        "Whether the server installs packages; by language: `{ python = false }`.",
        "false",
        otherwise="the server's choice",
    )
    package_installer: str | None = _text(
        "runtime",
        "Let the server install with pip or with uv.",
        '"uv"',
        rule=one_of("pip", "uv"),
        otherwise="the server's choice",
    )
    lock: str | None = _text(
        "packages",
        "Take the packages from this lock file.",
        '"locks/uv.lock"',
        rule=validate_project_file,
        otherwise="found",
        names_python=True,
    )
    requirements_file: str | None = _text(
        "packages",
        "Ship this requirements file as it is.",
        '"requirements/web.txt"',
        rule=validate_project_file,
        official=True,
        names_python=True,
    )
    force_generate: bool = _flag(
        "packages", "Ship an interpreter's packages, not the lock's.", call_only=True
    )
    hatch_env: str = _text(
        "packages",
        "The Hatch environment whose lock and Python count.",
        '"prod"',
        default="default",
    )
    extras: tuple[str, ...] = _names("packages", "Ship this extra's packages too.", '["charts"]')
    groups: tuple[str, ...] = _names("packages", "Ship this group's packages too.", '["prod"]')
    python_version: str | None = _text(
        "packages",
        "The Python to ask for, or a range of them.",
        '"3.12"',
        otherwise="found",
        names_python=True,
    )
    override_python_version: str | None = _text(
        "packages", "The Python to ask for.", '"3.12"', call_only=True, names_python=True
    )
    strict: bool = _flag("packages", "Refuse requirements that are not pinned.")
    hashes: bool = _flag("packages", "Ship the hashes of all packages, or refuse to.")
    keep_markers: bool = _keep(
        "packages",
        "Keep the markers: pins for every Python of the lock and the project.",
        rule=one_of("target", "keep"),
        otherwise='`"target"`',
        key="markers",
    )
    keep_indexes: bool = _keep(
        "packages",
        "Keep the lock's index URLs.",
        rule=one_of("none", "keep"),
        otherwise='`"none"`',
        key="index-urls",
    )
    compile_requirements: bool = _flag(
        "packages", "Reduce a `requirements.txt` to the pins for the target."
    )
    architecture: str = _text(
        "packages",
        "The server's machine.",
        '"aarch64"',
        default="x86_64",
        rule=one_of("x86_64", "aarch64"),  # as markers call the machines that Connect runs on
    )
    verify: Verification | None = _setting(
        SettingKind.VERIFICATION,
        "server",
        "[How to ask whether the content answers](#whether-it-answers); `false` for not asking.",
        '{ paths = ["health"], on-failure = "rollback" }',
        default=AS_USUAL,
        otherwise="`true`",
    )
    draft: bool = _flag("server", "Deploy without activating the bundle.")
    env: tuple[EnvironmentEntry, ...] = _setting(
        SettingKind.VARIABLES,
        "server",
        "Variables to set: `NAME=VALUE`, or `NAME` to take the value from the environment.",
        '["MODE=production", "DATABASE_URL"]',
        rule=validate_variable,
    )
    metadata_of_bundle: tuple[tuple[str, str], ...] | None = _setting(
        SettingKind.NOTES,
        "server",
        "Values to note with a bundle, besides what git tells; `false` notes nothing.",
        '{ team = "sales" }',
        otherwise="`{}`",
        key="metadata",
    )
    include: tuple[str, ...] = _added(
        "files", "Ship what matches this pattern too.", '["data/*.csv"]'
    )
    exclude: tuple[str, ...] = _added(
        "files", "Leave out what matches this pattern (gitignore's syntax).", '["/tests"]'
    )
    follow_links: tuple[str, ...] = _texts(
        "files", "Folders outside of the project to which its links may lead.", '["../data"]'
    )
    server: str | None = _text(
        "server", "The server's nickname or URL.", '"https://connect.example"', rule=validate_server
    )
    identity_audience: str = _text(
        "server",
        "The audience of the identity token with which a CI workflow signs in.",
        '"connect-staging"',
        default="connect",
        rule=validate_audience,
    )
    guid: str | None = _text(
        "server",
        "The content, if neither the record nor the name says which.",
        '"25438b83-ea6d-4839-ae8e-53c52ac5f9ce"',
        rule=validate_guid,
        identity=True,
    )
    verify_path: str = _text(
        "server",
        "The path below the content's URL to ask for: short for `verify = { paths = [...] }`.",
        '"health"',
        default="",
        rule=validate_verify_path,
    )


def _declared(one: dataclasses.Field[Any]) -> Setting:
    return Setting(**{"field": one.name, "key": one.name.replace("_", "-"), **one.metadata})


SETTINGS = {setting.key: setting for setting in map(_declared, dataclasses.fields(Settings))}

KEYS = frozenset(key for key, setting in SETTINGS.items() if not setting.call_only)
SERVER_KEYS = frozenset(key for key, setting in SETTINGS.items() if setting.on_server)
