"""The state of the server while a plan is carried out, and what of it remains after a failure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias, assert_never

from hatch_connect.connect.records import Attempt
from hatch_connect.connect.retries import is_uncertain
from hatch_connect.errors import ServerError
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

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from hatch_connect.connect.records import Changed
    from hatch_connect.connect.resources import Content, Visit
    from hatch_connect.ship.declared import SettingChange
    from hatch_connect.ship.plan import PlanStep

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
class State:
    """The state of the server so far, as far as it is known: it grows to be the `Deployment`.

    `task_id` is the last task, `running` tells that it has not ended as far as is known, and `lost`
    that the server no longer knows it. `only_draft` tells that no activation is intended,
    and `activation` how far one has come, as in an `Attempt`. `kept` tells that the bundle was
    active before, `uploaded` is the identity of one that was not there. `verified` is None if the
    bundle was not visited, or the visit did not tell whether it answers. `way_back` is the bundle
    that comes back if this one does not, until that is settled. `changed` are the fields that were
    set, as in an `Attempt`.
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
    way_back: str | None = None
    changed: Changed = field(default_factory=dict)

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
            way_back=self.way_back if self.activation and self.way_back != self.bundle_id else None,
            changed=self.changed,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class WayBack:
    """The way back to `bundle_id` from the state that was `left`, and why it did not succeed.

    `active` is the bundle that is active now, None if that is not known.
    """

    left: State
    bundle_id: str
    active: str | None = None
    why_not: str = ""


def may_be_active(state: State, error: BaseException) -> bool:
    """Return whether the server may activate the bundle although `error` ended that step."""
    return state.activation == "begun" and (state.running or _is_doubtful(error))


def _is_doubtful(error: BaseException) -> bool:
    """Return whether a request that ended so may have been carried out all the same."""
    lost = isinstance(error, ServerError) and is_uncertain(error)
    return lost or isinstance(error, KeyboardInterrupt)


def remains(
    state: State,
    under_way: PlanStep | None,
    error: BaseException,
    go_on: GoOn,
    settings: Iterable[str] = (),
) -> str:
    """Return one line: the state of the server after `error` ended a step, and how to go on."""
    doubts = _doubts(state, under_way, error) if _is_doubtful(error) else ()
    facts = (*_on_server(state, doubtful=may_be_active(state, error)), *settings, *doubts)
    line = f"On the server: {'; '.join(facts)}." if facts else "Nothing was changed on the server."
    if under_way is None and (state.active or state.draft):
        return f"{line} There is nothing left to do."
    guid = state.content.guid if state.content else None
    if state.active and state.verified is False and state.previous_bundle_id:
        line += f" To roll back: hatch-connect rollback {state.previous_bundle_id} --app-id {guid}."
    again = go_on(guid)
    return f"{line} To continue, {again}." if again else line


def remains_of_way_back(back: WayBack, now: State, go_on: GoOn, settings: Iterable[str]) -> str:
    """Return one line: the state of the server after a way back, and how to go on."""
    left, guid = back.left, now.known.guid
    facts = [f"content {guid}"]
    if now.active:
        answers = {None: "", True: "and answers", False: "and does not answer either"}
        facts.append(f"bundle {now.bundle_id} is active again {answers[now.verified]}".strip())
    else:
        why = f": {back.why_not.rstrip('.')}" if back.why_not else ""
        facts.append(f"rolling back to bundle {back.bundle_id} failed{why}")
        facts.append(
            f"bundle {back.active} is active"
            if back.active
            else "it is not known which bundle is active"
        )
    if left.bundle_id not in {back.bundle_id, back.active}:
        facts.append(f"bundle {left.bundle_id} was uploaded but did not answer")
    if left.variables:
        facts.append(f"its variables remain changed ({left.variables})")
    line = f"On the server: {'; '.join((*facts, *settings))}."
    if not now.active:
        line += f" To roll back: hatch-connect rollback {back.bundle_id} --app-id {guid}."
    again = go_on(guid)
    return f"{line} To continue, {again}." if again else line


def _on_server(state: State, *, doubtful: bool) -> Iterator[str]:
    content = state.content
    if content is None:
        return
    yield f"content {content.guid}" + (" was created" if state.created else "")
    if state.variables:
        yield f"its variables remain changed ({state.variables})"
    if state.running:
        yield f"task {state.task_id} has not finished and may still be running"
    if doubtful:
        before = (
            f" ({state.previous_bundle_id} was active before)" if state.previous_bundle_id else ""
        )
        yield f"bundle {state.bundle_id} may be active by now{before}"
        return
    if state.bundle_id and not state.active:
        yield f"bundle {state.bundle_id} was uploaded but not activated"
    if state.active and state.previous_bundle_id:
        yield f"bundle {state.bundle_id} is active ({state.previous_bundle_id} was active before)"
    elif state.previous_bundle_id:
        yield f"bundle {state.previous_bundle_id} is still active"
    elif state.active:
        yield f"bundle {state.bundle_id} is active"


def _doubts(state: State, under_way: PlanStep | None, error: BaseException) -> Iterator[str]:
    match under_way:
        case CreateContent() if not state.content:
            yield f"content named {under_way.name!r} may have been created"
        case SetVariables():
            yield f"its variables may have been changed ({under_way})"
        case DeployDraft() | Activate():
            if not (state.running or state.active):
                yield f"the deployment of bundle {state.bundle_id} may have started"
        case Upload():
            # An upload that ends notes how much it had sent; one that is left behind still waits.
            if isinstance(error, KeyboardInterrupt) and not hasattr(error, "__notes__"):
                yield "part or all of the bundle was sent"
        # Of settings, `AppliedSettings` says it.
        case CreateContent() | UpdateContent() | ApplySettings() | Verify() | None:
            pass
        case Keep() | DeployAgain():
            pass
        case _:
            assert_never(under_way)
