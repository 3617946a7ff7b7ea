"""Door: people and scripts, on click."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hatch_connect import __version__
from hatch_connect.door import interruptible
from hatch_connect.errors import INTERRUPTED, UsageError, exit_code_of
from hatch_connect.options import VERBS, OptionKind, Options

if TYPE_CHECKING:
    from collections.abc import Callable

    from hatch_connect.options import OptionSpec, Verb

_FROM_ARGUMENT = "_argument"


def main() -> None:
    """Run the command line."""
    with interruptible():
        sys.exit(_run())


def _run() -> int:
    try:
        # Click's standalone mode would end with 1 after an interruption.
        code: int = command_line().main(prog_name="hatch-connect", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        code = error.exit_code
    except (click.Abort, KeyboardInterrupt) as error:
        click.echo("interrupted: Nothing was changed.", err=True)
        # Click turns a KeyboardInterrupt into an Abort.
        ended = error.__cause__ if isinstance(error, click.Abort) else error
        code = exit_code_of(ended) if isinstance(ended, KeyboardInterrupt) else INTERRUPTED
    except BrokenPipeError:
        # The reader of the output is gone; Python would complain again when it flushes at exit.
        sys.stdout = sys.stderr = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 - for good
        code = 1
    return code


def command_line() -> click.Group:
    """Return the whole command line, made from the verbs and their options."""
    group = click.Group(
        "hatch-connect",
        help="Ship a Hatch project to Posit Connect from the build it already has.",
        commands={verb.name: _command(verb) for verb in VERBS.values()},
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    return click.version_option(__version__, prog_name="hatch-connect")(group)


def _command(verb: Verb) -> click.Command:
    params: list[click.Parameter] = []
    for spec in verb.options:
        if spec.positional:
            argument = [spec.key + _FROM_ARGUMENT]
            shown = f"[{spec.metavar}]..." if spec.repeatable else f"[{spec.metavar}]"
            many = -1 if spec.repeatable else 1
            params.append(click.Argument(argument, required=False, metavar=shown, nargs=many))
        params.append(_parameter(spec))
    return click.Command(verb.name, params=params, help=verb.help, callback=_callback(verb.name))


def _parameter(spec: OptionSpec) -> click.Option:
    declarations = [spec.key, *spec.flags]
    if spec.kind is OptionKind.FLAG:
        return click.Option(declarations, is_flag=True, help=spec.help)
    kind = click.INT if spec.kind is OptionKind.NUMBER else click.STRING
    return click.Option(
        declarations,
        type=kind,
        multiple=spec.repeatable,
        metavar=spec.metavar,
        help=spec.help,
    )


def _callback(verb: str) -> Callable[..., None]:
    def callback(**given: object) -> None:
        from hatch_connect.door import perform

        try:
            options = Options.of(_merged(given))
        except UsageError as error:
            raise click.UsageError(str(error)) from None
        sys.exit(perform(verb, options, key_typed=given.get("api_key") is not None))

    return callback


def _merged(given: dict[str, object]) -> dict[str, object]:
    """Merge the positional form of each option into the option."""
    merged = {k: v for k, v in given.items() if not k.endswith(_FROM_ARGUMENT)}
    for key, value in given.items():
        if key.endswith(_FROM_ARGUMENT) and value not in (None, ()):
            name = key.removesuffix(_FROM_ARGUMENT)
            if merged[name] not in (None, ()):
                raise UsageError(f"{name.upper()} is given twice.")
            merged[name] = value
    return merged
