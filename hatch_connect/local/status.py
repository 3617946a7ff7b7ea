"""What is true of content right now, also after the server was killed and started again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

if TYPE_CHECKING:
    from hatch_connect.local.processes import Processes
    from hatch_connect.local.state import State, StoredBundle, StoredContent

ContentState: TypeAlias = Literal["never deployed", "failed", "running", "idle"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """The state of content.

    Content is "running" while a process of its active bundle can be visited, and "idle" if there is
    none: the next visit starts one, or there are only pages. It has "failed" if nothing of it can
    be visited because of `failed`: why the last deployment failed, or the last process of the
    active bundle. That reason is also there for content that goes on with an older bundle.

    `draft` is the newest deployed bundle that was never active and is newer than the active one.
    `deployed` is when the active bundle was deployed, and `deploying` the task that does it now.
    """

    state: ContentState
    draft: int | None
    deployed: str | None
    deploying: str | None
    failed: str


def status_of(state: State, processes: Processes, content: StoredContent) -> Status:
    """Return the state of content."""
    bundles = state.bundles(content)
    active = next((one for one in bundles if one.id == content.active_bundle), None)
    deployments = state.deployments(content)
    last = next((one for one in deployments if one.ended), None)
    failed = (active.failed if active else "") or (last.error if last else "")
    return Status(
        state=_state(processes, active, failed),
        draft=_draft(bundles, active),
        deployed=content.deployed,
        deploying=next((one.id for one in deployments if one.ended is None), None),
        failed=failed,
    )


def _state(processes: Processes, active: StoredBundle | None, failed: str) -> ContentState:
    if active is None:
        return "failed" if failed else "never deployed"
    if processes.runs(active.id):
        return "running"
    return "failed" if active.failed else "idle"


def _draft(bundles: tuple[StoredBundle, ...], active: StoredBundle | None) -> int | None:
    newer = (one for one in bundles if active is None or one.id > active.id)
    return next((one.id for one in newer if one.deployed and not one.activated), None)
