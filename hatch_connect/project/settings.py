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

    @property
    def shown_default(self) -> str:
        """What counts if nothing is said, in words; "" if that is nothing."""
        return self.otherwise or (self.default if isinstance(self.default, str) else "")


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
        "Type of content: Connect's name for it or a [short name](content-types.md).",
        '"fastapi"',
        default=dataclasses.MISSING,
        official=True,
    )
    entrypoint: str | None = _content(
        "content",
        "What Connect starts: MODULE:OBJECT, or a file.",
        '"sales_api.main:app"',
        otherwise="detected",
        official=True,
    )
    hide_all_input: bool = _content(
        "content", "Hide the code of a notebook.", "true", default=False
    )
    hide_tagged_input: bool = _content(
        "content", "Hide the code of cells tagged `hide_input`.", "true", default=False
    )
    rendered: str | None = _content(
        "content", "Ship a notebook as rendered HTML.", "true", otherwise="`false`", key="static"
    )
    title: str | None = _text(
        "content",
        "Title of the content.",
        '"Sales API"',
        rule=validate_title,
        otherwise="the name of the document, or of the content",
        on_server=True,
        official=True,
    )
    content_name: str = _text(
        "content",
        "Name by which the content is found on the server.",
        '"sales"',
        rule=validate_content_name,
        otherwise="the project's name",
        on_server=True,
        identity=True,
    )
    image: str | None = _text(
        "runtime",
        "Container image to build and run the content in.",
        '"registry/image:1"',
        otherwise="chosen by the server",
        on_server=True,
    )
    environment_management: EnvironmentManagement | None = _setting(
        SettingKind.LANGUAGES,
        "runtime",
        "Whether the server installs packages, also by language: `{ python = false }`.",
        "false",
        otherwise="chosen by the server",
    )
    package_installer: str | None = _text(
        "runtime",
        "Installer that the server uses.",
        '"uv"',
        rule=one_of("pip", "uv"),
        otherwise="chosen by the server",
    )
    lock: str | None = _text(
        "packages",
        "Take the packages from this lock file.",
        '"locks/uv.lock"',
        rule=validate_project_file,
        otherwise="detected",
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
        "packages", "Ship the packages of an interpreter, not those of the lock.", call_only=True
    )
    hatch_env: str = _text(
        "packages",
        "Hatch environment whose lock and Python are used.",
        '"prod"',
        default="default",
    )
    extras: tuple[str, ...] = _names(
        "packages", "Include the packages of this extra.", '["charts"]'
    )
    groups: tuple[str, ...] = _names(
        "packages", "Include the packages of this dependency group.", '["prod"]'
    )
    python_version: str | None = _text(
        "packages",
        "Python version to request, or a range.",
        '"3.12"',
        otherwise="detected",
        names_python=True,
    )
    override_python_version: str | None = _text(
        "packages", "Python version to request.", '"3.12"', call_only=True, names_python=True
    )
    strict: bool = _flag("packages", "Refuse requirements that are not pinned.")
    hashes: bool = _flag("packages", "Require and ship the hashes of all packages.")
    keep_markers: bool = _keep(
        "packages",
        '`"keep"` keeps the markers, with pins for every Python that lock and project support.',
        rule=one_of("target", "keep"),
        otherwise='`"target"`',
        key="markers",
    )
    keep_indexes: bool = _keep(
        "packages",
        '`"keep"` keeps the index URLs of the lock.',
        rule=one_of("none", "keep"),
        otherwise='`"none"`',
        key="index-urls",
    )
    compile_requirements: bool = _flag(
        "packages", "Reduce a `requirements.txt` to the pins for the target."
    )
    architecture: str = _text(
        "packages",
        "CPU architecture of the server.",
        '"aarch64"',
        default="x86_64",
        rule=one_of("x86_64", "aarch64"),  # as markers call the machines that Connect runs on
    )
    verify: Verification | None = _setting(
        SettingKind.VERIFICATION,
        "server",
        "[How to check that the content answers](#whether-it-answers); `false` skips the check.",
        '{ paths = ["health"], on-failure = "rollback" }',
        default=AS_USUAL,
        otherwise="`true`",
    )
    draft: bool = _flag("server", "Deploy without activating the bundle.")
    env: tuple[EnvironmentEntry, ...] = _setting(
        SettingKind.VARIABLES,
        "server",
        "Environment variables to set: `NAME=VALUE`, or `NAME` to use the current value.",
        '["MODE=production", "DATABASE_URL"]',
        rule=validate_variable,
    )
    metadata_of_bundle: tuple[tuple[str, str], ...] | None = _setting(
        SettingKind.NOTES,
        "server",
        "Metadata to add to the bundle besides what Git says; `false` adds none.",
        '{ team = "sales" }',
        otherwise="`{}`",
        key="metadata",
    )
    include: tuple[str, ...] = _added(
        "files", "Also ship files that match this pattern.", '["data/*.csv"]'
    )
    exclude: tuple[str, ...] = _added(
        "files", "Leave out files that match this pattern (gitignore syntax).", '["/tests"]'
    )
    follow_links: tuple[str, ...] = _texts(
        "files", "Folders outside the project that its links may lead to.", '["../data"]'
    )
    server: str | None = _text(
        "server",
        "Nickname or URL of the server.",
        '"https://connect.example"',
        rule=validate_server,
    )
    identity_audience: str = _text(
        "server",
        "Audience of the identity token with which a CI workflow signs in.",
        '"connect-staging"',
        default="connect",
        rule=validate_audience,
    )
    guid: str | None = _text(
        "server",
        "GUID of the content, used if no earlier deployment is on record.",
        '"25438b83-ea6d-4839-ae8e-53c52ac5f9ce"',
        rule=validate_guid,
        identity=True,
    )
    verify_path: str = _text(
        "server",
        "Path below the content's URL to check: short for `verify = { paths = [...] }`.",
        '"health"',
        default="",
        rule=validate_verify_path,
    )


def _declared(one: dataclasses.Field[Any]) -> Setting:
    return Setting(**{"field": one.name, "key": one.name.replace("_", "-"), **one.metadata})


SETTINGS = {setting.key: setting for setting in map(_declared, dataclasses.fields(Settings))}

KEYS = frozenset(key for key, setting in SETTINGS.items() if not setting.call_only)
SERVER_KEYS = frozenset(key for key, setting in SETTINGS.items() if setting.on_server)
