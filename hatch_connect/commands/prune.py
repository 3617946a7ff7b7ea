"""`prune`: remove old drafts and bundles, but never what is active or what `rollback` needs."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from hatch_connect.commands.call import nothing_changed
from hatch_connect.commands.content import bundle_line, deployed_content
from hatch_connect.commands.result import Removed, one_or_several
from hatch_connect.connect.json_reader import moment
from hatch_connect.errors import NotFoundError, RefusedError, UsageError, add_facts
from hatch_connect.events import Note, Step

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    from hatch_connect.commands.call import Call
    from hatch_connect.commands.content import DeployedContent
    from hatch_connect.commands.result import Result
    from hatch_connect.connect.resources import BundleInfo
    from hatch_connect.ship.history import History

_KEEP = 5


@dataclass(frozen=True, kw_only=True)
class _Rule:
    """Which bundles to remove; `before` is None if their age does not count."""

    drafts: bool
    bundles: bool
    before: datetime | None
    keep: int
    any: bool

    @classmethod
    def of(cls, call: Call) -> _Rule:
        """Read the options of a call. Raises UsageError."""
        options = call.options
        if not (options.drafts or options.bundles):
            raise UsageError(
                "Nothing was chosen for removal.", hint="Use --drafts, --bundles, or both."
            )
        keep = _KEEP if options.keep is None else options.keep
        if keep < 0:
            raise UsageError(f"--keep must be at least 0, not {keep}.")
        return cls(
            drafts=options.drafts,
            bundles=options.bundles,
            before=_moment(options.older_than, call) if options.older_than else None,
            keep=keep,
            any=options.any,
        )

    def chosen(self, history: History) -> tuple[BundleInfo, ...]:
        """Return what to remove, the oldest first."""
        counted = [
            b for b in history.bundles if b.id not in history.needed and self._counts(b, history)
        ]
        drafts = [b for b in counted if _counts_as_draft(b, history)]
        earlier = [b for b in counted if not _counts_as_draft(b, history)]
        left = drafts[self.keep :] * self.drafts + earlier[self.keep :] * self.bundles
        return tuple(sorted(filter(self._is_old, left), key=lambda bundle: bundle.number))

    def _counts(self, bundle: BundleInfo, history: History) -> bool:
        return self.any or _is_known(bundle, history)

    def _is_old(self, bundle: BundleInfo) -> bool:
        if self.before is None:
            return True
        created = moment(bundle.created_time)
        return created is not None and created < self.before


def _moment(age: str, call: Call) -> datetime:
    """Return when something of that age was made. Raises UsageError."""
    when = call.ago(age, "hdw")
    if when is None:
        raise UsageError(
            f"--older-than {age!r} is not an age.",
            hint="Write an age as 12h, 7d or 2w (hours, days or weeks).",
        )
    return when


def _is_known(bundle: BundleInfo, history: History) -> bool:
    return history.is_ours(bundle) and history.was_active(bundle) is not None


def _counts_as_draft(bundle: BundleInfo, history: History) -> bool:
    """Return whether a bundle was never active, by its place if nobody knows."""
    was_active = history.was_active(bundle)
    if was_active is not None:
        return not was_active
    active = next((b.number for b in history.bundles if b.id == history.active), 0)
    return bundle.number > active


@dataclass(kw_only=True)
class _Pruning:
    """What is to be removed of one piece of content, and how far that has come."""

    found: DeployedContent
    chosen: tuple[BundleInfo, ...]
    lines: tuple[str, ...]
    unknown: tuple[str, ...]
    removed: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)

    @property
    def facts(self) -> dict[str, object]:
        return {
            "guid": self.found.content.guid,
            "chosen": [bundle.id for bundle in self.chosen],
            "removed": self.removed,
            "kept": self.kept,
            "unknown": list(self.unknown),
        }

    def run(self) -> None:
        """Remove each bundle, unless it is needed by now. Raises ServerError."""
        report = self.found.call.report
        for bundle in self.chosen:
            if self._is_needed(bundle):
                self.kept.append(bundle.id)
                report(Note(text=f"Keeping bundle {bundle.id}: it is active or needed now."))
                continue
            report(Step(text=f"Removing bundle {bundle.id}"))
            try:
                self.found.client.remove_bundle(self.found.content.guid, bundle.id)
            except NotFoundError:
                report(Note(text=f"Bundle {bundle.id} was already removed."))
            except RefusedError:
                if not self._is_needed(bundle):  # activated between the question and the removal
                    raise
                self.kept.append(bundle.id)
                report(Note(text=f"Keeping bundle {bundle.id}: it is active now."))
                continue
            self.removed.append(bundle.id)

    def _is_needed(self, bundle: BundleInfo) -> bool:
        content = self.found.client.content(self.found.content.guid)
        if content.bundle_id != self.found.content.bundle_id:  # whoever activated it noted more
            self.found = replace(self.found, content=content)
        return bundle.id in self.found.history.needed


def run_prune(call: Call) -> Result:
    """Show what would be removed, and remove it. Raises UsageError, ServerError."""
    options, rule = call.options, _Rule.of(call)
    with ExitStack() as stack:
        with nothing_changed("prune"):
            calls = tuple(_each_content(call))
            prunings = [
                _pruning(stack.enter_context(deployed_content(each)), rule, named=len(calls) > 1)
                for each in calls
            ]
            shown = one_or_several(
                [Removed(lines=each.lines, facts=each.facts, removed=()) for each in prunings]
            )
            if options.dry_run or not shown.lines:
                return shown
            _confirm(shown.lines, call)
        try:
            for pruning in prunings:
                pruning.run()
        except BaseException as error:
            _explain(error, prunings)
            raise
    return one_or_several([_result(pruning) for pruning in prunings])


def _each_content(call: Call) -> Iterator[Call]:
    """Yield a call about each piece of content."""
    options = call.options
    if not (options.all or options.content):
        yield call
        return
    for name in call.contents():
        one = replace(options, all=False, content=(name,) if name else ())
        about = call.about(name, call.report) if name and options.all else call
        yield replace(about, options=one)


def _pruning(found: DeployedContent, rule: _Rule, *, named: bool) -> _Pruning:
    """Choose what to remove, and report how much; with `named` each line says of which content."""
    history, report = found.history, found.call.report
    chosen = rule.chosen(history)
    unknown = tuple(
        bundle.id
        for bundle in history.bundles
        if bundle.id not in history.needed and not rule.any and not _is_known(bundle, history)
    )
    of = f"{len(history.bundles)} bundles of content {found.content.guid} on {found.server.url}"
    report(Note(text=f"To remove: {len(chosen)} of {of}"))
    if unknown:
        report(
            Note(
                text=f"Keeping {len(unknown)} of unknown origin: neither the history on this "
                "machine nor their metadata (Connect 2025.12 and later) shows that hatch-connect "
                "uploaded them, and whether they were active. To remove them too, use --any."
            )
        )
    name = f"{found.content.name}: " if named else ""
    lines = tuple(f"{name}{bundle_line(bundle, history)}" for bundle in chosen)
    return _Pruning(found=found, chosen=chosen, lines=lines, unknown=unknown)


def _confirm(lines: Sequence[str], call: Call) -> None:
    """Let the person confirm. Raises UsageError if nobody can be asked, or if the answer is no."""
    if call.options.yes:
        return
    call.confirm(
        "Remove them?",
        "\n".join(("These would be removed:", *(f"  {line}" for line in lines))),
        refused="Nothing was removed",
        hint="Use --yes to remove them without confirmation, or --dry-run to only show them.",
    )


def _explain(error: BaseException, prunings: list[_Pruning]) -> None:
    """Note with an error what was removed, and how to go on."""
    removed = [bundle for pruning in prunings for bundle in pruning.removed]
    error.add_note(f"Definitely removed: {', '.join(removed) or 'none'}. To continue, prune again.")
    add_facts(error, contents=[pruning.facts for pruning in prunings])


def _result(pruning: _Pruning) -> Removed:
    removed = tuple(pruning.removed)
    shown = zip(pruning.chosen, pruning.lines, strict=True)
    lines = tuple(line for bundle, line in shown if bundle.id in removed)
    return Removed(lines=lines, facts=pruning.facts, removed=removed)
