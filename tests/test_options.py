from __future__ import annotations

import click
import pytest

from hatch_connect.cli import command_line
from hatch_connect.commands import COMMANDS, Topic
from hatch_connect.errors import UsageError
from hatch_connect.options import SPECS, Options, Section
from hatch_connect.secret import Secret

OFFICIAL_SPELLINGS = {
    "name": {"-n", "--name"},
    "server": {"-s", "--server"},
    "api_key": {"-k", "--api-key"},
    "insecure": {"-i", "--insecure"},
    "cacert": {"-c", "--cacert"},
    "title": {"-t", "--title"},
    "new": {"-N", "--new"},
    "app_id": {"-a", "--app-id"},
    "environment": {"-E", "--environment"},
    "entrypoint": {"-e", "--entrypoint"},
    "exclude": {"-x", "--exclude"},
    "verbose": {"-v", "--verbose"},
    "quiet": {"-q", "--quiet"},
}


@pytest.mark.parametrize("key", OFFICIAL_SPELLINGS)
def test_spellings_are_those_of_the_official_client(key: str) -> None:
    assert set(SPECS[key].flags) == OFFICIAL_SPELLINGS[key]


@pytest.mark.parametrize("command", COMMANDS)
def test_no_command_has_two_options_of_one_spelling(command: str) -> None:
    flags = [flag for spec in COMMANDS[command].options for flag in spec.flags]
    assert len(flags) == len(set(flags))


@pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS)
def test_every_option_belongs_to_a_command_and_says_what_it_is_for(spec: object) -> None:
    assert any(spec in command.options for command in COMMANDS.values())


@pytest.mark.parametrize("width", [40, 80])
@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_help_is_as_wide_as_the_terminal(
    command: str, width: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    program = command_line()
    one = program.commands[command] if command else program
    lines = one.get_help(click.Context(one, info_name=f"hatch-connect {command}")).splitlines()
    # Only one spelling of a name may be longer.
    too_wide = [line for line in lines if len(line) > width]
    assert all(line.strip().startswith("--python-version, --over") for line in too_wide)
    headings = [line.removesuffix(":") for line in lines if line.endswith(":") and line[0] != " "]
    order = [topic.value for topic in Topic] if not command else [each.value for each in Section]
    assert [each for each in order if each in headings] == headings[: -1 if not command else None]


def test_help_shows_defaults_and_variables_as_they_are_declared() -> None:
    assert SPECS["keep"].text.endswith("bundles. [default: 5]")
    assert SPECS["architecture"].text.endswith("[default: x86_64]")
    assert SPECS["server"].text == "URL of the server. [env: CONNECT_SERVER]"
    for spec in SPECS.values():
        assert "default" not in spec.help.lower(), f"{spec.key} repeats its default in words"


def test_options_are_made_of_text_from_ways_that_know_only_text() -> None:
    options = Options.of({"draft": "true", "verbose": "off", "exclude": "*.csv", "port": "80"})
    assert options.draft is True
    assert options.verbose is False
    assert options.exclude == ("*.csv",)
    assert options.port == 80


def test_secrets_are_wrapped_from_the_first_moment() -> None:
    options = Options.of({"api_key": "hunter2", "environment": ["A=hunter2"]})
    assert options.api_key == Secret("hunter2")
    assert options.environment == (Secret("A=hunter2"),)
    assert "hunter2" not in repr(options)


def test_unknown_options_are_refused_by_name() -> None:
    with pytest.raises(UsageError, match="'colour'"):
        Options.of({"colour": "red"})


@pytest.mark.parametrize(("key", "value"), [("draft", "perhaps"), ("port", "many")])
def test_values_of_the_wrong_kind_are_refused(key: str, value: str) -> None:
    with pytest.raises(UsageError, match=f"'{key}'.*'{value}'"):
        Options.of({key: value})


def test_overrides_are_what_was_given_for_keys_of_the_table() -> None:
    options = Options.of({"extra": ["plots"], "title": "Sales", "server": "https://c.example"})
    assert options.overrides() == {"extras": ["plots"], "title": "Sales"}
    assert Options().overrides() == {}


def test_no_value_that_a_program_gives_is_lost() -> None:
    assert Options(title="").overrides() == {"title": ""}  # which reading the settings refuses
