"""Invoke tasks: `from invoke_tasks import ns` in a project's tasks.py gives `invoke deploy`, ...

Taken into a collection of the project's own, the tasks are `invoke connect.deploy`, ...
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from invoke.collection import Collection
from invoke.exceptions import Exit
from invoke.parser.argument import Argument
from invoke.tasks import Task

from hatch_connect.commands import COMMANDS
from hatch_connect.errors import HatchConnectError, UsageError
from hatch_connect.options import SPECS, OptionKind, Options
from hatch_connect.process import perform

if TYPE_CHECKING:
    from invoke.context import Context

    from hatch_connect.commands import Command
    from hatch_connect.options import OptionSpec

__all__ = ["ns"]

_KINDS = {
    OptionKind.FLAG: bool,
    OptionKind.NUMBER: int,
    OptionKind.TEXTS: list,
    OptionKind.SECRETS: list,
}


class _CommandTask(Task):  # type: ignore[type-arg]
    """A task whose flags are a command's options, not the parameters of a function."""

    def __init__(self, command: Command) -> None:
        def body(context: Context, **given: object) -> None:
            _perform(command, context, given)

        body.__doc__ = command.help
        super().__init__(body, name=command.name, positional=())
        self._command = command

    def get_arguments(self, ignore_unknown_help: bool | None = None) -> list[Argument]:  # noqa: ARG002, FBT001 - Invoke's signature
        """Return the command's options with their own short flags."""
        return [_argument(spec) for spec in self._command.options]


def _argument(spec: OptionSpec) -> Argument:
    return Argument(
        names=tuple(flag.lstrip("-") for flag in spec.flags),
        attr_name=_attribute(spec),
        kind=_KINDS.get(spec.kind, str),
        default=False if spec.kind is OptionKind.FLAG else None,
        help=spec.text,
    )


def _attribute(spec: OptionSpec) -> str | None:
    """Return the name of an argument in Python; None if its flag is that name.

    Of any other, Invoke could not show the help. It makes an alias of this name, and would follow
    an alias of itself for ever.
    """
    name = spec.long.replace("-", "_")
    return None if name == spec.long else name


def _perform(command: Command, context: Context, given: dict[str, object]) -> None:
    named = {_attribute(spec) or spec.long: spec.key for spec in command.options}
    typed = {named[name]: value for name, value in given.items() if value not in (None, False, [])}
    keys = {*named.values()}
    section = {k.replace("-", "_"): v for k, v in context.config.get("connect", {}).items()}
    if unknown := sorted(section.keys() - SPECS.keys()):
        names = ", ".join(f"connect.{name}" for name in unknown)
        raise Exit(f"Invoke's configuration has unknown options: {names}.", UsageError.exit_code)
    merged: dict[str, Any] = {k: v for k, v in section.items() if k in keys and v is not None}
    merged |= typed
    if context.config.run.dry:
        if "dry_run" in keys:
            merged["dry_run"] = True
        elif command.writes:
            print(f"dry run: {command.name}: {command.help}")  # noqa: T201 - the outermost layer may print
            return
    try:
        options = Options.of(merged)
    except HatchConnectError as error:
        raise Exit(str(error), error.exit_code) from None
    if code := perform(command.name, options, key_typed="api_key" in typed):
        raise Exit(code=code)


ns = Collection("connect", *(_CommandTask(command) for command in COMMANDS.values()))
# Only declared keys can be set by INVOKE_CONNECT_*.
ns.configure({"connect": dict.fromkeys(SPECS)})
