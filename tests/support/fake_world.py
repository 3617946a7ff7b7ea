"""How the fake Connect answers: one method a request."""

from __future__ import annotations

import base64
import hashlib
import re
import threading
import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar, Literal, cast

from support.fake_bundle import Refusal, Reply, manifest_in, parts_of
from support.fake_content import (
    FakeBundle,
    FakeContent,
    FakeJob,
    FakeTask,
    change,
    fields_of,
    job_in,
    list_of,
)
from support.fake_deployed import FakeDeployed
from support.fake_fields import DEFAULTS, Check
from support.fake_settings import FakeSettings

if TYPE_CHECKING:
    from collections.abc import Callable

    from support.fake_connect import Recorded
    from support.fake_oauth import FakeOAuth

_NAME = re.compile(r"[A-Za-z0-9_-]{3,64}")
_CREATE = {"name", "title", *DEFAULTS}
_UPDATE = {"title", "locked", "locked_message", *DEFAULTS}
_C = r"v1/content/([0-9a-f-]{36})"


@dataclass
class World:
    """A server's state; set fields before (or while) it runs.

    `user_role` None makes the key a service principal's: valid, and without a user.
    `hides_version` keeps what the server does and hides which version does so. `lost_polls` are
    how many questions for a task a balancer sends to a machine that does not know it, which says
    so with `lost_code`; the task goes on meanwhile.
    """

    api_key: str = "fake-key-0123456789abcdef"
    username: str = "ada"
    user_role: str | None = "publisher"
    version: str = "2026.06.0"
    hides_version: bool = False
    lost_polls: int = 0
    lost_code: int = 141
    pythons: tuple[str, ...] | None = ("3.11.7", "3.12.4", "3.13.1")
    kept_pythons: tuple[str, ...] = ()  # those that take no new bundles
    images: tuple[str, ...] | None = None
    bundle_pages: int | None = 20  # so many bundles a page; None: the query is ignored
    pages: int | None = None  # so many of any other list; None: it has no pages, and refuses them
    bundle_order: Literal["newest", "oldest"] = "oldest"  # the reference says both
    longest_log: int | None = None  # so many lines are returned at most, whatever is asked for ...
    refuses_longer: bool = False  # ... unless more are refused
    tells_active: bool = False  # whether a bundle says that it is active
    contents: dict[str, FakeContent] = field(default_factory=dict)
    tasks: dict[str, FakeTask] = field(default_factory=dict)
    next_task: FakeTask | None = None
    page: Reply = field(default_factory=lambda: Reply(200, b'{"hello": "world"}'))
    user_guid: str = "10000000-0000-4000-8000-000000000001"
    people: dict[str, str] = field(default_factory=dict)  # other users' names, by GUID
    tells_owners: bool = True
    settings: FakeSettings = field(default_factory=FakeSettings)
    deployed: FakeDeployed = field(default_factory=FakeDeployed)
    url: str = ""
    oauth: FakeOAuth | None = None  # lets people sign in otherwise than with a key
    front: str | None = None  # what a proxy in front wants as Authorization
    lock: threading.RLock = field(default_factory=threading.RLock)
    _numbers: int = 0

    def add_content(self, name: str, **fields: object) -> FakeContent:
        number = self._number()
        content = FakeContent(
            guid=str(uuid.uuid4()), id=number, name=name, owner=self.user_guid, url=self.url
        )
        for key, value in fields.items():
            setattr(content, key, value)
        self.contents[content.guid] = content
        return content

    def answer(self, request: Recorded) -> Reply:
        """Answer a request to the API."""
        with self.lock:
            try:
                if self.oauth and (reply := self.oauth.answer(self, request)):
                    return reply
                return self._route(request)
            except Refusal as refusal:
                return refusal.reply()

    def visit(self, request: Recorded) -> Reply:
        """Answer a look at content, or whatever is about signing in."""
        with self.lock:
            reply = self.oauth and self.oauth.answer(self, request)
            return reply or self._visited(request)

    def _visited(self, request: Recorded) -> Reply:
        if request.path.startswith(("/__login__", "/connect/", "/oauth2/sign_in")):
            return Reply(200, b"<html>Who are you?</html>", "text/html")
        match = re.match(r"/content/([0-9a-f-]{36})/(?:_bundle(\d+)/)?", request.path)
        content = self.contents.get(match[1]) if match else None
        if match is None or content is None:
            return Reply(404, b"<html>no such content</html>", "text/html")
        if not self._admits(request, content):
            return Reply(401, b"<html>log in</html>", "text/html")
        if match[2] and not self.knows(2025, 7):
            return Reply(404, b"<html>no such page</html>", "text/html")
        bundle = content.bundles.get(match[2] or content.bundle_id or "")
        if bundle is None or not bundle.deployed:
            return Reply(404, b"<html>not deployed</html>", "text/html")
        thumbnail = self.settings.thumbnail(content, request)
        return thumbnail or self.page

    def _number(self) -> str:
        self._numbers += 1
        return str(self._numbers)

    def knows(self, year: int, month: int) -> bool:
        match = re.match(r"(\d+)\.(\d+)", self.version)
        return match is None or (int(match[1]), int(match[2])) >= (year, month)

    def _route(self, request: Recorded) -> Reply:
        if request.path == "server_settings":
            version = "" if self.hides_version else self.version
            more = self.settings.server() if self._has_key(request) else {}
            return Reply.of({"version": version, "hostname": "fake"} | more)
        if self._has_key(request):
            return self._routed(request)
        if self.oauth is None:
            raise Refusal(401, 30, "the key is not valid")
        with self.oauth.acting(self, request):
            return self._routed(request)

    def key_in(self, request: Recorded) -> str:
        """Return the key or token of a request; where a proxy has one, ours has another header."""
        name = "x-rsc-authorization" if self.front else "authorization"
        return request.headers.get(name, "")

    def _has_key(self, request: Recorded) -> bool:
        return self.key_in(request) == f"Key {self.api_key}"

    def _admits(self, request: Recorded, content: FakeContent) -> bool:
        """Return whether a look at content comes with a key or token that may see it."""
        if self._has_key(request) or self.oauth is None:
            return self._has_key(request)
        try:
            return self.oauth.admit(self.key_in(request)) in {None, content.guid}
        except Refusal:
            return False

    def _routed(self, request: Recorded) -> Reply:
        for pattern, answer in self._ROUTES:
            match = re.fullmatch(pattern, str(request))
            if match:
                return answer(self, request, *match.groups())
        for part in (self.settings, self.deployed):
            if reply := part.answer(self, request):
                return reply
        raise Refusal(404, 4, "no such resource")

    def _user(self, _request: Recorded) -> Reply:
        if self.user_role is None:
            raise Refusal(403, 22, "You don't have permission to perform this operation.")
        return Reply.of(
            {"guid": self.user_guid, "username": self.username, "user_role": self.user_role}
        )

    def _pythons(self, _request: Recorded) -> Reply:
        if self.pythons is None:
            raise Refusal(403, 22, "not for you")
        found = [
            {"version": v, "cluster_name": "Local", "publishable": v not in self.kept_pythons}
            for v in self.pythons
        ]
        return Reply.of({"api_enabled": True, "installations": found})

    def _images(self, _request: Recorded) -> Reply:
        if self.images is None:
            raise Refusal(404, 4, "no execution environments")
        python = {"installations": [{"version": v, "path": "/py"} for v in self.pythons or ()]}
        return Reply.of([{"name": name, "title": None, "python": python} for name in self.images])

    def _find(self, request: Recorded) -> Reply:
        if not request.query.keys() <= {"name", "owner_guid", "page_number", "include"}:
            raise Refusal(400, 121, "unknown query")
        wanted = request.query
        found = [
            c.told() | self.settings.included(self, c, wanted.get("include", ""))
            for c in self.contents.values()
            if not c.hidden
            and c.name == wanted.get("name", c.name)
            and c.owner == wanted.get("owner_guid", c.owner)
        ]
        return self._page(request, found)

    def _page(self, request: Recorded, found: list[dict[str, object]]) -> Reply:
        if self.pages is None:
            if "page_number" in request.query:
                raise Refusal(400, 121, "unknown query")
            return Reply.of(found)
        number = int(request.query.get("page_number", 1))
        return Reply.of(found[(number - 1) * self.pages : number * self.pages])

    def _create(self, request: Recorded) -> Reply:
        if self.user_role == "viewer":
            raise Refusal(403, 22, "viewers do not publish")
        fields = fields_of(request, _CREATE - self.settings.unknown_fields)
        name = fields.pop("name", None)
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise Refusal(400, 5, "the name is not valid")
        if any(c.name == name and c.owner == self.user_guid for c in self.contents.values()):
            raise Refusal(409, 26, "there is content of that name")
        self._checked(fields, None)
        content = self.add_content(name)
        change(content, fields)
        return Reply.of(self.settings.told(content), 201)

    def content_of(self, guid: str, *, change: bool = False) -> FakeContent:
        content = self.contents.get(guid)
        if content is None:
            raise Refusal(404, 4, "no such content")
        if content.hidden:
            raise Refusal(403, 19, "you may not view this content")
        may_change = content.role in {"owner", "editor"} or self.user_role == "administrator"
        if change and not may_change:
            raise Refusal(403, 21, "you may not change this content")
        if change and content.locked:
            raise Refusal(403, 222, "the content is locked")
        return content

    def _get(self, request: Recorded, guid: str) -> Reply:
        content = self.content_of(guid)
        if not request.query.keys() <= {"include"}:
            raise Refusal(400, 32, "unknown query")
        included = self.settings.included(self, content, request.query.get("include", ""))
        return Reply.of(self.settings.told(content) | included)

    def name_of(self, guid: str) -> str:
        """Return the name of a user, "" if there is none."""
        known = {self.user_guid: self.username} | self.people
        return str(self.settings.users.get(guid, {}).get("username", known.get(guid, "")))

    def _by_number(self, _request: Recorded, number: str) -> Reply:
        for content in self.contents.values():
            if number in {content.id, content.guid}:
                return Reply.of({"id": int(content.id), "guid": content.guid})
        raise Refusal(404, 4, "no such content")

    def _patch(self, request: Recorded, guid: str) -> Reply:
        content = self.content_of(guid, change=True)
        if self.user_role == "viewer":
            raise Refusal(403, 22, "viewers do not publish")
        fields = fields_of(request, _UPDATE - self.settings.unknown_fields)
        self._checked(fields, content)
        change(content, fields)
        self.settings.note(self, request)
        return Reply.of(self.settings.told(content))

    def _checked(self, fields: dict[str, object], content: FakeContent | None) -> None:
        mode, has = (content.app_mode, content.fields) if content else ("unknown", {})
        Check(self.settings, self.user_role, mode)(fields, has)

    def _environment(self, request: Recorded, guid: str) -> Reply:
        content = self.content_of(guid, change=request.method != "GET")
        if request.method == "PATCH":
            for entry in list_of(request):
                if entry.keys() != {"name", "value"}:
                    raise Refusal(400, 121, "unknown field")
                if entry["value"] is None:
                    content.environment.pop(str(entry["name"]), None)
                else:
                    content.environment[str(entry["name"])] = str(entry["value"])
        return Reply.of(sorted(content.environment))

    def _repository(self, _request: Recorded, guid: str) -> Reply:
        if not self.content_of(guid).git:
            raise Refusal(404, 4, "no repository")
        return Reply.of({"repository": "https://example.com/x.git", "branch": "main"})

    def _upload(self, request: Recorded, guid: str) -> Reply:
        content = self.content_of(guid, change=True)
        if content.git:
            raise Refusal(409, 144, "the content is managed by git")
        if not request.body:
            raise Refusal(400, 125, "the bundle is empty")
        archive, metadata = parts_of(request.headers, request.body)
        if metadata and not self.knows(2025, 12):
            raise Refusal(400, 135, "the bundle cannot be unpacked")
        # The header covers the body, whatever that is; no official client sends it with a form.
        sum_ = request.headers.get("x-content-checksum")
        md5 = hashlib.md5(request.body, usedforsecurity=False).digest()
        if sum_ is not None and base64.b64decode(sum_) != md5:
            raise Refusal(400, 104, "the checksum does not match")
        bundle = FakeBundle(self._number(), archive, manifest_in(archive), metadata)
        content.bundles[bundle.id] = bundle
        return Reply.of(self._told(content, bundle), 201)

    def _bundles(self, request: Recorded, guid: str) -> Reply:
        content = self.content_of(guid)
        bundles = [self._told(content, b) for b in content.bundles.values()]
        if self.bundle_order == "newest":
            bundles.reverse()
        if self.bundle_pages is None:
            return Reply.of(bundles)
        if not request.query.keys() <= {"page_number", "page_size", "asc_order"}:
            raise Refusal(400, 32, "unknown query")
        number = int(request.query.get("page_number", 1))
        size = int(request.query.get("page_size", self.bundle_pages))
        if number < 1 or not 1 <= size <= 500:
            raise Refusal(400, 13, "there is no such page")
        return Reply.of(bundles[(number - 1) * size : number * size])

    def _told(self, content: FakeContent, bundle: FakeBundle) -> dict[str, object]:
        told = bundle.told(active=bundle.id == content.bundle_id)
        if not self.tells_active:
            del told["active"]
        return told

    def _bundle(self, request: Recorded, guid: str, bundle_id: str) -> Reply:
        content = self.content_of(guid, change=request.method == "DELETE")
        bundle = content.bundles.get(bundle_id)
        if bundle is None:
            raise Refusal(404, 4, "no such bundle")
        active = bundle_id == content.bundle_id
        if request.method == "DELETE":
            if active:
                raise Refusal(409, 75, "the bundle is active")
            del content.bundles[bundle_id]
            return Reply(204, b"")
        return Reply.of(self._told(content, bundle))

    def _deploy(self, request: Recorded, guid: str) -> Reply:
        content = self.content_of(guid, change=True)
        if self.user_role == "viewer":
            raise Refusal(403, 22, "viewers do not deploy")
        allowed = {"bundle_id", "activate"} if self.knows(2025, 6) else {"bundle_id"}
        fields = fields_of(request, allowed)
        bundle = content.bundles.get(str(fields.get("bundle_id")))
        if bundle is None or not isinstance(fields["bundle_id"], str):
            raise Refusal(404, 82, "no such bundle of this content")
        metadata = cast("dict[str, str]", bundle.manifest["metadata"])
        if content.app_mode not in {"unknown", metadata["appmode"]}:
            raise Refusal(403, 48, "the type of content cannot be changed")
        if content.app_mode != "unknown":
            if content.fields.get("content_category", "") != metadata.get("content_category", ""):
                raise Refusal(403, 110, "the category of content cannot be changed")
            parameters = metadata.get("has_parameters", False)
            if content.fields.get("parameterized", False) != parameters:
                raise Refusal(403, 111, "content cannot get or lose its parameters")
        task = self.next_task or self._matched(bundle)
        self.next_task = None
        task.done = lambda: self._deployed(content, bundle, fields.get("activate", True) is True)
        number = f"task-{self._number()}"
        self.tasks[number] = task
        return Reply.of({"task_id": number}, 202)

    def _matched(self, bundle: FakeBundle) -> FakeTask:
        python = cast("dict[str, str]", bundle.manifest.get("python") or {})
        usable = set(self.pythons or ()) - set(self.kept_pythons)
        minors = {v.rpartition(".")[0] for v in usable}
        wanted = python.get("version", "")
        if not python or self.pythons is None or wanted.rpartition(".")[0] in minors:
            return FakeTask()
        why = f"no compatible Local environment with Python version {wanted}"
        return FakeTask(code=1, error=f"Cannot find compatible environment: {why}")

    def _deployed(self, content: FakeContent, bundle: FakeBundle, activate: bool) -> None:  # noqa: FBT001 - a test's fake
        bundle.deployed = True
        metadata = cast("dict[str, str]", bundle.manifest["metadata"])
        content.app_mode = metadata["appmode"]
        content.fields["content_category"] = metadata.get("content_category", "")
        content.fields["parameterized"] = metadata.get("has_parameters", False)
        if activate:
            content.bundle_id = bundle.id
            self.settings.seen.append((None, self.settings.visitors(content)))

    def _task(self, request: Recorded, number: str) -> Reply:
        task = self.tasks.get(number)
        if task is None:
            raise Refusal(404, 141, "no such task")
        first = int(request.query.get("first", 0))
        task.polls = max(task.polls - 1, 0)
        finished = task.polls == 0
        if self.lost_polls:
            self.lost_polls -= 1
            if finished and task.code == 0:
                task.done()
            raise Refusal(404, self.lost_code, "The requested task does not exist.")
        known = len(task.lines) if finished else min(first + 1, len(task.lines))
        if finished and task.code == 0:
            task.done()
        return Reply.of(
            {
                "id": number,
                "output": task.lines[first:known],
                "last": known,
                "finished": finished,
                "code": task.code if finished else 0,
                "error": task.error if finished else "",
                "result": None,
            }
        )

    def _content_with_jobs(self, guid: str) -> FakeContent:
        content = self.content_of(guid)
        if content.role not in {"owner", "editor"} and self.user_role != "administrator":
            raise Refusal(403, 22, "You don't have permission to perform this operation.")
        return content

    def _jobs(self, request: Recorded, guid: str) -> Reply:
        content = self._content_with_jobs(guid)
        jobs = [job_in(content, key).told(n, key, content) for n, key in enumerate(content.jobs)]
        return self._page(request, jobs)

    def _job_of(self, guid: str, key: str) -> FakeJob:
        content = self._content_with_jobs(guid)
        if key not in content.jobs:
            raise Refusal(404, 4, "no such job")
        return job_in(content, key)

    def _job(self, request: Recorded, guid: str, key: str) -> Reply:
        job, content = self._job_of(guid, key), self.contents[guid]
        if request.query:
            raise Refusal(400, 32, "unknown query")
        return Reply.of(job.told(list(content.jobs).index(key), key, content))

    def _job_log(self, request: Recorded, guid: str, key: str) -> Reply:
        entries = self._job_of(guid, key).entries()
        if not request.query.keys() <= {"maxLogLines"}:
            raise Refusal(400, 32, "unknown query")
        asked = request.query.get("maxLogLines", "5000")
        too_many = self.refuses_longer and int(asked) > (self.longest_log or 0)
        if not asked.isdecimal() or int(asked) < 1 or too_many:
            raise Refusal(400, 13, "maxLogLines is out of range")
        most = min(int(asked), self.longest_log or int(asked))
        return Reply.of({"entries": entries[-most:]})

    def _job_error(self, _request: Recorded, guid: str, key: str) -> Reply:
        diagnosis = self._job_of(guid, key).diagnosis
        return Reply(204, b"") if diagnosis is None else Reply.of(diagnosis)

    _ROUTES: ClassVar[tuple[tuple[str, Callable[..., Reply]], ...]] = (
        ("GET v1/user", _user),
        ("GET v1/server_settings/python", _pythons),
        ("GET v1/environments", _images),
        ("GET v1/content", _find),
        ("POST v1/content", _create),
        (rf"GET {_C}", _get),
        (rf"PATCH {_C}", _patch),
        (r"GET applications/([0-9a-f-]+)", _by_number),
        (rf"(?:GET|PATCH) {_C}/environment", _environment),
        (rf"GET {_C}/repository", _repository),
        (rf"POST {_C}/bundles", _upload),
        (rf"GET {_C}/bundles", _bundles),
        (rf"(?:GET|DELETE) {_C}/bundles/(\d+)", _bundle),
        (rf"POST {_C}/deploy", _deploy),
        (r"GET v1/tasks/([\w-]+)", _task),
        (rf"GET {_C}/jobs", _jobs),
        (rf"GET {_C}/jobs/([\w-]+)", _job),
        (rf"GET {_C}/jobs/([\w-]+)/log", _job_log),
        (rf"GET {_C}/jobs/([\w-]+)/error", _job_error),
    )
