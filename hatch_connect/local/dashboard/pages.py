"""The pages of the dashboard. Each has a URL of its own, and works without JavaScript."""

from __future__ import annotations

import asyncio
import json
import os
import shlex
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from starlette.exceptions import HTTPException
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from hatch_connect import __version__
from hatch_connect.local.access import may_edit, may_see, seen_by
from hatch_connect.local.api.bundles import archive_of
from hatch_connect.local.api.content import DEFAULTS
from hatch_connect.local.api.requests import bundle_of, find_bundle, whole_number
from hatch_connect.local.api.tags import tags_of
from hatch_connect.local.api.thumbnails import picture
from hatch_connect.local.dashboard.described import (
    TAIL,
    access_of,
    describe,
    listed,
    logs_of,
    newest,
    path_of,
    people_of,
    versions_of,
    with_entries,
)
from hatch_connect.local.dashboard.rendering import render
from hatch_connect.local.folder import key_file
from hatch_connect.local.machine import machine_of
from hatch_connect.local.runtime_settings import DEFAULT_SECONDS
from hatch_connect.local.sessions import require_session
from hatch_connect.local.visitors import visit_url

if TYPE_CHECKING:
    from pathlib import Path

    from starlette.requests import Request

    from hatch_connect.local.dashboard.described import Described, Log
    from hatch_connect.local.machine import Machine
    from hatch_connect.local.state import StoredBundle, StoredContent
    from hatch_connect.local.users import User

_MOST_LOGS = 100  # of a list
_TABS = ("Content", "Versions", "Settings", "Variables", "Access", "Logs")
_ACTS = frozenset(
    (
        *("title", "description", "access_type", "locked", "locked_message", "init_timeout"),
        *("idle_timeout", "read_timeout", "connection_timeout", "min_processes"),
        "default_py_environment_management",
    )
)
"""The settings that have an effect on this machine."""


def show(request: Request, template: str, /, **values: object) -> Response:
    """Return a page of the dashboard for whoever is signed in."""
    session = require_session(request)
    notice = request.session.pop("notice", None)
    page = render(
        template,
        **{"place": "content", "title": "Content", "notice": notice, **values},
        user=session.user,
        form_token=session.form_token,
    )
    return HTMLResponse(page)


@dataclass(frozen=True, slots=True, kw_only=True)
class Viewed:
    """Content that the path of a request names, and who asks for it."""

    machine: Machine
    content: StoredContent
    user: User
    may_edit: bool

    @property
    def path(self) -> str:
        """The path of its page."""
        return path_of(self.content)


def viewed(request: Request, *, editing: bool = False) -> Viewed:
    """Return the content that a path names. Raises HTTPException if the user may not see it."""
    machine, user = machine_of(request), require_session(request).user
    wanted: str = request.path_params["guid"]
    content = machine.state.content(wanted)
    if content is None and (number := whole_number(wanted)) is not None:
        content = machine.state.content_by_id(number)  # as old clients name it
    if content is None or not may_see(machine.state, content, user):
        raise HTTPException(404, "There is no such content, or you may not see it.")
    editor = may_edit(machine.state, content, user)
    if editing and not editor:
        raise HTTPException(403, "Only the owner, collaborators and administrators may do this.")
    return Viewed(machine=machine, content=content, user=user, may_edit=editor)


def _show_tab(
    request: Request, found: Viewed, tab: str, template: str = "", **values: object
) -> Response:
    one = describe(found.machine, found.content)
    tabs = [
        (name, one.path if name == "Content" else f"{one.path}/{name.lower()}") for name in _TABS
    ]
    shown = {"one": one, "tab": tab, "tabs": tabs, "may_edit": found.may_edit}
    return show(request, template or f"{tab.lower()}.html", **shown, **values)


def show_confirmation(
    request: Request, found: Viewed, *, question: str, explanation: str, back: str
) -> Response:
    """Ask whether to do what a form that is sent to the same path does."""
    words = {"question": question, "explanation": explanation, "back": back}
    path = request.url.path
    return _show_tab(request, found, "Versions", "confirm.html", action=path, **words)


