"""What a deployment changes, as a comparison of what is wanted with what is there.

Nothing is asked here: what is compared was read before.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Literal, TypeAlias

from hatch_connect.ship.plan import DeployAgain, SetVariables, UpdateContent, Upload

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

    from hatch_connect.secret import Secret
    from hatch_connect.ship.declared import SettingChange
    from hatch_connect.ship.plan import Plan
    from hatch_connect.ship.variables import Unset

Kind: TypeAlias = Literal["~", "+", "-", ""]
_ORDER: tuple[Kind, ...] = ("~", "+", "-", "")
_MOST = 6  # changes of one kind that a line shows
_PYTHON = {"python.version", "environment.python.requires"}
_ACCESS = {"viewers", "collaborators"}  # which stand in the line of `access`
_UNITS = (("GB", 10**9), ("MB", 10**6), ("kB", 1000))


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One thing that is changed, or done again.

    `subject` is what it belongs to ("packages"), `name` which of it ("fastapi"), the same as the
    subject if there is but one. `before` is None for what is added, `after` for what is removed;
    both are "" for what has no value to show. `differs` is False for what is only done again, and
    None if it is not known whether anything differs.
    """

    subject: str
    name: str
    before: str | None
    after: str | None
    remark: str = ""
    differs: bool | None = True

    @property
    def kind(self) -> Kind:
        """Whether something is changed, added, removed, or only done again."""
        if self.before == self.after and not self.differs:
            return ""
        return "+" if self.before is None else "-" if self.after is None else "~"

    def __str__(self) -> str:
        name = "" if self.name == self.subject else self.name
        if not self.kind:
            return f"{name or self.after} {self.remark}"
        remark = f"({self.remark})" if self.remark else ""
        if self.kind == "~":
            return " ".join(filter(None, (name, f"{self.before} -> {self.after}", remark)))
        value = self.after if self.before is None else self.before
        return " ".join(filter(None, (self.kind, name, value, remark)))

    def facts(self) -> dict[str, object]:
        """Return what `--json` has of it."""
        names = ("subject", "name", "before", "after", "remark", "differs")
        return {name: getattr(self, name) for name in names}


@dataclass(frozen=True, slots=True, kw_only=True)
class BundleView:
    """What is known of a bundle: None, or "" for a text, if it is not.

    `name` is the id of one on the server, else what stands for it without a version or a commit.
    `files` are the checksums of its files by their paths, `packages` what its package file asks
    for, by name. `python` is a minor version, `runs_on` the release that the server has of it, and
    `rest` whatever else the manifest says, by its keys.
    """

    name: str
    active: bool = False
    version: str = ""
    commit: str = ""
    digest: str | None = None
    files: Mapping[str, str] | None = None
    package_file: str = ""
    packages: Mapping[str, str] | None = None
    python: str = ""
    runs_on: str = ""
    rest: Mapping[str, str] | None = None

    def __str__(self) -> str:
        made_from = ", ".join(filter(None, (self.version, self.commit)))
        if not self.active:
            return made_from or self.name
        return f"{self.name} ({made_from})" if made_from else self.name


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """What a deployment changes of one piece of content on one server.

    `guid` is None for content that does not exist yet, `growth` tells by how many bytes the bundle
    is larger than the active one.
    """

    title: str
    guid: str | None
    server: str
    changes: tuple[Change, ...]
    growth: int = 0

    @property
    def action(self) -> Literal["create", "update", "keep"]:
        """What a deployment does with the content."""
        if self.guid is None:
            return "create"
        changed = any(change.subject != "installed" for change in self.changes)
        return "update" if changed else "keep"

    @property
    def differs(self) -> bool:
        """Whether anything is known to differ."""
        return any(change.differs for change in self.changes)

    def lines(self, *, every: bool = False) -> tuple[str, ...]:
        """Return a line for the content, and one for each subject; `every` one of its changes."""
        mark = {"create": "+", "update": "~", "keep": "="}[self.action]
        known = f" ({self.guid})" if self.guid else ""
        nothing = ": nothing to deploy" if self.action == "keep" else ""
        subjects = dict.fromkeys(c.subject for c in self.changes if c.subject != "files")
        width = max(map(len, subjects), default=0)
        lines = (
            f"{mark} {self.title}{known} on {self.server}{nothing}",
            *(f"  {name:{width}}  {self._line(name, every=every)}" for name in subjects),
            *(f"    {each.kind} {each.name}" for each in self._of("files") if every),
        )
        return tuple(line.replace("\n", " ") for line in lines)  # what a server tells may have some

    def _of(self, subject: str) -> list[Change]:
        found = [change for change in self.changes if change.subject == subject]
        return sorted(found, key=lambda change: _ORDER.index(change.kind))

    def _line(self, subject: str, *, every: bool) -> str:
        texts: list[str] = []
        for kind, changes in groupby(self._of(subject), key=lambda change: change.kind):
            found = list(map(str, changes))
            shown = found if every else found[:_MOST]
            left = len(found) - len(shown)
            texts += [*shown, *([f"{kind} {left} more".lstrip()] if left else [])]
        line = "   ".join(texts)
        return f"{line}     {self._sizes()}".rstrip() if subject == "bundle" else line

    def _sizes(self) -> str:
        """Return how many files are added, removed and changed, and by how much it grows."""
        counted = Counter(change.kind for change in self._of("files"))
        kinds: tuple[Kind, ...] = ("+", "-", "~")
        files = " ".join(f"{kind}{counted[kind]}" for kind in kinds if counted[kind])
        word = "file" if counted.total() == 1 else "files"
        parts = (f"{files} {word}" if files else "", _bytes(self.growth) if self.growth else "")
        return ", ".join(filter(None, parts))


