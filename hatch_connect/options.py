"""Every verb and every option, once; the doors derive their own forms from this.

The command line (`cli.py`), the Invoke tasks (`invoke_tasks/`), the scripts of the environment
collector and the publisher's `-o` read `VERBS` and the fields of `Options`; none of them names an
option of its own. Spellings that the official client has too are the official client's.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hatch_connect.errors import UsageError
from hatch_connect.option_kinds import Kind, OptionSpec, convert, option

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hatch_connect.secret import Secret


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What one call gave: None, False or () where it gave nothing."""

    # what the verb is about
    file: str | None = option(
        Kind.TEXT,
        "--file",
        "file",
        "Deploy this bundle (.tar.gz), manifest.json, or folder that holds one, as it is.",
        metavar="FILE",
        positional=True,
    )
    directory: str | None = option(
        Kind.TEXT,
        "--directory",
        "project",
        "The project's folder, or one below it. Default: the working directory.",
        metavar="FOLDER",
    )
    # which server
    name: str | None = option(
        Kind.TEXT, "-n --name", "server", "The server's nickname, as `add` stored it."
    )
    server: str | None = option(
        Kind.TEXT, "-s --server", "server", "The server's URL ($CONNECT_SERVER).", metavar="URL"
    )
    api_key: Secret | None = option(
        Kind.SECRET,
        "-k --api-key",
        "server",
        "The API key. Others on this machine can see a command line: better $CONNECT_API_KEY.",
        metavar="KEY",
    )
    insecure: bool = option(
        Kind.FLAG, "-i --insecure", "server", "Do not check the server's certificate."
    )
    cacert: str | None = option(
        Kind.TEXT,
        "-c --cacert",
        "server",
        "Trust the certificates in this PEM file ($CONNECT_CA_CERTIFICATE).",
        metavar="FILE",
    )
    set_default: bool = option(
        Kind.FLAG, "--set-default", "add", "Use this server where no other is named."
    )
    # what the bundle holds
    entrypoint: str | None = option(
        Kind.TEXT,
        "-e --entrypoint",
        "build",
        "What Connect starts: MODULE:OBJECT, or a file.",
        key_in_table="entrypoint",
    )
    exclude: tuple[str, ...] = option(
        Kind.TEXTS,
        "-x --exclude",
        "build",
        "Leave out what matches this pattern (gitignore's syntax).",
        metavar="PATTERN",
        key_in_table="exclude",
    )
    lock: str | None = option(
        Kind.TEXT,
        "--lock",
        "build",
        "Take the packages from this lock file.",
        metavar="FILE",
        key_in_table="lock",
    )
    extra: tuple[str, ...] = option(
        Kind.TEXTS,
        "--extra",
        "build",
        "Ship this extra's packages too.",
        metavar="EXTRA",
        key_in_table="extras",
    )
    group: tuple[str, ...] = option(
        Kind.TEXTS,
        "--group",
        "build",
        "Ship this dependency group's packages too.",
        metavar="GROUP",
        key_in_table="groups",
    )
    python_version: str | None = option(
        Kind.TEXT,
        "--python-version --override-python-version",
        "build",
        "The Python that Connect shall run: X.Y or X.Y.Z.",
        metavar="X.Y",
    )
    python: str | None = option(
        Kind.TEXT,
        "--python",
        "build",
        "Where nothing is locked: ship the packages of this interpreter.",
        metavar="PATH",
    )
    list: bool = option(
        Kind.FLAG, "--list", "build", "Show every file that ships, and what was left out and why."
    )
    in_place: bool = option(
        Kind.FLAG,
        "--in-place",
        "manifest",
        "Write manifest.json beside pyproject.toml, for content that Connect pulls from git.",
    )
    # what becomes of it on the server
    title: str | None = option(
        Kind.TEXT, "-t --title", "deploy", "The content's title.", key_in_table="title"
    )
    new: bool = option(
        Kind.FLAG, "-N --new", "deploy", "Deploy as new content, whatever was deployed before."
    )
    app_id: str | None = option(
        Kind.TEXT, "-a --app-id", "content", "The content's GUID or number.", metavar="ID"
    )
    environment: tuple[Secret, ...] = option(
        Kind.SECRETS,
        "-E --environment",
        "deploy",
        "Set a variable: NAME=VALUE, or NAME to take the value from the environment.",
        metavar="NAME[=VALUE]",
    )
    env_file: str | None = option(
        Kind.TEXT, "--env-file", "deploy", "Set the variables of this file.", metavar="FILE"
    )
    draft: bool = option(Kind.FLAG, "--draft", "deploy", "Deploy without activating the bundle.")
    no_verify: bool = option(
        Kind.FLAG, "--no-verify", "deploy", "Do not ask whether the content answers."
    )
    local: bool = option(
        Kind.FLAG, "--local", "deploy", "Deploy to a Connect that is started on this machine."
    )
    dry_run: bool = option(
        Kind.FLAG, "--dry-run", "deploy", "Build and look, show what would be done, change nothing."
    )
    port: int | None = option(
        Kind.NUMBER, "--port", "local", "The port to listen on. Default: a free one.", metavar="N"
    )
    # how it speaks
    json: bool = option(Kind.FLAG, "--json", "all", "Print the result as one JSON object.")
    verbose: bool = option(Kind.FLAG, "-v --verbose", "all", "Say more.")
    quiet: bool = option(Kind.FLAG, "-q --quiet", "all", "Say only what goes wrong.")

    @classmethod
    def of(cls, given: Mapping[str, object]) -> Options:
        """Make options of what a door was given, by key; absent, None and () mean not given.

        Doors that know only text (`-o key=value`, environment variables) may give text for any
        kind. Raises UsageError for unknown keys and for values that are not of the kind.
        """
        unknown = sorted(set(given) - SPECS.keys())
        if unknown:
            raise UsageError(
                f"There is no option {', '.join(map(repr, unknown))}.",
                hint=f"The options are: {', '.join(sorted(SPECS))}.",
            )
        values: dict[str, Any] = {
            k: convert(SPECS[k], v) for k, v in given.items() if v is not None and v != ()
        }
        return cls(**values)

    def overrides(self) -> dict[str, object]:
        """Return what the call gave for keys of [tool.hatch-connect], by key."""
        return {
            spec.key_in_table: list(value) if spec.repeatable else value
            for spec in SPECS.values()
            if spec.key_in_table and (value := getattr(self, spec.key))
        }


