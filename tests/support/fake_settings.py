"""How the fake Connect answers for what is declared of content, by the strictest reading."""

from __future__ import annotations

import json
import re
import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar, Literal

from support.fake_bundle import Refusal, Reply
from support.fake_content import fields_of, list_of
from support.fake_fields import STATIC

if TYPE_CHECKING:
    from collections.abc import Callable

    from support.fake_connect import Recorded
    from support.fake_content import FakeContent
    from support.fake_world import World

_C = r"v1/content/([0-9a-f-]{36})"
_MOST = 500  # of a page
_THUMBNAIL = 5 << 20
_PICTURES = (b"\x89PNG\r\n", b"\xff\xd8\xff", b"GIF8", b"RIFF", b"<svg")
_RESERVED = {
    *("favicon.ico", "connect", "apps", "users", "groups", "setpassword", "user-completion"),
    *("confirm", "recent", "reports", "plots", "unpublished", "settings", "metrics", "tokens"),
    *("help", "login", "welcome", "register", "resetpassword", "content"),
}


@dataclass
class FakeSettings:
    """What the server knows of people, tags and limits; `audit` lists every change that was made.

    `seen` lists for each of them, and for each activation (None), who may see the content then.
    `unknown_fields` are those that this version does not know. `counts_all`: a search for a prefix
    has further pages, which the reference denies. `shows_thumbnails`: also in the API, and not
    beside the content. A picture is not looked for beside content that was never deployed.
    """

    users: dict[str, dict[str, object]] = field(default_factory=dict)
    groups: dict[str, dict[str, object]] | None = field(default_factory=dict)
    tags: dict[str, dict[str, object]] = field(default_factory=dict)
    integrations: dict[str, dict[str, object]] = field(default_factory=dict)
    unknown_fields: set[str] = field(default_factory=set)
    includes: Literal["all", "ignored", "refused"] = "all"
    counts_all: bool = False
    lists_people: bool = True
    shows_thumbnails: bool = False
    publishers_set_paths: bool = True
    licence: dict[str, bool] = field(
        default_factory=lambda: {
            "allow-apis": True,
            "current-user-execution": False,
            "enable-launcher": True,
            "oauth-integrations": True,
            "public-access": True,
        }
    )
    execution_type: str = "Kubernetes"
    image_selection: bool = True
    access_types: tuple[str, ...] = ("acl", "logged_in", "all")
    unix_users: tuple[str, ...] = ("rstudio-connect", "analysts")
    service_accounts: tuple[str, ...] = ("connect-content",)
    run_as_current_user: bool = False
    scheduler: dict[str, float] = field(
        default_factory=lambda: {
            "min_processes": 0,
            "max_processes": 3,
            "min_processes_limit": 4,
            "max_processes_limit": 10,
            "max_conns_per_process": 20,
            "load_factor": 0.5,
            "init_timeout": 60,
            "max_cpu_request": 2,
            "max_cpu_limit": 4,
            "max_memory_request": 4 << 30,
            "max_memory_limit": 8 << 30,
            "max_amd_gpu_limit": 0,
            "max_nvidia_gpu_limit": 1,
        }
    )
    audit: list[str] = field(default_factory=list)
    permitted: int = 0  # ids are never given again
    seen: list[tuple[str | None, frozenset[str]]] = field(default_factory=list)

    def add_user(self, name: str, role: str = "publisher", **more: object) -> str:
        """Add a user and return the GUID."""
        guid = str(uuid.uuid4())
        self.users[guid] = {"guid": guid, "username": name, "user_role": role, **more}
        return guid

    def add_group(self, name: str) -> str:
        """Add a group and return its GUID."""
        guid = str(uuid.uuid4())
        assert self.groups is not None
        self.groups[guid] = {"guid": guid, "name": name, "owner_guid": None}
        return guid

    def add_tag(self, path: str) -> str:
        """Add a tag, such as "Department/Finance", with all above it, and return its id."""
        parent: str | None = None
        for name in path.split("/"):
            same = (t for t in self.tags.values() if (t["name"], t["parent_id"]) == (name, parent))
            tag = next(same, None)
            if tag is None:
                tag = {"id": str(len(self.tags) + 1), "name": name, "parent_id": parent}
                self.tags[str(tag["id"])] = tag
            parent = str(tag["id"])
        assert parent is not None
        return parent

    def add_integration(self, name: str) -> str:
        """Add an OAuth integration and return its GUID."""
        guid = str(uuid.uuid4())
        self.integrations[guid] = {"id": "1", "guid": guid, "name": name, "auth_type": "Viewer"}
        return guid

    def permit(self, content: FakeContent, guid: str, role: str = "viewer") -> None:
        """Let a user or a group view or change content."""
        kind = "group" if guid in (self.groups or {}) else "user"
        self.permitted += 1
        content.permissions.append(
            {
                "id": str(self.permitted),
                "content_guid": content.guid,
                "principal_guid": guid,
                "principal_type": kind,
                "role": role,
            }
        )

    def answer(self, world: World, request: Recorded) -> Reply | None:
        """Answer a request that is about settings; None for any other."""
        for pattern, answer in self._ROUTES:
            if match := re.fullmatch(pattern, str(request)):
                reply = answer(self, world, request, *match.groups())
                self.note(world, request)
                return reply
        return None

    def note(self, world: World, request: Recorded) -> None:
        """Note a change that was made."""
        if request.method != "GET":
            if match := re.match(_C, request.path):
                self.seen.append((str(request), self.visitors(world.contents[match[1]])))
            path = re.sub(rf"^{_C}/?", "", request.path)
            kind = request.headers.get("content-type", "")
            body = json.dumps(request.json, sort_keys=True) if "json" in kind else ""
            self.audit.append(" ".join(filter(None, (request.method, path, body))))

    def visitors(self, content: FakeContent) -> frozenset[str]:
        """Return who may see content: anybody, who has an account, or who is named."""
        access = content.told()["access_type"]
        named = {content.owner, *(p["principal_guid"] for p in content.permissions)}
        if access != "acl":
            named |= {*self.users, *(self.groups or {})}
        return frozenset(named | ({"anybody"} if access == "all" else set()))

    def told(self, content: FakeContent) -> dict[str, object]:
        """Return content as this version tells it."""
        return {k: v for k, v in content.told().items() if k not in self.unknown_fields}

    def included(self, world: World, content: FakeContent, include: str) -> dict[str, object]:
        """Return what a request for content wants included."""
        wanted = set(filter(None, include.split(",")))
        known = {"tags", "owner", "vanity_url", "bookmarked", "schedule"}
        if self.includes == "refused":
            known = {"owner"}
        if not wanted <= known:
            raise Refusal(400, 161, "there is no such include")
        if self.includes == "ignored":
            return {}
        found: dict[str, object] = {}
        if "owner" in wanted and world.tells_owners:
            found["owner"] = {"guid": content.owner, "username": world.name_of(content.owner)}
        if "tags" in wanted and content.tags:
            found["tags"] = [self.tags[number] for number in sorted(content.tags)]
        if "vanity_url" in wanted and content.vanity:
            found["vanity_url"] = f"{world.url}{content.vanity}"
        return found

    def thumbnail(self, content: FakeContent, request: Recorded) -> Reply | None:
        """Return the picture beside content; None if the path is the content's own."""
        if self.shows_thumbnails or not request.path.endswith("/__thumbnail__"):
            return None
        if content.thumbnail is None:
            return Reply(204, b"", "text/plain")
        return Reply(200, content.thumbnail, "image/png")

    def _people(self, world: World, request: Recorded, kind: str) -> Reply:
        if not self.lists_people and world.user_role != "administrator":
            raise Refusal(403, 22, "You don't have permission to perform this operation.")
        listed = self.users if kind == "users" else self.groups
        if listed is None:
            raise Refusal(400, 2, "groups are not enabled")
        if not request.query.keys() <= {"prefix", "page_number", "page_size"}:
            raise Refusal(400, 32, "unknown query")
        prefix = request.query.get("prefix", "").casefold()
        number = int(request.query.get("page_number", 1))
        size = int(request.query.get("page_size", 20))
        if number < 1 or not 1 <= size <= _MOST:
            raise Refusal(400, 13, "there is no such page")
        names = "username", "first_name", "last_name", "name"
        found = [
            each
            for each in listed.values()
            if any(str(each.get(name, "")).casefold().startswith(prefix) for name in names)
        ]
        page = found[(number - 1) * size : number * size]
        if prefix and number > 1 and not self.counts_all:
            page = []
        return Reply.of({"results": page, "current_page": number, "total": len(found)})

    def _principal(self, world: World, _request: Recorded, kind: str, guid: str) -> Reply:
        listed = self.users if kind == "users" else self.groups or {}
        if guid in listed:
            return Reply.of(listed[guid])
        if kind == "users" and (name := world.name_of(guid)):
            return Reply.of({"guid": guid, "username": name})
        raise Refusal(404, 4, "no such user or group")

    def _permissions(self, world: World, request: Recorded, guid: str) -> Reply:
        content = world.content_of(guid, change=request.method != "GET")
        if request.method == "GET":
            return Reply.of(content.permissions)
        principal, role = self._permitted(world, request, content)
        if principal == world.user_guid:
            content.role = "editor" if role == "owner" else "viewer"
        for permission in content.permissions:
            if permission["principal_guid"] == principal:
                permission["role"] = role
                return Reply.of(permission)
        self.permit(content, principal, role)
        return Reply.of(content.permissions[-1], 201)

    def _permitted(self, world: World, request: Recorded, content: FakeContent) -> tuple[str, str]:
        """Return who a request lets do what; nobody is ever sent an e-mail."""
        fields = fields_of(request, {"principal_guid", "principal_type", "role"})
        principal, role = str(fields.get("principal_guid")), str(fields.get("role"))
        if fields.get("principal_type") not in {"user", "group"}:
            raise Refusal(400, 152, "the type is neither user nor group")
        is_group = fields["principal_type"] == "group"
        if is_group and principal not in (self.groups or {}):
            raise Refusal(400, 262, "there is no such group")
        if not is_group and not world.name_of(principal):
            raise Refusal(400, 261, "there is no such user")
        if role not in {"viewer", "owner"}:
            raise Refusal(400, 25, "there is no such role")
        if principal == content.owner:
            raise Refusal(400, 34, "that is the owner")
        if role == "owner" and self.users.get(principal, {}).get("user_role") == "viewer":
            raise Refusal(400, 33, "that account cannot be a collaborator")
        return principal, role

    def _permission(self, world: World, request: Recorded, guid: str, number: str) -> Reply:
        content = world.content_of(guid, change=request.method != "GET")
        permission = next((p for p in content.permissions if p["id"] == number), None)
        if permission is None:
            raise Refusal(404, 4, "there is no such permission")
        if request.method == "PUT":
            _, permission["role"] = self._permitted(world, request, content)
        if request.method != "DELETE":
            return Reply.of(permission)
        content.permissions.remove(permission)
        if permission["principal_guid"] == world.user_guid != content.owner:
            content.role = "none"
        return Reply(204, b"")

    def _tags(self, _world: World, request: Recorded) -> Reply:
        wanted = request.query
        if not wanted.keys() <= {"name", "parent_id"}:
            raise Refusal(400, 32, "unknown query")
        found = (t for t in self.tags.values() if all(t[key] == wanted[key] for key in wanted))
        return Reply.of(list(found))

    def _tag(self, _world: World, _request: Recorded, number: str) -> Reply:
        if number not in self.tags:
            raise Refusal(404, 4, "there is no such tag")
        return Reply.of(self.tags[number])

    def _content_tags(self, world: World, request: Recorded, guid: str) -> Reply:
        content = world.content_of(guid, change=request.method != "GET")
        if request.method == "GET":
            return Reply.of([self.tags[number] for number in sorted(content.tags)])
        number = fields_of(request, {"tag_id"}).get("tag_id")
        if not isinstance(number, str) or number not in self.tags:
            raise Refusal(400, 158, "there is no such tag")
        if self.tags[number]["parent_id"] is None:
            raise Refusal(400, 79, "a category is no tag")
        above: object = number
        while above is not None:
            content.tags.add(str(above))
            above = self.tags[str(above)]["parent_id"]
        return Reply(200, b"")

    def _remove_tag(self, world: World, _request: Recorded, guid: str, number: str) -> Reply:
        content = world.content_of(guid, change=True)
        if number not in content.tags:
            raise Refusal(404, 17, "the content has no such tag")
        gone = {number}
        while below := {n for n in content.tags - gone if self.tags[n]["parent_id"] in gone}:
            gone |= below
        content.tags -= gone
        return Reply(200, b"")

    def _vanity(self, world: World, request: Recorded, guid: str) -> Reply:
        content = world.content_of(guid, change=request.method != "GET")
        if request.method == "GET":
            if not content.vanity:
                raise Refusal(404, 4, "the content has no path")
            return Reply.of({"content_guid": guid, "path": content.vanity, "created_time": "2026"})
        if world.user_role != "administrator" and not self.publishers_set_paths:
            raise Refusal(403, 22, "You don't have permission to perform this operation.")
        if request.method == "DELETE":
            if not content.vanity:
                raise Refusal(404, 17, "the content has no path")
            content.vanity = None
            return Reply(204, b"")
        path = f"/{str(fields_of(request, {'path'}).get('path')).strip('/')}/"
        if not re.fullmatch(r"(/[A-Za-z0-9_-]+)+/", path) or path.startswith("/__"):
            raise Refusal(400, 52, "the path is prohibited")
        if path.split("/")[1] in _RESERVED:
            raise Refusal(400, 52, "the path is prohibited")
        others = (c.vanity for c in world.contents.values() if c is not content and c.vanity)
        if any(path.startswith(other) or other.startswith(path) for other in others):
            raise Refusal(409, 51, "the path is in use")
        content.vanity = path
        return Reply.of({"content_guid": guid, "path": path, "created_time": "2026"})

    def _vanities(self, world: World, _request: Recorded) -> Reply:
        if world.user_role != "administrator":
            raise Refusal(403, 22, "You don't have permission to perform this operation.")
        found = (content for content in world.contents.values() if content.vanity)
        return Reply.of([{"content_guid": c.guid, "path": c.vanity} for c in found])

    def _thumbnail(self, world: World, request: Recorded, guid: str) -> Reply:
        content = world.content_of(guid, change=request.method != "GET")
        if not world.knows(2024, 9):
            return Reply(404, b"404 page not found", "text/plain")
        if request.method == "GET":
            if not self.shows_thumbnails:
                return Reply(405, b"method not allowed", "text/plain")
            if content.thumbnail is None:
                raise Refusal(404, 4, "the content has no thumbnail")
            return Reply(200, content.thumbnail, "application/octet-stream")
        if request.method == "DELETE":
            if content.thumbnail is None:
                raise Refusal(404, 17, "the content has no thumbnail")
            content.thumbnail = None
            return Reply(204, b"")
        if request.headers.get("content-type") != "application/octet-stream":
            raise Refusal(400, 2, "the picture is no octet stream")
        if not request.body.startswith(_PICTURES) or len(request.body) > _THUMBNAIL:
            raise Refusal(400, 25, "the picture cannot be used")
        content.thumbnail = request.body
        return Reply(204, b"")

    def _integrations(self, world: World, _request: Recorded) -> Reply:
        self._check_oauth(world)
        if world.user_role == "viewer":
            raise Refusal(403, 22, "You don't have permission to perform this operation.")
        return Reply.of(list(self.integrations.values()))

    def _check_oauth(self, world: World) -> None:
        if not world.knows(2024, 12):
            raise Refusal(404, None, "404 page not found")
        if not self.licence["oauth-integrations"]:
            raise Refusal(402, 221, "OAuth integrations are not licensed")

    def _associations(self, world: World, request: Recorded, guid: str) -> Reply:
        content = world.content_of(guid, change=request.method != "GET")
        self._check_oauth(world)
        if request.method == "GET":
            return Reply.of(
                [
                    {
                        "content_guid": guid,
                        "oauth_integration_guid": each,
                        "oauth_integration_name": self.integrations[each]["name"],
                    }
                    for each in content.integrations
                ]
            )
        entries = list_of(request)
        if any(each.keys() != {"oauth_integration_guid"} for each in entries):
            raise Refusal(400, 121, "unknown field")
        guids = [str(each["oauth_integration_guid"]) for each in entries]
        if not set(guids) <= self.integrations.keys():
            raise Refusal(400, 207, "there is no such integration")
        if len(set(guids)) < len(guids):
            raise Refusal(400, 258, "an integration is there twice")
        if len(guids) > 1 and not world.knows(2025, 7):
            raise Refusal(400, 257, "only one integration")
        content.integrations = guids
        return Reply(204, b"")

    def _scheduler(self, _world: World, _request: Recorded, app_mode: str | None = None) -> Reply:
        if app_mode in STATIC:
            raise Refusal(400, 147, "such content has no processes")
        return Reply.of(self.scheduler)

    def _applications(self, _world: World, _request: Recorded) -> Reply:
        return Reply.of(
            {
                "access_types": self.access_types,
                "run_as": "rstudio-connect",
                "run_as_current_user": self.run_as_current_user,
            }
        )

    def server(self) -> dict[str, object]:
        """Return what the server tells of itself to whoever has a key."""
        return {
            "license": self.licence,
            "execution_type": self.execution_type,
            "default_image_selection_enabled": self.image_selection,
        }

    _ROUTES: ClassVar[tuple[tuple[str, Callable[..., Reply]], ...]] = (
        (r"GET v1/(users|groups)", _people),
        (r"GET v1/(users|groups)/([0-9a-z-]+)", _principal),
        (rf"(?:GET|POST) {_C}/permissions", _permissions),
        (rf"(?:GET|PUT|DELETE) {_C}/permissions/(\d+)", _permission),
        (r"GET v1/tags", _tags),
        (r"GET v1/tags/(\d+)", _tag),
        (rf"(?:GET|POST) {_C}/tags", _content_tags),
        (rf"DELETE {_C}/tags/(\d+)", _remove_tag),
        (rf"(?:GET|PUT|DELETE) {_C}/vanity", _vanity),
        (r"GET v1/vanities", _vanities),
        (rf"(?:GET|PUT|DELETE) {_C}/thumbnail", _thumbnail),
        (r"GET v1/oauth/integrations", _integrations),
        (rf"(?:GET|PUT) {_C}/oauth/integrations/associations", _associations),
        (r"GET (?:v1/)?server_settings/scheduler(?:/([\w-]+))?", _scheduler),
        (r"GET server_settings/applications", _applications),
    )