def _bytes(number: int) -> str:
    for unit, factor in _UNITS:
        if abs(number) >= factor:
            return f"{number / factor:+.0f} {unit}"
    return f"{number:+} bytes"


def summary(comparisons: Collection[Comparison]) -> str:
    """Return how many pieces of content would be changed."""
    counted = Counter(each.action for each in comparisons)
    return (
        f"Plan: {counted['update']} to update, {counted['create']} to create. Nothing was changed."
    )


def changes_of(
    plan: Plan,
    ours: BundleView,
    theirs: BundleView | None,
    *,
    same: bool | None,
    names: Collection[str] | None,
    missing: Iterable[Unset] = (),
) -> tuple[Change, ...]:
    """Return what a plan changes, and whether anything differs.

    `ours` is its bundle and `theirs` the active one, for which `same` is as in `compare_bundles`;
    `names` are the variables that the content has, None if that is not known, and `missing` those
    that it needs and has not.
    """
    found: list[Change] = []
    for step in plan.steps:
        match step:
            case Upload():
                found[:0] = compare_bundles(ours, theirs, same=same)
            case DeployAgain(because=because) if because and plan.bundle_id:
                found.insert(0, _again(plan.bundle_id, f"is deployed again, {because}"))
            case SetVariables(values=values):
                found += _variables(values, names)
            case UpdateContent(field=field, value=value):
                before = getattr(plan.content, field, None)
                found.append(Change(subject=field, name=field, before=before, after=value))
            case _:
                pass
    settings = changes_of_settings(plan.changes)
    return (*found, *settings, *(_missing(unset) for unset in missing))


def _variables(
    values: Mapping[str, Secret | None], names: Collection[str] | None
) -> Iterator[Change]:
    for name, value in values.items():
        there = None if names is None else name in names
        if value is None and there is not False:
            yield Change(subject="variables", name=name, before="", after=None, differs=there)
        elif value is not None and there is False:
            yield Change(subject="variables", name=name, before=None, after="")
        elif value is not None:
            remark = "is set again" if there else "is set"
            differs = False if there else None
            yield Change(
                subject="variables",
                name=name,
                before="",
                after="",
                remark=remark,
                differs=differs,
            )


