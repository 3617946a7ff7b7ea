"""The way back, by what was noted: never a guess from the order of uploads."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hatch_connect.connect.records import Attempt
from hatch_connect.connect.resources import BundleInfo
from hatch_connect.ship.history import ACTIVE_BEFORE, DRAFT, VERIFY, History

if TYPE_CHECKING:
    from collections.abc import Iterable


def bundle(number: str, **metadata: str) -> BundleInfo:
    return BundleInfo(
        id=number,
        created_time="",
        size=None,
        archive_md5=None,
        metadata=tuple(metadata.items()),
    )


def activated(number: str, replaced: str | None, *, verified: bool | None = True) -> Attempt:
    return Attempt(bundle_id=number, activation="done", replaced=replaced, verified=verified)


def history(active: str | None, *attempts: Attempt, ids: Iterable[str] = "12345") -> History:
    return History(active=active, attempts=attempts, bundles=tuple(map(bundle, ids)))


def test_each_step_back_goes_further_back() -> None:
    up = [activated("1", None), activated("2", "1"), activated("3", "2")]
    assert history("3", *up).way_back() == "2"
    back = [*up, activated("2", "3")]
    assert history("2", *back).way_back() == "1"
    assert history("1", *back, activated("1", "2")).way_back() is None
    assert history("4", *back, activated("4", "2")).way_back() == "2"


def test_what_is_gone_or_did_not_answer_is_passed_over() -> None:
    up = [activated("1", None), activated("2", "1", verified=False), activated("3", "2")]
    assert history("3", *up).way_back() == "1"
    assert history("3", *up, ids="23").way_back() is None
    healed = Attempt(bundle_id="2", verified=True)
    assert history("3", *up, healed).way_back() == "2"


def test_what_others_activated_counts() -> None:
    up = [activated("1", None), activated("2", "1"), activated("4", "3")]
    assert history("4", *up).way_back() == "3"  # somebody replaced 2 by 3
    assert history("5", *up).way_back() is None  # and 4 by 5: nothing is known of that
    assert history("2", *up).way_back() == "1"  # or went back to 2


def test_an_activation_that_could_not_be_noted_any_more_is_settled_by_the_server() -> None:
    begun = Attempt(bundle_id="2", activation="begun", replaced="1")
    assert history("2", activated("1", None), begun).way_back() == "1"
    assert history("3", activated("1", None), begun, activated("3", "2")).way_back() == "2"
    unsure = history("3", activated("1", None), begun, activated("3", "1"))
    assert unsure.way_back() == "1"
    assert unsure.was_active(bundle("2")) is False


@pytest.mark.parametrize(
    ("active", "before", "expected"),
    [
        ({DRAFT: "false", ACTIVE_BEFORE: "1"}, {DRAFT: "false"}, "1"),
        ({DRAFT: "false", ACTIVE_BEFORE: "1"}, {}, "1"),
        ({DRAFT: "false", ACTIVE_BEFORE: "1"}, {DRAFT: "true"}, None),
        ({DRAFT: "true", ACTIVE_BEFORE: "1"}, {DRAFT: "false"}, None),
        ({DRAFT: "false", ACTIVE_BEFORE: "9"}, {DRAFT: "false"}, None),
        ({DRAFT: "false"}, {DRAFT: "false"}, None),
        ({}, {}, None),
    ],
)
def test_elsewhere_the_bundles_say_it(
    active: dict[str, str], before: dict[str, str], expected: str | None
) -> None:
    bundles = (bundle("2", **active), bundle("1", **before))
    assert History(active="2", attempts=(), bundles=bundles).way_back() == expected


def test_whether_a_bundle_was_active_may_be_unknown() -> None:
    bundles = (
        bundle("4", **{DRAFT: "false", ACTIVE_BEFORE: "2"}),
        bundle("3", **{DRAFT: "true"}),
        bundle("2"),
        bundle("1"),
    )
    known = History(active="4", attempts=(), bundles=bundles)
    assert [known.was_active(b) for b in bundles] == [True, False, True, None]
    assert known.remarks(bundles[1]) == ("draft", "never active")
    assert known.remarks(bundles[3]) == ()


@given(st.lists(st.sampled_from(["deploy", "broken", "draft", "back"]), max_size=30))
def test_the_way_back_was_active_and_did_answer(calls: list[str]) -> None:
    attempts: list[Attempt] = []
    active: str | None = None
    good: set[str] = set()
    for number, call in enumerate(calls):
        ids = [str(n) for n in range(number)]
        if call == "draft":
            attempts.append(Attempt(bundle_id=str(number), draft=True, verified=True))
            continue
        target: str | None = str(number)
        if call == "back":
            target = history(active, *attempts, ids=ids).way_back()
            if target is None:
                continue
            assert target in good
            assert target != active
        else:
            good |= {str(number)} if call == "deploy" else set()
        assert target is not None
        attempts.append(activated(target, active, verified=call != "broken"))
        active = target


def test_an_activation_that_did_not_take_place_is_not_taken_from_an_earlier_one() -> None:
    up = [activated("1", None), activated("2", "1", verified=False)]
    back = Attempt(bundle_id="1", activation="begun", replaced="2")
    assert history("2", *up, back).way_back() == "1"
    assert history("1", *up, back).way_back() is None


def test_only_what_answered_comes_back_by_itself() -> None:
    up = [activated("1", None), activated("2", "1", verified=False)]
    assert history("1", up[0]).known_good() == "1"
    assert history("2", *up).known_good() == "1"  # the active one did not answer
    assert history("2", *up, ids="2").known_good() is None  # and 1 is gone
    assert history("3", activated("3", "1", verified=None)).known_good() is None
    assert history("3", *up).known_good() is None  # somebody else activated it
    assert history(None).known_good() is None


def test_metadata_count_where_the_history_knows_nothing() -> None:
    for verify, draft, known in (
        ("true", "false", "1"),
        ("false", "false", None),
        ("true", "true", None),
    ):
        one = bundle("1", **{VERIFY: verify, DRAFT: draft})
        assert History(active="1", attempts=(), bundles=(one,)).known_good() == known


def test_a_call_that_did_not_end_leaves_its_way_back() -> None:
    begun = Attempt(bundle_id="2", activation="done", replaced="1", verified=True, way_back="1")
    left = history("2", activated("1", None), begun)
    assert (left.unsettled, left.known_good()) == ("1", "1")
    assert left.remarks(bundle("2")) == ("active", "not known to answer, 1 was to be restored")
    assert history("1", activated("1", None), begun).unsettled is None
    settled = replace(begun, way_back=None)
    assert history("2", activated("1", None), settled).unsettled is None
    assert history("2", activated("1", None), settled).known_good() == "2"
