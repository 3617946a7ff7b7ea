"""Every option, once; every way to run a command derives its own form from this.

The command line (`cli.py`), the Invoke tasks (`invoke_tasks/`), the scripts of the environment
collector and the publisher's `-o` read the fields of `Options`, and `commands.COMMANDS`, which says
who takes which; none of them names an option of its own. Spellings that the official client has too
are the official client's.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from enum import Enum
from functools import partial
from typing import TYPE_CHECKING, Any

from hatch_connect.errors import UsageError
from hatch_connect.project.settings import SETTINGS
from hatch_connect.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


class OptionKind(Enum):
    """What a call gives for an option, and what `Options` holds of it."""

    FLAG = "flag"  # bool
    TEXT = "text"  # str | None
    SECRET = "secret"  # noqa: S105 - the word, not a password; Secret | None
    TEXTS = "texts"  # repeatable: tuple[str, ...]
    SECRETS = "secrets"  # repeatable: tuple[Secret, ...]
    NUMBER = "number"  # int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class OptionSpec:
    """How one option is spelled and what it is for.

    `key` is the field of `Options`; `flags` start with the long spelling, `--` included; `group`
    is the set of commands that take it (see `COMMANDS`); `setting` is the key of
    [tool.hatch-connect] that the option overrides, or None.
    """

    key: str
    kind: OptionKind
    flags: tuple[str, ...]
    help: str
    metavar: str
    group: str
    setting: str | None = None
    positional: bool = False

    @property
    def long(self) -> str:
        """The long spelling without its dashes: `api-key`."""
        return self.flags[0].removeprefix("--")

    @property
    def repeatable(self) -> bool:
        """Whether a call may give it more than once."""
        return self.kind in {OptionKind.TEXTS, OptionKind.SECRETS}


_DEFAULTS: dict[OptionKind, Any] = {
    OptionKind.FLAG: False,
    OptionKind.TEXTS: (),
    OptionKind.SECRETS: (),
}


def _option(kind: OptionKind, flags: str, group: str, about: str = "", **more: Any) -> Any:  # noqa: ANN401 - as dataclasses.field
    """Declare a field of `Options`: `flags` in any order, `more` as in `OptionSpec`.

    An option that overrides a setting is for what the setting is for.
    """
    long, *others = sorted(flags.split(), key=lambda flag: not flag.startswith("--"))
    about = about or SETTINGS[more["setting"]].doc
    spec = {"kind": kind, "flags": (long, *others), "group": group, "help": about, **more}
    spec.setdefault("metavar", "TEXT")
    return field(default=_DEFAULTS.get(kind), metadata=spec)


_flag = partial(_option, OptionKind.FLAG)
_text = partial(_option, OptionKind.TEXT)
_texts = partial(_option, OptionKind.TEXTS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What one call gave; None, False or () for what it did not give.

    Each field names its flags, the group of commands that take it, and what it is for, or the
    setting that it overrides.
    """

    file: tuple[str, ...] = _texts(
        "--file",
        "file",
        "Deploy this bundle (.connect.tgz, .tar.gz), manifest.json, or folder that holds one,"
        " as it is.",
        metavar="FILE",
        positional=True,
    )
    bundle_id: str | None = _text(
        "--bundle-id",
        "bundle",
        "The bundle. Default: the active one; of `rollback`, the one before it.",
        metavar="BUNDLE",
        positional=True,
    )
    directory: str | None = _text(
        "--directory",
        "project",
        "The project's folder. Default: where you are, or above.",
        metavar="FOLDER",
    )
    content: tuple[str, ...] = _texts(
        "--content",
        "contents",
        "Only this piece of content: NAME of [tool.hatch-connect.content.NAME].",
        metavar="NAME",
    )
    all: bool = _flag("--all", "contents", "Every piece of content of the project.")
    name: str | None = _text(
        "-n --name",
        "server",
        "The server's nickname in the store. Default of `login`: its host.",
    )
    server: str | None = _text(
        "-s --server", "server", "The server's URL ($CONNECT_SERVER).", metavar="URL"
    )
    from_server: str | None = _text(
        "--from",
        "promote",
        "The server to take the active bundle from: a nickname or a URL, of content too.",
        metavar="SERVER",
    )
    to_server: str | None = _text(
        "--to",
        "promote",
        "The server to deploy it to: a nickname or a URL, of content too.",
        metavar="SERVER",
    )
    api_key: Secret | None = _option(
        OptionKind.SECRET,
        "-k --api-key",
        "key",
        "The API key. Others on this machine can see a command line: better $CONNECT_API_KEY.",
        metavar="KEY",
    )
    no_identity: bool = _flag(
        "--no-identity",
        "key",
        "Do not sign in as the CI workflow that this runs in, if there is no API key.",
    )
    insecure: bool = _flag("-i --insecure", "server", "Do not check the server's certificate.")
    cacert: str | None = _text(
        "-c --cacert", "server", "Trust this PEM file ($CONNECT_CA_CERTIFICATE).", metavar="FILE"
    )
    output: str | None = _text(
        "--output",
        "download",
        "Write it to this file, or into this folder. Default: where you are.",
        metavar="FILE",
    )
    set_default: bool = _flag("--set-default", "add", "Use it where no other is named.")
    device: bool = _flag(
        "--device", "login", "Enter a code in a browser on any machine. Default without a display."
    )
    entrypoint: str | None = _text("-e --entrypoint", "build", setting="entrypoint")
    exclude: tuple[str, ...] = _texts("-x --exclude", "build", metavar="PATTERN", setting="exclude")
    lock: str | None = _text("--lock", "build", metavar="FILE", setting="lock")
    requirements_file: str | None = _text(
        "-r --requirements-file", "build", metavar="FILE", setting="requirements-file"
    )
    force_generate: bool = _flag("-g --force-generate", "build", setting="force-generate")
    extra: tuple[str, ...] = _texts("--extra", "build", metavar="EXTRA", setting="extras")
    group: tuple[str, ...] = _texts("--group", "build", metavar="GROUP", setting="groups")
    explain: bool = _flag("--explain", "requirements", "Say why each package is there, or is not.")
    python: str | None = _text(
        "-p --python", "build", "The interpreter whose packages ship.", metavar="PATH"
    )
    python_version: str | None = _text(
        "--python-version --override-python-version",
        "build",
        metavar="X.Y",
        setting="override-python-version",
    )
    architecture: str | None = _text(
        "--architecture", "build", metavar="x86_64|aarch64", setting="architecture"
    )
    static: bool = _flag("-S --static", "build", setting="static")
    hide_all_input: bool = _flag("--hide-all-input", "build", setting="hide-all-input")
    hide_tagged_input: bool = _flag("--hide-tagged-input", "build", setting="hide-tagged-input")
    image: str | None = _text("-I --image", "build", metavar="IMAGE", setting="image")
    disable_env_management: bool = _flag(
        "--disable-env-management", "build", "Let the server install no package."
    )
    disable_env_management_py: bool = _flag(
        "--disable-env-management-py", "build", "The same for Python only."
    )
    disable_env_management_r: bool = _flag(
        "--disable-env-management-r", "build", "The same for R only."
    )
    package_installer: str | None = _text(
        "--package-installer", "build", metavar="pip|uv", setting="package-installer"
    )
    list: bool = _flag("--list", "build", "List what ships and what does not, and why.")
    in_place: bool = _flag(
        "--in-place",
        "manifest",
        "Write manifest.json beside pyproject.toml, for content that Connect pulls from git.",
    )
    title: str | None = _text("-t --title", "deploy", setting="title")
    new: bool = _flag("-N --new", "deploy", "Deploy as new content.")
    app_id: str | None = _text(
        "-a --app-id", "content", "The content's GUID, number or URL.", metavar="ID"
    )
    environment: tuple[Secret, ...] = _option(
        OptionKind.SECRETS,
        "-E --environment",
        "deploy",
        "Set a variable: NAME=VALUE, or NAME to take the value from the environment.",
        metavar="NAME[=VALUE]",
    )
    env_file: str | None = _text(
        "--env-file", "deploy", "Set the variables of this file.", metavar="FILE"
    )
    unset: tuple[str, ...] = _texts(
        "--unset", "deploy", "Remove this variable from the content.", metavar="NAME"
    )
    metadata: tuple[str, ...] = _texts(
        "--metadata", "deploy", "Note this with the bundle.", metavar="KEY=VALUE"
    )
    no_metadata: bool = _flag("--no-metadata", "deploy", "Note nothing with the bundle.")
    force: bool = _flag("--force", "deploy", "Upload the bundle even if it is the active one.")
    allow_removals: bool = _flag(
        "--allow-removals", "deploy", "Take away what declared lists do not name, without asking."
    )
    draft: bool = _flag("--draft", "deploy", "Deploy without activating the bundle.")
    no_verify: bool = _flag("--no-verify", "activate", "Do not ask whether it answers.")
    jobs: int | None = _option(
        OptionKind.NUMBER,
        "--jobs",
        "deploy",
        "Deploy up to N pieces of content side by side. Default: 1.",
        metavar="N",
    )
    local: bool = _flag("--local", "machine", "On a Connect that is started on this machine.")
    dry_run: bool = _flag("--dry-run", "dry-run", "Only show what would be changed.")
    check: bool = _flag("--check", "plan", "End with exit code 6 if anything differs.")
    export: bool = _flag(
        "--export", "settings", "Print it as a table [tool.hatch-connect.settings]."
    )
    remove: str | None = _text(
        "--remove", "versions", "Remove this bundle from the server.", metavar="BUNDLE"
    )
    branch: str | None = _text(
        "--branch",
        "preview",
        "The branch that it is of. Default: what GitHub or GitLab names, else what git does.",
        metavar="NAME",
    )
    remove_preview: bool = _flag("--remove", "preview", "Remove the branch's preview.")
    markdown: bool = _flag("--markdown", "preview", "Print it as Markdown.")
    comment: bool = _flag(
        "--comment", "preview", "Make or update one comment of GitHub's pull request with it."
    )
    drafts: bool = _flag("--drafts", "prune", "Remove bundles that were never active.")
    bundles: bool = _flag("--bundles", "prune", "Remove bundles that were active earlier.")
    older_than: str | None = _text(
        "--older-than",
        "prune",
        "Only those older than so many hours, days or weeks: 12h, 7d, 2w.",
        metavar="AGE",
    )
    keep: int | None = _option(
        OptionKind.NUMBER,
        "--keep",
        "prune",
        "Keep the newest N drafts, and the newest N bundles. Default: 5.",
        metavar="N",
    )
    any: bool = _flag(
        "--any", "prune", "Also those of others, and those of which nobody knows what they were."
    )
    yes: bool = _flag("--yes", "prune", "Remove them without asking.")
    port: int | None = _option(
        OptionKind.NUMBER,
        "--port",
        "local",
        "The port to listen on. Default: a free one.",
        metavar="N",
    )
    json: bool = _flag("--json", "all", "Print the result as one JSON object.")
    verbose: bool = _flag("-v --verbose", "all", "Say more.")
    quiet: bool = _flag("-q --quiet", "all", "Say only what goes wrong.")

    @classmethod
    def of(cls, given: Mapping[str, object]) -> Options:
        """Return the options that a call was given, by key; absent, None and () mean not given.

        Callers that know only text (`-o key=value`, environment variables) may give text for any
        kind. Raises UsageError for unknown keys and for values that are not of the kind.
        """
        unknown = sorted(set(given) - SPECS.keys())
        if unknown:
            raise UsageError(
                f"There is no option {', '.join(map(repr, unknown))}.",
                hint=f"The options are: {', '.join(sorted(SPECS))}.",
            )
        values: dict[str, Any] = {
            k: _convert(SPECS[k], v) for k, v in given.items() if v is not None and v != ()
        }
        return cls(**values)

    def overrides(self) -> dict[str, object]:
        """Return what the call gave for keys of [tool.hatch-connect], by key."""
        given: dict[str, object] = {
            spec.setting: list(value) if spec.repeatable else value
            for spec in SPECS.values()
            if spec.setting and (value := getattr(self, spec.key)) != _DEFAULTS.get(spec.kind)
        }
        disabled = {"python": self.disable_env_management_py, "r": self.disable_env_management_r}
        if self.disable_env_management:
            given["environment-management"] = False
        elif any(disabled.values()):
            given["environment-management"] = {k: False for k, v in disabled.items() if v}
        return given


