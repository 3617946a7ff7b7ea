"""`rollback`: activate an earlier bundle."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hatch_connect.connect.resources import Feature
from hatch_connect.errors import UsageError
from hatch_connect.events import Note
from hatch_connect.ship.execute import Execution
from hatch_connect.ship.find import Located
from hatch_connect.ship.plan import make_rollback
from hatch_connect.verbs.deployed import Deployed, Planned
from hatch_connect.verbs.found import found_content
from hatch_connect.verbs.masking import masking
from hatch_connect.verbs.reach import pace_of, settings_of
from hatch_connect.verbs.versions import choose_bundle

if TYPE_CHECKING:
    from hatch_connect.connect.resources import BundleInfo
    from hatch_connect.events import Report
    from hatch_connect.options import Options
    from hatch_connect.verbs.surroundings import Surroundings


def run(options: Options, surroundings: Surroundings, report: Report) -> Deployed | Planned:
    """Activate the bundle that was named, else the one before the active one.

    It is verified as a draft first where the server can. Raises UsageError, ServerError,
    DeploymentFailedError, NotAnsweringError.
    """
    with found_content(options, surroundings, report) as found:
        client, config = found.client, found.config
        guid, active = found.content.guid, found.content.bundle_id
        bundles = client.bundles(guid)
        bundle = (
            choose_bundle(client, guid, options.bundle_id, bundles)
            if options.bundle_id
            else _before(bundles, active)
        )
        if bundle.id == active:
            raise UsageError(f"Bundle {bundle.id} is the active one already.")
        asked = not options.no_verify and (config is None or config.verify)
        path = config.verify_path if config else ""
        plan = make_rollback(
            Located(content=found.content, because=found.because),
            bundle.id,
            drafts=settings_of(client, surroundings).supports(Feature.DRAFT_URL),
            verify=path if asked else None,
        )
        if options.dry_run:
            return Planned(plan=plan, server=found.server)
        report(Note(text=f"Going back to bundle {bundle.id} of {bundle.created_time}"))
        with masking(found.hidden, report) as told:
            deployment = Execution(client, told, pace_of(surroundings)).run(plan)
        return Deployed(deployment=deployment, server=found.server, hidden=found.hidden)


def _before(bundles: tuple[BundleInfo, ...], active: str | None) -> BundleInfo:
    """Return the newest bundle that is older than the active one; `bundles` are newest first."""
    after = iter(bundles)
    if any(bundle.id == active for bundle in after) and (older := next(after, None)):
        return older
    raise UsageError(
        "There is no bundle before the active one.",
        hint="`hatch-connect versions` lists those that there are.",
    )
