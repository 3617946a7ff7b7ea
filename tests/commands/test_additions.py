"""What is added to a TOML file of a person: all that was there stays, as it was."""

from __future__ import annotations

import re
import tomllib
from collections import Counter

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from hatch_connect.commands.additions import Addition, CannotAddError, with_additions

ENV = Addition(table=("tool", "hatch", "env"), values={"requires": ["hatch-connect"]})
COLLECTOR = Addition(table=("tool", "hatch", "env", "collectors", "connect"))
OURS = Addition(table=("tool", "hatch-connect"), values={"app-mode": "python-api"})
ALL = (ENV, COLLECTOR, OURS)


def added(text: str, *additions: Addition) -> str:
    return with_additions(text.encode(), additions or ALL).decode()


def test_a_new_file_has_nothing_else() -> None:
    assert added("", OURS) == '[tool.hatch-connect]\napp-mode = "python-api"\n'


@pytest.mark.parametrize(
    "text",
    [
        "[project]\nname = 'x' # why\n",
        "[project]\nname = 'x'",
        "[tool.hatch.envs.default]\npython = '3.12'\n[tool.hatch.version]\npath = 'a.py'\n",
        "[tool.hatch.env.collectors.other]\na = 1\n",
        "[[tool.uv.index]]\nname = 'a'\n[[tool.uv.index]]\nname = 'b'\n# the end\n",
        "[tool]\nblack.line-length = 100\n",
    ],
)
def test_what_is_new_follows_what_is_there(text: str) -> None:
    assert added(text).startswith(text)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("[tool.hatch.env]\nrequires = ['a'] # why\n", "requires = ['a', \"hatch-connect\"] # why"),
        ("[tool.hatch]\nenv.requires = ['a']\n", "env.requires = ['a', \"hatch-connect\"]"),
        ("tool.hatch.env.requires = []\n", 'tool.hatch.env.requires = ["hatch-connect"]'),
        ("[tool]\nhatch = {env = {requires = []}}\n", '{env = {requires = ["hatch-connect"]}}'),
        ("[tool.hatch.env]\n[tool.x]\na = 1\n", '[tool.hatch.env]\nrequires = ["hatch-connect"]'),
        (
            "[tool.hatch.env]\nrequires = [ # these\n  'a', # first\n]\n",
            "requires = [ # these\n  'a', # first\n  \"hatch-connect\",\n]",
        ),
    ],
)
def test_a_table_that_is_there_is_extended(text: str, line: str) -> None:
    assert line in added(text, ENV)


def test_what_is_there_is_not_added_again() -> None:
    text = added("")
    assert added(text) == text
    assert added("[tool.hatch-connect]\napp-mode = 'x'\n", OURS).count("app-mode") == 1


@pytest.mark.parametrize(
    "text",
    ["tool = 1\n", "[tool]\nhatch-connect = 1\n", "[tool.hatch.env]\nrequires = 1\n"],
)
def test_what_cannot_be_extended_is_refused(text: str) -> None:
    with pytest.raises(CannotAddError):
        added(text)


def test_newlines_and_the_mark_stay() -> None:
    data = b"\xef\xbb\xbf[project]\r\nname = 'x'\r\n"
    after = with_additions(data, ALL)
    assert after.startswith(data)
    assert after.count(b"\n") == after.count(b"\r\n")


KEYS = st.sampled_from(["tool", "hatch", "env", "requires", "collectors", "hatch-connect", "a.b"])
COMMENTS = st.sampled_from(["", "  # a comment", " #", "  # ü"])
COMMENT = re.compile(r"# ?\w*")
SCALARS = st.one_of(
    st.integers(-9, 9).map(str),
    st.sampled_from(["true", "nan", "'a # b'", '"""x\ny"""', "1979-05-27T07:32:00Z", "[]", "{}"]),
    st.sampled_from(["['a', 'b']", "[\n  'a', # one\n]", "{requires = ['a'], x = 1}"]),
)


def key(path: list[str]) -> str:
    return ".".join(f'"{k}"' if "." in k else k for k in path)


LINES = st.one_of(
    st.builds(lambda p, c: f"[{key(p)}]{c}", st.lists(KEYS, min_size=1, max_size=4), COMMENTS),
    st.builds(lambda p, c: f"[[{key(p)}]]{c}", st.lists(KEYS, min_size=1, max_size=3), COMMENTS),
    st.builds(
        lambda p, v, c: f"{key(p)} = {v}{c}",
        st.lists(KEYS, min_size=1, max_size=4),
        SCALARS,
        COMMENTS,
    ),
    st.sampled_from(["", "# a line", "   "]),
)


@given(
    st.lists(LINES, max_size=9),
    st.sampled_from(["\n", "\r\n"]),
    st.sampled_from(["", "\ufeff"]),
    st.sampled_from(["", "\n"]),
)
@example(lines=["tool.tool = 0", "hatch = 0"], newline="\r\n", mark="", end="")
def test_nothing_else_changes_in_any_file(
    lines: list[str], newline: str, mark: str, end: str
) -> None:
    text = ("\n".join(lines) + end).replace("\n", newline)
    try:
        before = tomllib.loads(text)
    except ValueError:
        return
    try:
        after = with_additions((mark + text).encode(), ALL).decode()
    except CannotAddError:
        return
    assert after.startswith(mark)
    read = tomllib.loads(after.removeprefix(mark))
    assert "hatch-connect" in read["tool"]["hatch"]["env"]["requires"]
    assert "connect" in read["tool"]["hatch"]["env"]["collectors"]
    assert "app-mode" in read["tool"]["hatch-connect"]
    assert repr(kept(read, before)) == repr(before)
    assert Counter(COMMENT.findall(text)) <= Counter(COMMENT.findall(after))
    assert with_additions(after.encode(), ALL).decode() == after


def kept(after: object, before: object) -> object:
    """Return what is left of the values that were there before, in their order now."""
    if isinstance(after, dict) and isinstance(before, dict):
        return {k: kept(v, before[k]) for k, v in after.items() if k in before}
    if isinstance(after, list) and isinstance(before, list):
        return after[: len(before)]
    return after
