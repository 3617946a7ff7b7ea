from __future__ import annotations

import pytest

from hatch_connect.errors import UsageError
from hatch_connect.project.content_kind import APP_MODES, find_app_mode


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ("python-fastapi", "python-fastapi"),
        ("fastapi", "python-fastapi"),
        ("flask", "python-api"),
        (" FastAPI ", "python-fastapi"),
        ("api", "python-api"),
        ("dash", "python-dash"),
        ("streamlit", "python-streamlit"),
        ("bokeh", "python-bokeh"),
        ("shiny", "python-shiny"),
        ("express", "python-shiny"),
        ("gradio", "python-gradio"),
        ("panel", "python-panel"),
        ("notebook", "jupyter-static"),
        ("voila", "jupyter-voila"),
        ("quarto", "quarto-static"),
        ("quarto-shiny", "quarto-shiny"),
        ("html", "static"),
        ("tensorflow", "tensorflow-saved-model"),
    ],
)
def test_connects_names_and_short_names_are_known(asked: str, found: str) -> None:
    assert find_app_mode(asked).name == found


@pytest.mark.parametrize(("asked", "found"), [("api", "python-api"), ("shiny", "python-shiny")])
def test_a_name_that_r_has_too_means_python(asked: str, found: str) -> None:
    assert find_app_mode(asked).name == found


def test_what_only_a_prepared_manifest_can_hold_is_known_as_such() -> None:
    assert find_app_mode("rmd-static").prepared


def test_a_misspelt_name_brings_those_that_come_close() -> None:
    with pytest.raises(UsageError, match="fastpi") as caught:
        find_app_mode("fastpi")
    assert "fastapi" in str(caught.value.hint)


def test_a_strange_name_brings_all_of_them() -> None:
    with pytest.raises(UsageError) as caught:
        find_app_mode("zzzzzzzz")
    assert "python-streamlit" in str(caught.value.hint)


def test_no_name_stands_for_two_python_modes() -> None:
    ours = [mode for mode in APP_MODES if not mode.prepared]
    names = [name for mode in ours for name in (mode.name, *mode.short_names)]
    assert len(names) == len(set(names))
