"""What the server holds because of a plan, at any moment, and how to go on from there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from hatch_connect.connect.retries import is_uncertain
from hatch_connect.errors import ServerError
from hatch_connect.ship.steps import Activate, CreateContent, DeployDraft, SetVariables, Upload

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hatch_connect.connect.resources import Content, Visit
    from hatch_connect.ship.steps import PlanStep

# How to go on after a failure, with content of that GUID.
GoOn: TypeAlias = Callable[[str | None], str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """What is known to be on the server so far; `task_id` is a task that has not ended.

    `lost` says that the server does not know the last task any more; `only_draft` that no
    activation is meant, `activating` that one was begun; `verified` is None where nobody asked
    whether the bundle answers, or nothing told.
    """

    content: Content | None
    created: bool = False
    variables: str = ""
    previous_bundle_id: str | None = None
    bundle_id: str | None = None
    task_id: str | None = None
    lost: bool = False
    only_draft: bool = False
    draft: bool = False
    activating: bool = False
    active: bool = False
    verified: bool | None = None
    answer: Visit | None = None

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


def deploy_again(guid: str | None) -> str:
    """Return how to go on with a deployment."""
    return "deploy again" + (f" with --app-id {guid}" if guid else "")


def remains(held: Held, under_way: PlanStep | None, error: BaseException, go_on: GoOn) -> str:
    """Say in one line what the server holds after `error` ended a step, and how to go on."""
    doubts = tuple(_doubts(held, under_way)) if _is_open(error) else ()
    facts = (*_facts(held), *doubts)
    line = f"On the server: {'; '.join(facts)}." if facts else "Nothing was changed on the server."
    if under_way is None and (held.active or held.draft):
        return f"{line} Nothing is left to do."
    guid = held.content.guid if held.content else None
    if held.active and held.verified is False and held.previous_bundle_id:
        line += f" To go back: hatch-connect rollback {held.previous_bundle_id} --app-id {guid}."
    return f"{line} To go on, {go_on(guid)}."


def _is_open(error: BaseException) -> bool:
    """Tell whether the request that ended so may have been carried out all the same."""
    if isinstance(error, ServerError):
        return is_uncertain(error)
    return isinstance(error, KeyboardInterrupt)


def _facts(held: Held) -> Iterator[str]:
    content = held.content
    if content is None:
        return
    yield f"content {content.guid}" + (" was created" if held.created else "")
    if held.variables:
        yield f"its variables stay as they were changed ({held.variables})"
    if held.task_id:
        yield f"task {held.task_id} has not ended and may go on"
    if held.bundle_id and not held.active:
        yield f"bundle {held.bundle_id} is there and not active"
    if held.active and held.previous_bundle_id:
        yield f"bundle {held.bundle_id} is active, {held.previous_bundle_id} was before"
    elif held.previous_bundle_id:
        yield f"bundle {held.previous_bundle_id} is still the active one"
    elif held.active:
        yield f"bundle {held.bundle_id} is active"


def _doubts(held: Held, under_way: PlanStep | None) -> Iterator[str]:
    match under_way:
        case CreateContent():
            yield f"content named {under_way.name!r} may have been created"
        case SetVariables():
            yield f"its variables may have been changed ({under_way})"
        case Upload():
            yield "a part of the bundle was sent, or all of it"
        case DeployDraft() | Activate() if not (held.task_id or held.active):
            yield f"the deployment of bundle {held.bundle_id} may have begun"
