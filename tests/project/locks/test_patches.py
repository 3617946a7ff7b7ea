from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.markers import Marker
from packaging.requirements import Requirement

from hatch_connect.project.locks.patches import first_patches, merged
from hatch_connect.project.pins import Pin
from hatch_connect.project.target import Target


def pin(name: str) -> Pin:
    return Pin(name=name, requirement=f"{name}==1", version="1")


@pytest.mark.parametrize(
    ("text", "patches"),
    [
        ("", (0,)),
        ("marker = \"python_full_version < '3.11.3'\"", (0, 3, 4)),
        ("python_full_version == '3.11.0'", (0, 1)),
        ("python_full_version < '3.12.3' or python_version < '3.11'", (0,)),
        ('requires-python = ">=3.11.7, <4"', (0, 7, 8)),
        ('version = "3.11.9"', (0,)),
        ("python_full_version < '13.11.3'", (0,)),
    ],
)
def test_answers_begin_where_a_marker_may_change_its_mind(
    text: str, patches: tuple[int, ...]
) -> None:
    assert first_patches(text, Target(python="3.11")) == patches


def test_a_known_patch_has_one_answer() -> None:
    text = "python_full_version < '3.11.3'"
    assert first_patches(text, Target(python="3.11.4")) == (0,)


STARTS = st.sets(st.integers(1, 12), max_size=5).map(lambda later: sorted({0, *later}))


@given(st.data())
def test_a_merged_pin_holds_for_exactly_the_patches_that_had_it(data: st.DataObject) -> None:
    starts = data.draw(STARTS)
    answers = {s: tuple(map(pin, data.draw(st.sets(st.sampled_from("abc"))))) for s in starts}
    found = [Requirement(each.requirement) for each in merged(answers, "3.11")]
    assert len(found) == len({requirement.name for requirement in found})
    for patch in range(15):
        answer = answers[max(start for start in starts if start <= patch)]
        environment = Target(python="3.11").environment(patch)
        held = {r.name for r in found if r.marker is None or r.marker.evaluate(environment)}
        assert held == {each.name for each in answer}


def test_what_always_holds_has_no_marker() -> None:
    (found,) = merged({0: (pin("a"),), 3: (pin("a"),)}, "3.11")
    assert found.requirement == "a==1"


def test_markers_read_well() -> None:
    found = merged({0: (), 3: (pin("a"),), 5: (), 9: (pin("a"),)}, "3.11")
    marker = found[0].requirement.partition(" ; ")[2]
    assert str(Marker(marker)) == marker
    assert marker == (
        'python_full_version >= "3.11.3" and python_full_version < "3.11.5"'
        ' or python_full_version >= "3.11.9"'
    )


def test_patches_that_no_minor_ever_had_are_not_looked_at() -> None:
    text = "".join(f"python_full_version < '3.11.{n}'\n" for n in range(0, 100_000, 7))
    assert max(first_patches(text, Target(python="3.11"))) < 100
