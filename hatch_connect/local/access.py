"""Who may do what with content, by Connect's rules.

An administrator may change all content, but visits only what somebody on its list may visit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hatch_connect.local.state import State, StoredContent
    from hatch_connect.local.users import User

AppRole: TypeAlias = Literal["owner", "editor", "viewer", "none"]


def app_role(state: State, content: StoredContent, user: User | None) -> AppRole:
    """Return what a user is to content, in the words of the API's `app_role`.

    `none` is also an administrator who may change content and not visit it.
    """
    if user is not None and content.owner == user.guid:
        return "owner"
    roles = _listed(state, content, user)
    # The permissions' word for a collaborator, which an account of viewers cannot be.
    if user is not None and "owner" in roles and user.role != "viewer":
        return "editor"
    allowed = {
        "all": True,
        "logged_in": user is not None,
        "acl": bool(roles),
    }
    return "viewer" if allowed[str(content.settings["access_type"])] else "none"


def may_view(state: State, content: StoredContent, user: User | None) -> bool:
    """Return whether a user, or an anonymous visitor, may visit content."""
    return app_role(state, content, user) != "none"


def may_see(state: State, content: StoredContent, user: User) -> bool:
    """Return whether a user may read the settings of content."""
    return user.role == "administrator" or may_view(state, content, user)


def seen_by(user: User, state: State) -> Iterator[StoredContent]:
    """Yield the content whose settings a user may read, oldest first."""
    return (content for content in state.contents() if may_see(state, content, user))


def may_edit(state: State, content: StoredContent, user: User) -> bool:
    """Return whether a user may change content, and read its logs, bundles and variables."""
    if user.role == "viewer":
        return False
    return user.role == "administrator" or app_role(state, content, user) in {"owner", "editor"}


def _listed(state: State, content: StoredContent, user: User | None) -> set[str]:
    if user is None:
        return set()
    own = {("user", user.name), *(("group", name) for name in user.groups)}
    links = state.links(content, "user", "group")
    return {role for one, role in links.items() if (one.kind, one.name) in own}
