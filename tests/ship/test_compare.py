"""What a deployment changes, put into words; nothing is asked of a server here."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from hatch_connect.secret import Secret
from hatch_connect.ship.compare import (
    BundleView,
    Change,
    Comparison,
    changes_of,
    changes_of_settings,
    compare_bundles,
    compare_installed,
    summary,
)
from hatch_connect.ship.declared import Phase, SetFields, SettingChange
from hatch_connect.ship.plan import (
    DeployAgain,
    Keep,
    Plan,
    PlanStep,
    SetVariables,
    UpdateContent,
    Upload,
)
from hatch_connect.ship.variables import Unset

TABLES = st.dictionaries(st.sampled_from("abcdef"), st.sampled_from("123"))
ACTIVE = BundleView(name="103", active=True, version="1.4.0", commit="a1b2c3d")


def view(files: dict[str, str], **more: object) -> BundleView:
    values: dict[str, object] = {
        "name": "b.tgz",
        "files": files,
        "digest": str(sorted(files.items())),
    }
    return BundleView(**values | more)  # type: ignore[arg-type] # of several types


def setting(key: str, before: str | None, after: str | None) -> SettingChange:
    return SettingChange(
        key=key,
        called=f"`tool.hatch-connect.settings.{key}`",
        before=before,
        after=after,
        phase=Phase.AFTER,
        action=SetFields(values={}),
    )


def said(changes: tuple[Change, ...], **more: object) -> tuple[str, ...]:
    values: dict[str, object] = {"title": "Sales", "guid": "0b9c", "server": "prod"}
    return Comparison(changes=changes, **values | more).lines()  # type: ignore[arg-type] # as above


def test_a_comparison_reads_like_a_diff() -> None:
    ours = BundleView(
        name="",
        version="1.5.0",
        commit="9f8e7d6",
        files={"a": "1", "b": "2", "c": "1"},
        packages={"fastapi": "0.116.1", "orjson": "3.11.0", "idna": "3"},
        python="3.12",
        runs_on="3.12.11",
        rest={"metadata.entrypoint": "app:app", "python.version": "3.12.0"},
    )
    theirs = BundleView(
        name="103",
        active=True,
        version="1.4.0",
        commit="a1b2c3d",
        files={"a": "1", "b": "1", "d": "1"},
        packages={"fastapi": "0.115.0", "idna": "3"},
        python="3.11",
        rest={"metadata.entrypoint": "app:app", "python.version": "3.11.0"},
    )
    changes = (
        *compare_bundles(ours, theirs, same=False),
        *changes_of(
            plan(SetVariables(values={"MODE": Secret("x"), "URL": Secret("y"), "OLD": None})),
            ours,
            theirs,
            same=False,
            names={"URL", "OLD"},
        ),
        *changes_of_settings(
            (
                setting("access", "logged-in", "acl"),
                setting("viewers", None, "group:analysts"),
                setting("viewers", "ann", None),
                setting("tags", None, "Department/Finance"),
                setting("min-processes", "1", "2"),
            )
        ),
    )
    assert said(changes, growth=12_345) == (
        "~ Sales (0b9c) on prod",
        "  bundle         103 (1.4.0, a1b2c3d) -> 1.5.0, 9f8e7d6     +1 -1 ~1 files, +12 kB",
        "  packages       fastapi 0.115.0 -> 0.116.1   + orjson 3.11.0",
        "  python         3.11 -> 3.12 (the server has 3.12.11)",
        "  variables      + MODE   - OLD   URL is set again",
        "  access         logged-in -> acl   + viewers group:analysts   - viewers ann",
        "  tags           + Department/Finance",
        "  min-processes  1 -> 2",
    )


def plan(*steps: PlanStep, bundle_id: str | None = None) -> Plan:
    return Plan(content=None, because="", steps=steps, bundle_id=bundle_id)


def applied(changes: tuple[Change, ...], subject: str, before: dict[str, str]) -> dict[str, str]:
    """Return a table after its changes, each of which must fit it."""
    after = dict(before)
    for change in changes:
        if change.subject == subject:
            assert after.pop(change.name, None) == change.before
            if change.after is not None:
                after[change.name] = change.after
    return after


@given(TABLES, TABLES, TABLES, TABLES)
def test_the_changes_lead_from_the_active_bundle_to_ours(
    old: dict[str, str], new: dict[str, str], installed: dict[str, str], pinned: dict[str, str]
) -> None:
    theirs, ours = view(old, packages=installed), view(new, packages=pinned)
    changes = tuple(compare_bundles(ours, theirs, same=False))
    assert (applied(changes, "files", old), applied(changes, "packages", installed)) == (
        new,
        pinned,
    )
    assert [change.subject for change in changes].count("bundle") == 1
    assert changes[0].differs
    assert len({(change.subject, change.name) for change in changes}) == len(changes)


@given(TABLES, TABLES)
def test_what_is_the_same_does_not_differ(files: dict[str, str], packages: dict[str, str]) -> None:
    ours, theirs = view(files, packages=packages), view(files, packages=packages)
    for same in (True, None):
        (change,) = compare_bundles(ours, theirs, same=same)
        assert (change.differs, change.remark) == (False, "is uploaded again")


@given(TABLES, TABLES)
def test_files_decide_on_the_bundle_of_another_program(
    old: dict[str, str], new: dict[str, str]
) -> None:
    """Its manifest has other words for the same, its package list other comments."""
    theirs = view(
        old | {"reqs.txt": "9"},
        packages={"x": "1"},
        package_file="reqs.txt",
        digest="theirs",
        rest={"locale": "C"},
    )
    ours = view(
        new | {"requirements.txt": "8"},
        packages={"x": "1"},
        package_file="requirements.txt",
        rest={"locale": "en_US"},
    )
    comparison = Comparison(
        title="", guid="x", server="", changes=tuple(compare_bundles(ours, theirs, same=None))
    )
    assert comparison.differs is (old != new)
    assert applied(comparison.changes, "files", old) == new
    assert comparison.action == "update"  # it is uploaded in any case


def test_the_packages_of_another_program_differ_with_their_list() -> None:
    theirs = view({"requirements.txt": "9"}, packages={"x": "1"}, package_file="requirements.txt")
    ours = view({"requirements.txt": "8"}, packages={"x": "2"}, package_file="requirements.txt")
    assert said(tuple(compare_bundles(ours, theirs, same=None)))[1:] == (
        "  bundle    b.tgz -> b.tgz     ~1 file",
        "  packages  x 1 -> 2",
    )


def test_what_cannot_be_read_is_unknown_and_no_difference() -> None:
    (change,) = compare_bundles(view({"a": "1"}, python="3.12"), ACTIVE, same=None)
    assert (change.differs, change.remark) == (None, "its contents are not known")
    (change,) = compare_bundles(view({"a": "1"}, python="3.12"), ACTIVE, same=False)
    assert (change.differs, change.remark) == (True, "its contents are not known")
    (change,) = compare_bundles(view({"a": "1"}, python="3.12"), ACTIVE, same=True)
    assert (change.differs, change.remark) == (False, "is uploaded again")


def test_what_no_file_shows_is_said_of_our_own_bundles() -> None:
    theirs, ours = view({}, rest={"metadata.entrypoint": "a"}), view({})
    changes = tuple(compare_bundles(view({}, digest="", rest={}), theirs, same=False))
    assert said(changes)[2:] == ("  manifest  - metadata.entrypoint a",)
    (change,) = compare_bundles(ours, view({}), same=False)
    assert (change.differs, change.remark) == (True, "other files are executable")


def test_the_first_bundle_is_added_whole() -> None:
    packages = {f"p{number}": "1" for number in range(9)}
    ours = view({"a": "1", "b": "2"}, packages=packages, python="3.12")
    lines = said(tuple(compare_bundles(ours, None, same=None)), guid=None, growth=999)
    assert lines == (
        "+ Sales on prod",
        "  bundle    + b.tgz     +2 files, +999 bytes",
        "  packages  + p0 1   + p1 1   + p2 1   + p3 1   + p4 1   + p5 1   + 3 more",
        "  python    + 3.12",
    )


def test_what_is_done_again_is_no_difference() -> None:
    keep = Keep(bundle_id="103"), DeployAgain(because="which renders it", verify=None)
    changes = changes_of(
        plan(SetVariables(values={"A": Secret("1"), "GONE": None}), *keep, bundle_id="103"),
        view({}),
        ACTIVE,
        same=True,
        names={"A"},
    )
    comparison = Comparison(title="Sales", guid="0b9c", server="prod", changes=changes)
    assert comparison.lines()[1:] == (
        "  bundle     103 is deployed again, which renders it",
        "  variables  A is set again",
    )
    assert (comparison.differs, comparison.action) == (False, "update")
    quiet = plan(Keep(bundle_id="103"), DeployAgain(because="", verify=None), bundle_id="103")
    nothing = changes_of(quiet, view({}), ACTIVE, same=True, names=None)
    kept = Comparison(title="Sales", guid="0b9c", server="prod", changes=nothing)
    assert kept.lines() == ("= Sales (0b9c) on prod: nothing to deploy",)
    assert summary([comparison, kept, kept]) == (
        "Plan: 1 to update, 0 to create. Nothing was changed."
    )


def test_variables_that_the_server_does_not_tell_do_not_differ() -> None:
    steps = plan(SetVariables(values={"A": Secret("1"), "B": None}))
    changes = changes_of(steps, view({}), ACTIVE, same=True, names=None)
    assert [(change.name, change.differs) for change in changes] == [("A", None), ("B", None)]
    assert [str(change) for change in changes] == ["A is set", "- B"]


def test_a_variable_that_is_nowhere_differs() -> None:
    unset = Unset(name="TOKEN", state="not set", asked_by="`env`")
    (change,) = changes_of(plan(), view({}), None, same=None, names=(), missing=[unset])
    assert (str(change), change.differs) == ("+ TOKEN (not set here)", True)


def test_a_title_and_an_image_are_of_the_content() -> None:
    steps = plan(UpdateContent(field="title", value="Sales"))
    (change,) = changes_of(steps, view({}), None, same=None, names=())
    assert str(change) == "+ Sales"


def test_installed_packages_are_compared_as_pip_does() -> None:
    pins = {"a": "1.0", "b": "2", "c": ">=1", "d": "4", "e": "file:///x", "f": "1", "h": "1rc1"}
    there = {"a": "1", "b": "2.0+cpu", "c": "3", "d": "4.0.1", "e": "1", "g": "7", "h": "1.0rc1"}
    (change,) = compare_installed(pins, there)
    assert str(change) == "d 4.0.1 -> 4"
    comparison = Comparison(title="", guid="x", server="", changes=(change,))
    assert (comparison.action, comparison.differs) == ("keep", True)


@given(st.integers(-(10**12), 10**12))
def test_the_growth_is_shown_with_its_sign(growth: int) -> None:
    changes = tuple(compare_bundles(view({"a": "1"}), view({}), same=False))
    line = said(changes, growth=growth)[1]
    sign = "+" if growth > 0 else "-"
    assert line.endswith("+1 file") if growth == 0 else f"+1 file, {sign}" in line


def test_every_change_is_shown_if_asked_for() -> None:
    changes = tuple(
        compare_bundles(view({"a": "1", "b": "1"}), view({"b": "2", "c": "1"}), same=False)
    )
    comparison = Comparison(title="Sales", guid="0b9c", server="prod", changes=changes)
    assert comparison.lines(every=True)[2:] == ("    ~ b", "    + a", "    - c")


def test_an_upload_is_compared_and_a_bundle_that_stays_is_not() -> None:
    upload = Upload(archive=Path("b.tgz"), size=1, identity="")
    changes = changes_of(plan(upload), view({"a": "1"}), None, same=None, names=())
    assert [change.subject for change in changes] == ["bundle", "files"]
    assert changes_of(plan(), view({"a": "1"}), ACTIVE, same=True, names=()) == ()


def test_a_line_stays_one() -> None:
    changes = (Change(subject="title", name="title", before="a\nPlan: 0", after="b"),)
    assert said(changes) == ("~ Sales (0b9c) on prod", "  title  a Plan: 0 -> b")