SPECS: dict[str, OptionSpec] = {
    f.name: OptionSpec(key=f.name, **f.metadata) for f in dataclasses.fields(Options)
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Verb:
    """Something that can be asked for at every door; `writes` if it changes anything."""

    name: str
    help: str
    groups: tuple[str, ...]
    writes: bool = False

    @property
    def options(self) -> tuple[OptionSpec, ...]:
        """The options that this verb takes, in the order in which help shows them."""
        return tuple(spec for spec in SPECS.values() if spec.group in (*self.groups, "all"))


_CONTENT = ("project", "server", "content")

VERBS: dict[str, Verb] = {
    verb.name: verb
    for verb in (
        Verb(
            name="deploy",
            help="Build the bundle, deploy it, and verify that the content answers.",
            groups=(*_CONTENT, "file", "build", "deploy"),
            writes=True,
        ),
        Verb(
            name="manifest",
            help="Write the bundle's content as a folder with its manifest.json.",
            groups=("project", "build", "manifest"),
            writes=True,
        ),
        Verb(
            name="bundle",
            help="Build the bundle, offline.",
            groups=("project", "build"),
            writes=True,
        ),
        Verb(
            name="add",
            help="Store a server under a nickname.",
            groups=("server", "add"),
            writes=True,
        ),
        Verb(name="list", help="List the servers that are stored.", groups=()),
        Verb(name="remove", help="Forget a stored server.", groups=("server",), writes=True),
        Verb(
            name="details",
            help="Does this server answer, who am I there, what does it have?",
            groups=("project", "server"),
        ),
        Verb(name="info", help="What was this project deployed as, and where?", groups=_CONTENT),
        Verb(name="logs", help="Print the content's newest job log.", groups=_CONTENT),
        Verb(
            name="local",
            help="Start a Connect on this machine, for trying things out.",
            groups=("local",),
            writes=True,
        ),
    )
}
