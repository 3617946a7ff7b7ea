"""The requests for what is declared of content: fields, access, tags, path, thumbnail, sign-ins."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, TypeAlias
from urllib.parse import quote, urlsplit

from hatch_connect.connect.codes import Code
from hatch_connect.connect.json_reader import FromJson, JsonObject
from hatch_connect.connect.session import HIDDEN, Request, content_path, unless_hidden
from hatch_connect.errors import NotFoundError, RefusedError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from hatch_connect.connect.session import Session

Scalar: TypeAlias = str | float | bool | None
PrincipalType: TypeAlias = Literal["user", "group"]
Role: TypeAlias = Literal["viewer", "owner"]  # "owner" is what the dashboard calls a collaborator
Include: TypeAlias = Literal["tags", "vanity_url"]

_NAME_KEYS = {"user": "username", "group": "name"}
_PAGE = 500  # the most that a server returns at once
_FAILED = 500  # and above: the server, or what is in front of it, is at fault
_PICTURES = ("image/", "application/octet-stream")
_UNTOLD = HIDDEN | {400}  # also content that has no processes


@dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    """A user or a group; `user_role` is what a user may be at most, "" if it is not told."""

    type: PrincipalType
    guid: str
    name: str
    user_role: str = ""

    def __str__(self) -> str:
        return f"group:{self.name}" if self.type == "group" else self.name


@dataclass(frozen=True, slots=True, kw_only=True)
class Permission(FromJson):
    """Who else may view (`role` is viewer) or change (owner) content; its owner is not listed."""

    id: str
    principal_guid: str
    principal_type: str
    role: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Tag(FromJson):
    """A tag; without `parent_id` it is a category, which content cannot have."""

    id: str
    name: str
    parent_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Integration(FromJson):
    """An OAuth integration of the server."""

    guid: str
    name: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ContentDetails:
    """What content has now: every scalar field by Connect's name, and what was asked for besides.

    `tags` and `vanity_path` are None if they were not included; "" is no path.
    """

    fields: Mapping[str, Scalar]
    tags: tuple[Tag, ...] | None = None
    vanity_path: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerLimits:
    """What a server allows, by Connect's names (`max_memory_limit`); 0 or absent is no limit.

    `access_types` are None if it does not tell; `settings` are its other facts that matter here,
    by Connect's names: `execution_type`, and of its licence `current-user-execution`.
    """

    scheduler: Mapping[str, float] = field(default_factory=dict)
    access_types: tuple[str, ...] | None = None
    settings: Mapping[str, Scalar] = field(default_factory=dict)


# The codes with which each field is refused.
_BLAMED = {
    "access_type": (117, 118, 260),
    "description": (123,),
    "min_processes": (45, 114, 191),
    "max_processes": (113, 114, 192, 272),
    "max_conns_per_process": (239,),
    "load_factor": (150,),
    **dict.fromkeys(("idle_timeout", "init_timeout", "read_timeout", "connection_timeout"), (151,)),
    "memory_request": (181, 182, 185),
    "memory_limit": (183, 184, 185),
    "cpu_request": (186, 187, 190),
    "cpu_limit": (188, 189, 190),
    "amd_gpu_limit": (196, 197),
    "nvidia_gpu_limit": (198, 199),
    "default_image_name": (193,),
    "run_as": (55, 56, 57, 58, 253),
    "run_as_current_user": (54,),
    "service_account_name": (176, 178, 195),
}


def blamed(code: int | None) -> frozenset[str]:
    """Return the fields that a refusal with this code may be about; none if it says nothing."""
    return frozenset(name for name, codes in _BLAMED.items() if code in codes)


class ContentSettingsClient:
    """What a credential may ask and change of content's settings; raises as `ConnectClient`."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def details(self, guid: str, include: Collection[Include] = ()) -> ContentDetails:
        """Return what content has now, in one request if the server knows `include`."""
        answer = self._with_included(guid, include) if include else None
        # Connect leaves out what there is none of; the owner is always there if it was included.
        told = answer is not None and answer.child("owner") is not None
        answer = answer or self._session.object(Request("GET", content_path(guid)))
        tags: tuple[Tag, ...] | None = None
        path: str | None = None
        if "tags" in include:
            tags = tuple(map(Tag.from_answer, answer.objects("tags")))
            tags = tags if tags or told else self.content_tags(guid)
        if "vanity_url" in include:
            path = self._path_in(answer.optional_string("vanity_url") or "")
            path = path if path or told else self.vanity_path(guid)
        return ContentDetails(fields=answer.scalars(), tags=tags, vanity_path=path)

    def _with_included(self, guid: str, include: Collection[Include]) -> JsonObject | None:
        """Return content with more of it; None if the server does not know what to include."""
        query = {"include": ",".join(("owner", *sorted(include)))}
        try:
            return self._session.object(Request("GET", content_path(guid), query=query))
        except RefusedError as error:
            if error.code != Code.INVALID_INCLUDE:
                raise
            return None

    def _path_in(self, vanity_url: str) -> str:
        """Return the path of a vanity URL: below the server's own, if it is a whole URL."""
        path = urlsplit(vanity_url).path
        own = urlsplit(self._session.server.url).path
        return path.removeprefix(own) if "://" in vanity_url else path

    def update(self, guid: str, fields: Mapping[str, Scalar]) -> ContentDetails:
        """Change fields of content, by Connect's names, and return what it has now."""
        request = Request("PATCH", content_path(guid), body=dict(fields))
        return ContentDetails(fields=self._session.object(request).scalars())

    def permissions(self, guid: str) -> tuple[Permission, ...]:
        """Return who besides the owner may view or change content."""
        request = Request("GET", content_path(guid, "permissions"))
        return self._session.listed(request, Permission.from_answer)

    def grant(self, guid: str, principal: Principal, role: Role) -> Permission:
        """Let a user or a group view or change content; another role of theirs is replaced."""
        wanted = {
            "principal_guid": principal.guid,
            "principal_type": principal.type,
            "role": role,
        }
        request = Request("POST", content_path(guid, "permissions"), body=wanted)

        def look() -> Permission | None:
            of_theirs = (p for p in self.permissions(guid) if p.principal_guid == principal.guid)
            return next((p for p in of_theirs if p.role == role), None)

        return self._session.settled(
            lambda: Permission.from_answer(self._session.object(request)), look
        )

    def revoke(self, guid: str, permission: Permission) -> None:
        """Take a permission away, if it is still there."""
        request = Request("DELETE", content_path(guid, "permissions", permission.id))
        theirs = permission.principal_guid
        self._removed(request, lambda: theirs in {p.principal_guid for p in self.permissions(guid)})

    def users(self, name: str) -> tuple[Principal, ...]:
        """Return the users of exactly that user name."""
        return self._named("user", name)

    def groups(self, name: str) -> tuple[Principal, ...]:
        """Return the groups of exactly that name."""
        return self._named("group", name)

    def principal(self, kind: PrincipalType, guid: str) -> Principal:
        """Return a user or a group; NotFoundError if there is none."""
        request = Request("GET", f"v1/{kind}s/{quote(guid, safe='')}")
        return _principal(kind, self._session.object(request))

    def _named(self, kind: PrincipalType, name: str) -> tuple[Principal, ...]:
        # A search finds names that begin so, in any case, and may return its first page only.
        for prefix in (name, ""):
            found, complete = self._searched(kind, prefix)
            exact = tuple(each for each in found if each.name == name)
            if exact or complete:
                break
        return exact

    def _searched(self, kind: PrincipalType, prefix: str) -> tuple[tuple[Principal, ...], bool]:
        """Return users or groups, and whether they are all that there are."""
        found: dict[str, Principal] = {}
        for page in itertools.count(1):
            query = {"prefix": prefix} if prefix else {}
            query |= {"page_number": str(page), "page_size": str(_PAGE)}
            answer = self._session.object(Request("GET", f"v1/{kind}s", query=query))
            known, total = len(found), answer.optional_integer("total")
            people = (_principal(kind, each) for each in answer.objects("results"))
            found |= {each.guid: each for each in people}
            if len(found) in {known, total}:
                break
        return tuple(found.values()), len(found) == total and len(found) < _PAGE

    def tags(self) -> tuple[Tag, ...]:
        """Return all tags of the server."""
        return self._session.listed(Request("GET", "v1/tags"), Tag.from_answer)

    def content_tags(self, guid: str) -> tuple[Tag, ...]:
        """Return the tags of content, with the tags and categories above them."""
        request = Request("GET", content_path(guid, "tags"))
        return self._session.listed(request, Tag.from_answer)

    def add_tag(self, guid: str, tag: Tag) -> None:
        """Give content a tag, and with it those above it."""
        body = {"tag_id": tag.id}
        request = Request("POST", content_path(guid, "tags"), body=body)
        self._sent(request, lambda: self._has_tag(guid, tag))

    def remove_tag(self, guid: str, tag: Tag) -> None:
        """Take a tag away, and with it those below it."""
        request = Request("DELETE", content_path(guid, "tags", tag.id))
        self._removed(request, lambda: self._has_tag(guid, tag))

    def _has_tag(self, guid: str, tag: Tag) -> bool:
        return tag.id in {each.id for each in self.content_tags(guid)}

    def vanity_path(self, guid: str) -> str:
        """Return the path under which content is found besides its own; "" if there is none."""
        request = Request("GET", content_path(guid, "vanity"))
        try:
            return self._session.object(request).string("path")
        except NotFoundError:
            return ""

    def vanity_paths(self) -> Mapping[str, str]:
        """Return the paths of content by its GUID, as far as this key is told of them."""

        def included(answer: JsonObject) -> tuple[str, str]:
            return answer.string("guid"), self._path_in(answer.optional_string("vanity_url") or "")

        def read(answer: JsonObject) -> tuple[str, str]:
            return answer.string("content_guid"), answer.string("path")

        # Only administrators are told of all; others see the paths of what they may see.
        every = Request("GET", "v1/vanities")
        known = unless_hidden(lambda: self._session.listed(every, read))
        if known is None:
            seen = Request("GET", "v1/content", query={"include": "vanity_url"})
            known = unless_hidden(lambda: self._session.listed(seen, included), _UNTOLD)
        return {guid: path for guid, path in known or () if path}

    def set_vanity_path(self, guid: str, path: str) -> str:
        """Give content a path, which other content must not have, and return it as it is now."""
        request = Request("PUT", content_path(guid, "vanity"), body={"path": path})
        try:
            return self._session.object(request).string("path")
        except RefusedError as error:
            # Sent again because the answer was lost, the path may be taken by this content.
            taken = error.code == Code.VANITY_PATH_IN_USE
            if taken and self.vanity_path(guid).strip("/") == path.strip("/"):
                return path
            raise

    def remove_vanity_path(self, guid: str) -> None:
        """Take the path of content away, if it has one."""
        request = Request("DELETE", content_path(guid, "vanity"))
        self._removed(request, lambda: bool(self.vanity_path(guid)))

    def thumbnail(self, guid: str) -> bytes | None:
        """Return the picture of content; None if it has none."""
        # Connect's reference has it beside the content, and in the API only what changes it.
        beside = Request("GET", f"content/{quote(guid, safe='')}/__thumbnail__", api=False)
        failed = None
        try:
            kind, image = self._session.data(beside)
            if kind.startswith(_PICTURES) or not image:
                return image or None
        except RefusedError as error:
            failed = error if error.status >= _FAILED else None
        request = Request("GET", content_path(guid, "thumbnail"))
        found = unless_hidden(lambda: self._session.data(request))
        if found is None and failed:
            raise failed  # whether it has one is not known
        return (found and found[1]) or None

    def set_thumbnail(self, guid: str, image: bytes) -> None:
        """Give content a picture."""
        request = Request("PUT", content_path(guid, "thumbnail"), data=image)
        self._session.json(request, may_be_empty=True)

    def remove_thumbnail(self, guid: str) -> None:
        """Take the picture of content away, if it has one."""
        request = Request("DELETE", content_path(guid, "thumbnail"))
        self._removed(request, lambda: self.thumbnail(guid) is not None)

    def integrations(self) -> tuple[Integration, ...]:
        """Return the OAuth integrations of the server."""
        request = Request("GET", "v1/oauth/integrations")
        return self._session.listed(request, Integration.from_answer)

    def content_integrations(self, guid: str) -> tuple[Integration, ...]:
        """Return the OAuth integrations of content."""

        def read(answer: JsonObject) -> Integration:
            name = answer.optional_string("oauth_integration_name") or ""
            return Integration(guid=answer.string("oauth_integration_guid"), name=name)

        return self._session.listed(Request("GET", _associations(guid)), read)

    def set_integrations(self, guid: str, guids: Collection[str]) -> None:
        """Replace the OAuth integrations of content."""
        body = [{"oauth_integration_guid": each} for each in guids]
        self._session.json(Request("PUT", _associations(guid), body=body), may_be_empty=True)

    def limits(
        self, app_mode: str | None = None, *, access: bool = False, settings: bool = False
    ) -> ServerLimits:
        """Return what the server allows: one request for each of the three that is asked for.

        With an `app_mode` that is what processes of such content may have, with `access` who may
        be let in, with `settings` everything else. What the server does not tell is no limit.
        """
        known: dict[str, Scalar] = {}
        types: tuple[str, ...] | None = None
        if access and (answer := self._told("server_settings/applications")):
            types = answer.strings("access_types") or None
        if settings and (answer := self._told("server_settings")):
            licence = answer.child("license")
            known = {**(licence.scalars() if licence else {}), **answer.scalars()}
        scheduler = self._scheduler(app_mode) if app_mode else {}
        return ServerLimits(scheduler=scheduler, access_types=types, settings=known)

    def _scheduler(self, app_mode: str) -> Mapping[str, float]:
        # None of these paths is in Connect's reference, and official clients use more than one.
        path = "server_settings/scheduler"
        of_mode = f"{path}/{quote(app_mode, safe='')}"
        answers = map(self._told, (of_mode, path, f"v1/{of_mode}"))
        answer = next(filter(None, answers), None)
        told = answer.scalars() if answer else {}
        return {name: value for name, value in told.items() if isinstance(value, int | float)}

    def _told(self, path: str) -> JsonObject | None:
        return unless_hidden(lambda: self._session.object(Request("GET", path)), _UNTOLD)

    def _sent(self, request: Request, is_done: Callable[[], bool]) -> None:
        """Send a request whose answer does not matter; if it is lost, look what it has done."""

        def send() -> bool:
            self._session.json(request, may_be_empty=True)
            return True

        self._session.settled(send, lambda: is_done() or None)

    def _removed(self, request: Request, is_there: Callable[[], bool]) -> None:
        """Remove something; that it is gone already is as good."""
        try:
            self._sent(request, lambda: False)
        except NotFoundError:
            if is_there():
                raise


def _principal(kind: PrincipalType, answer: JsonObject) -> Principal:
    return Principal(
        type=kind,
        guid=answer.string("guid"),
        name=answer.string(_NAME_KEYS[kind]),
        user_role=answer.optional_string("user_role") or "",
    )


def _associations(guid: str) -> str:
    return content_path(guid, "oauth", "integrations", "associations")