async def contents(request: Request) -> Response:
    """Show all content that the user may see, or what a filter leaves of it."""
    machine, user = machine_of(request), require_session(request).user
    query = request.query_params.get("q", "").strip()
    rows = [describe(machine, content) for content in seen_by(user, machine.state)]
    found = [row for row in rows if _matches(row, query)]
    found.sort(
        key=lambda row: (row.status.deployed or row.content.created, row.content.id), reverse=True
    )
    return show(request, "contents.html", rows=found, query=query)


def _matches(row: Described, query: str) -> bool:
    where = (row.title, row.content.name, row.type, row.owner, row.status.state)
    return query.casefold() in "\n".join(where).casefold()


async def content(request: Request) -> Response:
    """Show the content itself."""
    found = viewed(request)
    machine = found.machine
    active = machine.state.active_bundle(found.content)
    # To show what has failed is to start it again: only on request.
    failed = machine.status(found.content).state == "failed"
    shown = active is not None and (not failed or "again" in request.query_params)
    return _content(request, found, visit_as(request, found) if shown else None)


async def draft(request: Request) -> Response:
    """Show a bundle as a draft."""
    found = viewed(request)
    bundle = bundle_of(request, found.content)
    if bundle.id == found.content.active_bundle:
        return RedirectResponse(path_of(found.content), 303)
    frame = visit_as(request, found, bundle) if bundle.deployed else None
    return _content(request, found, frame, draft=bundle.id)


async def visit(request: Request) -> Response:
    """Redirect to the content, or to a bundle of it, as whoever was chosen."""
    found = viewed(request)
    number = request.query_params.get("bundle")
    bundle = find_bundle(found.machine, found.content, number) if number else None
    return RedirectResponse(visit_as(request, found, bundle), 303)


def visit_as(request: Request, found: Viewed, bundle: StoredBundle | None = None) -> str:
    """Return where the content is shown to whoever was chosen."""
    user = _visitor(request, found)
    return visit_url(found.machine, found.content, as_user=user, bundle=bundle)


def _visitor(request: Request, found: Viewed) -> User | None:
    """Return whom the content is shown as: who was chosen for it in this session, or the user."""
    guid, chosen = request.session.get("visitor", ("", ""))
    if guid != found.content.guid:
        return found.user
    return found.machine.users.of_guid(chosen)