def _missing(unset: Unset) -> Change:
    remark = f"{unset.state} here"
    return Change(subject="variables", name=unset.name, before=None, after="", remark=remark)


def changes_of_settings(changes: Iterable[SettingChange]) -> tuple[Change, ...]:
    """Return what is changed of the settings that are declared."""
    return tuple(
        Change(
            subject="access" if each.key in _ACCESS else each.key,
            name=each.key,
            before=each.before,
            after=each.after,
        )
        for each in changes
    )


def compare_installed(pins: Mapping[str, str], installed: Mapping[str, str]) -> Iterator[Change]:
    """Return the packages of which the server has another version than the one that is pinned."""
    from packaging.specifiers import InvalidSpecifier, SpecifierSet

    for name in sorted(pins.keys() & installed.keys()):
        try:
            as_pinned = SpecifierSet(f"=={pins[name]}").contains(installed[name])
        except InvalidSpecifier:  # a URL, or what leaves the version open
            continue
        if not as_pinned:
            yield Change(subject="installed", name=name, before=installed[name], after=pins[name])


def compare_bundles(
    ours: BundleView, theirs: BundleView | None, *, same: bool | None
) -> Iterator[Change]:
    """Compare a bundle that is uploaded with the active one; None if none is active.

    `same` tells whether their identities are; None if that of the active one is not known. Another
    program may have made it then: its files decide, with the packages and the Python.
    """
    if theirs is None:
        yield _other(None, ours)
        yield from _parts(ours, BundleView(name="", files={}, packages={}))
        return
    parts = () if same else tuple(_parts(ours, theirs, foreign=same is None))
    equal = same or (ours.digest is not None and ours.digest == theirs.digest)
    unknown = "" if theirs.files is not None else "its contents are not known"
    if parts or (same is False and not equal):
        yield _other(theirs, ours, unknown)
        yield from parts
    elif same is False:
        yield _other(theirs, ours, "other files are executable")
    elif unknown and not equal:
        yield _other(theirs, ours, unknown, differs=None)
    else:
        yield _again(str(theirs), "is uploaded again" if equal else "has the same files")


def _other(
    before: BundleView | None, after: BundleView, remark: str = "", *, differs: bool | None = True
) -> Change:
    """Return that another bundle becomes the active one."""
    return Change(
        subject="bundle",
        name="bundle",
        before=str(before) if before else None,
        after=str(after),
        remark=remark,
        differs=differs,
    )


def _again(bundle: str, remark: str) -> Change:
    """Return that a bundle stays, and what is done with it all the same."""
    return Change(
        subject="bundle", name="bundle", before=bundle, after=bundle, remark=remark, differs=False
    )


def _parts(ours: BundleView, theirs: BundleView, *, foreign: bool = False) -> Iterator[Change]:
    yield from _entries("packages", theirs.packages, ours.packages)
    other_python = theirs.files is not None and ours.python and ours.python != theirs.python
    if other_python:
        there = f"the server has {ours.runs_on}" if ours.runs_on else ""
        before = theirs.python or None
        yield Change(
            subject="python", name="python", before=before, after=ours.python, remark=there
        )
    # Another program words the same list of packages differently.
    reworded = foreign and theirs.packages is not None and theirs.packages == ours.packages
    left_out = {theirs.package_file, ours.package_file} if reworded else set[str]()
    yield from _entries("files", theirs.files, ours.files, left_out)
    if not foreign:
        shown = _PYTHON if other_python else ()
        yield from _entries("manifest", theirs.rest, ours.rest, shown)


def _entries(
    subject: str,
    before: Mapping[str, str] | None,
    after: Mapping[str, str] | None,
    left_out: Collection[str] = (),
) -> Iterator[Change]:
    """Compare two tables; one that is not known differs in nothing."""
    if before is None or after is None:
        return
    for name in sorted((before.keys() | after.keys()) - set(left_out)):
        old, new = before.get(name), after.get(name)
        if old != new:
            yield Change(subject=subject, name=name, before=old, after=new)