SPECS: dict[str, OptionSpec] = {
    f.name: OptionSpec(key=f.name, **f.metadata) for f in dataclasses.fields(Options)
}


_TRUE = {"1", "true", "yes", "on"}
_FALSE = {"0", "false", "no", "off", ""}


def _convert(spec: OptionSpec, given: object) -> object:
    """Convert what a call was given to the value that `Options` holds. Raises UsageError."""
    match spec.kind:
        case OptionKind.FLAG:
            return _as_flag(spec, given)
        case OptionKind.NUMBER:
            return _as_number(spec, given)
        case OptionKind.TEXT:
            return _filled(spec, str(given))
        case OptionKind.SECRET:
            return given if isinstance(given, Secret) else Secret(_filled(spec, str(given)))
        case OptionKind.TEXTS:
            return tuple(_filled(spec, str(each)) for each in _several(given))
        case OptionKind.SECRETS:
            return tuple(v if isinstance(v, Secret) else Secret(str(v)) for v in _several(given))


def _several(given: object) -> Iterable[object]:
    return given if isinstance(given, (list, tuple)) else (given,)


def _filled(spec: OptionSpec, given: str) -> str:
    """Refuse an empty value: most often the shell filled in a variable that is not set."""
    if not given.strip():
        raise UsageError(f"The option --{spec.long} is given, and its value is empty.")
    return given


def _as_flag(spec: OptionSpec, given: object) -> bool:
    word = str(given).strip().lower()
    if word not in _TRUE | _FALSE:
        raise UsageError(f"The option {spec.long!r} is on or off, not {given!r}.")
    return word in _TRUE


def _as_number(spec: OptionSpec, given: object) -> int:
    try:
        return int(str(given))
    except ValueError:
        raise UsageError(f"The option {spec.long!r} takes a number, not {given!r}.") from None
