from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hatch_connect.errors import UsageError
from hatch_connect.secret import Secret
from hatch_connect.ship.variables import Variables, collect_variables

if TYPE_CHECKING:
    from pathlib import Path


def collect(
    *given_here: str,
    table: dict[str, str | None] | None = None,
    env_file: Path | None = None,
    unset: tuple[str, ...] = (),
    environ: dict[str, str] | None = None,
) -> Variables:
    return collect_variables(
        table=[(n, None if v is None else Secret(v)) for n, v in (table or {}).items()],
        env_file=env_file,
        given=[Secret(text) for text in given_here],
        unset=unset,
        environ=environ or {},
    )


def revealed(variables: Variables) -> dict[str, str]:
    return {n: v.reveal() for n, v in variables.values.items() if v is not None}


names = st.from_regex(r"[^\s=\0]+", fullmatch=True).filter(lambda name: name.isprintable())
values = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))


@given(names, values)
def test_a_value_is_taken_as_it_is(name: str, value: str) -> None:
    assert revealed(collect(f"{name}={value}")) == {name: value}


def test_a_bare_name_takes_its_value_from_the_environment() -> None:
    found = collect("TOKEN", table={"REGION": None}, environ={"TOKEN": "t", "REGION": "n"})
    assert revealed(found) == {"REGION": "n", "TOKEN": "t"}
    assert found.relied_on == ()


@pytest.mark.parametrize(
    ("value", "state"),
    [
        (None, "not set"),
        ("", "empty"),
        ("$(TOKEN)", "an unexpanded reference"),
        ("$(build.token-1)", "an unexpanded reference"),
        ("${{ secrets.TOKEN }}", "an unexpanded reference"),
        ("${{secrets.TOKEN}}", "an unexpanded reference"),
    ],
)
def test_a_bare_name_without_a_value_is_left_to_the_server(
    tmp_path: Path, value: str | None, state: str
) -> None:
    file = tmp_path / "vars"
    file.write_text("IN_FILE\n", encoding="utf-8")
    names = ("IN_TABLE", "IN_FILE", "CALLED")
    environ = {} if value is None else dict.fromkeys(names, value)
    found = collect("CALLED", table={"IN_TABLE": None, "MODE": "x"}, env_file=file, environ=environ)
    assert revealed(found) == {"MODE": "x"}
    assert [(u.name, u.state, u.asked_by) for u in found.relied_on] == [
        ("IN_TABLE", state, "`env` in pyproject.toml"),
        ("IN_FILE", state, str(file)),
        ("CALLED", state, "-E"),
    ]
    assert [u.name for u in found.missing({"IN_FILE"})] == ["IN_TABLE", "CALLED"]
    assert found.hidden == ()


@pytest.mark.parametrize("value", ["$TOKEN", "a$(TOKEN)", "$(a b)", "${TOKEN}", " ", "$()"])
def test_what_only_resembles_a_reference_is_a_value(value: str) -> None:
    assert revealed(collect("TOKEN", environ={"TOKEN": value})) == {"TOKEN": value}


def test_an_empty_value_that_is_written_is_a_value(tmp_path: Path) -> None:
    file = tmp_path / "vars"
    file.write_text("IN_FILE=\n", encoding="utf-8")
    found = collect("CALLED=", table={"IN_TABLE": ""}, env_file=file)
    assert revealed(found) == {"IN_TABLE": "", "IN_FILE": "", "CALLED": ""}


def test_the_last_to_name_a_variable_decides_also_by_a_bare_name() -> None:
    found = collect("A", "B=call", table={"A": "table", "B": None})
    assert revealed(found) == {"B": "call"}
    assert [u.asked_by for u in found.relied_on] == ["-E"]


def test_all_values_are_hidden_but_those_that_stand_in_pyproject_toml() -> None:
    found = collect(
        "MODE=from-the-call",
        "KEPT=table-value",
        table={"MODE": "mode-of-table", "KEPT": "table-value", "BARE": None, "OVER": None},
        environ={"BARE": "bare-value", "OVER": "overridden"},
    )
    assert {secret.reveal() for secret in found.hidden} == {
        "from-the-call", "bare-value", "overridden",
    }  # fmt: skip


def test_the_call_wins_over_the_file_and_the_file_over_the_table(tmp_path: Path) -> None:
    file = tmp_path / "vars"
    file.write_text("A=file\nB=file\n# comment\nQUOTED='a b'\nPRICE=$5\n", encoding="utf-8")
    found = collect("A=call", table={"A": "table", "B": "table", "C": "table"}, env_file=file)
    assert revealed(found) == {
        "A": "call", "B": "file", "C": "table", "QUOTED": "a b", "PRICE": "$5",
    }  # fmt: skip


@pytest.mark.parametrize("text", ["=value", "", "A=\0"])
def test_what_has_no_name_is_refused_without_showing_it(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        collect(text)
    assert "value" not in str(caught.value).replace("NAME=VALUE", "")


def test_a_file_that_cannot_be_read_is_an_error_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="absent"):
        collect(env_file=tmp_path / "absent")
    binary = tmp_path / "binary"
    binary.write_bytes(b"A=\xff\xfe")
    with pytest.raises(UsageError, match="not UTF-8"):
        collect(env_file=binary)


def test_a_variable_can_be_removed_but_not_set_as_well() -> None:
    found = collect("A=1", table={"B": "2"}, unset=("B", "C"))
    assert dict(found.values) == {"A": Secret("1"), "B": None, "C": None}
    with pytest.raises(UsageError, match="both set and removed: A"):
        collect("A=1", unset=("A",))
    with pytest.raises(UsageError) as caught:
        collect(unset=("A=hunter2",))
    assert "'A'" in caught.value.message
    assert "hunter2" not in str(caught.value)


def test_bytes_that_are_no_text_are_named_and_not_shown() -> None:
    with pytest.raises(UsageError, match=r"UTF-8 text: A, B\.$"):
        collect("A=hunter\udcff", "B", "C=é", environ={"B": "\udcff"})
