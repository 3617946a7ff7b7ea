"""The commands: their list, and one module a subject with `run_COMMAND(call) -> result` of each."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from importlib import import_module
from typing import TYPE_CHECKING

from hatch_connect.errors import NoServerError
from hatch_connect.options import SPECS, Section
from hatch_connect.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Callable

    from hatch_connect.commands.call import Call, Surroundings
    from hatch_connect.commands.result import Result
    from hatch_connect.events import Report
    from hatch_connect.options import Options, OptionSpec


class Topic(Enum):
    """The headings below which the commands are listed, in their order."""

    START = "Get started"
    DEPLOY = "Deploy"
    BUILD = "Build only"
    LOOK = "Look at what is deployed"
    BACK = "Go back, clean up"
    SERVERS = "Servers"
    MACHINE = "On this machine"


_ORDER = tuple(Section)


@dataclass(frozen=True, slots=True)
class Command:
    """Something that can be run in every way; `writes` if it changes anything.

    `module` is the module of this package that carries it out, if it has none of its own name.
    `positional` is the key of an option that the command line takes without its name as well;
    `keys` are those of single options that it takes besides its groups.
    """

    name: str
    help: str
    groups: tuple[str, ...] = ()
    writes: bool = False
    positional: str = ""
    module: str = ""
    keys: tuple[str, ...] = ()
    topic: Topic = field(kw_only=True)

    @property
    def options(self) -> tuple[OptionSpec, ...]:
        """The options that this command takes, in the order in which help shows them."""
        groups = (*self.groups, "all")
        taken = (s for s in SPECS.values() if s.group in groups or s.key in self.keys)
        return tuple(sorted(taken, key=lambda spec: _ORDER.index(spec.section)))


_SERVER = ("server", "key")
_CONTENT = ("project", "contents", *_SERVER, "content", "machine")
_BUILD = ("project", "contents", "build")

COMMANDS: dict[str, Command] = {
    command.name: command
    for command in (
        Command(
            "init",
            "Set up a project: detect what it is, and write that to pyproject.toml.",
            ("project", "init", "dry-run"),
            writes=True,
            keys=("entrypoint", "yes"),
            topic=Topic.START,
        ),
        Command(
            "deploy",
            "Build the bundle, deploy it, and check that the content answers.",
            (*_CONTENT, "file", "build", "deploy", "activate", "dry-run"),
            writes=True,
            topic=Topic.DEPLOY,
        ),
        Command(
            "plan",
            "Show what `deploy` would change, and change nothing.",
            (*_CONTENT, "file", "build", "deploy", "activate", "plan"),
            module="deploy",
            topic=Topic.DEPLOY,
        ),
        Command(
            "promote",
            "Deploy the bundle that is active on one server to another, as it is.",
            ("project", "contents", "promote", "content", "deploy", "activate", "dry-run"),
            writes=True,
            topic=Topic.DEPLOY,
        ),
        Command(
            "preview",
            "Deploy a draft for a branch or pull request.",
            (*_CONTENT, "build", "preview", "activate", "dry-run"),
            writes=True,
            topic=Topic.DEPLOY,
        ),
        Command(
            "doctor",
            "Check everything that a deployment needs, and change nothing.",
            (*_CONTENT, "build", "doctor"),
            topic=Topic.START,
        ),
        Command(
            "manifest",
            "Write the bundle to a folder, with its manifest.json.",
            (*_BUILD, "manifest"),
            module="build",
            writes=True,
            topic=Topic.BUILD,
        ),
        Command(
            "bundle",
            "Build the bundle, without a server.",
            _BUILD,
            writes=True,
            module="build",
            topic=Topic.BUILD,
        ),
        Command(
            "requirements",
            "Print the packages that the server is going to install.",
            (*_BUILD, "requirements"),
            module="build",
            topic=Topic.BUILD,
        ),
        Command(
            "add",
            "Save a server under a nickname.",
            (*_SERVER, "add"),
            writes=True,
            module="servers",
            topic=Topic.SERVERS,
        ),
        Command(
            "login",
            "Log in to a server in the browser, and save it.",
            ("server", "add", "login"),
            writes=True,
            positional="server",
            topic=Topic.SERVERS,
        ),
        Command(
            "logout",
            "Log out of a server.",
            ("server",),
            module="login",
            writes=True,
            positional="server",
            topic=Topic.SERVERS,
        ),
        Command(
            "list",
            "List the saved servers.",
            module="servers",
            topic=Topic.SERVERS,
        ),
        Command(
            "remove",
            "Remove a saved server.",
            _SERVER,
            writes=True,
            module="servers",
            topic=Topic.SERVERS,
        ),
        Command(
            "details",
            "Show a server's version, its features, and who you are there.",
            ("project", *_SERVER, "machine"),
            module="servers",
            topic=Topic.SERVERS,
        ),
        Command(
            "info",
            "Show what the project was deployed as, and where.",
            _CONTENT,
            module="content",
            topic=Topic.LOOK,
        ),
        Command(
            "settings",
            "Show the content's settings that a project can declare.",
            (*_CONTENT, "settings"),
            topic=Topic.LOOK,
        ),
        Command(
            "logs",
            "Print the content's log, or follow it.",
            (*_CONTENT, "logs"),
            topic=Topic.LOOK,
        ),
        Command(
            "open",
            "Open the content, its dashboard or its logs in a browser.",
            (*_CONTENT, "open"),
            topic=Topic.LOOK,
        ),
        Command(
            "versions",
            "List the content's bundles on the server.",
            (*_CONTENT, "versions"),
            module="content",
            writes=True,
            topic=Topic.LOOK,
        ),
        Command(
            "rollback",
            "Activate an earlier bundle again.",
            (*_CONTENT, "bundle", "activate", "dry-run"),
            module="content",
            writes=True,
            topic=Topic.BACK,
        ),
        Command(
            "download",
            "Download a bundle from the server.",
            (*_CONTENT, "bundle", "download"),
            writes=True,
            topic=Topic.LOOK,
        ),
        Command(
            "prune",
            "Remove old drafts and bundles from the server.",
            (*_CONTENT, "prune", "dry-run"),
            writes=True,
            topic=Topic.BACK,
        ),
        Command(
            "local",
            "Run a Connect server on this machine, for trying things out.",
            ("local",),
            writes=True,
            keys=("yes",),
            topic=Topic.MACHINE,
        ),
    )
}


def _module_of(command: str) -> str:
    if command == "publish":  # Hatch's own command, so not one of ours
        return "deploy"
    return COMMANDS[command].module or command


def run_command(
    command: str, options: Options, surroundings: Surroundings, report: Report
) -> Result:
    """Carry out one of `COMMANDS`, or `publish`; only that command's modules are imported.

    The API key of the call or of the environment is masked in everything that is reported, as are
    the headers of the environment and what signs in without a key: servers and builds may repeat
    them. Hints name commands in the way that was used. Raises HatchConnectError.
    """
    try:
        from hatch_connect.commands.call import Call, reworded
        from hatch_connect.programs import IDENTITY_VARIABLES

        module = import_module(f"{__name__}.{_module_of(command)}")
    except KeyboardInterrupt as error:  # importing takes long enough to be interrupted
        error.add_note("Nothing was changed.")
        raise
    environ = surroundings.environ
    names = ("CONNECT_API_KEY", *IDENTITY_VARIABLES)
    secrets = [options.api_key, *(Secret(environ.get(name, "")) for name in names)]
    if text := environ.get("CONNECT_HTTP_HEADERS"):
        from hatch_connect.connect.headers import secrets_in

        secrets += secrets_in(text)
    with reworded(surroundings.spelled, report) as spelled:
        called = Call.of(options, surroundings, spelled)
        with called.masking((*secrets, called.secrets)) as call:
            return _run(command, getattr(module, f"run_{command}"), call)


def _run(command: str, run: Callable[[Call], Result], call: Call) -> Result:
    """Run a command, and again if nothing named a server and the person chooses one."""
    try:
        return run(call)
    except NoServerError as error:  # before anything was changed
        from hatch_connect.commands.servers import with_server

        options = COMMANDS[command].options if command in COMMANDS else ()
        local = any(spec.key == "local" for spec in options)
        if local and error.hint:
            error.hint += "\nTo try it on this machine, use --local."
        again = with_server(call, local=local)
        if again is None:
            raise
    return run(again)
