"""Carries out a plan: the only place that does.

At any moment the state that the plan has led to is known, and how to go on from there.
"""

from __future__ import annotations

from collections import deque
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, assert_never

from hatch_connect.connect.codes import Code
from hatch_connect.connect.retries import is_uncertain
from hatch_connect.errors import (
    DeploymentFailedError,
    HatchConnectError,
    NotAnsweringError,
    RefusedError,
    ServerError,
    add_facts,
)
from hatch_connect.events import LAST_LINES, LogLine, Note, Step
from hatch_connect.ship.apply import AppliedSettings
from hatch_connect.ship.declared import Phase, fields_changed
from hatch_connect.ship.follow import follow, look_for_active
from hatch_connect.ship.history import ACTIVE_BEFORE, DRAFT, IDENTITY, VERIFY
from hatch_connect.ship.logs import failure_of, where_logs_are
from hatch_connect.ship.plan import (
    Activate,
    ApplySettings,
    CreateContent,
    DeployAgain,
    DeployDraft,
    Keep,
    SetVariables,
    UpdateContent,
    Upload,
    Verify,
)
from hatch_connect.ship.request import no_drafts
from hatch_connect.ship.state import (
    State,
    WayBack,
    may_be_active,
    remains,
    remains_of_way_back,
)
from hatch_connect.ship.verify import Visited, lost_draft, verify

if TYPE_CHECKING:
    from hatch_connect.connect.client import ConnectClient
    from hatch_connect.connect.resources import TaskStatus
    from hatch_connect.events import Event, Report
    from hatch_connect.ship.follow import TaskPolling
    from hatch_connect.ship.history import RecordKeeper
    from hatch_connect.ship.plan import Plan, PlanStep
    from hatch_connect.ship.state import Deployment, GoOn


def _cure(error: str) -> str:
    """Return what to do about an error that the server explains only in its own words."""
    if "compatible environment" not in error.lower():
        return ""
    return (
        "The server matches Python as its administrator configured it, exactly or by minor"
        " version: `hatch-connect details` lists what is available; request one with"
        " --python-version X.Y.Z.\n"
    )


def deploy_again(guid: str | None, command: str = "deploy") -> str:
    """Return how to go on with a deployment."""
    return f"{command} again" + (f" with --app-id {guid}" if guid else "")


