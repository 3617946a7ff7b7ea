"""`rollback`: activate an earlier bundle."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

from hatch_connect.connect.resources import Feature
from hatch_connect.errors import UsageError
from hatch_connect.events import Note
from hatch_connect.ship.execute import Execution
from hatch_connect.ship.find import Located
from hatch_connect.ship.history import Keeper
from hatch_connect.ship.plan import make_rollback
from hatch_connect.verbs.deployed import Deployed, Planned, nothing_changed
from hatch_connect.verbs.found import found_content
from hatch_connect.verbs.masking import masking
from hatch_connect.verbs.reach import pace_of, settings_of
from hatch_connect.verbs.versions import choose_bundle

if TYPE_CHECKING:
    from hatch_connect.connect.resources import BundleInfo
    from hatch_connect.events import Report
    from hatch_connect.options import Options
    from hatch_connect.ship.plan import Plan
    from hatch_connect.verbs.found import FoundContent
    from hatch_connect.verbs.surroundings import Surroundings


def run(options: Options, surroundings: Surroundings, report: Report) -> Deployed | Planned:
    """Activate the bundle that was named, else the one that was active before.

    It is verified as a draft first where the server can. Raises UsageError, ServerError,
    DeploymentFailedError, NotAnsweringError.
    """
    with ExitStack() as stack:
        with nothing_changed("roll back"):
            found = stack.enter_context(found_content(options, surroundings, report))
            bundle = _target(found, options, surroundings)
            plan, pace = _plan(found, bundle, options, surroundings), pace_of(surroundings)
            if options.dry_run:
                return Planned(plan=plan, server=found.server)
            report(Note(text=f"Going back to bundle {bundle.id} of {bundle.created_time}"))
        with masking(found.hidden, report) as told:
            keeper = Keeper(found.records, found.server.url, None, report)

            def again(guid: str | None) -> str:
                return f"call `hatch-connect rollback {bundle.id} --app-id {guid}` again"

            deployment = Execution(found.client, told, pace, keeper, go_on=again).run(plan)
        return Deployed(deployment=deployment, server=found.server, hidden=found.hidden)


def _plan(
    found: FoundContent, bundle: BundleInfo, options: Options, surroundings: Surroundings
) -> Plan:
    config, content = found.config, found.content
    if bundle.id == content.bundle_id:
        raise UsageError(f"Bundle {bundle.id} is the active one already.")
    asked = not options.no_verify and (config is None or config.verify)
    path = config.verify_path if config else ""
    return make_rollback(
        Located(content=content, because=found.because),
        bundle.id,
        drafts=settings_of(found.client, surroundings).supports(Feature.DRAFT_URL),
        verify=path if asked else None,
        role=found.user.role if found.user else "",
    )


def _target(found: FoundContent, options: Options, surroundings: Surroundings) -> BundleInfo:
    """Return the bundle that was named, else what was active before, else what the person says."""
    history, wanted = found.history, options.bundle_id or found.history.way_back()
    if wanted is None:
        others = [b for b in history.bundles if b.id != history.active]
        lines = ("  ".join((b.id, b.created_time, *history.remarks(b))) for b in others)
        told = "There is no bundle before the active one that is known to have been active."
        listed = "\n".join(("There is:", *lines)) if others else "There is no other."
        if surroundings.ask and others:
            wanted = surroundings.ask(f"{told}\n{listed}\nActivate which? ").strip()
        if not wanted:
            raise UsageError(told, hint=f"Name one: hatch-connect rollback BUNDLE\n{listed}")
    return choose_bundle(found.client, found.content.guid, wanted, history.bundles)
