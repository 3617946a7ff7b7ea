from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.markers import Marker

from hatch_connect.project.locks.markers import either, reduced, shortest
from hatch_connect.project.target import Target

CHOSEN = {"extras": frozenset({"a"}), "dependency_groups": frozenset({"dev"})}


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


@given(text=MARKERS, python=PYTHONS, system=SYSTEMS)
def test_what_is_left_means_the_same(text: str, python: str, system: str) -> None:
    environment = Target(python=python, system=system).environment()
    left = reduced(text, CHOSEN)
    wanted = Marker(text).evaluate({**environment, **CHOSEN}, context="lock_file")
    held = left if isinstance(left, bool) else Marker(left).evaluate(environment)
    assert held == wanted


WAYS = st.frozensets(
    st.frozensets(MARKERS.filter(lambda m: "extras" not in m and "groups" not in m), max_size=3),
    min_size=1,
    max_size=3,
)


@given(ways=WAYS, python=PYTHONS, system=SYSTEMS)
def test_several_ways_are_one_marker(
    ways: frozenset[frozenset[str]], python: str, system: str
) -> None:
    environment = Target(python=python, system=system).environment()
    wanted = any(all(Marker(text).evaluate(environment) for text in way) for way in ways)
    marker = either(shortest(ways))
    assert (marker is None or Marker(marker).evaluate(environment)) == wanted
