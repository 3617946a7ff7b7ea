from __future__ import annotations

import pickle
import traceback
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
from support.bundles import write_files

from hatch_connect.commands.call import reworded
from hatch_connect.errors import BuildError, RefusedError, add_facts, facts_of
from hatch_connect.events import LogLine
from hatch_connect.secret import Secret, has_credentials, hiding, without_credentials

if TYPE_CHECKING:
    from pathlib import Path

    from support.sandbox import Sandbox

    from hatch_connect.events import Event

KEY = "hunter2hunter2"


@dataclass(frozen=True)
class Holder:
    key: Secret


def test_a_secret_shows_itself_nowhere_but_where_it_is_revealed() -> None:
    secret = Secret("hunter2")
    shown = f"{secret} {secret!r} {secret!s} {secret:>20} {Holder(secret)} {[secret]}"
    assert "hunter2" not in shown
    assert secret.reveal() == "hunter2"


def test_a_secret_is_not_pickled() -> None:
    with pytest.raises(TypeError, match="not pickled"):
        pickle.dumps(Secret("hunter2"))


def test_a_secret_that_is_no_text_is_hidden_too() -> None:
    hide = hiding([Secret("hunter2/\udcff")])
    assert hide("hunter2/\udcff hunter2%2F%FF hunter2/%FF") == "*** *** ***"


def test_secrets_compare_by_value() -> None:
    assert Secret("a") == Secret("a")
    assert Secret("a") != Secret("b")
    assert Secret("a") != "a"
    assert len({Secret("a"), Secret("a")}) == 1
    assert bool(Secret("a")) is True
    assert bool(Secret("")) is False


def test_what_leaves_a_masked_block_shows_no_secret() -> None:
    heard: list[Event] = []
    first = RefusedError(f"first {KEY}", status=400, hint=f"try {KEY}")
    first.add_note(f"noted {KEY}")
    add_facts(first, log=[f"wrote {KEY}"], diagnosis={"code": 7, "summary": f"found {KEY}"})

    def fail() -> None:
        with reworded(hiding((Secret(KEY),)), heard.append, logs=True) as told:
            told(LogLine(text=f"log {KEY}"))
            try:
                raise first
            except RefusedError as error:
                raise BuildError(f"then {KEY}") from error

    with pytest.raises(BuildError) as caught:
        fail()
    shown = traceback.format_exception(caught.value)
    assert KEY not in f"{shown} {heard} {first.message} {first.hint} {first.__notes__}"
    assert "".join(shown).count("***") == 4
    assert facts_of(first) == {
        "log": ["wrote ***"],
        "diagnosis": {"code": 7, "summary": "found ***"},
    }


def test_an_interruption_shows_no_secret_either() -> None:
    def interrupt() -> None:
        with reworded(hiding((Secret(KEY),)), lambda _: None):
            error = KeyboardInterrupt()
            error.add_note(f"The task said: {KEY}")
            raise error

    with pytest.raises(KeyboardInterrupt) as caught:
        interrupt()
    assert caught.value.__notes__ == ["The task said: ***"]


@pytest.mark.parametrize("more", [(), ("--json",), ("--verbose",)])
def test_a_program_that_prints_its_environment_does_not_print_the_key(
    tmp_path: Path, sandbox: Sandbox, more: tuple[str, ...]
) -> None:
    quarto = tmp_path / "bin" / "quarto"
    connect = '[tool.hatch-connect]\napp-mode = "quarto-static"\n'
    write_files(
        tmp_path,
        {"bin/quarto": "#!/bin/sh\nenv >&2\nenv | grep KEY >&2\nexit 1\n", "p/index.qmd": ""},
    )
    write_files(tmp_path / "p", {"pyproject.toml": connect, "_quarto.yml": ""})
    quarto.chmod(0o755)
    done = sandbox.connect(
        "bundle", *more, cwd=tmp_path / "p", QUARTO_PATH=str(quarto), CONNECT_API_KEY=KEY
    )
    assert done.code == 2
    assert "quarto inspect" in done.said
    assert "CONNECT_API_KEY=***" in done.said
    assert KEY not in done.said


@pytest.mark.parametrize(
    "text",
    [
        "https://me:hunter2@h/x",
        "x @ git+https://hunter2@h/x@main",
        "ssh://git@h/x https://hunter2@h",
        "https://${TOKEN}@h/hunter2@",
    ],
)
def test_credentials_are_found(text: str) -> None:
    assert has_credentials(text)
    assert "hunter2@h" not in without_credentials(text)


@pytest.mark.parametrize(
    "text", ["https://h/x@main", "git+ssh://git@h/x", "me@example.com", "https://h/?a=b@c"]
)
def test_what_are_none(text: str) -> None:
    assert not has_credentials(text)
