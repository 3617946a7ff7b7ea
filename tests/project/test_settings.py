from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hatch_connect.project.settings import (
    has_credentials,
    valid_content_name,
    validate_content_name,
    without_credentials,
)


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


@given(st.text())
def test_a_valid_name_can_be_made_of_any_text(text: str) -> None:
    assert validate_content_name(valid_content_name(text)) is None
