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


class Section(Enum):
    """The headings of help, in their order."""

    CONTENT = "Content"
    SHIPS = "What ships"
    WHERE = "Where"
    HOW = "How"
    OUTPUT = "Output"


@dataclass(frozen=True, slots=True, kw_only=True)
class OptionSpec:
    """How one option is spelled and what it is for.

    `key` is the field of `Options`; `flags` start with the long spelling, `--` included; `group`
    is the set of commands that take it (see `COMMANDS`), `section` the heading below which help
    shows it; `setting` is the key of [tool.hatch-connect] that the option overrides, or None;
    `default` says what counts without it, `variable` names the environment variable that does.
    """

    key: str
    kind: OptionKind
    flags: tuple[str, ...]
    help: str
    metavar: str
    group: str
    section: Section
    setting: str | None = None
    default: str = ""
    variable: str = ""
    positional: bool = False

    @property
    def text(self) -> str:
        """What help says of it: what it is for, its default and its variable."""
        more = (("default", self.default), ("env", self.variable))
        return " ".join((self.help, *(f"[{name}: {value}]" for name, value in more if value)))

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


# By group of commands; the options of others are below `How`, unless they say otherwise.
_SECTIONS = {
    **dict.fromkeys(("project", "contents", "content", "bundle"), Section.CONTENT),
    **dict.fromkeys(("file", "build"), Section.SHIPS),
    **dict.fromkeys(("server", "key", "promote", "machine", "add", "login"), Section.WHERE),
    **dict.fromkeys(
        ("manifest", "requirements", "download", "settings", "logs", "all"), Section.OUTPUT
    ),
}


