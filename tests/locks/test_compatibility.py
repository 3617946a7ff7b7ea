from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.markers import Marker
from packaging.requirements import Requirement

from hatch_connect.locks.compatibility import (
    either,
    file_name,
    first_patches,
    is_compatible,
    merged,
    parted,
    reduced,
    shortest,
    url_problem,
)
from hatch_connect.locks.lock import Pin
from hatch_connect.project.target import Target

TAGS = frozenset(Target(python="3.12", machine="x86_64").tags())

STARTS = st.sets(st.integers(1, 12), max_size=5).map(lambda later: sorted({0, *later}))

CHOSEN = {"extras": frozenset({"a"}), "dependency_groups": frozenset({"dev"})}

ATOMS = st.sampled_from(
    [
        "'a' in extras",
        "'b' not in extras",
        "'dev' in dependency_groups",
        "'docs' in dependency_groups",
        "sys_platform == 'linux'",
        "sys_platform != 'linux'",
        "python_version ~= '3.11'",
        "'3.12' <= python_version",
        "python_full_version < '3.11.4'",
    ]
)
MARKERS = st.recursive(
    ATOMS,
    lambda inner: st.builds(
        lambda a, b, o: f"({a}) {o} ({b})", inner, inner, st.sampled_from(["and", "or"])
    ),
    max_leaves=8,
)
PYTHONS = st.sampled_from(["3.10.0", "3.11.2", "3.11.9", "3.12.0"])
SYSTEMS = st.sampled_from(["linux", "win32"])

WAYS = st.frozensets(
    st.frozensets(MARKERS.filter(lambda m: "extras" not in m and "groups" not in m), max_size=3),
    min_size=1,
    max_size=3,
)


@pytest.mark.parametrize(
    ("wheel", "wanted"),
    [
        ("a-1-py3-none-any.whl", True),
        ("a-1-cp312-cp312-manylinux_2_17_x86_64.manylinux2014_x86_64.whl", True),
        ("a-1-cp38-abi3-manylinux_2_28_x86_64.whl", True),
        ("a-1-cp312-cp312-manylinux_2_28_aarch64.whl", False),
        ("a-1-cp312-cp312-musllinux_1_2_x86_64.whl", False),
        ("a-1-cp312-cp312t-manylinux_2_28_x86_64.whl", False),
        ("a-1-cp313-abi3-manylinux_2_28_x86_64.whl", False),
        ("a-1-py2-none-any.whl", False),
        ("no-wheel.whl", False),
    ],
)
def test_a_wheel_fits_by_its_tags(wheel: str, *, wanted: bool) -> None:
    assert is_compatible([wheel], TAGS) is wanted


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("https://h.example/a.whl", None),
        ("git+ssh://git@h.example/a@0123456", None),
        ("https://[/a.whl", "has an invalid URL"),
        ("https://me@h.example/a.whl", "has credentials in its URL: https://***@h.example/a.whl"),
        (
            "https://h.example/a.whl?Token=x&y=z",
            "has a `token` in its URL: https://h.example/a.whl",
        ),
        ("git+file:///a", "only this machine can reach"),
        ("http://127.0.0.1:8000/a.whl", "only this machine can reach"),
        ("http://[::1]/a.whl", "only this machine can reach"),
    ],
)
def test_which_urls_may_ship(url: str, said: str | None) -> None:
    found = url_problem("a 1", url)
    assert found == said or (said is not None and found is not None and said in found)


def test_what_is_no_url_has_no_parts() -> None:
    assert parted("https://[") == parted("")
    assert file_name("https://[/a.whl") == ""
    assert file_name("https://h/a%20b.whl#x") == "a b.whl"


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
    assert first_patches(text, Target(python="3.11", machine="x86_64")) == patches


def test_a_known_patch_has_one_answer() -> None:
    text = "python_full_version < '3.11.3'"
    assert first_patches(text, Target(python="3.11.4", machine="x86_64")) == (0,)


@given(st.data())
def test_a_merged_pin_holds_for_exactly_the_patches_that_had_it(data: st.DataObject) -> None:
    starts = data.draw(STARTS)
    answers = {s: tuple(map(pin, data.draw(st.sets(st.sampled_from("abc"))))) for s in starts}
    found = [Requirement(each.requirement) for each in merged(answers, "3.11")]
    assert len(found) == len({requirement.name for requirement in found})
    for patch in range(15):
        answer = answers[max(start for start in starts if start <= patch)]
        environment = Target(python="3.11", machine="x86_64").environment(patch)
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
    assert max(first_patches(text, Target(python="3.11", machine="x86_64"))) < 100


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("'a' in extras", True),
        ("'b' in extras", False),
        ("'b' not in extras and 'dev' in dependency_groups", True),
        ("'a' in extras or os_name == 'nt'", True),
        ("'b' in extras or os_name == 'nt'", "os_name == 'nt'"),
        ("python_version ~= '3.11' and 'a' in extras", "python_version ~= '3.11'"),
        ("platform_version === 'x'", "platform_version === 'x'"),
        (
            "(os_name == 'nt' or os_name == 'posix') and python_version >= '3.8'",
            "(os_name == 'nt' or os_name == 'posix') and python_version >= '3.8'",
        ),
    ],
)
def test_what_is_chosen_is_decided_and_the_rest_is_left(text: str, left: object) -> None:
    assert reduced(text, CHOSEN) == left


@given(text=MARKERS, python=PYTHONS, system=SYSTEMS)
def test_what_is_left_means_the_same(text: str, python: str, system: str) -> None:
    environment = Target(python=python, system=system, machine="x86_64").environment()
    left = reduced(text, CHOSEN)
    wanted = Marker(text).evaluate({**environment, **CHOSEN}, context="lock_file")
    held = left if isinstance(left, bool) else Marker(left).evaluate(environment)
    assert held == wanted


@given(ways=WAYS, python=PYTHONS, system=SYSTEMS)
def test_several_ways_are_one_marker(
    ways: frozenset[frozenset[str]], python: str, system: str
) -> None:
    environment = Target(python=python, system=system, machine="x86_64").environment()
    wanted = any(all(Marker(text).evaluate(environment) for text in way) for way in ways)
    marker = either(shortest(ways))
    assert (marker is None or Marker(marker).evaluate(environment)) == wanted