def _content(
    request: Request, found: Viewed, frame: str | None, draft: int | None = None
) -> Response:
    machine, visitor = found.machine, _visitor(request, found)
    others = (user for user in machine.users if user != found.user)
    people = {user.guid: f"{user.name} ({user.role})" for user in (found.user, *others)}
    return _show_tab(
        request,
        found,
        "Content",
        frame=frame,
        draft=draft,
        failure=_failure(found) if found.may_edit else None,
        has_bundles=bool(machine.state.bundles(found.content)),
        visitors=people | {"": "nobody (not signed in)"},
        visitor=visitor,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Failure:
    """What went wrong last, with the end of its log."""

    title: str
    reason: str
    log: Log | None


def _failure(found: Viewed) -> _Failure | None:
    machine = found.machine
    reason = machine.status(found.content).failed
    if not reason:
        return None
    logs = logs_of(machine, found.content)
    # A deployment has failed with what failed in it, and its log is the longer one.
    likely = sorted(logs, key=lambda log: (log.error != reason, not log.deploys))
    log = next((log for log in likely if log.error == reason or not log.deploys), None)
    deployed = log is None or log.deploys
    return _Failure(
        title="The last deployment failed." if deployed else "The content does not run.",
        reason=reason,
        log=with_entries(machine, log, TAIL) if log else None,
    )


async def versions(request: Request) -> Response:
    """Show the bundles."""
    found = viewed(request)
    return _show_tab(
        request, found, "Versions", bundles=list(versions_of(found.machine, found.content))
    )


async def download(request: Request) -> Response:
    """Return the archive of a bundle."""
    found = viewed(request, editing=True)
    return archive_of(found.machine, bundle_of(request, found.content))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Setting:
    name: str
    value: str
    is_set: bool
    acts: bool


async def settings(request: Request) -> Response:
    """Show the settings, first those that are not the default."""
    found = viewed(request)
    changed: list[_Setting] = []
    default: list[_Setting] = []
    defaults = {str(name): seconds for name, seconds in DEFAULT_SECONDS.items()}
    for name, value in found.content.settings.items():
        text = value if isinstance(value, str) else json.dumps(value)
        if value is None:
            text = f"not set: {defaults[name]} s" if name in defaults else "not set"
        group = default if value == DEFAULTS.get(name) else changed
        is_set = value is not None
        group.append(_Setting(name=name, value=text, is_set=is_set, acts=name in _ACTS))
    groups = (("Changed", changed), ("As they are by default", default))
    return _show_tab(request, found, "Settings", groups=groups)


async def variables(request: Request) -> Response:
    """Show the names of environment variables."""
    found = viewed(request)
    names = found.machine.state.variables(found.content) if found.may_edit else ()
    return _show_tab(request, found, "Variables", names=list(names))


async def access(request: Request) -> Response:
    """Show who may see the content, and under which addresses."""
    found = viewed(request)
    machine, content = found.machine, found.content
    vanity = content.vanity_path
    return _show_tab(
        request,
        found,
        "Access",
        access=access_of(content),
        people=list(people_of(machine, content)),
        collaborators=listed(machine, content, "owner"),
        viewers=listed(machine, content, "viewer"),
        vanity={"path": vanity, "url": f"{machine.setup.url}{vanity}"} if vanity else None,
        tags=[tag["name"] for tag in tags_of(machine.state, content) if tag["parent_id"]],
        thumbnail=machine.files.thumbnail(content).is_file(),
    )


async def logs(request: Request) -> Response:
    """Show the log that the path names, else the newest, beside a list of all."""
    found = viewed(request, editing=True)
    listed = logs_of(found.machine, found.content)
    key = request.path_params.get("key")
    first = newest(listed)
    chosen = next((log for log in listed if log.key == key), None) if key else first
    if chosen is None and key:
        raise HTTPException(404, "There is no such log.")
    shown = await asyncio.to_thread(with_entries, found.machine, chosen) if chosen else None
    return _show_tab(
        request,
        found,
        "Logs",
        jobs=listed[:_MOST_LOGS],
        left_out=len(listed[_MOST_LOGS:]),
        chosen=shown,
        is_newest=chosen == first,
    )


async def thumbnail(request: Request) -> Response:
    """Return the thumbnail."""
    viewed(request)
    return await picture(request)


async def server(request: Request) -> Response:
    """Show what there is to know of the server."""
    machine = machine_of(request)
    folders = [folder for folder in machine.environments.folder.glob("*") if folder.is_dir()]
    return show(
        request,
        "server.html",
        title="Server",
        place="server",
        setup=machine.setup,
        version=machine.setup.claims.release,
        own_version=__version__,
        environments=folders,
        size=await asyncio.to_thread(_size, machine.environments.folder),
        pythons=await machine.installed.pythons(),
        quarto=await machine.installed.quarto_version(),
        key_file=shlex.quote(str(key_file(machine.setup.folder))),
        people=list(machine.users),
        users_file=machine.setup.users.file,
    )


def _size(folder: Path | str) -> int:
    """Return the bytes of all files below a folder, of which an environment has thousands."""
    size = 0
    with suppress(FileNotFoundError), os.scandir(folder) as entries:  # one is removed meanwhile
        for each in entries:
            is_folder = each.is_dir(follow_symlinks=False)
            size += _size(each.path) if is_folder else each.stat(follow_symlinks=False).st_size
    return size


_ONE = "/apps/{guid}"
ROUTES = (
    Route("/", contents),
    Route("/server", server),
    Route(_ONE, content),
    Route(_ONE + "/draft/{bundle}", draft),
    Route(_ONE + "/open", visit),
    Route(_ONE + "/versions", versions),
    Route(_ONE + "/versions/{bundle}/download", download),
    Route(_ONE + "/settings", settings),
    Route(_ONE + "/variables", variables),
    Route(_ONE + "/access", access),
    Route(_ONE + "/thumbnail", thumbnail),
    Route(_ONE + "/logs", logs),
    Route(_ONE + "/logs/{key}", logs),
)