def _option(kind: OptionKind, flags: str, group: str, about: str = "", **more: Any) -> Any:  # noqa: ANN401 - as dataclasses.field
    """Declare a field of `Options`: `flags` in any order, `more` as in `OptionSpec`.

    An option that overrides a setting is for what the setting is for, and has its default.
    """
    long, *others = sorted(flags.split(), key=lambda flag: not flag.startswith("--"))
    if "setting" in more:
        setting = SETTINGS[more["setting"]]
        about = about or setting.doc
        more.setdefault("default", "" if kind is OptionKind.FLAG else setting.shown_default)
    spec = {"kind": kind, "flags": (long, *others), "group": group, "help": about, **more}
    spec.setdefault("section", _SECTIONS.get(group, Section.HOW))
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
        "Deploy this bundle (.connect.tgz or .tar.gz), manifest.json or folder with one, as it is.",
        metavar="FILE",
        positional=True,
    )
    bundle_id: str | None = _text(
        "--bundle-id",
        "bundle",
        "ID of the bundle.",
        metavar="BUNDLE",
        default="the active one, or the one before it for rollback",
        positional=True,
    )
    directory: str | None = _text(
        "--directory",
        "project",
        "Folder of the project.",
        metavar="FOLDER",
        default="the current one, or the nearest above with a pyproject.toml",
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
        "Nickname of the server.",
        metavar="NICKNAME",
    )
    server: str | None = _text(
        "-s --server", "server", "URL of the server.", metavar="URL", variable="CONNECT_SERVER"
    )
    from_server: str | None = _text(
        "--from",
        "promote",
        "Server to take the active bundle from: nickname, URL, URL of content, or local.",
        metavar="SERVER",
    )
    to_server: str | None = _text(
        "--to",
        "promote",
        "Server to deploy it to: nickname, URL, URL of content, or local.",
        metavar="SERVER",
    )
    api_key: Secret | None = _option(
        OptionKind.SECRET,
        "-k --api-key",
        "key",
        "API key. Prefer the environment variable: others can see your command line.",
        metavar="KEY",
        variable="CONNECT_API_KEY",
    )
    no_identity: bool = _flag(
        "--no-identity", "key", "Without an API key, do not sign in as the current CI workflow."
    )
    insecure: bool = _flag(
        "-i --insecure",
        "server",
        "Do not verify the server's TLS certificate.",
        variable="CONNECT_INSECURE",
    )
    cacert: str | None = _text(
        "-c --cacert",
        "server",
        "Trust the certificates in this PEM file.",
        metavar="FILE",
        variable="CONNECT_CA_CERTIFICATE",
    )
    output: str | None = _text(
        "--output",
        "download",
        "Write to this file, or into this folder.",
        metavar="FILE",
        default="the current folder",
    )
    set_default: bool = _flag("--set-default", "add", "Use this server if no other is named.")
    device: bool = _flag(
        "--device",
        "login",
        "Enter a code in a browser on any machine.",
        default="if there is no display",
    )
    app_mode: str | None = _text(
        "--app-mode",
        "init",
        metavar="MODE",
        setting="app-mode",
        default="detected",
        section=Section.SHIPS,
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
    explain: bool = _flag("--explain", "requirements", "Show why each package is there, or is not.")
    python: str | None = _text(
        "-p --python",
        "build",
        "Interpreter whose packages ship if there is no lock.",
        metavar="PATH",
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
        "--disable-env-management", "build", "Do not let the server install packages."
    )
    disable_env_management_py: bool = _flag(
        "--disable-env-management-py", "build", "Do not let the server install Python packages."
    )
    disable_env_management_r: bool = _flag(
        "--disable-env-management-r", "build", "Do not let the server install R packages."
    )
    package_installer: str | None = _text(
        "--package-installer", "build", metavar="pip|uv", setting="package-installer"
    )
    list: bool = _flag(
        "--list",
        "build",
        "List the files that ship, and those that do not, with the reason.",
        section=Section.OUTPUT,
    )
    in_place: bool = _flag(
        "--in-place",
        "manifest",
        "Write manifest.json next to pyproject.toml, for content that Connect pulls from Git.",
    )
    title: str | None = _text("-t --title", "deploy", setting="title", section=Section.CONTENT)
    new: bool = _flag(
        "-N --new",
        "deploy",
        "Create new content, and leave what is there.",
        section=Section.CONTENT,
    )
    app_id: str | None = _text(
        "-a --app-id", "content", "GUID, number or URL of the content.", metavar="ID"
    )
    environment: tuple[Secret, ...] = _option(
        OptionKind.SECRETS,
        "-E --environment",
        "deploy",
        "Set an environment variable; NAME alone takes its value from the current environment.",
        metavar="NAME[=VALUE]",
    )
    env_file: str | None = _text(
        "--env-file", "deploy", "Set the environment variables in this file.", metavar="FILE"
    )
    unset: tuple[str, ...] = _texts(
        "--unset", "deploy", "Remove this environment variable from the content.", metavar="NAME"
    )
    metadata: tuple[str, ...] = _texts(
        "--metadata", "deploy", "Add this to the bundle's metadata.", metavar="KEY=VALUE"
    )
    no_metadata: bool = _flag("--no-metadata", "deploy", "Add no metadata to the bundle.")
    force: bool = _flag("--force", "deploy", "Upload the bundle even if it is already active.")
    allow_removals: bool = _flag(
        "--allow-removals", "deploy", "Remove what declared lists do not name, without asking."
    )
    draft: bool = _flag("--draft", "deploy", "Deploy without activating the bundle.")
    no_verify: bool = _flag("--no-verify", "activate", "Do not check that the content answers.")
    jobs: int | None = _option(
        OptionKind.NUMBER,
        "--jobs",
        "deploy",
        "Deploy up to N pieces of content in parallel.",
        metavar="N",
        default="1",
    )
    local: bool = _flag("--local", "machine", "Use a Connect server started on this machine.")
    dry_run: bool = _flag("--dry-run", "dry-run", "Show what would change, and change nothing.")
    check: bool = _flag("--check", "plan", "Exit with code 6 if anything differs.")
    export: bool = _flag("--export", "settings", "Print a [tool.hatch-connect.settings] table.")
    remove: str | None = _text(
        "--remove", "versions", "Remove this bundle from the server.", metavar="BUNDLE"
    )
    follow: bool = _flag(
        "-f --follow", "logs", "Print new lines as they are written, until the job ends."
    )
    job: str | None = _text(
        "--job",
        "logs",
        "Key of the job whose log to print.",
        metavar="KEY",
        default="the one that started last",
    )
    of_bundle: str | None = _text(
        "--bundle", "logs", "Print the log of this bundle's newest job.", metavar="ID"
    )
    since: str | None = _text(
        "--since",
        "logs",
        "Only print lines newer than this: 30s, 10m, 2h, 1d, or a time (2026-11-26T08:30).",
        metavar="AGE|TIME",
    )
    dashboard: bool = _flag("--dashboard", "open", "Open the content's page in the dashboard.")
    logs: bool = _flag("--logs", "open", "Open the content's logs in the dashboard.")
    as_user: str | None = _text(
        "--as",
        "open",
        "With --local, visit the content as this user.",
        metavar="NAME",
    )
    branch: str | None = _text(
        "--branch",
        "preview",
        "Branch to preview.",
        metavar="NAME",
        default="as GitHub, GitLab or Git says",
    )
    remove_preview: bool = _flag("--remove", "preview", "Remove the branch's preview.")
    markdown: bool = _flag(
        "--markdown", "preview", "Print the result as Markdown.", section=Section.OUTPUT
    )
    comment: bool = _flag(
        "--comment",
        "preview",
        "Post the result as a comment on the pull or merge request, or update it.",
    )
    drafts: bool = _flag("--drafts", "prune", "Remove bundles that were never active.")
    bundles: bool = _flag("--bundles", "prune", "Remove bundles that were active earlier.")
    older_than: str | None = _text(
        "--older-than",
        "prune",
        "Only remove bundles older than this many hours, days or weeks: 12h, 7d, 2w.",
        metavar="AGE",
    )
    keep: int | None = _option(
        OptionKind.NUMBER,
        "--keep",
        "prune",
        "Keep the newest N drafts, and the newest N bundles.",
        metavar="N",
        default="5",
    )
    any: bool = _flag(
        "--any", "prune", "Also remove bundles of others, and those with an unknown past."
    )
    runner: str | None = _text(
        "--runner",
        "init",
        "Program that runs the commands.",
        metavar="hatch|invoke|none",
        default="what the project uses",
    )
    ci: str | None = _text(
        "--ci", "init", "Write a workflow that deploys from this service.", metavar="github|gitlab"
    )
    yes: bool = _flag("--yes", "prune", "Do not ask for confirmation.")
    import_entrypoint: bool = _flag(
        "--import",
        "doctor",
        "Also run the entrypoint, in a temporary environment with the packages of the lock.",
    )
    port: int | None = _option(
        OptionKind.NUMBER,
        "--port",
        "local",
        "Port to listen on.",
        metavar="N",
        default="the last one, or a free one",
    )
    users: str | None = _text(
        "--users",
        "local",
        "Take the people of the server, their roles, keys and groups from this TOML file.",
        metavar="FILE",
        default="users.toml in the server's state folder",
    )
    prune: bool = _flag(
        "--prune", "local", "Remove what no content needs any more, and start no server."
    )
    reset: bool = _flag(
        "--reset", "local", "Remove all content and its state, and start no server."
    )
    connect_version: str | None = _text(
        "--connect-version",
        "local",
        "Answer as this release of Connect does.",
        metavar="X.Y",
        default="2026.06",
    )
    pythons: tuple[str, ...] = _texts(
        "--python",
        "local",
        "Offer only this Python; X.Y:unpublishable takes no new deployments.",
        metavar="X.Y",
        default="all that are found",
    )
    json: bool = _flag("--json", "all", "Print the result as JSON.")
    verbose: bool = _flag("-v --verbose", "all", "Verbose output.")
    quiet: bool = _flag("-q --quiet", "all", "Show only warnings and errors.")

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
        raise UsageError(f"The value of --{spec.long} is empty.")
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
