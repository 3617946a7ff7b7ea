"""The commands: their list, and one module a subject with `run_COMMAND(call) -> result` of each."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, cast

from hatch_connect.options import SPECS
from hatch_connect.secret import Secret

if TYPE_CHECKING:
    from hatch_connect.commands.call import Surroundings
    from hatch_connect.commands.result import Result
    from hatch_connect.events import Report
    from hatch_connect.options import Options, OptionSpec


@dataclass(frozen=True, slots=True)
class Command:
    """Something that can be run in every way; `writes` if it changes anything.

    `module` is the module of this package that carries it out, if it has none of its own name.
    `positional` is the key of an option that the command line takes without its name as well.
    """

    name: str
    help: str
    groups: tuple[str, ...] = ()
    writes: bool = False
    positional: str = ""
    module: str = ""

    @property
    def options(self) -> tuple[OptionSpec, ...]:
        """The options that this command takes, in the order in which help shows them."""
        return tuple(spec for spec in SPECS.values() if spec.group in (*self.groups, "all"))


_SERVER = ("server", "key")
_CONTENT = ("project", "contents", *_SERVER, "content", "machine")
_BUILD = ("project", "contents", "build")

COMMANDS: dict[str, Command] = {
    command.name: command
    for command in (
        Command(
            "deploy",
            "Build the bundle, deploy it, and verify that the content answers.",
            (*_CONTENT, "file", "build", "deploy", "activate", "dry-run"),
            writes=True,
        ),
        Command(
            "plan",
            "Show what `deploy` would change, and change nothing.",
            (*_CONTENT, "file", "build", "deploy", "activate", "plan"),
            module="deploy",
        ),
        Command(
            "promote",
            "Deploy the bundle that is active on one server to another, as it is.",
            ("project", "contents", "promote", "content", "deploy", "activate", "dry-run"),
            writes=True,
        ),
        Command(
            "preview",
            "Deploy a draft of deployed content for a branch or pull request.",
            (*_CONTENT, "build", "preview", "activate", "dry-run"),
            writes=True,
        ),
        Command(
            "manifest",
            "Write the bundle's content as a folder with its manifest.json.",
            (*_BUILD, "manifest"),
            module="build",
            writes=True,
        ),
        Command("bundle", "Build the bundle, offline.", _BUILD, writes=True, module="build"),
        Command(
            "requirements",
            "Print the packages to install.",
            (*_BUILD, "requirements"),
            module="build",
        ),
        Command(
            "add",
            "Store a server under a nickname.",
            (*_SERVER, "add"),
            writes=True,
            module="servers",
        ),
        Command(
            "login",
            "Log in to a server in the browser, and store it under a nickname.",
            ("server", "add", "login"),
            writes=True,
            positional="server",
        ),
        Command(
            "logout",
            "End a login, and forget it.",
            ("server",),
            module="login",
            writes=True,
            positional="server",
        ),
        Command("list", "List the servers that are stored.", module="servers"),
        Command("remove", "Forget a stored server.", _SERVER, writes=True, module="servers"),
        Command(
            "details",
            "Does this server answer, who am I there, what does it have?",
            ("project", *_SERVER),
            module="servers",
        ),
        Command(
            "info", "What was this project deployed as, and where?", _CONTENT, module="content"
        ),
        Command(
            "settings",
            "Show what the content has of what a project can declare.",
            (*_CONTENT, "settings"),
        ),
        Command("logs", "Print the content's newest job log.", _CONTENT, module="content"),
        Command(
            "versions",
            "List the bundles that the server keeps of the content.",
            (*_CONTENT, "versions"),
            module="content",
            writes=True,
        ),
        Command(
            "rollback",
            "Activate an earlier bundle, verified first where the server can.",
            (*_CONTENT, "bundle", "activate", "dry-run"),
            module="content",
            writes=True,
        ),
        Command(
            "download",
            "Write a bundle that the server keeps to a file.",
            (*_CONTENT, "bundle", "download"),
            writes=True,
        ),
        Command(
            "prune",
            "Remove old drafts and bundles that the server keeps of the content.",
            (*_CONTENT, "prune", "dry-run"),
            writes=True,
        ),
        Command(
            "local",
            "Start a Connect on this machine, for trying things out.",
            ("local",),
            writes=True,
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
    them. Raises HatchConnectError.
    """
    try:
        from hatch_connect.commands.call import Call
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
    called = Call.of(options, surroundings, report)
    with called.masking((*secrets, called.secrets)) as call:
        return cast("Result", getattr(module, f"run_{command}")(call))
