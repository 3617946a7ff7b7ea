from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from hatch_connect.project.validators import valid_content_name, validate_content_name


@given(st.text())
def test_a_valid_name_can_be_made_of_any_text(text: str) -> None:
    assert validate_content_name(valid_content_name(text)) is None
