from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hatch_connect.connect.codes import next_step
from hatch_connect.connect.json_reader import (
    JsonObject,
    objects,
    page_title,
    readable,
    refusal_in,
    strings,
    without_markup,
)
from hatch_connect.connect.resources import (
    BundleInfo,
    Content,
    ExecutionEnvironment,
    Feature,
    Job,
    PythonInstallation,
    ServerSettings,
    TaskStatus,
    User,
)
from hatch_connect.errors import AnswerError

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)
KEYS = st.sampled_from(
    [
        *("guid", "name", "title", "id", "app_mode", "locked", "bundle_id", "username"),
        *("version", "installations", "python", "metadata", "size", "output", "last", "code"),
        *("finished", "error", "key", "exit_code", "content_url"),
    ]
)
RESOURCES = [
    *(BundleInfo, Content, ExecutionEnvironment, Job, PythonInstallation, ServerSettings),
    *(TaskStatus, User),
]


@given(st.dictionaries(KEYS, JSON) | JSON, st.sampled_from(RESOURCES))
def test_any_json_is_read_or_refused(value: object, resource: type[ServerSettings]) -> None:
    try:
        resource.from_answer(JsonObject(value, "GET x"))
    except AnswerError as error:
        assert "GET x" in error.message  # noqa: PT017 - some values are read, some refused


@given(st.binary() | JSON.map(lambda v: json.dumps(v).encode()))
def test_any_body_is_a_refusal(body: bytes) -> None:
    code, said = refusal_in(body)
    assert code is None or isinstance(code, int)
    assert said.isprintable()


@given(st.text(), st.integers(1, 50))
def test_readable_text_is_one_line_that_a_terminal_may_get(text: str, limit: int) -> None:
    line = readable(text, limit)
    assert line.isprintable()
    assert len(line) <= limit


@given(st.text())
def test_markup_is_taken_off_anything(text: str) -> None:
    assert "<script" not in without_markup(f"<script>{text}")


def test_ids_of_older_servers_are_numbers() -> None:
    assert Content.from_answer(JsonObject({"guid": "g", "id": 12, "bundle_id": 7}, "x")).id == "12"


def test_numbers_may_be_strings() -> None:
    assert BundleInfo.from_answer(JsonObject({"id": "1", "size": "12"}, "x")).size == 12


def test_a_bundle_of_an_older_server_has_no_metadata() -> None:
    bundle = BundleInfo.from_answer(JsonObject({"id": "1", "metadata": None}, "x"))
    assert (bundle.archive_md5, bundle.metadata) == (None, ())


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"output": None, "finished": None, "error": None, "code": None}, ((), 0, False, 0, "")),
        ({"output": ["a", "b"]}, (("a", "b"), 2, False, 0, "")),
        ({"output": ["\ud800"], "last": 9}, (("?",), 9, False, 0, "")),
        ({"finished": True, "code": 1, "error": "no"}, ((), 0, True, 1, "no")),
    ],
)
def test_tasks(fields: dict[str, object], expected: tuple[object, ...]) -> None:
    task = TaskStatus.from_answer(JsonObject(fields, "x"))
    assert (task.output, task.last, task.finished, task.code, task.error) == expected


def test_a_task_that_does_not_say_where_its_log_ends() -> None:
    assert TaskStatus.from_answer(JsonObject({"output": ["c"]}, "x"), first=2).last == 3


@pytest.mark.parametrize(
    ("fields", "where"),
    [
        ({"output": "text"}, r"x output: a string instead of an array"),
        ({"output": ["a", 1]}, r"x output\[1\]: an integer, not a string"),
        ({"finished": "yes"}, "`finished` is a string, not a boolean"),
        ({"last": "many"}, "`last` is a string, not an integer"),
        ({"last": True}, "`last` is a boolean, not an integer"),
    ],
)
def test_an_error_carries_the_path(fields: dict[str, object], where: str) -> None:
    with pytest.raises(AnswerError, match=where):
        TaskStatus.from_answer(JsonObject(fields, "x"))


def test_arrays_of_objects_carry_their_index() -> None:
    with pytest.raises(AnswerError, match=r"GET x\[1\]: null instead of an object"):
        list(objects([{}, None], "GET x"))
    with pytest.raises(AnswerError, match="GET x: an object instead of an array"):
        strings({}, "GET x")


@pytest.mark.parametrize(
    ("version", "drafts", "metadata"),
    [
        ("2024.09.0", False, False),
        ("2025.05.0", False, False),
        ("2025.06.0", True, False),
        ("2025.12.1-dev+3", True, True),
        ("v2026.06.0", True, True),
        ("", None, None),
        ("dev", None, None),
    ],
)
def test_versions(version: str, drafts: bool | None, metadata: bool | None) -> None:  # noqa: FBT001 - a table's column
    settings = ServerSettings(version=version)
    assert settings.supports(Feature.DRAFT) is drafts
    assert settings.supports(Feature.BUNDLE_METADATA) is metadata


@pytest.mark.parametrize(
    ("version", "mode", "since"),
    [
        ("2025.09.1", "python-panel", "2025.10"),
        ("2025.10.0", "python-panel", None),
        ("2023.01.0", "nodejs", "2026.04"),
        ("", "python-gradio", None),
        ("2023.01.0", "python-api", None),
    ],
)
def test_late_app_modes(version: str, mode: str, since: str | None) -> None:
    assert ServerSettings(version=version).runs_since(mode) == since


def test_connects_own_code_says_more_than_the_status() -> None:
    assert "git" in (next_step("v1/content", 409, 144) or "")
    assert next_step("v1/content", 409, 99999) is None
    assert "too old" in (next_step("v1/x", 404, None, "404 page not found") or "")
    assert "something else" in (next_step("v1/x", 404, None, "<html>") or "")
    assert "something else" in (next_step("v1/user", 404, None, "404 page not found") or "")
    assert "same time" in (next_step("v1/content", 409, None) or "")
    assert next_step("v1/content", 418, None) is None
    assert "without the `/connect/` of its dashboard" in (next_step("v1/user", 404, 4) or "")


@pytest.mark.parametrize("number", [29, 30])
def test_a_key_of_the_environment_is_replaced_where_it_is(number: int) -> None:
    assert "if CONNECT_API_KEY is set, put it there" in (next_step("v1/user", 401, number) or "")


@pytest.mark.parametrize(("told", "number"), [("12", 12), (12, 12), ("a1b2", 0), (None, 0)])
def test_a_jobs_number_may_be_other_text(told: object, number: int) -> None:
    job = Job.from_answer(JsonObject({"id": told, "key": "k"}, "GET jobs"))
    assert job.order == ("", number)


@pytest.mark.parametrize(
    ("page", "title"),
    [
        ("<title>502 Bad\nGateway</title><h1>502 Bad Gateway</h1><p>nginx", "502 Bad Gateway"),
        (
            "<title>Posit Connect</title><h1>It did not start</h1>",
            "Posit Connect: It did not start",
        ),
        ("<title>It failed - Connect</title><h1>It failed</h1>", "It failed - Connect"),
        ("<svg><title>a logo</title></svg><H1 class=x>Sign &amp; <b>in</b></H1>", "Sign & in"),
        ("<p>log in</p>", "log in"),
        ("<title></title><p>" + "word " * 99, "an HTML page without a title"),
        ("<title>" + "word " * 99 + "</title>", None),
        ("<title>never closed", "never closed"),
        ("", ""),
    ],
)
def test_a_page_is_called_by_its_title(page: str, title: str | None) -> None:
    found = page_title(page)
    assert len(found) <= 80
    assert title is None or found == title
