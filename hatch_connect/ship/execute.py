"""Carries out a plan: the only place that does.

At any moment the state that the plan has led to is known, and how to go on from there.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeAlias, assert_never

from hatch_connect.connect.codes import Code
from hatch_connect.connect.records import Attempt
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
from hatch_connect.ship.declared import Phase
from hatch_connect.ship.follow import follow, look_for_active
from hatch_connect.ship.history import ACTIVE_BEFORE, DRAFT, IDENTITY
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
from hatch_connect.ship.verify import Visited, lost_draft, verify

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from hatch_connect.connect.client import ConnectClient
    from hatch_connect.connect.resources import Content, Visit
    from hatch_connect.events import Event, Report
    from hatch_connect.ship.declared import SettingChange
    from hatch_connect.ship.follow import TaskPolling
    from hatch_connect.ship.history import RecordKeeper
    from hatch_connect.ship.plan import Plan, PlanStep


# Returns how to go on after a failure, for content of that GUID; "" if others say so.
GoOn: TypeAlias = Callable[[str | None], str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """The result of a plan that was carried out.

    `previous_bundle_id` was active before, which is what a rollback needs. `active` is False for a
    draft. `answer` is what the last visit said. `uploaded` is False if the bundle was there.
    `settings` are the changes of what is declared that were made.
    """

    content: Content
    created: bool
    bundle_id: str
    previous_bundle_id: str | None
    active: bool
    answer: Visit | None
    uploaded: bool
    settings: tuple[SettingChange, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class _State:
    """The state of the server so far, as far as it is known: it grows to be the `Deployment`.

    `task_id` is the last task, `running` tells that it has not ended as far as is known, and `lost`
    that the server no longer knows it. `only_draft` tells that no activation is intended,
    and `activation` how far one has come, as in an `Attempt`. `kept` tells that the bundle was
    active before, `uploaded` is the identity of one that was not there. `verified` is None if the
    bundle was not visited, or the visit did not tell whether it answers.
    """

    content: Content | None
    created: bool = False
    variables: str = ""
    previous_bundle_id: str | None = None
    bundle_id: str | None = None
    kept: bool = False
    uploaded: str | None = None
    task_id: str | None = None
    running: bool = False
    lost: bool = False
    only_draft: bool = False
    draft: bool = False
    activation: str = ""
    verified: bool | None = None
    answer: Visit | None = None

    @property
    def active(self) -> bool:
        """Whether the bundle was activated."""
        return self.activation == "done"

    @property
    def known(self) -> Content:
        """The content, which a plan creates before it uses it."""
        if self.content is None:
            raise AssertionError("a plan creates its content before it uses it")
        return self.content

    @property
    def bundle(self) -> str:
        """The bundle, which a plan uploads before it deploys it."""
        if self.bundle_id is None:
            raise AssertionError("a plan uploads its bundle before it deploys it")
        return self.bundle_id

    def deployment(self) -> Deployment:
        """Return the result, once all steps are taken."""
        return Deployment(
            content=self.known,
            created=self.created,
            bundle_id=self.bundle,
            previous_bundle_id=self.previous_bundle_id,
            active=self.active,
            answer=self.answer,
            uploaded=self.uploaded is not None,
        )

    def attempt(self) -> Attempt | None:
        """Return what the history keeps of it; None before there is a bundle."""
        if self.bundle_id is None:
            return None
        return Attempt(
            bundle_id=self.bundle_id,
            draft=self.only_draft,
            activation=self.activation,
            replaced=self.previous_bundle_id if self.activation else None,
            verified=self.verified,
            identity=self.uploaded,
        )


def _cure(error: str) -> str:
    """Return what to do about an error that the server explains only in its own words."""
    if "compatible environment" not in error.lower():
        return ""
    return (
        "The server matches Python as its administrator set it up, exactly or by minor version: "
        "`hatch-connect details` lists what it has; ask for one with --python-version X.Y.Z.\n"
    )


def deploy_again(guid: str | None, verb: str = "deploy") -> str:
    """Return how to go on with a deployment."""
    return f"{verb} again" + (f" with --app-id {guid}" if guid else "")


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
        self._state = _State(content=None)
        self._under_way: PlanStep | None = None
        self._visits = False
        self._settings = AppliedSettings(client, self._report)
        self._left: deque[PlanStep] = deque()

    def run(self, plan: Plan) -> Deployment:
        """Take the steps in order.

        Raises ServerError if the server refuses or is gone, DeploymentFailedError if the
        task fails, NotAnsweringError if the content does not answer; a note of the exception
        says what remained on the server. The bundle that was active stays active, unless the
        server knows no drafts, and what was set before is put back while it does.
        """
        content = plan.content
        kept = any(isinstance(step, Keep) for step in plan.steps)
        self._state = _State(
            content=content,
            previous_bundle_id=content.bundle_id if content and not kept else None,
            bundle_id=plan.bundle_id,
            kept=kept,
            activation="done" if kept else "",
            only_draft=not (kept or any(isinstance(step, Activate) for step in plan.steps)),
        )
        self._visits = any(isinstance(step, Verify) for step in plan.steps)
        self._settings.compared = plan.declared
        self._left.extend(plan.steps)
        try:
            while self._left:
                self._under_way = self._left.popleft()
                self._take(self._under_way)
            self._under_way = None
            self._keeper.finished(self._state.known)
            return replace(self._state.deployment(), settings=self._settings.changes)
        except (HatchConnectError, KeyboardInterrupt) as error:
            self._put_settings_back(error)
            self.explain(error)
            raise

    def explain(self, error: HatchConnectError | KeyboardInterrupt) -> None:
        """Note with an error what remains on the server by now, and how to go on."""
        settings = self._settings.remains()
        error.add_note(_remains(self._state, self._under_way, error, self._go_on, settings))
        add_facts(error, **self._facts())

    def _facts(self) -> dict[str, object]:
        """Return the facts of a failed deployment, for `--json`."""
        state, content = self._state, self._state.content
        logs_url = content.logs_url if content else None
        if content and state.bundle_id and not state.active:
            logs_url = content.draft_url(state.bundle_id)
        return {
            "guid": content.guid if content else None,
            "bundle_id": state.bundle_id,
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
                text = f"Nothing to upload: bundle {step.bundle_id} is this one."
                self._report(Step(text=text))
                self._record(self._state)
            case DeployAgain():
                self._deploy_again(step)
            case ApplySettings():
                self._settings.apply(self._state.known.guid, step.changes)
            case _:
                assert_never(step)

    def _record(self, state: _State) -> None:
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
        intent = {DRAFT: str(state.only_draft).lower(), IDENTITY: step.identity}
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
            self._report(Note(text="This server knows no drafts: activating without one."))
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
        self._record(replace(state, activation="begun", previous_bundle_id=self._active_now()))
        self._deploy(activate=None)
        self._record(replace(self._state, draft=False, activation="done"))

    def _put_settings_back(self, error: HatchConnectError | KeyboardInterrupt) -> None:
        """Put back what was set for a bundle that did not become the active one."""
        state, step = self._state, self._under_way
        early = isinstance(step, ApplySettings) and step.phase is not Phase.AFTER
        restarts = any(isinstance(each, Activate | DeployAgain) for each in (step, *self._left))
        if state.content is None or (state.active and not (state.kept and (early or restarts))):
            return
        lost = isinstance(error, KeyboardInterrupt) or (
            isinstance(error, ServerError) and is_uncertain(error)
        )
        # It may be active by now, and must not run with less than it needs, or be seen by more.
        if state.activation == "begun" and (state.running or lost):
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
                raise lost_draft("It is not visited", content.draft_url(state.bundle))
            return
        if status is None:
            look_for_active(self._client, content, state.bundle, self._report, self._polling)
        self._state = replace(self._state, running=False, lost=False)
        if status and status.code:
            log = content.draft_url(state.bundle) if draft else content.logs_url
            raise DeploymentFailedError(
                f"The deployment failed: {status.error or f'code {status.code}'}",
                hint=f"{_cure(status.error)}The whole log: {log}",
            )

    def _verify(self, step: Verify) -> None:
        state = self._state
        draft = state.bundle if state.draft else None
        what = Visited(content=state.known, bundle_id=draft, lost=state.draft and state.lost)
        try:
            visit = verify(self._client, what, step, self._report, self._polling)
        except NotAnsweringError:
            self._record(replace(state, verified=False))
            raise
        verified = None if visit.doubt else True
        # If the task of the draft was lost, its answer shows that the deployment has ended.
        self._record(replace(state, running=False, verified=verified, answer=visit))


def _remains(
    state: _State,
    under_way: PlanStep | None,
    error: BaseException,
    go_on: GoOn,
    settings: Iterable[str] = (),
) -> str:
    """Return one line: the state of the server after `error` ended a step, and how to go on."""
    # A request that ended so may have been carried out all the same.
    lost = isinstance(error, ServerError) and is_uncertain(error)
    doubtful = lost or isinstance(error, KeyboardInterrupt)
    doubts = _doubts(state, under_way, error) if doubtful else ()
    facts = (*_on_server(state), *settings, *doubts)
    line = f"On the server: {'; '.join(facts)}." if facts else "Nothing was changed on the server."
    if under_way is None and (state.active or state.draft):
        return f"{line} Nothing is left to do."
    guid = state.content.guid if state.content else None
    if state.active and state.verified is False and state.previous_bundle_id:
        line += f" To go back: hatch-connect rollback {state.previous_bundle_id} --app-id {guid}."
    again = go_on(guid)
    return f"{line} To go on, {again}." if again else line


def _on_server(state: _State) -> Iterator[str]:
    content = state.content
    if content is None:
        return
    yield f"content {content.guid}" + (" was created" if state.created else "")
    if state.variables:
        yield f"its variables stay as they were changed ({state.variables})"
    if state.running:
        yield f"task {state.task_id} has not ended and may go on"
    if state.bundle_id and not state.active:
        yield f"bundle {state.bundle_id} is there and not active"
    if state.active and state.previous_bundle_id:
        yield f"bundle {state.bundle_id} is active, {state.previous_bundle_id} was before"
    elif state.previous_bundle_id:
        yield f"bundle {state.previous_bundle_id} is still the active one"
    elif state.active:
        yield f"bundle {state.bundle_id} is active"


def _doubts(state: _State, under_way: PlanStep | None, error: BaseException) -> Iterator[str]:
    match under_way:
        case CreateContent() if not state.content:
            yield f"content named {under_way.name!r} may have been created"
        case SetVariables():
            yield f"its variables may have been changed ({under_way})"
        case DeployDraft() | Activate():
            if not (state.running or state.active):
                yield f"the deployment of bundle {state.bundle_id} may have begun"
        case Upload():
            # An upload that ends notes how much it had sent; one that is left behind still waits.
            if isinstance(error, KeyboardInterrupt) and not hasattr(error, "__notes__"):
                yield "a part of the bundle was sent, or all of it"
        # Of settings, `AppliedSettings` says it.
        case CreateContent() | UpdateContent() | ApplySettings() | Verify() | None:
            pass
        case Keep() | DeployAgain():
            pass
        case _:
            assert_never(under_way)