class Execution:
    """One plan that is being carried out; `keeper` records each change of state at once."""

    def __init__(
        self,
        client: ConnectClient,
        report: Report,
        polling: TaskPolling,
        keeper: RecordKeeper,
        go_on: GoOn = deploy_again,
    ) -> None:
        self._client = client
        self._report_further = report
        self._log: deque[str] = deque(maxlen=LAST_LINES)
        self._polling = polling
        self._keeper = keeper
        self._go_on = go_on
        self._state = State(content=None)
        self._under_way: PlanStep | None = None
        self._visits = False
        self._settings = AppliedSettings(client, self._report)
        self._back: WayBack | None = None
        self._left: deque[PlanStep] = deque()

    def run(self, plan: Plan) -> Deployment:
        """Take the steps in order.

        Raises ServerError if the server refuses or is gone, DeploymentFailedError if the
        task fails, NotAnsweringError if the content does not answer; a note of the exception
        says what remained on the server. The bundle that was active stays active, unless the
        server knows no drafts, and what was set before is put back while it does. If the plan has a
        way back, that is taken after activation.
        """
        content = plan.content
        kept = any(isinstance(step, Keep) for step in plan.steps)
        self._state = State(
            content=content,
            previous_bundle_id=content.bundle_id if content and not kept else None,
            bundle_id=plan.bundle_id,
            kept=kept,
            activation="done" if kept else "",
            only_draft=not (kept or any(isinstance(step, Activate) for step in plan.steps)),
            way_back=plan.way_back,
        )
        self._visits = any(isinstance(step, Verify) for step in plan.steps)
        self._settings.compared = plan.declared
        self._left.extend(plan.steps)
        try:
            while self._left:
                self._under_way = self._left.popleft()
                self._take(self._under_way)
            self._under_way = None
            self._record(replace(self._state, changed={}))
            self._keeper.finished(self._state.known)
            return replace(self._state.deployment(), settings=self._settings.changes)
        except (HatchConnectError, KeyboardInterrupt) as error:
            try:
                self._undo(error)
            except KeyboardInterrupt as interruption:
                self.explain(interruption)
                raise
            self.explain(error)
            raise

    def explain(self, error: HatchConnectError | KeyboardInterrupt) -> None:
        """Note with an error what remains on the server by now, and how to go on."""
        settings = self._settings.remains()
        if self._back:
            error.add_note(remains_of_way_back(self._back, self._state, self._go_on, settings))
        else:
            error.add_note(remains(self._state, self._under_way, error, self._go_on, settings))
        add_facts(error, **self._facts(error))

    def _facts(self, error: BaseException) -> dict[str, object]:
        """Return the facts of a failed deployment, for `--json`."""
        state = self._back.left if self._back else self._state
        content = state.content
        active = state.bundle_id if state.active else state.previous_bundle_id
        if may_be_active(state, error):
            active = None  # nobody knows
        logs_url = content.logs_url if content else None
        if content and state.bundle_id and not state.active:
            logs_url = content.draft_url(state.bundle_id)
        return {
            "guid": content.guid if content else None,
            "bundle_id": state.bundle_id,
            "active_bundle_id": self._back.active if self._back else active,
            "task_id": state.task_id,
            "logs_url": logs_url,
            "log": list(self._log),
            "settings": [change.facts() for change in self._settings.changes],
        }

    def _report(self, event: Event) -> None:
        if isinstance(event, LogLine):
            self._log.append(event.text)
        self._report_further(event)

    def _take(self, step: PlanStep) -> None:  # noqa: C901 - one case a step
        match step:
            case CreateContent():
                self._create(step)
            case SetVariables():
                self._set_variables(step)
            case UpdateContent():
                self._update_content(step)
            case Upload():
                self._upload(step)
            case DeployDraft():
                self._deploy_draft(step)
            case Verify():
                self._verify(step)
            case Activate():
                self._activate()
            case Keep():
                text = f"Nothing to upload: bundle {step.bundle_id} is the same."
                self._report(Step(text=text))
                self._record(self._state)
            case DeployAgain():
                self._deploy_again(step)
            case ApplySettings():
                # Before they are set: a call that is killed leaves it to the next to put them back.
                changed = {**self._state.changed, **fields_changed(step.changes)}
                self._record(replace(self._state, changed=changed))
                self._settings.apply(self._state.known.guid, step.changes)
            case _:
                assert_never(step)

    def _record(self, state: State) -> None:
        """Record the new state before anything else happens."""
        self._state = state
        if state.content:
            attempt = state.attempt()
            self._keeper.note(state.content, attempt, created=state.created, kept=state.kept)

    def _create(self, step: CreateContent) -> None:
        self._keeper.creating(step.name)
        try:
            content = self._client.create_content(step.name, step.title)
        except ServerError as error:
            if not is_uncertain(error):
                self._keeper.creating(None)
            raise
        self._record(replace(self._state, content=content, created=True))
        self._report(Step(text=f"Created content {content.name!r}, GUID {content.guid}"))

    def _set_variables(self, step: SetVariables) -> None:
        text = str(step)
        self._report(Step(text=text[:1].upper() + text[1:]))
        self._client.set_environment(self._state.known.guid, step.values)
        self._record(replace(self._state, variables=str(step)))

    def _update_content(self, step: UpdateContent) -> None:
        self._report(Step(text=f"Setting the {step.field} to {step.value!r}"))
        guid = self._state.known.guid
        try:
            content = self._client.update_content(guid, step.field, step.value)
        except RefusedError as error:
            if step.needed:
                raise
            self._report(Note(text=f"The {step.field} was not set. {error.message}"))
        else:
            self._record(replace(self._state, content=content))

    def _upload(self, step: Upload) -> None:
        self._report(Step(text=f"Uploading {step.archive.name} ({step.size:,} bytes)"))
        bundle = self._client.upload_bundle(
            self._state.known.guid,
            step.archive,
            metadata=self._intent(step),
            largest=step.largest,
            report=self._report,
        )
        self._record(replace(self._state, bundle_id=bundle.id, uploaded=step.identity))

    def _intent(self, step: Upload) -> dict[str, str] | None:
        """Return the metadata, with what the next call needs to know on another machine."""
        if step.metadata is None:
            return None
        state = self._state
        intent = {
            DRAFT: str(state.only_draft).lower(),
            IDENTITY: step.identity,
            VERIFY: str(self._visits and not state.only_draft).lower(),
        }
        if state.previous_bundle_id:
            intent[ACTIVE_BEFORE] = state.previous_bundle_id
        return intent | dict(step.metadata)

    def _deploy_draft(self, step: DeployDraft) -> None:
        self._report(Step(text=f"Deploying bundle {self._state.bundle} as a draft"))
        try:
            self._deploy(activate=False)
        except RefusedError as error:
            # So refuses a server that does not know the field `activate`.
            if error.code != Code.INVALID_JSON:
                raise
            if step.needed:
                raise no_drafts() from error
            self._report(Note(text="This server does not support drafts: activating directly."))
            for settings in [left for left in self._left if isinstance(left, ApplySettings)]:
                self._left.remove(settings)
                self._take(settings)
            self._activate()
        else:
            self._record(replace(self._state, draft=True))

    def _activate(self) -> None:
        state = self._state
        if state.active:  # by `_deploy_draft`, on a server without drafts
            return
        self._report(Step(text=f"Activating bundle {state.bundle}"))
        before, way_back = self._active_now(), state.way_back
        if way_back and before != state.previous_bundle_id:
            way_back = None
            text = (
                f"Bundle {before} was activated in the meantime: no bundle will be restored"
                " automatically."
            )
            self._report(Note(text=text))
        begun = replace(state, activation="begun", previous_bundle_id=before, way_back=way_back)
        self._record(begun)
        self._deploy(activate=None)
        self._record(replace(self._state, draft=False, activation="done"))

    def _undo(self, error: HatchConnectError | KeyboardInterrupt) -> None:
        """Bring back what was there before a step failed."""
        state = self._state
        other = state.way_back != state.bundle_id
        back = state.active and state.way_back and (other or self._settings.changes)
        step = self._under_way
        how = step.verify if isinstance(step, DeployAgain) else step
        if back and isinstance(error, NotAnsweringError) and isinstance(how, Verify):
            self._go_back(how)
        else:
            self._put_settings_back(error)

    def _go_back(self, how: Verify) -> None:
        """Activate the bundle that was active before, with its settings, and verify it.

        What prevents that must not hide the error that it is the answer to. If somebody has
        activated another bundle meanwhile, that one stays.
        """
        left = self._state
        guid, target = left.known.guid, left.way_back
        # The same bundle with its settings replaces nothing.
        replaced = left.bundle_id if target != left.bundle_id else None
        self._report(Step(text=f"Rolling back to bundle {target}"))
        self._back = WayBack(left=left, bundle_id=target or "")
        self._state = replace(
            left,
            bundle_id=target,
            previous_bundle_id=replaced,
            kept=False,
            uploaded=None,
            activation="begun",
            verified=None,
            way_back=None,
        )
        active = self._asked(guid)
        if active not in {None, left.bundle_id}:
            why = f"bundle {active} was activated in the meantime"
            self._back = replace(self._back, active=active, why_not=why)
            return
        try:
            self._record(self._state)
            self._settings.put_back(guid, (Phase.START,))
            self._deploy(activate=None)
            self._back = replace(self._back, active=target)
            self._record(replace(self._state, activation="done"))
            # The bundle that is left was not to be seen by more.
            self._settings.put_back(guid)
            self._verify(replace(how, final=True))
        except HatchConnectError as error:
            if not self._state.active:
                self._back = replace(self._back, why_not=error.message, active=self._asked(guid))

    def _asked(self, guid: str) -> str | None:
        """Return the active bundle; None if the server does not tell."""
        try:
            return self._client.content(guid).bundle_id
        except ServerError:
            return None

    def _put_settings_back(self, error: HatchConnectError | KeyboardInterrupt) -> None:
        """Put back what was set for a bundle that did not become the active one."""
        state, step = self._state, self._under_way
        early = isinstance(step, ApplySettings) and step.phase is not Phase.AFTER
        restarts = any(isinstance(each, Activate | DeployAgain) for each in (step, *self._left))
        if state.content is None or (state.active and not (state.kept and (early or restarts))):
            return
        # It must not run with less than it needs, or be seen by more.
        if may_be_active(state, error):
            return
        with suppress(KeyboardInterrupt):
            self._settings.put_back(state.content.guid)

    def _deploy_again(self, step: DeployAgain) -> None:
        if not step.because and step.verify and self._answers(step.verify):
            return
        because = f", {step.because}" if step.because else ""
        self._report(Step(text=f"Deploying bundle {self._state.bundle} again{because}"))
        self._deploy(activate=None)
        if step.verify:
            self._verify(step.verify)

    def _answers(self, step: Verify) -> bool:
        """Return whether the content answers without doubt."""
        try:
            self._verify(step)
        except NotAnsweringError as error:
            self._report(Note(text=error.message))
        return self._state.verified is True

    def _active_now(self) -> str | None:
        """Return the active bundle as of now: others may have activated one meanwhile."""
        state = self._state
        if state.created:
            return None  # nobody else knows of it so far
        try:
            active = self._settings.active_now(state.known.guid)
        except ServerError:
            return state.previous_bundle_id
        return state.previous_bundle_id if active == state.bundle_id else active

    def _deploy(self, *, activate: bool | None) -> None:
        state, draft = self._state, activate is False
        content = state.known
        task_id = self._client.deploy(content.guid, state.bundle, activate=activate)
        self._state = replace(state, task_id=task_id, running=True)
        status = follow(self._client, task_id, self._report, self._polling)
        if status is None and draft:
            # Visiting the draft tells how the task ended.
            self._state = replace(self._state, lost=True)
            if not self._visits:
                logs = where_logs_are(self._client, content, state.bundle, draft=True)
                raise lost_draft("The draft was not visited", f"Logs: {logs}")
            return
        if status is None:
            look_for_active(self._client, content, state.bundle, self._report, self._polling)
        self._state = replace(self._state, running=False, lost=False)
        if status and status.code:
            raise self._failed(status, draft=draft)

    def _failed(self, status: TaskStatus, *, draft: bool) -> DeploymentFailedError:
        """Return the error for a task that failed, after the end of its job's log is shown."""
        state = self._state
        failure = failure_of(self._client, state.known, state.bundle, draft=draft, ended=True)
        shown = tuple(self._log)
        # The task's output may hold it already, each line with a time before it.
        if not all(any(line in each for each in shown) for line in failure.lines):
            for line in failure.lines:
                self._report(LogLine(text=line))
        error = DeploymentFailedError(
            f"The deployment failed: {status.error or f'code {status.code}'}",
            hint=failure.hint(_cure(status.error)),
        )
        add_facts(error, **failure.facts())
        return error

    def _verify(self, step: Verify) -> None:
        state = self._state
        what = Visited(
            content=state.known,
            bundle_id=state.bundle,
            draft=state.draft,
            lost=state.draft and state.lost,
        )
        try:
            visit = verify(self._client, what, step, self._report, self._polling)
        except NotAnsweringError:
            self._record(replace(state, verified=False))
            raise
        verified = None if visit.doubt else True
        # If the task of the draft was lost, its answer shows that the deployment has ended.
        way_back = None if step.final and not visit.doubt else state.way_back
        self._record(
            replace(state, running=False, verified=verified, answer=visit, way_back=way_back)
        )
