"""The command line, for people and scripts, on click."""

from __future__ import annotations

import sys
from functools import partial
from typing import TYPE_CHECKING

import click

from hatch_connect import __version__
from hatch_connect.commands import COMMANDS, Topic
from hatch_connect.errors import UsageError
from hatch_connect.options import SPECS, OptionKind, Options, Section
from hatch_connect.process import open_closed_streams, perform, surroundings, unwritten

if TYPE_CHECKING:
    from collections.abc import Callable

    from click.shell_completion import CompletionItem

    from hatch_connect.commands import Command
    from hatch_connect.options import OptionSpec

_FROM_ARGUMENT = "_argument"
_COMPLETION = "completion"
_COMPLETION_HELP = "Print the script that completes commands in a shell."
_HOW_TO_COMPLETE = """\
\b
bash:  echo 'eval "$(hatch-connect completion bash)"' >> ~/.bashrc
zsh:   echo 'eval "$(hatch-connect completion zsh)"' >> ~/.zshrc
fish:  echo 'hatch-connect completion fish | source' >> ~/.config/fish/config.fish"""
_PROGRAM = "hatch-connect"
_VARIABLE = "_HATCH_CONNECT_COMPLETE"
_PATHS = {"FILE": "file", "PATH": "file", "FOLDER": "dir"}
_SHELLS = ("bash", "zsh", "fish")
_NARROW = 60  # columns


def main(version: str) -> None:
    """Run the command line; `version` is the line that --version prints."""
    open_closed_streams()
    sys.exit(_run(version))


def _run(version: str) -> int:
    try:
        # Click's standalone mode would end with 1 after an interruption.
        called = command_line(version).main(
            prog_name=_PROGRAM, complete_var=_VARIABLE, standalone_mode=False
        )
        sys.stdout.flush()
    except click.ClickException as error:
        try:
            error.show()
        except OSError as problem:
            unwritten(problem, "stderr")
        return error.exit_code
    except click.Abort as error:
        # Click turns a KeyboardInterrupt into an Abort.
        if isinstance(error.__cause__, KeyboardInterrupt):
            raise error.__cause__ from None
        raise KeyboardInterrupt from error
    except OSError as error:
        return unwritten(error)
    code: int = called() if callable(called) else called
    return code


def command_line(version: str = "") -> click.Group:
    """Return the whole command line, made from the commands and their options."""
    group = _Program(
        _PROGRAM,
        help="Ship a Hatch project to Posit Connect from the build it already has.",
        commands={
            **{command.name: _command(command) for command in COMMANDS.values()},
            _COMPLETION: _completion_command(),
        },
        epilog="`hatch-connect COMMAND --help` shows the options of a command.",
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    return click.version_option(__version__, message=version)(group)


class _Help(click.Command):
    """A command whose help lists the options by section, as wide as the terminal is."""

    def format_help(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the help. Click itself never writes less than 50 columns."""
        import shutil

        formatter.width = max(20, min(80, shutil.get_terminal_size().columns) - 2)
        super().format_help(ctx, formatter)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options of each section below its heading."""
        rows: dict[Section, list[tuple[str, str]]] = {section: [] for section in Section}
        for param in self.get_params(ctx):
            record = param.get_help_record(ctx) if isinstance(param, click.Option) else None
            if record:
                spec = SPECS.get(param.name or "")
                rows[spec.section if spec else Section.OUTPUT].append(record)
        for section, those in rows.items():
            # If it is narrow, what is long stands above what it means.
            _write(formatter, section.value, those, 30 if formatter.width > _NARROW else 4)


class _Program(_Help, click.Group):
    """A group whose help lists the commands by topic."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the commands of each topic below its heading, then the options."""
        for topic in Topic:
            commands = (command for command in COMMANDS.values() if command.topic is topic)
            rows = [(command.name, command.help) for command in commands]
            if topic is Topic.MACHINE:
                rows.append((_COMPLETION, _COMPLETION_HELP))
            _write(formatter, topic.value, rows)
        click.Command.format_options(self, ctx, formatter)


def _write(
    formatter: click.HelpFormatter, heading: str, rows: list[tuple[str, str]], widest: int = 30
) -> None:
    if rows:
        with formatter.section(heading):
            formatter.write_dl(rows, col_max=widest)


def _command(command: Command) -> click.Command:
    params: list[click.Parameter] = []
    for spec in command.options:
        if spec.positional or spec.key == command.positional:
            argument = [spec.key + _FROM_ARGUMENT]
            shown = f"[{spec.metavar}]..." if spec.repeatable else f"[{spec.metavar}]"
            many = -1 if spec.repeatable else 1
            complete = partial(_completed, spec)
            params.append(
                click.Argument(
                    argument,
                    required=False,
                    metavar=shown,
                    nargs=many,
                    shell_complete=complete,
                )
            )
        params.append(_parameter(spec))
    return _Help(command.name, params=params, help=command.help, callback=_callback(command.name))


def _parameter(spec: OptionSpec) -> click.Option:
    declarations = [spec.key, *spec.flags]
    if spec.kind is OptionKind.FLAG:
        return click.Option(declarations, is_flag=True, help=spec.text)
    kind = click.INT if spec.kind is OptionKind.NUMBER else click.STRING
    return click.Option(
        declarations,
        type=kind,
        multiple=spec.repeatable,
        metavar=spec.metavar,
        help=spec.text,
        shell_complete=partial(_completed, spec),
    )


def _completed(
    spec: OptionSpec, ctx: click.Context, _param: click.Parameter, typed: str
) -> list[CompletionItem]:
    """Return what a shell offers for the value of an option."""
    from click.shell_completion import CompletionItem

    known: dict[str, str] = {}
    if spec.metavar in {"NICKNAME", "SERVER"}:
        from hatch_connect.commands.completion import saved_servers

        known = saved_servers(surroundings())
    elif spec.key == "content":
        from hatch_connect.commands.completion import contents_of_project

        known = contents_of_project(surroundings(), ctx.params.get("directory"))
    elif spec.metavar in _PATHS:
        return [CompletionItem(typed, type=_PATHS[spec.metavar])]
    elif spec.metavar.islower():
        known = dict.fromkeys(spec.metavar.split("|"), "")
    return [
        CompletionItem(name, help=about) for name, about in known.items() if name.startswith(typed)
    ]


def _completion_command() -> click.Command:
    """Return the command that prints click's script for a shell."""

    def show(shell: str) -> int:
        from click.shell_completion import get_completion_class

        kind = get_completion_class(shell)
        if kind is None:
            raise AssertionError(f"click knows {shell}")
        click.echo(kind(click.Command(_PROGRAM), {}, _PROGRAM, _VARIABLE).source())
        return 0

    argument = click.Argument(["shell"], type=click.Choice(_SHELLS))
    return _Help(
        _COMPLETION,
        params=[argument],
        help=f"{_COMPLETION_HELP}\n\n{_HOW_TO_COMPLETE}",
        callback=lambda shell: partial(show, shell),
    )


def _callback(command: str) -> Callable[..., Callable[[], int]]:
    def callback(**given: object) -> Callable[[], int]:
        try:
            options = Options.of(_merged(given))
        except UsageError as error:
            raise click.UsageError(str(error)) from None
        # Carried out when click, whose output may fail, is done.
        return partial(perform, command, options, key_typed=given.get("api_key") is not None)

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
