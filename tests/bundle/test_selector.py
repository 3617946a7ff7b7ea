from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hatch_connect.bundle.patterns import Patterns
from hatch_connect.errors import BundleError


@pytest.mark.parametrize(
    ("lines", "path", "expected"),
    [
        (["*.md"], "a/b.md", True),
        (["/data/"], "data/x/y", True),
        (["data"], "a/data/y", True),
        (["/data"], "a/data/y", False),
        (["*.md", "!README.md"], "README.md", False),
        (["./data"], "data/x", True),
        (["./data"], "a/data/x", False),
        (["data/*", "!./data/x"], "data/x", False),
        ([], "a", False),
    ],
)
def test_patterns_are_those_of_gitignore(lines: list[str], path: str, *, expected: bool) -> None:
    assert Patterns(lines).match(path) is expected


def test_a_pattern_without_wildcards_names_a_file() -> None:
    patterns = Patterns(["/conf/.env", "data/", "*.pem", "!x", "./a/.env"])
    assert patterns.name("conf/.env")
    assert patterns.name("a/.env")
    assert not patterns.name("other/conf/.env")
    assert not patterns.name("a.pem")


def test_a_pattern_reaches_into_the_folders_that_it_names() -> None:
    patterns = Patterns(["/conf/.env", "data/", "*.pem", "!x", "**/node_modules/*.js"])
    assert patterns.reach_into("conf")
    assert patterns.reach_into("data/deeper")
    assert patterns.reach_into("web/node_modules")
    assert not patterns.reach_into("con")
    assert not patterns.reach_into("x")


def test_the_last_pattern_that_matches_is_the_rule() -> None:
    assert Patterns(["*.md", "a.*"]).which("a.md") == "a.*"


def test_patterns_that_match_nothing_are_found() -> None:
    patterns = Patterns(["*.md", "*.txt", "!x", "# note"])
    assert patterns.unused(["a.md"]) == ("*.txt",)


@given(st.lists(st.text("ab/*.!#[]\\ ", max_size=6), max_size=4), st.text("ab/.", min_size=1))
def test_any_pattern_gets_an_answer(lines: list[str], path: str) -> None:
    try:
        patterns = Patterns(lines)
    except BundleError:
        return
    patterns.match(path)
    patterns.reach_into(path)


@pytest.mark.parametrize("line", ["!", "a\\", "[z-a]"])
def test_what_is_no_pattern_is_named(line: str) -> None:
    with pytest.raises(
        BundleError, match=r"is not a valid pattern in gitignore's syntax"
    ) as caught:
        Patterns(["*.md", line])
    assert line in caught.value.message
