from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hatch_connect.bundle.names import check_names, shown, unsafe
from hatch_connect.errors import BundleError


@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("/etc/passwd", "absolute"),
        ("C:/x", "absolute"),
        ("a/../b", "leads elsewhere"),
        ("./a", "leads elsewhere"),
        ("a//b", "leads elsewhere"),
        ("a/", "leads elsewhere"),
        ("", "leads elsewhere"),
        ("a\\b", "backslash"),
        ("a\nb", "line break"),
        ("a\x7f", "control character"),
        ("a\udcff", "not UTF-8"),
        ("é" * 128, "longer than 255 bytes"),
    ],
)
def test_a_path_that_no_bundle_can_hold(path: str, why: str) -> None:
    assert why in (unsafe(path) or "")


@pytest.mark.parametrize("path", ["a", "a b/c.d", "trailing.", "naïve/日本.txt", "x" * 255, ".h"])
def test_a_path_that_any_bundle_can_hold(path: str) -> None:
    assert unsafe(path) is None
    check_names([path])


@pytest.mark.parametrize(
    "paths",
    [
        ("a/Read.me", "a/READ.me"),
        ("caf\u00e9", "cafe\u0301"),
        ("straße", "STRASSE"),
        ("a", "a/b"),
        ("A/x/y", "a"),
    ],
)
def test_paths_that_some_systems_cannot_tell_apart(paths: tuple[str, ...]) -> None:
    with pytest.raises(BundleError, match="cannot go into a bundle"):
        check_names(paths)


def test_all_problems_are_told_at_once_but_no_thousands() -> None:
    with pytest.raises(BundleError) as caught:
        check_names([f"a\n{n:02}" for n in range(30)])
    assert "'a\\n00': its name holds a line break" in caught.value.message
    assert "'a\\n09'" in caught.value.message
    assert "and 20 more" in caught.value.message
    assert caught.value.message.count("\n") == 11


def test_a_name_is_never_shown_raw() -> None:
    assert shown("\x1b[31mred") == r"'\x1b[31mred'"
    assert shown("naïve.txt") == "naïve.txt"


@given(st.text())
def test_every_name_is_judged_and_can_be_shown(path: str) -> None:
    unsafe(path)
    assert shown(path).isprintable()
