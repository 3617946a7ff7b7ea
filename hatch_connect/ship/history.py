"""Records each step of a deployment at once, and finds the bundle to roll back to."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from hatch_connect.connect.json_reader import readable
from hatch_connect.errors import StoreError
from hatch_connect.events import Note, Warned

if TYPE_CHECKING:
    from hatch_connect.connect.client import ConnectClient
    from hatch_connect.connect.records import Attempt, Changed, DeploymentRecord, RecordStore
    from hatch_connect.connect.resources import BundleInfo, Content
    from hatch_connect.events import Report

# Metadata of our bundles on the server, for rollbacks from machines without our history.
DRAFT = "hatch_connect_draft"
ACTIVE_BEFORE = "hatch_connect_active_bundle"
IDENTITY = "hatch_connect_identity"
VERIFY = "hatch_connect_verify"  # whether it is activated only after it has answered
PREVIEW = "hatch_connect_preview"  # the branch that a draft was deployed for
# Of a bundle that was promoted: the server that it comes from, and what it is there.
FROM_SERVER = "hatch_connect_from_server"
FROM_CONTENT = "hatch_connect_from_content"
FROM_BUNDLE = "hatch_connect_from_bundle"


class RecordKeeper:
    """Keeps the record and the history of one deployment.

    `record` holds what the server does not tell; it is None if no record is to be written, as for
    a rollback. `preview` is the branch that the bundle shows, if it is deployed for one, and
    `table` where the GUID may stand in the project. A file that cannot be written is a warning,
    once: the deployment matters more.
    """

    def __init__(
        self,
        records: RecordStore | None,
        server_url: str,
        record: DeploymentRecord | None,
        report: Report,
        preview: str | None = None,
        *,
        table: str = "tool.hatch-connect",
    ) -> None:
        self._records = records
        self._table = table
        self._preview = preview
        self._server_url = server_url
        self._record = record
        self._report = report
        self._attempt: Attempt | None = None

    def creating(self, name: str | None) -> None:
        """Note that content is about to be created; None that it was not."""
        with suppress(StoreError):  # reported when the record itself is written
            if self._records:
                self._records.note_creating(self._server_url, name)

    def finished(self, content: Content) -> None:
        """Note that nothing is left to do: the next `--new` makes other content."""
        with suppress(StoreError):
            begun = self._records and self._records.creating(self._server_url)
            # The recorded content counts now, even if it is not the one that was begun.
            if self._records and begun and (self._record or begun == content.name):
                self._records.note_creating(self._server_url, None)

    def note(
        self, content: Content, attempt: Attempt | None, *, created: bool, kept: bool = False
    ) -> None:
        """Write the state, if it has changed; `created` tells that this deployment made content.

        `kept` tells that the bundle was active before: no further attempt is counted.
        """
        if self._records is None:
            return
        attempt = attempt and replace(attempt, preview=self._preview)
        try:
            # Content that existed before belongs to this project only once it has a bundle of it.
            if self._record and (created or attempt):
                self._put(self._records, self._record, content, created=created)
            if attempt and attempt != self._attempt:
                again = kept or (self._attempt and self._attempt.bundle_id == attempt.bundle_id)
                self._records.note(self._server_url, content.guid, attempt, again=bool(again))
                self._attempt = attempt
        except StoreError as error:
            self._records = None
            name = f"Name the content with --app-id {content.guid} next time."
            self._report(
                Warned(text=f"This deployment is no longer recorded. {error.message} {name}")
            )

    def _put(
        self, records: RecordStore, old: DeploymentRecord, content: Content, *, created: bool
    ) -> None:
        record = replace(
            old,
            app_url=content.content_url,
            app_id=content.id,
            app_guid=content.guid,
            title=content.title,
        )
        if record == old:
            return
        path = records.put(record)
        if created and not old.app_guid:
            text = f'Recorded in {path}. To find it without a record: guid = "{content.guid}"'
            self._report(Note(text=f"{text} in [{self._table}]."))
        self._record = record


def noted_identity(records: RecordStore, server_url: str, guid: str, bundle_id: str) -> str | None:
    """Return the identity of a bundle that was uploaded from here; None if that is not known."""
    with suppress(StoreError):
        noted = [a for a in records.attempts(server_url, guid) if a.bundle_id == bundle_id]
        return next((a.identity for a in reversed(noted) if a.identity), None)
    return None


def read_history(
    client: ConnectClient, content: Content, records: RecordStore | None, report: Report
) -> History:
    """Return what is known of the bundles of content, here and on the server."""
    attempts: tuple[Attempt, ...] = ()
    try:
        if records:
            attempts = records.attempts(client.server.url, content.guid)
    except StoreError as error:
        report(Warned(text=f"{error.message} What it says about bundles is ignored."))
    bundles = client.bundles(content.guid)
    return History(active=content.bundle_id, attempts=attempts, bundles=bundles)


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """What is known of the bundles of one piece of content; `active` is the active one.

    Our own history counts first, then what is noted with the bundles on the server.
    """

    active: str | None
    attempts: tuple[Attempt, ...]
    bundles: tuple[BundleInfo, ...]

    def way_back(self) -> str | None:
        """Return the bundle that was active before the active one; None if nobody noted it.

        A bundle that did not answer when it was last visited does not count.
        """
        there = {bundle.id for bundle in self.bundles} - self._broken()
        noted = (bundle for bundle in reversed(self._before()) if bundle in there)
        return next(noted, None) or self._predecessor(there)

    def known_good(self) -> str | None:
        """Return the bundle that may come back by itself if another replaces the active one.

        That is the active one, or what was active before it if that one did not answer; None if it
        is not known to have answered.
        """
        there = {bundle.id: bundle for bundle in self.bundles}
        passed_over = self._broken() | ({self.active} if self.unsettled else set())
        for bundle in (self.active, *reversed(self._before())):
            if bundle in there and bundle not in passed_over:
                return bundle if self._answered(there[bundle]) else None
        return None

    @property
    def unsettled(self) -> str | None:
        """What was to come back if the active bundle does not answer, if nobody knows so far."""
        own = [attempt for attempt in self.attempts if attempt.bundle_id == self.active]
        known = own[-1].way_back if own else None
        return known if any(bundle.id == known for bundle in self.bundles) else None

    @property
    def changed(self) -> Changed:
        """The fields that the last call set, if it ended before all had succeeded."""
        own = [attempt for attempt in self.attempts if not attempt.draft]
        return own[-1].changed if own else {}

    @property
    def needed(self) -> frozenset[str]:
        """The active bundle, and those that may be activated again from here or elsewhere."""
        there = {bundle.id for bundle in self.bundles}
        # Elsewhere only the notes on the bundles tell where the way back leads.
        known = (self.active, self.unsettled, self.way_back(), self._predecessor(there))
        return frozenset(filter(None, known))

    def is_ours(self, bundle: BundleInfo) -> bool:
        """Return whether we are known to have uploaded a bundle, from here or elsewhere."""
        uploaded = {attempt.bundle_id for attempt in self.attempts if attempt.identity}
        return bundle.id in uploaded or not {DRAFT, IDENTITY}.isdisjoint(dict(bundle.metadata))

    def was_active(self, bundle: BundleInfo) -> bool | None:
        """Return whether a bundle was ever active, or None if nothing says so."""
        noted = (dict(other.metadata).get(ACTIVE_BEFORE) for other in self.bundles)
        if bundle.id in {self.active, *noted, *(b for a in self._activations() for b in a)}:
            return True
        known = any(attempt.bundle_id == bundle.id for attempt in self.attempts)
        return False if known or _is_draft(bundle) else None

    def preview_of(self, bundle: BundleInfo) -> str | None:
        """Return the branch that a bundle was deployed for as a preview; None for any other."""
        noted = (a.preview for a in self.attempts if a.bundle_id == bundle.id and a.preview)
        return next(noted, None) or dict(bundle.metadata).get(PREVIEW)

    def remarks(self, bundle: BundleInfo) -> tuple[str, ...]:
        """Return what a list of bundles says of one."""
        if bundle.id == self.active:
            said = "active"
        else:
            said = {True: "was active", False: "never active", None: ""}[self.was_active(bundle)]
        answers = ""
        if bundle.id in self._broken():
            answers = "did not answer"
        elif bundle.id == self.active and self.unsettled:
            answers = f"not known to answer, {self.unsettled} was to be restored"
        branch = readable(self.preview_of(bundle) or "")
        preview = branch and f"preview of {branch}"
        return tuple(filter(None, ("draft" if _is_draft(bundle) else "", preview, said, answers)))

    def _activations(self) -> list[tuple[str, str]]:
        """Return (replaced or "", bundle) of each activation that took place, the oldest first."""
        replaced = [attempt.replaced for attempt in self.attempts]
        return [
            (each.replaced or "", each.bundle_id)
            for number, each in enumerate(self.attempts, 1)
            if each.activation == "done"
            # That run ended before it could note the result: the server, or a later run, knows it.
            or (each.activation == "begun" and each.bundle_id in {self.active, *replaced[number:]})
        ]

    def _before(self) -> list[str]:
        """Return what was active before the active bundle and was not left by going back."""
        stack: list[str] = []
        for replaced, bundle in self._activations():
            for each in filter(None, (replaced, bundle)):
                if each in stack:
                    del stack[stack.index(each) :]
                stack.append(each)
        return stack[: stack.index(self.active)] if self.active in stack else []

    def _broken(self) -> set[str]:
        said = {a.bundle_id: a.verified for a in self.attempts if a.verified is not None}
        return {bundle for bundle, verified in said.items() if not verified}

    def _answered(self, bundle: BundleInfo) -> bool:
        """Return whether a bundle that was active is known to have answered."""
        said = [a.verified for a in self.attempts if a.bundle_id == bundle.id]
        known = [verified for verified in said if verified is not None]
        if said:
            return bool(known and known[-1])
        return dict(bundle.metadata).get(VERIFY) == "true" and not _is_draft(bundle)

    def _predecessor(self, there: set[str]) -> str | None:
        known = {bundle.id: bundle for bundle in self.bundles}
        active = known.get(self.active or "")
        # Another bundle may have been active by the time that a draft was activated.
        if active is None or _is_draft(active):
            return None
        before = known.get(dict(active.metadata).get(ACTIVE_BEFORE, ""))
        return before.id if before and before.id in there and not _is_draft(before) else None


def _is_draft(bundle: BundleInfo) -> bool:
    return dict(bundle.metadata).get(DRAFT) == "true"
