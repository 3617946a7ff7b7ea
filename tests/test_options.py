from __future__ import annotations

import pytest

from hatch_connect.commands import COMMANDS
from hatch_connect.errors import UsageError
from hatch_connect.options import SPECS, Options
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


def test_options_are_made_of_text_from_doors_that_know_only_text() -> None:
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
